//! Makes the new bytes of a resource and checks them: every link is whole in them, and nothing else
//! differs.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::act::{Change, Ready};
use super::keeps::Keeps;
use super::reading::Part as Bytes;
use super::{Bridge, Watched};
use crate::calendar::Resource;
use crate::ical::document::{Document, DocumentError};
use crate::ical::edit::Edits;
use crate::ical::event::{Component, Event, Place};
use crate::ical::{read, write};
use crate::model::{MeetingKey, Uid};
use crate::plan::kept::lacking;
use crate::state::Link;

/// What became of the events of a resource.
#[derive(Default)]
pub(super) struct Edited {
    /// The new bytes, if there is anything to write.
    pub(super) bytes: Option<Vec<u8>>,
    /// The links in them that are new or made whole.
    pub(super) written: Vec<Link>,
    /// The links to which nothing is to be added.
    pub(super) whole: Vec<Link>,
    /// The links that are as they would be written now; nobody has asked for more.
    pub(super) in_date: Vec<Link>,
    /// The events that could not be edited, with the reason.
    pub(super) unfit: Vec<(Uid, String)>,
}

impl Bridge {
    /// Makes the new bytes and checks them: every link is whole in them, and nothing else differs.
    pub(super) async fn edit(
        &self,
        calendar: &Watched,
        keeps: &Keeps,
        resource: &Resource,
        ready: Vec<Ready>,
        links: Vec<Link>,
        now: DateTime<Utc>,
    ) -> Edited {
        let context = EditContext {
            tenant: self.tenant.clone(),
            show: calendar.show.clone(),
            language: calendar.language.clone(),
            location: calendar.location,
            drops: keeps.drops(),
            zone: calendar.zone,
            derived: calendar.port.is_derived(),
            now,
        };
        let part = Bytes::of(resource);
        let uids: Vec<Uid> = links.iter().map(|l| l.uid.clone()).collect();
        let work = tokio::task::spawn_blocking(move || {
            edit_bytes(part.document(), &ready, links, &context)
        });
        work.await.unwrap_or_else(|_| {
            let why = "editing it failed inside meetbridge; please report it".to_owned();
            Edited {
                unfit: uids.into_iter().map(|uid| (uid, why.clone())).collect(),
                ..Edited::default()
            }
        })
    }
}

struct EditContext {
    tenant: String,
    show: Vec<crate::ical::block::Show>,
    language: String,
    location: write::Location,
    drops: BTreeSet<Place>,
    zone: chrono_tz::Tz,
    /// The same feed and links give the same bytes, whenever they are written.
    derived: bool,
    now: DateTime<Utc>,
}

/// What is written for one event.
struct Part<'a> {
    one: &'a Ready,
    link: Link,
    edits: Edits,
}

fn edit_bytes(
    document: Result<Document<'_>, DocumentError>,
    ready: &[Ready],
    links: Vec<Link>,
    context: &EditContext,
) -> Edited {
    let mut edited = Edited::default();
    let document = match document {
        Ok(document) => document,
        Err(error) => {
            let unfit = links.into_iter().map(|link| (link.uid, error.to_string()));
            edited.unfit = unfit.collect();
            return edited;
        }
    };
    let mut parts = Vec::with_capacity(ready.len());
    for (one, link) in ready.iter().zip(links) {
        if lacks_only_what_is_dropped(one, context) {
            edited.whole.push(link);
            continue;
        }
        if is_in_date(&document, one, &link, context) {
            edited.in_date.push(link);
            continue;
        }
        match write(&document, one, &link, context) {
            Ok(edits) if edits.is_empty() => edited.whole.push(link),
            Ok(edits) => parts.push(Part { one, link, edits }),
            Err(error) => edited.unfit.push((link.uid, error.to_string())),
        }
    }
    // An event whose link does not read back is left out; its neighbours are written without it.
    while !parts.is_empty() {
        let mut edits = Edits::new();
        parts
            .iter()
            .for_each(|part| edits.merge(part.edits.clone()));
        let after = edits.apply(document.bytes());
        drop(edits);
        let (good, bad) = match check(&document, &after, parts, context) {
            Ok(checked) => checked,
            Err((parts, why)) => {
                let unfit = parts
                    .into_iter()
                    .map(|part| (part.link.uid, why.to_owned()));
                edited.unfit.extend(unfit);
                return edited;
            }
        };
        if bad.is_empty() {
            edited.bytes = Some(after);
            edited.written = good.into_iter().map(|part| part.link).collect();
            return edited;
        }
        let why = "the link could not be read back; nothing was written for it";
        let unfit = bad.into_iter().map(|part| (part.link.uid, why.to_owned()));
        edited.unfit.extend(unfit);
        parts = good;
    }
    edited
}

/// Whether all that the event lacks is what the calendar would drop again.
fn lacks_only_what_is_dropped(one: &Ready, context: &EditContext) -> bool {
    let (event, join_url) = (&one.planned.event, &one.meeting.meeting.join_url);
    let location = context.location;
    one.change == Change::Complete { replaces: None }
        && !write::missing(event, join_url, location).is_empty()
        && lacking(event, join_url, location, &context.drops).is_empty()
}

