//! Acts for the events of one resource: meetings first, then one write.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};

use super::brakes::Allowed;
use super::exchange::SOON;
use super::halt::{Halt, RETRY_FAULT, RETRY_REQUEST};
use super::job::Job;
use super::obtain::Failure;
use super::renewal::Got;
use super::rewrite::finds_dial_in;
use super::take_out::Components;
use super::understand::{Planned, Understood, tally};
use super::{AT_ONCE, Bridge, PassError, Report, Watched, sooner};
use crate::calendar::{Found, Known, Scope};
use crate::meeting::MeetingError;
use crate::model::JoinUrl;
use crate::plan::{Decision, Out, in_progress_until, is_behind, roll_at};
use crate::state::{Link, MeetingRecord, Phase};

/// How many meetings are got for a resource before it is written.
const BATCH: usize = 200;

/// How long meetings are got for a resource before it is written.
const BATCH_TIME: Duration = Duration::from_secs(2);

/// How long a part of a link waits to be restored that the calendar perhaps never keeps.
const RETRY_PART: chrono::Duration = chrono::Duration::hours(1);

/// An event whose link is to be written.
pub(super) struct Ready {
    pub(super) planned: Planned,
    pub(super) meeting: MeetingRecord,
    pub(super) change: Change,
    /// Its meeting is remembered as it was: as it is now, when the link has been written.
    pub(super) is_pending: bool,
}

impl Ready {
    /// Whether nothing is written but what goes.
    pub(super) fn takes_out(&self) -> bool {
        matches!(self.change, Change::TakeOut { .. })
    }
}

/// What is written of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// What the event lacks of it.
    Complete {
        /// A link that makes room for it.
        replaces: Option<JoinUrl>,
    },
    /// All that is written otherwise than it would be now.
    Rewrite,
    /// All there is of it goes.
    TakeOut {
        /// Why.
        out: Out,
        /// From which components.
        components: Components,
    },
}

/// How acting for one event ended, short of the write.
enum Acted {
    Ready(Box<Ready>),
    /// Nothing to write; its name in the outcome, and when to decide again.
    Done(&'static str, Option<DateTime<Utc>>),
}

impl Bridge {
    /// Acts for all events of a resource, then writes it once.
    pub(super) async fn carry_out(
        &self,
        calendar: &Watched,
        job: Job,
        allowed: &Allowed,
        halt: &Halt,
    ) -> Result<Report, PassError> {
        let mut report = Report::default();
        let understood = match job.understood {
            Some(understood) => understood,
            None => match self.read_again(calendar, &job.id, allowed.rewrite).await? {
                Some(understood) => understood,
                None => return Ok(report),
            },
        };
        self.log_faults(&calendar.name, &understood);
        let mut record = understood.record();
        record.outcome.clear();
        record.due = understood.losses.recheck;
        let Understood {
            resource,
            events,
            faults,
            ..
        } = understood;
        for _ in &faults {
            tally(&mut record.outcome, "not-understood");
        }

        let (began, now) = (self.clock.elapsed(), self.clock.now());
        let (mut ready, mut acted, mut postponed) = (Vec::new(), 0, false);
        let mut work = Vec::new();
        for planned in events {
            let decided = &planned.decided;
            if !decided.what.acts() {
                let uid = &planned.event.uid;
                self.log_left(&calendar.name, &resource.id, uid, &decided.what);
                tally(&mut record.outcome, decided.what.name());
                record.due = sooner(record.due, decided.due);
            } else if let Some((why, due)) = allowed
                .refusal(&resource.id, &planned.event.uid)
                .filter(|_| !keeps_link(calendar, &planned))
            {
                let (uid, what) = (&planned.event.uid, Decision::Leave(why.clone()));
                self.log_left(&calendar.name, &resource.id, uid, &what);
                tally(&mut record.outcome, why.name());
                // Only a rewrite makes it wait: without one, the meeting that it has goes on.
                let moves = matches!(decided.what, Decision::Move { .. });
                let soon = due.filter(|_| moves).and(now.checked_add_signed(SOON));
                record.due = sooner(record.due, sooner(due, soon));
            } else if let (Some(out), Some(meeting)) = (planned.out(), &planned.meeting) {
                // No meeting is asked for, so nothing but the write is waited for.
                let join_url = &meeting.meeting.join_url;
                ready.push(Ready {
                    change: Change::take_out(out, &planned.event, join_url),
                    meeting: meeting.clone(),
                    is_pending: false,
                    planned,
                });
            } else if allowed.keeps.postpones(&resource.id, &planned) {
                tally(&mut record.outcome, decided.what.name());
                record.due = sooner(record.due, self.clock.now().checked_add_signed(RETRY_PART));
            } else if acted == BATCH {
                postponed = true;
            } else {
                acted += 1;
                work.push(planned);
            }
        }
        if work.iter().any(|planned| planned.link.is_none()) {
            self.will_miss(calendar, &resource.id)?;
        }
        let mut results = stream::iter(work)
            .map(|planned| self.act(calendar, planned, halt, began))
            .buffer_unordered(AT_ONCE);
        while let Some(result) = results.next().await {
            let (acted, part) = result?;
            report.merge(part);
            match acted {
                Some(Acted::Ready(one)) => {
                    let (event, style) = (&one.planned.event, &calendar.style);
                    if calendar.port.is_derived()
                        && is_behind(event, &one.meeting, style, self.clock.now())
                    {
                        report.again.insert(resource.id.clone());
                    }
                    let again = self.looked_at_again(calendar, &one.planned, &one.meeting);
                    record.due = sooner(record.due, again);
                    ready.push(*one);
                }
                Some(Acted::Done(name, due)) => {
                    tally(&mut record.outcome, name);
                    record.due = sooner(record.due, due);
                }
                None => postponed = true,
            }
        }
        drop(results);

        if postponed {
            report.again.insert(resource.id.clone());
            record.due = Some(self.clock.now());
        }
        for (name, n) in &record.outcome {
            *report.outcome.entry(name.clone()).or_default() += n;
        }
        self.write_back(
            calendar,
            &allowed.keeps,
            resource,
            ready,
            record,
            &mut report,
        )
        .await?;
        Ok(report)
    }

