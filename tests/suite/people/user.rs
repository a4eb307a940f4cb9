//! People, and the programs they use: one act each.

use chrono::{DateTime, TimeDelta, Utc};

use super::generate::uid;
use super::rng::Rng;
use super::text::{Line, Text, block, own, paragraphs, place, properties, value, without_block};
use super::world::{Known, World};

/// Something that a person does.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub(super) what: What,
    /// To which event: this one of those there are, counted round and round.
    pub(super) target: usize,
    /// Decides the details.
    pub(super) dice: u64,
    /// No pass is made before the next act.
    pub(super) hasty: bool,
    /// The program does not say when the event was changed.
    pub(super) sloppy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Takes every line of the link out.
    RemoveAll,
    /// Takes the link out where a person sees it; the lines that only programs read stay.
    RemoveVisible,
    /// The same, and CONFERENCE.
    RemoveAllButX,
    RemoveBlock,
    RemoveLocation,
    RemoveUrl,
    DropConference,
    DropX,
    /// Empties the description, text and block.
    ClearDescription,
    WriteBefore,
    WriteBehind,
    WriteInside,
    MoveBlock,
    /// Duplicates the event, into a resource of its own or the same one.
    Copy,
    /// "This and following".
    Split,
    /// Into another resource.
    Move,
    Retitle,
    Reschedule,
    /// The bytes from before the link.
    Restore,
    AddForeign,
    Tag,
    Untag,
    Cancel,
    AllDay,
    Delete,
    /// What was deleted last is there again.
    Recreate,
    /// A text of the person's own names another event's link.
    Mention,
    /// A day and an hour pass.
    DayPasses,
    /// The state is lost: the daemon begins anew.
    LoseState,
}

impl What {
    pub(super) fn of(rng: &mut Rng) -> Self {
        rng.pick(&[
            Self::RemoveAll,
            Self::RemoveAll,
            Self::RemoveVisible,
            Self::RemoveVisible,
            Self::RemoveAllButX,
            Self::RemoveBlock,
            Self::RemoveBlock,
            Self::RemoveLocation,
            Self::RemoveUrl,
            Self::DropConference,
            Self::DropX,
            Self::ClearDescription,
            Self::WriteBefore,
            Self::WriteBehind,
            Self::WriteInside,
            Self::MoveBlock,
            Self::Copy,
            Self::Copy,
            Self::Copy,
            Self::Split,
            Self::Move,
            Self::Retitle,
            Self::Reschedule,
            Self::Restore,
            Self::Restore,
            Self::AddForeign,
            Self::Tag,
            Self::Untag,
            Self::Cancel,
            Self::AllDay,
            Self::Delete,
            Self::Recreate,
            Self::Mention,
            Self::DayPasses,
            Self::LoseState,
        ])
    }
}

/// What people remember.
#[derive(Default)]
pub(super) struct Memory {
    /// Each event as it was first saved, by UID.
    pub(super) first: Vec<(String, Vec<Line>)>,
    /// What was deleted last: its resource and its lines.
    deleted: Option<(String, Vec<Line>)>,
    copies: usize,
    /// Of which event each was copied.
    pub(super) origins: Vec<(String, String)>,
}

/// Does it. Nothing happens where there is nothing to do it to.
pub(super) fn act(act: &Act, world: &World, memory: &mut Memory, run: u64) {
    let mut rng = Rng::new(act.dice);
    let events: Vec<(String, String)> = world
        .names()
        .into_iter()
        .flat_map(|name| {
            let text = Text::parse(&world.bytes(&name).unwrap());
            text.uids().into_iter().map(move |uid| (name.clone(), uid))
        })
        .collect();
    match act.what {
        What::DayPasses => return world.clock.advance(TimeDelta::hours(25)),
        What::Recreate => return recreate(world, memory),
        What::LoseState => return,
        _ => {}
    }
    if events.is_empty() {
        return;
    }
    let (name, uid) = &events[act.target % events.len()];
    let before = world.bytes(name).unwrap();
    let mut text = Text::parse(&before);
    let known = world.known();
    let rng = &mut rng;
    match act.what {
        What::Copy | What::Split => return copy(act, world, memory, run, name, uid, rng),
        What::Move => return move_away(act, world, name, uid, rng),
        What::Delete => {
            let lines = text.take(uid);
            memory.deleted = Some((name.clone(), lines));
            return keep_or_delete(world, name, &text);
        }
        What::Restore => {
            let Some((_, first)) = memory.first.iter().find(|(known, _)| known == uid) else {
                return;
            };
            text.take(uid);
            text.put(first.clone());
            return world.save(name, &text.bytes());
        }
        _ => text.edit(uid, |lines| change(act.what, lines, &known, uid, rng)),
    }
    if text.bytes() != before {
        if !act.sloppy {
            text.edit(uid, |lines| stamp(lines, world.now()));
        }
        world.save(name, &text.bytes());
    }
}

