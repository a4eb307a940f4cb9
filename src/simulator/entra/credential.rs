//! How an application shows that it is itself: a secret or an assertion. Pure.

use super::assertion;
use super::form::{Form, basic};
use super::{Counter, EntraRefusal, Sessions};
use crate::simulator::settings::{App, Tenant};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a request presents.
pub(super) enum Credential {
    Secret(String),
    Assertion(String),
    Nothing,
}

impl Credential {
    /// The credential in a request of an application that is known.
    pub(super) fn of(
        form: &Form,
        authorization: Option<&str>,
        app: &App,
    ) -> Result<Self, EntraRefusal> {
        let basic = authorization.and_then(basic);
        let (secret, assertion) = (form.get("client_secret"), form.get("client_assertion"));
        let ways = [basic.is_some(), secret.is_some(), assertion.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return Err(EntraRefusal::of(90013)); // RFC 6749, 2.3: one way at a time
        }
        match &basic {
            Some((id, _)) => known(id, app)?,
            None => known(form.required("client_id")?, app)?,
        }
        if let Some(assertion) = assertion {
            return match form.required("client_assertion_type")? {
                JWT_BEARER => Ok(Self::Assertion(assertion.to_owned())),
                _ => Err(EntraRefusal::of(90013)),
            };
        }
        let secret = basic
            .map(|(_, secret)| secret)
            .filter(|secret| !secret.is_empty());
        let secret = secret.or_else(|| form.get("client_secret").map(str::to_owned));
        Ok(secret.map_or(Self::Nothing, Self::Secret))
    }

    /// Whether it is the application's.
    pub(super) fn check(
        &self,
        at: &Counter<'_>,
        tenant: &Tenant,
        sessions: &mut Sessions,
    ) -> Result<(), EntraRefusal> {
        let app = &at.settings.app;
        match self {
            Self::Nothing => Err(EntraRefusal::of(7_000_218)),
            Self::Secret(secret) if *secret != app.client_secret => {
                Err(EntraRefusal::of(7_000_215))
            }
            Self::Secret(_) if app.secret_expired => Err(EntraRefusal::of(7_000_222)),
            Self::Secret(_) => Ok(()),
            Self::Assertion(assertion) => assertion::check(assertion, at, tenant, sessions),
        }
    }
}

/// Whether this is the registered application, and enabled.
pub(super) fn known(client_id: &str, app: &App) -> Result<(), EntraRefusal> {
    if !client_id.eq_ignore_ascii_case(&app.client_id) {
        return Err(EntraRefusal::of(700_016));
    }
    match app.disabled {
        true => Err(EntraRefusal::of(7_000_112)),
        false => Ok(()),
    }
}

/// A request of a person's own device: the application is known, public, and shows no credential.
pub(super) fn public(form: &Form, at: &Counter<'_>) -> Result<(), EntraRefusal> {
    let app = &at.settings.app;
    match Credential::of(form, at.authorization, app)? {
        Credential::Nothing if app.public_client => Ok(()),
        Credential::Nothing => Err(EntraRefusal::of(7_000_218)),
        _ => Err(EntraRefusal::of(700_025)),
    }
}
