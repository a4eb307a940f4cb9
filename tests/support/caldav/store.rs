//! What the server keeps: users, calendars, members, and what changed when.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::quirks::{Etag, Granularity, Quirks};
use super::rewrite;

/// All of it.
pub(super) struct World {
    pub(super) users: BTreeMap<String, User>,
    pub(super) collections: Vec<Collection>,
    pub(super) quirks: Quirks,
    /// Seconds since 1970; moved by the test.
    pub(super) now: i64,
    /// Grows with each change anywhere.
    pub(super) serial: u64,
    pub(super) bearer_tokens: BTreeMap<String, String>,
    pub(super) refresh_tokens: BTreeMap<String, String>,
    /// Wrong passwords so far.
    pub(super) wrong: usize,
    /// How often each digest nonce was used, and the highest count.
    pub(super) nonces: HashMap<String, (usize, u32)>,
    /// How many listings were made, for ETags that never rest.
    pub(super) listings: u64,
}

/// A user.
pub(super) struct User {
    pub(super) password: String,
    pub(super) addresses: Vec<String>,
    /// What stands in the home set: by path segment, the collection and what the user may do there.
    pub(super) home: BTreeMap<String, (usize, Access)>,
}

/// What a user may do with a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Owner,
    /// Read and write.
    Write,
    /// Read.
    Read,
}

/// A calendar.
pub(super) struct Collection {
    /// What it says about itself.
    pub(super) about: About,
    pub(super) members: BTreeMap<String, Member>,
    /// The last change of each name, by its number: `false` where it was a deletion.
    pub(super) journal: BTreeMap<u64, Change>,
    /// Where the last change of a name stands in the journal.
    changed: HashMap<String, u64>,
    /// The number of the last change.
    pub(super) version: u64,
    /// Tokens with lower numbers are no good any more.
    pub(super) first_token: i64,
    /// The second of the last change.
    pub(super) second: i64,
    /// How often each name was stored since it was created.
    stored: HashMap<String, u64>,
    uids: HashMap<String, BTreeSet<String>>,
}

/// What a calendar says about itself.
#[derive(Clone, Debug)]
pub struct About {
    /// The user who owns it.
    pub owner: String,
    /// DAV:displayname.
    pub display_name: Option<String>,
    /// The colour that Apple's clients keep.
    pub colour: Option<String>,
    /// CALDAV:calendar-timezone: a VCALENDAR with a VTIMEZONE.
    pub time_zone: Option<String>,
    /// CALDAV:supported-calendar-component-set.
    pub components: Vec<&'static str>,
    /// Whether it is a calendar at all, or a collection of something else.
    pub is_calendar: bool,
}

/// A change of one name.
pub(super) struct Change {
    pub(super) name: String,
    pub(super) there: bool,
    pub(super) second: i64,
}

/// A stored object.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) bytes: Arc<[u8]>,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) schedule_tag: String,
    pub(super) second: i64,
}

impl World {
    pub(super) fn new(quirks: Quirks) -> Self {
        Self {
            users: BTreeMap::new(),
            collections: Vec::new(),
            quirks,
            now: 1_793_520_000, // 2026-11-01 08:00 UTC
            serial: 0,
            bearer_tokens: BTreeMap::new(),
            refresh_tokens: BTreeMap::new(),
            wrong: 0,
            nonces: HashMap::new(),
            listings: 0,
        }
    }

    /// The calendar that `path` (`alice/work`) names.
    pub(super) fn collection(&mut self, path: &str) -> &mut Collection {
        let (user, name) = path.split_once('/').expect("USER/CALENDAR");
        let (at, _) = self.users[user].home[name];
        &mut self.collections[at]
    }

    /// Stores `bytes` as they are.
    pub(super) fn store(&mut self, at: usize, name: &str, bytes: Vec<u8>, keep_schedule_tag: bool) {
        self.serial += 1;
        let (serial, now, how) = (self.serial, self.now, self.quirks.etag);
        self.collections[at].store(name, bytes, (serial, now, how), keep_schedule_tag);
    }

