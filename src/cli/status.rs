//! `meetbridge status`: what is remembered of each calendar.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::output::Voice;
use super::{Context, Exit, assemble, beside};
use crate::calendar::caldav::profile::Profile;
use crate::clock::Clock as _;
use crate::config::{Config, Source};
use crate::daemon::control::Command;
use crate::ical::event::Place;
use crate::meeting::Fate;
use crate::model::{CalendarName, OrganizerId, Uid};
use crate::state::{CalendarRecord, Link, Overview, State, StateError};
use crate::sync::is_failure;

/// How many orphans are named.
const SHOWN_ORPHANS: usize = 20;

pub(super) async fn status(context: &Context, json: bool) -> Exit {
    match try_status(context, json).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn try_status(context: &Context, json: bool) -> Result<Exit, Exit> {
    let config = context.config()?;
    beside::unless_in_daemon(context, &config, Command::Status { json }).await?;
    let state = assemble::look_at_state(&config)?;
    let now = context.clock.now();
    Ok(report(&config, &state, now, json, &Voice::own()).await)
}

/// One calendar, and what is remembered of it.
struct Line<'a> {
    name: CalendarName,
    organizer: &'a OrganizerId,
    overview: Option<Overview>,
    today: u32,
    day_limit: u32,
    month: u32,
    /// The events that went before they got the link of their meeting.
    orphans: Vec<Uid>,
    /// How many meetings are to be deleted, since their events are gone or cancelled.
    endings: usize,
    /// How many links belong to organizers who are not configured any more.
    old_links: u32,
    /// How many links have meetings that were made by another API than is configured.
    other_api: u32,
}

/// Tells how every enabled calendar stands; the exit status says whether all is well.
pub(super) async fn report(
    config: &Config,
    state: &State,
    now: DateTime<Utc>,
    as_json: bool,
    voice: &Voice,
) -> Exit {
    let lines = match collect(config, state, now) {
        Ok(lines) => lines,
        Err(error) => {
            let error = crate::log::Chain(&error).to_string();
            voice.fail(&format!("{error}")).await;
            return Exit::Failed;
        }
    };
    if as_json {
        let calendars: Vec<_> = lines.iter().map(|line| to_json(line, config)).collect();
        let servers = servers(config, state).map(|(name, profile)| {
            let lines = profile.lines().into_iter();
            let learned: serde_json::Map<_, _> = lines
                .map(|(what, text)| (what.to_owned(), json!(text)))
                .collect();
            json!({ "account": name.as_str(), "learned": learned })
        });
        let servers: Vec<_> = servers.collect();
        let all = json!({ "calendars": calendars, "servers": servers });
        voice.print(&all.to_string()).await;
    } else {
        show(&lines, config, voice).await;
        show_servers(config, state, voice).await;
    }
    let healthy = |line: &Line<'_>| {
        let record = line.overview.as_ref().map(|o| &o.record);
        record.is_none_or(|r| r.frozen.is_none() && r.failing.is_none())
            && failing_events(line) == 0
    };
    match lines.iter().all(healthy) {
        true => Exit::Done,
        false => Exit::Failed,
    }
}

