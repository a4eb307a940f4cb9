//! Replacing a file's content, if it still is the version that was read. Blocks.
//!
//! The new content goes to a temporary file in the same directory, gets everything else from the old
//! one, reaches the disk, and takes the old one's name by a rename; at any moment the name holds the
//! old file or the new one, whole. The temporary file is locked (`flock`) while it is in use: one that
//! nobody holds is what a crash left, and the next listing removes it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Statx};
use rustix::io::Errno;

use super::file::{self, Stamp};
use super::keep::{self, Part};
use super::watch::WrittenByUs;
use super::{Place, name};
use crate::calendar::{WriteRefusal, Written};
use crate::model::{ResourceId, Version};

/// How many names are tried for a temporary file.
const NAMES: usize = 100;

/// Why nothing was written, or nobody knows.
enum Stop {
    /// The file is not what was read.
    Changed,
    /// Nothing was written, for this reason.
    Io(io::Error),
    /// Something beside the content could not be kept.
    Kept(Part, io::Error),
    /// The file has several names.
    Linked,
    /// The rename was made and may not last.
    Unsure(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if file::is_gone(&error) {
            Self::Changed
        } else {
            Self::Io(error)
        }
    }
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// Replaces the content of `id` by `bytes`, if it still is in `version`. A success is noted in
/// `written` before anybody can be told of the change.
pub(super) fn write(
    place: &Place,
    id: &ResourceId,
    version: &Version,
    bytes: &[u8],
    written: &WrittenByUs,
) -> Written {
    let Some(path) = name::path_of(id).filter(|path| place.holds(path)) else {
        return Written::Changed;
    };
    let replaced = Prepared::new(place, &path, version, bytes).and_then(|new| new.commit(written));
    match replaced {
        Ok(version) => Written::Stored(version),
        Err(stop) => told(&id.to_string(), stop),
    }
}

/// Makes what would replace `path`, without its content, and removes it.
pub(super) fn rehearse(place: &Place, path: &Path) -> Result<(), WriteRefusal> {
    let made = file::open_root(&place.root)
        .and_then(|root| file::look(root.as_fd(), path))
        .map_err(Stop::from);
    let made = made.and_then(|found| {
        let version = found.ok_or(Stop::Changed)?.version();
        Prepared::new(place, path, &version, b"").map(drop)
    });
    let ended = match made {
        Ok(()) => return Ok(()),
        Err(stop) => told(&file::shown(&place.root.join(path)), stop),
    };
    match ended {
        Written::Refused(why) => Err(why),
        // It passes, or somebody is at it.
        Written::Failed(_) | Written::Unknown(_) | Written::Changed | Written::Stored(_) => Ok(()),
    }
}

/// The new file beside the old one, complete and on the disk; dropped, it leaves no trace.
struct Prepared<'a> {
    root: OwnedFd,
    path: &'a Path,
    /// What must be at `path` for the new file to take its place.
    version: &'a Version,
    new: Temporary,
    /// The new file's, before the rename.
    stamp: Stamp,
    /// The old file, locked: of several of us at once, one replaces it, and the others are told by
    /// the lock or by the version. Where there are no locks, the version alone must do.
    _old: OwnedFd,
}

impl<'a> Prepared<'a> {
    fn new(
        place: &Place,
        path: &'a Path,
        version: &'a Version,
        bytes: &[u8],
    ) -> Result<Self, Stop> {
        let root = file::open_root(&place.root)?;
        let (parent, name) = file::split(path)?;
        let directory = file::descend(root.as_fd(), parent)?;
        // Looked at before it is opened, as in reading.
        unchanged(&file::stat_at(&directory, name)?, version)?;
        let old = file::open(&directory, name)?;
        let stat = file::stat(&old)?;
        unchanged(&stat, version)?;
        if stat.stx_nlink > 1 {
            return Err(Stop::Linked);
        }
        let locked = rustix::fs::flock(&old, FlockOperation::NonBlockingLockExclusive);
        if locked == Err(Errno::WOULDBLOCK) {
            return Err(Errno::WOULDBLOCK.into());
        }
        let mut new = Temporary::create(directory, name)?;
        new.file.write_all(bytes)?;
        make_distinct(&new.file)?;
        keep::keep(&old, &stat, &new.file).map_err(|(part, error)| Stop::Kept(part, error))?;
        new.file.sync_all()?;
        let stamp = stamp(&new.file)?;
        Ok(Self {
            root,
            path,
            version,
            new,
            stamp,
            _old: old,
        })
    }

