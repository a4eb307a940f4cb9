//! What a person sees of a command: the form of errors, hints for what is mistyped, quiet, sums.

use super::support::{World, calendar, event, single};

#[test]
fn what_is_mistyped_is_answered_by_what_is_like_it() {
    let world = World::new();
    world.put("one.ics", &single("one@example.org"));
    for command in [
        &["resume", "taem"] as &[&str],
        &["sync", "--calendar", "taem"],
        &["plan", "--calendar", "taem"],
        &["unlink", "--calendar", "taem"],
    ] {
        world.run(command).says(
            1,
            &[
                "error: no enabled calendar is named `taem`\n",
                "  hint: did you mean `team`? there are: team\n",
            ],
        );
    }
    let near = "  hint: did you mean `one@example.org`?\n";
    world.run(&["explain", "onee@example.org"]).says(1, &[near]);
    let whole = "  hint: give it whole: did you mean `one@example.org`?\n";
    world.run(&["explain", "one@exa"]).says(1, &[whole]);
    world
        .run(&["explain", "something-else"])
        .says(1, &["`meetbridge plan` shows the UIDs"]);
}

#[test]
fn quiet_leaves_nothing_but_errors_and_the_results() {
    let world = World::new();
    world.put("one.ics", &single("one@example.org"));
    let ended = world.run(&["--quiet", "sync"]);
    ended.says(0, &[]).shows(&["team: ", "1 meetings made"]);
    assert_eq!(ended.err, "", "{ended}");
    let ended = world.run(&["resume", "-q", "taem"]);
    assert!(ended.err.starts_with("error: "), "{ended}");
}

#[test]
fn a_plan_ends_with_its_sum() {
    let world = World::new();
    let sum = |expected: &str| {
        let ended = world.run(&["plan"]);
        let last = ended.out.lines().last().unwrap_or_default().to_owned();
        assert_eq!(last, expected, "{ended}");
    };
    sum("in all: no events, and nothing to do");
    let zoom =
        event("z@example.org", 30).replace("DESCRIPTION:Agenda", "LOCATION:https://zoom.us/j/1");
    world.put("a.ics", &calendar(&[event("a@example.org", 24), zoom]));
    sum("in all: 1 would be linked, 1 left alone");
}

#[test]
fn colours_are_shown_where_they_are_wanted_only() {
    let red = "\u{1b}[1m\u{1b}[31merror:";
    let mut world = World::new();
    let plain = world.run(&["resume", "taem"]);
    assert!(!plain.err.contains('\u{1b}'), "{plain}");
    world.set("CLICOLOR_FORCE", "1");
    world.run(&["resume", "taem"]).says(1, &[red]);
    world.set("NO_COLOR", "1");
    let plain = world.run(&["resume", "taem"]);
    assert!(!plain.err.contains('\u{1b}'), "{plain}");
}
