//! What is measured: a home with a configuration, a state and a calendar directory, the simulator
//! beside it, and events like those of real calendars.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use meetbridge::calendar::Calendar;
use meetbridge::calendar::directory::Directory;
use meetbridge::clock::Clock;
use meetbridge::config::{Config, Machine, Source};
use meetbridge::daemon::clock::{SystemClock, SystemRandom};
use meetbridge::http::{Client, ClientOptions, WindowStore, Windows};
use meetbridge::log::{self, Filter};
use meetbridge::meeting::graph::{GraphMeetings, GraphSettings};
use meetbridge::simulator::{ORGANIZER, Settings, Simulator};
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Troubles, Watched};
use tempfile::TempDir;

use crate::Result;

/// A home on disk and the simulator it is configured for.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    home: TempDir,
}

impl World {
    /// An empty calendar directory, and a Graph that takes `latency` for each answer.
    pub(crate) async fn new(latency: Duration) -> Result<Self> {
        let mut settings = Settings::new(Arc::new(SystemClock::new()));
        settings.latency = latency;
        let simulator = Simulator::start(settings).await?;
        // Not in memory: what is measured writes to a disk.
        let home = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        std::fs::create_dir(home.path().join("calendar"))?;
        let secret = simulator.write_secret(home.path())?;
        let quoted = |path: PathBuf| toml::Value::from(path.to_string_lossy().as_ref()).to_string();
        let text = format!(
            "{}\n[state]\ndirectory = {}\n\n\
             [meeting]\norganizer = \"{ORGANIZER}\"\nsettle = \"0s\"\ntime-zone = \"Europe/Berlin\"\n\n\
             [budget]\nfirst-pass-limit = 100000\nnew-links-per-day = 100000\n\
             meetings-per-month = 2000\n\n\
             [[calendar.directory]]\nname = \"team\"\npath = {}\n",
            simulator.graph_toml(&secret),
            quoted(home.path().join("state")),
            quoted(home.path().join("calendar")),
        );
        std::fs::write(config_file(home.path()), text)?;
        Ok(Self { simulator, home })
    }

    /// Where everything is.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The calendar directory.
    pub(crate) fn calendar(&self) -> PathBuf {
        self.home.path().join("calendar")
    }

    /// Fills the calendar directory: one event in each of `count` files.
    pub(crate) fn fill(&self, count: usize, attendees: bool) -> io::Result<()> {
        for n in 0..count {
            let file = self.calendar().join(format!("{n:05}.ics"));
            std::fs::write(file, calendar(n..n + 1, attendees))?;
        }
        Ok(())
    }
}

/// The configuration file of a home.
pub(crate) fn config_file(home: &Path) -> PathBuf {
    home.join("config.toml")
}

/// A calendar with these events, each of its own UID, on the days to come; every tenth is a series.
pub(crate) fn calendar(events: std::ops::Range<usize>, attendees: bool) -> String {
    let mut text = String::from(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//Calendar 1.0//EN\r\n\
         BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n\
         BEGIN:DAYLIGHT\r\nDTSTART:19810329T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\n\
         TZNAME:CEST\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\n\
         BEGIN:STANDARD\r\nDTSTART:19961027T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\n\
         TZNAME:CET\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n",
    );
    let today = SystemClock::new().now();
    for n in events {
        let day = today + chrono::Duration::days(2 + (n % 300) as i64);
        let (day, hour) = (day.format("%Y%m%d"), 8 + n % 9);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "BEGIN:VEVENT\r\nUID:{n:08}-4c1d-4f0e-9b7a-2f6f3f0d5a11@example.org\r\n\
             DTSTAMP:20250101T080000Z\r\nCREATED:20250101T080000Z\r\nLAST-MODIFIED:20250101T080000Z\r\n\
             SUMMARY:Weekly review of project {n} and its open questions\r\n\
             DTSTART;TZID=Europe/Berlin:{day}T{hour:02}0000\r\n\
             DTEND;TZID=Europe/Berlin:{day}T{hour:02}4500\r\n\
             DESCRIPTION:Agenda:\\n1. What was done since the last time\\n2. What is in the\r\n  way\\n\
             3. What comes next\\n\\nPlease add your points to the shared notes.\r\n\
             SEQUENCE:1\r\nSTATUS:CONFIRMED\r\nTRANSP:OPAQUE\r\n"
        );
        if n % 10 == 9 {
            text += "RRULE:FREQ=WEEKLY;COUNT=20\r\n";
        }
        if attendees {
            text += "ORGANIZER;CN=Alice Example:mailto:alice@example.org\r\n\
                     ATTENDEE;CN=Bob Example;PARTSTAT=ACCEPTED;RSVP=TRUE:mailto:bob@example.org\r\n\
                     ATTENDEE;CN=Carol Example;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:carol@example.\r\n org\r\n";
        }
        text += "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT15M\r\nDESCRIPTION:Reminder\r\n\
                 END:VALARM\r\nEND:VEVENT\r\n";
    }
    text + "END:VCALENDAR\r\n"
}

/// The running parts, put together from a home's configuration as the commands do it. The log is made
/// at its usual level and thrown away.
pub(crate) fn assemble(home: &Path) -> Result<(Bridge, Watched)> {
    let config = Config::load(&config_file(home), &Machine::default())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    log::init(log::Output {
        format: config.log.format,
        filter: Filter::level(config.log.level),
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
        secret: config.graph.secret.clone(),
        in_flight: 50,
    };
    let client = Client::new(&ClientOptions::default())?;
    let meetings = GraphMeetings::new(
        settings,
        client,
        windows,
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
    let calendar = config
        .calendars
        .into_iter()
        .next()
        .ok_or("no calendar is configured")?;
    let port: Arc<dyn Calendar> = match &calendar.source {
        Source::Directory { path } => Arc::new(Directory::directory(path.clone(), clock)),
        Source::File { path } => Arc::new(Directory::file(path.clone(), clock)),
        Source::CalDav(_) => return Err("this measures directories".into()),
    };
    let watched = Watched {
        name: calendar.name,
        port,
        organizer: calendar.organizer,
        language: calendar.language,
        rules: calendar.rules,
        zone: calendar.time_zone,
        location: calendar.location,
        show: calendar.show,
        new_links_per_day: calendar.new_links_per_day,
    };
    Ok((bridge, watched))
}

/// No Retry-After windows are remembered.
struct NoWindows;

impl WindowStore for NoWindows {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        Vec::new()
    }

    fn store(&self, _: &str, _: DateTime<Utc>) {}
}
