//! The onlineMeetings endpoints of Graph (graph-api.md, sections 4 to 6): judged and carried out.

use std::time::Duration;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::model::Span;

use super::access::{NO_PERMISSION, organizer, tenant};
use super::record::{New, Record, View};
use super::reply::{Refusal, Reply};
use super::route::{Ask, Target, Who};
use super::settings::{Existing, Organizer, Settings};
use super::shape::{self, CREATE_ONLY, CREATE_OR_GET, PATCH};
use super::state::{Key, World};
use super::wording::Language;

/// A request to Graph, apart from its target.
pub(super) struct Call<'a> {
    pub(super) now: DateTime<Utc>,
    /// The clock's monotonic time.
    pub(super) elapsed: Duration,
    /// The Graph root, for `@odata.context`.
    pub(super) root: &'a str,
    pub(super) authorization: Option<&'a str>,
    pub(super) content_type: Option<&'a str>,
    pub(super) content_encoding: Option<&'a str>,
    pub(super) accept_language: &'a str,
    pub(super) prefer: &'a str,
    /// `None`: larger than a request may be.
    pub(super) body: Option<&'a [u8]>,
}

/// Carries out a request to Graph.
pub(super) fn answer(
    world: &mut World,
    settings: &Settings,
    target: &Target,
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let tenant = tenant(world, call.authorization, call.elapsed)?;
    let (who, ask) = match target {
        Target::Meetings(who, ask) => (who, ask),
        Target::WrongMethod => {
            return Err(Refusal::new(
                405,
                "BadRequest",
                "The method is not allowed here.",
            ));
        }
        Target::Token { .. } | Target::Nothing => {
            return Err(Refusal::new(
                404,
                "NotFound",
                "Resource not found for this path.",
            ));
        }
    };
    let Who::User(user) = who else {
        return Err(Refusal::bad(
            "/me request is only valid with delegated authentication flow.",
        ));
    };
    let organizer = organizer(settings, &tenant, user, ask)?;
    let desk = Desk {
        settings,
        organizer,
        call,
    };
    match ask {
        Ask::CreateOrGet => desk.create_or_get(world),
        Ask::Create => desk.create(world),
        Ask::Filter(query) => desk.filter(world, query),
        Ask::Get(id) => desk.get(world, id),
        Ask::Patch(id) => desk.patch(world, id),
        Ask::Delete(id) => desk.delete(world, id),
    }
}

/// One request, with the organizer it is for.
struct Desk<'a> {
    settings: &'a Settings,
    organizer: &'a Organizer,
    call: &'a Call<'a>,
}

