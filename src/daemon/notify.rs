//! What the service manager is told, and how it learns that a calendar is stuck (sd_notify(3),
//! sd_watchdog_enabled(3)).
//!
//! [`Manager`] is the way to it; without `NOTIFY_SOCKET`, all of this is silent. [`Herald`] tells it that
//! the daemon is ready, how it stands, and that it is alive, until it stops.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::Desk;
use crate::clock::Clock;
use crate::log::{self, Lasting};
use crate::model::CalendarName;
use crate::state::State;

/// How often at most the status line is told.
const STATUS: Duration = Duration::from_secs(5);

/// How long at most the links are not counted anew, whatever the passes tell.
const RECOUNT: Duration = Duration::from_secs(5 * 60);

/// Counting takes at most this part of the time.
const SHARE: u32 = 50;

/// While what began finishes, the manager is asked for so much patience, so often.
const EXTENSION: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

/// How long a message may wait to be taken.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a calendar's task may go without progress, beside a request's own time: the schedule sleeps
/// for up to a minute, a sign-in that is under way elsewhere is waited for up to 90 s, and the rest is for
/// a slow disk.
const LEEWAY: Duration = Duration::from_secs(5 * 60);

/// How many calendars the status line names of a kind.
const NAMED: usize = 3;

/// The service manager that started this process, if one did.
#[derive(Debug)]
pub struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Within which time it wants to be told that the process is alive.
    watchdog: Option<Duration>,
    failing: Lasting<()>,
}

impl Manager {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    pub fn of_process() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET");
        Self::new(socket.as_deref(), sd_notify::watchdog_enabled())
    }

    /// One that listens at `socket`: a path, or `@` and the name of an abstract socket.
    pub fn new(socket: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let mut manager = Self {
            socket: None,
            watchdog: watchdog.filter(|within| !within.is_zero()),
            failing: Lasting::default(),
        };
        match socket.filter(|name| !name.is_empty()).map(open).transpose() {
            Ok(socket) => manager.socket = socket,
            Err(error) => manager.fails(&error),
        }
        manager
    }

    /// The configuration is about to be read anew; [`Manager::ready`] ends that.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => self.fails(&error),
        }
    }

    /// The daemon is at work, or is so again.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// In one datagram. `sd-notify` words it; its own sending does not know abstract sockets.
    fn tell(&self, what: &[NotifyState<'_>]) {
        let Some((socket, manager)) = &self.socket else {
            return;
        };
        let mut message = String::new();
        for state in what {
            let _ = writeln!(message, "{state}");
        }
        match socket.send_to_addr(message.as_bytes(), manager) {
            Ok(_) => {
                if self.failing.works(&()) {
                    log::event!(NOTIFY_RECOVERED);
                }
            }
            Err(error) => self.fails(&error),
        }
    }

    fn fails(&self, error: &io::Error) {
        if self.failing.fails((), error.to_string()) {
            log::event!(NOTIFY_FAILING, error = %error);
        }
    }
}

fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, address))
}

/// How long a calendar's task may go without progress where a request may take `request`.
pub fn longest(request: Duration) -> Duration {
    request + LEEWAY
}

/// Tells the manager of the daemon.
pub struct Herald {
    /// The manager.
    pub manager: Arc<Manager>,
    /// The calendars that are watched.
    pub desk: Arc<Desk>,
    /// What is remembered of them.
    pub state: Arc<State>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long a calendar's task may go without progress: see [`longest`].
    pub longest: Duration,
}

impl Herald {
    /// Tells until it is dropped: that the daemon is ready once it is, its status when that changes, and
    /// that it is alive as long as every calendar's task gets on. After `stop`, that it stops, and that it
    /// takes its time.
    pub async fn run(self, stop: CancellationToken) {
        if self.manager.socket.is_none() {
            return;
        }
        let ready = tokio::select! {
            () = self.desk.ready() => true,
            () = stop.cancelled() => false,
        };
        if ready {
            self.manager.ready();
            tokio::join!(self.alive(), async {
                tokio::select! {
                    () = stop.cancelled() => self.stopping().await,
                    () = self.status() => {}
                }
            });
        } else {
            self.stopping().await;
        }
    }

