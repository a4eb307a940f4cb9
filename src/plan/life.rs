//! How long an event's meeting lives, and when it has to follow its event.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::style::Style;
use crate::ical::event::{Event, Next};
use crate::model::Span;
use crate::state::MeetingRecord;

/// A meeting expires this long after its end (graph-api.md, section 8).
const LIFETIME: Duration = Duration::from_hours(60 * 24);

/// A series' meeting is moved on when less than this is left of its life.
const ROLL_BEFORE: Duration = Duration::from_hours(21 * 24);

/// How soon a series' meeting is moved on whose time is not remembered.
const ASSUMED: Duration = Duration::from_hours(7 * 24);

/// When the meeting of a series has to be moved on to a later occurrence, given the one it has.
pub fn roll_at(event: &Event, held: Span) -> Option<DateTime<Utc>> {
    let after_end = chrono::Duration::from_std(LIFETIME - ROLL_BEFORE).ok()?;
    event
        .recurring
        .then(|| held.end.checked_add_signed(after_end))
        .flatten()
}

/// The time of a meeting of which nothing is remembered but that the event carries it. A series' may
/// be down to what [`roll_at`] leaves of its life: it is taken to be as old as a week before that end.
pub fn assumed_span(event: &Event, now: DateTime<Utc>) -> Option<Span> {
    let Next::At(next) = event.next else {
        return None;
    };
    let since_end = chrono::Duration::from_std(LIFETIME - ROLL_BEFORE - ASSUMED).ok()?;
    let end = now.checked_sub_signed(since_end)?;
    let start = end.checked_sub_signed(next.end - next.start)?;
    Some(if event.recurring {
        next.min(Span { start, end })
    } else {
        next
    })
}

/// Whether the meeting has other times or another title than the event, or has to be moved on before
/// it expires.
pub fn is_behind(event: &Event, record: &MeetingRecord, style: &Style, now: DateTime<Utc>) -> bool {
    let meeting = &record.meeting;
    let roll = meeting.span.and_then(|held| roll_at(event, held));
    record.schedule != event.schedule
        || meeting.subject != style.subject(event)
        || roll.is_some_and(|at| now >= at)
}

/// When the meeting that takes place at `now` ends: until then it is left as it is.
pub fn in_progress_until(record: &MeetingRecord, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let held = record.meeting.span?;
    (held.start <= now && now < held.end).then_some(held.end)
}
