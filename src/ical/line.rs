//! One logical content line (RFC 5545, 3.1): name, parameters, value. Reads; never changes a byte.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

/// A property line of a component, with every continuation that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct ContentLine<'a> {
    /// The physical lines, without the last line end.
    content: &'a [u8],
    number: usize,
    start: usize,
    end: usize,
}

/// One parameter of a content line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name, in upper case.
    pub name: String,
    /// Its values, without quotes and with RFC 6868's carets decoded; at least one, maybe empty.
    pub values: Vec<String>,
}

impl<'a> ContentLine<'a> {
    /// A line that stands at `range` (with its line end) of `bytes` and begins at physical line `number`.
    pub(super) fn new(bytes: &'a [u8], range: Range<usize>, number: usize) -> Self {
        let physical = bytes.get(range.clone()).unwrap_or_default();
        Self {
            content: without_eol(physical),
            number,
            start: range.start,
            end: range.end,
        }
    }

    /// The number of its first physical line, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Its bytes in the document: all folded lines and the last line end.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Whether its value begins behind a colon outside quotes, so that it does whatever is put to its end.
    pub(super) fn begins_plainly(&self) -> bool {
        plain_colon(&self.logical()).is_some()
    }

    /// Whether its value ends with a backslash that escapes nothing.
    pub(super) fn ends_in_escape(&self) -> bool {
        let value = self.raw_value();
        let backslashes = value.iter().rev().take_while(|&&byte| byte == b'\\');
        backslashes.count() % 2 == 1
    }

    /// Its bytes without the last line end: new bytes of its value go to the end of this.
    pub fn content_range(&self) -> Range<usize> {
        self.start..self.start + self.content.len()
    }

    /// Whether it is the property `name`, in ASCII and without regard to case.
    pub fn is(&self, name: &str) -> bool {
        let mut bytes = Unfolded { rest: self.content };
        let named = name.bytes().all(|wanted| {
            bytes
                .next()
                .is_some_and(|byte| byte.eq_ignore_ascii_case(&wanted))
        });
        named && matches!(bytes.next(), Some(b':' | b';'))
    }

