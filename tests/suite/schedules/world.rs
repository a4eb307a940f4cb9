//! The outside of a schedule: a calendar in memory, the simulator, and the wire between it and the
//! Graph client, on which the faults are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use meetbridge::calendar::*;
use meetbridge::clock::{Clock, Random};
use meetbridge::http::{Answer, Carrier, SendError, WindowStore};
use meetbridge::model::{ResourceId, Version};
use meetbridge::simulator::{Deed, Does, Fault, Match, Settings, Simulator, Times};
use meetbridge::state::State;
use tokio::sync::Notify;

use super::plan::{Kind, Plan};
use super::story::Story;
use super::time::Time;

/// How long the Graph client lets a server be silent (`[network]`'s default).
const SILENCE: Duration = Duration::from_secs(30);

/// What a request takes.
const LATENCY: Duration = Duration::from_millis(40);

/// What survives the process.
pub(super) struct World {
    pub(super) time: Time,
    pub(super) simulator: Simulator,
    plan: Plan,
    /// What stands for the keys of each event in its mirrors.
    keys: BTreeMap<String, Vec<String>>,
    inner: Mutex<Inner>,
    crash: Notify,
}

#[derive(Default)]
struct Inner {
    resources: BTreeMap<String, (u64, String)>,
    /// The last versions that people saved, as if nobody had ever linked them.
    plain: BTreeMap<String, String>,
    /// Those that were deleted: as they were, and plain.
    deleted: BTreeMap<String, (String, String)>,
    versions: u64,
    writes: BTreeMap<String, usize>,
    /// What was sent, as one line each.
    sent: Vec<String>,
    random: u64,
    /// Which events had a mirror when a person did something to it.
    meddled: Vec<(String, bool)>,
    /// The most mirrors with one key that ever lay in the mailbox.
    most_with_a_key: usize,
}

impl World {
    pub(super) fn new(story: &Story, plan: &Plan) -> Arc<Self> {
        let time = Time::default();
        let settings = Settings {
            latency: LATENCY,
            manners: story.manners.clone(),
            outlook: story
                .mirrors
                .as_ref()
                .map(|mirrors| mirrors.manners.clone())
                .unwrap_or_default(),
            ..Settings::new(Arc::new(time.clone()))
        };
        Arc::new(Self {
            time,
            simulator: Simulator::unheard(settings),
            keys: story
                .events
                .iter()
                .map(|plot| (plot.uid.clone(), story.keys(&plot.uid)))
                .collect(),
            plan: plan.clone(),
            inner: Mutex::default(),
            crash: Notify::new(),
        })
    }

    /// Returns when the process dies.
    pub(super) async fn crashed(&self) {
        self.crash.notified().await;
    }

    /// The requests sent and the resources written, so far.
    pub(super) fn effects(&self) -> (usize, usize) {
        let inner = self.inner.lock().unwrap();
        (inner.sent.len(), inner.writes.values().sum())
    }

    /// What was sent.
    pub(super) fn sent(&self) -> Vec<String> {
        self.inner.lock().unwrap().sent.clone()
    }

    /// How often the events of each resource were written.
    pub(super) fn writes(&self) -> BTreeMap<String, usize> {
        self.inner.lock().unwrap().writes.clone()
    }

