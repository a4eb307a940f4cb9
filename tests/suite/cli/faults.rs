//! Faults of the credential, of Graph, of the disk and of the state: each says what to do, loses
//! nothing, and is over when its cause is.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use meetbridge::simulator::{Effect, Endpoint, Fault, ORGANIZER_WITHOUT_POLICY, Times};

use super::support::{Setup, TEAM, World, assert_additive, contents, single, wait_until};

/// One event that is not linked yet.
fn world() -> World {
    let world = World::new();
    world.put("one.ics", &single("one@example.org"));
    world
}

/// The fault is there: the event is as it was. Afterwards: it is linked by the next pass.
fn recovers(world: &World, mend: impl FnOnce()) {
    assert_eq!(
        world.get("one.ics"),
        single("one@example.org"),
        "the event is as it was"
    );
    assert_eq!(
        world.names("team"),
        ["one.ics"],
        "no temporary file is left"
    );
    mend();
    world.sync().shows(&["1 resources written"]);
    assert!(world.is_linked("one.ics", "one@example.org"));
    assert_additive(&single("one@example.org"), &world.get("one.ics"));
    assert_eq!(world.snapshot().meeting("one@example.org").unwrap().made, 1);
    world.run(&["status"]).says(0, &[]);
}

#[test]
fn a_wrong_secret() {
    let world = world();
    let good = std::fs::read(world.path("graph-secret")).unwrap();
    std::fs::write(world.path("graph-secret"), "another-secret").unwrap();
    let ended = world.run(&["sync"]);
    ended.says(
        1,
        &[
            "graph.credential",
            "AADSTS7000215",
            "the client secret is wrong",
            "put the secret's value",
            "team: ",
        ],
    );
    assert!(!ended.err.contains("another-secret"), "{ended}");
    let status = world.run(&["status"]);
    status
        .says(1, &[])
        .shows(&["events fail", "team: 1 events fail", "the log says why"]);
    let status = world.run(&["status", "--json"]).json();
    assert_eq!(status["calendars"][0]["failing-events"], 1);
    recovers(&world, || {
        std::fs::write(world.path("graph-secret"), &good).unwrap()
    });
}

#[test]
fn a_secret_that_is_not_there() {
    let world = world();
    let (file, away) = (world.path("graph-secret"), world.path("away"));
    std::fs::rename(&file, &away).unwrap();
    world
        .run(&["check"])
        .says(1, &[])
        .shows(&["graph-secret", "hint: "]);
    world
        .run(&["sync"])
        .says(1, &["graph.credential", "graph-secret"]);
    recovers(&world, || std::fs::rename(&away, &file).unwrap());
}

#[test]
fn an_unreachable_graph() {
    let world = world();
    // A port that was free a moment ago: nothing listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let graph = format!("-url = \"{}\"", world.simulator.graph_url());
    let nowhere = format!("-url = \"http://{free}\"");
    world.reconfigure(&graph, &nowhere);
    let ended = world.run(&["sync"]);
    ended.says(
        1,
        &[
            "graph.unreachable",
            "Connection refused",
            "check the network, the proxy",
        ],
    );
    recovers(&world, || world.reconfigure(&nowhere, &graph));
}

#[test]
fn a_running_daemon_outlives_a_dead_graph_and_watches_on() {
    let world = world();
    world
        .simulator
        .script(Fault::next(Endpoint::CreateOrGet, Effect::status(503)).times(Times::Forever));
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("graph.unreachable");
    world.put("later.ics", "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n");
    let linked = || world.run(&["status", "--json"]).json()["calendars"][0]["links"].clone();
    assert_eq!(
        linked(),
        serde_json::json!({"intended": 0, "written": 0, "seen": 0})
    );
    daemon.terminate().says(0, &["daemon.stopped"]);
    std::fs::remove_file(world.path("team/later.ics")).unwrap();
    recovers(&world, || world.simulator.reset());
}

#[test]
fn an_organizer_without_access_policy() {
    let world = world();
    world.configure(&Setup {
        organizer: ORGANIZER_WITHOUT_POLICY,
        ..Setup::default()
    });
    world.run(&["sync"]).says(
        1,
        &[
            "graph.organizer",
            "Connect-MicrosoftTeams",
            "New-CsApplicationAccessPolicy -Identity",
            meetbridge::simulator::CLIENT_ID,
            "Grant-CsApplicationAccessPolicy -PolicyName",
            ORGANIZER_WITHOUT_POLICY,
            "30 minutes",
        ],
    );
    recovers(&world, || world.configure(&Setup::default()));
}

