//! Answers before they go out: bodies, the error envelopes, and the headers that each carries.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::faults::RetryAfter;
use super::throttle::Scope;

/// What is answered, apart from the headers that every answer has.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Content,
    /// The window that it announces, and whom that concerns.
    pub(super) retry_after: Option<(Scope, RetryAfter)>,
}

/// An answer's body.
#[derive(Clone, Debug)]
pub(super) enum Content {
    None,
    Json(Value),
    Html(String),
}

impl Reply {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            body: Content::Json(body),
            retry_after: None,
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            body: Content::None,
            retry_after: None,
        }
    }
}

/// A request that Graph refuses: status, `code` and `message` of the envelope.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The window that it announces, and whom that concerns.
    pub(super) retry_after: Option<(Scope, RetryAfter)>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// 400 with code `BadRequest`.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// What Graph usually says with `status` (graph-api.md, section 11), for scripted answers.
    pub(super) fn usual(status: u16) -> Self {
        let (code, message) = match status {
            400 => ("BadRequest", "Bad request."),
            401 => (
                "InvalidAuthenticationToken",
                "Lifetime validation failed, the token is expired.",
            ),
            403 => (
                "Forbidden",
                "No application access policy found for this app.",
            ),
            404 => ("NotFound", "The resource was not found."),
            409 => ("resourceModified", "The resource was changed meanwhile."),
            429 => ("TooManyRequests", "Please retry again later."),
            500 => ("InternalServerError", "Internal Server Error"),
            503 => ("serviceNotAvailable", "The service is not available."),
            _ => ("UnknownError", ""),
        };
        Self::new(status, code, message)
    }
}

/// A request's marks, which its answer carries.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    pub(super) request_id: String,
    /// As the client sent it; else the request id.
    pub(super) client_request_id: String,
    pub(super) now: DateTime<Utc>,
}

/// Graph's error envelope (graph-api.md, section 11; the 429 form of section 12).
pub(super) fn graph_error(refusal: Refusal, marks: &Marks) -> Reply {
    let date = marks.now.format("%Y-%m-%dT%H:%M:%S").to_string();
    let inner = if refusal.code == "TooManyRequests" {
        json!({"code": "429", "date": date, "message": "Please retry after",
               "request-id": marks.request_id, "status": "429"})
    } else {
        json!({"date": date, "request-id": marks.request_id,
               "client-request-id": marks.client_request_id})
    };
    let Refusal {
        status,
        code,
        message,
        retry_after,
    } = refusal;
    let error = json!({"code": code, "message": message, "innerError": inner});
    Reply {
        retry_after,
        ..Reply::json(status, json!({"error": error}))
    }
}

/// An instant as Graph shows it: UTC, `Z`, seven fraction digits if `fraction` or if there are any.
pub(super) fn instant(time: DateTime<Utc>, fraction: bool) -> Value {
    let seconds = time.format("%Y-%m-%dT%H:%M:%S");
    let ticks = time.timestamp_subsec_nanos().min(999_999_999) / 100;
    Value::String(if fraction || ticks != 0 {
        format!("{seconds}.{ticks:07}Z")
    } else {
        format!("{seconds}Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_utc_with_none_or_seven_digits() {
        let whole: DateTime<Utc> = "2026-11-10T10:00:00+01:00".parse().unwrap();
        let part: DateTime<Utc> = "2026-11-10T09:00:00.12345678Z".parse().unwrap();
        let cases = [
            (whole, false, "2026-11-10T09:00:00Z"),
            (whole, true, "2026-11-10T09:00:00.0000000Z"),
            (part, false, "2026-11-10T09:00:00.1234567Z"),
        ];
        for (time, fraction, expected) in cases {
            assert_eq!(instant(time, fraction), expected);
        }
    }
}
