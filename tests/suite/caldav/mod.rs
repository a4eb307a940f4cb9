//! CalDAV, against a server that does whatever it is told to.

#[path = "../../support/caldav/mod.rs"]
mod fake;

mod the_fake;
