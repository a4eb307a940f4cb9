//! Meetings as events in the organizer's Outlook calendar (graph-api.md, section 9). Network.
//!
//! An event is found again by an extended property that holds a digest of the meeting's key, and never
//! has attendees. What the event does not tell of its meeting is asked for by the join URL, where that is
//! permitted. `request`: calls as values · `wire`: their JSON · `search`: which event and calendar is
//! meant · `details`: the meeting behind an event.

mod details;
mod request;
mod search;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;

use self::request::Mailbox;
use self::wire::Event;
use super::calls::Calls;
use super::errors::{LONG_PAUSE, Report};
use super::online::Online;
use super::settings::GraphSettings;
use super::wire::Change;
use crate::clock::Clock;
use crate::http::Answer;
use crate::meeting::{Details, Ensured, Form, Meeting, MeetingError, Mirror, Settings, Wanted};
use crate::model::{ExternalId, JoinUrl, MeetingId, MeetingKey, OrganizerId};

/// After which waits an event is read again that does not show its meeting yet.
const WAITS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// How often an update is repeated at most to bring the link back that it dropped.
const MOST_RESTORES: usize = 3;

/// What is known of mailboxes, apart from events.
#[derive(Default)]
pub(super) struct Memory {
    /// Organizer and name of a calendar → its id, or until when there is believed to be none.
    calendars: Mutex<HashMap<(OrganizerId, String), search::Place>>,
    /// Organizer → until when meetings are not asked for by their join URL, since that was refused.
    refused: Mutex<HashMap<OrganizerId, Duration>>,
}

/// The Calendar API.
pub(super) struct Mirrors<'s> {
    pub(super) settings: &'s GraphSettings,
    pub(super) calls: &'s Calls,
    pub(super) clock: &'s dyn Clock,
    pub(super) memory: &'s Memory,
    pub(super) online: Online<'s>,
}

/// Which event is meant, whether or not there is one.
struct Place<'a> {
    organizer: &'a OrganizerId,
    /// The value of the extended property.
    key: String,
    /// The name of the calendar that it is put into; `None`: the default one.
    calendar: Option<&'a str>,
}

