//! Which calendars are watched, and when each was last read as a whole: an event that vanished from one of
//! them may have moved to another that nobody has looked at since.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use crate::model::CalendarName;

/// What is watched. In memory: a process that has not read a calendar yet knows nothing of it.
#[derive(Debug, Default)]
pub(super) struct Watchlist(Mutex<BTreeMap<Watching, Option<DateTime<Utc>>>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Watching {
    Calendar(CalendarName),
    /// Which calendars it has.
    Account(String),
}

impl Watchlist {
    fn watch(&self, what: Watching) {
        self.lock().entry(what).or_default();
    }

    fn read(&self, what: &Watching, at: DateTime<Utc>) {
        if let Some(last) = self.lock().get_mut(what) {
            *last = Some(at);
        }
    }

    /// What was not read as a whole after `since`, by its name.
    pub(super) fn unread(&self, since: DateTime<Utc>) -> Option<String> {
        let watched = self.lock();
        let mut unread = watched
            .iter()
            .filter(|(_, last)| last.is_none_or(|at| at <= since));
        unread.next().map(|(what, _)| match what {
            Watching::Calendar(name) => name.to_string(),
            Watching::Account(name) => name.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Watching, Option<DateTime<Utc>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl super::Bridge {
    /// The calendar is watched from now on.
    pub fn watches(&self, calendar: &CalendarName) {
        self.watchlist().watch(Watching::Calendar(calendar.clone()));
    }

    /// The calendar is not watched any more.
    pub fn leaves(&self, calendar: &CalendarName) {
        let what = Watching::Calendar(calendar.clone());
        self.watchlist().lock().remove(&what);
        self.troubles.left(calendar);
    }

    /// The calendar was read as a whole by a pass that began at `began`.
    pub(super) fn has_read(&self, calendar: &CalendarName, began: DateTime<Utc>) {
        self.watchlist()
            .read(&Watching::Calendar(calendar.clone()), began);
    }

    /// The calendars of the account are watched from now on, whichever it has.
    pub fn watches_account(&self, name: &str) {
        self.watchlist().watch(Watching::Account(name.to_owned()));
    }

    /// The account is not watched any more.
    pub fn leaves_account(&self, name: &str) {
        let what = Watching::Account(name.to_owned());
        self.watchlist().lock().remove(&what);
    }

    /// What that is watched was not read as a whole after `since`, by its name.
    #[cfg(test)]
    pub(crate) fn unread(&self, since: DateTime<Utc>) -> Option<String> {
        self.watchlist().unread(since)
    }

    /// The account told, when asked at `asked`, of every calendar that is wanted of it.
    pub fn has_found(&self, account: &str, asked: DateTime<Utc>) {
        self.watchlist()
            .read(&Watching::Account(account.to_owned()), asked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_to_be_read_after_the_moment() {
        let list = Watchlist::default();
        let at = |second| DateTime::from_timestamp(second, 0).unwrap_or_default();
        let team = Watching::Calendar(CalendarName::new("team"));
        let alice = Watching::Account("alice".to_owned());
        list.read(&team, at(100));
        assert_eq!(list.unread(at(0)), None, "nothing is watched");
        list.watch(team.clone());
        list.watch(alice.clone());
        assert_eq!(list.unread(at(0)).as_deref(), Some("team"));
        list.read(&team, at(10));
        assert_eq!(list.unread(at(0)).as_deref(), Some("alice"));
        list.read(&alice, at(20));
        assert_eq!(list.unread(at(9)), None);
        assert_eq!(
            list.unread(at(10)).as_deref(),
            Some("team"),
            "it began at that moment"
        );
        list.watch(team);
        assert_eq!(list.unread(at(9)), None, "watched as before");
    }
}
