//! Access tokens by a refresh token (RFC 6749, section 6). Network, disk.
//!
//! One token is shared by all requests, fetched by one task at a time and renewed before it expires.
//! A refresh token that the server gives in place of the configured one is on disk before its access
//! token is used. A refusal that only a person can lift is remembered until the secrets change.

mod answer;
pub(crate) mod kept;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tracing::debug;
use url::{Url, form_urlencoded};

use self::answer::{Verdict, judge};
use self::kept::Kept;
use super::client::{host_of, is_loopback};
use super::windows::retry_after;
use super::{Client, Windows};
use crate::clock::Clock;
use crate::secret::SecretSource;

/// The largest answer of a token endpoint, in bytes.
const LARGEST_ANSWER: usize = 256 * 1024;
/// How long before its end a token is renewed; at most half its life.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// How long a refusal is remembered while the secrets stay the same.
const REFUSED: Duration = Duration::from_secs(15 * 60);
/// When a renewal that failed is tried again while the old token still holds.
const RENEW_AGAIN: Duration = Duration::from_secs(30);

/// What access tokens are had with.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The account, for the Retry-After scope `oauth2:ACCOUNT` and the name of the kept token's file.
    pub account: String,
    /// The token endpoint; https, or plain http where that is allowed or on this machine.
    pub token_url: Url,
    /// The client's id.
    pub client_id: String,
    /// The client's secret, where it has one.
    pub client_secret: Option<SecretSource>,
    /// The configured refresh token.
    pub refresh_token: SecretSource,
    /// The directory where one that takes its place is kept; `None`: not beyond this process.
    pub directory: Option<PathBuf>,
    /// Whether plain http is allowed to other machines than this one.
    pub allow_http: bool,
}

/// Why there is no access token. Names the host, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A person has to act.
    #[error("{0}")]
    Refused(String),
    /// It may pass by itself.
    #[error("{0}")]
    Busy(String),
    /// The server asked to be left alone.
    #[error("{host} asks for no further requests for access tokens before {until}")]
    Throttled {
        /// The token endpoint's host.
        host: String,
        /// Until when.
        until: DateTime<Utc>,
    },
    /// A secret cannot be read, or a kept token not be read or written.
    #[error("{0}")]
    Secret(String),
}

/// An access token, ready for use.
#[derive(Clone)]
pub struct Token {
    /// The value of the Authorization header; marked as sensitive.
    pub bearer: HeaderValue,
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

/// The source of access tokens of one account. Clones share it.
#[derive(Clone)]
pub struct RefreshTokens(Arc<Shared>);

struct Shared {
    grant: Grant,
    host: String,
    scope: String,
    file: Option<PathBuf>,
    client: Client,
    windows: Arc<Windows>,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    /// Held by the one task that fetches.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    /// The refresh token in place of the configured one, as last read or written.
    kept: Option<Kept>,
    /// A token that may not be used before `kept` is on disk.
    unsaved: Option<Token>,
    refused: Option<Refusal>,
    /// How often fetching has ended, one way or the other.
    rounds: u64,
    /// How the last round failed, if it did.
    failed: Option<TokenError>,
}

/// The secrets that were refused, as a fingerprint, until when on the monotonic clock, and why.
struct Refusal {
    secrets: String,
    until: Duration,
    why: String,
}

/// A name for a secret that does not tell it: its SHA-256 in hexadecimal.
fn fingerprint(secret: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(secret.as_bytes()))
}

impl RefreshTokens {
    /// Sets up the source; sends and reads nothing.
    pub fn new(grant: Grant, client: Client, windows: Arc<Windows>, clock: Arc<dyn Clock>) -> Self {
        let directory = grant.directory.as_deref();
        Self(Arc::new(Shared {
            host: host_of(&grant.token_url),
            scope: format!("oauth2:{}", grant.account),
            file: directory.map(|directory| kept::file(directory, &grant.account)),
            grant,
            client,
            windows,
            clock,
            held: Mutex::default(),
            fetching: Arc::default(),
        }))
    }

