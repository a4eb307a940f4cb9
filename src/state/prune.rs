//! Forgetting what has been over for long: slice by slice, the oldest first.
//!
//! A calendar is read again only where it changes, and an event that is over and carries our mark is
//! known by that. So nothing is concluded from a link that is forgotten, and nothing is written or asked.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Transaction, TransactionBehavior};

use super::error::StateError;
use super::store::State;

/// How long a link is kept after its event's last occurrence. A meeting expires 60 days after its end.
const KEPT: TimeDelta = TimeDelta::days(90);

/// How many links are looked at in one go, in which nobody else can use the state.
pub(super) const SLICE: usize = 500;

/// The links that have been over for long, after the last one that was looked at. Those stay that only
/// the record tells to be ours, that may come back, and whose meetings, or meetings that these replaced,
/// are still to be ended; a calendar that is frozen or cannot be read keeps all of its links.
pub(super) const OVER: &str = "
    SELECT ends, calendar, resource, uid, organizer, external_id,
        (gone IS NULL AND unmarked = 0 OR gone IS NOT NULL AND gone_confirmed = 1)
        AND NOT EXISTS (SELECT 1 FROM calendars AS c WHERE c.calendar = links.calendar
            AND (c.frozen_since IS NOT NULL OR c.failing IS NOT NULL))
        AND NOT EXISTS (SELECT 1 FROM endings AS e WHERE e.organizer = links.organizer
            AND e.external_id = links.external_id)
        AND NOT EXISTS (SELECT 1 FROM formers AS f WHERE f.organizer = links.organizer
            AND f.external_id = links.external_id AND f.fate < 2 AND f.due > ?1)
    FROM links INDEXED BY links_by_end
    WHERE ends IS NOT NULL AND ends <= ?1 AND (ends, calendar, resource, uid) > (?2, ?3, ?4, ?5)
    ORDER BY ends, calendar, resource, uid LIMIT ?6";

/// Whether a key has any link of the event left.
pub(super) const LEFT: &str =
    "SELECT 1 FROM links WHERE uid = ?1 AND organizer = ?2 AND external_id = ?3";

/// What was forgotten in one slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Links, opt-outs and intents.
    pub links: usize,
    /// Meetings, those that others had replaced among them.
    pub meetings: usize,
    /// Where the next slice begins; `None`: there is none.
    pub next: Option<Cursor>,
}

/// A link that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    ends: i64,
    calendar: String,
    resource: String,
    uid: String,
}

struct Row {
    at: Cursor,
    organizer: String,
    external_id: String,
    goes: bool,
}

impl State {
    /// Forgets links whose events were over 90 days before `now`, and meetings without any link left: one
    /// slice of them, from `from` on. Where nothing goes, nothing is written.
    ///
    /// # Errors
    /// [`StateError`]; then nothing of the slice is forgotten.
    pub fn prune(&self, now: DateTime<Utc>, from: Option<&Cursor>) -> Result<Pruned, StateError> {
        let Some(until) = now.checked_sub_signed(KEPT) else {
            return Ok(Pruned::default());
        };
        let until = until.timestamp_micros();
        let (ends, key) = from.map_or((i64::MIN, ["", "", ""]), |at| {
            (at.ends, [&*at.calendar, &*at.resource, &*at.uid])
        });
        self.write(|c| {
            let rows: Vec<Row> = c
                .prepare_cached(OVER)?
                .query_map((until, ends, key[0], key[1], key[2], SLICE as i64), |row| {
                    Ok(Row {
                        at: Cursor {
                            ends: row.get(0)?,
                            calendar: row.get(1)?,
                            resource: row.get(2)?,
                            uid: row.get(3)?,
                        },
                        organizer: row.get(4)?,
                        external_id: row.get(5)?,
                        goes: row.get(6)?,
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            let mut pruned = Pruned::default();
            if rows.iter().any(|row| row.goes) {
                let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
                for row in rows.iter().filter(|row| row.goes) {
                    forget(&transaction, row, &mut pruned)?;
                }
                transaction.commit()?;
            }
            if rows.len() == SLICE {
                pruned.next = rows.into_iter().next_back().map(|row| row.at);
            }
            Ok(pruned)
        })
    }
}

/// Forgets a link and, with the last one of its meeting, that.
fn forget(c: &Transaction<'_>, row: &Row, pruned: &mut Pruned) -> rusqlite::Result<()> {
    let at = &row.at;
    pruned.links += c
        .prepare_cached("DELETE FROM links WHERE calendar = ?1 AND resource = ?2 AND uid = ?3")?
        .execute((&at.calendar, &at.resource, &at.uid))?;
    let key = (&row.organizer, &row.external_id);
    if c.prepare_cached(LEFT)?.exists((&at.uid, key.0, key.1))? {
        return Ok(());
    }
    for table in ["meetings", "formers"] {
        pruned.meetings += c
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE organizer = ?1 AND external_id = ?2"
            ))?
            .execute(key)?;
    }
    c.prepare_cached("DELETE FROM absences WHERE organizer = ?1 AND external_id = ?2")?
        .execute(key)
        .map(drop)
}
