//! The configuration as a file, and the offline checks of what it names.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeZone as _, Utc};
use meetbridge::config::check::{Severity, check};
use meetbridge::config::{Config, Faults, Machine};
use meetbridge::meeting::graph::{CertificateAlgorithm, SignIn};
use meetbridge::secret::SecretSource;

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 1, 8, 0, 0).unwrap()
}

fn machine() -> Machine {
    Machine {
        config: None,
        state_directory: Some(PathBuf::from("/nowhere")),
        time_zone: Some("Europe/Berlin".to_owned()),
    }
}

/// A directory in which all that [`World::config`] names is in order.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        for (folder, mode) in [("state", 0o700), ("team", 0o755), ("other", 0o755)] {
            fs::create_dir(world.path(folder)).unwrap();
            world.mode(folder, mode);
        }
        for (file, mode) in [("secret", 0o600), ("other/alice.ics", 0o644)] {
            fs::write(world.path(file), "x").unwrap();
            world.mode(file, mode);
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Everything of the world that is named, with its mode and content.
    fn snapshot(&self) -> Vec<(PathBuf, u32, Option<Vec<u8>>)> {
        let mut all = Vec::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path.clone());
                }
                all.push((path.clone(), mode, fs::read(&path).ok()));
            }
        }
        all.sort();
        all
    }

    fn config(&self, more: &str) -> Config {
        self.load(more).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn load(&self, more: &str) -> Result<Config, Faults> {
        let text = format!(
            r#"
            [state]
            directory = "ROOT/state"
            [graph]
            tenant = "contoso.onmicrosoft.com"
            client-id = "00000000-0000-0000-0000-000000000000"
            client-secret-file = "ROOT/secret"
            [meeting]
            organizer = "11111111-1111-1111-1111-111111111111"
            [[calendar.directory]]
            name = "team"
            path = "ROOT/team"
            [[calendar.file]]
            name = "alice"
            path = "ROOT/other/alice.ics"
            {more}
            "#
        );
        let text = text.replace("ROOT", self.0.path().to_str().unwrap());
        let file = self.path("config.toml");
        fs::write(&file, text).unwrap();
        Config::load(&file, &machine())
    }

    /// What the check finds; it must leave everything as it is.
    fn findings(&self, more: &str) -> Vec<(Severity, String)> {
        let config = self.config(more);
        let before = self.snapshot();
        let found = check(&config, now());
        assert_eq!(self.snapshot(), before, "a check changes nothing");
        assert!(found.iter().all(|finding| !finding.hint.is_empty()));
        let root = format!("{}/", self.0.path().display());
        let what = found
            .into_iter()
            .map(|f| (f.severity, f.what.replace(&root, "")));
        what.collect()
    }
}

#[test]
fn what_is_in_order_gives_no_finding() {
    assert_eq!(World::new().findings(""), []);
}

