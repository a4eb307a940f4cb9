//! `[graph]`: the one way in which Graph is signed in to.

use std::path::Path;

use super::secrets::Keys;
use super::table::{Table, Wrong};
use super::value;
use crate::meeting::graph::{CertificateAlgorithm, SignIn};
use crate::secret::SecretSource;

/// Where refresh tokens are, below the state directory.
pub const TOKENS: &str = "tokens";

const CLIENT_SECRET: Keys = Keys {
    plain: "client-secret",
    file: "client-secret-file",
    command: "client-secret-command",
    credential: "client-secret-credential",
};

const ALGORITHM: &[(&str, CertificateAlgorithm)] = &[
    ("PS256", CertificateAlgorithm::Ps256),
    ("RS256", CertificateAlgorithm::Rs256),
];

/// What belongs to a certificate and is nothing without it.
const BESIDE_CERTIFICATE: [&str; 3] = ["key-file", "key-credential", "certificate-algorithm"];

/// The one way to sign in; none and more than one are faults. `state` is the state directory.
pub(super) fn sign_in(table: &mut Table<'_, '_>, state: Option<&Path>) -> Option<SignIn> {
    let secret = CLIENT_SECRET.read(table);
    let certificate = place(table, "certificate-file", "certificate-credential");
    let key = place(table, "key-file", "key-credential");
    let algorithm = table.optional("certificate-algorithm", value::choice(ALGORITHM));
    let federated = table.optional("federated-token-file", value::path);
    let device_code = table.optional("device-code", value::boolean);
    // One that is said to be off is none; one that is no boolean is meant to be one.
    let by_person = table.has("device-code") && device_code != Some(false);

    let given = |keys: &[&'static str]| keys.iter().copied().find(|key| table.has(key));
    let plain = || given(&[CLIENT_SECRET.plain]);
    let ways = [
        CLIENT_SECRET.given(table).or_else(plain),
        given(&["certificate-file", "certificate-credential"]),
        given(&["federated-token-file"]),
        given(&["device-code"]).filter(|_| by_person),
    ];
    let mut ways = ways.into_iter().flatten();
    let (first, second) = (ways.next(), ways.next());
    if let (Some(first), Some(second)) = (first, second) {
        let what = format!("a second way to sign in, beside `{first}`");
        let hint = "keep one: a client secret, a certificate, federated-token-file, or device-code";
        table.report_at(second, Wrong::new(what, hint));
        return None;
    }
    let beside = BESIDE_CERTIFICATE.into_iter().find(|key| table.has(key));
    let certified = given(&["certificate-file", "certificate-credential"]).is_some();
    if let Some(key) = beside.filter(|_| !certified) {
        let hint = "name the certificate by certificate-file, or take this out";
        table.report_at(key, Wrong::new("without certificate-file", hint));
    } else if first.is_none() {
        table.missing(
            "`client-secret-file` is missing",
            "name a file that holds the client secret (or use client-secret-command or \
             client-secret-credential), or sign in by certificate-file, federated-token-file or \
             device-code",
        );
    }
    if by_person {
        let directory = state.filter(|_| device_code == Some(true))?.join(TOKENS);
        return Some(SignIn::DeviceCode { directory });
    }
    if table.has("federated-token-file") {
        return Some(SignIn::FederatedToken(SecretSource::File(federated?)));
    }
    if certified {
        let has_key = table.has("key-file") || table.has("key-credential");
        let key = match has_key {
            true => Some(key?),
            false => None,
        };
        return Some(SignIn::Certificate {
            certificate: certificate?,
            key,
            algorithm: algorithm.unwrap_or_default(),
        });
    }
    Some(SignIn::Secret(secret?))
}

/// A file, or a systemd credential; both are a fault.
fn place(
    table: &mut Table<'_, '_>,
    file: &'static str,
    credential: &'static str,
) -> Option<SecretSource> {
    let path = table.optional(file, value::path);
    let name = table.optional(credential, value::credential);
    if table.has(file) && table.has(credential) {
        let hint = format!("give one of {file} and {credential}");
        table.report_at(credential, Wrong::new("given twice", hint));
        return None;
    }
    let path = path.map(SecretSource::File);
    path.or(name.map(SecretSource::Credential))
}
