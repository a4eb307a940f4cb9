//! What Entra has issued: access tokens, refresh tokens, device codes. No I/O.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chrono::TimeDelta;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Counter, EntraRefusal};
use crate::simulator::manners::EntraManners;
use crate::simulator::settings::TokenForm;

/// The delegated permissions that exist, consented to or not.
pub(super) const SCOPES: &[&str] = &[
    "OnlineMeetings.Read",
    "OnlineMeetings.ReadWrite",
    "Calendars.Read",
    "Calendars.ReadWrite",
    "User.Read",
    "User.Read.All",
];

/// An access token that was issued.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// Directory id.
    pub(crate) tenant: String,
    /// On the clock's monotonic time.
    pub(crate) ends: Duration,
    pub(crate) holder: Holder,
}

/// Whom an access token stands for.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    /// The application itself.
    App { roles: Vec<String> },
    /// A person, by object id.
    User { id: String, scopes: Vec<String> },
}

/// What a person consented to.
#[derive(Clone, Debug, Default)]
pub(super) struct Consent {
    pub(super) scopes: Vec<String>,
    /// `offline_access`: a refresh token is issued.
    pub(super) offline: bool,
    /// `openid`: an ID token is issued.
    pub(super) openid: bool,
    /// `profile`: the ID token names the person's object id.
    pub(super) profile: bool,
}

/// A refresh token that was issued.
#[derive(Clone, Debug)]
pub(super) struct Refresh {
    pub(super) tenant: String,
    pub(super) user: String,
    pub(super) consent: Consent,
    /// On the clock's monotonic time.
    pub(super) ends: Duration,
}

/// A device code that was issued.
#[derive(Debug)]
struct SignIn {
    code: String,
    /// Directory id, if it is for one.
    tenant: Option<String>,
    consent: Consent,
    ends: Duration,
    polled: Option<Duration>,
    /// The object id of who signed in; `Some(None)`: declined.
    verdict: Option<Option<String>>,
}

/// What is issued and not forgotten.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    access: HashMap<String, Grant>,
    /// With the AADSTS number by which it was revoked, if it was.
    refresh: HashMap<String, (Refresh, Option<u32>)>,
    /// By user code.
    sign_ins: BTreeMap<String, SignIn>,
    /// The `jti` of each assertion that was taken.
    assertions: HashSet<String>,
    issued: u64,
}

impl Sessions {
    /// Issues an access token, as a rule in the shape of a JWT; its signature is no key's.
    pub(super) fn issue(&mut self, at: &Counter<'_>, grant: Grant) -> String {
        self.access.retain(|_, grant| at.elapsed < grant.ends);
        let signature = self.random(at.settings.seed);
        let lifetime = TimeDelta::from_std(at.settings.token_lifetime).unwrap_or_default();
        let ends = at.now.checked_add_signed(lifetime).unwrap_or(at.now);
        let mut claims = json!({
            "aud": at.base,
            "iss": format!("{}/{}/", at.base, grant.tenant),
            "iat": at.now.timestamp(),
            "nbf": at.now.timestamp(),
            "exp": ends.timestamp(),
            "appid": at.settings.app.client_id,
            "tid": grant.tenant,
            "uti": BASE64URL_NOPAD.encode(&signature[..16]),
            "ver": "1.0",
        });
        match &grant.holder {
            Holder::App { roles } => {
                claims["idtyp"] = "app".into();
                claims["oid"] = at.settings.app.client_id.as_str().into();
                claims["roles"] = json!(roles);
            }
            Holder::User { id, scopes } => {
                claims["idtyp"] = "user".into();
                claims["oid"] = id.as_str().into();
                claims["scp"] = scopes.join(" ").into();
            }
        }
        if let TokenForm::OfTenant(tenant) = &at.settings.token_form {
            claims["tid"] = tenant.as_str().into();
        }
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": "simulator"});
        let part = |json: serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let signature = BASE64URL_NOPAD.encode(&signature);
        let token = match at.settings.token_form {
            TokenForm::Opaque => format!("Ew{signature}"),
            _ => format!("{}.{}.{signature}", part(header), part(claims)),
        };
        self.access.insert(token.clone(), grant);
        token
    }

    /// An ID token (OpenID Connect Core, 2); its signature is no key's.
    pub(super) fn id_token(&mut self, at: &Counter<'_>, of: &Refresh) -> String {
        let signature = self.random(at.settings.seed);
        let lifetime = TimeDelta::from_std(at.settings.token_lifetime).unwrap_or_default();
        let ends = at.now.checked_add_signed(lifetime).unwrap_or(at.now);
        // The subject is another one for each application.
        let subject = Sha256::digest(format!("{} {}", at.settings.app.client_id, of.user));
        let mut claims = json!({
            "aud": at.settings.app.client_id,
            "iss": format!("{}/{}/v2.0", at.base, of.tenant),
            "iat": at.now.timestamp(),
            "nbf": at.now.timestamp(),
            "exp": ends.timestamp(),
            "sub": BASE64URL_NOPAD.encode(&subject),
            "tid": of.tenant,
            "ver": "2.0",
        });
        if of.consent.profile {
            claims["oid"] = of.user.as_str().into();
        }
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": "simulator"});
        let part = |json: serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let signature = BASE64URL_NOPAD.encode(&signature);
        format!("{}.{}.{signature}", part(header), part(claims))
    }

