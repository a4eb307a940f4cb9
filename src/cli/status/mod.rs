//! `meetbridge status`: what is remembered of each calendar and organizer, what the running daemon is
//! about to do, and what needs a person.
//!
//! `view`: what is told, which is the JSON · `needs`: what needs a person, and the command · `show`: the
//! words and tables.

mod needs;
mod show;
mod view;

use std::time::Duration;

use chrono::{DateTime, Utc};

use self::view::View;
use super::output::Voice;
use super::{Context, Exit, assemble, beside};
use crate::clock::Clock as _;
use crate::config::Config;
use crate::daemon::Desk;
use crate::daemon::control::Command;
use crate::log::Chain;
use crate::model::CalendarName;
use crate::state::State;

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
    Ok(report(&config, &state, now, None, json, &Voice::own()).await)
}

/// What only the running daemon knows.
pub(super) struct Live<'a> {
    pub(super) desk: &'a Desk,
    /// The time of its monotonic clock.
    pub(super) elapsed: Duration,
}

impl Live<'_> {
    /// When the calendar is passed over next; `now` while it is. `None`: it is not watched.
    fn next_pass(&self, name: &CalendarName, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let left = self.desk.planned(name)?.saturating_sub(self.elapsed);
        now.checked_add_signed(chrono::Duration::from_std(left).ok()?)
    }
}

/// Tells how every enabled calendar and its organizers stand; the exit status says whether anything
/// needs a person.
pub(super) async fn report(
    config: &Config,
    state: &State,
    now: DateTime<Utc>,
    live: Option<Live<'_>>,
    as_json: bool,
    voice: &Voice,
) -> Exit {
    let told = View::of(config, state, now, live.as_ref())
        .map_err(|error| Chain(&error).to_string())
        .and_then(|view| match as_json {
            false => Ok((show::lines(&view, voice), view)),
            true => serde_json::to_string(&view)
                .map(|text| (vec![text], view))
                .map_err(|error| error.to_string()),
        });
    let (lines, view) = match told {
        Ok(told) => told,
        Err(error) => {
            voice.fail(&error).await;
            return Exit::Failed;
        }
    };
    for line in lines {
        voice.print(&line).await;
    }
    match view.needs_person.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    }
}
