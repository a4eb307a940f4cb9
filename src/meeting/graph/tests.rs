//! Tables on the pure parts: requests and answers against the schemas, refusals, tokens.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boon::{Compiler, Schemas};
use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use url::Url;

use super::call::Call;
use super::errors::{Aim, Caller, Fault, classify};
use super::pace::Busy;
use super::wire::{self, Change, Found};
use crate::meeting::{
    Chat, DialIn, Form, LobbyScope, Meeting, Presenters, Setting, Settings, Wanted,
};
use crate::model::{ExternalId, JoinUrl, MeetingId, OrganizerId, Span};

const ID: &str = "MSphYWFhYWFhYS1iYmJiLWNjY2MtZGRkZC1lZWVlZWVlZWVlZWUqMCoqMTk6bWVldGluZ19SWGhoYlhCc1pVMWxaWFJwYm1kVWFISmxZV1F3TURBd01EQXdNREF4QHRocmVhZC52Mg==";

/// The schemas and examples of Graph, which lie beside the project; says so where they do not.
pub(super) fn schemas() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let schemas = beside.join("shared/reference/graph-schema");
    if schemas.is_dir() {
        return Some(schemas);
    }
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: {} is not there", schemas.display()).unwrap();
    None
}

pub(super) fn example(schemas: &Path, name: &str) -> Vec<u8> {
    std::fs::read(schemas.join("examples").join(name)).unwrap()
}

pub(super) fn time(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

pub(super) fn span(start: &str, end: &str) -> Span {
    Span {
        start: time(start),
        end: time(end),
    }
}

pub(super) fn organizer() -> OrganizerId {
    OrganizerId::new("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee").unwrap()
}

pub(super) fn wanted() -> Wanted {
    Wanted {
        organizer: organizer(),
        external_id: ExternalId::stored("event-uid-0001@example.org"),
        subject: Some("Planning".into()),
        span: span("2026-11-10T09:00:00Z", "2026-11-10T10:00:00Z"),
        language: "de-DE".into(),
        form: Form::default(),
    }
}

fn found(mut change: impl FnMut(&mut Value)) -> Option<Found> {
    let mut answer = json!({
        "id": "1",
        "joinWebUrl": "https://teams.example/1",
        "startDateTime": "2026-11-10T09:00:00Z",
        "endDateTime": "2026-11-10T10:00:00Z",
        "subject": "Planning",
    });
    change(&mut answer);
    wire::meeting(&serde_json::to_vec(&answer).unwrap())
}

#[test]
#[cfg_attr(
    not(graph_schema),
    ignore = "../shared/reference/graph-schema is not there"
)]
fn the_examples_are_read_as_what_they_are() {
    let Some(schemas) = schemas() else { return };
    let dial_in = DialIn {
        dialin_url: Some(
            "https://dialin.teams.microsoft.com/00000000-1111-2222-3333-444444444444?id=111222333"
                .into(),
        ),
        conference_id: Some("111222333".into()),
        toll_numbers: vec!["+1 555-555-0100".into()],
        ..DialIn::default()
    };
    let asked = Some(wanted().span);
    let stale = Some(span("2026-10-01T09:00:00Z", "2026-10-01T10:00:00Z"));
    let cases = [
        ("createOrGet.201.json", asked, "Planning", Some(&dial_in)),
        ("createOrGet.201.no-dial-in.json", asked, "Planning", None),
        (
            "createOrGet.201.short-url-no-dial-in-key.json",
            asked,
            "Planning",
            None,
        ),
        ("createOrGet.200.odd.json", None, "Planning", Some(&dial_in)),
        (
            "createOrGet.200.stale-times.json",
            stale,
            "Old subject",
            Some(&dial_in),
        ),
    ];
    for (name, span, subject, dial_in) in cases {
        let body = example(&schemas, name);
        let verbatim: Value = serde_json::from_slice(&body).unwrap();
        let meeting = wire::meeting(&body).unwrap().complete().unwrap();
        assert_eq!(
            meeting.id,
            Some(MeetingId::OnlineMeeting(ID.into())),
            "{name}"
        );
        assert_eq!(meeting.join_url.expose(), verbatim["joinWebUrl"], "{name}");
        assert_eq!(meeting.span, span, "{name}");
        assert_eq!(meeting.subject.as_deref(), Some(subject), "{name}");
        assert_eq!(meeting.details.dial_in.as_ref(), dial_in, "{name}");
        assert_eq!(
            meeting.details.meeting_id.as_deref(),
            Some("1234567890"),
            "{name}"
        );
        assert_eq!(meeting.details.passcode, None, "{name}");
        let thread = "19:meeting_RXhhbXBsZU1lZXRpbmdUaHJlYWQwMDAwMDAwMDAx@thread.v2";
        assert_eq!(
            meeting.details.chat_thread.as_deref(),
            Some(thread),
            "{name}"
        );
        let expires = name.contains("stale").then(|| time("2026-11-30T10:00:00Z"));
        assert_eq!(meeting.expires, expires, "{name}");
    }
    let one = wire::collection(&example(&schemas, "filter.joinWebUrl.200.json"));
    assert_eq!(one.unwrap().unwrap().id.as_deref(), Some(ID));
    let none = wire::collection(&example(&schemas, "filter.joinWebUrl.200.empty.json"));
    assert_eq!(none, Some(None));
}