#[test]
fn an_organizer_who_is_not_there() {
    let world = world();
    let unknown = "aaaaaaaa-bbbb-4ccc-8ddd-00000000dead";
    world.configure(&Setup {
        organizer: unknown,
        ..Setup::default()
    });
    world
        .run(&["sync"])
        .says(1, &["graph.organizer", unknown, "az ad user show --id"]);
    recovers(&world, || world.configure(&Setup::default()));
}

#[test]
fn a_directory_that_may_not_be_written() {
    let mut world = world();
    world.become_plain();
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(world.path("team"), permissions).unwrap();
    };
    mode(0o555);
    let ended = world.run(&["sync"]);
    ended.says(
        1,
        &[
            "write.refused",
            "resource=one.ics",
            "write permission on the file's directory",
            "ReadWritePaths=",
        ],
    );
    recovers(&world, || mode(0o755));
}

#[test]
fn a_directory_that_may_not_be_read() {
    let mut world = world();
    world.become_plain();
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(world.path("team"), permissions).unwrap();
    };
    mode(0o000);
    world.run(&["sync"]).says(1, &["team: ", "read permission"]);
    mode(0o755);
    recovers(&world, || {});
}

/// A library for LD_PRELOAD that makes a disk full while the file `full` is there: writes to files
/// below `$FULL_BELOW` fail with ENOSPC. A real full disk takes a mount, which a container may not.
const FULL_DISK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_full(int fd) {
    const char *below = getenv("FULL_BELOW"), *flag = getenv("FULL_WHILE");
    char link[64], path[4096];
    const char *shared = "-shm";
    if (!below || !flag || access(flag, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    if (strncmp(path, below, strlen(below)) != 0) return 0;
    /* Memory shared by the users of a database: who meets a full disk there asks the file system. */
    if (n > 4 && strcmp(path + n - strlen(shared), shared) == 0) return 0;
    errno = ENOSPC;
    return 1;
}

#define REAL(name, ...) ((ssize_t (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))
ssize_t write(int fd, const void *data, size_t n) {
    return is_full(fd) ? -1 : REAL("write", int, const void *, size_t)(fd, data, n);
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    return is_full(fd) ? -1 : REAL("pwrite", int, const void *, size_t, off_t)(fd, data, n, at);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    return is_full(fd) ? -1 : REAL("pwrite64", int, const void *, size_t, off64_t)(fd, data, n, at);
}
"#;

/// Makes the disk below `directory` full while the file `full` is in the home.
fn may_fill_up(world: &mut World, directory: &str) {
    let (source, library) = (world.path("full.c"), world.path("full.so"));
    std::fs::write(&source, FULL_DISK).unwrap();
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status()
        .expect("a C compiler, which the build needs too");
    assert!(made.success());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let below = format!("{}/", text(&world.path(directory)));
    let flag = text(&world.path("full"));
    world.set("LD_PRELOAD", &text(&library));
    world.set("FULL_BELOW", &below);
    world.set("FULL_WHILE", &flag);
}

#[test]
fn a_full_disk_for_the_calendar() {
    let mut world = world();
    may_fill_up(&mut world, "team");
    std::fs::write(world.path("full"), "").unwrap();
    let ended = world.run(&["sync"]);
    ended.says(
        1,
        &[
            "write.failed",
            "resource=one.ics",
            "no space left",
            "tried again",
        ],
    );
    recovers(&world, || std::fs::remove_file(world.path("full")).unwrap());
}

#[test]
fn a_full_disk_for_the_state() {
    let mut world = world();
    may_fill_up(&mut world, "state");
    world.put("zero.ics", &single("zero@example.org"));
    std::fs::remove_file(world.path("team/one.ics")).unwrap();
    world.sync();
    std::fs::remove_file(world.path("team/zero.ics")).unwrap();
    world.put("one.ics", &single("one@example.org"));
    std::fs::write(world.path("full"), "").unwrap();
    let ended = world.run(&["sync"]);
    ended.says(1, &["the disk is full"]);
    assert_eq!(
        world.asked(),
        1,
        "nothing is made that cannot be remembered"
    );

    // A daemon meets the full disk while it runs, stays, and goes on when there is room.
    std::fs::remove_file(world.path("full")).unwrap();
    std::fs::rename(world.path("team/one.ics"), world.path("one.ics")).unwrap();
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("daemon.ready");
    wait_until("the first pass", || {
        daemon.log().contains("resource.vanished")
    });
    std::fs::write(world.path("full"), "").unwrap();
    std::fs::rename(world.path("one.ics"), world.path("team/one.ics")).unwrap();
    daemon.wait_log("state.failing");
    assert_eq!(
        world.asked(),
        1,
        "nothing is made that cannot be remembered"
    );
    std::fs::remove_file(world.path("full")).unwrap();
    daemon.wait_log("state.recovered");
    wait_until("its link", || world.is_linked("one.ics", "one@example.org"));
    daemon.terminate().says(0, &[]);
}

#[test]
fn a_file_larger_than_may_be_written() {
    let world = world();
    let filler = format!("COMMENT:{}\r\n", "x".repeat(60)).repeat(50_000);
    let large = single("one@example.org").replace("X-KEPT", &format!("{filler}X-KEPT"));
    world.put("one.ics", &large);
    // With the signal ignored, a write beyond the limit fails with EFBIG.
    let script = format!(
        "trap '' XFSZ; ulimit -f 2000; exec {} --config {} sync",
        env!("CARGO_BIN_EXE_meetbridge"),
        world.path("config.toml").display()
    );
    let ended = world.start_program("sh", &["-c", &script]).finish();
    ended.says(1, &["write.refused", "LimitFSIZE="]);
    assert_eq!(world.get("one.ics"), large);
    assert_eq!(world.names("team"), ["one.ics"]);
    world.sync();
    assert_additive(&large, &world.get("one.ics"));
}

#[test]
fn a_state_directory_that_cannot_be_made() {
    let world = world();
    std::fs::write(world.path("state"), "a file").unwrap();
    for command in ["sync", "run"] {
        let ended = world.run(&[command]);
        ended.says(1, &["state", "[state]", "directory"]);
    }
    assert_eq!(world.asked(), 0);
    recovers(&world, || {
        std::fs::remove_file(world.path("state")).unwrap()
    });
}

#[test]
fn a_damaged_state_is_set_aside() {
    let world = world();
    world.sync();
    let files = contents(&world.path("team"));
    let database = world.path("state/state.db");
    std::fs::write(&database, "no database at all ".repeat(1000)).unwrap();
    world
        .run(&["status"])
        .says(1, &["state.db", "damaged", "sets it aside"]);
    let ended = world.run(&["sync"]);
    ended
        .says(0, &["ERROR state.damaged", "state.db.damaged-"])
        .shows(&["0 meetings made", "0 resources written"]);
    assert!(
        world
            .names("state")
            .iter()
            .any(|name| name.starts_with("state.db.damaged-"))
    );
    assert_eq!(contents(&world.path("team")), files);
    assert_eq!(world.asked(), 1, "nothing is doubled");
    let ended = world.sync();
    assert!(!ended.err.contains("state.damaged"), "{ended}");
}

#[test]
fn a_state_of_a_newer_version_ends_the_process() {
    let world = world();
    world.sync();
    let database = world.path("state/state.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection
        .pragma_update(None, "user_version", 9999)
        .unwrap();
    connection.close().unwrap();
    let before = std::fs::read(&database).unwrap();
    for command in [
        &["run"] as &[&str],
        &["sync"],
        &["status"],
        &["plan"],
        &["resume", "team"],
    ] {
        world.run(command).says(
            78,
            &[
                concat!("was written by meetbridge ", env!("CARGO_PKG_VERSION")),
                "9999",
                "install that version or a newer one",
            ],
        );
    }
    assert_eq!(std::fs::read(&database).unwrap(), before);
}

#[test]
fn our_own_files_are_private() {
    let world = world();
    world.sync();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.path("state")), 0o700);
    for name in world.names("state") {
        assert_eq!(mode(&world.path("state").join(&name)), 0o600, "{name}");
    }
}

#[test]
fn a_throttled_graph_is_left_alone_also_by_the_next_process() {
    let world = World::with(|settings| settings.latency = Duration::from_millis(20));
    for n in 0..5 {
        world.put(&format!("{n}.ics"), &single(&format!("e{n}@example.org")));
    }
    const WINDOW: u64 = 8;
    let throttled = Fault::next(Endpoint::CreateOrGet, Effect::throttled(WINDOW));
    // A first link alone, so that no other call is in flight when the window closes.
    world.put("first.ics", &single("first@example.org"));
    for n in 0..5 {
        std::fs::rename(
            world.path(&format!("team/{n}.ics")),
            world.path(&format!("{n}.ics")),
        )
        .unwrap();
    }
    world.simulator.script(throttled);
    let ended = world.run(&["sync"]);
    ended.says(1, &["graph.throttled", "until=", "1 failed"]);
    let asked = world.asked();
    assert_eq!(asked, 1);
    for n in 0..5 {
        std::fs::rename(
            world.path(&format!("{n}.ics")),
            world.path(&format!("team/{n}.ics")),
        )
        .unwrap();
    }
    // Another process, at once: it knows of the window, asks nothing, and says why.
    let ended = world.run(&["sync"]);
    ended.says(1, &["team: Graph asks to wait until"]);
    assert_eq!(
        world.asked(),
        asked,
        "no request inside the window: {ended}"
    );

    // A daemon asks as soon as the window is over.
    let daemon = world.start(&["run"]);
    wait_until("all links", || {
        world.is_linked("first.ics", "first@example.org")
            && (0..5).all(|n| world.is_linked(&format!("{n}.ics"), &format!("e{n}@example.org")))
    });
    daemon.terminate().says(0, &[]);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.inside_retry_after, 0);
    assert!(snapshot.meetings.iter().all(|m| m.made == 1));
}

