//! `unlink` and `plan --unlink`: links are taken out again, by the binary.

use super::support::{Setup, TEAM, World, calendar, event, single};

/// The text without stamps.
fn bare(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("DTSTAMP") && !line.starts_with("LAST-MODIFIED"))
        .collect()
}

/// Two resources with three events, linked, and what they were before.
fn linked() -> (World, String, String) {
    let world = World::new();
    let (a, b) = (
        single("a@example.org"),
        calendar(&[event("b@example.org", 30), event("c@example.org", 40)]),
    );
    world.put("a.ics", &a);
    world.put("b.ics", &b);
    world.sync();
    world.sync();
    assert!(world.is_linked("a.ics", "a@example.org"));
    (world, a, b)
}

#[test]
fn everything_is_unlinked_as_the_plan_says_and_frozen_until_resumed() {
    for lost in [false, true] {
        let (world, a, b) = linked();
        if lost {
            std::fs::remove_dir_all(world.path("state")).unwrap();
        }
        let (with_a, with_b) = (world.get("a.ics"), world.get("b.ics"));
        let plan = world.run(&["plan", "--unlink"]);
        plan.says(0, &[]).shows(&[
            "team: 3 events",
            "take-out",
            "`meetbridge unlink` asks for it",
        ]);
        assert_eq!(plan.out.matches(" take-out ").count(), 3, "{plan}");
        let json = world.run(&["plan", "--unlink", "--calendar", "team", "--json"]);
        json.says(0, &[]).shows(&["\"decision\":\"take-out\""]);
        assert_eq!((world.get("a.ics"), world.get("b.ics")), (with_a, with_b));

        world
            .run(&["unlink", "--all"])
            .says(0, &["link.taken-out"])
            .shows(&[
                "team: 3 read, 3 unlinked, 2 resources written; their meetings stay",
                "team: frozen until `meetbridge resume team`",
            ]);
        assert_eq!(bare(&world.get("a.ics")), bare(&a));
        assert_eq!(bare(&world.get("b.ics")), bare(&b));
        world
            .run(&["unlink", "--calendar", "team"])
            .says(0, &[])
            .shows(&["team: 3 read, 0 unlinked, 0 resources written"]);
        world.run(&["sync"]).says(1, &["unlinked"]);
        assert_eq!(bare(&world.get("a.ics")), bare(&a));
        assert_eq!(world.asked(), 3, "no meeting is made or ended");
        world.run(&["resume", "team"]).says(0, &[]);
        world.sync();
        assert!(world.is_linked("a.ics", "a@example.org"));
        assert!(world.is_linked("b.ics", "c@example.org"));
    }
}

#[test]
fn an_event_is_unlinked_by_its_uid_and_stays_so() {
    let (world, _, b) = linked();
    let before = world.get("a.ics");
    let plan = world.run(&["plan", "--unlink", "b@example.org"]);
    plan.says(0, &[])
        .shows(&["team: 1 events", "b@example.org"]);
    world
        .run(&["unlink", "b@example.org"])
        .says(0, &[])
        .shows(&[
            "team: 1 read, 1 unlinked, 1 resources written",
            "it stays opted out",
        ]);
    world.sync();
    assert_eq!(world.get("a.ics"), before);
    let text = world.get("b.ics");
    let first = text.split("END:VEVENT").next().unwrap();
    let original = b.split("END:VEVENT").next().unwrap();
    let kept = first.replace("X-MEETBRIDGE-MEETING:v1.opt-out\r\n", "");
    assert_ne!(kept, first);
    assert_eq!(bare(&kept), bare(original));
    assert!(world.is_linked("b.ics", "c@example.org"));
    // The mark is enough.
    std::fs::remove_dir_all(world.path("state")).unwrap();
    world.sync();
    assert_eq!(world.get("b.ics"), text);
    world
        .run(&["unlink", "b@example.org"])
        .says(0, &[])
        .shows(&["0 resources written"]);
    world
        .run(&["unlink", "nobody@example.org"])
        .says(1, &["no watched calendar holds an event with this UID"]);
    world.run(&["unlink"]).says(2, &["--calendar NAME"]);
    world.run(&["unlink", "x", "--all"]).says(2, &[]);
    world
        .run(&["unlink", "--calendar", "nobody"])
        .says(1, &["no enabled calendar is named `nobody`"]);
}

