//! Writes the links of a resource, in one write, with the intent remembered before and the outcome
//! after.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::act::{Change, Ready};
use super::keeps::Keeps;
use super::losses::ends;
use super::take_out;
use super::understand::{Planned, tally};
use super::{Bridge, PassError, Report, Watched, sooner};
use crate::calendar::{Resource, WriteRefusal, Written};
use crate::ical::write;
use crate::log;
use crate::model::{CalendarName, Uid};
use crate::plan::{Decision, Out, Why, is_same};
use crate::state::{Gone, Link, MeetingRecord, Phase, ResourceRecord, StateError};

/// How long a write that failed is put off.
const RETRY_WRITE: chrono::Duration = chrono::Duration::minutes(1);

/// How long a write that was refused is put off.
const RETRY_REFUSED: chrono::Duration = chrono::Duration::hours(1);

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
            .map(|ready| intended(calendar, ready, now))
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
        // A write that only takes out shows nothing of what the calendar keeps.
        let teaches = ready.iter().any(|one| !one.takes_out());
        // Those whose meeting is remembered as it was until they are written.
        let pending: Vec<MeetingRecord> = ready
            .iter()
            .filter(|one| one.is_pending)
            .map(|one| one.meeting.clone())
            .collect();
        for planned in ready.iter().map(|ready| &ready.planned) {
            let twins = planned.event.components.iter().flat_map(|one| &one.twins);
            for (line, reason) in twins.filter_map(|twin| Some((twin.line, twin.note()?))) {
                log::event!(LINK_TWIN_LEFT, calendar = %calendar.name, resource = %resource.id,
                    uid = %planned.event.uid, line = line, reason = %reason);
            }
        }
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
        for _ in edited.whole.iter().chain(&edited.in_date) {
            report.count("in-step");
            tally(&mut record.outcome, "in-step");
        }
        // Each counts as a write that changed nothing, so that it is not decided again and again.
        let landed = |link: Link| landed(link, &causes);
        let whole: Vec<Link> = edited.whole.into_iter().map(landed).collect();
        self.state.put_links(&whole)?;
        let waits =
            |meeting: &MeetingRecord| edited.written.iter().any(|link| link.uid == meeting.uid);
        let (pending, settled): (Vec<_>, Vec<_>) = pending.into_iter().partition(waits);
        self.put_meetings(&settled)?;
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
                self.put_meetings(&pending)?;
                let written: Vec<Link> = links.into_iter().map(landed).collect();
                self.state.put_links(&written)?;
                for link in &written {
                    self.log_understood(name, id, &link.uid);
                    self.troubles.is_back(name, id, link.uid.as_str());
                    let cause = causes.get(&link.uid);
                    let outcome = cause.map_or("in-step", Cause::outcome);
                    report.count(outcome);
                    tally(&mut record.outcome, outcome);
                    match cause {
                        Some(Cause::TakenOut(out)) => {
                            report.taken_out += 1;
                            log::event!(LINK_TAKEN_OUT, calendar = %name, resource = %id,
                                uid = %link.uid, reason = out.name());
                        }
                        Some(Cause::Replaced) => {
                            log::event!(LINK_REPLACED, calendar = %name, resource = %id, uid = %link.uid);
                        }
                        Some(Cause::Restored) => {
                            log::event!(LINK_RESTORED, calendar = %name, resource = %id, uid = %link.uid);
                        }
                        Some(Cause::Rewritten) => {
                            log::event!(LINK_REWRITTEN, calendar = %name, resource = %id, uid = %link.uid);
                        }
                        _ => {
                            log::event!(LINK_WRITTEN, calendar = %name, resource = %id, uid = %link.uid)
                        }
                    }
                }
                if teaches && self.begin_lesson(name, keeps, id, &version)? {
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
                self.put_meetings(&pending)?;
                self.keep_links(&links, &causes)?;
                for _ in &links {
                    report.count("write-refused");
                    tally(&mut record.outcome, "write-refused");
                }
                record.due = sooner(record.due, now.checked_add_signed(RETRY_REFUSED));
            }
            Written::Failed(why) => {
                report.failed += 1;
                self.troubles.unwritable(name, id, &why, false);
                self.keep_links(&links, &causes)?;
                for _ in &links {
                    report.count("write-failed");
                    tally(&mut record.outcome, "write-failed");
                }
                record.due = sooner(record.due, now.checked_add_signed(RETRY_WRITE));
            }
            Written::Unknown(why) => {
                report.failed += 1;
                self.troubles
                    .write_unknown(name, id, &log::Chain(&why).to_string());
                self.decide_again(name, &links, &mut record, report);
            }
        }
        Ok(self.state.put_resource(name, &record)?)
    }

    /// After a write that was not made: what was to be taken out is there as before.
    fn keep_links(&self, links: &[Link], causes: &HashMap<Uid, Cause>) -> Result<(), StateError> {
        let loses = |link: &&Link| {
            let cause = causes.get(&link.uid);
            matches!(cause, Some(Cause::TakenOut(out)) if *out != Out::Removed)
        };
        let kept = links.iter().filter(loses).cloned();
        let kept: Vec<Link> = kept.map(|link| Link { gone: None, ..link }).collect();
        self.state.put_links(&kept)
    }

    fn put_meetings(&self, meetings: &[MeetingRecord]) -> Result<(), StateError> {
        let mut meetings = meetings.iter();
        meetings.try_for_each(|meeting| self.state.put_meeting(meeting))
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
}

