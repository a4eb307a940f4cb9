//! Meetings that give way to others under their keys: an event gets a meeting as its calendar is configured
//! instead of one that was made otherwise. That this is begun is remembered before the other one is made;
//! the old one is ended only when no event shows it any more.

use chrono::{DateTime, Utc};

use super::endings::{GRACE, LATER, has_passed};
use super::halt::Halt;
use super::obtain::Failure;
use super::renewal::Got;
use super::rewrite::Rewriting;
use super::understand::{Planned, has_link};
use super::{Bridge, Report, Watched};
use crate::ical::event::Event;
use crate::ical::write;
use crate::log;
use crate::meeting::{Fate, MeetingError};
use crate::model::{JoinUrl, Span};
use crate::state::{Former, FormerFate, Link, MeetingRecord, Phase, StateError};

/// When an event is decided again whose meeting could not be exchanged: as if nothing had been asked for.
pub(super) const SOON: chrono::Duration = chrono::Duration::minutes(1);

impl Planned {
    /// Whether the event has a meeting that was made otherwise than its calendar says.
    pub fn is_of_other_form(&self, calendar: &Watched) -> bool {
        let meeting = self.meeting.as_ref().filter(|_| self.link.is_some());
        meeting.is_some_and(|known| !calendar.form.is_of(&known.meeting))
    }

    /// The link that people see in the event instead of its meeting's, which has replaced it.
    pub(super) fn shown_former(&self) -> Option<&MeetingRecord> {
        let former = &self.former.as_ref()?.record;
        let own = self.meeting.as_ref().map(|known| &known.meeting.join_url);
        let is_shown = write::shows(&self.event, &former.meeting.join_url)
            && !own.is_some_and(|own| write::shows(&self.event, own));
        is_shown.then_some(former)
    }
}

/// The first of them that the event carries, `own` apart.
pub(super) fn carried(event: &Event, formers: Vec<Former>, own: &JoinUrl) -> Option<Former> {
    let carries = |former: &Former| {
        let url = former.record.meeting.join_url.expose();
        let mut links = event.components.iter().flat_map(|c| &c.links);
        url != own.expose() && links.any(|link| link.url == url)
    };
    formers.into_iter().find(carries)
}

impl Bridge {
    /// Whether the event's meeting is to give way to one as it is configured: a rewrite asks for it, or it
    /// has begun.
    pub(super) fn moves(
        &self,
        calendar: &Watched,
        planned: &Planned,
        rewriting: Option<&Rewriting<'_>>,
    ) -> bool {
        let (Some(link), Some(known)) = (&planned.link, &planned.meeting) else {
            return false;
        };
        if !planned.is_of_other_form(calendar) || link.phase >= Phase::TakenOut {
            return false;
        }
        // One that was made since is what another calendar of the event wants.
        let asked = || rewriting.is_some_and(|rewriting| known.created < rewriting.asked());
        planned.moving || (asked() && has_link(calendar, planned, known))
    }

    /// Gets the event another meeting in the place of the one that it has.
    pub(super) async fn exchange(
        &self,
        calendar: &Watched,
        planned: &mut Planned,
        span: Span,
        report: &mut Report,
    ) -> Result<Got, Failure> {
        let Some(known) = planned.meeting.clone() else {
            return Ok(Got::None("in-step", None));
        };
        let now = self.clock.now();
        if !planned.moving
            && let Some((why, _)) = self.spent(calendar, &known.organizer)?
        {
            return Ok(Got::None(why.name(), now.checked_add_signed(SOON)));
        }
        // What may be closed to all is not to be found again.
        for former in self.state.formers(&known.organizer, &known.external_id)? {
            if matches!(former.fate, FormerFate::Begun(_)) {
                self.delete(&former.record).await?;
                self.state.put_former(&Former {
                    fate: FormerFate::Ended,
                    ..former
                })?;
            }
        }
        self.state
            .begin_replacing(&former(calendar, &known, now), now)?;
        let got = self.get(calendar, planned, span, true, report).await;
        match &got {
            Ok(Got::Meeting(record)) if record.meeting.join_url == known.meeting.join_url => {
                self.state.forget_former(&known)?;
            }
            Ok(Got::Meeting(_) | Got::None("meeting-dead", _)) => {}
            Ok(Got::None(name, _)) => {
                self.calls_off(&known)?;
                return Ok(Got::None(name, now.checked_add_signed(SOON)));
            }
            // It keeps the meeting that it has, and that is maintained again.
            Err(Failure::Meeting(
                MeetingError::Request(_)
                | MeetingError::Organizer(_)
                | MeetingError::NoOrganizer(_)
                | MeetingError::Gone,
            )) => self.calls_off(&known)?,
            Err(_) => {}
        }
        got
    }

