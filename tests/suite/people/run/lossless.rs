//! Promises 2 and 13: what is written is ours alone, and goes again without a trace.

use meetbridge::ical::document::Document;
use meetbridge::ical::edit::Edits;
use meetbridge::ical::{read, write};
use meetbridge::model::JoinUrl;

use super::{Play, comparable, shown};
use crate::people::model::{Wish, bytes, difference, is_twin, purified, shows, without_empty};
use crate::people::text::{Line, Text};
use crate::people::world::{Known, Write, start};

impl Play<'_> {
    /// Promises 2 and 7: what is handed back is what was read, our lines and stamps apart.
    pub(super) fn only_ours(&self, write: &Write) -> Result<(), String> {
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

    /// Promise 13: without the link, it is what a person saved last.
    pub(super) fn reversible(&self) -> Result<(), String> {
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

/// The bytes with the links of the chosen events taken out.
fn detached(bytes: &[u8], chosen: impl Fn(&str) -> bool, known: &Known) -> Result<Vec<u8>, String> {
    let document = Document::parse(bytes).map_err(|error| error.to_string())?;
    let events = read::read(&document, chrono_tz::UTC, start()).events;
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
