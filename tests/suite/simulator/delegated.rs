//! Device codes, refresh tokens, and what a person's token is good for.

use std::sync::Arc;
use std::time::Duration;

use meetbridge::simulator::{
    Effect, Endpoint, Fault, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN, ORGANIZER_WITHOUT_POLICY,
    RefreshTokens, Settings, Simulator, TENANT, Tenant,
};
use serde_json::json;

use super::client::{Answer, Client, ManualClock, claims, clock, start, start_with};
use super::events::{event, events, one_event};
use super::{create_or_get, planning};

const SCOPE: &str = "offline_access OnlineMeetings.ReadWrite User.Read";
const ME: &str = "/v1.0/me/onlineMeetings/createOrGet";

async fn poll(client: &Client, code: &str) -> Answer {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let form = [("grant_type", grant), ("device_code", code)];
    client.grant("organizations", &form).await
}

async fn refresh(client: &Client, token: &str) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    client.grant(TENANT, &form).await
}

/// A simulator at which a person has signed in; the last answer of the token endpoint.
async fn signed_in(
    clock: Arc<ManualClock>,
    who: &str,
    change: impl FnOnce(&mut Settings),
) -> (Simulator, Client, Answer) {
    signed_in_for(clock, who, SCOPE, change).await
}

async fn signed_in_for(
    clock: Arc<ManualClock>,
    who: &str,
    scope: &str,
    change: impl FnOnce(&mut Settings),
) -> (Simulator, Client, Answer) {
    let (simulator, client) = start_with(clock, change).await;
    let begun = client.device_code("organizations", scope).await.expect(200);
    assert!(simulator.approve(begun.text("user_code"), who));
    let token = poll(&client, begun.text("device_code")).await.expect(200);
    let client = client.with_token(&token);
    (simulator, client, token)
}

#[track_caller]
fn refused(answer: Answer, error: &str, code: u32) {
    assert_eq!(answer.body["error"], error, "{}", answer.raw);
    assert_eq!(answer.body["error_codes"], json!([code]), "{}", answer.raw);
}

#[tokio::test]
async fn a_person_signs_in_on_another_device() {
    let (simulator, client) = start(|_| {}).await;
    let begun = client.device_code(TENANT, SCOPE).await.expect(200);
    assert_eq!(
        (&begun.body["expires_in"], &begun.body["interval"]),
        (&json!(900), &json!(5))
    );
    assert_eq!(begun.body.get("verification_uri_complete"), None);
    let (code, user_code) = (begun.text("device_code"), begun.text("user_code"));
    refused(
        poll(&client, code).await.expect(400),
        "authorization_pending",
        70016,
    );
    assert_eq!(simulator.waiting_sign_ins(), [user_code]);
    assert!(!simulator.approve("WRONG", ORGANIZER) && !simulator.approve(user_code, TENANT));
    assert!(simulator.approve(user_code, ORGANIZER));
    assert!(!simulator.decline(user_code), "it is settled");

    let token = poll(&client, code).await.expect(200);
    assert!(token.body["refresh_token"].is_string());
    assert!(token.text("scope").contains("/OnlineMeetings.ReadWrite"));
    let claims = claims(token.text("access_token"));
    assert_eq!(claims["oid"], ORGANIZER);
    assert_eq!(claims["scp"], "OnlineMeetings.ReadWrite User.Read");
    assert_eq!(claims.get("roles"), None);
    refused(poll(&client, code).await, "bad_verification_code", 70018);
    assert_eq!(simulator.snapshot().requests(Endpoint::DeviceCode), 1);
}

#[tokio::test]
async fn a_sign_in_that_does_not_end_well() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |_| {}).await;
    refused(
        poll(&client, "nothing").await,
        "bad_verification_code",
        70018,
    );
    let begun = client.device_code(TENANT, SCOPE).await.expect(200);
    assert!(simulator.decline(begun.text("user_code")));
    let answer = poll(&client, begun.text("device_code")).await;
    refused(answer, "authorization_declined", 65004);

    let begun = client.device_code(TENANT, SCOPE).await.expect(200);
    clock.advance(Duration::from_secs(900));
    assert!(!simulator.approve(begun.text("user_code"), ORGANIZER));
    let answer = poll(&client, begun.text("device_code")).await;
    refused(answer, "expired_token", 70019);

    for (tenant, scope, code) in [
        ("consumers", SCOPE, 50059),
        ("nowhere.example", SCOPE, 90002),
        (TENANT, "offline_access", 70011),
        (TENANT, "Nonsense.Read", 70011),
        (TENANT, "OnlineMeetings.Read", 65001),
        (TENANT, "https://else.example/User.Read", 500011),
    ] {
        let answer = client.device_code(tenant, scope).await.expect(400);
        assert_eq!(
            answer.body["error_codes"],
            json!([code]),
            "{tenant} {scope}"
        );
    }
    simulator.script(Fault::next(Endpoint::DeviceCode, Effect::throttled(2)));
    let answer = client.device_code(TENANT, SCOPE).await.expect(429);
    assert_eq!(answer.headers["retry-after"], "2");
    simulator.change(|settings| settings.app.public_client = false);
    let answer = client.device_code(TENANT, SCOPE).await;
    refused(answer, "invalid_client", 7_000_218);
}

