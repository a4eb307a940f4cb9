//! Section 5: create, PATCH, DELETE.

use meetbridge::daemon::{self, Kept, Source};
use meetbridge::simulator::Verdict;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::raw::{Raw, whole};
use super::scene::{Scene, UID};
use super::*;

pub(super) const ROWS: &[Row] = &[
    nothing(
        "**Create**",
        "never called: see `externalId` on POST in section 4",
    ),
    row!(
        "**PATCH** [UP]",
        "takes 200 with the meeting; one without a body is followed by a GET",
        with_and_without_a_body
    ),
    row!(
        "- Updatable:",
        "sends no others, and each that can be configured is taken",
        every_setting
    ),
    row!(
        "- A time change needs **both**",
        "always sends both",
        only_what_changed
    ),
    row!(
        "- Changing attendees needs the **whole** list",
        "sends the whole list, each as an attendee; never asks for roleIsPresenter",
        the_whole_list
    ),
    row!(
        "- Not for a meeting in progress",
        "leaves the link as it is, and moves the meeting once it is over",
        a_meeting_in_progress
    ),
    row!(
        "- Not updatable:",
        "never sends these, whether they are refused or ignored",
        nothing_fixed_is_sent
    ),
    row!(
        "- Send only changed properties",
        "sends what changed and no more",
        only_what_changed
    ),
    row!(
        "- GCC High:",
        "does without settings that answer 500, and deletes what cannot be closed",
        a_lobby_that_answers_500
    ),
    row!("**DELETE** [DEL]", "takes 204", closed_then_deleted),
    row!(
        "- The join URL keeps working",
        "closes the lobby first, so that who brings it back waits there",
        closed_then_deleted
    ),
    row!(
        "- A second DELETE",
        "takes 404, 410 and 204 for done",
        a_second_delete
    ),
    row!(
        "**Path ids.**",
        "sends the id back as it came, as one segment; 400 for it parks the event",
        ids_in_paths
    ),
];

async fn with_and_without_a_body() {
    for (answer, requests) in [((200, whole("a")), 2), ((204, Value::Null), 3)] {
        let raw = Raw::start(move |n| match n {
            1 => (201, whole("a")),
            2 => answer.clone(),
            _ => (200, whole("a")),
        });
        let world = World::new().await;
        let graph = raw.graph(&world);
        let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
        let updated = graph.update(&made, &later("a")).await.unwrap();
        assert_eq!(updated.span, Some(later("a").span));
        assert_eq!((updated.id, updated.join_url), (made.id, made.join_url));
        let received = raw.received();
        let path = format!("PATCH /v1.0/users/{ORGANIZER}/onlineMeetings/MSpa%3D%3D");
        assert_eq!(received[1].line, path);
        assert_eq!(received.len(), requests);
    }
}

/// Every setting that can be configured, in one list.
fn everything() -> Options {
    Options(vec![
        Setting::Lobby {
            scope: Some(LobbyScope::OrganizationAndFederated),
            dial_in_bypass: Some(true),
        },
        Setting::Presenters(Presenters::Organization),
        Setting::Chat(Chat::Limited),
        Setting::EntryAnnouncement(false),
        Setting::RecordAutomatically(true),
        Setting::AttendeeCamera(false),
        Setting::AttendeeMicrophone(false),
        Setting::Participants(vec!["alice@example.org".into(), "bob@example.org".into()]),
    ])
}

async fn every_setting() {
    // The simulator refuses what PATCH does not know.
    let world = World::new().await;
    let graph = world.graph();
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    graph
        .apply(&made, &wanted("a"), &everything())
        .await
        .unwrap();
    let snapshot = world.simulator.snapshot();
    let held = snapshot.meeting("a").unwrap().current.clone().unwrap();
    assert_eq!(held.options.len(), 7);
    assert_eq!(held.attendees.len(), 2);
    assert_eq!(snapshot.requests(Endpoint::Patch), 1);
}

/// The bodies of what is sent when `change` is made of a meeting that was found.
async fn sent_for(found: Value, wants: Wanted) -> Vec<Value> {
    let raw = Raw::start(move |_| (200, found.clone()));
    let world = World::new().await;
    raw.graph(&world).ensure(&wants).await.unwrap();
    raw.received()
        .into_iter()
        .skip(1)
        .map(|one| one.body)
        .collect()
}

