//! When the next try of a failed request may go out: the waits and windows of tokens and calls.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Random};
use crate::http::Windows;
use crate::http::retry::{Delays, Policy};
use crate::meeting::MeetingError;

/// Four tries within about eight seconds, slow answers apart.
const RETRIES: Policy = Policy {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(4),
    tries: 4,
    total: Duration::from_secs(20),
};

/// How long a scope stays closed when throttling without `Retry-After` outlasts the tries.
const STILL_THROTTLED: Duration = Duration::from_secs(30);

/// Why a try failed, and what it says of the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    /// Why, in words.
    pub(super) text: String,
    /// What `Retry-After` said.
    pub(super) after: Option<Duration>,
    /// Whether it was throttling, which closes the window also without `Retry-After`.
    pub(super) throttled: bool,
}

/// The tries of one request.
pub(super) struct Pace {
    scope: String,
    windows: Arc<Windows>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    began: Duration,
    delays: Delays,
}

impl Pace {
    /// Begins the tries of a request that belongs to the Retry-After windows of `scope`.
    pub(super) fn new(
        scope: &str,
        windows: &Arc<Windows>,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Self {
        Self {
            scope: scope.to_owned(),
            windows: Arc::clone(windows),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            began: clock.elapsed(),
            delays: Delays::new(&RETRIES),
        }
    }

    /// After a failed try: closes the window where the answer asks for it, then waits for the next
    /// try.
    ///
    /// # Errors
    /// The error of the whole request, when there is no next try or it would be long in coming.
    pub(super) async fn again(&mut self, busy: Busy) -> Result<(), MeetingError> {
        let elapsed = self.clock.elapsed().saturating_sub(self.began);
        let delay = self.delays.next(elapsed, self.random.as_ref());
        match busy.after {
            Some(after) => self.windows.close(&self.scope, after),
            None if busy.throttled => {
                self.windows
                    .close(&self.scope, delay.unwrap_or(STILL_THROTTLED));
            }
            None => {}
        }
        let Some(delay) = delay else {
            return Err(match self.windows.until(&self.scope) {
                Some(until) => MeetingError::Throttled { until },
                None => MeetingError::Transient(busy.text),
            });
        };
        pass(&self.windows, &self.scope).await?;
        // Also after a window, so that the tasks which it held up do not all come back at once.
        self.clock.sleep(delay).await;
        Ok(())
    }
}

/// [`Windows::pass`] in the words of the port.
pub(super) async fn pass(windows: &Windows, scope: &str) -> Result<(), MeetingError> {
    let passed = windows.pass(scope).await;
    passed.map_err(|wait| MeetingError::Throttled { until: wait.until })
}

/// A random UUID (RFC 9562, version 4), to name one try of a request.
pub(super) fn try_id(random: &dyn Random) -> String {
    let bytes = (u128::from(random.next()) << 64 | u128::from(random.next())).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}
