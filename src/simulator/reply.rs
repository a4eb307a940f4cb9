//! Answers before they go out: bodies, the error envelopes, and the headers that each carries.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// What is answered, apart from the headers that every answer has.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Content,
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
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            body: Content::None,
        }
    }
}

/// A request that Graph refuses: status, `code` and `message` of the envelope.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
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
    let inner = if refusal.status == 429 {
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
    } = refusal;
    let error = json!({"code": code, "message": message, "innerError": inner});
    Reply::json(status, json!({"error": error}))
}

/// A token request that Entra refuses.
#[derive(Clone, Debug)]
pub(super) struct EntraRefusal {
    pub(super) code: u32,
    pub(super) text: String,
}

/// The AADSTS numbers of graph-api.md section 2.6 that a daemon can meet: number, status, `error`, text.
const ENTRA: &[(u32, u16, &str, &str)] = &[
    (
        40008,
        400,
        "invalid_request",
        "An unretryable error came from the identity provider.",
    ),
    (50012, 401, "invalid_client", "Authentication failed."),
    (
        50034,
        400,
        "invalid_grant",
        "The user account does not exist in the directory.",
    ),
    (50053, 400, "invalid_grant", "The account is locked."),
    (50057, 400, "invalid_grant", "The user account is disabled."),
    (
        50059,
        400,
        "invalid_request",
        "No tenant-identifying information found in the request.",
    ),
    (
        50076,
        400,
        "interaction_required",
        "Multi-factor authentication is required.",
    ),
    (
        50196,
        400,
        "invalid_grant",
        "A client request loop was detected.",
    ),
    (
        53003,
        400,
        "interaction_required",
        "Access was blocked by conditional access.",
    ),
    (
        65001,
        400,
        "consent_required",
        "Nobody has consented to this application.",
    ),
    (
        70003,
        400,
        "unsupported_grant_type",
        "The application asked for a grant type that is not supported.",
    ),
    (
        70011,
        400,
        "invalid_scope",
        "The scope is not valid: a client credentials request names one resource, followed by /.default.",
    ),
    (
        70021,
        401,
        "invalid_client",
        "No matching federated identity record found for the presented assertion.",
    ),
    (90002, 400, "invalid_request", "Tenant not found."),
    (
        90012,
        503,
        "temporarily_unavailable",
        "The request timed out.",
    ),
    (
        90013,
        400,
        "invalid_request",
        "Invalid input received from the user.",
    ),
    (
        90033,
        503,
        "temporarily_unavailable",
        "The service is temporarily unavailable.",
    ),
    (
        90038,
        400,
        "invalid_request",
        "The tenant lives in another cloud.",
    ),
    (
        90055,
        429,
        "temporarily_unavailable",
        "The tenant is throttled by too many requests.",
    ),
    (
        500011,
        400,
        "invalid_resource",
        "The resource was not found in the tenant.",
    ),
    (
        700016,
        400,
        "unauthorized_client",
        "Application was not found in the directory.",
    ),
    (
        700024,
        401,
        "invalid_client",
        "The client assertion is not within its valid time range.",
    ),
    (
        700027,
        401,
        "invalid_client",
        "The client assertion failed signature validation: its key is not registered.",
    ),
    (
        700082,
        400,
        "invalid_grant",
        "The refresh token has expired due to inactivity.",
    ),
    (
        900144,
        400,
        "invalid_request",
        "The request body lacks a parameter.",
    ),
    (
        7000112,
        400,
        "unauthorized_client",
        "The application is disabled.",
    ),
    (
        7000215,
        401,
        "invalid_client",
        "Invalid client secret provided.",
    ),
    (
        7000218,
        401,
        "invalid_client",
        "The request body must contain client_assertion or client_secret.",
    ),
    (
        7000222,
        401,
        "invalid_client",
        "The provided client secret keys are expired.",
    ),
];

impl EntraRefusal {
    /// The refusal with this AADSTS number and its usual text.
    pub(super) fn of(code: u32) -> Self {
        let text = ENTRA.iter().find(|known| known.0 == code);
        Self {
            code,
            text: text
                .map_or("The request was refused.", |known| known.3)
                .to_owned(),
        }
    }
}

/// The token endpoint's error body (graph-api.md, section 2.6).
pub(super) fn entra_error(refusal: &EntraRefusal, authority: &str, marks: &Marks) -> Reply {
    let code = refusal.code;
    let (status, error) = ENTRA
        .iter()
        .find(|known| known.0 == code)
        .map_or((400, "invalid_request"), |known| (known.1, known.2));
    let stamp = marks.now.format("%Y-%m-%d %H:%M:%SZ").to_string();
    let (trace, correlation) = (&marks.request_id, &marks.client_request_id);
    let description = format!(
        "AADSTS{code}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {stamp}",
        refusal.text
    );
    Reply::json(
        status,
        json!({
            "error": error,
            "error_description": description,
            "error_codes": [code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{authority}/error?code={code}"),
        }),
    )
}

/// What the token endpoint usually says with `status`, for scripted answers.
pub(super) fn usual_entra(status: u16, authority: &str, marks: &Marks) -> Reply {
    let code = match status {
        401 => 7_000_215,
        429 => 90055,
        500.. => 90033,
        _ => 90002,
    };
    Reply {
        status,
        ..entra_error(&EntraRefusal::of(code), authority, marks)
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
