//! Where the VEVENTs of a body are, found line by line, without holding it.
//!
//! Only a body is scanned whose structure leaves no doubt: lines that end with LF or CRLF, BEGIN and END
//! in pairs and written plainly, VEVENTs directly in their VCALENDAR. Of any other, [`Document`] as a
//! whole tells what is in it.
//!
//! [`Document`]: crate::ical::document::Document

use std::io;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::body::Body;
use crate::ical::document::{MAX_BYTES, MAX_COMPONENTS, MAX_DEPTH, MAX_LINE, MAX_LINES};

/// How much of a line is looked at: more than the longest BEGIN of a component that is known here.
const LOOKED_AT: usize = 80;
/// The components that stand side by side in a VCALENDAR.
const SIBLINGS: [&[u8]; 5] = [b"VEVENT", b"VTODO", b"VJOURNAL", b"VFREEBUSY", b"VTIMEZONE"];
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A VEVENT: its bytes, the number of its first line and of the one behind it, and the how manieth
/// VCALENDAR it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) line: u32,
    pub(super) line_behind: u32,
    pub(super) calendar: usize,
}

impl Span {
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// The VEVENTs of a body, in order; `None` where only the whole of it tells.
pub(super) fn vevents(body: &Body) -> io::Result<Option<Vec<Span>>> {
    if body.len() > MAX_BYTES {
        return Ok(None);
    }
    let mut scan = Scan::default();
    let whole = body.blocks(0..body.len(), |block| Ok(scan.block(block).is_some()))?;
    Ok(whole.then(|| scan.finish()).flatten())
}

#[derive(Default)]
struct Scan {
    /// What is looked at of the line that is not at its end yet.
    line: Vec<u8>,
    /// Where it begins, and where the next block does.
    start: usize,
    at: usize,
    /// The last byte was a CR.
    returned: bool,
    lines: usize,
    /// Where the logical line begins.
    logical: usize,
    /// A continuation would make it something else.
    is_final: bool,
    components: usize,
    open: Vec<Vec<u8>>,
    calendars: usize,
    event: (usize, usize),
    found: Vec<Span>,
}

/// `None` from any of these: there is doubt.
impl Scan {
    fn block(&mut self, block: &[u8]) -> Option<()> {
        let mut done = 0;
        for at in memchr_iter(b'\n', block) {
            self.piece(block.get(done..at)?)?;
            self.returned = false;
            done = at + 1;
            self.end_line(self.at + done)?;
        }
        self.piece(block.get(done..)?)?;
        self.at += block.len();
        Some(())
    }

    /// A piece of a line, without its LF.
    fn piece(&mut self, piece: &[u8]) -> Option<()> {
        if piece.is_empty() {
            return Some(());
        }
        if self.returned {
            return None;
        }
        if let Some(at) = memchr(b'\r', piece) {
            if at + 1 != piece.len() {
                return None;
            }
            self.returned = true;
        }
        let room = LOOKED_AT.saturating_sub(self.line.len()).min(piece.len());
        self.line.extend_from_slice(piece.get(..room)?);
        Some(())
    }

    fn end_line(&mut self, end: usize) -> Option<()> {
        let mut line = std::mem::take(&mut self.line);
        let start = std::mem::replace(&mut self.start, end);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        let seen = self.physical(text, start..end);
        line.clear();
        self.line = line;
        seen
    }

    fn physical(&mut self, text: &[u8], range: Range<usize>) -> Option<()> {
        self.lines += 1;
        if let Some(b' ' | b'\t') = text.first() {
            let is_continuation = self.lines > 1 && !self.is_final;
            let fits = range.end - self.logical <= MAX_LINE;
            return (is_continuation && fits && self.lines <= MAX_LINES).then_some(());
        }
        self.logical = range.start;
        if self.lines > MAX_LINES || range.len() > MAX_LINE {
            return None;
        }
        let text = match (range.start, text.strip_prefix(BOM)) {
            (0, Some(rest)) => rest,
            (_, Some(_)) => return None,
            (_, None) => text,
        };
        self.is_final = true;
        match (named(text, b"BEGIN")?, named(text, b"END")?) {
            (Some(name), _) => self.begin(name, range.start),
            (None, Some(name)) => self.end(name, range.end),
            (None, None) => {
                self.is_final = is_start_of(text, b"BEGIN") || is_start_of(text, b"END");
                Some(())
            }
        }
    }

    fn begin(&mut self, name: &[u8], start: usize) -> Option<()> {
        self.components += 1;
        let fits = self.components <= MAX_COMPONENTS && self.open.len() < MAX_DEPTH;
        let is_in_place = match name {
            b"VCALENDAR" => self.open.is_empty(),
            name if SIBLINGS.contains(&name) => self.open.len() == 1,
            _ => !self.open.is_empty(),
        };
        if name == b"VCALENDAR" {
            self.calendars += 1;
        }
        if name == b"VEVENT" {
            self.event = (start, self.lines);
        }
        self.open.push(name.to_vec());
        (fits && is_in_place).then_some(())
    }

    fn end(&mut self, name: &[u8], end: usize) -> Option<()> {
        let open = self.open.pop()?;
        if open != name {
            return None;
        }
        if name == b"VEVENT" {
            self.found.push(Span {
                start: self.event.0,
                end,
                line: u32::try_from(self.event.1).ok()?,
                line_behind: u32::try_from(self.lines + 1).ok()?,
                calendar: self.calendars.checked_sub(1)?,
            });
        }
        Some(())
    }

    fn finish(mut self) -> Option<Vec<Span>> {
        if self.start < self.at {
            self.end_line(self.at)?;
        }
        self.open.is_empty().then_some(self.found)
    }
}

/// The component that a line begins or ends. `None`: it perhaps does so.
#[expect(clippy::option_option, reason = "doubt is not absence")]
fn named<'l>(text: &'l [u8], keyword: &[u8]) -> Option<Option<&'l [u8]>> {
    let (Some(head), Some(mark)) = (text.get(..keyword.len()), text.get(keyword.len())) else {
        return Some(None);
    };
    if !head.eq_ignore_ascii_case(keyword) || !matches!(mark, b':' | b';') {
        return Some(None);
    }
    let name = text.get(keyword.len() + 1..)?;
    let is_plain = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'-';
    let is_plain = !name.is_empty() && name.len() <= 64 && name.iter().all(is_plain);
    (head == keyword && *mark == b':' && is_plain).then_some(Some(name))
}

fn is_start_of(text: &[u8], keyword: &[u8]) -> bool {
    let start = keyword.get(..text.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(text))
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
