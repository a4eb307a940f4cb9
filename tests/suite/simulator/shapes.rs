//! Requests and answers against the shared schemas and fixtures of Microsoft Graph.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use boon::{Compiler, SchemaIndex, Schemas};
use meetbridge::simulator::{
    Effect, Endpoint, Fault, GoesOnline, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN, Policy, Rate,
    Refused,
};
use reqwest::{Method, Request};
use serde_json::{Map, Value, json};

use super::client::{Answer, start};
use super::events::{events, one_event};
use super::{KEY, create_or_get, filter, meetings, one, planning};

/// The schemas, where the shared reference lies beside the project.
struct Shared {
    schemas: Schemas,
    create_or_get: SchemaIndex,
    create: SchemaIndex,
    patch: SchemaIndex,
    meeting: SchemaIndex,
    collection: SchemaIndex,
    error: SchemaIndex,
    token: SchemaIndex,
    token_error: SchemaIndex,
    device_code: SchemaIndex,
    batch: SchemaIndex,
    batch_answer: SchemaIndex,
    event_create: SchemaIndex,
    event_patch: SchemaIndex,
    event: SchemaIndex,
    calendar: SchemaIndex,
}

fn root() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/graph-schema");
    root.is_dir().then_some(root)
}

fn shared() -> Option<&'static Shared> {
    static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
    SHARED.get_or_init(load).as_ref()
}

fn load() -> Option<Shared> {
    let Some(root) = root() else {
        eprintln!("simulator: ../shared/reference/graph-schema is absent: shapes are NOT checked");
        return None;
    };
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler.enable_format_assertions();
    let mut compile = |name: &str| {
        let path = root
            .join(format!("{name}.schema.json"))
            .canonicalize()
            .unwrap();
        compiler
            .compile(path.to_str().unwrap(), &mut schemas)
            .unwrap()
    };
    let (create_or_get, create) = (
        compile("v1.0/createOrGet.request"),
        compile("v1.0/onlineMeeting.create.request"),
    );
    let (patch, meeting) = (
        compile("v1.0/onlineMeeting.patch.request"),
        compile("v1.0/onlineMeeting.response"),
    );
    let (collection, error) = (
        compile("v1.0/onlineMeetingCollection.response"),
        compile("docs-derived/error.response"),
    );
    let (token, token_error) = (
        compile("docs-derived/token.success"),
        compile("docs-derived/token.error"),
    );
    let (device_code, batch, batch_answer) = (
        compile("docs-derived/devicecode.success"),
        compile("docs-derived/batch.request"),
        compile("docs-derived/batch.response"),
    );
    let (event_create, event_patch) = (
        compile("v1.0/event.create.request"),
        compile("v1.0/event.patch.request"),
    );
    let (event, calendar) = (
        compile("v1.0/event.response"),
        compile("v1.0/calendar.response"),
    );
    Some(Shared {
        event_create,
        event_patch,
        event,
        calendar,
        device_code,
        batch,
        batch_answer,
        create_or_get,
        create,
        patch,
        meeting,
        collection,
        error,
        token,
        token_error,
        schemas,
    })
}

