//! Calendars come, change and go: a port whose reads wait, a clock that stands still.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Semaphore;

use super::super::account::Found;
use super::super::testing::watched;
use super::*;
use crate::calendar::{self, Again, Calendar, Finding, Known, ReadError, Scope, Written};
use crate::clock::Clock;
use crate::meeting::{Ensured, Meeting, MeetingError, Meetings, Settings, Wanted};
use crate::model::{ExternalId, OrganizerId, ResourceId, Version};
use crate::state::State;

/// A clock that moves only when it is told to.
struct Still {
    elapsed: watch::Sender<Duration>,
    /// How far the wall clock was set forth.
    set: Mutex<TimeDelta>,
}

impl Still {
    fn pass(&self, seconds: u64) {
        self.elapsed
            .send_modify(|at| *at += Duration::from_secs(seconds));
    }

    fn set(&self, by: TimeDelta) {
        *self.set.lock().unwrap() += by;
    }
}

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        let start = Utc.with_ymd_and_hms(2026, 11, 23, 12, 0, 0).unwrap();
        start + TimeDelta::from_std(self.elapsed()).unwrap() + *self.set.lock().unwrap()
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut passed = self.elapsed.subscribe();
        let until = self.elapsed().saturating_add(duration);
        Box::pin(async move {
            let _ = passed.wait_for(|passed| *passed >= until).await;
        })
    }
}

/// A calendar whose reads wait to be let through.
struct Port {
    /// The reads of all that stand for the same calendar, as they begin and end.
    reads: Arc<Reads>,
    /// How often this one was read.
    times: AtomicUsize,
    let_through: Semaphore,
    fails: AtomicBool,
    reread: AtomicUsize,
}

#[derive(Default)]
struct Reads {
    at_once: AtomicUsize,
    most: AtomicUsize,
}

impl Port {
    fn new(reads: &Arc<Reads>) -> Arc<Self> {
        Arc::new(Self {
            reads: reads.clone(),
            times: AtomicUsize::new(0),
            let_through: Semaphore::new(0),
            fails: AtomicBool::new(false),
            reread: AtomicUsize::new(0),
        })
    }

    fn open() -> Arc<Self> {
        let port = Self::new(&Arc::default());
        port.let_through.add_permits(1_000);
        port
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Calendar for Port {
    async fn read(&self, _: &Scope, _: Known) -> Result<Finding<'_>, ReadError> {
        self.times.fetch_add(1, Ordering::SeqCst);
        let at_once = self.reads.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.reads.most.fetch_max(at_once, Ordering::SeqCst);
        self.let_through.acquire().await.unwrap().forget();
        self.reads.at_once.fetch_sub(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(refused());
        }
        let end = calendar::Found::Complete {
            unchanged: 0,
            token: None,
        };
        Ok(stream::iter([end]).boxed())
    }

    async fn write(&self, _: &ResourceId, _: &Version, _: &[u8]) -> Written {
        Written::Changed
    }

    async fn changed(&self) -> Scope {
        std::future::pending().await
    }

    fn reread_secrets(&self) {
        self.reread.fetch_add(1, Ordering::SeqCst);
    }
}

fn refused() -> ReadError {
    ReadError::Server {
        what: "alice at dav.example.org".to_owned(),
        hint: "mend it".to_owned(),
        again: Again::Slowly,
    }
}

/// A meeting service that nobody asks for anything but to read its secrets anew.
#[derive(Default)]
struct Nobody(AtomicUsize);

#[async_trait]
impl Meetings for Nobody {
    async fn ensure(&self, _: &Wanted) -> Result<Ensured, MeetingError> {
        Err(MeetingError::Gone)
    }

    async fn update(&self, _: &Meeting, _: &Wanted) -> Result<Meeting, MeetingError> {
        Err(MeetingError::Gone)
    }

    async fn read(&self, _: &Meeting, _: &Wanted) -> Result<Meeting, MeetingError> {
        Err(MeetingError::Gone)
    }

    async fn apply(&self, _: &Meeting, _: &Wanted, _: &Settings) -> Result<(), MeetingError> {
        Err(MeetingError::Gone)
    }

