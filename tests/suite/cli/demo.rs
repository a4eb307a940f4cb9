//! The demo, as somebody who has just cloned the project sees it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meetbridge"));
    command.arg("demo").args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .env_remove("MEETBRIDGE_LOG")
        .env_remove("MEETBRIDGE_CONFIG");
    command
}

#[test]
fn demo_once_shows_an_event_before_and_after_and_ends_with_0() {
    let ended = demo(&["--once"]).output().unwrap();
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{text}");
    let (before, after) = text.split_once("After:").unwrap();
    let event = "SUMMARY:Quarterly review";
    assert!(before.contains(event) && after.contains(event), "{text}");
    let ours = [
        "X-MEETBRIDGE-MEETING:",
        "CONFERENCE;",
        "Microsoft Teams meeting",
    ];
    assert!(ours.iter().all(|line| after.contains(line)), "{text}");
    assert!(!ours.iter().any(|line| before.contains(line)), "{text}");
}

/// Ends the demo however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_demo_shows_what_happens_to_a_file_that_is_dropped_into_it_and_leaves_nothing_behind() {
    let mut demo = Running(demo(&[]).spawn().unwrap());
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let mut line_with = |what: &str| loop {
        let line = lines.next().expect("the demo ended").unwrap();
        if line.contains(what) {
            return line;
        }
    };
    let first = line_with("The calendar is a directory: ");
    let calendar = PathBuf::from(first.rsplit(": ").next().unwrap());
    line_with("zoom.ics (zoom@demo.example) is left alone: it has a Zoom conference of its own");
    line_with("Ctrl-C ends the demo");

    let sample = std::fs::read_to_string(calendar.join("tagged.ics")).unwrap();
    let mine = sample.replace("UID:tagged@", "UID:mine@");
    std::fs::write(calendar.join("mine.ics"), mine).unwrap();
    line_with("mine.ics");
    std::fs::remove_file(calendar.join("weekly.ics")).unwrap();
    line_with("- weekly.ics is gone");

    kill_process(Pid::from_child(&demo.0), Signal::INT).unwrap();
    let mut log = String::new();
    demo.0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    assert!(demo.0.wait().unwrap().success(), "{log}");
    assert!(
        log.contains("link.created") && log.contains("uid=mine@demo.example"),
        "{log}"
    );
    assert!(!calendar.exists(), "{} is left", calendar.display());
}