    /// The property's name as it is written.
    pub fn name(&self) -> Cow<'a, str> {
        match self.logical() {
            Cow::Borrowed(line) => decode(head(line)),
            Cow::Owned(line) => Cow::Owned(decode(head(&line)).into_owned()),
        }
    }

    /// Its parameters, in order. For one of them [`Self::param`] takes less memory.
    pub fn params(&self) -> Vec<Param> {
        raw_params(&self.logical())
            .map(|(name, values)| Param {
                name: decode(name).trim().to_ascii_uppercase(),
                values: split(values, b',').map(param_value).collect(),
            })
            .collect()
    }

    /// The first parameter `name` (any case), several values joined by commas.
    pub fn param(&self, name: &str) -> Option<String> {
        let line = self.logical();
        let (_, values) =
            raw_params(&line).find(|(found, _)| decode(found).trim().eq_ignore_ascii_case(name))?;
        let mut joined = String::new();
        for (at, value) in split(values, b',').enumerate() {
            if at > 0 {
                joined.push(',');
            }
            joined.push_str(&param_value(value));
        }
        Some(joined)
    }

    /// The encoding of a value that is no plain text, as vCalendar 1.0 has it and binary values do
    /// (RFC 5545, 3.2.7): what is put at its end would be read as part of the encoding.
    pub fn encoding(&self) -> Option<&'static str> {
        let encoding = self.param("ENCODING")?.to_ascii_uppercase();
        match encoding.trim() {
            "8BIT" | "7BIT" => None,
            "QUOTED-PRINTABLE" => Some("QUOTED-PRINTABLE"),
            "BASE64" | "B" => Some("BASE64"),
            _ => Some("something unknown"),
        }
    }

    /// Its value's bytes, unfolded.
    pub fn raw_value(&self) -> Cow<'a, [u8]> {
        match self.logical() {
            Cow::Borrowed(line) => Cow::Borrowed(line.get(value_at(line)..).unwrap_or_default()),
            Cow::Owned(mut line) => {
                line.drain(..value_at(&line).min(line.len()));
                Cow::Owned(line)
            }
        }
    }

    /// Its value unfolded and decoded (UTF-8, else as Windows-1252), escapes as they are.
    pub fn value(&self) -> String {
        decode(&self.raw_value()).into_owned()
    }

    /// Its value as TEXT (RFC 5545, 3.3.11): [`Self::value`] without the escapes.
    pub fn text(&self) -> String {
        unescape_text(&self.value())
    }

    /// Its value as [`Self::text`], with the place of each character in the document.
    pub(super) fn located(&self) -> Located {
        let start = value_at(&self.logical());
        let mut unfolded = Unfolded { rest: self.content };
        let position = |rest: &[u8]| self.start + self.content.len() - rest.len();
        for _ in 0..start {
            unfolded.next();
        }
        let value_start = position(unfolded.rest);
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        while let Some(byte) = unfolded.next() {
            bytes.push(byte);
            ends.push(position(unfolded.rest));
        }
        let utf8 = std::str::from_utf8(&bytes).is_ok();
        let mut located = Located {
            text: String::new(),
            ends: Vec::new(),
            start: value_start,
        };
        let mut from = 0;
        let mut escape = false;
        for c in decode(&bytes).chars() {
            from += if utf8 { c.len_utf8() } else { 1 };
            let end = from.checked_sub(1).and_then(|last| ends.get(last));
            let end = end.copied().unwrap_or(value_start);
            if !escape && c == '\\' {
                escape = true;
                continue;
            }
            match c {
                'n' | 'N' if escape => located.push('\n', end),
                ',' | ';' | '\\' if escape => located.push(c, end),
                _ => {
                    if escape {
                        located.push('\\', end - 1);
                    }
                    located.push(c, end);
                }
            }
            escape = false;
        }
        if escape {
            located.push('\\', self.content_range().end);
        }
        located
    }

    /// What stands between the quotes of the first parameter `name`, as it is written: outer `None`, there
    /// is no such parameter; inner `None`, its value is not one in quotes.
    pub(super) fn quoted_param(&self, name: &str) -> Option<Option<Placed>> {
        let range = param_range(&self.logical(), name)?;
        let mut placed = self.placed(range);
        let quoted = placed.bytes.len() >= 2
            && placed.bytes.first() == Some(&b'"')
            && memchr(b'"', placed.bytes.get(1..)?) == Some(placed.bytes.len() - 2);
        if quoted {
            placed.cut_front(1);
            placed.bytes.pop();
        }
        Some(quoted.then_some(placed))
    }

    /// The bytes `range` of the logical line, with their places.
    fn placed(&self, range: Range<usize>) -> Placed {
        let mut unfolded = Unfolded { rest: self.content };
        let position = |rest: &[u8]| self.start + self.content.len() - rest.len();
        for _ in 0..range.start {
            unfolded.next();
        }
        let mut placed = Placed {
            bytes: Vec::with_capacity(range.len()),
            ends: Vec::with_capacity(range.len()),
            start: position(unfolded.rest),
        };
        for _ in range {
            let Some(byte) = unfolded.next() else { break };
            placed.bytes.push(byte);
            placed.ends.push(position(unfolded.rest));
        }
        placed
    }

    /// The whole line, unfolded, without its line end.
    pub(super) fn logical(&self) -> Cow<'a, [u8]> {
        if memchr2(b'\r', b'\n', self.content).is_none() {
            return Cow::Borrowed(self.content);
        }
        Cow::Owned(Unfolded { rest: self.content }.collect())
    }

    /// Whether it is written as a property: a name, maybe parameters, a colon.
    pub(super) fn is_property(&self) -> bool {
        let mut bytes = Unfolded { rest: self.content };
        let mut length = 0usize;
        let end = loop {
            match bytes.next() {
                Some(byte) if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) => length += 1,
                other => break other,
            }
        };
        length > 0
            && match end {
                Some(b':') => true,
                Some(b';') => memchr(b':', bytes.rest).is_some(),
                _ => false,
            }
    }

    /// Whether nothing but blanks stands on it.
    pub(super) fn is_blank(&self) -> bool {
        self.content.iter().all(u8::is_ascii_whitespace)
    }
}

/// Bytes of a logical line, and where each stands in the document.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) bytes: Vec<u8>,
    /// The offset behind each byte.
    pub(super) ends: Vec<usize>,
    /// The offset of the first.
    pub(super) start: usize,
}

impl Placed {
    /// Without the first `count` bytes.
    pub(super) fn cut_front(&mut self, count: usize) {
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        if let Some(end) = self.ends.drain(..count).next_back() {
            self.start = end;
        }
    }
}

/// A TEXT value and where it stands in the document.
#[derive(Debug)]
pub(super) struct Located {
    /// The value, unescaped.
    pub(super) text: String,
    /// For each byte of `text`: the offset behind the bytes it was read from.
    ends: Vec<usize>,
    start: usize,
}

impl Located {
    /// The text of these bytes.
    pub(super) fn of(placed: &Placed) -> Self {
        let mut located = Self {
            text: String::new(),
            ends: Vec::new(),
            start: placed.start,
        };
        let utf8 = std::str::from_utf8(&placed.bytes).is_ok();
        let mut ends = placed.ends.iter().copied();
        for c in decode(&placed.bytes).chars() {
            let skipped = if utf8 { c.len_utf8() - 1 } else { 0 };
            let end = ends.nth(skipped).unwrap_or(placed.start);
            located.push(c, end);
        }
        located
    }

    /// The offset in the document behind the first `index` bytes of the text.
    pub(super) fn after(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            None => self.start,
            Some(last) => self
                .ends
                .get(last)
                .or(self.ends.last())
                .copied()
                .unwrap_or(self.start),
        }
    }

    fn push(&mut self, c: char, end: usize) {
        self.text.push(c);
        self.ends.resize(self.text.len(), end);
    }
}

