//! What a feed with links looks like, pass by pass.

use meetbridge::calendar::Scope;
use meetbridge::calendar::feed::Publish;
use meetbridge::clock::Clock as _;
use meetbridge::ical::block::Show;
use meetbridge::state::Frozen;
use meetbridge::sync::PassError;

use super::web::{Web, answer};
use super::world::{Daemon, World, join_url};
use super::{calendar, event, unfold};

fn events(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers
        .map(|n| event(&format!("event-{n}@x"), 5 + n % 20, ""))
        .collect()
}

fn is_linked(text: &str, uid: &str) -> bool {
    let text = unfold(text);
    let mut all = text.split("BEGIN:VEVENT");
    let own = all.find(|part| part.contains(&format!("UID:{uid}\r\n")));
    own.is_some_and(|own| own.contains(&join_url(uid)) && own.contains("X-MEETBRIDGE-MEETING"))
}

/// Takes our lines out of a calendar whose events have no DESCRIPTION, LOCATION and URL.
fn without_links(text: &str) -> String {
    let ours = [
        "DESCRIPTION:",
        "LOCATION:",
        "URL:",
        "CONFERENCE;",
        "X-MICROSOFT-SKYPETEAMSMEETINGURL:",
        "X-MEETBRIDGE-MEETING:",
    ];
    unfold(text)
        .split_inclusive("\r\n")
        .filter(|line| !ours.iter().any(|own| line.starts_with(own)))
        .collect()
}

fn why(result: Result<meetbridge::sync::Report, PassError>) -> String {
    let error = result.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains("GEHEIM") && !text.contains("feed.ics"),
        "{text}"
    );
    error.to_string()
}

#[tokio::test]
async fn a_link_is_made_when_the_uid_is_proven_and_is_published_beside_the_feed() {
    let world = World::new();
    let feed = calendar(&events(0..3));
    world.web.serve(feed.clone());
    let daemon = world.daemon();
    let report = daemon.pass(Scope::All).await.unwrap();
    assert_eq!(report.outcome["uid-unproven"], 3);
    assert_eq!(
        (world.service.calls(), world.published()),
        (0, feed.clone())
    );

    daemon.look().await.unwrap();
    assert_eq!(world.service.meetings(), 3);
    let published = world.published();
    for n in 0..3 {
        assert!(
            is_linked(&published, &format!("event-{n}@x")),
            "{published}"
        );
    }
    assert_eq!(without_links(&published), feed);
    assert!(
        published.contains("DTSTAMP:20261001T000000Z"),
        "nothing of ours is dated"
    );
    assert!(!published.contains("Geh31m") && !published.contains("123 456 789"));
}

#[tokio::test]
async fn nothing_changed_costs_one_conditional_request_and_writes_nothing() {
    let world = World::new();
    world.web.serve(calendar(&events(0..3)));
    let daemon = world.daemon();
    daemon.settle().await;
    let modified = || std::fs::metadata(world.out()).unwrap().modified().unwrap();
    let (before, calls) = (modified(), world.service.calls());
    for _ in 0..3 {
        world.web.take();
        let report = daemon.look().await.unwrap();
        let seen = world.web.take();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].header("if-none-match"), Some("\"1\""));
        assert_eq!((report.read, report.written), (0, 0));
    }
    assert_eq!((modified(), world.service.calls()), (before, calls));
}

#[tokio::test]
async fn a_changed_event_keeps_its_link_without_a_call_and_a_new_one_has_to_prove_itself() {
    let world = World::new();
    let mut all = events(0..3);
    world.web.serve(calendar(&all));
    let daemon = world.daemon();
    daemon.settle().await;
    let calls = world.service.calls();
    all[1] = event("event-1@x", 6, "COMMENT:changed\r\n");
    all.push(event("event-7@x", 8, ""));
    let feed = calendar(&all);
    world.web.serve(feed.clone());
    daemon.look().await.unwrap();
    assert_eq!(world.service.calls(), calls);
    let published = world.published();
    assert!(is_linked(&published, "event-1@x") && published.contains("COMMENT:changed"));
    assert!(!is_linked(&published, "event-7@x"));
    assert_eq!(without_links(&published), feed);
    daemon.look().await.unwrap();
    assert!(is_linked(&world.published(), "event-7@x"));
    assert_eq!(world.service.meetings(), 4);
}

