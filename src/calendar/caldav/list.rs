//! What changed since a token, what there is at all, and the bytes of it.
//!
//! - **News** by sync-collection (RFC 6578): one report, in as many parts as the server makes of it.
//!   Whatever it says of a token that it does not know ends in [`ReadError::Expired`]. An empty report
//!   with another token is believed only of a server whose tokens were seen to move by themselves.
//!   Where a ctag is all there is, it tells whether anything changed, and a listing tells what.
//! - **All** is one listing, and at most one small request before it, which gives the token: no
//!   change can fall between the two. A listing that is cut, broken or does not tell of its own
//!   collection is an error, never a short calendar.
//! - **What is reported is read**, but what our own last write left, when a report first shows it.
//! - **What is gone** is asked for by its own href.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::fetch::{Fetch, Got, Stopped};
use super::profile::{Changes, EtagOnPut};
use super::report::{Report, census, report};
use super::site::Site;
use super::token::{Token, went_back};
use super::version::{self, Stamp, Tag};
use super::xml::Prop;
use crate::calendar::{Again, Finding, Found, Known, ReadError, Scope, SyncToken};
use crate::model::{ResourceId, Version};

/// How long after it was first seen a ctag is trusted: those that count in seconds have moved on.
const CTAG_SETTLES: Duration = Duration::from_secs(2);

/// What is to be done to carry out a read.
#[derive(Default)]
struct Plan {
    /// Shown by the report as our last write left them.
    confirmed: Vec<ResourceId>,
    /// To be read.
    read: Vec<ResourceId>,
    /// To be asked for by name: gone, or to be read.
    doubtful: Vec<ResourceId>,
    /// Without an ETag, with the version that is known: unchanged if the bytes are.
    by_digest: HashMap<ResourceId, Version>,
    unchanged: usize,
    token: Option<Token>,
    /// It is a whole listing.
    whole: bool,
    /// Whether that shows anything that no report told; `None` where it is not clear.
    untold: Option<bool>,
}

/// How a read ended, for whoever decides when the next one is due.
pub(super) enum Ended {
    /// Nothing changed.
    Quiet,
    /// Something changed.
    Changes,
    /// It was cut short.
    Failed(Again),
}

/// Is told how a read ended.
pub(super) type Noted = Box<dyn Fn(Ended) + Send + Sync>;

/// Reads what `scope` names. `noted` is called when the stream ends; an error here is only returned.
pub(super) async fn read(
    site: Arc<Site>,
    scope: &Scope,
    known: Known,
    noted: Noted,
) -> Result<Finding<'static>, ReadError> {
    let plan = match scope {
        Scope::All => all(&site, known).await?,
        Scope::News(token) => news(&site, token.as_ref()).await?,
        Scope::Only(ids) => Plan {
            read: ids.iter().cloned().collect(),
            ..Plan::default()
        },
    };
    // One chunk in the making, one waiting, one being worked on: that is what memory holds.
    let (sink, mut source) = mpsc::channel(1);
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        match carry_out(&site, plan, &sink).await {
            Ok(true) => noted(Ended::Changes),
            Ok(false) => noted(Ended::Quiet),
            Err(Cut::Failed(again)) => noted(Ended::Failed(again)),
            Err(Cut::Gone) => {}
        }
    }));
    let chunks = futures_util::stream::poll_fn(move |context| {
        let _kept = &task;
        source.poll_recv(context)
    });
    Ok(chunks.flat_map(futures_util::stream::iter).boxed())
}

async fn news(site: &Site, token: Option<&SyncToken>) -> Result<Plan, ReadError> {
    match token.and_then(Token::of) {
        Some(Token::Sync(token)) if has_sync(site) => {
            let report = report(site, Some(&token)).await?;
            let empty = report.members.is_empty() && report.gone.is_empty();
            if empty && report.token != token && suspicious(site, &token, &report.token) {
                debug!(
                    calendar = site.what,
                    "an empty report came with another token; listing"
                );
                let mut memory = site.memory();
                memory.suspect = true;
                memory.token = Some(report.token);
                return Err(ReadError::Expired);
            }
            site.profile
                .learn(|profile| profile.changes = Changes::Sync);
            Ok(reported(site, report))
        }
        Some(Token::Ctag { old: true, ctag }) => {
            let props = site.own_props(&[Prop::Ctag]).await?;
            if props.ctag.as_deref() != Some(ctag.as_str()) {
                return Err(ReadError::Expired);
            }
            Ok(Plan {
                token: Some(Token::Ctag { old: true, ctag }),
                ..Plan::default()
            })
        }
        _ => Err(ReadError::Expired),
    }
}

