//! Runs the calendars: a task for each, until it is told to stop.
//!
//! [`Fleet`] is what is watched, [`clock`] is the real clock, [`account`] finds out the calendars of an account, [`schedule`]
//! decides when a calendar is passed over, [`desk`] and [`control`] let commands reach the calendars
//! of a running daemon, [`progress`] tells which of them are stuck, [`notify`] tells systemd of it all,
//! [`upkeep`] keeps the state small.

pub mod account;
pub mod clock;
pub mod control;
pub mod desk;
mod fleet;
pub mod notify;
pub mod progress;
mod retry;
pub mod schedule;
mod signals;
#[cfg(test)]
mod testing;
pub mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::log;
use crate::sync::{Bridge, Watched};
pub use account::Account;
pub use desk::Desk;
pub use fleet::Fleet;
pub use progress::Progress;
pub use signals::{Signals, stop_on_signal};

/// How long passes that have begun may take to finish once the daemon stops.
const GRACE: Duration = Duration::from_secs(30);

/// How long the beginning of all watches may take before the daemon is at work all the same.
const BEGIN: Duration = Duration::from_secs(10);

/// How long a calendar rests whose task ended by an error inside meetbridge.
const ANEW: Duration = Duration::from_secs(60);

/// A calendar that is watched, and how often all of it is listed.
#[derive(Clone)]
pub struct Kept {
    /// The calendar.
    pub calendar: Arc<Watched>,
    /// How often it is listed, whatever it told of changes.
    pub rescan: Duration,
}

/// What the daemon keeps watching.
pub enum Source {
    /// A calendar that the configuration names.
    Calendar(Kept),
    /// An account whose calendars are found out.
    Account(Arc<dyn Account>),
}

/// Runs until `stop`, then finishes what has begun. Meanwhile, the calendars take errands from `desk`.
///
/// Returns whether everything finished within the time of grace; what did not is redone by the next
/// start.
pub async fn run(
    bridge: Arc<Bridge>,
    sources: Vec<Source>,
    desk: Arc<Desk>,
    stop: CancellationToken,
) -> bool {
    let begun = begin(&sources, desk.clone(), bridge.clock.clone());
    let mut fleet = Fleet::new(bridge, desk, stop.clone());
    sources.into_iter().for_each(|source| fleet.set(source));
    tokio::select! {
        () = stop.cancelled() => {}
        () = begun => stop.cancelled().await,
    }
    fleet.finish(&CancellationToken::new()).await
}

/// Waits until every calendar that is named notices changes, and then tells the log and `desk` that the
/// daemon is at work. One whose disk does not answer keeps nobody waiting for long.
pub fn begin(
    sources: &[Source],
    desk: Arc<Desk>,
    clock: Arc<dyn Clock>,
) -> impl Future<Output = ()> + Send + use<> {
    let count = sources.len();
    let named = sources.iter().filter_map(|source| match source {
        Source::Calendar(kept) => Some(kept.calendar.clone()),
        Source::Account(_) => None,
    });
    let all = join_all(named.map(|calendar| async move { calendar.port.begin().await }));
    async move {
        tokio::select! {
            _ = all => {}
            () = clock.sleep(BEGIN) => {}
        }
        log::event!(DAEMON_READY, calendars = count);
        desk.has_begun();
    }
}
