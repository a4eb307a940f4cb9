//! What a request to Entra carries: a form, and perhaps HTTP Basic. Pure.

use std::collections::HashMap;

use data_encoding::BASE64;
use url::form_urlencoded;

use super::{Counter, EntraRefusal};

/// A form's parameters, each once (RFC 6749, 3.2).
pub(super) struct Form(HashMap<String, String>);

impl Form {
    /// Of another content type no parameter is seen.
    pub(super) fn read(request: &Counter<'_>) -> Result<Self, EntraRefusal> {
        let body = request.body.ok_or_else(|| EntraRefusal::of(90013))?;
        let mut form = HashMap::new();
        let media = request.content_type.unwrap_or_default().split(';').next();
        if media.is_some_and(|m| {
            m.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        }) {
            for (name, value) in form_urlencoded::parse(body) {
                if form.insert(name.into_owned(), value.into_owned()).is_some() {
                    return Err(EntraRefusal::of(90013));
                }
            }
        }
        Ok(Self(form))
    }

    /// A parameter; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, EntraRefusal> {
        self.get(name).ok_or_else(|| {
            let text = format!("The request body must contain the following parameter: '{name}'.");
            EntraRefusal::saying(900_144, text)
        })
    }
}

/// HTTP Basic, both halves form-encoded (RFC 6749, 2.3.1).
pub(super) fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = BASE64.decode(credentials.trim().as_bytes()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

fn form_decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .ok()?;
    Some(decoded.into_owned())
}
