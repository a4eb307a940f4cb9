//! Each scripted fault does what it says, and the counters that judge a client.

use std::sync::Arc;
use std::time::Duration;

use meetbridge::simulator::{
    Effect, Endpoint, Fault, Match, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN, RetryAfter, Scripted,
    Settings, Simulator, Times,
};
use serde_json::json;

use super::client::{Client, clock, start, start_with};
use super::{KEY, create_or_get, filter, meetings, one, planning};

#[tokio::test]
async fn a_scripted_answer_is_given_as_often_as_it_says_and_nothing_is_done() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::status(503)).times(Times::N(2)));
    simulator.script(Fault::next(Endpoint::Get, Effect::status(500)));
    for status in [503, 503] {
        let answer = client.post(&path, &planning()).await.expect(status);
        assert_eq!(answer.body["error"]["code"], "serviceNotAvailable");
    }
    assert!(simulator.snapshot().meetings.is_empty());
    let made = client.post(&path, &planning()).await.expect(201);
    client
        .get(&one(ORGANIZER, made.text("id")))
        .await
        .expect(500);

    let page = "<html>Bad gateway</html>";
    simulator.script(Fault {
        on: Match {
            external_id: Some(KEY.into()),
            nth: Some(2),
            ..Match::default()
        },
        effect: Effect::Answer(Scripted {
            status: 502,
            body: Some(page.into()),
            retry_after: None,
        }),
        times: Times::Forever,
    });
    let meeting = one(ORGANIZER, made.text("id"));
    client.get(&meeting).await.expect(200);
    client
        .post(&path, &json!({"externalId": "another"}))
        .await
        .expect(201);
    for _ in 0..3 {
        let answer = client
            .patch(&meeting, &json!({"subject": "x"}))
            .await
            .expect(502);
        assert_eq!(answer.raw, page);
        assert_eq!(answer.headers["content-type"], "text/html");
    }
}

#[tokio::test]
async fn the_token_endpoint_fails_as_scripted() {
    let (simulator, client) = start(|_| {}).await;
    for (effect, status, error) in [
        (Effect::Aadsts(7_000_222), 401, "invalid_client"),
        (Effect::Aadsts(65001), 400, "consent_required"),
        (Effect::Aadsts(12345), 400, "invalid_request"),
        (Effect::status(503), 503, "temporarily_unavailable"),
        (Effect::throttled(7), 429, "temporarily_unavailable"),
    ] {
        simulator.script(Fault::next(Endpoint::Token, effect));
        assert_eq!(client.sign_in().await.expect(status).body["error"], error);
    }
    client.sign_in().await.expect(200);
}

#[tokio::test]
async fn a_lost_answer_is_lost_before_or_after_the_effect() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::LostBefore));
    simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::LostAfter));
    let request = || client.request("POST", &path, Some(&planning())).send();
    assert!(request().await.is_err());
    assert!(simulator.snapshot().meetings.is_empty());
    assert!(request().await.is_err());
    assert_eq!(simulator.snapshot().meeting(KEY).unwrap().made, 1);
    client.post(&path, &planning()).await.expect(200);
    let state = simulator.snapshot();
    assert_eq!(
        state.requests(Endpoint::CreateOrGet),
        3,
        "nothing repeats a request by itself"
    );
    assert_eq!(
        state.answers.get(&200),
        Some(&2),
        "the token and the last call"
    );
}

#[tokio::test]
async fn a_truncated_body_breaks_off_after_the_head() {
    let (simulator, client) = start(|_| {}).await;
    simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::Truncated));
    let path = create_or_get(ORGANIZER);
    let response = client
        .request("POST", &path, Some(&planning()))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    assert!(response.bytes().await.is_err());
    client.post(&path, &planning()).await.expect(200);
}

#[tokio::test]
async fn an_answer_can_be_partial_or_of_year_one_without_harm_to_the_meeting() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    let made = client.post(&path, &planning()).await.expect(201);
    let found = filter(
        ORGANIZER,
        &format!("JoinWebUrl eq '{}'", made.text("joinWebUrl")),
    );

    simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::YearOne));
    let odd = client.post(&path, &planning()).await.expect(200);
    assert_eq!(odd.text("startDateTime"), "0001-01-01T00:00:00Z");
    assert_eq!(odd.text("endDateTime"), "0001-01-01T00:00:00Z");
    simulator.script(Fault::next(Endpoint::Filter, Effect::Partial));
    let request = client.request("GET", &found, None);
    let partial = client.send_unchecked(request).await.expect(200);
    assert_eq!(partial.body["value"][0].get("joinWebUrl"), None);
    assert_eq!(partial.body["value"][0]["id"], made.body["id"]);
    simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::Partial));
    let request = client.request("POST", &path, Some(&planning()));
    let partial = client.send_unchecked(request).await.expect(200);
    assert_eq!(partial.body.get("joinWebUrl"), None);

    let sound = client.post(&path, &planning()).await.expect(200);
    assert_eq!(sound.body, made.body);
}

