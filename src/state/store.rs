//! The open state: one connection behind a mutex, for writing or for looking only.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};

use super::error::{OpenError, StateError, means_damage};
use super::file;
use super::lock::{self, Announced, Lock};
use super::schema::{self, Found};

const NAME: &str = "state.db";

/// How long a call waits for another program that has the file open. Writers are kept out by the
/// lock and readers do not block in WAL mode, so this covers moments (recovery, a closing reader).
const BUSY: Duration = Duration::from_secs(5);

/// More than there are statements in `tables`.
const STATEMENTS: usize = 64;

/// The state of one running meetbridge.
pub struct State {
    path: PathBuf,
    connection: Mutex<Opened>,
    // After the connection: fields are dropped in order, and the file must be closed before another
    // process may open it for writing. `None` when opened to look only.
    lock: Option<Lock>,
}

pub(super) struct Opened {
    pub(super) connection: Connection,
    /// Set when the file was opened as one that nobody changes: what it looked like then.
    still: Option<Appearance>,
}

/// Length and time of modification.
type Appearance = (u64, Option<SystemTime>);

impl State {
    /// Opens the state below `directory` (made if absent, 0700), locked against every other process.
    /// A damaged file is set aside as `state.db.damaged-TIME`, `now` in UTC; its new path comes back.
    ///
    /// # Errors
    /// [`OpenError`]; no file is changed by [`OpenError::Locked`] and [`OpenError::Newer`].
    pub fn open(
        directory: &Path,
        now: DateTime<Utc>,
    ) -> Result<(Self, Option<PathBuf>), OpenError> {
        file::make_directory(directory).map_err(|e| {
            let hint = "the state directory cannot be made; make it, owned by the user that runs \
                        meetbridge, or name another one as `directory` in `[state]`";
            OpenError::unusable(directory, hint, e)
        })?;
        let lock = Lock::take(directory)?;
        let path = directory.join(NAME);
        let set_aside = || {
            file::set_aside(&path, now).map_err(|e| {
                let hint = "damaged, and cannot be renamed; move it away: links are found again in \
                            the events";
                OpenError::unusable(&path, hint, e)
            })
        };
        let mut aside = None;
        if file::is_marked_damaged(&path) {
            aside = Some(set_aside()?).filter(|aside| aside.exists());
        }
        let connection = match open_to_write(&path)? {
            Some(connection) => connection,
            None => {
                aside = Some(set_aside()?);
                open_to_write(&path)?.ok_or_else(|| {
                    let hint = "damaged as soon as it was made; check the disk";
                    OpenError::unusable(&path, hint, "no usable database")
                })?
            }
        };
        let opened = Opened {
            connection,
            still: None,
        };
        let state = Self {
            path,
            connection: Mutex::new(opened),
            lock: Some(lock),
        };
        Ok((state, aside))
    }

    /// Tells commands where this process listens for them; see [`State::announced`].
    ///
    /// # Errors
    /// When the lock file cannot be written, or the path stands for no place.
    pub fn announce(&self, socket: &Path) -> std::io::Result<()> {
        match &self.lock {
            Some(lock) => lock.tell(Some(socket)),
            None => Err(std::io::ErrorKind::ReadOnlyFilesystem.into()),
        }
    }

    /// What the daemon that has the state below `directory` said of itself; it may have ended since.
    pub fn announced(directory: &Path) -> Option<Announced> {
        lock::announced(directory)
    }

