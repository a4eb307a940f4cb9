//! Taking a link out because a person did, or wants it out: what is left of it goes, and a mark may stay
//! that says so.

use chrono::{DateTime, Utc};

use super::WriteFault;
use super::attach::is_utc;
use super::detach::{Fate, Removal, cut, editable};
use crate::ical::block;
use crate::ical::document::{ContentLine, Document};
use crate::ical::edit::{Edits, Style};
use crate::ical::event::{Component, Event};
use crate::ical::mark::{self, Mark};
use crate::model::JoinUrl;

/// Takes out what there is of the link with this URL in the components that `goes` names, and brings
/// their DTSTAMP and LAST-MODIFIED to `stamp`, if there is one. A join block that has lost its join line
/// goes, too. With `opt_out`, a mark stays where anything was taken out.
///
/// No edits: there is nothing of it.
///
/// # Errors
/// [`WriteFault`] when a component that holds any of it is not closed, or one is not there.
pub fn take_out(
    document: &Document<'_>,
    event: &Event,
    join_url: &JoinUrl,
    goes: impl Fn(&Component) -> bool,
    opt_out: bool,
    stamp: Option<DateTime<Utc>>,
) -> Result<Edits, WriteFault> {
    let mut edits = Edits::new();
    for component in event.components.iter().filter(|one| goes(one)) {
        let index = component.index;
        let removal = Removal::with(document, index, join_url, |line| {
            remains(document, index, line)
        });
        let mut part = Edits::new();
        for (range, bytes) in removal.splices() {
            part.replace(range, bytes);
        }
        if part.is_empty() {
            continue;
        }
        let place = editable(document, index)?;
        let mut marks = document.lines(index).filter(|l| l.is(mark::PROPERTY));
        let is_out = |line: &ContentLine<'_>| Mark::of(line) == Some(Mark::OptOut);
        if opt_out && !document.lines(index).any(|line| is_out(&line)) {
            let at = marks.next().map_or(place.insert_at, |l| l.range().start);
            let line = Style::of(document).line(mark::PROPERTY, &Mark::OptOut.to_string());
            part.insert(at, line);
        }
        let stamp = stamp.map(|at| at.format("%Y%m%dT%H%M%SZ").to_string());
        for line in document.lines(index) {
            if let Some(stamp) = &stamp
                && (line.is("DTSTAMP") || line.is("LAST-MODIFIED"))
                && is_utc(&line.value())
            {
                let value = line.located().after(0)..line.content_range().end;
                part.replace(value, stamp.as_bytes());
            }
        }
        edits.merge(part);
    }
    Ok(edits)
}

/// What becomes of a line with a join block that has lost its join line.
fn remains(document: &Document<'_>, index: usize, line: &ContentLine<'_>) -> Option<Fate> {
    if !line.is("DESCRIPTION") || line.encoding().is_some() {
        return None;
    }
    let located = line.located();
    let block = block::remains(&located.text)?;
    let before = located.text.get(..block.start)?;
    let behind = located.text.get(block.end..)?;
    let kept = before.strip_suffix("\n\n").unwrap_or(before);
    let mut marks = document.lines(index).filter_map(|l| Mark::of(&l));
    let was_empty = marks.any(|mark| matches!(mark, Mark::Link { empty, .. } if empty.description));
    Some(if !behind.trim().is_empty() {
        let (from, to) = (located.after(block.start), located.after(block.end));
        cut(document, line, from, to)
    } else if kept.is_empty() && was_empty {
        Fate::Gone(line.range())
    } else {
        let from = located.after(kept.len());
        cut(document, line, from, line.content_range().end)
    })
}
