//! What a check tells: line by line on stdout, each fault with its cure.

use crate::cli::{Exit, output};
use crate::model::Escaped;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ok,
    Note,
    Warning,
    Error,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    kind: Kind,
    what: String,
    hint: Option<String>,
    /// What there is to paste, each on a line of its own.
    paste: Vec<String>,
}

impl Line {
    fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            hint: None,
            paste: Vec::new(),
        }
    }

    /// It is in order.
    pub(super) fn ok(what: impl Into<String>) -> Self {
        Self::new(Kind::Ok, what)
    }

    /// It is neither in order nor a fault.
    pub(super) fn note(what: impl Into<String>) -> Self {
        Self::new(Kind::Note, what)
    }

    /// It works, but perhaps not as meant; or it could not be asked for the time being.
    pub(super) fn warning(what: impl Into<String>) -> Self {
        Self::new(Kind::Warning, what)
    }

    /// It does not work.
    pub(super) fn error(what: impl Into<String>) -> Self {
        Self::new(Kind::Error, what)
    }

    /// An error in the words of a part that says what is wrong, then what to do.
    pub(super) fn failure(text: &str) -> Self {
        match text.split_once("; ") {
            Some((what, hint)) => Self::error(what).hint(hint),
            None => Self::error(text),
        }
    }

    /// What to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// What there is to paste for that.
    pub(super) fn paste(self, lines: impl IntoIterator<Item = String>) -> Self {
        Self {
            paste: lines.into_iter().collect(),
            ..self
        }
    }
}

/// Tells what is found, as it is found.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: usize,
}

impl Report {
    /// Prints a line, its hint, and what there is to paste.
    pub(super) fn tell(&mut self, line: Line) {
        let kind = match line.kind {
            Kind::Ok => "ok",
            Kind::Note => "note",
            Kind::Warning => "warning",
            Kind::Error => "error",
        };
        self.errors += usize::from(line.kind == Kind::Error);
        output::print(&format!("{kind}: {}", Escaped(&line.what)));
        if let Some(hint) = &line.hint {
            output::print(&format!("  hint: {}", Escaped(hint)));
        }
        for text in &line.paste {
            output::print(&format!("    {}", Escaped(text)));
        }
    }

    /// Prints how it is on the whole.
    pub(super) fn end(self, file: &str, calendars: usize) -> Exit {
        match self.errors {
            0 => {
                output::print(&format!("{file}: in order; calendars enabled: {calendars}"));
                Exit::Done
            }
            n => {
                output::print(&format!("{file}: errors: {n}"));
                Exit::Failed
            }
        }
    }
}
