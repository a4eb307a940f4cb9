//! `check --online`: each fault of the services is told with its cure, and nothing is made or changed.

use std::os::unix::fs::PermissionsExt as _;

use chrono::TimeDelta;
use meetbridge::simulator::{
    CLIENT_ID, Effect, Endpoint, Fault, FilterMiss, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN,
    ORGANIZER_WITHOUT_POLICY, Policy, Refused, Scripted, Settings, TENANT, TENANT_DOMAIN, Times,
    TokenForm,
};
use serde_json::json;

use super::support::{Ended, Setup, TEAM, World, calendar, contents, event, single, wait_until};
use crate::caldav::fake::{Access, Act, Fake, Quirks};
use crate::feed::web::{Seen, Web, answer};

const UNKNOWN: &str = "aaaaaaaa-bbbb-4ccc-8ddd-00000000dead";

fn check(world: &World) -> Ended {
    world.run(&["check", "--online"])
}

fn with(organizer: &str, change: impl FnOnce(&mut Settings)) -> World {
    let world = World::with(change);
    world.configure(&Setup {
        organizer,
        ..Setup::default()
    });
    world
}

/// Asserts that stdout holds each of these as a whole line, apart from indentation.
#[track_caller]
fn pastes(ended: &Ended, lines: &[String]) {
    for line in lines {
        let is_there = ended.out.lines().any(|found| found.trim() == line);
        assert!(is_there, "stdout lacks the line `{line}`: {ended}");
    }
}

/// Asserts that there are no findings.
#[track_caller]
fn is_well(ended: &Ended) {
    ended
        .says(0, &[])
        .shows(&["config.toml: in order; calendars enabled: "]);
    for kind in ["error: ", "warning: "] {
        assert!(!ended.out.contains(kind), "{ended}");
    }
}

fn forbidden(message: &str) -> Effect {
    Effect::Answer(Scripted {
        status: 403,
        body: Some(json!({"error": {"code": "Forbidden", "message": message}})),
        retry_after: None,
    })
}

#[test]
fn all_is_well_and_nothing_is_made() {
    let world = World::new();
    world.put("one.ics", &single("one@example.org"));
    let before = contents(&world.path("team"));
    let ended = check(&world);
    is_well(&ended);
    ended.shows(&[
        &format!("ok: token: Entra gives one; tenant: {TENANT}; permissions: OnlineMeetings.ReadWrite.All"),
        "ok: clock: this machine's agrees with theirs",
        &format!("ok: organizer {ORGANIZER} (calendars: team): Graph lets meetbridge act"),
        &format!("note: organizer {ORGANIZER} (calendars: team): whether they have a Teams licence"),
    ]);
    assert_eq!(contents(&world.path("team")), before);
    assert!(!world.path("state").exists(), "no state is begun");
    let snapshot = world.snapshot();
    assert!(snapshot.meetings.is_empty());
    assert_eq!(snapshot.requests(Endpoint::Token), 1);
    assert_eq!(snapshot.requests(Endpoint::Filter), 1);
    for endpoint in [
        Endpoint::CreateOrGet,
        Endpoint::Create,
        Endpoint::Patch,
        Endpoint::Delete,
    ] {
        assert_eq!(snapshot.requests(endpoint), 0, "{endpoint:?}");
    }
    // Without the option no network is touched.
    world.run(&["check"]).says(0, &[]);
    assert_eq!(world.snapshot().requests(Endpoint::Token), 1);
}

#[test]
fn a_wrong_secret_is_told_with_its_cure_and_nobody_else_is_asked() {
    let world = World::new();
    std::fs::write(world.path("graph-secret"), "another-secret").unwrap();
    let ended = check(&world);
    ended.says(1, &[]).shows(&[
        "error: Entra gives no token (HTTP 401, invalid_client, AADSTS7000215): the client secret is \
         wrong\n  hint: put the secret's value, not its id, into ",
        "note: without a token nothing is known of the organizers: 1",
        "config.toml: errors: 1",
    ]);
    assert_eq!(world.snapshot().requests(Endpoint::Filter), 0);
}

