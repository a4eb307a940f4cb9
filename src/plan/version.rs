//! Which version of an event was read: the one that was written, an older one, or another.

use chrono::{DateTime, Utc};

use crate::ical::event::Event;
use crate::state::{Link, Phase};

/// How often a write that was decided on the same content may land before the calendar is taken to
/// drop what is written.
pub(super) const ATTEMPTS: u32 = 2;

/// Whether an event without our link is a copy from before it was linked, brought back by a backup or by
/// a program that had not seen the link, and not an event from which a person took it out.
pub(super) fn is_restored(event: &Event, link: &Link) -> bool {
    let same = event.content == link.before && link.attempts < ATTEMPTS;
    // What is written bears whole seconds.
    same || stamp(event).is_some_and(|at| at.timestamp() < link.written.timestamp())
}

/// When the event says that it was last changed: the later of LAST-MODIFIED and DTSTAMP.
pub fn stamp(event: &Event) -> Option<DateTime<Utc>> {
    event.last_modified.max(event.stamped)
}

/// Whether the calendar drops what is written into this event.
pub(super) fn is_dropped(event: &Event, link: &Link) -> bool {
    is_same(event, link) && link.phase != Phase::Intended && link.attempts >= ATTEMPTS
}

/// Whether the event is the one that the last write was decided on, or what the calendar made of that
/// write: nobody has edited it since.
pub fn is_same(event: &Event, link: &Link) -> bool {
    // What is written bears whole seconds.
    let stamped = stamp(event).is_some_and(|at| at.timestamp() == link.written.timestamp());
    event.content == link.before || stamped
}