    /// When an event is decided again whose link is written: its meeting may have kept other times, or
    /// may not have its settings yet.
    fn looked_at_again(
        &self,
        calendar: &Watched,
        planned: &Planned,
        meeting: &MeetingRecord,
    ) -> Option<DateTime<Utc>> {
        let (event, now) = (&planned.event, self.clock.now());
        if calendar.style.is_lacking(event, meeting) {
            return Some(now + RETRY_FAULT);
        }
        if is_behind(event, meeting, &calendar.style, now) {
            return in_progress_until(meeting, now).or(Some(now + RETRY_REQUEST));
        }
        let held = meeting.meeting.span?;
        roll_at(event, held)
    }

    async fn read_again(
        &self,
        calendar: &Watched,
        id: &crate::model::ResourceId,
        rewrite: Option<DateTime<Utc>>,
    ) -> Result<Option<Understood>, PassError> {
        let scope = Scope::Only([id.clone()].into());
        let mut finding = calendar.port.read(&scope, Known::default()).await?;
        while let Some(found) = finding.next().await {
            if let Found::Changed(resource) = found {
                let mut understood = self.understand(calendar, resource, rewrite).await?;
                if !understood.losses.is_empty() {
                    // Lost since the pass was judged: the next one judges it.
                    understood.losses.recheck = Some(self.clock.now());
                    understood.put_off_unjudged(self.clock.now());
                }
                self.remember(calendar, &understood, &mut Report::default())?;
                return Ok(Some(understood));
            }
        }
        Ok(None)
    }

