//! The state's files as files: made for the owner alone, set aside when damaged.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::fs::{PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rustix::fs::OFlags;

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Says that damage was met while the state was in use.
const MARKER: &str = ".damaged";

/// Makes the state directory, 0700, unless it is there. One that others can read is left so: it may
/// be that way on purpose, and every file in it is private.
pub(super) fn make_directory(directory: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Makes an empty file, 0600, unless it is there; takes rights away from others if they have any.
///
/// An existing file is not opened: closing it would drop the POSIX locks that SQLite may hold on it
/// in this process.
pub(super) fn make_private(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => Err(Error::new(
            ErrorKind::InvalidInput,
            "not a regular file (links are not followed)",
        )),
        Ok(found) => {
            tighten(path, found.mode());
            Ok(())
        }
        Err(e) if e.kind() == ErrorKind::NotFound => create(path),
        Err(e) => Err(e),
    }
}

/// The same for what SQLite keeps beside `path`, where it is there; new ones take their mode from it.
pub(super) fn tighten_companions(path: &Path) {
    for suffix in COMPANIONS {
        let path = beside(path, suffix);
        if let Ok(found) = path.symlink_metadata()
            && found.is_file()
        {
            tighten(&path, found.mode());
        }
    }
}

/// May fail where another user owns the file; then opening it decides.
fn tighten(path: &Path, mode: u32) {
    if mode & 0o077 != 0 {
        let _ = std::fs::set_permissions(path, Permissions::from_mode(mode & 0o700));
    }
}

fn create(path: &Path) -> Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    // A command run as root must leave files that the daemon can use.
    if rustix::process::geteuid().is_root()
        && let Some(directory) = path.parent()
    {
        let owner = directory.metadata()?;
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Opens a file for reading and writing; never through a symbolic link.
pub(super) fn open_existing(path: &Path) -> Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Opens a file for reading; never through a symbolic link.
pub(super) fn open_to_look(path: &Path) -> Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// `path` with `suffix` after its last character.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Remembers that the database at `path` is damaged, so that the next start sets it aside: what was
/// met in the middle of a file need not show when it is opened.
pub(super) fn mark_damaged(path: &Path) {
    // Where it cannot be made (a full disk), the next call that meets the damage tries again.
    let _ = make_private(&beside(path, MARKER));
}

/// Whether [`mark_damaged`] was called and nothing set aside since.
pub(super) fn is_marked_damaged(path: &Path) -> bool {
    beside(path, MARKER).symlink_metadata().is_ok()
}

/// Renames the database at `path` to `PATH.damaged-TIME`, what SQLite keeps beside it alike, and
/// takes the marker away. The new path comes back.
pub(super) fn set_aside(path: &Path, now: DateTime<Utc>) -> Result<PathBuf> {
    let stamp = now.format(".damaged-%Y%m%dT%H%M%SZ").to_string();
    let free = |target: &PathBuf| target.symlink_metadata().is_err();
    let target = std::iter::once(beside(path, &stamp))
        .chain((2..100).map(|n| beside(path, &format!("{stamp}-{n}"))))
        .find(free)
        .ok_or(ErrorKind::AlreadyExists)?;
    // The database goes last: a write-ahead log without its database must never be left for the
    // next one to be read with.
    for suffix in COMPANIONS {
        rename_if_there(&beside(path, suffix), &beside(&target, suffix))?;
    }
    rename_if_there(path, &target)?;
    match std::fs::remove_file(beside(path, MARKER)) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(target),
    }
}

fn rename_if_there(from: &Path, to: &Path) -> Result<()> {
    match std::fs::rename(from, to) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Whether the file system of `path` has no room for as much as SQLite asks for at once.
pub(super) fn disk_is_full(path: &Path) -> bool {
    const ROOM: u64 = 64 * 1024;
    path.parent()
        .and_then(|directory| rustix::fs::statvfs(directory).ok())
        .is_some_and(|fs| {
            let no_inode = fs.f_files > 0 && fs.f_favail == 0;
            no_inode || fs.f_bavail.saturating_mul(fs.f_frsize) < ROOM
        })
}
