//! Everything that is watched, and how it changes while the daemon runs.
//!
//! What stays as it is, is not touched: not its task, not its timers, not its pass. What is changed or
//! removed finishes the pass that it is in first; two passes over one calendar never meet.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account::{self, Account};
use super::desk::{Desk, Errands};
use super::{ANEW, GRACE, Kept, Source, schedule};
use crate::log;
use crate::model::CalendarName;
use crate::sync::Bridge;

/// What every task of the daemon shares.
#[derive(Clone)]
pub(super) struct Shared {
    /// What all calendars share, as it is configured at present.
    pub(super) bridges: watch::Receiver<Arc<Bridge>>,
    pub(super) desk: Arc<Desk>,
    tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Shared {
    /// The bridge of the present.
    pub(super) fn bridge(&self) -> Arc<Bridge> {
        self.bridges.borrow().clone()
    }

    /// Tells the log what stays of a calendar that is not configured any more.
    pub(super) fn removed(&self, name: &CalendarName) {
        let own = self.bridge().state.overview_of(name).ok().flatten();
        let linked: u32 = own.iter().flat_map(|own| &own.links).sum();
        log::event!(CALENDAR_REMOVED, calendar = %name, linked = linked);
    }
}

/// Waits for another bridge than the one that was looked at last; it is still to be looked at.
pub(super) async fn another(bridges: &mut watch::Receiver<Arc<Bridge>>) {
    if bridges.changed().await.is_err() {
        // There will be none.
        std::future::pending().await
    }
    bridges.mark_changed();
}

/// All that is watched: calendars, and accounts whose calendars are found out.
pub struct Fleet {
    bridges: watch::Sender<Arc<Bridge>>,
    shared: Shared,
    calendars: Berths,
    accounts: BTreeMap<String, AccountBerth>,
    /// Accounts that come to their end.
    leaving: BTreeMap<String, JoinHandle<()>>,
}

struct AccountBerth {
    /// `None`: it is left.
    orders: watch::Sender<Option<Arc<dyn Account>>>,
    task: JoinHandle<()>,
}

impl Fleet {
    /// Watches nothing yet. The calendars will take errands from `desk`, until `stop`.
    pub fn new(bridge: Arc<Bridge>, desk: Arc<Desk>, stop: CancellationToken) -> Self {
        let (bridges, present) = watch::channel(bridge);
        let shared = Shared {
            bridges: present,
            desk,
            tasks: TaskTracker::new(),
            stop,
        };
        Self {
            bridges,
            calendars: Berths::new(shared.clone()),
            shared,
            accounts: BTreeMap::new(),
            leaving: BTreeMap::new(),
        }
    }

    /// Begins to watch a calendar or an account. One of this name that is watched already finishes its
    /// pass and goes on as it is described here; whoever waits for an errand there goes on waiting.
    pub fn set(&mut self, source: Source) {
        match source {
            Source::Calendar(kept) => {
                self.remove_account(kept.calendar.name.as_str());
                self.calendars.watch(kept);
            }
            Source::Account(account) => {
                self.calendars.leave(&CalendarName::new(account.name()));
                self.set_account(account);
            }
        }
    }

    /// Ends to watch the calendar or account of this name, after the pass that it is in. Its links and
    /// meetings stay.
    pub fn remove(&mut self, name: &str) {
        let calendar = CalendarName::new(name);
        if self.calendars.watches(&calendar) {
            self.shared.removed(&calendar);
            self.calendars.leave(&calendar);
        }
        // An account tells of its calendars when it leaves them.
        self.remove_account(name);
    }

    /// Has all calendars go on with another bridge, from their next pass on. What failed is tried again
    /// at once; a Retry-After window stays closed all the same.
    pub fn exchange(&self, bridge: Arc<Bridge>) {
        self.bridges.send_replace(bridge);
    }

