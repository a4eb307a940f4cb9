//! What a schedule must come to.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};
use meetbridge::meeting::Fate;
use meetbridge::simulator::{Calls, EventState, Reuse, Snapshot};
use serde_json::{Map, Value};

use super::plan::Plan;
use super::story::Story;
use super::time::Time;
use super::world::World;

/// What a schedule came to.
pub(super) struct Outcome {
    /// Each request, as one line.
    pub(super) sent: Vec<String>,
    texts: BTreeMap<String, String>,
    /// The same, as if nobody had ever linked them.
    plain: BTreeMap<String, String>,
    writes: BTreeMap<String, usize>,
    snapshot: Snapshot,
    quiet: bool,
    /// UIDs by what stands for the keys of events in their mirrors.
    uids: BTreeMap<String, String>,
    meddled: Vec<(String, bool)>,
    most_with_a_key: usize,
}

/// What there is of a meeting in the service.
struct Held<'a> {
    /// `None`: a mirror without a link.
    url: Option<&'a str>,
    subject: Option<&'a str>,
    start: &'a str,
    options: &'a Map<String, Value>,
}

impl Outcome {
    pub(super) fn of(world: &World, quiet: bool) -> Self {
        Self {
            sent: world.sent(),
            texts: world.texts(),
            plain: world.plain(),
            writes: world.writes(),
            snapshot: world.simulator.snapshot(),
            quiet,
            uids: world.uids(),
            meddled: world.meddled(),
            most_with_a_key: world.most_with_a_key(),
        }
    }

    /// The meetings that are there, by the UID of their events.
    fn meetings(&self) -> BTreeMap<&str, Held<'_>> {
        let meetings = self.snapshot.meetings.iter().filter_map(|state| {
            let (uid, current) = (state.external_id.as_deref()?, state.current.as_ref()?);
            let held = Held {
                url: Some(&current.join_web_url),
                subject: current.subject.as_deref(),
                start: &current.start_date_time,
                options: &current.options,
            };
            Some((uid, held))
        });
        let mirrors = self.mirrors().filter(|(_, event)| !event.deleted);
        let mirrors = mirrors.map(|(uid, event)| {
            let held = Held {
                url: event.join_url.as_deref(),
                subject: event.subject.as_deref(),
                start: &event.start,
                options: &event.options,
            };
            (uid, held)
        });
        meetings.chain(mirrors).collect()
    }

    /// All mirrors ever made, with the UID of their events.
    fn mirrors(&self) -> impl Iterator<Item = (&str, &EventState)> {
        let events = self
            .snapshot
            .mailboxes
            .iter()
            .flat_map(|mailbox| &mailbox.events);
        events.map(|event| {
            let key = event.key.as_deref().unwrap_or_default();
            (self.uids.get(key).map_or(key, String::as_str), event)
        })
    }

    /// Whether the event never showed its meeting: it was gone, or called off, before that was known.
    fn is_stray(&self, uid: &str) -> bool {
        let own = format!(", UID:{uid}");
        !self.writes.keys().any(|what| what.ends_with(&own))
    }

    /// How many meetings were made for each event, and what was asked of them.
    fn made(&self) -> BTreeMap<&str, (u64, Calls)> {
        let meetings = self.snapshot.meetings.iter();
        let mut made: BTreeMap<_, _> = meetings
            .map(|m| {
                (
                    m.external_id.as_deref().unwrap_or_default(),
                    (m.made, m.calls),
                )
            })
            .collect();
        for (uid, event) in self.mirrors() {
            let (times, calls) = made.entry(uid).or_default();
            *times += 1;
            calls.patch += event.calls.patch;
            calls.delete += u64::from(event.deleted);
        }
        made
    }

    /// The calendar, without the stamps of when it was written. Where a meeting that replaces a deleted
    /// one is another one, its URL is named by its event. An event that was called off before it was
    /// linked in `other` has no link.
    fn calendar(&self, story: &Story, other: &Self) -> BTreeMap<String, String> {
        let plain = |name: &String, text: &String| {
            let mut text = text.clone();
            for event in other
                .texts
                .get(name)
                .map_or(Vec::new(), |text| events(text))
            {
                if event.cancelled && event.url.is_none() {
                    text = unlinked(&text, &self.plain[name], event.uid);
                }
            }
            if story.manners.reuse == Reuse::New {
                text = text.replace("\r\n ", "");
                for (uid, meeting) in self.meetings() {
                    let url = meeting.url.unwrap_or("<no URL>");
                    text = text.replace(url, &format!("<the URL of {uid}>"));
                }
            }
            let mut stamps = vec!["DTSTAMP:", "LAST-MODIFIED:"];
            if story.mirrors.is_some() {
                // It tells by which of the event's keys its mirror is found.
                stamps.push("X-MEETBRIDGE-MEETING:");
            }
            let lines = text.split("\r\n");
            let lines = lines.filter(|line| !stamps.iter().any(|stamp| line.starts_with(stamp)));
            lines.collect::<Vec<_>>().join("\r\n")
        };
        let texts = self.texts.iter();
        texts
            .map(|(name, text)| (name.clone(), plain(name, text)))
            .collect()
    }
}

