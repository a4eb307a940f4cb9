//! Bytes → logical content lines → components, each with its byte range. Lossless: a [`Document`]
//! borrows its bytes and changes none.
//!
//! A line ends with LF, with CRs and a LF, or with CRs alone; a line that begins with a space or a tab
//! continues the one before (RFC 5545, 3.1). A byte order mark before a BEGIN:VCALENDAR is no part of it:
//! where calendars were put into one file, each may have brought its own. What is no content line, and a BEGIN or END that finds no
//! partner, is a [`Fault`] and stays where it is; only what would cost too much refuses the document.

use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memchr2;

pub use super::line::{ContentLine, Param, escape_text, unescape_text};
use super::line::{after_carriage_returns, decode};

/// The largest document that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// The longest logical line, in bytes, folding included.
pub const MAX_LINE: usize = 8 << 20;
/// The most physical lines.
pub const MAX_LINES: usize = 4_000_000;
/// The most components, nested ones included.
pub const MAX_COMPONENTS: usize = 500_000;
/// The deepest nesting of components.
pub const MAX_DEPTH: usize = 32;
/// How many faults are told one by one; the last one then counts the rest.
pub const MAX_FAULTS: usize = 100;

/// How many characters of a component's name are kept.
const MAX_NAME: usize = 64;
/// The components that stand side by side in a VCALENDAR: the BEGIN of one ends an unfinished other.
const SIBLINGS: [&str; 5] = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE"];
const NO_COMPONENT: u32 = u32::MAX;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Why a document is not read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Over [`MAX_BYTES`].
    #[error("the calendar has {bytes} bytes; at most {MAX_BYTES} are read: split it")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// A logical line over [`MAX_LINE`].
    #[error(
        "line {line}: longer than {MAX_LINE} bytes; take the attachment out or replace it by a link"
    )]
    LineTooLong {
        /// Its first physical line.
        line: usize,
    },
    /// Over [`MAX_LINES`].
    #[error("line {line}: more than {MAX_LINES} lines; split the calendar")]
    TooManyLines {
        /// The first line over the limit.
        line: usize,
    },
    /// Over [`MAX_COMPONENTS`].
    #[error("line {line}: more than {MAX_COMPONENTS} components; split the calendar")]
    TooManyComponents {
        /// Where the first one over the limit begins.
        line: usize,
    },
    /// Over [`MAX_DEPTH`].
    #[error("line {line}: components nested deeper than {MAX_DEPTH}; no calendar needs that")]
    TooDeep {
        /// Where the first one over the limit begins.
        line: usize,
    },
}

/// Something in the document that is not understood and left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The physical line, from 1.
    pub line: usize,
    /// What is wrong with it; holds nothing of the line but the name of a component.
    pub what: String,
}

/// A component: from its BEGIN to its END.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its name, in upper case; at most 64 characters, all printable ASCII.
    pub name: String,
    /// The component it stands in.
    pub parent: Option<usize>,
    /// Its bytes: the BEGIN line up to the END line and its line end. Where the END is missing: up to
    /// the line that ends it all the same.
    pub range: Range<usize>,
    /// The byte where a new property line goes: before the first nested BEGIN, else before END.
    pub insert_at: usize,
    /// It has an END of its own.
    pub closed: bool,
    /// The physical line of its BEGIN, from 1.
    pub line: usize,
    /// It is a VCALENDAR with `VERSION:1.0`: a vCalendar, whose properties mean other things.
    pub vcalendar_1: bool,
    /// Its lines, nested components included.
    lines: Range<usize>,
}

/// A parsed document.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    bytes: &'a [u8],
    lines: Vec<Line>,
    components: Vec<Component>,
    faults: Vec<Fault>,
    eol: &'static [u8],
    fold: &'static [u8],
    utf8: bool,
}

/// A logical line. `owner` is the component whose property it is; BEGIN, END, blank lines and lines
/// that are no content line have none. 32 bits hold every offset below [`MAX_BYTES`].
#[derive(Clone, Copy, Debug)]
struct Line {
    start: u32,
    end: u32,
    number: u32,
    owner: u32,
}

