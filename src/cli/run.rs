//! `meetbridge run`: the daemon.

use std::sync::Arc;

use super::beside::Office;
use super::{Context, Exit, assemble, output};
use crate::config::Config;
use crate::daemon::Desk;
use crate::daemon::control::{self, Socket};
use crate::daemon::notify::{self, Herald, Manager};
use crate::state::State;
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
    let parts = assemble::parts(context, &config, state.clone(), None)?;
    log::event!(DAEMON_STARTED, version = env!("CARGO_PKG_VERSION"));
    log::event!(CONFIG_LOADED, path = %context.config_file.display(), calendars = parts.sources.len());
    let desk = Arc::<Desk>::default();
    let herald = Herald {
        manager: Arc::new(Manager::of_process()),
        desk: desk.clone(),
        state: state.clone(),
        clock: context.clock.clone(),
        longest: notify::longest(config.network.request_timeout),
    };
    let herald = tokio::spawn(herald.run(stop.clone()));
    let listening = listen(&config, &state).map(|socket| {
        let office = Office {
            config,
            state,
            clock: context.clock.clone(),
            desk: desk.clone(),
            stop: stop.clone(),
        };
        tokio::spawn(socket.serve(Arc::new(office), context.clock.clone(), stop.clone()))
    });
    let finished = daemon::run(parts.bridge, parts.sources, desk, stop).await;
    if let Some(listening) = listening {
        // How the commands ended, they have said themselves.
        let _ = listening.await;
    }
    herald.abort();
    Ok(if finished { Exit::Done } else { Exit::Failed })
}

/// Begins to listen for commands, and tells in the state's lock file where. Without a socket the
/// daemon does its work all the same.
fn listen(config: &Config, state: &State) -> Option<Socket> {
    let path = control::place(|name| std::env::var_os(name), &config.state_directory);
    let socket = Socket::open(&path).and_then(|socket| {
        state.announce(socket.path())?;
        Ok(socket)
    });
    socket
        .inspect_err(|error| log::event!(CONTROL_FAILING, path = %path.display(), error = %error))
        .ok()
}
