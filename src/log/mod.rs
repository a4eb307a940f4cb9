//! The log, which is the monitoring interface: a catalogue of events with fixed sentences.
//!
//! Who has something to report writes `log::event!(LINK_CREATED, calendar = %name, uid = %uid)`: id,
//! level and sentence come from [`catalogue`], so they cannot vary. Fields that have not been
//! escaped yet are escaped by the format; what is secret must not be given to it at all.

pub mod catalogue;
mod chain;
mod format;
mod lasting;

use std::sync::Arc;

use tracing::Level;
use tracing::subscriber::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

pub use chain::Chain;
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
}

/// Which lines are logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Targets);

/// Why a filter cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not a list of `level` and `module=level`.
    #[error(
        "not a log filter; write a level (error, warn, info, debug, trace) or a list such as \
         `info,meetbridge::sync=debug`"
    )]
    Malformed,
    /// A module of another crate, which may log what is secret.
    #[error(
        "the log of `{0}` cannot be turned up, since it may show secrets; \
         name modules of meetbridge only"
    )]
    Foreign(String),
}

impl Filter {
    /// Everything of meetbridge down to `level`; of other crates, warnings and errors.
    pub fn level(level: Level) -> Self {
        Self::with(LevelFilter::from_level(level), [])
    }

    /// A list such as `info,meetbridge::sync=debug`, in the manner of `RUST_LOG`.
    ///
    /// # Errors
    /// When it is malformed, or would turn up the log of another crate.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut general = LevelFilter::INFO;
        let mut modules = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (module, level) = match part.split_once('=') {
                Some((module, level)) => (Some(module.trim()), level.trim()),
                None => (None, part),
            };
            let level: LevelFilter = level.parse().map_err(|_| FilterError::Malformed)?;
            match module {
                None => general = level,
                Some(ours) if ours.split("::").next() == Some(OURS) => {
                    modules.push((ours.to_owned(), level));
                }
                Some(other) => {
                    return Err(FilterError::Foreign(
                        crate::model::Escaped(other).to_string(),
                    ));
                }
            }
        }
        Ok(Self::with(general, modules))
    }

    fn with(level: LevelFilter, modules: impl IntoIterator<Item = (String, LevelFilter)>) -> Self {
        let others = level.min(LevelFilter::WARN);
        let targets = Targets::new()
            .with_default(others)
            .with_target(OURS, level)
            .with_targets(modules);
        Self(targets)
    }
}

/// The crate's name, with which the targets of its lines begin.
const OURS: &str = "meetbridge";

/// Whether lines are to be coloured: only on a terminal, and not where `NO_COLOR` is set and not
/// empty (no-color.org).
pub fn colour(terminal: bool, no_color: Option<&std::ffi::OsStr>) -> bool {
    terminal && no_color.is_none_or(std::ffi::OsStr::is_empty)
}

/// How a log is written.
pub struct Output<W> {
    /// The form of a line.
    pub format: Format,
    /// Which lines are written.
    pub filter: Filter,
    /// Whether they are coloured: see [`colour`].
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
        let _ = self.0.reload(filter.0);
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
    let Format::Text = output.format;
    let lines = tracing_subscriber::fmt::layer()
        .event_format(format::Text {
            clock: output.clock,
            colour: output.colour,
        })
        .with_ansi(output.colour)
        .with_writer(output.writer);
    let (filter, handle) = reload::Layer::new(output.filter.0);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    (subscriber, Dial(handle))
}

#[cfg(test)]
mod tests;
