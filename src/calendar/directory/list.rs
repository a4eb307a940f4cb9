//! Listing a calendar and reading what is not known of it, in batches of bounded size. Blocks.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation};
use tokio::sync::mpsc;

use super::file::{self, DEPTH, Stamp};
use super::{Place, name};
use crate::calendar::{Found, Known, ReadError, Resource, Scope};
use crate::clock::Clock;
use crate::model::{ResourceId, Version};

/// How many directory entries a listing looks at.
const ENTRIES: usize = 1_000_000;

/// A batch is handed on when it holds this many findings, or this many bytes of content.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1 << 20;

/// Whoever asked has gone.
struct Gone;

/// Carries out one read of the calendar at `place`, whose directory is open as `root`, and sends
/// what it finds, ending with [`Found::Complete`]. Stops when the receiver is dropped.
pub(super) fn list(
    place: &Place,
    root: BorrowedFd<'_>,
    scope: &Scope,
    known: Known,
    clock: &dyn Clock,
    sink: mpsc::Sender<Vec<Found>>,
) {
    let mut listing = Listing {
        place,
        root,
        known,
        clock,
        sink,
        batch: Vec::new(),
        batch_bytes: 0,
        unchanged: 0,
        entries: 0,
        unlisted: Vec::new(),
    };
    // Nobody is left to be told when it was cut short.
    let _ = match (scope, &place.only) {
        (Scope::Only(ids), _) => listing.only(ids),
        (_, Some(only)) => listing.single(only),
        (_, None) => listing.all(),
    };
}

struct Listing<'a> {
    place: &'a Place,
    root: BorrowedFd<'a>,
    /// What was not come across yet.
    known: Known,
    clock: &'a dyn Clock,
    sink: mpsc::Sender<Vec<Found>>,
    batch: Vec<Found>,
    batch_bytes: usize,
    unchanged: usize,
    entries: usize,
    /// Directories that were not listed to the end: nothing below them has vanished.
    unlisted: Vec<PathBuf>,
}

