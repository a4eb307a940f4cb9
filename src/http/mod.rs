//! What all network code shares. Network.
//!
//! - [`auth`]: how a server is signed in to, other than Graph.
//! - [`client`]: requests out, bounded answers in; errors without URL, secret or body.
//! - [`oauth`]: access tokens by a refresh token.
//! - [`windows`]: the Retry-After windows that every task obeys, also after a restart.
//! - `site`: where a redirect may lead.
//! - [`retry`]: how long to wait between tries.

pub mod auth;
pub mod client;
pub mod oauth;
pub mod retry;
pub(crate) mod site;
mod tls;
pub mod windows;
pub(crate) mod x509;

#[cfg(test)]
pub(crate) mod testing;

pub use auth::Credentials;
pub use client::{
    Answer, Carrier, Client, ClientError, ClientOptions, Identity, Incoming, SendError,
};
pub use windows::{Throttled, WindowStore, Windows};