#[tokio::test]
async fn who_polls_too_often_is_slowed_down_where_that_is_chosen() {
    for slow_down in [false, true] {
        let clock = clock();
        let (_simulator, client) = start_with(Arc::clone(&clock), |settings| {
            settings.entra.slow_down = slow_down;
            settings.entra.device_interval = Duration::from_secs(7);
        })
        .await;
        let begun = client.device_code(TENANT, SCOPE).await.expect(200);
        assert_eq!(begun.body["interval"], 7);
        for (wait, early) in [(0, false), (6, true), (7, false)] {
            clock.advance(Duration::from_secs(wait));
            let answer = poll(&client, begun.text("device_code")).await.expect(400);
            let error = match early && slow_down {
                true => "slow_down",
                false => "authorization_pending",
            };
            assert_eq!(answer.body["error"], error, "{wait}");
        }
    }
}

#[tokio::test]
async fn a_code_is_for_its_tenant_and_a_public_client() {
    let other = "22222222-2222-4222-8222-222222222222";
    let (simulator, client) = start(|settings| {
        settings.tenants.push(Tenant {
            id: other.into(),
            domain: "other.example".into(),
        });
    })
    .await;
    let begun = client.device_code(other, SCOPE).await.expect(200);
    assert!(!simulator.approve(begun.text("user_code"), ORGANIZER));
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let code = begun.text("device_code");
    let form = [
        ("grant_type", grant),
        ("device_code", code),
        ("client_secret", "x"),
    ];
    refused(client.grant(TENANT, &form).await, "invalid_client", 700_025);
}

