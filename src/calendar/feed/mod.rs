//! Calendars that are subscribed to: one document at a web address, read by conditional GET.
//!
//! A feed cannot be written, so its events with their links are published elsewhere. The port shows
//! each event as a resource of its own, with its link as long as the feed has the event as it was when
//! the link was made; what is published is the feed byte for byte with those links.
//!
//! - `fetch`: requests; `answer`: what an answer must be to be believed; `pace`: when they are made.
//! - `body`: the bytes of a feed, which are kept on disk. `scan` finds the events in them, `index` takes
//!   them apart, `split` shows each as a resource.
//! - `enrich`: the events with their links, and the calendar that is published; `shelf`: where on the
//!   disk they are.
//! - `doubt`: what is not believed at once: a feed that shrinks, UIDs that are minted anew. Pure.
//! - `intake`: all that becomes of a fetch.
//! - `publish`: the file or the place that takes PUT.
//! - `writable`: a feed that takes PUT at its own address.
//! - `look`: what a check shows of it.

mod answer;
mod body;
mod doubt;
mod enrich;
mod fetch;
mod index;
mod intake;
mod look;
mod pace;
mod publish;
mod scan;
mod shelf;
mod split;
#[cfg(test)]
mod tests;
mod writable;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};

pub use self::fetch::PlaceSettings;
pub use self::look::{Extent, Looked, look};

use self::doubt::Doubts;
use self::enrich::Links;
use self::fetch::{Fetched, Place, Validators};
use self::intake::{Refusal, take_in};
use self::pace::Pace;
use self::publish::Target;
use self::split::{Index, Snapshot};
use self::writable::Writable;
use crate::calendar::{
    Calendar, Finding, Found, Known, Notes, Proof, ReadError, Resource, Scope, SyncToken,
    WriteRefusal, Written,
};
use crate::clock::{Clock, Random};
use crate::http::{ClientError, Windows};
use crate::model::{ResourceId, Version};

/// How far apart the readings are by which an absence is confirmed, or a UID proves stable.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long a UID must have been there in a feed that mints them.
const MINTED: Duration = Duration::from_secs(24 * 3600);
/// What is said when the file fails that the feed is kept in.
const UNREAD: &str = "what was fetched cannot be read from the disk; it is fetched again";
/// How soon it is tried again to publish.
const RETRY: Duration = Duration::from_secs(60);

/// What a feed needs.
#[derive(Clone, Debug)]
pub struct FeedSettings {
    /// The calendar's name.
    pub name: String,
    /// Where it is.
    pub source: PlaceSettings,
    /// How often it is fetched; it may ask for less.
    pub poll: Duration,
    /// Where its events go with their links.
    pub publish: Publish,
    /// A directory on a disk. What was fetched is kept there while it is needed, in files without names.
    pub directory: PathBuf,
}

/// Where the events of a feed go with their links.
#[derive(Clone, Debug)]
pub enum Publish {
    /// Into a file.
    File(PathBuf),
    /// To another address, by PUT.
    Web(Box<PlaceSettings>),
    /// Back to the feed's own address, by PUT.
    Source,
}

