//! Where secrets come from: each is named by one of three keys, and never stands in the file.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::table::{Table, Value, Wrong};
use super::value;
use crate::model::Escaped;
use crate::secret::SecretSource;

/// The keys of one secret.
pub(super) struct Keys {
    /// The key that somebody might write the secret itself into.
    pub(super) plain: &'static str,
    pub(super) file: &'static str,
    pub(super) command: &'static str,
    pub(super) credential: &'static str,
}

impl Keys {
    /// The first of the three keys that is there, well-formed or not.
    pub(super) fn given(&self, table: &Table<'_, '_>) -> Option<&'static str> {
        self.all().into_iter().find(|key| table.has(key))
    }

    /// Whether the secret is meant to be set, even if not as it should be.
    pub(super) fn attempted(&self, table: &Table<'_, '_>) -> bool {
        table.has(self.plain) || self.given(table).is_some()
    }

    fn all(&self) -> [&'static str; 3] {
        [self.file, self.command, self.credential]
    }

    /// The secret's source; more than one is a fault, as is the secret itself.
    pub(super) fn read(&self, table: &mut Table<'_, '_>) -> Option<SecretSource> {
        let hint = format!(
            "put it in a file of mode 0600 and name that by {}; \
             if others could read this file, make a new secret",
            self.file
        );
        table.refuse(
            self.plain,
            "a secret does not stand in the configuration",
            &hint,
        );
        let file = table
            .optional(self.file, secret_path)
            .map(SecretSource::File);
        let command = table
            .optional(self.command, value::command)
            .map(SecretSource::Command);
        let credential = table
            .optional(self.credential, value::credential)
            .map(SecretSource::Credential);
        let mut given = self.all().into_iter().filter(|key| table.has(key));
        if let (Some(_), Some(second)) = (given.next(), given.next()) {
            let hint = format!("give one of {}, -command and -credential", self.file);
            table.report_at(
                second,
                Wrong::new("the secret's source is given twice", hint),
            );
        }
        file.or(command).or(credential)
    }
}

/// The absolute path of a file that holds a secret: where everybody can use it, it is none. Its group may,
/// as a service's often has to. Whether it is there at all shows when it is read.
pub(super) fn secret_path(value: &Value<'_>) -> Result<PathBuf, Wrong> {
    let path = value::path(value)?;
    let found = std::fs::metadata(&path)
        .ok()
        .filter(|found| found.is_file());
    match found.map(|found| found.mode() & 0o777) {
        Some(mode) if mode & 0o007 != 0 => {
            let place = Escaped(&path.to_string_lossy()).to_string();
            Err(Wrong::new(
                format!("{place} has mode {mode:04o}: everybody can use this secret"),
                format!("chmod 0600 {place}, and replace the secret if others work here"),
            ))
        }
        _ => Ok(path),
    }
}
