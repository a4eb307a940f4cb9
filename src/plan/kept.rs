//! Which places of a link a calendar keeps: learned from what it makes of what is written (field notes, P8).

use std::collections::BTreeSet;

use crate::ical::event::{Event, Place};
use crate::ical::write::{self, Location};
use crate::model::JoinUrl;

/// The places where the event lacks the link, those apart that its calendar drops anyway.
pub fn lacking(
    event: &Event,
    join_url: &JoinUrl,
    location: Location,
    drops: &BTreeSet<Place>,
) -> BTreeSet<Place> {
    let mut lacking = write::missing(event, join_url, location);
    lacking.retain(|place| !drops.contains(place));
    lacking
}

/// What a read of an event tells of the places that its calendar drops, given those that it was known
/// to drop. `untouched` says that the event is what the calendar made of our own write: what is missing
/// then was dropped, or altered, by the calendar. A place that shows the link is kept, whoever put it there.
/// An event that shows no link tells nothing.
pub fn learn(
    event: &Event,
    join_url: &JoinUrl,
    location: Location,
    drops: &BTreeSet<Place>,
    untouched: bool,
) -> BTreeSet<Place> {
    if !write::shows(event, join_url) {
        return drops.clone();
    }
    let missing = write::missing(event, join_url, location);
    let links = event.components.iter().flat_map(|c| &c.links);
    let shown: BTreeSet<Place> = links
        .filter(|link| link.url == join_url.expose())
        .map(|link| link.place)
        .collect();
    let still_dropped = |place: &&Place| !shown.contains(place) || missing.contains(place);
    let mut learned: BTreeSet<Place> = drops.iter().filter(still_dropped).copied().collect();
    if untouched {
        learned.extend(missing);
    }
    learned
}
