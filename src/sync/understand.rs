//! Bytes → events → decisions, for one resource.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::keeps::{last_write, learn};
use super::losses;
use super::reading::{self, Content};
use super::rewrite::{Rewriting, to_be_updated};
use super::take_out::{Traces, stays_out};
use super::{Bridge, PassError, Report, Watched, sooner};
use crate::calendar::Resource;
use crate::ical::event::{Event, Next, Place, Provider};
use crate::ical::write;
use crate::log;
use crate::meeting::{Applied, Details, Meeting};
use crate::model::{CalendarName, Generation, JoinUrl, ResourceId, Uid};
use crate::plan::{
    Ask, Decided, Decision, Standing, Style, Why, assumed_span, decide, is_adopted_beside, key_of,
    marked_generation, stamp, wants_out,
};
use crate::state::{Former, Kept, Link, MeetingRecord, Phase, ResourceRecord, StateError};

/// How many faults of a resource are logged one by one: a hostile file has thousands.
const LOGGED_FAULTS: usize = 10;

/// A resource, and what each of its events needs.
pub struct Understood {
    /// The resource as read.
    pub resource: Resource,
    /// Its events.
    pub events: Vec<Planned>,
    /// What could not be understood: the line, and the reason.
    pub faults: Vec<String>,
    /// When this version was first read.
    pub first_seen: DateTime<Utc>,
    /// What is gone from it.
    pub(super) losses: losses::Found,
}

/// One event, and what it needs.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The resource that holds it.
    pub resource: ResourceId,
    /// The event as read.
    pub event: Event,
    /// What it needs.
    pub decided: Decided,
    /// Its link, remembered or found in it.
    pub link: Option<Link>,
    /// Its meeting, remembered or found in it.
    pub meeting: Option<MeetingRecord>,
    /// A former meeting of its key, whose link it carries.
    pub former: Option<Box<Former>>,
    /// Its meeting is about to be replaced by another one, at this calendar's wish.
    pub moving: bool,
    /// The generation of its meeting's key.
    pub generation: Generation,
    /// Link and meeting were found in the event and are not remembered yet.
    pub adopted: bool,
    /// Since when it is unchanged.
    pub unchanged_since: DateTime<Utc>,
    /// Whether its UID is known to stay.
    pub uid: Standing,
}

/// What the decisions about the events of a resource have in common.
struct Context<'a, 'd> {
    calendar: &'a Watched,
    drops: &'a BTreeSet<Place>,
    rewriting: Option<&'a Rewriting<'a>>,
    traces: &'a Traces<'d>,
    /// What was remembered of the resource.
    known: Option<&'a ResourceRecord>,
    now: DateTime<Utc>,
}

impl Understood {
    /// Whether any event needs something done outside the state.
    pub fn acts(&self) -> bool {
        self.events.iter().any(|p| p.decided.what.acts())
    }

    /// Whether an event names a Teams link that is not known to be another event's.
    pub(super) fn names_another(&self) -> bool {
        let is_unknown = |planned: &Planned| {
            let foreign = Decision::Leave(Why::ForeignLink(Provider::Teams));
            let known = planned.link.as_ref().zip(planned.meeting.as_ref());
            planned.decided.what == foreign
                || known.is_some_and(|(link, known)| {
                    is_adopted_beside(&planned.event, link, &known.meeting.join_url, None)
                })
        };
        self.events.iter().any(is_unknown)
    }

    /// How many events will want a link as soon as they have settled, or their UIDs are proven.
    pub fn unsettled(&self) -> usize {
        let soon = [Why::Settling, Why::UidUnproven].map(Decision::Leave);
        self.events
            .iter()
            .filter(|p| p.link.is_none() && soon.contains(&p.decided.what))
            .count()
    }

