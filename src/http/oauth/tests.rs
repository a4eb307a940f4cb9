use std::path::Path;

use serde_json::{Value, json};

use super::answer::granted;
use super::*;
use crate::http::Answer;
use crate::http::testing::Timeless;
use crate::http::testing::server::{Received, Server, answer};
use crate::http::{ClientOptions, WindowStore};

struct Nowhere;

impl WindowStore for Nowhere {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        Vec::new()
    }

    fn store(&self, _scope: &str, _until: DateTime<Utc>) {}
}

/// A place with the secrets in files, and a server that answers as told.
struct World {
    directory: tempfile::TempDir,
    clock: Arc<Timeless>,
    server: Server,
}

const REFRESH: &str = "1//refresh-s3cret";

impl World {
    fn new(handler: impl FnMut(&Received) -> Vec<u8> + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("refresh"), REFRESH).unwrap();
        std::fs::write(directory.path().join("client"), "client-s3cret\n").unwrap();
        Self {
            directory,
            clock: Arc::default(),
            server: Server::start(handler),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A source as a process has it after its start.
    fn tokens(&self) -> RefreshTokens {
        let grant = Grant {
            account: "alice".to_owned(),
            token_url: self.server.url.join("/token").unwrap(),
            client_id: "client-1".to_owned(),
            client_secret: Some(SecretSource::File(self.path("client"))),
            refresh_token: SecretSource::File(self.path("refresh")),
            directory: Some(self.path("tokens")),
            allow_http: false,
        };
        self.with(grant)
    }

    fn with(&self, grant: Grant) -> RefreshTokens {
        let client = Client::new(&ClientOptions::default()).unwrap();
        let windows = Windows::new(self.clock.clone(), Arc::new(Nowhere));
        RefreshTokens::new(grant, client, Arc::new(windows), self.clock.clone())
    }

    fn pass(&self, seconds: u64) {
        self.clock.pass(Duration::from_secs(seconds));
    }

    /// The refresh tokens that came since the last call.
    fn shown(&self) -> Vec<String> {
        let found = self.server.received();
        self.server.count();
        found
            .iter()
            .map(|request| field(request, "refresh_token"))
            .collect()
    }
}

fn field(request: &Received, name: &str) -> String {
    url::form_urlencoded::parse(request.body.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn grant(number: usize, rotated: Option<&str>) -> Vec<u8> {
    let mut body = json!({
        "access_token": format!("access-{number}"),
        "expires_in": 3599,
        "scope": "https://www.googleapis.com/auth/calendar",
        "token_type": "Bearer",
    });
    if let Some(rotated) = rotated {
        body["refresh_token"] = rotated.into();
    }
    answer(200, &["content-type: application/json"], &body.to_string())
}

fn refusal(status: u16, error: &str) -> Vec<u8> {
    let body = json!({"error": error, "error_description": "private words"});
    answer(status, &[], &body.to_string())
}

/// Grants access tokens 1, 2 and so on, without rotation.
fn granting() -> impl FnMut(&Received) -> Vec<u8> + Send + 'static {
    let mut number = 0;
    move |_| {
        number += 1;
        grant(number, None)
    }
}

#[tokio::test]
async fn google_s_endpoint_is_asked_once_per_life() {
    let world = World::new(granting());
    let tokens = world.tokens();
    let token = tokens.get().await.unwrap();
    assert_eq!(token.bearer, "Bearer access-1");
    assert_eq!(tokens.get().await.unwrap().bearer, "Bearer access-1");
    let request = world.server.received().remove(0);
    assert_eq!((&*request.method, &*request.target), ("POST", "/token"));
    assert_eq!(
        request.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    for (name, value) in [
        ("grant_type", "refresh_token"),
        ("refresh_token", REFRESH),
        ("client_id", "client-1"),
        ("client_secret", "client-s3cret"),
    ] {
        assert_eq!(field(&request, name), value);
    }
    assert_eq!(world.server.count(), 1);

    world.pass(3599 - 5 * 60 - 1);
    tokens.get().await.unwrap();
    assert_eq!(world.server.count(), 0);
    world.pass(1);
    assert_eq!(tokens.get().await.unwrap().bearer, "Bearer access-2");
    assert!(!world.path("tokens").exists(), "nothing was rotated");
}

#[tokio::test]
async fn tasks_that_need_a_token_share_one_request_and_its_failure() {
    let world = World::new(granting());
    let tokens = world.tokens();
    let all = futures_util::future::join_all((0..20).map(|_| tokens.get())).await;
    assert!(
        all.iter()
            .all(|token| token.as_ref().unwrap().bearer == "Bearer access-1")
    );
    assert_eq!(world.server.count(), 1);

    let world = World::new(|_| answer(500, &[], ""));
    let tokens = world.tokens();
    let all = futures_util::future::join_all((0..20).map(|_| tokens.get())).await;
    assert!(
        all.iter()
            .all(|token| matches!(token, Err(TokenError::Busy(_))))
    );
    assert_eq!(world.server.count(), 1);
}

#[tokio::test]
async fn a_discarded_token_is_replaced_once() {
    let world = World::new(granting());
    let tokens = world.tokens();
    let first = tokens.get().await.unwrap();
    tokens.discard(&first);
    let second = tokens.get().await.unwrap();
    tokens.discard(&first);
    assert_eq!(tokens.get().await.unwrap().bearer, second.bearer);
    assert_eq!(world.server.count(), 2);
}

#[tokio::test]
async fn a_rotated_refresh_token_is_on_disk_before_its_access_token_is_used() {
    let mut number = 0;
    let world = World::new(move |_| {
        number += 1;
        grant(number, Some(&format!("rotated-{number}")))
    });
    let kept = || kept::load(&world.path("tokens/alice.json")).unwrap();
    world.tokens().get().await.unwrap();
    assert!(kept().unwrap().token.expose_secret() == "rotated-1");
    // After a restart, and within one process.
    let tokens = world.tokens();
    tokens.get().await.unwrap();
    world.pass(3600);
    tokens.get().await.unwrap();
    assert_eq!(world.shown(), [REFRESH, "rotated-1", "rotated-2"]);

    // A person signed in anew.
    std::fs::write(world.path("refresh"), "configured anew").unwrap();
    world.pass(3600);
    tokens.get().await.unwrap();
    world.tokens().get().await.unwrap();
    assert_eq!(world.shown(), ["configured anew", "rotated-4"]);
}

#[tokio::test]
async fn a_rotation_outlives_a_caller_that_stops_waiting() {
    let (entered, wait) = std::sync::mpsc::channel();
    let (go, gate) = std::sync::mpsc::channel();
    let world = World::new(move |_| {
        entered.send(()).unwrap();
        gate.recv().unwrap();
        grant(1, Some("rotated"))
    });
    let tokens = world.tokens();
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.get().await }
    });
    tokio::task::spawn_blocking(move || wait.recv().unwrap())
        .await
        .unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go.send(()).unwrap();
    assert_eq!(tokens.get().await.unwrap().bearer, "Bearer access-1");
    assert_eq!(world.server.count(), 1);
    let kept = kept::load(&world.path("tokens/alice.json")).unwrap();
    assert!(kept.unwrap().token.expose_secret() == "rotated");
}

