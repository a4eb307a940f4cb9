//! Outlook's open questions, with each answer; and what people do to events.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use meetbridge::simulator::{
    Deed, Deleted, Differing, Does, GoesOnline, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN,
    RepeatOfDeleted, TimeUpdate, Unset, Verdict,
};
use serde_json::{Value, json};

use super::client::{clock, start, start_with};
use super::events::{event, events, immutable, one_event};
use super::{KEY, filter};

fn online(answer: &Value) -> (bool, bool) {
    let is_online = answer["isOnlineMeeting"].as_bool().unwrap();
    (is_online, answer["onlineMeeting"]["joinUrl"].is_string())
}

#[tokio::test]
async fn a_meeting_appears_at_once_or_later_or_by_a_patch_or_never() {
    for (manner, made, got, patched) in [
        (
            GoesOnline::AtOnce,
            (true, true),
            [(true, true); 3],
            (true, true),
        ),
        (
            GoesOnline::AfterGets(2),
            (true, false),
            [(true, false), (true, false), (true, true)],
            (true, true),
        ),
        (
            GoesOnline::NotAtCreation,
            (false, false),
            [(false, false); 3],
            (true, true),
        ),
        (
            GoesOnline::Never,
            (false, false),
            [(false, false); 3],
            (false, false),
        ),
    ] {
        let (_simulator, client) = start(|settings| settings.outlook.online = manner).await;
        let answer = client.post(&events(ORGANIZER), &event()).await.expect(201);
        assert_eq!(online(&answer.body), made, "{manner:?}");
        let path = one_event(ORGANIZER, answer.text("id"));
        for expected in got {
            let answer = client.get(&path).await.expect(200);
            assert_eq!(online(&answer.body), expected, "{manner:?}");
            let content = answer.body["body"]["content"].as_str().unwrap();
            assert_eq!(
                content.contains("Join the meeting"),
                expected.1,
                "{manner:?}"
            );
        }
        let again = client.patch(&path, &json!({"isOnlineMeeting": true})).await;
        assert_eq!(online(&again.expect(200).body), patched, "{manner:?}");
    }
}

#[tokio::test]
async fn an_update_of_the_time_keeps_the_link_or_drops_it_until_the_next() {
    for (manner, kept) in [
        (TimeUpdate::KeepsLink, true),
        (TimeUpdate::DropsLink, false),
    ] {
        let (simulator, client) = start(|settings| settings.outlook.time_update = manner).await;
        let made = client.post(&events(ORGANIZER), &event()).await.expect(201);
        let path = one_event(ORGANIZER, made.text("id"));
        let time = |hour| {
            json!({"start": {"dateTime": format!("2026-11-11T{hour}:00:00"), "timeZone": "UTC"},
                   "end": {"dateTime": format!("2026-11-11T{hour}:30:00"), "timeZone": "UTC"}})
        };
        client
            .patch(&path, &json!({"subject": "x"}))
            .await
            .expect(200);
        let first = client.patch(&path, &time(10)).await.expect(200);
        assert_eq!(online(&first.body), (true, kept), "{manner:?}");
        let got = client.get(&path).await.expect(200);
        assert_eq!(online(&got.body), (true, kept), "{manner:?}");
        assert_eq!(simulator.snapshot().events(KEY)[0].join_url.is_some(), kept);
        let second = client.patch(&path, &time(11)).await.expect(200);
        assert_eq!(
            second.body["onlineMeeting"], made.body["onlineMeeting"],
            "{manner:?}"
        );
        let mut whole = time(12);
        whole["body"] = second.body["body"].clone();
        let third = client.patch(&path, &whole).await.expect(200);
        assert_eq!(
            third.body["onlineMeeting"], made.body["onlineMeeting"],
            "{manner:?}"
        );
    }
}

