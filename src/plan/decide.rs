//! What one event needs.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::kept::lacking;
use super::life::{in_progress_until, is_behind, roll_at};
use super::person::{Out, wants_out};
use super::select::{
    Rules, Standing, examine, foreign_link, horizon_reaches, not_organized, settled_at, skips,
};
use super::style::Style;
use super::tags::{has_opt_out_mark, is_opted_out, is_tagged};
use super::why::Why;
use crate::ical::event::{Event, Next, Place, Provider};
use crate::ical::mark::Mark;
use crate::ical::write::{self, Location};
use crate::model::{ExternalId, Generation, JoinUrl, MeetingKey, OrganizerId, Span};
use crate::state::{Link, MeetingRecord, Phase};

/// How often a write that was decided on the same content may land before the calendar is taken to
/// drop what is written.
const ATTEMPTS: u32 = 2;

/// What is to be done about one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, and why.
    Leave(Why),
    /// The event carries our link and nothing is remembered of it: remember it; ask and write nothing.
    Adopt {
        /// The key generation its mark names.
        generation: Generation,
        /// The link it shows.
        join_url: JoinUrl,
    },
    /// Get the event its meeting and write the link.
    Link {
        /// When the meeting takes place.
        span: Span,
        /// A link of another event that was copied in and goes in the same write.
        replaces: Option<JoinUrl>,
    },
    /// The meeting is known and the event does not show all of the link: write what is missing.
    Write {
        /// A link of another event that was copied in and goes in the same write.
        replaces: Option<JoinUrl>,
    },
    /// A rewrite is asked for, and the event does not show the link, or is not known to show it, as it
    /// would be written now; the meeting is brought up to date as well.
    Rewrite {
        /// When the meeting takes place.
        span: Span,
    },
    /// The event shows the link; the meeting's times, title or settings are behind.
    Update {
        /// When the meeting takes place.
        span: Span,
    },
    /// Take out what there is of the link, and why.
    TakeOut(Out),
}

impl Decision {
    /// The stable name, for `plan`, `status` and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Leave(why) => why.name(),
            Self::Adopt { .. } => "adopt",
            Self::Link { replaces: None, .. } => "link",
            Self::Link {
                replaces: Some(_), ..
            } => "link-copy",
            Self::Write { .. } => "write",
            Self::Rewrite { .. } => "rewrite",
            Self::Update { .. } => "update",
            Self::TakeOut(_) => "take-out",
        }
    }

    /// Whether it changes anything outside the state.
    pub fn acts(&self) -> bool {
        matches!(
            self,
            Self::Link { .. }
                | Self::Write { .. }
                | Self::Rewrite { .. }
                | Self::Update { .. }
                | Self::TakeOut(_)
        )
    }

    /// Whether it may need the meeting service.
    pub fn asks(&self) -> bool {
        self.acts() && !matches!(self, Self::TakeOut(_))
    }
}

/// A decision, and when to decide again although nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// What is to be done.
    pub what: Decision,
    /// When time alone may change the answer.
    pub due: Option<DateTime<Utc>>,
}

impl Default for Decided {
    fn default() -> Self {
        Self {
            what: Decision::Leave(Why::InStep),
            due: None,
        }
    }
}

/// What a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The time.
    pub now: DateTime<Utc>,
    /// The event as read.
    pub event: &'a Event,
    /// The calendar's rules.
    pub rules: &'a Rules,
    /// What its meetings are like.
    pub style: &'a Style,
    /// What it writes into LOCATION.
    pub location: Location,
    /// The places of a link that it drops.
    pub drops: &'a BTreeSet<Place>,
    /// The tenant, in lower case.
    pub tenant: &'a str,
    /// The organizer of new links.
    pub organizer: &'a OrganizerId,
    /// What is remembered of the event's link in this resource.
    pub link: Option<&'a Link>,
    /// What is remembered of its meeting.
    pub meeting: Option<&'a MeetingRecord>,
    /// A join URL in the event that is known to be another event's meeting.
    pub foreign_meeting: Option<&'a JoinUrl>,
    /// A rewrite is asked for, and the link is not, or not known to be, as it would be written now.
    pub outdated: bool,
    /// There is something of the link in the event that can be taken out, should it be.
    pub traces: bool,
    /// Since when the event is unchanged.
    pub unchanged_since: DateTime<Utc>,
    /// Whether its UID is known to stay.
    pub uid: Standing,
    /// Whether a changed event is read without its link, though nobody took that out
    /// ([`crate::calendar::Calendar::is_derived`]).
    pub derived: bool,
}

