use chrono::TimeZone as _;

use super::super::understand::Planned;
use super::*;
use crate::ical::block::Show;
use crate::meeting::{Details, Meeting};
use crate::model::{CalendarName, ExternalId, JoinUrl, MeetingId, OrganizerId, ResourceId};
use crate::plan::Decided;
use crate::state::{MeetingRecord, Phase};

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 2, 8, 0, 0).unwrap()
}

fn context() -> EditContext {
    EditContext {
        tenant: "contoso.example".to_owned(),
        show: Show::DEFAULT.to_vec(),
        language: "en-US".to_owned(),
        location: write::Location::Url,
        drops: BTreeSet::new(),
        zone: chrono_tz::UTC,
        derived: false,
        now: now(),
    }
}

fn calendar(uids: &[&str]) -> Vec<u8> {
    let event = |uid: &&str| {
        format!("BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART:20261120T090000Z\r\nEND:VEVENT\r\n")
    };
    let events: String = uids.iter().map(event).collect();
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n").into_bytes()
}

/// Every event, with a meeting of its own.
fn ready(bytes: &[u8]) -> Vec<Ready> {
    let events = read::read(&Document::parse(bytes).unwrap(), chrono_tz::UTC, now()).events;
    let ready = |event: Event| {
        let url = format!("https://teams.microsoft.com/meet/{}", event.uid.as_str());
        let meeting = MeetingRecord {
            organizer: OrganizerId::new("11111111-1111-1111-1111-111111111111").unwrap(),
            external_id: ExternalId::of(&event.uid, 0),
            uid: event.uid.clone(),
            meeting: Meeting {
                id: Some(MeetingId::OnlineMeeting("id".to_owned())),
                join_url: JoinUrl::new(url),
                span: None,
                subject: None,
                expires: None,
                details: Details::default(),
            },
            schedule: event.schedule.clone(),
            settings: Default::default(),
            created: now(),
        };
        let planned = Planned {
            resource: ResourceId::new("1.ics"),
            event,
            decided: Decided::default(),
            link: None,
            former: None,
            moving: false,
            generation: 0,
            meeting: Some(meeting.clone()),
            adopted: false,
            unchanged_since: now(),
            uid: Default::default(),
        };
        Ready {
            planned,
            meeting,
            change: Change::Complete { replaces: None },
            is_pending: false,
        }
    };
    events.into_iter().map(ready).collect()
}

fn edited(bytes: &[u8], ready: &[Ready]) -> Edited {
    let link = |one: &Ready| Link {
        calendar: CalendarName::new("team"),
        resource: ResourceId::new("a.ics"),
        uid: one.planned.event.uid.clone(),
        organizer: one.meeting.organizer.clone(),
        external_id: one.meeting.external_id.clone(),
        generation: 0,
        phase: Phase::Intended,
        before: one.planned.event.content.clone(),
        attempts: 0,
        written: one.meeting.created,
        ends: None,
        gone: None,
        cancelled: None,
        closed: false,
        former: false,
        unmarked: false,
    };
    let document = Document::parse(bytes);
    edit_bytes(
        document,
        ready,
        ready.iter().map(link).collect(),
        &context(),
    )
}

fn uids(links: &[Link]) -> Vec<&str> {
    links.iter().map(|link| link.uid.as_str()).collect()
}

#[test]
fn an_event_that_lacks_nothing_is_whole_and_no_write_of_it_follows() {
    let before = calendar(&["a"]);
    let both = calendar(&["a", "b"]);
    let first = edited(&before, &ready(&before));
    assert_eq!(uids(&first.written), ["a"]);
    let linked = first.bytes.unwrap();

    let again = edited(&linked, &ready(&linked));
    assert_eq!(again.bytes, None);
    assert_eq!(uids(&again.whole), ["a"]);
    assert_eq!((again.written.len(), again.unfit.len()), (0, 0));

    // Its neighbour is written all the same.
    let one = String::from_utf8(linked).unwrap();
    let (_, rest) = std::str::from_utf8(&both)
        .unwrap()
        .rsplit_once("BEGIN:VEVENT")
        .unwrap();
    let mixed = one.replace("END:VCALENDAR\r\n", &format!("BEGIN:VEVENT{rest}"));
    let mixed = edited(mixed.as_bytes(), &ready(mixed.as_bytes()));
    assert!(mixed.bytes.is_some());
    assert_eq!(uids(&mixed.whole), ["a"]);
    assert_eq!(uids(&mixed.written), ["b"]);
}

#[test]
fn a_link_that_does_not_read_back_keeps_no_neighbour_from_its_own() {
    let before = calendar(&["a", "b", "c"]);
    let mut ready = ready(&before);
    // Another event than the one that stands there.
    ready[1].planned.event.uid = Uid::new("elsewhere").unwrap();
    let edited = edited(&before, &ready);
    assert_eq!(uids(&edited.written), ["a", "c"]);
    let [(unfit, why)] = &edited.unfit[..] else {
        panic!("{:?}", edited.unfit);
    };
    assert_eq!(unfit.as_str(), "elsewhere");
    assert!(why.contains("could not be read back"));
    let after = String::from_utf8(edited.bytes.unwrap()).unwrap();
    assert_eq!(after.matches("X-MEETBRIDGE-MEETING").count(), 2);
}