#[tokio::test]
async fn the_link_stays_published_while_the_meeting_service_is_down() {
    let world = World::new();
    world.web.serve(calendar(&events(0..1)));
    let daemon = world.daemon();
    daemon.settle().await;
    world.service.down(true);
    world.web.serve(calendar(&[event("event-0@x", 9, "")]));
    daemon.look().await.unwrap();
    let published = world.published();
    assert!(published.contains("DTSTART:20261110") && is_linked(&published, "event-0@x"));
    world.service.down(false);
    world.clock.pass(3600);
    let calls = world.service.calls();
    daemon.look().await.unwrap();
    assert_eq!(world.service.calls(), calls + 1, "its times follow");
    assert_eq!(world.published(), published);
}

#[tokio::test]
async fn a_lost_state_takes_the_links_from_what_was_published() {
    let world = World::new();
    world.web.serve(calendar(&events(0..3)));
    let daemon = world.daemon();
    daemon.settle().await;
    let (published, calls) = (world.published(), world.service.calls());
    drop(daemon);
    world.lose_state();
    let daemon = world.daemon();
    let report = daemon.pass(Scope::All).await.unwrap();
    assert_eq!(report.adopted, 3);
    daemon.look().await.unwrap();
    assert_eq!(
        (world.published(), world.service.calls()),
        (published, calls)
    );
}

#[tokio::test]
async fn a_lost_state_keeps_the_link_of_an_event_that_changed_though_nobody_can_be_asked() {
    let world = World::new();
    let mut all = events(0..6);
    world.web.serve(calendar(&all));
    let daemon = world.daemon();
    daemon.settle().await;
    drop(daemon);
    world.lose_state();
    world.service.down(true);
    all[0] = event("event-0@x", 15, "");
    all[1] = event(
        "event-1@x",
        6,
        "X-ALT-DESC;FMTTYPE=text/html:<p>Hi</p>\r\nDESCRIPTION:Hi\r\n",
    );
    all[2] = event("event-2@x", 7, "LOCATION:Hall\r\n");
    all[3] = event("event-3@x", 8, "STATUS:CANCELLED\r\n");
    all[4] = event("event-4@x", 9, "CATEGORIES:no-teams\r\n");
    world.web.serve(calendar(&all));
    let daemon = world.daemon();
    let linked = [true, true, true, false, false, true];
    let is_kept = |label: &str| {
        for (n, linked) in linked.into_iter().enumerate() {
            let uid = format!("event-{n}@x");
            assert_eq!(
                is_linked(&world.published(), &uid),
                linked,
                "{label}: {uid}"
            );
        }
    };
    assert_eq!(daemon.pass(Scope::All).await.unwrap().created, 0);
    is_kept("at once");
    // It changes again.
    all[0] = event("event-0@x", 16, "");
    all[5] = event("event-5@x", 11, "COMMENT:x\r\n");
    world.web.serve(calendar(&all));
    daemon.look().await.unwrap();
    is_kept("again");
    let published = world.published();
    assert!(published.contains("DTSTART:20261117") && published.contains("COMMENT:x"));

    // The meetings follow as soon as that can be.
    let calls = world.service.calls();
    world.service.down(false);
    world.clock.pass(3600);
    daemon.look().await.unwrap();
    assert!(world.service.calls() > calls);
    is_kept("at last");
    assert_eq!(world.service.meetings(), 6, "no other was made");
    let published = world.published();
    drop(daemon);
    world.lose_state();
    world.service.down(true);
    world.daemon().pass(Scope::All).await.unwrap();
    assert_eq!(world.published(), published, "lost again");
}

