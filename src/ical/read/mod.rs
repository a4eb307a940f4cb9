//! Understands the events of a document.
//!
//! In: a [`Document`], the zone of floating times, the time. Out: the [`Event`]s, each with all its
//! VEVENTs, and what could not be understood, with its place. A broken VEVENT never hides another.
//!
//! `vevent` reads one VEVENT, `guard` stands before the parser of its dates, `zone` knows what a TZID
//! means, `time` and `recurrence` know when it takes place, `conference` finds the links in
//! it. Takes CPU time in proportion to the document: not for an async thread.

mod conference;
mod dated;
mod expand;
mod guard;
mod provider;
mod recurrence;
mod rule;
mod time;
mod vevent;
mod zone;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use self::expand::Budget;
use self::recurrence::{Change, Series, Without};
use self::time::{Frame, Length, When};
use self::vevent::{End, Vevent};
pub use self::zone::iana_zone;
use self::zone::{Zone, Zones};
pub use super::document::Fault;
use super::document::{Component, Document};
use super::event::{Event, Next};
use crate::model::{JoinUrl, Span, Uid, hex, sha256};

/// The longest span a meeting gets.
const LONGEST: TimeDelta = TimeDelta::hours(24);

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its events, in the order of their first VEVENT.
    pub events: Vec<Event>,
    /// What is not understood and belongs to no event, by line: the document's own faults, and VEVENTs
    /// without UID.
    pub faults: Vec<Fault>,
}

/// Reads the events of `document`. Floating times and days are those of its X-WR-TIMEZONE, else of
/// `zone`; occurrences that have ended by `now` are past.
pub fn read(document: &Document<'_>, zone: Tz, now: DateTime<Utc>) -> Reading {
    let components = document.components();
    let zones = Zones::of(document);
    let reader = Reader {
        document,
        calendars: calendars(document, &zones),
        zone: Zone::Iana(zone),
        now,
        budget: Budget::of(document.bytes().len()),
    };
    let mut faults = document.faults().to_vec();
    let mut groups: Vec<(Uid, Vec<Vevent<'_>>)> = Vec::new();
    let mut places: HashMap<Uid, usize> = HashMap::new();
    for (index, component) in components.iter().enumerate() {
        if component.name != "VEVENT" {
            continue;
        }
        let vevent = Vevent::read(
            document,
            index,
            component,
            &zones,
            reader.calendar(index).cancels,
        );
        let Some(uid) = vevent.uid.clone() else {
            faults.push(Fault {
                line: component.line,
                what: "an event with no UID".to_owned(),
            });
            continue;
        };
        let place = *places.entry(uid.clone()).or_insert_with(|| {
            groups.push((uid, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, group)) = groups.get_mut(place) {
            group.push(vevent);
        }
    }
    faults.sort_by_key(|fault| fault.line);
    Reading {
        events: groups
            .into_iter()
            .filter_map(|(uid, group)| reader.event(uid, group))
            .collect(),
        faults,
    }
}

/// Adds to the event's links what stands in it of `url`, which is known to be a Teams link, though neither its
/// host nor what stands beside it need tell that.
pub fn recognize(document: &Document<'_>, event: &mut Event, url: &JoinUrl) {
    for component in &mut event.components {
        vevent::recognize(document, component, url);
    }
}

/// Whether its host tells that `url` is a Teams link: then it needs no [`recognize`].
pub fn is_listed(url: &JoinUrl) -> bool {
    conference::is_listed(url)
}

/// What a VCALENDAR says of all that is in it.
#[derive(Clone, Copy, Debug, Default)]
struct Calendar<'z> {
    cancels: bool,
    version_1: bool,
    /// Where its floating times and days are.
    zone: Option<Zone<'z>>,
}

fn calendars<'z>(document: &Document<'_>, zones: &'z Zones<'_>) -> HashMap<usize, Calendar<'z>> {
    let vcalendars = document.components().iter().enumerate();
    vcalendars
        .filter(|(_, component)| component.name == "VCALENDAR")
        .map(|(index, _)| {
            let mut calendar = Calendar::default();
            for line in document.lines(index) {
                if line.is("METHOD") {
                    calendar.cancels |= line.value().trim().eq_ignore_ascii_case("CANCEL");
                } else if line.is("VERSION") {
                    calendar.version_1 |= line.value().trim() == "1.0";
                } else if line.is("X-WR-TIMEZONE") {
                    calendar.zone = zones.get(&line.value(), Some(index)).ok();
                }
            }
            (index, calendar)
        })
        .collect()
}

