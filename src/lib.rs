//! meetbridge gives the events of any calendar a Microsoft Teams meeting and writes the join link back.
//!
//! The map, in the order in which a change in a calendar travels:
//!
//! - [`model`]: the words every module shares: calendar, resource, event identity, meeting key. Pure.
//! - [`clock`]: time and randomness as arguments, so that the whole can be simulated.
//! - [`calendar`]: the port to calendars (`read`, `write`, `changed`) and its kinds. Disk and network.
//! - [`ical`]: bytes → content lines → events; lossless edits; the join block and the mark. Pure.
//! - [`plan`]: which events get a link, and what each event needs. Pure.
//! - [`meeting`]: the port to meetings (`Wanted` in, `Meeting` out), and Microsoft Graph behind it. Network.
//! - [`http`]: what all network code shares: client, bounded bodies, Retry-After windows, retries.
//! - [`state`]: links, intents, counters in SQLite; a cache that may be lost. Disk.
//! - [`sync`]: one pass, on one screen: read → understand → decide → act → remember → write back.
//! - [`daemon`]: runs passes: schedule, signals, the real clock.
//! - [`config`]: the TOML file, every fault at its place. [`secret`]: where secrets come from.
//! - [`log`]: the event catalogue and the formats, which are the monitoring interface.
//! - [`cli`]: the commands. `simulator`: an embedded Graph and Entra, for `demo` and tests.

pub mod calendar;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod http;
pub mod ical;
pub mod log;
pub mod meeting;
pub mod model;
pub mod plan;
pub mod secret;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod state;
pub mod sync;
