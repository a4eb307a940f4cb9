use super::*;
use crate::ical::event::{Class, FoundLink, Place, Provider};
use crate::ical::mark::Mark;

const BERLIN: Tz = Tz::Europe__Berlin;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn reading(calendar: &str, now: &str) -> Reading {
    let document = Document::parse(calendar.as_bytes()).unwrap();
    read(&document, BERLIN, at(now))
}

/// The only event of a calendar that consists of these VEVENTs, each a list of lines.
fn event(vevents: &[&[&str]], now: &str) -> Event {
    let mut reading = reading(&calendar(vevents), now);
    assert_eq!(reading.events.len(), 1, "{:?}", reading.faults);
    reading.events.remove(0)
}

fn calendar(vevents: &[&[&str]]) -> String {
    let mut text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n".to_owned();
    for lines in vevents {
        let lines = lines.join("\r\n");
        text += &format!("BEGIN:VEVENT\r\nUID:u\r\n{lines}\r\nEND:VEVENT\r\n");
    }
    text + "END:VCALENDAR\r\n"
}

/// `start/end`, `past` or the fault.
fn next(vevents: &[&[&str]], now: &str) -> String {
    let event = event(vevents, now);
    match (event.next, event.fault) {
        (Next::At(span), None) => {
            let [start, end] =
                [span.start, span.end].map(|at| at.format("%Y-%m-%dT%H:%MZ").to_string());
            format!("{start}/{end}")
        }
        (Next::Past, None) => "past".to_owned(),
        (Next::Unknown, Some(fault)) => fault,
        odd => panic!("{odd:?}"),
    }
}

