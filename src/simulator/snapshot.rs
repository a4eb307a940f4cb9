//! What a simulator tells about itself: what it holds, and what it has counted.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::route::Endpoint;

/// What a simulator holds and has counted, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// One entry per key ever used, ordered by key. Plain creates share the key without externalId.
    pub meetings: Vec<MeetingState>,
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
