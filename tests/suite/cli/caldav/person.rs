//! What a person does to an event, one thing after the other.

use super::super::support::{GUEST, TITLE, hour_after, wait_until};
use super::{Scene, instant};
use crate::servers::harness::Kind;

/// Everything that a person does to an event, one pass after each.
fn story(kind: Kind) {
    let mut scene = Scene::new(kind, "Story");
    let uid = "story@example.org";
    scene.create(uid, 24);
    scene.follows(uid);
    assert!(scene.is_linked(uid), "{:#?}", scene.lines(uid));
    assert_eq!(scene.begins(uid), hour_after(24));
    assert_eq!(scene.puts(), 1);

    scene.person(&["retext", uid, "Agenda", "Programme"]);
    scene.follows(uid);
    assert!(scene.is_linked(uid));
    assert!(
        scene.lines(uid)[0]
            .iter()
            .any(|l| l.starts_with("DESCRIPTION:Programme"))
    );
    assert_eq!(scene.puts(), 1, "the link is as it was");

    scene.person(&["move", uid, &instant(48)]);
    scene.follows(uid);
    assert!(scene.is_linked(uid));
    assert_eq!(scene.begins(uid), hour_after(48));

    scene.person(&["rename", uid, &format!("{TITLE} mit Speck")]);
    scene.follows(uid);
    let snapshot = scene.world.snapshot();
    let meeting = snapshot.meeting(uid).unwrap().current.clone().unwrap();
    assert_eq!(meeting.subject.unwrap(), format!("{TITLE} mit Speck"));

    scene.person(&["repeat", uid, "FREQ=DAILY;COUNT=3"]);
    scene.follows(uid);
    assert!(scene.is_linked(uid));
    assert_eq!(scene.begins(uid), hour_after(48));

    let (day, later) = (instant(72), instant(75));
    scene.person(&[
        "override",
        uid,
        &day,
        "--start",
        &later,
        "--summary",
        &format!("{TITLE} spät"),
    ]);
    scene.follows(uid);
    assert!(scene.is_linked(uid));
    let lines = scene.lines(uid);
    assert_eq!(lines.len(), 2);
    let moved = format!("DTSTART:{}", hour_after(75).format("%Y%m%dT%H%M%SZ"));
    assert!(lines.concat().contains(&moved), "{lines:#?}");

    let puts = scene.puts();
    scene.person(&["cancel", uid]);
    scene.follows(uid);
    scene.person(&["delete", uid]);
    scene.world.sync();
    scene.is_quiet();
    assert_eq!(
        scene.person(&["list"]),
        serde_json::json!([]),
        "a deleted event stays away"
    );
    assert_eq!(scene.puts(), puts, "no write for what is over");
    let snapshot = scene.world.snapshot();
    let state = snapshot.meeting(uid).unwrap();
    assert_eq!((state.made, state.calls.delete), (1, 0));
}

#[test]
fn a_pass_follows_a_person_s_edits_on_radicale() {
    story(Kind::Radicale);
}

#[test]
fn a_pass_follows_a_person_s_edits_on_xandikos() {
    story(Kind::Xandikos);
}

/// The daemon finds a new event by its next poll, and rests when all is done.
fn watched(kind: Kind) {
    let mut scene = Scene::new(kind, "Watched");
    let mut daemon = scene.world.start(&["run"]);
    daemon.wait_log("calendar.pass");

    let uid = "watched@example.org";
    scene.create(uid, 24);
    let created = scene.tap.seen().len();
    wait_until("the link", || scene.is_linked(uid));
    let seen = scene.tap.seen().split_off(created);
    let polls = seen.iter().take_while(|(method, _)| method != "PUT");
    let polls = polls.filter(|(method, _)| method == "REPORT").count();
    // One may have been under way while the event was stored.
    assert!(polls <= 2, "{seen:?}");

    scene.person(&["move", uid, &instant(48)]);
    wait_until("the meeting to follow", || {
        scene.begins(uid) == hour_after(48)
    });
    let lines = scene.lines(uid);
    let seen = scene.tap.seen().len();
    // What is learned of a server on the way may cost a request more.
    wait_until("three polls of one request each", || {
        let seen = scene.tap.seen().split_off(seen);
        let last = seen
            .iter()
            .rev()
            .take_while(|(method, _)| method == "REPORT");
        last.count() >= 3
    });
    assert_eq!(scene.lines(uid), lines);
    assert_eq!((scene.puts(), scene.world.asked()), (1, 1));
    daemon
        .terminate()
        .says(0, &["link.created", "link.written", "meeting.updated"]);
}

