//! Tables on the pure parts: requests and answers of the Calendar API against the schemas, refusals.

use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use url::Url;

use super::details::with;
use super::request::Mailbox;
use super::search::oldest;
use super::wire::{self, Event};
use crate::meeting::graph::call::Call;
use crate::meeting::graph::errors::{Aim, Caller, Fault, classify};
use crate::meeting::graph::tests::{
    assert_fit, each_object, example, organizer, schemas, span, time, wanted,
};
use crate::meeting::graph::wire::Change;
use crate::meeting::{DialIn, Form, Mirror, ShowAs, Wanted};
use crate::model::{JoinUrl, OrganizerId};

const KEY: &str = "0123456789abcdef01234567";

const SHOWN: [(ShowAs, &str); 5] = [
    (ShowAs::Free, "free"),
    (ShowAs::Tentative, "tentative"),
    (ShowAs::Busy, "busy"),
    (ShowAs::OutOfOffice, "oof"),
    (ShowAs::WorkingElsewhere, "workingElsewhere"),
];

fn mirror(show_as: ShowAs) -> Mirror {
    Mirror {
        note: "Ours of „team“".to_owned(),
        calendar: None,
        show_as,
    }
}

fn change() -> Change {
    Change {
        span: Some(wanted().span),
        subject: Some("Planning".into()),
    }
}

/// Bodies of POST and of PATCH, with all and with few properties.
fn bodies() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let hostile = Wanted {
        subject: Some(format!("two\r\nlines{}", "x".repeat(100_000))),
        ..wanted()
    };
    let untitled = Wanted {
        subject: None,
        ..wanted()
    };
    let form = Form::CalendarEvent(Arc::new(mirror(ShowAs::Free)));
    let mirrored = Wanted { form, ..wanted() };
    let all = [hostile, untitled, mirrored];
    let mut posts: Vec<_> = all
        .iter()
        .map(|wanted| wire::create(wanted, &mirror(ShowAs::Free), KEY))
        .collect();
    posts.extend(SHOWN.map(|(show_as, _)| wire::create(&wanted(), &mirror(show_as), KEY)));
    let patches = [
        change(),
        Change {
            subject: None,
            ..change()
        },
        Change {
            span: None,
            ..change()
        },
    ];
    let mut patches: Vec<_> = patches.iter().map(wire::patch).collect();
    patches.push(wire::go_online());
    (posts, patches)
}

#[test]
fn bodies_hold_what_is_wanted_and_no_more() {
    let body: Value =
        serde_json::from_slice(&wire::create(&wanted(), &mirror(ShowAs::Busy), KEY)).unwrap();
    let html = body["body"]["content"].as_str().unwrap().to_owned();
    assert_eq!(html, "<p>Ours of „team“</p>");
    assert_eq!(
        body,
        json!({
            "subject": "Planning",
            "body": {"contentType": "html", "content": html},
            "start": {"dateTime": "2026-11-10T09:00:00", "timeZone": "UTC"},
            "end": {"dateTime": "2026-11-10T10:00:00", "timeZone": "UTC"},
            "isOnlineMeeting": true,
            "onlineMeetingProvider": "teamsForBusiness",
            // Fixed for ever: another one would make a second event.
            "transactionId": "08b53762-3c66-8c6e-8168-1650f9c1e177",
            "showAs": "busy",
            "isReminderOn": false,
            "singleValueExtendedProperties": [{
                "id": "String {28127341-401b-4936-87b6-73011a520c68} Name MeetingBridgeKey",
                "value": KEY,
            }],
        })
    );
    let (posts, patches) = bodies();
    for ((_, name), post) in SHOWN.iter().zip(&posts[3..]) {
        let post: Value = serde_json::from_slice(post).unwrap();
        assert_eq!(post["showAs"], *name);
    }
    let hostile: Value = serde_json::from_slice(&posts[0]).unwrap();
    assert_eq!(hostile["subject"].as_str().unwrap().chars().count(), 255);
    let untitled: Value = serde_json::from_slice(&posts[1]).unwrap();
    assert_eq!(untitled["subject"], Value::Null);
    let keys = |body: &Vec<u8>| {
        let body: Value = serde_json::from_slice(body).unwrap();
        let keys: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        keys.join(" ")
    };
    assert_eq!(
        patches.iter().map(keys).collect::<Vec<_>>(),
        [
            "end start subject",
            "end start",
            "subject",
            "isOnlineMeeting onlineMeetingProvider"
        ]
    );
}