/// Decides what one event needs. Same arguments, same answer.
pub fn decide(ask: &Ask<'_>) -> Decided {
    if let Some(fault) = &ask.event.fault {
        return leave(Why::NotUnderstood {
            line: Some(ask.event.line),
            what: fault.clone(),
        });
    }
    if is_out_for_good(ask) {
        return leave(Why::OptedOut);
    }
    match (whose(ask), ask.link, ask.meeting) {
        (Whose::Ours { .. }, Some(link), Some(meeting)) => maintain(ask, link, meeting),
        (
            Whose::Ours {
                join_url,
                generation,
            },
            ..,
        ) => now(Decision::Adopt {
            generation,
            join_url,
        }),
        (Whose::Unknown, ..) => leave(Why::UnknownMark),
        (Whose::TakenOut, ..) => leave(Why::LinkRemoved),
        (Whose::Copied(join_url), ..) => make(ask, Some(join_url)),
        (Whose::Nobodys, ..) => make(ask, None),
    }
}

/// Whether an operator opted the event out, and it does not show the link.
fn is_out_for_good(ask: &Ask<'_>) -> bool {
    let shows = |known: &MeetingRecord| write::shows(ask.event, &known.meeting.join_url);
    ask.link.is_some_and(|link| link.phase == Phase::OptedOut) && !ask.meeting.is_some_and(shows)
}

/// The key of the event's meeting: as remembered, else under the configured organizer.
pub fn key_of(ask: &Ask<'_>, generation: Generation) -> MeetingKey {
    let (organizer, external_id) = match ask.link {
        Some(link) => (link.organizer.clone(), link.external_id.clone()),
        None => (
            ask.organizer.clone(),
            ExternalId::of(&ask.event.uid, generation),
        ),
    };
    MeetingKey {
        tenant: ask.tenant.to_owned(),
        organizer,
        external_id,
    }
}

