//! Time and randomness as arguments.
//!
//! Nothing but [`crate::daemon::clock`] reads the machine's clock; everything that needs the time or
//! a random number is given one of these. A simulation gives its own and passes the time itself.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

/// The time, and the passing of it.
pub trait Clock: Send + Sync {
    /// The wall-clock time, for data: what an event's occurrence is compared with.
    fn now(&self) -> DateTime<Utc>;

    /// Time since an arbitrary start, never set back, for measuring and scheduling.
    fn elapsed(&self) -> Duration;

    /// Returns after `duration` has passed on the monotonic clock.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Random numbers for jitter and request ids; never for secrets.
pub trait Random: Send + Sync {
    /// A number, uniformly distributed over all 64-bit values.
    fn next(&self) -> u64;
}