#[test]
fn a_missing_permission_is_told_with_the_page_to_consent_on() {
    for roles in [&[] as &[&str], &["OnlineMeetings.Read.All"]] {
        let world = World::with(|settings| {
            settings.app.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        });
        let ended = check(&world);
        ended.says(1, &[]).shows(&[
            "error: the token lacks the permission OnlineMeetings.ReadWrite.All",
            "API permissions, Add a permission, Microsoft Graph, Application permissions, \
             OnlineMeetings.ReadWrite.All",
        ]);
        let base = world.simulator.authority_url();
        let page = format!("{base}/{TENANT}/adminconsent?client_id={CLIENT_ID}");
        pastes(&ended, &[page]);
        let refused = ended.out.contains("Graph forbids meetings");
        assert_eq!(refused, roles.is_empty(), "{ended}");
    }
}

#[test]
fn a_token_of_another_tenant_is_told() {
    let other = "99999999-2222-3333-4444-555555555555";
    let world = World::with(|settings| settings.token_form = TokenForm::OfTenant(other.into()));
    check(&world).says(1, &[]).shows(&[&format!(
        "error: the token is of tenant {other}, and `tenant` is {TENANT}"
    )]);
    // A domain name may be of any tenant.
    let world = World::new();
    world.reconfigure(
        &format!("tenant = \"{TENANT}\""),
        &format!("tenant = \"{TENANT_DOMAIN}\""),
    );
    let ended = check(&world);
    is_well(&ended);
    ended.shows(&[&format!("tenant: {TENANT}; ")]);
}

#[test]
fn a_token_that_is_no_jwt_is_no_fault() {
    let world = World::with(|settings| settings.token_form = TokenForm::Opaque);
    let ended = check(&world);
    is_well(&ended);
    ended.shows(&[
        "ok: token: Entra gives one; it cannot be looked into",
        "ok: organizer ",
    ]);
}

#[test]
fn a_clock_that_is_off_is_told() {
    for (seconds, code, said) in [
        (30, 0, "ok: clock: "),
        (-30, 0, "ok: clock: "),
        (120, 0, "warning: clock: this machine's is 1"),
        (-120, 0, "warning: clock: this machine's is 1"),
        (1200, 1, "error: clock: this machine's is 1"),
        (-1200, 1, "error: clock: this machine's is 1"),
    ] {
        let world = World::with(|settings| settings.skew = TimeDelta::seconds(seconds));
        let ended = check(&world);
        ended.says(code, &[]).shows(&[said]);
        if said.starts_with("ok") {
            continue;
        }
        ended.shows(&[match seconds > 0 {
            true => " s behind that of ",
            false => " s ahead of that of ",
        }]);
        pastes(
            &ended,
            &[
                "sudo timedatectl set-ntp true".to_owned(),
                "sudo chronyc makestep".to_owned(),
            ],
        );
    }
}

#[test]
fn a_missing_access_policy_is_told_with_the_commands_for_each_organizer() {
    for form in [Refused::Forbidden, Refused::General, Refused::Unauthorized] {
        let world = with(ORGANIZER_WITHOUT_POLICY, |settings| {
            settings.organizers[1].policy = Policy::Missing(form);
            settings.organizers[2].policy = Policy::Missing(form);
        });
        let more = format!(
            "{TEAM}[[calendar.directory]]\nname = \"sales\"\npath = \"HOME/sales\"\n\
             organizer = \"{ORGANIZER_WITHOUT_DIAL_IN}\"\n\
             [[calendar.directory]]\nname = \"off\"\npath = \"HOME/off\"\norganizer = \"{UNKNOWN}\"\n\
             enabled = false\n\
             [meeting.organizers]\n\"bob@example.org\" = \"{ORGANIZER}\"\n"
        );
        std::fs::create_dir(world.path("sales")).unwrap();
        world.configure(&Setup {
            organizer: ORGANIZER_WITHOUT_POLICY,
            rest: &more,
            ..Setup::default()
        });
        let ended = check(&world);
        let refused = |organizer: &str, calendar: &str| {
            format!(
                "error: organizer {organizer} (calendars: {calendar}): Teams has no application \
                 access policy for this app (HTTP 403"
            )
        };
        ended.says(1, &[]).shows(&[
            &refused(ORGANIZER_WITHOUT_POLICY, "team"),
            &refused(ORGANIZER_WITHOUT_DIAL_IN, "sales"),
            &format!("ok: organizer {ORGANIZER} (calendars: team, sales): "),
            "up to 30 minutes",
            "errors: 2",
        ]);
        assert!(!ended.out.contains(UNKNOWN), "not enabled: {ended}");
        let grant = |organizer: &str| {
            format!(
                "Grant-CsApplicationAccessPolicy -PolicyName \"Meeting-Bridge\" -Identity \
                 \"{organizer}\""
            )
        };
        let made = format!(
            "New-CsApplicationAccessPolicy -Identity \"Meeting-Bridge\" -AppIds \"{CLIENT_ID}\" \
             -Description \"meetbridge\""
        );
        pastes(
            &ended,
            &[
                "Connect-MicrosoftTeams".to_owned(),
                made.clone(),
                grant(ORGANIZER_WITHOUT_POLICY),
                grant(ORGANIZER_WITHOUT_DIAL_IN),
            ],
        );
        assert_eq!(ended.out.matches(&made).count(), 1, "{ended}");
        assert_eq!(world.snapshot().requests(Endpoint::Filter), 3, "each once");
    }
}

