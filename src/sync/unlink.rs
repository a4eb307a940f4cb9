//! Unlinking: an operator has the links of an event, or of a whole calendar, taken out again. It finds
//! them by what is remembered, by the mark with the link beside it, else by what only we write.
//!
//! An event stays opted out; a calendar is frozen before anything is written, and stays so.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::brakes::Allowed;
use super::endings::End;
use super::halt::Halt;
use super::job::{Job, Room};
use super::keeps::Keeps;
use super::losses::ends;
use super::preview::{Preview, Row};
use super::take_out::Traces;
use super::understand::{Planned, Understood, found_meeting};
use super::{AT_ONCE, Bridge, PassError, Report, Watched};
use crate::calendar::{Found, Known, Scope};
use crate::ical::event::{Event, Provider};
use crate::ical::write;
use crate::model::{ExternalId, JoinUrl, MeetingKey, OrganizerId, ResourceId};
use crate::plan::{Decided, Decision, Out, Why, is_organized, marked_generation};
use crate::state::{Frozen, Gone, Link, Phase, StateError};

/// A resource that changes under every write of ours is given up after so many rounds.
const MOST_ROUNDS: usize = 100;

/// How the reason of a freeze begins that this made.
const UNLINKED: &str = "it was unlinked";

/// What is unlinked of a calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unlink {
    /// The event with this UID, or the `sha256:` form of one.
    Event(String),
    /// Everything.
    All,
}

/// What unlinking did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unlinked {
    /// Events that were asked for, linked or not.
    pub found: usize,
    /// What was read and written.
    pub report: Report,
    /// What could not be read or understood: resource, and the reason with its line.
    pub faults: Vec<(ResourceId, String)>,
    /// Meetings that were deleted.
    pub ended: usize,
    /// Meetings that could not be deleted.
    pub not_ended: usize,
    /// The meetings that were asked to end, whether they did or not.
    pub asked: BTreeSet<(OrganizerId, ExternalId)>,
    /// The meetings that stay because their events were linked in other calendars, too.
    pub shared: BTreeSet<(OrganizerId, ExternalId)>,
}

impl Unlink {
    fn wants(&self, event: &Event) -> bool {
        match self {
            Self::Event(uid) => event.uid.is_named_by(uid),
            Self::All => true,
        }
    }

    fn out(&self) -> Out {
        Out::Unlinked {
            for_good: matches!(self, Self::Event(_)),
        }
    }
}

/// Whether a calendar is frozen because it was unlinked.
pub(super) fn is_unlinked(frozen: &Frozen) -> bool {
    frozen.why.starts_with(UNLINKED)
}

impl Bridge {
    /// Takes the links out, with `end_meetings` ends their meetings at once. Nothing else is done about
    /// the calendar. To be called again when it was broken off; what is done already is not done again.
    ///
    /// # Errors
    /// As [`Bridge::pass`]; what was done before the error is remembered.
    pub async fn unlink(
        &self,
        calendar: &Watched,
        what: &Unlink,
        end_meetings: bool,
    ) -> Result<Unlinked, PassError> {
        let (name, now) = (&calendar.name, self.clock.now());
        self.state.check_writable()?;
        let mut record = self.state.calendar(name)?;
        if *what == Unlink::All && !record.frozen.as_ref().is_some_and(is_unlinked) {
            let why = format!(
                "{UNLINKED}; run `meetbridge resume {name}` to have its events linked again"
            );
            record.frozen = Some(Frozen { since: now, why });
            self.state.put_calendar(name, &record)?;
        }
        let allowed = Allowed::unlinking(Keeps::of(calendar, &record), now);
        let mut done = Unlinked::default();
        let mut scope = Scope::All;
        for round in 0..MOST_ROUNDS {
            let mut jobs = Vec::new();
            let found = self.carriers(calendar, &scope, what, &mut done, &mut jobs);
            let found = found.await?;
            if round == 0 {
                done.found = found;
                done.report.read = found;
            }
            let halt = Halt::default();
            let parts = stream::iter(jobs.into_iter().map(Ok::<_, PassError>))
                .map_ok(|job| self.unlink_one(calendar, job, what, &allowed, &halt))
                .try_buffer_unordered(AT_ONCE)
                .try_collect::<Vec<_>>()
                .await?;
            parts.into_iter().for_each(|part| done.report.merge(part));
            let again = std::mem::take(&mut done.report.again);
            if again.is_empty() {
                break;
            }
            scope = Scope::Only(again);
        }
        self.publish(calendar, false, &mut done.report).await;
        if end_meetings {
            self.end_unlinked(calendar, what, &mut done).await?;
        }
        Ok(done)
    }

