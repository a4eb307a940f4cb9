//! The operations that have a budget, and how each is measured.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use meetbridge::clock::Clock as _;
use meetbridge::daemon::clock::SystemClock;
use meetbridge::ical::document::Document;
use meetbridge::ical::read;
use meetbridge::simulator::Endpoint;
use tokio::runtime::Runtime;

use crate::child::{Task, measure};
use crate::folder::Folder;
use crate::support::events::calendar;
use crate::support::measure::{Figure, cpu, ms, peak_memory, percentile};
use crate::support::passes::Cost;
use crate::support::world::config_file;
use crate::support::{Result, expect};

/// An operation: its name, and what measures it.
type Operation = (&'static str, fn() -> Result<Vec<Figure>>);

/// All of them, in the order of the table.
pub(crate) const ALL: &[Operation] = &[
    ("file saved -> link in it, n = 200, Graph at 0 ms", saved),
    (
        "10,000 files, none selected: first pass, then quiet",
        unselected,
    ),
    (
        "linking 1,000 files, Graph at 100 ms, 50 in flight",
        link_files,
    ),
    ("linking 1 file of 1,000 events, Graph at 100 ms", link_file),
    ("1,000,000 links in the state, calendar of 1,000", million),
    (
        "scanning and reading a file of 10,000 events",
        understanding,
    ),
    ("the costliest recurrence rules, each alone", hostile),
];

/// How long the daemon may take for what it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a file is looked at for its link.
const LOOK: Duration = Duration::from_millis(1);

/// The first pass is measured so often, each time with an empty state; the median is told.
const FIRST_PASSES: usize = 5;

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

fn saved() -> Result<Vec<Figure>> {
    let runtime = runtime()?;
    let world = runtime.block_on(Folder::new(Duration::ZERO))?;
    let daemon = Daemon::start(world.home())?;
    let clock = SystemClock::new();
    // The first shows that the watch is up, and gets the token and the connections.
    let mut times = Vec::new();
    for n in 0..201 {
        let path = world.calendar().join(format!("{n}.ics"));
        let beside = world.calendar().join(".saving");
        std::fs::write(&beside, calendar(n..n + 1, true))?;
        let began = clock.elapsed();
        std::fs::rename(&beside, &path)?;
        while !std::fs::read_to_string(&path)?.contains("X-MEETBRIDGE-MEETING:") {
            if clock.elapsed() - began > PATIENCE {
                return Err(format!("file {n} got no link").into());
            }
            std::thread::sleep(LOOK);
        }
        times.push(ms(clock.elapsed() - began));
    }
    times.remove(0);
    let memory = peak_memory(&daemon.child.id().to_string()).unwrap_or_default();
    Ok(vec![
        Figure::new("wall p50", percentile(&mut times, 0.5), "ms"),
        Figure::new("wall p95", percentile(&mut times, 0.95), "ms").within(150.0),
        Figure::new("wall max", percentile(&mut times, 1.0), "ms"),
        Figure::new("daemon's memory", memory, "MiB"),
    ])
}

fn unselected() -> Result<Vec<Figure>> {
    const FILES: usize = 10_000;
    let runtime = runtime()?;
    let world = runtime.block_on(Folder::new(Duration::ZERO))?;
    world.fill(FILES, false)?;
    let mut firsts = Vec::new();
    for n in 0..FIRST_PASSES {
        if n > 0 {
            world.forget()?;
        }
        let first = measure(Task::Link, world.home())?;
        expect("read", first.read, FILES)?;
        firsts.push(first);
    }
    firsts.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let first = firsts.swap_remove(FIRST_PASSES / 2);
    let quiet = measure(Task::Quiet, world.home())?;
    expect("unchanged", quiet.unchanged, FILES)?;
    expect("read again", quiet.read, 0)?;
    Ok(vec![
        Figure::new("first: CPU", first.cpu, "ms").within(500.0),
        Figure::new("first: wall", first.wall, "ms"),
        Figure::new("first: memory", first.memory, "MiB").within(40.0),
        Figure::new("quiet: CPU", quiet.cpu, "ms").within(60.0),
        Figure::new("quiet: wall", quiet.wall, "ms"),
        Figure::new("quiet: memory", quiet.memory, "MiB").within(25.0),
    ])
}

fn link_files() -> Result<Vec<Figure>> {
    let runtime = runtime()?;
    let world = runtime.block_on(Folder::new(Duration::from_millis(100)))?;
    world.fill(1_000, true)?;
    let cost = measure(Task::Link, world.home())?;
    expect("written", cost.written, 1_000)?;
    linking(&world, &cost)
}

fn link_file() -> Result<Vec<Figure>> {
    let runtime = runtime()?;
    let world = runtime.block_on(Folder::new(Duration::from_millis(100)))?;
    let path = world.calendar().join("all.ics");
    std::fs::write(&path, calendar(0..1_000, true))?;
    let cost = measure(Task::Link, world.home())?;
    let linked = std::fs::read_to_string(&path)?
        .matches("X-MEETBRIDGE-MEETING:")
        .count();
    expect("linked", linked, 1_000)?;
    let mut figures = linking(&world, &cost)?;
    figures.push(Figure::new("writes", cost.written as f64, ""));
    Ok(figures)
}

fn linking(world: &Folder, cost: &Cost) -> Result<Vec<Figure>> {
    let snapshot = world.simulator.snapshot();
    let requests: u64 = snapshot.requests.values().sum();
    expect(
        "createOrGet",
        snapshot.requests(Endpoint::CreateOrGet) as usize,
        1_000,
    )?;
    Ok(vec![
        Figure::new("wall", cost.wall, "ms").within(5_000.0),
        Figure::new("CPU", cost.cpu, "ms").within(1_500.0),
        // One for the token.
        Figure::new("requests", requests as f64, "").within(1_001.0),
        Figure::new("most in flight", snapshot.peak_in_flight as f64, ""),
        Figure::new("memory", cost.memory, "MiB").within(40.0),
    ])
}

fn million() -> Result<Vec<Figure>> {
    const FILES: usize = 1_000;
    let runtime = runtime()?;
    let world = runtime.block_on(Folder::new(Duration::ZERO))?;
    world.fill(FILES, true)?;
    measure(Task::Link, world.home())?;
    multiply(&world.home().join("state/state.db"), 1_000_000 / FILES)?;
    let clock = SystemClock::new();
    let began = clock.elapsed();
    let daemon = Daemon::start(world.home())?;
    let ready = ms(clock.elapsed() - began);
    drop(daemon);
    let quiet = measure(Task::Quiet, world.home())?;
    expect("unchanged", quiet.unchanged, FILES)?;
    Ok(vec![
        Figure::new("start to READY", ready, "ms").within(2_000.0),
        Figure::new("quiet: CPU", quiet.cpu, "ms").within(20.0),
        Figure::new("quiet: wall", quiet.wall, "ms"),
        Figure::new("quiet: memory", quiet.memory, "MiB"),
    ])
}

/// Copies what a state holds of its one calendar until it holds `times` calendars like it.
fn multiply(state: &Path, times: usize) -> Result<()> {
    let connection = rusqlite::Connection::open(state)?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = OFF;
         BEGIN;
         CREATE TEMP TABLE n AS
            WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {times} - 1)
            SELECT n FROM n;
         CREATE TEMP TABLE r AS SELECT * FROM resources;
         CREATE TEMP TABLE l AS SELECT * FROM links;
         CREATE TEMP TABLE m AS SELECT * FROM meetings;
         INSERT INTO resources
            SELECT 'x' || n, resource, version, first_seen, due, outcome FROM n, r;
         INSERT INTO links
            SELECT 'x' || n, resource, n || uid, organizer, n || external_id, generation, phase,
            before, attempts, written FROM n, l;
         INSERT INTO meetings
            SELECT organizer, n || external_id, n || uid, meeting, randomblob(32), schedule, created
            FROM n, m;
         COMMIT;"
    ))?;
    let links: i64 = connection.query_row("SELECT COUNT(*) FROM links", [], |row| row.get(0))?;
    expect("links", usize::try_from(links)?, 1_000_000)
}

