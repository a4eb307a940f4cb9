//! CalDAV, against a server that does whatever it is told to.

#[path = "../../support/caldav/mod.rs"]
pub(crate) mod fake;

mod account;
mod finding;
mod house;
mod listing;
mod passes;
mod people;
mod polling;
mod rewriting;
mod signing_in;
mod the_fake;
mod writing;
