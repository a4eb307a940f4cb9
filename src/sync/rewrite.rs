//! Bringing links that are there to what would be written now: when a command asks for it, and once when
//! a meeting turns out to have dial-in.

use chrono::{DateTime, Utc};

use super::understand::Planned;
use super::{Bridge, Watched};
use crate::ical::block::Show;
use crate::ical::document::Document;
use crate::ical::event::Event;
use crate::ical::write::{self, Attachment};
use crate::meeting::Details;
use crate::model::MeetingKey;
use crate::plan::stamp;
use crate::state::{Link, MeetingRecord};

/// The schedule of a meeting that has to be brought up to date again: no event has this one.
const UNWRITTEN: &str = "unwritten";

/// A rewrite that is asked for, of the links in one resource.
pub(super) struct Rewriting<'d> {
    /// When it was asked for.
    asked: DateTime<Utc>,
    document: Document<'d>,
}

impl<'d> Rewriting<'d> {
    /// When it was asked for.
    pub(super) fn asked(&self) -> DateTime<Utc> {
        self.asked
    }

    /// A resource that cannot be read has no links.
    pub(super) fn of(asked: Option<DateTime<Utc>>, bytes: &'d [u8]) -> Option<Self> {
        let asked = asked?;
        let document = Document::parse(bytes).ok()?;
        Some(Self { asked, document })
    }
}

impl Bridge {
    /// Whether the event's link is not, or not known to be, as it would be written now. One that was
    /// rewritten since that was asked for is done with, whatever its calendar has made of it.
    pub(super) fn is_outdated(
        &self,
        calendar: &Watched,
        planned: &Planned,
        rewriting: &Rewriting<'_>,
    ) -> bool {
        let (Some(link), Some(meeting)) = (&planned.link, &planned.meeting) else {
            return false;
        };
        let event = &planned.event;
        if !write::shows(event, &meeting.meeting.join_url) || is_done(event, link, rewriting.asked)
        {
            return false;
        }
        let key = MeetingKey {
            tenant: self.tenant.clone(),
            organizer: link.organizer.clone(),
            external_id: link.external_id.clone(),
        };
        let attachment = Attachment {
            key: &key,
            generation: link.generation,
            join_url: &meeting.meeting.join_url,
            details: &meeting.meeting.details,
            show: &calendar.show,
            language: &calendar.language,
            location: calendar.location,
        };
        !is_read(meeting, &calendar.language)
            || write::is_outdated(&rewriting.document, event, &attachment)
    }
}

/// Whether the link was written since `asked`, and the event is what became of that write.
fn is_done(event: &Event, link: &Link, asked: DateTime<Utc>) -> bool {
    // What is written bears whole seconds. A link that was found in its event was not written.
    let written = link.written.timestamp();
    link.written >= asked
        && !link.before.is_empty()
        && event.content != link.before
        && stamp(event).is_none_or(|at| at.timestamp() == written)
}

/// Whether it is known what can be shown of the meeting in this language.
pub(super) fn is_read(meeting: &MeetingRecord, language: &str) -> bool {
    meeting.meeting.details.language.as_deref() == Some(language)
}

/// Whether the meeting has dial-in that is to be shown, where there was none when it was last asked.
pub(super) fn finds_dial_in(
    calendar: &Watched,
    planned: &Planned,
    meeting: &MeetingRecord,
) -> bool {
    let shown = [Show::TollNumbers, Show::TollFreeNumbers, Show::DialinUrl];
    let had = planned.meeting.as_ref().map(|m| &m.meeting.details);
    had.is_some_and(|had| had.language.is_some() && had.dial_in.is_none())
        && meeting.meeting.details.dial_in.is_some()
        && calendar.show.iter().any(|what| shown.contains(what))
}

/// The meeting as it is remembered until the dial-in that was found stands in its event: the next pass
/// finds it again.
pub(super) fn unwritten(record: &MeetingRecord) -> MeetingRecord {
    let mut unwritten = to_be_updated(record.clone());
    unwritten.meeting.details = Details {
        dial_in: None,
        ..unwritten.meeting.details
    };
    unwritten
}

/// The meeting as one that is behind its event, whatever that is.
pub(super) fn to_be_updated(record: MeetingRecord) -> MeetingRecord {
    MeetingRecord {
        schedule: UNWRITTEN.to_owned(),
        ..record
    }
}
