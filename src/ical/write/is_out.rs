//! Whether a link was taken out and nothing else. Shares no code with the editing.

use crate::ical::block::{self, FENCE};
use crate::ical::document::{ContentLine, Document};
use crate::ical::event::{Component, Event};
use crate::ical::mark::{self, Mark};
use crate::ical::twin::Twin;
use crate::model::JoinUrl;

/// Whether `now` in `after` is the event `then` in `before` without the link with this URL in the
/// components that `goes` names: no line and no block of it is left there, and every other byte stands,
/// the values of DTSTAMP and LAST-MODIFIED apart. A mark that says opt-out may have come in.
pub fn is_out(
    before: &Document<'_>,
    then: &Event,
    after: &Document<'_>,
    now: &Event,
    join_url: &JoinUrl,
    goes: impl Fn(&Component) -> bool,
) -> bool {
    then.components.len() == now.components.len()
        && then.components.iter().zip(&now.components).all(|(a, b)| {
            match (bytes(before, a), bytes(after, b)) {
                (Some(old), Some(new)) if goes(a) => {
                    is_left(old, new, join_url) && is_clean(new, join_url)
                }
                (old, new) => old == new,
            }
        })
}

fn bytes<'d>(document: &Document<'d>, component: &Component) -> Option<&'d [u8]> {
    let range = document.components().get(component.index)?.range.clone();
    document.bytes().get(range)
}

/// Whether `new` is what is left of `old`, line by line.
fn is_left(old: &[u8], new: &[u8], join_url: &JoinUrl) -> bool {
    let (Ok(old), Ok(new)) = (Document::parse(old), Document::parse(new)) else {
        return false;
    };
    let mut left = new.all_lines().peekable();
    for line in old.all_lines() {
        let was = raw(&old, &line);
        while let Some(next) = left.peek()
            && raw(&new, next) != was
            && is_opt_out(next)
        {
            left.next();
        }
        let stays = left.peek().is_some_and(|next| {
            raw(&new, next) == was || is_rest(&old, &line, &new, next, join_url)
        });
        if stays {
            left.next();
        } else if !is_ours(&line, join_url) {
            return false;
        }
    }
    left.all(|line| is_opt_out(&line))
}

fn raw<'d>(document: &Document<'d>, line: &ContentLine<'_>) -> &'d [u8] {
    document.bytes().get(line.range()).unwrap_or_default()
}

fn is_opt_out(line: &ContentLine<'_>) -> bool {
    line.is(mark::PROPERTY) && Mark::parse(&line.value()) == Mark::OptOut
}

/// A line that may go as a whole.
fn is_ours(line: &ContentLine<'_>, join_url: &JoinUrl) -> bool {
    let is_url = |text: String| text.trim() == join_url.expose();
    if line.is(mark::PROPERTY) {
        !is_opt_out(line)
    } else if line.is("CONFERENCE") {
        is_url(line.value()) || line.param("FEATURE").is_some_and(|f| f == "PHONE")
    } else if line.is("URL") {
        is_url(line.value())
    } else if line.is(super::SKYPE_TEAMS) {
        is_url(line.text())
    } else if line.is("LOCATION") {
        is_url(line.text()) || line.text().trim() == super::LOCATION_LABEL
    } else if line.is("DESCRIPTION") {
        is_block(&line.text())
    } else {
        false
    }
}

/// Whether the text is a join block, as far as its fences tell.
fn is_block(text: &str) -> bool {
    let text = text.trim();
    text.len() > FENCE.len() && text.starts_with(FENCE) && text.ends_with(FENCE)
}

