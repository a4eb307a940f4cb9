//! SIGHUP, SIGTERM and SIGINT: the configuration changes while the daemon runs, and the daemon ends.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use meetbridge::daemon::clock::SystemClock;
use meetbridge::simulator::{Settings, Simulator};

use super::support::{Running, Setup, TEAM, World, single, wait_until};

/// Another calendar, and its directory.
const OTHER: &str = "[[calendar.directory]]\nname = \"other\"\npath = \"HOME/other\"\n";

fn world() -> World {
    let world = World::new();
    std::fs::create_dir(world.path("other")).unwrap();
    world
}

fn calendars(world: &World, tables: &[&str]) {
    world.configure(&Setup {
        rest: &tables.concat(),
        ..Setup::default()
    });
}

fn ready(world: &World) -> Running {
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("daemon.ready");
    daemon
}

/// Reloads so that it succeeds, for the `nth` time.
fn reload(daemon: &mut Running, nth: usize) {
    daemon.hang_up();
    wait_until("the reload", || {
        daemon.log().matches("config.reloaded").count() >= nth
    });
}

fn is_linked(world: &World, calendar: &str, name: &str) -> bool {
    let text = std::fs::read_to_string(world.path(calendar).join(name)).unwrap();
    text.contains("X-MEETBRIDGE-MEETING")
}

/// How many passes over the calendar have ended.
fn passes(daemon: &Running, calendar: &str) -> usize {
    let log = daemon.log();
    let of_it = |line: &&str| {
        line.contains("calendar.pass") && line.contains(&format!("calendar={calendar} "))
    };
    log.lines().filter(of_it).count()
}

#[test]
fn a_reload_takes_a_new_calendar_and_leaves_the_others_alone() {
    let world = world();
    let team = format!("{TEAM}rescan = \"1d\"\n");
    calendars(&world, &[&team]);
    world.put("one.ics", &single("one@example.org"));
    world.put_in("other", "two.ics", &single("two@example.org"));
    let mut daemon = ready(&world);
    wait_until("the link", || world.is_linked("one.ics", "one@example.org"));
    daemon.wait_log("calendar.pass");
    world.sync();
    let before = passes(&daemon, "team");

    calendars(&world, &[&team, OTHER]);
    reload(&mut daemon, 1);
    wait_until("the link in the added calendar", || {
        is_linked(&world, "other", "two.ics")
    });
    let log = daemon.log();
    assert!(log.contains("added=1 removed=0 changed=0"), "{log}");
    assert_eq!(passes(&daemon, "team"), before, "{log}");
    // Its watcher is as it was, too.
    world.put("three.ics", &single("three@example.org"));
    wait_until("the link of a file that was saved", || {
        world.is_linked("three.ics", "three@example.org")
    });
    world
        .run(&["status"])
        .says(0, &[])
        .shows(&["team", "other"]);
    daemon.terminate().says(0, &["daemon.stopped"]);
}

#[test]
fn a_faulty_file_is_refused_with_every_fault_at_its_line_and_work_goes_on() {
    let world = world();
    let mut daemon = ready(&world);
    let good = std::fs::read_to_string(world.path("config.toml")).unwrap();
    let faulty = format!("{good}rescn = \"1d\"\n\n[[calendar.directory]]\nname = \"team\"\n");
    std::fs::write(world.path("config.toml"), &faulty).unwrap();
    daemon.hang_up();
    let line = |text: &str| {
        let at = faulty
            .lines()
            .enumerate()
            .filter(|(_, l)| l.starts_with(text));
        at.last().unwrap().0 + 1
    };
    for (at, column, fault) in [
        (line("rescn"), 1, "unknown key `rescn`"),
        (line("name"), 8, "is taken by the calendar in line"),
        (line("[[calendar"), 1, "`path` is missing"),
    ] {
        let said = |log: &str| {
            let place = format!("line={at} column={column} ");
            log.lines().any(|line| {
                line.contains("config.refused") && line.contains(&place) && line.contains(fault)
            })
        };
        wait_until(&format!("{at}: {fault}"), || said(&daemon.log()));
    }
    assert!(!daemon.log().contains("config.reloaded"));
    world.put("one.ics", &single("one@example.org"));
    wait_until("the link", || world.is_linked("one.ics", "one@example.org"));
    // A file that is not there is refused as well; a mended one is taken.
    std::fs::remove_file(world.path("config.toml")).unwrap();
    daemon.hang_up();
    daemon.wait_log("no such file");
    std::fs::write(world.path("config.toml"), &good).unwrap();
    reload(&mut daemon, 1);
    daemon.terminate().says(0, &["added=0 removed=0 changed=0"]);
}

