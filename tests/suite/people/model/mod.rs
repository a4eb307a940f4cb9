//! What must hold of each event: the reference, written from DESIGN.md, section 6, on what people see.

mod features;
mod pure;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, Utc};

use super::generate::Place;
use super::text::{Line, Text, properties, value};
use super::world::{Known, World};
use features::Features;
pub(super) use features::{is_foreign, shows};
pub(super) use pure::{difference, is_twin, purified, without_empty};

/// What must be the case for an event when all has come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It carries its own link, whole.
    Linked,
    /// It carries no link.
    Bare,
    /// Nothing of it was written since a person saved it.
    Still,
    /// The design leaves it open.
    Any,
}

/// An event in a resource, as it was when all had come to rest.
#[derive(Clone, Debug)]
pub(super) struct Known1 {
    pub(super) wish: Wish,
    /// Its lines as a person saved them, or as they were written since.
    pub(super) lines: Vec<Vec<Line>>,
    /// Its lines without ours, as a person saved them.
    pub(super) pure: Vec<Vec<Line>>,
    /// It has shown its link at rest.
    linked: bool,
    /// A person took the link out.
    out: bool,
    /// It lost its link where the design leaves that open: so is what brings it back.
    open: bool,
    /// Its bytes before the last write, and when that was.
    before: Option<Vec<u8>>,
    wrote: Option<DateTime<Utc>>,
    /// Its bytes before a write in a resource where it is not any more.
    before_it_moved: Option<Vec<u8>>,
    /// How many writes in a row were made to what looked like the last one's outcome.
    attempts: u32,
    /// A person's program has dropped the mark: nobody knows what was empty before the link.
    pub(super) unmarked: bool,
    /// The versions that were taken for restored copies.
    restored: Vec<Vec<u8>>,
    /// The state was lost since it was last judged.
    forgotten: bool,
    /// It shows its link without the mark, and the state that knew of it is lost: it counts as another's.
    stranger: bool,
    /// It was changed while the state was lost: its meeting is taken to be as the event is.
    pub(super) missed: bool,
    /// It is as it was when the state was lost, linked.
    same: bool,
}

/// All that is known of the calendar.
#[derive(Default)]
pub(super) struct Model {
    pub(super) events: BTreeMap<(String, String), Known1>,
    /// What was last known of events that are not where they were.
    past: BTreeMap<String, Known1>,
    /// The events that were to get a link at any time.
    pub(super) eligible: BTreeSet<String>,
    /// A state was lost.
    lost: bool,
}

impl Model {
    /// Judges what stands in the calendar, after people have changed it.
    pub(super) fn observe(&mut self, world: &World, origins: &[(String, String)], place: Place) {
        let known = world.known();
        let (_, ended) = world.made();
        let mut events = BTreeMap::new();
        for name in world.names() {
            let text = Text::parse(&world.bytes(&name).unwrap());
            for uid in text.uids() {
                let lines = text.event(&uid);
                let here = self.events.get(&(name.clone(), uid.clone()));
                if let Some(same) = here.filter(|here| here.lines == lines && !here.forgotten) {
                    let same = Known1 {
                        same: false,
                        ..same.clone()
                    };
                    events.insert((name.clone(), uid), same);
                    continue;
                }
                let elsewhere = || {
                    let mut others = self.events.iter().filter(|((_, other), _)| *other == uid);
                    others
                        .next()
                        .map(|(_, event)| event)
                        .or(self.past.get(&uid))
                };
                let moved = here.is_none();
                let same = here.is_some_and(|here| here.lines == lines && here.forgotten);
                let known_as = here.or_else(elsewhere);
                let origin = self.origin(&uid, origins);
                let mut event = Known1 {
                    wish: Wish::Any,
                    pure: purified(&lines, known_as.or(origin).map(|e| &e.pure), &known, place),
                    lines,
                    linked: known_as.is_some_and(|event| event.linked),
                    out: known_as.is_some_and(|event| event.out),
                    open: known_as.is_some_and(|event| event.open),
                    before: here.and_then(|event| event.before.clone()),
                    before_it_moved: match here {
                        Some(here) => here.before_it_moved.clone(),
                        None => known_as.and_then(|event| event.before.clone()),
                    },
                    wrote: known_as.and_then(|event| event.wrote),
                    attempts: known_as.map_or(0, |event| event.attempts),
                    unmarked: known_as.or(origin).is_some_and(|event| event.unmarked),
                    restored: known_as
                        .map(|event| event.restored.clone())
                        .unwrap_or_default(),
                    forgotten: known_as.is_some_and(|event| event.forgotten),
                    stranger: known_as.is_some_and(|event| event.stranger),
                    missed: known_as
                        .is_some_and(|event| event.missed || (event.forgotten && !same)),
                    same,
                };
                event.judge(&uid, &known, moved, self.lost);
                if ended.contains(&uid) {
                    event.wish = Wish::Any;
                }
                if matches!(event.wish, Wish::Linked | Wish::Any) {
                    self.eligible.insert(uid.clone());
                }
                events.insert((name.clone(), uid), event);
            }
        }
        for ((_, uid), event) in std::mem::replace(&mut self.events, events) {
            self.past.insert(uid, event);
        }
    }