/// Whether `next` is what may be left of `line`.
fn is_rest(
    old: &Document<'_>,
    line: &ContentLine<'_>,
    new: &Document<'_>,
    next: &ContentLine<'_>,
    join_url: &JoinUrl,
) -> bool {
    if !line.name().eq_ignore_ascii_case(&next.name()) {
        return false;
    }
    if line.is("DTSTAMP") || line.is("LAST-MODIFIED") {
        return line.params() == next.params();
    }
    if line.is("LOCATION") {
        return is_ours(line, join_url) && next.text().trim().is_empty();
    }
    let is_text = ["DESCRIPTION", "X-ALT-DESC", "STYLED-DESCRIPTION"];
    if !is_text.iter().any(|name| line.is(name)) {
        return false;
    }
    let (was, is) = (unfolded(raw(old, line)), unfolded(raw(new, next)));
    let mut rest = was.iter();
    if !is.iter().all(|byte| rest.any(|other| other == byte)) {
        return false;
    }
    let html = |line: &ContentLine<'_>| Some(Twin::of(line)?.ok()?.html.text);
    let twin = match (html(line), html(next)) {
        (Some(html), Some(left)) if html != left => {
            if !is_html_without_block(&html, &left, join_url) {
                return false;
            }
            true
        }
        (was, is) if was != is => return false,
        _ => false,
    };
    if !line.is("DESCRIPTION") {
        return twin;
    }
    let (text, left) = (line.text(), next.text());
    (twin || text.contains(FENCE)) && is_without_block(&text, &left)
}

/// Whether one piece that shows the link is all that `html` has and `left` has not.
fn is_html_without_block(html: &str, left: &str, join_url: &JoinUrl) -> bool {
    let same = |(one, other): &(u8, u8)| one == other;
    let before = html.bytes().zip(left.bytes()).take_while(same).count();
    let backwards = html.bytes().rev().zip(left.bytes().rev());
    let behind = backwards.take_while(same).count();
    // What the piece and the text around it have in common can be counted to either.
    let behind = behind.min(left.len().saturating_sub(before));
    let piece = html.get(before..html.len().saturating_sub(behind));
    before + behind == left.len() && piece.is_some_and(|piece| block::html_holds(piece, join_url))
}

/// Whether one join block, and blanks around it, are all that `text` has and `left` has not.
fn is_without_block(text: &str, left: &str) -> bool {
    if text == left {
        return true;
    }
    let (text, left) = (squeezed(text), squeezed(left));
    let (text, left) = (text.as_bytes(), left.as_bytes());
    let Some(gone) = text.len().checked_sub(left.len()) else {
        return false;
    };
    let same = |(one, other): &(&u8, &u8)| one == other;
    let before = text.iter().zip(left).take_while(same).count();
    let behind = text.iter().rev().zip(left.iter().rev());
    let behind = behind.take_while(same).count();
    let fence = FENCE.as_bytes();
    // Where what went begins is open, as far as it looks like what stands around it.
    gone >= 2 * fence.len()
        && (left.len().saturating_sub(behind)..=before).any(|start| {
            let piece = text.get(start..start + gone).unwrap_or_default();
            let inner = piece.strip_prefix(fence).unwrap_or_default();
            inner.ends_with(fence) && !inner.starts_with(b"_")
        })
}

/// Without blanks, and without the backslash that may have escaped nothing before the block.
fn squeezed(text: &str) -> String {
    let kept = |c: &char| !c.is_whitespace() && *c != '\\';
    text.chars().filter(kept).collect()
}

fn unfolded(bytes: &[u8]) -> Vec<u8> {
    let mut unfolded = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\r' || byte == b'\n' {
            while bytes.next_if(|next| b"\r\n".contains(next)).is_some() {}
            bytes.next_if(|next| b" \t".contains(next));
        } else {
            unfolded.push(byte);
        }
    }
    unfolded
}

/// Whether no line and no block of the link is left.
fn is_clean(bytes: &[u8], join_url: &JoinUrl) -> bool {
    let Ok(document) = Document::parse(bytes) else {
        return false;
    };
    document.all_lines().all(|line| {
        let is_link = |text: String| text.trim() == join_url.expose();
        if line.is(mark::PROPERTY) {
            !matches!(Mark::parse(&line.value()), Mark::Link { .. })
        } else if line.is("CONFERENCE") || line.is("URL") {
            !is_link(line.value())
        } else if line.is(super::SKYPE_TEAMS) || line.is("LOCATION") {
            !is_link(line.text())
        } else {
            let is_text = line.is("DESCRIPTION");
            !shows_in_twin(&line, join_url)
                && (!is_text || block::find(&line.text(), join_url).is_none())
        }
    })
}

/// Whether there is a join block in the HTML twin on this line that could have been taken out.
fn shows_in_twin(line: &ContentLine<'_>, join_url: &JoinUrl) -> bool {
    let Some(Ok(twin)) = Twin::of(line) else {
        return false;
    };
    let found = block::find_html(&twin.html.text, join_url);
    found.is_some_and(|found| twin.can_cut(found.start, found.end))
}
