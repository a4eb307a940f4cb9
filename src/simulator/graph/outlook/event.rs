//! One event of a simulated Outlook calendar: what is held of it, and how it is shown. Pure.

use chrono::{DateTime, Utc};
use data_encoding::{BASE64URL, HEXUPPER};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::zone::{self, Moment};
use crate::simulator::graph::Record;
use crate::simulator::manners::Unset;
use crate::simulator::reply::instant;
use crate::simulator::settings::{Organizer, Provider};
use crate::simulator::snapshot::{EventCalls, EventState};

/// What ids begin with, in their two forms.
const IMMUTABLE: &str = "AAkALgAA";
const REGULAR: &str = "AAMk";
/// The fence of the meeting block in a body.
const FENCE: &str =
    "________________________________________________________________________________";

/// Where an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Calendar,
    /// In Deleted Items.
    Deleted,
    /// Nowhere.
    Gone,
}

/// Why an event's meeting does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    No,
    /// For so many GETs more.
    Gets(u32),
    /// Until the next PATCH.
    Dropped,
}

/// An extended property.
#[derive(Clone, Debug)]
pub(super) struct Property {
    /// As [`super::query::property_id`] writes it.
    pub(super) id: String,
    pub(super) value: String,
}

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(super) id: String,
    /// By when it was made: the order of lists.
    pub(super) serial: u64,
    /// The name of its calendar.
    pub(super) calendar: String,
    pub(super) place: Place,
    /// The value of the first extended property that it was made with.
    pub(super) key: Option<String>,
    pub(super) transaction_id: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) start: Moment,
    pub(super) end: Moment,
    pub(super) created: DateTime<Utc>,
    pub(super) modified: DateTime<Utc>,
    pub(super) attendees: Vec<Value>,
    pub(super) properties: Vec<Property>,
    /// What was set, over the defaults.
    pub(super) fields: Map<String, Value>,
    /// `None`: no online meeting.
    pub(super) provider: Option<Provider>,
    /// The id of the meeting behind it.
    pub(super) meeting: Option<String>,
    /// How many meetings were made for it.
    pub(super) meetings: u64,
    pub(super) hidden: Hidden,
    pub(super) calls: EventCalls,
    /// What stands between the tags of the body, the block of the meeting included.
    body: String,
    /// The block of the meeting, once there is one.
    block: Option<String>,
    /// How often it changed, and how often it was moved.
    changes: u64,
    moves: u64,
}

/// What a new event is made from.
pub(super) struct New<'a> {
    pub(super) seed: u64,
    pub(super) organizer: &'a Organizer,
    pub(super) key: Option<&'a str>,
    /// How many events were made for this key (or without one) before.
    pub(super) earlier: u64,
    pub(super) serial: u64,
    pub(super) calendar: &'a str,
    pub(super) start: Moment,
    pub(super) end: Moment,
    pub(super) now: DateTime<Utc>,
}

impl Event {
    pub(super) fn new(new: New<'_>) -> Self {
        let mut digest = Sha256::new();
        digest.update(new.seed.to_be_bytes());
        digest.update(new.earlier.to_be_bytes());
        digest.update([u8::from(new.key.is_some())]);
        digest.update(&new.organizer.id);
        digest.update(new.key.unwrap_or(""));
        let id = format!("{IMMUTABLE}{}", BASE64URL.encode(&digest.finalize()));
        Self {
            id,
            serial: new.serial,
            calendar: new.calendar.to_owned(),
            place: Place::Calendar,
            key: new.key.map(str::to_owned),
            transaction_id: None,
            subject: None,
            start: new.start,
            end: new.end,
            created: new.now,
            modified: new.now,
            attendees: Vec::new(),
            properties: Vec::new(),
            fields: Map::new(),
            provider: None,
            meeting: None,
            meetings: 0,
            hidden: Hidden::No,
            calls: EventCalls::default(),
            body: String::new(),
            block: None,
            changes: 0,
            moves: 0,
        }
    }

    /// Whether `id` is an id of an event at all, in whichever form.
    pub(super) fn is_id(id: &str) -> bool {
        let rest = id
            .strip_prefix(IMMUTABLE)
            .or_else(|| id.strip_prefix(REGULAR));
        rest.is_some_and(|rest| rest.len() == 44 && rest.is_ascii())
    }

    /// The id in the form that is asked for. The other form follows the event's place.
    pub(super) fn shown_id(&self, immutable: bool) -> String {
        if immutable {
            return self.id.clone();
        }
        let mut digest = Sha256::new();
        digest.update(&self.id);
        digest.update(self.moves.to_be_bytes());
        format!("{REGULAR}{}", BASE64URL.encode(&digest.finalize()))
    }

    /// Whether this is its id in the form that is asked for.
    pub(super) fn has_id(&self, id: &str, immutable: bool) -> bool {
        match immutable {
            true => self.id == id,
            false => id.starts_with(REGULAR) && self.shown_id(false) == id,
        }
    }

