//! Which lines a link consists of (DESIGN.md section 6, "What is written"): putting them into an
//! event, taking them out, and asking whether they are there.
//!
//! In: the document, an event as it was read, what to write. Out: [`super::edit::Edits`] on the document's bytes,
//! which the caller applies, parses again and stores.

mod attach;
mod detach;
mod is_out;
mod link;
mod ours;
mod rewrite;
mod take_out;
mod twins;

use std::collections::BTreeSet;

use super::block::Show;
use super::document::Document;
use super::event::{Component, Event, Place};
use super::mark::Mark;
use crate::meeting::Details;
use crate::model::{Generation, JoinUrl, MeetingKey};

pub use attach::{attach, carry};
pub use detach::detach;
pub use is_out::is_out;
pub use ours::ours;
pub use rewrite::{bare, is_outdated, rewrite};
pub use take_out::take_out;

/// What goes into an absent or empty LOCATION.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// The join URL.
    #[default]
    Url,
    /// The words "Microsoft Teams Meeting".
    Label,
    /// Nothing.
    Never,
}

/// What [`Location::Label`] writes: the words that Exchange writes.
const LOCATION_LABEL: &str = "Microsoft Teams Meeting";
/// The property that Exchange and Evolution read.
const SKYPE_TEAMS: &str = "X-MICROSOFT-SKYPETEAMSMEETINGURL";
/// The longest join URL that is written, in octets.
const MAX_URL: usize = 4096;

/// A link to be written into an event.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    /// The meeting's key.
    pub key: &'a MeetingKey,
    /// The generation of its externalId.
    pub generation: Generation,
    /// Where to join.
    pub join_url: &'a JoinUrl,
    /// What can be shown beside it.
    pub details: &'a Details,
    /// What of it is shown.
    pub show: &'a [Show],
    /// BCP 47 tag of the labels' language.
    pub language: &'a str,
    /// What goes into an empty LOCATION.
    pub location: Location,
}

/// Why an event is not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteFault {
    /// The component, or one in it, has no END: where a line of it belongs is a guess.
    #[error("line {line}: the VEVENT, or a component in it, has no END; it is left as it is")]
    NotClosed {
        /// Where the VEVENT begins.
        line: usize,
    },
    /// DESCRIPTION is encoded: bytes at its end would be read as part of the encoding.
    #[error("line {line}: DESCRIPTION is encoded as {encoding}; it is left as it is")]
    Encoded {
        /// Where DESCRIPTION begins.
        line: usize,
        /// The encoding's name.
        encoding: &'static str,
    },
    /// Quotes hide where the value of DESCRIPTION begins: a colon at its end could begin another.
    #[error(
        "line {line}: the quotes in DESCRIPTION's parameters are not closed; it is left as it is"
    )]
    Quotes {
        /// Where DESCRIPTION begins.
        line: usize,
    },
    /// A vCalendar 1.0, whose properties mean other things.
    #[error("line {line}: the calendar has VERSION:1.0; only iCalendar 2.0 is written")]
    VCalendar1 {
        /// Where the VEVENT begins.
        line: usize,
    },
    /// The join URL is none, so that writing it could break the file.
    #[error("the join URL is not a web address of at most {MAX_URL} printable ASCII characters")]
    JoinUrl,
    /// The event was read from another document, or does not have what was read in it.
    #[error("the event has a component that the document does not have; read it again")]
    Stale,
}

/// The places where the event lacks the link: what [`attach()`] would write, as far as a reader sees
/// it. Empty means satisfied. A cancelled override and one with a foreign link of its own lack nothing.
pub fn missing(event: &Event, join_url: &JoinUrl, location: Location) -> BTreeSet<Place> {
    event
        .components
        .iter()
        .filter(|component| is_written(component, join_url, None))
        .flat_map(|component| missing_in(component, join_url, location))
        .collect()
}

/// The places where one component lacks the link, whether it is to be written or not.
pub fn missing_in(
    component: &Component,
    join_url: &JoinUrl,
    location: Location,
) -> BTreeSet<Place> {
    let has = |place| {
        let mut links = component.links.iter();
        links.any(|link| link.place == place && link.url == join_url.expose())
    };
    // Written under a `location` that left it alone, or over a person's text: that it is empty now is no
    // part of the link that is missing.
    let left_alone = matches!(
        &component.mark,
        Some(Mark::Link { empty, .. }) if !empty.location
    );
    let twins = component.twins.iter().filter(|twin| twin.left.is_none());
    let twins = twins.map(|twin| (twin.place, !has(twin.place)));
    [
        (Place::Description, !has(Place::Description)),
        (
            Place::Location,
            component.location_empty && location != Location::Never && !left_alone,
        ),
        (Place::Url, component.url_absent),
        (Place::Conference, !has(Place::Conference)),
        (Place::SkypeTeams, !has(Place::SkypeTeams)),
    ]
    .into_iter()
    .chain(twins)
    .filter_map(|(place, lacking)| lacking.then_some(place))
    .collect()
}

/// Whether a person sees the link: the URL is in DESCRIPTION, LOCATION or URL of any component.
pub fn shows(event: &Event, join_url: &JoinUrl) -> bool {
    let mut links = event.components.iter().flat_map(|c| &c.links);
    links.any(|link| {
        matches!(
            link.place,
            Place::Description | Place::Location | Place::Url
        ) && link.url == join_url.expose()
    })
}

/// Whether a link goes into this component: not into a cancelled override, nor into one with a link
/// of its own that is neither ours nor the one that ours replaces.
fn is_written(component: &Component, join_url: &JoinUrl, replaces: Option<&JoinUrl>) -> bool {
    let foreign = |url: &str| {
        url != join_url.expose() && replaces.is_none_or(|replaced| url != replaced.expose())
    };
    !(component.is_override
        && (component.cancelled || component.links.iter().any(|link| foreign(&link.url))))
}

/// Whether every byte of `before`, the values of DTSTAMP and LAST-MODIFIED and our marks apart, stands
/// in `after` in the same order: what every [`attach()`] that replaces no link must keep to. Shares no code with
/// the editing.
pub fn verify(before: &Document<'_>, after: &[u8]) -> bool {
    let mut rest = after;
    let mut appears = |bytes: &[u8]| {
        bytes.iter().all(|&byte| {
            let found = memchr::memchr(byte, rest);
            rest = found.and_then(|at| rest.get(at + 1..)).unwrap_or_default();
            found.is_some()
        })
    };
    let mut done = 0;
    for line in before.all_lines() {
        if line.is("DTSTAMP") || line.is("LAST-MODIFIED") {
            let value = line.located().after(0)..line.content_range().end;
            if !appears(before.bytes().get(done..value.start).unwrap_or_default()) {
                return false;
            }
            done = value.end;
        } else if line.is(super::mark::PROPERTY) {
            // It may say something else of what was empty.
            if !appears(
                before
                    .bytes()
                    .get(done..line.range().start)
                    .unwrap_or_default(),
            ) {
                return false;
            }
            done = line.range().end;
        }
    }
    appears(before.bytes().get(done..).unwrap_or_default())
}

#[cfg(test)]
mod tests;
