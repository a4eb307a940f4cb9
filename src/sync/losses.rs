//! Links that are gone: their events vanished, or they were taken out of them. When many are gone at
//! once, the calendar freezes before anything else is concluded from it (DESIGN.md, promise 8).

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::survey::Survey;
use super::understand::{Understood, has_link};
use super::unlink::is_unlinked;
use super::{Bridge, Watched};
use crate::calendar::Scope;
use crate::ical::event::{Event, Next};
use crate::log;
use crate::model::{ResourceId, Uid, Version};
use crate::plan::marked_generation;
use crate::state::{CalendarRecord, Frozen, Gone, Link, Phase, ResourceRecord, StateError};

/// As many links may be gone in one pass, whatever their share.
const MOST: usize = 20;

/// Or one in so many.
const SHARE: usize = 5;

/// How far apart the two readings are by which an absence is confirmed.
const INTERVAL: chrono::Duration = chrono::Duration::seconds(60);

/// What a pass found to be gone, to be remembered once it is judged as a whole.
#[derive(Default)]
pub(super) struct Losses {
    /// Links that are gone for sure.
    lost: Vec<Link>,
    /// Links that are absent, for the first time.
    absent: Vec<Link>,
    /// Resources of which nothing is left to look for.
    gone: Vec<ResourceId>,
    /// Resources that the next listing is to look for again.
    unsure: Vec<ResourceId>,
    /// What was decided of resources that are there and lost a link.
    records: Vec<ResourceRecord>,
}

impl Losses {
    /// Takes what a resource lost; its record, if nothing else is to be done about it, waits for the
    /// judgement: until then the next pass must find the loss again.
    pub(super) fn add(&mut self, found: &mut Found) {
        self.lost.append(&mut found.lost);
        self.absent.append(&mut found.absent);
    }

    /// See [`Self::add`].
    pub(super) fn settle(&mut self, record: ResourceRecord) {
        self.records.push(record);
    }
}

/// What one reading of a resource shows to be gone from it.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) lost: Vec<Link>,
    absent: Vec<Link>,
    /// When an absence is to be confirmed.
    pub(super) recheck: Option<DateTime<Utc>>,
}

impl Found {
    /// Whether nothing is gone.
    pub(super) fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.absent.is_empty()
    }

    /// A link of an event that is not there.
    pub(super) fn absent(&mut self, calendar: &Watched, link: Link, now: DateTime<Utc>) {
        let since = link.gone.map_or(now, |gone| gone.since);
        let confirmed =
            calendar.port.confirms_absence() || now.signed_duration_since(since) >= INTERVAL;
        let is_news = link.gone.is_none();
        let gone = Link {
            gone: Some(Gone { since, confirmed }),
            ..link
        };
        if confirmed {
            self.lost.push(gone);
            return;
        }
        self.recheck = super::sooner(self.recheck, since.checked_add_signed(INTERVAL));
        if is_news {
            self.absent.push(gone);
        }
    }

    /// A link that is not in its event any more, if it was seen there and not known to be gone.
    pub(super) fn taken_out(&mut self, event: &Event, link: &Link, now: DateTime<Utc>) {
        if link.phase != Phase::Seen || link.gone_since().is_some() || event.fault.is_some() {
            return;
        }
        self.lost.push(Link {
            ends: ends(event, Some(link), now),
            gone: Some(Gone {
                since: now,
                confirmed: true,
            }),
            ..link.clone()
        });
    }
}

/// What a read of an event tells of its link beside what is done about it. `former`: it is to a
/// former meeting. `out`: it is to go all the same.
pub(super) fn as_read(
    event: &Event,
    link: &Link,
    shown: bool,
    former: bool,
    out: bool,
    now: DateTime<Utc>,
) -> Link {
    let shown = shown && !out;
    let gone = link.gone.filter(|gone| gone.confirmed && !shown);
    let cancelled = (event.cancelled && shown).then(|| link.cancelled.unwrap_or(now));
    Link {
        phase: if shown { Phase::Seen } else { link.phase },
        ends: ends(event, Some(link), now),
        gone,
        cancelled,
        closed: link.closed && (gone.is_some() || cancelled.is_some()),
        former,
        unmarked: match shown {
            true => marked_generation(event).is_none(),
            false => link.unmarked,
        },
        ..link.clone()
    }
}

/// When an event ends; of one that is over, when that was first noticed.
pub(super) fn ends(
    event: &Event,
    link: Option<&Link>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let known = link.and_then(|link| link.ends);
    match event.next {
        Next::At(span) => (!event.recurring).then_some(span.end),
        Next::Past => Some(known.filter(|end| *end <= now).unwrap_or(now)),
        Next::Unknown => known,
    }
}

impl Understood {
    /// Notes what is gone from the resource: `absent` are the links of events that it does not hold.
    pub(super) fn note_losses(
        &mut self,
        calendar: &Watched,
        absent: impl Iterator<Item = Link>,
        now: DateTime<Utc>,
    ) {
        // Where a part was not understood, an event may be in it.
        if self.faults.is_empty() {
            for link in absent.filter(|link| link.gone_since().is_none()) {
                self.losses.absent(calendar, link, now);
            }
        }
        for planned in &self.events {
            if let (Some(link), Some(meeting)) = (&planned.link, &planned.meeting)
                && !has_link(calendar, planned, meeting)
            {
                self.losses.taken_out(&planned.event, link, now);
            }
        }
        self.note_taken_out(now);
    }
}

