//! Where things stand: paths, and how hrefs are written.

use super::quirks::Hrefs;
use super::store::{Access, World};

/// Where everything stands below.
pub(super) const ROOT: &str = "/dav/";

/// What a path names, for one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `/`
    Host,
    /// `/dav/`
    Root,
    /// `/dav/principals/USER/`
    Principal(String),
    /// `/dav/calendars/USER/`
    Home(String),
    /// `/dav/calendars/USER/CALENDAR/`
    Calendar(Spot),
    /// `/dav/calendars/USER/CALENDAR/NAME`
    Member(Spot, String),
    /// Nothing that exists, or nothing that this user may see.
    Nowhere,
}

/// A calendar as a user finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) user: String,
    pub(super) segment: String,
    pub(super) at: usize,
    pub(super) access: Access,
}

impl Spot {
    /// The path of the calendar, not encoded.
    pub(super) fn path(&self) -> String {
        format!("{ROOT}calendars/{}/{}/", self.user, self.segment)
    }
}

/// What `path`, percent-encoded, names for `user`.
pub(super) fn place(world: &World, user: &str, path: &str) -> Place {
    let Some(path) = decoded(path) else {
        return Place::Nowhere;
    };
    if path == "/" {
        return Place::Host;
    }
    let Some(below) = path.strip_prefix(ROOT.trim_end_matches('/')) else {
        return Place::Nowhere;
    };
    let below = below.strip_prefix('/').unwrap_or(below);
    let collection = below.is_empty() || below.ends_with('/');
    let parts: Vec<&str> = below.trim_end_matches('/').split('/').collect();
    match parts.as_slice() {
        [""] => Place::Root,
        ["principals", name] if world.users.contains_key(*name) => {
            Place::Principal((*name).to_owned())
        }
        ["calendars", name] if *name == user => Place::Home(user.to_owned()),
        ["calendars", name, segment, rest @ ..] if *name == user => {
            let Some(&(at, access)) = world.users[user].home.get(*segment) else {
                return Place::Nowhere;
            };
            let spot = Spot {
                user: user.to_owned(),
                segment: (*segment).to_owned(),
                at,
                access,
            };
            match rest {
                [] => Place::Calendar(spot),
                [name] if !collection => Place::Member(spot, (*name).to_owned()),
                _ => Place::Nowhere,
            }
        }
        _ => Place::Nowhere,
    }
}

/// A path (not encoded, `/` between segments) as an href.
pub(super) fn href(path: &str, how: Hrefs, port: u16) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let encoded = |keep: &dyn Fn(u8) -> bool, lower: bool| {
        let mut out = String::with_capacity(path.len() + 8);
        for b in path.bytes() {
            match keep(b) {
                true => out.push(char::from(b)),
                false if lower => out += &format!("%{b:02x}"),
                false => out += &format!("%{b:02X}"),
            }
        }
        out
    };
    let usual = |b: u8| plain(b) || b"@!$&'()*+,;=:".contains(&b);
    match how {
        Hrefs::Path => encoded(&usual, false),
        Hrefs::Absolute => format!("http://127.0.0.1:{port}{}", encoded(&usual, false)),
        Hrefs::OtherHost => format!("http://elsewhere.example{}", encoded(&usual, false)),
        Hrefs::EncodedMore => encoded(&|b| plain(b) && b != b'~', true),
        Hrefs::EncodedLess => path
            .replace('%', "%25")
            .replace(' ', "%20")
            .replace('?', "%3F")
            .replace('#', "%23"),
    }
}

/// A percent-encoded path decoded; `None` where it is no UTF-8, or has a `/` encoded.
pub(super) fn decoded(path: &str) -> Option<String> {
    if path.to_ascii_lowercase().contains("%2f") {
        return None;
    }
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    decoded.ok().map(|path| path.into_owned())
}

/// The path of an href that a client sent: a path, or with scheme and host.
pub(super) fn path_of(href: &str) -> &str {
    match href.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => href,
    }
}
