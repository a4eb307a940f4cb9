//! Random calendars, edits, rules and zones, held against what is computed here in the plainest way.

use chrono::{
    DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone,
    Utc, Weekday,
};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use super::document::{Document, escape_text};
use super::edit::Edits;
use super::event::Next;
use super::read::read;
use crate::model::Span;

/// A component as it is meant.
#[derive(Clone, Debug)]
struct Meant {
    name: String,
    properties: Vec<(String, Option<String>, String)>,
    inner: Vec<Meant>,
}

/// How a calendar is written.
#[derive(Clone, Debug)]
struct Hand {
    eol: &'static str,
    fold: char,
    width: usize,
    lower: bool,
}

fn meant() -> impl Strategy<Value = Meant> {
    let property = || {
        let text = "[a-zA-Z0-9 ,;:\\\\\"\n\u{e4}\u{20ac}\u{1f600}_-]{0,120}";
        let parameter = option::of("[a-z;:, \u{fc}]{0,30}");
        ("X-[A-Z]{1,20}", parameter, text)
    };
    let component = |names: &'static [&'static str]| (select(names), vec(property(), 0..5)).boxed();
    let make = |(name, properties): (&str, Vec<_>), inner| Meant {
        name: name.to_owned(),
        properties,
        inner,
    };
    let alarm = component(&["VALARM", "X-OTHER"]).prop_map(move |one| make(one, Vec::new()));
    let event = (
        component(&["VEVENT", "VTODO", "VTIMEZONE"]),
        vec(alarm, 0..3),
    );
    let event = event.prop_map(move |(one, inner)| make(one, inner));
    (component(&["VCALENDAR"]), vec(event, 0..4)).prop_map(move |(one, inner)| make(one, inner))
}

fn hand() -> impl Strategy<Value = Hand> {
    let eol = select(&["\r\n", "\n", "\r", "\r\r\n"][..]);
    (eol, select(&[' ', '\t'][..]), 5..90usize, any::<bool>()).prop_map(
        |(eol, fold, width, lower)| Hand {
            eol,
            fold,
            width,
            lower,
        },
    )
}

impl Hand {
    fn write(&self, meant: &Meant, text: &mut String) {
        let case = |word: &str| {
            if self.lower {
                word.to_lowercase()
            } else {
                word.to_owned()
            }
        };
        self.line(&format!("{}:{}", case("BEGIN"), case(&meant.name)), text);
        for (name, parameter, value) in &meant.properties {
            let parameter = parameter.as_ref().map(|p| format!(";X-P=\"{p}\""));
            let parameter = parameter.unwrap_or_default();
            let value = escape_text(value);
            self.line(&format!("{}{parameter}:{value}", case(name)), text);
        }
        for inner in &meant.inner {
            self.write(inner, text);
        }
        self.line(&format!("{}:{}", case("END"), case(&meant.name)), text);
    }

    /// A line of at most `width` characters, each continuation with its own.
    fn line(&self, line: &str, text: &mut String) {
        for (at, c) in line.chars().enumerate() {
            if at > 0 && at % self.width == 0 {
                text.push_str(self.eol);
                text.push(self.fold);
            }
            text.push(c);
        }
        text.push_str(self.eol);
    }
}

/// What was read: the components under `parent`, in order.
fn seen(document: &Document<'_>, parent: Option<usize>) -> Vec<Meant> {
    let components = document.components().iter().enumerate();
    components
        .filter(|(_, component)| component.parent == parent)
        .map(|(index, component)| Meant {
            name: component.name.clone(),
            properties: document
                .lines(index)
                .map(|line| {
                    let name = line.name().to_ascii_uppercase();
                    let values = line.params().into_iter().next().map(|param| param.values);
                    (name, values.map(|values| values.join("|")), line.text())
                })
                .collect(),
            inner: seen(document, Some(index)),
        })
        .collect()
}

