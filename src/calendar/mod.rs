//! The port to calendars, and its kinds.
//!
//! In: what is known of each resource. Out: those that are new or changed, as a stream, so that
//! memory stays bounded; and conditional writes against the version that was read.

pub mod caldav;
pub mod directory;
pub mod feed;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;

use crate::model::{ResourceId, Version};

/// One stored iCalendar object as it was read: the unit of reading and writing.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Which one.
    pub id: ResourceId,
    /// What a write of it must be conditional on.
    pub version: Version,
    /// Its bytes, complete and unaltered.
    pub bytes: Arc<[u8]>,
    /// Where they stand in what the resource is shown as a part of, as [`Document::parse_part`] takes it;
    /// empty where it is no part.
    ///
    /// [`Document::parse_part`]: crate::ical::document::Document::parse_part
    pub origins: Arc<[(usize, usize)]>,
    /// When the store last changed it, where the store says so.
    pub modified: Option<DateTime<Utc>>,
}

/// Which resources a read looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole calendar: lists everything, reads what is not known.
    All,
    /// What changed since the last read, as its [`SyncToken`] tells; each of it is read, however well
    /// its version is known (promise 3). Whoever only says that something changed leaves it `None`.
    News(Option<SyncToken>),
    /// Only these, and each of them is read, however well its version is known (promise 3).
    Only(BTreeSet<ResourceId>),
}

/// Up to where a calendar's changes are known: a port's own text, stored and handed back as it is
/// (RFC 6578, 3.2: DAV:sync-token, or whatever else the port can tell changes by).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SyncToken(String);

impl SyncToken {
    /// Wraps a port's token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The versions that the last passes settled; a listing does not read these again.
pub type Known = HashMap<ResourceId, Version>;

/// What a read finds, one by one. A stream that ends without `Complete` was cut short, and nothing
/// may be concluded from what it did not show.
#[derive(Debug)]
pub enum Found {
    /// A resource that is new, changed, or asked for by name.
    Changed(Resource),
    /// A known resource that a complete listing did not show, or that was asked for and is not there.
    Vanished(ResourceId),
    /// A resource reported with the version that our own last write of it left: what was written is
    /// there, and nothing else is.
    Confirmed(ResourceId),
    /// A resource that is there and could not be read; its neighbours go on.
    Unreadable(ResourceId, ReadError),
    /// The end.
    Complete {
        /// How many known resources were listed with the version that is known; for [`Scope::All`].
        unchanged: usize,
        /// From where [`Scope::News`] may go on; `None` where the port cannot tell.
        token: Option<SyncToken>,
    },
}

/// The stream of a read.
pub type Finding<'a> = BoxStream<'a, Found>;

/// Why a calendar, or one resource in it, could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file that does not (yet) end as a calendar does: its writer is at it, or broke off.
    #[error(
        "{0}: incomplete: it does not end with END:VCALENDAR; it is read again when it changes"
    )]
    Incomplete(String),
    /// Larger than is read.
    #[error("{what}: larger than {limit} MiB; split the calendar into smaller resources")]
    TooLarge {
        /// The resource.
        what: String,
        /// The limit, in MiB.
        limit: u64,
    },
    /// The operating system refused.
    #[error("{what}: {hint}")]
    Io {
        /// The file or directory.
        what: String,
        /// What to do about it.
        hint: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The token of [`Scope::News`] is missing or not known any more: read all of it.
    #[error("the calendar cannot tell what changed; all of it is listed")]
    Expired,
    /// A calendar server refused, failed, or answered what cannot be right.
    #[error("{what}: {hint}")]
    Server {
        /// The account or collection, with its host.
        what: String,
        /// What is wrong and what to do.
        hint: String,
        /// How soon it is worth another try.
        again: Again,
    },
}

impl ReadError {
    /// Whether it goes on until a person acts: on a disk, nothing passes by itself.
    pub fn needs_person(&self) -> bool {
        match self {
            Self::Server { again, .. } => *again == Again::Slowly,
            Self::Io { .. } | Self::TooLarge { .. } => true,
            Self::Incomplete(_) | Self::Expired => false,
        }
    }

    /// How soon the read is worth another try.
    pub fn again(&self) -> Again {
        match self {
            Self::Server { again, .. } => *again,
            _ => Again::Soon,
        }
    }
}

/// How soon a read that failed is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It may pass by itself.
    Soon,
    /// A person has to act, and trying often does harm (a wrong password, for example).
    Slowly,
    /// Not before this, as the server asked.
    At(DateTime<Utc>),
}

