use std::fmt::Write as _;

use chrono::{NaiveDate, TimeDelta};
use proptest::prelude::*;

use super::*;
use crate::ical::document::Document;

/// A calendar of these VTIMEZONEs: a name and observances, each a list of lines.
fn calendar(zones: &[(&str, &[&str])]) -> String {
    let mut text = "BEGIN:VCALENDAR\r\n".to_owned();
    for (name, observances) in zones {
        let _ = write!(text, "BEGIN:VTIMEZONE\r\nTZID:{name}\r\n");
        for lines in *observances {
            let lines = lines.replace(' ', "\r\n");
            let _ = write!(text, "BEGIN:STANDARD\r\n{lines}\r\nEND:STANDARD\r\n");
        }
        text += "END:VTIMEZONE\r\n";
    }
    text + "END:VCALENDAR\r\n"
}

/// What `see` finds out of the zones of a calendar.
fn zones<T>(text: &str, see: impl FnOnce(&Zones<'_>) -> T) -> T {
    let document = Document::parse(text.as_bytes()).unwrap();
    see(&Zones::of(&document))
}

fn local(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

/// A local time in the zone X of a calendar, in UTC, and back to local time.
fn there_and_back(text: &str, time: &str) -> (String, String) {
    zones(text, |zones| {
        let zone = zones.get("X", Some(0)).unwrap();
        let at = zone.instant(local(time));
        (at.naive_utc().to_string(), zone.local(at).to_string())
    })
}

const WINTER: &str = "DTSTART:16010101T030000 TZOFFSETFROM:+0200 TZOFFSETTO:+0100 RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10";
const SUMMER: &str = "DTSTART:16010101T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3";

#[test]
fn a_name_alone_means_a_zone() {
    let fixed = |seconds| Some(Zone::Fixed(FixedOffset::east_opt(seconds).unwrap()));
    let iana = |zone| Some(Zone::Iana(zone));
    let cases = [
        ("Europe/Berlin", iana(Tz::Europe__Berlin)),
        ("\"Europe/Berlin\"", iana(Tz::Europe__Berlin)),
        (" Europe/Berlin ", iana(Tz::Europe__Berlin)),
        ("UTC", iana(Tz::UTC)),
        ("Etc/GMT-2", iana(Tz::Etc__GMTMinus2)),
        // Behind a prefix.
        ("/Europe/Berlin", iana(Tz::Europe__Berlin)),
        ("posix/Europe/Vaduz", iana(Tz::Europe__Vaduz)),
        (
            "/mozilla.org/20050126_1/Europe/Berlin",
            iana(Tz::Europe__Berlin),
        ),
        (
            "/citadel.org/20250101_1/Europe/Berlin",
            iana(Tz::Europe__Berlin),
        ),
        (
            "/freeassociation.sourceforge.net/Europe/Berlin",
            iana(Tz::Europe__Berlin),
        ),
        (
            "/freeassociation.sourceforge.net/Tzfile/America/Argentina/Buenos_Aires",
            iana(Tz::America__Argentina__Buenos_Aires),
        ),
        ("/example.org/Europe/Berlin", None),
        ("/mozilla.org/Europe/Nowhere", None),
        // Windows: names, and what is shown for them.
        ("W. Europe Standard Time", iana(Tz::Europe__Berlin)),
        ("\"Eastern Standard Time\"", iana(Tz::America__New_York)),
        ("India Standard Time", iana(Tz::Asia__Calcutta)),
        ("UTC-02", iana(Tz::Etc__GMTPlus2)),
        ("tzone://Microsoft/Utc", iana(Tz::UTC)),
        ("tzone://Microsoft/Custom", None),
        (
            "(UTC-05:00) Eastern Time (US & Canada)",
            iana(Tz::America__New_York),
        ),
        (
            "(UTC-05:00) Eastern Time (US and Canada)",
            iana(Tz::America__New_York),
        ),
        (
            "(GMT+10:00) Canberra, Melbourne, Sydney",
            iana(Tz::Australia__Sydney),
        ),
        ("(UTC+01:00) Amsterdam, Berlin", iana(Tz::Europe__Berlin)),
        ("(UTC) Coordinated Universal Time", iana(Tz::Etc__UTC)),
        ("Pacific Time (US & Canada)", iana(Tz::America__Los_Angeles)),
        // Nothing but an offset.
        ("UTC+02:00", fixed(7200)),
        ("GMT-0500", fixed(-18_000)),
        ("GMT+5:30", fixed(19_800)),
        ("UTC+3", fixed(10_800)),
        ("(GMT +01:00)", fixed(3600)),
        ("(UTC-03:00) Nowhere, Berlin", fixed(-10_800)),
        // Nothing that could be known.
        ("UTC+24", None),
        ("UTC+01:60", None),
        ("GMT-05.00/-04.00", None),
        ("GMT +0100 (Standard) / GMT +0200 (Daylight)", None),
        ("(Nowhere) Berlin", None),
        ("(UTC+01:00", None),
        ("Amsterdam, Belgrade", None),
        ("Customized Time Zone", None),
        ("Europe_Berlin", None),
        ("1", None),
        ("", None),
        ("/", None),
    ];
    for (tzid, expected) in cases {
        assert_eq!(names::known(tzid), expected, "{tzid}");
    }
    assert_eq!(names::known(&"Europe/Berlin ,".repeat(1000)), None);
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
    let text = calendar(&[("X", &[WINTER, SUMMER])]);
    zones(&text, |zones| {
        let own = zones.get("X", None).unwrap();
        for (time, zone, expected) in cases {
            let expected: DateTime<Utc> = expected.parse().unwrap();
            assert_eq!(
                Zone::Iana(zone).instant(local(time)),
                expected,
                "{time} {zone}"
            );
            if zone == Tz::Europe__Berlin {
                assert_eq!(own.instant(local(time)), expected, "{time} own");
            }
        }
    });
}

#[test]
fn a_definition_is_followed() {
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &[WINTER, SUMMER],
            "2026-07-01T12:00:00",
            "2026-07-01 10:00:00",
        ),
        (
            &[WINTER, SUMMER],
            "2026-01-01T12:00:00",
            "2026-01-01 11:00:00",
        ),
        (
            &[SUMMER, WINTER],
            "9999-12-31T12:00:00",
            "9999-12-31 11:00:00",
        ),
        (
            &[SUMMER, WINTER],
            "1601-01-01T01:00:00",
            "1601-01-01 00:00:00",
        ),
        // One observance, and no change at all.
        (
            &["DTSTART:19700101T000000 TZOFFSETFROM:+0530 TZOFFSETTO:+0530"],
            "2026-07-01T12:00:00",
            "2026-07-01 06:30:00",
        ),
        (
            &["DTSTART:19700101T000000 TZOFFSETTO:-033045"],
            "2026-07-01T12:00:00",
            "2026-07-01 15:30:45",
        ),
        // Before the first onset what it changes from, after the last what it changes to.
        (
            &["DTSTART:20200101T000000 TZOFFSETFROM:+0100 TZOFFSETTO:+0300"],
            "2019-12-31T12:00:00",
            "2019-12-31 11:00:00",
        ),
        (
            &["DTSTART:20200101T000000 TZOFFSETFROM:+0100 TZOFFSETTO:+0300"],
            "2020-01-01T12:00:00",
            "2020-01-01 09:00:00",
        ),
        (
            &[
                WINTER,
                "DTSTART:19700329T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3;UNTIL=20250330T010000Z",
            ],
            "2025-07-01T12:00:00",
            "2025-07-01 10:00:00",
        ),
        (
            &[
                WINTER,
                "DTSTART:19700329T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3;UNTIL=20250330T005959Z",
            ],
            "2025-07-01T12:00:00",
            "2025-07-01 11:00:00",
        ),
        (
            &[
                WINTER,
                "DTSTART:19700329T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3;COUNT=2",
            ],
            "1971-07-01T12:00:00",
            "1971-07-01 10:00:00",
        ),
        (
            &[
                WINTER,
                "DTSTART:19700329T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3;COUNT=2",
            ],
            "1972-07-01T12:00:00",
            "1972-07-01 11:00:00",
        ),
        // RDATE, one and many, as a period and as a date; also where DTSTART is missing.
        (
            &[
                "DTSTART:20200101T000000 TZOFFSETFROM:+0000 TZOFFSETTO:+0000",
                "DTSTART:20210601T000000 RDATE:20220601T000000,20230601T000000/PT1H TZOFFSETFROM:+0000 TZOFFSETTO:+0100",
            ],
            "2023-06-01T12:00:00",
            "2023-06-01 11:00:00",
        ),
        (
            &["RDATE;VALUE=DATE:20200101 TZOFFSETFROM:+0000 TZOFFSETTO:+0100"],
            "2023-06-01T12:00:00",
            "2023-06-01 11:00:00",
        ),
        // Other ways to say the last Sunday of March, and a day of the year.
        (
            &[
                WINTER,
                "DTSTART:20100328T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=25,26,27,28,29,30,31;BYDAY=SU",
            ],
            "2026-03-29T04:00:00",
            "2026-03-29 02:00:00",
        ),
        (
            &[
                WINTER,
                "DTSTART:20100328T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=MONTHLY;BYMONTH=3;BYDAY=SU;BYSETPOS=-1",
            ],
            "2026-03-29T04:00:00",
            "2026-03-29 02:00:00",
        ),
        (
            &[
                WINTER,
                "DTSTART:20100328T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;BYDAY=13SU",
            ],
            "2026-03-29T04:00:00",
            "2026-03-29 02:00:00",
        ),
        (
            &[
                WINTER,
                "DTSTART:20100329T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;BYYEARDAY=88;BYHOUR=2;BYMINUTE=0",
            ],
            "2026-03-29T04:00:00",
            "2026-03-29 02:00:00",
        ),
        (
            &[
                WINTER,
                "DTSTART:20100329T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;BYWEEKNO=13;BYDAY=SU;WKST=MO",
            ],
            "2026-03-29T04:00:00",
            "2026-03-29 02:00:00",
        ),
        // The day of DTSTART every year, every second year, and a rule in lower case.
        (
            &[
                WINTER,
                "DTSTART:20100329T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY",
            ],
            "2026-03-29T04:00:00",
            "2026-03-29 02:00:00",
        ),
        (
            &[
                WINTER,
                "DTSTART:20110329T020000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;INTERVAL=2",
            ],
            "2026-07-01T12:00:00",
            "2026-07-01 11:00:00",
        ),
        (
            &[
                WINTER,
                "dtstart:20100328T020000 tzoffsetfrom:+0100 tzoffsetto:+0200 rrule:freq=yearly;bymonth=3;byday=-1su",
            ],
            "2026-03-29T04:00:00",
            "2026-03-29 02:00:00",
        ),
    ];
    for (observances, time, expected) in cases {
        let text = calendar(&[("X", observances)]);
        assert_eq!(
            there_and_back(&text, time).0,
            *expected,
            "{observances:?} {time}"
        );
    }
}

