//! Access tokens (graph-api.md, section 2). Network.
//!
//! One token is shared by all calls, fetched by one task at a time and renewed before it expires. A
//! refusal that only a person can lift is remembered until the credential is another one, or for 15
//! to 30 minutes, so that a wrong secret does not cost one request per event.
//!
//! `sign_in`: what is presented · `certificate`: client assertions · `answer`, `advice`: what comes
//! back · `authority`: how it is asked · `device_code`: how a person signs in · `signed_in`: who did.

mod advice;
mod answer;
mod authority;
mod certificate;
mod device_code;
mod sign_in;
mod signed_in;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded};

use self::answer::{Pause, Refused, Verdict, judge};
use self::authority::{endpoint, post};
use self::certificate::Claims;
pub use self::device_code::{DeviceLogin, LoginError, Person, Prompt};
pub use self::sign_in::{CertificateAlgorithm, SignIn};
use self::sign_in::{Credential, Presented};
pub use self::signed_in::who_signed_in;
use self::signed_in::{Place, Rotation};
use super::pace::{Busy, Pace, pass, try_id};
use super::probe::Dates;
use super::settings::GraphSettings;
use crate::clock::{Clock, Random};
use crate::http::windows::retry_after;
use crate::http::{Client, Windows};
use crate::log::{self, Lasting};
use crate::meeting::MeetingError;
use crate::model::OrganizerId;

/// The scope of the token endpoint's Retry-After windows.
const SCOPE: &str = "token";
/// How long before its end a token is renewed; at most half its life.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// How long a refusal is remembered, at least, while the credential stays the same; at most twice as
/// long.
const REFUSED: Duration = Duration::from_secs(15 * 60);
/// How long after Entra saw a loop.
const LOOPED: Duration = Duration::from_secs(60 * 60);
/// How often it is looked whether a refused credential was replaced, or another person signed in.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// When a renewal that failed is tried again while the old token still holds.
const RENEW_AGAIN: Duration = Duration::from_secs(30);

/// An access token, ready for use.
#[derive(Clone)]
pub(super) struct Token {
    /// The value of the Authorization header; marked as sensitive.
    pub(super) bearer: HeaderValue,
    /// The person it stands for; `None`: the application.
    pub(super) user: Option<OrganizerId>,
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
    refusal: Option<Refusal>,
    /// How often fetching has ended, one way or the other.
    rounds: u64,
    /// How the last round failed, if it did.
    failed: Option<MeetingError>,
    /// A token that may not be used before what came with it is on disk.
    unsaved: Option<(Token, Rotation)>,
    /// When it is looked next whether another person has signed in.
    look: Duration,
}

/// Why nothing is asked for.
struct Refusal {
    text: String,
    /// Until when on the monotonic clock.
    until: Duration,
    /// The credential's fingerprint; empty where it could not be read, `None` where it is not to blame.
    fingerprint: Option<String>,
    /// When it is looked next whether the credential was replaced.
    look: Duration,
}

/// Why a round of fetching gave no token.
enum Failure {
    Refused {
        refused: Refused,
        fingerprint: String,
    },
    Other(MeetingError),
}

impl From<MeetingError> for Failure {
    fn from(error: MeetingError) -> Self {
        Self::Other(error)
    }
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
    /// Where the sign-in of a person is kept.
    place: Option<Place>,
    url: Url,
    client: Client,
    windows: Arc<Windows>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    held: Mutex<Held>,
    /// What Entra's answers say of the time.
    pub(super) dates: Dates,
    /// That the credential will not last long.
    ending: Lasting<()>,
    /// Held by the one task that fetches.
    fetching: tokio::sync::Mutex<()>,
}