    /// Puts the new file in the old one's place, if that still is the version that was read.
    fn commit(mut self, written: &WrittenByUs) -> Result<Version, Stop> {
        // By its path from the root again, so that a directory that was moved counts as a change.
        match file::look(self.root.as_fd(), self.path)? {
            Some(stamp) if stamp.version() == *self.version => {}
            _ => return Err(Stop::Changed),
        }
        let (_, name) = file::split(self.path)?;
        self.new.rename(name)?;
        // The rename itself stamps ctime. Size and mtime are those of what was written: an edit that
        // came right after the rename differs in them, and a listing sees it.
        let changed = stamp(&self.new.file).map_err(Stop::Unsure)?.changed;
        let version = Stamp {
            changed,
            ..self.stamp
        }
        .version();
        written.note(self.path, &version);
        rustix::fs::fsync(&self.new.directory).map_err(|error| Stop::Unsure(error.into()))?;
        Ok(version)
    }
}

fn unchanged(stat: &Statx, version: &Version) -> Result<(), Stop> {
    match file::stamp(stat) {
        Some(stamp) if stamp.version() == *version => Ok(()),
        _ => Err(Stop::Changed),
    }
}

fn stamp(file: &File) -> io::Result<Stamp> {
    file::stamp(&file::stat(file)?).ok_or_else(|| io::Error::other("not a regular file"))
}

/// Sets the modification time a nanosecond back. The kernel stamps in coarse steps: without this, an
/// edit in the same step that keeps the size would leave the version of what was written.
fn make_distinct(file: &File) -> io::Result<()> {
    let (seconds, nanoseconds) = stamp(file)?.modified;
    let since = u64::try_from(seconds)
        .ok()
        .map(|s| Duration::new(s, nanoseconds));
    match since.and_then(|since| since.checked_sub(Duration::from_nanos(1))) {
        Some(since) => file.set_modified(UNIX_EPOCH + since),
        None => Ok(()),
    }
}

/// A temporary file: locked, and removed when it is dropped.
struct Temporary {
    directory: OwnedFd,
    name: OsString,
    file: File,
    remove: bool,
}

impl Temporary {
    fn create(directory: OwnedFd, of: &OsStr) -> Result<Self, Stop> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..NAMES {
            // Two processes need not agree: a name that is taken is passed over.
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = name::temporary(of, (std::process::id() << 12).wrapping_add(count));
            if let Some(file) = locked(&directory, &name)? {
                return Ok(Self {
                    directory,
                    name,
                    file,
                    remove: true,
                });
            }
        }
        Err(Stop::Io(Errno::EXIST.into()))
    }

    fn rename(&mut self, to: &OsStr) -> io::Result<()> {
        rustix::fs::renameat(&self.directory, &self.name, &self.directory, to)?;
        self.remove = false;
        Ok(())
    }
}

