//! Files below a directory, reached without ever following a link: opening, versions, whole reads.
//!
//! Everything here blocks. A path is walked part by part from the directory's own descriptor, so
//! that a link put in its way leads nowhere.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Statx, StatxFlags};
use rustix::io::Errno;

use crate::calendar::ReadError;
use crate::clock::Clock;
use crate::model::{Escaped, Version};

/// The largest file that is read.
const LIMIT_MIB: u64 = 64;
const LIMIT: u64 = LIMIT_MIB << 20;

/// The coarsest step, with some room, in which Linux stamps files (one tick at 100 Hz is 10 ms): two
/// changes closer together than this may carry the same times.
const TICK: Duration = Duration::from_millis(20);

/// How deep directories are entered; the root is depth 0.
pub(super) const DEPTH: usize = 32;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// What identifies one version of one file, as far as the file system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Seconds and nanoseconds since 1970.
    pub(super) modified: (i64, u32),
    /// Seconds and nanoseconds since 1970.
    pub(super) changed: (i64, u32),
}

impl Stamp {
    fn of(stat: &Statx) -> Self {
        Self {
            inode: stat.stx_ino,
            size: stat.stx_size,
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        }
    }

    /// The port's token for it.
    pub(super) fn version(&self) -> Version {
        Version::new(self.to_string())
    }

    /// Its modification time.
    pub(super) fn modified_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.modified.0, self.modified.1)
    }

    /// How long a change may still leave the same times as this one has: nothing unless the file
    /// changed within the last [`TICK`].
    fn young(&self, now: DateTime<Utc>) -> Option<Duration> {
        let changed = DateTime::from_timestamp(self.changed.0, self.changed.1)?;
        let age = (now - changed).to_std().ok()?;
        TICK.checked_sub(age).filter(|rest| !rest.is_zero())
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            inode,
            size,
            modified,
            changed,
        } = self;
        write!(
            f,
            "{inode:x}-{size:x}-{:x}.{:x}-{:x}.{:x}",
            modified.0, modified.1, changed.0, changed.1
        )
    }
}

/// Opens a configured directory; a link there is the operator's own and is followed.
pub(super) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?)
}

/// Opens the directory `path` below `root`, following no link; the root itself for an empty path.
pub(super) fn descend(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = DIRECTORY | OFlags::NOFOLLOW;
    let mut at = rustix::fs::openat(root, ".", flags, Mode::empty())?;
    for part in path.iter() {
        at = rustix::fs::openat(&at, part, flags, Mode::empty())?;
    }
    Ok(at)
}

/// Splits a relative path into its directory and its name.
pub(super) fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let name = path.file_name().ok_or(Errno::NOENT)?;
    Ok((path.parent().unwrap_or(Path::new("")), name))
}

/// Opens the file `name` for reading, whatever it is: a link fails, a FIFO does not block.
pub(super) fn open(directory: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

/// What the operating system says of an open file.
pub(super) fn stat(file: impl AsFd) -> io::Result<Statx> {
    Ok(rustix::fs::statx(
        file,
        "",
        AtFlags::EMPTY_PATH,
        StatxFlags::BASIC_STATS,
    )?)
}

/// What the operating system says of `name`, a link itself where it is one.
pub(super) fn stat_at(directory: impl AsFd, name: &OsStr) -> io::Result<Statx> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::statx(
        directory,
        name,
        flags,
        StatxFlags::BASIC_STATS,
    )?)
}

/// Its kind.
pub(super) fn kind(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

/// The stamp of a regular file; `None` for anything else.
pub(super) fn stamp(stat: &Statx) -> Option<Stamp> {
    (kind(stat) == FileType::RegularFile).then(|| Stamp::of(stat))
}

/// The stamp of the regular file at `path` below `root`; `None` when there is none.
pub(super) fn look(root: BorrowedFd<'_>, path: &Path) -> io::Result<Option<Stamp>> {
    let found = split(path).and_then(|(parent, name)| stat_at(descend(root, parent)?, name));
    match found {
        Ok(stat) => Ok(stamp(&stat)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that there is no such file (here), rather than that it is out of reach.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE | Errno::NXIO)
    )
}

/// Calls `visit` with each entry's name and kind, `.` and `..` apart, until it says false.
///
/// # Errors
/// When the listing broke off; then entries are missing.
pub(super) fn entries(
    directory: BorrowedFd<'_>,
    mut visit: impl FnMut(&OsStr, FileType) -> bool,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not say in the listing.
            FileType::Unknown => match stat_at(directory, name) {
                Ok(stat) => kind(&stat),
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(error),
            },
            kind => kind,
        };
        if !visit(name, kind) {
            break;
        }
    }
    Ok(())
}

