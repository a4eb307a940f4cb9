//! Promises 1, 2, 3 and 12: each event has what it should have, and no more.

use super::{Play, comparable};
use crate::people::generate::Place;
use crate::people::model::{Wish, difference, is_foreign, purified};
use crate::people::text::{Line, Property, Text, block, properties, unescaped, value};
use crate::people::world::Known;

impl Play<'_> {
    /// Promise 1.
    pub(super) fn meetings(&self) -> Result<(), String> {
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
    pub(super) fn events(&self) -> Result<(), String> {
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
    pub(super) fn lacking(
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
            let copied = |p: &Property| p.name != "DESCRIPTION" && others.contains(&p.value.trim());
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
}

/// The lines of ours in an event, by name.
fn ours(event: &[Vec<Line>], known: &Known) -> Vec<String> {
    let all = event.iter().flat_map(|part| properties(part));
    let is_ours = |p: &Property| match p.name.as_str() {
        "X-MEETBRIDGE-MEETING" => p.value.trim() != "v1.opt-out",
        "DESCRIPTION" => block(&p.value, &known.all()).is_some(),
        "CONFERENCE" if known.dials.iter().any(|dial| dial == p.value.trim()) => true,
        _ => known.key(&p.value).is_some(),
    };
    all.filter(is_ours).map(|p| p.name).collect()
}