    /// The state is lost: what is known of an event is what stands in it.
    pub(super) fn forget(&mut self) {
        self.lost = true;
        for event in self.events.values_mut().chain(self.past.values_mut()) {
            event.forgotten = true;
            (event.before, event.before_it_moved, event.wrote) = (None, None, None);
            (event.attempts, event.restored) = (0, Vec::new());
        }
    }

    /// The first of these keys that is of an event whose link was whole, and its event the same, when the
    /// state was lost.
    pub(super) fn whole_in_lost_state<'k>(
        &self,
        keys: &'k [String],
        is_whole: impl Fn(&Known1, &str) -> bool,
    ) -> Option<&'k String> {
        let whole = |key: &str| {
            let mut all = self.events.iter().filter(|((_, uid), _)| uid == key);
            all.any(|(_, event)| {
                event.same && event.wish == Wish::Linked && event.linked && is_whole(event, key)
            })
        };
        keys.iter().find(|key| whole(key))
    }

    /// The event that this one was copied from, or from whose copy.
    fn origin(&self, uid: &str, origins: &[(String, String)]) -> Option<&Known1> {
        let (_, origin) = origins.iter().rev().find(|(copy, _)| copy == uid)?;
        let mut all = self.events.iter().filter(|((_, other), _)| other == origin);
        let found = all.next().map(|(_, event)| event);
        let found = found.or_else(|| self.past.get(origin));
        found.or_else(|| self.origin(origin, origins))
    }

    /// Takes note of what was written, and of what is shown at rest.
    pub(super) fn rested(&mut self, world: &World, writes: &[super::world::Write]) {
        let known = world.known();
        for write in writes {
            let (before, after) = (Text::parse(&write.before), Text::parse(&write.after));
            for uid in before.uids() {
                let (old, new) = (before.event(&uid), after.event(&uid));
                if old == new {
                    continue;
                }
                if !shows(&new, &uid, &known) {
                    // What we take out ourselves may leave what was there before the link.
                    if let Some(event) = self.events.get_mut(&(write.name.clone(), uid)) {
                        event.before = event.before.take().filter(|_| !event.out);
                        // It counts as a write like others: nothing that a calendar does by itself may have
                        // the link put in and taken out for ever.
                        if !event.out {
                            event.attempts = 1;
                            event.wrote = Some(write.at);
                        }
                    }
                    continue;
                }
                if let Some(event) = self.events.get_mut(&(write.name.clone(), uid)) {
                    event.attempts = if event.looks_written(&old)
                        || event.before_it_moved == Some(bytes(&old))
                    {
                        event.attempts + 1
                    } else {
                        1
                    };
                    event.before = Some(bytes(&old));
                    event.wrote = Some(write.at);
                    event.stranger = false;
                }
            }
        }
        for ((name, uid), event) in &mut self.events {
            let Some(stored) = world.bytes(name) else {
                continue;
            };
            event.lines = Text::parse(&stored).event(uid);
            event.open = event.wish == Wish::Any && event.linked;
            // Taken out for a tag or another conference: it comes back when that goes.
            event.linked &= event.wish != Wish::Bare || event.out;
            if shows(&event.lines, uid, &known) && !event.stranger {
                event.linked = true;
                event.open = false;
                event.out = false;
                event.wrote = event.wrote.or(stamp(&event.lines)).or(Some(world.now()));
            }
        }
    }
}