    /// What is remembered of the resource when nothing (more) is done about it.
    pub(super) fn record(&self) -> ResourceRecord {
        let due = self
            .events
            .iter()
            .fold(self.losses.recheck, |due, p| sooner(due, p.decided.due));
        let mut record = ResourceRecord {
            id: self.resource.id.clone(),
            version: self.resource.version.clone(),
            first_seen: self.first_seen,
            due,
            outcome: Vec::new(),
        };
        for planned in &self.events {
            tally(&mut record.outcome, planned.decided.what.name());
        }
        for _ in &self.faults {
            tally(&mut record.outcome, "not-understood");
        }
        record
    }
}

/// Counts one more `name`.
pub(super) fn tally(outcome: &mut Vec<(String, u32)>, name: &str) {
    match outcome.iter_mut().find(|(known, _)| known == name) {
        Some((_, n)) => *n += 1,
        None => outcome.push((name.to_owned(), 1)),
    }
}

impl Bridge {
    /// Understands a resource and decides each of its events; `rewrite` says since when it is asked for
    /// that its links be rewritten. Changes nothing.
    pub(super) async fn understand(
        &self,
        calendar: &Watched,
        resource: Resource,
        rewrite: Option<DateTime<Utc>>,
    ) -> Result<Understood, PassError> {
        let part = reading::Part::of(&resource);
        let content = reading::read_one(part, calendar.zone, self.clock.now()).await;
        let mut kept = self.state.calendar(&calendar.name)?.kept;
        Ok(self.decide_all(calendar, resource, content, rewrite, &mut kept)?)
    }

    /// Decides each event of a resource that was read, and learns from it what the calendar keeps.
    /// Changes nothing else.
    pub(super) fn decide_all(
        &self,
        calendar: &Watched,
        resource: Resource,
        content: Content,
        rewrite: Option<DateTime<Utc>>,
        kept: &mut Kept,
    ) -> Result<Understood, StateError> {
        let Content { events, faults } = content;
        let now = self.clock.now();
        let remembered = self.state.resource(&calendar.name, &resource.id)?;
        let first_seen = match &remembered {
            Some(known) if known.version == resource.version => known.first_seen,
            _ => now,
        };
        let links = self.state.links(&calendar.name, &resource.id)?;
        let written = last_write(links.iter());
        let mut links: HashMap<Uid, Link> = links
            .into_iter()
            .map(|link| (link.uid.clone(), link))
            .collect();
        let bytes = resource.bytes.clone();
        let rewriting = Rewriting::of(rewrite, &bytes);
        let traces = Traces::of(&bytes);
        let mut planned = Vec::with_capacity(events.len());
        for mut event in events {
            self.recognize_known(&mut event, &traces)?;
            let link = links.remove(&event.uid);
            let past = |t: &DateTime<Utc>| *t <= now;
            let changed = resource
                .modified
                .filter(past)
                .max(event.last_modified.filter(past));
            // A version known for longer than its time says got that time from our own write.
            let since = changed.map_or(first_seen, |changed| changed.min(first_seen));
            let mut one = self.find(calendar, &resource.id, event, link, since)?;
            one.recognize(&traces);
            one.uid = standing(calendar, &resource.id, remembered.as_ref(), now);
            let decided = remembered.as_ref().map(|known| &known.version);
            learn(calendar, &resource, decided, written, &one, kept);
            let drops = kept.drops();
            let context = Context {
                calendar,
                drops: &drops,
                rewriting: rewriting.as_ref(),
                traces: &traces,
                known: remembered.as_ref(),
                now,
            };
            self.plan_event(&context, &resource.id, &mut one)?;
            planned.push(one);
        }
        let mut understood = Understood {
            resource,
            events: planned,
            faults,
            first_seen,
            losses: losses::Found::default(),
        };
        understood.note_losses(calendar, links.into_values(), now);
        Ok(understood)
    }

