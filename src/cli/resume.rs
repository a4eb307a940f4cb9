//! `meetbridge resume`: lifts a freeze, or consents to a large first pass.

use super::output::Voice;
use super::{Context, Exit, assemble, beside, output};
use crate::daemon::control::Command;
use crate::daemon::desk::lift;
use crate::log::Chain;
use crate::model::CalendarName;

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
        output::say(&what);
        Exit::Failed
    })?;
    let state = assemble::open_state(context, &config)?;
    let lifted = lift(&state, &name).map_err(|error| Chain(&error).to_string());
    Ok(tell(&name, lifted, &Voice::own()).await)
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
            voice.say(&format!("meetbridge: {error}")).await;
            return Exit::Failed;
        }
    };
    voice.print(&line).await;
    Exit::Done
}
