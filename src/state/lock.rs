//! One process per state directory: `flock` on `state.lock`, which ends with the process however it
//! ends. The file stays; what is written in it only tells who has, or had, the lock: a line with the
//! process id, and for a daemon a line with the path of its control socket.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::error::OpenError;
use super::file;

const NAME: &str = "state.lock";

/// How much of the lock file is read: the longest path (PATH_MAX) and an id.
const LARGEST: u64 = 4096 + 32;

/// What a daemon that has, or had, the state says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its process id, in its own process namespace.
    pub process: String,
    /// Where it listens for commands; absolute.
    pub socket: PathBuf,
}

/// The held lock.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of `directory` without waiting.
    pub(super) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(NAME);
        let unusable = |source: std::io::Error| {
            let hint = "cannot be opened for writing; it and its directory must belong to the user \
                        that runs meetbridge";
            OpenError::unusable(&path, hint, source)
        };
        file::make_private(&path).map_err(unusable)?;
        let file = file::open_existing(&path).map_err(unusable)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(OpenError::Locked {
                    directory: directory.to_owned(),
                    holder: holder(&read(&file)).unwrap_or("unknown").to_owned(),
                });
            }
            Err(source) => return Err(unusable(source.into())),
        }
        let lock = Self { file };
        // On a full disk the number is missing and a message says `unknown`; the lock holds all the same.
        let _ = lock.tell(None);
        Ok(lock)
    }

    /// Writes down who has the lock, and where it listens.
    pub(super) fn tell(&self, socket: Option<&Path>) -> std::io::Result<()> {
        let mut text = format!("{}\n", std::process::id()).into_bytes();
        if let Some(socket) = socket {
            let path = socket.as_os_str().as_bytes();
            if path.contains(&b'\n') || !socket.is_absolute() {
                return Err(std::io::ErrorKind::InvalidFilename.into());
            }
            text.extend_from_slice(path);
            text.push(b'\n');
        }
        self.file.set_len(0)?;
        self.file.write_all_at(&text, 0)
    }
}

/// Closing the file alone would not do while another thread starts a command: until that one has
/// become its program, it has the file open too.
impl Drop for Lock {
    fn drop(&mut self) {
        // A failure leaves the lock to the closing of the file.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// What the last daemon that had the state below `directory` said of itself: it may have ended.
pub(super) fn announced(directory: &Path) -> Option<Announced> {
    let path = directory.join(NAME);
    let text = read(&file::open_to_look(&path).ok()?);
    let process = holder(&text)?.to_owned();
    // Without its end, the line is not yet whole.
    let (socket, _) = split_line(split_line(&text)?.1)?;
    let socket = PathBuf::from(OsStr::from_bytes(socket));
    socket
        .is_absolute()
        .then_some(Announced { process, socket })
}

fn read(file: &File) -> Vec<u8> {
    let mut text = Vec::new();
    match file.take(LARGEST).read_to_end(&mut text) {
        Ok(_) => text,
        Err(_) => Vec::new(),
    }
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((&text[..end], &text[end + 1..]))
}

/// The process id in a lock file; `None` when it begins with anything else.
fn holder(text: &[u8]) -> Option<&str> {
    let (id, _) = split_line(text)?;
    let plausible = (1..=20).contains(&id.len()) && id.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(id).ok().filter(|_| plausible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_ends_although_a_starting_command_still_has_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let lock = Lock::take(directory.path()).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        Lock::take(directory.path()).unwrap_err();
        drop(lock);
        Lock::take(directory.path()).unwrap();
        drop(inherited);
    }

    #[test]
    fn who_has_the_lock_says_where_it_listens() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        assert_eq!(announced(directory.path()), None);
        let lock = Lock::take(directory.path()).unwrap();
        assert_eq!(announced(directory.path()), None);
        let socket = Path::new("/run/meetbridge/control.sock");
        lock.tell(Some(socket)).unwrap();
        let told = announced(directory.path()).unwrap();
        assert_eq!(told.process, std::process::id().to_string());
        assert_eq!(told.socket, socket);
        for bad in ["relative.sock", "/run/a\nb"] {
            lock.tell(Some(Path::new(bad))).unwrap_err();
        }
        drop(lock);
        // The next one is a command, which listens nowhere.
        drop(Lock::take(directory.path()).unwrap());
        assert_eq!(announced(directory.path()), None);
        let hostile: [&[u8]; 6] = [
            b"",
            b"12",
            b"12\n/run/cut-short",
            b"12\nrelative\n",
            b"x\n/run/control.sock\n",
            b"123456789012345678901\n/run/control.sock\n",
        ];
        for text in hostile {
            std::fs::write(&path, text).unwrap();
            assert_eq!(announced(directory.path()), None, "{text:?}");
        }
        std::fs::write(&path, "9\n/".to_owned() + &"x".repeat(1 << 20)).unwrap();
        assert_eq!(announced(directory.path()), None);
    }
}