struct Reader<'a> {
    document: &'a Document<'a>,
    calendars: HashMap<usize, Calendar<'a>>,
    zone: Zone<'a>,
    now: DateTime<Utc>,
    budget: Budget,
}

impl<'a> Reader<'a> {
    /// `None` only for an empty group.
    fn event(&self, uid: Uid, group: Vec<Vevent<'a>>) -> Option<Event> {
        let (master, another) = master(&group);
        let first = group.first()?;
        let lead = master.unwrap_or(first);
        let next = self
            .fault(&group, another)
            .map_or_else(|| self.next(master, &group), Err);
        let cancelled = match master {
            Some(master) => master.component.cancelled,
            None => group.iter().all(|vevent| vevent.component.cancelled),
        };
        let mut known = HashSet::new();
        Some(Event {
            uid,
            summary: lead.summary.clone(),
            cancelled,
            class: lead.class,
            transparent: lead.transparent,
            all_day: matches!(lead.times.start, Some(When::Date(_))),
            categories: group
                .iter()
                .flat_map(|v| v.categories.iter().cloned())
                .collect(),
            location: lead.location.clone(),
            organizer: lead
                .organizer
                .clone()
                .or_else(|| group.iter().find_map(|vevent| vevent.organizer.clone())),
            attendees: group
                .iter()
                .flat_map(|vevent| &vevent.attendees)
                .filter(|attendee| known.insert(attendee.as_str()))
                .cloned()
                .collect(),
            recurring: group
                .iter()
                .any(|vevent| !(vevent.times.rules.is_empty() && vevent.times.extra.is_empty())),
            next: match &next {
                Ok(Some(span)) => Next::At(*span),
                Ok(None) => Next::Past,
                Err(_) => Next::Unknown,
            },
            last_modified: group.iter().filter_map(|vevent| vevent.last_modified).max(),
            stamped: group.iter().filter_map(|vevent| vevent.stamped).max(),
            sequence: group
                .iter()
                .map(|vevent| vevent.sequence)
                .max()
                .unwrap_or(0),
            schedule: self.schedule(&group),
            content: self.content(&group),
            line: next.as_ref().err().map_or(first.line, |fault| fault.line),
            fault: next.err().map(|fault| fault.what),
            components: group.into_iter().map(|vevent| vevent.component).collect(),
        })
    }

