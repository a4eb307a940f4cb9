//! `meetbridge(1)` and `meetbridge-COMMAND(1)`, from the command line's definition.

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::Roff;

use super::Page;
use crate::cli::Cli;

const EXIT_STATUS: [(&str, &str); 5] = [
    ("0", "Everything asked for was done."),
    ("1", "Something failed."),
    ("2", "The command line is faulty."),
    (
        "75",
        "Try again later: the state is in use by another meetbridge.",
    ),
    ("78", "The configuration is faulty."),
];

const ENVIRONMENT: [(&str, &str); 11] = [
    (
        "MEETBRIDGE_CONFIG",
        "The configuration file, where `--config` names none.",
    ),
    (
        "MEETBRIDGE_LOG",
        "What is logged, where `--log` does not say.",
    ),
    (
        "STATE_DIRECTORY",
        "The state directory, where the configuration names none; systemd sets it for the service.",
    ),
    (
        "XDG_STATE_HOME, HOME",
        "Where a state directory is made when neither says: in $XDG_STATE_HOME, else in ~/.local/state.",
    ),
    (
        "RUNTIME_DIRECTORY, XDG_RUNTIME_DIR",
        "Where the daemon has the socket through which commands reach it; without both, with the state.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "Where systemd puts the secrets that a key ending in `-credential` names.",
    ),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC",
        "How systemd is told that the daemon is ready and alive.",
    ),
    (
        "HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "The proxy of all connections, where the configuration names none.",
    ),
    ("NO_COLOR", "With any value, nothing is coloured."),
    (
        "CLICOLOR_FORCE",
        "With any value but 0, colours also where no terminal is; NO_COLOR goes before it.",
    ),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "The certificates to trust, in place of the system's.",
    ),
];

const FILES: [(&str, &str); 6] = [
    (
        "/etc/meetbridge/config.toml",
        "The configuration, see meetbridge.toml(5).",
    ),
    (
        "/etc/meetbridge/config.toml.example",
        "Every key, explained; there when meetbridge was installed as a package.",
    ),
    (
        "/etc/meetbridge/NAME.toml",
        "That of the instance meetbridge@NAME.service.",
    ),
    (
        "/etc/credstore/",
        "Secrets that systemd hands to the service.",
    ),
    (
        "/var/lib/meetbridge/, /var/lib/meetbridge-NAME/",
        "The state of the service and of an instance. It is a cache: to lose it loses no link.",
    ),
    (
        "/run/meetbridge/control.sock",
        "The socket through which commands reach the daemon.",
    ),
];

/// What to type, by command, each with what it is for; the empty command is `meetbridge` itself.
const EXAMPLES: [(&str, &[(&str, &str)]); 15] = [
    (
        "",
        &[
            (
                "meetbridge demo",
                "Show everything on this machine, without any account.",
            ),
            (
                "meetbridge check --online",
                "Find out what is missing before the service is begun.",
            ),
            ("meetbridge plan", "Show what a pass would do, and why."),
            ("systemctl enable --now meetbridge", "Run the service."),
        ],
    ),
    (
        "run",
        &[(
            "meetbridge --log debug run",
            "Run in the foreground, and say why nothing happens.",
        )],
    ),
    (
        "sync",
        &[
            ("meetbridge sync", "One pass over everything."),
            (
                "meetbridge sync --calendar team --rewrite",
                "Bring a calendar's links to what is configured now.",
            ),
        ],
    ),
    (
        "plan",
        &[
            (
                "meetbridge plan --calendar team",
                "What would be done in one calendar.",
            ),
            (
                "meetbridge plan --unlink",
                "What `unlink --all` would take out.",
            ),
            ("meetbridge plan --json", "The same for a program."),
        ],
    ),
    (
        "explain",
        &[(
            "meetbridge explain 4f1c2d@example.org",
            "Why this event has, or has not, got a link.",
        )],
    ),
    (
        "calendars",
        &[
            (
                "meetbridge calendars",
                "What the configured accounts offer.",
            ),
            (
                "meetbridge calendars --url https://cloud.example.org/ --username alice --password-file ./password",
                "What an account offers that is not configured yet, and the table to paste.",
            ),
        ],
    ),
    (
        "check",
        &[
            (
                "meetbridge check",
                "The configuration, the files and the unit.",
            ),
            (
                "meetbridge check --online",
                "The same, then Entra, Graph and the calendars' servers.",
            ),
        ],
    ),
    (
        "login",
        &[(
            "meetbridge login",
            "Sign in; the code can be typed on any device.",
        )],
    ),
    (
        "status",
        &[
            ("meetbridge status", "A table for people."),
            ("meetbridge status --json", "The same for monitoring."),
        ],
    ),
    (
        "resume",
        &[("meetbridge resume team", "Let the calendar `team` go on.")],
    ),
    (
        "unlink",
        &[
            (
                "meetbridge unlink 4f1c2d@example.org",
                "Take the link out of one event.",
            ),
            (
                "meetbridge unlink --calendar team --end-meetings",
                "Out of a calendar, and delete the meetings.",
            ),
        ],
    ),
    (
        "completions",
        &[(
            "meetbridge completions bash > ~/.local/share/bash-completion/completions/meetbridge",
            "For one's own bash.",
        )],
    ),
    (
        "man",
        &[
            (
                "meetbridge man meetbridge.toml | man -l -",
                "Read a page without installing it.",
            ),
            (
                "meetbridge man --directory /usr/local/share/man",
                "Write all pages.",
            ),
        ],
    ),
    (
        "demo",
        &[("meetbridge demo --once", "One event, before and after.")],
    ),
    (
        "simulator",
        &[(
            "meetbridge simulator",
            "Print the table that points a configuration at it, and run until Ctrl-C.",
        )],
    ),
];

