//! `meetbridge login`, and what a person's sign-in is good for.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::time::Duration;

use meetbridge::simulator::{
    Effect, Endpoint, Fault, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN, ORGANIZER_WITHOUT_POLICY,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::support::{Ended, Running, Setup, World, single, wait_for, wait_until};

const FILE: &str = "state/tokens/graph.signed-in.json";

/// A world whose configuration signs in by device code.
fn world(organizer: &str) -> World {
    let world = World::with(|settings| {
        settings.entra.device_interval = Duration::from_secs(1);
    });
    world.configure(&Setup {
        organizer,
        ..Setup::default()
    });
    let secret = world.path("graph-secret");
    let line = format!("client-secret-file = \"{}\"", secret.display());
    world.reconfigure(&line, "device-code = true");
    world
}

/// Starts a login; the code that it shows.
fn begin(world: &World) -> (Running, String) {
    let login = world.start(&["login"]);
    let code = wait_for("the code", || world.simulator.waiting_sign_ins().pop());
    wait_until("the prompt", || login.log().contains(&code));
    (login, code)
}

fn sign_in(world: &World, who: &str) -> Ended {
    let (login, code) = begin(world);
    assert!(world.simulator.approve(&code, who));
    let ended = login.finish();
    ended.says(0, &[]).shows(&[&format!("signed in as {who}")]);
    not_told(world, &ended);
    ended
}

fn kept(world: &World) -> Value {
    serde_json::from_slice(&std::fs::read(world.path(FILE)).unwrap()).unwrap()
}

/// Asserts that no token is in what was printed.
fn not_told(world: &World, ended: &Ended) {
    let kept = kept(world);
    for token in [&kept["refresh_token"], &kept["previous"]] {
        let Some(token) = token.as_str() else {
            continue;
        };
        let leaked = ended.out.contains(token) || ended.err.contains(token);
        assert!(!leaked, "{ended}");
    }
}

#[test]
fn a_person_signs_in_and_their_events_are_linked() {
    let world = world(ORGANIZER_WITHOUT_POLICY);
    world.put("one.ics", &single("one@example.org"));
    world
        .run(&["check"])
        .says(1, &[])
        .shows(&["nobody is signed in to Graph yet; run `meetbridge login`"]);
    world
        .run(&["sync"])
        .says(1, &["nobody is signed in", "run `meetbridge login`"]);
    let ended = sign_in(&world, ORGANIZER_WITHOUT_POLICY);
    let address = format!("{}/_simulator/sign-in", world.simulator.graph_url());
    ended.says(0, &["open ", &address, "15 minutes"]);
    assert!(!ended.err.contains("set organizer"), "{ended}");

    let mode = |name: &str| world.path(name).metadata().unwrap().mode() & 0o777;
    assert_eq!((mode(FILE), mode("state/tokens")), (0o600, 0o700));
    world.run(&["check"]).says(0, &[]).shows(&["in order"]);
    let ended = world.sync();
    assert!(world.is_linked("one.ics", "one@example.org"));
    not_told(&world, &ended);
    assert!(kept(&world)["previous"].is_string(), "it was renewed");
    not_told(&world, &world.run(&["status"]));
}

#[test]
fn another_organizer_is_told_of() {
    let world = world(ORGANIZER);
    world.put("one.ics", &single("one@example.org"));
    let advice = format!("set organizer = \"{ORGANIZER_WITHOUT_DIAL_IN}\"");
    let ended = sign_in(&world, ORGANIZER_WITHOUT_DIAL_IN);
    ended.says(0, &[&advice, ": team"]);
    world
        .run(&["check"])
        .says(1, &[])
        .shows(&["calendar team", &advice]);
    let ended = world.run(&["sync"]);
    ended.says(1, &["somebody else", ORGANIZER_WITHOUT_DIAL_IN]);
    assert_eq!(world.asked(), 0);
    world.reconfigure(
        &format!("organizer = \"{ORGANIZER}\""),
        &format!("organizer = \"{ORGANIZER_WITHOUT_DIAL_IN}\""),
    );
    world.sync();
    assert!(world.is_linked("one.ics", "one@example.org"));
}

#[test]
fn a_login_that_comes_to_nothing_keeps_what_there_was() {
    let world = world(ORGANIZER);
    sign_in(&world, ORGANIZER);
    let before = kept(&world);

    let (login, code) = begin(&world);
    assert!(world.simulator.decline(&code));
    login
        .finish()
        .says(1, &["declined", "hint: nothing is changed"]);

    let (login, _) = begin(&world);
    let fault = Fault::next(Endpoint::Token, Effect::Aadsts(70_019));
    world.simulator.script(fault);
    let ended = login.finish();
    ended.says(1, &["run `meetbridge login` again"]);

    world.simulator.reset();
    let (login, _) = begin(&world);
    let pid = Pid::from_raw(i32::try_from(login.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    login
        .finish()
        .says(1, &["broken off", "hint: nothing is changed"]);
    assert_eq!(kept(&world), before);
    assert_eq!(
        world.names("state/tokens"),
        ["graph.signed-in.json", "graph.signed-in.lock"]
    );

    let fault = Fault::next(Endpoint::DeviceCode, Effect::Aadsts(700_016));
    world.simulator.script(fault);
    let ended = world.run(&["login"]);
    ended.says(1, &["no such application", "`client-id`"]);
}

#[test]
fn a_configuration_that_signs_in_as_an_application_needs_no_login() {
    let world = World::new();
    let ended = world.run(&["login"]);
    ended.says(78, &["config.toml", "put `device-code = true` in place of"]);
    assert_eq!(world.snapshot().requests(Endpoint::DeviceCode), 0);
    world.reconfigure("settle", "setle");
    world.run(&["login"]).says(78, &["settle"]);
}

#[test]
fn a_login_beside_a_running_daemon_is_taken_over() {
    let world = world(ORGANIZER);
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("daemon.ready");
    sign_in(&world, ORGANIZER);
    world.put("one.ics", &single("one@example.org"));
    wait_until("the link", || world.is_linked("one.ics", "one@example.org"));
    let ended = daemon.terminate();
    ended.says(0, &[]);
    not_told(&world, &ended);
}

#[test]
fn what_root_writes_belongs_to_the_owner_of_the_state() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = world(ORGANIZER);
    std::fs::create_dir(world.path("state")).unwrap();
    chown(world.path("state"), Some(65_534), Some(65_534)).unwrap();
    sign_in(&world, ORGANIZER);
    for name in ["", "graph.signed-in.json", "graph.signed-in.lock"] {
        let found = world.path("state/tokens").join(name).metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (65_534, 65_534), "{name}");
    }
}