proptest! {
    #[test]
    fn what_is_meant_is_what_is_read(meant in meant(), hand in hand()) {
        let mut text = String::new();
        hand.write(&meant, &mut text);
        let document = Document::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(document.faults(), &[]);
        prop_assert_eq!(format!("{:?}", seen(&document, None)), format!("{:?}", [meant]));
    }

    #[test]
    fn edits_change_nothing_but_what_they_name(
        before in "[a-z\r\n]{0,200}",
        cuts in vec((any::<Index>(), any::<Index>(), "[A-Z]{0,9}"), 0..6),
    ) {
        let mut places: Vec<usize> = cuts
            .iter()
            .flat_map(|(one, other, _)| [one, other].map(|at| at.index(before.len() + 1)))
            .collect();
        places.sort_unstable();
        places.dedup();
        let ranges: Vec<_> = places.chunks_exact(2).map(|two| two[0]..two[1]).collect();
        let mut edits = Edits::new();
        let mut expected = String::new();
        let mut done = 0;
        for (range, (.., new)) in ranges.iter().zip(&cuts) {
            expected += &before[done..range.start];
            expected += new;
            done = range.end;
        }
        expected += &before[done..];
        // In whatever order they are made.
        for (range, (.., new)) in ranges.iter().zip(&cuts).rev() {
            edits.replace(range.clone(), new.as_bytes());
        }
        prop_assert_eq!(String::from_utf8(edits.apply(before.as_bytes())).unwrap(), expected);
    }
}

/// A rule of the common kinds.
#[derive(Clone, Debug)]
struct Rule {
    frequency: &'static str,
    interval: i32,
    months: Vec<u32>,
    month_days: Vec<i32>,
    weekdays: Vec<Weekday>,
}

const WEEK: [(&str, Weekday); 7] = [
    ("MO", Weekday::Mon),
    ("TU", Weekday::Tue),
    ("WE", Weekday::Wed),
    ("TH", Weekday::Thu),
    ("FR", Weekday::Fri),
    ("SA", Weekday::Sat),
    ("SU", Weekday::Sun),
];

fn rule() -> impl Strategy<Value = Rule> {
    (
        select(&["DAILY", "WEEKLY", "MONTHLY", "YEARLY"][..]),
        1..5,
        subsequence((1..=12).collect::<Vec<u32>>(), 0..4),
        subsequence(
            (-31..=31).filter(|day| *day != 0).collect::<Vec<i32>>(),
            0..4,
        ),
        subsequence(WEEK.map(|(_, day)| day).to_vec(), 0..4),
    )
        .prop_map(
            |(frequency, interval, mut months, mut month_days, mut weekdays)| {
                match frequency {
                    "DAILY" | "WEEKLY" => month_days.clear(),
                    "MONTHLY" if !month_days.is_empty() => weekdays.clear(),
                    "MONTHLY" => {}
                    _ => {
                        weekdays.clear();
                        if months.is_empty() {
                            month_days.clear();
                        }
                    }
                }
                if frequency == "YEARLY" && month_days.is_empty() {
                    months.clear();
                }
                Rule {
                    frequency,
                    interval,
                    months,
                    month_days,
                    weekdays,
                }
            },
        )
}

impl Rule {
    fn text(&self) -> String {
        fn list<T: ToString>(name: &str, values: impl IntoIterator<Item = T>) -> String {
            let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
            if values.is_empty() {
                return String::new();
            }
            format!(";{name}={}", values.join(","))
        }
        let named = WEEK.iter().filter(|(_, day)| self.weekdays.contains(day));
        format!(
            "FREQ={};INTERVAL={}{}{}{}",
            self.frequency,
            self.interval,
            list("BYMONTH", &self.months),
            list("BYMONTHDAY", &self.month_days),
            list("BYDAY", named.map(|(name, _)| name)),
        )
    }