#[tokio::test]
async fn a_rotated_refresh_token_that_cannot_be_kept_is_kept_later() {
    let (tell, told) = std::sync::mpsc::channel::<PathBuf>();
    let world = World::new(move |_| {
        std::fs::write(told.recv().unwrap(), "in the way").unwrap();
        grant(1, Some("rotated"))
    });
    tell.send(world.path("tokens")).unwrap();
    let tokens = world.tokens();
    for _ in 0..2 {
        let error = tokens.get().await.unwrap_err();
        assert!(matches!(error, TokenError::Secret(_)), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("cannot be kept in") && text.contains("tokens/alice.json"),
            "{text}"
        );
        assert_clean(&format!("{error} {error:?}"));
    }
    std::fs::remove_file(world.path("tokens")).unwrap();
    assert_eq!(tokens.get().await.unwrap().bearer, "Bearer access-1");
    assert_eq!(world.shown(), [REFRESH], "one request in all");
    let kept = kept::load(&world.path("tokens/alice.json")).unwrap();
    assert!(kept.unwrap().token.expose_secret() == "rotated");
}

#[tokio::test]
async fn without_a_directory_a_rotation_lives_as_long_as_the_process() {
    let mut number = 0;
    let world = World::new(move |_| {
        number += 1;
        grant(number, Some(&format!("rotated-{number}")))
    });
    let tokens = world.tokens();
    let tokens = world.with(Grant {
        directory: None,
        ..tokens.0.grant.clone()
    });
    tokens.get().await.unwrap();
    world.pass(3600);
    tokens.get().await.unwrap();
    assert_eq!(world.shown(), [REFRESH, "rotated-1"]);
}

