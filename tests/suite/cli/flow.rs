//! A saved file gets its link, and what is done to it afterwards.

use std::io::Write as _;

use meetbridge::simulator::Endpoint;

use super::support::{
    Setup, TEAM, TITLE, World, assert_additive, calendar, contents, event, single, unfold,
    wait_until,
};

#[test]
fn one_pass_links_and_the_next_writes_nothing() {
    let world = World::new();
    let before = single("one@example.org");
    world.put("one.ics", &before);

    world.run(&["check"]).says(0, &[]);
    let plan = world.run(&["plan"]);
    plan.says(0, &[]).shows(&[
        "team: 1 events",
        "one@example.org",
        "link",
        "the rules select it",
    ]);
    assert_eq!(world.get("one.ics"), before, "a plan changes nothing");
    assert_eq!(world.asked(), 0, "a plan makes nothing");
    assert!(!world.path("state").exists(), "a plan remembers nothing");

    world
        .sync()
        .shows(&["team: 1 read", "1 meetings made", "1 resources written"]);
    assert!(world.is_linked("one.ics", "one@example.org"));
    assert_additive(&before, &world.get("one.ics"));

    let (files, state) = (
        contents(&world.path("team")),
        contents(&world.path("state")),
    );
    world
        .sync()
        .shows(&["0 meetings made", "0 resources written"]);
    assert_eq!(contents(&world.path("team")), files);
    // The lock file holds the number of the process.
    let database = |all: Vec<(std::path::PathBuf, Vec<u8>)>| {
        all.into_iter()
            .filter(|(path, _)| path.ends_with("state.db"))
            .collect::<Vec<_>>()
    };
    world.sync();
    let (before, after) = (database(state), database(contents(&world.path("state"))));
    assert_eq!(before.len(), after.len());
    assert_eq!(world.asked(), 1, "a second pass asks Graph for nothing");

    let plan = world.run(&["plan"]);
    plan.says(0, &[]).shows(&["in-step"]);
}

#[test]
fn a_fault_of_an_event_is_told_with_its_file_and_line() {
    let world = World::new();
    let broken = calendar(&[event("broken@example.org", 24)]).replace("DTSTART:", "DTSTART:soon");
    let at = broken.lines().position(|line| line.starts_with("DTSTART"));
    let line = at.unwrap() + 1;
    world.put("broken.ics", &broken);
    world.put("good.ics", &single("good@example.org"));

    let told = format!("broken.ics: line {line}: DTSTART cannot be read");
    world.run(&["plan"]).says(0, &[]).shows(&[&told]);
    let plan = world.run(&["plan", "--json"]).json();
    let events = plan["calendars"][0]["events"].as_array().unwrap();
    let of = |uid: &str| events.iter().find(|e| e["uid"] == uid).unwrap();
    let broken = of("broken@example.org");
    assert_eq!(broken["resource"], "broken.ics");
    assert_eq!(broken["line"], line);
    assert_eq!(broken["reason"], "DTSTART cannot be read");
    assert_eq!(of("good@example.org")["line"], serde_json::Value::Null);
    let told = format!("nothing is done: line {line}: DTSTART cannot be read");
    let explained = world.run(&["explain", "broken@example.org"]);
    explained.says(0, &[]).shows(&["team broken.ics", &told]);
    let told = format!("uid=broken@example.org line={line} error=");
    world
        .run(&["sync"])
        .says(0, &["event.faulty", "resource=broken.ics", &told]);
}

#[test]
fn a_description_in_html_gets_the_link_or_is_left_with_its_reason() {
    let world = World::new();
    let twins = "DESCRIPTION;ALTREP=\"data:text/html,%3Cbody%3E%3Cb%3EAgenda%3C%2Fb%3E%3C%2Fbody%3E\":Agenda\r\n\
                 X-ALT-DESC;FMTTYPE=text/html:<html><body><b>Agenda</b></body></html>";
    let good = single("good@example.org").replace("DESCRIPTION:Agenda", twins);
    let open = "X-ALT-DESC;FMTTYPE=text/html:<p>Agenda<!-- x\r\nDESCRIPTION:Agenda";
    let left = single("left@example.org").replace("DESCRIPTION:Agenda", open);
    world.put("good.ics", &good);
    world.put("left.ics", &left);
    let line = left
        .lines()
        .position(|line| line.starts_with("X-ALT"))
        .unwrap()
        + 1;

    let synced = world.run(&["sync"]);
    let told = format!("uid=left@example.org line={line} reason=");
    synced.says(0, &["link.twin-left", &told]);
    assert!(!synced.err.contains("uid=good@example.org line="));
    assert!(world.is_linked("good.ics", "good@example.org"));
    assert!(unfold(&world.get("good.ics")).contains("%3C%2Fb%3E%3Chr%3E%3Cp%3E"));
    assert!(
        unfold(&world.get("left.ics"))
            .contains("\r\nX-ALT-DESC;FMTTYPE=text/html:<p>Agenda<!-- x\r\n")
    );
    let told = format!(
        "HTML: line {line}: X-ALT-DESC is left as it is: a comment, a tag or a script in its HTML has no end"
    );
    world
        .run(&["explain", "left@example.org"])
        .says(0, &[])
        .shows(&[&told, "its link and its meeting are up to date"]);
    let written = world.get("good.ics");
    world.sync();
    assert_eq!(world.get("good.ics"), written);
}