#[tokio::test]
async fn a_transaction_is_remembered_and_makes_one_event() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
        settings.outlook.transaction_memory = Some(Duration::from_secs(600));
    })
    .await;
    let path = events(ORGANIZER);
    let made = client.post(&path, &event()).await.expect(201);
    let again = client.post(&path, &event()).await.expect(201);
    assert_eq!(again.body, made.body);
    clock.advance(Duration::from_secs(599));
    let again = client.post(&path, &event()).await.expect(201);
    assert_eq!(again.text("id"), made.text("id"));
    assert_eq!(simulator.snapshot().mailboxes[0].made[KEY], 1);
    let elsewhere = client
        .post(&events(ORGANIZER_WITHOUT_DIAL_IN), &event())
        .await;
    assert_ne!(elsewhere.expect(201).text("id"), made.text("id"));
    clock.advance(Duration::from_secs(1));
    let forgotten = client.post(&path, &event()).await.expect(201);
    assert_ne!(forgotten.text("id"), made.text("id"));
    assert_eq!(simulator.snapshot().mailboxes[0].made[KEY], 2);
}

#[tokio::test]
async fn a_repeated_transaction_that_differs_gives_the_first_event_or_another_or_a_conflict() {
    for (manner, status, made) in [
        (Differing::First, 201, 1),
        (Differing::Another, 201, 2),
        (Differing::Conflict, 409, 1),
    ] {
        let (simulator, client) = start(|settings| settings.outlook.differing = manner).await;
        let path = events(ORGANIZER);
        client.post(&path, &event()).await.expect(201);
        let mut other = event();
        other["subject"] = "Other".into();
        let answer = client.post(&path, &other).await.expect(status);
        if status == 201 {
            let expected = ["Planning", "Other"][made as usize - 1];
            assert_eq!(answer.text("subject"), expected, "{manner:?}");
        }
        assert_eq!(
            simulator.snapshot().mailboxes[0].made[KEY],
            made,
            "{manner:?}"
        );
    }
}

#[tokio::test]
async fn a_repeated_transaction_of_a_deleted_event_gives_a_new_one_or_the_dead_one() {
    for (manner, made) in [(RepeatOfDeleted::New, 2), (RepeatOfDeleted::Dead, 1)] {
        let (simulator, client) =
            start(|settings| settings.outlook.repeat_of_deleted = manner).await;
        let path = events(ORGANIZER);
        let first = client.post(&path, &event()).await.expect(201);
        client
            .delete(&one_event(ORGANIZER, first.text("id")))
            .await
            .expect(204);
        let again = client.post(&path, &event()).await.expect(201);
        let got = client.get(&one_event(ORGANIZER, again.text("id"))).await;
        got.expect([404, 200][made as usize - 1]);
        assert_eq!(
            simulator.snapshot().mailboxes[0].made[KEY],
            made,
            "{manner:?}"
        );
    }
}

#[tokio::test]
async fn a_deleted_event_is_gone_or_answers_from_deleted_items() {
    for (manner, status, deleted_twice) in [
        (Deleted::NotFound, 404, 404),
        (Deleted::InDeletedItems, 200, 204),
    ] {
        let (simulator, client) = start(|settings| settings.outlook.deleted = manner).await;
        let path = events(ORGANIZER);
        let made = immutable(&client, "POST", &path, Some(&event()))
            .await
            .expect(201);
        let list = client.get(&path).await.expect(200);
        let regular = list.body["value"][0]["id"].as_str().unwrap().to_owned();
        let one = one_event(ORGANIZER, made.text("id"));
        immutable(&client, "DELETE", &one, None).await.expect(204);
        immutable(&client, "GET", &one, None).await.expect(status);
        client
            .get(&one_event(ORGANIZER, &regular))
            .await
            .expect(404);
        let list = client.get(&path).await.expect(200);
        assert_eq!(list.body["value"], json!([]), "it is in no calendar");
        assert!(simulator.snapshot().events(KEY).is_empty());
        immutable(&client, "DELETE", &one, None)
            .await
            .expect(deleted_twice);
        immutable(&client, "GET", &one, None).await.expect(404);
    }
}

#[tokio::test]
async fn unset_members_are_left_out_or_null() {
    let (simulator, client) = start(|_| {}).await;
    let made = client
        .post(&events(ORGANIZER_WITHOUT_DIAL_IN), &event())
        .await
        .expect(201);
    assert_eq!(made.body["onlineMeeting"].as_object().unwrap().len(), 1);
    simulator.change(|settings| settings.outlook.unset = Unset::Null);
    let path = one_event(ORGANIZER_WITHOUT_DIAL_IN, made.text("id"));
    let got = client.get(&path).await.expect(200);
    let online = got.body["onlineMeeting"].as_object().unwrap();
    assert_eq!(online.len(), 6);
    assert_eq!(
        (&online["conferenceId"], &online["phones"]),
        (&Value::Null, &json!([]))
    );
}

