//! What is read of files that break the rules: each way has one outcome.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use meetbridge::ical::document::Document;
use meetbridge::ical::event::Next;
use meetbridge::ical::read::read;

/// What a file says, in the order of its lines: `line: UID start/end`, `line: UID past`, or the line
/// and what is wrong there.
fn told(bytes: &[u8], now: &str) -> Vec<String> {
    let document = match Document::parse(bytes) {
        Ok(document) => document,
        Err(error) => return vec![format!("refused: {error}")],
    };
    let now: DateTime<Utc> = now.parse().unwrap();
    let reading = read(&document, Tz::Europe__Berlin, now);
    let events = reading.events.iter().map(|event| {
        let line = document.components()[event.components[0].index].line;
        let uid = event.uid.as_str();
        let said = match (&event.next, &event.fault) {
            (Next::At(span), None) => {
                let [start, end] = [span.start, span.end].map(|at| at.format("%FT%H:%MZ"));
                format!("{uid} {start}/{end}")
            }
            (Next::Past, None) => format!("{uid} past"),
            (Next::Unknown, Some(fault)) => format!("{uid} {fault}"),
            odd => panic!("{odd:?}"),
        };
        (line, said)
    });
    let faults = reading
        .faults
        .iter()
        .map(|fault| (fault.line, fault.what.clone()));
    let mut told: Vec<(usize, String)> = events.chain(faults).collect();
    told.sort();
    told.into_iter()
        .map(|(line, said)| format!("{line}: {said}"))
        .collect()
}

const NOW: &str = "2026-11-23T12:00:00Z";

/// A file, and what is told of it.
type Case = (&'static str, &'static [u8], &'static [&'static str]);

