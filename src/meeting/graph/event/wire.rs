//! The JSON of an Outlook event: what is sent, and what is taken from an answer. Pure.
//!
//! An answer is as hostile as one about an onlineMeeting, and is read by the same rules.

use chrono::{DateTime, Datelike as _, NaiveDateTime, Utc};
use serde_json::{Map, Value, json};

use super::request::PROPERTY;
use crate::meeting::graph::wire::{
    self, Change, LONGEST_ID, LONGEST_TEXT, LONGEST_URL, MOST_NUMBERS, get, https, subject, text,
    time, usable, whole_seconds, written,
};
use crate::meeting::{DialIn, Mirror, ShowAs, Wanted};
use crate::model::{JoinUrl, Span, sha256};

/// What an answer says of an event; `None` where it says nothing usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) created: Option<DateTime<Utc>>,
    /// `onlineMeeting.joinUrl`.
    pub(super) join_url: Option<JoinUrl>,
    /// Whether it is an online meeting of Teams, or is to become one.
    pub(super) is_teams: bool,
    /// `None` also for year 1.
    pub(super) span: Option<Span>,
    /// `Some(None)`: the answer says that there is none.
    pub(super) subject: Option<Option<String>>,
    pub(super) dial_in: Option<DialIn>,
}

impl Event {
    /// Whether it is the one that this join URL is of. One that lost its link for a while may be.
    pub(super) fn is_of(&self, url: &JoinUrl) -> bool {
        match &self.join_url {
            Some(own) => own == url,
            None => self.is_teams,
        }
    }

    /// What has to change so that it is as `wanted`; `None` when nothing, or when its times are unknown.
    pub(super) fn change_to(&self, wanted: &Wanted) -> Option<Change> {
        let found = wire::Found {
            span: self.span,
            subject: self.subject.clone(),
            ..wire::Found::default()
        };
        found.change_to(wanted)
    }
}

/// One page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) entries: Vec<T>,
    /// Where the next one is.
    pub(super) next: Option<String>,
}

/// A calendar of a mailbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Calendar {
    pub(super) id: String,
    pub(super) name: String,
}

/// The body of the POST that makes an event. Never with attendees: they would be sent mail.
pub(super) fn create(wanted: &Wanted, mirror: &Mirror, key: &str) -> Vec<u8> {
    let show_as = match mirror.show_as {
        ShowAs::Free => "free",
        ShowAs::Tentative => "tentative",
        ShowAs::Busy => "busy",
        ShowAs::OutOfOffice => "oof",
        ShowAs::WorkingElsewhere => "workingElsewhere",
    };
    written(&json!({
        "subject": subject(wanted.subject.as_deref()),
        "body": {"contentType": "html", "content": format!("<p>{}</p>", escape(&mirror.note))},
        "start": moment(wanted.span.start),
        "end": moment(wanted.span.end),
        "isOnlineMeeting": true,
        "onlineMeetingProvider": "teamsForBusiness",
        "transactionId": transaction_id(key),
        "showAs": show_as,
        "isReminderOn": false,
        "singleValueExtendedProperties": [{"id": PROPERTY, "value": key}],
    }))
}

/// The body of a PATCH. Never with a body: without the block of the meeting in it, the meeting is
/// disabled.
pub(super) fn patch(change: &Change) -> Vec<u8> {
    let mut body = Map::new();
    if let Some(span) = change.span {
        body.insert("start".to_owned(), moment(span.start));
        body.insert("end".to_owned(), moment(span.end));
    }
    if let Some(subject) = &change.subject {
        body.insert("subject".to_owned(), subject.as_str().into());
    }
    written(&body)
}

/// The body of the PATCH that makes an event an online meeting.
pub(super) fn go_online() -> Vec<u8> {
    written(&json!({"isOnlineMeeting": true, "onlineMeetingProvider": "teamsForBusiness"}))
}

