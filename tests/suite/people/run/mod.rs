//! Plays one story, and looks after each step whether the promises hold.

mod link;
mod lossless;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use futures_util::FutureExt;
use meetbridge::calendar::Scope;
use meetbridge::model::ResourceId;
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Watched};
use tempfile::TempDir;

use super::generate::{Story, calendar};
use super::model::{Known1, Model, Wish, without_empty};
use super::text::{Line, Text};
use super::user::{Memory, What, act};
use super::world::{World, Write};

/// How often a calendar may be passed over before it has to be at rest.
const PASSES: usize = 24;

static RUNS: AtomicU64 = AtomicU64::new(1);

/// A number that no other run in this process has.
pub(super) fn next() -> u64 {
    RUNS.fetch_add(1, Ordering::Relaxed)
}

/// Plays the story; says what did not hold.
pub(super) async fn play(story: &Story, state: &Arc<State>) -> Result<(), String> {
    let played = AssertUnwindSafe(Play::begin(story, state).all()).catch_unwind();
    played.await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without words")))
    })
}

struct Play<'s> {
    story: &'s Story,
    run: u64,
    world: Arc<World>,
    bridge: Bridge,
    calendar: Watched,
    model: Model,
    memory: Memory,
    /// How many writes were looked at.
    seen: usize,
    /// How the events were decided when all of them were read again.
    decided: Mutex<String>,
    /// Where the states are that took the place of lost ones.
    homes: Vec<TempDir>,
}

impl<'s> Play<'s> {
    fn begin(story: &'s Story, state: &Arc<State>) -> Self {
        let run = next();
        let world = World::new(story, run);
        Self {
            story,
            run,
            bridge: world.bridge(state),
            calendar: world.watched(story),
            world,
            model: Model::default(),
            memory: Memory::default(),
            seen: 0,
            decided: Mutex::default(),
            homes: Vec::new(),
        }
    }

    async fn all(mut self) -> Result<(), String> {
        for (at, events) in self.story.resources.iter().enumerate() {
            let bytes = calendar(self.story.shape, events, self.run);
            self.world.save(&format!("r{at}.ics"), &bytes);
        }
        for name in self.world.names() {
            let text = Text::parse(&self.world.bytes(&name).unwrap());
            for uid in text.uids() {
                let lines = text.event(&uid).concat();
                self.memory.first.push((uid, lines));
            }
        }
        self.rest()
            .await
            .map_err(|why| format!("at the beginning: {why}"))?;
        for (at, one) in self.story.acts.iter().enumerate() {
            self.world.clock.advance(TimeDelta::minutes(7));
            if one.what == What::LoseState {
                self.lose_state();
            }
            act(one, &self.world, &mut self.memory, self.run);
            if one.hasty && at + 1 < self.story.acts.len() {
                continue;
            }
            let rested = self.rest().await;
            rested.map_err(|why| format!("after act {at}, {:?}: {why}", one.what))?;
        }
        Ok(())
    }

    /// Promise 5: all that is remembered is gone.
    fn lose_state(&mut self) {
        let home = super::home();
        self.bridge = self.world.bridge(&super::open(&home));
        self.homes.push(home);
        self.model.forget();
    }

    /// Judges what people have done, passes until rest, and checks what came of it.
    async fn rest(&mut self) -> Result<(), String> {
        let (world, place) = (self.world.clone(), self.story.location);
        self.model.observe(&world, &self.memory.origins, place);
        let asked = world.asked().len();
        let needless = self.needless();
        let calm = self.passes().await;
        let writes = world.writes(self.seen);
        self.seen += writes.len();
        for write in &writes {
            self.only_ours(write)?;
        }
        calm?;
        for name in needless {
            if let Some(write) = writes.iter().find(|write| write.name == name) {
                let all = shown(write);
                return Err(format!(
                    "promise 7: {name} was written without a cause{all}"
                ));
            }
        }
        // A server that drops a part is found out by restoring it once; one whose versions prove nothing,
        // of an event that does not say when it was changed, by restoring it twice.
        // What was learned is lost with the state, once more.
        let lost = usize::from(!self.homes.is_empty());
        let most = match (self.world.server.remote, self.world.server.restless) {
            (true, true) => 3 + lost,
            (true, false) => 2 + lost,
            (false, _) => 1,
        };
        for name in world.names() {
            let count = writes.iter().filter(|write| write.name == name).count();
            if count > most {
                let all: String = writes.iter().map(shown).collect();
                return Err(format!("promise 7: {name} was written {count} times{all}"));
            }
        }
        self.meetings()?;
        // What it drops is found out by one link, of which nothing but the mark is known.
        let server = &world.server;
        let drops = server.drops_x || server.drops_conference || server.drops_altrep;
        let asked = world.asked().split_off(asked);
        let known = world.known();
        let whole = |event: &Known1, uid: &str| {
            let lacking = self.lacking(&event.lines, uid, &known, event.unmarked);
            lacking.is_none()
        };
        if !drops && let Some(key) = self.model.whole_in_lost_state(&asked, whole) {
            return Err(format!(
                "promise 5: {key} is linked, and was asked for again"
            ));
        }
        self.events()?;
        self.model.rested(&world, &writes);
        self.reversible()
    }

