//! What a running simulator holds: tokens, meetings, faults, counters. No I/O.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::faults::{Effect, Queue, Request};
use super::record::Record;
use super::reply::instant;
use super::route::Endpoint;

/// What a simulator holds and has counted, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// One entry per key ever used, ordered by key. Plain creates share the key without externalId.
    pub meetings: Vec<MeetingState>,
    /// Requests received, by kind, struck by a fault or not.
    pub requests: BTreeMap<Endpoint, u64>,
    /// Answers sent, by HTTP status; lost ones are not among them.
    pub answers: BTreeMap<u16, u64>,
    /// The most requests that were in flight at once.
    pub peak_in_flight: u64,
    /// Requests that came in inside an announced Retry-After window. Zero for a good client.
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
    /// How many meetings were made for it. More than 1 means that one was deleted or expired.
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
}

/// Tenant, organizer, externalId.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) tenant: String,
    pub(super) organizer: String,
    pub(super) external_id: Option<String>,
}

impl Key {
    pub(super) fn of(meeting: &Record) -> Self {
        Self {
            tenant: meeting.organizer.tenant.clone(),
            organizer: meeting.organizer.id.clone(),
            external_id: meeting.external_id.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    current: Option<String>,
    made: u64,
    calls: Calls,
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// Directory id.
    pub(super) tenant: String,
    /// On the clock's monotonic time.
    pub(super) ends: Duration,
}

/// The two services that throttle apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Entra,
    Graph,
}

impl Service {
    pub(super) fn of(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Token => Self::Entra,
            _ => Self::Graph,
        }
    }
}

/// An announced Retry-After window, on the clock's monotonic time.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    from: Duration,
    until: Duration,
}

/// The mutable heart of a simulator.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) faults: Queue,
    tokens: HashMap<String, Grant>,
    meetings: HashMap<String, Record>,
    /// Join URLs, of both shapes, and join meeting ids, to meeting ids.
    names: HashMap<String, String>,
    keys: HashMap<Key, Entry>,
    entra: Window,
    graph: Window,
    counted: Snapshot,
    in_flight: u64,
    serial: u64,
}

impl World {
    /// Counts a request that came in; its number.
    pub(super) fn arrive(&mut self, endpoint: Endpoint, at: Duration, grace: Duration) -> u64 {
        self.serial += 1;
        *self.counted.requests.entry(endpoint).or_default() += 1;
        self.in_flight += 1;
        self.counted.peak_in_flight = self.counted.peak_in_flight.max(self.in_flight);
        let window = self.window(Service::of(endpoint));
        if window.from.saturating_add(grace) <= at && at < window.until {
            self.counted.inside_retry_after += 1;
        }
        self.serial
    }

    /// A request is over, answered or not.
    pub(super) fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// An answer goes out, perhaps announcing a window.
    pub(super) fn answered(
        &mut self,
        endpoint: Endpoint,
        status: u16,
        at: Duration,
        wait: Option<Duration>,
    ) {
        *self.counted.answers.entry(status).or_default() += 1;
        if let Some(wait) = wait {
            let window = self.window(Service::of(endpoint));
            if window.until <= at {
                window.from = at;
            }
            window.until = window.until.max(at.saturating_add(wait));
        }
    }

    fn window(&mut self, service: Service) -> &mut Window {
        match service {
            Service::Entra => &mut self.entra,
            Service::Graph => &mut self.graph,
        }
    }

    /// The next fault that strikes a request.
    pub(super) fn strike(
        &mut self,
        endpoint: Endpoint,
        user: Option<&str>,
        external_id: Option<&str>,
        meeting_id: Option<&str>,
    ) -> Option<Effect> {
        let by_id = meeting_id.and_then(|id| self.meetings.get(id));
        let external_id = external_id.or_else(|| by_id?.external_id.as_deref());
        self.faults.strike(Request {
            endpoint,
            organizer: user,
            external_id,
        })
    }

