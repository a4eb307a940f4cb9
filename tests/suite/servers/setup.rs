//! The harness itself: the environment is made once, the servers come and go, the client edits.

use std::fs;
use std::path::PathBuf;

use super::event;
use super::harness::python::environment;
use super::harness::{ALICE, BOB, Client, Kind, Raw, Server, User};

/// Stands in for Python: counts its calls in `calls`, and fails in the way that `fault` names.
const FAKE: &str = r##"
echo "$*" >> "$HERE/calls"
fault=$(cat "$HERE/fault" 2>/dev/null)
case "$*" in
*"-m venv "*)
    [ "$fault" = venv ] && { echo "ensurepip is not available" >&2; exit 1; }
    for home; do :; done
    mkdir -p "$home/bin"
    { echo "#!/bin/sh"; echo "HERE='$HERE'"; tail -n +2 "$HERE/python.sh"; } > "$home/bin/python"
    chmod +x "$home/bin/python"
    ;;
*"install"*)
    [ "$fault" = pip ] && { echo "no connection" >&2; exit 1; }
    ;;
*)
    echo "3.11"
    ;;
esac
exit 0
"##;

struct Fake {
    home: tempfile::TempDir,
}

impl Fake {
    fn new() -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let set = format!("HERE='{}'", home.path().display());
        fs::write(home.path().join("python.sh"), format!("{set}{FAKE}")).unwrap();
        fs::write(home.path().join("requirements.txt"), "one==1\n").unwrap();
        Self { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn environment(&self) -> Result<PathBuf, String> {
        let script = self.path("python.sh");
        environment(
            &["sh", script.to_str().unwrap()],
            &self.path("requirements.txt"),
            &self.path("under"),
        )
    }

    fn set_fault(&self, fault: &str) {
        fs::write(self.path("fault"), fault).unwrap();
    }

    /// How often something was installed.
    fn installed(&self) -> usize {
        let calls = fs::read_to_string(self.path("calls")).unwrap();
        calls
            .lines()
            .filter(|line| line.contains("--require-hashes"))
            .count()
    }
}

#[test]
fn the_environment_is_made_once_by_whoever_comes_first() {
    let fake = Fake::new();
    std::thread::scope(|scope| {
        let both = [
            scope.spawn(|| fake.environment()),
            scope.spawn(|| fake.environment()),
        ];
        let [one, other] = both.map(|thread| thread.join().unwrap().unwrap());
        assert_eq!(one, other);
        assert!(one.exists());
    });
    assert_eq!(fake.installed(), 1);
    fake.environment().unwrap();
    assert_eq!(fake.installed(), 1);
}

#[test]
fn another_list_has_another_environment() {
    let fake = Fake::new();
    let one = fake.environment().unwrap();
    fs::write(fake.path("requirements.txt"), "one==2\n").unwrap();
    assert_ne!(fake.environment().unwrap(), one);
    assert_eq!(fake.installed(), 2);
}

#[test]
fn an_environment_that_is_not_complete_is_made_again_and_what_is_missing_is_said() {
    let fake = Fake::new();
    fake.set_fault("venv");
    let error = fake.environment().unwrap_err();
    assert!(error.contains("apt-get install python3-venv"), "{error}");
    assert!(error.contains("ensurepip is not available"), "{error}");
    fake.set_fault("pip");
    let error = fake.environment().unwrap_err();
    assert!(error.contains("needs the network once"), "{error}");
    fake.set_fault("");
    fake.environment().unwrap();
    assert_eq!(fake.installed(), 2);
}

#[test]
fn no_python_is_a_failure_that_says_what_to_install() {
    let fake = Fake::new();
    let (requirements, under) = (fake.path("requirements.txt"), fake.path("under"));
    let error = environment(&["python3-that-is-not-there"], &requirements, &under).unwrap_err();
    assert!(
        error.contains("apt-get install python3 python3-venv"),
        "{error}"
    );
}

#[test]
fn every_package_is_pinned_with_hashes_and_no_host_is_named() {
    let list = include_str!("../../servers/requirements.txt");
    for package in list.split("\n").filter(|line| line.contains("==")) {
        assert!(package.ends_with(" \\"), "{package} has no hash");
    }
    for named in ["radicale==3.9.0 ", "xandikos==0.4.10 ", "caldav==3.6.0 "] {
        assert!(list.contains(named), "{named}");
    }
    assert!(!list.contains("://") && !list.contains("--index-url"));
}

#[test]
fn a_server_ends_when_its_owner_lets_go_of_it() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let process = PathBuf::from(format!("/proc/{}", server.id()));
        assert!(process.exists());
        drop(server);
        assert!(!process.exists(), "{}", kind.name());
    }
}