#[test]
fn times_are_read() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["DTSTART:20261201T100000Z", "DTEND:20261201T110000Z"],
            "2026-12-01T10:00Z/2026-12-01T11:00Z",
        ),
        (
            &[
                "DTSTART;TZID=Europe/Berlin:20261201T100000",
                "DURATION:PT30M",
            ],
            "2026-12-01T09:00Z/2026-12-01T09:30Z",
        ),
        (
            &[
                "DTSTART;TZID=\"America/New_York\":20261201T100000",
                "DTEND;TZID=Europe/Berlin:20261201T170000",
            ],
            "2026-12-01T15:00Z/2026-12-01T16:00Z",
        ),
        (
            &["DTSTART:20261201T100000", "DTEND:20261201T110000"],
            "2026-12-01T09:00Z/2026-12-01T10:00Z",
        ),
        (
            &["DTSTART:20261201T100000Z"],
            "2026-12-01T10:00Z/2026-12-01T10:00Z",
        ),
        (
            &["DTSTART:20261201T100000Z", "DTEND:20261201T090000Z"],
            "2026-12-01T10:00Z/2026-12-01T10:00Z",
        ),
        (
            &["DTSTART;VALUE=DATE:20261201"],
            "2026-11-30T23:00Z/2026-12-01T23:00Z",
        ),
        (&["DTSTART:20261201"], "2026-11-30T23:00Z/2026-12-01T23:00Z"),
        (
            &["DTSTART;VALUE=DATE:20261201", "DTEND;VALUE=DATE:20261205"],
            "2026-11-30T23:00Z/2026-12-01T23:00Z",
        ),
        // 25 hours, cut to 24.
        // Of no length, as others read what RFC 5545, 3.6.1 forbids.
        (
            &["DTSTART;VALUE=DATE:20261201", "DTEND;VALUE=DATE:20261201"],
            "2026-11-30T23:00Z/2026-11-30T23:00Z",
        ),
        (
            &["DTSTART;VALUE=DATE:20271031"],
            "2027-10-30T22:00Z/2027-10-31T22:00Z",
        ),
        (
            &[
                "DTSTART;TZID=Europe/Berlin:20270328T023000",
                "DURATION:PT1H",
            ],
            "2027-03-28T01:30Z/2027-03-28T02:30Z",
        ),
        (
            &[
                "dtstart;tzid=Europe/Berlin:20261201T100000",
                "dtend;tzid=Europe/Berlin:20261201T110000",
            ],
            "2026-12-01T09:00Z/2026-12-01T10:00Z",
        ),
        (
            &["DTSTART:20261201T100000Z", "DTSTART:20261201T100000Z"],
            "2026-12-01T10:00Z/2026-12-01T10:00Z",
        ),
        (
            &["DTSTART:20251201T100000Z", "DTEND:20251201T110000Z"],
            "past",
        ),
        (
            &["DTSTART;TZID=W. Europe Standard Time:20261201T100000"],
            "2026-12-01T09:00Z/2026-12-01T09:00Z",
        ),
        (
            &["DTSTART;TZID=\"(UTC+02:00) Nowhere\":20261201T100000"],
            "2026-12-01T08:00Z/2026-12-01T08:00Z",
        ),
        (
            &["DTSTART;TZID=Customized Time Zone:20261201T100000"],
            "the time zone \"Customized Time Zone\" is not understood",
        ),
        // A day is a day, whatever its TZID; and a time in UTC is in UTC.
        (
            &["DTSTART;VALUE=DATE;TZID=America/New_York:20261201"],
            "2026-11-30T23:00Z/2026-12-01T23:00Z",
        ),
        (
            &["DTSTART;TZID=nowhere:20261201T100000Z"],
            "2026-12-01T10:00Z/2026-12-01T10:00Z",
        ),
        // The time of a stamp decides nothing.
        (
            &[
                "DTSTAMP;TZID=nowhere:20260101T000000",
                "DTSTART:20261201T100000Z",
            ],
            "2026-12-01T10:00Z/2026-12-01T10:00Z",
        ),
        (
            &["DTSTART;TZID=\u{1b}[31m:20261201T100000"],
            "the time zone \"\\u{1b}[31m\" is not understood",
        ),
        (&["DTSTART:tomorrow"], "DTSTART cannot be read"),
        (
            &["DTSTART:20261201T100000Z", "DTEND:later"],
            "DTEND cannot be read",
        ),
        (
            &["DTSTART:20261201T100000Z", "DURATION:-PT1H"],
            "DURATION cannot be read",
        ),
        (
            &["DTSTART:20261201T100000Z", "DTSTART:20261202T100000Z"],
            "it has two different DTSTART",
        ),
        (
            &["DTSTART:20261201T100000Z", "UID:other"],
            "it has two UIDs",
        ),
        (&["SUMMARY:x"], "it has no DTSTART"),
        (&["DTSTART:20261201T100000Z", "EXRULE:FREQ=DAILY"], "past"),
        (
            &["DTSTART:20261201T100000Z", "EXRULE:FREQ=NEVER"],
            "the recurrence rule cannot be read",
        ),
        (
            &[
                "DTSTART:20251201T100000Z",
                "DURATION:PT1H",
                "RDATE;TZID=Europe/Berlin;VALUE=PERIOD:20261202T100000/20261202T123000",
            ],
            "2026-12-02T09:00Z/2026-12-02T11:30Z",
        ),
        (
            &[
                "DTSTART:20251201T100000Z",
                "RDATE;VALUE=PERIOD:20251202T100000Z/PT5M,20261202T100000Z/PT2H",
            ],
            "2026-12-02T10:00Z/2026-12-02T12:00Z",
        ),
        (
            &["DTSTART:20251201T100000Z", "RDATE:20261202T100000Z/PT"],
            "RDATE cannot be read",
        ),
        (
            &[
                "DTSTART:20251201T100000Z",
                "RDATE:20261202T100000Z/tomorrow",
            ],
            "RDATE cannot be read",
        ),
        // UNTIL in UTC with days: the day it names.
        (
            &[
                "DTSTART:20251201",
                "RRULE:FREQ=DAILY;UNTIL=20261123T235959Z",
            ],
            "2026-11-22T23:00Z/2026-11-23T23:00Z",
        ),
        (
            &["DTSTART:20261201T100000Z", "RRULE:FREQ=NEVER"],
            "the recurrence rule cannot be read",
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(
            &next(&[lines], "2026-11-23T12:00:00Z"),
            expected,
            "{lines:?}"
        );
    }
}

