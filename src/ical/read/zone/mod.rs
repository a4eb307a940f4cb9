//! Time zones: those a file defines, and those it means by a name.
//!
//! The file's own VTIMEZONE comes first, whatever its name ([`definition`], [`rule`]); then the name
//! ([`names`]); then the offset, where either gives one. Nothing else is guessed.

mod definition;
mod names;
mod rule;

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

use chrono::offset::LocalResult;
use chrono::{DateTime, Days, FixedOffset, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use self::definition::{Broken, Definition};
use crate::ical::document::Document;
use crate::model::Escaped;

/// How much of a time zone's name is shown.
const SHOWN: usize = 60;
/// How many dates the definitions of one document may look at while they are read: 2,000 common ones.
const BUDGET: usize = 1_200_000;

/// A time zone; `'z` is that of the document's definitions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone<'z> {
    /// One of the IANA database.
    Iana(Tz),
    /// One that the file defines.
    Own(Own<'z>),
    /// One whose clock never changes.
    Fixed(FixedOffset),
}

/// A file's own definition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'z>(&'z Definition);

impl PartialEq for Own<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.0.same(other.0)
    }
}

impl Eq for Own<'_> {}

impl PartialEq for Zone<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Iana(one), Self::Iana(other)) => one == other,
            (Self::Own(one), Self::Own(other)) => one == other,
            (Self::Fixed(one), Self::Fixed(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Zone<'_> {}

impl Zone<'_> {
    /// UTC.
    pub(super) const UTC: Self = Self::Iana(Tz::UTC);

    /// The instant of a local time: the first of two in a fold; in a gap, counted with the offset that
    /// holds before it (RFC 5545, 3.3.5), so 02:30 becomes 03:30.
    pub(super) fn instant(self, local: NaiveDateTime) -> DateTime<Utc> {
        let offset = match self {
            Self::Iana(zone) => match zone.from_local_datetime(&local) {
                LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => return at.to_utc(),
                LocalResult::None => {
                    // A day is longer than any offset, so this lies before the gap whatever the zone.
                    let before = local.checked_sub_days(Days::new(1)).unwrap_or(local);
                    zone.offset_from_utc_datetime(&before).fix()
                }
            },
            Self::Own(Own(own)) => fixed(own.offset_of_local(local)),
            Self::Fixed(offset) => offset,
        };
        local.checked_sub_offset(offset).unwrap_or(local).and_utc()
    }

    /// The local time at an instant.
    pub(super) fn local(self, at: DateTime<Utc>) -> NaiveDateTime {
        let utc = at.naive_utc();
        let offset = match self {
            Self::Iana(zone) => zone.offset_from_utc_datetime(&utc).fix(),
            Self::Own(Own(own)) => fixed(own.offset(at)),
            Self::Fixed(offset) => offset,
        };
        utc.checked_add_offset(offset).unwrap_or(utc)
    }
}

/// The IANA zone that an iCalendar text means by the TZID of its first VTIMEZONE (RFC 4791, 5.2.2:
/// CALDAV:calendar-timezone); `None` where the name means none.
pub fn iana_zone(text: &[u8]) -> Option<Tz> {
    let document = Document::parse(text).ok()?;
    let mut components = document.components().iter();
    let index = components.position(|component| component.name == "VTIMEZONE")?;
    let line = document.lines(index).find(|line| line.is("TZID"))?;
    match names::known(&line.value())? {
        Zone::Iana(zone) => Some(zone),
        Zone::Own(_) | Zone::Fixed(_) => None,
    }
}

fn fixed(seconds: i32) -> FixedOffset {
    FixedOffset::east_opt(seconds).unwrap_or(Utc.fix())
}

/// The zones of a document. A definition is read when it is asked for.
pub(super) struct Zones<'d> {
    document: &'d Document<'d>,
    names: HashMap<String, Named>,
    read: Vec<OnceCell<Result<Definition, Broken>>>,
    components: Vec<usize>,
    budget: Cell<usize>,
}

/// The definitions of one name, as places in `components`.
struct Named {
    first: usize,
    within: HashMap<Option<usize>, usize>,
}

impl<'d> Zones<'d> {
    /// Finds the VTIMEZONEs of a document.
    pub(super) fn of(document: &'d Document<'d>) -> Self {
        let mut zones = Self {
            document,
            names: HashMap::new(),
            read: Vec::new(),
            components: Vec::new(),
            budget: Cell::new(BUDGET),
        };
        let all = document.components().iter().enumerate();
        for (index, component) in all.filter(|(_, component)| component.name == "VTIMEZONE") {
            let Some(line) = document.lines(index).find(|line| line.is("TZID")) else {
                continue;
            };
            let place = zones.components.len();
            zones.components.push(index);
            zones.read.push(OnceCell::new());
            zones
                .names
                .entry(names::bare(&line.value()).to_owned())
                .or_insert_with(|| Named {
                    first: place,
                    within: HashMap::new(),
                })
                .within
                .entry(component.parent)
                .or_insert(place);
        }
        zones
    }

    /// The zone that `tzid` means within the component `parent`.
    ///
    /// # Errors
    /// Why none, in words.
    pub(super) fn get(&self, tzid: &str, parent: Option<usize>) -> Result<Zone<'_>, String> {
        let defined = self.defined(names::bare(tzid), parent);
        if let Some(Ok(definition)) = defined {
            return Ok(Zone::Own(Own(definition)));
        }
        if let Some(zone) = names::known(tzid) {
            return Ok(zone);
        }
        let name: String = tzid.chars().take(SHOWN).collect();
        match defined {
            Some(Err(Broken {
                offset: Some(offset),
            })) => Ok(Zone::Fixed(*offset)),
            Some(_) => Err(format!(
                "the definition of the time zone \"{}\" is not understood",
                Escaped(&name)
            )),
            None => Err(format!(
                "the time zone \"{}\" is not understood",
                Escaped(&name)
            )),
        }
    }

    fn defined(&self, name: &str, parent: Option<usize>) -> Option<&Result<Definition, Broken>> {
        let named = self.names.get(name)?;
        let place = *named.within.get(&parent).unwrap_or(&named.first);
        let component = *self.components.get(place)?;
        let cell = self.read.get(place)?;
        Some(cell.get_or_init(|| Definition::read(self.document, component, &self.budget)))
    }
}

#[cfg(test)]
mod tests;