/// An event as it stands in the calendar in the end.
struct Event<'a> {
    uid: &'a str,
    start: &'a str,
    title: &'a str,
    cancelled: bool,
    weekly: bool,
    url: Option<String>,
}

fn events(text: &str) -> Vec<Event<'_>> {
    let parts = text.split("BEGIN:VEVENT\r\n").skip(1);
    parts
        .map(|event| {
            let value = |name: &str| {
                let line = event.split("\r\n").find(|line| line.starts_with(name));
                line.map_or("", |line| &line[name.len()..])
            };
            let unfolded = event.replace("\r\n ", "");
            let property = "X-MICROSOFT-SKYPETEAMSMEETINGURL:";
            let url = unfolded
                .split("\r\n")
                .find_map(|line| line.strip_prefix(property));
            Event {
                uid: value("UID:"),
                start: value("DTSTART:"),
                title: value("SUMMARY:"),
                cancelled: event.contains("STATUS:CANCELLED"),
                weekly: event.contains("RRULE:"),
                url: url.map(str::to_owned),
            }
        })
        .collect()
}

/// `text` with the event `uid` as it stands in `plain`.
fn unlinked(text: &str, plain: &str, uid: &str) -> String {
    let begin = format!("BEGIN:VEVENT\r\nUID:{uid}\r\n");
    let part = |text: &str| {
        let from = text.find(&begin).unwrap();
        from..from + text[from..].find("END:VEVENT").unwrap()
    };
    let mut result = text.to_owned();
    result.replace_range(part(text), &plain[part(plain)]);
    result
}

/// Whether an outcome is as it has to be, and as it is without faults.
pub(super) fn compare(
    story: &Story,
    plan: &Plan,
    bare: &Outcome,
    got: &Outcome,
) -> Result<(), String> {
    let fail = |what: String| Err(what);
    right(story, bare, true).map_err(|why| format!("even without faults: {why}"))?;
    // An event whose link is found after a loss of the state is taken to be in step with its meeting:
    // a change that had not reached the meeting is lost with the state.
    let in_step = !story.forgets();
    right(story, got, in_step)?;

    if bare.meddled != got.meddled {
        // A mirror that was not there yet when a person deleted it.
        return Ok(());
    }
    let (wanted, found) = (bare.calendar(story, got), got.calendar(story, got));
    if wanted != found {
        return fail(format!(
            "another calendar: {found:#?}\nwithout faults: {wanted:#?}"
        ));
    }
    for (name, times) in &got.writes {
        let most = bare.writes.get(name).copied().unwrap_or(0);
        if *times > most {
            return fail(format!(
                "{name} is written {times} times, without faults {most}"
            ));
        }
    }
    let (wanted, found) = (bare.meetings(), got.meetings());
    // Settings are not what an event is told that was called off or deleted before they were applied.
    let there: Vec<&str> = got
        .texts
        .values()
        .flat_map(|text| events(text))
        .filter(|event| !event.cancelled)
        .map(|event| event.uid)
        .collect();
    for (uid, meeting) in &found {
        let lives = in_step && there.contains(uid);
        match wanted.get(uid) {
            None if got.is_stray(uid) => {}
            None => return fail(format!("the meeting of {uid} is there, without faults not")),
            Some(wanted) if lives && story.mirrors.is_some() && wanted.start != meeting.start => {
                return fail(format!(
                    "the mirror of {uid} is at {}, without faults at {}",
                    meeting.start, wanted.start
                ));
            }
            Some(wanted) if lives && wanted.options != meeting.options => {
                return fail(format!(
                    "the meeting of {uid} has {:?}, without faults {:?}",
                    meeting.options, wanted.options
                ));
            }
            Some(_) => {}
        }
    }
    let (wanted, found) = (bare.made(), got.made());
    for (key, (times, calls)) in &found {
        let (most, usual) = wanted.get(key).copied().unwrap_or_default();
        if *times > most {
            return fail(format!(
                "{times} meetings are made for {key:?}, without faults {most}"
            ));
        }
        if calls.delete > usual.delete {
            return fail(format!("{key:?} is deleted {} times", calls.delete));
        }
        // A fault costs a repeat, and after a crash or a lost answer a look.
        let most = usual.patch + patches(story) * plan.0.len() as u64;
        if calls.patch > most {
            return fail(format!(
                "{key:?} is patched {} times, more than {most}",
                calls.patch
            ));
        }
    }
    // One that answers the fault, its token, and what was half done.
    let most = bare.sent.len() + requests(story) * plan.0.len();
    if got.sent.len() > most {
        return fail(format!("{} requests, more than {most}", got.sent.len()));
    }
    Ok(())
}

