//! What a running simulator holds: sessions, meetings, faults, counters. No I/O.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};

use super::entra::{Holder, Sessions};
use super::faults::{Effect, Queue, Request};
use super::graph::{Mailboxes, Record, bearer, wanted_key};
use super::manners::{Expiry, KeyCase};
use super::reply::instant;
use super::route::{Endpoint, Outlook, Target, Who};
use super::settings::{Organizer, Settings};
use super::snapshot::{Calls, Current, MeetingState, Snapshot};
use super::throttle::{Scope, Throttle};

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
            tenant: meeting.tenant.clone(),
            organizer: meeting.organizer.clone(),
            external_id: meeting.external_id.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    /// The id of the meeting made last.
    latest: Option<String>,
    made: u64,
    calls: Calls,
}

/// A request that came in, as far as it is counted and struck.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) target: &'a Target,
    pub(super) external_id: Option<&'a str>,
    /// Whether it is a part of a batch.
    pub(super) part: bool,
}

/// The mutable heart of a simulator.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) faults: Queue,
    pub(super) sessions: Sessions,
    pub(super) throttle: Throttle,
    pub(super) mailboxes: Mailboxes,
    /// Dead ones, too.
    meetings: HashMap<String, Record>,
    /// Join URLs, of both shapes, and join meeting ids, to meeting ids.
    names: HashMap<String, String>,
    keys: HashMap<Key, Entry>,
    /// Meetings made, by organizer, year and month.
    months: HashMap<(String, i32, u32), u64>,
    counted: Snapshot,
    in_flight: u64,
    /// The requests in flight to each mailbox.
    at_once: HashMap<String, u64>,
    /// The most of them that there were.
    peaks: HashMap<String, u64>,
    serial: u64,
}

impl World {
    /// Counts a request, or a part of a batch; its number.
    pub(super) fn count_request(
        &mut self,
        endpoint: Endpoint,
        scopes: &[Scope],
        at: Duration,
        grace: Duration,
    ) -> u64 {
        self.serial += 1;
        *self.counted.requests.entry(endpoint).or_default() += 1;
        if self.throttle.inside(scopes, at, grace) {
            self.counted.inside_retry_after += 1;
        }
        self.serial
    }

    /// A request with these scopes is in flight from here on. How many are in flight to its mailbox.
    pub(super) fn enter(&mut self, scopes: &[Scope]) -> u64 {
        self.in_flight += 1;
        self.counted.peak_in_flight = self.counted.peak_in_flight.max(self.in_flight);
        let Some(user) = mailbox(scopes) else {
            return 0;
        };
        let now = self.at_once.entry(user.clone()).or_default();
        *now += 1;
        let peak = self.peaks.entry(user.clone()).or_default();
        *peak = (*peak).max(*now);
        *now
    }

