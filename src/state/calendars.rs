//! The calendars' records, and what `status` shows of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::OptionalExtension as _;

use super::error::StateError;
use super::records::{CalendarRecord, Frozen, Overview};
use super::rows::{count, kept_text, read_calendar, read_outcome};
use super::store::State;
use super::tables::put;
use crate::calendar::SyncToken;
use crate::model::CalendarName;

type Result<T, E = StateError> = std::result::Result<T, E>;

impl State {
    /// What is remembered of the calendar; a new one's record is the default.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn calendar(&self, calendar: &CalendarName) -> Result<CalendarRecord> {
        let record = self.read(|c| {
            c.prepare_cached(
                "SELECT calendar, first_pass_done, consented, frozen_since, frozen_why, last_pass,
                 failing, rules, token, kept, needs_person FROM calendars
                 WHERE calendar = ?1",
            )?
            .query_row([calendar.as_str()], read_calendar)
            .optional()
        })?;
        Ok(record.map(|(_, record)| record).unwrap_or_default())
    }

    /// Inserts or replaces the calendar's record. Times are kept to the microsecond.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn put_calendar(&self, calendar: &CalendarName, record: &CalendarRecord) -> Result<()> {
        let frozen = record.frozen.as_ref();
        let row = (
            calendar.as_str(),
            record.first_pass_done,
            record.consented,
            frozen.map(|f| f.since.timestamp_micros()),
            frozen.map(|f| f.why.as_str()),
            record.last_pass.map(|t| t.timestamp_micros()),
            record.failing.as_deref(),
            record.rules.as_str(),
            record.token.as_ref().map(SyncToken::as_str),
            kept_text(&record.kept),
            record.needs_person,
        );
        self.write(|c| {
            put(
                c,
                "SELECT 1 FROM calendars WHERE calendar = ?1 AND first_pass_done = ?2
                 AND consented = ?3 AND frozen_since IS ?4 AND frozen_why IS ?5
                 AND last_pass IS ?6 AND failing IS ?7 AND rules = ?8 AND token IS ?9 AND kept IS ?10
                 AND needs_person = ?11",
                "INSERT OR REPLACE INTO calendars
                 (calendar, first_pass_done, consented, frozen_since, frozen_why, last_pass,
                 failing, rules, token, kept, needs_person)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                std::iter::once(row),
            )
        })
    }

    /// Lifts the calendar's freeze, or consents to its large first pass: every event is decided again
    /// by the next pass, and what went since it froze is gone since `now`. Returns the freeze.
    ///
    /// # Errors
    /// [`StateError`]; then it is not lifted.
    pub fn resume(&self, calendar: &CalendarName, now: DateTime<Utc>) -> Result<Option<Frozen>> {
        let mut record = self.calendar(calendar)?;
        let was = record.frozen.take();
        if let Some(frozen) = &was {
            let since = frozen.since.timestamp_micros();
            self.write(|c| {
                c.prepare_cached(
                    "UPDATE links SET gone = ?3 WHERE calendar = ?1 AND gone_confirmed AND gone >= ?2",
                )?
                .execute((calendar.as_str(), since, now.timestamp_micros()))
            })?;
        }
        self.forget_decisions(calendar)?;
        // Last: whatever breaks off before leaves it frozen, to be resumed again.
        record.consented = true;
        record.token = None;
        self.put_calendar(calendar, &record)?;
        Ok(was)
    }

    /// Per calendar that has any resource or record: its record, the sum of its resources' outcomes,
    /// and how many links that are not gone stand in each phase. For `status`: it reads every resource
    /// and link.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn overview(&self) -> Result<Vec<Overview>> {
        self.overviews(None)
    }

    /// The same of one calendar; `None` when it has neither. It reads that one's resources and links.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn overview_of(&self, calendar: &CalendarName) -> Result<Option<Overview>> {
        Ok(self.overviews(Some(calendar))?.pop())
    }

    fn overviews(&self, only: Option<&CalendarName>) -> Result<Vec<Overview>> {
        // By name, so that each question is answered from the calendar's part of an index.
        let (and, r#where) = match only {
            Some(_) => ("AND calendar = ?1", "WHERE calendar = ?1"),
            None => ("", ""),
        };
        let name = only.map(CalendarName::as_str);
        let bound = || rusqlite::params_from_iter(name);
        self.read(|c| {
            let c = c.transaction()?; // one moment for all three questions
            let mut records: BTreeMap<String, CalendarRecord> = c
                .prepare_cached(&format!(
                    "SELECT calendar, first_pass_done, consented, frozen_since, frozen_why,
                     last_pass, failing, rules, token, kept, needs_person FROM calendars {where}"
                ))?
                .query_map(bound(), read_calendar)?
                .collect::<rusqlite::Result<_>>()?;
            let mut outcomes: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
            let mut grouped = c.prepare_cached(&format!(
                "SELECT calendar, outcome, COUNT(*) FROM resources {where}
                 GROUP BY calendar, outcome"
            ))?;
            let mut rows = grouped.query(bound())?;
            while let Some(row) = rows.next()? {
                let sums = outcomes.entry(row.get(0)?).or_default();
                let times = count(row, 2)?;
                for (reason, number) in read_outcome(row, 1)? {
                    let sum = sums.entry(reason).or_default();
                    *sum = sum.saturating_add(number.saturating_mul(times));
                }
            }
            let mut links: BTreeMap<String, [u32; 3]> = BTreeMap::new();
            let mut grouped = c.prepare_cached(&format!(
                "SELECT calendar, COUNT(*) FILTER (WHERE phase = 0),
                 COUNT(*) FILTER (WHERE phase = 1), COUNT(*) FILTER (WHERE phase = 2)
                 FROM links JOIN resources USING (calendar, resource) WHERE gone IS NULL {and}
                 GROUP BY calendar"
            ))?;
            let mut rows = grouped.query(bound())?;
            while let Some(row) = rows.next()? {
                links.insert(
                    row.get(0)?,
                    [count(row, 1)?, count(row, 2)?, count(row, 3)?],
                );
            }
            let names: BTreeSet<String> = records.keys().chain(outcomes.keys()).cloned().collect();
            let overviews = names.into_iter().map(|name| Overview {
                record: records.remove(&name).unwrap_or_default(),
                outcome: outcomes
                    .remove(&name)
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
                links: links.remove(&name).unwrap_or_default(),
                calendar: CalendarName::new(name),
            });
            Ok(overviews.collect())
        })
    }
}
