//! The local times that a [`Rule`] yields (RFC 5545, 3.3.10), one after the other.
//!
//! Own code, because no kept crate is bounded and says what it costs: `rrule` is the only one that is,
//! and its `limit()` restarts for every result and does not count what it walks through while it skips
//! (one result has taken 0.9 s), builds every time of a year at once, ignores EXRULE, and refuses rules
//! that real files hold (`X-` parts, UNTIL as a date). Here a period's times are never built: they are counted off its days, hours,
//! minutes and seconds. Each period, day and time that is looked at costs a step of a [`Budget`].

use std::cell::Cell;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use super::rule::{Frequency, Rule, days_in_month};

/// The steps that one series may take: some ten milliseconds.
const SERIES_STEPS: u64 = 250_000;
/// The steps that all series of a document may take together: as many as two costly series, ...
pub(super) const DOCUMENT_STEPS: u64 = 2 * SERIES_STEPS;
/// ... and some for each byte of it: 2,500 for an event of 250 bytes. So a file takes time in proportion.
const STEPS_PER_BYTE: u64 = 10;
/// No rule is followed beyond this year: a date has four digits.
const LAST_YEAR: i32 = 9999;

/// What may still be spent on the recurrences of a document.
#[derive(Debug)]
pub(super) struct Budget {
    document: Cell<u64>,
    series: Cell<u64>,
}

impl Budget {
    /// For a document of so many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self::new(DOCUMENT_STEPS.saturating_add(STEPS_PER_BYTE.saturating_mul(bytes)))
    }

    /// For a document whose series may take so many steps together.
    pub(super) fn new(steps: u64) -> Self {
        Self {
            document: Cell::new(steps),
            series: Cell::new(SERIES_STEPS),
        }
    }

    /// Another series begins.
    pub(super) fn begin(&self) {
        self.series.set(SERIES_STEPS);
    }

    fn spend(&self, steps: u64) -> Result<(), String> {
        let left = |cell: &Cell<u64>| {
            let left = cell.get().checked_sub(steps);
            cell.set(left.unwrap_or(0));
            left.is_some()
        };
        if !left(&self.document) {
            return Err("all recurrence rules of the file together take too long".to_owned());
        }
        if !left(&self.series) {
            return Err("the recurrence rule takes too long to follow".to_owned());
        }
        Ok(())
    }
}

/// Follows a rule.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rule: &'a Rule,
    /// Where periods are counted from.
    base: NaiveDateTime,
    /// No time before this one is given out.
    from: NaiveDateTime,
    /// No time before this one counts.
    start: NaiveDateTime,
    /// Of COUNT.
    left: Option<u64>,
    /// The number of the next period.
    period: i64,
    days: Vec<NaiveDate>,
    /// What the period itself fixes.
    hour: Option<i32>,
    minute: Option<i32>,
    second: Option<i32>,
    /// The places in the period that BYSETPOS chooses.
    chosen: Vec<usize>,
    at: usize,
    done: bool,
}

impl<'a> Cursor<'a> {
    /// The times of `rule` from `from` on, of an event that starts at `start`. With `after_start` that
    /// start itself is left out and counts as the first that COUNT allows, whether the rule yields it or
    /// not.
    pub(super) fn new(
        rule: &'a Rule,
        start: NaiveDateTime,
        from: NaiveDateTime,
        after_start: bool,
    ) -> Self {
        let date = start.date();
        let day = match rule.frequency {
            Frequency::Yearly => date.with_ordinal(1),
            Frequency::Monthly => date.with_day(1),
            Frequency::Weekly => {
                let weekday = i64::from(date.weekday().num_days_from_monday());
                days_after(date, -(weekday - rule.week_start).rem_euclid(7))
            }
            _ => Some(date),
        };
        let time = match rule.frequency {
            Frequency::Hourly => NaiveTime::from_hms_opt(start.hour(), 0, 0),
            Frequency::Minutely => NaiveTime::from_hms_opt(start.hour(), start.minute(), 0),
            Frequency::Secondly => Some(start.time()),
            _ => None,
        };
        let mut cursor = Self {
            rule,
            base: day.unwrap_or(date).and_time(time.unwrap_or(NaiveTime::MIN)),
            from,
            start: seconds_after(start, after_start.into()).unwrap_or(start),
            left: rule
                .count
                .map(|count| count.saturating_sub(after_start.into())),
            period: 0,
            days: Vec::new(),
            hour: None,
            minute: None,
            second: None,
            chosen: Vec::new(),
            at: 0,
            done: false,
        };
        if rule.count.is_none() && from > start {
            cursor.period = cursor.period_of(from);
        }
        cursor
    }

