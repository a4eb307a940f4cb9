//! What is read, compared with `expected.jsonl`.
//!
//! Disputed facts are left out, and so are events that we say we do not understand; those are counted by
//! reason. What remains must agree, but for the [`LEDGER`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use meetbridge::ical::document::Document;
use meetbridge::ical::event::{Event, Next};
use meetbridge::ical::read::read;
use serde_json::Value;

/// Facts on which we differ on purpose: the file, the fact, and why. At most ten.
const LEDGER: [(&str, &str, &str); 3] = [
    (
        "pimutils__khal/tests/ics/event_dt_rrule_until_before_start.ics",
        "first",
        "UNTIL before DTSTART: DTSTART is always the first occurrence (RFC 5545, 3.8.5.3); both skip it",
    ),
    (
        "collective__icalendar/src/icalendar/fuzzing/corpus/pacific_fiji.ics",
        "fault",
        "two different DTSTART in one VEVENT, which must not be (RFC 5545, 3.6.1): which is meant cannot \
         be known; both programs take the first",
    ),
    (
        "collective__icalendar/docs/tutorials/example.ics",
        "fault",
        "two different events with one UID and one SEQUENCE: a UID is one event's alone (RFC 5545, \
         3.8.4.7), so no meeting can be both's; both programs take them for one event with two times",
    ),
];

/// Compares every file. The table of what was counted goes to stdout.
///
/// # Errors
/// All disagreements, one a line.
pub(crate) fn compare(corpus: &Path, expected: &str) -> Result<(), String> {
    let mut tally = Tally::default();
    for line in expected.lines() {
        let facts: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let path = facts["path"].as_str().unwrap_or_default();
        let bytes = std::fs::read(corpus.join(path)).map_err(|error| format!("{path}: {error}"))?;
        if facts["parsed"] == true && !disputes(&facts, "parse") {
            compare_file(&mut tally, path, &bytes, &facts);
        } else {
            tally.count("file neither or only one program reads");
        }
    }
    tally.print();
    for (at, (path, fact, _)) in LEDGER.iter().enumerate() {
        if !tally.used.contains(&at) {
            tally.differences.push(format!(
                "{path}: {fact}: in the ledger, but nothing differs"
            ));
        }
    }
    if tally.differences.is_empty() {
        Ok(())
    } else {
        Err(tally.differences.join("\n"))
    }
}

#[derive(Default)]
struct Tally {
    counts: BTreeMap<String, usize>,
    /// The entries of the ledger that differ.
    used: BTreeSet<usize>,
    differences: Vec<String>,
}

impl Tally {
    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    /// Counts a fact that was compared, and keeps it if it differs.
    fn fact(&mut self, place: &str, fact: &str, ours: String, theirs: String) {
        if ours == theirs {
            self.count(format!("agrees: {fact}"));
        } else if let Some(entry) = LEDGER
            .iter()
            .position(|(path, name, _)| place.starts_with(path) && *name == fact)
        {
            self.used.insert(entry);
            self.count(format!("in the ledger: {fact}"));
        } else {
            self.differences
                .push(format!("{place}: {fact}: ours {ours}, theirs {theirs}"));
        }
    }

    fn print(&self) {
        for (what, count) in &self.counts {
            println!("{count:6}  {what}");
        }
    }
}