/// A file's bytes, and the version they are of.
pub(super) struct Whole {
    pub(super) stamp: Stamp,
    pub(super) bytes: Vec<u8>,
}

/// Reads the regular file at `path` below `root`; `None` when there is none. `what` names it in errors.
///
/// # Errors
/// It is too large, it changed while it was read (twice), it does not end as a calendar does, or it
/// is out of reach.
pub(super) fn read(
    root: BorrowedFd<'_>,
    path: &Path,
    what: &str,
    clock: &dyn Clock,
) -> Result<Option<Whole>, ReadError> {
    let tried = split(path)
        .and_then(|(parent, name)| Ok((descend(root, parent)?, name)))
        .map_err(|error| gone_or(error, what));
    match tried {
        Ok((directory, name)) => read_at(directory.as_fd(), name, what, clock),
        Err(None) => Ok(None),
        Err(Some(error)) => Err(error),
    }
}

/// [`read`], in a directory that is open already.
pub(super) fn read_at(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    what: &str,
    clock: &dyn Clock,
) -> Result<Option<Whole>, ReadError> {
    for _ in 0..2 {
        match read_once(directory, name, clock) {
            Ok(Once::Read(whole)) if is_whole(&whole.bytes) => return Ok(Some(whole)),
            Ok(Once::Read(_)) => return Err(ReadError::Incomplete(what.to_owned())),
            Ok(Once::None) => return Ok(None),
            Ok(Once::TooLarge) => {
                let (what, limit) = (what.to_owned(), LIMIT_MIB);
                return Err(ReadError::TooLarge { what, limit });
            }
            Ok(Once::Unsteady) => {}
            Err(error) => return gone_or(error, what).map_or(Ok(None), Err),
        }
    }
    Err(ReadError::Incomplete(what.to_owned()))
}

fn gone_or(error: io::Error, what: &str) -> Option<ReadError> {
    (!is_gone(&error)).then(|| read_error(what, error))
}

enum Once {
    Read(Whole),
    Unsteady,
    TooLarge,
    None,
}

fn read_once(directory: BorrowedFd<'_>, name: &OsStr, clock: &dyn Clock) -> io::Result<Once> {
    // Looked at before it is opened: opening a device can have effects.
    if stamp(&stat_at(directory, name)?).is_none() {
        return Ok(Once::None);
    }
    let mut file = File::from(open(directory, name)?);
    let Some(mut before) = stamp(&stat(&file)?) else {
        return Ok(Once::None);
    };
    if let Some(rest) = before.young(clock.now()) {
        // A change within the same tick would leave the same version, and the write that follows
        // would take it for the one that was read. It is the kernel's time that must pass here.
        std::thread::sleep(rest);
        let Some(steady) = stamp(&stat(&file)?) else {
            return Ok(Once::None);
        };
        before = steady;
    }
    if before.size > LIMIT {
        return Ok(Once::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.size).unwrap_or(0) + 1);
    (&mut file).take(LIMIT + 1).read_to_end(&mut bytes)?;
    let same = stamp(&stat(&file)?) == Some(before);
    Ok(if same && bytes.len() as u64 == before.size {
        Once::Read(Whole {
            stamp: before,
            bytes,
        })
    } else {
        Once::Unsteady
    })
}

/// Whether `bytes` end, white space aside, as a calendar does (RFC 5545, 3.4).
fn is_whole(bytes: &[u8]) -> bool {
    const END: &[u8] = b"END:VCALENDAR";
    bytes
        .trim_ascii_end()
        .last_chunk::<{ END.len() }>()
        .is_some_and(|end| end.eq_ignore_ascii_case(END))
}

/// The error for a file or directory that could not be read, with what to do about it.
pub(super) fn read_error(what: &str, source: io::Error) -> ReadError {
    let hint = match Errno::from_io_error(&source) {
        Some(Errno::NOENT) => {
            "does not exist; create it or correct the configured path; it is read as soon as it is there"
        }
        Some(Errno::NOTDIR) => "is not a directory; correct the configured path",
        Some(Errno::LOOP) => {
            "is a symbolic link, which is not followed; configure what it points to"
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            "permission denied; give the service's user read permission on it, and search \
             permission (x) on each directory above it"
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            "too many open files; raise LimitNOFILE= of the service, it is tried again"
        }
        _ => "could not be read; it is tried again",
    };
    ReadError::Io {
        what: Escaped(what).to_string(),
        hint: hint.to_owned(),
        source,
    }
}

