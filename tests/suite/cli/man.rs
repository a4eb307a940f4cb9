//! The manual pages and the completions: complete, well-formed, and the same wherever they are made.

use std::collections::BTreeMap;

use meetbridge::log::catalogue;

use super::support::{World, contents};

/// All pages by file name, as `man --directory` writes them.
fn pages(world: &World, place: &str) -> BTreeMap<String, String> {
    let directory = world.path(place);
    let asked = ["man", "--directory", directory.to_str().unwrap()];
    let ended = world.start_bare(&asked).finish();
    ended.says(0, &[]);
    assert_eq!(ended.out, "");
    let sections = ["man1", "man5", "man7"];
    let files = sections
        .iter()
        .flat_map(|section| contents(&directory.join(section)));
    files
        .map(|(path, text)| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, String::from_utf8(text).unwrap())
        })
        .collect()
}

/// What the help lists under a heading: commands, arguments, or long options.
fn listed(help: &str, heading: &str) -> Vec<String> {
    let mut lines = help.lines().skip_while(|line| *line != heading);
    lines.next();
    let entries = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    let entries = entries.filter_map(|line| {
        let text = line.trim_start();
        match line.len() - text.len() {
            2 => text
                .strip_prefix("-")
                .map_or(Some(text), |_| text.split_once(", ").map(|(_, long)| long)),
            6 => Some(text).filter(|text| text.starts_with("--")),
            _ => None,
        }
    });
    entries
        .filter_map(|entry| entry.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// As roff has it.
fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}

#[test]
fn every_command_and_every_option_stands_in_the_pages() {
    let world = World::new();
    let pages = pages(&world, "pages");
    let help = world.start_bare(&["--help"]).finish().out;
    let mut commands = listed(&help, "Commands:");
    commands.retain(|command| command != "help");
    assert!(commands.len() >= 15, "{commands:?}");
    let whole = &pages["meetbridge.1"];
    for command in &commands {
        assert!(whole.contains(&format!("meetbridge\\-{command}(1)")));
        let page = &pages[&format!("meetbridge-{command}.1")];
        let help = world.start_bare(&[command, "--help"]).finish().out;
        let options = listed(&help, "Options:");
        assert!(
            options.iter().any(|option| option == "--config"),
            "{options:?}"
        );
        for option in options {
            let bold = format!("\\fB{}\\fR", escaped(&option));
            assert!(page.contains(&bold), "{command}: no {option} in {page}");
        }
        for argument in listed(&help, "Arguments:") {
            let name = argument.trim_matches(['<', '>', '[', ']']);
            assert!(
                page.contains(&format!("\\fI{name}\\fR")),
                "{command}: {name}"
            );
        }
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "\"EXIT STATUS\"",
            "EXAMPLES",
            "\"SEE ALSO\"",
        ] {
            let heading = format!("\n.SH {section}\n");
            assert_eq!(page.matches(&heading).count(), 1, "{command}: {section}");
        }
        let (_, examples) = page.split_once(".SH EXAMPLES").unwrap();
        assert!(examples.contains(&format!("meetbridge {command}")) || command == "run");
    }
    for section in ["COMMANDS", "ENVIRONMENT", "FILES"] {
        assert!(whole.contains(&format!("\n.SH {section}\n")));
    }
    // Four pages are of no command.
    assert_eq!(pages.len(), commands.len() + 4);
}

#[test]
fn every_event_stands_in_the_page_of_the_log() {
    let world = World::new();
    let page = &pages(&world, "pages")["meetbridge-log.7"];
    for kind in catalogue::ALL {
        let level = kind.level.as_str().to_lowercase();
        let head = format!("\n\\fB{}\\fR (\\fI{level}\\fR)\n", escaped(kind.id));
        assert_eq!(page.matches(&head).count(), 1, "{}", kind.id);
        for field in kind.fields {
            assert!(page.contains(&format!("\\fB{}\\fR", escaped(field))));
        }
    }
}

#[test]
fn pages_are_well_formed_roff() {
    const REQUESTS: &str =
        "TH SH SS TP TQ PP IP RS RE EX EE UR UE MR br nf fi ie el BR IR RB RI BI IB B I \\\"";
    let world = World::new();
    for (name, page) in pages(&world, "pages") {
        assert!(page.is_ascii(), "{name}");
        assert!(page.ends_with('\n'), "{name}");
        assert!(!page.contains('`'), "{name}: a backtick is left");
        let (_, section) = name.rsplit_once('.').unwrap();
        let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
        let words: Vec<_> = title.split(' ').collect();
        let upper = name
            .strip_suffix(&format!(".{section}"))
            .unwrap()
            .to_uppercase();
        // Without a date, so that it is the same whenever it is made.
        assert_eq!(words[1..4], [upper.as_str(), section, "\"\""], "{name}");
        for (at, line) in page.lines().enumerate() {
            let place = format!("{name}:{}: {line}", at + 1);
            assert!(!line.starts_with('\''), "{place}");
            assert!(!line.is_empty(), "{place}");
            if let Some(request) = line.strip_prefix('.') {
                let request = request.split(' ').next().unwrap();
                assert!(REQUESTS.split(' ').any(|known| known == request), "{place}");
            }
            let mut rest = line;
            while let Some((_, escape)) = rest.split_once('\\') {
                assert!(
                    escape.starts_with(['-', 'f', '*', '&', '(', '\\', 'e', 'n', '"', ' ', '~']),
                    "{place}"
                );
                rest = &escape[1..];
            }
        }
    }
}

#[test]
fn pages_are_the_same_wherever_they_are_made() {
    let mut world = World::new();
    let here = pages(&world, "here");
    world.set("MEETBRIDGE_CONFIG", "/somewhere/else.toml");
    world.set("MEETBRIDGE_LOG", "debug");
    world.set("COLUMNS", "40");
    world.set("TZ", "Asia/Tokyo");
    assert_eq!(here, pages(&world, "there"));
}

#[test]
fn one_page_goes_to_stdout() {
    let world = World::new();
    let pages = pages(&world, "pages");
    for (asked, file) in [
        (&["man"] as &[&str], "meetbridge.1"),
        (&["man", "meetbridge"], "meetbridge.1"),
        (&["man", "meetbridge.7"], "meetbridge.7"),
        (&["man", "meetbridge.toml"], "meetbridge.toml.5"),
        (&["man", "meetbridge-sync"], "meetbridge-sync.1"),
        (&["man", "meetbridge-log"], "meetbridge-log.7"),
    ] {
        let ended = world.start_bare(asked).finish();
        ended.says(0, &[]);
        assert_eq!(ended.out, pages[file], "{asked:?}");
    }
    let ended = world.start_bare(&["man", "nonsense"]).finish();
    ended.says(2, &["no manual page", "meetbridge-log.7"]);
    let ended = world
        .start_bare(&["man", "--directory", "/dev/null/pages"])
        .finish();
    ended.says(1, &["/dev/null/pages/man1/meetbridge.1: "]);
}

#[test]
fn each_shell_gets_its_completions() {
    let world = World::new();
    let help = world.start_bare(&["--help"]).finish().out;
    for shell in ["bash", "zsh", "fish"] {
        let ended = world.start_bare(&["completions", shell]).finish();
        ended.says(0, &[]);
        for command in listed(&help, "Commands:") {
            assert!(ended.out.contains(&command), "{shell}: {command}");
        }
        ended.shows(&["end-meetings", "password-file"]);
    }
    let ended = world.start_bare(&["completions", "tcsh"]).finish();
    ended.says(2, &["bash, zsh, fish"]);
}
