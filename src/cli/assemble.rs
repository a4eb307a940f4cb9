//! Configuration → the running parts: state, meeting service, calendars.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::accounts::{Account, Shared};
use super::{Context, Exit, output};
use crate::calendar::directory::Directory;
use crate::calendar::feed::{self, FeedSettings, PlaceSettings, Publish};
use crate::calendar::{Calendar, ReadError};
use crate::clock::Clock as _;
use crate::config::{self, Config, nearest};
use crate::daemon::{Kept, Source};
use crate::http::{Client, ClientError, ClientOptions, Credentials, WindowStore, Windows};
use crate::log;
use crate::meeting::Meetings;
use crate::meeting::graph::{GraphMeetings, GraphSettings};
use crate::model::CalendarName;
use crate::state::{OpenError, State};
use crate::sync::{Bridge, Troubles, Watched};

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
    output::fail(&format!("{}", log::Chain(&error)));
    match error {
        OpenError::Locked { .. } => Exit::TryAgain,
        OpenError::Newer { .. } => Exit::Config,
        OpenError::Unusable { .. } => Exit::Failed,
    }
}

/// What a command works with: the bridge, and the calendars and accounts in file order.
pub(super) struct Parts {
    pub(super) bridge: Arc<Bridge>,
    pub(super) sources: Vec<Source>,
    /// What no request goes out within.
    pub(super) windows: Arc<Windows>,
    /// The one calendar or account that was asked for.
    only: Option<String>,
}

/// Makes the parts of what is enabled, or of `only` the calendar or account with this name.
pub(super) fn parts(
    context: &Context,
    config: &Config,
    state: Arc<State>,
    only: Option<&str>,
) -> Result<Parts, Exit> {
    if let Some(Err(what)) = only.map(|name| configured(config, name)) {
        output::fail(&what);
        return Err(Exit::Failed);
    }
    let Reach { meetings, shared } =
        reach(context, config, state.clone()).map_err(|error| unusable(&error))?;
    let troubles = Troubles::default();
    let bridge = bridge(config, state, Arc::new(meetings), &shared, troubles);
    // Also what is not chosen: an event may have moved there.
    for calendar in config.enabled() {
        match calendar.source {
            config::Source::CalDav(_) => bridge.watches_account(calendar.name.as_str()),
            _ => bridge.watches(&calendar.name),
        }
    }
    let chosen = config
        .enabled()
        .filter(|calendar| only.is_none_or(|name| is_of(name, &calendar.name)));
    let sources = chosen.map(|calendar| source(config, calendar, &shared));
    Ok(Parts {
        sources: sources
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(&error))?,
        bridge: Arc::new(bridge),
        windows: shared.windows,
        only: only.map(ToOwned::to_owned),
    })
}

/// What all calendars share.
pub(super) fn bridge(
    config: &Config,
    state: Arc<State>,
    meetings: Arc<dyn Meetings>,
    shared: &Shared,
    troubles: Troubles,
) -> Bridge {
    Bridge {
        state,
        meetings,
        clock: shared.clock.clone(),
        tenant: config.graph.tenant.clone(),
        first_pass_limit: config.budget.first_pass_limit,
        meetings_per_month: config.budget.meetings_per_month,
        troubles,
    }
}

/// What reaches out of this machine.
pub(super) struct Reach {
    pub(super) meetings: GraphMeetings,
    pub(super) shared: Shared,
}

/// Makes the meeting service, and what all accounts share, within the stored windows. Sends nothing.
pub(super) fn reach(
    context: &Context,
    config: &Config,
    state: Arc<State>,
) -> Result<Reach, ClientError> {
    let windows = Arc::new(Windows::new(
        context.clock.clone(),
        Arc::new(StoredWindows(state.clone())),
    ));
    let shared = shared(context, config, state, windows);
    Ok(Reach {
        meetings: meetings(context, config, &shared)?,
        shared,
    })
}

/// What all accounts share, within the windows that there are.
pub(super) fn shared(
    context: &Context,
    config: &Config,
    state: Arc<State>,
    windows: Arc<Windows>,
) -> Shared {
    Shared {
        network: client_options(config),
        windows,
        notes: state,
        clock: context.clock.clone(),
        random: context.random.clone(),
    }
}

/// The meeting service. Sends nothing.
pub(super) fn meetings(
    context: &Context,
    config: &Config,
    shared: &Shared,
) -> Result<GraphMeetings, ClientError> {
    let client = Client::new(&shared.network)?;
    Ok(GraphMeetings::new(
        graph_settings(config),
        client,
        shared.windows.clone(),
        shared.clock.clone(),
        context.random.clone(),
    ))
}

/// What all connections share.
pub(super) fn client_options(config: &Config) -> ClientOptions {
    let network = &config.network;
    ClientOptions {
        proxy: network.proxy.clone(),
        ca_file: network.ca_file.clone(),
        connect_timeout: network.connect_timeout,
        total_timeout: network.request_timeout,
        ..ClientOptions::default()
    }
}

/// How Graph is reached.
pub(super) fn graph_settings(config: &Config) -> GraphSettings {
    GraphSettings {
        tenant: config.graph.tenant.clone(),
        client_id: config.graph.client_id.clone(),
        graph_url: config.graph.graph_url.clone(),
        authority_url: config.graph.authority_url.clone(),
        sign_in: config.graph.sign_in.clone(),
        in_flight: GraphSettings::IN_FLIGHT,
        mirrors: config.calendars.iter().any(|one| one.api.is_mirror()),
    }
}

pub(super) fn unusable(error: &ClientError) -> Exit {
    output::fail(&format!("{}", log::Chain(error)));
    Exit::Config
}