/// The UUID (RFC 9562, version 8) by which a repeated POST for this key makes no second event.
fn transaction_id(key: &str) -> String {
    let digest = sha256([b"meetbridge transactionId\n", key.as_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// A text as HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Graph's `dateTimeTimeZone`, in UTC and whole seconds.
fn moment(time: DateTime<Utc>) -> Value {
    json!({"dateTime": time.format("%Y-%m-%dT%H:%M:%S").to_string(), "timeZone": "UTC"})
}

/// Reads an answer that holds one event; `None` when it does not.
pub(super) fn event(body: &[u8]) -> Option<Event> {
    found(serde_json::from_slice::<Value>(body).ok()?.as_object()?)
}

/// Reads a page of events; `None` when it is no list, or holds what is no event.
pub(super) fn events(body: &[u8]) -> Option<Page<Event>> {
    page(body, |entry| Some(Some(found(entry)?)))
}

/// Reads a page of calendars; `None` when it is no list. One without a name or id is left out.
pub(super) fn calendars(body: &[u8]) -> Option<Page<Calendar>> {
    page(body, |entry| {
        let id = id(entry);
        let name = text(entry, "name", LONGEST_TEXT);
        Some(id.zip(name).map(|(id, name)| Calendar { id, name }))
    })
}

fn page<T>(
    body: &[u8],
    read: impl Fn(&Map<String, Value>) -> Option<Option<T>>,
) -> Option<Page<T>> {
    let answer = serde_json::from_slice::<Value>(body).ok()?;
    let answer = answer.as_object()?;
    let mut entries = Vec::new();
    for entry in get(answer, "value")?.as_array()? {
        entries.extend(read(entry.as_object()?)?);
    }
    Some(Page {
        entries,
        // Compared with the Graph root before it is followed.
        next: text(answer, "@odata.nextLink", LONGEST_URL),
    })
}

fn id(entry: &Map<String, Value>) -> Option<String> {
    // A path segment of dots alone would name another resource.
    text(entry, "id", LONGEST_ID).filter(|id| id.contains(|c| c != '.'))
}

fn found(event: &Map<String, Value>) -> Option<Event> {
    let meeting = get(event, "onlineMeeting").and_then(Value::as_object);
    let provider = get(event, "onlineMeetingProvider").and_then(Value::as_str);
    Some(Event {
        id: id(event)?,
        created: time(event, "createdDateTime"),
        join_url: meeting
            .and_then(|meeting| https(meeting, "joinUrl"))
            .map(JoinUrl::new),
        is_teams: get(event, "isOnlineMeeting") == Some(&Value::Bool(true))
            && provider.is_none_or(|provider| provider.eq_ignore_ascii_case("teamsForBusiness")),
        span: span(event),
        subject: wire::stated(event, "subject"),
        dial_in: meeting.and_then(dial_in),
    })
}

/// `None` when nothing in it can be used.
fn dial_in(meeting: &Map<String, Value>) -> Option<DialIn> {
    let toll_free_numbers = wire::numbers(meeting, "tollFreeNumber", "tollFreeNumbers");
    let mut toll_numbers = wire::numbers(meeting, "tollNumber", "tollNumbers");
    let phones = get(meeting, "phones").and_then(Value::as_array);
    for phone in phones.into_iter().flatten() {
        let number = phone.as_object().and_then(|phone| get(phone, "number"));
        if let Some(number) = number.and_then(|number| usable(number, LONGEST_TEXT))
            && toll_numbers.len() < MOST_NUMBERS
            && !toll_numbers.contains(&number)
            && !toll_free_numbers.contains(&number)
        {
            toll_numbers.push(number);
        }
    }
    let dial_in = DialIn {
        dialin_url: None,
        conference_id: text(meeting, "conferenceId", LONGEST_TEXT),
        toll_numbers,
        toll_free_numbers,
        quick_dial: text(meeting, "quickDial", LONGEST_TEXT),
    };
    (dial_in != DialIn::default()).then_some(dial_in)
}

fn span(event: &Map<String, Value>) -> Option<Span> {
    let at = |key| {
        let moment = get(event, key)?.as_object()?;
        // Asked for in UTC; in another zone it is not what was asked for.
        let zone = get(moment, "timeZone").and_then(Value::as_str)?;
        let text = text(moment, "dateTime", LONGEST_TEXT)?;
        let text = text.strip_suffix('Z').unwrap_or(&text);
        let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
        (zone.eq_ignore_ascii_case("UTC") && local.year() > 1).then(|| local.and_utc())
    };
    let span = Span {
        start: at("start")?,
        end: at("end")?,
    };
    (span.start <= span.end).then(|| whole_seconds(span))
}
