//! The token endpoint of Entra: client credentials with a secret (graph-api.md, section 2.1). Pure.

use std::collections::HashMap;

use data_encoding::BASE64;
use url::form_urlencoded;

use super::reply::EntraRefusal;
use super::settings::{App, Tenant};

/// What a token request is judged by.
pub(super) struct TokenRequest<'a> {
    /// The path's tenant segment, decoded.
    pub(super) tenant: &'a str,
    /// The `Content-Type` header.
    pub(super) content_type: Option<&'a str>,
    /// The `Authorization` header.
    pub(super) authorization: Option<&'a str>,
    /// The request's body.
    pub(super) body: &'a [u8],
}

/// Judges a token request; the tenant it is for when it is granted.
///
/// `roots` are the forms of the Graph root that a scope may name.
pub(super) fn judge<'a>(
    request: &TokenRequest<'_>,
    tenants: &'a [Tenant],
    app: &App,
    roots: &[String],
) -> Result<&'a Tenant, EntraRefusal> {
    let given = request.tenant;
    if ["common", "organizations", "consumers"].contains(&given) {
        return Err(EntraRefusal::of(50059));
    }
    let is_named = |tenant: &&Tenant| {
        tenant.id.eq_ignore_ascii_case(given) || tenant.domain.eq_ignore_ascii_case(given)
    };
    let tenant = tenants
        .iter()
        .find(is_named)
        .ok_or_else(|| EntraRefusal::of(90002))?;
    let form = form(request)?;
    match required(&form, "grant_type")? {
        "client_credentials" => {}
        _ => return Err(EntraRefusal::of(70003)),
    }
    let basic = request.authorization.and_then(basic);
    let (client_id, secret) = match &basic {
        Some((id, secret)) => {
            if form.contains_key("client_secret") {
                return Err(EntraRefusal::of(90013)); // RFC 6749, 2.3: one way at a time
            }
            (id.as_str(), Some(secret.as_str()))
        }
        None => (
            required(&form, "client_id")?,
            form.get("client_secret").map(String::as_str),
        ),
    };
    if !client_id.eq_ignore_ascii_case(&app.client_id) {
        return Err(EntraRefusal::of(700_016));
    }
    let scope = required(&form, "scope")?;
    let Some(resource) = scope.strip_suffix("/.default").filter(|r| !r.contains(' ')) else {
        return Err(EntraRefusal::of(70011));
    };
    if !roots.iter().any(|root| root == resource) {
        return Err(EntraRefusal::of(500_011));
    }
    match secret.filter(|secret| !secret.is_empty()) {
        // No certificate is registered with the application.
        None if form.contains_key("client_assertion") => Err(EntraRefusal::of(700_027)),
        None => Err(EntraRefusal::of(7_000_218)),
        Some(secret) if secret != app.client_secret => Err(EntraRefusal::of(7_000_215)),
        Some(_) if app.secret_expired => Err(EntraRefusal::of(7_000_222)),
        Some(_) => Ok(tenant),
    }
}

/// The form's parameters, each once (RFC 6749, 3.2). Of another content type none is seen.
fn form(request: &TokenRequest<'_>) -> Result<HashMap<String, String>, EntraRefusal> {
    let mut form = HashMap::new();
    let media = request.content_type.unwrap_or_default().split(';').next();
    if media.is_some_and(|m| {
        m.trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }) {
        for (name, value) in form_urlencoded::parse(request.body) {
            if form.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(EntraRefusal::of(90013));
            }
        }
    }
    Ok(form)
}

fn required<'a>(form: &'a HashMap<String, String>, name: &str) -> Result<&'a str, EntraRefusal> {
    match form.get(name) {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(EntraRefusal {
            code: 900_144,
            text: format!("The request body must contain the following parameter: '{name}'."),
        }),
    }
}

/// HTTP Basic, both halves form-encoded (RFC 6749, 2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
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