    /// The resources of which every event has what it should have.
    fn needless(&self) -> Vec<String> {
        let server = &self.world.server;
        let drops = server.drops_x || server.drops_conference || server.drops_altrep;
        if drops && (server.restless || !self.homes.is_empty()) {
            // Nothing proves that it drops a part, so that each change is worth another try; or what
            // was learned of it is lost.
            return Vec::new();
        }
        let known = self.world.known();
        let mut names = self.world.names();
        names.retain(|name| {
            let mut events = self
                .model
                .events
                .iter()
                .filter(|((other, _), _)| other == name);
            events.all(|((_, uid), event)| match event.wish {
                Wish::Linked => self.lacking(&event.lines, uid, &known, false).is_none(),
                Wish::Still => true,
                Wish::Bare | Wish::Any => false,
            })
        });
        names
    }

    /// Passes until nothing happens any more.
    async fn passes(&self) -> Result<(), String> {
        let mut quiet = 0;
        for n in 0..PASSES {
            // What is put off for an hour has its turn as well.
            let wait = if quiet == 1 || n > 8 { 61 } else { 1 };
            self.world.clock.advance(TimeDelta::minutes(wait));
            let before = self.world.effects();
            self.pass(self.news()).await;
            let same = self.world.effects() == before;
            quiet = if same && n > 0 { quiet + 1 } else { 0 };
            if quiet == 2 {
                break;
            }
        }
        // Promise 6, also where everything is read again.
        let before = self.world.effects();
        self.pass(self.news()).await;
        let names = self
            .world
            .names()
            .into_iter()
            .map(ResourceId::new)
            .collect();
        self.pass(Scope::Only(names)).await;
        if self.world.effects() != before {
            let writes: String = self
                .world
                .writes(self.seen)
                .iter()
                .rev()
                .take(3)
                .map(shown)
                .collect();
            let decided = self.decided.lock().unwrap();
            return Err(format!(
                "promise 6: it never comes to rest; decided: {decided}{writes}"
            ));
        }
        Ok(())
    }

    fn news(&self) -> Scope {
        match self.world.server.remote {
            true => Scope::News(None),
            false => Scope::All,
        }
    }

    async fn pass(&self, scope: Scope) {
        let mut scope = scope;
        for _ in 0..4 {
            let report = self.bridge.pass(&self.calendar, scope).await.unwrap();
            *self.decided.lock().unwrap() = format!("{:?}", report.outcome);
            let state = &self.bridge.state;
            let due = state.due(&self.calendar.name, self.world.now()).unwrap();
            let more = report
                .again
                .into_iter()
                .chain(due)
                .collect::<std::collections::BTreeSet<_>>();
            if more.is_empty() {
                break;
            }
            scope = Scope::Only(more);
        }
        self.bridge.end_meetings(&self.calendar).await.unwrap();
    }
}

/// What is to be the same. Where a person's program, or the server, has dropped the mark, nobody knows
/// what was empty before the link and what was absent.
fn comparable(event: &Known1, found: Vec<Vec<Line>>) -> (Vec<Vec<Line>>, Vec<Vec<Line>>) {
    match event.unmarked {
        true => (without_empty(&event.pure), without_empty(&found)),
        false => (event.pure.clone(), found),
    }
}

fn shown(write: &Write) -> String {
    format!(
        "\nread at {}:\n{}\nhanded back:\n{}",
        write.at,
        String::from_utf8_lossy(&write.before),
        String::from_utf8_lossy(&write.after)
    )
}