#[test]
fn the_note_is_no_markup() {
    let hostile = Mirror {
        note: "“<b>&\"'\r\n”".to_owned(),
        ..mirror(ShowAs::Free)
    };
    let body: Value = serde_json::from_slice(&wire::create(&wanted(), &hostile, KEY)).unwrap();
    assert_eq!(
        body["body"]["content"],
        "<p>“&lt;b&gt;&amp;&quot;&#39;  ”</p>"
    );
}

#[test]
#[cfg_attr(
    not(graph_schema),
    ignore = "../shared/reference/graph-schema is not there"
)]
fn bodies_and_examples_are_what_the_schemas_ask_for() {
    let Some(schemas) = schemas() else { return };
    let schema = |name: &str| schemas.join(format!("v1.0/{name}.schema.json"));
    let (mut posts, patches) = bodies();
    posts.push(example(&schemas, "event.create.request.json"));
    assert_fit(&schema("event.create.request"), &posts);
    assert_fit(&schema("event.patch.request"), &patches);
    let answers = ["event.201.json", "event.201.teams-silently-refused.json"];
    let answers = answers.map(|name| example(&schemas, name));
    assert_fit(&schema("event.response"), &answers);
    // What is sent in place of the example has all of it.
    let keys = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap();
        body.as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&posts[0]),
        keys(&example(&schemas, "event.create.request.json"))
    );
}

#[test]
#[cfg_attr(
    not(graph_schema),
    ignore = "../shared/reference/graph-schema is not there"
)]
fn the_examples_are_read_as_what_they_are() {
    let Some(schemas) = schemas() else { return };
    let body = example(&schemas, "event.201.json");
    let verbatim: Value = serde_json::from_slice(&body).unwrap();
    let event = wire::event(&body).unwrap();
    let join_url = verbatim["onlineMeeting"]["joinUrl"].as_str().unwrap();
    assert_eq!(
        event,
        Event {
            id: "AAMkAGExampleAAA=".into(),
            created: Some(time("2026-11-01T08:00:00.1234567Z")),
            join_url: Some(JoinUrl::new(join_url)),
            is_teams: true,
            span: Some(wanted().span),
            subject: Some(Some("Planning".into())),
            dial_in: Some(DialIn {
                conference_id: Some("111222333".into()),
                toll_numbers: vec!["+1 555-555-0100".into()],
                ..DialIn::default()
            }),
        }
    );
    let refused = wire::event(&example(&schemas, "event.201.teams-silently-refused.json")).unwrap();
    let none = Event {
        join_url: None,
        is_teams: false,
        dial_in: None,
        ..event
    };
    assert_eq!(refused, none);
}

#[test]
#[cfg_attr(
    not(graph_schema),
    ignore = "../shared/reference/graph-schema is not there"
)]
fn an_answer_may_be_larger_smaller_and_spelled_otherwise_than_the_example() {
    let Some(schemas) = schemas() else { return };
    let read = |value: &Value| wire::event(&serde_json::to_vec(value).unwrap());
    let whole: Value = serde_json::from_slice(&example(&schemas, "event.201.json")).unwrap();
    let event = read(&whole).unwrap();
    let mut larger = whole.clone();
    each_object(&mut larger, &mut |members| {
        members.insert("@odata.someday".into(), json!({"x": [null, 1]}));
        members.insert("zzz".into(), Value::Null);
    });
    assert_eq!(read(&larger).as_ref(), Some(&event));
    for spell in [str::to_uppercase, str::to_lowercase] {
        let mut spelled = whole.clone();
        each_object(&mut spelled, &mut |members| {
            let names = std::mem::take(members).into_iter();
            *members = names.map(|(name, value)| (spell(&name), value)).collect();
        });
        assert_eq!(read(&spelled).as_ref(), Some(&event));
    }
    for member in whole.as_object().unwrap().keys() {
        for other in [
            Value::Null,
            json!(["x"]),
            json!({"x": 1}),
            json!(true),
            json!(7),
        ] {
            let mut answer = whole.clone();
            answer[member] = other;
            let found = read(&answer);
            assert_eq!(found.is_none(), member == "id", "{member}: {answer}");
        }
        let mut answer = whole.clone();
        answer.as_object_mut().unwrap().remove(member);
        assert_eq!(read(&answer).is_none(), member == "id", "{member}");
    }
}

