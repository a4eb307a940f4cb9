//! Section 6: GET and its filters.

use meetbridge::simulator::Verdict;
use serde_json::json;

use super::raw::{Raw, whole};
use super::scene::{Scene, UID};
use super::*;

pub(super) const ROWS: &[Row] = &[
    nothing(
        "GET /me/onlineMeetings/{id}",
        "of delegated sign-in, which has its own tests",
    ),
    row!(
        "GET /users/{userId}/onlineMeetings/{id}",
        "asks there where a PATCH told nothing",
        by_id
    ),
    nothing(
        "GET /me/onlineMeetings?$filter",
        "of delegated sign-in, which has its own tests",
    ),
    row!(
        "GET /users/{userId}/onlineMeetings?$filter",
        "asks there for a meeting whose id is lost",
        encoded_once
    ),
    nothing(
        "GET …/onlineMeetings?$filter=joinMeetingIdSettings",
        "never asked: the join URL is known",
    ),
    nothing("GET /communications", "never asked: the join URL is known"),
    row!(
        "- `{encoded}` is the joinWebUrl",
        "encodes it once, as a whole, quotes doubled",
        encoded_once
    ),
    row!(
        "- Any other filter, or none",
        "takes a refused filter for the request's fault",
        a_refused_filter
    ),
    row!(
        "- Filter answers are",
        "takes an empty list and 404 for gone, and the first of more",
        filter_answers
    ),
    row!(
        "- In practice only the organizer's path works",
        "asks as the organizer of the link, whoever is configured since",
        the_links_organizer
    ),
    row!(
        "- `Accept-Language` sets",
        "sends the calendar's language with each request that answers a meeting",
        the_language
    ),
    row!(
        "- Short join URLs",
        "finds it, and keeps the URL that it had",
        short_urls
    ),
    row!(
        "- A meeting older than",
        "asks createOrGet again, and the event shows what that gives",
        an_old_meeting
    ),
    row!(
        "- For about a week in 2022",
        "takes year 1 for unknown: no PATCH, no write, and what was known stays",
        year_one
    ),
];

async fn by_id() {
    let raw = Raw::start(|n| match n {
        2 => (204, serde_json::Value::Null),
        _ => (200, whole("a")),
    });
    let world = World::new().await;
    let graph = raw.graph(&world);
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    graph.update(&made, &later("a")).await.unwrap();
    let line = raw.received().pop().unwrap().line;
    let path = format!("GET /v1.0/users/{ORGANIZER}/onlineMeetings/MSpa%3D%3D");
    assert_eq!(line, path);
}

async fn encoded_once() {
    let mut answer = whole("a");
    answer["joinWebUrl"] = json!("https://teams.example/19%3am?x='y'&p=1");
    let raw = Raw::start(move |n| match n {
        2 => (200, json!({"value": [answer.clone()]})),
        _ => (200, answer.clone()),
    });
    let world = World::new().await;
    let graph = raw.graph(&world);
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    let lost = Meeting { id: None, ..made };
    graph.update(&lost, &later("a")).await.unwrap();
    let line = raw.received()[1].line.clone();
    let filter = "https%3A%2F%2Fteams%2Eexample%2F19%253am%3Fx%3D%27%27y%27%27%26p%3D1";
    let path = format!(
        "GET /v1.0/users/{ORGANIZER}/onlineMeetings?$filter=JoinWebUrl%20eq%20%27{filter}%27"
    );
    assert_eq!(line, path);
}

async fn a_refused_filter() {
    let world = World::new().await;
    let graph = world.graph();
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    world.script(Endpoint::Filter, Effect::status(400));
    let lost = Meeting { id: None, ..made };
    let error = graph.update(&lost, &later("a")).await.unwrap_err();
    assert!(matches!(error, MeetingError::Request(_)), "{error:?}");
    assert_eq!(world.requests(Endpoint::Filter), 1);
}

async fn filter_answers() {
    for miss in [FilterMiss::Empty, FilterMiss::NotFound] {
        let world = World::with(|settings| settings.manners.filter_miss = miss).await;
        let graph = world.graph();
        let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
        let lost = Meeting { id: None, ..made };
        graph.update(&lost, &later("a")).await.unwrap();
        world.simulator.reset();
        let error = graph.update(&lost, &later("a")).await.unwrap_err();
        assert!(matches!(error, MeetingError::Gone), "{miss:?}: {error:?}");
    }
    // More than one, or no list at all: the first, and a failure that may pass.
    for (answer, is_found) in [
        (json!({"value": [whole("b"), whole("c")]}), true),
        (json!({"value": [{}]}), false),
        (json!({"value": {}}), false),
        (json!({}), false),
    ] {
        let found = answer.clone();
        let raw = Raw::start(move |n| match n {
            1 => (200, whole("a")),
            2..=5 if !is_found => (200, found.clone()),
            2 => (200, found.clone()),
            _ => (200, whole("b")),
        });
        let world = World::new().await;
        let graph = raw.graph(&world);
        let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
        let lost = Meeting {
            id: None,
            ..made.clone()
        };
        match graph.update(&lost, &later("a")).await {
            Ok(updated) => {
                assert!(is_found, "{answer}");
                assert_eq!(updated.join_url, made.join_url, "the URL cannot change");
            }
            Err(error) => {
                assert!(!is_found, "{answer}: {error:?}");
                assert!(matches!(error, MeetingError::Transient(_)), "{error:?}");
            }
        }
    }
}

