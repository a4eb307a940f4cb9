//! What is due, and deciding everything again.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rusqlite::OptionalExtension as _;

use super::error::StateError;
use super::rows::time;
use super::store::State;
use crate::model::{CalendarName, ResourceId, Version};

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
    /// event again; links and meetings stay.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn forget_decisions(&self, calendar: &CalendarName) -> Result<(), StateError> {
        self.write(|c| {
            let name = [calendar.as_str()];
            c.prepare_cached("DELETE FROM resources WHERE calendar = ?1")?
                .execute(name)?;
            Ok(())
        })
    }
}