impl Known1 {
    fn judge(&mut self, uid: &str, known: &Known, moved: bool, lost: bool) {
        let features = Features::of(&self.lines, uid, known);
        let met_again = std::mem::take(&mut self.forgotten);
        if met_again {
            self.meet_again(&features);
        }
        let holds = |part: &Vec<Line>| {
            let mut all = properties(part).into_iter();
            all.any(|p| known.all().iter().any(|url| p.value.contains(url)))
        };
        // A label outlives the link whose mark does not claim it.
        let labelled = |part: &Vec<Line>| {
            value(part, "LOCATION").is_some_and(|text| text.trim() == "Microsoft Teams Meeting")
        };
        let mut parts = self.lines.iter();
        self.unmarked &= parts.any(|part| holds(part) || labelled(part));
        let unmarked = |part: &Vec<Line>| value(part, "X-MEETBRIDGE-MEETING").is_none();
        let mut parts = self.lines.iter();
        self.unmarked |= parts.any(|part| holds(part) && unmarked(part));
        // A link without a mark, of which the state that is lost knew whose it was.
        if (self.stranger && (features.shows || features.left))
            || (lost && features.copied > 0 && !features.link_mark)
        {
            self.wish = match self.same && features.copied == 0 && !moved {
                true => Wish::Still,
                false => Wish::Any,
            };
            return;
        }
        if std::mem::take(&mut self.stranger) {
            self.wish = Wish::Any;
            return;
        }
        if features.shows {
            self.wish = features.shown();
            if self.same && features.copied > 0 {
                self.wish = Wish::Still;
            }
            // Whether another link was put in meanwhile, or known before, nobody knows.
            if met_again && !self.same && features.foreign && !features.no_teams {
                self.wish = Wish::Any;
            }
            // What looks like a calendar that drops a part is not written again and again.
            if self.looks_written(&self.lines) && self.attempts >= 2 {
                self.wish = Wish::Any;
            }
            return;
        }

        if self.open {
            // A copy from before the link that comes back here has come back once.
            self.restored.push(bytes(&self.lines));
            self.wish = Wish::Any;
            return;
        }
        if !self.linked {
            self.wish = features.fresh();
            return;
        }
        // A removal, unless it is a copy from before the link.
        let content = bytes(&self.lines);
        let older = stamp(&self.lines).zip(self.wrote);
        let older = older.is_some_and(|(stamp, wrote)| stamp.timestamp() < wrote.timestamp());
        if older || self.before.as_ref() == Some(&content) {
            self.wish = match self.restored.contains(&content) {
                true => Wish::Any,
                false => features.fresh(),
            };
            self.restored.push(content);
            return;
        }
        // What it was before the link is not known where it has come to: it may be either.
        let was = self.before_it_moved.as_ref() == Some(&content);
        if was || (moved && !self.out) {
            // If it was taken for a restored copy, that was the once for this version.
            self.restored.push(content);
            self.wish = Wish::Any;
            return;
        }
        self.out = true;
        self.wish = if !features.cancelled && !features.all_day {
            Wish::Bare
        } else {
            Wish::Still
        };
    }
}

impl Known1 {
    /// What is known of it by what stands in it alone: its link by the mark, that it was taken out by the
    /// mark that says so.
    fn meet_again(&mut self, features: &Features) {
        self.stranger = features.shows && !features.link_mark;
        let was_out = std::mem::take(&mut self.out);
        self.linked = features.shows && features.link_mark;
        self.wrote = stamp(&self.lines);
        self.open = false;
        if features.shows {
            return;
        }
        // What a person left of the link is less than an opt-out.
        let left = was_out || features.link_mark || features.left;
        self.open = left && !features.opt_out_mark;
        self.linked = self.open;
    }

    /// Whether this could be what the calendar made of the last write.
    fn looks_written(&self, lines: &[Vec<Line>]) -> bool {
        let stamped = stamp(lines).zip(self.wrote);
        stamped.is_some_and(|(stamp, wrote)| stamp.timestamp() == wrote.timestamp())
            || self.before.as_deref() == Some(&bytes(lines))
    }
}

/// The later of its stamps.
fn stamp(event: &[Vec<Line>]) -> Option<DateTime<Utc>> {
    let all = event.iter().flat_map(|part| properties(part));
    let stamps = all.filter(|p| p.name == "DTSTAMP" || p.name == "LAST-MODIFIED");
    stamps
        .filter_map(|p| NaiveDateTime::parse_from_str(&p.value, "%Y%m%dT%H%M%SZ").ok())
        .map(|time| time.and_utc())
        .max()
}

pub(super) fn bytes(event: &[Vec<Line>]) -> Vec<u8> {
    let lines = event.iter().flatten();
    lines.flat_map(|line| line.0.clone()).collect()
}
