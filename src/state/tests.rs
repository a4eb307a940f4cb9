use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::{DateTime, Days, Duration, NaiveDate, Utc};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::calendar::{Notes as _, SyncToken};
use crate::ical::event::Place;
use crate::meeting::{Applied, Details, DialIn, Meeting};
use crate::model::{CalendarName, ExternalId, JoinUrl, MeetingId, OrganizerId, ResourceId};
use crate::model::{Span, Uid, Version};

// What is put comes back

#[test]
fn every_record_comes_back_as_it_was_put() {
    let home = Home::new();
    let state = home.open();
    for &text in ODD_TEXTS {
        let calendar = CalendarName::new(text);

        let resource = ResourceRecord {
            id: ResourceId::new(text),
            version: Version::new(text),
            first_seen: at(1),
            due: Some(at(-1)),
            outcome: vec![(text.to_owned(), u32::MAX), (String::new(), 0)],
        };
        state.put_resource(&calendar, &resource).unwrap();
        assert_eq!(
            state.resource(&calendar, &resource.id).unwrap(),
            Some(resource.clone()),
            "{text:?}"
        );
        assert_eq!(state.resources(&calendar).unwrap(), [resource]);

        let link = Link {
            calendar: calendar.clone(),
            resource: ResourceId::new(text),
            uid: Uid::new(format!("u{text}")).unwrap(),
            organizer: organizer(1),
            external_id: ExternalId::stored(text),
            generation: u8::MAX,
            phase: Phase::Intended,
            before: text.to_owned(),
            attempts: u32::MAX,
            written: at(7),
            ends: Some(at(8)),
            gone: Some(Gone {
                since: at(9),
                confirmed: true,
            }),
            cancelled: Some(at(10)),
            closed: true,
            former: false,
            unmarked: true,
        };
        state.put_links(std::slice::from_ref(&link)).unwrap();
        assert_eq!(state.links(&calendar, &link.resource).unwrap(), [link]);

        let meeting = MeetingRecord {
            organizer: organizer(1),
            external_id: ExternalId::stored(text),
            uid: Uid::new(format!("u{text}")).unwrap(),
            meeting: full_meeting(text),
            schedule: text.to_owned(),
            settings: Applied::stored("chat=012345"),
            created: at(3),
        };
        state.put_meeting(&meeting).unwrap();
        assert_eq!(
            state.meeting(&organizer(1), &meeting.external_id).unwrap(),
            Some(meeting.clone())
        );
        assert_eq!(
            state.meeting_with_url(&meeting.meeting.join_url).unwrap(),
            Some(meeting)
        );

        let record = CalendarRecord {
            first_pass_done: true,
            consented: true,
            rules: text.to_owned(),
            frozen: Some(Frozen {
                since: at(4),
                why: text.to_owned(),
            }),
            last_pass: Some(at(5)),
            failing: Some(text.to_owned()),
            needs_person: true,
            token: Some(SyncToken::new(text)),
            kept: Kept::Lesson {
                resource: ResourceId::new(text),
                version: Version::new(text),
            },
        };
        state.put_calendar(&calendar, &record).unwrap();
        assert_eq!(state.calendar(&calendar).unwrap(), record);

        state.put_window(text, at(6)).unwrap();
        assert!(state.windows().unwrap().contains(&(text.to_owned(), at(6))));
    }
    assert_eq!(state.overview().unwrap().len(), ODD_TEXTS.len());
}

#[test]
fn absent_values_come_back_absent() {
    let home = Home::new();
    let state = home.open();
    let bare = ResourceRecord {
        due: None,
        outcome: vec![],
        ..resource("a", "1")
    };
    state.put_resource(&team(), &bare).unwrap();
    assert_eq!(state.resources(&team()).unwrap(), [bare]);

    let bare = MeetingRecord {
        meeting: Meeting {
            id: None,
            join_url: JoinUrl::new("https://x"),
            span: None,
            subject: None,
            expires: None,
            details: Details::default(),
        },
        ..meeting_record("a")
    };
    state.put_meeting(&bare).unwrap();
    let found = state.meeting(&bare.organizer, &bare.external_id).unwrap();
    assert_eq!(found, Some(bare));

    assert_eq!(
        state.calendar(&team()).unwrap(),
        CalendarRecord::default(),
        "a calendar that was never put"
    );
    state
        .put_calendar(&team(), &CalendarRecord::default())
        .unwrap();
    assert_eq!(state.calendar(&team()).unwrap(), CalendarRecord::default());
}

#[test]
fn what_a_calendar_keeps_comes_back() {
    let home = Home::new();
    let state = home.open();
    let lesson = Kept::Lesson {
        resource: ResourceId::new("a\"b"),
        version: Version::new(""),
    };
    let all = Kept::Known(Place::WRITTEN.into());
    for kept in [lesson, Kept::Known(BTreeSet::new()), all, Kept::Unknown] {
        let record = CalendarRecord {
            kept,
            ..CalendarRecord::default()
        };
        state.put_calendar(&team(), &record).unwrap();
        assert_eq!(state.calendar(&team()).unwrap(), record);
    }
    for odd in ["", "[]", "{\"drops\":[\"nothing\"]}", "{\"lesson\":[1]}"] {
        batch(&state, &format!("UPDATE calendars SET kept = '{odd}'"));
        assert!(state.calendar(&team()).is_err(), "{odd}");
    }
}

#[test]
fn notes_are_kept_by_key_whatever_is_forgotten_and_written_once() {
    let home = Home::new();
    let state = home.open();
    for &text in ODD_TEXTS {
        assert_eq!(state.load(text), None);
        state.store(text, text);
        assert_eq!(state.load(text).as_deref(), Some(text));
    }
    state.store("a", "1");
    state.store("a", "2");
    let before = changes(&state);
    state.store("a", "2");
    assert_eq!(changes(&state), before);
    state.forget_decisions(&team()).unwrap();
    state
        .forget_resource(&team(), &ResourceId::new("a"))
        .unwrap();
    state.resume(&team(), now()).unwrap();
    drop(state);
    assert_eq!(home.open().load("a").as_deref(), Some("2"));
    let looked = State::open_read_only(&home.directory).unwrap().unwrap();
    looked.store("a", "3");
    assert_eq!(looked.load("a").as_deref(), Some("2"), "it only looks");
}

#[test]
fn what_was_never_put_is_not_there() {
    let home = Home::new();
    let state = home.open();
    let id = ResourceId::new("a");
    assert_eq!(state.resources(&team()).unwrap(), []);
    assert_eq!(state.resource(&team(), &id).unwrap(), None);
    assert_eq!(state.links(&team(), &id).unwrap(), []);
    let key = ExternalId::stored("a");
    assert_eq!(state.meeting(&organizer(1), &key).unwrap(), None);
    assert_eq!(
        state.meeting_with_url(&JoinUrl::new("https://x")).unwrap(),
        None
    );
    assert_eq!(state.windows().unwrap(), []);
    assert_eq!(state.overview().unwrap(), []);
    state.forget_resource(&team(), &id).unwrap();
}

#[test]
fn putting_replaces_and_forgetting_leaves_links_and_meetings() {
    let home = Home::new();
    let state = home.open();
    for version in ["1", "2"] {
        state
            .put_resource(&team(), &resource("a", version))
            .unwrap();
    }
    state.put_resource(&team(), &resource("b", "1")).unwrap();
    let other = CalendarName::new("other");
    state.put_resource(&other, &resource("a", "9")).unwrap();
    let both = [resource("a", "2"), resource("b", "1")];
    assert_eq!(state.resources(&team()).unwrap(), both);

    let intended = link("a", "u1", Phase::Intended);
    let seen = Link {
        phase: Phase::Seen,
        attempts: 2,
        ..intended.clone()
    };
    let second = link("a", "u2", Phase::Intended);
    state.put_links(&[intended, second.clone()]).unwrap();
    state.put_links(std::slice::from_ref(&seen)).unwrap();
    state.put_meeting(&meeting_record("u1")).unwrap();

    state
        .forget_resource(&team(), &ResourceId::new("a"))
        .unwrap();
    assert_eq!(state.resources(&team()).unwrap(), [resource("b", "1")]);
    assert_eq!(state.resources(&other).unwrap(), [resource("a", "9")]);
    assert_eq!(
        state.links(&team(), &ResourceId::new("a")).unwrap(),
        [seen, second]
    );
    let key = ExternalId::stored("u1");
    assert!(state.meeting(&organizer(1), &key).unwrap().is_some());
}

