//! Fetching resources: by multiget in chunks that the server takes, or one by one.
//!
//! What a multiget omits is fetched by itself; what it refuses is halved. "Not there" is the word of a
//! resource's own href, in a row of a multiget or in an answer of its own, and counts only as long as
//! the collection itself is there.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use reqwest::StatusCode;

use super::connection::{DavError, Reply};
use super::href::{self, Named};
use super::profile::LineEnds;
use super::site::{RESOURCE_MIB, SMALL, Site, header};
use super::version::Stamp;
use super::xml::{self, Prop, Response};
use crate::calendar::{Again, ReadError, Resource};
use crate::http::SendError;
use crate::model::ResourceId;

/// How many requests for single resources are under way at once.
const AT_ONCE: usize = 4;
/// The largest answer to a multiget, in bytes; what does not fit is asked for in smaller parts.
const MULTIGET_BYTES: usize = 16 << 20;
/// A chunk must be at least this large to say anything about how many the server takes.
const TELLING: usize = 8;

/// How the fetching of one resource ended.
#[derive(Debug)]
pub(super) enum Got {
    /// It is there.
    There(Resource),
    /// It is not there.
    Gone,
    /// It may be there, and cannot be read.
    Failed(ReadError),
}

/// The answer that a stop is made of: nothing more is asked, as no answer would come.
#[derive(Debug)]
pub(super) struct Stopped(pub(super) ResourceId, pub(super) ReadError);

/// Fetches within one read.
pub(super) struct Fetch<'s> {
    site: &'s Site,
    /// Whether the collection was seen since the first resource answered "not there" by itself.
    there: Option<Result<(), String>>,
}

/// Why a multiget brought nothing.
enum Refused {
    /// The server does not take it, because of its size or of one of its resources.
    Part,
    /// Its answer is too large.
    Large,
    /// There is no answer, nor would there be to a smaller one.
    Stop(DavError),
}

impl<'s> Fetch<'s> {
    /// Begins to fetch.
    pub(super) fn new(site: &'s Site) -> Self {
        Self { site, there: None }
    }

    /// How many resources make a chunk.
    pub(super) fn chunk(&self) -> usize {
        match self.multiget_size() {
            0 => AT_ONCE,
            size => size,
        }
    }

    fn multiget_size(&self) -> usize {
        if self.site.multiget {
            self.site.profile.ask(|profile| match profile.line_ends {
                LineEnds::Lost => 0,
                _ => profile.multiget_size(),
            })
        } else {
            0
        }
    }

    /// Fetches these, at most a chunk.
    pub(super) async fn fetch(
        &mut self,
        ids: &[ResourceId],
    ) -> Result<Vec<(ResourceId, Got)>, Stopped> {
        let mut out = Vec::with_capacity(ids.len());
        let mut single = Vec::new();
        if self.multiget_size() == 0 || ids.len() == 1 {
            single.extend_from_slice(ids);
        } else {
            let (rows, alone) = self.rows(ids, true).await?;
            single.extend(alone);
            for (id, row) in rows {
                match row {
                    None => out.push((id, Got::Gone)),
                    Some(row) => match self.usable(&id, row).await? {
                        Some(got) => out.push((id, got)),
                        None => single.push(id),
                    },
                }
            }
        }
        out.extend(self.one_by_one(single).await?);
        Ok(out)
    }

    /// Which of these are there: `false` for what is gone, `true` for everything else.
    pub(super) async fn confirm(
        &mut self,
        ids: &[ResourceId],
    ) -> Result<Vec<(ResourceId, bool)>, Stopped> {
        let mut out = Vec::with_capacity(ids.len());
        let mut single = Vec::new();
        if self.multiget_size() == 0 || ids.len() == 1 {
            single.extend_from_slice(ids);
        } else {
            let (rows, alone) = self.rows(ids, false).await?;
            single.extend(alone);
            out.extend(rows.into_iter().map(|(id, row)| (id, row.is_some())));
        }
        let site = self.site;
        let mut asked = futures_util::stream::iter(single)
            .map(|id| async move { (is_there(site, &id).await, id) })
            .buffered(AT_ONCE);
        while let Some((there, id)) = asked.next().await {
            match there {
                Ok(true) => out.push((id, true)),
                Ok(false) => {
                    let gone = self.collection_is_there().await.is_ok();
                    out.push((id, !gone));
                }
                Err(error) => return Err(self.stopped(id, error)),
            }
        }
        Ok(out)
    }

