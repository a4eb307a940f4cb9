//! Nothing secret leaves, whatever goes wrong: all that is secret or personal carries a mark and control
//! characters, every command and the daemon meet it, with Graph and the calendar servers failing in
//! each way, and every output is searched.

use std::cell::RefCell;
use std::os::unix::net::UnixDatagram;

use meetbridge::simulator::{Effect, Endpoint, Fault, Scripted, Times};
use serde_json::json;

use super::support::{Ended, Setup, World, event, single, unfold, wait_until};
use crate::feed::web::{Web, answer};

/// In all that is secret or personal.
const MARK: &str = "xQzGeheim";

/// The mark, with what it stands in and what a terminal must not get.
fn marked(what: &str) -> String {
    format!("{MARK}-{what}\u{1b}[31m\u{7}\u{202e}\u{9b}")
}

/// A calendar whose every text is marked.
fn hostile(uid: &str) -> String {
    let line = |name: &str, what: &str| format!("{name}:{}\r\n", marked(what));
    let lines = [
        line("LOCATION", "location"),
        line("COMMENT", "comment"),
        line("CATEGORIES", "category"),
        line("URL", "url"),
        format!(
            "ATTENDEE;CN=\"{}\":mailto:{MARK}-guest@example.org\r\n",
            marked("name")
        ),
    ];
    single(uid)
        .replace("Zwiebelkuchen", &marked("title"))
        .replace(
            "DESCRIPTION:Agenda",
            &format!("DESCRIPTION:{}", marked("text")),
        )
        .replace("X-KEPT", &format!("{}X-KEPT", lines.concat()))
}

/// Searches what was put out.
#[track_caller]
fn search(what: &str, text: &str) {
    if let Some(at) = text.find(MARK) {
        let end = text[at..]
            .char_indices()
            .nth(60)
            .map_or(text.len(), |(n, _)| at + n);
        panic!("{what}: a secret is shown: {:?}", &text[at..end]);
    }
    let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    if let Some(line) = text.lines().find(|line| line.contains(raw)) {
        panic!("{what}: a control character is shown: {line:?}");
    }
}

fn search_ended(what: &str, ended: &Ended) {
    search(&format!("{what}: stdout"), &ended.out);
    search(&format!("{what}: stderr"), &ended.err);
}

/// Everything that a calendar, a server and a person can do wrong, at once.
struct Trouble {
    world: World,
    web: Web,
    /// Of an event whose UID is not plain.
    uid: String,
    manager: UnixDatagram,
    /// What commands have said on stderr.
    said: RefCell<String>,
}