/// Sets a feed up; sends nothing.
///
/// # Errors
/// When a CA file or the proxy cannot be used.
pub fn open(
    settings: FeedSettings,
    windows: Arc<Windows>,
    notes: Arc<dyn Notes>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Arc<dyn Calendar>, ClientError> {
    let place = |place: PlaceSettings| {
        let directory = settings.directory.clone();
        let (windows, clock) = (Arc::clone(&windows), Arc::clone(&clock));
        Place::new(place, directory, windows, clock, Arc::clone(&random))
    };
    let source = place(settings.source)?;
    let pace = Pace::new(settings.poll, &*clock);
    let mut published = None;
    let target = match settings.publish {
        Publish::File(path) => Target::file(path),
        Publish::Web(web) => {
            let place = Arc::new(place(*web)?);
            published = Some(Arc::clone(&place));
            Target::web(place)
        }
        Publish::Source => {
            return Ok(Arc::new(Writable::new(
                settings.name,
                source,
                pace,
                clock,
                random,
            )));
        }
    };
    Ok(Arc::new(Feed {
        what: format!("{} at {}", settings.name, source.host()),
        doubts: Doubts::new(&settings.name, notes),
        name: settings.name,
        proof: INTERVAL.min(settings.poll / 2),
        source,
        published,
        target: tokio::sync::Mutex::new(target),
        turn: tokio::sync::Mutex::new(()),
        held: Mutex::new(Held::new(pace, &settings.directory)),
        directory: settings.directory,
        clock,
        random,
    }))
}

/// A feed that is published elsewhere.
///
/// - **Identifier**: the event's UID, or a digest of it.
/// - **Version**: a digest of the event, and of its link if it has one.
struct Feed {
    name: String,
    /// For messages.
    what: String,
    source: Place,
    /// Where it is published, if on the web.
    published: Option<Arc<Place>>,
    /// How long a UID must have been there.
    proof: Duration,
    doubts: Doubts,
    /// Where what is published is kept while it is put together.
    directory: PathBuf,
    target: tokio::sync::Mutex<Target>,
    /// Held by whoever fetches.
    turn: tokio::sync::Mutex<()>,
    held: Mutex<Held>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

struct Held {
    pace: Pace,
    validators: Validators,
    /// The feed as it was last believed.
    current: Option<Arc<Snapshot>>,
    /// The feed as the last whole or partial listing told it.
    told: Option<Arc<Index>>,
    /// When it was last fetched, on the monotonic clock.
    fetched: Option<Duration>,
    /// It was fetched for a listing that is made anew as a whole.
    fresh: bool,
    /// Since when a listing as a whole is owed, for what has vanished.
    relist: Option<Duration>,
    links: Links,
    /// What is published, where the feed as it was last believed lacks much of it.
    short_of: Option<Arc<Index>>,
    /// It is perhaps not published as it is.
    dirty: bool,
}

impl Held {
    fn new(pace: Pace, directory: &Path) -> Self {
        Self {
            pace,
            validators: Validators::default(),
            current: None,
            told: None,
            fetched: None,
            fresh: false,
            relist: None,
            links: Links::new(directory),
            short_of: None,
            dirty: true,
        }
    }
}

impl Feed {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches the feed, and believes what came if that may be.
    async fn refresh(&self) -> Result<(), ReadError> {
        let _turn = self.turn.lock().await;
        let before = self.held().current.clone();
        let published = match before {
            // What was published before holds the links that nobody remembers.
            None => self.target.lock().await.read(&self.name).await?,
            Some(_) => None,
        };
        let validators = {
            let mut held = self.held();
            held.pace.begins(self.clock.elapsed(), self.random.next());
            held.validators.clone()
        };
        let fetched = self.source.fetch(&validators, false).await;
        let fetched = fetched.map_err(|error| error.into_read_error(&self.what))?;
        let Fetched::Body {
            body,
            validators,
            fresh,
        } = fetched
        else {
            self.doubts.unchanged();
            self.held().fetched = Some(self.clock.elapsed());
            return Ok(());
        };
        let (now, doubts) = (self.clock.now(), self.doubts.clone());
        let published = published.map(|body| (body, Links::new(&self.directory)));
        let old = before.map(|before| Arc::clone(before.index()));
        let short_of = self.held().short_of.clone();
        let work = tokio::task::spawn_blocking(move || {
            take_in(body, old, short_of, published, &doubts, now)
        });
        let taken = work.await.map_err(|_| Refusal::Broken).flatten();
        let taken = taken.map_err(|refusal| self.refused(&refusal))?;
        let mut held = self.held();
        held.validators = validators;
        held.fetched = Some(self.clock.elapsed());
        if let Some(taken) = taken {
            held.current = Some(Arc::new(taken.snapshot));
            held.short_of = taken.short_of;
            held.dirty = true;
            if let Some(links) = taken.links {
                held.links = links;
            }
        }
        let refresh = held.current.as_ref().and_then(|held| held.index().refresh);
        held.pace.asked([fresh, refresh]);
        Ok(())
    }

    fn refused(&self, refusal: &Refusal) -> ReadError {
        let (hint, again) = refusal.hint();
        ReadError::Server {
            what: self.what.clone(),
            hint,
            again,
        }
    }

    fn resource(&self, snapshot: &Snapshot, id: &str) -> Option<Found> {
        let piece = snapshot.index().find(id)?;
        let mut held = self.held();
        let id = ResourceId::new(id);
        let carried = held.links.carry(snapshot, piece, self.clock.now());
        Some(
            match carried.and_then(|()| held.links.show(snapshot, piece)) {
                Ok(shown) => Found::Changed(Resource {
                    id,
                    version: held.links.version(piece),
                    bytes: shown.bytes.into(),
                    origins: shown.origins.into(),
                    modified: None,
                }),
                Err(source) => Found::Unreadable(
                    id,
                    ReadError::Io {
                        what: self.what.clone(),
                        hint: UNREAD.to_owned(),
                        source,
                    },
                ),
            },
        )
    }

    /// What is listed of `ids`, and that this is all.
    fn tell(
        &self,
        snapshot: Arc<Snapshot>,
        ids: Vec<Box<str>>,
        gone: Vec<ResourceId>,
        unchanged: usize,
    ) -> Finding<'_> {
        let token = Some(SyncToken::new(snapshot.index().token.as_str()));
        let found = ids.into_iter().filter_map(move |id| {
            // What changed meanwhile is told by the next listing.
            self.resource(&snapshot, &id)
        });
        let gone = gone.into_iter().map(Found::Vanished);
        let complete = Found::Complete { unchanged, token };
        stream::iter(found.chain(gone).chain([complete])).boxed()
    }

    /// All of the feed that is not known.
    async fn list(&self, known: Known) -> Result<Finding<'_>, ReadError> {
        if !std::mem::take(&mut self.held().fresh) {
            self.refresh().await?;
        }
        let (snapshot, ids, gone, unchanged) = {
            let mut held = self.held();
            let snapshot = held.current.clone().ok_or(ReadError::Expired)?;
            let index = Arc::clone(snapshot.index());
            let settled = |id: &str, version: &Version| {
                known
                    .get(&ResourceId::new(id))
                    .is_some_and(|known| known == version)
            };
            let ids: Vec<Box<str>> = index
                .pieces
                .iter()
                .filter(|piece| !settled(&piece.id, &held.links.version(piece)))
                .map(|piece| piece.id.clone())
                .collect();
            let gone: Vec<ResourceId> = known
                .into_keys()
                .filter(|id| index.find(id.as_str()).is_none())
                .collect();
            held.relist = match (gone.is_empty(), held.relist) {
                (true, _) => None,
                (false, since) => since.or(Some(self.clock.elapsed())),
            };
            let unchanged = index.pieces.len() - ids.len();
            held.told = Some(index);
            (snapshot, ids, gone, unchanged)
        };
        Ok(self.tell(snapshot, ids, gone, unchanged))
    }

    /// What changed since the listing that `token` came with. When events have vanished, all of the
    /// feed is listed: only a complete listing tells that.
    async fn news(&self, token: Option<&SyncToken>) -> Result<Finding<'_>, ReadError> {
        let told = self.held().told.clone();
        let is_it = |told: &Arc<Index>| token.is_some_and(|token| token.as_str() == told.token);
        let told = told.filter(is_it).ok_or(ReadError::Expired)?;
        self.refresh().await?;
        let mut held = self.held();
        let snapshot = held.current.clone().ok_or(ReadError::Expired)?;
        let index = Arc::clone(snapshot.index());
        if Arc::ptr_eq(&told, &index) {
            return Ok(self.tell(snapshot, Vec::new(), Vec::new(), 0));
        }
        if told.pieces.iter().any(|old| index.find(&old.id).is_none()) {
            held.fresh = true;
            return Err(ReadError::Expired);
        }
        let is_known = |id: &str, raw| told.find(id).is_some_and(|old| old.raw == raw);
        let changed = index
            .pieces
            .iter()
            .filter(|piece| !is_known(&piece.id, piece.raw))
            .map(|piece| piece.id.clone())
            .collect();
        held.told = Some(index);
        drop(held);
        Ok(self.tell(snapshot, changed, Vec::new(), 0))
    }

    /// These events, from memory if it was fetched a moment ago.
    async fn only(&self, ids: impl Iterator<Item = &ResourceId>) -> Result<Finding<'_>, ReadError> {
        let fetched = self.held().fetched;
        let age = fetched.map(|at| self.clock.elapsed().saturating_sub(at));
        if age.is_none_or(|age| age >= self.proof) {
            self.refresh().await?;
        }
        let snapshot = self.held().current.clone().ok_or(ReadError::Expired)?;
        let is_there = |id: &&ResourceId| snapshot.index().find(id.as_str()).is_some();
        let (there, gone): (Vec<&ResourceId>, Vec<&ResourceId>) = ids.partition(is_there);
        let there = there.into_iter().map(|id| id.as_str().into()).collect();
        let gone = gone.into_iter().cloned().collect();
        let finding = self.tell(snapshot, there, gone, 0);
        // A part says nothing about up to where the whole is known.
        let partial = finding.map(|found| match found {
            Found::Complete { unchanged, .. } => Found::Complete {
                unchanged,
                token: None,
            },
            other => other,
        });
        Ok(partial.boxed())
    }

    /// How long until the next look, and whether that is at all of it.
    fn wait(&self, now: Duration) -> (Duration, Scope) {
        let held = self.held();
        let owed = match (&held.current, &held.told) {
            (Some(current), Some(told)) => !Arc::ptr_eq(current.index(), told),
            _ => false,
        };
        let wait = match owed {
            true => Duration::ZERO,
            false => held.pace.next.saturating_sub(now),
        };
        let relist = held
            .relist
            .is_some_and(|since| now + wait >= since + INTERVAL);
        let scope = if relist {
            Scope::All
        } else {
            Scope::News(None)
        };
        (wait, scope)
    }
}