/// Bodies of createOrGet and of PATCH, with all and with few properties.
fn bodies() -> ([Vec<u8>; 3], [Vec<u8>; 3]) {
    let hostile = Wanted {
        subject: Some(format!("two\r\nlines \u{1f600}{}", "x".repeat(100_000))),
        ..wanted()
    };
    let untitled = Wanted {
        subject: None,
        ..wanted()
    };
    let change = Change {
        span: Some(wanted().span),
        subject: Some("Planning".into()),
    };
    let posts = [wanted(), hostile, untitled].map(|wanted| wire::create_or_get(&wanted));
    let patches = [
        change.clone(),
        Change {
            subject: None,
            ..change.clone()
        },
        Change {
            span: None,
            ..change
        },
    ]
    .map(|change| wire::patch(&change));
    (posts, patches)
}

#[test]
fn bodies_hold_what_is_wanted_and_no_more() {
    let (posts, patches) = bodies();
    let first: Value = serde_json::from_slice(&posts[0]).unwrap();
    assert_eq!(
        first,
        json!({
            "externalId": "event-uid-0001@example.org",
            "subject": "Planning",
            "startDateTime": "2026-11-10T09:00:00Z",
            "endDateTime": "2026-11-10T10:00:00Z",
        })
    );
    let second: Value = serde_json::from_slice(&posts[1]).unwrap();
    let subject = second["subject"].as_str().unwrap();
    assert!(subject.starts_with("two  lines \u{1f600}x") && subject.chars().count() == 255);
    let third: Value = serde_json::from_slice(&posts[2]).unwrap();
    assert_eq!(third.get("subject"), None);
    let keys = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap();
        body.as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        patches.each_ref().map(|body| keys(body)),
        [
            "endDateTime startDateTime subject",
            "endDateTime startDateTime",
            "subject"
        ]
    );
}

#[test]
#[cfg_attr(
    not(graph_schema),
    ignore = "../shared/reference/graph-schema is not there"
)]
fn bodies_are_what_the_schemas_ask_for() {
    let (posts, patches) = bodies();
    let Some(schemas) = schemas() else { return };
    let mut set: Vec<_> = settings().iter().map(wire::settings).collect();
    set.push(wire::settings(&everything()));
    set.push(sent(&Call::close(&root(), &organizer(), ID)));
    let patches = [patches.to_vec(), set].concat();
    for (schema, bodies) in [
        ("createOrGet", posts.to_vec()),
        ("onlineMeeting.patch", patches),
    ] {
        let path = schemas.join(format!("v1.0/{schema}.request.schema.json"));
        assert_fit(&path, &bodies);
    }
}

