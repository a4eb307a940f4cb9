//! The events of a feed with their links, and the calendar that is published. Reads the feed from its
//! file, and keeps the events with links in another.
//!
//! What is published is the feed byte for byte, with our lines in its VEVENTs.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::shelf::{Shelf, Slot};
use super::split::{Digest, Index, Piece, Shown, Snapshot, digest, vevents};
use crate::ical::block;
use crate::ical::document::Document;
use crate::ical::event::{Event, Provider};
use crate::ical::mark::{self, Mark};
use crate::ical::read;
use crate::ical::write::{self, detach};
use crate::model::{ExternalId, JoinUrl, Version, hex};

/// How many URLs of an event are tried for being our link.
const TRIED: usize = 8;

/// So much may be kept of links that are none any more.
const WASTE: u64 = 4 << 20;

/// An event with its link.
struct Enriched {
    /// Stands for the event in the feed that it is made of.
    raw: Digest,
    version: Digest,
    /// Its VEVENTs.
    slots: Box<[Slot]>,
    origin: Origin,
}

/// Where the link of an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It was written in this process.
    Written,
    /// It was found in what was published: perhaps nobody else knows of it.
    Found,
    /// The same, put into what became of the event since.
    Carried,
}

/// Stands for what an event was when its link was published, where the feed has it otherwise.
const EARLIER: Digest = [0; 16];

/// The events with links.
pub(super) struct Links {
    directory: PathBuf,
    /// By identifier.
    all: HashMap<Box<str>, Enriched>,
    /// Where their VEVENTs are, as soon as there is one.
    shelf: Option<Shelf>,
}

