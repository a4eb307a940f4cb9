//! No mass action, and faults that stay where they are.

use meetbridge::clock::Clock as _;
use meetbridge::daemon::clock::SystemClock;
use meetbridge::model::CalendarName;
use meetbridge::state::{Gone, Phase, State};

use super::support::{Setup, TEAM, World, assert_additive, calendar, contents, event, single};

#[test]
fn a_large_first_pass_waits_for_consent() {
    let world = World::new();
    for n in 0..51 {
        world.put(&format!("{n}.ics"), &single(&format!("e{n}@example.org")));
    }
    let files = contents(&world.path("team"));
    let resume = "meetbridge resume team";
    world.run(&["plan"]).says(0, &[]).shows(&[
        "waits: its first pass would link 51 events, more than 50",
        resume,
    ]);
    for _ in 0..2 {
        world.run(&["sync"]).says(
            1,
            &["team: waits: its first pass would link 51 events", resume],
        );
    }
    assert_eq!(world.asked(), 0, "nothing is made");
    assert_eq!(contents(&world.path("team")), files, "nothing is written");
    world
        .run(&["status"])
        .says(1, &[])
        .shows(&["waits", "51 events", resume]);
    let status = world.run(&["status", "--json"]);
    status.says(1, &[]);
    assert!(
        status.json()["calendars"][0]["frozen"]["why"]
            .as_str()
            .unwrap()
            .contains(resume)
    );

    world
        .run(&["resume", "nobody"])
        .says(1, &["no enabled calendar is named `nobody`"]);
    world
        .run(&["resume", "team"])
        .says(0, &[])
        .shows(&["team: resumed"]);
    world
        .sync()
        .shows(&["51 meetings made", "51 resources written"]);
    assert_eq!(world.snapshot().meetings.len(), 51);
    world.run(&["status"]).says(0, &[]).shows(&["in-step 51"]);
}

#[test]
fn a_calendar_that_waits_holds_up_no_other() {
    let world = World::new();
    std::fs::create_dir(world.path("small")).unwrap();
    let rest = format!(
        "{TEAM}\n[[calendar.directory]]\nname = \"small\"\npath = \"HOME/small\"\n\
                        \n[budget]\nfirst-pass-limit = 2\n"
    );
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });
    for n in 0..3 {
        world.put(&format!("{n}.ics"), &single(&format!("e{n}@example.org")));
    }
    world.put_in("small", "s.ics", &single("s@example.org"));
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("calendar.waiting");
    super::support::wait_until("the small one's link", || {
        std::fs::read_to_string(world.path("small/s.ics"))
            .unwrap()
            .contains("X-MEETBRIDGE-MEETING")
    });
    daemon.terminate().says(0, &["calendar=team"]);
    assert_eq!(world.snapshot().meetings.len(), 1);
}

#[test]
fn fifty_events_need_no_consent_and_later_ones_none_either() {
    let world = World::new();
    for n in 0..50 {
        world.put(&format!("{n}.ics"), &single(&format!("e{n}@example.org")));
    }
    world.sync().shows(&["50 meetings made"]);
    for n in 50..120 {
        world.put(&format!("{n}.ics"), &single(&format!("e{n}@example.org")));
    }
    world.sync().shows(&["70 meetings made"]);
}

#[test]
fn a_used_up_budget_links_the_soonest_and_says_so() {
    let world = World::new();
    let rest = format!("{TEAM}new-links-per-day = 3\n");
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });
    for n in 0..6 {
        let name = format!("e{n}@example.org");
        world.put(
            &format!("{n}.ics"),
            &calendar(&[event(&name, 100 - 10 * n)]),
        );
    }
    let ended = world.run(&["sync"]);
    ended
        .says(0, &["budget.exhausted", "day-budget", "waiting=3"])
        .shows(&["3 meetings made"]);
    for n in 0..6 {
        let linked = world.is_linked(&format!("{n}.ics"), &format!("e{n}@example.org"));
        assert_eq!(linked, n >= 3, "event {n} in {} hours", 100 - 10 * n);
    }
    world
        .run(&["status"])
        .shows(&["day-budget 3", "in-step 3", "3 of 3"]);
    world.run(&["plan"]).shows(&["day-budget"]);
    world.sync().shows(&["0 meetings made"]);
    assert_eq!(world.asked(), 3, "what is over budget is not asked for");
    // A raised budget is used at once.
    world.reconfigure("new-links-per-day = 3", "new-links-per-day = 5");
    world.sync().shows(&["2 meetings made"]);
}

#[test]
fn a_raised_month_budget_is_used_at_once() {
    let world = World::new();
    let rest = format!("{TEAM}[budget]\nmeetings-per-month = 1\n");
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });
    world.put("a.ics", &single("a@example.org"));
    world.put("b.ics", &single("b@example.org"));
    world
        .run(&["sync"])
        .says(0, &["budget.exhausted", "month-budget"])
        .shows(&["1 meetings made"]);
    world.reconfigure("meetings-per-month = 1", "meetings-per-month = 2");
    world.sync().shows(&["1 meetings made"]);
}

