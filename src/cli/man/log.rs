//! `meetbridge-log(7)`: the log's catalogue, as a manual page.

use clap_mangen::roff::{bold, italic, roman};

use crate::log::catalogue;

/// How the entries are to be read.
const DESCRIPTION: [&str; 3] = [
    "meetbridge writes one line per event to standard error, from where systemd takes it to the journal: \
     the time (UTC), the level, the name of the event, a sentence that never varies, and fields. Names, \
     levels and fields stay what they are from release to release, so that monitoring can rely on them.",
    "Fields mean the same everywhere: `calendar` is its name, `resource` the path or address within it, \
     `uid` the event (hashed when it is long or not plain), `organizer` an object id, `error` what is wrong \
     and what to do, `reason` the name of a rule, `path` a file of meetbridge's own.",
    "A lasting failure is logged when it begins, when it changes and when it ends, not with each try. No \
     password, token, join link, title or address is ever logged.",
];

const LEVELS: [(&str, &str); 4] = [
    ("error", "A person must act."),
    ("warn", "It will be tried again."),
    ("info", "The world changed."),
    ("debug", "Why nothing happened."),
];

/// The page's text.
pub(super) fn page() -> String {
    let mut roff = super::titled("meetbridge-log", "7");
    roff.control("SH", ["NAME"]);
    roff.text([roman(
        "meetbridge-log - the events in the log of meetbridge",
    )]);
    roff.control("SH", ["DESCRIPTION"]);
    for (at, paragraph) in DESCRIPTION.into_iter().enumerate() {
        if at > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(paragraph)]);
    }
    super::list(&mut roff, "LEVELS", &LEVELS);
    roff.control("SH", ["EVENTS"]);
    for kind in catalogue::ALL {
        let level = kind.level.as_str().to_lowercase();
        roff.control("TP", []);
        roff.text([bold(kind.id), roman(" ("), italic(level), roman(")")]);
        roff.text([roman(format!("\"{}\".", kind.sentence))]);
        roff.text([roman(one_line(kind.meaning))]);
        roff.control("br", []);
        roff.text([italic("To do:"), roman(" "), roman(one_line(kind.action))]);
        if !kind.fields.is_empty() {
            roff.control("br", []);
            let fields = kind.fields.join("`, `");
            roff.text([italic("Fields:"), roman(format!(" `{fields}`."))]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    super::see_also(
        &mut roff,
        &["meetbridge(1)", "meetbridge(7)", "journalctl(1)"],
    );
    super::rendered(&roff)
}

/// The text with one space wherever it has more, or a line's end.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