    /// What [`Bridge::unlink`] would take out. Changes nothing.
    ///
    /// # Errors
    /// As [`Bridge::pass`].
    pub async fn preview_unlink(
        &self,
        calendar: &Watched,
        what: &Unlink,
    ) -> Result<Preview, PassError> {
        let (mut rows, now) = (Vec::new(), self.clock.now());
        let faults = self
            .look(calendar, None, |mut understood| {
                self.mark_for_unlinking(calendar, &mut understood, what, now);
                let goes = |planned: &&Planned| planned.out().is_some();
                let id = &understood.resource.id;
                let out = understood.events.iter().filter(goes);
                rows.extend(out.map(|planned| Row::of(calendar, id, planned)));
            })
            .await?;
        Ok(Preview {
            attendees: calendar.port.attendees(),
            rows,
            faults,
            waits: None,
        })
    }

    /// Finds the resources that hold what is to go; returns how many events that were asked for there are.
    async fn carriers(
        &self,
        calendar: &Watched,
        scope: &Scope,
        what: &Unlink,
        done: &mut Unlinked,
        jobs: &mut Vec<Job>,
    ) -> Result<usize, PassError> {
        let (mut found, mut room) = (0, Room::default());
        let mut finding = calendar.port.read(scope, Known::default()).await?;
        while let Some(one) = finding.next().await {
            match one {
                Found::Changed(resource) => {
                    let mut understood = self.understand(calendar, resource, None).await?;
                    let id = understood.resource.id.clone();
                    if *scope == Scope::All {
                        let faults = understood.faults.iter();
                        done.faults
                            .extend(faults.map(|why| (id.clone(), why.clone())));
                    }
                    found += understood
                        .events
                        .iter()
                        .filter(|planned| what.wants(&planned.event))
                        .count();
                    self.mark_for_unlinking(calendar, &mut understood, what, self.clock.now());
                    if *what != Unlink::All {
                        self.opt_out(calendar, &understood, what)?;
                    }
                    if understood
                        .events
                        .iter()
                        .any(|planned| planned.out().is_some())
                    {
                        jobs.push(Job::new(calendar, understood, &mut room));
                    }
                }
                Found::Unreadable(id, error) => {
                    done.report.failed += 1;
                    done.faults.push((id, error.to_string()));
                }
                Found::Complete { .. } => return Ok(found),
                Found::Vanished(_) | Found::Confirmed(_) => {}
            }
        }
        Err(PassError::CutShort)
    }

    async fn unlink_one(
        &self,
        calendar: &Watched,
        mut job: Job,
        what: &Unlink,
        allowed: &Allowed,
        halt: &Halt,
    ) -> Result<Report, PassError> {
        if job.understood.is_none() {
            let scope = Scope::Only(BTreeSet::from([job.id.clone()]));
            let mut finding = calendar.port.read(&scope, Known::default()).await?;
            while let Some(one) = finding.next().await {
                if let Found::Changed(resource) = one {
                    let mut understood = self.understand(calendar, resource, None).await?;
                    self.mark_for_unlinking(calendar, &mut understood, what, self.clock.now());
                    job.understood = Some(understood);
                }
            }
        }
        let Some(understood) = &mut job.understood else {
            return Ok(Report::default());
        };
        let now = self.clock.now();
        if !understood.losses.is_empty() {
            understood.losses.recheck = Some(now);
        }
        for planned in &mut understood.events {
            if planned.out().is_none() && planned.decided.what.acts() {
                // For the next pass.
                planned.decided = Decided {
                    what: Decision::Leave(Why::Settling),
                    due: Some(now),
                };
            } else if planned.out().is_some()
                && planned.adopted
                && let Some(meeting) = &planned.meeting
            {
                self.state.put_meeting(meeting)?;
            }
        }
        self.carry_out(calendar, job, allowed, halt).await
    }

    /// Decides for each event that is asked for that what there is of a link in it goes.
    fn mark_for_unlinking(
        &self,
        calendar: &Watched,
        understood: &mut Understood,
        what: &Unlink,
        now: DateTime<Utc>,
    ) {
        let bytes = understood.resource.bytes.clone();
        let traces = Traces::of(&bytes);
        let id = &understood.resource.id;
        for planned in &mut understood.events {
            if planned.out().is_some() {
                planned.decided.what = Decision::Leave(Why::Settling);
                planned.decided.due = Some(now);
            }
            if !what.wants(&planned.event) {
                continue;
            }
            let out = what.out();
            let urls = links_of(calendar, planned, &traces);
            let there = |url: &&JoinUrl| traces.any(&planned.event, url, out, now);
            let Some(url) = urls.iter().find(there) else {
                continue;
            };
            let known = planned.meeting.as_ref();
            let is_own = known.is_some_and(|known| known.meeting.join_url == *url);
            let removed = is_own
                && !write::shows(&planned.event, url)
                && planned
                    .link
                    .as_ref()
                    .is_some_and(|link| link.phase == Phase::Seen);
            let key = self.key_in(calendar, planned);
            if !is_own {
                let style = &calendar.style;
                let meeting = found_meeting(&planned.event, url.clone(), &key, style, now);
                planned.meeting = Some(meeting);
                planned.adopted = false;
            }
            if planned.link.is_none() {
                planned.link = Some(new_link(calendar, id, planned, key, now));
            }
            // What a person took out stays out, whatever becomes of the calendar.
            let out = if removed && *what == Unlink::All {
                Out::Removed
            } else {
                out
            };
            planned.decided = Decided {
                what: Decision::TakeOut(out),
                due: None,
            };
        }
    }

