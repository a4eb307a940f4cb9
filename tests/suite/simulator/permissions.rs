//! Permissions of the token, access policies, licences, and the users themselves.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use meetbridge::clock::Clock as _;
use meetbridge::simulator::{ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN, Policy, Refused, TENANT_DOMAIN};
use serde_json::{Value, json};

use super::client::{clock, start, start_with};
use super::{KEY, create_or_get, encode, meetings, one, planning};

#[tokio::test]
async fn what_the_token_does_not_permit_is_forbidden_until_another_token_does() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    let made = client.post(&path, &planning()).await.expect(201);
    let meeting = one(ORGANIZER, made.text("id"));

    simulator.change(|settings| settings.app.roles = vec!["OnlineMeetings.Read.All".into()]);
    client.post(&path, &planning()).await.expect(200); // the token tells its own permissions
    let reader = client.signed_in_again().await;
    reader.get(&meeting).await.expect(200);
    let answer = reader.post(&path, &planning()).await.expect(403);
    let error = &answer.body["error"];
    assert_eq!(error["code"], "Forbidden");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("OnlineMeetings.ReadWrite.All"),
        "{message}"
    );
    assert!(!message.to_lowercase().contains("policy"), "{message}");
    reader
        .patch(&meeting, &json!({"subject": "x"}))
        .await
        .expect(403);
    reader.delete(&meeting).await.expect(403);

    simulator.change(|settings| settings.app.roles.clear());
    let nobody = client.signed_in_again().await;
    nobody.get(&meeting).await.expect(403);
    let answer = nobody
        .get(&format!("/v1.0/users/{ORGANIZER}"))
        .await
        .expect(403);
    assert_eq!(answer.body["error"]["code"], "Authorization_RequestDenied");
}

#[tokio::test]
async fn a_policy_of_the_users_own_replaces_the_global_one() {
    let (simulator, client) = start(|_| {}).await;
    let refused = Policy::Missing(Refused::General);
    for (own, global, status) in [
        (Policy::Global, Policy::Granted, 201),
        (Policy::Global, refused, 403),
        (Policy::Granted, refused, 200),
        (refused, Policy::Granted, 403),
    ] {
        simulator.change(|settings| {
            settings.organizers[0].policy = own;
            settings.global_policy = global;
        });
        let answer = client.post(&create_or_get(ORGANIZER), &planning()).await;
        let answer = answer.expect(status);
        if status == 403 {
            assert_eq!(
                answer.body["error"]["code"], "General",
                "{own:?} {global:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_policy_takes_half_an_hour_to_be_effective() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |_| {}).await;
    let from = clock.now() + TimeDelta::minutes(30);
    let policy = Policy::GrantedFrom(from, Refused::Unauthorized);
    simulator.change(|settings| settings.organizers[0].policy = policy);
    let path = create_or_get(ORGANIZER);
    let answer = client.post(&path, &planning()).await.expect(403);
    let message = answer.body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("is not authorized to Create meeting"),
        "{message}"
    );
    clock.advance(Duration::from_secs(1799));
    client.post(&path, &planning()).await.expect(403);
    clock.advance(Duration::from_secs(1));
    client.post(&path, &planning()).await.expect(201);
}

#[tokio::test]
async fn guests_and_unlicensed_users_make_no_meetings() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    let made = client.post(&path, &planning()).await.expect(201);
    simulator.change(|settings| settings.organizers[0].guest = true);
    client.post(&path, &planning()).await.expect(403);
    simulator.change(|settings| {
        settings.organizers[0].guest = false;
        settings.organizers[0].licensed = false;
    });
    let answer = client
        .post(&meetings(ORGANIZER), &json!({}))
        .await
        .expect(403);
    let message = answer.body["error"]["message"].as_str().unwrap();
    assert!(!message.to_lowercase().contains("policy"), "{message}");
    client
        .get(&one(ORGANIZER, made.text("id")))
        .await
        .expect(200);
    simulator.change(|settings| drop(settings.organizers.remove(0)));
    client.post(&path, &planning()).await.expect(404); // the account was removed
}

#[tokio::test]
async fn a_dial_in_licence_shows_once_it_has_spread() {
    let clock = clock();
    let from = clock.now() + TimeDelta::hours(6);
    let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
        settings.organizers[0].dial_in_from = from;
        settings.token_lifetime = Duration::from_secs(86_400);
    })
    .await;
    let made = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    assert_eq!(made.body["audioConferencing"], Value::Null);
    let meeting = one(ORGANIZER, made.text("id"));
    clock.advance(Duration::from_secs(6 * 3600));
    let shown = client.get(&meeting).await.expect(200);
    let dial_in = shown.body["audioConferencing"].as_object().unwrap();
    for name in ["conferenceId", "dialinUrl", "tollNumber", "tollFreeNumber"] {
        assert!(dial_in[name].is_string(), "{name}");
    }
    for name in ["tollNumbers", "tollFreeNumbers"] {
        assert!(dial_in[name][0].is_string(), "{name}");
    }
    simulator.change(|settings| settings.organizers[0].dial_in = false);
    let shown = client.get(&meeting).await.expect(200);
    assert_eq!(shown.body["audioConferencing"], Value::Null, "taken away");
}

#[tokio::test]
async fn a_user_is_found_by_object_id_and_by_principal_name() {
    let (_simulator, client) = start(|_| {}).await;
    let upn = format!("No-Dial-In@{TENANT_DOMAIN}");
    for name in [upn.as_str(), ORGANIZER_WITHOUT_DIAL_IN] {
        let path = format!("/v1.0/users/{}?$select=id,userPrincipalName", encode(name));
        let user = client.get(&path).await.expect(200);
        assert_eq!(user.text("id"), ORGANIZER_WITHOUT_DIAL_IN);
        assert_eq!(user.text("userPrincipalName"), upn.to_lowercase());
        assert_eq!(user.body.get("displayName"), None, "it was not selected");
    }
    let whole = client
        .get(&format!("/v1.0/users/{ORGANIZER}"))
        .await
        .expect(200);
    assert_eq!(whole.text("displayName"), "organizer");
    let missing = client.get("/v1.0/users/nobody%40simulator.example").await;
    assert_eq!(
        missing.expect(404).body["error"]["code"],
        "Request_ResourceNotFound"
    );
    for query in ["$select=shoeSize", "$expand=manager"] {
        client
            .get(&format!("/v1.0/users/{ORGANIZER}?{query}"))
            .await
            .expect(400);
    }
    client.get("/v1.0/me").await.expect(400); // an application is nobody
    client
        .post(&create_or_get(&upn), &json!({"externalId": KEY}))
        .await
        .expect(404);
}
