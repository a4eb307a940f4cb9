//! When the task of each calendar last got on: what a watchdog asks.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::model::CalendarName;

/// The last progress of each calendar's task, on the monotonic clock.
///
/// A task gets on when it is run at all: it waits for a minute at most, and nothing in a pass waits
/// without a limit. One that does not is stuck.
#[derive(Debug, Default)]
pub struct Progress {
    last: Mutex<BTreeMap<CalendarName, Duration>>,
}

impl Progress {
    /// The task of `calendar` got on at `elapsed`.
    pub fn stamp(&self, calendar: &CalendarName, elapsed: Duration) {
        let mut last = self.lock();
        match last.get_mut(calendar) {
            Some(at) => *at = elapsed,
            None => {
                last.insert(calendar.clone(), elapsed);
            }
        }
    }

    /// There is no task of `calendar` any more.
    pub fn forget(&self, calendar: &CalendarName) {
        self.lock().remove(calendar);
    }

    /// The calendars whose task has not got on for longer than `longest` at `now`, by name.
    pub fn stuck(&self, now: Duration, longest: Duration) -> Vec<CalendarName> {
        let last = self.lock();
        let stuck = last
            .iter()
            .filter(|(_, at)| now.saturating_sub(**at) > longest);
        stuck.map(|(calendar, _)| calendar.clone()).collect()
    }

    /// Runs `work` of the task of `calendar`; it gets on whenever the work does.
    pub(super) async fn through<T>(
        &self,
        calendar: &CalendarName,
        clock: &dyn Clock,
        work: impl Future<Output = T>,
    ) -> T {
        // Before the first poll, or one that never comes back would not be known of.
        self.stamp(calendar, clock.elapsed());
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            // After the poll: one that never comes back is no progress.
            self.stamp(calendar, clock.elapsed());
            polled
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CalendarName, Duration>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_task_that_does_not_get_on_is_stuck_until_it_does_or_ends() {
        let progress = Progress::default();
        let (team, alice) = (CalendarName::new("team"), CalendarName::new("alice/Work"));
        progress.stamp(&team, seconds(10));
        progress.stamp(&alice, seconds(40));
        assert!(progress.stuck(seconds(70), seconds(60)).is_empty());
        assert_eq!(
            progress.stuck(seconds(71), seconds(60)),
            std::slice::from_ref(&team)
        );
        assert_eq!(
            progress.stuck(seconds(101), seconds(60)),
            [alice.clone(), team.clone()]
        );
        progress.stamp(&team, seconds(101));
        assert_eq!(
            progress.stuck(seconds(101), seconds(60)),
            std::slice::from_ref(&alice)
        );
        progress.forget(&alice);
        assert!(progress.stuck(seconds(101), seconds(60)).is_empty());
    }
}
