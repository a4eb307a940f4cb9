//! Digest access authentication (RFC 7616), with MD5 or SHA-256 and `qop=auth`. Pure.

use std::fmt;

use digest_auth::{
    Algorithm, AlgorithmType, AuthContext, Charset, HttpMethod, Qop, WwwAuthenticateHeader,
};
use reqwest::header::HeaderValue;

use super::challenge::Challenge;

/// A server's nonce, and how often it was answered.
#[derive(Clone)]
pub(super) struct Digest {
    prompt: WwwAuthenticateHeader,
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.prompt.algorithm)
    }
}

impl Digest {
    /// The strongest Digest among the challenges that can be answered.
    pub(super) fn offered(challenges: &[Challenge]) -> Option<Self> {
        let usable: Vec<_> = challenges.iter().filter_map(Self::new).collect();
        let strong = usable
            .iter()
            .position(|digest| digest.prompt.algorithm.algo == AlgorithmType::SHA2_256);
        usable.into_iter().nth(strong.unwrap_or(0))
    }

    fn new(challenge: &Challenge) -> Option<Self> {
        if challenge.scheme != "digest" {
            return None;
        }
        let is_true = |name| {
            challenge
                .get(name)
                .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        };
        let algorithm = challenge.get("algorithm").unwrap_or("MD5");
        let algorithm = if algorithm.eq_ignore_ascii_case("MD5") {
            AlgorithmType::MD5
        } else if algorithm.eq_ignore_ascii_case("SHA-256") {
            AlgorithmType::SHA2_256
        } else {
            return None;
        };
        let qop = match challenge.get("qop") {
            // RFC 2069, which knew no qop.
            None => None,
            Some(offered) => offered
                .split(',')
                .any(|one| one.trim().eq_ignore_ascii_case("auth"))
                .then(|| Some(vec![Qop::AUTH]))?,
        };
        Some(Self {
            prompt: WwwAuthenticateHeader {
                domain: None,
                realm: challenge.get("realm")?.to_owned(),
                nonce: challenge.get("nonce")?.to_owned(),
                opaque: challenge.get("opaque").map(str::to_owned),
                stale: is_true("stale"),
                algorithm: Algorithm::new(algorithm, false),
                qop,
                userhash: is_true("userhash"),
                charset: Charset::UTF8,
                nc: 0,
            },
        })
    }

    /// Whether the server says that only the nonce was out of date.
    pub(super) fn is_stale(&self) -> bool {
        self.prompt.stale
    }

    /// The Authorization header of the next request; `uri` is its path and query. `None` when the
    /// user's name cannot stand in a header.
    pub(super) fn respond(
        &mut self,
        username: &str,
        password: &str,
        method: &str,
        uri: &str,
        cnonce: u64,
    ) -> Option<HeaderValue> {
        let method = HttpMethod::from(method);
        let mut context =
            AuthContext::new_with_method(username, password, uri, None::<&[u8]>, method);
        context.set_custom_cnonce(format!("{cnonce:016x}"));
        let header = self.prompt.respond(&context).ok()?.to_header_string();
        let mut value = HeaderValue::from_bytes(header.as_bytes()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

    use super::super::challenge::challenges;
    use super::*;

    fn offered(values: &[&str]) -> Option<Digest> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Digest::offered(&challenges(&headers))
    }

    /// RFC 7616, 3.9.1, but for the client's nonce, which is shorter here; the responses come from
    /// the RFC's formula, calculated by another program.
    #[test]
    fn responses_follow_the_formula() {
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let base = format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", nonce=\"{nonce}\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        for (algorithm, first, second) in [
            (
                "MD5",
                "7b6ebc54e4429a273424481bb9214134",
                "288700ff4fa83c0644c127d1e8b3d369",
            ),
            (
                "SHA-256",
                "7ea3b37aa2cd38a51e424274d5b4ca69527bd2b0d9bbb8f357f6be19f6e82a1d",
                "9be7c93332974bd156822643b2527dbab118837be589482575f0f14639cb7490",
            ),
        ] {
            let mut digest = offered(&[&format!("{base}, algorithm={algorithm}")]).unwrap();
            for (count, expected) in [("00000001", first), ("00000002", second)] {
                let value = digest
                    .respond("Mufasa", "Circle of Life", "GET", "/dir/index.html", 0xf2)
                    .unwrap();
                assert_eq!(format!("{value:?}"), "Sensitive");
                let value = value.to_str().unwrap();
                for part in [
                    &format!("response=\"{expected}\"")[..],
                    &format!("nc={count}"),
                    "qop=auth,",
                    "cnonce=\"00000000000000f2\"",
                    "uri=\"/dir/index.html\"",
                    "username=\"Mufasa\"",
                    "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
                    &format!("nonce=\"{nonce}\""),
                ] {
                    assert!(value.contains(part), "{part}: {value}");
                }
            }
        }
    }

    #[test]
    fn the_strongest_usable_challenge_is_answered() {
        let md5 = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"";
        let sha = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=sha-256";
        let shown = |values: &[&str]| offered(values).map(|digest| format!("{digest:?}"));
        for (values, expected) in [
            (&[md5, sha][..], Some("Digest(SHA-256)")),
            (&["Basic realm=\"r\"", md5], Some("Digest(MD5)")),
            (&["Digest realm=\"r\", nonce=\"n\""], Some("Digest(MD5)")),
            (&["Digest realm=\"r\", nonce=\"n\", algorithm=SHA-1"], None),
            (&["Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\""], None),
            (&["Digest realm=\"r\""], None),
            (&["Digest nonce=\"n\""], None),
            (&["Basic realm=\"r\""], None),
        ] {
            assert_eq!(shown(values).as_deref(), expected, "{values:?}");
        }
    }
}
