//! Teams meetings by Microsoft Graph's online meetings API. Network.
//!
//! A meeting is made by createOrGet, whose key makes a repeat harmless, and brought up to date by
//! PATCH. `settings`: where and as whom · `online_meeting`: requests as values · `wire`: their JSON ·
//! `errors`: what a refusal means · `calls`: one call with its tries · `auth`: tokens · `pace`: waits
//! · `keys`: one call at a time per meeting · `probe`: questions that make and change nothing.

mod auth;
mod calls;
mod errors;
mod keys;
mod online_meeting;
mod pace;
pub mod probe;
mod settings;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::StatusCode;

pub use self::auth::{
    CertificateAlgorithm, DeviceLogin, LoginError, Person, Prompt, SignIn, who_signed_in,
};
use self::calls::Calls;
use self::keys::Keys;
use self::online_meeting::Call;
pub use self::settings::GraphSettings;
use self::wire::{Change, Found};
use super::{Ensured, Meeting, MeetingError, Meetings, Settings, Wanted};
use crate::clock::{Clock, Random};
use crate::http::{Client, Windows};
use crate::model::{ExternalId, MeetingId, OrganizerId};

/// The meeting service of one tenant, as one application.
pub struct GraphMeetings {
    settings: Arc<GraphSettings>,
    calls: Calls,
    keys: Keys,
}

impl GraphMeetings {
    /// Sets it up; asks nobody for anything yet.
    ///
    /// `windows` are obeyed and closed under the scopes `graph` and `token`.
    pub fn new(
        settings: GraphSettings,
        client: Client,
        windows: Arc<Windows>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let settings = Arc::new(settings);
        let calls = Calls::new(Arc::clone(&settings), client, windows, clock, random);
        Self {
            settings,
            calls,
            keys: Keys::default(),
        }
    }

    /// The meeting with its id, which is looked up by the join URL where it is unknown.
    async fn identified(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
    ) -> Result<(Meeting, MeetingId), MeetingError> {
        let known = match meeting.id {
            Some(_) => meeting.clone(),
            None => {
                let found = self.find(meeting, &wanted.organizer, Some(&wanted.language));
                found.await?.over(meeting)
            }
        };
        let id = known
            .id
            .clone()
            .ok_or_else(|| MeetingError::Transient("partial answer".into()))?;
        Ok((known, id))
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
    async fn end(&self, id: &MeetingId, organizer: &OrganizerId) -> Result<(), MeetingError> {
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
        id: &MeetingId,
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

#[async_trait]
impl Meetings for GraphMeetings {
    /// `created` is also said of a meeting that was found after a try whose answer was lost: that try
    /// may have made it.
    async fn ensure(&self, wanted: &Wanted) -> Result<Ensured, MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
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
            && let (Some(change), Some(id)) = (found.change_to(wanted), meeting.id.clone())
        {
            match self.change(&meeting, &id, wanted, &change).await {
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
    async fn update(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        let (known, id) = self.identified(meeting, wanted).await?;
        let has = wire::subject(known.subject.as_deref());
        let wants = wire::subject(wanted.subject.as_deref());
        let change = Change {
            span: Some(wanted.span),
            subject: wants.filter(|wants| has.as_ref() != Some(wants)),
        };
        let changed = self.change(&known, &id, wanted, &change).await?;
        Ok(Meeting {
            span: change.span,
            subject: wanted.subject.clone(),
            ..changed
        })
    }

    async fn read(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        let found = match &meeting.id {
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

    async fn apply(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
        settings: &Settings,
    ) -> Result<(), MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        let (_, id) = self.identified(meeting, wanted).await?;
        let call = Call::apply(&self.settings.graph_url, wanted, &id, settings);
        self.calls.make(&call, |_| Some(())).await?;
        Ok(())
    }

    async fn delete(
        &self,
        meeting: &Meeting,
        organizer: &OrganizerId,
        external_id: &ExternalId,
    ) -> Result<(), MeetingError> {
        let _key = self.keys.hold(organizer, external_id).await;
        let found = match &meeting.id {
            Some(id) => Ok(Some(id.clone())),
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
}

/// An answer that may also be empty (204).
fn meeting_or_nothing(body: &[u8]) -> Option<Found> {
    if body.is_empty() {
        Some(Found::default())
    } else {
        wire::meeting(body)
    }
}
