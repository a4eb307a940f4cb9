//! `meetbridge sync`: one pass over everything, then exit.

use chrono::{DateTime, Utc};

use super::{Context, Exit, assemble, output};
use crate::calendar::Scope;
use crate::clock::Clock as _;
use crate::sync::{Bridge, PassError, Report, Watched};

/// A file that changes under every write of ours is given up after so many passes.
const MOST_PASSES: usize = 1_000;

pub(super) async fn sync(context: &Context, only: Option<&str>) -> Exit {
    match try_sync(context, only).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn try_sync(context: &Context, only: Option<&str>) -> Result<Exit, Exit> {
    let config = context.config()?;
    context.init_log(&config)?;
    let state = assemble::open_state(context, &config)?;
    let parts = assemble::parts(context, &config, state, only)?;
    let (calendars, mut exit) = parts.calendars().await;
    let bridge = &*parts.bridge;
    for kept in &calendars {
        let calendar = &*kept.calendar;
        let outcome = pass_until_settled(context, bridge, calendar).await;
        bridge.note(calendar, &outcome);
        if !tell(bridge, calendar, &outcome) {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

/// Passes until nothing is left to do at once, and once more when all has settled.
async fn pass_until_settled(
    context: &Context,
    bridge: &Bridge,
    calendar: &Watched,
) -> Result<Report, PassError> {
    bridge.retry_failed(calendar)?;
    let mut total = bridge.pass(calendar, Scope::All).await?;
    let mut waited = false;
    for _ in 0..MOST_PASSES {
        let now = context.clock.now();
        let again = std::mem::take(&mut total.again);
        let scope = if !again.is_empty() {
            Scope::Only(again)
        } else if !waited && total.outcome.contains_key("settling") {
            waited = true;
            let settled = settled_at(calendar, now);
            context
                .clock
                .sleep((settled - now).to_std().unwrap_or_default())
                .await;
            let due = bridge.state.due(&calendar.name, context.clock.now())?;
            total.outcome.remove("settling");
            Scope::Only(due.into_iter().collect())
        } else {
            break;
        };
        let next = bridge.pass(calendar, scope).await?;
        total.merge(next);
    }
    Ok(total)
}

/// When everything that has changed up to now has settled.
fn settled_at(calendar: &Watched, now: DateTime<Utc>) -> DateTime<Utc> {
    let settle = chrono::Duration::from_std(calendar.rules.settle).unwrap_or_default();
    now.checked_add_signed(settle).unwrap_or(now)
}

/// Prints what was done; returns whether it all went well.
fn tell(bridge: &Bridge, calendar: &Watched, outcome: &Result<Report, PassError>) -> bool {
    let name = &calendar.name;
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            output::say(&format!("{name}: {}", crate::log::Chain(error)));
            return false;
        }
    };
    output::print(&format!(
        "{name}: {} read, {} unchanged, {} meetings made, {} updated, {} resources written",
        report.read, report.unchanged, report.created, report.updated, report.written
    ));
    let record = bridge.state.calendar(name).unwrap_or_default();
    if let Some(frozen) = &record.frozen {
        output::say(&format!("{name}: waits: {}", frozen.why));
    }
    if let Some(why) = &report.halted {
        output::say(&format!("{name}: {why}"));
    }
    if report.failed > 0 {
        output::say(&format!(
            "{name}: {} failed; see the log above",
            report.failed
        ));
    }
    report.failed == 0 && report.halted.is_none() && record.frozen.is_none()
}
