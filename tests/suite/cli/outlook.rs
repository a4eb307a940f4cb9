//! Meetings as events in Outlook, beside online meetings: the rows of the README's table, and what
//! `check --online` says of mailboxes.

use meetbridge::simulator::{
    Effect, Endpoint, EventState, Fault, FilterMiss, Mailbox, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN,
    ORGANIZER_WITHOUT_POLICY, Provider, Scripted, Settings, Times,
};
use serde_json::json;

use super::support::{Ended, GUEST, Setup, TEAM, TITLE, World, single, unfold};

const ONLINE: &str = "api = \"online-meeting\"\n";
const EVENT: &str = "api = \"calendar-event\"\n";

/// Row of the table, and the tests that it is promised by.
const ROWS: &[(&str, &[&str])] = &[
    (
        "Calendar entry",
        &["a_calendar_entry_is_made_by_one_api_alone"],
    ),
    (
        "What others see",
        &["what_others_see_in_outlook_is_what_is_configured_and_no_private_title"],
    ),
    (
        "Attendees",
        &[
            "attendees_are_never_named_in_outlook",
            "what_an_outlook_event_cannot_do_is_refused_where_it_stands",
        ],
    ),
    (
        "Language",
        &["what_is_written_is_in_the_language_with_either_api"],
    ),
    (
        "Telephone numbers",
        &["telephone_numbers_come_with_either_api"],
    ),
    (
        "Dial-in page, meeting id, passcode, video device, chat and options links",
        &["what_is_behind_an_outlook_event_takes_the_access_policy"],
    ),
    (
        "Lobby, presenters, chat and other options",
        &["what_is_behind_an_outlook_event_takes_the_access_policy"],
    ),
    (
        "Permission (application)",
        &["each_api_takes_its_own_permission"],
    ),
    (
        "Permission (a person)",
        &["a_person_is_asked_for_what_events_in_outlook_take"],
    ),
    (
        "The organizer needs",
        &["a_mailbox_without_teams_is_a_fault_of_its_own"],
    ),
    (
        "Microsoft's limits",
        &["a_mailbox_is_asked_four_things_at_once_at_most"],
    ),
    (
        "What dies by itself",
        &["what_stands_in_outlook_is_deleted_unless_it_is_to_be_kept"],
    ),
];

#[test]
fn every_row_of_the_choice_is_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let section = readme.split("\n### Which API\n").nth(1).unwrap();
    let section = section.split("\n##").next().unwrap();
    let cells = section.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{line}");
        Some(cells[0])
    });
    let rows: Vec<_> = cells.skip(2).collect();
    let tested: Vec<_> = ROWS.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, tested, "the README's rows, and those with a test");

    let mut tests = String::new();
    let mut folders = vec![root.join("tests/suite"), root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => tests.push_str(&std::fs::read_to_string(path).unwrap_or_default()),
            }
        }
    }
    for name in ROWS.iter().flat_map(|(_, names)| *names) {
        let test = tests.find(&format!("fn {name}("));
        let above = test.map(|at| tests[..at].trim_end_matches("async ").trim_end());
        let is_test = above.is_some_and(|above| above.ends_with("test]"));
        assert!(is_test, "there is no test {name}");
    }
}

/// A world whose calendar says this.
fn world(organizer: &str, meeting: &str) -> World {
    world_with(organizer, meeting, |_| {})
}

fn world_with(organizer: &str, meeting: &str, change: impl FnOnce(&mut Settings)) -> World {
    let world = World::with(change);
    world.configure(&Setup {
        organizer,
        meeting,
        ..Setup::default()
    });
    world
}

/// The title of the event that [`single`] makes.
fn title() -> String {
    format!("{TITLE} 24")
}

/// The events that are there in Outlook.
fn events(world: &World) -> Vec<EventState> {
    let snapshot = world.snapshot();
    let all = snapshot.mailboxes.into_iter().flat_map(|one| one.events);
    all.filter(|event| !event.deleted).collect()
}

/// The one event, and the file with its link.
fn linked(world: &World, uid: &str) -> (EventState, String) {
    world.put("a.ics", &single(uid));
    world.sync();
    let mut events = events(world);
    assert_eq!(events.len(), 1, "{events:?}");
    let (event, text) = (events.remove(0), unfold(&world.get("a.ics")));
    let url = event.join_url.as_deref().unwrap();
    assert!(
        text.contains(url) && text.contains("X-MEETBRIDGE-MEETING"),
        "{text}"
    );
    (event, text)
}

