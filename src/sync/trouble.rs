//! Failures that outlive a pass, told to the log when they start, change and end.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::calendar::{ReadError, WriteRefusal};
use crate::log::{self, Chain, Lasting};
use crate::meeting::MeetingError;
use crate::model::{CalendarName, OrganizerId, ResourceId, Uid};
use crate::state::StateError;

use super::refused::Refusals;
use super::watchlist::Watchlist;
use super::{Bridge, PassError, Report, Watched};

/// How long nothing is asked of a meeting service that does not answer: at first, and at most.
const OUTAGE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15 * 60));

/// How often in a row a resource is decided again at once whose write came to nothing.
const AT_ONCE: u32 = 2;

/// What fails at the moment. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    lasting: Arc<Lasting<Trouble>>,
    /// Passes in a row that the meeting service did not answer.
    outages: Arc<AtomicU32>,
    /// Writes in a row that came to nothing because a resource changed meanwhile.
    collisions: Arc<Mutex<HashMap<(CalendarName, ResourceId), u32>>>,
    /// What is read, so that nothing is missed there.
    watchlist: Arc<Watchlist>,
    /// Whom the meeting service refuses.
    refusals: Refusals,
    /// Organizers who were given up, by calendar.
    abandoned: Arc<Mutex<HashSet<(CalendarName, OrganizerId)>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    State,
    Graph,
    Organizer(OrganizerId),
    Settings(CalendarName, OrganizerId),
    Calendar(CalendarName),
    Budget(CalendarName, &'static str),
    Reading(CalendarName, ResourceId),
    Writing(CalendarName, ResourceId),
    Event(CalendarName, ResourceId, String),
    Removed(CalendarName, ResourceId, String),
    Meeting(CalendarName, Uid),
}

impl Bridge {
    pub(super) fn watchlist(&self) -> &Watchlist {
        &self.troubles.watchlist
    }

    /// Tells the log of failures that start or end, and the state for `status`; where the state
    /// itself fails, the log alone has it.
    pub fn note(&self, calendar: &Watched, result: &Result<Report, PassError>) {
        let error = result.as_ref().err();
        self.troubles.pass(&calendar.name, error);
        if matches!(error, Some(PassError::State(_))) {
            return;
        }
        self.troubles.refusals.remember(&self.state);
        let failing = error.map(|error| Chain(error).to_string());
        let needs_person =
            matches!(error, Some(PassError::Calendar(error)) if error.needs_person());
        // Compared with what an earlier process left there, too.
        if let Ok(mut record) = self.state.calendar(&calendar.name)
            && (&record.failing, record.needs_person) != (&failing, needs_person)
        {
            record.failing = failing;
            record.needs_person = needs_person;
            let _ = self.state.put_calendar(&calendar.name, &record);
        }
    }
}

impl Troubles {
    /// Notes how a pass over a calendar ended.
    fn pass(&self, calendar: &CalendarName, error: Option<&PassError>) {
        match error {
            Some(PassError::State(error)) => self.state(error),
            Some(error) => {
                let text = Chain(error).to_string();
                let what = Trouble::Calendar(calendar.clone());
                if self.lasting.fails(what, text.clone()) {
                    log::event!(CALENDAR_FAILING, calendar = %calendar, error = %text);
                }
            }
            None => {
                if self.lasting.works(&Trouble::State) {
                    log::event!(STATE_RECOVERED);
                }
                if self.lasting.works(&Trouble::Calendar(calendar.clone())) {
                    log::event!(CALENDAR_RECOVERED, calendar = %calendar);
                }
            }
        }
    }

    /// Notes that the task of a calendar broke down; its next pass that ends well ends that.
    pub(crate) fn broke_down(&self, calendar: &CalendarName) {
        let error = "an error inside meetbridge; please report it";
        let what = Trouble::Calendar(calendar.clone());
        if self.lasting.fails(what, error) {
            log::event!(CALENDAR_FAILING, calendar = %calendar, error = error);
        }
    }

