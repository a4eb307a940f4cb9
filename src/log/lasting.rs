//! Failures that last: logged when they start, when they change, when they end; not per try.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Remembers which things fail, and how.
///
/// The text that is compared must not vary by itself: no times, no counters.
///
/// ```
/// use meetbridge::log::{self, Lasting};
///
/// let failing = Lasting::default();
/// if failing.fails("team", "no such directory") {
///     log::event!(CALENDAR_FAILING, calendar = "team", error = "no such directory");
/// }
/// if failing.works(&"team") {
///     log::event!(CALENDAR_RECOVERED, calendar = "team");
/// }
/// ```
#[derive(Debug)]
pub struct Lasting<K> {
    failing: Mutex<BTreeMap<K, String>>,
}

impl<K> Default for Lasting<K> {
    fn default() -> Self {
        Self {
            failing: Mutex::new(BTreeMap::new()),
        }
    }
}

impl<K: Ord> Lasting<K> {
    /// Notes a failure. Whether it is to be logged: it is new, or its text is another one.
    pub fn fails(&self, what: K, text: impl Into<String>) -> bool {
        let text = text.into();
        let mut failing = self.lock();
        if failing.get(&what) == Some(&text) {
            return false;
        }
        failing.insert(what, text);
        true
    }

    /// Notes a success. Whether it is to be logged: it ends a failure.
    pub fn works(&self, what: &K) -> bool {
        self.lock().remove(what).is_some()
    }

    /// Whether anything of this kind fails.
    pub fn any(&self, of_kind: impl FnMut(&K) -> bool) -> bool {
        self.lock().keys().any(of_kind)
    }

    /// Forgets what is not in the world any more, without a word.
    pub fn retain(&self, mut keep: impl FnMut(&K) -> bool) {
        self.lock().retain(|what, _| keep(what));
    }

    /// Notes that all works but what is to be kept; returns what has failed till then.
    pub fn keep(&self, mut keep: impl FnMut(&K) -> bool) -> Vec<K>
    where
        K: Clone,
    {
        let mut failing = self.lock();
        let over: Vec<K> = failing.keys().filter(|what| !keep(what)).cloned().collect();
        for what in &over {
            failing.remove(what);
        }
        over
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, String>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_when_it_starts_changes_and_ends() {
        let failing = Lasting::default();
        assert!(!failing.works(&"a"), "nothing had failed");
        assert!(failing.fails("a", "one"));
        assert!(!failing.fails("a", "one"), "the same again");
        assert!(failing.fails("a", "two"), "another text");
        assert!(failing.fails("b", "two"), "another thing");
        assert!(failing.works(&"a"));
        assert!(!failing.works(&"a"), "it worked before");
        assert!(!failing.fails("b", "two"), "b is untouched by a");
        failing.retain(|what| *what != "b");
        assert!(!failing.works(&"b"), "b is forgotten");
        assert!(failing.fails("a", "two"), "a new failure");
        assert_eq!(failing.keep(|what| *what != "a"), ["a"]);
        assert!(!failing.works(&"a"), "it was told");
    }
}
