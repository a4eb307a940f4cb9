//! Times of events: `dateTimeTimeZone`, and the zone names that a mailbox knows. Pure.

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use windows_timezones::WindowsTimezone;

/// The names that are documented beside those of Windows (graph-api.md, section 15, DTZ).
const LISTED: &[&str] = &[
    "Etc/GMT+12",
    "Etc/GMT+11",
    "Pacific/Honolulu",
    "America/Anchorage",
    "America/Santa_Isabel",
    "America/Los_Angeles",
    "America/Phoenix",
    "America/Chihuahua",
    "America/Denver",
    "America/Guatemala",
    "America/Chicago",
    "America/Mexico_City",
    "America/Regina",
    "America/Bogota",
    "America/New_York",
    "America/Indiana/Indianapolis",
    "America/Caracas",
    "America/Asuncion",
    "America/Halifax",
    "America/Cuiaba",
    "America/La_Paz",
    "America/Santiago",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires",
    "America/Cayenne",
    "America/Godthab",
    "America/Montevideo",
    "America/Bahia",
    "Etc/GMT+2",
    "Atlantic/Azores",
    "Atlantic/Cape_Verde",
    "Africa/Casablanca",
    "Etc/GMT",
    "Europe/London",
    "Atlantic/Reykjavik",
    "Europe/Berlin",
    "Europe/Budapest",
    "Europe/Paris",
    "Europe/Warsaw",
    "Africa/Lagos",
    "Africa/Windhoek",
    "Europe/Bucharest",
    "Asia/Beirut",
    "Africa/Cairo",
    "Asia/Damascus",
    "Africa/Johannesburg",
    "Europe/Kiev",
    "Europe/Istanbul",
    "Asia/Jerusalem",
    "Asia/Amman",
    "Asia/Baghdad",
    "Europe/Kaliningrad",
    "Asia/Riyadh",
    "Africa/Nairobi",
    "Asia/Tehran",
    "Asia/Dubai",
    "Asia/Baku",
    "Europe/Moscow",
    "Indian/Mauritius",
    "Asia/Tbilisi",
    "Asia/Yerevan",
    "Asia/Kabul",
    "Asia/Karachi",
    "Asia/Tashkent",
    "Asia/Kolkata",
    "Asia/Colombo",
    "Asia/Kathmandu",
    "Asia/Almaty",
    "Asia/Dhaka",
    "Asia/Yekaterinburg",
    "Asia/Rangoon",
    "Asia/Bangkok",
    "Asia/Novosibirsk",
    "Asia/Shanghai",
    "Asia/Krasnoyarsk",
    "Asia/Singapore",
    "Australia/Perth",
    "Asia/Taipei",
    "Asia/Ulaanbaatar",
    "Asia/Irkutsk",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Australia/Adelaide",
    "Australia/Darwin",
    "Australia/Brisbane",
    "Australia/Sydney",
    "Pacific/Port_Moresby",
    "Australia/Hobart",
    "Asia/Yakutsk",
    "Pacific/Guadalcanal",
    "Asia/Vladivostok",
    "Pacific/Auckland",
    "Etc/GMT-12",
    "Pacific/Fiji",
    "Asia/Magadan",
    "Pacific/Tongatapu",
    "Pacific/Apia",
    "Pacific/Kiritimati",
];

/// A point in time as an event gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: DateTime<Utc>,
    /// The zone's name as it was given.
    pub(super) zone: String,
}

/// The zone of this name: a Windows one, or a listed IANA one.
pub(super) fn zone(name: &str) -> Option<Tz> {
    match name.parse::<WindowsTimezone>() {
        Ok(windows) => Some(Tz::from(windows)),
        Err(_) => LISTED.contains(&name).then(|| name.parse().ok()).flatten(),
    }
}

