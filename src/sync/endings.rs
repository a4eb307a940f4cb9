//! The ends of meetings that are not to outlive their events: of events that are gone, lost their link or
//! are cancelled (DESIGN.md, section 6). The intent is remembered before anything is deleted.

use chrono::{DateTime, Utc};

use super::halt::Halt;
use super::obtain::Failure;
use super::{Bridge, Watched};
use crate::log;
use crate::meeting::{Fate, MeetingError};
use crate::model::{ExternalId, OrganizerId, Uid};
use crate::state::{Ending, Link, MeetingRecord, StateError};

/// How long an event may be gone or cancelled and find its meeting again.
pub(super) const GRACE: chrono::Duration = chrono::Duration::hours(24);

/// How long a meeting is left alone that cannot be ended yet.
pub(super) const LATER: chrono::Duration = chrono::Duration::hours(1);

/// How many meetings are ended at once.
const AT_MOST: usize = 200;

/// What became of a meeting.
pub(super) enum End {
    Deleted,
    /// It stays, for good or for a while.
    Stays,
    /// The meeting service is of no use at the moment.
    Stop,
}

impl Bridge {
    /// Whether the grace time of any meeting of the calendar has passed, so that it is worth a pass
    /// over what is new and a call of [`Bridge::end_meetings`].
    ///
    /// # Errors
    /// [`StateError`].
    pub fn has_endings(&self, calendar: &Watched) -> Result<bool, StateError> {
        Ok(!self.endings(calendar)?.is_empty() || !self.former_endings(calendar)?.is_empty())
    }

    /// Deletes the meetings whose events have been gone or cancelled for a day, where the calendar
    /// says so, and those that others have replaced and that no event has shown for a day; returns how
    /// many. Nothing is deleted while the calendar is frozen, while the event is
    /// linked in any calendar, or before every watched calendar has been read as a whole since the event
    /// was last seen: it may have moved there.
    ///
    /// To be called after a pass that has read what is new: it concludes from what is remembered.
    ///
    /// # Errors
    /// [`StateError`]; what the meeting service refuses is told to the log and tried again.
    pub async fn end_meetings(&self, calendar: &Watched) -> Result<usize, StateError> {
        let mut deleted = 0;
        for link in self.endings(calendar)?.into_iter().take(AT_MOST) {
            match self.end_meeting(calendar, link).await? {
                End::Deleted => deleted += 1,
                End::Stays => {}
                End::Stop => return Ok(deleted),
            }
        }
        for former in self.former_endings(calendar)?.into_iter().take(AT_MOST) {
            match self.end_former(calendar, former).await? {
                Some(done) => deleted += usize::from(done),
                None => break,
            }
        }
        Ok(deleted)
    }

