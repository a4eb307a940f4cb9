//! Nothing secret is printed: `support::Ended` looks at every command of every test; here it is made
//! sure that it would find something, and that what no marker stands for is not printed either.

use super::support::{GUEST, SECRETS, Setup, TEAM, TITLE, World, single, unfold};
use meetbridge::simulator::{Effect, Endpoint, Fault};

#[test]
fn what_is_written_into_an_event_is_not_printed() {
    let world = World::new();
    let shown = "show = [\"meeting-id\", \"passcode\", \"toll-numbers\", \"toll-free-numbers\", \
                 \"dialin-url\", \"video-device-id\", \"chat\", \"options\"]";
    world.configure(&Setup {
        meeting: shown,
        ..Setup::default()
    });
    world.put("one.ics", &single("one@example.org"));
    for effect in [
        Effect::status(500),
        Effect::Truncated,
        Effect::Partial,
        Effect::YearOne,
    ] {
        world
            .simulator
            .script(Fault::next(Endpoint::CreateOrGet, effect));
    }
    let mut printed = String::new();
    let mut keep = |arguments: &[&str]| {
        let ended = world.run(arguments);
        printed += &ended.out;
        printed += &ended.err;
        ended.code
    };
    super::support::wait_until("the link", || keep(&["sync"]) == Some(0));
    for arguments in [
        &["plan"] as &[&str],
        &["plan", "--json"],
        &["explain", "one@example.org"],
        &["status"],
        &["status", "--json"],
        &["check"],
        &["check", "--online"],
        &["resume", "team"],
    ] {
        assert_eq!(keep(arguments), Some(0), "{arguments:?}");
    }
    let text = unfold(&world.get("one.ics")).replace("\\n", "\n");
    assert!(
        [TITLE, GUEST, "meetup-join"]
            .iter()
            .all(|s| text.contains(s) && SECRETS.contains(s))
    );
    let details: Vec<_> = [
        "Passcode:",
        "Meeting ID:",
        "Conference ID:",
        "Phone conference ID:",
    ]
    .iter()
    .filter_map(|label| text.lines().find_map(|l| l.trim().strip_prefix(label)))
    .map(str::trim)
    .collect();
    assert!(details.len() >= 2, "{text}");
    for detail in details {
        assert!(!printed.contains(detail), "{detail}");
    }
    for url in text
        .split(['\n', ' ', '"', ';'])
        .filter(|w| w.starts_with("https://"))
    {
        assert!(!printed.contains(url), "{url}");
    }
}

#[test]
fn titles_are_in_json_only_where_asked_for() {
    let world = World::new();
    world.configure(&Setup {
        rest: TEAM,
        ..Setup::default()
    });
    world.put(
        "one.ics",
        &single("one@example.org").replace(TITLE, "Open title"),
    );
    let titles = |arguments: &[&str]| {
        let plan = world.run(arguments).json();
        plan["calendars"][0]["events"][0].get("title").cloned()
    };
    assert_eq!(titles(&["plan", "--json"]), None);
    assert_eq!(
        titles(&["plan", "--json", "--titles"]),
        Some("Open title 24".into())
    );
}

#[test]
fn a_hostile_name_reaches_no_terminal_as_it_is() {
    let world = World::new();
    let uid = "evil\u{1b}[2J@example.org";
    world.put("\u{1b}[31mred.ics", &single(uid));
    for arguments in [
        &["plan"] as &[&str],
        &["sync"],
        &["plan", "--json"],
        &["explain", uid],
        &["status"],
    ] {
        let ended = world.run(arguments);
        assert!(
            !ended.out.contains('\u{1b}') && !ended.err.contains('\u{1b}'),
            "{ended:?}"
        );
    }
    let ended = world.run(&["sync", "--calendar", "\u{1b}[2J"]);
    assert!(!ended.err.contains('\u{1b}'), "{ended:?}");
}

#[test]
fn titles_are_shown_on_a_terminal_without_control_characters() {
    let world = World::new();
    let text = single("one@example.org").replace(TITLE, "Open\u{1b}[31mtitle");
    world.put("one.ics", &text);
    let (program, config) = (env!("CARGO_BIN_EXE_meetbridge"), world.path("config.toml"));
    let script = format!(
        "import pty,sys; sys.exit(pty.spawn(['{program}', '--config', '{}', 'plan']) >> 8)",
        config.display()
    );
    let ended = world.start_program("python3", &["-c", &script]).finish();
    ended
        .says(0, &[])
        .shows(&["title", "Open", "one@example.org"]);
    assert!(!ended.out.contains("\u{1b}[31m"), "{ended:?}");
}
