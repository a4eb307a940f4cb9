//! Real CalDAV servers on loopback, and clients of them. Needs Python 3.11 or later, and the network once.
//!
//! - [`python`]: the virtual environment in which all of it runs.
//! - [`server`]: Radicale and Xandikos as processes that end with the process that started them.
//! - [`client`]: a person's calendar client, written by others.
//! - [`tap`]: what a client sends, counted on its way.
//! - [`raw`]: single requests, to see what a server really holds.
#![allow(dead_code, reason = "whoever includes this uses a part of it")]

pub(crate) mod client;
pub(crate) mod python;
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod tap;

use std::path::{Path, PathBuf};

pub(crate) use client::Client;
pub(crate) use raw::Raw;
pub(crate) use server::{ALICE, BOB, Kind, Server, User};
pub(crate) use tap::Tap;

/// A file beside the tests: `tests/servers/NAME`.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/servers")
        .join(name)
}

/// A command that runs a script of `tests/servers` in the environment, which is made if it is not there.
///
/// # Panics
/// When there is no environment; the message says what to do.
fn script(name: &str) -> std::process::Command {
    let mut command = std::process::Command::new(python::shared());
    // Only what the environment itself holds, whatever the caller's surroundings say.
    command.arg("-I").arg(beside(name));
    command
}