    /// Remembers that events are opted out in which there is nothing to be taken out.
    fn opt_out(
        &self,
        calendar: &Watched,
        understood: &Understood,
        what: &Unlink,
    ) -> Result<(), StateError> {
        let now = self.clock.now();
        let mut links = Vec::new();
        for planned in &understood.events {
            let known = planned.link.as_ref();
            let is_done = known.is_some_and(|link| link.phase == Phase::OptedOut);
            if !what.wants(&planned.event) || planned.out().is_some() || is_done {
                continue;
            }
            let new = || {
                let key = self.key_in(calendar, planned);
                new_link(calendar, &understood.resource.id, planned, key, now)
            };
            links.push(Link {
                phase: Phase::OptedOut,
                gone: Some(Gone {
                    since: known.and_then(Link::gone_since).unwrap_or(now),
                    confirmed: true,
                }),
                ..known.cloned().unwrap_or_else(new)
            });
        }
        if links.is_empty() {
            return Ok(());
        }
        self.state.put_links(&links)?;
        self.state
            .forget_decision(&calendar.name, &understood.resource.id)
    }

    fn key_in(&self, calendar: &Watched, planned: &Planned) -> MeetingKey {
        let (organizer, external_id) = match &planned.link {
            Some(link) => (link.organizer.clone(), link.external_id.clone()),
            None => (
                calendar.organizer_of(&planned.event).clone(),
                ExternalId::of(&planned.event.uid, planned.generation),
            ),
        };
        MeetingKey {
            tenant: self.tenant.clone(),
            organizer,
            external_id,
        }
    }

    /// Ends the meetings of what is unlinked, where no calendar has the event linked any more.
    async fn end_unlinked(
        &self,
        calendar: &Watched,
        what: &Unlink,
        done: &mut Unlinked,
    ) -> Result<(), StateError> {
        let mut links = self.state.all_links(&calendar.name)?;
        links.retain(|link| {
            let wanted = match what {
                Unlink::Event(uid) => link.uid.is_named_by(uid),
                Unlink::All => true,
            };
            wanted && link.phase >= Phase::TakenOut && link.gone_since().is_some() && !link.closed
        });
        let mut links = links.into_iter();
        while let Some(link) = links.next() {
            let Some(meeting) = self.state.meeting(&link.organizer, &link.external_id)? else {
                continue;
            };
            let same = |other: &Link| {
                (&other.organizer, &other.external_id) == (&link.organizer, &link.external_id)
            };
            let others = self.state.links_of_event(&link.uid)?;
            if others.iter().any(|other| same(other) && other.is_live()) {
                done.shared.insert((link.organizer, link.external_id));
                continue;
            }
            done.asked
                .insert((link.organizer.clone(), link.external_id.clone()));
            match self.end_now(calendar, &link, &meeting).await? {
                End::Deleted => done.ended += 1,
                End::Stays => done.not_ended += 1,
                End::Stop => {
                    done.not_ended += 1 + links.len();
                    let rest = links.map(|link| (link.organizer, link.external_id));
                    done.asked.extend(rest);
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The links of ours that may be in the event, whoever's they are: the remembered one first.
fn links_of(calendar: &Watched, planned: &Planned, traces: &Traces<'_>) -> Vec<JoinUrl> {
    let known = planned.meeting.iter();
    let mut urls: Vec<JoinUrl> = known.map(|known| known.meeting.join_url.clone()).collect();
    // Others may use meetbridge, too: an invitation that came from there is theirs.
    if !is_organized(&planned.event, &calendar.rules) {
        return urls;
    }
    if marked_generation(&planned.event).is_some() {
        let marked = planned.event.components.iter().filter(|c| c.mark.is_some());
        let teams = marked
            .flat_map(|c| &c.links)
            .filter(|link| link.provider == Provider::Teams);
        urls.extend(teams.map(|link| JoinUrl::new(link.url.clone())));
    }
    if let Some(document) = traces.document() {
        urls.extend(write::ours(document, &planned.event));
    }
    urls
}

fn new_link(
    calendar: &Watched,
    resource: &ResourceId,
    planned: &Planned,
    key: MeetingKey,
    now: DateTime<Utc>,
) -> Link {
    Link {
        calendar: calendar.name.clone(),
        resource: resource.clone(),
        uid: planned.event.uid.clone(),
        organizer: key.organizer,
        external_id: key.external_id,
        generation: planned.generation,
        phase: Phase::Intended,
        before: String::new(),
        attempts: 0,
        written: now,
        ends: ends(&planned.event, None, now),
        gone: None,
        cancelled: None,
        closed: false,
        former: false,
        unmarked: false,
    }
}
