//! The command's side: asks the daemon and passes on what it says.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::{
    Answer, Command, HEARTBEAT, LARGEST_ANSWER, Request, Said, VERSION, read_line, within,
};
use crate::clock::Clock;
use crate::state::Announced;

/// How long the daemon may say nothing at all.
const PATIENCE: Duration = Duration::from_secs(6 * HEARTBEAT.as_secs());

/// Why a command was not run by the daemon, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens, or another daemon does.
    #[error("no daemon listens there")]
    NotThere,
    /// It stopped, or somebody ended it.
    #[error("the daemon ended before the command was done; try again")]
    Ended,
    /// It says nothing.
    #[error("the daemon (process {0}) does not answer; try again, or restart it")]
    Silent(String),
    /// It says what this version does not know.
    #[error("the daemon (process {0}) is another version of meetbridge; restart it")]
    Foreign(String),
}

/// Has the daemon run `command` for a terminal of `width` columns, `None` where there is none. What it
/// prints goes to `hear`, its exit status comes back.
///
/// # Errors
/// [`AskError`]; after [`AskError::NotThere`], nothing was done or printed.
pub async fn ask(
    at: &Announced,
    command: Command,
    width: Option<u16>,
    clock: &dyn Clock,
    mut hear: impl FnMut(Said),
) -> Result<u8, AskError> {
    let stream = within(clock, PATIENCE, UnixStream::connect(&at.socket)).await;
    let stream = stream.map_err(|_| AskError::NotThere)?;
    let (reader, mut writer) = stream.into_split();
    let request = Request {
        version: VERSION,
        daemon: at.process.clone(),
        width,
        command,
    };
    let foreign = || AskError::Foreign(at.process.clone());
    let why = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => AskError::Silent(at.process.clone()),
        io::ErrorKind::InvalidData => foreign(),
        _ => AskError::Ended,
    };
    let mut line = serde_json::to_vec(&request).map_err(|error| why(error.into()))?;
    line.push(b'\n');
    within(clock, PATIENCE, writer.write_all(&line))
        .await
        .map_err(why)?;
    let mut reader = BufReader::new(reader);
    loop {
        let line = within(clock, PATIENCE, read_line(&mut reader, LARGEST_ANSWER)).await;
        let Some(line) = line.map_err(why)? else {
            return Err(AskError::Ended);
        };
        match serde_json::from_slice(&line).map_err(|_| foreign())? {
            Answer::Working => {}
            Answer::Elsewhere => return Err(AskError::NotThere),
            Answer::Out(text) => hear(Said::Out(text)),
            Answer::Err(text) => hear(Said::Err(text)),
            Answer::End(exit) => return Ok(exit),
        }
    }
}