#[test]
fn a_certificate_is_looked_into() {
    let good = include_str!("simulator/keys/registered.certificate.pem");
    let key = include_str!("simulator/keys/registered.key.pem");
    let stranger = include_str!("simulator/keys/stranger.key.pem");
    let far = Utc.with_ymd_and_hms(2200, 1, 1, 0, 0, 0).unwrap();
    let near = Utc.with_ymd_and_hms(2126, 10, 25, 0, 0, 0).unwrap();
    type Case<'a> = (&'a str, &'a str, DateTime<Utc>, &'a [(Severity, &'a str)]);
    let cases: [Case<'_>; 6] = [
        (good, key, now(), &[]),
        (
            good,
            key,
            near,
            &[(
                Severity::Warning,
                "cert: the certificate expires on 2126-10-30",
            )],
        ),
        (
            good,
            key,
            far,
            &[(
                Severity::Error,
                "cert: the certificate expired on 2126-10-30",
            )],
        ),
        (
            good,
            stranger,
            now(),
            &[(Severity::Error, "cert: the private key does not belong")],
        ),
        (
            "junk",
            key,
            now(),
            &[(Severity::Error, "cert: there is no certificate")],
        ),
        (
            good,
            "",
            now(),
            &[(Severity::Error, "the certificate's key key is empty")],
        ),
    ];
    for (certificate, key, now, expected) in cases {
        let world = World::new();
        fs::write(world.path("cert"), certificate).unwrap();
        fs::write(world.path("key"), key).unwrap();
        world.mode("key", 0o600);
        let mut config = world.config("");
        config.graph.sign_in = SignIn::Certificate {
            certificate: SecretSource::File(world.path("cert")),
            key: Some(SecretSource::File(world.path("key"))),
            algorithm: CertificateAlgorithm::Ps256,
        };
        let root = format!("{}/", world.0.path().display());
        let found = check(&config, now);
        let found: Vec<_> = found
            .iter()
            .map(|f| (f.severity, f.what.replace(&root, "")))
            .collect();
        let as_expected = found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.0 == expected.0 && found.1.starts_with(expected.1));
        assert!(as_expected && found.len() == expected.len(), "{found:?}");
    }
}

#[test]
fn a_person_is_to_be_signed_in_and_to_be_the_organizer() {
    const USER: &str = "22222222-2222-2222-2222-222222222222";
    let world = World::new();
    let mut config = world.config("");
    let directory = world.path("state/tokens");
    config.graph.sign_in = SignIn::DeviceCode {
        directory: directory.clone(),
    };
    let found = |config: &Config| {
        let found = check(config, now());
        assert!(found.iter().all(|f| f.severity == Severity::Error));
        let text = |f: meetbridge::config::check::Finding| format!("{}: {}", f.what, f.hint);
        found.into_iter().map(text).collect::<Vec<_>>()
    };
    let nobody = found(&config);
    assert_eq!(nobody.len(), 1);
    assert!(nobody[0].contains("run `meetbridge login`"), "{nobody:?}");

    fs::create_dir(&directory).unwrap();
    for text in [
        "{}".to_owned(),
        format!(r#"{{"account": "other", "user": "{USER}", "refresh_token": "t"}}"#),
    ] {
        fs::write(directory.join("graph.signed-in.json"), text).unwrap();
        let found = found(&config);
        assert!(found[0].contains("`meetbridge login`"), "{found:?}");
    }
}

#[test]
fn what_is_not_in_order_is_found() {
    type Change = fn(&World);
    let remove = |world: &World, name: &str| match world.path(name).is_dir() {
        true => fs::remove_dir_all(world.path(name)).unwrap(),
        false => fs::remove_file(world.path(name)).unwrap(),
    };
    let cases: [(Change, Severity, &str); 12] = [
        (
            |w| w.mode("state", 0o750),
            Severity::Warning,
            "the state directory state has mode 0750",
        ),
        (
            |w| fs::write(w.path("secret"), "").unwrap(),
            Severity::Error,
            "the client secret's file secret is empty",
        ),
        (
            |w| fs::write(w.path("secret"), "x".repeat(70_000)).unwrap(),
            Severity::Error,
            "the client secret's file secret is larger",
        ),
        (
            |w| w.replace_by_file("team"),
            Severity::Error,
            "calendar team: the directory team is not a directory",
        ),
        (
            |w| w.replace_by_file("state"),
            Severity::Error,
            "the state directory state is not a directory",
        ),
        (
            |w| w.replace_by_folder("secret"),
            Severity::Error,
            "the client secret's file secret is not a regular file",
        ),
        (
            |w| w.replace_by_folder("other/alice.ics"),
            Severity::Error,
            "calendar alice: the file other/alice.ics is not a regular file",
        ),
        (
            |w| w.remove("secret"),
            Severity::Error,
            "the client secret's file secret is not there",
        ),
        (
            |w| w.remove("team"),
            Severity::Error,
            "calendar team: the directory team is not there",
        ),
        (
            |w| w.remove("other"),
            Severity::Error,
            "calendar alice: the file other/alice.ics is not there",
        ),
        (
            |w| w.overlap_by_link(),
            Severity::Warning,
            "calendars team and alice show the same files",
        ),
        (
            |w| w.dangle("team"),
            Severity::Error,
            "calendar team: the directory team is not there",
        ),
    ];
    for (change, severity, what) in cases {
        let world = World::new();
        change(&world);
        let found = world.findings("");
        let first = found
            .first()
            .unwrap_or_else(|| panic!("nothing found: {what}"));
        assert!(
            first.0 == severity && first.1.starts_with(what),
            "{what}\n{found:?}"
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }
    // A state directory that is not there is made at the start.
    let world = World::new();
    remove(&world, "state");
    assert_eq!(world.findings(""), []);
}

/// An account that names one file of each kind but the bearer token.
const ACCOUNT: &str = r#"
    [[calendar.caldav]]
    name = "cloud"
    url = "https://cloud.example.org/"
    oauth2-token-url = "https://cloud.example.org/token"
    oauth2-client-id = "meetbridge"
    oauth2-client-secret-file = "ROOT/dav-client"
    oauth2-refresh-token-file = "ROOT/dav-token"
    certificate-file = "ROOT/dav-cert"
    key-file = "ROOT/dav-key"
    ca-file = "ROOT/dav-ca"
"#;

#[test]
fn every_file_of_an_account_is_looked_at() {
    let files = [
        (
            "dav-client",
            "calendar cloud: the client secret's file",
            true,
        ),
        (
            "dav-token",
            "calendar cloud: the refresh token's file",
            true,
        ),
        ("dav-cert", "calendar cloud: the client certificate", false),
        ("dav-key", "calendar cloud: the private key", true),
        ("dav-ca", "calendar cloud: the file of certificates", false),
    ];
    let world = World::new();
    let all_there = || {
        for (file, _, private) in files {
            fs::write(world.path(file), "x").unwrap();
            world.mode(file, if private { 0o600 } else { 0o644 });
        }
    };
    all_there();
    assert_eq!(world.findings(ACCOUNT), []);
    for (file, role, private) in files {
        let expect = |severity, rest: &str| {
            let what = format!("{role} {file} {rest}");
            let found = world.findings(ACCOUNT);
            assert!(
                matches!(found.as_slice(), [one] if one.0 == severity && one.1.starts_with(&what)),
                "{what}: {found:?}"
            );
        };
        world.remove(file);
        expect(Severity::Error, "is not there");
        fs::create_dir(world.path(file)).unwrap();
        expect(Severity::Error, "is not a regular file");
        fs::remove_dir(world.path(file)).unwrap();
        all_there();
        if private {
            world.mode(file, 0o604);
            let refused = world.load(ACCOUNT).unwrap_err().to_string();
            assert!(
                refused.contains(&format!("{file} has mode 0604: everybody")),
                "{refused}"
            );
            // A service's group may have to read it.
            world.mode(file, 0o640);
            assert_eq!(world.findings(ACCOUNT), []);
            world.mode(file, 0o600);
            fs::write(world.path(file), "").unwrap();
            expect(Severity::Error, "is empty");
            all_there();
        }
    }
    let disabled = format!("{ACCOUNT}\nenabled = false");
    world.remove("dav-key");
    assert_eq!(world.findings(&disabled), []);
}

#[test]
fn a_password_a_token_and_a_certificate_with_its_key_are_private() {
    let account = "[[calendar.caldav]]\nname = \"cloud\"\nurl = \"https://cloud.example.org/\"\n";
    let ways = [
        (
            "username = \"a\"\npassword-file = \"ROOT/dav\"",
            "password's file",
        ),
        ("bearer-token-file = \"ROOT/dav\"", "bearer token's file"),
        (
            "certificate-file = \"ROOT/dav\"",
            "client certificate with its key",
        ),
    ];
    let world = World::new();
    fs::write(world.path("dav"), "x").unwrap();
    for (way, role) in ways {
        world.mode("dav", 0o644);
        match world.load(&format!("{account}{way}")) {
            Ok(config) => {
                let found = check(&config, now());
                let what = format!("calendar cloud: the {role} ");
                assert!(
                    found.len() == 1
                        && found[0].what.starts_with(&what)
                        && found[0].what.contains("has mode 0644"),
                    "{found:?}"
                );
            }
            // What is nothing but a secret is not even taken.
            Err(faults) => {
                let faults = faults.to_string();
                let hint = format!("chmod 0600 {}", world.path("dav").display());
                assert!(faults.contains("dav has mode 0644"), "{faults}");
                assert!(faults.contains(&hint), "{faults}");
            }
        }
        world.mode("dav", 0o600);
        assert_eq!(world.findings(&format!("{account}{way}")), []);
    }
    let command = format!("{account}bearer-token-command = [\"ROOT/none\"]");
    let found = world.findings(&command);
    assert!(
        found[0].1.starts_with("the program none cannot be run"),
        "{found:?}"
    );
}

impl World {
    fn remove(&self, name: &str) {
        let path = self.path(name);
        match path.is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }

    fn replace_by_file(&self, name: &str) {
        self.remove(name);
        fs::write(self.path(name), "x").unwrap();
    }

    fn replace_by_folder(&self, name: &str) {
        self.remove(name);
        fs::create_dir(self.path(name)).unwrap();
    }

    fn overlap_by_link(&self) {
        self.remove("team");
        symlink(self.path("other"), self.path("team")).unwrap();
    }

    fn dangle(&self, name: &str) {
        self.remove(name);
        symlink(self.path("gone"), self.path(name)).unwrap();
    }
}

#[test]
fn what_may_not_be_used_is_found() {
    if is_root() {
        // Root may do everything: there is nothing to find.
        return;
    }
    for (name, mode) in [
        ("state", 0o500),
        ("secret", 0),
        ("team", 0o500),
        ("other", 0o500),
    ] {
        let world = World::new();
        world.mode(name, mode);
        let found = world.findings("");
        world.mode(name, 0o700);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!(found[0].0, Severity::Error, "{name}");
    }
}

/// Whether a file without any permission can be read.
fn is_root() -> bool {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o000)).unwrap();
    fs::File::open(file.path()).is_ok()
}

#[test]
fn a_calendar_that_is_not_enabled_is_not_looked_at() {
    let world = World::new();
    let more = "[[calendar.file]]\nname = \"x\"\npath = \"/nowhere/x.ics\"\nenabled = false";
    assert_eq!(world.findings(more), []);
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("large"), " ".repeat(1024 * 1024 + 1)).unwrap();
    fs::write(path("bytes"), b"a = 1\n\xff\n").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();
    let cases = [
        ("none", "no such file", "--config"),
        ("", "not a regular file", "--config"),
        ("fifo", "not a regular file", "--config"),
        ("large", "larger than 1 MiB", "--config"),
        ("bytes", "line 2 is not UTF-8", "UTF-8"),
    ];
    for (name, what, hint) in cases {
        let shown = Config::load(&path(name), &machine())
            .unwrap_err()
            .to_string();
        assert!(
            shown.contains(what) && shown.contains(hint),
            "{name}: {shown}"
        );
    }
}

