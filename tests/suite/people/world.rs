//! The outside in memory: a calendar's port, a meeting service that counts, and the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use meetbridge::calendar::*;
use meetbridge::clock::Clock;
use meetbridge::ical::block::Show;
use meetbridge::ical::write::Location;
use meetbridge::meeting::*;
use meetbridge::model::*;
use meetbridge::plan::{Rules, Select};
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Watched};

use super::generate::{Place, Story};
use super::server::Server;

/// How long an event must have been unchanged.
pub(super) const SETTLE: Duration = Duration::from_secs(10);

/// When every story begins.
pub(super) fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 2, 8, 0, 0).unwrap()
}

/// A write that landed.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) name: String,
    /// What was there.
    pub(super) before: Vec<u8>,
    /// What was handed back.
    pub(super) after: Vec<u8>,
    pub(super) at: DateTime<Utc>,
}

#[derive(Clone, Debug)]
struct Stored {
    version: u64,
    bytes: Vec<u8>,
    modified: DateTime<Utc>,
}

#[derive(Default)]
struct Inner {
    resources: BTreeMap<String, Stored>,
    versions: u64,
    gone: BTreeMap<String, u64>,
    /// The versions that the daemon's own writes left.
    own: BTreeMap<String, u64>,
    writes: Vec<Write>,
    meetings: BTreeMap<String, Meeting>,
    made: Vec<(String, String)>,
    ended: Vec<String>,
    calls: usize,
    /// The keys for which meetings were asked, made or not.
    asked: Vec<String>,
    hidden: BTreeSet<String>,
    breaks_off: bool,
}

/// What the service has given out.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Join URLs, and the keys of their meetings.
    pub(super) urls: Vec<(String, String)>,
    /// What is dialled, and where numbers are listed.
    pub(super) dials: Vec<String>,
}

impl Known {
    /// The key of the meeting with this URL.
    pub(super) fn key(&self, url: &str) -> Option<&str> {
        let found = self.urls.iter().find(|(known, _)| known == url.trim());
        found.map(|(_, key)| key.as_str())
    }

    /// The join URL of the event's meeting: the last one, if it had several.
    pub(super) fn own(&self, uid: &str) -> Option<&str> {
        let found = self.urls.iter().rfind(|(_, key)| key == uid);
        found.map(|(url, _)| url.as_str())
    }

    pub(super) fn all(&self) -> Vec<&str> {
        self.urls.iter().map(|(url, _)| url.as_str()).collect()
    }
}

pub(super) struct TestClock(Mutex<DateTime<Utc>>);

