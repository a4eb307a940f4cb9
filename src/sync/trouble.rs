//! Failures that outlive a pass, told to the log when they start, change and end.

use crate::log::{self, Chain, Lasting};
use crate::meeting::MeetingError;
use crate::model::{CalendarName, OrganizerId};
use crate::state::StateError;

use super::PassError;

/// What fails at the moment.
#[derive(Debug, Default)]
pub struct Troubles(Lasting<Trouble>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    State,
    Graph,
    Organizer(OrganizerId),
    Calendar(CalendarName),
}

impl Troubles {
    /// Notes how a pass over a calendar ended. Returns the failure to be shown by `status` when that
    /// changed: `Some(None)` when it ended.
    pub fn pass(
        &self,
        calendar: &CalendarName,
        error: Option<&PassError>,
    ) -> Option<Option<String>> {
        match error {
            Some(PassError::State(error)) => {
                self.state(error);
                None
            }
            Some(error) => {
                let text = Chain(error).to_string();
                let news = self
                    .0
                    .fails(Trouble::Calendar(calendar.clone()), text.clone());
                if news {
                    log::event!(CALENDAR_FAILING, calendar = %calendar, error = %text);
                }
                news.then_some(Some(text))
            }
            None => {
                if self.0.works(&Trouble::State) {
                    log::event!(STATE_RECOVERED);
                }
                let news = self.0.works(&Trouble::Calendar(calendar.clone()));
                if news {
                    log::event!(CALENDAR_RECOVERED, calendar = %calendar);
                }
                news.then_some(None)
            }
        }
    }

    fn state(&self, error: &StateError) {
        let text = Chain(error).to_string();
        if self.0.fails(Trouble::State, text.clone()) {
            log::event!(STATE_FAILING, error = %text);
        }
    }

    /// Notes that the meeting service did what it was asked for.
    pub(super) fn meeting_made(&self, organizer: &OrganizerId) {
        let graph = self.0.works(&Trouble::Graph);
        let own = self.0.works(&Trouble::Organizer(organizer.clone()));
        if graph || own {
            log::event!(GRAPH_RECOVERED, organizer = %organizer);
        }
    }

    /// Notes a failure of the meeting service that concerns more than one event.
    pub(super) fn meeting_failed(&self, organizer: &OrganizerId, error: &MeetingError) {
        match error {
            MeetingError::Request(_) | MeetingError::Gone => {}
            MeetingError::Organizer(text) => {
                if self
                    .0
                    .fails(Trouble::Organizer(organizer.clone()), text.clone())
                {
                    log::event!(GRAPH_ORGANIZER, organizer = %organizer, error = %text);
                }
            }
            MeetingError::Credential(text) => {
                if self.0.fails(Trouble::Graph, text.clone()) {
                    log::event!(GRAPH_CREDENTIAL, error = %text);
                }
            }
            MeetingError::Throttled { until } => {
                if self.0.fails(Trouble::Graph, "throttled") {
                    log::event!(GRAPH_THROTTLED, until = %until);
                }
            }
            MeetingError::Transient(text) => {
                if self.0.fails(Trouble::Graph, text.clone()) {
                    log::event!(GRAPH_UNREACHABLE, error = %text);
                }
            }
        }
    }
}
