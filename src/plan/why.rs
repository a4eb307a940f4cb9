//! The named reasons of decisions.

use std::fmt;

use crate::ical::event::Provider;

/// Why nothing is done about an event. Each has a name for logs, `status` and JSON, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The link is there and the meeting is up to date.
    InStep,
    /// It could not be understood.
    NotUnderstood {
        /// Where, as a physical line of its resource, from 1.
        line: Option<usize>,
        /// What; without any place.
        what: String,
    },
    /// STATUS:CANCELLED or METHOD:CANCEL.
    Cancelled,
    /// Every occurrence has ended.
    Past,
    /// The next occurrence is further ahead than the horizon.
    BeyondHorizon,
    /// Another address organizes it.
    NotOrganizer,
    /// Somebody organizes it, and nobody knows the account's addresses.
    AddressesUnknown,
    /// Others are invited, and events with attendees are not written.
    AttendeesSkipped,
    /// It is an all-day event.
    AllDay,
    /// It leaves its time free.
    Transparent,
    /// It is private or confidential.
    Private,
    /// A `no-teams` tag, or the mark says so.
    OptedOut,
    /// Nobody is invited, or it is not tagged.
    NotSelected,
    /// It has somebody else's conference.
    ForeignLink(Provider),
    /// Its UID was not there long enough to count as one that stays.
    UidUnproven,
    /// Its source was seen to give events other UIDs.
    UidMinted,
    /// It changed a moment ago.
    Settling,
    /// Our link was seen in it and is gone: a person took it out.
    LinkRemoved,
    /// The calendar does not keep what is written.
    DoesNotStick,
    /// The meeting has begun; its times are brought up to date when it has ended.
    InProgress,
    /// A mark that this version does not know.
    UnknownMark,
    /// The calendar's links of the day are used up.
    DayBudget,
    /// The organizer's meetings of the month are used up.
    MonthBudget,
    /// The calendar is frozen, or its large first pass waits for consent.
    Frozen,
}

impl Why {
    /// The stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InStep => "in-step",
            Self::NotUnderstood { .. } => "not-understood",
            Self::Cancelled => "cancelled",
            Self::Past => "past",
            Self::BeyondHorizon => "beyond-horizon",
            Self::NotOrganizer | Self::AddressesUnknown => "not-organizer",
            Self::AttendeesSkipped => "attendees-skipped",
            Self::AllDay => "all-day",
            Self::Transparent => "transparent",
            Self::Private => "private",
            Self::OptedOut => "opted-out",
            Self::NotSelected => "not-selected",
            Self::ForeignLink(_) => "foreign-link",
            Self::UidUnproven => "uid-unproven",
            Self::UidMinted => "uid-minted",
            Self::Settling => "settling",
            Self::LinkRemoved => "link-removed",
            Self::DoesNotStick => "does-not-stick",
            Self::InProgress => "in-progress",
            Self::UnknownMark => "unknown-mark",
            Self::DayBudget => "day-budget",
            Self::MonthBudget => "month-budget",
            Self::Frozen => "frozen",
        }
    }

    /// The physical line of the resource that it is about, from 1, where it is about one.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::NotUnderstood { line, .. } => *line,
            _ => None,
        }
    }

    /// Whether the event carries a link of ours all the same.
    pub fn is_linked(&self) -> bool {
        matches!(self, Self::InStep | Self::InProgress)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InStep => f.write_str("its link and its meeting are up to date"),
            Self::NotUnderstood { what, .. } => write!(f, "{}", crate::model::Escaped(what)),
            Self::Cancelled => f.write_str("it is cancelled"),
            Self::Past => f.write_str("it is over"),
            Self::BeyondHorizon => f.write_str("it starts after the horizon"),
            Self::NotOrganizer => f.write_str("somebody else organizes it"),
            Self::AddressesUnknown => f.write_str(
                "somebody organizes it, and whether that is the account is not known: set `addresses`",
            ),
            Self::AttendeesSkipped => {
                f.write_str("others are invited, and `events-with-attendees` is \"skip\"")
            }
            Self::AllDay => f.write_str("it lasts all day"),
            Self::Transparent => f.write_str("it leaves its time free"),
            Self::Private => f.write_str("it is private or confidential"),
            Self::OptedOut => f.write_str("it is opted out"),
            Self::NotSelected => f.write_str("the calendar's `select` does not select it"),
            Self::ForeignLink(provider) => write!(f, "it has a {provider:?} conference of its own"),
            Self::UidUnproven => f.write_str(
                "its UID was not yet seen in two fetches of the feed, an interval apart",
            ),
            Self::UidMinted => f.write_str(
                "the feed gives its events other UIDs, so that no link could stay with them: have its \
                 publisher give each event a UID that stays the same",
            ),
            Self::Settling => f.write_str("it changed a moment ago"),
            Self::LinkRemoved => f.write_str("a person took its link out"),
            Self::DoesNotStick => f.write_str("the calendar does not keep the link"),
            Self::InProgress => f.write_str("its meeting is in progress"),
            Self::UnknownMark => f.write_str("its mark is of another version of meetbridge"),
            Self::DayBudget => f.write_str("the calendar's new links of today are used up"),
            Self::MonthBudget => f.write_str("the organizer's meetings of this month are used up"),
            Self::Frozen => f.write_str("the calendar waits for `meetbridge resume`"),
        }
    }
}
