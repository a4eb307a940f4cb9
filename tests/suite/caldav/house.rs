//! Everything together: a server, a person at it, a meeting service in memory, and passes with a real
//! state over the real port.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use meetbridge::calendar::Scope;
use meetbridge::calendar::caldav::Account;
use meetbridge::calendar::caldav::discover::Collection;
use meetbridge::clock::Clock as _;
use meetbridge::ical::block::Show;
use meetbridge::ical::write::Location;
use meetbridge::meeting::*;
use meetbridge::model::*;
use meetbridge::plan::{Rules, Select};
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Watched};

use super::account::Ground;
use super::fake::*;

/// One meeting for each key, as Graph does it; counts its calls.
#[derive(Default)]
pub(super) struct Service(Mutex<(BTreeMap<String, Meeting>, usize)>);

impl Service {
    pub(super) fn calls(&self) -> usize {
        self.0.lock().unwrap().1
    }

    fn join_url(&self, uid: &str) -> Option<String> {
        let inner = self.0.lock().unwrap();
        let meeting = inner.0.get(uid)?;
        Some(meeting.join_url.expose().to_owned())
    }

    /// The meetings whose key begins so.
    fn keys(&self, start: &str) -> Vec<String> {
        let inner = self.0.lock().unwrap();
        let keys = inner.0.keys().filter(|key| key.starts_with(start));
        keys.cloned().collect()
    }
}

#[async_trait]
impl Meetings for Service {
    async fn ensure(&self, wanted: &Wanted) -> Result<Ensured, MeetingError> {
        tokio::task::yield_now().await;
        let mut inner = self.0.lock().unwrap();
        inner.1 += 1;
        let key = wanted.external_id.as_str().to_owned();
        let created = !inner.0.contains_key(&key);
        let n = inner.0.len();
        let meeting = inner.0.entry(key.clone()).or_insert_with(|| Meeting {
            id: Some(MeetingId::OnlineMeeting(format!("id-{key}"))),
            join_url: JoinUrl::new(format!(
                "https://teams.microsoft.com/l/meetup-join/19%3ameeting_{n}%40thread.v2/0"
            )),
            span: None,
            subject: None,
            expires: None,
            details: Details::default(),
        });
        (meeting.span, meeting.subject) = (Some(wanted.span), wanted.subject.clone());
        let meeting = meeting.clone();
        Ok(Ensured { meeting, created })
    }

    async fn apply(
        &self,
        _: &Meeting,
        _: &Wanted,
        _: &meetbridge::meeting::Settings,
    ) -> Result<(), MeetingError> {
        Ok(())
    }

    async fn update(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        let mut inner = self.0.lock().unwrap();
        inner.1 += 1;
        let same = |held: &&mut Meeting| held.join_url == meeting.join_url;
        let held = inner.0.values_mut().find(same).ok_or(MeetingError::Gone)?;
        (held.span, held.subject) = (Some(wanted.span), wanted.subject.clone());
        Ok(held.clone())
    }

    async fn read(&self, meeting: &Meeting, _: &Wanted) -> Result<Meeting, MeetingError> {
        let mut inner = self.0.lock().unwrap();
        inner.1 += 1;
        let mut held = inner.0.values();
        let held = held.find(|held| held.join_url == meeting.join_url);
        held.cloned().ok_or(MeetingError::Gone)
    }

    async fn delete(
        &self,
        _: &Meeting,
        _: &OrganizerId,
        key: &ExternalId,
    ) -> Result<(), MeetingError> {
        let mut inner = self.0.lock().unwrap();
        inner.1 += 1;
        inner.0.remove(key.as_str());
        Ok(())
    }
}

/// A server of one kind, and an account at it.
pub(super) struct House {
    pub(super) fake: Fake,
    pub(super) ground: Ground,
    pub(super) service: Arc<Service>,
    pub(super) bridge: Bridge,
    account: Arc<Account>,
    template: Collection,
    _home: tempfile::TempDir,
}

fn bridge(ground: &Ground, service: &Arc<Service>) -> (Bridge, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let (state, _) = State::open(home.path(), ground.clock.now()).unwrap();
    let bridge = Bridge {
        state: Arc::new(state),
        meetings: service.clone(),
        clock: ground.clock.clone(),
        tenant: "contoso.example".into(),
        first_pass_limit: 50,
        meetings_per_month: 100_000,
        troubles: Default::default(),
    };
    (bridge, home)
}