#[test]
fn the_definition_of_the_file_comes_before_the_name() {
    let text = calendar(&[
        (
            "Europe/Berlin",
            &["DTSTART:19700101T000000 TZOFFSETFROM:-0800 TZOFFSETTO:-0800"],
        ),
        (
            "\"W. Europe Standard Time\"",
            &["DTSTART:19700101T000000 TZOFFSETTO:+0900"],
        ),
    ]);
    zones(&text, |zones| {
        let noon = local("2026-01-01T12:00:00");
        let hour = |name| {
            let at = zones.get(name, Some(0)).unwrap().instant(noon).naive_utc();
            at.signed_duration_since(noon).num_hours()
        };
        assert_eq!(hour("Europe/Berlin"), 8);
        assert_eq!(hour("\"Europe/Berlin\""), 8);
        assert_eq!(hour("W. Europe Standard Time"), -9);
        assert_eq!(hour("Europe/Paris"), -1);
    });
}

#[test]
fn each_calendar_of_a_file_has_its_own_definition() {
    let text = ["+0100", "+0200"].map(|offset| {
        calendar(&[(
            "X",
            &[&format!("DTSTART:19700101T000000 TZOFFSETTO:{offset}")],
        )])
    });
    zones(&text.concat(), |zones| {
        let components = zones.document.components();
        let calendars = (0..components.len()).filter(|&at| components[at].name == "VCALENDAR");
        let noon = local("2026-01-01T12:00:00");
        let hours: Vec<_> = calendars
            .chain([99])
            .map(|at| {
                zones
                    .get("X", Some(at))
                    .unwrap()
                    .instant(noon)
                    .naive_utc()
                    .to_string()
            })
            .collect();
        assert_eq!(
            hours,
            [
                "2026-01-01 11:00:00",
                "2026-01-01 10:00:00",
                "2026-01-01 11:00:00"
            ]
        );
    });
}

