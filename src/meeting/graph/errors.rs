//! What a refusal by Graph means (graph-api.md, section 11). Pure.
//!
//! Texts name what a person can act upon. They hold none of Graph's own words but an error code of
//! plain letters, since a message may repeat a title or a URL.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::pace::Busy;
use super::wire::get;
use crate::model::OrganizerId;

/// How deep nested `innerError`s are looked into.
const DEEPEST: usize = 8;

/// How long nothing is asked for an organizer whose fault may be mended, and not have its effect yet
/// (an access policy takes up to 30 minutes); how long for one whom a person has to see to.
pub(super) const SHORT_PAUSE: Duration = Duration::from_secs(15 * 60);
pub(super) const LONG_PAUSE: Duration = Duration::from_secs(60 * 60);

/// How long nothing is asked after an answer that some quota is used up (507, 509), unless it says.
const QUOTA_PAUSE: Duration = Duration::from_secs(5 * 60);

/// What a call is aimed at, which decides what 404 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// The organizer, by createOrGet.
    Organizer,
    /// A meeting, by its id or join URL.
    Meeting,
    /// What is set of a meeting, by its id: to forbid that is not to forbid the meeting.
    Settings,
    /// The organizer's mailbox in Outlook.
    Mailbox,
    /// One of its calendars, by its id.
    Calendar,
    /// One of its events, by its id.
    Event,
}

impl Aim {
    /// Whether it is something of Outlook's.
    pub(super) fn is_outlook(self) -> bool {
        matches!(self, Self::Mailbox | Self::Calendar | Self::Event)
    }
}

/// What to do about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The token was not accepted.
    Unauthorized,
    /// The meeting is not there.
    Gone,
    /// This request cannot succeed unchanged.
    Request(String),
    /// No request for this organizer can succeed until a person acts.
    Organizer {
        /// Why, and what to do.
        text: String,
        /// How long that is believed.
        pause: Duration,
    },
    /// As `Organizer`: there is no such user.
    NoOrganizer(String),
    /// No request can succeed until a person acts.
    Credential(String),
    /// Try again.
    Busy {
        /// Why, and when.
        busy: Busy,
        /// Whether the request may have had its effect.
        uncertain: bool,
    },
    /// Try again a few times; then it is the request that the server cannot bear (500).
    Server(String),
}

/// Who makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller<'a> {
    /// The application with this client id.
    App(&'a str),
    /// The organizer in person: application access policies do not apply.
    Person,
}

