//! The dates and times of a VEVENT before they are read: they are handed to the [`guard`] together.

use std::collections::HashMap;

use super::guard;
use super::time::Length;
use crate::ical::document::ContentLine;

/// A property that holds dates or times.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dated {
    Start,
    End,
    RecurrenceId,
    Extra(Option<Length>),
    /// The end of the period that the value before it begins.
    ExtraEnd,
    Except,
    LastModified,
    Stamped,
}

impl Dated {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Start => "DTSTART",
            Self::End => "DTEND",
            Self::RecurrenceId => "RECURRENCE-ID",
            Self::Extra(_) | Self::ExtraEnd => "RDATE",
            Self::Except => "EXDATE",
            Self::LastModified => "LAST-MODIFIED",
            Self::Stamped => "DTSTAMP",
        }
    }
}

/// The values that are still to be read, and where each belongs.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) values: Vec<(&'static str, String)>,
    pub(super) places: Vec<Origin>,
    /// Each name with its number.
    pub(super) zones: HashMap<String, usize>,
}

/// What a value is for, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) dated: Dated,
    /// The number of the zone.
    pub(super) zone: Option<usize>,
    /// The physical line.
    pub(super) line: usize,
}

impl Pending {
    pub(super) fn add(&mut self, dated: Dated, line: &ContentLine<'_>) {
        let origin = self.origin(dated, line);
        let value = line.value();
        if dated != Dated::Except {
            return self.push(origin, &value);
        }
        for part in value.split(',').filter(|part| !part.trim().is_empty()) {
            self.push(origin, part);
        }
    }

    /// Adds an RDATE, also with periods; `false` if a duration in it cannot be read.
    pub(super) fn add_extra(&mut self, line: &ContentLine<'_>) -> bool {
        let start_only = self.origin(Dated::Extra(None), line);
        let origin = |dated| Origin {
            dated,
            ..start_only
        };
        for part in line
            .value()
            .split(',')
            .filter(|part| !part.trim().is_empty())
        {
            match part.split_once('/') {
                None => self.push(start_only, part),
                Some((start, end)) if end.trim_start().starts_with(['P', 'p', '+', '-']) => {
                    let Some(length) = Length::parse(end) else {
                        return false;
                    };
                    self.push(origin(Dated::Extra(Some(length))), start);
                }
                Some((start, end)) => {
                    self.push(start_only, start);
                    self.push(origin(Dated::ExtraEnd), end);
                }
            }
        }
        true
    }

    fn push(&mut self, origin: Origin, value: &str) {
        // One more than the limit says that it was passed.
        if self.values.len() <= guard::MAX_DATES {
            self.values.push((origin.dated.name(), value.to_owned()));
            self.places.push(origin);
        }
    }

    fn origin(&mut self, dated: Dated, line: &ContentLine<'_>) -> Origin {
        let next = self.zones.len();
        let name = line.param("TZID");
        Origin {
            dated,
            zone: name.map(|name| *self.zones.entry(name).or_insert(next)),
            line: line.number(),
        }
    }
}
