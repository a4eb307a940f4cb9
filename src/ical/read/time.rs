//! From what is written to instants: time zones, gaps and folds, durations (RFC 5545, 3.3.5, 3.3.6).

use chrono::offset::LocalResult;
use chrono::{
    DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;

use crate::model::Span;

/// Who puts its own path before an IANA name in a TZID (a "globally unique" one, RFC 5545, 3.2.19).
const VENDORS: [&str; 6] = [
    "mozilla.org",
    "citadel.org",
    "freeassociation.sourceforge.net",
    "softwarestudio.org",
    "inverse.ca",
    "ximian.com",
];
/// The longest duration that is believed: 100 years.
const MAX_SECONDS: i64 = 100 * 366 * 86_400;

/// A point in time as a property gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// A day.
    Date(NaiveDate),
    /// An instant.
    Utc(DateTime<Utc>),
    /// A local time in a zone.
    Zoned(NaiveDateTime, Tz),
    /// A local time in whatever zone the reader is in.
    Floating(NaiveDateTime),
}

/// The zone that a TZID means: an IANA name, alone or behind a known vendor's prefix.
pub(super) fn zone(tzid: &str) -> Option<Tz> {
    let tzid = tzid.trim().trim_matches('"').trim();
    if let Ok(zone) = tzid.parse() {
        return Some(zone);
    }
    let (vendor, path) = tzid.strip_prefix('/')?.split_once('/')?;
    if !VENDORS.contains(&vendor) {
        return None;
    }
    let from_the_second = path.split_once('/').map(|(_, rest)| rest);
    [Some(path), from_the_second]
        .into_iter()
        .flatten()
        .filter(|name| name.contains('/'))
        .find_map(|name| name.parse().ok())
}

/// The instant of a local time: the first of two in a fold; in a gap, counted with the offset that
/// holds before it (RFC 5545, 3.3.5), so 02:30 becomes 03:30.
pub(super) fn instant(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => at.to_utc(),
        LocalResult::Ambiguous(first, _) => first.to_utc(),
        LocalResult::None => {
            // A day is longer than any offset, so this lies before the gap whatever the zone.
            let before = local.checked_sub_days(Days::new(1)).unwrap_or(local);
            let offset = zone.offset_from_utc_datetime(&before).fix();
            local.checked_sub_offset(offset).unwrap_or(local).and_utc()
        }
    }
}

/// The local times an event is counted in: those of the zone its DTSTART is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The zone; for floating times and days the configured one.
    pub(super) zone: Tz,
    /// Its times are days.
    pub(super) all_day: bool,
}

impl Frame {
    /// The frame of an event that starts at `start`; `zone` is where floating times are.
    pub(super) fn of(start: When, zone: Tz) -> Self {
        let (zone, all_day) = match start {
            When::Date(_) => (zone, true),
            When::Utc(_) => (Tz::UTC, false),
            When::Zoned(_, zone) => (zone, false),
            When::Floating(_) => (zone, false),
        };
        Self { zone, all_day }
    }

    /// `when` as a local time of this frame; for days, their midnight.
    pub(super) fn local(&self, when: When) -> NaiveDateTime {
        let local = match when {
            When::Date(date) => midnight(date),
            When::Floating(local) => local,
            When::Zoned(local, zone) if zone == self.zone || self.all_day => local,
            When::Zoned(local, zone) => self.of_instant(instant(local, zone)),
            When::Utc(at) if self.all_day => at.naive_utc(),
            When::Utc(at) => self.of_instant(at),
        };
        if self.all_day {
            midnight(local.date())
        } else {
            local
        }
    }

    /// The local time at an instant.
    pub(super) fn of_instant(&self, at: DateTime<Utc>) -> NaiveDateTime {
        let utc = at.naive_utc();
        let offset = self.zone.offset_from_utc_datetime(&utc).fix();
        utc.checked_add_offset(offset).unwrap_or(utc)
    }

    /// The instant of a local time of this frame.
    pub(super) fn instant(&self, local: NaiveDateTime) -> DateTime<Utc> {
        instant(local, self.zone)
    }

    /// The occurrence that starts at the local time `start`.
    pub(super) fn span(&self, start: NaiveDateTime, length: Length) -> Span {
        let begin = self.instant(start);
        let end = match length.days {
            0 => begin,
            days => days_later(start, days).map_or(begin, |later| self.instant(later)),
        };
        let end = end.checked_add_signed(length.rest).unwrap_or(end);
        Span {
            start: begin,
            end: end.max(begin),
        }
    }
}

