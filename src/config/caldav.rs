//! `[[calendar.caldav]]`: where the account is, and the one way to sign in to it.

use std::time::Duration;

use super::calendars::{DAY, MINUTE, SECOND};
use super::secrets::{Keys, secret_path};
use super::table::{Table, Wrong};
use super::{CalDav, value};
use crate::http::Credentials;

const PASSWORD: Keys = Keys {
    plain: "password",
    file: "password-file",
    command: "password-command",
    credential: "password-credential",
};
const BEARER: Keys = Keys {
    plain: "bearer-token",
    file: "bearer-token-file",
    command: "bearer-token-command",
    credential: "bearer-token-credential",
};
const CLIENT_SECRET: Keys = Keys {
    plain: "oauth2-client-secret",
    file: "oauth2-client-secret-file",
    command: "oauth2-client-secret-command",
    credential: "oauth2-client-secret-credential",
};
const REFRESH_TOKEN: Keys = Keys {
    plain: "oauth2-refresh-token",
    file: "oauth2-refresh-token-file",
    command: "oauth2-refresh-token-command",
    credential: "oauth2-refresh-token-credential",
};

/// What the polls' interval grows to, where nothing else is said.
const POLL: Duration = MINUTE;
/// The interval while changes come is not shorter by itself.
const POLL_FASTEST: Duration = Duration::from_secs(5);

/// An account's keys, without those that all calendars have.
pub(super) fn account(table: &mut Table<'_, '_>, allow_http: bool) -> Option<CalDav> {
    let url = table.required("url", value::service_url(allow_http));
    let credentials = credentials(table, allow_http);
    let certificate_file = table.optional("certificate-file", value::path);
    let key_file = table.optional("key-file", secret_path);
    let ca_file = table.optional("ca-file", value::path);
    let collections = table
        .optional("collections", value::list(value::string))
        .unwrap_or_default();
    let (poll, poll_fastest) = polls(table);
    table.refuse(
        "rescan",
        "a CalDAV calendar is listed as a whole once a day",
        "poll says how often its server is asked what changed",
    );

    if table.has("key-file") && !table.has("certificate-file") {
        let hint = "name the client certificate by certificate-file";
        table.report_at("key-file", Wrong::new("without certificate-file", hint));
    }
    if let Some(url) = &url {
        if table.has("certificate-file") && url.scheme() == "http" {
            let hint = "use https, or take certificate-file out";
            table.report_at(
                "certificate-file",
                Wrong::new("a server asks for no certificate over plain http", hint),
            );
        }
        let signs_in = attempts(table).next().is_some() || table.has("certificate-file");
        if !signs_in && !value::is_loopback(url) {
            table.missing(
                "nothing says how this account is signed in to",
                "set username and password-file, or bearer-token-file, or oauth2-token-url with \
                 its client and refresh token, or certificate-file",
            );
        }
    }
    Some(CalDav {
        url: url?,
        credentials: credentials?,
        certificate_file,
        key_file,
        ca_file,
        collections,
        poll,
        poll_fastest,
    })
}

/// The keys that begin a way to sign in, one for each way that is begun.
fn attempts<'a>(table: &'a Table<'_, '_>) -> impl Iterator<Item = &'static str> + 'a {
    let first = |plain: &[&'static str], secrets: &[&Keys]| {
        let plain = plain.iter().copied().find(|key| table.has(key));
        plain.or_else(|| {
            let mut keys = secrets.iter();
            keys.find_map(|keys| {
                let itself = table.has(keys.plain).then_some(keys.plain);
                keys.given(table).or(itself)
            })
        })
    };
    [
        first(&["username"], &[&PASSWORD]),
        first(&[], &[&BEARER]),
        first(
            &["oauth2-token-url", "oauth2-client-id"],
            &[&CLIENT_SECRET, &REFRESH_TOKEN],
        ),
    ]
    .into_iter()
    .flatten()
}

/// One way to sign in, whole; or none, which may be enough.
fn credentials(table: &mut Table<'_, '_>, allow_http: bool) -> Option<Credentials> {
    let username = table.optional("username", value::string);
    let password = PASSWORD.read(table);
    let token = BEARER.read(table);
    let token_url = table.optional("oauth2-token-url", value::service_url(allow_http));
    let client_id = table.optional("oauth2-client-id", value::string);
    let client_secret = CLIENT_SECRET.read(table);
    let refresh_token = REFRESH_TOKEN.read(table);

    let mut begun = attempts(table);
    let (first, second) = (begun.next(), begun.next());
    drop(begun);
    if let (Some(first), Some(second)) = (first, second) {
        let what = format!("a second way to sign in, beside `{first}`");
        let hint = "keep one: a password, a bearer token, or OAuth2";
        table.report_at(second, Wrong::new(what, hint));
        return None;
    }
    let Some(first) = first else {
        return Some(Credentials::None);
    };
    let half = |what: &str, hint: &str| table.report_at(first, Wrong::new(what, hint));
    if table.has("username") || PASSWORD.attempted(table) {
        if !table.has("username") {
            half("without username", "set username, too");
        } else if !PASSWORD.attempted(table) {
            let hint = "set password-file, password-command or password-credential, too";
            half("without a password", hint);
        }
        return Some(Credentials::Password {
            username: username?,
            password: password?,
        });
    }
    if BEARER.attempted(table) {
        return Some(Credentials::Bearer { token: token? });
    }
    let missing = [
        ("oauth2-token-url", table.has("oauth2-token-url")),
        ("oauth2-client-id", table.has("oauth2-client-id")),
        ("oauth2-refresh-token-file", REFRESH_TOKEN.attempted(table)),
    ];
    let missing: Vec<&str> = missing
        .into_iter()
        .filter_map(|(key, there)| (!there).then_some(key))
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        half(
            &format!("without {missing}"),
            &format!("set {missing}, too"),
        );
    }
    Some(Credentials::OAuth2 {
        token_url: token_url?,
        client_id: client_id?,
        client_secret,
        refresh_token: refresh_token?,
    })
}

/// The interval at rest, and the one while changes come.
fn polls(table: &mut Table<'_, '_>) -> (Duration, Duration) {
    let given = table.optional("poll", value::duration(SECOND..=DAY));
    let poll = given.unwrap_or(POLL);
    let fastest = table.optional("poll-fastest", value::duration(SECOND..=DAY));
    let poll_is_known = given.is_some() || !table.has("poll");
    if poll_is_known && fastest.is_some_and(|fastest| fastest > poll) {
        let hint = "make it shorter, or poll longer (default: \"1m\")";
        table.report_at("poll-fastest", Wrong::new("longer than poll", hint));
    }
    let by_itself = (poll / 4).max(POLL_FASTEST);
    (poll, fastest.unwrap_or(by_itself).min(poll))
}