impl TestClock {
    pub(super) fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

pub(super) struct World {
    inner: Mutex<Inner>,
    pub(super) clock: Arc<TestClock>,
    pub(super) server: Server,
    run: u64,
    dial_in: bool,
    sovereign: bool,
}

impl World {
    pub(super) fn new(story: &Story, run: u64) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            clock: Arc::new(TestClock(Mutex::new(start()))),
            server: story.server.clone(),
            run,
            dial_in: story.dial_in,
            sovereign: story.sovereign,
        })
    }

    pub(super) fn bridge(self: &Arc<Self>, state: &Arc<State>) -> Bridge {
        Bridge {
            state: state.clone(),
            meetings: Arc::new(Service(self.clone())),
            clock: self.clock.clone(),
            tenant: "contoso.example".into(),
            first_pass_limit: 50,
            meetings_per_month: 1_800,
            troubles: Default::default(),
        }
    }

    /// The calendar as it is configured. Each run has its own name and organizer: runs share a state.
    pub(super) fn watched(self: &Arc<Self>, story: &Story) -> Watched {
        let organizer = format!("11111111-1111-1111-1111-{:012x}", self.run);
        Watched {
            name: CalendarName::new(format!("team-{}", self.run)),
            port: Arc::new(Shelf(self.clone())),
            organizer: OrganizerId::new(&organizer).unwrap(),
            organizers: Default::default(),
            on_cancel: Default::default(),
            on_delete: if story.deletes {
                Fate::Delete
            } else {
                Fate::Keep
            },
            language: story.language.into(),
            style: Default::default(),
            rules: Rules {
                select: Select::Attendees,
                horizon: Duration::from_secs(365 * 86_400),
                settle: SETTLE,
                addresses: None,
                events_with_attendees: Default::default(),
                all_day: false,
                transparent: false,
                private: false,
            },
            zone: chrono_tz::UTC,
            location: match story.location {
                Place::Url => Location::Url,
                Place::Label => Location::Label,
                Place::Never => Location::Never,
            },
            show: Show::DEFAULT.to_vec(),
            new_links_per_day: 500,
            form: Default::default(),
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// What a person's program stores.
    pub(super) fn save(&self, name: &str, bytes: &[u8]) {
        let now = self.now();
        let bytes = self.server.store(bytes, now);
        let mut inner = self.inner.lock().unwrap();
        inner.versions += 1;
        let version = inner.versions;
        let stored = Stored {
            version,
            bytes,
            modified: now,
        };
        inner.resources.insert(name.into(), stored);
    }

    pub(super) fn delete(&self, name: &str) {
        let mut inner = self.inner.lock().unwrap();
        inner.resources.remove(name);
        inner.versions += 1;
        let version = inner.versions;
        inner.gone.insert(name.into(), version);
    }

    /// The resources that no listing shows, though they are there.
    pub(super) fn hide(&self, names: BTreeSet<String>) {
        self.inner.lock().unwrap().hidden = names;
    }

    /// Whether every listing breaks off before its end.
    pub(super) fn break_off(&self, breaks_off: bool) {
        self.inner.lock().unwrap().breaks_off = breaks_off;
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.inner
            .lock()
            .unwrap()
            .resources
            .keys()
            .cloned()
            .collect()
    }

    pub(super) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.inner.lock().unwrap();
        inner.resources.get(name).map(|stored| stored.bytes.clone())
    }

    /// Calls to the service, and writes to the calendar.
    pub(super) fn effects(&self) -> (usize, usize) {
        let inner = self.inner.lock().unwrap();
        (inner.calls, inner.writes.len())
    }

    /// The writes from the `from`th on.
    pub(super) fn writes(&self, from: usize) -> Vec<Write> {
        self.inner.lock().unwrap().writes[from..].to_vec()
    }

    pub(super) fn known(&self) -> Known {
        let inner = self.inner.lock().unwrap();
        let urls = inner
            .made
            .iter()
            .map(|(key, url)| (url.clone(), key.clone()));
        Known {
            urls: urls.collect(),
            dials: (0..inner.made.len())
                .flat_map(|n| {
                    [
                        self.page(n),
                        format!("tel:+49691234567,,{}#", conference(n)),
                    ]
                })
                .collect(),
        }
    }

    /// The keys for which meetings were made, and those whose meetings were deleted.
    pub(super) fn made(&self) -> (Vec<String>, Vec<String>) {
        let inner = self.inner.lock().unwrap();
        let made = inner.made.iter().map(|(key, _)| key.clone()).collect();
        (made, inner.ended.clone())
    }

    /// The keys for which meetings were asked, made or not, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.inner.lock().unwrap().asked.clone()
    }

    pub(super) fn meeting(&self, key: &str) -> Option<Meeting> {
        self.inner.lock().unwrap().meetings.get(key).cloned()
    }

    fn page(&self, n: usize) -> String {
        format!(
            "https://dialin.teams.microsoft.com/{:x}?id={}",
            self.run,
            conference(n)
        )
    }

    fn make(&self, key: &str, n: usize) -> Meeting {
        let host = match self.sovereign {
            true => "https://teams.sovereign.example/any/",
            false => "https://teams.microsoft.com/l/meetup-join/19%3ameeting_",
        };
        let url = format!(
            "{host}{:012x}_{n}%40thread.v2/0?context=%7b%22Tid%22%3a%22a%22%7d",
            self.run
        );
        let dial_in = DialIn {
            dialin_url: Some(self.page(n)),
            conference_id: Some(conference(n)),
            toll_numbers: vec!["+49 69 1234567".to_owned()],
            ..DialIn::default()
        };
        Meeting {
            id: Some(MeetingId::OnlineMeeting(format!("id-{key}-{n}"))),
            join_url: JoinUrl::new(url),
            span: None,
            subject: None,
            expires: None,
            details: Details {
                meeting_id: Some(format!("241 {n}")),
                dial_in: self.dial_in.then_some(dial_in),
                ..Details::default()
            },
        }
    }
}

fn conference(n: usize) -> String {
    (700_000_000 + n).to_string()
}

/// The calendar's port.
struct Shelf(Arc<World>);