#[test]
fn the_files_in_config_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        Config::load(&path, &machine()).unwrap_or_else(|faults| panic!("{faults}"));
        read += 1;
    }
    assert!(read >= 2);
}

#[test]
fn a_published_feed_is_looked_at() {
    let world = World::new();
    let feed = |more: &str| {
        format!("[[calendar.feed]]\nname = \"events\"\nurl = \"https://x/?k=GEHEIM\"\n{more}\n")
    };
    let file = "publish-file = \"ROOT/team/out.ics\"\n";
    let strangers = |whom: &str| {
        let what =
            format!("calendar events is published with links to meetings whose lobby {whom}");
        (Severity::Warning, what)
    };
    let everybody = strangers("everybody passes by");
    let perhaps = strangers("perhaps everybody passes by (it is not set, so Teams decides)");
    let error = |what: &str| (Severity::Error, format!("calendar events: the {what}"));
    let cases = [
        (format!("{file}lobby = \"invited\""), vec![]),
        (format!("{file}lobby = \"everyone\""), vec![everybody]),
        (file.to_owned(), vec![perhaps]),
        ("writable = true".to_owned(), vec![]),
        (
            "publish-file = \"ROOT/none/out.ics\"\nlobby = \"invited\"".to_owned(),
            vec![error("published file none/out.ics has no directory")],
        ),
        (
            "publish-file = \"ROOT/team\"\nlobby = \"invited\"".to_owned(),
            vec![error("published file team is a directory")],
        ),
        (
            "writable = true\nusername = \"a\"\npassword-file = \"ROOT/none\"".to_owned(),
            vec![error("password's file none is not there")],
        ),
        (
            "publish-url = \"https://y/\"\nlobby = \"invited\"\npublish-bearer-token-file = \"ROOT/none\"".to_owned(),
            vec![error("bearer token's file none is not there")],
        ),
    ];
    for (more, expected) in cases {
        assert_eq!(world.findings(&feed(&more)), expected, "{more}");
    }
}

