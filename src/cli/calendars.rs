//! `meetbridge calendars`: what a CalDAV account offers, and the table to configure it with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use url::{Host, Url};

use super::{Context, Exit, assemble, output};
use crate::calendar::caldav::connection::{Connection, ConnectionSettings};
use crate::calendar::caldav::discover::{Collection, Discovery, discover};
use crate::config::{self, CalDav, Config, Source};
use crate::http::client::Identity;
use crate::http::{ClientOptions, Credentials, Windows};
use crate::model::Escaped;
use crate::secret::SecretSource;
use crate::state::State;

/// The account that is looked at.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only this account of the configuration
    #[arg(value_name = "ACCOUNT", conflicts_with = "url")]
    account: Option<String>,

    /// An account that is not configured yet: its server, principal, calendar home or calendar
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// The user's name there
    #[arg(long, value_name = "NAME", requires_all = ["url", "password_file"])]
    username: Option<String>,

    /// A file that holds the user's password, or app password, there
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
}

/// One account, and how it is reached.
struct Account {
    /// The lines that begin its table.
    table: Vec<String>,
    settings: ConnectionSettings,
}

pub(super) async fn calendars(context: &Context, which: &Which) -> Exit {
    match try_calendars(context, which).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn try_calendars(context: &Context, which: &Which) -> Result<Exit, Exit> {
    let (accounts, state) = match &which.url {
        Some(url) => {
            let state = State::in_memory().map_err(|error| fail(&error.to_string()))?;
            (vec![unconfigured(url, which)?], Arc::new(state))
        }
        None => {
            let config = context.config()?;
            let state = assemble::look_at_state(&config)?;
            (configured(&config, which.account.as_deref())?, state)
        }
    };
    let store = Arc::new(assemble::StoredWindows(state));
    let windows = Arc::new(Windows::new(context.clock.clone(), store));
    let mut exit = Exit::Done;
    for (at, account) in accounts.iter().enumerate() {
        if at > 0 {
            output::print("");
        }
        if !look(context, account, &windows).await {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

/// Prints what one account offers; says why not.
async fn look(context: &Context, account: &Account, windows: &Arc<Windows>) -> bool {
    let settings = account.settings.clone();
    let (name, url) = (settings.name.clone(), settings.url.clone());
    let (clock, random) = (context.clock.clone(), context.random.clone());
    let found = match Connection::new(settings, windows.clone(), clock, random) {
        Ok(connection) => discover(&connection, &url).await,
        Err(error) => {
            output::fail(&format!("{name}: {}", crate::log::Chain(&error)));
            return false;
        }
    };
    match found {
        Ok(found) => {
            output::print(&offer(&name, &found));
            for line in table(account, &found) {
                output::print(&line);
            }
            true
        }
        Err(error) => {
            output::fail(&format!("{name}: {}", crate::log::Chain(&error)));
            false
        }
    }
}

/// The accounts of the configuration, enabled or not; or the one that is named.
fn configured(config: &Config, only: Option<&str>) -> Result<Vec<Account>, Exit> {
    let all: Vec<(&config::Calendar, &CalDav)> = config
        .calendars
        .iter()
        .filter_map(|calendar| match &calendar.source {
            Source::CalDav(caldav) => Some((calendar, &**caldav)),
            Source::Directory { .. } | Source::File { .. } | Source::Feed(_) => None,
        })
        .collect();
    let wanted =
        |calendar: &config::Calendar| only.is_none_or(|name| name == calendar.name.as_str());
    let chosen: Vec<Account> = all
        .iter()
        .filter(|(calendar, _)| wanted(calendar))
        .map(|(calendar, caldav)| account_of(config, calendar, caldav))
        .collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let names: Vec<&str> = all
        .iter()
        .map(|(calendar, _)| calendar.name.as_str())
        .collect();
    Err(match only {
        Some(name) if !names.is_empty() => fail(&format!(
            "no [[calendar.caldav]] is named `{}`; there are: {}",
            Escaped(name),
            names.join(", ")
        )),
        _ => fail(
            "no [[calendar.caldav]] is configured; look at an account that is not configured yet \
             with --url URL --username NAME --password-file FILE",
        ),
    })
}

fn account_of(config: &Config, calendar: &config::Calendar, caldav: &CalDav) -> Account {
    let network = &config.network;
    let client = ClientOptions {
        proxy: network.proxy.clone(),
        ca_file: caldav.ca_file.clone().or_else(|| network.ca_file.clone()),
        identity: caldav
            .certificate_file
            .clone()
            .map(|certificate_file| Identity {
                certificate_file,
                key_file: caldav.key_file.clone(),
            }),
        connect_timeout: network.connect_timeout,
        total_timeout: network.request_timeout,
        ..ClientOptions::default()
    };
    Account {
        table: vec![
            format!("name = {}", quoted(calendar.name.as_str())),
            format!("url = {}", quoted(caldav.url.as_str())),
            "# what signs in to it stays as it is".to_owned(),
        ],
        settings: ConnectionSettings {
            name: calendar.name.as_str().to_owned(),
            url: caldav.url.clone(),
            credentials: caldav.credentials.clone(),
            client,
            allow_http: network.allow_http,
            tokens: Some(config.state_directory.join("tokens")),
        },
    }
}

/// The account of the command line.
fn unconfigured(url: &str, which: &Which) -> Result<Account, Exit> {
    let url = checked(url).map_err(|wrong| {
        output::fail(&format!("--url: {wrong}"));
        Exit::Usage
    })?;
    let name = account_name(&url, which.username.as_deref());
    let mut table = vec![
        format!("name = {}", quoted(&name)),
        format!("url = {}", quoted(url.as_str())),
    ];
    let credentials = match (&which.username, &which.password_file) {
        (Some(username), Some(file)) => {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            table.push(format!("username = {}", quoted(username)));
            table.push(format!("password-file = {}", quoted(&shown(&file))));
            Credentials::Password {
                username: username.clone(),
                password: SecretSource::File(file),
            }
        }
        _ => Credentials::None,
    };
    Ok(Account {
        table,
        settings: ConnectionSettings {
            name,
            url,
            credentials,
            client: ClientOptions::default(),
            allow_http: false,
            tokens: None,
        },
    })
}

/// A URL that can be configured; the reason why not holds nothing of it.
fn checked(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "no URL; begin it with https://")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "a user or a password in a URL is seen by everybody on this machine; use \
                    --username and --password-file",
        );
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err("everybody on the way can read plain http; begin it with https://"),
        _ => Err("no address of a CalDAV server; begin it with https://"),
    }
}

/// A name for an account that has none: the user's, else the host's, as far as a name may hold it.
fn account_name(url: &Url, username: Option<&str>) -> String {
    let user = username.and_then(|name| name.split('@').next());
    let text = user.or(url.host_str()).unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = text.chars().filter(plain).take(40).collect();
    match name.trim_start_matches('-') {
        "" => "caldav".to_owned(),
        name => name.to_owned(),
    }
}

/// What there is, as a table for people.
fn offer(account: &str, found: &Discovery) -> String {
    let told = match (found.schedules, found.server.as_str()) {
        (true, "") => "; takes care of invitations".to_owned(),
        (true, server) => format!("; {server}, takes care of invitations"),
        (false, "") => String::new(),
        (false, server) => format!("; {server}"),
    };
    let head = [
        "calendar",
        "path",
        "colour",
        "owned",
        "writable",
        "events",
        "reports",
        "addresses",
    ];
    let rows = found.collections.iter().map(|c| row(c, account));
    let table = output::Voice::own().table(&head, rows);
    format!("{account}: {}{}\n{table}\n", found.host, Escaped(&told))
}

fn row(collection: &Collection, account: &str) -> Vec<String> {
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut reports = Vec::new();
    if collection.sync_collection {
        reports.push("sync");
    }
    if collection.multiget {
        reports.push("multiget");
    }
    let addresses: Vec<&str> = collection.addresses.iter().map(String::as_str).collect();
    let foreign = |text: &str| Escaped(text).to_string();
    vec![
        foreign(collection.label.as_deref().unwrap_or(account)),
        foreign(collection.url.path()),
        foreign(collection.colour.as_deref().unwrap_or("-")),
        yes(collection.owned),
        collection.writable.map_or("?".to_owned(), yes),
        yes(collection.holds_events),
        or_dash(reports.join(", ")),
        foreign(&or_dash(addresses.join(", "))),
    ]
}

fn or_dash(text: String) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

/// The `[[calendar.caldav]]` that watches the account's own calendars; where it owns none, all those
/// whose events it may change.
fn table(account: &Account, found: &Discovery) -> Vec<String> {
    let useful = |c: &&Collection| c.holds_events && c.writable != Some(false);
    let all = || found.collections.iter().filter(useful);
    let mut chosen: Vec<&Collection> = all().filter(|c| c.owned).collect();
    if chosen.is_empty() {
        chosen = all().collect();
    }
    let mut lines = vec!["[[calendar.caldav]]".to_owned()];
    lines.extend(account.table.iter().cloned());
    let names: Vec<String> = chosen.iter().filter_map(|c| c.label.clone()).collect();
    if !names.is_empty() {
        lines.push(format!("collections = {}", list(&names)));
    } else if chosen.is_empty() {
        lines
            .push("# none of these calendars holds events that this account may change".to_owned());
    }
    let addresses: BTreeSet<&String> = chosen.iter().flat_map(|c| &c.addresses).collect();
    let addresses: Vec<String> = addresses.into_iter().cloned().collect();
    lines.push(match addresses.is_empty() {
        true => {
            "# addresses = [\"...\"]: the server does not tell them; name the owner's".to_owned()
        }
        false => format!("addresses = {}", list(&addresses)),
    });
    lines
}

fn list(all: &[String]) -> String {
    let all: Vec<String> = all.iter().map(|one| quoted(one)).collect();
    format!("[{}]", all.join(", "))
}

/// A text as a TOML string on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if Escaped(c.encode_utf8(&mut [0; 4])).to_string().len() > c.len_utf8() => {
                quoted.push_str(&format!("\\U{:08X}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn fail(text: &str) -> Exit {
    output::fail(text);
    Exit::Failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_checked_and_never_repeated() {
        for good in [
            "https://h/",
            "https://h:1/x/?y",
            "http://127.0.0.1:1/",
            "http://[::1]/",
            "http://localhost/",
        ] {
            assert_eq!(
                checked(good).map(|url| url.to_string()),
                Ok(good.to_owned())
            );
        }
        for (bad, why) in [
            ("cloud.example.org", "no URL"),
            ("https://alice:secret@h/", "--password-file"),
            ("http://h/", "plain http"),
            ("ftp://h/", "begin it with https://"),
            ("file:///x", "begin it with https://"),
        ] {
            let said = checked(bad).unwrap_err();
            assert!(said.contains(why) && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn an_account_gets_a_name_that_can_be_configured() {
        let url = Url::parse("https://cloud.example.org/dav/").unwrap();
        for (username, expected) in [
            (Some("alice@example.org"), "alice"),
            (Some("DOMAIN\\bob"), "DOMAINbob"),
            (Some("--x"), "x"),
            (Some("@"), "caldav"),
            (Some("ü/\n"), "caldav"),
            (None, "cloud.example.org"),
        ] {
            assert_eq!(account_name(&url, username), expected);
        }
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        for text in [
            "",
            "Work",
            "a \"b\" \\ c",
            "tab\tnul\0 bell\u{7}",
            "ü\u{202e}\u{1f600}",
            "\r\n",
        ] {
            let table: toml::Table = format!("x = {}", quoted(text)).parse().unwrap();
            assert_eq!(table["x"].as_str(), Some(text));
            assert!(!quoted(text).contains(char::is_control));
        }
    }
}
