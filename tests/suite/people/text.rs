//! Calendar text as a reader of RFC 5545 sees it: content lines, events, values. Shares no code with
//! `src/ical`, and is simple where that is lenient: it reads what these tests generate.

use std::ops::Range;

/// A content line as it stands: all its physical lines with their line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<u8>);

/// A line unfolded and taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// In upper case.
    pub(super) name: String,
    /// Name and parameters as they stand.
    pub(super) head: String,
    /// As it stands, escapes included.
    pub(super) value: String,
}

impl Line {
    /// A line as `eol` and `fold` write it: `fold` octets a physical line, never inside a character.
    pub(super) fn new(head: &str, value: &str, eol: &str, fold: usize) -> Self {
        let mut bytes = Vec::new();
        let mut column = 0;
        for c in format!("{head}:{value}").chars() {
            if column + c.len_utf8() > fold {
                bytes.extend_from_slice(eol.as_bytes());
                bytes.push(b' ');
                column = 1;
            }
            bytes.extend_from_slice(c.to_string().as_bytes());
            column += c.len_utf8();
        }
        bytes.extend_from_slice(eol.as_bytes());
        Self(bytes)
    }

    pub(super) fn unfolded(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len());
        let mut rest = self.0.as_slice();
        while let Some((&first, behind)) = rest.split_first() {
            let eol = match rest {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => 0,
            };
            if eol > 0 {
                rest = rest.get(eol + 1..).unwrap_or_default();
            } else {
                bytes.push(first);
                rest = behind;
            }
        }
        bytes
    }

    pub(super) fn eol(&self) -> &'static str {
        if self.0.ends_with(b"\r\n") {
            "\r\n"
        } else {
            "\n"
        }
    }

    /// Without its last line end.
    pub(super) fn content(&self) -> &[u8] {
        self.0
            .strip_suffix(self.eol().as_bytes())
            .unwrap_or(&self.0)
    }

    pub(super) fn property(&self) -> Property {
        let text = String::from_utf8_lossy(&self.unfolded()).into_owned();
        let mut quoted = false;
        let colon = text.char_indices().find(|(_, c)| {
            quoted ^= *c == '"';
            *c == ':' && !quoted
        });
        let at = colon.map_or(text.len(), |(at, _)| at);
        let (head, value) = text.split_at(at);
        let name = head.split(';').next().unwrap_or(head);
        Property {
            name: name.trim_start_matches('\u{feff}').to_uppercase(),
            head: head.to_owned(),
            value: value.strip_prefix(':').unwrap_or(value).to_owned(),
        }
    }

    /// The same property with another value, as a client writes it.
    pub(super) fn with_value(&self, value: &str) -> Self {
        Self::new(&self.property().head, value, self.eol(), 75)
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// The name as it stands. No name is so long that it is folded.
    fn name(&self) -> &[u8] {
        let line = self
            .0
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(&self.0);
        let end = line.iter().position(|byte| b":;".contains(byte));
        &line[..end.unwrap_or(line.len())]
    }
}

/// A resource as content lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) lines: Vec<Line>,
}

/// One VEVENT: its lines, from BEGIN to END.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) uid: String,
    pub(super) range: Range<usize>,
}

impl Text {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut lines: Vec<Line> = Vec::new();
        for physical in bytes.split_inclusive(|byte| *byte == b'\n') {
            match lines.last_mut() {
                Some(line) if physical.starts_with(b" ") || physical.starts_with(b"\t") => {
                    line.0.extend_from_slice(physical);
                }
                _ => lines.push(Line(physical.to_vec())),
            }
        }
        Self { lines }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.0.clone()).collect()
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut begin = None;
        for (at, line) in self.lines.iter().enumerate() {
            if !line.is("BEGIN") && !line.is("END") {
                continue;
            }
            let property = line.property();
            if !property.value.eq_ignore_ascii_case("VEVENT") {
                continue;
            }
            match property.name.as_str() {
                "BEGIN" => begin = Some(at),
                "END" => {
                    let range = begin.take().unwrap()..at + 1;
                    let event = &self.lines[range.clone()];
                    let uid = value(event, "UID").unwrap();
                    parts.push(Part { uid, range });
                }
                _ => {}
            }
        }
        parts
    }

    /// The UIDs in it, each once, in order.
    pub(super) fn uids(&self) -> Vec<String> {
        let mut uids: Vec<String> = Vec::new();
        for part in self.parts() {
            if !uids.contains(&part.uid) {
                uids.push(part.uid);
            }
        }
        uids
    }

    /// The lines of each VEVENT of an event.
    pub(super) fn event(&self, uid: &str) -> Vec<Vec<Line>> {
        let parts = self.parts().into_iter().filter(|part| part.uid == uid);
        parts.map(|part| self.lines[part.range].to_vec()).collect()
    }

    /// Edits each VEVENT of an event.
    pub(super) fn edit(&mut self, uid: &str, mut edit: impl FnMut(&mut Vec<Line>)) {
        for part in self
            .parts()
            .into_iter()
            .rev()
            .filter(|part| part.uid == uid)
        {
            let mut lines: Vec<Line> = self.lines.splice(part.range.clone(), []).collect();
            edit(&mut lines);
            self.lines.splice(part.range.start..part.range.start, lines);
        }
    }

    /// Takes an event out; returns its lines.
    pub(super) fn take(&mut self, uid: &str) -> Vec<Line> {
        let mut taken = Vec::new();
        for part in self
            .parts()
            .into_iter()
            .rev()
            .filter(|part| part.uid == uid)
        {
            let lines: Vec<Line> = self.lines.splice(part.range, []).collect();
            taken.splice(0..0, lines);
        }
        taken
    }

    /// Puts lines in before the calendar's end.
    pub(super) fn put(&mut self, lines: Vec<Line>) {
        let end = self.lines.iter().rposition(|line| line.is("END")).unwrap();
        self.lines.splice(end..end, lines);
    }
}

