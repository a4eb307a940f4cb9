//! What a recurrence rule says (RFC 5545, 3.3.10), with what it leaves to DTSTART filled in.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};

use super::guard::{self, Written};

/// The longest rule, in bytes: a list of all days of a year fits.
const MAX_RULE: usize = 2_000;

const UNREADABLE: &str = "the recurrence rule cannot be read";

/// FREQ; a later one is the shorter period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Frequency {
    Yearly,
    Monthly,
    Weekly,
    Daily,
    Hourly,
    Minutely,
    Secondly,
}

/// Within what a numbered weekday (`-1FR`) is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    InMonth,
    InYear,
    Not,
}

/// One RRULE or EXRULE. All lists are sorted and hold no value twice; of a list of days an empty one
/// means any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) frequency: Frequency,
    /// At least 1.
    pub(super) interval: i64,
    /// At least 1.
    pub(super) count: Option<u64>,
    /// The last local time that counts.
    pub(super) until: Option<NaiveDateTime>,
    /// The first day of a week, from Monday = 0.
    pub(super) week_start: i64,
    pub(super) months: Vec<i32>,
    pub(super) month_days: Vec<i32>,
    year_days: Vec<i32>,
    weeks: Vec<i32>,
    /// Number (0: each) and weekday from Monday = 0.
    weekdays: Vec<(i32, i32)>,
    counted: Counted,
    /// Never empty for a period of a day or more.
    pub(super) hours: Vec<i32>,
    /// Never empty for a period of an hour or more.
    pub(super) minutes: Vec<i32>,
    /// Never empty for a period of a minute or more.
    pub(super) seconds: Vec<i32>,
    pub(super) positions: Vec<i32>,
}

