//! What signs in: there, for nobody else, and not about to expire. What it holds is not judged.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use rustix::fs::Access;

use super::{Findings, may, shown, unusable};
use crate::config::{CalDav, Calendar};
use crate::http::Credentials;
use crate::http::x509::{NEAR_ITS_END, first_end, last_end};
use crate::meeting::graph::SignIn;
use crate::secret::{LARGEST, SecretSource};

/// How much of a file of certificates is looked at, in bytes: the bundles of systems have a quarter of it.
const MOST_PEM: u64 = 1024 * 1024;

/// What Graph is signed in to with.
pub(super) fn sign_in(sign_in: &SignIn, now: DateTime<Utc>, findings: &mut Findings) {
    match sign_in {
        SignIn::Secret(source) => secret(
            source,
            "the client secret's file",
            "client-secret-command",
            findings,
        ),
        SignIn::FederatedToken(SecretSource::File(path)) => {
            readable_file(path, "the federated token's file", findings);
        }
        SignIn::FederatedToken(_) => {}
        SignIn::Certificate {
            certificate: SecretSource::File(certificate),
            key,
            ..
        } => {
            let found = match key {
                None => private_file(certificate, "the certificate's file with its key", findings)
                    .map(|found| found.len()),
                Some(SecretSource::File(key)) => {
                    let found = readable_file(certificate, "the certificate's file", findings);
                    let key = private_file(key, "the certificate's key", findings);
                    found
                        .zip(key)
                        .map(|(one, other)| one.len().min(other.len()))
                }
                Some(_) => None,
            };
            // What is damaged beyond reading was found before.
            if found.is_some_and(|size| size > 0) {
                certificate_age(sign_in, now, findings);
            }
        }
        // Which credentials there are, systemd decides when it starts the service.
        SignIn::Certificate { .. } => {}
        // [`person`] looks at it.
        SignIn::DeviceCode { .. } => {}
    }
}

/// That a certificate and its key are one pair, and for how long yet.
fn certificate_age(sign_in: &SignIn, now: DateTime<Utc>, findings: &mut Findings) {
    match sign_in.check_certificate(now) {
        Ok(None) => {}
        Ok(Some(ending)) => findings.warn(ending, "it is read anew for each token"),
        Err(what) => findings.error(
            what,
            "`openssl x509 -noout -text -in FILE` shows what it holds",
        ),
    }
}

/// A secret's source: there, and for nobody else. Its content is not looked at. `command` is the key
/// that may name a program.
pub(super) fn secret(source: &SecretSource, role: &str, command: &str, findings: &mut Findings) {
    match source {
        SecretSource::File(path) => {
            let Some(found) = private_file(path, role, findings) else {
                return;
            };
            if found.len() > LARGEST as u64 {
                findings.error(
                    format!(
                        "{role} {} is larger than {} KiB",
                        shown(path),
                        LARGEST / 1024
                    ),
                    "name the file that holds the secret and nothing else",
                );
            }
        }
        SecretSource::Command(words) => {
            let program = words.first().map(Path::new).unwrap_or(Path::new(""));
            // A bare name is looked up in the service's PATH, which is not this process's.
            if program.is_absolute() && !(program.is_file() && may(program, Access::EXEC_OK)) {
                findings.error(
                    format!("the program {} cannot be run", shown(program)),
                    format!("correct its path in {command}, or make it executable"),
                );
            }
        }
        // Which credentials there are, systemd decides when it starts the service.
        SecretSource::Credential(_) => {}
    }
}

/// A regular file that can be read, but not by everybody, and is not empty.
fn private_file(path: &Path, role: &str, findings: &mut Findings) -> Option<Metadata> {
    let found = readable_file(path, role, findings)?;
    let name = format!("{role} {}", shown(path));
    if found.len() == 0 {
        findings.error(format!("{name} is empty"), "write the secret into it");
    }
    let mode = found.mode() & 0o777;
    if mode & 0o007 != 0 {
        findings.error(
            format!("{name} has mode {mode:04o}: everybody can use it"),
            format!(
                "chmod 0600 {}, and replace the secret if others work here",
                shown(path)
            ),
        );
    }
    Some(found)
}

