//! What the benches share.
//!
//! - [`events`]: calendars like real ones.
//! - [`measure`]: figures, and where they come from.
//! - [`passes`]: passes over a calendar, and what they take.
//! - [`world`]: a home on disk, the Graph simulator, and the parts of the daemon put together.
#![allow(dead_code, reason = "whoever includes this uses a part of it")]

pub(crate) mod events;
pub(crate) mod measure;
pub(crate) mod passes;
pub(crate) mod world;

/// What can go wrong ends the bench with its text.
pub(crate) type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// A figure is worth nothing when the work was not done.
pub(crate) fn expect(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {found} instead of {expected}").into())
    }
}
