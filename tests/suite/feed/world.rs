//! A feed, the place where it is published, a meeting service in memory, and passes with a real state
//! over the real port.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use meetbridge::calendar::feed::{self, FeedSettings, PlaceSettings, Publish};
use meetbridge::calendar::{Calendar, Scope};
use meetbridge::clock::{Clock, Random};
use meetbridge::http::{ClientOptions, Credentials, WindowStore, Windows};
use meetbridge::ical::block::Show;
use meetbridge::ical::write::Location;
use meetbridge::meeting::*;
use meetbridge::model::*;
use meetbridge::plan::{Rules, Select};
use meetbridge::state::State;
use meetbridge::sync::{Bridge, PassError, Report, Watched};

use super::web::Web;

/// A clock that a sleep moves on at once.
#[derive(Default)]
pub(super) struct Swift(Mutex<Duration>);

impl Swift {
    pub(super) fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for Swift {
    fn now(&self) -> DateTime<Utc> {
        let start = DateTime::from_timestamp(1_793_520_000, 0).unwrap(); // 2026-11-01
        start + TimeDelta::from_std(self.elapsed()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        *self.0.lock().unwrap() += duration;
        async {}.boxed()
    }
}

struct Zero;

impl Random for Zero {
    fn next(&self) -> u64 {
        0
    }
}

struct Nowhere;

impl WindowStore for Nowhere {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        Vec::new()
    }

    fn store(&self, _: &str, _: DateTime<Utc>) {}
}

/// One meeting for each key, as Graph does it; counts its calls.
#[derive(Default)]
pub(super) struct Service(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    meetings: BTreeMap<String, Meeting>,
    calls: usize,
    down: bool,
}

impl Service {
    pub(super) fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    pub(super) fn meetings(&self) -> usize {
        self.0.lock().unwrap().meetings.len()
    }

    pub(super) fn down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    fn call(&self) -> Result<std::sync::MutexGuard<'_, Inner>, MeetingError> {
        let mut inner = self.0.lock().unwrap();
        inner.calls += 1;
        match inner.down {
            true => Err(MeetingError::Transient("down".to_owned())),
            false => Ok(inner),
        }
    }
}

#[async_trait]
impl Meetings for Service {
    async fn ensure(&self, wanted: &Wanted) -> Result<Ensured, MeetingError> {
        let mut inner = self.call()?;
        let key = wanted.external_id.as_str().to_owned();
        let created = !inner.meetings.contains_key(&key);
        let meeting = inner
            .meetings
            .entry(key.clone())
            .or_insert_with(|| Meeting {
                id: Some(MeetingId::OnlineMeeting(format!("id-{key}"))),
                join_url: JoinUrl::new(join_url(&key)),
                span: None,
                subject: None,
                expires: None,
                details: Details {
                    meeting_id: Some("123 456 789".to_owned()),
                    passcode: Some("Geh31m".to_owned()),
                    ..Details::default()
                },
            });
        (meeting.span, meeting.subject) = (Some(wanted.span), wanted.subject.clone());
        let meeting = meeting.clone();
        Ok(Ensured { meeting, created })
    }

    async fn apply(&self, _: &Meeting, _: &Wanted, _: &Settings) -> Result<(), MeetingError> {
        Ok(())
    }

    async fn update(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        let mut inner = self.call()?;
        let same = |held: &&mut Meeting| held.join_url == meeting.join_url;
        let held = inner.meetings.values_mut().find(same);
        let held = held.ok_or(MeetingError::Gone)?;
        (held.span, held.subject) = (Some(wanted.span), wanted.subject.clone());
        Ok(held.clone())
    }

    async fn read(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        let inner = self.call()?;
        let same = |held: &&Meeting| held.join_url == meeting.join_url;
        let mut read = inner.meetings.values().find(same).cloned();
        if let Some(read) = &mut read {
            read.details.language = Some(wanted.language.clone());
        }
        read.ok_or(MeetingError::Gone)
    }

    async fn delete(
        &self,
        _: &Meeting,
        _: &OrganizerId,
        key: &ExternalId,
    ) -> Result<(), MeetingError> {
        self.call()?.meetings.remove(key.as_str());
        Ok(())
    }
}

/// Where the meeting of this event is joined.
pub(super) fn join_url(uid: &str) -> String {
    let number = crate::feed::number(uid);
    format!("https://teams.microsoft.com/l/meetup-join/19%3ameeting_{number}%40thread.v2/0")
}

/// How a daemon is set up.
pub(super) struct World {
    pub(super) web: Web,
    pub(super) clock: Arc<Swift>,
    pub(super) service: Arc<Service>,
    pub(super) home: tempfile::TempDir,
    pub(super) publish: Publish,
    pub(super) credentials: Credentials,
    pub(super) poll: u64,
}