/// Saves what is left of a resource, or deletes it.
fn keep_or_delete(world: &World, name: &str, text: &Text) {
    if text.parts().is_empty() {
        world.delete(name);
    } else {
        world.save(name, &text.bytes());
    }
}

fn recreate(world: &World, memory: &mut Memory) {
    let Some((name, lines)) = memory.deleted.take() else {
        return;
    };
    let uid = value(&lines, "UID").unwrap();
    match world.bytes(&name) {
        Some(bytes) => {
            let mut text = Text::parse(&bytes);
            if !text.uids().contains(&uid) {
                text.put(lines);
                world.save(&name, &text.bytes());
            }
        }
        None => world.save(&name, &alone(lines).bytes()),
    }
}

/// A resource of these events only.
fn alone(lines: Vec<Line>) -> Text {
    let head = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//t//EN\r\nEND:VCALENDAR\r\n";
    let mut text = Text::parse(head);
    text.put(lines);
    text
}

fn copy(
    act: &Act,
    world: &World,
    memory: &mut Memory,
    run: u64,
    name: &str,
    from: &str,
    rng: &mut Rng,
) {
    memory.copies += 1;
    let new = uid(50 + memory.copies, run);
    let mut text = Text::parse(&world.bytes(name).unwrap());
    let mut lines = Vec::new();
    let split = act.what == What::Split;
    for part in text.event(from) {
        if split && value(&part, "RECURRENCE-ID").is_some() {
            continue;
        }
        let mut part = part;
        let at = place(&part, "UID").unwrap();
        part[at] = part[at].with_value(&new);
        if split {
            shift(&mut part, TimeDelta::days(14));
        }
        if !act.sloppy {
            stamp(&mut part, world.now());
        }
        lines.extend(part);
    }
    if lines.is_empty() {
        return;
    }
    memory.origins.push((new, from.to_owned()));
    if split {
        text.edit(from, |lines| {
            if let Some(at) = place(lines, "RRULE") {
                lines[at] = lines[at].with_value("FREQ=WEEKLY;COUNT=2");
            }
        });
    }
    if rng.chance(30) {
        text.put(lines);
        world.save(name, &text.bytes());
    } else {
        if split {
            world.save(name, &text.bytes());
        }
        let other = format!("copy{}.ics", memory.copies);
        world.save(&other, &alone(lines).bytes());
    }
}

/// Into another resource: an existing one, or a new one.
fn move_away(act: &Act, world: &World, name: &str, uid: &str, rng: &mut Rng) {
    let mut text = Text::parse(&world.bytes(name).unwrap());
    let mut lines = text.take(uid);
    let others: Vec<String> = world
        .names()
        .into_iter()
        .filter(|other| other != name)
        .collect();
    if !act.sloppy && rng.chance(50) {
        stamp(&mut lines, world.now());
    }
    keep_or_delete(world, name, &text);
    let into = rng.chance(50) && !others.is_empty();
    if into {
        let other = rng.pick(&others);
        let mut text = Text::parse(&world.bytes(&other).unwrap());
        if !text.uids().iter().any(|known| known == uid) {
            text.put(lines);
            return world.save(&other, &text.bytes());
        }
    }
    let other = format!("moved-{}-{name}", act.dice % 1000);
    world.save(&other, &alone(lines).bytes());
}

