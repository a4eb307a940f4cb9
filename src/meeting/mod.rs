//! The port to meetings: `Wanted` in, `Meeting` out.

pub mod graph;
mod settings;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::settings::{Applied, Chat, LobbyScope, Presenters, Setting, Settings};
use crate::model::{ExternalId, JoinUrl, MeetingId, OrganizerId, Span};

/// The meeting an event should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who owns it.
    pub organizer: OrganizerId,
    /// The event's key.
    pub external_id: ExternalId,
    /// Its title.
    pub subject: Option<String>,
    /// When it takes place.
    pub span: Span,
    /// BCP 47 tag of the language of its join information.
    pub language: String,
    /// As what it is made, where there is none yet.
    pub form: Form,
}

/// As what a meeting is made. Only the meeting service looks into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// An online meeting, which stands in nobody's calendar.
    #[default]
    OnlineMeeting,
    /// An event in the organizer's Outlook calendar.
    CalendarEvent(Arc<Mirror>),
}

impl Form {
    /// Whether the meeting is there in this form, as far as is known.
    pub fn is_of(&self, meeting: &Meeting) -> bool {
        match (self, &meeting.id) {
            (_, None) => true,
            (Self::OnlineMeeting, Some(id)) => matches!(id, MeetingId::OnlineMeeting(_)),
            (Self::CalendarEvent(_), Some(id)) => matches!(id, MeetingId::Event { .. }),
        }
    }
}

/// The Outlook event that stands for an event of a calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// What its body says, in plain text.
    pub note: String,
    /// The name of the Outlook calendar that it is put into; `None`: the organizer's default one.
    pub calendar: Option<String>,
    /// How its time is shown to others.
    pub show_as: ShowAs,
}

/// Graph's `freeBusyStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShowAs {
    /// Free.
    #[default]
    Free,
    /// Tentative.
    Tentative,
    /// Busy.
    Busy,
    /// Out of office.
    OutOfOffice,
    /// Working elsewhere.
    WorkingElsewhere,
}

/// A meeting as the service described it. Always complete: a partial answer is an error, never this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meeting {
    /// The service's id, for PATCH and DELETE; unknown after a lost state until it is looked up.
    pub id: Option<MeetingId>,
    /// Where to join.
    pub join_url: JoinUrl,
    /// What the service says of its time; `None` where it answered year 1.
    pub span: Option<Span>,
    /// Its title.
    pub subject: Option<String>,
    /// When the service will forget it, where it says so.
    pub expires: Option<DateTime<Utc>>,
    /// What an event can show beside the URL.
    pub details: Details,
}

/// What Graph gave beside the join URL; every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// `joinMeetingIdSettings.joinMeetingId`.
    pub meeting_id: Option<String>,
    /// `joinMeetingIdSettings.passcode`.
    pub passcode: Option<String>,
    /// `audioConferencing`.
    pub dial_in: Option<DialIn>,
    /// `videoTeleconferenceId`.
    pub video_device_id: Option<String>,
    /// `chatInfo.threadId`.
    pub chat_thread: Option<String>,
    /// `meetingOptionsWebUrl`.
    pub options_url: Option<String>,
    /// The language in which the service was last asked for all this; `None`: it never was, and what
    /// is missing is unknown.
    pub language: Option<String>,
}

/// Joining by telephone: Graph's `audioConferencing`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DialIn {
    /// The page of local numbers.
    pub dialin_url: Option<String>,
    /// What the caller types.
    pub conference_id: Option<String>,
    /// `tollNumber` first, then those of `tollNumbers` not yet named.
    pub toll_numbers: Vec<String>,
    /// The same of the toll-free numbers.
    pub toll_free_numbers: Vec<String>,
    /// A number that dials straight in (Calendar API only), e.g. `+1 555-0100,,123#`.
    pub quick_dial: Option<String>,
}

/// How [`Meetings::ensure`] got the meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensured {
    /// The meeting, with the wanted times and subject; with those it has where the service refuses
    /// to change them, as it does for a meeting in progress.
    pub meeting: Meeting,
    /// Whether it was made by this call (counts against the budgets).
    pub created: bool,
}

/// Why the meeting service did not do what was asked, and what that means for the rest of the work
/// (graph-api.md, section 11). The text never holds a secret, a title or a URL of a meeting.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MeetingError {
    /// This event's request cannot succeed unchanged: park the event.
    #[error("Graph refuses this event's meeting: {0}")]
    Request(String),
    /// The meeting behind an id is not there (404, 410).
    #[error("the meeting is gone")]
    Gone,
    /// Every meeting of this organizer fails until a person acts (policy, licence, unknown user).
    #[error("{0}")]
    Organizer(String),
    /// The service does not know this organizer (404): as `Organizer`, and perhaps for good.
    #[error("{0}")]
    NoOrganizer(String),
    /// Every call fails until a person acts (secret, consent, tenant).
    #[error("{0}")]
    Credential(String),
    /// Nothing may be sent before this time.
    #[error("Graph asks to wait until {}", until.format("%Y-%m-%d %H:%M:%S UTC"))]
    Throttled {
        /// When calls may go out again.
        until: DateTime<Utc>,
    },
    /// It may work later (network, 5xx, a partial answer); the retries of this call are used up.
    #[error("{0}")]
    Transient(String),
}

/// What becomes of a meeting that its event does not need any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It stays, and dies by itself.
    #[default]
    Keep,
    /// It is deleted after a grace time.
    Delete,
}

/// The meeting service.
#[async_trait]
pub trait Meetings: Send + Sync {
    /// Makes the event's meeting, or finds the one it has, and brings its times and subject to what
    /// is wanted. Repeating it is harmless: the same key is the same meeting.
    async fn ensure(&self, wanted: &Wanted) -> Result<Ensured, MeetingError>;

    /// Brings the times and subject of a known meeting to what is wanted. `meeting.id` is looked up
    /// by the join URL when it is unknown.
    ///
    /// # Errors
    /// [`MeetingError::Gone`] when the meeting is not there any more.
    async fn update(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError>;

    /// A known meeting as it is now, with what can be shown of it in the wanted language; changes
    /// nothing. `meeting.id` is looked up by the join URL when it is unknown.
    ///
    /// # Errors
    /// [`MeetingError::Gone`] when the meeting is not there any more.
    async fn read(&self, meeting: &Meeting, wanted: &Wanted) -> Result<Meeting, MeetingError>;

    /// Applies settings to a known meeting, and nothing else: what is refused here concerns them alone.
    ///
    /// # Errors
    /// [`MeetingError::Request`] when the service does not take them.
    async fn apply(
        &self,
        meeting: &Meeting,
        wanted: &Wanted,
        settings: &Settings,
    ) -> Result<(), MeetingError>;

    /// Closes the meeting to everybody but its organizer, as far as the service can, and deletes it.
    /// Succeeds as well when it is not there any more, so repeating it is harmless. `meeting.id` is
    /// looked up by the join URL when it is unknown.
    async fn delete(
        &self,
        meeting: &Meeting,
        organizer: &OrganizerId,
        external_id: &ExternalId,
    ) -> Result<(), MeetingError>;

    /// Has the secrets that it signs in with read anew before they are used next.
    fn reread_secrets(&self) {}
}
