//! Client assertions: JWTs signed by the application's certificate, or issued by another identity
//! provider (graph-api.md, sections 2.2 and 2.3). Signatures are really checked. Pure.

use data_encoding::BASE64URL_NOPAD;
use ring::digest;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use webpki::EndEntityCert;
use webpki::ring::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY};

use super::{Counter, EntraRefusal, Sessions};
use crate::simulator::manners::{FederatedCodes, Verdict};
use crate::simulator::settings::{Certificate, Federated, Tenant};

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(rename = "x5t#S256")]
    sha256: Option<String>,
    #[serde(rename = "x5t")]
    sha1: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    jti: Option<String>,
    nbf: Option<i64>,
    exp: i64,
}

/// A JWT, taken apart.
struct Jwt<'a> {
    header: Header,
    claims: Claims,
    /// What is signed.
    text: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    fn read(jwt: &'a str) -> Option<Self> {
        let (text, signature) = jwt.rsplit_once('.')?;
        let (header, claims) = text.split_once('.')?;
        Some(Self {
            header: part(header)?,
            claims: part(claims)?,
            text,
            signature: BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?,
        })
    }

    /// Whether the key in this certificate made the signature.
    fn signed_by(&self, certificate: &[u8]) -> bool {
        let algorithm: &dyn SignatureVerificationAlgorithm = match self.header.alg.as_str() {
            "PS256" => RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
            "RS256" => RSA_PKCS1_2048_8192_SHA256,
            _ => return false,
        };
        let der = CertificateDer::from(certificate);
        EndEntityCert::try_from(&der).is_ok_and(|certificate| {
            certificate
                .verify_signature(algorithm, self.text.as_bytes(), &self.signature)
                .is_ok()
        })
    }

    fn in_time(&self, at: &Counter<'_>) -> Result<(), EntraRefusal> {
        let now = at.now.timestamp();
        match now < self.claims.exp && self.claims.nbf.is_none_or(|from| from <= now) {
            true => Ok(()),
            false => Err(EntraRefusal::of(700_024)),
        }
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()
}

/// Judges an assertion; it names its kind by its issuer.
pub(super) fn check(
    assertion: &str,
    at: &Counter<'_>,
    tenant: &Tenant,
    sessions: &mut Sessions,
) -> Result<(), EntraRefusal> {
    let jwt = Jwt::read(assertion).ok_or_else(|| EntraRefusal::of(50027))?;
    match jwt
        .claims
        .iss
        .eq_ignore_ascii_case(&at.settings.app.client_id)
    {
        true => own(&jwt, at, tenant, sessions),
        false => federated(&jwt, at),
    }
}

/// One that the application signed itself.
fn own(
    jwt: &Jwt<'_>,
    at: &Counter<'_>,
    tenant: &Tenant,
    sessions: &mut Sessions,
) -> Result<(), EntraRefusal> {
    let header = &jwt.header;
    let old = header.alg != "PS256" || header.sha256.is_none();
    let thumbprint = |certificate: &&Certificate| {
        let fits = |given: &Option<String>, algorithm| {
            given.as_ref().is_none_or(|given| {
                let own = digest::digest(algorithm, &certificate.der);
                BASE64URL_NOPAD.encode(own.as_ref()) == *given
            })
        };
        let given = header.sha256.is_some() || header.sha1.is_some();
        given
            && fits(&header.sha256, &digest::SHA256)
            && fits(&header.sha1, &digest::SHA1_FOR_LEGACY_USE_ONLY)
    };
    let certificate = at.settings.app.certificates.iter().find(thumbprint);
    let good = certificate
        .is_some_and(|certificate| !certificate.expired && jwt.signed_by(&certificate.der));
    if !good || (old && at.settings.entra.old_assertions == Verdict::Refused) {
        return Err(EntraRefusal::of(700_027));
    }
    let claims = &jwt.claims;
    let is_ours = |root: &String| {
        [at.tenant, &tenant.id, &tenant.domain]
            .iter()
            .any(|name| claims.aud == format!("{root}/{name}/oauth2/v2.0/token"))
    };
    if !at.roots.iter().any(is_ours) {
        return Err(EntraRefusal::of(50012));
    }
    if claims.sub != claims.iss {
        return Err(EntraRefusal::of(50013));
    }
    jwt.in_time(at)?;
    match claims.jti.as_deref() {
        None | Some("") => Err(EntraRefusal::of(50027)),
        Some(jti) if !sessions.first_use(jti) => Err(EntraRefusal::of(50013)),
        Some(_) => Ok(()),
    }
}

/// One that another identity provider issued. It may be presented again.
fn federated(jwt: &Jwt<'_>, at: &Counter<'_>) -> Result<(), EntraRefusal> {
    let claims = &jwt.claims;
    let known = &at.settings.app.federated;
    let refuse = |code| match at.settings.entra.federated {
        FederatedCodes::One => EntraRefusal::of(70021),
        FederatedCodes::Three => EntraRefusal::of(code),
    };
    let issuer: Vec<&Federated> = known.iter().filter(|f| f.issuer == claims.iss).collect();
    if issuer.is_empty() {
        return Err(refuse(700_211));
    }
    let subject = issuer.iter().find(|f| f.subject == claims.sub);
    let credential = subject.ok_or_else(|| refuse(700_213))?;
    if credential.audience != claims.aud {
        return Err(refuse(700_212));
    }
    if !jwt.signed_by(&credential.certificate) {
        return Err(EntraRefusal::of(50013));
    }
    jwt.in_time(at)
}
