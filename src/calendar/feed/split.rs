//! A feed's body → its events, each as a resource of its own. Pure.
//!
//! A piece is all VEVENTs of one UID. It is shown as a calendar of its own: what its VCALENDAR says
//! that bears upon events, the VTIMEZONEs that it names, its VEVENTs byte for byte.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::ical::document::{ContentLine, Document, DocumentError};
use crate::model::{ResourceId, hex, sha256};

/// The longest line of a VCALENDAR, and the longest VTIMEZONE, that a piece is shown with: a hostile
/// one would be read again with every piece.
const MAX_HEAD: usize = 1 << 10;
const MAX_ZONE: usize = 32 << 10;
/// The longest UID that is an identifier as it is.
const MAX_ID: usize = 200;
/// How many events without UID are shown.
const MAX_NAMELESS: usize = 100;
/// The identifier of all events without UID.
const NAMELESS: &str = "(events without UID)";

/// Stands for bytes.
pub(super) type Digest = [u8; 16];

/// A feed as it was fetched.
pub(super) struct Snapshot {
    body: Vec<u8>,
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
    eol: &'static [u8],
    heads: Vec<Head>,
    zones: Vec<Zone>,
    /// The sets of zones that pieces name.
    sets: Vec<Vec<u32>>,
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
    parts: Box<[Part]>,
    set: u32,
}

/// One VEVENT: its bytes, and its VCALENDAR among the heads.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u32,
    end: u32,
    head: u32,
}

/// A VCALENDAR: its lines that bear upon events.
#[derive(Default)]
struct Head {
    component: Option<usize>,
    lines: Vec<Range<usize>>,
    zone: Option<String>,
    digest: Digest,
}

struct Zone {
    parent: Option<usize>,
    range: Range<usize>,
    digest: Digest,
}

impl Part {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Snapshot {
    /// Takes a body apart. Takes CPU time in proportion to it: not for an async thread.
    ///
    /// # Errors
    /// When it passes a limit of what is read at all.
    pub(super) fn new(body: Vec<u8>) -> Result<Self, DocumentError> {
        let index = Arc::new(Index::of(&body)?);
        Ok(Self { body, index })
    }

    pub(super) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    pub(super) fn body(&self) -> &[u8] {
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
    pub(super) fn parts(&self, piece: &Piece) -> impl Iterator<Item = &[u8]> {
        let ranges = piece.parts.iter().map(|part| part.range());
        ranges.map(|range| self.body.get(range).unwrap_or_default())
    }

    /// Where the piece's VEVENTs are.
    pub(super) fn ranges(&self, piece: &Piece) -> impl Iterator<Item = Range<usize>> {
        piece.parts.iter().map(|part| part.range())
    }

    /// The piece as a calendar, with `parts` for its VEVENTs.
    pub(super) fn show<'p>(&self, piece: &Piece, parts: impl Iterator<Item = &'p [u8]>) -> Vec<u8> {
        let index = &*self.index;
        let eol = index.eol;
        let mut out = Vec::new();
        let slice = |range: &Range<usize>| self.body.get(range.clone()).unwrap_or_default();
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
                for range in head.iter().flat_map(|head| &head.lines) {
                    line(&mut out, slice(range));
                }
                for zone in index.set(piece.set) {
                    line(&mut out, slice(&zone.range));
                }
            }
            line(&mut out, bytes);
        }
        line(&mut out, b"END:VCALENDAR");
        out
    }
}

impl Index {
    fn of(body: &[u8]) -> Result<Self, DocumentError> {
        let document = Document::parse(body)?;
        let mut splitting = Splitting::new(&document);
        let mut end = 0;
        for (at, component) in document.components().iter().enumerate() {
            if component.name == "VEVENT" && component.range.start >= end {
                splitting.vevent(at);
                end = component.range.end;
            }
        }
        Ok(splitting.finish())
    }

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

/// A body being taken apart.
struct Splitting<'d, 'b> {
    document: &'d Document<'b>,
    heads: Vec<Head>,
    by_component: HashMap<Option<usize>, u32>,
    zones: Vec<Zone>,
    by_name: HashMap<String, Vec<u32>>,
    sets: Vec<Vec<u32>>,
    by_set: HashMap<Vec<u32>, u32>,
    found: HashMap<Box<str>, u32>,
    pieces: Vec<Made>,
    refresh: Option<Duration>,
}

/// A piece being made.
struct Made {
    id: Box<str>,
    raw: Sha256,
    bare: DefaultHasher,
    parts: Vec<Part>,
    zones: Vec<u32>,
}

impl<'d, 'b> Splitting<'d, 'b> {
    fn new(document: &'d Document<'b>) -> Self {
        let mut splitting = Self {
            document,
            heads: Vec::new(),
            by_component: HashMap::new(),
            zones: Vec::new(),
            by_name: HashMap::new(),
            sets: vec![Vec::new()],
            by_set: HashMap::from([(Vec::new(), 0)]),
            found: HashMap::new(),
            pieces: Vec::new(),
            refresh: None,
        };
        for (at, component) in document.components().iter().enumerate() {
            match component.name.as_str() {
                "VCALENDAR" => splitting.head(at),
                "VTIMEZONE" => splitting.zone(at),
                _ => {}
            }
        }
        splitting
    }

