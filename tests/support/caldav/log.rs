//! What was asked and answered, and how many bytes that took.

use std::collections::HashMap;
use std::fmt;

use super::wire::Asked;

/// A request as the server saw it.
#[derive(Clone)]
pub struct Seen {
    /// `PUT`, for example.
    pub method: String,
    /// The path as it stands in the request line.
    pub path: String,
    /// All headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The answer's status; 0 until there is one.
    pub status: u16,
    /// The request on the wire, head and body.
    pub bytes_in: usize,
    /// The answer on the wire, as far as it went.
    pub bytes_out: usize,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}: {}",
            self.method,
            self.path,
            self.status,
            self.text()
        )
    }
}

impl Seen {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sums over all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests.
    pub requests: usize,
    /// Bytes that came in.
    pub bytes_in: usize,
    /// Bytes that went out.
    pub bytes_out: usize,
    /// Connections.
    pub connections: usize,
    /// The most requests that were under way at a time.
    pub most_at_once: usize,
    /// The most PUTs into one collection that were under way at a time.
    pub most_puts_at_once: usize,
}

/// When the test is asked whether a person does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request is there and nothing of it is done.
    Before,
    /// A PUT was checked and is not stored, on a server that does that in two steps.
    Between,
    /// It is done and its answer is not out.
    After,
}

/// A point of a pass.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Which request, counted from 0.
    pub serial: usize,
    /// Where in it.
    pub phase: Phase,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) seen: Vec<Seen>,
    /// How many requests came before the first in `seen`.
    pub(super) before: usize,
    pub(super) traffic: Traffic,
    under_way: usize,
    puts: HashMap<String, usize>,
}

fn collection_of(path: &str) -> String {
    path.rsplit_once('/')
        .map_or("", |(above, _)| above)
        .to_owned()
}

impl Log {
    /// A request is there; gives its number.
    pub(super) fn arrive(&mut self, asked: &Asked) -> usize {
        let path = asked.path().to_owned();
        self.traffic.requests += 1;
        self.traffic.bytes_in += asked.bytes;
        self.under_way += 1;
        self.traffic.most_at_once = self.traffic.most_at_once.max(self.under_way);
        if asked.method == "PUT" {
            let puts = self.puts.entry(collection_of(&path)).or_default();
            *puts += 1;
            self.traffic.most_puts_at_once = self.traffic.most_puts_at_once.max(*puts);
        }
        self.seen.push(Seen {
            method: asked.method.clone(),
            path,
            headers: asked.headers.clone(),
            body: asked.body.clone(),
            status: 0,
            bytes_in: asked.bytes,
            bytes_out: 0,
        });
        self.before + self.seen.len() - 1
    }

    fn of(&mut self, number: usize) -> Option<&mut Seen> {
        self.seen.get_mut(number.checked_sub(self.before)?)
    }

    pub(super) fn answered(&mut self, number: usize, status: u16) {
        if let Some(seen) = self.of(number) {
            seen.status = status;
        }
    }

    /// More of an answer goes out.
    pub(super) fn sent(&mut self, number: usize, bytes: usize) {
        self.traffic.bytes_out += bytes;
        if let Some(seen) = self.of(number) {
            seen.bytes_out += bytes;
        }
    }

    /// A request is over.
    pub(super) fn leave(&mut self, number: usize) {
        self.under_way -= 1;
        let path = self
            .of(number)
            .filter(|seen| seen.method == "PUT")
            .map(|seen| collection_of(&seen.path));
        if let Some(puts) = path.and_then(|path| self.puts.get_mut(&path)) {
            *puts -= 1;
        }
    }

    /// Forgets the requests so far, not the sums.
    pub(super) fn take(&mut self) -> Vec<Seen> {
        self.before += self.seen.len();
        std::mem::take(&mut self.seen)
    }
}
