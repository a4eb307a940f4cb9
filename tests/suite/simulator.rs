//! The simulator over HTTP: its strictness, its answers, its faults.
//!
//! Where the shared reference lies beside the project (`../shared/reference/graph-schema`), every
//! request that is accepted and every answer is held against its schemas; elsewhere that part is
//! left out, and says so.

mod assertions;
mod batch;
mod client;
mod delegated;
mod events;
mod faults;
mod handle;
mod life;
mod manners;
mod outlook;
mod permissions;
mod shapes;
mod strictness;
mod throttling;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use meetbridge::simulator::{
    Endpoint, Existing, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN, TENANT, UrlShape,
};
use serde_json::{Value, json};

use client::{clock, encode, start, start_with};

const KEY: &str = "event-uid-0001@example.org";

fn create_or_get(organizer: &str) -> String {
    format!("/v1.0/users/{organizer}/onlineMeetings/createOrGet")
}

fn meetings(organizer: &str) -> String {
    format!("/v1.0/users/{organizer}/onlineMeetings")
}

fn one(organizer: &str, id: &str) -> String {
    format!("{}/{}", meetings(organizer), encode(id))
}

fn filter(organizer: &str, expression: &str) -> String {
    format!("{}?$filter={}", meetings(organizer), encode(expression))
}

fn planning() -> Value {
    json!({"externalId": KEY, "subject": "Planning",
           "startDateTime": "2026-11-10T09:00:00Z", "endDateTime": "2026-11-10T10:00:00Z"})
}

#[tokio::test]
async fn a_key_has_one_meeting_from_creation_to_deletion() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    let made = client.post(&path, &planning()).await.expect(201);
    let other =
        json!({"externalId": KEY, "subject": "Other", "startDateTime": "2027-01-01T00:00:00Z"});
    let again = client.post(&path, &other).await.expect(200);
    assert_eq!(
        again.body, made.body,
        "the other parameters of an existing meeting are ignored"
    );

    let id = made.text("id");
    let got = client.get(&one(ORGANIZER, id)).await.expect(200);
    assert_eq!(got.body, made.body);

    let moved = json!({"startDateTime": "2026-12-10T09:00:00-07:00",
                       "endDateTime": "2026-12-10T10:00:00-07:00", "subject": "Moved"});
    let patched = client.patch(&one(ORGANIZER, id), &moved).await.expect(200);
    assert!(
        patched
            .text("startDateTime")
            .starts_with("2026-12-10T16:00:00"),
        "{patched:?}"
    );
    assert_eq!(patched.text("subject"), "Moved");
    assert_eq!(patched.text("joinWebUrl"), made.text("joinWebUrl"));

    client.delete(&one(ORGANIZER, id)).await.expect(204);
    client.delete(&one(ORGANIZER, id)).await.expect(404);
    client.get(&one(ORGANIZER, id)).await.expect(404);
    let anew = client.post(&path, &planning()).await.expect(201);
    assert_ne!(anew.text("id"), id);
    assert_ne!(anew.text("joinWebUrl"), made.text("joinWebUrl"));

    let state = simulator.snapshot();
    let meeting = state.meeting(KEY).unwrap();
    assert_eq!((meeting.made, meeting.tenant.as_str()), (2, TENANT));
    let calls = meeting.calls;
    assert_eq!(
        (calls.create_or_get, calls.get, calls.patch, calls.delete),
        (3, 1, 1, 1)
    );
    assert_eq!(meeting.current.as_ref().unwrap().id, anew.text("id"));
    assert_eq!(state.requests(Endpoint::Delete), 2);
}

#[tokio::test]
async fn the_key_is_tenant_organizer_and_external_id() {
    let (simulator, client) = start(|_| {}).await;
    let mut urls = Vec::new();
    for (organizer, key) in [
        (ORGANIZER, "a"),
        (ORGANIZER, "A"),
        (ORGANIZER, "a "),
        (ORGANIZER_WITHOUT_DIAL_IN, "a"),
    ] {
        let made = client
            .post(&create_or_get(organizer), &json!({"externalId": key}))
            .await;
        urls.push(made.expect(201).text("joinWebUrl").to_owned());
    }
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), 4);
    assert_eq!(simulator.snapshot().meetings.len(), 4);
}

#[tokio::test]
async fn two_calls_at_once_with_one_new_key_make_one_meeting() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    let body = planning();
    let calls = (0..20).map(|_| client.post(&path, &body));
    let answers = futures_util::future::join_all(calls).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.text("id") == answers[0].text("id"))
    );
    assert_eq!(simulator.snapshot().meeting(KEY).unwrap().made, 1);
}