#[test]
fn what_is_removed_or_disabled_is_left_as_it_is_and_comes_back() {
    let world = world();
    calendars(&world, &[TEAM, OTHER]);
    world.put("one.ics", &single("one@example.org"));
    world.put_in("other", "two.ics", &single("two@example.org"));
    let mut daemon = ready(&world);
    wait_until("the links", || {
        is_linked(&world, "team", "one.ics") && is_linked(&world, "other", "two.ics")
    });
    world.sync();
    calendars(&world, &[&format!("{TEAM}enabled = false\n")]);
    // Only calendars that are checked all the same may be disabled; the other one is gone.
    reload(&mut daemon, 1);
    for gone in ["calendar=team linked=1", "calendar=other linked=1"] {
        daemon.wait_log(gone);
    }
    assert!(daemon.log().contains("added=0 removed=2 changed=0"));
    world
        .run(&["sync", "--calendar", "team"])
        .says(1, &["no enabled calendar is named `team`"]);
    world.put("three.ics", &single("three@example.org"));
    calendars(&world, &[OTHER]);
    reload(&mut daemon, 2);
    world.put_in("other", "four.ics", &single("four@example.org"));
    wait_until("the link", || is_linked(&world, "other", "four.ics"));
    assert!(!is_linked(&world, "team", "three.ics"), "nobody watches it");
    assert!(is_linked(&world, "team", "one.ics"), "its links stay");
    calendars(&world, &[OTHER, TEAM]);
    reload(&mut daemon, 3);
    wait_until("the link", || is_linked(&world, "team", "three.ics"));
    daemon.terminate().says(0, &["daemon.stopped"]);
    assert_eq!(world.snapshot().meetings.len(), 4, "one for each");
}

#[test]
fn a_command_that_waits_goes_on_by_the_changed_table_and_ends_with_a_removed_one() {
    let world = world();
    world.reconfigure("settle = \"0s\"", "settle = \"1h\"");
    world.put("one.ics", &single("one@example.org"));
    let mut daemon = ready(&world);
    daemon.wait_log("calendar.pass");
    let sync = world.start(&["sync"]);
    daemon.wait_log("control.command");
    assert_eq!(world.asked(), 0);
    world.reconfigure("settle = \"1h\"", "settle = \"0s\"");
    reload(&mut daemon, 1);
    sync.finish()
        .says(0, &[])
        .shows(&["1 meetings made", "1 resources written"]);
    assert!(daemon.log().contains("added=0 removed=0 changed=1"));

    world.reconfigure("settle = \"0s\"", "settle = \"1h\"");
    reload(&mut daemon, 2);
    world.put("two.ics", &single("two@example.org"));
    let sync = world.start(&["sync"]);
    wait_until("the command", || {
        daemon.log().matches("control.command").count() == 2
    });
    world.reconfigure("name = \"team\"", "name = \"crew\"");
    reload(&mut daemon, 3);
    sync.finish().says(
        1,
        &["team: not watched any more, since a reload took it out"],
    );
    daemon.terminate().says(0, &["daemon.stopped"]);
}

#[test]
fn secrets_are_read_anew_by_a_reload() {
    let world = world();
    let right = std::fs::read(world.path("graph-secret")).unwrap();
    std::fs::write(world.path("graph-secret"), "wrong").unwrap();
    world.put("one.ics", &single("one@example.org"));
    let mut daemon = ready(&world);
    daemon.wait_log("graph.credential");
    std::fs::write(world.path("graph-secret"), right).unwrap();
    reload(&mut daemon, 1);
    wait_until("the link", || world.is_linked("one.ics", "one@example.org"));
    daemon
        .terminate()
        .says(0, &["added=0 removed=0 changed=0", "graph.recovered"]);
}

#[test]
fn what_all_calendars_share_takes_effect_and_what_cannot_is_named() {
    let world = world();
    let graph = world.simulator.graph_url();
    world.reconfigure(graph.trim_end_matches('/'), "http://127.0.0.1:1");
    let log = "\n[log]\nlevel = \"warn\"\n";
    let config = world.path("config.toml");
    let text = std::fs::read_to_string(&config).unwrap() + log;
    std::fs::write(&config, &text).unwrap();
    world.put("one.ics", &single("one@example.org"));
    let mut daemon = world.start_bare(&["--config", config.to_str().unwrap(), "run"]);
    daemon.wait_log("graph.unreachable");
    assert!(!daemon.log().contains("daemon.ready"), "{}", daemon.log());
    let text = text
        .replace(
            "http://127.0.0.1:1\"",
            &format!("{}\"", graph.trim_end_matches('/')),
        )
        .replace("\"warn\"", "\"debug\"")
        .replace("/state\"", "/elsewhere\"");
    std::fs::write(&config, &text).unwrap();
    reload(&mut daemon, 1);
    wait_until("the link", || world.is_linked("one.ics", "one@example.org"));
    let ended = daemon.terminate();
    ended.says(0, &["key=state.directory", "calendar.pass", "changed=0"]);
    assert!(!world.path("elsewhere").exists());
}