    /// The links whose meetings are to be ended now.
    fn endings(&self, calendar: &Watched) -> Result<Vec<Link>, StateError> {
        if (calendar.on_cancel, calendar.on_delete) == (Fate::Keep, Fate::Keep)
            || self.state.calendar(&calendar.name)?.frozen.is_some()
        {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let mut links = self.state.ended_links(&calendar.name)?;
        links.retain(|link| since(calendar, link).is_some_and(|since| has_passed(since, now)));
        let mut due = Vec::with_capacity(links.len());
        for link in links {
            let ending = self.state.ending(&link.organizer, &link.external_id)?;
            if ending.is_none_or(|ending| ending.due <= now) {
                due.push(link);
            }
        }
        Ok(due)
    }

    async fn end_meeting(&self, calendar: &Watched, link: Link) -> Result<End, StateError> {
        let (organizer, key, now) = (&link.organizer, &link.external_id, self.clock.now());
        let begun = self.state.ending(organizer, key)?.is_some_and(|e| e.begun);
        if !begun {
            let mut links = self.state.links_of_event(&link.uid)?;
            links.retain(|other| other.organizer == *organizer);
            if links.iter().any(Link::is_live) {
                self.state.put_ending(organizer, key, None)?;
                self.close(vec![link])?;
                return Ok(End::Stays);
            }
            if self.is_unsure(&links, now)? || self.may_have_moved(&links) {
                let later = Ending {
                    begun: false,
                    due: now + LATER,
                };
                self.state.put_ending(organizer, key, Some(later))?;
                return Ok(End::Stays);
            }
        }
        let Some(record) = self.state.meeting(organizer, key)? else {
            self.has_ended(&link.uid, organizer, key)?;
            return Ok(End::Stays);
        };
        self.end_now(calendar, &link, &record).await
    }

    /// Deletes the meeting of a link.
    pub(super) async fn end_now(
        &self,
        calendar: &Watched,
        link: &Link,
        record: &MeetingRecord,
    ) -> Result<End, StateError> {
        let (organizer, key, now) = (&link.organizer, &link.external_id, self.clock.now());
        // First: an event that returns from now on does not take its meeting to be alive.
        self.state.put_meeting(&record.clone().outdated())?;
        let intent = Ending {
            begun: true,
            due: now,
        };
        self.state.put_ending(organizer, key, Some(intent))?;
        match self.delete(record).await {
            Ok(()) => {
                self.has_ended(&link.uid, organizer, key)?;
                self.troubles.meeting_taken(&calendar.name, &link.uid);
                log::event!(MEETING_DELETED, calendar = %calendar.name, uid = %link.uid,
                    organizer = %organizer);
                Ok(End::Deleted)
            }
            Err(error) => {
                let halt = Halt::default();
                let due = halt.failed(&error, self.clock.now(), self.troubles.outage());
                self.troubles.meeting_failed(organizer, &error);
                if matches!(error, MeetingError::Request(_)) {
                    self.troubles
                        .meeting_refused(&calendar.name, &link.uid, organizer, &error);
                }
                let again = Ending { begun: true, due };
                self.state.put_ending(organizer, key, Some(again))?;
                Ok(match error {
                    MeetingError::Transient(_) => End::Stop,
                    _ if halt.reason().is_some() => End::Stop,
                    _ => End::Stays,
                })
            }
        }
    }

    /// Whether some link of an event may come back: its absence is not confirmed, its grace time has not
    /// passed, or its calendar is frozen.
    fn is_unsure(&self, links: &[Link], now: DateTime<Utc>) -> Result<bool, StateError> {
        for link in links {
            let ended = match link.gone {
                Some(gone) => Some(gone.since).filter(|_| gone.confirmed),
                None => link.cancelled,
            };
            if !ended.is_some_and(|since| has_passed(since, now))
                || self.state.calendar(&link.calendar)?.frozen.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the event may be in a calendar that was not read as a whole since it was last seen.
    fn may_have_moved(&self, links: &[Link]) -> bool {
        let ended = |link: &Link| link.gone.map(|gone| gone.since).max(link.cancelled);
        let last = links.iter().filter_map(ended).max();
        let unread = last.and_then(|last| self.watchlist().unread(last));
        if let Some(calendar) = &unread {
            tracing::debug!(%calendar, "no meeting is deleted before this calendar has been read");
        }
        unread.is_some()
    }

    pub(super) async fn delete(&self, record: &MeetingRecord) -> Result<(), MeetingError> {
        let (meeting, organizer, key) = (&record.meeting, &record.organizer, &record.external_id);
        self.meetings.delete(meeting, organizer, key).await?;
        self.troubles.meeting_made(organizer);
        Ok(())
    }

    /// A meeting whose end has begun is not used again before it is deleted: it may be closed to all.
    pub(super) async fn finish_begun(&self, record: &MeetingRecord) -> Result<(), Failure> {
        let (organizer, key) = (&record.organizer, &record.external_id);
        if self.state.ending(organizer, key)?.is_some_and(|e| e.begun) {
            self.delete(record).await?;
            self.has_ended(&record.uid, organizer, key)?;
        }
        Ok(())
    }

    /// Remembers that the meeting is deleted. Where the event is linked again meanwhile, it is decided
    /// again.
    fn has_ended(
        &self,
        uid: &Uid,
        organizer: &OrganizerId,
        key: &ExternalId,
    ) -> Result<(), StateError> {
        if let Some(record) = self.state.meeting(organizer, key)? {
            self.state.put_meeting(&record.outdated())?;
        }
        let mut links = self.state.links_of_event(uid)?;
        links.retain(|link| link.organizer == *organizer && link.external_id == *key);
        let (live, ended): (Vec<Link>, Vec<Link>) = links.into_iter().partition(Link::is_live);
        for link in live {
            self.state.forget_decision(&link.calendar, &link.resource)?;
        }
        self.close(ended)?;
        // Last: until then the end is not finished.
        self.state.put_ending(organizer, key, None)
    }

    fn close(&self, mut links: Vec<Link>) -> Result<(), StateError> {
        links.iter_mut().for_each(|link| link.closed = true);
        self.state.put_links(&links)
    }
}

/// Since when the link's calendar does not want its meeting any more.
fn since(calendar: &Watched, link: &Link) -> Option<DateTime<Utc>> {
    let gone = link.gone.filter(|_| calendar.on_delete == Fate::Delete);
    let cancelled = link
        .cancelled
        .filter(|_| calendar.on_cancel == Fate::Delete);
    let is_sure = link.gone.is_none_or(|gone| gone.confirmed);
    super::sooner(gone.map(|gone| gone.since), cancelled).filter(|_| is_sure)
}

pub(super) fn has_passed(since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now.signed_duration_since(since) >= GRACE
}
