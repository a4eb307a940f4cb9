//! What a schedule must come to.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};
use meetbridge::meeting::Fate;
use meetbridge::simulator::{Current, Reuse, Snapshot};

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
        }
    }

    /// The meetings that are there, by the UID of their events.
    fn meetings(&self) -> BTreeMap<&str, &Current> {
        let meetings = self.snapshot.meetings.iter();
        meetings
            .filter_map(|state| Some((state.external_id.as_deref()?, state.current.as_ref()?)))
            .collect()
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
                    text = text.replace(&meeting.join_web_url, &format!("<the URL of {uid}>"));
                }
            }
            let stamps = ["DTSTAMP:", "LAST-MODIFIED:"];
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
            None => return fail(format!("the meeting of {uid} is there, without faults not")),
            Some(wanted) if lives && wanted.options != meeting.options => {
                return fail(format!(
                    "the meeting of {uid} has {:?}, without faults {:?}",
                    meeting.options, wanted.options
                ));
            }
            Some(_) => {}
        }
    }
    let made = |outcome: &Outcome| -> BTreeMap<_, _> {
        let meetings = outcome.snapshot.meetings.iter();
        meetings
            .map(|m| (m.external_id.clone(), (m.made, m.calls)))
            .collect()
    };
    let (wanted, found) = (made(bare), made(got));
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
        let most = usual.patch + plan.0.len() as u64;
        if calls.patch > most {
            return fail(format!(
                "{key:?} is patched {} times, more than {most}",
                calls.patch
            ));
        }
    }
    // One that answers the fault, its token, and what was half done.
    let most = bare.sent.len() + 6 * plan.0.len();
    if got.sent.len() > most {
        return fail(format!("{} requests, more than {most}", got.sent.len()));
    }
    Ok(())
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
        if meeting.join_web_url != url {
            return fail(format!("{uid} shows another meeting than it has"));
        }
        if meeting.subject.as_deref() != Some(event.title) && !is_past && in_step {
            return fail(format!(
                "{uid}: {:?} is not {}",
                meeting.subject, event.title
            ));
        }
        if !event.weekly && !is_past && in_step {
            let held = meeting.start_date_time.replace(['-', ':'], "");
            if held[..15] != event.start[..15] {
                return fail(format!("{uid}: {held} is not {}", event.start));
            }
        }
    }
    if story.on_delete == Fate::Delete && story.on_cancel == Fate::Delete {
        let orphan = meetings.keys().find(|uid| !linked.contains(uid));
        if let Some(uid) = orphan {
            return fail(format!("the meeting of {uid} is left over"));
        }
    }
    Ok(())
}
