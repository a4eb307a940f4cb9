//! Lossless edits: splices on the original bytes, and content lines in the style of the file.

use std::ops::Range;

use super::document::Document;
use super::line::{ContentLine, after_carriage_returns};

/// The longest physical line that is written, in octets, its line end apart (RFC 5545, 3.1).
const WIDTH: usize = 75;

/// What changes in a document: bytes put in and taken out at offsets of the original. The splices of
/// all events of a resource are collected and applied once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    splices: Vec<Splice>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Splice {
    at: usize,
    removed: usize,
    inserted: Vec<u8>,
}

impl Edits {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `bytes` in before the original byte `at`; after what was put there before.
    pub fn insert(&mut self, at: usize, bytes: impl Into<Vec<u8>>) {
        self.replace(at..at, bytes);
    }

    /// Takes the original bytes `range` out. Ranges of one `Edits` must not overlap.
    pub fn remove(&mut self, range: Range<usize>) {
        self.replace(range, Vec::new());
    }

    /// Puts `bytes` in the place of the original bytes `range`.
    pub fn replace(&mut self, range: Range<usize>, bytes: impl Into<Vec<u8>>) {
        let inserted = bytes.into();
        if !range.is_empty() || !inserted.is_empty() {
            self.splices.push(Splice {
                at: range.start,
                removed: range.len(),
                inserted,
            });
        }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.splices.is_empty()
    }

    /// Adds the edits of another part of the same original.
    pub fn merge(&mut self, other: Self) {
        self.splices.extend(other.splices);
    }

    /// The original with every edit made. Where edits overlap all the same, the earlier one has taken
    /// its bytes.
    pub fn apply(&self, original: &[u8]) -> Vec<u8> {
        self.apply_to(original, 0..original.len())
    }

    /// The same for a part of the original, in which all edits are.
    pub(super) fn apply_to(&self, original: &[u8], part: Range<usize>) -> Vec<u8> {
        let mut splices: Vec<&Splice> = self.splices.iter().collect();
        splices.sort_by_key(|splice| splice.at);
        let grown: usize = splices.iter().map(|splice| splice.inserted.len()).sum();
        let mut bytes = Vec::with_capacity(part.len() + grown);
        let mut done = part.start;
        for splice in splices {
            bytes.extend_from_slice(original.get(done..splice.at).unwrap_or_default());
            bytes.extend_from_slice(&splice.inserted);
            done = done.max(splice.at + splice.removed);
        }
        bytes.extend_from_slice(original.get(done..part.end).unwrap_or_default());
        bytes
    }
}

/// How a document writes its lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    eol: &'static [u8],
    fold: &'static [u8],
}

impl Style {
    pub(super) fn of(document: &Document<'_>) -> Self {
        Self {
            eol: document.eol(),
            fold: document.fold(),
        }
    }

    /// A whole content line, folded, with its line end: `head` is name and parameters.
    pub(super) fn line(self, head: &str, value: &str) -> Vec<u8> {
        let mut line = self.folded(0, &format!("{head}:{value}"));
        line.extend_from_slice(self.eol);
        line
    }

    /// `text` as it continues a physical line that holds `column` octets.
    pub(super) fn folded(self, mut column: usize, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len() + text.len() / 24 + 8);
        let mut buffer = [0; 4];
        for c in text.chars() {
            if column + c.len_utf8() > WIDTH {
                self.fold(&mut bytes);
                column = self.fold.len();
            }
            bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            column += c.len_utf8();
        }
        bytes
    }

    /// `text` as it is put behind `content`, the bytes of a line without its line end. A full line is
    /// continued on a new one, even when an empty continuation follows it already: so
    /// [`appended_from`] can tell.
    pub(super) fn appended(self, content: &[u8], text: &str) -> Vec<u8> {
        let full = column(without_empty_continuations(content)) >= WIDTH;
        let filled = if full { WIDTH } else { column(content) };
        self.folded(filled, text)
    }

    /// `rest`, bytes of a logical line from where a cut ends, as they continue a physical line that
    /// holds `column` octets: behind a line end of their own when they would be too long for it.
    pub(super) fn joined(self, column: usize, rest: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(rest.len() + 3);
        if is_wider(column, rest) {
            self.fold(&mut bytes);
        }
        bytes.extend_from_slice(rest);
        bytes
    }

    /// `text`, which ends in `last`, as it stands behind `column` octets and before `rest`, whose bytes
    /// stay as they are: where they find no room behind it, `last` goes onto their line.
    pub(super) fn between(self, column: usize, text: &str, last: &str, rest: &[u8]) -> Vec<u8> {
        let begun = text.strip_suffix(last).unwrap_or(text);
        let mut bytes = self.folded(column, begun);
        let filled = match bytes.iter().any(|byte| b"\r\n".contains(byte)) {
            true => self::column(&bytes),
            false => column + bytes.len(),
        };
        let first = rest
            .iter()
            .position(|byte| b"\r\n".contains(byte))
            .unwrap_or(rest.len());
        if filled + last.len() + first > WIDTH {
            self.fold(&mut bytes);
        }
        bytes.extend_from_slice(text.get(begun.len()..).unwrap_or_default().as_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    /// Begins a new physical line.
    pub(super) fn fold(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.eol);
        bytes.extend_from_slice(self.fold);
    }
}

