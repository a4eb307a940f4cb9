//! What people see: text to stdout and stderr, tables that fit the width.

use std::io::{IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use tokio::sync::mpsc;

use super::Exit;
use crate::calendar::Attendees;
use crate::daemon::control::Said;
use crate::model::Escaped;

/// What is told of a meeting that was made otherwise than its calendar says.
pub(super) const OTHER_API: &str = "its meeting was made by another API than `api` says, which it keeps \
                                    unless `sync --rewrite` replaces it";

/// Prints a line of data to stdout. A closed pipe is no failure of ours.
pub(super) fn print(line: &str) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// Writes a file's content to stdout, as it is. A closed pipe is no failure of ours.
pub(super) fn write(content: &[u8]) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(content).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            say(&format!("meetbridge: standard output: {error}"));
            Exit::Failed
        }
        _ => Exit::Done,
    }
}

/// Says something to the person, on stderr.
pub(super) fn say(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Passes on what the daemon says; what a terminal would obey is escaped.
pub(super) fn pass_on(said: &Said) {
    let escaped = |text: &str| {
        let lines = text.split('\n').map(|line| Escaped(line).to_string());
        lines.collect::<Vec<_>>().join("\n")
    };
    let _ = match said {
        Said::Out(text) => write!(anstream::stdout(), "{}", escaped(text)),
        Said::Err(text) => write!(anstream::stderr(), "{}", escaped(text)),
    };
}

/// A terminal that says it is narrower than this has not been told its width.
const NARROWEST: u16 = 20;

/// The columns of the terminal that stdout is; `None` when it is none.
pub(super) fn width() -> Option<u16> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let told = Table::new().width().filter(|width| *width >= NARROWEST);
    Some(told.unwrap_or(80))
}

/// Whether attendees are told when an event of theirs gets its link: a name for machines, and words.
pub(super) fn attendees(told: Attendees) -> (&'static str, &'static str) {
    match told {
        Attendees::NotTold => ("not-told", "attendees are not told of a link"),
        Attendees::Told => (
            "told",
            "the server tells attendees of a link, by mail or in their copies of the event",
        ),
        Attendees::Unknown => (
            "unknown",
            "whether the server tells attendees of a link is not known",
        ),
    }
}

/// Whom a command speaks to: the person who started this process, or one who asked the daemon.
pub(super) struct Voice {
    to: Option<mpsc::Sender<Said>>,
    width: Option<u16>,
}

impl Voice {
    /// Speaks on this process's own stdout and stderr.
    pub(super) fn own() -> Self {
        Self {
            to: None,
            width: width(),
        }
    }

    /// Speaks to somebody elsewhere, whose terminal has `width` columns.
    pub(super) fn through(to: mpsc::Sender<Said>, width: Option<u16>) -> Self {
        Self {
            to: Some(to),
            width: width.map(|width| width.max(NARROWEST)),
        }
    }

    /// Prints a line of data.
    pub(super) async fn print(&self, line: &str) {
        match &self.to {
            None => print(line),
            // Who has gone hears nothing.
            Some(to) => drop(to.send(Said::Out(format!("{line}\n"))).await),
        }
    }

    /// Says something to the person.
    pub(super) async fn say(&self, line: &str) {
        match &self.to {
            None => say(line),
            Some(to) => drop(to.send(Said::Err(format!("{line}\n"))).await),
        }
    }

    /// Whether the data goes to a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Lays out rows under a head, within the terminal's width.
    pub(super) fn table(&self, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .force_no_tty();
        if let Some(width) = self.width {
            table.set_width(width);
        }
        table.set_header(head.iter().copied());
        table.add_rows(rows);
        table.to_string()
    }
}
