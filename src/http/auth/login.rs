//! Signing in to one server as one user.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::Credentials;
use crate::clock::{Clock, Random};
use crate::secret::SecretSource;

/// Why nobody can be signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The server does not accept the credentials: what to do.
    #[error("{0}")]
    Refused(String),
    /// A secret cannot be had: which, why, and what to do.
    #[error("{0}")]
    Secret(String),
}

/// What one request has tried.
#[derive(Debug, Default)]
pub struct Attempt {}

/// How an account signs in, and what it learned of its server.
pub struct Login {
    credentials: Credentials,
}

impl Login {
    /// Begins without knowing the server.
    pub fn new(credentials: Credentials, _clock: Arc<dyn Clock>, _random: Arc<dyn Random>) -> Self {
        Self { credentials }
    }

    /// The Authorization header of the next try.
    ///
    /// # Errors
    /// When a secret cannot be had.
    pub async fn authorize(
        &self,
        _attempt: &mut Attempt,
        _method: &Method,
        _url: &Url,
    ) -> Result<Option<HeaderValue>, LoginError> {
        match &self.credentials {
            Credentials::Password { username, password } => {
                let password = password
                    .read()
                    .await
                    .map_err(|error| LoginError::Secret(error.to_string()))?;
                let pair = format!("{username}:{}", password.expose_secret());
                let value = format!("Basic {}", BASE64.encode(pair.as_bytes()));
                Ok(HeaderValue::from_str(&value).ok())
            }
            _ => Ok(None),
        }
    }

    /// Takes note that the server let the last try in.
    pub fn accepted(&self, _attempt: &Attempt) {}

    /// Takes note of a 401; on success another try is worthwhile.
    ///
    /// # Errors
    /// When it is not.
    pub async fn rejected(
        &self,
        _attempt: &mut Attempt,
        _headers: &HeaderMap,
    ) -> Result<(), LoginError> {
        Err(LoginError::Refused(
            "does not accept the user's name or password".to_owned(),
        ))
    }
}
