//! Requests to a feed and to the place where it is published. Network.
//!
//! A request passes the calendar's Retry-After window, is signed in at its own host only, and follows
//! redirects within the site, by https. What is not a whole calendar is one clear text that names the
//! host and what to do: never the path or the query, which may be a secret.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::calendar::{Again, ReadError};
use crate::clock::{Clock, Random};
use crate::http::auth::{Attempt, Login, LoginError, LoginSettings};
use crate::http::client::{host_of, is_loopback};
use crate::http::oauth::TokenError;
use crate::http::site::{bare, location, same_site};
use crate::http::windows::{Throttled, retry_after};
use crate::http::{Answer, Client, ClientError, ClientOptions, Credentials, SendError, Windows};
use crate::ical::document::MAX_BYTES;

/// How many redirects one request follows.
const REDIRECTS: usize = 5;
/// How much of an answer is read that is no calendar.
const SMALL: usize = 64 << 10;
/// The longest time that a feed may ask not to be fetched again.
const LONGEST: u64 = 24 * 3600;

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
        bytes: Vec<u8>,
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
    pub(super) body: Vec<u8>,
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
            client: Client::new(&settings.client)?,
            login,
            windows,
            clock,
        })
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
            body: Vec::new(),
            identity,
        };
        let answer = self.send(&request).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if *known != Validators::default() => {
                return Ok(Fetched::NotModified);
            }
            _ => return Err(self.status(&answer)),
        }
        self.whole(&answer)?;
        let validators = Validators::of(&answer.headers);
        Ok(Fetched::Body {
            fresh: max_age(&answer.headers),
            validators,
            bytes: answer.body,
        })
    }

    /// By what it is known what stands there, calendar or not: `None` for nothing, a weak one where the
    /// server names none.
    pub(super) async fn etag(&self) -> Result<Option<HeaderValue>, FetchError> {
        let request = Request {
            method: Method::GET,
            headers: HeaderMap::new(),
            body: Vec::new(),
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
        let mut url = self.url.clone();
        self.permit(&url)?;
        for _ in 0..=REDIRECTS {
            let answer = self.signed_in(request, &url).await?;
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
    async fn signed_in(&self, request: &Request, url: &Url) -> Result<Answer, FetchError> {
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
            let answer = self.once(request, url, authorization).await?;
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
            if !request.body.is_empty() {
                *out.body_mut() = Some(request.body.clone().into());
            }
            self.windows
                .pass(&self.scope)
                .await
                .map_err(|Throttled { until }| self.throttled(until))?;
            let limit = match request.method == Method::GET {
                true => MAX_BYTES,
                false => SMALL,
            };
            match self.client.send(out, limit).await {
                Err(SendError::Broken {
                    answered: false, ..
                }) if repeats > 0 => repeats -= 1,
                Err(SendError::TooLarge { .. }) => {
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

    /// Whether the answer is a calendar from its first line to its last.
    fn whole(&self, answer: &Answer) -> Result<(), FetchError> {
        let body = answer.body.strip_prefix(b"\xef\xbb\xbf");
        let body = body.unwrap_or(&answer.body).trim_ascii();
        let starts = |with: &[u8]| {
            let start = body.get(..with.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        let ends = |with: &[u8]| {
            let from = body.len().checked_sub(with.len());
            let end = from.and_then(|from| body.get(from..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(with))
        };
        let content_type = answer.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let is_page =
            starts(b"<") || content_type.is_some_and(|kind| kind.trim().starts_with("text/html"));
        if body.is_empty() {
            let why = "answered with nothing; it is asked again, and no event counts as gone";
            return Err(self.refused(why, Again::Soon));
        }
        if !starts(b"BEGIN:VCALENDAR") {
            let why = match is_page {
                true => {
                    "answered with a web page, not a calendar (a login page, perhaps); set \
                     `username` and `password-file` if the feed needs them, or copy the address of \
                     the feed itself, which often ends in .ics, into `url`"
                }
                false => {
                    "answered with something that is not a calendar (it does not begin with \
                     BEGIN:VCALENDAR); copy the address of the feed itself into `url`"
                }
            };
            return Err(self.refused(why, Again::Slowly));
        }
        if !ends(b"END:VCALENDAR") {
            let why = "answered with a calendar that breaks off (it does not end with \
                       END:VCALENDAR); it is asked again, and no event counts as gone";
            return Err(self.refused(why, Again::Soon));
        }
        Ok(())
    }

    /// What a status that brings no calendar means.
    pub(super) fn status(&self, answer: &Answer) -> FetchError {
        let status = answer.status.as_u16();
        let (why, again) = match status {
            401 => (
                "wants credentials (HTTP 401) where it redirects to, which is given none; set `url` \
                 to the address that it redirects to",
                Again::Slowly,
            ),
            403 => (
                "refuses access (HTTP 403); perhaps the feed's address was renewed or sharing was \
                 switched off: copy the address anew into `url`",
                Again::Slowly,
            ),
            404 => (
                "has no such calendar (HTTP 404); perhaps the feed's address was renewed or sharing \
                 was switched off: copy the address anew into `url`",
                Again::Slowly,
            ),
            410 => (
                "has done away with the calendar (HTTP 410); copy its new address into `url`, or \
                 take this feed out of the configuration",
                Again::Slowly,
            ),
            429 => (
                "gets too many requests (HTTP 429); set a longer `poll`",
                Again::Soon,
            ),
            500.. => ("fails; it is asked again", Again::Soon),
            _ => ("answered with no calendar", Again::Slowly),
        };
        let why = match why.contains("HTTP") {
            true => why.to_owned(),
            false => format!("{why} (HTTP {status})"),
        };
        self.refused(why, again)
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

/// For how long an answer is good (RFC 9111, 5.2.2.1), at most a day.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let directives = values.filter_map(|value| value.to_str().ok());
    let mut directives = directives.flat_map(|value| value.split(','));
    directives.find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse::<u64>().ok()?;
        let is_it = name.trim().eq_ignore_ascii_case("max-age");
        is_it.then(|| Duration::from_secs(seconds.min(LONGEST)))
    })
}
