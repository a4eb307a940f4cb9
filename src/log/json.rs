//! The JSON format: one object per line.

use serde::ser::{SerializeMap as _, Serializer as _};

use super::line::Line;

/// The keys that a field of a foreign crate must not stand in for.
const OWN: [&str; 5] = ["time", "level", "event", "module", "message"];

/// `{"time":"2026-11-23T12:00:00.000Z","level":"info","event":"link.created",...}`, and a line end:
/// time, level, event (or module, of what is not of the catalogue), message, then the fields, numbers
/// as numbers.
pub(super) fn of(line: &Line) -> String {
    let mut out = Vec::new();
    // Strings, numbers and booleans into memory: nothing in it can fail.
    let _ = write(line, &mut out);
    let mut text = String::from_utf8(out).unwrap_or_default();
    text.push('\n');
    text
}

fn write(line: &Line, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut json = serde_json::Serializer::new(out);
    let mut object = json.serialize_map(None)?;
    object.serialize_entry("time", &line.stamp())?;
    object.serialize_entry("level", &line.level.as_str().to_ascii_lowercase())?;
    let key = if line.kind.is_some() {
        "event"
    } else {
        "module"
    };
    object.serialize_entry(key, line.name())?;
    object.serialize_entry("message", &line.message)?;
    for (name, value) in &line.fields {
        if !OWN.contains(name) {
            object.serialize_entry(name, value)?;
        }
    }
    object.end()
}