#[async_trait]
impl Calendar for Feed {
    async fn read(&self, scope: &Scope, known: Known) -> Result<Finding<'_>, ReadError> {
        match scope {
            Scope::All => self.list(known).await,
            Scope::News(token) => self.news(token.as_ref()).await,
            Scope::Only(ids) => self.only(ids.iter()).await,
        }
    }

    async fn write(&self, id: &ResourceId, version: &Version, bytes: &[u8]) -> Written {
        let mut held = self.held();
        let Some(snapshot) = held.current.clone() else {
            return Written::Changed;
        };
        let piece = snapshot.index().find(id.as_str());
        let Some(piece) = piece.filter(|piece| held.links.version(piece) == *version) else {
            return Written::Changed;
        };
        let why = |hint: &str, source| WriteRefusal {
            what: id.to_string(),
            hint: hint.to_owned(),
            source,
        };
        match held.links.put(&snapshot, piece, bytes) {
            Ok(Some(version)) => {
                held.dirty = true;
                Written::Stored(version)
            }
            Ok(None) => Written::Refused(why(
                "it cannot be taken out of its feed and put back; please report it",
                None,
            )),
            Err(source) => Written::Failed(why(UNREAD, Some(source))),
        }
    }

    async fn publish(&self, frozen: bool) -> Result<bool, WriteRefusal> {
        let mut target = self.target.lock().await;
        let calendar = {
            let mut held = self.held();
            let Some(snapshot) = held.current.clone() else {
                return Ok(false);
            };
            // Neither does anything go that is not known to be gone for good.
            if held.short_of.is_some() && (frozen || held.relist.is_some()) {
                return Ok(false);
            }
            if !held.dirty && !target.is_disturbed() {
                return Ok(false);
            }
            held.links.prune(snapshot.index());
            held.dirty = false;
            held.links.compose(&snapshot)
        };
        let written = target.write(&self.name, calendar).await;
        let mut held = self.held();
        if written.is_ok() {
            held.short_of = None;
        } else {
            held.dirty = true;
            held.pace.next = held.pace.next.min(self.clock.elapsed() + RETRY);
        }
        written
    }

    async fn changed(&self) -> Scope {
        loop {
            let (wait, scope) = self.wait(self.clock.elapsed());
            if wait.is_zero() {
                return scope;
            }
            self.clock.sleep(wait).await;
        }
    }

    fn next_look(&self) -> Option<Duration> {
        let now = self.clock.elapsed();
        Some(now + self.wait(now).0)
    }

    fn is_derived(&self) -> bool {
        true
    }

    fn reread_secrets(&self) {
        self.source.reread_secrets();
        self.published.iter().for_each(|to| to.reread_secrets());
    }

    fn is_outgrown(&self, id: &ResourceId) -> bool {
        self.held().links.is_carried(id.as_str())
    }

    fn proof(&self, id: &ResourceId) -> Option<Proof> {
        let index = self.held().current.clone();
        let piece_minted = index
            .as_ref()
            .and_then(|snapshot| snapshot.index().find(id.as_str()))
            .is_some_and(|piece| piece.minted);
        let minted = piece_minted || self.doubts.mints(self.clock.now());
        Some(Proof {
            after: if minted { MINTED } else { self.proof },
            minted,
        })
    }
}
