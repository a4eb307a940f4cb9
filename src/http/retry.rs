//! How long to wait between the tries of one call, and when to give up. Pure.
//!
//! The only file that names the crate `backoff`: it gives the sequence of intervals. Time and
//! randomness are ours, so that a simulation passes the one and repeats the other.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

use crate::clock::Random;

/// The bounds of one call's tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The longest wait after the first failure; each later one is twice as long.
    pub first: Duration,
    /// No wait is longer than this.
    pub longest: Duration,
    /// How often the call is tried in all, the first time included; at least 1.
    pub tries: u32,
    /// No further try begins later than this after the call began.
    pub total: Duration,
}

/// The waits of one call that goes on failing.
pub struct Delays {
    intervals: ExponentialBackoff,
    retries_left: u32,
    total: Duration,
}

impl Delays {
    /// Begins the sequence that `policy` describes.
    pub fn new(policy: &Policy) -> Self {
        Self {
            intervals: ExponentialBackoffBuilder::new()
                .with_initial_interval(policy.first)
                .with_max_interval(policy.longest)
                .with_multiplier(2.0)
                .with_randomization_factor(0.0)
                .with_max_elapsed_time(None)
                .build(),
            retries_left: policy.tries.saturating_sub(1),
            total: policy.total,
        }
    }

    /// How long to wait before the next try, `elapsed` after the call began; `None` to give up.
    ///
    /// The wait lies between half the interval and the interval, in whole milliseconds, so that
    /// tasks that failed together do not come back together.
    pub fn next(&mut self, elapsed: Duration, random: &dyn Random) -> Option<Duration> {
        self.retries_left = self.retries_left.checked_sub(1)?;
        let interval = self.intervals.next_backoff()?;
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let half = millis / 2;
        let wait = Duration::from_millis(millis - half + random.next() % (half + 1));
        (elapsed.saturating_add(wait) <= self.total).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::Numbers;

    const POLICY: Policy = Policy {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(3),
        tries: 5,
        total: Duration::from_secs(60),
    };

    #[test]
    fn waits_double_up_to_the_longest_and_end_with_the_tries() {
        for (random, expected) in [
            (0, [500, 1000, 1500, 1500]),
            (500, [1000, 1500, 2000, 2000]),
        ] {
            let random = Numbers::always(random);
            let mut delays = Delays::new(&POLICY);
            let waits: Vec<_> =
                std::iter::from_fn(|| delays.next(Duration::ZERO, &random)).collect();
            assert_eq!(waits, expected.map(Duration::from_millis));
        }
    }

    #[test]
    fn a_wait_never_exceeds_its_interval() {
        let random = Numbers::counting();
        for _ in 0..2000 {
            let mut delays = Delays::new(&POLICY);
            for longest in [1000, 2000, 3000, 3000] {
                let wait = delays.next(Duration::ZERO, &random).unwrap().as_millis();
                assert!((longest / 2..=longest).contains(&wait), "{wait}");
            }
        }
    }

    #[test]
    fn no_try_begins_after_the_total() {
        let random = Numbers::always(0);
        assert_eq!(
            Delays::new(&POLICY).next(Duration::from_millis(59_600), &random),
            None
        );
        assert!(
            Delays::new(&POLICY)
                .next(Duration::from_secs(59), &random)
                .is_some()
        );
        let once = Policy { tries: 1, ..POLICY };
        assert_eq!(Delays::new(&once).next(Duration::ZERO, &random), None);
    }
}
