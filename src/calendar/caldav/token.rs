//! Up to where a calendar's changes are known, as text. Pure.

use crate::calendar::SyncToken;

/// The longest text of a server that is kept, in bytes.
const LONGEST: usize = 4096;

/// What tells a calendar's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The token of a sync-collection report (RFC 6578): `sync:TOKEN`.
    Sync(String),
    /// The collection's getctag: `ctag:new:CTAG` or `ctag:old:CTAG`. One that counts in seconds is the
    /// same for all changes of a second, so that it is trusted (`old`) only when a listing began a
    /// while after it was first seen.
    Ctag {
        /// Whether it can be trusted.
        old: bool,
        /// The server's text.
        ctag: String,
    },
}

impl Token {
    /// Takes a token apart; `None` when it is not of this port.
    pub(super) fn of(token: &SyncToken) -> Option<Self> {
        let (kind, text) = token.as_str().split_once(':')?;
        match kind {
            "sync" => Some(Self::Sync(text.to_owned())),
            "ctag" => {
                let (age, ctag) = text.split_once(':')?;
                let old = match age {
                    "old" => true,
                    "new" => false,
                    _ => return None,
                };
                Some(Self::Ctag {
                    old,
                    ctag: ctag.to_owned(),
                })
            }
            _ => None,
        }
    }

    /// As the port's token; `None` when it is too long to be kept.
    pub(super) fn token(&self) -> Option<SyncToken> {
        let text = match self {
            Self::Sync(token) => format!("sync:{token}"),
            Self::Ctag { old: true, ctag } => format!("ctag:old:{ctag}"),
            Self::Ctag { old: false, ctag } => format!("ctag:new:{ctag}"),
        };
        (text.len() <= LONGEST).then(|| SyncToken::new(text))
    }
}

/// Whether a server's token went back: both end with a number after the same text, and the number fell.
pub(super) fn went_back(from: &str, to: &str) -> bool {
    let split = |token: &str| {
        let text = token.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let number: Option<u128> = token[text..].parse().ok();
        number.map(|number| (token[..text].to_owned(), number))
    };
    match (split(from), split(to)) {
        (Some((a, from)), Some((b, to))) => a == b && to < from,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was() {
        let ctag = |old, ctag: &str| Token::Ctag {
            old,
            ctag: ctag.to_owned(),
        };
        for (token, text) in [
            (
                Token::Sync("http://sabre.io/ns/sync/15".into()),
                "sync:http://sabre.io/ns/sync/15",
            ),
            (ctag(false, "1:2"), "ctag:new:1:2"),
            (ctag(true, "\"x\""), "ctag:old:\"x\""),
        ] {
            let as_text = token.token().unwrap();
            assert_eq!(as_text.as_str(), text);
            assert_eq!(Token::of(&as_text), Some(token));
        }
        for foreign in ["", "15", "etag:1", "ctag:1", "ctag:young:1"] {
            assert_eq!(Token::of(&SyncToken::new(foreign)), None, "{foreign}");
        }
        assert_eq!(Token::Sync("x".repeat(5000)).token(), None);
    }

    #[test]
    fn a_token_that_went_back_is_seen() {
        for (from, to, expected) in [
            (
                "http://sabre.io/ns/sync/15",
                "http://sabre.io/ns/sync/14",
                true,
            ),
            (
                "http://sabre.io/ns/sync/9",
                "http://sabre.io/ns/sync/10",
                false,
            ),
            ("1764000000", "1763999999", true),
            ("1764000000", "1764000000", false),
            ("a-5", "b-4", false),
            ("opaque", "other", false),
            ("", "", false),
        ] {
            assert_eq!(went_back(from, to), expected, "{from} {to}");
        }
    }
}
