//! Real CalDAV servers, the real binary, and a person's client that was written by others.

use std::os::unix::fs::PermissionsExt as _;

use chrono::{DateTime, Utc};
use meetbridge::simulator::Endpoint;
use serde_json::Value;

use super::support::{GUEST, Running, Setup, TITLE, World, hour_after, wait_until};
use crate::servers::harness::{ALICE, Client, Kind, Tap};

/// What a person's edit may cost us on the server.
const ONE_WRITE: usize = 1;

/// A calendar on a server, a person's client of it, and a world that is configured for it.
struct Scene {
    world: World,
    client: Client,
    /// What the binary sends to the server.
    tap: Tap,
    /// Where the calendar is, as the client sees it.
    url: String,
}

impl Scene {
    fn new(kind: Kind, name: &str) -> Self {
        let server = kind.shared();
        let (world, tap) = (World::new(), Tap::new(server));
        let mut client = Client::new(server, ALICE);
        let made = client.must(&["make-calendar", name]);
        let url = made["url"].as_str().unwrap().to_owned();
        let password = world.path("alice-password");
        std::fs::write(&password, ALICE.password).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        let path = url.strip_prefix(&server.url()).unwrap();
        let table = format!(
            "[[calendar.caldav]]\nname = \"alice\"\nurl = \"{}\"\nusername = \"alice\"\n\
             password-file = \"HOME/alice-password\"\ncollections = [\"/{path}\"]\n\
             poll = \"1s\"\npoll-fastest = \"1s\"\n{}",
            tap.url(),
            match kind {
                Kind::Radicale => "addresses = [\"alice@example.org\"]\n",
                // The server knows them.
                Kind::Xandikos => "",
            },
        );
        world.configure(&Setup {
            rest: &table,
            ..Setup::default()
        });
        Self {
            world,
            client,
            tap,
            url,
        }
    }

    /// A command of the client on the calendar.
    #[track_caller]
    fn person(&mut self, words: &[&str]) -> Value {
        let (command, rest) = words.split_first().unwrap();
        self.client.must(&[&[*command, &self.url], rest].concat())
    }

    /// The client makes an event that starts in so many hours and has a guest.
    fn create(&mut self, uid: &str, hours: i64) {
        let start = instant(hours);
        self.person(&[
            "create",
            uid,
            "--start",
            &start,
            "--summary",
            TITLE,
            "--description",
            "Agenda",
            "--organizer",
            "alice@example.org",
            "--attendee",
            GUEST,
        ]);
    }

    /// The content lines of each VEVENT, as the client reads them.
    fn lines(&mut self, uid: &str) -> Vec<Vec<String>> {
        let shown = self.person(&["show", uid]);
        let events = shown["events"].as_array().unwrap();
        let lines = |event: &Value| {
            let lines = event["properties"].as_array().unwrap();
            lines
                .iter()
                .map(|l| l.as_str().unwrap().to_owned())
                .collect()
        };
        events.iter().map(lines).collect()
    }

    /// Whether every VEVENT shows this event's meeting.
    fn is_linked(&mut self, uid: &str) -> bool {
        let snapshot = self.world.snapshot();
        let Some(meeting) = snapshot.meeting(uid).and_then(|m| m.current.as_ref()) else {
            return false;
        };
        let shows = |event: &Vec<String>| {
            let described =
                |l: &&String| l.starts_with("DESCRIPTION") && l.contains(&meeting.join_web_url);
            event.iter().filter(described).count() == 1
                && event.iter().any(|l| l.starts_with("X-MEETBRIDGE-MEETING"))
        };
        self.lines(uid).iter().all(shows)
    }

    /// What Graph was asked for, in all.
    fn asked(&self) -> u64 {
        let snapshot = self.world.snapshot();
        let kinds = snapshot.requests.iter();
        kinds
            .filter(|(kind, _)| **kind != Endpoint::Token)
            .map(|(_, n)| n)
            .sum()
    }