    /// What stands in the calendar.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        let inner = self.inner.lock().unwrap();
        let text = |(name, (_, text)): (&String, &(u64, String))| (name.clone(), text.clone());
        inner.resources.iter().map(text).collect()
    }

    /// What people saved in it, as if nobody had ever linked any of it.
    pub(super) fn plain(&self) -> BTreeMap<String, String> {
        self.inner.lock().unwrap().plain.clone()
    }

    /// A person saves a new resource.
    pub(super) fn save(&self, name: &str, text: &str) {
        let mut inner = self.inner.lock().unwrap();
        inner.plain.insert(name.to_owned(), text.to_owned());
        inner.put(name, text.to_owned());
    }

    /// A person saves a resource anew, as it stands there but for this change.
    pub(super) fn edit(&self, name: &str, change: impl Fn(&str) -> String) {
        let mut inner = self.inner.lock().unwrap();
        let text = change(&inner.resources[name].1);
        let plain = change(&inner.plain[name]);
        inner.plain.insert(name.to_owned(), plain);
        inner.put(name, text);
    }

    pub(super) fn delete(&self, name: &str) {
        let mut inner = self.inner.lock().unwrap();
        let (_, text) = inner.resources.remove(name).unwrap();
        let plain = inner.plain[name].clone();
        inner.deleted.insert(name.to_owned(), (text, plain));
    }

    /// A person does something to the mirror of the event with this UID, if the event shows one; moves it
    /// into another calendar before that, too.
    pub(super) fn meddle(&self, resource: &str, uid: &str, does: &Does) {
        let is_linked = {
            let inner = self.inner.lock().unwrap();
            let text = inner.resources.get(resource).map_or("", |(_, text)| text);
            let event = text
                .split("BEGIN:VEVENT\r\n")
                .find(|event| event.starts_with(&format!("UID:{uid}\r\n")));
            event.is_some_and(|event| event.contains("X-MICROSOFT-SKYPETEAMSMEETINGURL:"))
        };
        let done = (is_linked || matches!(does, Does::MoveTo(_)))
            && self.keys[uid].iter().any(|key| {
                self.simulator.outlook(&Deed {
                    event: key.clone(),
                    does: does.clone(),
                })
            });
        let mut inner = self.inner.lock().unwrap();
        inner.meddled.push((uid.to_owned(), done));
    }

    /// Which events had a mirror when a person did something to it.
    pub(super) fn meddled(&self) -> Vec<(String, bool)> {
        self.inner.lock().unwrap().meddled.clone()
    }

    /// The most mirrors with one key that ever lay in the mailbox.
    pub(super) fn most_with_a_key(&self) -> usize {
        self.inner.lock().unwrap().most_with_a_key
    }

    /// The events by what stands for their keys in their mirrors.
    pub(super) fn uids(&self) -> BTreeMap<String, String> {
        let pairs = |(uid, keys): (&String, &Vec<String>)| {
            let pair = |key: &String| (key.clone(), uid.clone());
            keys.iter().map(pair).collect::<Vec<_>>()
        };
        self.keys.iter().flat_map(pairs).collect()
    }

    /// An event may have been made in Outlook.
    fn count_mirrors(&self) {
        let snapshot = self.simulator.snapshot();
        let keys = self.keys.values().flatten();
        let most = keys.map(|key| snapshot.events(key).len()).max();
        let mut inner = self.inner.lock().unwrap();
        inner.most_with_a_key = inner.most_with_a_key.max(most.unwrap_or(0));
    }

    /// A deleted resource is back: as it was, or without its links.
    pub(super) fn restore(&self, name: &str, as_it_was: bool) {
        let mut inner = self.inner.lock().unwrap();
        let (text, plain) = inner.deleted.remove(name).unwrap();
        inner.put(name, if as_it_was { text } else { plain });
    }
}

impl Inner {
    fn put(&mut self, name: &str, text: String) -> u64 {
        self.versions += 1;
        let version = self.versions;
        self.resources.insert(name.to_owned(), (version, text));
        version
    }
}

/// The calendar's port: like a directory of files.
pub(super) struct Shelf(pub(super) Arc<World>);

#[async_trait]
impl Calendar for Shelf {
    async fn read(&self, scope: &Scope, known: Known) -> Result<Finding<'_>, ReadError> {
        let inner = self.0.inner.lock().unwrap();
        let (mut found, mut unchanged) = (Vec::new(), 0);
        let ids: Vec<ResourceId> = match scope {
            Scope::Only(ids) => ids.iter().cloned().collect(),
            Scope::News(_) => return Err(ReadError::Expired),
            Scope::All => {
                let there = inner
                    .resources
                    .keys()
                    .map(|name| ResourceId::new(name.clone()));
                let gone = known
                    .keys()
                    .filter(|id| !inner.resources.contains_key(id.as_str()));
                there.chain(gone.cloned()).collect()
            }
        };
        for id in ids {
            match inner.resources.get(id.as_str()) {
                Some((version, text)) => {
                    let version = Version::new(version.to_string());
                    if *scope == Scope::All && known.get(&id) == Some(&version) {
                        unchanged += 1;
                        continue;
                    }
                    found.push(Found::Changed(Resource {
                        id,
                        version,
                        bytes: text.as_bytes().into(),
                        origins: Default::default(),
                        modified: None,
                    }));
                }
                None => found.push(Found::Vanished(id)),
            }
        }
        found.push(Found::Complete {
            unchanged,
            token: None,
        });
        Ok(futures_util::stream::iter(found).boxed())
    }

    async fn write(&self, id: &ResourceId, version: &Version, bytes: &[u8]) -> Written {
        let mut inner = self.0.inner.lock().unwrap();
        let current = inner.resources.get(id.as_str());
        if current.is_none_or(|(current, _)| current.to_string() != version.as_str()) {
            return Written::Changed;
        }
        let before = current.map_or("", |(_, text)| text).to_owned();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        for what in altered(&before, &text) {
            *inner.writes.entry(format!("{id}, {what}")).or_default() += 1;
        }
        Written::Stored(Version::new(inner.put(id.as_str(), text).to_string()))
    }

    async fn changed(&self) -> Scope {
        std::future::pending().await
    }
}