#[tokio::test]
async fn an_existing_meeting_takes_the_parameters_where_that_is_chosen() {
    let (_simulator, client) = start(|settings| settings.manners.existing = Existing::Apply).await;
    let path = create_or_get(ORGANIZER);
    client.post(&path, &planning()).await.expect(201);
    let other =
        json!({"externalId": KEY, "subject": "Other", "startDateTime": "2027-01-01T00:00:00Z"});
    let again = client.post(&path, &other).await.expect(200);
    assert_eq!(again.text("subject"), "Other");
    assert!(
        again.text("endDateTime").starts_with("2027-01-01T01:00:00"),
        "{again:?}"
    );
}

#[tokio::test]
async fn times_default_to_an_hour_from_the_clock_and_a_meeting_expires() {
    let clock = clock();
    let (_simulator, client) = start_with(Arc::clone(&clock), |_| {}).await;
    let path = create_or_get(ORGANIZER);
    let made = client
        .post(&path, &json!({"externalId": KEY}))
        .await
        .expect(201);
    assert!(
        made.text("startDateTime")
            .starts_with("2026-11-01T08:00:00"),
        "{made:?}"
    );
    assert!(
        made.text("endDateTime").starts_with("2026-11-01T09:00:00"),
        "{made:?}"
    );
    assert!(
        made.text("expiryDateTime")
            .starts_with("2026-12-31T09:00:00"),
        "{made:?}"
    );
    let id = made.text("id");

    clock.advance(Duration::from_secs(30 * 86_400));
    let client = client.signed_in_again().await;
    let kept = client
        .patch(&one(ORGANIZER, id), &json!({"subject": "Kept"}))
        .await
        .expect(200);
    assert!(
        kept.text("expiryDateTime")
            .starts_with("2027-01-30T08:00:00"),
        "{kept:?}"
    );

    clock.advance(Duration::from_secs(60 * 86_400));
    let client = client.signed_in_again().await;
    client.get(&one(ORGANIZER, id)).await.expect(404);
    client
        .post(&path, &json!({"externalId": KEY}))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_meeting_is_found_by_its_exact_join_url_encoded_once() {
    for shape in [UrlShape::Long, UrlShape::Short] {
        let (simulator, client) = start(|settings| settings.url_shape = shape).await;
        let made = client
            .post(&create_or_get(ORGANIZER), &planning())
            .await
            .expect(201);
        let url = made.text("joinWebUrl");
        let expected = match shape {
            UrlShape::Long => "https://teams.microsoft.com/l/meetup-join/19%3ameeting_",
            UrlShape::Short => "https://teams.microsoft.com/meet/",
        };
        assert!(url.starts_with(expected), "{url}");

        let found = client
            .get(&filter(ORGANIZER, &format!("JoinWebUrl eq '{url}'")))
            .await;
        let found = found.expect(200);
        let value = found.body["value"].as_array().unwrap();
        assert_eq!(value.len(), 1);
        assert_eq!(value[0]["id"], made.body["id"]);
        let long = "https://teams.microsoft.com/l/meetup-join/";
        assert!(
            value[0]["joinWebUrl"].as_str().unwrap().starts_with(long),
            "always the long form"
        );

        let number = made.body["joinMeetingIdSettings"]["joinMeetingId"]
            .as_str()
            .unwrap();
        let by_number = format!("joinMeetingIdSettings/joinMeetingId eq '{number}'");
        let found = client.get(&filter(ORGANIZER, &by_number)).await.expect(200);
        assert_eq!(found.body["value"][0]["id"], made.body["id"]);

        let unencoded = format!("{}?$filter=JoinWebUrl%20eq%20'{url}'", meetings(ORGANIZER));
        let missed = client.get(&unencoded).await.expect(200);
        let matches = missed.body["value"].as_array().unwrap().len();
        // Not encoded, `%3a` is read as a colon; the short form holds nothing to encode.
        assert_eq!(matches, usize::from(shape == UrlShape::Short), "{url}");
        assert_eq!(
            simulator.snapshot().meeting(KEY).unwrap().calls.filter as usize,
            2 + matches
        );

        let elsewhere = format!("JoinWebUrl eq '{url}'");
        client
            .get(&filter(ORGANIZER_WITHOUT_DIAL_IN, &elsewhere))
            .await
            .expect(403);
    }
}

#[tokio::test]
async fn an_answer_shows_what_the_organizer_has() {
    let (_simulator, client) = start(|settings| settings.organizers[1].video_interop = true).await;
    let with = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    let dial_in = &with.body["audioConferencing"];
    let conference = dial_in["conferenceId"].as_str().unwrap();
    assert!(
        dial_in["dialinUrl"]
            .as_str()
            .unwrap()
            .ends_with(&format!("?id={conference}"))
    );
    assert!(dial_in["tollNumber"].is_string() && dial_in["tollNumbers"].is_array());
    assert_eq!(with.body["videoTeleconferenceId"], Value::Null);
    assert!(with.body["joinMeetingIdSettings"]["passcode"].is_string());

    let without = client
        .post(&create_or_get(ORGANIZER_WITHOUT_DIAL_IN), &planning())
        .await;
    let without = without.expect(201);
    assert_eq!(without.body["audioConferencing"], Value::Null);
    assert!(without.body["videoTeleconferenceId"].is_string());
}

#[tokio::test]
async fn join_information_speaks_the_language_asked_for() {
    let (_simulator, client) = start(|_| {}).await;
    client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    for (language, word) in [
        ("en-US", "Meeting+ID"),
        ("de-DE,en;q=0.5", "Besprechungs-ID"),
        ("fr", "ID+de+r%C3%A9union"),
        ("es-MX", "Id.+de+reuni%C3%B3n"),
        ("ja", "%E4%BC%9A%E8%AD%B0+ID"),
        ("cy", "Meeting+ID"),
    ] {
        let request = client.request("POST", &create_or_get(ORGANIZER), Some(&planning()));
        let answer = client
            .send(request.header("accept-language", language))
            .await
            .expect(200);
        let information = &answer.body["joinInformation"];
        assert_eq!(information["contentType"], "Html");
        let content = information["content"].as_str().unwrap();
        assert!(content.starts_with("data%3Atext%2Fhtml%2C"), "{content}");
        assert!(
            content.contains(word) && !content.contains(' '),
            "{content}"
        );
    }
}

#[tokio::test]
async fn later_enum_members_show_only_to_those_who_ask() {
    let (_simulator, client) = start(|_| {}).await;
    let made = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    let path = one(ORGANIZER, made.text("id"));
    let lobby = json!({"lobbyBypassSettings": {"scope": "invited"}});
    let hidden = client.patch(&path, &lobby).await.expect(200);
    let expected = json!({"scope": "unknownFutureValue", "isDialInBypassEnabled": false});
    assert_eq!(hidden.body["lobbyBypassSettings"], expected);
    let request = client.request("GET", &path, None);
    let shown = client
        .send(request.header("prefer", "include-unknown-enum-members"))
        .await;
    assert_eq!(
        shown.expect(200).body["lobbyBypassSettings"]["scope"],
        "invited"
    );
}

#[tokio::test]
async fn everything_invented_follows_from_seed_and_key() {
    let mut urls = Vec::new();
    for seed in [7, 7, 8] {
        let (_simulator, client) = start(|settings| settings.seed = seed).await;
        client
            .post(&create_or_get(ORGANIZER), &json!({"externalId": "first"}))
            .await;
        let made = client
            .post(&create_or_get(ORGANIZER), &planning())
            .await
            .expect(201);
        urls.push(made.text("joinWebUrl").to_owned());
    }
    assert!(urls[0] == urls[1] && urls[1] != urls[2], "{urls:?}");
}

#[tokio::test]
async fn answers_carry_the_headers_that_support_asks_for() {
    let (_simulator, client) = start(|_| {}).await;
    let request = client.request("POST", &create_or_get(ORGANIZER), Some(&planning()));
    let answer = client
        .send(request.header("client-request-id", "my-own-id"))
        .await
        .expect(201);
    assert_eq!(answer.headers["client-request-id"], "my-own-id");
    assert_eq!(answer.headers["date"], "Sun, 01 Nov 2026 08:00:00 GMT");
    assert!(answer.headers.contains_key("x-ms-ags-diagnostic"));
    let id = answer.headers["request-id"].to_str().unwrap();
    assert!(uuid::Uuid::try_parse(id).is_ok(), "{id}");
    let refused = client.get(&meetings(ORGANIZER)).await.expect(400);
    assert_ne!(refused.headers["request-id"], answer.headers["request-id"]);
    let inner = &refused.body["error"]["innerError"];
    assert_eq!(
        inner["request-id"],
        refused.headers["request-id"].to_str().unwrap()
    );
    assert_eq!(inner["date"], "2026-11-01T08:00:00");
}
