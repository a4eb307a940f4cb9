//! Which lines are logged: a level, and others for single modules of meetbridge.

use std::fmt;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::model::Escaped;

/// The crate's name, with which the targets of its lines begin.
const OURS: &str = "meetbridge";

/// The modules whose level can be set by itself, with all that is in them.
const MODULES: &[&str] = &[
    "calendar",
    "cli",
    "daemon",
    "http",
    "log",
    "meeting",
    "simulator",
    "state",
    "sync",
];

/// Which lines are logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Targets);

/// Why a filter cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub enum FilterError {
    /// No level is named like this.
    Level(String),
    /// A module of another crate, which may log what is secret.
    Foreign(String),
    /// meetbridge has no such module.
    Unknown(String),
}

impl FilterError {
    /// What is wrong with it.
    pub fn what(&self) -> String {
        match self {
            Self::Level(word) => format!("no log level is named `{}`", Escaped(word)),
            Self::Foreign(module) => format!(
                "the log of `{}` cannot be turned up, since it may show secrets",
                Escaped(module)
            ),
            Self::Unknown(module) => format!("there is no module `{}`", Escaped(module)),
        }
    }

    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Level(_) => "write error, warn, info, debug or trace, or a list such as \
                               `info,meetbridge::sync=debug`"
                .to_owned(),
            Self::Foreign(_) => "name modules of meetbridge only".to_owned(),
            Self::Unknown(_) => {
                let modules = MODULES.iter().map(|module| format!("`{OURS}::{module}`"));
                format!("there are {}", modules.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what(), self.hint())
    }
}

impl std::error::Error for FilterError {}

impl Filter {
    /// Everything of meetbridge down to `level`; of other crates, warnings and errors.
    pub fn level(level: Level) -> Self {
        Self::with(LevelFilter::from_level(level), [])
    }

    /// A list such as `info,meetbridge::sync=debug`, in the manner of `RUST_LOG`.
    ///
    /// # Errors
    /// When a level or a module is none, or it would turn up the log of another crate.
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
            let found = level.parse();
            let level: LevelFilter = found.map_err(|_| FilterError::Level(level.to_owned()))?;
            match module {
                None => general = level,
                Some(module) => modules.push((ours(module)?.to_owned(), level)),
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

    pub(super) fn into_targets(self) -> Targets {
        self.0
    }
}

/// The module, if it is one of meetbridge.
fn ours(module: &str) -> Result<&str, FilterError> {
    let mut path = module.split("::");
    match (path.next(), path.next()) {
        (Some(OURS), None) => Ok(module),
        (Some(OURS), Some(part)) if MODULES.contains(&part) => Ok(module),
        (Some(OURS), _) => Err(FilterError::Unknown(module.to_owned())),
        _ => Err(FilterError::Foreign(module.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_says_what_is_wrong_and_what_there_is() {
        let cases = [
            ("loud", "no log level is named `loud`; write error, warn"),
            ("info,meetbridge=lod", "no log level is named `lod`;"),
            ("hyper=trace", "the log of `hyper` cannot be turned up"),
            ("meetbridges=trace", "the log of `meetbridges` cannot"),
            (
                "meetbridge::snyc=debug",
                "there is no module `meetbridge::snyc`; there are `meetbridge::calendar`, ",
            ),
            ("\u{1b}[31m", "no log level is named `\\u{1b}[31m`;"),
        ];
        for (text, said) in cases {
            let error = Filter::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{text}: {error}");
        }
        for text in [
            "",
            "trace",
            "warn, meetbridge::sync::act=debug",
            "meetbridge=off",
        ] {
            assert!(Filter::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_modules_are_those_of_the_crate_that_log() {
        let lib = include_str!("../lib.rs");
        for module in MODULES {
            assert!(lib.contains(&format!("pub mod {module};")), "{module}");
        }
    }
}
