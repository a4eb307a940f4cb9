//! A meeting's life: expiry, deletion, joining, and what is answered about the dead.

use std::sync::Arc;
use std::time::Duration;

use meetbridge::simulator::{
    Dead, Expiry, FilterMiss, ORGANIZER, Reuse, SecondDelete, Settings, UrlShape,
};
use serde_json::{Value, json};

use super::client::{Answer, Client, clock, start, start_with};
use super::{KEY, create_or_get, filter, one, planning};

const DAY: Duration = Duration::from_secs(86_400);

fn long_tokens(settings: &mut Settings) {
    settings.token_lifetime = 1000 * DAY;
}

async fn by_url(client: &Client, meeting: &Answer) -> Answer {
    let expression = format!("JoinWebUrl eq '{}'", meeting.text("joinWebUrl"));
    client.get(&filter(ORGANIZER, &expression)).await
}

#[tokio::test]
async fn a_key_of_the_dead_gives_a_new_meeting_or_the_dead_one_or_it_lives_again() {
    for deleted in [true, false] {
        for (reuse, status, same, then) in [
            (Reuse::New, 201, false, 200),
            (Reuse::Dead, 200, true, 404),
            (Reuse::Revived, 200, true, 200),
        ] {
            let clock = clock();
            let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
                long_tokens(settings);
                settings.manners.reuse = reuse;
            })
            .await;
            let path = create_or_get(ORGANIZER);
            let made = client.post(&path, &planning()).await.expect(201);
            match deleted {
                true => drop(
                    client
                        .delete(&one(ORGANIZER, made.text("id")))
                        .await
                        .expect(204),
                ),
                false => clock.advance(70 * DAY),
            }
            let live = |simulator: &meetbridge::simulator::Simulator| {
                simulator.snapshot().meeting(KEY).unwrap().current.is_some()
            };
            assert!(!live(&simulator));
            let again = client.post(&path, &planning()).await.expect(status);
            assert_eq!(again.body["id"] == made.body["id"], same, "{reuse:?}");
            assert_eq!(again.body["joinWebUrl"] == made.body["joinWebUrl"], same);
            client
                .get(&one(ORGANIZER, again.text("id")))
                .await
                .expect(then);
            assert_eq!(live(&simulator), then == 200);
        }
    }
}

#[tokio::test]
async fn the_dead_are_not_found_or_gone() {
    for (dead, status) in [(Dead::NotFound, 404), (Dead::Gone, 410)] {
        for (second, deleted_again) in [
            (SecondDelete::NotFound, status),
            (SecondDelete::NoContent, 204),
        ] {
            let (_simulator, client) = start(|settings| {
                settings.manners.dead = dead;
                settings.manners.second_delete = second;
            })
            .await;
            let made = client
                .post(&create_or_get(ORGANIZER), &planning())
                .await
                .expect(201);
            let meeting = one(ORGANIZER, made.text("id"));
            client.delete(&meeting).await.expect(204);
            client.get(&meeting).await.expect(status);
            client
                .patch(&meeting, &json!({"subject": "x"}))
                .await
                .expect(status);
            client.delete(&meeting).await.expect(deleted_again);
        }
    }
}

#[tokio::test]
async fn a_filter_that_finds_nothing_says_so_in_one_of_two_ways() {
    let (simulator, client) = start(|_| {}).await;
    let made = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    client
        .delete(&one(ORGANIZER, made.text("id")))
        .await
        .expect(204);
    assert_eq!(
        by_url(&client, &made).await.expect(200).body["value"],
        json!([])
    );
    simulator.change(|settings| settings.manners.filter_miss = FilterMiss::NotFound);
    by_url(&client, &made).await.expect(404);
}

#[tokio::test]
async fn joining_brings_a_deleted_meeting_back() {
    for shape in [UrlShape::Long, UrlShape::Short] {
        let (simulator, client) = start(|settings| settings.url_shape = shape).await;
        let made = client
            .post(&create_or_get(ORGANIZER), &planning())
            .await
            .expect(201);
        let (meeting, url) = (one(ORGANIZER, made.text("id")), made.text("joinWebUrl"));
        client.delete(&meeting).await.expect(204);
        client.get(&meeting).await.expect(404);
        assert!(simulator.join(url) && !simulator.join("https://teams.example/x"));
        client.get(&meeting).await.expect(200);
        by_url(&client, &made).await.expect(200);
    }
}

