//! How long a read that failed is left alone.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::calendar::Again;

/// The first and the longest wait after a failure that may pass by itself.
const SOON: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// How long nothing is asked of what fails until a person acts.
pub(super) const SLOWLY: Duration = Duration::from_secs(15 * 60);

/// The waits of one thing that is tried again and again.
pub(super) struct Retry {
    next: Duration,
}

impl Retry {
    /// Nothing has failed.
    pub(super) fn new() -> Self {
        Self { next: SOON.0 }
    }

    /// It worked: the next failure is a first one.
    pub(super) fn worked(&mut self) {
        *self = Self::new();
    }

    /// How long to wait after a failure at `now`; twice as long after the next one, within bounds.
    pub(super) fn failed(&mut self, again: Again, now: DateTime<Utc>) -> Duration {
        let soon = self.next;
        self.next = (soon * 2).min(SOON.1);
        match again {
            Again::Soon => soon,
            Again::Slowly => SLOWLY,
            Again::At(time) => (time - now).to_std().unwrap_or_default().max(soon),
        }
    }
}
