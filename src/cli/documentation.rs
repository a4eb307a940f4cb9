//! The README and the manual pages name only what there is, and leave out nothing that there is.

use std::collections::BTreeSet;

use clap::CommandFactory as _;

use super::Cli;
use crate::log::catalogue;

const README: &str = include_str!("../../README.md");
const GUIDE: &str = include_str!("man/meetbridge.7");
const CONFIGURATION: &str = include_str!("man/meetbridge.toml.5");
const EXAMPLE: &str = include_str!("../../config/example.toml");
const REASONS: &str = include_str!("../plan/why.rs");

/// What stands in code in the texts: commands, keys, events.
fn code() -> Vec<String> {
    let mut all = Vec::new();
    let mut is_block = false;
    for line in README.lines() {
        if line.starts_with("```") || line.starts_with("   ```") {
            is_block = !is_block;
        } else if is_block {
            all.push(line.trim().to_owned());
        } else {
            all.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    for page in [GUIDE, CONFIGURATION] {
        for (n, part) in page.split(".EX\n").enumerate() {
            let (block, text) = match n {
                0 => ("", part),
                _ => part.split_once(".EE\n").expect("an example has an end"),
            };
            all.extend(block.lines().map(plain));
            let bold = text.split("\\fB").skip(1);
            let bold = bold.filter_map(|rest| Some(rest.split_once("\\fR")?.0));
            all.extend(bold.map(|code| plain(&code.replace('\n', " "))));
        }
    }
    all
}

fn plain(text: &str) -> String {
    let escapes = [("\\-", "-"), ("\\(aq", "'"), ("\\(ti", "~"), ("\\&", "")];
    let replaced = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    escapes.iter().fold(text.to_owned(), replaced)
}

/// Each command with its options, `--` before them; the global ones with each.
fn commands() -> Vec<(String, BTreeSet<String>)> {
    let cli = Cli::command();
    let longs = |command: &clap::Command| -> Vec<String> {
        let longs = command.get_arguments().filter_map(|arg| arg.get_long());
        longs.map(|long| format!("--{long}")).collect()
    };
    let global = longs(&cli);
    let commands = cli.get_subcommands().map(|command| {
        let options = longs(command).into_iter().chain(global.clone());
        (command.get_name().to_owned(), options.collect())
    });
    commands.collect()
}

#[test]
fn each_command_and_option_that_is_named_exists() {
    let known = commands();
    let of = |name: &str| known.iter().find(|(command, _)| command == name);
    let mut seen = 0;
    for code in code() {
        for part in code.split("&&").flat_map(|part| part.split(';')) {
            let part = part.trim().trim_start_matches("sudo ");
            let mut words = part.split_whitespace().peekable();
            let is_whole = words.next_if_eq(&"meetbridge").is_some();
            while words
                .next_if(|word| ["--config", "--log"].contains(word))
                .is_some()
            {
                words.next();
            }
            let Some(name) = words.next() else { continue };
            let Some((_, options)) = of(name) else {
                let is_word = name.bytes().all(|b| b.is_ascii_lowercase());
                assert!(!(is_whole && is_word), "no such command: {part}");
                continue;
            };
            seen += 1;
            for word in words.take_while(|word| !word.starts_with('#')) {
                let word = word.trim_matches(['[', ']', '`', ',']);
                let known = !word.starts_with("--") || options.contains(word);
                assert!(known, "{name} has no {word}: {part}");
            }
        }
    }
    assert!(seen > 60, "only {seen} were found");
}

#[test]
fn each_command_is_in_the_readme_and_in_the_guide() {
    for (name, _) in commands() {
        let is_named = README.contains(&format!("`{name}"));
        assert!(is_named, "README.md does not name {name}");
        let named = format!("\\fBmeetbridge {name}\\fR");
        assert!(GUIDE.contains(&named), "meetbridge(7) does not name {name}");
    }
}

#[test]
fn each_event_that_is_named_exists_and_the_guide_has_each_error() {
    let ids: BTreeSet<&str> = catalogue::ALL.iter().map(|kind| kind.id).collect();
    let nouns: BTreeSet<&str> = ids.iter().filter_map(|id| id.split('.').next()).collect();
    let mut seen = 0;
    for code in code() {
        let is_file = [".toml", ".db", ".conf", ".lock"]
            .iter()
            .any(|end| code.ends_with(end));
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        let Some((noun, what)) = code.split_once('.').filter(|_| !is_file) else {
            continue;
        };
        if nouns.contains(noun) && !what.is_empty() && what.chars().all(plain) {
            assert!(ids.contains(code.as_str()), "there is no event {code}");
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} were found");
    for kind in catalogue::ALL {
        let named = GUIDE.contains(&format!("\\fB{}\\fR", kind.id.replace('-', "\\-")));
        let is_error = kind.level == tracing::Level::ERROR;
        assert!(named || !is_error, "meetbridge(7) leaves out {}", kind.id);
    }
}

#[test]
fn each_key_and_word_of_the_configuration_that_is_named_exists() {
    let key = |line: &str| {
        let (key, _) = line.trim_start_matches(['#', ' ']).split_once(" = ")?;
        Some(key.to_owned())
    };
    let keys: BTreeSet<String> = EXAMPLE.lines().filter_map(key).collect();
    let quoted = |text: &'static str| text.split('"').skip(1).step_by(2);
    let words: BTreeSet<&str> = quoted(EXAMPLE).chain(quoted(REASONS)).collect();
    // The name of a secret's own key, which is refused, and one of `status --json`.
    let besides = ["client-secret", "needs-person"];
    let mut seen = 0;
    for code in code() {
        let is_key = |text: &str| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !text.is_empty() && text.bytes().all(plain) && !text.starts_with('-')
        };
        if let Some((key, _)) = code.split_once(" = ").filter(|(key, _)| is_key(key)) {
            assert!(keys.contains(key), "there is no key {key}: {code}");
            seen += 1;
        } else if is_key(&code) && code.contains('-') {
            let known = keys.contains(&code) || words.contains(code.as_str());
            // A manual page of a command's, which another test holds to the commands.
            let besides = besides.contains(&code.as_str()) || code.starts_with("meetbridge-");
            assert!(known || besides, "what is {code}?");
            seen += 1;
        }
    }
    assert!(seen > 80, "only {seen} were found");
}

#[test]
fn the_pages_are_well_formed() {
    const MACROS: [&str; 16] = [
        ".\\\"", ".TH", ".SH", ".SS", ".PP", ".IP", ".TP", ".TQ", ".B", ".BR", ".RS", ".RE", ".EX",
        ".EE", ".nr", ".ad",
    ];
    for page in [GUIDE, CONFIGURATION] {
        let (mut examples, mut indents) = (0, 0);
        for (n, line) in page.lines().enumerate() {
            let first = line.split(' ').next().unwrap_or_default();
            match first {
                ".EX" => examples += 1,
                ".EE" => examples -= 1,
                ".RS" => indents += 1,
                ".RE" => indents -= 1,
                _ => {}
            }
            let n = n + 1;
            assert!(
                (0..=1).contains(&examples) && (0..=1).contains(&indents),
                "line {n}"
            );
            let known = !line.starts_with(['.', '\'']) || MACROS.contains(&first);
            assert!(known, "line {n}: {line}");
            assert!(
                line.is_ascii() && (examples == 1 || !line.is_empty()),
                "line {n}"
            );
        }
        assert_eq!((examples, indents), (0, 0));
        let fonts = ["\\fB", "\\fI"].map(|font| page.matches(font).count());
        assert_eq!(fonts.iter().sum::<usize>(), page.matches("\\fR").count());
    }
}