#[test]
fn plan_status_and_explain_say_what_is() {
    let world = World::new();
    let zoom =
        event("zoom@example.org", 30).replace("DESCRIPTION:Agenda", "LOCATION:https://zoom.us/j/1");
    world.put("a.ics", &calendar(&[event("a@example.org", 24), zoom]));

    let plan = world.run(&["plan", "--json"]).json();
    let calendar = &plan["calendars"][0];
    assert_eq!(calendar["name"], "team");
    assert_eq!(calendar["attendees"], "not-told");
    let events: Vec<_> = calendar["events"].as_array().unwrap().iter().collect();
    let of = |uid: &str| *events.iter().find(|e| e["uid"] == uid).unwrap();
    assert_eq!(of("a@example.org")["decision"], "link");
    assert_eq!(of("a@example.org")["acts"], true);
    assert_eq!(of("zoom@example.org")["decision"], "foreign-link");
    assert!(
        of("a@example.org").get("title").is_none(),
        "titles are asked for"
    );

    world
        .run(&["status"])
        .says(0, &[])
        .shows(&["team", "never passed over"]);
    world.sync();
    world.run(&["status"]).says(0, &[]).shows(&[
        "team",
        "ok",
        "foreign-link 1",
        "in-step 1",
        "1 of 500",
        "1 of 1800",
    ]);
    let status = world.run(&["status", "--json"]).json();
    let team = &status["calendars"][0];
    assert_eq!(
        team["outcome"],
        serde_json::json!({"foreign-link": 1, "in-step": 1})
    );
    assert_eq!(
        (&team["made-today"], &team["frozen"], &team["failing"]),
        (&1.into(), &().into(), &().into())
    );

    world
        .run(&["explain", "a@example.org"])
        .says(0, &[])
        .shows(&[
            "team a.ics",
            "yes it is selected (1 invited, not tagged)",
            "link: written",
            "nothing is done: its link and its meeting are up to date",
        ]);
    world
        .run(&["explain", "zoom@example.org"])
        .says(0, &[])
        .shows(&["no  it has no other conference", "link: none"]);
    world
        .run(&["explain", "nobody@example.org"])
        .says(1, &["no watched calendar holds an event with this UID"]);
}

#[test]
fn an_event_with_a_long_uid_is_found_by_the_name_it_has_in_the_log() {
    let world = World::new();
    let uid = format!("{}@example.org", "x".repeat(100));
    world.put("long.ics", &single(&uid));
    let ended = world.sync();
    assert!(!ended.err.contains(&uid), "{ended}");
    let at = ended.err.find("sha256:").unwrap();
    let name = &ended.err[at..at + "sha256:".len() + 12];
    world
        .run(&["explain", name])
        .says(0, &[])
        .shows(&["team long.ics", "link: written"]);
}

