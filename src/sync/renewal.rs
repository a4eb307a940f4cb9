//! Meetings that died, and organizers who are gone: their events get other meetings, found again by the
//! same walk when the state is lost (DESIGN.md, section 6, "Identity").

use chrono::{DateTime, Utc};

use super::obtain::Failure;
use super::understand::Planned;
use super::{Bridge, Report, Watched};
use crate::ical::event::Event;
use crate::meeting::MeetingError;
use crate::model::{ExternalId, Generation, OrganizerId, Span};
use crate::state::{Link, MeetingRecord, StateError};

/// The last generation of an event's key.
const LAST: Generation = 3;

/// How far apart the two answers are by which a meeting is dead.
const INTERVAL: chrono::Duration = chrono::Duration::minutes(1);

/// How long an organizer is not found before what is his is given up.
const ABANDONED: chrono::Duration = chrono::Duration::hours(24);

/// How getting a meeting ended.
pub(super) enum Got {
    Meeting(Box<MeetingRecord>),
    /// There is none; the name in the outcome, and when to decide again.
    None(&'static str, Option<DateTime<Utc>>),
}

impl Bridge {
    /// Gets the event its meeting. A key whose meeting is not found twice, a minute or more apart, and
    /// that gives the same one again, is followed by the one of the next generation. `is_lost` says
    /// that what is remembered was not found.
    pub(super) async fn get(
        &self,
        calendar: &Watched,
        planned: &mut Planned,
        span: Span,
        is_lost: bool,
        report: &mut Report,
    ) -> Result<Got, Failure> {
        for generation in planned.generation..=LAST {
            let is_first = generation == planned.generation;
            planned.generation = generation;
            let (organizer, key) = self.key(calendar, planned);
            let its =
                |known: &&MeetingRecord| known.organizer == organizer && known.external_id == key;
            let known = planned.meeting.as_ref().filter(its);
            let doubted = is_lost || known.is_none_or(|known| known.schedule.is_empty());
            if (known.is_none() || is_lost || !is_first)
                && let Some((why, due)) = self.spent(calendar, &organizer)?
            {
                return Ok(Got::None(why.name(), due));
            }
            match self.ensure(calendar, planned, span, doubted, report).await {
                Ok(record) => {
                    self.state.put_absence(&organizer, Some(&key), None)?;
                    return Ok(Got::Meeting(Box::new(record)));
                }
                Err(Failure::Meeting(MeetingError::Gone)) => {
                    if let Some(again) = self.miss(&organizer, &key)? {
                        return Ok(Got::None("meeting-dead", Some(again)));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.troubles
            .meeting_dead(&calendar.name, &planned.event.uid);
        Ok(Got::None("meeting-dead", None))
    }

    /// Notes that the service gives a meeting that it does not find; when to ask again, if it has to be.
    pub(super) fn miss(
        &self,
        organizer: &OrganizerId,
        key: &ExternalId,
    ) -> Result<Option<DateTime<Utc>>, StateError> {
        if let Some(record) = self.state.meeting(organizer, key)? {
            self.state.put_meeting(&record.outdated())?;
        }
        let now = self.clock.now();
        let since = self.state.absent_since(organizer, Some(key))?;
        if since.is_none() {
            self.state.put_absence(organizer, Some(key), Some(now))?;
        }
        let again = since.unwrap_or(now) + INTERVAL;
        Ok((now < again).then_some(again))
    }

    /// The key of the event's meeting, in the generation that is planned.
    pub(super) fn key(&self, calendar: &Watched, planned: &Planned) -> (OrganizerId, ExternalId) {
        let of_generation = || ExternalId::of(&planned.event.uid, planned.generation);
        match &planned.link {
            Some(link) if link.generation == planned.generation => {
                (link.organizer.clone(), link.external_id.clone())
            }
            Some(link) => (link.organizer.clone(), of_generation()),
            None => {
                let organizer = calendar.organizer_of(&planned.event);
                (organizer.clone(), of_generation())
            }
        }
    }

    /// Whether the organizer of an old link was not found for a day, so that the event gets a meeting
    /// of the one that is configured. To be asked when he has just not been found.
    pub(super) fn is_abandoned(
        &self,
        calendar: &Watched,
        planned: &Planned,
    ) -> Result<bool, StateError> {
        let Some(link) = &planned.link else {
            return Ok(false);
        };
        if link.organizer == *calendar.organizer_of(&planned.event) {
            return Ok(false);
        }
        let now = self.clock.now();
        let since = self.state.absent_since(&link.organizer, None)?;
        if since.is_none() {
            self.state.put_absence(&link.organizer, None, Some(now))?;
        }
        let is_abandoned = since.is_some_and(|since| now - since >= ABANDONED);
        if is_abandoned && self.troubles.is_abandoned(&calendar.name, &link.organizer) {
            self.state.make_due(&calendar.name, &link.organizer, now)?;
        }
        Ok(is_abandoned)
    }

    /// The meeting of an old link, as it is to be decided upon: that of an organizer who was not found
    /// for a day is not relied upon.
    pub(super) fn meeting_of(
        &self,
        calendar: &Watched,
        event: &Event,
        link: &Link,
    ) -> Result<Option<MeetingRecord>, StateError> {
        let known = self.state.meeting(&link.organizer, &link.external_id)?;
        if link.organizer == *calendar.organizer_of(event) {
            return Ok(known);
        }
        let since = self.state.absent_since(&link.organizer, None)?;
        let is_abandoned = since.is_some_and(|since| self.clock.now() - since >= ABANDONED);
        Ok(match is_abandoned {
            true => known.map(MeetingRecord::outdated),
            false => known,
        })
    }
}