async fn only_what_changed() {
    let times = json!({
        "startDateTime": "2026-11-17T09:00:00Z",
        "endDateTime": "2026-11-17T10:00:00Z",
    });
    let renamed = Wanted {
        subject: Some("Renamed".into()),
        ..wanted("a")
    };
    assert_eq!(sent_for(whole("a"), wanted("a")).await, [] as [Value; 0]);
    assert_eq!(sent_for(whole("a"), later("a")).await, [times]);
    assert_eq!(
        sent_for(whole("a"), renamed).await,
        [json!({"subject": "Renamed"})]
    );
    // Only the end is another one: both are sent.
    let longer = Wanted {
        span: Span {
            end: wanted("a").span.end + TimeDelta::hours(1),
            ..wanted("a").span
        },
        ..wanted("a")
    };
    let both = json!({
        "startDateTime": "2026-11-10T09:00:00Z",
        "endDateTime": "2026-11-10T11:00:00Z",
    });
    assert_eq!(sent_for(whole("a"), longer).await, [both]);
}

async fn the_whole_list() {
    let raw = Raw::start(|_| (200, whole("a")));
    let world = World::new().await;
    let graph = raw.graph(&world);
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    for who in [
        vec!["a@x".to_owned(), "b@x".to_owned()],
        vec!["b@x".to_owned()],
        vec![],
    ] {
        let list: Vec<_> = who
            .iter()
            .map(|upn| json!({"upn": upn, "role": "attendee"}))
            .collect();
        let setting = Options(vec![Setting::Participants(who)]);
        graph.apply(&made, &wanted("a"), &setting).await.unwrap();
        let sent = raw.received().pop().unwrap().body;
        assert_eq!(sent, json!({"participants": {"attendees": list}}));
    }
}

async fn a_meeting_in_progress() {
    let scene = Scene::linked(|_| ()).await;
    let url = scene.remembered().unwrap().join_url;
    // It began a while ago; meanwhile the event is moved.
    let start = Utc.with_ymd_and_hms(2026, 11, 20, 9, 10, 0).unwrap();
    scene
        .world
        .clock
        .pass((start - scene.world.clock.now()).to_std().unwrap());
    assert!(scene.world.simulator.join(url.expose()));
    scene.move_to("20261120T09", "20261120T15");
    let text = scene.text();
    scene.pass().await;
    assert_eq!(scene.text(), text, "the link stays");
    assert!(scene.is_linked());
    scene.world.simulator.leave(url.expose());
    scene.world.clock.pass(Duration::from_secs(86_400));
    scene.move_to("20261120T15", "20261220T15");
    scene.pass().await;
    let snapshot = scene.world.simulator.snapshot();
    let held = snapshot.meeting(UID).unwrap().current.clone().unwrap();
    assert!(
        held.start_date_time.starts_with("2026-12-20T15"),
        "{}",
        held.start_date_time
    );
    assert_eq!(snapshot.meeting(UID).unwrap().made, 1);
    // Through the port: a meeting that is found and does not take the times is as good as it is.
    let world = World::new().await;
    let graph = world.graph();
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    world.simulator.join(made.join_url.expose());
    let found = graph.ensure(&later("a")).await.unwrap().meeting;
    assert_eq!(
        (found.join_url, found.span),
        (made.join_url.clone(), made.span)
    );
    let error = graph.update(&made, &later("a")).await.unwrap_err();
    assert!(matches!(error, MeetingError::Request(_)), "{error:?}");
    // The lobby and the chat take effect at once.
    let chat = Options(vec![Setting::Chat(Chat::Disabled)]);
    graph.apply(&made, &wanted("a"), &chat).await.unwrap();
}

async fn nothing_fixed_is_sent() {
    for fixed in [Verdict::Refused, Verdict::Taken] {
        let scene = Scene::linked(|settings| settings.manners.not_updatable = fixed).await;
        scene.move_to("20261120T09", "20261120T11");
        scene.pass().await;
        let snapshot = scene.world.simulator.snapshot();
        let held = snapshot.meeting(UID).unwrap().current.clone().unwrap();
        assert!(held.start_date_time.contains("T11:00:00"), "{fixed:?}");
    }
}

async fn a_lobby_that_answers_500() {
    let mut scene = Scene::new().await;
    let fault = Fault::next(Endpoint::Patch, Effect::status(500)).times(Times::Forever);
    scene.world.simulator.script(fault);
    scene.calendar.style.settings = everything();
    scene.save(UID, "20261120T090000Z");
    scene.pass().await;
    assert!(scene.is_linked());
    let patches = scene.world.requests(Endpoint::Patch);
    scene.pass().await;
    assert_eq!(
        scene.world.requests(Endpoint::Patch),
        patches,
        "done without"
    );
    scene.delete();
    scene.pass().await;
    scene.world.clock.pass(Duration::from_secs(86_400));
    scene.work().await;
    let snapshot = scene.world.simulator.snapshot();
    assert_eq!(snapshot.meeting(UID).unwrap().current, None);
}