    /// A request is over, answered or not.
    pub(super) fn leave(&mut self, scopes: &[Scope]) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(now) = mailbox(scopes).and_then(|user| self.at_once.get_mut(user)) {
            *now = now.saturating_sub(1);
        }
    }

    /// The number of the last request that has come in.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// An answer goes out, perhaps announcing a window.
    pub(super) fn answered(
        &mut self,
        status: u16,
        at: Duration,
        window: Option<(Scope, Duration)>,
    ) {
        *self.counted.answers.entry(status).or_default() += 1;
        if let Some((scope, wait)) = window {
            self.throttle.announce(scope, at, wait);
        }
    }

    /// What a request counts for, the widest first. Outlook counts for itself, each mailbox apart.
    pub(super) fn scopes(
        &self,
        settings: &Settings,
        target: &Target,
        authorization: Option<&str>,
    ) -> Vec<Scope> {
        if target.endpoint().is_entra() {
            return vec![Scope::Entra];
        }
        let mut scopes = match target {
            Target::Outlook(..) => Vec::new(),
            _ => vec![Scope::App],
        };
        let grant = || self.sessions.grant(bearer(authorization)?);
        let user = match (target.who(), target.who().and_then(|_| grant())) {
            (Some(Who::User(user)), _) => Some(user.to_ascii_lowercase()),
            (Some(Who::Me), Some(grant)) => match &grant.holder {
                Holder::User { id, .. } => Some(id.to_ascii_lowercase()),
                Holder::App { .. } => None,
            },
            _ => None,
        };
        match (target, user) {
            (Target::Meetings(..), Some(user)) => scopes.push(Scope::Organizer(user)),
            (Target::Outlook(..), Some(user)) => {
                // By whichever name, it is one mailbox.
                let tenant = grant().map_or("", |grant| grant.tenant.as_str());
                let known = settings.user(tenant, &user);
                let id = known.map_or(user.clone(), |known| known.id.to_ascii_lowercase());
                scopes.push(Scope::Mailbox(id));
            }
            _ => {}
        }
        scopes
    }

    /// The next fault that strikes a request.
    pub(super) fn strike(&mut self, arrival: Arrival<'_>) -> Option<Effect> {
        let by_id = arrival
            .target
            .meeting_id()
            .and_then(|id| self.meetings.get(id));
        let organizer = match arrival.target.who() {
            Some(Who::User(user)) => Some(user.as_str()),
            _ => None,
        };
        let listed = match arrival.target {
            Target::Outlook(_, Outlook::List(_, query)) => wanted_key(query),
            _ => None,
        };
        self.faults.strike(Request {
            endpoint: arrival.endpoint,
            organizer,
            external_id: arrival
                .external_id
                .or_else(|| by_id?.external_id.as_deref())
                .or_else(|| self.mailboxes.key_of(arrival.target.event_id()?))
                .or(listed.as_deref()),
            part: arrival.part,
        })
    }

    /// The key of an organizer's externalId: without case, as it was first written.
    pub(super) fn key(&self, organizer: &Organizer, external_id: &str, case: KeyCase) -> Key {
        let is_it = |key: &&Key| {
            key.tenant == organizer.tenant
                && key.organizer == organizer.id
                && key
                    .external_id
                    .as_ref()
                    .is_some_and(|known| known.eq_ignore_ascii_case(external_id))
        };
        let known = match case {
            KeyCase::Sensitive => None,
            KeyCase::Insensitive => self.keys.keys().find(is_it).cloned(),
        };
        known.unwrap_or_else(|| Key {
            tenant: organizer.tenant.clone(),
            organizer: organizer.id.clone(),
            external_id: Some(external_id.to_owned()),
        })
    }

    /// How many meetings were made for `key`.
    pub(super) fn made(&self, key: &Key) -> u64 {
        self.keys.get(key).map_or(0, |entry| entry.made)
    }

    /// Counts a call that reached `key`.
    pub(super) fn count(&mut self, key: Key, kind: impl FnOnce(&mut Calls)) {
        kind(&mut self.keys.entry(key).or_default().calls);
    }

    /// Whether an organizer may make another meeting this month, which is counted.
    pub(super) fn within_quota(
        &mut self,
        organizer: &str,
        now: DateTime<Utc>,
        most: Option<u64>,
    ) -> bool {
        let month = (organizer.to_owned(), now.year(), now.month());
        let made = self.months.entry(month).or_default();
        if most.is_some_and(|most| *made >= most) {
            return false;
        }
        *made += 1;
        true
    }

    /// Stores a new meeting under its key.
    pub(super) fn insert(&mut self, meeting: Record) {
        let entry = self.keys.entry(Key::of(&meeting)).or_default();
        entry.made += 1;
        entry.latest = Some(meeting.id.clone());
        self.insert_of_event(meeting);
    }

    /// Stores a new meeting that is behind an event, under no key.
    pub(super) fn insert_of_event(&mut self, meeting: Record) {
        for name in [
            &meeting.long_url,
            &meeting.short_url,
            &meeting.join_meeting_id,
        ] {
            self.names.insert(name.clone(), meeting.id.clone());
        }
        self.meetings.insert(meeting.id.clone(), meeting);
    }

    /// The meeting made last for `key`, dead or alive.
    pub(super) fn latest(&mut self, key: &Key) -> Option<&mut Record> {
        let id = self.keys.get(key)?.latest.as_ref()?;
        self.meetings.get_mut(id)
    }

    /// The id of the meeting with this join URL or join meeting id, dead or alive.
    pub(super) fn named(&self, name: &str) -> Option<String> {
        self.names.get(name).cloned()
    }

    /// A meeting that is alive.
    pub(super) fn meeting(
        &mut self,
        id: &str,
        now: DateTime<Utc>,
        expiry: Expiry,
    ) -> Option<&mut Record> {
        let meeting = self.meetings.get_mut(id)?;
        meeting.is_alive(now, expiry).then_some(meeting)
    }

    /// The meeting with this join URL, dead or alive.
    pub(super) fn by_url(&mut self, join_web_url: &str) -> Option<&mut Record> {
        self.meetings.get_mut(self.names.get(join_web_url)?)
    }

    /// The meeting with this id, dead or alive.
    pub(super) fn record(&self, id: &str) -> Option<&Record> {
        self.meetings.get(id)
    }

    /// The meeting with this id, dead or alive, to be changed.
    pub(super) fn record_mut(&mut self, id: &str) -> Option<&mut Record> {
        self.meetings.get_mut(id)
    }

    /// Forgets everything but the requests in flight.
    pub(super) fn reset(&mut self) {
        *self = Self {
            in_flight: self.in_flight,
            at_once: std::mem::take(&mut self.at_once),
            serial: self.serial,
            ..Self::default()
        };
    }

    pub(super) fn snapshot(&self, now: DateTime<Utc>, expiry: Expiry) -> Snapshot {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_by_key(|(key, _)| *key);
        let state = |(key, entry): (&Key, &Entry)| MeetingState {
            tenant: key.tenant.clone(),
            organizer: key.organizer.clone(),
            external_id: key.external_id.clone(),
            made: entry.made,
            calls: entry.calls,
            current: entry
                .latest
                .as_ref()
                .and_then(|id| self.meetings.get(id))
                .filter(|meeting| meeting.is_alive(now, expiry))
                .map(current),
        };
        Snapshot {
            meetings: keys.into_iter().map(state).collect(),
            mailboxes: self
                .mailboxes
                .states(&self.peaks, |id| self.meetings.get(id)),
            ..self.counted.clone()
        }
    }
}

/// The mailbox among these scopes.
fn mailbox(scopes: &[Scope]) -> Option<&String> {
    scopes.iter().find_map(|scope| match scope {
        Scope::Mailbox(user) => Some(user),
        _ => None,
    })
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
        attendees: meeting.attendees.clone(),
        options: meeting.options.clone(),
    }
}
