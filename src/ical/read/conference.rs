//! Finds the conference links in an event's properties.
//!
//! A link counts by the host it really leads to, compared as whole domain labels, and by a path that
//! joins something: a provider's help page or dial-in list is no conference. A join URL is opaque,
//! though, and its host may be one that is not listed: a URL that stands where only a Teams link does
//! is *vouched for*, and is found wherever else it stands.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::ical::block;
use crate::ical::event::{FoundLink, Place, Provider};
use crate::model::JoinUrl;

/// How much of one text is searched, in bytes.
const MAX_TEXT: usize = 256 << 10;
/// How many URLs of one text are looked at.
const MAX_URLS: usize = 64;
/// The longest URL, in bytes.
const MAX_URL: usize = 8 << 10;
/// How many URLs of one VEVENT can be vouched for.
const MAX_VOUCHED: usize = 4;
/// The line that fences a join block: this many underscores.
const FENCE: usize = 80;

/// How a property's text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Plain text, with URLs anywhere in it.
    Text,
    /// HTML.
    Html,
    /// A `data:` URL with HTML in it (the ALTREP of a DESCRIPTION).
    DataUrl,
}

/// The links of one VEVENT, in the order in which they were found, each once for its place.
#[derive(Debug, Default)]
pub(super) struct Found {
    links: Vec<FoundLink>,
    known: BTreeMap<Place, HashSet<String>>,
}

impl Found {
    fn add(&mut self, place: Place, provider: Provider, url: &str) {
        if self.known.entry(place).or_default().insert(url.to_owned()) {
            self.links.push(FoundLink {
                place,
                provider,
                url: url.to_owned(),
            });
        }
    }

    fn holds(&self, place: Place, url: &str) -> bool {
        self.known
            .get(&place)
            .is_some_and(|known| known.contains(url))
    }

    /// The links themselves.
    pub(super) fn into_links(self) -> Vec<FoundLink> {
        self.links
    }
}

/// Adds the conference links in `text` to `found`.
pub(super) fn find(text: &str, written: Written, place: Place, found: &mut Found) {
    let text = match written {
        Written::Text | Written::Html => Cow::Borrowed(cut(text)),
        Written::DataUrl => match cut(text).split_once(',') {
            Some((head, data)) if is_html(head) => percent_decode_str(data).decode_utf8_lossy(),
            _ => return,
        },
    };
    let mut fenced = false;
    let mut urls = 0;
    for line in text.lines() {
        let trimmed = line.trim_end();
        if trimmed.len() == FENCE && trimmed.bytes().all(|b| b == b'_') {
            fenced = !fenced;
            continue;
        }
        let mut rest = line;
        while let Some(at) = next_url(rest) {
            let (before, from) = rest.split_at(at);
            // Our block gives the URL the rest of its line; a URL or LOCATION property is one URL as a
            // whole. There no character of it can be the punctuation of a sentence.
            let alone = if fenced {
                before.is_empty() || before.ends_with(char::is_whitespace)
            } else {
                before.trim().is_empty() && place != Place::Description
            };
            let url = match whole_line(from).filter(|_| alone && written == Written::Text) {
                Some(url) => url,
                None => url_in_text(from, written == Written::Text),
            };
            urls += 1;
            if urls > MAX_URLS {
                return;
            }
            add(url, written, place, found);
            // A URL that could not be one is at least `http://` long.
            rest = from.get(url.len().max("http://".len())..).unwrap_or("");
        }
    }
}

/// The URLs that are Teams links by where they stand, whatever their host.
#[derive(Debug, Default)]
pub(super) struct Vouched(Vec<JoinUrl>);