#[test]
fn the_next_occurrence_is_the_first_that_has_not_ended() {
    let master: &[&str] = &[
        "DTSTART;TZID=Europe/Berlin:20261201T100000",
        "DTEND;TZID=Europe/Berlin:20261201T110000",
        "RRULE:FREQ=DAILY;COUNT=4",
        "EXDATE;TZID=Europe/Berlin:20261202T100000",
        "RDATE;TZID=Europe/Berlin:20261210T100000",
    ];
    let moved: &[&str] = &[
        "RECURRENCE-ID;TZID=Europe/Berlin:20261203T100000",
        "DTSTART;TZID=Europe/Berlin:20261203T150000",
        "DTEND;TZID=Europe/Berlin:20261203T153000",
    ];
    let moved_later: &[&str] = &[
        "RECURRENCE-ID:20261203T090000Z",
        "SEQUENCE:2",
        "DTSTART;TZID=Europe/Berlin:20261205T150000",
    ];
    let cancelled: &[&str] = &[
        "RECURRENCE-ID;TZID=Europe/Berlin:20261204T100000",
        "DTSTART;TZID=Europe/Berlin:20261204T100000",
        "STATUS:CANCELLED",
    ];
    let future: &[&str] = &[
        "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20261203T100000",
        "DTSTART:20261203T100000Z",
        "DURATION:PT2H",
    ];
    let alone: &[&[&str]] = &[master];
    let all: &[&[&str]] = &[master, moved, cancelled];
    let cases: &[(&[&[&str]], &str, &str)] = &[
        (
            alone,
            "2026-11-01T00:00:00Z",
            "2026-12-01T09:00Z/2026-12-01T10:00Z",
        ),
        (
            alone,
            "2026-12-01T09:59:59Z",
            "2026-12-01T09:00Z/2026-12-01T10:00Z",
        ),
        (
            alone,
            "2026-12-01T10:00:00Z",
            "2026-12-03T09:00Z/2026-12-03T10:00Z",
        ),
        (
            all,
            "2026-12-01T10:00:00Z",
            "2026-12-03T14:00Z/2026-12-03T14:30Z",
        ),
        (
            all,
            "2026-12-03T14:30:00Z",
            "2026-12-10T09:00Z/2026-12-10T10:00Z",
        ),
        (all, "2026-12-10T10:00:00Z", "past"),
        (
            &[moved_later, master, moved, cancelled],
            "2026-12-01T10:00:00Z",
            "2026-12-05T14:00Z/2026-12-05T14:00Z",
        ),
        // Without its master: the next of the overrides.
        (
            &[moved, cancelled],
            "2026-11-01T00:00:00Z",
            "2026-12-03T14:00Z/2026-12-03T14:30Z",
        ),
        (&[cancelled], "2026-11-01T00:00:00Z", "past"),
        // The same twice is the same; otherwise the newest version counts.
        (
            &[master, master],
            "2026-11-01T00:00:00Z",
            "2026-12-01T09:00Z/2026-12-01T10:00Z",
        ),
        (
            &[master, &["DTSTART:20261208T090000Z", "SEQUENCE:1"]],
            "2026-11-01T00:00:00Z",
            "2026-12-08T09:00Z/2026-12-08T09:00Z",
        ),
        (
            &[master, &["DTSTART:20261208T090000Z"]],
            "2026-11-01T00:00:00Z",
            "the UID is used by two events",
        ),
        // From the third on an hour later and two hours long; the fourth is cancelled.
        (
            &[master, future, cancelled],
            "2026-12-01T10:00:00Z",
            "2026-12-03T10:00Z/2026-12-03T12:00Z",
        ),
        (
            &[master, future, cancelled],
            "2026-12-03T12:00:00Z",
            "2026-12-10T10:00Z/2026-12-10T12:00Z",
        ),
        (
            &[
                master,
                &[
                    "RECURRENCE-ID;RANGE=THISANDPRIOR:20261203T090000Z",
                    "DTSTART:20261203T090000Z",
                ],
            ],
            "2026-11-01T00:00:00Z",
            "RECURRENCE-ID with a RANGE but THISANDFUTURE is not supported",
        ),
        // A cancelled one needs no times.
        (
            &[
                master,
                &[
                    "RECURRENCE-ID;RANGE=THISANDFUTURE:20261203T090000Z",
                    "STATUS:CANCELLED",
                ],
            ],
            "2026-12-01T10:00:00Z",
            "past",
        ),
        // An override of what is no occurrence any more takes place all the same.
        (
            &[
                master,
                &["RECURRENCE-ID:20270101T090000Z", "DTSTART:20270101T100000Z"],
            ],
            "2026-12-20T00:00:00Z",
            "2027-01-01T10:00Z/2027-01-01T10:00Z",
        ),
        (
            &[master, &["RECURRENCE-ID:20261203T090000Z", "DTSTART:soon"]],
            "2026-11-01T00:00:00Z",
            "DTSTART cannot be read",
        ),
    ];
    for (vevents, now, expected) in cases {
        assert_eq!(&next(vevents, now), expected, "{vevents:?} {now}");
    }
    // A zero-length one counts until it starts; a long one until it ends, cut to a day.
    let zero: &[&[&str]] = &[&["DTSTART:20261201T100000Z"]];
    assert_eq!(
        next(zero, "2026-12-01T10:00:00Z"),
        "2026-12-01T10:00Z/2026-12-01T10:00Z"
    );
    assert_eq!(next(zero, "2026-12-01T10:00:01Z"), "past");
    let long: &[&[&str]] = &[&["DTSTART:20261201T100000Z", "DTEND:20261204T100000Z"]];
    assert_eq!(
        next(long, "2026-12-03T10:00:00Z"),
        "2026-12-01T10:00Z/2026-12-02T10:00Z"
    );
}