    /// Takes a member out; whether it was there.
    pub(super) fn remove(&mut self, at: usize, name: &str) -> bool {
        self.serial += 1;
        let now = self.now;
        self.collections[at].remove(name, now)
    }

    /// The user with this calendar address, if any.
    pub(super) fn with_address(&self, address: &str) -> Option<&str> {
        let address = address.to_lowercase();
        let found = self
            .users
            .iter()
            .find(|(_, user)| user.addresses.contains(&address));
        found.map(|(name, _)| name.as_str())
    }
}

impl Collection {
    pub(super) fn new(about: About) -> Self {
        Self {
            about,
            members: BTreeMap::new(),
            journal: BTreeMap::new(),
            changed: HashMap::new(),
            version: 0,
            first_token: 0,
            second: 0,
            stored: HashMap::new(),
            uids: HashMap::new(),
        }
    }

    fn store(&mut self, name: &str, bytes: Vec<u8>, made: (u64, i64, Etag), keep: bool) {
        let (serial, now, how) = made;
        let old = self.members.get(name);
        if let Some(uid) = old.and_then(|old| rewrite::uid(&old.bytes)) {
            self.forget_uid(&uid, name);
        }
        let old_tag = self.members.get(name).map(|old| old.schedule_tag.clone());
        let times = self.stored.entry(name.to_owned()).or_default();
        *times += 1;
        let etag = match how {
            Etag::Counter => format!("e{serial}"),
            Etag::PerName => format!("v{times:08}"),
            Etag::Content => {
                data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes).as_slice()[..12])
            }
        };
        if let Some(uid) = rewrite::uid(&bytes) {
            self.uids.entry(uid).or_default().insert(name.to_owned());
        }
        let schedule_tag = old_tag
            .filter(|_| keep)
            .unwrap_or_else(|| format!("s{serial}"));
        let member = Member {
            bytes: bytes.into(),
            etag,
            schedule_tag,
            second: now,
        };
        self.members.insert(name.to_owned(), member);
        self.note(name, true, now);
    }

    fn remove(&mut self, name: &str, now: i64) -> bool {
        let Some(old) = self.members.remove(name) else {
            return false;
        };
        if let Some(uid) = rewrite::uid(&old.bytes) {
            self.forget_uid(&uid, name);
        }
        self.stored.remove(name);
        self.note(name, false, now);
        true
    }

    fn forget_uid(&mut self, uid: &str, name: &str) {
        if let Some(names) = self.uids.get_mut(uid) {
            names.remove(name);
            if names.is_empty() {
                self.uids.remove(uid);
            }
        }
    }

    /// A member's ETag becomes another, and nothing else.
    pub(super) fn restamp(&mut self, name: &str, etag: String, now: i64) {
        if let Some(member) = self.members.get_mut(name) {
            member.etag = etag;
            self.note(name, true, now);
        }
    }

    /// No token that was given out is good any more.
    pub(super) fn expire_tokens(&mut self) {
        self.version += 1;
        self.first_token = self.version as i64;
    }

    /// Writes down that `name` changed.
    pub(super) fn note(&mut self, name: &str, there: bool, second: i64) {
        if let Some(before) = self.changed.get(name) {
            self.journal.remove(before);
        }
        self.version += 1;
        self.second = second;
        let change = Change {
            name: name.to_owned(),
            there,
            second,
        };
        self.journal.insert(self.version, change);
        self.changed.insert(name.to_owned(), self.version);
    }

    /// The name of another member with this UID.
    pub(super) fn holder_of(&self, uid: &str, not: &str) -> Option<&str> {
        let names = self.uids.get(uid)?;
        names.iter().map(String::as_str).find(|name| *name != not)
    }

    pub(super) fn ctag(&self, how: Granularity) -> String {
        match how {
            Granularity::Seconds => self.second.to_string(),
            Granularity::Exact | Granularity::Neighbours => format!("c{}", self.version),
        }
    }
}
