//! What an access token says of itself. Pure.
//!
//! Access tokens are opaque to a client (graph-api.md, section 2.6), so nothing is decided by this: it
//! helps a person to see what is wrong. A token that cannot be read is as good as any other.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

/// The largest token that is looked into, in bytes.
const LARGEST: usize = 32 * 1024;
/// The most permissions that are taken from a token.
const MOST: usize = 100;
/// The longest text that is taken from a token, in bytes.
const LONGEST: usize = 100;

/// What a token says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The tenant it is of (`tid`).
    pub tenant: Option<String>,
    /// Its application permissions (`roles`).
    pub roles: Vec<String>,
    /// Its delegated permissions (`scp`).
    pub scopes: Vec<String>,
}

impl Claims {
    /// Reads the payload of a JWT (RFC 7519) without looking at its signature; `None` for anything else.
    pub(super) fn read(token: &str) -> Option<Self> {
        if token.len() > LARGEST {
            return None;
        }
        let mut parts = token.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
        let claims: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let roles = claims.get("roles").and_then(Value::as_array);
        let roles = roles.into_iter().flatten().filter_map(Value::as_str);
        let scopes = text("scp").unwrap_or_default().split_ascii_whitespace();
        Some(Self {
            tenant: text("tid").and_then(plain),
            roles: roles.filter_map(plain).take(MOST).collect(),
            scopes: scopes.filter_map(plain).take(MOST).collect(),
        })
    }
}

/// A text that may be shown: the names of permissions and tenants are of these characters.
fn plain(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jwt(claims: &Value) -> String {
        let part = |json: &Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
    }

    #[test]
    fn claims_are_read_as_far_as_they_can_be_shown() {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let read = |claims: Value| Claims::read(&jwt(&claims)).unwrap();
        assert_eq!(
            read(json!({"tid": "t-1", "roles": ["A.B.All", 1, "", "x\u{1b}[31m", "C"]})),
            Claims {
                tenant: Some("t-1".to_owned()),
                roles: owned(&["A.B.All", "C"]),
                scopes: Vec::new(),
            }
        );
        assert_eq!(read(json!({"scp": " A  B.C "})).scopes, ["A", "B.C"]);
        assert_eq!(
            read(json!({"tid": 1, "roles": "A", "scp": ["A"]})),
            Claims::default()
        );
        let many = json!({"roles": vec!["A"; 1000], "tid": "t".repeat(101)});
        assert_eq!(
            (read(many.clone()).roles.len(), read(many).tenant),
            (MOST, None)
        );
    }

    #[test]
    fn what_is_no_jwt_is_not_looked_into() {
        let good = jwt(&json!({"tid": "t"}));
        for token in [
            String::new(),
            "opaque".to_owned(),
            "a.b".to_owned(),
            "..".to_owned(),
            format!("{good}.x"),
            good.replacen('.', ".=", 1),
            jwt(&json!(["tid"])),
            jwt(&json!({"tid": "t".repeat(LARGEST)})),
        ] {
            assert_eq!(Claims::read(&token), None);
        }
        let deep = format!("{}1{}", "[".repeat(9000), "]".repeat(9000));
        let deep = BASE64URL_NOPAD.encode(format!("{{\"tid\":{deep}}}").as_bytes());
        assert_eq!(Claims::read(&format!("a.{deep}.c")), None);
    }
}