#[test]
fn a_daemon_follows_what_other_programs_do_to_a_file() {
    let world = World::new();
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("daemon.ready");

    // As an editor saves: a new file takes the old one's name.
    let before = single("one@example.org");
    world.put("one.ics", &before);
    wait_until("the link of a new file", || {
        world.is_linked("one.ics", "one@example.org")
    });
    assert_additive(&before, &world.get("one.ics"));

    // As a script saves: in pieces, the file cut short first.
    let text = single("two@example.org");
    let mut file = std::fs::File::create(world.path("team/two.ics")).unwrap();
    for piece in [&text[..40], &text[40..200], &text[200..]] {
        file.write_all(piece.as_bytes()).unwrap();
        file.flush().unwrap();
    }
    drop(file);
    wait_until("the link of a file in pieces", || {
        world.is_linked("two.ics", "two@example.org")
    });
    assert_additive(&text, &world.get("two.ics"));

    // An edit of the title, and of the times: the meeting follows, once each.
    let patches = || world.snapshot().requests(Endpoint::Patch);
    let start = |uid: &str| {
        let held = world
            .snapshot()
            .meeting(uid)
            .unwrap()
            .current
            .clone()
            .unwrap();
        held.start_date_time
            .parse::<chrono::DateTime<chrono::Utc>>()
            .unwrap()
    };
    let linked = world.get("one.ics");
    world.put("one.ics", &linked.replace(TITLE, "Zwiebelkuchen neu"));
    wait_until("the new title", || patches() == 1);
    let old = super::support::hour_after(24)
        .format("%Y%m%dT%H%M%SZ")
        .to_string();
    let new = super::support::hour_after(48);
    let moved = world
        .get("one.ics")
        .replace(&old, &new.format("%Y%m%dT%H%M%SZ").to_string());
    assert_ne!(moved, world.get("one.ics"));
    world.put("one.ics", &moved);
    wait_until("the new time", || start("one@example.org") == new);
    assert!(
        world.is_linked("one.ics", "one@example.org"),
        "it keeps its link"
    );

    // A new name: the same event, the same meeting.
    std::fs::rename(world.path("team/one.ics"), world.path("team/moved.ics")).unwrap();
    wait_until("the new name", || {
        daemon.log().contains("resource=moved.ics") || {
            world.run(&["status", "--json"]).json()["calendars"][0]["outcome"]["in-step"] == 2
        }
    });
    // Deleted: it stays deleted.
    std::fs::remove_file(world.path("team/two.ics")).unwrap();
    wait_until("the vanished file", || {
        daemon.log().contains("resource.vanished")
    });
    // A last one, after which everything before it has been seen.
    world.put("three.ics", &single("three@example.org"));
    wait_until("the link of the last file", || {
        world.is_linked("three.ics", "three@example.org")
    });

    daemon
        .terminate()
        .says(0, &["daemon.stopping", "daemon.stopped"]);
    assert_eq!(world.names("team"), ["moved.ics", "three.ics"]);
    assert_eq!(patches(), 2, "one for the title, one for the time");
    let snapshot = world.snapshot();
    let made: Vec<_> = snapshot.meetings.iter().map(|m| m.made).collect();
    assert_eq!(made, [1, 1, 1]);
    world
        .sync()
        .shows(&["0 meetings made", "0 updated", "0 resources written"]);
}

#[test]
fn one_file_with_many_events_is_written_once() {
    let world = World::new();
    let events: Vec<_> = (0..20)
        .map(|n| event(&format!("e{n}@example.org"), 24 + n))
        .collect();
    let before = calendar(&events);
    std::fs::write(world.path("all.ics"), &before).unwrap();
    let rest = "[[calendar.file]]\nname = \"all\"\npath = \"HOME/all.ics\"\n";
    world.configure(&Setup {
        rest,
        ..Setup::default()
    });
    world
        .sync()
        .shows(&["all: 1 read", "20 meetings made", "1 resources written"]);
    let after = std::fs::read_to_string(world.path("all.ics")).unwrap();
    assert_additive(&before, &after);
    assert_eq!(after.matches("\r\nX-MEETBRIDGE-MEETING:").count(), 20);
}

#[test]
fn losing_the_state_loses_nothing() {
    let world = World::new();
    world.put("one.ics", &single("one@example.org"));
    world.sync();
    let files = contents(&world.path("team"));
    std::fs::remove_dir_all(world.path("state")).unwrap();
    world
        .sync()
        .shows(&["0 meetings made", "0 resources written"]);
    assert_eq!(contents(&world.path("team")), files);
    assert_eq!(world.asked(), 1, "the link is found in the event");
}

#[test]
fn only_the_named_calendar_is_passed_over() {
    let world = World::new();
    std::fs::create_dir(world.path("other")).unwrap();
    let rest = format!("{TEAM}[[calendar.directory]]\nname = \"other\"\npath = \"HOME/other\"\n");
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });
    world.put("one.ics", &single("one@example.org"));
    world.put_in("other", "two.ics", &single("two@example.org"));
    let ended = world.run(&["sync", "--calendar", "team"]);
    ended.says(0, &[]).shows(&["team: 1 read"]);
    assert!(!ended.out.contains("other:"), "{ended}");
    assert!(world.snapshot().meeting("two@example.org").is_none());
    let ended = world.run(&["sync", "--calendar", "nowhere"]);
    ended.says(
        1,
        &["no enabled calendar is named `nowhere`", "team, other"],
    );
}

