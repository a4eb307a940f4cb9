//! What a calendar's store makes of what it is given, whoever gives it.

use chrono::{DateTime, Utc};

use super::rng::Rng;
use super::text::{Line, Text, own};

/// A directory, which keeps every byte, or a server with its manners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    /// It is a server: it tells what changed, and vanished resources are asked for by name.
    pub(super) remote: bool,
    pub(super) drops_x: bool,
    pub(super) drops_conference: bool,
    pub(super) drops_altrep: bool,
    pub(super) reorders: bool,
    pub(super) refolds: bool,
    pub(super) upper_cases: bool,
    pub(super) stamps: bool,
    /// What is stored gets another version a moment later.
    pub(super) restless: bool,
}

impl Server {
    pub(super) fn of(rng: &mut Rng) -> Self {
        if rng.chance(40) {
            return Self::default();
        }
        let mut server = Self {
            remote: true,
            ..Self::default()
        };
        if rng.chance(70) {
            server.drops_x = rng.chance(30);
            server.drops_conference = rng.chance(30);
            server.drops_altrep = rng.chance(20);
            server.reorders = rng.chance(30);
            server.refolds = rng.chance(30);
            server.upper_cases = rng.chance(30);
            server.stamps = rng.chance(30);
            server.restless = rng.chance(30);
        }
        server
    }

    /// Whether what is written is read back byte by byte.
    pub(super) fn keeps_bytes(&self) -> bool {
        *self
            == Self {
                remote: self.remote,
                restless: self.restless,
                ..Self::default()
            }
    }

    pub(super) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let changes: [fn(&mut Self); 9] = [
            |server| *server = Self::default(),
            |server| server.drops_x = false,
            |server| server.drops_conference = false,
            |server| server.drops_altrep = false,
            |server| server.reorders = false,
            |server| server.refolds = false,
            |server| server.upper_cases = false,
            |server| server.stamps = false,
            |server| server.restless = false,
        ];
        for change in changes {
            let mut server = self.clone();
            change(&mut server);
            smaller.push(server);
        }
        smaller
    }

    /// What is stored of `bytes`. Storing that again changes nothing more, stamps apart.
    pub(super) fn store(&self, bytes: &[u8], now: DateTime<Utc>) -> Vec<u8> {
        if self.keeps_bytes() {
            return bytes.to_vec();
        }
        let mut text = Text::parse(bytes);
        let mut uids = text.uids();
        uids.dedup();
        for uid in uids {
            text.edit(&uid, |lines| self.event(lines, now));
        }
        for line in &mut text.lines {
            self.line(line);
        }
        text.bytes()
    }

    fn event(&self, lines: &mut Vec<Line>, now: DateTime<Utc>) {
        for at in own(lines).into_iter().rev() {
            let property = lines[at].property();
            let dropped = (self.drops_x && property.name.starts_with("X-"))
                || (self.drops_conference && property.name == "CONFERENCE");
            if dropped {
                lines.remove(at);
            } else if self.stamps && property.name == "DTSTAMP" {
                let stamp = now.format("%Y%m%dT%H%M%SZ").to_string();
                lines[at] = lines[at].with_value(&stamp);
            } else if self.drops_altrep && property.head.contains("ALTREP") {
                let (name, _) = property.head.split_once(';').unwrap();
                lines[at] = Line::new(name, &property.value, lines[at].eol(), 75);
            }
        }
        if self.reorders {
            let places = own(lines);
            let mut properties: Vec<Line> = places.iter().map(|at| lines[*at].clone()).collect();
            properties.sort_by_key(|line| line.property().name);
            let nested = lines
                .iter()
                .enumerate()
                .filter(|(at, _)| !places.contains(at));
            let nested: Vec<Line> = nested.map(|(_, line)| line.clone()).collect();
            let (begin, rest) = nested.split_first().unwrap();
            *lines = [std::slice::from_ref(begin), properties.as_slice(), rest].concat();
        }
    }

    fn line(&self, line: &mut Line) {
        if self.refolds {
            let property = line.property();
            *line = Line::new(&property.head, &property.value, "\r\n", 72);
        }
        if self.upper_cases {
            let end = line.0.iter().position(|byte| b":;".contains(byte));
            line.0[..end.unwrap_or(0)].make_ascii_uppercase();
        }
    }
}