#[test]
fn a_meeting_is_found_by_its_new_url_alone() {
    let home = Home::new();
    let state = home.open();
    let old = meeting_record("a");
    let mut new = old.clone();
    new.meeting.join_url = JoinUrl::new("https://example.org/new");
    state.put_meeting(&old).unwrap();
    state.put_meeting(&new).unwrap();
    let find = |m: &MeetingRecord| state.meeting_with_url(&m.meeting.join_url).unwrap();
    assert_eq!(find(&old), None);
    assert_eq!(find(&new), Some(new.clone()));
}

#[test]
fn an_organizers_newest_meetings_come_first() {
    let home = Home::new();
    let state = home.open();
    let at = |n: i64| DateTime::from_timestamp(1_800_000_000 + n, 0).unwrap();
    for (key, whose, made) in [("a", 1, 2), ("b", 1, 3), ("c", 1, 1), ("d", 2, 4)] {
        let record = MeetingRecord {
            organizer: organizer(whose),
            created: at(made),
            ..meeting_record(key)
        };
        state.put_meeting(&record).unwrap();
    }
    let keys = |whose, most| -> Vec<String> {
        let found = state.newest_meetings(&organizer(whose), most).unwrap();
        found
            .iter()
            .map(|record| record.external_id.as_str().to_owned())
            .collect()
    };
    assert_eq!(keys(1, 2), ["b", "a"]);
    assert_eq!(keys(1, 9), ["b", "a", "c"]);
    assert_eq!(keys(3, 9), [""; 0]);
}

#[test]
fn the_same_event_has_one_meeting_per_organizer() {
    let home = Home::new();
    let state = home.open();
    let first = meeting_record("a");
    let second = MeetingRecord {
        organizer: organizer(2),
        schedule: "other".into(),
        ..first.clone()
    };
    state.put_meeting(&first).unwrap();
    state.put_meeting(&second).unwrap();
    for record in [first, second] {
        let found = state.meeting(&record.organizer, &record.external_id);
        assert_eq!(found.unwrap(), Some(record));
    }
}

// Phases

#[test]
fn confirming_moves_written_links_of_that_calendar_except_those_named() {
    let home = Home::new();
    let state = home.open();
    let links = [
        link("a", "u1", Phase::Written),
        link("a", "u2", Phase::Intended),
        link("b", "u3", Phase::Written),
        link("c", "u4", Phase::Seen),
        Link {
            calendar: CalendarName::new("other"),
            ..link("a", "u1", Phase::Written)
        },
        link("gone", "u5", Phase::Written),
    ];
    state.put_links(&links).unwrap();
    let there = ["a", "b", "c"].map(|id| resource(id, "1"));
    state.put_resources(&team(), &there).unwrap();
    let phases = || {
        links.each_ref().map(|l| {
            let found = state.links(&l.calendar, &l.resource).unwrap();
            found.into_iter().find(|f| f.uid == l.uid).unwrap().phase
        })
    };
    use Phase::{Intended as I, Seen as S, Written as W};

    let except = BTreeSet::from([ResourceId::new("b")]);
    assert_eq!(state.confirm_written(&team(), &except, now()).unwrap(), 1);
    assert_eq!(phases(), [S, I, W, S, W, W]);
    assert_eq!(state.confirm_written(&team(), &except, now()).unwrap(), 0);
    let none = BTreeSet::new();
    assert_eq!(state.confirm_written(&team(), &none, now()).unwrap(), 1);
    assert_eq!(phases(), [S, I, S, S, W, W]);
}

#[test]
fn confirming_passes_over_what_a_listing_did_not_compare() {
    let home = Home::new();
    let state = home.open();
    let links = ["due", "forgotten"].map(|id| link(id, "u", Phase::Written));
    state.put_links(&links).unwrap();
    let due = ResourceRecord {
        due: Some(now()),
        ..resource("due", "1")
    };
    state
        .put_resources(&team(), &[due, resource("forgotten", "1")])
        .unwrap();
    let forgotten = ResourceId::new("forgotten");
    state.forget_decision(&team(), &forgotten).unwrap();
    let none = BTreeSet::new();
    assert_eq!(state.confirm_written(&team(), &none, now()).unwrap(), 0);
}

#[test]
fn confirming_one_resource_leaves_the_others_and_writes_once() {
    let home = Home::new();
    let state = home.open();
    let links = [
        link("a", "u1", Phase::Written),
        link("a", "u2", Phase::Intended),
        link("b", "u3", Phase::Written),
    ];
    state.put_links(&links).unwrap();
    let (a, b) = (ResourceId::new("a"), ResourceId::new("b"));
    state.confirm_resource(&team(), &a).unwrap();
    let phases = |id| {
        let links = state.links(&team(), id).unwrap();
        links.into_iter().map(|l| l.phase).collect::<Vec<_>>()
    };
    assert_eq!(phases(&a), [Phase::Seen, Phase::Intended]);
    assert_eq!(phases(&b), [Phase::Written]);
    let before = changes(&state);
    state.confirm_resource(&team(), &a).unwrap();
    assert_eq!(changes(&state), before);
}

#[test]
fn a_forgotten_decision_is_read_again_and_its_vanishing_told() {
    let home = Home::new();
    let state = home.open();
    let both = [resource("a", "1"), resource("b", "1")];
    state.put_resources(&team(), &both).unwrap();
    let record = CalendarRecord {
        token: Some(SyncToken::new("t")),
        ..CalendarRecord::default()
    };
    state.put_calendar(&team(), &record).unwrap();
    let a = ResourceId::new("a");
    state.forget_decision(&team(), &a).unwrap();
    let versions = || {
        let settled = state.settled(&team(), now()).unwrap();
        let mut all: Vec<_> = settled
            .into_iter()
            .map(|(id, version)| format!("{id} {}", version.as_str()))
            .collect();
        all.sort();
        all
    };
    assert_eq!(versions(), ["a ", "b 1"]);
    let before = changes(&state);
    state.forget_decision(&team(), &a).unwrap();
    state
        .forget_decision(&team(), &ResourceId::new("unknown"))
        .unwrap();
    assert_eq!(changes(&state), before);
    assert!(state.calendar(&team()).unwrap().token.is_some());
    state.forget_decisions(&team()).unwrap();
    assert_eq!(versions(), ["a ", "b "]);
    assert_eq!(state.calendar(&team()).unwrap().token, None);
}

#[test]
fn resuming_lifts_the_freeze_and_dates_what_went_since() {
    let home = Home::new();
    let state = home.open();
    let gone = |uid: &str, since, confirmed| Link {
        gone: Some(Gone { since, confirmed }),
        ..link("a", uid, Phase::Seen)
    };
    let other = Link {
        calendar: CalendarName::new("other"),
        ..gone("u1", at(2), true)
    };
    let links = [
        gone("u1", at(1), true),
        gone("u2", at(2), true),
        gone("u3", at(2), false),
        link("a", "u4", Phase::Seen),
        other,
    ];
    state.put_links(&links).unwrap();
    state.put_resource(&team(), &resource("a", "1")).unwrap();
    let frozen = Frozen {
        since: at(2),
        why: "why".to_owned(),
    };
    let record = CalendarRecord {
        first_pass_done: true,
        frozen: Some(frozen.clone()),
        token: Some(SyncToken::new("t")),
        ..CalendarRecord::default()
    };
    state.put_calendar(&team(), &record).unwrap();

    assert_eq!(state.resume(&team(), at(5)).unwrap(), Some(frozen));
    let after = state.calendar(&team()).unwrap();
    assert_eq!(
        (after.frozen, after.consented, after.token),
        (None, true, None)
    );
    let since = |calendar: &CalendarName| {
        let links = state.all_links(calendar).unwrap();
        links
            .iter()
            .map(|l| l.gone.map(|g| g.since))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        since(&team()),
        [Some(at(1)), Some(at(5)), Some(at(2)), None]
    );
    assert_eq!(since(&links[4].calendar), [Some(at(2))]);
    let settled = state.settled(&team(), now()).unwrap();
    assert_eq!(settled[&ResourceId::new("a")], Version::new(""));

    assert_eq!(state.resume(&team(), at(6)).unwrap(), None);
    assert_eq!(since(&team())[1], Some(at(5)));
}

