//! Requests to a feed and to the place where it is published. Network.
//!
//! A request passes the calendar's Retry-After window, is signed in at its own host only, and follows
//! redirects within the site, by https. What is not a whole calendar is one clear text that names the
//! host and what to do: never the path or the query, which may be a secret.

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Method, StatusCode};
use url::Url;

use super::body::{Body, Spool};
use super::pace::max_age;
use crate::calendar::{Again, ReadError};
use crate::clock::{Clock, Random};
use crate::http::auth::{Attempt, Login, LoginError, LoginSettings};
use crate::http::client::{host_of, is_loopback};
use crate::http::oauth::TokenError;
use crate::http::site::{bare, location, same_site};
use crate::http::windows::{Throttled, retry_after};
use crate::http::{Answer, Client, ClientError, ClientOptions, Credentials, SendError, Windows};
use crate::ical::document::MAX_BYTES;
use crate::model::Escaped;

/// How many redirects one request follows.
const REDIRECTS: usize = 5;
/// How much of an answer is read that is no calendar.
const SMALL: usize = 64 << 10;
/// What a place on the web needs.
#[derive(Clone)]
pub struct PlaceSettings {
    /// The Retry-After scope: one for each place.
    pub scope: String,
    /// Where it is. Its query may be a secret.
    pub url: Url,
    /// What it is signed in to with; shown to its own host only.
    pub credentials: Credentials,
    /// How it is reached.
    pub client: ClientOptions,
    /// Whether plain http is allowed to another machine than this one.
    pub allow_http: bool,
}

impl fmt::Debug for PlaceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlaceSettings({} at {})", self.scope, host_of(&self.url))
    }
}

/// One place on the web.
pub(super) struct Place {
    scope: String,
    url: Url,
    host: String,
    allow_http: bool,
    /// Where calendars are kept that were fetched.
    directory: PathBuf,
    client: Client,
    login: Login,
    windows: Arc<Windows>,
    clock: Arc<dyn Clock>,
}

/// By what a later fetch asks whether anything changed (RFC 9110, 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    pub(super) etag: Option<HeaderValue>,
    pub(super) modified: Option<HeaderValue>,
}

/// What a fetch brought.
pub(super) enum Fetched {
    /// What the validators stand for.
    NotModified,
    /// A whole calendar.
    Body {
        body: Body,
        validators: Validators,
        /// For how long the server takes the answer to be good.
        fresh: Option<Duration>,
    },
}

/// Why a request came to nothing. Names the host and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// There is an answer, and it is of no use, or the way to it is not taken.
    #[error("{host}: {why}")]
    Refused {
        host: String,
        why: String,
        again: Again,
    },
    /// The server asked to be left alone for a while.
    #[error("{host} asks for no further requests before {until}; they go on then")]
    Throttled { host: String, until: DateTime<Utc> },
    /// No complete answer came.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl FetchError {
    pub(super) fn again(&self) -> Again {
        match self {
            Self::Refused { again, .. } => *again,
            Self::Throttled { until, .. } => Again::At(*until),
            Self::Send(_) => Again::Soon,
        }
    }

    /// Whether the request may have had its effect.
    pub(super) fn maybe_done(&self) -> bool {
        matches!(self, Self::Send(error) if !error.never_sent())
    }

    /// As why `what`, a calendar, could not be read.
    pub(super) fn into_read_error(self, what: &str) -> ReadError {
        ReadError::Server {
            what: what.to_owned(),
            hint: self.to_string(),
            again: self.again(),
        }
    }
}

/// One request, as often as it is sent.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// Sent as it is read from its file, with its length and not in chunks; from its beginning each time.
    pub(super) body: Option<Arc<Body>>,
    /// Whether the answer must not be compressed, for its entity tag's sake.
    pub(super) identity: bool,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({} at {})", self.scope, self.host)
    }
}

impl Place {
    /// Sets up what requests need; sends nothing.
    ///
    /// # Errors
    /// When a CA file or the proxy cannot be used.
    pub(super) fn new(
        settings: PlaceSettings,
        directory: PathBuf,
        windows: Arc<Windows>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ClientError> {
        let login = LoginSettings {
            account: settings.scope.clone(),
            credentials: settings.credentials,
            tokens: None,
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
            scope: settings.scope,
            url: bare(settings.url),
            allow_http: settings.allow_http,
            directory,
            client: Client::new(&settings.client)?,
            login,
            windows,
            clock,
        })
    }

    /// Has the secrets read anew before they are used next.
    pub(super) fn reread_secrets(&self) {
        self.login.reread();
    }

