//! A certificate and its key, and the client assertions they sign (graph-api.md, section 2.2). Pure.

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE64URL_NOPAD;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;
use serde_json::json;

use super::sign_in::CertificateAlgorithm;
use crate::http::x509::{Contents, NEAR_ITS_END};

/// How long an assertion holds; Entra advises 5 to 10 minutes.
const ASSERTION_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How many certificates of a file are looked at.
const MOST_CERTIFICATES: usize = 16;

/// A certificate with its key.
pub(super) struct Certificate {
    /// DER.
    der: Vec<u8>,
    key: RsaKeyPair,
    /// `notAfter`.
    ends: DateTime<Utc>,
}

/// What an assertion says beside the certificate.
pub(super) struct Claims<'a> {
    /// The token endpoint.
    pub(super) audience: &'a str,
    /// The application's client id.
    pub(super) client_id: &'a str,
    /// Another one for each assertion.
    pub(super) jti: &'a str,
    pub(super) now: DateTime<Utc>,
}

impl Certificate {
    /// Reads PEM texts: `key` may be the same text as `certificate`. Of several certificates, that of
    /// the key is taken.
    ///
    /// # Errors
    /// What is wrong with them, and what to do.
    pub(super) fn from_pem(certificate: &str, key: &str) -> Result<Self, &'static str> {
        let key = match PrivateKeyDer::from_pem_slice(key.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            Ok(_) => {
                return Err(
                    "the private key is no RSA key, which is the only kind that Entra takes",
                );
            }
            Err(_) if key.contains("BEGIN ENCRYPTED PRIVATE KEY") => {
                return Err("the private key is encrypted; take its passphrase off (openssl pkey)");
            }
            Err(_) => return Err("there is no private key in it, as PEM (`BEGIN PRIVATE KEY`)"),
        };
        let key = key.map_err(|_| {
            "the private key cannot be used; Entra takes RSA keys, and here of 2,048 to 4,096 bits"
        })?;
        let found: Vec<_> = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .take(MOST_CERTIFICATES)
            .collect::<Result<_, _>>()
            .map_err(|_| "the certificate is damaged: it is not PEM")?;
        if found.is_empty() {
            return Err("there is no certificate in it, as PEM (`BEGIN CERTIFICATE`)");
        }
        let read: Vec<_> = found
            .iter()
            .filter_map(|der| Some((der, Contents::read(der)?)))
            .collect();
        if read.is_empty() {
            return Err("the certificate is damaged, or not X.509");
        }
        let own = read
            .into_iter()
            .find(|(_, contents)| contents.key == key.public().as_ref());
        let (der, contents) = own
            .ok_or("the private key does not belong to the certificate; name those of one pair")?;
        Ok(Self {
            der: der.to_vec(),
            ends: contents.ends,
            key,
        })
    }

    /// Whether it has expired, or will soon: in words that stay the same until it is time for others.
    pub(super) fn age(&self, now: DateTime<Utc>) -> Age {
        let day = self.ends.format("%Y-%m-%d");
        if self.ends <= now {
            return Age::Expired(format!(
                "the certificate expired on {day}; make a new one, add it to the app registration \
                 (Certificates & secrets) and put it in this one's place"
            ));
        }
        let near = NEAR_ITS_END.iter().rev();
        let mut near = near.filter(|days| self.ends - now <= TimeDelta::days(**days));
        match near.next() {
            None => Age::Good,
            Some(days) => Age::Ending(format!(
                "the certificate expires on {day}, in less than {days} days; make a new one, add it \
                 to the app registration (Certificates & secrets) and put it in this one's place"
            )),
        }
    }

    /// A new assertion; `None` if it cannot be signed.
    pub(super) fn assertion(
        &self,
        algorithm: CertificateAlgorithm,
        claims: &Claims<'_>,
    ) -> Option<SecretString> {
        let (name, encoding, thumbprint, hash): (_, &dyn RsaEncoding, _, _) = match algorithm {
            CertificateAlgorithm::Ps256 => ("PS256", &RSA_PSS_SHA256, "x5t#S256", &digest::SHA256),
            CertificateAlgorithm::Rs256 => (
                "RS256",
                &RSA_PKCS1_SHA256,
                "x5t",
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
            ),
        };
        let print = BASE64URL_NOPAD.encode(digest::digest(hash, &self.der).as_ref());
        let header = json!({"alg": name, "typ": "JWT", thumbprint: print});
        let now = claims.now.timestamp();
        let claims = json!({
            "aud": claims.audience,
            "iss": claims.client_id,
            "sub": claims.client_id,
            "jti": claims.jti,
            "nbf": now,
            "iat": now,
            "exp": now + ASSERTION_LIFE.num_seconds(),
        });
        let part = |json: serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let text = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = SystemRandom::new();
        let signed = self
            .key
            .sign(encoding, &random, text.as_bytes(), &mut signature);
        signed.ok()?;
        let signature = BASE64URL_NOPAD.encode(&signature);
        Some(SecretString::from(format!("{text}.{signature}")))
    }
}

