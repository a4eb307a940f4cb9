//! The JSON of an onlineMeeting: what is sent, and what is taken from an answer. Pure.
//!
//! An answer is hostile: keys are found without regard to case, unknown ones pass, every text has a
//! bound, and a property that does not hold what it should counts as left out.

use chrono::{DateTime, Datelike as _, SubsecRound as _, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::meeting::{
    Chat, Details, DialIn, LobbyScope, Meeting, Presenters, Setting, Settings, Wanted,
};
use crate::model::{JoinUrl, MeetingId, Span};

/// The longest URL that is taken from an answer, in bytes.
pub(super) const LONGEST_URL: usize = 8 * 1024;
/// The longest meeting id that is taken from an answer, in bytes.
pub(super) const LONGEST_ID: usize = 2 * 1024;
/// The longest of the other texts that are taken from an answer, in bytes.
pub(super) const LONGEST_TEXT: usize = 1024;
/// The most telephone numbers of one kind that are taken from an answer.
pub(super) const MOST_NUMBERS: usize = 20;
/// The longest subject that is sent, in characters (Outlook's own bound).
const LONGEST_SUBJECT: usize = 255;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateOrGet<'a> {
    external_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    start_date_time: String,
    end_date_time: String,
}

/// What is to change in a meeting. Graph wants both times or neither (graph-api.md, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) span: Option<Span>,
    pub(super) subject: Option<String>,
}

impl Change {
    /// Both times in any case, which puts off the meeting's end of life, and the subject where it differs.
    pub(super) fn renewing(known: &Meeting, wanted: &Wanted) -> Self {
        let has = subject(known.subject.as_deref());
        Self {
            span: Some(wanted.span),
            subject: subject(wanted.subject.as_deref()).filter(|wants| has.as_ref() != Some(wants)),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Patch<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    start_date_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_date_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
}

/// What an answer says of a meeting; `None` where it says nothing usable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: Option<String>,
    pub(super) join_url: Option<JoinUrl>,
    /// `None` also for year 1, by which the service says "not set".
    pub(super) span: Option<Span>,
    /// `Some(None)`: the answer says that there is none.
    pub(super) subject: Option<Option<String>>,
    pub(super) expires: Option<DateTime<Utc>>,
    pub(super) details: Details,
}

impl Found {
    /// The whole meeting; `None` for a partial answer.
    pub(super) fn complete(&self) -> Option<Meeting> {
        Some(Meeting {
            id: Some(MeetingId::OnlineMeeting(self.id.clone()?)),
            join_url: self.join_url.clone()?,
            span: self.span,
            subject: self.subject.clone().flatten(),
            expires: self.expires,
            details: self.details.clone(),
        })
    }

    /// `known` with what this answer says anew. The join URL, which cannot change, and what the
    /// answer leaves out stay as they are known.
    pub(super) fn over(self, known: &Meeting) -> Meeting {
        let old = &known.details;
        Meeting {
            id: self
                .id
                .map(MeetingId::OnlineMeeting)
                .or_else(|| known.id.clone()),
            join_url: known.join_url.clone(),
            span: self.span.or(known.span),
            subject: self.subject.unwrap_or_else(|| known.subject.clone()),
            expires: self.expires.or(known.expires),
            details: Details {
                meeting_id: self.details.meeting_id.or_else(|| old.meeting_id.clone()),
                passcode: self.details.passcode.or_else(|| old.passcode.clone()),
                dial_in: self.details.dial_in.or_else(|| old.dial_in.clone()),
                video_device_id: self
                    .details
                    .video_device_id
                    .or_else(|| old.video_device_id.clone()),
                chat_thread: self.details.chat_thread.or_else(|| old.chat_thread.clone()),
                options_url: self.details.options_url.or_else(|| old.options_url.clone()),
                language: old.language.clone(),
            },
        }
    }

