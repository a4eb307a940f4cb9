//! The world in memory: a calendar, a meeting service, a clock, and a point at which something happens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeZone, Utc};
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

use super::user;

const ORGANIZER: &str = "11111111-1111-1111-1111-111111111111";

/// How the key begins of a meeting that is an event in Outlook.
const EVENT: &str = "event/";

/// What can happen at an await point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happens {
    /// The process dies.
    Crash,
    /// The user saves an edit.
    Edit,
    /// Another daemon, with a state of its own, passes over the same calendar.
    OtherPass,
}

/// Who looks at the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Daemon {
    One,
    Other,
}

#[derive(Default)]
struct Inner {
    resources: BTreeMap<String, (u64, Vec<u8>)>,
    /// The last bytes the user saved, by resource.
    saved: BTreeMap<String, Vec<u8>>,
    /// When each resource was last stored.
    stored: BTreeMap<String, DateTime<Utc>>,
    versions: u64,
    meetings: BTreeMap<String, Meeting>,
    /// Those that died, by key.
    dead: BTreeMap<String, Meeting>,
    /// The keys for which a DELETE took effect.
    ended: Vec<String>,
    made: usize,
    calls: usize,
    writes: usize,
    points: usize,
    armed: Option<(usize, Happens)>,
    reached: bool,
    faults: Faults,
    server: Option<Server>,
    /// What was deleted, by the change that did it.
    deleted: BTreeMap<String, u64>,
    /// The versions that a daemon's writes left, and which daemon's.
    written: BTreeMap<String, (Daemon, u64)>,
    reads: Vec<(Scope, usize)>,
}

/// A calendar server instead of a directory: it tells what changed since a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    /// It knows no token that is older than this.
    pub(super) oldest: u64,
    /// It reports these as deleted, whether they ever were there or not.
    pub(super) phantoms: Vec<&'static str>,
    /// It drops lines that begin like this from whatever it stores.
    pub(super) drops: Vec<&'static str>,
    /// What it stores gets another version a moment after it was written.
    pub(super) restless: bool,
}

/// What does not work at the moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// This resource cannot be read.
    pub(super) unreadable: Option<String>,
    /// The calendar cannot be read.
    pub(super) silent: bool,
    /// Every listing breaks off before its end.
    pub(super) cut_short: bool,
    /// Every write finds that somebody was quicker.
    pub(super) contended: bool,
    /// The calendar takes no write.
    pub(super) read_only: bool,
    /// The service fails for this organizer.
    pub(super) organizer: Option<OrganizerId>,
    /// The service does not know this organizer.
    pub(super) unknown: Option<OrganizerId>,
    /// The service keeps a meeting's times.
    pub(super) keeps_times: bool,
    /// The service gives a meeting that is dead for its key, again and again; else a new one.
    pub(super) gives_dead: bool,
    /// Every DELETE is lost on the way there.
    pub(super) no_delete: bool,
}

impl Inner {
    fn tombstone(&mut self, name: &str) {
        self.versions += 1;
        self.deleted.insert(name.into(), self.versions);
    }

    /// What changed since the change `since`, and up to which that is known.
    fn news(&self, of: Daemon, server: &Server, since: u64) -> Vec<Result<ResourceId, Found>> {
        let mut found = Vec::new();
        for (name, (version, _)) in &self.resources {
            let id = ResourceId::new(name.clone());
            match self.written.get(name) {
                _ if *version <= since => {}
                Some(written) if *written == (of, *version) => {
                    found.push(Err(Found::Confirmed(id)))
                }
                _ => found.push(Ok(id)),
            }
        }
        let gone = self.deleted.iter().filter(|(name, change)| {
            **change > since && !self.resources.contains_key(name.as_str())
        });
        let phantoms = server.phantoms.iter().map(|name| name.to_string());
        let vanished = gone.map(|(name, _)| name.clone()).chain(phantoms);
        found.extend(vanished.map(|name| Err(Found::Vanished(ResourceId::new(name)))));
        found.push(Err(Found::Complete {
            unchanged: 0,
            token: Some(SyncToken::new(self.versions.to_string())),
        }));
        found
    }
}

