//! A server on this machine that answers as a test tells it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use url::Url;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Whether the client showed a certificate.
    pub(crate) certified: bool,
}

impl Received {
    /// A header's value; empty without one.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }
}

/// One request per connection, one connection after the other, until the process ends.
pub(crate) struct Server {
    /// Its root.
    pub(crate) url: Url,
    received: Arc<Mutex<Vec<Received>>>,
}

/// An answer with these headers (each `name: value`) and body, after which the connection closes.
pub(crate) fn answer(status: u16, headers: &[&str], body: &str) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} Words\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    format!("{head}\r\n{body}").into_bytes()
}

impl Server {
    /// Answers each request with the bytes that `handler` gives; none hang up.
    pub(crate) fn start(handler: impl FnMut(&Received) -> Vec<u8> + Send + 'static) -> Self {
        Self::run(None, handler)
    }

    /// The same with TLS.
    pub(crate) fn start_tls(
        config: Arc<rustls::ServerConfig>,
        handler: impl FnMut(&Received) -> Vec<u8> + Send + 'static,
    ) -> Self {
        Self::run(Some(config), handler)
    }

    /// Stands for something at `url` that is no HTTP server.
    pub(crate) fn elsewhere(url: Url) -> Self {
        Self {
            url,
            received: Arc::default(),
        }
    }

    fn run(
        tls: Option<Arc<rustls::ServerConfig>>,
        mut handler: impl FnMut(&Received) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut take = |request: Received| {
                    kept.lock().unwrap().push(request.clone());
                    handler(&request)
                };
                match &tls {
                    None => converse(&mut stream.unwrap(), false, &mut take),
                    Some(config) => guarded(stream.unwrap(), config, &mut take),
                }
            }
        });
        Self {
            url: Url::parse(&url).unwrap(),
            received,
        }
    }

    /// What came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How many requests came since the last call.
    pub(crate) fn count(&self) -> usize {
        std::mem::take(&mut *self.received.lock().unwrap()).len()
    }
}

fn guarded(
    mut stream: TcpStream,
    config: &Arc<rustls::ServerConfig>,
    take: &mut dyn FnMut(Received) -> Vec<u8>,
) {
    let mut connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
    while connection.is_handshaking() {
        if connection.complete_io(&mut stream).is_err() {
            // The alert arrives only if nothing is left unread.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
            return;
        }
    }
    let certified = connection.peer_certificates().is_some();
    let mut stream = rustls::StreamOwned::new(connection, stream);
    converse(&mut stream, certified, take);
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn converse(
    stream: &mut (impl Read + Write),
    certified: bool,
    take: &mut dyn FnMut(Received) -> Vec<u8>,
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut request = Received {
        method: first.next().unwrap(),
        target: first.next().unwrap(),
        headers,
        body: String::new(),
        certified,
    };
    let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    if stream.read_exact(&mut body).is_err() {
        return;
    }
    request.body = String::from_utf8(body).unwrap();
    // The client may hang up on what it does not want.
    let _ = stream.write_all(&take(request));
}
