//! Acts for the events of one resource: meetings first, then one write.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};

use super::brakes::Allowed;
use super::job::Job;
use super::renewal::Got;
use super::understand::{Planned, Understood, tally};
use super::{AT_ONCE, Bridge, PassError, Report, Watched, sooner};
use crate::calendar::{Found, Known, Scope};
use crate::ical::event::Next;
use crate::log;
use crate::meeting::{Ensured, MeetingError, Wanted};
use crate::model::{JoinUrl, OrganizerId, Span};
use crate::plan::{Decision, Style, in_progress_until, is_behind, roll_at};
use crate::state::{MeetingRecord, StateError};

/// How many meetings are got for a resource before it is written.
const BATCH: usize = 200;

/// How long meetings are got for a resource before it is written.
const BATCH_TIME: Duration = Duration::from_secs(2);

/// After so many transient failures in a row, the rest of the pass is put off.
const TRANSIENT_LIMIT: u32 = 3;

/// How long an event waits whose meeting could not be got, by class of the failure.
const RETRY_FAULT: Duration = Duration::from_secs(15 * 60);
const RETRY_REQUEST: Duration = Duration::from_secs(24 * 3600);

/// How long a part of a link waits to be restored that the calendar perhaps never keeps.
const RETRY_PART: chrono::Duration = chrono::Duration::hours(1);

/// Says to all workers of a pass that the meeting service is of no use until some time.
#[derive(Default)]
pub(super) struct Halt(Mutex<Halted>);

#[derive(Default)]
struct Halted {
    transient: u32,
    stop: Option<(MeetingError, DateTime<Utc>)>,
}

impl Halt {
    /// The failure that stopped the pass, in words.
    pub(super) fn reason(&self) -> Option<String> {
        self.lock()
            .stop
            .as_ref()
            .map(|(error, _)| error.to_string())
    }

