//! `sync --rewrite` and `plan --rewrite`: what is configured now applies to links that are there.

use meetbridge::simulator::Endpoint;

use super::support::{Setup, World, assert_clients, calendar, event, single, unfold};

const PLAIN: &str = "language = \"en-US\"\n";
const OTHER: &str = "language = \"de-DE\"\nlocation = \"label\"\nshow = [\"meeting-id\"]\n";

fn configure(world: &World, meeting: &str) {
    world.configure(&Setup {
        meeting,
        ..Setup::default()
    });
}

/// A world with two linked events and another configuration than they were linked under.
fn reconfigured() -> World {
    let world = World::new();
    configure(&world, PLAIN);
    world.put("a.ics", &single("a@example.org"));
    world.put(
        "b.ics",
        &calendar(&[event("b@example.org", 30), event("c@example.org", 40)]),
    );
    world.sync();
    configure(&world, OTHER);
    world
}

fn gets(world: &World) -> u64 {
    let snapshot = world.snapshot();
    snapshot.requests(Endpoint::Get) + snapshot.requests(Endpoint::Filter)
}

/// Whether the links are as they are configured now.
fn is_rewritten(world: &World) -> bool {
    ["a.ics", "b.ics"].iter().all(|name| {
        let text = world.get(name);
        assert_clients(&text);
        let text = unfold(&text);
        text.contains("Teilnehmen: https://")
            && text.contains("LOCATION:Microsoft Teams Meeting")
            && !text.contains("Join: https://")
    })
}

#[test]
fn a_changed_configuration_applies_to_links_by_sync_rewrite_and_once() {
    let world = reconfigured();
    let (a, b) = (world.get("a.ics"), world.get("b.ics"));
    world.sync();
    assert_eq!((world.get("a.ics"), world.get("b.ics")), (a.clone(), b));
    assert!(!world.run(&["plan"]).out.contains("rewrite"));
    let plan = world.run(&["plan", "--rewrite"]);
    plan.says(0, &[])
        .shows(&["rewrite", "as it would be written now"]);
    assert_eq!(plan.out.matches(" rewrite ").count(), 3, "{plan}");
    let json = world.run(&["plan", "--rewrite", "--json"]);
    json.says(0, &[]).shows(&["\"decision\":\"rewrite\""]);
    assert_eq!(world.get("a.ics"), a, "a plan changes nothing");

    let rewritten = world.run(&["sync", "--rewrite"]);
    rewritten
        .says(0, &["link.rewritten"])
        .shows(&["0 meetings made, 0 updated, 2 resources written"]);
    assert!(is_rewritten(&world), "{}", world.get("a.ics"));
    assert!(world.is_linked("a.ics", "a@example.org"));
    assert_eq!((gets(&world), world.asked()), (3, 3), "each read once");
    world
        .run(&["sync", "--rewrite"])
        .says(0, &[])
        .shows(&["0 resources written"]);
    world
        .run(&["plan", "--rewrite", "--calendar", "team"])
        .says(0, &[])
        .shows(&["in-step"]);
    assert_eq!(gets(&world), 3);
    // What is shown asks for nothing.
    configure(&world, &OTHER.replace("\"meeting-id\"", ""));
    world
        .run(&["sync", "--rewrite"])
        .says(0, &[])
        .shows(&["2 resources written"]);
    assert!(!unfold(&world.get("a.ics")).contains("Besprechungs-ID"));
    assert_eq!(gets(&world), 3);
}

#[test]
fn a_rewrite_after_a_lost_state_reads_the_meetings_and_makes_none() {
    let world = reconfigured();
    std::fs::remove_dir_all(world.path("state")).unwrap();
    world.run(&["sync", "--rewrite"]).says(0, &[]);
    assert!(is_rewritten(&world), "{}", world.get("a.ics"));
    assert!(unfold(&world.get("a.ics")).contains("Besprechungs-ID: "));
    assert_eq!((gets(&world), world.asked()), (3, 3));
}

#[test]
fn beside_a_daemon_a_rewrite_runs_in_it() {
    let world = reconfigured();
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("calendar.pass");
    assert!(!is_rewritten(&world));
    let plan = world.run(&["plan", "--rewrite"]);
    plan.says(0, &[]);
    assert_eq!(plan.out.matches(" rewrite ").count(), 3, "{plan}");
    world
        .run(&["sync", "--rewrite", "--calendar", "team"])
        .says(0, &[])
        .shows(&["2 resources written"]);
    assert!(is_rewritten(&world), "{}", world.get("a.ics"));
    world
        .run(&["sync", "--rewrite"])
        .says(0, &[])
        .shows(&["0 resources written"]);
    daemon
        .terminate()
        .says(0, &["control.command", "link.rewritten"]);
    assert_eq!((gets(&world), world.asked()), (3, 3));
}
