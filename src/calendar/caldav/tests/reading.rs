//! Reading: tokens, listings, multiget, confirmation.

use super::super::profile::{Changes, LineEnds};
use super::super::testing::{bare, etag, full, multistatus, row, rows, tagged, token};
use super::*;

const COLLECTION: &str = "<d:resourcetype><d:collection/></d:resourcetype>";

fn collection() -> String {
    row("/cal/", COLLECTION)
}

fn ctag(ctag: &str) -> Vec<u8> {
    rows(
        &[row("/cal/", &format!("<s:getctag>{ctag}</s:getctag>"))],
        "",
    )
}

#[tokio::test]
async fn news_is_one_report_and_what_it_reports_is_read_whatever_is_known() {
    let world = World::new(&[
        (
            "sync t1",
            rows(
                &[
                    tagged("/cal/a.ics", "\"1\""),
                    tagged("/cal/b%40x.ics", "\"1\""),
                ],
                &token("t2"),
            ),
        ),
        (
            "multiget 2",
            rows(
                &[
                    full("/cal/a.ics", "\"1\"", &event("a")),
                    full("/cal/b@x.ics", "\"1\"", &event("b")),
                ],
                "",
            ),
        ),
        ("sync t2", rows(&[], &token("t2"))),
    ]);
    let known = known(&[("a.ics", "\"1\"")]);
    let shown = world.shown(&news("sync:t1"), known).await;
    assert_eq!(
        shown,
        ["changed a.ics", "changed b@x.ics", "complete 0 sync:t2"]
    );
    assert_eq!(world.asked(), ["sync t1", "multiget 2"]);

    let shown = world.shown(&news("sync:t2"), Known::new()).await;
    assert_eq!(shown, ["complete 0 sync:t2"]);
    let quiet = world.server.received();
    assert_eq!(world.asked(), ["sync t2"]);
    assert_eq!(quiet[0].header("depth"), "0");
    assert!(!quiet[0].body.contains("limit"), "{}", quiet[0].body);
    assert_eq!(quiet[0].header("accept-encoding"), "gzip");
    assert_eq!(world.site.profile.get().changes, Changes::Sync);
}

#[tokio::test]
async fn a_resource_comes_with_its_bytes_version_and_time() {
    let data = format!(
        "{}<d:getlastmodified>Sun, 01 Nov 2026 07:00:00 GMT</d:getlastmodified>",
        etag("\"1\"")
    );
    let text = event("a").replace('\r', "&#13;");
    let data = row(
        "/cal/a.ics",
        &format!("{data}<c:calendar-data>{text}</c:calendar-data>"),
    );
    let world = World::new(&[
        (
            "multiget 2",
            rows(&[data, full("/cal/b.ics", "\"2\"", &event("b"))], ""),
        ),
        (
            "GET c.ics",
            answer(
                200,
                &[
                    "etag: \"3\"",
                    "last-modified: Sun, 01 Nov 2026 06:00:00 GMT",
                ],
                &event("c"),
            ),
        ),
    ]);
    let found = world
        .read(&ids(&["a.ics", "b.ics"]), Known::new())
        .await
        .unwrap();
    let Found::Changed(a) = &found[0] else {
        panic!("{found:?}")
    };
    assert_eq!(&*a.bytes, event("a").as_bytes());
    assert_eq!(a.version, known(&[("a", "\"1\"")])[&id("a")]);
    assert_eq!(
        a.modified.unwrap().to_rfc3339(),
        "2026-11-01T07:00:00+00:00"
    );

    let found = world.read(&ids(&["c.ics"]), Known::new()).await.unwrap();
    let Found::Changed(c) = &found[0] else {
        panic!("{found:?}")
    };
    assert_eq!(c.version, known(&[("c", "\"3\"")])[&id("c")]);
    assert_eq!(
        c.modified.unwrap().to_rfc3339(),
        "2026-11-01T06:00:00+00:00"
    );
    let get = world.server.received().pop().unwrap();
    assert_eq!(get.header("accept-encoding"), "identity");
}

