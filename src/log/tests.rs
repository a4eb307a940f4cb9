//! The catalogue, the code that uses it, and the lines that come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tracing::Level;

use super::catalogue::{ALL, NAMES};
use super::*;
use crate::log;

#[test]
fn the_catalogue_is_well_formed() {
    let mut ids = BTreeSet::new();
    for kind in ALL {
        assert!(ids.insert(kind.id), "{}: twice", kind.id);
        let (noun, what) = kind.id.split_once('.').expect(kind.id);
        let letters = |text: &str, more: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || more.contains(c))
        };
        assert!(letters(noun, "") && letters(what, "-"), "{}", kind.id);
        assert!(!kind.sentence.ends_with('.'), "{}", kind.id);
        assert!(
            kind.meaning.ends_with('.') && kind.action.ends_with('.'),
            "{}",
            kind.id
        );
        let acts = kind.action != "Nothing.";
        assert!(
            acts || kind.level != Level::ERROR,
            "{}: what is to be done?",
            kind.id
        );
        assert!(!kind.fields.contains(&"event") && !kind.fields.contains(&"message"));
    }
}

#[test]
fn code_and_catalogue_are_in_step() {
    let sources = sources();
    let mut used = BTreeSet::new();
    for (file, source) in &sources {
        for call in calls(source) {
            let mut parts = split(call);
            let name = parts.remove(0);
            let at = NAMES.iter().position(|known| *known == name);
            let kind = at.map(|at| ALL[at]);
            let kind = kind.unwrap_or_else(|| panic!("{}: {name}", file.display()));
            used.insert(name);
            for part in parts {
                let field = part.split('=').next().unwrap_or_default().trim();
                let field = field.trim_start_matches(['%', '?']);
                assert!(
                    kind.fields.contains(&field),
                    "{}: {name} has no field `{field}` in the catalogue",
                    file.display()
                );
            }
        }
    }
    for name in NAMES {
        assert!(used.contains(*name), "{name}: nobody reports it");
    }
}

#[test]
fn nobody_logs_a_free_sentence() {
    for (file, source) in sources() {
        for word in [
            "info!(",
            "warn!(",
            "error!(",
            "tracing::event!(",
            "Level::ERROR,",
        ] {
            for (at, _) in source.match_indices(word) {
                let before = source[..at].chars().next_back();
                let part_of_a_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
                assert!(part_of_a_word, "{}: {word}", file.display());
            }
        }
    }
}

