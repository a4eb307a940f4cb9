//! `meetbridge man`: the manual pages. Those of the commands come from the command line's own
//! definition, `meetbridge-log(7)` from the log's catalogue; two are written by hand.
//!
//! A page is made of the program alone: nothing of the time or the machine is in it.

mod commands;
mod log;

use std::path::Path;

use clap_mangen::roff::{Roff, bold, roman};

use super::{Exit, output};

/// Stands at the foot of each page.
const SOURCE: &str = concat!("meetbridge ", env!("CARGO_PKG_VERSION"));
/// Stands at the head of each page.
const MANUAL: &str = "meetbridge manual";
/// Pages bear no date.
const NO_DATE: &str = "\"\"";

/// One page.
struct Page {
    name: String,
    section: u8,
    text: String,
}

impl Page {
    fn new(name: &str, section: u8, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            section,
            text: text.to_owned(),
        }
    }

    /// The name of its file.
    fn file(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }
}

/// Writes the page to stdout, or all of them into a directory.
pub(super) fn man(page: &str, directory: Option<&Path>) -> Exit {
    let pages = pages();
    if let Some(directory) = directory {
        return write_all(&pages, directory);
    }
    let found = pages
        .iter()
        .find(|known| page == known.name || page == known.file());
    let Some(found) = found else {
        let known: Vec<_> = pages.iter().map(Page::file).collect();
        output::fail(&format!(
            "no manual page has this name; there are {}",
            known.join(", ")
        ));
        return Exit::Usage;
    };
    output::write(found.text.as_bytes())
}

/// Each goes where `man` looks for it below a directory of manuals.
fn write_all(pages: &[Page], directory: &Path) -> Exit {
    for page in pages {
        let place = directory.join(format!("man{}", page.section));
        let path = place.join(page.file());
        let written =
            std::fs::create_dir_all(&place).and_then(|()| std::fs::write(&path, &page.text));
        if let Err(error) = written {
            output::fail(&format!("{}: {error}", path.display()));
            return Exit::Failed;
        }
    }
    Exit::Done
}

/// All of them; of two with one name, the one that is meant without a section is first.
fn pages() -> Vec<Page> {
    let mut pages = commands::pages();
    let guide = include_str!("man/meetbridge.7");
    let configuration = include_str!("man/meetbridge.toml.5");
    pages.push(Page::new("meetbridge.toml", 5, configuration));
    pages.push(Page::new("meetbridge", 7, guide));
    pages.push(Page::new("meetbridge-log", 7, &log::page()));
    pages
}

/// Begins a page: its title line.
fn titled(name: &str, section: &str) -> Roff {
    let mut roff = Roff::new();
    let title = name.to_uppercase();
    roff.control("TH", [&title, section, NO_DATE, SOURCE, MANUAL]);
    roff
}

/// A section of terms and what they mean.
fn list(roff: &mut Roff, heading: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (term, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*meaning)]);
    }
}

/// The names of pages, each with its section.
fn see_also(roff: &mut Roff, pages: &[&str]) {
    let mut line = Vec::new();
    for page in pages {
        let (name, section) = page.split_at(page.find('(').unwrap_or(page.len()));
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(name), roman(section)]);
    }
    roff.text(line);
}

/// The page's text. Lines are ragged and words whole, so that names can be copied; what stands in
/// backticks is bold, as commands and keys are in manuals.
fn finished(text: &str) -> String {
    let mut page = ".nr HY 0\n".to_owned();
    for line in text
        .replacen("\n.SH", "\n.ad l\n.SH", 1)
        .split_inclusive('\n')
    {
        let mut rest = line;
        while let Some((before, code, after)) = code(rest) {
            page.push_str(&format!("{before}\\fB{code}\\fR"));
            rest = after;
        }
        page.push_str(rest);
    }
    page
}

/// The first piece of a line that stands in backticks, with what is around it.
fn code(line: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = line.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    Some((before, code, after))
}
