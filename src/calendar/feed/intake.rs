//! Taking in what was fetched: whether it is to be believed after what was there before, and which links
//! it has, by what was published. Reads both from their files.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::body::Body;
use super::doubt::{self, Distrust, Doubts, shortage};
use super::enrich::Links;
use super::index::{Unread, take_apart};
use super::split::{Index, Snapshot};
use crate::calendar::Again;

/// Why a body is not taken in.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Something is wrong in here.
    Broken,
    Unread(Unread),
    Distrust(Distrust),
}

impl From<Unread> for Refusal {
    fn from(why: Unread) -> Self {
        Self::Unread(why)
    }
}

impl Refusal {
    /// What is wrong and what to do, and when it is tried again.
    pub(super) fn hint(&self) -> (String, Again) {
        match self {
            Self::Broken => (
                "reading it failed inside meetbridge; please report it".to_owned(),
                Again::Slowly,
            ),
            Self::Unread(why @ Unread::Limit(_)) => (why.to_string(), Again::Slowly),
            Self::Unread(why @ Unread::Disk(_)) => (why.to_string(), Again::Soon),
            Self::Distrust(Distrust::Shrunk { lost, of, until }) => (
                format!(
                    "{lost} of its {of} events are gone at once; nothing is concluded from that \
                     before another fetch shows it, too"
                ),
                Again::At(*until),
            ),
            Self::Distrust(Distrust::Minted { minted, of }) => (
                format!(
                    "{minted} of its {of} events came under new UIDs, so that no link could stay with \
                     them; have its publisher give each event a UID that stays the same"
                ),
                Again::Slowly,
            ),
        }
    }
}

/// What was taken in.
pub(super) struct TakenIn {
    pub(super) snapshot: Snapshot,
    /// The links that were found in what was published.
    pub(super) links: Option<Links>,
    /// What is published, where much of that is gone.
    pub(super) short_of: Option<Arc<Index>>,
}

/// Takes a body apart, and sees whether it is to be believed after the one before it; finds the links
/// in what was published, where that is given with what they go into. `short_of` is what is published
/// where much of it was gone already. `None` when it is the one before it.
pub(super) fn take_in(
    body: Body,
    before: Option<Arc<Index>>,
    short_of: Option<Arc<Index>>,
    published: Option<(Body, Links)>,
    doubts: &Doubts,
    now: DateTime<Utc>,
) -> Result<Option<TakenIn>, Refusal> {
    let token = body.token().map_err(Unread::from)?;
    if before.as_ref().is_some_and(|before| before.token == token) {
        doubts.unchanged();
        return Ok(None);
    }
    let snapshot = take_apart(body, token)?;
    // What is there may be anything.
    let earlier =
        published.and_then(|(body, links)| Some((take_apart(body, String::new()).ok()?, links)));
    let earlier_index = earlier.as_ref().map(|(earlier, _)| earlier.index());
    let shown = before.as_ref().or(earlier_index).cloned();
    let is_short = doubts
        .judge(before.as_deref(), shown.as_deref(), snapshot.index(), now)
        .map_err(Refusal::Distrust)?;
    let short_of = match short_of {
        Some(old) => Some(old).filter(|old| shortage(old, snapshot.index()).is_some()),
        None => shown.filter(|_| is_short),
    };
    let snapshot = match &before {
        Some(before) => {
            let minted = doubt::minted(before, snapshot.index());
            let was = |id: &str| before.find(id).is_some_and(|piece| piece.minted);
            snapshot.with_minted(|piece| was(&piece.id) || minted.contains(&*piece.id))
        }
        None => snapshot,
    };
    let links = match earlier {
        Some((earlier, mut links)) => {
            links
                .recover(&snapshot, &earlier, now)
                .map_err(Unread::from)?;
            Some(links)
        }
        None => None,
    };
    Ok(Some(TakenIn {
        snapshot,
        links,
        short_of,
    }))
}
