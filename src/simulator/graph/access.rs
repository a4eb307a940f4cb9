//! Who may ask for what: the token, its permissions, the organizer's access policy. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::simulator::entra::{Grant, Holder};
use crate::simulator::reply::Refusal;
use crate::simulator::route::{Ask, Outlook, Who};
use crate::simulator::settings::{Organizer, Policy, Refused, Settings};
use crate::simulator::state::World;

pub(super) const NO_PERMISSION: &str =
    "You do not have the required permissions to access this item.";

/// What the request's token is good for.
pub(super) fn grant(
    world: &World,
    authorization: Option<&str>,
    elapsed: Duration,
) -> Result<Grant, Refusal> {
    let refuse = |message: &str| Refusal::new(401, "InvalidAuthenticationToken", message);
    let token = bearer(authorization).ok_or_else(|| refuse("Access token is empty."))?;
    match world.sessions.grant(token) {
        None => Err(refuse(
            "Access token validation failure: it was not issued here.",
        )),
        Some(grant) if grant.ends <= elapsed => {
            Err(refuse("Lifetime validation failed, the token is expired."))
        }
        Some(grant) => Ok(grant.clone()),
    }
}

/// The token in an `Authorization` header.
pub(crate) fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, token) = authorization?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// The user whose meetings are asked for, if the token's holder may ask.
pub(super) fn organizer<'a>(
    settings: &'a Settings,
    grant: &Grant,
    who: &Who,
    ask: &Ask,
    now: DateTime<Utc>,
) -> Result<&'a Organizer, Refusal> {
    let user = match (&grant.holder, who) {
        (Holder::App { .. }, Who::Me) => return Err(app_at_me()),
        (Holder::App { .. }, Who::User(user)) => {
            if user.len() != 36 || uuid::Uuid::try_parse(user).is_err() {
                return Err(Refusal::new(404, "UnknownError", "")); // a UPN
            }
            user
        }
        (Holder::User { .. }, Who::User(_)) => {
            let message = "A delegated token is only for /me.";
            return Err(Refusal::new(403, "Forbidden", message));
        }
        (Holder::User { id, .. }, Who::Me) => id,
    };
    let needed: &[&str] = match ask {
        Ask::Filter(_) | Ask::Get(_) => &["OnlineMeetings.Read", "OnlineMeetings.ReadWrite"],
        _ => &["OnlineMeetings.ReadWrite"],
    };
    permitted(grant, needed).map_err(|message| Refusal::new(403, "Forbidden", message))?;
    let organizer = settings
        .organizer(&grant.tenant, user)
        .ok_or_else(|| Refusal::new(404, "NotFound", "The user was not found."))?;
    if let Holder::App { .. } = grant.holder
        && let Some(form) = refused(settings, organizer, now)
    {
        return Err(no_policy(settings, organizer, ask, form));
    }
    let makes = matches!(ask, Ask::CreateOrGet | Ask::Create);
    if makes && (organizer.guest || !organizer.licensed) {
        let message = match organizer.guest {
            true => "A guest cannot organize meetings.",
            false => "The user has no license for Teams.",
        };
        return Err(Refusal::new(403, "Forbidden", message));
    }
    Ok(organizer)
}

/// The user whose mailbox is asked for, by id or UPN, if the token's holder may ask. No application
/// access policy is needed.
pub(super) fn mailbox<'a>(
    settings: &'a Settings,
    grant: &Grant,
    who: &Who,
    ask: &Outlook,
) -> Result<&'a Organizer, Refusal> {
    let denied = || {
        let message = "Access is denied. Check credentials and try again.";
        Refusal::new(403, "ErrorAccessDenied", message)
    };
    let name = match (&grant.holder, who) {
        (Holder::App { .. }, Who::Me) => return Err(app_at_me()),
        (_, Who::User(name)) => name,
        (Holder::User { id, .. }, Who::Me) => id,
    };
    let needed: &[&str] = match ask {
        Outlook::Create(_) | Outlook::Patch(..) | Outlook::Delete(..) => &["Calendars.ReadWrite"],
        _ => &["Calendars.Read", "Calendars.ReadWrite"],
    };
    permitted(grant, needed).map_err(|_| denied())?;
    let user = settings.user(&grant.tenant, name).ok_or_else(|| {
        let message = format!("The requested user '{name}' is invalid.");
        Refusal::new(404, "ErrorInvalidUser", message)
    })?;
    if let Holder::User { id, .. } = &grant.holder
        && !id.eq_ignore_ascii_case(&user.id)
    {
        return Err(denied()); // nobody shares a calendar
    }
    if user.mailbox.is_none() {
        let message = "The mailbox is either inactive, soft-deleted, or is hosted on-premise.";
        return Err(Refusal::new(404, "MailboxNotEnabledForRESTAPI", message));
    }
    Ok(user)
}

/// An application asks for `/me`.
pub(super) fn app_at_me() -> Refusal {
    Refusal::bad("/me request is only valid with delegated authentication flow.")
}

/// Whether the token has one of these permissions, named as delegated ones; else what to say.
pub(super) fn permitted(grant: &Grant, needed: &[&str]) -> Result<(), String> {
    let (kind, held, suffix) = match &grant.holder {
        Holder::App { roles } => ("role", roles, ".All"),
        Holder::User { scopes, .. } => ("scope", scopes, ""),
    };
    // Those of Exchange are named alike for applications and people.
    let full = |name: &&str| match name.ends_with(suffix) || name.starts_with("Calendars.") {
        true => (*name).to_owned(),
        false => format!("{name}{suffix}"),
    };
    let needed: Vec<String> = needed.iter().map(full).collect();
    match needed.iter().any(|name| held.contains(name)) {
        true => Ok(()),
        false => Err(format!(
            "Missing {kind} permissions on the request. API requires one of '{}'. The request has '{}'.",
            needed.join(", "),
            held.join(", ")
        )),
    }
}

/// The form in which the application is refused to act for an organizer, if it is.
fn refused(settings: &Settings, organizer: &Organizer, now: DateTime<Utc>) -> Option<Refused> {
    let policy = match organizer.policy {
        Policy::Global => settings.global_policy,
        own => own,
    };
    match policy {
        Policy::Granted => None,
        Policy::GrantedFrom(from, form) => (now < from).then_some(form),
        Policy::Missing(form) => Some(form),
        Policy::Global => Some(Refused::Forbidden),
    }
}

fn no_policy(settings: &Settings, organizer: &Organizer, ask: &Ask, form: Refused) -> Refusal {
    let no_policy = "No application access policy found for this app.";
    match form {
        Refused::Forbidden => Refusal::new(403, "Forbidden", no_policy),
        Refused::General => Refusal::new(403, "General", no_policy),
        Refused::EmptyCode => Refusal::new(403, "", NO_PERMISSION),
        Refused::Unauthorized => {
            let verb = match ask {
                Ask::CreateOrGet | Ask::Create => "Create",
                Ask::Filter(_) | Ask::Get(_) => "Get",
                Ask::Patch(_) => "Update",
                Ask::Delete(_) => "Delete",
            };
            let message = format!(
                "App {} is not authorized to {verb} meeting on behalf of user {}",
                settings.app.client_id, organizer.id
            );
            Refusal::new(403, "Unauthorized", message)
        }
    }
}