async fn the_links_organizer() {
    let mut scene = Scene::linked(|_| ()).await;
    scene.calendar.organizer = organizer(ORGANIZER_WITHOUT_DIAL_IN);
    scene.move_to("20261120T09", "20261120T11");
    scene.pass().await;
    let snapshot = scene.world.simulator.snapshot();
    assert_eq!(snapshot.meetings.len(), 1);
    let meeting = snapshot.meeting(UID).unwrap();
    assert_eq!(meeting.organizer, ORGANIZER);
    assert!(
        meeting
            .current
            .as_ref()
            .unwrap()
            .start_date_time
            .contains("T11:00:00")
    );
}

async fn the_language() {
    let raw = Raw::start(|n| match n {
        2 => (204, serde_json::Value::Null),
        _ => (200, whole("a")),
    });
    let world = World::new().await;
    let graph = raw.graph(&world);
    let german = |wanted: Wanted| Wanted {
        language: "de-DE".into(),
        ..wanted
    };
    let made = graph.ensure(&german(wanted("a"))).await.unwrap().meeting;
    graph.update(&made, &german(later("a"))).await.unwrap();
    for one in raw.received() {
        assert!(
            one.headers.contains("accept-language: de-de\r\n"),
            "{}",
            one.line
        );
    }
    // Whether createOrGet obeys it is unknown: the meeting is the same.
    for obeys in [Verdict::Taken, Verdict::Refused] {
        let world = World::with(|settings| settings.manners.create_or_get_language = obeys).await;
        let made = world
            .graph()
            .ensure(&german(wanted("a")))
            .await
            .unwrap()
            .meeting;
        assert!(made.id.is_some(), "{obeys:?}");
    }
}

async fn short_urls() {
    let world = World::with(|settings| settings.url_shape = UrlShape::Short).await;
    let graph = world.graph();
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    assert!(made.join_url.expose().contains("/meet/"));
    let lost = Meeting {
        id: None,
        ..made.clone()
    };
    let found = graph.update(&lost, &later("a")).await.unwrap();
    assert_eq!((found.id, found.join_url), (made.id, made.join_url));
}

async fn an_old_meeting() {
    let scene = Scene::linked(|_| ()).await;
    let url = scene.remembered().unwrap().join_url;
    scene.world.clock.pass(Duration::from_secs(100 * 86_400));
    scene.move_to("20261120T09", "20270320T09");
    scene.pass().await;
    for _ in 0..3 {
        scene.world.clock.pass(Duration::from_secs(60));
        scene.work().await;
    }
    assert!(scene.is_linked());
    assert_ne!(scene.remembered().unwrap().join_url, url);
    assert!(
        !scene.text().contains(url.expose()),
        "the dead one is replaced"
    );
}

async fn year_one() {
    let scene = Scene::linked(|_| ()).await;
    let before = scene.remembered().unwrap();
    let patches = scene.world.requests(Endpoint::Patch);
    scene.world.script(Endpoint::CreateOrGet, Effect::YearOne);
    let graph = scene.world.graph();
    let wanted = Wanted {
        external_id: ExternalId::stored(UID),
        ..later("a")
    };
    let found = graph.ensure(&wanted).await.unwrap().meeting;
    assert_eq!(found.span, None);
    assert_eq!(scene.world.requests(Endpoint::Patch), patches);
    // In the answer to a PATCH.
    scene.world.script(Endpoint::Patch, Effect::YearOne);
    scene.move_to("20261120T09", "20261120T11");
    let moved = scene.text();
    scene.pass().await;
    assert_eq!(scene.text(), moved, "nothing of it is written");
    let after = scene.remembered().unwrap();
    assert_eq!(after.join_url, before.join_url);
    assert_eq!(after.details, before.details);
    assert_eq!(
        after.span.unwrap().start.to_rfc3339(),
        "2026-11-20T11:00:00+00:00"
    );
}