#[test]
fn a_resource_is_due_or_settled_from_its_time_on() {
    let home = Home::new();
    let state = home.open();
    let with_due = |id, due| ResourceRecord {
        due,
        ..resource(id, "v")
    };
    let records = [
        with_due("never", None),
        with_due("later", Some(at(2))),
        with_due("sooner", Some(at(1))),
    ];
    state.put_resources(&team(), &records).unwrap();
    let tick = Duration::microseconds(1);
    for (now, due) in [
        (at(1) - tick, vec![]),
        (at(1), vec!["sooner"]),
        (at(2), vec!["later", "sooner"]),
    ] {
        let mut found = state.due(&team(), now).unwrap();
        found.sort();
        let expected: Vec<_> = due.into_iter().map(ResourceId::new).collect();
        assert_eq!(found, expected, "{now}");
        let rest = records.iter().filter(|r| !expected.contains(&r.id));
        let rest = rest.map(|r| (r.id.clone(), r.version.clone())).collect();
        assert_eq!(state.settled(&team(), now).unwrap(), rest, "{now}");
    }
    assert_eq!(state.next_due(&team()).unwrap(), Some(at(1)));
    let other = CalendarName::new("other");
    assert!(state.settled(&other, at(0)).unwrap().is_empty());
    assert_eq!(state.next_due(&other).unwrap(), None);
}

#[test]
fn what_was_decided_for_a_reason_is_made_due_in_every_calendar() {
    let home = Home::new();
    let state = home.open();
    let other = CalendarName::new("other");
    let with = |id, due, outcome: &[&str]| ResourceRecord {
        due,
        outcome: outcome.iter().map(|name| (name.to_string(), 1)).collect(),
        ..resource(id, "v")
    };
    let mine = [
        with("both", None, &["in-step", "foreign-link"]),
        with("later", Some(at(5)), &["foreign-link"]),
        with("another", None, &["foreign"]),
        with("none", None, &[]),
    ];
    state.put_resources(&team(), &mine).unwrap();
    let theirs = [with("sooner", Some(at(1)), &["foreign-link"])];
    state.put_resources(&other, &theirs).unwrap();
    state.make_due_for("foreign-link", at(2)).unwrap();
    let due = |calendar: &CalendarName, now| {
        let mut due = state.due(calendar, now).unwrap();
        due.sort();
        due
    };
    let team = team();
    assert_eq!(due(&team, at(2)), ["both", "later"].map(ResourceId::new));
    assert_eq!(due(&other, at(1)), ["sooner"].map(ResourceId::new));
}

#[test]
fn the_overview_sums_outcomes_and_phases_per_calendar() {
    let home = Home::new();
    let state = home.open();
    let with = |id: &str, outcome: &[(&str, u32)]| ResourceRecord {
        outcome: outcome.iter().map(|(r, n)| ((*r).to_owned(), *n)).collect(),
        ..resource(id, "1")
    };
    let records = [
        with("a", &[("past", 1)]),
        with("b", &[("past", 1)]),
        with("c", &[("in-step", 3), ("past", 2)]),
    ];
    state.put_resources(&team(), &records).unwrap();
    let frozen = CalendarName::new("frozen");
    let record = CalendarRecord {
        consented: true,
        ..CalendarRecord::default()
    };
    state.put_calendar(&frozen, &record).unwrap();
    let links = [
        link("a", "u1", Phase::Written),
        link("b", "u2", Phase::Seen),
        link("c", "u3", Phase::Seen),
    ];
    state.put_links(&links).unwrap();
    assert_eq!(
        state.overview().unwrap(),
        [
            Overview {
                calendar: frozen,
                record,
                outcome: vec![],
                links: [0, 0, 0],
            },
            Overview {
                calendar: team(),
                record: CalendarRecord::default(),
                outcome: vec![("in-step".into(), 3), ("past".into(), 4)],
                links: [0, 1, 2],
            },
        ]
    );
    // The link of a file that is gone is remembered, and no link that the calendar holds.
    let gone = ResourceId::new("b");
    state.forget_resource(&team(), &gone).unwrap();
    assert_eq!(state.overview().unwrap()[1].links, [0, 1, 1]);
    for one in state.overview().unwrap() {
        let alone = state.overview_of(&one.calendar).unwrap();
        assert_eq!(alone, Some(one), "one calendar is told as among all");
    }
    let nobody = CalendarName::new("nobody");
    assert_eq!(state.overview_of(&nobody).unwrap(), None);
    assert_eq!(state.links(&team(), &gone).unwrap().len(), 1);
}

// Budgets

#[test]
fn creations_add_up_by_day_and_month() {
    let home = Home::new();
    let state = home.open();
    let (ada, bob) = (organizer(1), organizer(2));
    let other = CalendarName::new("other");
    let day = |m, d| NaiveDate::from_ymd_opt(2026, m, d).unwrap();
    for (calendar, organizer, day) in [
        (&team(), &ada, day(10, 31)),
        (&team(), &ada, day(11, 1)),
        (&team(), &ada, day(11, 1)),
        (&other, &ada, day(11, 1)),
        (&other, &bob, day(11, 30)),
        (&team(), &ada, day(12, 1)),
    ] {
        state.count_creation(calendar, organizer, day).unwrap();
    }
    for (calendar, on, expected) in [
        (&team(), day(10, 31), 1),
        (&team(), day(11, 1), 2),
        (&team(), day(11, 2), 0),
        (&other, day(11, 1), 1),
        (&other, day(11, 30), 1),
    ] {
        assert_eq!(state.created_on(calendar, on).unwrap(), expected, "{on}");
    }
    for (organizer, on, expected) in [
        (&ada, day(10, 1), 1),
        (&ada, day(11, 1), 3),
        (&ada, day(11, 30), 3),
        (&bob, day(11, 15), 1),
        (&ada, day(12, 31), 1),
        (&bob, day(12, 31), 0),
    ] {
        let found = state.created_in_month(organizer, on).unwrap();
        assert_eq!(found, expected, "{on}");
    }
}

#[test]
fn counters_vanish_after_60_days() {
    let home = Home::new();
    let state = home.open();
    let first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    let count = |after| {
        let day = first + Days::new(after);
        state.count_creation(&team(), &organizer(1), day).unwrap();
        state.created_on(&team(), first).unwrap()
    };
    assert_eq!([count(0), count(60), count(61)], [1, 1, 0]);
    let rows = number(&state, "SELECT COUNT(*) FROM creations");
    assert_eq!(rows, 4, "two scopes on two days are left");
}

#[test]
fn counters_take_the_first_and_the_last_day_there_is() {
    let home = Home::new();
    let state = home.open();
    for day in [NaiveDate::MIN, NaiveDate::MAX] {
        state.count_creation(&team(), &organizer(1), day).unwrap();
        assert_eq!(state.created_on(&team(), day).unwrap(), 1);
        assert_eq!(state.created_in_month(&organizer(1), day).unwrap(), 1);
    }
}

#[test]
fn a_calendar_and_an_organizer_of_one_name_are_counted_apart() {
    let home = Home::new();
    let state = home.open();
    let day = now().date_naive();
    let twin = CalendarName::new(organizer(2).as_str());
    state.count_creation(&twin, &organizer(1), day).unwrap();
    assert_eq!(state.created_in_month(&organizer(2), day).unwrap(), 0);
}

#[test]
fn a_later_window_replaces_the_earlier() {
    let home = Home::new();
    let state = home.open();
    state.put_window("graph", at(10)).unwrap();
    state.put_window("graph", at(5)).unwrap();
    state.put_window("caldav", at(7)).unwrap();
    drop(state);
    let expected = [("caldav".to_owned(), at(7)), ("graph".to_owned(), at(5))];
    assert_eq!(home.open().windows().unwrap(), expected);
}

// Quiescence

