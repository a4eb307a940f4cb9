//! Every way to sign in that the table knows, with the requests it costs; and what is said when it fails.

use std::time::Duration;

use meetbridge::calendar::Again;
use meetbridge::calendar::caldav::connection::{Connection, DavError, Reply, Request};
use meetbridge::http::Credentials;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::account::{Ground, lines};
use super::fake::*;

async fn options(connection: &Connection, url: &str) -> Result<Reply, DavError> {
    let request = Request {
        method: Method::OPTIONS,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Vec::new(),
        limit: 1 << 20,
        identity: false,
        repeatable: true,
    };
    connection.send(&request).await
}

#[tokio::test]
async fn each_scheme_costs_as_many_requests_as_it_must() {
    use Auth::*;
    let cases: [(&[Auth], [usize; 2]); 10] = [
        (&[Basic], [1, 1]),
        (&[LowerBasic], [1, 1]),
        (&[Basic, Scram], [1, 1]),
        (&[Scram, Basic], [1, 1]),
        (&[DigestMd5, Basic], [1, 1]),
        (&[DigestMd5], [2, 1]),
        (&[DigestSha256], [2, 1]),
        (&[DigestSha256, DigestMd5], [2, 1]),
        (&[BrokenDigest, Basic], [1, 1]),
        (&[], [1, 1]),
    ];
    for (auth, costs) in cases {
        let fake = Fake::start(Quirks::default()).await;
        fake.quirks(|q| q.auth = auth.to_vec());
        let ground = Ground::new();
        let url = format!("{}dav/", fake.url());
        let connection = ground.alice(&url);
        for cost in costs {
            let reply = options(&connection, &url).await;
            let reply = reply.unwrap_or_else(|error| panic!("{auth:?}: {error}"));
            assert_eq!(reply.status.as_u16(), 200, "{auth:?}");
            assert_eq!(fake.take_requests().len(), cost, "{auth:?}");
        }
    }
}

#[tokio::test]
async fn a_stale_nonce_is_renewed_at_the_cost_of_one_request() {
    let fake = Fake::start(Quirks::default()).await;
    fake.quirks(|q| (q.auth, q.nonce_uses) = (vec![Auth::DigestMd5], Some(2)));
    let ground = Ground::new();
    let url = format!("{}dav/", fake.url());
    let connection = ground.alice(&url);
    let mut costs = Vec::new();
    for _ in 0..5 {
        options(&connection, &url).await.unwrap();
        costs.push(fake.take_requests().len());
    }
    assert_eq!(costs, [2, 1, 2, 1, 2]);
}

#[tokio::test]
async fn a_wrong_password_is_said_once_and_tried_slowly() {
    use Auth::*;
    let cases: [&[Auth]; 5] = [
        &[Basic],
        &[DigestMd5],
        &[DigestMd5, Basic],
        &[BrokenDigest],
        &[MobileMe, Basic],
    ];
    for auth in cases {
        let fake = Fake::start(Quirks::default()).await;
        fake.quirks(|q| q.auth = auth.to_vec());
        fake.password("alice", "another");
        let ground = Ground::new();
        let url = format!("{}dav/", fake.url());
        let error = options(&ground.alice(&url), &url).await.unwrap_err();
        assert!(matches!(error, DavError::Credentials { .. }), "{error:?}");
        assert_eq!(error.again(), Again::Slowly, "{auth:?}");
        let text = error.to_string();
        assert!(
            text.contains("127.0.0.1") && !text.contains("secret"),
            "{text}"
        );
        if auth.contains(&MobileMe) {
            assert!(text.contains("app"), "{text}");
        }
        // Servers count wrong passwords (field notes, P29).
        assert!(lines(&fake).len() <= 3, "{auth:?}");
    }
}

