//! Links that a mail filter has put into one of its own: what is in them.
//!
//! In: a URL. Out: the URL inside it, byte for byte as it was, where the service is known and says it.

use percent_encoding::percent_decode_str;
use url::Url;

/// The longest URL that is looked into, in bytes.
const MAX_URL: usize = 8 << 10;
/// How many wrappings are taken off.
const DEPTH: usize = 3;

/// The URL that `url` wraps, all wrappings off; `None` if there is none.
pub(super) fn unwrapped(url: &str) -> Option<String> {
    let mut inner = layer(url)?;
    for _ in 1..DEPTH {
        match layer(&inner) {
            Some(next) => inner = next,
            None => break,
        }
    }
    Some(inner)
}

/// Whether a text may hold a wrapped link at all: looking for one costs more.
pub(super) fn may_hold(text: &str) -> bool {
    ["safelinks.protection.", "urldefense.", "google.com/url"]
        .iter()
        .any(|sign| memchr::memmem::find(text.as_bytes(), sign.as_bytes()).is_some())
}

fn layer(url: &str) -> Option<String> {
    if url.len() > MAX_URL || !may_hold(&url.to_ascii_lowercase()) {
        return None;
    }
    let outer = Url::parse(url).ok()?;
    if !matches!(outer.scheme(), "https" | "http") {
        return None;
    }
    let host = outer.host_str()?;
    let inner = match host {
        "www.google.com" if outer.path() == "/url" => query(&outer, &["q", "url"])?,
        "urldefense.proofpoint.com" | "urldefense.com" => match outer.path() {
            path if path.starts_with("/v3/__") => version_3(url)?,
            "/v2/url" => version_2(&query(&outer, &["u"])?)?,
            _ => return None,
        },
        _ => {
            let safe_links = [
                ".safelinks.protection.outlook.com",
                ".safelinks.protection.office365.us",
                ".safelinks.protection.partner.outlook.cn",
            ];
            if !safe_links.iter().any(|end| host.ends_with(end)) {
                return None;
            }
            query(&outer, &["url"])?
        }
    };
    let begins = |scheme: &str| {
        let head = inner.get(..scheme.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    (begins("https://") || begins("http://")).then_some(inner)
}

/// The value of the first of these query parameters. A plus is a plus: SafeLinks encodes blanks as `%20`.
fn query(url: &Url, names: &[&str]) -> Option<String> {
    let pairs = url.query()?.split('&');
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| names.contains(name))?;
    percent_decode_str(value).decode_utf8().ok().map(Into::into)
}

/// Proofpoint's second form: `-` for `%`, `_` for `/`.
fn version_2(value: &str) -> Option<String> {
    let encoded = value.replace('-', "%").replace('_', "/");
    percent_decode_str(&encoded)
        .decode_utf8()
        .ok()
        .map(Into::into)
}

/// Proofpoint's third form, `/v3/__URL__;REPLACED!!...`: each `*` of the URL stands for a byte of what
/// was replaced, `**` and a letter for several.
fn version_3(url: &str) -> Option<String> {
    const LENGTHS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (_, from) = url.split_once("/v3/__")?;
    let (inner, behind) = from.rsplit_once("__;")?;
    let (replaced, _) = behind.split_once("!!")?;
    let replaced = data_encoding::BASE64URL_NOPAD
        .decode(replaced.trim_end_matches('=').as_bytes())
        .ok()?;
    let (mut replaced, mut bytes) = (replaced.iter(), Vec::new());
    let mut rest = inner.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let run = match (byte, behind) {
            (b'*', [b'*', letter, ..]) => {
                rest = behind.get(2..)?;
                LENGTHS.iter().position(|known| known == letter)? + 2
            }
            (b'*', _) => 1,
            _ => 0,
        };
        if run == 0 {
            bytes.push(byte);
        }
        for _ in 0..run {
            bytes.push(*replaced.next()?);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    // Servers on the way make one slash of two.
    let lost = text.strip_prefix("https:/").filter(|r| !r.starts_with('/'));
    Some(match lost {
        Some(behind) => format!("https://{behind}"),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_link_comes_out_as_it_was() {
        let teams = "https://teams.microsoft.com/l/meetup-join/19%3ameeting_x%40thread.v2/0?context=%7b%22Tid%22%3a%221%22%7d&a=b+c";
        let encoded =
            percent_encoding::utf8_percent_encode(teams, percent_encoding::NON_ALPHANUMERIC);
        let safe = |inner: &str| {
            format!(
                "https://eur01.safelinks.protection.outlook.com/ap/t-59/?url={inner}&data=05%7C&sdata=x&reserved=0"
            )
        };
        let once = safe(&encoded.to_string());
        let twice =
            percent_encoding::utf8_percent_encode(&once, percent_encoding::NON_ALPHANUMERIC);
        let twice = safe(&twice.to_string());
        let us = once.replace("outlook.com", "office365.us");
        let cases = [
            (once.as_str(), Some(teams)),
            (twice.as_str(), Some(teams)),
            (us.as_str(), Some(teams)),
            (
                "https://urldefense.proofpoint.com/v2/url?u=https-3A__zoom.us_j_123-3Fpwd-3Da-2Db&d=DwM&c=x",
                Some("https://zoom.us/j/123?pwd=a-b"),
            ),
            (
                "https://urldefense.com/v3/__https://zoom.us/j/1?pwd=x__;!!abc!def$",
                Some("https://zoom.us/j/1?pwd=x"),
            ),
            (
                "https://urldefense.com/v3/__https://teams.microsoft.com/l/meetup-join/x/0?context=*7b*22**Bd__;JSUlMg!!abc!def$",
                None,
            ),
            (
                "https://urldefense.com/v3/__https:/a.example/*7b*22__;JSU!!abc!def$",
                Some("https://a.example/%7b%22"),
            ),
            (
                "https://urldefense.com/v3/__https://a.example/**Bx__;JSUm!!abc!def$",
                Some("https://a.example/%%&x"),
            ),
            (
                "https://www.google.com/url?q=https://zoom.us/j/1&sa=D",
                Some("https://zoom.us/j/1"),
            ),
            ("https://www.google.com/url?sa=D", None),
            (
                "https://safelinks.protection.outlook.com.evil.example/?url=https%3A%2F%2Fzoom.us%2Fj%2F1",
                None,
            ),
            (
                "https://evil.example/?x=safelinks.protection.outlook.com&url=https%3A%2F%2Fzoom.us",
                None,
            ),
            (
                "https://a.safelinks.protection.outlook.com/?url=javascript%3Aalert(1)",
                None,
            ),
            (
                "https://a.safelinks.protection.outlook.com/?url=https%3A%2F%2F%FF",
                None,
            ),
            (
                "https://urldefense.com/v3/__https://a.example/*__;!!abc!def$",
                None,
            ),
            (
                "https://urldefense.com/v4/__https://a.example/__;!!abc!def$",
                None,
            ),
        ];
        for (url, expected) in cases {
            assert_eq!(unwrapped(url).as_deref(), expected, "{url}");
        }
        let long = format!("{}{}", safe("https%3A%2F%2Fzoom.us"), "x".repeat(MAX_URL));
        assert_eq!(unwrapped(&long), None);
    }
}
