//! Where secrets come from: files, commands, systemd credentials. Redaction is by type.

use std::path::PathBuf;

/// The largest secret, in bytes.
pub const LARGEST: usize = 64 * 1024;

/// Where a secret is to be read, each time it is needed; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that holds nothing else.
    File(PathBuf),
    /// A program and its arguments, run without a shell, which prints it.
    Command(Vec<String>),
    /// A systemd credential's name: a file in `$CREDENTIALS_DIRECTORY`, else in `/etc/credstore`.
    Credential(String),
}
