//! A server that fails, and what an administrator sees of it; played on the fake server.

use std::os::unix::fs::PermissionsExt as _;

use super::super::support::{Setup, TEAM, World, single, wait_until};
use super::instant;
use crate::caldav::fake::{Act, Fake, Fault, Quirks};

/// An event of alice's with a guest.
fn invitation(uid: &str, hours: i64) -> Vec<u8> {
    let start = instant(hours).replace(['-', ':'], "");
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\nDTSTART:{start}\r\nDURATION:PT1H\r\nSUMMARY:Review\r\n\
         ATTENDEE:mailto:bob@example.org\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    .into_bytes()
}

/// Alice's account on the fake server, with a password, beside a directory.
fn world(fake: &Fake, password: &str) -> World {
    let world = World::new();
    let file = world.path("alice-password");
    std::fs::write(&file, password).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let table = format!(
        "{TEAM}[[calendar.caldav]]\nname = \"alice\"\nurl = \"{}\"\nusername = \"alice\"\n\
         password-file = \"HOME/alice-password\"\npoll = \"1s\"\npoll-fastest = \"1s\"\n\
         addresses = [\"alice@example.org\"]\n",
        fake.url(),
    );
    world.configure(&Setup {
        rest: &table,
        ..Setup::default()
    });
    world
}

fn is_linked(fake: &Fake, name: &str) -> bool {
    let text = fake.get("alice/work", name).unwrap_or_default();
    String::from_utf8_lossy(&text).contains("X-MEETBRIDGE-MEETING")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

#[test]
fn a_server_that_is_down_when_the_daemon_starts_is_waited_for_and_holds_nobody_up() {
    let runtime = runtime();
    let fake = runtime.block_on(Fake::start(Quirks::default()));
    fake.put("alice/work", "a.ics", invitation("a@x", 24));
    fake.fault(Fault::new(Act::status(502)).always());
    let world = world(&fake, "alice-secret");
    world.put("b.ics", &single("b@x"));
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("account.failing");
    wait_until("the neighbour's link", || world.is_linked("b.ics", "b@x"));
    assert!(!is_linked(&fake, "a.ics"));

    fake.no_faults();
    wait_until("the link", || is_linked(&fake, "a.ics"));
    let log = daemon.terminate().err;
    assert_eq!(log.matches("account.failing").count(), 1, "{log}");
    assert_eq!(log.matches("account.recovered").count(), 1, "{log}");
}

#[test]
fn a_wrong_password_is_said_once_and_its_correction_is_found() {
    let runtime = runtime();
    let fake = runtime.block_on(Fake::start(Quirks::default()));
    fake.put("alice/work", "a.ics", invitation("a@x", 24));
    let world = world(&fake, "wrong");
    world.put("b.ics", &single("b@x"));
    let sync = world.run(&["sync"]);
    sync.says(1, &["alice: ", "user's name or password"]);
    sync.shows(&["team: 1 read"]);
    assert!(world.is_linked("b.ics", "b@x") && !is_linked(&fake, "a.ics"));
    let before = fake.requests().len();
    assert!(before <= 2, "a wrong password is not tried again and again");

    std::fs::write(world.path("alice-password"), "alice-secret").unwrap();
    world.run(&["sync", "--calendar", "alice"]).says(0, &[]);
    assert!(is_linked(&fake, "a.ics"));
}

#[test]
fn plan_and_status_tell_what_a_server_does() {
    let runtime = runtime();
    let fake = runtime.block_on(Fake::start(Quirks::cyrus()));
    fake.put("alice/work", "a.ics", invitation("a@x", 24));
    let world = world(&fake, "alice-secret");
    world.run(&["plan"]).says(0, &[]).shows(&[
        "alice/",
        "the server tells attendees of a link",
        ": 1 of those to be written have some",
    ]);
    let plan = world.run(&["plan", "--json"]).json();
    let calendars = plan["calendars"].as_array().unwrap();
    let of = |name: &str| {
        let its = |c: &&serde_json::Value| c["name"].as_str().unwrap().starts_with(name);
        calendars.iter().find(its).unwrap()
    };
    assert_eq!(of("alice/")["attendees"], "told");
    assert_eq!(of("alice/")["events"][0]["has-attendees"], true);
    assert_eq!(of("team")["attendees"], "not-told");

    world.run(&["sync"]).says(0, &[]);
    world.run(&["status"]).says(0, &[]).shows(&[
        "alice/",
        "alice: attendees: are told of a link",
        "alice: bodies: kept as they are written",
    ]);
    world
        .run(&["explain", "a@x"])
        .says(0, &[])
        .shows(&["attendees: somebody is invited; the server tells attendees"]);
}

#[test]
fn an_emptied_calendar_freezes_and_goes_on_when_it_is_resumed() {
    const EVENTS: i64 = 30;
    let runtime = runtime();
    let fake = runtime.block_on(Fake::start(Quirks::default()));
    let names: Vec<_> = (0..EVENTS).map(|n| format!("{n}.ics")).collect();
    for (n, name) in (0..).zip(&names) {
        fake.put("alice/work", name, invitation(&format!("{n}@x"), 24 + n));
    }
    let world = world(&fake, "alice-secret");
    world.run(&["sync"]).says(0, &[]);
    assert!(names.iter().all(|name| is_linked(&fake, name)));

    for name in &names {
        fake.delete("alice/work", name);
    }
    fake.put("alice/work", "new.ics", invitation("new@x", 24));
    let sync = world.run(&["sync"]);
    sync.says(1, &["waits"]);
    assert!(!is_linked(&fake, "new.ics"), "nothing is written meanwhile");
    assert_eq!(world.snapshot().meetings.len(), EVENTS as usize);
    world
        .run(&["status"])
        .says(1, &[])
        .shows(&["meetbridge resume"]);

    world
        .run(&["resume", "alice"])
        .says(0, &[])
        .shows(&["resumed"]);
    world.run(&["sync"]).says(0, &[]);
    assert!(is_linked(&fake, "new.ics"));
    world.run(&["status"]).says(0, &[]);
}

#[test]
fn a_calendar_that_is_not_there_does_not_stop_the_others_of_its_account() {
    let runtime = runtime();
    let fake = runtime.block_on(Fake::start(Quirks::default()));
    fake.put("alice/work", "a.ics", invitation("a@x", 24));
    let world = world(&fake, "alice-secret");
    let line = "addresses = [\"alice@example.org\"]\n";
    let more = format!("{line}collections = [\"nowhere\", \"work\"]\n");
    world.reconfigure(line, &more);
    let sync = world.run(&["sync"]);
    sync.says(1, &["no calendar there is named \"nowhere\""]);
    assert!(is_linked(&fake, "a.ics"));

    let mut daemon = world.start(&["run"]);
    daemon.wait_log("account.failing");
    fake.put("alice/work", "b.ics", invitation("b@x", 24));
    wait_until("the link", || is_linked(&fake, "b.ics"));
    fake.calendar("alice/nowhere");
    let log = daemon.terminate().err;
    assert_eq!(log.matches("account.failing").count(), 1, "{log}");
}
