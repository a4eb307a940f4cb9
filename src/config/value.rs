//! Single values: what is typed to what is meant, each with its range. Pure.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use toml::de::DeValue;
use url::{Host, Url};

use super::table::{Value, Wrong, mistaken, nearest};
use crate::log::Filter;
use crate::model::{CalendarName, Escaped, OrganizerId};

type Read<T> = Result<T, Wrong>;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The longest calendar name, in characters.
const LONGEST_NAME: usize = 64;
/// How many items an array may have.
const MOST_ITEMS: usize = 1000;

/// A string without control characters, not empty.
pub(super) fn string(value: &Value<'_>) -> Read<String> {
    let Some(text) = value.get_ref().as_str() else {
        return Err(mistaken("a string", value.get_ref()));
    };
    if text.trim().is_empty() {
        return Err(Wrong::new("is empty", "give a value, or leave the key out"));
    }
    if text.chars().any(char::is_control) {
        return Err(Wrong::new(
            "holds a control character",
            "write it in one line, without escapes such as \\n",
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn boolean(value: &Value<'_>) -> Read<bool> {
    let found = value.get_ref();
    found
        .as_bool()
        .ok_or_else(|| mistaken("true or false (without quotes)", found))
}

/// A whole number within the range.
pub(super) fn number(range: RangeInclusive<u32>) -> impl Fn(&Value<'_>) -> Read<u32> {
    move |value| {
        let found = value.get_ref();
        let digits = found
            .as_integer()
            .ok_or_else(|| mistaken("a whole number (without quotes)", found))?;
        u32::from_str_radix(digits.as_str(), digits.radix())
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let hint = format!("use {} to {}", range.start(), range.end());
                Wrong::new("out of range", hint)
            })
    }
}

/// A duration such as `"30s"`, `"5m"`, `"12h"`, `"365d"`, within a range of such.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Value<'_>) -> Read<Duration> {
    move |value| {
        let found = value.get_ref();
        let forms = "write a whole number and a unit, such as \"30s\", \"5m\", \"12h\" or \"365d\"";
        let text = found
            .as_str()
            .ok_or_else(|| Wrong::new(mistaken("a duration", found).what, forms))?;
        let spent = parse_duration(text).ok_or_else(|| Wrong::new("not a duration", forms))?;
        if range.contains(&spent) {
            return Ok(spent);
        }
        let hint = format!("use {} to {}", shown(*range.start()), shown(*range.end()));
        Err(Wrong::new("out of range", hint))
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => MINUTE,
        'h' => HOUR,
        'd' => DAY,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // So many digits that it overflows is as long as it gets, and out of every range.
    let number: u64 = digits.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(number.saturating_mul(unit)))
}

/// A duration as one would type it.
fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(DAY) => format!("{}d", seconds / DAY),
        _ if seconds.is_multiple_of(HOUR) => format!("{}h", seconds / HOUR),
        _ if seconds.is_multiple_of(MINUTE) => format!("{}m", seconds / MINUTE),
        _ => format!("{seconds}s"),
    }
}

/// Which lines are logged: a level, or a list such as `info,meetbridge::sync=debug`.
pub(super) fn log_filter(value: &Value<'_>) -> Read<Filter> {
    let text = string(value)?;
    Filter::parse(&text).map_err(|error| Wrong::new(error.what(), error.hint()))
}

/// One of several words.
pub(super) fn choice<T: Copy>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&Value<'_>) -> Read<T> {
    move |value| {
        let found = value.get_ref();
        let text = found.as_str().ok_or_else(|| mistaken("a string", found))?;
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*meant);
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let hint = match nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(word) => format!("did you mean {word:?}? known: {}", all.join(", ")),
            None => format!("known: {}", all.join(", ")),
        };
        Err(Wrong::new("unknown word", hint))
    }
}

/// An array, each item read by itself.
pub(super) fn list<'t, T>(
    item: impl Fn(&Value<'t>) -> Read<T>,
) -> impl Fn(&Value<'t>) -> Read<Vec<T>> {
    move |value| {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(mistaken("an array", value.get_ref()));
        };
        if items.len() > MOST_ITEMS {
            return Err(Wrong::new(
                "too many items",
                format!("give at most {MOST_ITEMS}"),
            ));
        }
        items
            .iter()
            .map(|value| item(value).map_err(|wrong| wrong.at(value.span())))
            .collect()
    }
}

