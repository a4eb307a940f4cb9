//! The control socket: through it, commands reach a running daemon.
//!
//! A Unix socket for the daemon's own user and root. One request a connection, a line of JSON; then
//! lines of JSON with what the command prints, as it prints it, and its exit status last. A daemon
//! tells where it listens in the state's lock file, so who finds the state finds the daemon.

mod ask;
mod socket;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};
use tokio::sync::mpsc;

pub use ask::{AskError, ask};
pub use socket::Socket;

use crate::clock::Clock;
use crate::sync::Unlink;

/// The version of the protocol; one that differs is not understood.
const VERSION: u32 = 1;

/// The longest request, in bytes.
const LARGEST_REQUEST: usize = 64 * 1024;

/// The longest piece of text in one answer, in bytes.
const LARGEST_PIECE: usize = 32 * 1024;

/// The longest answer line, in bytes: JSON writes a byte in six at most.
const LARGEST_ANSWER: usize = 6 * LARGEST_PIECE + 64;

/// How often the daemon says that it is at work while it has nothing else to say.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// A command that a daemon runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// `status`.
    Status {
        /// As JSON.
        json: bool,
    },
    /// `plan`.
    Plan {
        /// The calendar or account; all when `None`.
        calendar: Option<String>,
        /// As JSON.
        json: bool,
        /// With titles in the JSON.
        titles: bool,
        /// Of a pass that rewrites links.
        #[serde(default)]
        rewrite: bool,
        /// Of what is unlinked.
        #[serde(default)]
        unlink: Option<Unlink>,
    },
    /// `sync`.
    Sync {
        /// The calendar or account; all when `None`.
        calendar: Option<String>,
        /// Bring the links that are there to what is configured now.
        #[serde(default)]
        rewrite: bool,
    },
    /// `resume`.
    Resume {
        /// The calendar.
        calendar: String,
    },
    /// `unlink`.
    Unlink {
        /// Of each calendar.
        what: Unlink,
        /// The calendar or account; all when `None`.
        calendar: Option<String>,
        /// End the meetings, too.
        end_meetings: bool,
    },
}

impl Command {
    /// What is typed after `meetbridge`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Plan { .. } => "plan",
            Self::Sync { .. } => "sync",
            Self::Resume { .. } => "resume",
            Self::Unlink { .. } => "unlink",
        }
    }
}

/// What a command prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Text for stdout.
    Out(String),
    /// Text for stderr.
    Err(String),
}

/// What runs the commands in the daemon.
#[async_trait]
pub trait Serve: Send + Sync {
    /// Runs a command for somebody whose terminal has `width` columns, `None` where it is none. What
    /// it prints goes to `to`, where nobody may be listening. Returns its exit status.
    async fn serve(&self, command: Command, width: Option<u16>, to: mpsc::Sender<Said>) -> u8;
}

/// The line that is sent to the daemon.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    version: u32,
    /// The process that is meant, as the lock file has it.
    daemon: String,
    width: Option<u16>,
    command: Command,
}

/// What every version of a request has.
#[derive(Debug, Deserialize)]
struct Head {
    version: u32,
}

/// A line that the daemon sends.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    /// Nothing to say at the moment.
    Working,
    /// Another daemon than the one that is meant.
    Elsewhere,
    /// For stdout.
    Out(String),
    /// For stderr.
    Err(String),
    /// The exit status; nothing follows.
    End(u8),
}

/// Where a daemon with this state listens: in `$RUNTIME_DIRECTORY` (systemd's), else in `meetbridge`
/// in `$XDG_RUNTIME_DIR`, else with the state.
pub fn place(variable: impl Fn(&str) -> Option<OsString>, state_directory: &Path) -> PathBuf {
    let absolute = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    // systemd.exec(5): several directories are separated by colons; ours is the first.
    let systemds = absolute("RUNTIME_DIRECTORY")
        .and_then(|list| Some(PathBuf::from(list.to_str()?.split(':').next()?)));
    if let Some(directory) = systemds {
        return directory.join("control.sock");
    }
    if let Some(directory) = absolute("XDG_RUNTIME_DIR") {
        // A user may run several, each with a state of its own.
        let state = state_directory.as_os_str().as_encoded_bytes();
        let name = crate::model::hex(&crate::model::sha256([state])[..6]);
        return directory.join(format!("meetbridge/control-{name}.sock"));
    }
    state_directory.join("control.sock")
}

/// The next line, without its end; `None` at the end of the stream. One that is longer than `limit`,
/// or cut short, is an error.
async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    limit: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut bounded = reader.take(limit as u64);
    match bounded.read_until(b'\n', &mut line).await? {
        0 => Ok(None),
        _ if line.pop() == Some(b'\n') => Ok(Some(line)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// What `work` gives, unless it takes longer than `limit`.
async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        done = work => done,
        () = clock.sleep(limit) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests;
