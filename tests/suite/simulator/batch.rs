//! `$batch`: its envelope, the order of its parts, what each is answered.

use std::time::Duration;

use meetbridge::simulator::{
    Effect, Endpoint, Fault, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN, Rate, Times, Verdict,
};
use serde_json::{Value, json};

use super::client::{Answer, Client, start};
use super::{KEY, create_or_get, meetings, one, planning};

const BATCH: &str = "/v1.0/$batch";

fn make(id: &str, organizer: &str) -> Value {
    let url = create_or_get(organizer);
    json!({"id": id, "method": "POST", "url": url.strip_prefix("/v1.0").unwrap(),
           "headers": {"Content-Type": "application/json"}, "body": planning()})
}

fn get(id: &str, meeting: &str) -> Value {
    json!({"id": id, "method": "GET", "url": meeting.strip_prefix("/v1.0").unwrap()})
}

async fn send(client: &Client, requests: &[Value]) -> Answer {
    client.post(BATCH, &json!({"requests": requests})).await
}

/// The part of an answer with this id.
fn part<'a>(answer: &'a Answer, id: &str) -> &'a Value {
    let parts = answer.body["responses"].as_array().unwrap();
    parts.iter().find(|part| part["id"] == id).unwrap()
}

#[tokio::test]
async fn the_parts_are_carried_out_and_answered_each_for_itself() {
    let (simulator, client) = start(|_| {}).await;
    let mut second = make("b", ORGANIZER);
    second["dependsOn"] = json!(["A"]);
    let unknown = get("c", &one(ORGANIZER, "x"));
    let mut german = make("d", ORGANIZER);
    german["headers"]["Accept-Language"] = "de".into();
    let answer = send(&client, &[second, make("a", ORGANIZER), unknown, german]).await;
    let answer = answer.expect(200);
    let statuses = ["a", "b", "c", "d"].map(|id| part(&answer, id)["status"].as_u64().unwrap());
    assert_eq!(statuses, [201, 200, 400, 200]);
    assert_eq!(
        part(&answer, "a")["body"]["id"],
        part(&answer, "b")["body"]["id"]
    );
    let german = part(&answer, "d")["body"]["joinInformation"].to_string();
    assert!(german.contains("Besprechungs-ID"), "{german}");
    let order: Vec<_> = answer.body["responses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["id"])
        .collect();
    assert_ne!(order, ["b", "a", "c", "d"], "no order is promised");
    let state = simulator.snapshot();
    assert_eq!(state.requests(Endpoint::Batch), 1);
    assert_eq!(state.requests(Endpoint::CreateOrGet), 3);
    assert_eq!(state.meeting(KEY).unwrap().calls.create_or_get, 3);

    let id = part(&answer, "a")["body"]["id"].as_str().unwrap();
    let url = one(ORGANIZER, id);
    let delete = json!({"id": "1", "method": "DELETE", "url": url.strip_prefix("/v1.0").unwrap()});
    let answer = send(&client, &[delete, get("2", &url)]).await.expect(200);
    assert_eq!(part(&answer, "1")["status"], 204);
    assert_eq!(part(&answer, "1").get("body"), None);
    assert_eq!(part(&answer, "2")["status"], 404);
}

#[tokio::test]
async fn a_failed_part_fails_what_depends_on_it() {
    let (simulator, client) = start(|_| {}).await;
    simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::throttled(10)));
    let mut second = make("2", ORGANIZER_WITHOUT_DIAL_IN);
    second["dependsOn"] = json!(["1"]);
    let mut third = get("3", &meetings(ORGANIZER));
    third["dependsOn"] = json!(["2"]);
    let answer = send(&client, &[make("1", ORGANIZER), second, third])
        .await
        .expect(200);
    let first = part(&answer, "1");
    assert_eq!(
        (&first["status"], &first["headers"]["Retry-After"]),
        (&json!(429), &json!("10"))
    );
    assert!(!answer.headers.contains_key("retry-after"));
    for id in ["2", "3"] {
        assert_eq!(part(&answer, id)["status"], 424);
        assert_eq!(
            part(&answer, id)["body"]["error"]["code"],
            "FailedDependency"
        );
    }
    assert!(simulator.snapshot().meetings.is_empty());
    send(&client, &[make("1", ORGANIZER)]).await.expect(200);
    let state = simulator.snapshot();
    assert_eq!(state.inside_retry_after, 2, "the batch and its part");
}