fn found(change: impl FnOnce(&mut Value)) -> Event {
    let mut answer = json!({
        "id": "1",
        "isOnlineMeeting": true,
        "start": {"dateTime": "2026-11-10T09:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-11-10T10:00:00.0000000", "timeZone": "UTC"},
        "onlineMeeting": {"joinUrl": "https://teams.example/1"},
    });
    change(&mut answer);
    wire::event(&serde_json::to_vec(&answer).unwrap()).unwrap()
}

#[test]
fn times_are_taken_in_utc_alone() {
    let hour = span("2026-11-10T09:00:00Z", "2026-11-10T10:00:00Z");
    for (start, zone, known) in [
        ("2026-11-10T09:00:00.0000000", "UTC", true),
        ("2026-11-10T09:00:00", "utc", true),
        ("2026-11-10T09:00:00.9999999Z", "UTC", true),
        ("2026-11-10T09:00:00", "W. Europe Standard Time", false),
        ("2026-11-10T09:00:00", "", false),
        ("2026-11-10T09:00:00+01:00", "UTC", false),
        ("0001-01-01T00:00:00.0000000", "UTC", false),
        ("2026-11-10", "UTC", false),
        ("2026-11-10T11:00:00", "UTC", false),
        ("soon", "UTC", false),
    ] {
        let event = found(|e| e["start"] = json!({"dateTime": start, "timeZone": zone}));
        assert_eq!(event.span, known.then_some(hour), "{start} {zone}");
        assert!(known || event.change_to(&wanted()).is_none());
    }
}

#[test]
fn a_link_is_a_web_address_and_a_meeting_of_teams() {
    for (url, usable) in [
        ("https://teams.example/1", true),
        ("http://teams.example/1", false),
        ("javascript:alert(1)", false),
        ("https://teams.example/\r\nX:1", false),
        ("https://", false),
    ] {
        let event = found(|e| e["onlineMeeting"]["joinUrl"] = json!(url));
        assert_eq!(event.join_url.is_some(), usable, "{url}");
    }
    let (own, other) = (
        JoinUrl::new("https://teams.example/1"),
        JoinUrl::new("https://teams.example/2"),
    );
    let event = found(|_| {});
    assert!(event.is_of(&own) && !event.is_of(&other));
    for (provider, online, is_it) in [
        (json!("teamsForBusiness"), true, true),
        (json!("TeamsForBusiness"), true, true),
        (Value::Null, true, true),
        (json!("unknown"), true, false),
        (json!("skypeForBusiness"), true, false),
        (json!("teamsForBusiness"), false, false),
    ] {
        let event = found(|e| {
            e["onlineMeeting"] = Value::Null;
            e["isOnlineMeeting"] = json!(online);
            e["onlineMeetingProvider"] = provider.clone();
        });
        assert_eq!(event.is_teams, is_it, "{provider} {online}");
        assert_eq!(event.is_of(&own), is_it, "one that lost its link may be it");
    }
}

#[test]
fn dial_in_data_is_bounded_and_cleaned() {
    let many: Vec<_> = (0..1000)
        .map(|n| json!({"number": n.to_string(), "type": "business"}))
        .collect();
    let event = found(|e| {
        let meeting = &mut e["onlineMeeting"];
        meeting["ConferenceId"] = json!("12\u{7}3");
        meeting["quickDial"] = json!("+1 555-0100,,123#");
        meeting["tollNumber"] = json!("+1");
        meeting["phones"] = json!(many);
        meeting["tollFreeNumbers"] = json!(["+2", "+2", "", 3, "evil\r\nX:1"]);
    });
    let dial_in = event.dial_in.unwrap();
    assert_eq!(dial_in.conference_id, None);
    assert_eq!(dial_in.quick_dial.as_deref(), Some("+1 555-0100,,123#"));
    assert_eq!(
        (dial_in.toll_numbers.len(), dial_in.toll_numbers[0].as_str()),
        (20, "+1")
    );
    assert_eq!(dial_in.toll_free_numbers, ["+2"]);
    let event = found(|e| {
        e["onlineMeeting"]["phones"] = json!([{"number": "+2"}, {"number": "+3"}, 7, {}]);
        e["onlineMeeting"]["tollFreeNumbers"] = json!(["+2"]);
    });
    assert_eq!(event.dial_in.unwrap().toll_numbers, ["+3"]);
    assert_eq!(found(|_| {}).dial_in, None);
}

