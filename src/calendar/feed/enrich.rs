//! The events of a feed with their links, and the calendar that is published. Reads the feed from its
//! file.
//!
//! What is published is the feed byte for byte, with our lines in its VEVENTs.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::split::{Digest, Index, Piece, Snapshot, digest, vevents};
use crate::ical::block;
use crate::ical::document::Document;
use crate::ical::event::{Event, Provider};
use crate::ical::mark::{self, Mark};
use crate::ical::read;
use crate::ical::write::detach;
use crate::model::{ExternalId, JoinUrl, Version, hex};

/// How many URLs of an event are tried for being our link.
const TRIED: usize = 8;

/// The VEVENTs of an event with its link.
pub(super) struct Enriched {
    /// Stands for the event in the feed that they are made of.
    raw: Digest,
    version: Digest,
    vevents: Vec<Arc<[u8]>>,
}

impl Enriched {
    fn new(piece: &Piece, vevents: Vec<Arc<[u8]>>) -> Self {
        let raw: &[u8] = &piece.raw;
        let all = vevents.iter().map(|vevent| &**vevent);
        Self {
            raw: piece.raw,
            version: digest(std::iter::once(raw).chain(all)),
            vevents,
        }
    }
}

/// The events with links, by identifier.
#[derive(Default)]
pub(super) struct Links(HashMap<Box<str>, Enriched>);

impl Links {
    /// The event's link, if it was made for the event as the feed has it.
    fn get(&self, piece: &Piece) -> Option<&Enriched> {
        self.0
            .get(&piece.id)
            .filter(|enriched| enriched.raw == piece.raw)
    }

    /// Stands for the event as it is shown.
    pub(super) fn version(&self, piece: &Piece) -> Version {
        let enriched = self.get(piece).map(|enriched| &enriched.version);
        Version::new(hex(enriched.unwrap_or(&piece.raw)))
    }

    /// The event as a calendar of its own, with its link if it has one.
    pub(super) fn show(&self, snapshot: &Snapshot, piece: &Piece) -> io::Result<Vec<u8>> {
        match self.get(piece) {
            Some(own) => snapshot.show(piece, &own.vevents),
            None => snapshot.show(piece, snapshot.parts(piece)?),
        }
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
        let is_bare = are_same(&bare, &vevents);
        match is_bare {
            true => self.0.remove(&piece.id),
            false => self
                .0
                .insert(piece.id.clone(), Enriched::new(piece, vevents)),
        };
        Ok(Some(self.version(piece)))
    }

    /// Forgets the links of events that the feed does not have, or has otherwise.
    pub(super) fn prune(&mut self, index: &Index) {
        self.0.retain(|id, enriched| {
            let piece = index.find(id);
            piece.is_some_and(|piece| piece.raw == enriched.raw)
        });
    }

    /// The calendar to be published.
    pub(super) fn compose(&self, snapshot: &Arc<Snapshot>) -> Composition {
        let index = snapshot.index();
        let mut parts = Vec::new();
        for (id, enriched) in &self.0 {
            let piece = index.find(id).filter(|piece| piece.raw == enriched.raw);
            let ranges = piece.into_iter().flat_map(|piece| snapshot.ranges(piece));
            parts.extend(ranges.zip(enriched.vevents.iter().cloned()));
        }
        parts.sort_unstable_by_key(|(range, _)| range.start);
        Composition {
            snapshot: Arc::clone(snapshot),
            parts,
        }
    }

    /// Finds the links again in what was published. One counts that, taken out, leaves the event as the
    /// feed has it: whatever somebody changed in what was published is no part of it.
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
                && let Ok(shown) = published.show(old, &parts)
                && is_with_link(&snapshot.parts(piece)?, &shown, now)
            {
                let vevents = parts.into_iter().map(Arc::from).collect();
                self.0
                    .insert(piece.id.clone(), Enriched::new(piece, vevents));
            }
        }
        Ok(())
    }
}

/// A calendar to be published: a feed, and what stands in place of parts of it.
pub(super) struct Composition {
    snapshot: Arc<Snapshot>,
    /// By where they stand in the feed.
    parts: Vec<(Range<usize>, Arc<[u8]>)>,
}

impl Composition {
    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        let more: usize = self.parts.iter().map(|(_, vevent)| vevent.len()).sum();
        let less: usize = self.parts.iter().map(|(range, _)| range.len()).sum();
        self.snapshot.body().len() + more - less
    }

    /// Shows it block by block, until `sink` has seen enough. Whether it saw all of it.
    pub(super) fn blocks(
        &self,
        mut sink: impl FnMut(&[u8]) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let body = self.snapshot.body();
        let mut done = 0;
        for (range, vevent) in &self.parts {
            if !body.blocks(done..range.start, &mut sink)? || !sink(vevent)? {
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
    let reading = read::read(&document, chrono_tz::Tz::UTC, now);
    let Some(event) = reading.events.first() else {
        return false;
    };
    let links = event.components.iter().flat_map(|c| &c.links);
    let mut urls: Vec<&str> = links
        .filter(|link| link.provider == Provider::Teams)
        .map(|link| link.url.as_str())
        .collect();
    urls.dedup();
    let is_ours = |url: &str| {
        if !is_as_written(&document, event, url) {
            return false;
        }
        let edits = detach(&document, event, &JoinUrl::new(url));
        let before = edits.ok().map(|edits| edits.apply(shown));
        let before = before.and_then(|before| vevents(&before));
        before.is_some_and(|before| are_same(bare, &before))
    };
    urls.into_iter().take(TRIED).any(is_ours)
}

fn are_same(bare: &[Vec<u8>], vevents: &[Arc<[u8]>]) -> bool {
    let vevents = vevents.iter().map(|vevent| &**vevent);
    bare.iter().map(Vec::as_slice).eq(vevents)
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