#[tokio::test]
async fn requests_inside_a_retry_after_window_are_counted() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |_| {}).await;
    let path = create_or_get(ORGANIZER);
    let inside = || simulator.snapshot().inside_retry_after;
    simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::throttled(10)));
    let answer = client.post(&path, &planning()).await.expect(429);
    assert_eq!(answer.headers["retry-after"], "10");
    assert_eq!(answer.body["error"]["innerError"]["status"], "429");
    assert_eq!(inside(), 0);
    client.sign_in().await.expect(200);
    assert_eq!(inside(), 0, "Entra is another service");
    clock.advance(Duration::from_millis(9_999));
    client
        .get(&meetings(ORGANIZER_WITHOUT_DIAL_IN))
        .await
        .expect(400);
    assert_eq!(
        inside(),
        1,
        "the window is the application's, not the organizer's"
    );
    clock.advance(Duration::from_millis(1));
    client.post(&path, &planning()).await.expect(201);
    assert_eq!(inside(), 1);

    let dated = Scripted {
        status: 503,
        body: None,
        retry_after: Some(RetryAfter::Date(30)),
    };
    simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::Answer(dated)));
    let answer = client.post(&path, &planning()).await.expect(503);
    assert_eq!(
        answer.headers["retry-after"],
        "Sun, 01 Nov 2026 08:00:40 GMT"
    );
    client.post(&path, &planning()).await.expect(200);
    assert_eq!(inside(), 2);
    simulator.reset();
    assert_eq!(inside(), 0);
}

#[tokio::test]
async fn latency_passes_on_the_clock_and_requests_in_flight_are_counted() {
    let clock = clock();
    let latency = Duration::from_millis(100);
    let mut settings = Settings::new(clock.clone());
    settings.latency = latency;
    let simulator = Simulator::start(settings).await.unwrap();
    let client = Client::new(&simulator);
    simulator.script(Fault::next(Endpoint::Get, Effect::Delay(900)));
    let calls: Vec<_> = (0..5)
        .map(|_| {
            tokio::spawn({
                let client = client.clone();
                async move { client.get(&meetings(ORGANIZER)).await.status }
            })
        })
        .collect();
    clock.sleepers(5).await;
    clock.advance(latency);
    for call in calls {
        assert_eq!(call.await.unwrap(), 401);
    }
    assert_eq!(simulator.snapshot().peak_in_flight, 5);

    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.get(&one(ORGANIZER, "x")).await.status }
    });
    clock.sleepers(1).await;
    clock.advance(Duration::from_millis(999));
    assert!(!slow.is_finished() && simulator.snapshot().answers.get(&401) == Some(&5));
    clock.advance(Duration::from_millis(1));
    assert_eq!(slow.await.unwrap(), 401);
}

#[tokio::test]
async fn a_request_that_was_under_way_at_the_announcement_may_be_forgiven() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
        settings.window_grace = Duration::from_millis(100);
    })
    .await;
    simulator.script(Fault::next(Endpoint::Filter, Effect::throttled(10)));
    client.get(&meetings(ORGANIZER)).await.expect(429);
    for (wait, inside) in [(99, 0), (1, 1)] {
        clock.advance(Duration::from_millis(wait));
        client.get(&meetings(ORGANIZER)).await.expect(400);
        assert_eq!(simulator.snapshot().inside_retry_after, inside);
    }
}

#[tokio::test]
async fn an_answer_may_be_empty_a_page_or_never_come() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    let made = client.post(&path, &planning()).await.expect(201);
    let meeting = one(ORGANIZER, made.text("id"));
    simulator.script(Fault::next(Endpoint::Get, Effect::Empty));
    simulator.script(Fault::next(Endpoint::Get, Effect::WebPage));
    let get = || client.request("GET", &meeting, None);
    assert_eq!(client.send_unchecked(get()).await.expect(200).raw, "");
    let page = client.send_unchecked(get()).await.expect(200);
    assert_eq!(page.headers["content-type"], "text/html");

    for (effect, subject) in [
        (Effect::SilentBefore, "Planning"),
        (Effect::SilentAfter, "Silent"),
    ] {
        simulator.script(Fault::next(Endpoint::Patch, effect.clone()));
        let body = json!({"subject": "Silent"});
        let (asks, looks) = (client.patch(&meeting, &body), client.get(&meeting));
        tokio::pin!(asks);
        let held = || {
            simulator
                .snapshot()
                .meeting(KEY)
                .unwrap()
                .current
                .clone()
                .unwrap()
        };
        // It came in, and others are answered meanwhile.
        tokio::select! {
            _ = &mut asks => panic!("{effect:?}: an answer"),
            () = async {
                looks.await.expect(200);
                while simulator.snapshot().requests(Endpoint::Patch) == 0 {
                    tokio::task::yield_now().await;
                }
                while held().subject.as_deref() != Some(subject) {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
    }
}
