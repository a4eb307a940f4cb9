//! iCalendar: bytes → content lines → events, and lossless edits. Pure.
//!
//! [`document`] splits bytes into logical content lines and components, each with its byte range, and
//! never changes one. [`read`] understands the events in it. [`edit`] splices bytes; [`mod@write`] says
//! which lines a link consists of; [`block`] and [`mark`] are the two parts of it that are read back.
//! `twin` is a description that stands beside DESCRIPTION as HTML, `html` the little that is to be known
//! of it, `wrapped` takes off what mail filters put around links.

pub mod block;
pub mod document;
pub mod edit;
pub mod event;
mod html;
mod line;
pub mod mark;
pub mod read;
mod twin;
mod wrapped;
pub mod write;

#[cfg(test)]
#[path = "../../tests/support/clients/mod.rs"]
mod clients;
#[cfg(test)]
mod random_tests;