#[test]
fn a_calendar_entry_is_made_by_one_api_alone() {
    let plain = world(ORGANIZER, ONLINE);
    plain.put("a.ics", &single("a"));
    plain.sync();
    assert!(plain.is_linked("a.ics", "a"));
    assert_eq!(events(&plain), []);
    assert_eq!(plain.snapshot().requests(Endpoint::Calendar), 0);

    for (more, calendar) in [
        ("", "Calendar"),
        ("outlook-calendar = \"Bridge\"\n", "Bridge"),
    ] {
        let mirrored = world(ORGANIZER, &format!("{EVENT}{more}"));
        let (event, text) = linked(&mirrored, "a");
        assert_eq!(
            (event.calendar.as_str(), event.is_online_meeting),
            (calendar, true)
        );
        assert_eq!(event.subject.as_deref(), Some(title().as_str()));
        assert_eq!(mirrored.asked(), 0, "no online meeting of its own");
        mirrored.sync();
        assert_eq!(unfold(&mirrored.get("a.ics")), text);
        assert_eq!(events(&mirrored), [event]);
    }
    // Of a series, the next occurrence.
    let series = world(ORGANIZER, EVENT);
    let weekly = single("a").replace("END:VEVENT", "RRULE:FREQ=WEEKLY\r\nEND:VEVENT");
    series.put("a.ics", &weekly);
    series.sync();
    assert_eq!(events(&series).len(), 1);
    assert!(!events(&series)[0].fields.contains_key("recurrence"));
}

#[test]
fn what_others_see_in_outlook_is_what_is_configured_and_no_private_title() {
    for (more, shown) in [("", "free"), ("show-as = \"out-of-office\"\n", "oof")] {
        let world = world(ORGANIZER, &format!("{EVENT}private = true\n{more}"));
        let (event, _) = linked(&world, "a");
        assert_eq!(event.fields["showAs"], shown);
        assert_eq!(event.fields["isReminderOn"], false);
        // A change of CLASS renames it, there and back.
        for (class, title) in [
            ("PRIVATE", "Private appointment"),
            ("PUBLIC", title().as_str()),
            ("CONFIDENTIAL", "Private appointment"),
        ] {
            let text = world.get("a.ics");
            let lines = text.lines().filter(|line| !line.starts_with("CLASS:"));
            let text = lines.map(|line| format!("{line}\r\n")).collect::<String>();
            let class = format!("CLASS:{class}\r\nEND:VEVENT");
            world.put("a.ics", &text.replace("END:VEVENT", &class));
            world.sync();
            let found = events(&world);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].subject.as_deref(), Some(title), "{class}");
            assert_eq!(found[0].join_url, event.join_url);
        }
    }
    let world = world(
        ORGANIZER,
        &format!("{EVENT}private = true\nlanguage = \"de\"\n"),
    );
    let private = single("a").replace("END:VEVENT", "CLASS:PRIVATE\r\nEND:VEVENT");
    world.put("a.ics", &private);
    world.sync();
    let found = events(&world);
    assert_eq!(found[0].subject.as_deref(), Some("Privater Termin"));
    assert!(!found[0].body.contains(TITLE));
}

#[test]
fn attendees_are_never_named_in_outlook() {
    let world = world(ORGANIZER, EVENT);
    let (event, text) = linked(&world, "a");
    assert!(text.contains(GUEST), "somebody is invited");
    assert_eq!(event.attendees, Vec::<serde_json::Value>::new());
    assert!(!event.body.contains(GUEST));
    world.put("a.ics", &world.get("a.ics").replace(TITLE, "Another title"));
    world.sync();
    std::fs::remove_file(world.path("team/a.ics")).unwrap();
    world.sync();
    for mailbox in world.snapshot().mailboxes {
        assert_eq!(mailbox.requests_with_attendees, 0);
        assert_eq!(mailbox.mails_to_attendees, 0);
    }
}

