//! From what is written to instants (RFC 5545, 3.3.5) and durations (3.3.6), in a [`Zone`].

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use super::zone::Zone;
use crate::model::Span;

/// The longest duration that is believed: 100 years.
const MAX_SECONDS: i64 = 100 * 366 * 86_400;

/// A point in time as a property gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When<'z> {
    /// A day.
    Date(NaiveDate),
    /// An instant.
    Utc(DateTime<Utc>),
    /// A local time in a zone.
    Zoned(NaiveDateTime, Zone<'z>),
    /// A local time in whatever zone the reader is in.
    Floating(NaiveDateTime),
}

/// The local times an event is counted in: those of the zone its DTSTART is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'z> {
    /// The zone; for floating times and days the configured one.
    pub(super) zone: Zone<'z>,
    /// Its times are days.
    pub(super) all_day: bool,
}

impl<'z> Frame<'z> {
    /// The frame of an event that starts at `start`; `zone` is where floating times are.
    pub(super) fn of(start: When<'z>, zone: Zone<'z>) -> Self {
        let (zone, all_day) = match start {
            When::Date(_) => (zone, true),
            When::Utc(_) => (Zone::UTC, false),
            When::Zoned(_, zone) => (zone, false),
            When::Floating(_) => (zone, false),
        };
        Self { zone, all_day }
    }

    /// `when` as a local time of this frame; for days, their midnight.
    pub(super) fn local(&self, when: When<'_>) -> NaiveDateTime {
        let local = match when {
            When::Date(date) => midnight(date),
            When::Floating(local) => local,
            When::Zoned(local, zone) if zone == self.zone || self.all_day => local,
            When::Zoned(local, zone) => self.of_instant(zone.instant(local)),
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
        self.zone.local(at)
    }

    /// The instant of a local time of this frame.
    pub(super) fn instant(&self, local: NaiveDateTime) -> DateTime<Utc> {
        self.zone.instant(local)
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
    pub(super) fn between(
        frame: Frame<'_>,
        start: NaiveDateTime,
        end: When<'_>,
        zone: Zone<'_>,
    ) -> Self {
        let length = if frame.all_day {
            Self::days(frame.local(end).signed_duration_since(start).num_days())
        } else {
            let end = match end {
                When::Utc(at) => at,
                When::Zoned(local, zone) => zone.instant(local),
                When::Floating(local) => zone.instant(local),
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
    use chrono_tz::Tz;

    use super::*;

    fn local(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn days_are_nominal_and_times_exact() {
        let frame = Frame {
            zone: Zone::Iana(Tz::Europe__Berlin),
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
        let start = When::Zoned(local("2026-01-01T12:00:00"), Zone::Iana(Tz::Europe__Berlin));
        let frame = Frame::of(start, Zone::UTC);
        for end in [
            When::Utc("2026-01-01T10:00:00Z".parse().unwrap()),
            When::Zoned(
                local("2026-01-01T05:00:00"),
                Zone::Iana(Tz::America__New_York),
            ),
            When::Floating(local("2026-01-01T11:00:00")),
            When::Date("2026-01-01".parse().unwrap()),
        ] {
            let length = Length::between(frame, frame.local(start), end, Zone::UTC);
            assert_eq!(length, Length::ZERO, "{end:?}");
        }
        let end = When::Zoned(
            local("2026-01-01T07:00:00"),
            Zone::Iana(Tz::America__New_York),
        );
        let length = Length::between(frame, frame.local(start), end, Zone::UTC);
        assert_eq!(length.rest, TimeDelta::hours(1));
    }
}
