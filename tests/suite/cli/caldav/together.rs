//! Two meetbridges, each with its own state, look after one calendar.

use super::super::support::{hour_after, wait_until};
use super::{Scene, Second, instant, wait_long};
use crate::servers::harness::Kind;

/// Two that know nothing of each other, one pass at a time.
fn taking_turns(kind: Kind) {
    let mut scene = Scene::new(kind, "Turns");
    let second = Second::new(&scene, kind);
    let uids: Vec<_> = (0..3).map(|n| format!("turns-{n}@example.org")).collect();
    for (uid, hours) in uids.iter().zip(24..) {
        scene.create(uid, hours);
    }
    scene.world.sync();
    second.sync(&scene);
    assert_eq!((scene.puts(), second.tap.count("PUT")), (3, 0));
    for uid in &uids {
        assert!(scene.is_linked(uid));
    }

    // Each sees what a person did, and both come to rest.
    scene.person(&["move", &uids[0], &instant(48)]);
    second.sync(&scene);
    scene.world.sync();
    assert_eq!(scene.begins(&uids[0]), hour_after(48));
    let asked = scene.asked();
    for _ in 0..2 {
        second.sync(&scene);
        scene.world.sync();
    }
    assert_eq!((scene.puts(), second.tap.count("PUT")), (3, 0));
    assert_eq!(scene.asked(), asked);
    scene.has_one_meeting_each(&uids);
}

#[test]
fn two_states_on_one_calendar_come_to_rest_on_radicale() {
    taking_turns(Kind::Radicale);
}

#[test]
fn two_states_on_one_calendar_come_to_rest_on_xandikos() {
    taking_turns(Kind::Xandikos);
}

/// Two daemons at once, and a person between them.
fn at_once(kind: Kind) {
    let mut scene = Scene::new(kind, "At once");
    let second = Second::new(&scene, kind);
    let mut one = scene.world.start(&["run"]);
    let mut other = second.start(&scene, "run");
    one.wait_log("calendar.pass");
    other.wait_log("calendar.pass");
    let uids: Vec<_> = (0..5).map(|n| format!("at-once-{n}@example.org")).collect();
    for (uid, hours) in uids.iter().zip(24..) {
        scene.create(uid, hours);
    }
    wait_long("the links", || uids.iter().all(|uid| scene.is_linked(uid)));
    scene.person(&["move", &uids[0], &instant(48)]);
    wait_until("the meeting to follow", || {
        scene.begins(&uids[0]) == hour_after(48)
    });

    // A pass of each that begins after all that, and one more in which nobody does anything.
    let look_again = || {
        let polls = || [&scene.tap, &second.tap].map(|tap| tap.count("REPORT"));
        let before = polls();
        wait_until("two more polls of each", || {
            polls()
                .iter()
                .zip(before)
                .all(|(now, before)| *now >= before + 2)
        });
    };
    look_again();
    let count = || (scene.puts(), second.tap.count("PUT"), scene.asked());
    let before = count();
    look_again();
    assert_eq!(count(), before);
    scene.has_one_meeting_each(&uids);
    for uid in &uids {
        assert!(scene.is_linked(uid));
    }
    for daemon in [one, other] {
        daemon.terminate().says(0, &["daemon.stopped"]);
    }
}

#[test]
fn two_daemons_on_one_calendar_come_to_rest_on_radicale() {
    at_once(Kind::Radicale);
}

#[test]
fn two_daemons_on_one_calendar_come_to_rest_on_xandikos() {
    at_once(Kind::Xandikos);
}
