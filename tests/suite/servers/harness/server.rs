//! Radicale and Xandikos as processes that end with the process that started them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

/// How long a server may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of what a server says is kept, in bytes.
const SAID: usize = 16 * 1024;

/// Somebody who may sign in, with Basic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
}

/// The first user of every server.
pub(crate) const ALICE: User = User {
    name: "alice",
    password: "down-the-rabbit-hole",
};

/// The second user of every server. Neither sees the other's calendars.
pub(crate) const BOB: User = User {
    name: "bob",
    password: "can-we-fix-it",
};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Radicale,
    Xandikos,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Radicale, Self::Xandikos];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Radicale => "radicale",
            Self::Xandikos => "xandikos",
        }
    }

    /// The server that all tests of this process share; it ends with the process. Each test has
    /// calendars of its own there.
    pub(crate) fn shared(self) -> &'static Server {
        static RADICALE: OnceLock<Server> = OnceLock::new();
        static XANDIKOS: OnceLock<Server> = OnceLock::new();
        let cell = match self {
            Self::Radicale => &RADICALE,
            Self::Xandikos => &XANDIKOS,
        };
        cell.get_or_init(|| Server::start(self))
    }
}

/// A running server with its storage. It ends, and its storage with it, when its standard input ends:
/// when this is dropped, or the process is gone, however that ended.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    port: u16,
    storage: PathBuf,
    child: Child,
    alive: Option<ChildStdin>,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    /// Starts a server with empty storage on a free port and waits until it takes connections.
    ///
    /// # Panics
    /// When it does not; the message holds what the server said.
    pub(crate) fn start(kind: Kind) -> Self {
        let mut child = super::script("serve.py")
            .arg(kind.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the environment's Python starts");
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let mut alive = child.stdin.take().unwrap();
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let tail = said.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = err.read(&mut buffer) {
                let mut tail = tail.lock().unwrap();
                tail.extend_from_slice(&buffer[..n]);
                let over = tail.len().saturating_sub(SAID);
                tail.drain(..over);
            }
        });
        let (port, announced) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(out).read_line(&mut line);
            let _ = port.send(line);
        });
        let users: serde_json::Map<_, _> = [ALICE, BOB]
            .map(|user| (user.name.to_owned(), user.password.into()))
            .into_iter()
            .collect();
        let _ = writeln!(alive, "{}", serde_json::Value::from(users));
        let mut server = Self {
            kind,
            port: 0,
            storage: PathBuf::new(),
            child,
            alive: Some(alive),
            said,
        };
        let line = announced.recv_timeout(PATIENCE).unwrap_or_default();
        let place = line.trim_end().split_once(' ');
        let place = place.and_then(|(port, storage)| Some((port.parse().ok()?, storage.into())));
        (server.port, server.storage) =
            place.unwrap_or_else(|| panic!("{} does not start:\n{}", kind.name(), server.said()));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port));
        TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|e| panic!("{} takes no connection: {e}", kind.name()));
        server
    }

    /// The port on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where the server is, as a configuration would say.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Where a user's calendars are.
    pub(crate) fn home_url(&self, user: User) -> String {
        let home = match self.kind {
            Kind::Radicale => "",
            Kind::Xandikos => "calendars/",
        };
        format!("{}{}/{home}", self.url(), user.name)
    }

    /// Where a user's calendar of this name is, or would be made.
    pub(crate) fn calendar_url(&self, user: User, name: &str) -> String {
        format!("{}{name}/", self.home_url(user))
    }

    /// The directory in which it keeps everything.
    pub(crate) fn storage(&self) -> &Path {
        &self.storage
    }

    /// The last that the server said on standard error.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.alive.take());
        for _ in 0..500 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
