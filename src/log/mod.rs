//! The log, which is the monitoring interface: a catalogue of events with fixed sentences.
//!
//! Who has something to report writes `log::event!(LINK_CREATED, calendar = %name, uid = %uid)`: id,
//! level and sentence come from [`catalogue`], so they cannot vary. Fields that have not been
//! escaped yet are escaped by the format; what is secret must not be given to it at all.

pub mod catalogue;
mod chain;
mod filter;
mod journal;
mod json;
mod lasting;
mod line;
mod text;

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use tracing::Event;
use tracing::subscriber::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{self, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

pub use chain::Chain;
pub use filter::{Filter, FilterError};
pub use lasting::Lasting;

use crate::clock::Clock;

/// Logs an event of the [`catalogue`]: its name, then fields as `tracing` takes them.
///
/// ```
/// # let (name, uid) = ("team", "a@example.org");
/// meetbridge::log::event!(LINK_CREATED, calendar = %name, uid = %uid);
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __log_event {
    ($event:ident $(, $($fields:tt)*)?) => {
        $crate::log::__tracing::event!(
            $crate::log::catalogue::$event.level,
            event = $crate::log::catalogue::$event.id,
            message = $crate::log::catalogue::$event.sentence,
            $($($fields)*)?
        )
    };
}

pub use __log_event as event;

#[doc(hidden)]
pub use tracing as __tracing;

/// The form of the log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One line: time (UTC), level, event id, sentence, fields as `key=value`.
    #[default]
    Text,
    /// One JSON object per line: `time`, `level`, `event`, `message`, and the fields.
    Json,
    /// Entries of systemd's journal, with the fields as `MEETBRIDGE_...`.
    Journald,
}

impl Format {
    /// The form where none is configured: journald where stderr is the journal, text elsewhere.
    ///
    /// `journal_stream` is what systemd set `JOURNAL_STREAM` to: device and inode of what it gave the
    /// service for its output (systemd.exec(5)). Whoever inherits the variable may write elsewhere.
    pub fn of_output(journal_stream: Option<&OsStr>, stderr: impl AsFd) -> Self {
        let Ok(own) = rustix::fs::fstat(stderr) else {
            return Self::Text;
        };
        let own = format!("{}:{}", own.st_dev, own.st_ino);
        match journal_stream {
            Some(named) if named == own.as_str() => Self::Journald,
            _ => Self::Text,
        }
    }
}

/// How a log is written.
pub struct Output<W> {
    /// The form of a line.
    pub format: Format,
    /// Which lines are written.
    pub filter: Filter,
    /// Whether they are coloured.
    pub colour: bool,
    /// What they are dated by.
    pub clock: Arc<dyn Clock>,
    /// Where they go; each line is one write.
    pub writer: W,
}

/// Decides while the process runs which lines are written.
#[derive(Clone)]
pub struct Dial(reload::Handle<Targets, Registry>);

impl Dial {
    /// From here on, these lines are written.
    pub fn set(&self, filter: Filter) {
        // It fails only where the log is gone.
        let _ = self.0.reload(filter.into_targets());
    }
}

/// Sends the whole process's log to `output`.
///
/// # Errors
/// When it has been called before.
pub fn init<W>(output: Output<W>) -> Result<Dial, tracing_subscriber::util::TryInitError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (subscriber, dial) = with_dial(output);
    subscriber.try_init()?;
    Ok(dial)
}

/// What [`init`] installs; for tests, which install it for a thread.
pub fn subscriber<W>(output: Output<W>) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    with_dial(output).0
}

/// The same, and what its filter is changed by.
pub fn with_dial<W>(output: Output<W>) -> (impl Subscriber + Send + Sync, Dial)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    through(output, Path::new(journal::SOCKET))
}

/// The same, with the place where journald listens.
fn through<W>(output: Output<W>, socket: &Path) -> (impl Subscriber + Send + Sync + use<W>, Dial)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = Lines {
        format: output.format,
        journal: match output.format {
            Format::Journald => journal::Journal::at(socket).ok(),
            Format::Text | Format::Json => None,
        },
        colour: output.colour,
        clock: output.clock,
        writer: output.writer,
    };
    let (filter, handle) = reload::Layer::new(output.filter.into_targets());
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    (subscriber, Dial(handle))
}

/// Writes each event where it belongs.
struct Lines<W> {
    format: Format,
    journal: Option<journal::Journal>,
    colour: bool,
    clock: Arc<dyn Clock>,
    writer: W,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let line = line::Line::of(event, self.clock.now());
        let text = match (self.format, &self.journal) {
            (Format::Journald, Some(journal)) if journal.send(&line).is_ok() => return,
            // A journal that takes no entry may still have stderr.
            (Format::Text | Format::Journald, _) => text::of(&line, self.colour),
            (Format::Json, _) => json::of(&line),
        };
        // Where stderr is closed, too, there is nobody to tell.
        let _ = self
            .writer
            .make_writer_for(event.metadata())
            .write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests;
