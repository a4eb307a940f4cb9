//! What the servers do, request by request: the ground on which the client's behaviour stands.
//!
//! Each fact says what a standard says; `tests/servers/ledger.toml` lists where a server is known to differ.

use std::collections::BTreeMap;

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use reqwest::StatusCode;

use super::event;
use super::harness::{ALICE, BOB, Kind, Raw};

/// What a server did; an error says how it differs.
type Outcome = Result<(), String>;

/// A calendar that one fact has for itself.
struct Ground {
    raw: Raw,
    url: String,
}

type Fact = fn(&Ground) -> BoxFuture<'_, Outcome>;

const FACTS: &[(&str, Fact)] = &[
    ("a body comes back as it was written", |g| body(g).boxed()),
    ("an ETag answers a PUT only if the body was kept", |g| {
        tag_of_put(g).boxed()
    }),
    ("commas in CONFERENCE are kept", |g| commas(g).boxed()),
    ("no property is lost", |g| properties(g).boxed()),
    ("a first sync shows only what is there", |g| {
        first_sync(g).boxed()
    }),
    ("a sync shows what was deleted", |g| tombstone(g).boxed()),
    ("an unknown sync token is 403", |g| unknown_token(g).boxed()),
    ("a limited sync says that it is cut", |g| {
        limited_sync(g).boxed()
    }),
    ("a multiget has a row for what is missing", |g| {
        multiget(g).boxed()
    }),
    ("a body may come in chunks", |g| chunks(g).boxed()),
    ("an unchanged body is not sent again", |g| {
        conditional_get(g).boxed()
    }),
    ("what is not there has no properties", |g| absent(g).boxed()),
    ("a stale If-Match is 412", |g| stale(g).boxed()),
    ("If-None-Match keeps what is there", |g| exists(g).boxed()),
    ("what was deleted and made again has another ETag", |g| {
        recreated(g).boxed()
    }),
    ("most writers at once are refused", |g| race(g).boxed()),
    ("a second resource of one UID is a conflict", |g| {
        same_uid(g).boxed()
    }),
    ("a stranger's calendar is forbidden", |g| {
        stranger(g).boxed()
    }),
    ("an attendee may set a location", |g| attendee(g).boxed()),
];

#[tokio::test]
async fn radicale_is_as_the_ledger_says() {
    check(Kind::Radicale).await;
}

#[tokio::test]
async fn xandikos_is_as_the_ledger_says() {
    check(Kind::Xandikos).await;
}

async fn check(kind: Kind) {
    let ledger = include_str!("../../servers/ledger.toml");
    let mut ledger: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(ledger).unwrap();
    let mut expected = ledger.remove(kind.name()).unwrap();
    let raw = Raw::new(ALICE);
    let mut wrong = Vec::new();
    for (n, (name, fact)) in FACTS.iter().enumerate() {
        let path = format!("facts-{n}");
        let url = raw.make_calendar(kind.shared(), &path, name).await;
        let ground = Ground {
            raw: raw.clone(),
            url,
        };
        wrong.extend(judged(name, fact(&ground).await, expected.remove(*name)));
    }
    wrong.extend(
        expected
            .into_keys()
            .map(|name| format!("{name}: the ledger names no such fact")),
    );
    assert!(wrong.is_empty(), "{}:\n{}", kind.name(), wrong.join("\n"));
}

/// What is wrong with an outcome, if the ledger expects a failure for this reason, or none.
fn judged(name: &str, outcome: Outcome, expected: Option<String>) -> Option<String> {
    match (outcome, expected) {
        (Err(how), None) => Some(format!("{name}: {how}")),
        (Ok(()), Some(why)) => Some(format!("{name}: it does, but the ledger says: {why}")),
        (Ok(()), None) | (Err(_), Some(_)) => None,
    }
}

#[test]
fn an_expected_failure_that_passes_is_a_failure() {
    let (good, bad) = (|| Ok(()), || Err("it does not".to_owned()));
    let known = || Some("never did".to_owned());
    assert_eq!(judged("a", good(), None), None);
    assert_eq!(judged("a", bad(), known()), None);
    assert!(judged("a", bad(), None).unwrap().contains("it does not"));
    assert!(judged("a", good(), known()).unwrap().contains("never did"));
}

