//! Commands beside a running daemon: they run in it, and say the same as without one.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::output::{self, Voice};
use super::{Context, Exit, assemble, plan, resume, status, sync, unlink};
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::Desk;
use crate::daemon::control::{AskError, Command, Said, Serve, ask};
use crate::daemon::desk::lift;
use crate::log::Chain;
use crate::model::{CalendarName, Escaped};
use crate::state::State;
use crate::sync::{Unlink, Watched};

/// Has the daemon that has the state run `command`: how it ended there is the `Err`. `Ok` when there
/// is no daemon, and nothing was done.
pub(super) async fn unless_in_daemon(
    context: &Context,
    config: &Config,
    command: Command,
) -> Result<(), Exit> {
    let Some(at) = State::announced(&config.state_directory) else {
        return Ok(());
    };
    let hear = |said| output::pass_on(&said);
    match ask(&at, command, output::width(), &*context.clock, hear).await {
        Ok(code) => Err(Exit::of(code)),
        Err(AskError::NotThere) => Ok(()),
        Err(error) => {
            output::fail(&format!("{error}"));
            Err(match error {
                AskError::Foreign(_) => Exit::Failed,
                _ => Exit::TryAgain,
            })
        }
    }
}

/// Runs the commands in the daemon.
pub(super) struct Office {
    /// The configuration in force.
    pub(super) config: watch::Receiver<Arc<Config>>,
    pub(super) state: Arc<State>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) desk: Arc<Desk>,
    /// The daemon is stopping.
    pub(super) stop: CancellationToken,
}

#[async_trait]
impl Serve for Office {
    async fn serve(&self, command: Command, width: Option<u16>, to: mpsc::Sender<Said>) -> u8 {
        let voice = Voice::through(to, width);
        let exit = match command {
            Command::Status { json } => {
                let live = status::Live {
                    desk: &self.desk,
                    elapsed: self.clock.elapsed(),
                };
                let (config, now) = (self.config(), self.clock.now());
                status::report(&config, &self.state, now, Some(live), json, &voice).await
            }
            Command::Plan {
                calendar,
                json,
                titles,
                rewrite,
                unlink,
            } => {
                let plan = plan::Plan::new(json, titles, &voice);
                let of = (rewrite, unlink);
                self.plan(calendar.as_deref(), of, plan, &voice).await
            }
            Command::Sync { calendar, rewrite } => {
                self.sync(calendar.as_deref(), rewrite, &voice).await
            }
            Command::Resume { calendar } => self.resume(&calendar, &voice).await,
            Command::Unlink {
                what,
                calendar,
                end_meetings,
            } => {
                let asked = unlink::Asked {
                    what,
                    calendar,
                    end_meetings,
                };
                self.unlink(asked, &voice).await
            }
        };
        exit.code()
    }
}

impl Office {
    fn config(&self) -> Arc<Config> {
        self.config.borrow().clone()
    }

    async fn sync(&self, only: Option<&str>, rewrite: bool, voice: &Voice) -> Exit {
        let (calendars, mut exit) = self.calendars(only, voice).await;
        // All at once: each is passed over by a task of its own.
        let at_once = calendars.len().max(1);
        let mut outcomes = stream::iter(calendars)
            .map(|calendar| async move {
                let outcome = self.desk.sync(&calendar.name, rewrite).await;
                (calendar, outcome)
            })
            .buffered(at_once);
        while let Some((calendar, outcome)) = outcomes.next().await {
            let Some(outcome) = outcome else {
                exit = self.away(calendar.name.as_str(), voice).await;
                continue;
            };
            if !sync::tell(&self.state, &calendar.name, &outcome, voice).await {
                exit = exit.or(Exit::Failed);
            }
        }
        exit
    }

