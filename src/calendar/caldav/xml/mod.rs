//! WebDAV bodies: requests out, multistatus answers in (RFC 4918, 13).
//!
//! A reader for what servers really send: any namespace prefix, control characters in texts, hrefs with
//! blanks around them, bytes that are not UTF-8. Nothing is expanded but character references and the
//! five entities of XML; a DOCTYPE is refused, and depth and counts are bounded.

mod parse;
mod pull;
mod request;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

pub use self::parse::{error_condition, parse};
pub use self::request::{Prop, multiget, propfind, sync_collection};

/// An answer to PROPFIND or REPORT (RFC 4918, 14.16; RFC 6578, 6.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multistatus {
    /// Its responses, in the server's order; one for each href.
    pub responses: Vec<Response>,
    /// DAV:sync-token of a sync-collection report.
    pub sync_token: Option<String>,
}

/// What an answer says of one resource (RFC 4918, 14.24).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The href as the server gave it, XML unescaped and without blanks around it: a path or a URL,
    /// percent-encoded in whatever way.
    pub href: String,
    /// The status of the resource itself, where it has one: 404 for a member that is gone, 507 for a
    /// listing that is cut. A status line that is not understood is 0.
    pub status: Option<u16>,
    /// The status of the first property group that was not found: 404 for properties that the server
    /// does not have, 403 for those it does not show.
    pub missing: Option<u16>,
    /// The properties that were found: those with status 200, or with none.
    pub found: Props,
    /// The conditions of DAV:error elements by their local names, such as
    /// `number-of-matches-within-limits`.
    pub errors: Vec<String>,
}

/// The properties of one resource; what is absent, empty or not understood is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Props {
    /// DAV:getetag, with its quotes and `W/`.
    pub etag: Option<String>,
    /// CALDAV:schedule-tag (RFC 6638, 3.2.10), with its quotes.
    pub schedule_tag: Option<String>,
    /// CALDAV:calendar-data: the bytes as they were sent. Line ends are not normalised, and what is not
    /// UTF-8 stays what it is. Empty where the element is.
    pub calendar_data: Option<Vec<u8>>,
    /// DAV:getlastmodified.
    pub last_modified: Option<DateTime<Utc>>,
    /// DAV:getcontenttype.
    pub content_type: Option<String>,
    /// The local names within DAV:resourcetype, such as `collection` and `calendar`.
    pub resource_types: BTreeSet<String>,
    /// `getctag` of calendarserver.org.
    pub ctag: Option<String>,
    /// DAV:sync-token (RFC 6578, 4).
    pub sync_token: Option<String>,
    /// What collections and principals have and their many members do not; see [`Props::more`].
    pub more: Option<Box<More>>,
}

/// The properties of collections and principals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct More {
    /// DAV:displayname.
    pub display_name: Option<String>,
    /// `calendar-color` of apple.com.
    pub colour: Option<String>,
    /// The href in DAV:owner (RFC 3744, 5.1).
    pub owner: Option<String>,
    /// The href in DAV:current-user-principal (RFC 5397).
    pub current_user_principal: Option<String>,
    /// The hrefs in CALDAV:calendar-home-set (RFC 4791, 6.2.1).
    pub calendar_home_set: Vec<String>,
    /// The hrefs in CALDAV:calendar-user-address-set (RFC 6638, 2.4.1), as they are.
    pub calendar_user_address_set: Vec<String>,
    /// CALDAV:calendar-timezone (RFC 4791, 5.2.2): iCalendar text.
    pub calendar_timezone: Option<String>,
    /// The local names of the reports in DAV:supported-report-set (RFC 3253, 3.1.5); `None` where the
    /// property is absent.
    pub supported_reports: Option<BTreeSet<String>>,
    /// The local names in DAV:current-user-privilege-set (RFC 3744, 5.4); `None` where it is absent.
    pub privileges: Option<BTreeSet<String>>,
    /// The upper-case names in CALDAV:supported-calendar-component-set (RFC 4791, 5.2.3); `None` where
    /// it is absent.
    pub components: Option<BTreeSet<String>>,
    /// CALDAV:max-resource-size (RFC 4791, 5.2.5), in bytes.
    pub max_resource_size: Option<u64>,
}

impl Props {
    /// Whether DAV:resourcetype names this type, by its local name.
    pub fn is(&self, resource_type: &str) -> bool {
        self.resource_types.contains(resource_type)
    }
}

/// Why a body is no answer that can be used. Says what came, never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// There is no body.
    #[error("the answer is empty; check the URL")]
    Empty,
    /// A web page: a login form, a proxy's notice, a web interface.
    #[error(
        "the answer is a web page instead of XML, perhaps a login form or a proxy's notice; \
         check the URL, and that the server takes the account's credentials for CalDAV"
    )]
    WebPage,
    /// Something other than XML.
    #[error("the answer is not XML; check the URL")]
    NotXml,
    /// XML, but no multistatus.
    #[error("the answer is XML, but no WebDAV answer; check the URL")]
    NotDav,
    /// It declares a document type: no WebDAV server needs one, and entities can be bombs.
    #[error("the answer has a DOCTYPE, which no WebDAV answer has; it is refused")]
    Doctype,
    /// It ends too early.
    #[error("the answer is cut off: its XML ends too early")]
    Truncated,
    /// It nests deeper, or holds more, than any answer does.
    #[error("the answer nests deeper or holds more than any WebDAV answer does; it is refused")]
    TooMuch,
    /// It is not well-formed.
    #[error("the answer's XML is broken at byte {at}")]
    Broken {
        /// Where.
        at: u64,
    },
}

#[cfg(test)]
mod tests;