impl Rule {
    /// Reads the rule of an event that starts at `start`, on which it lasts all day or not; `local` is
    /// what its clock shows at an instant.
    ///
    /// # Errors
    /// What is not understood of it, in words.
    pub(super) fn parse(
        text: &str,
        start: NaiveDateTime,
        all_day: bool,
        local: impl Fn(DateTime<Utc>) -> NaiveDateTime,
    ) -> Result<Self, String> {
        if text.len() > MAX_RULE {
            return Err(format!(
                "the recurrence rule has more than {MAX_RULE} bytes"
            ));
        }
        let text: String = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let mut parts: Vec<(&str, &str)> = Vec::new();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(UNREADABLE)?;
            if matches!(name, "RSCALE" | "SKIP") {
                return Err(format!("{name} in a recurrence rule is not supported"));
            }
            if value.is_empty() || parts.iter().any(|(known, _)| *known == name) {
                return Err(UNREADABLE.to_owned());
            }
            parts.push((name, value));
        }
        let mut rule = Self::read(&parts, local).ok_or(UNREADABLE)?;
        if all_day {
            if rule.frequency > Frequency::Daily {
                return Err("the recurrence rule repeats a whole day within the day".to_owned());
            }
            // RFC 5545, 3.3.10: these are ignored of an event that has only a date.
            rule.hours.clear();
            rule.minutes.clear();
            rule.seconds.clear();
        }
        rule.complete(start);
        Ok(rule)
    }

    fn read(
        parts: &[(&str, &str)],
        local: impl Fn(DateTime<Utc>) -> NaiveDateTime,
    ) -> Option<Self> {
        let frequency = match parts.iter().find(|(name, _)| *name == "FREQ")?.1 {
            "YEARLY" => Frequency::Yearly,
            "MONTHLY" => Frequency::Monthly,
            "WEEKLY" => Frequency::Weekly,
            "DAILY" => Frequency::Daily,
            "HOURLY" => Frequency::Hourly,
            "MINUTELY" => Frequency::Minutely,
            "SECONDLY" => Frequency::Secondly,
            _ => return None,
        };
        let mut rule = Self {
            frequency,
            interval: 1,
            count: None,
            until: None,
            week_start: 0,
            months: Vec::new(),
            month_days: Vec::new(),
            year_days: Vec::new(),
            weeks: Vec::new(),
            weekdays: Vec::new(),
            counted: Counted::Not,
            hours: Vec::new(),
            minutes: Vec::new(),
            seconds: Vec::new(),
            positions: Vec::new(),
        };
        for &(name, value) in parts {
            match name {
                "FREQ" => {}
                "INTERVAL" => rule.interval = positive(value)?.into(),
                "COUNT" => rule.count = Some(positive(value)?.into()),
                "UNTIL" => rule.until = Some(until(value, &local)?),
                "WKST" => rule.week_start = weekday(value)?.into(),
                "BYMONTH" => rule.months = numbers(value, 1, 12)?,
                "BYMONTHDAY" => rule.month_days = either_end(value, 31)?,
                "BYYEARDAY" => rule.year_days = either_end(value, 366)?,
                "BYWEEKNO" => rule.weeks = either_end(value, 53)?,
                "BYDAY" => rule.weekdays = sorted(value.split(',').map(numbered_weekday))?,
                "BYHOUR" => rule.hours = numbers(value, 0, 23)?,
                "BYMINUTE" => rule.minutes = numbers(value, 0, 59)?,
                "BYSECOND" => {
                    // Second 60 counts as 59, as in a time (RFC 5545, 3.3.12).
                    let seconds = numbers(value, 0, 60)?;
                    rule.seconds = sorted(seconds.into_iter().map(|n| Some(n.min(59))))?;
                }
                "BYSETPOS" => rule.positions = either_end(value, 366)?,
                // RFC 2445, 4.3.10 allows parts of one's own.
                _ if name.starts_with("X-") => {}
                _ => return None,
            }
        }
        Some(rule)
    }

    /// Takes from DTSTART what the rule does not say (RFC 5545, 3.3.10).
    fn complete(&mut self, start: NaiveDateTime) {
        self.counted = match self.frequency {
            Frequency::Monthly => Counted::InMonth,
            Frequency::Yearly if !self.weeks.is_empty() => Counted::Not,
            Frequency::Yearly if !self.months.is_empty() => Counted::InMonth,
            Frequency::Yearly => Counted::InYear,
            _ => Counted::Not,
        };
        let month = i32::try_from(start.month()).unwrap_or(1);
        let day = i32::try_from(start.day()).unwrap_or(1);
        let weekday = i32::try_from(start.weekday().num_days_from_monday()).unwrap_or(0);
        let names_days =
            !(self.month_days.is_empty() && self.year_days.is_empty() && self.weekdays.is_empty());
        match self.frequency {
            _ if names_days => {}
            Frequency::Yearly if !self.weeks.is_empty() => self.weekdays.push((0, weekday)),
            Frequency::Yearly => {
                if self.months.is_empty() {
                    self.months.push(month);
                }
                self.month_days.push(day);
            }
            Frequency::Monthly => self.month_days.push(day),
            Frequency::Weekly => self.weekdays.push((0, weekday)),
            _ => {}
        }
        let time = [
            (&mut self.hours, Frequency::Hourly, start.hour()),
            (&mut self.minutes, Frequency::Minutely, start.minute()),
            (&mut self.seconds, Frequency::Secondly, start.second()),
        ];
        for (list, shortest, value) in time {
            if list.is_empty() && self.frequency < shortest {
                list.extend(i32::try_from(value));
            }
        }
    }

    /// Whether the month is one of its months.
    pub(super) fn takes_month(&self, date: NaiveDate) -> bool {
        self.months.is_empty() || holds(&self.months, date.month())
    }

    /// Whether it names one weekday of one month, such as the last Sunday of March, of every year.
    pub(super) fn is_once_a_year(&self) -> bool {
        let others = [
            &self.month_days,
            &self.year_days,
            &self.weeks,
            &self.positions,
        ];
        self.frequency == Frequency::Yearly
            && self.interval == 1
            && self.months.len() == 1
            // Not every month has a fifth.
            && matches!(self.weekdays[..], [(-4..=-1 | 1..=4, _)])
            && others.iter().all(|list| list.is_empty())
    }

    /// Whether the day is one of its days.
    pub(super) fn takes_day(&self, date: NaiveDate) -> bool {
        self.takes_month(date)
            && (self.month_days.is_empty()
                || holds_either(&self.month_days, date.day(), days_in_month(date)))
            && (self.year_days.is_empty()
                || holds_either(&self.year_days, date.ordinal(), days_in_year(date.year())))
            && (self.weekdays.is_empty() || self.takes_weekday(date))
            && (self.weeks.is_empty() || self.takes_week(date))
    }

    fn takes_weekday(&self, date: NaiveDate) -> bool {
        let Ok(weekday) = i32::try_from(date.weekday().num_days_from_monday()) else {
            return false;
        };
        let numbered = |day: u32, days: u32| {
            let from_start = i32::try_from(day.saturating_sub(1) / 7 + 1);
            let from_end = i32::try_from(days.saturating_sub(day) / 7 + 1);
            let known = |n: i32| self.weekdays.binary_search(&(n, weekday)).is_ok();
            from_start.is_ok_and(known) || from_end.is_ok_and(|n| known(-n))
        };
        let each = self.weekdays.binary_search(&(0, weekday)).is_ok();
        each || match self.counted {
            Counted::InMonth => numbered(date.day(), days_in_month(date)),
            Counted::InYear => numbered(date.ordinal(), days_in_year(date.year())),
            // The RFC gives the number no meaning here, and others read past it.
            Counted::Not => self.weekdays.iter().any(|&(_, known)| known == weekday),
        }
    }

    /// Whether the week that the day is in is one of its weeks; week 1 is the first with four days or
    /// more in its year.
    fn takes_week(&self, date: NaiveDate) -> bool {
        let weekday = i64::from(date.weekday().num_days_from_monday());
        let into_week = (weekday - self.week_start).rem_euclid(7);
        let Some(middle) = chrono::TimeDelta::try_days(3 - into_week)
            .and_then(|days| date.checked_add_signed(days))
        else {
            return false;
        };
        let week = middle.ordinal0() / 7 + 1;
        let rest = days_in_year(middle.year()).saturating_sub(middle.ordinal()) / 7;
        holds_either(&self.weeks, week, week + rest)
    }
}

