//! What a person does to an event in Outlook. Pure.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::simulator::settings::Settings;
use crate::simulator::state::World;

/// Something that a person does in Outlook. As JSON, for `POST /_simulator/outlook`:
///
/// ```json
/// {"event": "event-uid-0001@example.org", "does": {"moveTo": "Bridge"}}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deed {
    /// The event: one of its ids, or the value of its first extended property (the first such event).
    pub event: String,
    /// What is done to it.
    pub does: Does,
}

/// What a person can do to an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Does {
    /// Drags it to another time, RFC 3339.
    Reschedule {
        /// The new start.
        start: DateTime<Utc>,
        /// The new end.
        end: DateTime<Utc>,
    },
    /// Moves it into the calendar of this name: its id changes, the immutable one does not.
    MoveTo(String),
    /// Deletes it, and with it its meeting.
    Delete,
    /// Writes this as its body, HTML. Without the block of the meeting that disables the meeting.
    Body(String),
}

impl World {
    /// Carries out what a person does; whether there is such an event, and it can be done.
    pub(in crate::simulator) fn outlook_deed(&mut self, settings: &Settings, deed: &Deed) -> bool {
        let Some((user, mut event)) = self.mailboxes.named(&deed.event) else {
            return false;
        };
        let now = settings.now();
        match &deed.does {
            Does::Reschedule { start, end } if start <= end => {
                (event.start.at, event.end.at) = (*start, *end);
                event.changed(now);
            }
            Does::Reschedule { .. } => return false,
            Does::MoveTo(calendar) => {
                let owner = settings.organizers.iter().find(|one| one.id == user);
                let mailbox = owner.and_then(|owner| owner.mailbox.as_ref());
                if !mailbox.is_some_and(|mailbox| mailbox.calendars.contains(calendar)) {
                    return false;
                }
                event.calendar.clone_from(calendar);
                event.moved(now);
            }
            Does::Delete => event.delete(now),
            Does::Body(html) => {
                event.set_body(&json!({"contentType": "html", "content": html}));
                event.changed(now);
            }
        }
        self.follow_event(&event, now);
        self.mailboxes.replace(&user, event);
        true
    }
}
