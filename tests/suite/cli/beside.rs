//! Commands beside a running daemon: they run in it, through its control socket.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use meetbridge::clock::Clock as _;
use meetbridge::daemon::clock::SystemClock;
use meetbridge::state::State;

use super::support::{
    Ended, Running, Setup, TEAM, World, calendar, event, single, wait_for, wait_until,
};

fn ready(world: &World) -> Running {
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("daemon.ready");
    daemon
}

/// Where the daemon of this world says that it listens.
fn socket(world: &World) -> PathBuf {
    State::announced(&world.path("state")).unwrap().socket
}

/// How many commands have come to the daemon.
fn commands(daemon: &Running) -> usize {
    daemon.log().matches("control.command").count()
}

/// A world whose events settle for longer than any test lasts, and a daemon that has seen one.
fn settling() -> (World, Running) {
    let world = World::new();
    world.reconfigure("settle = \"0s\"", "settle = \"1h\"");
    world.put("one.ics", &single("one@example.org"));
    let mut daemon = ready(&world);
    daemon.wait_log("calendar.pass");
    (world, daemon)
}

#[test]
fn what_is_said_beside_a_daemon_is_what_is_said_without_one() {
    let world = World::new();
    let zoom =
        event("zoom@example.org", 30).replace("DESCRIPTION:Agenda", "LOCATION:https://zoom.us/j/1");
    world.put("a.ics", &calendar(&[event("a@example.org", 24), zoom]));
    let daemon = ready(&world);
    wait_until("the link", || world.is_linked("a.ics", "a@example.org"));
    world
        .sync()
        .shows(&["team: ", "0 meetings made, 0 updated, 0 resources written"]);
    let commands: [&[&str]; 5] = [
        &["status"],
        &["status", "--json"],
        &["plan"],
        &["plan", "--json"],
        &["plan", "--calendar", "team"],
    ];
    // Without its file, nobody but the daemon knows the state.
    let hidden: Vec<_> = ["state.db", "state.db-wal", "state.db-shm"]
        .map(|name| {
            (
                world.path(&format!("state/{name}")),
                world.path(&format!("state/hidden.{name}")),
            )
        })
        .into_iter()
        .filter(|(there, _)| there.exists())
        .collect();
    for (there, hidden) in &hidden {
        std::fs::rename(there, hidden).unwrap();
    }
    let beside: Vec<_> = commands.iter().map(|c| world.run(c)).collect();
    for (there, hidden) in &hidden {
        std::fs::rename(hidden, there).unwrap();
    }
    daemon.terminate().says(0, &[]);
    for (command, beside) in commands.iter().zip(beside) {
        let alone = world.run(command);
        assert_eq!(told(command, &beside), told(command, &alone), "{command:?}");
        assert_eq!(beside.err, alone.err, "{command:?}");
        assert_eq!((beside.code, alone.code), (Some(0), Some(0)), "{command:?}");
        assert!(beside.out.contains("in-step"), "{beside}");
        if **command == ["status"] {
            beside.shows(&["1 calendar, 1 link; nothing needs you\n", " next "]);
            alone.shows(&["1 calendar, 1 link; no daemon runs; nothing needs you\n"]);
        }
    }
}

/// What a command says that is the same whoever says it: only the daemon knows when its next passes are.
fn told(command: &[&str], ended: &Ended) -> String {
    match command {
        ["status", "--json"] => {
            let mut all = ended.json();
            for calendar in all["calendars"].as_array_mut().unwrap() {
                calendar.as_object_mut().unwrap().remove("next-pass");
            }
            all.as_object_mut().unwrap().remove("daemon");
            all.to_string()
        }
        ["status"] => {
            let of_organizers = ended.out.split("\n\n").nth(2).unwrap();
            of_organizers.to_owned()
        }
        _ => ended.out.clone(),
    }
}

