//! When an account is looked at, and what that costs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use meetbridge::calendar::caldav::CalDav;
use meetbridge::calendar::*;

use super::account::Ground;
use super::fake::*;
use super::the_fake::event;

const HOME: &str = "/dav/calendars/alice/";

/// An account of `count` calendars, `c0` and so on, all of them told once that they are new.
struct Account {
    ground: Ground,
    calendars: Vec<Arc<CalDav>>,
}

async fn account(fake: &Fake, count: usize) -> Account {
    for n in 0..count {
        fake.calendar(&format!("alice/c{n}"));
        fake.put(&format!("alice/c{n}"), "a.ics", event("a", ""));
    }
    let ground = Ground::new();
    let account = ground.account(&fake.url());
    let found = account.discover().await.unwrap();
    let mut wanted: Vec<String> = (0..count).map(|n| format!("c{n}")).collect();
    wanted.truncate(count);
    let calendars = found.chosen(&wanted).unwrap().into_iter();
    let calendars: Vec<_> = calendars.map(|one| account.calendar(one)).collect();
    for calendar in &calendars {
        read(calendar, &Scope::All).await;
        calendar.changed().await;
    }
    fake.take_requests();
    Account { ground, calendars }
}

async fn read(calendar: &CalDav, scope: &Scope) {
    let found = calendar.read(scope, Known::new()).await.unwrap();
    let found: Vec<Found> = found.collect().await;
    assert!(matches!(found.last(), Some(Found::Complete { .. })));
}

/// Which calendar is the first to be told of a change.
async fn first(account: &Account) -> usize {
    let waits = account.calendars.iter().enumerate();
    let mut waits: FuturesUnordered<_> = waits
        .map(|(n, calendar)| async move {
            calendar.changed().await;
            n
        })
        .collect();
    waits.next().await.unwrap()
}

#[tokio::test]
async fn fifty_calendars_cost_one_request_a_look() {
    let fake = Fake::start(Quirks::default()).await;
    let account = account(&fake, 50).await;
    let times = Arc::new(Mutex::new(Vec::new()));
    let (seen, clock) = (times.clone(), account.ground.clock.clone());
    fake.hook(move |editor, moment| {
        if moment.phase == Phase::Before {
            let mut seen = seen.lock().unwrap();
            seen.push(meetbridge::clock::Clock::elapsed(&*clock));
            if seen.len() == 10 {
                editor.put("alice/c17", "a.ics", event("a", "X-A:1\r\n"));
            }
        }
    });
    assert_eq!(first(&account).await, 17);
    let requests = fake.take_requests();
    // The clock goes on while a calendar waits for its turn to be told: a look for each, at most.
    assert!(requests.len() <= 10 + 50, "{requests:?}");
    let bytes: usize = requests.iter().map(|r| r.bytes_in + r.bytes_out).sum();
    assert!(bytes / requests.len() < 4096, "{bytes}");
    for seen in &requests {
        assert_eq!(
            (seen.method.as_str(), seen.path.as_str()),
            ("PROPFIND", HOME)
        );
        assert_eq!(seen.header("depth"), Some("1"));
    }
    // At most as often as configured, and at least.
    let times = std::mem::take(&mut *times.lock().unwrap());
    for (one, next) in times.iter().zip(&times[1..]) {
        let apart = (*next - *one).as_secs_f64();
        assert!((9.0..=60.0).contains(&apart), "{apart}");
    }
    assert!(
        (times[9] - times[8]).as_secs() > 50,
        "it slows down when nothing changes"
    );

    let before = meetbridge::clock::Clock::elapsed(&*account.ground.clock);
    fake.put("alice/c3", "a.ics", event("a", "X-A:2\r\n"));
    assert_eq!(first(&account).await, 3);
    let looks = fake.take_requests().len() as u32;
    let waited = meetbridge::clock::Clock::elapsed(&*account.ground.clock) - before;
    assert!(
        waited <= Duration::from_secs(60) * looks,
        "{waited:?} {looks}"
    );
}

#[tokio::test]
async fn what_a_home_set_does_not_tell_each_calendar_asks_itself() {
    let quirks = Quirks {
        home_tells_changes: false,
        ..Quirks::default()
    };
    let fake = Fake::start(quirks).await;
    let account = account(&fake, 3).await;
    for _ in 0..3 {
        for calendar in &account.calendars {
            assert_eq!(calendar.changed().await, Scope::News(None));
        }
    }
    let homes = fake.take_requests();
    let homes = homes.iter().filter(|seen| seen.path == HOME).count();
    assert_eq!(homes, 0, "asked once, when the first waited");
}

#[tokio::test]
async fn a_single_calendar_waits_without_a_request() {
    let fake = Fake::start(Quirks::default()).await;
    let account = account(&fake, 1).await;
    let before = meetbridge::clock::Clock::elapsed(&*account.ground.clock);
    assert_eq!(account.calendars[0].changed().await, Scope::News(None));
    let waited = meetbridge::clock::Clock::elapsed(&*account.ground.clock) - before;
    assert!(waited <= Duration::from_secs(60), "{waited:?}");
    assert!(fake.take_requests().is_empty());
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_no_change() {
    let fake = Fake::start(Quirks::default()).await;
    let account = account(&fake, 2).await;
    let gate = Gate::default();
    fake.fault(Fault::new(Act::WaitAfter(gate.clone())).on("PROPFIND"));
    fake.put("alice/c1", "a.ics", event("a", "X-A:1\r\n"));
    tokio::select! {
        _ = account.calendars[1].changed() => panic!("the look is held back"),
        () = gate.arrived() => {}
    }
    gate.open();
    assert_eq!(first(&account).await, 1);
}

#[tokio::test]
async fn a_second_change_within_the_second_of_a_ctag_is_told() {
    let fake = Fake::start(Quirks::sogo()).await;
    let account = account(&fake, 2).await;
    // Once more for each, as tags in seconds may hide a change that came with the first.
    for calendar in &account.calendars {
        calendar.changed().await;
    }
    fake.advance(100);
    fake.put("alice/c1", "a.ics", event("a", "X-A:1\r\n"));
    assert_eq!(first(&account).await, 1);
    fake.put("alice/c1", "a.ics", event("a", "X-A:2\r\n"));
    assert_eq!(first(&account).await, 1);
}

#[tokio::test]
async fn a_failing_home_set_is_left_alone_and_found_again() {
    for act in [
        Act::status(500),
        Act::login_page(),
        Act::LoseBefore,
        Act::retry_after(503, 600),
        Act::status(401),
    ] {
        let fake = Fake::start(Quirks::default()).await;
        let account = account(&fake, 2).await;
        let before = meetbridge::clock::Clock::elapsed(&*account.ground.clock);
        fake.fault(Fault::new(act.clone()).on("PROPFIND").times(12));
        // Each is told once, so that each says that it is failing.
        let told = first(&account).await;
        account.calendars[1 - told].changed().await;
        fake.put("alice/c1", "a.ics", event("a", "X-A:1\r\n"));
        while first(&account).await != 1 {}
        let after = meetbridge::clock::Clock::elapsed(&*account.ground.clock) - before;
        let requests = fake.take_requests().len();
        let seconds = after.as_secs() as usize;
        assert!(requests <= 4 + seconds / 5, "{requests} in {seconds} s");
    }
}
