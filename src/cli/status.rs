//! `meetbridge status`: what is remembered of each calendar.

use serde_json::json;

use super::{Context, Exit, assemble, output};
use crate::clock::Clock as _;
use crate::config::Config;
use crate::model::{CalendarName, OrganizerId};
use crate::state::{Overview, State, StateError};
use crate::sync::is_failure;

pub(super) fn status(context: &Context, as_json: bool) -> Exit {
    match try_status(context, as_json) {
        Ok(exit) | Err(exit) => exit,
    }
}

/// One configured calendar, and what is remembered of it.
struct Line<'a> {
    name: &'a CalendarName,
    organizer: &'a OrganizerId,
    overview: Option<Overview>,
    today: u32,
    day_limit: u32,
    month: u32,
}

fn try_status(context: &Context, as_json: bool) -> Result<Exit, Exit> {
    let config = context.config()?;
    let state = assemble::look_at_state(&config)?;
    let lines = collect(context, &config, &state).map_err(|error| {
        output::say(&format!("meetbridge: {}", crate::log::Chain(&error)));
        Exit::Failed
    })?;
    if as_json {
        let calendars: Vec<_> = lines.iter().map(|line| to_json(line, &config)).collect();
        output::print(&json!({ "calendars": calendars }).to_string());
    } else {
        show(&lines, &config);
    }
    let healthy = |line: &Line<'_>| {
        let record = line.overview.as_ref().map(|o| &o.record);
        record.is_none_or(|r| r.frozen.is_none() && r.failing.is_none())
            && failing_events(line) == 0
    };
    Ok(if lines.iter().all(healthy) {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn collect<'a>(
    context: &Context,
    config: &'a Config,
    state: &State,
) -> Result<Vec<Line<'a>>, StateError> {
    let mut overview = state.overview()?;
    let today = context.clock.now().date_naive();
    let mut lines = Vec::new();
    for calendar in config.enabled() {
        let known = overview.iter().position(|o| o.calendar == calendar.name);
        lines.push(Line {
            name: &calendar.name,
            organizer: &calendar.organizer,
            overview: known.map(|at| overview.swap_remove(at)),
            today: state.created_on(&calendar.name, today)?,
            day_limit: calendar.new_links_per_day,
            month: state.created_in_month(&calendar.organizer, today)?,
        });
    }
    Ok(lines)
}

/// How many of its events fail.
fn failing_events(line: &Line<'_>) -> u32 {
    let outcome = line.overview.iter().flat_map(|o| &o.outcome);
    outcome
        .filter(|(name, _)| is_failure(name))
        .map(|(_, n)| n)
        .sum()
}

fn linked(line: &Line<'_>) -> u32 {
    line.overview.as_ref().map_or(0, |o| o.links.iter().sum())
}

fn show(lines: &[Line<'_>], config: &Config) {
    let head = [
        "calendar",
        "last pass",
        "links",
        "events by decision",
        "today",
        "this month",
        "state",
    ];
    let rows = lines.iter().map(|line| {
        let record = line.overview.as_ref().map(|o| &o.record);
        let last = record.and_then(|r| r.last_pass);
        let state = match record {
            Some(r) if r.frozen.is_some() => "waits",
            Some(r) if r.failing.is_some() => "failing",
            Some(_) if failing_events(line) > 0 => "events fail",
            Some(_) => "ok",
            None => "never passed over",
        };
        let outcome = line.overview.iter().flat_map(|o| &o.outcome);
        vec![
            line.name.to_string(),
            last.map_or("-".into(), |at| {
                at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
            }),
            linked(line).to_string(),
            outcome
                .map(|(name, n)| format!("{name} {n}"))
                .collect::<Vec<_>>()
                .join(", "),
            format!("{} of {}", line.today, line.day_limit),
            format!("{} of {}", line.month, config.budget.meetings_per_month),
            state.to_owned(),
        ]
    });
    output::print(&output::table(&head, rows));
    for line in lines {
        let Some(record) = line.overview.as_ref().map(|o| &o.record) else {
            continue;
        };
        if let Some(frozen) = &record.frozen {
            output::print(&format!(
                "{}: waits since {}: {}",
                line.name, frozen.since, frozen.why
            ));
        }
        if let Some(why) = &record.failing {
            output::print(&format!("{}: failing: {why}", line.name));
        }
        match failing_events(line) {
            0 => {}
            n => output::print(&format!(
                "{}: {n} events fail and are tried again; the log says why and what to do",
                line.name
            )),
        }
    }
}

fn to_json(line: &Line<'_>, config: &Config) -> serde_json::Value {
    let record = line
        .overview
        .as_ref()
        .map(|o| o.record.clone())
        .unwrap_or_default();
    let outcome = line.overview.iter().flat_map(|o| o.outcome.clone());
    let outcome: serde_json::Map<_, _> = outcome.map(|(name, n)| (name, json!(n))).collect();
    let [intended, written, seen] = line.overview.as_ref().map(|o| o.links).unwrap_or_default();
    json!({
        "name": line.name.as_str(),
        "organizer": line.organizer.as_str(),
        "last-pass": record.last_pass,
        "links": { "intended": intended, "written": written, "seen": seen },
        "outcome": outcome,
        "made-today": line.today,
        "new-links-per-day": line.day_limit,
        "made-this-month": line.month,
        "meetings-per-month": config.budget.meetings_per_month,
        "frozen": record.frozen.map(|f| json!({ "since": f.since, "why": f.why })),
        "failing": record.failing,
        "failing-events": failing_events(line),
    })
}
