//! `meetbridge run`: the daemon.

use std::sync::Arc;

use tokio::sync::watch;

use super::beside::Office;
use super::reload::{Running, Seen};
use super::{Context, Exit, assemble, output};
use crate::config::Config;
use crate::daemon::control::{self, Socket};
use crate::daemon::notify::{self, Herald, Manager};
use crate::daemon::upkeep::Upkeep;
use crate::daemon::{Desk, Fleet, Signals};
use crate::state::State;
use crate::{daemon, log};

pub(super) async fn run(context: &Context) -> Exit {
    match daemon_of(context).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn daemon_of(context: &Context) -> Result<Exit, Exit> {
    let config = context.config()?;
    let dial = context.init_log(&config)?;
    let mut signals = Signals::install().map_err(|error| {
        output::fail(&format!("signals cannot be handled: {error}"));
        Exit::Failed
    })?;
    let (stop, hurry) = (signals.stop.clone(), signals.hurry.clone());
    let state = assemble::open_state(context, &config)?;
    let seen = Seen::of(&config);
    let parts = assemble::parts(context, &config, state.clone(), None)?;
    let count = parts.sources.len();
    log::event!(DAEMON_STARTED, version = env!("CARGO_PKG_VERSION"));
    log::event!(CONFIG_LOADED, path = %context.config_file.display(), calendars = count);
    let desk = Arc::<Desk>::default();
    let manager = Arc::new(Manager::of_process());
    let herald = Herald {
        manager: manager.clone(),
        desk: desk.clone(),
        state: state.clone(),
        clock: context.clock.clone(),
        longest: notify::longest(config.network.request_timeout),
    };
    let herald = tokio::spawn(herald.run(stop.clone()));
    let upkeep = Upkeep {
        state: state.clone(),
        desk: desk.clone(),
        clock: context.clock.clone(),
    };
    let upkeep = tokio::spawn(upkeep.run());
    let socket = listen(&config, &state);
    let (config, present) = watch::channel(Arc::new(config));
    let listening = socket.map(|socket| {
        let office = Office {
            config: present,
            state: state.clone(),
            clock: context.clock.clone(),
            desk: desk.clone(),
            stop: stop.clone(),
        };
        tokio::spawn(socket.serve(Arc::new(office), context.clock.clone(), stop.clone()))
    });
    let begun = daemon::begin(&parts.sources, desk.clone(), context.clock.clone());
    let mut fleet = Fleet::new(parts.bridge.clone(), desk, stop.clone());
    for source in parts.sources {
        fleet.set(source);
    }
    let begun = tokio::spawn(begun);
    let mut running = Running {
        context,
        state,
        bridge: parts.bridge,
        windows: parts.windows,
        fleet,
        dial,
        config,
        seen,
    };
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = signals.reload() => {
                manager.reloading();
                running.reload(&stop).await;
                manager.ready();
            }
        }
    }
    begun.abort();
    upkeep.abort();
    let finished = running.fleet.finish(&hurry).await;
    if let Some(listening) = listening {
        // How the commands ended, they have said themselves.
        tokio::select! {
            _ = listening => {}
            () = hurry.cancelled() => {}
        }
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
