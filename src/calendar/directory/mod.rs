//! Calendars on disk: a directory of `.ics` files (a vdir, recursive), or one `.ics` file.
//!
//! In: files that other programs write at any moment, with names and contents that nobody vouches
//! for. Out: whole files with their versions, changes as they happen, and replacements that keep
//! everything but the content.
//!
//! - **What belongs to a calendar**: every regular file `*.ics` (in any case) below the directory, at
//!   most 32 directories deep and among at most 1,000,000 entries. Left out: whatever has a hidden
//!   name (`.git`, `.stversions`, our own temporary files), and every symbolic link below the
//!   directory, wherever it points. The configured directory itself may be a link; a configured
//!   single file may not.
//! - **Identifier**: the path below the directory; bytes that are not printable UTF-8, and `%`, stand
//!   as `%XX`.
//! - **Version**: inode, size, mtime and ctime, both to the nanosecond. A file whose ctime is younger
//!   than 20 ms is read only when it is older, for until then a change need not show in the version.
//! - **Listing** (`list`): stats everything, reads what is not known. A known file has vanished when
//!   the listing did not show it, its directory could be listed, and its own name answers "not there".
//!   When the directory itself, or the configured single file, is missing, the calendar is failing and
//!   nothing has vanished.
//! - **Watching** (`watch`): inotify, 50 ms after the last event of a file. The first call of
//!   `changed` sets the watch up and says [`Scope::All`], because nobody knows what happened before;
//!   with no directory there, once it appears (looked for every 5 s). The same follows when events
//!   were lost. Where inotify fails or does not see what others write (network file systems),
//!   everything is looked at every 30 s. The version that our own last write left is not told.
//! - **Writing** (`write`): a temporary file beside the file, then a rename, if the file still is in
//!   the version that was read. A file with several hard links is refused: a rename would part them.

mod debounce;
mod file;
mod keep;
mod list;
mod name;
mod rehearse;
mod watch;
mod write;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::calendar::{Calendar, Finding, Known, ReadError, Scope, WriteRefusal, Written};
use crate::clock::Clock;
use crate::model::{ResourceId, Version};

/// A calendar on disk: a directory of `.ics` files, or one such file.
pub struct Directory {
    place: Arc<Place>,
    clock: Arc<dyn Clock>,
    watch: watch::Watch,
}

impl Directory {
    /// Every `.ics` file below the directory `path`. It need not exist yet: reading fails until it
    /// does, and `changed` tells when it appears.
    #[allow(clippy::self_named_constructors, reason = "the other kind is `file`")]
    pub fn directory(path: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self::new(
            Place {
                root: absolute(path),
                only: None,
            },
            clock,
        )
    }

    /// The one file `path`, whatever its name. It need not exist yet, as above.
    pub fn file(path: PathBuf, clock: Arc<dyn Clock>) -> Self {
        let path = absolute(path);
        let root = path.parent().unwrap_or(Path::new("/")).to_owned();
        let only = path.file_name().map(ToOwned::to_owned).unwrap_or_default();
        Self::new(
            Place {
                root,
                only: Some(only),
            },
            clock,
        )
    }

    fn new(place: Place, clock: Arc<dyn Clock>) -> Self {
        let place = Arc::new(place);
        let watch = watch::Watch::new(Arc::clone(&place), Arc::clone(&clock));
        Self {
            place,
            clock,
            watch,
        }
    }
}

/// Fails for an empty path only, and for one that is relative in a working directory that is gone;
/// such a path fails again, and visibly, when it is read.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Where a calendar is.
struct Place {
    /// The directory, absolute.
    root: PathBuf,
    /// The one file in it that counts, or all calendar files at and below it.
    only: Option<OsString>,
}

impl Place {
    /// Opens the directory and, for a single file, checks that it is there.
    fn open(&self) -> Result<OwnedFd, ReadError> {
        let root = file::open_root(&self.root)
            .map_err(|error| file::read_error(&file::shown(&self.root), error))?;
        if let Some(only) = &self.only {
            let found =
                file::stat_at(root.as_fd(), only).and_then(|stat| match file::kind(&stat) {
                    rustix::fs::FileType::RegularFile => Ok(()),
                    rustix::fs::FileType::Symlink => Err(rustix::io::Errno::LOOP.into()),
                    _ => Err(io::Error::other("not a regular file")),
                });
            found.map_err(|error| file::read_error(&file::shown(&self.root.join(only)), error))?;
        }
        Ok(root)
    }

    /// Whether the file at this relative path belongs to the calendar, by its name.
    fn holds(&self, path: &Path) -> bool {
        match &self.only {
            Some(only) => path.as_os_str() == only.as_os_str(),
            None => {
                path.file_name().is_some_and(name::is_calendar) && !path.iter().any(name::is_hidden)
            }
        }
    }
}

#[async_trait]
impl Calendar for Directory {
    async fn read(&self, scope: &Scope, known: Known) -> Result<Finding<'_>, ReadError> {
        if let Scope::News(_) = scope {
            return Err(ReadError::Expired);
        }
        let place = Arc::clone(&self.place);
        let root = spawn_blocking(move || place.open())
            .await
            .unwrap_or_else(|error| Err(broken_off(&self.place, error)))?;
        if *scope == Scope::All {
            self.watch.compare(root.as_fd());
        }
        // One batch in the making, one waiting, one being worked on: that is what memory holds.
        let (sink, mut source) = mpsc::channel(1);
        let (place, clock) = (Arc::clone(&self.place), Arc::clone(&self.clock));
        let scope = scope.clone();
        spawn_blocking(move || list::list(&place, root.as_fd(), &scope, known, &*clock, sink));
        let batches = futures_util::stream::poll_fn(move |context| source.poll_recv(context));
        Ok(batches.flat_map(futures_util::stream::iter).boxed())
    }

    async fn write(&self, id: &ResourceId, version: &Version, bytes: &[u8]) -> Written {
        let place = Arc::clone(&self.place);
        let written = self.watch.written();
        let (id, version, bytes) = (id.clone(), version.clone(), bytes.to_vec());
        let what = id.to_string();
        spawn_blocking(move || write::write(&place, &id, &version, &bytes, &written))
            .await
            .unwrap_or_else(|error| {
                Written::Unknown(WriteRefusal {
                    what,
                    hint: "writing was broken off; the file is read again".to_owned(),
                    source: Some(io::Error::other(error)),
                })
            })
    }

    async fn begin(&self) {
        self.watch.begin().await;
    }

    async fn changed(&self) -> Scope {
        self.watch.changed().await
    }
}

fn broken_off(place: &Place, error: tokio::task::JoinError) -> ReadError {
    ReadError::Io {
        what: file::shown(&place.root),
        hint: "reading was broken off; it is tried again".to_owned(),
        source: io::Error::other(error),
    }
}
