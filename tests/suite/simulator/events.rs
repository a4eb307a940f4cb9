//! The Calendar API: events and calendars as graph-api.md, section 9, tells of them.

use std::sync::Arc;
use std::time::Duration;

use meetbridge::simulator::{
    Effect, Endpoint, Fault, Match, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN, ORGANIZER_WITHOUT_POLICY,
    Policy, Provider, Refused, Times, UrlShape,
};
use serde_json::{Value, json};

use super::client::{Answer, Client, clock, encode, start, start_with};
use super::{KEY, filter, one};

const PROPERTY: &str = "String {a3b0c1d2-0000-4000-8000-000000000001} Name MeetingBridgeKey";
const UPN: &str = "organizer@simulator.example";

pub(super) fn events(user: &str) -> String {
    format!("/v1.0/users/{user}/events")
}

pub(super) fn one_event(user: &str, id: &str) -> String {
    format!("{}/{}", events(user), encode(id))
}

pub(super) fn event() -> Value {
    json!({"subject": "Planning", "body": {"contentType": "html", "content": "<p>Lives elsewhere</p>"},
           "start": {"dateTime": "2026-11-10T09:00:00", "timeZone": "UTC"},
           "end": {"dateTime": "2026-11-10T10:00:00", "timeZone": "UTC"},
           "isOnlineMeeting": true, "onlineMeetingProvider": "teamsForBusiness",
           "transactionId": "6ba7b810-9dad-51d1-80b4-00c04fd430c8",
           "showAs": "free", "isReminderOn": false,
           "singleValueExtendedProperties": [{"id": PROPERTY, "value": KEY}]})
}

/// The event without these properties.
fn without(names: &[&str]) -> Value {
    let mut event = event();
    for name in names {
        event.as_object_mut().unwrap().remove(*name);
    }
    event
}

fn with(name: &str, value: Value) -> Value {
    let mut event = event();
    event[name] = value;
    event
}

fn by_key(property: &str, value: &str) -> String {
    let filter = format!(
        "singleValueExtendedProperties/Any(ep: ep/id eq '{property}' and ep/value eq '{value}')"
    );
    format!("?$filter={}", encode(&filter))
}

