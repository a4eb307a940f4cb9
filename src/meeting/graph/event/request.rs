//! The requests of the Calendar API, as values (graph-api.md, section 9). Pure.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use url::Url;

use super::wire;
use crate::meeting::graph::call::{Call, below, segment};
use crate::meeting::graph::errors::Aim;
use crate::meeting::graph::wire::Change;
use crate::meeting::{Mirror, Wanted};
use crate::model::OrganizerId;

/// The extended property that holds an event's key. Fixed for ever: by another one no event of ours is
/// found.
pub(super) const PROPERTY: &str =
    "String {28127341-401b-4936-87b6-73011a520c68} Name MeetingBridgeKey";

/// What is read of an event; its body may be large, and is not ours any more.
const READ: &str = "$select=id,createdDateTime,subject,start,end,isOnlineMeeting,\
                    onlineMeetingProvider,onlineMeeting";

/// How many entries of a list are asked for at once.
const PAGE: usize = 100;

/// Where something of one mailbox is.
#[derive(Clone, Copy)]
pub(super) struct Mailbox<'a> {
    /// The Graph root.
    pub(super) root: &'a Url,
    /// Whose it is.
    pub(super) organizer: &'a OrganizerId,
}

impl Mailbox<'_> {
    /// GET of the events with this key in the calendar with the id `calendar`, or in the default one.
    pub(super) fn find(&self, calendar: Option<&str>, key: &str) -> Call {
        let filter = format!(
            "singleValueExtendedProperties/Any(ep: ep/id eq '{PROPERTY}' and ep/value eq '{key}')"
        );
        let filter = utf8_percent_encode(&filter, NON_ALPHANUMERIC);
        let mut call = self.in_calendar(Method::GET, calendar, None);
        call.url
            .set_query(Some(&format!("$filter={filter}&{READ}&$top={PAGE}")));
        call
    }

    /// GET of the mailbox's calendars.
    pub(super) fn calendars(&self) -> Call {
        let mut call = self.call(Method::GET, "calendars", None, Aim::Mailbox);
        let query = format!("$select=id,name&$top={PAGE}");
        call.url.set_query(Some(&query));
        call
    }

    /// GET of the next page of a list, by the link that `call`'s answer gave; `None` where that leads
    /// elsewhere.
    pub(super) fn next(&self, call: &Call, link: &str) -> Option<Call> {
        let url = Url::parse(link).ok()?;
        let base = self.root.path().trim_end_matches('/');
        let is_ours = url.origin() == self.root.origin()
            && url.username().is_empty()
            && url.password().is_none()
            && url
                .path()
                .strip_prefix(base)
                .is_some_and(|rest| rest.starts_with("/v1.0/"));
        is_ours.then(|| Call {
            url,
            ..call.clone()
        })
    }

    /// POST of the event that mirrors what is wanted.
    pub(super) fn create(
        &self,
        calendar: Option<&str>,
        wanted: &Wanted,
        mirror: &Mirror,
        key: &str,
    ) -> Call {
        let body = wire::create(wanted, mirror, key);
        self.in_calendar(Method::POST, calendar, Some(body))
    }

    /// GET of the event `id`.
    pub(super) fn get(&self, id: &str) -> Call {
        let mut call = self.event(Method::GET, id, None);
        call.url.set_query(Some(READ));
        call
    }

    /// PATCH of the event `id`.
    pub(super) fn patch(&self, id: &str, change: &Change) -> Call {
        self.event(Method::PATCH, id, Some(wire::patch(change)))
    }

    /// PATCH that makes the event `id` an online meeting.
    pub(super) fn go_online(&self, id: &str) -> Call {
        self.event(Method::PATCH, id, Some(wire::go_online()))
    }

    /// DELETE of the event `id`.
    pub(super) fn delete(&self, id: &str) -> Call {
        self.event(Method::DELETE, id, None)
    }

    fn in_calendar(&self, method: Method, calendar: Option<&str>, body: Option<Vec<u8>>) -> Call {
        match calendar {
            None => self.call(method, "events", body, Aim::Mailbox),
            Some(id) => {
                let path = format!("calendars/{}/events", segment(id));
                self.call(method, &path, body, Aim::Calendar)
            }
        }
    }

    fn event(&self, method: Method, id: &str, body: Option<Vec<u8>>) -> Call {
        let path = format!("events/{}", segment(id));
        self.call(method, &path, body, Aim::Event)
    }

    fn call(&self, method: Method, path: &str, body: Option<Vec<u8>>, aim: Aim) -> Call {
        let url = below(self.root, &format!("/v1.0/users/{}/{path}", self.organizer));
        Call {
            aim,
            ..Call::of(method, url, body, self.organizer)
        }
    }
}
