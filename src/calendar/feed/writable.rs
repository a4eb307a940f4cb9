//! A feed that takes PUT at its own address: one resource, written with If-Match.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH};
use reqwest::{Method, StatusCode};

use super::UNREAD;
use super::body::Body;
use super::fetch::{FetchError, Fetched, Place, Request, Validators};
use super::pace::Pace;
use super::publish::{UNKEPT, is_weak, refusal};
use crate::calendar::{
    Again, Attendees, Calendar, Finding, Found, Known, Proof, ReadError, Resource, Scope,
    SyncToken, WriteRefusal, Written,
};
use crate::clock::{Clock, Random};
use crate::model::{ResourceId, Version};

/// The identifier of the one resource.
const FEED: &str = "feed";

/// What is said of a server whose writes nobody could make conditional.
pub(super) const NO_ETAG: &str = "the server names no strong ETag, so that nobody could tell whether \
                                  somebody else changed the calendar meanwhile; publish by \
                                  `publish-file` or `publish-url` in place of `writable`";

/// A feed that is written back.
///
/// - **Version**: a digest of the bytes.
pub(super) struct Writable {
    what: String,
    place: Place,
    held: Mutex<Held>,
    turn: tokio::sync::Mutex<()>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

struct Held {
    pace: Pace,
    validators: Validators,
    /// What the validators stand for.
    calendar: Option<(Version, Arc<Body>)>,
}

impl Writable {
    pub(super) fn new(
        name: String,
        place: Place,
        pace: Pace,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            what: format!("{name} at {}", place.host()),
            place,
            held: Mutex::new(Held {
                pace,
                validators: Validators::default(),
                calendar: None,
            }),
            turn: tokio::sync::Mutex::new(()),
            clock,
            random,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches the feed unless it is what is held.
    async fn refresh(&self) -> Result<(), ReadError> {
        let validators = {
            let mut held = self.held();
            held.pace.begins(self.clock.elapsed(), self.random.next());
            held.validators.clone()
        };
        let fetched = self.place.fetch(&validators, true).await;
        let fetched = fetched.map_err(|error| error.into_read_error(&self.what))?;
        if let Fetched::Body {
            body,
            validators,
            fresh,
        } = fetched
        {
            let version = version_of(&body).map_err(|error| self.unread(error))?;
            let mut held = self.held();
            held.pace.asked([fresh, None]);
            held.validators = validators;
            held.calendar = Some((version, Arc::new(body)));
        }
        Ok(())
    }

    /// The version of what is held.
    fn version(&self) -> Option<Version> {
        let held = self.held();
        held.calendar.as_ref().map(|(version, _)| version.clone())
    }

    fn unread(&self, source: io::Error) -> ReadError {
        ReadError::Io {
            what: self.what.clone(),
            hint: UNREAD.to_owned(),
            source,
        }
    }

    fn refuse(&self, hint: impl Into<String>) -> WriteRefusal {
        WriteRefusal {
            what: self.what.clone(),
            hint: hint.into(),
            source: None,
        }
    }

    /// What an answer to a PUT says of it.
    fn stored(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        put: (Version, Arc<Body>),
    ) -> Written {
        match status {
            status if status.is_success() => {
                let mut held = self.held();
                let version = put.0.clone();
                held.validators = Validators {
                    etag: headers.get(ETAG).cloned(),
                    ..Validators::default()
                };
                held.calendar = Some(put);
                Written::Stored(version)
            }
            StatusCode::PRECONDITION_FAILED => {
                self.held().validators = Validators::default();
                Written::Changed
            }
            status => {
                let error = refusal(&self.place, status);
                let why = self.refuse(error.to_string());
                match error.again() {
                    Again::Slowly => Written::Refused(why),
                    Again::Soon | Again::At(_) => Written::Failed(why),
                }
            }
        }
    }
}

#[async_trait]
impl Calendar for Writable {
    async fn read(&self, scope: &Scope, known: Known) -> Result<Finding<'_>, ReadError> {
        let _turn = self.turn.lock().await;
        let told = self.version();
        self.refresh().await?;
        let (version, body) = self.held().calendar.clone().ok_or(ReadError::Expired)?;
        let (id, token) = (ResourceId::new(FEED), SyncToken::new(version.as_str()));
        let is_known = match scope {
            Scope::All => known.get(&id) == Some(&version),
            Scope::News(Some(news)) if told.is_some() => *news == token,
            Scope::News(_) => return Err(ReadError::Expired),
            Scope::Only(ids) => !ids.contains(&id),
        };
        let mut found = Vec::new();
        if let Scope::Only(ids) = scope {
            let others = ids.iter().filter(|other| **other != id);
            found.extend(others.cloned().map(Found::Vanished));
        }
        if !is_known {
            found.push(Found::Changed(Resource {
                id,
                version,
                origins: Default::default(),
                bytes: body.all().map_err(|error| self.unread(error))?.into(),
                modified: None,
            }));
        }
        found.push(Found::Complete {
            unchanged: usize::from(is_known && *scope == Scope::All),
            token: (!matches!(scope, Scope::Only(_))).then_some(token),
        });
        Ok(stream::iter(found).boxed())
    }