#[test]
fn calls_with_nothing_to_change_write_nothing() {
    let home = Home::new();
    let state = home.open();
    // Finer than what is stored: a record must still equal itself.
    let fine = now() + Duration::nanoseconds(123_456_789);
    let record = CalendarRecord {
        last_pass: Some(fine),
        ..CalendarRecord::default()
    };
    let resource = ResourceRecord {
        first_seen: fine,
        due: Some(fine),
        ..resource("a", "1")
    };
    let unset = ResourceRecord {
        id: ResourceId::new("b"),
        due: None,
        ..resource.clone()
    };
    let calls = || {
        state.put_resource(&team(), &resource).unwrap();
        state.put_resource(&team(), &unset).unwrap();
        state
            .forget_resource(&team(), &ResourceId::new("gone"))
            .unwrap();
        state.put_links(&[link("a", "u", Phase::Seen)]).unwrap();
        state.put_links(&[]).unwrap();
        state.put_meeting(&meeting_record("u")).unwrap();
        state.put_calendar(&team(), &record).unwrap();
        state.put_window("graph", fine).unwrap();
        let none = BTreeSet::new();
        assert_eq!(state.confirm_written(&team(), &none, now()).unwrap(), 0);
    };
    calls();
    let watcher = Connection::open(home.file()).unwrap();
    let version = || -> i64 {
        watcher
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .unwrap()
    };
    let before = (version(), changes(&state), home.bytes());
    // While another connection holds the only write transaction there can be, none can be opened.
    watcher.execute_batch("BEGIN IMMEDIATE").unwrap();
    calls();
    watcher.execute_batch("ROLLBACK").unwrap();
    assert!(before == (version(), changes(&state), home.bytes()));

    state
        .put_window("graph", fine + Duration::seconds(1))
        .unwrap();
    assert_ne!(before.0, version(), "a change does show");
}

#[test]
fn opening_and_closing_again_changes_nothing_in_the_file() {
    let home = Home::new();
    home.open().put_window("graph", at(1)).unwrap();
    let before = std::fs::read(home.file()).unwrap();
    drop(home.open());
    assert!(before == std::fs::read(home.file()).unwrap());
}

// The lock

#[test]
fn a_second_open_is_refused_and_told_who_holds_it() {
    let home = Home::new();
    let first = home.open();
    match State::open(&home.directory, now()).unwrap_err() {
        OpenError::Locked { directory, holder } => {
            assert_eq!(directory, home.directory);
            assert_eq!(holder, std::process::id().to_string());
        }
        other => panic!("{other}"),
    }
    for (content, expected) in [("12\u{1b}[1m", "unknown"), ("", "unknown"), ("77\n", "77")] {
        std::fs::write(home.directory.join("state.lock"), content).unwrap();
        match State::open(&home.directory, now()).unwrap_err() {
            OpenError::Locked { holder, .. } => assert_eq!(holder, expected),
            other => panic!("{other}"),
        }
    }
    drop(first);
    home.open();
}

/// The directory that [`a_process_that_holds_the_state`] is to write to.
const CHILD: &str = "MEETBRIDGE_TEST_STATE_OF_CHILD";

/// Not a test by itself: the child process of those below, which run this test program again.
#[test]
fn a_process_that_holds_the_state() {
    let Some(directory) = std::env::var_os(CHILD) else {
        return;
    };
    let (state, _) = State::open(Path::new(&directory), now()).unwrap();
    let mut output = std::io::stdout();
    writeln!(output, "ready").unwrap();
    for round in 1.. {
        state.put_links(&round_of_links(round)).unwrap();
        state
            .put_meeting(&meeting_record(&round.to_string()))
            .unwrap();
        let day = now().date_naive();
        state.count_creation(&team(), &organizer(1), day).unwrap();
        writeln!(output, "stored {round}").unwrap();
    }
}

#[test]
fn kill_9_releases_the_lock_and_loses_nothing_that_was_stored() {
    let home = Home::new();
    for (turn, lines) in [1, 2, 40, 400].into_iter().enumerate() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("state::tests::a_process_that_holds_the_state")
            .env(CHILD, &home.directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = output
            .by_ref()
            .map(Result::unwrap)
            .skip_while(|line| !line.ends_with("ready"))
            .take(lines);
        assert!(told.next().unwrap().ends_with("ready"));
        match State::open(&home.directory, now()).unwrap_err() {
            OpenError::Locked { holder, .. } => assert_eq!(holder, child.id().to_string()),
            other => panic!("{other}"),
        }
        let last = told.last().unwrap_or_default();
        let stored: u32 = last.trim_start_matches("stored ").parse().unwrap_or(0);
        child.kill().unwrap();
        child.wait().unwrap();

        let looked = State::open_read_only(&home.directory).unwrap().unwrap();
        let (state, aside) = State::open(&home.directory, now()).unwrap();
        assert_eq!(aside, None, "turn {turn}");
        for state in [&looked, &state] {
            let links = state.links(&team(), &ResourceId::new("r")).unwrap();
            let rounds: BTreeSet<u32> = links.iter().map(|l| l.attempts).collect();
            assert!(rounds.len() <= 1, "half a transaction: {rounds:?}");
            assert!(rounds.iter().all(|r| *r >= stored), "{rounds:?} {stored}");
            let key = ExternalId::stored(stored.to_string());
            let meeting = state.meeting(&organizer(1), &key).unwrap();
            assert_eq!(meeting.is_some(), stored > 0);
        }
        assert_eq!(text(&state, "PRAGMA integrity_check"), "ok");
    }
}

// Damage

#[test]
fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    let whole = {
        let home = Home::new();
        let state = home.open();
        fill(&state);
        drop(state);
        std::fs::read(home.file()).unwrap()
    };
    let foreign = |batch: &str| {
        let home = Home::new();
        std::fs::create_dir(&home.directory).unwrap();
        let connection = Connection::open(home.file()).unwrap();
        connection.execute_batch(batch).unwrap();
        drop(connection);
        std::fs::read(home.file()).unwrap()
    };
    let changed = |batch: &str| {
        let home = Home::new();
        drop(home.open());
        let connection = Connection::open(home.file()).unwrap();
        connection.execute_batch(batch).unwrap();
        drop(connection);
        std::fs::read(home.file()).unwrap()
    };
    let mut schema_lost = whole.clone();
    schema_lost[100..4096].fill(0);
    let cases = [
        ("text", b"this is not a database\n".repeat(1000)),
        ("a little text", b"xy".to_vec()),
        ("zeros", vec![0; 8192]),
        ("cut in half", whole[..whole.len() / 2].to_vec()),
        ("cut in the header", whole[..50].to_vec()),
        (
            "cut in the last page but one",
            whole[..whole.len() - 5000].to_vec(),
        ),
        ("cut after the first page", whole[..4096].to_vec()),
        ("the schema overwritten", schema_lost),
        (
            "of another program",
            foreign("CREATE TABLE t (x); PRAGMA user_version = 1"),
        ),
        (
            "of another application_id",
            changed("PRAGMA application_id = 7"),
        ),
        ("without a table", changed("DROP TABLE links")),
        (
            "with a version below 1",
            changed("PRAGMA user_version = -1"),
        ),
    ];
    for (name, bytes) in cases {
        let home = Home::new();
        std::fs::create_dir(&home.directory).unwrap();
        std::fs::write(home.file(), &bytes).unwrap();
        let looked = State::open_read_only(&home.directory).unwrap_err();
        assert!(matches!(looked, OpenError::Unusable { .. }), "{name}");
        assert!(looked.to_string().contains("damaged"), "{name}: {looked}");

        let (state, aside) = State::open(&home.directory, now()).unwrap();
        let aside = aside.expect(name);
        assert_eq!(
            aside,
            home.directory.join("state.db.damaged-20261103T101112Z")
        );
        assert!(std::fs::read(&aside).unwrap() == bytes, "{name}: altered");
        fill(&state);
        drop(state);
        let (state, aside) = State::open(&home.directory, now()).unwrap();
        assert_eq!(aside, None, "{name}");
        assert_eq!(
            state.links(&team(), &ResourceId::new("a")).unwrap().len(),
            500
        );
    }
}

#[test]
fn a_second_damaged_file_of_the_same_second_does_not_replace_the_first() {
    let home = Home::new();
    std::fs::create_dir(&home.directory).unwrap();
    let mut names = BTreeSet::new();
    for content in ["first", "second", "third"] {
        std::fs::write(home.file(), content).unwrap();
        std::fs::write(home.directory.join("state.db-wal"), content).unwrap();
        let (_, aside) = State::open(&home.directory, now()).unwrap();
        let aside = aside.unwrap();
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), content);
        let log = PathBuf::from(format!("{}-wal", aside.display()));
        assert_eq!(std::fs::read_to_string(log).unwrap(), content);
        names.insert(aside);
    }
    assert_eq!(names.len(), 3);
}