#[test]
fn the_last_of_two_quick_reloads_is_in_force() {
    let world = world();
    let daemon = ready(&world);
    for _ in 0..5 {
        calendars(&world, &[OTHER]);
        daemon.hang_up();
        calendars(&world, &[TEAM, OTHER]);
        daemon.hang_up();
    }
    world.put("one.ics", &single("one@example.org"));
    world.put_in("other", "two.ics", &single("two@example.org"));
    wait_until("both links", || {
        is_linked(&world, "team", "one.ics") && is_linked(&world, "other", "two.ics")
    });
    // Told to stop while it is to reload: it stops.
    daemon.hang_up();
    daemon.terminate().says(0, &["daemon.stopped"]);
}

#[test]
fn a_pass_is_finished_after_the_first_signal_and_left_after_the_second() {
    for second in [false, true] {
        let latency = Duration::from_secs(if second { 20 } else { 1 });
        let world = World::with(|settings| settings.latency = latency);
        world.put("one.ics", &single("one@example.org"));
        let mut daemon = ready(&world);
        wait_until("a request", || {
            world.snapshot().requests.values().sum::<u64>() > 0
        });
        if second {
            daemon.interrupt();
            daemon.wait_log("daemon.stopping");
            let ended = daemon.terminate();
            ended.says(1, &["daemon.cut-short"]);
            assert!(!ended.err.contains("daemon.stopped"), "{ended}");
        } else {
            daemon.terminate().says(0, &["daemon.stopped"]);
            assert!(world.is_linked("one.ics", "one@example.org"));
        }
    }
}

#[test]
fn without_a_network_the_daemon_stays_and_links_once_it_comes() {
    let world = world();
    // Two ports at which nobody listens.
    let free = || {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let (graph, dav) = (free(), free());
    let alice = format!(
        "[[calendar.caldav]]\nname = \"alice\"\nurl = \"http://{dav}/\"\nusername = \"alice\"\n\
         password-file = \"HOME/graph-secret\"\n"
    );
    calendars(&world, &[TEAM, &alice]);
    let url = world.simulator.graph_url();
    world.reconfigure(url.trim_end_matches('/'), &format!("http://{graph}"));
    world.put("one.ics", &single("one@example.org"));
    let mut daemon = ready(&world);
    daemon.wait_log("graph.unreachable");
    daemon.wait_log("account.failing");
    assert!(!daemon.has_ended());
    world
        .run(&["status"])
        .says(0, &[])
        .shows(&["team", "alice", "nothing needs you"]);
    assert!(!is_linked(&world, "team", "one.ics"));

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut settings = Settings::new(Arc::new(SystemClock::new()));
    settings.listen = graph;
    let _simulator = runtime.block_on(Simulator::start(settings)).unwrap();
    // By itself it tries again after a minute.
    reload(&mut daemon, 1);
    wait_until("the link", || is_linked(&world, "team", "one.ics"));
    daemon.terminate().says(0, &["graph.recovered"]);
}

#[test]
fn a_reload_takes_calendars_in_by_included_files_and_names_the_faulty_one() {
    let world = world();
    std::fs::create_dir(world.path("config.d")).unwrap();
    let config = world.path("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("include = \"config.d/*.toml\"\n{text}")).unwrap();
    world.put_in("other", "two.ics", &single("two@example.org"));
    let mut daemon = ready(&world);
    let home = config.parent().unwrap().to_str().unwrap();
    let other = OTHER.replace("HOME", home);
    std::fs::write(
        world.path("config.d/other.toml"),
        format!("{other}odd = 1\n"),
    )
    .unwrap();
    daemon.hang_up();
    daemon.wait_log("config.d/other.toml line=4 column=1 ");
    std::fs::write(world.path("config.d/other.toml"), other).unwrap();
    reload(&mut daemon, 1);
    wait_until("the link", || is_linked(&world, "other", "two.ics"));
    daemon.terminate().says(0, &["added=1 removed=0 changed=0"]);
}
