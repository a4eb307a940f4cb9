//! One account at the fake server: its clock, its secrets, its notes.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use meetbridge::calendar::caldav::connection::{Connection, ConnectionSettings};
use meetbridge::calendar::{Again, Notes, ReadError};
use meetbridge::clock::{Clock, Random};
use meetbridge::http::{ClientOptions, Credentials, WindowStore, Windows};
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
