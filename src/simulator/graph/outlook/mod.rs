//! Events and calendars of Outlook (graph-api.md, section 9): judged and carried out. Pure.
//!
//! `event`: what is held of one, and how it is shown. `mailbox`: what a user's mailbox holds. `online`:
//! the meeting behind an event. `fields`, `zone`, `query`: what requests may say. `calendar`: calendars.
//! `person`: what people do to events.

mod calendar;
mod event;
mod fields;
mod mailbox;
mod online;
mod person;
mod query;
mod zone;

use serde_json::{Map, Value};

use self::event::{Event, New, Place, Property, View};
use self::fields::{CREATE_ONLY, EVENT, FIXED};
use self::mailbox::Remembered;
use self::query::{Options, preference};
use self::zone::Moment;
use super::Desk;
use super::shape;
use crate::simulator::manners::{Deleted, Differing, RepeatOfDeleted, TimeUpdate, Verdict};
use crate::simulator::reply::{Refusal, Reply};
use crate::simulator::route::{Folder, Outlook};
use crate::simulator::state::World;

pub(crate) use mailbox::Mailboxes;
pub use person::{Deed, Does};

/// What Outlook says of ids that name nothing.
fn not_found() -> Refusal {
    let message = "The specified object was not found in the store.";
    Refusal::new(404, "ErrorItemNotFound", message)
}

/// What Outlook says of ids that are none.
fn malformed() -> Refusal {
    Refusal::new(400, "ErrorInvalidIdMalformed", "Id is malformed.")
}

/// The value that a list's filter looks for, however broken the rest of its query is.
pub(crate) fn wanted_key(query: &str) -> Option<String> {
    let options = Options::parse(
        query,
        &["$filter", "$expand", "$select", "$top", "$skiptoken"],
    );
    let filter = options.ok()?.get("$filter").map(query::extended_property);
    Some(filter?.ok()?.value)
}