#[test]
fn what_two_sources_know_of_dialling_in_is_put_together() {
    let of = |url: Option<&str>, tolls: &[&str]| DialIn {
        dialin_url: url.map(str::to_owned),
        conference_id: Some("1".into()),
        toll_numbers: tolls.iter().map(|&toll| toll.to_owned()).collect(),
        ..DialIn::default()
    };
    let quick = DialIn {
        quick_dial: Some("+1,,1#".into()),
        ..of(None, &["+1"])
    };
    let cases = [
        (None, None, None),
        (Some(of(None, &["+1"])), None, Some(of(None, &["+1"]))),
        (
            None,
            Some(of(Some("u"), &["+1"])),
            Some(of(Some("u"), &["+1"])),
        ),
        (
            Some(quick),
            Some(of(Some("u"), &["+1", "+2"])),
            Some(DialIn {
                quick_dial: Some("+1,,1#".into()),
                ..of(Some("u"), &["+1", "+2"])
            }),
        ),
        (
            Some(of(None, &["+3"])),
            Some(of(Some("u"), &["+1", "+2"])),
            Some(of(Some("u"), &["+3"])),
        ),
        (
            Some(of(None, &[])),
            Some(of(None, &["+1"])),
            Some(of(None, &["+1"])),
        ),
    ];
    for (first, second, expected) in cases {
        assert_eq!(with(first, second.as_ref()), expected);
    }
}

#[test]
fn of_several_events_the_oldest_is_meant() {
    let event = |id: &str, created: Option<&str>| Event {
        id: id.into(),
        created: created.map(time),
        ..found(|_| {})
    };
    let (early, late) = ("2026-11-01T08:00:00Z", "2026-11-01T08:00:01Z");
    for (events, expected) in [
        (vec![], None),
        (
            vec![event("b", Some(late)), event("a", Some(early))],
            Some("a"),
        ),
        (
            vec![event("b", Some(early)), event("a", Some(early))],
            Some("a"),
        ),
        (vec![event("a", None), event("b", Some(late))], Some("b")),
        (vec![event("b", None), event("a", None)], Some("a")),
    ] {
        assert_eq!(oldest(events).map(|event| event.id).as_deref(), expected);
    }
}

#[test]
fn a_list_is_read_entry_by_entry() {
    let page = |value: Value| wire::events(&serde_json::to_vec(&value).unwrap());
    let one =
        page(json!({"value": [{"id": "1"}], "@odata.nextLink": "https://x.example/2"})).unwrap();
    assert_eq!(
        (one.entries.len(), one.next.as_deref()),
        (1, Some("https://x.example/2"))
    );
    assert_eq!(page(json!({"value": []})).unwrap().next, None);
    for partial in [
        json!({}),
        json!([]),
        json!({"value": 1}),
        json!({"value": [{}]}),
        json!({"value": [1]}),
    ] {
        assert_eq!(page(partial.clone()), None, "{partial}");
    }
    let calendars = json!({"value": [{"id": "1", "name": "A"}, {"id": "2"}, {"name": "B"}, {"id": "..", "name": "C"}]});
    let calendars = wire::calendars(&serde_json::to_vec(&calendars).unwrap()).unwrap();
    assert_eq!(calendars.entries.len(), 1);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(wire::event(deep.as_bytes()), None);
    assert_eq!(wire::events(deep.as_bytes()), None);
}

fn asked(call: &Call, as_me: bool) -> reqwest::Request {
    call.request(HeaderValue::from_static("Bearer t"), "try-1", as_me)
}

