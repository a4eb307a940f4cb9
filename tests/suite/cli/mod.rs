//! The real binary against the embedded simulator: what people type, what they see, what goes wrong.
//!
//! Every command's output is searched for secrets (see `support::Ended`).

mod beside;
mod brakes;
mod caldav;
mod calendars;
mod check;
mod demo;
mod faults;
mod feed;
mod flow;
mod kill;
mod leaks;
mod login;
mod logs;
mod man;
mod notify;
mod online;
mod outlook;
mod reload;
mod rewrite;
mod secrets;
mod settings;
mod status;
mod support;
mod terminal;
mod unlink;
mod usage;