#[test]
fn a_definition_that_is_not_understood_leaves_the_name_the_offset_or_the_reason() {
    let broken: &[&str] = &[
        "TZOFFSETFROM:+0100",
        "TZOFFSETFROM:+0100 TZOFFSETTO:+0200",
        "DTSTART:yesterday TZOFFSETFROM:+0100 TZOFFSETTO:+0200",
        "DTSTART:20200101T000000 TZOFFSETFROM:+0100 TZOFFSETTO:east",
        "DTSTART:20200101T000000 TZOFFSETTO:+2400",
        "DTSTART:20200101T000000 TZOFFSETTO:+0200 RRULE:FREQ=SECONDLY",
        "DTSTART:20200101T000000 TZOFFSETTO:+0200 RRULE:FREQ=DAILY",
        "DTSTART:20200101T000000 TZOFFSETTO:+0200 RRULE:FREQ=WEEKLY;BYDAY=MO",
        "DTSTART:20200101T000000 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "DTSTART:20200101T000000 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;INTERVAL=0",
        "DTSTART:20200101T000000 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;COUNT=999999999",
        "DTSTART:20200101T000000 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;RSCALE=HEBREW",
        "DTSTART:20200101T000000 TZOFFSETTO:+0200 RRULE:BYMONTH=3",
    ];
    for lines in broken {
        let text = calendar(&[
            ("Europe/Berlin", &[lines]),
            ("X", &[lines]),
            ("Y", &[lines, WINTER]),
        ]);
        zones(&text, |zones| {
            assert_eq!(
                zones.get("Europe/Berlin", Some(0)),
                Ok(Zone::Iana(Tz::Europe__Berlin))
            );
            let two_hours = lines.contains("TZOFFSETTO:+0200");
            let expected = if two_hours {
                Ok(Zone::Fixed(FixedOffset::east_opt(7200).unwrap()))
            } else {
                Err("the definition of the time zone \"X\" is not understood".to_owned())
            };
            assert_eq!(zones.get("X", Some(0)), expected, "{lines}");
            if two_hours {
                let expected = "the definition of the time zone \"Y\" is not understood";
                assert_eq!(zones.get("Y", Some(0)), Err(expected.to_owned()), "{lines}");
            }
        });
    }
    zones(&calendar(&[("X", &[])]), |zones| {
        assert!(zones.get("X", Some(0)).is_err());
        let name = "\u{1b}[31m".to_owned() + &"x".repeat(500);
        let why = zones.get(&name, Some(0)).unwrap_err();
        assert!(why.len() < 120 && !why.contains('\u{1b}'), "{why}");
    });
}

