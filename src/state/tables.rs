//! Resources, budgets and windows in and out of their tables.
//!
//! Whatever puts a record first asks whether it is there like that: a pass that finds nothing new
//! must not write (DESIGN.md, promise 6).

use chrono::{DateTime, Datelike as _, Months, NaiveDate, Utc};
use rusqlite::{Connection, OptionalExtension as _, Params, TransactionBehavior};

use super::error::StateError;
use super::records::ResourceRecord;
use super::rows::{outcome_text, read_resource, time};
use super::store::State;
use crate::model::{CalendarName, OrganizerId, ResourceId};

type Result<T, E = StateError> = std::result::Result<T, E>;

/// How long a counter of creations is kept: longer than the month that it may have to be summed in.
const COUNTER_DAYS: i32 = 60;

/// Resources.
impl State {
    /// All remembered resources of the calendar, in the order of their identifiers.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn resources(&self, calendar: &CalendarName) -> Result<Vec<ResourceRecord>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT resource, version, first_seen, due, outcome FROM resources
                 WHERE calendar = ?1 ORDER BY resource",
            )?
            .query_map([calendar.as_str()], read_resource)?
            .collect()
        })
    }

    /// One resource, if it is remembered.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn resource(
        &self,
        calendar: &CalendarName,
        id: &ResourceId,
    ) -> Result<Option<ResourceRecord>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT resource, version, first_seen, due, outcome FROM resources
                 WHERE calendar = ?1 AND resource = ?2",
            )?
            .query_row((calendar.as_str(), id.as_str()), read_resource)
            .optional()
        })
    }

    /// Inserts or replaces one. Times are kept to the microsecond.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn put_resource(&self, calendar: &CalendarName, record: &ResourceRecord) -> Result<()> {
        self.put_resources(calendar, std::slice::from_ref(record))
    }

    /// Inserts or replaces all of them in one transaction: much quicker than one by one.
    ///
    /// # Errors
    /// [`StateError`]; then none of them is stored.
    pub fn put_resources(&self, calendar: &CalendarName, records: &[ResourceRecord]) -> Result<()> {
        let outcomes: Vec<String> = records.iter().map(|r| outcome_text(&r.outcome)).collect();
        let rows = records.iter().zip(&outcomes).map(|(record, outcome)| {
            (
                calendar.as_str(),
                record.id.as_str(),
                record.version.as_str(),
                record.first_seen.timestamp_micros(),
                record.due.map(|t| t.timestamp_micros()),
                outcome,
            )
        });
        self.write(|c| {
            put(
                c,
                "SELECT 1 FROM resources WHERE calendar = ?1 AND resource = ?2 AND version = ?3
                 AND first_seen = ?4 AND due IS ?5 AND outcome = ?6",
                "INSERT OR REPLACE INTO resources
                 (calendar, resource, version, first_seen, due, outcome)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                rows,
            )
        })
    }

    /// Forgets a resource that vanished; its links and meetings stay.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn forget_resource(&self, calendar: &CalendarName, id: &ResourceId) -> Result<()> {
        let key = (calendar.as_str(), id.as_str());
        self.write(|c| {
            let known = c
                .prepare_cached("SELECT 1 FROM resources WHERE calendar = ?1 AND resource = ?2")?
                .exists(key)?;
            if known {
                c.prepare_cached("DELETE FROM resources WHERE calendar = ?1 AND resource = ?2")?
                    .execute(key)?;
            }
            Ok(())
        })
    }
}

/// Budgets.
impl State {
    /// Meetings made on this UTC day for events of the calendar.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn created_on(&self, calendar: &CalendarName, day: NaiveDate) -> Result<u32> {
        let day = day.num_days_from_ce();
        self.created(&calendar_scope(calendar), day, day)
    }

    /// Meetings made in the UTC month that `day` is in, for the organizer.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn created_in_month(&self, organizer: &OrganizerId, day: NaiveDate) -> Result<u32> {
        let first = day.with_day(1).unwrap_or(day);
        let last = first
            .checked_add_months(Months::new(1))
            .map_or(i32::MAX, |next| next.num_days_from_ce() - 1);
        self.created(&organizer_scope(organizer), first.num_days_from_ce(), last)
    }

    fn created(&self, scope: &str, first: i32, last: i32) -> Result<u32> {
        let count: i64 = self.read(|c| {
            c.prepare_cached(
                "SELECT COALESCE(SUM(count), 0) FROM creations
                 WHERE scope = ?1 AND day BETWEEN ?2 AND ?3",
            )?
            .query_row((scope, first, last), |row| row.get(0))
        })?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Counts one creation on `day`, and forgets counters older than 60 days.
    ///
    /// # Errors
    /// [`StateError`]; then it is counted nowhere.
    pub fn count_creation(
        &self,
        calendar: &CalendarName,
        organizer: &OrganizerId,
        day: NaiveDate,
    ) -> Result<()> {
        let day = day.num_days_from_ce();
        let scopes = [calendar_scope(calendar), organizer_scope(organizer)];
        self.write(|c| {
            let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for scope in &scopes {
                transaction
                    .prepare_cached(
                        "INSERT INTO creations (scope, day, count) VALUES (?1, ?2, 1)
                         ON CONFLICT (scope, day) DO UPDATE SET count = MIN(count + 1, 4294967295)",
                    )?
                    .execute((scope, day))?;
            }
            transaction
                .prepare_cached("DELETE FROM creations WHERE day < ?1")?
                .execute([day.saturating_sub(COUNTER_DAYS)])?;
            transaction.commit()
        })
    }
}

/// Retry-After windows.
impl State {
    /// Every window that was put, past ones too: (scope, no request before).
    ///
    /// # Errors
    /// [`StateError`].
    pub fn windows(&self) -> Result<Vec<(String, DateTime<Utc>)>> {
        self.read(|c| {
            c.prepare_cached("SELECT scope, until FROM windows ORDER BY scope")?
                .query_map([], |row| Ok((row.get(0)?, time(row, 1)?)))?
                .collect()
        })
    }

    /// Remembers that no request of the scope may go out before `until`, instead of what was
    /// remembered for it; to the microsecond.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn put_window(&self, scope: &str, until: DateTime<Utc>) -> Result<()> {
        self.write(|c| {
            put(
                c,
                "SELECT 1 FROM windows WHERE scope = ?1 AND until = ?2",
                "INSERT OR REPLACE INTO windows (scope, until) VALUES (?1, ?2)",
                std::iter::once((scope, until.timestamp_micros())),
            )
        })
    }
}

/// Stores, in one transaction, those of `rows` that `same` does not find; opens none when it finds
/// them all.
pub(super) fn put<P: Params + Clone>(
    c: &mut Connection,
    same: &str,
    put: &str,
    rows: impl Iterator<Item = P>,
) -> rusqlite::Result<()> {
    let mut changed = Vec::new();
    {
        let mut same = c.prepare_cached(same)?;
        for row in rows {
            if !same.exists(row.clone())? {
                changed.push(row);
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut put = transaction.prepare_cached(put)?;
        for row in changed {
            put.execute(row)?;
        }
    }
    transaction.commit()
}

/// The prefixes keep a calendar that is named like an object id apart from that organizer.
fn calendar_scope(calendar: &CalendarName) -> String {
    format!("calendar/{calendar}")
}

fn organizer_scope(organizer: &OrganizerId) -> String {
    format!("organizer/{organizer}")
}
