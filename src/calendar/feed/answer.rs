//! What an answer must be to be a calendar, and what is said of one that is none.

use reqwest::header::CONTENT_TYPE;

use super::body::Body;
use super::fetch::{FetchError, Place};
use crate::calendar::Again;
use crate::http::Answer;

/// How much of its ends tells whether an answer is a whole calendar.
const LOOKED_AT: usize = 16 << 10;

impl Place {
    /// Whether the answer is a calendar from its first line to its last.
    pub(super) fn whole(&self, answer: &Answer, body: &Body) -> Result<(), FetchError> {
        let read = |range| {
            let unread = |error| self.refused(format!("answered; {error}"), Again::Soon);
            body.read(range).map_err(unread)
        };
        let first = read(0..body.len().min(LOOKED_AT))?;
        let last = read(body.len().saturating_sub(LOOKED_AT)..body.len())?;
        let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&first);
        let (first, last) = (first.trim_ascii_start(), last.trim_ascii_end());
        let starts = |with: &[u8]| {
            let start = first.get(..with.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        let ends = |with: &[u8]| {
            let from = last.len().checked_sub(with.len());
            let end = from.and_then(|from| last.get(from..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(with))
        };
        let content_type = answer.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let is_page =
            starts(b"<") || content_type.is_some_and(|kind| kind.trim().starts_with("text/html"));
        if first.is_empty() && last.is_empty() {
            let why = "answered with nothing; it is asked again, and no event counts as gone";
            return Err(self.refused(why, Again::Soon));
        }
        if !starts(b"BEGIN:VCALENDAR") {
            let why = match is_page {
                true => {
                    "answered with a web page, not a calendar (a login page, perhaps); set \
                     `username` and `password-file` if the feed needs them, or copy the address of \
                     the feed itself, which often ends in .ics, into `url`"
                }
                false => {
                    "answered with something that is not a calendar (it does not begin with \
                     BEGIN:VCALENDAR); copy the address of the feed itself into `url`"
                }
            };
            return Err(self.refused(why, Again::Slowly));
        }
        if !ends(b"END:VCALENDAR") {
            let why = "answered with a calendar that breaks off (it does not end with \
                       END:VCALENDAR); it is asked again, and no event counts as gone";
            return Err(self.refused(why, Again::Soon));
        }
        Ok(())
    }

    /// What a status that brings no calendar means.
    pub(super) fn status(&self, answer: &Answer) -> FetchError {
        let status = answer.status.as_u16();
        let (why, again) = match status {
            401 => (
                "wants credentials (HTTP 401) where it redirects to, which is given none; set `url` \
                 to the address that it redirects to",
                Again::Slowly,
            ),
            403 => (
                "refuses access (HTTP 403); perhaps the feed's address was renewed or sharing was \
                 switched off: copy the address anew into `url`",
                Again::Slowly,
            ),
            404 => (
                "has no such calendar (HTTP 404); perhaps the feed's address was renewed or sharing \
                 was switched off: copy the address anew into `url`",
                Again::Slowly,
            ),
            410 => (
                "has done away with the calendar (HTTP 410); copy its new address into `url`, or \
                 take this feed out of the configuration",
                Again::Slowly,
            ),
            429 => (
                "gets too many requests (HTTP 429); set a longer `poll`",
                Again::Soon,
            ),
            500.. => ("fails; it is asked again", Again::Soon),
            _ => ("answered with no calendar", Again::Slowly),
        };
        let why = match why.contains("HTTP") {
            true => why.to_owned(),
            false => format!("{why} (HTTP {status})"),
        };
        self.refused(why, again)
    }
}