    /// What multigets say of these: the row of each, `None` for one that is not there; and those that
    /// are to be asked for by themselves.
    async fn rows(
        &self,
        ids: &[ResourceId],
        with_data: bool,
    ) -> Result<(Vec<(ResourceId, Option<Response>)>, Vec<ResourceId>), Stopped> {
        let (mut rows, mut single) = (Vec::with_capacity(ids.len()), Vec::new());
        let (mut refused, mut taken) = (usize::MAX, 0);
        let mut parts = vec![ids];
        while let Some(part) = parts.pop() {
            if let [id] = part {
                single.push(id.clone());
                continue;
            }
            match self.multiget(part, with_data).await {
                Ok(mut found) => {
                    taken = taken.max(part.len());
                    for id in part {
                        match found.remove(id) {
                            Some(row) if matches!(row.status, Some(404 | 410)) => {
                                rows.push((id.clone(), None));
                            }
                            Some(row) if row.status.is_none_or(|status| status == 200) => {
                                rows.push((id.clone(), Some(row)));
                            }
                            _ => single.push(id.clone()),
                        }
                    }
                }
                Err(Refused::Stop(error)) => return Err(self.stopped(part[0].clone(), error)),
                Err(why) => {
                    if matches!(why, Refused::Part) {
                        refused = refused.min(part.len());
                    }
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        // One resource that the server fails on makes it refuse parts of any size, but not all of one.
        if refused != usize::MAX && ids.len() >= TELLING && taken < refused {
            let size = u16::try_from(taken).unwrap_or(u16::MAX);
            self.site
                .profile
                .learn(|profile| profile.multiget = Some(size));
        }
        Ok((rows, single))
    }

    async fn multiget(
        &self,
        ids: &[ResourceId],
        with_data: bool,
    ) -> Result<HashMap<ResourceId, Response>, Refused> {
        let site = self.site;
        let paths: Vec<String> = ids.iter().map(|id| site.base.path(id)).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let body = xml::multiget(&paths, with_data);
        let reply = match site.report("1", body, MULTIGET_BYTES).await {
            Ok(reply) => reply,
            Err(DavError::Send(SendError::TooLarge { .. })) => return Err(Refused::Large),
            Err(error) => return Err(Refused::Stop(error)),
        };
        if reply.status != StatusCode::MULTI_STATUS {
            return Err(Refused::Part);
        }
        let answer = xml::parse(&reply.body).map_err(|_| Refused::Part)?;
        let named = answer.responses.into_iter().filter_map(|row| {
            match site.base.named(&reply.url, &row.href) {
                Named::Member(id) => Some((id, row)),
                _ => None,
            }
        });
        Ok(named.collect())
    }

    /// What a row brings; `None` when the resource has to be fetched by itself.
    async fn usable(&self, id: &ResourceId, row: Response) -> Result<Option<Got>, Stopped> {
        let props = row.found;
        let Some(bytes) = props.calendar_data.filter(|bytes| !bytes.is_empty()) else {
            return Ok(None);
        };
        if props.etag.is_none() {
            return Ok(None);
        }
        let profile = &self.site.profile;
        if memchr::memchr(b'\r', &bytes).is_some() {
            profile.learn(|profile| profile.saw_line_ends(&bytes, &[]));
        } else if profile.ask(|profile| profile.line_ends) != LineEnds::Kept {
            let got = self.get(id).await;
            let got = got.map_err(|error| self.stopped(id.clone(), error))?;
            if let Got::There(there) = &got {
                profile.learn(|profile| profile.saw_line_ends(&bytes, &there.bytes));
            }
            // One that is gone by now is asked for once more, with the collection looked at.
            return Ok(Some(got).filter(|got| !matches!(got, Got::Gone)));
        }
        Ok(Some(whole(
            id,
            bytes,
            props.etag.as_deref(),
            props.schedule_tag.as_deref(),
            props.last_modified,
        )))
    }

    async fn one_by_one(
        &mut self,
        ids: Vec<ResourceId>,
    ) -> Result<Vec<(ResourceId, Got)>, Stopped> {
        let site = self.site;
        let mut out = Vec::with_capacity(ids.len());
        let mut asked = futures_util::stream::iter(ids)
            .map(|id| async move { (get(site, &id).await, id) })
            .buffered(AT_ONCE);
        while let Some((got, id)) = asked.next().await {
            let mut got = match got {
                Ok(got) => got,
                Err(error) => return Err(self.stopped(id, error)),
            };
            if matches!(got, Got::Gone)
                && let Err(hint) = self.collection_is_there().await
            {
                got = Got::Failed(ReadError::Server {
                    what: site.what.clone(),
                    hint,
                    again: Again::Soon,
                });
            }
            out.push((id, got));
        }
        Ok(out)
    }

    async fn get(&self, id: &ResourceId) -> Result<Got, DavError> {
        get(self.site, id).await
    }

    /// A server that is being set up, or a proxy before it, may answer everything with 404.
    async fn collection_is_there(&mut self) -> Result<(), String> {
        if let Some(there) = &self.there {
            return there.clone();
        }
        let there = match self.site.own_props(&[Prop::ResourceType]).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        self.there = Some(there.clone());
        there
    }

    fn stopped(&self, id: ResourceId, error: DavError) -> Stopped {
        Stopped(id, error.into_read_error(&self.site.what))
    }
}

/// Whether one resource is there, by its own href; only "not there" in so many words is `false`.
async fn is_there(site: &Site, id: &ResourceId) -> Result<bool, DavError> {
    let Some(url) = site.base.member(id) else {
        return Ok(false);
    };
    let reply = site.propfind(&url, "0", &[Prop::Etag], SMALL).await?;
    Ok(match reply.status.as_u16() {
        404 | 410 => false,
        207 => !says_gone(site, &reply, id),
        _ => true,
    })
}

/// Xandikos answers 207 with a 404 within.
fn says_gone(site: &Site, reply: &Reply, id: &ResourceId) -> bool {
    let rows = xml::parse(&reply.body).map(|answer| answer.responses);
    rows.unwrap_or_default().iter().any(|row| {
        matches!(row.status, Some(404 | 410))
            && (href::is_itself(&reply.url, &row.href)
                || site.base.named(&reply.url, &row.href) == Named::Member(id.clone()))
    })
}

/// Fetches one resource by GET.
pub(super) async fn get(site: &Site, id: &ResourceId) -> Result<Got, DavError> {
    let Some(url) = site.base.member(id) else {
        return Ok(Got::Gone);
    };
    let reply = match site.get(url).await {
        Ok(reply) => reply,
        Err(DavError::Send(SendError::TooLarge { .. })) => {
            return Ok(Got::Failed(ReadError::TooLarge {
                what: id.to_string(),
                limit: RESOURCE_MIB,
            }));
        }
        Err(error) => return Err(error),
    };
    Ok(match reply.status.as_u16() {
        200 if is_page(&reply) => Got::Failed(ReadError::Server {
            what: id.to_string(),
            hint: "the server answers with a web page in place of the event; check that it takes \
                   the account's credentials for CalDAV"
                .to_owned(),
            again: Again::Slowly,
        }),
        200 => {
            let modified = header(&reply, "last-modified").and_then(time);
            let etag = header(&reply, "etag").map(str::to_owned);
            let schedule_tag = header(&reply, "schedule-tag").map(str::to_owned);
            let bytes = reply.body;
            whole(
                id,
                bytes,
                etag.as_deref(),
                schedule_tag.as_deref(),
                modified,
            )
        }
        404 | 410 => Got::Gone,
        _ => Got::Failed(site.status(reply.status, &id.to_string())),
    })
}

fn is_page(reply: &Reply) -> bool {
    header(reply, "content-type").is_some_and(|kind| {
        let kind = kind.trim_start().to_ascii_lowercase();
        kind.starts_with("text/html") || kind.starts_with("application/xhtml")
    })
}

/// A resource, if it came whole: some connections end an answer early without a word.
fn whole(
    id: &ResourceId,
    bytes: Vec<u8>,
    etag: Option<&str>,
    schedule_tag: Option<&str>,
    modified: Option<DateTime<Utc>>,
) -> Got {
    const END: &[u8] = b"END:VCALENDAR";
    let end = bytes.trim_ascii_end().last_chunk::<{ END.len() }>();
    if !end.is_some_and(|end| end.eq_ignore_ascii_case(END)) {
        return Got::Failed(ReadError::Incomplete(id.to_string()));
    }
    Got::There(Resource {
        id: id.clone(),
        version: Stamp::read(&bytes, etag, schedule_tag).version(),
        bytes: bytes.into(),
        origins: Default::default(),
        modified,
    })
}

/// An HTTP date in the form that is still written (RFC 9110, 5.6.7).
fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim())
        .ok()
        .map(|time| time.to_utc())
}
