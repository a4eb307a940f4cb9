//! What the tests of several parts have in common.

use std::sync::Arc;
use std::time::Duration;

use crate::calendar::Calendar;
use crate::ical::write::Location;
use crate::model::{CalendarName, OrganizerId};
use crate::plan::{Rules, Select};
use crate::sync::Watched;

/// A calendar behind `port`, as it may be configured: events settle at once.
pub(super) fn watched(name: &str, port: Arc<dyn Calendar>) -> Watched {
    Watched {
        name: CalendarName::new(name),
        port,
        organizer: OrganizerId::new("11111111-1111-1111-1111-111111111111").unwrap(),
        organizers: Default::default(),
        on_cancel: Default::default(),
        on_delete: Default::default(),
        language: "en-US".to_owned(),
        style: Default::default(),
        rules: Rules {
            select: Select::All,
            horizon: Duration::from_secs(86_400),
            settle: Duration::ZERO,
            addresses: None,
            events_with_attendees: Default::default(),
            all_day: false,
            transparent: false,
            private: false,
        },
        zone: chrono_tz::Tz::UTC,
        location: Location::Url,
        show: Vec::new(),
        new_links_per_day: 1,
        form: crate::meeting::Form::default(),
    }
}