#[tokio::test]
async fn what_cannot_be_changed_of_an_event_may_be_ignored() {
    let (simulator, client) = start(|_| {}).await;
    let made = client.post(&events(ORGANIZER), &event()).await.expect(201);
    let path = one_event(ORGANIZER, made.text("id"));
    simulator.change(|settings| settings.manners.not_updatable = Verdict::Taken);
    let body = json!({"subject": "Other", "transactionId": "other", "isOnlineMeeting": false,
                      "onlineMeetingProvider": "skypeForBusiness", "onlineMeeting": null});
    let patched = client.loose("PATCH", &path, &body).await.expect(200);
    assert_eq!(patched.text("subject"), "Other");
    for name in [
        "transactionId",
        "isOnlineMeeting",
        "onlineMeetingProvider",
        "onlineMeeting",
    ] {
        assert_eq!(patched.body[name], made.body[name], "{name}");
    }
}

#[tokio::test]
async fn people_move_edit_and_delete_events() {
    let (simulator, client) = start(|_| {}).await;
    let path = events(ORGANIZER);
    let made = immutable(&client, "POST", &path, Some(&event()))
        .await
        .expect(201);
    let one = one_event(ORGANIZER, made.text("id"));
    let url = made.body["onlineMeeting"]["joinUrl"].as_str().unwrap();
    let did = |event: &str, does: Does| {
        let event = event.to_owned();
        simulator.outlook(&Deed { event, does })
    };
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let (start, end) = (at("2026-12-24T17:00:00Z"), at("2026-12-24T18:00:00Z"));
    assert!(did(KEY, Does::Reschedule { start, end }));
    assert!(!did(
        KEY,
        Does::Reschedule {
            start: end,
            end: start
        }
    ));
    assert!(!did("other", Does::Delete));
    let got = immutable(&client, "GET", &one, None).await.expect(200);
    assert_eq!(got.body["start"]["dateTime"], "2026-12-24T17:00:00.0000000");
    assert_ne!(got.text("changeKey"), made.text("changeKey"));
    let by_url = filter(ORGANIZER, &format!("JoinWebUrl eq '{url}'"));
    let meeting = client.get(&by_url).await.expect(200);
    let meeting = meeting.body["value"][0]["startDateTime"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(meeting.starts_with("2026-12-24T17:00:00"), "{meeting}");

    let regular = client.get(&path).await.expect(200).body["value"][0]["id"].clone();
    let regular = one_event(ORGANIZER, regular.as_str().unwrap());
    assert!(!did(KEY, Does::MoveTo("Nowhere".into())));
    assert!(did(made.text("id"), Does::MoveTo("Bridge".into())));
    client.get(&regular).await.expect(404);
    immutable(&client, "GET", &one, None).await.expect(200);
    assert_eq!(client.get(&path).await.expect(200).body["value"], json!([]));
    assert_eq!(simulator.snapshot().events(KEY)[0].calendar, "Bridge");

    let body = got.body["body"]["content"].as_str().unwrap();
    assert!(did(
        KEY,
        Does::Body(body.replace("Lives elsewhere", "Mine"))
    ));
    let got = immutable(&client, "GET", &one, None).await.expect(200);
    assert_eq!(online(&got.body), (true, true));
    assert!(got.text("bodyPreview").contains("Mine"));
    let deed = json!({"event": KEY, "does": {"body": "Nothing"}}).to_string();
    let json = "application/json";
    let control = "/_simulator/outlook";
    client
        .raw("POST", control, Some(deed), json)
        .await
        .expect(204);
    let got = immutable(&client, "GET", &one, None).await.expect(200);
    assert_eq!(online(&got.body), (false, false));

    let deed = json!({"event": KEY, "does": "delete"}).to_string();
    client
        .raw("POST", control, Some(deed.clone()), json)
        .await
        .expect(204);
    client
        .raw("POST", control, Some(deed), json)
        .await
        .expect(404);
    client
        .raw("POST", control, Some("{}".into()), json)
        .await
        .expect(400);
    immutable(&client, "GET", &one, None).await.expect(404);
    assert_eq!(simulator.snapshot().mailboxes[0].mails_to_attendees, 0);
}
