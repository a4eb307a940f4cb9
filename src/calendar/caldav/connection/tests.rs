use std::sync::Mutex;

use digest_auth::{AuthContext, AuthorizationHeader, HttpMethod};
use reqwest::header::CONTENT_TYPE;
use secrecy::ExposeSecret as _;

use super::*;
use crate::http::WindowStore;
use crate::http::testing::server::{Received, Server, answer};
use crate::http::testing::{Numbers, Timeless};
use crate::secret::SecretSource;

const USER: &str = "alice@example.org";
const PASSWORD: &str = "s3cret";
/// `USER:PASSWORD`.
const BASIC: &str = "Basic YWxpY2VAZXhhbXBsZS5vcmc6czNjcmV0";
const ASK_BASIC: &str = "www-authenticate: Basic realm=\"cal\"";
const ASK_DIGEST: &str = "www-authenticate: Digest realm=\"cal\", qop=\"auth\", nonce=";

struct Nowhere;

impl WindowStore for Nowhere {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        Vec::new()
    }

    fn store(&self, _scope: &str, _until: DateTime<Utc>) {}
}

/// An account with its password in a file, and a server that answers as told.
struct World {
    directory: tempfile::TempDir,
    clock: Arc<Timeless>,
    server: Server,
    connection: Connection,
}

impl World {
    fn new(handler: impl FnMut(&Received) -> Vec<u8> + Send + 'static) -> Self {
        Self::with(handler, |_, _| {})
    }

    /// The settings may be changed; the directory holds `password`.
    fn with(
        handler: impl FnMut(&Received) -> Vec<u8> + Send + 'static,
        change: impl FnOnce(&mut ConnectionSettings, &std::path::Path),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("password"), PASSWORD).unwrap();
        let server = Server::start(handler);
        let clock = Arc::new(Timeless::default());
        let mut settings = settings(server.url.as_str());
        settings.credentials = Credentials::Password {
            username: USER.to_owned(),
            password: SecretSource::File(directory.path().join("password")),
        };
        change(&mut settings, directory.path());
        Self {
            connection: connection(settings, &clock),
            directory,
            clock,
            server,
        }
    }

    fn set_password(&self, password: &str) {
        std::fs::write(self.directory.path().join("password"), password).unwrap();
    }

    fn request(&self) -> Request {
        Request {
            method: Method::from_bytes(b"PROPFIND").unwrap(),
            url: self.server.url.join("/dav/a%20b/?x=1").unwrap(),
            headers: HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static("application/xml"),
            )]),
            body: b"<propfind/>".to_vec(),
            limit: 1000,
            identity: false,
            repeatable: true,
        }
    }

    async fn ask(&self) -> Result<Reply, DavError> {
        let outcome = self.connection.send(&self.request()).await;
        if let Err(error) = &outcome {
            assert_clean(error);
        }
        outcome
    }

    /// Asks, and expects this status.
    async fn status(&self) -> u16 {
        self.ask().await.unwrap().status.as_u16()
    }

    /// Asks, and expects to be told these words in vain.
    async fn refused(&self, words: &[&str]) -> DavError {
        let error = self.ask().await.unwrap_err();
        let text = error.to_string();
        for words in words.iter().chain(&["127.0.0.1:"]) {
            assert!(text.contains(words), "{words}: {text}");
        }
        error
    }

    /// What signed in the requests that came since the last call.
    fn shown(&self) -> Vec<String> {
        let found = self.server.received();
        self.server.count();
        found
            .iter()
            .map(|request| request.header("authorization").to_owned())
            .collect()
    }
}

fn settings(url: &str) -> ConnectionSettings {
    ConnectionSettings {
        name: "alice".to_owned(),
        url: Url::parse(url).unwrap(),
        credentials: Credentials::None,
        client: ClientOptions::default(),
        allow_http: false,
        tokens: None,
    }
}

fn connection(settings: ConnectionSettings, clock: &Arc<Timeless>) -> Connection {
    let windows = Windows::new(clock.clone(), Arc::new(Nowhere));
    let random = Arc::new(Numbers::counting());
    Connection::new(settings, Arc::new(windows), clock.clone(), random).unwrap()
}

