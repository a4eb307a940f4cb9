//! What an answer of the token endpoint means (graph-api.md, section 2.6). Pure.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use reqwest::header::HeaderValue;
use secrecy::SecretString;
use serde_json::Value;

use super::advice::{self, Advice};
use super::sign_in::SignIn;
use crate::http::Answer;
use crate::meeting::graph::errors::is_plain;
use crate::meeting::graph::pace::Busy;
use crate::model::OrganizerId;

/// The bounds of a token's life, whatever the service says.
const LIFE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 60 * 60));
/// How long a throttled tenant (90055) is left alone where the service does not say.
const TENANT_THROTTLED: Duration = Duration::from_secs(5 * 60);

/// How one request for a token ended.
#[derive(Debug)]
pub(super) enum Verdict {
    Granted(Granted),
    /// Until a person acts.
    Refused(Refused),
    /// The assertion is outside its time (700024): a clock, or a token that has been replaced since.
    Untimely(Refused),
    Busy(Busy),
}

/// A token, fresh.
#[derive(Debug)]
pub(super) struct Granted {
    /// The value of the Authorization header; marked as sensitive.
    pub(super) bearer: HeaderValue,
    pub(super) life: Duration,
    /// A person's next refresh token.
    pub(super) refresh_token: Option<SecretString>,
    /// The person's object id, where the answer says who signed in.
    pub(super) user: Option<OrganizerId>,
}

/// A refusal that only a person can lift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// What happened, and what to do.
    pub(super) text: String,
    pub(super) pause: Pause,
}

/// When a refused credential is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// In 15 to 30 minutes.
    Slow,
    /// In an hour or more.
    Long,
    /// Not before there is another one.
    Replaced,
}

/// What is used of a refusal's body.
pub(super) struct Report {
    /// The OAuth error; empty where there is none that may be shown.
    pub(super) error: String,
    /// The AADSTS numbers.
    pub(super) codes: Vec<u64>,
    /// Status, error and first number, in words.
    pub(super) shown: String,
}

impl Report {
    pub(super) fn read(answer: &Answer) -> Self {
        const MOST_CODES: usize = 16;
        let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let error = body["error"].as_str().filter(|error| is_plain(error));
        let error = error.unwrap_or_default().to_owned();
        let codes = body["error_codes"].as_array().into_iter().flatten();
        let codes: Vec<u64> = codes.filter_map(Value::as_u64).take(MOST_CODES).collect();
        let mut shown = format!("HTTP {}", answer.status.as_u16());
        if !error.is_empty() {
            shown += &format!(", {error}");
        }
        if let Some(code) = codes.first() {
            shown += &format!(", AADSTS{code}");
        }
        Self {
            error,
            codes,
            shown,
        }
    }

    fn has(&self, code: u64) -> bool {
        self.codes.contains(&code)
    }
}

/// Says what an answer means; `after` is its `Retry-After`.
pub(super) fn judge(
    answer: &Answer,
    after: Option<Duration>,
    sign_in: &SignIn,
    tenant: &str,
) -> Verdict {
    let status = answer.status.as_u16();
    if answer.status.is_success() {
        let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        return match granted(&body) {
            Some(granted) => Verdict::Granted(granted),
            None => Verdict::Busy(Busy {
                text: "the token endpoint gave an answer without a usable token".to_owned(),
                after,
                throttled: false,
            }),
        };
    }
    let report = Report::read(answer);
    let shown = &report.shown;
    let busy = |throttled, after| {
        let text = format!("Entra gives no token at present ({shown}); it is tried again later");
        Verdict::Busy(Busy {
            text,
            after,
            throttled,
        })
    };
    if report.has(90055) {
        return busy(true, after.or(Some(TENANT_THROTTLED)));
    }
    if status == 429 {
        return busy(true, after);
    }
    if report.codes.iter().any(|code| advice::is_transient(*code)) {
        return busy(false, after);
    }
    let refused = |Advice { text, pause }| Refused {
        text: format!("Entra gives no token ({shown}): {text}"),
        pause,
    };
    let by_code = |code: &u64| advice::by_code(*code, sign_in, tenant);
    if let Some(advice) = report.codes.iter().find_map(by_code) {
        return match report.has(700_024) {
            true => Verdict::Untimely(refused(advice)),
            false => Verdict::Refused(refused(advice)),
        };
    }
    if matches!(
        report.error.as_str(),
        "temporarily_unavailable" | "server_error"
    ) {
        return busy(false, after);
    }
    match advice::by_error(&report.error, sign_in) {
        Some(advice) => Verdict::Refused(refused(advice)),
        None if status == 408 || status >= 500 => busy(false, after),
        None => Verdict::Refused(refused(Advice {
            text: "check `authority-url`, `tenant` and `client-id`".to_owned(),
            pause: Pause::Slow,
        })),
    }
}

fn granted(body: &Value) -> Option<Granted> {
    let text = |key: &str| body[key].as_str().filter(|text| !text.is_empty());
    if !text("token_type")?.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let seconds = &body["expires_in"];
    let seconds = seconds
        .as_u64()
        .or_else(|| seconds.as_str()?.parse().ok())?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", text("access_token")?)).ok()?;
    bearer.set_sensitive(true);
    Some(Granted {
        bearer,
        life: Duration::from_secs(seconds).clamp(LIFE.0, LIFE.1),
        refresh_token: text("refresh_token").map(SecretString::from),
        user: text("id_token").and_then(user),
    })
}