#[tokio::test]
async fn what_somebody_edits_in_the_published_calendar_does_not_count() {
    let world = World::new();
    world.web.serve(calendar(&events(0..3)));
    let daemon = world.daemon();
    daemon.settle().await;
    let (published, calls) = (world.published(), world.service.calls());
    drop(daemon);
    let evil = published.replace("meeting_1%40", "meeting_666%40");
    let no_links = without_links(&published);
    let edits = [
        ("another meeting", evil),
        ("no links", no_links),
        ("nothing", String::new()),
        ("no calendar", "<html>".to_owned()),
        (
            "a title",
            published.replace("SUMMARY:Event event-1@x", "SUMMARY:Boo"),
        ),
    ];
    for state_lost in [false, true] {
        for (label, edited) in &edits {
            let label = format!("{label}, state lost: {state_lost}");
            std::fs::write(world.out(), edited).unwrap();
            if state_lost {
                world.lose_state();
            }
            let daemon = world.daemon();
            daemon.settle().await;
            assert_eq!(world.published(), published, "{label}");
            assert_eq!(world.service.meetings(), 3, "{label}");
            // What nobody remembers is asked for: the meetings are those that were made.
            if !state_lost {
                assert_eq!(world.service.calls(), calls, "{label}");
            }
        }
    }
    // While it runs, too.
    let daemon = world.daemon();
    daemon.settle().await;
    std::fs::write(world.out(), "edited").unwrap();
    daemon.look().await.unwrap();
    assert_eq!(world.published(), published);
}

#[tokio::test]
async fn a_rewrite_publishes_the_new_form_once_whatever_was_edited_in_the_old() {
    let world = World::new();
    let mut all = events(0..3);
    world.web.serve(calendar(&all));
    let mut daemon = world.daemon();
    daemon.settle().await;
    let (old, calls) = (world.published(), world.service.calls());
    let modified = || std::fs::metadata(world.out()).unwrap().modified().unwrap();

    daemon.calendar.show = vec![Show::MeetingId];
    assert_eq!(daemon.rewrite().await.written, 3);
    let new = world.published();
    assert_eq!(unfold(&new).matches("123 456 789").count(), 3, "{new}");
    assert_eq!(without_links(&new), calendar(&all));
    assert_eq!(world.service.calls(), calls, "all of it was known");
    let written = modified();
    assert_eq!(daemon.rewrite().await.written, 0, "twice");
    daemon.look().await.unwrap();
    assert_eq!((world.published(), modified()), (new.clone(), written));
    assert_eq!(world.service.calls(), calls);

    // Another process finds it, and what was published before, and nothing of ours.
    drop(daemon);
    for (label, edited) in [
        ("the new form", new.clone()),
        ("the old form", old.clone()),
        ("no links", without_links(&old)),
    ] {
        std::fs::write(world.out(), edited).unwrap();
        let mut daemon = world.daemon();
        daemon.calendar.show = vec![Show::MeetingId];
        daemon.rewrite().await;
        assert_eq!(world.published(), new, "{label}");
        assert_eq!(daemon.rewrite().await.written, 0, "{label}");
    }
    assert_eq!(
        (world.service.calls(), world.service.meetings()),
        (calls, 3)
    );

    // Without a state, too: the form that is published is known again.
    world.lose_state();
    let mut daemon = world.daemon();
    daemon.calendar.show = vec![Show::MeetingId];
    daemon.pass(Scope::All).await.unwrap();
    assert_eq!((world.published(), world.service.calls()), (new, calls));

    // An event that changes keeps the new form.
    all[1] = event("event-1@x", 6, "COMMENT:changed\r\n");
    world.web.serve(calendar(&all));
    daemon.look().await.unwrap();
    assert_eq!(unfold(&world.published()).matches("123 456 789").count(), 3);
}