#[tokio::test]
async fn each_part_counts_against_the_limits() {
    let (simulator, client) = start(|settings| {
        settings.limits.app = Some(Rate::new(2, Duration::from_secs(10)));
    })
    .await;
    let parts: Vec<_> = ["1", "2", "3"].map(|id| make(id, ORGANIZER)).to_vec();
    let answer = send(&client, &parts).await.expect(200);
    let statuses = ["1", "2", "3"].map(|id| part(&answer, id)["status"].as_u64().unwrap());
    assert_eq!(statuses, [201, 200, 429]);
    assert_eq!(part(&answer, "3")["headers"]["Retry-After"], "10");
    assert_eq!(simulator.snapshot().inside_retry_after, 0);
}

#[tokio::test]
async fn faults_of_the_connection_strike_the_whole_batch_only() {
    let (simulator, client) = start(|_| {}).await;
    let lost = Fault::next(Endpoint::CreateOrGet, Effect::LostAfter);
    simulator.script(lost.times(Times::Forever));
    let answer = send(&client, &[make("1", ORGANIZER)]).await.expect(200);
    assert_eq!(part(&answer, "1")["status"], 201);
    simulator.script(Fault::next(Endpoint::Batch, Effect::LostBefore));
    let body = json!({"requests": [make("1", ORGANIZER)]});
    let request = client.request("POST", BATCH, Some(&body));
    assert!(request.send().await.is_err());
    simulator.script(Fault::next(Endpoint::Batch, Effect::status(503)));
    send(&client, &[make("1", ORGANIZER)]).await.expect(503);
}

#[tokio::test]
async fn meetings_may_not_work_in_a_batch() {
    let (_simulator, client) = start(|settings| {
        settings.manners.meetings_in_batch = Verdict::Refused;
    })
    .await;
    let user = get("2", &format!("/v1.0/users/{ORGANIZER}"));
    let answer = send(&client, &[make("1", ORGANIZER), user])
        .await
        .expect(200);
    assert_eq!(part(&answer, "1")["status"], 501);
    assert_eq!(part(&answer, "2")["status"], 200);
}

#[tokio::test]
async fn an_envelope_that_is_not_as_documented_is_refused_whole() {
    let (simulator, client) = start(|_| {}).await;
    let good = make("1", ORGANIZER);
    let with = |name: &str, value: Value| {
        let mut part = good.clone();
        part[name] = value;
        json!({"requests": [part]})
    };
    let without = |name: &str| {
        let mut part = good.clone();
        part.as_object_mut().unwrap().remove(name);
        json!({"requests": [part]})
    };
    let many: Vec<_> = (0..21).map(|n| make(&n.to_string(), ORGANIZER)).collect();
    let twenty = json!({"requests": many[..20]});
    let (mut one, mut two) = (make("1", ORGANIZER), make("2", ORGANIZER));
    one["dependsOn"] = json!(["2"]);
    two["dependsOn"] = json!(["1"]);
    let cases = [
        json!({}),
        json!({"requests": []}),
        json!({"requests": many}),
        json!({"requests": [good.clone()], "extra": 1}),
        json!({"requests": [good.clone(), "x"]}),
        json!({"requests": [make("a", ORGANIZER), make("A", ORGANIZER)]}),
        json!({"requests": [one, two]}),
        without("id"),
        without("url"),
        without("method"),
        without("headers"),
        with("id", json!(1)),
        with("method", json!("HEAD")),
        with("url", json!(create_or_get(ORGANIZER))),
        with("url", json!("https://graph.example/v1.0/me")),
        with("headers", json!({"Content-Type": 1})),
        with("dependsOn", json!(["none"])),
        with("dependsOn", json!("1")),
        with("retry", json!(true)),
    ];
    for body in cases {
        let answer = client.loose("POST", BATCH, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.raw);
    }
    assert!(simulator.snapshot().meetings.is_empty());
    client.post(BATCH, &twenty).await.expect(200);
    let nested = json!({"id": "1", "method": "POST", "url": "/$batch", "body": twenty,
                        "headers": {"Content-Type": "application/json"}});
    let answer = send(&client, &[nested]).await.expect(200);
    assert_eq!(part(&answer, "1")["status"], 404);
    let mut stranger = client.clone();
    stranger.authorization.clear();
    send(&stranger, &[good]).await.expect(401);
}