#[tokio::test]
async fn a_meeting_in_progress_keeps_its_times_and_title() {
    let (simulator, client) = start(|_| {}).await;
    let made = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    let (meeting, url) = (one(ORGANIZER, made.text("id")), made.text("joinWebUrl"));
    let refused = [
        json!({"startDateTime": "2026-11-11T09:00:00Z", "endDateTime": "2026-11-11T10:00:00Z"}),
        json!({"subject": "Other"}),
        json!({"participants": {"attendees": []}}),
        json!({"recordAutomatically": true}),
        json!({"allowBreakoutRooms": false}),
        json!({"allowLiveShare": "disabled"}),
        json!({"allowWhiteboard": false}),
        json!({"allowPowerPointSharing": false}),
    ];
    let effective = [
        json!({"lobbyBypassSettings": {"scope": "everyone"}}),
        json!({"allowedPresenters": "organizer"}),
        json!({"allowMeetingChat": "limited"}),
        json!({"allowAttendeeToEnableMic": false}),
        json!({"isEntryExitAnnounced": false}),
    ];
    assert!(simulator.join(url));
    for body in &refused {
        client.patch(&meeting, body).await.expect(400);
    }
    for body in &effective {
        client.patch(&meeting, body).await.expect(200);
    }
    assert!(simulator.leave(url) && !simulator.leave("https://teams.example/x"));
    for body in &refused {
        client.patch(&meeting, body).await.expect(200);
    }
}

#[tokio::test]
async fn updates_and_starts_put_the_expiry_off() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), long_tokens).await;
    let made = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    let meeting = one(ORGANIZER, made.text("id"));
    let expires = |answer: &Answer| answer.text("expiryDateTime")[..10].to_owned();
    assert_eq!(expires(&made), "2027-01-09"); // 60 days after the end
    clock.advance(60 * DAY);
    let body = json!({"subject": "Later"});
    let kept = client.patch(&meeting, &body).await.expect(200);
    assert_eq!(expires(&kept), "2027-03-01");
    clock.advance(50 * DAY);
    assert!(simulator.join(made.text("joinWebUrl")));
    let kept = client.get(&meeting).await.expect(200);
    assert_eq!(expires(&kept), "2027-04-20");
    simulator.leave(made.text("joinWebUrl"));
    let body =
        json!({"startDateTime": "2027-06-01T09:00:00Z", "endDateTime": "2027-06-01T10:00:00Z"});
    let kept = client.patch(&meeting, &body).await.expect(200);
    assert_eq!(expires(&kept), "2027-07-31");
    clock.advance(200 * DAY);
    client.get(&meeting).await.expect(404);
    client.patch(&meeting, &body).await.expect(404);
    assert!(
        !simulator.join(made.text("joinWebUrl")),
        "its URL is dead, too"
    );
}

#[tokio::test]
async fn expiry_may_end_the_dial_in_only() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
        long_tokens(settings);
        settings.organizers[0].video_interop = true;
        settings.manners.expiry = Expiry::DialIn;
    })
    .await;
    let made = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    assert!(made.body["audioConferencing"].is_object());
    assert!(made.body["videoTeleconferenceId"].is_string());
    clock.advance(70 * DAY);
    let meeting = one(ORGANIZER, made.text("id"));
    let old = client.get(&meeting).await.expect(200);
    assert_eq!(old.body["audioConferencing"], Value::Null);
    assert_eq!(old.body["videoTeleconferenceId"], Value::Null);
    assert_eq!(old.body["joinWebUrl"], made.body["joinWebUrl"]);
    assert!(simulator.join(made.text("joinWebUrl")));
    let again = client.get(&meeting).await.expect(200);
    assert_eq!(
        again.body["audioConferencing"],
        made.body["audioConferencing"]
    );
}

#[tokio::test]
async fn attendees_are_changed_as_a_whole_list() {
    let (_simulator, client) = start(|_| {}).await;
    let made = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    let meeting = one(ORGANIZER, made.text("id"));
    let who = |name: &str, role: &str| json!({"upn": format!("{name}@a.example"), "role": role});
    let list = |attendees: Value| json!({"participants": {"attendees": attendees}});
    let shown = |answer: &Answer| answer.body["participants"]["attendees"].clone();

    let both = json!([who("a", "presenter"), who("b", "coorganizer")]);
    let body = list(both.clone());
    let patched = client.patch(&meeting, &body).await.expect(200);
    let hidden = json!([who("a", "presenter"), who("b", "unknownFutureValue")]);
    assert_eq!(shown(&patched), hidden);
    let request = client.request("GET", &meeting, None);
    let asked = request.header("prefer", "include-unknown-enum-members");
    assert_eq!(shown(&client.send(asked).await.expect(200)), both);

    let mut body = list(json!([who("b", "presenter")]));
    body["allowedPresenters"] = "roleIsPresenter".into();
    let patched = client.patch(&meeting, &body).await.expect(200);
    assert_eq!(shown(&patched), json!([who("b", "presenter")]));
    let title = client.patch(&meeting, &json!({"subject": "x"})).await;
    assert_eq!(shown(&title.expect(200)), json!([who("b", "presenter")]));
}
