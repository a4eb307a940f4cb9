//! Graph: each request is let in, let through, and carried out. Pure.
//!
//! `access`: tokens, permissions, access policies. `meetings`, `patch`, `filter`: onlineMeetings, in the
//! types of `shape`, as `record` shows them, in the languages of `wording`. `outlook`: events and calendars.
//! `users`, `batch`: the rest.

mod access;
pub(crate) mod batch;
mod filter;
mod meetings;
mod outlook;
mod patch;
mod record;
mod shape;
mod users;
mod wording;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::reply::{Refusal, Reply};
use super::route::{Target, Who};
use super::settings::{Organizer, Settings};
use super::state::World;
use super::throttle::Scope;

pub(crate) use access::bearer;
pub use outlook::{Deed, Does};
pub(crate) use outlook::{Mailboxes, wanted_key};
pub(crate) use record::Record;

/// A request to Graph, apart from its target.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The number that the request, or the part of a batch, got when it came in.
    pub(crate) serial: u64,
    pub(crate) now: DateTime<Utc>,
    /// The clock's monotonic time.
    pub(crate) elapsed: Duration,
    /// The Graph root, for `@odata.context`.
    pub(crate) root: &'a str,
    /// With the version, as it was sent.
    pub(crate) path: &'a str,
    /// Whether more requests to the mailbox are in flight than may be.
    pub(crate) crowded: bool,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) content_encoding: Option<&'a str>,
    pub(crate) accept_language: &'a str,
    pub(crate) prefer: &'a str,
    /// `None`: larger than a request may be.
    pub(crate) body: Option<&'a [u8]>,
}

impl Call<'_> {
    /// The request's body: one JSON object, of the right type, not too large.
    fn body(&self) -> Result<Map<String, Value>, Refusal> {
        let media = self.content_type.unwrap_or_default().split(';').next();
        let json = media.is_some_and(|m| m.trim().eq_ignore_ascii_case("application/json"));
        if !json || self.content_encoding.is_some() {
            let message = "The content type or content encoding is not supported.";
            return Err(Refusal::new(415, "BadRequest", message));
        }
        let Some(bytes) = self.body else {
            return Err(Refusal::new(413, "BadRequest", "The request is too large."));
        };
        if bytes.is_empty() {
            return Err(Refusal::bad("Empty payload; JSON content expected."));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(body)) => Ok(body),
            _ => Err(Refusal::bad("Unable to read JSON request payload.")),
        }
    }
}

/// How long a mailbox with too many requests in flight is to be left alone; no figure is published.
const CROWDED: Duration = Duration::from_secs(1);

/// Whether the request's token is good: for a batch, whose parts are judged one by one.
pub(crate) fn admit(world: &World, call: &Call<'_>) -> Result<(), Refusal> {
    access::grant(world, call.authorization, call.elapsed).map(|_| ())
}

/// Carries out a request to Graph; a batch is carried out by [`batch::parts`] instead.
pub(crate) fn answer(
    world: &mut World,
    settings: &Settings,
    target: &Target,
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let grant = access::grant(world, call.authorization, call.elapsed)?;
    let mut scopes = world.scopes(settings, target, call.authorization);
    let mailbox = |scope: &Scope| matches!(scope, Scope::Mailbox(_));
    if let Target::Outlook(..) = target {
        scopes.retain(mailbox); // the application's limit is that of online meetings
    }
    let admitted = match target {
        Target::Outlook(..) if call.crowded => match scopes.first() {
            Some(scope) => Err((scope.clone(), CROWDED)),
            None => Ok(()),
        },
        Target::Meetings(..) | Target::Outlook(..) => {
            world
                .throttle
                .admit(&scopes, &settings.limits, call.elapsed)
        }
        _ => Ok(()),
    };
    if let Err((scope, wait)) = admitted {
        let refusal = match scope {
            Scope::Mailbox(_) => {
                let message = "Application is over its MailboxConcurrency limit.";
                Refusal::new(429, "ApplicationThrottled", message)
            }
            _ => Refusal::usual(429),
        };
        let header = settings.limits.hint.header(wait);
        return Err(Refusal {
            retry_after: header.map(|header| (scope, header)),
            ..refusal
        });
    }
    match target {
        Target::Meetings(who, ask) => {
            let organizer = access::organizer(settings, &grant, who, ask, call.now)?;
            let desk = Desk {
                settings,
                organizer,
                delegated: *who == Who::Me,
                call,
            };
            desk.answer(world, ask)
        }
        Target::User(who, query) => users::answer(settings, &grant, who, query, call),
        Target::Outlook(who, ask) => {
            let organizer = access::mailbox(settings, &grant, who, ask)?;
            let desk = Desk {
                settings,
                organizer,
                delegated: *who == Who::Me,
                call,
            };
            desk.outlook(world, ask)
        }
        Target::WrongMethod => Err(Refusal::new(
            405,
            "BadRequest",
            "The method is not allowed here.",
        )),
        Target::Token { .. } | Target::DeviceCode { .. } | Target::Batch | Target::Nothing => Err(
            Refusal::new(404, "NotFound", "Resource not found for this path."),
        ),
    }
}

/// One request for meetings or events, with the organizer it is for.
struct Desk<'a> {
    settings: &'a Settings,
    organizer: &'a Organizer,
    /// Whether the organizer asks in person, by `/me`.
    delegated: bool,
    call: &'a Call<'a>,
}
