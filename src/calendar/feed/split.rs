//! A feed's body → its events, each as a resource of its own. Reads the body from its file.
//!
//! A piece is all VEVENTs of one UID. It is shown as a calendar of its own: what its VCALENDAR says
//! that bears upon events, the VTIMEZONEs that it names, its VEVENTs byte for byte.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::body::Body;
use crate::ical::document::Document;
use crate::model::{ResourceId, hex, sha256};

/// The longest UID that is an identifier as it is.
const MAX_ID: usize = 200;
/// Stands for bytes.
pub(super) type Digest = [u8; 16];

/// A feed as it was fetched.
pub(super) struct Snapshot {
    body: Body,
    index: Arc<Index>,
}

/// What is in a feed. It outlives the bytes, so that two fetches can be compared.
pub(super) struct Index {
    /// Stands for the whole body.
    pub(super) token: String,
    /// How often the feed asks to be fetched at most (RFC 7986, 5.7, and its older name).
    pub(super) refresh: Option<Duration>,
    /// By identifier.
    pub(super) pieces: Vec<Piece>,
    pub(super) eol: &'static [u8],
    pub(super) heads: Vec<Head>,
    pub(super) zones: Vec<Zone>,
    /// The sets of zones that pieces name.
    pub(super) sets: Vec<Vec<u32>>,
}

/// One event.
pub(super) struct Piece {
    /// Its identifier as a resource.
    pub(super) id: Box<str>,
    /// Stands for what it is shown as.
    pub(super) raw: Digest,
    /// Stands for its content without what a generator may mint: UID, DTSTAMP, CREATED, LAST-MODIFIED.
    pub(super) bare: u64,
    /// It came with a fetch in which an event of the same content was gone.
    pub(super) minted: bool,
    pub(super) parts: Box<[Part]>,
    pub(super) set: u32,
}

/// One VEVENT: its bytes, the number of its first line, and its VCALENDAR among the heads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) line: u32,
    pub(super) head: u32,
}

/// A VCALENDAR: its lines that bear upon events.
#[derive(Default)]
pub(super) struct Head {
    pub(super) component: Option<usize>,
    /// Each with its number.
    pub(super) lines: Vec<(Range<usize>, usize)>,
    pub(super) zone: Option<String>,
    pub(super) digest: Digest,
}

pub(super) struct Zone {
    pub(super) parent: Option<usize>,
    pub(super) range: Range<usize>,
    /// The number of its first line.
    pub(super) line: usize,
    pub(super) digest: Digest,
}

/// A piece as a calendar of its own.
pub(super) struct Shown {
    pub(super) bytes: Vec<u8>,
    /// Where it stands in the feed, as [`Document::parse_part`] takes it.
    pub(super) origins: Vec<(usize, usize)>,
}

impl Part {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Snapshot {
    /// A body, and what is in it.
    pub(super) fn new(body: Body, index: Index) -> Self {
        Self {
            body,
            index: Arc::new(index),
        }
    }

    pub(super) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    pub(super) fn body(&self) -> &Body {
        &self.body
    }

    /// Replaces the index by one that knows more of its pieces.
    pub(super) fn with_minted(mut self, minted: impl Fn(&Piece) -> bool) -> Self {
        if let Some(index) = Arc::get_mut(&mut self.index) {
            for piece in &mut index.pieces {
                piece.minted = minted(piece);
            }
        }
        self
    }

    /// The bytes of the piece's VEVENTs, in order.
    pub(super) fn parts(&self, piece: &Piece) -> io::Result<Vec<Vec<u8>>> {
        self.ranges(piece)
            .map(|range| self.body.read(range))
            .collect()
    }

    /// Where the piece's VEVENTs are.
    pub(super) fn ranges(&self, piece: &Piece) -> impl Iterator<Item = Range<usize>> {
        piece.parts.iter().map(|part| part.range())
    }

