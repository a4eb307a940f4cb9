//! The signals that the daemon is told by.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the daemon was told.
pub struct Signals {
    /// To stop, when what has begun is finished: SIGTERM or SIGINT.
    pub stop: CancellationToken,
    /// To stop at once: another one of these.
    pub hurry: CancellationToken,
    hangups: Signal,
}

impl Signals {
    /// Takes the signals from here on. Several SIGHUP that come close together are one.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn install() -> io::Result<Self> {
        let hangups = signal(SignalKind::hangup())?;
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        cancel_on_signals([stop.clone(), hurry.clone()])?;
        Ok(Self {
            stop,
            hurry,
            hangups,
        })
    }

    /// Waits until it is told to reload: SIGHUP. Safe to drop and call again.
    pub async fn reload(&mut self) {
        if self.hangups.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// A token that is cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn stop_on_signal() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    cancel_on_signals([stop.clone()])?;
    Ok(stop)
}

/// Cancels the tokens one after the other, each by a SIGTERM or SIGINT.
fn cancel_on_signals<const N: usize>(tokens: [CancellationToken; N]) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for token in tokens {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(())
}