#[test]
fn what_an_event_says_is_read() {
    let event = event(
        &[
            &[
                "DTSTART:20261201T100000Z",
                "RRULE:FREQ=WEEKLY",
                "SUMMARY:Budget\\, round",
                "  two",
                "LOCATION: ",
                "STATUS:CONFIRMED",
                "CLASS:X-SECRET",
                "TRANSP:TRANSPARENT",
                "CATEGORIES:Work,Te\\,ams",
                "CATEGORIES: Private ,",
                "ORGANIZER;CN=Ann:MAILTO:Ann@Example.org",
                "ATTENDEE:mailto:ann@example.org",
                "ATTENDEE;EMAIL=Bob@example.org:urn:uuid:1",
                "ATTENDEE:mailto:",
                "DTSTAMP:20260101T000000Z",
                "LAST-MODIFIED:20260102T000000Z",
                "SEQUENCE:3",
                "X-MEETBRIDGE-MEETING:v1.opt-out",
                "DESCRIPTION;ALTREP=\"data:text/html,%3Ca href=%22https://zoom.us/j/4%22%3E\":see",
                " \\n<https://zoom.us/j/1>",
                "CONFERENCE;VALUE=URI:https://zoom.us/j/2",
                "X-GOOGLE-CONFERENCE:https://meet.google.com/abc-defg-hij",
                "BEGIN:VALARM",
                "DESCRIPTION:https://zoom.us/j/3",
                "SUMMARY:alarm",
                "END:VALARM",
            ],
            &[
                "RECURRENCE-ID:20261208T100000Z",
                "DTSTART:20261208T110000Z",
                "SUMMARY:Another",
                "STATUS:CANCELLED",
                "URL:https://teams.microsoft.com/meet/1?p=2",
                "LOCATION:Here",
                "CATEGORIES:Late",
                "ATTENDEE:mailto:carl@example.org",
                "ATTENDEE:mailto:ann@example.org",
                "LAST-MODIFIED:20260103T000000Z",
                "SEQUENCE:2",
            ],
        ],
        "2026-11-23T12:00:00Z",
    );
    assert_eq!(event.summary.as_deref(), Some("Budget, round two"));
    assert_eq!(event.location.as_deref(), Some(" "));
    assert!(event.recurring && event.transparent && !event.cancelled && !event.all_day);
    assert_eq!(event.class, Class::Private);
    assert_eq!(event.categories, ["Work", "Te,ams", "Private", "Late"]);
    assert_eq!(event.organizer.as_deref(), Some("ann@example.org"));
    assert_eq!(
        event.attendees,
        ["ann@example.org", "bob@example.org", "carl@example.org"]
    );
    assert_eq!(event.stamped, Some(at("2026-01-01T00:00:00Z")));
    assert_eq!(event.last_modified, Some(at("2026-01-03T00:00:00Z")));
    assert_eq!(event.sequence, 3);
    let [master, other] = event.components.as_slice() else {
        panic!("{:?}", event.components);
    };
    assert!(!master.is_override && !master.cancelled && master.location_empty && master.url_absent);
    assert!(other.is_override && other.cancelled && !other.location_empty && !other.url_absent);
    assert_eq!((&master.mark, &other.mark), (&Some(Mark::OptOut), &None));
    let link = |place, provider, url: &str| FoundLink {
        place,
        provider,
        url: url.to_owned(),
    };
    assert_eq!(
        master.links,
        [
            link(Place::AltRep, Provider::Zoom, "https://zoom.us/j/4"),
            link(Place::Description, Provider::Zoom, "https://zoom.us/j/1"),
            link(Place::Conference, Provider::Zoom, "https://zoom.us/j/2"),
            link(
                Place::Other,
                Provider::Meet,
                "https://meet.google.com/abc-defg-hij"
            ),
        ]
    );
    let teams = link(
        Place::Url,
        Provider::Teams,
        "https://teams.microsoft.com/meet/1?p=2",
    );
    assert_eq!(other.links, [teams]);
}