impl<'a> Document<'a> {
    /// Splits `bytes` into lines and components, in linear time.
    ///
    /// # Errors
    /// [`DocumentError`] when a limit is passed. Anything else that is wrong is among
    /// [`Self::faults`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DocumentError> {
        Self::parse_part(bytes, &[])
    }

    /// The same for what was put together of parts of a larger document, whose line numbers its lines
    /// get: `origins` says from which byte on, and the number of the line there, in ascending order.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_part(
        bytes: &'a [u8],
        origins: &'a [(usize, usize)],
    ) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_BYTES {
            return Err(DocumentError::TooLarge { bytes: bytes.len() });
        }
        let mut parser = Parser::new(bytes);
        parser.origins = origins;
        parser.run()?;
        Ok(parser.finish())
    }

    /// The bytes it was parsed from.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its components, in the order of their BEGIN.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The properties of the component with that index, in order: not those of components in it, and
    /// neither BEGIN nor END. Empty when there is no such component.
    pub fn lines(&self, component: usize) -> impl Iterator<Item = ContentLine<'a>> + use<'a, '_> {
        let within = self
            .components
            .get(component)
            .map_or(0..0, |component| component.lines.clone());
        let owner = u32::try_from(component).unwrap_or(NO_COMPONENT);
        self.lines
            .get(within)
            .unwrap_or_default()
            .iter()
            .filter(move |line| line.owner == owner)
            .map(|line| line.content(self.bytes))
    }

    /// Every logical line, BEGIN and END and those that are not understood included. Together they are
    /// the document, but for a byte order mark at its start; one within it is a line by itself.
    pub fn all_lines(&self) -> impl Iterator<Item = ContentLine<'a>> + use<'a, '_> {
        self.lines.iter().map(|line| line.content(self.bytes))
    }

    /// What is not understood, in order; at most [`MAX_FAULTS`].
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The line end it uses most (the earlier one of two): CRLF where it has none.
    pub fn eol(&self) -> &'static [u8] {
        self.eol
    }

    /// Whether it is UTF-8 throughout.
    pub fn is_utf8(&self) -> bool {
        self.utf8
    }

    /// Whether the component and all components in it have an END of their own.
    pub fn is_whole(&self, component: usize) -> bool {
        let Some(outer) = self.components.get(component) else {
            return false;
        };
        self.components
            .iter()
            .skip(component)
            .take_while(|inner| inner.range.start < outer.range.end)
            .all(|inner| inner.closed)
    }

    /// Whether the component stands in a vCalendar 1.0.
    pub fn is_vcalendar_1(&self, component: usize) -> bool {
        let mut at = Some(component);
        while let Some(component) = at.and_then(|at| self.components.get(at)) {
            if component.vcalendar_1 {
                return true;
            }
            at = component.parent;
        }
        false
    }

    /// The continuation character it uses most: a space where it has none.
    pub fn fold(&self) -> &'static [u8] {
        self.fold
    }
}

impl Line {
    fn content<'a>(&self, bytes: &'a [u8]) -> ContentLine<'a> {
        ContentLine::new(
            bytes,
            self.start as usize..self.end as usize,
            self.number as usize,
        )
    }
}

/// The document in the making.
struct Parser<'a> {
    bytes: &'a [u8],
    lines: Vec<Line>,
    components: Vec<Component>,
    /// The open components, outermost first.
    open: Vec<usize>,
    faults: Vec<Fault>,
    untold: usize,
    /// Physical lines so far.
    number: usize,
    /// See [`Document::parse_part`]; those that are still ahead.
    origins: &'a [(usize, usize)],
    /// The last one behind: how many lines there were before it, and the number of the line there.
    origin: (usize, usize),
    ends: BTreeMap<&'static [u8], (usize, usize)>,
    spaces: usize,
    tabs: usize,
}

