//! Access tokens by client credentials (graph-api.md, section 2). Network.
//!
//! One token is shared by all calls, fetched by one task at a time and renewed before it expires. A
//! refusal that only a person can lift is remembered, so that a wrong secret costs one request per
//! five minutes and not one per event.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tracing::debug;
use url::{Url, form_urlencoded};

use super::errors::is_plain;
use super::online_meeting::{CLIENT_REQUEST_ID, below, segment};
use super::pace::{Busy, Pace, pass, try_id};
use super::settings::GraphSettings;
use crate::clock::{Clock, Random};
use crate::http::windows::retry_after;
use crate::http::{Answer, Client, Windows};
use crate::meeting::MeetingError;

/// The scope of the token endpoint's Retry-After windows.
const SCOPE: &str = "token";
/// The largest answer of the token endpoint, in bytes.
const LARGEST_ANSWER: usize = 256 * 1024;
/// How long before its end a token is renewed; at most half its life.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// The bounds of a token's life, whatever the service says.
const LIFE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 60 * 60));
/// How long a refusal is remembered.
const REFUSED: Duration = Duration::from_secs(5 * 60);
/// When a renewal that failed is tried again while the old token still holds.
const RENEW_AGAIN: Duration = Duration::from_secs(30);

/// An access token, ready for use.
#[derive(Clone)]
pub(super) struct Token {
    /// The value of the Authorization header; marked as sensitive.
    pub(super) bearer: HeaderValue,
    /// Tells this token from the ones before it.
    number: u64,
    renew: Duration,
    expires: Duration,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.number)
    }
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    /// Why nothing is asked for, and until when on the monotonic clock.
    refused: Option<(String, Duration)>,
    /// How often fetching has ended, one way or the other.
    rounds: u64,
    /// How the last round failed, if it did.
    failed: Option<MeetingError>,
}

enum Look {
    Fresh(Token),
    /// Usable, but due for renewal.
    Ageing(Token),
    Refused(MeetingError),
    /// Nothing usable after this many rounds.
    Nothing(u64),
}

/// The source of tokens of one credential.
pub(super) struct Tokens {
    settings: Arc<GraphSettings>,
    url: Url,
    client: Client,
    windows: Arc<Windows>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    held: Mutex<Held>,
    /// Held by the one task that fetches.
    fetching: tokio::sync::Mutex<()>,
}

/// How one request for a token ended.
#[derive(Debug)]
enum Verdict {
    Granted {
        bearer: HeaderValue,
        life: Duration,
    },
    /// Until a person acts.
    Refused(String),
    Busy(Busy),
}

