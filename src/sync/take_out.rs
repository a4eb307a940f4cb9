//! Taking links out again: what is there to be taken out, what is remembered of it before the write, and
//! what of a pass is judged before anything goes.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::act::Change;
use super::losses::{Found, ends};
use super::understand::{Planned, Understood};
use crate::ical::document::Document;
use crate::ical::event::Event;
use crate::ical::write;
use crate::model::JoinUrl;
use crate::plan::{Decided, Decision, Out, Why, is_same};
use crate::state::{Gone, Link, Phase};

/// A resource, in which links are looked for when they are to go.
pub(super) struct Traces<'d> {
    bytes: &'d [u8],
    document: OnceCell<Option<Document<'d>>>,
}

impl<'d> Traces<'d> {
    pub(super) fn of(bytes: &'d [u8]) -> Self {
        Self {
            bytes,
            document: OnceCell::new(),
        }
    }

    /// The resource, if it can be read.
    pub(super) fn document(&self) -> Option<&Document<'d>> {
        let parse = || Document::parse(self.bytes).ok();
        self.document.get_or_init(parse).as_ref()
    }

    /// Whether anything of the link is in the event. What cannot be told is found out by trying.
    pub(super) fn any(
        &self,
        event: &Event,
        join_url: &JoinUrl,
        out: Out,
        now: DateTime<Utc>,
    ) -> bool {
        self.document().is_some_and(|document| {
            let goes = |component: &_| out.goes_from(component, join_url);
            let edits = write::take_out(document, event, join_url, goes, false, Some(now));
            edits.map_or(true, |edits| !edits.is_empty())
        })
    }
}

impl Change {
    /// What is written when the link goes.
    pub(super) fn take_out(out: Out, event: &Event, join_url: &JoinUrl) -> Self {
        let goes = |component: &&_| out.goes_from(component, join_url);
        let components = event.components.iter().filter(goes);
        Self::TakeOut {
            out,
            components: components.map(|component| component.index).collect(),
        }
    }
}

/// From which components a link goes.
pub(super) type Components = BTreeSet<usize>;

impl Planned {
    /// Why its link is to be taken out, if it is.
    pub(super) fn out(&self) -> Option<Out> {
        match self.decided.what {
            Decision::TakeOut(out) => Some(out),
            _ => None,
        }
    }

    /// Why the whole link is to go although people see it, if it is.
    fn loses(&self) -> Option<Out> {
        self.out()
            .filter(|out| !out.is_partial() && *out != Out::Removed)
    }
}

/// The link of an event that is to lose it, as it is remembered before that is done.
fn losing(event: &Event, link: &Link, out: Out, now: DateTime<Utc>) -> Link {
    Link {
        phase: phase(out),
        attempts: 0,
        ends: ends(event, Some(link), now),
        gone: Some(Gone {
            since: now,
            confirmed: true,
        }),
        cancelled: None,
        closed: false,
        ..link.clone()
    }
}

fn phase(out: Out) -> Phase {
    match out {
        Out::Unlinked { for_good: true } => Phase::OptedOut,
        _ => Phase::TakenOut,
    }
}

/// What is remembered before a write that takes a whole link out. What a person took out stays what it
/// is: a copy from before is told by when the link was written.
pub(super) fn intent(link: &Link, event: &Event, out: Out, gone: Gone, now: DateTime<Utc>) -> Link {
    if out == Out::Removed {
        return Link {
            // Where the mark is dropped, what this write leaves is what was there before the link.
            before: String::new(),
            gone: Some(gone),
            ..link.clone()
        };
    }
    let again = link.phase >= Phase::TakenOut && is_same(event, link);
    Link {
        attempts: if again { link.attempts } else { 0 },
        before: event.content.clone(),
        written: now,
        gone: Some(gone),
        ..losing(event, link, out, now)
    }
}

impl Understood {
    /// Notes which links are about to be taken out: they count as lost.
    pub(super) fn note_taken_out(&mut self, now: DateTime<Utc>) {
        for planned in &self.events {
            if let (Some(out), Some(link)) = (planned.loses(), &planned.link)
                && (link.gone_since().is_none() || link.phase < Phase::TakenOut)
            {
                self.losses.lose(losing(&planned.event, link, out, now));
            }
        }
    }

    /// Leaves for the next pass what is to go and was not judged by this one.
    pub(super) fn put_off_unjudged(&mut self, now: DateTime<Utc>) {
        for planned in &mut self.events {
            let judged = planned
                .link
                .as_ref()
                .is_some_and(|l| l.gone_since().is_some());
            if planned.out().is_some_and(|out| !out.is_partial()) && !judged {
                planned.decided = Decided {
                    what: Decision::Leave(Why::Settling),
                    due: Some(now),
                };
            }
        }
    }
}

impl Found {
    /// A link that is about to be taken out.
    fn lose(&mut self, link: Link) {
        self.lost.push(link);
    }
}

/// Whether a link that was found in its event stays remembered as one that goes.
pub(super) fn stays_out(planned: &Planned, link: &Link) -> bool {
    link.phase == Phase::OptedOut || (link.phase == Phase::TakenOut && planned.loses().is_some())
}
