//! A feed, from its server to the file that is published: the daemon, single passes, what they say.

use std::time::Duration;

use meetbridge::clock::Clock as _;
use meetbridge::daemon::clock::SystemClock;

use super::support::{
    Ended, Setup, World, assert_additive, assert_clients, calendar, event, unfold, wait_until,
};
use crate::feed::web::{Web, answer};

/// A feed that is fetched every second.
fn world(web: &Web) -> World {
    let world = World::new();
    std::fs::create_dir(world.path("www")).unwrap();
    let rest = format!(
        "[[calendar.feed]]\nname = \"events\"\nurl = \"{}\"\npoll = \"1s\"\n\
         publish-file = \"HOME/www/events.ics\"\nlobby = \"organization\"\n\
         [budget]\nfirst-pass-limit = 1000\n",
        web.url()
    );
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });
    world
}

fn published(world: &World) -> String {
    std::fs::read_to_string(world.path("www/events.ics")).unwrap_or_default()
}

/// Whether the event is published with the link of its meeting.
fn is_linked(world: &World, uid: &str) -> bool {
    assert_clients(&published(world));
    let snapshot = world.snapshot();
    let meeting = snapshot.meeting(uid).and_then(|m| m.current.as_ref());
    let text = unfold(&published(world));
    meeting.is_some_and(|meeting| {
        let mut events = text.split("BEGIN:VEVENT");
        let own = events.find(|event| event.contains(&format!("UID:{uid}\r\n")));
        own.is_some_and(|own| own.contains(&meeting.join_web_url))
    })
}

/// Nothing of the feed's address but its host is told.
#[track_caller]
fn keeps_the_secret(ended: &Ended) {
    for text in [&ended.out, &ended.err] {
        assert!(
            !text.contains("GEHEIM") && !text.contains("feed.ics"),
            "{ended}"
        );
    }
}

#[test]
fn a_daemon_publishes_a_feed_with_its_links_and_follows_it() {
    let web = Web::start();
    let events = [event("one@x", 30), event("two@x", 40)];
    web.serve(calendar(&events));
    let world = world(&web);
    let daemon = world.start(&["run"]);
    wait_until("both links", || {
        is_linked(&world, "one@x") && is_linked(&world, "two@x")
    });
    let first = published(&world);
    assert_additive(&calendar(&events), &first);
    assert!(first.contains("DTSTAMP:20260101T000000Z"));

    // At rest it asks by condition and writes nothing.
    let modified = || {
        std::fs::metadata(world.path("www/events.ics"))
            .unwrap()
            .modified()
    };
    let (before, asked) = (modified().unwrap(), world.asked());
    web.take();
    let mut quiet = 0;
    wait_until("three more fetches", || {
        let seen = web.take();
        assert!(
            seen.iter()
                .all(|seen| seen.header("if-none-match").is_some())
        );
        quiet += seen.len();
        quiet >= 3
    });
    assert_eq!((modified().unwrap(), world.asked()), (before, asked));

    // An event moves: its link is there in the same moment.
    let events = [event("one@x", 31), event("two@x", 40)];
    web.serve(calendar(&events));
    wait_until("the change", || published(&world) != first);
    let second = published(&world);
    assert_additive(&calendar(&events), &second);
    assert!(is_linked(&world, "one@x"));
    assert_eq!(world.snapshot().meetings.len(), 2);

    for command in [&["status"][..], &["plan"], &["explain", "one@x"], &["sync"]] {
        let ended = world.run(command);
        keeps_the_secret(&ended);
        assert_eq!(ended.code, Some(0), "{ended}");
    }
    let ended = daemon.terminate();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(ended.err.contains("calendar.published"), "{ended}");
    keeps_the_secret(&ended);
}

#[test]
fn single_passes_prove_a_uid_and_find_links_again_without_a_state() {
    let web = Web::start();
    web.serve(calendar(&[event("one@x", 30)]));
    let world = world(&web);
    let unproven = "new events of the feed get their links when a second fetch";
    world.sync().shows(&["1 read", "0 meetings made", unproven]);
    world.run(&["status"]).shows(&["uid-unproven"]);
    // Half the interval of the feed is enough.
    wait_until("the proof", || {
        world.sync();
        is_linked(&world, "one@x")
    });
    world
        .run(&["explain", "one@x"])
        .shows(&["yes its UID has proven to stay", "link: written"]);
    let (first, asked) = (published(&world), world.asked());
    std::fs::remove_dir_all(world.path("state")).unwrap();
    for _ in 0..2 {
        keeps_the_secret(&world.sync());
        assert_eq!((published(&world), world.asked()), (first.clone(), asked));
    }
    world.run(&["status"]).shows(&["events"]);
}

