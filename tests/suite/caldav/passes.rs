//! Passes over the fake server while a person is at it: at every point of a pass, and 1,000 times at
//! random, on every server of the table. No edit is lost, each event is written once, and then there
//! is rest.

use std::sync::Arc;
use std::sync::Mutex;

use futures_util::FutureExt as _;
use tokio::sync::Notify;

use super::fake::*;
use super::house::{Does, House, Room};

/// Passes until everything should have come to rest; then a quiet one.
async fn come_to_rest(house: &House, room: &Room, label: &str) {
    house.fake.no_hook();
    house.fake.no_faults();
    // What failed is tried again within the hour.
    house.wait(3600);
    for _ in 0..3 {
        let done = house.pass(&house.bridge, &room.watched).await;
        assert!(done, "{label}: a pass fails with nothing wrong");
    }
    room.check(house, label);

    // A neighbour is told again by a server that does so.
    let server = house.fake.server();
    let most = match server {
        "DAViCal" => 3,
        _ => 1,
    };
    let calls = house.service.calls();
    let before = house.fake.traffic().requests;
    house.pass(&house.bridge, &room.watched).await;
    let cost = house.fake.traffic().requests - before;
    let requests = house.fake.requests();
    let last = &requests[requests.len() - cost..];
    assert!(
        cost <= most,
        "{label}: a quiet pass costs {cost} requests: {last:#?}"
    );
    assert_eq!(
        house.service.calls(),
        calls,
        "{label}: a quiet pass calls Graph"
    );
}

/// Each event was stored by our hand once, on a condition; and nothing was ever deleted or made.
fn written_once(house: &House, room: &Room, label: &str) {
    for seen in house.fake.requests() {
        let harmless = ["GET", "PROPFIND", "REPORT", "OPTIONS"].contains(&seen.method.as_str());
        let condition = ["if-match", "if-schedule-tag-match"].map(|name| seen.header(name));
        let conditional = seen.method == "PUT" && condition.iter().any(Option::is_some);
        assert!(harmless || conditional, "{label}: {seen:?}");
    }
    for (name, count) in room.stored(house) {
        assert_eq!(count, 1, "{label}: {name}");
    }
}

#[tokio::test]
async fn an_edit_at_every_point_of_a_pass_is_kept() {
    for (name, quirks) in Quirks::servers() {
        let house = House::new(quirks).await;
        let mut reached_most = 0;
        for does in [Does::Create, Does::Comment, Does::Delete] {
            let mut point = 0;
            loop {
                let label = format!("{name}: {does:?} at point {point}");
                house.fake.take_requests();
                let room = house.room(&format!("{does:?}-{point}").to_lowercase());
                room.act(&house.fake, Does::Create, 0);
                room.act(&house.fake, Does::Create, 0);
                house.pass(&house.bridge, &room.watched).await;
                // The pass with the edit in it finds something new, something changed.
                room.act(&house.fake, Does::Create, 0);
                room.act(&house.fake, Does::Rename, 0);
                let passed = Arc::new(Mutex::new(0));
                let (count, person) = (passed.clone(), room.person.clone());
                let path = room.path.clone();
                house.fake.hook(move |editor, moment| {
                    // Between check and storing, an edit is lost by the server itself.
                    if moment.phase == Phase::Between {
                        return;
                    }
                    let mut count = count.lock().unwrap();
                    if *count == point {
                        person.lock().unwrap().act(editor, &path, does, point);
                    }
                    *count += 1;
                });
                house.pass(&house.bridge, &room.watched).await;
                let points = *passed.lock().unwrap();
                come_to_rest(&house, &room, &label).await;
                written_once(&house, &room, &label);
                reached_most = reached_most.max(points);
                point += 1;
                if point >= points {
                    break;
                }
            }
        }
        assert!(reached_most >= 6, "{name}: only {reached_most} points");
    }
}

#[tokio::test]
async fn a_crash_at_every_point_of_a_pass_is_harmless() {
    for (name, quirks) in Quirks::servers() {
        let house = House::new(quirks).await;
        for lost in [false, true] {
            let mut point = 0;
            loop {
                let label = format!("{name}: crash at point {point}, state lost: {lost}");
                house.fake.take_requests();
                let segment = format!("crash-{point}-{lost}");
                let mut room = house.room(&segment);
                room.act(&house.fake, Does::Create, 0);
                house.pass(&house.bridge, &room.watched).await;
                room.act(&house.fake, Does::Create, 0);
                room.act(&house.fake, Does::Comment, 0);
                let (dies, crash) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
                let (mut count, dying) = (0, dies.clone());
                house.fake.hook(move |_, _| {
                    if count == point {
                        dying.notify_one();
                    }
                    count += 1;
                });
                tokio::select! {
                    biased;
                    () = dies.notified() => crash.notify_one(),
                    _ = house.pass(&house.bridge, &room.watched) => {}
                }
                let reached = crash.notified().now_or_never().is_some();
                // Another process: what the port remembered is gone, and the state where it is lost.
                let (bridge, account, _home) = house.other();
                room.watched = house.watched(&account, &segment);
                house.fake.no_hook();
                if lost {
                    for _ in 0..3 {
                        assert!(house.pass(&bridge, &room.watched).await, "{label}");
                    }
                    room.check(&house, &label);
                } else {
                    come_to_rest(&house, &room, &label).await;
                }
                written_once(&house, &room, &label);
                if !reached {
                    break;
                }
                point += 1;
            }
            assert!(point >= 4, "{name}: only {point} points");
        }
    }
}