    /// Pings, three times in the time that the manager sets, while nothing is stuck.
    async fn alive(&self) {
        let told = Lasting::default();
        let pings = self.manager.watchdog.map(|within| within / 3);
        loop {
            let progress = self.desk.progress();
            let stuck = progress.stuck(self.clock.elapsed(), self.longest);
            for calendar in told.keep(|calendar| stuck.contains(calendar)) {
                log::event!(CALENDAR_UNSTUCK, calendar = %calendar);
            }
            for calendar in &stuck {
                if told.fails(calendar.clone(), "") {
                    let seconds = self.longest.as_secs();
                    log::event!(CALENDAR_STUCK, calendar = %calendar, seconds = seconds);
                }
            }
            if pings.is_some() && stuck.is_empty() {
                self.manager.tell(&[NotifyState::Watchdog]);
            }
            self.clock.sleep(pings.unwrap_or(STATUS)).await;
        }
    }

    /// Tells the status line whenever it is another one.
    async fn status(&self) {
        let mut told = String::new();
        let mut counted: Option<(u64, Duration)> = None;
        let mut count = Count::default();
        let mut not_before = Duration::ZERO;
        loop {
            let (now, news) = (self.clock.elapsed(), self.desk.news());
            let stale =
                counted.is_none_or(|(of, at)| of != news || now.saturating_sub(at) >= RECOUNT);
            if stale && now >= not_before {
                let watched = self.desk.calendars();
                let watched = watched
                    .iter()
                    .map(|calendar| calendar.name.clone())
                    .collect();
                let state = self.state.clone();
                let counting = tokio::task::spawn_blocking(move || Count::of(&state, &watched));
                // What cannot be counted is told as it was; the passes report the fault.
                if let Ok(Some(new)) = counting.await {
                    count = new;
                }
                let took = self.clock.elapsed().saturating_sub(now);
                not_before = self.clock.elapsed() + took * SHARE;
                counted = Some((news, now));
            }
            let text = count.told(&self.next_poll());
            if text != told {
                self.manager.tell(&[NotifyState::Status(&text)]);
                told = text;
            }
            self.clock.sleep(STATUS).await;
        }
    }

    /// When a calendar is looked at next, in words.
    fn next_poll(&self) -> String {
        let now = self.clock.elapsed();
        match self.desk.next_pass() {
            None => "none".to_owned(),
            Some(at) if at <= now => "now".to_owned(),
            Some(at) => {
                let left = TimeDelta::from_std(at - now).unwrap_or_default();
                (self.clock.now() + left).format("%H:%M:%S UTC").to_string()
            }
        }
    }

    /// Asks for time as long as it is needed: what waits for the end drops this.
    async fn stopping(&self) {
        let (longer, again) = EXTENSION;
        let more = u32::try_from(longer.as_micros()).unwrap_or(u32::MAX);
        self.manager.tell(&[
            NotifyState::Stopping,
            NotifyState::Status("finishes what it began and stops"),
        ]);
        loop {
            self.manager.tell(&[NotifyState::ExtendTimeoutUsec(more)]);
            self.clock.sleep(again).await;
        }
    }
}

/// How the calendars stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Count {
    calendars: usize,
    links: u64,
    failing: Vec<String>,
    frozen: Vec<String>,
}

impl Count {
    /// Of what is watched; `None` when the state cannot be read.
    fn of(state: &State, watched: &BTreeSet<CalendarName>) -> Option<Self> {
        let mut count = Self {
            calendars: watched.len(),
            ..Self::default()
        };
        let known = state.overview().ok()?;
        for own in known.iter().filter(|own| watched.contains(&own.calendar)) {
            count.links += own.links.iter().map(|n| u64::from(*n)).sum::<u64>();
            if own.record.failing.is_some() {
                count.failing.push(own.calendar.to_string());
            }
            if own.record.frozen.is_some() {
                count.frozen.push(own.calendar.to_string());
            }
        }
        Some(count)
    }

    /// The status line.
    fn told(&self, next: &str) -> String {
        let (calendars, links) = (self.calendars, self.links);
        let (failing, frozen) = (listed(&self.failing), listed(&self.frozen));
        format!(
            "calendars: {calendars}, linked: {links}, failing: {failing}, frozen: {frozen}, next poll: {next}"
        )
    }
}

