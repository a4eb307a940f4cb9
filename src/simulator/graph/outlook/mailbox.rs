//! What the simulated mailboxes hold and have counted. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Map, Value};

use super::event::{Event, Place};
use crate::simulator::graph::Record;
use crate::simulator::settings::Organizer;
use crate::simulator::snapshot::MailboxState;

/// All mailboxes, by the object id of their user in lower case.
#[derive(Debug, Default)]
pub(crate) struct Mailboxes(BTreeMap<String, Mailbox>);

/// One user's mailbox.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    tenant: String,
    user: String,
    events: Vec<Event>,
    /// Events ever made, by key; those without one under the empty text.
    made: BTreeMap<String, u64>,
    transactions: HashMap<String, Remembered>,
    /// Mails that attendees were sent.
    pub(super) mails: u64,
    /// Requests whose body named attendees.
    pub(super) with_attendees: u64,
}

/// A transactionId that was used.
#[derive(Debug)]
pub(super) struct Remembered {
    /// On the clock's monotonic time.
    pub(super) at: Duration,
    /// The immutable id of its event.
    pub(super) event: String,
    pub(super) body: Map<String, Value>,
}

impl Mailboxes {
    pub(super) fn of(&mut self, organizer: &Organizer) -> &mut Mailbox {
        let user = organizer.id.to_ascii_lowercase();
        self.0.entry(user).or_insert_with(|| Mailbox {
            tenant: organizer.tenant.clone(),
            user: organizer.id.clone(),
            ..Mailbox::default()
        })
    }

    /// The key of the event with this id, of either form.
    pub(crate) fn key_of(&self, id: &str) -> Option<&str> {
        let mut events = self.0.values().flat_map(|mailbox| &mailbox.events);
        let named = events.find(|event| event.has_id(id, true) || event.has_id(id, false));
        named?.key.as_deref()
    }

    /// An event that lies in some calendar, by one of its ids or its key, and the object id of its user.
    pub(super) fn named(&self, name: &str) -> Option<(String, Event)> {
        let is_it = |event: &&Event| {
            let key = event.key.as_ref();
            event.place == Place::Calendar
                && (event.has_id(name, true)
                    || event.has_id(name, false)
                    || key.is_some_and(|key| key == name))
        };
        self.0.values().find_map(|mailbox| {
            let event = mailbox.events.iter().find(is_it)?;
            Some((mailbox.user.clone(), event.clone()))
        })
    }

    /// Puts back an event that was changed.
    pub(super) fn replace(&mut self, user: &str, event: Event) {
        if let Some(mailbox) = self.0.get_mut(&user.to_ascii_lowercase()) {
            mailbox.replace(event);
        }
    }

    /// The states of all, `peaks` by user in lower case.
    pub(crate) fn states<'r>(
        &self,
        peaks: &HashMap<String, u64>,
        record: impl Fn(&str) -> Option<&'r Record>,
    ) -> Vec<MailboxState> {
        let state = |(user, mailbox): (&String, &Mailbox)| MailboxState {
            tenant: mailbox.tenant.clone(),
            user: mailbox.user.clone(),
            events: mailbox
                .events
                .iter()
                .map(|event| event.state(event.meeting.as_deref().and_then(&record)))
                .collect(),
            made: mailbox.made.clone(),
            mails_to_attendees: mailbox.mails,
            requests_with_attendees: mailbox.with_attendees,
            peak_at_once: peaks.get(user).copied().unwrap_or(0),
        };
        self.0.iter().map(state).collect()
    }
}

impl Mailbox {
    /// How many events were made for `key`.
    pub(super) fn made(&self, key: Option<&str>) -> u64 {
        self.made.get(key.unwrap_or("")).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, event: Event) {
        *self
            .made
            .entry(event.key.clone().unwrap_or_default())
            .or_default() += 1;
        self.events.push(event);
    }

    /// Puts back an event that was changed.
    pub(super) fn replace(&mut self, event: Event) {
        let held = self.events.iter_mut().find(|held| held.id == event.id);
        if let Some(held) = held {
            *held = event;
        }
    }

    /// The event with this id in this form, wherever it is.
    pub(super) fn event(&mut self, id: &str, immutable: bool) -> Option<&mut Event> {
        let is_it = |event: &&mut Event| event.has_id(id, immutable);
        self.events.iter_mut().find(is_it)
    }

    /// The events in a calendar, in the order in which they were made.
    pub(super) fn events_in<'a>(&'a self, calendar: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events
            .iter()
            .filter(move |event| event.place == Place::Calendar && event.calendar == calendar)
    }

    /// The event of a transactionId that is remembered, and what it was made from.
    pub(super) fn remembered(
        &self,
        transaction: &str,
        now: Duration,
        memory: Option<Duration>,
    ) -> Option<(&Event, &Map<String, Value>)> {
        let sent = self.transactions.get(transaction)?;
        if memory.is_some_and(|memory| sent.at.saturating_add(memory) <= now) {
            return None;
        }
        let event = self.events.iter().find(|event| event.id == sent.event)?;
        Some((event, &sent.body))
    }

    pub(super) fn remember(&mut self, transaction: String, sent: Remembered) {
        self.transactions.insert(transaction, sent);
    }
}