#[tokio::test]
async fn an_empty_or_much_shorter_feed_is_not_believed_at_once() {
    let world = World::new();
    let all = calendar(&events(0..40));
    for (label, short) in [
        ("empty", calendar(&[])),
        ("shorter", calendar(&events(0..15))),
    ] {
        world.web.serve(all.clone());
        let daemon = world.daemon();
        daemon.settle().await;
        let published = world.published();
        world.web.serve(short.clone());
        let text = why(daemon.look().await);
        assert!(text.contains("events are gone at once"), "{label}: {text}");
        assert_eq!(world.published(), published, "{label}");
        // It comes back: nothing has happened.
        world.web.serve(all.clone());
        daemon.look().await.unwrap();
        assert_eq!(world.published(), published, "{label}");
        // It lasts: it is believed, and the links that are gone at once freeze the calendar.
        world.web.serve(short.clone());
        why(daemon.look().await);
        daemon.look().await.unwrap();
        daemon.look().await.unwrap();
        daemon.look().await.unwrap();
        let record = daemon.bridge.state.calendar(&daemon.calendar.name).unwrap();
        assert!(record.frozen.is_some(), "{label}");
        // Nothing goes from what is published before an operator has looked, also from here on.
        let is_held = |daemon: &str| {
            assert!(world.published() == published, "{label}: {daemon}");
        };
        is_held("the one that saw it");
        drop(daemon);
        let daemon = world.daemon();
        why(daemon.pass(Scope::All).await);
        daemon.look().await.unwrap();
        is_held("another one");
        let (state, name) = (&daemon.bridge.state, &daemon.calendar.name);
        state.resume(name, world.clock.now()).unwrap();
        daemon.look().await.unwrap();
        assert_eq!(without_links(&world.published()), short, "{label}");
        drop(daemon);
        world.lose_state();
        std::fs::remove_file(world.out()).unwrap();
        world.clock.pass(600);
    }
}

#[tokio::test]
async fn a_feed_that_drops_its_past_loses_nothing_and_does_not_freeze() {
    let world = World::new();
    world.web.serve(calendar(&events(0..45)));
    let daemon = world.daemon();
    daemon.settle().await;
    // Events are at 10:00 of the days 5 to 24.
    world.clock.pass(20 * 86_400);
    let rest: Vec<String> = (0..45)
        .filter(|n| 5 + n % 20 >= 20)
        .map(|n| event(&format!("event-{n}@x"), 5 + n % 20, ""))
        .collect();
    let feed = calendar(&rest);
    world.web.serve(feed.clone());
    for _ in 0..5 {
        // The first is not believed at once.
        let _ = daemon.look().await;
    }
    let record = daemon.bridge.state.calendar(&daemon.calendar.name).unwrap();
    assert!(record.frozen.is_none(), "{record:?}");
    assert_eq!(without_links(&world.published()), feed);
    assert!(is_linked(&world.published(), "event-18@x"));
    assert_eq!(world.service.meetings(), 45);
}

#[tokio::test]
async fn uids_that_are_minted_anew_get_no_links() {
    let world = World::new();
    let fetch = |n: u32| {
        let all: Vec<String> = (0..10)
            .map(|e| {
                event(&format!("minted-{n}-{e}@x"), 5 + e, "")
                    .replace(&format!("{n}-{e}@x\r\nEND"), "\r\nEND")
            })
            .map(|event| {
                let (head, _) = event.split_once("SUMMARY").unwrap();
                format!("{head}SUMMARY:The same\r\nEND:VEVENT\r\n")
            })
            .collect();
        calendar(&all)
    };
    world.web.serve(fetch(0));
    let daemon = world.daemon();
    daemon.pass(Scope::All).await.unwrap();
    for n in 1..6 {
        world.web.serve(fetch(n));
        let text = why(daemon.look().await);
        assert!(
            text.contains("new UIDs") && text.contains("publisher"),
            "{text}"
        );
    }
    // They stay from here on: not believed before a day has passed.
    let report = daemon.look().await.unwrap();
    assert_eq!(report.outcome["uid-minted"], 10);
    world.clock.pass(12 * 3600);
    daemon.look().await.unwrap();
    assert_eq!(world.service.calls(), 0);
    world.clock.pass(13 * 3600);
    daemon.look().await.unwrap();
    assert_eq!(world.service.meetings(), 10);
}

