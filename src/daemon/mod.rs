//! Runs the calendars: a task for each, until it is told to stop.
//!
//! [`clock`] is the real clock, [`account`] finds out the calendars of an account, [`schedule`]
//! decides when a calendar is passed over, [`desk`] and [`control`] let commands reach the calendars
//! of a running daemon, [`progress`] tells which of them are stuck.

pub mod account;
pub mod clock;
pub mod control;
pub mod desk;
pub mod progress;
mod retry;
pub mod schedule;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::log;
use crate::sync::{Bridge, Watched};
pub use account::Account;
pub use desk::Desk;
pub use progress::Progress;

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

/// What every task of the daemon shares.
#[derive(Clone)]
struct Shared {
    bridge: Arc<Bridge>,
    desk: Arc<Desk>,
    tasks: TaskTracker,
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
    let tasks = TaskTracker::new();
    let count = sources.len();
    let shared = Shared {
        bridge,
        desk,
        tasks: tasks.clone(),
    };
    for source in sources {
        let (shared, stop) = (shared.clone(), stop.clone());
        match source {
            Source::Calendar(kept) => tasks.spawn(keep_watching(shared, kept, stop)),
            Source::Account(account) => tasks.spawn(account::keep(shared, account, stop)),
        };
    }
    let bridge = shared.bridge;
    log::event!(DAEMON_READY, calendars = count);
    stop.cancelled().await;
    tasks.close();
    log::event!(DAEMON_STOPPING);
    let finished = tokio::select! {
        () = tasks.wait() => true,
        () = bridge.clock.sleep(GRACE) => false,
    };
    log::event!(DAEMON_STOPPED);
    finished
}

/// Watches one calendar. A task that ends by an error inside meetbridge is begun anew after a while:
/// the fault stays with its calendar, and the calendar is not forgotten.
///
/// It takes errands from the moment of the call.
fn keep_watching(shared: Shared, kept: Kept, stop: CancellationToken) -> impl Future<Output = ()> {
    let Shared { bridge, desk, .. } = shared;
    let Kept { calendar, rescan } = kept;
    let mut errands = desk.open(&calendar);
    async move {
        loop {
            let (its_bridge, its_calendar, its_stop) =
                (bridge.clone(), calendar.clone(), stop.clone());
            let its_progress = desk.clone();
            let task = tokio::spawn(async move {
                let (name, clock) = (&its_calendar.name, &*its_bridge.clock);
                let watch =
                    schedule::watch(&its_bridge, &its_calendar, rescan, &mut errands, &its_stop);
                its_progress.progress().through(name, clock, watch).await;
            });
            if task.await.is_ok() {
                desk.progress().forget(&calendar.name);
                return;
            }
            let error = "an error inside meetbridge; please report it";
            log::event!(CALENDAR_FAILING, calendar = %calendar.name, error = error);
            tokio::select! {
                () = stop.cancelled() => return,
                () = bridge.clock.sleep(ANEW) => errands = desk.open(&calendar),
            }
        }
    }
}

/// A token that is cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}
