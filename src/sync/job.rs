//! What a pass has to do about one resource, held while the rest of the calendar is read.

use chrono::{DateTime, Utc};

use super::Watched;
use super::understand::{Planned, Understood};
use crate::ical::event::Next;
use crate::model::{OrganizerId, ResourceId, Uid};
use crate::plan::Decision;

/// How many bytes of resources are held between deciding and acting; what does not fit is read again.
const ROOM: usize = 8 << 20;

/// The room that is taken.
#[derive(Default)]
pub(super) struct Room {
    taken: usize,
}

impl Room {
    /// No room: nothing is held.
    pub(super) fn full() -> Self {
        Self { taken: usize::MAX }
    }
}

/// One resource that needs something done.
pub(super) struct Job {
    /// Which resource.
    pub(super) id: ResourceId,
    /// The events that want a meeting made, with the start of the occurrence and its organizer.
    pub(super) wants: Vec<(DateTime<Utc>, Uid, OrganizerId)>,
    /// What was understood, if there was room for it.
    pub(super) understood: Option<Understood>,
}

impl Job {
    pub(super) fn new(calendar: &Watched, understood: Understood, room: &mut Room) -> Self {
        let makes = |p: &&Planned| match (&p.decided.what, &p.meeting, &p.link) {
            (Decision::Link { .. }, None, _) => true,
            (Decision::Move { .. }, ..) => !p.moving,
            // Given up with its organizer: the event gets another one's.
            (what, Some(known), Some(link)) => {
                what.asks()
                    && known.schedule.is_empty()
                    && link.organizer != *calendar.organizer_of(&p.event)
            }
            _ => false,
        };
        let wants = understood.events.iter().filter(makes).filter_map(|p| {
            let Next::At(span) = p.event.next else {
                return None;
            };
            let organizer = match (&p.decided.what, &p.link) {
                (Decision::Move { .. }, Some(link)) => link.organizer.clone(),
                _ => calendar.organizer_of(&p.event).clone(),
            };
            Some((span.start, p.event.uid.clone(), organizer))
        });
        let (id, wants) = (understood.resource.id.clone(), wants.collect());
        let size = understood.resource.bytes.len();
        let fits = room.taken == 0 || room.taken.saturating_add(size) <= ROOM;
        if fits {
            room.taken += size;
        }
        Self {
            id,
            wants,
            understood: fits.then_some(understood),
        }
    }
}
