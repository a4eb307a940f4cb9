//! What needs a person: what nothing but a person ends. What is tried again by itself, waits for a
//! budget's next day or is the source's own fault (an event that is not understood) is not among it.

use serde::Serialize;

use super::view::View;
use crate::sync::needs_person;

/// One thing to be done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Need {
    /// The calendar, the organizer's object id, or `graph`.
    pub(super) of: String,
    /// What is wrong.
    pub(super) what: String,
    /// What to run about it, or to see more.
    pub(super) command: String,
}

/// All of it, the gravest first.
pub(super) fn of(view: &View) -> Vec<Need> {
    let need = |of: &str, what: String, command: String| Need {
        of: of.to_owned(),
        what,
        command,
    };
    let check = || "meetbridge check --online".to_owned();
    let mut needs = Vec::new();
    // A refusal is known until a meeting is made again; where nothing waits for that, it may be mended.
    let is_felt = view
        .calendars
        .iter()
        .any(|calendar| calendar.failing_events > 0);
    if let Some(why) = view.graph.refused.as_ref().filter(|_| is_felt) {
        needs.push(need(
            "graph",
            format!("the credential is refused: {why}"),
            check(),
        ));
    }
    for organizer in &view.organizers {
        if let Some(why) = organizer.refused.as_ref().filter(|_| is_felt) {
            needs.push(need(&organizer.id, format!("refused: {why}"), check()));
        }
    }
    for calendar in &view.calendars {
        let name = &calendar.name;
        if let Some(frozen) = &calendar.frozen {
            let what = match frozen.first_pass {
                true => "its first pass waits for consent",
                false => "frozen, so it waits",
            };
            let since = frozen.since.format("%Y-%m-%d %H:%M:%S UTC");
            let what = format!("{what} since {since}: {}", frozen.why);
            needs.push(need(name, what, format!("meetbridge resume {name}")));
        }
        if let Some(why) = calendar
            .failing
            .as_ref()
            .filter(|_| calendar.failing_needs_person)
        {
            needs.push(need(name, format!("failing: {why}"), check()));
        }
        let lasting = calendar
            .outcome
            .iter()
            .filter(|(name, _)| needs_person(name));
        let lasting: u32 = lasting.map(|(_, n)| n).sum();
        if lasting > 0 {
            let what = format!("events that fail until somebody acts: {lasting}; the log says why");
            needs.push(need(
                name,
                what,
                format!("meetbridge plan --calendar {name}"),
            ));
        }
    }
    needs
}
