//! The meeting behind an event: what the event does not tell, and its settings, by the join URL. Network.
//!
//! That takes a permission of its own. A refusal concerns nothing but what is missing then.

use super::wire::Event;
use super::{Mirrors, WAITS};
use crate::http::Answer;
use crate::meeting::graph::call::Call;
use crate::meeting::graph::errors::LONG_PAUSE;
use crate::meeting::graph::wire::{self, Found};
use crate::meeting::{Details, DialIn, Meeting, MeetingError, Wanted};
use crate::model::{JoinUrl, MeetingId, OrganizerId};

impl Mirrors<'_> {
    /// The meeting of an event, over what is `known` of it. Where what is known was read before, it does
    /// for what cannot be read this time.
    pub(super) async fn described(
        &self,
        wanted: &Wanted,
        event: Event,
        join_url: JoinUrl,
        known: Option<&Meeting>,
    ) -> Result<Meeting, MeetingError> {
        let language = Some(wanted.language.as_str());
        let was_read = known.is_some_and(|known| known.details.language.is_some());
        let organizer = &wanted.organizer;
        let found = match was_read {
            true => self.online_meeting(organizer, &join_url, language).await,
            false => {
                let found = self.online_meeting_soon(organizer, &join_url, language);
                found.await
            }
        };
        let found = match found {
            Ok(found) => found.unwrap_or_default(),
            Err(_) if was_read => Found::default(),
            Err(error) => return Err(error),
        };
        let id = MeetingId::Event {
            event: event.id.clone(),
        };
        let blank = Meeting {
            id: None,
            join_url,
            span: None,
            subject: None,
            expires: None,
            details: Details::default(),
        };
        let known = known.unwrap_or(&blank);
        let dial_in = with(event.dial_in, found.details.dial_in.as_ref());
        let dial_in = match &found.details.dial_in {
            Some(_) => dial_in,
            None => with(dial_in, known.details.dial_in.as_ref()),
        };
        let found = Found {
            id: None,
            join_url: None,
            span: event.span,
            subject: event.subject,
            // The event keeps it alive.
            expires: None,
            details: Details {
                dial_in,
                ..found.details
            },
        };
        Ok(Meeting {
            id: Some(id),
            expires: None,
            ..found.over(known)
        })
    }

    /// The onlineMeeting with this join URL; `None` where none is to be had.
    ///
    /// # Errors
    /// [`MeetingError::Gone`] when there is none.
    pub(super) async fn online_meeting(
        &self,
        organizer: &OrganizerId,
        join_url: &JoinUrl,
        language: Option<&str>,
    ) -> Result<Option<Found>, MeetingError> {
        if self.is_refused(organizer) {
            return Ok(None);
        }
        let mut call = Call::find(&self.settings.graph_url, organizer, join_url);
        if let Some(language) = language {
            call = call.in_language(language);
        }
        match self.calls.make_or(&call, wire::collection, refused).await {
            Ok(done) => done.read.map(Some).ok_or(MeetingError::Gone),
            Err(NoAnswer::Refused) => {
                let until = self.clock.elapsed() + LONG_PAUSE;
                Self::lock(&self.memory.refused).insert(organizer.clone(), until);
                Ok(None)
            }
            Err(NoAnswer::Other(
                MeetingError::Request(_)
                | MeetingError::Organizer(_)
                | MeetingError::NoOrganizer(_),
            )) => Ok(None),
            Err(NoAnswer::Other(error)) => Err(error),
        }
    }

    /// Whether meetings of this organizer are not to be had by their join URL for a while.
    fn is_refused(&self, organizer: &OrganizerId) -> bool {
        let until = Self::lock(&self.memory.refused).get(organizer).copied();
        until.is_some_and(|until| self.clock.elapsed() < until)
    }

    /// As [`Self::online_meeting`], of an event that may just have been made: its meeting may be found
    /// a little later than the event. `None` also where there is none.
    pub(super) async fn online_meeting_soon(
        &self,
        organizer: &OrganizerId,
        join_url: &JoinUrl,
        language: Option<&str>,
    ) -> Result<Option<Found>, MeetingError> {
        let mut waits = WAITS.into_iter();
        loop {
            match self.online_meeting(organizer, join_url, language).await {
                Err(MeetingError::Gone) => {}
                answered => return answered,
            }
            match waits.next() {
                Some(wait) => self.clock.sleep(wait).await,
                None => return Ok(None),
            }
        }
    }

    /// Closes the meeting behind an event to everybody but its organizer, where that is permitted.
    pub(super) async fn close(
        &self,
        join_url: &JoinUrl,
        organizer: &OrganizerId,
    ) -> Result<(), MeetingError> {
        let found = match self.online_meeting(organizer, join_url, None).await {
            Err(MeetingError::Gone) => None,
            found => found?,
        };
        let Some(id) = found.and_then(|found| found.id) else {
            return Ok(());
        };
        let call = Call::close(&self.settings.graph_url, organizer, &id);
        match self.calls.make_or(&call, |_| Some(()), refused).await {
            // What cannot be closed can be deleted all the same.
            Ok(_)
            | Err(
                NoAnswer::Refused
                | NoAnswer::Other(
                    MeetingError::Gone | MeetingError::Request(_) | MeetingError::Organizer(_),
                ),
            ) => Ok(()),
            Err(NoAnswer::Other(error)) => Err(error),
        }
    }
}

/// Why an onlineMeeting does not answer.
enum NoAnswer {
    /// The permission is missing, or the access policy, or the licence.
    Refused,
    Other(MeetingError),
}

impl From<MeetingError> for NoAnswer {
    fn from(error: MeetingError) -> Self {
        Self::Other(error)
    }
}

fn refused(answer: &Answer) -> Option<NoAnswer> {
    matches!(answer.status.as_u16(), 402 | 403).then_some(NoAnswer::Refused)
}

/// `first` with what it lacks of `second`; of two lists of numbers the one that has all of the other.
pub(super) fn with(first: Option<DialIn>, second: Option<&DialIn>) -> Option<DialIn> {
    let Some(second) = second else { return first };
    let Some(first) = first else {
        return Some(second.clone());
    };
    let numbers = |first: Vec<String>, second: &[String]| {
        let is_fuller = first.iter().all(|number| second.contains(number));
        if is_fuller { second.to_vec() } else { first }
    };
    Some(DialIn {
        dialin_url: first.dialin_url.or_else(|| second.dialin_url.clone()),
        conference_id: first.conference_id.or_else(|| second.conference_id.clone()),
        toll_numbers: numbers(first.toll_numbers, &second.toll_numbers),
        toll_free_numbers: numbers(first.toll_free_numbers, &second.toll_free_numbers),
        quick_dial: first.quick_dial.or_else(|| second.quick_dial.clone()),
    })
}