/// Why a link is written, for the log.
enum Cause {
    New,
    Restored,
    Replaced,
    Rewritten,
    TakenOut(Out),
}

impl Cause {
    fn of(ready: &Ready) -> Self {
        match (&ready.change, &ready.planned.link) {
            (Change::TakeOut { out, .. }, _) => Self::TakenOut(*out),
            (Change::Rewrite, _) => Self::Rewritten,
            (Change::Complete { replaces: Some(_) }, _) => Self::Replaced,
            (_, Some(link)) if link.phase != Phase::Intended => Self::Restored,
            _ => Self::New,
        }
    }

    /// How the event stands when it is written.
    fn outcome(&self) -> &'static str {
        match self {
            Self::TakenOut(out) if !out.is_partial() => out.nothing_left().name(),
            _ => "in-step",
        }
    }
}

/// What is remembered before the write.
fn intended(calendar: &Watched, ready: &Ready, now: DateTime<Utc>) -> Link {
    let planned = &ready.planned;
    if let (Change::TakeOut { out, .. }, Some(link)) = (&ready.change, &planned.link)
        && !out.is_partial()
    {
        let gone = Gone {
            since: link.gone_since().unwrap_or(now),
            confirmed: true,
        };
        return take_out::intent(link, &planned.event, *out, gone, now);
    }
    intent(calendar, planned, &ready.meeting, now)
}

/// What is remembered of a link that is about to be written.
pub(super) fn intent(
    calendar: &Watched,
    planned: &Planned,
    meeting: &MeetingRecord,
    now: DateTime<Utc>,
) -> Link {
    let (event, known) = (&planned.event, planned.link.as_ref());
    // What a read has shown stays seen while a part of it is restored.
    let exchanged = planned.meeting.as_ref().is_some_and(|known| {
        known.external_id == meeting.external_id
            && known.meeting.join_url != meeting.meeting.join_url
    });
    let former = exchanged || planned.former.is_some();
    let was_seen = former && known.is_some_and(|link| link.phase == Phase::Seen);
    let seen = was_seen || write::shows(event, &meeting.meeting.join_url);
    Link {
        calendar: calendar.name.clone(),
        resource: planned.resource.clone(),
        uid: event.uid.clone(),
        organizer: meeting.organizer.clone(),
        external_id: meeting.external_id.clone(),
        generation: planned.generation,
        phase: if seen { Phase::Seen } else { Phase::Intended },
        before: event.content.clone(),
        attempts: known
            .filter(|link| is_same(event, link) && !exchanged)
            .map_or(0, |link| link.attempts),
        written: now,
        ends: ends(event, known, now),
        gone: None,
        cancelled: None,
        closed: false,
        former,
        unmarked: calendar.port.is_derived(),
    }
}

/// What is remembered when the write has landed.
fn landed(link: Link, causes: &HashMap<Uid, Cause>) -> Link {
    if let Some(Cause::TakenOut(Out::Removed)) = causes.get(&link.uid) {
        return link;
    }
    Link {
        phase: link.phase.max(Phase::Written),
        attempts: link.attempts + 1,
        former: false,
        ..link
    }
}
