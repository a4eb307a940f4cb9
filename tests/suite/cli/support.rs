//! A world for the real binary: a home directory, a simulator in this process, children that end.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};
use meetbridge::clock::Clock as _;
use meetbridge::daemon::clock::SystemClock;
use meetbridge::simulator::{CLIENT_SECRET, Endpoint, ORGANIZER, Settings, Simulator, Snapshot};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Stands in the title of every event, and must be in nothing that is printed.
pub(super) const TITLE: &str = "Zwiebelkuchen";
/// Is invited to every event, and must be in nothing that is printed.
pub(super) const GUEST: &str = "geheimer.gast@example.org";

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who runs a child that must not be root.
const NOBODY: u32 = 65534;

/// Waits until `condition` gives something; fails with `what` when it does not.
pub(super) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let clock = SystemClock::new();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(clock.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// What a configuration says beside the usual.
pub(super) struct Setup<'a> {
    pub(super) organizer: &'a str,
    /// More lines of `[meeting]`.
    pub(super) meeting: &'a str,
    /// The calendars, and other tables; `HOME` stands for the world's home.
    pub(super) rest: &'a str,
}

/// The usual calendar.
pub(super) const TEAM: &str = "[[calendar.directory]]\nname = \"team\"\npath = \"HOME/team\"\n";

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            organizer: ORGANIZER,
            meeting: "",
            rest: TEAM,
        }
    }
}

/// A home directory with `config.toml`, `graph-secret`, `state/` (once made) and the calendar `team/`,
/// and a simulator.
pub(super) struct World {
    home: TempDir,
    pub(super) simulator: Simulator,
    // After the simulator, which needs it to end.
    _runtime: Runtime,
    program: PathBuf,
    plain_user: bool,
    environment: Vec<(String, String)>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(Arc::new(SystemClock::new()));
        change(&mut settings);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let simulator = runtime.block_on(Simulator::start(settings)).unwrap();
        let home = tempfile::Builder::new()
            .prefix("meetbridge-cli-")
            .tempdir()
            .unwrap();
        simulator.write_secret(home.path()).unwrap();
        let world = Self {
            home,
            simulator,
            _runtime: runtime,
            program: PathBuf::from(env!("CARGO_BIN_EXE_meetbridge")),
            plain_user: false,
            environment: Vec::new(),
        };
        std::fs::create_dir(world.path("team")).unwrap();
        world.configure(&Setup::default());
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn configure(&self, setup: &Setup<'_>) {
        let text = format!(
            "{}\n[state]\ndirectory = \"HOME/state\"\n\n[meeting]\norganizer = \"{}\"\nsettle = \"0s\"\n\
             {}\n{}",
            self.simulator.graph_toml(&self.path("graph-secret")),
            setup.organizer,
            setup.meeting,
            setup.rest,
        );
        let text = text.replace("HOME", self.home.path().to_str().unwrap());
        std::fs::write(self.path("config.toml"), text).unwrap();
    }