impl Bridge {
    /// Remembers that a resource is there, before meetings are made for its events: one that goes before
    /// anything else is remembered of it would never be missed.
    pub(super) fn will_miss(&self, calendar: &Watched, id: &ResourceId) -> Result<(), StateError> {
        let name = &calendar.name;
        if self.state.resource(name, id)?.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        // A server that tells what changed may never tell of one that came and went since.
        let told_once = self.state.calendar(name)?.token.is_some();
        let record = ResourceRecord {
            id: id.clone(),
            version: Version::new(""),
            first_seen: now,
            due: told_once.then_some(now),
            outcome: Vec::new(),
        };
        self.state.put_resource(name, &record)
    }

    /// Takes note of a resource that is reported as vanished. Servers report deletions of what they
    /// never held: one of which nothing is remembered is none.
    pub(super) fn vanish(
        &self,
        calendar: &Watched,
        scope: &Scope,
        id: ResourceId,
        survey: &mut Survey,
    ) -> Result<(), StateError> {
        let (name, now) = (&calendar.name, self.clock.now());
        let mut links = self.state.links(name, &id)?;
        links.retain(|link| link.gone_since().is_none());
        if links.is_empty() && self.state.resource(name, &id)?.is_none() {
            return Ok(());
        }
        let mut found = Found::default();
        let confirms = calendar.port.confirms_absence();
        let unsure = if links.is_empty() {
            false
        } else if confirms || *scope == Scope::All {
            links
                .into_iter()
                .for_each(|link| found.absent(calendar, link, now));
            found.recheck.is_some()
        } else {
            // No complete reading: the next listing says.
            true
        };
        survey.losses.add(&mut found);
        if unsure {
            survey.losses.unsure.push(id.clone());
        } else {
            survey.losses.gone.push(id.clone());
        }
        log::event!(RESOURCE_VANISHED, calendar = %name, resource = %id);
        self.troubles.vanished(name, &id);
        survey.changed = true;
        survey.touched.insert(id);
        Ok(())
    }

    /// Judges what a pass found to be gone, freezes the calendar if that is a mass of links, then
    /// remembers it.
    pub(super) fn settle_losses(
        &self,
        calendar: &Watched,
        record: &mut CalendarRecord,
        losses: Losses,
    ) -> Result<(), StateError> {
        let name = &calendar.name;
        if let Some((lost, all)) = self.mass_of(calendar, record, &losses)? {
            let why = format!(
                "{lost} of its {all} future links vanished or were taken out at once; look whether \
                 the events are there, and run `meetbridge resume {name}` to go on without them"
            );
            let since = record.frozen.as_ref().map_or(self.clock.now(), |f| f.since);
            let was = record.frozen.replace(Frozen { since, why });
            self.state.put_calendar(name, record)?;
            if was.is_none() || !record.first_pass_done {
                let why = record.frozen.iter().map(|frozen| frozen.why.as_str());
                log::event!(CALENDAR_FROZEN, calendar = %name, reason = why.collect::<String>());
            }
        }
        let links = [losses.lost, losses.absent].concat();
        if !links.is_empty() {
            self.state.put_links(&links)?;
        }
        for id in &losses.gone {
            self.state.forget_resource(name, id)?;
        }
        for id in &losses.unsure {
            self.state.forget_decision(name, id)?;
        }
        self.state.put_resources(name, &losses.records)
    }

    /// How many of the calendar's future links are gone, and how many there were, if that is a mass.
    /// In a frozen calendar, what went since it froze counts too: `resume` consents to all of it.
    fn mass_of(
        &self,
        calendar: &Watched,
        record: &CalendarRecord,
        losses: &Losses,
    ) -> Result<Option<(usize, usize)>, StateError> {
        // What was unlinked is no loss.
        let frozen = record.frozen.as_ref().filter(|frozen| !is_unlinked(frozen));
        let frozen = frozen.map(|frozen| frozen.since);
        if losses.lost.is_empty() || (losses.lost.len() <= MOST && frozen.is_none()) {
            return Ok(None);
        }
        let now = self.clock.now();
        let all = self.state.all_links(&calendar.name)?;
        let just_lost: HashSet<(&ResourceId, &Uid)> =
            losses.lost.iter().map(|l| (&l.resource, &l.uid)).collect();
        let lost_before = |link: &Link| {
            let gone = link.gone_since();
            gone.is_some_and(|gone| frozen.is_some_and(|since| gone >= since))
        };
        let is_lost =
            |link: &Link| just_lost.contains(&(&link.resource, &link.uid)) || lost_before(link);
        let counts = |link: &&Link| {
            link.phase != Phase::Intended
                && link.is_future(now)
                && (link.gone_since().is_none() || lost_before(link))
        };
        let (lost, left): (Vec<&Link>, Vec<&Link>) =
            all.iter().filter(counts).partition(|link| is_lost(link));
        // An event that has moved to another resource is not lost.
        let there: HashSet<&Uid> = left.iter().map(|link| &link.uid).collect();
        let lost = lost.iter().filter(|l| !there.contains(&l.uid)).count();
        Ok(is_mass(lost, lost + left.len()).then_some((lost, lost + left.len())))
    }
}

/// Whether so many of all at once are more than people and their programs take out.
fn is_mass(lost: usize, all: usize) -> bool {
    lost > MOST && lost * SHARE > all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mass_is_more_than_20_and_more_than_a_fifth() {
        let cases = [
            ((0, 0), false),
            ((20, 20), false),
            ((21, 21), true),
            ((21, 104), true),
            ((21, 105), false),
            ((200, 1_000), false),
            ((201, 1_000), true),
        ];
        for ((lost, all), expected) in cases {
            assert_eq!(is_mass(lost, all), expected, "{lost} of {all}");
        }
    }
}