impl Listing<'_> {
    fn only<'i>(&mut self, ids: impl IntoIterator<Item = &'i ResourceId>) -> Result<(), Gone> {
        for id in ids {
            match name::path_of(id).filter(|path| self.place.holds(path)) {
                Some(path) => {
                    let read = file::read(self.root, &path, &id.to_string(), self.clock);
                    self.found(id.clone(), read)?;
                }
                None => self.send(Found::Vanished(id.clone()), 0)?,
            }
        }
        self.complete()
    }

    /// The calendar is one file, and it was there just now.
    fn single(&mut self, only: &OsStr) -> Result<(), Gone> {
        // The rest of its directory is not ours to report, so that an error in listing it is not either.
        let _ = file::entries(self.root, |entry, kind| {
            self.entries += 1;
            if kind == FileType::RegularFile && name::is_temporary_of(entry, only) {
                remove_leftover(self.root, entry);
            }
            self.entries < ENTRIES
        });
        // A version that no file has: it is read unless a version of it is known.
        self.known
            .entry(name::id_in("", only))
            .or_insert_with(|| Version::new(""));
        self.rest()?;
        self.complete()
    }

    fn all(&mut self) -> Result<(), Gone> {
        let mut open = vec![PathBuf::new()];
        while let Some(path) = open.pop() {
            self.directory(&path, &mut open)?;
            if self.entries > ENTRIES {
                let hint = "holds more than 1,000,000 entries; split the calendar";
                self.unlisted(path, hint, io::Error::other("too many entries"))?;
                return self.flush();
            }
        }
        self.rest()?;
        self.complete()
    }

    /// Lists one directory: its calendar files are looked at, its directories go to `open`, what a
    /// crash left of our own is removed.
    fn directory(&mut self, path: &Path, open: &mut Vec<PathBuf>) -> Result<(), Gone> {
        let directory = match file::descend(self.root, path) {
            Ok(directory) => directory,
            Err(error) if file::is_gone(&error) => return Ok(()),
            Err(error) => return self.unreadable(path, error),
        };
        let parent = name::id_of(path).as_str().to_owned();
        let deep = path.iter().count() >= DEPTH;
        let mut too_deep = Vec::new();
        let mut stopped = Ok(());
        let listed = file::entries(directory.as_fd(), |entry, kind| {
            self.entries += 1;
            if self.entries > ENTRIES {
                return false;
            }
            if name::is_hidden(entry) {
                if kind == FileType::RegularFile && name::is_temporary(entry) {
                    remove_leftover(directory.as_fd(), entry);
                }
            } else if kind == FileType::Directory {
                if deep { &mut too_deep } else { &mut *open }.push(path.join(entry));
            } else if kind == FileType::RegularFile && name::is_calendar(entry) {
                stopped = self.candidate(&parent, directory.as_fd(), entry);
            }
            stopped.is_ok()
        });
        stopped?;
        for path in too_deep {
            let hint = "more than 32 directories deep; move it further up";
            self.unlisted(path, hint, io::Error::other("too deep"))?;
        }
        match listed {
            Ok(()) => Ok(()),
            Err(error) => self.unreadable(path, error),
        }
    }

    /// A calendar file that the listing showed: read unless its version is known.
    fn candidate(
        &mut self,
        parent: &str,
        directory: BorrowedFd<'_>,
        entry: &OsStr,
    ) -> Result<(), Gone> {
        let stamp = match file::stat_at(directory, entry) {
            Ok(stat) => file::stamp(&stat),
            Err(error) if file::is_gone(&error) => None,
            Err(error) => {
                let id = name::id_in(parent, entry);
                let error = file::read_error(&id.to_string(), error);
                return self.found(id, Err(error));
            }
        };
        // One that went in between stays among the known ones, to be asked for by name.
        let Some(stamp) = stamp else { return Ok(()) };
        let id = name::id_in(parent, entry);
        if self.known.remove(&id) == Some(stamp.version()) {
            self.unchanged += 1;
            return Ok(());
        }
        let read = file::read_at(directory, entry, &id.to_string(), self.clock);
        self.found(id, read)
    }

    /// The known ones that did not show up. A listing that runs beside a rename can miss a file, so
    /// each is asked for by name; only "not there" means that it has vanished.
    fn rest(&mut self) -> Result<(), Gone> {
        for (id, version) in std::mem::take(&mut self.known) {
            let path = name::path_of(&id).filter(|path| self.place.holds(path));
            let Some(path) = path else {
                self.send(Found::Vanished(id), 0)?;
                continue;
            };
            if self
                .unlisted
                .iter()
                .any(|directory| path.starts_with(directory))
            {
                continue;
            }
            match file::look(self.root, &path) {
                Ok(Some(stamp)) if stamp.version() == version => self.unchanged += 1,
                Ok(Some(_)) => {
                    let read = file::read(self.root, &path, &id.to_string(), self.clock);
                    self.found(id, read)?;
                }
                Ok(None) => self.send(Found::Vanished(id), 0)?,
                Err(error) => {
                    let error = file::read_error(&id.to_string(), error);
                    self.found(id, Err(error))?;
                }
            }
        }
        Ok(())
    }

    /// Passes on how reading one file went.
    fn found(
        &mut self,
        id: ResourceId,
        read: Result<Option<file::Whole>, ReadError>,
    ) -> Result<(), Gone> {
        self.known.remove(&id);
        let (found, bytes) = match read {
            Ok(Some(file::Whole { stamp, bytes })) => {
                let size = bytes.len();
                (changed(id, stamp, bytes), size)
            }
            Ok(None) => (Found::Vanished(id), 0),
            Err(error) => (Found::Unreadable(id, error), 0),
        };
        self.send(found, bytes)
    }

    /// A directory that could not be listed: said, and nothing below it has vanished.
    fn unreadable(&mut self, path: &Path, error: io::Error) -> Result<(), Gone> {
        let id = directory_id(path);
        let error = file::read_error(&id.to_string(), error);
        self.unlisted.push(path.to_owned());
        self.send(Found::Unreadable(id, error), 0)
    }

    /// The same, for a directory that is beyond a limit.
    fn unlisted(&mut self, path: PathBuf, hint: &str, source: io::Error) -> Result<(), Gone> {
        let id = directory_id(&path);
        let (what, hint) = (id.to_string(), hint.to_owned());
        self.unlisted.push(path);
        self.send(
            Found::Unreadable(id, ReadError::Io { what, hint, source }),
            0,
        )
    }

    fn complete(&mut self) -> Result<(), Gone> {
        self.send(
            Found::Complete {
                unchanged: self.unchanged,
                token: None,
            },
            0,
        )?;
        self.flush()
    }

    fn send(&mut self, found: Found, bytes: usize) -> Result<(), Gone> {
        self.batch.push(found);
        self.batch_bytes += bytes;
        if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        self.sink.blocking_send(batch).map_err(|_| Gone)
    }
}

fn changed(id: ResourceId, stamp: Stamp, bytes: Vec<u8>) -> Found {
    Found::Changed(Resource {
        id,
        version: stamp.version(),
        bytes: bytes.into(),
        origins: Default::default(),
        modified: stamp.modified_at(),
    })
}

/// A directory's identifier, which no file has; the root is `.`.
fn directory_id(path: &Path) -> ResourceId {
    if path.as_os_str().is_empty() {
        ResourceId::new(".")
    } else {
        name::id_of(path)
    }
}

/// Removes a temporary file that a crash of ours left. One in use is locked by its writer.
fn remove_leftover(directory: BorrowedFd<'_>, entry: &OsStr) {
    let remove = || -> io::Result<()> {
        let leftover = file::open(directory, entry)?;
        rustix::fs::flock(&leftover, FlockOperation::NonBlockingLockExclusive)?;
        let locked = file::stamp(&file::stat(&leftover)?);
        let named = file::stamp(&file::stat_at(directory, entry)?);
        if locked.is_some() && locked == named {
            rustix::fs::unlinkat(directory, entry, AtFlags::empty())?;
        }
        Ok(())
    };
    // One that cannot be removed is harmless, and tried again by the next listing.
    let _ = remove();
}