    fn head(&mut self, at: usize) {
        let mut head = Head {
            component: Some(at),
            ..Head::default()
        };
        for line in self.document.lines(at) {
            if line.is("REFRESH-INTERVAL") || line.is("X-PUBLISHED-TTL") {
                self.refresh = self.refresh.max(duration(&line.value()));
            }
            let counts = line.is("VERSION") || line.is("METHOD") || line.is("X-WR-TIMEZONE");
            if !counts || line.range().len() > MAX_HEAD {
                continue;
            }
            if line.is("X-WR-TIMEZONE") {
                head.zone = Some(zone_name(&line.value()).to_owned());
            }
            head.lines.push(line.range());
        }
        head.digest = digest(head.lines.iter().map(|line| self.slice(line)));
        self.by_component
            .insert(Some(at), compact(self.heads.len()));
        self.heads.push(head);
    }

    fn zone(&mut self, at: usize) {
        let Some(component) = self.document.components().get(at) else {
            return;
        };
        if component.range.len() > MAX_ZONE {
            return;
        }
        let Some(line) = self.document.lines(at).find(|line| line.is("TZID")) else {
            return;
        };
        let name = zone_name(&line.value()).to_owned();
        let number = compact(self.zones.len());
        self.by_name.entry(name).or_default().push(number);
        self.zones.push(Zone {
            parent: component.parent,
            digest: digest(std::iter::once(self.slice(&component.range))),
            range: component.range.clone(),
        });
    }

    fn slice(&self, range: &Range<usize>) -> &'b [u8] {
        self.document.bytes().get(range.clone()).unwrap_or_default()
    }

    /// The head of the VCALENDAR that a component stands in.
    fn head_of(&mut self, component: usize) -> u32 {
        let mut at = Some(component);
        while let Some(index) = at {
            if let Some(head) = self.by_component.get(&Some(index)) {
                return *head;
            }
            at = self.document.components().get(index).and_then(|c| c.parent);
        }
        if let Some(head) = self.by_component.get(&None) {
            return *head;
        }
        let head = compact(self.heads.len());
        self.heads.push(Head::default());
        self.by_component.insert(None, head);
        head
    }

    /// The definition of a zone that counts in this VCALENDAR: its own, else the first.
    fn defined(&self, name: &str, calendar: Option<usize>) -> Option<u32> {
        let all = self.by_name.get(name)?;
        let own = all.iter().find(|zone| {
            let zone = self.zones.get(**zone as usize);
            zone.is_some_and(|zone| zone.parent == calendar)
        });
        own.or(all.first()).copied()
    }

