//! Real CalDAV servers, the real binary, and a person's client that was written by others.

mod account;
mod faults;
mod killed;
mod person;
mod together;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use meetbridge::clock::Clock as _;
use meetbridge::daemon::clock::SystemClock;
use meetbridge::simulator::Endpoint;
use serde_json::Value;

use super::support::{GUEST, Running, Setup, TITLE, World, hour_after};
use crate::servers::harness::{ALICE, Client, Kind, Tap};

/// What a person's edit may cost us on the server.
const ONE_WRITE: usize = 1;

/// How long daemons may take that are in each other's way.
const LONG: Duration = Duration::from_secs(180);

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
        let path = url.strip_prefix(&server.url()).unwrap();
        configure(&world, kind, &tap, &format!("collections = [\"/{path}\"]"));
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

/// Configures alice's account on the server behind `tap`, with one more line.
fn configure(world: &World, kind: Kind, tap: &Tap, more: &str) {
    let password = world.path("alice-password");
    std::fs::write(&password, ALICE.password).unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let addresses = match kind {
        Kind::Radicale => "addresses = [\"alice@example.org\"]",
        // The server knows them.
        Kind::Xandikos => "",
    };
    let table = format!(
        "[[calendar.caldav]]\nname = \"alice\"\nurl = \"{}\"\nusername = \"alice\"\n\
         password-file = \"HOME/alice-password\"\npoll = \"1s\"\npoll-fastest = \"1s\"\n\
         {addresses}\n{more}\n",
        tap.url(),
    );
    world.configure(&Setup {
        rest: &table,
        ..Setup::default()
    });
}

/// Waits longer than it takes until a write that met a lock is tried again.
fn wait_long(what: &str, mut condition: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    while !condition() {
        assert!(clock.elapsed() < LONG, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
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
