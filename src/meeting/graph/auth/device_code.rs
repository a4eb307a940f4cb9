//! Signing in by device code (graph-api.md, section 2.4; RFC 8628). Network, disk.
//!
//! In: an application that lets people sign in. Out: an address and a code for a person, who uses them
//! on any device; then who that was, and their refresh token in the state directory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::SCOPE;
use super::answer::{Refused, Report, Verdict, judge};
use super::authority::{endpoint, post};
use super::signed_in::{Place, SignedIn};

use crate::clock::{Clock, Random};
use crate::http::windows::retry_after;
use crate::http::{Answer, Client, Windows};
use crate::meeting::MeetingError;
use crate::meeting::graph::GraphSettings;
use crate::meeting::graph::pace::{Busy, Pace, pass};
use crate::model::OrganizerId;

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// How long a code lasts and how often it is asked after where Entra does not say (RFC 8628, 3.2).
const USUAL: (u64, u64) = (900, 5);
/// The bounds of a code's life, whatever the service says.
const LIFE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(60 * 60));
/// The bounds of the time between two questions.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How much more of it there is after `slow_down`, or without an answer (RFC 8628, 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The longest code for a person, and the longest address, in characters.
const LONGEST: (usize, usize) = (32, 256);

/// Why nobody was signed in. No text holds a token or a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Entra or the configuration stands against it: what to do.
    #[error("{0}")]
    Refused(String),
    /// Who was asked said no.
    #[error("the sign-in was declined; nothing is changed")]
    Declined,
    /// Nobody signed in.
    #[error("nobody signed in while the code was good; run `meetbridge login` again")]
    Expired,
    /// It may work later.
    #[error("{0}")]
    Busy(String),
    /// What was had cannot be kept.
    #[error("{0}")]
    Unkept(String),
}

/// What the person needs to know, and what is asked after.
#[derive(Clone)]
pub struct Prompt {
    /// Where to sign in.
    pub address: Url,
    /// What to type there; printable ASCII.
    pub code: String,
    /// How long that works.
    pub life: Duration,
    device_code: SecretString,
    interval: Duration,
    /// When it ends on the monotonic clock.
    ends: Duration,
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt").finish_non_exhaustive()
    }
}

/// Who signed in; not kept yet.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their object id.
    pub user: OrganizerId,
    token: SecretString,
}

