//! The join block in the HTML twins of DESCRIPTION.
//!
//! In: the bytes of a property without its last line end. Out: the same with the block in its HTML, or
//! without it. Each takes back to the byte what the other has done, as long as nobody folded the line
//! anew.

use super::Attachment;
use crate::ical::block;
use crate::ical::document::ContentLine;
use crate::ical::edit::{Style, column, fold_length, is_wider};
use crate::ical::twin::Twin;
use crate::model::JoinUrl;

/// The join block as HTML, without its end.
#[derive(Debug)]
pub(super) struct Html {
    plain: String,
    ascii: String,
}

impl Html {
    /// The block for this link; in a document that is `utf8` it holds all characters.
    pub(super) fn new(link: &Attachment<'_>, utf8: bool) -> Self {
        let render = |ascii| {
            block::render_html(link.join_url, link.details, link.show, link.language, ascii)
        };
        let ascii = render(true);
        Self {
            plain: if utf8 { render(false) } else { ascii.clone() },
            ascii,
        }
    }

    /// The block that says the same as this one in plain text.
    pub(super) fn of_text(block: &str, utf8: bool) -> Self {
        let ascii = block::text_to_html(block, true);
        Self {
            plain: match utf8 {
                true => block::text_to_html(block, false),
                false => ascii.clone(),
            },
            ascii,
        }
    }
}

/// `content` with the block in its twin. `None`: it has no twin, or one that shows the link already or is
/// to be left as it is.
pub(super) fn put_in(
    content: &[u8],
    join_url: &JoinUrl,
    html: &Html,
    style: Style,
) -> Option<Vec<u8>> {
    let line = ContentLine::new(content, 0..content.len(), 0);
    let twin = Twin::of(&line)?.ok()?;
    if block::html_holds(&twin.html.text, join_url) {
        return None;
    }
    put_at(content, &twin, twin.end().ok()?, html, style)
}

/// `content` with this block in the place of the one with the same URL in its twin. `None`: there is none
/// that can be taken out.
pub(super) fn renewed(
    content: &[u8],
    join_url: &JoinUrl,
    html: &Html,
    style: Style,
) -> Option<Vec<u8>> {
    let line = ContentLine::new(content, 0..content.len(), 0);
    let twin = Twin::of(&line)?.ok()?;
    let place = block::find_html(&twin.html.text, join_url)?.start;
    let without = taken_out(content, join_url, style)?;
    let line = ContentLine::new(&without, 0..without.len(), 0);
    let twin = Twin::of(&line)?.ok()?;
    put_at(&without, &twin, place, html, style)
}

/// `content` with the block at this place in the HTML of its twin.
fn put_at(content: &[u8], twin: &Twin, place: usize, html: &Html, style: Style) -> Option<Vec<u8>> {
    let at = twin.html.after(place);
    let (before, rest) = content.split_at_checked(at)?;
    let html = if twin.is_ascii() {
        &html.ascii
    } else {
        &html.plain
    };
    let padding = twin.padding(html.len() + block::html_end(0, false).len());
    let written = |folded| {
        let whole = format!("{html}{}", block::html_end(padding, folded));
        style.folded(column(before), &twin.encoded(&whole))
    };
    let mut block = written(false);
    // What a line too wide already had in it goes on a line of its own: so it can be joined again.
    let joined = [before, &block].concat();
    if is_wider(column(&joined), rest) || is_wider(column(before), rest) {
        block = written(true);
        style.fold(&mut block);
    }
    Some([before, &block, rest].concat())
}

/// `content` without the block with this URL in its twin. `None`: there is none.
pub(super) fn taken_out(content: &[u8], join_url: &JoinUrl, style: Style) -> Option<Vec<u8>> {
    let line = ContentLine::new(content, 0..content.len(), 0);
    let twin = Twin::of(&line)?.ok()?;
    let html = &twin.html.text;
    let found = block::find_html(html, join_url)?;
    if !twin.can_cut(found.start, found.end) {
        return None;
    }
    let (from, to) = (twin.html.after(found.start), twin.html.after(found.end));
    let before = content.get(..from)?;
    let behind = content.get(to..)?;
    let folding = fold_length(behind);
    Some(if block::is_folded(html.get(found)?) && folding > 0 {
        [before, behind.get(folding..)?].concat()
    } else {
        [before, &style.joined(column(before), behind)].concat()
    })
}

/// Whether the line shows the link in its twin.
pub(super) fn shows(line: &ContentLine<'_>, join_url: &JoinUrl) -> bool {
    matches!(Twin::of(line), Some(Ok(twin)) if block::find_html(&twin.html.text, join_url).is_some())
}
