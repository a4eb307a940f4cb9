//! What is typed, what is meant, and what is said of mistakes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::plan::select::Select;

/// The tables that every configuration needs.
const GRAPH: &str = r#"
[graph]
tenant = "Contoso.onmicrosoft.com"
client-id = "00000000-0000-0000-0000-00000000000A"
client-secret-file = "/etc/meetbridge/graph"
"#;
const MEETING: &str = r#"
[meeting]
organizer = "11111111-1111-1111-1111-111111111111"
"#;
const CALENDAR: &str = r#"
[[calendar.directory]]
name = "team"
path = "/srv/team"
"#;

fn machine() -> Machine {
    Machine {
        config: None,
        state_directory: Some(PathBuf::from("/var/lib/meetbridge")),
        time_zone: Some("Europe/Berlin".to_owned()),
    }
}

fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse(text, "c.toml", &machine())
}

/// The configuration; shows the faults where there should be none.
fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\n---\n{text}"))
}

fn bad(text: &str) -> Faults {
    parse(text).expect_err(text)
}

fn shipped(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = good(&[GRAPH, MEETING, CALENDAR].concat());
    assert_eq!(config.state_directory, PathBuf::from("/var/lib/meetbridge"));
    assert_eq!(config.graph.tenant, "contoso.onmicrosoft.com");
    assert_eq!(
        config.graph.client_id,
        "00000000-0000-0000-0000-00000000000a"
    );
    assert_eq!(
        config.graph.graph_url.as_str(),
        "https://graph.microsoft.com/"
    );
    let authority = config.graph.authority_url.as_str();
    assert_eq!(authority, "https://login.microsoftonline.com/");
    let limits = Budget {
        first_pass_limit: 50,
        new_links_per_day: 500,
        meetings_per_month: 1800,
    };
    assert_eq!(config.budget, limits);
    assert_eq!(config.network.proxy, None);
    assert!(!config.network.allow_http);
    let calendar = &config.calendars[0];
    assert!(calendar.enabled);
    assert_eq!(calendar.source.path(), Some(Path::new("/srv/team")));
    assert_eq!(calendar.language, "en-US");
    assert_eq!(calendar.rules.select, Select::Attendees);
    assert_eq!(calendar.rules.horizon, Duration::from_secs(365 * 86_400));
    assert_eq!(calendar.rules.settle, Duration::from_secs(10));
    assert_eq!(calendar.rescan, Duration::from_secs(300));
    assert_eq!(calendar.time_zone, Tz::Europe__Berlin);
    assert_eq!(calendar.show, Show::DEFAULT);
    assert_eq!(calendar.location, Location::Url);
    assert_eq!(calendar.new_links_per_day, 500);
    assert!(!config.time_zone_assumed);
}

#[test]
fn a_calendar_overrides_the_defaults() {
    let text = r#"
[meeting]
organizer = "11111111-1111-1111-1111-111111111111"
language = "de-DE"
select = "all"
settle = "0s"
addresses = ["MAILTO:Alice@Example.org"]
show = ["chat", "passcode", "chat"]
private = true
[budget]
new-links-per-day = 7
[[calendar.file]]
name = "one"
path = "/srv/one.ics"
[[calendar.directory]]
name = "two"
path = "/srv/two"
enabled = false
organizer = "22222222-2222-2222-2222-222222222222"
language = "fr"
select = "tagged"
settle = "1m"
addresses = []
show = []
private = false
location = "never"
time-zone = "America/New_York"
new-links-per-day = 9
rescan = "1h"
[[calendar.file]]
name = "three"
path = "/srv/three.ics"
"#;
    let config = good(&[GRAPH, text].concat());
    let names: Vec<_> = config.calendars.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["one", "two", "three"], "in file order");
    let [one, two, three] = config.calendars.as_slice() else {
        panic!("{names:?}");
    };
    assert_eq!(
        one.rules.addresses,
        Some(BTreeSet::from(["alice@example.org".to_owned()]))
    );
    assert_eq!(one.show, [Show::Chat, Show::Passcode]);
    assert_eq!(
        (one.language.as_str(), one.rules.select),
        ("de-DE", Select::All)
    );
    assert_eq!(
        (one.new_links_per_day, one.rules.settle),
        (7, Duration::ZERO)
    );
    assert!(one.rules.private && three.rules.private && !two.rules.private);
    assert_eq!(
        two.organizer.as_str(),
        "22222222-2222-2222-2222-222222222222"
    );
    assert_eq!(
        (two.language.as_str(), two.rules.select),
        ("fr", Select::Tagged)
    );
    assert_eq!(
        (two.new_links_per_day, two.rescan),
        (9, Duration::from_secs(3600))
    );
    assert_eq!(
        (two.location, two.time_zone),
        (Location::Never, Tz::America__New_York)
    );
    assert!(two.rules.addresses.is_none() && two.show.is_empty());
    assert!(config.enabled().all(|c| c.name.as_str() != "two"));
}

