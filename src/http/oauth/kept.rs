//! The refresh token that a server gave in place of the configured one, in a file of the owner's
//! alone. Disk.
//!
//! [`read()`], [`write()`]: such a file, for tokens of every kind. [`Turn`]: one process at a time.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, fchown,
};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::fingerprint;
use crate::secret;

/// The largest file: a refresh token with every byte escaped, and the rest.
const LARGEST: u64 = 7 * secret::LARGEST as u64;
/// The longest part of an account's name in a file's name, in bytes.
const LONGEST_NAME: usize = 128;
/// What of an account's name goes into a file's name as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// A refresh token and the one that it took the place of.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// The fingerprint of the configured token at that time: another one there now counts more.
    pub(super) configured: String,
    /// The token.
    pub(super) token: SecretString,
}

/// The file of `account` in `directory`.
pub(super) fn file(directory: &Path, account: &str) -> PathBuf {
    let mut name = utf8_percent_encode(account, PLAIN).to_string();
    if name.len() > LONGEST_NAME {
        name.truncate(LONGEST_NAME);
        name.push('+');
        name.push_str(&fingerprint(account)[..32]);
    }
    directory.join(name + ".json")
}

/// Reads a kept token. One that is damaged counts as absent: the configured one is left.
pub(super) fn load(path: &Path) -> Result<Option<Kept>> {
    let Some(body) = read(path)? else {
        return Ok(None);
    };
    let text = |key: &str| body[key].as_str().filter(|text| !text.is_empty());
    Ok(text("configured")
        .zip(text("refresh_token"))
        .map(|(configured, token)| Kept {
            configured: configured.to_owned(),
            token: SecretString::from(token),
        }))
}

pub(super) fn save(path: &Path, kept: &Kept) -> Result<()> {
    let body = json!({
        "configured": kept.configured,
        "refresh_token": kept.token.expose_secret(),
    });
    write(path, &body)
}

/// What the file at `path` holds: `None` when it is not there, null when it is damaged.
pub(crate) fn read(path: &Path) -> Result<Option<Value>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(careful())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes).unwrap_or_default()))
}

/// Replaces the file at `path`, 0600, in its directory, 0700: wholly or not at all, also when the
/// machine stops.
pub(crate) fn write(path: &Path, body: &Value) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    make_directory(directory)?;
    // Made 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(body.to_string().as_bytes())?;
    give_to_owner(file.as_file(), directory)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

/// The right to replace the tokens that go with one lock file, which ends with this or its process.
#[derive(Debug)]
pub(crate) struct Turn(File);

impl Turn {
    /// Takes it without waiting; `None`: another process, or another task of this one, has it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>> {
        let directory = path.parent().unwrap_or(Path::new("."));
        make_directory(directory)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(careful())
            .open(path)?;
        give_to_owner(&file, directory)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A command that is just being started may have the file open, too, so closing it would not do.
impl Drop for Turn {
    fn drop(&mut self) {
        // A failure leaves the lock to the closing of the file.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Follows no link, waits for no pipe.
fn careful() -> i32 {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    flags.bits().cast_signed()
}

/// A command run as root must leave files that the daemon can use.
fn give_to_owner(file: &File, directory: &Path) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        let owner = directory.metadata()?;
        fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

fn make_directory(directory: &Path) -> Result<()> {
    match directory.metadata() {
        Ok(found) if found.mode() & 0o077 == 0 => Ok(()),
        Ok(_) => std::fs::set_permissions(directory, Permissions::from_mode(0o700)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
            if rustix::process::geteuid().is_root()
                && let Some(parent) = directory.parent()
            {
                let owner = parent.metadata()?;
                chown(directory, Some(owner.uid()), Some(owner.gid()))?;
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(token: &str) -> Kept {
        Kept {
            configured: fingerprint("configured"),
            token: SecretString::from(token),
        }
    }

    #[test]
    fn a_token_is_kept_for_the_owner_alone() {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("tokens");
        let path = file(&directory, "alice");
        assert!(load(&path).unwrap().is_none());
        for token in ["first", "sec\"ond"] {
            save(&path, &kept(token)).unwrap();
            let found = load(&path).unwrap().unwrap();
            assert!(found.token.expose_secret() == token);
            assert_eq!(found.configured, fingerprint("configured"));
        }
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
        assert_eq!(
            directory.read_dir().unwrap().count(),
            1,
            "nothing else is left"
        );

        std::fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        save(&path, &kept("third")).unwrap();
        assert_eq!(mode(&directory), 0o700);
    }

    #[test]
    fn a_damaged_file_counts_as_absent_and_a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), "alice");
        for damage in ["", "{", "{\"configured\": \"x\"}", "[]", "\u{0}"] {
            std::fs::write(&path, damage).unwrap();
            assert!(load(&path).unwrap().is_none(), "{damage}");
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(load(&path).is_err());
    }

    #[test]
    fn a_turn_is_had_by_one_until_it_is_given_up() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("tokens/one.lock");
        let turn = Turn::take(&path).unwrap().unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(Turn::take(&path).unwrap().is_none());
        drop(turn);
        assert!(Turn::take(&path).unwrap().is_some());
        assert!(Turn::take(Path::new("/dev/null/x")).is_err());
    }

    #[test]
    fn every_name_is_a_file_of_its_own() {
        let directory = Path::new("/tokens");
        for (name, expected) in [
            ("alice", "/tokens/alice.json"),
            ("a b.c/../d", "/tokens/a%20b%2Ec%2F%2E%2E%2Fd.json"),
            ("é", "/tokens/%C3%A9.json"),
        ] {
            assert_eq!(file(directory, name), Path::new(expected));
        }
        let long = |last: &str| file(directory, &format!("{}{last}", "ü".repeat(100)));
        assert_ne!(long("a"), long("b"));
        assert!(long("a").file_name().unwrap().len() < 200);
    }
}
