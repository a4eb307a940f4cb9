//! What a version remembers of a resource as it was read. Pure.
//!
//! The text is the digest of the bytes, `;`, a letter for the kind of tag, and the tag verbatim.

use crate::model::{Version, hex, sha256};

/// The longest tag that is kept, in bytes.
const LONGEST: usize = 1024;
/// What compressing servers and proxies append to an entity tag.
const COMPRESSED: [&str; 4] = ["--gzip", "-gzip", ";gzip", "-br"];

/// What a write can be conditional on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// The ETag of what was read, as the server gave it.
    Etag(String),
    /// The ETag that a write left, of bytes that were not read back: a listing that shows it does not
    /// make them known.
    Written(String),
    /// No ETag, but a Schedule-Tag (RFC 6638, 3.2.10).
    Schedule(String),
    /// Nothing.
    None,
}

/// A version, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The digest of the bytes.
    pub(super) digest: String,
    /// The tag.
    pub(super) tag: Tag,
}

impl Stamp {
    /// Bytes that were read, with the tags that came with them.
    pub(super) fn read(bytes: &[u8], etag: Option<&str>, schedule_tag: Option<&str>) -> Self {
        let tag = match (etag.filter(fits), schedule_tag.filter(fits)) {
            (Some(etag), _) => Tag::Etag(etag.to_owned()),
            (None, Some(tag)) => Tag::Schedule(tag.to_owned()),
            (None, None) => Tag::None,
        };
        Self {
            digest: digest(bytes),
            tag,
        }
    }

    /// Bytes that were written and not read back.
    pub(super) fn written(bytes: &[u8], etag: Option<&str>) -> Self {
        Self {
            digest: digest(bytes),
            tag: etag
                .filter(fits)
                .map_or(Tag::None, |etag| Tag::Written(etag.to_owned())),
        }
    }

    /// Takes a version apart; `None` when it is not of this port.
    pub(super) fn of(version: &Version) -> Option<Self> {
        let (digest, tag) = version.as_str().split_once(';')?;
        let kind = tag.chars().next()?;
        let text = tag[kind.len_utf8()..].to_owned();
        let tag = match kind {
            'e' => Tag::Etag(text),
            'w' => Tag::Written(text),
            's' => Tag::Schedule(text),
            '-' => Tag::None,
            _ => return None,
        };
        Some(Self {
            digest: digest.to_owned(),
            tag,
        })
    }

    /// As a version.
    pub(super) fn version(&self) -> Version {
        let (kind, text) = match &self.tag {
            Tag::Etag(text) => ("e", text.as_str()),
            Tag::Written(text) => ("w", text.as_str()),
            Tag::Schedule(text) => ("s", text.as_str()),
            Tag::None => ("-", ""),
        };
        Version::new(format!("{};{kind}{text}", self.digest))
    }
}

/// Whether a listing that shows `etag` shows the version that is known.
pub(super) fn shows(etag: &str, known: &Version) -> bool {
    matches!(Stamp::of(known), Some(Stamp { tag: Tag::Etag(seen), .. }) if same(etag, &seen))
}

/// Whether what was read in one version is what became of a write that left the other: it has the ETag
/// that the write left, or, where there is none, the very bytes.
pub(super) fn became(written: &Version, read: &Version) -> bool {
    let (Some(written), Some(read)) = (Stamp::of(written), Stamp::of(read)) else {
        return false;
    };
    match (&written.tag, &read.tag) {
        (Tag::Etag(left) | Tag::Written(left), Tag::Etag(seen)) => same(left, seen),
        _ => written.digest == read.digest,
    }
}

/// Whether two ETags stand for the same content: whoever compresses on the way marks a tag as weak, or
/// appends to it, in one place and not in another.
pub(super) fn same(a: &str, b: &str) -> bool {
    opaque(a) == opaque(b)
}

/// The tag in the form that If-Match compares (RFC 9110, 13.1.1): strong, quoted, without what
/// compressing appends.
pub(super) fn strong(etag: &str) -> String {
    format!("\"{}\"", opaque(etag))
}