    /// Whether the series that began on `start` has an occurrence on `day`.
    fn yields(&self, start: NaiveDate, day: NaiveDate) -> bool {
        let monday = |day: NaiveDate| day - Days::new(day.weekday().num_days_from_monday().into());
        let (years, month) = (
            day.year() - start.year(),
            12 * day.year() + day.month0() as i32,
        );
        let periods = match self.frequency {
            "DAILY" => (day - start).num_days() as i32,
            "WEEKLY" => (monday(day) - monday(start)).num_weeks() as i32,
            "MONTHLY" => month - (12 * start.year() + start.month0() as i32),
            _ => years,
        };
        let length = i32::from(day.num_days_in_month());
        let of_month = day.day() as i32;
        let month_day = self
            .month_days
            .iter()
            .any(|&wanted| wanted == of_month || wanted == of_month - length - 1);
        let weekday = self.weekdays.contains(&day.weekday());
        periods % self.interval == 0
            && (self.months.is_empty() || self.months.contains(&day.month()))
            && match (
                self.frequency,
                self.month_days.is_empty(),
                self.weekdays.is_empty(),
            ) {
                (_, false, _) => month_day,
                (_, _, false) => weekday,
                ("DAILY", ..) => true,
                ("WEEKLY", ..) => day.weekday() == start.weekday(),
                ("MONTHLY", ..) => day.day() == start.day(),
                _ => (day.month(), day.day()) == (start.month(), start.day()),
            }
    }
}

/// The next occurrence of the only event, `None` when there is none; or its fault.
fn next(text: &str, now: DateTime<Utc>) -> Result<Option<Span>, String> {
    let document = Document::parse(text.as_bytes()).unwrap();
    let mut events = read(&document, Tz::UTC, now).events;
    assert_eq!(events.len(), 1);
    let event = events.remove(0);
    match event.next {
        Next::At(span) => Ok(Some(span)),
        Next::Past => Ok(None),
        Next::Unknown => Err(event.fault.unwrap()),
    }
}

