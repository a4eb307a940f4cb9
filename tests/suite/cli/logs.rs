//! The log as monitoring reads it: each form, the level that a reload sets, and the README's queries.

use meetbridge::log::catalogue;
use serde_json::Value;

use super::support::{Setup, TEAM, World, single};

/// A world whose configuration holds this `[log]`.
fn world(log: &str) -> World {
    let world = World::new();
    world.configure(&Setup {
        rest: &format!("{TEAM}[log]\n{log}\n"),
        ..Setup::default()
    });
    world
}

/// Runs the daemon with nothing but its configuration.
fn begin(world: &World) -> super::support::Running {
    let config = world.path("config.toml");
    world.start_bare(&["--config", config.to_str().unwrap(), "run"])
}

#[test]
fn json_lines_are_what_the_catalogue_says() {
    let world = world("format = \"json\"\nlevel = \"debug\"");
    world.put("one.ics", &single("one@example.org"));
    let mut daemon = begin(&world);
    daemon.wait_log("\"event\":\"link.written\"");
    daemon.wait_log("\"event\":\"calendar.pass\"");
    let ended = daemon.terminate();
    let mut seen = Vec::new();
    for line in ended.err.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let line = line.as_object().unwrap();
        let Some(id) = line.get("event") else {
            assert!(line["module"].is_string(), "{line:?}");
            continue;
        };
        let kind = catalogue::find(id.as_str().unwrap()).unwrap();
        assert_eq!(line["message"], kind.sentence);
        assert_eq!(line["level"], kind.level.as_str().to_ascii_lowercase());
        let time = line["time"].as_str().unwrap();
        assert!(
            time.parse::<chrono::DateTime<chrono::Utc>>().is_ok(),
            "{time}"
        );
        let own = ["time", "level", "event", "message"];
        let fields = line
            .iter()
            .filter(|(name, _)| !own.contains(&name.as_str()));
        for (name, value) in fields {
            assert!(kind.fields.contains(&name.as_str()), "{id}: {name}");
            let numbers = ["calendars", "written", "created", "milliseconds"];
            assert!(
                !numbers.contains(&name.as_str()) || value.is_u64(),
                "{id}: {name}"
            );
        }
        seen.push(kind.id);
    }
    for id in [
        "daemon.started",
        "link.created",
        "link.written",
        "daemon.stopped",
    ] {
        assert!(seen.contains(&id), "{id}: {seen:?}");
    }
}

#[test]
fn text_is_the_form_where_stderr_is_not_the_journal() {
    let mut world = world("");
    // It names another file than the pipe that stderr is.
    world.set("JOURNAL_STREAM", "1:1");
    let mut daemon = begin(&world);
    daemon.wait_log(" INFO  daemon.ready meetbridge is at work calendars=1\n");
    daemon.terminate().says(0, &["daemon.stopped"]);
}

#[test]
fn a_reload_sets_the_level_of_a_module_and_refuses_one_that_is_none() {
    let world = world("level = \"info\"");
    world.put("one.ics", &single("one@example.org"));
    let mut daemon = begin(&world);
    daemon.wait_log("link.written");
    assert!(!daemon.log().contains(" DEBUG "), "{}", daemon.log());
    world.reconfigure(
        "level = \"info\"",
        "level = \"info,meetbridge::sync=debug\"",
    );
    daemon.hang_up();
    daemon.wait_log("config.reloaded");
    world.put("two.ics", &single("two@example.org"));
    daemon.wait_log("calendar.pass");

    world.reconfigure("meetbridge::sync=debug", "hyper=debug");
    daemon.hang_up();
    daemon.wait_log("config.refused");
    let ended = daemon.terminate();
    ended.says(
        0,
        &[
            "fault=\"`level`: the log of `hyper` cannot be turned up",
            "line=",
        ],
    );
}

#[test]
fn the_queries_of_the_readme_name_events_and_fields_that_there_are() {
    let readme = include_str!("../../../README.md");
    let logs = readme.split("\n## Logs\n").nth(1).unwrap();
    let logs = logs.split("\n## ").next().unwrap();
    let all_fields: Vec<&str> = catalogue::ALL
        .iter()
        .flat_map(|k| k.fields)
        .copied()
        .collect();
    let own = ["time", "level", "event", "message", "module"];
    let (mut ids, mut fields) = (0, 0);
    let word = |c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c));
    for block in logs.split("```").skip(1).step_by(2) {
        for (at, _) in block.match_indices("event == \"") {
            let id = block[at..].split('"').nth(1).unwrap();
            assert!(catalogue::find(id).is_some(), "{id}");
            ids += 1;
        }
        for part in block.split(|c: char| c.is_whitespace() || "'\"(".contains(c)) {
            if let Some(id) = part.strip_prefix("MEETBRIDGE_EVENT=") {
                assert!(catalogue::find(id).is_some(), "{id}");
                ids += 1;
            } else if let Some(field) = part.strip_prefix("MEETBRIDGE_") {
                let field = field.split('=').next().unwrap().to_lowercase();
                assert!(all_fields.contains(&&*field) || field == "event", "{field}");
                fields += 1;
            }
        }
        // `.name` in a filter of jq.
        for line in block.lines().filter(|line| line.contains("jq ")) {
            let filter = line.split('\'').nth(1).unwrap_or_default();
            for part in filter.split(word).filter_map(|part| part.strip_prefix('.')) {
                let part = part.strip_prefix("MEETBRIDGE_").unwrap_or(part);
                let part = part.to_lowercase();
                let known = own.contains(&&*part) || all_fields.contains(&&*part);
                assert!(part.is_empty() || known, "{part}");
                fields += 1;
            }
        }
    }
    assert!(
        ids >= 5 && fields >= 8,
        "the queries are looked for in vain: {ids}, {fields}"
    );
}
