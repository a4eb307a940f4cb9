//! The text format: one line per event, whatever its fields hold.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use tracing::Level;

use super::line::Line;

/// `2026-11-23T12:00:00.000Z INFO  link.created a meeting was made calendar=team uid=a@b`, and a line
/// end.
pub(super) fn of(line: &Line, colour: bool) -> String {
    let (time, level, name) = (line.stamp(), line.level, line.name());
    let (bright, dim) = match colour {
        true => (style(level), Style::new().dimmed()),
        false => (Style::new(), Style::new()),
    };
    let (message, fields) = (&line.message, fields(line));
    format!(
        "{dim}{time}{dim:#} {bright}{level:<5} {name}{bright:#} {message}{dim}{fields}{dim:#}\n"
    )
}

/// The fields as `key=value`, each after a blank.
pub(super) fn fields(line: &Line) -> String {
    let mut text = String::new();
    for (name, value) in &line.fields {
        match value {
            Value::String(value) => {
                let _ = write!(text, " {name}=");
                quote(&mut text, value);
            }
            value => {
                let _ = write!(text, " {name}={value}");
            }
        }
    }
    text
}

fn style(level: Level) -> Style {
    let colour = match level {
        Level::ERROR => AnsiColor::Red,
        Level::WARN => AnsiColor::Yellow,
        Level::INFO => AnsiColor::Green,
        _ => AnsiColor::Blue,
    };
    colour.on_default()
}

/// In quotes where it would not stand out as one value otherwise.
fn quote(out: &mut String, value: &str) {
    if !value.is_empty() && !value.contains([' ', '"', '=']) {
        out.push_str(value);
        return;
    }
    out.push('"');
    out.push_str(&value.replace('"', "\\\""));
    out.push('"');
}