    fn state(&self, error: &StateError) {
        let text = Chain(error).to_string();
        if self.lasting.fails(Trouble::State, text.clone()) {
            log::event!(STATE_FAILING, error = %text);
        }
    }

    /// Notes that a resource cannot be read.
    pub(super) fn unreadable(&self, calendar: &CalendarName, id: &ResourceId, error: &ReadError) {
        let text = Chain(error).to_string();
        let what = Trouble::Reading(calendar.clone(), id.clone());
        if self.lasting.fails(what, text.clone()) {
            log::event!(RESOURCE_UNREADABLE, calendar = %calendar, resource = %id, error = %text);
        }
    }

    /// Notes that a calendar is not watched any more, and all that was wrong with it.
    pub(super) fn left(&self, calendar: &CalendarName) {
        self.lasting.retain(|what| match what {
            Trouble::Calendar(its)
            | Trouble::Settings(its, _)
            | Trouble::Budget(its, _)
            | Trouble::Reading(its, _)
            | Trouble::Writing(its, _)
            | Trouble::Event(its, _, _)
            | Trouble::Removed(its, _, _)
            | Trouble::Meeting(its, _) => its != calendar,
            Trouble::State | Trouble::Graph | Trouble::Organizer(_) => true,
        });
        self.collisions().retain(|(its, _), _| its != calendar);
    }

    /// Notes that a resource is gone, and all that was wrong with it.
    pub(super) fn vanished(&self, calendar: &CalendarName, id: &ResourceId) {
        self.lasting.retain(|what| match what {
            Trouble::Reading(its, of)
            | Trouble::Writing(its, of)
            | Trouble::Event(its, of, _)
            | Trouble::Removed(its, of, _) => (its, of) != (calendar, id),
            _ => true,
        });
        self.settled(calendar, id);
    }

    /// Notes that a write came to nothing, because the resource changed meanwhile or nobody knows how it
    /// ended. Whether the resource is to be decided again at once: twice in a row, then not once.
    pub(super) fn collided(&self, calendar: &CalendarName, id: &ResourceId) -> bool {
        let mut collisions = self.collisions();
        let key = (calendar.clone(), id.clone());
        let times = collisions.entry(key.clone()).or_default();
        *times += 1;
        let at_once = *times <= AT_ONCE;
        if !at_once {
            collisions.remove(&key);
        }
        at_once
    }

    /// Notes that a resource was written, or needs no write.
    pub(super) fn settled(&self, calendar: &CalendarName, id: &ResourceId) {
        let mut collisions = self.collisions();
        if !collisions.is_empty() {
            collisions.remove(&(calendar.clone(), id.clone()));
        }
    }

    fn collisions(&self) -> MutexGuard<'_, HashMap<(CalendarName, ResourceId), u32>> {
        self.collisions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a resource was read.
    pub(super) fn readable(&self, calendar: &CalendarName, id: &ResourceId) {
        let what = Trouble::Reading(calendar.clone(), id.clone());
        if self.lasting.works(&what) {
            log::event!(RESOURCE_RECOVERED, calendar = %calendar, resource = %id);
        }
    }

    /// Notes that a resource cannot be written: until a person acts (`refused`), or for a while.
    pub(super) fn unwritable(
        &self,
        calendar: &CalendarName,
        id: &ResourceId,
        why: &WriteRefusal,
        refused: bool,
    ) {
        let text = Chain(why).to_string();
        let what = Trouble::Writing(calendar.clone(), id.clone());
        if !self.lasting.fails(what, text.clone()) {
            return;
        }
        if refused {
            log::event!(WRITE_REFUSED, calendar = %calendar, resource = %id, error = %text);
        } else {
            log::event!(WRITE_FAILED, calendar = %calendar, resource = %id, error = %text);
        }
    }

    /// Notes that a resource was written.
    pub(super) fn written(&self, calendar: &CalendarName, id: &ResourceId) {
        self.settled(calendar, id);
        let what = Trouble::Writing(calendar.clone(), id.clone());
        if self.lasting.works(&what) {
            log::event!(WRITE_RECOVERED, calendar = %calendar, resource = %id);
        }
    }

