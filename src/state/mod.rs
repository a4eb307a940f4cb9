//! What is remembered between passes: links, meetings, intents, counters, in SQLite. A cache: losing
//! it loses no link (DESIGN.md, promise 5).
//!
//! In and out: the records, nothing of SQLite. Calls are short and synchronous; one process holds
//! the state at a time ([`State::open`] takes the lock).
//!
//! A call that finds nothing to change opens no write transaction and leaves every file as it is
//! (promise 6).

mod agenda;
mod calendars;
mod endings;
mod error;
mod file;
mod former;
mod links;
mod lock;
mod notes;
mod prune;
mod records;
mod rows;
mod schema;
mod store;
mod tables;
#[cfg(test)]
mod tests;

pub use error::{OpenError, StateError};
pub use lock::Announced;
pub use prune::{Cursor, Pruned};
pub use records::{
    CalendarRecord, Ending, Former, FormerFate, Frozen, Gone, Kept, Link, MeetingRecord, Overview,
    Phase, ResourceRecord,
};
pub use store::State;