    /// Remembers that a meeting is not to give way to another one after all.
    pub(super) fn calls_off(&self, known: &MeetingRecord) -> Result<(), StateError> {
        let current = self.state.meeting(&known.organizer, &known.external_id)?;
        match current {
            Some(current) if current.meeting.join_url == known.meeting.join_url => {
                self.state.forget_former(known)
            }
            _ => Ok(()),
        }
    }

    /// Remembers a meeting that was made or found, in the place of the one that its key had. That one lives
    /// on if the event is `exchanged`; else it is dead.
    pub(super) fn put_made(
        &self,
        calendar: &Watched,
        known: Option<&MeetingRecord>,
        record: &MeetingRecord,
        exchanged: bool,
    ) -> Result<(), StateError> {
        let now = self.clock.now();
        let replaced = known.filter(|known| {
            (&known.organizer, &known.external_id) == (&record.organizer, &record.external_id)
                && known.meeting.join_url != record.meeting.join_url
        });
        let Some(known) = replaced else {
            return self.state.put_meeting(record);
        };
        let mut former = former(calendar, known, now);
        if !exchanged {
            former.fate = FormerFate::Ended;
        }
        self.state.replace_meeting(&former, record, now)
    }

    /// The former meetings of which something may be done now.
    pub(super) fn former_endings(&self, calendar: &Watched) -> Result<Vec<Former>, StateError> {
        if calendar.on_delete == Fate::Keep || self.state.calendar(&calendar.name)?.frozen.is_some()
        {
            return Ok(Vec::new());
        }
        self.state.due_formers(&calendar.name, self.clock.now())
    }

    /// Deletes a former meeting that no event has shown for a day. Whether that was done; `None`: the
    /// meeting service is of no use at the moment.
    pub(super) async fn end_former(
        &self,
        calendar: &Watched,
        former: Former,
    ) -> Result<Option<bool>, StateError> {
        let now = self.clock.now();
        if matches!(former.fate, FormerFate::Open(_))
            && let Some(later) = self.former_waits(&former, now)?
        {
            let fate = FormerFate::Open(later);
            self.state.put_former(&Former { fate, ..former })?;
            return Ok(Some(false));
        }
        let begun = FormerFate::Begun(now);
        let former = Former {
            fate: begun,
            ..former
        };
        self.state.put_former(&former)?;
        let record = &former.record;
        match self.delete(record).await {
            Ok(()) => {
                log::event!(MEETING_DELETED, calendar = %calendar.name, uid = %record.uid,
                    organizer = %record.organizer);
                let fate = FormerFate::Ended;
                self.state.put_former(&Former { fate, ..former })?;
                Ok(Some(true))
            }
            Err(error) => {
                let halt = Halt::default();
                let due = halt.failed(&error, now, self.troubles.outage());
                self.troubles.meeting_failed(&record.organizer, &error);
                let fate = FormerFate::Begun(due);
                self.state.put_former(&Former { fate, ..former })?;
                let stops = matches!(error, MeetingError::Transient(_)) || halt.reason().is_some();
                Ok((!stops).then_some(false))
            }
        }
    }

    /// Until when a former meeting is left alone, if it is: an event shows it, or may do so again.
    fn former_waits(
        &self,
        former: &Former,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StateError> {
        let (record, later) = (&former.record, now + LATER);
        let mut links = self.state.links_of_event(&record.uid)?;
        links.retain(|link| link.organizer == record.organizer);
        let is_over = |link: &Link| {
            link.gone_since()
                .is_some_and(|since| has_passed(since, now))
        };
        let its = |link: &&Link| link.external_id == record.external_id && !is_over(link);
        let current = self.state.meeting(&record.organizer, &record.external_id)?;
        let is_current =
            current.is_some_and(|current| current.meeting.join_url == record.meeting.join_url);
        for link in links.iter().filter(its) {
            if link.former || is_current || self.state.calendar(&link.calendar)?.frozen.is_some() {
                return Ok(Some(later));
            }
        }
        let written = links.iter().map(|link| link.written);
        let written = written.filter(|written| *written <= now).max();
        let since = written.map_or(former.since, |at| at.max(former.since));
        if !has_passed(since, now) {
            return Ok(Some(since + GRACE));
        }
        Ok(self.watchlist().unread(since).map(|_| later))
    }
}

fn former(calendar: &Watched, known: &MeetingRecord, now: DateTime<Utc>) -> Former {
    Former {
        record: known.clone(),
        calendar: calendar.name.clone(),
        since: now,
        fate: FormerFate::Open(now + GRACE),
    }
}
