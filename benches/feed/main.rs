//! What a feed costs: requests, CPU time and memory, against their budgets.
//!
//! `cargo bench --bench feed [-- --json]`: `--json` prints a line per figure, in place of the table.
//!
//! 50,000 events, every fiftieth with a link, or every one; then 1 % of them change, all of them linked.
//! The same published to a file and by PUT. Microsoft Graph is the embedded simulator and the feed a web server, both in this process. What is measured
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
    for case in CASES {
        for (what, figures) in measure(case)? {
            let name = format!("{}: {what}", case.links);
            for figure in figures {
                let line = match json {
                    true => figure.json(&name),
                    false => figure.line(&name),
                };
                println!("{line}");
            }
        }
    }
    Ok(())
}

/// What is measured.
#[derive(Clone, Copy)]
struct Case {
    /// What it is called.
    links: &'static str,
    /// Every so manieth is selected.
    selected: usize,
    /// It is published by PUT.
    web: bool,
}

const CASES: [Case; 4] = [
    Case {
        links: "1,000 links, a file",
        selected: 50,
        web: false,
    },
    Case {
        links: "1,000 links, PUT",
        selected: 50,
        web: true,
    },
    Case {
        links: "50,000 links, a file",
        selected: 1,
        web: false,
    },
    Case {
        links: "50,000 links, PUT",
        selected: 1,
        web: true,
    },
];

type Figures = (String, Vec<Figure>);

fn measure(case: Case) -> Result<Vec<Figures>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut url = String::new();
    let world = runtime.block_on(World::new(Duration::ZERO, |home| {
        let web = Web::start(home, case.selected)?;
        url = web.url.clone();
        web.serve(0)?;
        let published = match case.web {
            true => format!("publish-url = \"{url}{}\"", web::PUBLISHED),
            false => format!("publish-file = {}", quoted(&home.join(web::PUBLISHED))),
        };
        Ok(format!(
            "[[calendar.feed]]\nname = \"events\"\nurl = \"{url}\"\npoll = \"2s\"\n\
             select = \"tagged\"\n{published}\n"
        ))
    }))?;
    let web = Web::known(&url);
    let (linked, _) = run(&world, case, child::LINK, &web)?;
    let (costs, quiet) = run(&world, case, child::FOLLOW, &web)?;
    expect("whole answers while nothing changed", quiet.0, 0)?;
    let middle = |mut values: Vec<f64>| percentile(&mut values, 0.5);
    let changed = &costs.changed;
    Ok(vec![
        (
            "first pass".to_owned(),
            vec![
                Figure::new("size", web.size()? as f64 / 1e6, "MB"),
                Figure::new("CPU", linked.first.cpu, "ms"),
                Figure::new("peak memory", linked.first.memory, "MiB"),
            ],
        ),
        (
            "linking".to_owned(),
            vec![
                Figure::new("CPU", linked.linked.cpu, "ms"),
                Figure::new("peak memory", linked.linked.memory, "MiB"),
            ],
        ),
        (
            "begun anew".to_owned(),
            vec![
                Figure::new("CPU", costs.begun.cpu, "ms"),
                Figure::new("peak memory", costs.begun.memory, "MiB"),
            ],
        ),
        (
            "nothing changed".to_owned(),
            vec![
                Figure::new("requests", quiet.1 as f64 / child::QUIET as f64, "").within(1.0),
                Figure::new("CPU", costs.quiet.cpu, "ms"),
                Figure::new("memory", costs.quiet.memory, "MiB"),
            ],
        ),
        (
            "1 % changed".to_owned(),
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

/// Runs a child; gives what it took, and how many answers were whole and how many were not while
/// nothing changed.
fn run(world: &World, case: Case, phase: &str, web: &Web) -> Result<(Costs, (usize, usize))> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(child::FLAG)
        .arg(world.home())
        .arg(phase)
        .arg(case.selected.to_string())
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
                continue;
            }
        }
        writeln!(input, "on")?;
    }
    child.wait()?;
    Ok((costs.ok_or("the child told nothing")?, quiet))
}
