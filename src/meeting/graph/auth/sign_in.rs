//! The ways to sign in, as they are configured, and what each presents. Disk.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::certificate::{Age, Certificate, Claims};
use super::signed_in::{Place, Rotation, SignedIn};
use crate::meeting::graph::GraphSettings;
use crate::model::OrganizerId;
use crate::secret::{LARGEST, SecretSource};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How Graph is signed in to. What it names is read anew for each token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// The application's client secret.
    Secret(SecretSource),
    /// A certificate of the application, with its key.
    Certificate {
        /// The certificate, as PEM; with the key, where that has no place of its own.
        certificate: SecretSource,
        /// The private key, as PEM.
        key: Option<SecretSource>,
        /// What assertions are signed with.
        algorithm: CertificateAlgorithm,
    },
    /// A token that another identity provider issues for the application, such as Kubernetes.
    FederatedToken(SecretSource),
    /// A person, who signed in by device code (`meetbridge login`).
    DeviceCode {
        /// Where the person's refresh token is kept.
        directory: PathBuf,
    },
}

/// How a client assertion is signed, and how it names the certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateAlgorithm {
    /// RSASSA-PSS with SHA-256; the certificate's SHA-256 (`x5t#S256`).
    #[default]
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256; the certificate's SHA-1 (`x5t`).
    Rs256,
}

/// Names the place, for messages that say where to put another credential.
impl fmt::Display for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(source)
            | Self::FederatedToken(source)
            | Self::Certificate {
                certificate: source,
                ..
            } => source.fmt(f),
            Self::DeviceCode { .. } => f.write_str("the sign-in of `meetbridge login`"),
        }
    }
}

/// A credential as it was read.
pub(super) struct Credential {
    secrets: Vec<SecretString>,
    /// A name for it that does not tell it: another one means that it was replaced.
    pub(super) fingerprint: String,
    signed_in: Option<SignedIn>,
}

impl Credential {
    /// Reads the credential of the configured way to sign in.
    ///
    /// # Errors
    /// Why it cannot be read, and what to do.
    pub(super) async fn read(settings: &GraphSettings) -> Result<Self, String> {
        let mut signed_in = None;
        let secrets = match Place::of(settings) {
            None => settings.sign_in.read().await?,
            Some(place) => {
                let found = place.read_aside().await?;
                vec![signed_in.insert(found).token.clone()]
            }
        };
        Ok(Self {
            fingerprint: fingerprint(&secrets),
            secrets,
            signed_in,
        })
    }

    /// Whom it stands for, where that is a person.
    pub(super) fn user(&self) -> Option<&OrganizerId> {
        self.signed_in.as_ref().map(|found| &found.user)
    }

    /// Goes back to the refresh token before, where there is one.
    pub(super) fn go_back(&mut self) -> bool {
        let previous = self.signed_in.as_ref();
        let previous = previous.and_then(|found| found.previous.clone());
        if let Some(previous) = previous {
            self.secrets = vec![previous];
            return true;
        }
        false
    }

    /// What becomes of the kept sign-in when an answer carries `new`; `None`: nothing.
    pub(super) fn rotation(&self, new: Option<SecretString>) -> Option<Rotation> {
        Rotation::of(self.signed_in.as_ref()?, self.secrets.first()?, new)
    }
}

/// What goes out with a request for a token.
pub(super) struct Presented {
    /// Parameters of the form.
    pub(super) form: Vec<(&'static str, SecretString)>,
    /// That the credential will not last long.
    pub(super) warning: Option<String>,
}

impl Presented {
    fn new(form: Vec<(&'static str, SecretString)>) -> Self {
        Self {
            form,
            warning: None,
        }
    }

    fn assertion(assertion: SecretString) -> Self {
        Self::new(vec![
            ("client_assertion_type", SecretString::from(JWT_BEARER)),
            ("client_assertion", assertion),
        ])
    }
}

impl SignIn {
    /// Looks at the certificate, where its parts are files: that it may be used, and, as a warning in
    /// words, that it expires soon. Everything else is well.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn check_certificate(&self, now: DateTime<Utc>) -> Result<Option<String>, String> {
        let Self::Certificate {
            certificate: SecretSource::File(path),
            key,
            ..
        } = self
        else {
            return Ok(None);
        };
        let read = |path: &Path| {
            let mut text = String::new();
            let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let mut file = file.take(LARGEST as u64);
            let read = file.read_to_string(&mut text);
            read.map_err(|error| format!("{}: {error}", path.display()))?;
            Ok::<_, String>(SecretString::from(text))
        };
        let pem = read(path)?;
        let key = match key {
            None => None,
            Some(SecretSource::File(path)) => Some(read(path)?),
            Some(_) => return Ok(None),
        };
        let key = key.as_ref().unwrap_or(&pem);
        self.certificate(&pem, key, now).map(|(_, warning)| warning)
    }

