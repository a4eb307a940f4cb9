//! Accounts whose calendars are found out at run time: looked for until they are found, and again
//! every day.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{Kept, Shared, keep_watching};
use crate::calendar::{Again, ReadError};
use crate::log::{self, Chain, Lasting};
use crate::model::CalendarName;

/// The first and the longest wait after a discovery that failed.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// How long a discovery waits that fails until a person acts.
const SLOWLY: Duration = Duration::from_secs(15 * 60);

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
    let mut retry = RETRY.0;
    loop {
        let found = tokio::select! {
            () = stop.cancelled() => return,
            found = account.calendars() => found,
        };
        let wait = match found {
            Ok(Found { calendars, missing }) => {
                follow(&shared, calendars, &mut watching, &stop);
                retry = RETRY.0;
                match missing {
                    None => {
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
                let wait = wait_after(&error, clock.now(), retry);
                retry = (retry * 2).min(RETRY.1);
                wait
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

/// How long nothing is asked after `error`, where `retry` is the turn of a failure that may pass.
fn wait_after(error: &ReadError, now: DateTime<Utc>, retry: Duration) -> Duration {
    match error.again() {
        Again::Soon => retry,
        Again::Slowly => SLOWLY,
        Again::At(time) => (time - now).to_std().unwrap_or_default().max(retry),
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
        watching.insert(name, its_stop.clone());
        let watch = keep_watching(shared.clone(), kept, its_stop);
        shared.tasks.spawn(watch);
    }
}