/// What holds, or how it does not.
fn ensure(holds: bool, otherwise: impl std::fmt::Display) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_string())
    }
}

impl Ground {
    /// Where a resource of this name is.
    fn at(&self, name: &str) -> String {
        format!("{}{name}", self.url)
    }

    /// A REPORT on the calendar: its status and body.
    async fn report(&self, body: &str) -> (StatusCode, String) {
        let request = self.raw.request("REPORT", &self.url).header("depth", "1");
        let request = request.header("content-type", "application/xml; charset=utf-8");
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn sync(&self, token: &str, limit: &str) -> (StatusCode, String) {
        self.report(&format!(
            "<?xml version=\"1.0\"?><D:sync-collection xmlns:D=\"DAV:\"><D:sync-token>{token}</D:sync-token>\
             <D:sync-level>1</D:sync-level>{limit}<D:prop><D:getetag/></D:prop></D:sync-collection>"
        ))
        .await
    }

    /// The token that a sync ended with.
    async fn token(&self) -> String {
        let (_, body) = self.sync("", "").await;
        let from = body.find("sync-token>").unwrap() + "sync-token>".len();
        body[from..].split('<').next().unwrap().to_owned()
    }
}

/// An event with everything that servers like to rewrite.
fn rich(uid: &str) -> String {
    event(uid).replace(
        "END:VEVENT",
        "X-FIRST;X-P=\"a;b\";X-Q=\"plain\":as it is\r\nGEO:52.520000;13.405000\r\n\
         RRULE:FREQ=WEEKLY;BYDAY=TU;INTERVAL=2;COUNT=4\r\nCATEGORIES:b,a\r\nDESCRIPTION:Agenda\\, first\r\n\
         URL:https://meet.example.org/1\r\nLOCATION:Room\\; 1\r\n\
         CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL=Join:https://meet.example.org/1\r\n\
         X-MICROSOFT-SKYPETEAMSMEETINGURL:https://meet.example.org/1\r\nX-MEETBRIDGE-MEETING:1 abc\r\n\
         ATTENDEE;CN=Guest:mailto:guest@example.org\r\nEND:VEVENT",
    )
}

async fn body(g: &Ground) -> Outcome {
    let (at, written) = (g.at("a.ics"), rich("body@facts"));
    g.raw.put(&at, written.clone()).await;
    let (read, _) = g.raw.get(&at).await.unwrap();
    let read = String::from_utf8(read).unwrap();
    ensure(read == written, read)
}

async fn tag_of_put(g: &Ground) -> Outcome {
    let (at, written) = (g.at("a.ics"), rich("tag@facts"));
    let request = g.raw.request("PUT", &at).body(written.clone());
    let request = request.header("content-type", "text/calendar; charset=utf-8");
    let answer = request.send().await.unwrap();
    let tag = answer.headers().get("etag").cloned();
    let (read, now) = g.raw.get(&at).await.unwrap();
    if let Some(tag) = &tag {
        // Whatever else, it is the ETag of what is there.
        assert_eq!(tag.to_str().unwrap(), now);
    }
    ensure(
        tag.is_none() || read == written.into_bytes(),
        "an ETag for another body",
    )
}

async fn commas(g: &Ground) -> Outcome {
    let at = g.at("a.ics");
    let phone = "CONFERENCE;VALUE=URI;FEATURE=PHONE;LABEL=Dial:tel:+4969123,,456#";
    let written = event("commas@facts").replace("END:VEVENT", &format!("{phone}\r\nEND:VEVENT"));
    g.raw.put(&at, written).await;
    let (read, _) = g.raw.get(&at).await.unwrap();
    let read = String::from_utf8(read).unwrap().replace("\r\n ", "");
    ensure(read.contains("tel:+4969123,,456#"), read)
}

async fn properties(g: &Ground) -> Outcome {
    let (at, written) = (g.at("a.ics"), rich("properties@facts"));
    g.raw.put(&at, written.clone()).await;
    let (read, _) = g.raw.get(&at).await.unwrap();
    let read = String::from_utf8(read).unwrap().replace("\r\n ", "");
    let name = |line: &str| line.split([':', ';']).next().unwrap_or_default().to_owned();
    let names: Vec<_> = read.lines().map(name).collect();
    let lost: Vec<_> = written
        .lines()
        .map(name)
        .filter(|n| !names.contains(n))
        .collect();
    ensure(lost.is_empty(), lost.join(", "))
}

async fn first_sync(g: &Ground) -> Outcome {
    let (one, other) = (g.at("one.ics"), g.at("other.ics"));
    g.raw.put(&one, event("one@facts")).await;
    g.raw.put(&other, event("other@facts")).await;
    // The server has to have seen it, to remember that it was there.
    g.token().await;
    g.raw.delete(&one).await;
    let (_, body) = g.sync("", "").await;
    assert!(body.contains("other.ics"), "{body}");
    ensure(!body.contains("one.ics"), body)
}

async fn tombstone(g: &Ground) -> Outcome {
    let at = g.at("a.ics");
    g.raw.put(&at, event("tombstone@facts")).await;
    let token = g.token().await;
    g.raw.delete(&at).await;
    let (status, body) = g.sync(&token, "").await;
    ensure(
        status == 207 && body.contains("a.ics") && body.contains("404"),
        body,
    )
}

async fn unknown_token(g: &Ground) -> Outcome {
    let (status, body) = g.sync("http://example.org/no/such/token", "").await;
    assert!(body.contains("valid-sync-token"), "{body}");
    ensure(status == 403, status)
}

async fn limited_sync(g: &Ground) -> Outcome {
    for n in 0..3 {
        let at = g.at(&format!("{n}.ics"));
        g.raw.put(&at, event(&format!("{n}@limited"))).await;
    }
    let limit = "<D:limit><D:nresults>1</D:nresults></D:limit>";
    let (status, body) = g.sync("", limit).await;
    let shown = (0..3)
        .filter(|n| body.contains(&format!("{n}.ics")))
        .count();
    ensure(
        shown == 3 || status == 507 || body.contains("507"),
        format!("{shown} of 3"),
    )
}

async fn multiget(g: &Ground) -> Outcome {
    let at = g.at("there.ics");
    g.raw.put(&at, event("there@facts")).await;
    let path = |url: &str| url.splitn(4, '/').last().unwrap().to_owned();
    let body = format!(
        "<?xml version=\"1.0\"?><C:calendar-multiget xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\">\
         <D:prop><D:getetag/></D:prop><D:href>/{}</D:href><D:href>/{}</D:href></C:calendar-multiget>",
        path(&at),
        path(&g.at("missing.ics")),
    );
    let (status, body) = g.report(&body).await;
    let rows = body.contains("there.ics") && body.contains("missing.ics") && body.contains("404");
    ensure(status == 207 && rows, body)
}

async fn chunks(g: &Ground) -> Outcome {
    let parts = event("chunks@facts").into_bytes();
    let parts = parts
        .chunks(50)
        .map(|part| Ok::<_, std::io::Error>(part.to_vec()));
    let parts: Vec<_> = parts.collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
    let request = g.raw.request("PUT", &g.at("a.ics")).body(body);
    let request = request.header("content-type", "text/calendar; charset=utf-8");
    let status = request.send().await.unwrap().status();
    ensure(status.is_success(), status)
}

async fn conditional_get(g: &Ground) -> Outcome {
    let at = g.at("a.ics");
    g.raw.put(&at, event("get@facts")).await;
    let (_, tag) = g.raw.get(&at).await.unwrap();
    let request = g.raw.request("GET", &at).header("if-none-match", tag);
    let status = request.send().await.unwrap().status();
    ensure(status == 304, status)
}

async fn absent(g: &Ground) -> Outcome {
    let request = g
        .raw
        .request("PROPFIND", &g.at("absent.ics"))
        .header("depth", "0");
    let status = request.send().await.unwrap().status();
    ensure(status == 404, status)
}

async fn stale(g: &Ground) -> Outcome {
    let at = g.at("a.ics");
    g.raw.put(&at, event("stale@facts")).await;
    let (_, tag) = g.raw.get(&at).await.unwrap();
    let newer = event("stale@facts").replace("Planning", "Newer");
    assert!(g.raw.put_if(&at, Some(&tag), newer).await.is_success());
    let status = g.raw.put_if(&at, Some(&tag), event("stale@facts")).await;
    let (read, _) = g.raw.get(&at).await.unwrap();
    assert!(String::from_utf8(read).unwrap().contains("Newer"));
    let gone = g
        .raw
        .put_if(&g.at("gone.ics"), Some(&tag), event("gone@facts"))
        .await;
    ensure(status == 412 && gone == 412, format!("{status}, {gone}"))
}

async fn exists(g: &Ground) -> Outcome {
    let at = g.at("a.ics");
    g.raw.put(&at, event("exists@facts")).await;
    let request = g.raw.request("PUT", &at).header("if-none-match", "*");
    let request = request.header("content-type", "text/calendar; charset=utf-8");
    let answer = request.body(event("exists@facts").replace("Planning", "Second"));
    let status = answer.send().await.unwrap().status();
    ensure(status == 412, status)
}

async fn recreated(g: &Ground) -> Outcome {
    let at = g.at("a.ics");
    g.raw.put(&at, event("again@facts")).await;
    let (_, before) = g.raw.get(&at).await.unwrap();
    g.raw.delete(&at).await;
    let other = event("again@facts").replace("Planning", "Other");
    g.raw.put(&at, other).await;
    let (_, after) = g.raw.get(&at).await.unwrap();
    ensure(before != after, after)
}

/// How many of eight writers with the same If-Match win, each round.
async fn rounds(g: &Ground) -> Vec<usize> {
    let at = g.at("a.ics");
    g.raw.put(&at, event("race@facts")).await;
    let mut won = Vec::new();
    for round in 0..5 {
        let (_, tag) = g.raw.get(&at).await.unwrap();
        let writers = (0..8).map(|n| {
            let bytes = event("race@facts").replace("Planning", &format!("{n} of {round}"));
            g.raw.put_if(&at, Some(&tag), bytes)
        });
        let all = join_all(writers).await;
        won.push(all.iter().filter(|status| status.is_success()).count());
    }
    won
}

/// Whether a server compares at all. Xandikos 0.4.10 compares ETags before it takes its lock: about
/// once in fifty rounds two of the eight win there.
async fn race(g: &Ground) -> Outcome {
    let won = rounds(g).await;
    ensure(
        won.iter().all(|n| (1..=3).contains(n)),
        format!("{won:?} of 8"),
    )
}

#[tokio::test]
async fn radicale_compares_under_its_lock() {
    let raw = Raw::new(ALICE);
    let server = Kind::Radicale.shared();
    let url = raw.make_calendar(server, "race", "Race").await;
    assert_eq!(rounds(&Ground { raw, url }).await, [1; 5]);
}

async fn same_uid(g: &Ground) -> Outcome {
    g.raw.put(&g.at("one.ics"), event("same@facts")).await;
    let status = g
        .raw
        .put_if(&g.at("two.ics"), None, event("same@facts"))
        .await;
    ensure(status == 403 || status == 409, status)
}

async fn stranger(g: &Ground) -> Outcome {
    let request = Raw::new(BOB)
        .request("PROPFIND", &g.url)
        .header("depth", "0");
    let status = request.send().await.unwrap().status();
    ensure(status == 403 || status == 404, status)
}

async fn attendee(g: &Ground) -> Outcome {
    let at = g.at("a.ics");
    let invited = event("attendee@facts").replace(
        "END:VEVENT",
        "ORGANIZER:mailto:boss@example.org\r\nATTENDEE:mailto:alice@example.org\r\nEND:VEVENT",
    );
    g.raw.put(&at, invited.clone()).await;
    let (_, tag) = g.raw.get(&at).await.unwrap();
    let located = invited.replace("END:VEVENT", "LOCATION:Room 1\r\nEND:VEVENT");
    let status = g.raw.put_if(&at, Some(&tag), located).await;
    ensure(status.is_success(), status)
}