/// How a certificate stands to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// Far from it.
    Good,
    /// Near it.
    Ending(String),
    /// Past it.
    Expired(String),
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
    use ring::signature::{
        RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
    };
    use secrecy::ExposeSecret as _;
    use serde_json::Value;

    use super::*;

    const KEY: &str = include_str!("../../../../tests/suite/simulator/keys/registered.key.pem");
    const STRANGER: &str = include_str!("../../../../tests/suite/simulator/keys/stranger.key.pem");

    /// A certificate of [`KEY`] that ends with this year's first day.
    fn pem(ends: i32) -> String {
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(KEY, &PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(ends, 1, 1);
        params.self_signed(&key).unwrap().pem()
    }

    fn time(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn the_end_is_told_in_time() {
        // 2049 is the last year of the short form.
        for ends in [2027, 2049, 2050, 2099] {
            let certificate = Certificate::from_pem(&pem(ends), KEY).unwrap();
            let at = |days: i64| time(&format!("{ends}-01-01T00:00:00Z")) - TimeDelta::days(days);
            assert_eq!(certificate.age(at(31)), Age::Good);
            for (days, words) in [
                (30, "30 days"),
                (8, "30 days"),
                (7, "7 days"),
                (1, "7 days"),
            ] {
                let Age::Ending(text) = certificate.age(at(days)) else {
                    panic!("{days}")
                };
                let day = format!("expires on {ends}-01-01, in less than {words}");
                assert!(text.contains(&day), "{text}");
            }
            for days in [0, -100] {
                assert!(matches!(certificate.age(at(days)), Age::Expired(_)));
            }
        }
    }

    #[test]
    fn an_assertion_is_signed_as_its_header_says() {
        let certificate = Certificate::from_pem(&pem(2030), KEY).unwrap();
        let claims = Claims {
            audience: "https://login.example/contoso/oauth2/v2.0/token",
            client_id: "app",
            jti: "one",
            now: time("2026-11-01T08:00:00Z"),
        };
        for (algorithm, name, print, length) in [
            (CertificateAlgorithm::Ps256, "PS256", "x5t#S256", 43),
            (CertificateAlgorithm::Rs256, "RS256", "x5t", 27),
        ] {
            let jwt = certificate.assertion(algorithm, &claims).unwrap();
            let (text, signature) = jwt.expose_secret().rsplit_once('.').unwrap();
            let (header, body) = text.split_once('.').unwrap();
            let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap();
            let json = |part| serde_json::from_slice::<Value>(&decode(part)).unwrap();
            let (header, body) = (json(header), json(body));
            assert_eq!(
                (&header["alg"], &header["typ"]),
                (&json!(name), &json!("JWT"))
            );
            assert_eq!(header[print].as_str().unwrap().len(), length);
            assert_eq!(header.as_object().unwrap().len(), 3);
            let expected = json!({
                "aud": claims.audience, "iss": "app", "sub": "app", "jti": "one",
                "nbf": 1_793_520_000, "iat": 1_793_520_000, "exp": 1_793_520_600,
            });
            assert_eq!(body, expected);
            let key = certificate.key.public().as_ref();
            let verified = match algorithm {
                CertificateAlgorithm::Ps256 => {
                    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key)
                        .verify(text.as_bytes(), &decode(signature))
                }
                CertificateAlgorithm::Rs256 => {
                    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
                        .verify(text.as_bytes(), &decode(signature))
                }
            };
            verified.unwrap();
        }
    }

    #[test]
    fn what_is_no_pair_says_why() {
        let certificate = pem(2030);
        let elliptic = KeyPair::generate().unwrap().serialize_pem();
        let encrypted = KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let truncated: String = certificate
            .lines()
            .take(6)
            .map(|line| format!("{line}\n"))
            .collect();
        let cut = truncated + "-----END CERTIFICATE-----\n";
        for (certificate, key, words) in [
            (certificate.as_str(), STRANGER, "does not belong"),
            (&certificate, &elliptic, "cannot be used"),
            (&certificate, &encrypted, "encrypted"),
            (&certificate, &certificate, "no private key"),
            (KEY, KEY, "no certificate"),
            (&cut, KEY, "damaged"),
            ("", KEY, "no certificate"),
        ] {
            let error = Certificate::from_pem(certificate, key).err().unwrap();
            assert!(error.contains(words), "{words}: {error}");
        }
        // One file with both, behind the certificate of somebody else.
        let other = include_str!("../../../../tests/suite/simulator/keys/stranger.certificate.pem");
        let both = format!("{other}{certificate}{KEY}");
        Certificate::from_pem(&both, &both).unwrap();
    }
}