/// What has to be done about the news of a report.
fn reported(site: &Site, report: Report) -> Plan {
    let mut plan = Plan {
        doubtful: report.gone.into_iter().collect(),
        token: Some(Token::Sync(report.token)),
        ..Plan::default()
    };
    for (id, etag) in report.members {
        if is_own(site, &id, etag.as_deref()) {
            plan.confirmed.push(id);
        } else {
            plan.read.push(id);
        }
    }
    plan
}

/// Whether a report shows, for the first time, what our last write of `id` left.
fn is_own(site: &Site, id: &ResourceId, etag: Option<&str>) -> bool {
    let mut memory = site.memory();
    let Some(own) = memory.take_own(id) else {
        return false;
    };
    let same = etag.is_some_and(|etag| version::same(etag, &own.etag));
    if !same {
        // Reading it tells whether the ETag changed without the bytes.
        memory.put_back(id, own);
    }
    same
}

async fn all(site: &Site, mut known: Known) -> Result<Plan, ReadError> {
    let Listing {
        members,
        reported,
        token,
    } = listing(site).await?;
    let mut plan = Plan {
        token,
        whole: true,
        ..Plan::default()
    };
    let (mut untold, mut unclear) = (false, false);
    for (id, etag) in members {
        let version = known.remove(&id);
        match &version {
            None => unclear = true,
            Some(version) => {
                let seen = Stamp::of(version).is_some_and(|it| matches!(it.tag, Tag::Etag(_)));
                let same = etag
                    .as_ref()
                    .is_some_and(|etag| version::shows(etag, version));
                untold |= seen && !same;
            }
        }
        match (etag, version) {
            (Some(etag), Some(version)) if version::shows(&etag, &version) => {
                // A listing that shows what we wrote leaves nothing for the next report to confirm.
                let own = site.memory().take_own(&id).is_some();
                if own || !reported.contains(&id) {
                    plan.unchanged += 1;
                } else {
                    plan.read.push(id);
                }
            }
            (None, Some(version)) => {
                plan.read.push(id.clone());
                plan.by_digest.insert(id, version);
            }
            _ => plan.read.push(id),
        }
    }
    plan.doubtful = known.into_keys().collect();
    untold |= !plan.doubtful.is_empty();
    plan.untold = (untold || !unclear).then_some(untold);
    Ok(plan)
}

/// Everything that is there.
struct Listing {
    members: Vec<(ResourceId, Option<String>)>,
    /// Those that a report named as changed since the last read.
    reported: HashSet<ResourceId>,
    token: Option<Token>,
}

async fn listing(site: &Site) -> Result<Listing, ReadError> {
    if has_sync(site) {
        let last = site.memory().token.clone();
        if let Some(last) = last {
            match report(site, Some(&last)).await {
                Ok(report) => {
                    return Ok(Listing {
                        members: census(site).await?,
                        reported: report.members.into_keys().collect(),
                        token: Some(Token::Sync(report.token)),
                    });
                }
                Err(ReadError::Expired) => site.memory().token = None,
                Err(error) => return Err(error),
            }
        }
        match report(site, None).await {
            Ok(report) => {
                return Ok(Listing {
                    members: report.members.into_iter().collect(),
                    reported: HashSet::new(),
                    token: Some(Token::Sync(report.token)),
                });
            }
            Err(ReadError::Expired) => {
                let listing = by_ctag(site).await?;
                debug!(calendar = site.what, "no sync-collection; going by ctag");
                site.memory().no_sync = true;
                return Ok(listing);
            }
            Err(error) => return Err(error),
        }
    }
    by_ctag(site).await
}

async fn by_ctag(site: &Site) -> Result<Listing, ReadError> {
    let ctag = site.own_props(&[Prop::Ctag]).await?.ctag;
    let token = ctag.map(|ctag| {
        let now = site.clock.elapsed();
        let mut memory = site.memory();
        let seen = memory.ctag.take().filter(|(seen, _)| *seen == ctag);
        let since = seen.map_or(now, |(_, since)| since);
        memory.ctag = Some((ctag.clone(), since));
        let old = now.saturating_sub(since) >= CTAG_SETTLES;
        Token::Ctag { old, ctag }
    });
    let tells = match token {
        Some(_) => Changes::Ctag,
        None => Changes::Listing,
    };
    site.profile.learn(|profile| profile.changes = tells);
    Ok(Listing {
        members: census(site).await?,
        reported: HashSet::new(),
        token,
    })
}

