//! Writes the links of a resource, in one write, with the intent remembered before and the outcome
//! after.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::act::Ready;
use super::keeps::Keeps;
use super::losses::ends;
use super::understand::tally;
use super::{Bridge, PassError, Report, Watched, sooner};
use crate::calendar::{Resource, WriteRefusal, Written};
use crate::ical::document::Document;
use crate::ical::edit::Edits;
use crate::ical::event::{Event, Place};
use crate::ical::{read, write};
use crate::log;
use crate::model::{CalendarName, MeetingKey, Uid};
use crate::plan::kept::lacking;
use crate::plan::{Decision, Why, is_same};
use crate::state::{Link, Phase, ResourceRecord};

/// How long a write that failed is put off.
const RETRY_WRITE: chrono::Duration = chrono::Duration::minutes(1);

/// How long a write that was refused is put off.
const RETRY_REFUSED: chrono::Duration = chrono::Duration::hours(1);

/// What became of the events of a resource.
#[derive(Default)]
struct Edited {
    /// The new bytes, if there is anything to write.
    bytes: Option<Vec<u8>>,
    /// The links in them that are new or made whole.
    written: Vec<Link>,
    /// The links to which nothing is to be added.
    whole: Vec<Link>,
    /// The events that could not be edited, with the reason.
    unfit: Vec<(Uid, String)>,
}

impl Bridge {
    /// Writes the links of `ready` into the resource and settles it as `record`.
    pub(super) async fn write_back(
        &self,
        calendar: &Watched,
        keeps: &Keeps,
        resource: Resource,
        ready: Vec<Ready>,
        mut record: ResourceRecord,
        report: &mut Report,
    ) -> Result<(), PassError> {
        if ready.is_empty() {
            return Ok(self.state.put_resource(&calendar.name, &record)?);
        }
        let now = self.clock.now();
        let links: Vec<Link> = ready
            .iter()
            .map(|r| intent(calendar, &resource, r, now))
            .collect();
        // A meeting without any link would belong to nothing if its event went before the write.
        let fresh = ready.iter().zip(&links);
        let fresh = fresh.filter(|(ready, _)| ready.planned.link.is_none());
        let fresh: Vec<Link> = fresh.map(|(_, link)| link.clone()).collect();
        self.state.put_links(&fresh)?;
        let causes: HashMap<Uid, Cause> = ready
            .iter()
            .map(|r| (r.planned.event.uid.clone(), Cause::of(r)))
            .collect();
        let edited = self
            .edit(calendar, keeps, &resource, ready, links, now)
            .await;
        for (uid, reason) in edited.unfit {
            report.failed += 1;
            report.count("not-understood");
            tally(&mut record.outcome, "not-understood");
            let what = Decision::Leave(Why::NotUnderstood {
                line: None,
                what: reason,
            });
            self.log_left(&calendar.name, &resource.id, &uid, &what);
        }
        for _ in &edited.whole {
            report.count("in-step");
            tally(&mut record.outcome, "in-step");
        }
        // Each counts as a write that changed nothing, so that it is not decided again and again.
        let whole: Vec<Link> = edited.whole.into_iter().map(landed).collect();
        self.state.put_links(&whole)?;
        let Some(bytes) = edited.bytes else {
            return Ok(self.state.put_resource(&calendar.name, &record)?);
        };

        let links = edited.written;
        self.state.put_links(&links)?;
        let (id, name) = (&resource.id, &calendar.name);
        match calendar.port.write(id, &resource.version, &bytes).await {
            Written::Stored(version) => {
                report.written += 1;
                self.troubles.written(name, id);
                let written: Vec<Link> = links.into_iter().map(landed).collect();
                self.state.put_links(&written)?;
                for link in &written {
                    report.count("in-step");
                    tally(&mut record.outcome, "in-step");
                    match causes.get(&link.uid) {
                        Some(Cause::Replaced) => {
                            log::event!(LINK_REPLACED, calendar = %name, resource = %id, uid = %link.uid);
                        }
                        Some(Cause::Restored) => {
                            log::event!(LINK_RESTORED, calendar = %name, resource = %id, uid = %link.uid);
                        }
                        _ => {
                            log::event!(LINK_WRITTEN, calendar = %name, resource = %id, uid = %link.uid)
                        }
                    }
                }
                if self.begin_lesson(name, keeps, id, &version)? {
                    report.again.insert(id.clone());
                }
                record.version = version;
            }
            Written::Changed => {
                log::event!(WRITE_CHANGED, calendar = %name, resource = %id);
                self.decide_again(name, &links, &mut record, report);
            }
            Written::Refused(why) => {
                report.failed += 1;
                self.troubles.unwritable(name, id, &why, true);
                for _ in &links {
                    report.count("write-refused");
                    tally(&mut record.outcome, "write-refused");
                }
                record.due = sooner(record.due, now.checked_add_signed(RETRY_REFUSED));
            }
            Written::Failed(why) => {
                report.failed += 1;
                self.troubles.unwritable(name, id, &why, false);
                for _ in &links {
                    report.count("write-failed");
                    tally(&mut record.outcome, "write-failed");
                }
                record.due = sooner(record.due, now.checked_add_signed(RETRY_WRITE));
            }
            Written::Unknown(why) => {
                report.failed += 1;
                log::event!(WRITE_UNKNOWN, calendar = %name, resource = %id, error = %log::Chain(&why));
                self.decide_again(name, &links, &mut record, report);
            }
        }
        Ok(self.state.put_resource(name, &record)?)
    }