#[tokio::test]
async fn a_stamp_that_is_minted_does_no_harm() {
    let world = World::new();
    let fetch = |n: u32| {
        calendar(&events(0..3)).replace(
            "20261001T000000Z",
            &format!("202610010000{n:02}Z").replace("20261001", "20261001T"),
        )
    };
    world.web.serve(fetch(0));
    let daemon = world.daemon();
    daemon.pass(Scope::All).await.unwrap();
    for n in 1..8 {
        world.web.serve(fetch(n));
        daemon.look().await.unwrap();
        let published = world.published();
        assert_eq!(without_links(&published), fetch(n));
        assert!(
            (0..3).all(|e| is_linked(&published, &format!("event-{e}@x"))),
            "{n}"
        );
    }
    assert_eq!(world.service.calls(), 3);
}

#[tokio::test]
async fn an_event_that_is_opted_out_or_cancelled_or_has_another_link_loses_ours() {
    let world = World::new();
    let mut all = events(0..4);
    world.web.serve(calendar(&all));
    let daemon = world.daemon();
    daemon.settle().await;
    all[0] = event("event-0@x", 5, "CATEGORIES:no-teams\r\n");
    all[1] = event("event-1@x", 6, "STATUS:CANCELLED\r\n");
    all[2] = event("event-2@x", 7, "LOCATION:https://zoom.us/j/1234567\r\n");
    let feed = calendar(&all);
    world.web.serve(feed);
    let report = daemon.look().await.unwrap();
    for reason in ["opted-out", "cancelled", "foreign-link"] {
        assert_eq!(report.outcome[reason], 1, "{report:?}");
    }
    let published = world.published();
    let linked = |n| is_linked(&published, &format!("event-{n}@x"));
    assert_eq!([0, 1, 2, 3].map(linked), [false, false, false, true]);
    // It comes back.
    world.web.serve(calendar(&events(0..4)));
    daemon.look().await.unwrap();
    let published = world.published();
    assert!(
        (0..4).all(|n| is_linked(&published, &format!("event-{n}@x"))),
        "{published}"
    );
    assert_eq!(world.service.meetings(), 4);
}

#[tokio::test]
async fn the_same_feed_and_links_give_the_same_bytes_at_any_time() {
    let world = World::new();
    world.web.serve(calendar(&events(0..3)));
    let daemon = world.daemon();
    daemon.settle().await;
    let published = world.published();
    let calls = world.service.calls();
    drop(daemon);
    world.clock.pass(86_400);
    // Another machine, a day later.
    std::fs::remove_file(world.out()).unwrap();
    let daemon = world.daemon();
    daemon.settle().await;
    assert_eq!(
        (world.published(), world.service.calls()),
        (published, calls)
    );
}

