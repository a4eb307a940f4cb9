//! From a URL to the calendars of an account (RFC 6764; RFC 4791, 6.2). Network.
//!
//! The URL may be a server's address, a principal, a calendar home or a calendar. [`find`] goes
//! the way, [`ask`] sends its requests, [`read`] makes collections of the answers, [`choose`] names
//! them and picks those that are wanted.

mod ask;
mod choose;
mod find;
mod read;

use std::collections::BTreeSet;

use chrono_tz::Tz;
use percent_encoding::percent_decode_str;
use url::Url;

pub use self::find::discover;

/// What an account offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The account's server, for messages.
    pub host: String,
    /// The account's principal, where the server names one.
    pub principal: Option<Url>,
    /// Where the account's calendars are; none where the configured URL is itself a calendar.
    pub homes: Vec<Url>,
    /// The account's own addresses: lower case, without `mailto:`.
    pub addresses: BTreeSet<String>,
    /// Its calendars, in the server's order, each once.
    pub collections: Vec<Collection>,
    /// What the server calls itself, in short; empty where it does not say.
    pub server: String,
    /// Whether the server takes care of invitations (RFC 6638, 2: `calendar-auto-schedule`).
    pub schedules: bool,
}

/// One calendar of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Where it is, as its server writes it; ends with `/`.
    pub url: Url,
    /// Its name within the account: short, without control characters, no other calendar's.
    /// `None` where the configured URL is the calendar itself.
    pub label: Option<String>,
    /// What its owner calls it.
    pub display_name: Option<String>,
    /// Its colour, such as `#FF2968` or `#FF2968FF`.
    pub colour: Option<String>,
    /// The principal that owns it.
    pub owner: Option<Url>,
    /// Whether the account owns it. What names no owner belongs to whose home it is in.
    pub owned: bool,
    /// Its owner's addresses: lower case, without `mailto:`. Empty where the server does not tell.
    pub addresses: BTreeSet<String>,
    /// The zone of its floating times (RFC 4791, 5.2.2), where it is one of the IANA database.
    pub time_zone: Option<Tz>,
    /// Whether it takes VEVENTs.
    pub holds_events: bool,
    /// Whether the account may change its events; `None` where the server does not tell.
    pub writable: Option<bool>,
    /// Whether it offers sync-collection (RFC 6578).
    pub sync_collection: bool,
    /// Whether it offers calendar-multiget (RFC 4791, 7.9).
    pub multiget: bool,
    /// The largest resource it takes, in bytes.
    pub max_resource_size: Option<u64>,
    /// The home it was found in.
    pub home: Option<Url>,
    /// Its `getctag`.
    pub ctag: Option<String>,
}

impl Collection {
    /// The last segment of its path, decoded.
    pub fn segment(&self) -> String {
        let mut segments = self.url.path().rsplit('/').filter(|s| !s.is_empty());
        decoded(segments.next().unwrap_or_default())
    }
}

/// Whether two URLs name one collection: percent-encoding and a last slash make no difference, nor
/// does http instead of https.
pub(super) fn same_place(one: &Url, other: &Url) -> bool {
    one.host() == other.host()
        && one.port() == other.port()
        && place(one.path()) == place(other.path())
}

/// A path as it is compared.
fn place(path: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = percent_decode_str(path).collect();
    while bytes.last() == Some(&b'/') {
        bytes.pop();
    }
    bytes
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests;
