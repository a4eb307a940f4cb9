//! Runs the calendars: a task for each, until it is told to stop.
//!
//! [`clock`] is the real clock, [`schedule`] decides when a calendar is passed over.

pub mod clock;
pub mod schedule;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::log;
use crate::sync::{Bridge, Watched};

/// How long passes that have begun may take to finish once the daemon stops.
const GRACE: Duration = Duration::from_secs(30);

/// Runs until `stop`, then finishes what has begun.
///
/// Returns whether everything finished within the time of grace; what did not is redone by the next
/// start.
pub async fn run(
    bridge: Arc<Bridge>,
    calendars: Vec<(Watched, Duration)>,
    stop: CancellationToken,
) -> bool {
    let tasks = TaskTracker::new();
    let count = calendars.len();
    for (calendar, rescan) in calendars {
        let (bridge, stop) = (bridge.clone(), stop.clone());
        tasks.spawn(async move { schedule::watch(&bridge, &calendar, rescan, &stop).await });
    }
    tasks.close();
    log::event!(DAEMON_READY, calendars = count);
    stop.cancelled().await;
    log::event!(DAEMON_STOPPING);
    let finished = tokio::select! {
        () = tasks.wait() => true,
        () = bridge.clock.sleep(GRACE) => false,
    };
    log::event!(DAEMON_STOPPED);
    finished
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