#[test]
fn the_lobby_that_is_proposed_for_a_published_feed_is_one_that_its_api_takes() {
    let world = World::new();
    for (api, proposed) in [
        (
            "online-meeting",
            "\"organization\", or \"invited\" with participants = \"attendees\",",
        ),
        ("calendar-event", "\"organization\" or \"organizer\","),
    ] {
        let feed = format!(
            "[[calendar.feed]]\nname = \"events\"\nurl = \"https://x/\"\napi = \"{api}\"\n\
             publish-file = \"ROOT/team/out.ics\"\n"
        );
        let found = check(&world.config(&feed), now());
        let hint = found.iter().find(|f| f.what.contains("whose lobby"));
        let hint = &hint.unwrap().hint;
        assert!(hint.contains(&format!("set lobby = {proposed}")), "{hint}");
    }
}

#[test]
fn a_certificate_that_ends_is_told_in_time() {
    let trusting = "[[calendar.caldav]]\nname = \"cloud\"\nurl = \"https://cloud.example.org/\"\n\
                    bearer-token-command = [\"/bin/true\"]\nca-file = \"ROOT/dav\"";
    let account = "[[calendar.caldav]]\nname = \"cloud\"\nurl = \"https://cloud.example.org/\"\n\
                   certificate-file = \"ROOT/dav\"\nkey-file = \"ROOT/dav-key\"";
    let world = World::new();
    let key = rcgen::KeyPair::generate().unwrap();
    for (days, expected) in [
        (31, None),
        (29, Some((Severity::Warning, "expires on "))),
        (-1, Some((Severity::Error, "expired on "))),
    ] {
        let mut params = rcgen::CertificateParams::new([]).unwrap();
        let ends = (now() + chrono::TimeDelta::days(days)).date_naive();
        let day = |date: chrono::NaiveDate| {
            use chrono::Datelike as _;
            rcgen::date_time_ymd(date.year(), date.month() as u8, date.day() as u8)
        };
        params.not_before = day(ends - chrono::TimeDelta::days(300));
        params.not_after = day(ends);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(world.path("dav"), certificate.pem()).unwrap();
        fs::write(world.path("dav-key"), key.serialize_pem()).unwrap();
        world.mode("dav-key", 0o600);
        let found = world.findings(account);
        match expected {
            None => assert_eq!(found, []),
            Some((severity, words)) => {
                let what = format!("calendar cloud: the client certificate dav {words}");
                assert!(
                    matches!(found.as_slice(), [one] if one.0 == severity && one.1.starts_with(&what)),
                    "{what}: {found:?}"
                );
            }
        }
        // An authority's alike, until the last one in the file ends.
        let found = world.findings(trusting);
        match expected {
            None => assert_eq!(found, []),
            Some((severity, words)) => {
                let what = format!("calendar cloud: the file of certificates dav {words}");
                assert!(
                    matches!(found.as_slice(), [one] if one.0 == severity && one.1.starts_with(&what)),
                    "{what}: {found:?}"
                );
            }
        }
        params.not_after = day((now() + chrono::TimeDelta::days(900)).date_naive());
        let later = params.self_signed(&key).unwrap();
        fs::write(world.path("dav"), certificate.pem() + &later.pem()).unwrap();
        assert_eq!(world.findings(trusting), []);
    }
}

