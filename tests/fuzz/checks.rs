//! What must hold for every input, whatever it is: the bodies of the fuzz targets, which the suite
//! runs on the seeds too. Each panics when a promise is broken.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use meetbridge::ical::block::Show;
use meetbridge::ical::document::Document;
use meetbridge::ical::edit::Edits;
use meetbridge::ical::event::Next;
use meetbridge::ical::read::{Reading, read};
use meetbridge::ical::write::{Attachment, Location, attach, detach, missing, rewrite, verify};
use meetbridge::meeting::{Details, DialIn};
use meetbridge::model::{ExternalId, JoinUrl, MeetingKey, OrganizerId, Uid};

use super::measured;

/// A name and what is checked of an input.
pub(crate) type Check = (&'static str, fn(&[u8]));

/// Every check: the name is that of its fuzz target and of its folder of seeds.
pub(crate) const ALL: [Check; 3] = [("document", document), ("times", times), ("edit", edit)];

const JOIN_URL: &str = "https://teams.microsoft.com/meet/2411234567?p=AbC,dEf;1";

/// Any bytes: every byte is in one line, components nest, and reading ends without a panic.
pub(crate) fn document(bytes: &[u8]) {
    let Ok(document) = measured("parse", bytes.len(), || Document::parse(bytes)) else {
        return;
    };
    let mut at = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    measured("lines", bytes.len(), || {
        for line in document.all_lines() {
            assert_eq!(line.range().start, at, "lines follow each other");
            assert!(line.range().end > at && line.content_range().start == at);
            assert!(line.content_range().end <= line.range().end);
            at = line.range().end;
            let (_, _, _) = (line.name(), line.param("TZID"), line.text());
        }
    });
    assert_eq!(at, bytes.len(), "no byte is left out");
    let components = document.components();
    for component in components {
        let range = &component.range;
        assert!((range.start..=range.end).contains(&component.insert_at));
        if let Some(parent) = component.parent {
            let parent = &components[parent].range;
            assert!(parent.start < range.start && range.end <= parent.end);
        }
    }
    for fault in document.faults() {
        assert!(fault.line > 0 && fault.what.len() < 200);
    }
    reading(&document, bytes.len());
}

/// The lines of a VTIMEZONE, an empty line, the lines of a VEVENT: its next occurrence is found, or it
/// is said why not.
pub(crate) fn times(bytes: &[u8]) {
    let split = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (zone, event) = split.map_or((&b""[..], bytes), |at| bytes.split_at(at));
    let calendar = [
        b"BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VTIMEZONE\nTZID:Fuzz\n",
        zone,
        b"\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:fuzz\n",
        event.trim_ascii_start(),
        b"\nEND:VEVENT\nEND:VCALENDAR\n",
    ]
    .concat();
    if let Ok(document) = Document::parse(&calendar) {
        reading(&document, calendar.len());
    }
}

/// Reads at several times, and holds the answers against each other.
fn reading(document: &Document<'_>, size: usize) {
    let times = [
        DateTime::<Utc>::MIN_UTC,
        DateTime::UNIX_EPOCH,
        at("2026-11-23T12:00:00Z"),
        at("2099-12-31T23:59:59Z"),
        DateTime::<Utc>::MAX_UTC,
    ];
    let readings = times.map(|now| {
        let reading = measured("read", size, || read(document, Tz::Europe__Berlin, now));
        plausible(&reading, now);
        reading
    });
    for (early, late) in readings.iter().zip(readings.iter().skip(1)) {
        assert_eq!(early.events.len(), late.events.len());
        assert_eq!(early.faults, late.faults);
        for (early, late) in early.events.iter().zip(&late.events) {
            assert_eq!(early.uid, late.uid);
            assert_eq!(early.schedule, late.schedule);
            assert_eq!(early.content, late.content);
            match (&early.next, &late.next) {
                (Next::Past, Next::At(_)) => panic!("what is past has a next occurrence later"),
                (Next::At(early), Next::At(late)) => assert!(early.start <= late.start + SLACK),
                _ => {}
            }
        }
    }
    // At its start an occurrence is not past; another may still last.
    let first = readings.iter().flat_map(|reading| &reading.events);
    let first = first.filter_map(|event| match &event.next {
        Next::At(span) => Some((&event.uid, span.start)),
        _ => None,
    });
    for (uid, start) in first.take(3) {
        let again = measured("read", size, || read(document, Tz::Europe__Berlin, start));
        let again = again.events.iter().find(|event| event.uid == *uid);
        match &again.expect("the same events at any time").next {
            Next::At(span) => assert!(span.start <= start + SLACK),
            Next::Past => panic!("an occurrence is past at its start"),
            Next::Unknown => {}
        }
    }
}

/// A series is followed in local time. Where a zone jumps back, instants are in another order.
const SLACK: TimeDelta = TimeDelta::days(2);

fn plausible(reading: &Reading, now: DateTime<Utc>) {
    for fault in &reading.faults {
        assert!(fault.line > 0 && !fault.what.is_empty());
    }
    for event in &reading.events {
        assert_eq!(event.fault.is_some(), event.next == Next::Unknown);
        assert!(!event.components.is_empty() && !event.uid.as_str().is_empty());
        let fault = event.fault.as_deref().unwrap_or("");
        assert!(fault.len() < 1000 && !fault.contains(char::is_control));
        if let Next::At(span) = &event.next {
            assert!(span.start <= span.end && span.end - span.start <= TimeDelta::hours(24));
            assert!(
                span.start >= now || span.end > span.start,
                "neither past nor empty"
            );
        }
    }
}

/// Any bytes: a link is only added, once, and can be taken out without a trace but new stamps; also when
/// it was rewritten, which is done once, too.
pub(crate) fn edit(bytes: &[u8]) {
    let Ok(document) = Document::parse(bytes) else {
        return;
    };
    let join_url = JoinUrl::new(JOIN_URL);
    let link = Link::new();
    let attachment = link.attachment(&join_url);
    let (after, written) = measured("attach", bytes.len(), || attached(&document, &attachment));
    // A mark of ours that says something else gives way to the new one.
    let marked = document
        .all_lines()
        .any(|line| line.is("X-MEETBRIDGE-MEETING"));
    assert!(marked || verify(&document, &after), "only added to");
    let Ok(edited) = Document::parse(&after) else {
        // The lines of the link have taken the file over a limit.
        return;
    };
    assert_eq!(document.components().len(), edited.components().len());
    assert_eq!(document.faults().len(), edited.faults().len());
    let events = read(&edited, Tz::UTC, now()).events;
    let mut linked = events.iter().filter(|event| written.contains(&event.uid));
    assert!(linked.all(|event| missing(event, &join_url, Location::Url).is_empty()));
    let (again, _) = measured("attach", after.len(), || attached(&edited, &attachment));
    assert!(again == after, "attaching twice writes once");
    let other = Attachment {
        show: &[Show::TollNumbers, Show::Chat],
        language: "ja",
        ..attachment
    };
    let anew = measured("rewrite", after.len(), || rewritten(&edited, &other));
    let renewed = Document::parse(&anew);
    if let Ok(renewed) = &renewed {
        let events = read(renewed, Tz::UTC, now()).events;
        let mut linked = events.iter().filter(|event| written.contains(&event.uid));
        assert!(linked.all(|event| missing(event, &join_url, Location::Url).is_empty()));
        assert!(
            rewritten(renewed, &other) == anew,
            "rewriting twice writes once"
        );
    }
    if holds_remains(&document) {
        return;
    }
    for linked in [Ok(edited), renewed].into_iter().flatten() {
        let size = linked.bytes().len();
        let detached = measured("detach", size, || detached(&linked, &join_url));
        let restored = Document::parse(&detached).expect("what was taken out makes it smaller");
        assert!(
            without_stamps(&document) == without_stamps(&restored),
            "detaching restores"
        );
    }
}

/// Something in it is written as we write it, and may well go with the link.
fn holds_remains(document: &Document<'_>) -> bool {
    // In an HTML twin it may be written in many ways.
    let events = read(document, Tz::UTC, now()).events;
    let mut links = events
        .iter()
        .flat_map(|event| &event.components)
        .flat_map(|one| &one.links);
    if links.any(|link| link.url == JOIN_URL) {
        return true;
    }
    document.all_lines().any(|line| {
        line.is("X-MEETBRIDGE-MEETING")
            || line.is("CONFERENCE") && line.param("LABEL").is_some()
            || line.text().contains(JOIN_URL)
            || line.value().contains(JOIN_URL)
    })
}

/// The bytes, what stands on the lines of DTSTAMP and LAST-MODIFIED apart.
fn without_stamps(document: &Document<'_>) -> Vec<u8> {
    let mut edits = Edits::new();
    for line in document.all_lines() {
        if line.is("DTSTAMP") || line.is("LAST-MODIFIED") {
            edits.remove(line.content_range());
        }
    }
    edits.apply(document.bytes())
}

/// With the link in every event that takes it, and the UIDs of those events.
fn attached(document: &Document<'_>, attachment: &Attachment<'_>) -> (Vec<u8>, HashSet<Uid>) {
    let mut edits = Edits::new();
    let mut written = HashSet::new();
    for event in read(document, Tz::UTC, now()).events {
        if let Ok(edit) = attach(document, &event, attachment, None, Some(now())) {
            edits.merge(edit);
            written.insert(event.uid);
        }
    }
    (edits.apply(document.bytes()), written)
}

/// With the link in every event as another configuration would write it.
fn rewritten(document: &Document<'_>, attachment: &Attachment<'_>) -> Vec<u8> {
    let mut edits = Edits::new();
    for event in read(document, Tz::UTC, now()).events {
        if let Ok(edit) = rewrite(document, &event, attachment, Some(now())) {
            edits.merge(edit);
        }
    }
    edits.apply(document.bytes())
}

fn detached(document: &Document<'_>, join_url: &JoinUrl) -> Vec<u8> {
    let mut edits = Edits::new();
    for event in read(document, Tz::UTC, now()).events {
        if let Ok(edit) = detach(document, &event, join_url) {
            edits.merge(edit);
        }
    }
    edits.apply(document.bytes())
}

struct Link {
    key: MeetingKey,
    details: Details,
}

impl Link {
    fn new() -> Self {
        Self {
            key: MeetingKey {
                tenant: "contoso.example".to_owned(),
                organizer: OrganizerId::new("11111111-1111-1111-1111-111111111111")
                    .expect("a GUID"),
                external_id: ExternalId::stored("fuzz"),
            },
            details: Details {
                meeting_id: Some("241 123 456 789".to_owned()),
                passcode: Some("abcDEF".to_owned()),
                dial_in: Some(DialIn {
                    dialin_url: Some("https://dialin.teams.microsoft.com/8d9?id=1".to_owned()),
                    conference_id: Some("123 456 789".to_owned()),
                    toll_numbers: vec!["+49 69 1234567".to_owned()],
                    ..DialIn::default()
                }),
                ..Details::default()
            },
        }
    }

    fn attachment<'a>(&'a self, join_url: &'a JoinUrl) -> Attachment<'a> {
        Attachment {
            key: &self.key,
            generation: 0,
            join_url,
            details: &self.details,
            show: &Show::DEFAULT,
            language: "de",
            location: Location::Url,
        }
    }
}

fn now() -> DateTime<Utc> {
    at("2026-11-23T12:00:00Z")
}

fn at(time: &str) -> DateTime<Utc> {
    time.parse().expect("a time")
}