    /// Notes that nobody knows whether a resource was written.
    pub(super) fn write_unknown(&self, calendar: &CalendarName, id: &ResourceId, text: &str) {
        let what = Trouble::Writing(calendar.clone(), id.clone());
        if self.lasting.fails(what, format!("unknown: {text}")) {
            log::event!(WRITE_UNKNOWN, calendar = %calendar, resource = %id, error = %text);
        }
    }

    /// Notes what is wrong with an event, named by its UID or line. Whether it is news.
    pub(super) fn event_fails(
        &self,
        calendar: &CalendarName,
        id: &ResourceId,
        event: &str,
        text: &str,
    ) -> bool {
        let what = Trouble::Event(calendar.clone(), id.clone(), event.to_owned());
        self.lasting.fails(what, text)
    }

    /// Notes that nothing is wrong with an event. Whether it is news.
    pub(super) fn event_works(
        &self,
        calendar: &CalendarName,
        id: &ResourceId,
        event: &str,
    ) -> bool {
        let what = Trouble::Event(calendar.clone(), id.clone(), event.to_owned());
        self.lasting.works(&what)
    }

    /// Notes that a person took the link out of an event. Whether it is news.
    pub(super) fn is_removed(&self, calendar: &CalendarName, id: &ResourceId, event: &str) -> bool {
        let what = Trouble::Removed(calendar.clone(), id.clone(), event.to_owned());
        self.lasting.fails(what, "")
    }

    /// Notes that nobody took the link out of an event.
    pub(super) fn is_back(&self, calendar: &CalendarName, id: &ResourceId, event: &str) {
        let what = Trouble::Removed(calendar.clone(), id.clone(), event.to_owned());
        self.lasting.works(&what);
    }

    /// Notes that the meeting service refuses the meeting of an event.
    pub(super) fn meeting_refused(
        &self,
        calendar: &CalendarName,
        uid: &Uid,
        organizer: &OrganizerId,
        error: &MeetingError,
    ) {
        let what = Trouble::Meeting(calendar.clone(), uid.clone());
        if self.lasting.fails(what, error.to_string()) {
            log::event!(MEETING_REFUSED, calendar = %calendar, uid = %uid, organizer = %organizer,
                error = %error);
        }
    }

    /// Notes that all meetings of an event are dead.
    pub(super) fn meeting_dead(&self, calendar: &CalendarName, uid: &Uid) {
        let what = Trouble::Meeting(calendar.clone(), uid.clone());
        if self.lasting.fails(what, "dead") {
            log::event!(MEETING_DEAD, calendar = %calendar, uid = %uid);
        }
    }

    /// Notes that the meeting service did what an event's meeting needed.
    pub(super) fn meeting_taken(&self, calendar: &CalendarName, uid: &Uid) {
        let what = Trouble::Meeting(calendar.clone(), uid.clone());
        if self.lasting.works(&what) {
            log::event!(MEETING_TAKEN, calendar = %calendar, uid = %uid);
        }
    }

    /// Notes that an organizer of the calendar's old links is given up. Whether that is news.
    pub(super) fn is_abandoned(&self, calendar: &CalendarName, organizer: &OrganizerId) -> bool {
        let mut abandoned = self
            .abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        abandoned.insert((calendar.clone(), organizer.clone()))
    }

    /// Notes that a budget is used up until a time. Whether that is news.
    pub(super) fn budget_ends(
        &self,
        calendar: &CalendarName,
        budget: &'static str,
        until: Option<DateTime<Utc>>,
    ) -> bool {
        let until = until.map_or_else(String::new, |until| until.to_string());
        self.lasting
            .fails(Trouble::Budget(calendar.clone(), budget), until)
    }

    /// How long nothing is asked of a meeting service that did not answer; longer with every pass.
    pub(super) fn outage(&self) -> Duration {
        let times = self.outages.load(Ordering::Relaxed).min(8);
        (OUTAGE.0 * 2_u32.pow(times)).min(OUTAGE.1)
    }

