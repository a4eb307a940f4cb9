//! Each open question of the reference, with both answers.

use std::sync::Arc;
use std::time::Duration;

use meetbridge::simulator::{
    Effect, Endpoint, Fault, KeyCase, Manners, ORGANIZER, Race, Spelling, UrlShape, Verdict,
};
use serde_json::{Value, json};

use super::client::{clock, start, start_with};
use super::{KEY, create_or_get, meetings, one, planning};

fn keyed(key: &str) -> Value {
    json!({"externalId": key})
}

#[tokio::test]
async fn keys_may_differ_in_case_or_not() {
    for (case, second, made) in [(KeyCase::Sensitive, 201, 2), (KeyCase::Insensitive, 200, 1)] {
        let (simulator, client) = start(|settings| settings.manners.key_case = case).await;
        let path = create_or_get(ORGANIZER);
        client.post(&path, &keyed("Planning")).await.expect(201);
        let again = client.post(&path, &keyed("PLANNING")).await.expect(second);
        let echoed = ["PLANNING", "Planning"][usize::from(second == 200)];
        assert_eq!(again.text("externalId"), echoed);
        assert_eq!(simulator.snapshot().meetings.len(), made);
    }
}

#[tokio::test]
async fn keys_may_have_to_be_short_and_plain() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    let (long, foreign) = ("x".repeat(129), "Besprechung/ä");
    client.post(&path, &keyed(&long)).await.expect(201);
    client.post(&path, &keyed(foreign)).await.expect(201);
    simulator.change(|settings| {
        settings.manners.longest_key = Some(128);
        settings.manners.foreign_keys = Verdict::Refused;
    });
    client.post(&path, &keyed(&long)).await.expect(400);
    client.post(&path, &keyed(foreign)).await.expect(400);
    client.post(&path, &keyed(&long[..128])).await.expect(201);
}

#[tokio::test]
async fn two_calls_that_overlap_make_one_meeting_or_two_or_a_conflict() {
    for (race, status, made) in [
        (Race::OneMeeting, 200, 1),
        (Race::TwoMeetings, 201, 2),
        (Race::Conflict, 409, 1),
    ] {
        let clock = clock();
        let (simulator, client) =
            start_with(Arc::clone(&clock), |settings| settings.manners.race = race).await;
        let path = create_or_get(ORGANIZER);
        simulator.script(Fault::next(Endpoint::CreateOrGet, Effect::Delay(10)));
        let slow = tokio::spawn({
            let (client, path) = (client.clone(), path.clone());
            async move { client.post(&path, &planning()).await }
        });
        clock.sleepers(1).await;
        client.post(&path, &planning()).await.expect(201); // overtakes the first
        clock.advance(Duration::from_millis(10));
        slow.await.unwrap().expect(status);
        assert_eq!(
            simulator.snapshot().meeting(KEY).unwrap().made,
            made,
            "{race:?}"
        );
        client.post(&path, &planning()).await.expect(200); // one after the other is no race
    }
}

#[tokio::test]
async fn times_beyond_the_usual_are_taken_or_refused() {
    let (simulator, client) = start(|_| {}).await;
    let past = json!({"externalId": "past", "startDateTime": "2026-11-01T07:59:59Z"});
    let long = json!({"externalId": "long", "startDateTime": "2026-11-10T00:00:00Z",
                      "endDateTime": "2026-11-11T06:00:01Z"});
    let path = create_or_get(ORGANIZER);
    for (verdict, status) in [(Verdict::Refused, 400), (Verdict::Taken, 201)] {
        simulator.change(|settings| {
            settings.manners.past_start = verdict;
            settings.manners.over_30_hours = verdict;
        });
        client.post(&path, &past).await.expect(status);
        client.post(&path, &long).await.expect(status);
        let plain = json!({"startDateTime": "2026-10-01T00:00:00Z"});
        client
            .post(&meetings(ORGANIZER), &plain)
            .await
            .expect(status);
    }
    simulator.change(|settings| settings.manners.past_start = Verdict::Refused);
    client.post(&path, &keyed("now")).await.expect(201); // by default it starts now
}