fn understanding() -> Result<Vec<Figure>> {
    const EVENTS: usize = 10_000;
    let text = calendar(0..EVENTS, true);
    let megabytes = text.len() as f64 / 1e6;
    let now = SystemClock::new().now();
    let (mut scans, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let began = cpu();
        let document = Document::parse(text.as_bytes())?;
        scans.push((cpu() - began).as_secs_f64());
        let began = cpu();
        let reading = read::read(&document, chrono_tz::Europe::Berlin, now);
        reads.push((cpu() - began).as_secs_f64());
        expect("events", reading.events.len(), EVENTS)?;
    }
    Ok(vec![
        Figure::new("scan", megabytes / percentile(&mut scans, 0.5), "MB/s"),
        Figure::new(
            "read",
            EVENTS as f64 / percentile(&mut reads, 0.5),
            "events/s",
        ),
        Figure::new("size of an event", text.len() as f64 / EVENTS as f64, "B"),
    ])
}

/// Rules made to cost time; none may hold a thread for long, whether it is followed or refused.
const HOSTILE: [&str; 14] = [
    "FREQ=SECONDLY",
    "FREQ=SECONDLY;COUNT=4000000000",
    "FREQ=MINUTELY;BYDAY=MO;BYSETPOS=2",
    "FREQ=HOURLY;BYMINUTE=1;BYSETPOS=24",
    "FREQ=DAILY;BYHOUR=1;BYSETPOS=366",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=WEEKLY;BYMONTH=2;BYDAY=1MO;INTERVAL=60000",
    "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=3;COUNT=40000",
    "FREQ=MINUTELY;INTERVAL=1440;BYMINUTE=5",
    "FREQ=YEARLY;BYYEARDAY=-366;BYWEEKNO=53;BYDAY=-53MO",
    "FREQ=YEARLY;BYHOUR=1,2,3;BYMINUTE=1,2,3,4,5;BYSECOND=1,2,3;BYDAY=MO,TU;BYSETPOS=-366",
    "FREQ=DAILY;COUNT=100000",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=10000",
];

