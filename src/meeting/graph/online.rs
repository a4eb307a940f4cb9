//! Meetings as onlineMeetings, which stand in nobody's calendar (graph-api.md, sections 4 to 6). Network.

use reqwest::StatusCode;

use super::call::Call;
use super::calls::Calls;
use super::settings::GraphSettings;
use super::wire::{self, Change, Found};
use crate::meeting::{Ensured, Meeting, MeetingError, Settings, Wanted};
use crate::model::{MeetingId, OrganizerId};

/// The online meetings API.
pub(super) struct Online<'s> {
    pub(super) settings: &'s GraphSettings,
    pub(super) calls: &'s Calls,
}

impl Online<'_> {
    /// `created` is also said of a meeting that was found after a try whose answer was lost: that try
    /// may have made it.
    pub(super) async fn ensure(&self, wanted: &Wanted) -> Result<Ensured, MeetingError> {
        let call = Call::create_or_get(&self.settings.graph_url, wanted);
        let done = self
            .calls
            .make(&call, |body| {
                let found = wire::meeting(body)?;
                Some((found.complete()?, found))
            })
            .await?;
        let (mut meeting, found) = done.read;
        let created = done.status == StatusCode::CREATED || done.repeated;
        if done.status != StatusCode::CREATED
            && let (Some(change), Some(id)) = (found.change_to(wanted), &found.id)
        {
            match self.change(&meeting, id, wanted, &change).await {
                Ok(changed) => meeting = changed,
                // Its link is as good as ever; what it does not take now, it may take later.
                Err(MeetingError::Request(_)) => return Ok(Ensured { meeting, created }),
                Err(error) => return Err(error),
            }
        }
        let span = meeting.span.and(Some(wanted.span));
        // One whose times are unknown was left alone: its title may be another one, too.
        let is_known = done.status == StatusCode::CREATED || span.is_some();
        let subject = wanted.subject.clone().filter(|_| is_known);
        Ok(Ensured {
            meeting: Meeting {
                span,
                subject,
                ..meeting
            },
            created,
        })
    }

    /// Always sends both times, so that an update also puts off the meeting's end of life.
    pub(super) async fn update(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
    ) -> Result<Meeting, MeetingError> {
        let (known, id) = self.identified(meeting, wanted).await?;
        let change = Change::renewing(&known, wanted);
        let changed = self.change(&known, &id, wanted, &change).await?;
        Ok(Meeting {
            span: change.span,
            subject: wanted.subject.clone(),
            ..changed
        })
    }

    pub(super) async fn read(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
    ) -> Result<Meeting, MeetingError> {
        let found = match id(meeting) {
            Some(id) => {
                let call = Call::get(&self.settings.graph_url, wanted, id);
                self.calls.make(&call, wire::meeting).await?.read
            }
            None => {
                let find = self.find(meeting, &wanted.organizer, Some(&wanted.language));
                find.await?
            }
        };
        Ok(found.over(meeting))
    }

    pub(super) async fn apply(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
        settings: &Settings,
    ) -> Result<(), MeetingError> {
        let (_, id) = self.identified(meeting, wanted).await?;
        let call = Call::apply(&self.settings.graph_url, wanted, &id, settings);
        self.calls.make(&call, |_| Some(())).await?;
        Ok(())
    }

    pub(super) async fn delete(
        &self,
        meeting: &Meeting,
        organizer: &OrganizerId,
    ) -> Result<(), MeetingError> {
        let found = match id(meeting) {
            Some(id) => Ok(Some(id.to_owned())),
            None => self.find(meeting, organizer, None).await.map(|f| f.id),
        };
        let ended = match found {
            Ok(Some(id)) => self.end(&id, organizer).await,
            Ok(None) => Err(MeetingError::Transient("partial answer".into())),
            Err(error) => Err(error),
        };
        match ended {
            Err(MeetingError::Gone) => Ok(()),
            ended => ended,
        }
    }

    /// The meeting with its id, which is looked up by the join URL where it is unknown.
    async fn identified(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
    ) -> Result<(Meeting, String), MeetingError> {
        let known = match id(meeting) {
            Some(_) => meeting.clone(),
            None => {
                let found = self.find(meeting, &wanted.organizer, Some(&wanted.language));
                found.await?.over(meeting)
            }
        };
        match id(&known).map(str::to_owned) {
            Some(id) => Ok((known, id)),
            None => Err(MeetingError::Transient("partial answer".into())),
        }
    }

    /// The meeting with this one's join URL.
    async fn find(
        &self,
        meeting: &Meeting,
        organizer: &OrganizerId,
        language: Option<&str>,
    ) -> Result<Found, MeetingError> {
        let mut call = Call::find(&self.settings.graph_url, organizer, &meeting.join_url);
        if let Some(language) = language {
            call = call.in_language(language);
        }
        let found = self.calls.make(&call, wire::collection).await?.read;
        found.ok_or(MeetingError::Gone)
    }

    /// Closes the meeting, then deletes it.
    async fn end(&self, id: &str, organizer: &OrganizerId) -> Result<(), MeetingError> {
        let root = &self.settings.graph_url;
        let calls = [
            Call::close(root, organizer, id),
            Call::delete(root, organizer, id),
        ];
        for call in &calls {
            match self.calls.make(call, |_| Some(())).await {
                // What cannot be closed can be deleted all the same.
                Err(MeetingError::Request(_)) if call.is_close() => {}
                done => {
                    done?;
                }
            }
        }
        Ok(())
    }

    /// The meeting after a PATCH of `known`, from the answer or, where that does not tell, read again.
    async fn change(
        &self,
        known: &Meeting,
        id: &str,
        wanted: &Wanted,
        change: &Change,
    ) -> Result<Meeting, MeetingError> {
        let root = &self.settings.graph_url;
        let call = Call::patch(root, wanted, id, change);
        let answered = self.calls.make(&call, meeting_or_nothing).await?.read;
        let found = if answered.id.is_some() {
            answered
        } else {
            self.calls
                .make(&Call::get(root, wanted, id), wire::meeting)
                .await?
                .read
        };
        Ok(found.over(known))
    }
}

/// The onlineMeeting's id, where it is known.
fn id(meeting: &Meeting) -> Option<&str> {
    meeting.id.as_ref().and_then(MeetingId::online_meeting)
}

/// An answer that may also be empty (204).
fn meeting_or_nothing(body: &[u8]) -> Option<Found> {
    if body.is_empty() {
        Some(Found::default())
    } else {
        wire::meeting(body)
    }
}
