//! What a decision rests on.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::select::{Rules, Standing};
use super::style::Style;
use crate::ical::event::{Event, Place};
use crate::ical::write::Location;
use crate::model::{ExternalId, Generation, JoinUrl, MeetingKey, OrganizerId};
use crate::state::{Link, MeetingRecord};

/// What a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The time.
    pub now: DateTime<Utc>,
    /// The event as read.
    pub event: &'a Event,
    /// The calendar's rules.
    pub rules: &'a Rules,
    /// What its meetings are like.
    pub style: &'a Style,
    /// What it writes into LOCATION.
    pub location: Location,
    /// The places of a link that it drops.
    pub drops: &'a BTreeSet<Place>,
    /// The tenant, in lower case.
    pub tenant: &'a str,
    /// The organizer of new links.
    pub organizer: &'a OrganizerId,
    /// What is remembered of the event's link in this resource.
    pub link: Option<&'a Link>,
    /// What is remembered of its meeting.
    pub meeting: Option<&'a MeetingRecord>,
    /// A join URL in the event that is known to be another event's meeting.
    pub foreign_meeting: Option<&'a JoinUrl>,
    /// A link in the event to a meeting that its own one has replaced.
    pub former: Option<&'a JoinUrl>,
    /// Its meeting is to give way to another one: that is asked for, or has begun.
    pub moves: bool,
    /// A rewrite is asked for, and the link is not, or not known to be, as it would be written now.
    pub outdated: bool,
    /// There is something of the link in the event that can be taken out, should it be.
    pub traces: bool,
    /// Since when the event is unchanged.
    pub unchanged_since: DateTime<Utc>,
    /// Whether its UID is known to stay.
    pub uid: Standing,
    /// Whether a changed event is read without its link, though nobody took that out
    /// ([`crate::calendar::Calendar::is_derived`]).
    pub derived: bool,
}

/// The key of the event's meeting: as remembered, else under the configured organizer.
pub fn key_of(ask: &Ask<'_>, generation: Generation) -> MeetingKey {
    let (organizer, external_id) = match ask.link {
        Some(link) => (link.organizer.clone(), link.external_id.clone()),
        None => (
            ask.organizer.clone(),
            ExternalId::of(&ask.event.uid, generation),
        ),
    };
    MeetingKey {
        tenant: ask.tenant.to_owned(),
        organizer,
        external_id,
    }
}
