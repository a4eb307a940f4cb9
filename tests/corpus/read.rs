//! Every file is read: no panic, and soon. Each of its events is understood, or refused with its line
//! and a reason.

use std::sync::mpsc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use libtest_mimic::{Failed, Trial};
use meetbridge::ical::document::Document;
use meetbridge::ical::read::read;

use crate::Sample;

/// Far more than any file takes, even unoptimised on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// The test that one file is read.
pub(crate) fn trial(sample: Sample) -> Trial {
    Trial::test(format!("read {}", sample.name), move || {
        let bytes = sample.bytes()?;
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let _ = done.send(read_twice(&bytes).and_then(|()| accounted_for(&bytes)));
        });
        match ended.recv_timeout(LIMIT) {
            Ok(outcome) => outcome.map_err(Failed::from),
            Err(mpsc::RecvTimeoutError::Timeout) => Err("it takes too long".into()),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err("it panicked".into()),
        }
    })
}

/// Reads it; whatever the time, the digests are the same.
fn read_twice(bytes: &[u8]) -> Result<(), String> {
    let document = Document::parse(bytes).map_err(|error| error.to_string())?;
    let early = read(&document, Tz::UTC, DateTime::<Utc>::UNIX_EPOCH);
    let late = read(&document, Tz::Europe__Berlin, DateTime::<Utc>::MAX_UTC);
    for (one, other) in early.events.iter().zip(&late.events) {
        if (&one.schedule, &one.content) != (&other.schedule, &other.content) {
            return Err(format!("the digests of {} differ", one.uid));
        }
    }
    Ok(())
}

/// Every VEVENT is part of an event or a fault at its line, and what is refused says why.
fn accounted_for(bytes: &[u8]) -> Result<(), String> {
    let document = Document::parse(bytes).map_err(|error| error.to_string())?;
    let reading = read(&document, Tz::UTC, DateTime::<Utc>::UNIX_EPOCH);
    let lines = bytes.split(|byte| b"\r\n".contains(byte));
    let begun = lines.filter(|line| line.trim_ascii().eq_ignore_ascii_case(b"BEGIN:VEVENT"));
    let begun = begun.count();
    let events = || reading.events.iter();
    let read: usize = events().map(|event| event.components.len()).sum();
    let nameless = reading
        .faults
        .iter()
        .filter(|fault| fault.what == "an event with no UID");
    let nameless = nameless.count();
    if begun != read + nameless {
        return Err(format!(
            "of {begun} VEVENTs {read} are in events, {nameless} in faults"
        ));
    }
    for event in events().filter(|event| event.fault.is_some()) {
        let mut own = event.components.iter().map(|one| one.index);
        let stands_in = |index: usize| {
            let begin = document.components().get(index).map(|one| one.line);
            let mut lines = document.lines(index);
            begin == Some(event.line) || lines.any(|line| line.number() == event.line)
        };
        if !own.any(stands_in) {
            let (uid, line) = (&event.uid, event.line);
            return Err(format!("line {line}: refuses {uid}, which is not there"));
        }
    }
    let refused = events().filter_map(|event| Some((event.line, event.fault.as_deref()?)));
    let faults = reading
        .faults
        .iter()
        .map(|fault| (fault.line, fault.what.as_str()));
    for (line, why) in refused.chain(faults) {
        if line == 0 || why.trim().is_empty() || why.contains(char::is_control) {
            return Err(format!("line {line}: no good reason: {why:?}"));
        }
    }
    Ok(())
}