#[test]
fn requests_go_where_graph_expects_them() {
    let organizer = organizer();
    for root in ["https://graph.example", "https://graph.example/base/"] {
        let users = format!("{}/v1.0/users/{organizer}", root.trim_end_matches('/'));
        let root = Url::parse(root).unwrap();
        let mailbox = Mailbox {
            root: &root,
            organizer: &organizer,
        };
        let one = format!("{users}/events/a%2Fb%3D");
        let (wanted, mirror) = (wanted(), mirror(ShowAs::Free));
        let cases = [
            (
                mailbox.create(None, &wanted, &mirror, KEY),
                "POST",
                format!("{users}/events"),
            ),
            (
                mailbox.create(Some("c/d="), &wanted, &mirror, KEY),
                "POST",
                format!("{users}/calendars/c%2Fd%3D/events"),
            ),
            (mailbox.patch("a/b=", &change()), "PATCH", one.clone()),
            (mailbox.go_online("a/b="), "PATCH", one.clone()),
            (mailbox.delete("a/b="), "DELETE", one.clone()),
            (mailbox.get("a/b="), "GET", one),
            (mailbox.calendars(), "GET", format!("{users}/calendars")),
            (mailbox.find(None, KEY), "GET", format!("{users}/events")),
        ];
        for (call, method, url) in cases {
            let request = asked(&call, false);
            let mut bare = request.url().clone();
            bare.set_query(None);
            assert_eq!((request.method().as_str(), bare.as_str()), (method, &*url));
            let mut mine = asked(&call, true).url().clone();
            mine.set_query(None);
            let user = format!("/users/{organizer}/");
            assert_eq!(mine.as_str(), url.replace(&user, "/me/"));
            let prefer =
                r#"include-unknown-enum-members, IdType="ImmutableId", outlook.timezone="UTC""#;
            assert_eq!(request.headers()["prefer"], prefer);
        }
        let find = asked(&mailbox.find(Some("c"), KEY), false);
        let query: Vec<_> = find.url().query_pairs().into_owned().collect();
        let filter = format!(
            "singleValueExtendedProperties/Any(ep: ep/id eq 'String \
             {{28127341-401b-4936-87b6-73011a520c68}} Name MeetingBridgeKey' and ep/value eq '{KEY}')"
        );
        assert_eq!(query[0], ("$filter".into(), filter));
        assert_eq!(
            (query[1].0.as_str(), query[2].0.as_str()),
            ("$select", "$top")
        );
        assert!(
            !query[1].1.contains("body"),
            "it may be larger than an answer may be"
        );
    }
}

#[test]
fn a_list_goes_on_at_the_same_graph_alone() {
    let organizer: OrganizerId = organizer();
    let root = Url::parse("https://graph.example/base").unwrap();
    let mailbox = Mailbox {
        root: &root,
        organizer: &organizer,
    };
    let call = mailbox.find(None, KEY);
    for (link, followed) in [
        (
            "https://graph.example/base/v1.0/users/x/events?$skiptoken=1",
            true,
        ),
        ("https://graph.example/base/v1.0/me/events?$skip=10", true),
        ("https://graph.example/v1.0/me/events", false),
        ("https://graph.example:444/base/v1.0/me/events", false),
        ("http://graph.example/base/v1.0/me/events", false),
        ("https://evil.example/base/v1.0/me/events", false),
        ("https://a:b@graph.example/base/v1.0/me/events", false),
        ("https://graph.example/base/../v1.0/me/events", false),
        ("/base/v1.0/me/events", false),
        ("", false),
    ] {
        let next = mailbox.next(&call, link);
        assert_eq!(next.is_some(), followed, "{link}");
        if let Some(next) = next {
            assert_eq!(asked(&next, false).url().as_str(), link);
        }
    }
}

#[test]
fn refusals_of_outlook_are_classified() {
    let of = |status: u16, aim, caller| {
        let body = json!({"error": {"code": "ErrorAccessDenied", "message": "secret title"}});
        let body = body.to_string();
        let status = StatusCode::from_u16(status).unwrap();
        classify(status, body.as_bytes(), None, aim, &organizer(), caller)
    };
    let (app, person) = (Caller::App("app"), Caller::Person);
    let aims = [Aim::Mailbox, Aim::Calendar, Aim::Event];
    for aim in aims {
        for status in [402, 403] {
            match (of(status, aim, app), of(status, aim, person)) {
                (Fault::Organizer { text, .. }, Fault::Organizer { text: own, .. }) => {
                    for text in [&text, &own] {
                        assert!(text.contains("Calendars.ReadWrite"), "{text}");
                        assert!(!text.contains("OnlineMeetings") && !text.contains("title"));
                    }
                    assert!(text.contains("admin consent") && own.contains("meetbridge login"));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(of(400, aim, app), Fault::Request(_)));
        assert!(matches!(of(401, aim, app), Fault::Unauthorized));
        for status in [409, 412, 429, 503] {
            assert!(
                matches!(of(status, aim, app), Fault::Busy { .. }),
                "{status}"
            );
        }
    }
    for aim in [Aim::Calendar, Aim::Event] {
        assert_eq!(
            [of(404, aim, app), of(410, aim, app)],
            [Fault::Gone, Fault::Gone]
        );
    }
    match of(404, Aim::Mailbox, app) {
        Fault::NoOrganizer(text) => assert!(text.contains("mailbox"), "{text}"),
        other => panic!("{other:?}"),
    }
}
