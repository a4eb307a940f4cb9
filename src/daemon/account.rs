//! Accounts whose calendars are found out at run time: looked for until they are found, and again
//! every day.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::retry::{Retry, SLOWLY};
use super::{Kept, Shared, keep_watching};
use crate::calendar::ReadError;
use crate::log::{self, Chain, Lasting};
use crate::model::CalendarName;

/// How often an account is looked over for calendars that came or went.
const ANEW: Duration = Duration::from_secs(24 * 60 * 60);

/// A configured account.
#[async_trait]
pub trait Account: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// Its calendars that are to be watched.
    ///
    /// # Errors
    /// When the server does not tell, or has nothing of what is configured.
    async fn calendars(&self) -> Result<Found, ReadError>;
}

/// What an account has of the calendars that are wanted.
pub struct Found {
    /// Those that are there.
    pub calendars: Vec<Kept>,
    /// Why another one is not.
    pub missing: Option<ReadError>,
}

/// Watches the calendars of `account` until `stop`.
pub(super) async fn keep(shared: Shared, account: Arc<dyn Account>, stop: CancellationToken) {
    let clock = shared.bridge.clock.clone();
    let trouble = Lasting::default();
    let mut watching: BTreeMap<CalendarName, CancellationToken> = BTreeMap::new();
    let mut retry = Retry::new();
    loop {
        let asked = clock.now();
        let found = tokio::select! {
            () = stop.cancelled() => return,
            found = account.calendars() => found,
        };
        let wait = match found {
            Ok(Found { calendars, missing }) => {
                follow(&shared, calendars, &mut watching, &stop);
                retry.worked();
                match missing {
                    None => {
                        shared.bridge.has_found(account.name(), asked);
                        if trouble.works(&()) {
                            log::event!(ACCOUNT_RECOVERED, account = account.name());
                        }
                        ANEW
                    }
                    Some(error) => {
                        fails(&trouble, account.name(), &error);
                        SLOWLY
                    }
                }
            }
            Err(error) => {
                fails(&trouble, account.name(), &error);
                retry.failed(error.again(), clock.now())
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(wait) => {}
        }
    }
}

/// Says so where it is news.
fn fails(trouble: &Lasting<()>, account: &str, error: &ReadError) {
    let text = Chain(error).to_string();
    if trouble.fails((), text.clone()) {
        log::event!(ACCOUNT_FAILING, account = account, error = %text);
    }
}

/// Begins to watch the calendars that are new, and lets go of those that are not there any more.
fn follow(
    shared: &Shared,
    found: Vec<Kept>,
    watching: &mut BTreeMap<CalendarName, CancellationToken>,
    stop: &CancellationToken,
) {
    watching.retain(|name, its_stop| {
        let there = found.iter().any(|kept| kept.calendar.name == *name);
        if !there {
            log::event!(CALENDAR_LEFT, calendar = %name);
            shared.bridge.leaves(name);
            its_stop.cancel();
        }
        there
    });
    for kept in found {
        let name = kept.calendar.name.clone();
        if watching.contains_key(&name) {
            continue;
        }
        log::event!(CALENDAR_FOUND, calendar = %name);
        let its_stop = stop.child_token();
        shared.bridge.watches(&name);
        watching.insert(name, its_stop.clone());
        let watch = keep_watching(shared.clone(), kept, its_stop);
        shared.tasks.spawn(watch);
    }
}