/// The outside: everything that survives a crash of the process.
pub(super) struct World {
    inner: Mutex<Inner>,
    /// What every join URL begins with.
    join: &'static str,
    pub(super) clock: Arc<TestClock>,
    crash: tokio::sync::Notify,
    other: OnceLock<Bridge>,
}

pub(super) struct TestClock(Mutex<DateTime<Utc>>);

impl TestClock {
    pub(super) fn advance(&self, by: chrono::Duration) {
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

impl World {
    pub(super) fn new() -> Arc<Self> {
        Self::joining_at("https://teams.microsoft.com/l/meetup-join/19%3ameeting_")
    }

    pub(super) fn joining_at(join: &'static str) -> Arc<Self> {
        let start = Utc.with_ymd_and_hms(2026, 11, 2, 8, 0, 0).unwrap();
        let clock = Arc::new(TestClock(Mutex::new(start)));
        Arc::new(Self {
            inner: Mutex::default(),
            join,
            clock,
            crash: tokio::sync::Notify::new(),
            other: OnceLock::new(),
        })
    }

    pub(super) fn bridge(self: &Arc<Self>, state: Arc<State>) -> Bridge {
        Bridge {
            state,
            meetings: Arc::new(Service(self.clone())),
            clock: self.clock.clone(),
            tenant: "contoso.example".into(),
            first_pass_limit: 50,
            meetings_per_month: 1_800,
            troubles: Default::default(),
        }
    }

    /// Lets something happen at the `n`th await point from now.
    pub(super) fn arm(&self, n: usize, happens: Happens) {
        let mut inner = self.inner.lock().unwrap();
        inner.armed = Some((inner.points + n, happens));
        inner.reached = false;
    }

    pub(super) fn disarm(&self) {
        self.inner.lock().unwrap().armed = None;
    }

    pub(super) fn reached(&self) -> bool {
        self.inner.lock().unwrap().reached
    }

    /// Returns when the process dies.
    pub(super) async fn crashed(&self) {
        self.crash.notified().await;
    }

    /// An await point.
    async fn point(self: &Arc<Self>) {
        let happens = {
            let mut inner = self.inner.lock().unwrap();
            inner.points += 1;
            match inner.armed {
                Some((n, happens)) if n == inner.points => {
                    inner.reached = true;
                    Some(happens)
                }
                _ => None,
            }
        };
        match happens {
            Some(Happens::Edit) => user::edit_anything(self),
            Some(Happens::OtherPass) => self.other_pass().await,
            Some(Happens::Crash) => {
                self.crash.notify_one();
                std::future::pending::<()>().await;
            }
            None => tokio::task::yield_now().await,
        }
    }

    /// Another daemon comes to watch the same calendar.
    pub(super) fn join(self: &Arc<Self>, state: State) {
        let _ = self.other.set(self.bridge(Arc::new(state)));
    }

    /// One pass of the other daemon.
    pub(super) async fn other_pass(self: &Arc<Self>) {
        let mut calendar = watched(self);
        calendar.port = Arc::new(Shelf(self.clone(), Daemon::Other));
        let pass = self.other.get().unwrap().pass(&calendar, Scope::All);
        Box::pin(pass).await.unwrap();
    }

    /// What happened outside: calls to the service and writes to the calendar.
    pub(super) fn effects(&self) -> (usize, usize) {
        let inner = self.inner.lock().unwrap();
        (inner.calls, inner.writes)
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

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let inner = self.inner.lock().unwrap();
        inner
            .resources
            .get(name)
            .map(|(_, bytes)| String::from_utf8(bytes.clone()).unwrap())
    }

    /// Sets what does not work from now on.
    pub(super) fn fail(&self, faults: Faults) {
        self.inner.lock().unwrap().faults = faults;
    }

    /// The calendar is on a server from now on.
    pub(super) fn serve(&self, server: Server) {
        self.inner.lock().unwrap().server = Some(server);
    }

    fn server(&self) -> Option<Server> {
        self.inner.lock().unwrap().server.clone()
    }

    /// Where to look when something may have changed.
    pub(super) fn news(&self) -> Scope {
        match self.server() {
            Some(_) => Scope::News(None),
            None => Scope::All,
        }
    }

    /// The reads since the last call: where they looked, and how many versions were known.
    pub(super) fn reads(&self) -> Vec<(Scope, usize)> {
        std::mem::take(&mut self.inner.lock().unwrap().reads)
    }

    fn resource(&self, name: &str) -> Option<(u64, Vec<u8>)> {
        self.inner.lock().unwrap().resources.get(name).cloned()
    }

    fn stored(&self, id: &ResourceId) -> Option<DateTime<Utc>> {
        self.inner.lock().unwrap().stored.get(id.as_str()).copied()
    }

    /// The service forgets every meeting.
    pub(super) fn end_meetings(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.meetings.clear();
        inner.made = 0;
    }

    fn unreadable(&self, id: &ResourceId) -> bool {
        self.inner.lock().unwrap().faults.unreadable.as_deref() == Some(id.as_str())
    }

    /// Fails where the service does.
    fn serves(&self, wanted: &Wanted) -> Result<(), MeetingError> {
        let faults = &self.inner.lock().unwrap().faults;
        if faults.unknown.as_ref() == Some(&wanted.organizer) {
            return Err(MeetingError::NoOrganizer("no such user".into()));
        }
        match &faults.organizer {
            Some(failing) if *failing == wanted.organizer => {
                Err(MeetingError::Organizer("no licence".into()))
            }
            _ => Ok(()),
        }
    }

    /// The meetings that there are come to have dial-in.
    pub(super) fn give_dial_in(&self) {
        let mut inner = self.inner.lock().unwrap();
        for meeting in inner.meetings.values_mut() {
            meeting.details.dial_in = Some(DialIn {
                conference_id: Some("123456".to_owned()),
                toll_numbers: vec!["+49 69 1234567".to_owned()],
                ..DialIn::default()
            });
        }
    }

    /// The meeting with this key dies.
    pub(super) fn kill_meeting(&self, key: &str) {
        let mut inner = self.inner.lock().unwrap();
        let dead = inner.meetings.remove(key).unwrap();
        inner.dead.insert(key.into(), dead);
    }

    /// The join URL of the meeting with this key.
    pub(super) fn url(&self, key: &str) -> String {
        let inner = self.inner.lock().unwrap();
        inner.meetings[key].join_url.expose().to_owned()
    }

    /// The keys of the meetings there are.
    pub(super) fn keys(&self) -> Vec<String> {
        self.inner
            .lock()
            .unwrap()
            .meetings
            .keys()
            .cloned()
            .collect()
    }

    /// The keys of the meetings that were deleted, in that order.
    pub(super) fn ended(&self) -> Vec<String> {
        self.inner.lock().unwrap().ended.clone()
    }

    /// When the meeting of the event is, as the service has it.
    pub(super) fn held(&self, uid: &str) -> DateTime<Utc> {
        self.inner.lock().unwrap().meetings[uid].span.unwrap().start
    }

    /// How many meetings the service has.
    pub(super) fn meetings(&self) -> usize {
        self.inner.lock().unwrap().meetings.len()
    }

    /// The user saves a resource.
    pub(super) fn save(&self, name: &str, text: &str) {
        let mut inner = self.inner.lock().unwrap();
        inner.versions += 1;
        let version = inner.versions;
        inner
            .resources
            .insert(name.into(), (version, text.as_bytes().to_vec()));
        inner.saved.insert(name.into(), text.as_bytes().to_vec());
        inner.stored.insert(name.into(), self.clock.now());
    }

    pub(super) fn delete(&self, name: &str) {
        let mut inner = self.inner.lock().unwrap();
        inner.resources.remove(name);
        inner.saved.remove(name);
        inner.tombstone(name);
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        let mut inner = self.inner.lock().unwrap();
        let resource = inner.resources.remove(from).unwrap();
        let saved = inner.saved.remove(from).unwrap();
        inner.resources.insert(to.into(), resource);
        inner.saved.insert(to.into(), saved);
        inner.tombstone(from);
        inner.versions += 1;
        let version = inner.versions;
        inner.resources.get_mut(to).unwrap().0 = version;
    }

    /// What a listing found, read one by one.
    fn stream(self: Arc<Self>, found: Vec<Result<ResourceId, Found>>) -> Finding<'static> {
        let world = self;
        let mut found = found;
        if world.inner.lock().unwrap().faults.cut_short {
            found.pop();
        }
        let stream = futures_util::stream::iter(found).then(move |one| {
            let world = world.clone();
            async move {
                world.point().await;
                match one {
                    Err(found) => found,
                    Ok(id) if world.unreadable(&id) => {
                        let what = id.to_string();
                        Found::Unreadable(id, ReadError::Incomplete(what))
                    }
                    Ok(id) => match world.resource(id.as_str()) {
                        Some((version, bytes)) => Found::Changed(Resource {
                            version: Version::new(version.to_string()),
                            bytes: bytes.into(),
                            origins: Default::default(),
                            modified: world.stored(&id),
                            id,
                        }),
                        None => Found::Vanished(id),
                    },
                }
            }
        });
        stream.boxed()
    }

    /// Promises 1 to 4, when everything has come to rest.
    pub(super) fn check_at_rest(&self, label: &str, times: bool) {
        let inner = self.inner.lock().unwrap();
        let mut of_uid: BTreeMap<String, String> = BTreeMap::new();
        for (name, (_, bytes)) in &inner.resources {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let saved = &inner.saved[name];
            // Promises 2 and 3: what the user saved last is there, byte by byte.
            user::assert_only_added(saved, bytes, &format!("{label}: {name}"));
            if let Err(why) = crate::clients::each_found(bytes, |_| true) {
                panic!("{label}: {name}: {why}\n{text}");
            }
            let unfolded = text.replace("\r\n ", "");
            for event in unfolded.split("BEGIN:VEVENT").skip(1) {
                let uid = user::value(event, "UID").unwrap();
                let shown = user::value(event, "X-MICROSOFT-SKYPETEAMSMEETINGURL");
                let wanted = event.contains("ATTENDEE");
                // Promise 4: in the end every event has what it should have.
                assert_eq!(shown.is_some(), wanted, "{label}: {name}: {uid}");
                let Some(shown) = shown else { continue };
                // Promise 1: its own meeting, the same everywhere.
                let keys = [uid.clone(), format!("{EVENT}{uid}")];
                let held = keys.iter().filter_map(|key| inner.meetings.get(key));
                let meeting = held.min_by_key(|held| held.join_url.expose() != shown);
                let meeting = meeting.unwrap();
                assert_eq!(shown, meeting.join_url.expose(), "{label}: {name}: {uid}");
                assert_eq!(of_uid.entry(uid).or_insert_with(|| shown.clone()), &shown);
                let marks = event.matches("X-MEETBRIDGE-MEETING").count();
                assert_eq!(marks, 1, "{label}: {name}: marks");
                let blocks = ["Join: ", "Teilnehmen: "].map(|label| event.matches(label).count());
                assert_eq!(blocks.iter().sum::<usize>(), 1, "{label}: {name}: blocks");
                let start = user::value(event, "DTSTART").unwrap();
                let held = meeting
                    .span
                    .unwrap()
                    .start
                    .format("%Y%m%dT%H%M%SZ")
                    .to_string();
                if times && !event.contains("RRULE") && !event.contains("RECURRENCE-ID") {
                    assert_eq!(held, start, "{label}: {name}: the meeting's time");
                    assert_eq!(
                        meeting.subject,
                        user::value(event, "SUMMARY"),
                        "{label}: {name}"
                    );
                }
            }
        }
        for uid in inner.meetings.keys() {
            assert!(
                user::KNOWN_UIDS.contains(&uid.trim_start_matches(EVENT)),
                "{label}: a meeting for {uid}"
            );
        }
    }
}

/// The calendar as `watched` configures it.
pub(super) fn watched(world: &Arc<World>) -> Watched {
    Watched {
        name: CalendarName::new("team"),
        port: Arc::new(Shelf(world.clone(), Daemon::One)),
        organizer: OrganizerId::new(ORGANIZER).unwrap(),
        organizers: Default::default(),
        on_cancel: Default::default(),
        on_delete: Default::default(),
        language: "en-US".into(),
        style: Default::default(),
        rules: Rules {
            select: Select::Attendees,
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
        show: Show::DEFAULT.to_vec(),
        new_links_per_day: 500,
        form: Default::default(),
    }
}

/// Meetings as events in Outlook.
pub(super) fn as_events() -> Form {
    Form::CalendarEvent(Arc::new(Mirror {
        note: "a mirror".to_owned(),
        calendar: None,
        show_as: ShowAs::Free,
    }))
}

/// What is left of a calendar without the properties whose lines begin like one of `dropped`.
fn without(bytes: &[u8], dropped: &[&str]) -> Vec<u8> {
    if dropped.is_empty() {
        return bytes.to_vec();
    }
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut kept = String::new();
    let mut dropping = false;
    for line in text.split_inclusive("\r\n") {
        dropping = match line.starts_with(' ') {
            true => dropping,
            false => dropped.iter().any(|name| line.starts_with(name)),
        };
        if !dropping {
            kept.push_str(line);
        }
    }
    kept.into_bytes()
}

/// The calendar's port.
struct Shelf(Arc<World>, Daemon);

#[async_trait]
impl Calendar for Shelf {
    async fn read(&self, scope: &Scope, known: Known) -> Result<Finding<'_>, ReadError> {
        self.0.point().await;
        let (world, server) = (self.0.clone(), self.0.server());
        let since = match (scope, &server) {
            (Scope::News(Some(token)), Some(server)) => token
                .as_str()
                .parse()
                .ok()
                .filter(|since| *since >= server.oldest),
            _ => None,
        };
        let mut found = Vec::new();
        {
            let mut inner = world.inner.lock().unwrap();
            inner.reads.push((scope.clone(), known.len()));
            if inner.faults.silent {
                return Err(ReadError::Incomplete("the calendar".into()));
            }
            match (scope, since) {
                (Scope::News(_), None) => return Err(ReadError::Expired),
                (Scope::News(_), Some(since)) => {
                    found = inner.news(self.1, &server.unwrap_or_default(), since);
                    drop(inner);
                    return Ok(world.stream(found));
                }
                _ => {}
            }
            let asked = |name: &str| match scope {
                Scope::All | Scope::News(_) => true,
                Scope::Only(ids) => ids.contains(&ResourceId::new(name)),
            };
            let mut unchanged = 0;
            for (name, (version, _)) in inner.resources.iter().filter(|(name, _)| asked(name)) {
                let id = ResourceId::new(name.clone());
                if known.get(&id) == Some(&Version::new(version.to_string())) {
                    unchanged += 1;
                } else {
                    found.push(Ok(id));
                }
            }
            let gone = known
                .into_keys()
                .filter(|id| !inner.resources.contains_key(id.as_str()));
            found.extend(gone.map(|id| Err(Found::Vanished(id))));
            let all = *scope == Scope::All && server.is_some();
            found.push(Err(Found::Complete {
                unchanged,
                token: all.then(|| SyncToken::new(inner.versions.to_string())),
            }));
        }
        Ok(world.stream(found))
    }

    async fn write(&self, id: &ResourceId, version: &Version, bytes: &[u8]) -> Written {
        self.0.point().await;
        let stored = {
            let mut inner = self.0.inner.lock().unwrap();
            if inner.faults.read_only {
                return Written::Refused(WriteRefusal {
                    what: id.to_string(),
                    hint: "read-only".into(),
                    source: None,
                });
            }
            if inner.faults.contended {
                return Written::Changed;
            }
            let current = inner.resources.get(id.as_str()).map(|(v, _)| v.to_string());
            if current.as_deref() != Some(version.as_str()) {
                return Written::Changed;
            }
            inner.versions += 1;
            inner.writes += 1;
            let stored = inner.versions;
            inner.stored.insert(id.as_str().into(), self.0.clock.now());
            let server = inner.server.clone().unwrap_or_default();
            let kept = without(bytes, &server.drops);
            if server.restless {
                inner.versions += 1;
            }
            let version = inner.versions;
            inner.resources.insert(id.as_str().into(), (version, kept));
            inner.written.insert(id.as_str().into(), (self.1, stored));
            stored
        };
        self.0.point().await;
        Written::Stored(Version::new(stored.to_string()))
    }

    fn confirms_absence(&self) -> bool {
        self.0.server().is_some()
    }

    fn may_alter(&self) -> bool {
        self.0.server().is_some()
    }

    fn attendees(&self) -> Attendees {
        match self.0.server() {
            Some(_) => Attendees::Told,
            None => Attendees::NotTold,
        }
    }

    async fn changed(&self) -> Scope {
        std::future::pending().await
    }
}

/// The meeting service's port: createOrGet by key, as Graph does it.
struct Service(Arc<World>);

#[async_trait]
impl Meetings for Service {
    async fn ensure(&self, wanted: &Wanted) -> Result<Ensured, MeetingError> {
        self.0.serves(wanted)?;
        self.0.point().await;
        let ensured = {
            let mut inner = self.0.inner.lock().unwrap();
            inner.calls += 1;
            let (keeps_times, gives_dead) = (inner.faults.keeps_times, inner.faults.gives_dead);
            let key = key(&wanted.organizer, &wanted.external_id);
            let key = match wanted.form {
                Form::OnlineMeeting => key,
                Form::CalendarEvent(_) => format!("{EVENT}{key}"),
            };
            if let (Some(dead), true) = (inner.dead.get(&key), gives_dead) {
                Ensured {
                    meeting: dead.clone(),
                    created: false,
                }
            } else {
                let created = !inner.meetings.contains_key(&key);
                inner.made += usize::from(created);
                let n = inner.made - 1;
                let meeting = inner
                    .meetings
                    .entry(key.clone())
                    .or_insert_with(|| made(&key, self.0.join, n));
                if !keeps_times || meeting.span.is_none() {
                    (meeting.span, meeting.subject) = (Some(wanted.span), wanted.subject.clone());
                }
                Ensured {
                    meeting: meeting.clone(),
                    created,
                }
            }
        };
        self.0.point().await;
        Ok(ensured)
    }