/// These bodies are as this schema says.
pub(super) fn assert_fit(schema: &Path, bodies: &[Vec<u8>]) {
    let mut compiled = Schemas::new();
    let mut compiler = Compiler::new();
    compiler.enable_format_assertions();
    let index = compiler
        .compile(schema.to_str().unwrap(), &mut compiled)
        .unwrap();
    for body in bodies {
        let body: Value = serde_json::from_slice(body).unwrap();
        let checked = compiled.validate(&body, index);
        assert!(checked.is_ok(), "{}: {body}", schema.display());
    }
}

/// Settings of every kind with every value, in as many bodies as it takes.
fn settings() -> Vec<Settings> {
    let lobby = |scope, dial_in_bypass| Setting::Lobby {
        scope,
        dial_in_bypass,
    };
    let scopes = [
        LobbyScope::Organizer,
        LobbyScope::Organization,
        LobbyScope::OrganizationAndFederated,
        LobbyScope::OrganizationExcludingGuests,
        LobbyScope::Invited,
        LobbyScope::Everyone,
    ];
    let presenters = [
        Presenters::Everyone,
        Presenters::Organization,
        Presenters::Organizer,
    ];
    let chats = [Chat::Enabled, Chat::Disabled, Chat::Limited];
    let mut all: Vec<Setting> = scopes.map(|scope| lobby(Some(scope), None)).into();
    all.extend([lobby(None, Some(true)), lobby(Some(scopes[0]), Some(false))]);
    all.extend(presenters.map(Setting::Presenters));
    all.extend(chats.map(Setting::Chat));
    for on in [true, false] {
        all.extend([
            Setting::EntryAnnouncement(on),
            Setting::RecordAutomatically(on),
            Setting::AttendeeCamera(on),
            Setting::AttendeeMicrophone(on),
        ]);
    }
    all.push(Setting::Participants(Vec::new()));
    all.push(Setting::Participants(vec!["a@example.org".into(); 2]));
    all.into_iter().map(|one| Settings(vec![one])).collect()
}

fn root() -> Url {
    Url::parse("https://graph.example").unwrap()
}

/// The body of a call.
fn sent(call: &Call) -> Vec<u8> {
    let request = call.request(HeaderValue::from_static("Bearer t"), "try-1", false);
    request.body().unwrap().as_bytes().unwrap().to_vec()
}

#[test]
fn a_meeting_is_closed_to_all_but_its_organizer() {
    let call = Call::close(&root(), &organizer(), ID);
    let body: Value = serde_json::from_slice(&sent(&call)).unwrap();
    let closed = json!({"scope": "organizer", "isDialInBypassEnabled": false});
    assert_eq!(body, json!({"lobbyBypassSettings": closed}));
}

/// Settings of every kind, in one body.
fn everything() -> Settings {
    Settings(vec![
        Setting::Lobby {
            scope: Some(LobbyScope::OrganizationAndFederated),
            dial_in_bypass: Some(true),
        },
        Setting::Presenters(Presenters::Organizer),
        Setting::Chat(Chat::Limited),
        Setting::EntryAnnouncement(true),
        Setting::RecordAutomatically(false),
        Setting::AttendeeCamera(false),
        Setting::AttendeeMicrophone(true),
        Setting::Participants(vec!["a@example.org".into()]),
    ])
}

#[test]
fn settings_are_the_properties_of_a_meeting() {
    let body: Value = serde_json::from_slice(&wire::settings(&everything())).unwrap();
    assert_eq!(
        body,
        json!({
            "lobbyBypassSettings": {"scope": "organizationAndFederated", "isDialInBypassEnabled": true},
            "allowedPresenters": "organizer",
            "allowMeetingChat": "limited",
            "isEntryExitAnnounced": true,
            "recordAutomatically": false,
            "allowAttendeeToEnableCamera": false,
            "allowAttendeeToEnableMic": true,
            "participants": {"attendees": [{"upn": "a@example.org", "role": "attendee"}]},
        })
    );
}

