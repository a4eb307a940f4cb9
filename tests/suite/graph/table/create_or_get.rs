//! Section 4: createOrGet.

use meetbridge::model::Uid;
use meetbridge::simulator::{KeyCase, Race, Reuse, Verdict};
use serde_json::json;

use super::raw::{Raw, whole};
use super::scene::{Scene, UID};
use super::*;

pub(super) const ROWS: &[Row] = &[
    nothing(
        "POST {root}/v1.0/me",
        "of delegated sign-in, which has its own tests",
    ),
    row!(
        "POST {root}/v1.0/users",
        "posts there, with the organizer's object id",
        the_request
    ),
    row!("Content-Type", "sends it", the_request),
    row!(
        "The path takes the **object id (GUID)**",
        "takes no UPN; a 404 is a fault of the organizer, with the command that looks up the id",
        an_object_id_and_nothing_else
    ),
    row!(
        "Body parameters",
        "sends none but these, whether others are refused or ignored",
        parameters_of_this_call_alone
    ),
    row!("| `externalId` |", "always sends it", the_request),
    row!(
        "| `subject` |",
        "leaves it out for an event without a title",
        without_a_title
    ),
    row!(
        "| `startDateTime` |",
        "always sends it, and never a default's hour",
        the_request
    ),
    row!(
        "| `endDateTime` |",
        "always sends both; whichever status refuses them, the event is parked",
        times_that_are_refused
    ),
    row!(
        "| `participants` |",
        "never sends it here",
        parameters_of_this_call_alone
    ),
    row!(
        "| `chatInfo` |",
        "never sends it",
        parameters_of_this_call_alone
    ),
    row!(
        "Answer: **201** created, **200** existing",
        "takes both, and counts only the first against the budgets",
        made_or_found
    ),
    nothing("Facts about the key", "a heading"),
    row!(
        "- Identity of a meeting",
        "has a meeting for each organizer and each UID",
        one_for_each_organizer
    ),
    row!(
        "- On an existing meeting",
        "compares, and PATCHes what differs: once where it was ignored, never where it was applied",
        an_existing_meeting
    ),
    row!(
        "- Length, alphabet, case sensitivity",
        "sends at most 255 characters of printable ASCII; a key that is refused parks its event alone; \
         keys that count as one share a meeting",
        keys_of_every_kind
    ),
    row!(
        "- `externalId` on `POST",
        "never calls it",
        plain_create_is_not_used
    ),
    row!(
        "- There is **no lookup by externalId",
        "finds a meeting whose id is lost by its join URL",
        found_by_its_url
    ),
    row!(
        "- After DELETE, or after expiry",
        "whatever the key yields, the event comes to show a meeting that works; and asks for one key \
         one call at a time",
        a_key_of_a_dead_meeting
    ),
    row!(
        "- The meeting appears in nobody's calendar",
        "does not look for it in one",
        plain_create_is_not_used
    ),
    nothing("Request", "a heading"),
    nothing(
        "Answer: fixtures",
        "each fixture is read in src/meeting/graph/tests.rs",
    ),
];

async fn the_request() {
    let raw = Raw::start(|_| (201, whole("a")));
    let world = World::new().await;
    raw.graph(&world).ensure(&wanted("a")).await.unwrap();
    let sent = raw.received().pop().unwrap();
    let path = format!("POST /v1.0/users/{ORGANIZER}/onlineMeetings/createOrGet");
    assert_eq!(sent.line, path);
    assert!(
        sent.headers.contains("content-type: application/json\r\n"),
        "{}",
        sent.headers
    );
    let body = json!({
        "externalId": "a",
        "subject": "Planning",
        "startDateTime": "2026-11-10T09:00:00Z",
        "endDateTime": "2026-11-10T10:00:00Z",
    });
    assert_eq!(sent.body, body);
}

async fn an_object_id_and_nothing_else() {
    for upn in ["alice@example.org", "alice", ""] {
        assert_eq!(OrganizerId::new(upn), None);
    }
    let world = World::new().await;
    let body = json!({"error": {"code": "UnknownError", "message": ""}});
    world.script(
        Endpoint::CreateOrGet,
        Effect::Answer(Scripted {
            status: 404,
            body: Some(body),
            retry_after: None,
        }),
    );
    let error = world.graph().ensure(&wanted("a")).await.unwrap_err();
    let MeetingError::NoOrganizer(text) = error else {
        panic!("{error:?}")
    };
    assert!(
        text.contains("UnknownError") && text.contains("az ad user show"),
        "{text}"
    );
}