    /// Decides one event. An event that carries our link while nothing is remembered of it is decided
    /// as if it were remembered.
    fn plan_event(
        &self,
        context: &Context<'_, '_>,
        resource: &ResourceId,
        planned: &mut Planned,
    ) -> Result<(), StateError> {
        let (calendar, now) = (context.calendar, context.now);
        let (event, own) = (&planned.event, planned.meeting.as_ref());
        let own = own.map(|m| &m.meeting.join_url);
        let another = self.meeting_in(event, own, |known| known.uid != event.uid)?;
        let foreign_meeting = another.map(|(url, _)| url);
        planned.decided = {
            let ask = self.ask(context, planned, foreign_meeting.as_ref());
            decide(&ask)
        };
        if let Decision::Adopt {
            generation,
            join_url,
        } = planned.decided.what.clone()
        {
            let own = planned.meeting.as_ref().map(|m| &m.meeting.join_url);
            if own.is_some_and(|own| *own != join_url) {
                // Its key has another meeting in another resource; nothing tells which is the former one.
                planned.decided = Decided::default();
                return Ok(());
            }
            let is_over = planned.event.next == Next::Past;
            if is_over && context.known.is_some() && planned.meeting.is_none() {
                // The state is not lost: the link was forgotten, since its event is over.
                planned.decided.what = Decision::Leave(Why::Past);
                return Ok(());
            }
            let ask = self.ask(context, planned, None);
            let mut key = key_of(&ask, generation);
            if let Some(known) = &planned.meeting {
                key.organizer = known.organizer.clone();
                key.external_id = known.external_id.clone();
            }
            // Tells what stood beside the link already, where nothing else does; without the link, nothing
            // is known from before it.
            let tells = write::shows(&planned.event, &join_url)
                && self.is_met_first(calendar, &planned.event)?;
            let before = planned.event.content.clone();
            let before = Some(before).filter(|_| tells).unwrap_or_default();
            planned.link = Some(Link {
                calendar: calendar.name.clone(),
                resource: resource.clone(),
                uid: planned.event.uid.clone(),
                organizer: key.organizer.clone(),
                external_id: key.external_id.clone(),
                generation,
                phase: Phase::Seen,
                before,
                attempts: 0,
                written: stamp(&planned.event).unwrap_or(now),
                ends: losses::ends(&planned.event, None, now),
                gone: None,
                cancelled: planned.event.cancelled.then_some(now),
                closed: false,
                former: false,
                unmarked: marked_generation(&planned.event).is_none(),
            });
            if planned.meeting.is_none() {
                let found = found_meeting(&planned.event, join_url, &key, &calendar.style, now);
                let is_behind = calendar.port.is_outgrown(resource) || was_linked(context.known);
                planned.meeting = Some(match is_behind {
                    true => to_be_updated(found),
                    false => found,
                });
            }
            planned.adopted = true;
            planned.generation = generation;
            planned.decided = decide(&self.ask(context, planned, foreign_meeting.as_ref()));
        }
        if planned.out().is_some()
            && let Some(former) = planned.shown_former()
        {
            // What goes is what is there.
            planned.meeting = Some(former.clone());
        }
        Ok(())
    }