impl Mirrors<'_> {
    /// `created` is also said of an event that an earlier try made, whose answer was lost.
    pub(super) async fn ensure(
        &self,
        wanted: &Wanted,
        mirror: &Mirror,
    ) -> Result<Ensured, MeetingError> {
        let place = self.place(wanted, Some(mirror));
        let (event, created) = match self.find(&place, |_| true).await? {
            Some(event) => (event, false),
            None => self.create(&place, wanted, mirror).await?,
        };
        let (mut event, join_url) = self.with_link(&place, event).await?;
        let id = event.id.clone();
        let mut taken = true;
        if let Some(change) = event.change_to(wanted) {
            match self.change(&place, &id, &change).await {
                Ok(changed) => event = changed,
                // Its link is as good as ever; what it does not take now, it may take later.
                Err(MeetingError::Request(_)) => taken = false,
                Err(error) => return Err(error),
            }
        }
        let meeting = self.described(wanted, event, join_url, None).await?;
        // One whose times are unknown was left alone: its title may be another one, too.
        let is_known = meeting.span.is_some();
        Ok(Ensured {
            meeting: match taken {
                true => Meeting {
                    span: meeting.span.and(Some(wanted.span)),
                    subject: wanted.subject.clone().filter(|_| is_known),
                    ..meeting
                },
                false => meeting,
            },
            created,
        })
    }

    /// Always sends both times: a person may have moved the event, and it keeps the meeting alive.
    pub(super) async fn update(
        &self,
        id: &str,
        meeting: &Meeting,
        wanted: &Wanted,
    ) -> Result<Meeting, MeetingError> {
        let change = Change::renewing(meeting, wanted);
        let place = self.place(wanted, mirror(wanted));
        let event = self.change(&place, id, &change).await?;
        // Whoever edits its body may take the meeting from the event; the next one is another meeting.
        if !event.is_of(&meeting.join_url) {
            return Err(MeetingError::Gone);
        }
        let url = meeting.join_url.clone();
        let changed = self.described(wanted, event, url, Some(meeting)).await?;
        Ok(Meeting {
            span: change.span,
            subject: wanted.subject.clone(),
            ..changed
        })
    }

    pub(super) async fn read(
        &self,
        id: &str,
        meeting: &Meeting,
        wanted: &Wanted,
    ) -> Result<Meeting, MeetingError> {
        let event = self.get(&wanted.organizer, id).await?;
        let url = meeting.join_url.clone();
        let unread = Meeting {
            details: Details {
                language: None,
                ..meeting.details.clone()
            },
            ..meeting.clone()
        };
        self.described(wanted, event, url, Some(&unread)).await
    }

    /// Through the onlineMeeting behind the event, which takes its permission.
    pub(super) async fn apply(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
        settings: &Settings,
    ) -> Result<(), MeetingError> {
        let mut waits = WAITS.into_iter();
        loop {
            let (organizer, url) = (&wanted.organizer, &meeting.join_url);
            let found = self.online_meeting_soon(organizer, url, None).await?;
            let Some(id) = found.and_then(|found| found.id) else {
                return Err(MeetingError::Request(
                    "the meeting of an event in Outlook is not to be had by its join URL; its \
                     settings take the permission for online meetings and an application access policy \
                     beside that for calendars"
                        .to_owned(),
                ));
            };
            let behind = Meeting {
                id: Some(MeetingId::OnlineMeeting(id)),
                ..meeting.clone()
            };
            match (
                self.online.apply(&behind, wanted, settings).await,
                waits.next(),
            ) {
                (Err(MeetingError::Organizer(why)), _) => return Err(MeetingError::Request(why)),
                // It was found a moment ago.
                (Err(MeetingError::Gone), Some(wait)) => self.clock.sleep(wait).await,
                (Err(MeetingError::Gone), None) => {
                    return Err(MeetingError::Request(
                        "the meeting behind the event in Outlook is not there".to_owned(),
                    ));
                }
                (applied, _) => return applied,
            }
        }
    }

    /// Closes the meeting behind the event, as far as that is permitted, then deletes the event.
    pub(super) async fn delete(
        &self,
        id: &str,
        meeting: &Meeting,
        organizer: &OrganizerId,
    ) -> Result<(), MeetingError> {
        self.close(&meeting.join_url, organizer).await?;
        let call = self.mailbox(organizer).delete(id);
        match self.calls.make(&call, |_| Some(())).await {
            Ok(_) | Err(MeetingError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn mailbox<'m>(&'m self, organizer: &'m OrganizerId) -> Mailbox<'m> {
        Mailbox {
            root: &self.settings.graph_url,
            organizer,
        }
    }

    fn place<'w>(&self, wanted: &'w Wanted, mirror: Option<&'w Mirror>) -> Place<'w> {
        Place {
            organizer: &wanted.organizer,
            key: self.key(&wanted.organizer, &wanted.external_id),
            calendar: mirror.and_then(|mirror| mirror.calendar.as_deref()),
        }
    }

    /// What stands for a key in the extended property, which is compared without case.
    fn key(&self, organizer: &OrganizerId, external_id: &ExternalId) -> String {
        let key = MeetingKey {
            tenant: self.settings.tenant.clone(),
            organizer: organizer.clone(),
            external_id: external_id.clone(),
        };
        key.digest()
    }

    async fn get(&self, organizer: &OrganizerId, id: &str) -> Result<Event, MeetingError> {
        let call = self.mailbox(organizer).get(id);
        Ok(self.calls.make(&call, wire::event).await?.read)
    }

    /// Makes the event; whether it is a new one.
    ///
    /// # Errors
    /// [`MeetingError::Gone`] where the service gives back one that a person deleted.
    async fn create(
        &self,
        place: &Place<'_>,
        wanted: &Wanted,
        mirror: &Mirror,
    ) -> Result<(Event, bool), MeetingError> {
        let calendar = self.calendar(place).await?;
        let mailbox = self.mailbox(place.organizer);
        let call = mailbox.create(calendar.as_deref(), wanted, mirror, &place.key);
        match self.calls.make_or(&call, wire::event, duplicate).await {
            // The transactionId may have given back an older one, wherever that is.
            Ok(done) => self.standing(place, &done.read.id).await,
            Err(NotMade::Before) => match search::oldest(self.everywhere(place).await?) {
                Some(event) => Ok((event, false)),
                None => Err(MeetingError::Gone),
            },
            Err(NotMade::For(MeetingError::Gone)) => Err(self.forget(place)),
            Err(NotMade::For(error)) => Err(error),
        }
    }

    /// The event with the link of its meeting, which may come later than the event; one without a meeting
    /// is made an online meeting once.
    async fn with_link(
        &self,
        place: &Place<'_>,
        mut event: Event,
    ) -> Result<(Event, JoinUrl), MeetingError> {
        let id = event.id.clone();
        for goes_online in [false, true] {
            if goes_online {
                let call = self.mailbox(place.organizer).go_online(&id);
                match self.calls.make(&call, |_| Some(())).await {
                    Ok(_) => event = self.get(place.organizer, &id).await?,
                    Err(MeetingError::Request(_)) => break,
                    Err(error) => return Err(error),
                }
            }
            let mut waits = WAITS.into_iter();
            loop {
                if let Some(url) = event.join_url.clone() {
                    return Ok((event, url));
                }
                let Some(wait) = waits.next() else { break };
                self.clock.sleep(wait).await;
                event = self.get(place.organizer, &id).await?;
            }
        }
        if event.is_teams {
            return Err(MeetingError::Transient(
                "Outlook has not given the event its meeting yet".to_owned(),
            ));
        }
        let error = MeetingError::Organizer(format!(
            "organizer {}: Outlook gives the events of this mailbox no Teams meeting; see by \
             `meetbridge check --online` whether allowedOnlineMeetingProviders of its calendar has \
             teamsForBusiness, give the organizer a Teams licence, or set `api = \"online-meeting\"`",
            place.organizer
        ));
        let call = self.mailbox(place.organizer).get(&id);
        Err(self.calls.remember(&call, error, LONG_PAUSE))
    }

    /// The event after a PATCH.
    ///
    /// # Errors
    /// [`MeetingError::Gone`] only when it is in no calendar: where it is, another one would be made
    /// beside it.
    async fn change(
        &self,
        place: &Place<'_>,
        id: &str,
        change: &Change,
    ) -> Result<Event, MeetingError> {
        match self.try_change(place, id, change).await {
            Err(MeetingError::Gone) => {
                let mut there = self.everywhere(place).await?.into_iter();
                match there.any(|event| event.id == id) {
                    true => Err(MeetingError::Transient(
                        "Outlook does not find an event by its id that lies in a calendar"
                            .to_owned(),
                    )),
                    false => Err(MeetingError::Gone),
                }
            }
            changed => changed,
        }
    }

    async fn try_change(
        &self,
        place: &Place<'_>,
        id: &str,
        change: &Change,
    ) -> Result<Event, MeetingError> {
        let call = self.mailbox(place.organizer).patch(id, change);
        self.calls.make(&call, |_| Some(())).await?;
        let (mut event, _) = self.standing(place, id).await?;
        // An update of the times was seen to drop the link, and the next one to bring it back. One that
        // is repeated since its answer was lost drops it again.
        for _ in 0..MOST_RESTORES {
            if event.join_url.is_some() {
                break;
            }
            self.calls.make(&call, |_| Some(())).await?;
            event = self.get(place.organizer, id).await?;
        }
        Ok(event)
    }

    fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mirror that is wanted, if one is.
pub(super) fn mirror(wanted: &Wanted) -> Option<&Mirror> {
    match &wanted.form {
        Form::CalendarEvent(mirror) => Some(mirror),
        Form::OnlineMeeting => None,
    }
}

/// Why an event was not made.
enum NotMade {
    /// One was made with this transactionId before, from something else.
    Before,
    For(MeetingError),
}

impl From<MeetingError> for NotMade {
    fn from(error: MeetingError) -> Self {
        Self::For(error)
    }
}

fn duplicate(answer: &Answer) -> Option<NotMade> {
    let is_refused = matches!(
        answer.status,
        StatusCode::CONFLICT | StatusCode::BAD_REQUEST
    );
    let is_it = || Report::read(&answer.body).is("ErrorDuplicateTransactionId");
    (is_refused && is_it()).then_some(NotMade::Before)
}