    /// Another value of a line of the configuration.
    pub(super) fn reconfigure(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("config.toml")).unwrap();
        assert!(text.contains(from), "{from} is not in the configuration");
        std::fs::write(self.path("config.toml"), text.replace(from, to)).unwrap();
    }

    /// Gives every child this variable.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Runs every child from here on as somebody to whom permission bits apply: root hands the
    /// home to `nobody` and runs children as that user; anybody else is such a user already.
    pub(super) fn become_plain(&mut self) {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        // The build directory may be closed to others.
        let program = self.path("meetbridge");
        std::fs::copy(&self.program, &program).unwrap();
        self.program = program;
        self.plain_user = true;
        let mut all = vec![self.home.path().to_owned()];
        while let Some(path) = all.pop() {
            std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            if path.is_dir() {
                all.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            }
        }
    }

    /// Makes a file of the calendar `team`, at once and whole.
    pub(super) fn put(&self, name: &str, text: &str) {
        self.put_in("team", name, text);
    }

    pub(super) fn put_in(&self, calendar: &str, name: &str, text: &str) {
        let temporary = self.path(&format!("{calendar}/.{name}.editor"));
        std::fs::write(&temporary, text).unwrap();
        if self.plain_user {
            std::os::unix::fs::chown(&temporary, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        std::fs::rename(&temporary, self.path(&format!("{calendar}/{name}"))).unwrap();
    }

    pub(super) fn get(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("team").join(name)).unwrap()
    }

    /// The names in a directory of the home, sorted.
    pub(super) fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.simulator.snapshot()
    }

    pub(super) fn asked(&self) -> u64 {
        self.snapshot().requests(Endpoint::CreateOrGet)
    }

    /// Whether the file carries the link of this event's meeting.
    pub(super) fn is_linked(&self, name: &str, uid: &str) -> bool {
        let Ok(text) = std::fs::read_to_string(self.path("team").join(name)) else {
            return false;
        };
        let snapshot = self.snapshot();
        let meeting = snapshot.meeting(uid).and_then(|m| m.current.as_ref());
        let linked = meeting.is_some_and(|m| unfold(&text).contains(&m.join_web_url))
            && text.contains("X-MEETBRIDGE-MEETING");
        if linked {
            assert_clients(&text);
        }
        linked
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.home.path())
            .env("TZ", "UTC")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home.path())
            .args(arguments)
            .stdin(Stdio::null());
        if self.plain_user {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Starts a command with nothing but the given arguments.
    pub(super) fn start_bare(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(&self.program, arguments))
    }

    /// Starts another program as a child of this world.
    pub(super) fn start_program(&self, program: &str, arguments: &[&str]) -> Running {
        Running::start(self.command(Path::new(program), arguments))
    }

    /// Starts a command with the world's configuration and a talkative log.
    pub(super) fn start(&self, arguments: &[&str]) -> Running {
        let config = self.path("config.toml");
        let given = ["--config", config.to_str().unwrap(), "--log", "debug"];
        self.start_bare(&[&given, arguments].concat())
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).finish()
    }

    /// `sync`, which must go well.
    pub(super) fn sync(&self) -> Ended {
        let ended = self.run(&["sync"]);
        assert_eq!(ended.code, Some(0), "{ended}");
        ended
    }
}

/// A child. It is killed when this is dropped.
pub(super) struct Running {
    child: Child,
    out: Pipe,
    err: Pipe,
}

/// What a child writes into one of its pipes.
struct Pipe {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Pipe {
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let into = text.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                into.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Self {
            text,
            reader: Some(reader),
        }
    }

    fn so_far(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }

    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.so_far()
    }
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self {
            child,
            out: Pipe::read(out),
            err: Pipe::read(err),
        }
    }

    /// Waits until the log holds `text`.
    pub(super) fn wait_log(&mut self, text: &str) {
        wait_until(text, || {
            let ended = self.child.try_wait().unwrap();
            let log = self.err.so_far();
            assert!(
                ended.is_none() || log.contains(text),
                "it ended ({ended:?}):\n{log}"
            );
            log.contains(text)
        });
    }

    pub(super) fn log(&self) -> String {
        self.err.so_far()
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// SIGTERM, then its end.
    pub(super) fn terminate(self) -> Ended {
        self.signal(Signal::TERM);
        self.finish()
    }

    /// SIGINT.
    pub(super) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// SIGHUP.
    pub(super) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGKILL, then its end.
    pub(super) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.finish()
    }

    /// Waits for its end.
    pub(super) fn finish(mut self) -> Ended {
        let status = wait_for("the end of a command", || self.child.try_wait().unwrap());
        Ended::new(status, self.out.all(), self.err.all())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child that has ended. Nothing secret is in what it printed: that is asserted here, so it holds
/// for every command of every test.
#[derive(Debug)]
pub(super) struct Ended {
    /// `None` when a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

/// What must not be printed, whatever happens.
pub(super) const SECRETS: [&str; 7] = [
    TITLE,
    GUEST,
    CLIENT_SECRET,
    "meetup-join",
    "client_secret",
    "Bearer",
    "BEGIN:VCALENDAR",
];

/// A word of the letters of base64url that is so long can only be a token.
const TOKEN_LENGTH: usize = 120;

impl Ended {
    fn new(status: ExitStatus, out: String, err: String) -> Self {
        let ended = Self {
            code: status.code(),
            out,
            err,
        };
        for secret in SECRETS {
            let leaked = ended.out.contains(secret) || ended.err.contains(secret);
            assert!(!leaked, "`{secret}` was printed: {ended}");
        }
        for text in [&ended.out, &ended.err] {
            let long = |word: &str| word.len() >= TOKEN_LENGTH;
            let word = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_';
            assert!(
                !text.split(word).any(long),
                "what looks like a token was printed: {ended}"
            );
        }
        assert!(!ended.err.contains("internal error"), "{ended}");
        ended
    }

    /// Asserts how it ended and that stderr says all of `parts`.
    #[track_caller]
    pub(super) fn says(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self}");
        for part in parts {
            assert!(self.err.contains(part), "stderr lacks `{part}`: {self}");
        }
        self
    }

    /// Asserts that stdout holds all of `parts`.
    #[track_caller]
    pub(super) fn shows(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.out.contains(part), "stdout lacks `{part}`: {self}");
        }
        self
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.code, self.out, self.err
        )
    }
}