#[test]
fn a_lost_answer_makes_no_second_meeting() {
    let world = world();
    world
        .simulator
        .script(Fault::next(Endpoint::CreateOrGet, Effect::LostAfter).times(Times::N(10)));
    world.run(&["sync"]).says(1, &["graph.unreachable"]);
    assert_eq!(world.get("one.ics"), single("one@example.org"));
    wait_until("the last fault is used up", || {
        world.run(&["sync"]).code == Some(0)
    });
    assert!(world.is_linked("one.ics", "one@example.org"));
    assert_eq!(world.snapshot().meeting("one@example.org").unwrap().made, 1);
}

#[test]
fn one_refused_event_harms_no_other() {
    let world = world();
    world.put("two.ics", &single("two@example.org"));
    let mut fault = Fault::next(Endpoint::CreateOrGet, Effect::status(400)).times(Times::Forever);
    fault.on.external_id = Some("one@example.org".to_owned());
    world.simulator.script(fault);
    world
        .run(&["sync"])
        .says(1, &["meeting.refused", "uid=one@example.org", "1 failed"])
        .shows(&["1 meetings made"]);
    assert!(world.is_linked("two.ics", "two@example.org"));
    std::fs::remove_file(world.path("team/two.ics")).unwrap();
    recovers(&world, || world.simulator.reset());
}

