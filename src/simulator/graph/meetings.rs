//! The onlineMeetings endpoints of Graph (graph-api.md, sections 4 to 6): judged and carried out. Pure.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use data_encoding::BASE64;
use serde_json::{Map, Value};

use crate::model::Span;

use super::Desk;
use super::record::{New, Record, View};
use super::shape::{self, CREATE_ONLY, CREATE_OR_GET, Fields, PATCH};
use super::wording::Language;
use crate::simulator::manners::{Dead, Existing, Race, Reuse, SecondDelete, Verdict};
use crate::simulator::reply::{Refusal, Reply};
use crate::simulator::route::Ask;
use crate::simulator::state::{Key, World};

impl Desk<'_> {
    pub(super) fn answer(&self, world: &mut World, ask: &Ask) -> Result<Reply, Refusal> {
        match ask {
            Ask::CreateOrGet => self.create_or_get(world),
            Ask::Create => self.create(world),
            Ask::Filter(query) => self.filter(world, query),
            Ask::Get(id) => self.get(world, id),
            Ask::Patch(id) => self.patch(world, id),
            Ask::Delete(id) => self.delete(world, id),
        }
    }

    fn create_or_get(&self, world: &mut World) -> Result<Reply, Refusal> {
        let manners = &self.settings.manners;
        let mut body = self.call.body()?;
        self.drop_unknown(&mut body, &[CREATE_OR_GET]);
        shape::check(CREATE_OR_GET, &body).map_err(Refusal::bad)?;
        let external_id = match body.get("externalId").and_then(Value::as_str) {
            Some(id) if !id.is_empty() => id,
            _ => return Err(Refusal::bad("The parameter 'externalId' is required.")),
        };
        let too_long = manners
            .longest_key
            .is_some_and(|most| external_id.len() > most);
        if too_long || (manners.foreign_keys == Verdict::Refused && !external_id.is_ascii()) {
            return Err(Refusal::bad("The parameter 'externalId' is invalid."));
        }
        let times = self.times(&body)?;
        let attendees = attendees(&body)?;
        let subject = text(&body, "subject");
        let key = world.key(self.organizer, external_id, manners.key_case);
        world.count(key.clone(), |calls| calls.create_or_get += 1);
        let now = self.call.now;
        let obeys = manners.create_or_get_language == Verdict::Taken;
        if let Some(meeting) = world.latest(&key) {
            let alive = meeting.is_alive(now, manners.expiry);
            let overtaken = alive && meeting.born >= self.call.serial;
            match (alive, manners.race, manners.reuse) {
                (true, Race::TwoMeetings, _) if overtaken => {}
                (true, Race::Conflict, _) if overtaken => return Err(Refusal::usual(409)),
                (true, ..) => {
                    if manners.existing == Existing::Apply {
                        if let Some(Span { start, end }) = times {
                            meeting.reschedule(start, end);
                        }
                        if subject.is_some() {
                            meeting.subject = subject;
                        }
                        meeting.updated(now);
                    }
                    return Ok(self.shown(200, meeting, obeys));
                }
                (false, _, Reuse::New) => {}
                (false, _, Reuse::Dead) => return Ok(self.shown(200, meeting, obeys)),
                (false, _, Reuse::Revived) => {
                    meeting.revive(now);
                    return Ok(self.shown(200, meeting, obeys));
                }
            }
        }
        let mut meeting = self.make(world, &key, times)?;
        meeting.subject = subject;
        meeting.attendees = attendees.unwrap_or_default();
        let reply = self.shown(201, &meeting, obeys);
        world.insert(meeting);
        Ok(reply)
    }

    fn create(&self, world: &mut World) -> Result<Reply, Refusal> {
        let mut body = self.call.body()?;
        if body.contains_key("externalId") {
            return Err(Refusal::bad("'externalId' is only for createOrGet."));
        }
        self.drop_unknown(&mut body, &[PATCH, CREATE_ONLY]);
        for (name, value) in &body {
            let shape = shape::field(PATCH, name).or_else(|| shape::field(CREATE_ONLY, name));
            match shape {
                Some(shape) => shape::one(name, shape, value).map_err(Refusal::bad)?,
                None => {
                    let message = format!("The property '{name}' does not exist here.");
                    return Err(Refusal::bad(message));
                }
            }
        }
        let times = self.times(&body)?;
        let attendees = attendees(&body)?;
        let key = Key {
            tenant: self.organizer.tenant.clone(),
            organizer: self.organizer.id.clone(),
            external_id: None,
        };
        let mut meeting = self.make(world, &key, times)?;
        meeting.subject = text(&body, "subject");
        meeting.attendees = attendees.unwrap_or_default();
        for (name, value) in body {
            match name.as_str() {
                "joinMeetingIdSettings" => {
                    // The passcode is generated, never chosen; only whether there is one can be.
                    if value.get("isPasscodeRequired") == Some(&Value::Bool(false)) {
                        meeting.passcode = None;
                    }
                }
                "startDateTime" | "endDateTime" | "subject" | "participants" | "chatInfo" => {}
                _ if value.is_null() => {}
                name => meeting.set(name, value),
            }
        }
        let reply = self.entity(201, &meeting);
        world.insert(meeting);
        Ok(reply)
    }

    fn get(&self, world: &mut World, id: &str) -> Result<Reply, Refusal> {
        let meeting = self.find(world, id)?;
        let (key, reply) = (Key::of(meeting), self.entity(200, meeting));
        world.count(key, |calls| calls.get += 1);
        Ok(reply)
    }

    fn delete(&self, world: &mut World, id: &str) -> Result<Reply, Refusal> {
        let again = self.settings.manners.second_delete == SecondDelete::NoContent;
        let meeting = match self.find(world, id) {
            Err(refusal) if again && matches!(refusal.status, 404 | 410) => {
                return Ok(Reply::empty(204));
            }
            found => found?,
        };
        meeting.deleted = true;
        let key = Key::of(meeting);
        world.count(key, |calls| calls.delete += 1);
        Ok(Reply::empty(204))
    }

    /// Takes properties that none of `known` has out of a body, where they are ignored.
    pub(super) fn drop_unknown(&self, body: &mut Map<String, Value>, known: &[Fields]) {
        if self.settings.manners.unknown == Verdict::Taken {
            body.retain(|name, _| {
                known
                    .iter()
                    .any(|fields| shape::field(fields, name).is_some())
            });
        }
    }

    /// A new meeting for `key`, within the month's quota.
    fn make(&self, world: &mut World, key: &Key, times: Option<Span>) -> Result<Record, Refusal> {
        let now = self.call.now;
        let most = self.settings.limits.meetings_per_month;
        if !world.within_quota(&self.organizer.id, now, most) {
            return Err(Refusal::usual(429));
        }
        let hour = Span {
            start: now,
            end: after_an_hour(now),
        };
        let Span { start, end } = times.unwrap_or(hour);
        Ok(Record::new(New {
            seed: self.settings.seed,
            organizer: self.organizer,
            external_id: key.external_id.as_deref(),
            event: None,
            earlier: world.made(key),
            born: world.serial(),
            start,
            end,
            now,
            shape: self.settings.url_shape,
            host: &self.settings.join_host,
        }))
    }

    /// The meeting with this id, which must be the organizer's.
    pub(super) fn find<'w>(
        &self,
        world: &'w mut World,
        id: &str,
    ) -> Result<&'w mut Record, Refusal> {
        let decoded = BASE64.decode(id.as_bytes()).ok();
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let parts: Vec<&str> = decoded.as_deref().unwrap_or_default().split('*').collect();
        match parts.as_slice() {
            ["1", oid, _, "", _] if oid.eq_ignore_ascii_case(&self.organizer.id) => {}
            ["1", _, _, "", _] => return Err(Refusal::bad("Meeting Id is corrupted.")),
            _ => return Err(Refusal::bad(format!("Invalid meeting id {id}."))),
        }
        let manners = &self.settings.manners;
        match world.meeting(id, self.call.now, manners.expiry) {
            Some(meeting) if meeting.tenant == self.organizer.tenant => Ok(meeting),
            _ => Err(match manners.dead {
                Dead::NotFound => Refusal::new(404, "NotFound", "The meeting was not found."),
                Dead::Gone => Refusal::new(410, "Gone", "The meeting is gone."),
            }),
        }
    }

    /// How this request is shown a meeting; `obeys`: in the language it asks for.
    pub(super) fn view(&self, obeys: bool) -> View<'_> {
        let prefer = self.call.prefer.to_ascii_lowercase();
        let manners = &self.settings.manners;
        View {
            organizer: self.organizer,
            now: self.call.now,
            language: match obeys {
                true => Language::preferred(self.call.accept_language),
                false => Language::English,
            },
            unknown_enum_members: prefer.contains("include-unknown-enum-members"),
            long_url: false,
            spelling: manners.spelling,
            absent: &manners.absent,
        }
    }

    /// The path of the organizer in an `@odata.context`.
    pub(super) fn context(&self) -> String {
        let root = self.call.root;
        match self.delegated {
            true => format!("{root}/v1.0/$metadata#me"),
            false => format!("{root}/v1.0/$metadata#users('{}')", self.organizer.id),
        }
    }

    /// An answer with the whole meeting.
    pub(super) fn entity(&self, status: u16, meeting: &Record) -> Reply {
        self.shown(status, meeting, true)
    }

    fn shown(&self, status: u16, meeting: &Record, obeys: bool) -> Reply {
        let mut shown = Map::new();
        let context = format!("{}/onlineMeetings/$entity", self.context());
        shown.insert("@odata.context".to_owned(), context.into());
        shown.extend(meeting.show(&self.view(obeys)));
        Reply::json(status, Value::Object(shown))
    }

    /// Start and end as the body gives them: end only with start, and not before it; else an hour long.
    pub(super) fn times(&self, body: &Map<String, Value>) -> Result<Option<Span>, Refusal> {
        let manners = &self.settings.manners;
        let backwards = |message| Refusal::new(manners.backwards, "BadRequest", message);
        let time = |name| body.get(name).and_then(Value::as_str).and_then(shape::time);
        let (start, end) = match (time("startDateTime"), time("endDateTime")) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(backwards("endDateTime needs startDateTime.")),
            (Some(start), end) => (start, end.unwrap_or_else(|| after_an_hour(start))),
        };
        if end < start {
            return Err(backwards("The end is before the start."));
        }
        if start.year() < 1900 || end.year() > 9000 {
            return Err(Refusal::bad("The time is out of range."));
        }
        if manners.past_start == Verdict::Refused && start < self.call.now {
            return Err(Refusal::bad("The start is in the past."));
        }
        if manners.over_30_hours == Verdict::Refused && end - start > TimeDelta::hours(30) {
            return Err(Refusal::bad("A meeting lasts 30 hours at most."));
        }
        Ok(Some(Span { start, end }))
    }
}

fn text(body: &Map<String, Value>, name: &str) -> Option<String> {
    body.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn after_an_hour(start: DateTime<Utc>) -> DateTime<Utc> {
    start
        .checked_add_signed(TimeDelta::hours(1))
        .unwrap_or(start)
}

/// `participants.attendees`, if given: always the whole list. The organizer cannot be chosen.
pub(super) fn attendees(body: &Map<String, Value>) -> Result<Option<Vec<Value>>, Refusal> {
    let Some(participants) = body.get("participants") else {
        return Ok(None);
    };
    if participants
        .get("organizer")
        .is_some_and(|organizer| !organizer.is_null())
    {
        return Err(Refusal::bad("The organizer of a meeting cannot be chosen."));
    }
    let Some(attendees) = participants.get("attendees").and_then(Value::as_array) else {
        return Ok(None);
    };
    for attendee in attendees {
        let id = attendee
            .pointer("/identity/user/id")
            .and_then(Value::as_str);
        let upn = attendee.get("upn").and_then(Value::as_str);
        if id.is_some() && upn.is_none() {
            return Err(Refusal::usual(500)); // graph-api.md, section 7, "Participants"
        }
    }
    Ok(Some(attendees.clone()))
}