#[tokio::test]
async fn a_published_file_keeps_its_mode_and_a_new_one_is_for_everybody_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    world.web.serve(calendar(&events(0..1)));
    let daemon = world.daemon();
    daemon.pass(Scope::All).await.unwrap();
    let mode = || std::fs::metadata(world.out()).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(), 0o644);
    std::fs::set_permissions(world.out(), std::fs::Permissions::from_mode(0o600)).unwrap();
    // What a process left that was killed while it wrote.
    std::fs::write(
        world.home.path().join(".out.ics.abc.meetbridge-tmp"),
        "half",
    )
    .unwrap();
    daemon.look().await.unwrap();
    assert!(is_linked(&world.published(), "event-0@x"));
    assert_eq!(mode(), 0o600);
    let names = std::fs::read_dir(world.home.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.ends_with("-tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_told_and_tried_again() {
    let mut world = World::new();
    let missing = world.home.path().join("missing");
    world.publish = Publish::File(missing.join("out.ics"));
    world.web.serve(calendar(&events(0..1)));
    let daemon = world.daemon();
    assert_eq!(daemon.pass(Scope::All).await.unwrap().failed, 1);
    std::fs::create_dir(&missing).unwrap();
    assert_eq!(daemon.look().await.unwrap().failed, 0);
    assert!(missing.join("out.ics").exists());
}

/// A feed that is published to a second server.
fn two() -> (World, Web) {
    let (mut world, target) = (World::new(), Web::start());
    world.publish = Publish::Web(Box::new(
        world.place(&target.url().replace("?key=GEHEIM", ""), "publish:events"),
    ));
    (world, target)
}

#[tokio::test]
async fn it_is_published_by_put_with_the_condition_of_what_was_there() {
    let (world, target) = two();
    world.web.serve(calendar(&events(0..2)));
    let daemon = world.daemon();
    daemon.settle().await;
    let puts = |seen: Vec<super::web::Seen>| -> Vec<_> {
        let puts = seen.into_iter().filter(|seen| seen.method == "PUT");
        puts.map(|put| {
            let header = |name| put.header(name).map(str::to_owned);
            (header("if-match"), header("if-none-match"))
        })
        .collect()
    };
    let first = (None, Some("*".to_owned()));
    let second = (Some("\"1\"".to_owned()), None);
    assert_eq!(puts(target.take()), [first, second]);
    let published = target.holds().unwrap();
    assert!(is_linked(&published, "event-1@x"));

    // Somebody was at it: it is ours to replace.
    target.serve("edited");
    world.web.serve(calendar(&events(0..1)));
    daemon.look().await.unwrap();
    let published = target.holds().unwrap();
    assert!(is_linked(&published, "event-0@x"));
    let again: Vec<_> = target.take();
    let again: Vec<_> = again.iter().filter(|seen| seen.method == "PUT").collect();
    assert_eq!(again.len(), 2);
    for put in again {
        // All of it each time, in one piece.
        assert_eq!(put.body, published.as_bytes());
        assert_eq!(put.header("transfer-encoding"), None);
    }
    let calls = world.service.calls();
    drop(daemon);
    // A lost state reads it back, and writes nothing that is there.
    world.web.serve(calendar(&events(0..1)));
    world.lose_state();
    target.take();
    let daemon = world.daemon();
    assert_eq!(daemon.pass(Scope::All).await.unwrap().adopted, 1);
    assert_eq!(world.service.calls(), calls);
    assert_eq!(puts(target.take()), []);
}

#[tokio::test]
async fn a_place_that_takes_no_put_says_so() {
    for (status, words) in [
        (403, "the right to write"),
        (405, "takes no PUT"),
        (507, "space"),
    ] {
        let (world, target) = two();
        target.script(move |seen| (seen.method == "PUT").then(|| answer(status, &[], b"")));
        world.web.serve(calendar(&events(0..1)));
        let daemon = world.daemon();
        assert_eq!(daemon.pass(Scope::All).await.unwrap().failed, 1, "{words}");
        target.no_script();
        assert_eq!(daemon.look().await.unwrap().failed, 0);
        assert!(target.holds().is_some());
    }
}

/// A daemon of a feed that is written back.
fn writable(world: &mut World) -> Daemon<'_> {
    world.publish = Publish::Source;
    world.daemon()
}

#[tokio::test]
async fn a_writable_feed_is_written_back_with_if_match() {
    let mut world = World::new();
    let feed = calendar(&events(0..2));
    world.web.serve(feed.clone());
    let daemon = writable(&mut world);
    daemon.pass(Scope::All).await.unwrap();
    let seen = world_of(&daemon).web.take();
    assert!(
        seen.iter()
            .all(|seen| seen.header("accept-encoding") == Some("identity"))
    );
    let put = seen.iter().find(|seen| seen.method == "PUT").unwrap();
    assert_eq!(put.header("if-match"), Some("\"1\""));
    let stored = world_of(&daemon).web.holds().unwrap();
    assert!(is_linked(&stored, "event-0@x") && is_linked(&stored, "event-1@x"));
    for _ in 0..2 {
        let report = daemon.look().await.unwrap();
        assert_eq!(report.written, 0);
        let seen = world_of(&daemon).web.take();
        assert_eq!(
            (seen.len(), seen[0].method.as_str()),
            (1, "GET"),
            "{seen:?}"
        );
    }
}

fn world_of<'w>(daemon: &Daemon<'w>) -> &'w World {
    daemon.world
}