#[test]
fn damage_met_in_use_is_an_error_and_the_next_open_sets_the_file_aside() {
    let home = Home::new();
    let state = home.open();
    fill(&state);
    drop(state);
    // Behind the first pages of the tables, where opening does not look.
    let mut bytes = std::fs::read(home.file()).unwrap();
    let behind = bytes.len() / 2;
    bytes[behind..].fill(0xee);
    std::fs::write(home.file(), bytes).unwrap();

    let looked = State::open_read_only(&home.directory).unwrap().unwrap();
    let error = read_everything(&looked).unwrap_err();
    assert!(error.is_damage(), "{error:?}");
    let state = home.open();
    let error = read_everything(&state).unwrap_err();
    assert!(matches!(error, StateError::Sqlite { .. }) && error.is_damage());
    drop(state);
    let (state, aside) = State::open(&home.directory, now()).unwrap();
    assert!(aside.is_some());
    read_everything(&state).unwrap();
    drop(state);
    drop(home.open());

    // The file was taken away before the next start: nothing is left to set aside.
    file::mark_damaged(&home.file());
    std::fs::remove_file(home.file()).unwrap();
    drop(home.open());
    drop(home.open());
}

#[test]
fn a_value_that_was_never_written_like_that_is_damage_and_is_not_quoted() {
    let home = Home::new();
    for (change, table) in [
        ("UPDATE links SET phase = 9", "links"),
        ("UPDATE links SET attempts = -1", "links"),
        ("UPDATE links SET uid = ' '", "links"),
        ("UPDATE links SET organizer = 'SECRET'", "links"),
        ("UPDATE links SET before = CAST(x'ff' AS TEXT)", "links"),
        ("UPDATE meetings SET meeting = '\"SECRET\"'", "meetings"),
        (
            "UPDATE meetings SET meeting = json_set(meeting, '$.span', 'SECRET')",
            "meetings",
        ),
        (
            "UPDATE meetings SET created = 9223372036854775807",
            "meetings",
        ),
        ("UPDATE resources SET outcome = 'SECRET'", "resources"),
    ] {
        let (state, _) = State::open(&home.directory, now()).unwrap();
        state.put_links(&[link("a", "u", Phase::Seen)]).unwrap();
        state.put_meeting(&meeting_record("u")).unwrap();
        state.put_resource(&team(), &resource("a", "1")).unwrap();
        batch(&state, change);
        let error = match table {
            "links" => state.links(&team(), &ResourceId::new("a")).unwrap_err(),
            "meetings" => {
                let key = ExternalId::stored("u");
                state.meeting(&organizer(1), &key).unwrap_err()
            }
            _ => state.resources(&team()).unwrap_err(),
        };
        assert!(error.is_damage(), "{change}: {error:?}");
        let cause = std::error::Error::source(&error).unwrap();
        for shown in [error.to_string(), cause.to_string(), format!("{error:?}")] {
            assert!(!shown.contains("SECRET"), "{change}: {shown}");
        }
        drop(state);
        let (state, aside) = State::open(&home.directory, now()).unwrap();
        assert!(aside.is_some(), "{change}");
        drop(state);
    }
}

#[test]
fn an_empty_file_is_a_fresh_state() {
    let home = Home::new();
    std::fs::create_dir(&home.directory).unwrap();
    std::fs::write(home.file(), "").unwrap();
    assert!(State::open_read_only(&home.directory).unwrap().is_none());
    let (state, aside) = State::open(&home.directory, now()).unwrap();
    assert_eq!(aside, None);
    fill(&state);
}

#[test]
fn what_is_no_regular_file_is_refused() {
    for name in ["state.db", "state.lock"] {
        let home = Home::new();
        std::fs::create_dir(&home.directory).unwrap();
        let target = home.directory.join("target");
        std::fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, home.directory.join(name)).unwrap();
        let error = State::open(&home.directory, now()).unwrap_err();
        assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    }
    let home = Home::new();
    std::fs::write(&home.directory, "a file").unwrap();
    let error = State::open(&home.directory, now()).unwrap_err();
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
}

// Versions

#[test]
fn a_newer_version_is_refused_and_left_untouched() {
    let home = Home::new();
    let state = home.open();
    fill(&state);
    batch(&state, "PRAGMA user_version = 99");
    drop(state);
    let before = std::fs::read(home.file()).unwrap();
    let tries = [
        State::open(&home.directory, now()).map(|_| ()),
        State::open_read_only(&home.directory).map(|_| ()),
    ];
    for result in tries {
        match result.unwrap_err() {
            OpenError::Newer { found, known, .. } => {
                assert_eq!((found, known), (99, schema::KNOWN));
            }
            other => panic!("{other}"),
        }
    }
    assert!(before == std::fs::read(home.file()).unwrap());
    assert!(!home.directory.join("state.db-wal").exists());
}

#[test]
fn a_newer_version_says_which_program_wrote_it() {
    let refusal = |version: &str| {
        let home = Home::new();
        let state = home.open();
        batch(&state, "PRAGMA user_version = 99");
        state
            .write(|c| c.execute("UPDATE written_by SET version = ?1", [version]))
            .unwrap();
        drop(state);
        State::open(&home.directory, now()).unwrap_err().to_string()
    };
    let told = refusal("0.3.0");
    let known = format!(
        "was written by meetbridge 0.3.0 (schema 99), this is {} (schema {}); install that version or a \
         newer one, or move the file away: losing it loses no link",
        env!("CARGO_PKG_VERSION"),
        schema::KNOWN
    );
    assert!(told.ends_with(&known), "{told}");
    // What is no version is not repeated.
    for odd in ["", "9\u{1b}[31m", &"9".repeat(65)] {
        let told = refusal(odd);
        assert!(told.contains("by a newer meetbridge (schema 99)"), "{told}");
    }
}

#[test]
fn the_file_names_the_program_that_had_it_last() {
    let home = Home::new();
    let state = home.open();
    let written_by = |state: &State| text(state, "SELECT group_concat(version) FROM written_by");
    assert_eq!(written_by(&state), env!("CARGO_PKG_VERSION"));
    batch(&state, "UPDATE written_by SET version = '0.0.1'");
    drop(state);
    assert_eq!(written_by(&home.open()), env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_newer_state_that_was_killed_keeps_its_log() {
    let home = Home::new();
    let state = home.open();
    batch(&state, "PRAGMA user_version = 99");
    let copy = Home::new();
    std::fs::create_dir(&copy.directory).unwrap();
    let both = ["state.db", "state.db-wal"];
    for name in both {
        std::fs::copy(home.directory.join(name), copy.directory.join(name)).unwrap();
    }
    let read = |name| std::fs::read(copy.directory.join(name)).unwrap();
    let before = both.map(read);
    let error = State::open(&copy.directory, now()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }));
    assert!(before == both.map(read));
}

