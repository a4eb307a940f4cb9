//! `meetbridge unlink`: takes links out again.

use std::collections::BTreeSet;

use super::output::Voice;
use super::{Context, Exit, assemble, beside, output};
use crate::daemon::control::Command;
use crate::log::Chain;
use crate::model::{CalendarName, Escaped, ExternalId, OrganizerId};
use crate::sync::{Unlink, Unlinked};

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Of each calendar.
    pub(super) what: Unlink,
    /// The calendar or account; all when `None`.
    pub(super) calendar: Option<String>,
    /// End the meetings, too.
    pub(super) end_meetings: bool,
}

pub(super) async fn unlink(context: &Context, asked: Asked) -> Exit {
    match try_unlink(context, asked).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn try_unlink(context: &Context, asked: Asked) -> Result<Exit, Exit> {
    let config = context.config()?;
    context.init_log(&config)?;
    let command = Command::Unlink {
        what: asked.what.clone(),
        calendar: asked.calendar.clone(),
        end_meetings: asked.end_meetings,
    };
    beside::unless_in_daemon(context, &config, command).await?;
    let state = assemble::open_state(context, &config)?;
    let parts = assemble::parts(context, &config, state, asked.calendar.as_deref())?;
    let (calendars, exit) = parts.calendars().await;
    let voice = Voice::own();
    let mut told = Telling::new(&asked.what, asked.end_meetings, exit);
    for kept in &calendars {
        let calendar = &*kept.calendar;
        let done = parts
            .bridge
            .unlink(calendar, &asked.what, asked.end_meetings)
            .await
            .map_err(|error| Chain(&error).to_string());
        told.add(&calendar.name, done, &voice).await;
    }
    Ok(told.end(&voice).await)
}

/// What is told of unlinking, calendar by calendar.
pub(super) struct Telling {
    what: Unlink,
    end_meetings: bool,
    found: usize,
    /// The meetings that were asked to end in any calendar.
    asked: BTreeSet<(OrganizerId, ExternalId)>,
    /// The meetings that stay, by the calendar that left them for another one's sake.
    shared: Vec<(CalendarName, BTreeSet<(OrganizerId, ExternalId)>)>,
    exit: Exit,
}

impl Telling {
    /// `exit` is how it went so far.
    pub(super) fn new(what: &Unlink, end_meetings: bool, exit: Exit) -> Self {
        Self {
            what: what.clone(),
            end_meetings,
            found: 0,
            asked: BTreeSet::new(),
            shared: Vec::new(),
            exit,
        }
    }

    /// Tells what was done in a calendar, or why it was not. One that does not hold the event that was
    /// asked for is passed over in silence.
    pub(super) async fn add(
        &mut self,
        name: &CalendarName,
        done: Result<Unlinked, String>,
        voice: &Voice,
    ) {
        let mut done = match done {
            Ok(done) => done,
            Err(error) => {
                voice.fail(&format!("{name}: {error}")).await;
                self.exit = self.exit.or(Exit::Failed);
                return;
            }
        };
        self.found += done.found;
        for (resource, fault) in &done.faults {
            let line = format!("{name}: {resource}: {}", Escaped(fault));
            voice.fail(&line).await;
        }
        let report = &done.report;
        if self.what == Unlink::All || done.found > 0 {
            let mut line = format!(
                "{name}: {} read, {} unlinked, {} resources written",
                report.read, report.taken_out, report.written
            );
            if self.end_meetings {
                line += &format!(", {} meetings ended", done.ended);
            } else if report.taken_out > 0 {
                line += "; their meetings stay";
            }
            voice.print(&line).await;
            match self.what {
                Unlink::All => {
                    let line = format!("{name}: frozen until `meetbridge resume {name}`");
                    voice.print(&line).await;
                }
                Unlink::Event(_) => voice.print(&format!("{name}: it stays opted out")).await,
            }
        }
        // Whether the other calendar is unlinked, too, shows at the end.
        self.asked.append(&mut done.asked);
        self.shared.push((name.clone(), done.shared));
        if done.not_ended > 0 {
            let line = format!(
                "{name}: {} meetings could not be ended; the log says why, and the same command \
                 tries it again",
                done.not_ended
            );
            voice.fail(&line).await;
        }
        if report.failed > 0 {
            let line = format!("{name}: {} failed; the log says why", report.failed);
            voice.fail(&line).await;
        }
        if done.not_ended > 0 || report.failed > 0 {
            self.exit = self.exit.or(Exit::Failed);
        }
    }

    /// Ends the telling; returns how it went.
    pub(super) async fn end(self, voice: &Voice) -> Exit {
        for (name, shared) in &self.shared {
            let stay = shared.difference(&self.asked).count();
            if stay > 0 {
                let line = format!(
                    "{name}: {stay} meetings stay: their events are linked in another calendar, too"
                );
                voice.print(&line).await;
            }
        }
        if self.found == 0 && matches!(self.what, Unlink::Event(_)) && self.exit == Exit::Done {
            voice.fail(NOBODY).await;
            return Exit::Failed;
        }
        self.exit
    }
}

/// That no calendar holds the event.
const NOBODY: &str = "no watched calendar holds an event with this UID";

/// What the arguments ask for.
///
/// # Errors
/// When they ask for nothing, or for everything by accident.
pub(super) fn asked(
    uid: Option<String>,
    calendar: Option<String>,
    all: bool,
    end_meetings: bool,
) -> Result<Asked, Exit> {
    let what = match uid {
        Some(uid) => Unlink::Event(uid),
        None if calendar.is_some() || all => Unlink::All,
        None => {
            output::fail(
                "name what to unlink: a UID, `--calendar NAME`, or `--all` for all \
                 calendars",
            );
            return Err(Exit::Usage);
        }
    };
    Ok(Asked {
        what,
        calendar,
        end_meetings,
    })
}
