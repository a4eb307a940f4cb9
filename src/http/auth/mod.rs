//! How a server is signed in to, other than Graph.

mod challenge;
mod digest;
mod login;

pub use login::{Attempt, Login, LoginError, LoginSettings};

use url::Url;

use crate::secret::SecretSource;

/// What an account is signed in to with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing, or the client certificate alone.
    None,
    /// A password, by Basic (RFC 7617) or Digest (RFC 7616), whichever the server takes.
    Password {
        /// The user's name.
        username: String,
        /// The password.
        password: SecretSource,
    },
    /// A bearer token (RFC 6750).
    Bearer {
        /// The token.
        token: SecretSource,
    },
    /// An OAuth2 refresh token (RFC 6749, 6).
    OAuth2 {
        /// Where access tokens are had.
        token_url: Url,
        /// The client's id.
        client_id: String,
        /// The client's secret, where it has one.
        client_secret: Option<SecretSource>,
        /// The first refresh token; one that the server gives in its place is kept in the state
        /// directory's `tokens/`.
        refresh_token: SecretSource,
    },
}