#[test]
fn a_file_of_version_1_is_brought_up_to_date_and_keeps_what_it_knows() {
    let home = Home::new();
    std::fs::create_dir(&home.directory).unwrap();
    let mut old = Connection::open(home.file()).unwrap();
    schema::migrate_by(&schema::STEPS[..1], &mut old, 0).unwrap();
    old.execute_batch(
        "INSERT INTO calendars VALUES ('team', 1, 1, 'rules', 5, 'why', 6, 'failing');
         INSERT INTO resources VALUES ('team', 'a.ics', '1', 7, 8, '[[\"in-step\",1]]');
         INSERT INTO links VALUES ('team', 'a.ics', 'u', '00000000-0000-0000-0000-000000000001',
             'u', 0, 2, 'c', 1, 9);
         INSERT INTO meetings VALUES ('00000000-0000-0000-0000-000000000001', 'u', 'u',
             '{\"id\":null,\"join_url\":\"https://x/\",\"span\":null,\"subject\":null,\"expires\":null,\"details\":{}}',
             x'00', 's', 9);",
    )
    .unwrap();
    drop(old);

    let state = home.open();
    assert_eq!(number(&state, "PRAGMA user_version"), schema::KNOWN);
    let record = state.calendar(&team()).unwrap();
    assert!(record.first_pass_done && record.consented);
    assert_eq!(record.frozen.as_ref().unwrap().why, "why");
    assert_eq!(record.token, None);
    let id = ResourceId::new("a.ics");
    let resource = state.resource(&team(), &id).unwrap().unwrap();
    assert_eq!(resource.outcome, [("in-step".to_owned(), 1)]);
    let links = state.links(&team(), &id).unwrap();
    assert_eq!((links.len(), links[0].phase), (1, Phase::Seen));
    let meeting = state.meeting(&links[0].organizer, &links[0].external_id);
    let meeting = meeting.unwrap().unwrap();
    assert_eq!(meeting.settings.as_str(), "", "nothing was set of it");
    assert_eq!((links[0].ends, links[0].gone), (None, None));
    assert_eq!(record.rules, "", "every event is decided again");
    assert!(!links[0].former && !links[0].unmarked);
    assert!(!record.needs_person);
    let by_form = state.links_by_form(&team()).unwrap();
    assert_eq!(by_form, [(meeting.meeting, 1)]);
    let formers = state.formers(&links[0].organizer, &links[0].external_id);
    assert_eq!(formers.unwrap(), []);
    drop(state);
    assert_eq!(home.open().links(&team(), &id).unwrap(), links);
}

#[test]
fn a_meeting_that_is_replaced_is_known_by_its_link_and_what_shows_it_is_due() {
    let home = Home::new();
    let state = home.open();
    let old = record_at("https://x/old");
    let link = Link {
        uid: old.uid.clone(),
        organizer: old.organizer.clone(),
        external_id: old.external_id.clone(),
        attempts: 2,
        ..link("one.ics", "u", Phase::Seen)
    };
    state.put_meeting(&old).unwrap();
    state.put_links(std::slice::from_ref(&link)).unwrap();
    let id = link.resource.as_str();
    let settled = ResourceRecord {
        due: None,
        ..resource(id, "1")
    };
    state.put_resource(&link.calendar, &settled).unwrap();
    let former = |record: &MeetingRecord| Former {
        record: record.clone(),
        calendar: link.calendar.clone(),
        since: at(1),
        fate: FormerFate::Open(at(5)),
    };
    let due = |now| state.due(&link.calendar, now).unwrap().len();

    // Begun: its key still has the old one, and whoever looks again finds both.
    state.begin_replacing(&former(&old), at(2)).unwrap();
    assert_eq!((due(at(1)), due(at(2))), (0, 1));
    let known = || {
        state
            .meeting(&old.organizer, &old.external_id)
            .unwrap()
            .unwrap()
    };
    let formers = || state.formers(&old.organizer, &old.external_id).unwrap();
    assert_eq!((known(), formers()), (old.clone(), vec![former(&old)]));

    let new = record_at("https://x/new");
    state.replace_meeting(&former(&old), &new, at(3)).unwrap();
    assert_eq!((known(), formers()), (new.clone(), vec![former(&old)]));
    let url = &old.meeting.join_url;
    assert_eq!(state.meeting_with_url(url).unwrap(), None);
    assert_eq!(state.former_with_url(url).unwrap(), Some(former(&old)));
    let links = state.links(&link.calendar, &link.resource).unwrap();
    assert_eq!((links[0].former, links[0].attempts), (true, 0));

    // Due at its time, and not when it has ended.
    let open = |now| state.due_formers(&link.calendar, now).unwrap().len();
    assert_eq!((open(at(4)), open(at(5))), (0, 1));
    let ended = Former {
        fate: FormerFate::Ended,
        ..former(&old)
    };
    state.put_former(&ended).unwrap();
    assert_eq!((open(at(9)), formers()), (0, vec![ended]));

    // Back: the old one is the key's again, and no former one any more.
    state.replace_meeting(&former(&new), &old, at(6)).unwrap();
    assert_eq!((known(), formers()), (old.clone(), vec![former(&new)]));
    state.forget_former(&new).unwrap();
    assert_eq!(formers(), []);
}

fn record_at(url: &str) -> MeetingRecord {
    MeetingRecord {
        organizer: organizer(1),
        external_id: ExternalId::stored("key"),
        uid: Uid::new("u").unwrap(),
        meeting: Meeting {
            join_url: JoinUrl::new(url),
            ..full_meeting("m")
        },
        schedule: String::new(),
        settings: Applied::default(),
        created: at(1),
    }
}

#[test]
fn steps_that_a_file_has_not_seen_are_taken_in_order() {
    let steps = [
        "CREATE TABLE t (x)",
        "INSERT INTO t VALUES ('two')",
        "INSERT INTO t SELECT x || ' three' FROM t",
    ];
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate_by(&steps[..2], &mut connection, 0).unwrap();
    schema::migrate_by(&steps, &mut connection, 2).unwrap();
    schema::migrate_by(&steps, &mut connection, 3).unwrap();
    let all: String = connection
        .query_row("SELECT group_concat(x) FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(all, "two,two three");

    // A step that fails takes back its own changes, its version too, and leaves those before it.
    let broken = [&steps[..], &["INSERT INTO t VALUES ('four'); nonsense"]].concat();
    schema::migrate_by(&broken, &mut connection, 3).unwrap_err();
    let after: (i64, i64) = connection
        .query_row(
            "SELECT user_version, (SELECT COUNT(*) FROM t) FROM pragma_user_version",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(after, (3, 2));
}

// Looking only

#[test]
fn looking_works_beside_a_live_writer_and_sees_what_it_writes() {
    let home = Home::new();
    let writer = home.open();
    let looked = State::open_read_only(&home.directory).unwrap().unwrap();
    for version in ["1", "2"] {
        writer
            .put_resource(&team(), &resource("a", version))
            .unwrap();
        let found = looked.resources(&team()).unwrap();
        assert_eq!(found, [resource("a", version)]);
    }
    looked.overview().unwrap();
    drop(writer);
    home.open();
    assert_eq!(looked.resources(&team()).unwrap(), [resource("a", "2")]);
}

#[test]
fn looking_after_a_clean_close_makes_no_file() {
    let home = Home::new();
    home.open()
        .put_resource(&team(), &resource("a", "1"))
        .unwrap();
    let before = home.names();
    assert_eq!(before, ["state.db", "state.lock"]);
    std::fs::set_permissions(&home.directory, Permissions::from_mode(0o500)).unwrap();
    let looked = State::open_read_only(&home.directory).unwrap().unwrap();
    assert_eq!(looked.resources(&team()).unwrap(), [resource("a", "1")]);
    assert_eq!(home.names(), before);
    std::fs::set_permissions(&home.directory, Permissions::from_mode(0o700)).unwrap();

    // It holds no lock, and follows what a daemon that starts later does.
    let writer = home.open();
    writer.put_resource(&team(), &resource("a", "2")).unwrap();
    assert_eq!(looked.resources(&team()).unwrap(), [resource("a", "2")]);
}

#[test]
fn looking_follows_a_daemon_that_came_and_went() {
    let home = Home::new();
    drop(home.open());
    let looked = State::open_read_only(&home.directory).unwrap().unwrap();
    assert_eq!(looked.resources(&team()).unwrap(), []);
    fill(&home.open());
    let links = looked.links(&team(), &ResourceId::new("a")).unwrap();
    assert_eq!(links.len(), 500);
}

#[test]
fn looking_writes_nothing() {
    let home = Home::new();
    fill(&home.open());
    let looked = State::open_read_only(&home.directory).unwrap().unwrap();
    let before = std::fs::read(home.file()).unwrap();
    let day = now().date_naive();
    let id = ResourceId::new("a");
    let none = BTreeSet::new();
    let results = [
        looked.put_resource(&team(), &resource("a", "2")),
        looked.put_resources(&team(), &[]),
        looked.forget_resource(&team(), &id),
        looked.put_links(&looked.links(&team(), &id).unwrap()),
        looked.confirm_written(&team(), &none, now()).map(|_| ()),
        looked.put_meeting(&meeting_record("u")),
        looked.count_creation(&team(), &organizer(1), day),
        looked.put_calendar(&team(), &CalendarRecord::default()),
        looked.put_window("graph", now()),
    ];
    for (n, result) in results.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert!(!error.is_damage(), "{n}: {error:?}");
    }
    assert!(before == std::fs::read(home.file()).unwrap());
    assert_eq!(home.names(), ["state.db", "state.lock"]);
}

#[test]
fn there_is_nothing_to_look_at_before_the_first_start() {
    let home = Home::new();
    assert!(State::open_read_only(&home.directory).unwrap().is_none());
    assert!(!home.directory.exists());
}

// Files

#[test]
fn files_are_the_owners_alone() {
    let home = Home::new();
    let state = home.open();
    fill(&state);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&home.directory), 0o700);
    let names = home.names();
    assert_eq!(
        names,
        ["state.db", "state.db-shm", "state.db-wal", "state.lock"]
    );
    for name in &names {
        assert_eq!(mode(&home.directory.join(name)), 0o600, "{name}");
    }
    drop(state);
    // Restored by hand, with rights for others: taken away; the directory is its owner's business.
    std::fs::write(home.directory.join("state.db-wal"), "not a log").unwrap();
    std::fs::set_permissions(&home.directory, Permissions::from_mode(0o755)).unwrap();
    for name in home.names() {
        let path = home.directory.join(name);
        std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }
    let _state = home.open();
    for name in home.names() {
        assert_eq!(mode(&home.directory.join(&name)), 0o600, "{name}");
    }
    assert_eq!(mode(&home.directory), 0o755);
}

