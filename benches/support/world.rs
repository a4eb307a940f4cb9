//! What is measured: a home with a configuration and a state, and the Graph simulator beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use meetbridge::calendar::Calendar;
use meetbridge::clock::Clock;
use meetbridge::config::{self, Config, Machine};
use meetbridge::daemon::clock::{SystemClock, SystemRandom};
use meetbridge::http::{Client, ClientOptions, WindowStore, Windows};
use meetbridge::log;
use meetbridge::meeting::graph::{GraphMeetings, GraphSettings};
use meetbridge::model::CalendarName;
use meetbridge::simulator::{ORGANIZER, Settings, Simulator};
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Troubles, Watched};
use tempfile::TempDir;

use super::Result;

/// A home on disk and the simulator it is configured for.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    home: TempDir,
}

impl World {
    /// A home whose one `[[calendar...]]` is what `table` says, and a Graph that takes `latency` for
    /// each answer.
    pub(crate) async fn new(
        latency: Duration,
        table: impl FnOnce(&Path) -> Result<String>,
    ) -> Result<Self> {
        let mut settings = Settings::new(Arc::new(SystemClock::new()));
        settings.latency = latency;
        let simulator = Simulator::start(settings).await?;
        // Not in memory: what is measured writes to a disk.
        let home = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let secret = simulator.write_secret(home.path())?;
        let text = format!(
            "{}\n[state]\ndirectory = {}\n\n\
             [meeting]\norganizer = \"{ORGANIZER}\"\nsettle = \"0s\"\ntime-zone = \"Europe/Berlin\"\n\n\
             [budget]\nfirst-pass-limit = 100000\nnew-links-per-day = 100000\n\
             meetings-per-month = 2000\n\n{}",
            simulator.graph_toml(&secret),
            quoted(&home.path().join("state")),
            table(home.path())?,
        );
        std::fs::write(config_file(home.path()), text)?;
        Ok(Self { simulator, home })
    }

    /// Where everything is.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Forgets everything that was remembered.
    pub(crate) fn forget(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(self.home().join("state")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The configuration file of a home.
pub(crate) fn config_file(home: &Path) -> PathBuf {
    home.join("config.toml")
}

/// A path as the configuration takes it.
pub(crate) fn quoted(path: &Path) -> String {
    toml::Value::from(path.to_string_lossy().as_ref()).to_string()
}

/// The running parts, put together from a home's configuration as the commands do it.
pub(crate) struct Parts {
    pub(crate) bridge: Bridge,
    /// The one `[[calendar...]]`.
    pub(crate) table: config::Calendar,
    pub(crate) windows: Arc<Windows>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// As many calls to Graph as the daemon has in flight.
const IN_FLIGHT: usize = 50;

/// Puts them together. The log is made at its usual level and thrown away.
pub(crate) fn assemble(home: &Path) -> Result<Parts> {
    assemble_for(home, IN_FLIGHT)
}

/// The same with so many calls to Graph in flight.
pub(crate) fn assemble_for(home: &Path, in_flight: usize) -> Result<Parts> {
    let config = Config::load(&config_file(home), &Machine::default())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    log::init(log::Output {
        format: config.log.format.unwrap_or_default(),
        filter: config.log.filter.clone(),
        colour: false,
        clock: clock.clone(),
        writer: io::sink,
    })?;
    let (state, _) = State::open(&config.state_directory, clock.now())?;
    let state = Arc::new(state);
    let windows = Arc::new(Windows::new(clock.clone(), Arc::new(NoWindows)));
    let settings = GraphSettings {
        tenant: config.graph.tenant.clone(),
        client_id: config.graph.client_id.clone(),
        graph_url: config.graph.graph_url.clone(),
        authority_url: config.graph.authority_url.clone(),
        sign_in: config.graph.sign_in.clone(),
        in_flight,
        mirrors: false,
    };
    let client = Client::new(&ClientOptions::default())?;
    let meetings = GraphMeetings::new(
        settings,
        client,
        windows.clone(),
        clock.clone(),
        Arc::new(SystemRandom),
    );
    let bridge = Bridge {
        state,
        meetings: Arc::new(meetings),
        clock: clock.clone(),
        tenant: config.graph.tenant.clone(),
        first_pass_limit: config.budget.first_pass_limit,
        meetings_per_month: config.budget.meetings_per_month,
        troubles: Troubles::default(),
    };
    let table = config
        .calendars
        .into_iter()
        .next()
        .ok_or("no calendar is configured")?;
    Ok(Parts {
        bridge,
        table,
        windows,
        clock,
    })
}

/// The calendar `name` behind `port`, as its table says.
pub(crate) fn watched(
    table: &config::Calendar,
    name: CalendarName,
    port: Arc<dyn Calendar>,
) -> Watched {
    Watched {
        style: table.style.within(&name),
        name,
        port,
        organizer: table.organizer.clone(),
        organizers: Default::default(),
        on_cancel: Default::default(),
        on_delete: Default::default(),
        language: table.language.clone(),
        rules: table.rules.clone(),
        zone: table.time_zone,
        location: table.location,
        show: table.show.clone(),
        new_links_per_day: table.new_links_per_day,
        form: Default::default(),
    }
}

/// No Retry-After windows are remembered.
struct NoWindows;

impl WindowStore for NoWindows {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        Vec::new()
    }

    fn store(&self, _: &str, _: DateTime<Utc>) {}
}
