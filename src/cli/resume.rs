//! `meetbridge resume`: lifts a freeze, or consents to a large first pass.

use super::output::Voice;
use super::{Context, Exit, assemble, beside, output};
use crate::clock::Clock as _;
use crate::config::{self, Config};
use crate::daemon::control::Command;
use crate::daemon::desk::lift;
use crate::log::Chain;
use crate::model::CalendarName;
use crate::state::State;

pub(super) async fn resume(context: &Context, name: &str) -> Exit {
    match try_resume(context, name).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn try_resume(context: &Context, name: &str) -> Result<Exit, Exit> {
    let config = context.config()?;
    let command = Command::Resume {
        calendar: name.to_owned(),
    };
    beside::unless_in_daemon(context, &config, command).await?;
    let name = assemble::configured(&config, name).map_err(|what| {
        output::fail(&what);
        Exit::Failed
    })?;
    let state = assemble::open_state(context, &config)?;
    let mut exit = Exit::Done;
    for name in calendars_of(&config, &state, name) {
        let lifted = lift(&state, &name, context.clock.now());
        let lifted = lifted.map_err(|error| Chain(&error).to_string());
        exit = exit.or(tell(&name, lifted, &Voice::own()).await);
    }
    Ok(exit)
}

/// The calendars that `name` stands for: itself, or all that are known of the account with this name.
pub(super) fn calendars_of(
    config: &Config,
    state: &State,
    name: CalendarName,
) -> Vec<CalendarName> {
    let is_account = |table: &&config::Calendar| {
        table.name == name && matches!(table.source, config::Source::CalDav(_))
    };
    let mut all = Vec::new();
    if config.enabled().any(|table| is_account(&table)) {
        // Where the state fails, lifting says so.
        let known = state.overview().unwrap_or_default();
        all.extend(known.into_iter().map(|known| known.calendar));
        all.retain(|known| assemble::is_of(known.as_str(), &name));
    }
    if all.is_empty() {
        all.push(name);
    }
    all
}

/// Says what came of it; `lifted` is why the calendar was frozen, if it was.
pub(super) async fn tell(
    name: &CalendarName,
    lifted: Result<Option<String>, String>,
    voice: &Voice,
) -> Exit {
    let line = match lifted {
        Ok(Some(why)) => format!("{name}: resumed (it was waiting because {why})"),
        Ok(None) => {
            format!("{name}: it was not frozen; its next large first pass is consented to")
        }
        Err(error) => {
            voice.fail(&error.to_string()).await;
            return Exit::Failed;
        }
    };
    voice.print(&line).await;
    Exit::Done
}
