//! Exit statuses, bad usage, faulty configurations, two at once.

use super::support::{World, single};

#[test]
fn bad_usage_is_2_and_help_is_0() {
    let world = World::new();
    for arguments in [
        &["frobnicate"] as &[&str],
        &[],
        &["sync", "--nonsense"],
        &["explain"],
        &["plan", "--titles"],
    ] {
        let ended = world.start_bare(arguments).finish();
        ended.says(2, &["Usage:"]);
    }
    let ended = world.run(&["--log", "hyper=debug", "sync"]);
    assert_eq!(ended.code, Some(2), "{ended}");
    let config = world.path("config.toml");
    let ended = world
        .start_bare(&[
            "--config",
            config.to_str().unwrap(),
            "--log",
            "hyper=debug",
            "sync",
        ])
        .finish();
    ended.says(2, &["--log: the log of `hyper` cannot be turned up"]);
    world
        .start_bare(&["--help"])
        .finish()
        .says(0, &[])
        .shows(&["Exit status:", "75", "78"]);
    world
        .start_bare(&["--version"])
        .finish()
        .says(0, &[])
        .shows(&[env!("CARGO_PKG_VERSION")]);
}

const COMMANDS: [&[&str]; 7] = [
    &["run"],
    &["sync"],
    &["plan"],
    &["check"],
    &["status"],
    &["resume", "team"],
    &["explain", "a@example.org"],
];

#[test]
fn a_faulty_configuration_shows_all_its_faults_at_their_places() {
    let world = World::new();
    let text = "[graph]\n\
                tenant = \"contoso.onmicrosoft.com\"\n\
                client-id = \"not-a-guid\"\n\
                client-secret = \"hunter2-in-the-file\"\n\
                \n\
                [meeting]\n\
                organizer = \"alice@example.org\"\n\
                setle = \"10s\"\n\
                horizon = \"a year\"\n\
                \n\
                [[calendar.directory]]\n\
                name = \"team\"\n\
                path = \"relative/path\"\n";
    std::fs::write(world.path("config.toml"), text).unwrap();
    let file = world.path("config.toml");
    let file = file.display();
    for command in COMMANDS {
        let ended = world.run(command);
        for line in [3, 4, 7, 8, 9, 13] {
            ended.says(78, &[&format!("{file}:{line}:")]);
        }
        ended.says(
            78,
            &[
                "settle",
                "az ad user show",
                "  3 | client-id = \"not-a-guid\"",
                "not shown",
            ],
        );
        assert!(!ended.err.contains("hunter2"), "{ended}");
        assert!(ended.err.matches("hint: ").count() >= 6, "{ended}");
        assert_eq!(ended.out, "");
    }
    assert!(!world.path("state").exists());
}

#[test]
fn a_configuration_that_is_not_there_says_how_to_name_one() {
    let world = World::new();
    std::fs::remove_file(world.path("config.toml")).unwrap();
    for command in COMMANDS {
        world.run(command).says(
            78,
            &["config.toml: no such file", "--config", "MEETBRIDGE_CONFIG"],
        );
    }
}

#[test]
fn a_second_one_beside_a_running_one_ends_with_75() {
    let world = World::new();
    world.put("one.ics", &single("one@example.org"));
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("daemon.ready");
    let holder = format!("process {}", daemon.id());
    world.run(&["run"]).says(
        75,
        &[
            "another meetbridge",
            &holder,
            "stop it first",
            "state directory of its own",
        ],
    );
    // Commands run in the daemon, or look beside it.
    for command in [
        &["sync"] as &[&str],
        &["resume", "team"],
        &["status"],
        &["plan"],
        &["explain", "one@example.org"],
        &["check"],
    ] {
        world.run(command).says(0, &[]);
    }
    daemon.terminate().says(0, &[]);
    world.sync();
}

#[test]
fn a_daemon_ends_by_sigterm_in_the_middle_of_its_work() {
    let world = World::with(|settings| settings.latency = std::time::Duration::from_millis(300));
    for n in 0..40 {
        world.put(&format!("{n}.ics"), &single(&format!("e{n}@example.org")));
    }
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("daemon.ready");
    super::support::wait_until("the first meeting is asked for", || world.asked() > 0);
    daemon.terminate().says(0, &["daemon.stopped"]);
    world.sync();
    for n in 0..40 {
        assert!(world.is_linked(&format!("{n}.ics"), &format!("e{n}@example.org")));
    }
    assert!(world.snapshot().meetings.iter().all(|m| m.made == 1));
}
