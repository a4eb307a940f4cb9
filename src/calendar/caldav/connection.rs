//! Requests of one account. Network.
//!
//! Every request passes the account's Retry-After window, is signed in, and follows redirects within
//! the account's site; the credentials go nowhere else. What is not an answer is one clear text that
//! names the host and what to do.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use memchr::memmem;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use tracing::debug;
use url::Url;

use crate::calendar::{Again, ReadError};
use crate::clock::{Clock, Random};
use crate::http::auth::{Attempt, Login, LoginError, LoginSettings};
use crate::http::client::{host_of, is_loopback};
use crate::http::oauth::TokenError;
use crate::http::site::{bare, location, same_site};
use crate::http::windows::{Throttled, retry_after};
use crate::http::{Answer, Client, ClientError, ClientOptions, Credentials, SendError, Windows};

/// How many redirects one request follows.
const REDIRECTS: usize = 5;
/// How long an account rests that is over its quota and is not told for how long.
const OVER_QUOTA: Duration = Duration::from_secs(60);
/// What Google names in the body of a 403 that means 429.
const USAGE_LIMITS: &[u8] = b"usageLimits";

/// What an account's requests need.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// The account's name, for messages and the Retry-After scope `caldav:NAME`.
    pub name: String,
    /// Where the account is configured to be. Requests, and with them the credentials, go only to
    /// hosts of the same registrable domain, by https; by plain http only to this very host.
    pub url: Url,
    /// What it is signed in to with.
    pub credentials: Credentials,
    /// How it is reached, with its CA file and client certificate.
    pub client: ClientOptions,
    /// Whether plain http is allowed to other machines than this one.
    pub allow_http: bool,
    /// The state directory's `tokens/`, where refresh tokens that replace the configured one are
    /// kept, in a file named by the account; `None`: not beyond this process.
    pub tokens: Option<PathBuf>,
}

/// One request, as often as it is sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, PUT, PROPFIND, REPORT and so on.
    pub method: Method,
    /// Where to; on the account's site.
    pub url: Url,
    /// Its headers, but those of signing in, of the body's length, and Accept-Encoding.
    pub headers: HeaderMap,
    /// Its body; empty for none.
    pub body: Vec<u8>,
    /// The largest body of the answer, in bytes after decompression.
    pub limit: usize,
    /// Whether the answer must not be compressed, for its entity tag's sake; else gzip.
    pub identity: bool,
    /// Whether it may be sent a second time when nobody knows what became of the first.
    pub repeatable: bool,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Where it came from after redirects: hrefs are resolved against it (RFC 3986, 5.1.3).
    pub url: Url,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, decompressed. Complete when the status is a success; else as much as came and fits.
    pub body: Vec<u8>,
}

/// Why there is no reply. Every status is a [`Reply`] but 401, redirects that are followed or
/// refused, 429 and 503 with `Retry-After`, and Google's 403 for 429.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DavError {
    /// The server does not let this account in.
    #[error("{host}: {why}")]
    Credentials {
        /// The server.
        host: String,
        /// What it refuses and what to do.
        why: String,
    },
    /// The way leads out of the account's site or to plain http, or in a circle; not followed.
    #[error("{host}: {why}")]
    Redirect {
        /// The account's server.
        host: String,
        /// Where it leads, as a host, and what to do.
        why: String,
    },
    /// The server asked to be left alone for a while.
    #[error("{host} asks for no further requests before {until}; they go on then")]
    Throttled {
        /// The server.
        host: String,
        /// Until when.
        until: DateTime<Utc>,
    },
    /// No complete answer came.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A secret that signing in needs cannot be had; nothing was sent.
    #[error("{host}: cannot be signed in to: {why}")]
    Secret {
        /// The server.
        host: String,
        /// Which one, why, and what to do.
        why: String,
    },
    /// There is no access token; nothing was sent.
    #[error("{host}: {why}")]
    Token {
        /// The account's server.
        host: String,
        /// Why, and what to do.
        why: String,
        /// How soon it is worth another try.
        again: Again,
    },
}

