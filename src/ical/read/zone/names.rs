//! The zones that a TZID means by itself: IANA names, Windows names, offsets.

use std::sync::LazyLock;

use chrono::FixedOffset;
use chrono_tz::Tz;
use windows_timezones::WindowsTimezone;

use super::Zone;

/// Who puts its own path before an IANA name in a TZID (a "globally unique" one, RFC 5545, 3.2.19).
const VENDORS: [&str; 6] = [
    "mozilla.org",
    "citadel.org",
    "freeassociation.sourceforge.net",
    "softwarestudio.org",
    "inverse.ca",
    "ximian.com",
];
/// The longest name that is looked at, in bytes.
const MAX_NAME: usize = 256;

/// `tzid` without the blanks and quotes around it.
pub(super) fn bare(tzid: &str) -> &str {
    tzid.trim().trim_matches('"').trim()
}

/// The zone that a TZID means: an IANA name, alone or behind a known vendor's prefix; a Windows name or
/// the words Windows shows for it (CLDR windowsZones); an offset from UTC.
pub(super) fn known(tzid: &str) -> Option<Zone<'static>> {
    let name = bare(tzid);
    if name.len() > MAX_NAME {
        return None;
    }
    if let Some(zone) = iana(name).or_else(|| windows(name)) {
        return Some(Zone::Iana(zone));
    }
    let (given, words) = shown(name)?;
    if words.is_empty() {
        return Some(Zone::Fixed(given?));
    }
    match described(given, &words) {
        Some(zone) => Some(Zone::Iana(zone)),
        None => given.map(Zone::Fixed),
    }
}

/// An IANA name, alone or behind a prefix.
pub(super) fn iana(name: &str) -> Option<Tz> {
    if let Ok(zone) = name.parse() {
        return Some(zone);
    }
    if let Some(name) = name.strip_prefix("posix/") {
        return name.parse().ok();
    }
    let path = name.strip_prefix('/')?;
    let (vendor, behind) = path.split_once('/')?;
    if !VENDORS.contains(&vendor) {
        return path.parse().ok();
    }
    let from_the_second = behind.split_once('/').map(|(_, rest)| rest);
    [Some(behind), from_the_second]
        .into_iter()
        .flatten()
        .filter(|name| name.contains('/'))
        .find_map(|name| name.parse().ok())
}

/// A Windows name, or Outlook's URI of UTC.
fn windows(name: &str) -> Option<Tz> {
    if name.eq_ignore_ascii_case("tzone://Microsoft/Utc") || name == "Z" {
        return Some(Tz::UTC);
    }
    name.parse::<WindowsTimezone>().ok().map(Tz::from)
}

/// The parts of `(UTC+01:00) Amsterdam, Berlin`, `GMT-0500`, `Pacific Time (US & Canada)`: the offset
/// that is given, and the words behind it, simplified. `None`: the offset is no offset.
fn shown(name: &str) -> Option<(Option<FixedOffset>, String)> {
    let (inside, words) = match name.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((inside, words)) => (inside, words),
        None if name.starts_with("UTC") || name.starts_with("GMT") => (name, ""),
        None => return Some((None, simple(name))),
    };
    let digits = inside
        .strip_prefix("UTC")
        .or_else(|| inside.strip_prefix("GMT"))?
        .trim();
    let given = match digits {
        "" => FixedOffset::east_opt(0),
        _ if digits.starts_with(['+', '-']) => offset(digits),
        _ => None,
    };
    Some((Some(given?), simple(words)))
}

/// Words as they are compared.
fn simple(words: &str) -> String {
    words
        .to_lowercase()
        .replace(" and ", " & ")
        .replace(';', ",")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The Windows zone that is shown with these words: all that it is shown with, or places among
/// those. Where an offset is given, it is its own too.
fn described(given: Option<FixedOffset>, words: &str) -> Option<Tz> {
    let rows = DESCRIBED.iter();
    let mut rows = rows.filter(|row| given.is_none() || given == row.offset);
    if let Some(row) = rows.clone().find(|row| row.words == words) {
        return Some(row.zone);
    }
    // Without an offset, a single place is too little to go by: there are other towns of that name.
    given?;
    let places: Vec<&str> = words.split(',').map(str::trim).collect();
    rows.find(|row| {
        let own: Vec<&str> = row.words.split(',').map(str::trim).collect();
        places.iter().all(|place| own.contains(place))
    })
    .map(|row| row.zone)
}

/// A Windows zone as it is shown to people.
struct Described {
    offset: Option<FixedOffset>,
    words: String,
    zone: Tz,
}

static DESCRIBED: LazyLock<Vec<Described>> = LazyLock::new(|| {
    let mut known: Vec<WindowsTimezone> = Vec::new();
    for &zone in chrono_tz::TZ_VARIANTS.iter() {
        if let Ok(zone) = WindowsTimezone::try_from(zone)
            && !known.contains(&zone)
        {
            known.push(zone);
        }
    }
    known
        .into_iter()
        .filter_map(|zone| {
            let (offset, words) = shown(zone.description())?;
            let zone = Tz::from(zone);
            Some(Described {
                offset,
                words,
                zone,
            })
        })
        .collect()
});

/// An offset from UTC (RFC 5545, 3.3.14): `+0100`, `-053000`; also `+01:00`, `+1`, `0100`.
pub(super) fn offset(text: &str) -> Option<FixedOffset> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() {
        return None;
    }
    let digits: String = match digits.split_once(':') {
        Some((hours, rest)) => format!("{hours:0>2}{}", rest.replace(':', "")),
        None if digits.len() <= 2 => format!("{digits:0>2}00"),
        None if digits.len() == 3 => format!("0{digits}"),
        None => digits.to_owned(),
    };
    let shaped = matches!(digits.len(), 4 | 6) && digits.bytes().all(|b| b.is_ascii_digit());
    if !shaped {
        return None;
    }
    let part = |from: usize| {
        digits
            .get(from..from + 2)
            .map_or(Some(0), |d| d.parse::<i32>().ok())
    };
    let (hours, minutes, seconds) = (part(0)?, part(2)?, part(4)?);
    (minutes < 60 && seconds < 60).then_some(())?;
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60 + seconds))
}
