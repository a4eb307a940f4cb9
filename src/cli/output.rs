//! What people see: text to stdout and stderr, tables that fit the width.

use std::io::Write as _;

/// Prints a line of data to stdout. A closed pipe is no failure of ours.
pub(super) fn print(line: &str) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// Says something to the person, on stderr.
pub(super) fn say(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// A terminal that says it is narrower than this has not been told its width.
const NARROWEST: u16 = 20;

/// Lays out rows under a head, within the terminal's width.
pub(super) fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    use comfy_table::{ContentArrangement, Table, presets};
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_some_and(|width| width < NARROWEST) {
        table.set_width(80);
    }
    table.set_header(head.iter().copied());
    table.add_rows(rows);
    table.to_string()
}
