//! Entra: the token and device code endpoints (graph-api.md, section 2). Pure.
//!
//! `form`: what a request carries. `credential`, `assertion`: who the application is. `sessions`: what
//! was issued. `errors`: the refusals.

mod assertion;
mod credential;
mod errors;
mod form;
mod sessions;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::manners::RefreshTokens;
use super::reply::Reply;
use super::settings::{Settings, Tenant};
use credential::Credential;
use form::Form;
use sessions::{Consent, Refresh};

pub(crate) use errors::{EntraRefusal, entra_error, usual_entra};
pub(crate) use sessions::{Grant, Holder, Sessions};

const CLIENT_CREDENTIALS: &str = "client_credentials";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const REFRESH_TOKEN: &str = "refresh_token";

/// A request to Entra, and where and when it is answered.
pub(crate) struct Counter<'a> {
    pub(crate) settings: &'a Settings,
    /// `http://ADDRESS:PORT`: both the authority and the Graph root.
    pub(crate) base: &'a str,
    /// The forms of the Graph root that a scope may name, and of the authority in an audience.
    pub(crate) roots: &'a [String],
    pub(crate) now: DateTime<Utc>,
    /// The clock's monotonic time.
    pub(crate) elapsed: Duration,
    /// The path's tenant segment, decoded.
    pub(crate) tenant: &'a str,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) authorization: Option<&'a str>,
    /// `None`: larger than a request may be.
    pub(crate) body: Option<&'a [u8]>,
}

/// `POST /{tenant}/oauth2/v2.0/token`
pub(crate) fn token(sessions: &mut Sessions, at: &Counter<'_>) -> Result<Reply, EntraRefusal> {
    let tenant = at.tenant()?;
    let form = Form::read(at)?;
    match form.required("grant_type")? {
        CLIENT_CREDENTIALS => at.client_credentials(
            sessions,
            tenant.ok_or_else(|| EntraRefusal::of(50059))?,
            &form,
        ),
        DEVICE_CODE => at.device_grant(sessions, &form),
        REFRESH_TOKEN => at.refresh(sessions, tenant, &form),
        _ => Err(EntraRefusal::of(70003)),
    }
}

/// `POST /{tenant}/oauth2/v2.0/devicecode`
pub(crate) fn device_code(
    sessions: &mut Sessions,
    at: &Counter<'_>,
) -> Result<Reply, EntraRefusal> {
    let tenant = at.tenant()?;
    let form = Form::read(at)?;
    credential::known(form.required("client_id")?, &at.settings.app)?;
    if !at.settings.app.public_client {
        return Err(EntraRefusal::of(7_000_218));
    }
    let manners = &at.settings.entra;
    let consent = at.consent(form.required("scope")?)?;
    let ends = at.elapsed.saturating_add(manners.device_lifetime);
    let (code, user_code) = sessions.begin_sign_in(
        at.settings.seed,
        tenant.map(|tenant| tenant.id.clone()),
        consent,
        ends,
    );
    let uri = format!("{}/_simulator/sign-in", at.base);
    let message = format!(
        "To sign in, POST {{\"userCode\": \"{user_code}\", \"as\": \"<object id>\"}} to {uri}; without \
         \"as\" the sign-in is declined."
    );
    Ok(Reply::json(
        200,
        json!({"device_code": code, "user_code": user_code, "verification_uri": uri,
               "expires_in": manners.device_lifetime.as_secs(),
               "interval": manners.device_interval.as_secs(), "message": message}),
    ))
}