fn midnight(date: NaiveDate) -> NaiveDateTime {
    date.and_time(NaiveTime::MIN)
}

fn days_later(local: NaiveDateTime, days: i64) -> Option<NaiveDateTime> {
    local.checked_add_signed(TimeDelta::try_days(days)?)
}

/// How long an occurrence lasts: whole days by the calendar, the rest by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    days: i64,
    rest: TimeDelta,
}

impl Length {
    /// From `start` to `end` (RFC 5545, 3.8.5.3: DTEND means an exact duration); days are days. An end
    /// before the start counts as the start.
    pub(super) fn between(frame: Frame, start: NaiveDateTime, end: When, zone: Tz) -> Self {
        let length = if frame.all_day {
            Self::days(frame.local(end).signed_duration_since(start).num_days())
        } else {
            let end = match end {
                When::Utc(at) => at,
                When::Zoned(local, zone) => instant(local, zone),
                When::Floating(local) => instant(local, zone),
                When::Date(date) => frame.instant(midnight(date)),
            };
            Self {
                days: 0,
                rest: end.signed_duration_since(frame.instant(start)),
            }
        };
        if length.days < 0 || length.rest < TimeDelta::zero() {
            return Self::ZERO;
        }
        length
    }

    /// No time at all.
    pub(super) const ZERO: Self = Self {
        days: 0,
        rest: TimeDelta::zero(),
    };

    /// Whole days.
    pub(super) fn days(days: i64) -> Self {
        Self { days, ..Self::ZERO }
    }

    /// No occurrence of this length lasts longer than this, whatever the zone does meanwhile.
    pub(super) fn at_most(self) -> TimeDelta {
        TimeDelta::try_days(self.days.saturating_add(2))
            .and_then(|days| days.checked_add(&self.rest))
            .unwrap_or(TimeDelta::MAX)
    }