    /// Gets one event its meeting. `None`: there was no time left, the next pass goes on.
    async fn act(
        &self,
        calendar: &Watched,
        planned: Planned,
        halt: &Halt,
        began: Duration,
    ) -> Result<(Option<Acted>, Report), PassError> {
        let mut report = Report::default();
        if self.clock.elapsed().saturating_sub(began) > BATCH_TIME {
            return Ok((None, report));
        }
        if let Some((_, until)) = halt.stopped() {
            return Ok((Some(Acted::Done("waiting-for-graph", Some(until))), report));
        }
        let uid = planned.event.uid.clone();
        let (organizer, _) = self.key(calendar, &planned);
        match self.meeting_for(calendar, planned, &mut report).await {
            Ok(acted) => {
                halt.worked();
                if matches!(acted, Acted::Ready(_) | Acted::Done("in-step", _)) {
                    self.troubles.meeting_taken(&calendar.name, &uid);
                }
                Ok((Some(acted), report))
            }
            Err(Failure::State(error)) => Err(error.into()),
            Err(Failure::Meeting(error)) => {
                report.failed += 1;
                let is_alone = organizer == calendar.organizer && calendar.organizers.is_empty();
                let is_his = matches!(
                    error,
                    MeetingError::Organizer(_) | MeetingError::NoOrganizer(_)
                );
                let due = if is_his && !is_alone {
                    // One of several: the others' meetings are none of his faults.
                    self.clock.now() + RETRY_FAULT
                } else {
                    halt.failed(&error, self.clock.now(), self.troubles.outage())
                };
                self.troubles.meeting_failed(&organizer, &error);
                if matches!(error, MeetingError::Request(_) | MeetingError::Gone) {
                    self.troubles
                        .meeting_refused(&calendar.name, &uid, &organizer, &error);
                }
                let waits = matches!(
                    error,
                    MeetingError::Transient(_) | MeetingError::Throttled { .. }
                );
                let outcome = match waits {
                    true => "waiting-for-graph",
                    false => "meeting-refused",
                };
                Ok((Some(Acted::Done(outcome, Some(due))), report))
            }
        }
    }

    async fn meeting_for(
        &self,
        calendar: &Watched,
        mut planned: Planned,
        report: &mut Report,
    ) -> Result<Acted, Failure> {
        if let Some(known) = &planned.meeting {
            self.finish_begun(known).await?;
        }
        let got = match self.obtain(calendar, &mut planned, report).await {
            Err(Failure::Meeting(MeetingError::NoOrganizer(_)))
                if self.is_abandoned(calendar, &planned)? =>
            {
                (planned.link, planned.generation) = (None, 0);
                self.anew(calendar, &mut planned, report).await?
            }
            got => got?,
        };
        let meeting = match got {
            Got::Meeting(meeting) => *meeting,
            Got::None(name, due) => return Ok(Acted::Done(name, due)),
        };
        let finds_dial_in = finds_dial_in(calendar, &planned, &meeting);
        let former = planned.shown_former();
        let former = former.map(|former| former.meeting.join_url.clone());
        let complete = |replaces: Option<JoinUrl>| Change::Complete {
            replaces: replaces
                .or_else(|| {
                    former
                        .clone()
                        .filter(|url| *url != meeting.meeting.join_url)
                })
                .or_else(|| replaced(&planned, &meeting)),
        };
        let change = match &planned.decided.what {
            Decision::Link { replaces, .. } | Decision::Write { replaces } => {
                complete(replaces.clone())
            }
            Decision::Rewrite { .. } => Change::Rewrite,
            _ if finds_dial_in => Change::Rewrite,
            _ => complete(None),
        };
        let change = match replaced(&planned, &meeting) {
            Some(_) if change == Change::Rewrite => complete(None),
            _ => change,
        };
        Ok(Acted::Ready(Box::new(Ready {
            is_pending: finds_dial_in,
            planned,
            meeting,
            change,
        })))
    }
}

/// Whether all that is to be done is to publish the event with the link that it is published with: no
/// brake is for that.
fn keeps_link(calendar: &Watched, planned: &Planned) -> bool {
    let landed = |link: &Link| matches!(link.phase, Phase::Written | Phase::Seen);
    calendar.port.is_derived()
        && planned.decided.what == (Decision::Write { replaces: None })
        && planned.link.as_ref().is_some_and(landed)
        && planned
            .meeting
            .as_ref()
            .is_some_and(|known| known.meeting.id.is_some())
}

/// The link that the event shows and that is not the meeting's any more.
fn replaced(planned: &Planned, meeting: &MeetingRecord) -> Option<JoinUrl> {
    let old = planned.meeting.as_ref()?.meeting.join_url.clone();
    (old != meeting.meeting.join_url).then_some(old)
}
