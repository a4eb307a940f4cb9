//! Which properties a request body may have, and of which type (graph-api.md, sections 4 and 5). Pure.
//!
//! Request bodies are closed: an unknown property or enum value is refused.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value};

/// A property's type. `null` passes everywhere; what may not be null is for the endpoint to say.
pub(super) enum Shape {
    Text,
    Bool,
    Time,
    /// A calendar date.
    Date,
    /// An Edm.Int32.
    Int,
    Number,
    Choice(&'static [&'static str]),
    List(&'static Shape),
    /// An object of these properties and no others.
    Closed(Fields),
    /// An object of these properties; others pass.
    Open(Fields),
}

/// Property names and their types.
pub(super) type Fields = &'static [(&'static str, Shape)];

use Shape::{Bool, Choice, Closed, Date, Int, List, Number, Open, Text, Time};

const IDENTITY: Fields = &[("id", Text), ("displayName", Text)];
const IDENTITY_SET: Fields = &[
    ("application", Open(IDENTITY)),
    ("device", Open(IDENTITY)),
    ("user", Open(IDENTITY)),
];
const ROLE: Shape = Choice(&["attendee", "presenter", "producer", "coorganizer"]);
const PARTICIPANT: Fields = &[
    ("identity", Open(IDENTITY_SET)),
    ("role", ROLE),
    ("upn", Text),
];
const PARTICIPANTS: Shape = Closed(&[
    ("attendees", List(&Closed(PARTICIPANT))),
    ("organizer", Closed(PARTICIPANT)),
]);
const CHAT_INFO: Shape = Closed(&[
    ("messageId", Text),
    ("replyChainMessageId", Text),
    ("threadId", Text),
]);
const LOBBY: Shape = Closed(&[
    ("isDialInBypassEnabled", Bool),
    (
        "scope",
        Choice(&[
            "organizer",
            "organization",
            "organizationAndFederated",
            "everyone",
            "invited",
            "organizationExcludingGuests",
        ]),
    ),
]);
const ADMITTERS: Shape = Choice(&[
    "organizerAndCoOrganizersAndPresenters",
    "organizerAndCoOrganizers",
]);
const PRESENTERS: Shape = Choice(&["everyone", "organization", "roleIsPresenter", "organizer"]);
const CHAT_MODE: Shape = Choice(&["enabled", "disabled", "limited"]);
const LIVE_SHARE: Shape = Choice(&["enabled", "disabled"]);
const WATERMARK: Shape = Closed(&[
    ("isEnabledForContentSharing", Bool),
    ("isEnabledForVideo", Bool),
]);

/// The parameters of createOrGet.
pub(super) const CREATE_OR_GET: Fields = &[
    ("externalId", Text),
    ("subject", Text),
    ("startDateTime", Time),
    ("endDateTime", Time),
    ("participants", PARTICIPANTS),
    ("chatInfo", CHAT_INFO),
];

/// The properties that PATCH can change.
pub(super) const PATCH: Fields = &[
    ("startDateTime", Time),
    ("endDateTime", Time),
    ("subject", Text),
    ("participants", PARTICIPANTS),
    ("lobbyBypassSettings", LOBBY),
    ("allowedPresenters", PRESENTERS),
    ("isEntryExitAnnounced", Bool),
    ("recordAutomatically", Bool),
    ("allowMeetingChat", CHAT_MODE),
    ("allowTeamworkReactions", Bool),
    ("allowAttendeeToEnableCamera", Bool),
    ("allowAttendeeToEnableMic", Bool),
    ("allowBreakoutRooms", Bool),
    ("allowCopyingAndSharingMeetingContent", Bool),
    ("allowedLobbyAdmitters", ADMITTERS),
    ("allowLiveShare", LIVE_SHARE),
    ("allowPowerPointSharing", Bool),
    ("allowRecording", Bool),
    ("allowTranscription", Bool),
    ("allowWhiteboard", Bool),
    ("anonymizeIdentityForRoles", List(&ROLE)),
    ("watermarkProtection", WATERMARK),
];