#[tokio::test]
async fn a_token_that_is_not_known_any_more_has_expired_however_that_is_said() {
    let forms = [
        error(403, "valid-sync-token"),
        error(412, "valid-sync-token"),
        error(409, "valid-sync-token"),
        error(403, "supported-report"),
        status(400),
        status(409),
        status(410),
        status(501),
        rows(&[], ""),
        // Empty, and with another token: a made-up number, or one from the future.
        rows(&[], &token("t9")),
        rows(&[collection()], &token("t9")),
    ];
    for form in forms {
        let text = String::from_utf8_lossy(&form).into_owned();
        let world = World::new(&[("sync t1", form)]);
        let read = world.read(&news("sync:t1"), Known::new()).await;
        assert!(is_expired(&read), "{text}: {read:?}");
    }
    let world = World::new(&[]);
    for scope in [Scope::News(None), news("t1"), news("ctag:new:1")] {
        assert!(is_expired(&world.read(&scope, Known::new()).await));
    }
    assert_eq!(world.asked(), [""; 0]);
}

#[tokio::test]
async fn other_refusals_of_a_report_are_errors() {
    for (form, words) in [
        (status(404), "meetbridge calendars"),
        (status(500), "out of order"),
        (status(507), "cut"),
        (
            answer(200, &[], "<html>Sign in</html>"),
            "web page",
        ),
        (answer(207, &[], "<html>Sign in</html>"), "web page"),
        (
            answer(207, &[], "<d:multistatus xmlns:d=\"DAV:\"><d:response>"),
            "cut off",
        ),
        (rows(&[bare("/cal/", 404)], &token("t2")), "404"),
    ] {
        let world = World::new(&[("sync t1", form)]);
        let error = world
            .read(&news("sync:t1"), Known::new())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("alice at host: ") && text.contains(words),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_report_in_parts_is_followed_to_its_end() {
    let world = World::new(&[
        (
            "sync t1",
            rows(
                &[
                    tagged("/cal/a.ics", "\"1\""),
                    bare("/cal/b.ics", 404),
                    bare("/cal/", 507),
                ],
                &token("t2"),
            ),
        ),
        (
            "sync t2",
            rows(
                &[tagged("/cal/b.ics", "\"2\""), bare("/cal", 507)],
                &token("t3"),
            ),
        ),
        (
            "sync t3",
            rows(&[tagged("/cal/c.ics", "\"1\"")], &token("t4")),
        ),
        (
            "multiget 3",
            rows(
                &[
                    full("a.ics", "\"1\"", &event("a")),
                    full("b.ics", "\"2\"", &event("b")),
                    full("c.ics", "\"1\"", &event("c")),
                ],
                "",
            ),
        ),
    ]);
    let shown = world.shown(&news("sync:t1"), Known::new()).await;
    assert_eq!(
        shown,
        [
            "changed a.ics",
            "changed b.ics",
            "changed c.ics",
            "complete 0 sync:t4"
        ]
    );

    let endless = World::answering(
        |request| {
            if request.method == "GET" {
                return got("\"1\"", &event("a"));
            }
            let before = asked(request);
            let before: u32 = before.trim_start_matches("sync t").parse().unwrap();
            let part = [tagged("/cal/a.ics", "\"1\""), bare("/cal/", 507)];
            rows(&part, &token(&format!("t{}", before + 1)))
        },
        |_| {},
    );
    let shown = endless.shown(&news("sync:t1"), Known::new()).await;
    assert_eq!(
        shown,
        ["changed a.ics", "complete 0 sync:t101"],
        "the rest is left to the next read"
    );
    assert_eq!(endless.asked().len(), 101);

    let circle = World::new(&[("sync t1", rows(&[bare("/cal/", 507)], &token("t1")))]);
    assert!(circle.read(&news("sync:t1"), Known::new()).await.is_err());
}

#[tokio::test]
async fn a_tombstone_is_believed_only_of_the_resource_itself() {
    let gone = |names: &[&str]| {
        let bare: Vec<String> = names
            .iter()
            .map(|name| bare(&format!("/cal/{name}"), 404))
            .collect();
        rows(&bare, &token("t2"))
    };
    let there = || ("PROPFIND 0", rows(&[collection()], ""));
    // By a multiget: one is gone, one is there, one is omitted.
    let world = World::new(&[
        ("sync t1", gone(&["a.ics", "b.ics", "c.ics"])),
        (
            "etags 3",
            rows(
                &[bare("/cal/a.ics", 404), tagged("/cal/b.ics", "\"1\"")],
                "",
            ),
        ),
        ("PROPFIND 0 c.ics", status(404)),
        ("GET b.ics", got("\"1\"", &event("b"))),
        there(),
    ]);
    let shown = world.shown(&news("sync:t1"), Known::new()).await;
    assert_eq!(
        shown,
        [
            "vanished a.ics",
            "vanished c.ics",
            "changed b.ics",
            "complete 0 sync:t2"
        ]
    );

    // One by one, after a multiget that is refused as a whole.
    let world = World::new(&[
        ("sync t1", gone(&["a.ics", "b.ics"])),
        ("etags 2", status(404)),
        ("PROPFIND 0 a.ics", rows(&[bare("/cal/a.ics", 404)], "")),
        ("PROPFIND 0 b.ics", status(410)),
        there(),
    ]);
    let shown = world.shown(&news("sync:t1"), Known::new()).await;
    assert_eq!(
        shown,
        ["vanished a.ics", "vanished b.ics", "complete 0 sync:t2"]
    );

    // Anything but "not there" is not gone.
    for answer in [
        status(403),
        status(405),
        status(500),
        rows(&[row("/cal/a.ics", "")], ""),
        rows(&[bare("/cal/other.ics", 404)], ""),
    ] {
        let world = World::new(&[
            ("sync t1", gone(&["a.ics"])),
            ("PROPFIND 0 a.ics", answer),
            ("GET a.ics", got("\"1\"", &event("a"))),
        ]);
        let shown = world.shown(&news("sync:t1"), Known::new()).await;
        assert_eq!(shown, ["changed a.ics", "complete 0 sync:t2"]);
    }

    // A server that answers everything with 404 has lost more than one event.
    let world = World::new(&[
        ("sync t1", gone(&["a.ics"])),
        ("PROPFIND 0 a.ics", status(404)),
        ("GET a.ics", status(404)),
        ("PROPFIND 0", status(404)),
    ]);
    let shown = world.shown(&news("sync:t1"), Known::new()).await;
    assert_eq!(shown, ["unreadable a.ics", "complete 0 sync:t2"]);
}

#[tokio::test]
async fn an_empty_report_with_another_token_costs_a_listing_until_tokens_are_known_to_move() {
    let world = World::answering(
        |request| match asked(request).as_str() {
            "PROPFIND 1" => rows(&[collection(), tagged("/cal/a.ics", "\"1\"")], ""),
            line => {
                let before: u32 = line
                    .trim_start_matches("sync t")
                    .parse()
                    .unwrap_or_default();
                rows(&[], &token(&format!("t{}", before + 1)))
            }
        },
        |_| {},
    );
    let known = known(&[("a.ics", "\"1\"")]);
    let mut at = 1;
    for _ in 0..3 {
        assert!(is_expired(
            &world
                .read(&news(&format!("sync:t{at}")), Known::new())
                .await
        ));
        world.asked();
        let shown = world.shown(&Scope::All, known.clone()).await;
        assert_eq!(shown, [format!("complete 1 sync:t{}", at + 2)]);
        assert_eq!(
            world.asked(),
            [format!("sync t{}", at + 1), "PROPFIND 1".to_owned()]
        );
        at += 2;
    }
    let shown = world
        .shown(&news(&format!("sync:t{at}")), Known::new())
        .await;
    assert_eq!(shown, [format!("complete 0 sync:t{}", at + 1)]);

    // One that goes back was never heard of, whatever was learned.
    let back = World::new(&[("sync t9", rows(&[], &token("t3")))]);
    back.site
        .profile
        .learn(|profile| (0..3).for_each(|_| profile.saw_token_move(false)));
    assert!(is_expired(&back.read(&news("sync:t9"), Known::new()).await));
}

#[tokio::test]
async fn the_first_listing_is_one_report_which_gives_the_token_too() {
    let world = World::new(&[
        (
            "sync",
            rows(
                &[
                    collection(),
                    tagged("/cal/a.ics", "\"1\""),
                    tagged("/cal/b.ics", "W/\"1\""),
                    tagged("/cal/c.ics", "\"2\""),
                    bare("/cal/deleted.ics", 404),
                    tagged("/cal/sub/", "\"1\""),
                    tagged("/other/x.ics", "\"1\""),
                ],
                &token("t1"),
            ),
        ),
        ("GET c.ics", got("\"2\"", &event("c"))),
    ]);
    let known = known(&[("a.ics", "\"1\""), ("b.ics", "\"1\""), ("c.ics", "\"1\"")]);
    let shown = world.shown(&Scope::All, known).await;
    assert_eq!(shown, ["changed c.ics", "complete 2 sync:t1"]);
    assert_eq!(world.asked(), ["sync", "GET c.ics"]);
}

#[tokio::test]
async fn a_later_listing_is_one_small_report_then_one_propfind() {
    let world = World::new(&[
        ("sync", rows(&[tagged("/cal/a.ics", "\"1\"")], &token("t1"))),
        (
            "sync t1",
            rows(&[tagged("/cal/a.ics", "\"1\"")], &token("t2")),
        ),
        (
            "PROPFIND 1",
            rows(
                &[
                    collection(),
                    row("/cal/sub/", COLLECTION),
                    row(
                        "/cal/notes.txt",
                        &format!(
                            "{}<d:getcontenttype>text/plain</d:getcontenttype>",
                            etag("\"1\"")
                        ),
                    ),
                    row(
                        "/cal/a.ics",
                        &format!(
                            "{}<d:getcontenttype>text/calendar; component=vevent</d:getcontenttype>",
                            etag("\"1\"")
                        ),
                    ),
                    bare("/cal/went.ics", 404),
                ],
                "",
            ),
        ),
        ("GET a.ics", got("\"1\"", &event("a"))),
        (
            "etags 2",
            rows(
                &[bare("/cal/went.ics", 404), bare("/cal/lost.ics", 404)],
                "",
            ),
        ),
    ]);
    let first = known(&[("a.ics", "\"1\"")]);
    assert_eq!(
        world.shown(&Scope::All, first).await,
        ["complete 1 sync:t1"]
    );
    world.asked();
    // The report names it as changed, so that it is read although its version is known.
    let known = known(&[
        ("a.ics", "\"1\""),
        ("went.ics", "\"1\""),
        ("lost.ics", "\"1\""),
    ]);
    let mut shown = world.shown(&Scope::All, known).await;
    shown.sort();
    assert_eq!(
        shown,
        [
            "changed a.ics",
            "complete 0 sync:t2",
            "vanished lost.ics",
            "vanished went.ics"
        ]
    );
    assert_eq!(
        world.asked(),
        ["sync t1", "PROPFIND 1", "etags 2", "GET a.ics"]
    );
}

#[tokio::test]
async fn a_listing_that_cannot_be_whole_is_an_error() {
    let member = || tagged("/cal/a.ics", "\"1\"");
    for listing in [
        rows(&[member()], ""),
        rows(&[], ""),
        rows(&[collection(), member(), bare("/cal/", 507)], ""),
        rows(&[bare("/cal/", 404)], ""),
        answer(207, &[], &multistatus(&[collection(), member()], "")[..200]),
        answer(207, &[], ""),
        status(200),
        status(403),
        status(404),
        status(507),
    ] {
        let text = String::from_utf8_lossy(&listing).into_owned();
        let world = World::with(
            &[("PROPFIND 0", ctag("1")), ("PROPFIND 1", listing)],
            |site| site.sync_collection = false,
        );
        let read = world.read(&Scope::All, known(&[("a.ics", "\"1\"")])).await;
        assert!(
            matches!(read, Err(ReadError::Server { .. })),
            "{text}: {read:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_only_says_it_has_sync_collection_is_told_by_its_ctag() {
    let world = World::new(&[
        ("sync", error(403, "supported-report")),
        ("PROPFIND 0", ctag("5")),
        (
            "PROPFIND 1",
            rows(&[collection(), tagged("/cal/a.ics", "\"1\"")], ""),
        ),
    ]);
    let known = known(&[("a.ics", "\"1\"")]);
    let shown = world.shown(&Scope::All, known.clone()).await;
    assert_eq!(shown, ["complete 1 ctag:new:5"]);
    assert_eq!(world.asked(), ["sync", "PROPFIND 0", "PROPFIND 1"]);
    assert_eq!(world.site.profile.get().changes, Changes::Ctag);

    // Its second may not be over: listed once more before it is believed.
    assert!(is_expired(
        &world.read(&news("ctag:new:5"), Known::new()).await
    ));
    assert_eq!(
        world.shown(&Scope::All, known.clone()).await,
        ["complete 1 ctag:new:5"]
    );
    world.clock.pass(std::time::Duration::from_secs(2));
    assert_eq!(
        world.shown(&Scope::All, known).await,
        ["complete 1 ctag:old:5"]
    );
    world.asked();
    assert_eq!(
        world.shown(&news("ctag:old:5"), Known::new()).await,
        ["complete 0 ctag:old:5"]
    );
    assert_eq!(world.asked(), ["PROPFIND 0"]);
    assert!(is_expired(
        &world.read(&news("ctag:old:4"), Known::new()).await
    ));
}

#[tokio::test]
async fn a_server_without_token_and_ctag_is_listed_each_time() {
    let world = World::with(
        &[
            ("PROPFIND 0", rows(&[collection()], "")),
            (
                "PROPFIND 1",
                rows(&[collection(), row("/cal/a.ics", "")], ""),
            ),
            ("GET a.ics", answer(200, &[], &event("a.ics"))),
        ],
        |site| site.sync_collection = false,
    );
    // No ETag either: what the bytes say decides.
    let shown = world.shown(&Scope::All, known(&[("a.ics", "")])).await;
    assert_eq!(shown, ["complete 1 -"]);
    let shown = world.shown(&Scope::All, known(&[("b.ics", "")])).await;
    let expected = ["changed a.ics", "unreadable b.ics", "complete 0 -"];
    assert_eq!(shown, expected, "599 is no answer");
    assert_eq!(world.site.profile.get().changes, Changes::Listing);
}

#[tokio::test]
async fn what_a_multiget_leaves_out_is_fetched_by_itself() {
    let world = World::new(&[
        (
            "multiget 5",
            rows(
                &[
                    full("/cal/a.ics", "\"1\"", &event("a")),
                    bare("/cal/b.ics", 404),
                    tagged("/cal/c.ics", "\"1\""),
                    row(
                        "/cal/d.ics",
                        &format!("<c:calendar-data>{}</c:calendar-data>", event("d")),
                    ),
                    full("/cal/stranger.ics", "\"1\"", &event("x")),
                ],
                "",
            ),
        ),
        ("GET c.ics", got("\"1\"", &event("c"))),
        ("GET d.ics", got("\"1\"", &event("d"))),
        ("GET e.ics", status(404)),
        ("PROPFIND 0", rows(&[collection()], "")),
    ]);
    let scope = ids(&["a.ics", "b.ics", "c.ics", "d.ics", "e.ics"]);
    let mut shown = world.shown(&scope, Known::new()).await;
    shown.sort();
    assert_eq!(
        shown,
        [
            "changed a.ics",
            "changed c.ics",
            "changed d.ics",
            "complete 0 -",
            "vanished b.ics",
            "vanished e.ics"
        ]
    );
}

#[tokio::test]
async fn a_multiget_that_is_refused_is_halved_and_the_size_that_works_is_learned() {
    fn server(most: usize, poison: &'static str) -> World {
        World::answering(
            move |request| {
                let body = &request.body;
                let hrefs: Vec<&str> = body
                    .split("<d:href>")
                    .skip(1)
                    .map(|part| part.split('<').next().unwrap())
                    .collect();
                if request.method == "GET" {
                    return got("\"1\"", &event("x"));
                }
                if hrefs.len() > most || (!poison.is_empty() && body.contains(poison)) {
                    return status(500);
                }
                let found: Vec<String> = hrefs
                    .iter()
                    .map(|href| full(href, "\"1\"", &event("x")))
                    .collect();
                rows(&found, "")
            },
            |_| {},
        )
    }
    let names: Vec<String> = (0..60).map(|n| format!("{n}.ics")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (most, poison, learned, requests) in [
        (1000, "", None, 2),
        (25, "", Some(25), 3 + 1),
        (13, "", Some(13), 7 + 1),
        (0, "", Some(0), 49 + 60),
        (1000, "17.ics", None, 0),
    ] {
        let world = server(most, poison);
        let shown = world.shown(&ids(&names), Known::new()).await;
        assert_eq!(shown.len(), 61, "{most} {poison}");
        assert!(
            shown[..60].iter().all(|line| line.starts_with("changed")),
            "{shown:?}"
        );
        assert_eq!(
            world.site.profile.get().multiget,
            learned,
            "{most} {poison}"
        );
        if requests > 0 {
            assert_eq!(world.asked().len(), requests, "{most}");
        }
    }
}

#[tokio::test]
async fn line_ends_that_a_report_loses_are_read_by_get() {
    let lost = |href: &str| {
        let data = event("x").replace('\r', "");
        row(
            href,
            &format!("{}<c:calendar-data>{data}</c:calendar-data>", etag("\"1\"")),
        )
    };
    let world = World::new(&[
        (
            "multiget 2",
            rows(&[lost("/cal/a.ics"), lost("/cal/b.ics")], ""),
        ),
        ("GET a.ics", got("\"1\"", &event("x"))),
        ("GET b.ics", got("\"1\"", &event("x"))),
    ]);
    let found = world
        .read(&ids(&["a.ics", "b.ics"]), Known::new())
        .await
        .unwrap();
    for found in &found[..2] {
        let Found::Changed(resource) = found else {
            panic!("{found:?}")
        };
        assert_eq!(&*resource.bytes, event("x").as_bytes());
    }
    assert_eq!(world.site.profile.get().line_ends, LineEnds::Lost);
    world.asked();
    world.shown(&ids(&["a.ics", "b.ics"]), Known::new()).await;
    assert!(world.asked().iter().all(|line| line.starts_with("GET")));
}

#[tokio::test]
async fn one_broken_resource_leaves_its_neighbours_alone() {
    let page = answer(200, &["content-type: text/html"], "<html>");
    for (broken, words) in [
        (page, "web page"),
        (got("\"1\"", "BEGIN:VCALENDAR\r\nBEGIN:VEV"), "incomplete"),
        (status(403), "no permission"),
        (status(500), "out of order"),
    ] {
        let world = World::new(&[
            (
                "multiget 2",
                rows(&[full("/cal/b.ics", "\"1\"", &event("b"))], ""),
            ),
            ("GET a.ics", broken),
        ]);
        let found = world
            .read(&ids(&["a.ics", "b.ics"]), Known::new())
            .await
            .unwrap();
        let shown: Vec<String> = found.iter().map(show).collect();
        assert_eq!(shown, ["changed b.ics", "unreadable a.ics", "complete 0 -"]);
        let Found::Unreadable(_, error) = &found[1] else {
            panic!()
        };
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_cuts_the_read_short() {
    let world = World::new(&[
        (
            "sync t1",
            rows(&[tagged("/cal/a.ics", "\"1\"")], &token("t2")),
        ),
        (
            "GET a.ics",
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nBEGIN".to_vec(),
        ),
    ]);
    let shown = world.shown(&news("sync:t1"), Known::new()).await;
    assert_eq!(shown, ["unreadable a.ics"]);
    assert_eq!(world.site.memory().token, None);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_stops_asking() {
    let names: Vec<String> = (0..1000).map(|n| format!("{n}.ics")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::answering(|_| rows(&[], ""), |site| site.multiget = false);
    let noted = Box::new(|_| {});
    let mut finding = list::read(Arc::clone(&world.site), &ids(&names), Known::new(), noted)
        .await
        .unwrap();
    assert!(finding.next().await.is_some());
    // One chunk in the making, one waiting, one handed out: four each.
    assert!(world.server.received().len() <= 16);
}