    /// A DURATION value (RFC 5545, 3.3.6), also with parts the RFC would not mix; a negative one and
    /// one over 100 years is not understood.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let value = value.trim().to_ascii_uppercase();
        let parts = value
            .strip_prefix('+')
            .unwrap_or(&value)
            .strip_prefix('P')?;
        let (mut days, mut seconds) = (0i64, 0i64);
        let (mut in_time, mut number, mut any) = (false, String::new(), false);
        for c in parts.chars() {
            let unit = match (c, in_time) {
                ('0'..='9', _) => {
                    number.push(c);
                    continue;
                }
                ('T', false) if number.is_empty() => {
                    in_time = true;
                    continue;
                }
                ('W', false) => (7, 0),
                ('D', false) => (1, 0),
                ('H', true) => (0, 3600),
                ('M', true) => (0, 60),
                ('S', true) => (0, 1),
                _ => return None,
            };
            let count: i64 = number.parse().ok()?;
            number.clear();
            any = true;
            days = days.checked_add(count.checked_mul(unit.0)?)?;
            seconds = seconds.checked_add(count.checked_mul(unit.1)?)?;
        }
        let believed = days <= MAX_SECONDS / 86_400 && seconds <= MAX_SECONDS;
        (any && number.is_empty() && believed).then_some(())?;
        Some(Self {
            days,
            rest: TimeDelta::try_seconds(seconds)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn a_tzid_is_an_iana_name_or_ends_with_one() {
        let cases = [
            ("Europe/Berlin", Some(Tz::Europe__Berlin)),
            ("\"Europe/Berlin\"", Some(Tz::Europe__Berlin)),
            ("UTC", Some(Tz::UTC)),
            (
                "/mozilla.org/20050126_1/Europe/Berlin",
                Some(Tz::Europe__Berlin),
            ),
            (
                "/citadel.org/20250101_1/Europe/Berlin",
                Some(Tz::Europe__Berlin),
            ),
            (
                "/freeassociation.sourceforge.net/Tzfile/America/Argentina/Buenos_Aires",
                Some(Tz::America__Argentina__Buenos_Aires),
            ),
            (
                "/freeassociation.sourceforge.net/Europe/Berlin",
                Some(Tz::Europe__Berlin),
            ),
            ("/example.org/Europe/Berlin", None),
            ("/mozilla.org/Europe/Nowhere", None),
            ("W. Europe Standard Time", None),
            ("Europe_Berlin", None),
            ("", None),
            ("/", None),
        ];
        for (tzid, expected) in cases {
            assert_eq!(zone(tzid), expected, "{tzid}");
        }
    }

    #[test]
    fn gaps_and_folds_are_read_as_the_rfc_says() {
        let cases = [
            (
                "2026-03-29T01:59:59",
                Tz::Europe__Berlin,
                "2026-03-29T00:59:59Z",
            ),
            (
                "2026-03-29T02:30:00",
                Tz::Europe__Berlin,
                "2026-03-29T01:30:00Z",
            ),
            (
                "2026-03-29T03:30:00",
                Tz::Europe__Berlin,
                "2026-03-29T01:30:00Z",
            ),
            (
                "2026-10-25T02:30:00",
                Tz::Europe__Berlin,
                "2026-10-25T00:30:00Z",
            ),
            (
                "2026-10-25T03:00:00",
                Tz::Europe__Berlin,
                "2026-10-25T02:00:00Z",
            ),
            // Half an hour of difference, and a day that was left out.
            (
                "2026-10-04T02:15:00",
                Tz::Australia__Lord_Howe,
                "2026-10-03T15:45:00Z",
            ),
            (
                "2011-12-30T10:00:00",
                Tz::Pacific__Apia,
                "2011-12-30T20:00:00Z",
            ),
            (
                "2026-03-08T02:30:00",
                Tz::America__New_York,
                "2026-03-08T07:30:00Z",
            ),
        ];
        for (text, zone, expected) in cases {
            let expected: DateTime<Utc> = expected.parse().unwrap();
            assert_eq!(instant(local(text), zone), expected, "{text} {zone}");
        }
    }

    #[test]
    fn days_are_nominal_and_times_exact() {
        let frame = Frame {
            zone: Tz::Europe__Berlin,
            all_day: false,
        };
        let cases = [
            // Over the change to summer time, which takes an hour.
            ("2026-03-28T12:00:00", "P1D", Some(23 * 3600)),
            ("2026-03-28T12:00:00", "PT24H", Some(24 * 3600)),
            ("2026-03-28T12:00:00", "P1DT1H", Some(24 * 3600)),
            ("2026-01-01T12:00:00", "P1W", Some(7 * 86_400)),
            ("2026-01-01T12:00:00", "+PT1H30M15S", Some(5415)),
            ("2026-01-01T12:00:00", "PT0S", Some(0)),
            ("2026-01-01T12:00:00", "pt5m", Some(300)),
            ("2026-01-01T12:00:00", "-PT1H", None),
            ("2026-01-01T12:00:00", "P", None),
            ("2026-01-01T12:00:00", "PT", None),
            ("2026-01-01T12:00:00", "P1", None),
            ("2026-01-01T12:00:00", "P1H", None),
            ("2026-01-01T12:00:00", "PT1D", None),
            ("2026-01-01T12:00:00", "P99999999999999999999D", None),
            ("2026-01-01T12:00:00", "P9223372036854775807W", None),
            ("2026-01-01T12:00:00", "1H", None),
            ("2026-01-01T12:00:00", "", None),
        ];
        for (start, duration, expected) in cases {
            let seconds = Length::parse(duration).map(|length| {
                let span = frame.span(local(start), length);
                span.end.signed_duration_since(span.start).num_seconds()
            });
            assert_eq!(seconds, expected, "{duration}");
        }
    }

    #[test]
    fn an_end_before_the_start_is_no_time_at_all() {
        let start = When::Zoned(local("2026-01-01T12:00:00"), Tz::Europe__Berlin);
        let frame = Frame::of(start, Tz::UTC);
        for end in [
            When::Utc("2026-01-01T10:00:00Z".parse().unwrap()),
            When::Zoned(local("2026-01-01T05:00:00"), Tz::America__New_York),
            When::Floating(local("2026-01-01T11:00:00")),
            When::Date("2026-01-01".parse().unwrap()),
        ] {
            let length = Length::between(frame, frame.local(start), end, Tz::UTC);
            assert_eq!(length, Length::ZERO, "{end:?}");
        }
        let end = When::Zoned(local("2026-01-01T07:00:00"), Tz::America__New_York);
        let length = Length::between(frame, frame.local(start), end, Tz::UTC);
        assert_eq!(length.rest, TimeDelta::hours(1));
    }
}
