//! One conditional PUT (RFC 4918, 9.7; RFC 9110, 13.1).
//!
//! The condition is the strong ETag of what was read. Where a server, or a proxy before it, gives none
//! that If-Match takes (weak, with `-gzip`, none at all), the next best is tried, once each, and only
//! while the resource still holds the bytes that were read: the stripped form, the ETag of a GET right
//! before, the Schedule-Tag, and in the end that the resource is there. What worked is remembered of
//! the server.
//!
//! Nothing is ever deleted or made anew, and nothing is sent twice whose outcome is unknown.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH};
use reqwest::{Method, StatusCode};
use url::Url;

use super::connection::{DavError, Reply, Request};
use super::profile::{Bodies, Condition, EtagOnPut};
use super::reason;
use super::site::{SMALL, Site, header};
use super::version::{self, Stamp, Tag};
use crate::calendar::Written;
use crate::http::SendError;
use crate::model::{ResourceId, Version};

const IF_SCHEDULE_TAG_MATCH: HeaderName = HeaderName::from_static("if-schedule-tag-match");
/// The properties whose loss is told: those that are written.
const OURS: [&str; 6] = [
    "CONFERENCE",
    "DESCRIPTION",
    "LOCATION",
    "URL",
    "X-MEETBRIDGE-MEETING",
    "X-MICROSOFT-SKYPETEAMSMEETINGURL",
];

/// How long a lock is waited out, each time (RFC 4918, 11.3): some servers lock a whole calendar while
/// somebody saves an event in it.
const UNLOCK: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_millis(2_700),
];

/// What a PUT is conditional on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum If {
    Match(String),
    ScheduleTag(String),
    /// That there is something.
    Exists,
}

/// What a GET right before a write says.
struct Fresh {
    digest: String,
    etag: Option<String>,
    schedule_tag: Option<String>,
}

/// Replaces the bytes of `id`, if it still is in `version`.
pub(super) async fn write(
    site: &Site,
    id: &ResourceId,
    version: &Version,
    bytes: &[u8],
) -> Written {
    let _one = site.writing.lock().await;
    if let Some(most) = site.max_resource_size
        && bytes.len() as u64 > most
    {
        let hint = format!(
            "with its link it has {} bytes, and the server takes {most}; shorten it, or have the \
             server's limit raised",
            bytes.len()
        );
        return Written::Refused(reason::refusal(id, hint));
    }
    let (Some(stamp), Some(url)) = (Stamp::of(version), site.base.member(id)) else {
        return Written::Changed;
    };
    let write = Write {
        site,
        id,
        url,
        digest: stamp.digest,
        strong: matches!(&stamp.tag, Tag::Etag(tag) | Tag::Written(tag) if version::is_strong(tag)),
        bytes,
    };
    match write.put(&stamp.tag).await {
        Ok(written) => written,
        Err(error) => reason::no_answer(id, &error),
    }
}

struct Write<'w> {
    site: &'w Site,
    id: &'w ResourceId,
    url: Url,
    /// Of the bytes that were read.
    digest: String,
    /// Whether they came with an ETag that If-Match takes.
    strong: bool,
    bytes: &'w [u8],
}

