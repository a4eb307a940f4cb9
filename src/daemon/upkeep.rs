//! The state's upkeep: what has been over for long is forgotten, once a day.

use std::sync::Arc;
use std::time::Duration;

use super::Desk;
use crate::clock::Clock;
use crate::log;
use crate::state::{Cursor, State, StateError};

/// How long after the start it begins: everything has been looked at by then.
const FIRST: Duration = Duration::from_secs(10 * 60);

/// How long it rests then.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long it rests between two slices.
const PAUSE: Duration = Duration::from_secs(1);

/// How often in a row a slice gives way to passes: where many calendars are watched, one is always under
/// way.
const GIVES_WAY: usize = 30;

/// How many links one command forgets at most; the next one goes on.
const MOST: usize = 10_000;

/// Keeps the daemon's state small.
pub struct Upkeep {
    /// What is remembered.
    pub state: Arc<State>,
    /// The calendars that are watched.
    pub desk: Arc<Desk>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Upkeep {
    /// Goes on until it is dropped.
    pub async fn run(self) {
        self.clock.sleep(FIRST).await;
        loop {
            let mut total = Total::default();
            // Where the state fails, the passes say so.
            while let Ok(true) = total.slice(&self.state, &*self.clock) {
                self.clock.sleep(PAUSE).await;
                self.give_way().await;
            }
            total.tell();
            self.clock.sleep(DAY).await;
        }
    }

    /// Waits for a moment in which nothing is passed over.
    async fn give_way(&self) {
        for _ in 0..GIVES_WAY {
            let next = self.desk.next_pass();
            if next.is_none_or(|at| at > self.clock.elapsed()) {
                return;
            }
            self.clock.sleep(PAUSE).await;
        }
    }
}

/// Forgets at once what has been over for long, up to a limit.
///
/// # Errors
/// [`StateError`]; what was forgotten before stays so.
pub fn prune(state: &State, clock: &dyn Clock) -> Result<(), StateError> {
    let mut total = Total::default();
    while total.links < MOST && total.slice(state, clock)? {}
    total.tell();
    Ok(())
}

/// What was forgotten so far.
#[derive(Default)]
struct Total {
    links: usize,
    meetings: usize,
    next: Option<Cursor>,
}

impl Total {
    /// Takes the next slice; returns whether there is another one.
    fn slice(&mut self, state: &State, clock: &dyn Clock) -> Result<bool, StateError> {
        let pruned = state.prune(clock.now(), self.next.as_ref())?;
        self.links += pruned.links;
        self.meetings += pruned.meetings;
        self.next = pruned.next;
        Ok(self.next.is_some())
    }

    fn tell(&self) {
        if self.links > 0 {
            log::event!(STATE_PRUNED, links = self.links, meetings = self.meetings);
        }
    }
}
