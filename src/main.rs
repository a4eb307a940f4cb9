//! The `meetbridge` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    meetbridge::cli::main()
}
