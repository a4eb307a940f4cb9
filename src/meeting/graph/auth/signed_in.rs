//! The person who signed in by device code: in a file of the owner's alone. Disk.
//!
//! A refresh token that Entra gives in place of another is on disk before its access token is used.
//! The one before stays beside it: Entra does not end it by use, so a crash at any moment is survived.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::sign_in::SignIn;
use crate::clock::Clock;
use crate::http::oauth::kept::{self, Turn};
use crate::meeting::graph::GraphSettings;
use crate::model::OrganizerId;

/// The file. No account's name makes it: those have no dot.
const NAME: &str = "graph.signed-in.json";
/// Held by the process that renews or replaces the token.
const LOCK: &str = "graph.signed-in.lock";
/// How long another process may take to renew: longer than a request.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it is looked whether that one is done.
const LOOK: Duration = Duration::from_millis(100);

/// Where the sign-in of one application in one tenant is kept.
#[derive(Clone, Debug)]
pub(super) struct Place {
    directory: PathBuf,
    /// Tells authority, tenant and application from others: a token is shown to no other.
    account: String,
}

/// A sign-in.
#[derive(Clone, Debug)]
pub(super) struct SignedIn {
    /// The person's object id.
    pub(super) user: OrganizerId,
    /// The refresh token.
    pub(super) token: SecretString,
    /// The one before it.
    pub(super) previous: Option<SecretString>,
}

/// What is to take the place of the token `of`.
#[derive(Clone, Debug)]
pub(super) struct Rotation {
    of: SecretString,
    new: SignedIn,
}

impl Rotation {
    /// What becomes of the sign-in `found` when `used`, its token or the one before, gave `new`;
    /// `None`: nothing.
    pub(super) fn of(
        found: &SignedIn,
        used: &SecretString,
        new: Option<SecretString>,
    ) -> Option<Self> {
        let new = new.unwrap_or_else(|| used.clone());
        if is_same(&new, &found.token) {
            return None;
        }
        Some(Self {
            of: found.token.clone(),
            new: SignedIn {
                user: found.user.clone(),
                previous: Some(used.clone()).filter(|used| !is_same(used, &new)),
                token: new,
            },
        })
    }
}

impl Place {
    pub(super) fn new(directory: &Path, authority: &Url, tenant: &str, client_id: &str) -> Self {
        let authority = authority.as_str().trim_end_matches('/');
        let account = format!("{authority}\n{tenant}\n{client_id}").to_ascii_lowercase();
        Self {
            directory: directory.to_owned(),
            account: HEXLOWER.encode(&Sha256::digest(account.as_bytes())),
        }
    }

    /// Where the sign-in is kept; `None` where none is needed.
    pub(super) fn of(settings: &GraphSettings) -> Option<Self> {
        let SignIn::DeviceCode { directory } = &settings.sign_in else {
            return None;
        };
        Some(Self::new(
            directory,
            &settings.authority_url,
            &settings.tenant,
            &settings.client_id,
        ))
    }

    fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// Reads the sign-in.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    pub(super) fn read(&self) -> Result<SignedIn, String> {
        let path = self.path();
        let shown = path.display();
        let body = kept::read(&path).map_err(|error| {
            format!(
                "the sign-in in {shown} cannot be read ({error}); make it readable for the user who \
                 runs meetbridge, or run `meetbridge login`"
            )
        })?;
        self.understand(body)
    }

    /// The sign-in that a file holds.
    fn understand(&self, body: Option<Value>) -> Result<SignedIn, String> {
        let path = self.path();
        let shown = path.display();
        let Some(body) = body else {
            return Err("nobody is signed in to Graph yet; run `meetbridge login`".to_owned());
        };
        let text = |key: &str| body[key].as_str().filter(|text| !text.is_empty());
        if text("account").is_some_and(|account| account != self.account) {
            return Err(format!(
                "the sign-in in {shown} is for another tenant, application or cloud; run \
                 `meetbridge login`"
            ));
        }
        let found = text("account")
            .and(text("user"))
            .and_then(OrganizerId::new)
            .zip(text("refresh_token"));
        let (user, token) = found
            .ok_or_else(|| format!("the sign-in in {shown} is damaged; run `meetbridge login`"))?;
        Ok(SignedIn {
            user,
            token: SecretString::from(token),
            previous: text("previous").map(SecretString::from),
        })
    }

    /// [`Self::read`], off the async threads.
    pub(super) async fn read_aside(&self) -> Result<SignedIn, String> {
        let place = self.clone();
        let read = tokio::task::spawn_blocking(move || place.read());
        read.await
            .unwrap_or_else(|_| Err("reading the sign-in was broken off".to_owned()))
    }

    /// Waits until no other process renews or replaces the sign-in.
    ///
    /// # Errors
    /// In words, when that takes long, or the state directory cannot be used.
    pub(super) async fn turn(&self, clock: &Arc<dyn Clock>) -> Result<Turn, String> {
        let began = clock.elapsed();
        loop {
            let path = self.directory.join(LOCK);
            let taken = tokio::task::spawn_blocking(move || Turn::take(&path)).await;
            match taken.unwrap_or(Ok(None)).map_err(|e| self.unusable(&e))? {
                Some(turn) => return Ok(turn),
                None if clock.elapsed().saturating_sub(began) < PATIENCE => {
                    clock.sleep(LOOK).await;
                }
                None => {
                    return Err(
                        "another meetbridge has been renewing the sign-in for long; it is tried \
                         again later"
                            .to_owned(),
                    );
                }
            }
        }
    }

    /// Replaces the sign-in, whosever it was.
    ///
    /// # Errors
    /// In words, when it cannot be written.
    pub(super) async fn write(&self, new: SignedIn) -> Result<(), String> {
        self.write_if(|_| Ok(true), new).await
    }

    /// Puts a token in the place of another, unless somebody has signed in meanwhile.
    ///
    /// # Errors
    /// In words, when it cannot be written.
    pub(super) async fn rotate(&self, rotation: Rotation) -> Result<(), String> {
        let Rotation { of, new } = rotation;
        let unchanged = move |place: &Self| {
            let found = place.understand(kept::read(&place.path())?);
            Ok(found.is_ok_and(|found| is_same(&found.token, &of)))
        };
        self.write_if(unchanged, new).await
    }

    async fn write_if(
        &self,
        is_due: impl FnOnce(&Self) -> std::io::Result<bool> + Send + 'static,
        new: SignedIn,
    ) -> Result<(), String> {
        let place = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            if !is_due(&place)? {
                return Ok(());
            }
            let previous = new.previous.as_ref().map(|token| token.expose_secret());
            let body = json!({
                "account": place.account,
                "user": new.user.as_str(),
                "refresh_token": new.token.expose_secret(),
                "previous": previous,
            });
            kept::write(&place.path(), &body)
        });
        let written = written.await;
        let written = written.unwrap_or_else(|_| Err(std::io::Error::other("broken off")));
        written.map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &std::io::Error) -> String {
        format!(
            "the sign-in cannot be kept in {} ({error}); see to the state directory's rights and \
             free space",
            self.directory.display()
        )
    }
}