#[tokio::test]
async fn a_dead_refresh_token_waits_for_a_person_and_heals_at_once() {
    let world = World::new(|request| match field(request, "refresh_token").as_str() {
        REFRESH => refusal(400, "invalid_grant"),
        _ => grant(1, None),
    });
    let tokens = world.tokens();
    for _ in 0..3 {
        let error = tokens.get().await.unwrap_err();
        assert!(matches!(error, TokenError::Refused(_)), "{error:?}");
        let text = error.to_string();
        for words in ["127.0.0.1:", "invalid_grant", "sign in anew", "/refresh"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_clean(&format!("{error} {error:?}"));
    }
    assert_eq!(world.server.count(), 1, "asked again only after a while");
    world.pass(15 * 60);
    assert!(tokens.get().await.is_err());
    assert_eq!(world.server.count(), 1);

    std::fs::write(world.path("refresh"), "a good one").unwrap();
    assert_eq!(tokens.get().await.unwrap().bearer, "Bearer access-1");
}

#[tokio::test]
async fn trouble_passes_and_an_old_token_bridges_it() {
    let mut answers = vec![
        grant(3, None),
        answer(500, &[], "<html>"),
        grant(2, None),
        Vec::new(),
        grant(1, None),
        refusal(400, "temporarily_unavailable"),
        answer(200, &[], "<html>login</html>"),
        answer(503, &[], ""),
    ];
    let world = World::new(move |_| answers.pop().unwrap());
    let tokens = world.tokens();
    for _ in 0..3 {
        let error = tokens.get().await.unwrap_err();
        assert!(matches!(error, TokenError::Busy(_)), "{error:?}");
        assert_clean(&format!("{error} {error:?}"));
    }
    assert_eq!(tokens.get().await.unwrap().bearer, "Bearer access-1");
    // The renewal breaks off; the old one holds, and is renewed half a minute later.
    world.pass(3599 - 60);
    assert_eq!(tokens.get().await.unwrap().bearer, "Bearer access-1");
    assert_eq!(tokens.get().await.unwrap().bearer, "Bearer access-1");
    world.pass(30);
    assert_eq!(tokens.get().await.unwrap().bearer, "Bearer access-2");
    // The next renewal fails when the old one is over.
    world.pass(3600);
    assert!(tokens.get().await.is_err());
    assert_eq!(tokens.get().await.unwrap().bearer, "Bearer access-3");
}

#[tokio::test]
async fn a_throttled_endpoint_is_left_alone() {
    let mut answers = vec![grant(1, None), answer(429, &["retry-after: 60"], "")];
    let world = World::new(move |_| answers.pop().unwrap());
    let tokens = world.tokens();
    let until = Timeless::start() + chrono::TimeDelta::seconds(60);
    for _ in 0..2 {
        let error = tokens.get().await.unwrap_err();
        assert!(
            matches!(error, TokenError::Throttled { until: found, .. } if found == until),
            "{error:?}"
        );
    }
    assert_eq!(world.server.count(), 1);
    world.pass(60);
    tokens.get().await.unwrap();
}

#[tokio::test]
async fn what_is_missing_is_named_and_nothing_is_sent() {
    let world = World::new(granting());
    for (spoilt, words) in [
        ("client", "the client secret: "),
        ("refresh", "the refresh token: "),
    ] {
        std::fs::write(world.path(spoilt), "").unwrap();
        let error = world.tokens().get().await.unwrap_err();
        assert!(matches!(error, TokenError::Secret(_)), "{error:?}");
        assert!(error.to_string().starts_with(words), "{error}");
    }
    let plain = Grant {
        token_url: Url::parse("http://auth.example.com/token").unwrap(),
        ..world.tokens().0.grant.clone()
    };
    let error = world.with(plain).get().await.unwrap_err();
    assert!(error.to_string().contains("plain http"), "{error}");
    assert_eq!(world.server.count(), 0);
}

#[test]
fn refusals_say_what_to_do() {
    let source = |name: &str| SecretSource::File(Path::new("/etc").join(name));
    let mut grant = Grant {
        account: "alice".to_owned(),
        token_url: Url::parse("https://auth.example.com/token").unwrap(),
        client_id: "client-1".to_owned(),
        client_secret: Some(source("client")),
        refresh_token: source("refresh"),
        directory: None,
        allow_http: false,
    };
    let verdict = |status: u16, error: &str, grant: &Grant| {
        let answer = Answer {
            status: reqwest::StatusCode::from_u16(status).unwrap(),
            headers: reqwest::header::HeaderMap::new(),
            body: json!({"error": error}).to_string().into_bytes(),
        };
        match judge(&answer, None, "auth.example.com", grant) {
            Verdict::Failed(TokenError::Refused(text)) => text,
            _ => panic!("{status} {error} is not for a person"),
        }
    };
    for (status, error, words) in [
        (
            400,
            "invalid_grant",
            "put the new refresh token into /etc/refresh",
        ),
        (
            401,
            "invalid_client",
            "check `oauth2-client-id` and /etc/client",
        ),
        (400, "unauthorized_client", "HTTP 400, unauthorized_client"),
        (400, "invalid_scope", "access to calendars"),
        (400, "unsupported_grant_type", "check `oauth2-token-url`"),
        (404, "", "(HTTP 404): check `oauth2-token-url`"),
        (302, "", "check `oauth2-token-url`"),
        (400, "odd <words> of its own", "(HTTP 400)"),
    ] {
        let text = verdict(status, error, &grant);
        assert!(text.contains(words), "{text}");
        assert!(text.starts_with("auth.example.com gives no access token ("));
        assert!(!text.contains('<'), "{text}");
    }
    grant.client_secret = None;
    let text = verdict(401, "invalid_client", &grant);
    assert!(text.contains("`oauth2-client-secret-file`"), "{text}");
}

#[test]
fn only_a_whole_token_is_a_token() {
    let whole = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "ya29"});
    let with = |key: &str, value: Value| {
        let mut body = whole.clone();
        body[key] = value;
        body
    };
    for (body, seconds) in [
        (whole.clone(), 3599),
        (with("expires_in", json!("600")), 600),
        (with("expires_in", Value::Null), 3600),
        (with("expires_in", json!(0)), 60),
        (with("expires_in", json!(u64::MAX)), 86_400),
        (with("token_type", json!("bearer")), 3599),
        (with("token_type", Value::Null), 3599),
    ] {
        match granted(&body) {
            Some(Verdict::Granted { bearer, life, .. }) => {
                assert_eq!(life.as_secs(), seconds, "{body}");
                assert_eq!(format!("{bearer:?}"), "Sensitive");
            }
            _ => panic!("{body}"),
        }
    }
    for body in [
        Value::Null,
        with("access_token", Value::Null),
        with("access_token", json!("")),
        with("access_token", json!("a\nb")),
        with("token_type", json!("mac")),
    ] {
        assert!(granted(&body).is_none(), "{body}");
    }
}

/// No secret shows, nor the server's own words.
fn assert_clean(text: &str) {
    for word in ["s3cret", "rotated", "access-", "private", "<html>"] {
        assert!(!text.contains(word), "{text}");
    }
}