    /// Has all secrets read anew before they are used next.
    pub fn reread_secrets(&self) {
        self.shared.bridge().meetings.reread_secrets();
        for berth in self.calendars.watched.values() {
            if let Order::Watch(kept) = &*berth.orders.borrow() {
                kept.calendar.port.reread_secrets();
            }
        }
        for berth in self.accounts.values() {
            if let Some(account) = &*berth.orders.borrow() {
                account.reread_secrets();
            }
        }
    }

    /// Ends what is watched, after `stop`: waits until everything that has begun is finished, but no
    /// longer than the time of grace or until `hurry`. Returns whether it is; what is not is redone by
    /// the next start.
    pub async fn finish(self, hurry: &CancellationToken) -> bool {
        log::event!(DAEMON_STOPPING);
        let Shared { tasks, .. } = &self.shared;
        tasks.close();
        let bridge = self.shared.bridge();
        let finished = tokio::select! {
            () = tasks.wait() => true,
            () = bridge.clock.sleep(GRACE) => false,
            () = hurry.cancelled() => false,
        };
        match finished {
            true => log::event!(DAEMON_STOPPED),
            false => log::event!(DAEMON_CUT_SHORT),
        }
        finished
    }

    fn set_account(&mut self, account: Arc<dyn Account>) {
        let name = account.name().to_owned();
        let bridge = self.shared.bridge();
        // What it had told of its calendars holds no longer.
        bridge.leaves_account(&name);
        bridge.watches_account(&name);
        if let Some(berth) = self.accounts.get(&name) {
            berth.orders.send_replace(Some(account));
            return;
        }
        let before = self.leaving.remove(&name);
        let (orders, told) = watch::channel(Some(account));
        let keep = account::keep(self.shared.clone(), told, before);
        let task = self.shared.tasks.spawn(keep);
        self.accounts.insert(name, AccountBerth { orders, task });
    }

    fn remove_account(&mut self, name: &str) {
        self.leaving.retain(|_, task| !task.is_finished());
        if let Some(AccountBerth { orders, task }) = self.accounts.remove(name) {
            self.shared.bridge().leaves_account(name);
            orders.send_replace(None);
            self.leaving.insert(name.to_owned(), task);
        }
    }
}

/// What the task of a calendar is to do.
#[derive(Clone)]
enum Order {
    /// To watch it, as described.
    Watch(Kept),
    /// To let it be, until another order comes.
    Rest,
    /// To end.
    Leave,
}

struct Berth {
    orders: watch::Sender<Order>,
    task: JoinHandle<()>,
    rests: bool,
}

/// Calendars, each with a task of its own.
pub(super) struct Berths {
    shared: Shared,
    watched: BTreeMap<CalendarName, Berth>,
    /// Tasks that come to their end.
    leaving: BTreeMap<CalendarName, JoinHandle<()>>,
}

impl Berths {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            shared,
            watched: BTreeMap::new(),
            leaving: BTreeMap::new(),
        }
    }

    /// Watches a calendar, as described here from its next pass on. It takes errands from the moment
    /// of the call.
    pub(super) fn watch(&mut self, kept: Kept) {
        let name = kept.calendar.name.clone();
        let bridge = self.shared.bridge();
        if let Some(berth) = self.watched.get_mut(&name) {
            // What was read of it may have been read elsewhere.
            bridge.leaves(&name);
            bridge.watches(&name);
            berth.rests = false;
            berth.orders.send_replace(Order::Watch(kept));
            return;
        }
        bridge.watches(&name);
        let before = self.leaving.remove(&name);
        let errands = self.shared.desk.open(&kept.calendar);
        let (orders, told) = watch::channel(Order::Watch(kept));
        let keep = keep_watching(self.shared.clone(), told, errands, before);
        let task = self.shared.tasks.spawn(keep);
        let berth = Berth {
            orders,
            task,
            rests: false,
        };
        self.watched.insert(name, berth);
    }

    /// Whether the calendar is watched, and does not rest.
    pub(super) fn watches(&self, name: &CalendarName) -> bool {
        self.watched.get(name).is_some_and(|berth| !berth.rests)
    }

    /// The calendars that have a task.
    pub(super) fn names(&self) -> Vec<CalendarName> {
        self.watched.keys().cloned().collect()
    }

    /// Lets all calendars be after the pass that they are in; their errands wait.
    pub(super) fn rest(&mut self) {
        for berth in self.watched.values_mut() {
            berth.rests = true;
            berth.orders.send_replace(Order::Rest);
        }
    }

    /// Ends to watch the calendar, if it is watched, after the pass that it is in.
    pub(super) fn leave(&mut self, name: &CalendarName) {
        self.leaving.retain(|_, task| !task.is_finished());
        if let Some(Berth { orders, task, .. }) = self.watched.remove(name) {
            self.shared.bridge().leaves(name);
            orders.send_replace(Order::Leave);
            self.leaving.insert(name.clone(), task);
        }
    }

    /// Ends to watch those that rest.
    pub(super) fn leave_resting(&mut self) {
        for name in self.names() {
            if !self.watches(&name) {
                self.leave(&name);
            }
        }
    }

    /// Waits until every task that is to end has ended.
    pub(super) async fn ended(self) {
        for task in self.leaving.into_values() {
            // How it ended, it has logged itself.
            let _ = task.await;
        }
    }
}

