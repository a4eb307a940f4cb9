//! The journald format: an entry with fields, by systemd's native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
//!
//! It is written here: `tracing-journald` knows no message ids, drops what it cannot send and cuts
//! nothing, and `libsystemd` brings nine crates for what is one datagram.

use std::fmt::Write as _;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::Level;
use uuid::Uuid;

use super::catalogue::Kind;
use super::line::Line;
use super::text;

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// Under this name the journal shows the entries.
const IDENTIFIER: &str = "meetbridge";

/// The namespace of the message ids. It never changes: ids are searched for.
const NAMESPACE: Uuid = Uuid::from_u128(0x10f3ba8a_2d7a_4bdd_8f2b_94ca32206773);

impl Kind {
    /// The event's message id in the journal: the UUID of version 5 of its [`id`](Self::id) in a
    /// namespace of meetbridge's own, so it is the same in every version.
    pub fn message_id(&self) -> Uuid {
        Uuid::new_v5(&NAMESPACE, self.id.as_bytes())
    }
}

/// The way to journald.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// A way to what listens at `path`, now or later.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            socket: UnixDatagram::unbound()?,
            path: path.to_owned(),
        })
    }

    /// Hands an entry over. It waits where journald is behind, as writing to stderr would.
    pub(super) fn send(&self, line: &Line) -> io::Result<()> {
        // By name, so that a socket that was made anew is found.
        self.socket.send_to(entry(line).as_bytes(), &self.path)?;
        Ok(())
    }
}

/// A line for each field. No value holds a line end, since each is free of control characters.
fn entry(line: &Line) -> String {
    let mut text = String::new();
    let mut put = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{name}={value}");
    };
    put("PRIORITY", &priority(line.level));
    put("SYSLOG_IDENTIFIER", &IDENTIFIER);
    // The fields stand in it, too, or `journalctl` would show neither which calendar nor why.
    let message = format!("{} {}{}", line.name(), line.message, text::fields(line));
    put("MESSAGE", &message);
    put("CODE_MODULE", &line.module);
    if let Some(kind) = line.kind {
        put("MESSAGE_ID", &kind.message_id().simple());
        put("MEETBRIDGE_EVENT", &kind.id);
    }
    for (name, value) in &line.fields {
        match value {
            serde_json::Value::String(value) => put(&field(name), value),
            value => put(&field(name), value),
        }
    }
    text
}

/// syslog's levels.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// `MEETBRIDGE_` and the name in upper case, of the characters that journald takes.
fn field(name: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    let name: String = name.chars().take(50).map(letter).collect();
    format!("MEETBRIDGE_{name}")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::super::catalogue::ALL;

    /// The catalogue as journald reads it (<https://systemd.io/CATALOG/>), for `journalctl -x`.
    fn catalog() -> String {
        let mut text = String::from(
            "# Explanations for `journalctl --catalog`. Made of src/log/catalogue.rs by\n\
             # MEETBRIDGE_RENEW=1 cargo test the_journal_catalog\n",
        );
        for kind in ALL {
            let (id, sentence) = (kind.message_id().simple(), kind.sentence);
            let _ = write!(
                text,
                "\n-- {id}\nSubject: {sentence} ({event})\nDefined-By: meetbridge\n\
                 Documentation: man:meetbridge-log(7)\n\n{meaning}\n\n{action}\n",
                event = kind.id,
                meaning = fill(kind.meaning),
                action = fill(&format!("What to do: {}", kind.action)),
            );
        }
        text
    }

    /// Lines of at most 80 characters.
    fn fill(text: &str) -> String {
        let (mut lines, mut line) = (Vec::new(), String::new());
        for word in text.split(' ') {
            if !line.is_empty() && line.len() + 1 + word.len() > 80 {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        lines.join("\n")
    }

    #[test]
    fn the_journal_catalog_is_that_of_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/meetbridge.catalog");
        if std::env::var_os("MEETBRIDGE_RENEW").is_some() {
            std::fs::write(&path, catalog()).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == catalog(),
            "{} is not what the catalogue of events says; renew it with \
             MEETBRIDGE_RENEW=1 cargo test the_journal_catalog",
            path.display()
        );
        // journald would look for a field of this name.
        assert_eq!(there.matches('@').count(), 0);
    }
}
