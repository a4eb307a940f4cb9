//! Taking a feed's body apart: its VEVENTs, one at a time, and what of the rest bears upon them. Reads
//! the body from its file.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::ops::Range;
use std::time::Duration;

use super::body::Body;
use super::scan::{self, Span};
use super::split::{Digest, Head, Index, Part, Piece, Snapshot, Zone, digest, id_of};
use crate::ical::document::{ContentLine, Document, DocumentError};

/// The longest line of a VCALENDAR, and the longest VTIMEZONE, that a piece is shown with: a hostile
/// one would be read again with every piece.
const MAX_HEAD: usize = 1 << 10;
const MAX_ZONE: usize = 32 << 10;
/// How many events without UID are shown.
const MAX_NAMELESS: usize = 100;
/// The identifier of all events without UID.
const NAMELESS: &str = "(events without UID)";

/// Why a body is not taken apart.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// It passes a limit of what is read at all.
    #[error(transparent)]
    Limit(#[from] DocumentError),
    /// It cannot be read from its file.
    #[error("what was fetched cannot be read from the disk: {0}")]
    Disk(#[from] io::Error),
}

/// Takes a body apart; `token` stands for all of it. Takes CPU time in proportion to it: not for an async
/// thread.
///
/// # Errors
/// See [`Unread`].
pub(super) fn take_apart(body: Body, token: String) -> Result<Snapshot, Unread> {
    let index = match scan::vevents(&body)? {
        Some(spans) => by_event(&body, &spans, token)?,
        None => as_whole(&body, token)?,
    };
    Ok(Snapshot::new(body, index))
}

/// The way to read a feed of any size: never more of it at once than an event, or all that is no event.
fn by_event(body: &Body, spans: &[Span], token: String) -> Result<Index, Unread> {
    let (mut rest, mut origins, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at, mut number) = (0, 1);
    let events = spans
        .iter()
        .map(|span| (span.range(), span.line_behind as usize));
    let ends = std::iter::once((body.len()..body.len(), 0));
    for (event, line_behind) in events.chain(ends) {
        if at < event.start {
            origins.push((rest.len(), at));
            numbers.push((rest.len(), number));
            rest.extend(body.read(at..event.start)?);
        }
        (at, number) = (event.end, line_behind);
    }
    let rest = Document::parse_part(&rest, &numbers)?;
    let mut splitting = Splitting::new(&rest, origins);
    splitting.found.reserve_exact(spans.len());
    for span in spans {
        let bytes = body.read(span.range())?;
        let numbers = [(0, span.line as usize)];
        let event = Document::parse_part(&bytes, &numbers)?;
        splitting.vevent(&event, 0, compact(span.calendar), span.start);
    }
    Ok(splitting.finish(token))
}

/// The way to read what is not written as calendars are.
fn as_whole(body: &Body, token: String) -> Result<Index, Unread> {
    let bytes = body.all()?;
    let document = Document::parse(&bytes)?;
    let mut splitting = Splitting::new(&document, vec![(0, 0)]);
    let mut end = 0;
    for (at, component) in document.components().iter().enumerate() {
        if component.name == "VEVENT" && component.range.start >= end {
            let head = splitting.head_of(at);
            splitting.vevent(&document, at, head, 0);
            end = component.range.end;
        }
    }
    Ok(splitting.finish(token))
}

/// A body being taken apart.
struct Splitting<'d, 'b> {
    /// The body, or all of it that is no event.
    rest: &'d Document<'b>,
    /// Where the parts of `rest` begin, in it and in the body.
    origins: Vec<(usize, usize)>,
    heads: Vec<Head>,
    by_component: HashMap<Option<usize>, u32>,
    zones: Vec<Zone>,
    by_name: HashMap<String, Vec<u32>>,
    sets: Vec<Vec<u32>>,
    by_set: HashMap<Vec<u32>, u32>,
    found: Vec<One>,
    nameless: usize,
    refresh: Option<Duration>,
}

/// A VEVENT.
struct One {
    id: Box<str>,
    raw: Digest,
    bare: u64,
    part: Part,
    set: u32,
}

impl<'d, 'b> Splitting<'d, 'b> {
    fn new(rest: &'d Document<'b>, origins: Vec<(usize, usize)>) -> Self {
        let mut splitting = Self {
            rest,
            origins,
            heads: Vec::new(),
            by_component: HashMap::new(),
            zones: Vec::new(),
            by_name: HashMap::new(),
            sets: vec![Vec::new()],
            by_set: HashMap::from([(Vec::new(), 0)]),
            found: Vec::new(),
            nameless: 0,
            refresh: None,
        };
        for (at, component) in rest.components().iter().enumerate() {
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
        let mut lines = Vec::new();
        for line in self.rest.lines(at) {
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
            head.lines
                .push((self.in_body(&line.range()), line.number()));
            lines.push(line.range());
        }
        head.digest = digest(lines.iter().map(|line| self.slice(line)));
        self.by_component
            .insert(Some(at), compact(self.heads.len()));
        self.heads.push(head);
    }

    fn zone(&mut self, at: usize) {
        let Some(component) = self.rest.components().get(at) else {
            return;
        };
        if component.range.len() > MAX_ZONE {
            return;
        }
        let Some(line) = self.rest.lines(at).find(|line| line.is("TZID")) else {
            return;
        };
        let name = zone_name(&line.value()).to_owned();
        let number = compact(self.zones.len());
        self.by_name.entry(name).or_default().push(number);
        self.zones.push(Zone {
            parent: component.parent,
            digest: digest(std::iter::once(self.slice(&component.range))),
            range: self.in_body(&component.range),
            line: component.line,
        });
    }

    /// The bytes of a range of what is no event.
    fn slice(&self, range: &Range<usize>) -> &'b [u8] {
        self.rest.bytes().get(range.clone()).unwrap_or_default()
    }

    /// Where a range of what is no event stands in the body.
    fn in_body(&self, range: &Range<usize>) -> Range<usize> {
        let part = self
            .origins
            .partition_point(|(rest, _)| *rest <= range.start);
        let part = part.checked_sub(1).and_then(|part| self.origins.get(part));
        let (rest, body) = part.copied().unwrap_or_default();
        let start = range.start - rest + body;
        start..start + range.len()
    }

    /// The head of the VCALENDAR that a component stands in.
    fn head_of(&mut self, component: usize) -> u32 {
        let mut at = Some(component);
        while let Some(index) = at {
            if let Some(head) = self.by_component.get(&Some(index)) {
                return *head;
            }
            at = self.rest.components().get(index).and_then(|c| c.parent);
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

    /// Takes in a component, whose document begins at `origin` in the body.
    fn vevent(&mut self, document: &Document<'_>, at: usize, head: u32, origin: usize) {
        let Some(component) = document.components().get(at) else {
            return;
        };
        let slice = |range: Range<usize>| document.bytes().get(range).unwrap_or_default();
        let calendar = self.heads.get(head as usize);
        let head_digest = calendar.map(|head| head.digest).unwrap_or_default();
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
            bare.write(slice(line.content_range()));
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
        if &*id == NAMELESS {
            self.nameless += 1;
            if self.nameless > MAX_NAMELESS {
                return;
            }
        }
        let part = Part {
            start: compact(origin + component.range.start),
            end: compact(origin + component.range.end),
            line: compact(component.line),
            head,
        };
        let bytes = slice(component.range.clone());
        let one = One {
            id,
            raw: digest([&head_digest[..], bytes].into_iter()),
            bare: bare.finish(),
            part,
            set: self.set(zones),
        };
        self.found.push(one);
    }

    /// The set of these zones.
    fn set(&mut self, zones: Vec<u32>) -> u32 {
        if let Some(set) = self.by_set.get(&zones) {
            return *set;
        }
        let set = compact(self.sets.len());
        self.sets.push(zones.clone());
        self.by_set.insert(zones, set);
        set
    }

    /// The zones of both sets.
    fn union(&mut self, one: u32, other: u32) -> u32 {
        let zones = |set: u32| self.sets.get(set as usize).cloned().unwrap_or_default();
        let (mut all, more) = (zones(one), zones(other));
        for zone in more {
            if !all.contains(&zone) {
                all.push(zone);
            }
        }
        self.set(all)
    }

    fn finish(mut self, token: String) -> Index {
        let mut found = std::mem::take(&mut self.found);
        // Those of one event stay in the order of the feed.
        found.sort_by(|one, other| one.id.cmp(&other.id));
        let mut pieces = Vec::with_capacity(found.len());
        let mut found = found.into_iter().peekable();
        while let Some(first) = found.next() {
            let (mut raw, mut bare, mut set) = (first.raw, first.bare, first.set);
            let mut parts = vec![first.part];
            while let Some(next) = found.next_if(|next| next.id == first.id) {
                raw = digest([&raw[..], &next.raw].into_iter());
                let mut both = DefaultHasher::new();
                both.write_u64(bare);
                both.write_u64(next.bare);
                bare = both.finish();
                if next.set != set {
                    set = self.union(set, next.set);
                }
                parts.push(next.part);
            }
            let zones = self.sets.get(set as usize).into_iter().flatten();
            let zones = zones.filter_map(|zone| self.zones.get(*zone as usize));
            pieces.push(Piece {
                id: first.id,
                raw: digest(std::iter::once(&raw[..]).chain(zones.map(|zone| &zone.digest[..]))),
                bare,
                minted: false,
                parts: parts.into(),
                set,
            });
        }
        pieces.shrink_to_fit();
        Index {
            token,
            refresh: self.refresh,
            pieces,
            eol: self.rest.eol(),
            heads: self.heads,
            zones: self.zones,
            sets: self.sets,
        }
    }
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