#[test]
fn what_is_written_is_in_the_language_with_either_api() {
    for api in [ONLINE, EVENT] {
        let world = world(ORGANIZER, &format!("{api}language = \"de-AT\"\n"));
        world.put("a.ics", &single("a"));
        world.sync();
        let text = unfold(&world.get("a.ics"));
        assert!(text.contains("Teilnehmen: https://"), "{api} {text}");
        assert!(
            text.contains("Lokale Nummer suchen: https://"),
            "{api} {text}"
        );
        for event in events(&world) {
            assert!(
                event.body.contains("Dieser Termin spiegelt"),
                "{}",
                event.body
            );
        }
    }
}

#[test]
fn telephone_numbers_come_with_either_api() {
    for (api, organizer, told) in [
        (ONLINE, ORGANIZER, true),
        (EVENT, ORGANIZER, true),
        (EVENT, ORGANIZER_WITHOUT_POLICY, true),
        (ONLINE, ORGANIZER_WITHOUT_DIAL_IN, false),
        (EVENT, ORGANIZER_WITHOUT_DIAL_IN, false),
    ] {
        let world = world(organizer, api);
        world.put("a.ics", &single("a"));
        world.sync();
        let text = unfold(&world.get("a.ics"));
        assert!(text.contains("X-MEETBRIDGE-MEETING"), "{text}");
        assert_eq!(
            text.contains("Dial in: +"),
            told,
            "{api} {organizer} {text}"
        );
        assert_eq!(
            text.contains("FEATURE=PHONE"),
            told,
            "{api} {organizer} {text}"
        );
    }
}

#[test]
fn what_is_behind_an_outlook_event_takes_the_access_policy() {
    let meeting = "lobby = \"organization\"\nshow = [\"meeting-id\", \"passcode\", \"dialin-url\", \
                   \"chat\", \"options\"]\n";
    for (api, organizer, told) in [
        (ONLINE, ORGANIZER, true),
        (EVENT, ORGANIZER, true),
        (EVENT, ORGANIZER_WITHOUT_POLICY, false),
    ] {
        let world = world(organizer, &format!("{api}{meeting}"));
        world.put("a.ics", &single("a"));
        world.sync();
        let text = unfold(&world.get("a.ics"));
        assert!(text.contains("X-MEETBRIDGE-MEETING"), "{text}");
        for label in [
            "Meeting ID: ",
            "Passcode: ",
            "Find a local number: ",
            "Meeting chat: ",
            "Meeting options: ",
        ] {
            assert_eq!(
                text.contains(label),
                told,
                "{api} {organizer} {label} {text}"
            );
        }
        let snapshot = world.snapshot();
        let patched = snapshot.meetings.iter().map(|one| one.calls.patch);
        assert_eq!(patched.sum::<u64>(), u64::from(told), "{api} {organizer}");
    }
}

fn roles(names: &[&str]) -> impl FnOnce(&mut Settings) {
    let roles = names.iter().map(|name| (*name).to_owned()).collect();
    move |settings| settings.app.roles = roles
}

#[test]
fn each_api_takes_its_own_permission() {
    const MEETINGS: &str = "OnlineMeetings.ReadWrite.All";
    const CALENDARS: &str = "Calendars.ReadWrite";
    for (api, role, code) in [
        (ONLINE, MEETINGS, 0),
        (ONLINE, CALENDARS, 1),
        (EVENT, CALENDARS, 0),
        (EVENT, MEETINGS, 1),
    ] {
        let world = world_with(ORGANIZER, api, roles(&[role]));
        world.put("a.ics", &single("a"));
        let asked = check(&world);
        asked.says(code, &[]);
        let other = if role == MEETINGS {
            CALENDARS
        } else {
            MEETINGS
        };
        let lacks = format!("error: the token lacks the permission {other}\n");
        assert_eq!(asked.out.contains(&lacks), code == 1, "{asked}");
        let page = asked.out.contains("/adminconsent?client_id=");
        assert_eq!(page, code == 1, "{asked}");
        world.run(&["sync"]).says(code, &[]);
        let is_linked = world.get("a.ics").contains("X-MEETBRIDGE-MEETING");
        assert_eq!(is_linked, code == 0, "{api} {role}");
    }
}

