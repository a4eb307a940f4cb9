//! An event as it was understood: all VEVENTs of one UID in a resource.

use chrono::{DateTime, Utc};

use super::mark::Mark;
use crate::model::{Span, Uid};

/// An event: the unit of deciding. What could not be understood is said in `fault`, never guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its UID.
    pub uid: Uid,
    /// SUMMARY of the master (else of the first override), unescaped.
    pub summary: Option<String>,
    /// The whole event is cancelled: its master is, or, without one, all its components.
    pub cancelled: bool,
    /// CLASS; PUBLIC where absent.
    pub class: Class,
    /// TRANSP:TRANSPARENT.
    pub transparent: bool,
    /// DTSTART is a DATE.
    pub all_day: bool,
    /// CATEGORIES, unescaped, of all components.
    pub categories: Vec<String>,
    /// LOCATION of the master, unescaped.
    pub location: Option<String>,
    /// ORGANIZER's address, `mailto:` taken off, in lower case.
    pub organizer: Option<String>,
    /// ATTENDEE addresses, the same way, in order, of all components, each once.
    pub attendees: Vec<String>,
    /// It repeats (RRULE or RDATE).
    pub recurring: bool,
    /// The occurrence that decides the meeting's time.
    pub next: Next,
    /// The latest LAST-MODIFIED of its components.
    pub last_modified: Option<DateTime<Utc>>,
    /// The latest DTSTAMP.
    pub stamped: Option<DateTime<Utc>>,
    /// The highest SEQUENCE.
    pub sequence: u32,
    /// 16 hex digits over what decides its times: DTSTART, DTEND, DURATION, RRULE, RDATE, EXDATE,
    /// EXRULE, RECURRENCE-ID lines and STATUS, of all components, unfolded.
    pub schedule: String,
    /// 16 hex digits over all bytes of all its components.
    pub content: String,
    /// Its VEVENTs in file order.
    pub components: Vec<Component>,
    /// Where in the document it is, a physical line from 1: the one `fault` is about if it is about one
    /// property or component, else the BEGIN of its first component.
    pub line: usize,
    /// Why no decision may rest on this reading, in words for `plan` and the log: the event is
    /// skipped with this reason (unknown zone, unreadable date, vCalendar 1.0, two masters...).
    pub fault: Option<String>,
}

/// One VEVENT of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its index among the document's components ([`super::document::Document::components`]).
    pub index: usize,
    /// It has a RECURRENCE-ID.
    pub is_override: bool,
    /// STATUS:CANCELLED on this component, or METHOD:CANCEL on its calendar, which cancels what stands in
    /// it and nothing else (RFC 5546, 3.2.5). An override like this is not written.
    pub cancelled: bool,
    /// The mark on it.
    pub mark: Option<Mark>,
    /// Every conference link found in it, in file order; ours included. Those with a host that no
    /// provider is known by come last.
    pub links: Vec<FoundLink>,
    /// The web addresses that are the whole of a LOCATION or URL and by whose host no provider is known: that
    /// of a join URL may be any. A few; those among `links` are left out.
    pub unlisted: Vec<String>,
    /// LOCATION is absent, or empty and not encoded.
    pub location_empty: bool,
    /// URL is absent.
    pub url_absent: bool,
    /// The HTML twins of its DESCRIPTION, in file order.
    pub twins: Vec<HtmlTwin>,
}

/// A description that stands in a component as HTML, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HtmlTwin {
    /// [`Place::AltRep`], [`Place::AltDesc`] or [`Place::Styled`].
    pub place: Place,
    /// The physical line of its property, from 1.
    pub line: usize,
    /// Why no link goes into it; `None`: one does.
    pub left: Option<&'static str>,
}

impl HtmlTwin {
    /// That it is left as it is, and why; `None`: a link goes into it.
    pub fn note(&self) -> Option<String> {
        let why = self.left?;
        Some(format!("{} is left as it is: {why}", self.place.name()))
    }
}

/// A conference link found in a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLink {
    /// Where it stood.
    pub place: Place,
    /// Whose it is.
    pub provider: Provider,
    /// The URL, unescaped and unfolded, exactly.
    pub url: String,
}

/// The properties that hold conference links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// DESCRIPTION.
    Description,
    /// LOCATION.
    Location,
    /// URL.
    Url,
    /// CONFERENCE (RFC 7986).
    Conference,
    /// X-MICROSOFT-SKYPETEAMSMEETINGURL.
    SkypeTeams,
    /// The ALTREP of DESCRIPTION, a `data:` URL with HTML.
    AltRep,
    /// X-ALT-DESC, with HTML.
    AltDesc,
    /// STYLED-DESCRIPTION (RFC 9073), with HTML.
    Styled,
    /// Any other property that holds one (X-GOOGLE-CONFERENCE, X-ZOOM-...).
    Other,
}

impl Place {
    /// The places that a link is written into, in the order of their names here.
    pub const WRITTEN: [Self; 8] = [
        Self::Description,
        Self::Location,
        Self::Url,
        Self::Conference,
        Self::SkypeTeams,
        Self::AltRep,
        Self::AltDesc,
        Self::Styled,
    ];

    /// The property's name; `other` for those that have several.
    pub fn name(self) -> &'static str {
        match self {
            Self::Description => "DESCRIPTION",
            Self::Location => "LOCATION",
            Self::Url => "URL",
            Self::Conference => "CONFERENCE",
            Self::SkypeTeams => "X-MICROSOFT-SKYPETEAMSMEETINGURL",
            Self::AltRep => "ALTREP",
            Self::AltDesc => "X-ALT-DESC",
            Self::Styled => "STYLED-DESCRIPTION",
            Self::Other => "other",
        }
    }

    /// The place that a link is written into with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::WRITTEN.into_iter().find(|place| place.name() == name)
    }
}

/// Who runs the conference behind a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// Microsoft Teams, ours or not.
    Teams,
    /// Zoom.
    Zoom,
    /// Google Meet.
    Meet,
    /// Cisco Webex.
    Webex,
    /// Jitsi.
    Jitsi,
    /// BigBlueButton.
    BigBlueButton,
    /// Whereby.
    Whereby,
    /// Nextcloud Talk.
    Talk,
    /// Amazon Chime.
    Chime,
    /// GoTo Meeting and Webinar.
    GoTo,
}

/// CLASS (RFC 5545, 3.8.1.3); an unknown value counts as private, as the RFC asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// PUBLIC, or absent.
    Public,
    /// PRIVATE, or unknown.
    Private,
    /// CONFIDENTIAL.
    Confidential,
}

/// The occurrence that decides whether and when an event has a meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The first occurrence that ends after the given time; one over 24 h is cut to start + 24 h.
    At(Span),
    /// All occurrences have ended, or there is none.
    Past,
    /// The times are not understood; `Event::fault` says why.
    Unknown,
}
