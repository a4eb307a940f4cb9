//! What a failure of the meeting service means for the rest of a pass.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::meeting::MeetingError;

/// After so many transient failures in a row, the rest of the pass is put off.
const TRANSIENT_LIMIT: u32 = 3;

/// How long an event waits whose meeting could not be got, by class of the failure.
pub(super) const RETRY_FAULT: Duration = Duration::from_secs(15 * 60);
pub(super) const RETRY_REQUEST: Duration = Duration::from_secs(24 * 3600);

/// Says to all workers of a pass that the meeting service is of no use until some time.
#[derive(Default)]
pub(super) struct Halt(Mutex<Halted>);

#[derive(Default)]
struct Halted {
    transient: u32,
    stop: Option<(MeetingError, DateTime<Utc>)>,
}

impl Halt {
    /// The failure that stopped the pass, in words.
    pub(super) fn reason(&self) -> Option<String> {
        self.lock()
            .stop
            .as_ref()
            .map(|(error, _)| error.to_string())
    }

    /// Whether the meeting service did not answer.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self.lock().stop, Some((MeetingError::Transient(_), _)))
    }

    pub(super) fn stopped(&self) -> Option<(MeetingError, DateTime<Utc>)> {
        self.lock().stop.clone()
    }

    pub(super) fn worked(&self) {
        self.lock().transient = 0;
    }

    /// Takes note of a failure; returns when the event is to be tried again.
    pub(super) fn failed(
        &self,
        error: &MeetingError,
        now: DateTime<Utc>,
        outage: Duration,
    ) -> DateTime<Utc> {
        let mut halted = self.lock();
        let until = match error {
            MeetingError::Request(_) | MeetingError::Gone => return now + RETRY_REQUEST,
            MeetingError::Transient(_) => {
                halted.transient += 1;
                now + outage
            }
            MeetingError::Throttled { until } => *until,
            MeetingError::Organizer(_)
            | MeetingError::NoOrganizer(_)
            | MeetingError::Credential(_) => now + RETRY_FAULT,
        };
        let hopeless =
            !matches!(error, MeetingError::Transient(_)) || halted.transient >= TRANSIENT_LIMIT;
        if hopeless && halted.stop.is_none() {
            halted.stop = Some((error.clone(), until));
        }
        until
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Halted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
