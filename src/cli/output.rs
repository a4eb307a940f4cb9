//! What people see: text to stdout and stderr, tables that fit the width.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::AnsiColor;
use comfy_table::{ContentArrangement, Table, presets};
use tokio::sync::mpsc;

use super::Exit;
use crate::calendar::Attendees;
use crate::config::Faults;
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
            fail(&format!("standard output: {error}"));
            Exit::Failed
        }
        _ => Exit::Done,
    }
}

/// Whether nothing but what went wrong is said on stderr.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From here on, nothing but what went wrong is said on stderr.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Says something to the person, on stderr, unless they want it quiet.
pub(super) fn say(line: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        let _ = writeln!(anstream::stderr(), "{line}");
    }
}

/// Asks the person for something without which nothing goes on, on stderr.
pub(super) fn ask(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Says on stderr what went wrong, in the words of a part that says what is wrong, then what to do.
pub(super) fn fail(text: &str) {
    let _ = writeln!(anstream::stderr(), "{}", painted(&failure(text)));
}

/// Says all that is wrong with a configuration.
pub(super) fn fail_by(faults: &Faults) {
    let all: Vec<_> = faults.to_string().split("\n\n").map(error).collect();
    let _ = writeln!(anstream::stderr(), "{}", painted(&all.join("\n\n")));
}

/// `error: ` and what is wrong; below it, where the text goes on after a semicolon, what to do.
fn failure(text: &str) -> String {
    match text.split_once("; ") {
        Some((what, hint)) => format!("{}\n{HINT} {hint}", error(what)),
        None => error(text),
    }
}

fn error(what: &str) -> String {
    format!("{ERROR} {what}")
}

const ERROR: &str = "error:";
const HINT: &str = "  hint:";

/// With the colours of `error:` and `hint:`, which the stream takes out again where there are to be none.
fn painted(text: &str) -> String {
    let red = AnsiColor::Red.on_default().bold();
    let cyan = AnsiColor::Cyan.on_default();
    let lines = text.split_inclusive('\n').map(|line| {
        for (word, style) in [(ERROR, red), (HINT, cyan)] {
            if let Some(rest) = line.strip_prefix(word) {
                return format!("{style}{word}{style:#}{rest}");
            }
        }
        line.to_owned()
    });
    lines.collect()
}

/// Whether what goes to stderr is coloured: on a terminal, unless `NO_COLOR` or `TERM=dumb` says no
/// or `CLICOLOR_FORCE` says yes in any case, which help texts obey as well.
pub(super) fn colour() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// Passes on what the daemon says; what a terminal would obey is escaped.
pub(super) fn pass_on(said: &Said) {
    let escaped = |text: &str| {
        let lines = text.split('\n').map(|line| Escaped(line).to_string());
        lines.collect::<Vec<_>>().join("\n")
    };
    let _ = match said {
        Said::Out(text) => write!(anstream::stdout(), "{}", escaped(text)),
        Said::Err(text) => write!(anstream::stderr(), "{}", painted(&escaped(text))),
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

    /// Says what went wrong, as [`fail`] does.
    pub(super) async fn fail(&self, text: &str) {
        match &self.to {
            None => fail(text),
            Some(to) => drop(to.send(Said::Err(format!("{}\n", failure(text)))).await),
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
        table.trim_fmt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_has_one_form() {
        let cases = [
            ("it is broken", "error: it is broken"),
            (
                "it is broken; mend it; or not",
                "error: it is broken\n  hint: mend it; or not",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(failure(text), expected);
            let painted = painted(&failure(text));
            assert!(painted.starts_with("\u{1b}["), "{painted:?}");
            assert_eq!(anstream::adapter::strip_str(&painted).to_string(), expected);
        }
    }
}
