//! What a line of the log consists of, whatever its form: each part cut, and without control characters.

use std::fmt::{self, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::catalogue::{self, Kind};
use crate::model::Escaped;

/// The longest value of a field, in characters; the rest is cut off.
const LONGEST: usize = 2000;

/// An event of the log.
pub(super) struct Line {
    /// When it was logged.
    pub(super) time: DateTime<Utc>,
    pub(super) level: Level,
    /// What it is in the catalogue; what the crates in use log is in none.
    pub(super) kind: Option<&'static Kind>,
    /// The module that logs it.
    pub(super) module: &'static str,
    pub(super) message: String,
    /// Texts, whole numbers and booleans by their names, in the order in which they were given.
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Line {
    /// Takes an event apart.
    pub(super) fn of(event: &Event<'_>, time: DateTime<Utc>) -> Self {
        let mut line = Self {
            time,
            level: *event.metadata().level(),
            kind: None,
            // A target is a literal, or the module's path.
            module: event.metadata().target(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    /// The time in RFC 3339, with milliseconds, in UTC.
    pub(super) fn stamp(&self) -> String {
        self.time.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// The id, or the module of what is not of the catalogue.
    pub(super) fn name(&self) -> &'static str {
        self.kind.map_or(self.module, |kind| kind.id)
    }

    fn text(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = clean(value),
            "event" if self.kind.is_none() => {
                self.kind = catalogue::find(value);
                if self.kind.is_none() {
                    self.fields.push(("event", clean(value).into()));
                }
            }
            name => self.fields.push((name, clean(value).into())),
        }
    }

    fn value(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.push((field.name(), value.into()));
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    /// An error with its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.text(field, &text);
    }
}

/// Cut to the longest value, without control characters.
fn clean(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", Escaped(&value[..end])),
        None => Escaped(value).to_string(),
    }
}
