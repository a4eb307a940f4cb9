//! HTTP/1.1 on a socket: requests in, answers out, every byte counted, and the ways an answer can fail.

use std::io;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::faults::Gate;

/// The largest head, and the largest body, of a request.
const LARGEST: (usize, u64) = (64 * 1024, 64 << 20);
/// What is shorter is not compressed.
const LEAST_COMPRESSED: usize = 200;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query as they stand in the request line.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) chunked: bool,
    /// All bytes of it on the wire.
    pub(super) bytes: usize,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or_default()
    }

    pub(super) fn takes_gzip(&self) -> bool {
        self.header("accept-encoding")
            .is_some_and(|value| value.contains("gzip"))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Arc<Payload>,
}

/// A body, and the same compressed once somebody asks for that.
#[derive(Debug, Default)]
pub(super) struct Payload {
    pub(super) plain: Vec<u8>,
    gzip: OnceLock<Vec<u8>>,
}

impl Payload {
    pub(super) fn new(plain: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            plain,
            gzip: OnceLock::new(),
        })
    }

    fn gzip(&self) -> &[u8] {
        self.gzip.get_or_init(|| {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(&self.plain).expect("memory");
            out.finish().expect("memory")
        })
    }
}

impl Answer {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Arc::default(),
        }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Payload::new(body.into());
        self.with("Content-Type", content_type)
    }

    pub(super) fn set(&mut self, name: &str, value: Option<&str>) {
        self.headers
            .retain(|(given, _)| !given.eq_ignore_ascii_case(name));
        if let Some(value) = value {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// How an answer goes out.
#[derive(Clone, Debug, Default)]
pub(super) enum Sent {
    /// All of it.
    #[default]
    Whole,
    /// Not at all: the connection is closed.
    Not,
    /// Up to so many bytes of its body, then the connection is closed.
    CutAfter(usize),
    /// Half of its body, and the rest when the gate opens.
    Halted(Gate),
    /// Its body, then spaces without end.
    Endless,
}

/// What else decides how an answer goes out.
pub(super) struct How<'a> {
    pub(super) head_only: bool,
    pub(super) gzip: bool,
    pub(super) sent: &'a Sent,
    pub(super) date: &'a str,
}

/// A connection.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

/// Why no request came.
pub(super) enum NoRequest {
    /// The client closed the connection between requests.
    Closed,
    /// It is none; this is the answer, after which the connection is closed.
    Bad(u16),
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
        }
    }

    /// The next request.
    pub(super) async fn read(&mut self) -> Result<Asked, NoRequest> {
        let mut asked = Asked::default();
        let first = self.line(&mut asked.bytes).await?;
        let mut words = first.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(NoRequest::Bad(400));
        };
        (asked.method, asked.target) = (method.to_owned(), target.to_owned());
        loop {
            let line = self.line(&mut asked.bytes).await?;
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(NoRequest::Bad(400));
            };
            asked
                .headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let hosts = asked.headers.iter().filter(|(name, _)| name == "host");
        if hosts.count() != 1 || !asked.target.starts_with('/') {
            return Err(NoRequest::Bad(400));
        }
        asked.chunked = asked.header("transfer-encoding").is_some();
        match asked.header("content-length").map(str::parse::<u64>) {
            _ if asked.chunked => self.chunks(&mut asked).await?,
            None => {}
            Some(Ok(length)) if length <= LARGEST.1 => {
                self.body(length, &mut asked).await?;
            }
            Some(_) => return Err(NoRequest::Bad(413)),
        }
        Ok(asked)
    }

    async fn line(&mut self, bytes: &mut usize) -> Result<String, NoRequest> {
        let mut line = Vec::new();
        let room = LARGEST.0.saturating_sub(*bytes) as u64;
        let count = (&mut self.stream)
            .take(room)
            .read_until(b'\n', &mut line)
            .await?;
        *bytes += count;
        match line.strip_suffix(b"\r\n") {
            Some(line) => String::from_utf8(line.to_vec()).map_err(|_| NoRequest::Bad(400)),
            None if count == 0 && room > 0 => Err(NoRequest::Closed),
            None => Err(NoRequest::Bad(400)),
        }
    }

    async fn body(&mut self, length: u64, asked: &mut Asked) -> Result<(), NoRequest> {
        let start = asked.body.len();
        let count = (&mut self.stream)
            .take(length)
            .read_to_end(&mut asked.body)
            .await?;
        asked.bytes += count;
        let whole = asked.body.len() - start == length as usize;
        whole.then_some(()).ok_or(NoRequest::Closed)
    }

    async fn chunks(&mut self, asked: &mut Asked) -> Result<(), NoRequest> {
        loop {
            let line = self.line(&mut asked.bytes).await?;
            let size = u64::from_str_radix(line.trim(), 16).map_err(|_| NoRequest::Bad(400))?;
            if asked.body.len() as u64 + size > LARGEST.1 {
                return Err(NoRequest::Bad(413));
            }
            self.body(size, asked).await?;
            self.line(&mut asked.bytes).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Sends an answer; gives whether the connection goes on. `count` is told of bytes before they go.
    pub(super) async fn write(
        &mut self,
        answer: &Answer,
        how: How<'_>,
        mut count: impl FnMut(usize),
    ) -> bool {
        let How {
            head_only,
            gzip,
            sent,
            date,
        } = how;
        if matches!(sent, Sent::Not) {
            return false;
        }
        let plain = &answer.body.plain;
        let gzip = gzip && plain.len() >= LEAST_COMPRESSED;
        let body = if gzip { answer.body.gzip() } else { plain };
        let mut out = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
        out += &format!("Date: {date}\r\n");
        for (name, value) in &answer.headers {
            out += &format!("{name}: {value}\r\n");
        }
        if gzip {
            out += "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n";
        }
        let bodiless = matches!(answer.status, 204 | 304);
        match sent {
            Sent::Endless => out += "Transfer-Encoding: chunked\r\n",
            _ if bodiless => {}
            _ => out += &format!("Content-Length: {}\r\n", body.len()),
        }
        out += "\r\n";
        let mut out = out.into_bytes();
        let body = if head_only || bodiless { &[] } else { body };
        let rest = match sent {
            Sent::CutAfter(count) => {
                out.extend_from_slice(&body[..body.len().min(*count)]);
                &[]
            }
            Sent::Halted(_) => {
                out.extend_from_slice(&body[..body.len() / 2]);
                &body[body.len() / 2..]
            }
            Sent::Endless => {
                out.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
                out.extend_from_slice(body);
                out.extend_from_slice(b"\r\n");
                &[]
            }
            Sent::Whole | Sent::Not => {
                out.extend_from_slice(body);
                &[]
            }
        };
        count(out.len());
        if self.stream.write_all(&out).await.is_err() {
            return false;
        }
        match sent {
            Sent::Halted(gate) => {
                gate.pass().await;
                count(rest.len());
                if self.stream.write_all(rest).await.is_err() {
                    return false;
                }
            }
            Sent::Endless => {
                let mut chunk = b"10000\r\n".to_vec();
                chunk.resize(chunk.len() + 0x10000, b' ');
                chunk.extend_from_slice(b"\r\n");
                // Ends when the client hangs up.
                while self.stream.write_all(&chunk).await.is_ok() {
                    count(chunk.len());
                }
                return false;
            }
            _ => {}
        }
        matches!(sent, Sent::Whole | Sent::Halted(_))
    }

    pub(super) async fn shutdown(mut self) {
        let _ = self.stream.shutdown().await;
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        207 => "Multi-Status",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        412 => "Precondition Failed",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Fake",
    }
}
