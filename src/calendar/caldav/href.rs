//! Which resource an href names (RFC 3986; RFC 4918, 8.3). Pure.
//!
//! Servers write one path in many ways: `@` or `%40`, relative or with a host, with a port or without,
//! in upper or lower case hex. Here each has one form, and only what lies below the collection counts.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::model::ResourceId;

/// The longest href that is looked at, in bytes.
const LONGEST: usize = 4096;

/// A collection's place, as the base of its members' names.
#[derive(Clone, Debug)]
pub(super) struct Base {
    url: Url,
    /// Its path in the one form; ends with `/`.
    path: String,
}

/// What an href names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// Something in the collection.
    Member(ResourceId),
    /// The collection itself.
    Collection,
    /// A collection in the collection, another place, or nothing that can be understood.
    Elsewhere,
}

impl Base {
    /// The collection at `url`, with or without a slash at its end.
    pub(super) fn new(url: &Url) -> Self {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        let path = slashed(canonical(url.path()));
        if !url.path().ends_with('/') {
            let slashed = format!("{}/", url.path());
            url.set_path(&slashed);
        }
        Self { url, path }
    }

    /// Where the collection is; ends with `/`.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// What `href` names in an answer of the collection that came from `reply`.
    ///
    /// Only the host is compared, and not scheme and port, which a server behind a proxy may not
    /// know: no request ever goes to where an href leads, but to [`Base::member`].
    pub(super) fn named(&self, reply: &Url, href: &str) -> Named {
        let Some(url) = resolve(reply, href) else {
            return Named::Elsewhere;
        };
        if url.host() != self.url.host() && url.host() != reply.host() {
            return Named::Elsewhere;
        }
        let path = canonical(url.path());
        let moved = slashed(canonical(reply.path()));
        for base in [&self.path, &moved] {
            if path == base.trim_end_matches('/') {
                return Named::Collection;
            }
            match path.strip_prefix(base.as_str()) {
                Some("") => return Named::Collection,
                Some(below) if below.ends_with('/') => return Named::Elsewhere,
                Some(below) => return Named::Member(ResourceId::new(below)),
                None => {}
            }
        }
        Named::Elsewhere
    }

    /// The path of a member, as it is named in requests.
    pub(super) fn path(&self, id: &ResourceId) -> String {
        format!("{}{}", self.url.path(), id.as_str())
    }

    /// Where a member is; `None` for what is not the name of one.
    pub(super) fn member(&self, id: &ResourceId) -> Option<Url> {
        let mut url = self.url.clone();
        url.set_path(&self.path(id));
        (self.named(&self.url, url.as_str()) == Named::Member(id.clone())).then_some(url)
    }
}

/// Whether `href`, in an answer that came from `reply`, names what was asked.
pub(super) fn is_itself(reply: &Url, href: &str) -> bool {
    resolve(reply, href).is_some_and(|url| {
        url.host() == reply.host() && slashed(canonical(url.path())) == key(reply)
    })
}

/// What stands for a collection where several are compared: its path in the one form, with a slash at
/// its end.
pub(super) fn key(url: &Url) -> String {
    slashed(canonical(url.path()))
}

/// The key of the collection that `href` names in an answer that came from `reply`.
pub(super) fn key_of(reply: &Url, href: &str) -> Option<String> {
    resolve(reply, href).map(|url| key(&url))
}

fn resolve(reply: &Url, href: &str) -> Option<Url> {
    let href = href.trim();
    if href.is_empty() || href.len() > LONGEST {
        return None;
    }
    reply.join(href).ok().filter(Url::has_host)
}

fn slashed(mut path: String) -> String {
    if !path.ends_with('/') {
        path.push('/');
    }
    path
}

