//! What a simulator tells about itself: what it holds, and what it has counted.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::route::Endpoint;

/// What a simulator holds and has counted, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// One entry per key ever used, ordered by key. Plain creates share the key without externalId;
    /// calls that reached meetings of events are counted there, too.
    pub meetings: Vec<MeetingState>,
    /// One entry per mailbox that was asked for, ordered by user.
    pub mailboxes: Vec<MailboxState>,
    /// Requests received, by kind, struck by a fault or not; parts of a batch among them.
    pub requests: BTreeMap<Endpoint, u64>,
    /// Answers sent, by HTTP status; lost ones are not among them, those inside a batch are.
    pub answers: BTreeMap<u16, u64>,
    /// The most requests that were in flight at once.
    pub peak_in_flight: u64,
    /// Requests, and parts of batches, that came in inside a Retry-After window announced for what they
    /// concern: Entra, the application, the organizer, the mailbox. Zero for a good client.
    pub inside_retry_after: u64,
}

impl Snapshot {
    /// The state of the meeting with this externalId, under whichever organizer comes first.
    pub fn meeting(&self, external_id: &str) -> Option<&MeetingState> {
        let is_it = |state: &&MeetingState| state.external_id.as_deref() == Some(external_id);
        self.meetings.iter().find(is_it)
    }

    /// The events with this key, its case aside, that lie in some calendar, of all mailboxes.
    pub fn events(&self, key: &str) -> Vec<&EventState> {
        let all = self.mailboxes.iter().flat_map(|mailbox| &mailbox.events);
        let is_it = |event: &&EventState| {
            let own = event.key.as_deref();
            !event.deleted && own.is_some_and(|own| own.to_lowercase() == key.to_lowercase())
        };
        all.filter(is_it).collect()
    }

    /// How many requests of this kind came in.
    pub fn requests(&self, endpoint: Endpoint) -> u64 {
        self.requests.get(&endpoint).copied().unwrap_or(0)
    }
}

/// What became of one (tenant, organizer, externalId).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeetingState {
    /// Directory id.
    pub tenant: String,
    /// The organizer's object id.
    pub organizer: String,
    /// The key; `None` for plain creates.
    pub external_id: Option<String>,
    /// How many meetings were made for it. More than 1 means that one was deleted or expired, or that two
    /// calls overlapped ([`Race::TwoMeetings`](super::Race)).
    pub made: u64,
    /// The requests that reached it.
    pub calls: Calls,
    /// The meeting that exists, if one does (for plain creates: the latest).
    pub current: Option<Current>,
}

/// Requests that named a meeting and were carried out, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Calls {
    /// createOrGet, answered 200 or 201.
    pub create_or_get: u64,
    /// GET by id.
    pub get: u64,
    /// GET by filter that found it.
    pub filter: u64,
    /// PATCH that changed it.
    pub patch: u64,
    /// DELETE that ended it.
    pub delete: u64,
}

/// One user's Outlook calendars.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MailboxState {
    /// Directory id.
    pub tenant: String,
    /// Object id of its user.
    pub user: String,
    /// All events ever made, in the order in which they were made.
    pub events: Vec<EventState>,
    /// How many events were ever made, by key; those without one under the empty text.
    pub made: BTreeMap<String, u64>,
    /// Mails that attendees were sent: of invitations, updates and cancellations.
    pub mails_to_attendees: u64,
    /// Requests whose body named attendees, carried out or refused.
    pub requests_with_attendees: u64,
    /// The most requests that were in flight to it at once.
    pub peak_at_once: u64,
}

/// An event, as far as a test wants to compare it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventState {
    /// Its immutable id.
    pub id: String,
    /// The name of its calendar.
    pub calendar: String,
    /// Whether it is in Deleted Items, or gone.
    pub deleted: bool,
    /// The value of the first extended property that it was made with.
    pub key: Option<String>,
    /// As it was made with.
    pub transaction_id: Option<String>,
    /// Its title.
    pub subject: Option<String>,
    /// Start, RFC 3339.
    pub start: String,
    /// End, RFC 3339.
    pub end: String,
    /// Its body, HTML.
    pub body: String,
    /// Those who were invited.
    pub attendees: Vec<Value>,
    /// Whether it has a provider.
    pub is_online_meeting: bool,
    /// The join URL that it shows at the moment.
    pub join_url: Option<String>,
    /// The options that were set of its meeting.
    pub options: Map<String, Value>,
    /// The requests that reached it.
    pub calls: EventCalls,
    /// Its other properties: `showAs`, `isReminderOn`, `sensitivity` and so on.
    pub fields: Map<String, Value>,
}

/// Requests that reached an event and were carried out, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventCalls {
    /// GET by id.
    pub get: u64,
    /// GET by filter that found it.
    pub found: u64,
    /// PATCH that changed it.
    pub patch: u64,
}

/// An existing meeting, as far as a test wants to compare it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Current {
    /// Its id.
    pub id: String,
    /// Its join URL as createOrGet shows it.
    pub join_web_url: String,
    /// Its title.
    pub subject: Option<String>,
    /// Start, RFC 3339.
    pub start_date_time: String,
    /// End, RFC 3339.
    pub end_date_time: String,
    /// Expiry, RFC 3339.
    pub expiry_date_time: String,
    /// Its participants, but for the organizer.
    pub attendees: Vec<Value>,
    /// The options that were set of it.
    pub options: Map<String, Value>,
}
