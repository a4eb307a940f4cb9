//! Names: resource identifier ↔ path, and which names belong to a calendar. Pure.
//!
//! A [`ResourceId`] is the path below the directory, its parts separated by `/`. Each byte that is
//! not part of printable UTF-8, and each `%`, stands as `%` and two upper-case hex digits; so every
//! name that Linux allows has exactly one identifier, and every identifier at most one path.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::model::ResourceId;

/// How much of a file's name its temporary file repeats: with what is added, below the 255 bytes
/// that a name may have.
const REPEATED: usize = 200;

/// The identifier of the resource at `path`, which is relative to the directory.
pub(super) fn id_of(path: &Path) -> ResourceId {
    let mut id = String::new();
    encode(path.as_os_str().as_bytes(), &mut id);
    ResourceId::new(id)
}

/// The identifier of the file `name` in the directory whose own identifier is `parent` (empty for
/// the root).
pub(super) fn id_in(parent: &str, name: &OsStr) -> ResourceId {
    let mut id = String::with_capacity(parent.len() + name.len() + 1);
    if !parent.is_empty() {
        id.push_str(parent);
        id.push('/');
    }
    encode(name.as_bytes(), &mut id);
    ResourceId::new(id)
}

fn encode(bytes: &[u8], id: &mut String) {
    let percent = |id: &mut String, bytes: &[u8]| {
        for byte in bytes {
            // Writing to a String does not fail.
            let _ = write!(id, "%{byte:02X}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '%' {
                percent(id, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                id.push(c);
            }
        }
        percent(id, chunk.invalid());
    }
}

/// The path that `id` names, relative to the directory; `None` when [`id_of`] makes no such
/// identifier, or when it would lead out of the directory.
pub(super) fn path_of(id: &ResourceId) -> Option<PathBuf> {
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(id.as_str()).collect();
    let below = bytes
        .split(|&b| b == b'/')
        .all(|part| !matches!(part, b"" | b"." | b"..") && !part.contains(&0));
    let path = PathBuf::from(OsString::from_vec(bytes));
    (below && id_of(&path) == *id).then_some(path)
}

/// Whether a directory entry of this name is left out: hidden, as our own temporary files are.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().first() == Some(&b'.')
}

/// Whether a file of this name holds calendar data: `*.ics` in any case, not hidden.
pub(super) fn is_calendar(name: &OsStr) -> bool {
    let ending = name.as_bytes().last_chunk::<4>();
    !is_hidden(name) && ending.is_some_and(|ending| ending.eq_ignore_ascii_case(b".ics"))
}

/// The name of a temporary file for `name`: `.NAME.meetbridge-XXXXXX.tmp`, six hex digits of `n`.
pub(super) fn temporary(name: &OsStr, n: u32) -> OsString {
    let mut bytes = Vec::with_capacity(REPEATED + 24);
    bytes.push(b'.');
    bytes.extend(name.as_bytes().iter().take(REPEATED));
    bytes.extend(format!(".meetbridge-{:06x}.tmp", n & 0xff_ffff).bytes());
    OsString::from_vec(bytes)
}

/// The name that a temporary file repeats, as far as it does; `None` for any other file's name.
fn repeated(name: &[u8]) -> Option<&[u8]> {
    let hex = |digits: &[u8]| digits.iter().all(|b| b"0123456789abcdef".contains(b));
    let (rest, digits) = name
        .strip_prefix(b".")?
        .strip_suffix(b".tmp")?
        .split_last_chunk::<6>()?;
    rest.strip_suffix(b".meetbridge-")
        .filter(|of| hex(digits) && !of.is_empty())
}

/// Whether [`temporary`] makes names like this one.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    repeated(name.as_bytes()).is_some()
}

/// Whether [`temporary`] makes names like this one for `of`.
pub(super) fn is_temporary_of(name: &OsStr, of: &OsStr) -> bool {
    let of = of.as_bytes();
    repeated(name.as_bytes()) == Some(of.get(..REPEATED).unwrap_or(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_identifier_and_comes_back() {
        let cases: [(&[u8], &str); 8] = [
            (b"a.ics", "a.ics"),
            (b"work/2026/a b.ics", "work/2026/a b.ics"),
            ("t\u{e4}glich.ics".as_bytes(), "t\u{e4}glich.ics"),
            (b"100%.ics", "100%25.ics"),
            (b"%25.ics", "%2525.ics"),
            (b"a\x1b[31m\n.ics", "a%1B[31m%0A.ics"),
            (b"\xff\xfe\xc3.ics", "%FF%FE%C3.ics"),
            ("a\u{85}.ics".as_bytes(), "a%C2%85.ics"),
        ];
        for (path, id) in cases {
            let path = Path::new(OsStr::from_bytes(path));
            assert_eq!(id_of(path).as_str(), id);
            assert_eq!(path_of(&ResourceId::new(id)).as_deref(), Some(path), "{id}");
        }
        assert_eq!(
            id_in("a%25", OsStr::new("b%.ics")).as_str(),
            "a%25/b%25.ics"
        );
        assert_eq!(id_in("", OsStr::new("b.ics")).as_str(), "b.ics");
    }

    #[test]
    fn an_identifier_never_leads_out_of_the_directory() {
        for id in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../a.ics",
            "a/../../b.ics",
            "a//b.ics",
            "./a.ics",
            "a/",
            "%2E%2E/a.ics",
            "a%2Fb.ics",
            "a%00.ics",
            "%41.ics",
            "a%.ics",
            "a%ff.ics",
        ] {
            assert_eq!(path_of(&ResourceId::new(id)), None, "{id}");
        }
    }

    #[test]
    fn calendar_files_end_with_ics_and_are_not_hidden() {
        for (name, expected) in [
            ("a.ics", true),
            ("A.ICS", true),
            (".ics", false),
            (".a.ics", false),
            ("a.ics~", false),
            ("ics", false),
            ("a.ics.tmp", false),
        ] {
            assert_eq!(is_calendar(OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn only_our_own_temporary_names_are_recognised() {
        let long = "x".repeat(255);
        for name in ["a.ics", "\u{e4}.ics", &long] {
            let made = temporary(OsStr::new(name), 0x12_3abc_u32);
            assert!(is_temporary(&made) && made.len() <= 255, "{made:?}");
            assert!(is_temporary_of(&made, OsStr::new(name)));
            assert!(!is_temporary_of(&made, OsStr::new("b.ics")) && !is_calendar(&made));
        }
        for other in [
            ".a.ics.tmp",
            "a.ics.meetbridge-123abc.tmp",
            ".a.ics.meetbridge-123ab.tmp",
            ".a.ics.meetbridge-123ABC.tmp",
            ".a.ics.meetbridge-123abc.tmp~",
            ".meetbridge-123abc.tmp",
            ".a.ics.otherbridge-123abc.tmp",
        ] {
            assert!(!is_temporary(OsStr::new(other)), "{other}");
        }
    }
}