/// A regular file that can be read.
pub(super) fn readable_file(path: &Path, role: &str, findings: &mut Findings) -> Option<Metadata> {
    let name = format!("{role} {}", shown(path));
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            findings.error(format!("{name} is not a regular file"), "name a file");
            None
        }
        Ok(_) if !may(path, Access::READ_OK) => {
            let hint = "make it readable for the user who runs meetbridge";
            findings.error(format!("{name} cannot be read"), hint);
            None
        }
        Ok(found) => Some(found),
        Err(error) => {
            unusable(&name, &error, findings);
            None
        }
    }
}

/// What an account is signed in to with.
pub(super) fn caldav(
    account: &CalDav,
    calendar: &Calendar,
    now: DateTime<Utc>,
    findings: &mut Findings,
) {
    let role = |what: &str| format!("calendar {}: the {what}", calendar.name);
    let secrets = match &account.credentials {
        Credentials::None => Vec::new(),
        Credentials::Password { password, .. } => {
            vec![(password, "password's file", "password-command")]
        }
        Credentials::Bearer { token } => {
            vec![(token, "bearer token's file", "bearer-token-command")]
        }
        Credentials::OAuth2 {
            client_secret,
            refresh_token,
            ..
        } => {
            let key = "oauth2-client-secret-command";
            let client = client_secret
                .iter()
                .map(|source| (source, "client secret's file", key));
            let key = "oauth2-refresh-token-command";
            client
                .chain([(refresh_token, "refresh token's file", key)])
                .collect()
        }
    };
    for (source, what, command) in secrets {
        secret(source, &role(what), command, findings);
    }
    if let Some(certificate) = &account.certificate_file {
        let name = role("client certificate");
        let found = match &account.key_file {
            Some(_) => readable_file(certificate, &name, findings),
            None => private_file(certificate, &format!("{name} with its key"), findings),
        };
        if found.is_some() {
            client_certificate(certificate, &name, now, findings);
        }
        if let Some(key) = &account.key_file {
            private_file(key, &role("private key"), findings);
        }
    }
    if let Some(path) = &account.ca_file {
        authorities(path, &role("file of certificates"), now, findings);
    }
}

/// For how long a client certificate holds yet.
fn client_certificate(path: &Path, role: &str, now: DateTime<Utc>, findings: &mut Findings) {
    let hint = "ask who issued it for another one and put it in this one's place, with its key";
    age(path, role, first_end, hint, now, findings);
}

/// The certificates that servers are trusted by: there, and for how long yet one of them holds.
pub(super) fn authorities(path: &Path, role: &str, now: DateTime<Utc>, findings: &mut Findings) {
    if readable_file(path, role, findings).is_some() {
        let hint = "put the authority's new certificate into it, beside the old one";
        age(path, role, last_end, hint, now, findings);
    }
}

/// For how long what a file holds is good yet. Where that is no certificate, its use tells.
fn age(
    path: &Path,
    role: &str,
    end: fn(&[u8]) -> Option<DateTime<Utc>>,
    hint: &str,
    now: DateTime<Utc>,
    findings: &mut Findings,
) {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_PEM).read_to_end(&mut text));
    let Some(ends) = read.ok().and_then(|_| end(&text)) else {
        return;
    };
    let (day, name) = (ends.format("%Y-%m-%d"), format!("{role} {}", shown(path)));
    let left = ends - now;
    if left <= TimeDelta::zero() {
        findings.error(format!("{name} expired on {day}"), hint);
    } else if left <= TimeDelta::days(NEAR_ITS_END[0]) {
        findings.warn(format!("{name} expires on {day}"), hint);
    }
}
