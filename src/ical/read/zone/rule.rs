//! The RRULE of a VTIMEZONE's observance, answered year by year.
//!
//! A clock changes a few times a year: a rule that names more than [`MAX_ONSETS`] is refused, and so is
//! one that is silent for longer than [`MAX_SILENT`] years. So any year costs no more than a walk over its days.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Weekday};

use super::super::guard::{self, Written};

/// The most onsets of one year.
const MAX_ONSETS: usize = 24;
/// How many years may pass between two onsets.
pub(super) const MAX_SILENT: i32 = 8;
/// The longest rule, in bytes.
const MAX_RULE: usize = 512;
/// The most values of one part.
const MAX_VALUES: usize = 64;
/// How many onsets COUNT may name, and over how many years they may spread.
pub(super) const MAX_COUNT: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frequency {
    Yearly,
    Monthly,
    Weekly,
    Daily,
}

/// When a rule ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The last local time.
    Local(NaiveDateTime),
    /// The last time in UTC.
    Utc(NaiveDateTime),
}

/// An RRULE with its DTSTART.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) start: NaiveDateTime,
    time: NaiveTime,
    frequency: Frequency,
    interval: i32,
    pub(super) until: Option<Until>,
    pub(super) count: Option<usize>,
    months: Vec<i32>,
    month_days: Vec<i32>,
    year_days: Vec<i32>,
    weeks: Vec<i32>,
    days: Vec<(i32, Weekday)>,
    positions: Vec<i32>,
}

impl Rule {
    /// Reads a rule; `None` if it is not understood, or is not one for a clock.
    pub(super) fn parse(text: &str, start: NaiveDateTime) -> Option<Self> {
        if text.len() > MAX_RULE {
            return None;
        }
        let mut rule = Self {
            start,
            time: start.time(),
            frequency: Frequency::Yearly,
            interval: 1,
            until: None,
            count: None,
            months: Vec::new(),
            month_days: Vec::new(),
            year_days: Vec::new(),
            weeks: Vec::new(),
            days: Vec::new(),
            positions: Vec::new(),
        };
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let text = text.to_ascii_uppercase();
        let mut frequency = None;
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=')?;
            match name {
                "FREQ" => {
                    frequency = Some(match value {
                        "YEARLY" => Frequency::Yearly,
                        "MONTHLY" => Frequency::Monthly,
                        "WEEKLY" => Frequency::Weekly,
                        "DAILY" => Frequency::Daily,
                        _ => return None,
                    });
                }
                "INTERVAL" => {
                    rule.interval = value.parse().ok().filter(|n| (1..=400).contains(n))?
                }
                "COUNT" => rule.count = Some(value.parse().ok().filter(|&n| n <= MAX_COUNT)?),
                "UNTIL" => rule.until = Some(until(value)?),
                "BYMONTH" => rule.months = numbers(value, 12)?,
                "BYMONTHDAY" => rule.month_days = numbers(value, 31)?,
                "BYYEARDAY" => rule.year_days = numbers(value, 366)?,
                "BYWEEKNO" => rule.weeks = numbers(value, 53)?,
                "BYDAY" => rule.days = list(value, weekday)?,
                "BYHOUR" => rule.time = rule.time.with_hour(value.parse().ok()?)?,
                "BYMINUTE" => rule.time = rule.time.with_minute(value.parse().ok()?)?,
                "BYSECOND" => rule.time = rule.time.with_second(value.parse().ok()?)?,
                "BYSETPOS" => rule.positions = numbers(value, 366)?,
                "WKST" => {}
                _ => return None,
            }
        }
        rule.frequency = frequency?;
        let by_period = matches!(rule.frequency, Frequency::Yearly | Frequency::Monthly);
        let understood = by_period || rule.positions.is_empty() && rule.interval == 1;
        understood.then_some(rule)
    }

    /// Whether it has a clock's number of onsets. Walks over [`MAX_SILENT`] years and one.
    pub(super) fn fits(&self) -> bool {
        let first = self.start.year();
        let sample = first..=first.saturating_add(MAX_SILENT);
        let onsets: Vec<usize> = sample.map(|year| self.year(year).len()).collect();
        // The first year may lack those before the start.
        onsets.iter().all(|&count| count <= MAX_ONSETS)
            && onsets.iter().skip(1).any(|&count| count > 0)
    }

    /// How many dates it looks at for one year.
    pub(super) fn weight(&self) -> usize {
        let months = match self.months.len() {
            0 if self.names_no_day() && self.frequency == Frequency::Yearly => 1,
            0 => 12,
            months => months,
        };
        months * 31
    }

    /// The first `count` onsets, in local time: DTSTART is the first that counts. Walks over up to
    /// [`MAX_COUNT`] years.
    pub(super) fn counted(&self, count: usize) -> Vec<NaiveDateTime> {
        let first = self.start.year();
        let years = first..first.saturating_add(i32::try_from(MAX_COUNT).unwrap_or(0));
        let onsets = years.flat_map(|year| self.year(year));
        let rest = onsets.filter(|&onset| onset > self.start);
        std::iter::once(self.start)
            .chain(rest)
            .take(count)
            .collect()
    }

    /// Its onsets in one year, in order, in local time, UNTIL aside.
    pub(super) fn year(&self, year: i32) -> Vec<NaiveDateTime> {
        let mut onsets: Vec<NaiveDate> = Vec::new();
        let apart = year.saturating_sub(self.start.year());
        if apart < 0 || self.frequency == Frequency::Yearly && apart % self.interval != 0 {
            return Vec::new();
        }
        let mut dates = Vec::new();
        for month in 1..=12 {
            if self.has_month(apart, month) {
                let first = NaiveDate::from_ymd_opt(year, month, 1);
                let month_of = |date: &NaiveDate| date.month() == month;
                let days = first
                    .into_iter()
                    .flat_map(|first| first.iter_days().take(31));
                dates.extend(days.take_while(month_of).filter(|&date| self.has_day(date)));
            }
            if self.frequency == Frequency::Monthly {
                onsets.extend(self.positioned(&dates));
                dates.clear();
            }
        }
        onsets.extend(self.positioned(&dates));
        onsets
            .into_iter()
            .map(|date| date.and_time(self.time))
            .filter(|&onset| onset >= self.start)
            .take(MAX_ONSETS + 1)
            .collect()
    }

    fn names_no_day(&self) -> bool {
        self.month_days.is_empty()
            && self.year_days.is_empty()
            && self.weeks.is_empty()
            && self.days.is_empty()
    }

    fn has_month(&self, years: i32, month: u32) -> bool {
        let month = i32::try_from(month).unwrap_or(0);
        let start = i32::try_from(self.start.month()).unwrap_or(0);
        match self.frequency {
            Frequency::Monthly if (years * 12 + month - start) % self.interval != 0 => false,
            Frequency::Yearly if self.months.is_empty() && self.names_no_day() => month == start,
            _ => self.months.is_empty() || self.months.contains(&month),
        }
    }

    fn has_day(&self, date: NaiveDate) -> bool {
        let (day, of_month) = (number(date.day()), number(days_in_month(date)));
        let (ordinal, of_year) = (
            number(date.ordinal()),
            if date.leap_year() { 366 } else { 365 },
        );
        let named = |list: &[i32], at: i32, of: i32| {
            list.is_empty() || list.iter().any(|&n| n == at || n == at - of - 1)
        };
        if self.names_no_day() {
            return match self.frequency {
                Frequency::Yearly | Frequency::Monthly => date.day() == self.start.day(),
                Frequency::Weekly => date.weekday() == self.start.weekday(),
                Frequency::Daily => true,
            };
        }
        if !named(&self.month_days, day, of_month) || !named(&self.year_days, ordinal, of_year) {
            return false;
        }
        if !self.weeks.is_empty() {
            let last = NaiveDate::from_ymd_opt(date.iso_week().year(), 12, 28);
            let weeks = last.map_or(52, |last| number(last.iso_week().week()));
            let right_day = !self.days.is_empty() || date.weekday() == self.start.weekday();
            if !right_day || !named(&self.weeks, number(date.iso_week().week()), weeks) {
                return false;
            }
        }
        let within_month = self.frequency == Frequency::Monthly || !self.months.is_empty();
        let (at, of) = if within_month {
            (day, of_month)
        } else {
            (ordinal, of_year)
        };
        self.days.is_empty()
            || self.days.iter().any(|&(nth, weekday)| {
                let right = match nth {
                    0 => true,
                    1.. => (at - 1) / 7 + 1 == nth,
                    _ => -((of - at) / 7 + 1) == nth,
                };
                right && date.weekday() == weekday
            })
    }

    /// The dates that BYSETPOS leaves of one period's.
    fn positioned(&self, dates: &[NaiveDate]) -> Vec<NaiveDate> {
        if self.positions.is_empty() {
            return dates.iter().copied().take(MAX_ONSETS + 1).collect();
        }
        let count = i32::try_from(dates.len()).unwrap_or(0);
        (1..)
            .zip(dates)
            .filter(|(at, _)| {
                self.positions
                    .iter()
                    .any(|&n| n == *at || n == at - count - 1)
            })
            .map(|(_, &date)| date)
            .collect()
    }
}