fn hostile() -> Result<Vec<Figure>> {
    let now = SystemClock::new().now();
    let mut worst = 0.0_f64;
    for rule in HOSTILE {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:u\r\n\
             DTSTART;TZID=Europe/Berlin:19700131T235959\r\nRRULE:{rule}\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        let document = Document::parse(text.as_bytes())?;
        let mut times = Vec::new();
        for _ in 0..5 {
            let began = cpu();
            let reading = read::read(&document, chrono_tz::Europe::Berlin, now);
            times.push(ms(cpu() - began));
            expect("events", reading.events.len(), 1)?;
        }
        worst = worst.max(percentile(&mut times, 0.5));
    }
    Ok(vec![Figure::new("worst, CPU", worst, "ms").within(50.0)])
}

/// `meetbridge run`; it ends with this value.
struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it, and waits until it says that it is ready.
    fn start(home: &Path) -> Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_meetbridge"))
            .arg("run")
            .arg("--config")
            .arg(config_file(home))
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take();
        let daemon = Self { child };
        let mut lines = BufReader::new(stderr.ok_or("the daemon has no log")?);
        let mut line = String::new();
        while !line.contains("daemon.ready") {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Err("the daemon ended before it was ready".into());
            }
        }
        // Its log goes on; somebody has to take it.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is gone already, or it goes; a kill does no harm to what it was doing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