    pub(super) fn changed(&mut self, now: DateTime<Utc>) {
        self.changes += 1;
        self.modified = now;
    }

    /// Another calendar or folder: the id changes, the immutable one does not.
    pub(super) fn moved(&mut self, now: DateTime<Utc>) {
        self.moves += 1;
        self.changed(now);
    }

    /// The meeting is there, and its block stands in the body.
    pub(super) fn reveal(&mut self) {
        self.hidden = Hidden::No;
        if let Some(block) = &self.block
            && !self.body.contains(block.as_str())
        {
            self.body += block;
        }
    }

    /// Gives the event a meeting, which shows at once or later.
    pub(super) fn attach(&mut self, meeting: &Record, hidden: Hidden) {
        let url = meeting.join_web_url().replace('&', "&amp;");
        self.block = Some(format!(
            "<div><span>{FENCE}</span></div>\r\n<div class=\"me-email-text\">\
             <a class=\"me-email-headline\" href=\"{url}\">Join the meeting</a></div>\r\n\
             <div><span>{FENCE}</span></div>"
        ));
        self.meeting = Some(meeting.id.clone());
        self.meetings += 1;
        match hidden {
            Hidden::No => self.reveal(),
            _ => self.hidden = hidden,
        }
    }

    /// Sets the body. One that lacks the block of the meeting disables the meeting.
    pub(super) fn set_body(&mut self, given: &Value) {
        let content = given.get("content").and_then(Value::as_str).unwrap_or("");
        let html = given.get("contentType").and_then(Value::as_str) == Some("html");
        let escape = |text: &str| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            text.replace('>', "&gt;").replace('\n', "<br>\n")
        };
        let inner = match html {
            true => inside(content).to_owned(),
            false => escape(content),
        };
        let shows = self.meeting.is_some() && !matches!(self.hidden, Hidden::Gets(_));
        let kept = |block: &String| inner.contains(block.as_str());
        if shows && !self.block.as_ref().is_some_and(kept) {
            (self.provider, self.meeting, self.block) = (None, None, None);
            self.hidden = Hidden::No;
        }
        self.body = inner;
    }

    fn html(&self) -> String {
        format!(
            "<html>\r\n<head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; \
             charset=utf-8\">\r\n</head>\r\n<body>\r\n{}\r\n</body>\r\n</html>\r\n",
            self.body
        )
    }

    /// The whole event, without `@odata.context`.
    pub(super) fn show(&self, view: &View<'_>) -> Map<String, Value> {
        let Organizer { upn, .. } = view.organizer;
        let id = self.shown_id(view.immutable);
        let change_key = BASE64URL.encode(format!("{}.{}", self.serial, self.changes).as_bytes());
        let kind = match self.fields.get("recurrence").is_some_and(Value::is_object) {
            true => "seriesMaster",
            false => "singleInstance",
        };
        let shows = self.provider.is_some() && self.hidden == Hidden::No;
        let meeting = view.meeting.filter(|_| shows);
        let body = json!({
            "@odata.etag": format!("W/\"{change_key}\""),
            "id": id,
            "createdDateTime": instant(self.created, true),
            "lastModifiedDateTime": instant(self.modified, true),
            "changeKey": change_key,
            "originalStartTimeZone": self.start.zone,
            "originalEndTimeZone": self.end.zone,
            "iCalUId": format!("040000008200E00074C5B7101A82E008{}",
                               HEXUPPER.encode(&Sha256::digest(&self.id)[..24])),
            "hasAttachments": false,
            "subject": self.subject,
            "bodyPreview": preview(&self.body),
            "isCancelled": false,
            "isOrganizer": true,
            "isDraft": false,
            "seriesMasterId": null,
            "type": kind,
            "webLink": format!("https://outlook.office365.com/owa/?itemid={id}&exvsurl=1&path=/calendar/item"),
            "onlineMeetingUrl": null,
            "isOnlineMeeting": self.provider.is_some(),
            "onlineMeetingProvider": self.provider.unwrap_or(Provider::Unknown).name(),
            "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
            "body": {"contentType": "html", "content": self.html()},
            "start": zone::shown(self.start.at, view.zone),
            "end": zone::shown(self.end.at, view.zone),
            "attendees": self.attendees,
            "organizer": {"emailAddress": {"name": upn.split('@').next(), "address": upn}},
            "onlineMeeting": meeting.map(|meeting| info(meeting, view)),
        });
        let mut shown = match body {
            Value::Object(body) => body,
            _ => Map::new(),
        };
        shown.extend(defaults());
        shown.extend(self.fields.clone());
        if let Some(location) = self.fields.get("location").filter(|given| !given.is_null()) {
            shown
                .entry("locations")
                .or_insert_with(|| json!([location]));
        }
        shown.entry("locations").or_insert_with(|| json!([]));
        if let Some(id) = &self.transaction_id {
            shown.insert("transactionId".to_owned(), id.as_str().into());
        }
        let properties = self.properties.iter();
        let properties: Vec<Value> = properties
            .filter(|property| view.expanded.contains(&property.id))
            .map(|property| json!({"id": property.id, "value": property.value}))
            .collect();
        if !properties.is_empty() {
            let name = "singleValueExtendedProperties";
            shown.insert(name.to_owned(), properties.into());
        }
        shown
    }

    /// The event as a snapshot tells of it.
    pub(super) fn state(&self, meeting: Option<&Record>) -> EventState {
        let text = |time| instant(time, false).as_str().unwrap_or_default().to_owned();
        let mut fields = defaults();
        fields.extend(self.fields.clone());
        fields.retain(|_, value| !value.is_null());
        let shows = self.provider.is_some() && self.hidden == Hidden::No;
        EventState {
            id: self.id.clone(),
            calendar: self.calendar.clone(),
            deleted: self.place != Place::Calendar,
            key: self.key.clone(),
            transaction_id: self.transaction_id.clone(),
            subject: self.subject.clone(),
            start: text(self.start.at),
            end: text(self.end.at),
            body: self.html(),
            attendees: self.attendees.clone(),
            is_online_meeting: self.provider.is_some(),
            join_url: meeting
                .filter(|_| shows)
                .map(|meeting| meeting.join_web_url().to_owned()),
            options: meeting
                .map(|meeting| meeting.options.clone())
                .unwrap_or_default(),
            calls: self.calls,
            fields,
        }
    }
}