impl Vouched {
    /// Takes the whole `text` of a property that holds a Teams link and nothing else, if it is a web
    /// address and not one of another provider.
    pub(super) fn add(&mut self, text: &str) {
        let text = text.trim();
        let foreign = || provider(text).is_some_and(|known| known != Provider::Teams);
        if text.len() > MAX_URL || !is_web(text) || foreign() {
            return;
        }
        let url = JoinUrl::new(text);
        if self.0.len() < MAX_VOUCHED && !self.0.contains(&url) {
            self.0.push(url);
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each of them was found in `place`: then there is nothing to look for.
    pub(super) fn all_found(&self, place: Place, found: &Found) -> bool {
        self.0.iter().all(|url| found.holds(place, url.expose()))
    }

    /// Adds those that `text` is, or, in running text, holds. All of the text is searched.
    pub(super) fn find(&self, text: &str, place: Place, found: &mut Found) {
        for url in &self.0 {
            let here = match place {
                Place::Description | Place::Location => block::holds(text, url),
                _ => text.trim() == url.expose(),
            };
            if here {
                found.add(place, Provider::Teams, url.expose());
            }
        }
    }
}

fn is_web(url: &str) -> bool {
    url.bytes().all(|byte| byte.is_ascii_graphic())
        && Url::parse(url)
            .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
}

/// Whose conference `url` joins.
fn provider(url: &str) -> Option<Provider> {
    let outer = Url::parse(url).ok()?;
    of_url(&outer).or_else(|| of_url(&wrapped(&outer)?))
}

fn of_url(url: &Url) -> Option<Provider> {
    if !matches!(url.scheme(), "https" | "http") {
        return None;
    }
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    let path = url.path();
    let below = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|left| left.is_empty() || left.ends_with('.'))
    };
    let begins = |starts: &[&str]| starts.iter().any(|start| path.starts_with(start));
    match host {
        "teams.microsoft.com"
        | "gov.teams.microsoft.us"
        | "dod.teams.microsoft.us"
        | "teams.cloud.microsoft"
        | "teams.live.com" => begins(&["/l/meetup-join/", "/meet/"]).then_some(Provider::Teams),
        "meet.google.com" => (path.len() > 1).then_some(Provider::Meet),
        "hangouts.google.com" | "plus.google.com" => {
            begins(&["/hangouts/_/", "/call/"]).then_some(Provider::Meet)
        }
        "meet.jit.si" | "8x8.vc" => (path.len() > 1).then_some(Provider::Jitsi),
        _ if below("zoom.us") || below("zoomgov.com") => {
            let joins = [
                "/j/",
                "/my/",
                "/s/",
                "/w/",
                "/wc/",
                "/meeting/",
                "/webinar/",
            ];
            begins(&joins).then_some(Provider::Zoom)
        }
        _ if below("webex.com") => {
            let pages = ["www", "help", "support", "developer", "status", "blog"];
            let page = host
                .split('.')
                .next()
                .is_some_and(|label| pages.contains(&label));
            (path.len() > 1 && host != "webex.com" && !page).then_some(Provider::Webex)
        }
        _ => None,
    }
}

/// The URL that a link-checking service has put into one of its own.
fn wrapped(url: &Url) -> Option<Url> {
    let host = url.host_str()?;
    let key = if host.ends_with(".safelinks.protection.outlook.com") {
        "url"
    } else if host == "www.google.com" && url.path() == "/url" {
        "q"
    } else {
        return None;
    };
    let (_, inner) = url.query_pairs().find(|(name, _)| name == key)?;
    Url::parse(&inner).ok()
}

fn add(url: &str, written: Written, place: Place, found: &mut Found) {
    if url.len() > MAX_URL {
        return;
    }
    let url = match written {
        Written::Text => Cow::Borrowed(url),
        Written::Html | Written::DataUrl => Cow::Owned(url.replace("&amp;", "&")),
    };
    if let Some(provider) = provider(&url) {
        found.add(place, provider, &url);
    }
}

/// Where the next `http://` or `https://` begins.
fn next_url(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find("://") {
        let scheme_end = from + at;
        let before = text.get(..scheme_end)?.as_bytes();
        for scheme in ["https", "http"] {
            let begin = before.len().checked_sub(scheme.len());
            let tail = begin.and_then(|begin| before.get(begin..));
            if tail.is_some_and(|tail| tail.eq_ignore_ascii_case(scheme.as_bytes())) {
                return begin;
            }
        }
        from = scheme_end + "://".len();
    }
    None
}

/// The rest of a line, if it is one word.
fn whole_line(from: &str) -> Option<&str> {
    let line = from.trim_end();
    let alone = !line.contains(|c: char| c.is_whitespace() || c == '<' || c == '>');
    alone.then_some(line)
}

/// The URL that `from` begins with, without the punctuation of the sentence around it.
fn url_in_text(from: &str, plain: bool) -> &str {
    let ends = |c: char| {
        c.is_whitespace() || c.is_control() || "<>\"\\".contains(c) || !plain && c == '\''
    };
    let mut url = from.split(ends).next().unwrap_or("");
    // How often each bracket opens, and how often it closes in what is left.
    let mut brackets = [('(', ')'), ('[', ']'), ('{', '}')]
        .map(|(open, close)| (close, url.matches(open).count(), url.matches(close).count()));
    while let Some(last) = url.chars().next_back() {
        let bracket = brackets.iter_mut().find(|(close, ..)| *close == last);
        match bracket {
            Some((_, opened, closed)) if *opened < *closed => *closed -= 1,
            None if ".,;:!?'*_|".contains(last) => {}
            _ => break,
        }
        url = url.strip_suffix(last).unwrap_or("");
    }
    url
}

fn is_html(head: &str) -> bool {
    let head = head.to_ascii_lowercase();
    head.starts_with("data:text/html") && !head.ends_with(";base64")
}

/// At most the first [`MAX_TEXT`] bytes, cut between characters.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

#[cfg(test)]
#[path = "conference_tests.rs"]
mod tests;