impl<'a> Counter<'a> {
    /// The tenant in the path; `None` where it stands for any.
    fn tenant(&self) -> Result<Option<&'a Tenant>, EntraRefusal> {
        let given = self.tenant;
        match given {
            "common" | "organizations" => return Ok(None),
            "consumers" => return Err(EntraRefusal::of(50059)),
            _ => {}
        }
        let is_named = |tenant: &&Tenant| {
            tenant.id.eq_ignore_ascii_case(given) || tenant.domain.eq_ignore_ascii_case(given)
        };
        let tenant = self.settings.tenants.iter().find(is_named);
        tenant.map(Some).ok_or_else(|| EntraRefusal::of(90002))
    }

    fn client_credentials(
        &self,
        sessions: &mut Sessions,
        tenant: &Tenant,
        form: &Form,
    ) -> Result<Reply, EntraRefusal> {
        let credential = Credential::of(form, self.authorization, &self.settings.app)?;
        let scope = form.required("scope")?;
        let Some(resource) = scope.strip_suffix("/.default").filter(|r| !r.contains(' ')) else {
            return Err(EntraRefusal::of(70011));
        };
        if !self.roots.iter().any(|root| root == resource) {
            return Err(EntraRefusal::of(500_011));
        }
        credential.check(self, tenant, sessions)?;
        let holder = Holder::App {
            roles: self.settings.app.roles.clone(),
        };
        Ok(Reply::json(
            200,
            self.issue(sessions, &tenant.id, holder).into(),
        ))
    }

    fn device_grant(&self, sessions: &mut Sessions, form: &Form) -> Result<Reply, EntraRefusal> {
        credential::public(form, self)?;
        let code = form.required("device_code")?;
        let (user, consent) = sessions.poll(code, self.elapsed, &self.settings.entra)?;
        let is_user =
            |organizer: &&super::settings::Organizer| organizer.id.eq_ignore_ascii_case(&user);
        let user = self.settings.organizers.iter().find(is_user);
        let user = user.ok_or_else(|| EntraRefusal::of(50034))?;
        let refresh = Refresh {
            tenant: user.tenant.clone(),
            user: user.id.clone(),
            consent,
            ends: self
                .elapsed
                .saturating_add(self.settings.entra.refresh_lifetime),
        };
        let token = refresh
            .consent
            .offline
            .then(|| sessions.issue_refresh(self.settings.seed, refresh.clone()));
        Ok(self.delegated(sessions, &refresh, token))
    }

    fn refresh(
        &self,
        sessions: &mut Sessions,
        tenant: Option<&Tenant>,
        form: &Form,
    ) -> Result<Reply, EntraRefusal> {
        credential::public(form, self)?;
        let given = form.required("refresh_token")?;
        let mut refresh = sessions.refresh(given, self.elapsed)?;
        if tenant.is_some_and(|tenant| tenant.id != refresh.tenant) {
            return Err(EntraRefusal::of(70000));
        }
        if let Some(scope) = form.get("scope") {
            let consent = self.consent(scope)?;
            if !consent
                .scopes
                .iter()
                .all(|scope| refresh.consent.scopes.contains(scope))
            {
                return Err(EntraRefusal::of(65001));
            }
            refresh.consent = Consent {
                offline: refresh.consent.offline,
                ..consent
            };
        }
        let anew = Refresh {
            ends: self
                .elapsed
                .saturating_add(self.settings.entra.refresh_lifetime),
            ..refresh.clone()
        };
        let manner = self.settings.entra.refresh;
        if manner == RefreshTokens::UsedUp {
            sessions.revoke(given, 70000);
        }
        let token = (manner != RefreshTokens::Kept)
            .then(|| sessions.issue_refresh(self.settings.seed, anew));
        Ok(self.delegated(sessions, &refresh, token))
    }

    /// The scopes of a request for delegated permission.
    fn consent(&self, scope: &str) -> Result<Consent, EntraRefusal> {
        let app = &self.settings.app;
        let mut consent = Consent::default();
        for name in scope.split_ascii_whitespace() {
            let resource = self
                .roots
                .iter()
                .find_map(|root| name.strip_prefix(root.as_str()));
            match resource
                .and_then(|rest| rest.strip_prefix('/'))
                .unwrap_or(name)
            {
                "offline_access" => consent.offline = true,
                "openid" => consent.openid = true,
                "profile" => consent.profile = true,
                "email" => {}
                ".default" => consent.scopes.extend(app.scopes.iter().cloned()),
                name if name.contains("://") => return Err(EntraRefusal::of(500_011)),
                name if app.scopes.iter().any(|scope| scope == name) => {
                    consent.scopes.push(name.to_owned());
                }
                name if sessions::SCOPES.contains(&name) => return Err(EntraRefusal::of(65001)),
                _ => return Err(EntraRefusal::of(70011)),
            }
        }
        consent.scopes.sort();
        consent.scopes.dedup();
        match consent.scopes.is_empty() {
            true => Err(EntraRefusal::of(70011)),
            false => Ok(consent),
        }
    }

    fn delegated(&self, sessions: &mut Sessions, of: &Refresh, token: Option<String>) -> Reply {
        let holder = Holder::User {
            id: of.user.clone(),
            scopes: of.consent.scopes.clone(),
        };
        let mut body = self.issue(sessions, &of.tenant, holder);
        let full = |scope: &String| format!("{}/{scope}", self.base);
        let scopes: Vec<_> = of.consent.scopes.iter().map(full).collect();
        body.insert("scope".to_owned(), scopes.join(" ").into());
        if let Some(token) = token {
            body.insert("refresh_token".to_owned(), token.into());
        }
        if of.consent.openid {
            let token = sessions.id_token(self, of);
            body.insert("id_token".to_owned(), token.into());
        }
        Reply::json(200, body.into())
    }

    /// An access token, in the members that every success has.
    fn issue(&self, sessions: &mut Sessions, tenant: &str, holder: Holder) -> Map<String, Value> {
        let lifetime = self.settings.token_lifetime;
        let grant = Grant {
            tenant: tenant.to_owned(),
            ends: self.elapsed.saturating_add(lifetime),
            holder,
        };
        let token = sessions.issue(self, grant);
        let seconds = lifetime.as_secs();
        let body = json!({"token_type": "Bearer", "expires_in": seconds,
                          "ext_expires_in": seconds, "access_token": token});
        match body {
            Value::Object(body) => body,
            _ => Map::new(),
        }
    }
}
