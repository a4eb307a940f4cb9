//! Virtual time: it passes when nothing else can happen, and then at once.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use meetbridge::clock::Clock;
use tokio::task::JoinHandle;

/// A clock that [`run`] sets forth.
#[derive(Clone, Default)]
pub(super) struct Time(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    now: Duration,
    /// Who waits, by when and in which order they came.
    waiting: BTreeMap<(Duration, u64), Waker>,
    came: u64,
}

impl Time {
    /// When every schedule begins.
    pub(super) fn start() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 2, 8, 0, 0).unwrap()
    }

    /// Nothing happens until then; not for use within [`run`].
    pub(super) fn pass_until(&self, when: Duration) {
        let mut inner = self.0.lock().unwrap();
        inner.now = inner.now.max(when);
    }

    /// Goes to where the first of those who wait wakes; `false` if nobody waits.
    fn forth(&self) -> bool {
        let woken = {
            let mut inner = self.0.lock().unwrap();
            let first = inner.waiting.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = first else { return false };
            inner.now = inner.now.max(at);
            let later = inner.waiting.split_off(&(at, u64::MAX));
            std::mem::replace(&mut inner.waiting, later)
        };
        woken.into_values().for_each(Waker::wake);
        true
    }
}

impl Clock for Time {
    fn now(&self) -> DateTime<Utc> {
        Self::start() + TimeDelta::from_std(self.elapsed()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let until = self.elapsed().saturating_add(duration);
        Sleep {
            time: self.clone(),
            until,
            key: None,
        }
        .boxed()
    }
}

struct Sleep {
    time: Time,
    until: Duration,
    key: Option<(Duration, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let time = self.time.clone();
        let mut inner = time.0.lock().unwrap();
        if inner.now >= self.until {
            return Poll::Ready(());
        }
        let until = self.until;
        let key = *self.key.get_or_insert_with(|| {
            inner.came += 1;
            (until, inner.came)
        });
        inner.waiting.insert(key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.time.0.lock().unwrap().waiting.remove(&key);
        }
    }
}

/// Whether anything happened since it was last asked.
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        if let Some(outer) = self.outer.lock().unwrap().as_ref() {
            outer.wake_by_ref();
        }
    }
}

/// Runs `future` on a runtime of one thread and one blocking thread, and lets time pass whenever all
/// of it waits for time. What blocking threads do takes no time: the clock stands until a piece of
/// work that was queued behind all others is done, so that each run is like the other.
pub(super) async fn run<T>(time: &Time, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let bell = Arc::new(Bell::default());
    bell.rung.store(true, Ordering::SeqCst);
    let waker = Waker::from(Arc::clone(&bell));
    let mut last: Option<JoinHandle<()>> = None;
    poll_fn(move |outer| {
        *bell.outer.lock().unwrap() = Some(outer.waker().clone());
        loop {
            if bell.rung.swap(false, Ordering::SeqCst) {
                last = None;
                if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Poll::Ready(done);
                }
                if bell.rung.load(Ordering::SeqCst) {
                    // Over the runtime, so that its budget for one turn is a fresh one.
                    outer.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            let queued = last.get_or_insert_with(|| tokio::task::spawn_blocking(|| ()));
            if Pin::new(queued).poll(outer).is_pending() {
                return Poll::Pending;
            }
            last = None;
            if !bell.rung.load(Ordering::SeqCst) {
                assert!(time.forth(), "everything waits, and for nothing");
            }
        }
    })
    .await
}
