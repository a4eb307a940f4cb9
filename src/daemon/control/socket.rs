//! The daemon's side: the socket's file, and one connection after the other.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{
    Answer, HEARTBEAT, Head, LARGEST_PIECE, LARGEST_REQUEST, Request, Said, Serve, VERSION,
    read_line, within,
};
use crate::clock::Clock;
use crate::log;

/// How many connections are served at once; others wait to be taken.
const MOST_CONNECTIONS: usize = 8;

/// How long a request may take to arrive, and a piece of the answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing is accepted after that has failed (too many open files).
const REST: Duration = Duration::from_secs(1);

/// How long commands that are under way may take to say how they ended once the daemon stops.
const GRACE: Duration = Duration::from_secs(5);

/// A socket that the daemon listens at. Its file is removed when this is dropped.
pub struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another daemon may have put its own there.
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let found = path.symlink_metadata()?;
    Ok((found.dev(), found.ino()))
}

impl Socket {
    /// Listens at `path`, mode 0600, in a directory that is made with mode 0700 unless it is there. A
    /// socket that a daemon before left there is replaced. Needs the runtime.
    ///
    /// # Errors
    /// When the directory or the socket cannot be made, and when something else is in its place.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
        }
        match path.symlink_metadata() {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::other("something else is in the socket's place"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Nobody can connect before the mode is right: until then it has another name.
        let unfinished = path.with_extension("new");
        if let Err(error) = std::fs::remove_file(&unfinished)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let listener = UnixListener::bind(&unfinished)?;
        std::fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
        let inode = inode(&unfinished)?;
        std::fs::rename(&unfinished, path)?;
        Ok(Self {
            listener,
            file: SocketFile {
                path: path.to_owned(),
                inode,
            },
        })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Serves until `stop`, and lets the commands that are under way say how they ended.
    pub async fn serve(
        self,
        office: Arc<dyn Serve>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let free = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.accept(&free) => accepted,
            };
            match accepted {
                Ok((stream, permit)) => {
                    let (office, clock) = (office.clone(), clock.clone());
                    connections.spawn(async move {
                        // A peer that has gone is told nothing; what it asked for is under way.
                        let _ = talk(stream, &*office, &*clock).await;
                        drop(permit);
                    });
                }
                Err(_) => clock.sleep(REST).await,
            }
        }
        connections.close();
        tokio::select! {
            () = connections.wait() => {}
            () = clock.sleep(GRACE) => {}
        }
    }

    /// The next connection of somebody who may have one, once there is room for it.
    async fn accept(
        &self,
        free: &Arc<Semaphore>,
    ) -> io::Result<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
        let permit = free.clone().acquire_owned().await;
        let permit = permit.map_err(io::Error::other)?;
        loop {
            let (stream, _) = self.listener.accept().await?;
            let own = rustix::process::geteuid().as_raw();
            if stream
                .peer_cred()
                .is_ok_and(|peer| [own, 0].contains(&peer.uid()))
            {
                return Ok((stream, permit));
            }
        }
    }
}

/// One connection: reads the request, has it run, sends what it says. Ends when the peer goes, or
/// says more.
async fn talk(stream: UnixStream, office: &dyn Serve, clock: &dyn Clock) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut peer = Peer { writer, clock };
    let line = within(clock, PATIENCE, read_line(&mut reader, LARGEST_REQUEST)).await;
    let request = match line {
        Ok(Some(line)) => understand(&line),
        Ok(None) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err("not a request of a line of at most 64 KiB".to_owned())
        }
        Err(error) => return Err(error),
    };
    let request = match request {
        Ok(request) => request,
        Err(why) => return peer.refuse(&why).await,
    };
    if request.daemon != std::process::id().to_string() {
        return peer.send(&Answer::Elsewhere).await;
    }

    log::event!(CONTROL_COMMAND, command = request.command.name());
    let (to, mut said) = mpsc::channel(16);
    let mut work = office.serve(request.command, request.width, to);
    let mut exit = None;
    loop {
        tokio::select! {
            // What is asked for is begun before anybody looks whether the peer still is there.
            biased;
            said = said.recv() => match (said, exit) {
                (Some(Said::Out(text)), _) => peer.tell(&text, Answer::Out).await?,
                (Some(Said::Err(text)), _) => peer.tell(&text, Answer::Err).await?,
                (None, Some(exit)) => return peer.send(&Answer::End(exit)).await,
                (None, None) => {
                    let exit = (&mut work).await;
                    return peer.send(&Answer::End(exit)).await;
                }
            },
            code = &mut work, if exit.is_none() => exit = Some(code),
            // The request was all that it had to say.
            _ = reader.fill_buf() => return Ok(()),
            () = clock.sleep(HEARTBEAT) => peer.send(&Answer::Working).await?,
        }
    }
}

fn understand(line: &[u8]) -> Result<Request, String> {
    let head: Head = serde_json::from_slice(line)
        .map_err(|_| "not a request: a JSON object with `version`".to_owned())?;
    if head.version != VERSION {
        return Err(format!(
            "the running daemon is meetbridge {}, this command is of another version; restart the \
             daemon",
            env!("CARGO_PKG_VERSION")
        ));
    }
    serde_json::from_slice(line).map_err(|_| "not a request that is known here".to_owned())
}

/// The other end.
struct Peer<'a> {
    writer: OwnedWriteHalf,
    clock: &'a dyn Clock,
}

impl Peer<'_> {
    async fn send(&mut self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        within(self.clock, PATIENCE, self.writer.write_all(&line)).await
    }

    /// Sends text in pieces of bounded length.
    async fn tell(&mut self, mut text: &str, answer: fn(String) -> Answer) -> io::Result<()> {
        while !text.is_empty() {
            let (piece, rest) = text.split_at(text.floor_char_boundary(LARGEST_PIECE));
            self.send(&answer(piece.to_owned())).await?;
            text = rest;
        }
        Ok(())
    }

    async fn refuse(&mut self, why: &str) -> io::Result<()> {
        let text = format!("error: {why}\n");
        self.send(&Answer::Err(text)).await?;
        self.send(&Answer::End(1)).await
    }
}
