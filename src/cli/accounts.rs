//! A CalDAV account of the configuration → its calendars.

use std::sync::Arc;

use async_trait::async_trait;

use super::assemble::watched;
use crate::calendar::caldav::connection::ConnectionSettings;
use crate::calendar::caldav::discover::{Collection, Discovery};
use crate::calendar::caldav::{self, AccountSettings};
use crate::calendar::{Notes, ReadError};
use crate::clock::{Clock, Random};
use crate::config::{self, Config};
use crate::daemon::account::Found;
use crate::daemon::{self, Kept};
use crate::http::client::Identity;
use crate::http::{ClientError, ClientOptions, Windows};

/// What all accounts share.
pub(super) struct Shared {
    pub(super) network: ClientOptions,
    pub(super) windows: Arc<Windows>,
    pub(super) notes: Arc<dyn Notes>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
}

/// An account, and what its table says of the calendars in it.
pub(super) struct Account {
    account: Arc<caldav::Account>,
    table: config::Calendar,
    collections: Vec<String>,
}

impl Account {
    /// The account of a `[[calendar.caldav]]` table. Sends nothing.
    ///
    /// # Errors
    /// When a certificate it names cannot be used.
    pub(super) fn new(
        config: &Config,
        table: &config::Calendar,
        server: &config::CalDav,
        shared: &Shared,
    ) -> Result<Self, ClientError> {
        let certificate = server.certificate_file.clone();
        let identity = certificate.map(|certificate_file| Identity {
            certificate_file,
            key_file: server.key_file.clone(),
        });
        let ca_file = server.ca_file.clone().or(shared.network.ca_file.clone());
        let settings = AccountSettings {
            connection: ConnectionSettings {
                name: table.name.to_string(),
                url: server.url.clone(),
                credentials: server.credentials.clone(),
                client: ClientOptions {
                    ca_file,
                    identity,
                    ..shared.network.clone()
                },
                allow_http: config.network.allow_http,
                tokens: Some(config.state_directory.join(config::TOKENS)),
            },
            poll: server.poll,
            poll_fastest: server.poll_fastest,
        };
        let account = caldav::Account::new(
            settings,
            shared.windows.clone(),
            shared.notes.clone(),
            shared.clock.clone(),
            shared.random.clone(),
        )?;
        Ok(Self {
            account,
            table: table.clone(),
            collections: server.collections.clone(),
        })
    }

    /// The calendars that are wanted, as the server describes them, and why others are not there.
    ///
    /// # Errors
    /// When nothing can be found out.
    pub(super) async fn look(&self) -> Result<(Vec<Collection>, Vec<ReadError>), ReadError> {
        let discovery = self.account.discover().await?;
        let (chosen, missing) = self.choose(&discovery);
        Ok((chosen.into_iter().cloned().collect(), missing))
    }

    /// The calendars that are wanted, and why others are not there; the rest goes on.
    fn choose<'d>(&self, discovery: &'d Discovery) -> (Vec<&'d Collection>, Vec<ReadError>) {
        if self.collections.is_empty() {
            return match discovery.chosen(&[]) {
                Ok(chosen) => (chosen, Vec::new()),
                Err(error) => (Vec::new(), vec![error]),
            };
        }
        let (mut chosen, mut missing) = (Vec::<&Collection>::new(), Vec::new());
        for name in &self.collections {
            match discovery.chosen(std::slice::from_ref(name)) {
                Ok(found) => {
                    let new = |one: &&Collection| chosen.iter().all(|c| c.url != one.url);
                    let found: Vec<_> = found.into_iter().filter(new).collect();
                    chosen.extend(found);
                }
                Err(error) => missing.push(error),
            }
        }
        (chosen, missing)
    }

    /// A collection as a calendar that is watched.
    fn kept(&self, collection: &Collection) -> Kept {
        let name = collection.name_in(self.table.name.as_str());
        let port = self.account.calendar(collection);
        let mut calendar = watched(&self.table, name, port);
        if let Some(zone) = collection.time_zone {
            calendar.zone = zone;
        }
        if let Some(own) = &mut calendar.rules.addresses {
            own.extend(collection.addresses.iter().cloned());
        }
        Kept {
            calendar: Arc::new(calendar),
            rescan: self.table.rescan,
        }
    }
}

#[async_trait]
impl daemon::Account for Account {
    fn name(&self) -> &str {
        self.table.name.as_str()
    }

    async fn calendars(&self) -> Result<Found, ReadError> {
        let discovery = self.account.discover().await?;
        let (chosen, missing) = self.choose(&discovery);
        match missing.into_iter().next() {
            Some(missing) if chosen.is_empty() => Err(missing),
            missing => Ok(Found {
                calendars: chosen.into_iter().map(|one| self.kept(one)).collect(),
                missing,
            }),
        }
    }

    fn reread_secrets(&self) {
        self.account.reread_secrets();
    }
}