fn compare_file(tally: &mut Tally, path: &str, bytes: &[u8], facts: &Value) {
    let document = match Document::parse(bytes) {
        Ok(document) => document,
        Err(error) => return tally.differences.push(format!("{path}: {error}")),
    };
    let vevents: Vec<usize> = (0..document.components().len())
        .filter(|&at| document.components()[at].name == "VEVENT")
        .collect();
    let at = |from: &str, zone: Tz| {
        let from = time(&Value::from(from), zone).unwrap_or_default();
        (from, read(&document, Tz::UTC, from).events)
    };
    let readings = |zone: Tz| {
        [
            ("first", at("0001-01-01", zone)),
            ("next_2020", at("2020-01-01", zone)),
            ("next_2026", at("2026-11-23", zone)),
        ]
    };
    // Theirs are local where ours are in the calendar's zone: those are asked for, and compared, in it.
    let zone = facts["x_wr_timezone"].as_str();
    let zone: Tz = zone.and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
    let in_utc = readings(Tz::UTC);
    let in_zone = (zone != Tz::UTC).then(|| readings(zone));
    let [(_, (_, events)), ..] = &in_utc;
    for fact in facts["events"].as_array().into_iter().flatten() {
        let index = fact["index"]
            .as_u64()
            .and_then(|at| usize::try_from(at).ok());
        let component = index.and_then(|at| vevents.get(at));
        let event = events.iter().find(|event| {
            event
                .components
                .iter()
                .any(|one| Some(&one.index) == component)
        });
        let place = format!("{path} #{}", fact["index"]);
        match event {
            Some(event) => match alone(&document, event, component) {
                Some(event) => {
                    let cancels =
                        component.is_some_and(|&at| is_cancelled_by_method(&document, at));
                    compare_event(tally, &place, &event, fact, cancels);
                    let own_length = component.is_some_and(|&at| has_period(&document, at, fact));
                    compare_times(tally, &place, &event, fact, zone, own_length);
                }
                None => tally.differences.push(format!("{place}: not found alone")),
            },
            None if fact["uid"].as_str().is_none_or(|uid| uid.trim().is_empty()) => {
                tally.count("event without UID");
            }
            None => tally.differences.push(format!("{place}: not found")),
        }
    }
    for series in facts["series"].as_array().into_iter().flatten() {
        let uid = series["uid"].as_str().unwrap_or_default();
        let Some(event) = events.iter().find(|event| event.uid.as_str() == uid.trim()) else {
            if uid.trim().is_empty() {
                tally.count("series without a UID");
            } else {
                tally
                    .differences
                    .push(format!("{path} {uid}: no such event"));
            }
            continue;
        };
        let place = format!("{path} {}", event.uid);
        let own = || {
            let facts = facts["events"].as_array().into_iter().flatten();
            facts.filter(|fact| fact["uid"].as_str().map(str::trim) == Some(uid.trim()))
        };
        if let Some(fault) = &event.fault {
            let kind = without_names(fault);
            if series["error"].is_string() || disputes(series, "") || own().any(disputes_times) {
                tally.count(format!("disputed fault: {kind}"));
            } else if own().any(|fact| agrees_on_fault(fault, fact)) {
                tally.count(format!("agrees: fault: {kind}"));
            } else {
                tally.fact(&place, "fault", kind, "none".to_owned());
            }
            continue;
        }
        if series["error"].is_string() {
            tally.count("series disputed");
            continue;
        }
        if guessed(facts, uid.trim()) {
            tally.count("series in a zone that only we know");
            continue;
        }
        let local = ["first", "next_2020", "next_2026"].iter().any(|fact| {
            series[fact]
                .as_str()
                .is_some_and(|text| !text.ends_with('Z'))
        });
        let readings = in_zone.as_ref().filter(|_| local).unwrap_or(&in_utc);
        for (fact, (from, events)) in readings {
            if disputes(series, fact) {
                tally.count(format!("disputed: {fact}"));
                continue;
            }
            let theirs = time(&series[fact], zone);
            let ours = events.iter().find(|other| other.uid == event.uid);
            let ours = ours.map_or(Next::Unknown, |event| event.next.clone());
            if let Next::At(span) = &ours
                && span.start < *from
            {
                tally.count(format!("in progress: {fact}"));
                continue;
            }
            let ours = match ours {
                Next::At(span) => span.start.to_string(),
                Next::Past => "none".to_owned(),
                Next::Unknown => "unknown".to_owned(),
            };
            let theirs = theirs.map_or("none".to_owned(), |at| at.to_string());
            tally.fact(&place, fact, ours, theirs);
        }
    }
}

/// Whether a fact about the times of a VEVENT is disputed.
fn disputes_times(fact: &Value) -> bool {
    let names = [
        "dtstart",
        "dtend",
        "rrule",
        "recurrence_id",
        "all_day",
        "floating",
        "uid",
    ];
    names.iter().any(|name| disputes(fact, name))
}

/// Whether the oracle, too, could not read what the fault names.
fn agrees_on_fault(fault: &str, fact: &Value) -> bool {
    let unread = |name: &str| {
        let errors = fact["property_errors"].as_array().into_iter().flatten();
        let mut errors = errors.filter_map(Value::as_str);
        errors.any(|error| error.split(':').next() == Some(name))
    };
    match fault.split_once(" cannot be read") {
        Some((name, _)) => unread(name),
        None if fault.starts_with("the time zone ") => fact["dtstart"]["kind"] == "unresolved",
        None => fault == "it has no DTSTART" && fact["dtstart"].is_null(),
    }
}

