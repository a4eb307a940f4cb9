//! kill -9 at any moment is harmless (DESIGN.md, promise 4).

use std::time::Duration;

use meetbridge::clock::Clock as _;
use meetbridge::daemon::clock::SystemClock;

use super::support::{Setup, TEAM, World, assert_additive, calendar, contents, event, unfold};

const EVENTS: usize = 200;
const KILLS: usize = 100;

fn uid(n: usize) -> String {
    format!("event-{n}@example.org")
}

/// The files of a calendar: `each` events in one.
fn files(each: usize) -> Vec<(String, String)> {
    (0..EVENTS / each)
        .map(|file| {
            let events = (file * each..(file + 1) * each).map(|n| event(&uid(n), 24 + n as i64));
            (format!("{file}.ics"), calendar(&events.collect::<Vec<_>>()))
        })
        .collect()
}

fn begin(world: &World, files: &[(String, String)]) {
    for directory in ["team", "state"] {
        let _ = std::fs::remove_dir_all(world.path(directory));
    }
    std::fs::create_dir(world.path("team")).unwrap();
    world.simulator.reset();
    for (name, text) in files {
        std::fs::write(world.path("team").join(name), text).unwrap();
    }
}

/// One clean pass, and what must be true after it.
fn end(world: &World, files: &[(String, String)], context: &str) {
    world.sync();
    let snapshot = world.snapshot();
    assert_eq!(
        snapshot.meetings.len(),
        EVENTS,
        "{context}: one meeting for each event"
    );
    for meeting in &snapshot.meetings {
        assert_eq!(meeting.made, 1, "{context}: {meeting:?}");
    }
    let mut names: Vec<_> = files.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    assert_eq!(
        world.names("team"),
        names,
        "{context}: no temporary file is left"
    );
    for (name, before) in files {
        let after = world.get(name);
        assert_additive(before, &after);
        for event in unfold(&after).split("BEGIN:VEVENT").skip(1) {
            let values = |name: &str| -> Vec<String> {
                let found = event.lines().filter_map(|l| l.strip_prefix(name));
                found.map(str::to_owned).collect()
            };
            let uid = values("UID:").remove(0);
            let own = &snapshot
                .meeting(&uid)
                .unwrap()
                .current
                .as_ref()
                .unwrap()
                .join_web_url;
            assert_eq!(
                values("X-MICROSOFT-SKYPETEAMSMEETINGURL:"),
                [own.as_str()],
                "{context}: {uid}"
            );
            assert_eq!(values("X-MEETBRIDGE-MEETING").len(), 1, "{context}: {uid}");
            assert_eq!(values("URL").len(), 1, "{context}: {uid}");
            let block = event
                .lines()
                .find(|l| l.starts_with("DESCRIPTION"))
                .unwrap();
            assert_eq!(
                block.matches(own.as_str()).count(),
                1,
                "{context}: {uid}: one block"
            );
        }
    }
    let (before, asked) = (contents(&world.path("team")), world.asked());
    world
        .sync()
        .shows(&["0 meetings made", "0 resources written"]);
    assert_eq!(
        contents(&world.path("team")),
        before,
        "{context}: a second pass writes nothing"
    );
    assert_eq!(
        world.asked(),
        asked,
        "{context}: a second pass asks for nothing"
    );
}

#[test]
#[expect(clippy::print_stdout, reason = "a failure is repeated from the seed")]
fn kill_9_at_100_random_moments_of_a_pass_over_200_events() {
    let clock = SystemClock::new();
    let seed = fastrand::u64(..);
    // Shown when the test fails.
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let world = World::with(|settings| settings.latency = Duration::from_millis(3));
    let rest = format!("{TEAM}\n[budget]\nfirst-pass-limit = 1000\nnew-links-per-day = 100000\n");
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });

    let kinds = [files(1), files(50)];
    let mut lasts = [Duration::ZERO; 2];
    for (kind, lasts) in kinds.iter().zip(&mut lasts) {
        begin(&world, kind);
        let began = clock.elapsed();
        world.sync();
        *lasts = clock.elapsed() - began;
    }

    let (mut kills, mut rounds, mut midway, mut temporary) = (0, 0, 0, 0);
    while kills < KILLS {
        let (kind, lasts) = (&kinds[rounds % 2], lasts[rounds % 2]);
        rounds += 1;
        begin(&world, kind);
        loop {
            let daemon = random.u8(..4) == 0;
            let delay = lasts.mul_f64(random.f64());
            let mut running = world.start(if daemon { &["run"] } else { &["sync"] });
            let began = clock.elapsed();
            while clock.elapsed() - began < delay && !running.has_ended() {
                std::thread::sleep(Duration::from_millis(1));
            }
            if running.has_ended() {
                break;
            }
            running.kill();
            kills += 1;
            let made = world.snapshot().meetings.len();
            let linked = contents(&world.path("team"))
                .iter()
                .any(|(_, b)| b.windows(4).any(|w| w == b"MEET"));
            midway += usize::from(made > 0 && (made < EVENTS || !linked));
            temporary += usize::from(world.names("team").len() > kind.len());
            if kills == KILLS {
                break;
            }
        }
        end(
            &world,
            kind,
            &format!("seed {seed}, round {rounds}, {kills} kills"),
        );
    }
    println!(
        "{kills} kills in {rounds} rounds, {midway} while meetings were made, {temporary} with a \
         temporary file left; a whole pass takes {lasts:?}"
    );
    assert!(
        midway >= 5,
        "the kills must strike the work itself: {midway}"
    );
}
