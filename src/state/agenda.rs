//! What is due, and deciding everything again.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, TransactionBehavior};

use super::error::StateError;
use super::records::Phase;
use super::rows::{phase_number, time};
use super::store::State;
use crate::model::{CalendarName, OrganizerId, ResourceId, Version};

impl State {
    /// When the first resource of the calendar has to be decided again; `None`: none before it changes.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn next_due(&self, calendar: &CalendarName) -> Result<Option<DateTime<Utc>>, StateError> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT due FROM resources WHERE calendar = ?1 AND due IS NOT NULL
                 ORDER BY due LIMIT 1",
            )?
            .query_row([calendar.as_str()], |row| time(row, 0))
            .optional()
        })
    }

    /// The resources that have to be decided again at `now`.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn due(
        &self,
        calendar: &CalendarName,
        now: DateTime<Utc>,
    ) -> Result<Vec<ResourceId>, StateError> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT resource FROM resources
                 WHERE calendar = ?1 AND due IS NOT NULL AND due <= ?2",
            )?
            .query_map((calendar.as_str(), now.timestamp_micros()), |row| {
                row.get::<_, String>(0).map(ResourceId::new)
            })?
            .collect()
        })
    }

    /// The resources that need no decision at `now`, each with the version that was decided upon.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn settled(
        &self,
        calendar: &CalendarName,
        now: DateTime<Utc>,
    ) -> Result<HashMap<ResourceId, Version>, StateError> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT resource, version FROM resources
                 WHERE calendar = ?1 AND (due IS NULL OR due > ?2)",
            )?
            .query_map((calendar.as_str(), now.timestamp_micros()), |row| {
                Ok((
                    ResourceId::new(row.get_ref(0)?.as_str()?),
                    Version::new(row.get_ref(1)?.as_str()?),
                ))
            })?
            .collect()
        })
    }

    /// Forgets what was decided of the calendar's resources, so that the next pass decides every
    /// event again, and up to where its changes are known; that the resources were there, links and
    /// meetings stay.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is forgotten.
    pub fn forget_decisions(&self, calendar: &CalendarName) -> Result<(), StateError> {
        self.write(|c| {
            let name = [calendar.as_str()];
            let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction
                .prepare_cached(
                    "UPDATE resources SET version = '', due = NULL, outcome = '[]'
                     WHERE calendar = ?1 AND version <> ''",
                )?
                .execute(name)?;
            transaction
                .prepare_cached("UPDATE calendars SET token = NULL WHERE calendar = ?1")?
                .execute(name)?;
            transaction.commit()
        })
    }

    /// Makes due at `now` whatever holds a link of the organizer's.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn make_due(
        &self,
        calendar: &CalendarName,
        organizer: &OrganizerId,
        now: DateTime<Utc>,
    ) -> Result<(), StateError> {
        let row = (
            calendar.as_str(),
            organizer.as_str(),
            now.timestamp_micros(),
        );
        self.write(|c| {
            c.prepare_cached(
                "UPDATE resources SET due = ?3 WHERE calendar = ?1 AND (due IS NULL OR due > ?3)
                 AND resource IN (SELECT resource FROM links WHERE calendar = ?1 AND organizer = ?2
                 AND gone IS NULL)",
            )?
            .execute(row)
            .map(drop)
        })
    }

    /// Makes due at `now`, in every calendar, whatever holds an event that was decided with this `reason`.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn make_due_for(&self, reason: &str, now: DateTime<Utc>) -> Result<(), StateError> {
        self.write(|c| {
            c.prepare_cached(
                "UPDATE resources SET due = ?2 WHERE (due IS NULL OR due > ?2)
                 AND EXISTS (SELECT 1 FROM json_each(outcome) WHERE value ->> 0 = ?1)",
            )?
            .execute((reason, now.timestamp_micros()))
            .map(drop)
        })
    }

    /// Whether the calendar has a link that was found in its event, and not written since.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn has_found_links(&self, calendar: &CalendarName) -> Result<bool, StateError> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM links
                 WHERE calendar = ?1 AND phase = ?2 AND attempts = 0)",
            )?
            .query_row((calendar.as_str(), phase_number(Phase::Seen)), |row| {
                row.get(0)
            })
        })
    }

    /// Forgets what was decided of one resource, if it is known at all: every listing reads it until
    /// it is decided again, or reports it as vanished.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn forget_decision(
        &self,
        calendar: &CalendarName,
        id: &ResourceId,
    ) -> Result<(), StateError> {
        let key = (calendar.as_str(), id.as_str());
        self.write(|c| {
            let decided = c
                .prepare_cached(
                    "SELECT 1 FROM resources WHERE calendar = ?1 AND resource = ?2
                     AND NOT (version = '' AND due IS NULL)",
                )?
                .exists(key)?;
            if decided {
                c.prepare_cached(
                    "UPDATE resources SET version = '', due = NULL, outcome = '[]'
                     WHERE calendar = ?1 AND resource = ?2",
                )?
                .execute(key)?;
            }
            Ok(())
        })
    }
}