    /// The certificate of these texts, and the warning that it expires soon.
    fn certificate(
        &self,
        pem: &SecretString,
        key: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<(Certificate, Option<String>), String> {
        let of = |why: &str| format!("{self}: {why}");
        let found = Certificate::from_pem(pem.expose_secret(), key.expose_secret()).map_err(of)?;
        match found.age(now) {
            Age::Good => Ok((found, None)),
            Age::Ending(text) => Ok((found, Some(of(&text)))),
            Age::Expired(text) => Err(of(&text)),
        }
    }

    /// Whether it is a person who signs in, rather than the application.
    pub(in super::super) fn is_person(&self) -> bool {
        matches!(self, Self::DeviceCode { .. })
    }

    /// What is asked for, at the Graph with this root; of a person also for events in Outlook where there
    /// are `mirrors`.
    pub(super) fn scope(&self, graph: &Url, mirrors: bool) -> String {
        let root = graph.as_str().trim_end_matches('/');
        match (self, mirrors) {
            (Self::DeviceCode { .. }, false) => {
                format!("offline_access {root}/OnlineMeetings.ReadWrite")
            }
            (Self::DeviceCode { .. }, true) => {
                format!("offline_access {root}/OnlineMeetings.ReadWrite {root}/Calendars.ReadWrite")
            }
            _ => format!("{root}/.default"),
        }
    }

    /// `grant_type`: what is presented for a token.
    pub(super) fn grant_type(&self) -> &'static str {
        match self {
            Self::DeviceCode { .. } => "refresh_token",
            _ => "client_credentials",
        }
    }

    async fn read(&self) -> Result<Vec<SecretString>, String> {
        let mut secrets = Vec::new();
        match self {
            Self::Secret(source) => secrets.push(read("the client secret", source).await?),
            Self::Certificate {
                certificate, key, ..
            } => {
                secrets.push(read("the certificate", certificate).await?);
                if let Some(key) = key {
                    secrets.push(read("the certificate's key", key).await?);
                }
            }
            Self::FederatedToken(source) => {
                secrets.push(read("the federated token", source).await?);
            }
            // [`Credential::read`] knows where.
            Self::DeviceCode { .. } => {}
        }
        Ok(secrets)
    }

    /// Makes what is presented of a credential that [`Credential::read`] read.
    ///
    /// # Errors
    /// Why it is of no use, and what to do.
    pub(super) fn present(
        &self,
        credential: &Credential,
        claims: &Claims<'_>,
    ) -> Result<Presented, String> {
        let [first, rest @ ..] = credential.secrets.as_slice() else {
            return Err(format!("{self}: is empty"));
        };
        match self {
            Self::Secret(_) => Ok(Presented::new(vec![("client_secret", first.clone())])),
            Self::DeviceCode { .. } => Ok(Presented::new(vec![("refresh_token", first.clone())])),
            Self::FederatedToken(_) => {
                let token = first.expose_secret().trim().to_owned();
                Ok(Presented::assertion(SecretString::from(token)))
            }
            Self::Certificate { algorithm, .. } => {
                let key = rest.first().unwrap_or(first);
                let (found, warning) = self.certificate(first, key, claims.now)?;
                let assertion = found
                    .assertion(*algorithm, claims)
                    .ok_or_else(|| format!("{self}: nothing can be signed with its key"))?;
                Ok(Presented {
                    warning,
                    ..Presented::assertion(assertion)
                })
            }
        }
    }
}

async fn read(what: &str, source: &SecretSource) -> Result<SecretString, String> {
    let read = source.read().await;
    read.map_err(|error| format!("{what}: {error}"))
}

/// The SHA-256 of the secrets, in hexadecimal.
fn fingerprint(secrets: &[SecretString]) -> String {
    let mut digest = Sha256::new();
    for secret in secrets {
        digest.update(secret.expose_secret().as_bytes());
        digest.update([0]);
    }
    HEXLOWER.encode(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_asked_for_what_events_in_outlook_take() {
        let graph = Url::parse("https://graph.example/").unwrap();
        let person = SignIn::DeviceCode {
            directory: "/tokens".into(),
        };
        let meetings = "offline_access https://graph.example/OnlineMeetings.ReadWrite";
        assert_eq!(person.scope(&graph, false), meetings);
        let both = format!("{meetings} https://graph.example/Calendars.ReadWrite");
        assert_eq!(person.scope(&graph, true), both);
        // What an application may do, an administrator has said before.
        let app = SignIn::Secret(SecretSource::File("/secret".into()));
        for mirrors in [false, true] {
            assert_eq!(app.scope(&graph, mirrors), "https://graph.example/.default");
        }
    }
}
