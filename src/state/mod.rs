//! What is remembered between passes: links, meetings, intents, counters, in SQLite. A cache: losing
//! it loses no link (DESIGN.md, promise 5).
//!
//! In and out: the records below, nothing of SQLite. Calls are short and synchronous; one process
//! holds the state at a time ([`State::open`] takes the lock).

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, Utc};

use crate::meeting::Meeting;
use crate::model::{
    CalendarName, ExternalId, Generation, JoinUrl, OrganizerId, ResourceId, Uid, Version,
};

/// How far the write-back of a link is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The write is about to be made, or was made and nobody knows how it ended.
    Intended,
    /// The calendar said that it is stored.
    Written,
    /// A later read, or a listing of the version we wrote, showed it in the event.
    Seen,
}

/// An event's relation to its meeting: one per (calendar, resource, UID).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The calendar that holds the event.
    pub calendar: CalendarName,
    /// The resource that holds it.
    pub resource: ResourceId,
    /// The event.
    pub uid: Uid,
    /// Who owns the meeting; stays when the configured organizer changes.
    pub organizer: OrganizerId,
    /// The meeting's key.
    pub external_id: ExternalId,
    /// The generation that the key was made with.
    pub generation: Generation,
    /// How far it has come.
    pub phase: Phase,
    /// [`crate::ical::event::Event::content`] as it was when the last write was decided.
    pub before: String,
    /// How many writes that were decided on `before` have landed: what a calendar drops again and
    /// again is not written for ever.
    pub attempts: u32,
}

/// A meeting, as it was last made or updated: one per (organizer, externalId).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeetingRecord {
    /// Who owns it.
    pub organizer: OrganizerId,
    /// Its key.
    pub external_id: ExternalId,
    /// The event it belongs to.
    pub uid: Uid,
    /// What the service last said, with the span and subject that were last asked for.
    pub meeting: Meeting,
    /// [`crate::ical::event::Event::schedule`] that the span was computed from.
    pub schedule: String,
    /// When it was first remembered.
    pub created: DateTime<Utc>,
}

/// What the last passes found out about one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRecord {
    /// Which one.
    pub id: ResourceId,
    /// The version that was decided upon.
    pub version: Version,
    /// When this version was first read.
    pub first_seen: DateTime<Utc>,
    /// When its events have to be decided again although nothing changed.
    pub due: Option<DateTime<Utc>>,
    /// How its events were decided: reason → number, e.g. `[("in-step", 3), ("past", 1)]`.
    pub outcome: Vec<(String, u32)>,
}

/// What is remembered of a calendar as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalendarRecord {
    /// A pass over all of it has ended well: the first-pass limit does not apply any more.
    pub first_pass_done: bool,
    /// An operator consented to a large first pass.
    pub consented: bool,
    /// It is frozen: nothing is made or written until an operator resumes it.
    pub frozen: Option<Frozen>,
    /// When the last pass over all of it ended.
    pub last_pass: Option<DateTime<Utc>>,
    /// Why the last pass failed, in words, if it did.
    pub failing: Option<String>,
}

/// Since when and why a calendar is frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why, in words for `status`.
    pub why: String,
}

