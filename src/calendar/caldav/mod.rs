//! Calendars on CalDAV servers (RFC 4791, 6578, 6638).
//!
//! - [`connection`]: requests of one account: signing in, redirects, Retry-After, faults in words.
//! - [`xml`]: requests and multistatus answers as XML.
//! - [`discover`]: from a URL to the account's calendars.
//! - [`list`]: what changed, and its bytes.
//! - [`write`]: one conditional PUT.
//! - [`profile`]: what is learned of a server.
//! - [`poll`]: when an account is looked at.

pub mod connection;
pub mod discover;
pub mod list;
pub mod poll;
pub mod profile;
pub mod write;
pub mod xml;