#[test]
fn a_daemon_follows_a_person_on_radicale() {
    watched(Kind::Radicale);
}

#[test]
fn a_daemon_follows_a_person_on_xandikos() {
    watched(Kind::Xandikos);
}

/// Somebody else organizes it: it is counted, and left alone.
fn invited(kind: Kind) {
    let mut scene = Scene::new(kind, "Invited");
    let start = instant(24);
    let uid = "invited@example.org";
    scene.person(&[
        "create",
        uid,
        "--start",
        &start,
        "--summary",
        TITLE,
        "--organizer",
        "boss@example.org",
        "--attendee",
        "alice@example.org",
        "--attendee",
        GUEST,
    ]);
    let before = scene.person(&["show", uid]);
    scene.is_quiet();
    assert_eq!(scene.puts(), 0);
    assert_eq!(scene.asked(), 0);
    assert_eq!(scene.person(&["show", uid]), before);
    let plan = scene.world.run(&["plan", "--json"]).json();
    let calendar = &plan["calendars"][0];
    assert_eq!(calendar["name"], "alice/Invited");
    assert_eq!(calendar["events"][0]["decision"], "not-organizer", "{plan}");
}

#[test]
fn an_attendee_s_copy_is_left_alone_on_radicale() {
    invited(Kind::Radicale);
}

#[test]
fn an_attendee_s_copy_is_left_alone_on_xandikos() {
    invited(Kind::Xandikos);
}

/// A person who does not wait for the daemon: nothing of it is lost, and after a pass each event has
/// its link and each meeting its event's time and title.
fn in_a_hurry(kind: Kind) {
    let mut scene = Scene::new(kind, "Hurry");
    let mut daemon = scene.world.start(&["run"]);
    daemon.wait_log("calendar.pass");
    let title = format!("{TITLE} mit Speck");
    let uids: Vec<_> = (0..5).map(|n| format!("hurry-{n}@example.org")).collect();
    for (uid, hours) in uids.iter().zip(24..) {
        scene.create(uid, hours);
        scene.person(&["rename", uid, &title]);
    }
    wait_until("links, in the middle of it", || scene.puts() > 0);
    for (uid, hours) in uids.iter().zip(48..) {
        scene.person(&["move", uid, &instant(hours)]);
        scene.person(&["retext", uid, "Agenda", "Programme"]);
    }
    // A write that met a lock is tried again by the daemon only after a while.
    daemon.terminate().says(0, &["daemon.stopped"]);
    scene.world.sync();
    for (uid, hours) in uids.iter().zip(48..) {
        assert!(scene.is_linked(uid), "{uid}");
        assert_eq!(scene.begins(uid), hour_after(hours));
        let snapshot = scene.world.snapshot();
        let meeting = snapshot.meeting(uid).unwrap().current.clone().unwrap();
        assert_eq!(meeting.subject.as_ref(), Some(&title));
        let lines = scene.lines(uid).concat();
        let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
        assert!(
            has("DESCRIPTION:Programme") && has(&format!("SUMMARY:{title}")),
            "{lines:#?}"
        );
        let moved = hour_after(hours)
            .format("DTSTART:%Y%m%dT%H%M%SZ")
            .to_string();
        assert!(has(&moved), "{lines:#?}");
    }
    scene.is_quiet();
    scene.has_one_meeting_each(&uids);
}

#[test]
fn edits_that_come_fast_are_not_lost_on_radicale() {
    in_a_hurry(Kind::Radicale);
}

#[test]
fn edits_that_come_fast_are_not_lost_on_xandikos() {
    in_a_hurry(Kind::Xandikos);
}