#[tokio::test]
async fn a_refresh_token_is_rotated_and_the_old_one_is_good_or_not() {
    for (manner, anew, old) in [
        (RefreshTokens::Rotated, true, 200),
        (RefreshTokens::UsedUp, true, 400),
        (RefreshTokens::Kept, false, 200),
    ] {
        let change = |settings: &mut Settings| settings.entra.refresh = manner;
        let (_simulator, client, token) = signed_in(clock(), ORGANIZER, change).await;
        let first = token.text("refresh_token");
        let second = refresh(&client, first).await.expect(200);
        assert_ne!(second.text("access_token"), token.text("access_token"));
        assert_eq!(second.body["refresh_token"].is_string(), anew, "{manner:?}");
        let again = refresh(&client, first).await.expect(old);
        if old == 400 {
            refused(again, "invalid_grant", 70000);
        }
        if anew {
            refresh(&client, second.text("refresh_token"))
                .await
                .expect(200);
        }
        client
            .with_token(&second)
            .post(ME, &planning())
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn a_refresh_token_ends_by_age_or_by_revocation() {
    let clock = clock();
    let (simulator, client, token) = signed_in(Arc::clone(&clock), ORGANIZER, |settings| {
        settings.entra.refresh_lifetime = Duration::from_secs(3600);
    })
    .await;
    let first = token.text("refresh_token");
    refused(refresh(&client, "unknown").await, "invalid_grant", 70000);
    clock.advance(Duration::from_secs(3599));
    let second = refresh(&client, first).await.expect(200);
    clock.advance(Duration::from_secs(1));
    refused(refresh(&client, first).await, "invalid_grant", 700_082);
    let second = second.text("refresh_token");
    refresh(&client, second).await.expect(200);
    simulator.revoke_refresh_tokens(50173);
    refused(refresh(&client, second).await, "invalid_grant", 50173);
}

#[tokio::test]
async fn without_offline_access_there_is_no_refresh_token() {
    let (simulator, client) = start(|_| {}).await;
    let begun = client
        .device_code(TENANT, "OnlineMeetings.ReadWrite")
        .await
        .expect(200);
    assert!(simulator.approve(begun.text("user_code"), ORGANIZER));
    let token = poll(&client, begun.text("device_code")).await.expect(200);
    assert_eq!(token.body.get("refresh_token"), None);
}

#[tokio::test]
async fn an_id_token_is_issued_where_it_is_asked_for_and_names_the_person_with_profile() {
    for (scope, issued, named) in [
        (SCOPE.to_owned(), false, false),
        (format!("openid {SCOPE}"), true, false),
        (format!("openid profile {SCOPE}"), true, true),
    ] {
        let (simulator, client) = start(|_| {}).await;
        let begun = client.device_code(TENANT, &scope).await.expect(200);
        assert!(simulator.approve(begun.text("user_code"), ORGANIZER));
        let token = poll(&client, begun.text("device_code")).await.expect(200);
        assert_eq!(token.body["id_token"].is_string(), issued, "{scope}");
        if issued {
            let claims = claims(token.text("id_token"));
            assert_eq!(claims["tid"], TENANT);
            assert_ne!(claims["sub"], ORGANIZER);
            let expected = named.then(|| json!(ORGANIZER));
            assert_eq!(claims.get("oid"), expected.as_ref(), "{scope}");
        }
        let again = refresh(&client, token.text("refresh_token")).await;
        assert_eq!(again.expect(200).body["id_token"].is_string(), issued);
    }
}

#[tokio::test]
async fn a_person_works_under_me_and_an_application_under_users() {
    // No access policy is needed where the organizer asks in person.
    let (_simulator, person, _) = signed_in(clock(), ORGANIZER_WITHOUT_POLICY, |_| {}).await;
    let made = person.post(ME, &planning()).await.expect(201);
    assert!(
        made.text("@odata.context")
            .contains("$metadata#me/onlineMeetings")
    );
    let one = format!("/v1.0/me/onlineMeetings/{}", super::encode(made.text("id")));
    person.get(&one).await.expect(200);
    person
        .patch(&one, &json!({"subject": "x"}))
        .await
        .expect(200);
    let by_url = format!("JoinWebUrl eq '{}'", made.text("joinWebUrl"));
    let found = format!("/v1.0/me/onlineMeetings?$filter={}", super::encode(&by_url));
    let found = person.get(&found).await.expect(200);
    assert_eq!(found.body["value"][0]["id"], made.body["id"]);
    let users = create_or_get(ORGANIZER_WITHOUT_POLICY);
    person.post(&users, &planning()).await.expect(403);
    person.delete(&one).await.expect(204);

    let application = person.signed_in_again().await;
    let answer = application.post(ME, &planning()).await.expect(400);
    let message = "/me request is only valid with delegated authentication flow.";
    assert_eq!(answer.body["error"]["message"], message);
}

#[tokio::test]
async fn a_sign_in_is_answered_over_http_too() {
    let (simulator, client) = start(|_| {}).await;
    let begun = client.device_code(TENANT, SCOPE).await.expect(200);
    let path = begun.text("verification_uri").to_owned();
    let path = path.strip_prefix(&simulator.graph_url()).unwrap();
    let user_code = begun.text("user_code");
    let wrong = json!({"userCode": user_code, "as": "nobody"});
    client.loose("POST", path, &wrong).await.expect(404);
    client
        .loose("POST", path, &json!({"code": 1}))
        .await
        .expect(400);
    let right = json!({"userCode": user_code, "as": ORGANIZER});
    client.loose("POST", path, &right).await.expect(204);
    poll(&client, begun.text("device_code")).await.expect(200);
}

#[tokio::test]
async fn a_person_has_a_calendar_of_their_own_and_needs_its_permission() {
    for (scope, read, write) in [
        ("Calendars.ReadWrite", 200, 201),
        ("Calendars.Read", 200, 403),
        ("OnlineMeetings.ReadWrite", 403, 403),
    ] {
        let all = |settings: &mut Settings| settings.app.scopes.push("Calendars.Read".into());
        let (simulator, client, _) = signed_in_for(clock(), ORGANIZER, scope, all).await;
        client.get("/v1.0/me/calendar").await.expect(read);
        client.get("/v1.0/me/events").await.expect(read);
        client.get(&events(ORGANIZER)).await.expect(read);
        client
            .get(&events(ORGANIZER_WITHOUT_DIAL_IN))
            .await
            .expect(403);
        let made = client.post("/v1.0/me/events", &event()).await.expect(write);
        if write == 201 {
            client
                .get(&one_event("organizer@simulator.example", made.text("id")))
                .await
                .expect(200);
            assert_eq!(simulator.snapshot().mailboxes[0].user, ORGANIZER);
        }
    }
}
