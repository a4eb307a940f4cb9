//! The token endpoint, and what a token is good for.

use std::sync::Arc;
use std::time::Duration;

use meetbridge::simulator::{
    CLIENT_ID, CLIENT_SECRET, Endpoint, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN, Settings, Simulator,
    TENANT, TENANT_DOMAIN,
};
use serde_json::json;

use super::client::{Client, clock, encode, start, start_with};
use super::{create_or_get, planning};

#[tokio::test]
async fn a_token_is_granted_for_the_documented_request_only() {
    let (simulator, client) = start(|_| {}).await;
    let scope = format!("{}/.default", simulator.graph_url());
    let good = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("scope", &scope),
    ];
    let with = |name: &str, value: Option<&str>| {
        let rest = good.iter().filter(|(given, _)| *given != name);
        let mut form: Vec<(String, String)> = rest
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        form.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        form
    };
    let assertion = {
        let mut form = with("client_secret", None);
        form.push(("client_assertion".into(), "a.b.c".into()));
        form
    };
    let typed = {
        let mut form = assertion.clone();
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        form.push(("client_assertion_type".into(), kind.into()));
        form
    };
    let mut twice = with("scope", Some(&scope));
    twice.push(("scope".into(), scope.clone()));
    let foreign = "https://graph.microsoft.com/.default";
    let unscoped = format!("{}/User.Read", simulator.graph_url());

    // what, tenant, form, status, error, AADSTS number
    #[rustfmt::skip]
    let cases = [
        ("good", TENANT, with("", None), 200, "", 0),
        ("by domain", TENANT_DOMAIN, with("", None), 200, "", 0),
        ("unknown tenant", "contoso.example", with("", None), 400, "invalid_request", 90002),
        ("no tenant", "common", with("", None), 400, "invalid_request", 50059),
        ("unknown app", TENANT, with("client_id", Some(TENANT)), 400, "unauthorized_client", 700016),
        ("no app", TENANT, with("client_id", None), 400, "invalid_request", 900144),
        ("wrong secret", TENANT, with("client_secret", Some("x")), 401, "invalid_client", 7000215),
        ("no secret", TENANT, with("client_secret", None), 401, "invalid_client", 7000218),
        ("assertion without its type", TENANT, assertion, 400, "invalid_request", 900144),
        ("assertion that is no JWT", TENANT, typed, 401, "invalid_client", 50027),
        ("no scope", TENANT, with("scope", None), 400, "invalid_request", 900144),
        ("scope without .default", TENANT, with("scope", Some(&unscoped)), 400, "invalid_scope", 70011),
        ("another resource", TENANT, with("scope", Some(foreign)), 400, "invalid_resource", 500011),
        ("no grant", TENANT, with("grant_type", None), 400, "invalid_request", 900144),
        ("another grant", TENANT, with("grant_type", Some("password")), 400, "unsupported_grant_type", 70003),
        ("a parameter twice", TENANT, twice, 400, "invalid_request", 90013),
    ];
    for (what, tenant, form, status, error, code) in cases {
        let answer = client.token(tenant, &form, None).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.body["expires_in"], 3599, "{what}");
            continue;
        }
        assert_eq!(answer.body["error"], error, "{what}: {answer:?}");
        assert_eq!(answer.body["error_codes"], json!([code]), "{what}");
        let description = answer.text("error_description");
        assert!(
            description.starts_with(&format!("AADSTS{code}: ")),
            "{what}: {description}"
        );
    }

    let basic = |id: &str, secret: &str| {
        let pair = format!("{}:{}", encode(id), encode(secret));
        format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()))
    };
    let mut bare = with("client_id", None);
    bare.retain(|(name, _)| name != "client_secret");
    let answer = client
        .token(TENANT, &bare, Some(&basic(CLIENT_ID, CLIENT_SECRET)))
        .await;
    answer.expect(200);
    let answer = client
        .token(TENANT, &bare, Some(&basic(CLIENT_ID, "x")))
        .await;
    assert_eq!(answer.expect(401).body["error_codes"], json!([7000215]));
    let both = client
        .token(
            TENANT,
            &with("", None),
            Some(&basic(CLIENT_ID, CLIENT_SECRET)),
        )
        .await;
    both.expect(400);

    let path = format!("/{TENANT}/oauth2/v2.0/token");
    let as_json = client
        .raw("POST", &path, Some("{}".into()), "application/json")
        .await;
    assert_eq!(as_json.expect(400).body["error_codes"], json!([900144]));
}

