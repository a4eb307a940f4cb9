//! Configuration → the running parts: state, meeting service, calendars.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Context, Exit, output};
use crate::calendar::Calendar;
use crate::calendar::directory::Directory;
use crate::clock::Clock;
use crate::config::{self, Config, Source};
use crate::http::{Client, ClientOptions, WindowStore, Windows};
use crate::log;
use crate::meeting::graph::{GraphMeetings, GraphSettings};
use crate::model::CalendarName;
use crate::state::{OpenError, State};
use crate::sync::{Bridge, Troubles, Watched};

/// How many Graph calls are in flight at once.
const IN_FLIGHT: usize = 50;

/// Opens the state and takes its lock.
pub(super) fn open_state(context: &Context, config: &Config) -> Result<Arc<State>, Exit> {
    let (state, set_aside) =
        State::open(&config.state_directory, context.clock.now()).map_err(refuse)?;
    if let Some(path) = set_aside {
        log::event!(STATE_DAMAGED, path = %path.display());
    }
    Ok(Arc::new(state))
}

/// Opens the state to look only, beside a running daemon too; an empty one when there is none yet.
pub(super) fn look_at_state(config: &Config) -> Result<Arc<State>, Exit> {
    let state = match State::open_read_only(&config.state_directory).map_err(refuse)? {
        Some(state) => state,
        None => State::in_memory().map_err(refuse)?,
    };
    Ok(Arc::new(state))
}

fn refuse(error: OpenError) -> Exit {
    output::say(&format!("meetbridge: {}", log::Chain(&error)));
    match error {
        OpenError::Locked { .. } => Exit::TryAgain,
        OpenError::Newer { .. } => Exit::Config,
        OpenError::Unusable { .. } => Exit::Failed,
    }
}

/// The bridge between the calendars and Graph.
pub(super) fn bridge(
    context: &Context,
    config: &Config,
    state: Arc<State>,
) -> Result<Bridge, Exit> {
    let network = &config.network;
    let options = ClientOptions {
        proxy: network.proxy.clone(),
        ca_file: network.ca_file.clone(),
        connect_timeout: network.connect_timeout,
        total_timeout: network.request_timeout,
        ..ClientOptions::default()
    };
    let client = Client::new(&options).map_err(|error| {
        output::say(&format!("meetbridge: {}", log::Chain(&error)));
        Exit::Config
    })?;
    let clock: Arc<dyn Clock> = context.clock.clone();
    let windows = Arc::new(Windows::new(
        clock.clone(),
        Arc::new(StoredWindows(state.clone())),
    ));
    let settings = GraphSettings {
        tenant: config.graph.tenant.clone(),
        client_id: config.graph.client_id.clone(),
        graph_url: config.graph.graph_url.clone(),
        authority_url: config.graph.authority_url.clone(),
        secret: config.graph.secret.clone(),
        in_flight: IN_FLIGHT,
    };
    let meetings = GraphMeetings::new(
        settings,
        client,
        windows,
        clock.clone(),
        context.random.clone(),
    );
    Ok(Bridge {
        state,
        meetings: Arc::new(meetings),
        clock,
        tenant: config.graph.tenant.clone(),
        first_pass_limit: config.budget.first_pass_limit,
        meetings_per_month: config.budget.meetings_per_month,
        troubles: Troubles::default(),
    })
}

/// The enabled calendars, or the one that is named.
pub(super) fn calendars(
    context: &Context,
    config: &Config,
    only: Option<&str>,
) -> Result<Vec<(Watched, Duration)>, Exit> {
    let only = only.map(|name| calendar_named(config, name)).transpose()?;
    let chosen = config
        .enabled()
        .filter(|c| only.as_ref().is_none_or(|name| *name == c.name));
    Ok(chosen
        .filter_map(|calendar| Some((watched(context, calendar)?, calendar.rescan)))
        .collect())
}

/// The enabled calendar with this name.
pub(super) fn calendar_named(config: &Config, name: &str) -> Result<CalendarName, Exit> {
    let found = config.enabled().find(|c| c.name.as_str() == name);
    found.map(|c| c.name.clone()).ok_or_else(|| {
        let known: Vec<_> = config.enabled().map(|c| c.name.as_str()).collect();
        let known = known.join(", ");
        let name = crate::model::Escaped(name);
        output::say(&format!(
            "meetbridge: no enabled calendar is named `{name}`; there are: {known}"
        ));
        Exit::Failed
    })
}

fn watched(context: &Context, calendar: &config::Calendar) -> Option<Watched> {
    let clock: Arc<dyn Clock> = context.clock.clone();
    let port: Arc<dyn Calendar> = match &calendar.source {
        Source::Directory { path } => Arc::new(Directory::directory(path.clone(), clock)),
        Source::File { path } => Arc::new(Directory::file(path.clone(), clock)),
        Source::CalDav(_) => return None,
    };
    Some(Watched {
        name: calendar.name.clone(),
        port,
        organizer: calendar.organizer.clone(),
        language: calendar.language.clone(),
        rules: calendar.rules.clone(),
        zone: calendar.time_zone,
        location: calendar.location,
        show: calendar.show.clone(),
        new_links_per_day: calendar.new_links_per_day,
    })
}

/// Retry-After windows outlive the process in the state.
pub(super) struct StoredWindows(pub(super) Arc<State>);

impl WindowStore for StoredWindows {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        self.0.windows().unwrap_or_default()
    }

    fn store(&self, scope: &str, until: DateTime<Utc>) {
        // A window that cannot be stored still holds in this process.
        let _ = self.0.put_window(scope, until);
    }
}
