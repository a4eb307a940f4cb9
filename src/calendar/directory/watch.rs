//! Telling what changed, as it happens: inotify through `notify`, debounced; polling where it fails.
//!
//! Each directory is watched by itself, so that links are not followed and hidden directories cost
//! nothing. The handler runs on notify's own thread and only notes what happened; [`Watch::changed`]
//! does the rest: sets up what is not watched yet *before* it says that everything is to be looked at,
//! so that no file can slip in between.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, INotifyWatcher, RecursiveMode, Watcher as _};

use super::debounce::{Due, Pending};
use super::file::{self, Identity};
use super::{Place, name};
use crate::calendar::Scope;
use crate::clock::Clock;
use crate::model::Version;

/// How often everything is looked at where inotify does not tell.
const POLL: Duration = Duration::from_secs(30);

/// How often a directory that is not there is looked for.
const RETRY: Duration = Duration::from_secs(5);

/// With more new directories than this, all of them are gone through.
const FRESH: usize = 1_000;

/// How many of our own writes are remembered.
const WRITTEN: usize = 4_096;

/// Watches one calendar.
pub(super) struct Watch {
    shared: Arc<Shared>,
    /// Held while the watch is being set up, also when the caller has gone meanwhile.
    watcher: Arc<tokio::sync::Mutex<Option<INotifyWatcher>>>,
}

/// What notify's thread and the callers share.
struct Shared {
    place: Arc<Place>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    written: Arc<WrittenByUs>,
    /// Said when there is something for [`Watch::changed`] to look at.
    wake: tokio::sync::Notify,
}

/// Times are those of [`Clock::elapsed`].
#[derive(Default)]
struct State {
    pending: Pending,
    /// Which directory is watched; `None`: none is, so set up the watch.
    root: Option<Identity>,
    /// Not before this is setting up tried (again).
    try_at: Duration,
    /// When everything is looked at next, if inotify is not enough.
    poll_at: Option<Duration>,
    /// The directories that are watched, relative to the root.
    watched: HashSet<PathBuf>,
    /// Directories that appeared, relative to the root, to be watched.
    fresh: Vec<PathBuf>,
}

impl State {
    /// The watch is of no use any more.
    fn lost(&mut self) {
        self.root = None;
        self.try_at = Duration::ZERO;
    }

    /// A directory is there that is not watched, or perhaps not watched.
    fn appeared(&mut self, path: &Path) {
        if self.fresh.len() < FRESH {
            self.fresh.push(path.to_owned());
        } else {
            self.fresh = vec![PathBuf::new()];
        }
    }

    fn needs_set_up(&self, now: Duration) -> bool {
        match self.root {
            None => self.try_at <= now,
            Some(_) => !self.fresh.is_empty(),
        }
    }

