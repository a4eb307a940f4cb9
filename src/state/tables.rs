//! Records in and out of the tables.
//!
//! Whatever puts a record first asks whether it is there like that: a pass that finds nothing new
//! must not write (DESIGN.md, promise 6).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Months, NaiveDate, Utc};
use rusqlite::{Connection, OptionalExtension as _, Params, TransactionBehavior};

use super::error::StateError;
use super::records::{CalendarRecord, Link, MeetingRecord, Overview, ResourceRecord};
use super::rows::{
    count, outcome_text, phase_number, read_calendar, read_link, read_meeting, read_outcome,
    read_resource, time,
};
use super::store::State;
use crate::model::{CalendarName, ExternalId, JoinUrl, OrganizerId, ResourceId, sha256};

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

/// Links and meetings.
impl State {
    /// The links of the resource's events, in the order of their UIDs.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn links(&self, calendar: &CalendarName, resource: &ResourceId) -> Result<Vec<Link>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT calendar, resource, uid, organizer, external_id, generation, phase, before,
                 attempts, written FROM links WHERE calendar = ?1 AND resource = ?2 ORDER BY uid",
            )?
            .query_map((calendar.as_str(), resource.as_str()), read_link)?
            .collect()
        })
    }

    /// Inserts or replaces all of them in one transaction.
    ///
    /// # Errors
    /// [`StateError`]; then none of them is stored.
    pub fn put_links(&self, links: &[Link]) -> Result<()> {
        let rows = links.iter().map(|link| {
            (
                link.calendar.as_str(),
                link.resource.as_str(),
                link.uid.as_str(),
                link.organizer.as_str(),
                link.external_id.as_str(),
                link.generation,
                phase_number(link.phase),
                link.before.as_str(),
                link.attempts,
                link.written.timestamp_micros(),
            )
        });
        self.write(|c| {
            put(
                c,
                "SELECT 1 FROM links WHERE calendar = ?1 AND resource = ?2 AND uid = ?3
                 AND organizer = ?4 AND external_id = ?5 AND generation = ?6 AND phase = ?7
                 AND before = ?8 AND attempts = ?9 AND written = ?10",
                "INSERT OR REPLACE INTO links
                 (calendar, resource, uid, organizer, external_id, generation, phase, before,
                 attempts, written) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                rows,
            )
        })
    }

    /// Moves every `Written` link of the calendar whose resource is remembered and not in `except` to
    /// `Seen`: a complete listing showed the versions that were written. Returns how many there were.
    ///
    /// # Errors
    /// [`StateError`]; then none of them is moved.
    pub fn confirm_written(
        &self,
        calendar: &CalendarName,
        except: &BTreeSet<ResourceId>,
    ) -> Result<usize> {
        self.write(|c| {
            let mut written: Vec<(String, String)> = c
                .prepare_cached(
                    "SELECT resource, uid FROM links INDEXED BY links_written
                     WHERE calendar = ?1 AND phase = 1 AND EXISTS (SELECT 1 FROM resources AS r
                     WHERE r.calendar = links.calendar AND r.resource = links.resource)",
                )?
                .query_map([calendar.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
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
                "SELECT organizer, external_id, uid, meeting, schedule, created FROM meetings
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
                "SELECT organizer, external_id, uid, meeting, schedule, created FROM meetings
                 WHERE url_sha256 = ?1 ORDER BY created, organizer, external_id LIMIT 1",
            )?
            .query_row([url_hash(url)], read_meeting)
            .optional()
        })
    }

    /// Inserts or replaces one. `created` is kept to the microsecond.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn put_meeting(&self, record: &MeetingRecord) -> Result<()> {
        self.write(|c| {
            let meeting = serde_json::to_string(&record.meeting)
                .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
            let hash = url_hash(&record.meeting.join_url);
            let row = (
                record.organizer.as_str(),
                record.external_id.as_str(),
                record.uid.as_str(),
                meeting.as_str(),
                hash,
                record.schedule.as_str(),
                record.created.timestamp_micros(),
            );
            put(
                c,
                "SELECT 1 FROM meetings WHERE organizer = ?1 AND external_id = ?2 AND uid = ?3
                 AND meeting = ?4 AND url_sha256 = ?5 AND schedule = ?6 AND created = ?7",
                "INSERT INTO meetings
                 (organizer, external_id, uid, meeting, url_sha256, schedule, created)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (organizer, external_id) DO UPDATE SET uid = ?3, meeting = ?4,
                 url_sha256 = ?5, schedule = ?6, created = ?7",
                std::iter::once(row),
            )
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

/// Calendars.
impl State {
    /// What is remembered of the calendar; a new one's record is the default.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn calendar(&self, calendar: &CalendarName) -> Result<CalendarRecord> {
        let record = self.read(|c| {
            c.prepare_cached(
                "SELECT calendar, first_pass_done, consented, frozen_since, frozen_why, last_pass,
                 failing, rules FROM calendars WHERE calendar = ?1",
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
        );
        self.write(|c| {
            put(
                c,
                "SELECT 1 FROM calendars WHERE calendar = ?1 AND first_pass_done = ?2
                 AND consented = ?3 AND frozen_since IS ?4 AND frozen_why IS ?5
                 AND last_pass IS ?6 AND failing IS ?7 AND rules = ?8",
                "INSERT OR REPLACE INTO calendars
                 (calendar, first_pass_done, consented, frozen_since, frozen_why, last_pass,
                 failing, rules) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                std::iter::once(row),
            )
        })
    }

    /// Per calendar that has any resource or record: its record, the sum of its resources' outcomes,
    /// and how many links of its present resources stand in each phase. For `status`: it reads every resource and link.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn overview(&self) -> Result<Vec<Overview>> {
        self.read(|c| {
            let c = c.transaction()?; // one moment for all three questions
            let mut records: BTreeMap<String, CalendarRecord> = c
                .prepare_cached(
                    "SELECT calendar, first_pass_done, consented, frozen_since, frozen_why,
                     last_pass, failing, rules FROM calendars",
                )?
                .query_map([], read_calendar)?
                .collect::<rusqlite::Result<_>>()?;
            let mut outcomes: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
            let mut grouped = c.prepare_cached(
                "SELECT calendar, outcome, COUNT(*) FROM resources GROUP BY calendar, outcome",
            )?;
            let mut rows = grouped.query([])?;
            while let Some(row) = rows.next()? {
                let sums = outcomes.entry(row.get(0)?).or_default();
                let times = count(row, 2)?;
                for (reason, number) in read_outcome(row, 1)? {
                    let sum = sums.entry(reason).or_default();
                    *sum = sum.saturating_add(number.saturating_mul(times));
                }
            }
            let mut links: BTreeMap<String, [u32; 3]> = BTreeMap::new();
            let mut grouped = c.prepare_cached(
                "SELECT calendar, COUNT(*) FILTER (WHERE phase = 0),
                 COUNT(*) FILTER (WHERE phase = 1), COUNT(*) FILTER (WHERE phase = 2)
                 FROM links JOIN resources USING (calendar, resource) GROUP BY calendar",
            )?;
            let mut rows = grouped.query([])?;
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
fn put<P: Params + Clone>(
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

fn url_hash(url: &JoinUrl) -> [u8; 32] {
    sha256([url.expose().as_bytes()])
}

/// The prefixes keep a calendar that is named like an object id apart from that organizer.
fn calendar_scope(calendar: &CalendarName) -> String {
    format!("calendar/{calendar}")
}

fn organizer_scope(organizer: &OrganizerId) -> String {
    format!("organizer/{organizer}")
}
