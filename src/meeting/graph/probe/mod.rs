//! Questions to Entra and Graph that make and change nothing, for `check --online`. Network.
//!
//! In: an organizer. Out: what stands in the way, told apart so that each fault can have its cure.
//! `claims`: what a token says of itself · `mailbox`: an Outlook calendar · `skew`: what answers say of
//! this machine's clock.

mod claims;
mod mailbox;
mod skew;

use chrono::TimeDelta;
use reqwest::StatusCode;
use url::Url;

pub use self::claims::Claims;
pub use self::mailbox::{Mailbox, MailboxFault};
pub(super) use self::skew::Dates;
use super::call::{Call, below, segment};
use super::errors::Report;
use super::{GraphMeetings, SignIn, wire};
use crate::http::Answer;
use crate::meeting::{Meeting, MeetingError};
use crate::model::{JoinUrl, MeetingId, OrganizerId};

/// The permission that events in Outlook take, of whichever kind (graph-api.md, section 3).
pub const CALENDARS: &str = "Calendars.ReadWrite";

/// In whose name Graph is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The application's own, for every organizer whom an access policy names.
    Application,
    /// That of the person who signed in.
    Delegated,
}

impl Access {
    /// What a way of signing in gives.
    pub fn of(sign_in: &SignIn) -> Self {
        match sign_in {
            SignIn::Secret(_) | SignIn::Certificate { .. } | SignIn::FederatedToken(_) => {
                Self::Application
            }
            SignIn::DeviceCode { .. } => Self::Delegated,
        }
    }

    /// The permission that online meetings take (graph-api.md, section 3).
    pub fn permission(self) -> &'static str {
        match self {
            Self::Application => "OnlineMeetings.ReadWrite.All",
            Self::Delegated => "OnlineMeetings.ReadWrite",
        }
    }

    /// Those of a token's permissions that count.
    pub fn permissions(self, claims: &Claims) -> &[String] {
        match self {
            Self::Application => &claims.roles,
            Self::Delegated => &claims.scopes,
        }
    }
}

/// By how much this machine's clock is ahead of the services', at least; negative where it is behind.
/// `None`: that service has not told the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    /// Of Entra's.
    pub entra: Option<TimeDelta>,
    /// Of Graph's.
    pub graph: Option<TimeDelta>,
}

/// Why Graph does not tell of an organizer's meetings.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OrganizerFault {
    /// No application access policy of Teams lets the application act for the organizer.
    #[error("Teams has no application access policy for this app ({0})")]
    NoPolicy(String),
    /// It is forbidden for another reason, or wants a licence.
    #[error("Graph forbids meetings ({0})")]
    Forbidden(String),
    /// There is no such user.
    #[error("Graph finds no such user ({0})")]
    Unknown(String),
    /// There may be no such user; the answer to a question about no meeting leaves that open.
    #[error("Graph finds nothing there ({0}), which may be this user")]
    Doubtful(String),
    /// The service does not take the question, which says nothing of the organizer.
    #[error("Graph does not take the question that is asked of it here ({0})")]
    NoAnswer(String),
    /// Anything else, which does not concern the organizer alone.
    #[error(transparent)]
    Other(#[from] MeetingError),
}

impl GraphMeetings {
    /// In whose name it asks.
    pub fn access(&self) -> Access {
        Access::of(&self.settings.sign_in)
    }

    /// Gets a token, and tells what it says of itself, if it can be looked into.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn probe_token(&self) -> Result<Option<Claims>, MeetingError> {
        let token = self.calls.tokens.get().await?;
        let bearer = token.bearer.to_str().unwrap_or_default();
        Ok(bearer.strip_prefix("Bearer ").and_then(Claims::read))
    }

    /// What the answers so far say of this machine's clock.
    pub fn skew(&self) -> Skew {
        Skew {
            entra: self.calls.tokens.dates.skew(),
            graph: self.calls.dates.skew(),
        }
    }

    /// Asks for a meeting of the organizer that there is not, which takes permission, access policy and
    /// the user as making one does (graph-api.md, section 6). A missing licence may not show.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn probe_organizer(&self, organizer: &OrganizerId) -> Result<(), OrganizerFault> {
        let root = &self.settings.graph_url;
        let claims = self.probe_token().await?;
        let tenant = claims.and_then(|claims| claims.tenant);
        let tenant = tenant.as_deref().unwrap_or(&self.settings.tenant);
        let call = Call::find(root, organizer, &nowhere(tenant, organizer));
        let asked = self.calls.make_or(&call, wire::collection, refused).await;
        let Err(OrganizerFault::Doubtful(shown)) = asked else {
            return asked.map(drop);
        };
        // That may be said of the meeting or of the user: the directory knows, if it may be asked.
        let call = Call::user(root, organizer);
        match self.calls.make_or(&call, |_| Some(()), refused).await {
            Ok(_) => Ok(()),
            Err(OrganizerFault::Doubtful(shown)) => Err(OrganizerFault::Unknown(shown)),
            Err(_) => Err(OrganizerFault::Doubtful(shown)),
        }
    }

    /// Whether a known meeting shows dial-in data; `None` where it is gone.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub async fn probe_dial_in(
        &self,
        meeting: &Meeting,
        organizer: &OrganizerId,
    ) -> Result<Option<bool>, MeetingError> {
        let root = &self.settings.graph_url;
        let id = meeting.id.as_ref().and_then(MeetingId::online_meeting);
        let found = match id {
            Some(id) => {
                let call = Call::read(root, organizer, id);
                self.calls.make(&call, wire::meeting).await
            }
            None => {
                let call = Call::find(root, organizer, &meeting.join_url);
                let read = |body: &[u8]| wire::collection(body).map(Option::unwrap_or_default);
                self.calls.make(&call, read).await
            }
        };
        match found {
            // An answer without a join URL says nothing of the rest either.
            Ok(found) if found.read.join_url.is_none() => Ok(None),
            Ok(found) => Ok(Some(found.read.details.dial_in.is_some())),
            Err(MeetingError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The page on which an administrator of the tenant consents to the application's permissions.
    pub fn consent_page(&self) -> Url {
        let settings = &self.settings;
        let path = format!("/{}/adminconsent", segment(&settings.tenant));
        let mut page = below(&settings.authority_url, &path);
        page.query_pairs_mut()
            .append_pair("client_id", &settings.client_id);
        page
    }
}

/// A join URL that is no meeting's, in the form of the organizer's own.
fn nowhere(tenant: &str, organizer: &OrganizerId) -> JoinUrl {
    JoinUrl::new(format!(
        "https://teams.microsoft.com/l/meetup-join/19%3ameeting_bWVldGJyaWRnZSBjaGVja3MsIG5vdGhpbmcg\
         aGVyZQ%40thread.v2/0?context=%7b%22Tid%22%3a%22{tenant}%22%2c%22Oid%22%3a%22{organizer}%22%7d"
    ))
}

/// What a refusal says of the organizer, if it does.
fn refused(answer: &Answer) -> Option<OrganizerFault> {
    let report = Report::read(&answer.body);
    let shown = report.shown(answer.status);
    Some(match answer.status {
        StatusCode::FORBIDDEN if report.lacks_policy => OrganizerFault::NoPolicy(shown),
        StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED => OrganizerFault::Forbidden(shown),
        StatusCode::NOT_FOUND | StatusCode::GONE => OrganizerFault::Doubtful(shown),
        StatusCode::BAD_REQUEST
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::NOT_IMPLEMENTED => OrganizerFault::NoAnswer(shown),
        _ => return None,
    })
}