    /// When there is something to do next, if nothing happens.
    fn next(&self) -> Option<Duration> {
        let try_at = self.root.is_none().then_some(self.try_at);
        [self.pending.next(), self.poll_at, try_at]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Watch {
    pub(super) fn new(place: Arc<Place>, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            place,
            clock,
            state: Mutex::default(),
            written: Arc::default(),
            wake: tokio::sync::Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            watcher: Arc::default(),
        }
    }

    /// Where writes of our own are noted.
    pub(super) fn written(&self) -> Arc<WrittenByUs> {
        Arc::clone(&self.shared.written)
    }

    /// Compares the directory that a listing found with the one that is watched: another one at the
    /// same path (a mount, a parent that was moved) is not told by inotify.
    pub(super) fn compare(&self, found: BorrowedFd<'_>) {
        let mut state = self.shared.state();
        if state.root.is_some() && state.root != file::identity(found).ok() {
            state.lost();
            self.shared.wake.notify_one();
        }
    }

    /// Sets the watch up, if it is not.
    pub(super) async fn begin(&self) {
        let now = self.shared.clock.elapsed();
        if self.shared.state().needs_set_up(now) {
            self.set_up().await;
        }
    }

    /// Waits for a change. Everything that was not delivered is kept in the shared state, so this may
    /// be dropped at any point.
    pub(super) async fn changed(&self) -> Scope {
        loop {
            self.begin().await;
            if let Some(scope) = self.shared.due(self.shared.clock.elapsed()) {
                return scope;
            }
            let woken = self.shared.wake.notified();
            let next = self.shared.state().next();
            match next {
                Some(next) => {
                    let wait = next.saturating_sub(self.shared.clock.elapsed());
                    tokio::select! {
                        () = woken => {}
                        () = self.shared.clock.sleep(wait) => {}
                    }
                }
                None => woken.await,
            }
        }
    }

    /// Watches what is not watched yet, on a thread that may block.
    async fn set_up(&self) {
        let mut watcher = Arc::clone(&self.watcher).lock_owned().await;
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || shared.set_up(&mut watcher)).await;
        if done.is_err() {
            let mut state = self.shared.state();
            state.try_at = self.shared.clock.elapsed() + RETRY;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be delivered by now.
    fn due(&self, now: Duration) -> Option<Scope> {
        let due = {
            let mut state = self.state();
            if state.poll_at.is_some_and(|at| at <= now) {
                state.poll_at = Some(now + POLL);
                state.pending.everything_at_once(now);
            }
            state.pending.take(now)?
        };
        match due {
            Due::All => Some(Scope::All),
            Due::Files(files) => {
                let ours = |path: &PathBuf| self.written.is_current(path, &self.place);
                let foreign = files.iter().filter(|path| !ours(path));
                let ids: BTreeSet<_> = foreign.map(|path| name::id_of(path)).collect();
                (!ids.is_empty()).then_some(Scope::Only(ids))
            }
        }
    }

    fn set_up(self: &Arc<Self>, watcher: &mut Option<INotifyWatcher>) {
        let now = self.clock.elapsed();
        let found =
            file::open_root(&self.place.root).and_then(|root| Ok((file::identity(&root)?, root)));
        let Ok((identity, root)) = found else {
            *watcher = None;
            let mut state = self.state();
            // What waits to be delivered stays: a reading tells then that the directory is gone.
            state.root = None;
            state.poll_at = None;
            state.try_at = now + RETRY;
            return;
        };
        if self.state().root != Some(identity) {
            *watcher = None;
            let mut state = self.state();
            state.root = Some(identity);
            state.poll_at = None;
            state.watched.clear();
            state.fresh = vec![PathBuf::new()];
        }
        if watcher.is_none() {
            *watcher = self.watcher();
        }
        let mut enough = watcher.is_some();
        let fresh = std::mem::take(&mut self.state().fresh);
        for path in fresh {
            let depth = if self.place.only.is_some() {
                0
            } else {
                file::DEPTH
            };
            file::directories(root.as_fd(), &path, depth, |path, directory| {
                enough &= !file::is_remote(directory);
                if let Some(watcher) = watcher {
                    enough &= self.watch(watcher, path);
                }
            });
        }
        let mut state = self.state();
        if !enough && state.poll_at.is_none() {
            state.poll_at = Some(now + POLL);
        }
        state.pending.everything_at_once(now);
        drop(state);
        // Whoever waits may have begun to while another task set it up, and what happens from here on
        // finds something pending and wakes nobody.
        self.wake.notify_one();
    }

    fn watcher(self: &Arc<Self>) -> Option<INotifyWatcher> {
        let shared = Arc::clone(self);
        let config = notify::Config::default().with_follow_symlinks(false);
        INotifyWatcher::new(move |event| shared.happened(event), config).ok()
    }

    /// Watches one directory; false when inotify refuses.
    fn watch(&self, watcher: &mut INotifyWatcher, path: &Path) -> bool {
        self.state().watched.insert(path.to_owned());
        let absolute = self.place.root.join(path);
        match watcher.watch(&absolute, RecursiveMode::NonRecursive) {
            Ok(()) => true,
            // It went meanwhile, and its parent tells if it returns.
            Err(notify::Error {
                kind: notify::ErrorKind::PathNotFound,
                ..
            }) => true,
            Err(_) => false,
        }
    }

    /// Takes in one event, on notify's thread.
    fn happened(&self, event: notify::Result<Event>) {
        let now = self.clock.elapsed();
        let mut state = self.state();
        let idle = state.pending.is_empty();
        match event {
            Ok(event) if event.need_rescan() => {
                // Events were lost; directories may have come and gone among them.
                state.appeared(Path::new(""));
                state.pending.everything(now);
            }
            Ok(event) => {
                for path in &event.paths {
                    if let Ok(path) = path.strip_prefix(&self.place.root) {
                        self.happened_to(path, event.kind, &mut state, now);
                    }
                }
            }
            Err(_) => {
                state.lost();
                state.pending.everything(now);
            }
        }
        // Else the caller wakes by itself before anything new is due.
        if (idle && !state.pending.is_empty()) || state.needs_set_up(now) {
            self.wake.notify_one();
        }
    }

    /// Takes in what happened to one path, relative to the root.
    fn happened_to(&self, path: &Path, kind: EventKind, state: &mut State, now: Duration) {
        let what = match What::of(kind) {
            Some(what) => what,
            None => return,
        };
        if path.as_os_str().is_empty() {
            match what {
                What::Gone => state.lost(),
                What::Attributes => {}
                What::There | What::Content => return,
            }
            return state.pending.everything(now);
        }
        let single = self.place.only.is_some();
        if !single && !path.iter().any(name::is_hidden) {
            let directory = match what {
                What::Gone => state.watched.contains(path),
                What::There | What::Attributes => file::is_directory(&self.place.root.join(path)),
                What::Content => false,
            };
            if directory {
                if matches!(what, What::Gone) {
                    state.watched.retain(|watched| !watched.starts_with(path));
                } else {
                    state.appeared(path);
                }
                return state.pending.everything(now);
            }
        }
        if self.place.holds(path) {
            state.pending.file(path, now);
        }
    }
}

/// What an event says about a path, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// It was removed, or moved away.
    Gone,
    /// It was created, or moved here.
    There,
    /// Its owner, mode, times or link count changed.
    Attributes,
    /// It was written to, or closed after that.
    Content,
}

impl What {
    fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                Some(Self::Gone)
            }
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                Some(Self::There)
            }
            EventKind::Modify(ModifyKind::Metadata(_)) => Some(Self::Attributes),
            EventKind::Modify(ModifyKind::Data(_))
            | EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Self::Content),
            // Our own reading among others; and a rename's two sides again, in one event.
            _ => None,
        }
    }
}