fn number(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(0)
}

fn days_in_month(date: NaiveDate) -> u32 {
    match date.month() {
        2 if date.leap_year() => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn until(value: &str) -> Option<Until> {
    match guard::dates(&[("UNTIL", value.to_owned())])
        .first()
        .copied()??
    {
        Written::Utc(at) => Some(Until::Utc(at.naive_utc())),
        Written::Local(local) => Some(Until::Local(local)),
        Written::Date(date) => Some(Until::Local(date.and_hms_opt(23, 59, 59)?)),
    }
}

fn list<T>(value: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let values: Vec<T> = value
        .split(',')
        .take(MAX_VALUES + 1)
        .map(read)
        .collect::<Option<_>>()?;
    (values.len() <= MAX_VALUES).then_some(values)
}

fn numbers(value: &str, most: i32) -> Option<Vec<i32>> {
    let within = |n: &i32| (1..=most).contains(&n.abs());
    list(value, |part| part.parse().ok().filter(within))
}

/// `SU`, `2SU`, `-1SU`.
fn weekday(value: &str) -> Option<(i32, Weekday)> {
    let at = value.len().checked_sub(2)?;
    let (nth, day) = (value.get(..at)?, value.get(at..)?);
    let nth = if nth.is_empty() {
        0
    } else {
        nth.parse().ok().filter(|n| (-53..=53).contains(n))?
    };
    let day = match day {
        "MO" => Weekday::Mon,
        "TU" => Weekday::Tue,
        "WE" => Weekday::Wed,
        "TH" => Weekday::Thu,
        "FR" => Weekday::Fri,
        "SA" => Weekday::Sat,
        "SU" => Weekday::Sun,
        _ => return None,
    };
    Some((nth, day))
}
