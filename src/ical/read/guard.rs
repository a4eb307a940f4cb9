//! The guard before `icalendar`: what it is given, so that none of its misreadings can happen.
//!
//! It is given one VEVENT at a time, made here of nothing but the properties that hold dates and
//! times, one value each, without parameters, escapes, folding or nested components, in CRLF lines.
//! A value that is not written as RFC 5545, 3.3.4 and 3.3.5 say never reaches it. So a stack overflow
//! by nesting, its quadratic search in LF-only text and a bad line that hides its neighbours are out of
//! reach; a time zone is resolved by [`super::time`], not by it.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Timelike, Utc};
use icalendar::parser::Component;
use icalendar::{CalendarDateTime, DatePerhapsTime};

/// The most dates and times that one VEVENT may hold.
pub(super) const MAX_DATES: usize = 10_000;

/// A date or time as it is written, without regard to a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// `20261123`.
    Date(NaiveDate),
    /// `20261123T120000`.
    Local(NaiveDateTime),
    /// `20261123T120000Z`.
    Utc(DateTime<Utc>),
}

/// Reads the values of one VEVENT, each with the name of its property: a plain upper-case word. The
/// answer is as long as `values`; `None` is a value that is no date or time.
pub(super) fn dates(values: &[(&'static str, String)]) -> Vec<Option<Written>> {
    let plain: Vec<Option<String>> = values
        .iter()
        .take(MAX_DATES)
        .map(|(_, value)| plain(value))
        .collect();
    let mut vevent = String::from("BEGIN:VEVENT\r\n");
    for ((name, _), value) in values.iter().zip(&plain) {
        if let Some(value) = value {
            vevent.extend([name, ":", value, "\r\n"]);
        }
    }
    vevent.push_str("END:VEVENT\r\n");
    let properties = Component::try_from(vevent.as_str())
        .map(|component| component.properties)
        .unwrap_or_default();
    let mut properties = properties.iter();
    let mut read: Vec<Option<Written>> = plain
        .iter()
        .map(|value| {
            value.as_ref()?;
            DatePerhapsTime::try_from(properties.next()?)
                .ok()
                .and_then(written)
        })
        .collect();
    read.resize(values.len(), None);
    read
}

/// `value` in upper case if it has the shape of a DATE or DATE-TIME.
fn plain(value: &str) -> Option<String> {
    let value = value.trim();
    let digits =
        |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    let (date, time) = match value.split_once(['T', 't']) {
        None => (value, None),
        Some((date, time)) => (date, Some(time.strip_suffix(['Z', 'z']).unwrap_or(time))),
    };
    let shaped = digits(date, 8) && time.is_none_or(|time| digits(time, 6));
    (shaped && !date.starts_with("0000")).then(|| value.to_ascii_uppercase())
}

fn written(read: DatePerhapsTime) -> Option<Written> {
    Some(match read {
        DatePerhapsTime::Date(date) => Written::Date(date),
        DatePerhapsTime::DateTime(CalendarDateTime::Floating(local)) => {
            // Second 60 counts as 59, as RFC 5545, 3.3.12 allows.
            Written::Local(local.with_nanosecond(0)?)
        }
        DatePerhapsTime::DateTime(CalendarDateTime::Utc(instant)) => {
            Written::Utc(instant.with_nanosecond(0)?)
        }
        DatePerhapsTime::DateTime(CalendarDateTime::WithTimezone { .. }) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_one_by_one() {
        let cases = [
            ("20261123", "Date(2026-11-23)"),
            ("20261123T120000", "Local(2026-11-23T12:00:00)"),
            (" 20261123t120000z ", "Utc(2026-11-23T12:00:00Z)"),
            ("20161231T235960Z", "Utc(2016-12-31T23:59:59Z)"),
            ("20260230", "-"),
            ("20261123T250000", "-"),
            ("20261123T1200", "-"),
            ("2026-11-23", "-"),
            ("+2026112", "-"),
            ("00000101", "-"),
            ("", "-"),
            ("20261123\r\nEND:VEVENT", "-"),
            ("\u{661}0261123", "-"),
        ];
        let values: Vec<_> = cases
            .iter()
            .map(|(value, _)| ("DTSTART", (*value).to_owned()))
            .collect();
        for ((value, expected), read) in cases.iter().zip(dates(&values)) {
            let shown = read.map_or("-".to_owned(), |read| format!("{read:?}"));
            assert_eq!(&shown, expected, "{value:?}");
        }
    }

    #[test]
    fn more_than_the_limit_is_not_read() {
        let values = vec![("RDATE", "20260101".to_owned()); MAX_DATES + 1];
        let read = dates(&values);
        assert_eq!(read.len(), values.len());
        assert!(read[MAX_DATES - 1].is_some() && read[MAX_DATES].is_none());
    }
}
