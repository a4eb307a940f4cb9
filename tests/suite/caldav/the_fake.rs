//! The fake server does what it is there for. Asked by a socket and nothing else, so that no client
//! hides what it answers.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::fake::*;

const ALICE: &str = "Authorization: Basic YWxpY2U6YWxpY2Utc2VjcmV0\r\n";
const WORK: &str = "/dav/calendars/alice/work/";
const SYNC: &str = r#"<sync-collection xmlns="DAV:"><sync-token>TOKEN</sync-token>
    <sync-level>1</sync-level><prop><getetag/></prop></sync-collection>"#;

pub(super) fn event(uid: &str, more: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20261101T080000Z\r\nDTSTART:20261110T090000Z\r\nDTEND:20261110T100000Z\r\n\
         SUMMARY:{uid}\r\n{more}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

/// One request on a connection of its own; gives all that comes back.
async fn ask(fake: &Fake, line: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", fake.port()))
        .await
        .unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn sync(fake: &Fake, token: &str) -> String {
    let headers = format!("{ALICE}Depth: 0\r\nContent-Type: application/xml\r\n");
    let body = SYNC.replace("TOKEN", token);
    ask(fake, &format!("REPORT {WORK}"), &headers, &body).await
}

async fn put(fake: &Fake, name: &str, headers: &str, body: &str) -> String {
    let headers = format!("{ALICE}Content-Type: text/calendar\r\n{headers}");
    ask(fake, &format!("PUT {WORK}{name}"), &headers, body).await
}

fn token(answer: &str) -> &str {
    let (_, rest) = answer.split_once("sync-token>").unwrap();
    rest.split_once('<').unwrap().0
}

#[tokio::test]
async fn it_is_strict() {
    let fake = Fake::start(Quirks::default()).await;
    let xml = "Content-Type: application/xml\r\n";
    let find = r#"<propfind xmlns="DAV:"><prop><displayname/></prop></propfind>"#;
    for (line, headers, body, status) in [
        ("PROPFIND /dav/", "".to_owned(), "", 401),
        ("PROPFIND /dav/", format!("{ALICE}{xml}"), find, 403),
        ("PROPFIND /dav/", format!("{ALICE}Depth: 0\r\n"), find, 415),
        (
            "PROPFIND /dav/",
            format!("{ALICE}{xml}Depth: 0\r\n"),
            "<a>",
            400,
        ),
        (
            "PROPFIND /dav/",
            format!("{ALICE}{xml}Depth: 0\r\n"),
            "<a/>",
            400,
        ),
        (
            "PROPFIND /dav/",
            format!("{ALICE}{xml}Depth: 0\r\n"),
            find,
            207,
        ),
        (
            "PROPFIND /dav/calendars/bob/",
            format!("{ALICE}{xml}Depth: 0\r\n"),
            find,
            404,
        ),
        ("PROPPATCH /dav/", ALICE.to_owned(), "", 405),
        ("PROPFIND /.well-known/caldav", String::new(), "", 301),
        ("GET relative", String::new(), "", 400),
    ] {
        let answer = ask(&fake, line, &headers, body).await;
        let found = answer.starts_with(&format!("HTTP/1.1 {status} "));
        assert!(found, "{line} {headers} {body}: {answer}");
    }
    let good = event("a", "");
    for (name, headers, body, status) in [
        ("a.ics", "", "BEGIN:VCALENDAR", 403),
        ("a.ics", "If-Match: \"no\"\r\n", &*good, 412),
        ("a.ics", "If-None-Match: *\r\n", &*good, 201),
        ("a.ics", "If-None-Match: *\r\n", &*good, 412),
        ("b.ics", "", &*good, 403),
        ("a.ics", "If-Match: W/\"e5\"\r\n", &*good, 412),
        ("a.ics", "", &*good, 204),
    ] {
        let answer = put(&fake, name, headers, body).await;
        let found = answer.starts_with(&format!("HTTP/1.1 {status} "));
        assert!(found, "{name} {headers}: {answer}");
    }
    assert_eq!(fake.get("alice/work", "a.ics").unwrap(), good.as_bytes());
}

#[tokio::test]
async fn a_sync_tells_what_changed_and_pages() {
    let fake = Fake::start(Quirks::default()).await;
    for n in 0..5 {
        fake.put("alice/work", &format!("{n}.ics"), event(&n.to_string(), ""));
    }
    let all = sync(&fake, "").await;
    assert_eq!(all.matches("<d:response>").count(), 5);
    fake.delete("alice/work", "1.ics");
    fake.put("alice/work", "2.ics", event("2", "X-A:1\r\n"));
    let news = sync(&fake, token(&all)).await;
    assert!(news.contains("2.ics") && news.contains("1.ics</d:href><d:status>HTTP/1.1 404"));
    assert_eq!(news.matches("<d:response>").count(), 2);
    let none = sync(&fake, token(&news)).await;
    assert_eq!(none.matches("<d:response>").count(), 0);
    assert!(sync(&fake, "nonsense").await.contains("valid-sync-token"));

    fake.quirks(|quirks| quirks.sync_page = Some(2));
    let (mut token_now, mut pages, mut rows) = (String::new(), 0, 0);
    loop {
        let page = sync(&fake, &token_now).await;
        rows += page.matches("<d:getetag>").count();
        pages += 1;
        token_now = token(&page).to_owned();
        if !page.contains("507") {
            break;
        }
    }
    // The deletion stands in the journal behind the first page, so that a later one tells it.
    assert_eq!((pages, rows), (3, 4));
}

#[tokio::test]
async fn tokens_in_seconds_repeat_until_the_second_is_over() {
    let fake = Fake::start(Quirks::sogo()).await;
    let rows = |answer: &str| answer.matches("<D:response>").count();
    fake.put("alice/work", "a.ics", event("a", ""));
    let first = sync(&fake, "").await;
    let again = sync(&fake, token(&first)).await;
    assert_eq!((rows(&first), rows(&again)), (1, 1));
    fake.advance(1);
    let later = sync(&fake, token(&again)).await;
    let quiet = sync(&fake, token(&later)).await;
    assert_eq!((rows(&later), rows(&quiet)), (1, 0));
}

#[tokio::test]
async fn faults_strike_and_hooks_see_each_request() {
    let fake = Fake::start(Quirks::default()).await;
    let moments = Arc::new(Mutex::new(Vec::new()));
    let seen = moments.clone();
    fake.hook(move |editor, moment| {
        seen.lock().unwrap().push((moment.serial, moment.phase));
        if moment.phase == Phase::Before && moment.method == "PUT" {
            editor.put("alice/work", "by-hand.ics", event("h", ""));
        }
    });
    fake.fault(Fault::new(Act::LoseAfter).on("PUT").nth(2));
    fake.fault(Fault::new(Act::retry_after(503, 7)).at("c.ics"));
    fake.fault(Fault::new(Act::CutAfter(10)).on("GET"));
    assert!(
        put(&fake, "a.ics", "", &event("a", ""))
            .await
            .contains("201")
    );
    assert_eq!(put(&fake, "b.ics", "", &event("b", "")).await, "");
    let busy = put(&fake, "c.ics", "", &event("c", "")).await;
    assert!(busy.starts_with("HTTP/1.1 503") && busy.contains("Retry-After: 7"));
    assert_eq!(fake.names("alice/work"), ["a.ics", "b.ics", "by-hand.ics"]);
    let cut = ask(&fake, &format!("GET {WORK}a.ics"), ALICE, "").await;
    assert!(cut.ends_with("\r\n\r\nBEGIN:VCAL"), "{cut}");
    let serials: Vec<usize> = moments.lock().unwrap().iter().map(|m| m.0).collect();
    assert_eq!(serials, [0, 0, 1, 1, 2, 3, 3]);
    let traffic = fake.traffic();
    assert_eq!((traffic.requests, traffic.most_puts_at_once), (4, 1));
    let log = fake.take_requests();
    assert_eq!(log[2].status, 503);
    assert_eq!(log[0].header("content-type"), Some("text/calendar"));
    let sum = log.iter().map(|seen| seen.bytes_in).sum::<usize>();
    assert!(sum == traffic.bytes_in && fake.requests().is_empty());
}

#[tokio::test]
async fn every_profile_answers_a_listing_and_stores_what_is_put() {
    for (name, quirks) in Quirks::servers() {
        let basic = quirks
            .auth
            .iter()
            .any(|auth| matches!(auth, Auth::Basic | Auth::LowerBasic));
        assert!(basic, "{name}");
        let unaltered = quirks.rewrite == Rewrite::default();
        let fake = Fake::start(quirks).await;
        let body = event(
            "a",
            "GEO:1.5;2.5\r\nCATEGORIES:B,A\r\nX-B;P=\"q\":1\r\nRRULE:FREQ=DAILY;COUNT=2\r\n",
        );
        let answer = put(&fake, "a.ics", "", &body).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{name}: {answer}");
        let stored = String::from_utf8(fake.get("alice/work", "a.ics").unwrap()).unwrap();
        assert_eq!(stored == body, unaltered, "{name}: {stored}");
        assert!(stored.contains("X-B;P="), "{name}: {stored}");
        let headers = format!("{ALICE}Depth: 1\r\nContent-Type: text/xml\r\n");
        let find = r#"<propfind xmlns="DAV:"><prop><getetag/><resourcetype/></prop></propfind>"#;
        let list = ask(&fake, &format!("PROPFIND {WORK}"), &headers, find).await;
        assert!(
            list.contains("207") && list.contains("a.ics"),
            "{name}: {list}"
        );
    }
}