/// Whether a rewrite of the event has nothing to do.
fn is_in_date(document: &Document<'_>, one: &Ready, link: &Link, context: &EditContext) -> bool {
    let (event, join_url) = (&one.planned.event, &one.meeting.meeting.join_url);
    one.change == Change::Rewrite
        && lacking(event, join_url, context.location, &context.drops).is_empty()
        && !with_attachment(one, link, context, |attachment| {
            write::is_outdated(document, event, attachment)
        })
}

fn write(
    document: &Document<'_>,
    one: &Ready,
    link: &Link,
    context: &EditContext,
) -> Result<Edits, write::WriteFault> {
    let event = &one.planned.event;
    let stamp = (!context.derived).then_some(context.now);
    with_attachment(one, link, context, |attachment| match &one.change {
        Change::Complete { replaces } => {
            write::attach(document, event, attachment, replaces.as_ref(), stamp)
        }
        Change::Rewrite => write::rewrite(document, event, attachment, stamp),
        Change::TakeOut { out, components } => {
            let goes = |component: &Component| components.contains(&component.index);
            write::take_out(
                document,
                event,
                attachment.join_url,
                goes,
                // What is read never shows what is published: the state alone remembers it.
                out.leaves_mark() && !context.derived,
                stamp,
            )
        }
    })
}

fn with_attachment<T>(
    one: &Ready,
    link: &Link,
    context: &EditContext,
    work: impl FnOnce(&write::Attachment<'_>) -> T,
) -> T {
    let key = MeetingKey {
        tenant: context.tenant.clone(),
        organizer: link.organizer.clone(),
        external_id: link.external_id.clone(),
    };
    work(&write::Attachment {
        key: &key,
        generation: link.generation,
        join_url: &one.meeting.meeting.join_url,
        details: &one.meeting.meeting.details,
        show: &context.show,
        language: &context.language,
        location: context.location,
    })
}

/// The parts whose link is whole in the new bytes, and those whose is not.
type Checked<'a> = (Vec<Part<'a>>, Vec<Part<'a>>);

/// Reads the new bytes back. An error, with the parts as they were: they are not to be written.
fn check<'a>(
    before: &Document<'_>,
    after: &[u8],
    parts: Vec<Part<'a>>,
    context: &EditContext,
) -> Result<Checked<'a>, (Vec<Part<'a>>, &'static str)> {
    let Ok(changed) = Document::parse(after) else {
        let why = "the edited calendar could not be read back; nothing was written";
        return Err((parts, why));
    };
    let events = read::read(&changed, context.zone, context.now).events;
    let events: HashMap<&Uid, &Event> = events.iter().map(|event| (&event.uid, event)).collect();
    let rewritten = |part: &&Part<'_>| !matches!(part.one.change, Change::Complete { .. });
    let replaces =
        |part: &Part<'_>| matches!(part.one.change, Change::Complete { replaces: Some(_) });
    if !parts.iter().any(replaces) {
        // What is rewritten is looked at by itself; to the rest, bytes are only added.
        let now = |part: &Part<'_>| events.get(&part.one.planned.event.uid).copied();
        let rewritten = || parts.iter().filter(rewritten);
        let then = without(before, rewritten().map(|part| &part.one.planned.event));
        let now = without(&changed, rewritten().filter_map(now));
        let is_added_to = Document::parse(&then).is_ok_and(|then| write::verify(&then, &now));
        if !is_added_to {
            let why = "the edit would have changed other bytes; nothing was written";
            return Err((parts, why));
        }
    }
    Ok(parts.into_iter().partition(|part| {
        let event = events.get(&part.one.planned.event.uid);
        event.is_some_and(|event| is_right(before, &changed, event, part, context))
    }))
}

/// The bytes of a document without these events.
fn without<'e>(document: &Document<'_>, events: impl Iterator<Item = &'e Event>) -> Vec<u8> {
    let mut edits = Edits::new();
    for component in events.flat_map(|event| &event.components) {
        if let Some(component) = document.components().get(component.index) {
            edits.remove(component.range.clone());
        }
    }
    edits.apply(document.bytes())
}

/// Whether the link is whole in the event as it reads back and, if it was rewritten, taking it out
/// gives the same bytes as before.
fn is_right(
    before: &Document<'_>,
    after: &Document<'_>,
    event: &Event,
    part: &Part<'_>,
    context: &EditContext,
) -> bool {
    let (one, join_url) = (part.one, &part.one.meeting.meeting.join_url);
    if let Change::TakeOut { components, .. } = &one.change {
        let goes = |component: &Component| components.contains(&component.index);
        return write::is_out(before, &one.planned.event, after, event, join_url, goes);
    }
    let whole = write::missing(event, join_url, context.location).is_empty();
    whole
        && match &one.change {
            Change::Complete { .. } | Change::TakeOut { .. } => true,
            Change::Rewrite => {
                let then = write::bare(before, &one.planned.event, join_url);
                let now = write::bare(after, event, join_url);
                let is_outdated = with_attachment(one, &part.link, context, |attachment| {
                    write::is_outdated(after, event, attachment)
                });
                then == now && !is_outdated
            }
        }
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
