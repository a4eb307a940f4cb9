//! What is typed, what is meant, and what is said of mistakes.

mod page;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::meeting::graph::CertificateAlgorithm;
use crate::meeting::{Chat, LobbyScope, Presenters, Setting, Settings, ShowAs};
use crate::plan::Template;
use crate::plan::select::{EventsWithAttendees, Select};
use crate::secret::SecretSource;

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
fn meetings_are_set_by_calendar_and_by_nobody_where_nothing_is_said() {
    let text = r#"
[meeting]
organizer = "11111111-1111-1111-1111-111111111111"
lobby = "organization-excluding-guests"
lobby-dial-in-bypass = true
attendee-camera = false
participants = "attendees"
subject = "Meeting of {calendar}"
[[calendar.file]]
name = "one"
path = "/srv/one.ics"
[[calendar.file]]
name = "two"
path = "/srv/two.ics"
lobby = "EveryoneInSameAndFederatedCompany"
presenters = "organizer"
chat = "limited"
entry-announcement = true
record-automatically = true
attendee-camera = true
attendee-microphone = false
participants = "none"
subject = "{title}"
"#;
    let config = good(&[GRAPH, text].concat());
    let [one, two] = config.calendars.as_slice() else {
        panic!("{config:?}");
    };
    let lobby = |scope| Setting::Lobby {
        scope: Some(scope),
        dial_in_bypass: Some(true),
    };
    assert_eq!(
        one.style,
        Style {
            subject: Template::parse("Meeting of {calendar}").unwrap(),
            settings: Settings(vec![
                lobby(LobbyScope::OrganizationExcludingGuests),
                Setting::AttendeeCamera(false)
            ]),
            participants: true,
            private_title: None,
        }
    );
    assert_eq!(
        two.style,
        Style {
            subject: Template::default(),
            settings: Settings(vec![
                lobby(LobbyScope::OrganizationAndFederated),
                Setting::Presenters(Presenters::Organizer),
                Setting::Chat(Chat::Limited),
                Setting::EntryAnnouncement(true),
                Setting::RecordAutomatically(true),
                Setting::AttendeeCamera(true),
                Setting::AttendeeMicrophone(false),
            ]),
            participants: false,
            private_title: None,
        }
    );
    let old = (
        "EveryoneInSameAndFederatedCompany",
        "organization-and-federated",
    );
    assert_eq!(config.old_lobby_names, BTreeSet::from([old]));
    let hinted = check::check(&config, chrono::DateTime::UNIX_EPOCH);
    let about = |finding: &&check::Finding| finding.what.contains("EveryoneInSame");
    let hint = &hinted.iter().find(about).unwrap().hint;
    assert!(hint.contains("lobby = \"organization-and-federated\""));
    let plain = good(&[GRAPH, MEETING, CALENDAR].concat());
    assert_eq!(plain.calendars[0].style, Style::default());
    assert!(plain.calendars[0].style.settings.is_empty());
    assert_eq!(plain.old_lobby_names, BTreeSet::new());
}

/// Three calendars with these lines of their own.
fn three(meeting: &str, lines: [&str; 3]) -> String {
    let tables = lines.iter().enumerate().map(|(n, lines)| {
        format!("[[calendar.file]]\nname = \"c{n}\"\npath = \"/srv/{n}.ics\"\n{lines}\n")
    });
    format!("{GRAPH}{MEETING}{meeting}\n{}", tables.collect::<String>())
}

