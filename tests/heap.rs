//! What a recurrence rule costs in memory. In a program of its own: it counts what the whole process holds.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

use std::fs;
use std::path::Path;

use chrono_tz::Tz;
use meetbridge::ical::document::Document;
use meetbridge::ical::read::read;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The most that one rule may hold at a time, in bytes.
const LIMIT: usize = 1 << 20;

/// The longest rule that is read, in bytes.
const LONGEST: usize = 2_000;

const FREQUENCIES: [&str; 7] = [
    "YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY",
];

#[test]
fn no_recurrence_rule_holds_more_than_a_mebibyte() {
    let all: Vec<String> = FREQUENCIES.iter().flat_map(|freq| rules(freq)).collect();
    // What is made once and kept is not a rule's.
    peak(&event("RRULE:FREQ=DAILY;COUNT=3"));
    let mut worst = (0, String::new());
    for rule in all {
        assert!(rule.len() <= LONGEST, "{rule}");
        let held = peak(&event(&format!("RRULE:{rule}")));
        worst = worst.max((held, rule));
    }
    println!("a rule holds at most {} bytes: {}", worst.0, worst.1);
    // Odd zones, dates and rules together.
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds/times");
    for seed in fs::read_dir(seeds).unwrap() {
        let path = seed.unwrap().path();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let (zone, lines) = text.split_once("\n\n").unwrap_or(("", &text));
        worst = worst.max((peak(&calendar(zone, lines)), format!("{}", path.display())));
    }
    println!("anything holds at most {} bytes: {}", worst.0, worst.1);
    assert!(worst.0 <= LIMIT, "{worst:?}");
    assert!(worst.0 > 1_000, "it counts: {worst:?}");
}

/// Rules that are long, yield nothing, yield very much, or that are far from their next time.
fn rules(frequency: &str) -> Vec<String> {
    let wide = [
        list("BYMONTHDAY", (-31..=31).filter(|n| *n != 0)),
        list("BYYEARDAY", 1..=366),
        list("BYYEARDAY", -366..=-1),
        list("BYWEEKNO", (-53..=53).filter(|n| *n != 0)),
        list("BYHOUR", 0..=23),
        list("BYMINUTE", 0..=59),
        list("BYSECOND", 0..=59),
        list("BYSETPOS", 1..=300),
        list("BYSETPOS", -250..=-1),
        "BYDAY=MO,TU,WE,TH,FR,SA,SU".to_owned(),
        format!("BYDAY={}", vec!["-53MO"; 300].join(",")),
    ];
    let far = [
        "",
        "COUNT=4000000000",
        "UNTIL=99991231T235959Z",
        "INTERVAL=4000000000",
        "BYMONTH=2;BYMONTHDAY=30",
        "BYMONTH=2;BYMONTHDAY=29;COUNT=40000",
    ];
    let times = wide[4..7].join(";");
    let mut parts: Vec<String> = far.map(str::to_owned).to_vec();
    for wide in &wide {
        parts.extend([wide.clone(), format!("{wide};COUNT=4000000000")]);
    }
    for days in [&wide[0], &wide[9], &wide[7], &wide[8]] {
        parts.push(format!("{days};{times}"));
    }
    parts
        .iter()
        .map(|part| format!("FREQ={frequency};{part}"))
        .collect()
}

fn list(name: &str, values: impl Iterator<Item = i32>) -> String {
    let values: Vec<String> = values.map(|value| value.to_string()).collect();
    format!("{name}={}", values.join(","))
}

fn event(lines: &str) -> String {
    calendar(
        "",
        &format!("DTSTART;TZID=Europe/Berlin:19700131T235959\n{lines}"),
    )
}

fn calendar(zone: &str, lines: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VTIMEZONE\nTZID:Fuzz\n{zone}\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:u\n\
         {lines}\nEND:VEVENT\nEND:VCALENDAR\n"
    )
}

/// What reading the calendar holds at most, beside the calendar itself.
fn peak(calendar: &str) -> usize {
    let document = Document::parse(calendar.as_bytes()).unwrap();
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let _reading = read(
        &document,
        Tz::Europe__Berlin,
        "2026-11-23T12:00:00Z".parse().unwrap(),
    );
    HEAP.peak_usage() - before
}