#[tokio::test]
async fn an_edit_between_reading_and_writing_back_wins() {
    let mut world = World::new();
    world.web.serve(calendar(&events(0..1)));
    let mut edited = false;
    world.web.script(move |seen| {
        let first = seen.method == "PUT" && !std::mem::replace(&mut edited, true);
        first.then(|| answer(412, &[], b""))
    });
    let daemon = writable(&mut world);
    daemon.pass(Scope::All).await.unwrap();
    assert!(is_linked(
        &world_of(&daemon).web.holds().unwrap(),
        "event-0@x"
    ));
}

#[tokio::test]
async fn a_writable_feed_without_etag_is_refused_with_a_hint() {
    let mut world = World::new();
    world.web.serve(calendar(&events(0..1)));
    world.web.untagged();
    let daemon = writable(&mut world);
    let report = daemon.pass(Scope::All).await.unwrap();
    assert_eq!((report.failed, report.outcome["write-refused"]), (1, 1));
    let puts = world_of(&daemon).web.take();
    assert!(puts.iter().all(|seen| seen.method != "PUT"));
}

#[tokio::test]
async fn a_large_first_pass_waits_for_consent_and_publishes_no_link() {
    let world = World::new();
    world.web.serve(calendar(&events(0..60)));
    let daemon = world.daemon();
    for _ in 0..2 {
        daemon.pass(Scope::All).await.unwrap();
        assert_eq!(world.published(), calendar(&events(0..60)));
        world.clock.pass(600);
    }
    let (state, name) = (&daemon.bridge.state, &daemon.calendar.name);
    let frozen = state.resume(name, daemon.bridge.clock.now()).unwrap();
    assert!(frozen.unwrap().why.contains("would link 60 events"));
    daemon.pass(Scope::All).await.unwrap();
    assert_eq!(world.service.meetings(), 60);
    assert!(is_linked(&world.published(), "event-59@x"));
}

#[tokio::test]
async fn some_new_uids_among_others_that_stay_wait_a_day() {
    let world = World::new();
    let mut all = events(0..20);
    world.web.serve(calendar(&all));
    let daemon = world.daemon();
    daemon.settle().await;
    // The same event under another UID, its own gone, and one that is really new.
    all[3] = all[3].replace("UID:event-3@x", "UID:event-103@x");
    all.push(event("event-50@x", 9, ""));
    world.web.serve(calendar(&all));
    for _ in 0..3 {
        daemon.look().await.unwrap();
    }
    assert!(is_linked(&world.published(), "event-50@x"));
    assert!(!is_linked(&world.published(), "event-103@x"));
    world.clock.pass(86_400);
    daemon.look().await.unwrap();
    assert!(is_linked(&world.published(), "event-103@x"));
}

#[tokio::test]
async fn a_frozen_feed_is_published_with_its_changes_and_the_links_it_has() {
    let world = World::new();
    let mut all = events(0..3);
    world.web.serve(calendar(&all));
    let daemon = world.daemon();
    daemon.settle().await;
    let (state, name) = (&daemon.bridge.state, &daemon.calendar.name);
    let mut record = state.calendar(name).unwrap();
    record.frozen = Some(Frozen {
        since: world.clock.now(),
        why: "much was gone".to_owned(),
    });
    state.put_calendar(name, &record).unwrap();
    let calls = world.service.calls();

    // One moves, one is new, one is opted out, one is gone.
    all[0] = event("event-0@x", 15, "");
    all[1] = event("event-1@x", 6, "CATEGORIES:no-teams\r\n");
    all[2] = event("event-9@x", 8, "");
    world.web.serve(calendar(&all));
    for _ in 0..4 {
        daemon.look().await.unwrap();
    }
    let published = world.published();
    assert_eq!(without_links(&published), calendar(&all));
    let linked = |uid| is_linked(&world.published(), uid);
    assert!(linked("event-0@x") && !linked("event-1@x") && !linked("event-9@x"));
    assert_eq!(world.service.calls(), calls);
    // At rest it stays as it is.
    daemon.look().await.unwrap();
    assert_eq!(world.published(), published);

    state.resume(name, world.clock.now()).unwrap();
    daemon.pass(Scope::All).await.unwrap();
    assert!(linked("event-0@x") && !linked("event-1@x") && linked("event-9@x"));
    assert_eq!(without_links(&world.published()), calendar(&all));
}