    /// The next time.
    pub(super) fn next(&mut self, budget: &Budget) -> Result<Option<NaiveDateTime>, String> {
        while !self.done {
            if self.at >= self.size() {
                self.advance(budget)?;
                self.pass_over();
                continue;
            }
            budget.spend(1)?;
            let Some(time) = self.time(self.at) else {
                break;
            };
            self.at += 1;
            if time < self.start {
                continue;
            }
            if self.rule.until.is_some_and(|until| time > until) {
                break;
            }
            if let Some(left) = &mut self.left {
                let Some(fewer) = left.checked_sub(1) else {
                    break;
                };
                *left = fewer;
            }
            if time >= self.from {
                return Ok(Some(time));
            }
        }
        self.done = true;
        Ok(None)
    }

    /// Counts a whole period that lies before what is asked for at once.
    fn pass_over(&mut self) {
        let size = self.size();
        let (Some(first), Some(last)) = (self.time(0), self.time(size.saturating_sub(1))) else {
            return;
        };
        let whole = u64::try_from(size).unwrap_or(u64::MAX);
        if first >= self.start
            && last < self.from
            && self.rule.until.is_none_or(|until| last <= until)
            && self.left.is_none_or(|left| left >= whole)
        {
            self.left = self.left.map(|left| left - whole);
            self.at = size;
        }
    }

    /// How many times the period has.
    fn size(&self) -> usize {
        if self.rule.positions.is_empty() {
            self.all()
        } else {
            self.chosen.len()
        }
    }

    /// The same without BYSETPOS.
    fn all(&self) -> usize {
        self.days.len() * self.of_a_day()
    }

    fn of_a_day(&self) -> usize {
        hours(self).len() * minutes(self).len() * seconds(self).len()
    }

    /// The time at that place in the period.
    fn time(&self, at: usize) -> Option<NaiveDateTime> {
        let at = if self.rule.positions.is_empty() {
            at
        } else {
            *self.chosen.get(at)?
        };
        let day = *self.days.get(at.checked_div(self.of_a_day())?)?;
        let (hours, minutes, seconds) = (hours(self), minutes(self), seconds(self));
        let part = |list: &[i32], at: usize| {
            let value = list.get(at.checked_rem(list.len())?)?;
            u32::try_from(*value).ok()
        };
        day.and_hms_opt(
            part(hours, at.checked_div(minutes.len() * seconds.len())?)?,
            part(minutes, at.checked_div(seconds.len())?)?,
            part(seconds, at)?,
        )
    }

    /// Goes to the next period, which may turn out to have no times.
    fn advance(&mut self, budget: &Budget) -> Result<(), String> {
        self.at = 0;
        self.days.clear();
        let Some(begin) = self.begin(self.period) else {
            self.done = true;
            return Ok(());
        };
        let over = self.rule.until.is_some_and(|until| begin > until);
        if over || begin.year() > LAST_YEAR {
            self.done = true;
            return Ok(());
        }
        self.period += 1;
        let looked_at = match self.rule.frequency {
            Frequency::Yearly => (0..12)
                .filter_map(|month| months_after(begin.date(), month))
                .map(|first| self.add_month(first))
                .sum(),
            Frequency::Monthly => self.add_month(begin.date()),
            Frequency::Weekly => {
                for day in (0..7).filter_map(|day| days_after(begin.date(), day)) {
                    self.add(day);
                }
                7
            }
            _ => self.add_within_a_day(begin),
        };
        self.choose();
        budget.spend(1 + looked_at + self.rule.positions.len() as u64)
    }

    fn add(&mut self, day: NaiveDate) {
        if self.rule.takes_day(day) {
            self.days.push(day);
        }
    }

    /// Adds the days of the month that begins with `first`; how many were looked at.
    fn add_month(&mut self, first: NaiveDate) -> u64 {
        if !self.rule.takes_month(first) {
            return 0;
        }
        let last = days_in_month(first);
        let named = &self.rule.month_days;
        if named.is_empty() {
            for day in (1..=last).filter_map(|day| first.with_day(day)) {
                self.add(day);
            }
            return 31;
        }
        let from_end = |day: i32| i64::from(last) + i64::from(day) + 1;
        let mut days: Vec<i64> = named
            .iter()
            .map(|&day| if day > 0 { day.into() } else { from_end(day) })
            .collect();
        days.sort_unstable();
        days.dedup();
        for day in &days {
            let day = u32::try_from(*day).ok();
            if let Some(day) = day.and_then(|day| first.with_day(day)) {
                self.add(day);
            }
        }
        days.len() as u64
    }