#[test]
fn every_way_to_break_the_rules_has_one_outcome() {
    let cases: &[Case] = &[
        ("nothing", b"", &[]),
        ("no calendar", b"<html>\n<p>Not found\n", &[
            "1: not a content line",
            "2: not a content line",
        ]),
        (
            "not UTF-8: read as Windows-1252, which most such files are",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:B\xfcro\x80\nDTSTART:20261201T100000Z\nEND:VEVENT\nEND:VCALENDAR\n",
            &["2: B\u{fc}ro\u{20ac} 2026-12-01T10:00Z/2026-12-01T10:00Z"],
        ),
        (
            "a byte order mark, and one within",
            b"\xef\xbb\xbfBEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\nEND:VEVENT\nEND:VCALENDAR\n\
              \xef\xbb\xbfBEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:b\nDTSTART:20261202T100000Z\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "2: a 2026-12-01T10:00Z/2026-12-01T10:00Z",
                "8: b 2026-12-02T10:00Z/2026-12-02T10:00Z",
            ],
        ),
        (
            "bare CR",
            b"BEGIN:VCALENDAR\rBEGIN:VEVENT\rUID:a\rDTSTART:2026120\r 1T100000Z\rEND:VEVENT\rEND:VCALENDAR\r",
            &["2: a 2026-12-01T10:00Z/2026-12-01T10:00Z"],
        ),
        (
            "mixed and doubled line ends, blank lines, none at the end",
            b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\nUID:a\rDTSTART:20261201T100000Z\r\r\n\r\n\n DURATION:PT1H\nEND:VEVENT\r\nEND:VCALENDAR",
            &[
                "2: a 2026-12-01T10:00Z/2026-12-01T11:00Z",
            ],
        ),
        (
            "lower case",
            b"begin:vcalendar\nbegin:vevent\nuid:a\ndtstart;tzid=Europe/Berlin:20261201t100000\nrrule:freq=daily;count=2\nend:vevent\nend:vcalendar\n",
            &["2: a 2026-12-01T09:00Z/2026-12-01T09:00Z"],
        ),
        (
            "END missing",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\n\
              BEGIN:VEVENT\nUID:b\nDTSTART:20261202T100000Z\nEND:VEVENT\n",
            &[
                "1: BEGIN:VCALENDAR without its END",
                "2: BEGIN:VEVENT without its END",
                "2: a its END:VEVENT is missing",
                "5: b 2026-12-02T10:00Z/2026-12-02T10:00Z",
            ],
        ),
        (
            "END of something else",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\nEND:VTODO\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "2: a 2026-12-01T10:00Z/2026-12-01T10:00Z",
                "5: END:VTODO without its BEGIN",
            ],
        ),
        (
            "an alarm without its END",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\nBEGIN:VALARM\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "2: a a component in it has no END",
                "5: BEGIN:VALARM without its END",
            ],
        ),
        (
            "several calendars: one event of all of them",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\nRRULE:FREQ=DAILY\nEND:VEVENT\nEND:VCALENDAR\n\
              BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nRECURRENCE-ID:20261201T100000Z\nDTSTART:20261201T120000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:b\nDTSTART:20261202T100000Z\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "2: a 2026-12-01T12:00Z/2026-12-01T12:00Z",
                "14: b 2026-12-02T10:00Z/2026-12-02T10:00Z",
            ],
        ),
        (
            "no calendar around it",
            b"BEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\nEND:VEVENT\n",
            &["1: a 2026-12-01T10:00Z/2026-12-01T10:00Z"],
        ),
        (
            "vCalendar 1.0",
            b"BEGIN:VCALENDAR\nVERSION:1.0\nBEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\nEND:VEVENT\nEND:VCALENDAR\n\
              BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:b\nDTSTART:20261201T100000Z\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "3: a vCalendar 1.0 is not supported",
                "10: b 2026-12-01T10:00Z/2026-12-01T10:00Z",
            ],
        ),
        (
            "UID missing, empty, blank, twice in one event",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261201T100000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:\nDTSTART:20261201T100000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID: \nDTSTART:20261201T100000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:a\nUID:b\nDTSTART:20261201T100000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:c\nUID:c\nDTSTART:20261201T100000Z\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "2: an event with no UID",
                "5: an event with no UID",
                "9: an event with no UID",
                "13: a it has two UIDs",
                "18: c 2026-12-01T10:00Z/2026-12-01T10:00Z",
            ],
        ),
        (
            "a UID used twice, with the same times and with others",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:a\nDTSTART:20261202T100000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:b\nDTSTART:20261201T100000Z\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "2: a the UID is used by two events",
                "10: b 2026-12-01T10:00Z/2026-12-01T10:00Z",
            ],
        ),
        (
            "DTEND before DTSTART, and at it: no time at all",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\nDTEND:20261201T090000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:b\nDTSTART:20261201T100000Z\nDTEND:20261201T100000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:c\nDTSTART:20261201T100000Z\nDURATION:PT0S\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:d\nDTSTART:20261201T100000Z\nDURATION:-PT1H\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "2: a 2026-12-01T10:00Z/2026-12-01T10:00Z",
                "7: b 2026-12-01T10:00Z/2026-12-01T10:00Z",
                "12: c 2026-12-01T10:00Z/2026-12-01T10:00Z",
                "17: d DURATION cannot be read",
            ],
        ),
        (
            "the first year and the last",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:first\nDTSTART:00010101T000000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:last\nDTSTART:99991231T235959Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:last-day\nDTSTART;VALUE=DATE:99991231\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:always\nDTSTART:00010101T000000Z\nRRULE:FREQ=DAILY\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:none\nDTSTART:00000101T000000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:all\nDTSTART:00010101T000000Z\nDTEND:99991231T235959Z\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "2: first past",
                "6: last 9999-12-31T23:59Z/9999-12-31T23:59Z",
                "10: last-day 9999-12-30T23:00Z/9999-12-31T23:00Z",
                "14: always 2026-11-24T00:00Z/2026-11-24T00:00Z",
                "19: none DTSTART cannot be read",
                "23: all 0001-01-01T00:00Z/0001-01-02T00:00Z",
            ],
        ),
        (
            "NUL bytes",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\0b\nDTSTART:20261201T100000Z\n\0\0:\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:c\nDTSTART:20261201T100000Z\0\nEND:VEVENT\nEND:VCALENDAR\n\0\0\0\0",
            &[
                "2: a\0b 2026-12-01T10:00Z/2026-12-01T10:00Z",
                "5: not a content line",
                "7: c DTSTART cannot be read",
                "12: not a content line",
            ],
        ),
        (
            "a bad event between two good ones",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:bad\nDTSTART:20261301T100000Z\nRRULE:FREQ=NEVER\nrubbish\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:b\nDTSTART:20261202T100000Z\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "2: a 2026-12-01T10:00Z/2026-12-01T10:00Z",
                "6: bad DTSTART cannot be read",
                "10: not a content line",
                "12: b 2026-12-02T10:00Z/2026-12-02T10:00Z",
            ],
        ),
        (
            "no start, two starts, a start that is a word",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:b\nDTSTART:20261201T100000Z\nDTSTART:20261202T100000Z\nEND:VEVENT\n\
              BEGIN:VEVENT\nUID:c\nDTSTART:tomorrow\nEND:VEVENT\nEND:VCALENDAR\n",
            &[
                "2: a it has no DTSTART",
                "5: b it has two different DTSTART",
                "10: c DTSTART cannot be read",
            ],
        ),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, expected) in cases {
        let told = told(bytes, NOW);
        if told != *expected {
            wrong.push((name, told));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_hundred_thousand_events_are_read_and_one_bad_one_is_named() {
    let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n");
    for number in 0..100_000 {
        let start = if number == 50_000 {
            "soon"
        } else {
            "20261201T100000Z"
        };
        text += &format!("BEGIN:VEVENT\r\nUID:{number}\r\nDTSTART:{start}\r\nEND:VEVENT\r\n");
    }
    text += "END:VCALENDAR\r\n";
    let told = told(text.as_bytes(), NOW);
    assert_eq!(told.len(), 100_000);
    assert_eq!(told[50_000], "200003: 50000 DTSTART cannot be read");
    let good = told
        .iter()
        .filter(|one| one.ends_with(" 2026-12-01T10:00Z/2026-12-01T10:00Z"));
    assert_eq!(good.count(), 99_999);
}

#[test]
fn what_would_cost_too_much_is_refused_with_its_line() {
    let deep = "BEGIN:X\n".repeat(40);
    assert_eq!(
        told(deep.as_bytes(), NOW),
        ["refused: line 33: components nested deeper than 32; no calendar needs that"]
    );
}

#[test]
fn costly_rules_take_no_more_time_than_the_file_is_worth() {
    let event = |uid: &str, rule: &str| {
        format!("BEGIN:VEVENT\nUID:{uid}\nDTSTART:20000103T100000Z\n{rule}END:VEVENT\n")
    };
    let costly = "RRULE:FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30\n";
    let text = event("costly", costly)
        + &(0..1000)
            .map(|n| event(&format!("costly{n}"), costly))
            .collect::<String>()
        + &event("plain", "DURATION:P10000D\n");
    let told = told(text.as_bytes(), NOW);
    assert_eq!(told.len(), 1002);
    assert_eq!(
        told[0],
        "1: costly the recurrence rule takes too long to follow"
    );
    assert!(told[1000].ends_with(" all recurrence rules of the file together take too long"));
    assert!(told[1001].ends_with(" plain 2000-01-03T10:00Z/2000-01-04T10:00Z"));

    let weekly: String = (0..1000)
        .map(|n| event(&format!("weekly{n}"), "RRULE:FREQ=WEEKLY\n"))
        .collect();
    let told = self::told(weekly.as_bytes(), NOW);
    assert!(
        told.iter()
            .all(|one| one.ends_with(" 2026-11-30T10:00Z/2026-11-30T10:00Z"))
    );
}

#[test]
fn many_names_of_zones_are_read_in_linear_time() {
    let named: String = (0..200_000)
        .map(|n| format!("EXDATE;TZID=z{n}:\n"))
        .collect();
    let text = format!("BEGIN:VEVENT\nUID:a\nDTSTART:20261201T100000Z\n{named}END:VEVENT\n");
    assert_eq!(
        told(text.as_bytes(), NOW),
        ["1: a 2026-12-01T10:00Z/2026-12-01T10:00Z"]
    );
}
