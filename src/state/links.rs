//! Links and meetings in and out of their tables.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::types::{Null, ToSqlOutput};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::error::StateError;
use super::records::{Link, MeetingRecord};
use super::rows::{links, phase_number, read_link, read_meeting};
use super::store::State;
use super::tables::put;
use crate::model::{CalendarName, ExternalId, JoinUrl, OrganizerId, ResourceId, sha256};

type Result<T, E = StateError> = std::result::Result<T, E>;

impl State {
    /// The links of the resource's events, in the order of their UIDs.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn links(&self, calendar: &CalendarName, resource: &ResourceId) -> Result<Vec<Link>> {
        self.read(|c| {
            c.prepare_cached(links!("WHERE calendar = ?1 AND resource = ?2 ORDER BY uid"))?
                .query_map((calendar.as_str(), resource.as_str()), read_link)?
                .collect()
        })
    }

    /// All links of the calendar, in the order of their resources and UIDs: for rare questions about
    /// the calendar as a whole.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn all_links(&self, calendar: &CalendarName) -> Result<Vec<Link>> {
        self.read(|c| {
            c.prepare_cached(links!("WHERE calendar = ?1 ORDER BY resource, uid"))?
                .query_map([calendar.as_str()], read_link)?
                .collect()
        })
    }

    /// Inserts or replaces all of them in one transaction.
    ///
    /// # Errors
    /// [`StateError`]; then none of them is stored.
    pub fn put_links(&self, links: &[Link]) -> Result<()> {
        self.write(|c| {
            put(
                c,
                "SELECT 1 FROM links WHERE calendar = ?1 AND resource = ?2 AND uid = ?3
                 AND organizer = ?4 AND external_id = ?5 AND generation = ?6 AND phase = ?7
                 AND before = ?8 AND attempts = ?9 AND written = ?10 AND ends IS ?11
                 AND gone IS ?12 AND gone_confirmed = ?13 AND cancelled IS ?14 AND closed = ?15
                 AND former = ?16 AND unmarked = ?17",
                "INSERT OR REPLACE INTO links
                 (calendar, resource, uid, organizer, external_id, generation, phase, before,
                 attempts, written, ends, gone, gone_confirmed, cancelled, closed, former, unmarked)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
                 ?17)",
                links.iter().map(link_row),
            )
        })
    }

    /// Moves every `Written` link of the calendar whose resource was settled at `now` and is not in
    /// `except` to `Seen`: a complete listing showed the versions that were written. Returns how many
    /// there were.
    ///
    /// # Errors
    /// [`StateError`]; then none of them is moved.
    pub fn confirm_written(
        &self,
        calendar: &CalendarName,
        except: &BTreeSet<ResourceId>,
        now: DateTime<Utc>,
    ) -> Result<usize> {
        self.write(|c| {
            let mut written: Vec<(String, String)> = c
                .prepare_cached(
                    "SELECT resource, uid FROM links INDEXED BY links_written
                     WHERE calendar = ?1 AND phase = 1 AND EXISTS (SELECT 1 FROM resources AS r
                     WHERE r.calendar = links.calendar AND r.resource = links.resource
                     AND r.version <> '' AND (r.due IS NULL OR r.due > ?2))",
                )?
                .query_map((calendar.as_str(), now.timestamp_micros()), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            written.retain(|(resource, _)| !except.contains(&ResourceId::new(resource.as_str())));
            if written.is_empty() {
                return Ok(0);
            }
            let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut see = transaction.prepare_cached(
                    "UPDATE links SET phase = 2 WHERE calendar = ?1 AND resource = ?2 AND uid = ?3",
                )?;
                for (resource, uid) in &written {
                    see.execute((calendar.as_str(), resource, uid))?;
                }
            }
            transaction.commit()?;
            Ok(written.len())
        })
    }

    /// Moves the `Written` links of one resource to `Seen`: the version that was written is there.
    ///
    /// # Errors
    /// [`StateError`]; then none of them is moved.
    pub fn confirm_resource(&self, calendar: &CalendarName, resource: &ResourceId) -> Result<()> {
        let key = (calendar.as_str(), resource.as_str());
        self.write(|c| {
            let written = c
                .prepare_cached(
                    "SELECT 1 FROM links WHERE calendar = ?1 AND resource = ?2 AND phase = 1",
                )?
                .exists(key)?;
            if written {
                c.prepare_cached(
                    "UPDATE links SET phase = 2 WHERE calendar = ?1 AND resource = ?2 AND phase = 1",
                )?
                .execute(key)?;
            }
            Ok(())
        })
    }

    /// One meeting, by its key.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn meeting(
        &self,
        organizer: &OrganizerId,
        external_id: &ExternalId,
    ) -> Result<Option<MeetingRecord>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT organizer, external_id, uid, meeting, schedule, settings, created
                 FROM meetings
                 WHERE organizer = ?1 AND external_id = ?2",
            )?
            .query_row((organizer.as_str(), external_id.as_str()), read_meeting)
            .optional()
        })
    }

    /// Whose meeting a join URL is, whoever's calendar it stands in. The first that was made, should
    /// the service ever have given one URL to two.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn meeting_with_url(&self, url: &JoinUrl) -> Result<Option<MeetingRecord>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT organizer, external_id, uid, meeting, schedule, settings, created
                 FROM meetings
                 WHERE url_sha256 = ?1 ORDER BY created, organizer, external_id LIMIT 1",
            )?
            .query_row([url_hash(url)], read_meeting)
            .optional()
        })
    }

    /// The organizer's meetings that were made last, the newest first, at most so many.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn newest_meetings(
        &self,
        organizer: &OrganizerId,
        most: u32,
    ) -> Result<Vec<MeetingRecord>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT organizer, external_id, uid, meeting, schedule, settings, created
                 FROM meetings
                 WHERE organizer = ?1 ORDER BY created DESC, external_id LIMIT ?2",
            )?
            .query_map((organizer.as_str(), most), read_meeting)?
            .collect()
        })
    }

    /// Inserts or replaces one. `created` is kept to the microsecond.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn put_meeting(&self, record: &MeetingRecord) -> Result<()> {
        self.write(|c| {
            let same = c
                .prepare_cached(
                    "SELECT 1 FROM meetings WHERE organizer = ?1 AND external_id = ?2 AND uid = ?3
                     AND meeting = ?4 AND url_sha256 = ?5 AND schedule = ?6 AND settings = ?7
                     AND created = ?8",
                )?
                .exists(meeting_row(record)?)?;
            if same { Ok(()) } else { put_meeting(c, record) }
        })
    }
}

