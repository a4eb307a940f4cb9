//! The mark: our `X-MEETBRIDGE-MEETING` property.
//!
//! Its value is `v1.KEY.WROTE.EMPTY.GENERATION`, without any character that a calendar server would
//! escape: KEY the 24 hex digits of [`crate::model::MeetingKey::digest`], WROTE the 16 hex digits of
//! [`Mark::digest_of`], EMPTY what was empty before as letters (`d` DESCRIPTION, `l` LOCATION absent,
//! `e` LOCATION there but empty, `u` URL; `-` for none), GENERATION a number. An event a person opted
//! out has `v1.opt-out`.

use std::fmt;

use super::line::ContentLine;
use crate::model::{ExternalId, Generation, JoinUrl, hex, sha256};

/// The property that holds the mark.
pub const PROPERTY: &str = "X-MEETBRIDGE-MEETING";

/// What the mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A link of ours.
    Link {
        /// Digest of (tenant, organizer, externalId).
        key: String,
        /// Digest of what was written.
        wrote: String,
        /// What was empty before, so that `unlink` can restore it.
        empty: EmptyBefore,
        /// [`crate::model::Generation`].
        generation: u8,
    },
    /// A person took the link out.
    OptOut,
    /// A mark of a version that is not known, or a damaged one: left alone.
    Unknown,
}

/// Which properties were absent or empty before the link was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmptyBefore {
    /// DESCRIPTION was absent.
    pub description: bool,
    /// LOCATION was absent or empty.
    pub location: bool,
    /// LOCATION was there, but empty; implies `location`.
    pub location_line: bool,
    /// URL was absent.
    pub url: bool,
}

impl Mark {
    /// Reads the property's value; what is not a mark of version 1 is [`Mark::Unknown`].
    pub fn parse(value: &str) -> Self {
        let value = value.trim();
        if value == "v1.opt-out" {
            return Self::OptOut;
        }
        let parts: Vec<&str> = value.splitn(6, '.').collect();
        let [version, key, wrote, empty, generation] = parts[..] else {
            return Self::Unknown;
        };
        let (true, true, Some(empty), Some(generation)) = (
            version == "v1" && is_hex(key, 24),
            is_hex(wrote, 16),
            EmptyBefore::parse(empty),
            parse_generation(generation),
        ) else {
            return Self::Unknown;
        };
        Self::Link {
            key: key.to_owned(),
            wrote: wrote.to_owned(),
            empty,
            generation,
        }
    }

    /// The mark on this line, if it is the property of one.
    pub(super) fn of(line: &ContentLine<'_>) -> Option<Self> {
        line.is(PROPERTY).then(|| Self::parse(&line.value()))
    }

    /// The 16 hex digits over what a link consists of: externalId, join URL, and the texts that are
    /// written beside it.
    pub fn digest_of(external_id: &ExternalId, join_url: &JoinUrl, text: &str) -> String {
        let parts = [external_id.as_str(), "\n", join_url.expose(), "\n", text];
        hex(&sha256(parts.map(str::as_bytes))[..8])
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link {
                key,
                wrote,
                empty,
                generation,
            } => write!(f, "v1.{key}.{wrote}.{empty}.{generation}"),
            Self::OptOut => f.write_str("v1.opt-out"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl EmptyBefore {
    /// Its letters and what they say, in the order in which they are written.
    const LETTERS: [(char, Self); 4] = {
        let none = Self {
            description: false,
            location: false,
            location_line: false,
            url: false,
        };
        [
            (
                'd',
                Self {
                    description: true,
                    ..none
                },
            ),
            (
                'l',
                Self {
                    location: true,
                    ..none
                },
            ),
            (
                'e',
                Self {
                    location: true,
                    location_line: true,
                    ..none
                },
            ),
            ('u', Self { url: true, ..none }),
        ]
    };

    fn parse(letters: &str) -> Option<Self> {
        if letters == "-" {
            return Some(Self::default());
        }
        if letters.is_empty() {
            return None;
        }
        letters.chars().try_fold(Self::default(), |all, letter| {
            let (_, one) = Self::LETTERS.iter().find(|(known, _)| *known == letter)?;
            Some(Self {
                description: all.description | one.description,
                location: all.location | one.location,
                location_line: all.location_line | one.location_line,
                url: all.url | one.url,
            })
        })
    }
}

impl fmt::Display for EmptyBefore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [
            (self.description, "d"),
            (self.location && !self.location_line, "l"),
            (self.location && self.location_line, "e"),
            (self.url, "u"),
        ];
        for (_, letter) in letters.iter().filter(|(set, _)| *set) {
            f.write_str(letter)?;
        }
        if letters.iter().all(|(set, _)| !set) {
            f.write_str("-")?;
        }
        Ok(())
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn parse_generation(text: &str) -> Option<Generation> {
    let generation: Generation = text.parse().ok()?;
    (generation.to_string() == text).then_some(generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef01234567";
    const WROTE: &str = "0123456789abcdef";

    #[test]
    fn a_mark_reads_back_what_it_says() {
        for bits in 0..12 {
            let empty = EmptyBefore {
                description: bits & 1 != 0,
                url: bits & 2 != 0,
                location: bits >= 4,
                location_line: bits >= 8,
            };
            let mark = Mark::Link {
                key: KEY.to_owned(),
                wrote: WROTE.to_owned(),
                empty,
                generation: 3,
            };
            let value = mark.to_string();
            assert_eq!(Mark::parse(&format!(" {value} ")), mark);
            assert!(!value.contains([',', ';', ':', '\\', '"']));
        }
        assert_eq!(Mark::parse(&Mark::OptOut.to_string()), Mark::OptOut);
    }

    #[test]
    fn the_format_is_fixed() {
        let empty = EmptyBefore {
            description: true,
            location: true,
            location_line: false,
            url: true,
        };
        let mark = Mark::Link {
            key: KEY.to_owned(),
            wrote: WROTE.to_owned(),
            empty,
            generation: 0,
        };
        assert_eq!(mark.to_string(), format!("v1.{KEY}.{WROTE}.dlu.0"));
        assert_eq!(
            Mark::digest_of(
                &ExternalId::stored("a"),
                &JoinUrl::new("https://x"),
                "block"
            ),
            hex(&sha256([b"a\nhttps://x\nblock"])[..8])
        );
    }

    #[test]
    fn anything_else_is_unknown() {
        for value in [
            "",
            "v1",
            "v2.opt-out",
            "v1.opt-out.x",
            &format!("v2.{KEY}.{WROTE}.-.0"),
            &format!("v1.{KEY}x.{WROTE}.-.0"),
            &format!("v1.{}.{WROTE}.-.0", KEY.to_uppercase()),
            &format!("v1.{KEY}.{WROTE}..0"),
            &format!("v1.{KEY}.{WROTE}.x.0"),
            &format!("v1.{KEY}.{WROTE}.-.256"),
            &format!("v1.{KEY}.{WROTE}.-.+1"),
            &format!("v1.{KEY}.{WROTE}.-.0.more"),
        ] {
            assert_eq!(Mark::parse(value), Mark::Unknown, "{value}");
        }
    }
}
