//! The rules by which an event gets a link (DESIGN.md section 6, "Which events get a link").

use std::collections::BTreeSet;
use std::time::Duration;

/// Which events of those that may have a link get one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// Those to which somebody but the organizer is invited.
    #[default]
    Attendees,
    /// All.
    All,
    /// Only those that are tagged.
    Tagged,
}

/// The rules of one calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which events are selected.
    pub select: Select,
    /// How far ahead the next occurrence may start.
    pub horizon: Duration,
    /// How long an event must have been unchanged before it is linked.
    pub settle: Duration,
    /// The account's addresses, in lower case without `mailto:`; empty skips the organizer rule.
    pub addresses: BTreeSet<String>,
    /// All-day events too.
    pub all_day: bool,
    /// Events that leave their time free (TRANSP:TRANSPARENT) too.
    pub transparent: bool,
    /// Events of CLASS:PRIVATE and CONFIDENTIAL too.
    pub private: bool,
}