fn holds(list: &[i32], value: u32) -> bool {
    i32::try_from(value).is_ok_and(|value| list.binary_search(&value).is_ok())
}

/// Whether the list holds `value`, counted from 1, or what it is counted back from `last` as -1.
fn holds_either(list: &[i32], value: u32, last: u32) -> bool {
    let (Ok(value), Ok(last)) = (i32::try_from(value), i32::try_from(last)) else {
        return false;
    };
    list.binary_search(&value).is_ok() || list.binary_search(&(value - last - 1)).is_ok()
}

fn days_in_year(year: i32) -> u32 {
    NaiveDate::from_ymd_opt(year, 12, 31).map_or(365, |last| last.ordinal())
}

/// How many days the month of `date` has.
pub(super) fn days_in_month(date: NaiveDate) -> u32 {
    match date.month() {
        4 | 6 | 9 | 11 => 30,
        2 => days_in_year(date.year()) - 337,
        _ => 31,
    }
}

fn positive(value: &str) -> Option<u32> {
    value.parse().ok().filter(|&number| number > 0)
}

fn numbers(value: &str, least: i32, most: i32) -> Option<Vec<i32>> {
    let number = |part: &str| {
        let number: i32 = part.parse().ok()?;
        (least..=most).contains(&number).then_some(number)
    };
    sorted(value.split(',').map(number))
}

/// Numbers from 1 or from -1.
fn either_end(value: &str, most: i32) -> Option<Vec<i32>> {
    numbers(value, -most, most).filter(|list| list.binary_search(&0).is_err())
}

fn sorted<T: Ord>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let mut list: Vec<T> = values.collect::<Option<_>>()?;
    list.sort_unstable();
    list.dedup();
    Some(list)
}

fn numbered_weekday(part: &str) -> Option<(i32, i32)> {
    let (number, name) = part.split_at_checked(part.len().checked_sub(2)?)?;
    let number = match number {
        "" => 0,
        _ => number
            .parse()
            .ok()
            .filter(|n: &i32| (1..=53).contains(&n.abs()))?,
    };
    Some((number, weekday(name)?))
}

fn weekday(name: &str) -> Option<i32> {
    let names = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    let at = names.iter().position(|known| *known == name)?;
    i32::try_from(at).ok()
}

/// UNTIL as the last local time that counts: of a date, the end of that day.
fn until(value: &str, local: impl Fn(DateTime<Utc>) -> NaiveDateTime) -> Option<NaiveDateTime> {
    let read = guard::dates(&[("UNTIL", value.to_owned())]);
    match read.first().copied().flatten()? {
        Written::Date(date) => date.and_hms_opt(23, 59, 59),
        Written::Local(local) => Some(local),
        Written::Utc(at) => Some(local(at)),
    }
}
