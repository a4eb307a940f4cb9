//! PATCH of an onlineMeeting (graph-api.md, section 5). Pure.

use serde_json::{Map, Value};

use crate::model::Span;

use super::Desk;
use super::meetings::attendees;
use super::shape::{self, FIXED, PATCH};
use crate::simulator::manners::Verdict;
use crate::simulator::reply::{Refusal, Reply};
use crate::simulator::state::{Key, World};

/// What cannot change while somebody is in the meeting.
const NOT_IN_PROGRESS: &[&str] = &[
    "startDateTime",
    "endDateTime",
    "subject",
    "participants",
    "recordAutomatically",
    "allowBreakoutRooms",
    "allowLiveShare",
    "allowWhiteboard",
    "allowPowerPointSharing",
];

impl Desk<'_> {
    pub(super) fn patch(&self, world: &mut World, id: &str) -> Result<Reply, Refusal> {
        let body = self.changes()?;
        let times = self.times(&body)?;
        let attendees = attendees(&body)?;
        let presents = |attendee: &Value| attendee.get("role") == Some(&"presenter".into());
        if body.get("allowedPresenters") == Some(&"roleIsPresenter".into())
            && !attendees
                .as_ref()
                .is_some_and(|list| list.iter().any(presents))
        {
            return Err(Refusal::bad(
                "roleIsPresenter needs the list of attendees with the presenters marked.",
            ));
        }
        let meeting = self.find(world, id)?;
        let blocked = body
            .keys()
            .find(|name| NOT_IN_PROGRESS.contains(&name.as_str()));
        if let Some(name) = blocked.filter(|_| meeting.in_progress) {
            return Err(Refusal::bad(format!(
                "The property '{name}' cannot be updated while the meeting is in progress."
            )));
        }
        let hidden = |list: Option<&Value>| list.and_then(Value::as_array).cloned();
        if let Some(new) = hidden(body.get("anonymizeIdentityForRoles"))
            && let Some(old) = hidden(meeting.options.get("anonymizeIdentityForRoles"))
            && !old.iter().all(|role| new.contains(role))
        {
            return Err(Refusal::bad(
                "anonymizeIdentityForRoles cannot be taken back.",
            ));
        }
        if let Some(Span { start, end }) = times {
            meeting.reschedule(start, end);
        }
        if let Some(attendees) = attendees {
            meeting.attendees = attendees;
        }
        for (name, value) in body {
            match name.as_str() {
                "startDateTime" | "endDateTime" | "participants" => {}
                "subject" => meeting.subject = value.as_str().map(str::to_owned),
                name => meeting.set(name, value),
            }
        }
        meeting.updated(self.call.now);
        let (key, reply) = (Key::of(meeting), self.entity(200, meeting));
        world.count(key, |calls| calls.patch += 1);
        Ok(reply)
    }

    /// The body's properties that can be updated, as far as that shows without the meeting.
    fn changes(&self) -> Result<Map<String, Value>, Refusal> {
        let mut body = self.call.body()?;
        if body.is_empty() {
            return Err(Refusal::bad("Nothing to update."));
        }
        if self.settings.manners.not_updatable == Verdict::Taken {
            body.retain(|name, _| !FIXED.contains(&name.as_str()) && !name.starts_with('@'));
        }
        if ["id", "meetingType", "isBroadcast"]
            .iter()
            .any(|name| body.contains_key(*name))
        {
            return Err(Refusal::bad("Updating meeting type is not supported."));
        }
        if let Some(name) = body.keys().find(|name| FIXED.contains(&name.as_str())) {
            return Err(Refusal::bad(format!(
                "The property '{name}' cannot be updated."
            )));
        }
        self.drop_unknown(&mut body, &[PATCH]);
        shape::check(PATCH, &body).map_err(Refusal::bad)?;
        let null = body
            .iter()
            .find(|(name, value)| value.is_null() && *name != "subject");
        if let Some((name, _)) = null {
            return Err(Refusal::bad(format!(
                "The property '{name}' cannot be null."
            )));
        }
        if body.contains_key("startDateTime") != body.contains_key("endDateTime") {
            return Err(Refusal::bad(
                "startDateTime and endDateTime can only be updated together.",
            ));
        }
        Ok(body)
    }
}
