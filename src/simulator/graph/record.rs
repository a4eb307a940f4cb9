//! One meeting of the simulated service: what is invented for it, and how it is shown. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::{BASE64, BASE64_NOPAD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::wording::{DialIn, Invitation, Language, join_information};
use crate::simulator::manners::{Expiry, Spelling};
use crate::simulator::reply::instant;
use crate::simulator::settings::{Organizer, UrlShape};

/// How long after its end, or its last update, a meeting lives (graph-api.md, section 8).
const LIFE: TimeDelta = TimeDelta::days(60);

/// A meeting. Its invented parts follow from the seed and the key alone.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: String,
    /// Directory id.
    pub(crate) tenant: String,
    /// Object id.
    pub(crate) organizer: String,
    /// `None` for a plain create.
    pub(crate) external_id: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
    pub(crate) expires: DateTime<Utc>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) attendees: Vec<Value>,
    /// What was set by create or PATCH, over the defaults.
    pub(crate) options: Map<String, Value>,
    pub(crate) long_url: String,
    pub(crate) short_url: String,
    pub(crate) join_meeting_id: String,
    pub(crate) passcode: Option<String>,
    /// The number of the last request that had come in when this meeting was made.
    pub(crate) born: u64,
    pub(crate) deleted: bool,
    /// Whether somebody is in it.
    pub(crate) in_progress: bool,
    thread: String,
    conference_id: String,
    dial_in_config: Uuid,
    video_id: String,
    fraction: bool,
    shape: UrlShape,
}

/// What a new meeting is made from.
pub(super) struct New<'a> {
    pub(super) seed: u64,
    pub(super) organizer: &'a Organizer,
    pub(super) external_id: Option<&'a str>,
    /// The immutable id of the Outlook event that it is behind.
    pub(super) event: Option<&'a str>,
    /// How many meetings were made for this key (or, without one, at all) before.
    pub(super) earlier: u64,
    /// The number of the last request that has come in.
    pub(super) born: u64,
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
    pub(super) shape: UrlShape,
    /// Of the join URL.
    pub(super) host: &'a str,
}

impl Record {
    pub(super) fn new(new: New<'_>) -> Self {
        let organizer = new.organizer;
        let invent = |what: &str| {
            let mut digest = Sha256::new();
            digest.update(new.seed.to_be_bytes());
            digest.update(new.earlier.to_be_bytes());
            let kind = match (new.external_id, new.event) {
                (None, None) => 0,
                (Some(_), _) => 1,
                (None, Some(_)) => 2,
            };
            digest.update([kind]);
            for part in [
                what,
                &organizer.tenant,
                &organizer.id,
                new.external_id.or(new.event).unwrap_or(""),
            ] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
            <[u8; 32]>::from(digest.finalize())
        };
        let guid = |what: &str| {
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = invent(what);
            uuid::Builder::from_random_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
                .into_uuid()
        };
        let name = BASE64_NOPAD.encode(guid("thread").to_string().as_bytes());
        let thread = format!("19:meeting_{name}@thread.v2");
        let (oid, tid) = (&organizer.id, &organizer.tenant);
        let host = new.host;
        let join_meeting_id = digits(&invent("meeting id"), 13);
        Self {
            id: BASE64.encode(format!("1*{oid}*0**{thread}").as_bytes()),
            long_url: format!(
                "https://{host}/l/meetup-join/19%3ameeting_{name}%40thread.v2/0\
                 ?context=%7b%22Tid%22%3a%22{tid}%22%2c%22Oid%22%3a%22{oid}%22%7d"
            ),
            short_url: format!(
                "https://{host}/meet/{join_meeting_id}?p={}",
                letters(&invent("hashed passcode"), 18)
            ),
            passcode: Some(letters(&invent("passcode"), 8)),
            conference_id: digits(&invent("conference"), 9),
            dial_in_config: guid("dial-in"),
            video_id: digits(&invent("video"), 10),
            fraction: invent("fraction")[0].is_multiple_of(2),
            join_meeting_id,
            thread,
            tenant: tid.clone(),
            organizer: oid.clone(),
            born: new.born,
            deleted: false,
            in_progress: false,
            external_id: new.external_id.map(str::to_owned),
            subject: None,
            start: new.start,
            end: new.end,
            expires: expiry(new.end, new.now),
            created: new.now,
            attendees: Vec::new(),
            options: Map::new(),
            shape: new.shape,
        }
    }