async fn parameters_of_this_call_alone() {
    for unknown in [Verdict::Refused, Verdict::Taken] {
        let scene = Scene::with(|settings| settings.manners.unknown = unknown).await;
        let mut scene = scene;
        scene.calendar.style.participants = true;
        scene.save(UID, "20261120T090000Z");
        scene.pass().await;
        assert!(scene.is_linked(), "{unknown:?}");
    }
    // What is sent is the whole of `the_request`, also with attendees to be told of.
    the_request().await;
}

async fn without_a_title() {
    let raw = Raw::start(|_| (201, whole("a")));
    let world = World::new().await;
    let untitled = Wanted {
        subject: None,
        ..wanted("a")
    };
    raw.graph(&world).ensure(&untitled).await.unwrap();
    assert_eq!(raw.received()[0].body.get("subject"), None);
}

async fn times_that_are_refused() {
    for status in [400, 422, 500] {
        let world = World::with(|settings| settings.manners.backwards = status).await;
        let wanted = wanted("a");
        let backwards = Wanted {
            span: Span {
                start: wanted.span.end,
                end: wanted.span.start,
            },
            ..wanted
        };
        let error = world.graph().ensure(&backwards).await.unwrap_err();
        assert!(
            matches!(error, MeetingError::Request(_)),
            "{status}: {error:?}"
        );
    }
}

async fn made_or_found() {
    let world = World::new().await;
    let graph = world.graph();
    let first = graph.ensure(&wanted("a")).await.unwrap();
    let second = graph.ensure(&wanted("a")).await.unwrap();
    assert_eq!((first.created, second.created), (true, false));
    assert_eq!(first.meeting, second.meeting);
    // A meeting that was there before this daemon, and only a part of it.
    let raw = Raw::start(|n| match n {
        1..=4 => (200, json!({"id": "1"})),
        _ => (200, whole("a")),
    });
    let graph = raw.graph(&world);
    let error = graph.ensure(&wanted("a")).await.unwrap_err();
    assert!(matches!(error, MeetingError::Transient(_)), "{error:?}");
    assert!(!graph.ensure(&wanted("a")).await.unwrap().created);
}

async fn one_for_each_organizer() {
    let world = World::new().await;
    let graph = world.graph();
    let mut urls = Vec::new();
    for id in [ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN] {
        for key in ["a", "b"] {
            let wanted = Wanted {
                organizer: organizer(id),
                ..wanted(key)
            };
            for _ in 0..2 {
                let ensured = graph.ensure(&wanted).await.unwrap();
                urls.push(ensured.meeting.join_url.expose().to_owned());
            }
        }
    }
    urls.dedup();
    assert_eq!(urls.len(), 4);
}

async fn an_existing_meeting() {
    for (existing, patches) in [(Existing::Ignore, 1), (Existing::Apply, 0)] {
        let world = World::with(|settings| settings.manners.existing = existing).await;
        let graph = world.graph();
        graph.ensure(&wanted("a")).await.unwrap();
        let moved = Wanted {
            subject: Some("Moved".into()),
            ..later("a")
        };
        for _ in 0..2 {
            let found = graph.ensure(&moved).await.unwrap().meeting;
            assert_eq!(found.span, Some(moved.span), "{existing:?}");
            assert_eq!(found.subject, moved.subject, "{existing:?}");
            assert_eq!(world.requests(Endpoint::Patch), patches, "{existing:?}");
        }
    }
}