#[test]
fn where_nobody_has_consented_the_permission_of_the_api_is_asked_for() {
    for (api, permission) in [
        (ONLINE, "OnlineMeetings.ReadWrite.All"),
        (EVENT, "Calendars.ReadWrite"),
    ] {
        let world = world_with(ORGANIZER, api, |_| {});
        let fault = Fault::next(Endpoint::Token, Effect::Aadsts(65_001));
        world.simulator.script(fault.times(Times::Forever));
        check(&world).says(1, &[]).shows(&[
            "AADSTS65001): an administrator has to consent to what the application asks for",
            &format!("Microsoft Graph, Application permissions, {permission}; then"),
            "/adminconsent?client_id=",
        ]);
    }
}

#[test]
fn a_role_of_exchange_does_not_show_in_the_token() {
    let answer = |status, body| {
        let effect = Effect::Answer(Scripted {
            status,
            body: Some(body),
            retry_after: None,
        });
        Fault::next(Endpoint::Calendar, effect).times(Times::Forever)
    };
    let teams = "teamsForBusiness";
    let providers = json!({
        "allowedOnlineMeetingProviders": [teams],
        "defaultOnlineMeetingProvider": teams,
    });
    let denied = json!({"error": {"code": "ErrorAccessDenied", "message": "Access is denied."}});
    // One permission to read lets the calendar be read, too, and says nothing of a role.
    for (role, status, body, code, said) in [
        (
            "User.Read.All",
            200,
            &providers,
            0,
            "note: the token does not name Calendars.ReadWrite",
        ),
        (
            "Calendars.Read",
            200,
            &providers,
            1,
            "error: the token lacks the permission Calendars.ReadWrite",
        ),
        (
            "User.Read.All",
            403,
            &denied,
            1,
            "error: the token lacks the permission Calendars.ReadWrite",
        ),
        (
            "Calendars.ReadWrite",
            403,
            &denied,
            1,
            "Graph forbids the Outlook calendar (HTTP 403, ErrorAccessDenied)",
        ),
    ] {
        let meeting = format!("{EVENT}show = []\n");
        let world = world_with(ORGANIZER, &meeting, roles(&[role]));
        world.simulator.script(answer(status, body.clone()));
        check(&world).says(code, &[]).shows(&[said]);
    }
}

#[test]
fn what_leaves_open_whether_online_meetings_are_let_through_is_not_told_as_a_fault() {
    let world = world_with(ORGANIZER, EVENT, |settings| {
        settings.manners.filter_miss = FilterMiss::NotFound;
        roles(&["OnlineMeetings.ReadWrite.All", "Calendars.ReadWrite"])(settings);
    });
    let ended = check(&world);
    ended.says(0, &[]);
    assert!(!ended.out.contains("left out of"), "{ended}");
}

#[test]
fn a_mailbox_is_asked_four_things_at_once_at_most() {
    let world = world(ORGANIZER, EVENT);
    for n in 0..12 {
        world.put(&format!("{n}.ics"), &single(&n.to_string()));
    }
    world.sync();
    assert_eq!(events(&world).len(), 12);
    let snapshot = world.snapshot();
    let peaks: Vec<_> = snapshot
        .mailboxes
        .iter()
        .map(|one| one.peak_at_once)
        .collect();
    assert!(peaks.iter().all(|peak| (1..=4).contains(peak)), "{peaks:?}");
}

fn check(world: &World) -> Ended {
    world.run(&["check", "--online"])
}

fn name(organizer: &str) -> String {
    format!("organizer {organizer} (calendars: team)")
}

fn mailbox(settings: &mut Settings) -> &mut Mailbox {
    settings.organizers[0].mailbox.as_mut().unwrap()
}

#[test]
fn a_mailbox_that_may_be_used_is_told_and_nothing_is_made() {
    let world = world(
        ORGANIZER,
        &format!("{EVENT}outlook-calendar = \"Bridge\"\nlobby = \"organizer\"\n"),
    );
    world.put("a.ics", &single("a"));
    let ended = check(&world);
    ended.says(0, &[]).shows(&[
        "permissions: OnlineMeetings.ReadWrite.All, Calendars.ReadWrite",
        &format!(
            "ok: {}: the Outlook calendar may be used; online meetings allowed there: \
             teamsForBusiness; by default: teamsForBusiness",
            name(ORGANIZER)
        ),
        "note: with api = \"calendar-event\", these take the online meeting behind it: show (",
        "config.toml: in order; calendars enabled: 1",
    ]);
    for not in [
        "error: ",
        "warning: ",
        "left out of",
        "Graph lets meetbridge act",
    ] {
        assert!(!ended.out.contains(not), "{ended}");
    }
    assert_eq!(events(&world), []);
    let snapshot = world.snapshot();
    let asked = [Endpoint::Calendar, Endpoint::Calendars, Endpoint::Filter];
    assert_eq!(asked.map(|endpoint| snapshot.requests(endpoint)), [1, 1, 1]);
    // What takes no online meeting asks for none.
    world.configure(&Setup {
        meeting: &format!("{EVENT}show = [\"toll-numbers\"]\n"),
        ..Setup::default()
    });
    check(&world).says(0, &[]);
    assert_eq!(world.snapshot().requests(Endpoint::Filter), 1);
    assert_eq!(
        world.snapshot().requests(Endpoint::Calendars),
        1,
        "no other calendar is named"
    );
}