#[test]
fn resume_lets_a_daemon_go_on_at_once() {
    let world = World::new();
    world.configure(&Setup {
        rest: &format!("{TEAM}rescan = \"1d\"\n[budget]\nfirst-pass-limit = 2\n"),
        ..Setup::default()
    });
    for n in 0..3 {
        world.put(&format!("{n}.ics"), &single(&format!("e{n}@example.org")));
    }
    let mut daemon = ready(&world);
    daemon.wait_log("calendar.waiting");
    let waits = "waits: its first pass would link 3 events, more than 2";
    world.run(&["status"]).says(1, &[]).shows(&["3 events"]);
    world.run(&["plan"]).says(0, &[]).shows(&[waits]);
    world.run(&["sync"]).says(1, &[waits]);
    world
        .run(&["resume", "nobody"])
        .says(1, &["no enabled calendar is named `nobody`", "team"]);
    assert_eq!(world.asked(), 0);
    world
        .run(&["resume", "team"])
        .says(0, &[])
        .shows(&["team: resumed (it was waiting because"]);
    for n in 0..3 {
        let (name, uid) = (format!("{n}.ics"), format!("e{n}@example.org"));
        wait_until("the links", || world.is_linked(&name, &uid));
    }
    world
        .run(&["resume", "team"])
        .says(0, &[])
        .shows(&["team: it was not frozen"]);
    world.run(&["status"]).says(0, &[]);
    daemon.terminate().says(0, &["calendar.resumed"]);
}

#[test]
fn sync_beside_a_daemon_waits_for_what_is_settling() {
    let world = World::new();
    world.reconfigure("settle = \"0s\"", "settle = \"2s\"");
    let daemon = ready(&world);
    world.put("one.ics", &single("one@example.org"));
    world.sync();
    assert!(world.is_linked("one.ics", "one@example.org"));
    assert_eq!(world.asked(), 1);
    daemon.terminate().says(0, &[]);
}

#[test]
fn only_the_named_calendar_is_passed_over_beside_a_daemon() {
    let world = World::new();
    std::fs::create_dir(world.path("other")).unwrap();
    let other = "[[calendar.directory]]\nname = \"other\"\npath = \"HOME/other\"\n";
    world.configure(&Setup {
        rest: &format!("{other}{TEAM}"),
        ..Setup::default()
    });
    let daemon = ready(&world);
    let both = world.sync();
    let first_words = |out: &str| -> Vec<String> {
        let words = out.lines().filter_map(|line| line.split(' ').next());
        words.map(str::to_owned).collect()
    };
    assert_eq!(first_words(&both.out), ["other:", "team:"], "in file order");
    let team = world.run(&["sync", "--calendar", "team"]);
    team.says(0, &[]);
    assert_eq!(first_words(&team.out), ["team:"]);
    for command in ["sync", "plan"] {
        let ended = world.run(&[command, "--calendar", "nowhere"]);
        ended.says(
            1,
            &["no enabled calendar is named `nowhere`", "other, team"],
        );
        assert_eq!(ended.out, "", "{command}");
    }
    daemon.terminate().says(0, &[]);
}

#[test]
fn a_calendar_that_fails_is_told_beside_a_daemon_too() {
    let world = World::new();
    let daemon = ready(&world);
    std::fs::remove_dir_all(world.path("team")).unwrap();
    for command in ["sync", "plan"] {
        world
            .run(&[command])
            .says(1, &["team: ", "/team: does not exist"]);
    }
    world.run(&["status"]).says(1, &[]).shows(&["failing"]);
    std::fs::create_dir(world.path("team")).unwrap();
    world.sync();
    world.run(&["status"]).says(0, &[]);
    daemon.terminate().says(0, &[]);
}

#[test]
fn the_socket_is_for_its_owner_alone_and_goes_with_the_daemon() {
    let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o777;
    let mut world = World::new();
    let daemon = ready(&world);
    let beside_the_state = socket(&world);
    assert_eq!(beside_the_state, world.path("state/control.sock"));
    assert_eq!(
        (mode(&beside_the_state), mode(&world.path("state"))),
        (0o600, 0o700)
    );
    daemon.terminate().says(0, &[]);
    assert_eq!(world.names("state"), ["state.db", "state.lock"]);

    std::fs::create_dir(world.path("run")).unwrap();
    world.set("XDG_RUNTIME_DIR", world.path("run").to_str().unwrap());
    let daemon = ready(&world);
    let users = socket(&world);
    assert_eq!(users.parent().unwrap(), world.path("run/meetbridge"));
    assert_eq!(
        (mode(&users), mode(&world.path("run/meetbridge"))),
        (0o600, 0o700)
    );
    daemon.terminate().says(0, &[]);

    world.set("RUNTIME_DIRECTORY", world.path("run").to_str().unwrap());
    let daemon = ready(&world);
    assert_eq!(socket(&world), world.path("run/control.sock"));
    world.sync();
    daemon.terminate().says(0, &[]);
}

