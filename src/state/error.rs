//! Why the state cannot be opened or used.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::file;
use super::schema::PROGRAM;

/// Why the state cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it (exit status 75).
    #[error(
        "{directory}: another meetbridge (process {holder}) uses this state; stop it first, \
             or give this one a state directory of its own"
    )]
    Locked {
        /// The state directory.
        directory: PathBuf,
        /// The process id in the lock file, or `unknown`.
        holder: String,
    },
    /// It was written by a newer version (exit status 78).
    #[error(
        "{path}: was written by {by} (schema {found}), this is {program} (schema {known}); install that \
             version or a newer one, or move the file away: losing it loses no link",
        program = PROGRAM
    )]
    Newer {
        /// The state file.
        path: PathBuf,
        /// The program, with its version where the file says it.
        by: String,
        /// Its `user_version`.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The directory or file cannot be used.
    #[error("{path}: {hint}")]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// What to do.
        hint: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why the state could not be read or written. No outside effect may follow one of these.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk is full.
    #[error("{path}: the disk is full; nothing new is linked until there is room")]
    Full {
        /// The state file.
        path: PathBuf,
    },
    /// Anything else.
    #[error("{path}: the state cannot be used")]
    Sqlite {
        /// The state file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
}

impl OpenError {
    pub(super) fn unusable(
        path: &Path,
        hint: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unusable {
            path: path.to_owned(),
            hint: hint.to_owned(),
            source: source.into(),
        }
    }

    /// What SQLite said while the file at `path` was being opened.
    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let hint = if means_full(path, &source) {
            "the disk is full; make room and start again"
        } else if means_damage(&source) {
            "damaged; `run` or `sync` sets it aside and begins anew, links are found again in the events"
        } else {
            match source.sqlite_error_code() {
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                    "cannot be opened; it and its directory must belong to the user that runs meetbridge"
                }
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    "another program holds this file; end that program"
                }
                _ => {
                    "cannot be used; check the disk, or move the file away: links are found again in the events"
                }
            }
        };
        Self::unusable(path, hint, source)
    }
}

impl StateError {
    /// Whether the file itself is damaged. It stays so until the state is closed and opened again:
    /// the next [`super::State::open`] sets the file aside.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Full { .. } => false,
            Self::Sqlite { source, .. } => means_damage(source),
        }
    }

    /// What SQLite said about the open file at `path`.
    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        if means_full(&path, &source) {
            Self::Full { path }
        } else {
            Self::Sqlite { path, source }
        }
    }
}

/// SQLite says "full" of its main writes alone; where it has to grow the shared-memory file or a
/// journal it says "I/O error" or "cannot open", and the error number behind it is out of reach.
fn means_full(path: &Path, source: &rusqlite::Error) -> bool {
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => true,
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => file::disk_is_full(path),
        _ => false,
    }
}

/// A damaged page, or a value that was never written like that.
pub(super) fn means_damage(source: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
    };
    matches!(
        source.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    ) || matches!(
        source,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | Utf8Error(..)
    )
}
