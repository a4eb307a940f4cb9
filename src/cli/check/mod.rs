//! `meetbridge check`: configuration, files and permissions; `--online` asks the services, too.
//!
//! `report`: what is told, and how · `online`: what is asked · `graph`, `mailboxes`, `accounts`, `feeds`: of
//! whom.

mod accounts;
mod feeds;
mod graph;
mod mailboxes;
mod online;
mod report;

use self::report::{Line, Report};
use super::{Context, Exit};
use crate::clock::Clock as _;
use crate::config::check::{Severity, check as findings};

pub(super) async fn check(context: &Context, online: bool) -> Exit {
    let config = match context.config() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let mut report = Report::default();
    for finding in findings(&config, context.clock.now()) {
        let line = match finding.severity {
            Severity::Error => Line::error(finding.what),
            Severity::Note => Line::note(finding.what),
            Severity::Warning => Line::warning(finding.what),
        };
        report.tell(line.hint(finding.hint));
    }
    if online && let Err(exit) = online::online(context, &config, &mut report).await {
        return exit;
    }
    let file = context.config_file.display().to_string();
    report.end(&file, config.enabled().count())
}