impl Desk<'_> {
    fn create_or_get(&self, world: &mut World) -> Result<Reply, Refusal> {
        let body = self.body()?;
        shape::check(CREATE_OR_GET, &body).map_err(Refusal::bad)?;
        let external_id = match body.get("externalId").and_then(Value::as_str) {
            Some(id) if !id.is_empty() => id,
            _ => return Err(Refusal::bad("The parameter 'externalId' is required.")),
        };
        let times = times(&body)?;
        let attendees = attendees(&body)?;
        let subject = text(&body, "subject");
        let key = Key {
            tenant: self.organizer.tenant.clone(),
            organizer: self.organizer.id.clone(),
            external_id: Some(external_id.to_owned()),
        };
        world.count(key.clone(), |calls| calls.create_or_get += 1);
        let existing = world.current(&key);
        if let Some(meeting) = existing.and_then(|id| world.meeting(&id, self.call.now)) {
            if self.settings.existing == Existing::Apply {
                if let Some(Span { start, end }) = times {
                    meeting.reschedule(start, end);
                }
                if subject.is_some() {
                    meeting.subject = subject;
                }
                meeting.updated(self.call.now);
            }
            return Ok(self.entity(200, meeting));
        }
        let mut meeting = self.make(Some(external_id), world.made(&key), times);
        meeting.subject = subject;
        meeting.attendees = attendees.unwrap_or_default();
        let reply = self.entity(201, &meeting);
        world.insert(meeting);
        Ok(reply)
    }

    fn create(&self, world: &mut World) -> Result<Reply, Refusal> {
        let body = self.body()?;
        if body.contains_key("externalId") {
            return Err(Refusal::bad("'externalId' is only for createOrGet."));
        }
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
        let times = times(&body)?;
        let attendees = attendees(&body)?;
        let key = Key {
            tenant: self.organizer.tenant.clone(),
            organizer: self.organizer.id.clone(),
            external_id: None,
        };
        let mut meeting = self.make(None, world.made(&key), times);
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

    fn filter(&self, world: &mut World, query: &str) -> Result<Reply, Refusal> {
        let name = filter_value(query)?;
        let context = format!(
            "{}/v1.0/$metadata#users('{}')/onlineMeetings",
            self.call.root, self.organizer.id
        );
        let found = world
            .named(&name)
            .and_then(|id| world.meeting(&id, self.call.now));
        let Some(meeting) = found else {
            return Ok(Reply::json(
                200,
                json!({"@odata.context": context, "value": []}),
            ));
        };
        if meeting.organizer.id != self.organizer.id {
            return Err(Refusal::new(403, "", NO_PERMISSION));
        }
        let shown = meeting.show(&View {
            long_url: true,
            ..self.view()
        });
        let key = Key::of(meeting);
        world.count(key, |calls| calls.filter += 1);
        Ok(Reply::json(
            200,
            json!({"@odata.context": context, "value": [shown]}),
        ))
    }

    fn patch(&self, world: &mut World, id: &str) -> Result<Reply, Refusal> {
        let body = self.body()?;
        if ["id", "meetingType", "isBroadcast"]
            .iter()
            .any(|name| body.contains_key(*name))
        {
            return Err(Refusal::bad("Updating meeting type is not supported."));
        }
        shape::check(PATCH, &body).map_err(Refusal::bad)?;
        if body.is_empty() {
            return Err(Refusal::bad("Nothing to update."));
        }
        let null = body
            .iter()
            .find(|(name, value)| value.is_null() && *name != "subject");
        if let Some((name, _)) = null {
            return Err(Refusal::bad(format!(
                "The property '{name}' cannot be null."
            )));
        }
        if body.contains_key("startDateTime") != body.contains_key("endDateTime") {
            return Err(Refusal::bad(
                "startDateTime and endDateTime can only be updated together.",
            ));
        }
        let times = times(&body)?;
        let attendees = attendees(&body)?;
        let presents = |attendee: &Value| attendee.get("role") == Some(&"presenter".into());
        if body.get("allowedPresenters") == Some(&"roleIsPresenter".into())
            && !attendees
                .as_ref()
                .is_some_and(|list| list.iter().any(presents))
        {
            return Err(Refusal::bad(
                "roleIsPresenter needs the list of attendees with the presenters marked.",
            ));
        }
        let meeting = self.find(world, id)?;
        let hidden = |list: Option<&Value>| list.and_then(Value::as_array).cloned();
        if let Some(new) = hidden(body.get("anonymizeIdentityForRoles"))
            && let Some(old) = hidden(meeting.options.get("anonymizeIdentityForRoles"))
            && !old.iter().all(|role| new.contains(role))
        {
            return Err(Refusal::bad(
                "anonymizeIdentityForRoles cannot be taken back.",
            ));
        }
        if let Some(Span { start, end }) = times {
            meeting.reschedule(start, end);
        }
        if let Some(attendees) = attendees {
            meeting.attendees = attendees;
        }
        for (name, value) in body {
            match name.as_str() {
                "startDateTime" | "endDateTime" | "participants" => {}
                "subject" => meeting.subject = value.as_str().map(str::to_owned),
                name => meeting.set(name, value),
            }
        }
        meeting.updated(self.call.now);
        let (key, reply) = (Key::of(meeting), self.entity(200, meeting));
        world.count(key, |calls| calls.patch += 1);
        Ok(reply)
    }

    fn delete(&self, world: &mut World, id: &str) -> Result<Reply, Refusal> {
        let key = Key::of(self.find(world, id)?);
        world.count(key, |calls| calls.delete += 1);
        world.remove(id);
        Ok(Reply::empty(204))
    }

    /// The request's body: one JSON object, of the right type, not too large.
    fn body(&self) -> Result<Map<String, Value>, Refusal> {
        let media = self.call.content_type.unwrap_or_default().split(';').next();
        let json = media.is_some_and(|m| m.trim().eq_ignore_ascii_case("application/json"));
        if !json || self.call.content_encoding.is_some() {
            let message = "The content type or content encoding is not supported.";
            return Err(Refusal::new(415, "BadRequest", message));
        }
        let Some(bytes) = self.call.body else {
            return Err(Refusal::new(413, "BadRequest", "The request is too large."));
        };
        if bytes.is_empty() {
            return Err(Refusal::bad("Empty payload; JSON content expected."));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(body)) => Ok(body),
            _ => Err(Refusal::bad("Unable to read JSON request payload.")),
        }
    }

    fn make(&self, external_id: Option<&str>, earlier: u64, times: Option<Span>) -> Record {
        let now = self.call.now;
        let hour = Span {
            start: now,
            end: after_an_hour(now),
        };
        let Span { start, end } = times.unwrap_or(hour);
        Record::new(New {
            seed: self.settings.seed,
            organizer: self.organizer,
            external_id,
            earlier,
            start,
            end,
            now,
            shape: self.settings.url_shape,
        })
    }

    /// The meeting with this id, which must be the organizer's.
    fn find<'w>(&self, world: &'w mut World, id: &str) -> Result<&'w mut Record, Refusal> {
        let decoded = BASE64.decode(id.as_bytes()).ok();
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let parts: Vec<&str> = decoded.as_deref().unwrap_or_default().split('*').collect();
        match parts.as_slice() {
            ["1", oid, _, "", _] if oid.eq_ignore_ascii_case(&self.organizer.id) => {}
            ["1", _, _, "", _] => return Err(Refusal::bad("Meeting Id is corrupted.")),
            _ => return Err(Refusal::bad(format!("Invalid meeting id {id}."))),
        }
        match world.meeting(id, self.call.now) {
            Some(meeting) if meeting.organizer.tenant == self.organizer.tenant => Ok(meeting),
            _ => Err(Refusal::new(404, "NotFound", "The meeting was not found.")),
        }
    }

    fn view(&self) -> View {
        let prefer = self.call.prefer.to_ascii_lowercase();
        View {
            language: Language::preferred(self.call.accept_language),
            unknown_enum_members: prefer.contains("include-unknown-enum-members"),
            long_url: false,
        }
    }

    /// An answer with the whole meeting.
    fn entity(&self, status: u16, meeting: &Record) -> Reply {
        let mut shown = Map::new();
        let context = format!(
            "{}/v1.0/$metadata#users('{}')/onlineMeetings/$entity",
            self.call.root, self.organizer.id
        );
        shown.insert("@odata.context".to_owned(), context.into());
        shown.extend(meeting.show(&self.view()));
        Reply::json(status, Value::Object(shown))
    }
}

