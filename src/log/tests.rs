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
        for text in [kind.sentence, kind.meaning, kind.action] {
            let clean = |c: char| c.is_ascii_graphic() || c == ' ';
            assert!(text.len() > 3 && text.chars().all(clean), "{}", kind.id);
            assert!(
                !text.contains("  ") && text.trim() == text,
                "{}: blanks in a row, as where a line ends without `\\`: {text}",
                kind.id
            );
        }
        assert!(kind.meaning.len() > 15, "{}: what does it mean?", kind.id);
        assert_eq!(catalogue::find(kind.id), Some(kind));
    }
}

#[test]
fn code_and_catalogue_are_in_step() {
    let sources = sources();
    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, source) in &sources {
        for call in calls(source) {
            let mut parts = split(call);
            let name = parts.remove(0);
            let at = NAMES.iter().position(|known| *known == name);
            let kind = at.map(|at| ALL[at]);
            let kind = kind.unwrap_or_else(|| panic!("{}: {name}", file.display()));
            let given = used.entry(name).or_default();
            for part in parts {
                let field = part.split('=').next().unwrap_or_default().trim();
                let field = field.trim_start_matches(['%', '?']);
                given.insert(field);
                assert!(
                    kind.fields.contains(&field),
                    "{}: {name} has no field `{field}` in the catalogue",
                    file.display()
                );
            }
        }
    }
    for (name, kind) in NAMES.iter().zip(ALL) {
        let given = used.get(name);
        let given = given.unwrap_or_else(|| panic!("{name}: nobody reports it"));
        for field in kind.fields {
            assert!(given.contains(field), "{name}: nobody gives it a `{field}`");
        }
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
    logged_as(Format::Text, Path::new("/"), filter, colour, act)
}

/// The same in another form, where journald listens at `socket`.
fn logged_as(
    format: Format,
    socket: &Path,
    filter: &str,
    colour: bool,
    act: impl FnOnce(),
) -> String {
    let written = Written::default();
    let writer = written.clone();
    let output = Output {
        format,
        filter: Filter::parse(filter).unwrap(),
        colour,
        clock: Arc::new(Noon),
        writer: move || writer.clone(),
    };
    let (subscriber, _) = through(output, socket);
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

/// An error, and fields of every type.
fn a_line_of_each_kind() {
    log::event!(LINK_CREATED, calendar = %"my team", uid = "a\"b", n = 3_u32, ok = true, off = -1_i64);
    tracing::event!(target: "hyper::proto", Level::WARN, event = "x", time = 1, "broken pipe");
}

#[test]
fn json_has_an_object_per_line_with_typed_fields() {
    let text = logged_as(
        Format::Json,
        Path::new("/"),
        "info",
        false,
        a_line_of_each_kind,
    );
    assert_eq!(
        text,
        concat!(
            r#"{"time":"2026-11-23T12:00:00.000Z","level":"info","event":"link.created","#,
            r#""message":"a meeting was made for an event","calendar":"my team","uid":"a\"b","#,
            r#""n":3,"ok":true,"off":-1}"#,
            "\n",
            r#"{"time":"2026-11-23T12:00:00.000Z","level":"warn","module":"hyper::proto","#,
            r#""message":"broken pipe"}"#,
            "\n"
        )
    );
}

#[test]
fn hostile_fields_are_the_same_in_json_and_in_the_journal() {
    let hostile = "a\nMESSAGE=\u{1b}[31m\r\u{202e}\"}\u{9b}";
    let clean = r#"a\u{a}MESSAGE=\u{1b}[31m\u{d}\u{202e}"}\u{9b}"#;
    let act = || log::event!(LINK_CREATED, calendar = hostile, uid = %hostile);
    let text = logged_as(Format::Json, Path::new("/"), "info", true, act);
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&line["calendar"], &line["uid"]),
        (&clean.into(), &clean.into())
    );
    assert!(
        !text
            .trim_end()
            .contains(|c: char| c.is_control() || c == '\u{202e}')
    );

    let journald = Journald::new();
    assert_eq!(
        logged_as(Format::Journald, &journald.path(), "info", true, act),
        ""
    );
    let fields = journald.entry();
    assert_eq!(fields["MEETBRIDGE_CALENDAR"], clean);
    assert_eq!(fields["MEETBRIDGE_UID"], clean);
}

/// A socket in journald's place.
struct Journald {
    place: tempfile::TempDir,
    socket: std::os::unix::net::UnixDatagram,
}

impl Journald {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let socket = std::os::unix::net::UnixDatagram::bind(place.path().join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { place, socket }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("socket")
    }