#[test]
fn what_a_killed_daemon_left_is_in_nobodys_way() {
    let world = World::new();
    world.put("one.ics", &single("one@example.org"));
    let daemon = ready(&world);
    world.sync();
    daemon.kill();
    assert!(socket(&world).exists(), "it had no time to tidy up");
    world.run(&["status"]).says(0, &[]).shows(&["in-step"]);
    world.run(&["plan"]).says(0, &[]).shows(&["in-step"]);

    // Somebody else has the state by now, who listens nowhere.
    let clock = SystemClock::new();
    let (state, _) = State::open(&world.path("state"), clock.now()).unwrap();
    for left in [None, Some(world.path("state/control.sock"))] {
        if let Some(left) = left {
            state.announce(&left).unwrap();
        }
        for command in [&["sync"] as &[&str], &["resume", "team"], &["run"]] {
            world
                .run(command)
                .says(75, &["another meetbridge", "stop it first"]);
        }
        world.run(&["status"]).says(0, &[]);
    }
    drop(state);

    world.sync();
    world.run(&["resume", "team"]).says(0, &[]);
    let daemon = ready(&world);
    world.sync();
    daemon.terminate().says(0, &[]);
}

#[test]
fn a_socket_of_another_daemon_is_not_mistaken_for_ones_own() {
    let (one, other) = (World::new(), World::new());
    let daemon = ready(&one);
    let (state, _) = State::open(&other.path("state"), SystemClock::new().now()).unwrap();
    state.announce(&socket(&one)).unwrap();
    other.run(&["sync"]).says(75, &["another meetbridge"]);
    drop(state);
    other.put("one.ics", &single("one@example.org"));
    other.sync().shows(&["1 meetings made"]);
    daemon.terminate().says(0, &[]);
}

#[test]
fn many_commands_at_once_all_get_their_answer() {
    let world = World::new();
    for n in 0..20 {
        world.put(&format!("{n}.ics"), &single(&format!("e{n}@example.org")));
    }
    let daemon = ready(&world);
    let commands: [&[&str]; 4] = [&["sync"], &["plan"], &["status"], &["resume", "team"]];
    let running: Vec<_> = commands
        .iter()
        .cycle()
        .take(16)
        .map(|command| world.start(command))
        .collect();
    for command in running {
        command.finish().says(0, &[]);
    }
    assert_eq!(world.snapshot().meetings.len(), 20);
    assert_eq!(world.asked(), 20, "no two passes met");
    daemon.terminate().says(0, &[]);
}

#[test]
fn garbage_on_the_socket_does_no_harm() {
    let world = World::new();
    let mut daemon = ready(&world);
    let long = vec![b'x'; 1 << 20];
    let garbage: [&[u8]; 6] = [
        b"",
        b"\n",
        b"\x1b[31m\xff\n",
        b"{\"version\":1}\n",
        b"GET / HTTP/1.1\r\n\r\n",
        &long,
    ];
    for bytes in garbage {
        let mut stream = UnixStream::connect(socket(&world)).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.len() < 300 && !answer.contains('\u{1b}'), "{answer}");
    }
    world.sync();
    assert!(!daemon.has_ended());
    daemon.terminate().says(0, &[]);
}

#[test]
fn a_daemon_that_ends_meanwhile_is_told() {
    for kill in [false, true] {
        let (world, daemon) = settling();
        let before = commands(&daemon);
        let sync = world.start(&["sync"]);
        wait_until("the command", || commands(&daemon) > before);
        let expected = match kill {
            true => {
                daemon.kill();
                "the daemon ended before the command was done"
            }
            false => {
                daemon.terminate().says(0, &[]);
                "team: the daemon is stopping"
            }
        };
        sync.finish().says(75, &[expected]);
    }
}

#[test]
fn a_command_that_is_broken_off_leaves_the_daemon_at_work() {
    let (world, daemon) = settling();
    for _ in 0..10 {
        let before = commands(&daemon);
        let sync = world.start(&["sync"]);
        wait_until("the command", || commands(&daemon) > before);
        sync.kill();
    }
    world.run(&["plan"]).says(0, &[]).shows(&["settling"]);
    daemon.terminate().says(0, &[]);
}

#[test]
fn without_a_socket_the_daemon_does_its_work() {
    let mut world = World::new();
    std::fs::write(world.path("run"), "a file").unwrap();
    world.set("RUNTIME_DIRECTORY", world.path("run").to_str().unwrap());
    world.put("one.ics", &single("one@example.org"));
    let daemon = ready(&world);
    let log = wait_for("the link", || {
        world
            .is_linked("one.ics", "one@example.org")
            .then(|| daemon.log())
    });
    assert!(log.contains("control.failing"), "{log}");
    world.run(&["status"]).says(0, &[]);
    world.run(&["sync"]).says(75, &["another meetbridge"]);
    daemon.terminate().says(0, &[]);
}
