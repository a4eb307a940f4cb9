//! A web server with the feed on it, which is a file, and room for what is published of it.

use std::collections::HashMap;
use std::io::{BufWriter, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::support::Result;
use crate::support::events::calendar;
use crate::{CHANGED, EVENTS};

/// What the published calendar is called, as a file and behind the address.
pub(crate) const PUBLISHED: &str = "published.ics";

/// The servers, by their address: one is started where its address is needed, and asked elsewhere.
static ALL: LazyLock<Mutex<HashMap<String, Web>>> = LazyLock::new(Mutex::default);

/// The server. It ends with the process.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) url: String,
    home: PathBuf,
    path: PathBuf,
    selected: usize,
    round: Arc<AtomicUsize>,
    whole: Arc<AtomicUsize>,
    same: Arc<AtomicUsize>,
}

impl Web {
    /// One in this home, of whose feed every so manieth event is tagged.
    pub(crate) fn start(home: &Path, selected: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let web = Self {
            url: format!("http://{}/feed.ics", listener.local_addr()?),
            home: home.to_owned(),
            path: home.join("feed.ics"),
            selected,
            round: Arc::default(),
            whole: Arc::default(),
            same: Arc::default(),
        };
        let served = web.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever hangs up is done.
                let _ = served.converse(stream);
            }
        });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(web.url.clone(), web.clone());
        Ok(web)
    }

    /// The one with this address.
    pub(crate) fn known(url: &str) -> Self {
        let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all[url].clone()
    }

    /// How many answers were whole, and how many said that nothing changed.
    pub(crate) fn counted(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        (count(&self.whole), count(&self.same))
    }

    pub(crate) fn size(&self) -> Result<u64> {
        Ok(std::fs::metadata(&self.path)?.len())
    }

    /// Makes the feed another one.
    pub(crate) fn change(&self) -> Result<()> {
        self.serve(self.round.load(Ordering::SeqCst) + 1)
    }

    /// Makes the feed what it is in this round.
    pub(crate) fn serve(&self, round: usize) -> Result<()> {
        let new = self.path.with_extension("new");
        let mut file = BufWriter::new(std::fs::File::create(&new)?);
        let empty = calendar(0..0, false);
        let head = empty.trim_end_matches("END:VCALENDAR\r\n");
        file.write_all(head.as_bytes())?;
        for n in 0..EVENTS {
            let one = calendar(n..n + 1, false);
            let one = one.strip_prefix(head).unwrap_or_default();
            let one = one.trim_end_matches("END:VCALENDAR\r\n");
            let tag = if n % self.selected == 0 {
                "CATEGORIES:Teams\r\n"
            } else {
                ""
            };
            let sequence = 1 + if n % CHANGED == 0 { round } else { 0 };
            let lines = format!("SEQUENCE:{sequence}\r\n{tag}");
            file.write_all(one.replace("SEQUENCE:1\r\n", &lines).as_bytes())?;
        }
        file.write_all(b"END:VCALENDAR\r\n")?;
        file.into_inner()?.sync_all()?;
        std::fs::rename(new, &self.path)?;
        self.round.store(round, Ordering::SeqCst);
        Ok(())
    }

    fn converse(&self, mut stream: TcpStream) -> Result<()> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        if let Some(request) = std::str::from_utf8(&head)?.strip_prefix("PUT ") {
            let request = request.to_lowercase();
            let length = request.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next());
            let length = length.ok_or("a PUT without its length")?.parse()?;
            let new = self.home.join("new.ics");
            let mut file = std::fs::File::create(&new)?;
            std::io::copy(&mut (&mut stream).take(length), &mut file)?;
            std::fs::rename(new, self.home.join(PUBLISHED))?;
            return Ok(stream.write_all(b"HTTP/1.1 204 Done\r\nconnection: close\r\n\r\n")?);
        }
        if head.starts_with(b"GET /feed.icspublished.ics") {
            let answer = b"HTTP/1.1 404 None\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return Ok(stream.write_all(answer)?);
        }
        let tag = format!("\"{}\"", self.round.load(Ordering::SeqCst));
        let head = String::from_utf8(head)?.to_lowercase();
        if head.contains(&format!("if-none-match: {tag}")) {
            self.same.fetch_add(1, Ordering::SeqCst);
            let answer = format!("HTTP/1.1 304 Same\r\netag: {tag}\r\nconnection: close\r\n\r\n");
            return Ok(stream.write_all(answer.as_bytes())?);
        }
        self.whole.fetch_add(1, Ordering::SeqCst);
        let mut file = std::fs::File::open(&self.path)?;
        let length = file.metadata()?.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\netag: {tag}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(answer.as_bytes())?;
        std::io::copy(&mut file, &mut stream)?;
        Ok(())
    }
}