#[test]
fn without_a_known_zone_times_are_utc_and_check_says_so() {
    for zone in [None, Some("Mars/Olympus".to_owned())] {
        let machine = Machine {
            time_zone: zone,
            ..machine()
        };
        let text = [GRAPH, MEETING, CALENDAR].concat();
        let config = Config::parse(&text, "c.toml", &machine).unwrap();
        assert_eq!(config.calendars[0].time_zone, Tz::UTC);
        assert!(config.time_zone_assumed);
        let set = text + "time-zone = \"UTC\"";
        assert!(
            !Config::parse(&set, "c.toml", &machine)
                .unwrap()
                .time_zone_assumed
        );
    }
}

#[test]
fn a_fault_shows_its_line_and_what_to_do() {
    let text = [
        GRAPH,
        MEETING,
        "\thorizn = \"1y\"\nsettle = \"ten\"\n",
        CALENDAR,
    ]
    .concat();
    assert_eq!(
        bad(&text).to_string(),
        "c.toml:9:2: unknown key `horizn`
  9 |  horizn = \"1y\"
    |  ^^^^^^
  hint: did you mean `horizon`?

c.toml:10:10: `settle`: not a duration
  10 | settle = \"ten\"
     |          ^^^^^
  hint: write a whole number and a unit, such as \"30s\", \"5m\", \"12h\" or \"365d\""
    );
}

#[test]
fn a_long_or_hostile_line_is_shown_in_part_and_escaped() {
    let long = format!(
        "name = \"{}\u{1b}[31m{}\"",
        "x".repeat(3000),
        "ü".repeat(3000)
    );
    let shown = bad(&[GRAPH, MEETING, "[[calendar.file]]\npath = \"/a\"\n", &long].concat());
    let shown = shown.to_string();
    assert!(shown.len() < 2500, "{}", shown.len());
    assert!(
        shown.lines().all(|line| !line.contains(char::is_control)),
        "{shown}"
    );
}