impl House {
    pub(super) async fn new(quirks: Quirks) -> Self {
        let fake = Fake::start(quirks).await;
        let (ground, service) = (Ground::new(), Arc::default());
        let account = ground.account(&fake.calendar_url("alice/work"));
        let found = account.discover().await.unwrap();
        let template = found.chosen(&[]).unwrap()[0].clone();
        let (bridge, home) = bridge(&ground, &service);
        let house = Self {
            fake,
            ground,
            service,
            bridge,
            account,
            template,
            _home: home,
        };
        // What there is to learn of a server is learned once.
        let room = house.room("learning");
        room.act(&house.fake, Does::Create, 0);
        for _ in 0..6 {
            house.pass(&house.bridge, &room.watched).await;
        }
        house
    }

    /// Another daemon with a state and a connection of its own, at the same calendars.
    pub(super) fn other(&self) -> (Bridge, Arc<Account>, tempfile::TempDir) {
        let account = self.ground.account(&self.fake.calendar_url("alice/work"));
        let (bridge, home) = bridge(&self.ground, &self.service);
        (bridge, account, home)
    }

    /// A fresh calendar of Alice's.
    pub(super) fn room(&self, name: &str) -> Room {
        let path = format!("alice/{name}");
        self.fake.calendar(&path);
        Room {
            watched: self.watched(&self.account, name),
            path,
            person: Arc::default(),
        }
    }

