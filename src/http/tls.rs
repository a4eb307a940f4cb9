//! Trouble with certificates, in words. Pure.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// Says what is wrong with a certificate and what to do, when that is why a request failed.
pub(super) fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return in_words(found).map(str::to_owned);
        }
        // An `io::Error` does not name what it wraps as its source.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn in_words(error: &rustls::Error) -> Option<&'static str> {
    use CertificateError as Bad;
    Some(match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => {
                "its certificate has expired; the server's administrator has to renew it (and see \
                 that this machine's clock is right)"
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "its certificate is not valid yet; set this machine's clock by a time server, or the \
                 server's administrator has to replace the certificate"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "its certificate is for another name; use the name that the certificate holds in \
                 `url`, or the server's administrator has to replace it"
            }
            Bad::Revoked => {
                "its certificate was revoked; the server's administrator has to replace it"
            }
            // A CA that was made anew under its old name shows as a signature that does not fit.
            Bad::UnknownIssuer | Bad::BadSignature => {
                "its certificate comes from a CA that is not trusted here; if it is right, put that \
                 CA's certificate into a PEM file and name it as `ca-file`"
            }
            _ => {
                "its certificate cannot be used; the server's administrator has to replace it (look \
                 at it with `openssl s_client -connect HOST:443`)"
            }
        },
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server asks for a client certificate; name one as `certificate-file` (and \
             `key-file`)"
        }
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => {
            "the server does not accept the client certificate; put one that it accepts into \
             `certificate-file`"
        }
        rustls::Error::InvalidMessage(_) => {
            "does not speak TLS there; check the port (and http or https) in `url`"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
    };
    use reqwest::{Method, Request};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig};

    use crate::http::testing::server::{Server, answer};
    use crate::http::{Client, ClientError, ClientOptions, Identity, SendError};

    /// A CA of its own, and the files that it gives out.
    struct Ca {
        directory: tempfile::TempDir,
        issuer: CertifiedIssuer<'static, KeyPair>,
    }

    /// What a certificate holds and for whom it is.
    struct Pair {
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
        pem: (String, String),
    }

    impl Ca {
        fn new(name: &str) -> Self {
            let mut params = CertificateParams::new([]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let ca = Self {
                directory: tempfile::tempdir().unwrap(),
                issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            };
            std::fs::write(ca.path("ca.pem"), ca.issuer.pem()).unwrap();
            ca
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        /// A certificate for `name` that holds in these years.
        fn issue(&self, name: &str, years: (i32, i32)) -> Pair {
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.not_before = date_time_ymd(years.0, 1, 1);
            params.not_after = date_time_ymd(years.1, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap();
            Pair {
                certificate: certificate.der().clone(),
                key: key.serialize_der().try_into().unwrap(),
                pem: (certificate.pem(), key.serialize_pem()),
            }
        }

        /// Files with a certificate and its key.
        fn identity(&self, name: &str, certificate: &str, key: &str) -> Identity {
            let (one, other) = (
                self.path(&format!("{name}.pem")),
                self.path(&format!("{name}.key")),
            );
            std::fs::write(&one, certificate).unwrap();
            std::fs::write(&other, key).unwrap();
            Identity {
                certificate_file: one,
                key_file: Some(other),
            }
        }

        fn options(&self) -> ClientOptions {
            ClientOptions {
                ca_file: Some(self.path("ca.pem")),
                // This machine is reached without it.
                proxy: Some("http://127.0.0.1:1".parse().unwrap()),
                ..ClientOptions::default()
            }
        }
    }

    const LONG: (i32, i32) = (2000, 4000);

    fn server(pair: Pair, clients_of: Option<&Ca>) -> Server {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = ServerConfig::builder();
        let builder = match clients_of {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca.issuer.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                    .build()
                    .unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder
            .with_single_cert(vec![pair.certificate], pair.key)
            .unwrap();
        Server::start_tls(Arc::new(config), |_| answer(207, &[], "fine"))
    }

    async fn ask(server: &Server, options: &ClientOptions) -> Result<u16, SendError> {
        let client = Client::new(options).unwrap();
        let request = Request::new(Method::GET, server.url.join("/path?secret").unwrap());
        client
            .send(request, 100)
            .await
            .map(|answer| answer.status.as_u16())
    }

    async fn distrusted(server: &Server, options: &ClientOptions, words: &str) {
        let error = ask(server, options).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(matches!(error, SendError::Untrusted { .. }), "{text}");
        assert!(
            error.never_sent() && text.contains(words),
            "{words}: {text}"
        );
        assert!(
            text.starts_with("127.0.0.1:") && !text.contains("path"),
            "{text}"
        );
        assert_eq!(server.count(), 0);
    }

    #[tokio::test]
    async fn an_own_ca_is_trusted_and_another_is_not() {
        let ca = Ca::new("ours");
        let server = server(ca.issue("127.0.0.1", LONG), None);
        assert_eq!(ask(&server, &ca.options()).await.unwrap(), 207);
        assert_eq!(server.count(), 1);
        for name in ["theirs", "ours"] {
            let another = Ca::new(name);
            distrusted(&server, &another.options(), "name it as `ca-file`").await;
        }
    }

    #[tokio::test]
    async fn a_certificate_that_does_not_hold_is_named_by_its_fault() {
        let ca = Ca::new("ours");
        for (name, years, words) in [
            ("127.0.0.1", (2000, 2001), "has expired"),
            ("127.0.0.1", (3000, 4000), "is not valid yet"),
            ("cal.example.com", LONG, "is for another name"),
        ] {
            let server = server(ca.issue(name, years), None);
            distrusted(&server, &ca.options(), words).await;
        }
    }

    #[tokio::test]
    async fn a_port_without_tls_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 10_000]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let url = format!("https://{address}/").parse().unwrap();
        let plain = Server::elsewhere(url);
        distrusted(
            &plain,
            &Ca::new("ours").options(),
            "does not speak TLS there",
        )
        .await;
    }

    #[tokio::test]
    async fn a_client_certificate_is_shown_where_it_is_asked_for() {
        let ca = Ca::new("ours");
        let (certificate, key) = ca.issue("alice", LONG).pem;
        let apart = ca.identity("apart", &certificate, &key);
        let together = Identity {
            key_file: None,
            ..ca.identity("together", &format!("{certificate}{key}"), "")
        };
        let asking = server(ca.issue("127.0.0.1", LONG), Some(&ca));
        let open = server(ca.issue("127.0.0.1", LONG), None);
        for identity in [apart, together] {
            let options = ClientOptions {
                identity: Some(identity),
                ..ca.options()
            };
            for (server, certified) in [(&asking, true), (&open, false)] {
                assert_eq!(ask(server, &options).await.unwrap(), 207);
                assert_eq!(server.received()[0].certified, certified);
                server.count();
            }
        }
        distrusted(&asking, &ca.options(), "name one as `certificate-file`").await;
        let other = Ca::new("theirs");
        let (certificate, key) = other.issue("alice", LONG).pem;
        let options = ClientOptions {
            identity: Some(ca.identity("other", &certificate, &key)),
            ..ca.options()
        };
        distrusted(&asking, &options, "does not accept the client certificate").await;
    }

    #[test]
    fn a_client_certificate_that_cannot_be_used_is_named() {
        let ca = Ca::new("ours");
        let ((certificate, key), (_, other)) = (ca.issue("a", LONG).pem, ca.issue("b", LONG).pem);
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        for (name, certificate, key) in [
            ("mismatch", &*certificate, &*other),
            ("keyless", &certificate, ""),
            ("bare", "", &key),
            ("encrypted", &certificate, &encrypted),
            ("junk", "junk", "junk"),
        ] {
            let options = ClientOptions {
                identity: Some(ca.identity(name, certificate, key)),
                ..ca.options()
            };
            let error = Client::new(&options).unwrap_err();
            assert!(
                matches!(error, ClientError::UselessIdentity { .. }),
                "{error:?}"
            );
            assert!(
                error.to_string().contains(&format!("/{name}.pem: ")),
                "{error}"
            );
        }
        let mut identity = ca.identity("gone", &certificate, &key);
        identity.key_file = Some(ca.path("missing.key"));
        let options = ClientOptions {
            identity: Some(identity),
            ..ca.options()
        };
        let error = Client::new(&options).unwrap_err();
        assert!(
            matches!(error, ClientError::UnreadableIdentity { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("/missing.key: "), "{error}");
    }
}
