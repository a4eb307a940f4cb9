//! One account at the fake server: its clock, its secrets, its notes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use meetbridge::calendar::caldav::connection::{Connection, ConnectionSettings};
use meetbridge::calendar::caldav::{Account, AccountSettings, CalDav};
use meetbridge::calendar::*;
use meetbridge::clock::{Clock, Random};
use meetbridge::http::{ClientOptions, Credentials, WindowStore, Windows};
use meetbridge::model::ResourceId;
use meetbridge::secret::SecretSource;
use tempfile::NamedTempFile;

use super::fake::Fake;

/// A clock that a sleep moves on at once.
#[derive(Default)]
pub(super) struct Swift(Mutex<Duration>);

impl Swift {
    pub(super) fn pass(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for Swift {
    fn now(&self) -> DateTime<Utc> {
        let start = DateTime::from_timestamp(1_793_520_000, 0).unwrap(); // as the fake's
        start + TimeDelta::from_std(self.elapsed()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.pass(duration);
        tokio::task::yield_now().boxed()
    }
}

/// 0, 1, 2 and so on.
#[derive(Default)]
pub(super) struct Counting(AtomicU64);

impl Random for Counting {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Keeps nothing beyond the test.
#[derive(Default)]
pub(super) struct Memory(Mutex<HashMap<String, String>>);

impl Notes for Memory {
    fn load(&self, key: &str) -> Option<String> {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn store(&self, key: &str, text: &str) {
        self.0.lock().unwrap().insert(key.into(), text.into());
    }
}

impl WindowStore for Memory {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        Vec::new()
    }

    fn store(&self, _: &str, _: DateTime<Utc>) {}
}

/// What stands behind an account.
pub(super) struct Ground {
    pub(super) clock: Arc<Swift>,
    pub(super) random: Arc<Counting>,
    pub(super) notes: Arc<Memory>,
    pub(super) windows: Arc<Windows>,
    secrets: Mutex<Vec<NamedTempFile>>,
}

impl Ground {
    pub(super) fn new() -> Self {
        let clock = Arc::new(Swift::default());
        let notes = Arc::new(Memory::default());
        Self {
            windows: Arc::new(Windows::new(clock.clone(), notes.clone())),
            clock,
            random: Arc::default(),
            notes,
            secrets: Mutex::default(),
        }
    }

    /// A file that holds `text`.
    pub(super) fn secret(&self, text: &str) -> SecretSource {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_owned();
        self.secrets.lock().unwrap().push(file);
        SecretSource::File(path)
    }

    pub(super) fn password(&self, user: &str, password: &str) -> Credentials {
        Credentials::Password {
            username: user.into(),
            password: self.secret(password),
        }
    }

    /// The account of `user`, configured to be at `url`.
    pub(super) fn settings(&self, url: &str, credentials: Credentials) -> ConnectionSettings {
        ConnectionSettings {
            name: "account".into(),
            url: url.parse().unwrap(),
            credentials,
            client: ClientOptions::default(),
            allow_http: false,
            tokens: None,
        }
    }

    pub(super) fn connection(&self, settings: ConnectionSettings) -> Connection {
        let (clock, random) = (self.clock.clone(), self.random.clone());
        Connection::new(settings, self.windows.clone(), clock, random).unwrap()
    }

    /// Alice's, with everything that an account does.
    pub(super) fn account(&self, url: &str) -> Arc<Account> {
        let credentials = self.password("alice", "alice-secret");
        let settings = AccountSettings {
            connection: self.settings(url, credentials),
            poll: Duration::from_secs(60),
            poll_fastest: Duration::from_secs(10),
        };
        let (windows, notes) = (self.windows.clone(), self.notes.clone());
        let (clock, random) = (self.clock.clone(), self.random.clone());
        Account::new(settings, windows, notes, clock, random).unwrap()
    }

    /// Alice's, at `url`.
    pub(super) fn alice(&self, url: &str) -> Connection {
        self.connection(self.settings(url, self.password("alice", "alice-secret")))
    }
}

/// How a reading failed: its text and when it is worth another try. The text is checked to give
/// nothing away.
pub(super) fn failed(error: &ReadError) -> (String, Again) {
    let text = error.to_string();
    for secret in ["secret", "Authorization", "Basic ", "password=", "SUMMARY"] {
        assert!(!text.contains(secret), "{text}");
    }
    match error {
        ReadError::Server { again, .. } => (text, *again),
        other => panic!("{other:?}"),
    }
}

/// The requests since the last look, as `METHOD path`.
pub(super) fn lines(fake: &Fake) -> Vec<String> {
    let line = |seen: super::fake::Seen| format!("{} {} {}", seen.method, seen.path, seen.status);
    fake.take_requests().into_iter().map(line).collect()
}

/// A calendar of Alice's, and what the last passes knew of it.
pub(super) struct Shelf {
    pub(super) ground: Ground,
    pub(super) account: Arc<Account>,
    pub(super) calendar: Arc<CalDav>,
    pub(super) known: Known,
    pub(super) token: Option<SyncToken>,
}

/// What one reading found.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) changed: BTreeMap<String, Resource>,
    /// Gone, and was known.
    pub(super) vanished: BTreeSet<String>,
    /// Gone, and nobody knew it.
    pub(super) unknown: BTreeSet<String>,
    pub(super) confirmed: BTreeSet<String>,
    pub(super) unreadable: BTreeMap<String, String>,
    /// How many were unchanged, when it went to its end.
    pub(super) complete: Option<usize>,
}

impl Reading {
    pub(super) fn names(&self) -> Vec<&str> {
        self.changed.keys().map(String::as_str).collect()
    }

    /// The bytes of a resource that changed.
    pub(super) fn text(&self, name: &str) -> String {
        String::from_utf8(self.changed[name].bytes.to_vec()).unwrap()
    }
}

impl Shelf {
    /// Finds the calendar `work` of Alice; the requests of that are forgotten.
    pub(super) async fn new(fake: &Fake) -> Self {
        Self::at(fake, &fake.calendar_url("alice/work")).await
    }

    /// The same, with the account configured to be at `url`.
    pub(super) async fn at(fake: &Fake, url: &str) -> Self {
        let ground = Ground::new();
        let account = ground.account(url);
        let found = account.discover().await.unwrap();
        let work = found.chosen(&[]).unwrap();
        let calendar = account.calendar(work[0]);
        fake.take_requests();
        Self {
            ground,
            account,
            calendar,
            known: Known::new(),
            token: None,
        }
    }

    /// Reads, and remembers what a pass remembers.
    pub(super) async fn read(&mut self, scope: Scope) -> Result<Reading, ReadError> {
        let mut reading = Reading::default();
        let mut token = None;
        {
            let mut found = self.calendar.read(&scope, self.known.clone()).await?;
            while let Some(one) = found.next().await {
                assert!(reading.complete.is_none(), "{one:?} after the end");
                match one {
                    Found::Changed(resource) => {
                        let id = resource.id.as_str().to_owned();
                        let twice = reading.changed.insert(id, resource);
                        assert!(twice.is_none(), "{twice:?} twice");
                    }
                    Found::Vanished(id) => {
                        reading.vanished.insert(id.as_str().into());
                    }
                    Found::Confirmed(id) => {
                        reading.confirmed.insert(id.as_str().into());
                    }
                    Found::Unreadable(id, error) => {
                        reading
                            .unreadable
                            .insert(id.as_str().into(), error.to_string());
                    }
                    Found::Complete {
                        unchanged,
                        token: next,
                    } => {
                        reading.complete = Some(unchanged);
                        token = next;
                    }
                }
            }
        }
        for resource in reading.changed.values() {
            self.known
                .insert(resource.id.clone(), resource.version.clone());
        }
        let known = &mut self.known;
        let (vanished, unknown) = std::mem::take(&mut reading.vanished)
            .into_iter()
            .partition(|gone| known.remove(&ResourceId::new(gone.clone())).is_some());
        (reading.vanished, reading.unknown) = (vanished, unknown);
        if reading.complete.is_some() {
            self.token = token;
        }
        Ok(reading)
    }

    /// Reads everything.
    pub(super) async fn all(&mut self) -> Reading {
        self.read(Scope::All).await.unwrap()
    }

    /// Reads what changed since the last reading, or everything where that cannot be told, as a pass
    /// does it.
    pub(super) async fn news(&mut self) -> Reading {
        let scope = Scope::News(self.token.clone());
        match self.read(scope).await {
            Err(ReadError::Expired) => self.all().await,
            other => other.unwrap(),
        }
    }

    /// Reads these by name.
    pub(super) async fn only(&mut self, names: &[&str]) -> Reading {
        let ids = names.iter().map(|name| ResourceId::new(*name)).collect();
        self.read(Scope::Only(ids)).await.unwrap()
    }

    /// Writes `bytes` over the version that is known.
    pub(super) async fn write(&mut self, name: &str, bytes: &str) -> Written {
        let id = ResourceId::new(name);
        let version = self.known[&id].clone();
        let written = self.calendar.write(&id, &version, bytes.as_bytes()).await;
        if let Written::Stored(version) = &written {
            self.known.insert(id, version.clone());
        }
        written
    }
}
