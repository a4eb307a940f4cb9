//! How many meetings a process makes per second, and what one costs.
//!
//! `cargo bench --bench graph [-- [--json] [WORD...]]`: only the operations whose name holds one of the
//! words; `--json` prints a line per figure, in place of the table.
//!
//! Microsoft Graph is the embedded simulator, in this process; the client runs in a process of its own,
//! so that its CPU time and peak memory are its alone. Graph takes 5,000 requests in 10 seconds
//! (graph-api.md, section 12): so many calls are made, each for a meeting of its own.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

mod client;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use meetbridge::simulator::Endpoint;
use support::measure::Figure;
use support::world::World;
use support::{Result, expect};

/// As many as Graph takes in [`WINDOW`].
const CALLS: usize = 5_000;

/// In milliseconds.
const WINDOW: f64 = 10_000.0;

/// Name, latency of Graph in milliseconds, calls in flight.
const OPERATIONS: &[(&str, u64, usize)] = &[
    ("5,000 createOrGet, Graph at 0 ms, 50 in flight", 0, 50),
    ("5,000 createOrGet, Graph at 100 ms, 50 in flight", 100, 50),
    ("5,000 createOrGet, Graph at 100 ms, 60 in flight", 100, 60),
    (
        "5,000 createOrGet, Graph at 100 ms, 100 in flight",
        100,
        100,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if first == client::FLAG => client::run(rest),
        _ => bench(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("graph: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &[String]) -> Result<()> {
    let json = arguments.iter().any(|a| a == "--json");
    let words: Vec<_> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    if !json {
        println!("{}", Figure::head());
    }
    for (name, latency, in_flight) in OPERATIONS {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            for figure in measure(Duration::from_millis(*latency), *in_flight)? {
                println!(
                    "{}",
                    if json {
                        figure.json(name)
                    } else {
                        figure.line(name)
                    }
                );
            }
        }
    }
    Ok(())
}

fn measure(latency: Duration, in_flight: usize) -> Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let world = runtime.block_on(World::new(latency, |home| {
        let path = support::world::quoted(&home.join("calendar"));
        Ok(format!(
            "[[calendar.directory]]\nname = \"team\"\npath = {path}\n"
        ))
    }))?;
    let cost = client::measure(world.home(), in_flight, CALLS)?;
    expect("made", cost.created, CALLS)?;
    let snapshot = world.simulator.snapshot();
    let requests = snapshot.requests(Endpoint::CreateOrGet);
    expect("requests", usize::try_from(requests)?, CALLS)?;
    Ok(vec![
        Figure::new("wall", cost.wall, "ms").within(WINDOW),
        Figure::new("requests per second", CALLS as f64 / cost.wall * 1e3, ""),
        Figure::new("client's CPU", cost.cpu, "ms"),
        Figure::new("most in flight", snapshot.peak_in_flight as f64, ""),
        Figure::new("client's memory", cost.memory, "MiB"),
    ])
}
