//! Taking a link out again.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{LOCATION_LABEL, SKYPE_TEAMS, WriteFault, twins};
use crate::ical::block;
use crate::ical::document::{Component, ContentLine, Document};
use crate::ical::edit::{Edits, Style, appended_from, column};
use crate::ical::event::Event;
use crate::ical::mark::{self, EmptyBefore, Mark};
use crate::ical::twin::Twin;
use crate::model::JoinUrl;

/// Takes out every line and block of the link with this URL, from every component of the event, and
/// so restores the bytes that were there before; DTSTAMP and LAST-MODIFIED stay as they are. What the
/// mark says of what was empty decides whether an emptied property goes or stays.
///
/// Text of the person's own that holds the URL stays.
///
/// # Errors
/// [`WriteFault`] when a component that holds any of it is not closed, or one is not there.
pub fn detach(
    document: &Document<'_>,
    event: &Event,
    join_url: &JoinUrl,
) -> Result<Edits, WriteFault> {
    let mut edits = Edits::new();
    for component in &event.components {
        let index = component.index;
        let removal = Removal::of(document, index, join_url);
        match editable(document, index) {
            // `attach` has passed it over: a cancelled override, or one with a link of its own.
            Err(WriteFault::NotClosed { .. }) if removal.is_empty() => continue,
            editable => editable?,
        };
        for (range, bytes) in removal.splices() {
            edits.replace(range, bytes);
        }
    }
    Ok(edits)
}

/// The component with this index, if its lines are where they seem to be.
pub(super) fn editable<'d>(
    document: &'d Document<'_>,
    index: usize,
) -> Result<&'d Component, WriteFault> {
    let component = document
        .components()
        .get(index)
        .filter(|component| component.name == "VEVENT")
        .ok_or(WriteFault::Stale)?;
    if document.is_whole(index) {
        Ok(component)
    } else {
        Err(WriteFault::NotClosed {
            line: component.line,
        })
    }
}

/// What a removal does to one component: by the start of the line, its fate.
#[derive(Debug, Default)]
pub(super) struct Removal(BTreeMap<usize, Fate>);

/// What becomes of a line.
#[derive(Debug)]
pub(super) enum Fate {
    /// It goes, and its bytes with it.
    Gone(Range<usize>),
    /// The bytes of its value from `from` to the end of its content become `tail`.
    Cut {
        /// The first byte that goes.
        from: usize,
        /// The end of the content.
        end: usize,
        /// What stays of the bytes behind, in the file's folding.
        tail: Vec<u8>,
    },
}

impl Removal {
    /// What taking out the link with this URL does to the component.
    pub(super) fn of(document: &Document<'_>, index: usize, join_url: &JoinUrl) -> Self {
        Self::with(document, index, join_url, |_| None)
    }

    /// The same, with what `more` says of lines in which there is no link.
    pub(super) fn with<'d>(
        document: &Document<'d>,
        index: usize,
        join_url: &JoinUrl,
        more: impl Fn(&ContentLine<'d>) -> Option<Fate>,
    ) -> Self {
        let mut removal = Self::but_twins(document, index, join_url);
        for line in document.lines(index) {
            let start = line.range().start;
            if removal.fate(&line).is_none()
                && let Some(fate) = more(&line)
            {
                removal.0.insert(start, fate);
            }
            let fate = removal.fate(&line);
            if let Some(cut) = without_twin(document, &line, join_url, fate) {
                removal.0.insert(start, cut);
            }
        }
        removal
    }

    /// The same without the HTML twins.
    fn but_twins(document: &Document<'_>, index: usize, join_url: &JoinUrl) -> Self {
        let empty = document
            .lines(index)
            .filter(|line| line.is(mark::PROPERTY))
            .find_map(|line| match Mark::parse(&line.value()) {
                Mark::Link { empty, .. } => Some(empty),
                Mark::OptOut | Mark::Unknown => None,
            });
        // The mark and the telephone lines do not say which link they belong to: with another link
        // of ours here, and none with this URL, they are that one's.
        let mut lines = document.lines(index);
        let another = lines.any(|line| is_our_conference(&line) && !is_link_line(&line, join_url));
        let linked = !another
            || document
                .lines(index)
                .any(|line| is_or_shows(&line, join_url));
        if !linked {
            return Self::default();
        }
        let fates = document.lines(index).filter_map(|line| {
            let fate = if is_link_line(&line, join_url) || is_companion(&line) {
                Some(Fate::Gone(line.range()))
            } else if line.is("DESCRIPTION") {
                description(document, &line, join_url, empty)
            } else if line.is("LOCATION") {
                location(document, &line, join_url, empty)
            } else {
                None
            };
            fate.map(|fate| (line.range().start, fate))
        });
        Self(fates.collect())
    }