/// Whether a calendar's server tells attendees when one of their events is written (field notes, P4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attendees {
    /// Nobody is told: there is no server, or it does not schedule.
    NotTold,
    /// They are mailed, or their copies change, each time.
    Told,
    /// Nobody knows.
    Unknown,
}

/// How the UIDs of a resource have to prove that they stay, where a source may mint others each time
/// it is read (field notes, P1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// How long before the present an earlier reading must have shown them.
    pub after: Duration,
    /// The source was seen to mint UIDs.
    pub minted: bool,
}

/// Where a port keeps what it learned about its server. Losing it costs learning it again.
pub trait Notes: Send + Sync {
    /// What was kept under `key`.
    fn load(&self, key: &str) -> Option<String>;

    /// Keeps `text` under `key`, in place of what was there.
    fn store(&self, key: &str, text: &str);
}

/// How a write ended.
#[derive(Debug)]
pub enum Written {
    /// It is stored, and this is its version.
    Stored(Version),
    /// The resource changed or vanished since it was read: nothing was written, decide again.
    Changed,
    /// Nothing was written and a repeat would not be either, until a person acts.
    Refused(WriteRefusal),
    /// Nothing was written; a later pass may succeed (a full disk, a lock).
    Failed(WriteRefusal),
    /// Nobody knows whether it was stored: read before doing anything else.
    Unknown(WriteRefusal),
}

/// Why a write was refused: names the resource, says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {hint}")]
pub struct WriteRefusal {
    /// The resource.
    pub what: String,
    /// What is wrong and what to do.
    pub hint: String,
    /// The cause, where there is one.
    #[source]
    pub source: Option<std::io::Error>,
}

/// A calendar: something that holds resources.
#[async_trait]
pub trait Calendar: Send + Sync {
    /// Reads what `scope` names and `known` does not hold already.
    ///
    /// # Errors
    /// When the calendar as a whole cannot be read; a single resource's fault is in the stream.
    async fn read(&self, scope: &Scope, known: Known) -> Result<Finding<'_>, ReadError>;

    /// Replaces one resource's bytes, if it still is in the version that was read.
    async fn write(&self, id: &ResourceId, version: &Version, bytes: &[u8]) -> Written;

    /// Waits until something changed, then says where to look. Safe to drop and call again: a change
    /// that was not delivered is delivered by the next call. A calendar that cannot be watched waits
    /// for ever and relies on the schedule.
    async fn changed(&self) -> Scope;

    /// Begins to notice changes, so that [`Calendar::changed`] misses none from here on. Where it cannot,
    /// `changed` tries again.
    async fn begin(&self) {}

    /// When [`Calendar::changed`] looks for changes next, on the monotonic clock; `None`: it is told of
    /// them.
    fn next_look(&self) -> Option<Duration> {
        None
    }

    /// Whether a resource that is reported as vanished was asked for by its own name, at the only
    /// place that could hold it. If not, it counts as gone only when two complete readings, an
    /// interval apart, do not show it.
    fn confirms_absence(&self) -> bool {
        false
    }

    /// Whether what is read after a write may be something else than what was written, as with
    /// servers that drop or rewrite properties.
    fn may_alter(&self) -> bool {
        false
    }

    /// Whether a resource that is read in the version `read` is, unedited, what became of a write that
    /// left the version `written`: a port that knows of a write only what it was told compares that.
    fn became(&self, written: &Version, read: &Version) -> bool {
        written == read
    }

    /// Whether links are kept beside what is read and published elsewhere: a resource that changed is
    /// read without its link, though nobody took that out, and nothing in it is ours to date.
    fn is_derived(&self) -> bool {
        false
    }

    /// Whether the link that a resource shows was made for what its event was before: its meeting is
    /// perhaps behind.
    fn is_outgrown(&self, _id: &ResourceId) -> bool {
        false
    }

    /// Makes public what a pass read and wrote; whether anything was new. Called at its end. Of a
    /// `frozen` calendar nothing is made public that takes much away at once.
    ///
    /// # Errors
    /// Why not, and what to do; the next pass tries again.
    async fn publish(&self, _frozen: bool) -> Result<bool, WriteRefusal> {
        Ok(false)
    }

    /// How the UIDs in a resource have to prove that they stay before its events get links; `None`:
    /// they need not.
    fn proof(&self, _id: &ResourceId) -> Option<Proof> {
        None
    }

    /// Has the secrets that it signs in with read anew before they are used next.
    fn reread_secrets(&self) {}

    /// Whether attendees are told of a write.
    fn attendees(&self) -> Attendees {
        Attendees::NotTold
    }
}
