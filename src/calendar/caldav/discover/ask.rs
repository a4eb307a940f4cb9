//! The single requests, and what their failures mean.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use url::Url;

use super::read::{self, COLLECTION, is_calendar, resolved};
use super::{Collection, same_place};
use crate::calendar::caldav::connection::{Connection, DavError, Reply, Request};
use crate::calendar::caldav::xml::{self, More, Prop, Props, Response, XmlError};
use crate::calendar::{Again, ReadError};

/// The most homes of an account that are looked into.
const MAX_HOMES: usize = 20;
/// The most calendars of one home, and of an account.
pub(super) const MAX_COLLECTIONS: usize = 1_000;
/// The largest answer about one resource, in bytes.
const ONE: usize = 1 << 20;
/// The largest answer about a home, in bytes.
const MANY: usize = 32 << 20;

/// Why something was not found out.
pub(super) enum Failure {
    /// No reply.
    Dav(DavError),
    /// A reply that is no success, to a request for the configured address.
    Status(StatusCode),
    /// What is wrong and what to do, and how soon it is worth another try.
    Said(String, Again),
}

impl From<DavError> for Failure {
    fn from(error: DavError) -> Self {
        Self::Dav(error)
    }
}

impl Failure {
    /// What a person has to act on.
    pub(super) fn lasting(hint: String) -> Self {
        Self::Said(hint, Again::Slowly)
    }

    /// Whether it is about the place that was asked for, and another place may do.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Status(_) | Self::Said(..) => true,
            Self::Dav(error) => matches!(
                error,
                DavError::Credentials { .. } | DavError::Redirect { .. }
            ),
        }
    }

    pub(super) fn into_read_error(self, host: &str) -> ReadError {
        let what = "finding calendars";
        let (hint, again) = match self {
            Self::Dav(error) => return error.into_read_error(what),
            Self::Said(hint, again) => (hint, again),
            Self::Status(status)
                if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED =>
            {
                (in_words(status, host), Again::Soon)
            }
            Self::Status(status) => (in_words(status, host), Again::Slowly),
        };
        ReadError::Server {
            what: what.to_owned(),
            hint,
            again,
        }
    }
}

/// What a status in answer to the configured address means, and what to do.
fn in_words(status: StatusCode, host: &str) -> String {
    match status.as_u16() {
        403 => format!(
            "{host} refuses to show the configured address to this account (403); check `url`, and \
             that the account may use CalDAV"
        ),
        404 | 410 => format!(
            "{host} has nothing at the configured address ({}); correct `url`, or give the server's \
             own address and let the calendars be found",
            status.as_u16()
        ),
        500 | 502.. => format!("{host} failed ({status}); it is asked again"),
        _ => format!(
            "{host} does not speak CalDAV at the configured address (PROPFIND is answered with \
             {status}); set `url` to the server's CalDAV address"
        ),
    }
}

/// What stands at a URL.
pub(super) struct There {
    /// The URL after redirects.
    pub(super) url: Url,
    pub(super) props: Props,
    pub(super) more: More,
    pub(super) headers: HeaderMap,
}

impl There {
    /// The principal that the account is here.
    pub(super) fn principal(&self) -> Option<Url> {
        resolved(&self.url, self.more.current_user_principal.as_deref()?)
    }

    /// The homes of the principal that this is.
    pub(super) fn homes(&self) -> Vec<Url> {
        let mut homes: Vec<Url> = Vec::new();
        for href in self.more.calendar_home_set.iter().take(MAX_HOMES) {
            let home = resolved(&self.url, href);
            let new = |home: &Url| !homes.iter().any(|known| same_place(known, home));
            homes.extend(home.filter(new));
        }
        homes
    }
}

/// Asks one server.
pub(super) struct Finder<'c> {
    pub(super) connection: &'c Connection,
}

impl Finder<'_> {
    pub(super) fn host(&self) -> String {
        self.connection.host()
    }

    /// The properties of one resource.
    pub(super) async fn there(&self, url: &Url, props: &[Prop]) -> Result<There, Failure> {
        let (reply, mut responses) = self.propfind(url, "0", props, ONE).await?;
        let here = |response: &Response| {
            let url = resolved(&reply.url, &response.href);
            url.is_some_and(|url| same_place(&url, &reply.url))
        };
        let at = responses.iter().position(here).unwrap_or(0);
        if responses.is_empty() {
            return Err(Failure::Status(StatusCode::NOT_FOUND));
        }
        let response = responses.swap_remove(at);
        if let Some(status) = response.status.filter(|status| *status >= 400) {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            return Err(Failure::Status(status));
        }
        let mut props = response.found;
        let more = props.more.take().map(|more| *more).unwrap_or_default();
        Ok(There {
            url: reply.url,
            props,
            more,
            headers: reply.headers,
        })
    }

    /// The calendars right below a URL.
    pub(super) async fn list(&self, home: &Url) -> Result<Vec<Collection>, Failure> {
        let (reply, responses) = self.propfind(home, "1", &COLLECTION, MANY).await?;
        let mut all = Vec::new();
        for response in responses {
            if all.len() > MAX_COLLECTIONS || !is_calendar(&response.found) {
                continue;
            }
            let found = read::collection(&reply.url, &response.href, response.found);
            if let Some(mut collection) = found {
                collection.home = Some(home.clone());
                all.push(collection);
            }
        }
        Ok(all)
    }

    /// The headers of an OPTIONS: only they must have the DAV header (RFC 4918, 10.1). None where the
    /// server does not tell.
    pub(super) async fn options(&self, url: Url) -> Result<HeaderMap, Failure> {
        let request = request("OPTIONS", url, HeaderMap::new(), Vec::new(), ONE);
        match self.connection.send(&request).await.map_err(Failure::Dav) {
            Ok(reply) => Ok(reply.headers),
            Err(failure) if failure.is_local() => Ok(HeaderMap::new()),
            Err(failure) => Err(failure),
        }
    }

    async fn propfind(
        &self,
        url: &Url,
        depth: &'static str,
        props: &[Prop],
        limit: usize,
    ) -> Result<(Reply, Vec<Response>), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert("depth", HeaderValue::from_static(depth));
        let xml = HeaderValue::from_static("application/xml; charset=utf-8");
        headers.insert(CONTENT_TYPE, xml);
        let request = request(
            "PROPFIND",
            url.clone(),
            headers,
            xml::propfind(props),
            limit,
        );
        let reply = self.connection.send(&request).await?;
        if !reply.status.is_success() {
            return Err(Failure::Status(reply.status));
        }
        match xml::parse(&reply.body) {
            Ok(answer) => Ok((reply, answer.responses)),
            Err(error) => {
                let again = match error {
                    XmlError::Truncated => Again::Soon,
                    _ => Again::Slowly,
                };
                Err(Failure::Said(format!("{}: {error}", self.host()), again))
            }
        }
    }
}

fn request(method: &str, url: Url, headers: HeaderMap, body: Vec<u8>, limit: usize) -> Request {
    Request {
        method: Method::from_bytes(method.as_bytes()).unwrap_or_default(),
        url,
        headers,
        body,
        limit,
        identity: false,
        repeatable: true,
    }
}
