//! Where commands leave errands for the tasks that watch the calendars.
//!
//! What touches a calendar is done by its own task, between its passes: two passes never meet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use crate::log::{self, Chain};
use crate::model::CalendarName;
use crate::state::{State, StateError};
use crate::sync::{Bridge, PassError, Preview, Report, Unlink, Unlinked, Watched};

/// How many errands wait for one calendar.
const MOST_WAITING: usize = 32;

/// A calendar that changes under every write of ours is given up after so many passes.
const MOST_PASSES: usize = 1_000;

/// The outcome of an event that changed a moment ago.
const SETTLING: &str = "settling";

/// What an errand came to, or what went wrong in words.
pub type Told<T> = Result<T, String>;

/// What a command wants of a calendar, and where the answer goes.
pub(super) enum Errand {
    /// To be passed over at once, until what settles has settled.
    Sync {
        /// Links that are there are brought to what is configured now.
        rewrite: bool,
        answer: oneshot::Sender<Told<Report>>,
    },
    /// What a pass would do.
    Plan {
        /// One that rewrites links.
        rewrite: bool,
        answer: oneshot::Sender<Told<Preview>>,
    },
    /// What unlinking would take out.
    PlanUnlink {
        what: Unlink,
        answer: oneshot::Sender<Told<Preview>>,
    },
    /// To have links taken out.
    Unlink {
        what: Unlink,
        /// Their meetings end, too.
        end_meetings: bool,
        answer: oneshot::Sender<Told<Unlinked>>,
    },
    /// To go on.
    Resume(oneshot::Sender<Told<Option<String>>>),
}

/// The calendars that are being watched. Where the answer is `None`, nobody watches the calendar, or
/// not any more.
#[derive(Default)]
pub struct Desk {
    open: Mutex<BTreeMap<CalendarName, Counter>>,
    progress: Progress,
    begun: CancellationToken,
    news: AtomicU64,
}

struct Counter {
    calendar: Arc<Watched>,
    inbox: mpsc::Sender<Errand>,
    /// When it is passed over next, on the monotonic clock, if not at once.
    planned: Option<Duration>,
}

impl Desk {
    /// Takes errands for a calendar, until what comes back is dropped.
    pub(super) fn open(self: &Arc<Self>, calendar: &Arc<Watched>) -> Errands {
        let (inbox, errands) = mpsc::channel(MOST_WAITING);
        let counter = Counter {
            calendar: calendar.clone(),
            inbox: inbox.clone(),
            planned: None,
        };
        self.lock().insert(calendar.name.clone(), counter);
        Errands {
            desk: self.clone(),
            name: calendar.name.clone(),
            inbox,
            errands,
            syncs: Vec::new(),
            failed: false,
        }
    }

    /// When the tasks of the calendars last got on.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Every calendar has begun.
    pub(super) fn has_begun(&self) {
        self.begun.cancel();
    }

    /// Waits until every calendar has begun.
    pub(super) async fn ready(&self) {
        self.begun.cancelled().await;
    }

    /// How many passes had something to tell.
    pub(super) fn news(&self) -> u64 {
        self.news.load(Ordering::Relaxed)
    }

    /// When the next pass over any calendar is planned, on the monotonic clock; `None` without calendars.
    /// One that is under way, or due at once, counts as of the beginning of time.
    pub(super) fn next_pass(&self) -> Option<Duration> {
        let open = self.lock();
        let planned = open.values().map(|c| c.planned.unwrap_or_default());
        planned.min()
    }

    /// When the next pass over a calendar is planned, in the same way; `None`: nobody watches it.
    pub fn planned(&self, name: &CalendarName) -> Option<Duration> {
        Some(self.lock().get(name)?.planned.unwrap_or_default())
    }

    /// The calendars that are being watched, by name.
    pub fn calendars(&self) -> Vec<Arc<Watched>> {
        let open = self.lock();
        open.values().map(|c| c.calendar.clone()).collect()
    }

    /// Has a calendar passed over at once, and once more when all that changed has settled. The passes
    /// are made, even if nobody waits for the answer. `rewrite`: links that are there are brought to what
    /// is configured now.
    pub async fn sync(&self, name: &CalendarName, rewrite: bool) -> Option<Told<Report>> {
        self.leave(name, |answer| Errand::Sync { rewrite, answer })
            .await
    }