#[tokio::test]
async fn each_user_has_calendars_that_nobody_else_sees() {
    for kind in Kind::ALL {
        let server = kind.shared();
        let (alice, bob) = (Raw::new(ALICE), Raw::new(BOB));
        let url = alice.make_calendar(server, "setup-users", "Setup").await;
        let place = format!("{url}a.ics");
        alice.put(&place, event("a@setup")).await;
        assert!(alice.get(&place).await.is_some());

        let answer = bob.request("GET", &place).send().await.unwrap();
        assert!(!answer.status().is_success(), "{}", kind.name());
        let stranger = Raw::new(User {
            password: "wrong",
            ..ALICE
        });
        let status = stranger
            .request("GET", &place)
            .send()
            .await
            .unwrap()
            .status();
        assert_eq!(status, 401, "{}", kind.name());
    }
}

#[test]
fn the_python_client_does_what_a_person_does() {
    for kind in Kind::ALL {
        let server = kind.shared();
        let mut alice = Client::new(server, ALICE);
        let made = alice.must(&["make-calendar", "Python"]);
        let url = made["url"].as_str().unwrap();
        let listed = alice.must(&["calendars"]);
        let listed = listed.as_array().unwrap();
        assert!(
            listed
                .iter()
                .any(|c| c["name"] == "Python" && c["url"] == url)
        );

        let (uid, start) = ("a@python", "2027-03-02T10:00:00");
        let berlin = ["--start", start, "--zone", "Europe/Berlin"];
        let guest = ["--attendee", "guest@example.org", "--description", "Agenda"];
        alice.must(&[&["create", url, uid], &berlin[..], &guest[..]].concat());
        alice.must(&["retext", url, uid, "Agenda", "Programme"]);
        alice.must(&["move", url, uid, "2027-03-02T12:00:00Z"]);
        alice.must(&["rename", url, uid, "Renamed"]);
        alice.must(&["repeat", url, uid, "FREQ=WEEKLY;COUNT=4"]);
        let later = ["--start", "2027-03-09T15:00:00Z", "--summary", "Later"];
        alice.must(&[&["override", url, uid, "2027-03-09T12:00:00Z"], &later[..]].concat());

        let shown = alice.must(&["show", url, uid]);
        let events = shown["events"].as_array().unwrap();
        let has = |n: usize, line: &str| {
            let lines = events[n]["properties"].as_array().unwrap();
            assert!(
                lines.iter().any(|l| l == line),
                "{} {n} lacks {line}: {shown}",
                kind.name()
            );
        };
        assert_eq!(events.len(), 2, "{}", kind.name());
        has(0, "SUMMARY:Renamed");
        has(0, "DESCRIPTION:Programme");
        has(0, "DTSTART;TZID=Europe/Berlin:20270302T130000");
        has(0, "DTEND;TZID=Europe/Berlin:20270302T140000");
        has(0, "RRULE:FREQ=WEEKLY;COUNT=4");
        has(0, "ATTENDEE:mailto:guest@example.org");
        has(1, "RECURRENCE-ID;TZID=Europe/Berlin:20270309T130000");
        has(1, "DTSTART;TZID=Europe/Berlin:20270309T160000");
        has(1, "SUMMARY:Later");

        alice.must(&["cancel", url, uid]);
        let shown = alice.must(&["show", url, uid]);
        assert!(shown["ics"].as_str().unwrap().contains("STATUS:CANCELLED"));
        alice.must(&["delete", url, uid]);
        assert_eq!(alice.must(&["list", url]), serde_json::json!([]));
        let error = alice.ask(&["show", url, uid]).unwrap_err();
        assert!(error.contains("not found"), "{error}");
    }
}
