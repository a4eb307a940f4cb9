//! The user: a script of what people do to a calendar, and an edit at any moment.

use super::world::World;

/// Every UID the script uses.
pub(super) const KNOWN_UIDS: [&str; 5] = ["one@x", "two@x", "series@x", "copy@x", "late@x"];

/// What the user does, step by step; a pass follows each step.
pub(super) struct Script {
    next: usize,
}

impl Script {
    pub(super) fn new() -> Self {
        Self { next: 0 }
    }

    /// Does the next thing; `false` when there is none.
    pub(super) fn step(&mut self, world: &World) -> bool {
        self.next += 1;
        match self.next {
            1 => world.save(
                "one.ics",
                &calendar(&[event("one@x", "20261120T090000Z", "One", "")]),
            ),
            2 => {
                let two = event(
                    "two@x",
                    "20261121T090000Z",
                    "Two",
                    "DESCRIPTION:Agenda\\, wörds\r\n",
                );
                let quiet =
                    event("one@x", "20261122T090000Z", "Twice", "").replace("one@x", "late@x");
                world.save("two.ics", &calendar(&[two, quiet]));
            }
            3 => {
                let master = event(
                    "series@x",
                    "20261109T100000Z",
                    "Weekly",
                    "RRULE:FREQ=WEEKLY;COUNT=9\r\n",
                );
                let moved = event(
                    "series@x",
                    "20261116T140000Z",
                    "Weekly",
                    "RECURRENCE-ID:20261116T100000Z\r\n",
                );
                world.save("series.ics", &calendar(&[master, moved]));
            }
            4 => edit(world, "one.ics", "20261120T090000Z", "20261120T110000Z"),
            5 => edit(world, "two.ics", "SUMMARY:Two", "SUMMARY:Second"),
            6 => {
                // Duplicated in a client: the same text under another UID, our lines included.
                if let Some(text) = world.text("one.ics") {
                    world.save("copy.ics", &text.replace("UID:one@x", "UID:copy@x"));
                }
            }
            7 => world.rename("two.ics", "moved.ics"),
            8 => world.delete("series.ics"),
            9 => edit(
                world,
                "one.ics",
                "ATTENDEE:mailto:bob@x",
                "ATTENDEE:mailto:carol@x",
            ),
            _ => return false,
        }
        true
    }
}

/// An edit between any two of our steps: a location for whatever stands first.
pub(super) fn edit_anything(world: &World) {
    if let Some(name) = world.names().first() {
        edit(
            world,
            name,
            "SUMMARY:",
            "COMMENT:edited meanwhile\r\nSUMMARY:",
        );
    }
}

/// Changes the first `from` of a resource, keeping everything else as the client read it.
pub(super) fn edit(world: &World, name: &str, from: &str, to: &str) {
    if let Some(text) = world.text(name) {
        world.save(name, &text.replacen(from, to, 1));
    }
}

pub(super) fn calendar(events: &[String]) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//t//EN\r\n{}END:VCALENDAR\r\n",
        events.concat()
    )
}

pub(super) fn event(uid: &str, start: &str, summary: &str, more: &str) -> String {
    format!(
        "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20261101T000000Z\r\nDTSTART:{start}\r\nDURATION:PT1H\r\n\
         SUMMARY:{summary}\r\nORGANIZER:mailto:alice@x\r\nATTENDEE:mailto:bob@x\r\n{more}END:VEVENT\r\n"
    )
}

/// A property's value in an unfolded VEVENT.
pub(super) fn value(event: &str, name: &str) -> Option<String> {
    let line = event
        .lines()
        .find(|l| l.starts_with(name) && !l.starts_with(&format!("{name}-")))?;
    line.split_once(':').map(|(_, value)| value.to_owned())
}

/// Every byte of `before` is in `after`, in order, but for the stamps that a real write renews and
/// the link of another event that a copy brought along.
pub(super) fn assert_only_added(before: &[u8], after: &[u8], label: &str) {
    let before = own_text(before);
    let after = own_text(after);
    let mut rest = after.chars();
    let kept = before.chars().all(|c| rest.any(|r| r == c));
    assert!(
        kept,
        "{label}: something was lost\nsaved:\n{before}\nstored:\n{after}"
    );
}

/// The text without the stamps and without our lines.
fn own_text(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec())
        .unwrap()
        .replace("\r\n ", "");
    let ours = [
        "DTSTAMP",
        "X-MEETBRIDGE",
        "X-MICROSOFT-SKYPE",
        "CONFERENCE",
        "URL:https://teams",
        "LOCATION:https://teams",
    ];
    let lines = text
        .lines()
        .filter(|line| !ours.iter().any(|name| line.starts_with(name)));
    let mut own = String::new();
    for line in lines {
        let end = line.find("____").unwrap_or(line.len());
        let kept = line[..end].trim_end_matches("\\n");
        if kept != "DESCRIPTION:" {
            own.push_str(kept);
            own.push('\n');
        }
    }
    own
}