/// An absolute path.
pub(super) fn path(value: &Value<'_>) -> Read<PathBuf> {
    let text = string(value)?;
    if text.starts_with('/') {
        return Ok(PathBuf::from(text));
    }
    let hint = match text.starts_with('~') {
        true => "write the home directory out: a service has another one",
        false => "begin with /: what a path is relative to would depend on who starts meetbridge",
    };
    Err(Wrong::new("not an absolute path", hint))
}

/// A calendar's name.
pub(super) fn name(value: &Value<'_>) -> Read<CalendarName> {
    let text = string(value)?;
    let wrong = if text.chars().count() > LONGEST_NAME {
        format!("longer than {LONGEST_NAME} characters")
    } else if text.trim() != text {
        "begins or ends with a blank".to_owned()
    } else if text.starts_with('-') {
        "begins with a dash, as an option of a command does".to_owned()
    } else if text.contains('/') {
        "holds a slash, which sets an account apart from its calendars".to_owned()
    } else if Escaped(&text).to_string() != text {
        "holds an invisible character".to_owned()
    } else {
        return Ok(CalendarName::new(text));
    };
    Err(Wrong::new(
        wrong,
        "give a short plain name, such as \"team\"",
    ))
}

/// The organizer's object id.
pub(super) fn organizer(value: &Value<'_>) -> Read<OrganizerId> {
    let text = string(value)?;
    OrganizerId::new(&text).ok_or_else(|| match text.contains('@') {
        true => Wrong::new(
            "a user's address, not an object id",
            format!(
                "look the id up: `az ad user show --id {} --query id`, \
                 or GET /users/{{address}}?$select=id in Graph Explorer",
                shell_word(&text)
            ),
        ),
        false => Wrong::new(
            "not an object id",
            "give the user's object id from Entra, such as \"11111111-1111-1111-1111-111111111111\"",
        ),
    })
}

/// The address, if it can stand in a command as it is.
fn shell_word(text: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._-+".contains(c);
    match text.len() <= 128 && text.chars().all(plain) {
        true => text,
        false => "alice@example.org",
    }
}

/// A GUID, in lower case.
pub(super) fn guid(value: &Value<'_>) -> Read<String> {
    let text = string(value)?;
    OrganizerId::new(&text)
        .map(|id| id.as_str().to_owned())
        .ok_or_else(|| {
            Wrong::new(
                "not a GUID",
                "copy \"Application (client) ID\" from the app registration in Entra",
            )
        })
}

/// The tenant: a GUID or a domain name, in lower case.
pub(super) fn tenant(value: &Value<'_>) -> Read<String> {
    let text = string(value)?.to_ascii_lowercase();
    if ["common", "organizations", "consumers"].contains(&text.as_str()) {
        return Err(Wrong::new(
            "not one tenant: an app that signs in by itself needs its own",
            "give the tenant's id or one of its domains, such as \"contoso.onmicrosoft.com\"",
        ));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let domain = text.len() <= 253 && text.contains('.') && text.split('.').all(label);
    if domain || OrganizerId::new(&text).is_some() {
        return Ok(text);
    }
    Err(Wrong::new(
        "neither a tenant id nor a domain",
        "give the tenant's id or one of its domains, such as \"contoso.onmicrosoft.com\"",
    ))
}

/// A language tag (BCP 47): syntax only.
pub(super) fn language(value: &Value<'_>) -> Read<String> {
    let text = string(value)?;
    let mut parts = text.split('-');
    let primary = parts.next().unwrap_or_default();
    let well_formed = text.len() <= 35
        && (2..=3).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        });
    match well_formed {
        true => Ok(text),
        false => Err(Wrong::new(
            "not a language tag",
            "write it as \"en-US\" or \"de-DE\"",
        )),
    }
}

/// An IANA time zone.
pub(super) fn time_zone(value: &Value<'_>) -> Read<Tz> {
    let text = string(value)?;
    text.parse().map_err(|_| {
        let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        let hint = match nearest(&text, names) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => "use an IANA name, such as \"Europe/Berlin\"".to_owned(),
        };
        Wrong::new("unknown time zone", hint)
    })
}

/// A mail address, in lower case and without `mailto:`.
pub(super) fn address(value: &Value<'_>) -> Read<String> {
    address_text(&string(value)?)
}

/// As [`address`], of a text.
pub(super) fn address_text(text: &str) -> Read<String> {
    let text = text.to_lowercase();
    let address = text.strip_prefix("mailto:").unwrap_or(&text);
    let well_formed = address.len() <= 254
        && !address.contains(char::is_whitespace)
        && address.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
    match well_formed {
        true => Ok(address.to_owned()),
        false => Err(Wrong::new(
            "not a mail address",
            "write it as \"alice@example.org\"",
        )),
    }
}