impl World {
    /// A feed that is published to a file.
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self {
            web: Web::start(),
            clock: Arc::default(),
            service: Arc::default(),
            publish: Publish::File(home.path().join("out.ics")),
            credentials: Credentials::None,
            poll: 600,
            home,
        }
    }

    pub(super) fn out(&self) -> PathBuf {
        self.home.path().join("out.ics")
    }

    /// What is published in the file; every client finds what links are in it.
    pub(super) fn published(&self) -> String {
        let text = std::fs::read_to_string(self.out()).unwrap_or_default();
        if let Err(why) = crate::clients::each_found(text.as_bytes(), |_| true) {
            panic!("{why}\n{text}");
        }
        text
    }

    pub(super) fn lose_state(&self) {
        std::fs::remove_dir_all(self.home.path().join("state")).unwrap();
    }

    fn windows(&self) -> Arc<Windows> {
        Arc::new(Windows::new(self.clock.clone(), Arc::new(Nowhere)))
    }

    pub(super) fn place(&self, url: &str, scope: &str) -> PlaceSettings {
        PlaceSettings {
            scope: scope.to_owned(),
            url: url.parse().unwrap(),
            credentials: self.credentials.clone(),
            client: ClientOptions {
                read_timeout: Duration::from_secs(2),
                total_timeout: Duration::from_secs(20),
                ..ClientOptions::default()
            },
            allow_http: false,
        }
    }

    /// A process that begins.
    pub(super) fn daemon(&self) -> Daemon<'_> {
        let (state, _) = State::open(&self.home.path().join("state"), self.clock.now()).unwrap();
        let state = Arc::new(state);
        let settings = FeedSettings {
            name: "events".to_owned(),
            source: self.place(&self.web.url(), "feed:events"),
            poll: Duration::from_secs(self.poll),
            publish: self.publish.clone(),
            directory: self.home.path().to_owned(),
        };
        let port = feed::open(
            settings,
            self.windows(),
            state.clone(),
            self.clock.clone(),
            Arc::new(Zero),
        );
        let bridge = Bridge {
            state,
            meetings: self.service.clone(),
            clock: self.clock.clone(),
            tenant: "contoso.example".into(),
            first_pass_limit: 50,
            meetings_per_month: 100_000,
            troubles: Default::default(),
        };
        Daemon {
            world: self,
            bridge,
            calendar: watched(port.unwrap()),
        }
    }
}

fn watched(port: Arc<dyn Calendar>) -> Watched {
    Watched {
        name: CalendarName::new("events"),
        port,
        organizer: OrganizerId::new("11111111-1111-1111-1111-111111111111").unwrap(),
        organizers: Default::default(),
        on_cancel: Default::default(),
        on_delete: Default::default(),
        language: "en-US".into(),
        style: Default::default(),
        rules: Rules {
            select: Select::All,
            horizon: Duration::from_secs(365 * 86_400),
            settle: Duration::ZERO,
            addresses: None,
            events_with_attendees: Default::default(),
            all_day: false,
            transparent: false,
            private: false,
        },
        zone: chrono_tz::UTC,
        location: Location::Url,
        show: vec![Show::TollNumbers],
        new_links_per_day: 500,
        form: Default::default(),
    }
}

/// A process, from its start to its end.
pub(super) struct Daemon<'w> {
    pub(super) world: &'w World,
    pub(super) bridge: Bridge,
    pub(super) calendar: Watched,
}

impl Daemon<'_> {
    /// Waits for the next look and makes it, with all that is due.
    pub(super) async fn look(&self) -> Result<Report, PassError> {
        let scope = self.calendar.port.changed().await;
        self.pass(scope).await
    }

    /// A pass, and all that is to be done again or is due after it.
    pub(super) async fn pass(&self, scope: Scope) -> Result<Report, PassError> {
        let mut total = self.bridge.pass(&self.calendar, scope).await?;
        for _ in 0..5 {
            let now = self.world.clock.now();
            let mut again = std::mem::take(&mut total.again);
            again.extend(self.bridge.state.due(&self.calendar.name, now).unwrap());
            if again.is_empty() {
                break;
            }
            let part = self.bridge.pass(&self.calendar, Scope::Only(again)).await?;
            total.merge(part);
        }
        Ok(total)
    }

    /// A pass that rewrites the links, and all that is to be done again after it.
    pub(super) async fn rewrite(&self) -> Report {
        self.world.clock.pass(60);
        let asked = Some(self.world.clock.now());
        let (mut total, mut scope) = (Report::default(), Scope::All);
        for _ in 0..20 {
            let part = self.bridge.pass_rewriting(&self.calendar, scope, asked);
            let mut part = part.await.unwrap();
            let again = std::mem::take(&mut part.again);
            total.merge(part);
            if again.is_empty() {
                return total;
            }
            scope = Scope::Only(again);
        }
        panic!("it never comes to rest");
    }

    /// Passes until the UIDs are proven and all is linked.
    pub(super) async fn settle(&self) {
        self.pass(Scope::All).await.unwrap();
        self.look().await.unwrap();
        self.look().await.unwrap();
    }
}
