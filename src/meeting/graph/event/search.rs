//! Which event and which calendar of a mailbox is meant. Network.

use std::time::Duration;

use super::wire::{self, Calendar, Event, Page};
use super::{Mirrors, Place as Where};
use crate::meeting::graph::call::Call;
use crate::meeting::graph::errors::SHORT_PAUSE;
use crate::meeting::{Meeting, MeetingError, Mirror};
use crate::model::{ExternalId, MeetingId, OrganizerId};

/// The most pages that are read of a list, and the most calendars of a mailbox that are looked into.
const MOST_PAGES: usize = 10;
const MOST_CALENDARS: usize = 100;

/// What is known of a calendar that is asked for by its name.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Id(String),
    /// Until then, on the monotonic clock, there is believed to be none.
    None(Duration),
}

impl Mirrors<'_> {
    /// The event with this key that is the one meant: in its calendar, in the default one, where it may
    /// have been put before that was chosen, or wherever a person moved it. Of several the oldest.
    pub(super) async fn find(
        &self,
        place: &Where<'_>,
        is_meant: impl Fn(&Event) -> bool,
    ) -> Result<Option<Event>, MeetingError> {
        let meant = |listed: Vec<Event>| oldest(listed.into_iter().filter(&is_meant).collect());
        if let Some(id) = self.calendar(place).await? {
            match self.listed(place, Some(&id)).await.map(meant) {
                Ok(None) => {}
                Err(MeetingError::Gone) => return Err(self.forget(place)),
                found => return found,
            }
        }
        match meant(self.listed(place, None).await?) {
            Some(event) => Ok(Some(event)),
            None => Ok(meant(self.everywhere(place).await?)),
        }
    }

    /// The event with this id, and whether it was found where it belongs.
    ///
    /// # Errors
    /// [`MeetingError::Gone`] when it is in no calendar: one that a person deleted may still be had by
    /// its id for a while.
    pub(super) async fn standing(
        &self,
        place: &Where<'_>,
        id: &str,
    ) -> Result<(Event, bool), MeetingError> {
        let is_it = |event: &Event| event.id == id;
        let calendar = self.calendar(place).await.unwrap_or_default();
        match self.listed(place, calendar.as_deref()).await {
            Ok(listed) => {
                if let Some(event) = listed.into_iter().find(is_it) {
                    return Ok((event, true));
                }
            }
            Err(MeetingError::Gone) => {}
            Err(error) => return Err(error),
        }
        self.get(place.organizer, id).await?;
        let found = self.everywhere(place).await?.into_iter().find(is_it);
        match found {
            Some(event) => Ok((event, false)),
            None => Err(MeetingError::Gone),
        }
    }

    /// The events with this key in all calendars of the mailbox.
    pub(super) async fn everywhere(&self, place: &Where<'_>) -> Result<Vec<Event>, MeetingError> {
        let mut found = Vec::new();
        for calendar in self.calendars(place.organizer).await? {
            match self.listed(place, Some(&calendar.id)).await {
                Ok(listed) => found.extend(listed),
                // Gone meanwhile, or one that cannot be searched.
                Err(MeetingError::Gone | MeetingError::Request(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The meeting with the id of what it is there by: the event with its key and join URL, or else the
    /// onlineMeeting with that URL.
    ///
    /// # Errors
    /// [`MeetingError::Gone`] when there is neither.
    pub(in crate::meeting::graph) async fn identified(
        &self,
        meeting: &Meeting,
        organizer: &OrganizerId,
        external_id: &ExternalId,
        mirror: Option<&Mirror>,
        language: Option<&str>,
    ) -> Result<Meeting, MeetingError> {
        let place = Where {
            organizer,
            key: self.key(organizer, external_id),
            calendar: mirror.and_then(|mirror| mirror.calendar.as_deref()),
        };
        let is_meant = |event: &Event| event.is_of(&meeting.join_url);
        if let Some(event) = self.find(&place, is_meant).await? {
            return Ok(Meeting {
                id: Some(MeetingId::Event { event: event.id }),
                ..meeting.clone()
            });
        }
        let found = self.online_meeting(organizer, &meeting.join_url, language);
        match found.await?.filter(|found| found.id.is_some()) {
            Some(found) => Ok(found.over(meeting)),
            None => Err(MeetingError::Gone),
        }
    }

    /// The id of the calendar that the event is put into; `None`: the default one.
    ///
    /// # Errors
    /// [`MeetingError::Organizer`] when the mailbox has none of this name.
    pub(super) async fn calendar(&self, place: &Where<'_>) -> Result<Option<String>, MeetingError> {
        let Some(name) = place.calendar else {
            return Ok(None);
        };
        let whose = (place.organizer.clone(), name.to_owned());
        let known = Self::lock(&self.memory.calendars).get(&whose).cloned();
        match known {
            Some(Place::Id(id)) => return Ok(Some(id)),
            Some(Place::None(until)) if self.clock.elapsed() < until => {
                return Err(no_calendar(place.organizer, name));
            }
            _ => {}
        }
        let calendars = self.calendars(place.organizer).await?;
        let found = calendars.into_iter().find(|one| one.name == name);
        let known = match &found {
            Some(calendar) => Place::Id(calendar.id.clone()),
            None => Place::None(self.clock.elapsed() + SHORT_PAUSE),
        };
        Self::lock(&self.memory.calendars).insert(whose, known);
        match found {
            Some(calendar) => Ok(Some(calendar.id)),
            None => Err(no_calendar(place.organizer, name)),
        }
    }

    /// A calendar's id leads nowhere: it is looked up again the next time.
    pub(super) fn forget(&self, place: &Where<'_>) -> MeetingError {
        if let Some(name) = place.calendar {
            let whose = (place.organizer.clone(), name.to_owned());
            Self::lock(&self.memory.calendars).remove(&whose);
        }
        MeetingError::Transient("the Outlook calendar is not there any more".to_owned())
    }

    /// The names of the mailbox's calendars.
    pub(in crate::meeting::graph) async fn names(
        &self,
        organizer: &OrganizerId,
    ) -> Result<Vec<String>, MeetingError> {
        let calendars = self.calendars(organizer).await?;
        Ok(calendars.into_iter().map(|one| one.name).collect())
    }

    async fn calendars(&self, organizer: &OrganizerId) -> Result<Vec<Calendar>, MeetingError> {
        let call = self.mailbox(organizer).calendars();
        let mut calendars = self.pages(organizer, call, wire::calendars).await?;
        calendars.truncate(MOST_CALENDARS);
        Ok(calendars)
    }

    /// The events with this key in one calendar.
    async fn listed(
        &self,
        place: &Where<'_>,
        calendar: Option<&str>,
    ) -> Result<Vec<Event>, MeetingError> {
        let call = self.mailbox(place.organizer).find(calendar, &place.key);
        self.pages(place.organizer, call, wire::events).await
    }

    /// A list, page by page.
    async fn pages<T>(
        &self,
        organizer: &OrganizerId,
        mut call: Call,
        read: impl Fn(&[u8]) -> Option<Page<T>>,
    ) -> Result<Vec<T>, MeetingError> {
        let mut entries = Vec::new();
        for _ in 0..MOST_PAGES {
            let page = self.calls.make(&call, &read).await?.read;
            entries.extend(page.entries);
            let Some(next) = page.next else {
                return Ok(entries);
            };
            let astray = || MeetingError::Transient("a list of Graph leads elsewhere".to_owned());
            call = self
                .mailbox(organizer)
                .next(&call, &next)
                .ok_or_else(astray)?;
        }
        // What is on further pages stays unknown, which is no reason to do without what was found.
        Ok(entries)
    }
}

/// Of several events with one key, the one that all agree upon.
pub(super) fn oldest(events: Vec<Event>) -> Option<Event> {
    let age = |event: &Event| (event.created.is_none(), event.created, event.id.clone());
    events.into_iter().min_by_key(age)
}

fn no_calendar(organizer: &OrganizerId, name: &str) -> MeetingError {
    MeetingError::Organizer(format!(
        "organizer {organizer}: the mailbox has no Outlook calendar {name:?}; make one of that name in \
         Outlook, or name another one in the configuration"
    ))
}
