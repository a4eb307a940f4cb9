//! What a calendar directory costs: time, requests and memory, against their budgets.
//!
//! `cargo bench --bench directory [-- [--json] [WORD...]]`: only the operations whose name holds one of
//! the words; `--json` prints a line per figure, in place of the table.
//!
//! Microsoft Graph is the embedded simulator, in this process. What is measured runs in processes of
//! its own: the daemon itself, or this program started again, so that their CPU time and peak memory
//! are theirs alone. Wall times depend on what else the machine does; counts and CPU time hardly.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

mod child;
mod folder;
mod operations;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use support::Result;
use support::measure::Figure;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if first == child::FLAG => child::run(rest),
        _ => bench(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("directory: {error}");
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
    for (name, measure) in operations::ALL {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            for figure in measure()? {
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