#[test]
fn meetings_are_online_meetings_or_outlook_events() {
    let mirror = |calendar: Option<&str>, show_as| Api::CalendarEvent {
        calendar: calendar.map(str::to_owned),
        show_as,
    };
    let meeting = "api = \"calendar-event\"\nshow-as = \"tentative\"\nlanguage = \"de-AT\"\n\
                   participants = \"attendees\"\nlobby = \"invited\"";
    let own = "participants = \"none\"\nlobby = \"organizer\"\n";
    let config = good(&three(
        meeting,
        [
            own,
            &format!("{own}show-as = \"working-elsewhere\"\noutlook-calendar = \"Team\""),
            "api = \"online-meeting\"",
        ],
    ));
    let found: Vec<_> = config.calendars.iter().map(|c| c.api.clone()).collect();
    let expected = [
        mirror(None, ShowAs::Tentative),
        mirror(Some("Team"), ShowAs::WorkingElsewhere),
        Api::OnlineMeeting,
    ];
    assert_eq!(found, expected);
    // A private event keeps its title to itself, in the language of what is written.
    let titles: Vec<_> = config
        .calendars
        .iter()
        .map(|c| c.style.private_title)
        .collect();
    let private = Some("Privater Termin");
    assert_eq!(titles, [private, private, None]);

    let words = [
        ("free", ShowAs::Free),
        ("busy", ShowAs::Busy),
        ("out-of-office", ShowAs::OutOfOffice),
    ];
    for (word, show_as) in words {
        let lines = format!("api = \"calendar-event\"\nshow-as = \"{word}\"");
        let config = good(&three("", ["", &lines, ""]));
        assert_eq!(config.calendars[0].api, Api::default());
        assert_eq!(config.calendars[1].api, mirror(None, show_as));
    }
    let plain = good(&three("", ["api = \"calendar-event\"", "", ""]));
    assert_eq!(plain.calendars[0].api, mirror(None, ShowAs::Free));
    assert_eq!(
        plain.calendars[0].style.private_title,
        Some("Private appointment")
    );
    // What is mirrored is told of by the name of its own calendar, in the language by its longest known
    // beginning.
    let work = CalendarName::new("alice/Work");
    for (language, word) in [
        ("en-US", "mirrors"),
        ("de_CH", "Kalender"),
        ("pt-BR", "Altere o original lá"),
        ("pt-PT", "nesse calendário"),
        ("zh-Hant-TW", "行事曆"),
        ("xx", "mirrors"),
        ("", "mirrors"),
    ] {
        let crate::meeting::Form::CalendarEvent(mirror) = found[1].form(&work, language) else {
            panic!("{found:?}")
        };
        assert_eq!(mirror.calendar.as_deref(), Some("Team"));
        let note = &mirror.note;
        assert!(
            note.contains(word) && note.contains("alice/Work"),
            "{language}: {note}"
        );
    }
    assert_eq!(
        Api::OnlineMeeting.form(&work, "en-US"),
        crate::meeting::Form::OnlineMeeting
    );
}

#[test]
fn what_stands_in_outlook_is_deleted_unless_it_is_to_be_kept() {
    let event = "api = \"calendar-event\"";
    for (meeting, own, expected) in [
        ("", "", (Fate::Keep, Fate::Keep)),
        (event, "", (Fate::Delete, Fate::Delete)),
        ("", event, (Fate::Delete, Fate::Delete)),
        (event, "api = \"online-meeting\"", (Fate::Keep, Fate::Keep)),
        ("on-cancel = \"keep\"", event, (Fate::Keep, Fate::Delete)),
        (event, "on-delete = \"keep\"", (Fate::Delete, Fate::Keep)),
        ("on-delete = \"delete\"", "", (Fate::Keep, Fate::Delete)),
    ] {
        let config = good(&three(meeting, [own, event, event]));
        let found = &config.calendars[0];
        assert_eq!(
            (found.on_cancel, found.on_delete),
            expected,
            "{meeting} {own}"
        );
    }
}

