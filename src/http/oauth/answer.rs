//! What an answer of a token endpoint means (RFC 6749, 5). Pure.

use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::SecretString;
use serde_json::Value;

use super::{Grant, TokenError};
use crate::http::Answer;

/// The life of a token whose server does not tell (RFC 6749, 5.1, only recommends it).
const USUAL_LIFE: Duration = Duration::from_secs(60 * 60);
/// The bounds of a token's life, whatever the service says.
const LIFE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 60 * 60));

/// How one request for a token ended.
pub(super) enum Verdict {
    Granted {
        bearer: HeaderValue,
        life: Duration,
        rotated: Option<SecretString>,
    },
    Failed(TokenError),
    Wait(Duration),
}

/// Says what an answer of the token endpoint means (RFC 6749, 5).
pub(super) fn judge(
    answer: &Answer,
    after: Option<Duration>,
    host: &str,
    grant: &Grant,
) -> Verdict {
    let status = answer.status.as_u16();
    let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    if answer.status.is_success() {
        return granted(&body).unwrap_or_else(|| {
            Verdict::Failed(TokenError::Busy(format!(
                "{host} gave an answer without a usable access token; check `oauth2-token-url`"
            )))
        });
    }
    if let (429 | 503, Some(wait)) = (status, after) {
        return Verdict::Wait(wait);
    }
    let error = body["error"]
        .as_str()
        .filter(|error| is_plain(error))
        .unwrap_or_default();
    let shown = match error {
        "" => format!("HTTP {status}"),
        error => format!("HTTP {status}, {error}"),
    };
    let transient = matches!(error, "temporarily_unavailable" | "server_error")
        || matches!(status, 408 | 429 | 500..);
    if transient {
        return Verdict::Failed(TokenError::Busy(format!(
            "{host} gives no access token at present ({shown}); it is tried again later"
        )));
    }
    let place = &grant.refresh_token;
    let what_to_do = match error {
        "invalid_grant" => format!(
            "the refresh token was revoked or has expired (Google ends those of apps in testing \
             after 7 days); sign in anew and put the new refresh token into {place}"
        ),
        "invalid_client" | "unauthorized_client" => match &grant.client_secret {
            Some(secret) => {
                format!("the client is not accepted; check `oauth2-client-id` and {secret}")
            }
            None => "the client is not accepted; check `oauth2-client-id`, and whether the client \
                     needs a secret (`oauth2-client-secret-file`)"
                .to_owned(),
        },
        "invalid_scope" => format!(
            "the refresh token does not cover this; sign in anew with access to calendars and put \
             the new refresh token into {place}"
        ),
        _ => "check `oauth2-token-url` and `oauth2-client-id`".to_owned(),
    };
    Verdict::Failed(TokenError::Refused(format!(
        "{host} gives no access token ({shown}): {what_to_do}"
    )))
}

pub(super) fn granted(body: &Value) -> Option<Verdict> {
    let text = |key: &str| body[key].as_str().filter(|text| !text.is_empty());
    // It is always there by the RFC, but not by every server.
    if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return None;
    }
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", text("access_token")?)).ok()?;
    bearer.set_sensitive(true);
    let seconds = &body["expires_in"];
    let life = seconds
        .as_u64()
        .or_else(|| seconds.as_str()?.parse().ok())
        .map_or(USUAL_LIFE, Duration::from_secs);
    Some(Verdict::Granted {
        bearer,
        life: life.clamp(LIFE.0, LIFE.1),
        rotated: text("refresh_token").map(SecretString::from),
    })
}

/// Whether a foreign code may be shown: letters, digits and `_`, at most 64.
fn is_plain(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