impl DavError {
    /// How soon it is worth another try.
    pub fn again(&self) -> Again {
        match self {
            Self::Credentials { .. } | Self::Redirect { .. } => Again::Slowly,
            Self::Throttled { until, .. } => Again::At(*until),
            Self::Send(_) | Self::Secret { .. } => Again::Soon,
            Self::Token { again, .. } => *again,
        }
    }

    /// Whether the request may have had its effect.
    pub fn maybe_done(&self) -> bool {
        matches!(self, Self::Send(error) if !error.never_sent())
    }

    /// As why `what` (the account or collection) could not be read.
    pub fn into_read_error(self, what: &str) -> ReadError {
        ReadError::Server {
            what: what.to_owned(),
            hint: self.to_string(),
            again: self.again(),
        }
    }
}

/// Sends the requests of one account, over one pool of connections.
pub struct Connection {
    name: String,
    home: Url,
    host: String,
    address: Option<String>,
    allow_http: bool,
    /// The account's Retry-After window.
    scope: String,
    client: Client,
    login: Login,
    windows: Arc<Windows>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} at {})", self.name, self.host)
    }
}

impl Connection {
    /// Sets up what the account needs; sends nothing.
    ///
    /// # Errors
    /// When the CA file, the client certificate or the proxy cannot be used.
    pub fn new(
        settings: ConnectionSettings,
        windows: Arc<Windows>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ClientError> {
        let address = match &settings.credentials {
            Credentials::Password { username, .. } if username.contains('@') => {
                Some(username.clone())
            }
            _ => None,
        };
        let client = Client::new(&settings.client)?;
        let login = LoginSettings {
            account: settings.name.clone(),
            credentials: settings.credentials,
            tokens: settings.tokens,
            allow_http: settings.allow_http,
        };
        let login = Login::new(
            login,
            &settings.client,
            windows.clone(),
            clock.clone(),
            random,
        )?;
        Ok(Self {
            host: host_of(&settings.url),
            scope: format!("caldav:{}", settings.name),
            name: settings.name,
            home: settings.url,
            address,
            allow_http: settings.allow_http,
            client,
            login,
            windows,
            clock,
        })
    }

    /// Has the secrets read anew before they are used next.
    pub(super) fn reread_secrets(&self) {
        self.login.reread();
    }

    /// The account's server, for messages.
    pub fn host(&self) -> String {
        self.host.clone()
    }

    /// The user's name, when it is an address.
    pub fn addresses_hint(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Sends one request and reads its answer; signs in, and follows redirects with method, body and
    /// credentials kept (RFC 4918, 8.3, asks clients to).
    ///
    /// A request that is `repeatable` is sent once more when the server closed the connection in
    /// place of an answer.
    ///
    /// # Errors
    /// When there is no answer to use: see [`DavError`].
    pub async fn send(&self, request: &Request) -> Result<Reply, DavError> {
        let mut url = bare(request.url.clone());
        self.permit(&url)?;
        for _ in 0..=REDIRECTS {
            let answer = self.signed_in(request, &url).await?;
            let Some(next) = redirect(&request.method, &url, &answer) else {
                return Ok(Reply {
                    url,
                    status: answer.status,
                    headers: answer.headers,
                    body: answer.body,
                });
            };
            debug!(account = self.name, host = host_of(&next), "redirected");
            self.permit(&next)?;
            url = next;
        }
        Err(DavError::Redirect {
            host: self.host.clone(),
            why: format!(
                "redirects more than {REDIRECTS} times; set `url` to the address where the \
                 calendars are"
            ),
        })
    }

    /// Whether the account's requests may go to `url`.
    fn permit(&self, url: &Url) -> Result<(), DavError> {
        let target = host_of(url);
        let refuse = |why| {
            Err(DavError::Redirect {
                host: self.host.clone(),
                why,
            })
        };
        if !same_site(&self.home, url) {
            return refuse(format!(
                "leads to {target}, another site, which is given no credentials; if the account is \
                 there, set `url` to its address there"
            ));
        }
        let plain = self.home.scheme() == "http"
            && self.home.host() == url.host()
            && (self.allow_http || is_loopback(url));
        match url.scheme() {
            "https" => Ok(()),
            "http" if plain => Ok(()),
            "http" => refuse(format!(
                "leads to {target} by plain http, which everybody on the way can read; set `url` to \
                 an https:// address (the server may have to be told its public address)"
            )),
            _ => refuse(format!(
                "leads to {target} by something other than https; set `url` to an https:// address"
            )),
        }
    }

    /// Sends until the server lets the account in, or it is certain that it does not.
    async fn signed_in(&self, request: &Request, url: &Url) -> Result<Answer, DavError> {
        let mut attempt = Attempt::default();
        loop {
            let authorization = self
                .login
                .authorize(&mut attempt, &request.method, url)
                .await
                .map_err(|error| self.refusal(error))?;
            let answer = self.once(request, url, authorization).await?;
            if answer.status.is_success() {
                self.login.accepted(&attempt);
            }
            if answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            self.login
                .rejected(&mut attempt, &answer.headers)
                .await
                .map_err(|error| self.refusal(error))?;
        }
    }

    /// Sends as it is, and a second time where that is called for.
    async fn once(
        &self,
        request: &Request,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, DavError> {
        let mut repeats = usize::from(request.repeatable);
        let answer = loop {
            let out = outgoing(request, url, authorization.as_ref());
            self.windows
                .pass(&self.scope)
                .await
                .map_err(|Throttled { until }| self.throttled(until))?;
            match self.client.send(out, request.limit).await {
                Err(SendError::Broken {
                    answered: false, ..
                }) if repeats > 0 => repeats -= 1,
                other => break other?,
            }
        };
        match self.asked_to_wait(&answer) {
            Some(wait) => {
                self.windows.close(&self.scope, wait);
                let until = self.windows.until(&self.scope);
                Err(self.throttled(until.unwrap_or_else(|| self.clock.now())))
            }
            None => Ok(answer),
        }
    }

    fn asked_to_wait(&self, answer: &Answer) -> Option<Duration> {
        let asked = retry_after(&answer.headers, self.clock.now());
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => asked,
            StatusCode::FORBIDDEN if memmem::find(&answer.body, USAGE_LIMITS).is_some() => {
                asked.or(Some(OVER_QUOTA))
            }
            _ => None,
        }
    }

    fn throttled(&self, until: DateTime<Utc>) -> DavError {
        DavError::Throttled {
            host: self.host.clone(),
            until,
        }
    }

    fn refusal(&self, error: LoginError) -> DavError {
        let host = self.host.clone();
        match error {
            LoginError::Refused(why) => DavError::Credentials { host, why },
            LoginError::Secret(why) | LoginError::Token(TokenError::Secret(why)) => {
                DavError::Secret { host, why }
            }
            LoginError::Token(error) => DavError::Token {
                host,
                why: error.to_string(),
                again: match error {
                    TokenError::Refused(_) => Again::Slowly,
                    TokenError::Throttled { until, .. } => Again::At(until),
                    TokenError::Busy(_) | TokenError::Secret(_) => Again::Soon,
                },
            },
        }
    }
}

fn outgoing(request: &Request, url: &Url, authorization: Option<&HeaderValue>) -> reqwest::Request {
    let mut out = reqwest::Request::new(request.method.clone(), url.clone());
    *out.headers_mut() = request.headers.clone();
    if let Some(value) = authorization {
        out.headers_mut().insert(AUTHORIZATION, value.clone());
    }
    if request.identity {
        let identity = HeaderValue::from_static("identity");
        out.headers_mut().insert(ACCEPT_ENCODING, identity);
    }
    if !request.body.is_empty() {
        *out.body_mut() = Some(request.body.clone().into());
    }
    out
}

/// Where an answer sends its request. 303 says that the request is done and its outcome elsewhere
/// (RFC 9110, 15.4.4), so only one without effect is sent on.
fn redirect(method: &Method, url: &Url, answer: &Answer) -> Option<Url> {
    let without_effect = matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT"
    );
    match answer.status.as_u16() {
        301 | 302 | 307 | 308 => {}
        303 if without_effect => {}
        _ => return None,
    }
    location(url, &answer.headers)
}

#[cfg(test)]
mod tests;