#[test]
fn hostile_definitions_cost_little() {
    // As much as is allowed of everything, in definitions that are all used, at every year there is.
    let heavy =
        "DTSTART:00010101T000000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=MONTHLY;BYDAY=2SU";
    let counted =
        "DTSTART:00010101T000000 TZOFFSETFROM:+0100 TZOFFSETTO:+0200 RRULE:FREQ=YEARLY;COUNT=400";
    let many: Vec<&str> = std::iter::repeat_n(WINTER, 2_000).collect();
    let rdates = format!(
        "DTSTART:20200101T000000 TZOFFSETTO:+0200 RDATE:{}",
        "20200101T000000,".repeat(20_000)
    );
    for observances in [&[heavy, heavy, heavy][..], &[counted], &many, &[&rdates]] {
        let names: Vec<String> = (0..500).map(|n| format!("X{n}")).collect();
        let all: Vec<(&str, &[&str])> = names
            .iter()
            .map(|name| (name.as_str(), observances))
            .collect();
        let few = if observances.len() > 10 || observances[0].len() > 1000 {
            10
        } else {
            all.len()
        };
        zones(&calendar(&all[..few]), |zones| {
            for (n, name) in names.iter().enumerate() {
                let Ok(zone) = zones.get(name, Some(0)) else {
                    continue;
                };
                for year in (1..9999).step_by(401) {
                    let year = year + i32::try_from(n % 100).unwrap();
                    let noon = NaiveDate::from_ymd_opt(year, 7, 1)
                        .unwrap()
                        .and_hms_opt(12, 0, 0)
                        .unwrap();
                    let at = zone.instant(noon);
                    assert!(at.naive_utc().signed_duration_since(noon).abs() <= TimeDelta::days(1));
                }
            }
            let understood = || {
                let read = zones.read.iter();
                read.filter_map(|cell| cell.get()?.as_ref().ok())
            };
            assert!(understood().count() < 130, "{}", understood().count());
            for definition in understood() {
                assert!(definition.size() <= 12_000, "{}", definition.size());
            }
        });
    }
}

