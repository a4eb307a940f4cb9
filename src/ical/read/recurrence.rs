//! Which occurrences a series has (RFC 5545, 3.8.5).
//!
//! Everything runs in the local times of the series' [`Frame`], and only the occurrences that matter are
//! turned into instants, so no gap or fold comes between. What it costs is bounded by a [`Budget`]: an old
//! rule without COUNT does not begin at its DTSTART but shortly before the time that is asked for.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

pub(super) use super::expand::Budget;
use super::expand::Cursor;
use super::rule::Rule;
use super::time::{Frame, Length, When};
use crate::model::Span;

/// The most rules, of either kind, of one series.
const MAX_RULES: usize = 16;

/// A series, or a single event, which is a series without rules.
#[derive(Clone, Debug)]
pub(super) struct Series<'z> {
    frame: Frame<'z>,
    start: NaiveDateTime,
    length: Length,
    rules: Vec<Rule>,
    except: Vec<Rule>,
    /// RDATE: each with the length of its own that a PERIOD gives it.
    extra: Vec<(NaiveDateTime, Option<Length>)>,
    without: Without,
    /// By time.
    changes: Vec<Change>,
}

/// The local times that are no occurrences: EXDATE, and those that an override stands for.
#[derive(Clone, Debug, Default)]
pub(super) struct Without {
    times: HashSet<NaiveDateTime>,
    days: HashSet<NaiveDate>,
}

impl Without {
    /// Takes one out: the occurrence at that time, or of that day where only a day is given.
    pub(super) fn add(&mut self, frame: Frame<'_>, when: When<'_>) {
        match when {
            When::Date(date) if !frame.all_day => {
                self.days.insert(date);
            }
            _ => {
                self.times.insert(frame.local(when));
            }
        }
    }

    fn holds(&self, local: NaiveDateTime) -> bool {
        self.times.contains(&local) || self.days.contains(&local.date())
    }
}

/// What an override with RANGE=THISANDFUTURE does to the occurrences after its own, up to the next such
/// override (RFC 5545, 3.2.13 and 3.8.4.4).
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// The occurrence it stands for.
    pub(super) at: NaiveDateTime,
    /// How much later they start.
    pub(super) shift: TimeDelta,
    /// How long they are.
    pub(super) length: Length,
    /// They do not take place.
    pub(super) cancelled: bool,
}

impl Change {
    /// The occurrences after that one do not take place.
    pub(super) fn cancels(at: NaiveDateTime) -> Self {
        Self {
            at,
            shift: TimeDelta::zero(),
            length: Length::ZERO,
            cancelled: true,
        }
    }
}

impl<'z> Series<'z> {
    /// The one occurrence that starts at `start`.
    pub(super) fn single(frame: Frame<'z>, start: NaiveDateTime, length: Length) -> Self {
        Self {
            frame,
            start,
            length,
            rules: Vec::new(),
            except: Vec::new(),
            extra: Vec::new(),
            without: Without::default(),
            changes: Vec::new(),
        }
    }

    /// Adds the RRULEs and EXRULEs.
    ///
    /// # Errors
    /// What is not understood of them, in words.
    pub(super) fn with_rules(
        mut self,
        rules: &[String],
        except: &[String],
    ) -> Result<Self, String> {
        if rules.len() + except.len() > MAX_RULES {
            return Err(format!("it has more than {MAX_RULES} recurrence rules"));
        }
        let parse = |texts: &[String]| {
            let rules = texts.iter();
            rules
                .map(|text| {
                    let local = |at| self.frame.local(When::Utc(at));
                    Rule::parse(text, self.start, self.frame.all_day, local)
                })
                .collect::<Result<Vec<_>, _>>()
        };
        (self.rules, self.except) = (parse(rules)?, parse(except)?);
        Ok(self)
    }

