//! One process per state directory: `flock` on `state.lock`, which ends with the process however it
//! ends. The file stays; what is written in it is for the message alone.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::error::OpenError;
use super::file;

const NAME: &str = "state.lock";

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
        let mut file = file::open_existing(&path).map_err(unusable)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(OpenError::Locked {
                    directory: directory.to_owned(),
                    holder: holder(&file),
                });
            }
            Err(source) => return Err(unusable(source.into())),
        }
        // On a full disk the number is missing and a message says `unknown`; the lock holds all the same.
        let _ = write_holder(&mut file);
        Ok(Self { file })
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

fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// The process id in the lock file; `unknown` when it holds anything else.
fn holder(file: &File) -> String {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text) {
        Ok(_) => {}
        Err(_) => text.clear(),
    }
    let id = text.trim();
    if !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) {
        id.to_owned()
    } else {
        "unknown".to_owned()
    }
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
}