    /// What of it makes room for the same link as it is written now: not what would be the same again,
    /// nor a block behind which a person's text stands, nor one in an HTML twin: these are replaced where
    /// they are.
    pub(super) fn to_renew(document: &Document<'_>, index: usize, join_url: &JoinUrl) -> Self {
        let mut removal = Self::but_twins(document, index, join_url);
        for line in document.lines(index) {
            let stays = line.is("URL")
                || line.is(SKYPE_TEAMS)
                || line.is("DESCRIPTION")
                    && removal.fate(&line).is_some()
                    && block_within(&line, join_url).is_some();
            if stays {
                removal.0.remove(&line.range().start);
            }
        }
        removal
    }

    /// Whether there is nothing to take out.
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What becomes of this line; `None`: it stays as it is.
    pub(super) fn fate(&self, line: &ContentLine<'_>) -> Option<&Fate> {
        self.0.get(&line.range().start)
    }

    /// The splices that carry it out.
    pub(super) fn splices(&self) -> impl Iterator<Item = (Range<usize>, Vec<u8>)> {
        self.splices_but(|_| false)
    }

    /// The same, those of the lines apart that begin where `differs` says so.
    pub(super) fn splices_but(
        &self,
        differs: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = (Range<usize>, Vec<u8>)> {
        let fates = self.0.iter().filter(move |(start, _)| !differs(**start));
        fates.map(|(_, fate)| match fate {
            Fate::Gone(range) => (range.clone(), Vec::new()),
            Fate::Cut { from, end, tail } => (*from..*end, tail.clone()),
        })
    }
}

/// The fate of a line from whose HTML twin the join block goes; `fate` is what becomes of the rest.
fn without_twin(
    document: &Document<'_>,
    line: &ContentLine<'_>,
    join_url: &JoinUrl,
    fate: Option<&Fate>,
) -> Option<Fate> {
    if matches!(fate, Some(Fate::Gone(_))) || Twin::place_on(line).is_none() {
        return None;
    }
    let content = line.content_range();
    let kept = kept(document, line, fate);
    let tail = twins::taken_out(&kept, join_url, Style::of(document))?;
    Some(Fate::Cut {
        from: content.start,
        end: content.end,
        tail,
    })
}

/// The bytes of the line's content that stay.
pub(super) fn kept(
    document: &Document<'_>,
    line: &ContentLine<'_>,
    fate: Option<&Fate>,
) -> Vec<u8> {
    let bytes = document.bytes();
    let content = line.content_range();
    match fate {
        Some(Fate::Cut { from, tail, .. }) => {
            let head = bytes.get(content.start..*from).unwrap_or_default();
            [head, tail].concat()
        }
        _ => bytes.get(content).unwrap_or_default().to_vec(),
    }
}

/// A line that is the link and nothing else.
fn is_link_line(line: &ContentLine<'_>, join_url: &JoinUrl) -> bool {
    let url = join_url.expose();
    if line.is("CONFERENCE") || line.is("URL") {
        line.value().trim() == url
    } else {
        line.is(SKYPE_TEAMS) && line.text().trim() == url
    }
}

/// A line that we write beside the link: the mark, and joining by telephone under our labels.
fn is_companion(line: &ContentLine<'_>) -> bool {
    if line.is(mark::PROPERTY) {
        return matches!(Mark::parse(&line.value()), Mark::Link { .. });
    }
    line.is("CONFERENCE")
        && line
            .param("LABEL")
            .is_some_and(|label| block::is_telephone_label(&label))
}

/// A CONFERENCE under our label.
fn is_our_conference(line: &ContentLine<'_>) -> bool {
    line.is("CONFERENCE")
        && line
            .param("LABEL")
            .is_some_and(|label| block::is_conference_label(&label))
}

/// A line that is the link, or holds it as we write it.
fn is_or_shows(line: &ContentLine<'_>, join_url: &JoinUrl) -> bool {
    is_link_line(line, join_url)
        || line.is("DESCRIPTION") && block::find(&line.text(), join_url).is_some()
        || line.is("LOCATION") && line.text().trim() == join_url.expose()
        || twins::shows(line, join_url)
}

/// The bytes of the join block in this DESCRIPTION, if text that is not ours follows it.
pub(super) fn block_within(line: &ContentLine<'_>, join_url: &JoinUrl) -> Option<Range<usize>> {
    let located = line.located();
    let block = block::find(&located.text, join_url)?;
    let behind = located.text.get(block.end..)?;
    (!behind.trim().is_empty()).then(|| located.after(block.start)..located.after(block.end))
}

/// Cuts the join block out, with the empty line before it when nothing follows.
fn description(
    document: &Document<'_>,
    line: &ContentLine<'_>,
    join_url: &JoinUrl,
    empty: Option<EmptyBefore>,
) -> Option<Fate> {
    let located = line.located();
    let block = block::find(&located.text, join_url)?;
    let before = located.text.get(..block.start)?;
    let behind = located.text.get(block.end..)?;
    if !behind.trim().is_empty() {
        return Some(cut(
            document,
            line,
            located.after(block.start),
            located.after(block.end),
        ));
    }
    let kept = before.strip_suffix("\n\n").unwrap_or(before);
    // A twin is nothing of ours: there was a DESCRIPTION that it belongs to.
    let is_bare = line.param("ALTREP").is_none();
    if kept.is_empty() && is_bare && empty.is_none_or(|empty| empty.description) {
        return Some(Fate::Gone(line.range()));
    }
    let end = line.content_range().end;
    let mut from = located.after(kept.len());
    // The separator behind a backslash that escaped nothing is told by its capital: see `attach`.
    let separator = document.bytes().get(from..end).unwrap_or_default();
    if let Some(before) = kept.strip_suffix('\\')
        && starts_unfolded(separator, b"\\N")
    {
        from = behind_backslash(document.bytes(), located.after(before.len()));
    }
    Some(cut(document, line, from, end))
}

/// Takes out a LOCATION that holds the URL alone, or our label where the mark says that it is ours.
fn location(
    document: &Document<'_>,
    line: &ContentLine<'_>,
    join_url: &JoinUrl,
    empty: Option<EmptyBefore>,
) -> Option<Fate> {
    let located = line.located();
    let text = located.text.trim();
    let ours = empty.is_some_and(|empty| empty.location);
    if text != join_url.expose() && !(ours && text == LOCATION_LABEL) {
        return None;
    }
    if empty.is_none_or(|empty| empty.location && !empty.location_line) {
        return Some(Fate::Gone(line.range()));
    }
    let blanks = located.text.len() - located.text.trim_start().len();
    Some(cut(
        document,
        line,
        located.after(blanks),
        line.content_range().end,
    ))
}

/// Takes the bytes from `from` to `to` out of the line's content.
pub(super) fn cut(document: &Document<'_>, line: &ContentLine<'_>, from: usize, to: usize) -> Fate {
    let bytes = document.bytes();
    let content = line.content_range();
    if to >= content.end {
        return Fate::Cut {
            from: appended_from(bytes, line, from),
            end: content.end,
            tail: Vec::new(),
        };
    }
    let before = bytes.get(content.start..from).unwrap_or_default();
    let rest = bytes.get(to..content.end).unwrap_or_default();
    Fate::Cut {
        from,
        end: content.end,
        tail: Style::of(document).joined(column(before), rest),
    }
}

/// Whether the bytes begin with `wanted` when line ends and continuation characters are left out.
fn starts_unfolded(bytes: &[u8], wanted: &[u8]) -> bool {
    let probe = [b"X:", bytes.get(..16).unwrap_or(bytes)].concat();
    ContentLine::new(&probe, 0..probe.len(), 0)
        .raw_value()
        .starts_with(wanted)
}

/// The offset behind the first backslash from `from` on.
fn behind_backslash(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    memchr::memchr(b'\\', rest).map_or(from, |at| from + at + 1)
}
