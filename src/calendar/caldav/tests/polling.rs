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

    /// Which calendars have something to look at, after all have waited for as long as it takes one
    /// to look.
    async fn told(&self) -> Vec<usize> {
        let due = self.world.clock.elapsed();
        let mut told = Vec::new();
        for (n, calendar) in self.calendars.iter().enumerate() {
            // The clock passes the time of each sleep; who has news does not sleep.
            let mut waiting = calendar.changed();
            while self.world.clock.elapsed() < due + 2 * MINUTE {
                if futures_util::poll!(&mut waiting).is_ready() {
                    told.push(n);
                    break;
                }
                tokio::task::yield_now().await;
                if self.world.clock.elapsed() > due + MINUTE {
                    break;
                }
            }
        }
        told
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
