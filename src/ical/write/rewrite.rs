//! Bringing a link of ours to what would be written now.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::attach::put;
use super::detach::Removal;
use super::link::Link;
use super::{Attachment, WriteFault, is_written};
use crate::ical::block;
use crate::ical::document::Document;
use crate::ical::edit::Edits;
use crate::ical::event::{Component, Event};
use crate::ical::mark::Mark;
use crate::model::JoinUrl;

/// Whether the event's link was written otherwise than it would be now. The mark tells: what a person,
/// or a calendar server, has made of it since is no reason to write. Where the mark was not kept, the
/// text of the join block tells, as far as there is one.
pub fn is_outdated(document: &Document<'_>, event: &Event, attachment: &Attachment<'_>) -> bool {
    !outdated(document, event, attachment).is_empty()
}

/// Brings the link in the components that are outdated to what would be written now, in its place in
/// the text, and writes what others lack of it. Everything else stays, as with [`super::attach()`].
///
/// # Errors
/// [`WriteFault`] when a component cannot be written safely; then none is.
pub fn rewrite(
    document: &Document<'_>,
    event: &Event,
    attachment: &Attachment<'_>,
    stamp: Option<DateTime<Utc>>,
) -> Result<Edits, WriteFault> {
    let outdated = outdated(document, event, attachment);
    let renews = |component: &Component| outdated.contains(&component.index);
    put(document, event, attachment, None, stamp, renews)
}

/// The unfolded lines of the event's components without the link with this URL and without the stamps: the
/// same before and after a [`rewrite`]. Where a person's text follows the link on its line, that may be
/// folded anew.
pub fn bare(document: &Document<'_>, event: &Event, join_url: &JoinUrl) -> Vec<Vec<u8>> {
    let bytes = document.bytes();
    let bare = |component: &Component| {
        let mut edits = Edits::new();
        for (range, tail) in Removal::of(document, component.index, join_url).splices() {
            edits.replace(range, tail);
        }
        for line in document.lines(component.index) {
            if line.is("DTSTAMP") || line.is("LAST-MODIFIED") {
                edits.remove(line.content_range());
            }
        }
        let range = document.components().get(component.index)?.range.clone();
        Some(unfolded(edits.apply_to(bytes, range)))
    };
    event.components.iter().filter_map(bare).collect()
}

fn unfolded(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(document) = Document::parse(&bytes) else {
        return bytes;
    };
    let lines: Vec<_> = document.all_lines().map(|line| line.logical()).collect();
    lines.join(&b'\n')
}

/// The components whose link is outdated, by their index.
fn outdated(
    document: &Document<'_>,
    event: &Event,
    attachment: &Attachment<'_>,
) -> BTreeSet<usize> {
    let link = Link::new(document, attachment);
    let join_url = attachment.join_url;
    let written = |component: &&Component| is_written(component, join_url, None);
    let is_outdated = |component: &&Component| {
        let mut marks = document.lines(component.index).filter_map(|l| Mark::of(&l));
        match marks.next() {
            Some(Mark::Link { wrote, empty, .. }) => {
                wrote != link.wrote(empty.location || component.location_empty)
            }
            Some(Mark::OptOut | Mark::Unknown) => false,
            None => shows_other_block(document, component, join_url, &link.block),
        }
    };
    let components = event.components.iter().filter(written);
    components.filter(is_outdated).map(|c| c.index).collect()
}

/// Whether the component has the join block with another text, blanks apart.
fn shows_other_block(
    document: &Document<'_>,
    component: &Component,
    join_url: &JoinUrl,
    wanted: &str,
) -> bool {
    let mut descriptions = document
        .lines(component.index)
        .filter(|line| line.is("DESCRIPTION"));
    descriptions.any(|line| {
        let text = line.text();
        let block = block::find(&text, join_url).and_then(|range| text.get(range));
        block.is_some_and(|block| !words(block).eq(words(wanted)))
    })
}

/// The lines of a text that are not blank.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}
