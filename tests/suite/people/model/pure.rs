//! Events without what is ours, and how two of them differ.

use crate::people::generate::Place;
use crate::people::text::{Line, block, own, place, value, without_block};
use crate::people::world::Known;

/// Each VEVENT without what is ours. `prior` is what it was before ours was there: it tells whether a
/// property that holds nothing else was absent or empty.
pub(in crate::people) fn purified(
    event: &[Vec<Line>],
    prior: Option<&Vec<Vec<Line>>>,
    known: &Known,
    place: Place,
) -> Vec<Vec<Line>> {
    let id = |part: &[Line]| value(part, "RECURRENCE-ID");
    let parts = event.iter().enumerate().map(|(at, part)| {
        // A series that was moved has its overrides under other ids.
        let found = |prior: &'_ &Vec<Vec<Line>>| prior.iter().position(|old| id(old) == id(part));
        let prior = prior.and_then(|prior| prior.get(found(&prior).unwrap_or(at)));
        pure(part, prior.map(Vec::as_slice), known, place)
    });
    parts.collect()
}

fn pure(part: &[Line], prior: Option<&[Line]>, known: &Known, location: Place) -> Vec<Line> {
    let all = known.all();
    let places = own(part);
    let before = |name: &str| {
        let prior = prior?;
        Some(place(prior, name).map(|at| prior[at].clone()))
    };
    let mut lines = Vec::new();
    for (at, line) in part.iter().enumerate() {
        let property = line.property();
        let text = property.value.trim();
        let is_own = places.contains(&at);
        let is_link = known.key(text).is_some();
        let kept = match property.name.as_str() {
            _ if !is_own => Some(line.clone()),
            "X-MEETBRIDGE-MEETING" => None,
            "X-MICROSOFT-SKYPETEAMSMEETINGURL" | "URL" if is_link => None,
            "CONFERENCE" if is_link || known.dials.iter().any(|dial| dial == text) => None,
            "LOCATION"
                if is_link || (location == Place::Label && text == "Microsoft Teams Meeting") =>
            {
                // Empty before, or absent.
                before("LOCATION").flatten()
            }
            "DESCRIPTION" if block(&property.value, &all).is_some() => {
                let old = before("DESCRIPTION").flatten();
                let value = without_block(&property.value, &all);
                let was = old.as_ref().map(|line| line.property().value);
                match (value.is_empty(), was) {
                    (true, None) => None,
                    (_, Some(was)) if was == value => old,
                    _ => Some(line.with_value(&value)),
                }
            }
            _ => Some(line.clone()),
        };
        lines.extend(kept);
    }
    lines
}

/// Whether a line is the description as HTML, or has it beside the text.
pub(in crate::people) fn is_twin(line: &Line) -> bool {
    line.is("X-ALT-DESC")
        || line.is("STYLED-DESCRIPTION")
        || (line.is("DESCRIPTION") && line.property().head.contains("ALTREP"))
}

/// Without the properties that may have been empty or absent before the link.
pub(in crate::people) fn without_empty(event: &[Vec<Line>]) -> Vec<Vec<Line>> {
    let is_empty = |line: &Line| {
        let text = line.property().value;
        let ours = text.trim() == "Microsoft Teams Meeting";
        (line.is("LOCATION") || line.is("DESCRIPTION")) && (ours || text.trim().is_empty())
    };
    let parts = event.iter();
    parts
        .map(|part| {
            part.iter()
                .filter(|line| !is_empty(line))
                .cloned()
                .collect()
        })
        .collect()
}

/// How two events differ that are to be the same without our lines; stamps apart.
pub(in crate::people) fn difference(expected: &[Vec<Line>], found: &[Vec<Line>]) -> Option<String> {
    if expected.len() != found.len() {
        return Some(format!(
            "{} VEVENTs instead of {}",
            found.len(),
            expected.len()
        ));
    }
    for (expected, found) in expected.iter().zip(found) {
        let mut others = found.iter();
        for line in expected {
            let other = others.next();
            if !other.is_some_and(|other| is_same(line, other)) {
                let show = |line: &Line| String::from_utf8_lossy(&line.0).into_owned();
                return Some(format!(
                    "expected {:?}, found {:?}",
                    show(line),
                    other.map(show)
                ));
            }
        }
        if let Some(more) = others.next() {
            return Some(format!("one more: {:?}", String::from_utf8_lossy(&more.0)));
        }
    }
    None
}

fn is_same(a: &Line, b: &Line) -> bool {
    let (one, other) = (a.property(), b.property());
    if is_twin(a) {
        // Its HTML is looked at where it is written.
        return one.name == other.name && (one.name != "DESCRIPTION" || one.value == other.value);
    }
    match one.name.as_str() {
        "DTSTAMP" | "LAST-MODIFIED" => one.head == other.head,
        "DESCRIPTION" | "LOCATION" => one == other,
        _ => a.0 == b.0,
    }
}