#[test]
fn a_refusal_of_settings_is_none_of_the_organizers() {
    let of = |status: u16, body: &[u8]| {
        let status = StatusCode::from_u16(status).unwrap();
        classify(
            status,
            body,
            None,
            Aim::Settings,
            &organizer(),
            Caller::App("app"),
        )
    };
    for status in [400, 402, 403] {
        assert!(matches!(of(status, b"{}"), Fault::Request(_)), "{status}");
    }
    let policy = br#"{"error":{"code":"Forbidden","message":"No application access policy found for this app"}}"#;
    assert!(matches!(of(403, policy), Fault::Organizer { .. }));
    assert_eq!([of(404, b""), of(410, b"")], [Fault::Gone, Fault::Gone]);
}

#[test]
fn a_partial_answer_is_no_meeting() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, bool); 16] = [
        ("whole", |_| {}, true),
        ("no id", |m| m["id"] = Value::Null, false),
        ("empty id", |m| m["id"] = json!(""), false),
        ("number as id", |m| m["id"] = json!(5), false),
        ("id of dots", |m| m["id"] = json!(".."), false),
        ("endless id", |m| m["id"] = json!("x".repeat(3000)), false),
        ("no url", |m| m["joinWebUrl"] = Value::Null, false),
        (
            "plain http",
            |m| m["joinWebUrl"] = json!("http://teams.example/1"),
            false,
        ),
        (
            "script",
            |m| m["joinWebUrl"] = json!("javascript:alert(1)"),
            false,
        ),
        ("no host", |m| m["joinWebUrl"] = json!("https://"), false),
        (
            "line break",
            |m| m["joinWebUrl"] = json!("https://teams.example/\r\nX:1"),
            false,
        ),
        (
            "space",
            |m| m["joinWebUrl"] = json!("https://teams.example/ 1"),
            false,
        ),
        (
            "endless",
            |m| m["joinWebUrl"] = json!(format!("https://x.example/{}", "x".repeat(8192))),
            false,
        ),
        (
            "8 KiB",
            |m| m["joinWebUrl"] = json!(format!("https://x.example/{}", "x".repeat(8174))),
            true,
        ),
        (
            "odd case of keys",
            |m| {
                let url = m.as_object_mut().unwrap().remove("joinWebUrl").unwrap();
                m["JoinWebURL"] = url;
            },
            true,
        ),
        (
            "unknown things",
            |m| m["allowedPresenters"] = json!({"someday": [1]}),
            true,
        ),
    ];
    for (name, change, whole) in cases {
        assert_eq!(found(change).unwrap().complete().is_some(), whole, "{name}");
    }
    for body in ["", "[]", "null", "{\"id\":", "<html>"] {
        assert_eq!(wire::meeting(body.as_bytes()), None, "{body}");
        assert_eq!(wire::collection(body.as_bytes()), None, "{body}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(wire::meeting(deep.as_bytes()), None);
}

#[test]
fn dial_in_data_is_bounded_and_cleaned() {
    let many: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
    let found = found(|m| {
        m["audioConferencing"] = json!({
            "ConferenceId": "12\u{7}3",
            "tollNumber": "+1",
            "tollNumbers": many,
            "tollFreeNumbers": ["+2", "+2", "", 3, "evil\r\nX:1", "+4"],
            "dialinUrl": "ftp://example.org",
        });
    });
    let dial_in = found.unwrap().details.dial_in.unwrap();
    assert_eq!(dial_in.conference_id, None);
    assert_eq!(dial_in.dialin_url, None);
    assert_eq!(
        (dial_in.toll_numbers.len(), dial_in.toll_numbers[0].as_str()),
        (20, "+1")
    );
    assert_eq!(dial_in.toll_free_numbers, ["+2", "+4"]);
}

#[test]
fn a_found_meeting_is_changed_only_where_it_differs() {
    type Change = fn(&mut Value);
    type Parts = (bool, bool);
    let cases: [(&str, Change, Option<Parts>); 9] = [
        ("as wanted", |_| {}, None),
        (
            "fractions",
            |m| m["startDateTime"] = json!("2026-11-10T09:00:00.1234567Z"),
            None,
        ),
        (
            "offset",
            |m| m["startDateTime"] = json!("2026-11-10T10:00:00+01:00"),
            None,
        ),
        (
            "moved",
            |m| m["endDateTime"] = json!("2026-11-10T11:00:00Z"),
            Some((true, false)),
        ),
        (
            "renamed",
            |m| m["subject"] = json!("Old"),
            Some((false, true)),
        ),
        (
            "untitled",
            |m| m["subject"] = Value::Null,
            Some((false, true)),
        ),
        (
            "subject left out",
            |m| drop(m.as_object_mut().unwrap().remove("subject")),
            None,
        ),
        (
            "year 1",
            |m| {
                m["startDateTime"] = json!("0001-01-01T00:00:00Z");
                m["endDateTime"] = json!("0001-01-01T00:00:00Z");
                m["subject"] = json!("None");
            },
            None,
        ),
        (
            "no times",
            |m| drop(m.as_object_mut().unwrap().remove("endDateTime")),
            None,
        ),
    ];
    for (name, change, expected) in cases {
        let change = found(change).unwrap().change_to(&wanted());
        let change = change.map(|change| (change.span.is_some(), change.subject.is_some()));
        assert_eq!(change, expected, "{name}");
    }
    let untitled = Wanted {
        subject: None,
        ..wanted()
    };
    assert_eq!(
        found(|m| m["subject"] = json!("Old"))
            .unwrap()
            .change_to(&untitled),
        None
    );
}

#[test]
fn what_an_answer_leaves_out_stays_known() {
    let known = Meeting {
        details: crate::meeting::Details {
            passcode: Some("abc".into()),
            meeting_id: Some("1".into()),
            dial_in: Some(DialIn {
                quick_dial: Some("+1,,2#".into()),
                ..DialIn::default()
            }),
            ..Default::default()
        },
        ..found(|_| {}).unwrap().complete().unwrap()
    };
    let answer = found(|m| {
        m["joinWebUrl"] = json!("https://teams.example/another");
        m["joinMeetingIdSettings"] = json!({"joinMeetingId": "2", "passcode": null});
        m["audioConferencing"] = Value::Null;
        m["subject"] = json!("New");
    });
    let meeting = answer.unwrap().over(&known);
    assert_eq!(meeting.join_url, known.join_url);
    assert_eq!(meeting.details.meeting_id.as_deref(), Some("2"));
    assert_eq!(meeting.details.passcode, known.details.passcode);
    assert_eq!(meeting.details.dial_in, known.details.dial_in);
    assert_eq!(meeting.subject.as_deref(), Some("New"));
}

#[test]
fn requests_go_where_graph_expects_them() {
    let id = "a/b=*:@_?#%2";
    let url = JoinUrl::new("https://teams.example/19%3am?x='y'&p=1");
    let change = Change {
        span: Some(wanted().span),
        subject: None,
    };
    for root in [
        "https://graph.example",
        "https://graph.example/",
        "https://graph.example/base/",
    ] {
        let base = root.trim_end_matches('/');
        let users = format!("{base}/v1.0/users/{}/onlineMeetings", organizer());
        let root = Url::parse(root).unwrap();
        let one = format!("{users}/a%2Fb%3D%2A%3A%40%5F%3F%23%252");
        let cases = [
            (
                Call::create_or_get(&root, &wanted()),
                "POST",
                format!("{users}/createOrGet"),
            ),
            (
                Call::patch(&root, &wanted(), id, &change),
                "PATCH",
                one.clone(),
            ),
            (
                Call::apply(&root, &wanted(), id, &Settings::default()),
                "PATCH",
                one.clone(),
            ),
            (Call::get(&root, &wanted(), id), "GET", one),
        ];
        for (call, method, url) in cases {
            let request = call.request(HeaderValue::from_static("Bearer t"), "try-1", false);
            assert_eq!(
                (request.method().as_str(), request.url().as_str()),
                (method, &*url)
            );
            let mine = call.request(HeaderValue::from_static("Bearer t"), "try-1", true);
            let users = format!("/users/{}/", wanted().organizer);
            assert_eq!(mine.url().as_str(), url.replace(&users, "/me/"));
            assert_eq!(mine.headers(), request.headers());
            let header = |name| {
                request
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap())
            };
            assert_eq!(header("authorization"), Some("Bearer t"));
            assert_eq!(header("accept"), Some("application/json"));
            assert_eq!(header("accept-language"), Some("de-DE"));
            assert_eq!(header("client-request-id"), Some("try-1"));
            assert_eq!(header("prefer"), Some("include-unknown-enum-members"));
            let typed = (method != "GET").then_some("application/json");
            assert_eq!(header("content-type"), typed);
        }
        let find = Call::find(&root, &wanted().organizer, &url).request(
            HeaderValue::from_static("Bearer t"),
            "try-1",
            false,
        );
        let decoded: Vec<_> = find.url().query_pairs().collect();
        let filter = "JoinWebUrl eq 'https://teams.example/19%3am?x=''y''&p=1'";
        assert_eq!(decoded, [("$filter".into(), filter.into())]);
        assert!(
            find.url().as_str().contains("%253am"),
            "encoded once, as a whole"
        );
    }
}

