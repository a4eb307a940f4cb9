//! What a server asks for with a 401 (RFC 9110, 11.6.1). Pure.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// The longest header that is looked at, in bytes.
const LONGEST: usize = 8 * 1024;
/// How many challenges, and how many parameters of one, are looked at.
const MOST: usize = 16;

/// One way to sign in that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The scheme, in lower case.
    pub(super) scheme: String,
    /// Its parameters; names in lower case.
    pub(super) parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The first parameter of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// All challenges of an answer, in their order. What is no challenge is skipped.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE).iter().take(MOST) {
        if value.len() <= LONGEST
            && let Ok(text) = std::str::from_utf8(value.as_bytes())
        {
            parse(text, &mut found);
        }
    }
    found
}

fn parse(text: &str, found: &mut Vec<Challenge>) {
    let first = found.len();
    let mut rest = text;
    // A token after a scheme, with no comma between, is the scheme's token68.
    let mut after_scheme = false;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(after) = rest.strip_prefix(',') {
            after_scheme = false;
            rest = after;
            continue;
        }
        let (token, after) = split_token(rest);
        if token.is_empty() {
            let mut characters = rest.chars();
            if characters.next().is_none() {
                return;
            }
            rest = characters.as_str();
            continue;
        }
        let value = after
            .trim_start_matches([' ', '\t'])
            .strip_prefix('=')
            .filter(|_| found.len() > first);
        let full = found.len() >= MOST;
        match (value, found.last_mut()) {
            (Some(value), Some(challenge)) => {
                let (value, after) = split_value(value.trim_start_matches([' ', '\t']));
                if challenge.parameters.len() < MOST {
                    challenge
                        .parameters
                        .push((token.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            _ if after_scheme => rest = after,
            _ if full => return,
            _ => {
                found.push(Challenge {
                    scheme: token.to_ascii_lowercase(),
                    parameters: Vec::new(),
                });
                after_scheme = true;
                rest = after;
            }
        }
    }
}

/// A token (RFC 9110, 5.6.2), perhaps an empty one, and what follows it.
fn split_token(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(c))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A token or quoted string, without its quoting, and what follows it. A string without an end goes
/// as far as the text.
fn split_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, after) = split_token(text);
        return (token.to_owned(), after);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => break,
            '\\' => value.extend(characters.next()),
            _ => value.push(c),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = reqwest::header::HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(WWW_AUTHENTICATE, value);
        }
        challenges(&headers)
            .iter()
            .map(|one| format!("{}{:?}", one.scheme, one.parameters))
            .collect::<Vec<_>>()
            .join(" ")
            .replace('"', "'")
    }

    #[test]
    fn challenges_in_every_form() {
        for (values, expected) in [
            (
                &["Basic realm=\"a, b=c\""][..],
                "basic[('realm', 'a, b=c')]",
            ),
            (&["basic realm=x"], "basic[('realm', 'x')]"),
            (&["Basic"], "basic[]"),
            (
                &["Digest realm=\"r\", nonce = \"n==\" , qop=\"auth,auth-int\",stale=TRUE"],
                "digest[('realm', 'r'), ('nonce', 'n=='), ('qop', 'auth,auth-int'), ('stale', 'TRUE')]",
            ),
            (
                &["Negotiate, Digest realm=\"q\\\"\\\\\", nonce=\"n\", Basic realm=\"r\""],
                "negotiate[] digest[('realm', 'q\\'\\\\'), ('nonce', 'n')] basic[('realm', 'r')]",
            ),
            (
                &["Negotiate oYG/abc==, Basic"],
                "negotiate[('abc', '')] basic[]",
            ),
            (
                &[
                    "X-MobileMe-AuthToken realm=\"MMCal\"",
                    "Basic realm=\"iCloud\"",
                ],
                "x-mobileme-authtoken[('realm', 'MMCal')] basic[('realm', 'iCloud')]",
            ),
            (&[",, ,"], ""),
            (&["realm=\"nothing before\""], "realm[]"),
            (
                &["Basic realm=\"without end"],
                "basic[('realm', 'without end')]",
            ),
            (
                &["Basic r\u{e9}alm=\"ü\", charset=\"UTF-8\""],
                "basic[('alm', 'ü'), ('charset', 'UTF-8')]",
            ),
        ] {
            assert_eq!(shown(values), expected, "{values:?}");
        }
    }

    #[test]
    fn what_is_too_much_is_left_out() {
        assert_eq!(
            shown(&[&format!("Basic realm=\"{}\"", "x".repeat(LONGEST))]),
            ""
        );
        let many = vec!["Basic"; 100].join(", ");
        assert_eq!(shown(&[&many]).matches("basic").count(), MOST);
        assert_eq!(shown(&vec!["Basic"; 100]).matches("basic").count(), MOST);
        let parameters = vec!["a=b"; 100].join(", ");
        assert_eq!(
            shown(&[&format!("Basic {parameters}")])
                .matches("'a'")
                .count(),
            MOST
        );
    }
}