async fn closed_then_deleted() {
    let world = World::new().await;
    let (graph, wanted) = (world.graph(), wanted("a"));
    let made = graph.ensure(&wanted).await.unwrap().meeting;
    graph
        .delete(&made, &wanted.organizer, &wanted.external_id)
        .await
        .unwrap();
    assert_eq!(
        world.simulator.snapshot().meeting("a").unwrap().current,
        None
    );
    assert!(
        world.simulator.join(made.join_url.expose()),
        "somebody opens its URL"
    );
    let snapshot = world.simulator.snapshot();
    let back = snapshot.meeting("a").unwrap().current.clone().unwrap();
    let closed = json!({"scope": "organizer", "isDialInBypassEnabled": false});
    assert_eq!(back.options["lobbyBypassSettings"], closed);
}

#[tokio::test]
async fn the_daemon_deletes_a_meeting_by_the_time_alone() {
    let scene = Scene::linked(|_| ()).await;
    scene.delete();
    let began = scene.world.clock.now();
    let kept = Kept {
        calendar: Arc::new(scene.calendar),
        rescan: Duration::from_secs(365 * 86_400),
    };
    let (world, bridge, stop) = (
        scene.world,
        Arc::new(scene.bridge),
        CancellationToken::new(),
    );
    bridge.watches(&kept.calendar.name);
    let sources = vec![Source::Calendar(kept)];
    let running = tokio::spawn(daemon::run(bridge, sources, Arc::default(), stop.clone()));
    // Nothing is told to have changed any more; the clock passes whenever the daemon waits for it.
    let after = loop {
        let after = world.clock.now() - began;
        if world.requests(Endpoint::Delete) > 0 {
            break after;
        }
        assert!(after < TimeDelta::hours(48), "it is never deleted");
        tokio::task::yield_now().await;
    };
    assert!(
        after >= TimeDelta::hours(24) && after < TimeDelta::hours(26),
        "{after}"
    );
    stop.cancel();
    running.await.unwrap();
    let snapshot = world.simulator.snapshot();
    assert_eq!(snapshot.meeting(UID).unwrap().current, None);
    assert_eq!(snapshot.requests(Endpoint::Delete), 1);
}

async fn a_second_delete() {
    for dead in [Dead::NotFound, Dead::Gone] {
        for second in [SecondDelete::NotFound, SecondDelete::NoContent] {
            let world = World::with(|settings| {
                settings.manners.dead = dead;
                settings.manners.second_delete = second;
            })
            .await;
            let (graph, wanted) = (world.graph(), wanted("a"));
            let made = graph.ensure(&wanted).await.unwrap().meeting;
            for _ in 0..3 {
                let done = graph.delete(&made, &wanted.organizer, &wanted.external_id);
                done.await.unwrap();
            }
            assert_eq!(
                world
                    .simulator
                    .snapshot()
                    .meeting("a")
                    .unwrap()
                    .calls
                    .delete,
                1
            );
        }
    }
}

async fn ids_in_paths() {
    let odd = "aaaa_19:meeting_x@thread.v2*%2F/?#=";
    let mut answer = whole("a");
    answer["id"] = json!(odd);
    let raw = Raw::start(move |_| (200, answer.clone()));
    let world = World::new().await;
    let graph = raw.graph(&world);
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    graph.update(&made, &later("a")).await.unwrap();
    let line = raw.received().pop().unwrap().line;
    let segment = line.rsplit('/').next().unwrap();
    assert_eq!(
        segment,
        "aaaa%5F19%3Ameeting%5Fx%40thread.v2%2A%252F%2F%3F%23%3D"
    );

    let graph = world.graph();
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    for id in ["x", "MSphYWFh"] {
        let broken = Meeting {
            id: Some(meetbridge::model::MeetingId::OnlineMeeting(id.into())),
            ..made.clone()
        };
        let before = world.requests(Endpoint::Patch);
        let error = graph.update(&broken, &later("a")).await.unwrap_err();
        assert!(matches!(error, MeetingError::Request(_)), "{id}: {error:?}");
        assert_eq!(world.requests(Endpoint::Patch), before + 1, "{id}");
    }
}