#[test]
fn files_made_by_root_belong_to_the_owner_of_the_directory() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = Home::new();
    std::fs::create_dir(&home.directory).unwrap();
    std::os::unix::fs::chown(&home.directory, Some(12345), Some(12346)).unwrap();
    let state = home.open();
    fill(&state);
    file::mark_damaged(&home.file());
    let names = home.names();
    assert_eq!(names.len(), 5, "{names:?}");
    for name in names {
        let found = home.directory.join(&name).metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (12345, 12346), "{name}");
    }
}

#[test]
fn a_path_may_hold_any_character() {
    for name in ["50% off?x=1#y", "ümläut \u{1b}", "file:x", "a&b=c"] {
        let mut home = Home::new();
        home.directory = home.directory.join(name);
        home.open().put_window("graph", at(1)).unwrap();
        assert!(home.file().is_file(), "{name:?}");
        let looked = State::open_read_only(&home.directory).unwrap().unwrap();
        assert_eq!(looked.windows().unwrap().len(), 1, "{name:?}");
    }
}

// A full disk

#[test]
fn a_full_disk_is_said_and_leaves_nothing_half_done() {
    let home = Home::new();
    let state = home.open();
    fill(&state);
    let pages = number(&state, "PRAGMA page_count");
    batch(&state, &format!("PRAGMA max_page_count = {pages}"));
    let before = (
        state.links(&team(), &ResourceId::new("a")).unwrap(),
        totals(&state),
    );

    let new: Vec<Link> = (0..1000)
        .map(|n| link("new", &format!("{n}{}", "x".repeat(500)), Phase::Intended))
        .collect();
    let error = state.put_links(&new).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }), "{error:?}");
    assert!(!error.is_damage());
    assert_eq!(totals(&state), before.1);
    let record = MeetingRecord {
        schedule: "x".repeat(100_000),
        ..meeting_record("big")
    };
    let error = state.put_meeting(&record).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }), "{error:?}");
    assert_eq!(
        state.meeting_with_url(&record.meeting.join_url).unwrap(),
        None
    );
    assert_eq!(
        state.links(&team(), &ResourceId::new("a")).unwrap(),
        before.0
    );

    // What needs no room works, and with room so does the rest.
    state.put_links(&before.0).unwrap();
    batch(&state, "PRAGMA max_page_count = 4294967294");
    state.put_links(&new).unwrap();
    state.put_meeting(&record).unwrap();
    assert_eq!(
        state.links(&team(), &ResourceId::new("new")).unwrap().len(),
        1000
    );
}

// Threads

#[test]
fn a_panic_in_another_thread_does_not_end_the_state() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    let home = Home::new();
    let state = home.open();
    is_shared(&state);
    let ended = std::thread::scope(|scope| {
        let panics = || {
            state.write::<()>(|c| {
                let transaction = c.transaction()?;
                transaction.execute("INSERT INTO windows VALUES ('half', 1)", [])?;
                panic!("on purpose");
            })
        };
        scope.spawn(panics).join().is_err()
    });
    assert!(ended);
    assert_eq!(state.windows().unwrap(), []);
    state.put_window("graph", at(1)).unwrap();
}

// What has been over for long

/// A link of an event that ended so many days before [`now`].
fn over(resource: &str, days: i64) -> Link {
    Link {
        ends: Some(now() - Duration::days(days)),
        ..link(resource, &format!("{resource}@example.org"), Phase::Seen)
    }
}

fn left(state: &State) -> Vec<String> {
    let links = state.all_links(&team()).unwrap();
    links.into_iter().map(|l| l.resource.to_string()).collect()
}

#[test]
fn links_are_forgotten_90_days_after_their_events_with_their_meetings() {
    let home = Home::new();
    let state = home.open();
    let gone = |confirmed| {
        Some(Gone {
            since: now(),
            confirmed,
        })
    };
    let in_phase = |phase| Link {
        phase,
        ..over(&format!("goes-{phase:?}"), 91)
    };
    let phases = [
        Phase::Intended,
        Phase::Written,
        Phase::Seen,
        Phase::TakenOut,
        Phase::OptedOut,
    ];
    let goes = phases.map(in_phase);
    let gone_for_good = Link {
        gone: gone(true),
        unmarked: true,
        ..over("goes-gone", 91)
    };
    let stays = [
        over("stays-young", 89),
        Link {
            ends: None,
            ..over("stays-endless", 500)
        },
        Link {
            unmarked: true,
            ..over("stays-unmarked", 500)
        },
        Link {
            gone: gone(false),
            ..over("stays-absent-once", 500)
        },
        over("stays-ending", 500),
        over("stays-with-a-former", 500),
    ];
    let all = [&goes[..], &[gone_for_good], &stays].concat();
    state.put_links(&all).unwrap();
    for link in &all {
        let record = meeting_record(link.uid.as_str());
        state.put_meeting(&record).unwrap();
    }
    let ending = Ending {
        begun: true,
        due: now(),
    };
    state
        .put_ending(&organizer(1), &stays[4].external_id, Some(ending))
        .unwrap();
    let former = |uid: &Uid, fate| Former {
        record: MeetingRecord {
            uid: uid.clone(),
            external_id: ExternalId::stored(uid.as_str()),
            ..record_at(&format!("https://old.example/{uid}"))
        },
        calendar: team(),
        since: now() - Duration::days(200),
        fate,
    };
    let open = |days| FormerFate::Open(now() - Duration::days(days));
    state.put_former(&former(&stays[5].uid, open(1))).unwrap();
    for (link, fate) in [(&goes[0], open(199)), (&goes[1], FormerFate::Ended)] {
        state.put_former(&former(&link.uid, fate)).unwrap();
        let absent = Some(&link.external_id);
        state
            .put_absence(&organizer(1), absent, Some(now()))
            .unwrap();
    }
    let pruned = state.prune(now(), None).unwrap();
    assert_eq!((pruned.links, pruned.meetings), (6, 8));
    assert_eq!(pruned.next, None);
    let mut expected = stays.clone().map(|link| link.resource.to_string());
    expected.sort();
    assert_eq!(left(&state), expected);
    for link in &all {
        let known = state.meeting(&link.organizer, &link.external_id).unwrap();
        assert_eq!(known.is_some(), stays.contains(link), "{}", link.resource);
    }
    let number = |table: &str| number(&state, &format!("SELECT COUNT(*) FROM {table}"));
    assert_eq!([number("formers"), number("absences")], [1, 0]);
    let before = changes(&state);
    assert_eq!(state.prune(now(), None).unwrap(), Pruned::default());
    assert_eq!(changes(&state), before, "nothing goes, nothing is written");
}