/// Whose meeting the event carries or, by what is remembered, should carry.
enum Whose {
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

fn whose(ask: &Ask<'_>) -> Whose {
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
fn marked(event: &Event) -> Option<(Generation, JoinUrl)> {
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

/// An event without a link of its own: the rules say whether it gets one.
fn make(ask: &Ask<'_>, replaces: Option<JoinUrl>) -> Decided {
    let own = ask.meeting.map(|m| &m.meeting.join_url);
    let ours: Vec<&JoinUrl> = own.into_iter().chain(replaces.as_ref()).collect();
    let verdicts = examine(
        ask.now,
        ask.event,
        ask.rules,
        ask.unchanged_since,
        &ours,
        ask.uid,
    );
    if let Some(why) = verdicts.into_iter().find_map(|v| v.refusal) {
        let due = match (&why, &ask.event.next) {
            (Why::BeyondHorizon, Next::At(span)) => horizon_reaches(span.start, ask.rules.horizon),
            (Why::Settling, _) => settled_at(ask.unchanged_since, ask.rules.settle),
            (Why::UidUnproven | Why::UidMinted, _) => match ask.uid {
                Standing::Unproven { until, .. } => until,
                Standing::Proven => None,
            },
            _ => None,
        };
        return Decided {
            what: Decision::Leave(why),
            due,
        };
    }
    match ask.event.next {
        Next::At(span) => now(Decision::Link { span, replaces }),
        Next::Past | Next::Unknown => leave(Why::Past),
    }
}

/// An event that has its link: is it whole, and is its meeting up to date?
fn maintain(ask: &Ask<'_>, link: &Link, meeting: &MeetingRecord) -> Decided {
    let (event, rules, join_url) = (ask.event, ask.rules, &meeting.meeting.join_url);
    let landed = matches!(link.phase, Phase::Written | Phase::Seen);
    if ask.derived && landed && !write::shows(event, join_url) {
        return attach_again(ask, join_url);
    }
    if let Some(out) = wants_out(ask) {
        return take_out(ask, link, out);
    }
    if !write::shows(event, join_url) {
        return if link.phase == Phase::Seen && !is_restored(event, link) {
            leave(Why::LinkRemoved)
        } else {
            anew(ask, link, join_url)
        };
    }
    if event.cancelled {
        return leave(Why::Cancelled);
    }
    let Next::At(span) = event.next else {
        return leave(Why::Past);
    };
    if let Some(why) = not_organized(event, rules) {
        return leave(why);
    }
    if event.all_day && !rules.all_day && !is_tagged(event) {
        return leave(Why::AllDay);
    }
    if is_opted_out(event) || has_opt_out_mark(event) {
        return leave(Why::OptedOut);
    }
    let replaces = copied(ask, link, join_url);
    let lacking = lacking(event, join_url, ask.location, ask.drops);
    if ask.outdated || replaces.is_some() || !lacking.is_empty() {
        if !ask.outdated && is_dropped(event, link) {
            return leave(Why::DoesNotStick);
        }
        if skips(event, rules) {
            // The event is not written; its meeting follows it all the same.
            let mut decided = up_to_date(ask, meeting, span);
            if decided.what == Decision::Leave(Why::InStep) {
                decided.what = Decision::Leave(Why::AttendeesSkipped);
            }
            return decided;
        }
        return match settled_at(ask.unchanged_since, rules.settle) {
            Some(at) if ask.now < at => Decided {
                what: Decision::Leave(Why::Settling),
                due: Some(at),
            },
            _ if ask.outdated && replaces.is_none() => now(Decision::Rewrite { span }),
            _ => now(Decision::Write { replaces }),
        };
    }
    up_to_date(ask, meeting, span)
}

/// An event whose source has it without the link that it is published with. What takes a link out
/// keeps it out; a link that is there stays, whatever the rules for new ones say.
fn attach_again(ask: &Ask<'_>, own: &JoinUrl) -> Decided {
    let event = ask.event;
    let replaces = marked(event).map(|(_, url)| url).filter(|url| url != own);
    let ours: Vec<&JoinUrl> = std::iter::once(own).chain(&replaces).collect();
    if event.cancelled {
        return leave(Why::Cancelled);
    }
    if is_opted_out(event) || has_opt_out_mark(event) {
        return leave(Why::OptedOut);
    }
    if let Some(provider) = foreign_link(event, &ours) {
        return leave(Why::ForeignLink(provider));
    }
    now(Decision::Write { replaces })
}

/// A link that is to go: it does when the event has settled, unless its calendar puts it back.
fn take_out(ask: &Ask<'_>, link: &Link, out: Out) -> Decided {
    if !ask.traces {
        return leave(out.nothing_left());
    }
    let is_ours = match out {
        Out::ForeignInOverride(_) => ask.event.content == link.before,
        _ => link.phase >= Phase::TakenOut && is_same(ask.event, link),
    };
    if is_ours && link.attempts >= ATTEMPTS {
        return leave(Why::DoesNotStick);
    }
    if skips(ask.event, ask.rules) && !matches!(out, Out::Unlinked { .. }) {
        return leave(match out {
            Out::Removed => Why::LinkRemoved,
            _ => Why::AttendeesSkipped,
        });
    }
    match settled_at(ask.unchanged_since, ask.rules.settle) {
        Some(at) if ask.now < at => Decided {
            what: Decision::Leave(Why::Settling),
            due: Some(at),
        },
        _ => now(Decision::TakeOut(out)),
    }
}

/// Whether an event without our link is a copy from before it was linked, brought back by a backup or by
/// a program that had not seen the link, and not an event from which a person took it out.
pub(super) fn is_restored(event: &Event, link: &Link) -> bool {
    let same = event.content == link.before && link.attempts < ATTEMPTS;
    // What is written bears whole seconds.
    same || stamp(event).is_some_and(|at| at.timestamp() < link.written.timestamp())
}

/// When the event says that it was last changed: the later of LAST-MODIFIED and DTSTAMP.
pub fn stamp(event: &Event) -> Option<DateTime<Utc>> {
    event.last_modified.max(event.stamped)
}

/// An event that has a link that it does not show: its write did not land, or was overwritten. The
/// rules decide as for one without a link, since a person may have changed it meanwhile.
fn anew(ask: &Ask<'_>, link: &Link, own: &JoinUrl) -> Decided {
    let outdated = || marked(ask.event).map(|(_, url)| url);
    let replaces = copied(ask, link, own).or_else(outdated);
    let made = make(ask, replaces.filter(|url| url != own));
    match made.what {
        Decision::Link { .. } if is_dropped(ask.event, link) => leave(Why::DoesNotStick),
        Decision::Link { replaces, .. } => now(Decision::Write { replaces }),
        _ => made,
    }
}

/// Whether the calendar drops what is written into this event.
fn is_dropped(event: &Event, link: &Link) -> bool {
    is_same(event, link) && link.phase != Phase::Intended && link.attempts >= ATTEMPTS
}

/// Whether the event is the one that the last write was decided on, or what the calendar made of that
/// write: nobody has edited it since.
pub fn is_same(event: &Event, link: &Link) -> bool {
    // What is written bears whole seconds.
    let stamped = stamp(event).is_some_and(|at| at.timestamp() == link.written.timestamp());
    event.content == link.before || stamped
}

/// The meeting against the event: title, times, how long it will live, and what is set of it.
fn up_to_date(ask: &Ask<'_>, record: &MeetingRecord, span: Span) -> Decided {
    let behind = is_behind(ask.event, record, ask.style, ask.now);
    if !behind && !ask.style.is_lacking(ask.event, record) {
        let held = record.meeting.span;
        return Decided {
            what: Decision::Leave(Why::InStep),
            due: held.and_then(|held| roll_at(ask.event, held)),
        };
    }
    match in_progress_until(record, ask.now) {
        Some(end) => Decided {
            what: Decision::Leave(Why::InProgress),
            due: Some(end),
        },
        None => now(Decision::Update { span }),
    }
}

fn leave(why: Why) -> Decided {
    Decided {
        what: Decision::Leave(why),
        due: None,
    }
}

fn now(what: Decision) -> Decided {
    Decided { what, due: None }
}