    fn ask<'a>(
        &'a self,
        context: &'a Context<'_, '_>,
        planned: &'a Planned,
        foreign_meeting: Option<&'a JoinUrl>,
    ) -> Ask<'a> {
        let calendar = context.calendar;
        let former = planned.former.as_ref();
        let is_outdated = |rewriting| self.is_outdated(calendar, planned, rewriting);
        let ask = Ask {
            now: context.now,
            event: &planned.event,
            rules: &calendar.rules,
            style: &calendar.style,
            location: calendar.location,
            drops: context.drops,
            tenant: &self.tenant,
            organizer: calendar.organizer_of(&planned.event),
            link: planned.link.as_ref(),
            meeting: planned.meeting.as_ref(),
            foreign_meeting,
            former: former.map(|former| &former.record.meeting.join_url),
            moves: self.moves(calendar, planned, context.rewriting),
            outdated: context.rewriting.is_some_and(is_outdated),
            traces: false,
            unchanged_since: planned.unchanged_since,
            uid: planned.uid,
            derived: calendar.port.is_derived(),
        };
        // Looked for only when it matters: that costs another reading of the resource.
        let traces = wants_out(&ask)
            .zip(planned.shown_former().or(ask.meeting))
            .is_some_and(|(out, known)| {
                let join_url = &known.meeting.join_url;
                context.traces.any(ask.event, join_url, out, context.now)
            });
        Ask { traces, ..ask }
    }

    /// Remembers what reading alone has shown: links found in events, links seen for the first time
    /// since they were written or gone, and when their events end.
    pub(super) fn remember(
        &self,
        calendar: &Watched,
        understood: &Understood,
        report: &mut Report,
    ) -> Result<(), StateError> {
        let (mut links, now) = (Vec::new(), self.clock.now());
        for planned in &understood.events {
            let (Some(link), Some(meeting)) = (&planned.link, &planned.meeting) else {
                continue;
            };
            if planned.adopted {
                self.state.put_meeting(meeting)?;
                links.push(link.clone());
                report.adopted += 1;
                log::event!(LINK_ADOPTED, calendar = %calendar.name, resource = %planned.resource,
                    uid = %planned.event.uid, organizer = %link.organizer);
                continue;
            }
            if planned.moving && calendar.form.is_of(&meeting.meeting) {
                self.calls_off(meeting)?;
            }
            let shown = has_link(calendar, planned, meeting);
            let out = stays_out(planned, link);
            let former = match calendar.port.is_derived() {
                true => link.former,
                false => planned.shown_former().is_some(),
            };
            let read = losses::as_read(&planned.event, link, shown, former, out, now);
            if read != *link {
                links.push(read);
            }
        }
        if links.is_empty() {
            Ok(())
        } else {
            self.state.put_links(&links)
        }
    }
}

impl Bridge {
    /// Counts and says in the log that nothing is to be done about a resource.
    pub(super) fn leave(&self, calendar: &Watched, understood: &Understood, report: &mut Report) {
        for planned in &understood.events {
            report.count(planned.decided.what.name());
            let (uid, what) = (&planned.event.uid, &planned.decided.what);
            self.log_left(&calendar.name, &understood.resource.id, uid, what);
        }
        for _ in &understood.faults {
            report.count("not-understood");
        }
        self.log_faults(&calendar.name, understood);
    }

    /// Says in the log what could not be understood.
    pub(super) fn log_faults(&self, calendar: &CalendarName, understood: &Understood) {
        let resource = &understood.resource.id;
        let more = understood.faults.len().saturating_sub(LOGGED_FAULTS);
        let rest =
            (more > 0).then(|| format!("and {more} more faults, which `meetbridge plan` shows"));
        let told = understood.faults.iter().take(LOGGED_FAULTS).chain(&rest);
        let mut all = 0;
        for (at, what) in told.enumerate() {
            all = at + 1;
            if self
                .troubles
                .event_fails(calendar, resource, &fault(at), what)
            {
                let what = crate::model::Escaped(what);
                log::event!(EVENT_FAULTY, calendar = %calendar, resource = %resource, error = %what);
            }
        }
        let mended = (all..=LOGGED_FAULTS)
            .filter(|at| self.troubles.event_works(calendar, resource, &fault(*at)))
            .count();
        if all == 0 && mended > 0 {
            log::event!(EVENT_UNDERSTOOD, calendar = %calendar, resource = %resource);
        }
    }

    /// Says in the log that an event is understood that was not.
    pub(super) fn log_understood(&self, calendar: &CalendarName, resource: &ResourceId, uid: &Uid) {
        if self.troubles.event_works(calendar, resource, uid.as_str()) {
            log::event!(EVENT_UNDERSTOOD, calendar = %calendar, resource = %resource, uid = %uid);
        }
    }

