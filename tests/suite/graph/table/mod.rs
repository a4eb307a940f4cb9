//! The table of graph-api.md, sections 4 to 6 and 11: for each line what the service does, and what
//! meetbridge does, through the port to meetings and, where it is about an event's fate, through passes.
//! Section 2.6 has its table beside the other tests of signing in.

mod change;
mod create_or_get;
mod errors;
pub(super) mod event;
mod raw;
mod read;
mod scene;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use super::*;

/// One line of the reference.
struct Row {
    /// How it begins, and no other line of its section.
    line: &'static str,
    /// What meetbridge does.
    does: &'static str,
    /// What shows it.
    shown: Shown,
}

enum Shown {
    /// A test with a service that does what the line says; where that is unconfirmed, each of the
    /// services that it may be.
    By(fn() -> LocalBoxFuture<'static, ()>),
    /// The rows of a table of its own.
    Table,
    /// Nothing: the line asks nothing of meetbridge, or of what it does not use.
    Nothing,
}

/// A row that a function shows.
macro_rules! row {
    ($line:expr, $does:expr, $shown:path) => {
        Row {
            line: $line,
            does: $does,
            shown: Shown::By(|| Box::pin($shown())),
        }
    };
}
use row;

const fn nothing(line: &'static str, why: &'static str) -> Row {
    Row {
        line,
        does: why,
        shown: Shown::Nothing,
    }
}

/// Shows every row, and says which of them do not hold.
async fn show(rows: &[Row]) {
    let mut failed = Vec::new();
    for row in rows {
        if let Shown::By(shown) = row.shown {
            let shown = std::panic::AssertUnwindSafe(shown()).catch_unwind();
            if shown.await.is_err() {
                failed.push(format!("{}: {}", row.line, row.does));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn section_4_make_or_find_a_meeting() {
    show(create_or_get::ROWS).await;
}

#[tokio::test]
async fn section_5_change_and_delete_a_meeting() {
    show(change::ROWS).await;
}

#[tokio::test]
async fn section_6_read_a_meeting() {
    show(read::ROWS).await;
}

#[tokio::test]
async fn section_11_errors() {
    show(errors::ROWS).await;
}

/// The lines of a section that say something: no headings, no fences, no heads of tables, and of an
/// example in JSON nothing.
fn lines(reference: &str, section: &str) -> Vec<String> {
    let heading = format!("## {section}. ");
    let mut lines = reference
        .lines()
        .skip_while(|line| !line.starts_with(&heading))
        .skip(1);
    let mut said: Vec<String> = Vec::new();
    let mut fence = None;
    for line in lines.by_ref().take_while(|line| !line.starts_with("## ")) {
        let line = line.trim();
        if let Some(kind) = line.strip_prefix("```") {
            fence = match fence {
                None => Some(kind.to_owned()),
                Some(_) => None,
            };
        } else if line.starts_with("|--") {
            // What stands above it is the table's head.
            said.pop();
        } else if !line.is_empty() && fence.as_deref() != Some("json") {
            said.push(line.to_owned());
        }
    }
    said
}

#[test]
#[cfg_attr(not(graph_schema), ignore = "../shared/reference is not there")]
fn no_line_of_the_reference_is_without_its_row() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/reference/graph-api.md"
    );
    let Ok(reference) = std::fs::read_to_string(path) else {
        return;
    };
    for (section, rows) in [
        ("4", create_or_get::ROWS),
        ("5", change::ROWS),
        ("6", read::ROWS),
        ("11", errors::ROWS),
    ] {
        let said = lines(&reference, section);
        assert!(!said.is_empty(), "section {section} is not there");
        for line in &said {
            let rows = rows.iter().filter(|row| line.starts_with(row.line)).count();
            assert!(rows > 0, "section {section} has no row for: {line}");
        }
        for row in rows {
            let found = said
                .iter()
                .filter(|line| line.starts_with(row.line))
                .count();
            assert_eq!(
                found, 1,
                "section {section}: lines that begin with: {}",
                row.line
            );
            assert!(!row.does.is_empty(), "{}", row.line);
        }
    }
    // Every status in the table of section 11 is a row of ours, and the other way round.
    let table = lines(&reference, "11");
    for line in table.iter().filter(|line| line.starts_with('|')) {
        let numbers = line.split('|').nth(1).unwrap_or_default();
        let named: Vec<u16> = numbers
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect();
        let ours = errors::STATUSES
            .iter()
            .filter(|row| line.starts_with(row.line));
        let mut ours: Vec<u16> = ours.flat_map(|row| row.statuses).copied().collect();
        ours.sort_unstable();
        ours.dedup();
        assert_eq!(ours, named, "{line}");
    }
}
