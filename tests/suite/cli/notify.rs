//! What systemd is told, by the real binary at a socket of the test's.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use meetbridge::simulator::Endpoint;
use rustix::process::{Pid, Signal, kill_process};

use super::support::{World, single, wait_for, wait_until};

/// A service manager: what it is told, line by line, and message by message.
struct Manager {
    socket: UnixDatagram,
    name: OsString,
    told: Vec<String>,
    messages: Vec<String>,
}

impl Manager {
    /// One that listens in the world's home, or at an abstract address.
    fn new(world: &mut World, is_abstract: bool) -> Self {
        let path = world.path("notify");
        let (socket, name) = if is_abstract {
            let name = format!("meetbridge-test-{}", path.display());
            let address = SocketAddr::from_abstract_name(&name).unwrap();
            (UnixDatagram::bind_addr(&address), format!("@{name}").into())
        } else {
            (UnixDatagram::bind(&path), path.into_os_string())
        };
        let socket = socket.unwrap();
        socket.set_nonblocking(true).unwrap();
        let manager = Self {
            socket,
            name,
            told: Vec::new(),
            messages: Vec::new(),
        };
        world.set("NOTIFY_SOCKET", manager.name.to_str().unwrap());
        manager
    }

    /// Takes in what has come.
    fn take(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(n) = self.socket.recv(&mut buffer) {
            let text = std::str::from_utf8(&buffer[..n]).unwrap();
            self.told.extend(text.lines().map(str::to_owned));
            self.messages.push(text.to_owned());
        }
    }

    /// Waits until it was told a line that begins so; returns the place of the first.
    fn waits_for(&mut self, line: &str) -> usize {
        wait_for(line, || {
            self.take();
            self.told.iter().position(|told| told.starts_with(line))
        })
    }

    fn count(&mut self, line: &str) -> usize {
        self.take();
        self.told.iter().filter(|told| *told == line).count()
    }
}

#[test]
fn it_is_ready_without_an_answer_tells_how_it_stands_and_that_it_stops() {
    for is_abstract in [false, true] {
        // Graph takes its time with the one event there is.
        let mut world = World::with(|settings| settings.latency = Duration::from_secs(2));
        let mut manager = Manager::new(&mut world, is_abstract);
        world.set("WATCHDOG_USEC", "600000");
        world.put("a.ics", &single("a@example.org"));
        let running = world.start(&["run"]);
        let ready = manager.waits_for("READY=1");
        assert_eq!(world.asked(), 0, "before Graph has answered");
        manager.waits_for("STATUS=calendars: 1, linked: 1, failing: 0, frozen: 0, next poll: ");
        let pings = manager.count("WATCHDOG=1");
        assert!(pings > 1, "{pings}");
        assert_eq!(ready, 0, "nothing is told before: {:?}", manager.told);

        // A pass that has begun is finished first.
        world.put("b.ics", &single("b@example.org"));
        wait_until("a pass", || {
            world.snapshot().requests(Endpoint::CreateOrGet) > 1 || world.names("team").len() > 2
        });
        let ended = running.terminate();
        assert_eq!(ended.code, Some(0), "{ended}");
        let stopping = manager.waits_for("STOPPING=1");
        let longer = manager.waits_for("EXTEND_TIMEOUT_USEC=10000000");
        assert!(stopping < longer, "{:?}", manager.told);
        assert_eq!(manager.count("READY=1"), 1);
    }
}

#[test]
fn a_watchdog_that_is_for_another_process_is_told_nothing() {
    let mut world = World::new();
    let mut manager = Manager::new(&mut world, false);
    world.set("WATCHDOG_USEC", "300000");
    world.set("WATCHDOG_PID", "1");
    world.put("a.ics", &single("a@example.org"));
    let running = world.start(&["run"]);
    manager.waits_for("STATUS=calendars: 1, linked: 1,");
    running.terminate();
    assert_eq!(manager.count("WATCHDOG=1"), 0);
    assert_eq!(manager.count("STOPPING=1"), 1);
}

#[test]
fn it_is_never_ready_with_a_faulty_configuration() {
    let mut world = World::new();
    let mut manager = Manager::new(&mut world, false);
    world.reconfigure("settle = ", "settles = ");
    let ended = world.run(&["run"]);
    assert_eq!(ended.code, Some(78), "{ended}");
    manager.take();
    assert!(manager.told.is_empty(), "{:?}", manager.told);
}

#[test]
fn a_socket_that_nobody_listens_at_is_told_once_and_harms_nothing() {
    let mut world = World::new();
    let nowhere = world.path("nowhere");
    world.set("NOTIFY_SOCKET", nowhere.to_str().unwrap());
    world.set("WATCHDOG_USEC", "300000");
    world.put("a.ics", &single("a@example.org"));
    let mut running = world.start(&["run"]);
    running.wait_log("link.written");
    let ended = running.terminate();
    assert_eq!(ended.code, Some(0), "{ended}");
    let lines = ended.err.matches("notify.failing").count();
    assert_eq!(lines, 1, "{ended}");
}

#[test]
fn a_reload_is_told_with_its_time_and_ends() {
    let mut world = World::new();
    let mut manager = Manager::new(&mut world, false);
    let running = world.start(&["run"]);
    manager.waits_for("STATUS=calendars: 1,");
    // One that is taken, and one that is refused.
    for faulty in [false, true] {
        manager.told.clear();
        if faulty {
            world.reconfigure("settle = ", "settles = ");
        }
        let pid = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
        let asked = monotonic_usec();
        kill_process(pid, Signal::HUP).unwrap();
        let reloading = manager.waits_for("RELOADING=1");
        let at = manager.waits_for("MONOTONIC_USEC=");
        // In one message, and of a time after the signal: else systemd takes it for another reload's.
        let message = format!("RELOADING=1\n{}\n", manager.told[at]);
        assert!(
            manager.messages.contains(&message),
            "{:?}",
            manager.messages
        );
        let at = manager.told[at]
            .trim_start_matches("MONOTONIC_USEC=")
            .parse()
            .unwrap();
        assert!((asked..=monotonic_usec()).contains(&at), "{asked} {at}");
        assert!(
            reloading < manager.waits_for("READY=1"),
            "{:?}",
            manager.told
        );
    }
    running.terminate();
}

/// The clock by which systemd dates a reload.
fn monotonic_usec() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}