/// The bytes of a logical line without the line ends and continuation characters between its parts.
struct Unfolded<'a> {
    rest: &'a [u8],
}

impl Iterator for Unfolded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            if byte != b'\r' && byte != b'\n' {
                return Some(byte);
            }
            let eol = match byte {
                b'\n' => 0,
                _ => after_carriage_returns(rest),
            };
            // What follows a line end inside a logical line is one continuation character.
            self.rest = rest.get(eol + 1..).unwrap_or_default();
        }
    }
}

/// How many bytes of `rest` still belong to the line end that a CR has begun: more CRs, then a LF.
pub(super) fn after_carriage_returns(rest: &[u8]) -> usize {
    let returns = rest.iter().take_while(|&&byte| byte == b'\r').count();
    returns + usize::from(rest.get(returns) == Some(&b'\n'))
}

/// `physical` without the line end it ends with.
fn without_eol(physical: &[u8]) -> &[u8] {
    let mut content = physical.strip_suffix(b"\n").unwrap_or(physical);
    while let Some(shorter) = content.strip_suffix(b"\r") {
        content = shorter;
    }
    content
}

/// The name of a logical line: all before the first `;` or `:`.
fn head(line: &[u8]) -> &[u8] {
    let end = memchr2(b':', b';', line).unwrap_or(line.len());
    &line[..end]
}

/// Where the value of a logical line begins: after the first colon outside quotes. Where quotes are
/// unbalanced and hide every colon, the first colon counts.
fn value_at(line: &[u8]) -> usize {
    plain_colon(line)
        .or_else(|| memchr(b':', line))
        .map_or(line.len(), |at| at + 1)
}

/// The first colon outside quotes.
fn plain_colon(line: &[u8]) -> Option<usize> {
    let mut quoted = false;
    line.iter().position(|&byte| {
        quoted ^= byte == b'"';
        byte == b':' && !quoted
    })
}

/// Name and values of each parameter of a logical line, as they are written.
fn raw_params(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let value = value_at(line);
    let params = line
        .get(head(line).len()..value.saturating_sub(1))
        .unwrap_or_default();
    split(params, b';')
        .skip(1)
        .map(|param| match memchr(b'=', param) {
            Some(at) => (&param[..at], &param[at + 1..]),
            None => (param, &b""[..]),
        })
}

/// Where the value of the first parameter `name` stands in a logical line, with its quotes.
fn param_range(line: &[u8], name: &str) -> Option<Range<usize>> {
    let mut start = head(line).len();
    let params = line.get(start..value_at(line).saturating_sub(1))?;
    for param in split(params, b';') {
        let end = start + param.len();
        if let Some(at) = memchr(b'=', param)
            && decode(param.get(..at)?).trim().eq_ignore_ascii_case(name)
        {
            return Some(start + at + 1..end);
        }
        start = end + 1;
    }
    None
}

/// The parts of `bytes` between separators that stand outside quotes.
fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    bytes.split(move |&byte| {
        if byte == b'"' {
            quoted = !quoted;
        }
        byte == separator && !quoted
    })
}

/// One parameter value without its quotes, with the carets of RFC 6868 decoded.
fn param_value(raw: &[u8]) -> String {
    let decoded = decode(raw);
    let bare = decoded
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(&decoded);
    let mut value = String::with_capacity(bare.len());
    let mut chars = bare.chars();
    while let Some(c) = chars.next() {
        let replaced = match (c, chars.as_str().chars().next()) {
            ('^', Some('n')) => Some('\n'),
            ('^', Some('\'')) => Some('"'),
            ('^', Some('^')) => Some('^'),
            _ => None,
        };
        value.push(replaced.unwrap_or(c));
        if replaced.is_some() {
            chars.next();
        }
    }
    value
}

/// UTF-8, or what Windows-1252 makes of bytes that are not (the usual other character set in the
/// field; the five bytes it leaves open become the control characters of ISO 8859-1).
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|&byte| windows_1252(byte)).collect()),
    }
}

fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH
            .get(usize::from(byte - 0x80))
            .copied()
            .unwrap_or(char::from(byte)),
        _ => char::from(byte),
    }
}

/// TEXT without its escapes (RFC 5545, 3.3.11); an unknown escape stays as it is written.
pub fn unescape_text(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let mut chars = from.chars();
        chars.next();
        match chars.next() {
            Some('n' | 'N') => text.push('\n'),
            Some(c @ (',' | ';' | '\\')) => text.push(c),
            Some(c) => text.extend(['\\', c]),
            None => text.push('\\'),
        }
        rest = chars.as_str();
    }
    text.push_str(rest);
    text
}

/// `text` as a TEXT value: backslash, semicolon, comma and newline escaped; a CR is dropped.
pub fn escape_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => {}
            '\\' | ';' | ',' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}