/// One sign-in by device code.
pub struct DeviceLogin {
    settings: GraphSettings,
    place: Place,
    client: Client,
    windows: Arc<Windows>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl DeviceLogin {
    /// Sets it up; `None` where the settings sign in by another way.
    pub fn new(
        settings: GraphSettings,
        client: Client,
        windows: Arc<Windows>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Option<Self> {
        let place = Place::of(&settings)?;
        Some(Self {
            settings,
            place,
            client,
            windows,
            clock,
            random,
        })
    }

    /// Asks for a code.
    ///
    /// # Errors
    /// When there is none.
    pub async fn begin(&self) -> Result<Prompt, LoginError> {
        let url = endpoint(&self.settings, "devicecode");
        // `profile` puts the person's object id into the ID token that `openid` asks for.
        let sign_in = &self.settings.sign_in;
        let scope = sign_in.scope(&self.settings.graph_url, self.settings.mirrors);
        let scope = format!("openid profile {scope}");
        let form = [
            ("client_id", self.settings.client_id.as_str()),
            ("scope", &scope),
        ];
        let mut pace = Pace::new(SCOPE, &self.windows, &self.clock, &self.random);
        loop {
            pass(&self.windows, SCOPE).await.map_err(later)?;
            let asked = self.clock.elapsed();
            let busy = match self.post(&url, &form).await {
                Ok(answer) if answer.status.is_success() => {
                    match prompt(&answer.body, &self.settings.authority_url, asked) {
                        Some(prompt) => return Ok(prompt),
                        None => busy("Entra gave no usable device code".to_owned()),
                    }
                }
                Ok(answer) => match self.judge(&answer) {
                    Verdict::Busy(busy) => busy,
                    verdict => return Err(refusal(verdict)),
                },
                Err(busy) => busy,
            };
            pace.again(busy).await.map_err(later)?;
        }
    }

    /// Waits for the person.
    ///
    /// # Errors
    /// When nobody signs in, or Entra refuses who does.
    pub async fn wait(&self, prompt: &Prompt) -> Result<Person, LoginError> {
        let url = endpoint(&self.settings, "token");
        let form = [
            ("grant_type", DEVICE_CODE),
            ("client_id", self.settings.client_id.as_str()),
            ("device_code", prompt.device_code.expose_secret()),
        ];
        let mut interval = prompt.interval;
        loop {
            self.clock.sleep(interval).await;
            if self.clock.elapsed() >= prompt.ends {
                return Err(LoginError::Expired);
            }
            if self.windows.until(SCOPE).is_some() {
                continue;
            }
            let busy = match self.post(&url, &form).await {
                Ok(answer) => match self.poll(&answer)? {
                    Polled::Person(person) => return Ok(person),
                    Polled::Pending => continue,
                    Polled::SlowDown => None,
                    Polled::Busy(busy) => Some(busy),
                },
                Err(busy) => Some(busy),
            };
            if let Some(after) = busy.and_then(|busy| busy.after) {
                self.windows.close(SCOPE, after);
            }
            interval = (interval + SLOWER).min(INTERVAL.1);
        }
    }

    /// Stores the sign-in, in place of any other. A daemon that runs takes it over by itself.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn keep(&self, person: Person) -> Result<(), LoginError> {
        let turn = self.place.turn(&self.clock).await;
        let _turn = turn.map_err(LoginError::Unkept)?;
        let new = SignedIn {
            user: person.user,
            token: person.token,
            previous: None,
        };
        self.place.write(new).await.map_err(LoginError::Unkept)
    }

    fn poll(&self, answer: &Answer) -> Result<Polled, LoginError> {
        if !answer.status.is_success() {
            match Report::read(answer).error.as_str() {
                "authorization_pending" => return Ok(Polled::Pending),
                "slow_down" => return Ok(Polled::SlowDown),
                "authorization_declined" | "access_denied" => return Err(LoginError::Declined),
                "expired_token" => return Err(LoginError::Expired),
                "bad_verification_code" => {
                    return Err(LoginError::Refused(
                        "Entra does not know the code any more; run `meetbridge login` again"
                            .to_owned(),
                    ));
                }
                _ => {}
            }
        }
        let granted = match self.judge(answer) {
            Verdict::Granted(granted) => granted,
            Verdict::Busy(busy) => return Ok(Polled::Busy(busy)),
            verdict => return Err(refusal(verdict)),
        };
        let lacks = |what: &str| {
            LoginError::Refused(format!(
                "Entra's answer holds no {what}; check `authority-url`, and that a conditional access \
                 policy of the tenant does not forbid lasting sign-ins"
            ))
        };
        Ok(Polled::Person(Person {
            user: granted.user.ok_or_else(|| lacks("object id"))?,
            token: granted
                .refresh_token
                .ok_or_else(|| lacks("refresh token"))?,
        }))
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        let after = retry_after(&answer.headers, self.clock.now());
        judge(answer, after, &self.settings.sign_in, &self.settings.tenant)
    }

    async fn post(&self, url: &Url, form: &[(&str, &str)]) -> Result<Answer, Busy> {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let answer = post(&self.client, url, form, self.random.as_ref()).await;
        answer.map_err(|error| busy(error.to_string()))
    }
}

/// What a question after the person came to.
enum Polled {
    Person(Person),
    Pending,
    SlowDown,
    Busy(Busy),
}

/// Reads the answer to a request for a code that was sent at `asked`.
fn prompt(body: &[u8], authority: &Url, asked: Duration) -> Option<Prompt> {
    let body = serde_json::from_slice::<Value>(body).ok()?;
    let text = |key: &str| body[key].as_str().filter(|text| !text.is_empty());
    let seconds = |key: &str, usual| {
        let value = &body[key];
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        Duration::from_secs(number.unwrap_or(usual))
    };
    let address = Url::parse(text("verification_uri")?).ok()?;
    let is_safe = address.scheme() == "https" || address.scheme() == authority.scheme();
    let code = text("user_code")?;
    let is_plain = code.len() <= LONGEST.0 && code.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_safe || !is_plain || address.as_str().len() > LONGEST.1 {
        return None;
    }
    let life = seconds("expires_in", USUAL.0).clamp(LIFE.0, LIFE.1);
    Some(Prompt {
        address,
        code: code.to_owned(),
        life,
        device_code: SecretString::from(text("device_code")?),
        interval: seconds("interval", USUAL.1).clamp(INTERVAL.0, INTERVAL.1),
        ends: asked + life,
    })
}

fn refusal(verdict: Verdict) -> LoginError {
    match verdict {
        Verdict::Refused(Refused { text, .. }) | Verdict::Untimely(Refused { text, .. }) => {
            LoginError::Refused(text)
        }
        Verdict::Busy(Busy { text, .. }) => LoginError::Busy(text),
        Verdict::Granted(_) => LoginError::Busy("Entra gave an answer without meaning".to_owned()),
    }
}

fn later(error: MeetingError) -> LoginError {
    LoginError::Busy(error.to_string())
}

fn busy(text: String) -> Busy {
    Busy {
        text,
        after: None,
        throttled: false,
    }
}