impl Desk<'_> {
    pub(super) fn outlook(&self, world: &mut World, ask: &Outlook) -> Result<Reply, Refusal> {
        match ask {
            Outlook::Create(folder) => self.create_event(world, folder),
            Outlook::List(folder, query) => self.list_events(world, folder, query),
            Outlook::Get(folder, id, query) => self.get_event(world, folder, id, query),
            Outlook::Patch(folder, id) => self.patch_event(world, folder, id),
            Outlook::Delete(folder, id) => self.delete_event(world, folder, id),
            Outlook::Calendar(id, query) => self.calendar(id.as_deref(), query),
            Outlook::Calendars(query) => self.calendars(query),
            Outlook::Other => Err(Refusal::new(
                501,
                "notSupported",
                "The simulator knows only the events of calendars.",
            )),
        }
    }

    fn create_event(&self, world: &mut World, folder: &Folder) -> Result<Reply, Refusal> {
        let mut body = self.event_body(world)?;
        self.drop_unknown(&mut body, &[EVENT, CREATE_ONLY]);
        let calendar = self.folder(folder)?.to_owned();
        let transaction = match body.remove("transactionId") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if !id.is_empty() => Some(id),
            Some(_) => return Err(Refusal::bad("'transactionId' is a text.")),
        };
        shape::check(EVENT, &body).map_err(Refusal::bad)?;
        let view = self.event_view(&[])?;
        if let Some(id) = &transaction
            && let Some(first) = self.repeated(world, id, &body)?
        {
            return Ok(self.event_reply(world, 201, &first, &view));
        }
        let (Some(start), Some(end)) = (self.moment(&body, "start")?, self.moment(&body, "end")?)
        else {
            let message = "At least one property failed validation: start and end are needed.";
            return Err(Refusal::new(400, "ErrorPropertyValidationFailure", message));
        };
        let properties = properties(&body)?;
        let key = properties.first().map(|property| property.value.clone());
        let mailbox = world.mailboxes.of(self.organizer);
        let mut event = Event::new(New {
            seed: self.settings.seed,
            organizer: self.organizer,
            earlier: mailbox.made(key.as_deref()),
            key: key.as_deref(),
            serial: self.call.serial,
            calendar: &calendar,
            start,
            end,
            now: self.call.now,
        });
        event.transaction_id = transaction.clone();
        apply(&mut event, &body, properties)?;
        if body.get("isOnlineMeeting") == Some(&Value::Bool(true)) {
            self.go_online(world, &mut event, &body, true);
        }
        let mailbox = world.mailboxes.of(self.organizer);
        mailbox.mails += event.attendees.len() as u64;
        if let Some(transaction) = transaction {
            let sent = Remembered {
                at: self.call.elapsed,
                event: event.id.clone(),
                body,
            };
            mailbox.remember(transaction, sent);
        }
        mailbox.add(event.clone());
        Ok(self.event_reply(world, 201, &event, &view))
    }

    /// The event that this transactionId has made already, if it gives that one again.
    fn repeated(
        &self,
        world: &mut World,
        transaction: &str,
        body: &Map<String, Value>,
    ) -> Result<Option<Event>, Refusal> {
        let manners = &self.settings.outlook;
        let mailbox = world.mailboxes.of(self.organizer);
        let memory = manners.transaction_memory;
        let found = mailbox.remembered(transaction, self.call.elapsed, memory);
        let Some((event, sent)) = found else {
            return Ok(None);
        };
        if event.place != Place::Calendar && manners.repeat_of_deleted == RepeatOfDeleted::New {
            return Ok(None);
        }
        match manners.differing {
            Differing::Conflict if sent != body => Err(Refusal::new(
                409,
                "ErrorDuplicateTransactionId",
                "The transactionId was used for another event.",
            )),
            Differing::Another if sent != body => Ok(None),
            _ => Ok(Some(event.clone())),
        }
    }

    fn get_event(
        &self,
        world: &mut World,
        folder: &Folder,
        id: &str,
        query: &str,
    ) -> Result<Reply, Refusal> {
        let options = Options::parse(query, &["$select", "$expand"])?;
        let expanded = options
            .get("$expand")
            .map_or(Ok(Vec::new()), query::expanded)?;
        let view = self.event_view(&expanded)?;
        let mut event = self.find_event(world, folder, id)?.clone();
        event.calls.get += 1;
        event.waited();
        world.mailboxes.of(self.organizer).replace(event.clone());
        let mut shown = self.shown_event(world, &event, &view);
        options.select(&mut shown, &fields::selectable(), "event")?;
        Ok(Reply::json(200, self.in_context("events/$entity", shown)))
    }

    fn list_events(
        &self,
        world: &mut World,
        folder: &Folder,
        query: &str,
    ) -> Result<Reply, Refusal> {
        let supported = ["$filter", "$expand", "$select", "$top", "$skiptoken"];
        let options = Options::parse(query, &supported)?;
        let wanted = options
            .get("$filter")
            .map(query::extended_property)
            .transpose()?;
        let expanded = options
            .get("$expand")
            .map_or(Ok(Vec::new()), query::expanded)?;
        let view = self.event_view(&expanded)?;
        let page = options.top()?.unwrap_or(self.settings.outlook.page).max(1);
        let after = query::skipped(query, options.get("$skiptoken"))?;
        let calendar = self.folder(folder)?;
        let fits = |event: &&Event| {
            let has = |property: &Property| {
                wanted.as_ref().is_some_and(|wanted| {
                    property.id == wanted.id
                        && property.value.to_lowercase() == wanted.value.to_lowercase()
                })
            };
            event.serial > after && (wanted.is_none() || event.properties.iter().any(has))
        };
        let mailbox = world.mailboxes.of(self.organizer);
        let found: Vec<Event> = mailbox
            .events_in(calendar)
            .filter(fits)
            .take(page + 1)
            .cloned()
            .collect();
        let mut value = Vec::new();
        for mut event in found.iter().take(page).cloned() {
            event.calls.found += u64::from(wanted.is_some());
            event.waited();
            let mut shown = self.shown_event(world, &event, &view);
            options.select(&mut shown, &fields::selectable(), "event")?;
            value.push(Value::Object(shown));
            world.mailboxes.of(self.organizer).replace(event);
        }
        let mut answer = Map::new();
        answer.insert("value".to_owned(), value.into());
        if let (true, Some(last)) = (found.len() > page, found.get(page - 1)) {
            let link = format!(
                "{}{}?{}",
                self.call.root,
                self.call.path,
                query::next(query, last.serial)
            );
            answer.insert("@odata.nextLink".to_owned(), link.into());
        }
        Ok(Reply::json(200, self.in_context("events", answer)))
    }

    fn patch_event(&self, world: &mut World, folder: &Folder, id: &str) -> Result<Reply, Refusal> {
        let mut body = self.event_body(world)?;
        let view = self.event_view(&[])?;
        if body.is_empty() {
            return Err(Refusal::bad("Nothing to update."));
        }
        let lenient = self.settings.manners.not_updatable == Verdict::Taken;
        if lenient {
            body.retain(|name, _| !FIXED.contains(&name.as_str()) && !name.starts_with('@'));
        }
        let mut event = self.find_event(world, folder, id)?.clone();
        self.keep_online(&event, &mut body, lenient)?;
        if let Some(name) = body.keys().find(|name| FIXED.contains(&name.as_str())) {
            let message = format!("The property '{name}' cannot be updated.");
            return Err(Refusal::new(400, "ErrorInvalidPropertySet", message));
        }
        self.drop_unknown(&mut body, &[EVENT]);
        shape::check(EVENT, &body).map_err(Refusal::bad)?;
        let (start, end) = (self.moment(&body, "start")?, self.moment(&body, "end")?);
        let timed = start.is_some() || end.is_some();
        let was_dropped = event.hidden == event::Hidden::Dropped;
        event.start = start.unwrap_or(event.start);
        event.end = end.unwrap_or(event.end);
        let told = event.attendees.len();
        let properties = properties(&body)?;
        apply(&mut event, &body, properties)?;
        if body.get("isOnlineMeeting") == Some(&Value::Bool(true)) && event.provider.is_none() {
            self.go_online(world, &mut event, &body, false);
        }
        if was_dropped && event.meeting.is_some() {
            event.reveal();
        } else if timed
            && !body.contains_key("body")
            && event.hidden == event::Hidden::No
            && self.settings.outlook.time_update == TimeUpdate::DropsLink
        {
            event.hidden = event::Hidden::Dropped;
        }
        event.changed(self.call.now);
        event.calls.patch += 1;
        world.follow_event(&event, self.call.now);
        let mailbox = world.mailboxes.of(self.organizer);
        mailbox.mails += told.max(event.attendees.len()) as u64;
        mailbox.replace(event.clone());
        Ok(self.event_reply(world, 200, &event, &view))
    }

    fn delete_event(&self, world: &mut World, folder: &Folder, id: &str) -> Result<Reply, Refusal> {
        let mut event = self.find_event(world, folder, id)?.clone();
        event.delete(self.call.now);
        world.follow_event(&event, self.call.now);
        let mailbox = world.mailboxes.of(self.organizer);
        mailbox.mails += event.attendees.len() as u64;
        mailbox.replace(event);
        Ok(Reply::empty(204))
    }

    /// The body of a request that makes or changes an event. What it says of attendees is counted.
    fn event_body(&self, world: &mut World) -> Result<Map<String, Value>, Refusal> {
        let body = self.call.body()?;
        let attendees = body.get("attendees").and_then(Value::as_array);
        if attendees.is_some_and(|attendees| !attendees.is_empty()) {
            world.mailboxes.of(self.organizer).with_attendees += 1;
        }
        Ok(body)
    }

    /// The event with this id, in the form that the request prefers.
    fn find_event<'w>(
        &self,
        world: &'w mut World,
        folder: &Folder,
        id: &str,
    ) -> Result<&'w Event, Refusal> {
        let calendar = match folder {
            Folder::Any => None,
            folder => Some(self.folder(folder)?.to_owned()),
        };
        if !Event::is_id(id) {
            return Err(malformed());
        }
        let kept = self.settings.outlook.deleted == Deleted::InDeletedItems;
        let mailbox = world.mailboxes.of(self.organizer);
        let event = mailbox.event(id, self.immutable()).ok_or_else(not_found)?;
        let there = match event.place {
            Place::Calendar => calendar.is_none_or(|calendar| calendar == event.calendar),
            Place::Deleted => kept && calendar.is_none(),
            Place::Gone => false,
        };
        there.then_some(&*event).ok_or_else(not_found)
    }

    /// Whether the request prefers immutable ids.
    fn immutable(&self) -> bool {
        let preferred = preference(self.call.prefer, "IdType");
        preferred.is_some_and(|kind| kind.eq_ignore_ascii_case("ImmutableId"))
    }

    fn event_view<'a>(&'a self, expanded: &'a [String]) -> Result<View<'a>, Refusal> {
        let zone = preference(self.call.prefer, "outlook.timezone").unwrap_or("UTC");
        if zone::zone(zone).is_none() {
            let message = format!("The following TimeZone value is not supported: '{zone}'.");
            return Err(Refusal::new(400, "TimeZoneNotSupportedException", message));
        }
        Ok(View {
            organizer: self.organizer,
            now: self.call.now,
            immutable: self.immutable(),
            zone,
            expanded,
            unset: self.settings.outlook.unset,
            meeting: None,
        })
    }

    fn shown_event(&self, world: &World, event: &Event, view: &View<'_>) -> Map<String, Value> {
        let meeting = event.meeting.as_deref().and_then(|id| world.record(id));
        event.show(&View { meeting, ..*view })
    }

    fn event_reply(&self, world: &World, status: u16, event: &Event, view: &View<'_>) -> Reply {
        let shown = self.shown_event(world, event, view);
        Reply::json(status, self.in_context("events/$entity", shown))
    }

    /// An answer with its `@odata.context`.
    fn in_context(&self, what: &str, shown: Map<String, Value>) -> Value {
        let (root, user) = (self.call.root, &self.organizer.id);
        let context = format!("{root}/v1.0/$metadata#users('{user}')/{what}");
        let mut answer = Map::new();
        answer.insert("@odata.context".to_owned(), context.into());
        answer.extend(shown);
        answer.into()
    }

    /// Start or end as the body gives it.
    fn moment(&self, body: &Map<String, Value>, name: &str) -> Result<Option<Moment>, Refusal> {
        let given = body.get(name).filter(|given| !given.is_null());
        let moment = given.map(|given| zone::moment(name, given)).transpose();
        moment.map_err(|(code, message)| Refusal::new(400, code, message))
    }
}

