//! Listens in between a client and a server, to count what the client sends.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::Server;

/// A port of its own that leads to a server. It notes each request on its way and changes nothing.
#[derive(Debug)]
pub(crate) struct Tap {
    port: u16,
    seen: Arc<Mutex<Vec<(String, String)>>>,
    bytes: Arc<AtomicU64>,
}

impl Tap {
    pub(crate) fn new(server: &Server) -> Self {
        Self::to(server.port())
    }

    /// The same, for any server on loopback.
    pub(crate) fn to(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let bytes = Arc::<AtomicU64>::default();
        let (note, count) = (seen.clone(), bytes.clone());
        // It ends with the process.
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else {
                    continue;
                };
                // What comes in small parts goes on at once.
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let (note, there, here) = (note.clone(), count.clone(), count.clone());
                let add = |count: &AtomicU64, bytes: &[u8]| {
                    count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                };
                std::thread::spawn(move || pass_on(back.0, back.1, |bytes| add(&here, bytes)));
                let mut requests = Requests::default();
                std::thread::spawn(move || {
                    pass_on(client, server, |bytes| {
                        add(&there, bytes);
                        requests.read(bytes, &note);
                    });
                });
            }
        });
        Self { port, seen, bytes }
    }

    /// The server by this way.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The bytes of all requests and answers so far, heads and bodies as they went by.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Method and path of every request so far.
    pub(crate) fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests of this method were sent so far.
    pub(crate) fn count(&self, method: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(m, _)| m == method).count()
    }
}

/// Copies until one side ends, then ends the other.
fn pass_on(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        look(&buffer[..n]);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// The requests of one connection; a body has its length in the head.
#[derive(Default)]
struct Requests {
    head: Vec<u8>,
    body: usize,
}

impl Requests {
    fn read(&mut self, mut bytes: &[u8], seen: &Mutex<Vec<(String, String)>>) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.body > 0 {
                let skipped = self.body.min(bytes.len());
                self.body -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head.push(*first);
            bytes = rest;
            if self.head.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8(std::mem::take(&mut self.head)).unwrap();
                let mut words = head.split(' ').map(str::to_owned);
                let (method, path) = (words.next().unwrap(), words.next().unwrap());
                let lower = head.to_ascii_lowercase();
                assert!(!lower.contains("\r\ntransfer-encoding:"), "a chunked body");
                let length = lower.split("\r\ncontent-length:").nth(1);
                let length = length.and_then(|l| l.split("\r\n").next());
                self.body = length.map_or(0, |l| l.trim().parse().unwrap());
                seen.lock().unwrap().push((method, path));
            }
        }
    }
}
