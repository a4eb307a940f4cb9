//! Every file is read: no panic, and soon.

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
            let _ = done.send(read_twice(&bytes));
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