impl<'a> Parser<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            lines: Vec::new(),
            components: Vec::new(),
            open: Vec::new(),
            faults: Vec::new(),
            untold: 0,
            number: 0,
            origins: &[],
            origin: (0, 1),
            ends: BTreeMap::new(),
            spaces: 0,
            tabs: 0,
        }
    }

    /// Walks over the physical lines and hands each logical one on.
    fn run(&mut self) -> Result<(), DocumentError> {
        let mut start = if self.bytes.starts_with(BOM) {
            BOM.len()
        } else {
            0
        };
        while start < self.bytes.len() {
            let first = self.number_at(start);
            let rest = self.bytes.get(start..).unwrap_or_default();
            if rest.strip_prefix(BOM).is_some_and(begins_calendar) {
                self.line(start..start + BOM.len(), first, None);
                start += BOM.len();
            }
            let mut end = start;
            loop {
                end = self.physical_line(end);
                if self.number > MAX_LINES {
                    return Err(DocumentError::TooManyLines { line: self.number });
                }
                if end - start > MAX_LINE {
                    return Err(DocumentError::LineTooLong { line: first });
                }
                match self.bytes.get(end) {
                    Some(b' ') => self.spaces += 1,
                    Some(b'\t') => self.tabs += 1,
                    _ => break,
                }
            }
            self.logical_line(start..end, first)?;
            start = end;
        }
        Ok(())
    }

    /// The number of the line that begins at this byte.
    fn number_at(&mut self, start: usize) -> usize {
        while let Some(((at, line), ahead)) = self.origins.split_first()
            && *at <= start
        {
            (self.origin, self.origins) = ((self.number, *line), ahead);
        }
        self.origin.1 + self.number - self.origin.0
    }

    /// The end of the physical line that begins at `from`, its line end included.
    fn physical_line(&mut self, from: usize) -> usize {
        self.number += 1;
        let rest = self.bytes.get(from..).unwrap_or_default();
        let Some(at) = memchr2(b'\r', b'\n', rest) else {
            return self.bytes.len();
        };
        let after = rest.get(at + 1..).unwrap_or_default();
        let (eol, more): (&'static [u8], usize) = if rest.get(at) == Some(&b'\n') {
            (b"\n", 0)
        } else {
            let more = after_carriage_returns(after);
            let ends_with_lf = more > 0 && after.get(more - 1) == Some(&b'\n');
            (if ends_with_lf { b"\r\n" } else { b"\r" }, more)
        };
        let number = self.number;
        self.ends.entry(eol).or_insert((0, number)).0 += 1;
        from + at + 1 + more
    }

    fn logical_line(&mut self, range: Range<usize>, number: usize) -> Result<(), DocumentError> {
        let line = ContentLine::new(self.bytes, range.clone(), number);
        let index = self.lines.len();
        let mut owner = None;
        if line.is("BEGIN") {
            self.begin(&line, index)?;
        } else if line.is("END") {
            self.end(&line, index);
        } else if !line.is_property() {
            if !line.is_blank() {
                self.fault(number, || "not a content line".to_owned());
            }
        } else if let Some(&component) = self.open.last() {
            owner = Some(component);
            if line.is("VERSION") {
                self.version(component, &line);
            }
        } else {
            self.fault(number, || "a property outside of any component".to_owned());
        }
        self.line(range, number, owner);
        Ok(())
    }

    fn line(&mut self, range: Range<usize>, number: usize, owner: Option<usize>) {
        self.lines.push(Line {
            start: compact(range.start),
            end: compact(range.end),
            number: compact(number),
            owner: owner.map_or(NO_COMPONENT, compact),
        });
    }

    fn begin(&mut self, line: &ContentLine<'a>, index: usize) -> Result<(), DocumentError> {
        let name = component_name(line);
        let start = line.range().start;
        let unfinished = if name == "VCALENDAR" {
            self.innermost(|open| open == "VCALENDAR")
        } else if SIBLINGS.contains(&name.as_str()) {
            self.innermost(|open| SIBLINGS.contains(&open))
        } else {
            None
        };
        if let Some(depth) = unfinished {
            self.abandon(depth, start, index);
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(DocumentError::TooDeep {
                line: line.number(),
            });
        }
        if self.components.len() >= MAX_COMPONENTS {
            return Err(DocumentError::TooManyComponents {
                line: line.number(),
            });
        }
        let parent = self.open.last().copied();
        if let Some(parent) = parent.and_then(|parent| self.components.get_mut(parent)) {
            parent.insert_at = parent.insert_at.min(start);
        }
        self.open.push(self.components.len());
        self.components.push(Component {
            name,
            parent,
            range: line.range(),
            insert_at: usize::MAX,
            closed: false,
            line: line.number(),
            vcalendar_1: false,
            lines: index..index,
        });
        Ok(())
    }

    fn version(&mut self, component: usize, line: &ContentLine<'a>) {
        if let Some(component) = self.components.get_mut(component) {
            component.vcalendar_1 |=
                component.name == "VCALENDAR" && line.raw_value().trim_ascii() == b"1.0";
        }
    }

    fn end(&mut self, line: &ContentLine<'a>, index: usize) {
        let name = component_name(line);
        let Some(depth) = self.innermost(|open| open == name) else {
            self.fault(line.number(), || format!("END:{name} without its BEGIN"));
            return;
        };
        self.abandon(depth + 1, line.range().start, index);
        if let Some(component) = self.open.pop().and_then(|at| self.components.get_mut(at)) {
            component.range.end = line.range().end;
            component.insert_at = component.insert_at.min(line.range().start);
            component.closed = true;
            component.lines.end = index;
        }
    }

    /// The depth of the innermost open component with such a name.
    fn innermost(&self, named: impl Fn(&str) -> bool) -> Option<usize> {
        self.open.iter().rposition(|&at| {
            self.components
                .get(at)
                .is_some_and(|component| named(&component.name))
        })
    }

    /// Ends the open components from `depth` on before the byte `at`, as they lack their END.
    fn abandon(&mut self, depth: usize, at: usize, index: usize) {
        while self.open.len() > depth {
            let Some(open) = self.open.pop() else { return };
            let Some(component) = self.components.get_mut(open) else {
                continue;
            };
            component.range.end = at;
            component.insert_at = component.insert_at.min(at);
            component.lines.end = index;
            let (line, name) = (component.line, component.name.clone());
            self.fault(line, || format!("BEGIN:{name} without its END"));
        }
    }

    fn fault(&mut self, line: usize, what: impl FnOnce() -> String) {
        if self.faults.len() + 1 < MAX_FAULTS {
            self.faults.push(Fault { line, what: what() });
        } else {
            self.untold += 1;
        }
    }

    fn finish(mut self) -> Document<'a> {
        self.abandon(0, self.bytes.len(), self.lines.len());
        self.faults.sort_by_key(|fault| fault.line);
        if self.untold > 0 {
            self.faults.push(Fault {
                line: self.origin.1 + self.number - self.origin.0.min(self.number),
                what: format!("and {} more faults", self.untold),
            });
        }
        let eol = self
            .ends
            .into_iter()
            .max_by_key(|&(_, (count, first))| (count, std::cmp::Reverse(first)))
            .map_or(&b"\r\n"[..], |(eol, _)| eol);
        Document {
            bytes: self.bytes,
            lines: self.lines,
            components: self.components,
            faults: self.faults,
            eol,
            fold: if self.tabs > self.spaces { b"\t" } else { b" " },
            utf8: std::str::from_utf8(self.bytes).is_ok(),
        }
    }
}

fn begins_calendar(bytes: &[u8]) -> bool {
    const BEGIN: &[u8] = b"BEGIN:VCALENDAR";
    let head = bytes.get(..BEGIN.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(BEGIN))
}

/// The component's name on a BEGIN or END line; shown in faults, so nothing but printable ASCII.
fn component_name(line: &ContentLine<'_>) -> String {
    let value = line.raw_value();
    let value = value.get(..4 * MAX_NAME).unwrap_or(&value);
    decode(value.trim_ascii())
        .chars()
        .filter(char::is_ascii_graphic)
        .map(|c| c.to_ascii_uppercase())
        .take(MAX_NAME)
        .collect()
}

/// Offsets and numbers below [`MAX_BYTES`], which fit.
fn compact(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "document_tests.rs"]
pub(crate) mod tests;