#[test]
fn another_refusal_names_permission_licence_and_guests() {
    let world = World::new();
    let effect = forbidden("The user has no license for Teams.");
    world
        .simulator
        .script(Fault::next(Endpoint::Filter, effect).times(Times::Forever));
    check(&world).says(1, &[]).shows(&[
        "Graph forbids meetings (HTTP 403, Forbidden)",
        "OnlineMeetings.ReadWrite.All",
        "Teams licence",
        "guest",
    ]);
}

#[test]
fn an_unknown_organizer_is_told_from_a_meeting_that_is_not_there() {
    let look_up = "az ad user show --id ADDRESS --query id".to_owned();
    let world = with(UNKNOWN, |_| {});
    let ended = check(&world);
    ended.says(1, &[]).shows(&[&format!(
        "error: organizer {UNKNOWN} (calendars: team): Graph finds no such user (HTTP 404"
    )]);
    pastes(&ended, std::slice::from_ref(&look_up));

    // 404 may also be said of the meeting; the directory knows better.
    let miss = |settings: &mut Settings| settings.manners.filter_miss = FilterMiss::NotFound;
    is_well(&check(&World::with(miss)));

    // It may not be asked by everybody.
    let world = World::with(|settings| {
        miss(settings);
        settings.app.roles = vec!["OnlineMeetings.ReadWrite.All".to_owned()];
    });
    let ended = check(&world);
    ended.says(0, &[]).shows(&[
        &format!("warning: organizer {ORGANIZER} (calendars: team): Graph finds nothing there"),
        "User.Read.All",
    ]);
    pastes(&ended, &[look_up]);
}

#[test]
fn throttling_is_obeyed_and_told() {
    let world = World::new();
    world
        .simulator
        .script(Fault::next(Endpoint::Filter, Effect::throttled(600)).times(Times::Forever));
    check(&world)
        .says(0, &[])
        .shows(&["warning: Graph asks to wait until ", "(organizers: "]);
    let asked = || world.snapshot().requests(Endpoint::Filter);
    assert_eq!(asked(), 1);

    // A window that is stored holds for a check, too.
    world.simulator.reset();
    world
        .simulator
        .script(Fault::next(Endpoint::CreateOrGet, Effect::throttled(600)));
    world.put("one.ics", &single("one@example.org"));
    world.run(&["sync"]).says(1, &[]);
    check(&world)
        .says(0, &[])
        .shows(&["warning: Graph asks to wait until "]);
    assert_eq!(asked(), 0);
}

#[test]
fn a_service_in_trouble_is_told_once_for_all_organizers() {
    let world = World::new();
    let rest = format!(
        "{TEAM}[meeting.organizers]\n\"bob@example.org\" = \"{ORGANIZER_WITHOUT_DIAL_IN}\"\n"
    );
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });
    world
        .simulator
        .script(Fault::next(Endpoint::Filter, Effect::status(302)).times(Times::Forever));
    let ended = check(&world);
    ended.says(1, &[]).shows(&[&format!(
        "which is not followed (organizers: {ORGANIZER}, {ORGANIZER_WITHOUT_DIAL_IN})\n  hint: check \
         `graph-url`"
    )]);
    assert_eq!(ended.out.matches("HTTP 302").count(), 1, "{ended}");
}