    /// Adds the day, or the part of one, that begins there; if the rule does not take it, the next
    /// period is one that begins when that may be otherwise.
    fn add_within_a_day(&mut self, begin: NaiveDateTime) -> u64 {
        let rule = self.rule;
        let date = begin.date();
        let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN);
        let [hour, minute, second] =
            [begin.hour(), begin.minute(), begin.second()].map(|part| part.cast_signed());
        let other = |list: &[i32], value: i32| !list.is_empty() && !list.contains(&value);
        let later = if !rule.takes_month(date) {
            date.with_day(1)
                .and_then(|first| months_after(first, 1))
                .map(midnight)
        } else if !rule.takes_day(date) {
            days_after(date, 1).map(midnight)
        } else if rule.frequency == Frequency::Daily {
            None
        } else if other(&rule.hours, hour) {
            seconds_after(begin, i64::from(3600 - 60 * minute - second))
        } else if rule.frequency == Frequency::Hourly {
            None
        } else if other(&rule.minutes, minute) {
            seconds_after(begin, i64::from(60 - second))
        } else if rule.frequency == Frequency::Minutely || !other(&rule.seconds, second) {
            None
        } else {
            seconds_after(begin, 1)
        };
        if let Some(later) = later {
            // The period that holds that time may begin before it; then it is the next to be looked at.
            self.period = self.period.max(self.period_of(later));
            return 0;
        }
        self.days.push(date);
        let shorter = |than: Frequency| rule.frequency > than;
        self.hour = shorter(Frequency::Daily).then_some(hour);
        self.minute = shorter(Frequency::Hourly).then_some(minute);
        self.second = shorter(Frequency::Minutely).then_some(second);
        0
    }

    /// What BYSETPOS leaves of the period.
    fn choose(&mut self) {
        let all = i64::try_from(self.all()).unwrap_or(i64::MAX);
        self.chosen.clear();
        for &position in &self.rule.positions {
            let position = i64::from(position);
            let at = if position > 0 {
                position - 1
            } else {
                all + position
            };
            if let Some(at) = usize::try_from(at).ok().filter(|_| at < all) {
                self.chosen.push(at);
            }
        }
        self.chosen.sort_unstable();
        self.chosen.dedup();
    }

    /// When that period begins.
    fn begin(&self, period: i64) -> Option<NaiveDateTime> {
        let units = period.checked_mul(self.rule.interval)?;
        let (date, time) = (self.base.date(), self.base.time());
        match self.rule.frequency {
            Frequency::Yearly => Some(months_after(date, units.checked_mul(12)?)?.and_time(time)),
            Frequency::Monthly => Some(months_after(date, units)?.and_time(time)),
            _ => seconds_after(self.base, units.checked_mul(self.unit())?),
        }
    }

    /// The last period that begins at or before a time; 0 for one before all.
    fn period_of(&self, time: NaiveDateTime) -> i64 {
        let months = |at: NaiveDateTime| 12 * i64::from(at.year()) + i64::from(at.month0());
        let apart = match self.rule.frequency {
            Frequency::Yearly => (months(time) - months(self.base)) / 12,
            Frequency::Monthly => months(time) - months(self.base),
            _ => time.signed_duration_since(self.base).num_seconds() / self.unit(),
        };
        (apart / self.rule.interval).max(0)
    }

    /// The length of a period of weeks or shorter, in seconds.
    fn unit(&self) -> i64 {
        match self.rule.frequency {
            Frequency::Yearly | Frequency::Monthly | Frequency::Daily => 86_400,
            Frequency::Weekly => 7 * 86_400,
            Frequency::Hourly => 3600,
            Frequency::Minutely => 60,
            Frequency::Secondly => 1,
        }
    }
}

fn hours<'c>(cursor: &'c Cursor<'_>) -> &'c [i32] {
    cursor.hour.as_ref().map_or(&cursor.rule.hours, fixed)
}

fn minutes<'c>(cursor: &'c Cursor<'_>) -> &'c [i32] {
    cursor.minute.as_ref().map_or(&cursor.rule.minutes, fixed)
}

fn seconds<'c>(cursor: &'c Cursor<'_>) -> &'c [i32] {
    cursor.second.as_ref().map_or(&cursor.rule.seconds, fixed)
}

fn fixed(value: &i32) -> &[i32] {
    std::slice::from_ref(value)
}

fn days_after(date: NaiveDate, days: i64) -> Option<NaiveDate> {
    date.checked_add_signed(TimeDelta::try_days(days)?)
}

fn seconds_after(time: NaiveDateTime, seconds: i64) -> Option<NaiveDateTime> {
    time.checked_add_signed(TimeDelta::try_seconds(seconds)?)
}

/// The first of a month, months after another.
fn months_after(first: NaiveDate, months: i64) -> Option<NaiveDate> {
    first.checked_add_months(chrono::Months::new(u32::try_from(months).ok()?))
}
