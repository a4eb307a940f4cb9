//! Teams meetings by Microsoft Graph: by its online meetings API, or as events by its Calendar API.
//! Network.
//!
//! By which of them a meeting is there its id says; where that is unknown, the form that is wanted does.
//! `settings`: where and as whom · `online`, `online_meeting`, `wire`: the online meetings API, its
//! requests as values, their JSON · `event`: the Calendar API · `call`: a request as a value · `errors`:
//! what a refusal means · `calls`: one call with its tries · `auth`: tokens · `pace`: waits · `keys`: one
//! call at a time per meeting · `probe`: questions that make and change nothing.

mod auth;
mod call;
mod calls;
mod errors;
mod event;
mod keys;
mod online;
mod online_meeting;
mod pace;
pub mod probe;
mod settings;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::auth::{
    CertificateAlgorithm, DeviceLogin, LoginError, Person, Prompt, SignIn, who_signed_in,
};
use self::calls::Calls;
use self::event::{Memory, Mirrors, mirror};
use self::keys::Keys;
use self::online::Online;
pub use self::settings::GraphSettings;
use super::{Ensured, Meeting, MeetingError, Meetings, Settings, Wanted};
use crate::clock::{Clock, Random};
use crate::http::{Client, Windows};
use crate::model::{ExternalId, MeetingId, OrganizerId};

/// The meeting service of one tenant, as one application.
pub struct GraphMeetings {
    settings: Arc<GraphSettings>,
    clock: Arc<dyn Clock>,
    calls: Calls,
    keys: Keys,
    memory: Memory,
}

impl GraphMeetings {
    /// Sets it up; asks nobody for anything yet.
    ///
    /// `windows` are obeyed and closed under the scopes `graph` and `token`, and for each mailbox
    /// `outlook-` and the organizer.
    pub fn new(
        settings: GraphSettings,
        client: Client,
        windows: Arc<Windows>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let settings = Arc::new(settings);
        let (of_calls, its) = (Arc::clone(&settings), Arc::clone(&clock));
        Self {
            settings,
            clock,
            calls: Calls::new(of_calls, client, windows, its, random),
            keys: Keys::default(),
            memory: Memory::default(),
        }
    }

    fn online(&self) -> Online<'_> {
        Online {
            settings: &self.settings,
            calls: &self.calls,
        }
    }

    fn mirrors(&self) -> Mirrors<'_> {
        Mirrors {
            settings: &self.settings,
            calls: &self.calls,
            clock: self.clock.as_ref(),
            memory: &self.memory,
            online: self.online(),
        }
    }

    /// The meeting, with its id where it may be an event and that is unknown.
    async fn told_apart(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
    ) -> Result<Meeting, MeetingError> {
        match mirror(wanted) {
            Some(mirror) if meeting.id.is_none() => {
                let (organizer, key) = (&wanted.organizer, &wanted.external_id);
                let language = Some(wanted.language.as_str());
                let mirrors = self.mirrors();
                mirrors
                    .identified(meeting, organizer, key, Some(mirror), language)
                    .await
            }
            _ => Ok(meeting.clone()),
        }
    }
}

/// The id of the event that the meeting is there by, if it is.
fn event(meeting: &Meeting) -> Option<&str> {
    meeting.id.as_ref().and_then(MeetingId::event)
}

#[async_trait]
impl Meetings for GraphMeetings {
    async fn ensure(&self, wanted: &Wanted) -> Result<Ensured, MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        match mirror(wanted) {
            Some(mirror) => self.mirrors().ensure(wanted, mirror).await,
            None => self.online().ensure(wanted).await,
        }
    }

    async fn update(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        let meeting = self.told_apart(meeting, wanted).await?;
        match event(&meeting) {
            Some(id) => self.mirrors().update(id, &meeting, wanted).await,
            None => self.online().update(&meeting, wanted).await,
        }
    }

    async fn read(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        let meeting = self.told_apart(meeting, wanted).await?;
        match event(&meeting) {
            Some(id) => self.mirrors().read(id, &meeting, wanted).await,
            None => self.online().read(&meeting, wanted).await,
        }
    }

    async fn apply(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
        settings: &Settings,
    ) -> Result<(), MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        let meeting = self.told_apart(meeting, wanted).await?;
        match event(&meeting) {
            Some(_) => self.mirrors().apply(&meeting, wanted, settings).await,
            None => self.online().apply(&meeting, wanted, settings).await,
        }
    }

    async fn delete(
        &self,
        meeting: &Meeting,
        organizer: &OrganizerId,
        external_id: &ExternalId,
    ) -> Result<(), MeetingError> {
        let _key = self.keys.hold(organizer, external_id).await;
        let mut meeting = meeting.clone();
        if meeting.id.is_none() && self.settings.mirrors {
            let mirrors = self.mirrors();
            let told = mirrors.identified(&meeting, organizer, external_id, None, None);
            match told.await {
                Err(MeetingError::Gone) => return Ok(()),
                told => meeting = told?,
            }
        }
        match event(&meeting) {
            Some(id) => self.mirrors().delete(id, &meeting, organizer).await,
            None => self.online().delete(&meeting, organizer).await,
        }
    }

    fn reread_secrets(&self) {
        self.calls.reread_secrets();
    }
}
