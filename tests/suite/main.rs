//! The tests that need more than one module, or the binary itself; one binary, so that it links once.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod caldav;
#[cfg(feature = "simulator")]
mod cli;
#[path = "../support/clients/mod.rs"]
mod clients;
mod config;
mod directory;
mod feed;
#[cfg(feature = "simulator")]
mod graph;
mod people;
mod purity;
mod reading;
#[cfg(feature = "simulator")]
mod schedules;
mod seeds;
mod servers;
mod simulation;
#[cfg(feature = "simulator")]
mod simulator;