    /// What keeps the event as a whole from being understood.
    fn fault(&self, group: &[Vevent<'a>], another: Option<&Vevent<'a>>) -> Option<Fault> {
        let old = |vevent: &&Vevent<'a>| self.calendar(vevent.component.index).version_1;
        if let Some(vevent) = group.iter().find(old) {
            return Some(fault(vevent.line, "vCalendar 1.0 is not supported"));
        }
        if let Some(another) = another {
            return Some(fault(another.line, "the UID is used by two events"));
        }
        group.iter().find_map(|vevent| vevent.fault.clone())
    }

    /// The occurrence that decides the meeting's time, cut to 24 hours.
    fn next(
        &self,
        master: Option<&Vevent<'a>>,
        group: &[Vevent<'a>],
    ) -> Result<Option<Span>, Fault> {
        let now = self.now;
        let wanted = |span: &Span| span.end > now || span.start == span.end && span.start >= now;
        let mut overrides: Vec<&Vevent<'a>> = group
            .iter()
            .filter(|vevent| vevent.component.is_override)
            .collect();
        // Of two overrides of one occurrence the one with the higher SEQUENCE counts, else the later.
        overrides.sort_by_key(|vevent| vevent.sequence);
        let frame =
            master.and_then(|master| Some(Frame::of(master.times.start?, self.zone(master))));
        let mut places = HashMap::new();
        let mut without = Without::default();
        for vevent in overrides {
            let Some(id) = vevent.times.recurrence_id else {
                continue;
            };
            if let Some(frame) = frame {
                without.add(frame, id);
            }
            let frame = frame.unwrap_or(Frame::of(id, self.zone(vevent)));
            places.insert(frame.instant(frame.local(id)), vevent);
        }
        let mut next = None;
        let mut changes = Vec::new();
        for vevent in places.into_values() {
            let cancelled = vevent.component.cancelled;
            let changed = frame.zip(vevent.times.recurrence_id);
            let changed = changed.filter(|_| vevent.times.and_future);
            let changed = changed.map(|(frame, id)| (frame, frame.local(id)));
            if cancelled {
                changes.extend(changed.map(|(_, at)| Change::cancels(at)));
                continue;
            }
            let (own, start, length) = self.own(vevent)?;
            changes.extend(changed.map(|(frame, at)| Change {
                at,
                shift: frame.of_instant(own.instant(start)) - at,
                length,
                cancelled: false,
            }));
            let single = Series::single(own, start, length);
            let found = single.first(now, wanted, &self.budget);
            next = earliest(next, found.map_err(|what| fault(vevent.line, what))?);
        }
        if let Some(master) = master {
            let (frame, start, length) = self.own(master)?;
            let times = &master.times;
            for &when in &times.except {
                without.add(frame, when);
            }
            let extra = times.extra.iter().map(|extra| {
                let end = extra.end.map(|end| match end {
                    End::After(length) => length,
                    End::At(end) => {
                        let start = frame.local(extra.start);
                        Length::between(frame, start, end, self.zone(master))
                    }
                });
                (extra.start, end)
            });
            let in_rules = |what| fault(master.rule_line.unwrap_or(master.line), what);
            let series = Series::single(frame, start, length)
                .with_rules(&times.rules, &times.except_rules)
                .map_err(in_rules)?
                .with_extra(extra)
                .with_changes(changes)
                .without(without);
            let found = series.first(now, wanted, &self.budget);
            next = earliest(next, found.map_err(in_rules)?);
        }
        Ok(next.map(|span| Span {
            end: span.end.min(span.start + LONGEST),
            ..span
        }))
    }

    /// Where a VEVENT's DTSTART is, and how long it is.
    fn own(&self, vevent: &Vevent<'a>) -> Result<(Frame<'a>, NaiveDateTime, Length), Fault> {
        let times = &vevent.times;
        let missing = || fault(vevent.line, "it has no DTSTART");
        let start = times.start.ok_or_else(missing)?;
        let frame = Frame::of(start, self.zone(vevent));
        let local = frame.local(start);
        let length = match (times.end, times.duration) {
            (Some(end), _) => Length::between(frame, local, end, self.zone(vevent)),
            (None, Some(duration)) => duration,
            (None, None) if frame.all_day => Length::days(1),
            (None, None) => Length::ZERO,
        };
        Ok((frame, local, length))
    }

    /// Where its floating times and days are.
    fn zone(&self, vevent: &Vevent<'a>) -> Zone<'a> {
        self.calendar(vevent.component.index)
            .zone
            .unwrap_or(self.zone)
    }

    /// The VCALENDAR the component with that index stands in.
    fn calendar(&self, component: usize) -> Calendar<'a> {
        let mut at = Some(component);
        while let Some(index) = at {
            if let Some(calendar) = self.calendars.get(&index) {
                return *calendar;
            }
            at = self.component(index).and_then(|component| component.parent);
        }
        Calendar::default()
    }

    fn component(&self, index: usize) -> Option<&Component> {
        self.document.components().get(index)
    }

    fn schedule(&self, group: &[Vevent<'a>]) -> String {
        let mut lines = Vec::new();
        for vevent in group {
            lines.extend_from_slice(b"VEVENT\n");
            lines.extend_from_slice(&vevent.schedule);
        }
        digest(&lines)
    }

    fn content(&self, group: &[Vevent<'a>]) -> String {
        let bytes = self.document.bytes();
        let ranges = group
            .iter()
            .filter_map(|vevent| bytes.get(self.component(vevent.component.index)?.range.clone()));
        match group {
            [_] => digest(ranges.into_iter().next().unwrap_or_default()),
            _ => digest(&ranges.flatten().copied().collect::<Vec<u8>>()),
        }
    }
}

fn fault(line: usize, what: impl Into<String>) -> Fault {
    let what = what.into();
    Fault { line, what }
}

/// The master of a group, and another that puts it in doubt.
///
/// Of several the one with the highest SEQUENCE is the event and the others are older versions of it
/// (RFC 5545, 3.8.7.4). Several of that SEQUENCE are one event if they take place at the same times; else
/// they are different events with one UID, which must not be (RFC 5545, 3.8.4.7).
fn master<'g, 'z>(group: &'g [Vevent<'z>]) -> (Option<&'g Vevent<'z>>, Option<&'g Vevent<'z>>) {
    let masters = || group.iter().filter(|one| !one.component.is_override);
    let newest = masters().map(|one| one.sequence).max();
    let mut newest = masters().filter(|one| Some(one.sequence) == newest);
    let first = newest.next();
    let another = newest.find(|one| first.is_some_and(|first| first.times != one.times));
    (first, another)
}

fn earliest(one: Option<Span>, other: Option<Span>) -> Option<Span> {
    [one, other].into_iter().flatten().min()
}

fn digest(bytes: &[u8]) -> String {
    let mut digest = hex(&sha256([bytes]));
    digest.truncate(16);
    digest
}

#[cfg(test)]
mod tests;
