//! `meetbridge sync`: one pass over everything, then exit.

use chrono::{DateTime, Utc};

use super::output::Voice;
use super::{Context, Exit, assemble, beside};
use crate::calendar::Scope;
use crate::clock::Clock as _;
use crate::daemon::control::Command;
use crate::daemon::desk::is_settling;
use crate::daemon::upkeep::prune;
use crate::log::Chain;
use crate::model::CalendarName;
use crate::plan::Why;
use crate::state::State;
use crate::sync::{Bridge, PassError, Report, Watched};

/// A file that changes under every write of ours is given up after so many passes.
const MOST_PASSES: usize = 1_000;

pub(super) async fn sync(context: &Context, only: Option<&str>, rewrite: bool) -> Exit {
    match try_sync(context, only, rewrite).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn try_sync(context: &Context, only: Option<&str>, rewrite: bool) -> Result<Exit, Exit> {
    let config = context.config()?;
    context.init_log(&config)?;
    let command = Command::Sync {
        calendar: only.map(ToOwned::to_owned),
        rewrite,
    };
    beside::unless_in_daemon(context, &config, command).await?;
    let state = assemble::open_state(context, &config)?;
    let parts = assemble::parts(context, &config, state, only)?;
    let (calendars, mut exit) = parts.calendars().await;
    let bridge = &*parts.bridge;
    let rewrite = rewrite.then(|| context.clock.now());
    let mut read = Vec::new();
    for kept in &calendars {
        let calendar = &*kept.calendar;
        let outcome = pass_until_settled(context, bridge, calendar, rewrite).await;
        bridge.note(calendar, &outcome);
        let outcome = outcome.map_err(|error| Chain(&error).to_string());
        if outcome.is_ok() {
            read.push(calendar);
        }
        if !tell(&bridge.state, &calendar.name, &outcome, &Voice::own()).await {
            exit = Exit::Failed;
        }
    }
    // When all are read: an event may have moved from one to another.
    for calendar in read {
        if let Err(error) = bridge.end_meetings(calendar).await {
            let error = Chain(&error).to_string();
            Voice::own()
                .fail(&format!("{}: {error}", calendar.name))
                .await;
            exit = Exit::Failed;
        }
    }
    if let Err(error) = prune(&bridge.state, &*context.clock) {
        let error = Chain(&error).to_string();
        Voice::own().fail(&error).await;
        exit = Exit::Failed;
    }
    Ok(exit)
}

/// Passes until nothing is left to do at once, and once more when all has settled.
async fn pass_until_settled(
    context: &Context,
    bridge: &Bridge,
    calendar: &Watched,
    rewrite: Option<DateTime<Utc>>,
) -> Result<Report, PassError> {
    bridge.retry_failed(calendar)?;
    let mut total = bridge.pass_rewriting(calendar, Scope::All, rewrite).await?;
    let mut waited = false;
    for _ in 0..MOST_PASSES {
        let now = context.clock.now();
        let again = std::mem::take(&mut total.again);
        let scope = if !again.is_empty() {
            Scope::Only(again)
        } else if !waited && is_settling(&bridge.state, &calendar.name)? {
            waited = true;
            let settled = settled_at(calendar, now);
            context
                .clock
                .sleep((settled - now).to_std().unwrap_or_default())
                .await;
            let due = bridge.state.due(&calendar.name, context.clock.now())?;
            Scope::Only(due.into_iter().collect())
        } else {
            break;
        };
        let next = bridge.pass_rewriting(calendar, scope, rewrite).await?;
        total.merge(next);
    }
    Ok(total)
}

/// When everything that has changed up to now has settled.
fn settled_at(calendar: &Watched, now: DateTime<Utc>) -> DateTime<Utc> {
    let settle = chrono::Duration::from_std(calendar.rules.settle).unwrap_or_default();
    now.checked_add_signed(settle).unwrap_or(now)
}

/// Prints what was done, or why it was not; returns whether it all went well.
pub(super) async fn tell(
    state: &State,
    name: &CalendarName,
    outcome: &Result<Report, String>,
    voice: &Voice,
) -> bool {
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            voice.fail(&format!("{name}: {error}")).await;
            return false;
        }
    };
    let done = format!(
        "{name}: {} read, {} unchanged, {} meetings made, {} updated, {} resources written",
        report.read, report.unchanged, report.created, report.updated, report.written
    );
    voice.print(&done).await;
    if report.outcome.contains_key(Why::UidUnproven.name()) {
        let later = "new events of the feed get their links when a second fetch, up to a minute after \
                     the first, shows their UIDs again: sync again then, or leave it to `run`";
        voice.print(&format!("{name}: {later}")).await;
    }
    let record = state.calendar(name).unwrap_or_default();
    if let Some(frozen) = &record.frozen {
        voice.fail(&format!("{name}: waits: {}", frozen.why)).await;
    }
    if let Some(why) = &report.halted {
        voice.fail(&format!("{name}: {why}")).await;
    }
    if report.failed > 0 {
        let failed = format!("{name}: {} failed; the log says why", report.failed);
        voice.fail(&failed).await;
    }
    report.failed == 0 && report.halted.is_none() && record.frozen.is_none()
}
