//! What changed and was not delivered yet. Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file is delivered when nothing happened to it for this long.
const QUIET: Duration = Duration::from_millis(50);

/// "Everything" is delivered at the latest this long after the first reason for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// With more files than this, everything is delivered instead.
const FILES: usize = 10_000;

/// Changes that wait until they are due. All times count from one arbitrary start.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// When the last event of each file was.
    files: BTreeMap<PathBuf, Duration>,
    /// When everything is due, and the first reason for it was.
    all: Option<All>,
}

#[derive(Clone, Copy, Debug)]
struct All {
    first: Duration,
    due: Duration,
}

/// What is to be delivered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Everything may have changed.
    All,
    /// These files, relative to the directory.
    Files(BTreeSet<PathBuf>),
}

impl Pending {
    /// Something happened to one file.
    pub(super) fn file(&mut self, path: &Path, now: Duration) {
        if let Some(last) = self.files.get_mut(path) {
            *last = now;
        } else if self.files.len() < FILES {
            self.files.insert(path.to_owned(), now);
        } else {
            self.files.clear();
            self.everything(now);
        }
    }

    /// Something happened after which everything must be looked at.
    pub(super) fn everything(&mut self, now: Duration) {
        let first = self.all.map_or(now, |all| all.first);
        let due = (now + QUIET).min(first + PATIENCE);
        self.all = Some(All { first, due });
    }

    /// Everything must be looked at, without waiting.
    pub(super) fn everything_at_once(&mut self, now: Duration) {
        self.all = Some(All {
            first: now,
            due: now,
        });
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.all.is_none()
    }

    /// When [`Self::take`] has something next.
    pub(super) fn next(&self) -> Option<Duration> {
        let file = self.files.values().min().map(|last| *last + QUIET);
        let all = self.all.map(|all| all.due);
        [file, all].into_iter().flatten().min()
    }

    /// Takes out what is due. Files stay when everything is delivered: each is looked at for itself
    /// afterwards, for a listing trusts the version it knows.
    pub(super) fn take(&mut self, now: Duration) -> Option<Due> {
        if self.all.is_some_and(|all| all.due <= now) {
            self.all = None;
            return Some(Due::All);
        }
        let mut due = BTreeSet::new();
        self.files.retain(|path, last| {
            let wait = *last + QUIET > now;
            if !wait {
                due.insert(path.clone());
            }
            wait
        });
        (!due.is_empty()).then_some(Due::Files(due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn files<const N: usize>(names: [&str; N]) -> Option<Due> {
        Some(Due::Files(names.map(PathBuf::from).into()))
    }

    #[test]
    fn a_burst_is_delivered_once_and_50_ms_after_its_last_event() {
        let mut pending = Pending::default();
        for at in [0, 20, 40, 60] {
            pending.file(Path::new("a"), ms(at));
        }
        pending.file(Path::new("b"), ms(70));
        assert_eq!(pending.next(), Some(ms(110)));
        assert_eq!(pending.take(ms(109)), None);
        assert_eq!(pending.take(ms(110)), files(["a"]));
        assert_eq!(pending.take(ms(200)), files(["b"]));
        assert_eq!((pending.take(ms(900)), pending.next()), (None, None));
    }

    #[test]
    fn a_busy_file_does_not_hold_up_its_neighbours() {
        let mut pending = Pending::default();
        pending.file(Path::new("quiet"), ms(0));
        for at in (0..200).step_by(10) {
            pending.file(Path::new("busy"), ms(at));
        }
        assert_eq!(pending.take(ms(200)), files(["quiet"]));
    }

    #[test]
    fn everything_waits_for_quiet_but_not_for_ever() {
        let mut pending = Pending::default();
        pending.everything(ms(0));
        assert_eq!(pending.next(), Some(ms(50)));
        for at in (0..=2_000).step_by(40) {
            pending.everything(ms(at));
        }
        assert_eq!(pending.next(), Some(ms(1_000)));
        assert_eq!(pending.take(ms(1_000)), Some(Due::All));
        pending.everything_at_once(ms(3_000));
        assert_eq!(pending.take(ms(3_000)), Some(Due::All));
    }

    #[test]
    fn a_reported_file_is_delivered_by_name_even_after_everything() {
        let mut pending = Pending::default();
        pending.file(Path::new("a"), ms(0));
        pending.everything(ms(0));
        assert_eq!(pending.take(ms(60)), Some(Due::All));
        assert_eq!(pending.take(ms(60)), files(["a"]));
    }

    #[test]
    fn too_many_files_become_everything() {
        let mut pending = Pending::default();
        for n in 0..=FILES {
            pending.file(Path::new(&n.to_string()), ms(0));
        }
        assert_eq!(pending.take(ms(50)), Some(Due::All));
        assert_eq!(pending.take(ms(50)), None);
    }
}
