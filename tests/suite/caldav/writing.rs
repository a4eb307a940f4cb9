//! One conditional PUT, on every server of the table and past every trap: what the port says of it,
//! what is stored in the end, and that nobody's edit is lost.

use std::sync::Arc;
use std::time::Duration;

use meetbridge::calendar::*;
use meetbridge::model::ResourceId;

use super::account::Shelf;
use super::fake::*;
use super::the_fake::event;

const WORK: &str = "alice/work";
const LINK: &str = "URL:https://teams.example/1\r\nCONFERENCE;VALUE=URI:https://teams.example/1\r\nX-MEETBRIDGE-MEETING:1\r\n";

/// A server with `a.ics` and `b.ics`, and the calendar after its first reading.
async fn ready(quirks: Quirks) -> (Fake, Shelf) {
    let fake = Fake::start(quirks).await;
    fake.put(WORK, "a.ics", event("a", ""));
    fake.put(WORK, "b.ics", event("b", ""));
    let mut shelf = Shelf::new(&fake).await;
    shelf.all().await;
    fake.take_requests();
    (fake, shelf)
}

fn stored(fake: &Fake, name: &str) -> String {
    String::from_utf8(fake.get(WORK, name).unwrap()).unwrap()
}

fn puts(requests: &[Seen]) -> Vec<&Seen> {
    requests
        .iter()
        .filter(|seen| seen.method == "PUT")
        .collect()
}

/// The text of a write that did not happen; it gives nothing away.
fn why(written: &Written) -> &str {
    let (Written::Refused(why) | Written::Failed(why) | Written::Unknown(why)) = written else {
        panic!("{written:?}");
    };
    let text = why.to_string();
    assert!(text.contains("a.ics"), "{text}");
    for secret in ["secret", "teams.example", "SUMMARY", "Basic"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.len() < 500 && !text.contains('\n'), "{text}");
    &why.hint
}

