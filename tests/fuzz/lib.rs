//! The fuzz targets' bodies, held to budgets of time and memory.

mod checks;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The most CPU time that one step takes, for each 100 kB begun: 100 ms in a release build. What is
/// built for fuzzing counts its every branch and checks for overflow, which takes ten times as long.
const TIME: Duration = Duration::from_millis(if cfg!(fuzzing) { 1000 } else { 100 });
/// The most memory that one step holds, beside what was held before: a mebibyte, as much as no
/// recurrence rule may take, ...
const MEMORY: usize = 1 << 20;
/// ... and so much for each byte of the input: a link is many times as long as the event it goes into.
const MEMORY_PER_BYTE: usize = 500;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs the check of that name on `bytes`.
///
/// # Panics
/// When what it promises does not hold, or a step of it passes its budget.
pub fn check(name: &str, bytes: &[u8]) {
    let (_, check) = checks::ALL
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a check's name");
    check(bytes);
}

/// Does `work`, one step of a check over `size` bytes, and holds it to its budget.
fn measured<T>(what: &str, size: usize, work: impl FnOnce() -> T) -> T {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let begun = cpu();
    let done = work();
    let (taken, held) = (cpu() - begun, PEAK.load(Relaxed).saturating_sub(before));
    let budget = TIME * u32::try_from(size.div_ceil(100_000).max(1)).expect("few");
    assert!(
        taken <= budget,
        "{what} of {size} bytes takes {taken:?}, its budget is {budget:?}"
    );
    assert!(
        held <= MEMORY + MEMORY_PER_BYTE * size,
        "{what} of {size} bytes holds {held} bytes"
    );
    done
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("the clock of a thread begins at 0")
}