/// How many octets the last physical line in `bytes` holds.
pub(super) fn column(bytes: &[u8]) -> usize {
    let last = bytes.iter().rposition(|byte| b"\r\n".contains(byte));
    bytes.len() - last.map_or(0, |at| at + 1)
}

/// Whether `rest` makes a physical line that holds `column` octets too wide; nothing of a line never does.
pub(super) fn is_wider(column: usize, rest: &[u8]) -> bool {
    let first = rest.iter().position(|byte| b"\r\n".contains(byte));
    let first = first.unwrap_or(rest.len());
    first > 0 && column + first > WIDTH
}

/// The length of the line end and continuation character that `bytes` of a logical line begin with; 0:
/// they begin with neither.
pub(super) fn fold_length(bytes: &[u8]) -> usize {
    let eol = match bytes.split_first() {
        Some((b'\r', rest)) => 1 + after_carriage_returns(rest),
        Some((b'\n', _)) => 1,
        _ => return 0,
    };
    bytes.len().min(eol + 1)
}

/// Where the bytes begin that [`Style::appended`] has put behind the byte `from` of `line`: behind the
/// empty continuations that were there already, before the one that it made because the line was full.
pub(super) fn appended_from(bytes: &[u8], line: &ContentLine<'_>, from: usize) -> usize {
    let content = line.content_range();
    let before = bytes.get(content.start..from).unwrap_or_default();
    let (mut behind, mut last) = (from, from);
    loop {
        let folding = fold_length(bytes.get(behind..content.end).unwrap_or_default());
        if folding == 0 {
            break;
        }
        last = behind;
        behind += folding;
    }
    if column(before) < WIDTH { behind } else { last }
}

/// The content of a line without the empty continuations at its end.
fn without_empty_continuations(mut content: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t', before)) = content.split_last() {
        let end = before
            .iter()
            .rposition(|byte| !b"\r\n".contains(byte))
            .map_or(0, |at| at + 1);
        if end == before.len() {
            break;
        }
        content = before.get(..end).unwrap_or_default();
    }
    content
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edits(splices: &[(Range<usize>, &str)]) -> Edits {
        let mut edits = Edits::new();
        for (range, bytes) in splices {
            edits.replace(range.clone(), bytes.as_bytes());
        }
        edits
    }

    #[test]
    fn splices_keep_every_other_byte() {
        type Splices = &'static [(Range<usize>, &'static str)];
        let cases: [(Splices, &str); 7] = [
            (&[], "abcdef"),
            (&[(0..0, "X")], "Xabcdef"),
            (&[(6..6, "X")], "abcdefX"),
            (&[(4..4, "Y"), (1..1, "X"), (1..1, "Z")], "aXZbcdYef"),
            (&[(2..4, "")], "abef"),
            (&[(2..4, "XYZ"), (4..6, "")], "abXYZ"),
            (&[(1..4, "X"), (2..5, "Y")], "aXYf"),
        ];
        for (splices, expected) in cases {
            let applied = edits(splices).apply(b"abcdef");
            assert_eq!(String::from_utf8(applied).unwrap(), expected);
        }
        assert!(edits(&[(3..3, "")]).is_empty());
        let mut merged = edits(&[(0..1, "")]);
        merged.merge(edits(&[(5..6, "")]));
        assert_eq!(merged.apply(b"abcdef"), b"bcde");
    }

    proptest! {
        #[test]
        fn a_written_line_is_narrow_and_unfolds_to_itself(
            value in "[a-z\u{e4}\u{20ac}\u{1f600} ]{0,400}",
            eol in 0..3usize,
            tab in any::<bool>(),
        ) {
            let style = Style {
                eol: [&b"\r\n"[..], b"\n", b"\r"][eol],
                fold: if tab { b"\t" } else { b" " },
            };
            let line = style.line("X-A;B=c", &value);
            for physical in line.split(|byte| b"\r\n".contains(byte)) {
                prop_assert!(physical.len() <= WIDTH);
                prop_assert!(std::str::from_utf8(physical).is_ok());
            }
            let bytes = [b"BEGIN:X\n", &line[..], b"END:X\n"].concat();
            let document = Document::parse(&bytes).unwrap();
            let read = document.lines(0).next().unwrap();
            prop_assert_eq!(read.value(), value);
            let located = read.located();
            prop_assert_eq!(&located.text, &read.text());
            prop_assert_eq!(located.after(located.text.len()), read.content_range().end);
        }
    }
}