fn ok(_: &Received) -> Vec<u8> {
    answer(207, &[], "fine")
}

/// No secret shows, nor more of a URL than its host.
fn assert_clean(error: &DavError) {
    let text = format!("{error} {error:?}");
    for word in [
        PASSWORD,
        BASIC,
        &BASIC[6..],
        "a%20b",
        "x=1",
        "access-",
        "wrong",
    ] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

/// Whether a Digest header is right for the request, the password and its own nonce and count.
fn is_right(request: &Received, password: &str) -> bool {
    let Ok(header) = AuthorizationHeader::parse(request.header("authorization")) else {
        return false;
    };
    let method = HttpMethod::from(request.method.as_str());
    let mut context =
        AuthContext::new_with_method(USER, password, &*request.target, None::<&[u8]>, method);
    context.set_custom_cnonce(header.cnonce.clone().unwrap());
    let mut expected = header.clone();
    expected.digest(&context);
    header.uri == request.target && header.response == expected.response
}

#[tokio::test]
async fn a_request_goes_out_as_it_is_and_signed_in_at_once() {
    let world = World::new(ok);
    let reply = world.ask().await.unwrap();
    assert_eq!((reply.status.as_u16(), &*reply.body), (207, &b"fine"[..]));
    assert_eq!(reply.url, world.request().url);
    let identity = Request {
        identity: true,
        body: Vec::new(),
        ..world.request()
    };
    world.connection.send(&identity).await.unwrap();
    let received = world.server.received();
    let first = &received[0];
    assert_eq!(
        (&*first.method, &*first.target),
        ("PROPFIND", "/dav/a%20b/?x=1")
    );
    assert_eq!(first.body, "<propfind/>");
    for (name, value) in [
        ("authorization", BASIC),
        ("content-type", "application/xml"),
        ("content-length", "11"),
        ("accept-encoding", "gzip"),
        ("transfer-encoding", ""),
    ] {
        assert_eq!(first.header(name), value, "{name}");
    }
    assert_eq!(received[1].header("accept-encoding"), "identity");
    assert_eq!(received.len(), 2);
    assert_eq!(world.connection.addresses_hint(), Some(USER));
    assert!(world.connection.host().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn digest_is_answered_with_a_counted_nonce() {
    for algorithm in ["MD5", "SHA-256"] {
        let world = World::new(move |request| match is_right(request, PASSWORD) {
            true => answer(207, &[], ""),
            false => {
                let ask = format!("{ASK_DIGEST}\"n1\", algorithm={algorithm}");
                answer(401, &[&ask], "")
            }
        });
        for _ in 0..3 {
            assert_eq!(world.status().await, 207);
        }
        let shown = world.shown();
        assert_eq!(shown.len(), 4, "Basic first, then one each");
        assert_eq!(shown[0], BASIC);
        let headers: Vec<_> = shown[1..]
            .iter()
            .map(|header| AuthorizationHeader::parse(header).unwrap())
            .collect();
        assert_eq!(
            headers.iter().map(|one| one.nc).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert_ne!(headers[0].cnonce, headers[1].cnonce);
        assert_eq!(headers[0].algorithm.to_string(), algorithm);
    }
}

#[tokio::test]
async fn a_nonce_that_is_out_of_date_is_replaced() {
    for stale in [", stale=true", ""] {
        let mut uses = 0;
        let world = World::new(move |request| {
            uses += 1;
            // Each nonce is good for two requests.
            let nonce = format!("nonce=\"n{}\"", uses / 3);
            let header = request.header("authorization");
            match is_right(request, PASSWORD) && header.contains(&nonce) {
                true => answer(207, &[], ""),
                false => answer(401, &[&format!("{ASK_DIGEST}\"n{}\"{stale}", uses / 3)], ""),
            }
        });
        for _ in 0..6 {
            assert_eq!(world.status().await, 207, "{stale}");
        }
    }
}

#[tokio::test]
async fn a_server_whose_nonces_are_always_stale_is_given_up() {
    let mut uses = 0;
    let world = World::new(move |_| {
        uses += 1;
        answer(401, &[&format!("{ASK_DIGEST}\"n{uses}\", stale=true")], "")
    });
    let error = world.refused(&["user's name or password"]).await;
    assert_eq!(error.again(), Again::Slowly);
    assert_eq!(world.server.count(), 4);
}

#[tokio::test]
async fn a_digest_that_never_succeeds_beside_basic_is_left_for_good() {
    let asks = || [format!("{ASK_DIGEST}\"n\""), ASK_BASIC.to_owned()];
    let right = Arc::new(Mutex::new(BASIC.to_owned()));
    let wanted = Arc::clone(&right);
    let world = World::new(move |request| {
        let [digest, basic] = asks();
        match request.header("authorization") == *wanted.lock().unwrap() {
            true => answer(207, &[], ""),
            false => answer(401, &[&digest, &basic], ""),
        }
    });
    // Basic at once: the Digest is never met.
    assert_eq!(world.status().await, 207);
    assert_eq!(world.shown(), [BASIC]);

    // A wrong password makes it try the Digest; the right one then finds the way to Basic.
    *right.lock().unwrap() = "Basic YWxpY2VAZXhhbXBsZS5vcmc6bmV3".to_owned();
    world.refused(&[]).await;
    assert_eq!(world.server.count(), 2);
    world.set_password("new");
    assert_eq!(world.status().await, 207);
    assert_eq!(world.server.count(), 3);

    // It is remembered: a wrong password costs no Digest any more.
    *right.lock().unwrap() = String::new();
    world.refused(&[]).await;
    assert_eq!(world.shown(), ["Basic YWxpY2VAZXhhbXBsZS5vcmc6bmV3"]);
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_a_corrected_one_at_once() {
    let world = World::new(|request| match request.header("authorization") {
        BASIC => answer(207, &[], ""),
        _ => answer(401, &[ASK_BASIC], ""),
    });
    world.set_password("wrong");
    for _ in 0..3 {
        let error = world
            .refused(&["user's name or password", "/password"])
            .await;
        assert!(matches!(error, DavError::Credentials { .. }), "{error:?}");
        assert_eq!(error.again(), Again::Slowly);
        assert!(!error.maybe_done());
    }
    assert_eq!(world.server.count(), 1);
    // The server may have been corrected instead.
    world.clock.pass(Duration::from_secs(15 * 60));
    world.refused(&[]).await;
    assert_eq!(world.server.count(), 1);

    world.set_password(PASSWORD);
    assert_eq!(world.status().await, 207);
    assert_eq!(world.server.count(), 1);
}

#[tokio::test]
async fn a_password_that_changed_on_both_sides_is_read_anew_within_the_request() {
    let right = Arc::new(Mutex::new(BASIC.to_owned()));
    let wanted = Arc::clone(&right);
    let world = World::new(move |request| {
        match request.header("authorization") == *wanted.lock().unwrap() {
            true => answer(207, &[], ""),
            false => answer(401, &[ASK_BASIC], ""),
        }
    });
    assert_eq!(world.status().await, 207);
    world.set_password("new");
    assert_eq!(
        world.status().await,
        207,
        "the old one is used while it holds"
    );
    *right.lock().unwrap() = "Basic YWxpY2VAZXhhbXBsZS5vcmc6bmV3".to_owned();
    assert_eq!(world.status().await, 207);
    assert_eq!(world.server.count(), 4);
}

#[tokio::test]
async fn a_401_for_what_belongs_to_another_does_not_shut_the_account_out() {
    let shut = Arc::new(Mutex::new(false));
    let now = Arc::clone(&shut);
    let world = World::new(move |_| match *now.lock().unwrap() {
        true => answer(401, &[ASK_BASIC], ""),
        false => answer(207, &[], ""),
    });
    for _ in 0..5 {
        *shut.lock().unwrap() = false;
        assert_eq!(
            world.status().await,
            207,
            "a refusal elsewhere changes nothing"
        );
        *shut.lock().unwrap() = true;
        world.refused(&[]).await;
    }
    // One refusal after another is no such thing.
    world.refused(&[]).await;
    world.refused(&[]).await;
    world.server.count();
    world.refused(&[]).await;
    assert_eq!(world.server.count(), 0);
}

#[tokio::test]
async fn many_requests_with_a_wrong_password_do_not_multiply_the_tries() {
    let world = World::new(|_| answer(401, &[&format!("{ASK_DIGEST}\"n\""), ASK_BASIC], ""));
    let first = world.ask().await;
    assert!(first.is_err());
    assert_eq!(world.server.count(), 2);
    let all = futures_util::future::join_all((0..20).map(|_| world.ask())).await;
    assert!(all.iter().all(Result::is_err));
    assert_eq!(world.server.count(), 0);
}

#[tokio::test]
async fn refusals_say_what_the_server_wants() {
    for (asks, words) in [
        (
            &[
                "www-authenticate: X-MobileMe-AuthToken realm=\"MMCal\"",
                ASK_BASIC,
            ][..],
            "app-specific password",
        ),
        (
            &[
                "www-authenticate: Bearer realm=\"x\"",
                "www-authenticate: Negotiate",
            ],
            "takes no password (HTTP 401, it offers bearer, negotiate); set `bearer-token-file`",
        ),
        (&[], "app password"),
        (
            &["www-authenticate: basic realm=\"lower case\""],
            "put the right password into",
        ),
    ] {
        let world = World::new(move |_| answer(401, asks, ""));
        world.refused(&[words]).await;
        assert_eq!(world.server.count(), 1, "{words}");
    }
    let world = World::with(
        |_| answer(401, &[ASK_BASIC], ""),
        |settings, _| settings.credentials = Credentials::None,
    );
    world
        .refused(&["asks to be signed in to (HTTP 401, it offers basic); set `username`"])
        .await;
    assert_eq!(world.shown(), [""]);
}

#[tokio::test]
async fn a_missing_secret_is_named_and_nothing_is_sent() {
    let world = World::new(ok);
    std::fs::remove_file(world.directory.path().join("password")).unwrap();
    let error = world.refused(&["/password", "cannot be read"]).await;
    assert!(matches!(error, DavError::Secret { .. }), "{error:?}");
    assert_eq!((error.again(), error.maybe_done()), (Again::Soon, false));
    assert_eq!(world.server.count(), 0);
    world.set_password(PASSWORD);
    assert_eq!(world.status().await, 207);
}

#[tokio::test]
async fn a_bearer_token_is_shown_and_read_anew() {
    let world = World::with(
        |request| match request.header("authorization") {
            "Bearer access-2" => answer(207, &[], ""),
            _ => answer(401, &["www-authenticate: Bearer"], ""),
        },
        |settings, directory| {
            settings.credentials = Credentials::Bearer {
                token: SecretSource::File(directory.join("password")),
            };
        },
    );
    world.set_password("access-1");
    world.refused(&["bearer token", "/password"]).await;
    world.set_password("access-2");
    assert_eq!(world.status().await, 207);
    assert_eq!(world.shown(), ["Bearer access-1", "Bearer access-2"]);
    assert_eq!(world.connection.addresses_hint(), None);
}

/// An account that signs in by OAuth2; its server and its token endpoint are one.
fn oauth2(mut handler: impl FnMut(&Received) -> Vec<u8> + Send + 'static) -> World {
    let mut number = 0;
    World::with(
        move |request| {
            if request.target != "/token" {
                return handler(request);
            }
            number += 1;
            let body = format!(
                "{{\"access_token\":\"access-{number}\",\"token_type\":\"Bearer\",\
                 \"expires_in\":3600,\"refresh_token\":\"rotated-s3cret\"}}"
            );
            answer(200, &[], &body)
        },
        |settings, directory| {
            settings.credentials = Credentials::OAuth2 {
                token_url: settings.url.join("/token").unwrap(),
                client_id: "client".to_owned(),
                client_secret: None,
                refresh_token: SecretSource::File(directory.join("password")),
            };
            settings.tokens = Some(directory.join("tokens"));
        },
    )
}

#[tokio::test]
async fn a_refused_access_token_is_renewed_once() {
    let world = oauth2(|request| match request.header("authorization") {
        "Bearer access-2" => answer(207, &[], ""),
        _ => answer(401, &["www-authenticate: Bearer"], ""),
    });
    for _ in 0..2 {
        assert_eq!(world.status().await, 207);
    }
    assert_eq!(
        world.shown(),
        [
            "",
            "Bearer access-1",
            "",
            "Bearer access-2",
            "Bearer access-2"
        ]
    );
    assert!(world.directory.path().join("tokens/alice.json").exists());

    let world = oauth2(|_| answer(401, &["www-authenticate: Bearer"], ""));
    for _ in 0..2 {
        let error = world
            .refused(&["does not accept the access tokens", "/password"])
            .await;
        assert_eq!(error.again(), Again::Slowly);
    }
    assert_eq!(world.server.count(), 4);
    // Another refresh token is tried at once.
    world.set_password("another");
    world.refused(&[]).await;
    assert!(world.server.count() > 0);
}

#[tokio::test]
async fn an_endpoint_that_gives_no_token_is_told_apart() {
    for (answers, again) in [
        (
            answer(400, &[], "{\"error\":\"invalid_grant\"}"),
            Again::Slowly,
        ),
        (answer(500, &[], ""), Again::Soon),
        (
            answer(429, &["retry-after: 90"], ""),
            Again::At(Timeless::start() + chrono::TimeDelta::seconds(90)),
        ),
    ] {
        let world = World::with(
            move |_| answers.clone(),
            |settings, directory| {
                settings.credentials = Credentials::OAuth2 {
                    token_url: settings.url.join("/token").unwrap(),
                    client_id: "client".to_owned(),
                    client_secret: None,
                    refresh_token: SecretSource::File(directory.join("password")),
                };
            },
        );
        let error = world.refused(&[]).await;
        assert!(matches!(error, DavError::Token { .. }), "{error:?}");
        assert_eq!((error.again(), error.maybe_done()), (again, false));
    }
}

#[tokio::test]
async fn redirects_keep_method_body_and_credentials() {
    let target = Server::start(ok);
    for status in [301, 302, 303, 307, 308] {
        // Another port of the same host; relative to begin with.
        let mut there = target.url.join("/moved/?y=2#part").unwrap();
        there.set_username("somebody-else").unwrap();
        let there = format!("location: {there}");
        let world = World::new(move |request| match &*request.target {
            "/next" => answer(status, &[&there], ""),
            _ => answer(status, &["location: /next"], ""),
        });
        let reply = world.ask().await.unwrap();
        assert_eq!(reply.url, target.url.join("/moved/?y=2").unwrap());
        let received = target.received().pop().unwrap();
        assert_eq!(
            (&*received.method, &*received.body),
            ("PROPFIND", "<propfind/>")
        );
        assert_eq!(received.header("authorization"), BASIC);
        assert_eq!(received.header("content-type"), "application/xml");
        assert_eq!((world.server.count(), target.count()), (2, 1));
    }
}

#[tokio::test]
async fn redirects_end() {
    let world = World::new(|_| answer(302, &["location: /again"], ""));
    let error = world
        .refused(&["redirects more than 5 times", "set `url`"])
        .await;
    assert!(!error.maybe_done());
    assert_eq!(world.server.count(), 6);
    // One that leads nowhere is an answer, as is the end of a PUT elsewhere.
    let world = World::new(|_| answer(301, &[], ""));
    assert_eq!(world.status().await, 301);
    let world = World::new(|_| answer(303, &["location: /done"], ""));
    let put = Request {
        method: Method::PUT,
        ..world.request()
    };
    assert_eq!(
        world.connection.send(&put).await.unwrap().status.as_u16(),
        303
    );
    assert_eq!(world.server.count(), 1);
}

#[tokio::test]
async fn another_site_is_given_nothing() {
    for location in [
        "http://localhost:1/path",
        "http://evil.example/path",
        "https://user:word@127.0.0.2/",
        "//evil.example/",
        "ftp://127.0.0.1/path",
    ] {
        let world = World::new(move |_| answer(307, &[&format!("location: {location}")], ""));
        let error = world.refused(&["leads to ", "set `url` to"]).await;
        assert!(matches!(error, DavError::Redirect { .. }), "{error:?}");
        assert_eq!(error.again(), Again::Slowly);
        let text = error.to_string();
        assert!(!text.contains("path") && !text.contains("word@"), "{text}");
        assert_eq!(world.server.count(), 1);
    }
    // Nor when a request is aimed there to begin with.
    let world = World::new(ok);
    let elsewhere = Request {
        url: Url::parse("https://evil.example/path").unwrap(),
        ..world.request()
    };
    let error = world.connection.send(&elsewhere).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("leads to evil.example, another site"),
        "{error}"
    );
}

#[test]
fn the_account_s_site_is_its_registrable_domain_by_https() {
    let site = "another site";
    let plain = "plain http";
    for (home, target, allow_http, expected) in [
        (
            "https://caldav.icloud.com/",
            "https://p42-caldav.icloud.com/1/",
            false,
            None,
        ),
        (
            "https://caldav.icloud.com/",
            "https://icloud.com:8443/",
            false,
            None,
        ),
        (
            "https://cal.example.co.uk/",
            "https://dav.example.co.uk/",
            false,
            None,
        ),
        (
            "https://cal.example.co.uk/",
            "https://dav.other.co.uk/",
            false,
            Some(site),
        ),
        (
            "https://alice.github.io/",
            "https://bob.github.io/",
            false,
            Some(site),
        ),
        (
            "https://a.xn--55qx5d.cn/",
            "https://b.xn--55qx5d.cn/",
            false,
            Some(site),
        ),
        (
            "https://example.com/",
            "https://example.com.evil.org/",
            false,
            Some(site),
        ),
        (
            "https://example.com/",
            "https://evilexample.com/",
            false,
            Some(site),
        ),
        ("https://nextcloud/", "https://nextcloud:444/", false, None),
        ("https://nextcloud/", "https://other/", false, Some(site)),
        ("https://192.0.2.1/", "https://192.0.2.1/x", false, None),
        (
            "https://192.0.2.1/",
            "https://192.0.2.2/",
            false,
            Some(site),
        ),
        (
            "https://example.com/",
            "http://example.com/",
            true,
            Some(plain),
        ),
        ("https://127.0.0.1/", "http://127.0.0.1/", true, Some(plain)),
        (
            "http://nas.example.com/",
            "http://nas.example.com/x",
            false,
            Some(plain),
        ),
        (
            "http://nas.example.com/",
            "http://nas.example.com:81/x",
            true,
            None,
        ),
        (
            "http://nas.example.com/",
            "https://nas.example.com/",
            true,
            None,
        ),
        (
            "http://nas.example.com/",
            "http://dav.example.com/",
            true,
            Some(plain),
        ),
        (
            "http://localhost:5232/",
            "http://localhost:5233/",
            false,
            None,
        ),
        ("http://127.0.0.1/", "file:///etc/passwd", false, Some(site)),
    ] {
        let mut settings = settings(home);
        settings.allow_http = allow_http;
        let connection = connection(settings, &Arc::default());
        let found = connection.permit(&Url::parse(target).unwrap());
        match (found, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(words)) if error.to_string().contains(words) => {}
            (found, _) => panic!("{home} -> {target}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_left_alone() {
    let until = Timeless::start() + chrono::TimeDelta::seconds(120);
    for status in [429, 503] {
        let mut answers = vec![
            answer(207, &[], ""),
            answer(status, &["retry-after: 120"], ""),
        ];
        let world = World::new(move |_| answers.pop().unwrap());
        for _ in 0..2 {
            let error = world.refused(&["2026-11-01 08:02"]).await;
            assert_eq!(
                (error.again(), error.maybe_done()),
                (Again::At(until), false)
            );
        }
        assert_eq!(world.server.count(), 1);
        world.clock.pass(Duration::from_secs(120));
        assert_eq!(world.status().await, 207);
    }
    // Without Retry-After, and where it means something else, it is an answer.
    for (status, headers) in [
        (503, &[][..]),
        (429, &[]),
        (500, &["retry-after: 9"]),
        (403, &[]),
    ] {
        let world = World::new(move |_| answer(status, headers, ""));
        assert_eq!(world.status().await, status);
    }
}

#[tokio::test]
async fn google_s_403_for_too_much_use_is_a_wait() {
    let body = r#"{"error":{"errors":[{"domain":"usageLimits","reason":"rateLimitExceeded"}]}}"#;
    let world = World::new(move |_| answer(403, &[], body));
    let error = world.refused(&[]).await;
    let until = Timeless::start() + chrono::TimeDelta::seconds(60);
    assert_eq!(error.again(), Again::At(until));
}

#[tokio::test]
async fn a_connection_closed_in_place_of_an_answer_is_tried_once_more_where_that_is_harmless() {
    let hang_up = |times: usize| {
        let mut left = times;
        move |_: &Received| match left {
            0 => answer(207, &[], ""),
            _ => {
                left -= 1;
                Vec::new()
            }
        }
    };
    let world = World::new(hang_up(1));
    assert_eq!(world.status().await, 207);
    assert_eq!(world.server.count(), 2);

    let world = World::new(hang_up(2));
    let error = world.refused(&["broke off"]).await;
    assert_eq!((error.again(), error.maybe_done()), (Again::Soon, true));
    assert_eq!(world.server.count(), 2);

    let world = World::new(hang_up(1));
    let once = Request {
        repeatable: false,
        ..world.request()
    };
    assert!(world.connection.send(&once).await.unwrap_err().maybe_done());
    assert_eq!(world.server.count(), 1);

    // An answer that breaks off is not asked for again.
    let world = World::new(|_| b"HTTP/1.1 207 Words\r\ncontent-length: 9\r\n\r\nhalf".to_vec());
    assert!(world.refused(&["broke off"]).await.maybe_done());
    assert_eq!(world.server.count(), 1);
}

#[tokio::test]
async fn what_is_too_large_or_too_slow_is_named() {
    let world = World::new(|_| answer(207, &[], &"x".repeat(1001)));
    let error = world.refused(&["more than 1000 bytes"]).await;
    assert!(error.maybe_done());

    // Nobody takes the connection.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let mut settings = settings(&url);
    settings.client.total_timeout = Duration::from_millis(100);
    let connection = connection(settings, &Arc::default());
    let request = Request {
        url: Url::parse(&url).unwrap(),
        ..World::new(ok).request()
    };
    let error = connection.send(&request).await.unwrap_err();
    assert!(
        error.to_string().ends_with("did not answer in time"),
        "{error}"
    );
    assert_eq!((error.again(), error.maybe_done()), (Again::Soon, true));

    drop(silent);
    let error = connection.send(&request).await.unwrap_err();
    assert!(
        error.to_string().starts_with("cannot reach 127.0.0.1:"),
        "{error}"
    );
    assert!(!error.maybe_done());
    let ReadError::Server { what, hint, again } = error.into_read_error("alice/Work") else {
        panic!("another kind of error");
    };
    assert!(what == "alice/Work" && hint.contains("127.0.0.1:") && again == Again::Soon);
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let world = oauth2(ok);
    assert_eq!(world.status().await, 207);
    let secret = SecretSource::File(world.directory.path().join("password"));
    assert!(secret.read().await.unwrap().expose_secret() == PASSWORD);
    let text = format!("{:?} {:?}", world.connection, world.connection.login);
    assert!(
        !text.contains("s3cret") && !text.contains("access-"),
        "{text}"
    );
}