/// A thousand in all, for the servers of the table together.
async fn interleavings(nth: usize) {
    let servers = Quirks::servers();
    let each = 1_000_usize.div_ceil(servers.len());
    let (name, quirks) = servers[nth].clone();
    let house = House::new(quirks).await;
    for n in 0..each {
        let seed = (nth * each + n) as u64;
        interleave(&house, seed, &format!("{name}, seed {seed}")).await;
    }
}

#[tokio::test]
async fn no_random_interleaving_loses_an_edit_on_radicale() {
    interleavings(0).await;
}

#[tokio::test]
async fn no_random_interleaving_loses_an_edit_on_xandikos() {
    interleavings(1).await;
}

#[tokio::test]
async fn no_random_interleaving_loses_an_edit_on_sabredav_1_8() {
    interleavings(2).await;
}

#[tokio::test]
async fn no_random_interleaving_loses_an_edit_on_sabredav_4_7() {
    interleavings(3).await;
}

#[tokio::test]
async fn no_random_interleaving_loses_an_edit_on_cyrus() {
    interleavings(4).await;
}

#[tokio::test]
async fn no_random_interleaving_loses_an_edit_on_davical() {
    interleavings(5).await;
}

#[tokio::test]
async fn no_random_interleaving_loses_an_edit_on_sogo() {
    interleavings(6).await;
}

async fn interleave(house: &House, seed: u64, label: &str) {
    let mut random = fastrand::Rng::with_seed(seed);
    house.fake.take_requests();
    let room = house.room(&format!("r{seed}"));
    for _ in 0..random.usize(1..4) {
        for _ in 0..random.usize(0..3) {
            room.act(
                &house.fake,
                random.choice(Does::ALL).unwrap(),
                random.usize(..8),
            );
        }
        let mut hands = random.fork();
        let (person, path) = (room.person.clone(), room.path.clone());
        house.fake.hook(move |editor, moment| {
            if moment.phase != Phase::Between && hands.u8(..) < 40 {
                let does = hands.choice(Does::ALL).unwrap();
                let which = hands.usize(..8);
                person.lock().unwrap().act(editor, &path, does, which);
            }
        });
        if random.u8(..) < 80 {
            let acts = [
                Act::LoseBefore,
                Act::LoseAfter,
                Act::status(500),
                Act::status_after(502),
                Act::status(423),
                Act::status(412),
                Act::CutAfter(30),
            ];
            let act = random.choice(acts).unwrap();
            let method = random
                .choice(["PUT", "PUT", "REPORT", "PROPFIND", "GET"])
                .unwrap();
            let nth = random.usize(1..3);
            house.fake.fault(Fault::new(act).on(method).nth(nth));
        }
        house.pass(&house.bridge, &room.watched).await;
        house.fake.no_hook();
        house.fake.no_faults();
    }
    come_to_rest(house, &room, label).await;
    written_once(house, &room, label);
}

#[tokio::test]
async fn two_daemons_on_one_calendar_share_the_meetings_and_come_to_rest() {
    for (name, quirks) in Quirks::servers() {
        let house = House::new(quirks).await;
        let (other, account, _home) = house.other();
        for seed in 0..10 {
            let label = format!("{name}, seed {seed}");
            let mut random = fastrand::Rng::with_seed(seed);
            house.fake.take_requests();
            let room = house.room(&format!("two{seed}"));
            let theirs = house.watched(&account, &format!("two{seed}"));
            for _ in 0..3 {
                for _ in 0..random.usize(1..3) {
                    room.act(
                        &house.fake,
                        random.choice(Does::ALL).unwrap(),
                        random.usize(..8),
                    );
                }
                // One after the other: some of these servers let two win at once.
                let ours = house.pass(&house.bridge, &room.watched).await;
                let others = house.pass(&other, &theirs).await;
                assert!(ours && others, "{label}");
            }
            for _ in 0..2 {
                house.pass(&other, &theirs).await;
                house.pass(&house.bridge, &room.watched).await;
            }
            written_once(&house, &room, &label);
            let calls = house.service.calls();
            house.pass(&other, &theirs).await;
            house.pass(&house.bridge, &room.watched).await;
            written_once(&house, &room, &label);
            assert_eq!(house.service.calls(), calls, "{label}");
            room.check(&house, &label);
        }
    }
}