    /// The piece as a calendar, with `parts` for its VEVENTs: they are `linked`, or as the feed has them.
    pub(super) fn show(
        &self,
        piece: &Piece,
        parts: Vec<Vec<u8>>,
        linked: bool,
    ) -> io::Result<Shown> {
        let index = &*self.index;
        let eol = index.eol;
        let (mut out, mut origins) = (Vec::new(), Vec::new());
        let slice = |range: &Range<usize>| self.body.read(range.clone());
        let line = |out: &mut Vec<u8>, text: &[u8]| {
            out.extend_from_slice(text);
            if !text.ends_with(b"\n") && !text.ends_with(b"\r") {
                out.extend_from_slice(eol);
            }
        };
        let mut open = None;
        for (part, bytes) in piece.parts.iter().zip(parts) {
            if open != Some(part.head) {
                if open.is_some() {
                    line(&mut out, b"END:VCALENDAR");
                }
                open = Some(part.head);
                line(&mut out, b"BEGIN:VCALENDAR");
                let head = index.heads.get(part.head as usize);
                for (range, number) in head.iter().flat_map(|head| &head.lines) {
                    origins.push((out.len(), *number));
                    line(&mut out, &slice(range)?);
                }
                for zone in index.set(piece.set) {
                    origins.push((out.len(), zone.line));
                    line(&mut out, &slice(&zone.range)?);
                }
            }
            let number = part.line as usize;
            if linked {
                align(
                    &slice(&part.range())?,
                    &bytes,
                    (out.len(), number),
                    &mut origins,
                );
            } else {
                origins.push((out.len(), number));
            }
            line(&mut out, &bytes);
        }
        line(&mut out, b"END:VCALENDAR");
        Ok(Shown {
            bytes: out,
            origins,
        })
    }
}

/// Tells for each line of a VEVENT with its link, which begins at a byte and in the feed at a line, where
/// that stands in the feed. A line of the link, or one that it changed, stands where the next one does
/// that is as it was.
fn align(bare: &[u8], linked: &[u8], begin: (usize, usize), origins: &mut Vec<(usize, usize)>) {
    let lines = |text| <[u8]>::split_inclusive(text, |byte: &u8| *byte == b'\n');
    let (mut at, mut number) = begin;
    let mut rest = lines(bare);
    for text in lines(linked) {
        if let Some(passed) = rest.clone().position(|line| line == text) {
            number += passed;
            origins.push((at, number));
            number += 1;
            rest.nth(passed);
        } else {
            origins.push((at, number));
        }
        at += text.len();
    }
}

impl Index {
    /// The piece with this identifier.
    pub(super) fn find(&self, id: &str) -> Option<&Piece> {
        let at = self.pieces.binary_search_by(|piece| (*piece.id).cmp(id));
        at.ok().and_then(|at| self.pieces.get(at))
    }

    fn set(&self, set: u32) -> impl Iterator<Item = &Zone> {
        let zones = self.sets.get(set as usize).into_iter().flatten();
        zones.filter_map(|zone| self.zones.get(*zone as usize))
    }
}

/// The identifier of the event with this UID: the UID itself, if it is printable ASCII and not long.
pub(super) fn id_of(uid: &str) -> ResourceId {
    let plain = uid.len() <= MAX_ID && uid.bytes().all(|b| (0x20..0x7f).contains(&b));
    // What would look like an identifier that stands for something else.
    let taken = uid.starts_with("sha256:") || uid.starts_with('(');
    ResourceId::new(match plain && !taken {
        true => uid.to_owned(),
        false => format!("sha256:{}", hex(&sha256([uid.as_bytes()]))),
    })
}

/// The bytes of the VEVENTs of a calendar that shows a piece.
pub(super) fn vevents(shown: &[u8]) -> Option<Vec<Vec<u8>>> {
    let document = Document::parse(shown).ok()?;
    let vevents = document.components().iter();
    let vevents = vevents.filter(|component| component.name == "VEVENT");
    vevents
        .map(|component| Some(shown.get(component.range.clone())?.to_vec()))
        .collect()
}

/// Stands for the byte strings, one after the other.
pub(super) fn digest<'p>(parts: impl Iterator<Item = &'p [u8]>) -> Digest {
    let mut all = Sha256::new();
    for part in parts {
        all.update(part);
    }
    short(all)
}

fn short(all: Sha256) -> Digest {
    let mut short = Digest::default();
    short.copy_from_slice(&all.finalize()[..16]);
    short
}
