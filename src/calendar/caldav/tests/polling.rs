//! Waiting: when it is looked, and what one look tells the calendars of a home set.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::discover::Collection;
use super::super::poll::Pace;
use super::super::testing::{row, rows, tagged, token};
use super::super::{Account, AccountSettings, CalDav};
use super::*;
use crate::calendar::Calendar as _;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_pace_is_fast_after_a_change_and_slows_down_to_the_interval() {
    let mut pace = Pace::new(MINUTE, 10 * SECOND, SECOND, u64::MAX / 2);
    assert_eq!(pace.due().as_secs(), 30, "each account at its own time");
    let mut now = pace.due();
    pace.changed(now, 0);
    let mut waits = Vec::new();
    for _ in 0..6 {
        waits.push((pace.due() - now).as_millis());
        now = pace.due();
        pace.quiet(now, 0);
    }
    assert_eq!(waits, [10_000, 15_000, 22_500, 33_750, 50_625, 60_000]);
    // What was missed is one look, not many.
    now += 100 * MINUTE;
    pace.quiet(now, 0);
    assert_eq!(pace.due() - now, MINUTE);
}

#[test]
fn jitter_makes_a_look_early_and_never_late() {
    for random in [0, u64::MAX / 3, u64::MAX] {
        let mut pace = Pace::new(MINUTE, 2 * MINUTE, Duration::ZERO, random);
        assert!(pace.due() <= MINUTE);
        pace.changed(MINUTE, random);
        let wait = pace.due() - MINUTE;
        assert!(wait <= MINUTE && wait >= 54 * SECOND, "{wait:?}");
    }
}

#[test]
fn a_failing_account_rests_ever_longer_until_it_answers() {
    let mut pace = Pace::new(MINUTE, SECOND, Duration::ZERO, 0);
    let rests: Vec<u64> = (0..8)
        .map(|_| {
            pace.failed(None, MINUTE, 0);
            (pace.due() - MINUTE).as_secs()
        })
        .collect();
    assert_eq!(rests, [5, 10, 20, 40, 80, 160, 300, 300]);
    pace.quiet(MINUTE, 0);
    pace.failed(Some(MINUTE * 10), MINUTE, 0);
    assert_eq!(pace.due(), MINUTE * 10, "as the server asked");
    pace.quiet(MINUTE, 0);
    pace.failed_for_good(MINUTE, 0);
    assert_eq!(pace.due() - MINUTE, 5 * MINUTE);
}

fn collection(url: &Url, home: Option<&Url>) -> Collection {
    Collection {
        url: url.clone(),
        label: Some("work".into()),
        display_name: None,
        colour: None,
        owner: None,
        owned: true,
        addresses: BTreeSet::new(),
        time_zone: None,
        holds_events: true,
        writable: None,
        sync_collection: true,
        multiget: true,
        max_resource_size: None,
        home: home.cloned(),
        ctag: None,
    }
}

/// An account with calendars in one home set, at `/cal/`.
struct Watching {
    world: World,
    calendars: Vec<Arc<CalDav>>,
}

impl Watching {
    fn new(names: &[&str], handler: impl FnMut(&Received) -> Vec<u8> + Send + 'static) -> Self {
        let world = World::answering(handler, |_| {});
        let clock: Arc<dyn Clock> = world.clock.clone();
        let settings = AccountSettings {
            connection: ConnectionSettings {
                name: "alice".to_owned(),
                url: world.server.url.clone(),
                credentials: Credentials::None,
                client: ClientOptions::default(),
                allow_http: false,
                tokens: None,
            },
            poll: MINUTE,
            poll_fastest: 10 * SECOND,
        };
        let windows = Arc::new(Windows::new(Arc::clone(&clock), Arc::new(Nowhere)));
        let random = Arc::new(Numbers::always(0));
        let account = Account::new(settings, windows, world.notes.clone(), clock, random).unwrap();
        let home = world.server.url.join("/cal/").unwrap();
        let calendars = names
            .iter()
            .map(|name| account.calendar(&collection(&home.join(name).unwrap(), Some(&home))))
            .collect();
        Self { world, calendars }
    }

    /// Waits for one calendar; gives how long that took, and the requests that it cost.
    async fn told(&self, n: usize) -> (u64, Vec<String>) {
        let before = self.world.clock.elapsed();
        assert_eq!(self.calendars[n].changed().await, Scope::News(None));
        let took = self.world.clock.elapsed() - before;
        (took.as_secs(), self.world.asked())
    }
}

fn marks(marks: &[(&str, &str)]) -> Vec<u8> {
    let mark = |(name, ctag): &(&str, &str)| {
        row(
            &format!("/cal/{name}/"),
            &format!("<s:getctag>{ctag}</s:getctag>"),
        )
    };
    let all: Vec<String> = [row("/cal/", "")]
        .into_iter()
        .chain(marks.iter().map(mark))
        .collect();
    rows(&all, "")
}

/// Answers the looks one after the other, the last for ever.
fn looks(answers: Vec<Vec<u8>>) -> impl FnMut(&Received) -> Vec<u8> + Send + 'static {
    let mut answers = answers.into_iter().peekable();
    move |_| {
        let next = answers.next().unwrap_or_else(|| status(599));
        if answers.peek().is_none() {
            answers = vec![next.clone()].into_iter().peekable();
        }
        next
    }
}

const LOOK: &str = "PROPFIND 1";

