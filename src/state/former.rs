//! Meetings that others have replaced under their keys.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::error::StateError;
use super::links::{meeting_text, url_hash};
use super::records::{Former, FormerFate, MeetingRecord};
use super::rows::{read_meeting, time};
use super::store::State;
use crate::model::{CalendarName, ExternalId, JoinUrl, OrganizerId};

type Result<T, E = StateError> = std::result::Result<T, E>;

/// A question for former meetings, in the columns that [`read_former`] reads.
macro_rules! formers {
    ($rest:literal) => {
        concat!(
            "SELECT organizer, external_id, uid, meeting, schedule, settings, created, calendar,
             since, fate, due FROM formers ",
            $rest
        )
    };
}

impl State {
    /// The former meetings of a key, the oldest first.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn formers(
        &self,
        organizer: &OrganizerId,
        external_id: &ExternalId,
    ) -> Result<Vec<Former>> {
        self.read(|c| {
            c.prepare_cached(formers!(
                "WHERE organizer = ?1 AND external_id = ?2 ORDER BY since, url_sha256"
            ))?
            .query_map((organizer.as_str(), external_id.as_str()), read_former)?
            .collect()
        })
    }

    /// The former meeting with this join URL.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn former_with_url(&self, url: &JoinUrl) -> Result<Option<Former>> {
        self.read(|c| {
            c.prepare_cached(formers!("WHERE url_sha256 = ?1 ORDER BY since LIMIT 1"))?
                .query_row([url_hash(url)], read_former)
                .optional()
        })
    }

    /// The former meetings of the calendar's events that are there as far as is known, and of which
    /// something may be done at `now`.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn due_formers(&self, calendar: &CalendarName, now: DateTime<Utc>) -> Result<Vec<Former>> {
        self.read(|c| {
            c.prepare_cached(formers!(
                "INDEXED BY formers_by_calendar
                 WHERE calendar = ?1 AND fate < 2 AND due <= ?2 ORDER BY due, url_sha256"
            ))?
            .query_map((calendar.as_str(), now.timestamp_micros()), read_former)?
            .collect()
        })
    }

    /// Remembers that a meeting is about to be replaced: the resources that hold its event are due at
    /// `now`, whatever becomes of that.
    ///
    /// # Errors
    /// [`StateError`]; then nothing has changed.
    pub fn begin_replacing(&self, former: &Former, now: DateTime<Utc>) -> Result<()> {
        self.write(|c| {
            let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            put_former(&transaction, former)?;
            make_due(&transaction, &former.record, now)?;
            transaction.commit()
        })
    }

    /// Remembers what becomes of a meeting that was replaced.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn put_former(&self, former: &Former) -> Result<()> {
        self.write(|c| put_former(c, former))
    }

    /// Forgets a former meeting: it is its key's meeting, as before.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn forget_former(&self, record: &MeetingRecord) -> Result<()> {
        self.write(|c| forget_former(c, record))
    }

    /// Puts `record` in the place of `former` under its key, in one transaction: the events that are
    /// linked to it may show the former one from now on, and are due at `now`.
    ///
    /// # Errors
    /// [`StateError`]; then nothing has changed.
    pub fn replace_meeting(
        &self,
        former: &Former,
        record: &MeetingRecord,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.write(|c| {
            let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            put_former(&transaction, former)?;
            forget_former(&transaction, record)?;
            super::links::put_meeting(&transaction, record)?;
            transaction
                .prepare_cached(
                    "UPDATE links SET former = 1, attempts = 0
                     WHERE uid = ?1 AND organizer = ?2 AND external_id = ?3",
                )?
                .execute(event_key(&former.record))?;
            make_due(&transaction, &former.record, now)?;
            transaction.commit()
        })
    }
}

fn event_key(record: &MeetingRecord) -> (&str, &str, &str) {
    (
        record.uid.as_str(),
        record.organizer.as_str(),
        record.external_id.as_str(),
    )
}

/// Makes due whatever holds a link under the key.
fn make_due(c: &Connection, record: &MeetingRecord, now: DateTime<Utc>) -> rusqlite::Result<()> {
    let (uid, organizer, external_id) = event_key(record);
    c.prepare_cached(
        "UPDATE resources SET due = ?4 WHERE (due IS NULL OR due > ?4)
         AND (calendar, resource) IN (SELECT calendar, resource FROM links
         WHERE uid = ?1 AND organizer = ?2 AND external_id = ?3)",
    )?
    .execute((uid, organizer, external_id, now.timestamp_micros()))
    .map(drop)
}

fn put_former(c: &Connection, former: &Former) -> rusqlite::Result<()> {
    let record = &former.record;
    let (fate, due) = match former.fate {
        FormerFate::Open(due) => (0, due),
        FormerFate::Begun(due) => (1, due),
        FormerFate::Ended => (2, former.since),
    };
    c.prepare_cached(
        "INSERT OR REPLACE INTO formers (organizer, external_id, url_sha256, uid, meeting, schedule,
         settings, created, calendar, since, fate, due)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        record.organizer.as_str(),
        record.external_id.as_str(),
        url_hash(&record.meeting.join_url),
        record.uid.as_str(),
        meeting_text(record)?,
        record.schedule,
        record.settings.as_str(),
        record.created.timestamp_micros(),
        former.calendar.as_str(),
        former.since.timestamp_micros(),
        fate,
        due.timestamp_micros(),
    ])
    .map(drop)
}

fn forget_former(c: &Connection, record: &MeetingRecord) -> rusqlite::Result<()> {
    c.prepare_cached(
        "DELETE FROM formers WHERE organizer = ?1 AND external_id = ?2 AND url_sha256 = ?3",
    )?
    .execute(params![
        record.organizer.as_str(),
        record.external_id.as_str(),
        url_hash(&record.meeting.join_url),
    ])
    .map(drop)
}

fn read_former(row: &Row<'_>) -> rusqlite::Result<Former> {
    let due = time(row, 10)?;
    Ok(Former {
        record: read_meeting(row)?,
        calendar: CalendarName::new(row.get::<_, String>(7)?),
        since: time(row, 8)?,
        fate: match row.get(9)? {
            0 => FormerFate::Open(due),
            1 => FormerFate::Begun(due),
            2 => FormerFate::Ended,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(9, other)),
        },
    })
}