#[test]
fn a_broken_event_hides_no_other() {
    let text = "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nSUMMARY:no uid\nEND:VEVENT\n\
                BEGIN:VEVENT\nUID:open\nDTSTART:20261201T100000Z\n\
                BEGIN:VEVENT\nUID:good\nDTSTART:20261201T100000Z\nEND:VEVENT\n\
                BEGIN:VEVENT\nUID:bad\nDTSTART:x\nrubbish\nEND:VEVENT\n\
                BEGIN:VTODO\nUID:todo\nEND:VTODO\nEND:VCALENDAR\n";
    let reading = reading(text, "2026-11-23T12:00:00Z");
    let shown: Vec<_> = reading
        .events
        .iter()
        .map(|event| (event.uid.as_str(), event.fault.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(
        shown,
        [
            ("open", "its END:VEVENT is missing"),
            ("good", ""),
            ("bad", "DTSTART cannot be read"),
        ]
    );
    let lines: Vec<_> = reading.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [3, 6, 16], "{:?}", reading.faults);
    assert_eq!(reading.faults[0].what, "an event with no UID");
}

#[test]
fn a_fault_names_the_line_it_is_about() {
    // The first VEVENT begins on line 3, its third line is line 5; of two, the second on line 8.
    let cases: &[(&[&[&str]], &str)] = &[
        (&[&["SUMMARY:x", "DTSTART:20261201T100000Z"]], "3"),
        (&[&["SUMMARY:x"]], "3 it has no DTSTART"),
        (
            &[&["SUMMARY:folded", "  twice", "DTSTART:tomorrow"]],
            "7 DTSTART cannot be read",
        ),
        (
            &[&[
                "DTSTART:20261201T100000Z",
                "EXDATE;TZID=Nowhere:20261201T100000",
            ]],
            "6 the time zone \"Nowhere\" is not understood",
        ),
        (
            &[&["DTSTART:20261201T100000Z", "RDATE:20261202T100000Z/P"]],
            "6 RDATE cannot be read",
        ),
        (
            &[&["DTSTART:20261201T100000Z", "DTSTART:20261202T100000Z"]],
            "6 it has two different DTSTART",
        ),
        (
            &[&["DTSTART:20261201T100000Z", "DURATION:1h"]],
            "6 DURATION cannot be read",
        ),
        (
            &[&["DTSTART:20261201T100000Z", "UID:other"]],
            "6 it has two UIDs",
        ),
        (
            &[&["DTSTART:20261201T100000Z", "SUMMARY:x", "RRULE:FREQ=NEVER"]],
            "7 the recurrence rule cannot be read",
        ),
        (
            &[&["DTSTART:20260101T100000Z", "SUMMARY:x", "EXRULE:FREQ=NEVER"]],
            "7 the recurrence rule cannot be read",
        ),
        (
            &[
                &[
                    "DTSTART:20260101T100000Z",
                    "RRULE:FREQ=SECONDLY;COUNT=900000000",
                ],
                &["RECURRENCE-ID:20260101T100001Z", "DTSTART:20260101T100001Z"],
            ],
            "6 the recurrence rule takes too long to follow",
        ),
        (
            &[
                &["DTSTART:20261201T100000Z", "SUMMARY:x"],
                &["RECURRENCE-ID:20261202T100000Z", "DTSTART:soon"],
            ],
            "11 DTSTART cannot be read",
        ),
        (
            &[
                &["DTSTART:20261201T100000Z", "SUMMARY:x"],
                &["DTSTART:20261203T100000Z"],
            ],
            "8 the UID is used by two events",
        ),
    ];
    for (vevents, expected) in cases {
        let event = event(vevents, "2026-11-23T12:00:00Z");
        let told = format!("{} {}", event.line, event.fault.unwrap_or_default());
        assert_eq!(told.trim(), *expected, "{vevents:?}");
    }
}

#[test]
fn the_calendar_speaks_for_its_events() {
    let text = |head: &str| {
        format!(
            "BEGIN:VCALENDAR\r\n{head}\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTART:20261201T100000Z\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let cases = [
        ("VERSION:2.0", false, None),
        ("VERSION:2.0\r\nMETHOD:CANCEL", true, None),
        ("VERSION:2.0\r\nMETHOD:REQUEST", false, None),
        ("VERSION:1.0", false, Some("vCalendar 1.0 is not supported")),
    ];
    for (head, cancelled, fault) in cases {
        let reading = reading(&text(head), "2026-11-23T12:00:00Z");
        let event = &reading.events[0];
        assert_eq!(
            (event.cancelled, event.fault.as_deref()),
            (cancelled, fault),
            "{head}"
        );
    }
    let status = ["DTSTART:20261201T100000Z", "STATUS:cancelled"];
    assert!(event(&[&status], "2026-11-23T12:00:00Z").cancelled);
}

#[test]
fn a_calendar_behind_a_byte_order_mark_speaks_for_its_events() {
    let calendar = |head: &str, uid: &str| {
        format!(
            "\u{feff}BEGIN:VCALENDAR\r\n{head}\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
             DTSTART:20261201T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let text = calendar("VERSION:2.0", "plain")
        + &calendar("METHOD:CANCEL", "cancelled")
        + &calendar("VERSION:1.0", "old").to_lowercase();
    let reading = reading(&text, "2026-11-23T12:00:00Z");
    assert!(reading.faults.is_empty(), "{:?}", reading.faults);
    let told = reading.events.iter();
    let told: Vec<_> = told
        .map(|event| (event.uid.as_str(), event.cancelled, event.fault.as_deref()))
        .collect();
    let old = Some("vCalendar 1.0 is not supported");
    assert_eq!(
        told,
        [
            ("plain", false, None),
            ("cancelled", true, None),
            ("old", false, old)
        ]
    );
}

#[test]
fn a_cancelling_calendar_cancels_what_is_in_it_alone() {
    let vevent = |lines: &str| format!("BEGIN:VEVENT\r\nUID:u\r\n{lines}END:VEVENT\r\n");
    let text = |method: &str, vevents: &str| {
        format!("BEGIN:VCALENDAR\r\nMETHOD:{method}\r\n{vevents}END:VCALENDAR\r\n")
    };
    let master = vevent("DTSTART:20261201T100000Z\r\nRRULE:FREQ=DAILY;COUNT=2\r\n");
    let other = |day: u32| {
        vevent(&format!(
            "RECURRENCE-ID:2026120{day}T100000Z\r\nDTSTART:2026120{day}T110000Z\r\n"
        ))
    };
    let bare = vevent("RECURRENCE-ID:20261201T100000Z\r\n");
    let cases = [
        // One occurrence is cancelled, the series goes on.
        (
            text("PUBLISH", &master) + &text("CANCEL", &other(1)),
            false,
            "2 10:00",
        ),
        // A cancellation need not say when the occurrence would have been (RFC 5546, 3.2.5).
        (
            text("PUBLISH", &master) + &text("CANCEL", &bare),
            false,
            "2 10:00",
        ),
        (
            text("CANCEL", &other(1)) + &text("PUBLISH", &other(2)),
            false,
            "2 11:00",
        ),
        (text("CANCEL", &(other(1) + &other(2))), true, "past"),
        (
            text("CANCEL", &master) + &text("PUBLISH", &other(1)),
            true,
            "1 11:00",
        ),
    ];
    for (text, cancelled, expected) in cases {
        let reading = reading(&text, "2026-11-23T12:00:00Z");
        let event = &reading.events[0];
        let next = match &event.next {
            Next::At(span) => span.start.format("%-d %H:%M").to_string(),
            Next::Past => "past".to_owned(),
            Next::Unknown => format!("{:?}", event.fault),
        };
        assert_eq!(
            (event.cancelled, next.as_str()),
            (cancelled, expected),
            "{text}"
        );
        let of_components = event.components.iter().map(|one| one.cancelled);
        assert!(of_components.into_iter().any(|one| one), "{text}");
    }
}

#[test]
fn the_digests_follow_what_they_are_of() {
    let digests = |lines: &[&str]| {
        let event = event(&[lines], "2026-11-23T12:00:00Z");
        (event.schedule, event.content)
    };
    let plain = digests(&["DTSTART:20261201T100000Z", "SUMMARY:x"]);
    assert!(plain.0.len() == 16 && plain.1.len() == 16 && plain.0 != plain.1);
    let other_title = digests(&["DTSTART:20261201T100000Z", "SUMMARY:y"]);
    assert!(other_title.0 == plain.0 && other_title.1 != plain.1);
    let folded = digests(&["DTSTART:202612", " 01T100000Z", "SUMMARY:x"]);
    assert!(folded.0 == plain.0 && folded.1 != plain.1);
    for more in [
        "DTEND:20261201T110000Z",
        "STATUS:CANCELLED",
        "RRULE:FREQ=DAILY",
        "EXDATE:20261201T100000Z",
    ] {
        let changed = digests(&["DTSTART:20261201T100000Z", "SUMMARY:x", more]);
        assert!(changed.0 != plain.0 && changed.1 != plain.1, "{more}");
    }
}

#[test]
fn too_many_dates_are_refused() {
    let list = "20261201T100000Z,".repeat(guard::MAX_DATES);
    let line = format!("RDATE:{list}20261202T100000Z");
    let said = next(
        &[&["DTSTART:20261201T100000Z", &line]],
        "2026-11-23T12:00:00Z",
    );
    assert_eq!(said, "it has more than 10000 dates");
}

proptest::proptest! {
    #[test]
    fn nothing_panics(lines in proptest::collection::vec(
        "(BEGIN:VEVENT|END:VEVENT|UID:[ab]|DTSTART(;TZID=Europe/Berlin|;VALUE=DATE)?:[0-9]{8}(T[0-2][0-9]{5}Z?)?\
         |DTEND:.{0,12}|DURATION:-?P[0-9]{0,19}[DWTHMS]{0,3}|RRULE:FREQ=(DAILY|YEARLY);?.{0,20}|RDATE:[0-9T,]{0,40}\
         |EXDATE:.{0,20}|RECURRENCE-ID:[0-9]{8}T[0-9]{6}|LOCATION:.{0,20}|DESCRIPTION:(https?://.{0,30})*|.{0,30})",
        0..40,
    ), now in proptest::num::i64::ANY) {
        let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\n{}\n", lines.join("\n"));
        let document = Document::parse(text.as_bytes()).unwrap();
        let now = DateTime::from_timestamp(now % 8_000_000_000_000, 0).unwrap();
        let reading = read(&document, BERLIN, now);
        for event in reading.events {
            proptest::prop_assert_eq!(event.fault.is_some(), event.next == Next::Unknown);
        }
    }
}

#[test]
fn a_property_for_teams_vouches_for_its_url_and_no_other() {
    let links = |lines: &[&str]| -> Vec<(Place, Provider, String)> {
        let event = event(&[lines], "2026-12-01T00:00:00Z");
        let links = event.components.into_iter().flat_map(|one| one.links);
        links
            .map(|link| (link.place, link.provider, link.url))
            .collect()
    };
    let url = "https://join.sovereign.example/1";
    let property = |value: &str| format!("X-MICROSOFT-SKYPETEAMSMEETINGURL:{value}");
    let found = links(&[
        "DTSTART:20261208T110000Z",
        "DESCRIPTION:see https://join.sovereign.example/1\\, not https://join.sovereign.example/12",
        "URL:https://join.sovereign.example/12",
        "CONFERENCE;VALUE=URI:https://join.sovereign.example/1",
        &property(url),
    ]);
    let teams = |place| (place, Provider::Teams, url.to_owned());
    let places = [Place::Description, Place::Conference, Place::SkypeTeams];
    assert_eq!(found, places.map(teams));

    let zoom = "https://zoom.us/j/1";
    let found = links(&["DTSTART:20261208T110000Z", &property(zoom)]);
    assert_eq!(
        found,
        [(Place::SkypeTeams, Provider::Zoom, zoom.to_owned())]
    );
    for none in ["", "see above", "tel:+49", "https://"] {
        assert_eq!(links(&["DTSTART:20261208T110000Z", &property(none)]), []);
    }
}

#[test]
fn a_web_address_alone_may_be_a_join_url() {
    let unlisted = |lines: &[&str]| {
        let start = ["DTSTART:20261208T110000Z"];
        let lines = [&start, lines].concat();
        let mut event = event(&[&lines], "2026-12-01T00:00:00Z");
        event.components.remove(0).unlisted
    };
    let url = "https://join.sovereign.example/1";
    assert_eq!(unlisted(&["URL:https://join.sovereign.example/1"]), [url]);
    let both = [
        "LOCATION: https://join.sovereign.example/1",
        "URL:http://x/",
    ];
    assert_eq!(unlisted(&both), [url, "http://x/"]);
    let vouched = "X-MICROSOFT-SKYPETEAMSMEETINGURL:https://join.sovereign.example/1";
    assert_eq!(unlisted(&[vouched, both[0]]), [""; 0]);
    for none in [
        "LOCATION:Room 7",
        "LOCATION:at https://join.sovereign.example/1",
        "URL:https://teams.microsoft.com/l/meetup-join/1",
        "URL:https://zoom.us/j/1",
        "DESCRIPTION:https://join.sovereign.example/1",
    ] {
        assert_eq!(unlisted(&[none]), [""; 0], "{none}");
    }
}

#[test]
fn only_a_few_urls_are_vouched_for() {
    let urls: Vec<String> = (0..20).map(|n| format!("https://h{n}.example/x")).collect();
    let properties = urls
        .iter()
        .map(|url| format!("X-MICROSOFT-SKYPETEAMSMEETINGURL:{url}"));
    let lines: Vec<String> = properties
        .chain(["DTSTART:20261208T110000Z".to_owned()])
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(
        event(&[&lines], "2026-12-01T00:00:00Z").components[0]
            .links
            .len(),
        4
    );
}

#[test]
fn what_could_not_be_written_is_not_understood() {
    let fault = |lines: &[&str]| event(&[lines], "2026-12-01T00:00:00Z").fault;
    let start = "DTSTART:20261208T110000Z";
    assert_eq!(
        fault(&[start, "DESCRIPTION;ENCODING=quoted-printable:=C3"]).as_deref(),
        Some("its DESCRIPTION is encoded as QUOTED-PRINTABLE")
    );
    assert_eq!(fault(&[start, "DESCRIPTION;ENCODING=8BIT:plain"]), None);
    assert_eq!(
        fault(&[start, "BEGIN:VALARM", "DESCRIPTION:ring"]).as_deref(),
        Some("a component in it has no END")
    );
}

#[test]
fn an_encoded_location_is_not_empty() {
    let empty = |line: &str| {
        let event = event(
            &[&["DTSTART:20261208T110000Z", line]],
            "2026-12-01T00:00:00Z",
        );
        event.components[0].location_empty
    };
    assert!(empty("LOCATION: "));
    assert!(empty("LOCATION;ENCODING=8BIT:"));
    assert!(!empty("LOCATION;ENCODING=QUOTED-PRINTABLE:"));
}

/// A zone that is UTC+3, in summer UTC+5.
const OWN: &str = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n\
    BEGIN:STANDARD\r\nDTSTART:20001029T030000\r\nTZOFFSETFROM:+0500\r\nTZOFFSETTO:+0300\r\n\
    RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r\nEND:STANDARD\r\n\
    BEGIN:DAYLIGHT\r\nDTSTART:20000326T020000\r\nTZOFFSETFROM:+0300\r\nTZOFFSETTO:+0500\r\n\
    RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n";

/// The next occurrence in a calendar that has these lines before and after its one event.
fn next_within(before: &str, event: &str, after: &str, now: &str) -> String {
    let event = event.replace(' ', "\r\n");
    let reading = reading(
        &format!(
            "BEGIN:VCALENDAR\r\n{before}BEGIN:VEVENT\r\nUID:u\r\n{event}\r\nEND:VEVENT\r\n{after}END:VCALENDAR\r\n"
        ),
        now,
    );
    match &reading.events[0].next {
        Next::At(span) => [span.start, span.end]
            .map(|at| at.format("%Y-%m-%dT%H:%MZ").to_string())
            .join("/"),
        odd => format!("{odd:?} {:?}", reading.events[0].fault),
    }
}

#[test]
fn the_files_own_zone_counts_wherever_it_stands() {
    let cases = [
        (
            "DTSTART;TZID=Europe/Berlin:20260101T120000 DURATION:PT1H",
            "2026-01-01T09:00Z/2026-01-01T10:00Z",
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20260701T120000 DURATION:PT1H",
            "2026-07-01T07:00Z/2026-07-01T08:00Z",
        ),
        // Over the change, which takes two hours: a day is one by the calendar, 24 hours are 24.
        (
            "DTSTART;TZID=Europe/Berlin:20260328T120000 DURATION:P1D",
            "2026-03-28T09:00Z/2026-03-29T07:00Z",
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20260328T120000 DURATION:PT23H",
            "2026-03-28T09:00Z/2026-03-29T08:00Z",
        ),
        // In the gap, in the fold, and every day at noon on both sides of the change.
        (
            "DTSTART;TZID=Europe/Berlin:20260329T033000 DURATION:PT1H",
            "2026-03-29T00:30Z/2026-03-29T01:30Z",
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20261025T020000 DURATION:PT1H",
            "2026-10-24T21:00Z/2026-10-24T22:00Z",
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20251201T120000 DURATION:PT1H RRULE:FREQ=DAILY",
            "2026-01-01T09:00Z/2026-01-01T10:00Z",
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20250701T120000 DURATION:PT1H RRULE:FREQ=DAILY",
            "2026-01-01T09:00Z/2026-01-01T10:00Z",
        ),
        // Another name means what it always means.
        (
            "DTSTART;TZID=Europe/Paris:20260101T120000 DURATION:PT1H",
            "2026-01-01T11:00Z/2026-01-01T12:00Z",
        ),
    ];
    for (event, expected) in cases {
        let now = "2026-01-01T00:00:00Z";
        assert_eq!(next_within(OWN, event, "", now), expected, "{event}");
        assert_eq!(next_within("", event, OWN, now), expected, "{event}, after");
    }
}

#[test]
fn floating_times_and_days_are_in_the_zone_of_the_calendar() {
    let ours = "X-WR-TIMEZONE:America/New_York\r\n";
    let cases = [
        (
            "",
            "DTSTART:20260101T120000",
            "2026-01-01T11:00Z/2026-01-01T11:00Z",
        ),
        (
            ours,
            "DTSTART:20260101T120000",
            "2026-01-01T17:00Z/2026-01-01T17:00Z",
        ),
        (
            ours,
            "DTSTART:20260101T120000 DTEND:20260101T130000",
            "2026-01-01T17:00Z/2026-01-01T18:00Z",
        ),
        (
            ours,
            "DTSTART;VALUE=DATE:20260101",
            "2026-01-01T05:00Z/2026-01-02T05:00Z",
        ),
        (
            "X-WR-TIMEZONE:Eastern Standard Time\r\n",
            "DTSTART:20260101T120000",
            "2026-01-01T17:00Z/2026-01-01T17:00Z",
        ),
        // What says where it is, is there: also a rule in UTC, which goes by UTC.
        (
            ours,
            "DTSTART:20260101T120000Z",
            "2026-01-01T12:00Z/2026-01-01T12:00Z",
        ),
        (
            ours,
            "DTSTART:20250701T120000Z RRULE:FREQ=DAILY",
            "2026-01-01T12:00Z/2026-01-01T12:00Z",
        ),
        (
            ours,
            "DTSTART;TZID=Europe/Berlin:20260101T120000",
            "2026-01-01T11:00Z/2026-01-01T11:00Z",
        ),
        // One that nobody knows is as none.
        (
            "X-WR-TIMEZONE:nowhere\r\n",
            "DTSTART:20260101T120000",
            "2026-01-01T11:00Z/2026-01-01T11:00Z",
        ),
    ];
    for (before, event, expected) in cases {
        let found = next_within(before, event, "", "2026-01-01T00:00:00Z");
        assert_eq!(found, expected, "{before}{event}");
    }
}
