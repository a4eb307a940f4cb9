//! What a calendar's resources hold, read on a thread that may block: resources that are there at the
//! same time go there together, for a small one is read quicker than handed over.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::stream::Fuse;
use futures_util::{FutureExt, StreamExt};

use crate::calendar::{Finding, Found, Resource};
use crate::ical::document::{Document, DocumentError, Fault};
use crate::ical::event::Event;
use crate::ical::read;

/// A group is handed over when it holds this many findings, or this many bytes.
const GROUP: usize = 64;
const GROUP_BYTES: usize = 1 << 20;

/// What a resource holds.
pub(super) struct Content {
    /// Its events.
    pub(super) events: Vec<Event>,
    /// What could not be understood: the line, and the reason.
    pub(super) faults: Vec<String>,
}

/// The findings of a read, each changed resource with its content.
pub(super) struct Readings<'a> {
    finding: Fuse<Finding<'a>>,
    zone: Tz,
    ready: VecDeque<(Found, Option<Content>)>,
}

impl<'a> Readings<'a> {
    /// Of `finding`; `zone` is that of floating times.
    pub(super) fn new(finding: Finding<'a>, zone: Tz) -> Self {
        Self {
            finding: finding.fuse(),
            zone,
            ready: VecDeque::new(),
        }
    }

    /// The next finding, with its content as it is understood at `now` where there is any.
    pub(super) async fn next(&mut self, now: DateTime<Utc>) -> Option<(Found, Option<Content>)> {
        if self.ready.is_empty() {
            let group = self.group().await;
            let bytes: Vec<_> = group.iter().map(part_of).collect();
            let zone = self.zone;
            let reading = tokio::task::spawn_blocking(move || {
                bytes
                    .iter()
                    .map(|part| part.as_ref().map(|part| content(part, zone, now)))
                    .collect()
            });
            let mut contents: VecDeque<_> = reading.await.unwrap_or_default();
            let with_content = |found| (found, contents.pop_front().flatten());
            self.ready = group.into_iter().map(with_content).collect();
        }
        self.ready.pop_front()
    }

    /// The next finding, and what is there already besides.
    async fn group(&mut self) -> Vec<Found> {
        let (mut group, mut size) = (Vec::new(), 0);
        let mut next = self.finding.next().await;
        while let Some(found) = next {
            size += part_of(&found).map_or(0, |part| part.bytes.len());
            group.push(found);
            if group.len() == GROUP || size >= GROUP_BYTES {
                break;
            }
            next = self.finding.next().now_or_never().flatten();
        }
        group
    }
}

/// The bytes of a resource, and where they stand in what it is a part of.
pub(super) struct Part {
    bytes: Arc<[u8]>,
    origins: Arc<[(usize, usize)]>,
}

impl Part {
    pub(super) fn of(resource: &Resource) -> Self {
        Self {
            bytes: Arc::clone(&resource.bytes),
            origins: Arc::clone(&resource.origins),
        }
    }

    pub(super) fn document(&self) -> Result<Document<'_>, DocumentError> {
        Document::parse_part(&self.bytes, &self.origins)
    }
}

fn part_of(found: &Found) -> Option<Part> {
    match found {
        Found::Changed(resource) => Some(Part::of(resource)),
        _ => None,
    }
}

/// Reads one resource on a thread that may block.
pub(super) async fn read_one(part: Part, zone: Tz, now: DateTime<Utc>) -> Content {
    let reading = tokio::task::spawn_blocking(move || content(&part, zone, now));
    reading.await.unwrap_or_else(|_| Content::broken())
}

/// What a resource holds. Recurrence may take milliseconds, and a panic on hostile bytes ends here.
fn content(part: &Part, zone: Tz, now: DateTime<Utc>) -> Content {
    let reading = catch_unwind(AssertUnwindSafe(|| match part.document() {
        Ok(document) => {
            let reading = read::read(&document, zone, now);
            let told = |fault: Fault| format!("line {}: {}", fault.line, fault.what);
            let faults = reading.faults.into_iter().map(told).collect();
            Content {
                events: reading.events,
                faults,
            }
        }
        Err(error) => Content {
            events: Vec::new(),
            faults: vec![error.to_string()],
        },
    }));
    reading.unwrap_or_else(|_| Content::broken())
}

impl Content {
    /// Stands for a resource that could not be read through a fault of ours.
    pub(super) fn broken() -> Self {
        let why = "reading it failed inside meetbridge; please report it";
        Self {
            events: Vec::new(),
            faults: vec![why.to_owned()],
        }
    }
}