#[tokio::test]
async fn one_look_tells_which_of_the_calendars_changed() {
    let account = Watching::new(
        &["a/", "b/"],
        looks(vec![
            marks(&[("a", "1"), ("b", "1")]),
            marks(&[("a", "1"), ("b", "2")]),
            marks(&[("a", "1"), ("b", "2")]),
            marks(&[("a", "1"), ("b", "2")]),
            marks(&[("a", "3"), ("b", "2")]),
        ]),
    );
    // Nobody knows what happened before the first look.
    assert_eq!(account.told(0).await, (0, vec![LOOK.to_owned()]));
    assert_eq!(account.told(1).await, (0, vec![]));
    // The second look shows a change of one.
    assert_eq!(account.told(1).await, (60, vec![LOOK.to_owned()]));
    // The change came within a second that may not have been over: once more, and soon.
    assert_eq!(account.told(1).await, (10, vec![LOOK.to_owned()]));
    // The other had nothing to look at until the fifth look: 15 s and 22.5 s later.
    assert_eq!(account.told(0).await, (37, vec![LOOK.to_owned(); 2]));
}

#[tokio::test]
async fn what_was_not_told_is_told_by_the_next_call() {
    let account = Watching::new(&["a/", "b/"], looks(vec![marks(&[("a", "1"), ("b", "1")])]));
    for _ in 0..3 {
        let mut dropped = account.calendars[0].changed();
        assert!(futures_util::poll!(&mut dropped).is_pending());
    }
    account.told(0).await;
    // The look that was made for the one was made for the other.
    assert_eq!(account.told(1).await, (0, vec![]));
}

#[tokio::test]
async fn an_outage_is_told_once_when_it_begins_and_once_when_it_ends() {
    let fine = || marks(&[("a", "1"), ("b", "1")]);
    let account = Watching::new(
        &["a/", "b/"],
        looks(vec![
            fine(),
            status(500),
            status(502),
            answer(207, &[], "<html>"),
            fine(),
        ]),
    );
    account.told(0).await;
    account.told(1).await;
    assert_eq!(
        account.told(0).await,
        (60, vec![LOOK.to_owned()]),
        "it begins"
    );
    assert_eq!(account.told(1).await, (0, vec![]));
    // Rests of 5, 10 and 20 s.
    assert_eq!(
        account.told(1).await,
        (35, vec![LOOK.to_owned(); 3]),
        "it ends"
    );
    assert_eq!(account.told(0).await, (0, vec![]));
}

#[tokio::test]
async fn a_home_set_that_goes_on_failing_stops_no_calendar() {
    let fine = || marks(&[("a", "1"), ("b", "1")]);
    for fault in [status(500), status(404), rows(&[row("/cal/", "")], "")] {
        let account = Watching::new(&["a/", "b/"], looks(vec![fine(), fault]));
        account.told(0).await;
        account.told(0).await;
        // Rests of 5, 10, 20, 40, 80 and 160 s, and then each of 300 s is told.
        assert_eq!(account.told(0).await.0, 315);
        for _ in 0..3 {
            assert_eq!(account.told(0).await, (300, vec![LOOK.to_owned()]));
        }
    }
}

#[tokio::test]
async fn a_rest_lasts_as_long_as_the_server_asks() {
    let fine = || marks(&[("a", "1"), ("b", "1")]);
    let busy = answer(429, &["retry-after: 600"], "");
    let account = Watching::new(&["a/", "b/"], looks(vec![fine(), busy, fine()]));
    account.told(0).await;
    account.told(0).await;
    let (took, asked) = account.told(0).await;
    assert!(took >= 600 && asked.len() == 1, "{took} {asked:?}");
}

#[tokio::test]
async fn where_a_home_set_tells_nothing_each_calendar_looks_for_itself() {
    for home in [
        status(405),
        rows(
            &[row("/cal/", ""), row("/cal/a/", ""), row("/cal/b/", "")],
            "",
        ),
    ] {
        let account = Watching::new(&["a/", "b/"], looks(vec![home]));
        assert_eq!(account.told(0).await.1, [LOOK]);
        for _ in 0..2 {
            assert_eq!(account.told(0).await, (60, vec![]));
        }
    }
    // One that is not shown is on its own; the other is not.
    let account = Watching::new(&["a/", "b/"], looks(vec![marks(&[("a", "1")])]));
    account.told(0).await;
    assert_eq!(account.told(1).await.1, [""; 0]);
}

#[tokio::test]
async fn a_calendar_that_is_alone_is_its_own_look_and_paced_by_what_it_finds() {
    let report = |request: &Received| match asked(request).as_str() {
        "sync t1" => rows(&[tagged("/cal/a/x.ics", "\"1\"")], &token("t2")),
        "sync t2" => rows(&[], &token("t2")),
        "GET a/x.ics" => got("\"1\"", &event("x")),
        _ => status(500),
    };
    let account = Watching::new(&["a/"], report);
    let calendar = &account.calendars[0];
    let read = async |token| {
        if let Ok(finding) = calendar.read(&news(token), Known::new()).await {
            finding.collect::<Vec<_>>().await;
            // The reader is told before whoever paces.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        account.world.asked();
    };
    assert_eq!(account.told(0).await, (0, vec![]));
    read("sync:t2").await;
    assert_eq!(account.told(0).await, (60, vec![]), "quiet");
    read("sync:t1").await;
    assert_eq!(account.told(0).await, (10, vec![]), "a change");
    read("sync:t2").await;
    assert_eq!(account.told(0).await, (15, vec![]), "quiet again");
    read("sync:t3").await;
    assert_eq!(account.told(0).await, (5, vec![]), "failing");
    read("sync:t3").await;
    assert_eq!(account.told(0).await.0, 10, "still failing");
}