#[tokio::test]
async fn every_server_takes_one_put_and_then_is_quiet() {
    for (name, quirks) in Quirks::servers() {
        let rewrites = quirks.rewrite != Rewrite::default();
        let seconds = quirks.token == Granularity::Seconds;
        let (fake, mut shelf) = ready(quirks).await;
        let linked = event("a", LINK);
        let written = shelf.write("a.ics", &linked).await;
        assert!(matches!(written, Written::Stored(_)), "{name}: {written:?}");
        let requests = fake.take_requests();
        let put = puts(&requests);
        assert_eq!(put.len(), 1, "{name}: {requests:?}");
        assert!(requests.len() <= 2, "{name}: {requests:?}");
        assert!(
            put[0].header("if-match").unwrap().starts_with('"'),
            "{name}"
        );
        assert!(put[0].header("transfer-encoding").is_none(), "{name}");
        let kind = put[0].header("content-type").unwrap();
        assert!(kind.starts_with("text/calendar"), "{name}");
        assert_eq!(put[0].header("accept-encoding"), Some("identity"), "{name}");
        for get in requests.iter().filter(|seen| seen.method == "GET") {
            assert_eq!(get.header("accept-encoding"), Some("identity"), "{name}");
        }
        assert!(
            stored(&fake, "a.ics").contains("X-MEETBRIDGE-MEETING"),
            "{name}"
        );

        // What we wrote is confirmed, or read once where the server made something else of it.
        fake.advance(2);
        shelf.ground.clock.pass(Duration::from_secs(3));
        let news = shelf.news().await;
        assert!(news.vanished.is_empty(), "{name}");
        if !rewrites && !seconds {
            assert!(!news.changed.contains_key("a.ics"), "{name}: {news:?}");
        }
        shelf.ground.clock.pass(Duration::from_secs(3));
        shelf.news().await;
        fake.take_requests();
        let quiet = shelf.news().await;
        let again = usize::from(name == "davical");
        assert_eq!(quiet.changed.len(), again, "{name}");
        assert_eq!(fake.take_requests().len(), 1 + again, "{name}");

        // The version that came back is good for the next write.
        let written = shelf.write("a.ics", &event("a", "X-A:2\r\n")).await;
        assert!(matches!(written, Written::Stored(_)), "{name}: {written:?}");
        assert_eq!(puts(&fake.take_requests()).len(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_edit_in_between_wins_on_every_server() {
    for (name, quirks) in Quirks::servers() {
        let (fake, mut shelf) = ready(quirks).await;
        let edit = event("a", "LOCATION:by hand\r\n");
        fake.put(WORK, "a.ics", edit.clone());
        let written = shelf.write("a.ics", &event("a", LINK)).await;
        assert!(matches!(written, Written::Changed), "{name}: {written:?}");
        assert_eq!(stored(&fake, "a.ics"), edit, "{name}");
        fake.delete(WORK, "b.ics");
        let written = shelf.write("b.ics", &event("b", LINK)).await;
        assert!(matches!(written, Written::Changed), "{name}: {written:?}");
        assert_eq!(fake.get(WORK, "b.ics"), None, "{name}");
    }
}

#[tokio::test]
async fn an_edit_right_after_the_put_is_seen() {
    for on_put in [
        EtagOnPut::Always,
        EtagOnPut::Never,
        EtagOnPut::WhenUnaltered,
    ] {
        for rewrite in [false, true] {
            let label = format!("{on_put:?} {rewrite}");
            let (fake, mut shelf) = ready(Quirks::default()).await;
            fake.quirks(|q| {
                q.etag_on_put = on_put;
                q.rewrite.reorder = rewrite;
            });
            let edit = event("a", "LOCATION:by hand\r\n");
            let (by_hand, mut done) = (edit.clone(), false);
            fake.hook(move |editor, moment| {
                if moment.method == "PUT" && moment.phase == Phase::After && !done {
                    done = true;
                    editor.put(WORK, "a.ics", by_hand.clone());
                }
            });
            let written = shelf.write("a.ics", &event("a", LINK)).await;
            assert!(
                !matches!(written, Written::Refused(_)),
                "{label}: {written:?}"
            );
            fake.no_hook();
            let news = shelf.news().await;
            assert_eq!(news.text("a.ics"), edit, "{label}: {news:?}");
            assert_eq!(stored(&fake, "a.ics"), edit, "{label}");
        }
    }
}

#[tokio::test]
async fn each_refusal_says_what_it_is_and_is_tried_once() {
    #[derive(Debug, PartialEq)]
    enum End {
        Changed,
        Refused,
        Failed,
        Unknown,
    }
    use End::*;
    let cases: [(Act, End, &str); 17] = [
        (Act::status(412), Changed, ""),
        (Act::condition(412, "attendee-allowed"), Refused, ""),
        (Act::condition(412, "no-uid-conflict"), Refused, ""),
        (Act::condition(403, "need-privileges"), Refused, ""),
        (Act::status(403), Refused, "403"),
        (Act::status(405), Refused, "405"),
        (Act::status(409), Refused, "409"),
        (Act::status(413), Refused, "413"),
        (Act::status(415), Refused, "415"),
        (Act::status(423), Failed, "423"),
        (Act::status(429), Failed, "429"),
        (Act::retry_after(429, 60), Failed, "no further requests"),
        (Act::retry_after(503, 60), Failed, "no further requests"),
        (Act::status(507), Failed, "507"),
        (Act::status(500), Unknown, "500"),
        (Act::status(502), Unknown, "502"),
        (
            Act::redirect(301, "http://elsewhere.example/"),
            Failed,
            "elsewhere.example",
        ),
    ];
    for (act, end, words) in cases {
        let label = format!("{end:?} {words}");
        let (fake, mut shelf) = ready(Quirks::default()).await;
        let before = stored(&fake, "a.ics");
        fake.fault(Fault::new(act).on("PUT").always());
        let written = shelf.write("a.ics", &event("a", LINK)).await;
        let found = match &written {
            Written::Changed => Changed,
            Written::Refused(_) => Refused,
            Written::Failed(_) => Failed,
            Written::Unknown(_) => Unknown,
            Written::Stored(_) => panic!("{label}"),
        };
        assert_eq!(found, end, "{label}: {written:?}");
        if found != Changed {
            let text = why(&written);
            assert!(text.contains(words), "{label}: {text}");
        }
        let requests = fake.take_requests();
        let most = match words {
            "423" => 5,
            _ if end == Changed => 3,
            _ => 1,
        };
        assert!(puts(&requests).len() <= most, "{label}: {requests:?}");
        assert_eq!(stored(&fake, "a.ics"), before, "{label}");
    }
}

#[tokio::test]
async fn a_lock_that_somebody_holds_for_a_moment_is_waited_out() {
    let (fake, mut shelf) = ready(Quirks::default()).await;
    fake.fault(Fault::new(Act::status(423)).on("PUT").times(3));
    let written = shelf.write("a.ics", &event("a", LINK)).await;
    assert!(matches!(written, Written::Stored(_)), "{written:?}");
    assert_eq!(puts(&fake.take_requests()).len(), 4);
}

#[tokio::test]
async fn an_outcome_that_nobody_knows_is_said_to_be_unknown_and_found_by_reading() {
    for (act, done) in [
        (Act::LoseBefore, false),
        (Act::LoseAfter, true),
        (Act::status_after(500), true),
        (Act::status_after(504), true),
    ] {
        let label = format!("{done}");
        let (fake, mut shelf) = ready(Quirks::default()).await;
        let linked = event("a", LINK);
        fake.fault(Fault::new(act).on("PUT"));
        let written = shelf.write("a.ics", &linked).await;
        assert!(
            matches!(written, Written::Unknown(_)),
            "{label}: {written:?}"
        );
        why(&written);
        assert_eq!(puts(&fake.take_requests()).len(), 1, "{label}");
        let read = shelf.only(&["a.ics"]).await;
        let expected = if done { linked } else { event("a", "") };
        assert_eq!(read.text("a.ics"), expected, "{label}");
    }
}

#[tokio::test]
async fn tags_that_if_match_does_not_take_stop_no_write_and_lose_no_edit() {
    use EtagOnTheWay::*;
    for way in [
        Kept,
        Weak,
        WeakAndLenient,
        WeakForEver,
        WeakWhenCompressed,
        GzipSuffix,
    ] {
        for syncs in [true, false] {
            let label = format!("{way:?} {syncs}");
            let quirks = Quirks {
                etag_on_the_way: way,
                sync_collection: syncs,
                token_property: syncs,
                ..Quirks::default()
            };
            let (fake, mut shelf) = ready(quirks).await;
            let written = shelf.write("a.ics", &event("a", LINK)).await;
            if way == WeakForEver {
                // Nothing that this server would compare: saying so is as good as writing.
                assert!(
                    !matches!(written, Written::Unknown(_)),
                    "{label}: {written:?}"
                );
            } else {
                assert!(
                    matches!(written, Written::Stored(_)),
                    "{label}: {written:?}"
                );
            }
            let requests = fake.take_requests();
            assert!(requests.len() <= 5, "{label}: {requests:?}");
            // What was learned makes the next one cheaper.
            let written = shelf.write("b.ics", &event("b", LINK)).await;
            let cost = fake.take_requests().len();
            assert!(cost <= 3, "{label}: {cost} {written:?}");
            let edit = event("b", "LOCATION:by hand\r\n");
            shelf.news().await;
            fake.put(WORK, "b.ics", edit.clone());
            let written = shelf.write("b.ics", &event("b", "X-A:1\r\n")).await;
            assert!(matches!(written, Written::Changed), "{label}: {written:?}");
            assert_eq!(stored(&fake, "b.ics"), edit, "{label}");
        }
    }
}

#[tokio::test]
async fn whatever_a_server_makes_of_a_body_costs_one_more_reading_at_most() {
    let rewrites = [
        (
            "reorder",
            Rewrite {
                reorder: true,
                ..Rewrite::default()
            },
        ),
        (
            "no X-",
            Rewrite {
                drop: vec!["X-"],
                ..Rewrite::default()
            },
        ),
        (
            "no CONFERENCE",
            Rewrite {
                drop: vec!["CONFERENCE"],
                ..Rewrite::default()
            },
        ),
        (
            "no URL",
            Rewrite {
                drop: vec!["URL"],
                ..Rewrite::default()
            },
        ),
        (
            "LF",
            Rewrite {
                lf: true,
                ..Rewrite::default()
            },
        ),
        (
            "class",
            Rewrite {
                add_class: true,
                ..Rewrite::default()
            },
        ),
        (
            "footer",
            Rewrite {
                footer: Some("\\n-::~:~::"),
                ..Rewrite::default()
            },
        ),
    ];
    for (name, rewrite) in rewrites {
        for on_put in [EtagOnPut::Always, EtagOnPut::Never] {
            let label = format!("{name} {on_put:?}");
            let (fake, mut shelf) = ready(Quirks::default()).await;
            fake.quirks(|q| (q.rewrite, q.etag_on_put) = (rewrite.clone(), on_put));
            let linked = event("a", &format!("DESCRIPTION:x\r\n{LINK}"));
            let written = shelf.write("a.ics", &linked).await;
            assert!(
                matches!(written, Written::Stored(_)),
                "{label}: {written:?}"
            );
            assert!(fake.take_requests().len() <= 2, "{label}");
            let news = shelf.news().await;
            if let Some(resource) = news.changed.get("a.ics") {
                assert_eq!(
                    *resource.bytes,
                    *fake.get(WORK, "a.ics").unwrap(),
                    "{label}"
                );
            } else {
                assert_eq!(stored(&fake, "a.ics"), linked, "{label}");
            }
            fake.take_requests();
            let quiet = shelf.news().await;
            assert!(quiet.changed.is_empty(), "{label}");
            assert_eq!(fake.take_requests().len(), 1, "{label}");
        }
    }
}

#[tokio::test]
async fn what_a_server_drops_is_learned() {
    for lost in ["CONFERENCE", "X-MEETBRIDGE-MEETING", "URL"] {
        let (fake, mut shelf) = ready(Quirks::default()).await;
        fake.quirks(|q| {
            q.rewrite.drop = vec![lost];
            q.etag_on_put = EtagOnPut::Always;
        });
        shelf.write("a.ics", &event("a", LINK)).await;
        let shown = format!("{:?}", shelf.account.profile());
        assert!(shown.contains(lost), "{shown}");
    }
}

#[tokio::test]
async fn a_reply_of_an_attendee_in_between_is_not_overwritten() {
    let quirks = Quirks {
        schedule_tag: true,
        ..Quirks::default()
    };
    let (fake, mut shelf) = ready(quirks).await;
    let reply = event("a", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.org\r\n");
    fake.put_reply(WORK, "a.ics", reply.clone());
    let written = shelf.write("a.ics", &event("a", LINK)).await;
    assert!(matches!(written, Written::Changed), "{written:?}");
    assert_eq!(stored(&fake, "a.ics"), reply);
}

#[tokio::test]
async fn an_attendees_copy_that_may_not_be_changed_is_refused_and_not_tried_again() {
    let (fake, mut shelf) = ready(Quirks::xandikos()).await;
    let bobs = event(
        "c",
        "ORGANIZER:mailto:bob@example.org\r\nATTENDEE:mailto:alice@example.org\r\n",
    );
    fake.put(WORK, "a.ics", bobs.clone());
    shelf.all().await;
    fake.take_requests();
    let linked = bobs.replace("END:VEVENT", &format!("{LINK}END:VEVENT"));
    let written = shelf.write("a.ics", &linked).await;
    assert!(matches!(written, Written::Refused(_)), "{written:?}");
    why(&written);
    assert_eq!(fake.take_requests().len(), 1);
}

#[tokio::test]
async fn a_read_only_calendar_refuses() {
    let (fake, mut shelf) = ready(Quirks::default()).await;
    fake.access(WORK, Access::Read);
    let written = shelf.write("a.ics", &event("a", LINK)).await;
    assert!(matches!(written, Written::Refused(_)), "{written:?}");
    why(&written);
    assert_eq!(fake.take_requests().len(), 1);
}

#[tokio::test]
async fn what_is_larger_than_the_server_takes_is_refused_in_words() {
    let quirks = Quirks {
        max_resource_size: Some((1000, true)),
        ..Quirks::default()
    };
    let (fake, mut shelf) = ready(quirks).await;
    let large = event("a", &format!("COMMENT:{}\r\n", "x".repeat(2000)));
    let written = shelf.write("a.ics", &large).await;
    assert!(matches!(written, Written::Refused(_)), "{written:?}");
    why(&written);
    assert!(puts(&fake.take_requests()).len() <= 1);
}

#[tokio::test]
async fn writes_of_one_calendar_go_one_after_the_other() {
    let fake = Fake::start(Quirks::sabredav_4_7()).await;
    for n in 0..8 {
        fake.put(WORK, &format!("{n}.ics"), event(&n.to_string(), ""));
    }
    let mut shelf = Shelf::new(&fake).await;
    shelf.all().await;
    let shelf = Arc::new(shelf);
    let writes = (0..8).map(|n| {
        let shelf = shelf.clone();
        async move {
            let id = ResourceId::new(format!("{n}.ics"));
            let bytes = event(&n.to_string(), LINK);
            let version = &shelf.known[&id];
            shelf.calendar.write(&id, version, bytes.as_bytes()).await
        }
    });
    for written in futures_util::future::join_all(writes).await {
        assert!(matches!(written, Written::Stored(_)), "{written:?}");
    }
    assert_eq!(fake.traffic().most_puts_at_once, 1);
}

#[tokio::test]
async fn two_writers_of_one_version_cannot_both_win() {
    // As far as the server's If-Match is atomic.
    let (fake, mut shelf) = ready(Quirks::default()).await;
    let mut other = Shelf::new(&fake).await;
    other.all().await;
    let (one, two) = (event("a", "X-A:1\r\n"), event("a", "X-A:2\r\n"));
    let (first, second) = tokio::join!(shelf.write("a.ics", &one), other.write("a.ics", &two));
    let won = |written: &Written| matches!(written, Written::Stored(_));
    assert!(won(&first) != won(&second), "{first:?} {second:?}");
    let expected = if won(&first) { one } else { two };
    assert_eq!(stored(&fake, "a.ics"), expected);
}
