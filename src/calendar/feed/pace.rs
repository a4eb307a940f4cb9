//! How often a feed is fetched. Pure.

use std::time::Duration;

use reqwest::header::{CACHE_CONTROL, HeaderMap};

use crate::clock::Clock;

/// The longest interval, whatever a feed asks for.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// When a feed is fetched next.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    poll: Duration,
    interval: Duration,
    /// When, on the monotonic clock.
    pub(super) next: Duration,
}

impl Pace {
    pub(super) fn new(poll: Duration, clock: &dyn Clock) -> Self {
        Self {
            poll,
            interval: poll,
            next: clock.elapsed() + poll,
        }
    }

    /// A fetch begins; the next is up to a tenth of the interval early, so that feeds do not march in
    /// step.
    pub(super) fn begins(&mut self, now: Duration, random: u64) {
        let tenth = u64::try_from(self.interval.as_millis() / 10).unwrap_or(u64::MAX);
        let early = Duration::from_millis(random.checked_rem(tenth.max(1)).unwrap_or_default());
        self.next = now + self.interval - early;
    }

    /// What the server and the feed ask for: it can lengthen the interval only.
    pub(super) fn asked(&mut self, hints: [Option<Duration>; 2]) {
        let longest = hints.into_iter().flatten().max().unwrap_or_default();
        let interval = self.poll.max(longest).min(LONGEST.max(self.poll));
        self.next = (self.next + interval).saturating_sub(self.interval);
        self.interval = interval;
    }
}

/// For how long an answer is good (RFC 9111, 5.2.2.1), at most a day.
pub(super) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let directives = values.filter_map(|value| value.to_str().ok());
    let mut directives = directives.flat_map(|value| value.split(','));
    directives.find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse::<u64>().ok()?;
        let is_it = name.trim().eq_ignore_ascii_case("max-age");
        is_it.then(|| Duration::from_secs(seconds).min(LONGEST))
    })
}