#[test]
fn a_calendar_of_its_own_name_is_not_in_the_way() {
    // Two calendars that share a directory: one link, written once.
    let world = world();
    let rest = format!("{TEAM}\n[[calendar.directory]]\nname = \"again\"\npath = \"HOME/team\"\n");
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });
    world.sync();
    let files = contents(&world.path("team"));
    world.sync().shows(&["team: ", "again: "]);
    assert_eq!(contents(&world.path("team")), files);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.meetings.len(), 1);
    assert_eq!(snapshot.meetings[0].made, 1);
}

#[test]
fn a_restarted_daemon_tries_at_once_what_had_failed() {
    let world = world();
    let good = std::fs::read(world.path("graph-secret")).unwrap();
    std::fs::write(world.path("graph-secret"), "another-secret").unwrap();
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("graph.credential");
    daemon.terminate().says(0, &[]);
    std::fs::write(world.path("graph-secret"), &good).unwrap();
    let daemon = world.start(&["run"]);
    wait_until("its link", || world.is_linked("one.ics", "one@example.org"));
    daemon.terminate().says(0, &[]);
}

#[test]
fn what_belongs_to_somebody_else_is_named() {
    let mut world = world();
    std::fs::create_dir(world.path("closed")).unwrap();
    std::fs::create_dir(world.path("other")).unwrap();
    world.become_plain();
    let mode = |name: &str, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(world.path(name), permissions).unwrap();
    };
    let (state, below) = ("HOME/state", "HOME/closed/state");
    let home = world.path("");
    let absolute = |path: &str| path.replace("HOME/", home.to_str().unwrap());
    mode("closed", 0o555);
    world.reconfigure(&absolute(state), &absolute(below));
    for command in ["sync", "run"] {
        world.run(&[command]).says(
            1,
            &[
                "closed/state: the state directory cannot be made",
                "[state]",
            ],
        );
    }
    world
        .run(&["check"])
        .says(1, &[])
        .shows(&["closed/state", "hint: "]);
    world.reconfigure(&absolute(below), &absolute("HOME/other"));
    mode("other", 0o555);
    world.run(&["sync"]).says(
        1,
        &[
            "state.lock: ",
            "must belong to the user that runs meetbridge",
        ],
    );
    world.reconfigure(&absolute("HOME/other"), &absolute(state));

    mode("config.toml", 0o000);
    world
        .run(&["sync"])
        .says(78, &["config.toml: no permission to read it", "hint: "]);
    mode("config.toml", 0o600);
    mode("graph-secret", 0o000);
    world
        .run(&["sync"])
        .says(1, &["graph.credential", "graph-secret"]);
    recovers(&world, || mode("graph-secret", 0o600));
}