    /// Says in the log why an event was left as it is.
    pub(super) fn log_left(
        &self,
        calendar: &CalendarName,
        resource: &ResourceId,
        uid: &Uid,
        what: &Decision,
    ) {
        let Decision::Leave(why) = what else { return };
        let name = uid.as_str();
        match why {
            Why::LinkRemoved => {
                self.log_understood(calendar, resource, uid);
                if self.troubles.is_removed(calendar, resource, name) {
                    log::event!(LINK_REMOVED, calendar = %calendar, resource = %resource, uid = %uid);
                }
            }
            Why::NotUnderstood { line, what } => {
                if self.troubles.event_fails(calendar, resource, name, what) {
                    let what = crate::model::Escaped(what);
                    log::event!(EVENT_FAULTY, calendar = %calendar, resource = %resource,
                        uid = %uid, line = line, error = %what);
                }
            }
            why => {
                self.troubles.is_back(calendar, resource, name);
                self.log_understood(calendar, resource, uid);
                log::event!(EVENT_SKIPPED, calendar = %calendar, resource = %resource,
                    uid = %uid, reason = why.name());
            }
        }
    }
}

/// What a fault of a resource that belongs to no event is remembered by: its place among them.
fn fault(at: usize) -> String {
    format!("fault {at}")
}

/// Whether the event has its link, as far as people are concerned: it shows it, or it is published with
/// it as soon as it is written again.
pub(super) fn has_link(calendar: &Watched, planned: &Planned, meeting: &MeetingRecord) -> bool {
    let landed = |link: &Link| matches!(link.phase, Phase::Written | Phase::Seen);
    let kept = calendar.port.is_derived()
        && planned.link.as_ref().is_some_and(landed)
        && !matches!(
            planned.decided.what,
            Decision::Leave(Why::OptedOut | Why::ForeignLink(_))
        );
    kept || planned.shown_former().is_some()
        || write::shows(&planned.event, &meeting.meeting.join_url)
}

/// Whether a resource held links that were remembered when it was decided last. One that is not remembered
/// any more was forgotten because its event was over, so its meeting's time and life are unknown.
fn was_linked(known: Option<&ResourceRecord>) -> bool {
    let linked = [Why::InStep, Why::InProgress, Why::Past, Why::Cancelled].map(|why| why.name());
    let mut outcome = known.into_iter().flat_map(|known| &known.outcome);
    outcome.any(|(name, _)| linked.contains(&name.as_str()))
}

/// Whether the UIDs in a resource count as ones that stay: an earlier reading has shown them.
fn standing(
    calendar: &Watched,
    id: &ResourceId,
    remembered: Option<&ResourceRecord>,
    now: DateTime<Utc>,
) -> Standing {
    let Some(proof) = calendar.port.proof(id) else {
        return Standing::Proven;
    };
    let since = remembered.map_or(now, |known| known.first_seen);
    let after = chrono::Duration::from_std(proof.after).unwrap_or_default();
    let until = since.checked_add_signed(after);
    if remembered.is_some() && until.is_some_and(|until| now >= until) {
        return Standing::Proven;
    }
    Standing::Unproven {
        until,
        minted: proof.minted,
    }
}

/// What an event tells of the meeting whose link it carries. Its schedule and settings are taken to be
/// right: they were when the link was written, and a later change shows.
pub(super) fn found_meeting(
    event: &Event,
    join_url: JoinUrl,
    key: &crate::model::MeetingKey,
    style: &Style,
    now: DateTime<Utc>,
) -> MeetingRecord {
    MeetingRecord {
        organizer: key.organizer.clone(),
        external_id: key.external_id.clone(),
        uid: event.uid.clone(),
        meeting: Meeting {
            id: None,
            join_url,
            span: assumed_span(event, now),
            subject: style.subject(event),
            expires: None,
            details: Details::default(),
        },
        schedule: event.schedule.clone(),
        settings: Applied::default().with(&style.settings(event)),
        created: now,
    }
}
