//! Whoever starts meetbridge has perhaps mended what failed: nothing that failed waits out its time.

use super::{Bridge, Watched};
use crate::state::StateError;

/// The outcomes that a person or the passing of a fault may have mended.
const FAILED: [&str; 5] = [
    "meeting-refused",
    "meeting-dead",
    "waiting-for-graph",
    "write-refused",
    "write-failed",
];

/// Those of them that only a person mends; of the others, time may be enough.
const REFUSED: [&str; 3] = ["meeting-refused", "meeting-dead", "write-refused"];

/// Whether events with this outcome fail until a person acts.
pub fn needs_person(outcome: &str) -> bool {
    REFUSED.contains(&outcome)
}

/// Whether events with this outcome have failed, and are tried again.
pub fn is_failure(outcome: &str) -> bool {
    FAILED.contains(&outcome)
}

impl Bridge {
    /// Makes every resource with a failure due at once. A Retry-After window stays closed all the
    /// same: that is the network's to keep.
    ///
    /// # Errors
    /// [`StateError`]; then everything waits as before.
    pub fn retry_failed(&self, calendar: &Watched) -> Result<(), StateError> {
        let now = self.clock.now();
        let mut failed = self.state.resources(&calendar.name)?;
        failed.retain(|r| {
            r.due.is_some_and(|due| now < due) && r.outcome.iter().any(|(name, _)| is_failure(name))
        });
        failed.iter_mut().for_each(|r| r.due = Some(now));
        self.state.put_resources(&calendar.name, &failed)
    }
}