/// Says when the event was changed, where it says so.
fn stamp(lines: &mut [Line], now: DateTime<Utc>) {
    let now = now.format("%Y%m%dT%H%M%SZ").to_string();
    for line in lines.iter_mut() {
        if line.is("DTSTAMP") || line.is("LAST-MODIFIED") {
            *line = line.with_value(&now);
        }
    }
}

fn shift(lines: &mut [Line], by: TimeDelta) {
    for at in own(lines) {
        let property = lines[at].property();
        if !matches!(property.name.as_str(), "DTSTART" | "RECURRENCE-ID") {
            continue;
        }
        let read = chrono::NaiveDateTime::parse_from_str(&property.value, "%Y%m%dT%H%M%SZ");
        if let Ok(time) = read {
            let time = (time + by).format("%Y%m%dT%H%M%SZ").to_string();
            lines[at] = lines[at].with_value(&time);
        }
    }
}

/// A change to each VEVENT of the event.
fn change(what: What, lines: &mut Vec<Line>, known: &Known, uid: &str, rng: &mut Rng) {
    let all = known.all();
    let eol = lines[0].eol();
    let first = value(lines, "RECURRENCE-ID").is_none();
    let put = |lines: &mut Vec<Line>, head: &str, value: &str| {
        lines.insert(1, Line::new(head, value, eol, 75));
    };
    match what {
        What::RemoveAll => {
            visible(lines, known, rng, [true; 3]);
            drop_lines(lines, known, true, true);
        }
        What::RemoveVisible => visible(lines, known, rng, [true; 3]),
        What::RemoveAllButX => {
            visible(lines, known, rng, [true; 3]);
            drop_lines(lines, known, true, false);
        }
        What::RemoveBlock => visible(lines, known, rng, [true, false, false]),
        What::RemoveLocation => visible(lines, known, rng, [false, true, false]),
        What::RemoveUrl => visible(lines, known, rng, [false, false, true]),
        What::DropConference => drop_lines(lines, known, true, false),
        What::DropX => drop_lines(lines, known, false, true),
        What::ClearDescription => {
            if let Some(at) = place(lines, "DESCRIPTION") {
                lines.remove(at);
            }
        }
        What::WriteBefore => describe(lines, |text| format!("Please read this first.\\n{text}")),
        What::WriteBehind => describe(lines, |text| format!("{text}PS: one more thing")),
        What::WriteInside => describe(lines, |text| {
            let Some((range, url)) = block(text, &all) else {
                return text.to_owned();
            };
            let inside = &text[range.clone()];
            let line = paragraphs(inside)
                .into_iter()
                .find(|line| inside[line.clone()].contains(url));
            let at = range.start + line.unwrap().end;
            format!("{}\\nask Eve for the code{}", &text[..at], &text[at..])
        }),
        What::MoveBlock => describe(lines, |text| match block(text, &all) {
            Some((range, _)) => {
                let rest = without_block(text, &all);
                format!("{}{rest}", &text[range])
            }
            None => text.to_owned(),
        }),
        What::Retitle => set(lines, "SUMMARY", "Another title\\, with a comma"),
        What::Reschedule => shift(lines, TimeDelta::hours(3)),
        What::AddForeign if first => match rng.below(4) {
            0 => describe(lines, |text| format!("https://acme.zoom.us/j/555\\n{text}")),
            1 => set(lines, "LOCATION", "https://acme.webex.com/meet/alice"),
            2 => put(
                lines,
                "CONFERENCE;VALUE=URI",
                "https://meet.google.com/xyz-abcd-efg",
            ),
            _ => describe(lines, |text| {
                format!(
                    "https://teams.microsoft.com/l/meetup-join/19%3ameeting_other%40thread.v2/0\\n{text}"
                )
            }),
        },
        What::Tag if first => match rng.below(2) {
            0 => put(lines, "CATEGORIES", "no-teams"),
            _ => {
                let title = value(lines, "SUMMARY").unwrap_or_default();
                set(lines, "SUMMARY", &format!("{title} #no-teams"));
            }
        },
        What::Untag if first => {
            if let Some(title) = value(lines, "SUMMARY") {
                let without = title.replace(" #no-teams", "");
                if without != title {
                    set(lines, "SUMMARY", &without);
                }
            }
            let tagged = |p: &Line| p.is("CATEGORIES") && p.property().value == "no-teams";
            lines.retain(|line| !tagged(line));
        }
        What::Cancel if first => set(lines, "STATUS", "CANCELLED"),
        What::AllDay if first => {
            let only = value(lines, "RRULE").is_none();
            if let (Some(at), true) = (place(lines, "DTSTART"), only) {
                let day: String = lines[at].property().value.chars().take(8).collect();
                lines[at] = Line::new("DTSTART;VALUE=DATE", &day, eol, 75);
                if let Some(at) = place(lines, "DURATION") {
                    lines[at] = lines[at].with_value("P1D");
                }
            }
        }
        What::Mention if first => {
            let other = known.urls.iter().rev().find(|(_, key)| key != uid);
            if let Some((url, _)) = other {
                let text = format!("see {url} for the rest\\n");
                describe(lines, |old| format!("{text}{old}"));
            }
        }
        _ => {}
    }
}

