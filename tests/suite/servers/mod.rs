//! Real CalDAV servers: Radicale and Xandikos, each with two users, on loopback.
//!
//! Python and the servers are installed under the target directory when they are not there; what is
//! missing for that is a failure which says what to do.

mod account;
mod discovery;
mod facts;
pub(crate) mod harness;
mod port;
mod setup;

/// A calendar with one event, far ahead.
pub(crate) fn event(uid: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\nDTSTART:20270302T100000Z\r\nDTEND:20270302T110000Z\r\n\
         SUMMARY:Planning\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}