#[test]
fn a_month_that_draws_to_its_end_is_told_once_and_then_that_it_has_ended() {
    let world = World::new();
    let rest = format!("{TEAM}[budget]\nmeetings-per-month = 5\n");
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });
    let put = |n| world.put(&format!("{n}.ics"), &single(&format!("{n}@example.org")));
    (0..3).for_each(put);
    let quiet = world.sync();
    assert!(!quiet.err.contains("budget."), "{quiet}");
    put(3);
    world
        .run(&["sync"])
        .says(0, &["budget.low", "used=4", "limit=5"]);
    (4..7).for_each(put);
    let ended = world.run(&["sync"]);
    ended.says(0, &["budget.exhausted", "month-budget", "waiting=2"]);
    assert!(!ended.err.contains("budget.low"), "told once: {ended}");
    let status = world.run(&["status"]);
    status.says(0, &[]).shows(&["5 of 5", "month-budget 2"]);
    let json = world.run(&["status", "--json"]).json();
    let team = &json["calendars"][0];
    assert_eq!(
        (&team["made-this-month"], &team["meetings-per-month"]),
        (&5.into(), &5.into())
    );
    assert_eq!(team["outcome"]["month-budget"], 2);
}

#[test]
fn status_tells_of_meetings_without_a_link_and_of_those_that_are_to_end() {
    let world = World::new();
    world.configure(&Setup {
        meeting: "on-delete = \"delete\"",
        ..Setup::default()
    });
    for name in ["a", "b", "c"] {
        world.put(
            &format!("{name}.ics"),
            &single(&format!("{name}@example.org")),
        );
    }
    world.sync();
    world.sync();
    let status = world.run(&["status", "--json"]).json();
    assert_eq!(status["calendars"][0]["orphans"], serde_json::json!([]));
    assert_eq!(status["calendars"][0]["meetings-to-delete"], 0);
    // Two events went, one of them before its link was written.
    let now = SystemClock::new().now();
    let (state, _) = State::open(&world.path("state"), now).unwrap();
    let mut links = state.all_links(&CalendarName::new("team")).unwrap();
    links.sort_by_key(|link| link.uid.to_string());
    for link in &mut links[..2] {
        link.gone = Some(Gone {
            since: now,
            confirmed: true,
        });
    }
    links[1].phase = Phase::Intended;
    state.put_links(&links).unwrap();
    drop(state);
    let status = world.run(&["status"]);
    let orphan = "team: 1 meetings whose events went before they got their link: b@example.org";
    status.shows(&[orphan, "team: 2 meetings are to be deleted"]);
    let json = world.run(&["status", "--json"]).json();
    let team = &json["calendars"][0];
    assert_eq!(team["orphans"], serde_json::json!(["b@example.org"]));
    assert_eq!(team["meetings-to-delete"], 2);
    // A calendar that keeps its meetings deletes none; the one without a link is told all the same.
    world.reconfigure("on-delete = \"delete\"", "on-delete = \"keep\"");
    let json = world.run(&["status", "--json"]).json();
    assert_eq!(
        json["calendars"][0]["orphans"],
        serde_json::json!(["b@example.org"])
    );
    assert_eq!(json["calendars"][0]["meetings-to-delete"], 0);
}

#[test]
fn a_broken_calendar_harms_no_other() {
    let world = World::new();
    let rest = format!("[[calendar.directory]]\nname = \"gone\"\npath = \"HOME/gone\"\n\n{TEAM}");
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });
    world.put("one.ics", &single("one@example.org"));
    let ended = world.run(&["sync"]);
    ended
        .says(1, &["gone: ", "gone: ", "does not exist"])
        .shows(&["team: 1 read", "1 meetings made"]);
    assert!(world.is_linked("one.ics", "one@example.org"));
    world
        .run(&["check"])
        .says(1, &[])
        .shows(&["error: ", "gone", "hint: "]);
    world
        .run(&["plan"])
        .says(1, &["gone: ", "does not exist"])
        .shows(&["team: 1 events"]);
    world
        .run(&["status"])
        .says(1, &[])
        .shows(&["gone", "failing", "does not exist"]);

    let mut daemon = world.start(&["run"]);
    daemon.wait_log("calendar.failing");
    world.put("two.ics", &single("two@example.org"));
    super::support::wait_until("the neighbour's link", || {
        world.is_linked("two.ics", "two@example.org")
    });
    daemon.terminate().says(0, &["calendar=gone"]);

    std::fs::create_dir(world.path("gone")).unwrap();
    world.sync();
    world.run(&["status"]).says(0, &[]);
}

#[test]
fn broken_files_harm_no_good_ones() {
    let world = World::new();
    let half = single("half@example.org");
    let half = &half[..half.len() - 30];
    let deep = format!(
        "BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n",
        "BEGIN:VEVENT\r\n".repeat(3000)
    );
    let mixed = event("broken@example.org", 24).replace("DTSTART:", "DTSTART:tomorrow");
    let mixed = calendar(&[mixed, event("beside@example.org", 24)]);
    world.put("half.ics", half);
    world.put("deep.ics", &deep);
    world.put("mixed.ics", &mixed);
    std::fs::write(
        world.path("team/rubbish.ics"),
        b"\0\xff\xfe\x01END:VCALENDAR\r\n",
    )
    .unwrap();
    std::fs::write(world.path("team/empty.ics"), b"").unwrap();
    world.put("good.ics", &single("good@example.org"));
    let ended = world.run(&["sync"]);
    ended.shows(&["2 meetings made", "2 resources written"]);
    ended.says(
        ended.code.unwrap(),
        &[
            "event.faulty",
            "resource.unreadable",
            " more faults, which `meetbridge plan` shows",
        ],
    );
    assert!(ended.err.lines().count() < 60, "{ended}");
    assert!(world.is_linked("good.ics", "good@example.org"));
    assert!(world.is_linked("mixed.ics", "beside@example.org"));
    assert_additive(&mixed, &world.get("mixed.ics"));
    assert_eq!(world.get("half.ics"), half);
    assert_eq!(world.get("deep.ics"), deep);
    world.run(&["status"]).shows(&["not-understood"]);
}
