//! The HTML twins of DESCRIPTION: properties and a parameter in which the same text stands as HTML.
//! Clients that know them show them in its place.
//!
//! In: a content line. Out: its HTML, with the place of each character in the document, or why it is not
//! understood. Nothing is changed here.

use super::event::{HtmlTwin, Place};
use super::html;
use super::line::{ContentLine, Located, Placed};

/// The longest property that gets anything put into its twin, in bytes.
const MAX_BYTES: usize = 256 << 10;
/// The longest in which anything is looked for: one of ours has been put into the other.
const MAX_READ: usize = 2 * MAX_BYTES;
/// How many bytes a group of base64 holds: between two groups something can be put in.
const GROUP: usize = 3;

/// The HTML of a twin.
#[derive(Debug)]
pub(super) struct Twin {
    /// The HTML, and where it stands.
    pub(super) html: Located,
    coding: Coding,
    /// The bytes of its property.
    length: usize,
}

/// How the HTML is written in the content line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// A TEXT value.
    Text,
    /// A `data:` URL.
    Percent,
    /// A `data:` URL with `;base64`.
    Base64,
}

impl Twin {
    /// The HTML twin on this line: `None`, it has none; an error: one that is not understood, and why.
    pub(super) fn of(line: &ContentLine<'_>) -> Option<Result<Self, &'static str>> {
        match Self::place_on(line)? {
            Place::AltRep => altrep(line),
            place => Some(styled(line, place)),
        }
    }

    /// Where a twin on this line would be.
    pub(super) fn place_on(line: &ContentLine<'_>) -> Option<Place> {
        let places = [
            ("DESCRIPTION", Place::AltRep),
            ("X-ALT-DESC", Place::AltDesc),
            ("STYLED-DESCRIPTION", Place::Styled),
        ];
        let place = places.into_iter().find(|(name, _)| line.is(name));
        place.map(|(_, place)| place)
    }

    /// Where in its HTML the join block goes.
    ///
    /// # Errors
    /// Why it goes nowhere.
    pub(super) fn end(&self) -> Result<usize, &'static str> {
        if self.length > MAX_BYTES {
            return Err("it is too long");
        }
        let html = &self.html.text;
        let places = html::ends(html)?;
        match (self.coding, places.first()) {
            (Coding::Base64, _) => places
                .into_iter()
                .find(|place| place.is_multiple_of(GROUP))
                .ok_or("its base64 has no room at the end of its HTML"),
            // What is put behind it would be read as escaped.
            (Coding::Text, Some(&place))
                if html.get(..place).is_some_and(|kept| kept.ends_with('\\')) =>
            {
                Err("its HTML ends with a backslash")
            }
            (_, Some(&place)) => Ok(place),
            (_, None) => Ok(html.len()),
        }
    }

    /// How many blanks a block of this length needs to be put in as whole groups.
    pub(super) fn padding(&self, length: usize) -> usize {
        match self.coding {
            Coding::Base64 => (GROUP - length % GROUP) % GROUP,
            Coding::Text | Coding::Percent => 0,
        }
    }

    /// Whether the HTML can be cut out between these places.
    pub(super) fn can_cut(&self, from: usize, to: usize) -> bool {
        self.coding != Coding::Base64 || (from.is_multiple_of(GROUP) && to.is_multiple_of(GROUP))
    }

    /// Whether what is put in has to be ASCII: what another character set a `data:` URL is in is not told.
    pub(super) fn is_ascii(&self) -> bool {
        self.coding != Coding::Text
    }

    /// `html` as it is written in this twin.
    pub(super) fn encoded(&self, html: &str) -> String {
        match self.coding {
            Coding::Text => super::line::escape_text(html),
            Coding::Percent => percent_encoding::utf8_percent_encode(html, KEPT).to_string(),
            Coding::Base64 => data_encoding::BASE64.encode(html.as_bytes()),
        }
    }
}

/// What `encodeURIComponent` leaves as it is, as far as no parameter value minds.
const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

impl HtmlTwin {
    /// What is to be known of the twin on this line, and the twin if it is understood.
    pub(super) fn read(line: &ContentLine<'_>) -> Option<(Self, Option<Twin>)> {
        let place = Twin::place_on(line)?;
        let found = Twin::of(line)?;
        let left = match &found {
            Ok(twin) => twin.end().err(),
            Err(why) => Some(*why),
        };
        let known = Self {
            place,
            line: line.number(),
            left,
        };
        Some((known, found.ok()))
    }
}