    async fn plan(
        &self,
        only: Option<&str>,
        (rewrite, unlink): (bool, Option<Unlink>),
        mut plan: plan::Plan<'_>,
        voice: &Voice,
    ) -> Exit {
        let (calendars, mut exit) = self.calendars(only, voice).await;
        if only.is_some() && calendars.is_empty() {
            return exit;
        }
        for calendar in &calendars {
            let preview = match unlink.clone() {
                Some(what) => self.desk.plan_unlink(&calendar.name, what).await,
                None => self.desk.plan(&calendar.name, rewrite).await,
            };
            match preview {
                Some(preview) => plan.add(calendar, preview).await,
                None => exit = self.away(calendar.name.as_str(), voice).await,
            }
        }
        exit.or(plan.end().await)
    }

    async fn unlink(&self, asked: unlink::Asked, voice: &Voice) -> Exit {
        let unlink::Asked {
            what,
            calendar,
            end_meetings,
        } = asked;
        let (calendars, exit) = self.calendars(calendar.as_deref(), voice).await;
        let mut told = unlink::Telling::new(&what, end_meetings, exit);
        let mut exit = Exit::Done;
        for calendar in &calendars {
            let name = &calendar.name;
            match self.desk.unlink(name, what.clone(), end_meetings).await {
                Some(done) => told.add(name, done, voice).await,
                None => exit = self.away(name.as_str(), voice).await,
            }
        }
        if exit != Exit::Done {
            return exit;
        }
        told.end(voice).await
    }

    async fn resume(&self, name: &str, voice: &Voice) -> Exit {
        let name = match assemble::configured(&self.config(), name) {
            Ok(name) => name,
            Err(what) => {
                voice.fail(&what).await;
                return Exit::Failed;
            }
        };
        let mut exit = Exit::Done;
        for name in resume::calendars_of(&self.config(), &self.state, name) {
            let lifted = match self.desk.resume(&name).await {
                Some(lifted) => lifted,
                // No task watches it, so no pass is under way.
                None => lift(&self.state, &name, self.clock.now())
                    .map_err(|error| Chain(&error).to_string()),
            };
            exit = exit.or(resume::tell(&name, lifted, voice).await);
        }
        exit
    }

    /// The calendars that are watched, in file order, or the one that is named; says what is missing.
    async fn calendars(&self, only: Option<&str>, voice: &Voice) -> (Vec<Arc<Watched>>, Exit) {
        let asked = only.map(|name| assemble::configured(&self.config(), name));
        if let Some(Err(what)) = asked {
            voice.fail(&what).await;
            return (Vec::new(), Exit::Failed);
        }
        let (config, watched) = (self.config(), self.desk.calendars());
        let (mut chosen, mut exit) = (Vec::new(), Exit::Done);
        for table in config.enabled() {
            let is_wanted = |calendar: &Watched| {
                let name = calendar.name.as_str();
                assemble::is_of(name, &table.name)
                    && only.is_none_or(|only| assemble::is_of(name, &CalendarName::new(only)))
            };
            let before = chosen.len();
            chosen.extend(watched.iter().filter(|c| is_wanted(c)).cloned());
            let asked_for = only.is_none_or(|only| assemble::is_of(only, &table.name));
            if asked_for && chosen.len() == before {
                let name = only.unwrap_or(table.name.as_str());
                exit = self.away(name, voice).await;
            }
        }
        (chosen, exit)
    }

    /// Says why nobody does an errand for the calendar or account.
    async fn away(&self, name: &str, voice: &Voice) -> Exit {
        let name = Escaped(name);
        if self.stop.is_cancelled() {
            let stopping = format!("{name}: the daemon is stopping; try again");
            voice.fail(&stopping).await;
            return Exit::TryAgain;
        }
        let away = match assemble::configured(&self.config(), name.0) {
            Ok(_) => format!("{name}: not watched at the moment; the daemon's log says why"),
            Err(_) => format!("{name}: not watched any more, since a reload took it out"),
        };
        voice.fail(&away).await;
        Exit::Failed
    }
}
