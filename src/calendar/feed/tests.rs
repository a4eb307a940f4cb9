//! What an answer must be to be believed, and what is done about each that is not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use url::Url;

use super::body::Spool;
use super::enrich::{Composition, Links};
use super::index::take_apart;
use super::split::{Shown, Snapshot, id_of};
use super::{FeedSettings, PlaceSettings, Publish, open};
use crate::calendar::{Again, Calendar, Found, Known, Notes, ReadError, Scope, SyncToken};
use crate::clock::Clock as _;
use crate::http::testing::server::{Received, Server, answer};
use crate::http::testing::{Numbers, Timeless};
use crate::http::{ClientOptions, Credentials, WindowStore, Windows};
use crate::ical::document::Document;
use crate::secret::SecretSource;

const EMPTY: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n";
const ONE: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:one@x\r\nEND:VEVENT\r\n\
                   END:VCALENDAR\r\n";

#[derive(Default)]
struct Memory(Mutex<HashMap<String, String>>);

impl Notes for Memory {
    fn load(&self, key: &str) -> Option<String> {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn store(&self, key: &str, text: &str) {
        self.0.lock().unwrap().insert(key.into(), text.into());
    }
}

struct Nowhere;

impl WindowStore for Nowhere {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        Vec::new()
    }

    fn store(&self, _: &str, _: DateTime<Utc>) {}
}

struct World {
    clock: Arc<Timeless>,
    port: Arc<dyn Calendar>,
    _home: tempfile::TempDir,
}

impl World {
    fn new(url: &Url) -> Self {
        Self::with(url, Credentials::None)
    }

    fn with(url: &Url, credentials: Credentials) -> Self {
        Self::patient(url, credentials, Duration::from_secs(20))
    }

    /// One that waits so long for a whole answer.
    fn patient(url: &Url, credentials: Credentials, patience: Duration) -> Self {
        let clock = Arc::new(Timeless::default());
        let home = tempfile::tempdir().unwrap();
        let windows = Arc::new(Windows::new(clock.clone(), Arc::new(Nowhere)));
        let source = PlaceSettings {
            scope: "feed:events".to_owned(),
            url: url.join("feed.ics?key=GEHEIM").unwrap(),
            credentials,
            client: ClientOptions {
                total_timeout: patience,
                ..ClientOptions::default()
            },
            allow_http: false,
        };
        assert!(!format!("{source:?}").contains("GEHEIM"));
        let settings = FeedSettings {
            name: "events".to_owned(),
            source,
            poll: Duration::from_secs(600),
            publish: Publish::File(home.path().join("out.ics")),
            directory: home.path().to_owned(),
        };
        let notes = Arc::new(Memory::default());
        let random = Arc::new(Numbers::always(0));
        let port = open(settings, windows, notes, clock.clone(), random).unwrap();
        Self {
            clock,
            port,
            _home: home,
        }
    }

    /// How many events are found new.
    async fn read(&self) -> Result<usize, ReadError> {
        let finding = self.port.read(&Scope::All, Known::default()).await?;
        let found: Vec<Found> = finding.collect().await;
        assert!(matches!(found.last(), Some(Found::Complete { .. })));
        Ok(found.len() - 1)
    }

    async fn refusal(&self) -> (String, Again) {
        let error = self.read().await.unwrap_err();
        let text = format!("{error} {error:?}");
        for secret in ["GEHEIM", "feed.ics", "BEGIN"] {
            assert!(!text.contains(secret) || secret == "BEGIN", "{text}");
        }
        (error.to_string(), error.again())
    }
}

fn gzip_bomb() -> Vec<u8> {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1 << 20];
    packed.write_all(b"BEGIN:VCALENDAR\r\n").unwrap();
    for _ in 0..66 {
        packed.write_all(&zeros).unwrap();
    }
    let body = packed.finish().unwrap();
    assert!(body.len() < 1 << 20);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