    fn vevent(&mut self, at: usize) {
        let document = self.document;
        let Some(component) = document.components().get(at) else {
            return;
        };
        let head = self.head_of(at);
        let calendar = self.heads.get(head as usize);
        let (calendar, default) =
            calendar.map_or((None, None), |head| (head.component, head.zone.as_deref()));
        let (mut uid, mut bare) = (None, DefaultHasher::new());
        let mut zones: Vec<u32> = default
            .and_then(|name| self.defined(name, calendar))
            .into_iter()
            .collect();
        for line in document.lines(at) {
            if line.is("UID") {
                uid = Some(line.text().trim().to_owned());
                continue;
            }
            if is_minted(&line) {
                continue;
            }
            bare.write(self.slice(&line.content_range()));
            bare.write_u8(b'\n');
            if names_zone(&line)
                && let Some(name) = line.param("TZID")
                && let Some(zone) = self.defined(zone_name(&name), calendar)
                && !zones.contains(&zone)
            {
                zones.push(zone);
            }
        }
        let id: Box<str> = match uid.filter(|uid| !uid.is_empty()) {
            Some(uid) => id_of(&uid).as_str().into(),
            None => NAMELESS.into(),
        };
        let place = *self.found.entry(id.clone()).or_insert_with(|| {
            self.pieces.push(Made {
                id,
                raw: Sha256::new(),
                bare: DefaultHasher::new(),
                parts: Vec::new(),
                zones: Vec::new(),
            });
            compact(self.pieces.len() - 1)
        });
        let head_digest = self.heads.get(head as usize).map(|head| head.digest);
        let bytes = self.document.bytes().get(component.range.clone());
        let Some(made) = self.pieces.get_mut(place as usize) else {
            return;
        };
        if &*made.id == NAMELESS && made.parts.len() == MAX_NAMELESS {
            return;
        }
        made.raw.update(head_digest.unwrap_or_default());
        made.raw.update(bytes.unwrap_or_default());
        made.bare.write_u64(bare.finish());
        made.parts.push(Part {
            start: compact(component.range.start),
            end: compact(component.range.end),
            head,
        });
        for zone in zones {
            if !made.zones.contains(&zone) {
                made.zones.push(zone);
            }
        }
    }

    fn finish(mut self) -> Index {
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for mut made in std::mem::take(&mut self.pieces) {
            for zone in &made.zones {
                let digest = self.zones.get(*zone as usize).map(|zone| zone.digest);
                made.raw.update(digest.unwrap_or_default());
            }
            let set = match self.by_set.get(&made.zones) {
                Some(set) => *set,
                None => {
                    let set = compact(self.sets.len());
                    self.sets.push(made.zones.clone());
                    self.by_set.insert(made.zones, set);
                    set
                }
            };
            pieces.push(Piece {
                id: made.id,
                raw: short(made.raw),
                bare: made.bare.finish(),
                minted: false,
                parts: made.parts.into(),
                set,
            });
        }
        pieces.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        Index {
            token: token(self.document.bytes()),
            refresh: self.refresh,
            pieces,
            eol: self.document.eol(),
            heads: self.heads,
            zones: self.zones,
            sets: self.sets,
        }
    }
}

/// Stands for a whole body.
pub(super) fn token(body: &[u8]) -> String {
    hex(&sha256([body])[..16])
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
pub(super) fn vevents(shown: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let document = Document::parse(shown).ok()?;
    let vevents = document.components().iter();
    let vevents = vevents.filter(|component| component.name == "VEVENT");
    vevents
        .map(|component| Some(shown.get(component.range.clone())?.into()))
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

/// The definition's name, as TZID parameters are compared with it.
fn zone_name(tzid: &str) -> &str {
    tzid.trim().trim_matches('"').trim()
}

/// What generators make anew with each answer, however little the event has changed.
fn is_minted(line: &ContentLine<'_>) -> bool {
    ["DTSTAMP", "CREATED", "LAST-MODIFIED"]
        .iter()
        .any(|name| line.is(name))
}

fn names_zone(line: &ContentLine<'_>) -> bool {
    [
        "DTSTART",
        "DTEND",
        "RECURRENCE-ID",
        "RDATE",
        "EXDATE",
        "EXRULE",
    ]
    .iter()
    .any(|name| line.is(name))
}

/// A DURATION (RFC 5545, 3.3.6) that is not negative, of at most a year.
fn duration(text: &str) -> Option<Duration> {
    const YEAR: u64 = 366 * 86_400;
    let mut rest = text.trim().trim_start_matches('+').strip_prefix('P')?;
    let (mut seconds, mut in_time) = (0_u64, false);
    while let Some(first) = rest.chars().next() {
        if first == 'T' && !in_time {
            in_time = true;
            rest = rest.get(1..)?;
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let unit = match (rest.as_bytes().get(digits)?, in_time) {
            (b'W', false) => 7 * 86_400,
            (b'D', false) => 86_400,
            (b'H', true) => 3_600,
            (b'M', true) => 60,
            (b'S', true) => 1,
            _ => return None,
        };
        seconds = seconds.saturating_add(number.saturating_mul(unit));
        rest = rest.get(digits + 1..)?;
    }
    Some(Duration::from_secs(seconds.min(YEAR)))
}

/// An offset or number in a document, which is below [`crate::ical::document::MAX_BYTES`].
fn compact(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
