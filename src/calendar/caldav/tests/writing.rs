//! Writing: conditions, what became of it, and what the next report then means.

use super::super::profile::{Bodies, Condition, EtagOnPut};
use super::super::testing::{rows, tagged, token};
use super::super::version::Tag;
use super::*;

/// The bytes that are written.
fn linked(name: &str) -> String {
    event(name).replace("END:VEVENT", "URL:https://x\r\nEND:VEVENT")
}

fn put(tag: &str) -> Vec<u8> {
    match tag {
        "" => status(204),
        tag => answer(204, &[&format!("etag: {tag}")], ""),
    }
}

fn stored(written: &Written) -> Tag {
    match written {
        Written::Stored(version) => Stamp::of(version).unwrap().tag,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_write_is_one_conditional_put_of_the_bytes_as_they_are() {
    let world = World::new(&[("PUT a.ics if \"1\"", put("\"2\""))]);
    world
        .site
        .profile
        .learn(|profile| profile.bodies = Bodies::Kept);
    let version = Stamp::read(event("a.ics").as_bytes(), Some("\"1\""), None).version();
    let bytes = linked("a.ics");
    let written =
        super::super::write::write(&world.site, &id("a.ics"), &version, bytes.as_bytes()).await;
    assert_eq!(stored(&written), Tag::Etag("\"2\"".to_owned()));
    let request = world.server.received().pop().unwrap();
    assert_eq!(request.body, bytes);
    assert_eq!(request.header("content-length"), bytes.len().to_string());
    assert_eq!(request.header("transfer-encoding"), "");
    assert_eq!(
        request.header("content-type"),
        "text/calendar; charset=utf-8"
    );
    assert_eq!(world.asked(), ["PUT a.ics if \"1\""]);
    assert_eq!(world.site.profile.get().etag_on_put, EtagOnPut::Yes);
}

#[tokio::test]
async fn the_first_write_shows_what_a_server_makes_of_it() {
    // It keeps what it is given.
    let world = World::new(&[
        ("PUT a.ics if \"1\"", put("\"2\"")),
        ("GET a.ics", got("\"2\"", &linked("a.ics"))),
    ]);
    let (written, asked) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    assert_eq!(stored(&written), Tag::Etag("\"2\"".into()));
    assert_eq!(asked.len(), 2);
    assert_eq!(world.site.profile.get().bodies, Bodies::Kept);
    assert_eq!(
        world
            .write("a.ics", Some("\"1\""), &linked("a.ics"))
            .await
            .1
            .len(),
        1
    );

    // It rewrites, and says the ETag all the same.
    let world = World::new(&[
        ("PUT a.ics if \"1\"", put("\"2\"")),
        ("GET a.ics", got("\"2\"", &event("a.ics"))),
    ]);
    let (written, _) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    assert_eq!(stored(&written), Tag::Written("\"2\"".into()));
    let profile = world.site.profile.get();
    assert_eq!(profile.bodies, Bodies::Rewritten);
    assert!(profile.drops.contains("URL") && profile.drops.len() == 1);

    // Somebody was there between PUT and GET: nothing is learned.
    let world = World::new(&[
        ("PUT a.ics if \"1\"", put("\"2\"")),
        ("GET a.ics", got("\"3\"", &event("a.ics"))),
    ]);
    let (written, _) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    assert_eq!(stored(&written), Tag::Written("\"2\"".into()));
    assert_eq!(world.site.profile.get().bodies, Bodies::Unknown);
}

#[tokio::test]
async fn an_etag_that_is_a_digest_tells_of_each_write_whether_it_was_rewritten() {
    let tag = |text: &str| {
        let digest = crate::model::sha256([text.as_bytes()]);
        format!("\"{}\"", crate::model::hex(&digest))
    };
    let (kept, rewritten) = (tag(&linked("a.ics")), tag(&linked("other")));
    let world = World::new(&[
        ("PUT a.ics if \"1\"", put(&kept)),
        ("PUT a.ics if \"1\"", put(&rewritten)),
        ("PUT a.ics if \"1\"", put(&kept)),
    ]);
    for expected in [
        Tag::Etag(kept.clone()),
        Tag::Written(rewritten),
        Tag::Etag(kept),
    ] {
        let (written, asked) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
        assert_eq!(stored(&written), expected);
        assert_eq!(asked.len(), 1);
    }
}

#[tokio::test]
async fn an_answer_without_etag_is_followed_by_a_read() {
    for (found, expected) in [
        (linked("a.ics"), Tag::Etag("\"2\"".to_owned())),
        (event("a.ics"), Tag::None),
    ] {
        for told in ["", "W/\"2\""] {
            let world = World::new(&[
                ("PUT a.ics if \"1\"", put(told)),
                ("GET a.ics", got("\"2\"", &found)),
            ]);
            let (written, _) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
            assert_eq!(stored(&written), expected);
            assert_eq!(world.site.profile.get().etag_on_put, EtagOnPut::No);
        }
    }
    let world = World::new(&[("PUT a.ics if \"1\"", put("")), ("GET a.ics", status(500))]);
    let (written, _) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    assert_eq!(stored(&written), Tag::None);
}

#[tokio::test]
async fn the_first_report_of_our_own_write_confirms_it_and_the_next_does_not() {
    let report = || rows(&[tagged("/cal/a.ics", "\"2\"")], &token("t2"));
    let world = World::new(&[
        ("PUT a.ics if \"1\"", put("\"2\"")),
        ("sync t1", report()),
        ("GET a.ics", got("\"2\"", &linked("a.ics"))),
    ]);
    world
        .site
        .profile
        .learn(|profile| profile.bodies = Bodies::Kept);
    world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    let shown = world.shown(&news("sync:t1"), Known::new()).await;
    assert_eq!(shown, ["confirmed a.ics", "complete 0 sync:t2"]);
    let shown = world.shown(&news("sync:t1"), Known::new()).await;
    assert_eq!(shown, ["changed a.ics", "complete 0 sync:t2"]);

    // A rewritten body is read.
    world
        .site
        .profile
        .learn(|profile| profile.bodies = Bodies::Rewritten);
    world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    let shown = world.shown(&news("sync:t1"), Known::new()).await;
    assert_eq!(shown[0], "changed a.ics");
}

#[tokio::test]
async fn an_etag_that_changes_after_a_write_is_learned() {
    let world = World::new(&[
        ("PUT a.ics if \"1\"", put("\"2\"")),
        (
            "sync t1",
            rows(&[tagged("/cal/a.ics", "\"3\"")], &token("t2")),
        ),
        ("GET a.ics", got("\"3\"", &linked("a.ics"))),
    ]);
    world
        .site
        .profile
        .learn(|profile| profile.bodies = Bodies::Kept);
    world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    let shown = world.shown(&news("sync:t1"), Known::new()).await;
    assert_eq!(shown[0], "changed a.ics");
    assert_eq!(world.site.profile.get().etag_on_put, EtagOnPut::Later);
    let (written, _) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    assert_eq!(stored(&written), Tag::Written("\"2\"".into()));
}

#[tokio::test]
async fn a_listing_reads_what_was_written_and_not_read_back() {
    let world = World::new(&[
        ("sync", rows(&[tagged("/cal/a.ics", "\"2\"")], &token("t1"))),
        ("GET a.ics", got("\"2\"", &event("a.ics"))),
    ]);
    let left = Stamp::written(linked("a.ics").as_bytes(), Some("\"2\"")).version();
    let known: Known = [(id("a.ics"), left)].into();
    let shown = world.shown(&Scope::All, known).await;
    assert_eq!(shown, ["changed a.ics", "complete 0 sync:t1"]);
}

#[tokio::test]
async fn a_mismatch_is_a_change_unless_the_bytes_say_otherwise() {
    // Changed.
    let world = World::new(&[
        ("PUT a.ics if \"1\"", status(412)),
        ("GET a.ics", got("\"2\"", &linked("somebody"))),
    ]);
    let (written, asked) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    assert!(matches!(written, Written::Changed));
    assert_eq!(asked, ["PUT a.ics if \"1\"", "GET a.ics"]);

    // Another ETag, the same bytes.
    let world = World::new(&[
        ("PUT a.ics if \"1\"", status(412)),
        ("GET a.ics", got("\"2\"", &event("a.ics"))),
        ("PUT a.ics if \"2\"", put("\"3\"")),
    ]);
    world
        .site
        .profile
        .learn(|profile| profile.bodies = Bodies::Kept);
    let (written, _) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    assert_eq!(stored(&written), Tag::Etag("\"3\"".into()));
    assert_eq!(
        world.site.profile.get().condition,
        Condition::Etag,
        "one case is no rule"
    );

    // Gone, and changed by someone faster than us.
    for (put, get) in [
        (status(404), status(404)),
        (status(410), status(404)),
        (status(412), status(404)),
    ] {
        let world = World::new(&[("PUT a.ics if \"1\"", put), ("GET a.ics", get)]);
        let (written, _) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
        assert!(matches!(written, Written::Changed));
    }
    let world = World::new(&[
        ("PUT a.ics if \"1\"", status(412)),
        ("GET a.ics", got("\"2\"", &event("a.ics"))),
        ("PUT a.ics if \"2\"", status(412)),
    ]);
    let (written, asked) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    assert!(matches!(written, Written::Changed));
    assert_eq!(asked.len(), 3, "and no more");
}

#[tokio::test]
async fn without_a_usable_etag_the_next_best_condition_is_found_and_learned() {
    struct Case {
        read: Option<&'static str>,
        fresh: &'static [&'static str],
        takes: &'static str,
        first: usize,
        learned: Condition,
        then: usize,
    }
    let cases = [
        // Marked weak by a proxy; the server itself knows the strong form.
        Case {
            read: Some("W/\"1\""),
            fresh: &["etag: W/\"1\""],
            takes: "\"1\"",
            first: 1,
            learned: Condition::Stripped,
            then: 1,
        },
        Case {
            read: Some("\"1-gzip\""),
            fresh: &["etag: \"1\""],
            takes: "\"1\"",
            first: 1,
            learned: Condition::Stripped,
            then: 1,
        },
        // Another tag without compression.
        Case {
            read: Some("W/\"1\""),
            fresh: &["etag: \"x\""],
            takes: "\"x\"",
            first: 3,
            learned: Condition::Reread,
            then: 2,
        },
        // None in reports, but one by GET.
        Case {
            read: None,
            fresh: &["etag: \"x\""],
            takes: "\"x\"",
            first: 2,
            learned: Condition::Reread,
            then: 2,
        },
        // A Schedule-Tag alone.
        Case {
            read: None,
            fresh: &["schedule-tag: \"s\""],
            takes: "tag \"s\"",
            first: 2,
            learned: Condition::ScheduleTag,
            then: 2,
        },
        // Truly weak: only that it is there.
        Case {
            read: Some("W/\"1\""),
            fresh: &["etag: W/\"1\""],
            takes: "*",
            first: 3,
            learned: Condition::Exists,
            then: 2,
        },
        Case {
            read: None,
            fresh: &[],
            takes: "*",
            first: 2,
            learned: Condition::Exists,
            then: 2,
        },
    ];
    for case in cases {
        let fresh = answer(200, case.fresh, &event("a.ics"));
        let takes = format!("PUT a.ics if {}", case.takes);
        let world = World::answering(
            move |request| match (request.method.as_str(), asked(request)) {
                ("GET", _) => fresh.clone(),
                (_, line) if line == takes => put("\"2\""),
                _ => status(412),
            },
            |_| {},
        );
        world
            .site
            .profile
            .learn(|profile| profile.bodies = Bodies::Kept);
        for requests in [case.first, case.then] {
            let (written, asked) = world.write("a.ics", case.read, &linked("a.ics")).await;
            assert_eq!(stored(&written), Tag::Etag("\"2\"".into()), "{asked:?}");
            assert_eq!(asked.len(), requests, "{asked:?}");
            assert_eq!(
                world.site.profile.get().condition,
                case.learned,
                "{asked:?}"
            );
        }
        // What changed meanwhile is never overwritten.
        let (written, asked) = world.write("b.ics", None, &linked("b.ics")).await;
        assert!(matches!(written, Written::Changed), "{asked:?}");
        assert_eq!(asked, ["GET b.ics"]);
    }
}

#[tokio::test]
async fn nothing_is_sent_that_is_too_large_or_no_member() {
    let world = World::with(&[], |site| site.max_resource_size = Some(10));
    let (written, asked) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
    let Written::Refused(why) = written else {
        panic!("{written:?}")
    };
    assert!(why.to_string().contains("takes 10"), "{why}");
    assert_eq!(asked, [""; 0]);

    let world = World::new(&[]);
    for name in ["../a.ics", "", "sub/"] {
        let (written, asked) = world.write(name, Some("\"1\""), &linked("a.ics")).await;
        assert!(matches!(written, Written::Changed) && asked.is_empty());
    }
    let foreign = Version::new("1-2-3");
    let (written, _) = world.write_over("a.ics", &foreign, &linked("a.ics")).await;
    assert!(matches!(written, Written::Changed));
}

#[tokio::test]
async fn an_outcome_that_nobody_knows_is_said_and_nothing_is_sent_again() {
    for answer in [status(500), status(502), Vec::new(), b"HTTP/1.1 2".to_vec()] {
        let world = World::new(&[("PUT a.ics if \"1\"", answer)]);
        let (written, asked) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
        assert!(matches!(written, Written::Unknown(_)), "{written:?}");
        assert_eq!(asked.len(), 1);
    }
    let busy = answer(503, &["retry-after: 60"], "");
    let world = World::new(&[("PUT a.ics if \"1\"", busy)]);
    for requests in [1, 0] {
        let (written, asked) = world.write("a.ics", Some("\"1\""), &linked("a.ics")).await;
        assert!(matches!(written, Written::Failed(_)), "{written:?}");
        assert_eq!(asked.len(), requests, "the window is closed");
    }
}

#[tokio::test]
async fn a_calendar_takes_one_write_at_a_time() {
    let at_once = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = Arc::clone(&at_once);
    let world = World::answering(
        move |_| {
            seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            put("\"2\"")
        },
        |_| {},
    );
    world
        .site
        .profile
        .learn(|profile| profile.bodies = Bodies::Kept);
    let held = world.site.writing.lock().await;
    let mut second = Box::pin(world.write("a.ics", Some("\"1\""), "x"));
    assert!(futures_util::poll!(&mut second).is_pending());
    assert_eq!(at_once.load(std::sync::atomic::Ordering::SeqCst), 0);
    drop(held);
    assert!(matches!(second.await.0, Written::Stored(_)));
}
