//! Signing in to one server as one user. Network (for access tokens), disk (for secrets).
//!
//! A secret is read once and used until the server answers 401; then it is read anew, so that a
//! corrected one is taken up by itself. A refusal is remembered until the secret changes, since
//! servers lock out who tries often.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::Credentials;
use super::challenge::{Challenge, challenges};
use super::digest::Digest;
use crate::clock::{Clock, Random};
use crate::http::client::ClientError;
use crate::http::oauth::{Grant, RefreshTokens, Token, TokenError};
use crate::http::{Client, ClientOptions, Windows};
use crate::secret::SecretSource;

/// How many places in a row may refuse a secret that was accepted before it counts as refused.
const MOST_PLACES: u8 = 3;

/// How long a refusal is remembered while the secret stays the same.
const REFUSED: Duration = Duration::from_secs(15 * 60);
/// How often one request is answered by 401 before it is given up, whatever the answers offer.
const MOST_TRIES: u8 = 8;
/// How often one request goes on with what other requests learned in the meantime.
const MOST_FOLLOWED: u8 = 2;
/// How often one request answers a nonce that is out of date.
const MOST_STALE: u8 = 2;

/// Why nobody is signed in. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The server does not accept the credentials: what to do.
    #[error("{0}")]
    Refused(String),
    /// A secret cannot be had: why, and what to do.
    #[error("{0}")]
    Secret(String),
    /// There is no access token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What a [`Login`] needs.
#[derive(Clone, Debug)]
pub struct LoginSettings {
    /// The account's name.
    pub account: String,
    /// What it signs in with.
    pub credentials: Credentials,
    /// Where refresh tokens that replace the configured one are kept; `None`: not beyond this process.
    pub tokens: Option<PathBuf>,
    /// Whether plain http is allowed to token endpoints on other machines than this one.
    pub allow_http: bool,
}

/// What one request has tried.
#[derive(Debug, Default)]
pub struct Attempt {
    tries: u8,
    followed: u8,
    stale: u8,
    /// [`Held::round`] as it was for the last try.
    round: u64,
    /// The last try was by Digest.
    by_digest: bool,
    /// Basic was refused with the secret in force.
    basic_failed: bool,
    /// A nonce was answered that came within this attempt.
    fresh_nonce: bool,
    /// Basic came after a Digest that failed.
    fell_back: bool,
    token: Option<Token>,
    /// A token of this attempt was given up.
    renewed: bool,
}

/// How an account signs in, and what was learned of its server.
pub struct Login {
    kind: Kind,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    held: Mutex<Held>,
    /// Held by the one task that looks into a 401.
    looking: tokio::sync::Mutex<()>,
}

enum Kind {
    Nothing,
    Password {
        username: String,
        source: SecretSource,
    },
    Bearer {
        source: SecretSource,
    },
    OAuth2 {
        source: SecretSource,
        tokens: RefreshTokens,
    },
}

#[derive(Default)]
struct Held {
    /// Counts what was learned.
    round: u64,
    secret: Option<SecretString>,
    /// How a password is shown; `None`: by Basic.
    digest: Option<Digest>,
    /// A Digest failed where Basic was let in.
    digest_fails: bool,
    refused: Option<Refusal>,
    /// The secret was accepted before.
    let_in: bool,
    /// How often it was refused since.
    refusals: u8,
}

/// A secret that was refused, until when on the monotonic clock, and why.
struct Refusal {
    secret: SecretString,
    until: Duration,
    why: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Nothing => "Login(nothing)",
            Kind::Password { .. } => "Login(password)",
            Kind::Bearer { .. } => "Login(bearer)",
            Kind::OAuth2 { .. } => "Login(oauth2)",
        })
    }
}