/// Every answer, and every request that was accepted, fits its schema.
pub(super) fn check_exchange(request: &Request, answer: &Answer) {
    let path = request.url().path();
    let Some(shared) = shared().filter(|_| !path.starts_with("/_simulator")) else {
        return;
    };
    let accepted = (200..300).contains(&answer.status);
    let token = path.ends_with("/token") || path.ends_with("/devicecode");
    let html = answer
        .headers
        .get("content-type")
        .is_some_and(|kind| kind == "text/html");
    let (sent, got) = match *request.method() {
        _ if path.ends_with("/devicecode") => (None, Some(shared.device_code)),
        _ if token => (None, Some(shared.token)),
        Method::POST if path.ends_with("/$batch") => {
            if accepted {
                check_parts(shared, &answer.body);
            }
            (Some(shared.batch), Some(shared.batch_answer))
        }
        Method::POST if path.ends_with("/events") => {
            (Some(shared.event_create), Some(shared.event))
        }
        Method::PATCH if path.contains("/events/") => {
            (Some(shared.event_patch), Some(shared.event))
        }
        Method::GET if path.contains("/events/") => (None, Some(shared.event)),
        Method::GET if path.ends_with("/events") || path.ends_with("/calendars") => {
            let all = answer.body["value"].as_array();
            let schema = match path.ends_with("/events") {
                true => shared.event,
                false => shared.calendar,
            };
            for one in all.into_iter().flatten() {
                fits(shared, schema, one, "entry of the answer");
            }
            (None, None)
        }
        Method::GET if path.contains("/calendar") => (None, Some(shared.calendar)),
        _ if !path.contains("/onlineMeetings") => (None, None),
        Method::POST if path.ends_with("createOrGet") => {
            (Some(shared.create_or_get), Some(shared.meeting))
        }
        Method::POST => (Some(shared.create), Some(shared.meeting)),
        Method::PATCH => (Some(shared.patch), Some(shared.meeting)),
        Method::GET if path.ends_with("/onlineMeetings") => (None, Some(shared.collection)),
        Method::GET => (None, Some(shared.meeting)),
        _ => (None, None),
    };
    if let Some(schema) = sent.filter(|_| accepted) {
        let body = request.body().and_then(|body| body.as_bytes()).unwrap();
        fits(
            shared,
            schema,
            &serde_json::from_slice(body).unwrap(),
            "request",
        );
    }
    let got = match (accepted, token) {
        (true, _) => got,
        (false, true) => Some(shared.token_error),
        (false, false) => Some(shared.error),
    };
    if let Some(schema) = got.filter(|_| !html) {
        fits(shared, schema, &answer.body, "answer");
    }
}

/// The answers inside a batch: meetings and errors.
fn check_parts(shared: &Shared, answer: &Value) {
    for part in answer["responses"].as_array().unwrap() {
        let Some(body) = part.get("body") else {
            continue;
        };
        if part["status"].as_u64().unwrap() >= 400 {
            fits(shared, shared.error, body, "error in the batch");
        } else if body.get("iCalUId").is_some() {
            fits(shared, shared.event, body, "event in the batch");
        } else if body.get("joinWebUrl").is_some() {
            fits(shared, shared.meeting, body, "meeting in the batch");
        }
    }
}

#[track_caller]
fn fits(shared: &Shared, schema: SchemaIndex, value: &Value, what: &str) {
    if let Err(error) = shared.schemas.validate(value, schema) {
        panic!("the {what} does not fit its schema: {error:#}\n{value:#}");
    }
}

