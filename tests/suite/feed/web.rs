//! A web server with one calendar on it, which does as a test says.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

type Script = Box<dyn FnMut(&Seen) -> Option<Vec<u8>> + Send>;

#[derive(Default)]
struct Page {
    body: Option<Vec<u8>>,
    edition: usize,
    /// It names no ETag.
    untagged: bool,
    script: Option<Script>,
    seen: Vec<Seen>,
}

/// The server. It ends with the process.
pub(crate) struct Web {
    address: String,
    page: Arc<Mutex<Page>>,
}

/// An answer with these headers and this body, after which the connection closes.
pub(crate) fn answer(status: u16, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} Words\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

impl Web {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let page = Arc::<Mutex<Page>>::default();
        let shared = page.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let page = shared.clone();
                std::thread::spawn(move || converse(&mut stream.unwrap(), &page));
            }
        });
        Self { address, page }
    }

    /// The calendar's URL, with a secret in its query.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/feed.ics?key=GEHEIM", self.address)
    }

    /// What the server holds from here on.
    pub(crate) fn serve(&self, body: impl Into<Vec<u8>>) {
        let mut page = self.page.lock().unwrap();
        page.body = Some(body.into());
        page.edition += 1;
    }

    pub(crate) fn untagged(&self) {
        self.page.lock().unwrap().untagged = true;
    }

    /// Answers these bytes where `script` gives any.
    pub(crate) fn script(&self, script: impl FnMut(&Seen) -> Option<Vec<u8>> + Send + 'static) {
        self.page.lock().unwrap().script = Some(Box::new(script));
    }

    pub(crate) fn no_script(&self) {
        self.page.lock().unwrap().script = None;
    }

    /// What it holds.
    pub(crate) fn holds(&self) -> Option<String> {
        let page = self.page.lock().unwrap();
        let body = page.body.clone();
        body.map(|body| String::from_utf8(body).unwrap())
    }

    /// The requests since the last call.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.page.lock().unwrap().seen)
    }
}

fn converse(stream: &mut TcpStream, page: &Mutex<Page>) {
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
    let mut seen = Seen {
        method: first.next().unwrap(),
        headers,
        body: Vec::new(),
    };
    let length = seen.header("content-length").map(|n| n.parse().unwrap());
    seen.body = vec![0; length.unwrap_or(0)];
    if stream.read_exact(&mut seen.body).is_err() {
        return;
    }
    let reply = {
        let mut page = page.lock().unwrap();
        page.seen.push(seen.clone());
        let scripted = page.script.as_mut().and_then(|script| script(&seen));
        scripted.unwrap_or_else(|| page.reply(&seen))
    };
    // The client may hang up on what it does not want.
    let _ = stream.write_all(&reply);
}

impl Page {
    fn reply(&mut self, seen: &Seen) -> Vec<u8> {
        let tag = format!("\"{}\"", self.edition);
        let etag = format!("etag: {tag}");
        let mut headers: Vec<&str> = Vec::new();
        if !self.untagged {
            headers.push(&etag);
        }
        if seen.method == "PUT" {
            let there = self.body.is_some();
            let fits = match (seen.header("if-match"), seen.header("if-none-match")) {
                (Some(wanted), _) => there && wanted == tag,
                (_, Some("*")) => !there,
                _ => true,
            };
            if !fits {
                return answer(412, &[], b"");
            }
            self.body = Some(seen.body.clone());
            self.edition += 1;
            let etag = format!("etag: \"{}\"", self.edition);
            return answer(204, &[&etag], b"");
        }
        let Some(body) = &self.body else {
            return answer(404, &[], b"no");
        };
        if !self.untagged && seen.header("if-none-match") == Some(tag.as_str()) {
            return answer(304, &headers, b"");
        }
        let gzip = seen
            .header("accept-encoding")
            .is_some_and(|all| all.contains("gzip"));
        if !gzip {
            return answer(200, &headers, body);
        }
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(body).unwrap();
        headers.push("content-encoding: gzip");
        answer(200, &headers, &packed.finish().unwrap())
    }
}