/// Whether a tag is in that form already.
pub(super) fn is_strong(etag: &str) -> bool {
    etag.len() > 2 && etag == strong(etag)
}

/// Whether an ETag is the SHA-256 of these bytes, in hex: then it says by itself what is stored.
pub(super) fn is_digest(etag: &str, bytes: &[u8]) -> bool {
    is_strong(etag) && opaque(etag).eq_ignore_ascii_case(&hex(&sha256([bytes])))
}

/// What stands for the bytes: half of their SHA-256, in hex.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&sha256([bytes])[..16])
}

fn opaque(etag: &str) -> &str {
    let etag = etag.trim();
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    let outside = COMPRESSED.iter().find_map(|end| etag.strip_suffix(end));
    let etag = outside.unwrap_or(etag);
    let etag = etag.strip_prefix('"').unwrap_or(etag);
    let etag = etag.strip_suffix('"').unwrap_or(etag);
    let inside = COMPRESSED.iter().find_map(|end| etag.strip_suffix(end));
    inside.unwrap_or(etag)
}

fn fits(tag: &&str) -> bool {
    !tag.trim().is_empty() && tag.len() <= LONGEST && !tag.bytes().any(|b| b.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_comes_back_as_it_was() {
        let tags = [
            Stamp::read(b"x", Some("W/\"a;e,b\""), Some("\"s\"")),
            Stamp::read(b"x", None, Some("\"s\"")),
            Stamp::read(b"x", None, None),
            Stamp::written(b"y", Some("\"1\"")),
            Stamp::written(b"y", None),
        ];
        for stamp in tags {
            assert_eq!(Stamp::of(&stamp.version()), Some(stamp));
        }
        for foreign in ["", "12-34-56", "abc;", "abc;ü"] {
            assert_eq!(Stamp::of(&Version::new(foreign)), None, "{foreign}");
        }
        for useless in [" ", "\"a\r\nX: y\"", &"x".repeat(2000)] {
            assert_eq!(Stamp::read(b"", Some(useless), None).tag, Tag::None);
        }
    }

    #[test]
    fn tags_are_the_same_however_they_were_compressed() {
        let same_as = [
            "\"a-1\"",
            "W/\"a-1\"",
            "\"a-1-gzip\"",
            "\"a-1\"-gzip",
            "W/\"a-1;gzip\"",
            "a-1",
            "\"a-1--gzip\"",
        ];
        for tag in same_as {
            assert!(same(tag, "\"a-1\""), "{tag}");
            assert_eq!(strong(tag), "\"a-1\"");
            assert_eq!(is_strong(tag), tag == "\"a-1\"", "{tag}");
        }
        assert!(!same("\"a\"", "\"b\"") && !is_strong("\"\""));
    }

    #[test]
    fn only_what_was_read_is_known_to_a_listing() {
        let read = Stamp::read(b"x", Some("\"1\""), None).version();
        let written = Stamp::written(b"x", Some("\"1\"")).version();
        assert!(shows("W/\"1\"", &read) && !shows("\"2\"", &read));
        assert!(!shows("\"1\"", &written) && !shows("", &Version::new("?")));
    }

    #[test]
    fn a_write_became_what_has_its_etag_or_its_bytes() {
        let read = |bytes: &[u8], etag| Stamp::read(bytes, etag, None).version();
        let written = |bytes: &[u8], etag| Stamp::written(bytes, etag).version();
        for (left, seen, expected) in [
            (
                written(b"a", Some("\"1\"")),
                read(b"b", Some("\"1\"")),
                true,
            ),
            (read(b"a", Some("\"1\"")), read(b"b", Some("W/\"1\"")), true),
            (
                written(b"a", Some("\"1\"")),
                read(b"a", Some("\"2\"")),
                false,
            ),
            (written(b"a", None), read(b"a", Some("\"2\"")), true),
            (written(b"a", None), read(b"b", Some("\"2\"")), false),
            (written(b"a", None), Version::new("another port's"), false),
        ] {
            assert_eq!(became(&left, &seen), expected, "{left:?} {seen:?}");
        }
    }
}