    /// Whether some resource of the calendar cannot be read.
    pub(super) fn is_partly_unreadable(&self, calendar: &CalendarName) -> bool {
        let of_it = |what: &Trouble| matches!(what, Trouble::Reading(name, _) if name == calendar);
        self.lasting.any(of_it)
    }

    /// Notes that the meeting service did not answer in this pass.
    pub(super) fn unanswered(&self) {
        self.outages.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the meeting service did what it was asked for.
    pub(super) fn meeting_made(&self, organizer: &OrganizerId) {
        self.outages.store(0, Ordering::Relaxed);
        self.refusals.worked(organizer);
        let graph = self.lasting.works(&Trouble::Graph);
        let own = self.lasting.works(&Trouble::Organizer(organizer.clone()));
        if graph || own {
            log::event!(GRAPH_RECOVERED, organizer = %organizer);
        }
    }

    /// Notes that an organizer's meeting did not take the settings of a calendar.
    pub(super) fn settings_refused(
        &self,
        calendar: &CalendarName,
        organizer: &OrganizerId,
        why: &str,
    ) {
        let what = Trouble::Settings(calendar.clone(), organizer.clone());
        if self.lasting.fails(what, why) {
            log::event!(SETTINGS_REFUSED, calendar = %calendar, organizer = %organizer, error = why);
        }
    }

    /// Notes that it did.
    pub(super) fn settings_taken(&self, calendar: &CalendarName, organizer: &OrganizerId) {
        let what = Trouble::Settings(calendar.clone(), organizer.clone());
        if self.lasting.works(&what) {
            log::event!(SETTINGS_TAKEN, calendar = %calendar, organizer = %organizer);
        }
    }

    /// Notes a failure of the meeting service that concerns more than one event.
    pub(super) fn meeting_failed(&self, organizer: &OrganizerId, error: &MeetingError) {
        self.refusals.refused(organizer, error);
        match error {
            MeetingError::Request(_) | MeetingError::Gone => {}
            MeetingError::Organizer(text) | MeetingError::NoOrganizer(text) => {
                if self
                    .lasting
                    .fails(Trouble::Organizer(organizer.clone()), text.clone())
                {
                    log::event!(GRAPH_ORGANIZER, organizer = %organizer, error = %text);
                }
            }
            MeetingError::Credential(text) => {
                if self.lasting.fails(Trouble::Graph, text.clone()) {
                    log::event!(GRAPH_CREDENTIAL, error = %text);
                }
            }
            MeetingError::Throttled { until } => {
                if self.lasting.fails(Trouble::Graph, "throttled") {
                    log::event!(GRAPH_THROTTLED, until = %until);
                }
            }
            MeetingError::Transient(text) => {
                if self.lasting.fails(Trouble::Graph, text.clone()) {
                    log::event!(GRAPH_UNREACHABLE, error = %text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_that_keeps_changing_is_decided_again_twice_in_a_row() {
        let (troubles, team) = (Troubles::default(), CalendarName::new("team"));
        let (one, two) = (ResourceId::new("1.ics"), ResourceId::new("2.ics"));
        let collided = |id| troubles.collided(&team, id);
        assert_eq!([collided(&one), collided(&one)], [true, true]);
        assert!(collided(&two), "each is counted by itself");
        assert!(!collided(&one));
        // After a rest it has its tries again; one that settles between has them all.
        assert!(collided(&one));
        troubles.settled(&team, &one);
        assert_eq!([0; 3].map(|_| collided(&one)), [true, true, false]);
    }

    #[test]
    fn what_was_wrong_with_a_resource_is_forgotten_when_it_is_gone() {
        let (troubles, team) = (Troubles::default(), CalendarName::new("team"));
        let (one, two) = (ResourceId::new("1.ics"), ResourceId::new("2.ics"));
        assert!(troubles.event_fails(&team, &one, "uid", "odd"));
        assert!(troubles.event_fails(&team, &two, "uid", "odd"));
        troubles.vanished(&team, &one);
        assert!(troubles.event_fails(&team, &one, "uid", "odd"));
        assert!(!troubles.event_fails(&team, &two, "uid", "odd"));
    }
}
