//! `meetbridge resume`: lifts a freeze, or consents to a large first pass.

use chrono::{DateTime, Utc};

use super::{Context, Exit, assemble, output};
use crate::clock::Clock as _;
use crate::model::CalendarName;
use crate::state::State;

pub(super) fn resume(context: &Context, name: &str) -> Exit {
    match try_resume(context, name) {
        Ok(()) => Exit::Done,
        Err(exit) => exit,
    }
}

fn try_resume(context: &Context, name: &str) -> Result<(), Exit> {
    let config = context.config()?;
    let name = assemble::configured(&config, name)?;
    let state = assemble::open_state(context, &config)?;
    match lift(&state, &name, context.clock.now()) {
        Ok(was) => {
            output::print(&match was {
                Some(why) => format!("{name}: resumed (it was waiting because {why})"),
                None => {
                    format!("{name}: it was not frozen; its next large first pass is consented to")
                }
            });
            Ok(())
        }
        Err(error) => {
            output::say(&format!("meetbridge: {}", crate::log::Chain(&error)));
            Err(Exit::Failed)
        }
    }
}

/// Lifts the freeze; returns why there was one. Every event is decided again by the next pass.
fn lift(
    state: &State,
    name: &CalendarName,
    now: DateTime<Utc>,
) -> Result<Option<String>, crate::state::StateError> {
    let was = state.resume(name, now)?;
    crate::log::event!(CALENDAR_RESUMED, calendar = %name);
    Ok(was.map(|frozen| frozen.why))
}