/// One fault each: (what stands in the file beside a good rest, where and what, hint).
#[test]
fn every_mistake_has_its_place_and_hint() {
    // The line that is tried is line 1 of its table's section, so its number is known.
    let graph = |line: &str| format!("[graph]\n{line}\n{}{MEETING}{CALENDAR}", &GRAPH[9..]);
    let meeting = |line: &str| {
        let organizer = match line.starts_with("organizer") {
            true => "",
            false => &MEETING[11..],
        };
        format!("[meeting]\n{line}\n{organizer}{GRAPH}{CALENDAR}")
    };
    let calendar = |line: &str| {
        let key = line.split(' ').next().unwrap();
        let rest = CALENDAR.lines().skip(2).filter(|l| !l.starts_with(key));
        let rest: Vec<_> = rest.collect();
        let table = "[[calendar.directory]]";
        format!("{table}\n{line}\n{}\n{GRAPH}{MEETING}", rest.join("\n"))
    };
    let table = |name: &str, line: &str| format!("{name}\n{line}\n{GRAPH}{MEETING}{CALENDAR}");
    let network = |line: &str| table("[network]", line);
    let cases = [
        (
            graph("cloud = \"chinaa\""),
            "2:9: `cloud`: unknown word",
            "\"china\"",
        ),
        (
            graph("cloud = \"china\""),
            "2:9: `cloud`: Microsoft Graph has no",
            "cannot make",
        ),
        (
            graph("graph-url = \"https://a\""),
            "2:13: `graph-url`: without",
            "neither",
        ),
        (
            graph("graph-url = \"https://a/v1.0\"\nauthority-url = \"https://b\""),
            "2:13: `graph-url`: more than a base",
            "without version",
        ),
        (
            graph("graph-url = \"http://a.example\"\nauthority-url = \"https://b\""),
            "2:13: `graph-url`: plain http",
            "https",
        ),
        (
            graph("graph-url = \"https://a\"\nauthority-url = \"https://b\"\ncloud = \"global\""),
            "4:9: `cloud`: the hosts are given twice",
            "take out",
        ),
        (
            graph("client-secret = \"hunter2\""),
            "2:1: `client-secret`: a secret does not stand",
            "client-secret-file",
        ),
        (
            graph("client-secret-credential = \"../x\""),
            "2:28: `client-secret-credential`: not the name",
            "LoadCredential",
        ),
        (
            graph("client-secret-command = \"pass show x\""),
            "2:25: `client-secret-command`: expected an array",
            "no shell",
        ),
        (
            graph("client-secret-command = [\"./pass\"]"),
            "2:25: `client-secret-command`: the program's path",
            "/",
        ),
        (
            graph("certificate-file = \"/x\""),
            "2:1: `certificate-file`: not supported",
            "client-secret-file",
        ),
        (
            graph("federated-token-file = \"/x\""),
            "2:1: `federated-token-file`: not supported",
            "client-secret-file",
        ),
        (
            graph("device-code = true"),
            "2:1: `device-code`: not supported",
            "client-secret-file",
        ),
        (
            meeting("organizer = \"alice@example.org\""),
            "2:13: `organizer`: a user's address",
            "az ad user show --id alice@example.org --query id",
        ),
        (
            meeting("organizer = \"alice; rm@example.org\""),
            "2:13: `organizer`: a user's address",
            "--id alice@example.org",
        ),
        (
            meeting("organizer = \"alice\""),
            "2:13: `organizer`: not an object id",
            "Entra",
        ),
        (
            meeting("horizon = \"30m\""),
            "2:11: `horizon`: out of range",
            "use 1h to 3650d",
        ),
        (
            meeting("horizon = \"99999999999999999999999d\""),
            "2:11: `horizon`: out of range",
            "3650d",
        ),
        (
            meeting("horizon = 365"),
            "2:11: `horizon`: expected a duration",
            "\"365d\"",
        ),
        (
            meeting("settle = \"25h\""),
            "2:10: `settle`: out of range",
            "use 0s to 1d",
        ),
        (
            meeting("settle = \"ü\""),
            "2:10: `settle`: not a duration",
            "\"30s\"",
        ),
        (
            meeting("select = \"atendees\""),
            "2:10: `select`: unknown word",
            "did you mean \"attendees\"",
        ),
        (
            meeting("show = [\"chat\", \"phone\"]"),
            "2:17: `show`: unknown word",
            "meeting-id",
        ),
        (
            meeting("time-zone = \"Europe/Berln\""),
            "2:13: `time-zone`: unknown time zone",
            "\"Europe/Berlin\"",
        ),
        (
            meeting("language = \"english\""),
            "2:12: `language`: not a language tag",
            "en-US",
        ),
        (
            meeting("addresses = [\"a@b\", \"alice\"]"),
            "2:21: `addresses`: not a mail address",
            "alice@example.org",
        ),
        (
            meeting("all-day = \"yes\""),
            "2:11: `all-day`: expected true or false",
            "without quotes",
        ),
        (
            meeting("all_day = true"),
            "2:1: unknown key `all_day`",
            "`all-day`",
        ),
        (
            meeting("zzz = true"),
            "2:1: unknown key `zzz`",
            "known here: addresses, all-day",
        ),
        (calendar("name = \"\""), "2:8: `name`: is empty", "give"),
        (
            calendar("name = \"a/b\""),
            "2:8: `name`: holds a slash",
            "plain",
        ),
        (
            calendar("name = \"a\\u0007b\""),
            "2:8: `name`: holds a control character",
            "one line",
        ),
        (
            calendar("name = \"a\\u202eb\""),
            "2:8: `name`: holds an invisible",
            "plain",
        ),
        (
            calendar("name = 5"),
            "2:8: `name`: expected a string, found a number",
            "write a string",
        ),
        (
            calendar("path = \"team\""),
            "2:8: `path`: not an absolute path",
            "begin with /",
        ),
        (
            calendar("path = \"~/team\""),
            "2:8: `path`: not an absolute path",
            "home directory",
        ),
        (
            calendar("rescan = \"0s\""),
            "2:10: `rescan`: out of range",
            "use 1s to 1d",
        ),
        (
            table("[[calendar.caldav]]", "url = \"https://x\""),
            "1:12: `caldav`: not supported",
            "calendar.directory",
        ),
        (
            table("[[calendar.feed]]", "url = \"https://x\""),
            "1:12: `feed`: not supported",
            "calendar.directory",
        ),
        (
            table("[[calendar.files]]", "url = \"https://x\""),
            "1:12: unknown key `files`",
            "`file`",
        ),
        (
            table("[budget]", "meetings-per-month = 2001"),
            "2:22: `meetings-per-month`: out of range",
            "use 1 to 2000",
        ),
        (
            table("[budget]", "first-pass-limit = -1"),
            "2:20: `first-pass-limit`: out of range",
            "use 0 to",
        ),
        (
            table("[budget]", "first-pass-limit = 1.5"),
            "2:20: `first-pass-limit`: expected a whole number",
            "without quotes",
        ),
        (
            table("[log]", "format = \"json\""),
            "2:10: `format`: unknown word",
            "\"text\"",
        ),
        (
            table("[log]", "level = \"trace\""),
            "2:9: `level`: unknown word",
            "\"debug\"",
        ),
        (
            table("[state]", "directory = \"state\""),
            "2:13: `directory`: not an absolute path",
            "begin with /",
        ),
        (
            table("[stat]", "directory = \"/state\""),
            "1:2: unknown key `stat`",
            "`state`",
        ),
        (
            network("proxy = \"ftp://x\""),
            "2:9: `proxy`: not a URL of a kind",
            "http://",
        ),
        (
            network("proxy = \"http://u:hunter2@x\""),
            "2:9: `proxy`: holds a user name",
            "no place for a secret",
        ),
        (
            network("connect-timeout = \"3m\""),
            "2:19: `connect-timeout`: out of range",
            "use 1s to 2m",
        ),
    ];
    for (text, what, hint) in cases {
        let faults = bad(&text);
        let shown = faults.to_string();
        let first = faults.iter().next().unwrap();
        assert!(
            shown.starts_with(&format!("c.toml:{what}")),
            "{what}\n{shown}"
        );
        assert!(
            first.hint.as_ref().unwrap().contains(hint),
            "{hint}\n{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        let alone = faults.iter().count() == 1 || text.contains("client-secret-c");
        assert!(alone, "only one mistake was made\n{shown}");
    }
}

#[test]
fn what_is_missing_is_named_once() {
    let cases = [
        ("", vec!["[graph] is missing", "no calendar is configured"]),
        (
            "[graph]\n",
            vec![
                "no calendar is configured",
                "`tenant` is missing",
                "`client-id` is missing",
                "`client-secret-file` is missing",
            ],
        ),
    ];
    for (text, expected) in cases {
        let faults = bad(text);
        let found: Vec<_> = faults.iter().map(|fault| fault.what.as_str()).collect();
        assert_eq!(found, expected);
    }
    let one = |text: &str| {
        let faults = bad(text);
        assert_eq!(faults.iter().count(), 1, "{faults}");
        faults.to_string()
    };
    assert!(one(&[GRAPH, CALENDAR].concat()).contains("c.toml:7:1: nobody owns"));
    let nowhere = Config::parse(
        &[GRAPH, MEETING, CALENDAR].concat(),
        "c",
        &Machine::default(),
    );
    assert!(
        nowhere
            .unwrap_err()
            .to_string()
            .contains("where the state is to be kept")
    );
    let unnamed = "[[calendar.file]]\npath = \"/a\"";
    assert!(one(&[GRAPH, MEETING, unnamed].concat()).contains("`name` is missing"));
}

#[test]
fn a_name_that_is_taken_names_the_first() {
    let second = "[[calendar.file]]\nname = \"team\"\npath = \"/srv/other.ics\"\n";
    let shown = bad(&[GRAPH, MEETING, CALENDAR, second, second].concat()).to_string();
    assert!(shown.starts_with("c.toml:14:8: `name`: \"team\" is taken by the calendar in line 11"));
    assert!(shown.contains("c.toml:17:8: `name`: \"team\" is taken by the calendar in line 11"));
}

#[test]
fn plain_http_is_for_this_machine_or_where_it_is_allowed() {
    let hosts = |graph: &str, network: &str| {
        let hosts = format!("graph-url = \"{graph}\"\nauthority-url = \"{graph}\"\n");
        parse(&[GRAPH, &hosts, MEETING, CALENDAR, network].concat())
    };
    for here in ["127.0.0.1:80", "127.3.2.1", "[::1]:8080", "localhost:1"] {
        assert!(hosts(&format!("http://{here}"), "").is_ok(), "{here}");
    }
    for there in ["10.0.0.1", "localhost.example.org", "127.0.0.1.example.org"] {
        let url = format!("http://{there}");
        assert_eq!(hosts(&url, "").unwrap_err().iter().count(), 2, "{there}");
        assert!(
            hosts(&url, "[network]\nallow-http = true").is_ok(),
            "{there}"
        );
    }
}

#[test]
fn syntax_and_other_faults_are_told_together() {
    let text = format!(
        "{GRAPH}{MEETING}settle = \nhorizon = \"5x\"\n[[calendar.directory]]\nname = \"a\npath = 7\nx y\n[[calendar.file]\n= 5\n"
    );
    let shown = bad(&text).to_string();
    for line in [
        "c.toml:9:",
        "c.toml:10:",
        "c.toml:12:",
        "c.toml:13:",
        "c.toml:14:",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(
        !shown.contains("not shown"),
        "none of these may hold a secret\n{shown}"
    );
    let lines: Vec<_> = bad(&text)
        .iter()
        .filter_map(|f| Some(f.place.clone()?.line))
        .collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn a_line_that_may_hold_a_secret_is_not_shown() {
    let lines = [
        "client-secret = \"hunter2\"",
        "client-secret = hunter2",
        "client-secret = \"hunter2",
        "client-secret = \"\"\"\nhunter2 \\q\n\"\"\"",
        "client-secret = [\n  hunter2,\n  \"hunter2\n]",
        "client_secret = \"hunter2\"",
        "Password = hunter2",
        "access-token = [hunter2",
        "api-key = { a = hunter2 }",
        "credentials = 'hunter2",
        "url = \"https://u:hunter2@example.org/\"",
        "client-secret-command = [\"/bin/echo\", \"hunter2\", 5]",
        "client-secret-command = [\"/bin/echo\",\n \"hunter2\", 5]",
        "client-secret-file = [\"hunter2\"]",
    ];
    for line in lines {
        let shown = bad(&format!("[graph]\n{line}\n{MEETING}{CALENDAR}")).to_string();
        assert!(!shown.contains("hunter2"), "{line}\n{shown}");
        assert!(shown.contains("not shown"), "{line}\n{shown}");
    }
}

#[test]
fn many_faults_are_counted_not_listed() {
    let many: String = (0..200).map(|n| format!("k{n} = 1\n")).collect();
    let shown = bad(&[GRAPH, MEETING, CALENDAR, "[network]\n", &many].concat()).to_string();
    assert_eq!(shown.matches("unknown key").count(), 50);
    assert!(shown.ends_with("c.toml: and 150 more"), "{shown}");
}

#[test]
fn any_text_is_read_in_bounds() {
    let a_million = 1_000_000;
    let texts = [
        format!("{}=1", "a.".repeat(a_million / 2) + "a"),
        format!("a={}", "[".repeat(a_million)),
        format!("a={}", "{a=".repeat(a_million / 3)),
        "[[calendar.file]]\n".repeat(a_million / 18),
        "[[".repeat(a_million / 2),
        "= = \n".repeat(a_million / 5),
        "\"".repeat(a_million),
        format!("a = {}", "[]".repeat(a_million / 2)),
        format!(
            "a = {}[{}",
            " ".repeat(a_million / 2),
            "\n".repeat(a_million / 2)
        ),
        format!("{} = 1", "k".repeat(a_million)),
        "\u{feff}\0\r\r\n\u{1b}".to_owned(),
    ];
    for text in texts {
        assert!(parse(&text).is_err());
    }
}

proptest::proptest! {
    /// Whatever is typed, there is an answer, and every place is a place in the text.
    #[test]
    fn no_text_panics(parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..60)) {
        let text = parts.concat();
        if let Err(faults) = parse(&text) {
            let lines = text.matches('\n').count() + 1;
            for fault in faults.iter() {
                if let Some(at) = &fault.place {
                    proptest::prop_assert!((1..=lines).contains(&at.line) && at.column > 0);
                }
            }
            proptest::prop_assert!(!faults.to_string().is_empty());
        }
    }
}

const PARTS: &[&str] = &[
    GRAPH,
    MEETING,
    CALENDAR,
    "\n",
    "\r\n",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\"",
    "\"\"\"",
    "'''",
    "'",
    "=",
    ".",
    ",",
    "#",
    "\\",
    " ",
    "graph",
    "calendar",
    "calendar.file",
    "meeting",
    "name",
    "show = ",
    "settle = ",
    "\"5m\"",
    "7",
    "true",
    "1979-05-27",
    "ü",
    "\u{0}",
    "\t",
    "1e400",
    "-",
];

#[test]
fn the_minimal_configuration_is_complete() {
    let config = good(&shipped("minimal.toml"));
    assert_eq!(config.calendars.len(), 1);
}

#[test]
fn the_example_states_the_defaults() {
    let example = shipped("example.toml");
    let stated = uncommented(&example, |line| is_setting(line, "#"));
    assert_ne!(stated, example);
    assert_eq!(good(&stated), good(&example));
}

#[test]
fn the_example_parses_with_everything_uncommented() {
    let example = shipped("example.toml");
    // Two ways to say one thing are tried one after the other.
    let others = [
        "client-secret-command",
        "client-secret-credential",
        "graph-url",
        "authority-url",
    ];
    let all = uncommented(&example, |line| {
        let other = others.iter().any(|key| line.contains(key));
        is_setting(line, "#") || (is_setting(line, "#   ") && !other)
    });
    good(&all);
    for other in &others[..2] {
        let text = all.replace("\nclient-secret-file", "\n#client-secret-file");
        good(&uncommented(&text, |line| {
            line.contains(other) && is_setting(line, "#   ")
        }));
    }
    let text = all.replace("\ncloud", "\n#cloud");
    good(&uncommented(&text, |line| {
        line.contains("-url = ") && is_setting(line, "#   ")
    }));
}

#[test]
fn the_example_explains_every_key() {
    let example = shipped("example.toml");
    let all = uncommented(&example, |line| {
        is_setting(line, "#") || is_setting(line, "#   ")
    });
    let mut table = String::new();
    let mut explained = BTreeSet::new();
    for line in all.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).to_owned();
            let whole = table.split('.').scan(String::new(), |path, part| {
                *path = match path.as_str() {
                    "" => part.to_owned(),
                    above => format!("{above}.{part}"),
                };
                Some(path.clone())
            });
            explained.extend(whole);
        } else if let Some((key, _)) = line.split_once(" = ") {
            explained.insert(format!("{table}.{key}"));
        }
    }
    let mut known = BTreeSet::new();
    let _ = read::read(&all, &machine(), |collector| known = collector.known());
    assert!(known.len() > 60, "{known:?}");
    assert_eq!(known, explained);
}

/// The text with the comment sign taken from the lines that are chosen.
fn uncommented(text: &str, chosen: impl Fn(&str) -> bool) -> String {
    let lines = text.lines().map(|line| match chosen(line) {
        true => line.trim_start_matches('#').trim_start(),
        false => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a line is the prefix and then `key = value`.
fn is_setting(line: &str, prefix: &str) -> bool {
    let Some((key, _)) = line
        .strip_prefix(prefix)
        .and_then(|rest| rest.split_once(" = "))
    else {
        return false;
    };
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}
