//! Getting an event its meeting: known, made, found, brought up to date or read again, and remembered.

use super::renewal::Got;
use super::rewrite::{finds_dial_in, is_read, unwritten};
use super::understand::Planned;
use super::write_back::intent;
use super::{Bridge, Report, Watched};
use crate::ical::event::Next;
use crate::log;
use crate::meeting::{Details, Ensured, Meeting, MeetingError, Wanted};
use crate::model::{OrganizerId, Span};
use crate::plan::{Decision, Style, in_progress_until, is_behind, roll_at};
use crate::state::{MeetingRecord, StateError};

impl Bridge {
    /// The meeting whose link is to be written, if any is.
    pub(super) async fn obtain(
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
                // Made anew, it might be another one.
                Some(known)
                    if known.meeting.id.is_none() || !calendar.form.is_of(&known.meeting) =>
                {
                    match planned.event.next {
                        Next::At(span) => self.update(calendar, planned, span, report).await,
                        _ => Ok(Got::None("past", None)),
                    }
                }
                _ => self.anew(calendar, planned, report).await,
            },
            Decision::Update { span } => self.update(calendar, planned, span, report).await,
            Decision::Rewrite { span } => {
                let is_current = |known: &MeetingRecord| {
                    !is_behind(&planned.event, known, &calendar.style, now)
                        && !calendar.style.is_lacking(&planned.event, known)
                        || in_progress_until(known, now).is_some()
                };
                let got = match &planned.meeting {
                    Some(known) if is_current(known) => Got::Meeting(Box::new(known.clone())),
                    _ => self.update(calendar, planned, span, report).await?,
                };
                match got {
                    Got::Meeting(known) if !is_read(&known, &calendar.language) => {
                        let read = self.read(calendar, planned, span, *known).await?;
                        if calendar.form.is_of(&read.meeting) {
                            return Ok(Got::Meeting(Box::new(read)));
                        }
                        // That is known only now: the brakes have not counted it.
                        report.again.insert(planned.resource.clone());
                        Ok(Got::None("move", Some(now)))
                    }
                    got => Ok(got),
                }
            }
            Decision::Move { span } => self.exchange(calendar, planned, span, report).await,
            left @ (Decision::Leave(_) | Decision::Adopt { .. } | Decision::TakeOut(_)) => {
                Ok(Got::None(left.name(), None))
            }
        }
    }

    /// The event's meeting, made or found.
    pub(super) async fn anew(
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
        let known = planned.meeting.as_ref();
        if let Some(known) = known.filter(|known| known.meeting.join_url == record.meeting.join_url)
        {
            record.created = known.created;
        }
        if planned.link.is_none() {
            // First: a meeting that is remembered belongs to an event, whatever comes of its link.
            let link = intent(calendar, planned, &record, self.clock.now());
            self.state.put_links(&[link])?;
        }
        let exchanged = matches!(planned.decided.what, Decision::Move { .. });
        self.put_made(calendar, known, &record, exchanged)?;
        let is_known = |known: &MeetingRecord| known.meeting.join_url == record.meeting.join_url;
        if !created && !planned.meeting.as_ref().is_some_and(is_known) {
            report.found += 1;
        }
        if created {
            report.created += 1;
            self.count_creation(calendar, &wanted.organizer)?;
            log::event!(LINK_CREATED, calendar = %calendar.name, resource = %planned.resource,
                uid = %planned.event.uid, organizer = %wanted.organizer);
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
        let links = matches!(
            planned.decided.what,
            Decision::Link { .. } | Decision::Write { .. }
        );
        let behind = links || is_behind(&planned.event, known, &calendar.style, self.clock.now());
        let updated = match behind {
            true => self.meetings.update(&known.meeting, &wanted).await,
            false => Ok(known.meeting.clone()),
        };
        match updated {
            Ok(meeting) => {
                let record = match behind {
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
                let mut record = MeetingRecord {
                    created: known.created,
                    ..record
                };
                let finds_dial_in = finds_dial_in(calendar, planned, &record);
                let mut kept = match finds_dial_in {
                    true => unwritten(&record),
                    false => record.clone(),
                };
                self.state.put_meeting(&kept)?;
                self.apply(calendar, planned, &wanted, &mut kept).await?;
                record.settings = kept.settings;
                self.troubles.meeting_made(&wanted.organizer);
                report.updated += 1;
                log::event!(MEETING_UPDATED, calendar = %calendar.name, uid = %planned.event.uid,
                    organizer = %wanted.organizer);
                match planned.decided.what {
                    Decision::Rewrite { .. } => Ok(Got::Meeting(Box::new(record))),
                    _ if links => Ok(Got::Meeting(Box::new(record))),
                    _ if finds_dial_in => Ok(Got::Meeting(Box::new(record))),
                    _ => Ok(Got::None("in-step", roll_at(&planned.event, span))),
                }
            }
            Err(MeetingError::Gone) => {
                // The one that is made anew is another one for sure: this one has to be dead.
                if !calendar.form.is_of(&known.meeting)
                    && let Some(again) = self.miss(&wanted.organizer, &wanted.external_id)?
                {
                    return Ok(Got::None("meeting-dead", Some(again)));
                }
                self.get(calendar, planned, span, true, report).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The meeting with what can be shown of it in the calendar's language, read again and remembered.
    async fn read(
        &self,
        calendar: &Watched,
        planned: &Planned,
        span: Span,
        known: MeetingRecord,
    ) -> Result<MeetingRecord, Failure> {
        let wanted = self.wanted(calendar, planned, span);
        let read = self.meetings.read(&known.meeting, &wanted).await?;
        self.works(&wanted.organizer)?;
        let meeting = Meeting {
            id: read.id,
            expires: read.expires,
            details: in_language(read.details, &wanted),
            ..known.meeting
        };
        let record = MeetingRecord { meeting, ..known };
        self.state.put_meeting(&record)?;
        Ok(record)
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
            form: calendar.form.clone(),
        }
    }

    /// What is remembered of a meeting: what the service says, with the span and title asked for.
    fn record_of(&self, planned: &Planned, wanted: &Wanted, meeting: Meeting) -> MeetingRecord {
        // A meeting that did not take the times is behind its event: no schedule is like this one.
        let refused = meeting.span.is_some_and(|span| span != wanted.span);
        let schedule = if refused {
            String::new()
        } else {
            planned.event.schedule.clone()
        };
        let asked = Meeting {
            span: meeting.span.or(Some(wanted.span)),
            subject: wanted.subject.clone(),
            details: in_language(meeting.details, wanted),
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

/// What the service gave when it was asked for it like this.
fn in_language(details: Details, wanted: &Wanted) -> Details {
    Details {
        language: Some(wanted.language.clone()),
        ..details
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