impl Trouble {
    fn new(format: &str) -> Self {
        let mut world = World::new();
        let web = Web::start();
        let manager = UnixDatagram::bind(world.path("notify")).unwrap();
        manager.set_nonblocking(true).unwrap();
        let notify = world.path("notify");
        world.set("NOTIFY_SOCKET", notify.to_str().unwrap());
        std::fs::create_dir(world.path("www")).unwrap();
        // No control characters: a header could not carry them.
        std::fs::write(world.path("password"), format!("{MARK}-password\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(world.path("password"), mode).unwrap();
        let address = web.url().replace("/feed.ics?key=GEHEIM", "");
        let rest = format!(
            "addresses = [\"{MARK}-me@example.org\"]\n\
             [meeting.organizers]\n\"{MARK}-boss@example.org\" = \"{organizer}\"\n\
             [[calendar.directory]]\nname = \"team\"\npath = \"HOME/team\"\n\
             [[calendar.feed]]\nname = \"feed\"\nurl = \"{address}/a.ics?key={MARK}-query\"\n\
             publish-url = \"{address}/b.ics\"\n\
             publish-username = \"{MARK}-user\"\npublish-password-file = \"HOME/password\"\npoll = \"1s\"\n\
             lobby = \"organization\"\n\
             [[calendar.caldav]]\nname = \"dav\"\nurl = \"{address}/dav/\"\n\
             username = \"{MARK}-user\"\npassword-file = \"HOME/password\"\n\
             [[calendar.caldav]]\nname = \"command\"\nurl = \"{address}/dav/\"\n\
             username = \"{MARK}-user\"\n\
             password-command = [\"/bin/sh\", \"-c\", \"echo {MARK}-output; echo {MARK}-output >&2; exit 3\"]\n\
             [log]\nformat = \"{format}\"\nlevel = \"trace\"\n",
            organizer = meetbridge::simulator::ORGANIZER,
        );
        world.configure(&Setup {
            meeting: "show = [\"meeting-id\", \"passcode\", \"dialin-url\", \"chat\", \"options\"]",
            rest: &rest,
            ..Setup::default()
        });
        let uid = format!("{}@example.org", marked("uid"));
        world.put("hostile.ics", &hostile(&uid));
        world.put("plain.ics", &hostile("plain@example.org"));
        // What is not to be understood.
        let broken = hostile("broken@example.org");
        world.put(
            "time.ics",
            &broken.replace("DTSTART:", "DTSTART;TZID=xQzGeheim-zone:xQzGeheim"),
        );
        world.put(
            "rule.ics",
            &broken.replace("DURATION:PT1H", &format!("RRULE:{}", marked("rule"))),
        );
        world.put(
            "lines.ics",
            &format!("{}\r\n{}", marked("line"), hostile("lines@example.org")),
        );
        world.put("half.ics", &broken.replace("END:VCALENDAR\r\n", ""));
        let two = [event("two@example.org", 24), event("two@example.org", 48)].concat();
        let two = two.replace("Zwiebelkuchen", &marked("twice"));
        world.put("two.ics", &super::support::calendar(&[two]));
        let trouble = Self {
            world,
            web,
            uid,
            manager,
            said: RefCell::default(),
        };
        trouble.servers_answer(401);
        trouble
    }

    /// The calendar servers refuse everything, in words that are hostile.
    fn servers_answer(&self, status: u16) {
        let challenge = format!("www-authenticate: Basic realm=\"{MARK}-realm\"");
        let elsewhere = format!("location: http://{MARK}.example.org/?{MARK}-elsewhere");
        let body = format!(
            "<?xml version=\"1.0\"?><d:error xmlns:d=\"DAV:\"><d:{MARK}/>{}</d:error>",
            marked("body")
        );
        self.web.script(move |_| {
            let headers = [
                challenge.as_str(),
                elsewhere.as_str(),
                "content-type: application/xml",
            ];
            Some(answer(status, &headers, body.as_bytes()))
        });
    }

    /// Graph answers so to the next requests for a meeting or a token.
    fn graph_answers(&self, status: u16) {
        let body = json!({"error": {
            "code": marked("code"),
            "message": marked("message"),
            "innerError": {"request-id": marked("id"), "date": marked("date")},
        }});
        for endpoint in [Endpoint::CreateOrGet, Endpoint::Patch] {
            let scripted = Scripted {
                status,
                body: Some(body.clone()),
                retry_after: None,
            };
            let fault = Fault::next(endpoint, Effect::Answer(scripted));
            self.world.simulator.script(fault.times(Times::N(9)));
        }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let config = self.world.path("config.toml");
        let given = ["--config", config.to_str().unwrap()];
        let ended = self
            .world
            .start_bare(&[&given, arguments].concat())
            .finish();
        search_ended(&format!("{arguments:?}"), &ended);
        self.said.borrow_mut().push_str(&ended.err);
        ended
    }

    /// Runs all that can be run beside a daemon or without one.
    fn run_all(&self) {
        for arguments in [
            &["sync"] as &[&str],
            &["plan"],
            &["plan", "--json"],
            &["plan", "--rewrite"],
            &["plan", "--unlink"],
            &["explain", &self.uid],
            &["explain", "plain@example.org"],
            &["explain", "broken@example.org"],
            &["status"],
            &["status", "--json"],
            &["check"],
            &["check", "--online"],
            &["calendars"],
            &["calendars", "dav"],
            &["login"],
            &["resume", "team"],
            &["resume", "\u{1b}[31m"],
            &["sync", "--calendar", "\u{1b}[31m"],
            &["sync", "--rewrite"],
        ] {
            self.run(arguments);
        }
    }

    /// Searches what the service manager was told; returns it.
    fn told(&self) -> String {
        let (mut all, mut buffer) = (String::new(), [0; 4096]);
        while let Ok(n) = self.manager.recv(&mut buffer) {
            all.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
            all.push('\n');
        }
        search("what systemd is told", &all);
        all
    }
}

/// The daemon through all of it, and every command beside it and without it.
fn nothing_leaks(format: &str) {
    let trouble = Trouble::new(format);
    let world = &trouble.world;
    let checked = trouble.run(&["check"]);
    assert_ne!(checked.code, Some(78), "{checked}");
    for status in [401, 403, 500] {
        trouble.graph_answers(status);
        // Every time, there is a meeting to ask for.
        let name = format!("again-{status}");
        world.put(
            &format!("{name}.ics"),
            &hostile(&format!("{name}@example.org")),
        );
        trouble.servers_answer(status);
        trouble.run_all();
    }
    trouble.servers_answer(302);
    let config = world.path("config.toml");
    let config = config.to_str().unwrap();
    // Until the faults are used up.
    wait_until("a link", || {
        trouble.run(&["sync"]);
        world.get("again-500.ics").contains("X-MEETBRIDGE-MEETING")
    });
    let mut daemon = world.start_bare(&["--config", config, "run"]);
    for what in ["calendar.failing", "account.failing", "resource.unreadable"] {
        daemon.wait_log(what);
    }
    trouble.run_all();
    // A reload that is refused, with a secret where none belongs.
    let good = std::fs::read_to_string(config).unwrap();
    let bad = format!(
        "{good}[[calendar.feed]]\nname = \"bad\"\nurl = \"https://u:{MARK}-userinfo@x/?{MARK}\"\n\
         password = \"{MARK}-inline\"\nbearer-token = \"{MARK}\n"
    );
    for text in [
        bad.replace(&format!("\"{MARK}\n"), &format!("\"{MARK}\"\n")),
        bad,
    ] {
        std::fs::write(config, text).unwrap();
        daemon.hang_up();
        wait_until("the refusal", || daemon.log().contains("config.refused"));
        trouble.run(&["check"]);
        trouble.run(&["run"]);
    }
    std::fs::write(config, good).unwrap();
    let ended = daemon.terminate();
    search_ended("run", &ended);
    let told = trouble.told();
    assert!(
        told.contains("STATUS=") && told.contains("READY=1"),
        "{told}"
    );

    // What was to be hidden was there, and what was to fail has failed.
    for what in ["event.faulty", "graph.credential", "graph.organizer"] {
        assert!(trouble.said.borrow().contains(what), "{what}");
    }
    let linked = unfold(&world.get("plain.ics"));
    assert!(
        linked.contains(MARK) && linked.contains("Passcode:"),
        "{linked}"
    );
    let details = linked.split("\\n").filter_map(|line| line.split_once(": "));
    let secret = ["Passcode", "Meeting ID"];
    let mut details = details.filter(|(label, _)| secret.contains(&label.trim()));
    assert!(
        details.all(|(_, detail)| !ended.err.contains(detail.trim())),
        "{linked}"
    );
    for _ in 0..2 {
        trouble.run(&["unlink", &trouble.uid]);
        trouble.run(&["unlink", "--all", "--end-meetings"]);
    }
}

#[test]
fn nothing_leaks_in_text() {
    nothing_leaks("text");
}

#[test]
fn nothing_leaks_in_json() {
    nothing_leaks("json");
}

#[test]
fn a_wrong_client_secret_is_not_shown() {
    let world = World::new();
    std::fs::write(world.path("graph-secret"), format!("{MARK}-secret")).unwrap();
    world.put("one.ics", &hostile("one@example.org"));
    for arguments in [&["sync"] as &[&str], &["check", "--online"], &["status"]] {
        let ended = world.run(arguments);
        search_ended("a wrong secret", &ended);
    }
    let ended = world.run(&["sync"]);
    ended.says(1, &["graph.credential"]);
}

#[test]
fn the_search_finds_what_it_looks_for() {
    for text in [
        format!("x {MARK}"),
        "\u{1b}[0m".into(),
        "a\u{202e}".into(),
        "\r\n".into(),
    ] {
        let found = std::panic::catch_unwind(|| search("it", &text));
        // A lone CR before LF is a line end to `lines`.
        assert_eq!(found.is_err(), text != "\r\n", "{text:?}");
    }
    assert!(hostile("a").matches(MARK).count() >= 8);
}