#[tokio::test]
async fn a_server_that_counts_wrong_passwords_is_left_alone() {
    let fake = Fake::start(Quirks::default()).await;
    fake.quirks(|q| q.brute_force = Some(0));
    fake.password("alice", "another");
    let ground = Ground::new();
    let url = format!("{}dav/", fake.url());
    let connection = ground.alice(&url);
    let error = options(&connection, &url).await.unwrap_err();
    assert!(matches!(error, DavError::Throttled { .. }), "{error:?}");
    options(&connection, &url).await.unwrap_err();
    assert_eq!(fake.take_requests().len(), 1);
    ground.clock.pass(Duration::from_secs(301));
    options(&connection, &url).await.unwrap_err();
    assert_eq!(fake.take_requests().len(), 1);
}

#[tokio::test]
async fn quotas_and_retry_after_close_the_account_for_that_long() {
    let google = r#"{"error":{"errors":[{"domain":"usageLimits","reason":"rateLimitExceeded"}]}}"#;
    for act in [
        Act::retry_after(429, 60),
        Act::retry_after(503, 60),
        Act::answer(403, &[("Content-Type", "application/json")], google),
    ] {
        let fake = Fake::start(Quirks::default()).await;
        fake.fault(Fault::new(act));
        let ground = Ground::new();
        let url = format!("{}dav/", fake.url());
        let connection = ground.alice(&url);
        let error = options(&connection, &url).await.unwrap_err();
        assert!(matches!(error.again(), Again::At(_)), "{error:?}");
        options(&connection, &url).await.unwrap_err();
        assert_eq!(fake.take_requests().len(), 1);
        ground.clock.pass(Duration::from_secs(60));
        options(&connection, &url).await.unwrap();
    }
}

#[tokio::test]
async fn a_bearer_token_and_a_refresh_token_sign_in() {
    let fake = Fake::start(Quirks::default()).await;
    fake.quirks(|q| (q.auth, q.rotates_tokens) = (vec![Auth::Bearer], true));
    fake.bearer("opaque", "alice");
    fake.refresh_token("first", "alice");
    let ground = Ground::new();
    let url = format!("{}dav/", fake.url());
    let token = ground.secret("opaque");
    let connection = ground.connection(ground.settings(&url, Credentials::Bearer { token }));
    options(&connection, &url).await.unwrap();
    assert_eq!(fake.take_requests().len(), 1);
    fake.revoke_tokens();
    let error = options(&connection, &url).await.unwrap_err();
    assert_eq!(error.again(), Again::Slowly);
    fake.take_requests();

    let oauth = Credentials::OAuth2 {
        token_url: format!("{}token", fake.url()).parse().unwrap(),
        client_id: "client".into(),
        client_secret: None,
        refresh_token: ground.secret("first"),
    };
    let connection = ground.connection(ground.settings(&url, oauth));
    let mut costs = Vec::new();
    for revoked in [false, false, true, false] {
        if revoked {
            fake.revoke_tokens();
        }
        options(&connection, &url).await.unwrap();
        costs.push(fake.take_requests().len());
    }
    // The first token, and another when it is refused, by the refresh token that came with it.
    assert_eq!(costs, [2, 1, 3, 1]);
}

#[tokio::test]
async fn a_connection_that_closes_early_is_tried_once_more_and_a_lost_put_is_not() {
    let fake = Fake::start(Quirks::default()).await;
    let ground = Ground::new();
    let url = format!("{}dav/", fake.url());
    let connection = ground.alice(&url);
    fake.fault(Fault::new(Act::LoseBefore));
    options(&connection, &url).await.unwrap();
    assert_eq!(fake.take_requests().len(), 2);
    fake.fault(Fault::new(Act::LoseBefore).times(5));
    let error = options(&connection, &url).await.unwrap_err();
    assert!(error.maybe_done() && fake.take_requests().len() == 2);
    fake.no_faults();
    let request = Request {
        method: Method::PUT,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: b"x".to_vec(),
        limit: 1 << 20,
        identity: true,
        repeatable: false,
    };
    fake.fault(Fault::new(Act::LoseBefore).times(5));
    let error = connection.send(&request).await.unwrap_err();
    assert!(error.maybe_done() && fake.take_requests().len() == 1);
}