/// The text of every source file but the log's own, without comments.
fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path == root.join("log") {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                let code = source.lines().filter(|l| !l.trim_start().starts_with("//"));
                found.insert(path, code.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    found
}

/// What stands between the parentheses of each `log::event!(...)`.
fn calls(source: &str) -> Vec<&str> {
    let mut calls = Vec::new();
    for (at, word) in source.match_indices("log::event!(") {
        let rest = &source[at + word.len()..];
        let mut depth = 1;
        let end = rest.find(|c| {
            depth += match c {
                '(' | '[' | '{' => 1,
                ')' | ']' | '}' => -1,
                _ => 0,
            };
            depth == 0
        });
        calls.push(&rest[..end.unwrap()]);
    }
    calls
}

/// A macro's arguments.
fn split(call: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = call.split(|c| {
        depth += match c {
            '(' | '[' | '{' => 1,
            ')' | ']' | '}' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    });
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

#[test]
fn a_call_is_taken_apart() {
    let source = "x(log::event!(A, b = %f(1, 2), %c,\n)); log::event!(D)";
    let calls = calls(source);
    assert_eq!(calls, ["A, b = %f(1, 2), %c,\n", "D"]);
    assert_eq!(split(calls[0]), ["A", "b = %f(1, 2)", "%c"]);
}

/// A clock that stands still.
struct Noon;

impl Clock for Noon {
    fn now(&self) -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written while `act` runs.
fn logged(filter: &str, colour: bool, act: impl FnOnce()) -> String {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = subscriber(Output {
        format: Format::Text,
        filter: Filter::parse(filter).unwrap(),
        colour,
        clock: Arc::new(Noon),
        writer: move || writer.clone(),
    });
    tracing::subscriber::with_default(subscriber, act);
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_line_has_time_level_id_sentence_and_fields() {
    let text = logged("info", false, || {
        log::event!(LINK_CREATED, calendar = %"my team", uid = "a@b", n = 3_u32, ok = true,);
        log::event!(DAEMON_STOPPED);
    });
    assert_eq!(
        text,
        "2026-11-23T12:00:00.000Z INFO  link.created a meeting was made for an event \
         calendar=\"my team\" uid=a@b n=3 ok=true\n\
         2026-11-23T12:00:00.000Z INFO  daemon.stopped meetbridge has stopped\n"
    );
}

#[test]
fn hostile_fields_stay_in_one_clean_line() {
    let hostile = "a\nERROR state.damaged\u{1b}[31m\r\u{202e}\"x=y";
    for colour in [false, true] {
        let text = logged("info", colour, || {
            log::event!(LINK_CREATED, calendar = hostile, uid = %hostile, resource = ?hostile);
            tracing::warn!(target: "other", "{hostile}");
        });
        let plain = text.replace("\u{1b}[0m", "").replace("\u{1b}[2m", "");
        let plain = plain.replace("\u{1b}[32m", "").replace("\u{1b}[33m", "");
        assert_eq!(plain.lines().count(), 2, "{text}");
        assert!(
            plain.lines().all(|line| !line.contains(char::is_control)),
            "{text}"
        );
        assert!(!plain.contains('\u{202e}'), "{text}");
        assert!(
            plain.contains(r#"calendar="a\u{a}ERROR state.damaged\u{1b}[31m"#),
            "{plain}"
        );
    }
}

#[test]
fn a_long_field_is_cut() {
    let text = logged("info", false, || {
        log::event!(CALENDAR_FAILING, error = "ü".repeat(100_000));
    });
    assert!(
        text.len() < 5000 && text.ends_with("...\n"),
        "{}",
        text.len()
    );
}

#[test]
fn an_error_shows_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);
    let error = Outer(io::Error::other("inner"));
    let text = logged("info", false, || {
        log::event!(CALENDAR_FAILING, error = &error as &dyn std::error::Error);
    });
    assert!(text.ends_with(" error=\"outer: inner\"\n"), "{text}");
}

#[test]
fn the_filter_turns_up_our_modules_alone() {
    let act = || {
        log::event!(EVENT_SKIPPED);
        log::event!(LINK_CREATED);
        tracing::event!(target: "hyper::proto", Level::INFO, "free");
        tracing::event!(target: "hyper::proto", Level::WARN, "free");
        tracing::event!(target: "meetbridge::other", Level::DEBUG, "free");
    };
    let ids = |filter| {
        let text = logged(filter, false, act);
        let ids = text
            .lines()
            .filter_map(|line| line.split_whitespace().nth(2));
        ids.map(str::to_owned).collect::<Vec<_>>()
    };
    let debug = [
        "event.skipped",
        "link.created",
        "hyper::proto",
        "meetbridge::other",
    ];
    assert_eq!(ids("debug"), debug);
    assert_eq!(ids("info"), debug[1..3]);
    assert_eq!(ids("info,meetbridge::log=debug"), debug[..3]);
    assert_eq!(ids("warn"), debug[2..3]);
    assert_eq!(ids("error"), [""; 0]);
    assert_eq!(Filter::parse("info"), Ok(Filter::level(Level::INFO)));

    assert_eq!(Filter::parse("loud"), Err(FilterError::Malformed));
    assert_eq!(
        Filter::parse("info,hyper=trace"),
        Err(FilterError::Foreign("hyper".to_owned()))
    );
}

#[test]
fn colour_is_for_terminals_without_no_color() {
    let set = |text| Some(std::ffi::OsStr::new(text));
    assert!(super::colour(true, None));
    assert!(super::colour(true, set("")));
    assert!(!super::colour(true, set("1")));
    assert!(!super::colour(false, None));
    assert!(!logged("info", false, || log::event!(DAEMON_STOPPED)).contains('\u{1b}'));
    assert!(logged("info", true, || log::event!(DAEMON_STOPPED)).contains('\u{1b}'));
}