fn text(body: &Map<String, Value>, name: &str) -> Option<String> {
    body.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// Start and end as the body gives them: end only with start, and not before it; else an hour long.
fn times(body: &Map<String, Value>) -> Result<Option<Span>, Refusal> {
    let time = |name| body.get(name).and_then(Value::as_str).and_then(shape::time);
    let (start, end) = match (time("startDateTime"), time("endDateTime")) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(Refusal::bad("endDateTime needs startDateTime.")),
        (Some(start), end) => (start, end.unwrap_or_else(|| after_an_hour(start))),
    };
    if end < start {
        return Err(Refusal::bad("The end is before the start."));
    }
    if start.year() < 1900 || end.year() > 9000 {
        return Err(Refusal::bad("The time is out of range."));
    }
    Ok(Some(Span { start, end }))
}

fn after_an_hour(start: DateTime<Utc>) -> DateTime<Utc> {
    start
        .checked_add_signed(TimeDelta::hours(1))
        .unwrap_or(start)
}

/// `participants.attendees`, if given: always the whole list. The organizer cannot be chosen.
fn attendees(body: &Map<String, Value>) -> Result<Option<Vec<Value>>, Refusal> {
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

/// The value that the query's `$filter` compares one of the two allowed properties with.
fn filter_value(query: &str) -> Result<String, Refusal> {
    let expected = || {
        Refusal::new(
            400,
            "InvalidArgument",
            "Filter expression expected - /onlineMeetings?$filter={ParameterName} eq '{id}'.",
        )
    };
    let mut filter = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let again = name == "$filter" && filter.is_some();
        if again || (name.starts_with('$') && name != "$filter") {
            return Err(Refusal::bad(format!(
                "The query option '{name}' is not supported."
            )));
        }
        if name == "$filter" {
            filter = Some(value.into_owned());
        }
    }
    let filter = filter.ok_or_else(expected)?;
    let (property, literal) = filter.split_once(" eq ").ok_or_else(expected)?;
    let known = [
        "JoinWebUrl",
        "joinWebUrl",
        "joinMeetingIdSettings/joinMeetingId",
    ];
    if !known.contains(&property.trim()) {
        return Err(expected());
    }
    let quoted = literal
        .trim()
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''));
    let quoted = quoted.ok_or_else(expected)?;
    if quoted.replace("''", "").contains('\'') {
        return Err(expected()); // a quote inside is doubled
    }
    Ok(quoted.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_one_of_two_properties_and_a_quoted_value() {
        let cases = [
            (
                "$filter=JoinWebUrl%20eq%20'https%3A%2F%2Fx%2F19%253a'",
                Some("https://x/19%3a"),
            ),
            ("%24filter=JoinWebUrl+eq+'a''b'", Some("a'b")),
            (
                "$filter=joinMeetingIdSettings/joinMeetingId eq '123'",
                Some("123"),
            ),
            (
                "$filter=JoinWebUrl%20eq%20'https://x/19%3a'",
                Some("https://x/19:"),
            ),
            ("", None),
            ("filter=JoinWebUrl eq 'x'", None),
            ("$filter=subject eq 'x'", None),
            ("$filter=JoinWebUrl ne 'x'", None),
            ("$filter=JoinWebUrl eq x", None),
            ("$filter=JoinWebUrl eq 'a'b'", None),
            ("$filter=JoinWebUrl eq '", None),
            ("$filter=JoinWebUrl eq 'x'&$top=1", None),
            ("$filter=JoinWebUrl eq 'x'&$filter=JoinWebUrl eq 'y'", None),
        ];
        for (query, expected) in cases {
            assert_eq!(filter_value(query).ok().as_deref(), expected, "{query}");
        }
    }
}
