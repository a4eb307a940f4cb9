//! The words that every module shares. Pure.
//!
//! No bare `String` crosses a module where one of these would say what it is.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A configured calendar's name: unique in the configuration, shown in logs and `status`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalendarName(Arc<str>);

impl CalendarName {
    /// Wraps a name that the configuration has checked.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CalendarName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One stored iCalendar object within its calendar: a path below a directory, or a CalDAV href.
///
/// Unique within the calendar and stable as long as the object keeps its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(String);

impl ResourceId {
    /// Wraps the identifier that a calendar port gives to one of its objects.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.0))
    }
}

/// Which stored version of a resource was read: a port's own token, compared for equality only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// Wraps a port's token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event's UID (RFC 5545, 3.8.4.7), unescaped, never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(String);

/// The longest UID, in octets, that is shown as it is (DESIGN.md, promise 11).
const SHOWN_UID: usize = 80;

impl Uid {
    /// Takes a UID as read; `None` when it is empty or blank.
    pub fn new(uid: impl Into<String>) -> Option<Self> {
        let uid = uid.into();
        (!uid.trim().is_empty()).then_some(Self(uid))
    }

    /// The UID as text, as it stands in the calendar. Not for logs: see `Display`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `given` (a command's argument) names this UID, in full or in its `sha256:` form.
    pub fn is_named_by(&self, given: &str) -> bool {
        given == self.0 || given == self.hashed()
    }

    fn hashed(&self) -> String {
        format!("sha256:{}", hex(&sha256([self.0.as_bytes()])[..6]))
    }
}

/// Shows the UID where logs and commands may: `sha256:` and 12 hex digits when it is longer than
/// 80 octets or holds anything but printable ASCII.
impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= SHOWN_UID && self.0.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            f.write_str(&self.0)
        } else {
            f.write_str(&self.hashed())
        }
    }
}

/// The Entra object id of the user who owns a meeting, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrganizerId(String);

impl OrganizerId {
    /// Takes an object id; `None` when it is not a GUID (a UPN, for example).
    pub fn new(id: &str) -> Option<Self> {
        let guid = uuid::Uuid::try_parse(id).ok()?;
        (id.len() == 36).then(|| Self(guid.hyphenated().to_string()))
    }

    /// The GUID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrganizerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Graph's `externalId` of an event's meeting (DESIGN.md section 6, "Identity").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExternalId(String);

/// How often a dead meeting was given up and the key moved on; 0 for nearly every event, at most 3.
pub type Generation = u8;

impl ExternalId {
    /// The key of the event `uid` in `generation`.
    ///
    /// Generation 0: the UID itself when it is 1 to 255 characters of printable ASCII, else
    /// `urn:sha256:` and the hex SHA-256 of its UTF-8. Later ones: the same over UID, LF, generation.
    /// The rule is fixed for ever: another key would be another meeting.
    pub fn of(uid: &Uid, generation: Generation) -> Self {
        let uid = uid.as_str();
        let plain = uid.len() <= 255 && uid.bytes().all(|b| (0x20..0x7f).contains(&b));
        Self(match generation {
            0 if plain => uid.to_owned(),
            0 => format!("urn:sha256:{}", hex(&sha256([uid.as_bytes()]))),
            n => format!(
                "urn:sha256:{}",
                hex(&sha256([uid.as_bytes(), b"\n", n.to_string().as_bytes()]))
            ),
        })
    }

    /// Wraps a key that was stored.
    pub fn stored(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key as text, as it is sent to Graph.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Graph's `id` of what a meeting is there by: opaque text, and of which kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MeetingId {
    /// An onlineMeeting.
    OnlineMeeting(String),
    /// An event in the organizer's Outlook calendar: the immutable id.
    Event {
        /// The id.
        event: String,
    },
}

impl MeetingId {
    /// The id of an onlineMeeting.
    pub fn online_meeting(&self) -> Option<&str> {
        match self {
            Self::OnlineMeeting(id) => Some(id),
            Self::Event { .. } => None,
        }
    }

