//! One event in a calendar in memory, a bridge, and the simulated Graph behind it.

use async_trait::async_trait;
use futures_util::StreamExt as _;
use meetbridge::calendar::{Calendar, Finding, Found, Known, ReadError, Resource, Scope, Written};
use meetbridge::ical::block::Show;
use meetbridge::ical::write::Location;
use meetbridge::meeting::Fate;
use meetbridge::model::{CalendarName, ResourceId, Uid, Version};
use meetbridge::plan::{Rules, Select, Style};
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Report, Watched};

use super::*;

/// The event's UID, and so its meeting's key.
pub(super) const UID: &str = "one@x";

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) bridge: Bridge,
    pub(super) calendar: Watched,
    page: Arc<Page>,
    _home: tempfile::TempDir,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// With a service that is like this.
    pub(super) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let world = World::with(change).await;
        let home = tempfile::tempdir().unwrap();
        let (state, _) = State::open(home.path(), world.clock.now()).unwrap();
        let page = Arc::new(Page::default());
        let bridge = Bridge {
            state: Arc::new(state),
            meetings: Arc::new(world.graph()),
            clock: world.clock.clone(),
            tenant: TENANT.into(),
            first_pass_limit: 50,
            meetings_per_month: 1_800,
            troubles: Default::default(),
        };
        let calendar = Watched {
            name: CalendarName::new("team"),
            port: page.clone(),
            organizer: organizer(ORGANIZER),
            organizers: Default::default(),
            on_cancel: Fate::Delete,
            on_delete: Fate::Delete,
            language: "en-US".into(),
            style: Style::default(),
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
        };
        Self {
            world,
            bridge,
            calendar,
            page,
            _home: home,
        }
    }

    /// The same with an event whose link was written and seen.
    pub(super) async fn linked(change: impl FnOnce(&mut Settings)) -> Self {
        let scene = Self::with(change).await;
        scene.save(UID, "20261120T090000Z");
        for _ in 0..3 {
            scene.pass().await;
        }
        assert!(scene.is_linked());
        scene
    }

    pub(super) fn save(&self, uid: &str, start: &str) {
        self.page.save(&format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//t//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
             DTSTAMP:20261101T000000Z\r\nDTSTART:{start}\r\nDURATION:PT1H\r\nSUMMARY:One\r\n\
             ORGANIZER:mailto:alice@x\r\nATTENDEE:mailto:bob@x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        ));
    }

    /// The event is at another time.
    pub(super) fn move_to(&self, from: &str, to: &str) {
        let text = self.page.text().unwrap();
        self.page.save(&text.replacen(from, to, 1));
    }

    pub(super) fn delete(&self) {
        self.page.0.lock().unwrap().1 = None;
    }

    /// A pass over everything.
    pub(super) async fn pass(&self) -> Report {
        self.bridge.pass(&self.calendar, Scope::All).await.unwrap()
    }

    /// What the daemon does when something is due; when the next thing is.
    pub(super) async fn work(&self) -> Option<DateTime<Utc>> {
        let (state, name) = (&self.bridge.state, &self.calendar.name);
        let due = state.due(name, self.world.clock.now()).unwrap();
        if !due.is_empty() {
            let due = Scope::Only(due.into_iter().collect());
            self.bridge.pass(&self.calendar, due).await.unwrap();
        }
        self.bridge.end_meetings(&self.calendar).await.unwrap();
        let key = ExternalId::stored(UID);
        let ending = state.ending(&self.calendar.organizer, &key).unwrap();
        let next = state.next_due(name).unwrap();
        ending
            .map(|ending| ending.due)
            .into_iter()
            .chain(next)
            .min()
    }

    /// The event's text, unfolded.
    pub(super) fn text(&self) -> String {
        self.page.text().unwrap().replace("\r\n ", "")
    }

    /// Whether the event shows the link of the meeting that the service has for it.
    pub(super) fn is_linked(&self) -> bool {
        let snapshot = self.world.simulator.snapshot();
        let mut held = snapshot
            .meetings
            .iter()
            .filter_map(|one| one.current.as_ref());
        let text = self.text();
        text.contains("X-MEETBRIDGE-MEETING") && held.any(|one| text.contains(&one.join_web_url))
    }

    /// The meeting that is remembered.
    pub(super) fn remembered(&self) -> Option<Meeting> {
        let state = &self.bridge.state;
        let link = state
            .links_of_event(&Uid::new(UID).unwrap())
            .unwrap()
            .pop()?;
        let record = state.meeting(&link.organizer, &link.external_id).unwrap()?;
        Some(record.meeting)
    }
}

/// A calendar of one resource: its version and text.
#[derive(Default)]
struct Page(Mutex<(u64, Option<String>)>);

impl Page {
    fn save(&self, text: &str) {
        let mut page = self.0.lock().unwrap();
        *page = (page.0 + 1, Some(text.to_owned()));
    }

    fn text(&self) -> Option<String> {
        self.0.lock().unwrap().1.clone()
    }
}

#[async_trait]
impl Calendar for Page {
    async fn read(&self, _: &Scope, known: Known) -> Result<Finding<'_>, ReadError> {
        let (version, text) = self.0.lock().unwrap().clone();
        let (id, version) = (
            ResourceId::new("one.ics"),
            Version::new(version.to_string()),
        );
        let mut unchanged = 0;
        let mut found = Vec::new();
        match text {
            Some(_) if known.get(&id) == Some(&version) => unchanged = 1,
            Some(text) => found.push(Found::Changed(Resource {
                id,
                version,
                bytes: text.into_bytes().into(),
                origins: Default::default(),
                modified: None,
            })),
            None => found.extend(known.into_keys().map(Found::Vanished)),
        }
        found.push(Found::Complete {
            unchanged,
            token: None,
        });
        Ok(futures_util::stream::iter(found).boxed())
    }

    async fn write(&self, _: &ResourceId, version: &Version, bytes: &[u8]) -> Written {
        if version.as_str() != self.0.lock().unwrap().0.to_string() {
            return Written::Changed;
        }
        self.save(std::str::from_utf8(bytes).unwrap());
        Written::Stored(Version::new(self.0.lock().unwrap().0.to_string()))
    }

    async fn changed(&self) -> Scope {
        std::future::pending().await
    }

    fn confirms_absence(&self) -> bool {
        true
    }
}