impl Tokens {
    pub(super) fn new(
        settings: Arc<GraphSettings>,
        client: Client,
        windows: Arc<Windows>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            url: endpoint(&settings, "token"),
            place: Place::of(&settings),
            settings,
            client,
            windows,
            clock,
            random,
            held: Mutex::default(),
            dates: Dates::default(),
            ending: Lasting::default(),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// The token in force, or a new one. All tasks that need a new one share one request, and its
    /// failure.
    pub(super) async fn get(&self) -> Result<Token, MeetingError> {
        self.drop_former().await;
        let mut look = self.look();
        if matches!(look, Look::Refused(_)) && self.was_replaced().await {
            look = self.look();
        }
        let (_turn, old) = match look {
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

    /// Has the credential read anew, and a token asked for with it, before the next call. A token that is
    /// in force holds while that fails.
    pub(super) fn reread(&self) {
        let mut held = self.held();
        held.refusal = None;
        if let Some(token) = &mut held.token {
            token.renew = Duration::ZERO;
        }
    }

    /// Remembers that Graph serves nobody with this credential, and why.
    pub(super) fn refuse(&self, text: &str) -> MeetingError {
        let refused = Refused {
            text: text.to_owned(),
            pause: Pause::Slow,
        };
        let mut held = self.held();
        held.token = None;
        held.refusal = Some(self.refusal(refused, None));
        MeetingError::Credential(text.to_owned())
    }

    fn refusal(&self, refused: Refused, fingerprint: Option<String>) -> Refusal {
        let now = self.clock.elapsed();
        let until = match refused.pause {
            Pause::Slow => now + REFUSED + REFUSED.mul_f64(fraction(self.random.as_ref())),
            Pause::Long => now + LOOPED,
            Pause::Replaced => Duration::MAX,
        };
        Refusal {
            text: refused.text,
            until,
            fingerprint,
            look: now + LOOK_AGAIN,
        }
    }

    /// Whether the refused credential is another one by now; looks at most every 30 seconds.
    async fn was_replaced(&self) -> bool {
        let now = self.clock.elapsed();
        {
            let mut held = self.held();
            match &mut held.refusal {
                Some(refusal) if refusal.fingerprint.is_some() && refusal.look <= now => {
                    refusal.look = now + LOOK_AGAIN;
                }
                _ => return false,
            }
        }
        let found = Credential::read(&self.settings).await;
        let found = found.map_or(String::new(), |credential| credential.fingerprint);
        let mut held = self.held();
        let refused = held.refusal.as_ref();
        let refused = refused.and_then(|refusal| refusal.fingerprint.as_ref());
        if refused.is_none_or(|refused| *refused == found) {
            return false;
        }
        held.refusal = None;
        true
    }

    /// Gives up the token of a person in whose place another has signed in; looks at most every 30
    /// seconds.
    async fn drop_former(&self) {
        let Some(place) = &self.place else {
            return;
        };
        let now = self.clock.elapsed();
        {
            let mut held = self.held();
            if held.token.is_none() || now < held.look {
                return;
            }
            held.look = now + LOOK_AGAIN;
        }
        // While nobody is signed in, the token holds as long as it does.
        if let Ok(found) = place.read_aside().await {
            let is_former = |token: &mut Token| token.user.as_ref() != Some(&found.user);
            self.held().token.take_if(is_former);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Look {
        let now = self.clock.elapsed();
        let held = self.held();
        match (&held.token, &held.refusal) {
            (Some(token), _) if now < token.renew => Look::Fresh(token.clone()),
            (Some(token), _) if now < token.expires => Look::Ageing(token.clone()),
            (_, Some(refusal)) if now < refusal.until => {
                Look::Refused(MeetingError::Credential(refusal.text.clone()))
            }
            _ => Look::Nothing(held.rounds),
        }
    }

    /// Takes over what a round of fetching came to. While the `old` token holds, a failure only puts
    /// its renewal off.
    fn settle(
        &self,
        fetched: Result<Token, Failure>,
        old: Option<Token>,
    ) -> Result<Token, MeetingError> {
        let now = self.clock.elapsed();
        let mut held = self.held();
        held.rounds += 1;
        held.failed = None;
        let failure = match fetched {
            Ok(mut token) => {
                token.number = held.rounds;
                held.token = Some(token.clone());
                held.refusal = None;
                held.look = now + LOOK_AGAIN;
                return Ok(token);
            }
            Err(failure) => failure,
        };
        if let Some(mut old) = old.filter(|old| now < old.expires) {
            let refused = matches!(failure, Failure::Refused { .. });
            old.renew = now + if refused { REFUSED } else { RENEW_AGAIN };
            held.token = Some(old.clone());
            return Ok(old);
        }
        match failure {
            Failure::Refused {
                refused,
                fingerprint,
            } => {
                let refusal = self.refusal(refused, Some(fingerprint));
                let error = MeetingError::Credential(refusal.text.clone());
                held.token = None;
                held.refusal = Some(refusal);
                Err(error)
            }
            Failure::Other(error) => {
                held.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn fetch(&self) -> Result<Token, Failure> {
        let unsaved = self.held().unsaved.take();
        if let Some((token, rotation)) = unsaved {
            let token = self.keep(token, rotation).await?;
            if self.clock.elapsed() < token.expires {
                return Ok(token);
            }
        }
        let mut pace = Pace::new(SCOPE, &self.windows, &self.clock, &self.random);
        let (mut read_again, mut go_back) = (false, false);
        loop {
            pass(&self.windows, SCOPE).await?;
            // Given up before waiting for the next try.
            let turn = match &self.place {
                Some(place) => {
                    let turn = place.turn(&self.clock).await;
                    Some(turn.map_err(MeetingError::Transient)?)
                }
                None => None,
            };
            let slow = |text| Refused {
                text,
                pause: Pause::Slow,
            };
            let credential = Credential::read(&self.settings).await;
            let mut credential = credential.map_err(|text| Failure::Refused {
                refused: slow(text),
                fingerprint: String::new(),
            })?;
            let had_gone_back = go_back && credential.go_back();
            let fingerprint = credential.fingerprint.clone();
            let refuse = |refused| Failure::Refused {
                refused,
                fingerprint,
            };
            let claims = Claims {
                audience: self.url.as_str(),
                client_id: &self.settings.client_id,
                jti: &try_id(self.random.as_ref()),
                now: self.clock.now(),
            };
            let presented = match self.settings.sign_in.present(&credential, &claims) {
                Ok(presented) => presented,
                Err(text) => return Err(refuse(slow(text))),
            };
            self.note_end(&presented);
            // A token's life is counted from before it was asked for.
            let asked = self.clock.elapsed();
            let busy = match self.ask(&presented.form).await {
                Verdict::Granted(granted) => {
                    let early = EARLY.min(granted.life / 2);
                    let expires = asked + granted.life;
                    let token = Token {
                        bearer: granted.bearer,
                        user: credential.user().cloned(),
                        number: 0,
                        renew: expires - early,
                        expires,
                    };
                    return match credential.rotation(granted.refresh_token) {
                        Some(rotation) => self.keep(token, rotation).await,
                        None => Ok(token),
                    };
                }
                Verdict::Untimely(_) if !read_again => {
                    read_again = true;
                    continue;
                }
                // The refresh token before may be good yet.
                Verdict::Refused(Refused {
                    pause: Pause::Replaced,
                    ..
                }) if !had_gone_back && credential.go_back() => {
                    go_back = true;
                    continue;
                }
                Verdict::Untimely(refused) | Verdict::Refused(refused) => {
                    return Err(refuse(refused));
                }
                Verdict::Busy(busy) => busy,
            };
            drop(turn);
            pace.again(busy).await?;
        }
    }

    /// Stores what takes the place of a refresh token, before the access token beside it is used.
    async fn keep(&self, token: Token, rotation: Rotation) -> Result<Token, Failure> {
        let Some(place) = &self.place else {
            return Ok(token);
        };
        match place.rotate(rotation.clone()).await {
            Ok(()) => Ok(token),
            Err(text) => {
                self.held().unsaved = Some((token, rotation));
                Err(Failure::Other(MeetingError::Credential(text)))
            }
        }
    }

    /// Reports that the credential will not last long, once for each warning.
    fn note_end(&self, presented: &Presented) {
        match &presented.warning {
            Some(warning) if self.ending.fails((), warning.as_str()) => {
                log::event!(GRAPH_CERTIFICATE, error = %warning);
            }
            Some(_) => {}
            None => drop(self.ending.works(&())),
        }
    }

    fn form(&self, credential: &[(&str, SecretString)]) -> String {
        let sign_in = &self.settings.sign_in;
        let scope = sign_in.scope(&self.settings.graph_url, self.settings.mirrors);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &self.settings.client_id)
            .append_pair("scope", &scope)
            .append_pair("grant_type", sign_in.grant_type());
        for (name, value) in credential {
            form.append_pair(name, value.expose_secret());
        }
        form.finish()
    }

    async fn ask(&self, credential: &[(&str, SecretString)]) -> Verdict {
        let form = self.form(credential);
        let sent = self.clock.now();
        match post(&self.client, &self.url, form, self.random.as_ref()).await {
            Ok(answer) => {
                self.dates.note(sent, &answer.headers, self.clock.now());
                let after = retry_after(&answer.headers, self.clock.now());
                judge(
                    &answer,
                    after,
                    &self.settings.sign_in,
                    &self.settings.tenant,
                )
            }
            Err(error) => Verdict::Busy(Busy {
                text: error.to_string(),
                after: None,
                throttled: false,
            }),
        }
    }
}

/// A number from 0 up to, but not, 1.
fn fraction(random: &dyn Random) -> f64 {
    const STEPS: u32 = 1 << 16;
    let step = u16::try_from(random.next() % u64::from(STEPS)).unwrap_or_default();
    f64::from(step) / f64::from(STEPS)
}
