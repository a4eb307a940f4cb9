//! `meetbridge run`: the daemon.

use super::{Context, Exit, assemble, output};
use crate::{daemon, log};

pub(super) async fn run(context: &Context) -> Exit {
    match daemon_of(context).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn daemon_of(context: &Context) -> Result<Exit, Exit> {
    let config = context.config()?;
    context.init_log(&config)?;
    let stop = daemon::stop_on_signal().map_err(|error| {
        output::say(&format!("meetbridge: signals cannot be handled: {error}"));
        Exit::Failed
    })?;
    let state = assemble::open_state(context, &config)?;
    let parts = assemble::parts(context, &config, state, None)?;
    log::event!(DAEMON_STARTED, version = env!("CARGO_PKG_VERSION"));
    log::event!(CONFIG_LOADED, path = %context.config_file.display(), calendars = parts.sources.len());
    let finished = daemon::run(parts.bridge, parts.sources, stop).await;
    Ok(if finished { Exit::Done } else { Exit::Failed })
}