/// Creates and locks a file; `None` when the name is taken.
fn locked(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<File>> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: File = match rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o600)) {
        Ok(created) => created.into(),
        Err(Errno::EXIST) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // A listing that came between creation and lock has it, and removes it. Where there are no
    // locks, no listing gets one either.
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    let taken = locked == Err(Errno::WOULDBLOCK) || file::stat(&file)?.stx_nlink == 0;
    Ok((!taken).then_some(file))
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.remove {
            // One that stays is removed by a later listing.
            let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

/// What the caller is told, with a hint that says what to do.
fn told(what: &str, stop: Stop) -> Written {
    const OWNER: &str = "run the service as the file's owner (systemd: User= and Group=)";
    let refusal = |hint: String, source: Option<io::Error>| WriteRefusal {
        what: what.to_owned(),
        hint,
        source,
    };
    match stop {
        Stop::Changed => Written::Changed,
        Stop::Linked => Written::Refused(refusal(
            "has several hard links, which replacing it would part; make it a file of its own \
             (cp it and move the copy over it)"
                .to_owned(),
            None,
        )),
        Stop::Unsure(error) => Written::Unknown(refusal(
            "was replaced, and it is not certain that this reached the disk; it is read again; \
             look into the kernel log for disk errors"
                .to_owned(),
            Some(error),
        )),
        Stop::Kept(part, error) if !is_full(&error) => {
            let hint = match part {
                Part::Owner => format!("its owner and group cannot be kept; {OWNER}"),
                Part::Mode => format!("its mode cannot be kept; {OWNER}"),
                Part::Attributes => {
                    format!(
                        "its ACL or extended attributes cannot be kept; {OWNER}, or remove them"
                    )
                }
            };
            Written::Refused(refusal(hint, Some(error)))
        }
        Stop::Kept(_, error) | Stop::Io(error) => {
            let (lasting, hint) = hint(Errno::from_io_error(&error));
            let refusal = refusal(hint.to_owned(), Some(error));
            if lasting {
                Written::Refused(refusal)
            } else {
                Written::Failed(refusal)
            }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOSPC | Errno::DQUOT)
    )
}

/// Whether an error stays until a person acts, and what to do about it.
fn hint(error: Option<Errno>) -> (bool, &'static str) {
    match error {
        Some(Errno::NOSPC) => (
            false,
            "no space left on its file system; free some, it is tried again",
        ),
        Some(Errno::DQUOT) => (
            false,
            "the disk quota of its owner or of the service's user is used up; raise it or free \
             space, it is tried again",
        ),
        Some(Errno::ROFS) => (
            true,
            "its file system is read-only for the service; list the directory in ReadWritePaths= \
             of the systemd unit, or mount it writable",
        ),
        Some(Errno::ACCESS | Errno::PERM) => (
            true,
            "no permission to replace it; give the service's user write permission on the file's \
             directory and read permission on the file, list the directory in ReadWritePaths= of the \
             systemd unit, and see that neither is immutable (lsattr)",
        ),
        Some(Errno::FBIG) => (
            true,
            "larger than the service may write; raise LimitFSIZE= of the systemd unit",
        ),
        Some(Errno::NAMETOOLONG) => (true, "its name is too long to replace it; rename it"),
        Some(Errno::MFILE | Errno::NFILE) => (
            false,
            "too many open files; raise LimitNOFILE= of the systemd unit, it is tried again",
        ),
        Some(Errno::WOULDBLOCK) => (
            false,
            "another program holds a lock on it; it is tried again",
        ),
        _ => (false, "could not be written; it is tried again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Told {
        Changed,
        Refused,
        Failed,
        Unknown,
    }

    #[test]
    fn each_error_is_refused_or_tried_again_and_says_what_to_do() {
        use Told::{Changed, Failed, Refused, Unknown};
        let io = |errno: Errno| Stop::from(errno);
        let kept = |part, errno: Errno| Stop::Kept(part, errno.into());
        let cases = [
            (io(Errno::NOENT), Changed, ""),
            (io(Errno::NOTDIR), Changed, ""),
            (io(Errno::LOOP), Changed, ""),
            (io(Errno::ROFS), Refused, "ReadWritePaths="),
            (
                io(Errno::ACCESS),
                Refused,
                "write permission on the file's directory",
            ),
            (io(Errno::PERM), Refused, "ReadWritePaths="),
            (io(Errno::FBIG), Refused, "LimitFSIZE="),
            (io(Errno::NAMETOOLONG), Refused, "rename it"),
            (io(Errno::NOSPC), Failed, "free some"),
            (io(Errno::DQUOT), Failed, "quota"),
            (io(Errno::MFILE), Failed, "LimitNOFILE="),
            (io(Errno::WOULDBLOCK), Failed, "lock"),
            (io(Errno::IO), Failed, "tried again"),
            (Stop::Linked, Refused, "hard links"),
            (Stop::Unsure(Errno::IO.into()), Unknown, "read again"),
            (kept(Part::Owner, Errno::PERM), Refused, "User="),
            (kept(Part::Mode, Errno::PERM), Refused, "User="),
            (
                kept(Part::Attributes, Errno::OPNOTSUPP),
                Refused,
                "extended attributes",
            ),
            (kept(Part::Attributes, Errno::NOSPC), Failed, "free some"),
        ];
        for (stop, expected, hint) in cases {
            let (ended, refusal) = match told("team/a.ics", stop) {
                Written::Changed => (Changed, None),
                Written::Refused(refusal) => (Refused, Some(refusal)),
                Written::Failed(refusal) => (Failed, Some(refusal)),
                Written::Unknown(refusal) => (Unknown, Some(refusal)),
                Written::Stored(_) => panic!("nothing was stored"),
            };
            let text = refusal
                .map(|refusal| refusal.to_string())
                .unwrap_or_default();
            assert_eq!(ended, expected, "{text}");
            assert!(text.contains(hint), "{hint:?} is not in {text:?}");
            assert!(
                text.is_empty() || text.starts_with("team/a.ics: "),
                "{text}"
            );
        }
    }

    #[test]
    fn what_we_write_has_a_time_that_no_edit_after_it_gets() {
        let file = tempfile::tempfile().unwrap();
        let tick = UNIX_EPOCH + Duration::from_secs(1_000);
        file.set_modified(tick).unwrap();
        make_distinct(&file).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        assert_eq!(
            tick.duration_since(modified).unwrap(),
            Duration::from_nanos(1)
        );
    }

    /// A calendar with one file, and its version.
    fn one_file() -> (tempfile::TempDir, Place, Version) {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a.ics"), "before").unwrap();
        let place = Place {
            root: root.path().to_owned(),
            only: None,
        };
        let directory = file::open_root(root.path()).unwrap();
        let stamp = file::look(directory.as_fd(), Path::new("a.ics"));
        let version = stamp.unwrap().unwrap().version();
        (root, place, version)
    }

    fn names(root: &Path) -> Vec<OsString> {
        let entries = std::fs::read_dir(root).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_change_while_the_new_file_is_prepared_wins() {
        type Edit = fn(&Path);
        let edits: [(Edit, &[&str]); 3] = [
            (
                |root| std::fs::write(root.join("a.ics"), "theirs").unwrap(),
                &["a.ics"],
            ),
            (
                |root| std::fs::remove_file(root.join("a.ics")).unwrap(),
                &[],
            ),
            (
                |root| std::fs::rename(root.join("a.ics"), root.join("b.ics")).unwrap(),
                &["b.ics"],
            ),
        ];
        for (edit, left) in edits {
            let (root, place, version) = one_file();
            let path = Path::new("a.ics");
            let prepared = Prepared::new(&place, path, &version, b"ours").ok().unwrap();
            edit(root.path());
            let committed = prepared.commit(&WrittenByUs::default());
            assert!(matches!(committed, Err(Stop::Changed)));
            assert_eq!(names(root.path()), left);
            for name in left {
                let content = std::fs::read_to_string(root.path().join(name)).unwrap();
                assert_ne!(content, "ours");
            }
        }
    }

    #[test]
    fn a_temporary_file_is_private_locked_and_gone_in_the_end() {
        use std::os::unix::fs::PermissionsExt as _;
        let (root, place, version) = one_file();
        let path = Path::new("a.ics");
        let prepared = Prepared::new(&place, path, &version, b"ours").ok().unwrap();
        let second = Prepared::new(&place, path, &version, b"second");
        assert!(matches!(second, Err(Stop::Io(_))), "two of us at once");
        let present = names(root.path());
        let [temporary, file] = present.as_slice() else {
            panic!("{present:?}");
        };
        assert!(name::is_temporary(temporary) && file == "a.ics");
        let other = File::open(root.path().join(temporary)).unwrap();
        let lock = rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(lock, Err(Errno::WOULDBLOCK));
        drop(prepared);
        assert_eq!(names(root.path()), ["a.ics"]);

        let directory = file::open_root(root.path()).unwrap();
        let created = locked(&directory, OsStr::new("new")).unwrap().unwrap();
        let mode = created.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(locked(&directory, OsStr::new("new")).unwrap().is_none());
    }
}
