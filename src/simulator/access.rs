//! Who may ask for what: the request's token, and the organizer's access policy. Pure.

use std::time::Duration;

use super::reply::Refusal;
use super::route::Ask;
use super::settings::{Organizer, Policy, Refused, Settings};
use super::state::World;

/// The tenant of the request's token.
pub(super) fn tenant(
    world: &World,
    authorization: Option<&str>,
    elapsed: Duration,
) -> Result<String, Refusal> {
    let refuse = |message: &str| Refusal::new(401, "InvalidAuthenticationToken", message);
    let header = authorization.ok_or_else(|| refuse("Access token is empty."))?;
    let token = match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
        _ => return Err(refuse("Access token is empty.")),
    };
    match world.grant(token) {
        None => Err(refuse(
            "Access token validation failure: it was not issued here.",
        )),
        Some(grant) if grant.ends <= elapsed => {
            Err(refuse("Lifetime validation failed, the token is expired."))
        }
        Some(grant) => Ok(grant.tenant.clone()),
    }
}

/// The user in the path, whom the application may act for.
pub(super) fn organizer<'a>(
    settings: &'a Settings,
    tenant: &str,
    user: &str,
    ask: &Ask,
) -> Result<&'a Organizer, Refusal> {
    if user.len() != 36 || uuid::Uuid::try_parse(user).is_err() {
        return Err(Refusal::new(404, "UnknownError", "")); // a UPN
    }
    let is_meant = |organizer: &&Organizer| {
        organizer.id.eq_ignore_ascii_case(user) && organizer.tenant.eq_ignore_ascii_case(tenant)
    };
    let organizer = settings
        .organizers
        .iter()
        .find(is_meant)
        .ok_or_else(|| Refusal::new(404, "NotFound", "The user was not found."))?;
    let no_policy = "No application access policy found for this app.";
    match organizer.policy {
        Policy::Granted => Ok(organizer),
        Policy::Missing(Refused::Forbidden) => Err(Refusal::new(403, "Forbidden", no_policy)),
        Policy::Missing(Refused::General) => Err(Refusal::new(403, "General", no_policy)),
        Policy::Missing(Refused::EmptyCode) => Err(Refusal::new(403, "", NO_PERMISSION)),
        Policy::Missing(Refused::Unauthorized) => {
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
            Err(Refusal::new(403, "Unauthorized", message))
        }
    }
}

pub(super) const NO_PERMISSION: &str =
    "You do not have the required permissions to access this item.";
