//! Which links have ended, and what is under way to end, or to give up, their meetings.

use chrono::{DateTime, Utc};
use rusqlite::OptionalExtension as _;

use super::error::StateError;
use super::records::{Ending, Link, Phase};
use super::rows::{count, links, organizer, read_link, read_meeting_text, time};
use super::store::State;
use super::tables::put;
use crate::meeting::Meeting;
use crate::model::{CalendarName, ExternalId, OrganizerId, Uid};

type Result<T, E = StateError> = std::result::Result<T, E>;

/// A meeting expires this long after its end.
const LIFETIME: chrono::Duration = chrono::Duration::days(60);

impl State {
    /// The links of the calendar that are gone or cancelled and of whose meetings nothing has become yet.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn ended_links(&self, calendar: &CalendarName) -> Result<Vec<Link>> {
        self.read(|c| {
            c.prepare_cached(links!(
                "INDEXED BY links_ended
                 WHERE calendar = ?1 AND (gone IS NOT NULL OR cancelled IS NOT NULL) AND closed = 0
                 ORDER BY resource, uid"
            ))?
            .query_map([calendar.as_str()], read_link)?
            .collect()
        })
    }

    /// The links of the event in all calendars.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn links_of_event(&self, uid: &Uid) -> Result<Vec<Link>> {
        self.read(|c| {
            c.prepare_cached(links!("WHERE uid = ?1 ORDER BY calendar, resource"))?
                .query_map([uid.as_str()], read_link)?
                .collect()
        })
    }

    /// The events of the calendar that were given a meeting and went before they got its link, while
    /// the meeting may still be alive at `now`.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn orphans(&self, calendar: &CalendarName, now: DateTime<Utc>) -> Result<Vec<Uid>> {
        let mut links = self.ended_links(calendar)?;
        let lives = |link: &Link| {
            let expires = link.ends.and_then(|end| end.checked_add_signed(LIFETIME));
            link.phase == Phase::Intended
                && link.gone_since().is_some()
                && expires.is_none_or(|at| now < at)
        };
        links.retain(lives);
        Ok(links.into_iter().map(|link| link.uid).collect())
    }

    /// How many live links of the calendar belong to each organizer.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn links_by_organizer(&self, calendar: &CalendarName) -> Result<Vec<(OrganizerId, u32)>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT organizer, COUNT(*) FROM links WHERE calendar = ?1 AND gone IS NULL
                 GROUP BY organizer ORDER BY organizer",
            )?
            .query_map([calendar.as_str()], |row| {
                Ok((organizer(row, 0)?, count(row, 1)?))
            })?
            .collect()
        })
    }

    /// How many live links of the calendar have a meeting with each kind of id, with one such meeting.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn links_by_form(&self, calendar: &CalendarName) -> Result<Vec<(Meeting, u32)>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT MIN(m.meeting), COUNT(*) FROM links AS l JOIN meetings AS m
                 ON m.organizer = l.organizer AND m.external_id = l.external_id
                 WHERE l.calendar = ?1 AND l.gone IS NULL
                 GROUP BY json_type(m.meeting, '$.id')",
            )?
            .query_map([calendar.as_str()], |row| {
                Ok((read_meeting_text(row, 0)?, count(row, 1)?))
            })?
            .collect()
        })
    }

    /// How far the meeting's end has come, if there is one under way.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn ending(
        &self,
        organizer: &OrganizerId,
        external_id: &ExternalId,
    ) -> Result<Option<Ending>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT begun, due FROM endings WHERE organizer = ?1 AND external_id = ?2",
            )?
            .query_row((organizer.as_str(), external_id.as_str()), |row| {
                Ok(Ending {
                    begun: row.get(0)?,
                    due: time(row, 1)?,
                })
            })
            .optional()
        })
    }

    /// Remembers how far the meeting's end has come; `None`: nothing is under way.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn put_ending(
        &self,
        organizer: &OrganizerId,
        external_id: &ExternalId,
        ending: Option<Ending>,
    ) -> Result<()> {
        let key = (organizer.as_str(), external_id.as_str());
        match ending {
            Some(Ending { begun, due }) => self.write(|c| {
                put(
                    c,
                    "SELECT 1 FROM endings WHERE organizer = ?1 AND external_id = ?2 AND begun = ?3
                     AND due = ?4",
                    "INSERT OR REPLACE INTO endings (organizer, external_id, begun, due)
                     VALUES (?1, ?2, ?3, ?4)",
                    std::iter::once((key.0, key.1, begun, due.timestamp_micros())),
                )
            }),
            None if self.ending(organizer, external_id)?.is_none() => Ok(()),
            None => self.write(|c| {
                c.prepare_cached("DELETE FROM endings WHERE organizer = ?1 AND external_id = ?2")?
                    .execute(key)
                    .map(drop)
            }),
        }
    }

    /// Since when the service does not find the meeting or, without `external_id`, the organizer.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn absent_since(
        &self,
        organizer: &OrganizerId,
        external_id: Option<&ExternalId>,
    ) -> Result<Option<DateTime<Utc>>> {
        let key = (organizer.as_str(), key_text(external_id));
        self.read(|c| {
            c.prepare_cached(
                "SELECT since FROM absences WHERE organizer = ?1 AND external_id = ?2",
            )?
            .query_row(key, |row| time(row, 0))
            .optional()
        })
    }

    /// Remembers since when the service does not find it; `None`: it does.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn put_absence(
        &self,
        organizer: &OrganizerId,
        external_id: Option<&ExternalId>,
        since: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let key = (organizer.as_str(), key_text(external_id));
        match since {
            Some(since) => self.write(|c| {
                put(
                    c,
                    "SELECT 1 FROM absences WHERE organizer = ?1 AND external_id = ?2 AND since = ?3",
                    "INSERT OR REPLACE INTO absences (organizer, external_id, since)
                     VALUES (?1, ?2, ?3)",
                    std::iter::once((key.0, key.1, since.timestamp_micros())),
                )
            }),
            None if self.absent_since(organizer, external_id)?.is_none() => Ok(()),
            None => self.write(|c| {
                c.prepare_cached("DELETE FROM absences WHERE organizer = ?1 AND external_id = ?2")?
                    .execute(key)
                    .map(drop)
            }),
        }
    }
}

fn key_text(external_id: Option<&ExternalId>) -> &str {
    external_id.map_or("", ExternalId::as_str)
}
