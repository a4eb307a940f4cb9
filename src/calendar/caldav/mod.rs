//! Calendars on CalDAV servers (RFC 4791, 6578, 6638).
//!
//! - [`connection`]: requests of one account: signing in, redirects, Retry-After, faults in words.
//! - [`xml`]: requests and multistatus answers as XML.
//! - [`discover`]: from a URL to the account's calendars.
//! - `list`: what changed, and its bytes; `report`: what the server says of its members; `fetch`:
//!   their bytes, in chunks that the server takes.
//! - `write`: one conditional PUT; `reason`: why it was refused, in words.
//! - [`profile`]: what is learned of a server.
//! - [`poll`]: when an account is looked at.
//! - `site`: one collection; `href`, `version`, `token`: the texts that it is told apart by.

pub mod connection;
pub mod discover;
mod fetch;
mod href;
mod list;
pub mod poll;
pub mod profile;
mod reason;
mod report;
mod site;
mod token;
mod version;
mod write;
pub mod xml;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

use self::connection::{Connection, ConnectionSettings};
use self::discover::{Collection, Discovery};
use self::poll::{Home, Pace, Told};
use self::profile::{Learned, Profile};
use self::site::Site;
use crate::calendar::{Attendees, Calendar, Finding, Known, Notes, ReadError, Scope, Written};
use crate::clock::{Clock, Random};
use crate::http::{ClientError, Windows};
use crate::model::{ResourceId, Version};

/// What an account needs.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// How it is reached and signed in to.
    pub connection: ConnectionSettings,
    /// How long at most a change goes unnoticed.
    pub poll: Duration,
    /// How soon it is looked again while changes come; at most `poll`.
    pub poll_fastest: Duration,
}

/// An account on a CalDAV server: one connection pool, one profile, one look for all its calendars.
pub struct Account {
    settings: AccountSettings,
    connection: Arc<Connection>,
    profile: Arc<Learned>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// The home sets in which calendars are watched, by their keys.
    homes: Mutex<HashMap<String, Arc<Home>>>,
}