fn read(path: &str) -> Option<Value> {
    let text = std::fs::read_to_string(root()?.join(path)).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

#[tokio::test]
#[cfg_attr(
    not(graph_schema),
    ignore = "../shared/reference/graph-schema is not there"
)]
async fn documented_fixtures_are_met_where_the_shared_reference_is_present() {
    let Some(request) = read("examples/createOrGet.request.json") else {
        eprintln!("skipped: ../shared/reference/graph-schema is absent");
        return;
    };
    let example = |name: &str| read(&format!("examples/{name}.json")).unwrap();
    let (simulator, client) = start(|_| {}).await;
    let made = client
        .post(&create_or_get(ORGANIZER), &request)
        .await
        .expect(201);
    same_shape("", &example("createOrGet.201"), &made.body);
    let path = one(ORGANIZER, made.text("id"));
    let without = client
        .post(&create_or_get(ORGANIZER_WITHOUT_DIAL_IN), &request)
        .await;
    same_shape(
        "",
        &example("createOrGet.201.no-dial-in"),
        &without.expect(201).body,
    );
    for name in ["patch.times.request", "patch.lobby.request"] {
        let patched = client.patch(&path, &example(name)).await.expect(200);
        same_shape("", &example("createOrGet.200.stale-times"), &patched.body);
    }
    let by_url = filter(
        ORGANIZER,
        &format!("JoinWebUrl eq '{}'", made.text("joinWebUrl")),
    );
    let found = client.get(&by_url).await.expect(200);
    same_shape("", &example("filter.joinWebUrl.200"), &found.body);
    let none = client
        .get(&filter(ORGANIZER, "JoinWebUrl eq 'https://x'"))
        .await
        .expect(200);
    assert_eq!(
        none.body["value"],
        example("filter.joinWebUrl.200.empty")["value"]
    );
    same_shape(
        "",
        &example("token.200"),
        &client.sign_in().await.expect(200).body,
    );

    // Errors: the same code and message, too.
    let upn = create_or_get("organizer@example.org");
    let mut refused = vec![
        (
            "error.404.user-by-upn",
            client.post(&upn, &planning()).await,
        ),
        (
            "error.400.filter-expected",
            client.get(&meetings(ORGANIZER)).await,
        ),
        (
            "error.400.invalid-meeting-id",
            client.get(&one(ORGANIZER, "x")).await,
        ),
    ];
    for (name, effect) in [
        ("error.429", Effect::throttled(1)),
        ("error.500", Effect::status(500)),
        ("error.403.no-access-policy", Effect::status(403)),
    ] {
        simulator.script(Fault::next(Endpoint::Get, effect));
        refused.push((name, client.get(&path).await));
    }
    for (name, form) in [
        ("error.403.no-access-policy", Refused::Forbidden),
        ("error.403.no-access-policy.code-general", Refused::General),
        ("error.403.empty-code", Refused::EmptyCode),
    ] {
        let policy = Policy::Missing(form);
        let (_simulator, client) = start(|settings| settings.organizers[0].policy = policy).await;
        refused.push((
            name,
            client.post(&create_or_get(ORGANIZER), &planning()).await,
        ));
    }
    for (name, answer) in refused {
        let fixture = example(name);
        assert!(
            name.starts_with(&format!("error.{}", answer.status)),
            "{name}: {answer:?}"
        );
        same_shape(name, &fixture, &answer.body);
        for part in ["code", "message"] {
            assert_eq!(answer.body["error"][part], fixture["error"][part], "{name}");
        }
    }
    for (name, code) in [
        ("token.400.unknown-app", 700_016),
        ("token.400.unknown-tenant", 90002),
        ("token.400.refresh-expired", 700_082),
        ("token.401.invalid-secret", 7_000_215),
        ("token.401.expired-secret", 7_000_222),
        ("token.503.temporarily-unavailable", 90033),
    ] {
        simulator.script(Fault::next(Endpoint::Token, Effect::Aadsts(code)));
        let (answer, fixture) = (client.sign_in().await, example(name));
        assert!(
            name.starts_with(&format!("token.{}", answer.status)),
            "{name}: {answer:?}"
        );
        same_shape(name, &fixture, &answer.body);
        for part in ["error", "error_codes"] {
            assert_eq!(answer.body[part], fixture[part], "{name}");
        }
        let first = |body: &Value| {
            body["error_description"]
                .as_str()
                .unwrap()
                .lines()
                .next()
                .map(str::to_owned)
        };
        assert_eq!(first(&answer.body), first(&fixture), "{name}");
    }
}

/// Each key of the fixture is there, with the same type or null on either side.
fn same_shape(at: &str, fixture: &Value, answer: &Value) {
    match (fixture, answer) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(fixture), Value::Object(answer)) => {
            for (name, value) in fixture {
                let at = format!("{at}/{name}");
                same_shape(
                    &at,
                    value,
                    answer.get(name).unwrap_or_else(|| panic!("no {at}")),
                );
            }
        }
        (Value::Array(fixture), Value::Array(answer)) => {
            if let (Some(fixture), Some(answer)) = (fixture.first(), answer.first()) {
                same_shape(&format!("{at}/0"), fixture, answer);
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(fixture),
            std::mem::discriminant(answer),
            "{at}: {fixture} and {answer}"
        ),
    }
}