/// How an answer shows an event.
pub(super) struct View<'a> {
    pub(super) organizer: &'a Organizer,
    pub(super) now: DateTime<Utc>,
    /// Whether ids are immutable ones.
    pub(super) immutable: bool,
    /// The name of the zone of its times.
    pub(super) zone: &'a str,
    /// The extended properties to show.
    pub(super) expanded: &'a [String],
    pub(super) unset: Unset,
    /// The meeting behind it.
    pub(super) meeting: Option<&'a Record>,
}

/// `onlineMeetingInfo`.
fn info(meeting: &Record, view: &View<'_>) -> Value {
    let dial_in = meeting.dial_in_facts(view.organizer, view.now);
    let mut info = Map::new();
    let mut put = |name: &str, value: Value| info.insert(name.to_owned(), value);
    put("joinUrl", meeting.join_web_url().into());
    match (dial_in, view.unset) {
        (Some(dial_in), _) => {
            let bare: String = dial_in
                .toll
                .chars()
                .filter(|c| !" -".contains(*c))
                .collect();
            put("conferenceId", dial_in.conference_id.into());
            put(
                "quickDial",
                format!("{bare},,{}#", dial_in.conference_id).into(),
            );
            put("tollNumber", dial_in.toll.into());
            put("tollFreeNumbers", json!([dial_in.toll_free]));
            let phone = json!({"number": dial_in.toll, "type": "business", "language": "en-US",
                               "region": "United States"});
            put("phones", json!([phone]));
        }
        (None, Unset::LeftOut) => {}
        (None, Unset::Null) => {
            for name in ["conferenceId", "quickDial", "tollNumber"] {
                put(name, Value::Null);
            }
            put("tollFreeNumbers", json!([]));
            put("phones", json!([]));
        }
    }
    info.into()
}

/// What an event has when nobody chose otherwise.
fn defaults() -> Map<String, Value> {
    let body = json!({
        "categories": [],
        "reminderMinutesBeforeStart": 15,
        "isReminderOn": true,
        "importance": "normal",
        "sensitivity": "normal",
        "isAllDay": false,
        "responseRequested": true,
        "showAs": "busy",
        "allowNewTimeProposals": true,
        "hideAttendees": false,
        "recurrence": null,
        "location": {"displayName": "", "locationType": "default", "uniqueIdType": "unknown",
                     "address": {}, "coordinates": {}},
    });
    match body {
        Value::Object(body) => body,
        _ => Map::new(),
    }
}

/// What stands between the body's tags; all of it where it has none.
fn inside(html: &str) -> &str {
    let lower = html.to_ascii_lowercase();
    let Some(from) = lower.find("<body") else {
        return html;
    };
    let from = lower[from..]
        .find('>')
        .map_or(html.len(), |end| from + end + 1);
    let to = lower.rfind("</body>").filter(|to| *to >= from);
    html[from..to.unwrap_or(html.len())].trim_matches(['\r', '\n'])
}

/// The first 255 characters of the body without its tags.
fn preview(html: &str) -> String {
    let mut inside = false;
    let text = html.chars().filter(|next| {
        let shown = !inside && *next != '<';
        inside = (inside || *next == '<') && *next != '>';
        shown
    });
    text.take(255).collect()
}
