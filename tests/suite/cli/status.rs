//! `meetbridge status`: its summary, its JSON, and when it says that a person is needed.

use std::collections::BTreeSet;

use meetbridge::simulator::{Effect, Endpoint, Fault, ORGANIZER_WITHOUT_POLICY, Times};

use super::support::{Ended, Setup, World, single};

fn keys(value: &serde_json::Value) -> BTreeSet<&str> {
    let object = value.as_object().unwrap();
    object.keys().map(String::as_str).collect()
}

fn one_event() -> World {
    let world = World::new();
    world.put("one.ics", &single("one@example.org"));
    world
}

/// Every line is ended once, and the last one is none that is empty.
fn ends_well(ended: &Ended) {
    assert!(ended.out.ends_with('\n'), "{ended}");
    assert!(!ended.out.ends_with("\n\n"), "{ended}");
    let is_ragged = |line: &str| line.ends_with(' ');
    assert!(!ended.out.lines().any(is_ragged), "{ended}");
}

#[test]
fn the_json_has_these_keys() {
    let world = one_event();
    let never = world.run(&["status", "--json"]);
    world.sync();
    let status = world.run(&["status", "--json"]);
    for ended in [&never, &status] {
        ends_well(ended);
        let all = ended.json();
        let expected = [
            "calendars",
            "daemon",
            "graph",
            "needs-person",
            "organizers",
            "servers",
        ];
        assert_eq!(keys(&all), expected.into());
        let expected = [
            "drops",
            "failing",
            "failing-events",
            "failing-needs-person",
            "frozen",
            "last-pass",
            "links",
            "links-of-former-organizers",
            "links-of-other-api",
            "made-this-month",
            "made-today",
            "meetings-per-month",
            "meetings-to-delete",
            "name",
            "new-links-per-day",
            "next-pass",
            "organizer",
            "orphans",
            "outcome",
        ];
        let calendar = &all["calendars"][0];
        assert_eq!(keys(calendar), expected.into());
        assert_eq!(
            keys(&calendar["links"]),
            ["intended", "seen", "written"].into()
        );
        let expected = [
            "id",
            "made-this-month",
            "meetings-per-month",
            "refused",
            "throttled-until",
        ];
        assert_eq!(keys(&all["organizers"][0]), expected.into());
        assert_eq!(keys(&all["graph"]), ["refused", "throttled-until"].into());
        assert_eq!(all["needs-person"], serde_json::json!([]));
        assert_eq!(
            (&all["daemon"], &calendar["next-pass"]),
            (&false.into(), &().into())
        );
    }
    assert_eq!(status.json()["organizers"][0]["made-this-month"], 1);
}

#[test]
fn a_summary_says_first_whether_anything_needs_a_person() {
    let world = one_event();
    world.sync();
    let ended = world.run(&["status"]);
    ended.says(0, &[]);
    ends_well(&ended);
    let first = ended.out.lines().next().unwrap();
    assert_eq!(
        first,
        "1 calendar, 1 link; no daemon runs; nothing needs you"
    );
    std::fs::remove_dir_all(world.path("team")).unwrap();
    world.run(&["sync"]).says(1, &[]);
    let ended = world.run(&["status"]);
    ended.says(1, &[]).shows(&[
        "; 1 needs you: team\n  team: failing: ",
        "does not exist",
        "    meetbridge check --online\n",
    ]);
    ends_well(&ended);
    let need = &ended_json(&world)["needs-person"][0];
    assert_eq!(keys(need), ["command", "of", "what"].into());
}

fn ended_json(world: &World) -> serde_json::Value {
    world.run(&["status", "--json"]).json()
}

#[test]
fn what_waits_for_consent_is_told_with_its_command() {
    let world = World::new();
    for n in 0..51 {
        world.put(&format!("{n}.ics"), &single(&format!("e{n}@example.org")));
    }
    world.run(&["sync"]).says(1, &[]);
    world.run(&["status"]).says(1, &[]).shows(&[
        "1 needs you: team\n  team: its first pass waits for consent since ",
        "    meetbridge resume team\n",
        "waits for consent",
    ]);
    let frozen = &ended_json(&world)["calendars"][0]["frozen"];
    assert_eq!(keys(frozen), ["first-pass", "since", "why"].into());
    assert_eq!(frozen["first-pass"], true);
}

#[test]
fn an_organizer_who_is_refused_is_told_until_it_works() {
    let world = one_event();
    world.configure(&Setup {
        organizer: ORGANIZER_WITHOUT_POLICY,
        ..Setup::default()
    });
    world.run(&["sync"]).says(1, &[]);
    let ended = world.run(&["status"]);
    let need = format!("  {ORGANIZER_WITHOUT_POLICY}: refused: ");
    ended.says(1, &[]).shows(&[&need, "access policy"]);
    let all = ended_json(&world);
    assert!(all["organizers"][0]["refused"].is_string(), "{all}");
    assert_eq!(all["graph"]["refused"], serde_json::Value::Null);
    world.configure(&Setup::default());
    world.sync();
    world.run(&["status"]).says(0, &[]);
}

#[test]
fn what_is_tried_again_by_itself_needs_nobody() {
    let world = one_event();
    let busy = Fault::next(Endpoint::CreateOrGet, Effect::status(503)).times(Times::Forever);
    world.simulator.script(busy);
    world.run(&["sync"]).says(1, &[]);
    let ended = world.run(&["status"]);
    ended.says(0, &[]).shows(&[
        "nothing needs you",
        "waiting-for-graph 1",
        "team: 1 events fail",
    ]);
    world.simulator.reset();
    let refused = Fault::next(Endpoint::CreateOrGet, Effect::status(400)).times(Times::Forever);
    world.simulator.script(refused);
    world.run(&["sync"]).says(1, &[]);
    world.run(&["status"]).says(1, &[]).shows(&[
        "team: events that fail until somebody acts: 1",
        "meetbridge plan --calendar team",
    ]);
}

#[test]
fn the_daemon_tells_when_it_looks_next() {
    let world = one_event();
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("link.written");
    let all = ended_json(&world);
    assert_eq!(all["daemon"], true);
    assert!(all["calendars"][0]["next-pass"].is_string(), "{all}");
    daemon.terminate();
}

#[test]
fn a_table_fits_the_terminal() {
    let world = one_event();
    world.sync();
    let (program, config) = (env!("CARGO_BIN_EXE_meetbridge"), world.path("config.toml"));
    let script = format!(
        "import fcntl,os,pty,struct,sys,termios\n\
         pid, fd = pty.fork()\n\
         if pid == 0:\n \
         fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 60, 0, 0))\n \
         os.execv('{program}', ['{program}', '--config', '{}', 'status'])\n\
         out = b''\n\
         while True:\n \
         try: part = os.read(fd, 4096)\n \
         except OSError: break\n \
         if not part: break\n \
         out += part\n\
         sys.stdout.buffer.write(out.replace(b'\\r', b''))\n\
         sys.exit(os.waitpid(pid, 0)[1] >> 8)\n",
        config.display()
    );
    let ended = world.start_program("python3", &["-c", &script]).finish();
    ended.says(0, &[]).shows(&["organizer", "in-step"]);
    let longest = ended.out.lines().skip(1).map(|line| line.chars().count());
    assert!(longest.max() <= Some(60), "{ended}");
}