/// The columns of a link, as the statements number them: one more than a tuple of parameters may have.
fn link_row(link: &Link) -> [ToSqlOutput<'_>; 17] {
    let micros = |time: Option<DateTime<Utc>>| -> ToSqlOutput<'_> {
        time.map_or(Null.into(), |time| time.timestamp_micros().into())
    };
    [
        link.calendar.as_str().into(),
        link.resource.as_str().into(),
        link.uid.as_str().into(),
        link.organizer.as_str().into(),
        link.external_id.as_str().into(),
        link.generation.into(),
        phase_number(link.phase).into(),
        link.before.as_str().into(),
        link.attempts.into(),
        link.written.timestamp_micros().into(),
        micros(link.ends),
        micros(link.gone.map(|gone| gone.since)),
        link.gone.is_some_and(|gone| gone.confirmed).into(),
        micros(link.cancelled),
        link.closed.into(),
        link.former.into(),
        link.unmarked.into(),
    ]
}

/// The columns of a meeting, as the statements number them.
fn meeting_row(record: &MeetingRecord) -> rusqlite::Result<impl rusqlite::Params> {
    Ok((
        record.organizer.as_str(),
        record.external_id.as_str(),
        record.uid.as_str(),
        meeting_text(record)?,
        url_hash(&record.meeting.join_url),
        record.schedule.as_str(),
        record.settings.as_str(),
        record.created.timestamp_micros(),
    ))
}

/// Inserts or replaces one.
pub(super) fn put_meeting(c: &Connection, record: &MeetingRecord) -> rusqlite::Result<()> {
    c.prepare_cached(
        "INSERT INTO meetings
         (organizer, external_id, uid, meeting, url_sha256, schedule, settings, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (organizer, external_id) DO UPDATE SET uid = ?3, meeting = ?4,
         url_sha256 = ?5, schedule = ?6, settings = ?7, created = ?8",
    )?
    .execute(meeting_row(record)?)
    .map(drop)
}

/// What the service said of a meeting, as it is stored.
pub(super) fn meeting_text(record: &MeetingRecord) -> rusqlite::Result<String> {
    serde_json::to_string(&record.meeting)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

pub(super) fn url_hash(url: &JoinUrl) -> [u8; 32] {
    sha256([url.expose().as_bytes()])
}
