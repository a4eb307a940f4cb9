//! `meetbridge calendars`: what an account offers, before anything is configured.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::support::World;

/// Signs in as alice with the password `hunter2-of-alice`.
const AUTHORIZATION: &str = "authorization: basic ywxpy2u6ahvudgvymi1vzi1hbgljzq==";

/// Answers each request by its line (`PROPFIND /path`) with a body; what is not there is 404, and who
/// is not alice gets 401. Serves until the test's process ends.
fn server(script: &'static [(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || while answer(&stream, script).is_some() {});
        }
    });
    origin
}

fn answer(stream: &TcpStream, script: &[(&str, &str)]) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    reader.read_exact(&mut vec![0; length]).ok()?;
    let request = head
        .rsplit_once(" HTTP/1.1")
        .map_or("", |(request, _)| request);
    let found = script.iter().find(|(known, _)| *known == request);
    let (status, body) = match found {
        _ if !lower.contains(AUTHORIZATION) => ("401 Unauthorized", ""),
        Some((_, body)) => ("207 Multi-Status", *body),
        None => ("404 Not Found", ""),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nwww-authenticate: Basic realm=\"x\"\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    (&*stream).write_all(answer.as_bytes()).ok()
}

const ROOT: &str = "<multistatus xmlns=\"DAV:\"><response><href>/</href><propstat><prop>\
    <resourcetype><collection/></resourcetype><current-user-principal><href>/alice/</href>\
    </current-user-principal></prop><status>HTTP/1.1 200 OK</status></propstat></response>\
    </multistatus>";
const HOME: &str = "<multistatus xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\">\
    <response><href>/alice/</href><propstat><prop><resourcetype><collection/></resourcetype>\
    <c:calendar-home-set><href>/alice/</href></c:calendar-home-set><c:calendar-user-address-set>\
    <href>mailto:alice@example.org</href></c:calendar-user-address-set></prop>\
    <status>HTTP/1.1 200 OK</status></propstat></response>\
    <response><href>/alice/work/</href><propstat><prop><resourcetype><collection/><c:calendar/>\
    </resourcetype><displayname>Work &quot;A&quot; &#27;[31m</displayname><owner><href>/alice/</href>\
    </owner></prop><status>HTTP/1.1 200 OK</status></propstat></response>\
    <response><href>/bob/team/</href><propstat><prop><resourcetype><collection/><c:calendar/>\
    </resourcetype><displayname>Team</displayname><owner><href>/bob/</href></owner></prop>\
    <status>HTTP/1.1 200 OK</status></propstat></response></multistatus>";

#[test]
fn an_account_is_shown_with_the_table_to_paste() {
    let world = World::new();
    let origin = server(&[("PROPFIND /", ROOT), ("PROPFIND /alice/", HOME)]);
    let password = world.path("alice-password");
    std::fs::write(&password, "hunter2-of-alice\n").unwrap();
    let password = password.to_str().unwrap();
    let user = ["--username", "alice", "--password-file", password];
    let ended = world
        .start_bare(&[&["calendars", "--url", &origin], &user[..]].concat())
        .finish();
    ended.says(0, &[]).shows(&[
        "Work \"A\" [31m",
        "/alice/work/",
        "/bob/team/",
        "multiget",
        "alice@example.org",
    ]);
    assert!(!ended.out.contains('\u{1b}'), "{ended}");
    assert!(!ended.out.contains("hunter2"), "{ended}");
    let at = ended.out.find("[[calendar.caldav]]").unwrap();
    let table: toml::Table = ended.out[at..].parse().unwrap();
    let expected: toml::Table = format!(
        "[[calendar.caldav]]\nname = \"alice\"\nurl = \"{origin}/\"\nusername = \"alice\"\n\
         password-file = \"{password}\"\ncollections = ['Work \"A\" [31m']\n\
         addresses = [\"alice@example.org\"]\n"
    )
    .parse()
    .unwrap();
    assert_eq!(table, expected);
}

#[test]
fn what_stands_in_the_way_is_said() {
    let world = World::new();
    let origin = server(&[("PROPFIND /", ROOT)]);
    let password = world.path("wrong-password");
    std::fs::write(&password, "hunter3-of-alice").unwrap();
    let password = password.to_str().unwrap();
    let user = ["--username", "alice", "--password-file", password];
    world
        .start_bare(&[&["calendars", "--url", &origin], &user[..]].concat())
        .finish()
        .says(1, &["alice: finding calendars: 127.0.0.1"]);
    for (arguments, code, said) in [
        (
            &["calendars", "--url", "cloud.example.org"] as &[&str],
            2,
            "begin it with https://",
        ),
        (
            &["calendars", "--url", "https://alice:secret@h/"],
            2,
            "--password-file",
        ),
        (&["calendars", "--username", "alice"], 2, "Usage:"),
        (&["calendars", "alice", "--url", "https://h/"], 2, "Usage:"),
    ] {
        let ended = world.start_bare(arguments).finish();
        ended.says(code, &[said]);
        assert!(!ended.err.contains("alice:secret"), "{ended}");
    }
    world
        .run(&["calendars"])
        .says(1, &["no [[calendar.caldav]] is configured", "--url URL"]);
}