    /// The grant behind an access token, expired or not.
    pub(crate) fn grant(&self, token: &str) -> Option<&Grant> {
        self.access.get(token)
    }

    /// No access token issued so far is good any more.
    pub(crate) fn revoke_access(&mut self) {
        self.access.clear();
    }

    /// Issues a refresh token: opaque.
    pub(super) fn issue_refresh(&mut self, seed: u64, refresh: Refresh) -> String {
        let token = format!("1.{}", BASE64URL_NOPAD.encode(&self.random(seed)));
        self.refresh.insert(token.clone(), (refresh, None));
        token
    }

    /// What a refresh token is for.
    pub(super) fn refresh(&self, token: &str, now: Duration) -> Result<Refresh, EntraRefusal> {
        match self.refresh.get(token) {
            None => Err(EntraRefusal::of(70000)),
            Some((_, Some(code))) => Err(EntraRefusal::of(*code)),
            Some((refresh, _)) if refresh.ends <= now => Err(EntraRefusal::of(700_082)),
            Some((refresh, None)) => Ok(refresh.clone()),
        }
    }

    /// Revokes one refresh token: it gives this AADSTS number.
    pub(super) fn revoke(&mut self, token: &str, code: u32) {
        if let Some((_, revoked)) = self.refresh.get_mut(token) {
            *revoked = Some(code);
        }
    }

    /// Revokes every refresh token: each gives this AADSTS number.
    pub(crate) fn revoke_refresh(&mut self, code: u32) {
        for (_, revoked) in self.refresh.values_mut() {
            *revoked = Some(code);
        }
    }

    /// Issues a device code and its user code.
    pub(super) fn begin_sign_in(
        &mut self,
        seed: u64,
        tenant: Option<String>,
        consent: Consent,
        ends: Duration,
    ) -> (String, String) {
        const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        let random = self.random(seed);
        let code = BASE64URL_NOPAD.encode(&random);
        let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
        let user_code: String = random.iter().take(9).map(letter).collect();
        let sign_in = SignIn {
            code: code.clone(),
            tenant,
            consent,
            ends,
            polled: None,
            verdict: None,
        };
        self.sign_ins.insert(user_code.clone(), sign_in);
        (code, user_code)
    }

    /// The user codes that wait for a person, in the order of the alphabet.
    pub(crate) fn waiting(&self, now: Duration) -> Vec<String> {
        let waits = |sign_in: &SignIn| sign_in.verdict.is_none() && now < sign_in.ends;
        let waiting = self.sign_ins.iter().filter(|(_, sign_in)| waits(sign_in));
        waiting.map(|(code, _)| code.clone()).collect()
    }

    /// A person's answer to a sign-in that waits: their object id and tenant, or `None` to decline.
    /// Whether there was such a sign-in.
    pub(crate) fn settle(
        &mut self,
        user_code: &str,
        user: Option<(&str, &str)>,
        now: Duration,
    ) -> bool {
        let Some(sign_in) = self.sign_ins.get_mut(user_code) else {
            return false;
        };
        let tenant = user.map(|(_, tenant)| tenant);
        let elsewhere =
            sign_in.tenant.is_some() && tenant.is_some() && sign_in.tenant.as_deref() != tenant;
        if elsewhere || sign_in.verdict.is_some() || sign_in.ends <= now {
            return false;
        }
        sign_in.verdict = Some(user.map(|(id, _)| id.to_owned()));
        true
    }

    /// A poll with a device code: who signed in, and to what they consented. A code is good once.
    pub(super) fn poll(
        &mut self,
        code: &str,
        now: Duration,
        manners: &EntraManners,
    ) -> Result<(String, Consent), EntraRefusal> {
        let found = self
            .sign_ins
            .iter_mut()
            .find(|(_, sign_in)| sign_in.code == code);
        let (user_code, sign_in) = found.ok_or_else(|| EntraRefusal::of(70018))?;
        if sign_in.ends <= now {
            return Err(EntraRefusal::of(70019));
        }
        let last = sign_in.polled.replace(now);
        let early = last.is_some_and(|last| now < last.saturating_add(manners.device_interval));
        if early && manners.slow_down {
            return Err(EntraRefusal::slow_down());
        }
        match &sign_in.verdict {
            None => Err(EntraRefusal::of(70016)),
            Some(None) => Err(EntraRefusal::of(65004)),
            Some(Some(user)) => {
                let (user, consent) = (user.clone(), sign_in.consent.clone());
                let user_code = user_code.clone();
                self.sign_ins.remove(&user_code);
                Ok((user, consent))
            }
        }
    }

    /// Whether an assertion's `jti` was never seen before.
    pub(super) fn first_use(&mut self, jti: &str) -> bool {
        self.assertions.insert(jti.to_owned())
    }

    /// 256 octets that follow from the seed and how much was issued before.
    fn random(&mut self, seed: u64) -> Vec<u8> {
        self.issued += 1;
        let mut random = Vec::with_capacity(256);
        for part in 0_u64..8 {
            let mut digest = Sha256::new();
            for number in [seed, self.issued, part] {
                digest.update(number.to_be_bytes());
            }
            random.extend_from_slice(&digest.finalize());
        }
        random
    }
}
