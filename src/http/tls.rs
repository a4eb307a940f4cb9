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
            Bad::UnknownIssuer => {
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