#[tokio::test]
async fn times_the_wrong_way_round_have_a_status_of_choice() {
    for status in [400, 422, 500] {
        let (_simulator, client) = start(|settings| settings.manners.backwards = status).await;
        let path = create_or_get(ORGANIZER);
        for body in [
            json!({"externalId": "x", "endDateTime": "2026-11-10T10:00:00Z"}),
            json!({"externalId": "x", "startDateTime": "2026-11-10T10:00:00Z",
                   "endDateTime": "2026-11-10T09:00:00Z"}),
        ] {
            client.post(&path, &body).await.expect(status);
        }
    }
}

#[tokio::test]
async fn unknown_and_fixed_properties_are_refused_or_ignored() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    let body = json!({"externalId": "x", "allowedPresenters": "organizer"});
    client.loose("POST", &path, &body).await.expect(400);
    let made = client.post(&path, &planning()).await.expect(201);
    let meeting = one(ORGANIZER, made.text("id"));
    let fixed = json!({"joinWebUrl": "https://x", "subject": "Other"});
    client.loose("PATCH", &meeting, &fixed).await.expect(400);
    client
        .loose("PATCH", &meeting, &made.body)
        .await
        .expect(400);

    simulator.change(|settings| {
        settings.manners.unknown = Verdict::Taken;
        settings.manners.not_updatable = Verdict::Taken;
    });
    let other = client.loose("POST", &path, &body).await.expect(201);
    assert_eq!(other.text("allowedPresenters"), "everyone");
    let patched = client.loose("PATCH", &meeting, &fixed).await.expect(200);
    assert_eq!(patched.text("subject"), "Other");
    assert_eq!(patched.body["joinWebUrl"], made.body["joinWebUrl"]);
    let unknown = json!({"colour": "red", "subject": "Third"});
    client.loose("PATCH", &meeting, &unknown).await.expect(200);
}

#[tokio::test]
async fn create_or_get_obeys_the_language_or_not() {
    for (verdict, word) in [
        (Verdict::Taken, "Besprechungs-ID"),
        (Verdict::Refused, "Meeting+ID"),
    ] {
        let (_simulator, client) =
            start(|settings| settings.manners.create_or_get_language = verdict).await;
        let request = client.request("POST", &create_or_get(ORGANIZER), Some(&planning()));
        let made = client
            .send(request.header("accept-language", "de-DE"))
            .await;
        let made = made.expect(201);
        let content = made.body["joinInformation"]["content"].as_str().unwrap();
        assert!(content.contains(word), "{content}");
        let request = client.request("GET", &one(ORGANIZER, made.text("id")), None);
        let got = client
            .send(request.header("accept-language", "de-DE"))
            .await
            .expect(200);
        let content = got.body["joinInformation"]["content"].as_str().unwrap();
        assert!(content.contains("Besprechungs-ID"), "{content}");
    }
}

#[tokio::test]
async fn some_keys_are_spelled_as_the_documentation_does() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    client.post(&path, &planning()).await.expect(201);
    simulator.change(|settings| settings.manners.spelling = Spelling::Documentation);
    let odd = client.post(&path, &planning()).await.expect(200);
    let dial_in = odd.body["audioConferencing"].as_object().unwrap();
    assert!(dial_in.contains_key("ConferenceId") && !dial_in.contains_key("conferenceId"));
    let refused = client.get(&meetings(ORGANIZER)).await.expect(400);
    let error = refused.body["error"].as_object().unwrap();
    assert!(error.contains_key("innererror") && !error.contains_key("innerError"));
}

#[tokio::test]
async fn other_clouds_leave_properties_out_and_have_other_hosts() {
    for shape in [UrlShape::Long, UrlShape::Short] {
        let (_simulator, client) = start(|settings| {
            settings.url_shape = shape;
            settings.join_host = "teams.cloud.example".into();
            settings.manners = Manners {
                absent: vec!["expiryDateTime".into(), "audioConferencing".into()],
                ..Manners::default()
            };
        })
        .await;
        let made = client
            .post(&create_or_get(ORGANIZER), &planning())
            .await
            .expect(201);
        assert!(
            made.text("joinWebUrl")
                .starts_with("https://teams.cloud.example/")
        );
        assert_eq!(made.body.get("expiryDateTime"), None);
        assert_eq!(made.body.get("audioConferencing"), None);
    }
}