    /// A pass after a person's edit, and one more. What the person wrote is there afterwards, in
    /// meaning; one write at most was needed, and nothing is left to do.
    fn follows(&mut self, uid: &str) {
        let before = self.lines(uid);
        let puts = self.puts();
        self.world.sync();
        let after = self.lines(uid);
        assert_kept(&before, &after);
        assert!(self.puts() <= puts + ONE_WRITE);
        self.is_quiet();
        assert_eq!(self.lines(uid), after);
    }

    /// A pass that does nothing.
    fn is_quiet(&self) {
        let (puts, asked) = (self.puts(), self.asked());
        self.world
            .sync()
            .shows(&["0 meetings made", "0 resources written"]);
        assert_eq!((self.puts(), self.asked()), (puts, asked));
    }

    /// How many requests wrote.
    fn puts(&self) -> usize {
        self.tap.count("PUT")
    }

    /// Each event has a meeting, there is no other one, and none was made twice.
    fn has_one_meeting_each(&self, uids: &[String]) {
        let snapshot = self.world.snapshot();
        let keys = snapshot.meetings.iter().map(|m| m.external_id.as_deref());
        let keys: Vec<_> = keys.map(Option::unwrap).collect();
        assert_eq!(keys, uids);
        assert!(snapshot.meetings.iter().all(|meeting| meeting.made == 1));
    }

    /// When the event's meeting begins.
    fn begins(&self, uid: &str) -> DateTime<Utc> {
        let snapshot = self.world.snapshot();
        let meeting = snapshot.meeting(uid).unwrap().current.clone().unwrap();
        meeting.start_date_time.parse().unwrap()
    }
}

/// An instant so many hours ahead, as the client takes it.
fn instant(hours: i64) -> String {
    hour_after(hours).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Asserts that every line is there as it was, but for the stamps of a write and what follows the
/// person's own description.
#[track_caller]
fn assert_kept(before: &[Vec<String>], after: &[Vec<String>]) {
    assert_eq!(before.len(), after.len(), "{after:#?}");
    for (before, after) in before.iter().zip(after) {
        for line in before {
            let stamp = ["DTSTAMP", "LAST-MODIFIED"]
                .iter()
                .find(|name| line.starts_with(**name));
            let is_there = |l: &String| match stamp {
                Some(name) => l.starts_with(name),
                None if line.starts_with("DESCRIPTION") => l.starts_with(line),
                None => l == line,
            };
            assert!(after.iter().any(is_there), "{line} is lost:\n{after:#?}");
        }
    }
}

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
    wait_until("three more polls", || scene.tap.seen().len() >= seen + 3);
    for (method, _) in scene.tap.seen().split_off(seen) {
        assert_eq!(
            method, "REPORT",
            "a poll that finds nothing costs one request"
        );
    }
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

/// Another meetbridge that looks after the same calendar, with a state of its own.
struct Second {
    config: String,
    tap: Tap,
}

impl Second {
    fn new(scene: &Scene, kind: Kind) -> Self {
        let tap = Tap::new(kind.shared());
        let text = std::fs::read_to_string(scene.world.path("config.toml")).unwrap();
        assert!(text.contains("/state\"") && text.contains(&scene.tap.url()));
        let text = text.replace("/state\"", "/second-state\"");
        let path = scene.world.path("second.toml");
        std::fs::write(&path, text.replace(&scene.tap.url(), &tap.url())).unwrap();
        let config = path.to_str().unwrap().to_owned();
        Self { config, tap }
    }

    fn start(&self, scene: &Scene, command: &str) -> Running {
        let given = ["--config", &self.config, "--log", "debug", command];
        scene.world.start_bare(&given)
    }

    fn sync(&self, scene: &Scene) {
        let ended = self.start(scene, "sync").finish();
        assert_eq!(ended.code, Some(0), "{ended}");
    }
}

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
    wait_until("the links", || uids.iter().all(|uid| scene.is_linked(uid)));
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