#[test]
fn a_pass_waits_once_for_what_is_still_settling() {
    let world = World::new();
    world.reconfigure("settle = \"0s\"", "settle = \"2s\"");
    world.put("one.ics", &single("one@example.org"));
    world.run(&["plan"]).says(0, &[]).shows(&["settling"]);
    world
        .sync()
        .shows(&["1 meetings made", "1 resources written"]);
    assert!(world.is_linked("one.ics", "one@example.org"));
}

#[test]
fn a_stale_save_right_after_the_link_gets_the_link_again() {
    let world = World::new();
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("daemon.ready");
    let before = single("one@example.org");
    world.put("one.ics", &before);
    wait_until("the link", || world.is_linked("one.ics", "one@example.org"));
    // A program that had read the event before it was linked saves its own edit of it.
    let edited = before.replace("DESCRIPTION:Agenda", "DESCRIPTION:Another agenda");
    world.put("one.ics", &edited);
    wait_until("the link again", || {
        world.is_linked("one.ics", "one@example.org")
    });
    assert_additive(&edited, &world.get("one.ics"));
    daemon.terminate().says(0, &[]);
    assert_eq!(world.snapshot().meeting("one@example.org").unwrap().made, 1);
}

#[test]
fn edits_in_quick_succession_are_all_kept() {
    let world = World::new();
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("daemon.ready");
    let mut last = String::new();
    for edit in 0..60 {
        // Half of them from before the link, half on top of what is there.
        let base = match edit % 2 {
            0 => single("one@example.org"),
            _ => world.get("one.ics"),
        };
        let kept = format!("X-EDIT:{edit}\r\nEND:VEVENT");
        let old = base
            .lines()
            .find(|l| l.starts_with("X-EDIT:"))
            .map(|l| format!("{l}\r\n"));
        let base = old.map_or(base.clone(), |old| base.replace(&old, ""));
        last = base.replace("END:VEVENT", &kept);
        world.put("one.ics", &last);
        std::thread::sleep(std::time::Duration::from_millis(edit % 7 * 10));
    }
    assert!(last.contains("X-EDIT:59"));
    wait_until("the link", || world.is_linked("one.ics", "one@example.org"));
    daemon.terminate().says(0, &[]);
    world.sync();
    let after = world.get("one.ics");
    assert!(after.contains("\r\nX-EDIT:59\r\n"), "{after}");
    assert_eq!(
        after.matches("\r\nX-MEETBRIDGE-MEETING:").count(),
        1,
        "{after}"
    );
    assert_eq!(world.names("team"), ["one.ics"]);
    assert_eq!(world.snapshot().meeting("one@example.org").unwrap().made, 1);
}

#[test]
fn two_at_once_with_states_of_their_own_make_one_meeting_for_each_event() {
    let world = World::with(|settings| settings.latency = std::time::Duration::from_millis(3));
    let text = std::fs::read_to_string(world.path("config.toml")).unwrap();
    let state = world.path("state");
    let other = text.replace(
        state.to_str().unwrap(),
        world.path("other-state").to_str().unwrap(),
    );
    std::fs::write(world.path("other.toml"), other).unwrap();
    let uid = |n: usize| format!("e{n}@example.org");
    let text = |n: usize| single(&uid(n));
    for n in 0..50 {
        world.put(&format!("{n}.ics"), &text(n));
    }
    let one = world.start(&["sync"]);
    let other = world.start_bare(&[
        "--config",
        world.path("other.toml").to_str().unwrap(),
        "sync",
    ]);
    let (one, other) = (one.finish(), other.finish());
    for ended in [one, other] {
        // A file that the other one was writing is left for the next pass.
        let waits =
            ended.code == Some(1) && ended.err.contains("another program holds a lock on it");
        assert!(waits || ended.code == Some(0), "{ended}");
    }
    world.sync();
    for n in 0..50 {
        let name = format!("{n}.ics");
        assert!(world.is_linked(&name, &uid(n)));
        assert_additive(&text(n), &world.get(&name));
        assert_eq!(
            world
                .get(&name)
                .matches("\r\nX-MEETBRIDGE-MEETING:")
                .count(),
            1
        );
    }
    let snapshot = world.snapshot();
    assert_eq!(snapshot.meetings.len(), 50);
    assert!(snapshot.meetings.iter().all(|m| m.made == 1));
    assert_eq!(world.names("team").len(), 50, "no temporary file is left");
}