#[tokio::test]
#[cfg_attr(
    not(graph_schema),
    ignore = "../shared/reference/graph-schema is not there"
)]
async fn each_property_of_the_schemas_is_taken_where_the_shared_reference_is_present() {
    let Some(schema) = read("v1.0/createOrGet.request.schema.json") else {
        eprintln!("skipped: ../shared/reference/graph-schema is absent");
        return;
    };
    let (_simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    for (name, value, good) in samples(&schema) {
        let mut body = json!({"externalId": KEY, "startDateTime": "2026-11-10T09:00:00Z"});
        body[&name] = value;
        let answer = client.post(&path, &body).await;
        assert_eq!(
            answer.status < 300,
            good,
            "createOrGet {body}: {}",
            answer.raw
        );
    }
    let made = client.post(&path, &planning()).await;
    let path = one(ORGANIZER, made.text("id"));
    let schema = read("v1.0/onlineMeeting.patch.request.schema.json").unwrap();
    for (name, value, good) in samples(&schema) {
        let mut body = json!({});
        if name.ends_with("DateTime") {
            body = json!({"startDateTime": "2026-11-10T09:00:00Z", "endDateTime": "2026-11-10T10:00:00Z"});
        }
        if value == "roleIsPresenter" {
            body["participants"] =
                json!({"attendees": [{"upn": "a@example.org", "role": "presenter"}]});
        }
        body[&name] = value;
        // Roles once made anonymous stay so.
        let roles = name == "anonymizeIdentityForRoles";
        if roles && good {
            body[&name] = json!(["attendee", "presenter", "producer", "coorganizer"]);
        }
        let answer = client.patch(&path, &body).await;
        assert_eq!(answer.status < 300, good, "PATCH {body}: {}", answer.raw);
    }
}

#[tokio::test]
#[cfg_attr(
    not(graph_schema),
    ignore = "../shared/reference/graph-schema is not there"
)]
async fn events_are_as_the_fixtures_and_schemas_say_where_the_shared_reference_is_present() {
    let Some(request) = read("examples/event.create.request.json") else {
        eprintln!("skipped: ../shared/reference/graph-schema is absent");
        return;
    };
    let example = |name: &str| read(&format!("examples/{name}.json")).unwrap();
    let (simulator, client) = start(|_| {}).await;
    let path = events(ORGANIZER);
    let made = client.post(&path, &request).await.expect(201);
    same_shape("", &example("event.201"), &made.body);
    let calendar = format!("/v1.0/users/{ORGANIZER}/calendar");
    let calendar = client.get(&calendar).await.expect(200);
    same_shape("", &example("calendar.200"), &calendar.body);
    simulator.change(|settings| settings.outlook.online = GoesOnline::Never);
    let mut other = request.clone();
    other["transactionId"] = json!("other");
    let refused = client.post(&path, &other).await.expect(201);
    let fixture = example("event.201.teams-silently-refused");
    same_shape("", &fixture, &refused.body);
    for name in ["isOnlineMeeting", "onlineMeetingProvider", "onlineMeeting"] {
        assert_eq!(refused.body[name], fixture[name], "{name}");
    }
    simulator.change(|settings| {
        settings.limits.mailbox = Some(Rate::new(0, Duration::from_secs(1)));
    });
    let throttled = client.get(&path).await.expect(429);
    let fixture = example("error.429.outlook");
    same_shape("", &fixture, &throttled.body);
    for part in ["code", "message"] {
        assert_eq!(throttled.body["error"][part], fixture["error"][part]);
    }

    let (_simulator, client) = start(|_| {}).await;
    let time = |day| json!({"dateTime": format!("2026-11-{day}T00:00:00"), "timeZone": "UTC"});
    let plain = json!({"subject": "x", "start": time(10), "end": time(11)});
    let schema = read("v1.0/event.create.request.schema.json").unwrap();
    for (name, value, good) in samples(&schema) {
        let mut body = plain.clone();
        body[&name] = value;
        let answer = client.post(&path, &body).await;
        assert_eq!(answer.status < 300, good, "POST {body}: {}", answer.raw);
    }
    let made = client.post(&path, &plain).await.expect(201);
    let path = one_event(ORGANIZER, made.text("id"));
    let schema = read("v1.0/event.patch.request.schema.json").unwrap();
    for (name, value, good) in samples(&schema) {
        let mut body = match name.as_str() {
            "isAllDay" => plain.clone(),
            _ => json!({}),
        };
        // What is online stays online.
        let online = name == "isOnlineMeeting" && good;
        body[&name] = if online { json!(true) } else { value };
        let answer = client.patch(&path, &body).await;
        // Its provider is fixed then.
        let fixed = name == "onlineMeetingProvider" && body[&name] != "teamsForBusiness";
        let expected = good && !fixed;
        assert_eq!(
            answer.status < 300,
            expected,
            "PATCH {body}: {}",
            answer.raw
        );
    }
}

