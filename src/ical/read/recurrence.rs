//! Which occurrences a series has (RFC 5545, 3.8.5): the crate `rrule`, kept within bounds.
//!
//! A rule is followed in the local times of its event's [`Frame`], which `rrule` is given as if they
//! were UTC: no gap or fold comes between. DTSTART, RDATE and EXDATE are applied here, in the same local
//! times, and only the occurrences that matter are turned into instants.
//!
//! Bounds, so that no rule costs more than some tens of milliseconds: the length of its text, how many
//! times one period can yield, and how many periods and occurrences are walked through. An old rule
//! without COUNT does not begin at its DTSTART but shortly before the time that is asked for.

use std::collections::HashSet;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use rrule::{Frequency, RRule, RRuleSet, Tz, Unvalidated};

use super::guard::{self, Written};
use super::time::{Frame, Length, When};
use crate::model::Span;

/// The longest rule, in bytes.
const MAX_RULE: usize = 512;
/// The most rules of one series.
const MAX_RULES: usize = 8;
/// The most positions in BYSETPOS.
const MAX_POSITIONS: usize = 16;
/// The most occurrences that one period (a year of FREQ=YEARLY, say) can yield.
const MAX_PER_PERIOD: usize = 50_000;
/// No rule is followed beyond this year: a date has four digits.
const LAST_YEAR: i32 = 9999;
/// How many periods and occurrences are walked through for one answer.
const MAX_STEPS: i64 = 100_000;
/// How many periods `rrule` walks through for one occurrence before it gives up.
const MAX_SILENT_PERIODS: i64 = 100_000;

/// A series, or a single event, which is a series without rules.
#[derive(Clone, Debug)]
pub(super) struct Series<'z> {
    frame: Frame<'z>,
    start: NaiveDateTime,
    length: Length,
    rules: Vec<Rule>,
    extra: Vec<NaiveDateTime>,
    without: Without,
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

/// One RRULE, checked.
#[derive(Clone, Debug)]
struct Rule {
    rule: RRule<Unvalidated>,
    until: Option<NaiveDateTime>,
}