impl Login {
    /// Begins without knowing the server; reads and sends nothing. `options` are for the token
    /// endpoint, which is shown no client certificate.
    ///
    /// # Errors
    /// When there is no client for the token endpoint.
    pub fn new(
        settings: LoginSettings,
        options: &ClientOptions,
        windows: Arc<Windows>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ClientError> {
        let kind = match settings.credentials {
            Credentials::None => Kind::Nothing,
            Credentials::Password { username, password } => Kind::Password {
                username,
                source: password,
            },
            Credentials::Bearer { token } => Kind::Bearer { source: token },
            Credentials::OAuth2 {
                token_url,
                client_id,
                client_secret,
                refresh_token,
            } => {
                let client = Client::new(&ClientOptions {
                    identity: None,
                    ..options.clone()
                })?;
                let grant = Grant {
                    account: settings.account,
                    token_url,
                    client_id,
                    client_secret,
                    refresh_token: refresh_token.clone(),
                    directory: settings.tokens,
                    allow_http: settings.allow_http,
                };
                Kind::OAuth2 {
                    source: refresh_token,
                    tokens: RefreshTokens::new(grant, client, windows, clock.clone()),
                }
            }
        };
        Ok(Self {
            kind,
            clock,
            random,
            held: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        })
    }

    /// Has the secret read anew before the next try, and what was refused tried again.
    pub fn reread(&self) {
        if let Kind::OAuth2 { tokens, .. } = &self.kind {
            tokens.reread();
        }
        let mut held = self.held();
        held.round += 1;
        held.secret = None;
        held.refused = None;
    }

    /// The Authorization header of the next try; `None` without credentials.
    ///
    /// # Errors
    /// When there is none, or when it was refused before and nothing has changed since.
    pub async fn authorize(
        &self,
        attempt: &mut Attempt,
        method: &Method,
        url: &Url,
    ) -> Result<Option<HeaderValue>, LoginError> {
        self.respect_refusal().await?;
        let header = match &self.kind {
            Kind::Nothing => return Ok(None),
            Kind::OAuth2 { tokens, .. } => {
                attempt.round = self.held().round;
                let token = tokens.get().await?;
                attempt.token = Some(token.clone());
                return Ok(Some(token.bearer));
            }
            Kind::Bearer { source } => {
                let secret = self.secret(attempt, source).await?;
                HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret())).ok()
            }
            Kind::Password { username, source } => {
                let secret = self.secret(attempt, source).await?;
                let mut held = self.held();
                attempt.by_digest = held.digest.is_some();
                match &mut held.digest {
                    Some(digest) => digest.respond(
                        username,
                        secret.expose_secret(),
                        method.as_str(),
                        &url[url::Position::BeforePath..url::Position::AfterQuery],
                        self.random.next(),
                    ),
                    None => {
                        let pair = format!("{username}:{}", secret.expose_secret());
                        HeaderValue::from_str(&format!("Basic {}", BASE64.encode(pair.as_bytes())))
                            .ok()
                    }
                }
            }
        };
        let mut header = header.ok_or_else(|| {
            LoginError::Secret(match self.kind.source() {
                Some(source) => format!(
                    "{source}: holds a character that cannot stand in a request (or the user's name \
                     does); put the secret there as one line"
                ),
                None => "the user's name cannot stand in a request".to_owned(),
            })
        })?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    /// Takes note that the server let the last try in and did what it asked.
    pub fn accepted(&self, attempt: &Attempt) {
        let mut held = self.held();
        held.let_in = true;
        held.refusals = 0;
        if attempt.fell_back {
            held.digest_fails = true;
        }
    }

