//! The RRULE of a VTIMEZONE's observance, answered year by year.
//!
//! A clock changes a few times a year: a rule that names more than [`MAX_ONSETS`] is refused, and so is
//! one that is silent for longer than [`MAX_SILENT`] years. So any year costs no more than a walk over
//! its days.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};

use super::super::rule::{Frequency, Rule};

/// The most onsets of one year.
const MAX_ONSETS: usize = 24;
/// How many years may pass between two onsets.
pub(super) const MAX_SILENT: i32 = 8;
/// How many onsets COUNT may name, and over how many years they may spread.
pub(super) const MAX_COUNT: usize = 400;

/// An RRULE with its DTSTART, in the local time that holds before each onset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Onsets {
    rule: Rule,
    start: NaiveDateTime,
    time: NaiveTime,
}

impl Onsets {
    /// Reads a rule; `None` if it is not understood, or is not one for a clock.
    pub(super) fn parse(text: &str, start: NaiveDateTime, from: FixedOffset) -> Option<Self> {
        let local = |at: DateTime<_>| at.with_timezone(&from).naive_local();
        let rule = Rule::parse(text, start, false, local).ok()?;
        let understood = match rule.frequency {
            Frequency::Yearly | Frequency::Monthly => (1..=400).contains(&rule.interval),
            Frequency::Weekly | Frequency::Daily => rule.interval == 1 && rule.positions.is_empty(),
            _ => false,
        };
        let count = rule.count.and_then(|count| usize::try_from(count).ok());
        if !understood || rule.count.is_some() && count.is_none_or(|count| count > MAX_COUNT) {
            return None;
        }
        let only = |list: &[i32]| match list {
            [one] => u32::try_from(*one).ok(),
            _ => None,
        };
        let (hour, minute) = (only(&rule.hours)?, only(&rule.minutes)?);
        let time = NaiveTime::from_hms_opt(hour, minute, only(&rule.seconds)?)?;
        Some(Self { rule, start, time })
    }

    /// Whether it has a clock's number of onsets. Walks over [`MAX_SILENT`] years and one, unless it is
    /// one that every year has once.
    pub(super) fn fits(&self) -> bool {
        if self.rule.is_once_a_year() {
            return true;
        }
        let first = self.start.year();
        let sample = first..=first.saturating_add(MAX_SILENT);
        let onsets: Vec<usize> = sample.map(|year| self.all(year).len()).collect();
        // The first year may lack those before the start.
        let sounds = onsets.iter().skip(1).any(|&count| count > 0);
        sounds && onsets.iter().all(|&count| count <= MAX_ONSETS)
    }

    /// The years in which it can have onsets.
    pub(super) fn years(&self) -> std::ops::RangeInclusive<i32> {
        let last = self.rule.until.map_or(i32::MAX, |until| until.year());
        self.start.year()..=last
    }

    /// How many dates it looks at for one year.
    pub(super) fn weight(&self) -> usize {
        let months = self.rule.months.len();
        31 * if months == 0 { 12 } else { months }
    }

    /// Whether it has a COUNT.
    pub(super) fn is_counted(&self) -> bool {
        self.rule.count.is_some()
    }

    /// All onsets of a rule with COUNT, in local time: DTSTART is the first that counts. Walks over
    /// [`MAX_COUNT`] years.
    pub(super) fn counted(&self) -> Vec<NaiveDateTime> {
        let count = self
            .rule
            .count
            .and_then(|count| usize::try_from(count).ok());
        let first = self.start.year();
        let years = first..first.saturating_add(i32::try_from(MAX_COUNT).unwrap_or(0));
        let onsets = years.flat_map(|year| self.year(year));
        let rest = onsets.filter(|&onset| onset > self.start);
        let all = std::iter::once(self.start).chain(rest);
        all.take(count.unwrap_or(0)).collect()
    }

    /// Its onsets in one year, in order, in local time.
    pub(super) fn year(&self, year: i32) -> Vec<NaiveDateTime> {
        let until = self.rule.until.unwrap_or(NaiveDateTime::MAX);
        let mut onsets = self.all(year);
        onsets.retain(|&onset| onset <= until);
        onsets
    }

    /// As [`Self::year`], beyond UNTIL too.
    fn all(&self, year: i32) -> Vec<NaiveDateTime> {
        let mut onsets: Vec<NaiveDate> = Vec::new();
        let mut dates = Vec::new();
        let months = (1..=12).filter_map(|month| NaiveDate::from_ymd_opt(year, month, 1));
        for first in months.filter(|&first| self.has_month(first)) {
            let month = first.iter_days().take(31);
            let month = month.take_while(|date| date.month() == first.month());
            dates.extend(month.filter(|&date| self.rule.takes_day(date)));
            if self.rule.frequency == Frequency::Monthly {
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

    /// Whether a month, of which this is the first day, is one of its periods or in one.
    fn has_month(&self, first: NaiveDate) -> bool {
        let years = i64::from(first.year()) - i64::from(self.start.year());
        let months = 12 * years + i64::from(first.month()) - i64::from(self.start.month());
        let apart = match self.rule.frequency {
            Frequency::Yearly => years,
            Frequency::Monthly => months,
            _ => 0,
        };
        years >= 0 && apart % self.rule.interval == 0 && self.rule.takes_month(first)
    }

    /// The dates that BYSETPOS leaves of one period's.
    fn positioned(&self, dates: &[NaiveDate]) -> Vec<NaiveDate> {
        let positions = &self.rule.positions;
        let count = i32::try_from(dates.len()).unwrap_or(0);
        (1..)
            .zip(dates)
            .filter(|(at, _)| {
                positions.is_empty()
                    || positions.contains(at)
                    || positions.contains(&(at - count - 1))
            })
            .map(|(_, &date)| date)
            .take(MAX_ONSETS + 1)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn onsets(rule: &str) -> Onsets {
        let start = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        let start = start.and_hms_opt(2, 0, 0).unwrap();
        Onsets::parse(rule, start, FixedOffset::east_opt(3600).unwrap()).unwrap()
    }

    #[test]
    fn what_is_taken_to_come_once_a_year_does() {
        for (month, day) in (1..=12).flat_map(|m| ["MO", "TH", "SU"].map(|d| (m, d))) {
            for n in [-4, -1, 1, 4] {
                let own = onsets(&format!("FREQ=YEARLY;BYMONTH={month};BYDAY={n}{day}"));
                assert!(own.rule.is_once_a_year());
                // The first year may lack one before the start.
                assert!((1971..2040).all(|year| own.year(year).len() == 1));
            }
        }
        for other in [
            "FREQ=YEARLY;BYMONTH=3;BYDAY=5SU",
            "FREQ=YEARLY;BYMONTH=3;BYDAY=SU",
            "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU",
            "FREQ=YEARLY;BYDAY=-1SU",
            "FREQ=YEARLY;INTERVAL=2;BYMONTH=3;BYDAY=-1SU",
            "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;BYMONTHDAY=25",
            "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;BYSETPOS=2",
            "FREQ=MONTHLY;BYMONTH=3;BYDAY=-1SU",
        ] {
            assert!(!onsets(other).rule.is_once_a_year(), "{other}");
        }
    }
}
