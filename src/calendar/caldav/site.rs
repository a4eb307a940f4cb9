//! One collection on its server: the requests that reading and writing are made of. Network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use url::Url;

use super::connection::{Connection, DavError, Reply, Request};
use super::href::Base;
use super::profile::Learned;
use super::version;
use super::xml::{self, Multistatus, Prop};
use crate::calendar::{Again, ReadError};
use crate::clock::Clock;
use crate::model::ResourceId;

/// The largest iCalendar object that is read, as with files.
pub(super) const RESOURCE_MIB: u64 = 64;
/// The largest listing that is read, in bytes: about 150,000 members.
pub(super) const LISTING: usize = 64 << 20;
/// The largest answer about one resource, in bytes.
pub(super) const SMALL: usize = 1 << 20;
/// How many writes are remembered until a report shows them.
const OWN: usize = 10_000;

const DEPTH: HeaderName = HeaderName::from_static("depth");

/// A collection and what is remembered of it while the process runs.
pub(super) struct Site {
    /// The account's connection.
    pub(super) connection: Arc<Connection>,
    /// What was learned of the server.
    pub(super) profile: Arc<Learned>,
    /// Measures how old a ctag is.
    pub(super) clock: Arc<dyn Clock>,
    /// The calendar with its host, for messages.
    pub(super) what: String,
    /// Where it is.
    pub(super) base: Base,
    /// Whether it says that it has sync-collection.
    pub(super) sync_collection: bool,
    /// Whether it says that it has calendar-multiget.
    pub(super) multiget: bool,
    /// The largest resource that it says it takes, in bytes.
    pub(super) max_resource_size: Option<u64>,
    /// One write at a time.
    pub(super) writing: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
}

/// What is remembered between reads; losing it costs a listing.
#[derive(Default)]
pub(super) struct Memory {
    /// The token of the last report that was read to its end.
    pub(super) token: Option<String>,
    /// An empty report came with another token, and a listing is to show whether that was true.
    pub(super) suspect: bool,
    /// The ctag before the last whole listing, and when that was.
    pub(super) ctag: Option<(String, Duration)>,
    /// The server has no sync-collection, whatever it says.
    pub(super) no_sync: bool,
    /// What our own last writes left and no report showed yet.
    own: HashMap<ResourceId, Own>,
}

/// What a write left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// The ETag that the answer gave.
    pub(super) etag: String,
    /// The digest of the bytes.
    pub(super) digest: String,
}

impl Memory {
    /// Remembers a write, instead of an earlier one of the same resource.
    pub(super) fn wrote(&mut self, id: &ResourceId, etag: &str, bytes: &[u8]) {
        if self.own.len() >= OWN {
            // They are read once more, which is all that this costs.
            self.own.clear();
        }
        let own = Own {
            etag: etag.to_owned(),
            digest: version::digest(bytes),
        };
        self.own.insert(id.clone(), own);
    }

    /// What our last write of `id` left, once.
    pub(super) fn take_own(&mut self, id: &ResourceId) -> Option<Own> {
        self.own.remove(id)
    }

    /// Remembers again what was taken.
    pub(super) fn put_back(&mut self, id: &ResourceId, own: Own) {
        self.own.insert(id.clone(), own);
    }
}

impl Site {
    /// A collection of which nothing is remembered.
    pub(super) fn new(
        connection: Arc<Connection>,
        profile: Arc<Learned>,
        clock: Arc<dyn Clock>,
        what: String,
        url: &Url,
    ) -> Self {
        Self {
            connection,
            profile,
            clock,
            what,
            base: Base::new(url),
            sync_collection: true,
            multiget: true,
            max_resource_size: None,
            writing: tokio::sync::Mutex::default(),
            memory: Mutex::default(),
        }
    }

    /// What is remembered; not to be held across an await.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// PROPFIND (RFC 4918, 9.1).
    pub(super) async fn propfind(
        &self,
        url: &Url,
        depth: &'static str,
        props: &[Prop],
        limit: usize,
    ) -> Result<Reply, DavError> {
        let body = xml::propfind(props);
        let request = with_body("PROPFIND", url.clone(), depth, body, limit);
        self.connection.send(&request).await
    }