#[test]
fn meetings_end_with_their_links_when_that_is_asked_for() {
    let (world, ..) = linked();
    world
        .run(&["unlink", "a@example.org", "--end-meetings"])
        .says(0, &[])
        .shows(&["1 unlinked, 1 resources written, 1 meetings ended"]);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.meeting("a@example.org").unwrap().calls.delete, 1);
    std::fs::remove_dir_all(world.path("state")).unwrap();
    world
        .run(&["unlink", "--all", "--end-meetings"])
        .says(0, &[])
        .shows(&["2 unlinked, 1 resources written, 2 meetings ended"]);
    for uid in ["b@example.org", "c@example.org"] {
        let snapshot = world.snapshot();
        assert_eq!(snapshot.meeting(uid).unwrap().calls.delete, 1, "{uid}");
    }
}

#[test]
fn a_meeting_of_two_calendars_stays_only_for_one_that_keeps_its_link() {
    let world = World::new();
    std::fs::create_dir(world.path("second")).unwrap();
    world.configure(&Setup {
        rest: &format!("{TEAM}[[calendar.directory]]\nname = \"second\"\npath = \"HOME/second\"\n"),
        ..Setup::default()
    });
    let uids = ["a@example.org", "b@example.org"];
    for uid in uids {
        world.put(&format!("{}.ics", &uid[..1]), &single(uid));
        let path = format!("second/{}.ics", &uid[..1]);
        std::fs::write(world.path(&path), single(uid)).unwrap();
    }
    world.sync();
    world.sync();
    let deleted = |uid: &str| world.snapshot().meeting(uid).unwrap().calls.delete;
    // The other calendar is unlinked by the same command: nothing stays.
    let both = world.run(&["unlink", uids[0], "--end-meetings"]);
    both.says(0, &[]).shows(&[
        "team: 1 read, 1 unlinked, 1 resources written, 0 meetings ended",
        "second: 1 read, 1 unlinked, 1 resources written, 1 meetings ended",
    ]);
    assert!(!both.out.contains("stay:"), "{both}");
    assert_eq!(deleted(uids[0]), 1);
    // The other calendar keeps its link.
    let one = ["unlink", uids[1], "--calendar", "team", "--end-meetings"];
    world
        .run(&one)
        .says(0, &[])
        .shows(&["team: 1 meetings stay: their events are linked in another calendar, too"]);
    assert_eq!(deleted(uids[1]), 0);
}

#[test]
fn beside_a_daemon_links_are_taken_out_in_it() {
    let (world, a, b) = linked();
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("calendar.pass");
    let plan = world.run(&["plan", "--unlink"]);
    plan.says(0, &[]);
    assert_eq!(plan.out.matches(" take-out ").count(), 3, "{plan}");
    world
        .run(&["unlink", "a@example.org"])
        .says(0, &[])
        .shows(&["team: 1 read, 1 unlinked, 1 resources written; their meetings stay"]);
    world
        .run(&["unlink", "--all", "--end-meetings"])
        .says(0, &[])
        .shows(&[
            "2 unlinked, 1 resources written, 3 meetings ended",
            "frozen until",
        ]);
    world.run(&["sync"]).says(1, &["unlinked"]);
    let kept = world
        .get("a.ics")
        .replace("X-MEETBRIDGE-MEETING:v1.opt-out\r\n", "");
    assert_eq!(bare(&kept), bare(&a));
    assert_eq!(bare(&world.get("b.ics")), bare(&b));
    world
        .run(&["unlink", "nobody@example.org"])
        .says(1, &["no watched calendar holds an event with this UID"]);
    daemon
        .terminate()
        .says(0, &["control.command", "link.taken-out", "meeting.deleted"]);
}
