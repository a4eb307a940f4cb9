//! Whose link an event carries: by its mark, and by what is remembered.

use super::ask::{Ask, key_of};
use crate::ical::event::{Event, Place, Provider};
use crate::ical::mark::Mark;
use crate::ical::write;
use crate::model::{Generation, JoinUrl};
use crate::state::{Link, Phase};

/// Whose meeting the event carries or, by what is remembered, should carry.
pub(super) enum Whose {
    /// Its own.
    Ours {
        join_url: JoinUrl,
        generation: Generation,
    },
    /// Another event's: it was copied in.
    Copied(JoinUrl),
    /// None any more: its own mark was left when the link was taken out.
    TakenOut,
    /// None of ours.
    Nobodys,
    /// A mark that cannot be read.
    Unknown,
}

pub(super) fn whose(ask: &Ask<'_>) -> Whose {
    if let (Some(link), Some(meeting)) = (ask.link, ask.meeting) {
        let join_url = meeting.meeting.join_url.clone();
        return Whose::Ours {
            join_url,
            generation: link.generation,
        };
    }
    let generation = marked_generation(ask.event);
    let mark = marked(ask.event);
    let marks = || ask.event.components.iter().filter_map(|c| c.mark.as_ref());
    if mark.is_none() && marks().any(|m| *m == Mark::Unknown) {
        return Whose::Unknown;
    }
    // Remembered under whichever organizer it was made for, another calendar's perhaps.
    if let Some(known) = ask.meeting
        && carries(ask.event, &known.meeting.join_url)
    {
        return Whose::Ours {
            join_url: known.meeting.join_url.clone(),
            generation: generation.unwrap_or(0),
        };
    }
    if let (Some(known), Some(_)) = (ask.meeting, ask.former) {
        return Whose::Ours {
            join_url: known.meeting.join_url.clone(),
            generation: generation.unwrap_or(0),
        };
    }
    if let Some((generation, url)) = mark {
        return if is_own(ask, &generation) {
            Whose::Ours {
                join_url: url,
                generation,
            }
        } else {
            Whose::Copied(url)
        };
    }
    if let Some(url) = ask.foreign_meeting {
        return Whose::Copied(url.clone());
    }
    // A mark is written together with the link: alone, it is what taking the link out has left.
    if generation.is_some_and(|generation| is_own(ask, &generation)) {
        return Whose::TakenOut;
    }
    Whose::Nobodys
}

/// Whether the URL is anywhere in the event.
fn carries(event: &Event, join_url: &JoinUrl) -> bool {
    let mut links = event.components.iter().flat_map(|c| &c.links);
    links.any(|link| link.url == join_url.expose())
}

/// The link of another event that was copied into one that has its own. Where ours is not known to
/// have landed, what is remembered of other meetings tells it too; later, a person may have put it there.
pub(super) fn copied(ask: &Ask<'_>, link: &Link, own: &JoinUrl) -> Option<JoinUrl> {
    let by_mark = marked(ask.event).filter(|(generation, _)| !is_own(ask, generation));
    let by_url = ask
        .foreign_meeting
        .filter(|_| link.phase == Phase::Intended);
    by_mark
        .map(|(_, url)| url)
        .or(by_url.cloned())
        .filter(|url| url != own)
}

/// Whether people see a link of the event's own meeting, or of one that it has replaced.
pub(super) fn shows_any(ask: &Ask<'_>, own: &JoinUrl) -> bool {
    write::shows(ask.event, own) || ask.former.is_some_and(|url| write::shows(ask.event, url))
}

/// Whether a mark of the event names the event's own key.
fn is_own(ask: &Ask<'_>, generation: &Generation) -> bool {
    let own = key_of(ask, *generation).digest();
    let marks = ask.event.components.iter().filter_map(|c| c.mark.as_ref());
    marks
        .filter_map(|m| {
            if let Mark::Link { key, .. } = m {
                Some(key)
            } else {
                None
            }
        })
        .any(|k| *k == own)
}

/// What the event's mark says: the generation, and the link beside it.
pub(super) fn marked(event: &Event) -> Option<(Generation, JoinUrl)> {
    Some((marked_generation(event)?, marked_url(event)?))
}

/// The generation that the event's mark says.
pub fn marked_generation(event: &Event) -> Option<Generation> {
    let mut marks = event.components.iter().filter_map(|c| c.mark.as_ref());
    marks.find_map(|m| match m {
        Mark::Link { generation, .. } => Some(*generation),
        Mark::OptOut | Mark::Unknown => None,
    })
}

/// The join URL that stands beside a mark: the property that only a machine writes comes first.
fn marked_url(event: &Event) -> Option<JoinUrl> {
    let marked = event
        .components
        .iter()
        .filter(|c| matches!(c.mark, Some(Mark::Link { .. })));
    let links = marked
        .flat_map(|c| &c.links)
        .filter(|l| l.provider == Provider::Teams);
    let rank = |place: Place| match place {
        Place::SkypeTeams => 0,
        Place::Conference => 1,
        Place::Url => 2,
        Place::Description => 3,
        Place::Location => 4,
        Place::AltRep | Place::AltDesc | Place::Styled | Place::Other => 5,
    };
    links
        .min_by_key(|l| rank(l.place))
        .map(|l| JoinUrl::new(l.url.clone()))
}