#[test]
fn refusals_are_classified() {
    const POLICY: &str =
        "New-CsApplicationAccessPolicy -Identity \"Meeting-Bridge\" -AppIds \"app\"";
    const GRANT: &str = "Grant-CsApplicationAccessPolicy -PolicyName \"Meeting-Bridge\" -Identity \
                         \"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee\"";
    let error = |code: &str, message: &str| {
        json!({"error": {"code": code, "message": message, "innerError": {"date": "x"}}})
            .to_string()
    };
    let nested = json!({"error": {"code": "", "message": "", "innererror": {
        "innerError": {"code": "Forbidden", "message": "No APPLICATION access Policy found"}}}});
    let old = error(
        "Unauthorized",
        "App x is not authorized to Create meeting on behalf of user y",
    );
    let cases = [
        (
            400,
            error("BadRequest", "1026: An error has occurred."),
            Aim::Organizer,
            "Request",
            "HTTP 400, BadRequest",
        ),
        (
            401,
            error("InvalidAuthenticationToken", ""),
            Aim::Organizer,
            "Unauthorized",
            "",
        ),
        (402, String::new(), Aim::Organizer, "Organizer", "licence"),
        (
            403,
            error(
                "Forbidden",
                "No application access policy found for this app.",
            ),
            Aim::Organizer,
            "Organizer",
            POLICY,
        ),
        (
            403,
            error(
                "General",
                "No application access policy found for this app.",
            ),
            Aim::Meeting,
            "Organizer",
            GRANT,
        ),
        (403, old, Aim::Organizer, "Organizer", POLICY),
        (403, nested.to_string(), Aim::Organizer, "Organizer", POLICY),
        (
            403,
            error("", "You do not have the required permissions"),
            Aim::Organizer,
            "Organizer",
            "OnlineMeetings.ReadWrite.All",
        ),
        (
            404,
            error("UnknownError", ""),
            Aim::Organizer,
            "NoOrganizer",
            "az ad user show --id NAME@DOMAIN --query id",
        ),
        (404, error("NotFound", ""), Aim::Meeting, "Gone", ""),
        (410, String::new(), Aim::Meeting, "Gone", ""),
        (405, String::new(), Aim::Organizer, "Request", "HTTP 405"),
        (406, String::new(), Aim::Organizer, "Request", ""),
        (411, String::new(), Aim::Organizer, "Request", ""),
        (413, String::new(), Aim::Organizer, "Request", ""),
        (415, String::new(), Aim::Organizer, "Request", ""),
        (422, String::new(), Aim::Organizer, "Request", ""),
        (501, String::new(), Aim::Organizer, "Request", ""),
        (408, String::new(), Aim::Organizer, "Busy", "HTTP 408"),
        (409, String::new(), Aim::Meeting, "Busy", ""),
        (412, String::new(), Aim::Meeting, "Busy", ""),
        (423, String::new(), Aim::Organizer, "Busy", ""),
        (424, String::new(), Aim::Organizer, "Busy", ""),
        (
            429,
            error("TooManyRequests", "x"),
            Aim::Organizer,
            "Throttled",
            "HTTP 429, TooManyRequests",
        ),
        (
            429,
            error("UnknownError", ""),
            Aim::Organizer,
            "Throttled",
            "",
        ),
        (
            500,
            error("InternalServerError", ""),
            Aim::Organizer,
            "Server",
            "HTTP 500",
        ),
        (502, "<html>".to_owned(), Aim::Organizer, "Busy", "HTTP 502"),
        (503, String::new(), Aim::Organizer, "Busy", ""),
        (504, String::new(), Aim::Organizer, "Busy", ""),
        (507, String::new(), Aim::Organizer, "Throttled", ""),
        (509, String::new(), Aim::Organizer, "Throttled", ""),
        (
            302,
            String::new(),
            Aim::Organizer,
            "Credential",
            "graph-url",
        ),
        (
            400,
            error("Bad\u{1b}[31m", "secret title"),
            Aim::Organizer,
            "Request",
            "HTTP 400",
        ),
    ];
    for (status, body, aim, class, words) in cases {
        let status = StatusCode::from_u16(status).unwrap();
        let fault = classify(
            status,
            body.as_bytes(),
            None,
            aim,
            &organizer(),
            Caller::App("app"),
        );
        let (found, text) = match fault {
            Fault::Unauthorized => ("Unauthorized", String::new()),
            Fault::Gone => ("Gone", String::new()),
            Fault::Request(text) => ("Request", text),
            Fault::Organizer { text, .. } => ("Organizer", text),
            Fault::NoOrganizer(text) => ("NoOrganizer", text),
            Fault::Credential(text) => ("Credential", text),
            Fault::Server(text) => ("Server", text),
            Fault::Busy {
                busy:
                    Busy {
                        text,
                        throttled: true,
                        ..
                    },
                ..
            } => ("Throttled", text),
            Fault::Busy { busy, .. } => ("Busy", busy.text),
        };
        assert_eq!(found, class, "{status} {body}");
        assert!(text.contains(words), "{status}: {text}");
        assert!(
            !text.contains("title") && !text.contains(char::is_control),
            "{text}"
        );
    }
}