/// A path with each segment decoded and encoded again: everything but letters, digits and what every
/// server takes as it is stands as `%XX`.
fn canonical(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for (n, segment) in path.split('/').enumerate() {
        if n > 0 {
            out.push('/');
        }
        for byte in percent_decode_str(segment) {
            // `+` and `;` mean something to some servers.
            if byte.is_ascii_alphanumeric() || b"-._~@:!$&'()*,=".contains(&byte) {
                out.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn an_href_has_one_name_however_it_is_written() {
        let base = Base::new(&url("https://dav.example.org/cal/alice%40example.org/team"));
        let member = |name: &str| Named::Member(ResourceId::new(name));
        let cases = [
            ("/cal/alice@example.org/team/a.ics", member("a.ics")),
            ("/cal/alice%40example.org/team/a.ics", member("a.ics")),
            ("a.ics", member("a.ics")),
            ("./a.ics", member("a.ics")),
            ("../team/a.ics", member("a.ics")),
            (" /cal/alice@example.org/team/a.ics\n", member("a.ics")),
            (
                "https://dav.example.org/cal/alice@example.org/team/a.ics",
                member("a.ics"),
            ),
            (
                "https://DAV.example.org:443/cal/alice@example.org/team/a.ics",
                member("a.ics"),
            ),
            (
                "http://dav.example.org:8080/cal/alice@example.org/team/a.ics",
                member("a.ics"),
            ),
            (
                "//dav.example.org/cal/alice@example.org/team/a.ics",
                member("a.ics"),
            ),
            ("x%40y.ics", member("x@y.ics")),
            ("x@y.ics", member("x@y.ics")),
            ("%c3%bc%2f+;%20.ics", member("%C3%BC%2F%2B%3B%20.ics")),
            ("ü /b.ics", member("%C3%BC%20/b.ics")),
            ("100%.ics", member("100%25.ics")),
            ("/cal/alice@example.org/team/", Named::Collection),
            ("/cal/alice@example.org/team", Named::Collection),
            ("/cal/alice@example.org/team/sub/", Named::Elsewhere),
            ("/cal/alice@example.org/other/a.ics", Named::Elsewhere),
            ("/cal/alice@example.org/teamwork/a.ics", Named::Elsewhere),
            ("../a.ics", Named::Elsewhere),
            ("%2e%2e/a.ics", Named::Elsewhere),
            ("../../../../etc/passwd", Named::Elsewhere),
            (
                "https://other.example.org/cal/alice@example.org/team/a.ics",
                Named::Elsewhere,
            ),
            ("mailto:alice@example.org", Named::Elsewhere),
            ("https://[", Named::Elsewhere),
            ("", Named::Elsewhere),
        ];
        for (href, expected) in cases {
            assert_eq!(base.named(base.url(), href), expected, "{href:?}");
        }
        assert_eq!(base.named(base.url(), &"x".repeat(5000)), Named::Elsewhere);
    }

    #[test]
    fn an_answer_from_elsewhere_is_resolved_there() {
        let base = Base::new(&url("https://caldav.example.org/1/team/"));
        let reply = url("https://p07-caldav.example.org:443/77/team/");
        for href in [
            "/77/team/a.ics",
            "a.ics",
            "/1/team/a.ics",
            "https://caldav.example.org/1/team/a.ics",
        ] {
            assert_eq!(
                base.named(&reply, href),
                Named::Member(ResourceId::new("a.ics")),
                "{href}"
            );
        }
        assert_eq!(base.named(&reply, "/77/team"), Named::Collection);
        assert!(is_itself(&url("https://h/a/b%40c.ics"), "/a/b@c.ics"));
        assert!(!is_itself(&url("https://h/a/b.ics"), "/a/c.ics"));
    }

    #[test]
    fn a_member_is_where_its_name_says_and_nowhere_else() {
        let base = Base::new(&url("https://h.example.org/a%40b/?q#f"));
        for (name, expected) in [
            ("x@y.ics", Some("https://h.example.org/a%40b/x@y.ics")),
            ("a:b.ics", Some("https://h.example.org/a%40b/a:b.ics")),
            ("%3F%23.ics", Some("https://h.example.org/a%40b/%3F%23.ics")),
            ("../x.ics", None),
            ("a/../../x.ics", None),
            ("", None),
            ("sub/", None),
        ] {
            let found = base.member(&ResourceId::new(name));
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{name}");
        }
    }
}
