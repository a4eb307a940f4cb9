//! SIGHUP: the configuration is read anew, refused as a whole or taken as a whole.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Context, assemble};
use crate::config::{self, Config, Faults};
use crate::daemon::{Fleet, Source};
use crate::http::{ClientError, Windows};
use crate::log;
use crate::meeting::Meetings;
use crate::meeting::graph::SignIn;
use crate::state::State;
use crate::sync::Bridge;

/// How much of a file of certificates is looked at.
const LARGEST: u64 = 1024 * 1024;

/// What runs, and the configuration that it runs by.
pub(super) struct Running<'c> {
    pub(super) context: &'c Context,
    pub(super) state: Arc<State>,
    pub(super) bridge: Arc<Bridge>,
    pub(super) windows: Arc<Windows>,
    pub(super) fleet: Fleet,
    pub(super) dial: log::Dial,
    /// The configuration in force, for commands.
    pub(super) config: watch::Sender<Arc<Config>>,
    pub(super) seen: Seen,
}

/// What a configuration means for what runs: where a part of it is the same, nothing changes there.
#[derive(PartialEq)]
pub(super) struct Seen {
    graph: (config::Graph, config::Network, Certificates),
    /// The calendars and accounts that take part, by name.
    watched: BTreeMap<String, Table>,
}

/// What a calendar or account is watched by.
#[derive(PartialEq)]
struct Table {
    calendar: config::Calendar,
    /// Where it is reached over the network: how.
    network: Option<(config::Network, Certificates)>,
}

/// Files that are read once, when connections are set up; by their digests, in a fixed order.
type Certificates = Vec<Option<[u8; 32]>>;

impl Seen {
    /// Looks at a configuration, and at the certificates that it names.
    pub(super) fn of(config: &Config) -> Self {
        let watched = config.enabled().map(|calendar| {
            let own = match &calendar.source {
                config::Source::CalDav(account) => vec![
                    &account.ca_file,
                    &account.certificate_file,
                    &account.key_file,
                ],
                config::Source::Feed(_) => Vec::new(),
                config::Source::Directory { .. } | config::Source::File { .. } => {
                    return Table {
                        calendar: calendar.clone(),
                        network: None,
                    };
                }
            };
            Table {
                calendar: calendar.clone(),
                network: Some((config.network.clone(), certificates(config, &own))),
            }
        });
        Self {
            graph: (
                config.graph.clone(),
                config.network.clone(),
                certificates(config, &[]),
            ),
            watched: watched
                .map(|table| (table.calendar.name.to_string(), table))
                .collect(),
        }
    }
}

fn certificates(config: &Config, own: &[&Option<PathBuf>]) -> Certificates {
    let all = std::iter::once(&config.network.ca_file).chain(own.iter().copied());
    all.map(|path| digest(path.as_deref()?)).collect()
}

fn digest(path: &Path) -> Option<[u8; 32]> {
    // Asked first: opening a FIFO waits for its other end.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(crate::model::sha256([&bytes]))
}

/// All that is made before anything is changed.
struct Next {
    bridge: Arc<Bridge>,
    removed: Vec<String>,
    added: Vec<Source>,
    changed: Vec<Source>,
}

impl Running<'_> {
    /// Reads the configuration anew. A faulty one is refused with all its faults, and nothing changes;
    /// told to `stop` meanwhile, it is let be.
    pub(super) async fn reload(&mut self, stop: &CancellationToken) {
        let (path, machine) = (
            self.context.config_file.clone(),
            self.context.machine.clone(),
        );
        let before = self.config.borrow().clone();
        let load = tokio::task::spawn_blocking(move || {
            let mut config = Config::load(&path, &machine)?;
            let kept = keep(&before, &mut config);
            let seen = Seen::of(&config);
            Ok((config, seen, kept))
        });
        let loaded = tokio::select! {
            () = stop.cancelled() => return,
            loaded = load => loaded,
        };
        let file = self.context.config_file.display().to_string();
        let (config, seen, kept) = match loaded {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(faults)) => return refuse(&faults),
            Err(_) => {
                let fault = "an error inside meetbridge; please report it";
                log::event!(CONFIG_REFUSED, file = %file, fault = fault);
                return;
            }
        };
        match self.next(&config, &seen) {
            Ok(next) => self.take(config, seen, next, &kept),
            Err(error) => {
                let fault = log::Chain(&error).to_string();
                log::event!(CONFIG_REFUSED, file = %file, fault = %fault);
            }
        }
    }

    /// Makes what is new. Sends nothing.
    fn next(&self, config: &Config, seen: &Seen) -> Result<Next, ClientError> {
        let (state, windows) = (self.state.clone(), self.windows.clone());
        let shared = assemble::shared(self.context, config, state, windows);
        let meetings: Arc<dyn Meetings> = if seen.graph == self.seen.graph {
            self.bridge.meetings.clone()
        } else {
            Arc::new(assemble::meetings(self.context, config, &shared)?)
        };
        let troubles = self.bridge.troubles.clone();
        let bridge = assemble::bridge(config, self.state.clone(), meetings, &shared, troubles);
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for calendar in config.enabled() {
            let name = calendar.name.as_str();
            let before = self.seen.watched.get(name);
            if before == seen.watched.get(name) {
                continue;
            }
            let source = assemble::source(config, calendar, &shared)?;
            match before {
                Some(_) => changed.push(source),
                None => added.push(source),
            }
        }
        let before = self.seen.watched.keys();
        let removed = before.filter(|name| !seen.watched.contains_key(*name));
        Ok(Next {
            bridge: Arc::new(bridge),
            removed: removed.cloned().collect(),
            added,
            changed,
        })
    }

    /// Puts it in force, all of it.
    fn take(&mut self, config: Config, seen: Seen, next: Next, kept: &[&'static str]) {
        if let Ok(filter) = self.context.filter(&config) {
            self.dial.set(filter);
        }
        for key in kept {
            log::event!(CONFIG_NEEDS_RESTART, key = *key);
        }
        let path = self.context.config_file.display();
        log::event!(CONFIG_RELOADED, path = %path, added = next.added.len(),
            removed = next.removed.len(), changed = next.changed.len());
        self.config.send_replace(Arc::new(config));
        self.seen = seen;
        self.bridge = next.bridge.clone();
        self.fleet.exchange(next.bridge);
        for name in &next.removed {
            self.fleet.remove(name);
        }
        for source in next.changed.into_iter().chain(next.added) {
            self.fleet.set(source);
        }
        self.fleet.reread_secrets();
    }
}

/// Leaves what cannot change while the daemon runs as it was; returns what that is.
fn keep(before: &Config, config: &mut Config) -> Vec<&'static str> {
    let mut kept = Vec::new();
    if config.state_directory != before.state_directory {
        kept.push("state.directory");
        config.state_directory.clone_from(&before.state_directory);
        if let SignIn::DeviceCode { directory } = &mut config.graph.sign_in {
            *directory = before.state_directory.join(config::TOKENS);
        }
    }
    if config.log.format != before.log.format {
        kept.push("log.format");
        config.log.format = before.log.format;
    }
    kept
}

fn refuse(faults: &Faults) {
    for (file, fault) in faults.in_files() {
        let at = fault.place.as_ref();
        log::event!(CONFIG_REFUSED, file = %file, line = at.map(|at| at.line),
            column = at.map(|at| at.column), fault = %fault.what, hint = fault.hint.as_deref());
    }
    if faults.more() > 0 {
        let fault = format!("and {} more faults", faults.more());
        log::event!(CONFIG_REFUSED, file = %faults.file(), fault = %fault);
    }
}