impl Write<'_> {
    /// Tries the conditions that there are, the most likely one first.
    async fn put(&self, tag: &Tag) -> Result<Written, DavError> {
        let learned = self.site.profile.ask(|profile| profile.condition);
        let mut tried = Vec::new();
        // A weak tag never matches (RFC 9110, 8.8.3.2), so its stripped form is all there is to try.
        if let Tag::Etag(etag) | Tag::Written(etag) = tag
            && (self.strong || learned <= Condition::Stripped)
        {
            let condition = If::Match(version::strong(etag));
            let reply = self.send(&condition).await?;
            if !is_mismatch(&reply) {
                return Ok(self.ended(reply, Condition::Stripped).await);
            }
            tried.push(condition);
        }
        // Either it changed, or the tag is not what the server compares.
        let Some(fresh) = self.fresh().await? else {
            return Ok(Written::Changed);
        };
        if fresh.digest != self.digest {
            return Ok(Written::Changed);
        }
        for (condition, used) in fresh.conditions(learned) {
            if tried.contains(&condition) {
                continue;
            }
            let reply = self.send(&condition).await?;
            if !is_mismatch(&reply) {
                return Ok(self.ended(reply, used).await);
            }
            tried.push(condition);
        }
        Ok(Written::Changed)
    }

    async fn send(&self, condition: &If) -> Result<Reply, DavError> {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("text/calendar; charset=utf-8");
        headers.insert(CONTENT_TYPE, kind);
        let (name, value) = match condition {
            If::Match(etag) => (IF_MATCH, etag.as_str()),
            If::ScheduleTag(tag) => (IF_SCHEDULE_TAG_MATCH, tag.as_str()),
            If::Exists => (IF_MATCH, "*"),
        };
        // A tag came from a header, or was checked for control characters; else nothing matches.
        let value = HeaderValue::from_bytes(value.as_bytes());
        headers.insert(name, value.unwrap_or(HeaderValue::from_static("\"\"")));
        let request = Request {
            method: Method::PUT,
            url: self.url.clone(),
            headers,
            body: self.bytes.to_vec(),
            limit: SMALL,
            identity: true,
            repeatable: false,
        };
        for wait in UNLOCK {
            let reply = self.site.connection.send(&request).await?;
            if reply.status != StatusCode::LOCKED {
                return Ok(reply);
            }
            self.site.clock.sleep(wait).await;
        }
        self.site.connection.send(&request).await
    }

    /// The resource as it is, without compression; `None` when it cannot be had.
    async fn fresh(&self) -> Result<Option<Fresh>, DavError> {
        let reply = match self.site.get(self.url.clone()).await {
            Ok(reply) => reply,
            Err(DavError::Send(SendError::TooLarge { .. })) => return Ok(None),
            Err(error) => return Err(error),
        };
        if reply.status.as_u16() != 200 {
            return Ok(None);
        }
        Ok(Some(Fresh {
            digest: version::digest(&reply.body),
            etag: header(&reply, "etag").map(str::to_owned),
            schedule_tag: header(&reply, "schedule-tag").map(str::to_owned),
        }))
    }

    /// What became of a PUT that was conditional on `used`.
    async fn ended(&self, reply: Reply, used: Condition) -> Written {
        if !matches!(reply.status.as_u16(), 200 | 201 | 204) {
            return reason::refused(self.id, &reply);
        }
        let profile = &self.site.profile;
        if !self.strong {
            profile.learn(|profile| profile.condition = used);
        }
        let Some(etag) = header(&reply, "etag").filter(|etag| version::is_strong(etag)) else {
            // A server that gives one at other times leaves it out when it rewrote the event.
            profile.learn(|profile| {
                if profile.etag_on_put == EtagOnPut::Unknown {
                    profile.etag_on_put = EtagOnPut::No;
                }
            });
            return self.read_back(None).await;
        };
        profile.learn(|profile| {
            if profile.etag_on_put != EtagOnPut::Later {
                profile.etag_on_put = EtagOnPut::Yes;
            }
        });
        let digest = version::is_digest(etag, self.bytes);
        if digest {
            profile.learn(|profile| profile.etag_is_digest = true);
        }
        let (digests, bodies, told) =
            profile.ask(|learned| (learned.etag_is_digest, learned.bodies, learned.etag_on_put));
        match bodies {
            _ if digest => self.stored(etag),
            _ if digests || told == EtagOnPut::Later => self.left(Some(etag)),
            Bodies::Kept => self.stored(etag),
            Bodies::Rewritten => self.left(Some(etag)),
            Bodies::Unknown => self.read_back(Some(etag)).await,
        }
    }

    /// Reads what was written: whether it is what the server keeps, and its ETag.
    async fn read_back(&self, told: Option<&str>) -> Written {
        let reply = match self.site.get(self.url.clone()).await {
            Ok(reply) if reply.status.as_u16() == 200 => reply,
            // It is stored, which the answer to PUT has said; what it is, the next report tells.
            _ => return self.left(told),
        };
        let etag = header(&reply, "etag");
        if etag.is_some_and(|etag| version::is_digest(etag, &reply.body)) {
            self.site
                .profile
                .learn(|profile| profile.etag_is_digest = true);
        }
        if reply.body == self.bytes {
            self.learn_bodies(Bodies::Kept);
            let same = |etag: &&str| told.is_some_and(|told| version::same(told, etag));
            return match told.filter(|_| etag.as_ref().is_none_or(same)).or(etag) {
                Some(etag) => self.stored(etag),
                None => Written::Stored(Stamp::read(self.bytes, None, None).version()),
            };
        }
        // Somebody may have been faster than the GET: then its ETag is another.
        if let (Some(told), Some(etag)) = (told, etag)
            && version::same(told, etag)
        {
            self.learn_bodies(Bodies::Rewritten);
            let drops = dropped(self.bytes, &reply.body);
            self.site
                .profile
                .learn(|profile| profile.drops.extend(drops));
        }
        self.left(told)
    }

    /// A body that stays what it was says little where others were seen to change.
    fn learn_bodies(&self, bodies: Bodies) {
        self.site.profile.learn(|profile| {
            if profile.bodies != Bodies::Rewritten {
                profile.bodies = bodies;
            }
        });
    }

    /// The server keeps these bytes: the first report that shows this ETag shows nothing else.
    fn stored(&self, etag: &str) -> Written {
        self.site.memory().wrote(self.id, etag, self.bytes);
        Written::Stored(Stamp::read(self.bytes, Some(etag), None).version())
    }

    /// It is stored, and what is there now is for the next report to tell.
    fn left(&self, etag: Option<&str>) -> Written {
        Written::Stored(Stamp::written(self.bytes, etag).version())
    }
}

impl Fresh {
    /// What a write right after this GET can be conditional on, the strictest first, without those
    /// that the server was seen not to take.
    fn conditions(&self, learned: Condition) -> Vec<(If, Condition)> {
        let strong = self.etag.as_deref().is_some_and(version::is_strong);
        let mut all = Vec::new();
        if let Some(etag) = &self.etag
            && (strong || learned <= Condition::Reread)
        {
            all.push((If::Match(version::strong(etag)), Condition::Reread));
        }
        if let Some(tag) = &self.schedule_tag
            && learned <= Condition::ScheduleTag
        {
            all.push((If::ScheduleTag(tag.clone()), Condition::ScheduleTag));
        }
        // A strong tag that is there and does not match says that somebody was faster.
        if !strong {
            all.push((If::Exists, Condition::Exists));
        }
        all
    }
}

/// Whether a write failed because the resource is not in the version it was conditional on.
fn is_mismatch(reply: &Reply) -> bool {
    reply.status.as_u16() == 412 && reason::condition(reply).is_none()
}

/// Which of our properties were written and are not there.
fn dropped(written: &[u8], found: &[u8]) -> Vec<String> {
    let has = |bytes: &[u8], name: &str| {
        bytes.split(|byte| *byte == b'\n').any(|line| {
            let Some((start, rest)) = line.split_at_checked(name.len()) else {
                return false;
            };
            start.eq_ignore_ascii_case(name.as_bytes()) && matches!(rest.first(), Some(b':' | b';'))
        })
    };
    OURS.iter()
        .filter(|name| has(written, name) && !has(found, name))
        .map(|name| (*name).to_owned())
        .collect()
}