    /// REPORT on the collection (RFC 3253, 3.6).
    pub(super) async fn report(
        &self,
        depth: &'static str,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Reply, DavError> {
        let url = self.base.url().clone();
        let request = with_body("REPORT", url, depth, body, limit);
        self.connection.send(&request).await
    }

    /// GET without compression, so that the ETag is the stored object's own.
    pub(super) async fn get(&self, url: Url) -> Result<Reply, DavError> {
        let request = Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            limit: usize::try_from(RESOURCE_MIB << 20).unwrap_or(usize::MAX),
            identity: true,
            repeatable: true,
        };
        self.connection.send(&request).await
    }

    /// The properties of the collection itself.
    pub(super) async fn own_props(&self, props: &[Prop]) -> Result<xml::Props, ReadError> {
        let url = self.base.url();
        let reply = self
            .propfind(url, "0", props, SMALL)
            .await
            .map_err(|error| error.into_read_error(&self.what))?;
        let answer = self.multistatus(&reply)?;
        answer
            .responses
            .into_iter()
            .find(|row| row.status.is_none_or(|status| status == 200))
            .map(|row| row.found)
            .ok_or_else(|| self.nonsense("does not tell of the calendar it was asked for"))
    }

    /// A reply's rows.
    pub(super) fn multistatus(&self, reply: &Reply) -> Result<Multistatus, ReadError> {
        if reply.status != StatusCode::MULTI_STATUS {
            return Err(self.refused(reply));
        }
        xml::parse(&reply.body).map_err(|error| ReadError::Server {
            what: self.what.clone(),
            hint: error.to_string(),
            again: Again::Soon,
        })
    }

    /// Why a reply is not what reading needs.
    pub(super) fn refused(&self, reply: &Reply) -> ReadError {
        match xml::parse(&reply.body) {
            // A login form, for example: what it is says more than its status.
            Err(error) if reply.status.is_success() => ReadError::Server {
                what: self.what.clone(),
                hint: format!("HTTP {}: {error}", reply.status.as_u16()),
                again: Again::Slowly,
            },
            _ => self.status(reply.status, &self.what),
        }
    }

    /// What is wrong where `what` is answered with `status`.
    pub(super) fn status(&self, status: StatusCode, what: &str) -> ReadError {
        let (text, again) = match status.as_u16() {
            403 => (
                "no permission to read it; grant the account read access to the calendar",
                Again::Slowly,
            ),
            404 | 410 => (
                "not there; it may have been renamed or deleted: see `meetbridge calendars` for \
                 those that there are",
                Again::Slowly,
            ),
            405 | 501 => (
                "no CalDAV calendar at this address; check the account's `url`",
                Again::Slowly,
            ),
            200..=299 => (
                "not a WebDAV answer; check the account's `url`",
                Again::Slowly,
            ),
            507 => (
                "the server cut the answer short; it is asked again",
                Again::Soon,
            ),
            423 | 429 | 500..=599 => ("the server is out of order; it is asked again", Again::Soon),
            _ => ("refused; see the server's log", Again::Soon),
        };
        ReadError::Server {
            what: what.to_owned(),
            hint: format!("HTTP {}: {text}", status.as_u16()),
            again,
        }
    }

    /// An answer that cannot be right.
    pub(super) fn nonsense(&self, why: &str) -> ReadError {
        ReadError::Server {
            what: self.what.clone(),
            hint: format!("the server's answer {why}; it is asked again"),
            again: Again::Soon,
        }
    }
}

/// A request with an XML body, without effect on the server.
pub(super) fn with_body(
    method: &'static str,
    url: Url,
    depth: &'static str,
    body: Vec<u8>,
    limit: usize,
) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(DEPTH, HeaderValue::from_static(depth));
    let xml = HeaderValue::from_static("application/xml; charset=utf-8");
    headers.insert(CONTENT_TYPE, xml);
    Request {
        // Both names are tokens, as a method has to be.
        method: Method::from_bytes(method.as_bytes()).unwrap_or(Method::OPTIONS),
        url,
        headers,
        body,
        limit,
        identity: false,
        repeatable: true,
    }
}

/// A header's text.
pub(super) fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.get(name)?.to_str().ok()
}
