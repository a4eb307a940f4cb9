//! `[[calendar.feed]]`: where a feed is, how it is signed in to, and where its events are published.

use std::time::Duration;

use url::Url;

use super::calendars::{DAY, MINUTE, SECOND};
use super::secrets::Keys;
use super::table::{Table, Value, Wrong};
use super::{Feed, Publish, value};
use crate::http::Credentials;

/// How often a feed is fetched, where nothing else is said.
const POLL: Duration = Duration::from_secs(15 * MINUTE.as_secs());

/// The keys of one place's credentials.
struct SignIn {
    username: &'static str,
    password: Keys,
    bearer: Keys,
}

const SOURCE: SignIn = SignIn {
    username: "username",
    password: Keys {
        plain: "password",
        file: "password-file",
        command: "password-command",
        credential: "password-credential",
    },
    bearer: Keys {
        plain: "bearer-token",
        file: "bearer-token-file",
        command: "bearer-token-command",
        credential: "bearer-token-credential",
    },
};

const TARGET: SignIn = SignIn {
    username: "publish-username",
    password: Keys {
        plain: "publish-password",
        file: "publish-password-file",
        command: "publish-password-command",
        credential: "publish-password-credential",
    },
    bearer: Keys {
        plain: "publish-bearer-token",
        file: "publish-bearer-token-file",
        command: "publish-bearer-token-command",
        credential: "publish-bearer-token-credential",
    },
};

/// A feed's keys, without those that all calendars have.
pub(super) fn feed(table: &mut Table<'_, '_>, allow_http: bool) -> Option<Feed> {
    let own = table.optional("allow-http", value::boolean);
    let allow_http = own.unwrap_or(allow_http);
    let url = table.required("url", feed_url(allow_http));
    let credentials = SOURCE.read(table);
    let poll = table
        .optional("poll", value::duration(SECOND..=DAY))
        .unwrap_or(POLL);
    let publish = publish(table, allow_http);
    table.refuse(
        "rescan",
        "a feed is read as a whole each time",
        "poll says how often",
    );
    Some(Feed {
        url: url?,
        allow_http,
        credentials: credentials?,
        poll,
        publish: publish?,
    })
}

/// The one place where the events go with their links.
fn publish(table: &mut Table<'_, '_>, allow_http: bool) -> Option<Publish> {
    const HINT: &str = "give one of publish-file, publish-url and writable = true";
    let file = table.optional("publish-file", value::path);
    let url = table.optional("publish-url", value::service_url(allow_http));
    let writable = table.optional("writable", value::boolean);
    let credentials = TARGET.read(table);
    let back = writable == Some(true);
    let given = [
        ("publish-file", table.has("publish-file")),
        ("publish-url", table.has("publish-url")),
        ("writable", back),
    ];
    let mut given = given.iter().filter(|(_, there)| *there);
    match (given.next(), given.next()) {
        (None, _) if writable.is_some() || !table.has("writable") => {
            let what = "nothing says where the events go with their links";
            table.missing(what, HINT);
            return None;
        }
        (Some((first, _)), Some((second, _))) => {
            let what = format!("a second place for the events with their links, beside `{first}`");
            table.report_at(second, Wrong::new(what, HINT));
            return None;
        }
        _ => {}
    }
    if !table.has("publish-url")
        && let Some(key) = TARGET.given(table)
    {
        let hint = "set publish-url, or take it out";
        table.report_at(key, Wrong::new("without publish-url", hint));
    }
    if back {
        return Some(Publish::Source);
    }
    match (file, url) {
        (Some(path), _) => Some(Publish::File(path)),
        (_, Some(url)) => Some(Publish::Web {
            url,
            credentials: Box::new(credentials?),
        }),
        _ => None,
    }
}

impl SignIn {
    /// The first of its keys that is there.
    fn given(&self, table: &Table<'_, '_>) -> Option<&'static str> {
        let name = table.has(self.username).then_some(self.username);
        let secret = || self.password.given(table).or(self.bearer.given(table));
        name.or_else(secret)
    }

    /// One way to sign in, or none; a half one and a second one are faults.
    fn read(&self, table: &mut Table<'_, '_>) -> Option<Credentials> {
        let username = table.optional(self.username, value::string);
        let password = self.password.read(table);
        let token = self.bearer.read(table);
        let (named, has_password) = (table.has(self.username), self.password.attempted(table));
        if self.bearer.attempted(table) {
            if named || has_password {
                let key = if named {
                    Some(self.username)
                } else {
                    self.password.given(table)
                };
                let wrong = Wrong::new(
                    "a second way to sign in, beside a bearer token",
                    "keep one: a password or a bearer token",
                );
                table.report_at(key.unwrap_or(self.username), wrong);
                return None;
            }
            return Some(Credentials::Bearer { token: token? });
        }
        match (named, has_password) {
            (false, false) => Some(Credentials::None),
            (true, false) => {
                let hint = format!("set {}, too", self.password.file);
                table.report_at(self.username, Wrong::new("without a password", hint));
                None
            }
            (false, true) => {
                let key = self.password.given(table).unwrap_or(self.password.plain);
                let (what, hint) = (
                    format!("without {}", self.username),
                    format!("set {}, too", self.username),
                );
                table.report_at(key, Wrong::new(what, hint));
                None
            }
            (true, true) => Some(Credentials::Password {
                username: username?,
                password: password?,
            }),
        }
    }
}

/// Where a feed is. webcal is another word for https, and for http where that is allowed.
fn feed_url(http: bool) -> impl Fn(&Value<'_>) -> Result<Url, Wrong> {
    move |value| value::feed_url(value, http)
}
