//! What a CalDAV calendar costs: requests, bytes, CPU time, memory and wall time, against their budgets
//! and beside a client that sends only the requests that cannot be avoided.
//!
//! `cargo bench --bench caldav [-- [--json] [WORD...]]`: only the operations whose name holds one of the
//! words, such as `quiet` or `xandikos`; `--json` prints a line per figure, in place of the table.
//!
//! Three servers: the fake of the tests, Radicale, and Xandikos; the latter two need Python 3.11 or
//! later, and the network once. Each runs in a process of its own, and so does each client; what goes
//! between them is counted on its way. Microsoft Graph is the embedded simulator, in this process. Wall
//! times are mostly the server's, and depend on what else the machine does; counts and CPU time hardly.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

mod client;
mod fake;
#[path = "../../tests/suite/servers/harness/mod.rs"]
#[allow(
    unused_imports,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "of the tests, and a part of it"
)]
mod harness;
mod minimal;
mod operations;
mod server;
mod steps;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use support::Result;
use support::measure::Figure;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, [])) if first == fake::FLAG => fake::run(),
        Some((first, rest)) if first == client::FLAG => client::run(rest),
        Some((first, rest)) if first == minimal::FLAG => minimal::run(rest),
        _ => bench(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("caldav: {error}");
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
    for kind in server::Kind::ALL {
        for operation in operations::ALL {
            let name = operation.name(kind);
            if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
                continue;
            }
            for figure in operation.measure(kind)? {
                println!(
                    "{}",
                    if json {
                        figure.json(&name)
                    } else {
                        figure.line(&name)
                    }
                );
            }
        }
    }
    Ok(())
}