    async fn apply(
        &self,
        _: &Meeting,
        _: &Wanted,
        _: &meetbridge::meeting::Settings,
    ) -> Result<(), MeetingError> {
        self.0.point().await;
        Ok(())
    }

    async fn update(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        self.0.serves(wanted)?;
        self.0.point().await;
        let updated = {
            let mut inner = self.0.inner.lock().unwrap();
            inner.calls += 1;
            let same = |m: &&mut Meeting| m.join_url == meeting.join_url;
            let held = inner
                .meetings
                .values_mut()
                .find(same)
                .ok_or(MeetingError::Gone)?;
            (held.span, held.subject) = (Some(wanted.span), wanted.subject.clone());
            held.clone()
        };
        self.0.point().await;
        Ok(updated)
    }

    async fn read(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        self.0.serves(wanted)?;
        self.0.point().await;
        let held = {
            let mut inner = self.0.inner.lock().unwrap();
            inner.calls += 1;
            let mut held = inner.meetings.values();
            let held = held.find(|held| held.join_url == meeting.join_url);
            held.cloned().ok_or(MeetingError::Gone)?
        };
        self.0.point().await;
        Ok(held)
    }

    async fn delete(
        &self,
        meeting: &Meeting,
        organizer: &OrganizerId,
        external_id: &ExternalId,
    ) -> Result<(), MeetingError> {
        self.0.point().await;
        {
            let mut inner = self.0.inner.lock().unwrap();
            inner.calls += 1;
            if inner.faults.no_delete {
                return Err(MeetingError::Transient("no answer".into()));
            }
            let key = key(organizer, external_id);
            let is_it = |key: &String| {
                let held = inner.meetings.get(key);
                held.is_some_and(|held| held.join_url == meeting.join_url)
            };
            let its = [key.clone(), format!("{EVENT}{key}")];
            if let Some(key) = its.into_iter().find(is_it) {
                let ended = inner.meetings.remove(&key).unwrap();
                inner.dead.insert(key.clone(), ended);
                inner.ended.push(key);
            }
        }
        self.0.point().await;
        Ok(())
    }
}

/// By what the service knows a meeting.
fn key(organizer: &OrganizerId, external_id: &ExternalId) -> String {
    match organizer.as_str() {
        ORGANIZER => external_id.as_str().to_owned(),
        other => format!("{other}/{}", external_id.as_str()),
    }
}

fn made(key: &str, join: &str, n: usize) -> Meeting {
    let id = match key.strip_prefix(EVENT) {
        Some(key) => MeetingId::Event {
            event: format!("id-{key}"),
        },
        None => MeetingId::OnlineMeeting(format!("id-{key}")),
    };
    Meeting {
        id: Some(id),
        join_url: JoinUrl::new(format!("{join}{n}%40thread.v2/0")),
        span: None,
        subject: None,
        expires: None,
        details: Details {
            meeting_id: Some(format!("{n}")),
            ..Details::default()
        },
    }
}