/// A calendar with these events.
pub(super) fn calendar(events: &[String]) -> String {
    let head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//test//EN\r\n";
    format!("{head}{}END:VCALENDAR\r\n", events.concat())
}

/// An event that starts in so many hours and lasts one.
pub(super) fn event(uid: &str, hours: i64) -> String {
    let start = hour_after(hours).format("%Y%m%dT%H%M%SZ");
    format!(
        "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:{start}\r\n\
         DURATION:PT1H\r\nSUMMARY:{TITLE} {hours}\r\nDESCRIPTION:Agenda\r\n\
         ATTENDEE;CN=Gast:mailto:{GUEST}\r\nX-KEPT;X-P=\"a;b\":as it is\r\nEND:VEVENT\r\n"
    )
}

/// A calendar with one event, tomorrow.
pub(super) fn single(uid: &str) -> String {
    calendar(&[event(uid, 24)])
}

/// The full hour that is so many hours ahead, counted from when the tests began: an hour that ends
/// while a test runs does not make another text of the same event.
pub(super) fn hour_after(hours: i64) -> DateTime<Utc> {
    static BEGAN: OnceLock<DateTime<Utc>> = OnceLock::new();
    let began = BEGAN.get_or_init(|| SystemClock::new().now());
    let at = *began + chrono::TimeDelta::hours(hours);
    DateTime::from_timestamp(at.timestamp() / 3600 * 3600, 0).unwrap()
}

/// Content lines instead of folded ones.
pub(super) fn unfold(text: &str) -> String {
    text.replace("\r\n ", "").replace("\n ", "")
}

/// Asserts that `after` is `before` with our lines put in: every line is there, in order, as it was;
/// only DESCRIPTION may go on after its end, and DTSTAMP may be another.
#[track_caller]
pub(super) fn assert_additive(before: &str, after: &str) {
    const OURS: [&str; 6] = [
        "DESCRIPTION",
        "CONFERENCE",
        "URL",
        "LOCATION",
        "X-MICROSOFT-SKYPETEAMSMEETINGURL",
        "X-MEETBRIDGE-MEETING",
    ];
    let lines = |text: &str| {
        text.split_inclusive('\n')
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (mut old, mut ours) = (lines(before).into_iter().peekable(), false);
    for line in lines(after) {
        let is_next = old.peek().is_some_and(|next| {
            *next == line
                || (next.starts_with("DTSTAMP:") && line.starts_with("DTSTAMP:"))
                || (next.starts_with("DESCRIPTION") && line.starts_with(next.trim_end()))
        });
        if is_next {
            ours = line.starts_with("DESCRIPTION");
            old.next();
            continue;
        }
        let name = line.split([':', ';']).next().unwrap_or_default();
        ours = if line.starts_with(' ') {
            ours
        } else {
            OURS.contains(&name)
        };
        assert!(ours, "a foreign line: {line:?} in\n{after}\nfrom\n{before}");
    }
    assert_eq!(old.next(), None, "a line is lost:\n{after}");
    assert_clients(after);
}

/// Every client finds the link of every event that has one.
#[track_caller]
pub(super) fn assert_clients(text: &str) {
    if let Err(why) = crate::clients::each_found(text.as_bytes(), |_| true) {
        panic!("{why}\n{text}");
    }
}

/// The files of a directory with their content.
pub(super) fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(directory)
        .unwrap()
        .map(|e| e.unwrap().path());
    let mut all: Vec<_> = entries
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}