    /// Takes note of a 401 with these headers; on success another try is worthwhile.
    ///
    /// # Errors
    /// When it is not: the server does not accept the credentials.
    pub async fn rejected(
        &self,
        attempt: &mut Attempt,
        headers: &HeaderMap,
    ) -> Result<(), LoginError> {
        attempt.tries += 1;
        let offered = challenges(headers);
        let Some(source) = self.kind.source() else {
            return Err(LoginError::Refused(format!(
                "asks to be signed in to{}; set `username` and `password-file`, or \
                 `bearer-token-file`, or `oauth2-token-url` with its client and refresh token",
                by_schemes(&offered)
            )));
        };
        let _turn = self.looking.lock().await;
        {
            let held = self.held();
            if let Some(refusal) = &held.refused {
                return Err(LoginError::Refused(refusal.why.clone()));
            }
            if held.round != attempt.round && attempt.followed < MOST_FOLLOWED {
                attempt.followed += 1;
                return Ok(());
            }
        }
        if let (Kind::OAuth2 { tokens, .. }, Some(token)) = (&self.kind, &attempt.token)
            && !attempt.renewed
        {
            attempt.renewed = true;
            tokens.discard(token);
            return Ok(());
        }
        let fresh = read(source).await?;
        let mut held = self.held();
        held.round += 1;
        if attempt.tries < MOST_TRIES {
            if !self.is_oauth2() && held.holds_another(&fresh) {
                held.secret = Some(fresh);
                held.let_in = false;
                attempt.basic_failed = false;
                attempt.fresh_nonce = false;
                return Ok(());
            }
            if self.is_password() && held.another_way(attempt, &offered) {
                return Ok(());
            }
        }
        let why = self.why(source, &offered);
        held.secret = None;
        held.refusals = held.refusals.saturating_add(1);
        // Some servers answer 401 for what belongs to somebody else.
        if !held.let_in || held.refusals >= MOST_PLACES {
            held.let_in = false;
            held.refused = Some(Refusal {
                secret: fresh,
                until: self.clock.elapsed() + REFUSED,
                why: why.clone(),
            });
        }
        Err(LoginError::Refused(why))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_password(&self) -> bool {
        matches!(self.kind, Kind::Password { .. })
    }

    fn is_oauth2(&self) -> bool {
        matches!(self.kind, Kind::OAuth2 { .. })
    }

    /// Lets nothing through that was refused, unless the secret changed or enough time has passed.
    async fn respect_refusal(&self) -> Result<(), LoginError> {
        let now = self.clock.elapsed();
        let Some(source) = self.kind.source() else {
            return Ok(());
        };
        {
            let mut held = self.held();
            held.refused.take_if(|refusal| refusal.until <= now);
            if held.refused.is_none() {
                return Ok(());
            }
        }
        let fresh = read(source).await?;
        let mut held = self.held();
        match &held.refused {
            Some(refusal) if refusal.secret.expose_secret() == fresh.expose_secret() => {
                Err(LoginError::Refused(refusal.why.clone()))
            }
            _ => {
                held.refused = None;
                held.round += 1;
                held.secret = Some(fresh);
                Ok(())
            }
        }
    }

    /// The secret in force.
    async fn secret(
        &self,
        attempt: &mut Attempt,
        source: &SecretSource,
    ) -> Result<SecretString, LoginError> {
        {
            let held = self.held();
            attempt.round = held.round;
            if let Some(secret) = &held.secret {
                return Ok(secret.clone());
            }
        }
        let fresh = read(source).await?;
        let mut held = self.held();
        attempt.round = held.round;
        Ok(held.secret.get_or_insert(fresh).clone())
    }

    /// Why the server refuses, and what to do.
    fn why(&self, source: &SecretSource, offered: &[Challenge]) -> String {
        let offers = |scheme: &str| offered.iter().any(|one| one.scheme == scheme);
        match &self.kind {
            Kind::OAuth2 { tokens, .. } => format!(
                "does not accept the access tokens that {} gives (HTTP 401); sign in anew with access \
                 to calendars and put the new refresh token into {source}",
                tokens.host()
            ),
            Kind::Nothing | Kind::Bearer { .. } => format!(
                "does not accept the bearer token (HTTP 401); put one that is valid into {source}"
            ),
            Kind::Password { .. } if offers("x-mobileme-authtoken") => format!(
                "does not accept the user's name or password (HTTP 401); Apple wants an app-specific \
                 password, which is made in the settings of the Apple account; put one into {source}"
            ),
            Kind::Password { .. }
                if !offered.is_empty()
                    && !offers("basic")
                    && Digest::offered(offered).is_none() =>
            {
                format!(
                    "takes no password{}; set `bearer-token-file`, or `oauth2-token-url` with its \
                     client and refresh token, in place of `username`",
                    by_schemes(offered)
                )
            }
            Kind::Password { .. } => format!(
                "does not accept the user's name or password (HTTP 401); correct `username`, or put \
                 the right password into {source} (an app password, where the server wants one)"
            ),
        }
    }
}

impl Kind {
    /// Where the secret is that a person would correct.
    fn source(&self) -> Option<&SecretSource> {
        match self {
            Self::Nothing => None,
            Self::Password { source, .. }
            | Self::Bearer { source }
            | Self::OAuth2 { source, .. } => Some(source),
        }
    }
}

impl Held {
    fn holds_another(&self, fresh: &SecretString) -> bool {
        self.secret
            .as_ref()
            .is_some_and(|held| held.expose_secret() != fresh.expose_secret())
    }

    /// Finds another way to show the same password, if the challenges offer one.
    fn another_way(&mut self, attempt: &mut Attempt, offered: &[Challenge]) -> bool {
        if !attempt.by_digest {
            attempt.basic_failed = true;
        }
        if let Some(digest) = Digest::offered(offered).filter(|_| !self.digest_fails) {
            let stale = attempt.by_digest && digest.is_stale() && attempt.stale < MOST_STALE;
            if stale || !attempt.fresh_nonce {
                attempt.stale += u8::from(stale);
                attempt.fresh_nonce = true;
                self.digest = Some(digest);
                return true;
            }
        }
        let offers_basic = offered.iter().any(|one| one.scheme == "basic");
        if attempt.by_digest && offers_basic && !attempt.basic_failed {
            attempt.fell_back = true;
            self.digest = None;
            return true;
        }
        false
    }
}

async fn read(source: &SecretSource) -> Result<SecretString, LoginError> {
    let failed = |error: crate::secret::SecretError| LoginError::Secret(error.to_string());
    source.read().await.map_err(failed)
}

/// The offered schemes as part of a sentence; nothing when there are none to show.
fn by_schemes(offered: &[Challenge]) -> String {
    let mut names: Vec<_> = offered
        .iter()
        .map(|one| one.scheme.as_str())
        .filter(|name| name.len() <= 32)
        .collect();
    names.dedup();
    match names.is_empty() {
        true => String::new(),
        false => format!(" (HTTP 401, it offers {})", names.join(", ")),
    }
}
