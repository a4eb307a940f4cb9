//! Learning what a calendar keeps of a link: the first one that is written is read again at once, and
//! until then no other event is written only to restore a part of its link.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::understand::Planned;
use super::{Bridge, Watched};
use crate::calendar::Resource;
use crate::ical::event::Place;
use crate::ical::write;
use crate::model::{CalendarName, ResourceId, Version};
use crate::plan::{Decision, kept, stamp};
use crate::state::{CalendarRecord, Kept, Link, Phase, StateError};

/// What is known at the time of acting.
pub(super) struct Keeps {
    drops: BTreeSet<Place>,
    /// Nothing is known: the resource whose write is to show it, once there is one.
    lesson: Option<Mutex<Option<ResourceId>>>,
}

impl Keeps {
    pub(super) fn of(calendar: &Watched, record: &CalendarRecord) -> Self {
        let known = matches!(record.kept, Kept::Known(_)) || !calendar.port.may_alter();
        Self {
            drops: record.kept.drops(),
            lesson: (!known).then(Mutex::default),
        }
    }

    /// The places that the calendar drops.
    pub(super) fn drops(&self) -> BTreeSet<Place> {
        self.drops.clone()
    }

    /// Whether this resource is the first one to be written while nothing is known.
    fn is_first(&self, id: &ResourceId) -> bool {
        let Some(lesson) = &self.lesson else {
            return false;
        };
        let mut first = lesson.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| id.clone()) == id
    }

    /// Whether what is to be done waits until it is known what the calendar keeps: what looks like a
    /// part that was taken out may be one that it never keeps.
    pub(super) fn postpones(&self, id: &ResourceId, planned: &Planned) -> bool {
        let restores = matches!(planned.decided.what, Decision::Write { replaces: None });
        let shown = planned
            .meeting
            .as_ref()
            .is_some_and(|m| write::shows(&planned.event, &m.meeting.join_url));
        self.lesson.is_some() && restores && shown && !self.is_first(id)
    }
}

impl Bridge {
    /// Notes that a write has landed. Whether the resource is to be read again at once.
    pub(super) fn begin_lesson(
        &self,
        calendar: &CalendarName,
        keeps: &Keeps,
        id: &ResourceId,
        version: &Version,
    ) -> Result<bool, StateError> {
        if !keeps.is_first(id) {
            return Ok(false);
        }
        let mut record = self.state.calendar(calendar)?;
        record.kept = Kept::Lesson {
            resource: id.clone(),
            version: version.clone(),
        };
        self.state.put_calendar(calendar, &record)?;
        Ok(true)
    }
}

/// When the resource with these links was last written.
pub(super) fn last_write<'l>(links: impl Iterator<Item = &'l Link>) -> Option<DateTime<Utc>> {
    links.filter(is_written).map(|link| link.written).max()
}

/// Whether a write of the link has landed, as one that was found in its event has not.
fn is_written(link: &&Link) -> bool {
    link.attempts > 0
}

/// Learns from an event, read with its link. `decided` is the version of the resource that was last
/// decided upon, `written` when it was last written.
pub(super) fn learn(
    calendar: &Watched,
    resource: &Resource,
    decided: Option<&Version>,
    written: Option<DateTime<Utc>>,
    planned: &Planned,
    kept: &mut Kept,
) {
    let (Some(link), Some(meeting)) = (&planned.link, &planned.meeting) else {
        return;
    };
    let event = &planned.event;
    if !calendar.port.may_alter() || event.fault.is_some() {
        return;
    }
    // Our writes bear whole seconds. Whoever edits an event says when, or should: without a lesson, which
    // is read at once, that is no proof.
    let ours = stamp(event).is_some_and(|at| at.timestamp() == link.written.timestamp());
    let lesson = match kept {
        Kept::Lesson {
            resource: id,
            version,
        } => *id == resource.id && (ours || calendar.port.became(version, &resource.version)),
        _ => false,
    };
    let fresh = link.phase == Phase::Written;
    // A link of which the write restored a part was seen before.
    let completed = is_written(&link) && Some(link.written) == written;
    let left = |decided| calendar.port.became(decided, &resource.version);
    let untouched =
        (lesson && (fresh || ours || completed)) || (fresh && decided.is_some_and(left));
    let join_url = &meeting.meeting.join_url;
    let known = matches!(kept, Kept::Known(_));
    if known || (untouched && write::shows(event, join_url)) {
        let drops = kept.drops();
        *kept = Kept::Known(kept::learn(
            event,
            join_url,
            calendar.location,
            &drops,
            untouched,
        ));
    }
}