    /// The calendar as it is configured.
    pub(super) fn watched(&self, account: &Arc<Account>, name: &str) -> Watched {
        let url = self.fake.calendar_url(&format!("alice/{name}"));
        let collection = Collection {
            url: url.parse().unwrap(),
            ..self.template.clone()
        };
        Watched {
            name: CalendarName::new(name),
            port: account.calendar(&collection),
            organizer: OrganizerId::new("11111111-1111-1111-1111-111111111111").unwrap(),
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

    /// Time passes.
    pub(super) fn wait(&self, seconds: u32) {
        self.fake.advance(seconds.into());
        self.ground.clock.pass(Duration::from_secs(seconds.into()));
    }

    /// What the daemon does when it is told of news: a pass over them, over what is to be passed over
    /// again, and over what is due. Whether all of it could be done.
    pub(super) async fn pass(&self, bridge: &Bridge, calendar: &Watched) -> bool {
        self.wait(60);
        let mut scope = Scope::News(None);
        for _ in 0..4 {
            let Ok(report) = bridge.pass(calendar, scope).await else {
                return false;
            };
            let now = self.ground.clock.now();
            let mut again = report.again;
            again.extend(bridge.state.due(&calendar.name, now).unwrap());
            if again.is_empty() {
                break;
            }
            scope = Scope::Only(again);
        }
        true
    }
}

/// One calendar, and what a person did to it.
pub(super) struct Room {
    pub(super) watched: Watched,
    /// `alice/NAME`
    pub(super) path: String,
    pub(super) person: Arc<Mutex<Person>>,
}

/// Who edits the calendar by hand, through a client that keeps everything that it read.
#[derive(Default)]
pub(super) struct Person {
    /// What stands in each resource by that hand: markers, in order.
    pub(super) markers: BTreeMap<String, Vec<String>>,
    /// The names that were ever used.
    ever: BTreeSet<String>,
    count: usize,
}

/// What a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    Create,
    Comment,
    Move,
    Rename,
    Delete,
    Series,
}

impl Does {
    pub(super) const ALL: [Self; 6] = [
        Self::Create,
        Self::Comment,
        Self::Move,
        Self::Rename,
        Self::Delete,
        Self::Series,
    ];
}

impl Person {
    /// Does something to the first resource, or to the one that `which` points at.
    pub(super) fn act(&mut self, editor: &Editor, calendar: &str, does: Does, which: usize) {
        self.count += 1;
        let marker = format!("COMMENT:by hand {}", self.count);
        let (_, segment) = calendar.split_once('/').unwrap();
        let names = editor.names(calendar);
        if does == Does::Create || names.is_empty() {
            // Never a name twice: some servers would show it with the ETag of the first.
            let name = format!("{}.ics", self.count);
            let uid = format!("{segment}-{}@x", self.count);
            editor.put(calendar, &name, fresh(&uid, &marker));
            self.ever.insert(name.clone());
            self.markers.insert(name, vec![marker]);
            return;
        }
        let name = names[which % names.len()].clone();
        if does == Does::Delete {
            editor.delete(calendar, &name);
            self.markers.remove(&name);
            return;
        }
        let text = String::from_utf8(editor.get(calendar, &name).unwrap()).unwrap();
        let text = match does {
            Does::Move => with_line(
                &text,
                "DTSTART",
                &format!("DTSTART:202702{:02}T090000Z", 1 + self.count % 28),
            ),
            Does::Rename => with_line(&text, "SUMMARY", &format!("SUMMARY:Title {}", self.count)),
            Does::Series if !text.contains("RRULE") => {
                text.replacen("SUMMARY", "RRULE:FREQ=WEEKLY;COUNT=4\r\nSUMMARY", 1)
            }
            _ => text,
        };
        let text = text.replacen(
            "BEGIN:VEVENT\r\n",
            &format!("BEGIN:VEVENT\r\n{marker}\r\n"),
            1,
        );
        editor.put(calendar, &name, text);
        self.markers.entry(name).or_default().push(marker);
    }
}

fn fresh(uid: &str, marker: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//t//EN\r\nBEGIN:VEVENT\r\n{marker}\r\n\
         UID:{uid}\r\nDTSTAMP:20261101T000000Z\r\nDTSTART:20270120T090000Z\r\nDURATION:PT1H\r\n\
         SUMMARY:Title\r\nORGANIZER:mailto:alice@example.org\r\n\
         ATTENDEE:mailto:bob@example.org\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

fn with_line(text: &str, name: &str, line: &str) -> String {
    let lines = text.split("\r\n").map(|old| match old.starts_with(name) {
        true => line,
        false => old,
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

impl Room {
    /// The person does something by and by.
    pub(super) fn act(&self, editor: &Editor, does: Does, which: usize) {
        let mut person = self.person.lock().unwrap();
        person.act(editor, &self.path, does, which);
    }

    /// What must hold when everything has come to rest.
    pub(super) fn check(&self, house: &House, label: &str) {
        let person = self.person.lock().unwrap();
        let names = house.fake.names(&self.path);
        let kept: Vec<String> = person.markers.keys().cloned().collect();
        // Nobody's event came or went by our hand.
        assert_eq!(sorted(names), sorted(kept), "{label}");
        let (_, segment) = self.path.split_once('/').unwrap();
        let mut uids = BTreeSet::new();
        for (name, markers) in &person.markers {
            let text = String::from_utf8(house.fake.get(&self.path, name).unwrap()).unwrap();
            if let Err(why) = crate::clients::each_found(text.as_bytes(), |_| true) {
                panic!("{label}: {name}: {why}\n{text}");
            }
            let text = text.replace("\r\n ", "");
            for marker in markers {
                let there = text.lines().filter(|line| line == marker).count();
                assert_eq!(there, 1, "{label}: {name}: {marker} in\n{text}");
            }
            let uid = value(&text, "UID").unwrap();
            let shown = value(&text, "X-MICROSOFT-SKYPETEAMSMEETINGURL");
            assert_eq!(
                shown,
                house.service.join_url(&uid),
                "{label}: {name}\n{text}"
            );
            assert!(shown.is_some(), "{label}: {name} has no link");
            for once in ["X-MEETBRIDGE-MEETING", "X-MICROSOFT-SKYPETEAMSMEETINGURL"] {
                let count = text.lines().filter(|line| line.starts_with(once)).count();
                assert_eq!(count, 1, "{label}: {name}: {once}");
            }
            assert!(uids.insert(uid), "{label}");
        }
        // No meeting for an event that never was.
        let ever = person.ever.len();
        let meetings = house.service.keys(&format!("{segment}-"));
        assert!(meetings.len() <= ever, "{label}: {meetings:?}");
    }

    /// How often each resource was stored by our hand.
    pub(super) fn stored(&self, house: &House) -> BTreeMap<String, usize> {
        let mut stored = BTreeMap::new();
        let (_, segment) = self.path.split_once('/').unwrap();
        let part = format!("/{segment}/");
        for seen in house.fake.requests() {
            if seen.method == "PUT" && seen.path.contains(&part) && matches!(seen.status, 201 | 204)
            {
                let (_, name) = seen.path.rsplit_once('/').unwrap();
                *stored.entry(name.to_owned()).or_default() += 1;
            }
        }
        stored
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn value(text: &str, name: &str) -> Option<String> {
    let line = text
        .lines()
        .find(|line| line.starts_with(name) && line[name.len()..].starts_with([':', ';']))?;
    line.split_once(':').map(|(_, value)| value.to_owned())
}