#[test]
fn what_an_outlook_event_has_only_by_its_online_meeting_is_noted_once() {
    let world = World::new();
    let mirror = |name: &str, more: &str| {
        format!(
            "[[calendar.directory]]\nname = \"{name}\"\npath = \"ROOT/team-{name}\"\n\
             api = \"calendar-event\"\n{more}\n"
        )
    };
    for name in ["team-a", "team-b"] {
        fs::create_dir(world.path(name)).unwrap();
    }
    let note = |what: &str| {
        let what = format!(
            "with api = \"calendar-event\", these take the online meeting behind it: {what}"
        );
        (Severity::Note, what)
    };
    let numbers = "show = [\"toll-numbers\", \"toll-free-numbers\"]";
    for (a, b, expected) in [
        (numbers, numbers, vec![]),
        (
            numbers,
            "",
            vec![note(
                "show (dialin-url, meeting-id, passcode, video-device-id)",
            )],
        ),
        (
            "show = [\"chat\"]\nchat = \"limited\"",
            "show = [\"options\"]\nlobby-dial-in-bypass = true",
            vec![note("show (chat, options), chat, lobby")],
        ),
        (
            "show = []\npresenters = \"organizer\"",
            "enabled = false",
            vec![note("presenters")],
        ),
    ] {
        let more = [mirror("a", a), mirror("b", b)].concat();
        assert_eq!(world.findings(&more), expected, "{more}");
    }
}