/// Says what the error status of an answer means for the meetings of `organizer`.
pub(super) fn classify(
    status: StatusCode,
    body: &[u8],
    after: Option<Duration>,
    aim: Aim,
    organizer: &OrganizerId,
    caller: Caller<'_>,
) -> Fault {
    let report = Report::read(body);
    let shown = report.shown(status);
    let busy = |text: String, after, throttled, uncertain| Fault::Busy {
        busy: Busy {
            text,
            after,
            throttled,
        },
        uncertain,
    };
    let organizers = |pause, text| Fault::Organizer { text, pause };
    let trouble = format!("Graph is in trouble ({shown}); it is tried again later");
    match status.as_u16() {
        401 => Fault::Unauthorized,
        402 | 403 if aim == Aim::Settings && !report.lacks_policy => Fault::Request(shown),
        402 | 403 if aim.is_outlook() => {
            organizers(LONG_PAUSE, outlook_forbids(organizer, &shown, caller))
        }
        402 => organizers(
            LONG_PAUSE,
            format!(
                "organizer {organizer}: Graph asks for a licence that is not paid for ({shown}); \
                 give the organizer a Teams licence"
            ),
        ),
        403 => match caller {
            Caller::Person => organizers(
                LONG_PAUSE,
                format!(
                    "organizer {organizer}: Graph forbids meetings ({shown}); see that the app \
                     registration has the delegated permission OnlineMeetings.ReadWrite, sign in \
                     again by `meetbridge login`, and see that the organizer has a Teams licence and \
                     is no guest"
                ),
            ),
            Caller::App(client_id) if report.lacks_policy => organizers(
                SHORT_PAUSE,
                format!(
                    "organizer {organizer}: Teams has no application access policy for this app \
                     ({shown}); a Teams administrator runs in PowerShell: Connect-MicrosoftTeams; \
                     New-CsApplicationAccessPolicy -Identity \"Meeting-Bridge\" -AppIds \
                     \"{client_id}\" -Description \"meetbridge\"; Grant-CsApplicationAccessPolicy \
                     -PolicyName \"Meeting-Bridge\" -Identity \"{organizer}\" (or -Global instead of \
                     -Identity, for every organizer); it takes up to 30 minutes to have an effect"
                ),
            ),
            Caller::App(_) => organizers(
                LONG_PAUSE,
                format!(
                    "organizer {organizer}: Graph forbids meetings ({shown}); grant the app the \
                     application permission OnlineMeetings.ReadWrite.All with admin consent, and see \
                     that the organizer has a Teams licence and is no guest"
                ),
            ),
        },
        404 if aim == Aim::Organizer => Fault::NoOrganizer(format!(
            "organizer {organizer}: Graph finds no such user ({shown}); `organizer` is the object \
             id of a user in this tenant, which `az ad user show --id NAME@DOMAIN --query id` prints"
        )),
        404 if aim == Aim::Mailbox => Fault::NoOrganizer(format!(
            "organizer {organizer}: Graph finds no such user, or no mailbox of theirs in Exchange \
             Online ({shown}); `organizer` is the object id of a user in this tenant, which \
             `az ad user show --id NAME@DOMAIN --query id` prints"
        )),
        404 | 410 if !matches!(aim, Aim::Organizer | Aim::Mailbox) => Fault::Gone,
        300..=399 => Fault::Credential(format!(
            "Graph answers with a redirect ({shown}), which is not followed; check `graph-url`"
        )),
        429 => busy(format!("Graph is throttling ({shown})"), after, true, false),
        507 | 509 => busy(trouble, after.or(Some(QUOTA_PAUSE)), true, true),
        500 if after.is_none() => Fault::Server(format!("the server fails on it ({shown})")),
        code @ (408 | 409 | 412 | 423 | 424 | 500 | 502..=599) => {
            let uncertain = matches!(code, 408 | 500 | 502 | 504..=599);
            busy(trouble, after, false, uncertain)
        }
        400..=499 | 501 => Fault::Request(shown),
        _ => busy(
            format!("Graph gave an answer without meaning ({shown})"),
            after,
            false,
            true,
        ),
    }
}

/// What stands in the way of events in the organizer's Outlook calendar, and what to do.
fn outlook_forbids(organizer: &OrganizerId, shown: &str, caller: Caller<'_>) -> String {
    let cure = match caller {
        Caller::Person => {
            "see that the app registration has the delegated permission Calendars.ReadWrite, and sign \
             in again by `meetbridge login`"
        }
        Caller::App(_) => {
            "grant the app the application permission Calendars.ReadWrite with admin consent, and see \
             that no policy or role scope of Exchange keeps it out of this mailbox"
        }
    };
    format!("organizer {organizer}: Graph forbids events in the Outlook calendar ({shown}); {cure}")
}

/// What is used of an error's envelope.
pub(super) struct Report {
    code: Option<String>,
    /// Whether it says that Teams has no application access policy for the app.
    pub(super) lacks_policy: bool,
}

impl Report {
    /// Reads `{"error": {"code", "message", "innerError": {…}}}`; anything else is an empty report.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut report = Self {
            code: None,
            lacks_policy: false,
        };
        let answer = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let mut level = answer.as_object().and_then(|answer| get(answer, "error"));
        for _ in 0..DEEPEST {
            let Some(error) = level.and_then(Value::as_object) else {
                break;
            };
            let text = |key| get(error, key).and_then(Value::as_str).unwrap_or_default();
            let code = text("code");
            if report.code.is_none() && is_plain(code) {
                report.code = Some(code.to_owned());
            }
            let message = text("message").to_ascii_lowercase();
            // The second form is the older one (graph-api.md, section 3).
            report.lacks_policy |= message.contains("application access policy")
                || (message.contains("is not authorized to") && message.contains("on behalf of"));
            level = get(error, "innerError");
        }
        report
    }

    /// Whether this is its code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code
            .as_ref()
            .is_some_and(|own| own.eq_ignore_ascii_case(code))
    }

    /// Status and code, in words.
    pub(super) fn shown(&self, status: StatusCode) -> String {
        match &self.code {
            Some(code) => format!("HTTP {}, {code}", status.as_u16()),
            None => format!("HTTP {}", status.as_u16()),
        }
    }
}

/// Whether a foreign code may be shown: letters, digits and `_`, at most 64.
pub(super) fn is_plain(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