/// The configured path, as it is shown.
pub(super) fn shown(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}

/// Whether what others do on the file system behind `directory` may stay unseen by inotify.
pub(super) fn is_remote(directory: impl AsFd) -> bool {
    // statfs(2) and the kernel's magic.h: NFS, SMB 1, CIFS, SMB 2, FUSE, 9P, Ceph, AFS, Coda, Lustre,
    // VirtualBox shares.
    const REMOTE: [u32; 11] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x00c3_6400,
        0x5346_414f,
        0x7375_7245,
        0x0bd0_0bd0,
        0x786f_4256,
    ];
    // The type is signed on some architectures; its low 32 bits are the magic number.
    rustix::fs::fstatfs(directory).is_ok_and(|fs| REMOTE.contains(&(fs.f_type as u32)))
}

/// A directory's device and inode: which one it is, whatever its path.
pub(super) type Identity = (u32, u32, u64);

/// The identity of an open directory.
pub(super) fn identity(directory: impl AsFd) -> io::Result<Identity> {
    let stat = stat(directory)?;
    Ok((stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino))
}

/// The directories at and below `path`, hidden ones apart, down to `depth` below the root; those that
/// cannot be opened are left out.
pub(super) fn directories(
    root: BorrowedFd<'_>,
    path: &Path,
    depth: usize,
    mut visit: impl FnMut(&Path, BorrowedFd<'_>),
) {
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(directory) = descend(root, &path) else {
            continue;
        };
        visit(&path, directory.as_fd());
        if path.iter().count() < depth {
            // One that breaks off is reported by the listing; what it showed is visited.
            let _ = entries(directory.as_fd(), |name, kind| {
                if kind == FileType::Directory && !super::name::is_hidden(name) {
                    open.push(path.join(name));
                }
                true
            });
        }
    }
}

/// Whether there is a directory (not a link to one) at `path`.
pub(super) fn is_directory(path: &Path) -> bool {
    stat_at(CWD, path.as_os_str()).is_ok_and(|stat| kind(&stat) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_means_the_last_thing_is_the_end_of_a_calendar() {
        for (bytes, expected) in [
            ("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", true),
            ("BEGIN:VCALENDAR\nend:vcalendar", true),
            ("END:VCALENDAR \t\r\n\n", true),
            ("", false),
            ("\r\n", false),
            ("BEGIN:VCALENDAR\r\nEND:VCALEND", false),
            ("END:VCALENDAR\r\nBEGIN:VCALENDAR\r\n", false),
        ] {
            assert_eq!(is_whole(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_file_is_young_for_a_tick_after_its_change() {
        let stamp = Stamp {
            inode: 1,
            size: 2,
            modified: (0, 0),
            changed: (1_000, 0),
        };
        let at = |ms: i64| DateTime::from_timestamp_millis(1_000_000 + ms).unwrap();
        for (ms, rest) in [
            (0, Some(20)),
            (5, Some(15)),
            (20, None),
            (60_000, None),
            (-1, None),
        ] {
            assert_eq!(stamp.young(at(ms)), rest.map(Duration::from_millis), "{ms}");
        }
    }

    #[test]
    fn each_part_of_a_stamp_makes_another_version() {
        let stamp = Stamp {
            inode: 1,
            size: 2,
            modified: (3, 4),
            changed: (5, 6),
        };
        let others = [
            Stamp { inode: 9, ..stamp },
            Stamp { size: 9, ..stamp },
            Stamp {
                modified: (9, 4),
                ..stamp
            },
            Stamp {
                modified: (3, 9),
                ..stamp
            },
            Stamp {
                changed: (9, 6),
                ..stamp
            },
            Stamp {
                changed: (5, 9),
                ..stamp
            },
        ];
        for other in others {
            assert_ne!(other.version(), stamp.version());
        }
        assert_eq!(stamp.version(), { stamp }.version());
    }

    #[test]
    fn what_cannot_be_read_says_what_to_do() {
        for (errno, hint) in [
            (Errno::NOENT, "does not exist"),
            (Errno::ACCESS, "read permission"),
            (Errno::NOTDIR, "not a directory"),
            (Errno::LOOP, "symbolic link"),
            (Errno::MFILE, "LimitNOFILE="),
            (Errno::IO, "tried again"),
        ] {
            let text = read_error("a\u{1b}b", errno.into()).to_string();
            assert!(
                text.contains(hint) && text.starts_with("a\\u{1b}b: "),
                "{text}"
            );
        }
    }
}