fn set(lines: &mut Vec<Line>, name: &str, value: &str) {
    match place(lines, name) {
        Some(at) => lines[at] = lines[at].with_value(value),
        None => {
            let line = Line::new(name, value, lines[0].eol(), 75);
            lines.insert(1, line);
        }
    }
}

/// Changes the description; an empty or absent one counts as an empty text.
fn describe(lines: &mut Vec<Line>, change: impl FnOnce(&str) -> String) {
    let old = value(lines, "DESCRIPTION").unwrap_or_default();
    let new = change(&old);
    if new != old {
        set(lines, "DESCRIPTION", &new);
    }
}

/// Takes the link out of DESCRIPTION, LOCATION, URL.
fn visible(lines: &mut Vec<Line>, known: &Known, rng: &mut Rng, from: [bool; 3]) {
    let all = known.all();
    let [description, location, url] = from;
    if let Some(at) = place(lines, "DESCRIPTION").filter(|_| description) {
        let old = lines[at].property().value;
        if let Some((range, _)) = block(&old, &all) {
            let new = match rng.chance(60) {
                true => without_block(&old, &all),
                false => format!("{}{}", &old[..range.start], &old[range.end..]),
            };
            if new.is_empty() && rng.chance(70) {
                lines.remove(at);
            } else {
                lines[at] = lines[at].with_value(&new);
            }
        }
    }
    if let Some(at) = place(lines, "LOCATION").filter(|_| location) {
        let text = lines[at].property().value;
        let label = text.trim() == "Microsoft Teams Meeting"
            && value(lines, "X-MEETBRIDGE-MEETING").is_some();
        if known.key(&text).is_some() || label {
            match rng.below(3) {
                0 => lines[at] = lines[at].with_value(""),
                1 => lines[at] = lines[at].with_value("Room 7"),
                _ => drop(lines.remove(at)),
            }
        }
    }
    if let Some(at) = place(lines, "URL").filter(|_| url)
        && known.key(&lines[at].property().value).is_some()
    {
        lines.remove(at);
    }
}

/// Takes the lines out that only programs read.
fn drop_lines(lines: &mut Vec<Line>, known: &Known, conference: bool, x: bool) {
    let kept = properties(lines);
    let ours = |line: &Line| {
        let property = line.property();
        let url = property.value.trim().to_owned();
        let is_conference = conference
            && property.name == "CONFERENCE"
            && (known.key(&url).is_some() || known.dials.contains(&url));
        let is_x = x
            && matches!(
                property.name.as_str(),
                "X-MEETBRIDGE-MEETING" | "X-MICROSOFT-SKYPETEAMSMEETINGURL"
            );
        (is_conference || is_x) && kept.contains(&property)
    };
    lines.retain(|line| !ours(line));
}
