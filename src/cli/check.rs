//! `meetbridge check`: configuration, files and permissions, without the network.

use super::{Context, Exit, output};
use crate::clock::Clock as _;
use crate::config::check::{Severity, check as findings};

pub(super) fn check(context: &Context) -> Exit {
    let config = match context.config() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let found = findings(&config, context.clock.now());
    for finding in &found {
        let kind = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        output::print(&format!(
            "{kind}: {}\n  hint: {}",
            finding.what, finding.hint
        ));
    }
    let errors = found
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .count();
    let file = context.config_file.display();
    let calendars = config.enabled().count();
    output::print(&match errors {
        0 => format!("{file}: in order; calendars enabled: {calendars}"),
        n => format!("{file}: errors: {n}"),
    });
    if errors == 0 {
        Exit::Done
    } else {
        Exit::Failed
    }
}
