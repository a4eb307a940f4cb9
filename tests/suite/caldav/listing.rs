//! What changed and what is gone, on every server of the table and past every trap: what the port
//! reports, and what that costs.

use std::time::Duration;

use meetbridge::calendar::*;
use meetbridge::model::ResourceId;

use super::account::{Reading, Shelf};
use super::fake::*;
use super::the_fake::event;

const WORK: &str = "alice/work";

/// A server with `count` events in Alice's calendar.
async fn filled(quirks: Quirks, count: usize) -> Fake {
    let fake = Fake::start(quirks).await;
    for n in 0..count {
        fake.put(WORK, &format!("{n}.ics"), event(&n.to_string(), ""));
    }
    fake
}

fn named(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("{n}.ics")).collect()
}

/// Nothing is reported gone, and nothing is said to be whole that was not seen.
fn nothing_lost(label: &str, read: &Result<Reading, ReadError>) {
    if let Ok(reading) = read {
        assert!(reading.vanished.is_empty(), "{label}: {reading:?}");
    }
}

#[tokio::test]
async fn every_server_tells_what_changed() {
    for (name, quirks) in Quirks::servers() {
        let syncs = quirks.sync_collection;
        let fake = filled(quirks, 5).await;
        let mut shelf = Shelf::new(&fake).await;

        let first = shelf.all().await;
        assert_eq!(first.names(), named(0..5), "{name}");
        assert_eq!(first.text("3.ics"), event("3", ""), "{name}");
        assert_eq!(first.complete, Some(0), "{name}");
        let requests = fake.take_requests();
        assert!(requests.len() <= 3, "{name}: {}", requests.len());

        fake.advance(3);
        shelf.ground.clock.pass(Duration::from_secs(3));
        // What counts in seconds may tell the same once more.
        shelf.news().await;
        fake.take_requests();
        let quiet = shelf.news().await;
        assert!(quiet.complete.is_some(), "{name}");
        assert!(quiet.vanished.is_empty(), "{name}");
        let requests = fake.take_requests();
        // A member that is reported is read (promise 3), also by a server that reports it again.
        let again = usize::from(name == "davical");
        assert_eq!(requests.len(), 1 + again, "{name}: {requests:#?}");
        if syncs {
            let bytes = requests[0].bytes_in + requests[0].bytes_out;
            assert!(bytes < 2048, "{name}: {bytes}");
        }

        fake.put(WORK, "2.ics", event("2", "LOCATION:here\r\n"));
        fake.put(WORK, "new.ics", event("new", ""));
        fake.delete(WORK, "4.ics");
        let news = shelf.news().await;
        for changed in ["2.ics", "new.ics"] {
            assert!(
                news.changed.contains_key(changed),
                "{name}: {:?}",
                news.names()
            );
        }
        assert!(news.text("2.ics").contains("LOCATION:here"), "{name}");
        assert_eq!(news.vanished, ["4.ics".to_owned()].into(), "{name}");
        let cost = fake.take_requests().len();
        // A ctag tells that something changed, a listing what, and each that is gone is asked for.
        assert!(cost <= if syncs { 4 } else { 6 }, "{name}: {cost}");

        let whole = shelf.all().await;
        assert!(whole.vanished.is_empty(), "{name}");
        assert!(
            whole
                .complete
                .is_some_and(|unchanged| unchanged + whole.changed.len() == 5)
        );
        assert!(fake.traffic().most_at_once <= 4, "{name}");
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_read_and_what_is_gone_is_said() {
    for (name, quirks) in Quirks::servers() {
        let fake = filled(quirks, 4).await;
        let mut shelf = Shelf::new(&fake).await;
        shelf.all().await;
        fake.take_requests();
        fake.delete(WORK, "1.ics");
        let some = shelf.only(&["0.ics", "1.ics", "2.ics"]).await;
        assert_eq!(some.names(), ["0.ics", "2.ics"], "{name}");
        assert_eq!(some.vanished, ["1.ics".to_owned()].into(), "{name}");
        assert!(some.complete.is_some(), "{name}");
        let cost = fake.take_requests().len();
        assert!(cost <= 6, "{name}: {cost}");
    }
}

#[tokio::test]
async fn a_token_that_is_no_good_loses_and_invents_nothing() {
    use TokenAnswer::*;
    for answer in [
        Refused(403),
        Refused(412),
        Refused(409),
        Refused(400),
        Nothing,
        All,
        AllAndTombstones,
    ] {
        let fake = filled(Quirks::default(), 5).await;
        fake.quirks(|q| (q.unknown_token, q.malformed_token) = (answer, answer));
        let mut shelf = Shelf::new(&fake).await;
        shelf.all().await;
        fake.delete(WORK, "never-seen.ics");
        fake.put(WORK, "gone-before.ics", event("gone-before", ""));
        fake.delete(WORK, "gone-before.ics");
        fake.delete(WORK, "1.ics");
        fake.put(WORK, "2.ics", event("2", "LOCATION:here\r\n"));
        fake.expire_tokens(WORK);
        fake.take_requests();
        let news = shelf.news().await;
        if answer != Nothing {
            assert!(news.changed.contains_key("2.ics"), "{answer:?}: {news:?}");
            assert!(!news.changed.contains_key("1.ics"), "{answer:?}: {news:?}");
        }
        assert!(
            news.vanished.iter().all(|gone| gone == "1.ics"),
            "{answer:?}: {news:?}"
        );
        assert!(fake.take_requests().len() <= 8, "{answer:?}");
        let whole = shelf.all().await;
        assert_eq!(shelf.known.len(), 4, "{answer:?}: {whole:?}");
        fake.put(WORK, "3.ics", event("3", "LOCATION:here\r\n"));
        let news = shelf.news().await;
        assert!(news.changed.contains_key("3.ics"), "{answer:?}");
    }
}

#[tokio::test]
async fn answers_in_pages_are_read_to_the_end() {
    for (page, count) in [(1, 4), (3, 10), (5, 5)] {
        let fake = filled(Quirks::default(), count).await;
        fake.quirks(|q| (q.sync_page, q.sync_lists_itself) = (Some(page), true));
        let mut shelf = Shelf::new(&fake).await;
        shelf.all().await;
        let token = shelf.token.clone();
        for n in 0..count {
            fake.put(
                WORK,
                &format!("{n}.ics"),
                event(&n.to_string(), "X-A:1\r\n"),
            );
        }
        fake.take_requests();
        let news = shelf.news().await;
        assert_eq!(shelf.known.len(), count);
        assert_eq!(news.changed.len(), count, "{page}");
        assert!(news.vanished.is_empty() && shelf.token != token, "{page}");
        let syncs = fake.take_requests();
        let syncs = syncs
            .iter()
            .filter(|r| r.text().contains("sync-collection"));
        assert!(syncs.count() <= count.div_ceil(page) + 1, "{page}");
        let text: String = fake.requests().iter().map(Seen::text).collect();
        assert!(
            !text.contains("nresults"),
            "a limit loses members on some servers"
        );
    }
}

#[tokio::test]
async fn a_server_that_pages_without_end_is_left_after_a_while() {
    let fake = filled(Quirks::default(), 5).await;
    let mut shelf = Shelf::new(&fake).await;
    shelf.all().await;
    let row = "<d:response><d:href>/dav/calendars/alice/work/</d:href>\
               <d:status>HTTP/1.1 507 Insufficient Storage</d:status></d:response><d:sync-token>";
    let more = Act::bend(move |body| body.replace("<d:sync-token>", row));
    fake.fault(Fault::new(more).on("REPORT").always());
    let read = shelf.read(Scope::News(shelf.token.clone())).await;
    nothing_lost("endless pages", &read);
    assert!(fake.requests().len() < 1000);
}

#[tokio::test]
async fn short_and_empty_listings_make_nothing_vanish() {
    for syncs in [true, false] {
        for listing in [Listing::Empty, Listing::Silent(3), Listing::Truncated(3)] {
            let label = format!("{listing:?} {syncs}");
            let fake = filled(Quirks::default(), 8).await;
            fake.quirks(|q| (q.sync_collection, q.token_property) = (syncs, syncs));
            let mut shelf = Shelf::new(&fake).await;
            shelf.all().await;
            fake.quirks(|q| q.listing = listing);
            for _ in 0..2 {
                let read = shelf.read(Scope::All).await;
                nothing_lost(&label, &read);
            }
            fake.expire_tokens(WORK);
            let read = shelf.read(Scope::News(shelf.token.clone())).await;
            nothing_lost(&label, &read);
            // And what is really gone is found when the listing is whole again.
            fake.quirks(|q| q.listing = Listing::Complete);
            fake.delete(WORK, "7.ics");
            let read = shelf.all().await;
            assert_eq!(read.vanished, ["7.ics".to_owned()].into(), "{label}");
        }
    }
}

#[tokio::test]
async fn tombstones_are_hints() {
    for (tombstones, by_news) in [
        (Tombstones::True, true),
        (Tombstones::NeverWas, true),
        (Tombstones::OfAll, true),
        (Tombstones::Missing, false),
    ] {
        let fake = filled(Quirks::default(), 5).await;
        let mut shelf = Shelf::new(&fake).await;
        shelf.all().await;
        fake.quirks(|q| q.tombstones = tombstones);
        fake.delete(WORK, "1.ics");
        fake.put(WORK, "2.ics", event("2", "X-A:1\r\n"));
        let news = shelf.news().await;
        assert!(news.changed.contains_key("2.ics"), "{tombstones:?}");
        let gone = by_news.then(|| "1.ics".to_owned());
        assert_eq!(news.vanished, gone.into_iter().collect(), "{tombstones:?}");
        shelf.all().await;
        assert_eq!(shelf.known.len(), 4, "{tombstones:?}");
    }
}

#[tokio::test]
async fn a_first_listing_with_tombstones_is_a_listing() {
    let fake = filled(Quirks::radicale(), 5).await;
    fake.delete(WORK, "1.ics");
    let mut shelf = Shelf::new(&fake).await;
    let read = shelf.all().await;
    assert_eq!(read.names().len(), 4);
    assert!(read.vanished.is_empty() && read.unreadable.is_empty());
}

#[tokio::test]
async fn a_calendar_that_answers_nonsense_once_loses_nothing() {
    // Where the whole calendar is asked about: one clear message, or what is sure.
    let cases: [(&str, Act, &str); 15] = [
        ("404", Act::status(404), "404"),
        ("410", Act::status(410), "410"),
        ("empty", Act::answer(207, &[], ""), "empty"),
        ("empty 200", Act::answer(200, &[], ""), "200"),
        ("204", Act::status(204), ""),
        ("login page", Act::login_page(), "web page"),
        ("XML bomb", Act::xml_bomb(), "DOCTYPE"),
        ("deep XML", Act::deep_xml(), "deeper"),
        ("endless", Act::Endless, ""),
        ("cut", Act::CutAfter(50), ""),
        ("500", Act::status(500), "500"),
        ("403", Act::status(403), "403"),
        ("busy", Act::retry_after(503, 60), ""),
        (
            "other site",
            Act::redirect(302, "http://elsewhere.example/"),
            "elsewhere.example",
        ),
        (
            "elsewhere",
            Act::redirect(301, "http://localhost:{port}/dav/"),
            "localhost",
        ),
    ];
    for (name, act, words) in cases {
        for method in ["REPORT", "PROPFIND"] {
            let syncs = method == "REPORT";
            // Reading all that a listing may be takes a while.
            let scopes: &[bool] = if name == "endless" {
                &[true]
            } else {
                &[true, false]
            };
            for &all in scopes {
                let label = format!("{name} {method} all {all}");
                let fake = filled(Quirks::default(), 5).await;
                fake.quirks(|q| (q.sync_collection, q.token_property) = (syncs, syncs));
                let mut shelf = Shelf::new(&fake).await;
                shelf.all().await;
                let before = fake.traffic().bytes_out;
                // All ways to the calendar are blocked: those to its members too.
                fake.fault(Fault::new(act.clone()).at("/dav/calendars/alice/").always());
                let scope = match all {
                    true => Scope::All,
                    false => Scope::News(shelf.token.clone()),
                };
                match shelf.read(scope).await {
                    Ok(read) => {
                        assert!(read.vanished.is_empty(), "{label}: {read:?}");
                        assert!(read.complete.is_none(), "{label}: {read:?}");
                    }
                    // Told to list all of it, which is the next thing that fails.
                    Err(ReadError::Expired) if !all => {}
                    Err(error) => {
                        let text = error.to_string();
                        assert!(text.contains(words), "{label}: {text}");
                        assert!(text.contains("127.0.0.1"), "{label}: {text}");
                        assert!(!text.contains("secret"), "{label}: {text}");
                        assert!(text.len() < 500 && !text.contains('\n'), "{label}: {text}");
                    }
                }
                assert!(fake.traffic().bytes_out - before < 256 << 20, "{label}");
                assert_eq!(shelf.known.len(), 5, "{label}");
                fake.no_faults();
                shelf.ground.clock.pass(Duration::from_secs(3600));
                fake.delete(WORK, "0.ics");
                let read = shelf.all().await;
                assert_eq!(read.vanished, ["0.ics".to_owned()].into(), "{label}");
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_password_in_the_middle_is_said_and_loses_nothing() {
    let fake = filled(Quirks::default(), 5).await;
    let mut shelf = Shelf::new(&fake).await;
    shelf.all().await;
    fake.take_requests();
    fake.password("alice", "another");
    let error = shelf.read(Scope::All).await.unwrap_err();
    let ReadError::Server { again, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*again, Again::Slowly);
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(fake.take_requests().len() <= 2);
}

#[tokio::test]
async fn a_collection_that_is_gone_for_a_while_takes_nothing_with_it() {
    for syncs in [true, false] {
        let fake = filled(Quirks::default(), 5).await;
        fake.quirks(|q| (q.sync_collection, q.token_property) = (syncs, syncs));
        let mut shelf = Shelf::new(&fake).await;
        shelf.all().await;
        fake.quirks(|q| q.listing = Listing::Gone);
        let ids = shelf.known.keys().cloned().collect();
        for scope in [
            Scope::All,
            Scope::News(shelf.token.clone()),
            Scope::Only(ids),
        ] {
            let label = format!("{syncs} {scope:?}");
            let read = shelf.read(scope).await;
            nothing_lost(&label, &read);
            match read {
                Ok(_) | Err(ReadError::Expired) => {}
                Err(error) => assert!(error.to_string().contains("404"), "{label}: {error}"),
            }
        }
        fake.quirks(|q| q.listing = Listing::Complete);
        let read = shelf.all().await;
        assert_eq!(read.complete, Some(5));
    }
}

#[tokio::test]
async fn what_disappears_between_two_requests_stops_nothing() {
    for missing in [
        MultigetMissing::Row,
        MultigetMissing::WholeReport,
        MultigetMissing::Omitted,
    ] {
        let fake = filled(Quirks::default(), 6).await;
        fake.quirks(|q| q.multiget_missing = missing);
        let mut shelf = Shelf::new(&fake).await;
        fake.hook(|editor, moment| {
            if moment.serial > 0 && moment.phase == Phase::After {
                editor.delete(WORK, "3.ics");
            }
        });
        let read = shelf.all().await;
        assert!(read.changed.len() >= 5, "{missing:?}: {read:?}");
        assert!(read.unreadable.is_empty(), "{missing:?}: {read:?}");
        assert!(read.complete.is_some(), "{missing:?}: {read:?}");
        assert!(fake.requests().len() < 20, "{missing:?}");
        fake.no_hook();
        shelf.all().await;
        assert_eq!(shelf.known.len(), 5, "{missing:?}");
    }
}

#[tokio::test]
async fn a_multiget_that_is_too_long_is_cut_up() {
    for most in [1, 7, 30] {
        let fake = filled(Quirks::default(), 60).await;
        fake.quirks(|q| q.multiget_most = Some(most));
        let mut shelf = Shelf::new(&fake).await;
        let read = shelf.all().await;
        assert_eq!(read.changed.len(), 60, "{most}: {:?}", read.unreadable);
    }
}

#[tokio::test]
async fn a_resource_that_cannot_be_read_does_not_stop_its_neighbours() {
    let fake = filled(Quirks::default(), 5).await;
    fake.quirks(|q| q.multiget_most = Some(0));
    fake.fault(Fault::new(Act::Endless).on("GET").at("2.ics").always());
    let mut shelf = Shelf::new(&fake).await;
    let read = shelf.all().await;
    assert_eq!(read.names(), ["0.ics", "1.ics", "3.ics", "4.ics"]);
    assert_eq!(read.unreadable.len(), 1, "{:?}", read.unreadable);
    assert!(read.complete.is_some());
}

#[tokio::test]
async fn one_member_has_one_name_however_its_href_is_written() {
    let fake = Fake::start(Quirks::default()).await;
    let names = [
        "a b.ics",
        "é.ics",
        "x@y.ics",
        "100%.ics",
        "(1)~'!.ics",
        "a+b&c=d;e,f.ics",
    ];
    for (n, name) in names.iter().enumerate() {
        fake.put(WORK, name, event(&n.to_string(), ""));
    }
    let mut shelf = Shelf::new(&fake).await;
    let read = shelf.all().await;
    assert_eq!(read.changed.len(), names.len(), "{:?}", read.unreadable);
    for how in [
        Hrefs::EncodedMore,
        Hrefs::EncodedLess,
        Hrefs::Absolute,
        Hrefs::Path,
    ] {
        fake.quirks(|q| q.hrefs = how);
        let read = shelf.all().await;
        assert!(
            read.changed.is_empty() && read.vanished.is_empty(),
            "{how:?} {read:?}"
        );
        assert_eq!(read.complete, Some(names.len()), "{how:?}");
        fake.put(WORK, "é.ics", event("1", &format!("X-A:{how:?}\r\n")));
        let news = shelf.news().await;
        assert_eq!(news.changed.len(), 1, "{how:?}: {news:?}");
    }
    // Members on another host are none of this account's.
    fake.quirks(|q| q.hrefs = Hrefs::OtherHost);
    let read = shelf.read(Scope::All).await;
    nothing_lost("other host", &read);
    let mut other = Shelf::new(&fake).await;
    let read = other.all().await;
    assert!(read.changed.is_empty(), "{read:?}");
}

#[tokio::test]
async fn bytes_come_through_xml_as_they_are() {
    let odd = "X-A:<&>\"' ]]> \u{e9}\t\r\nX-LF:1\nX-B:2\r\n";
    for data in [Data::Escaped, Data::RawCr, Data::Sections] {
        let fake = Fake::start(Quirks::default()).await;
        fake.quirks(|q| q.data = data);
        let text = event("a", odd);
        fake.put(WORK, "a.ics", text.clone());
        let mut shelf = Shelf::new(&fake).await;
        let read = shelf.all().await;
        assert_eq!(read.text("a.ics"), text, "{data:?}");
    }
}

#[tokio::test]
async fn etags_that_never_rest_cost_a_reading_and_no_more() {
    for syncs in [true, false] {
        let fake = filled(Quirks::default(), 5).await;
        fake.quirks(|q| (q.sync_collection, q.token_property) = (syncs, syncs));
        fake.quirks(|q| q.restless_etags = true);
        let mut shelf = Shelf::new(&fake).await;
        shelf.all().await;
        fake.take_requests();
        for _ in 0..3 {
            let read = shelf.all().await;
            assert!(read.vanished.is_empty() && read.complete.is_some());
            assert_eq!(read.changed.len() + read.complete.unwrap(), 5);
        }
        assert!(fake.take_requests().len() <= 9);
    }
}

#[tokio::test]
async fn changes_within_one_second_are_found() {
    let fake = filled(Quirks::sogo(), 5).await;
    let mut shelf = Shelf::new(&fake).await;
    shelf.all().await;
    fake.put(WORK, "2.ics", event("2", "X-A:1\r\n"));
    let news = shelf.news().await;
    assert!(news.text("2.ics").contains("X-A:1"));
    fake.put(WORK, "2.ics", event("2", "X-A:2\r\n"));
    let news = shelf.news().await;
    assert!(news.text("2.ics").contains("X-A:2"));
    fake.advance(5);
    shelf.news().await;
    fake.take_requests();
    assert!(shelf.news().await.changed.is_empty());
    assert_eq!(fake.take_requests().len(), 1);

    // With a ctag in seconds alone, the next full listing finds what it hid.
    fake.quirks(|q| (q.sync_collection, q.token_property) = (false, false));
    let mut shelf = Shelf::new(&fake).await;
    shelf.all().await;
    fake.put(WORK, "3.ics", event("3", "X-A:1\r\n"));
    shelf.news().await;
    fake.put(WORK, "3.ics", event("3", "X-A:2\r\n"));
    shelf.news().await;
    shelf.all().await;
    let version = shelf.known[&ResourceId::new("3.ics")].clone();
    let current = fake.etag(WORK, "3.ics").unwrap();
    assert!(
        version.as_str().contains(current.trim_matches('"')),
        "{version:?} {current}"
    );
}

#[tokio::test]
async fn reading_is_compressed_and_asks_for_nothing_it_need_not() {
    let fake = filled(Quirks::default(), 300).await;
    let mut shelf = Shelf::new(&fake).await;
    let read = shelf.all().await;
    assert_eq!(read.changed.len(), 300);
    let requests = fake.take_requests();
    assert!(requests.len() <= 12, "{}", requests.len());
    let plain: usize = read.changed.values().map(|one| one.bytes.len()).sum();
    let out: usize = requests.iter().map(|seen| seen.bytes_out).sum();
    assert!(out < plain / 2, "{out} of {plain}");
    for seen in &requests {
        assert_eq!(seen.header("accept-encoding"), Some("gzip"));
        assert!(seen.method != "GET");
    }
}

#[tokio::test]
async fn an_etag_that_changes_alone_is_reported_and_its_content_is_the_same() {
    let fake = filled(Quirks::default(), 3).await;
    let mut shelf = Shelf::new(&fake).await;
    let first = shelf.all().await;
    fake.restamp(WORK, "1.ics");
    let news = shelf.news().await;
    assert_eq!(news.names(), ["1.ics"]);
    assert_eq!(news.text("1.ics"), first.text("1.ics"));
}

#[tokio::test]
async fn a_body_that_halts_is_waited_for() {
    let fake = filled(Quirks::default(), 3).await;
    let mut shelf = Shelf::new(&fake).await;
    let gate = Gate::default();
    fake.fault(Fault::new(Act::SlowBody(gate.clone())).on("REPORT").nth(2));
    let (read, ()) = tokio::join!(shelf.all(), async {
        gate.arrived().await;
        gate.open();
    });
    assert_eq!(read.changed.len(), 3);
}