/// The object id in an ID token. It comes straight from the authority, so its signature adds nothing
/// (OpenID Connect Core, 3.1.3.7).
fn user(id_token: &str) -> Option<OrganizerId> {
    let claims = id_token.split('.').nth(1)?;
    let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?;
    let claims = serde_json::from_slice::<Value>(&claims).ok()?;
    OrganizerId::new(claims["oid"].as_str()?)
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::secret::SecretSource;

    fn verdict(status: u16, body: &str) -> Verdict {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        };
        let sign_in = SignIn::Secret(SecretSource::File("/etc/secret".into()));
        judge(&answer, None, &sign_in, "contoso.example")
    }

    #[test]
    fn refusals_say_what_to_do_and_trouble_is_retried() {
        let error = |error: &str, code: u64| {
            json!({"error": error, "error_codes": [code], "error_description": "private"})
                .to_string()
        };
        let refused = [
            (
                401,
                error("invalid_client", 7_000_215),
                "value, not its id, into /etc/secret",
            ),
            (401, error("invalid_client", 7_000_222), "has expired"),
            (
                400,
                error("unauthorized_client", 700_016),
                "no such application",
            ),
            (
                400,
                error("invalid_request", 90_002),
                "no tenant contoso.example",
            ),
            (400, error("invalid_request", 900_382), "another cloud"),
            (
                400,
                error("invalid_client", 50_196),
                "a loop of identical requests",
            ),
            (400, error("invalid_scope", 70_011), "graph-url"),
            (400, error("invalid_scope", 1), "graph-url"),
            (
                400,
                error("invalid_client", 1),
                "check `client-id` and /etc/secret",
            ),
            (400, error("unsupported_grant_type", 1), "authority-url"),
            (400, error("a new error", 1), "HTTP 400, AADSTS1"),
            (404, "<html>".to_owned(), "check `authority-url`"),
            (302, String::new(), "check `authority-url`"),
        ];
        for (status, body, words) in refused {
            match verdict(status, &body) {
                Verdict::Refused(Refused { text, .. }) => {
                    assert!(text.contains(words), "{text}");
                    assert!(!text.contains("private"), "{text}");
                }
                other => panic!("{body}: {other:?}"),
            }
        }
        let transient = [
            (503, error("temporarily_unavailable", 90_033), false),
            (400, error("temporarily_unavailable", 1), false),
            (400, error("invalid_request", 90_024), false),
            (500, "<html>".to_owned(), false),
            (429, String::new(), true),
            (400, error("invalid_request", 90_055), true),
        ];
        for (status, body, expected) in transient {
            match verdict(status, &body) {
                Verdict::Busy(busy) => assert_eq!(busy.throttled, expected, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn only_a_whole_token_is_a_token() {
        let whole = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ0"});
        let with = |key: &str, value: Value| {
            let mut body = whole.clone();
            body[key] = value;
            body.to_string()
        };
        for (body, seconds) in [
            (whole.to_string(), 3599),
            (with("expires_in", json!("600")), 600),
            (with("token_type", json!("bearer")), 3599),
            (with("expires_in", json!(0)), 60),
            (with("expires_in", json!(u64::MAX)), 86_400),
        ] {
            match verdict(200, &body) {
                Verdict::Granted(Granted { bearer, life, .. }) => {
                    assert_eq!(life.as_secs(), seconds, "{body}");
                    assert_eq!(bearer, "Bearer eyJ0");
                    assert_eq!(format!("{bearer:?}"), "Sensitive");
                }
                other => panic!("{body}: {other:?}"),
            }
        }
        for body in [
            String::new(),
            "{\"token_type\":\"Bea".to_owned(),
            with("access_token", Value::Null),
            with("access_token", json!("")),
            with("access_token", json!("a\nb")),
            with("token_type", json!("mac")),
            with("expires_in", Value::Null),
        ] {
            assert!(matches!(verdict(200, &body), Verdict::Busy(_)), "{body}");
        }
    }

    #[test]
    fn an_answer_says_who_signed_in_and_shows_no_token() {
        let whole = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ0",
                           "refresh_token": "1.AAA"});
        let id_token = |claims: Value| {
            let claims = BASE64URL_NOPAD.encode(claims.to_string().as_bytes());
            format!("e30.{claims}.c2ln")
        };
        let oid = "11111111-1111-1111-1111-111111111111";
        for (token, expected) in [
            (id_token(json!({"oid": oid, "sub": "x"})), Some(oid)),
            (id_token(json!({"sub": oid})), None),
            (id_token(json!({"oid": "alice@example.org"})), None),
            (id_token(json!([])), None),
            ("a.b".to_owned(), None),
            ("..".to_owned(), None),
            (String::new(), None),
        ] {
            let mut body = whole.clone();
            body["id_token"] = token.clone().into();
            let Verdict::Granted(granted) = verdict(200, &body.to_string()) else {
                panic!("{body}");
            };
            assert_eq!(
                granted.user.as_ref().map(OrganizerId::as_str),
                expected,
                "{token}"
            );
            let shown = format!("{granted:?}");
            assert!(
                !shown.contains("1.AAA") && !shown.contains("eyJ0"),
                "{shown}"
            );
        }
    }
}