async fn keys_of_every_kind() {
    let long = "x".repeat(255);
    let longer = "x".repeat(256);
    for (uid, is_itself) in [
        (long.as_str(), true),
        (longer.as_str(), false),
        ("ä@x", false),
    ] {
        let key = ExternalId::of(&Uid::new(uid).unwrap(), 0);
        assert_eq!(key.as_str() == uid, is_itself);
        assert!(key.as_str().is_ascii() && key.as_str().len() <= 255);
    }
    // Any key, plain keys alone, keys of 128 octets at most.
    for (longest, foreign, is_taken) in [
        (None, Verdict::Taken, true),
        (None, Verdict::Refused, true),
        (Some(128), Verdict::Refused, false),
    ] {
        let scene = Scene::with(|settings| {
            settings.manners.longest_key = longest;
            settings.manners.foreign_keys = foreign;
        })
        .await;
        for (uid, is_taken) in [
            ("ä@x", true),
            (longer.as_str(), true),
            (long.as_str(), is_taken),
        ] {
            scene.save(uid, "20261120T090000Z");
            let report = scene.pass().await;
            let linked = scene.text().contains("X-MEETBRIDGE-MEETING");
            assert_eq!(linked, is_taken, "{longest:?} {foreign:?} {}", uid.len());
            let refused = report.outcome.get("meeting-refused").copied();
            assert_eq!(refused, (!is_taken).then_some(1));
        }
        // The next event is none the worse for it.
        scene.save(UID, "20261120T090000Z");
        scene.pass().await;
        assert!(scene.is_linked());
    }
    for (case, made) in [(KeyCase::Sensitive, 2), (KeyCase::Insensitive, 1)] {
        let world = World::with(|settings| settings.manners.key_case = case).await;
        let graph = world.graph();
        for key in ["planning", "PLANNING"] {
            graph.ensure(&wanted(key)).await.unwrap();
        }
        assert_eq!(world.simulator.snapshot().meetings.len(), made, "{case:?}");
    }
}

async fn plain_create_is_not_used() {
    let mut scene = Scene::linked(|_| ()).await;
    scene.calendar.style.participants = true;
    scene.move_to("20261120T09", "20261120T11");
    scene.pass().await;
    scene.delete();
    scene.pass().await;
    scene.world.clock.pass(Duration::from_secs(86_400));
    scene.work().await;
    let snapshot = scene.world.simulator.snapshot();
    assert_eq!(snapshot.meeting(UID).unwrap().current, None);
    for endpoint in [
        Endpoint::Create,
        Endpoint::Outlook,
        Endpoint::Batch,
        Endpoint::Other,
    ] {
        assert_eq!(snapshot.requests(endpoint), 0, "{endpoint:?}");
    }
}

async fn found_by_its_url() {
    let world = World::new().await;
    let graph = world.graph();
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    let lost = Meeting {
        id: None,
        ..made.clone()
    };
    let found = graph.update(&lost, &later("a")).await.unwrap();
    assert_eq!(found.id, made.id);
    assert_eq!(world.requests(Endpoint::CreateOrGet), 1);
    assert_eq!(world.requests(Endpoint::Filter), 1);
}

async fn a_key_of_a_dead_meeting() {
    for reuse in [Reuse::New, Reuse::Dead, Reuse::Revived] {
        for dead in [Dead::NotFound, Dead::Gone] {
            let scene = Scene::linked(|settings| {
                settings.manners.reuse = reuse;
                settings.manners.dead = dead;
            })
            .await;
            let meeting = scene.remembered().unwrap();
            let (organizer, key) = (organizer(ORGANIZER), ExternalId::stored(UID));
            let graph = scene.world.graph();
            graph.delete(&meeting, &organizer, &key).await.unwrap();
            scene.move_to("20261120T09", "20261120T11");
            scene.pass().await;
            for _ in 0..3 {
                scene.world.clock.pass(Duration::from_secs(60));
                scene.work().await;
            }
            assert!(scene.is_linked(), "{reuse:?} {dead:?}");
            let before = scene.world.simulator.snapshot().requests;
            scene.pass().await;
            scene.work().await;
            assert_eq!(
                scene.world.simulator.snapshot().requests,
                before,
                "{reuse:?}: it rests"
            );
        }
    }
    for race in [Race::OneMeeting, Race::TwoMeetings, Race::Conflict] {
        let world = World::with(|settings| {
            settings.manners.race = race;
            settings.latency = Duration::from_secs(1);
        })
        .await;
        let graph = world.graph();
        let both = join_all((0..2).map(|_| async { graph.ensure(&wanted("a")).await.unwrap() }));
        let both = both.await;
        assert_eq!(both[0].meeting, both[1].meeting, "{race:?}");
        let snapshot = world.simulator.snapshot();
        assert_eq!(
            (snapshot.meetings.len(), snapshot.peak_in_flight),
            (1, 1),
            "{race:?}"
        );
    }
}