/// The places of an event's own properties among its lines: not BEGIN, END, or what is nested.
pub(super) fn own(lines: &[Line]) -> Vec<usize> {
    let mut depth = 0;
    let mut own = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if line.is("BEGIN") {
            depth += 1;
        } else if line.is("END") {
            depth -= 1;
        } else if depth == 1 {
            own.push(at);
        }
    }
    own
}

/// An event's own properties.
pub(super) fn properties(lines: &[Line]) -> Vec<Property> {
    own(lines)
        .into_iter()
        .map(|at| lines[at].property())
        .collect()
}

/// The value of an event's own property.
pub(super) fn value(lines: &[Line], name: &str) -> Option<String> {
    place(lines, name).map(|at| lines[at].property().value)
}

/// Where an event's own property is.
pub(super) fn place(lines: &[Line], name: &str) -> Option<usize> {
    own(lines).into_iter().find(|at| lines[*at].is(name))
}

/// TEXT without its escapes (RFC 5545, 3.3.11).
pub(super) fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('n' | 'N')) => {
                chars.next();
                text.push('\n');
            }
            ('\\', Some('\\' | ',' | ';')) => text.extend(chars.next()),
            _ => text.push(c),
        }
    }
    text
}

/// The lines of an escaped text: where each begins and ends, its `\n` apart.
pub(super) fn paragraphs(value: &str) -> Vec<Range<usize>> {
    let mut paragraphs = Vec::new();
    let mut start = 0;
    let mut chars = value.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            continue;
        }
        if let Some((_, 'n' | 'N')) = chars.peek() {
            paragraphs.push(start..at);
            start = at + 2;
        }
        chars.next();
    }
    paragraphs.push(start..value.len());
    paragraphs
}

/// Where a fenced block with one of these URLs stands in an escaped text: from its first fence to the
/// line end behind its last; and the URL.
pub(super) fn block<'u>(value: &str, urls: &[&'u str]) -> Option<(Range<usize>, &'u str)> {
    let paragraphs = paragraphs(value);
    let is_fence = |range: &Range<usize>| {
        let text = value[range.clone()].trim();
        text.len() == 80 && text.bytes().all(|byte| byte == b'_')
    };
    let fences: Vec<usize> = (0..paragraphs.len())
        .filter(|at| is_fence(&paragraphs[*at]))
        .collect();
    for pair in fences.windows(2) {
        let inner = &value[paragraphs[pair[0]].start..paragraphs[pair[1]].start];
        if let Some(url) = urls.iter().find(|url| inner.contains(**url)) {
            let end = paragraphs
                .get(pair[1] + 1)
                .map_or(value.len(), |next| next.start);
            return Some((paragraphs[pair[0]].start..end, url));
        }
    }
    None
}

/// An escaped text without its block, and without what was put between it and the text before.
pub(super) fn without_block(value: &str, urls: &[&str]) -> String {
    let Some((range, _)) = block(value, urls) else {
        return value.to_owned();
    };
    let (before, behind) = (&value[..range.start], &value[range.end..]);
    if !unescaped(behind).trim().is_empty() {
        return format!("{before}{behind}");
    }
    // A text that ends in a backslash has it escaped, and a capital to tell.
    if let Some(kept) = before.strip_suffix("\\\\\\N\\n") {
        return format!("{kept}\\");
    }
    before.strip_suffix("\\n\\n").unwrap_or(before).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FENCE: &str =
        "________________________________________________________________________________";

    #[test]
    fn a_block_is_found_and_left_out() {
        let url = "https://t.example/1";
        let block = format!("{FENCE}\\nTeams\\nJoin: {url}\\n{FENCE}\\n");
        let cases = [
            (format!("a\\n\\n{block}"), "a"),
            (format!("a\\n\\n{block}behind"), "a\\n\\nbehind"),
            (
                format!("{FENCE}\\nmine\\n\\n{block}"),
                &format!("{FENCE}\\nmine"),
            ),
            (format!("x\\\\\\N\\n{block}"), "x\\"),
            (block, ""),
            ("nothing".to_owned(), "nothing"),
        ];
        for (value, expected) in cases {
            assert_eq!(without_block(&value, &[url]), expected, "{value}");
        }
    }

    #[test]
    fn a_line_is_taken_apart_and_written() {
        let line = Line(b"description;X=\"a:b\":t\xc3\r\n \xa4xt\\, \n\t x\r\n".to_vec());
        let property = line.property();
        assert_eq!(property.name, "DESCRIPTION");
        assert_eq!(property.head, "description;X=\"a:b\"");
        assert_eq!(property.value, "täxt\\,  x");
        let long = "ä".repeat(100);
        let line = Line::new("X-A", &long, "\n", 75);
        assert!(line.0.split(|b| *b == b'\n').all(|l| l.len() <= 75));
        assert_eq!(line.property().value, long);
    }
}