/// What one VEVENT says beside its times.
fn compare_event(tally: &mut Tally, place: &str, event: &Event, fact: &Value, cancels: bool) {
    let disputed = |name: &str| disputes(fact, name);
    let text = |name: &str| fact[name].as_str().map(str::trim);
    tally.count("VEVENT");
    if !disputed("uid") {
        let theirs = text("uid").unwrap_or_default();
        tally.fact(
            place,
            "uid",
            event.uid.as_str().to_owned(),
            theirs.to_owned(),
        );
    }
    if text("summary").is_some_and(|summary| summary.contains('\u{fffd}')) {
        tally.count("SUMMARY in another character set");
    } else if !disputed("summary") {
        let ours = event.summary.as_deref().map(str::trim);
        tally.fact(
            place,
            "summary",
            format!("{ours:?}"),
            format!("{:?}", text("summary")),
        );
    }
    if !disputed("status") {
        let theirs = cancels || text("status") == Some("CANCELLED");
        let ours = event.components.iter().any(|one| one.cancelled);
        tally.fact(place, "cancelled", ours.to_string(), theirs.to_string());
    }
    if !disputed("transp") {
        let theirs = text("transp") == Some("TRANSPARENT");
        tally.fact(
            place,
            "transp",
            event.transparent.to_string(),
            theirs.to_string(),
        );
    }
    if !disputed("sequence") {
        let theirs = fact["sequence"].as_u64().unwrap_or(0).to_string();
        tally.fact(place, "sequence", event.sequence.to_string(), theirs);
    }
    if !disputed("organizer") {
        let theirs = text("organizer").map(str::to_lowercase);
        let theirs = theirs.map(|one| one.strip_prefix("mailto:").unwrap_or(&one).to_owned());
        tally.fact(
            place,
            "organizer",
            format!("{:?}", event.organizer),
            format!("{theirs:?}"),
        );
    }
    if !disputed("attendees") {
        // Theirs are lines; ours are people.
        let (ours, theirs) = (
            event.attendees.len(),
            fact["attendees"].as_u64().unwrap_or(0),
        );
        let agrees =
            u64::try_from(ours).is_ok_and(|ours| ours <= theirs) && (ours > 0) == (theirs > 0);
        let ours = if agrees {
            theirs.to_string()
        } else {
            ours.to_string()
        };
        tally.fact(place, "attendees", ours, theirs.to_string());
    }
    // Whether a DATE with a TZID is a day is one of the disputes about DTSTART.
    if !disputed("all_day") && !disputed("dtstart") && event.fault.is_none() {
        let theirs = fact["all_day"] == true;
        tally.fact(
            place,
            "all_day",
            event.all_day.to_string(),
            theirs.to_string(),
        );
    }
    for link in fact["conference"].as_array().into_iter().flatten() {
        let (kind, url) = (
            link["kind"].as_str(),
            link["url"].as_str().unwrap_or_default(),
        );
        if kind == Some("bluejeans") || url.contains("/meetingOptions/") {
            tally.count("conference that is no link of a provider we know");
            continue;
        }
        let links = event.components.iter().flat_map(|one| &one.links);
        let found = links.clone().any(|link| link.url == url);
        let ours = if found {
            url.to_owned()
        } else {
            format!("{links:?}", links = links.collect::<Vec<_>>())
        };
        tally.fact(place, "conference", ours, url.to_owned());
    }
}

/// Whether the calendar of the component says METHOD:CANCEL, which the oracle does not tell.
fn is_cancelled_by_method(document: &Document<'_>, component: usize) -> bool {
    let parent = document
        .components()
        .get(component)
        .and_then(|one| one.parent);
    let mut lines = parent.into_iter().flat_map(|parent| document.lines(parent));
    lines.any(|line| line.is("METHOD") && line.value().trim().eq_ignore_ascii_case("CANCEL"))
}