    async fn write(&self, _id: &ResourceId, version: &Version, bytes: &[u8]) -> Written {
        let _turn = self.turn.lock().await;
        if self.version().as_ref() != Some(version) {
            return Written::Changed;
        }
        if self.held().validators.etag.is_none() {
            // An answer to a PUT need not name one.
            if let Err(error) = self.refresh().await {
                return Written::Failed(self.refuse(error.to_string()));
            }
            if self.version().as_ref() != Some(version) {
                return Written::Changed;
            }
        }
        let etag = self.held().validators.etag.clone();
        let Some(etag) = etag.filter(|etag| !is_weak(etag)) else {
            return Written::Refused(self.refuse(NO_ETAG));
        };
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, etag);
        let kind = HeaderValue::from_static("text/calendar; charset=utf-8");
        headers.insert(CONTENT_TYPE, kind);
        let kept = self.place.keep(|spool| spool.write_all(bytes));
        let kept = kept.and_then(|body| Ok((version_of(&body)?, body)));
        let put = match kept {
            Ok(put) => put,
            Err(source) => {
                return Written::Failed(WriteRefusal {
                    source: Some(source),
                    ..self.refuse(UNKEPT)
                });
            }
        };
        let request = Request {
            method: Method::PUT,
            headers,
            body: Some(Arc::clone(&put.1)),
            identity: true,
        };
        match self.place.send(&request).await {
            Ok(answer) => self.stored(answer.status, &answer.headers, put),
            Err(error) => {
                let why = self.refuse(error.to_string());
                self.held().validators = Validators::default();
                match error {
                    FetchError::Refused {
                        again: Again::Slowly,
                        ..
                    } => Written::Refused(why),
                    error if error.maybe_done() => Written::Unknown(why),
                    _ => Written::Failed(why),
                }
            }
        }
    }

    async fn changed(&self) -> Scope {
        loop {
            let next = self.held().pace.next;
            let wait = next.saturating_sub(self.clock.elapsed());
            if wait.is_zero() {
                return Scope::News(None);
            }
            self.clock.sleep(wait).await;
        }
    }

    fn next_look(&self) -> Option<Duration> {
        Some(self.held().pace.next)
    }

    fn may_alter(&self) -> bool {
        true
    }

    fn reread_secrets(&self) {
        self.place.reread_secrets();
    }

    fn attendees(&self) -> Attendees {
        Attendees::Unknown
    }

    fn proof(&self, _id: &ResourceId) -> Option<Proof> {
        None
    }
}

fn version_of(body: &Body) -> io::Result<Version> {
    body.token().map(Version::new)
}
