//! The words and tables of `status`.

use chrono::{DateTime, Utc};

use super::view::{CalendarView, View};
use crate::cli::output::Voice;

/// How many orphans are named.
const SHOWN_ORPHANS: usize = 20;

/// The lines, each to be printed with its end.
pub(super) fn lines(view: &View, voice: &Voice) -> Vec<String> {
    let mut lines = vec![summary(view)];
    for need in &view.needs_person {
        lines.push(format!("  {}: {}", need.of, need.what));
        lines.push(format!("    {}", need.command));
    }
    lines.push(String::new());
    lines.push(calendars(view, voice));
    lines.push(String::new());
    lines.push(organizers(view, voice));
    let notes: Vec<String> = view
        .calendars
        .iter()
        .flat_map(notes)
        .chain(learned(view))
        .collect();
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(notes);
    }
    lines
}

/// `3 calendars, 120 links; 1 needs you: team`
fn summary(view: &View) -> String {
    let count = |n: usize, one: &str| match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    };
    let links: usize = view.calendars.iter().map(|c| c.linked() as usize).sum();
    let calendars = count(view.calendars.len(), "calendar");
    let mut of: Vec<&str> = view.needs_person.iter().map(|need| &*need.of).collect();
    of.dedup();
    let needs = match of.len() {
        0 => "nothing needs you".to_owned(),
        1 => format!("1 needs you: {}", of[0]),
        n => format!("{n} need you: {}", of.join(", ")),
    };
    let daemon = if view.daemon { "" } else { "; no daemon runs" };
    format!("{calendars}, {}{daemon}; {needs}", count(links, "link"))
}

fn calendars(view: &View, voice: &Voice) -> String {
    let mut head = vec!["calendar", "last pass"];
    if view.daemon {
        head.push("next");
    }
    head.extend(["links", "events by decision", "today", "state"]);
    let rows = view.calendars.iter().map(|calendar| {
        let mut row = vec![calendar.name.clone(), time(calendar.last_pass)];
        if view.daemon {
            row.push(time(calendar.next_pass));
        }
        let outcome = calendar.outcome.iter();
        let outcome: Vec<_> = outcome.map(|(name, n)| format!("{name} {n}")).collect();
        row.extend([
            calendar.linked().to_string(),
            outcome.join(", "),
            format!("{} of {}", calendar.made_today, calendar.new_links_per_day),
            state(calendar).to_owned(),
        ]);
        row
    });
    voice.table(&head, rows)
}

fn state(calendar: &CalendarView) -> &'static str {
    match calendar {
        CalendarView {
            frozen: Some(frozen),
            ..
        } if frozen.first_pass => "waits for consent",
        CalendarView {
            frozen: Some(_), ..
        } => "frozen",
        CalendarView {
            failing: Some(_), ..
        } => "failing",
        calendar if calendar.failing_events > 0 => "events fail",
        calendar if calendar.is_known => "ok",
        _ => "never passed over",
    }
}

fn organizers(view: &View, voice: &Voice) -> String {
    let head = ["organizer", "this month", "state"];
    let rows = view.organizers.iter().map(|organizer| {
        let until = organizer.throttled_until.max(view.graph.throttled_until);
        let state = match (&organizer.refused, &view.graph.refused, until) {
            (Some(_), ..) => "refused".to_owned(),
            (_, Some(_), _) => "credential refused".to_owned(),
            (_, _, Some(until)) => format!("throttled until {}", time(Some(until))),
            _ => "ok".to_owned(),
        };
        vec![
            organizer.id.clone(),
            format!(
                "{} of {}",
                organizer.made_this_month, organizer.meetings_per_month
            ),
            state,
        ]
    });
    voice.table(&head, rows)
}

/// What else is known of a calendar.
fn notes(calendar: &CalendarView) -> Vec<String> {
    let mut notes = Vec::new();
    if !calendar.drops.is_empty() {
        let dropped = calendar.drops.join(", ");
        notes.push(format!("the calendar does not keep {dropped} as written"));
    }
    if let Some(why) = calendar
        .failing
        .as_ref()
        .filter(|_| !calendar.failing_needs_person)
    {
        notes.push(format!("failing, and tried again: {why}"));
    }
    if !calendar.orphans.is_empty() {
        let uids = calendar.orphans.iter().take(SHOWN_ORPHANS);
        let uids: Vec<&str> = uids.map(String::as_str).collect();
        let (n, uids) = (calendar.orphans.len(), uids.join(", "));
        let what = "meetings whose events went before they got their link";
        notes.push(format!("{n} {what}: {uids}"));
    }
    if calendar.meetings_to_delete > 0 {
        let what = "meetings are to be deleted, since their events are gone or cancelled";
        notes.push(format!("{} {what}", calendar.meetings_to_delete));
    }
    if calendar.links_of_former_organizers > 0 {
        let what = "links belong to organizers who are not configured any more";
        notes.push(format!("{} {what}", calendar.links_of_former_organizers));
    }
    if calendar.links_of_other_api > 0 {
        let what = "links have meetings that were made by another API than `api` says; \
                    `sync --rewrite` replaces them";
        notes.push(format!("{} {what}", calendar.links_of_other_api));
    }
    if calendar.failing_events > 0 {
        let what = "events fail and are tried again; the log says why and what to do";
        notes.push(format!("{} {what}", calendar.failing_events));
    }
    let name = &calendar.name;
    notes.iter().map(|note| format!("{name}: {note}")).collect()
}

/// What was learned of each account's server.
fn learned(view: &View) -> impl Iterator<Item = String> {
    view.servers.iter().flat_map(|server| {
        let lines = server.learned.iter();
        lines.map(|(what, text)| format!("{}: {what}: {text}", server.account))
    })
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or("-".into(), |at| {
        at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
    })
}