#[tokio::test]
async fn an_expired_secret_is_told_apart_from_a_wrong_one() {
    let mut settings = Settings::new(clock());
    settings.app.secret_expired = true;
    let simulator = Simulator::start(settings).await.unwrap();
    let answer = Client::new(&simulator).sign_in().await;
    assert_eq!(answer.expect(401).body["error_codes"], json!([7000222]));
}

#[tokio::test]
async fn a_call_needs_a_token_that_was_issued_here_and_has_not_expired() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |_| {}).await;
    let path = create_or_get(ORGANIZER);
    for token in ["", "Bearer", "Bearer x", "Basic x"] {
        let mut stranger = client.clone();
        stranger.authorization = token.to_owned();
        let answer = stranger.post(&path, &planning()).await.expect(401);
        assert_eq!(
            answer.body["error"]["code"], "InvalidAuthenticationToken",
            "{token}"
        );
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    clock.advance(Duration::from_secs(3598));
    client.post(&path, &planning()).await.expect(201);
    clock.advance(Duration::from_secs(1));
    client.post(&path, &planning()).await.expect(401);
    client
        .signed_in_again()
        .await
        .post(&path, &planning())
        .await
        .expect(200);
    assert_eq!(simulator.snapshot().requests(Endpoint::Token), 2);
}

#[tokio::test]
async fn a_token_is_good_in_its_own_tenant_only() {
    let other = "22222222-2222-4222-8222-222222222222";
    let (_simulator, client) = start(|settings| {
        settings.tenants.push(meetbridge::simulator::Tenant {
            id: other.into(),
            domain: "other.example".into(),
        });
        settings.organizers[1].tenant = other.into();
    })
    .await;
    let path = create_or_get(ORGANIZER_WITHOUT_DIAL_IN);
    client.post(&path, &planning()).await.expect(404);
}

#[tokio::test]
async fn a_disabled_application_gets_no_token() {
    let (simulator, client) = start(|_| {}).await;
    simulator.change(|settings| settings.app.disabled = true);
    let answer = client.sign_in().await.expect(400);
    assert_eq!(answer.body["error_codes"], json!([7000112]));
    simulator.change(|settings| settings.app.disabled = false);
    client.sign_in().await.expect(200);
}

#[tokio::test]
async fn an_access_token_tells_whose_it_is() {
    let (simulator, client) = start(|_| {}).await;
    let token = client.sign_in().await.expect(200);
    let claims = super::client::claims(token.text("access_token"));
    assert_eq!(claims["tid"], TENANT);
    assert_eq!(claims["appid"], CLIENT_ID);
    assert_eq!(claims["aud"], simulator.graph_url());
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(),
        3599
    );
    let roles = claims["roles"].as_array().unwrap();
    assert!(roles.contains(&json!("OnlineMeetings.ReadWrite.All")));
    assert_eq!(claims.get("scp"), None);
}

#[tokio::test]
async fn tokens_can_be_short_lived_and_revoked_in_mid_run() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
        settings.token_lifetime = Duration::from_secs(60);
    })
    .await;
    let path = create_or_get(ORGANIZER);
    client.post(&path, &planning()).await.expect(201);
    simulator.revoke_access_tokens();
    client.post(&path, &planning()).await.expect(401);
    let client = client.signed_in_again().await;
    client.post(&path, &planning()).await.expect(200);
    clock.advance(Duration::from_secs(60));
    client.post(&path, &planning()).await.expect(401);
}