#[test]
fn a_feed_is_published_without_the_links_that_are_taken_out() {
    let web = Web::start();
    let feed = calendar(&[event("one@x", 30), event("two@x", 40)]);
    web.serve(feed);
    let world = world(&web);
    wait_until("both links", || {
        world.sync();
        is_linked(&world, "one@x") && is_linked(&world, "two@x")
    });
    let linked = published(&world);
    world
        .run(&["plan", "--unlink", "one@x"])
        .shows(&["one@x", "take-out"]);
    assert_eq!(published(&world), linked);
    for _ in 0..2 {
        world.run(&["unlink", "one@x"]);
        world.sync();
        assert!(is_linked(&world, "two@x"));
        assert_eq!(published(&world).matches("X-MEETBRIDGE-MEETING").count(), 1);
    }
    // The event changes in the feed: it stays without.
    let moved = calendar(&[event("one@x", 31), event("two@x", 40)]);
    web.serve(moved.clone());
    world.sync();
    assert_additive(&moved, &published(&world));
    assert_eq!(published(&world).matches("X-MEETBRIDGE-MEETING").count(), 1);
    for _ in 0..2 {
        world.run(&["unlink", "--calendar", "events"]);
        assert_eq!(published(&world), moved);
        world.run(&["sync"]);
        assert_eq!(published(&world), moved);
    }
}

#[test]
fn what_is_wrong_with_a_feed_is_told_and_leaves_what_is_published() {
    let web = Web::start();
    web.serve(calendar(&[event("one@x", 30)]));
    let world = world(&web);
    world.sync();
    let before = published(&world);
    let cases = [
        (200, "<html>Sign in</html>", "a login page, perhaps"),
        (200, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", "breaks off"),
        (200, "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "gone at once"),
        (404, "", "copy the address anew"),
        (403, "", "copy the address anew"),
        (500, "", "it is asked again"),
    ];
    for (status, body, words) in cases {
        web.script(move |_| Some(answer(status, &[], body.as_bytes())));
        let ended = world.run(&["sync"]);
        ended.says(1, &["events at 127.0.0.1", words]);
        keeps_the_secret(&ended);
        assert_eq!(published(&world), before, "{words}");
    }
    let ended = world.run(&["status"]);
    keeps_the_secret(&ended);
    world.run(&["check"]).shows(&["in order"]);
    world.reconfigure("lobby = \"organization\"", "lobby = \"everyone\"");
    world
        .run(&["check"])
        .shows(&["warning: ", "lobby everybody passes by"]);
    world.reconfigure("lobby = \"everyone\"", "");
    world
        .run(&["check"])
        .shows(&["warning: ", "perhaps everybody passes by"]);
}

#[test]
fn kill_9_at_any_moment_of_publishing_is_harmless() {
    const EVENTS: i64 = 100;
    let web = Web::start();
    let all = |round: i64| {
        let events = (0..EVENTS).map(|n| event(&format!("event-{n}@x"), 30 + n + round));
        calendar(&events.collect::<Vec<_>>())
    };
    web.serve(all(0));
    let world = world(&web);
    let is_whole = |text: &str| text.is_empty() || text.ends_with("END:VCALENDAR\r\n");
    let clock = SystemClock::new();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..20 {
        web.serve(all(round));
        let mut daemon = world.start(&["run"]);
        let delay = Duration::from_millis(random.u64(..900));
        let began = clock.elapsed();
        while clock.elapsed() - began < delay && !daemon.has_ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
        daemon.kill();
        assert!(is_whole(&published(&world)), "seed {seed}, round {round}");
    }
    let daemon = world.start(&["run"]);
    let expected = all(19);
    wait_until("all links", || {
        (0..EVENTS).all(|n| is_linked(&world, &format!("event-{n}@x")))
    });
    daemon.terminate();
    assert_additive(&expected, &published(&world));
    assert_eq!(world.names("www"), ["events.ics"], "seed {seed}");
    let snapshot = world.snapshot();
    assert_eq!(snapshot.meetings.len() as i64, EVENTS);
    assert!(snapshot.meetings.iter().all(|meeting| meeting.made == 1));
}
