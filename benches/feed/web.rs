//! A web server with the feed on it, which is a file.

use std::collections::HashMap;
use std::io::{BufWriter, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::support::Result;
use crate::support::events::calendar;
use crate::{CHANGED, EVENTS, SELECTED};

/// The servers, by their address: one is started where its address is needed, and asked elsewhere.
static ALL: LazyLock<Mutex<HashMap<String, Web>>> = LazyLock::new(Mutex::default);

/// The server. It ends with the process.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) url: String,
    path: PathBuf,
    round: Arc<AtomicUsize>,
    whole: Arc<AtomicUsize>,
    same: Arc<AtomicUsize>,
}

impl Web {
    pub(crate) fn start(path: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let web = Self {
            url: format!("http://{}/feed.ics", listener.local_addr()?),
            path: path.to_owned(),
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
            let tag = if n % SELECTED == 0 {
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