/// For each property: values of its type, and one of another; whether each is to be accepted.
fn samples(schema: &Value) -> Vec<(String, Value, bool)> {
    let mut samples = Vec::new();
    for (name, property) in schema["properties"].as_object().unwrap() {
        for value in values(schema, property) {
            // The organizer cannot be chosen, and an attendee needs a upn.
            let value = match name.as_str() {
                "participants" => json!({"attendees": [{"upn": "a@example.org", "role": "attendee",
                    "identity": {"user": {"id": "u", "displayName": null}}}]}),
                "start" => json!({"dateTime": "2026-11-10T09:00:00", "timeZone": "UTC"}),
                "end" => json!({"dateTime": "2026-11-10T10:00:00", "timeZone": "UTC"}),
                "singleValueExtendedProperties" => {
                    json!([{"id": "String 0x0070001f", "value": "x"}])
                }
                _ => value,
            };
            samples.push((name.clone(), value, true));
        }
        let other = match property["type"][0] == "integer" {
            true => json!("1"),
            false => json!(1),
        };
        samples.push((name.clone(), other, false));
        samples.push((format!("{name}X"), json!("x"), false));
    }
    samples
}

/// Values that a property's schema allows.
fn values(schema: &Value, property: &Value) -> Vec<Value> {
    let property = match property.get("anyOf") {
        Some(either) => &either[0],
        None => property,
    };
    if let Some(reference) = property.get("$ref") {
        let name = reference.as_str().unwrap().rsplit('/').next().unwrap();
        return values(schema, &schema["$defs"][name]);
    }
    if let Some(members) = property.get("enum") {
        return members.as_array().unwrap().clone();
    }
    let kind = match &property["type"] {
        Value::Array(kinds) => kinds[0].as_str(),
        kind => kind.as_str(),
    };
    match (kind, property.get("format").is_some()) {
        (Some("string"), true) if property["format"] == "date" => vec![json!("2026-11-10")],
        (Some("integer" | "number"), _) => vec![json!(1)],
        (Some("string"), true) => vec![json!("2026-11-10T10:30:00.5+01:00")],
        (Some("string"), false) => vec![json!("text")],
        (Some("boolean"), _) => vec![json!(true), json!(false)],
        (Some("array"), _) => vec![json!(values(schema, &property["items"]))],
        (Some("object"), _) => {
            let all: Map<String, Value> = property["properties"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, property)| (name.clone(), values(schema, property).swap_remove(0)))
                .collect();
            vec![Value::Object(all)]
        }
        other => panic!("the schema has a type that is not looked for: {other:?}"),
    }
}