#[test]
fn a_person_is_told_of_their_own_permission_and_of_no_policy() {
    for message in ["No application access policy found for this app.", ""] {
        let body = json!({"error": {"code": "Forbidden", "message": message}}).to_string();
        let (status, caller) = (StatusCode::FORBIDDEN, Caller::Person);
        let aim = Aim::Organizer;
        match classify(status, body.as_bytes(), None, aim, &organizer(), caller) {
            Fault::Organizer { text, .. } => {
                assert!(text.contains("delegated permission OnlineMeetings.ReadWrite,"));
                assert!(text.contains("`meetbridge login`") && !text.contains("PowerShell"));
            }
            fault => panic!("{fault:?}"),
        }
    }
}

#[test]
fn a_retry_after_comes_with_every_class_that_waits() {
    let after = Some(Duration::from_secs(7));
    for status in [429, 500, 503, 504] {
        let status = StatusCode::from_u16(status).unwrap();
        match classify(
            status,
            b"",
            after,
            Aim::Organizer,
            &organizer(),
            Caller::App("app"),
        ) {
            Fault::Busy { busy, .. } => assert_eq!(busy.after, after, "{status}"),
            fault => panic!("{status}: {fault:?}"),
        }
    }
}

/// The examples whose names begin like this, each with its bytes.
fn examples(schemas: &Path, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(schemas.join("examples")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    let bytes = |name: String| {
        let bytes = example(schemas, &name);
        (name, bytes)
    };
    names.into_iter().map(bytes).collect()
}

#[test]
#[cfg_attr(
    not(graph_schema),
    ignore = "../shared/reference/graph-schema is not there"
)]
fn every_example_of_an_error_has_its_class() {
    let Some(schemas) = schemas() else { return };
    let examples = examples(&schemas, "error.");
    assert!(examples.len() >= 12, "{}", examples.len());
    for (name, body) in examples {
        let status: u16 = name.split('.').nth(1).unwrap().parse().unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let fault = classify(
            status,
            &body,
            None,
            Aim::Organizer,
            &organizer(),
            Caller::App("app"),
        );
        let fits = match (status.as_u16(), &fault) {
            (400, Fault::Request(_)) | (404, Fault::NoOrganizer(_)) | (500, Fault::Server(_)) => {
                true
            }
            (403, Fault::Organizer { text, .. }) => {
                // The one with an empty code does not say what is missing.
                text.contains("New-CsApplicationAccessPolicy") != name.contains("empty-code")
            }
            (429, Fault::Busy { busy, .. }) => busy.throttled,
            _ => false,
        };
        assert!(fits, "{name}: {fault:?}");
    }
}