#[test]
fn a_question_that_is_not_taken_is_no_fault_and_a_known_meeting_settles_it() {
    for status in [400, 404] {
        let world = World::with(|settings| {
            settings.app.roles = vec!["OnlineMeetings.ReadWrite.All".to_owned()];
        });
        world.put("one.ics", &single("one@example.org"));
        world
            .simulator
            .script(Fault::next(Endpoint::Filter, Effect::status(status)).times(Times::Forever));
        check(&world)
            .says(0, &[])
            .shows(&["warning: organizer ", &format!("(HTTP {status}, ")]);
        world.sync();
        let ended = check(&world);
        is_well(&ended);
        ended.shows(&["ok: organizer ", "meetings have dial-in data"]);
    }
}

#[test]
fn a_known_meeting_shows_whether_there_is_dial_in() {
    for (organizer, line) in [
        (
            ORGANIZER,
            "ok: organizer ID (calendars: team): meetings have dial-in data",
        ),
        (
            ORGANIZER_WITHOUT_DIAL_IN,
            "note: organizer ID (calendars: team): meetings have no dial-in data\n  hint: events show \
             none until the organizer has a Teams audio conferencing licence",
        ),
    ] {
        let world = with(organizer, |_| {});
        world.put("one.ics", &single("one@example.org"));
        world.sync();
        let made = world.snapshot().meetings.len();
        let ended = check(&world);
        is_well(&ended);
        ended.shows(&[&line.replace("ID", organizer)]);
        assert_eq!(world.snapshot().meetings.len(), made);
        assert_eq!(world.snapshot().requests(Endpoint::Get), 1);

        // Nobody asks where nothing of it is shown.
        world.configure(&Setup {
            organizer,
            meeting: "show = [\"meeting-id\"]\n",
            ..Setup::default()
        });
        let ended = check(&world);
        is_well(&ended);
        assert!(!ended.out.contains("dial-in"), "{ended}");
        assert_eq!(world.snapshot().requests(Endpoint::Get), 1);
    }
}

#[test]
fn a_known_meeting_is_found_by_its_url_and_one_that_is_gone_tells_nothing() {
    let world = World::new();
    world.put("one.ics", &single("one@example.org"));
    world.sync();
    // What is left of a lost state is the URL in the event.
    std::fs::remove_dir_all(world.path("state")).unwrap();
    world.sync();
    let ended = check(&world);
    is_well(&ended);
    ended.shows(&["meetings have dial-in data"]);
    assert_eq!(world.snapshot().requests(Endpoint::Get), 0);
    assert_eq!(world.snapshot().requests(Endpoint::Filter), 2);

    world.simulator.reset();
    let ended = check(&world);
    is_well(&ended);
    ended.shows(&["is not known before a meeting is made"]);
}

#[test]
fn a_graph_that_cannot_be_reached_is_told() {
    let world = World::new();
    // A port that was free a moment ago: nothing listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    world.reconfigure(
        &format!("authority-url = \"{}\"", world.simulator.authority_url()),
        &format!("authority-url = \"http://{free}\""),
    );
    check(&world).says(1, &[]).shows(&[
        &format!("error: cannot reach {free}: Connection refused"),
        "\n  hint: check the network, the proxy",
        "note: without a token nothing is known of the organizers: 1",
    ]);
}

#[test]
fn it_runs_beside_a_daemon() {
    let world = World::new();
    world.put("one.ics", &single("one@example.org"));
    let mut daemon = world.start(&["run"]);
    daemon.wait_log("daemon.ready");
    wait_until("the link", || world.is_linked("one.ics", "one@example.org"));
    let ended = check(&world);
    is_well(&ended);
    ended.shows(&["meetings have dial-in data"]);
    daemon.terminate().says(0, &[]);
}

/// Alice's account on the fake server.
fn account(fake: &Fake, password: &str, more: &str) -> World {
    let world = World::new();
    let file = world.path("alice-password");
    std::fs::write(&file, password).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let table = format!(
        "[[calendar.caldav]]\nname = \"alice\"\nurl = \"{}\"\nusername = \"alice\"\n\
         password-file = \"HOME/alice-password\"\n{more}",
        fake.url(),
    );
    world.configure(&Setup {
        rest: &table,
        ..Setup::default()
    });
    world
}