    /// Whether the meeting service did not answer.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self.lock().stop, Some((MeetingError::Transient(_), _)))
    }

    fn stopped(&self) -> Option<(MeetingError, DateTime<Utc>)> {
        self.lock().stop.clone()
    }

    fn worked(&self) {
        self.lock().transient = 0;
    }

    /// Takes note of a failure; returns when the event is to be tried again.
    pub(super) fn failed(
        &self,
        error: &MeetingError,
        now: DateTime<Utc>,
        outage: Duration,
    ) -> DateTime<Utc> {
        let mut halted = self.lock();
        let until = match error {
            MeetingError::Request(_) | MeetingError::Gone => return now + RETRY_REQUEST,
            MeetingError::Transient(_) => {
                halted.transient += 1;
                now + outage
            }
            MeetingError::Throttled { until } => *until,
            MeetingError::Organizer(_)
            | MeetingError::NoOrganizer(_)
            | MeetingError::Credential(_) => now + RETRY_FAULT,
        };
        let hopeless =
            !matches!(error, MeetingError::Transient(_)) || halted.transient >= TRANSIENT_LIMIT;
        if hopeless && halted.stop.is_none() {
            halted.stop = Some((error.clone(), until));
        }
        until
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Halted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event whose link is to be written.
pub(super) struct Ready {
    pub(super) planned: Planned,
    pub(super) meeting: MeetingRecord,
    pub(super) replaces: Option<JoinUrl>,
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
            None => match self.read_again(calendar, &job.id).await? {
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

        let began = self.clock.elapsed();
        let (mut ready, mut acted, mut postponed) = (Vec::new(), 0, false);
        let mut work = Vec::new();
        for planned in events {
            let decided = &planned.decided;
            if !decided.what.acts() {
                let uid = &planned.event.uid;
                self.log_left(&calendar.name, &resource.id, uid, &decided.what);
                tally(&mut record.outcome, decided.what.name());
                record.due = sooner(record.due, decided.due);
            } else if let Some((why, due)) = allowed.refusal(&resource.id, &planned.event.uid) {
                let (uid, what) = (&planned.event.uid, Decision::Leave(why.clone()));
                self.log_left(&calendar.name, &resource.id, uid, &what);
                tally(&mut record.outcome, why.name());
                record.due = sooner(record.due, due);
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
    ) -> Result<Option<Understood>, PassError> {
        let scope = Scope::Only([id.clone()].into());
        let mut finding = calendar.port.read(&scope, Known::default()).await?;
        while let Some(found) = finding.next().await {
            if let Found::Changed(resource) = found {
                let mut understood = self.understand(calendar, resource).await?;
                if !understood.losses.is_empty() {
                    // Lost since the pass was judged: the next one judges it.
                    understood.losses.recheck = Some(self.clock.now());
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
                    log::event!(MEETING_REFUSED, calendar = %calendar.name, uid = %uid,
                        organizer = %organizer, error = %error);
                }
                Ok((Some(Acted::Done("meeting-refused", Some(due))), report))
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
        let replaces = match &planned.decided.what {
            Decision::Link { replaces, .. } | Decision::Write { replaces } => replaces.clone(),
            _ => None,
        };
        let replaces = replaces.or_else(|| replaced(&planned, &meeting));
        Ok(Acted::Ready(Box::new(Ready {
            planned,
            meeting,
            replaces,
        })))
    }

    /// The meeting whose link is to be written, if any is.
    async fn obtain(
        &self,
        calendar: &Watched,
        planned: &mut Planned,
        report: &mut Report,
    ) -> Result<Got, Failure> {
        let now = self.clock.now();
        let current = |known: &MeetingRecord, planned: &Planned| match planned.decided.what {
            Decision::Link { span, .. } => !behind(known, planned, &calendar.style, span),
            // Published without it meanwhile: its meeting is brought up to date when it is there.
            _ if calendar.port.is_derived() => known.meeting.id.is_some(),
            _ => {
                known.meeting.id.is_some()
                    && (!is_behind(&planned.event, known, &calendar.style, now)
                        || in_progress_until(known, now).is_some())
            }
        };
        match planned.decided.what.clone() {
            Decision::Link { .. } | Decision::Write { .. } => match &planned.meeting {
                Some(known) if current(known, planned) => Ok(Got::Meeting(Box::new(known.clone()))),
                _ => self.anew(calendar, planned, report).await,
            },
            Decision::Update { span } => self.update(calendar, planned, span, report).await,
            left @ (Decision::Leave(_) | Decision::Adopt { .. }) => {
                Ok(Got::None(left.name(), None))
            }
        }
    }

    /// The event's meeting, made or found.
    async fn anew(
        &self,
        calendar: &Watched,
        planned: &mut Planned,
        report: &mut Report,
    ) -> Result<Got, Failure> {
        match planned.event.next {
            Next::At(span) => self.get(calendar, planned, span, false, report).await,
            _ => Ok(Got::None("past", None)),
        }
    }

    /// Makes or finds the event's meeting and remembers it. One that is `doubted`, and was not made by
    /// this call, is asked whether it is there.
    pub(super) async fn ensure(
        &self,
        calendar: &Watched,
        planned: &Planned,
        span: Span,
        doubted: bool,
        report: &mut Report,
    ) -> Result<MeetingRecord, Failure> {
        let wanted = self.wanted(calendar, planned, span);
        let Ensured {
            mut meeting,
            created,
        } = self.meetings.ensure(&wanted).await?;
        if doubted && !created {
            meeting = self.meetings.update(&meeting, &wanted).await?;
        }
        self.works(&wanted.organizer)?;
        let mut record = self.record_of(planned, &wanted, meeting);
        if let Some(known) = &planned.meeting {
            record.created = known.created;
        }
        self.state.put_meeting(&record)?;
        if created {
            report.created += 1;
            self.count_creation(calendar, &wanted.organizer)?;
            log::event!(LINK_CREATED, calendar = %calendar.name, uid = %planned.event.uid, organizer = %wanted.organizer);
        }
        if let Err(error) = self.apply(calendar, planned, &wanted, &mut record).await {
            // The link is as good without them; they are tried again.
            match error {
                Failure::Meeting(error) => {
                    self.troubles.meeting_failed(&wanted.organizer, &error);
                }
                state => return Err(state),
            }
        }
        Ok(record)
    }

    /// Gives the meeting the settings that it lacks. Those that are refused count as applied: the next
    /// meeting, or another value, tries again.
    async fn apply(
        &self,
        calendar: &Watched,
        planned: &Planned,
        wanted: &Wanted,
        record: &mut MeetingRecord,
    ) -> Result<(), Failure> {
        let lacking = calendar.style.lacking(&planned.event, &record.settings);
        if lacking.is_empty() {
            return Ok(());
        }
        let (name, organizer) = (&calendar.name, &wanted.organizer);
        match self.meetings.apply(&record.meeting, wanted, &lacking).await {
            Ok(()) => self.troubles.settings_taken(name, organizer),
            Err(MeetingError::Request(why)) => {
                self.troubles.settings_refused(name, organizer, &why);
            }
            Err(error) => return Err(error.into()),
        }
        record.settings = record.settings.with(&lacking);
        self.state.put_meeting(record)?;
        Ok(())
    }

    /// Brings the meeting's times, title and settings up to date. A meeting that is gone is got anew.
    async fn update(
        &self,
        calendar: &Watched,
        planned: &mut Planned,
        span: Span,
        report: &mut Report,
    ) -> Result<Got, Failure> {
        let Some(known) = &planned.meeting else {
            return Ok(Got::None("in-step", None));
        };
        let wanted = self.wanted(calendar, planned, span);
        let behind = is_behind(&planned.event, known, &calendar.style, self.clock.now());
        let updated = match behind {
            true => self.meetings.update(&known.meeting, &wanted).await,
            false => Ok(known.meeting.clone()),
        };
        match updated {
            Ok(meeting) => {
                let mut record = match behind {
                    true => {
                        self.works(&wanted.organizer)?;
                        self.state.put_absence(
                            &wanted.organizer,
                            Some(&wanted.external_id),
                            None,
                        )?;
                        self.record_of(planned, &wanted, meeting)
                    }
                    false => known.clone(),
                };
                record.created = known.created;
                self.state.put_meeting(&record)?;
                self.apply(calendar, planned, &wanted, &mut record).await?;
                self.troubles.meeting_made(&wanted.organizer);
                report.updated += 1;
                log::event!(MEETING_UPDATED, calendar = %calendar.name, uid = %planned.event.uid);
                Ok(Got::None("in-step", roll_at(&planned.event, span)))
            }
            Err(MeetingError::Gone) => self.get(calendar, planned, span, true, report).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that the service did what it was asked for, for this organizer.
    pub(super) fn works(&self, organizer: &OrganizerId) -> Result<(), StateError> {
        self.troubles.meeting_made(organizer);
        self.state.put_absence(organizer, None, None)
    }

    fn wanted(&self, calendar: &Watched, planned: &Planned, span: Span) -> Wanted {
        let (organizer, external_id) = self.key(calendar, planned);
        Wanted {
            organizer,
            external_id,
            subject: calendar.style.subject(&planned.event),
            span,
            language: calendar.language.clone(),
        }
    }

    /// What is remembered of a meeting: what the service says, with the span and title asked for.
    fn record_of(
        &self,
        planned: &Planned,
        wanted: &Wanted,
        meeting: crate::meeting::Meeting,
    ) -> MeetingRecord {
        // A meeting that did not take the times is behind its event: no schedule is like this one.
        let refused = meeting.span.is_some_and(|span| span != wanted.span);
        let schedule = if refused {
            String::new()
        } else {
            planned.event.schedule.clone()
        };
        let asked = crate::meeting::Meeting {
            span: meeting.span.or(Some(wanted.span)),
            subject: wanted.subject.clone(),
            ..meeting
        };
        let known = planned.meeting.as_ref();
        let same = known.filter(|known| known.meeting.join_url == asked.join_url);
        let settings = same.map(|known| known.settings.clone()).unwrap_or_default();
        MeetingRecord {
            organizer: wanted.organizer.clone(),
            external_id: wanted.external_id.clone(),
            uid: planned.event.uid.clone(),
            meeting: asked,
            schedule,
            settings,
            created: self.clock.now(),
        }
    }
}

/// Why acting for an event failed.
pub(super) enum Failure {
    Meeting(MeetingError),
    State(StateError),
}

impl From<MeetingError> for Failure {
    fn from(error: MeetingError) -> Self {
        Self::Meeting(error)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// Whether a known meeting has other times or another title than the event wants.
fn behind(known: &MeetingRecord, planned: &Planned, style: &Style, span: Span) -> bool {
    known.meeting.id.is_none()
        || known.schedule != planned.event.schedule
        || known.meeting.subject != style.subject(&planned.event)
        || known.meeting.span != Some(span)
}

/// The link that the event shows and that is not the meeting's any more.
fn replaced(planned: &Planned, meeting: &MeetingRecord) -> Option<JoinUrl> {
    let old = planned.meeting.as_ref()?.meeting.join_url.clone();
    (old != meeting.meeting.join_url).then_some(old)
}