/// A property whose TEXT value is HTML.
fn styled(line: &ContentLine<'_>, place: Place) -> Result<Twin, &'static str> {
    let is = |name: &str, wanted: &str| {
        let value = line.param(name)?;
        let kind = value.split(';').next().unwrap_or("").trim();
        Some(kind.eq_ignore_ascii_case(wanted))
    };
    if is("VALUE", "TEXT") == Some(false) {
        return Err("its value is no text");
    }
    if line.encoding().is_some() {
        return Err("it is encoded");
    }
    // Nothing else than HTML stands in X-ALT-DESC.
    if !is("FMTTYPE", "text/html").unwrap_or(place == Place::AltDesc) {
        return Err("its FMTTYPE is not text/html");
    }
    if !line.begins_plainly() {
        return Err("the quotes in its parameters are not closed");
    }
    let length = line.content_range().len();
    if length > MAX_READ {
        return Err("it is too long");
    }
    Ok(Twin {
        html: line.located(),
        coding: Coding::Text,
        length,
    })
}

/// The ALTREP of a DESCRIPTION, if it is a `data:` URL with HTML.
fn altrep(line: &ContentLine<'_>) -> Option<Result<Twin, &'static str>> {
    const DATA: &str = "data:text/html";
    let quoted = line.quoted_param("ALTREP")?;
    let Some(mut data) = quoted else {
        let value = line.param("ALTREP")?;
        let head = value.get(..DATA.len()).unwrap_or(&value);
        let is_data = head.eq_ignore_ascii_case(DATA) || head.eq_ignore_ascii_case("data");
        return is_data.then_some(Err("its ALTREP is not in quotes"));
    };
    let comma = memchr::memchr(b',', &data.bytes).unwrap_or(data.bytes.len());
    let head = String::from_utf8_lossy(data.bytes.get(..comma)?).to_ascii_lowercase();
    let mut parts = head.split(';').map(str::trim);
    if parts.next() != Some(DATA) {
        return None;
    }
    let parts: Vec<&str> = parts.collect();
    Some(if comma == data.bytes.len() {
        Err("its ALTREP has no data")
    } else if !line.begins_plainly() {
        Err("the quotes in its parameters are not closed")
    } else if data.bytes.len() > MAX_READ {
        Err("it is too long")
    } else if !parts.iter().all(|part| extends_ascii(part)) {
        Err("the character set of its ALTREP is not known")
    } else {
        data.cut_front(comma + 1);
        let base64 = parts.contains(&"base64");
        let length = line.content_range().len();
        let decoded = if base64 {
            from_base64(&data)
        } else {
            Ok(from_percent(&data))
        };
        decoded.map(|placed| Twin {
            html: Located::of(&placed),
            coding: if base64 {
                Coding::Base64
            } else {
                Coding::Percent
            },
            length,
        })
    })
}

/// Whether a part of a media type says no character set, or one in which ASCII is written as ASCII.
fn extends_ascii(part: &str) -> bool {
    let Some(set) = part.strip_prefix("charset=") else {
        return true;
    };
    let set = set.trim();
    let known = ["iso-8859-", "windows-125"];
    matches!(set, "utf-8" | "utf8" | "us-ascii") || known.iter().any(|known| set.starts_with(known))
}

fn from_percent(data: &Placed) -> Placed {
    let mut decoded = Placed {
        bytes: Vec::with_capacity(data.bytes.len()),
        ends: Vec::with_capacity(data.bytes.len()),
        start: data.start,
    };
    let digit = |at: usize| char::from(*data.bytes.get(at)?).to_digit(16);
    let mut at = 0;
    while let Some(&byte) = data.bytes.get(at) {
        let (byte, length) = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => (u8::try_from(high * 16 + low).unwrap_or(byte), 3),
            _ => (byte, 1),
        };
        at += length;
        decoded.bytes.push(byte);
        decoded.ends.extend(data.ends.get(at - 1));
    }
    decoded
}

/// Only the end of each group is a place at which something can be put in; the bytes before it have its
/// place, too.
fn from_base64(data: &Placed) -> Result<Placed, &'static str> {
    let encoding = if data.bytes.len().is_multiple_of(4) {
        data_encoding::BASE64
    } else {
        data_encoding::BASE64_NOPAD
    };
    let bytes = encoding
        .decode(&data.bytes)
        .map_err(|_| "its base64 cannot be decoded")?;
    if std::str::from_utf8(&bytes).is_err() {
        return Err("the character set of its ALTREP is not known");
    }
    let last = data.ends.last().copied().unwrap_or(data.start);
    let ends = (0..bytes.len())
        .map(|at| data.ends.get(at / GROUP * 4 + 3).copied().unwrap_or(last))
        .collect();
    Ok(Placed {
        bytes,
        ends,
        start: data.start,
    })
}