/// How many there are, and the first names.
fn listed(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    match (names.len(), names.len() > NAMED) {
        (0, _) => "0".to_owned(),
        (n, false) => format!("{n} ({})", first.join(", ")),
        (n, true) => format!("{n} ({}...)", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::http::testing::Timeless;
    use crate::log::{Filter, Format, Output};

    const WATCHDOG: Duration = Duration::from_secs(60);

    /// A manager that takes in what it is told, on a thread of its own until it is told the end.
    struct Listener {
        name: std::ffi::OsString,
        told: Arc<Mutex<Vec<String>>>,
        _directory: tempfile::TempDir,
    }

    impl Listener {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            let told = Arc::<Mutex<Vec<String>>>::default();
            let into = told.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = socket.recv(&mut buffer) {
                    let text = std::str::from_utf8(&buffer[..n]).unwrap().to_owned();
                    into.lock().unwrap().push(text);
                }
            });
            Self {
                name: path.into_os_string(),
                told,
                _directory: directory,
            }
        }

        /// How often it was told this since the last time that anybody asked.
        fn count(&self, manager: &Manager, what: &str) -> usize {
            // What was sent before is there when this is.
            manager.tell(&[NotifyState::Custom("X=end")]);
            loop {
                let mut told = self.told.lock().unwrap();
                if told.last().is_some_and(|last| last == "X=end\n") {
                    return told.drain(..).filter(|text| text == what).count();
                }
                drop(told);
                std::thread::yield_now();
            }
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_stuck_calendar_ends_the_pings_until_it_gets_on() {
        let clock = Arc::new(Timeless::default());
        let lines = Lines::default();
        let writer = lines.clone();
        let _log = tracing::subscriber::set_default(log::subscriber(Output {
            format: Format::default(),
            filter: Filter::level(tracing::Level::INFO),
            colour: false,
            clock: clock.clone(),
            writer: move || writer.clone(),
        }));
        let listener = Listener::new();
        let manager = Arc::new(Manager::new(Some(&listener.name), Some(WATCHDOG)));
        let desk = Arc::<Desk>::default();
        let longest = longest(Duration::from_secs(30));
        let herald = Herald {
            manager: manager.clone(),
            desk: desk.clone(),
            state: Arc::new(State::in_memory().unwrap()),
            clock: clock.clone(),
            longest,
        };
        let (team, alice) = (CalendarName::new("team"), CalendarName::new("alice/Work"));
        let stamp = |name| desk.progress().stamp(name, clock.elapsed());
        stamp(&team);
        desk.has_begun();
        let stop = CancellationToken::new();
        let telling = tokio::spawn(herald.run(stop.clone()));
        let passes = async |until: Duration| {
            while clock.elapsed() < until {
                stamp(&alice);
                tokio::task::yield_now().await;
            }
        };
        let stuck = |of: &str| {
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            let line = |line: &&str| line.contains("calendar.stuck") && line.contains(of);
            text.lines().filter(line).count()
        };

        passes(longest).await;
        let ping = "WATCHDOG=1\n";
        assert!(listener.count(&manager, ping) > 3);
        assert_eq!(stuck("calendar=team"), 0);
        passes(longest + 3 * WATCHDOG).await;
        listener.count(&manager, ping);
        passes(longest * 3).await;
        assert_eq!(listener.count(&manager, ping), 0, "it is stuck");
        assert_eq!((stuck("calendar=team"), stuck("alice")), (1, 0));
        stamp(&team);
        passes(clock.elapsed() + longest / 2).await;
        assert!(listener.count(&manager, ping) > 3, "it gets on");

        stop.cancel();
        passes(clock.elapsed() + longest / 2).await;
        telling.abort();
        let longer = "EXTEND_TIMEOUT_USEC=10000000\n";
        assert!(listener.count(&manager, longer) > 3, "it takes its time");
    }

    #[test]
    fn the_status_names_what_needs_a_person_and_little_else() {
        let mut count = Count {
            calendars: 7,
            links: 120,
            ..Count::default()
        };
        assert_eq!(
            count.told("now"),
            "calendars: 7, linked: 120, failing: 0, frozen: 0, next poll: now"
        );
        count.failing = vec!["team".to_owned()];
        count.frozen = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(
            count.told("14:05:00 UTC"),
            "calendars: 7, linked: 120, failing: 1 (team), frozen: 4 (a, b, c...), next poll: \
             14:05:00 UTC"
        );
    }
}