/// The event as it is without its other VEVENTs.
fn alone(document: &Document<'_>, event: &Event, component: Option<&usize>) -> Option<Event> {
    if event.components.len() == 1 {
        return Some(event.clone());
    }
    let mut bytes = document.bytes().to_vec();
    for other in event.components.iter().rev() {
        if Some(&other.index) != component {
            bytes.drain(document.components().get(other.index)?.range.clone());
        }
    }
    let document = Document::parse(&bytes).ok()?;
    let mut events = read(&document, Tz::UTC, DateTime::<Utc>::MIN_UTC).events;
    events.retain(|other| other.uid == event.uid);
    events.pop()
}

/// Whether an RDATE of the component is a PERIOD that begins at its DTSTART.
fn has_period(document: &Document<'_>, component: usize, fact: &Value) -> bool {
    let start = fact["dtstart"]["value"].as_str().unwrap_or_default();
    let start = start.replace(['-', ':', 'Z'], "");
    let mut lines = document.lines(component);
    lines.any(|line| {
        let value = line.value();
        let mut periods = value.split(',').filter(|part| part.contains('/'));
        line.is("RDATE") && periods.any(|period| period.starts_with(&start))
    })
}

/// Start and end of one VEVENT: of a series those of its first occurrence.
fn compare_times(
    tally: &mut Tally,
    place: &str,
    event: &Event,
    fact: &Value,
    zone: Tz,
    own_length: bool,
) {
    if event.fault.is_some() || disputes(fact, "dtstart") || disputes(fact, "dtend") {
        return;
    }
    if fact["dtstart"]["kind"] == "unresolved" {
        return tally.count("VEVENT in a zone that only we know");
    }
    let (Some(start), Next::At(span)) = (
        instants(&fact["dtstart"], zone).into_iter().next(),
        &event.next,
    ) else {
        return tally.count("without a start");
    };
    let starts = instants(&fact["dtstart"], zone);
    if event.recurring && !starts.contains(&span.start) {
        return tally.count("DTSTART is taken out of its series");
    }
    let ours = if starts.contains(&span.start) {
        start
    } else {
        span.start
    };
    tally.fact(place, "dtstart", ours.to_string(), start.to_string());
    let cut = |end: DateTime<Utc>| end.clamp(span.start, span.start + TimeDelta::hours(24));
    let ends: Vec<_> = instants(&fact["dtend"], zone)
        .into_iter()
        .map(cut)
        .collect();
    if own_length {
        return tally.count("DTSTART is also an RDATE with a length of its own");
    }
    if let Some(&end) = ends.first() {
        let ours = if ends.contains(&span.end) {
            end
        } else {
            span.end
        };
        tally.fact(place, "dtend", ours.to_string(), end.to_string());
    }
}

/// Whether an event with that UID is in a time zone that neither of the other programs knows.
fn guessed(facts: &Value, uid: &str) -> bool {
    let mut events = facts["events"].as_array().into_iter().flatten();
    events.any(|fact| {
        fact["uid"].as_str().map(str::trim) == Some(uid) && fact["dtstart"]["kind"] == "unresolved"
    })
}

/// The instants a time of the oracle may stand for; local ones in `zone`.
fn instants(fact: &Value, zone: Tz) -> Vec<DateTime<Utc>> {
    let known: Vec<_> = ["utc", "utc_wellknown"]
        .iter()
        .filter_map(|name| time(&fact[*name], zone))
        .collect();
    if known.is_empty() {
        return time(&fact["value"], zone).into_iter().collect();
    }
    known
}

/// A time of the oracle; a local one is in `zone`.
fn time(value: &Value, zone: Tz) -> Option<DateTime<Utc>> {
    let text = value.as_str()?;
    if let Some(utc) = text.strip_suffix('Z') {
        return Some(utc.parse::<NaiveDateTime>().ok()?.and_utc());
    }
    let local = text.parse::<NaiveDateTime>().ok();
    let midnight = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
    let local = local.or_else(midnight)?;
    Some(zone.from_local_datetime(&local).earliest()?.to_utc())
}

/// Whether the field is disputed; with an empty name, whether any is.
fn disputes(fact: &Value, name: &str) -> bool {
    let mut disputed = fact["disputed"].as_array().into_iter().flatten();
    disputed.any(|field| name.is_empty() || field == name)
}

/// A fault without the names in it.
pub(crate) fn without_names(fault: &str) -> String {
    let mut parts = fault.split('"');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(_), Some(after)) => format!("{before}\"…\"{after}"),
        _ => fault.to_owned(),
    }
}