/// The versions that our own writes left, so that they are not taken for somebody's changes.
#[derive(Default)]
pub(super) struct WrittenByUs(Mutex<Latest>);

#[derive(Default)]
struct Latest {
    versions: HashMap<PathBuf, Version>,
    /// The same paths, the longest known first.
    order: VecDeque<PathBuf>,
}

impl WrittenByUs {
    /// Notes that the file at `path` is in `version`, by our writing. One that is forgotten, for lack
    /// of room, costs one reading.
    pub(super) fn note(&self, path: &Path, version: &Version) {
        let mut latest = self.latest();
        if latest
            .versions
            .insert(path.to_owned(), version.clone())
            .is_none()
        {
            latest.order.push_back(path.to_owned());
        }
        if latest.order.len() > WRITTEN
            && let Some(oldest) = latest.order.pop_front()
        {
            latest.versions.remove(&oldest);
        }
    }

    /// Whether the file still is as we wrote it.
    fn is_current(&self, path: &Path, place: &Place) -> bool {
        let Some(version) = self.latest().versions.get(path).cloned() else {
            return false;
        };
        let stamp = file::open_root(&place.root).and_then(|root| file::look(root.as_fd(), path));
        matches!(stamp, Ok(Some(stamp)) if stamp.version() == version)
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};
    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;
    use notify::event::Flag;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Time passes only by being slept.
    #[derive(Default)]
    struct Slept(Arc<AtomicU64>);

    impl Clock for Slept {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }

        fn elapsed(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::SeqCst))
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            let passed = Arc::clone(&self.0);
            async move {
                passed.fetch_add(duration.as_millis() as u64, Ordering::SeqCst);
            }
            .boxed()
        }
    }

    async fn watching(root: &Path) -> Watch {
        let place = Place {
            root: root.to_owned(),
            only: None,
        };
        let watch = Watch::new(Arc::new(place), Arc::new(Slept::default()));
        assert_eq!(watch.changed().await, Scope::All);
        watch
    }

    #[tokio::test]
    async fn where_inotify_is_not_enough_everything_is_looked_at_every_30_s() {
        let root = tempfile::tempdir().unwrap();
        let watch = watching(root.path()).await;
        watch.shared.state().poll_at = Some(POLL);
        for polls in 1..=3 {
            // Dropping it does not put the next look off.
            assert_eq!(watch.changed().now_or_never(), Some(Scope::All));
            assert_eq!(watch.shared.clock.elapsed(), POLL * polls);
        }
    }

    /// It slept on, and whatever changed from then on found something pending and did not wake it.
    #[tokio::test]
    async fn whoever_waits_is_woken_when_another_task_sets_the_watch_up() {
        let root = tempfile::tempdir().unwrap();
        let watch = watching(root.path()).await;
        // What its own set-up told.
        assert_eq!(watch.shared.wake.notified().now_or_never(), Some(()));
        let mut woken = Box::pin(watch.shared.wake.notified());
        assert_eq!(woken.as_mut().now_or_never(), None);
        watch.shared.state().appeared(Path::new(""));
        watch.begin().await;
        assert_eq!(woken.now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn lost_events_mean_that_everything_is_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let watch = watching(root.path()).await;
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        for event in [Ok(overflow), Err(notify::Error::generic("broken"))] {
            watch.shared.happened(event);
            assert_eq!(watch.changed().await, Scope::All);
        }
    }

    #[tokio::test]
    async fn another_directory_at_the_same_path_is_watched_anew() {
        let root = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let watch = watching(root.path()).await;
        let other = file::open_root(other.path()).unwrap();
        watch.compare(file::open_root(root.path()).unwrap().as_fd());
        assert!(watch.shared.state().root.is_some());
        watch.compare(other.as_fd());
        assert_eq!(watch.changed().await, Scope::All);
        assert!(watch.shared.state().root.is_some());
    }

    #[test]
    fn own_writes_are_remembered_up_to_a_bound() {
        let written = WrittenByUs::default();
        for n in 0..WRITTEN + 10 {
            written.note(Path::new(&n.to_string()), &Version::new("1"));
            written.note(Path::new(&n.to_string()), &Version::new("2"));
        }
        let latest = written.latest();
        assert_eq!(
            (latest.versions.len(), latest.order.len()),
            (WRITTEN, WRITTEN)
        );
    }
}