/// A request that prefers immutable ids.
pub(super) async fn immutable(
    client: &Client,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let request = client.request(method, path, body);
    client
        .send(request.header("prefer", r#"IdType="ImmutableId""#))
        .await
}

fn code(answer: &Answer) -> &str {
    answer.body["error"]["code"].as_str().unwrap()
}

#[tokio::test]
async fn an_event_lives_from_post_to_delete_with_its_meeting() {
    let (simulator, client) = start(|_| {}).await;
    let made = client.post(&events(ORGANIZER), &event()).await.expect(201);
    assert_eq!(made.body["isOnlineMeeting"], true);
    assert_eq!(made.text("onlineMeetingProvider"), "teamsForBusiness");
    assert_eq!(made.text("showAs"), "free");
    assert_eq!(made.body["isReminderOn"], false);
    assert_eq!(made.text("sensitivity"), "normal");
    assert_eq!(made.body["attendees"], json!([]));
    let start = json!({"dateTime": "2026-11-10T09:00:00.0000000", "timeZone": "UTC"});
    assert_eq!(made.body["start"], start);
    let online = &made.body["onlineMeeting"];
    let url = online["joinUrl"].as_str().unwrap();
    assert!(
        url.starts_with("https://teams.microsoft.com/l/meetup-join/"),
        "{url}"
    );
    for name in ["conferenceId", "quickDial", "tollNumber"] {
        assert!(online[name].is_string(), "{name}");
    }
    assert!(online["phones"].is_array() && online["tollFreeNumbers"].is_array());
    assert_eq!(online.get("dialinUrl"), None);
    let content = made.body["body"]["content"].as_str().unwrap();
    assert!(content.contains("<p>Lives elsewhere</p>"), "{content}");
    assert!(content.contains(&url.replace('&', "&amp;")), "{content}");
    assert_eq!(made.body.get("singleValueExtendedProperties"), None);

    let path = one_event(ORGANIZER, made.text("id"));
    assert_eq!(client.get(&path).await.expect(200).body, made.body);
    let meetings = client
        .get(&filter(ORGANIZER, &format!("JoinWebUrl eq '{url}'")))
        .await;
    let meetings = meetings.expect(200);
    let meeting = &meetings.body["value"][0];
    assert_eq!(meeting["joinWebUrl"], url);
    assert_eq!(meeting["externalId"], Value::Null);
    assert!(meeting["audioConferencing"]["dialinUrl"].is_string());
    assert_eq!(
        meeting["audioConferencing"]["conferenceId"],
        online["conferenceId"]
    );

    let later = json!({"subject": "Moved",
        "start": {"dateTime": "2026-12-10T09:00:00", "timeZone": "W. Europe Standard Time"},
        "end": {"dateTime": "2026-12-10T10:00:00", "timeZone": "W. Europe Standard Time"}});
    let moved = client.patch(&path, &later).await.expect(200);
    assert_eq!(
        moved.body["start"]["dateTime"],
        "2026-12-10T08:00:00.0000000"
    );
    assert_eq!(
        moved.text("originalStartTimeZone"),
        "W. Europe Standard Time"
    );
    assert_eq!(moved.body["onlineMeeting"], made.body["onlineMeeting"]);
    assert_ne!(moved.text("changeKey"), made.text("changeKey"));
    let meetings = client
        .get(&filter(ORGANIZER, &format!("JoinWebUrl eq '{url}'")))
        .await;
    let meeting = &meetings.expect(200).body["value"][0];
    assert_eq!(meeting["subject"], "Moved");
    assert!(
        meeting["startDateTime"]
            .as_str()
            .unwrap()
            .starts_with("2026-12-10T08:00:00")
    );

    client.delete(&path).await.expect(204);
    for answer in [
        client.get(&path).await,
        client.patch(&path, &json!({"subject": "x"})).await,
        client.delete(&path).await,
    ] {
        assert_eq!(code(&answer.expect(404)), "ErrorItemNotFound");
    }
    let meetings = client
        .get(&filter(ORGANIZER, &format!("JoinWebUrl eq '{url}'")))
        .await;
    assert_eq!(meetings.expect(200).body["value"], json!([]));
    assert!(simulator.join(url), "a join URL outlives its meeting");

    let state = simulator.snapshot();
    let mailbox = &state.mailboxes[0];
    assert_eq!((mailbox.user.as_str(), mailbox.made[KEY]), (ORGANIZER, 1));
    assert_eq!(
        (mailbox.mails_to_attendees, mailbox.requests_with_attendees),
        (0, 0)
    );
    assert_eq!(
        (mailbox.events[0].calls.get, mailbox.events[0].calls.patch),
        (1, 1)
    );
    assert!(mailbox.events[0].deleted && state.events(KEY).is_empty());
    assert_eq!(state.requests(Endpoint::EventDelete), 2);
}

#[tokio::test]
async fn a_mailbox_is_named_by_id_upn_or_me_and_needs_no_access_policy() {
    let (simulator, client) = start(|_| {}).await;
    for (nth, user) in [
        ORGANIZER,
        UPN,
        &UPN.to_uppercase(),
        ORGANIZER_WITHOUT_POLICY,
    ]
    .into_iter()
    .enumerate()
    {
        let body = with("transactionId", nth.to_string().into());
        client.post(&events(user), &body).await.expect(201);
    }
    let counts: Vec<_> = simulator
        .snapshot()
        .mailboxes
        .iter()
        .map(|one| one.events.len())
        .collect();
    assert_eq!(counts, [3, 1]);
    let unknown = client
        .get(&events("nobody@simulator.example"))
        .await
        .expect(404);
    assert_eq!(code(&unknown), "ErrorInvalidUser");
    client.get("/v1.0/me/events").await.expect(400);
    let made = &simulator.snapshot().mailboxes[1].events[0];
    let url = made.join_url.clone().unwrap();
    let refused = client
        .get(&filter(
            ORGANIZER_WITHOUT_POLICY,
            &format!("JoinWebUrl eq '{url}'"),
        ))
        .await;
    refused.expect(403);

    simulator.change(|settings| settings.organizers[1].mailbox = None);
    let missing = client
        .get(&events(ORGANIZER_WITHOUT_DIAL_IN))
        .await
        .expect(404);
    assert_eq!(code(&missing), "MailboxNotEnabledForRESTAPI");
}

#[tokio::test]
async fn calendars_have_a_permission_of_their_own() {
    for (roles, read, write) in [
        (&["Calendars.ReadWrite"][..], 200, 201),
        (&["Calendars.Read"], 200, 403),
        (&["OnlineMeetings.ReadWrite.All"], 403, 403),
    ] {
        let (_simulator, client) = start(|settings| {
            settings.app.roles = roles.iter().map(|role| (*role).to_owned()).collect();
            settings.organizers[0].policy = Policy::Missing(Refused::Forbidden);
        })
        .await;
        let calendar = format!("/v1.0/users/{ORGANIZER}/calendar");
        let list = client.get(&events(ORGANIZER)).await.expect(read);
        client.get(&calendar).await.expect(read);
        let made = client
            .post(&events(ORGANIZER), &event())
            .await
            .expect(write);
        if read == 403 {
            assert_eq!(code(&list), "ErrorAccessDenied");
        }
        if write == 201 {
            let path = one_event(ORGANIZER, made.text("id"));
            client
                .patch(&path, &json!({"subject": "x"}))
                .await
                .expect(200);
            client.delete(&path).await.expect(204);
        }
    }
}

#[tokio::test]
async fn an_event_is_found_by_its_extended_property() {
    let (simulator, client) = start(|_| {}).await;
    let made = client.post(&events(ORGANIZER), &event()).await.expect(201);
    let found = async |property: &str, value: &str| {
        let list = client
            .get(&(events(ORGANIZER) + &by_key(property, value)))
            .await;
        list.expect(200).body["value"].as_array().unwrap().clone()
    };
    let exact = found(PROPERTY, KEY).await;
    assert_eq!(exact.len(), 1);
    assert_eq!(exact[0]["id"], made.body["id"]);
    assert_eq!(exact[0].get("singleValueExtendedProperties"), None);
    assert_eq!(
        found(PROPERTY, &KEY.to_uppercase()).await.len(),
        1,
        "the value has no case"
    );
    assert_eq!(
        found(
            &PROPERTY
                .to_lowercase()
                .replace("string", "String")
                .replace(" name ", " Name "),
            KEY
        )
        .await
        .len(),
        0,
        "the name has"
    );
    assert_eq!(
        found(&PROPERTY.replace("a3b0c1d2", "A3B0C1D2"), KEY)
            .await
            .len(),
        1
    );
    assert_eq!(found(PROPERTY, "another").await.len(), 0);

    let expand = format!("singleValueExtendedProperties($filter=id eq '{PROPERTY}')");
    let expand = format!("$expand={}", encode(&expand));
    let list = format!("{}{}&{expand}", events(ORGANIZER), by_key(PROPERTY, KEY));
    let one = format!(
        "{}?{expand}&$select=subject",
        one_event(ORGANIZER, made.text("id"))
    );
    let expected = json!([{"id": PROPERTY, "value": KEY}]);
    let list = client.get(&list).await.expect(200);
    assert_eq!(
        list.body["value"][0]["singleValueExtendedProperties"],
        expected
    );
    let one = client.get(&one).await.expect(200);
    assert_eq!(one.body["singleValueExtendedProperties"], expected);
    assert_eq!(one.body.get("start"), None);

    for query in [
        "?$filter=subject%20eq%20'x'",
        "?$filter=isOnlineMeeting",
        "?$expand=attachments",
        "?$select=colour",
        "?$top=0",
        "?$search=x",
        "?$skiptoken=MQ",
    ] {
        client.get(&(events(ORGANIZER) + query)).await.expect(400);
    }
    assert_eq!(simulator.snapshot().events(KEY)[0].calls.found, 4);
}

#[tokio::test]
async fn a_list_comes_in_pages_with_an_opaque_link() {
    let (simulator, client) = start(|settings| settings.outlook.page = 2).await;
    for nth in 0..5 {
        let body = with("transactionId", nth.to_string().into());
        client.post(&events(ORGANIZER), &body).await.expect(201);
    }
    let base = simulator.graph_url();
    let mut path = events(ORGANIZER) + &by_key(PROPERTY, KEY) + "&$select=id";
    let mut pages = Vec::new();
    loop {
        let page = client.get(&path).await.expect(200);
        pages.push(page.body["value"].as_array().unwrap().len());
        let Some(next) = page.body.get("@odata.nextLink") else {
            break;
        };
        path = next
            .as_str()
            .unwrap()
            .strip_prefix(&base)
            .unwrap()
            .to_owned();
        let other = path.replace("$select=id", "$select=subject");
        client.get(&other).await.expect(400);
    }
    assert_eq!(pages, [2, 2, 1]);
    let all = client
        .get(&format!("{}?$top=1000", events(ORGANIZER)))
        .await
        .expect(200);
    assert_eq!(all.body["value"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_calendar_tells_its_providers_and_holds_its_events() {
    let (simulator, client) = start(|_| {}).await;
    let user = format!("/v1.0/users/{ORGANIZER}");
    let select = "?$select=allowedOnlineMeetingProviders,defaultOnlineMeetingProvider";
    let calendar = client
        .get(&format!("{user}/calendar{select}"))
        .await
        .expect(200);
    assert_eq!(
        calendar.body["allowedOnlineMeetingProviders"],
        json!(["teamsForBusiness"])
    );
    assert_eq!(
        calendar.text("defaultOnlineMeetingProvider"),
        "teamsForBusiness"
    );
    assert_eq!(calendar.body.get("name"), None);
    client
        .get(&format!("{user}/calendar?$select=colour"))
        .await
        .expect(400);

    let all = client.get(&format!("{user}/calendars")).await.expect(200);
    let names: Vec<_> = all.body["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["Calendar", "Bridge"]);
    let named = client
        .get(&format!("{user}/calendars?$filter=name%20eq%20'Bridge'"))
        .await;
    let id = named.expect(200).body["value"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let folder = format!("{user}/calendars/{}", encode(&id));
    assert_eq!(client.get(&folder).await.expect(200).text("name"), "Bridge");
    client.get(&format!("{user}/calendars/x")).await.expect(400);
    client
        .get(&format!("{user}/calendars/AQMkx"))
        .await
        .expect(404);

    let made = client
        .post(&format!("{folder}/events"), &event())
        .await
        .expect(201);
    assert_eq!(simulator.snapshot().events(KEY)[0].calendar, "Bridge");
    let segment = encode(made.text("id"));
    for (at, status) in [("/events", 200), ("/calendar/events", 404)] {
        client
            .get(&format!("{user}{at}/{segment}"))
            .await
            .expect(status);
    }
    client
        .get(&format!("{folder}/events/{segment}"))
        .await
        .expect(200);
    let count = async |path: String| {
        let list = client
            .get(&(path + &by_key(PROPERTY, KEY)))
            .await
            .expect(200);
        list.body["value"].as_array().unwrap().len()
    };
    assert_eq!(count(format!("{folder}/events")).await, 1);
    assert_eq!(
        count(events(ORGANIZER)).await,
        0,
        "the default calendar's only"
    );
}

#[tokio::test]
async fn an_id_has_two_forms_and_each_needs_its_preference() {
    let (_simulator, client) = start(|_| {}).await;
    let path = events(ORGANIZER);
    let made = immutable(&client, "POST", &path, Some(&event()))
        .await
        .expect(201);
    let list = client.get(&path).await.expect(200);
    let regular = list.body["value"][0]["id"].as_str().unwrap();
    let fixed = made.text("id");
    assert_ne!(fixed, regular);
    for (id, prefers, status) in [
        (fixed, true, 200),
        (fixed, false, 404),
        (regular, false, 200),
        (regular, true, 404),
        (&fixed.to_lowercase(), true, 400),
        ("x", true, 400),
    ] {
        let path = one_event(ORGANIZER, id);
        let answer = match prefers {
            true => immutable(&client, "GET", &path, None).await,
            false => client.get(&path).await,
        };
        answer.expect(status);
    }
    let both = client.request("GET", &one_event(ORGANIZER, fixed), None);
    let both = both
        .header("prefer", r#"outlook.timezone="W. Europe Standard Time""#)
        .header("prefer", r#"IdType="ImmutableId""#);
    let answer = client.send(both).await.expect(200);
    let start = json!({"dateTime": "2026-11-10T10:00:00.0000000",
                       "timeZone": "W. Europe Standard Time"});
    assert_eq!(answer.body["start"], start);
    let unknown = client.request("GET", &path, None);
    let unknown = client
        .send(unknown.header("prefer", r#"outlook.timezone="Mars""#))
        .await;
    assert_eq!(code(&unknown.expect(400)), "TimeZoneNotSupportedException");
}

#[tokio::test]
async fn a_body_is_judged_strictly() {
    let (simulator, client) = start(|_| {}).await;
    let time = |text: &str, zone: &str| json!({"dateTime": text, "timeZone": zone});
    let cases = [
        without(&["start"]),
        without(&["end"]),
        with("start", Value::Null),
        with("start", time("2026-11-10T09:00:00Z", "UTC")),
        with("start", time("2026-11-10T09:00:00+01:00", "UTC")),
        with("start", time("2026-11-10T09:00:00", "Mars")),
        with("start", time("2026-11-10T10:00:01", "UTC")),
        with("start", json!({"dateTime": "2026-11-10T09:00:00"})),
        with("showAs", "away".into()),
        with("sensitivity", "secret".into()),
        with("onlineMeetingProvider", "zoom".into()),
        with("isOnlineMeeting", "true".into()),
        with("transactionId", "".into()),
        with("colour", "red".into()),
        with("externalId", KEY.into()),
        with("onlineMeeting", json!({"joinUrl": "https://x"})),
        with("isAllDay", true.into()),
        with(
            "singleValueExtendedProperties",
            json!([{"id": "Key", "value": "x"}]),
        ),
        with("singleValueExtendedProperties", json!([{"id": PROPERTY}])),
    ];
    for body in cases {
        let answer = client.loose("POST", &events(ORGANIZER), &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.raw);
    }
    assert!(simulator.snapshot().mailboxes[0].events.is_empty());
    client
        .raw("POST", &events(ORGANIZER), Some("{}".into()), "text/plain")
        .await
        .expect(415);

    let made = client.post(&events(ORGANIZER), &event()).await.expect(201);
    let path = one_event(ORGANIZER, made.text("id"));
    for body in [
        json!({}),
        json!({"transactionId": "other"}),
        json!({"isOnlineMeeting": false}),
        json!({"onlineMeetingProvider": "skypeForBusiness"}),
        json!({"onlineMeeting": null}),
        json!({"id": "x"}),
        json!({"end": time("2026-11-10T08:00:00", "UTC")}),
        json!({"externalId": KEY}),
        made.body.clone(),
    ] {
        let answer = client.loose("PATCH", &path, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.raw);
    }
    assert_eq!(client.get(&path).await.expect(200).body, made.body);
    let same = json!({"isOnlineMeeting": true, "onlineMeetingProvider": "teamsForBusiness"});
    let again = client.patch(&path, &same).await.expect(200);
    assert_eq!(again.body["onlineMeeting"], made.body["onlineMeeting"]);
    for (path, method) in [("/calendarView", "GET"), ("/calendars", "POST")] {
        let path = format!("/v1.0/users/{ORGANIZER}{path}");
        client.raw(method, &path, None, "").await.expect(501);
    }
}

#[tokio::test]
async fn attendees_are_mailed_and_counted() {
    let (simulator, client) = start(|_| {}).await;
    let attendee = |name: &str| json!({"emailAddress": {"address": name}, "type": "required"});
    let both = json!([attendee("a@example.org"), attendee("b@example.org")]);
    let made = client
        .post(&events(ORGANIZER), &with("attendees", both))
        .await
        .expect(201);
    let path = one_event(ORGANIZER, made.text("id"));
    client
        .patch(&path, &json!({"subject": "x"}))
        .await
        .expect(200);
    client
        .patch(&path, &json!({"attendees": [attendee("a@example.org")]}))
        .await
        .expect(200);
    client.delete(&path).await.expect(204);
    let mailbox = simulator.snapshot().mailboxes.remove(0);
    assert_eq!(mailbox.mails_to_attendees, 2 + 2 + 2 + 1);
    assert_eq!(mailbox.requests_with_attendees, 2);
    let refused = with("attendees", json!([{"emailAddress": {"address": 1}}]));
    client
        .loose("POST", &events(ORGANIZER), &refused)
        .await
        .expect(400);
    assert_eq!(simulator.snapshot().mailboxes[0].requests_with_attendees, 3);
}

#[tokio::test]
async fn a_body_without_the_meeting_block_disables_the_meeting() {
    let (_simulator, client) = start(|_| {}).await;
    let made = client.post(&events(ORGANIZER), &event()).await.expect(201);
    let path = one_event(ORGANIZER, made.text("id"));
    let content = made.body["body"]["content"].as_str().unwrap();
    let kept = content.replace("Lives elsewhere", "Lives there");
    let body = |content: &str| json!({"body": {"contentType": "html", "content": content}});
    let edited = client.patch(&path, &body(&kept)).await.expect(200);
    assert_eq!(edited.body["onlineMeeting"], made.body["onlineMeeting"]);
    assert_eq!(edited.body["body"]["content"], kept);

    let bare = client
        .patch(&path, &body("<p>Only this</p>"))
        .await
        .expect(200);
    assert_eq!(bare.body["isOnlineMeeting"], false);
    assert_eq!(bare.text("onlineMeetingProvider"), "unknown");
    assert_eq!(bare.body["onlineMeeting"], Value::Null);
    let online = json!({"isOnlineMeeting": true, "onlineMeetingProvider": "teamsForBusiness"});
    let again = client.patch(&path, &online).await.expect(200);
    let url = &again.body["onlineMeeting"]["joinUrl"];
    assert!(url.is_string() && *url != made.body["onlineMeeting"]["joinUrl"]);
}

#[tokio::test]
async fn an_event_without_a_meeting_can_be_put_online() {
    let (_simulator, client) = start(|settings| settings.url_shape = UrlShape::Short).await;
    let plain = without(&["isOnlineMeeting", "onlineMeetingProvider"]);
    let made = client
        .post(&events(ORGANIZER_WITHOUT_DIAL_IN), &plain)
        .await
        .expect(201);
    assert_eq!(made.body["onlineMeeting"], Value::Null);
    let path = one_event(ORGANIZER_WITHOUT_DIAL_IN, made.text("id"));
    let online = client
        .patch(&path, &json!({"isOnlineMeeting": true}))
        .await
        .expect(200);
    assert_eq!(
        online.text("onlineMeetingProvider"),
        "teamsForBusiness",
        "the default one"
    );
    let info = online.body["onlineMeeting"].as_object().unwrap();
    assert_eq!(
        info.keys().collect::<Vec<_>>(),
        ["joinUrl"],
        "no dial-in licence"
    );
    assert!(
        info["joinUrl"]
            .as_str()
            .unwrap()
            .starts_with("https://teams.microsoft.com/meet/")
    );
}

#[tokio::test]
async fn teams_that_a_mailbox_does_not_allow_is_refused_in_silence() {
    for (nth, change) in [Some(Provider::SkypeForBusiness), None]
        .into_iter()
        .enumerate()
    {
        let (_simulator, client) = start(|settings| match change {
            Some(other) => {
                let mailbox = settings.organizers[0].mailbox.as_mut().unwrap();
                mailbox.allowed_providers = vec![other];
                mailbox.default_provider = other;
            }
            None => settings.organizers[0].licensed = false,
        })
        .await;
        let made = client.post(&events(ORGANIZER), &event()).await.expect(201);
        assert_eq!(made.body["isOnlineMeeting"], false);
        assert_eq!(made.text("onlineMeetingProvider"), "unknown");
        assert_eq!(made.body["onlineMeeting"], Value::Null);
        let path = format!("/v1.0/users/{ORGANIZER}/calendar");
        let calendar = client.get(&path).await.expect(200);
        let expected = [
            (json!(["skypeForBusiness"]), "skypeForBusiness"),
            (json!([]), "unknown"),
        ];
        let (allowed, default) = &expected[nth];
        assert_eq!(calendar.body["allowedOnlineMeetingProviders"], *allowed);
        assert_eq!(calendar.text("defaultOnlineMeetingProvider"), *default);
    }
}

#[tokio::test]
async fn four_requests_at_once_are_let_through_to_a_mailbox() {
    let clock = clock();
    let (simulator, client) = start_with(Arc::clone(&clock), |settings| {
        settings.limits.mailbox_at_once = Some(4);
    })
    .await;
    simulator.change(|settings| settings.latency = Duration::from_millis(100));
    let calls: Vec<_> = (0..5)
        .map(|nth| {
            let client = client.clone();
            let user = [ORGANIZER, UPN][nth % 2];
            tokio::spawn(async move { client.get(&events(user)).await })
        })
        .collect();
    clock.sleepers(5).await;
    let other = tokio::spawn({
        let client = client.clone();
        async move { client.get(&events(ORGANIZER_WITHOUT_DIAL_IN)).await }
    });
    clock.sleepers(6).await;
    clock.advance(Duration::from_millis(100));
    let mut statuses = Vec::new();
    for call in calls {
        let answer = call.await.unwrap();
        if answer.status == 429 {
            assert_eq!(code(&answer), "ApplicationThrottled");
            assert_eq!(answer.headers["retry-after"], "1");
        }
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 429]);
    other.await.unwrap().expect(200);
    assert_eq!(simulator.snapshot().mailboxes[0].peak_at_once, 5);
}

#[tokio::test]
async fn more_than_four_parts_of_a_batch_for_one_mailbox_are_throttled() {
    let (_simulator, client) = start(|settings| settings.limits.mailbox_at_once = Some(4)).await;
    let get = |id: u32, user: &str, after: Option<u32>| {
        let mut part =
            json!({"id": id.to_string(), "method": "GET", "url": format!("/users/{user}/events")});
        if let Some(after) = after {
            part["dependsOn"] = json!([after.to_string()]);
        }
        part
    };
    let mut parts: Vec<_> = (1..=5).map(|id| get(id, ORGANIZER, None)).collect();
    parts.push(get(6, ORGANIZER_WITHOUT_DIAL_IN, None));
    parts.push(get(7, ORGANIZER, Some(1)));
    let answer = client
        .post("/v1.0/$batch", &json!({"requests": parts}))
        .await
        .expect(200);
    let status = |id: u32| {
        let parts = answer.body["responses"].as_array().unwrap();
        let wanted = json!(id.to_string());
        let part = parts.iter().find(|part| part["id"] == wanted);
        part.unwrap()["status"].as_u64().unwrap()
    };
    let statuses: Vec<_> = (1..=7).map(status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 200, 200]);
}

#[tokio::test]
async fn faults_strike_the_event_with_a_key() {
    let (simulator, client) = start(|_| {}).await;
    let fault = |endpoint, effect| Fault {
        on: Match {
            endpoint: Some(endpoint),
            external_id: Some(KEY.into()),
            ..Match::default()
        },
        effect,
        times: Times::Once,
    };
    let other = json!([{"id": PROPERTY, "value": "other"}]);
    let mut stranger = with("singleValueExtendedProperties", other);
    stranger["transactionId"] = "other".into();
    simulator.script(fault(Endpoint::EventCreate, Effect::status(503)));
    client.post(&events(ORGANIZER), &stranger).await.expect(201);
    client.post(&events(ORGANIZER), &event()).await.expect(503);
    let made = client.post(&events(ORGANIZER), &event()).await.expect(201);
    let path = one_event(ORGANIZER, made.text("id"));
    simulator.script(fault(Endpoint::EventGet, Effect::throttled(1)));
    client.get(&path).await.expect(429);
    simulator.script(fault(Endpoint::EventFilter, Effect::status(500)));
    client
        .get(&(events(ORGANIZER) + &by_key(PROPERTY, "other")))
        .await
        .expect(200);
    client
        .get(&(events(ORGANIZER) + &by_key(PROPERTY, KEY)))
        .await
        .expect(500);
    simulator.script(fault(Endpoint::EventGet, Effect::YearOne));
    let odd = client.get(&path).await.expect(200);
    assert_eq!(odd.body["start"]["dateTime"], "0001-01-01T00:00:00.0000000");
    simulator.script(fault(Endpoint::EventGet, Effect::Partial));
    let odd = client.get(&path).await.expect(200);
    assert_eq!(odd.body["onlineMeeting"].get("joinUrl"), None);
    simulator.script(fault(Endpoint::EventDelete, Effect::LostAfter));
    assert!(client.request("DELETE", &path, None).send().await.is_err());
    client.get(&path).await.expect(404);
}

#[tokio::test]
async fn the_meeting_behind_an_event_takes_settings() {
    let (_simulator, client) = start(|_| {}).await;
    let made = client.post(&events(ORGANIZER), &event()).await.expect(201);
    let url = made.body["onlineMeeting"]["joinUrl"].as_str().unwrap();
    let found = client
        .get(&filter(ORGANIZER, &format!("JoinWebUrl eq '{url}'")))
        .await;
    let id = found.body["value"][0]["id"].as_str().unwrap().to_owned();
    let lobby = json!({"lobbyBypassSettings": {"scope": "organizer"}});
    let patched = client.patch(&one(ORGANIZER, &id), &lobby).await.expect(200);
    assert_eq!(patched.body["lobbyBypassSettings"]["scope"], "organizer");
    let got = client
        .get(&one_event(ORGANIZER, made.text("id")))
        .await
        .expect(200);
    assert_eq!(got.body, made.body);
}

#[tokio::test]
async fn the_parts_of_a_batch_have_preferences_of_their_own() {
    let (simulator, client) = start(|settings| settings.outlook.page = 1).await;
    let part = |id: &str, prefer: &str| {
        let mut body = event();
        body["transactionId"] = id.into();
        json!({"id": id, "method": "POST", "url": format!("/users/{ORGANIZER}/events"), "body": body,
               "headers": {"Content-Type": "application/json", "Prefer": prefer}})
    };
    let list = json!({"id": "3", "method": "GET", "url": format!("/users/{ORGANIZER}/events"),
                      "dependsOn": ["1", "2"]});
    let parts = [part("1", r#"IdType="ImmutableId""#), part("2", ""), list];
    let answer = client
        .post("/v1.0/$batch", &json!({"requests": parts}))
        .await;
    let answer = answer.expect(200);
    let body = |id: &str| {
        let parts = answer.body["responses"].as_array().unwrap();
        let part = parts.iter().find(|part| part["id"] == id).unwrap();
        part["body"].clone()
    };
    let state = simulator.snapshot();
    let ids: Vec<_> = state
        .events(KEY)
        .iter()
        .map(|event| event.id.clone())
        .collect();
    assert_eq!(body("1")["id"], ids[0]);
    assert_ne!(body("2")["id"], ids[1]);
    let next = body("3")["@odata.nextLink"].as_str().unwrap().to_owned();
    let next = next.strip_prefix(&simulator.graph_url()).unwrap();
    let second = client.get(next).await.expect(200);
    assert_eq!(second.body["value"][0]["id"], body("2")["id"]);
}
