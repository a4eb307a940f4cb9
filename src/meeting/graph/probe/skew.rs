//! How far this machine's clock is from a service's, by the `Date` of its answers. Pure.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::HeaderMap;

use crate::http::windows::date;

/// What the latest answer of a service that told the time says of this machine's clock.
#[derive(Debug, Default)]
pub(in crate::meeting::graph) struct Dates(Mutex<Option<TimeDelta>>);

impl Dates {
    /// Takes over what an answer says, whose request was `sent` and which was `received` at these
    /// times of this machine's clock.
    pub(in crate::meeting::graph) fn note(
        &self,
        sent: DateTime<Utc>,
        headers: &HeaderMap,
        received: DateTime<Utc>,
    ) {
        if let Some(date) = date(headers) {
            let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *latest = Some(ahead(sent, date, received));
        }
    }

    /// By how much this machine's clock is ahead, at least; negative where it is behind. `None`: nobody
    /// has told the time.
    pub(super) fn skew(&self) -> Option<TimeDelta> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer was made within the second that `date` names, and between the two other times if the
/// clocks agree, however slow it was.
fn ahead(sent: DateTime<Utc>, date: DateTime<Utc>, received: DateTime<Utc>) -> TimeDelta {
    let end = date
        .checked_add_signed(TimeDelta::seconds(1))
        .unwrap_or(date);
    if sent > end {
        sent - end
    } else if received < date {
        received - date
    } else {
        TimeDelta::zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_takes_long_is_no_skew() {
        let at = |seconds: i64, millis: u32| {
            DateTime::from_timestamp(1_800_000_000 + seconds, millis * 1_000_000).unwrap()
        };
        for (name, sent, received, expected) in [
            ("the same second", at(0, 100), at(0, 900), 0),
            ("the second's end", at(0, 999), at(1, 200), 0),
            ("a slow answer", at(-400, 0), at(3, 0), 0),
            ("made late in a slow answer", at(-1, 0), at(400, 0), 0),
            ("ahead", at(121, 0), at(122, 0), 120),
            ("behind", at(-122, 0), at(-120, 0), -120),
        ] {
            assert_eq!(
                ahead(sent, at(0, 0), received).num_seconds(),
                expected,
                "{name}"
            );
        }
        let dates = Dates::default();
        let mut headers = HeaderMap::new();
        dates.note(at(0, 0), &headers, at(0, 0));
        headers.insert("date", "soon".parse().unwrap());
        dates.note(at(0, 0), &headers, at(0, 0));
        assert_eq!(dates.skew(), None);
        headers.insert("date", "Fri, 15 Jan 2027 08:00:00 GMT".parse().unwrap());
        dates.note(at(-60, 0), &headers, at(-60, 0));
        assert_eq!(dates.skew(), Some(TimeDelta::seconds(-60)));
    }
}