#[tokio::test]
async fn what_is_no_whole_calendar_is_refused_in_words() {
    use Again::{Slowly, Soon};
    let cut = &ONE[..ONE.len() - 20];
    let short = format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{ONE}");
    let page = "<!DOCTYPE html><html>Sign in</html>";
    let cases: Vec<(&str, Vec<u8>, &str, Again)> = vec![
        (
            "login page",
            answer(200, &["content-type: text/html"], page),
            "login page",
            Slowly,
        ),
        (
            "page without type",
            answer(200, &[], page),
            "login page",
            Slowly,
        ),
        (
            "something",
            answer(200, &[], "{\"a\":1}"),
            "not a calendar",
            Slowly,
        ),
        (
            "empty",
            answer(200, &[], " \r\n"),
            "answered with nothing",
            Soon,
        ),
        ("cut", answer(200, &[], cut), "breaks off", Soon),
        ("shorter than said", short.into_bytes(), "broke off", Soon),
        ("bomb", gzip_bomb(), "more than 64 MiB", Slowly),
        ("no content", answer(204, &[], ""), "HTTP 204", Slowly),
        ("unasked 304", answer(304, &[], ""), "HTTP 304", Slowly),
        (
            "401",
            answer(401, &[], ""),
            "asks to be signed in to",
            Slowly,
        ),
        ("403", answer(403, &[], ""), "copy the address anew", Slowly),
        ("404", answer(404, &[], ""), "no such calendar", Slowly),
        ("410", answer(410, &[], ""), "done away", Slowly),
        ("429", answer(429, &[], ""), "longer `poll`", Soon),
        ("500", answer(500, &[], ""), "HTTP 500", Soon),
        (
            "away",
            answer(302, &["location: https://evil.example/x"], ""),
            "another site",
            Slowly,
        ),
        (
            "circle",
            answer(302, &["location: /feed.ics"], ""),
            "more than 5 times",
            Slowly,
        ),
        (
            "file",
            answer(302, &["location: file:///etc/passwd"], ""),
            "another site",
            Slowly,
        ),
    ];
    for (name, bytes, words, again) in cases {
        let server = Server::start(move |_| bytes.clone());
        let world = World::new(&server.url);
        let (text, found) = world.refusal().await;
        assert!(text.contains(words), "{name}: {text}");
        assert_eq!(found, again, "{name}: {text}");
    }
}

