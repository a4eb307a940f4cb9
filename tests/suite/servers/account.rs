//! An account on a real server, as the client sees it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use meetbridge::calendar::caldav::connection::{Connection, ConnectionSettings};
use meetbridge::daemon::clock::{SystemClock, SystemRandom};
use meetbridge::http::{ClientOptions, Credentials, WindowStore, Windows};
use meetbridge::secret::SecretSource;
use url::Url;

use super::harness::User;

/// Forgets every window.
struct Forgetful;

impl WindowStore for Forgetful {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        Vec::new()
    }

    fn store(&self, _scope: &str, _until: DateTime<Utc>) {}
}

pub(super) fn windows() -> Arc<Windows> {
    Arc::new(Windows::new(
        Arc::new(SystemClock::new()),
        Arc::new(Forgetful),
    ))
}

/// How `user` is signed in at `url`.
pub(super) fn settings(url: &str, user: User) -> ConnectionSettings {
    ConnectionSettings {
        name: user.name.to_owned(),
        url: Url::parse(url).unwrap(),
        credentials: Credentials::Password {
            username: user.name.to_owned(),
            password: SecretSource::Command(vec!["printf".to_owned(), user.password.to_owned()]),
        },
        client: ClientOptions::default(),
        allow_http: false,
        tokens: None,
    }
}

pub(super) fn connection(url: &str, user: User) -> Connection {
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    Connection::new(settings(url, user), windows(), clock, random).unwrap()
}