/// Does something to every object in a JSON value, the innermost first.
pub(super) fn each_object(
    value: &mut Value,
    change: &mut impl FnMut(&mut serde_json::Map<String, Value>),
) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, change)),
        Value::Object(members) => {
            members
                .values_mut()
                .for_each(|member| each_object(member, change));
            change(members);
        }
        _ => {}
    }
}

#[test]
#[cfg_attr(
    not(graph_schema),
    ignore = "../shared/reference/graph-schema is not there"
)]
fn an_answer_may_be_larger_smaller_and_spelled_otherwise_than_the_examples() {
    let Some(schemas) = schemas() else { return };
    let read = |value: &Value| {
        let found = wire::meeting(&serde_json::to_vec(value).unwrap()).unwrap();
        found.complete()
    };
    let examples = examples(&schemas, "createOrGet.20");
    assert!(examples.len() >= 5, "{}", examples.len());
    for (name, body) in examples {
        let whole: Value = serde_json::from_slice(&body).unwrap();
        let meeting = read(&whole).unwrap();

        // Members that nobody knows, at every level.
        let mut larger = whole.clone();
        each_object(&mut larger, &mut |members| {
            members.insert(
                "@odata.someday".into(),
                json!({"x": [null, 1, {"y": true}]}),
            );
            members.insert("zzz".into(), Value::Null);
        });
        assert_eq!(read(&larger).as_ref(), Some(&meeting), "{name}");

        // Other letter case of every member's name.
        for spell in [str::to_uppercase, str::to_lowercase] {
            let mut spelled = whole.clone();
            each_object(&mut spelled, &mut |members| {
                *members = std::mem::take(members)
                    .into_iter()
                    .map(|(name, value)| (spell(&name), value))
                    .collect();
            });
            assert_eq!(read(&spelled).as_ref(), Some(&meeting), "{name}");
        }

        // Each member left out, null, of another type, or with a value that nobody knows.
        for member in whole.as_object().unwrap().keys() {
            let others = [
                None,
                Some(Value::Null),
                Some(json!(["x"])),
                Some(json!({"x": 1})),
                Some(json!(true)),
                Some(json!("unknownFutureValue")),
            ];
            for other in others {
                let mut answer = whole.clone();
                let members = answer.as_object_mut().unwrap();
                let left_out = other.is_none();
                match other {
                    None => drop(members.remove(member)),
                    Some(value) => drop(members.insert(member.clone(), value)),
                }
                let is_needed = matches!(member.as_str(), "id" | "joinWebUrl");
                match read(&answer) {
                    Some(found) if member == "id" => {
                        // An id is opaque: any text will do.
                        assert_eq!(answer["id"], "unknownFutureValue", "{name}");
                        assert_eq!(found.join_url, meeting.join_url, "{name}");
                    }
                    Some(found) => {
                        assert!(!is_needed, "{name}: {member}: {answer}");
                        assert_eq!(
                            (&found.id, &found.join_url),
                            (&meeting.id, &meeting.join_url)
                        );
                    }
                    None => assert!(is_needed, "{name}: {member} (left out: {left_out})"),
                }
            }
        }
    }
}