    /// After a write that came to nothing: the resource is read and decided again at once, but a
    /// third time in a row only after a while, for whoever changes it may go on doing so.
    fn decide_again(
        &self,
        calendar: &CalendarName,
        links: &[Link],
        record: &mut ResourceRecord,
        report: &mut Report,
    ) {
        let (id, now) = (&record.id, self.clock.now());
        if self.troubles.collided(calendar, id) {
            report.again.insert(id.clone());
            record.due = Some(now);
            return;
        }
        let why = WriteRefusal {
            what: id.to_string(),
            hint:
                "three writes in a row came to nothing, because it changed each time or no answer \
                   came; it is tried again in a minute"
                    .to_owned(),
            source: None,
        };
        report.failed += 1;
        self.troubles.unwritable(calendar, id, &why, false);
        for _ in links {
            report.count("write-failed");
            tally(&mut record.outcome, "write-failed");
        }
        record.due = sooner(record.due, now.checked_add_signed(RETRY_WRITE));
    }

    /// Makes the new bytes and checks them: every link is whole in them, and nothing else differs.
    async fn edit(
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
        let bytes = resource.bytes.clone();
        let uids: Vec<Uid> = links.iter().map(|l| l.uid.clone()).collect();
        let work = tokio::task::spawn_blocking(move || edit_bytes(&bytes, &ready, links, &context));
        work.await.unwrap_or_else(|_| {
            let why = "editing it failed inside meetbridge; please report it".to_owned();
            Edited {
                unfit: uids.into_iter().map(|uid| (uid, why.clone())).collect(),
                ..Edited::default()
            }
        })
    }
}

/// Why a link is written, for the log.
enum Cause {
    New,
    Restored,
    Replaced,
}

impl Cause {
    fn of(ready: &Ready) -> Self {
        match (&ready.replaces, &ready.planned.link) {
            (Some(_), _) => Self::Replaced,
            (None, Some(link)) if link.phase != Phase::Intended => Self::Restored,
            _ => Self::New,
        }
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

fn edit_bytes(bytes: &[u8], ready: &[Ready], links: Vec<Link>, context: &EditContext) -> Edited {
    let mut edited = Edited::default();
    let document = match Document::parse(bytes) {
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
        match attach(&document, one, &link, context) {
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
        let after = edits.apply(bytes);
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
    one.replaces.is_none()
        && !write::missing(event, join_url, location).is_empty()
        && lacking(event, join_url, location, &context.drops).is_empty()
}

fn attach(
    document: &Document<'_>,
    one: &Ready,
    link: &Link,
    context: &EditContext,
) -> Result<Edits, write::WriteFault> {
    let key = MeetingKey {
        tenant: context.tenant.clone(),
        organizer: link.organizer.clone(),
        external_id: link.external_id.clone(),
    };
    let attachment = write::Attachment {
        key: &key,
        generation: link.generation,
        join_url: &one.meeting.meeting.join_url,
        details: &one.meeting.meeting.details,
        show: &context.show,
        language: &context.language,
        location: context.location,
    };
    let replaces = one.replaces.as_ref();
    write::attach(
        document,
        &one.planned.event,
        &attachment,
        replaces,
        (!context.derived).then_some(context.now),
    )
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
    let additive = parts.iter().all(|part| part.one.replaces.is_none());
    if additive && !write::verify(before, after) {
        let why = "the edit would have changed other bytes; nothing was written";
        return Err((parts, why));
    }
    let events = read::read(&changed, context.zone, context.now).events;
    let events: HashMap<&Uid, &Event> = events.iter().map(|event| (&event.uid, event)).collect();
    Ok(parts.into_iter().partition(|part| {
        let join_url = &part.one.meeting.meeting.join_url;
        let event = events.get(&part.one.planned.event.uid);
        event.is_some_and(|event| write::missing(event, join_url, context.location).is_empty())
    }))
}

/// What is remembered before the write.
fn intent(calendar: &Watched, resource: &Resource, ready: &Ready, now: DateTime<Utc>) -> Link {
    let content = &ready.planned.event.content;
    let known = ready.planned.link.as_ref();
    // What a read has shown stays seen while a part of it is restored.
    let seen = write::shows(&ready.planned.event, &ready.meeting.meeting.join_url);
    Link {
        calendar: calendar.name.clone(),
        resource: resource.id.clone(),
        uid: ready.planned.event.uid.clone(),
        organizer: ready.meeting.organizer.clone(),
        external_id: ready.meeting.external_id.clone(),
        generation: ready.planned.generation,
        phase: if seen { Phase::Seen } else { Phase::Intended },
        before: content.clone(),
        attempts: known
            .filter(|l| is_same(&ready.planned.event, l))
            .map_or(0, |l| l.attempts),
        written: now,
        ends: ends(&ready.planned.event, known, now),
        gone: None,
        cancelled: None,
        closed: false,
    }
}

/// What is remembered when the write has landed.
fn landed(link: Link) -> Link {
    Link {
        phase: link.phase.max(Phase::Written),
        attempts: link.attempts + 1,
        ..link
    }
}

#[cfg(test)]
#[path = "write_back_tests.rs"]
mod tests;