    /// What has to change so that a found meeting is as `wanted`; `None` when nothing.
    ///
    /// A meeting whose times are unknown is left alone: such an answer is faulty in other parts too
    /// (graph-api.md, section 6).
    pub(super) fn change_to(&self, wanted: &Wanted) -> Option<Change> {
        let moved = self.span? != whole_seconds(wanted.span);
        let wants = subject(wanted.subject.as_deref());
        let differs = self
            .subject
            .as_ref()
            .is_some_and(|has| subject(has.as_deref()) != wants);
        let subject = wants.filter(|_| differs);
        (moved || subject.is_some()).then_some(Change {
            span: moved.then_some(wanted.span),
            subject,
        })
    }
}

/// The body of createOrGet.
pub(super) fn create_or_get(wanted: &Wanted) -> Vec<u8> {
    written(&CreateOrGet {
        external_id: wanted.external_id.as_str(),
        subject: subject(wanted.subject.as_deref()),
        start_date_time: instant(wanted.span.start),
        end_date_time: instant(wanted.span.end),
    })
}

/// The body of a PATCH.
pub(super) fn patch(change: &Change) -> Vec<u8> {
    written(&Patch {
        start_date_time: change.span.map(|span| instant(span.start)),
        end_date_time: change.span.map(|span| instant(span.end)),
        subject: change.subject.as_deref(),
    })
}

/// The body of a PATCH that applies settings.
pub(super) fn settings(settings: &Settings) -> Vec<u8> {
    let mut body = Map::new();
    for setting in &settings.0 {
        let (name, value) = property(setting);
        body.insert(name.to_owned(), value);
    }
    written(&body)
}

/// A setting as a property of an onlineMeeting.
fn property(setting: &Setting) -> (&'static str, Value) {
    match setting {
        Setting::Lobby {
            scope,
            dial_in_bypass,
        } => {
            let mut lobby = Map::new();
            if let Some(scope) = scope {
                let scope = match scope {
                    LobbyScope::Organizer => "organizer",
                    LobbyScope::Organization => "organization",
                    LobbyScope::OrganizationAndFederated => "organizationAndFederated",
                    LobbyScope::OrganizationExcludingGuests => "organizationExcludingGuests",
                    LobbyScope::Invited => "invited",
                    LobbyScope::Everyone => "everyone",
                };
                lobby.insert("scope".to_owned(), scope.into());
            }
            if let Some(bypass) = dial_in_bypass {
                lobby.insert("isDialInBypassEnabled".to_owned(), (*bypass).into());
            }
            ("lobbyBypassSettings", lobby.into())
        }
        Setting::Presenters(who) => {
            let who = match who {
                Presenters::Everyone => "everyone",
                Presenters::Organization => "organization",
                Presenters::Organizer => "organizer",
            };
            ("allowedPresenters", who.into())
        }
        Setting::Chat(mode) => {
            let mode = match mode {
                Chat::Enabled => "enabled",
                Chat::Disabled => "disabled",
                Chat::Limited => "limited",
            };
            ("allowMeetingChat", mode.into())
        }
        Setting::EntryAnnouncement(on) => ("isEntryExitAnnounced", (*on).into()),
        Setting::RecordAutomatically(on) => ("recordAutomatically", (*on).into()),
        Setting::AttendeeCamera(on) => ("allowAttendeeToEnableCamera", (*on).into()),
        Setting::AttendeeMicrophone(on) => ("allowAttendeeToEnableMic", (*on).into()),
        Setting::Participants(who) => {
            let attendee = |upn: &String| json!({ "upn": upn, "role": "attendee" });
            let attendees: Vec<Value> = who.iter().map(attendee).collect();
            ("participants", json!({ "attendees": attendees }))
        }
    }
}

/// A subject as it is sent: on one line, at most 255 characters; `None` for an empty one.
pub(super) fn subject(text: Option<&str>) -> Option<String> {
    let text: String = text?
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_SUBJECT)
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads an answer that holds one meeting; `None` when it is no JSON object.
pub(super) fn meeting(body: &[u8]) -> Option<Found> {
    Some(found(
        serde_json::from_slice::<Value>(body).ok()?.as_object()?,
    ))
}

/// Reads the answer to a filter; `None` when it is no collection, `Some(None)` when it is empty.
pub(super) fn collection(body: &[u8]) -> Option<Option<Found>> {
    let answer = serde_json::from_slice::<Value>(body).ok()?;
    let first = match get(answer.as_object()?, "value")?.as_array()?.first() {
        Some(item) => Some(found(item.as_object()?)),
        None => None,
    };
    Some(first)
}

pub(super) fn written(body: &impl Serialize) -> Vec<u8> {
    // Texts alone cannot fail to become JSON; an empty body would be answered with 400.
    serde_json::to_vec(body).unwrap_or_default()
}

/// Graph's form of a time: UTC, whole seconds (graph-api.md, section 14).
fn instant(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn whole_seconds(span: Span) -> Span {
    Span {
        start: span.start.trunc_subsecs(0),
        end: span.end.trunc_subsecs(0),
    }
}

fn found(meeting: &Map<String, Value>) -> Found {
    let part = |key| get(meeting, key).and_then(Value::as_object);
    let join_ids = part("joinMeetingIdSettings");
    Found {
        // A path segment of dots alone would name another resource.
        id: text(meeting, "id", LONGEST_ID).filter(|id| id.contains(|c| c != '.')),
        join_url: https(meeting, "joinWebUrl").map(JoinUrl::new),
        span: span(meeting),
        subject: stated(meeting, "subject"),
        expires: time(meeting, "expiryDateTime"),
        details: Details {
            meeting_id: join_ids.and_then(|ids| text(ids, "joinMeetingId", LONGEST_TEXT)),
            passcode: join_ids.and_then(|ids| text(ids, "passcode", LONGEST_TEXT)),
            dial_in: part("audioConferencing").and_then(dial_in),
            video_device_id: text(meeting, "videoTeleconferenceId", LONGEST_TEXT),
            chat_thread: part("chatInfo").and_then(|chat| text(chat, "threadId", LONGEST_TEXT)),
            options_url: https(meeting, "meetingOptionsWebUrl"),
            language: None,
        },
    }
}

/// A text that may be null, by which the service says that there is none; `None` where it says nothing.
pub(super) fn stated(object: &Map<String, Value>, key: &str) -> Option<Option<String>> {
    match get(object, key)? {
        Value::Null => Some(None),
        Value::String(text) if text.len() <= LONGEST_TEXT => Some(Some(text.clone())),
        _ => None,
    }
}

/// `None` when nothing in it can be used.
fn dial_in(audio: &Map<String, Value>) -> Option<DialIn> {
    let dial_in = DialIn {
        dialin_url: https(audio, "dialinUrl"),
        conference_id: text(audio, "conferenceId", LONGEST_TEXT),
        toll_numbers: numbers(audio, "tollNumber", "tollNumbers"),
        toll_free_numbers: numbers(audio, "tollFreeNumber", "tollFreeNumbers"),
        quick_dial: None,
    };
    (dial_in != DialIn::default()).then_some(dial_in)
}

pub(super) fn numbers(audio: &Map<String, Value>, first: &str, others: &str) -> Vec<String> {
    let others = get(audio, others).and_then(Value::as_array);
    let mut numbers: Vec<String> = Vec::new();
    for number in get(audio, first)
        .into_iter()
        .chain(others.into_iter().flatten())
    {
        if let Some(number) = usable(number, LONGEST_TEXT)
            && !numbers.contains(&number)
        {
            numbers.push(number);
            if numbers.len() == MOST_NUMBERS {
                break;
            }
        }
    }
    numbers
}

fn span(meeting: &Map<String, Value>) -> Option<Span> {
    let span = Span {
        start: time(meeting, "startDateTime")?,
        end: time(meeting, "endDateTime")?,
    };
    (span.start <= span.end).then(|| whole_seconds(span))
}

pub(super) fn time(object: &Map<String, Value>, key: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(get(object, key)?.as_str()?)
        .ok()?
        .to_utc();
    (time.year() > 1).then_some(time)
}

pub(super) fn https(object: &Map<String, Value>, key: &str) -> Option<String> {
    text(object, key, LONGEST_URL).filter(|url| {
        url.get(..8)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
            && !url.contains(char::is_whitespace)
            && Url::parse(url).is_ok_and(|url| url.has_host())
    })
}

pub(super) fn text(object: &Map<String, Value>, key: &str, longest: usize) -> Option<String> {
    usable(get(object, key)?, longest)
}

pub(super) fn usable(value: &Value, longest: usize) -> Option<String> {
    let text = value.as_str()?;
    let fits = !text.trim().is_empty() && text.len() <= longest;
    (fits && !text.contains(char::is_control)).then(|| text.to_owned())
}

/// The property of this name, the exact spelling before any other: Graph's own documentation writes
/// both `conferenceId` and `ConferenceId`.
pub(super) fn get<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).or_else(|| {
        object
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value)
    })
}