impl Parts {
    /// The calendars, those of accounts found out; an account that fails is told, and makes the exit
    /// status a failure.
    pub(super) async fn calendars(&self) -> (Vec<Kept>, Exit) {
        let (mut all, mut exit) = (Vec::new(), Exit::Done);
        for source in &self.sources {
            match source {
                Source::Calendar(kept) => all.push(kept.clone()),
                Source::Account(account) => {
                    let asked = self.bridge.clock.now();
                    match account.calendars().await {
                        Ok(found) => {
                            for kept in &found.calendars {
                                self.bridge.watches(&kept.calendar.name);
                            }
                            all.extend(found.calendars);
                            match found.missing {
                                None => self.bridge.has_found(account.name(), asked),
                                Some(error) => exit = missing(account.name(), &error),
                            }
                        }
                        Err(error) => exit = missing(account.name(), &error),
                    }
                }
            }
        }
        if let Some(only) = &self.only {
            let known: Vec<_> = all.iter().map(|kept| kept.calendar.name.clone()).collect();
            all.retain(|kept| {
                is_of(
                    kept.calendar.name.as_str(),
                    &CalendarName::new(only.as_str()),
                )
            });
            if all.is_empty() && exit == Exit::Done {
                let meant = match nearest(only, known.iter().map(CalendarName::as_str)) {
                    Some(meant) => format!("; did you mean `{meant}`?"),
                    None => String::new(),
                };
                let only = crate::model::Escaped(only);
                output::fail(&format!(
                    "the account has no calendar named `{only}`{meant}"
                ));
                exit = Exit::Failed;
            }
        }
        (all, exit)
    }
}

fn missing(account: &str, error: &ReadError) -> Exit {
    output::fail(&format!("{account}: {}", log::Chain(error)));
    Exit::Failed
}

/// Whether `name` is the calendar or account `of`, or a calendar of the account `of`.
pub(super) fn is_of(name: &str, of: &CalendarName) -> bool {
    let rest = name.strip_prefix(of.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// How many calendars are named where another one was asked for.
const MOST_NAMED: usize = 20;

/// The name of a calendar that is enabled, or may be one of an account that is.
///
/// # Errors
/// That there is none, and which there are.
pub(super) fn configured(config: &Config, name: &str) -> Result<CalendarName, String> {
    let is_it = |calendar: &config::Calendar| match calendar.source {
        config::Source::CalDav(_) => is_of(name, &calendar.name),
        _ => calendar.name.as_str() == name,
    };
    if config.enabled().any(is_it) {
        return Ok(CalendarName::new(name));
    }
    let known: Vec<_> = config.enabled().map(|c| c.name.as_str()).collect();
    let meant = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`? "),
        None => String::new(),
    };
    let there = match known.len() {
        0 => "none is enabled".to_owned(),
        1..=MOST_NAMED => format!("there are: {}", known.join(", ")),
        n => format!("there are {n}, which `meetbridge status` shows"),
    };
    let name = crate::model::Escaped(name);
    Err(format!(
        "no enabled calendar is named `{name}`; {meant}{there}"
    ))
}

/// What is watched for one table of the configuration.
pub(super) fn source(
    config: &Config,
    calendar: &config::Calendar,
    shared: &Shared,
) -> Result<Source, ClientError> {
    let clock = shared.clock.clone();
    let port: Arc<dyn Calendar> = match &calendar.source {
        config::Source::Directory { path } => Arc::new(Directory::directory(path.clone(), clock)),
        config::Source::File { path } => Arc::new(Directory::file(path.clone(), clock)),
        config::Source::CalDav(server) => {
            let account = Account::new(config, calendar, server, shared)?;
            return Ok(Source::Account(Arc::new(account)));
        }
        config::Source::Feed(subscribed) => feed::open(
            feed_settings(config, calendar, subscribed, shared),
            shared.windows.clone(),
            shared.notes.clone(),
            clock,
            shared.random.clone(),
        )?,
    };
    Ok(Source::Calendar(Kept {
        calendar: Arc::new(watched(calendar, calendar.name.clone(), port)),
        rescan: calendar.rescan,
    }))
}

/// What the feed of a `[[calendar.feed]]` table needs.
pub(super) fn feed_settings(
    config: &Config,
    calendar: &config::Calendar,
    subscribed: &config::Feed,
    shared: &Shared,
) -> FeedSettings {
    let place = |role: &str, url: &url::Url, credentials: &Credentials| PlaceSettings {
        scope: format!("{role}:{}", calendar.name),
        url: url.clone(),
        credentials: credentials.clone(),
        client: shared.network.clone(),
        allow_http: subscribed.allow_http,
    };
    let publish = match &subscribed.publish {
        config::Publish::File(path) => Publish::File(path.clone()),
        config::Publish::Web { url, credentials } => {
            Publish::Web(Box::new(place("publish", url, credentials)))
        }
        config::Publish::Source => Publish::Source,
    };
    FeedSettings {
        name: calendar.name.to_string(),
        source: place("feed", &subscribed.url, &subscribed.credentials),
        poll: subscribed.poll,
        publish,
        directory: config.state_directory.clone(),
    }
}

/// The calendar `name` behind `port`, as its table says.
pub(super) fn watched(
    calendar: &config::Calendar,
    name: CalendarName,
    port: Arc<dyn Calendar>,
) -> Watched {
    Watched {
        style: calendar.style.within(&name),
        form: calendar.api.form(&name, &calendar.language),
        name,
        port,
        organizer: calendar.organizer.clone(),
        organizers: calendar.organizers.clone(),
        on_cancel: calendar.on_cancel,
        on_delete: calendar.on_delete,
        language: calendar.language.clone(),
        rules: calendar.rules.clone(),
        zone: calendar.time_zone,
        location: calendar.location,
        show: calendar.show.clone(),
        new_links_per_day: calendar.new_links_per_day,
    }
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
