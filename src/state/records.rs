//! What is remembered. Plain data, nothing of SQLite.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::calendar::SyncToken;
use crate::ical::event::Place;
use crate::meeting::{Applied, Meeting};
use crate::model::{CalendarName, ExternalId, Generation, OrganizerId, ResourceId, Uid, Version};

/// How far the write-back of a link is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The write is about to be made, or was made and nobody knows how it ended.
    Intended,
    /// The calendar said that it is stored.
    Written,
    /// A later read, or a listing of the version we wrote, showed it in the event.
    Seen,
    /// It was taken out again, or is about to be: the rules say whether the event gets it anew.
    TakenOut,
    /// An operator had it taken out for good, or has it taken out.
    OptedOut,
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
    /// When the last write was decided: the DTSTAMP that it gave the event. A copy of the event that is
    /// older than this was restored from somewhere.
    pub written: DateTime<Utc>,
    /// When the event ends; `None` for one that repeats, as far as a read has shown.
    pub ends: Option<DateTime<Utc>>,
    /// Since when nobody sees the link: its event vanished, or it was taken out of it.
    pub gone: Option<Gone>,
    /// Since when its event, which shows it, is cancelled.
    pub cancelled: Option<DateTime<Utc>>,
    /// What becomes of the meeting of a link that is gone or cancelled is decided and done.
    pub closed: bool,
    /// Its event shows, or may show, the link of a [`Former`] meeting.
    pub former: bool,
    /// Its event has the link without our mark, or is published with it: nothing but this record tells
    /// that the link is ours.
    pub unmarked: bool,
}

/// Since when a link is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// When that was first noticed; when an operator consented to a mass loss, the time of the consent.
    pub since: DateTime<Utc>,
    /// Nothing is concluded from an absence that is not confirmed.
    pub confirmed: bool,
}

impl Link {
    /// Whether the event has not ended at `now`.
    pub fn is_future(&self, now: DateTime<Utc>) -> bool {
        self.ends.is_none_or(|end| now < end)
    }

    /// Whether its event, as far as is known, has it and is not cancelled.
    pub fn is_live(&self) -> bool {
        self.gone.is_none() && self.cancelled.is_none()
    }

    /// Since when it is gone for sure.
    pub fn gone_since(&self) -> Option<DateTime<Utc>> {
        self.gone
            .filter(|gone| gone.confirmed)
            .map(|gone| gone.since)
    }
}

/// How far the end of a meeting has come that is not to outlive its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// It may be deleted already: it is not to be used again before that is done.
    pub begun: bool,
    /// Nothing is done about it before this time.
    pub due: DateTime<Utc>,
}

/// A meeting in whose place its key has another one, or is about to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// What is remembered of it: under the key, another meeting is, or will be.
    pub record: MeetingRecord,
    /// The calendar that asked for another one, and says what becomes of this one.
    pub calendar: CalendarName,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What became of it.
    pub fate: FormerFate,
}

/// What became of a meeting that another one has replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormerFate {
    /// Nothing yet; nothing is done about it before this time.
    Open(DateTime<Utc>),
    /// It may be deleted already; to be tried again at this time.
    Begun(DateTime<Utc>),
    /// It is deleted.
    Ended,
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
    /// Which settings it was last given.
    pub settings: Applied,
    /// When it was first remembered.
    pub created: DateTime<Utc>,
}

impl MeetingRecord {
    /// The same, as one that is behind whatever its event says: it is updated or got anew before
    /// anything rests on it.
    pub fn outdated(self) -> Self {
        let meeting = Meeting {
            span: None,
            ..self.meeting
        };
        Self {
            meeting,
            schedule: String::new(),
            ..self
        }
    }
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
    /// Stands for the configuration that the last decisions rest on.
    pub rules: String,
    /// It is frozen: nothing is made or written until an operator resumes it.
    pub frozen: Option<Frozen>,
    /// When the last pass ended that had anything to do.
    pub last_pass: Option<DateTime<Utc>>,
    /// Why the last pass failed, in words, if it did.
    pub failing: Option<String>,
    /// That goes on until a person acts.
    pub needs_person: bool,
    /// Up to where the calendar's changes are known.
    pub token: Option<SyncToken>,
    /// What it keeps of a link.
    pub kept: Kept,
}

/// What is known of the places of a link that a calendar keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    #[default]
    Unknown,
    /// A link was written into this resource, and is to be read again.
    Lesson {
        /// Which resource.
        resource: ResourceId,
        /// The version that the write left.
        version: Version,
    },
    /// It drops, or alters, what is written in these places, and keeps it in the others.
    Known(BTreeSet<Place>),
}

impl Kept {
    /// The places that are known to be dropped.
    pub fn drops(&self) -> BTreeSet<Place> {
        match self {
            Self::Known(drops) => drops.clone(),
            Self::Unknown | Self::Lesson { .. } => BTreeSet::new(),
        }
    }
}

/// Since when and why a calendar is frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why, in words for `status`.
    pub why: String,
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