impl<'z> Series<'z> {
    /// A series whose first occurrence starts at `start`; `extra` are its RDATEs.
    ///
    /// # Errors
    /// What is not understood of the rules, in words.
    pub(super) fn new(
        frame: Frame<'z>,
        start: NaiveDateTime,
        length: Length,
        rules: &[String],
        extra: &[When<'_>],
        without: Without,
    ) -> Result<Self, String> {
        if rules.len() > MAX_RULES {
            return Err(format!("it has more than {MAX_RULES} recurrence rules"));
        }
        Ok(Self {
            frame,
            start,
            length,
            rules: rules
                .iter()
                .map(|rule| Rule::parse(rule, frame, start))
                .collect::<Result<_, _>>()?,
            extra: extra.iter().map(|&when| frame.local(when)).collect(),
            without,
        })
    }

    /// The first occurrence for which `wanted` holds. `wanted` must hold for every occurrence that
    /// ends after `now`, and may hold for one that ends at it.
    ///
    /// # Errors
    /// Why a rule cannot be followed that far, in words.
    pub(super) fn first(
        &self,
        now: DateTime<Utc>,
        wanted: impl Fn(&Span) -> bool,
    ) -> Result<Option<Span>, String> {
        let occurrence = |local: NaiveDateTime| {
            if self.without.holds(local) {
                return None;
            }
            Some(self.frame.span(local, self.length)).filter(|span| wanted(span))
        };
        let mut first = std::iter::once(self.start)
            .chain(self.extra.iter().copied())
            .filter_map(&occurrence)
            .min();
        for rule in &self.rules {
            let found = rule.first(self, now, occurrence)?;
            first = [first, found].into_iter().flatten().min();
        }
        Ok(first)
    }
}

impl Rule {
    fn parse(text: &str, frame: Frame<'_>, start: NaiveDateTime) -> Result<Self, String> {
        if text.len() > MAX_RULE {
            return Err(format!(
                "the recurrence rule has more than {MAX_RULE} bytes"
            ));
        }
        let mut until = None;
        let mut kept = Vec::new();
        let text: String = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_ascii_uppercase())
            .collect();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("UNTIL", value)) => until = Some(until_local(value, frame)?),
                Some((name @ ("RSCALE" | "SKIP"), _)) => {
                    return Err(format!("{name} in a recurrence rule is not understood"));
                }
                Some((_, value)) if !value.is_empty() => kept.push(part),
                _ => return Err(UNREADABLE.to_owned()),
            }
        }
        let rule: RRule<Unvalidated> = kept.join(";").parse().map_err(|_| UNREADABLE.to_owned())?;
        if rule.get_interval() == 0 || rule.get_count() == Some(0) {
            return Err(UNREADABLE.to_owned());
        }
        let rule = Self { rule, until };
        rule.check(start)?;
        Ok(rule)
    }

    /// Whether `rrule` takes it, and whether following it stays within bounds.
    fn check(&self, start: NaiveDateTime) -> Result<(), String> {
        let checked = self
            .rule
            .clone()
            .validate(as_utc(start))
            .map_err(|_| UNREADABLE.to_owned())?;
        let days = match checked.get_freq() {
            Frequency::Yearly => 366,
            Frequency::Monthly => 31,
            Frequency::Weekly => 7,
            _ => 1,
        };
        let dense = [
            checked.get_by_hour().len(),
            checked.get_by_minute().len(),
            checked.get_by_second().len(),
        ]
        .into_iter()
        .fold(days, |times, choices| times * choices.max(1));
        if dense > MAX_PER_PERIOD || checked.get_by_set_pos().len() > MAX_POSITIONS {
            return Err("the recurrence rule names too many times".to_owned());
        }
        Ok(())
    }

    /// The first of its occurrences that `occurrence` accepts.
    fn first(
        &self,
        series: &Series<'_>,
        now: DateTime<Utc>,
        occurrence: impl Fn(NaiveDateTime) -> Option<Span>,
    ) -> Result<Option<Span>, String> {
        // No occurrence that starts before this can end after now.
        let earliest = series
            .frame
            .of_instant(now)
            .checked_sub_signed(series.length.at_most())
            .unwrap_or(series.start);
        if earliest.year() > LAST_YEAR || self.until.is_some_and(|until| until < earliest) {
            return Ok(None);
        }
        let base = self.base(series.start, earliest);
        let set: RRuleSet = self
            .rule
            .clone()
            .build(as_utc(base))
            .map_err(|_| UNREADABLE.to_owned())?
            .limit();
        let period = self.period().num_seconds().max(1);
        // DTSTART itself is the first that COUNT counts, whether the rule yields it or not.
        let mut left = self.rule.get_count().map(|count| count - 1);
        let (mut steps, mut before) = (0i64, base);
        for local in &set {
            let local = local.naive_utc();
            if self.until.is_some_and(|until| local > until) {
                return Ok(None);
            }
            let gap = local.signed_duration_since(before).num_seconds() / period;
            steps += 1 + gap.clamp(0, MAX_SILENT_PERIODS);
            before = local;
            if local == series.start {
                continue;
            }
            match &mut left {
                Some(0) => return Ok(None),
                Some(left) => *left -= 1,
                None => {}
            }
            if let Some(span) = occurrence(local) {
                return Ok(Some(span));
            }
            if steps > MAX_STEPS {
                return Err("the recurrence rule takes too long to follow".to_owned());
            }
        }
        Ok(None)
    }

    /// The length of one period, months and years at their shortest.
    fn period(&self) -> TimeDelta {
        let unit = match self.rule.get_freq() {
            Frequency::Yearly => 365 * 86_400,
            Frequency::Monthly => 28 * 86_400,
            Frequency::Weekly => 7 * 86_400,
            Frequency::Daily => 86_400,
            Frequency::Hourly => 3600,
            Frequency::Minutely => 60,
            Frequency::Secondly => 1,
        };
        TimeDelta::seconds(unit * i64::from(self.rule.get_interval()))
    }

    /// Where to begin: `start`, or that many whole periods later, but not after `earliest`, where
    /// that yields the same occurrences.
    fn base(&self, start: NaiveDateTime, earliest: NaiveDateTime) -> NaiveDateTime {
        let frequency = self.rule.get_freq();
        // A week number without a weekday takes the weekday of DTSTART, which differs from year to year.
        let bound_to_start = self.rule.get_count().is_some()
            || !self.rule.get_by_week_no().is_empty() && self.rule.get_by_weekday().is_empty();
        if earliest <= start || bound_to_start {
            return start;
        }
        let interval = i64::from(self.rule.get_interval());
        let months = match frequency {
            Frequency::Yearly => 12 * interval,
            Frequency::Monthly => interval,
            _ => {
                let period = self.period().num_seconds().max(1);
                let periods = earliest.signed_duration_since(start).num_seconds() / period;
                return start
                    .checked_add_signed(TimeDelta::seconds(periods * period))
                    .unwrap_or(start);
            }
        };
        let apart = |date: NaiveDateTime| 12 * i64::from(date.year()) + i64::from(date.month0());
        let mut periods = (apart(earliest) - apart(start) - 1) / months.max(1);
        // A day that the month lacks (31, or 29 February) would change the rule: go back to one that has it.
        while periods > 0 {
            let later = u32::try_from(periods * months)
                .ok()
                .and_then(|months| start.checked_add_months(Months::new(months)));
            if let Some(later) = later.filter(|later| later.day() == start.day()) {
                return later;
            }
            periods -= 1;
        }
        start
    }
}

const UNREADABLE: &str = "the recurrence rule cannot be read";

/// UNTIL as the last local time that counts: of a date, the end of that day.
fn until_local(value: &str, frame: Frame<'_>) -> Result<NaiveDateTime, String> {
    let read = guard::dates(&[("UNTIL", value.to_owned())]);
    let when = match read.first().copied().flatten() {
        Some(Written::Date(date)) => {
            return date
                .and_hms_opt(23, 59, 59)
                .ok_or_else(|| UNREADABLE.to_owned());
        }
        Some(Written::Local(local)) => When::Floating(local),
        Some(Written::Utc(at)) => When::Utc(at),
        None => return Err(UNREADABLE.to_owned()),
    };
    Ok(frame.local(when))
}

fn as_utc(local: NaiveDateTime) -> DateTime<Tz> {
    local.and_utc().with_timezone(&Tz::UTC)
}

#[cfg(test)]
#[path = "recurrence_tests.rs"]
mod tests;
