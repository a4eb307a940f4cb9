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
use self::keys::Keys;
use self::online::Online;
pub use self::settings::GraphSettings;
use super::{Ensured, Meeting, MeetingError, Meetings, Settings, Wanted};
use crate::clock::{Clock, Random};
use crate::http::{Client, Windows};
use crate::model::{ExternalId, OrganizerId};

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

    fn online(&self) -> Online<'_> {
        Online {
            settings: &self.settings,
            calls: &self.calls,
        }
    }
}

#[async_trait]
impl Meetings for GraphMeetings {
    async fn ensure(&self, wanted: &Wanted) -> Result<Ensured, MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        self.online().ensure(wanted).await
    }

    async fn update(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        self.online().update(meeting, wanted).await
    }

    async fn read(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        self.online().read(meeting, wanted).await
    }

    async fn apply(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
        settings: &Settings,
    ) -> Result<(), MeetingError> {
        let _key = self.keys.hold(&wanted.organizer, &wanted.external_id).await;
        self.online().apply(meeting, wanted, settings).await
    }

    async fn delete(
        &self,
        meeting: &Meeting,
        organizer: &OrganizerId,
        external_id: &ExternalId,
    ) -> Result<(), MeetingError> {
        let _key = self.keys.hold(organizer, external_id).await;
        self.online().delete(meeting, organizer).await
    }

    fn reread_secrets(&self) {
        self.calls.reread_secrets();
    }
}