    /// Adds the RDATEs, each with its own length if it has one.
    pub(super) fn with_extra(
        mut self,
        extra: impl Iterator<Item = (When<'z>, Option<Length>)>,
    ) -> Self {
        self.extra = extra
            .map(|(when, length)| (self.frame.local(when), length))
            .collect();
        self
    }

    /// Takes occurrences out.
    pub(super) fn without(self, without: Without) -> Self {
        Self { without, ..self }
    }

    /// Changes the occurrences after some of them.
    pub(super) fn with_changes(mut self, mut changes: Vec<Change>) -> Self {
        changes.sort_by_key(|change| change.at);
        self.changes = changes;
        self
    }

    /// The earliest occurrence for which `wanted` holds. `wanted` must hold for every occurrence that
    /// ends after `now`, and may hold for one that ends at it.
    ///
    /// # Errors
    /// Why a rule cannot be followed that far, in words.
    pub(super) fn first(
        &self,
        now: DateTime<Utc>,
        wanted: impl Fn(&Span) -> bool,
        budget: &Budget,
    ) -> Result<Option<Span>, String> {
        budget.begin();
        let (earlier, later) = self.shifts();
        // No occurrence that starts before this can end after now.
        let from = self
            .frame
            .of_instant(now)
            .checked_sub_signed(self.longest())
            .and_then(|from| from.checked_sub_signed(later))
            .unwrap_or(NaiveDateTime::MIN);
        let mut singles: Vec<(NaiveDateTime, Option<Length>)> = self.extra.clone();
        singles.push((self.start, None));
        // Of two at one time the one with a length of its own comes first.
        singles.sort_by_key(|(at, length)| (*at, length.is_none()));
        singles.dedup_by_key(|(at, _)| *at);
        let mut singles = singles.into_iter().peekable();
        let mut rules = Ahead::all(&self.rules, self.start, from, true, budget)?;
        let mut except = Ahead::all(&self.except, self.start, from, false, budget)?;
        let mut best: Option<Span> = None;
        loop {
            let dated = singles.peek().map(|(at, _)| *at);
            let Some(at) = rules.iter().filter_map(|rule| rule.head).chain(dated).min() else {
                return Ok(best);
            };
            // A gap, or a change, puts a later one before an earlier one.
            if let Some(best) = best {
                let last = self
                    .frame
                    .of_instant(best.start)
                    .checked_add_signed(earlier);
                if last.is_some_and(|last| at >= last) {
                    return Ok(Some(best));
                }
            }
            let length = singles
                .next_if(|(dated, _)| *dated == at)
                .and_then(|(_, length)| length);
            for rule in &mut rules {
                rule.pass(at, budget)?;
            }
            let mut excluded = self.without.holds(at);
            for rule in &mut except {
                excluded |= rule.reaches(at, budget)?;
            }
            if !excluded && let Some(span) = self.place(at, length).filter(|span| wanted(span)) {
                best = best.into_iter().chain([span]).min();
            }
        }
    }

    /// The occurrence that starts at `at` unless a change moves it; `length` is its own.
    fn place(&self, at: NaiveDateTime, length: Option<Length>) -> Option<Span> {
        let changed = self.changes.partition_point(|change| change.at <= at);
        let change = changed
            .checked_sub(1)
            .and_then(|last| self.changes.get(last));
        let Some(change) = change else {
            return Some(self.frame.span(at, length.unwrap_or(self.length)));
        };
        if change.cancelled {
            return None;
        }
        let at = at.checked_add_signed(change.shift)?;
        Some(self.frame.span(at, length.unwrap_or(change.length)))
    }

    /// By how much at most a change moves an occurrence forward and back.
    fn shifts(&self) -> (TimeDelta, TimeDelta) {
        let shifts = || self.changes.iter().map(|change| change.shift);
        let zero = TimeDelta::zero();
        let least = shifts().min().unwrap_or(zero).min(zero);
        (-least, shifts().max().unwrap_or(zero).max(zero))
    }

    fn longest(&self) -> TimeDelta {
        let extra = self.extra.iter().filter_map(|(_, length)| *length);
        let changes = self.changes.iter().map(|change| change.length);
        let lengths = extra.chain(changes).map(Length::at_most);
        lengths.max().unwrap_or_default().max(self.length.at_most())
    }
}

/// A rule and the next time it yields.
struct Ahead<'a> {
    cursor: Cursor<'a>,
    head: Option<NaiveDateTime>,
}

impl<'a> Ahead<'a> {
    fn all(
        rules: &'a [Rule],
        start: NaiveDateTime,
        from: NaiveDateTime,
        after_start: bool,
        budget: &Budget,
    ) -> Result<Vec<Self>, String> {
        rules
            .iter()
            .map(|rule| {
                let mut cursor = Cursor::new(rule, start, from, after_start);
                let head = cursor.next(budget)?;
                Ok(Self { cursor, head })
            })
            .collect()
    }

    fn pass(&mut self, at: NaiveDateTime, budget: &Budget) -> Result<(), String> {
        if self.head == Some(at) {
            self.head = self.cursor.next(budget)?;
        }
        Ok(())
    }

    /// Goes on to `at`; whether the rule yields it.
    fn reaches(&mut self, at: NaiveDateTime, budget: &Budget) -> Result<bool, String> {
        while self.head.is_some_and(|head| head < at) {
            self.head = self.cursor.next(budget)?;
        }
        Ok(self.head == Some(at))
    }
}

#[cfg(test)]
#[path = "recurrence_tests.rs"]
mod tests;
