//! Limits per scope, the forms of Retry-After, and who is judged for coming back too early.

use std::sync::Arc;
use std::time::Duration;

use meetbridge::simulator::{
    Effect, Endpoint, Fault, Hint, Limits, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN,
    ORGANIZER_WITHOUT_POLICY, Policy, Rate,
};
use serde_json::json;

use super::client::{clock, start, start_with};
use super::{create_or_get, meetings, one, planning};

const TEN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_application_is_throttled_over_all_organizers() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
        settings.limits.app = Some(Rate::new(3, TEN));
    })
    .await;
    let inside = || simulator.snapshot().inside_retry_after;
    for (organizer, status) in [
        (ORGANIZER, 201),
        (ORGANIZER_WITHOUT_DIAL_IN, 201),
        (ORGANIZER, 200),
        (ORGANIZER_WITHOUT_DIAL_IN, 429),
    ] {
        clock.advance(Duration::from_secs(1));
        let path = create_or_get(organizer);
        let answer = client.post(&path, &planning()).await.expect(status);
        if status == 429 {
            assert_eq!(answer.headers["retry-after"], "7");
            assert_eq!(answer.body["error"]["code"], "TooManyRequests");
        }
    }
    assert_eq!(inside(), 0);
    client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(429);
    assert_eq!(inside(), 1);
    client.sign_in().await.expect(200);
    assert_eq!(inside(), 1, "Entra is another service");
    clock.advance(Duration::from_secs(7));
    client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(200);
    assert_eq!(inside(), 1);
}

#[tokio::test]
async fn an_organizer_is_throttled_alone() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
        settings.limits.organizer = Some(Rate::new(1, TEN));
    })
    .await;
    let made = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    let meeting = one(ORGANIZER, made.text("id"));
    client.get(&meeting).await.expect(429);
    let other = create_or_get(ORGANIZER_WITHOUT_DIAL_IN);
    client.post(&other, &planning()).await.expect(201);
    assert_eq!(
        simulator.snapshot().inside_retry_after,
        0,
        "others need not wait"
    );
    client
        .get(&one(&ORGANIZER.to_uppercase(), made.text("id")))
        .await
        .expect(429);
    assert_eq!(simulator.snapshot().inside_retry_after, 1, "without case");
    clock.advance(TEN);
    client.get(&meeting).await.expect(200);
    assert_eq!(simulator.snapshot().inside_retry_after, 1);
}

#[tokio::test]
async fn a_mailbox_is_throttled_alone() {
    let (simulator, client) = start(|settings| {
        settings.limits.mailbox = Some(Rate::new(1, TEN));
    })
    .await;
    let events = format!("/v1.0/users/{ORGANIZER}/events");
    let code = |answer: super::client::Answer| answer.body["error"]["code"].clone();
    client.get(&events).await.expect(200);
    assert_eq!(
        code(client.get(&events).await.expect(429)),
        "ApplicationThrottled"
    );
    let other = format!("/v1.0/users/{ORGANIZER_WITHOUT_POLICY}/calendar");
    client.get(&other).await.expect(200);
    client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    assert_eq!(simulator.snapshot().inside_retry_after, 0);
}

#[tokio::test]
async fn a_window_of_outlook_is_one_mailboxs_and_none_of_meetings() {
    let (simulator, client) = start(|_| ()).await;
    let inside = || simulator.snapshot().inside_retry_after;
    let events = format!("/v1.0/users/{ORGANIZER}/events");
    let other = format!("/v1.0/users/{ORGANIZER_WITHOUT_POLICY}/events");
    simulator.script(Fault::next(Endpoint::EventFilter, Effect::throttled(10)));
    client.get(&events).await.expect(429);
    client.get(&other).await.expect(200);
    let path = create_or_get(ORGANIZER);
    client.post(&path, &planning()).await.expect(201);
    assert_eq!(inside(), 0);
    client.get(&events).await.expect(200);
    assert_eq!(inside(), 1);
    simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::throttled(10)));
    client.post(&path, &planning()).await.expect(429);
    client.get(&other).await.expect(200);
    assert_eq!(inside(), 1);
    client.post(&path, &planning()).await.expect(200);
    assert_eq!(inside(), 2);
}

#[tokio::test]
async fn how_long_to_wait_is_told_in_each_form() {
    for (hint, header, counted) in [
        (Hint::Seconds, Some("10"), 1),
        (Hint::Fraction, Some("9.500"), 1),
        (Hint::Date, Some("Sun, 01 Nov 2026 08:00:11 GMT"), 1),
        (Hint::Missing, None, 0),
    ] {
        let clock = clock();
        let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
            settings.limits.organizer = Some(Rate::new(1, TEN));
            settings.limits.hint = hint;
        })
        .await;
        client.get(&meetings(ORGANIZER)).await.expect(400);
        clock.advance(Duration::from_millis(500));
        let answer = client.get(&meetings(ORGANIZER)).await.expect(429);
        let given = answer.headers.get("retry-after");
        assert_eq!(
            given.map(|value| value.to_str().unwrap()),
            header,
            "{hint:?}"
        );
        client.get(&meetings(ORGANIZER)).await.expect(429);
        assert_eq!(simulator.snapshot().inside_retry_after, counted, "{hint:?}");
        let wait = Duration::from_millis(match hint {
            Hint::Seconds | Hint::Date => 10_500,
            Hint::Fraction | Hint::Missing => 9_500,
        });
        clock.advance(wait);
        client.get(&meetings(ORGANIZER)).await.expect(400);
        assert_eq!(simulator.snapshot().inside_retry_after, counted, "{hint:?}");
    }
}

#[tokio::test]
async fn the_documented_limit_is_five_thousand_in_ten_seconds() {
    let limits = Limits::documented();
    assert_eq!(limits.app, Some(Rate::new(5_000, TEN)));
    assert_eq!(limits.organizer, None);
    assert_eq!(limits.mailbox, Some(Rate::new(10_000, 60 * TEN)));
    assert_eq!(limits.mailbox_at_once, Some(4));
}

#[tokio::test]
async fn an_organizer_has_so_many_meetings_a_month() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
        settings.limits.meetings_per_month = Some(2);
        settings.token_lifetime = Duration::from_secs(40 * 86_400);
        settings.organizers[2].policy = Policy::Granted;
    })
    .await;
    let path = create_or_get(ORGANIZER);
    client
        .post(&path, &json!({"externalId": "a"}))
        .await
        .expect(201);
    client
        .post(&meetings(ORGANIZER), &json!({}))
        .await
        .expect(201);
    let answer = client
        .post(&path, &json!({"externalId": "b"}))
        .await
        .expect(429);
    assert!(!answer.headers.contains_key("retry-after"));
    client
        .post(&path, &json!({"externalId": "a"}))
        .await
        .expect(200); // makes none
    let other = create_or_get(ORGANIZER_WITHOUT_POLICY);
    client
        .post(&other, &json!({"externalId": "a"}))
        .await
        .expect(201);
    clock.advance(Duration::from_secs(30 * 86_400));
    client
        .post(&path, &json!({"externalId": "b"}))
        .await
        .expect(201);
    assert_eq!(simulator.snapshot().inside_retry_after, 0);
}
