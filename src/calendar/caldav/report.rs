//! What a collection's server tells of its members: a report of changes, or a listing of all.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::StatusCode;
use tracing::debug;
use url::Url;

use super::href::Named;
use super::site::{LISTING, Site};
use super::xml::{self, Prop, Response};
use crate::calendar::ReadError;
use crate::model::ResourceId;

/// How many parts of one report are followed; the next read goes on from the last.
const PARTS: usize = 100;
/// The most members that one report or listing may name.
const MEMBERS: usize = 1_000_000;

/// What a report says.
pub(super) struct Report {
    /// The members that are there, with their ETags.
    pub(super) members: BTreeMap<ResourceId, Option<String>>,
    /// Those that it calls gone.
    pub(super) gone: BTreeSet<ResourceId>,
    /// From where the next report goes on.
    pub(super) token: String,
}

/// Lists the collection by PROPFIND.
pub(super) async fn census(site: &Site) -> Result<Vec<(ResourceId, Option<String>)>, ReadError> {
    let props = [Prop::Etag, Prop::ResourceType, Prop::ContentType];
    let reply = site
        .propfind(site.base.url(), "1", &props, LISTING)
        .await
        .map_err(|error| error.into_read_error(&site.what))?;
    let answer = site.multistatus(&reply)?;
    let mut members = BTreeMap::new();
    let mut itself = false;
    for row in answer.responses {
        match site.base.named(&reply.url, &row.href) {
            Named::Collection => match row.status {
                None | Some(200) if row.errors.is_empty() => itself = true,
                _ => return Err(site.nonsense("is cut short")),
            },
            Named::Member(id) if counts(&id, &row) => {
                members.insert(id, row.found.etag);
            }
            Named::Member(_) => {}
            Named::Elsewhere => {
                debug!(calendar = site.what, "a listed href is not of the calendar")
            }
        }
        if members.len() > MEMBERS {
            return Err(site.nonsense("names more than 1,000,000 members"));
        }
    }
    if !itself {
        return Err(site.nonsense("does not tell of the calendar that was listed"));
    }
    Ok(members.into_iter().collect())
}

/// Whether a listed member is a calendar object, as far as its row says.
fn counts(id: &ResourceId, row: &Response) -> bool {
    if matches!(row.status, Some(404 | 410)) || row.found.is("collection") {
        return false;
    }
    let kind = row.found.content_type.as_deref().unwrap_or("text/calendar");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/calendar") || id.as_str().to_ascii_lowercase().ends_with(".ics")
}

/// What changed since `token`; without one, everything.
///
/// # Errors
/// [`ReadError::Expired`] when the server does not take the token, or the report.
pub(super) async fn report(site: &Site, token: Option<&str>) -> Result<Report, ReadError> {
    let mut report = Report {
        members: BTreeMap::new(),
        gone: BTreeSet::new(),
        token: token.unwrap_or_default().to_owned(),
    };
    for part in 0..PARTS {
        let from = (part > 0 || token.is_some()).then_some(report.token.as_str());
        let reply = site
            .report("0", xml::sync_collection(from), LISTING)
            .await
            .map_err(|error| error.into_read_error(&site.what))?;
        match reply.status.as_u16() {
            207 => {}
            // Said in many ways: 403, 409 or 412 with valid-sync-token, 400, 410. What it was, the
            // listing that follows will tell.
            400 | 403 | 405 | 409..=412 | 415 | 422 | 501 => return Err(ReadError::Expired),
            _ => return Err(site.refused(&reply)),
        }
        let answer = site.multistatus(&reply)?;
        let Some(next) = answer.sync_token else {
            return Err(ReadError::Expired);
        };
        let cut = report.add(site, &reply.url, answer.responses)?;
        let went_on = next != report.token;
        report.token = next;
        if !cut {
            return Ok(report);
        }
        if !went_on {
            return Err(site.nonsense("is cut short and goes on with where it began"));
        }
    }
    if token.is_none() {
        return Err(site.nonsense("comes in more parts than are followed"));
    }
    // The rest is news of the next read.
    Ok(report)
}

impl Report {
    /// Adds one part; gives whether the server cut it (RFC 6578, 3.6).
    fn add(&mut self, site: &Site, reply: &Url, rows: Vec<Response>) -> Result<bool, ReadError> {
        let mut cut = false;
        for row in rows {
            match site.base.named(reply, &row.href) {
                Named::Collection => match row.status {
                    Some(507) => cut = true,
                    _ if row
                        .errors
                        .iter()
                        .any(|e| e == "number-of-matches-within-limits") =>
                    {
                        cut = true;
                    }
                    Some(404 | 410) => {
                        return Err(site.status(StatusCode::NOT_FOUND, &site.what));
                    }
                    _ => {}
                },
                Named::Member(id) if matches!(row.status, Some(404 | 410)) => {
                    self.members.remove(&id);
                    self.gone.insert(id);
                }
                Named::Member(id) => {
                    self.gone.remove(&id);
                    self.members.insert(id, row.found.etag);
                }
                Named::Elsewhere => {
                    debug!(
                        calendar = site.what,
                        "a reported href is not of the calendar"
                    );
                }
            }
            if self.members.len() + self.gone.len() > MEMBERS {
                return Err(site.nonsense("names more than 1,000,000 members"));
            }
        }
        Ok(cut)
    }
}