    /// A body to be sent, kept where calendars are that were fetched.
    pub(super) fn keep(
        &self,
        fill: impl FnOnce(&mut Spool) -> io::Result<()>,
    ) -> io::Result<Arc<Body>> {
        let mut spool = Spool::new(&self.directory)?;
        fill(&mut spool)?;
        Ok(Arc::new(spool.finish()))
    }

    /// Its host, for messages.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Fetches the calendar, unless it is still what `known` stands for.
    pub(super) async fn fetch(
        &self,
        known: &Validators,
        identity: bool,
    ) -> Result<Fetched, FetchError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/calendar, */*;q=0.5"));
        let asked = [
            (IF_NONE_MATCH, &known.etag),
            (IF_MODIFIED_SINCE, &known.modified),
        ];
        for (name, value) in asked {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        let request = Request {
            method: Method::GET,
            headers,
            body: None,
            identity,
        };
        let mut kept = None;
        let answer = self.follow(&request, Some(&mut kept)).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if *known != Validators::default() => {
                return Ok(Fetched::NotModified);
            }
            _ => return Err(self.status(&answer)),
        }
        let Some(body) = kept else {
            return Err(self.status(&answer));
        };
        self.whole(&answer, &body)?;
        Ok(Fetched::Body {
            fresh: max_age(&answer.headers),
            validators: Validators::of(&answer.headers),
            body,
        })
    }

    /// By what it is known what stands there, calendar or not: `None` for nothing, a weak one where the
    /// server names none.
    pub(super) async fn etag(&self) -> Result<Option<HeaderValue>, FetchError> {
        let request = Request {
            method: Method::GET,
            headers: HeaderMap::new(),
            body: None,
            identity: true,
        };
        let answer = self.send(&request).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status if status.is_success() => {
                let none = HeaderValue::from_static("W/\"\"");
                Ok(Some(answer.headers.get(ETAG).cloned().unwrap_or(none)))
            }
            _ => Err(self.status(&answer)),
        }
    }

    /// Sends a request, signed in, and follows where it is sent on to.
    pub(super) async fn send(&self, request: &Request) -> Result<Answer, FetchError> {
        self.follow(request, None).await
    }

    /// The same; what comes with 200 goes into `kept`, where that is given.
    async fn follow(
        &self,
        request: &Request,
        mut kept: Option<&mut Option<Body>>,
    ) -> Result<Answer, FetchError> {
        let mut url = self.url.clone();
        self.permit(&url)?;
        for _ in 0..=REDIRECTS {
            let answer = self.signed_in(request, &url, kept.as_deref_mut()).await?;
            let sent_on = match answer.status.as_u16() {
                301 | 302 | 307 | 308 => true,
                303 => request.method == Method::GET,
                _ => false,
            };
            let next = location(&url, &answer.headers).filter(|_| sent_on);
            let Some(next) = next else { return Ok(answer) };
            self.permit(&next)?;
            url = next;
        }
        let why = format!(
            "redirects more than {REDIRECTS} times; set `url` to the address where the calendar is"
        );
        Err(self.refused(why, Again::Slowly))
    }

    /// Whether a request may go to `url`.
    fn permit(&self, url: &Url) -> Result<(), FetchError> {
        let target = host_of(url);
        let why = if !same_site(&self.url, url) {
            format!(
                "leads to {target}, another site, which is not followed; if the calendar is there, \
                 set `url` to its address there"
            )
        } else {
            let plain = self.url.scheme() == "http"
                && self.url.host() == url.host()
                && (self.allow_http || is_loopback(url));
            match url.scheme() {
                "https" => return Ok(()),
                "http" if plain => return Ok(()),
                _ => format!(
                    "leads to {target} by something other than https, which everybody on the way can \
                     read; set `url` to an https:// address"
                ),
            }
        };
        Err(self.refused(why, Again::Slowly))
    }

    /// Sends until the server lets us in, or it is certain that it does not.
    async fn signed_in(
        &self,
        request: &Request,
        url: &Url,
        mut kept: Option<&mut Option<Body>>,
    ) -> Result<Answer, FetchError> {
        let mut attempt = Attempt::default();
        let own = self.is_own(url);
        loop {
            let authorization = match own {
                true => self
                    .login
                    .authorize(&mut attempt, &request.method, url)
                    .await
                    .map_err(|error| self.not_let_in(error))?,
                false => None,
            };
            let kept = kept.as_deref_mut();
            let answer = self.once(request, url, authorization, kept).await?;
            if own && answer.status.is_success() {
                self.login.accepted(&attempt);
            }
            if !own || answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            self.login
                .rejected(&mut attempt, &answer.headers)
                .await
                .map_err(|error| self.not_let_in(error))?;
        }
    }

    /// Whether the credentials are for this URL: its host and port are those that are configured, or
    /// those of https in their place.
    fn is_own(&self, url: &Url) -> bool {
        let ports = (
            self.url.port_or_known_default(),
            url.port_or_known_default(),
        );
        let upgraded = self.url.scheme() == "http" && ports == (Some(80), Some(443));
        self.url.host() == url.host() && (ports.0 == ports.1 || upgraded)
    }

    async fn once(
        &self,
        request: &Request,
        url: &Url,
        authorization: Option<HeaderValue>,
        mut kept: Option<&mut Option<Body>>,
    ) -> Result<Answer, FetchError> {
        let mut repeats = usize::from(request.method == Method::GET);
        let answer = loop {
            let mut out = reqwest::Request::new(request.method.clone(), url.clone());
            *out.headers_mut() = request.headers.clone();
            if let Some(value) = &authorization {
                out.headers_mut().insert(AUTHORIZATION, value.clone());
            }
            if request.identity {
                let identity = HeaderValue::from_static("identity");
                out.headers_mut().insert(ACCEPT_ENCODING, identity);
            }
            if let Some(body) = &request.body {
                out.headers_mut().insert(CONTENT_LENGTH, body.len().into());
                *out.body_mut() = Some(reqwest::Body::wrap_stream(body.stream()));
            }
            self.windows
                .pass(&self.scope)
                .await
                .map_err(|Throttled { until }| self.throttled(until))?;
            let limit = match request.method == Method::GET {
                true => MAX_BYTES,
                false => SMALL,
            };
            match self.receive(out, limit, kept.as_deref_mut()).await {
                Err(FetchError::Send(SendError::Broken {
                    answered: false, ..
                })) if repeats > 0 => repeats -= 1,
                Err(FetchError::Send(SendError::TooLarge { .. })) => {
                    let why = format!(
                        "answered with more than {} MiB; split the calendar into smaller feeds",
                        limit >> 20
                    );
                    return Err(self.refused(why, Again::Slowly));
                }
                other => break other?,
            }
        };
        let busy = matches!(
            answer.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let wait = retry_after(&answer.headers, self.clock.now()).filter(|_| busy);
        if let Some(wait) = wait {
            self.windows.close(&self.scope, wait);
            let until = self.windows.until(&self.scope);
            return Err(self.throttled(until.unwrap_or_else(|| self.clock.now())));
        }
        Ok(answer)
    }

    /// Sends a request and reads its answer, the body of a success into a file where that is wanted.
    async fn receive(
        &self,
        request: reqwest::Request,
        limit: usize,
        kept: Option<&mut Option<Body>>,
    ) -> Result<Answer, FetchError> {
        let incoming = self.client.begin(request).await?;
        let kept = match kept {
            Some(kept) if incoming.status == StatusCode::OK => kept,
            _ => return Ok(incoming.whole(limit).await?),
        };
        let fault = |error: io::Error| {
            let why = format!(
                "answered, and the answer cannot be kept in {}: {error}; make room, or let the user \
                 who runs meetbridge write there",
                Escaped(&self.directory.to_string_lossy())
            );
            self.refused(why, Again::Soon)
        };
        let mut spool = Spool::new(&self.directory).map_err(fault)?;
        let mut failed = None;
        let read = incoming.into(limit, |chunk| match spool.write_all(chunk) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        let answer = read.await?;
        if let Some(error) = failed {
            return Err(fault(error));
        }
        *kept = Some(spool.finish());
        Ok(answer)
    }

    pub(super) fn refused(&self, why: impl Into<String>, again: Again) -> FetchError {
        FetchError::Refused {
            host: self.host.clone(),
            why: why.into(),
            again,
        }
    }

    fn throttled(&self, until: DateTime<Utc>) -> FetchError {
        FetchError::Throttled {
            host: self.host.clone(),
            until,
        }
    }

    fn not_let_in(&self, error: LoginError) -> FetchError {
        let again = match &error {
            LoginError::Refused(_) | LoginError::Token(TokenError::Refused(_)) => Again::Slowly,
            LoginError::Token(TokenError::Throttled { until, .. }) => Again::At(*until),
            LoginError::Secret(_) | LoginError::Token(_) => Again::Soon,
        };
        self.refused(error.to_string(), again)
    }
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let get = |name: HeaderName| headers.get(name).cloned();
        Self {
            etag: get(ETAG),
            modified: get(LAST_MODIFIED),
        }
    }
}