    /// The fields of the next entry.
    fn entry(&self) -> BTreeMap<String, String> {
        let mut bytes = vec![0; 1 << 20];
        let n = self.socket.recv(&mut bytes).unwrap();
        let text = String::from_utf8(bytes[..n].to_vec()).unwrap();
        let fields = text.lines().map(|line| line.split_once('=').unwrap());
        let fields: BTreeMap<_, _> = fields.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert_eq!(
            fields.len(),
            text.lines().count(),
            "a field stands twice: {text}"
        );
        // What journald takes as the name of a field of a program's.
        let letter = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let good = |name: &String| name.len() <= 64 && name.chars().all(letter);
        assert!(fields.keys().all(good), "{fields:?}");
        fields
    }
}

#[test]
fn the_journal_gets_an_entry_with_fields() {
    let journald = Journald::new();
    let text = logged_as(
        Format::Journald,
        &journald.path(),
        "info",
        true,
        a_line_of_each_kind,
    );
    assert_eq!(text, "", "nothing is left for stderr");
    let expected = [
        ("CODE_MODULE", "meetbridge::log::tests"),
        ("MEETBRIDGE_CALENDAR", "my team"),
        ("MEETBRIDGE_EVENT", "link.created"),
        ("MEETBRIDGE_N", "3"),
        ("MEETBRIDGE_OFF", "-1"),
        ("MEETBRIDGE_OK", "true"),
        ("MEETBRIDGE_UID", "a\"b"),
        (
            "MESSAGE",
            "link.created a meeting was made for an event calendar=\"my team\" uid=\"a\\\"b\" n=3 \
             ok=true off=-1",
        ),
        // The UUID of version 5 of `link.created`; it never changes.
        ("MESSAGE_ID", "c47af90d10b353dd965c7707bb1dcedc"),
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "meetbridge"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(journald.entry(), BTreeMap::from(expected));
    let foreign = journald.entry();
    assert_eq!(foreign["CODE_MODULE"], "hyper::proto");
    assert_eq!(foreign["PRIORITY"], "4");
    assert!(foreign["MESSAGE"].starts_with("hyper::proto broken pipe"));
    assert!(!foreign.contains_key("MESSAGE_ID"));
}

#[test]
fn what_the_journal_does_not_take_goes_to_stderr_as_text() {
    let journald = Journald::new();
    let path = journald.path();
    let act = || {
        log::event!(DAEMON_READY, calendars = 1);
        std::fs::remove_file(&path).unwrap();
        log::event!(DAEMON_STOPPING);
        let anew = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        log::event!(DAEMON_STOPPED);
        anew.set_nonblocking(true).unwrap();
        assert!(anew.recv(&mut [0; 9999]).unwrap() > 0, "it is found again");
        // As long as fields get.
        let long = "\u{feff}".repeat(9999);
        let [a, b, c, d] = [&long; 4];
        log::event!(
            RESOURCE_UNREADABLE,
            calendar = a,
            resource = b,
            uid = c,
            error = d
        );
        assert!(anew.recv(&mut [0; 9999]).unwrap() > 0, "it fits");
    };
    let text = logged_as(Format::Journald, &path, "info", false, act);
    assert_eq!(journald.entry()["MEETBRIDGE_EVENT"], "daemon.ready");
    let ids = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    assert_eq!(ids.collect::<Vec<_>>(), ["daemon.stopping"]);
}

#[test]
fn stderr_is_the_journal_where_systemd_says_so_of_that_very_file() {
    use std::os::linux::fs::MetadataExt as _;
    let stderr = tempfile::tempfile().unwrap();
    let meta = stderr.metadata().unwrap();
    let is = |named: &str| Format::of_output(Some(OsStr::new(named)), &stderr);
    let (device, inode) = (meta.st_dev(), meta.st_ino());
    assert_eq!(is(&format!("{device}:{inode}")), Format::Journald);
    let others = [
        format!("{device}:{}", inode + 1),
        format!("{}:{inode}", device + 1),
    ];
    for other in [&others[0], &others[1], "", ":", "1"] {
        assert_eq!(is(other), Format::Text, "{other}");
    }
    assert_eq!(Format::of_output(None, &stderr), Format::Text);
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
}

#[test]
fn lines_are_coloured_where_that_is_asked_for() {
    assert!(!logged("info", false, || log::event!(DAEMON_STOPPED)).contains('\u{1b}'));
    assert!(logged("info", true, || log::event!(DAEMON_STOPPED)).contains('\u{1b}'));
}
