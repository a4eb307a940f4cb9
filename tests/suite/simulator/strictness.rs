//! What is not as documented is refused, with the documented status and code.

use meetbridge::simulator::{
    CLIENT_ID, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN, ORGANIZER_WITHOUT_POLICY, Policy, Refused,
};
use serde_json::{Value, json};

use super::client::start;
use super::{KEY, create_or_get, filter, meetings, one, planning};

#[tokio::test]
async fn a_request_that_is_not_as_documented_is_refused() {
    let (simulator, client) = start(|_| {}).await;
    let made = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    let id = made.text("id").to_owned();
    let action = create_or_get(ORGANIZER);
    let create = meetings(ORGANIZER);
    let meeting = one(ORGANIZER, &id);
    let plain = |body: &str| Some(body.to_owned());
    let unknown_user = "ffffffff-0000-4000-8000-000000000000";
    let other_id = {
        let made = client
            .post(&create_or_get(ORGANIZER_WITHOUT_DIAL_IN), &planning())
            .await;
        made.expect(201).text("id").to_owned()
    };
    let gone_id = data_encoding::BASE64
        .encode(format!("1*{ORGANIZER}*0**19:meeting_none@thread.v2").as_bytes());
    let whole = made.body.to_string();

    // what, method, path, body, status, code
    #[rustfmt::skip]
    let cases = [
        ("no externalId", "POST", action.clone(), plain("{}"), 400, "BadRequest"),
        ("null externalId", "POST", action.clone(), plain(r#"{"externalId":null}"#), 400, "BadRequest"),
        ("empty externalId", "POST", action.clone(), plain(r#"{"externalId":""}"#), 400, "BadRequest"),
        ("number as externalId", "POST", action.clone(), plain(r#"{"externalId":1}"#), 400, "BadRequest"),
        ("unknown property", "POST", action.clone(), plain(r#"{"externalId":"x","title":"y"}"#), 400, "BadRequest"),
        ("setting in createOrGet", "POST", action.clone(), plain(r#"{"externalId":"x","allowedPresenters":"everyone"}"#), 400, "BadRequest"),
        ("end without start", "POST", action.clone(), plain(r#"{"externalId":"x","endDateTime":"2026-11-10T10:00:00Z"}"#), 400, "BadRequest"),
        ("end before start", "POST", action.clone(), plain(r#"{"externalId":"x","startDateTime":"2026-11-10T10:00:00Z","endDateTime":"2026-11-10T09:00:00Z"}"#), 400, "BadRequest"),
        ("local time", "POST", action.clone(), plain(r#"{"externalId":"x","startDateTime":"2026-11-10T10:00:00"}"#), 400, "BadRequest"),
        ("year 1", "POST", action.clone(), plain(r#"{"externalId":"x","startDateTime":"0001-01-01T00:00:00Z"}"#), 400, "BadRequest"),
        ("organizer chosen", "POST", action.clone(), plain(r#"{"externalId":"x","participants":{"organizer":{"upn":"a@b"}}}"#), 400, "BadRequest"),
        ("attendee by id only", "POST", action.clone(), plain(r#"{"externalId":"x","participants":{"attendees":[{"identity":{"user":{"id":"u"}}}]}}"#), 500, "InternalServerError"),
        ("not JSON", "POST", action.clone(), plain("{externalId}"), 400, "BadRequest"),
        ("not an object", "POST", action.clone(), plain("[]"), 400, "BadRequest"),
        ("empty body", "POST", action.clone(), plain(""), 400, "BadRequest"),
        ("too large", "POST", action.clone(), Some(format!("{{\"externalId\":\"{}\"}}", "x".repeat(1 << 20))), 413, "BadRequest"),
        ("wrong method", "PUT", action.clone(), plain("{}"), 405, "BadRequest"),
        ("other version", "POST", action.replace("v1.0", "beta"), plain(r#"{"externalId":"x"}"#), 404, "NotFound"),
        ("double slash", "POST", format!("/{action}"), plain(r#"{"externalId":"x"}"#), 404, "NotFound"),
        ("user by UPN", "POST", create_or_get("organizer@simulator.example"), plain(r#"{"externalId":"x"}"#), 404, "UnknownError"),
        ("GUID without hyphens", "POST", create_or_get(&ORGANIZER.replace('-', "")), plain(r#"{"externalId":"x"}"#), 404, "UnknownError"),
        ("unknown user", "POST", create_or_get(unknown_user), plain(r#"{"externalId":"x"}"#), 404, "NotFound"),
        ("no access policy", "POST", create_or_get(ORGANIZER_WITHOUT_POLICY), plain(r#"{"externalId":"x"}"#), 403, "Forbidden"),
        ("me", "POST", "/v1.0/me/onlineMeetings/createOrGet".into(), plain(r#"{"externalId":"x"}"#), 400, "BadRequest"),
        ("externalId in create", "POST", create.clone(), plain(r#"{"externalId":"x"}"#), 400, "BadRequest"),
        ("joinWebUrl in create", "POST", create.clone(), plain(r#"{"joinWebUrl":"x"}"#), 400, "BadRequest"),
        ("listing", "GET", create.clone(), None, 400, "InvalidArgument"),
        ("filter by subject", "GET", filter(ORGANIZER, "subject eq 'x'"), None, 400, "InvalidArgument"),
        ("filter by externalId", "GET", filter(ORGANIZER, "externalId eq 'x'"), None, 400, "InvalidArgument"),
        ("broken id", "GET", one(ORGANIZER, "x"), None, 400, "BadRequest"),
        ("another's id", "GET", one(ORGANIZER, &other_id), None, 400, "BadRequest"),
        ("no such meeting", "GET", one(ORGANIZER, &gone_id), None, 404, "NotFound"),
        ("PATCH of no meeting", "PATCH", one(ORGANIZER, &gone_id), plain(r#"{"subject":"x"}"#), 404, "NotFound"),
        ("DELETE of a broken id", "DELETE", one(ORGANIZER, "x"), None, 400, "BadRequest"),
        ("nothing to update", "PATCH", meeting.clone(), plain("{}"), 400, "BadRequest"),
        ("start alone", "PATCH", meeting.clone(), plain(r#"{"startDateTime":"2026-11-10T10:00:00Z"}"#), 400, "BadRequest"),
        ("end alone", "PATCH", meeting.clone(), plain(r#"{"endDateTime":"2026-11-10T10:00:00Z"}"#), 400, "BadRequest"),
        ("backwards", "PATCH", meeting.clone(), plain(r#"{"startDateTime":"2026-11-10T10:00:00Z","endDateTime":"2026-11-09T10:00:00Z"}"#), 400, "BadRequest"),
        ("null times", "PATCH", meeting.clone(), plain(r#"{"startDateTime":null,"endDateTime":null}"#), 400, "BadRequest"),
        ("join URL", "PATCH", meeting.clone(), plain(r#"{"joinWebUrl":"https://x"}"#), 400, "BadRequest"),
        ("externalId", "PATCH", meeting.clone(), plain(r#"{"externalId":"y"}"#), 400, "BadRequest"),
        ("passcode", "PATCH", meeting.clone(), plain(r#"{"joinMeetingIdSettings":{"isPasscodeRequired":false}}"#), 400, "BadRequest"),
        ("unknown scope", "PATCH", meeting.clone(), plain(r#"{"lobbyBypassSettings":{"scope":"friends"}}"#), 400, "BadRequest"),
        ("future value", "PATCH", meeting.clone(), plain(r#"{"allowedPresenters":"unknownFutureValue"}"#), 400, "BadRequest"),
        ("presenters without a list", "PATCH", meeting.clone(), plain(r#"{"allowedPresenters":"roleIsPresenter"}"#), 400, "BadRequest"),
        ("the whole object", "PATCH", meeting.clone(), Some(whole), 400, "BadRequest"),
    ];
    for (what, method, path, body, status, code) in cases {
        let answer = client.raw(method, &path, body, "application/json").await;
        let error = &answer.body["error"];
        assert_eq!(
            (answer.status, error["code"].as_str()),
            (status, Some(code)),
            "{what}: {answer:?}"
        );
    }
    let messages = [
        (
            client.post(&create, &json!({"externalId": "x"})).await,
            "'externalId' is only for createOrGet.",
        ),
        (
            client.patch(&meeting, &made.body).await,
            "Updating meeting type is not supported.",
        ),
        (
            client.get(&one(ORGANIZER, "x")).await,
            "Invalid meeting id x.",
        ),
        (
            client.get(&one(ORGANIZER, &other_id)).await,
            "Meeting Id is corrupted.",
        ),
        (
            client
                .post(&create_or_get("a@b.example"), &planning())
                .await,
            "",
        ),
    ];
    for (answer, message) in messages {
        assert_eq!(answer.body["error"]["message"], message);
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let answer = client
            .raw("POST", &action, Some(planning().to_string()), content_type)
            .await;
        answer.expect(415);
    }
    let utf8 = "application/json; charset=utf-8";
    client
        .raw("POST", &action, Some(planning().to_string()), utf8)
        .await
        .expect(200);

    let state = simulator.snapshot();
    assert_eq!(
        state.meetings.len(),
        2,
        "a refused request makes nothing: {state:?}"
    );
    let current = state.meeting(KEY).unwrap().current.as_ref().unwrap();
    assert_eq!(
        current.subject.as_deref(),
        Some("Planning"),
        "a refused request changes nothing"
    );
}

#[tokio::test]
async fn a_settings_change_that_cannot_be_taken_back_is_not() {
    let (_simulator, client) = start(|_| {}).await;
    let made = client
        .post(&create_or_get(ORGANIZER), &planning())
        .await
        .expect(201);
    let path = one(ORGANIZER, made.text("id"));
    for (roles, status) in [
        (json!(["attendee"]), 200),
        (json!(["attendee", "presenter"]), 200),
        (json!(["attendee"]), 400),
    ] {
        client
            .patch(&path, &json!({"anonymizeIdentityForRoles": roles}))
            .await
            .expect(status);
    }
}

#[tokio::test]
async fn a_plain_create_is_not_idempotent() {
    let (simulator, client) = start(|_| {}).await;
    let body = json!({"subject": "Plain", "joinMeetingIdSettings": {"isPasscodeRequired": false}});
    let first = client.post(&meetings(ORGANIZER), &body).await.expect(201);
    let second = client.post(&meetings(ORGANIZER), &body).await.expect(201);
    assert_ne!(first.text("id"), second.text("id"));
    assert_eq!(first.body["externalId"], Value::Null);
    assert_eq!(first.body["joinMeetingIdSettings"]["passcode"], Value::Null);
    assert_eq!(simulator.snapshot().meetings[0].made, 2);
}

#[tokio::test]
async fn a_missing_access_policy_is_refused_in_each_form_seen() {
    let no_policy = "No application access policy found for this app.";
    let old = format!(
        "App {CLIENT_ID} is not authorized to Create meeting on behalf of user {ORGANIZER}"
    );
    let cases = [
        (Refused::Forbidden, "Forbidden", no_policy),
        (Refused::General, "General", no_policy),
        (Refused::Unauthorized, "Unauthorized", &old),
        (
            Refused::EmptyCode,
            "",
            "You do not have the required permissions to access this item.",
        ),
    ];
    for (refused, code, message) in cases {
        let policy = Policy::Missing(refused);
        let (_simulator, client) = start(|settings| settings.organizers[0].policy = policy).await;
        let answer = client
            .post(&create_or_get(ORGANIZER), &planning())
            .await
            .expect(403);
        let error = &answer.body["error"];
        assert_eq!(
            (error["code"].as_str(), error["message"].as_str()),
            (Some(code), Some(message))
        );
    }
}