impl Links {
    /// None yet; what will be kept of them is kept in this directory.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            all: HashMap::new(),
            shelf: None,
        }
    }

    /// The event's link, if it was made for the event as the feed has it.
    fn get(&self, piece: &Piece) -> Option<&Enriched> {
        let enriched = self.all.get(&piece.id);
        enriched.filter(|enriched| enriched.raw == piece.raw)
    }

    /// Keeps the VEVENTs of an event with its link, made of the event as `raw` says.
    fn keep(
        &mut self,
        piece: &Piece,
        raw: Digest,
        vevents: &[Vec<u8>],
        origin: Origin,
    ) -> io::Result<()> {
        let shelf = match &mut self.shelf {
            Some(shelf) => shelf,
            none => none.insert(Shelf::new(&self.directory)?),
        };
        let slots = vevents.iter().map(|vevent| shelf.put(vevent));
        let slots = slots.collect::<io::Result<_>>()?;
        let all = vevents.iter().map(Vec::as_slice);
        let enriched = Enriched {
            raw,
            version: digest(std::iter::once(&raw[..]).chain(all)),
            slots,
            origin,
        };
        self.all.insert(piece.id.clone(), enriched);
        Ok(())
    }

    /// Stands for the event as it is shown.
    pub(super) fn version(&self, piece: &Piece) -> Version {
        let enriched = self.get(piece).map(|enriched| &enriched.version);
        Version::new(hex(enriched.unwrap_or(&piece.raw)))
    }

    /// The event as a calendar of its own, with its link if it has one.
    pub(super) fn show(&self, snapshot: &Snapshot, piece: &Piece) -> io::Result<Shown> {
        match (self.get(piece), &self.shelf) {
            (Some(own), Some(shelf)) => {
                let vevents = own.slots.iter().map(|slot| shelf.get(slot));
                snapshot.show(piece, vevents.collect::<io::Result<_>>()?, true)
            }
            _ => snapshot.show(piece, snapshot.parts(piece)?, false),
        }
    }

    /// Puts the link that was found published for an event into what the feed has of it by now, so that it
    /// stays whether anybody remembers it or not. Where that cannot be, it is none any more.
    pub(super) fn carry(
        &mut self,
        snapshot: &Snapshot,
        piece: &Piece,
        now: DateTime<Utc>,
    ) -> io::Result<()> {
        let earlier = self.all.get(&piece.id);
        let earlier = earlier.filter(|old| old.raw != piece.raw && old.origin != Origin::Written);
        let (Some(earlier), Some(shelf)) = (earlier, &self.shelf) else {
            return Ok(());
        };
        let vevents = earlier.slots.iter().map(|slot| shelf.get(slot));
        let earlier = snapshot.show(piece, vevents.collect::<io::Result<_>>()?, false)?;
        let bare = snapshot.show(piece, snapshot.parts(piece)?, false)?;
        match carried(&earlier.bytes, &bare.bytes, now) {
            Some(vevents) => self.keep(piece, piece.raw, &vevents, Origin::Carried),
            None => {
                self.all.remove(&piece.id);
                Ok(())
            }
        }
    }

    /// Whether the event's link was made for what it was before.
    pub(super) fn is_carried(&self, id: &str) -> bool {
        let enriched = self.all.get(id);
        enriched.is_some_and(|enriched| enriched.origin == Origin::Carried)
    }

    /// Takes an event as it is to be from here on. `None` when it is not that event with a link.
    pub(super) fn put(
        &mut self,
        snapshot: &Snapshot,
        piece: &Piece,
        shown: &[u8],
    ) -> io::Result<Option<Version>> {
        let bare = snapshot.parts(piece)?;
        let Some(vevents) = vevents(shown).filter(|vevents| vevents.len() == bare.len()) else {
            return Ok(None);
        };
        if bare == vevents {
            self.all.remove(&piece.id);
        } else {
            self.keep(piece, piece.raw, &vevents, Origin::Written)?;
        }
        Ok(Some(self.version(piece)))
    }

    /// Forgets the links of events that the feed does not have, or has otherwise.
    pub(super) fn prune(&mut self, index: &Index) {
        self.all.retain(|id, enriched| {
            let piece = index.find(id);
            piece.is_some_and(|piece| piece.raw == enriched.raw)
        });
        let slots = self.all.values().flat_map(|one| &one.slots);
        let used: u64 = slots.map(|slot| slot.end - slot.start).sum();
        if self.kept().saturating_sub(used) > used.max(WASTE) {
            // Where there is no room for another file, this one stays.
            let _ = self.tidy();
        }
    }

    /// How many bytes are kept of links, in use or not.
    pub(super) fn kept(&self) -> u64 {
        self.shelf.as_ref().map_or(0, Shelf::len)
    }

    /// Moves what is in use to another file.
    fn tidy(&mut self) -> io::Result<()> {
        let Some(old) = &self.shelf else {
            return Ok(());
        };
        let mut new = Shelf::new(&self.directory)?;
        let mut moved = Vec::with_capacity(self.all.len());
        for enriched in self.all.values() {
            let slots = enriched.slots.iter();
            let slots = slots.map(|slot| new.put(&old.get(slot)?));
            moved.push(slots.collect::<io::Result<Box<[Slot]>>>()?);
        }
        for (enriched, slots) in self.all.values_mut().zip(moved) {
            enriched.slots = slots;
        }
        self.shelf = Some(new);
        Ok(())
    }

    /// The calendar to be published.
    pub(super) fn compose(&self, snapshot: &Arc<Snapshot>) -> Composition {
        let index = snapshot.index();
        let mut parts = Vec::with_capacity(self.all.len());
        for (id, enriched) in &self.all {
            let piece = index.find(id).filter(|piece| piece.raw == enriched.raw);
            let ranges = piece.into_iter().flat_map(|piece| snapshot.ranges(piece));
            parts.extend(ranges.zip(enriched.slots.iter().cloned()));
        }
        parts.sort_unstable_by_key(|(range, _)| range.start);
        Composition {
            snapshot: Arc::clone(snapshot),
            shelf: self.shelf.clone(),
            parts,
        }
    }

    /// Finds the links again in what was published. One counts that, taken out, leaves the event as the
    /// feed has it: whatever somebody changed in what was published is no part of it. Any other is looked
    /// at by [`Self::carry`].
    pub(super) fn recover(
        &mut self,
        snapshot: &Snapshot,
        published: &Snapshot,
        now: DateTime<Utc>,
    ) -> io::Result<()> {
        for piece in &snapshot.index().pieces {
            let Some(old) = published.index().find(&piece.id) else {
                continue;
            };
            // Somebody may be at what was published: what cannot be read of it is none of ours.
            let Ok(parts) = published.parts(old) else {
                continue;
            };
            let marked =
                |part: &Vec<u8>| memchr::memmem::find(part, mark::PROPERTY.as_bytes()).is_some();
            if parts.iter().any(marked)
                && let Ok(shown) = published.show(old, parts.clone(), false)
            {
                let raw = match is_with_link(&snapshot.parts(piece)?, &shown.bytes, now) {
                    true => piece.raw,
                    false => EARLIER,
                };
                self.keep(piece, raw, &parts, Origin::Found)?;
            }
        }
        Ok(())
    }
}

/// A calendar to be published: a feed, and what stands in place of parts of it.
pub(super) struct Composition {
    snapshot: Arc<Snapshot>,
    shelf: Option<Shelf>,
    /// By where they stand in the feed.
    parts: Vec<(Range<usize>, Slot)>,
}