/// A VTIMEZONE named X with every change that `zone` makes from 1970 to 2037.
fn exported(zone: Tz) -> String {
    let offset = |at: i64| {
        let at = DateTime::from_timestamp(at, 0).unwrap();
        zone.offset_from_utc_datetime(&at.naive_utc())
            .fix()
            .local_minus_utc()
    };
    let written = |seconds: i32| {
        let (sign, seconds) = if seconds < 0 {
            ('-', -seconds)
        } else {
            ('+', seconds)
        };
        format!(
            "{sign}{:02}{:02}{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )
    };
    let mut observances = vec![format!(
        "DTSTART:19700101T000000 TZOFFSETTO:{}",
        written(offset(0))
    )];
    let mut at = 0;
    while at < 2_145_916_800 {
        let next = at + 6 * 3600;
        if offset(at) != offset(next) {
            let (mut before, mut after) = (at, next);
            while after - before > 1 {
                let middle = before.midpoint(after);
                if offset(middle) == offset(at) {
                    before = middle
                } else {
                    after = middle
                }
            }
            let (from, to) = (offset(at), offset(next));
            let local = DateTime::from_timestamp(after + i64::from(from), 0).unwrap();
            observances.push(format!(
                "DTSTART:{} TZOFFSETFROM:{} TZOFFSETTO:{}",
                local.format("%Y%m%dT%H%M%S"),
                written(from),
                written(to)
            ));
        }
        at = next;
    }
    let observances: Vec<&str> = observances.iter().map(String::as_str).collect();
    calendar(&[("X", &observances)])
}

/// Compares the zone X of a calendar with `zone`: every week, and closely in a week with a change.
fn assert_same(text: &str, zone: Tz, from: &str, to: &str) {
    zones(text, |zones| {
        let own = zones.get("X", Some(0)).unwrap();
        let known = Zone::Iana(zone);
        let (mut week, to) = (local(from), local(to));
        while week < to {
            let next = week + TimeDelta::days(7);
            let shift = |time: NaiveDateTime| known.local(time.and_utc()) - time;
            let changes = shift(week - TimeDelta::days(1)) != shift(next + TimeDelta::days(1));
            let step = TimeDelta::minutes(if changes { 90 } else { 7 * 24 * 60 });
            let mut time = week;
            while time < next {
                assert_eq!(own.instant(time), known.instant(time), "{zone} {time}");
                let at = time.and_utc();
                assert_eq!(own.local(at), known.local(at), "{zone} {at}");
                time += step;
            }
            week = next;
        }
    });
}

#[test]
fn an_exported_definition_is_its_zone() {
    for zone in [
        Tz::Europe__Berlin,
        Tz::Australia__Lord_Howe,
        Tz::Africa__Casablanca,
    ] {
        let (from, to) = ("1971-01-01T00:00:00", "2037-01-01T00:00:00");
        assert_same(&exported(zone), zone, from, to);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn any_exported_definition_is_its_zone(
        zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..])
    ) {
        let (from, to) = ("1971-01-01T00:00:00", "2037-01-01T00:00:00");
        assert_same(&exported(zone), zone, from, to);
    }
}

