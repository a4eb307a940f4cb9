//! The text format: one line per event, whatever its fields hold.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use chrono::SecondsFormat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;
use crate::model::Escaped;

/// The longest value of a field, in characters; the rest is cut off.
const LONGEST: usize = 2000;

/// `2026-11-23T12:00:00.000Z INFO  link.created a meeting was made calendar=team uid=a@b`.
pub(super) struct Text {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) colour: bool,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let time = self
            .clock
            .now()
            .to_rfc3339_opts(SecondsFormat::Millis, true);
        let level = *event.metadata().level();
        // What is not of the catalogue is named by its module.
        let id = match parts.id.is_empty() {
            true => event.metadata().target(),
            false => &parts.id,
        };
        let style = if self.colour {
            style(level)
        } else {
            Style::new()
        };
        let dim = if self.colour {
            Style::new().dimmed()
        } else {
            Style::new()
        };
        write!(
            out,
            "{dim}{time}{dim:#} {style}{level:<5} {id}{style:#} {}",
            parts.message
        )?;
        writeln!(out, "{dim}{}{dim:#}", parts.fields)
    }
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

/// What an event consists of, each part escaped.
#[derive(Default)]
struct Parts {
    id: String,
    message: String,
    fields: String,
}

impl Parts {
    fn add(&mut self, field: &Field, value: &str) {
        let clean = clean(value);
        match field.name() {
            "event" => self.id = clean,
            "message" => self.message = clean,
            name => {
                let _ = write!(self.fields, " {}=", Escaped(name));
                quote(&mut self.fields, &clean);
            }
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }

    /// An error with its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.add(field, &text);
    }
}

/// Cut to the longest value, without control characters.
fn clean(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", Escaped(&value[..end])),
        None => Escaped(value).to_string(),
    }
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
