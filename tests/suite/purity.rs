//! What the layout promises: pure modules touch nothing outside, the simulator shares no type with
//! what it checks, and no two modules need each other in a circle.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules without clock, network, disk or async.
const PURE: [&str; 3] = ["ical", "plan", "model"];

/// What no pure module names.
const IMPURE: [&str; 14] = [
    "tokio",
    "reqwest",
    "rusqlite",
    "notify",
    "rustix",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "Utc::now",
    "Local::now",
];

/// The sources of each top-level module, comments, strings and unit tests taken out.
fn modules() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(&root).unwrap();
            let stem = path.file_stem().unwrap().to_string_lossy();
            let test = stem == "tests" || stem.ends_with("_tests");
            if path.extension().is_none_or(|extension| extension != "rs") || test {
                continue;
            }
            let first = inside.components().next().unwrap();
            let module = Path::new(first.as_os_str()).file_stem().unwrap();
            let code = code(&fs::read_to_string(&path).unwrap());
            modules
                .entry(module.to_string_lossy().into_owned())
                .or_default()
                .push((inside.to_owned(), code));
        }
    }
    modules
}

/// The code alone, each run of blanks as one: no comments, no text in quotes, no test module, which
/// stands last in its file.
fn code(source: &str) -> String {
    let source = source
        .split_once("#[cfg(test)]\nmod tests {")
        .map_or(source, |(before, _)| before);
    let mut code = String::with_capacity(source.len());
    let mut chars = source.chars().peekable();
    let mut blank = false;
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                code.push_str("\"\"");
            }
            '\'' => {
                // A character, or a lifetime, which nothing closes.
                let rest: Vec<char> = chars.clone().take(12).collect();
                let close = match rest.as_slice() {
                    ['\\', _, rest @ ..] => rest.iter().position(|c| *c == '\'').map(|at| at + 2),
                    [_, '\'', ..] => Some(1),
                    _ => None,
                };
                for _ in 0..close.map_or(0, |at| at + 1) {
                    chars.next();
                }
            }
            c if c.is_whitespace() => {
                if !blank {
                    code.push(' ');
                }
                blank = true;
                continue;
            }
            c => code.push(c),
        }
        blank = false;
    }
    code
}

/// Whether `code` names the path `name`: as whole words.
fn names(code: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(word)
            && !code[at + name.len()..].chars().next().is_some_and(word)
    }) || braced(code, name)
}

/// Whether `code` names a path of two or more parts through braces: `use std::{fs, io}`.
fn braced(code: &str, name: &str) -> bool {
    let Some((parent, last)) = name.rsplit_once("::") else {
        return false;
    };
    let open = format!("{parent}::{{");
    code.match_indices(&open).any(|(at, _)| {
        top_level_names(&code[at + open.len()..])
            .iter()
            .any(|name| name == last)
    })
}

/// The first words of the items of a `use` list whose `{` has been read.
fn top_level_names(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut items = vec![String::new()];
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            c if depth == 0 => items.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    items
        .iter()
        .map(|item| {
            let item = item.trim();
            let end = item.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            item[..end.unwrap_or(item.len())].to_owned()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

/// The top-level modules that `code` names by `crate::`.
fn used(code: &str) -> BTreeSet<String> {
    code.match_indices("crate::")
        .flat_map(|(at, found)| {
            let rest = &code[at + found.len()..];
            match rest.strip_prefix('{') {
                Some(list) => top_level_names(list),
                None => {
                    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                    vec![rest[..end.unwrap_or(rest.len())].to_owned()]
                }
            }
        })
        .collect()
}

#[test]
fn pure_modules_touch_nothing_outside() {
    let modules = modules();
    for module in PURE {
        for (path, code) in &modules[module] {
            for impure in IMPURE {
                assert!(!names(code, impure), "{} names {impure}", path.display());
            }
            for word in ["async", "await"] {
                assert!(!names(code, word), "{} is {word}", path.display());
            }
        }
    }
}

#[test]
fn the_simulator_shares_no_type_with_what_it_checks() {
    for (path, code) in modules().get("simulator").into_iter().flatten() {
        assert!(
            !used(code).contains("meeting"),
            "{} names crate::meeting",
            path.display()
        );
    }
}

/// What a pass and its decisions carry is opaque: they never learn as what a meeting is made.
#[test]
fn no_decision_knows_as_what_a_meeting_is_made() {
    let modules = modules();
    for module in ["sync", "plan"] {
        for (path, code) in &modules[module] {
            for api in [
                "CalendarEvent",
                "Mirror",
                "MeetingId::Event",
                "meeting::graph",
            ] {
                assert!(!names(code, api), "{} names {api}", path.display());
            }
        }
    }
}

#[test]
fn no_two_modules_need_each_other() {
    let modules = modules();
    let mut uses: BTreeMap<&str, BTreeSet<String>> = modules
        .iter()
        .filter(|(name, _)| !["lib", "main"].contains(&name.as_str()))
        .map(|(name, files)| {
            let mut used: BTreeSet<String> =
                files.iter().flat_map(|(_, code)| used(code)).collect();
            used.retain(|used| used != name && modules.contains_key(used));
            (name.as_str(), used)
        })
        .collect();
    // A module that uses nothing left is in no circle; what remains in the end is.
    while let Some(free) = uses
        .iter()
        .find(|(_, used)| used.is_empty())
        .map(|(name, _)| *name)
    {
        uses.remove(free);
        for used in uses.values_mut() {
            used.remove(free);
        }
    }
    assert!(uses.is_empty(), "a circle, or above one: {uses:?}");
}

#[test]
fn these_tests_see_what_they_look_for() {
    let code = code(
        "//! std::fs\nuse std::{fs, io::{self, net}};\nuse crate::{a, b::{c, d}, e};\nfn f<'a>(x: &'a str) { let _ = ('\"', '\\'', \"crate::text\"); crate::g::h(); chrono::Utc::now(); my_tokio::x() }\n#[cfg(test)]\nmod tests { use crate::tested; }",
    );
    assert!(names(&code, "std::fs") && names(&code, "Utc::now"));
    assert!(!names(&code, "std::net") && !names(&code, "tokio"));
    let expected = ["a", "b", "e", "g"].map(str::to_owned);
    assert_eq!(used(&code), BTreeSet::from(expected));
    let modules = modules();
    assert!(PURE.iter().all(|module| modules.contains_key(*module)));
    assert!(
        used(
            &modules["ical"]
                .iter()
                .map(|(_, code)| code.as_str())
                .collect::<String>()
        )
        .contains("model")
    );
}