fn has_sync(site: &Site) -> bool {
    site.sync_collection && !site.memory().no_sync
}

fn suspicious(site: &Site, from: &str, to: &str) -> bool {
    went_back(from, to) || !site.profile.ask(|profile| profile.token_moves())
}

/// Why a read was cut short.
enum Cut {
    /// Whoever asked has gone.
    Gone,
    /// Nothing more can be had.
    Failed(Again),
}

type Sink = mpsc::Sender<Vec<Found>>;

async fn send(sink: &Sink, found: Vec<Found>) -> Result<(), Cut> {
    if found.is_empty() {
        return Ok(());
    }
    sink.send(found).await.map_err(|_| Cut::Gone)
}

/// Does what is to be done, and gives whether anything had changed.
async fn carry_out(site: &Site, mut plan: Plan, sink: &Sink) -> Result<bool, Cut> {
    let mut fetch = Fetch::new(site);
    let mut changes = false;
    let confirmed = std::mem::take(&mut plan.confirmed);
    send(sink, confirmed.into_iter().map(Found::Confirmed).collect()).await?;

    let doubtful = std::mem::take(&mut plan.doubtful);
    for ids in doubtful.chunks(fetch.chunk().max(1)) {
        let mut found = Vec::new();
        for (id, there) in settled(fetch.confirm(ids).await, sink).await? {
            if there {
                plan.read.push(id);
            } else {
                changes = true;
                found.push(Found::Vanished(id));
            }
        }
        send(sink, found).await?;
    }

    let read = std::mem::take(&mut plan.read);
    let mut rest = read.as_slice();
    while !rest.is_empty() {
        let (ids, more) = rest.split_at(fetch.chunk().clamp(1, rest.len()));
        rest = more;
        let mut found = Vec::with_capacity(ids.len());
        for (id, got) in settled(fetch.fetch(ids).await, sink).await? {
            match got {
                Got::There(resource) => {
                    learn_of_own(site, &id, &resource.version);
                    if plan
                        .by_digest
                        .get(&id)
                        .is_some_and(|known| same_bytes(known, &resource.version))
                    {
                        plan.unchanged += 1;
                        continue;
                    }
                    found.push(Found::Changed(resource));
                }
                Got::Gone => found.push(Found::Vanished(id)),
                Got::Failed(error) => found.push(Found::Unreadable(id, error)),
            }
            changes = true;
        }
        send(sink, found).await?;
    }
    complete(site, plan, sink).await?;
    Ok(changes)
}

/// Passes on why fetching stopped.
async fn settled<T>(result: Result<T, Stopped>, sink: &Sink) -> Result<T, Cut> {
    match result {
        Ok(result) => Ok(result),
        Err(Stopped(id, error)) => {
            let again = match error {
                ReadError::Server { again, .. } => again,
                _ => Again::Soon,
            };
            send(sink, vec![Found::Unreadable(id, error)]).await?;
            Err(Cut::Failed(again))
        }
    }
}

async fn complete(site: &Site, plan: Plan, sink: &Sink) -> Result<(), Cut> {
    let token = plan.token.as_ref().and_then(Token::token);
    let end = Found::Complete {
        unchanged: plan.unchanged,
        token,
    };
    send(sink, vec![end]).await?;
    let mut memory = site.memory();
    if let Some(Token::Sync(token)) = plan.token {
        memory.token = Some(token);
    }
    let suspect = plan.whole && std::mem::take(&mut memory.suspect);
    if suspect && let Some(untold) = plan.untold {
        site.profile.learn(|profile| profile.saw_token_move(untold));
    }
    Ok(())
}

/// A resource that was read although we wrote it last: the ETag that the answer to PUT gave was not
/// the last word if the bytes are still ours.
fn learn_of_own(site: &Site, id: &ResourceId, version: &Version) {
    let own = site.memory().take_own(id);
    if let (Some(own), Some(stamp)) = (own, Stamp::of(version))
        && own.digest == stamp.digest
        && !version::shows(&own.etag, version)
    {
        site.profile
            .learn(|profile| profile.etag_on_put = EtagOnPut::Later);
    }
}

fn same_bytes(a: &Version, b: &Version) -> bool {
    match (Stamp::of(a), Stamp::of(b)) {
        (Some(a), Some(b)) => a.digest == b.digest,
        _ => false,
    }
}