#[test]
fn a_mailbox_without_teams_is_a_fault_of_its_own() {
    let other = |settings: &mut Settings| {
        mailbox(settings).allowed_providers = vec![Provider::SkypeForBusiness];
        mailbox(settings).default_provider = Provider::SkypeForBusiness;
    };
    let unlicensed = |settings: &mut Settings| settings.organizers[0].licensed = false;
    for (change, allowed) in [
        (
            &other as &dyn Fn(&mut Settings),
            "allowed there: skypeForBusiness;",
        ),
        (&unlicensed, "allowed there: none;"),
    ] {
        let world = world_with(ORGANIZER, EVENT, change);
        check(&world).says(1, &[]).shows(&[
            &format!(
                "error: {}: the mailbox has no meetings of Teams",
                name(ORGANIZER)
            ),
            allowed,
            "hint: give the organizer a Teams licence",
            "errors: 1",
        ]);
    }
    let none = |settings: &mut Settings| settings.organizers[0].mailbox = None;
    let world = world_with(ORGANIZER, EVENT, none);
    check(&world).says(1, &[]).shows(&[
        &format!(
            "error: {}: Graph finds no such user, or no mailbox of theirs",
            name(ORGANIZER)
        ),
        "az ad user show",
        "errors: 1",
    ]);
}

#[test]
fn an_outlook_calendar_that_is_not_there_is_named() {
    let world = world(
        ORGANIZER,
        &format!("{EVENT}outlook-calendar = \"Brücke\"\n"),
    );
    check(&world).says(1, &[]).shows(&[
        &format!("ok: {}: the Outlook calendar may be used", name(ORGANIZER)),
        &format!(
            "error: {}: there is no Outlook calendar named \"Brücke\"",
            name(ORGANIZER)
        ),
        "`outlook-calendar`",
        "errors: 1",
    ]);
}

#[test]
fn what_will_be_missing_is_said_once() {
    let more = format!(
        "{TEAM}[meeting.organizers]\n\"bob@example.org\" = \"{ORGANIZER_WITHOUT_POLICY}\"\n"
    );
    let says = |meeting: &str, roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let world = World::with(|settings| settings.app.roles = roles);
        world.configure(&Setup {
            meeting: &format!("{EVENT}{meeting}"),
            rest: &more,
            ..Setup::default()
        });
        let ended = check(&world);
        ended.says(0, &[]);
        let lines = ended
            .out
            .lines()
            .filter(|line| line.contains("left out of"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let both = ["OnlineMeetings.ReadWrite.All", "Calendars.ReadWrite"];
    let out = says("show = [\"passcode\"]\n", &both);
    assert_eq!(out.len(), 1, "{out:?}");
    let start = "note: left out of meetings that are Outlook events: show (passcode) (organizers: ";
    assert!(out[0].starts_with(&format!(
        "{start}{ORGANIZER_WITHOUT_POLICY}), since Teams has no"
    )));
    let out = says("lobby = \"everyone\"\nshow = [\"passcode\"]\n", &both[1..]);
    assert_eq!(out.len(), 1, "{out:?}");
    let expected = format!(
        "warning: left out of meetings that are Outlook events: show (passcode), lobby (organizers: \
         {ORGANIZER}, {ORGANIZER_WITHOUT_POLICY}), since Graph forbids meetings"
    );
    assert!(out[0].starts_with(&expected), "{out:?}");
    assert_eq!(
        says("show = [\"toll-numbers\"]\n", &both[1..]),
        Vec::<String>::new()
    );
}