/// What a write altered: the UIDs of events; `nothing`, if that is so.
fn altered(before: &str, after: &str) -> Vec<String> {
    let events = |text: &str| -> Vec<String> {
        let events = text.split("BEGIN:VEVENT\r\n");
        events.map(str::to_owned).collect()
    };
    let (before, after) = (events(before), events(after));
    let pairs = before.iter().zip(&after).filter(|(a, b)| a != b);
    let uid = |text: &String| text.split("\r\n").next().unwrap().to_owned();
    let altered: Vec<String> = pairs.map(|(a, _)| uid(a)).collect();
    match altered.is_empty() {
        true => vec!["nothing".to_owned()],
        false => altered,
    }
}

/// The way from the Graph client to the simulator.
pub(super) struct Wire(pub(super) Arc<World>);

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

#[async_trait]
impl Carrier for Wire {
    async fn carry(&self, request: reqwest::Request, limit: usize) -> Result<Answer, SendError> {
        let world = &self.0;
        let url = request.url();
        let is_token = url.path().ends_with("/token");
        let is_creation =
            request.method() == reqwest::Method::POST && url.path().ends_with("/events");
        let ordinal = {
            let mut inner = world.inner.lock().unwrap();
            let ordinal = inner.sent.len();
            let kind = world.plan.0.get(&ordinal).map(|kind| kind.on(is_token));
            let struck = kind.map_or(String::new(), |kind| format!("  <- {kind:?}"));
            let place = url.path().rsplit('/').next().unwrap_or_default();
            let place: String = place
                .chars()
                .rev()
                .take(14)
                .collect::<Vec<_>>()
                .iter()
                .rev()
                .collect();
            inner.sent.push(format!(
                "{:>4} {:>10} s {} {place}{struck}",
                ordinal,
                world.time.elapsed().as_secs_f32(),
                request.method()
            ));
            ordinal
        };
        let kind = world.plan.0.get(&ordinal).map(|kind| kind.on(is_token));
        match kind {
            Some(Kind::CrashBefore) => {
                world.crash.notify_one();
                return std::future::pending().await;
            }
            Some(Kind::Expired) => world.simulator.revoke_access_tokens(),
            Some(kind) => {
                if let Some(effect) = kind.effect() {
                    // The next request is this one: nothing is awaited before it is struck.
                    let (on, times) = (Match::default(), Times::Once);
                    world.simulator.script(Fault { on, effect, times });
                }
            }
            None => {}
        }
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let body = request.body().and_then(|body| body.as_bytes());
        let exchange = world.simulator.exchange(
            request.method().clone(),
            &target,
            request.headers().clone(),
            body.unwrap_or_default().to_vec(),
        );
        let host = "the simulator".to_owned();
        let answered = tokio::select! {
            biased;
            answered = exchange => Some(answered.unwrap()),
            () = world.time.sleep(SILENCE) => None,
        };
        if is_creation {
            world.count_mirrors();
        }
        if kind == Some(Kind::CrashAfter) {
            world.crash.notify_one();
            return std::future::pending().await;
        }
        let Some(answered) = answered else {
            return Err(SendError::Timeout { host });
        };
        let broken = |answered| SendError::Broken {
            host,
            cause: "reset".to_owned(),
            answered,
        };
        match answered {
            None => Err(broken(false)),
            Some(a) if !a.whole && a.status.is_success() => Err(broken(true)),
            Some(a) => {
                assert!(a.body.len() <= limit);
                Ok(Answer {
                    status: a.status,
                    headers: a.headers,
                    body: a.body,
                })
            }
        }
    }
}

/// Retry-After windows, kept in the state as the daemon keeps them.
pub(super) struct Kept(pub(super) Arc<State>);

impl WindowStore for Kept {
    fn load(&self) -> Vec<(String, chrono::DateTime<chrono::Utc>)> {
        self.0.windows().unwrap()
    }

    fn store(&self, scope: &str, until: chrono::DateTime<chrono::Utc>) {
        self.0.put_window(scope, until).unwrap();
    }
}

/// Numbers that follow from how many were drawn before.
pub(super) struct Numbers(pub(super) Arc<World>);

impl Random for Numbers {
    fn next(&self) -> u64 {
        let mut inner = self.0.inner.lock().unwrap();
        inner.random += 1;
        fastrand::Rng::with_seed(inner.random).u64(..)
    }
}