    /// The id of an Outlook event.
    pub fn event(&self) -> Option<&str> {
        match self {
            Self::OnlineMeeting(_) => None,
            Self::Event { event } => Some(event),
        }
    }
}

/// A meeting's `joinWebUrl`: opaque, kept byte for byte, and a secret, so it never shows in a log.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JoinUrl(String);

impl JoinUrl {
    /// Takes the URL as Graph gave it, or as it was found in an event.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL itself, for writing into an event or asking Graph. Never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JoinUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinUrl(REDACTED)")
    }
}

/// What identifies a meeting: (tenant, organizer, externalId).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeetingKey {
    /// The tenant as configured, in lower case.
    pub tenant: String,
    /// The user who owns the meeting.
    pub organizer: OrganizerId,
    /// The event's key.
    pub external_id: ExternalId,
}

impl MeetingKey {
    /// The 24 hex digits that stand for this key in the mark.
    pub fn digest(&self) -> String {
        let parts = [
            self.tenant.as_str(),
            "\n",
            self.organizer.as_str(),
            "\n",
            self.external_id.as_str(),
        ];
        hex(&sha256(parts.map(str::as_bytes))[..12])
    }
}

/// One occurrence's time: from `start` up to `end`; `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First instant.
    pub start: DateTime<Utc>,
    /// The instant after the last.
    pub end: DateTime<Utc>,
}

/// Text of foreign origin, shown without any control character (DESIGN.md, promise 11).
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in self.0.chars() {
            if c.is_control() || is_invisible(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// Bidirectional controls, line separators and zero-width characters: they make text lie.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// SHA-256 over the parts, one after the other.
pub fn sha256<const N: usize>(parts: [&[u8]; N]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_id_is_the_uid_when_graph_can_take_it() {
        let long = "x".repeat(256);
        let cases = [
            ("abc@example.org", 0, "abc@example.org".to_owned()),
            (&long[..255], 0, "x".repeat(255)),
            (
                &long,
                0,
                format!("urn:sha256:{}", hex(&sha256([long.as_bytes()]))),
            ),
            (
                "ümlaut",
                0,
                format!("urn:sha256:{}", hex(&sha256(["ümlaut".as_bytes()]))),
            ),
            (
                "a\tb",
                0,
                format!("urn:sha256:{}", hex(&sha256([b"a\tb".as_slice()]))),
            ),
            (
                "abc",
                2,
                format!("urn:sha256:{}", hex(&sha256([b"abc\n2".as_slice()]))),
            ),
        ];
        for (uid, generation, expected) in cases {
            let uid = Uid::new(uid).unwrap();
            assert_eq!(ExternalId::of(&uid, generation).as_str(), expected);
        }
    }

    #[test]
    fn a_uid_shows_itself_only_when_it_is_short_and_plain() {
        assert_eq!(Uid::new("a@b").unwrap().to_string(), "a@b");
        for hostile in ["x".repeat(81), "a\u{1b}[31m".into(), "ü".into()] {
            let uid = Uid::new(hostile.clone()).unwrap();
            let shown = uid.to_string();
            assert!(
                shown.starts_with("sha256:") && shown.len() == 7 + 12,
                "{shown}"
            );
            assert!(uid.is_named_by(&shown) && uid.is_named_by(&hostile));
        }
        assert_eq!(Uid::new("  "), None);
    }

    #[test]
    fn an_organizer_is_a_guid() {
        let id = OrganizerId::new("AAAAAAAA-bbbb-cccc-dddd-eeeeeeeeeeee").unwrap();
        assert_eq!(id.as_str(), "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");
        for no in ["alice@example.org", "", "aaaaaaaabbbbccccddddeeeeeeeeeeee"] {
            assert_eq!(OrganizerId::new(no), None, "{no}");
        }
    }

    #[test]
    fn escaped_text_holds_no_control_characters() {
        assert_eq!(
            Escaped("a\u{1b}[1m\nb\u{202e}").to_string(),
            "a\\u{1b}[1m\\u{a}b\\u{202e}"
        );
    }

    #[test]
    fn a_join_url_never_shows() {
        assert_eq!(
            format!("{:?}", JoinUrl::new("https://x/?p=secret")),
            "JoinUrl(REDACTED)"
        );
    }
}
