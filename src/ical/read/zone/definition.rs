//! A VTIMEZONE of the file (RFC 5545, 3.6.5): the onsets of its observances, and what the clock shows
//! between them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDateTime, NaiveTime, Utc};

use super::super::guard::{self, Written};
use super::names;
use super::rule::{MAX_COUNT, MAX_SILENT, Onsets};
use crate::ical::document::Document;

/// The most observances of one definition.
const MAX_OBSERVANCES: usize = 1_000;
/// The most dates that all rules of a definition together look at for one year.
const MAX_WEIGHT: usize = 1_200;
/// The most onsets that are kept for reuse.
const MAX_KEPT: usize = 1_000;
/// Longer than any offset, in seconds.
const DAY: i64 = 26 * 3600;
/// How many onsets a local time is compared with.
const MAX_NEAR: usize = 16;

/// Why a VTIMEZONE is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// The only offset it names.
    pub(super) offset: Option<FixedOffset>,
}

/// A VTIMEZONE.
#[derive(Debug)]
pub(super) struct Definition {
    /// The onsets that are written down (at least one), in order, no two at once.
    written: Vec<Onset>,
    rules: Vec<Observance>,
    /// The onsets that rules have in a year.
    kept: RefCell<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    years: HashMap<i32, Rc<[Onset]>>,
    onsets: usize,
}

/// A change of the clock: seconds since 1970, and seconds east of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Onset {
    at: i64,
    from: i32,
    to: i32,
}

/// An observance with a rule.
#[derive(Debug, PartialEq, Eq)]
struct Observance {
    onsets: Onsets,
    from: i32,
    to: i32,
}

/// The lines of a STANDARD or DAYLIGHT.
#[derive(Default)]
struct Lines {
    dates: Vec<(&'static str, String)>,
    rules: Vec<String>,
    from: Option<i32>,
    to: Option<i32>,
}

impl Definition {
    /// Reads the VTIMEZONE with that index. `budget` is how many dates may be looked at for this
    /// document; what is looked at is taken off it.
    pub(super) fn read(
        document: &Document<'_>,
        index: usize,
        budget: &Cell<usize>,
    ) -> Result<Self, Broken> {
        let observances = observances(document, index);
        let mut offsets = observances.iter().filter_map(|lines| lines.to);
        let offset = offsets
            .next()
            .filter(|&first| offsets.all(|other| other == first))
            .and_then(FixedOffset::east_opt);
        Self::build(observances, budget).ok_or(Broken { offset })
    }

    fn build(observances: Vec<Lines>, budget: &Cell<usize>) -> Option<Self> {
        let mut definition = Self {
            written: Vec::new(),
            rules: Vec::new(),
            kept: RefCell::default(),
        };
        if observances.len() > MAX_OBSERVANCES {
            return None;
        }
        for lines in observances {
            definition.add(lines, budget)?;
        }
        definition.written.sort_by_key(|onset| onset.at);
        definition.written.dedup_by_key(|onset| onset.at);
        let weight: usize = definition.rules.iter().map(|own| own.onsets.weight()).sum();
        let useful = !definition.written.is_empty() && weight <= MAX_WEIGHT;
        useful.then_some(definition)
    }

    /// Whether it says the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.written == other.written && self.rules == other.rules
    }

    /// Adds an observance; `None` if any of it is not understood.
    fn add(&mut self, lines: Lines, budget: &Cell<usize>) -> Option<()> {
        let to = lines.to?;
        let from = lines.from.unwrap_or(to);
        if self.written.len() + lines.dates.len() > guard::MAX_DATES {
            return None;
        }
        let onset = |local: NaiveDateTime| Onset {
            at: seconds(local) - i64::from(from),
            from,
            to,
        };
        let mut start = None;
        for ((name, _), written) in lines.dates.iter().zip(guard::dates(&lines.dates)) {
            let local = match written? {
                Written::Local(local) => local,
                Written::Date(date) => date.and_time(NaiveTime::MIN),
                Written::Utc(at) => at
                    .naive_utc()
                    .checked_add_offset(FixedOffset::east_opt(from)?)?,
            };
            if *name == "DTSTART" {
                start = Some(local);
            }
            self.written.push(onset(local));
        }
        if lines.dates.is_empty() {
            return None;
        }
        for text in lines.rules {
            let onsets = Onsets::parse(&text, start?, FixedOffset::east_opt(from)?)?;
            let years = usize::try_from(MAX_SILENT).unwrap_or(0) + 1;
            let years = years + if onsets.is_counted() { MAX_COUNT } else { 0 };
            budget.set(budget.get().checked_sub(onsets.weight() * years)?);
            if !onsets.fits() {
                return None;
            }
            if onsets.is_counted() {
                self.written.extend(onsets.counted().into_iter().map(onset));
            } else {
                self.rules.push(Observance { onsets, from, to });
            }
        }
        Some(())
    }

    /// Seconds east of UTC at an instant: before the first onset, what holds until then.
    pub(super) fn offset(&self, at: DateTime<Utc>) -> i32 {
        self.last(at.timestamp())
            .map_or_else(|| self.first(), |onset| onset.to)
    }

