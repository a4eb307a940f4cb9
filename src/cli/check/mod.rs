//! `meetbridge check`: configuration, files and permissions; `--online` asks the services, too.
//!
//! `report`: what is told, and how · `unit`: of the systemd unit · `online`: what is asked · `graph`,
//! `mailboxes`, `accounts`, `feeds`: of whom.

mod accounts;
mod feeds;
mod graph;
mod mailboxes;
mod online;
mod report;
mod unit;

use self::report::{Line, Report};
use super::{Context, Exit};
use crate::calendar::directory::Directory;
use crate::clock::Clock as _;
use crate::config::Source;
use crate::config::check::{Severity, check as findings};
use crate::log::Chain;

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
    for calendar in config.enabled() {
        let place = match &calendar.source {
            Source::Directory { path } => Directory::directory(path.clone(), context.clock.clone()),
            Source::File { path } => Directory::file(path.clone(), context.clock.clone()),
            Source::CalDav(_) | Source::Feed(_) => continue,
        };
        for why in place.rehearse() {
            let (name, why) = (&calendar.name, Chain(&why).to_string());
            report.tell(Line::failure(&format!("calendar {name}: {why}")));
        }
    }
    for line in unit::look(&config, &context.config_file).await {
        report.tell(line);
    }
    if online && let Err(exit) = online::online(context, &config, &mut report).await {
        return exit;
    }
    let file = context.config_file.display().to_string();
    report.end(&file, config.enabled().count())
}