impl Tokens {
    pub(super) fn new(
        settings: Arc<GraphSettings>,
        client: Client,
        windows: Arc<Windows>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let path = format!("/{}/oauth2/v2.0/token", segment(&settings.tenant));
        Self {
            url: below(&settings.authority_url, &path),
            settings,
            client,
            windows,
            clock,
            random,
            held: Mutex::default(),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// The token in force, or a new one. All tasks that need a new one share one request, and its
    /// failure.
    pub(super) async fn get(&self) -> Result<Token, MeetingError> {
        let (_turn, old) = match self.look() {
            Look::Fresh(token) => return Ok(token),
            Look::Refused(error) => return Err(error),
            Look::Ageing(token) => match self.fetching.try_lock() {
                Ok(turn) => (turn, Some(token)),
                // Somebody is renewing it; meanwhile it holds.
                Err(_) => return Ok(token),
            },
            Look::Nothing(rounds) => {
                let turn = self.fetching.lock().await;
                match self.look() {
                    Look::Nothing(later) if later != rounds => {
                        if let Some(error) = self.held().failed.clone() {
                            return Err(error);
                        }
                    }
                    Look::Nothing(_) => {}
                    Look::Fresh(token) | Look::Ageing(token) => return Ok(token),
                    Look::Refused(error) => return Err(error),
                }
                (turn, None)
            }
        };
        let fetched = self.fetch().await;
        self.settle(fetched, old)
    }

    /// Gives up a token that Graph did not accept, unless a newer one has taken its place.
    pub(super) fn discard(&self, token: &Token) {
        let mut held = self.held();
        if held
            .token
            .as_ref()
            .is_some_and(|current| current.number == token.number)
        {
            held.token = None;
        }
    }

    /// Remembers that Graph serves nobody with this credential, and why.
    pub(super) fn refuse(&self, text: &str) -> MeetingError {
        let until = self.clock.elapsed() + REFUSED;
        let mut held = self.held();
        held.token = None;
        held.refused = Some((text.to_owned(), until));
        MeetingError::Credential(text.to_owned())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Look {
        let now = self.clock.elapsed();
        let held = self.held();
        match (&held.token, &held.refused) {
            (Some(token), _) if now < token.renew => Look::Fresh(token.clone()),
            (Some(token), _) if now < token.expires => Look::Ageing(token.clone()),
            (_, Some((text, until))) if now < *until => {
                Look::Refused(MeetingError::Credential(text.clone()))
            }
            _ => Look::Nothing(held.rounds),
        }
    }

    /// Takes over what a round of fetching came to. While the `old` token holds, a failure only puts
    /// its renewal off.
    fn settle(
        &self,
        fetched: Result<Token, MeetingError>,
        old: Option<Token>,
    ) -> Result<Token, MeetingError> {
        let now = self.clock.elapsed();
        let mut held = self.held();
        held.rounds += 1;
        held.failed = None;
        match (fetched, old) {
            (Ok(mut token), _) => {
                token.number = held.rounds;
                held.token = Some(token.clone());
                held.refused = None;
                Ok(token)
            }
            (Err(error), Some(mut old)) if now < old.expires => {
                let refused = matches!(error, MeetingError::Credential(_));
                old.renew = now + if refused { REFUSED } else { RENEW_AGAIN };
                held.token = Some(old.clone());
                Ok(old)
            }
            (Err(MeetingError::Credential(text)), _) => {
                held.token = None;
                held.refused = Some((text.clone(), now + REFUSED));
                Err(MeetingError::Credential(text))
            }
            (Err(error), _) => {
                held.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn fetch(&self) -> Result<Token, MeetingError> {
        let mut pace = Pace::new(SCOPE, &self.windows, &self.clock, &self.random);
        loop {
            pass(&self.windows, SCOPE).await?;
            // A token's life is counted from before it was asked for.
            let asked = self.clock.elapsed();
            match self.ask().await? {
                Verdict::Granted { bearer, life } => {
                    let early = EARLY.min(life / 2);
                    let expires = asked + life;
                    return Ok(Token {
                        bearer,
                        number: 0,
                        renew: expires - early,
                        expires,
                    });
                }
                Verdict::Refused(text) => return Err(MeetingError::Credential(text)),
                Verdict::Busy(busy) => pace.again(busy).await?,
            }
        }
    }

    async fn ask(&self) -> Result<Verdict, MeetingError> {
        let settings = &self.settings;
        let secret = settings
            .secret
            .read()
            .await
            .map_err(|error| MeetingError::Credential(format!("the client secret: {error}")))?;
        let root = settings.graph_url.as_str().trim_end_matches('/');
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &settings.client_id)
            .append_pair("scope", &format!("{root}/.default"))
            .append_pair("client_secret", secret.expose_secret())
            .append_pair("grant_type", "client_credentials")
            .finish();
        let mut request = Request::new(Method::POST, self.url.clone());
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let try_id = try_id(self.random.as_ref());
        if let Ok(value) = HeaderValue::from_str(&try_id) {
            headers.insert(CLIENT_REQUEST_ID, value);
        }
        *request.body_mut() = Some(body.into());
        Ok(match self.client.send(request, LARGEST_ANSWER).await {
            Ok(answer) => {
                debug!(
                    client_request_id = try_id,
                    status = answer.status.as_u16(),
                    "token asked for"
                );
                let after = retry_after(&answer.headers, self.clock.now());
                judge(
                    &answer,
                    after,
                    &settings.secret.to_string(),
                    &settings.tenant,
                )
            }
            Err(error) => Verdict::Busy(Busy {
                text: error.to_string(),
                after: None,
                throttled: false,
            }),
        })
    }
}

/// Says what an answer of the token endpoint means (graph-api.md, section 2.6).
fn judge(answer: &Answer, after: Option<Duration>, secret: &str, tenant: &str) -> Verdict {
    let status = answer.status.as_u16();
    let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    if answer.status.is_success() {
        return granted(&body).unwrap_or_else(|| {
            let text = "the token endpoint gave an answer without a usable token".to_owned();
            Verdict::Busy(Busy {
                text,
                after,
                throttled: false,
            })
        });
    }
    let error = body["error"]
        .as_str()
        .filter(|error| is_plain(error))
        .unwrap_or_default();
    let codes: Vec<u64> = body["error_codes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    let shown = match (error, codes.first()) {
        ("", None) => format!("HTTP {status}"),
        ("", Some(code)) => format!("HTTP {status}, AADSTS{code}"),
        (error, None) => format!("HTTP {status}, {error}"),
        (error, Some(code)) => format!("HTTP {status}, {error}, AADSTS{code}"),
    };
    let busy = |throttled| {
        let text = format!("Entra gives no token at present ({shown}); it is tried again later");
        Verdict::Busy(Busy {
            text,
            after,
            throttled,
        })
    };
    if status == 429 || codes.contains(&90055) {
        return busy(true);
    }
    let transient = matches!(error, "temporarily_unavailable" | "server_error")
        || codes.iter().any(|code| TRANSIENT.contains(code));
    if transient {
        return busy(false);
    }
    let what_to_do = codes
        .iter()
        .find_map(|code| by_code(*code, secret, tenant))
        .or_else(|| by_error(error, secret));
    match what_to_do {
        Some(text) => Verdict::Refused(format!("Entra gives no token ({shown}): {text}")),
        None if status == 408 || status >= 500 => busy(false),
        None => Verdict::Refused(format!(
            "Entra gives no token ({shown}): check `authority-url`, `tenant` and `client-id`"
        )),
    }
}

fn granted(body: &Value) -> Option<Verdict> {
    if !body["token_type"].as_str()?.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let seconds = &body["expires_in"];
    let seconds = seconds
        .as_u64()
        .or_else(|| seconds.as_str()?.parse().ok())?;
    let token = body["access_token"]
        .as_str()
        .filter(|token| !token.is_empty())?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    bearer.set_sensitive(true);
    Some(Verdict::Granted {
        bearer,
        life: Duration::from_secs(seconds).clamp(LIFE.0, LIFE.1),
    })
}

/// AADSTS codes of trouble that passes.
const TRANSIENT: [u64; 10] = [
    50033, 50087, 90006, 90012, 90024, 90033, 90090, 90091, 40010, 80005,
];

/// What to do about an AADSTS code that stays until a person acts; `None` for one without advice.
fn by_code(code: u64, secret: &str, tenant: &str) -> Option<String> {
    Some(match code {
        7_000_215 => format!(
            "the client secret is wrong; put the secret's value, not its id, into {secret}"
        ),
        7_000_222 => format!(
            "the client secret has expired; make a new one in the app registration (Certificates & \
             secrets) and put its value into {secret}"
        ),
        700_016 | 700_011 | 70_001 => format!(
            "tenant {tenant} has no such application; check `client-id` and `tenant`"
        ),
        7_000_112 => "the application is disabled; an administrator enables it in Entra under \
                      Enterprise applications"
            .to_owned(),
        90_002 | 50_059 | 90_019 => {
            format!("there is no tenant {tenant} in this cloud; check `tenant` and `cloud`")
        }
        90_038 | 900_382 | 900_432 => {
            format!("tenant {tenant} lives in another cloud; check `cloud`")
        }
        700_025 => "the application is a public client; give it a client secret in its app \
                    registration and switch off `Allow public client flows`"
            .to_owned(),
        70_011 | 28_002 | 700_022 | 700_023 | 500_011 | 650_052 | 650_057 | 50_001 => {
            "this tenant does not know the Graph that `graph-url` or `cloud` names; check both"
                .to_owned()
        }
        65_001 | 65_004 | 90_094 => "an administrator has to consent to the application's \
                                     permission OnlineMeetings.ReadWrite.All"
            .to_owned(),
        50_076 | 50_079 | 50_158 | 53_000..=53_003 | 530_032 => {
            "a conditional access policy of the tenant blocks the application; an administrator has \
             to except it"
                .to_owned()
        }
        50_196 => "too many identical requests were made; stop other programs that use this \
                   application"
            .to_owned(),
        700_024 => "the clocks disagree; set this machine's clock by a time server".to_owned(),
        _ => return None,
    })
}

/// What to do about an OAuth error that stays until a person acts; `None` for an unknown one.
fn by_error(error: &str, secret: &str) -> Option<String> {
    Some(match error {
        "invalid_client" => {
            format!("the application was not accepted; check `client-id` and {secret}")
        }
        "unauthorized_client" => "the application may not do this; check `client-id` and that the \
                                  app registration is in this tenant"
            .to_owned(),
        "invalid_scope" | "invalid_resource" => "check `graph-url` or `cloud`".to_owned(),
        "invalid_grant" | "interaction_required" | "consent_required" => {
            "a person has to act in Entra: look at the application's sign-in log".to_owned()
        }
        "unsupported_grant_type" | "invalid_request" => {
            "check `tenant`, `client-id` and `authority-url`".to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;

    fn verdict(status: u16, body: &str) -> Verdict {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        };
        judge(&answer, None, "/etc/secret", "contoso.example")
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
                "too many identical requests",
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
                Verdict::Refused(text) => {
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
                Verdict::Granted { bearer, life } => {
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
}
