//! `meetbridge login`: signs a person in by device code.
//!
//! It needs no state and takes no lock: beside a running daemon it replaces the file that the daemon
//! reads its sign-in from.

use std::sync::Arc;

use super::{Context, Exit, assemble, output};
use crate::config::Config;
use crate::daemon;
use crate::http::{Client, Windows};
use crate::meeting::graph::{DeviceLogin, LoginError, Person};
use crate::model::{Escaped, OrganizerId};

pub(super) async fn login(context: &Context) -> Exit {
    match try_login(context).await {
        Ok(()) => Exit::Done,
        Err(exit) => exit,
    }
}

async fn try_login(context: &Context) -> Result<(), Exit> {
    let config = context.config()?;
    context.init_log(&config)?;
    let stop = daemon::stop_on_signal()
        .map_err(|error| fail(&format!("signals cannot be handled: {error}")))?;
    let login = of(context, &config)?;
    let person = tokio::select! {
        person = ask(&login) => person.map_err(|error| fail(&error.to_string()))?,
        () = stop.cancelled() => return Err(fail("broken off; nothing is changed")),
    };
    let user = person.user.clone();
    let kept = login.keep(person).await;
    kept.map_err(|error| fail(&error.to_string()))?;
    output::print(&format!("signed in as {user}"));
    others(&config, &user);
    Ok(())
}

/// The sign-in that the configuration asks for.
fn of(context: &Context, config: &Config) -> Result<DeviceLogin, Exit> {
    let client = Client::new(&assemble::client_options(config));
    let client = client.map_err(|error| assemble::unusable(&error))?;
    // What Entra asked the daemon to wait for holds here, too.
    let state = assemble::look_at_state(config)?;
    let store = Arc::new(assemble::StoredWindows(state));
    let login = DeviceLogin::new(
        assemble::graph_settings(config),
        client,
        Arc::new(Windows::new(context.clock.clone(), store)),
        context.clock.clone(),
        context.random.clone(),
    );
    login.ok_or_else(|| {
        let file = context.config_file.display().to_string();
        output::fail(&format!(
            "{}: [graph] signs in as an application, which needs no login; to sign in as \
             a person, put `device-code = true` in place of the client secret, the certificate or the \
             federated token",
            Escaped(&file)
        ));
        Exit::Config
    })
}

/// Tells the person where to sign in, and waits for them.
async fn ask(login: &DeviceLogin) -> Result<Person, LoginError> {
    let prompt = login.begin().await?;
    output::ask(&format!(
        "To sign in, open {} on any device and type the code {}\nas the user who is to own the \
         meetings. It is good for {} minutes; Ctrl-C breaks off.",
        Escaped(prompt.address.as_str()),
        Escaped(&prompt.code),
        prompt.life.as_secs() / 60,
    ));
    login.wait(&prompt).await
}

/// Says which calendars have another organizer.
fn others(config: &Config, user: &OrganizerId) {
    let is_another = |organizer: &OrganizerId| organizer != user;
    let names: Vec<_> = config
        .enabled()
        .filter(|calendar| {
            is_another(&calendar.organizer) || calendar.organizers.values().any(is_another)
        })
        .map(|calendar| calendar.name.as_str())
        .collect();
    if !names.is_empty() {
        output::say(&format!(
            "A person makes only their own meetings; set organizer = \"{user}\" for these calendars: \
             {}",
            names.join(", ")
        ));
    }
}

fn fail(why: &str) -> Exit {
    output::fail(why);
    Exit::Failed
}