#[test]
fn a_calendar_that_is_frozen_or_cannot_be_read_keeps_its_links() {
    let home = Home::new();
    let state = home.open();
    state.put_links(&[over("a", 500)]).unwrap();
    let frozen = CalendarRecord {
        frozen: Some(Frozen {
            since: at(1),
            why: "why".into(),
        }),
        ..CalendarRecord::default()
    };
    let failing = CalendarRecord {
        failing: Some("why".into()),
        ..CalendarRecord::default()
    };
    for record in [frozen, failing] {
        state.put_calendar(&team(), &record).unwrap();
        assert_eq!(state.prune(now(), None).unwrap(), Pruned::default());
    }
    state.put_calendar(&team(), &Default::default()).unwrap();
    assert_eq!(state.prune(now(), None).unwrap().links, 1);
}

#[test]
fn a_meeting_stays_while_another_calendar_has_its_link() {
    let home = Home::new();
    let state = home.open();
    let one = over("a", 500);
    let other = Link {
        calendar: CalendarName::new("other"),
        ends: None,
        ..one.clone()
    };
    state.put_links(&[one.clone(), other]).unwrap();
    state
        .put_meeting(&meeting_record(one.uid.as_str()))
        .unwrap();
    let pruned = state.prune(now(), None).unwrap();
    assert_eq!((pruned.links, pruned.meetings), (1, 0));
}

#[test]
fn a_slice_goes_on_where_the_last_one_ended() {
    let home = Home::new();
    let state = home.open();
    // As many that stay as fill a slice, before those that go.
    let slice = i64::try_from(prune::SLICE).unwrap();
    let mut links: Vec<Link> = (0..2 * slice)
        .map(|n| over(&format!("{n:04}"), 2_000 - n))
        .collect();
    let (stay, _) = links.split_at_mut(prune::SLICE);
    stay.iter_mut().for_each(|link| link.unmarked = true);
    // Some of the same moment, on both sides of the cut.
    let same = links[prune::SLICE].ends;
    links[prune::SLICE - 1].ends = same;
    state.put_links(&links).unwrap();
    let first = state.prune(now(), None).unwrap();
    assert_eq!(first.links, 0);
    let second = state.prune(now(), first.next.as_ref()).unwrap();
    assert_eq!(second.links, prune::SLICE);
    let third = state.prune(now(), second.next.as_ref()).unwrap();
    assert_eq!(third, Pruned::default());
    assert_eq!(left(&state).len(), prune::SLICE);
}

#[test]
fn what_is_over_is_found_by_an_index() {
    let home = Home::new();
    let state = home.open();
    let plan = |sql: &str| -> String {
        let steps = state.read(|c| {
            let mut statement = c.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            // What is not bound is NULL.
            let mut rows = statement.raw_query();
            let mut steps = Vec::new();
            while let Some(row) = rows.next()? {
                steps.push(row.get::<_, String>(3)?);
            }
            Ok(steps)
        });
        steps.unwrap().join("\n")
    };
    let over = plan(prune::OVER);
    let both_ends = "SEARCH links USING INDEX links_by_end \
                     ((ends,calendar,resource,uid)>(?,?,?,?) AND ends<?)";
    assert!(over.contains(both_ends), "{over}");
    assert!(
        !over.contains("SCAN") && !over.contains("TEMP B-TREE"),
        "{over}"
    );
    let left = plan(prune::LEFT);
    assert!(
        left.contains("SEARCH links USING INDEX links_by_uid (uid=?"),
        "{left}"
    );
}

// Helpers

const ODD_TEXTS: &[&str] = &[
    "plain",
    "",
    "ümläut 日本語 \u{1f600} e\u{301}",
    "nul\0inside\0",
    "quote ' \" ; -- \\ % _",
    "line\r\nend\t\u{1b}[31m\u{202e}",
    // longer than a page, and than any index likes
    concat_long(),
];

const fn concat_long() -> &'static str {
    match std::str::from_utf8(&[b'u'; 20_000]) {
        Ok(text) => text,
        Err(_) => "",
    }
}

struct Home {
    _temporary: TempDir,
    directory: PathBuf,
}

impl Home {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("state");
        Self {
            _temporary: temporary,
            directory,
        }
    }

    fn open(&self) -> State {
        let (state, aside) = State::open(&self.directory, now()).unwrap();
        assert_eq!(aside, None);
        state
    }

    fn file(&self) -> PathBuf {
        self.directory.join("state.db")
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The database and its log.
    fn bytes(&self) -> [Vec<u8>; 2] {
        ["state.db", "state.db-wal"].map(|n| std::fs::read(self.directory.join(n)).unwrap())
    }
}

fn now() -> DateTime<Utc> {
    "2026-11-03T10:11:12Z".parse().unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    now() + Duration::seconds(seconds * 1_000_000) + Duration::microseconds(123_456)
}

fn team() -> CalendarName {
    CalendarName::new("team")
}

fn organizer(n: u8) -> OrganizerId {
    OrganizerId::new(&format!("00000000-0000-0000-0000-0000000000{n:02}")).unwrap()
}

fn resource(id: &str, version: &str) -> ResourceRecord {
    ResourceRecord {
        id: ResourceId::new(id),
        version: Version::new(version),
        first_seen: at(0),
        due: Some(at(1)),
        outcome: vec![("in-step".into(), 3)],
    }
}

fn link(resource: &str, uid: &str, phase: Phase) -> Link {
    Link {
        calendar: team(),
        resource: ResourceId::new(resource),
        uid: Uid::new(uid).unwrap(),
        organizer: organizer(1),
        external_id: ExternalId::stored(uid),
        generation: 0,
        phase,
        before: "0123456789abcdef".into(),
        attempts: 1,
        written: at(1),
        ends: None,
        gone: None,
        cancelled: None,
        closed: false,
        former: false,
        unmarked: false,
    }
}

fn round_of_links(round: u32) -> Vec<Link> {
    let link = |n: u32| Link {
        attempts: round,
        ..link("r", &format!("u{n}"), Phase::Intended)
    };
    (0..20).map(link).collect()
}

fn meeting_record(uid: &str) -> MeetingRecord {
    MeetingRecord {
        organizer: organizer(1),
        external_id: ExternalId::stored(uid),
        uid: Uid::new(uid).unwrap(),
        meeting: full_meeting(uid),
        schedule: "0123456789abcdef".into(),
        settings: Default::default(),
        created: at(0),
    }
}

fn full_meeting(text: &str) -> Meeting {
    let some = || Some(text.to_owned());
    Meeting {
        id: Some(MeetingId::OnlineMeeting(text.to_owned())),
        join_url: JoinUrl::new(format!("https://example.org/{text}")),
        span: Some(Span {
            start: at(1),
            end: at(2) + Duration::nanoseconds(1),
        }),
        subject: some(),
        expires: Some(at(3)),
        details: Details {
            meeting_id: some(),
            passcode: some(),
            dial_in: Some(DialIn {
                dialin_url: some(),
                conference_id: some(),
                toll_numbers: vec![text.to_owned(), "+1".into()],
                toll_free_numbers: vec![],
                quick_dial: some(),
            }),
            video_device_id: some(),
            chat_thread: some(),
            options_url: some(),
            language: some(),
        },
    }
}

/// 500 links and 100 meetings: many pages.
fn fill(state: &State) {
    let links: Vec<Link> = (0..500)
        .map(|n| link("a", &format!("uid-{n:03}@example.org"), Phase::Seen))
        .collect();
    state.put_links(&links).unwrap();
    for n in 0..100 {
        state.put_meeting(&meeting_record(&n.to_string())).unwrap();
    }
}

fn read_everything(state: &State) -> Result<(), StateError> {
    state.links(&team(), &ResourceId::new("a"))?;
    for n in 0..100 {
        state.meeting(&organizer(1), &ExternalId::stored(n.to_string()))?;
    }
    Ok(())
}

fn number(state: &State, sql: &str) -> i64 {
    state
        .read(|c| c.query_row(sql, [], |row| row.get(0)))
        .unwrap()
}

fn text(state: &State, sql: &str) -> String {
    state
        .read(|c| c.query_row(sql, [], |row| row.get(0)))
        .unwrap()
}

fn batch(state: &State, sql: &str) {
    state.read(|c| c.execute_batch(sql)).unwrap();
}

fn changes(state: &State) -> u64 {
    state.read(|c| Ok(c.total_changes())).unwrap()
}

fn totals(state: &State) -> [i64; 2] {
    ["links", "meetings"].map(|t| number(state, &format!("SELECT COUNT(*) FROM {t}")))
}