/// Why the state cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it (exit status 75).
    #[error(
        "{directory}: another meetbridge (process {holder}) uses this state; stop it first, \
             or give this one a state directory of its own"
    )]
    Locked {
        /// The state directory.
        directory: PathBuf,
        /// The process id in the lock file, or `unknown`.
        holder: String,
    },
    /// It was written by a newer version (exit status 78).
    #[error(
        "{path}: written by a newer meetbridge (schema {found}, this one knows {known}); \
             install that version again, or move the file away: links are found again in the events"
    )]
    Newer {
        /// The state file.
        path: PathBuf,
        /// Its `user_version`.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The directory or file cannot be used.
    #[error("{path}: {hint}")]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// What to do.
        hint: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why the state could not be read or written. No outside effect may follow one of these.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk is full.
    #[error("{path}: the disk is full; nothing new is linked until there is room")]
    Full {
        /// The state file.
        path: PathBuf,
    },
    /// Anything else.
    #[error("{path}: the state cannot be used")]
    Sqlite {
        /// The state file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
}

type Result<T, E = StateError> = std::result::Result<T, E>;

/// The state of one running meetbridge.
pub struct State {}

#[allow(unused_variables, clippy::todo, missing_docs)] // bodies and docs: to be filled in
impl State {
    /// Opens the state below `directory` (made if absent, 0700), locked against every other process.
    /// A damaged file is set aside as `state.db.damaged-TIME`; its new path comes back.
    pub fn open(
        directory: &Path,
        now: DateTime<Utc>,
    ) -> Result<(Self, Option<PathBuf>), OpenError> {
        todo!()
    }
    /// Opens it to look only: takes no lock, changes nothing; for `status`, `plan`, `explain` beside
    /// a running daemon. `Ok(None)` when there is no state yet.
    pub fn open_read_only(directory: &Path) -> Result<Option<Self>, OpenError> {
        todo!()
    }

    // resources
    pub fn resources(&self, calendar: &CalendarName) -> Result<Vec<ResourceRecord>> {
        todo!()
    }
    pub fn resource(
        &self,
        calendar: &CalendarName,
        id: &ResourceId,
    ) -> Result<Option<ResourceRecord>> {
        todo!()
    }
    pub fn put_resource(&self, calendar: &CalendarName, record: &ResourceRecord) -> Result<()> {
        todo!()
    }
    /// Forgets a resource that vanished; its links and meetings stay.
    pub fn forget_resource(&self, calendar: &CalendarName, id: &ResourceId) -> Result<()> {
        todo!()
    }

    // links and meetings
    pub fn links(&self, calendar: &CalendarName, resource: &ResourceId) -> Result<Vec<Link>> {
        todo!()
    }
    /// Inserts or replaces all of them in one transaction.
    pub fn put_links(&self, links: &[Link]) -> Result<()> {
        todo!()
    }
    /// Moves every `Written` link of the calendar whose resource is not in `except` to `Seen`: a
    /// complete listing showed the versions that were written.
    pub fn confirm_written(
        &self,
        calendar: &CalendarName,
        except: &std::collections::BTreeSet<ResourceId>,
    ) -> Result<usize> {
        todo!()
    }
    pub fn meeting(
        &self,
        organizer: &OrganizerId,
        external_id: &ExternalId,
    ) -> Result<Option<MeetingRecord>> {
        todo!()
    }
    /// Whose meeting a join URL is, whoever's calendar it stands in.
    pub fn meeting_with_url(&self, url: &JoinUrl) -> Result<Option<MeetingRecord>> {
        todo!()
    }
    pub fn put_meeting(&self, record: &MeetingRecord) -> Result<()> {
        todo!()
    }

    // budgets
    /// Meetings made on this UTC day for events of the calendar.
    pub fn created_on(&self, calendar: &CalendarName, day: NaiveDate) -> Result<u32> {
        todo!()
    }
    /// Meetings made in the UTC month that `day` is in, for the organizer.
    pub fn created_in_month(&self, organizer: &OrganizerId, day: NaiveDate) -> Result<u32> {
        todo!()
    }
    /// Counts one creation on `day`, and forgets counters older than 60 days.
    pub fn count_creation(
        &self,
        calendar: &CalendarName,
        organizer: &OrganizerId,
        day: NaiveDate,
    ) -> Result<()> {
        todo!()
    }

    // calendars
    pub fn calendar(&self, calendar: &CalendarName) -> Result<CalendarRecord> {
        todo!()
    }
    pub fn put_calendar(&self, calendar: &CalendarName, record: &CalendarRecord) -> Result<()> {
        todo!()
    }
    /// Per calendar that has any resource or record: its record, the sum of its resources' outcomes,
    /// and how many links stand in each phase. For `status`.
    pub fn overview(&self) -> Result<Vec<Overview>> {
        todo!()
    }

    // Retry-After windows
    pub fn windows(&self) -> Result<Vec<(String, DateTime<Utc>)>> {
        todo!()
    }
    pub fn put_window(&self, scope: &str, until: DateTime<Utc>) -> Result<()> {
        todo!()
    }
}

/// One calendar in `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Which.
    pub calendar: CalendarName,
    /// Its record.
    pub record: CalendarRecord,
    /// Reason → number of events, over all its resources.
    pub outcome: Vec<(String, u32)>,
    /// Links that are intended, written, seen.
    pub links: [u32; 3],
}