    /// The seconds to take off a local time to get UTC: the first of two in a fold; in a gap, the offset
    /// that holds before it.
    pub(super) fn offset_of_local(&self, local: NaiveDateTime) -> i32 {
        let local = seconds(local);
        // Backwards through what the clock shows around that time.
        let (mut found, mut gap, mut end) = (None, None, i64::MAX);
        let mut onset = self.last(local + DAY);
        for _ in 0..MAX_NEAR {
            let begin = onset.map_or(i64::MIN, |onset| onset.at);
            let offset = onset.map_or_else(|| self.first(), |onset| onset.to);
            let at = local - i64::from(offset);
            if begin <= at && at < end {
                found = Some(offset);
            }
            let Some(Onset {
                at: begin,
                from,
                to,
            }) = onset.filter(|onset| onset.at > local - DAY)
            else {
                break;
            };
            if (begin + i64::from(from)..begin + i64::from(to)).contains(&local) {
                gap = Some(from);
            }
            end = begin;
            onset = self.last(begin - 1);
        }
        found.or(gap).unwrap_or_else(|| self.first())
    }

    /// How many onsets it keeps.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.written.len() + self.kept.borrow().onsets
    }

    /// What holds before the first onset.
    fn first(&self) -> i32 {
        self.written.first().map_or(0, |onset| onset.from)
    }

    /// The last onset at or before a time.
    fn last(&self, at: i64) -> Option<Onset> {
        let place = self.written.partition_point(|onset| onset.at <= at);
        let written = place
            .checked_sub(1)
            .and_then(|place| self.written.get(place))
            .copied();
        let ruled = self.last_ruled(at);
        if ruled.map(|onset| onset.at) > written.map(|onset| onset.at) {
            ruled
        } else {
            written
        }
    }

    fn last_ruled(&self, at: i64) -> Option<Onset> {
        let year = DateTime::from_timestamp(at, 0)?.year();
        let first = self
            .rules
            .iter()
            .map(|own| *own.onsets.years().start())
            .min()?;
        let last = self
            .rules
            .iter()
            .map(|own| *own.onsets.years().end())
            .max()?;
        // An onset early in a year may be late in the one before by UTC.
        let newest = year.saturating_add(1).min(last);
        let oldest = first.max(newest.saturating_sub(MAX_SILENT + 2));
        (oldest..=newest).rev().find_map(|year| {
            let onsets = self.year(year);
            onsets.iter().rev().find(|onset| onset.at <= at).copied()
        })
    }

    /// What the rules say of a year, in order.
    fn year(&self, year: i32) -> Rc<[Onset]> {
        let mut kept = self.kept.borrow_mut();
        if let Some(onsets) = kept.years.get(&year) {
            return Rc::clone(onsets);
        }
        let mut onsets: Vec<Onset> = Vec::new();
        for own in &self.rules {
            if !own.onsets.years().contains(&year) {
                continue;
            }
            let (from, to) = (own.from, own.to);
            onsets.extend(own.onsets.year(year).into_iter().map(|local| Onset {
                at: seconds(local) - i64::from(from),
                from,
                to,
            }));
        }
        onsets.sort_by_key(|onset| onset.at);
        if kept.onsets > MAX_KEPT || kept.years.len() > MAX_KEPT {
            *kept = Kept::default();
        }
        kept.onsets += onsets.len();
        let onsets: Rc<[Onset]> = onsets.into();
        kept.years.insert(year, Rc::clone(&onsets));
        onsets
    }
}

fn seconds(local: NaiveDateTime) -> i64 {
    local.and_utc().timestamp()
}

/// The observances of a VTIMEZONE, up to one more than are understood.
fn observances(document: &Document<'_>, index: usize) -> Vec<Lines> {
    let components = document.components();
    let end = components.get(index).map_or(0, |zone| zone.range.end);
    components
        .iter()
        .enumerate()
        .skip(index + 1)
        .take_while(|(_, inner)| inner.range.start < end)
        .filter(|(_, inner)| inner.parent == Some(index))
        .filter(|(_, inner)| matches!(inner.name.as_str(), "STANDARD" | "DAYLIGHT"))
        .take(MAX_OBSERVANCES + 1)
        .map(|(at, _)| lines(document, at))
        .collect()
}

fn lines(document: &Document<'_>, observance: usize) -> Lines {
    let mut lines = Lines::default();
    for line in document.lines(observance) {
        let offset = || names::offset(&line.value()).map(|offset| offset.local_minus_utc());
        if line.is("DTSTART") {
            lines.dates.push(("DTSTART", line.value()));
        } else if line.is("RDATE") {
            let value = line.value();
            let parts = value.split(',').filter(|part| !part.trim().is_empty());
            let begins = parts.filter_map(|part| part.split('/').next());
            lines.dates.extend(
                begins
                    .take(guard::MAX_DATES)
                    .map(|part| ("RDATE", part.to_owned())),
            );
        } else if line.is("RRULE") {
            lines.rules.push(line.value());
        } else if line.is("TZOFFSETFROM") {
            lines.from = offset();
        } else if line.is("TZOFFSETTO") {
            lines.to = offset();
        }
    }
    lines
}