#[test]
fn each_calendar_of_an_account_is_reached_and_its_privileges_are_told() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fake = runtime.block_on(Fake::start(Quirks::default()));
    fake.put("alice/work", "a.ics", single("a@x"));
    fake.calendar("alice/read");
    fake.access("alice/read", Access::Read);
    let world = account(&fake, "alice-secret", "");
    let before = fake.etag("alice/work", "a.ics");
    check(&world).says(1, &[]).shows(&[
        "ok: calendar alice/work: reached, and may be written",
        "error: calendar alice/read: the account may not change its events\n  hint: let its owner",
        "errors: 1",
    ]);
    assert_eq!(fake.etag("alice/work", "a.ics"), before);
    let reads = ["PROPFIND", "OPTIONS", "REPORT", "GET", "HEAD"];
    for seen in fake.requests() {
        assert!(reads.contains(&seen.method.as_str()), "{seen:?}");
    }

    let world = account(&fake, "alice-secret", "collections = [\"work\"]\n");
    is_well(&check(&world));
    let world = account(
        &fake,
        "alice-secret",
        "collections = [\"nope\", \"work\", \"neither\"]\n",
    );
    check(&world).says(1, &[]).shows(&[
        "ok: calendar alice/work: ",
        "no calendar there is named \"nope\"\n  hint: correct `collections`",
        "no calendar there is named \"neither\"",
    ]);
}

#[test]
fn an_account_that_is_not_let_in_is_told_beside_the_rest() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fake = runtime.block_on(Fake::start(Quirks::default()));
    let world = account(&fake, "wrong", TEAM);
    let ended = check(&world);
    ended.says(1, &[]).shows(&[
        "error: calendar alice: ",
        "user's name or password",
        "ok: organizer ",
        "errors: 1",
    ]);
    fake.fault(crate::caldav::fake::Fault::new(Act::status(502)).always());
    let world = account(&fake, "alice-secret", TEAM);
    check(&world)
        .says(1, &[])
        .shows(&["error: calendar alice: ", "502"]);
}

/// A configuration with a feed whose table has this line, too.
fn with_feed(web: &Web, line: &str) -> World {
    let world = World::new();
    let rest = format!(
        "[[calendar.feed]]\nname = \"events\"\nurl = \"{}\"\nlobby = \"organization\"\n{line}\n",
        web.url()
    );
    world.configure(&Setup {
        rest: &rest,
        ..Setup::default()
    });
    world
}

#[test]
fn a_feed_is_fetched_once_and_its_place_is_asked_and_nothing_is_written() {
    let web = Web::start();
    web.serve(calendar(&[event("one@x", 30), event("two@x", 40)]));
    let target = Web::start();
    let answers = |status, allow: &'static str| {
        move |seen: &Seen| match seen.method.as_str() {
            "OPTIONS" => Some(answer(200, &[allow], b"")),
            "HEAD" => Some(answer(status, &[], b"")),
            _ => None,
        }
    };
    let publish = format!(
        "publish-url = \"{}\"",
        target.url().replace("?key=GEHEIM", "")
    );
    let fetched = "calendar events: fetched; a calendar of ";
    let told = [
        (
            404,
            "allow: OPTIONS, PUT",
            "ok: calendar events: `publish-url`: reached, and takes PUT",
        ),
        (200, "x-other: y", "does not tell whether it takes PUT"),
        (200, "allow: GET, HEAD", "takes no PUT there"),
        (403, "allow: PUT", "the right to write"),
    ];
    for (status, allow, words) in told {
        target.script(answers(status, allow));
        let world = with_feed(&web, &publish);
        let checked = check(&world);
        checked.says(i32::from(!words.contains("takes PUT")), &[]);
        checked.shows(&[fetched, "bytes, events: 2", words]);
        assert!(!checked.out.contains("GEHEIM"), "{checked}");
        assert!(target.take().iter().all(|seen| seen.method != "PUT"));
        let gets = web.take();
        assert_eq!(gets.len(), 1);
        assert!(target.holds().is_none() && !world.path("state").exists());
    }

    // The feed's own address.
    web.script(answers(200, "allow: GET, PUT"));
    let world = with_feed(&web, "writable = true");
    check(&world)
        .says(0, &[])
        .shows(&[fetched, "`writable`: reached, and takes PUT"]);
    web.untagged();
    check(&world).says(1, &[]).shows(&["no strong ETag"]);
    // No calendar.
    web.script(|_| Some(answer(200, &["content-type: text/html"], b"<html>Sign in")));
    let world = with_feed(&web, "publish-file = \"HOME/out.ics\"");
    check(&world).says(1, &[]).shows(&[
        "error: calendar events at 127.0.0.1:",
        "login page",
        "hint: set `username`",
    ]);
    assert!(!world.path("out.ics").exists());
}