/// Watches one calendar as it is ordered. A task that ends by an error inside meetbridge is begun anew
/// after a while: the fault stays with its calendar, and the calendar is not forgotten.
///
/// Begins when the task `before` has ended, which had the calendar until then.
async fn keep_watching(
    shared: Shared,
    mut orders: watch::Receiver<Order>,
    mut errands: Errands,
    before: Option<JoinHandle<()>>,
) {
    if let Some(before) = before {
        let _ = before.await;
    }
    let name = errands.name().clone();
    while !shared.stop.is_cancelled() {
        let order = orders.borrow_and_update().clone();
        let kept = match order {
            Order::Watch(kept) => kept,
            Order::Leave => break,
            Order::Rest => {
                shared.desk.progress().forget(&name);
                tokio::select! {
                    () = shared.stop.cancelled() => break,
                    changed = orders.changed() => if changed.is_err() { break },
                }
                continue;
            }
        };
        errands.serve(&kept.calendar);
        let round = shared.stop.child_token();
        let calendar = kept.calendar.clone();
        let watch = watch(shared.clone(), kept, errands, round.clone());
        let mut task = tokio::spawn(watch);
        let mut is_last = false;
        let ended = tokio::select! {
            ended = &mut task => ended,
            changed = orders.changed() => {
                is_last = changed.is_err();
                round.cancel();
                task.await
            }
        };
        errands = match ended {
            Ok(errands) => errands,
            Err(_) => {
                shared.bridge().troubles.broke_down(&name);
                tokio::select! {
                    () = shared.stop.cancelled() => break,
                    changed = orders.changed() => is_last = changed.is_err(),
                    () = shared.bridge().clock.sleep(ANEW) => {}
                }
                shared.desk.open(&calendar)
            }
        };
        if is_last {
            break;
        }
    }
    shared.desk.progress().forget(&name);
}

/// Passes over the calendar until `stop`, and hands back what is left of its errands.
async fn watch(
    shared: Shared,
    kept: Kept,
    mut errands: Errands,
    stop: CancellationToken,
) -> Errands {
    let Kept { calendar, rescan } = kept;
    let (clock, mut bridges) = (shared.bridge().clock.clone(), shared.bridges);
    let watch = schedule::watch(&mut bridges, &calendar, rescan, &mut errands, &stop);
    let progress = shared.desk.progress();
    progress.through(&calendar.name, &*clock, watch).await;
    errands
}

#[cfg(test)]
mod tests;