impl Account {
    /// Sets an account up; sends nothing.
    ///
    /// # Errors
    /// When its CA file, its client certificate or the proxy cannot be used.
    pub fn new(
        settings: AccountSettings,
        windows: Arc<Windows>,
        notes: Arc<dyn Notes>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Arc<Self>, ClientError> {
        let connection = Connection::new(
            settings.connection.clone(),
            windows,
            Arc::clone(&clock),
            Arc::clone(&random),
        )?;
        let profile = Learned::new(&settings.connection.name, notes);
        Ok(Arc::new(Self {
            settings,
            connection: Arc::new(connection),
            profile: Arc::new(profile),
            clock,
            random,
            homes: Mutex::default(),
        }))
    }

    /// Has the secrets that it signs in with read anew before they are used next.
    pub fn reread_secrets(&self) {
        self.connection.reread_secrets();
    }

    /// Finds out what the account offers.
    ///
    /// # Errors
    /// When the server cannot be reached, does not let the account in, or holds no calendars at the
    /// configured address.
    pub async fn discover(&self) -> Result<Discovery, ReadError> {
        let found = discover::discover(&self.connection, &self.settings.connection.url).await?;
        self.profile
            .learn(|profile| profile.discovered(&found.server, found.schedules));
        Ok(found)
    }

    /// One of the account's calendars, to be read, written and watched.
    pub fn calendar(self: &Arc<Self>, collection: &Collection) -> Arc<CalDav> {
        let name = collection.name_in(&self.settings.connection.name);
        let mut site = Site::new(
            Arc::clone(&self.connection),
            Arc::clone(&self.profile),
            Arc::clone(&self.clock),
            format!("{name} at {}", self.connection.host()),
            &collection.url,
        );
        site.sync_collection = collection.sync_collection;
        site.multiget = collection.multiget;
        site.max_resource_size = collection.max_resource_size;
        let key = href::key(&collection.url);
        let home = collection.home.as_ref().map(|home| self.home(home, &key));
        Arc::new(CalDav {
            site: Arc::new(site),
            pace: Arc::new(Mutex::new(self.pace())),
            key,
            home,
            told: Mutex::new(0),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
        })
    }

    /// What was learned of the server, for `status`.
    pub fn profile(&self) -> Profile {
        self.profile.get()
    }

    fn home(&self, url: &Url, calendar: &str) -> Arc<Home> {
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        let home = homes.entry(href::key(url)).or_insert_with(|| {
            Arc::new(Home::new(
                url.clone(),
                Arc::clone(&self.connection),
                self.pace(),
                Arc::clone(&self.clock),
                Arc::clone(&self.random),
            ))
        });
        home.join(calendar);
        Arc::clone(home)
    }

    fn pace(&self) -> Pace {
        Pace::new(
            self.settings.poll,
            self.settings.poll_fastest,
            self.clock.elapsed(),
            self.random.next(),
        )
    }
}

/// One calendar on a CalDAV server.
///
/// - **Identifier**: the href's path below the collection, percent-encoded in one form.
/// - **Version**: the ETag with a digest of the bytes.
pub struct CalDav {
    site: Arc<Site>,
    /// When it looks for itself, where no home set tells what changed.
    pace: Arc<Mutex<Pace>>,
    /// Its place in the home set.
    key: String,
    home: Option<Arc<Home>>,
    /// Counts what the home set had to tell and told.
    told: Mutex<u64>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl CalDav {
    /// Waits for its own next look.
    async fn alone(&self) {
        loop {
            let now = self.clock.elapsed();
            let wait = {
                let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
                let wait = pace.due().saturating_sub(now);
                if wait.is_zero() {
                    // What this look finds makes the next one sooner, see `noted`.
                    pace.begins(now, self.random.next());
                    return;
                }
                wait
            };
            self.clock.sleep(wait).await;
        }
    }

    /// Lets the next look come as this one ended.
    fn noted(&self) -> impl Fn(list::Ended) + Send + Sync + 'static {
        let (pace, clock) = (Arc::clone(&self.pace), Arc::clone(&self.clock));
        let random = Arc::clone(&self.random);
        move |ended| {
            let (now, random) = (clock.elapsed(), random.next());
            let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
            match ended {
                list::Ended::Quiet => pace.answered(),
                list::Ended::Changes => pace.changed(now, random),
                list::Ended::Failed(again) => poll::rest(&mut pace, again, &*clock, now, random),
            }
        }
    }
}

#[async_trait]
impl Calendar for CalDav {
    async fn read(&self, scope: &Scope, known: Known) -> Result<Finding<'_>, ReadError> {
        let noted = self.noted();
        match list::read(Arc::clone(&self.site), scope, known, Box::new(noted)).await {
            Err(ReadError::Server { what, hint, again }) => {
                self.noted()(list::Ended::Failed(again));
                Err(ReadError::Server { what, hint, again })
            }
            other => other,
        }
    }

    async fn write(&self, id: &ResourceId, version: &Version, bytes: &[u8]) -> Written {
        write::write(&self.site, id, version, bytes).await
    }

    async fn changed(&self) -> Scope {
        if let Some(home) = self.home.as_ref().filter(|home| home.is_shared()) {
            match home.wait(&self.key, &self.told).await {
                Told::News => return Scope::News(None),
                Told::Alone => {}
            }
        }
        self.alone().await;
        Scope::News(None)
    }

    fn next_look(&self) -> Option<Duration> {
        let shared = self.home.as_ref().and_then(|home| home.next_look());
        let own = || {
            self.pace
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .due()
        };
        Some(shared.unwrap_or_else(own))
    }

    fn confirms_absence(&self) -> bool {
        true
    }

    fn may_alter(&self) -> bool {
        true
    }

    fn became(&self, written: &Version, read: &Version) -> bool {
        version::became(written, read)
    }

    fn attendees(&self) -> Attendees {
        self.site.profile.ask(Profile::attendees)
    }
}
