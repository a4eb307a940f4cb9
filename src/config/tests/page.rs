//! meetbridge.toml(5) and the program say the same of every key.

use std::collections::BTreeMap;

use super::*;

/// The page.
const PAGE: &str = include_str!("../../cli/man/meetbridge.toml.5");

/// The kinds of calendars' tables.
const KINDS: [&str; 4] = [
    "calendar.directory",
    "calendar.file",
    "calendar.caldav",
    "calendar.feed",
];

/// A page's source without its escapes.
fn plain(text: &str) -> String {
    let pairs = [
        ("\\fB", ""),
        ("\\fI", ""),
        ("\\fR", ""),
        ("\\-", "-"),
        ("\\(dq", "\""),
        ("\\(aq", "'"),
        ("\\(cq", "'"),
        ("\\(ga", "`"),
        ("\\(ha", "^"),
        ("\\(ti", "~"),
        ("\\&", ""),
    ];
    let plain = pairs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    assert!(!plain.contains("\\("), "an escape that is not known here");
    plain
}

/// The tables that a part of the page is about; none where it is about something else.
fn tables(heading: &str) -> Vec<&'static str> {
    match plain(heading).trim_matches('"') {
        "Included files" => vec![""],
        "[state]" => vec!["state"],
        "[graph]" => vec!["graph"],
        "[meeting]" => [&["meeting"], &KINDS[..]].concat(),
        "[[calendar.KIND]]" => KINDS.to_vec(),
        "[[calendar.directory]], [[calendar.file]]" => KINDS[..2].to_vec(),
        "[[calendar.caldav]]" => vec![KINDS[2]],
        "[[calendar.feed]]" => vec![KINDS[3]],
        "[budget]" => vec!["budget"],
        "[network]" => vec!["network"],
        "[log]" => vec!["log"],
        _ => Vec::new(),
    }
}

/// Each key that has an entry, as `table.key`, with the entry's text; each once.
fn entries() -> BTreeMap<String, String> {
    let (mut about, mut open, mut entries) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut lines = PAGE.lines().peekable();
    let mut was_label = false;
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix(".SS ").or(line.strip_prefix(".SH ")) {
            about = tables(heading);
            open.clear();
        } else if matches!(line, ".TP" | ".TQ") {
            if line == ".TP" || !was_label {
                open.clear();
            }
            let key = lines.peek().and_then(|label| label.strip_prefix(".B "));
            if let Some(key) = key.map(plain) {
                lines.next();
                for table in &about {
                    let path = format!("{table}.{key}");
                    let path = path.trim_start_matches('.').to_owned();
                    let before = entries.insert(path.clone(), String::new());
                    assert_eq!(before, None, "{path} has two entries");
                    open.push(path);
                }
                was_label = true;
                continue;
            }
        } else if line.starts_with(".PP") {
            open.clear();
        }
        was_label = false;
        for path in &open {
            let text = entries.entry(path.clone()).or_default();
            *text = format!("{text}{line}\n");
        }
    }
    entries
}

#[test]
fn the_page_has_every_key_and_no_other() {
    let example = shipped("example.toml");
    let all = uncommented(&example, |line| {
        is_setting(line, "#") || is_setting(line, "#   ")
    });
    let is_table = |path: &String| {
        let alone = !path.contains('.') && path != "include";
        alone || KINDS.contains(&path.as_str())
    };
    let known: BTreeSet<String> = known(&all)
        .into_iter()
        .filter(|path| !is_table(path))
        .collect();
    let entries = entries();
    let explained: BTreeSet<String> = entries.keys().cloned().collect();
    assert_eq!(explained, known);
    for (path, text) in &entries {
        assert!(text.len() > 20, "{path} is not explained");
    }
}

#[test]
fn the_page_states_the_defaults_that_the_example_states() {
    // Those of the example are the program's: `the_example_states_the_defaults`.
    let mut stated = BTreeMap::new();
    let mut table = String::new();
    for line in shipped("example.toml").lines() {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).to_owned();
        } else if is_setting(line, "#")
            && let Some((key, value)) = line[1..].split_once(" = ")
        {
            stated.insert(format!("{table}.{key}"), value.to_owned());
        }
    }
    assert!(stated.len() > 25, "{stated:?}");
    let bold = |text: &str| {
        let text = text.replace('\n', " ");
        let (_, rest) = text.split_once("Default: \\fB")?;
        Some(plain(rest.split_once("\\fR")?.0))
    };
    // A calendar's number is that of [budget], or its own poll says.
    let follows = |path: &str| {
        path.ends_with(".new-links-per-day") && path.starts_with("calendar")
            || path.ends_with(".poll-fastest")
    };
    for (path, text) in entries() {
        // What [meeting] says holds for calendars.
        let is_repeated = path.starts_with("calendar.") && !stated.contains_key(&path);
        if is_repeated || follows(&path) {
            continue;
        }
        assert_eq!(bold(&text), stated.get(&path).cloned(), "{path}: {text}");
    }
}

#[test]
fn the_examples_of_the_page_are_configurations() {
    let mut parts = Vec::new();
    for part in PAGE.split(".EX\n").skip(1) {
        parts.push(plain(part.split_once(".EE").unwrap().0));
    }
    let whole = parts.iter().find(|part| part.contains("[graph]")).unwrap();
    assert_eq!(good(whole).calendars.len(), 1);
    let shown = parts.iter().find(|part| part.contains(":9:1: ")).unwrap();
    let faulty = whole.replace("[[calendar", "settle = \"10s\"\n[[calendar");
    let faulty = faulty.replace("\n\n", "\n").replace("settle", "setle");
    let at = faulty.lines().position(|line| line.starts_with("setle"));
    let faulty = "\n".repeat(8 - at.unwrap()) + &faulty;
    let faults = Config::parse(&faulty, "/etc/meetbridge/config.toml", &machine()).unwrap_err();
    assert_eq!(faults.to_string(), shown.trim_end());
}