    async fn delete(
        &self,
        _: &Meeting,
        _: &OrganizerId,
        _: &ExternalId,
    ) -> Result<(), MeetingError> {
        Err(MeetingError::Gone)
    }

    fn reread_secrets(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct World {
    clock: Arc<Still>,
    meetings: Arc<Nobody>,
    state: Arc<State>,
    desk: Arc<Desk>,
    stop: CancellationToken,
    fleet: Fleet,
    _home: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(Still {
            elapsed: watch::channel(Duration::ZERO).0,
            set: Mutex::default(),
        });
        let home = tempfile::tempdir().unwrap();
        let (state, _) = State::open(home.path(), clock.now()).unwrap();
        let (state, meetings) = (Arc::new(state), Arc::default());
        let (desk, stop) = (Arc::<Desk>::default(), CancellationToken::new());
        let bridge = bridge(&state, &clock, &meetings, 1_800);
        Self {
            fleet: Fleet::new(Arc::new(bridge), desk.clone(), stop.clone()),
            clock,
            meetings,
            state,
            desk,
            stop,
            _home: home,
        }
    }

    /// Another bridge over the same state.
    fn bridge(&self, meetings_per_month: u32) -> Arc<Bridge> {
        let troubles = self.fleet.shared.bridge().troubles.clone();
        Arc::new(Bridge {
            troubles,
            ..bridge(&self.state, &self.clock, &self.meetings, meetings_per_month)
        })
    }

    fn set(&mut self, name: &str, port: &Arc<Port>) {
        self.fleet.set(Source::Calendar(kept(name, port)));
    }

    /// Stops, and returns whether all finished.
    async fn end(self) -> bool {
        self.stop.cancel();
        self.fleet.finish(&CancellationToken::new()).await
    }
}

fn bridge(
    state: &Arc<State>,
    clock: &Arc<Still>,
    meetings: &Arc<Nobody>,
    meetings_per_month: u32,
) -> Bridge {
    Bridge {
        state: state.clone(),
        meetings: meetings.clone(),
        clock: clock.clone(),
        tenant: "contoso.example".to_owned(),
        first_pass_limit: 50,
        meetings_per_month,
        troubles: Default::default(),
    }
}

fn kept(name: &str, port: &Arc<Port>) -> Kept {
    Kept {
        calendar: Arc::new(watched(name, port.clone())),
        rescan: Duration::from_secs(365 * 86_400),
    }
}

/// Runs a test where what blocks is done one after the other, so that [`rest`] can wait for it.
fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    runtime.block_on(test);
}

/// Lets every task go on until it waits.
async fn rest() {
    for _ in 0..20 {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[test]
fn a_changed_calendar_finishes_its_pass_and_begins_anew_and_the_others_go_on() {
    run(async {
        let mut world = World::new();
        let reads = Arc::default();
        let (first, second) = (Port::new(&reads), Port::new(&reads));
        let (other, third) = (Port::new(&Arc::default()), Port::open());
        world.set("team", &first);
        world.set("other", &other);
        rest().await;
        assert_eq!((first.times(), other.times()), (1, 1), "both are under way");
        let desk = world.desk.clone();
        let sync = tokio::spawn(async move { desk.sync(&CalendarName::new("team"), false).await });
        rest().await;

        world.set("team", &second);
        world.set("third", &third);
        rest().await;
        assert_eq!((second.times(), third.times()), (0, 1), "the pass goes on");
        first.let_through.add_permits(1);
        rest().await;
        assert_eq!((first.times(), second.times()), (1, 1));
        second.let_through.add_permits(10);
        other.let_through.add_permits(10);
        rest().await;
        assert_eq!(other.times(), 1, "it was not begun anew");
        assert!(
            sync.await.unwrap().unwrap().is_ok(),
            "the errand was handed on"
        );
        assert_eq!(first.times(), 1, "by the present table");
        assert_eq!(reads.most.load(Ordering::SeqCst), 1);
        assert_eq!(world.desk.calendars().len(), 3);
        assert!(world.end().await);
    });
}

#[test]
fn what_is_removed_ends_after_its_pass_and_what_comes_back_waits_for_that() {
    run(async {
        let mut world = World::new();
        let reads = Arc::default();
        let (first, second) = (Port::new(&reads), Port::new(&reads));
        world.set("team", &first);
        rest().await;
        let desk = world.desk.clone();
        let sync = tokio::spawn(async move { desk.sync(&CalendarName::new("team"), false).await });
        rest().await;
        let began = world.clock.now();
        world.fleet.remove("team");
        let list = world.fleet.shared.bridge();
        assert_eq!(list.unread(began), None, "it is not waited for");
        world.set("team", &second);
        assert_eq!(list.unread(began).as_deref(), Some("team"));
        rest().await;
        assert_eq!((first.times(), second.times()), (1, 0));
        first.let_through.add_permits(1);
        second.let_through.add_permits(10);
        rest().await;
        assert_eq!((first.times(), second.times()), (1, 1));
        assert_eq!(reads.most.load(Ordering::SeqCst), 1);
        assert!(sync.await.unwrap().is_none(), "nobody does it any more");
        world.fleet.remove("team");
        world.fleet.remove("nobody");
        rest().await;
        assert!(world.desk.calendars().is_empty());
        let stuck = world.desk.progress().stuck(Duration::MAX, Duration::ZERO);
        assert!(stuck.is_empty(), "what is gone is not stuck");
        assert!(world.end().await);
    });
}

#[test]
fn two_changes_in_one_pass_come_to_the_last_one() {
    run(async {
        let mut world = World::new();
        let reads = Arc::default();
        let ports: Vec<_> = (0..4).map(|_| Port::new(&reads)).collect();
        for port in &ports {
            world.set("team", port);
            if port.times() == 0 {
                rest().await;
            }
        }
        assert_eq!(
            ports.iter().map(|p| p.times()).collect::<Vec<_>>(),
            [1, 0, 0, 0]
        );
        ports
            .iter()
            .for_each(|port| port.let_through.add_permits(10));
        rest().await;
        assert_eq!(
            ports.iter().map(|p| p.times()).collect::<Vec<_>>(),
            [1, 0, 0, 1]
        );
        assert!(world.end().await);
    });
}

#[test]
fn a_pass_is_waited_for_within_the_time_of_grace_or_until_somebody_hurries() {
    run(async {
        for (hurries, grace) in [(true, false), (false, true), (false, false)] {
            let mut world = World::new();
            let port = Port::new(&Arc::default());
            world.set("team", &port);
            rest().await;
            world.stop.cancel();
            let (hurry, clock) = (CancellationToken::new(), world.clock.clone());
            let its = hurry.clone();
            let end = tokio::spawn(async move { world.fleet.finish(&its).await });
            rest().await;
            assert!(!end.is_finished(), "a pass is under way");
            match (hurries, grace) {
                (true, _) => hurry.cancel(),
                (_, true) => clock.pass(GRACE.as_secs()),
                _ => port.let_through.add_permits(1),
            }
            assert_eq!(end.await.unwrap(), !hurries && !grace);
        }
    });
}

#[test]
fn another_bridge_is_gone_over_where_it_decides_otherwise_or_something_failed() {
    run(async {
        let mut world = World::new();
        let (well, ill) = (Port::open(), Port::open());
        ill.fails.store(true, Ordering::SeqCst);
        world.set("well", &well);
        world.set("ill", &ill);
        rest().await;
        assert_eq!((well.times(), ill.times()), (1, 1));
        world.clock.pass(60);
        rest().await;
        assert_eq!((well.times(), ill.times()), (1, 1), "it is tried slowly");
        ill.fails.store(false, Ordering::SeqCst);
        world.fleet.exchange(world.bridge(1_800));
        rest().await;
        assert_eq!((well.times(), ill.times()), (1, 2), "it may be mended");
        world.fleet.exchange(world.bridge(1_700));
        rest().await;
        assert_eq!((well.times(), ill.times()), (2, 3));
        world.fleet.reread_secrets();
        let reread = |port: &Port| port.reread.load(Ordering::SeqCst);
        assert_eq!((reread(&well), reread(&ill)), (1, 1));
        assert_eq!(world.meetings.0.load(Ordering::SeqCst), 1);
        assert!(world.end().await);
    });
}

#[test]
fn a_clock_that_is_set_or_a_machine_that_slept_has_all_looked_at_again() {
    run(async {
        let mut world = World::new();
        let port = Port::open();
        world.set("team", &port);
        rest().await;
        let day = TimeDelta::days(1);
        for (by, times) in [
            (TimeDelta::zero(), 1),
            (day, 2),
            (-day, 3),
            (-day, 4),
            (TimeDelta::zero(), 4),
        ] {
            world.clock.set(by);
            world.clock.pass(60);
            rest().await;
            assert_eq!(port.times(), times, "{by}");
        }
        assert!(world.end().await);
    });
}

/// An account that tells what it is given, one after the other.
struct Told {
    name: &'static str,
    answers: Mutex<VecDeque<Result<Vec<Kept>, ReadError>>>,
    asked: AtomicUsize,
}

impl Told {
    fn new(answers: impl IntoIterator<Item = Result<Vec<Kept>, ReadError>>) -> Arc<Self> {
        Arc::new(Self {
            name: "alice",
            answers: Mutex::new(answers.into_iter().collect()),
            asked: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Account for Told {
    fn name(&self) -> &str {
        self.name
    }

    async fn calendars(&self) -> Result<Found, ReadError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().unwrap().pop_front();
        let Some(answer) = answer else {
            return std::future::pending().await;
        };
        Ok(Found {
            calendars: answer?,
            missing: None,
        })
    }
}

#[test]
fn the_calendars_of_a_changed_account_begin_anew_when_they_are_found_again() {
    run(async {
        let mut world = World::new();
        let (old, new, home) = (Port::open(), Port::open(), Port::open());
        let first = Told::new([Ok(vec![
            kept("alice/Work", &old),
            kept("alice/Home", &home),
        ])]);
        world.fleet.set(Source::Account(first));
        rest().await;
        assert_eq!((old.times(), home.times()), (1, 1));

        // It does not answer: nothing is watched by the table of before.
        let silent = Told::new([]);
        world.fleet.set(Source::Account(silent));
        rest().await;
        world.clock.pass(400 * 86_400);
        rest().await;
        assert_eq!((old.times(), home.times()), (1, 1), "they rest");
        assert_eq!(world.desk.calendars().len(), 2, "commands wait");
        let work = CalendarName::new("alice/Work");
        let desk = world.desk.clone();
        let sync = tokio::spawn(async move { desk.sync(&work, false).await });

        let third = Told::new([Ok(vec![kept("alice/Work", &new)])]);
        world.fleet.set(Source::Account(third));
        rest().await;
        assert_eq!((old.times(), home.times()), (1, 1));
        assert!(new.times() >= 1);
        assert!(sync.await.unwrap().unwrap().is_ok());
        assert_eq!(
            world.desk.calendars().len(),
            1,
            "the other is not there any more"
        );

        // It fails: its calendars are let go, and found again when it answers.
        let last = Told::new([Err(refused()), Ok(vec![kept("alice/Work", &new)])]);
        world.fleet.set(Source::Account(last.clone()));
        rest().await;
        assert!(world.desk.calendars().is_empty());
        world.fleet.exchange(world.bridge(1_800));
        rest().await;
        assert_eq!(last.asked.load(Ordering::SeqCst), 2, "it may be mended");
        assert_eq!(world.desk.calendars().len(), 1);

        world.fleet.remove("alice");
        rest().await;
        assert!(world.desk.calendars().is_empty());
        let bridge = world.fleet.shared.bridge();
        assert_eq!(bridge.unread(world.clock.now()), None, "nothing is watched");
        assert!(world.end().await);
    });
}

#[test]
fn a_calendar_may_become_an_account_of_its_name_and_back() {
    run(async {
        let mut world = World::new();
        let (own, found) = (Port::open(), Port::open());
        world.set("alice", &own);
        rest().await;
        let account = Told::new([Ok(vec![kept("alice/Work", &found)])]);
        world.fleet.set(Source::Account(account));
        rest().await;
        let names = |world: &World| {
            let all = world.desk.calendars();
            all.iter().map(|c| c.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&world), ["alice/Work"]);
        world.set("alice", &own);
        rest().await;
        assert_eq!(names(&world), ["alice"]);
        assert_eq!((own.times(), found.times()), (2, 1));
        assert!(world.end().await);
    });
}