#[async_trait]
impl Calendar for Shelf {
    async fn read(
        &self,
        scope: &Scope,
        known: meetbridge::calendar::Known,
    ) -> Result<Finding<'_>, ReadError> {
        let remote = self.0.server.remote;
        let inner = self.0.inner.lock().unwrap();
        let found = |name: &String, stored: &Stored| {
            Found::Changed(Resource {
                id: ResourceId::new(name.clone()),
                version: Version::new(stored.version.to_string()),
                bytes: stored.bytes.clone().into(),
                origins: Default::default(),
                modified: Some(stored.modified),
            })
        };
        let shown = |name: &String| !inner.hidden.contains(name);
        let mut list = Vec::new();
        let mut unchanged = 0;
        match scope {
            Scope::News(token) => {
                let since = token.as_ref().and_then(|token| token.as_str().parse().ok());
                let Some(since) = since.filter(|_: &u64| remote) else {
                    return Err(ReadError::Expired);
                };
                for (name, stored) in inner.resources.iter().filter(|(_, s)| s.version > since) {
                    list.push(match inner.own.get(name) {
                        Some(own) if *own == stored.version => {
                            Found::Confirmed(ResourceId::new(name.clone()))
                        }
                        _ => found(name, stored),
                    });
                }
                let gone = inner.gone.iter().filter(|(name, change)| {
                    **change > since && !inner.resources.contains_key(*name)
                });
                list.extend(gone.map(|(name, _)| Found::Vanished(ResourceId::new(name.clone()))));
            }
            Scope::All => {
                for (name, stored) in inner.resources.iter().filter(|(name, _)| shown(name)) {
                    let id = ResourceId::new(name.clone());
                    if known.get(&id) == Some(&Version::new(stored.version.to_string())) {
                        unchanged += 1;
                    } else {
                        list.push(found(name, stored));
                    }
                }
                // A server is asked for what a listing does not show by its name.
                let is_there = |id: &ResourceId| {
                    let there = inner.resources.get_key_value(id.as_str());
                    there.is_some_and(|(name, _)| remote || shown(name))
                };
                let absent = known.into_keys().filter(|id| !is_there(id));
                list.extend(absent.map(Found::Vanished));
            }
            Scope::Only(ids) => {
                for id in ids {
                    list.push(match inner.resources.get_key_value(id.as_str()) {
                        Some((name, stored)) if shown(name) || remote => found(name, stored),
                        _ => Found::Vanished(id.clone()),
                    });
                }
            }
        }
        if !inner.breaks_off {
            let token = (remote && !matches!(scope, Scope::Only(_)))
                .then(|| SyncToken::new(inner.versions.to_string()));
            list.push(Found::Complete { unchanged, token });
        }
        Ok(futures_util::stream::iter(list).boxed())
    }

    async fn write(&self, id: &ResourceId, version: &Version, bytes: &[u8]) -> Written {
        let now = self.0.now();
        let kept = self.0.server.store(bytes, now);
        let mut inner = self.0.inner.lock().unwrap();
        let before = inner.resources.get(id.as_str()).cloned();
        let Some(before) = before.filter(|s| s.version.to_string() == version.as_str()) else {
            return Written::Changed;
        };
        inner.writes.push(Write {
            name: id.as_str().into(),
            before: before.bytes,
            after: bytes.to_vec(),
            at: now,
        });
        inner.versions += 1;
        let told = inner.versions;
        inner.own.insert(id.as_str().into(), told);
        if self.0.server.restless {
            inner.versions += 1;
        }
        let stored = Stored {
            version: inner.versions,
            bytes: kept,
            modified: now,
        };
        inner.resources.insert(id.as_str().into(), stored);
        Written::Stored(Version::new(told.to_string()))
    }

    async fn changed(&self) -> Scope {
        std::future::pending().await
    }

    fn confirms_absence(&self) -> bool {
        self.0.server.remote
    }

    fn may_alter(&self) -> bool {
        self.0.server.remote
    }
}

/// The meeting service.
struct Service(Arc<World>);

#[async_trait]
impl Meetings for Service {
    async fn ensure(&self, wanted: &Wanted) -> Result<Ensured, MeetingError> {
        let mut inner = self.0.inner.lock().unwrap();
        inner.calls += 1;
        let key = wanted.external_id.as_str().to_owned();
        inner.asked.push(key.clone());
        let created = !inner.meetings.contains_key(&key);
        if created {
            let meeting = self.0.make(&key, inner.made.len());
            let url = meeting.join_url.expose().to_owned();
            inner.made.push((key.clone(), url));
            inner.meetings.insert(key.clone(), meeting);
        }
        let meeting = inner.meetings.get_mut(&key).unwrap();
        (meeting.span, meeting.subject) = (Some(wanted.span), wanted.subject.clone());
        Ok(Ensured {
            meeting: meeting.clone(),
            created,
        })
    }

    async fn update(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        let mut inner = self.0.inner.lock().unwrap();
        inner.calls += 1;
        let mut held = inner.meetings.values_mut();
        let held = held.find(|held| held.join_url == meeting.join_url);
        let held = held.ok_or(MeetingError::Gone)?;
        (held.span, held.subject) = (Some(wanted.span), wanted.subject.clone());
        Ok(held.clone())
    }

    async fn read(&self, meeting: &Meeting, _: &Wanted) -> Result<Meeting, MeetingError> {
        let inner = self.0.inner.lock().unwrap();
        let mut held = inner.meetings.values();
        let held = held.find(|held| held.join_url == meeting.join_url);
        held.cloned().ok_or(MeetingError::Gone)
    }

    async fn apply(&self, _: &Meeting, _: &Wanted, _: &Settings) -> Result<(), MeetingError> {
        Ok(())
    }

    async fn delete(
        &self,
        meeting: &Meeting,
        _: &OrganizerId,
        external_id: &ExternalId,
    ) -> Result<(), MeetingError> {
        let mut inner = self.0.inner.lock().unwrap();
        inner.calls += 1;
        let key = external_id.as_str().to_owned();
        let held = inner.meetings.get(&key);
        if held.is_some_and(|held| held.join_url == meeting.join_url) {
            inner.meetings.remove(&key);
            inner.ended.push(key);
        }
        Ok(())
    }
}
