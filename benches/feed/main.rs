//! What a feed costs: requests, CPU time and memory, against their budgets.
//!
//! `cargo bench --bench feed [-- --json]`: `--json` prints a line per figure, in place of the table.
//!
//! 50,000 events, every fiftieth with a link; then 1 % of them change, all of them linked. Microsoft
//! Graph is the embedded simulator and the feed a web server, both in this process. What is measured
//! runs in a process of its own, so that its CPU time and peak memory are its alone.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

mod child;
#[path = "../support/mod.rs"]
mod support;
mod web;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use child::Costs;
use support::measure::{Figure, percentile};
use support::world::{World, quoted};
use support::{Result, expect};
use web::Web;

/// How many events the feed has.
const EVENTS: usize = 50_000;
/// Every so manieth is selected.
const SELECTED: usize = 50;
/// Every so manieth changes.
const CHANGED: usize = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if first == child::FLAG => child::run(rest),
        _ => bench(arguments.iter().any(|a| a == "--json")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("feed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(json: bool) -> Result<()> {
    if !json {
        println!("{}", Figure::head());
    }
    for (name, figures) in measure()? {
        for figure in figures {
            let line = match json {
                true => figure.json(name),
                false => figure.line(name),
            };
            println!("{line}");
        }
    }
    Ok(())
}

type Figures = (&'static str, Vec<Figure>);

fn measure() -> Result<Vec<Figures>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut url = String::new();
    let world = runtime.block_on(World::new(Duration::ZERO, |home| {
        let web = Web::start(&home.join("feed.ics"))?;
        url = web.url.clone();
        web.serve(0)?;
        let published = quoted(&home.join("published.ics"));
        Ok(format!(
            "[[calendar.feed]]\nname = \"events\"\nurl = \"{url}\"\npoll = \"2s\"\n\
             select = \"tagged\"\npublish-file = {published}\n"
        ))
    }))?;
    let web = Web::known(&url);
    let mut child = Command::new(std::env::current_exe()?)
        .arg(child::FLAG)
        .arg(world.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no input")?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut costs = None;
    let mut before = web.counted();
    let mut quiet = (0, 0);
    for line in BufReader::new(output).lines() {
        let line = line?;
        match line.as_str() {
            child::BEGIN_QUIET => before = web.counted(),
            child::END_QUIET => {
                let now = web.counted();
                quiet = (now.0 - before.0, now.1 - before.1);
            }
            child::CHANGE => web.change()?,
            text => {
                let read: Costs = serde_json::from_str(text).map_err(|_| text.to_owned())?;
                costs = Some(read);
            }
        }
        writeln!(input, "on")?;
    }
    child.wait()?;
    let costs = costs.ok_or("the child told nothing")?;
    expect("whole answers while nothing changed", quiet.0, 0)?;
    let middle = |mut values: Vec<f64>| percentile(&mut values, 0.5);
    let changed = &costs.changed;
    Ok(vec![
        (
            "feed of 50,000 events: first pass",
            vec![
                Figure::new("size", web.size()? as f64 / 1e6, "MB"),
                Figure::new("CPU", costs.first.cpu, "ms"),
                Figure::new("peak memory", costs.first.memory, "MiB"),
            ],
        ),
        (
            "feed of 50,000 events: 1,000 links",
            vec![
                Figure::new("CPU", costs.linked.cpu, "ms"),
                Figure::new("peak memory", costs.linked.memory, "MiB"),
            ],
        ),
        (
            "feed of 50,000 events: nothing changed",
            vec![
                Figure::new("requests", quiet.1 as f64 / child::QUIET as f64, "").within(1.0),
                Figure::new("CPU", costs.quiet.cpu, "ms"),
                Figure::new("memory", costs.quiet.memory, "MiB"),
            ],
        ),
        (
            "feed of 50,000 events: 1 % changed",
            vec![
                Figure::new("CPU", middle(changed.iter().map(|c| c.cpu).collect()), "ms")
                    .within(2_000.0),
                Figure::new(
                    "peak memory",
                    changed.iter().map(|c| c.memory).fold(0.0, f64::max),
                    "MiB",
                )
                .within(60.0),
                Figure::new(
                    "wall",
                    middle(changed.iter().map(|c| c.wall).collect()),
                    "ms",
                ),
            ],
        ),
    ])
}