#[test]
fn what_an_outlook_event_cannot_do_is_refused_where_it_stands() {
    let event = "api = \"calendar-event\"";
    let named = "participants = \"attendees\"";
    let invited = "lobby = \"invited\"";
    // The lines of [meeting] begin in line 9; with one of them, those of the calendars in 13, 17 and 21.
    type Case<'a> = (&'a str, [&'a str; 3], &'a [&'a str]);
    let cases: [Case<'_>; 10] = [
        (
            event,
            [named, "", ""],
            &["13:16: `participants`: an Outlook event"],
        ),
        (
            event,
            [invited, "", ""],
            &["13:9: `lobby`: an Outlook event"],
        ),
        (
            "api = \"calendar-event\"\nparticipants = \"attendees\"",
            ["", "", "participants = \"none\""],
            &["10:16: `participants`: an Outlook event"],
        ),
        (
            named,
            ["", event, ""],
            &["17:7: `api`: `participants` of [meeting] holds here, too"],
        ),
        (
            invited,
            [event, "", ""],
            &["13:7: `api`: `lobby` of [meeting] holds here, too"],
        ),
        (
            "",
            ["show-as = \"busy\"", event, ""],
            &["13:11: `show-as`: is about Outlook events"],
        ),
        (
            event,
            [
                "api = \"online-meeting\"\noutlook-calendar = \"Team\"",
                "",
                "",
            ],
            &["14:20: `outlook-calendar`: is about Outlook events"],
        ),
        (
            "outlook-calendar = \"Team\"",
            ["", "", ""],
            &["9:20: `outlook-calendar`: is about Outlook events"],
        ),
        (
            "show-as = \"busy\"\napi = \"event\"",
            ["", "outlook-calendar = \"Team\"", ""],
            &["10:7: `api`: unknown word"],
        ),
        (
            event,
            ["show-as = \"out\"", "outlook-calendar = \"\"", ""],
            &[
                "13:11: `show-as`: unknown word",
                "17:20: `outlook-calendar`: is empty",
            ],
        ),
    ];
    for (meeting, lines, expected) in cases {
        let text = three(meeting, lines);
        let faults = bad(&text);
        let all: Vec<_> = faults.iter().collect();
        let shown = faults.to_string();
        assert_eq!(all.len(), expected.len(), "{shown}");
        assert!(all.iter().all(|fault| fault.hint.is_some()), "{shown}");
        for what in expected {
            assert!(shown.contains(&format!("c.toml:{what}")), "{what}\n{shown}");
        }
    }
    // It fits where some calendar's meetings are Outlook events.
    good(&three(
        "show-as = \"busy\"\noutlook-calendar = \"Team\"",
        ["", event, ""],
    ));
    let long = format!("{event}\noutlook-calendar = \"{}\"", "x".repeat(256));
    assert!(
        bad(&three("", [&long, "", ""]))
            .to_string()
            .contains("longer than 255")
    );
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
    // The lines that are tried begin in line 5; without a url among them, the usual one is in line 4.
    let caldav = |lines: &str| {
        let url = match lines.contains("url = \"http") && !lines.contains("oauth2-") {
            true => "#",
            false => "url = \"https://cloud.example.org/\"",
        };
        let table = "[[calendar.caldav]]";
        format!("{table}\n\nname = \"alice\"\n{url}\n{lines}\n{GRAPH}{MEETING}")
    };
    let network = |line: &str| table("[network]", line);
    let feed = |lines: &str| {
        let url = match lines.contains("url = \"") && !lines.contains("publish-url") {
            true => "",
            false => "url = \"https://x/\"\n",
        };
        let name = "name = \"events\"\n";
        let lines = match url.is_empty() {
            // The line of the url is the fourth in any case.
            true => format!("{name}{lines}"),
            false => format!("{name}{url}{lines}"),
        };
        table("[[calendar.feed]]", &lines)
    };
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
            "2:20: `certificate-file`: a second way to sign in, beside `client-secret-file`",
            "keep one",
        ),
        (
            graph("key-file = \"/x\""),
            "2:12: `key-file`: without certificate-file",
            "certificate-file",
        ),
        (
            graph("certificate-algorithm = \"RS256\""),
            "2:25: `certificate-algorithm`: without certificate-file",
            "certificate-file",
        ),
        (
            graph("certificate-algorithm = \"ES256\""),
            "2:25: `certificate-algorithm`: unknown word",
            "\"RS256\"",
        ),
        (
            graph("federated-token-file = \"/x\""),
            "2:24: `federated-token-file`: a second way to sign in, beside `client-secret-file`",
            "keep one",
        ),
        (
            graph("device-code = true"),
            "2:15: `device-code`: a second way to sign in, beside `client-secret-file`",
            "keep one",
        ),
        (
            graph("device-code = \"yes\""),
            "2:15: `device-code`: ",
            "true or false",
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
            meeting("lobby = \"invite\""),
            "2:9: `lobby`: unknown word",
            "did you mean \"invited\"",
        ),
        (
            meeting("lobby = true"),
            "2:9: `lobby`: expected a string",
            "write a string",
        ),
        (
            meeting("presenters = \"roleIsPresenter\""),
            "2:14: `presenters`: presenters cannot be named",
            "in Teams",
        ),
        (
            meeting("chat = true"),
            "2:8: `chat`: expected a string",
            "write a string",
        ),
        (
            meeting("attendee-camera = \"no\""),
            "2:19: `attendee-camera`: expected true or false",
            "without quotes",
        ),
        (
            meeting("participants = \"all\""),
            "2:16: `participants`: unknown word",
            "\"attendees\"",
        ),
        (
            meeting("subject = \"{titel}\""),
            "2:11: `subject`: unknown word in braces",
            "{title}",
        ),
        (
            meeting("subject = \"a } b\""),
            "2:11: `subject`: unknown word in braces",
            "{calendar}",
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
            meeting("events-with-attendees = \"mail\""),
            "2:25: `events-with-attendees`: unknown word",
            "\"write\", \"skip\"",
        ),
        (
            caldav(""),
            "1:1: nothing says how",
            "username and password-file",
        ),
        (
            caldav("username = \"a\""),
            "5:12: `username`: without a password",
            "password-file",
        ),
        (
            caldav("password-file = \"/p\""),
            "5:17: `password-file`: without username",
            "set username",
        ),
        (
            caldav("username = \"a\"\npassword = \"hunter2\""),
            "6:1: `password`: a secret does not stand",
            "name that by password-file",
        ),
        (
            caldav("username = \"a\"\npassword-file = \"/p\"\npassword-credential = \"p\""),
            "7:23: `password-credential`: the secret's source is given twice",
            "give one of password-file",
        ),
        (
            caldav("username = \"a\"\npassword-file = \"/p\"\nbearer-token-file = \"/t\""),
            "7:21: `bearer-token-file`: a second way to sign in, beside `username`",
            "keep one",
        ),
        (
            caldav("bearer-token-command = [\"/t\"]\noauth2-client-id = \"me\""),
            "6:20: `oauth2-client-id`: a second way to sign in, beside `bearer-token-command`",
            "keep one",
        ),
        (
            caldav("bearer-token = \"hunter2\""),
            "5:1: `bearer-token`: a secret does not stand",
            "bearer-token-file",
        ),
        (
            caldav("oauth2-client-id = \"me\"\noauth2-refresh-token-file = \"/r\""),
            "5:20: `oauth2-client-id`: without oauth2-token-url",
            "set oauth2-token-url, too",
        ),
        (
            caldav("oauth2-client-secret-file = \"/s\""),
            "5:29: `oauth2-client-secret-file`: without oauth2-token-url and oauth2-client-id and",
            "oauth2-refresh-token-file, too",
        ),
        (
            caldav(
                "oauth2-token-url = \"http://o.example.org/\"\noauth2-client-id = \"me\"\noauth2-refresh-token-file = \"/r\"",
            ),
            "5:20: `oauth2-token-url`: plain http",
            "https",
        ),
        (
            caldav("username = \"a\"\npassword-file = \"/p\"\nkey-file = \"/k\""),
            "7:12: `key-file`: without certificate-file",
            "certificate-file",
        ),
        (
            caldav("certificate-file = \"/c\"\nurl = \"http://127.0.0.1/\""),
            "5:20: `certificate-file`: a server asks for no certificate",
            "https",
        ),
        (
            caldav("username = \"a\"\npassword-file = \"/p\"\nurl = \"http://cloud.example.org/\""),
            "7:7: `url`: plain http",
            "allow-http",
        ),
        (
            caldav("certificate-file = \"/c\"\nurl = \"https://a:hunter2@cloud.example.org/\""),
            "6:7: `url`: holds a user name",
            "no place for a secret",
        ),
        (
            caldav("certificate-file = \"/c\"\nurl = \"https://cloud.example.org/?x\""),
            "6:7: `url`: has a query",
            "take it out",
        ),
        (
            caldav("certificate-file = \"/c\"\nrescan = \"5m\""),
            "6:1: `rescan`: a CalDAV calendar is listed as a whole once a day",
            "poll",
        ),
        (
            caldav("certificate-file = \"/c\"\npoll = \"0s\""),
            "6:8: `poll`: out of range",
            "use 1s to 1d",
        ),
        (
            caldav("certificate-file = \"/c\"\npoll-fastest = \"61s\""),
            "6:16: `poll-fastest`: longer than poll",
            "poll longer",
        ),
        (
            caldav("certificate-file = \"/c\"\ncollections = [\"Work\", \"\"]"),
            "6:24: `collections`: is empty",
            "give a value",
        ),
        (
            feed("writable = true\nurl = \"ftp://x\""),
            "4:7: `url`: not a URL of a kind",
            "https://",
        ),
        (
            feed("writable = true\nurl = \"https://u:hunter2@x/?hunter2\""),
            "4:7: `url`: holds a user name",
            "no place for a secret",
        ),
        (
            feed("writable = true\nurl = \"http://x/?key=hunter2\""),
            "4:7: `url`: plain http",
            "use https",
        ),
        (
            feed("writable = true\nurl = \"webcal://?key=hunter2\""),
            "4:7: `url`: not a URL",
            "https://",
        ),
        (
            feed(""),
            "1:1: nothing says where the events go",
            "give one of publish-file",
        ),
        (
            feed("writable = false"),
            "1:1: nothing says where the events go",
            "give one of publish-file",
        ),
        (
            feed("publish-file = \"/p\"\nwritable = true"),
            "5:12: `writable`: a second place",
            "give one of publish-file",
        ),
        (
            feed("publish-file = \"/p\"\npublish-url = \"https://x/\""),
            "5:15: `publish-url`: a second place",
            "give one of publish-file",
        ),
        (
            feed("publish-file = \"p\""),
            "4:16: `publish-file`: not an absolute path",
            "begin with /",
        ),
        (
            feed("publish-file = \"/p\"\npublish-username = \"a\"\npublish-password-file = \"/p\""),
            "5:20: `publish-username`: without publish-url",
            "set publish-url",
        ),
        (
            feed("writable = true\npassword-file = \"/p\""),
            "5:17: `password-file`: without username",
            "set username",
        ),
        (
            feed("writable = true\nusername = \"a\""),
            "5:12: `username`: without a password",
            "set password-file",
        ),
        (
            feed(
                "writable = true\nusername = \"a\"\npassword-file = \"/p\"\nbearer-token-file = \"/t\"",
            ),
            "5:12: `username`: a second way",
            "keep one",
        ),
        (
            feed("writable = true\nbearer-token = \"hunter2\""),
            "5:1: `bearer-token`: a secret does not stand",
            "bearer-token-file",
        ),
        (
            feed("writable = true\nrescan = \"5m\""),
            "5:1: `rescan`: a feed is read as a whole",
            "poll",
        ),
        (
            feed("writable = true\npoll = \"0s\""),
            "5:8: `poll`: out of range",
            "use 1s to 1d",
        ),
        (
            feed("writable = true\npublish-fil = \"/p\""),
            "5:1: unknown key `publish-fil`",
            "`publish-file`",
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
        let more = ["\nclient-secret-c", "\ncertificate-", "\ndevice-code"];
        let alone = faults.iter().count() == 1 || more.iter().any(|key| text.contains(key));
        assert!(alone, "only one mistake was made\n{shown}");
    }
}

#[test]
fn a_cloud_is_known_by_its_name() {
    for (line, graph, authority) in [
        (
            "",
            "https://graph.microsoft.com/",
            "https://login.microsoftonline.com/",
        ),
        (
            "cloud = \"global\"",
            "https://graph.microsoft.com/",
            "https://login.microsoftonline.com/",
        ),
        (
            "cloud = \"us-gov-l4\"",
            "https://graph.microsoft.us/",
            "https://login.microsoftonline.us/",
        ),
        (
            "cloud = \"us-gov-l5\"",
            "https://dod-graph.microsoft.us/",
            "https://login.microsoftonline.us/",
        ),
        (
            "graph-url = \"https://graph.example\"\nauthority-url = \"https://login.example\"",
            "https://graph.example/",
            "https://login.example/",
        ),
    ] {
        let found = good(&format!("{GRAPH}{line}\n{MEETING}{CALENDAR}")).graph;
        let found = (found.graph_url.as_str(), found.authority_url.as_str());
        assert_eq!(found, (graph, authority), "{line}");
    }
}

#[test]
fn a_certificate_has_one_place() {
    let lines = "certificate-file = \"/x\"\ncertificate-credential = \"x\"";
    let graph = GRAPH.replace("client-secret-file = \"/etc/meetbridge/graph\"", lines);
    let faults = bad(&[&graph, MEETING, CALENDAR].concat()).to_string();
    let expected = "c.toml:6:26: `certificate-credential`: given twice";
    assert!(faults.starts_with(expected), "{faults}");
}

#[test]
fn graph_is_signed_in_to_in_each_way() {
    let way = |lines: &str| {
        let graph = GRAPH.replace("client-secret-file = \"/etc/meetbridge/graph\"", lines);
        good(&[&graph, MEETING, CALENDAR].concat()).graph.sign_in
    };
    let file = |path: &str| SecretSource::File(PathBuf::from(path));
    let named = |name: &str| SecretSource::Credential(name.to_owned());
    let certificate = |certificate, key, algorithm| SignIn::Certificate {
        certificate,
        key,
        algorithm,
    };
    let (new, old) = (CertificateAlgorithm::Ps256, CertificateAlgorithm::Rs256);
    for (lines, expected) in [
        ("client-secret-file = \"/s\"", SignIn::Secret(file("/s"))),
        (
            "certificate-file = \"/c\"",
            certificate(file("/c"), None, new),
        ),
        (
            "certificate-file = \"/c\"\nkey-file = \"/k\"\ncertificate-algorithm = \"RS256\"",
            certificate(file("/c"), Some(file("/k")), old),
        ),
        (
            "certificate-credential = \"c\"\nkey-credential = \"k\"",
            certificate(named("c"), Some(named("k")), new),
        ),
        (
            "federated-token-file = \"/t\"",
            SignIn::FederatedToken(file("/t")),
        ),
        (
            "device-code = true",
            SignIn::DeviceCode {
                directory: PathBuf::from("/var/lib/meetbridge/tokens"),
            },
        ),
        (
            "device-code = false\nfederated-token-file = \"/t\"",
            SignIn::FederatedToken(file("/t")),
        ),
    ] {
        assert_eq!(way(lines), expected, "{lines}");
    }
}

#[test]
fn a_person_signs_in_by_nothing_but_the_code() {
    for (lines, expected) in [
        ("device-code = false", "`client-secret-file` is missing"),
        (
            "device-code = true\ncertificate-file = \"/c\"",
            "`device-code`: a second way to sign in, beside `certificate-file`",
        ),
        (
            "device-code = true\nfederated-token-file = \"/t\"",
            "`device-code`: a second way to sign in, beside `federated-token-file`",
        ),
        (
            "device-code = true\nkey-file = \"/k\"",
            "`key-file`: without certificate-file",
        ),
        (
            "device-code = true\nclient-secret = \"hunter2\"",
            "`client-secret`: a secret does not stand in the configuration",
        ),
    ] {
        let secret = "client-secret-file = \"/etc/meetbridge/graph\"";
        let text = [&GRAPH.replace(secret, lines), MEETING, CALENDAR].concat();
        let shown = bad(&text).to_string();
        assert!(
            shown.contains(expected) && !shown.contains("hunter2"),
            "{shown}"
        );
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

/// A configuration with one CalDAV account that is signed in to so.
fn caldav(lines: &str) -> Result<CalDav, Faults> {
    let account = "[[calendar.caldav]]\nname = \"alice\"\n";
    let url = match lines.contains("\nurl = ") {
        true => "",
        false => "url = \"https://cloud.example.org/dav/\"\n",
    };
    let config = parse(&[GRAPH, MEETING, account, url, lines].concat())?;
    match &config.calendars[0].source {
        Source::CalDav(account) => Ok(*account.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_account_has_one_way_to_sign_in() {
    let file = |path: &str| SecretSource::File(PathBuf::from(path));
    let password = |password| Credentials::Password {
        username: "alice".to_owned(),
        password,
    };
    let oauth2 = |client_secret, refresh_token| Credentials::OAuth2 {
        token_url: Url::parse("https://o.example.org/token").unwrap(),
        client_id: "me".to_owned(),
        client_secret,
        refresh_token,
    };
    let command = || SecretSource::Command(vec!["/bin/p".to_owned(), "x".to_owned()]);
    let credential = || SecretSource::Credential("c".to_owned());
    let o = "oauth2-token-url = \"https://o.example.org/token\"\noauth2-client-id = \"me\"\n";
    let cases = [
        (
            "username = \"alice\"\npassword-file = \"/p\"".to_owned(),
            password(file("/p")),
        ),
        (
            "username = \"alice\"\npassword-command = [\"/bin/p\", \"x\"]".to_owned(),
            password(command()),
        ),
        (
            "username = \"alice\"\npassword-credential = \"c\"".to_owned(),
            password(credential()),
        ),
        (
            "bearer-token-file = \"/t\"".to_owned(),
            Credentials::Bearer { token: file("/t") },
        ),
        (
            "bearer-token-credential = \"c\"\ncertificate-file = \"/c\"".to_owned(),
            Credentials::Bearer {
                token: credential(),
            },
        ),
        (
            format!("{o}oauth2-refresh-token-file = \"/r\""),
            oauth2(None, file("/r")),
        ),
        (
            format!(
                "{o}oauth2-refresh-token-command = [\"/bin/p\", \"x\"]\n\
                 oauth2-client-secret-credential = \"c\""
            ),
            oauth2(Some(credential()), command()),
        ),
        (
            "certificate-file = \"/c\"\nkey-file = \"/k\"".to_owned(),
            Credentials::None,
        ),
        (
            "\nurl = \"http://[::1]:5232/\"".to_owned(),
            Credentials::None,
        ),
    ];
    for (lines, expected) in cases {
        let account = caldav(&lines).unwrap_or_else(|faults| panic!("{lines}\n{faults}"));
        assert_eq!(account.credentials, expected, "{lines}");
        let certificate = lines.contains("certificate-file").then(|| "/c".into());
        assert_eq!(account.certificate_file, certificate, "{lines}");
        let key = lines.contains("key-file").then(|| "/k".into());
        assert_eq!(account.key_file, key, "{lines}");
    }
    let plain = "url = \"http://cloud.example.org/\"\nbearer-token-file = \"/t\"\n";
    let account = format!("\n{plain}[network]\nallow-http = true");
    assert_eq!(caldav(&account).unwrap().url.scheme(), "http");
}

#[test]
fn an_account_that_says_little_has_its_defaults() {
    let account = caldav("certificate-file = \"/c\"").unwrap();
    let url = Url::parse("https://cloud.example.org/dav/").unwrap();
    assert_eq!(
        account,
        CalDav {
            url,
            credentials: Credentials::None,
            certificate_file: Some("/c".into()),
            key_file: None,
            ca_file: None,
            collections: Vec::new(),
            poll: Duration::from_secs(60),
            poll_fastest: Duration::from_secs(15),
        }
    );
    let text = "[[calendar.caldav]]\nname = \"a\"\nurl = \"http://[::1]/\"\nenabled = false\n\
                new-links-per-day = 3\nevents-with-attendees = \"skip\"\nselect = \"all\"";
    let calendar = &good(&[GRAPH, MEETING, text].concat()).calendars[0];
    assert_eq!(calendar.rescan, Duration::from_secs(86_400));
    assert_eq!((calendar.enabled, calendar.new_links_per_day), (false, 3));
    assert_eq!(calendar.rules.select, Select::All);
    assert_eq!(
        calendar.rules.events_with_attendees,
        EventsWithAttendees::Skip
    );
    assert_eq!(calendar.source.path(), None);
}

#[test]
fn polls_fit_each_other() {
    let cases = [
        ("poll = \"5m\"", 300, 75),
        ("poll = \"10s\"", 10, 5),
        ("poll = \"2s\"", 2, 2),
        ("poll-fastest = \"1m\"", 60, 60),
        ("poll = \"1s\"\npoll-fastest = \"1s\"", 1, 1),
        ("poll = \"1d\"\npoll-fastest = \"1s\"", 86_400, 1),
    ];
    for (lines, poll, fastest) in cases {
        let account = caldav(&format!("bearer-token-file = \"/t\"\n{lines}")).unwrap();
        let found = (account.poll.as_secs(), account.poll_fastest.as_secs());
        assert_eq!(found, (poll, fastest), "{lines}");
    }
    // A poll that is wrong by itself is the only fault.
    let both = "bearer-token-file = \"/t\"\npoll = \"2d\"\npoll-fastest = \"1h\"";
    assert_eq!(caldav(both).unwrap_err().iter().count(), 1);
}

#[test]
fn no_addresses_are_not_an_empty_list() {
    let lists = [
        ("", "", Some(0)),
        ("addresses = []\n", "", None),
        ("", "addresses = []\n", None),
        ("", "addresses = [\"alice@example.org\"]\n", Some(1)),
    ];
    for (default, own, count) in lists {
        let account = "[[calendar.caldav]]\nname = \"a\"\nurl = \"http://localhost\"\n";
        let config = good(&[GRAPH, MEETING, default, account, own].concat());
        let addresses = config.calendars[0].rules.addresses.as_ref();
        assert_eq!(addresses.map(BTreeSet::len), count, "{default}{own}");
    }
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
    // A directory that is there.
    let example = shipped("example.toml").replace("config.d/*.toml", "config/*.none");
    // Two ways to say one thing are tried one after the other: what is taken out, what takes its place.
    let hosts = ["\ngraph-url", "\nauthority-url"];
    let password = ["\nusername", "\npassword-file"];
    let oauth2 = ["\noauth2-token-url", "\noauth2-client-id"];
    let secret = "\noauth2-client-secret-";
    let token = "\noauth2-refresh-token-";
    let ways: Vec<(Vec<&str>, Vec<String>)> = vec![
        (vec!["\ncloud"], hosts.map(str::to_owned).to_vec()),
        (
            vec!["\nclient-secret-file"],
            vec!["\nclient-secret-command".to_owned()],
        ),
        (
            vec!["\nclient-secret-file"],
            vec!["\nclient-secret-credential".to_owned()],
        ),
        (
            vec!["\nclient-secret-file"],
            vec!["\nfederated-token-file".to_owned()],
        ),
        (
            vec!["\nclient-secret-file"],
            vec!["\ndevice-code".to_owned()],
        ),
        (
            vec!["\nclient-secret-file"],
            [
                "\ncertificate-file",
                "\nkey-file",
                "\ncertificate-algorithm",
            ]
            .map(str::to_owned)
            .to_vec(),
        ),
        (
            vec!["\nclient-secret-file"],
            ["\ncertificate-credential", "\nkey-credential"]
                .map(str::to_owned)
                .to_vec(),
        ),
        (
            vec!["\npassword-file"],
            vec!["\npassword-command".to_owned()],
        ),
        (vec!["\npublish-file"], vec!["\nwritable".to_owned()]),
        (vec!["\npublish-file"], vec!["\npublish-url".to_owned()]),
        (
            vec!["\npassword-file"],
            vec!["\npassword-credential".to_owned()],
        ),
    ];
    let bearer = ["file", "command", "credential"]
        .map(|from| (password.to_vec(), vec![format!("\nbearer-token-{from}")]));
    let publish = ["file", "command", "credential"].map(|from| {
        let named = ["\npublish-url", "\npublish-username"].map(str::to_owned);
        let password = [&named[..], &[format!("\npublish-password-{from}")]].concat();
        let url = named[0].clone();
        let bearer = vec![url, format!("\npublish-bearer-token-{from}")];
        [
            (vec!["\npublish-file"], password),
            (vec!["\npublish-file"], bearer),
        ]
    });
    let oauth2 = ["file", "command", "credential"].map(|from| {
        let mut keys = oauth2.map(str::to_owned).to_vec();
        keys.extend([format!("{secret}{from}"), format!("{token}{from}")]);
        (password.to_vec(), keys)
    });
    let ways: Vec<_> = ways
        .into_iter()
        .chain(bearer)
        .chain(oauth2)
        .chain(publish.into_iter().flatten())
        .collect();
    let all = format!("\n{}", uncommented(&example, |line| is_setting(line, "#")));
    let other = |line: &str| {
        let line = format!("\n{}", line.trim_start_matches('#').trim_start());
        let mut keys = ways.iter().flat_map(|(_, keys)| keys);
        keys.any(|key| line.starts_with(key))
    };
    let all = uncommented(&all, |line| is_setting(line, "#   ") && !other(line));
    good(&all);
    for (out, keys) in &ways {
        let mut text = all.clone();
        for key in out {
            assert!(text.contains(key), "{key}");
            text = text.replace(key, &key.replace('\n', "\n#"));
        }
        for key in keys {
            let commented = key.replace('\n', "\n#   ");
            assert!(text.contains(&commented), "{key}");
            text = text.replace(&commented, key);
        }
        good(&text);
    }
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
            explained.insert(format!("{table}.{key}").trim_start_matches('.').to_owned());
        }
    }
    assert_eq!(known(&all), explained);
}

/// The keys and tables that are asked for where all of these are there, as `table.key`.
fn known(all: &str) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let home = Path::new("");
    let _ = read::read(all, "config.toml", home, &machine(), |collector| {
        known = collector.known()
    });
    assert!(known.len() > 60, "{known:?}");
    known
}

#[test]
fn a_feed_is_read() {
    let read = |lines: &str| {
        let feed = "[[calendar.feed]]\nname = \"events\"\n";
        let config = good(&[GRAPH, MEETING, feed, lines].concat());
        let Source::Feed(feed) = &config.calendars[0].source else {
            panic!("{config:?}")
        };
        assert!(!format!("{config:?}").contains("hunter2"));
        ((**feed).clone(), config.calendars[0].clone())
    };
    let cases = [
        ("https://x/a?k=hunter2", "", "https://x/a?k=hunter2"),
        ("webcal://x/a", "", "https://x/a"),
        ("WEBCALS://x:99/a", "", "https://x:99/a"),
        ("webcal://x/a", "allow-http = true\n", "http://x/a"),
        ("http://x/a", "allow-http = true\n", "http://x/a"),
        ("webcal://127.0.0.1:1/a", "", "http://127.0.0.1:1/a"),
        ("http://localhost/a", "", "http://localhost/a"),
    ];
    for (url, more, expected) in cases {
        let (feed, calendar) = read(&format!("url = \"{url}\"\n{more}publish-file = \"/p\"\n"));
        assert_eq!(feed.url.as_str(), expected);
        assert_eq!(feed.poll, 15 * Duration::from_secs(60));
        assert_eq!(feed.publish, Publish::File("/p".into()));
        assert_eq!(calendar.rules.addresses, None, "nobody knows whose it is");
        let secret = [Show::MeetingId, Show::Passcode, Show::Chat];
        assert!(calendar.show.iter().all(|one| !secret.contains(one)));
        assert!(calendar.show.contains(&Show::TollNumbers));
    }
    // What it shows to the world is named for it alone.
    let (_, named) = read(
        "url = \"https://x/\"\nwritable = false\npublish-file = \"/p\"\nshow = [\"passcode\"]\n",
    );
    assert_eq!(named.show, [Show::Passcode]);
    let (feed, back) = read("url = \"https://x/\"\nwritable = true\n");
    assert_eq!(
        (feed.publish, back.show),
        (Publish::Source, Show::DEFAULT.to_vec())
    );
    let (feed, _) = read(
        "url = \"https://x/\"\nbearer-token-file = \"/t\"\npublish-url = \"https://y/\"\n\
         publish-username = \"a\"\npublish-password-file = \"/p\"\n",
    );
    assert!(matches!(feed.credentials, Credentials::Bearer { .. }));
    let Publish::Web { url, credentials } = feed.publish else {
        panic!("it is published at an address")
    };
    assert_eq!(url.as_str(), "https://y/");
    assert!(matches!(*credentials, Credentials::Password { username, .. } if username == "a"));
    let general = MEETING.to_owned() + "show = [\"passcode\", \"dialin-url\"]\n";
    let feed =
        "[[calendar.feed]]\nname = \"events\"\nurl = \"https://x/\"\npublish-file = \"/p\"\n";
    let config = good(&[GRAPH, &general, feed].concat());
    assert_eq!(config.calendars[0].show, [Show::DialinUrl]);
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
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !key.is_empty() && key.bytes().all(plain)
}

#[test]
fn organizers_are_mapped_by_address_and_each_fault_is_at_its_line() {
    const ONE: &str = "22222222-2222-2222-2222-222222222222";
    let text = |entries: &str| {
        format!(
            "[meeting]\norganizer = \"{ONE}\"\non-delete = \"delete\"\n[meeting.organizers]\n{entries}\n\
             {GRAPH}{CALENDAR}"
        )
    };
    let good = text(&format!("\"Mailto:Alice@Example.org\" = \"{ONE}\""));
    let config = Config::parse(&good, "config.toml", &machine()).unwrap();
    let calendar = &config.calendars[0];
    let mapped: Vec<_> = calendar.organizers.iter().collect();
    assert_eq!(mapped.len(), 1);
    assert_eq!(
        (mapped[0].0.as_str(), mapped[0].1.as_str()),
        ("alice@example.org", ONE)
    );
    assert_eq!(
        (calendar.on_cancel, calendar.on_delete),
        (crate::meeting::Fate::Keep, crate::meeting::Fate::Delete)
    );

    let bad = text(&format!(
        "\"alice@example.org\" = \"bob@example.org\"\n\"alice\" = \"{ONE}\""
    ));
    let faults = Config::parse(&bad, "config.toml", &machine()).unwrap_err();
    let shown = faults.to_string();
    for words in [
        "5:23: `alice@example.org`: a user's address",
        "az ad user show --id bob@example.org --query id",
        "6:1: `alice`: not a mail address",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}