/// The addresses of one account.
pub(super) fn addresses(value: &Value<'_>) -> Read<BTreeSet<String>> {
    Ok(list(address)(value)?.into_iter().collect())
}

/// A program and its arguments.
pub(super) fn command(value: &Value<'_>) -> Read<Vec<String>> {
    let words = match value.get_ref() {
        DeValue::String(_) => {
            return Err(Wrong::new(
                "expected an array, found a string",
                "no shell is used: write [\"program\", \"argument\", ...]",
            ));
        }
        _ => list(string)(value)?,
    };
    match words.first() {
        None => Err(Wrong::new("is empty", "name a program")),
        Some(program) if program.contains('/') && !Path::new(program).is_absolute() => Err(
            Wrong::new("the program's path is not absolute", "begin it with /"),
        ),
        Some(_) => Ok(words),
    }
}

/// The name of a systemd credential: a plain file name.
pub(super) fn credential(value: &Value<'_>) -> Read<String> {
    let text = string(value)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match text.len() <= 255 && text.chars().all(plain) && !text.starts_with('.') {
        true => Ok(text),
        false => Err(Wrong::new(
            "not the name of a credential",
            "give the name as in LoadCredential=NAME:PATH",
        )),
    }
}

/// The base of a service: as [`service_url`], and nothing but scheme and host.
pub(super) fn base_url(http: bool) -> impl Fn(&Value<'_>) -> Read<Url> {
    move |value| {
        let url = plain_url(value, &["https", "http"])?;
        if url.path() != "/" {
            return Err(Wrong::new(
                "more than a base",
                "give scheme and host only, without version, tenant or path",
            ));
        }
        guarded(url, http)
    }
}

/// Where a service is, without userinfo, query and fragment; https, or http where `http` says that
/// plain text is allowed, or on this machine.
pub(super) fn service_url(http: bool) -> impl Fn(&Value<'_>) -> Read<Url> {
    move |value| guarded(plain_url(value, &["https", "http"])?, http)
}

/// Where a feed is: as [`service_url`], but a query may be its secret, and webcal is another word for
/// https, or for http where that is allowed.
pub(super) fn feed_url(value: &Value<'_>, http: bool) -> Read<Url> {
    let mut text = string(value)?;
    let scheme = text
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    let plain = |text: &str| {
        let other = Url::parse(&format!("http{}", text.get(6..).unwrap_or_default()));
        http || other.is_ok_and(|url| is_loopback(&url))
    };
    match scheme.as_deref() {
        Some("webcal") if plain(&text) => text.replace_range(..6, "http"),
        Some("webcal") => text.replace_range(..6, "https"),
        Some("webcals") => text.replace_range(..7, "https"),
        _ => {}
    }
    let url = checked_url(&text, &["https", "http", "webcal"])?;
    guarded(url, http)
}

/// The URL, if secrets may be sent there.
fn guarded(url: Url, http: bool) -> Read<Url> {
    if url.scheme() == "http" && !http && !is_loopback(&url) {
        return Err(Wrong::new(
            "plain http would show the secret to everybody on the way",
            "use https; for a test network, set allow-http = true in [network]",
        ));
    }
    Ok(url)
}

/// A proxy.
pub(super) fn proxy(value: &Value<'_>) -> Read<Url> {
    let url = plain_url(value, &["http", "https", "socks5", "socks5h"])?;
    match url.path() {
        "" | "/" => Ok(url),
        _ => Err(Wrong::new(
            "more than a proxy",
            "give scheme, host and port only, such as \"http://proxy.example.org:3128\"",
        )),
    }
}

/// A URL without userinfo, query and fragment.
fn plain_url(value: &Value<'_>, schemes: &[&str]) -> Read<Url> {
    let url = checked_url(&string(value)?, schemes)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::new("has a query or fragment", "take it out"));
    }
    Ok(url)
}

/// A URL without userinfo.
fn checked_url(text: &str, schemes: &[&str]) -> Read<Url> {
    let url = Url::parse(text).map_err(|error| {
        Wrong::new(
            format!("not a URL: {error}"),
            "write it as \"https://host.example.org\"",
        )
    })?;
    if !schemes.contains(&url.scheme()) || url.host().is_none() {
        return Err(Wrong::new(
            "not a URL of a kind that works here",
            format!("begin with {}://", schemes.join(":// or ")),
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new(
            "holds a user name or password",
            "a URL is no place for a secret: take the part before the @ out",
        ));
    }
    Ok(url)
}

/// Whether the URL's host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