#[test]
fn a_definition_by_rules_is_its_zone() {
    let cases = [
        (Tz::Europe__Berlin, vec![WINTER.replace("1601", "1996"), SUMMER.replace("1601", "1996")]),
        (Tz::America__New_York, vec![
            "DTSTART:20070311T020000 TZOFFSETFROM:-0500 TZOFFSETTO:-0400 RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU".to_owned(),
            "DTSTART:20071104T020000 TZOFFSETFROM:-0400 TZOFFSETTO:-0500 RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU".to_owned(),
        ]),
        (Tz::Australia__Sydney, vec![
            "DTSTART:20080406T030000 TZOFFSETFROM:+1100 TZOFFSETTO:+1000 RRULE:FREQ=YEARLY;BYMONTH=4;BYDAY=1SU".to_owned(),
            "DTSTART:20081005T020000 TZOFFSETFROM:+1000 TZOFFSETTO:+1100 RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=1SU".to_owned(),
        ]),
    ];
    for (zone, observances) in cases {
        let observances: Vec<&str> = observances.iter().map(String::as_str).collect();
        let (from, to) = ("2009-01-01T00:00:00", "2099-01-01T00:00:00");
        assert_same(&calendar(&[("X", &observances)]), zone, from, to);
    }
}

prop_compose! {
    /// An observance of some sort, most of them sensible.
    fn observance()(
        year in 1..9999i32, month in 1..=12u32, hour in 0..24u32,
        from in -1439..1440i32, to in -1439..1440i32,
        rule in "(|FREQ=YEARLY;BYMONTH=[1-9];BYDAY=(1|-1)SU|FREQ=MONTHLY;BYMONTHDAY=-?[1-9]|[A-Z=;0-9,]{0,30})",
    ) -> String {
        let offset = |minutes: i32| {
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
        };
        let rule = if rule.is_empty() { rule } else { format!(" RRULE:{rule}") };
        format!(
            "DTSTART:{year:04}{month:02}01T{hour:02}0000 TZOFFSETFROM:{} TZOFFSETTO:{}{rule}",
            offset(from), offset(to)
        )
    }
}

proptest! {
    #[test]
    fn a_local_time_comes_back(
        observances in prop::collection::vec(observance(), 0..6),
        times in prop::collection::vec((1..9999i32, 1..366u32, 0..86_400u32), 1..20),
        zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..]),
    ) {
        let observances: Vec<&str> = observances.iter().map(String::as_str).collect();
        zones(&calendar(&[("X", &observances)]), |zones| {
            for known in [zones.get("X", Some(0)).unwrap_or(Zone::UTC), Zone::Iana(zone)] {
                for &(year, day, second) in &times {
                    let midnight = NaiveDate::from_yo_opt(year, day).unwrap().and_time(chrono::NaiveTime::MIN);
                    let time = midnight + TimeDelta::seconds(second.into());
                    // Whatever a clock once showed comes back as the same time.
                    let shown = known.local(time.and_utc());
                    let at = known.instant(shown);
                    prop_assert!(at <= time.and_utc(), "the first of two: {shown}");
                    prop_assert_eq!(known.local(at), shown);
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_calendars_zone_is_the_one_its_text_names() {
    let text = |tzid: &str| {
        format!("BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\n{tzid}END:VTIMEZONE\r\nEND:VCALENDAR\r\n")
    };
    for (tzid, expected) in [
        ("TZID:Europe/Berlin\r\n", Some(Tz::Europe__Berlin)),
        (
            "TZID:Eastern Standard Time\r\n",
            Some(Tz::America__New_York),
        ),
        (
            "TZID:/mozilla.org/20050126_1/Asia/Tokyo\r\n",
            Some(Tz::Asia__Tokyo),
        ),
        ("TZID:+0100\r\n", None),
        ("TZID:nowhere\r\n", None),
        ("TZID:\r\n", None),
        ("", None),
    ] {
        assert_eq!(iana_zone(text(tzid).as_bytes()), expected, "{tzid}");
    }
    let nested = "BEGIN:X\n".repeat(100_000);
    for text in ["", "Europe/Berlin", "BEGIN:VTIMEZONE", "\u{0}", &nested] {
        assert_eq!(iana_zone(text.as_bytes()), None);
    }
    let bare = "BEGIN:VTIMEZONE\nTZID:Asia/Tokyo\nEND:VTIMEZONE\n";
    assert_eq!(iana_zone(bare.as_bytes()), Some(Tz::Asia__Tokyo));
}