impl Composition {
    /// How many bytes it has.
    pub(super) fn len(&self) -> u64 {
        let more: u64 = self
            .parts
            .iter()
            .map(|(_, slot)| slot.end - slot.start)
            .sum();
        let less: usize = self.parts.iter().map(|(range, _)| range.len()).sum();
        (self.snapshot.body().len() - less) as u64 + more
    }

    /// Shows it block by block, until `sink` has seen enough. Whether it saw all of it.
    pub(super) fn blocks(
        &self,
        mut sink: impl FnMut(&[u8]) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let body = self.snapshot.body();
        let mut done = 0;
        for ((range, slot), shelf) in self.parts.iter().zip(self.shelf.iter().cycle()) {
            if !body.blocks(done..range.start, &mut sink)? || !sink(&shelf.get(slot)?)? {
                return Ok(false);
            }
            done = range.end;
        }
        body.blocks(done..body.len(), sink)
    }
}

/// Whether an event as it is `shown`, by itself, is the `bare` one with a link of ours.
fn is_with_link(bare: &[Vec<u8>], shown: &[u8], now: DateTime<Utc>) -> bool {
    let Ok(document) = Document::parse(shown) else {
        return false;
    };
    let Some(event) = first_event(&document, now) else {
        return false;
    };
    let is_ours = |url: &str| {
        let edits = detach(&document, &event, &JoinUrl::new(url));
        let before = edits.ok().map(|edits| edits.apply(shown));
        let before = before.and_then(|before| vevents(&before));
        before.is_some_and(|before| before == bare)
    };
    own_urls(&document, &event).any(is_ours)
}

/// The VEVENTs of an event as it is `bare`, with the link that an `earlier` form of it has.
fn carried(earlier: &[u8], bare: &[u8], now: DateTime<Utc>) -> Option<Vec<Vec<u8>>> {
    let (there, document) = (Document::parse(earlier).ok()?, Document::parse(bare).ok()?);
    let (was, event) = (first_event(&there, now)?, first_event(&document, now)?);
    if event.cancelled || event.uid != was.uid {
        return None;
    }
    let url = JoinUrl::new(own_urls(&there, &was).next()?);
    let edits = write::carry(&there, &was, &document, &event, &url).ok()?;
    let after = edits.apply(bare);
    let is_whole = write::verify(&document, &after);
    vevents(&after).filter(|_| is_whole)
}

fn first_event(document: &Document<'_>, now: DateTime<Utc>) -> Option<Event> {
    let reading = read::read(document, chrono_tz::Tz::UTC, now);
    reading.events.into_iter().next()
}

/// The URLs in an event that its mark was written together with.
fn own_urls<'e>(document: &'e Document<'_>, event: &'e Event) -> impl Iterator<Item = &'e str> {
    let links = event.components.iter().flat_map(|c| &c.links);
    let mut urls: Vec<&str> = links
        .filter(|link| link.provider == Provider::Teams)
        .map(|link| link.url.as_str())
        .collect();
    urls.dedup();
    let urls = urls.into_iter().take(TRIED);
    urls.filter(|url| is_as_written(document, event, url))
}

/// Whether the mark was written together with this URL and all that is written beside it, as it stands.
fn is_as_written(document: &Document<'_>, event: &Event, url: &str) -> bool {
    let url = JoinUrl::new(url);
    event.components.iter().any(|component| {
        let Some(Mark::Link {
            wrote,
            generation,
            empty,
            ..
        }) = &component.mark
        else {
            return false;
        };
        let id = ExternalId::of(&event.uid, *generation);
        let named = |name| document.lines(component.index).find(move |l| l.is(name));
        let text = named("DESCRIPTION").map(|line| line.text());
        let text = text.unwrap_or_default();
        let Some(block) = block::find(&text, &url).and_then(|range| text.get(range)) else {
            return false;
        };
        let mut beside = String::new();
        let lines = document.lines(component.index);
        for line in lines.filter(|line| line.is("CONFERENCE")) {
            let label = line.param("LABEL").unwrap_or_default();
            beside += &format!("{label} {}\n", line.value().trim());
        }
        if let Some(location) = named("LOCATION").filter(|_| empty.location) {
            beside += location.text().trim();
        }
        let trimmed = block.trim_end_matches(['\r', '\n']);
        [block, trimmed]
            .iter()
            .any(|block| Mark::digest_of(&id, &url, &format!("{block}{beside}")) == *wrote)
    })
}