    /// Issues a token: opaque, as long as real ones are.
    pub(super) fn issue(&mut self, seed: u64, now: Duration, grant: Grant) -> String {
        self.tokens.retain(|_, grant| now < grant.ends);
        let mut token = String::new();
        for part in 0_u64..32 {
            let mut digest = Sha256::new();
            for number in [seed, self.serial, part] {
                digest.update(number.to_be_bytes());
            }
            BASE64URL_NOPAD.encode_append(&digest.finalize(), &mut token);
        }
        self.tokens.insert(token.clone(), grant);
        token
    }

    pub(super) fn grant(&self, token: &str) -> Option<&Grant> {
        self.tokens.get(token)
    }

    /// How many meetings were made for `key`.
    pub(super) fn made(&self, key: &Key) -> u64 {
        self.keys.get(key).map_or(0, |entry| entry.made)
    }

    /// Counts a call that reached `key`.
    pub(super) fn count(&mut self, key: Key, kind: impl FnOnce(&mut Calls)) {
        kind(&mut self.keys.entry(key).or_default().calls);
    }

    /// Stores a new meeting under its key.
    pub(super) fn insert(&mut self, meeting: Record) {
        let entry = self.keys.entry(Key::of(&meeting)).or_default();
        entry.made += 1;
        entry.current = Some(meeting.id.clone());
        for name in [
            &meeting.long_url,
            &meeting.short_url,
            &meeting.join_meeting_id,
        ] {
            self.names.insert(name.clone(), meeting.id.clone());
        }
        self.meetings.insert(meeting.id.clone(), meeting);
    }

    /// The id of the meeting that `key` has.
    pub(super) fn current(&self, key: &Key) -> Option<String> {
        self.keys.get(key)?.current.clone()
    }

    /// The id of the meeting with this join URL or join meeting id.
    pub(super) fn named(&self, name: &str) -> Option<String> {
        self.names.get(name).cloned()
    }

    /// A meeting that exists; one that has expired is forgotten.
    pub(super) fn meeting(&mut self, id: &str, now: DateTime<Utc>) -> Option<&mut Record> {
        if self.meetings.get(id)?.expires <= now {
            self.remove(id);
        }
        self.meetings.get_mut(id)
    }

    /// Ends a meeting.
    pub(super) fn remove(&mut self, id: &str) {
        let Some(meeting) = self.meetings.remove(id) else {
            return;
        };
        for name in [
            &meeting.long_url,
            &meeting.short_url,
            &meeting.join_meeting_id,
        ] {
            self.names.remove(name);
        }
        if let Some(entry) = self.keys.get_mut(&Key::of(&meeting))
            && entry.current.as_deref() == Some(id)
        {
            entry.current = None;
        }
    }

    /// Forgets everything but the requests in flight.
    pub(super) fn reset(&mut self) {
        *self = Self {
            in_flight: self.in_flight,
            serial: self.serial,
            ..Self::default()
        };
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_by_key(|(key, _)| *key);
        let state = |(key, entry): (&Key, &Entry)| MeetingState {
            tenant: key.tenant.clone(),
            organizer: key.organizer.clone(),
            external_id: key.external_id.clone(),
            made: entry.made,
            calls: entry.calls,
            current: entry
                .current
                .as_ref()
                .and_then(|id| self.meetings.get(id))
                .map(current),
        };
        Snapshot {
            meetings: keys.into_iter().map(state).collect(),
            ..self.counted.clone()
        }
    }
}

fn current(meeting: &Record) -> Current {
    let text = |time| instant(time, false).as_str().unwrap_or_default().to_owned();
    Current {
        id: meeting.id.clone(),
        join_web_url: meeting.join_web_url().to_owned(),
        subject: meeting.subject.clone(),
        start_date_time: text(meeting.start),
        end_date_time: text(meeting.end),
        expiry_date_time: text(meeting.expires),
    }
}