/// Who is signed in by device code, as the file in `directory` says.
///
/// # Errors
/// Why nobody is, and what to do.
pub fn who_signed_in(
    directory: &Path,
    authority: &Url,
    tenant: &str,
    client_id: &str,
) -> Result<OrganizerId, String> {
    let place = Place::new(directory, authority, tenant, client_id);
    place.read().map(|found| found.user)
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(directory: &Path, tenant: &str) -> Place {
        let authority = Url::parse("https://login.example/").unwrap();
        Place::new(directory, &authority, tenant, "app")
    }

    fn signed_in(token: &str, previous: Option<&str>) -> SignedIn {
        SignedIn {
            user: OrganizerId::new("11111111-1111-1111-1111-111111111111").unwrap(),
            token: SecretString::from(token),
            previous: previous.map(SecretString::from),
        }
    }

    fn shown(found: &SignedIn) -> (&str, Option<&str>) {
        let previous = found.previous.as_ref().map(|token| token.expose_secret());
        (found.token.expose_secret(), previous)
    }

    #[tokio::test]
    async fn a_sign_in_is_read_as_it_was_written_and_by_nobody_else() {
        let state = tempfile::tempdir().unwrap();
        let tokens = state.path().join("tokens");
        let place_a = place(&tokens, "a");
        let text = place_a.read().unwrap_err();
        assert!(text.contains("nobody is signed in") && text.contains("meetbridge login"));
        place_a.write(signed_in("one", None)).await.unwrap();
        assert_eq!(shown(&place_a.read().unwrap()), ("one", None));
        assert_eq!(shown(&place(&tokens, "A").read().unwrap()), ("one", None));
        let text = place(&tokens, "b").read().unwrap_err();
        assert!(text.contains("another tenant"), "{text}");
        for damage in [
            "",
            "{",
            "{}",
            "[]",
            "{\"account\": 1, \"refresh_token\": \"x\"}",
        ] {
            std::fs::write(tokens.join(NAME), damage).unwrap();
            let text = place_a.read().unwrap_err();
            assert!(
                text.contains("is damaged; run `meetbridge login`"),
                "{text}"
            );
        }
        std::fs::remove_file(tokens.join(NAME)).unwrap();
        std::fs::create_dir(tokens.join(NAME)).unwrap();
        let text = place_a.read().unwrap_err();
        assert!(text.contains("cannot be read"), "{text}");
        let text = place_a.write(signed_in("two", None)).await.unwrap_err();
        assert!(text.contains("cannot be kept"), "{text}");
    }

    #[tokio::test]
    async fn a_token_is_rotated_unless_somebody_signed_in_meanwhile() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path(), "a");
        place.write(signed_in("one", None)).await.unwrap();
        let found = place.read().unwrap();
        let new = |text: &str| Some(SecretString::from(text));
        assert!(Rotation::of(&found, &found.token, None).is_none());
        assert!(Rotation::of(&found, &found.token, new("one")).is_none());
        let rotation = Rotation::of(&found, &found.token, new("two")).unwrap();
        assert!(!format!("{rotation:?}").contains("two"));
        place.rotate(rotation.clone()).await.unwrap();
        assert_eq!(shown(&place.read().unwrap()), ("two", Some("one")));

        place.write(signed_in("other", None)).await.unwrap();
        place.rotate(rotation).await.unwrap();
        assert_eq!(shown(&place.read().unwrap()), ("other", None));

        // The one before gave nothing new: it goes on by itself.
        let found = signed_in("refused", Some("good"));
        place.write(found.clone()).await.unwrap();
        let rotation = Rotation::of(&found, &SecretString::from("good"), None).unwrap();
        place.rotate(rotation).await.unwrap();
        assert_eq!(shown(&place.read().unwrap()), ("good", None));
    }
}
