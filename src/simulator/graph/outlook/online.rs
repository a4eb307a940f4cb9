//! The meeting behind an event: when it comes, when it goes. Pure.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::event::{Event, Hidden, Place};
use crate::simulator::graph::Desk;
use crate::simulator::graph::record::{self, Record};
use crate::simulator::manners::GoesOnline;
use crate::simulator::reply::Refusal;
use crate::simulator::settings::{Organizer, Provider};
use crate::simulator::state::World;

impl Desk<'_> {
    /// Gives an event the online meeting that its body asks for, where the mailbox allows it.
    pub(super) fn go_online(
        &self,
        world: &mut World,
        event: &mut Event,
        body: &Map<String, Value>,
        creation: bool,
    ) {
        let Some(mailbox) = &self.organizer.mailbox else {
            return;
        };
        let wanted = body.get("onlineMeetingProvider").and_then(Value::as_str);
        let wanted = wanted.and_then(Provider::named);
        let provider = match wanted {
            None | Some(Provider::Unknown) => mailbox.default_provider,
            Some(provider) => provider,
        };
        let hidden = match self.settings.outlook.online {
            GoesOnline::Never => return,
            GoesOnline::NotAtCreation if creation => return,
            GoesOnline::AfterGets(gets) if gets > 0 => Hidden::Gets(gets),
            _ => Hidden::No,
        };
        if !allowed(self.organizer).contains(&provider) {
            return;
        }
        event.provider = Some(provider);
        if provider != Provider::TeamsForBusiness {
            return;
        }
        let mut meeting = Record::new(record::New {
            seed: self.settings.seed,
            organizer: self.organizer,
            external_id: None,
            event: Some(&event.id),
            earlier: event.meetings,
            born: world.serial(),
            start: event.start.at,
            end: event.end.at,
            now: self.call.now,
            shape: self.settings.url_shape,
            host: &self.settings.join_host,
        });
        meeting.subject = event.subject.clone();
        event.attach(&meeting, hidden);
        world.insert_of_event(meeting);
    }

    /// What is online stays online, with its provider: anything else is refused, or taken out of the
    /// body where that is ignored.
    pub(super) fn keep_online(
        &self,
        event: &Event,
        body: &mut Map<String, Value>,
        lenient: bool,
    ) -> Result<(), Refusal> {
        let Some(provider) = event.provider else {
            return Ok(());
        };
        for (name, kept) in [
            ("isOnlineMeeting", Value::Bool(true)),
            ("onlineMeetingProvider", provider.name().into()),
        ] {
            let other = body.get(name).is_some_and(|given| *given != kept);
            if other && lenient {
                body.remove(name);
            } else if other {
                let message = format!("The property '{name}' of an online meeting is fixed.");
                return Err(Refusal::new(400, "ErrorInvalidPropertySet", message));
            }
        }
        Ok(())
    }
}

/// The providers that a user's calendars allow.
pub(super) fn allowed(organizer: &Organizer) -> Vec<Provider> {
    let mailbox = organizer.mailbox.as_ref();
    let all = mailbox.map(|mailbox| mailbox.allowed_providers.clone());
    let mut all = all.unwrap_or_default();
    all.retain(|one| {
        *one != Provider::TeamsForBusiness || (organizer.licensed && !organizer.guest)
    });
    all
}

impl Event {
    /// A GET was answered without the meeting, or is about to be.
    pub(super) fn waited(&mut self) {
        match self.hidden {
            Hidden::Gets(0) => self.reveal(),
            Hidden::Gets(left) => self.hidden = Hidden::Gets(left - 1),
            Hidden::No | Hidden::Dropped => {}
        }
    }

    /// The first time into Deleted Items, from there to nowhere.
    pub(super) fn delete(&mut self, now: DateTime<Utc>) {
        self.place = match self.place {
            Place::Calendar => Place::Deleted,
            Place::Deleted | Place::Gone => Place::Gone,
        };
        self.moved(now);
    }
}

impl World {
    /// The meeting behind an event follows its time and subject, and ends with it.
    pub(in crate::simulator) fn follow_event(&mut self, event: &Event, now: DateTime<Utc>) {
        let id = event.meeting.as_deref();
        let Some(meeting) = id.and_then(|id| self.record_mut(id)) else {
            return;
        };
        if event.place != Place::Calendar {
            meeting.deleted = true;
            return;
        }
        meeting.reschedule(event.start.at, event.end.at);
        meeting.subject = event.subject.clone();
        meeting.updated(now);
    }
}
