//! Which occurrences a series has (RFC 5545, 3.8.5).
//!
//! Everything runs in the local times of the series' [`Frame`], and only the occurrences that matter are
//! turned into instants, so no gap or fold comes between. What it costs is bounded by a [`Budget`]: an old
//! rule without COUNT does not begin at its DTSTART but shortly before the time that is asked for.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use super::expand::{Budget, Cursor};
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
        let ahead = |rule, after_start| Ahead::new(rule, self.start, from, after_start);
        let mut rules: Vec<_> = self.rules.iter().map(|rule| ahead(rule, true)).collect();
        let mut except: Vec<_> = self.except.iter().map(|rule| ahead(rule, false)).collect();
        let mut best: Option<Span> = None;
        loop {
            let mut at = singles.peek().map(|(at, _)| *at);
            for rule in &mut rules {
                at = at.into_iter().chain(rule.head(budget)?).min();
            }
            let Some(at) = at else {
                return Ok(best);
            };
            let mut length = None;
            if let Some((_, own)) = singles.next_if(|(dated, _)| *dated == at) {
                length = own;
            }
            for rule in &mut rules {
                rule.pass(at);
            }
            let mut excluded = self.without.holds(at);
            for rule in &mut except {
                excluded |= rule.reaches(at, budget)?;
            }
            if !excluded && let Some(span) = self.place(at, length).filter(|span| wanted(span)) {
                best = best.into_iter().chain([span]).min();
            }
            // A gap, or a change, puts a later one before an earlier one.
            if let Some(best) = best {
                let local = self.frame.of_instant(best.start);
                if local
                    .checked_add_signed(earlier)
                    .is_none_or(|last| last <= at)
                {
                    return Ok(Some(best));
                }
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

/// A rule and the next time it yields, which is looked for only when it is asked for.
struct Ahead<'a> {
    cursor: Cursor<'a>,
    head: Option<Option<NaiveDateTime>>,
}

impl<'a> Ahead<'a> {
    fn new(rule: &'a Rule, start: NaiveDateTime, from: NaiveDateTime, after_start: bool) -> Self {
        Self {
            cursor: Cursor::new(rule, start, from, after_start),
            head: None,
        }
    }

    fn head(&mut self, budget: &Budget) -> Result<Option<NaiveDateTime>, String> {
        if let Some(head) = self.head {
            return Ok(head);
        }
        let head = self.cursor.next(budget)?;
        self.head = Some(head);
        Ok(head)
    }

    fn pass(&mut self, at: NaiveDateTime) {
        if self.head == Some(Some(at)) {
            self.head = None;
        }
    }

    /// Goes on to `at`; whether the rule yields it.
    fn reaches(&mut self, at: NaiveDateTime, budget: &Budget) -> Result<bool, String> {
        while let Some(head) = self.head(budget)? {
            if head >= at {
                return Ok(head == at);
            }
            self.pass(head);
        }
        Ok(false)
    }
}

#[cfg(test)]
#[path = "recurrence_tests.rs"]
mod tests;