/// Understands a `dateTimeTimeZone`; else what is wrong, as code and sentence.
pub(super) fn moment(name: &str, value: &Value) -> Result<Moment, (&'static str, String)> {
    let part = |part: &str| value.get(part).and_then(Value::as_str);
    let (Some(text), Some(zone_name)) = (part("dateTime"), part("timeZone")) else {
        let message = format!("'{name}' needs dateTime and timeZone.");
        return Err(("ErrorInvalidRequest", message));
    };
    let Some(tz) = zone(zone_name) else {
        let message = format!("The following TimeZone value is not supported: '{zone_name}'.");
        return Err(("TimeZoneNotSupportedException", message));
    };
    let at = local(text).and_then(|local| instant(tz, local));
    match at {
        Some(at) => Ok(Moment {
            at,
            zone: zone_name.to_owned(),
        }),
        None => {
            let message = format!("The value of '{name}' is no date and time without offset.");
            Err(("ErrorInvalidRequest", message))
        }
    }
}

/// `2026-11-10T09:00:00`, with at most seven fraction digits and without offset.
fn local(text: &str) -> Option<NaiveDateTime> {
    let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    let plain = text.as_bytes().get(10) == Some(&b'T') && digits <= 7;
    plain
        .then(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok())
        .flatten()
}

/// The earlier of two; in a gap, what the clocks show after it.
fn instant(tz: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    let found = match tz.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time),
        LocalResult::None => {
            let later = local.checked_add_signed(TimeDelta::hours(1))?;
            tz.from_local_datetime(&later).earliest()
        }
    };
    found.map(|time| time.with_timezone(&Utc))
}

/// A `dateTimeTimeZone` as answers show it: seven fraction digits, no offset.
pub(super) fn shown(time: DateTime<Utc>, zone_name: &str) -> Value {
    let tz = zone(zone_name).unwrap_or(Tz::UTC);
    let local = time.with_timezone(&tz).naive_local();
    let ticks = time.timestamp_subsec_nanos().min(999_999_999) / 100;
    let text = format!("{}.{ticks:07}", local.format("%Y-%m-%dT%H:%M:%S"));
    json!({"dateTime": text, "timeZone": zone_name})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_known_zone_and_no_offset() {
        let utc = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
        let cases = [
            ("2026-11-10T09:00:00", "UTC", utc("2026-11-10T09:00:00Z")),
            (
                "2026-07-10T09:00:00.1234567",
                "W. Europe Standard Time",
                utc("2026-07-10T07:00:00.1234567Z"),
            ),
            (
                "2026-07-10T09:00:00",
                "Europe/Berlin",
                utc("2026-07-10T07:00:00Z"),
            ),
            // The gap of the last Sunday in March, and the fold of that in October.
            (
                "2026-03-29T02:30:00",
                "Europe/Berlin",
                utc("2026-03-29T01:30:00Z"),
            ),
            (
                "2026-10-25T02:30:00",
                "Europe/Berlin",
                utc("2026-10-25T00:30:00Z"),
            ),
            ("2026-11-10T09:00:00Z", "UTC", None),
            ("2026-11-10T09:00:00+01:00", "UTC", None),
            ("2026-11-10T09:00:00.12345678", "UTC", None),
            ("2026-11-10 09:00:00", "UTC", None),
            ("2026-11-10", "UTC", None),
            ("2026-11-10T09:00:00", "Europe/Zurich", None),
            ("2026-11-10T09:00:00", "Central European Time", None),
            ("2026-11-10T09:00:00", "", None),
        ];
        for (text, zone, expected) in cases {
            let value = json!({"dateTime": text, "timeZone": zone});
            let got = moment("start", &value).ok().map(|moment| moment.at);
            assert_eq!(got, expected, "{text} {zone}");
        }
        for part in [
            json!({"dateTime": "2026-11-10T09:00:00"}),
            json!({"timeZone": "UTC"}),
        ] {
            moment("start", &part).expect_err("a part is missing");
        }
    }

    #[test]
    fn every_listed_name_is_known() {
        for name in LISTED {
            assert!(zone(name).is_some(), "{name}");
        }
        let time: DateTime<Utc> = "2026-07-10T07:00:00.1234567Z".parse().unwrap();
        let expected = json!({"dateTime": "2026-07-10T09:00:00.1234567",
                              "timeZone": "W. Europe Standard Time"});
        assert_eq!(shown(time, "W. Europe Standard Time"), expected);
    }
}
