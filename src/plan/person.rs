//! What a person does to an event that has its link: when that means that the link is to go (DESIGN.md,
//! section 6, "A person's change").

use std::fmt;

use percent_encoding::percent_decode_str;

use super::ask::Ask;
use super::select::not_organized;
use super::tags::{has_opt_out_mark, is_opted_out, is_tagged};
use super::version::is_restored;
use super::whose::{copied, shows_any};
use super::why::Why;
use crate::ical::event::{Component, Event, FoundLink, Next, Provider};
use crate::model::JoinUrl;
use crate::state::{Link, Phase};

/// Why a link is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// A person took out what people see of it.
    Removed,
    /// A person set the tag that says no.
    Tagged,
    /// A person put in another conference.
    Foreign(Provider),
    /// A person put another conference into overrides: it goes from these alone.
    ForeignInOverride(Provider),
    /// An operator asked for it: of this event for good, or of the whole calendar.
    Unlinked {
        /// For good.
        for_good: bool,
    },
}

impl Out {
    /// The stable name, for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Tagged => "tagged",
            Self::Foreign(_) | Self::ForeignInOverride(_) => "foreign-link",
            Self::Unlinked { .. } => "unlinked",
        }
    }

    /// Whether a mark stays that says so: whatever else tells it is gone, or may be lost.
    pub fn leaves_mark(self) -> bool {
        matches!(self, Self::Removed | Self::Unlinked { for_good: true })
    }

    /// Whether the event keeps its link apart from that.
    pub fn is_partial(self) -> bool {
        matches!(self, Self::ForeignInOverride(_))
    }

    /// Why nothing is done about the event when nothing of the link is left in it.
    pub fn nothing_left(self) -> Why {
        match self {
            Self::Removed => Why::LinkRemoved,
            Self::Tagged | Self::Unlinked { .. } => Why::OptedOut,
            Self::Foreign(provider) | Self::ForeignInOverride(provider) => {
                Why::ForeignLink(provider)
            }
        }
    }

    /// Whether it goes from this component of an event whose link is at `own`.
    pub fn goes_from(self, component: &Component, own: &JoinUrl) -> bool {
        match self {
            Self::ForeignInOverride(_) => foreign_in_override(component, own).is_some(),
            _ => true,
        }
    }
}

impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("a person took its link out, and lines of it are left"),
            Self::Tagged => f.write_str("it is tagged `no-teams`"),
            Self::Foreign(provider) => write!(f, "it has got a {provider:?} conference"),
            Self::ForeignInOverride(provider) => {
                write!(
                    f,
                    "one of its occurrences has got a {provider:?} conference"
                )
            }
            Self::Unlinked { .. } => f.write_str("`meetbridge unlink` asks for it"),
        }
    }
}

/// Why the event's link is to be taken out, if it is, whether or not anything of it is left.
pub fn wants_out(ask: &Ask<'_>) -> Option<Out> {
    let (event, link) = (ask.event, ask.link?);
    let own = &ask.meeting?.meeting.join_url;
    // What is not maintained stays as it is.
    if event.fault.is_some() || event.cancelled || !matches!(event.next, Next::At(_)) {
        return None;
    }
    if link.phase == Phase::OptedOut {
        return Some(Out::Unlinked { for_good: true });
    }
    if not_organized(event, ask.rules).is_some()
        || (event.all_day && !ask.rules.all_day && !is_tagged(event))
    {
        return None;
    }
    if !shows_any(ask, own) {
        let removed =
            link.phase == Phase::Seen && !is_restored(event, link) && !has_opt_out_mark(event);
        return removed.then_some(Out::Removed);
    }
    if is_opted_out(event) {
        return Some(Out::Tagged);
    }
    if has_opt_out_mark(event) {
        return None;
    }
    let replaced = copied(ask, link, own);
    let replaced = replaced.as_ref().or(ask.former);
    let own_or_replaced = |found: &&FoundLink| replaced.is_none_or(|url| url.expose() != found.url);
    let whole = of_the_whole(event)
        .flat_map(|component| &component.links)
        .filter(own_or_replaced)
        .filter(|found| !is_adopted_with(found, event, link))
        .find(|found| is_foreign(found, own, ask.foreign_meeting));
    if let Some(found) = whole {
        return Some(Out::Foreign(found.provider));
    }
    let has_ours = |component: &&Component| {
        let mut links = component.links.iter();
        component.mark.is_some() || links.any(|found| found.url == own.expose())
    };
    let mut overrides = event.components.iter().filter(has_ours);
    overrides
        .find_map(|component| foreign_in_override(component, own))
        .filter(|found| replaced.is_none() && !is_adopted_with(found, event, link))
        .map(|found| found.provider)
        .map(Out::ForeignInOverride)
}

/// The components whose conference is the event's: an override's is its own, where there is a master.
fn of_the_whole(event: &Event) -> impl Iterator<Item = &Component> {
    let has_master = event.components.iter().any(|c| !c.is_override);
    event
        .components
        .iter()
        .filter(move |c| !has_master || !c.is_override)
}

/// The conference that an override has of its own.
fn foreign_in_override<'e>(component: &'e Component, own: &JoinUrl) -> Option<&'e FoundLink> {
    let links = Some(&component.links).filter(|_| component.is_override && !component.cancelled)?;
    links.iter().find(|found| is_foreign(found, own, None))
}

/// Whether another Teams link stood beside ours already when nothing was remembered of either: as a mention
/// of an event that was known then, or ours would have gone.
fn is_adopted_with(found: &FoundLink, event: &Event, link: &Link) -> bool {
    found.provider == Provider::Teams && link.attempts == 0 && link.before == event.content
}

/// Whether such a link stands beside ours, `own`, and is not known to be another event's. What would be written
/// into the event would hide that it was there.
pub fn is_adopted_beside(
    event: &Event,
    link: &Link,
    own: &JoinUrl,
    of_another: Option<&JoinUrl>,
) -> bool {
    let mut links = event.components.iter().flat_map(|c| &c.links);
    links.any(|found| is_adopted_with(found, event, link) && is_foreign(found, own, of_another))
}

/// Whether a person put in this link of another conference. Another event's link of ours is a mention of
/// that event; ours may look otherwise as some client or gateway writes it.
fn is_foreign(found: &FoundLink, own: &JoinUrl, of_another: Option<&JoinUrl>) -> bool {
    let is = |url: &JoinUrl| url.expose() == found.url;
    !is(own) && !of_another.is_some_and(is) && !is_variant(&found.url, own.expose())
}

/// Whether one URL holds the other when it is not looked at how they are escaped.
fn is_variant(one: &str, other: &str) -> bool {
    let (one, other) = (bare(one), bare(other));
    one.contains(&other) || other.contains(&one)
}

fn bare(url: &str) -> String {
    let once = percent_decode_str(url).decode_utf8_lossy().into_owned();
    let twice = percent_decode_str(&once).decode_utf8_lossy().to_lowercase();
    let plain = twice.replace("&amp;", "&");
    plain.chars().filter(char::is_ascii_alphanumeric).collect()
}
