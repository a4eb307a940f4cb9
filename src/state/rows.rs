//! Values of the tables to records and back. A value that this program never writes is an error
//! that says so without quoting it: it may hold a join URL.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::{Type, ValueRef};

use super::records::{
    CalendarRecord, Frozen, Gone, Kept, Link, MeetingRecord, Phase, ResourceRecord,
};
use crate::calendar::SyncToken;
use crate::ical::event::Place;
use crate::meeting::{Applied, Meeting};
use crate::model::{CalendarName, ExternalId, OrganizerId, ResourceId, Uid, Version};

pub(super) fn read_resource(row: &Row<'_>) -> rusqlite::Result<ResourceRecord> {
    Ok(ResourceRecord {
        id: ResourceId::new(row.get::<_, String>(0)?),
        version: Version::new(row.get::<_, String>(1)?),
        first_seen: time(row, 2)?,
        due: time_or_none(row, 3)?,
        outcome: read_outcome(row, 4)?,
    })
}

/// A question for links, in the columns that [`read_link`] reads.
macro_rules! links {
    ($rest:literal) => {
        concat!(
            "SELECT calendar, resource, uid, organizer, external_id, generation, phase, before,
             attempts, written, ends, gone, gone_confirmed, cancelled, closed, former, unmarked
             FROM links ",
            $rest
        )
    };
}
pub(super) use links;

pub(super) fn read_link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        calendar: CalendarName::new(row.get::<_, String>(0)?),
        resource: ResourceId::new(row.get::<_, String>(1)?),
        uid: uid(row, 2)?,
        organizer: organizer(row, 3)?,
        external_id: ExternalId::stored(row.get::<_, String>(4)?),
        generation: row.get(5)?,
        phase: match row.get(6)? {
            0 => Phase::Intended,
            1 => Phase::Written,
            2 => Phase::Seen,
            3 => Phase::TakenOut,
            4 => Phase::OptedOut,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(6, other)),
        },
        before: row.get(7)?,
        attempts: row.get(8)?,
        written: time(row, 9)?,
        ends: time_or_none(row, 10)?,
        gone: match time_or_none(row, 11)? {
            Some(since) => Some(Gone {
                since,
                confirmed: row.get(12)?,
            }),
            None => None,
        },
        cancelled: time_or_none(row, 13)?,
        closed: row.get(14)?,
        former: row.get(15)?,
        unmarked: row.get(16)?,
    })
}

pub(super) fn phase_number(phase: Phase) -> u8 {
    match phase {
        Phase::Intended => 0,
        Phase::Written => 1,
        Phase::Seen => 2,
        Phase::TakenOut => 3,
        Phase::OptedOut => 4,
    }
}

pub(super) fn read_meeting(row: &Row<'_>) -> rusqlite::Result<MeetingRecord> {
    let meeting = read_meeting_text(row, 3)?;
    Ok(MeetingRecord {
        organizer: organizer(row, 0)?,
        external_id: ExternalId::stored(row.get::<_, String>(1)?),
        uid: uid(row, 2)?,
        meeting,
        schedule: row.get(4)?,
        settings: Applied::stored(row.get::<_, String>(5)?),
        created: time(row, 6)?,
    })
}

/// What the service said of a meeting.
pub(super) fn read_meeting_text(row: &Row<'_>, column: usize) -> rusqlite::Result<Meeting> {
    // The parser's own error may quote what it read, a join URL for example.
    serde_json::from_str(row.get_ref(column)?.as_str()?)
        .map_err(|_| unreadable(column, "not a meeting as this version writes it"))
}

pub(super) fn read_calendar(row: &Row<'_>) -> rusqlite::Result<(String, CalendarRecord)> {
    let since = time_or_none(row, 3)?;
    let record = CalendarRecord {
        first_pass_done: row.get(1)?,
        consented: row.get(2)?,
        frozen: match since {
            Some(since) => Some(Frozen {
                since,
                why: row.get(4)?,
            }),
            None => None,
        },
        last_pass: time_or_none(row, 5)?,
        failing: row.get(6)?,
        needs_person: row.get(10)?,
        rules: row.get(7)?,
        token: row.get::<_, Option<String>>(8)?.map(SyncToken::new),
        kept: match row.get_ref(9)? {
            ValueRef::Null => Kept::Unknown,
            text => read_kept(text.as_str()?)
                .ok_or_else(|| unreadable(9, "not what a calendar keeps"))?,
        },
    };
    Ok((row.get(0)?, record))
}

/// `{"lesson":["a.ics","7"]}` or `{"drops":["CONFERENCE"]}`.
pub(super) fn kept_text(kept: &Kept) -> Option<String> {
    let value = match kept {
        Kept::Unknown => return None,
        Kept::Lesson { resource, version } => {
            serde_json::json!({ "lesson": [resource.as_str(), version.as_str()] })
        }
        Kept::Known(drops) => {
            let names: Vec<_> = drops.iter().map(|place| place.name()).collect();
            serde_json::json!({ "drops": names })
        }
    };
    Some(value.to_string())
}

fn read_kept(text: &str) -> Option<Kept> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    if let Some(lesson) = value.get("lesson") {
        return Some(Kept::Lesson {
            resource: ResourceId::new(lesson.get(0)?.as_str()?),
            version: Version::new(lesson.get(1)?.as_str()?),
        });
    }
    let drops = value.get("drops")?.as_array()?.iter();
    let place = |name: &serde_json::Value| Place::named(name.as_str()?);
    Some(Kept::Known(drops.map(place).collect::<Option<_>>()?))
}

/// `[["in-step",3],["past",1]]`.
pub(super) fn outcome_text(outcome: &[(String, u32)]) -> String {
    serde_json::Value::from_iter(
        outcome
            .iter()
            .map(|(reason, number)| serde_json::json!([reason, number])),
    )
    .to_string()
}

pub(super) fn read_outcome(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<(String, u32)>> {
    serde_json::from_str(row.get_ref(column)?.as_str()?)
        .map_err(|_| unreadable(column, "not a list of reasons and numbers"))
}

fn uid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uid> {
    Uid::new(row.get::<_, String>(column)?).ok_or_else(|| unreadable(column, "not a UID"))
}

pub(super) fn organizer(row: &Row<'_>, column: usize) -> rusqlite::Result<OrganizerId> {
    OrganizerId::new(row.get_ref(column)?.as_str()?)
        .ok_or_else(|| unreadable(column, "not an object id"))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    let micros = row.get(column)?;
    DateTime::from_timestamp_micros(micros)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, micros))
}

fn time_or_none(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => time(row, column).map(Some),
    }
}

pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    Ok(u32::try_from(row.get::<_, i64>(column)?).unwrap_or(u32::MAX))
}

fn unreadable(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
}