/// A page for meetbridge, then one for each command.
pub(super) fn pages() -> Vec<Page> {
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    let mut pages = vec![page(&whole, "")];
    for command in whole
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        pages.push(page(command, command.get_name()));
    }
    pages
}

/// The page of a built command; `command` is its name, or empty.
fn page(built: &Command, command: &str) -> Page {
    let name = built.get_display_name().unwrap_or(built.get_name());
    // What clap puts below the help and what the version is stand elsewhere on the page.
    let built = built
        .clone()
        .override_usage(synopsis(built))
        .after_help(None)
        .after_long_help(None)
        .version(None)
        .subcommand_help_heading("COMMANDS");
    let mut text = Vec::new();
    let man = Man::new(built)
        .title(name.to_uppercase())
        .date(super::NO_DATE)
        .source(super::SOURCE)
        .manual(super::MANUAL);
    // Memory takes all that is written.
    let _ = man.render(&mut text);
    let text = String::from_utf8_lossy(&text);
    let more = sections(command).render();
    // Only one beginning.
    let (_, more) = more.split_once(".SH").unwrap_or_default();
    Page::new(name, 1, &super::finished(&format!("{text}.SH{more}")))
}

/// What is typed, with the options' values.
fn synopsis(built: &Command) -> String {
    let mut line = built.get_bin_name().unwrap_or(built.get_name()).to_owned();
    let shown = |arg: &&Arg| {
        let action = arg.get_action();
        !matches!(action, ArgAction::Help | ArgAction::Version) && !arg.is_hide_set()
    };
    let (positional, options): (Vec<&Arg>, _) = built
        .get_arguments()
        .filter(shown)
        .partition(|arg| arg.is_positional());
    for arg in options.into_iter().chain(positional) {
        let flag = arg.get_long().map(|long| format!("--{long}"));
        let takes = arg.get_num_args().unwrap_or_default();
        let value = arg.get_value_names().filter(|_| takes.takes_values());
        let value = value.map(|names| names.join(" "));
        let value = value.map(|value| match takes.min_values() {
            0 => format!("[{value}]"),
            _ => value,
        });
        let parts: Vec<_> = flag.into_iter().chain(value).collect();
        match arg.is_required_set() {
            true => line.push_str(&format!(" {}", parts.join(" "))),
            false => line.push_str(&format!(" [{}]", parts.join(" "))),
        }
    }
    if built.has_subcommands() {
        line.push_str(" COMMAND");
    }
    line
}

/// What the definition does not say.
fn sections(command: &str) -> Roff {
    let mut roff = Roff::new();
    let of = |known: &&(&str, &[(&str, &str)])| known.0 == command;
    let examples = EXAMPLES.iter().find(of).map(|found| found.1);
    super::list(&mut roff, "EXIT STATUS", &EXIT_STATUS);
    if command.is_empty() {
        super::list(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
        super::list(&mut roff, "FILES", &FILES);
    }
    super::list(&mut roff, "EXAMPLES", examples.unwrap_or_default());
    roff.control("SH", ["SEE ALSO"]);
    let pages = [
        "meetbridge(1)",
        "meetbridge.toml(5)",
        "meetbridge(7)",
        "meetbridge-log(7)",
    ];
    // The first is this page itself.
    super::see_also(&mut roff, &pages[usize::from(command.is_empty())..]);
    roff
}
