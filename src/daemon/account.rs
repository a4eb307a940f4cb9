//! Accounts whose calendars are found out at run time: looked for until they are found, and again
//! every day.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Kept;
use super::fleet::{Berths, Shared, another};
use super::retry::{Retry, SLOWLY};
use crate::calendar::ReadError;
use crate::log::{self, Chain, Lasting};

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

    /// Has the secrets that it signs in with read anew before they are used next.
    fn reread_secrets(&self) {}
}

/// What an account has of the calendars that are wanted.
pub struct Found {
    /// Those that are there.
    pub calendars: Vec<Kept>,
    /// Why another one is not.
    pub missing: Option<ReadError>,
}

/// Watches the calendars of an account as it is described, until it is left or the daemon stops. Begins
/// when the task `before` has ended, which had the account until then.
pub(super) async fn keep(
    shared: Shared,
    mut orders: watch::Receiver<Option<Arc<dyn Account>>>,
    before: Option<JoinHandle<()>>,
) {
    if let Some(before) = before {
        let _ = before.await;
    }
    let mut berths = Berths::new(shared.clone());
    while !shared.stop.is_cancelled() {
        let Some(account) = orders.borrow_and_update().clone() else {
            break;
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            changed = orders.changed() => if changed.is_err() { break },
            () = look(shared.clone(), &*account, &mut berths) => {}
        }
        // What is described anew is found out anew; its calendars wait for that.
        berths.rest();
    }
    for name in berths.names() {
        shared.removed(&name);
        berths.leave(&name);
    }
    berths.ended().await;
}

/// Looks for the calendars of the account again and again.
async fn look(mut shared: Shared, account: &dyn Account, berths: &mut Berths) {
    let clock = shared.bridge().clock.clone();
    let trouble = Lasting::default();
    let mut retry = Retry::new();
    loop {
        let asked = clock.now();
        shared.bridges.mark_unchanged();
        let found = account.calendars().await;
        let is_whole = matches!(&found, Ok(Found { missing: None, .. }));
        let wait = match found {
            Ok(Found { calendars, missing }) => {
                follow(calendars, berths);
                retry.worked();
                match missing {
                    None => {
                        shared.bridge().has_found(account.name(), asked);
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
                // Nobody knows whether those are there that are to be watched otherwise.
                berths.leave_resting();
                fails(&trouble, account.name(), &error);
                retry.failed(error.again(), clock.now())
            }
        };
        tokio::select! {
            () = clock.sleep(wait) => {}
            // What failed may have been mended.
            () = another(&mut shared.bridges), if !is_whole => retry.worked(),
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

/// Begins to watch the calendars that are new or described anew, and lets go of those that are not there
/// any more.
fn follow(found: Vec<Kept>, berths: &mut Berths) {
    for name in berths.names() {
        if found.iter().all(|kept| kept.calendar.name != name) {
            log::event!(CALENDAR_LEFT, calendar = %name);
            berths.leave(&name);
        }
    }
    let known = berths.names();
    for kept in found {
        let name = &kept.calendar.name;
        if berths.watches(name) {
            continue;
        }
        if !known.contains(name) {
            log::event!(CALENDAR_FOUND, calendar = %name);
        }
        berths.watch(kept);
    }
}
