//! Who is asking: Basic, Digest and Bearer, checked by what the RFCs say and not by the client's code.

use super::quirks::Auth;
use super::store::World;
use super::wire::{Answer, Asked};

const REALM: &str = "fake";

/// The user who is asking, or the answer that refuses.
pub(super) fn authorize(world: &mut World, asked: &Asked) -> Result<String, Answer> {
    if world.quirks.auth.is_empty() {
        return Ok(world.users.keys().next().expect("a user").clone());
    }
    let Some(given) = asked.header("authorization") else {
        return Err(challenge(world, false));
    };
    let (scheme, rest) = given.split_once(' ').unwrap_or((given, ""));
    let offers = |auth: &[Auth]| world.quirks.auth.iter().any(|one| auth.contains(one));
    let user = match scheme.to_ascii_lowercase().as_str() {
        "basic" if offers(&[Auth::Basic, Auth::LowerBasic]) => basic(world, rest),
        "digest" if offers(&[Auth::DigestMd5, Auth::DigestSha256]) => {
            match digest(world, asked, rest) {
                Judged::In(user) => Some(user),
                Judged::Stale => return Err(challenge(world, true)),
                Judged::Wrong => None,
            }
        }
        "bearer" if offers(&[Auth::Bearer]) => world.bearer_tokens.get(rest.trim()).cloned(),
        _ => None,
    };
    user.ok_or_else(|| {
        world.wrong += 1;
        match world.quirks.brute_force {
            Some(most) if world.wrong > most => Answer::new(429).with("Retry-After", "300"),
            _ => challenge(world, false),
        }
    })
}

fn challenge(world: &mut World, stale: bool) -> Answer {
    let mut answer = Answer::new(401);
    for auth in world.quirks.auth.clone() {
        let value = match auth {
            Auth::Basic => format!("Basic realm=\"{REALM}\", charset=\"UTF-8\""),
            Auth::LowerBasic => format!("basic realm=\"{REALM}\""),
            Auth::Bearer => format!("Bearer realm=\"{REALM}\""),
            Auth::Scram => format!("SCRAM-SHA-256 realm=\"{REALM}\""),
            Auth::MobileMe => "x-mobileme-authtoken realm=\"MMCalDav\"".to_owned(),
            Auth::DigestMd5 | Auth::DigestSha256 | Auth::BrokenDigest => {
                let nonce = format!("nonce{}", world.nonces.len());
                world.nonces.insert(nonce.clone(), (0, 0));
                let algorithm = match auth {
                    Auth::DigestSha256 => "SHA-256",
                    _ => "MD5",
                };
                let stale = if stale { ", stale=true" } else { "" };
                format!(
                    "Digest realm=\"{REALM}\", qop=\"auth\", algorithm={algorithm}, \
                     nonce=\"{nonce}\", opaque=\"opaque\"{stale}"
                )
            }
        };
        answer = answer.with("WWW-Authenticate", value);
    }
    answer.body("text/plain", "Sign in.\n")
}

fn basic(world: &World, given: &str) -> Option<String> {
    let given = data_encoding::BASE64.decode(given.trim().as_bytes()).ok()?;
    let given = String::from_utf8(given).ok()?;
    let (user, password) = given.split_once(':')?;
    (world.users.get(user)?.password == password).then(|| user.to_owned())
}

enum Judged {
    In(String),
    Stale,
    Wrong,
}

fn digest(world: &mut World, asked: &Asked, given: &str) -> Judged {
    let get = |name: &str| parameter(given, name).unwrap_or_default();
    let (user, nonce, uri) = (get("username"), get("nonce"), get("uri"));
    let (nc, cnonce) = (get("nc"), get("cnonce"));
    let sha = get("algorithm").eq_ignore_ascii_case("SHA-256");
    let offered = match sha {
        true => Auth::DigestSha256,
        false => Auth::DigestMd5,
    };
    let Some(password) = world.users.get(&user).map(|user| user.password.clone()) else {
        return Judged::Wrong;
    };
    let right = world.quirks.auth.contains(&offered)
        && uri == asked.target
        && get("realm") == REALM
        && get("opaque") == "opaque"
        && get("qop") == "auth"
        && nc.len() == 8
        && !cnonce.is_empty();
    let hash = |text: String| match sha {
        true => data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(text)),
        false => data_encoding::HEXLOWER.encode(&<md5::Md5 as md5::Digest>::digest(text)),
    };
    let secret = hash(format!("{user}:{REALM}:{password}"));
    let what = hash(format!("{}:{uri}", asked.method));
    let expected = hash(format!("{secret}:{nonce}:{nc}:{cnonce}:auth:{what}"));
    if !right || get("response") != expected {
        return Judged::Wrong;
    }
    let most = world.quirks.nonce_uses.unwrap_or(usize::MAX);
    let count = u32::from_str_radix(&nc, 16).unwrap_or(0);
    match world.nonces.get_mut(&nonce) {
        // A count that was used is a replay (RFC 7616, 3.3).
        Some((uses, last)) if *uses < most && count > *last => {
            (*uses, *last) = (*uses + 1, count);
            Judged::In(user)
        }
        _ => Judged::Stale,
    }
}

/// Answers what is posted to the token endpoint (RFC 6749, 6).
pub(super) fn token(world: &mut World, asked: &Asked) -> Answer {
    let body = String::from_utf8_lossy(&asked.body).into_owned();
    let form: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let get = |name: &str| {
        let found = form.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    };
    let json = |status, body: String| {
        Answer::new(status)
            .body("application/json", body)
            .with("Cache-Control", "no-store")
    };
    let kind = asked.header("content-type").unwrap_or_default();
    let form = kind.starts_with("application/x-www-form-urlencoded");
    if !form || get("grant_type") != Some("refresh_token") || get("client_id").is_none() {
        return json(400, r#"{"error":"invalid_request"}"#.into());
    }
    let given = get("refresh_token").unwrap_or_default().to_owned();
    let Some(user) = world.refresh_tokens.get(&given).cloned() else {
        return json(400, r#"{"error":"invalid_grant"}"#.into());
    };
    world.serial += 1;
    let access = format!("access{}", world.serial);
    world.bearer_tokens.insert(access.clone(), user.clone());
    let mut rotated = String::new();
    if world.quirks.rotates_tokens {
        let next = format!("refresh{}", world.serial);
        world.refresh_tokens.remove(&given);
        world.refresh_tokens.insert(next.clone(), user);
        rotated = format!(",\"refresh_token\":\"{next}\"");
    }
    let body = format!(
        "{{\"access_token\":\"{access}\",\"token_type\":\"Bearer\",\"expires_in\":3600{rotated}}}"
    );
    json(200, body)
}

/// The value of a parameter in `name="value", name=value`.
fn parameter(given: &str, name: &str) -> Option<String> {
    let mut rest = given;
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        let (found, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if found.trim().eq_ignore_ascii_case(name) {
            return Some(value.trim().to_owned());
        }
        rest = after;
    }
}