    /// The URL by which this meeting shows itself, except in answers of the filter.
    pub(crate) fn join_web_url(&self) -> &str {
        match self.shape {
            UrlShape::Long => &self.long_url,
            UrlShape::Short => &self.short_url,
        }
    }

    /// Sets the time.
    pub(super) fn reschedule(&mut self, start: DateTime<Utc>, end: DateTime<Utc>) {
        (self.start, self.end) = (start, end);
    }

    /// An update puts the expiry off.
    pub(super) fn updated(&mut self, now: DateTime<Utc>) {
        self.expires = self.expires.max(expiry(self.end, now));
    }

    /// Whether it is still found: neither deleted nor, where all of it ends then, expired.
    pub(crate) fn is_alive(&self, now: DateTime<Utc>, expiry: Expiry) -> bool {
        !self.deleted && (expiry == Expiry::DialIn || now < self.expires)
    }

    /// A deleted or expired meeting is as good as before.
    pub(super) fn revive(&mut self, now: DateTime<Utc>) {
        self.deleted = false;
        self.updated(now);
    }

    /// Somebody opens the join URL, which brings a deleted meeting back; whether that works: not once
    /// the URL has expired.
    pub(crate) fn join(&mut self, now: DateTime<Utc>, expiry: Expiry) -> bool {
        if expiry == Expiry::Everything && self.expires <= now {
            return false;
        }
        self.revive(now);
        self.in_progress = true;
        true
    }

    /// Everybody has left.
    pub(crate) fn leave(&mut self) {
        self.in_progress = false;
    }

    /// Sets one option; objects are merged, so that a part can be set alone.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        let mut all = defaults();
        let before = self.options.remove(name).or_else(|| all.remove(name));
        let value = match (before, value) {
            (Some(Value::Object(mut before)), Value::Object(given)) => {
                before.extend(given.into_iter().filter(|(_, value)| !value.is_null()));
                Value::Object(before)
            }
            (_, value) => value,
        };
        self.options.insert(name.to_owned(), value);
    }

    /// The whole onlineMeeting, without `@odata.context`.
    pub(super) fn show(&self, view: &View<'_>) -> Map<String, Value> {
        let Organizer {
            id, tenant, upn, ..
        } = view.organizer;
        let organizer = json!({
            "upn": upn,
            "role": "presenter",
            "identity": {"user": {"id": id, "displayName": null, "tenantId": tenant,
                                  "identityProvider": "AAD"}},
        });
        let url = match view.long_url {
            true => &self.long_url,
            false => self.join_web_url(),
        };
        let options_url = format!(
            "https://teams.microsoft.com/meetingOptions/?organizerId={id}&tenantId={tenant}\
             &threadId={}&messageId=0&language={}",
            self.thread.replace(':', "_"),
            view.language.tag()
        );
        let invitation = Invitation {
            url,
            options_url: &options_url,
            meeting_id: &self.join_meeting_id,
            passcode: self.passcode.as_deref(),
            dial_in: self.dial_in_facts(view.organizer, view.now),
            video: self.video(view),
        };
        let body = json!({
            "id": self.id,
            "creationDateTime": instant(self.created, true),
            "startDateTime": instant(self.start, self.fraction),
            "endDateTime": instant(self.end, self.fraction),
            "expiryDateTime": instant(self.expires, true),
            "joinWebUrl": url,
            "subject": self.subject,
            "externalId": self.external_id,
            "isBroadcast": false,
            "autoAdmittedUsers": "EveryoneInCompany",
            "meetingOptionsWebUrl": options_url,
            "videoTeleconferenceId": self.video(view),
            "participants": {"organizer": organizer, "attendees": self.attendees,
                             "producers": [], "contributors": []},
            "joinMeetingIdSettings": {
                "isPasscodeRequired": self.passcode.is_some(),
                "joinMeetingId": self.join_meeting_id,
                "passcode": self.passcode,
            },
            "audioConferencing": self.dial_in(view),
            "chatInfo": {"threadId": self.thread, "messageId": "0", "replyChainMessageId": null},
            "joinInformation": {
                "content": join_information(&invitation, view.language),
                "contentType": "Html",
            },
        });
        let mut shown = match body {
            Value::Object(body) => body,
            _ => Map::new(),
        };
        shown.extend(defaults());
        shown.extend(self.options.clone());
        if !view.unknown_enum_members {
            hide_unknown_members(&mut shown);
        }
        shown.retain(|name, _| !view.absent.contains(name));
        shown
    }

    /// `videoTeleconferenceId`, with Cloud Video Interop.
    fn video(&self, view: &View<'_>) -> Option<&str> {
        (view.organizer.video_interop && view.now < self.expires).then_some(self.video_id.as_str())
    }

    /// `audioConferencing`: `null` without a licence.
    fn dial_in(&self, view: &View<'_>) -> Value {
        let Some(dial_in) = self.dial_in_facts(view.organizer, view.now) else {
            return Value::Null;
        };
        let conference_id = match view.spelling {
            Spelling::Metadata => "conferenceId",
            Spelling::Documentation => "ConferenceId",
        };
        json!({
            conference_id: dial_in.conference_id,
            "tollNumber": dial_in.toll,
            "tollFreeNumber": dial_in.toll_free,
            "tollNumbers": [dial_in.toll, "+49 69 5550 0101"],
            "tollFreeNumbers": [dial_in.toll_free],
            "dialinUrl": dial_in.url,
        })
    }

    /// What the dial-in consists of, with a licence that has spread, until the meeting expires.
    pub(super) fn dial_in_facts(
        &self,
        organizer: &Organizer,
        now: DateTime<Utc>,
    ) -> Option<DialIn<'_>> {
        let licensed = organizer.dial_in && organizer.dial_in_from <= now;
        (licensed && now < self.expires).then(|| DialIn {
            conference_id: &self.conference_id,
            toll: "+1 555-555-0100",
            toll_free: "+1 800-555-0199",
            url: format!(
                "https://dialin.teams.microsoft.com/{}?id={}",
                self.dial_in_config, self.conference_id
            ),
        })
    }
}