/// Sets what a body gives, apart from start, end and the meeting.
fn apply(
    event: &mut Event,
    body: &Map<String, Value>,
    properties: Vec<Property>,
) -> Result<(), Refusal> {
    let failed = |why: &str| {
        let message = format!("At least one property failed validation: {why}");
        Refusal::new(400, "ErrorPropertyValidationFailure", message)
    };
    if event.end.at < event.start.at {
        return Err(failed("the end is before the start."));
    }
    for (name, value) in body {
        match name.as_str() {
            "start" | "end" | "isOnlineMeeting" | "onlineMeetingProvider" => {}
            "singleValueExtendedProperties" => {}
            "subject" => event.subject = value.as_str().map(str::to_owned),
            "attendees" => event.attendees = value.as_array().cloned().unwrap_or_default(),
            "body" => event.set_body(value),
            _ if value.is_null() => {
                event.fields.remove(name);
            }
            _ => {
                event.fields.insert(name.clone(), value.clone());
            }
        }
    }
    if event.fields.get("isAllDay") == Some(&Value::Bool(true)) {
        let midnight = |moment: &Moment| {
            let shown = zone::shown(moment.at, &moment.zone);
            let text = shown["dateTime"].as_str().unwrap_or_default().to_owned();
            text.ends_with("T00:00:00.0000000")
        };
        if !midnight(&event.start) || !midnight(&event.end) || event.start.at == event.end.at {
            return Err(failed("an all-day event is from midnight to midnight."));
        }
    }
    for property in properties {
        event.properties.retain(|held| held.id != property.id);
        event.properties.push(property);
    }
    Ok(())
}

/// The extended properties of a body.
fn properties(body: &Map<String, Value>) -> Result<Vec<Property>, Refusal> {
    let given = body
        .get("singleValueExtendedProperties")
        .and_then(Value::as_array);
    let property = |given: &Value| {
        let text = |name: &str| given.get(name).and_then(Value::as_str);
        let id = text("id").and_then(query::property_id);
        match (id, text("value")) {
            (Some(id), Some(value)) => Ok(Property {
                id,
                value: value.to_owned(),
            }),
            _ => Err(Refusal::new(
                400,
                "ErrorInvalidArgument",
                "An extended property needs an id of a known form, and a value.",
            )),
        }
    };
    given.into_iter().flatten().map(property).collect()
}