fn day() -> impl Strategy<Value = NaiveDate> {
    let first = NaiveDate::from_ymd_opt(1975, 1, 1).unwrap();
    (0..22_000u64).prop_map(move |days| first + Days::new(days))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn rules_yield_the_days_they_say(
        rule in rule(),
        start in day(),
        since in 0..2000u64,
        count in option::of(1..12usize),
        until in option::of(0..3000u64),
    ) {
        const YEARS: u64 = 12;
        let ten = NaiveTime::from_hms_opt(10, 0, 0).unwrap();
        let until = until.map(|days| start + Days::new(days));
        // Whether a DTSTART that the rule does not yield counts is another question.
        let count = count.filter(|_| rule.yields(start, start) && until.is_none());
        let mut text = format!(
            "BEGIN:VEVENT\nUID:a\nDTSTART:{}Z\nDURATION:PT1H\nRRULE:{}",
            start.and_time(ten).format("%Y%m%dT%H%M%S"),
            rule.text()
        );
        if let Some(count) = count {
            text += &format!(";COUNT={count}");
        }
        if let Some(until) = until {
            text += &format!(";UNTIL={}Z", until.and_time(ten).format("%Y%m%dT%H%M%S"));
        }
        text += "\nEND:VEVENT\n";
        let last = start + Days::new(since + YEARS * 366);
        let mut expected: Vec<NaiveDate> = start
            .iter_days()
            .take_while(|day| *day <= last && until.is_none_or(|until| *day <= until))
            .filter(|&day| day == start || rule.yields(start, day))
            .take(count.unwrap_or(usize::MAX))
            .collect();
        if expected.is_empty() {
            // DTSTART is an occurrence in any case.
            expected.push(start);
        }
        let mut now = (start + Days::new(since)).and_time(ten).and_utc();
        let bounded = count == Some(expected.len()) || until.is_some_and(|until| until < last);
        let expected: Vec<NaiveDate> =
            expected.into_iter().filter(|day| day.and_time(ten).and_utc() >= now).take(5).collect();
        for day in &expected {
            let found = next(&text, now).unwrap();
            prop_assert_eq!(found.map(|span| span.start), Some(day.and_time(ten).and_utc()), "{}", text);
            now = day.and_time(ten).and_utc() + TimeDelta::hours(1);
        }
        if bounded && expected.len() < 5 {
            prop_assert_eq!(next(&text, now), Ok(None), "{}", text);
        }
    }

    #[test]
    fn local_times_are_those_of_their_zone(zone in select(&TZ_VARIANTS[..]), day in day(), hours in -200..200i64) {
        // Near a change of the offset, if one comes within a year.
        let offset = |at: NaiveDateTime| zone.offset_from_utc_datetime(&at).fix().local_minus_utc();
        let noon = day.and_hms_opt(12, 0, 0).unwrap();
        let change = (0..366)
            .map(|days| noon + TimeDelta::days(days))
            .find(|&at| offset(at) != offset(at + TimeDelta::days(1)));
        let local = change.unwrap_or(noon) + TimeDelta::minutes(hours * 15);
        let text = format!(
            "BEGIN:VEVENT\nUID:a\nDTSTART;TZID={}:{}\nEND:VEVENT\n",
            zone.name(),
            local.format("%Y%m%dT%H%M%S")
        );
        // The first minute that shows this local time; where it is left out, the time by the offset
        // before.
        let shown = |at: NaiveDateTime| at + TimeDelta::seconds(offset(at).into());
        let minutes = (-26 * 60..26 * 60).map(|minutes| local + TimeDelta::minutes(minutes));
        let minutes: Vec<NaiveDateTime> = minutes.collect();
        let expected = minutes.iter().copied().find(|&at| shown(at) == local).or_else(|| {
            let left_out = minutes.windows(2).find(|two| shown(two[0]) < local && shown(two[1]) > local)?;
            Some(local - TimeDelta::seconds(offset(left_out[0]).into()))
        });
        let found = next(&text, DateTime::UNIX_EPOCH).unwrap().unwrap();
        prop_assert_eq!(Some(found.start.naive_utc()), expected, "{}", text);
    }

    #[test]
    fn a_zone_of_the_files_own_is_what_it_says(
        offsets in (-48..=48i32, -48..=48i32),
        changes in subsequence((2..=11u32).collect::<Vec<_>>(), 2),
        ordinal in select(&[-1, 1, 2, 3][..]),
        weekday in select(&WEEK[..]),
        day in day(),
    ) {
        let text = |offset: i32| {
            let minutes = offset.abs() * 15;
            let sign = if offset < 0 { '-' } else { '+' };
            format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
        };
        let part = |kind: &str, from: i32, to: i32, month: u32| {
            let first = change(1970, month, ordinal, weekday.1);
            format!(
                "BEGIN:{kind}\nDTSTART:{}T020000\nTZOFFSETFROM:{}\nTZOFFSETTO:{}\n\
                 RRULE:FREQ=YEARLY;BYMONTH={month};BYDAY={ordinal}{}\nEND:{kind}\n",
                first.format("%Y%m%d"), text(from), text(to), weekday.0
            )
        };
        let (standard, summer) = offsets;
        let calendar = format!(
            "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Own\n{}{}END:VTIMEZONE\n\
             BEGIN:VEVENT\nUID:a\nDTSTART;TZID=Own:{}T120000\nEND:VEVENT\nEND:VCALENDAR\n",
            part("DAYLIGHT", standard, summer, changes[0]),
            part("STANDARD", summer, standard, changes[1]),
            day.format("%Y%m%d"),
        );
        let [begins, ends] = [0, 1].map(|at| change(day.year(), changes[at], ordinal, weekday.1));
        let near = [begins, ends].into_iter().any(|change| (day - change).num_days().abs() <= 2);
        prop_assume!(!near);
        let offset = if (begins..ends).contains(&day) { summer } else { standard };
        let expected = day.and_hms_opt(12, 0, 0).unwrap() - TimeDelta::minutes((offset * 15).into());
        match next(&calendar, DateTime::UNIX_EPOCH) {
            Ok(found) => prop_assert_eq!(found.unwrap().start.naive_utc(), expected, "{}", calendar),
            Err(fault) => prop_assert!(fault.contains("time zone"), "{}", fault),
        }
    }
}

/// The day of that month which the rule `BYDAY` with this ordinal names.
fn change(year: i32, month: u32, ordinal: i32, weekday: Weekday) -> NaiveDate {
    let first = NaiveDate::from_ymd_opt(year, month, 1).unwrap();
    let days: Vec<NaiveDate> = first
        .iter_days()
        .take_while(|day| day.month() == month)
        .filter(|day| day.weekday() == weekday)
        .collect();
    match ordinal {
        -1 => days[days.len() - 1],
        ordinal => days[ordinal as usize - 1],
    }
}