    /// What a pass over a calendar would do, one that rewrites links or not.
    pub async fn plan(&self, name: &CalendarName, rewrite: bool) -> Option<Told<Preview>> {
        self.leave(name, |answer| Errand::Plan { rewrite, answer })
            .await
    }

    /// What unlinking would take out of a calendar.
    pub async fn plan_unlink(&self, name: &CalendarName, what: Unlink) -> Option<Told<Preview>> {
        self.leave(name, |answer| Errand::PlanUnlink { what, answer })
            .await
    }

    /// Has links taken out of a calendar, whether anybody waits for the answer or not.
    pub async fn unlink(
        &self,
        name: &CalendarName,
        what: Unlink,
        end_meetings: bool,
    ) -> Option<Told<Unlinked>> {
        self.leave(name, |answer| Errand::Unlink {
            what,
            end_meetings,
            answer,
        })
        .await
    }

    /// Lifts a calendar's freeze and has it passed over; the answer is why there was one.
    pub async fn resume(&self, name: &CalendarName) -> Option<Told<Option<String>>> {
        self.leave(name, Errand::Resume).await
    }

    async fn leave<T>(
        &self,
        name: &CalendarName,
        errand: impl FnOnce(oneshot::Sender<Told<T>>) -> Errand,
    ) -> Option<Told<T>> {
        let (answer, told) = oneshot::channel();
        let inbox = self.lock().get(name)?.inbox.clone();
        match inbox.try_send(errand(answer)) {
            Ok(()) => told.await.ok(),
            Err(TrySendError::Full(_)) => Some(Err(
                "too many commands wait for this calendar; try again".to_owned(),
            )),
            Err(TrySendError::Closed(_)) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CalendarName, Counter>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lifts the freeze of a calendar that no pass is under way over; returns why there was one. Every
/// event is decided again by the next pass.
///
/// # Errors
/// When the state cannot be written.
pub fn lift(
    state: &State,
    name: &CalendarName,
    now: DateTime<Utc>,
) -> Result<Option<String>, StateError> {
    let was = state.resume(name, now)?;
    log::event!(CALENDAR_RESUMED, calendar = %name);
    Ok(was.map(|frozen| frozen.why))
}

/// Whether any event of the calendar was settling when it was last decided.
///
/// # Errors
/// When the state cannot be read.
pub fn is_settling(state: &State, name: &CalendarName) -> Result<bool, StateError> {
    let resources = state.resources(name)?;
    let mut outcomes = resources.iter().flat_map(|resource| &resource.outcome);
    Ok(outcomes.any(|(name, _)| name == SETTLING))
}

/// The errands of one calendar, as its task sees them.
pub struct Errands {
    desk: Arc<Desk>,
    name: CalendarName,
    inbox: mpsc::Sender<Errand>,
    errands: mpsc::Receiver<Errand>,
    /// The syncs under way.
    syncs: Vec<Sync>,
    /// The last pass failed.
    failed: bool,
}

struct Sync {
    /// When it was asked for that links be rewritten, if it was.
    rewrite: Option<DateTime<Utc>>,
    /// What the passes did so far.
    total: Report,
    passes: usize,
    /// Something has changed a moment ago.
    settling: bool,
    /// When all that was settling after the first pass has settled, on the monotonic clock.
    settled: Option<Duration>,
    answer: oneshot::Sender<Told<Report>>,
}

impl Errands {
    /// The calendar's name.
    pub(super) fn name(&self) -> &CalendarName {
        &self.name
    }

    /// They are run for `calendar` from here on, which has the same name and is configured otherwise.
    pub(super) fn serve(&mut self, calendar: &Arc<Watched>) {
        // How long they settle is another time.
        self.syncs.iter_mut().for_each(|sync| sync.settled = None);
        if let Some(counter) = self.desk.lock().get_mut(&self.name)
            && counter.inbox.same_channel(&self.inbox)
        {
            counter.calendar = calendar.clone();
        }
    }

    /// Waits for the next errand. Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Errand {
        match self.errands.recv().await {
            Some(errand) => errand,
            // Its own sender is in `inbox`.
            None => std::future::pending().await,
        }
    }

    /// Runs an errand between two passes; returns whether all of the calendar is to be passed over.
    pub(super) async fn run(
        &mut self,
        errand: Errand,
        bridge: &Bridge,
        calendar: &Watched,
    ) -> bool {
        // Whoever does not listen any more has gone; that changes nothing.
        match errand {
            Errand::Sync { rewrite, answer } => {
                // Where the state fails, the pass says so.
                let _ = bridge.retry_failed(calendar);
                self.syncs.push(Sync {
                    rewrite: rewrite.then(|| bridge.clock.now()),
                    total: Report::default(),
                    passes: 0,
                    settling: is_settling(&bridge.state, &calendar.name).unwrap_or(false),
                    settled: None,
                    answer,
                });
                true
            }
            Errand::Plan { answer, .. } if answer.is_closed() => false,
            Errand::Plan { rewrite, answer } => {
                let preview = match rewrite {
                    true => bridge.preview_rewrite(calendar).await,
                    false => bridge.preview(calendar).await,
                };
                let _ = answer.send(preview.map_err(|error| Chain(&error).to_string()));
                false
            }
            Errand::PlanUnlink { answer, .. } if answer.is_closed() => false,
            Errand::PlanUnlink { what, answer } => {
                let preview = bridge.preview_unlink(calendar, &what).await;
                let _ = answer.send(preview.map_err(|error| Chain(&error).to_string()));
                false
            }
            Errand::Unlink {
                what,
                end_meetings,
                answer,
            } => {
                let done = bridge.unlink(calendar, &what, end_meetings).await;
                let _ = answer.send(done.map_err(|error| Chain(&error).to_string()));
                true
            }
            Errand::Resume(answer) => {
                let lifted = lift(&bridge.state, &calendar.name, bridge.clock.now());
                let is_lifted = lifted.is_ok();
                let _ = answer.send(lifted.map_err(|error| Chain(&error).to_string()));
                is_lifted
            }
        }
    }

    /// Since when it is asked for that links be rewritten, if it is.
    pub(super) fn rewrite(&self) -> Option<DateTime<Utc>> {
        self.syncs.iter().filter_map(|sync| sync.rewrite).max()
    }

    /// Takes in how a pass ended: a sync is answered when nothing is left to be done for it.
    pub(super) fn passed(
        &mut self,
        result: &Result<Report, PassError>,
        settle: Duration,
        now: Duration,
    ) {
        let failed = std::mem::replace(&mut self.failed, result.is_err());
        if failed || !result.as_ref().is_ok_and(Report::is_quiet) {
            self.desk.news.fetch_add(1, Ordering::Relaxed);
        }
        let syncs = std::mem::take(&mut self.syncs);
        for mut sync in syncs {
            let report = match result {
                Ok(report) => report,
                Err(error) => {
                    let _ = sync.answer.send(Err(Chain(error).to_string()));
                    continue;
                }
            };
            sync.take_in(report);
            if sync.settled.is_none() && report.again.is_empty() && sync.settling {
                sync.settled = Some(now.saturating_add(settle));
            }
            let left = !report.again.is_empty() || sync.settled.is_some_and(|at| now < at);
            if left && sync.passes < MOST_PASSES && !sync.answer.is_closed() {
                self.syncs.push(sync);
            } else {
                let _ = sync.answer.send(Ok(sync.total));
            }
        }
    }

    /// Nothing of the calendar is due: a sync that waited for that is answered.
    pub(super) fn rest(&mut self, now: Duration) {
        let over = |sync: &mut Sync| sync.settled.is_some_and(|at| at <= now);
        for sync in self.syncs.extract_if(.., over) {
            let _ = sync.answer.send(Ok(sync.total));
        }
    }

    /// Notes when the calendar is passed over next; `None`: a pass is under way, or due at once.
    pub(super) fn planned(&self, at: Option<Duration>) {
        if let Some(counter) = self.desk.lock().get_mut(&self.name) {
            counter.planned = at;
        }
    }

    /// How long nothing need be done for any sync.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        let settled = self.syncs.iter().filter_map(|sync| sync.settled);
        settled
            .min()
            .map_or(Duration::MAX, |at| at.saturating_sub(now))
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        let mut open = self.desk.lock();
        let same = |counter: &Counter| counter.inbox.same_channel(&self.inbox);
        if open.get(&self.name).is_some_and(same) {
            open.remove(&self.name);
        }
    }
}

impl Sync {
    fn take_in(&mut self, report: &Report) {
        self.passes += 1;
        self.settling |= report.outcome.contains_key(SETTLING);
        match self.passes {
            1 => self.total = report.clone(),
            _ => self.total.merge(report.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
