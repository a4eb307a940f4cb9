//! `GET /me` and `GET /users/{id or UPN}`: as much of a user as finding an object id takes. Pure.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::Call;
use super::access::{app_at_me, permitted};
use crate::simulator::entra::{Grant, Holder};
use crate::simulator::reply::{Refusal, Reply};
use crate::simulator::route::Who;
use crate::simulator::settings::Settings;

pub(super) fn answer(
    settings: &Settings,
    grant: &Grant,
    who: &Who,
    query: &str,
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let (name, needed): (&str, &[&str]) = match (&grant.holder, who) {
        (Holder::App { .. }, Who::Me) => return Err(app_at_me()),
        (Holder::User { id, .. }, Who::Me) => (id, &["User.Read", "User.Read.All"]),
        (_, Who::User(name)) => (name, &["User.Read.All"]),
    };
    if permitted(grant, needed).is_err() {
        return Err(Refusal::new(
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        ));
    }
    let user = settings.user(&grant.tenant, name).ok_or_else(|| {
        let message = "Resource does not exist or one of its queried reference-property objects \
                       are not present.";
        Refusal::new(404, "Request_ResourceNotFound", message)
    })?;
    let mut shown = Map::new();
    let context = format!("{}/v1.0/$metadata#users/$entity", call.root);
    shown.insert("@odata.context".to_owned(), context.into());
    for name in selected(query)? {
        let value: Value = match name.as_str() {
            "id" => user.id.as_str().into(),
            "displayName" => user.upn.split('@').next().into(),
            "userPrincipalName" | "mail" => user.upn.as_str().into(),
            _ => {
                let message = format!(
                    "Could not find a property named '{name}' on type 'microsoft.graph.user'."
                );
                return Err(Refusal::bad(message));
            }
        };
        shown.insert(name, value);
    }
    Ok(Reply::json(200, shown.into()))
}

/// The names in `$select`.
fn selected(query: &str) -> Result<Vec<String>, Refusal> {
    let mut names = None;
    for (option, value) in form_urlencoded::parse(query.as_bytes()) {
        match option.as_ref() {
            "$select" if names.is_none() => {
                names = Some(
                    value
                        .split(',')
                        .map(|name| name.trim().to_owned())
                        .collect(),
                );
            }
            option if option.starts_with('$') => {
                let message = format!("The query option '{option}' is not supported.");
                return Err(Refusal::bad(message));
            }
            _ => {}
        }
    }
    let all = ["displayName", "mail", "userPrincipalName", "id"];
    Ok(names.unwrap_or_else(|| all.map(str::to_owned).to_vec()))
}