/// The properties of a meeting that no PATCH can change.
pub(super) const FIXED: &[&str] = &[
    "id",
    "meetingType",
    "isBroadcast",
    "joinWebUrl",
    "audioConferencing",
    "joinInformation",
    "joinMeetingIdSettings",
    "chatInfo",
    "videoTeleconferenceId",
    "externalId",
    "creationDateTime",
    "expiryDateTime",
    "meetingOptionsWebUrl",
    "autoAdmittedUsers",
];

/// The properties that a plain create takes beside those of [`PATCH`].
pub(super) const CREATE_ONLY: Fields = &[
    ("allowParticipantsToChangeName", Bool),
    ("chatInfo", CHAT_INFO),
    ("chatRestrictions", Closed(&[("allowTextOnly", Bool)])),
    ("isEndToEndEncryptionEnabled", Bool),
    (
        "joinMeetingIdSettings",
        Closed(&[
            ("isPasscodeRequired", Bool),
            ("joinMeetingId", Text),
            ("passcode", Text),
        ]),
    ),
    ("meetingSpokenLanguageTag", Text),
    (
        "sensitivityLabelAssignment",
        Closed(&[("sensitivityLabelId", Text)]),
    ),
    ("shareMeetingChatHistoryDefault", Choice(&["none", "all"])),
    ("isBroadcast", Bool),
    ("meetingTemplateId", Text),
];

/// The type of the property `name`, if these fields have it.
pub(super) fn field(fields: Fields, name: &str) -> Option<&'static Shape> {
    fields
        .iter()
        .find(|field| field.0 == name)
        .map(|field| &field.1)
}

/// Whether `object` has only these properties, of these types; else what is wrong, as a sentence.
pub(super) fn check(fields: Fields, object: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in object {
        match field(fields, name) {
            Some(shape) => one(name, shape, value)?,
            None => return Err(format!("The property '{name}' does not exist here.")),
        }
    }
    Ok(())
}

/// Whether `value` is of `shape`.
pub(super) fn one(name: &str, shape: &Shape, value: &Value) -> Result<(), String> {
    let fits = match (shape, value) {
        (_, Value::Null) | (Text, Value::String(_)) | (Bool, Value::Bool(_)) => true,
        (Time, Value::String(text)) => time(text).is_some(),
        (Date, Value::String(text)) => text.parse::<NaiveDate>().is_ok(),
        (Int, Value::Number(number)) => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        (Number, Value::Number(_)) => true,
        (Choice(members), Value::String(text)) => members.contains(&text.as_str()),
        (List(shape), Value::Array(items)) => {
            for item in items {
                if item.is_null() {
                    return Err(format!("'{name}' holds a null."));
                }
                one(name, shape, item)?;
            }
            true
        }
        (Closed(fields), Value::Object(object)) => return check(fields, object),
        (Open(fields), Value::Object(object)) => {
            for (name, value) in object {
                if let Some(shape) = field(fields, name) {
                    one(name, shape, value)?;
                }
            }
            true
        }
        _ => false,
    };
    match fits {
        true => Ok(()),
        false => Err(format!(
            "Cannot convert the value of '{name}' to the expected type."
        )),
    }
}

/// An Edm.DateTimeOffset: RFC 3339 with an offset and at most seven fraction digits.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    if text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let digits = text.split_once('.').map_or(0, |(_, rest)| {
        rest.bytes().take_while(u8::is_ascii_digit).count()
    });
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    (digits <= 7).then(|| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_an_offset_and_at_most_seven_digits() {
        let cases = [
            ("2026-11-10T09:00:00Z", true),
            ("2026-11-10T09:00:00.1234567-07:00", true),
            ("2026-11-10T09:00:00.12345678Z", false),
            ("2026-11-10T09:00:00", false),
            ("2026-11-10 09:00:00Z", false),
            ("2026-13-10T09:00:00Z", false),
            ("soon", false),
        ];
        for (text, good) in cases {
            assert_eq!(time(text).is_some(), good, "{text}");
        }
    }
}
