//! What is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;

use crate::model::Escaped;

/// How many faults are kept and shown; the rest is counted.
pub(super) const SHOWN: usize = 50;

/// How much of a line is shown on either side of the fault, in characters.
const SHOWN_LINE: usize = 80;

/// Where a fault is. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column at which the faulty text begins.
    pub column: usize,
    /// How many characters of that line are meant, at least 1.
    pub width: usize,
    /// The line itself, raw; `None` when it may hold a secret.
    pub text: Option<String>,
}

/// One fault: the place, what is wrong, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where; `None` when the file as a whole is meant.
    pub place: Option<Place>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Everything that is wrong with a configuration, file by file and in file order; never empty. Of very
/// many, the first that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    files: Vec<(String, Vec<Fault>)>,
    more: usize,
}

impl Faults {
    pub(super) fn new(file: &str, mut faults: Vec<Fault>, more: usize) -> Self {
        faults.sort_by_key(|fault| fault.place.as_ref().map(|at| (at.line, at.column)));
        Self {
            files: vec![(file.to_owned(), faults)],
            more,
        }
    }

    pub(super) fn one(file: &str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        let fault = Fault {
            place: None,
            what: what.into(),
            hint: Some(hint.into()),
        };
        Self::new(file, vec![fault], 0)
    }

    /// Takes in what is wrong with another file; beyond what is shown, it is counted.
    pub(super) fn and(&mut self, other: Self) {
        self.more += other.more;
        for (file, mut faults) in other.files {
            let room = SHOWN.saturating_sub(self.iter().count());
            self.more += faults.len().saturating_sub(room);
            faults.truncate(room);
            self.files.push((file, faults));
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.more == 0 && self.iter().next().is_none()
    }

    /// The faults.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.in_files().map(|(_, fault)| fault)
    }

    /// The faults, each with the file that it is in.
    pub fn in_files(&self) -> impl Iterator<Item = (&str, &Fault)> {
        let files = self.files.iter();
        files.flat_map(|(file, faults)| faults.iter().map(|fault| (file.as_str(), fault)))
    }

    /// The configuration file, from which the others are included.
    pub fn file(&self) -> &str {
        self.files.first().map_or("", |(file, _)| file)
    }

    /// How many faults there are besides.
    pub fn more(&self) -> usize {
        self.more
    }
}

impl std::error::Error for Faults {}

/// Each fault as `file:line:column: what is wrong`, its line with a caret below, and a hint.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (file, fault)) in self.in_files().enumerate() {
            let file = Escaped(file);
            if n > 0 {
                f.write_str("\n\n")?;
            }
            match &fault.place {
                Some(at) => write!(f, "{file}:{}:{}: {}", at.line, at.column, fault.what)?,
                None => write!(f, "{file}: {}", fault.what)?,
            }
            if let Some(at) = &fault.place {
                quote(f, at)?;
            }
            if let Some(hint) = &fault.hint {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n\n{}: and {more} more", Escaped(self.file())),
        }
    }
}

/// The line and a caret below what is meant; a long line only around it.
fn quote(f: &mut fmt::Formatter<'_>, at: &Place) -> fmt::Result {
    let Some(text) = &at.text else {
        return write!(
            f,
            "\n  {} | (not shown: the line may hold a secret)",
            at.line
        );
    };
    let before = at.column.saturating_sub(1);
    let skip = before.saturating_sub(SHOWN_LINE);
    let shown = |from: usize, count: usize| {
        let part: String = text.chars().skip(from).take(count).collect();
        Escaped(&part.replace('\t', " ")).to_string()
    };
    let lead = shown(skip, before - skip);
    let meant = shown(before, at.width.min(SHOWN_LINE));
    let rest = shown(before + at.width.min(SHOWN_LINE), SHOWN_LINE);
    let indent = " ".repeat(lead.chars().count());
    let carets = "^".repeat(meant.chars().count().max(1));
    let gutter = " ".repeat(at.line.to_string().len());
    write!(f, "\n  {} | {lead}{meant}{rest}", at.line)?;
    write!(f, "\n  {gutter} | {indent}{carets}")
}

/// A text with what is needed to say where something stands in it.
pub(super) struct Text<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    /// Parts that begin inside a multi-line value, where no key says whether it is a secret.
    inside: Vec<Range<usize>>,
}

impl<'t> Text<'t> {
    pub(super) fn new(text: &'t str, inside: Vec<Range<usize>>) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            lines: std::iter::once(0).chain(after).collect(),
            inside,
        }
    }

    /// The line that a byte stands in, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// The place of a byte range; `key` is the key it belongs to, where one is known.
    pub(super) fn place(&self, span: Range<usize>, key: Option<&str>) -> Place {
        let start = self.border(span.start);
        let number = self.line(start);
        let line_start = self.lines.get(number - 1).copied().unwrap_or_default();
        let line_end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |at| start + at);
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        let end = self.border(span.end).clamp(start, line_end);
        let withheld = may_hold_secret(line)
            || match key {
                Some(key) => is_secret_like(key),
                None => self
                    .inside
                    .iter()
                    .any(|part| part.start < line_start && line_start < part.end),
            };
        Place {
            line: number,
            column: self.text[line_start..start].chars().count() + 1,
            width: self.text[start..end].chars().count().max(1),
            text: (!withheld).then(|| line.to_owned()),
        }
    }

    fn border(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at)
    }
}

/// Whether a key names a secret or where one comes from.
fn is_secret_like(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["secret", "passw", "token", "key", "credential"]
        .iter()
        .any(|word| key.contains(word))
}

/// Whether a line names a secret, or has a URL with userinfo or a query.
fn may_hold_secret(line: &str) -> bool {
    let has_query = |(_, rest): (&str, &str)| rest.contains('?');
    is_secret_like(line)
        || line.split_once("://").is_some_and(has_query)
        || line.split("://").skip(1).any(|rest| {
            rest.split(['/', '"', '\''])
                .next()
                .is_some_and(|a| a.contains('@'))
        })
}