#[tokio::test]
async fn a_body_that_drips_or_never_ends_is_given_up() {
    use std::io::Write as _;
    for endless in [false, true] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head =
                    "HTTP/1.1 200 OK\r\ncontent-length: 900000000\r\n\r\nBEGIN:VCALENDAR\r\n";
                let _ = stream.write_all(head.as_bytes());
                let piece = vec![b' '; if endless { 1 << 20 } else { 1 }];
                while stream.write_all(&piece).is_ok() {
                    if !endless {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            }
        });
        let patience = Duration::from_millis(if endless { 20_000 } else { 300 });
        let url = Url::parse(&url).unwrap();
        let world = World::patient(&url, Credentials::None, patience);
        let (text, _) = world.refusal().await;
        let words = ["more than 64 MiB", "did not answer in time", "broke off"];
        assert!(words.iter().any(|words| text.contains(words)), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_asks_to_be_left_alone_is() {
    for status in [429, 503] {
        let server = Server::start(move |_| answer(status, &["retry-after: 300"], ""));
        let world = World::new(&server.url);
        let until = world.clock.now() + chrono::TimeDelta::seconds(300);
        for _ in 0..3 {
            assert_eq!(world.refusal().await.1, Again::At(until));
        }
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn a_redirect_on_the_site_is_followed_and_credentials_stay_at_their_host() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "secret").unwrap();
    let credentials = Credentials::Password {
        username: "alice".to_owned(),
        password: SecretSource::File(file),
    };
    // Another port is another server.
    let second = Server::start(|_| answer(200, &[], ONE));
    let target = format!("location: {}there", second.url);
    let first = Server::start(move |seen: &Received| match seen.target.as_str() {
        "/feed.ics?key=GEHEIM" => answer(301, &["location: /moved"], ""),
        _ => answer(302, &[&target], ""),
    });
    let world = World::with(&first.url, credentials);
    assert_eq!(world.read().await.unwrap(), 1);
    let own = first.received();
    assert_eq!(own.len(), 2);
    assert!(
        own.iter()
            .all(|seen| seen.header("authorization").starts_with("Basic "))
    );
    assert_eq!(second.received()[0].header("authorization"), "");
}

#[tokio::test]
async fn a_feed_is_asked_for_what_changed_by_both_validators() {
    let headers = [
        "etag: \"1\"",
        "last-modified: Sun, 01 Nov 2026 08:00:00 GMT",
    ];
    let server = Server::start(move |seen: &Received| {
        let same = seen.header("if-none-match") == "\"1\""
            && seen.header("if-modified-since") == "Sun, 01 Nov 2026 08:00:00 GMT";
        match same {
            true => answer(304, &[], ""),
            false => answer(200, &headers, ONE),
        }
    });
    let world = World::new(&server.url);
    assert_eq!(world.read().await.unwrap(), 1);
    assert_eq!(world.read().await.unwrap(), 1, "nothing is known of it");
    let asked = server.received();
    assert_eq!(asked[0].header("if-none-match"), "");
    assert_eq!(asked[0].header("accept-encoding"), "gzip");
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_feed_can_ask_to_be_fetched_less_often_but_not_more() {
    let with = |line: &str| EMPTY.replace("VERSION:2.0", &format!("VERSION:2.0\r\n{line}"));
    let cases = [
        ("X-A:1", "x: y", 600),
        ("X-A:1", "cache-control: max-age=60", 600),
        ("X-A:1", "cache-control: private, max-age=3600", 3600),
        ("X-A:1", "cache-control: max-age=99999999999", 86_400),
        ("REFRESH-INTERVAL;VALUE=DURATION:PT2H", "x: y", 7200),
        ("X-PUBLISHED-TTL:PT1H30M", "x: y", 5400),
        ("X-PUBLISHED-TTL:P1W", "x: y", 86_400),
        ("X-PUBLISHED-TTL:PT5M", "x: y", 600),
        ("X-PUBLISHED-TTL:-PT5H", "x: y", 600),
        ("X-PUBLISHED-TTL:PT999999999999999999999H", "x: y", 600),
    ];
    for (line, header, expected) in cases {
        let body = with(line);
        let server = Server::start(move |_| answer(200, &[header], &body));
        let world = World::new(&server.url);
        world.read().await.unwrap();
        let before = world.clock.elapsed();
        assert_eq!(world.port.changed().await, Scope::News(None));
        let waited = world.clock.elapsed() - before;
        assert_eq!(waited.as_secs(), expected, "{line} {header}");
    }
}

#[tokio::test]
async fn news_are_what_changed_and_what_vanished_needs_a_whole_listing() {
    let two = ONE.replace(
        "END:VCALENDAR",
        "BEGIN:VEVENT\r\nUID:two@x\r\nEND:VEVENT\r\nEND:VCALENDAR",
    );
    let other = two.replace("two@x\r\n", "two@x\r\nSUMMARY:x\r\n");
    let mut answers = vec![two.clone(), two, other, ONE.to_owned()].into_iter();
    let server = Server::start(move |_| answer(200, &[], &answers.next().unwrap()));
    let world = World::new(&server.url);
    let finding = world
        .port
        .read(&Scope::All, Known::default())
        .await
        .unwrap();
    let token = |found: &[Found]| match found.last() {
        Some(Found::Complete { token, .. }) => token.clone(),
        _ => None,
    };
    let found: Vec<Found> = finding.collect().await;
    let mut known = Known::default();
    for one in &found {
        if let Found::Changed(resource) = one {
            known.insert(resource.id.clone(), resource.version.clone());
        }
    }
    assert_eq!(known.len(), 2);
    let news = |token: Option<SyncToken>| {
        let port = Arc::clone(&world.port);
        async move {
            let finding = port.read(&Scope::News(token), Known::default()).await?;
            Ok::<Vec<Found>, ReadError>(finding.collect().await)
        }
    };
    let same = news(token(&found)).await.unwrap();
    assert_eq!((same.len(), token(&same)), (1, token(&found)));
    let changed = news(token(&same)).await.unwrap();
    assert!(matches!(&changed[..], [Found::Changed(one), _] if one.id.as_str() == "two@x"));
    let unknown = news(token(&found)).await;
    assert!(matches!(unknown, Err(ReadError::Expired)));
    let gone = news(token(&changed)).await;
    assert!(matches!(gone, Err(ReadError::Expired)));
    // What was fetched is listed without another request.
    let listed = world.port.read(&Scope::All, known).await.unwrap();
    let listed: Vec<Found> = listed.collect().await;
    assert!(matches!(
        &listed[..],
        [Found::Vanished(id), Found::Complete { unchanged: 1, .. }] if id.as_str() == "two@x"
    ));
    assert_eq!(server.count(), 4);
    // Another listing as a whole is owed, to confirm it.
    assert_eq!(world.port.changed().await, Scope::All);
}

fn snapshot(text: &str) -> Snapshot {
    use std::io::Write as _;
    let mut spool = Spool::new(&std::env::temp_dir()).unwrap();
    spool.write_all(text.as_bytes()).unwrap();
    take_apart(spool.finish(), String::new()).unwrap()
}

#[test]
fn an_event_is_shown_with_the_zones_it_names_and_nothing_else() {
    let zone = |name: &str| format!("BEGIN:VTIMEZONE\nTZID:{name}\nX-OF:{name}\nEND:VTIMEZONE\n");
    let text = format!(
        "BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:PUBLISH\nX-GENERATED:now\n{}{}\
         BEGIN:VEVENT\nUID:a\nDTSTART;TZID=One:20261101T100000\nEND:VEVENT\n\
         BEGIN:VEVENT\nUID:b\nDTSTART:20261101T100000Z\nEND:VEVENT\n\
         BEGIN:VTODO\nUID:c\nEND:VTODO\n\
         BEGIN:VEVENT\nUID:a\nRECURRENCE-ID;TZID=\"One\":20261102T100000\nEND:VEVENT\n\
         END:VCALENDAR\n",
        zone("One"),
        zone("Two"),
    );
    let snapshot = snapshot(&text);
    let index = snapshot.index();
    assert_eq!(index.pieces.len(), 2);
    let show = |id: &str| {
        let piece = index.find(id).unwrap();
        let parts = snapshot.parts(piece).unwrap();
        String::from_utf8(snapshot.show(piece, parts, false).unwrap().bytes).unwrap()
    };
    assert_eq!(
        show("a"),
        format!(
            "BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:PUBLISH\n{}\
             BEGIN:VEVENT\nUID:a\nDTSTART;TZID=One:20261101T100000\nEND:VEVENT\n\
             BEGIN:VEVENT\nUID:a\nRECURRENCE-ID;TZID=\"One\":20261102T100000\nEND:VEVENT\n\
             END:VCALENDAR\n",
            zone("One")
        )
    );
    assert!(!show("b").contains("VTIMEZONE"));
}

#[test]
fn a_feed_is_the_same_whether_it_is_read_by_event_or_as_a_whole() {
    let zone = |name: &str| format!("BEGIN:VTIMEZONE\nTZID:{name}\nX-OF:{name}\nEND:VTIMEZONE\n");
    let event =
        |inner: &str| format!("BEGIN:VEVENT\n{inner}BEGIN:VALARM\nEND:VALARM\nEND:VEVENT\n");
    let first = format!(
        "BEGIN:VCALENDAR\nVERSION:2.0\nX-WR-TIMEZONE:Two\nREFRESH-INTERVAL:PT2H\n{}{}{}{}{}END:VCALENDAR\n",
        event("UID:a\nDTSTART;TZID=One:20261101T100000\n"),
        zone("One"),
        event("UID:b\nDTSTAMP:20261101T100000Z\n"),
        event("UID:a\nRECURRENCE-ID;TZID=Two:20261101T100000\n"),
        zone("Two"),
    );
    let second = format!(
        "BEGIN:VCALENDAR\nMETHOD:PUBLISH\n{}{}{}END:VCALENDAR\n",
        event("UID:a\n"),
        event("SUMMARY:nameless\n"),
        event("SUMMARY:another\n"),
    );
    let text = first + &second;
    // A blank line with an end that leaves doubt.
    let odd = format!("{text}\r\r\n");
    let all = |text: &str| {
        let snapshot = snapshot(text);
        let index = Arc::clone(snapshot.index());
        let shown = index.pieces.iter().map(|piece| {
            let shown = snapshot.show(piece, snapshot.parts(piece).unwrap(), false);
            let ranges: Vec<_> = snapshot.ranges(piece).collect();
            let shown = String::from_utf8(shown.unwrap().bytes).unwrap();
            (piece.id.clone(), piece.raw, piece.bare, ranges, shown)
        });
        (shown.collect::<Vec<_>>(), index.refresh)
    };
    assert_eq!(all(&text), all(&odd));
    assert_eq!(all(&text).0.len(), 3);
}

#[test]
fn an_identifier_is_the_uid_or_stands_for_it_alone() {
    assert_eq!(id_of("one@x").as_str(), "one@x");
    for odd in [
        "ü",
        "a\tb",
        "sha256:abc",
        "(events without UID)",
        &"x".repeat(201),
    ] {
        let id = id_of(odd);
        assert!(
            id.as_str().starts_with("sha256:") && id.as_str().len() == 71,
            "{odd}"
        );
    }
}

#[test]
fn what_a_piece_stands_for_changes_with_what_bears_upon_it_only() {
    let raw = |text: &str| {
        let snapshot = snapshot(text);
        let piece = snapshot.index().find("one@x").unwrap();
        (piece.raw, piece.bare)
    };
    let base = ONE.replace(
        "UID:one@x\r\n",
        "UID:one@x\r\nDTSTAMP:20261101T000000Z\r\nSUMMARY:x\r\n",
    );
    let stamped = base.replace("T000000Z", "T000001Z");
    assert_ne!(raw(&base).0, raw(&stamped).0);
    assert_eq!(raw(&base).1, raw(&stamped).1);
    let named = base.replace("SUMMARY:x", "SUMMARY:y");
    assert_ne!(raw(&base).1, raw(&named).1);
    let zoned = base.replace("VERSION:2.0", "VERSION:2.0\r\nX-WR-TIMEZONE:Europe/Berlin");
    assert_ne!(raw(&base).0, raw(&zoned).0);
    let generated = base.replace("VERSION:2.0", "VERSION:2.0\r\nX-GENERATED:now");
    assert_eq!(raw(&base), raw(&generated));
}

#[test]
fn links_that_are_none_any_more_give_their_room_back() {
    let home = tempfile::tempdir().unwrap();
    let mut links = Links::new(home.path());
    let feed = |sequence: usize| {
        let event = |n: usize| {
            let changed = if n == 0 { 1 } else { sequence };
            format!("BEGIN:VEVENT\nUID:{n}\nSEQUENCE:{changed}\nEND:VEVENT\n")
        };
        let events: String = (0..200).map(event).collect();
        format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n")
    };
    let text = |composition: &Composition| {
        let mut all = Vec::new();
        composition
            .blocks(|block| {
                all.extend_from_slice(block);
                Ok(true)
            })
            .unwrap();
        assert_eq!(all.len() as u64, composition.len());
        all
    };
    let line = format!("X-LINK:{}\nEND:VEVENT", "x".repeat(2_000));
    for sequence in 0..30 {
        let feed = feed(sequence);
        let snapshot = Arc::new(snapshot(&feed));
        links.prune(snapshot.index());
        for piece in &snapshot.index().pieces {
            let bare = snapshot
                .show(piece, snapshot.parts(piece).unwrap(), false)
                .unwrap()
                .bytes;
            let linked = String::from_utf8(bare)
                .unwrap()
                .replace("END:VEVENT", &line);
            let put = links.put(&snapshot, piece, linked.as_bytes());
            assert!(put.unwrap().is_some());
        }
        let expected = feed.replace("END:VEVENT", &line);
        assert_eq!(text(&links.compose(&snapshot)), expected.as_bytes());
        // Twice what is in use, and some.
        assert!(links.kept() < 6 << 20, "{}", links.kept());
    }
}

#[test]
fn a_line_of_an_event_has_the_number_that_it_has_in_the_feed() {
    let event = |uid: &str, more: &str| {
        format!("BEGIN:VEVENT\nUID:{uid}\nDESCRIPTION:of\n  {uid}\nX-OF:{uid}{more}\nEND:VEVENT\n")
    };
    let feed = format!(
        "BEGIN:VCALENDAR\nVERSION:2.0\n{}X-BETWEEN:1\nMETHOD:PUBLISH\n\n\n{}\
         BEGIN:VTIMEZONE\nTZID:One\nX-A:1\n  2\nEND:VTIMEZONE\n{}{}END:VCALENDAR\n\
         BEGIN:VCALENDAR\n{}X-WR-TIMEZONE:One\nEND:VCALENDAR\n",
        event("a", ""),
        event("b", "\nDTSTART;TZID=One:20261101T100000"),
        event("c", ""),
        event("b", "\nRECURRENCE-ID;TZID=One:20261102T100000"),
        event("d", ""),
    );
    let home = tempfile::tempdir().unwrap();
    for feed in [
        &feed,
        &feed.replace('\n', "\r\n"),
        &feed.replace("UID", "uid"),
    ] {
        let lines: Vec<&str> = feed.lines().collect();
        let of_each_line = |shown: &Shown| {
            let document = Document::parse_part(&shown.bytes, &shown.origins).unwrap();
            let numbers = document.all_lines().map(|line| {
                let text = String::from_utf8(shown.bytes[line.range()].to_vec()).unwrap();
                (line.number(), text.lines().next().unwrap().to_owned())
            });
            numbers.collect::<Vec<_>>()
        };
        for whole in [false, true] {
            // What is not written plainly is read as a whole.
            let feed = match whole {
                true => feed
                    .replace("METHOD:", "method:")
                    .replacen("BEGIN:VEV", "begin:VEV", 1),
                false => feed.clone(),
            };
            let snapshot = snapshot(&feed);
            let mut links = Links::new(home.path());
            for piece in &snapshot.index().pieces {
                let bare = links.show(&snapshot, piece).unwrap();
                let bare_lines = of_each_line(&bare);
                let text = String::from_utf8(bare.bytes).unwrap();
                let linked = text
                    .replace("DESCRIPTION:of", "DESCRIPTION:changed")
                    .replace("END:VEVENT", "X-LINK:1\nX-LINK:2\nEND:VEVENT");
                links.put(&snapshot, piece, linked.as_bytes()).unwrap();
                let linked_lines = of_each_line(&links.show(&snapshot, piece).unwrap());
                let mut compared = 0;
                for (number, text) in bare_lines.iter().chain(&linked_lines) {
                    let is_new = [
                        "BEGIN:VCALENDAR",
                        "END:VCALENDAR",
                        "X-LINK",
                        "DESCRIPTION:ch",
                    ];
                    if !is_new.iter().any(|new| text.starts_with(new)) {
                        let there = lines[number - 1];
                        assert!(
                            there.eq_ignore_ascii_case(text),
                            "{number}: {text}: {there}"
                        );
                        compared += 1;
                    }
                }
                assert!(compared >= 9, "{compared}");
            }
        }
    }
}