/// How an answer shows a meeting.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// The meeting's organizer as they are now.
    pub(super) organizer: &'a Organizer,
    pub(super) now: DateTime<Utc>,
    /// Of the join information.
    pub(super) language: Language,
    /// Whether the client asked for enum members added later.
    pub(super) unknown_enum_members: bool,
    /// Show the long join URL whatever the meeting's shape.
    pub(super) long_url: bool,
    pub(super) spelling: Spelling,
    /// Properties to leave out.
    pub(super) absent: &'a [String],
}

fn expiry(end: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let last = end.max(now);
    last.checked_add_signed(LIFE).unwrap_or(last)
}

/// What a meeting has when nobody chose otherwise.
fn defaults() -> Map<String, Value> {
    let body = json!({
        "isEntryExitAnnounced": true,
        "allowedPresenters": "everyone",
        "allowMeetingChat": "enabled",
        "allowTeamworkReactions": true,
        "allowAttendeeToEnableMic": true,
        "allowAttendeeToEnableCamera": true,
        "recordAutomatically": false,
        "lobbyBypassSettings": {"scope": "organization", "isDialInBypassEnabled": false},
    });
    match body {
        Value::Object(body) => body,
        _ => Map::new(),
    }
}

/// Without `Prefer: include-unknown-enum-members` these members read `unknownFutureValue`.
fn hide_unknown_members(meeting: &mut Map<String, Value>) {
    const LATER: [&str; 4] = [
        "invited",
        "organizationExcludingGuests",
        "producer",
        "coorganizer",
    ];
    let hide = |value: Option<&mut Value>| {
        if let Some(value) = value
            && value.as_str().is_some_and(|text| LATER.contains(&text))
        {
            *value = "unknownFutureValue".into();
        }
    };
    hide(
        meeting
            .get_mut("lobbyBypassSettings")
            .and_then(|lobby| lobby.get_mut("scope")),
    );
    let participants = meeting.get_mut("participants");
    let attendees = participants.and_then(|all| all.get_mut("attendees"));
    for attendee in attendees
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        hide(attendee.get_mut("role"));
    }
}

/// `count` decimal digits, the first not 0; at most 32.
fn digits(random: &[u8; 32], count: usize) -> String {
    let digit = |(nth, byte): (usize, &u8)| match nth {
        0 => char::from(b'1' + byte % 9),
        _ => char::from(b'0' + byte % 10),
    };
    random.iter().take(count).enumerate().map(digit).collect()
}

/// `count` letters and digits; at most 32.
fn letters(random: &[u8; 32], count: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    random.iter().take(count).map(letter).collect()
}
