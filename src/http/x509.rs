//! What is used of an X.509 certificate. Pure.

use chrono::{DateTime, NaiveDateTime, Utc};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Within how many days of its end a certificate is worth a warning, and a second one.
pub(crate) const NEAR_ITS_END: [i64; 2] = [30, 7];

/// When the first certificate of a PEM text ends; `None` where there is none.
pub(crate) fn first_end(pem: &[u8]) -> Option<DateTime<Utc>> {
    let first = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    Contents::read(&first).map(|contents| contents.ends)
}

/// When the last of the certificates of a PEM text ends: until then, one of them holds.
pub(crate) fn last_end(pem: &[u8]) -> Option<DateTime<Utc>> {
    let all = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    all.filter_map(|one| Contents::read(&one).map(|contents| contents.ends))
        .max()
}

/// What is used of a certificate (RFC 5280, section 4.1).
pub(crate) struct Contents<'a> {
    /// `notAfter`.
    pub(crate) ends: DateTime<Utc>,
    /// The public key: a DER `RSAPublicKey` where it is one.
    pub(crate) key: &'a [u8],
}

impl<'a> Contents<'a> {
    /// Reads DER; `None` where it is no certificate.
    pub(crate) fn read(certificate: &'a [u8]) -> Option<Self> {
        const VERSION: u8 = 0xa0;
        let mut outer = Der(certificate);
        let mut inner = Der(Der(outer.value(SEQUENCE)?).value(SEQUENCE)?);
        if inner.0.first() == Some(&VERSION) {
            inner.value(VERSION)?;
        }
        inner.value(INTEGER)?; // serialNumber
        inner.value(SEQUENCE)?; // signature
        inner.value(SEQUENCE)?; // issuer
        let mut validity = Der(inner.value(SEQUENCE)?);
        validity.next()?; // notBefore
        let ends = time(validity.next()?)?;
        inner.value(SEQUENCE)?; // subject
        let mut key = Der(inner.value(SEQUENCE)?);
        key.value(SEQUENCE)?; // algorithm
        let (unused, key) = key.value(BIT_STRING)?.split_first()?;
        (*unused == 0).then_some(Self { ends, key })
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;

/// DER values one after the other (X.690).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value's tag and contents.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let (octets, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if octets.len() > 3 {
                return None;
            }
            length = octets
                .iter()
                .fold(0, |n, octet| n << 8 | usize::from(*octet));
            rest = after;
        }
        let (value, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, value))
    }

    /// The contents of the next value, if it has this tag.
    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, value) = self.next()?;
        (found == tag).then_some(value)
    }
}

/// A `Time`: `YYMMDDHHMMSSZ`, of which `YY` from 50 on is the last century, or `YYYYMMDDHHMMSSZ`.
fn time((tag, value): (u8, &[u8])) -> Option<DateTime<Utc>> {
    let text = std::str::from_utf8(value).ok()?;
    let whole = match tag {
        UTC_TIME if value.first()? >= &b'5' => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = NaiveDateTime::parse_from_str(&whole, "%Y%m%d%H%M%SZ").ok()?;
    Some(time.and_utc())
}