    /// Opens it to look only: takes no lock, changes nothing; for `status`, `plan`, `explain` beside
    /// a running daemon. `Ok(None)` when there is no state yet.
    ///
    /// Every call that writes fails with [`StateError::Sqlite`] (read-only).
    ///
    /// # Errors
    /// [`OpenError::Newer`], and [`OpenError::Unusable`] for everything else; a damaged file stays
    /// where it is.
    pub fn open_read_only(directory: &Path) -> Result<Option<Self>, OpenError> {
        let path = directory.join(NAME);
        match path.metadata() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                let hint =
                    "cannot be opened; run this as the user that runs meetbridge, or as root";
                return Err(OpenError::unusable(&path, hint, e));
            }
            Ok(_) => {}
        }
        let looked =
            open_to_look(&path).and_then(|opened| Ok((schema::look(&opened.connection)?, opened)));
        match looked.map_err(|e| OpenError::sqlite(&path, e))? {
            (Found::Empty, _) => Ok(None),
            (Found::Ours(version), opened) if version == schema::KNOWN => Ok(Some(Self {
                path,
                connection: Mutex::new(opened),
                lock: None,
            })),
            (Found::Ours(_), _) => {
                let hint = "written by an older meetbridge; `run` or `sync` brings it up to date";
                Err(OpenError::unusable(&path, hint, "an old schema"))
            }
            (Found::Newer(found, by), _) => Err(newer(&path, found, by)),
            (Found::Damaged, _) => {
                let hint = "damaged; `run` or `sync` sets it aside and begins anew, links are found \
                            again in the events";
                Err(OpenError::unusable(
                    &path,
                    hint,
                    "not a database of meetbridge",
                ))
            }
        }
    }

    /// An empty state that is gone with the process, and takes nothing in.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] when there is no memory for it.
    pub fn in_memory() -> Result<Self, OpenError> {
        let path = PathBuf::from(":memory:");
        let open = || {
            let mut connection = Connection::open_in_memory()?;
            schema::migrate(&mut connection, 0)?;
            Ok(connection)
        };
        let connection = open().map_err(|e| OpenError::sqlite(&path, e))?;
        let opened = Opened {
            connection,
            still: None,
        };
        Ok(Self {
            path,
            connection: Mutex::new(opened),
            lock: None,
        })
    }

    /// Writes, and changes nothing: before outside effects that could not be remembered otherwise.
    ///
    /// # Errors
    /// [`StateError`], on a full disk above all.
    pub fn check_writable(&self) -> Result<(), StateError> {
        self.write(|c| c.pragma_update(None, "user_version", schema::KNOWN))
    }

    /// Runs `call`, which does not write.
    pub(super) fn read<T>(
        &self,
        call: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        self.opened()
            .and_then(|mut opened| call(&mut opened.connection))
            .map_err(|e| self.error(e))
    }

    /// Runs `call`, which may write.
    pub(super) fn write<T>(
        &self,
        call: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        if self.lock.is_none() {
            let read_only = ffi::Error::new(ffi::SQLITE_READONLY);
            return Err(self.error(rusqlite::Error::SqliteFailure(read_only, None)));
        }
        self.read(call)
    }

    /// A panic in another thread leaves nothing half done: its transaction was rolled back while the
    /// stack unwound. So a poisoned mutex is as good as any.
    fn opened(&self) -> rusqlite::Result<MutexGuard<'_, Opened>> {
        let mut opened = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(still) = opened.still
            && (has_log(&self.path) || appearance(&self.path) != Some(still))
        {
            *opened = open_to_look(&self.path)?;
        }
        Ok(opened)
    }

    fn error(&self, source: rusqlite::Error) -> StateError {
        let error = StateError::sqlite(&self.path, source);
        if error.is_damage() && self.lock.is_some() {
            file::mark_damaged(&self.path);
        }
        error
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("path", &self.path)
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

fn newer(path: &Path, found: i64, by: Option<String>) -> OpenError {
    OpenError::Newer {
        path: path.to_owned(),
        by: by.map_or_else(
            || "a newer meetbridge".to_owned(),
            |version| format!("meetbridge {version}"),
        ),
        found,
        known: schema::KNOWN,
    }
}

/// Opens or makes the database; `None` when it is damaged. The caller holds the lock.
fn open_to_write(path: &Path) -> Result<Option<Connection>, OpenError> {
    file::make_private(path).map_err(|e| {
        let hint = "cannot be made or used; it and its directory must belong to the user that runs \
                    meetbridge";
        OpenError::unusable(path, hint, e)
    })?;
    file::tighten_companions(path);
    match try_open_to_write(path) {
        Ok(Ok(connection)) => Ok(Some(connection)),
        Ok(Err(Found::Newer(found, by))) => Err(newer(path, found, by)),
        Ok(Err(_)) => Ok(None),
        Err(e) if means_damage(&e) => Ok(None),
        Err(e) => Err(OpenError::sqlite(path, e)),
    }
}

/// The connection, or what was found instead of a database that it could be.
fn try_open_to_write(path: &Path) -> rusqlite::Result<Result<Connection, Found>> {
    let keep_log = has_log(path);
    let mut connection = connect(path, "", OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Closing a database moves its log into it; one that is not ours to use is to stay as it is.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep_log)?;
    let version = match schema::look(&connection)? {
        Found::Empty => 0,
        Found::Ours(version) => version,
        other => return Ok(Err(other)),
    };
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let code = ffi::Error::new(ffi::SQLITE_PROTOCOL);
        let text = format!("no write-ahead log is possible here, only `{mode}`");
        return Err(rusqlite::Error::SqliteFailure(code, Some(text)));
    }
    // In WAL mode NORMAL syncs at checkpoints only. What a killed process has committed is in the
    // kernel's cache and stays; a power failure may take the last commits, never the consistency,
    // and a cache may lose some.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // Links outlive their resources and their calendars' records, so nothing refers to anything.
    connection.pragma_update(None, "foreign_keys", false)?;
    schema::migrate(&mut connection, version)?;
    Ok(Ok(connection))
}

/// Opens the database at `path` to look only.
///
/// SQLite reads a database in WAL mode through its log and shared memory, and makes them where they
/// are absent. That is the case when nobody has the database open; then it is opened as one that
/// does not change, and opened again as soon as it does.
fn open_to_look(path: &Path) -> rusqlite::Result<Opened> {
    let still = appearance(path).filter(|_| !has_log(path));
    let query = if still.is_some() { "?immutable=1" } else { "" };
    let connection = connect(path, query, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    Ok(Opened { connection, still })
}

fn has_log(path: &Path) -> bool {
    file::beside(path, "-wal").symlink_metadata().is_ok()
}

fn appearance(path: &Path) -> Option<Appearance> {
    let found = path.metadata().ok()?;
    Some((found.len(), found.modified().ok()))
}

fn connect(path: &Path, query: &str, access: OpenFlags) -> rusqlite::Result<Connection> {
    // As a URI whatever the path looks like: SQLite would take one that begins with `file:` for one.
    let path = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    // The mutex of `State` does what SQLite's own would do.
    let flags = access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{path}{query}"), flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else SQLite looks at the values of some statements to plan them, and does so anew for each call.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}