    /// The token in force, or a new one. All tasks that need a new one share one request, and its
    /// failure. A request for a token goes on when the caller stops waiting: the refresh token that
    /// comes with it would be lost.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self) -> Result<Token, TokenError> {
        let shared = &self.0;
        let (rounds, old) = {
            let held = shared.held();
            match &held.token {
                Some(token) if shared.clock.elapsed() < token.renew => return Ok(token.clone()),
                token => (held.rounds, token.clone()),
            }
        };
        let usable = old.filter(|old| shared.clock.elapsed() < old.expires);
        let turn = match (Arc::clone(&shared.fetching).try_lock_owned(), usable) {
            (Ok(turn), _) => turn,
            // Somebody is renewing it; meanwhile it holds.
            (Err(_), Some(token)) => return Ok(token),
            (Err(_), None) => Arc::clone(&shared.fetching).lock_owned().await,
        };
        {
            let held = shared.held();
            match &held.token {
                Some(token) if shared.clock.elapsed() < token.renew => return Ok(token.clone()),
                _ => {}
            }
            if let Some(error) = held.failed.clone().filter(|_| held.rounds != rounds) {
                return Err(error);
            }
        }
        let shared = Arc::clone(shared);
        let round = tokio::spawn(async move {
            let _turn = turn;
            let fetched = shared.fetch().await;
            shared.settle(fetched)
        });
        round.await.unwrap_or_else(|_| {
            let why = "asking for an access token was broken off; it is tried again later";
            Err(TokenError::Busy(why.to_owned()))
        })
    }

    /// Gives up a token that a server did not accept, unless a newer one has taken its place.
    pub fn discard(&self, token: &Token) {
        let mut held = self.0.held();
        if held
            .token
            .as_ref()
            .is_some_and(|current| current.number == token.number)
        {
            held.token = None;
        }
    }

    /// Has the secrets read anew, and a token asked for with them, before the next use. A token that is in
    /// force holds while that fails.
    pub fn reread(&self) {
        let mut held = self.0.held();
        held.refused = None;
        if let Some(token) = &mut held.token {
            token.renew = Duration::ZERO;
        }
    }

    /// The token endpoint's host, for messages.
    pub fn host(&self) -> &str {
        &self.0.host
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a round of fetching came to. While the old token holds, a failure only puts
    /// its renewal off.
    fn settle(&self, fetched: Result<Token, TokenError>) -> Result<Token, TokenError> {
        let now = self.clock.elapsed();
        let mut held = self.held();
        held.rounds += 1;
        held.failed = None;
        match fetched {
            Ok(mut token) => {
                token.number = held.rounds;
                held.refused = None;
                held.token = Some(token.clone());
                Ok(token)
            }
            Err(error) => {
                if let Some(old) = held.token.as_mut().filter(|old| now < old.expires) {
                    old.renew = now + RENEW_AGAIN;
                    return Ok(old.clone());
                }
                held.token = None;
                held.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn fetch(&self) -> Result<Token, TokenError> {
        let unsaved = {
            let held = self.held();
            held.unsaved.clone().zip(held.kept.clone())
        };
        if let Some((token, kept)) = unsaved {
            self.save(kept).await?;
            self.held().unsaved = None;
            if self.clock.elapsed() < token.expires {
                return Ok(token);
            }
        }
        self.check_url()?;
        let grant = &self.grant;
        let configured = read("the refresh token", &grant.refresh_token).await?;
        let client_secret = match &grant.client_secret {
            Some(source) => Some(read("the client secret", source).await?),
            None => None,
        };
        let identity = fingerprint(configured.expose_secret());
        let refresh_token = match self.kept().await? {
            Some(kept) if kept.configured == identity => kept.token,
            _ => configured,
        };
        let secrets = fingerprint(&format!(
            "{}\n{}",
            refresh_token.expose_secret(),
            client_secret
                .as_ref()
                .map_or("", |secret| secret.expose_secret())
        ));
        let now = self.clock.elapsed();
        if let Some(refusal) = &self.held().refused
            && refusal.secrets == secrets
            && now < refusal.until
        {
            return Err(TokenError::Refused(refusal.why.clone()));
        }
        let request = self.request(&refresh_token, client_secret.as_ref());
        self.windows
            .pass(&self.scope)
            .await
            .map_err(|throttled| self.throttled(throttled.until))?;
        // A token's life is counted from before it was asked for.
        let asked = self.clock.elapsed();
        match self.ask(request).await {
            Verdict::Granted {
                bearer,
                life,
                rotated,
            } => {
                let expires = asked + life;
                let token = Token {
                    bearer,
                    number: 0,
                    renew: expires - EARLY.min(life / 2),
                    expires,
                };
                let rotated =
                    rotated.filter(|new| new.expose_secret() != refresh_token.expose_secret());
                if let Some(rotated) = rotated {
                    let kept = Kept {
                        configured: identity,
                        token: rotated,
                    };
                    {
                        let mut held = self.held();
                        held.kept = Some(kept.clone());
                        held.unsaved = Some(token.clone());
                    }
                    self.save(kept).await?;
                    self.held().unsaved = None;
                }
                Ok(token)
            }
            Verdict::Failed(error) => {
                if let TokenError::Refused(why) = &error {
                    self.held().refused = Some(Refusal {
                        secrets,
                        until: self.clock.elapsed() + REFUSED,
                        why: why.clone(),
                    });
                }
                Err(error)
            }
            Verdict::Wait(wait) => {
                self.windows.close(&self.scope, wait);
                let until = self.windows.until(&self.scope);
                Err(self.throttled(until.unwrap_or_else(|| self.clock.now())))
            }
        }
    }

    fn throttled(&self, until: DateTime<Utc>) -> TokenError {
        TokenError::Throttled {
            host: self.host.clone(),
            until,
        }
    }

    fn check_url(&self) -> Result<(), TokenError> {
        let url = &self.grant.token_url;
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.grant.allow_http || is_loopback(url) => Ok(()),
            _ => Err(TokenError::Refused(format!(
                "{}: no secret is sent by plain http; set `oauth2-token-url` to an https:// address",
                self.host
            ))),
        }
    }

    /// The refresh token that took the configured one's place, if any.
    async fn kept(&self) -> Result<Option<Kept>, TokenError> {
        let Some(path) = self.file.clone() else {
            return Ok(self.held().kept.clone());
        };
        let place = path.display().to_string();
        tokio::task::spawn_blocking(move || kept::load(&path))
            .await
            .unwrap_or_else(|_| Err(std::io::Error::other("the reading was broken off")))
            .map_err(|error| {
                TokenError::Secret(format!(
                    "the kept refresh token {place}: cannot be read ({error}); make it readable for \
                     the user who runs meetbridge, or take it away to go on with the configured one"
                ))
            })
    }

    async fn save(&self, kept: Kept) -> Result<(), TokenError> {
        let Some(path) = self.file.clone() else {
            return Ok(());
        };
        let place = path.display().to_string();
        tokio::task::spawn_blocking(move || kept::save(&path, &kept))
            .await
            .unwrap_or_else(|_| Err(std::io::Error::other("the writing was broken off")))
            .map_err(|error| {
                TokenError::Secret(format!(
                    "the refresh token that takes the place of the configured one cannot be kept in \
                     {place} ({error}); see to the state directory's rights and free space"
                ))
            })
    }

    fn request(
        &self,
        refresh_token: &SecretString,
        client_secret: Option<&SecretString>,
    ) -> Request {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", refresh_token.expose_secret())
            .append_pair("client_id", &self.grant.client_id);
        if let Some(secret) = client_secret {
            form.append_pair("client_secret", secret.expose_secret());
        }
        let mut request = Request::new(Method::POST, self.grant.token_url.clone());
        let headers = request.headers_mut();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(form.finish().into());
        request
    }

    async fn ask(&self, request: Request) -> Verdict {
        match self.client.send(request, LARGEST_ANSWER).await {
            Ok(answer) => {
                let status = answer.status.as_u16();
                debug!(
                    account = self.grant.account,
                    status, "access token asked for"
                );
                let after = retry_after(&answer.headers, self.clock.now());
                judge(&answer, after, &self.host, &self.grant)
            }
            Err(error) => Verdict::Failed(TokenError::Busy(error.to_string())),
        }
    }
}

async fn read(what: &str, source: &SecretSource) -> Result<SecretString, TokenError> {
    let failed = |error| TokenError::Secret(format!("{what}: {error}"));
    source.read().await.map_err(failed)
}

#[cfg(test)]
mod tests;
