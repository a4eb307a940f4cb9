//! Plays one story, and looks after each step whether the promises hold.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use futures_util::FutureExt;
use meetbridge::calendar::Scope;
use meetbridge::ical::document::Document;
use meetbridge::ical::edit::Edits;
use meetbridge::ical::{read, write};
use meetbridge::model::{JoinUrl, ResourceId};
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Watched};
use tempfile::TempDir;

use super::generate::{Place, Story, calendar};
use super::model::{
    Known1, Model, Wish, bytes, difference, is_foreign, is_twin, purified, shows, without_empty,
};
use super::text::{Line, Text, block, properties, unescaped, value};
use super::user::{Memory, What, act};
use super::world::{Known, World, Write};

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

    /// Promises 2 and 7: what is handed back is what was read, our lines and stamps apart.
    fn only_ours(&self, write: &Write) -> Result<(), String> {
        let (known, place) = (self.world.known(), self.story.location);
        let (before, after) = (Text::parse(&write.before), Text::parse(&write.after));
        let outside = |text: &Text| -> Vec<Line> {
            let parts = text.parts();
            let is_outside = |at: &usize| !parts.iter().any(|part| part.range.contains(at));
            let lines = (0..text.lines.len()).filter(is_outside);
            lines.map(|at| text.lines[at].clone()).collect()
        };
        if outside(&before) != outside(&after) || before.uids() != after.uids() {
            return Err(format!(
                "promise 2: {}: lines outside of events differ",
                write.name
            ));
        }
        for uid in before.uids() {
            let (old, new) = (before.event(&uid), after.event(&uid));
            // Whether a property was empty or absent before the link, the model knows.
            let event = self.model.events.get(&(write.name.clone(), uid.clone()));
            let was = purified(&old, event.map(|event| &event.pure), &known, place);
            let is = purified(&new, Some(&was), &known, place);
            let (expected, found) = match event {
                Some(event) if event.unmarked => (without_empty(&was), without_empty(&is)),
                _ => (was.clone(), is),
            };
            if let Some(what) = difference(&expected, &found) {
                return Err(format!("promise 2: {}: {what}{}", write.name, shown(write)));
            }
            let tell = format!("{:012x}_", self.run);
            let text = String::from_utf8_lossy(&bytes(&old)).replace(['\r', '\n', ' ', '\t'], "");
            if was == old && !text.contains(&tell) {
                self.exactly_added(write, &uid, &old, &new)?;
            }
        }
        Ok(())
    }

    /// A first link: what was there is there byte by byte, and comes back byte by byte (promise 13).
    fn exactly_added(
        &self,
        write: &Write,
        uid: &str,
        old: &[Vec<Line>],
        new: &[Vec<Line>],
    ) -> Result<(), String> {
        for (old, new) in old.iter().zip(new) {
            let mut rest = new.iter();
            for line in old {
                let stamped = line.is("DTSTAMP") || line.is("LAST-MODIFIED");
                let begins = |other: &Line| match (stamped, is_twin(line)) {
                    (true, _) => other.property().name == line.property().name,
                    // The block stands inside of it.
                    (_, true) => {
                        let mut rest = other.0.iter();
                        line.content()
                            .iter()
                            .all(|byte| rest.any(|other| other == byte))
                    }
                    _ => other.0 == line.0 || other.0.starts_with(line.content()),
                };
                if !rest.any(begins) {
                    let line = String::from_utf8_lossy(&line.0);
                    return Err(format!("promise 2: {line:?} is not kept{}", shown(write)));
                }
            }
        }
        if old == new {
            return Ok(());
        }
        let back = detached(&write.after, |other| other == uid, &self.world.known())?;
        let back = Text::parse(&back).event(uid);
        let unstamped = |event: &[Vec<Line>]| -> Vec<Line> {
            let lines = event.iter().flatten();
            let mut lines: Vec<Line> = lines.cloned().collect();
            lines.retain(|line| !line.is("DTSTAMP") && !line.is("LAST-MODIFIED"));
            lines
        };
        if unstamped(&back) != unstamped(old) {
            let what = difference(old, &back).unwrap_or("folded otherwise".into());
            return Err(format!(
                "promise 13: right after the write: {what}{}",
                shown(write)
            ));
        }
        Ok(())
    }

    /// Promise 1.
    fn meetings(&self) -> Result<(), String> {
        let (made, ended) = self.world.made();
        for key in &made {
            let count = |keys: &[String]| keys.iter().filter(|other| *other == key).count();
            if count(&made) > 1 + count(&ended) {
                return Err(format!("promise 1: {key} has several meetings"));
            }
            if !self.model.eligible.contains(key) {
                return Err(format!("promise 1: a meeting for {key}, which wants none"));
            }
        }
        Ok(())
    }

    /// Promises 2, 3 and 12, of each event.
    fn events(&self) -> Result<(), String> {
        let known = self.world.known();
        for ((name, uid), event) in &self.model.events {
            let bytes = self.world.bytes(name).unwrap();
            let lines = Text::parse(&bytes).event(uid);
            let failed = |what: String| {
                let text = String::from_utf8_lossy(&bytes);
                Err(format!(
                    "{uid} in {name}, which should be {:?}: {what}\ndecided: {}\nstored:\n{text}",
                    event.wish,
                    self.decided.lock().unwrap()
                ))
            };
            let pure = purified(&lines, Some(&event.pure), &known, self.story.location);
            let (was, is) = comparable(event, pure);
            if let Some(what) = difference(&was, &is) {
                return failed(format!(
                    "promise 12: what a person saved is not there: {what}"
                ));
            }
            match event.wish {
                Wish::Linked => {
                    if let Some(what) = self.lacking(&lines, uid, &known, event.unmarked) {
                        return failed(what);
                    }
                    if !event.missed {
                        self.in_step(uid, &lines).or_else(failed)?;
                    }
                }
                Wish::Bare => {
                    if lines != event.pure && !ours(&lines, &known).is_empty() {
                        return failed(format!("ours is left: {:?}", ours(&lines, &known)));
                    }
                }
                Wish::Still => {
                    let keeps = self.world.server.keeps_bytes();
                    let what = difference(&event.lines, &lines);
                    let what =
                        what.or((keeps && lines != event.lines).then(|| "its stamps".into()));
                    if let Some(what) = what {
                        return failed(format!("it was written: {what}"));
                    }
                }
                Wish::Any => {}
            }
        }
        Ok(())
    }

    /// What a linked event lacks, or has too much of. Where the mark was dropped, a label in LOCATION was
    /// nobody's: it may be empty since.
    fn lacking(
        &self,
        event: &[Vec<Line>],
        uid: &str,
        known: &Known,
        unmarked: bool,
    ) -> Option<String> {
        let server = &self.world.server;
        let (own, place) = (known.own(uid), self.story.location);
        let Some(url) = own else {
            return Some("it has no meeting".into());
        };
        if self
            .world
            .meeting(uid)
            .is_none_or(|m| m.join_url.expose() != url)
        {
            return Some("its meeting was deleted".into());
        }
        for part in event {
            let is_override = value(part, "RECURRENCE-ID").is_some();
            let cancelled = value(part, "STATUS").as_deref() == Some("CANCELLED");
            if is_override && (cancelled || is_foreign(part, known)) {
                continue;
            }
            let all = properties(part);
            let count = |name: &str, wanted: &str| {
                let named = all.iter().filter(|p| p.name == name);
                named.filter(|p| p.value.trim() == wanted).count()
            };
            let text = value(part, "DESCRIPTION").unwrap_or_default();
            let blocks = text.matches(url).count();
            let x = usize::from(!server.drops_x);
            let marks = all
                .iter()
                .filter(|p| p.name == "X-MEETBRIDGE-MEETING")
                .count();
            let located = value(part, "LOCATION").is_some_and(|v| !unescaped(&v).trim().is_empty());
            let found = [
                ("a block", blocks >= 1 && block(&text, &[url]).is_some()),
                ("one block", blocks <= 1),
                (
                    "LOCATION",
                    located || place == Place::Never || (unmarked && place == Place::Label),
                ),
                ("URL", value(part, "URL").is_some()),
                (
                    "CONFERENCE",
                    count("CONFERENCE", url) == usize::from(!server.drops_conference),
                ),
                (
                    "X-MICROSOFT",
                    count("X-MICROSOFT-SKYPETEAMSMEETINGURL", url) == x,
                ),
                ("the mark", marks == x),
            ];
            if let Some((what, _)) = found.iter().find(|(_, is)| !is) {
                return Some(format!("not as it should be: {what}"));
            }
            let others: Vec<&str> = known
                .all()
                .into_iter()
                .filter(|other| *other != url)
                .collect();
            let copied = |p: &super::text::Property| {
                p.name != "DESCRIPTION" && others.contains(&p.value.trim())
            };
            if all.iter().any(copied) || block(&text, &others).is_some() {
                return Some("another event's link is in it".into());
            }
        }
        None
    }

    /// The meeting follows its event, where it takes place once.
    fn in_step(&self, uid: &str, event: &[Vec<Line>]) -> Result<(), String> {
        let count = self
            .model
            .events
            .keys()
            .filter(|(_, other)| other == uid)
            .count();
        let [part] = event else { return Ok(()) };
        if count > 1 || value(part, "RRULE").is_some() || value(part, "RECURRENCE-ID").is_some() {
            return Ok(());
        }
        let meeting = self.world.meeting(uid).unwrap();
        let start = value(part, "DTSTART").unwrap();
        let held = meeting
            .span
            .map(|span| span.start.format("%Y%m%dT%H%M%SZ").to_string());
        let title = value(part, "SUMMARY").map(|title| unescaped(&title));
        if start.len() == 16 && held.as_ref() != Some(&start) {
            return Err(format!("the meeting is at {held:?}, the event at {start}"));
        }
        if meeting.subject != title {
            return Err(format!("the meeting is called {:?}", meeting.subject));
        }
        Ok(())
    }

    /// Promise 13: without the link, it is what a person saved last.
    fn reversible(&self) -> Result<(), String> {
        if !self.world.server.keeps_bytes() {
            return Ok(());
        }
        let known = self.world.known();
        for name in self.world.names() {
            let bytes = self.world.bytes(&name).unwrap();
            let linked = |uid: &str| {
                let event = self.model.events.get(&(name.clone(), uid.to_owned()));
                event.is_some_and(|event| {
                    event.wish == Wish::Linked && shows(&event.lines, uid, &known)
                })
            };
            let back = detached(&bytes, linked, &known)?;
            let back = Text::parse(&back);
            for uid in back.uids().iter().filter(|uid| linked(uid)) {
                let event = &self.model.events[&(name.clone(), uid.clone())];
                let (was, is) = comparable(event, back.event(uid));
                if let Some(what) = difference(&was, &is) {
                    let text = String::from_utf8_lossy(&bytes);
                    return Err(format!(
                        "promise 13: {uid} in {name}: {what}\nstored:\n{text}"
                    ));
                }
            }
        }
        Ok(())
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

/// The bytes with the links of the chosen events taken out.
fn detached(bytes: &[u8], chosen: impl Fn(&str) -> bool, known: &Known) -> Result<Vec<u8>, String> {
    let document = Document::parse(bytes).map_err(|error| error.to_string())?;
    let events = read::read(&document, chrono_tz::UTC, super::world::start()).events;
    let mut edits = Edits::new();
    for event in events.iter().filter(|event| chosen(event.uid.as_str())) {
        let Some(url) = known.own(event.uid.as_str()) else {
            continue;
        };
        let url = JoinUrl::new(url);
        edits.merge(write::detach(&document, event, &url).map_err(|error| error.to_string())?);
    }
    Ok(edits.apply(bytes))
}

/// The lines of ours in an event, by name.
fn ours(event: &[Vec<Line>], known: &Known) -> Vec<String> {
    let all = event.iter().flat_map(|part| properties(part));
    let is_ours = |p: &super::text::Property| match p.name.as_str() {
        "X-MEETBRIDGE-MEETING" => p.value.trim() != "v1.opt-out",
        "DESCRIPTION" => block(&p.value, &known.all()).is_some(),
        "CONFERENCE" if known.dials.iter().any(|dial| dial == p.value.trim()) => true,
        _ => known.key(&p.value).is_some(),
    };
    all.filter(is_ours).map(|p| p.name).collect()
}

fn shown(write: &Write) -> String {
    format!(
        "\nread at {}:\n{}\nhanded back:\n{}",
        write.at,
        String::from_utf8_lossy(&write.before),
        String::from_utf8_lossy(&write.after)
    )
}
