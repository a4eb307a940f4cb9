//! A clock that passes time at once and numbers without chance, for unit tests.

pub(crate) mod server;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::clock::{Clock, Random};

/// Begins at 2026-11-01 08:00 UTC; a sleep moves it on by its length and returns.
#[derive(Debug, Default)]
pub(crate) struct Timeless(Mutex<Duration>);

impl Timeless {
    /// Moves the time on.
    pub(crate) fn pass(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }

    /// The time at which this clock begins.
    pub(crate) fn start() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 1, 8, 0, 0).unwrap()
    }
}

impl Clock for Timeless {
    fn now(&self) -> DateTime<Utc> {
        Self::start() + TimeDelta::from_std(self.elapsed()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.pass(duration);
        tokio::task::yield_now().boxed()
    }
}

/// Numbers that are the same in each run.
#[derive(Debug)]
pub(crate) struct Numbers {
    next: AtomicU64,
    step: u64,
}

impl Numbers {
    /// The same number each time.
    pub(crate) fn always(number: u64) -> Self {
        Self {
            next: AtomicU64::new(number),
            step: 0,
        }
    }

    /// 0, 1, 2 and so on.
    pub(crate) fn counting() -> Self {
        Self {
            next: AtomicU64::new(0),
            step: 1,
        }
    }
}

impl Random for Numbers {
    fn next(&self) -> u64 {
        self.next.fetch_add(self.step, Ordering::Relaxed)
    }
}
