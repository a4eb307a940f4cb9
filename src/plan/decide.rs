//! What one event needs.
//!
//! [`super::whose`] tells whose link it carries, [`super::person`] what a person did to it,
//! [`super::select`] whether it may get one; what is left to be done follows here.

use super::ask::Ask;
use super::decision::{Decided, Decision};
use super::kept::lacking;
use super::life::{in_progress_until, is_behind, roll_at};
use super::person::{Out, is_adopted_beside, wants_out};
use super::select::{
    Standing, examine, foreign_link, horizon_reaches, not_organized, settled_at, skips,
};
use super::tags::{has_opt_out_mark, is_opted_out, is_tagged};
use super::version::{ATTEMPTS, is_dropped, is_restored, is_same};
use super::whose::{Whose, copied, marked, shows_any, whose};
use super::why::Why;
use crate::ical::event::Next;
use crate::ical::write;
use crate::model::{JoinUrl, Span};
use crate::state::{Link, MeetingRecord, Phase};

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

/// An event without a link of its own: the rules say whether it gets one.
fn make(ask: &Ask<'_>, replaces: Option<JoinUrl>) -> Decided {
    let own = ask.meeting.map(|m| &m.meeting.join_url);
    let ours = own.into_iter().chain(replaces.as_ref());
    // A text of a person's may name another event's link.
    let ours: Vec<&JoinUrl> = ours.chain(ask.foreign_meeting).collect();
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
    if !shows_any(ask, join_url) {
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
    let lacking = lacking(event, join_url, ask.location, ask.drops);
    // A former link beside one that is whole is a mention of it.
    let is_whole = write::shows(event, join_url) && lacking.is_empty();
    let former = ask.former.filter(|_| !is_whole).cloned();
    let replaces = copied(ask, link, join_url).or(former);
    if ask.moves
        && let Some(end) = in_progress_until(meeting, ask.now)
    {
        return Decided {
            what: Decision::Leave(Why::InProgress),
            due: Some(end),
        };
    }
    let exchanges = ask.moves || replaces.is_some();
    let beside = || is_adopted_beside(event, link, join_url, ask.foreign_meeting);
    if exchanges || ((ask.outdated || !lacking.is_empty()) && !beside()) {
        if !ask.moves && !ask.outdated && is_dropped(event, link) {
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
            _ if ask.moves => now(Decision::Move { span }),
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
    let ours = std::iter::once(own).chain(&replaces);
    let ours: Vec<&JoinUrl> = ours.chain(ask.foreign_meeting).collect();
    if event.cancelled {
        return leave(Why::Cancelled);
    }
    if is_opted_out(event) || has_opt_out_mark(event) {
        return leave(Why::OptedOut);
    }
    if let Some(provider) = foreign_link(event, &ours) {
        return leave(Why::ForeignLink(provider));
    }
    match event.next {
        Next::At(span) if ask.moves => now(Decision::Move { span }),
        _ => now(Decision::Write { replaces }),
    }
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
