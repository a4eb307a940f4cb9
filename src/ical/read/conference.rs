//! Finds the conference links in an event's properties.
//!
//! A link counts by the host it really leads to, compared as whole domain labels, and by a path that
//! joins something: a provider's help page or dial-in list is no conference. A join URL is opaque,
//! though, and its host may be one that is not listed: a URL that stands where only a Teams link does
//! is *vouched for*, and is found wherever else it stands.

use std::collections::{BTreeMap, HashSet};

use percent_encoding::percent_decode_str;
use url::Url;

use super::provider;
use crate::ical::block;
use crate::ical::event::{FoundLink, Place, Provider};
use crate::ical::html::{self, Kind};
use crate::ical::wrapped;
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

    /// Those that were found before.
    pub(super) fn of(links: Vec<FoundLink>) -> Self {
        let mut found = Self::default();
        for link in links {
            found.add(link.place, link.provider, &link.url);
        }
        found
    }

    /// The links themselves.
    pub(super) fn into_links(self) -> Vec<FoundLink> {
        self.links
    }
}

/// Adds the conference links in `text` to `found`.
pub(super) fn find(text: &str, written: Written, place: Place, found: &mut Found) {
    let text = cut(text);
    let mut search = Search {
        place,
        found,
        urls: 0,
    };
    match written {
        Written::Text => search.text(text),
        Written::Html => search.html(text),
        Written::DataUrl => {
            if let Some((head, data)) = text.split_once(',')
                && is_html(head)
            {
                search.html(&percent_decode_str(data).decode_utf8_lossy());
            }
        }
    }
}

/// The search through one text.
struct Search<'f> {
    place: Place,
    found: &'f mut Found,
    urls: usize,
}

impl Search<'_> {
    fn text(&mut self, text: &str) {
        let mut fenced = false;
        for line in text.lines() {
            let trimmed = line.trim_end();
            if trimmed.len() == FENCE && trimmed.bytes().all(|b| b == b'_') {
                fenced = !fenced;
                continue;
            }
            let mut rest = line;
            while let Some(at) = next_url(rest) {
                let (before, from) = rest.split_at(at);
                // Our block gives the URL the rest of its line; a URL or LOCATION property is one URL as
                // a whole. There no character of it can be the punctuation of a sentence.
                let alone = if fenced {
                    before.is_empty() || before.ends_with(char::is_whitespace)
                } else {
                    before.trim().is_empty() && self.place != Place::Description
                };
                let url = match whole_line(from).filter(|_| alone) {
                    Some(url) => url,
                    None => url_in_text(from, true),
                };
                if !self.add(url) {
                    return;
                }
                // A URL that could not be one is at least `http://` long.
                rest = from.get(url.len().max("http://".len())..).unwrap_or("");
            }
        }
    }

    /// Links of HTML lead where their `href` says; what they show of it themselves says no more.
    fn html(&mut self, html: &str) {
        let mut target = String::new();
        for piece in html::pieces(html) {
            match piece.kind {
                Kind::Open => {
                    if let Some(href) = piece.attribute("href") {
                        let href = href.trim();
                        if next_url(href) == Some(0) && !self.add(href) {
                            return;
                        }
                        if piece.is("a") {
                            href.clone_into(&mut target);
                        }
                    }
                }
                Kind::Close if piece.is("a") => target.clear(),
                Kind::Text | Kind::Unfinished => {
                    let text = html::unescape(piece.text);
                    let mut rest = &*text;
                    if !target.is_empty() && text.trim() == target {
                        continue;
                    }
                    while let Some(at) = next_url(rest) {
                        let from = rest.get(at..).unwrap_or("");
                        let url = url_in_text(from, piece.kind == Kind::Text);
                        if !self.add(url) {
                            return;
                        }
                        rest = from.get(url.len().max("http://".len())..).unwrap_or("");
                    }
                }
                Kind::Close | Kind::Other => {}
            }
        }
    }

    /// Takes a URL, if it is one of a conference. Whether to go on.
    fn add(&mut self, url: &str) -> bool {
        self.urls += 1;
        if self.urls > MAX_URLS {
            return false;
        }
        if url.len() <= MAX_URL {
            // A wrapped link is the one inside, so that ours is told as ours.
            let inner = wrapped::unwrapped(url);
            let url = inner.as_deref().unwrap_or(url);
            if let Some(provider) = provider::of(url) {
                self.found.add(self.place, provider, url);
            }
        }
        true
    }
}

/// The URLs that are Teams links by where they stand, whatever their host.
#[derive(Debug, Default)]
pub(super) struct Vouched(Vec<JoinUrl>);

impl Vouched {
    /// This URL, which is known to be one of Teams.
    pub(super) fn known(url: &JoinUrl) -> Self {
        Self(vec![url.clone()])
    }

    /// Takes the whole `text` of a property that holds a Teams link, or may, and nothing else, if it is a
    /// web address and not one of another provider.
    pub(super) fn add(&mut self, text: &str) {
        let text = text.trim();
        let inner = wrapped::unwrapped(text);
        let text = inner.as_deref().unwrap_or(text);
        let foreign = || provider::of(text).is_some_and(|known| known != Provider::Teams);
        if text.len() > MAX_URL || !is_web(text) || foreign() {
            return;
        }
        let url = JoinUrl::new(text);
        if self.0.len() < MAX_VOUCHED && !self.0.contains(&url) {
            self.0.push(url);
        }
    }

    /// Those that are not among `found`.
    pub(super) fn unknown(self, found: &Found) -> Vec<String> {
        let is_found = |url: &JoinUrl| found.links.iter().any(|link| link.url == url.expose());
        let unknown = self.0.iter().filter(|url| !is_found(url));
        unknown.map(|url| url.expose().to_owned()).collect()
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
                Place::AltRep | Place::AltDesc | Place::Styled => block::html_holds(text, url),
                _ => text.trim() == url.expose(),
            };
            if here {
                found.add(place, Provider::Teams, url.expose());
            }
        }
    }
}

/// Whether the host of this URL is one of Teams, so that the URL is found wherever it stands.
pub(super) fn is_listed(url: &JoinUrl) -> bool {
    provider::of(url.expose()) == Some(Provider::Teams)
}

fn is_web(url: &str) -> bool {
    url.bytes().all(|byte| byte.is_ascii_graphic())
        && Url::parse(url)
            .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
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