/// How many PATCHes of a meeting a fault costs at most: an update that drops a mirror's link is repeated,
/// after one of a mirror that a person deleted.
fn patches(story: &Story) -> u64 {
    match story.mirrors {
        None => 1,
        Some(_) => 3,
    }
}

/// How many requests a fault costs at most: a mirror is looked for before and after it is made.
fn requests(story: &Story) -> usize {
    match story.mirrors {
        None => 6,
        Some(_) => 16,
    }
}

/// Whether mirrors cost no write of an event that online meetings would not cost, both without faults.
pub(super) fn written_no_more(mirrored: &Outcome, online: &Outcome) -> Result<(), String> {
    for (name, times) in &mirrored.writes {
        let most = online.writes.get(name).copied().unwrap_or(0);
        if *times > most {
            return Err(format!(
                "{name} is written {times} times, with online meetings {most}"
            ));
        }
    }
    Ok(())
}

/// What has to be so of a mailbox in any case.
fn mailbox_is_right(got: &Outcome) -> Result<(), String> {
    if got.most_with_a_key > 1 {
        return Err(format!(
            "{} mirrors with one key at once",
            got.most_with_a_key
        ));
    }
    let mut seen = Vec::new();
    for (uid, event) in got.mirrors() {
        if !event.attendees.is_empty() {
            return Err(format!("the mirror of {uid} has attendees"));
        }
        if event.deleted {
            continue;
        }
        if seen.contains(&uid) {
            return Err(format!("{uid} has two mirrors"));
        }
        if event.join_url.is_none() && !got.is_stray(uid) {
            return Err(format!("the mirror of {uid} has no link"));
        }
        seen.push(uid);
    }
    let mailboxes = &got.snapshot.mailboxes;
    let told: u64 = mailboxes.iter().map(|one| one.mails_to_attendees).sum();
    let named: u64 = mailboxes
        .iter()
        .map(|one| one.requests_with_attendees)
        .sum();
    match (told, named) {
        (0, 0) => Ok(()),
        _ => Err(format!("{told} mails, {named} requests with attendees")),
    }
}

/// What has to be so in any case.
fn right(story: &Story, got: &Outcome, in_step: bool) -> Result<(), String> {
    let fail = |what: String| Err(what);
    if got.snapshot.inside_retry_after > 0 {
        let times = got.snapshot.inside_retry_after;
        return fail(format!("{times} requests inside a Retry-After window"));
    }
    if !got.quiet {
        return fail("it does not come to rest".into());
    }
    if let Some(name) = got.writes.keys().find(|what| what.ends_with(", nothing")) {
        return fail(format!("a write for nothing: {name}"));
    }
    mailbox_is_right(got)?;
    let meetings = got.meetings();
    let mut linked = Vec::new();
    let texts: Vec<&String> = got.texts.values().collect();
    for event in texts.iter().flat_map(|text| events(text)) {
        let uid = event.uid;
        if event.cancelled {
            if story.on_cancel == Fate::Keep {
                linked.push(uid);
            }
            continue;
        }
        linked.push(uid);
        let Some(url) = event.url else {
            return fail(format!("{uid} has no link"));
        };
        let start = NaiveDateTime::parse_from_str(event.start, "%Y%m%dT%H%M%SZ").unwrap();
        let end = Time::start() + TimeDelta::from_std(story.end()).unwrap();
        let is_past = !event.weekly && start.and_utc() < end;
        let Some(meeting) = meetings.get(uid) else {
            match is_past {
                true => continue,
                false => return fail(format!("{uid} has no meeting")),
            }
        };
        if meeting.url != Some(&*url) {
            return fail(format!("{uid} shows another meeting than it has"));
        }
        if meeting.subject != Some(event.title) && !is_past && in_step {
            return fail(format!(
                "{uid}: {:?} is not {}",
                meeting.subject, event.title
            ));
        }
        if !event.weekly && !is_past && in_step {
            let held = meeting.start.replace(['-', ':'], "");
            if held[..15] != event.start[..15] {
                return fail(format!("{uid}: {held} is not {}", event.start));
            }
        }
    }
    if story.on_delete == Fate::Delete && story.on_cancel == Fate::Delete {
        let is_orphan = |uid: &&&str| !linked.contains(*uid) && !got.is_stray(uid);
        let orphan = meetings.keys().find(is_orphan);
        if let Some(uid) = orphan {
            return fail(format!("the meeting of {uid} is left over"));
        }
    }
    Ok(())
}