fn collect<'a>(
    config: &'a Config,
    state: &State,
    now: DateTime<Utc>,
) -> Result<Vec<Line<'a>>, StateError> {
    let overview = state.overview()?;
    let today = now.date_naive();
    let mut lines = Vec::new();
    for calendar in config.enabled() {
        let is_account = matches!(calendar.source, Source::CalDav(_));
        let is_its = |known: &&Overview| match is_account {
            true => assemble::is_of(known.calendar.as_str(), &calendar.name),
            false => known.calendar == calendar.name,
        };
        let mut known: Vec<_> = overview.iter().filter(is_its).cloned().map(Some).collect();
        if known.is_empty() {
            known.push(None);
        }
        for overview in known {
            let name = match &overview {
                Some(overview) => overview.calendar.clone(),
                None => calendar.name.clone(),
            };
            let is_ours = |id: &OrganizerId| {
                *id == calendar.organizer || calendar.organizers.values().any(|mapped| mapped == id)
            };
            let old_links = state.links_by_organizer(&name)?.into_iter();
            let old_links = old_links.filter(|(id, _)| !is_ours(id));
            let form = calendar.api.form(&name, &calendar.language);
            let by_form = state.links_by_form(&name)?.into_iter();
            let other_api = by_form.filter(|(meeting, _)| !form.is_of(meeting));
            let is_to_end = |link: &Link| {
                let gone = link.gone.is_some() && calendar.on_delete == Fate::Delete;
                gone || (link.cancelled.is_some() && calendar.on_cancel == Fate::Delete)
            };
            let endings = state.ended_links(&name)?.into_iter();
            lines.push(Line {
                endings: endings.filter(is_to_end).count(),
                orphans: state.orphans(&name, now)?,
                old_links: old_links.map(|(_, n)| n).sum(),
                other_api: other_api.map(|(_, n)| n).sum(),
                organizer: &calendar.organizer,
                overview,
                today: state.created_on(&name, today)?,
                day_limit: calendar.new_links_per_day,
                month: state.created_in_month(&calendar.organizer, today)?,
                name,
            });
        }
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

async fn show(lines: &[Line<'_>], config: &Config, voice: &Voice) {
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
    voice.print(&voice.table(&head, rows)).await;
    for line in lines {
        let Some(record) = line.overview.as_ref().map(|o| &o.record) else {
            continue;
        };
        let name = &line.name;
        if let Some(frozen) = &record.frozen {
            let waits = format!("{name}: waits since {}: {}", frozen.since, frozen.why);
            voice.print(&waits).await;
        }
        let dropped = dropped(record);
        if !dropped.is_empty() {
            let dropped = dropped.join(", ");
            let line = format!("{name}: the calendar does not keep {dropped} as written");
            voice.print(&line).await;
        }
        if let Some(why) = &record.failing {
            voice.print(&format!("{name}: failing: {why}")).await;
        }
        if !line.orphans.is_empty() {
            let uids = line.orphans.iter().take(SHOWN_ORPHANS);
            let uids: Vec<String> = uids.map(Uid::to_string).collect();
            let (n, uids) = (line.orphans.len(), uids.join(", "));
            let what = "meetings whose events went before they got their link";
            voice.print(&format!("{name}: {n} {what}: {uids}")).await;
        }
        if line.endings > 0 {
            let what = "meetings are to be deleted, since their events are gone or cancelled";
            voice
                .print(&format!("{name}: {} {what}", line.endings))
                .await;
        }
        if line.old_links > 0 {
            let what = "links belong to organizers who are not configured any more";
            voice
                .print(&format!("{name}: {} {what}", line.old_links))
                .await;
        }
        if line.other_api > 0 {
            let what = "links have meetings that were made by another API than `api` says; \
                        `sync --rewrite` replaces them";
            voice
                .print(&format!("{name}: {} {what}", line.other_api))
                .await;
        }
        match failing_events(line) {
            0 => {}
            n => {
                let fail = "events fail and are tried again; the log says why and what to do";
                voice.print(&format!("{name}: {n} {fail}")).await;
            }
        }
    }
}

/// What was learned of each account's server.
fn servers(config: &Config, state: &State) -> impl Iterator<Item = (CalendarName, Profile)> {
    let accounts = config
        .enabled()
        .filter(|table| matches!(table.source, Source::CalDav(_)));
    accounts.filter_map(|table| {
        let profile = Profile::noted(table.name.as_str(), state)?;
        Some((table.name.clone(), profile))
    })
}

async fn show_servers(config: &Config, state: &State, voice: &Voice) {
    for (name, profile) in servers(config, state) {
        for (what, text) in profile.lines() {
            voice.print(&format!("{name}: {what}: {text}")).await;
        }
    }
}

/// The properties that the calendar was seen not to keep.
fn dropped(record: &CalendarRecord) -> Vec<&'static str> {
    let drops = record.kept.drops();
    drops.into_iter().map(Place::name).collect()
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
        "frozen": record.frozen.as_ref().map(|f| json!({ "since": f.since, "why": f.why })),
        "failing": &record.failing,
        "failing-events": failing_events(line),
        "drops": dropped(&record),
        "orphans": line.orphans.iter().map(Uid::to_string).collect::<Vec<_>>(),
        "meetings-to-delete": line.endings,
        "links-of-former-organizers": line.old_links,
        "links-of-other-api": line.other_api,
    })
}
