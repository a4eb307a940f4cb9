//! Runs the calendars: a task for each, until it is told to stop.
//!
//! [`Fleet`] is what is watched, [`clock`] is the real clock, [`account`] finds out the calendars of an account, [`schedule`]
//! decides when a calendar is passed over, [`desk`] and [`control`] let commands reach the calendars
//! of a running daemon, [`progress`] tells which of them are stuck.

pub mod account;
pub mod clock;
pub mod control;
pub mod desk;
mod fleet;
pub mod progress;
mod retry;
pub mod schedule;
mod signals;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::log;
use crate::sync::{Bridge, Watched};
pub use account::Account;
pub use desk::Desk;
pub use fleet::Fleet;
pub use progress::Progress;
pub use signals::{Signals, stop_on_signal};

/// How long passes that have begun may take to finish once the daemon stops.
const GRACE: Duration = Duration::from_secs(30);

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
    let mut fleet = Fleet::new(bridge, desk, stop.clone());
    let count = sources.len();
    sources.into_iter().for_each(|source| fleet.set(source));
    log::event!(DAEMON_READY, calendars = count);
    stop.cancelled().await;
    fleet.finish(&CancellationToken::new()).await
}
