//! The Graph client against the embedded simulator, on loopback, with a clock that passes time at once.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod auth;
mod device_code;
mod table;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use meetbridge::clock::{Clock, Random};
use meetbridge::http::{Client, ClientOptions, WindowStore, Windows};
use meetbridge::meeting::graph::{GraphMeetings, GraphSettings, SignIn};
use meetbridge::meeting::{
    Chat, LobbyScope, Meeting, MeetingError, Meetings, Presenters, Setting, Settings as Options,
    Wanted,
};
use meetbridge::model::{ExternalId, OrganizerId, Span};
use meetbridge::secret::SecretSource;
use meetbridge::simulator::{
    CLIENT_ID, Dead, Effect, Endpoint, Existing, Fault, FilterMiss, Match, ORGANIZER,
    ORGANIZER_WITHOUT_DIAL_IN, ORGANIZER_WITHOUT_POLICY, Scripted, SecondDelete, Settings,
    Simulator, TENANT, Times, UrlShape,
};
use tokio::sync::Barrier;
use url::Url;

#[tokio::test]
async fn a_meeting_is_made_once_and_found_again() {
    for api in Api::BOTH {
        let world = World::new().await;
        let (graph, wanted) = (api.graph(&world), api.form(wanted("a")));
        let first = graph.ensure(&wanted).await.unwrap();
        let again = graph.ensure(&wanted).await.unwrap();
        assert!(first.created && !again.created, "{api:?}");
        assert_eq!(first.meeting, again.meeting, "{api:?}");
        assert_eq!(first.meeting.span, Some(wanted.span), "{api:?}");
        assert_eq!(first.meeting.subject.as_deref(), Some("Planning"));
        let dial_in = first.meeting.details.dial_in.unwrap();
        assert!(dial_in.conference_id.is_some() && !dial_in.toll_numbers.is_empty());
        assert_eq!(world.requests(Endpoint::Token), 1, "{api:?}");
        assert_eq!(world.requests(api.patch()), 0, "{api:?}");
        assert_eq!(api.made(&world, "a"), 1, "{api:?}");

        let plain = Wanted {
            organizer: organizer(ORGANIZER_WITHOUT_DIAL_IN),
            ..wanted
        };
        let plain = graph.ensure(&plain).await.unwrap();
        assert!(
            plain.created,
            "{api:?}: another organizer's meeting is another meeting"
        );
        assert_eq!(plain.meeting.details.dial_in, None, "{api:?}");
    }
}

#[tokio::test]
async fn a_meeting_shows_the_url_that_the_service_holds() {
    let world = World::new().await;
    let graph = world.graph();
    let first = graph.ensure(&wanted("a")).await.unwrap();
    graph.ensure(&wanted("a")).await.unwrap();
    let snapshot = world.simulator.snapshot();
    let held = snapshot.meeting("a").unwrap().current.as_ref().unwrap();
    assert_eq!(first.meeting.join_url.expose(), held.join_web_url);
    assert_eq!(snapshot.requests(Endpoint::CreateOrGet), 2);
}

#[tokio::test]
async fn an_existing_meeting_that_differs_is_patched_once() {
    for api in Api::BOTH {
        let world = World::new().await;
        let graph = api.graph(&world);
        let first = graph.ensure(&api.form(wanted("a"))).await.unwrap().meeting;
        let moved = Wanted {
            subject: Some("Moved".into()),
            ..api.form(later("a"))
        };
        for expected_patches in [1, 1] {
            let ensured = graph.ensure(&moved).await.unwrap();
            assert!(!ensured.created, "{api:?}");
            assert_eq!(ensured.meeting.span, Some(moved.span), "{api:?}");
            assert_eq!(ensured.meeting.subject.as_deref(), Some("Moved"));
            assert_eq!(ensured.meeting.details, first.details, "{api:?}");
            assert_eq!(world.requests(api.patch()), expected_patches, "{api:?}");
        }
        assert_eq!(api.subject(&world, "a").as_deref(), Some("Moved"));
    }
}

#[tokio::test]
async fn a_meeting_that_refuses_the_times_keeps_its_link_and_says_what_it_has() {
    for api in Api::BOTH {
        let world = World::new().await;
        let graph = api.graph(&world);
        let first = graph.ensure(&api.form(wanted("a"))).await.unwrap().meeting;
        world.script(api.patch(), Effect::status(400));
        let ensured = graph.ensure(&api.form(later("a"))).await.unwrap();
        assert_eq!(ensured.meeting.join_url, first.join_url, "{api:?}");
        assert_eq!(ensured.meeting.span, Some(wanted("a").span), "{api:?}");
    }
}

#[tokio::test]
async fn year_one_is_unknown_and_never_a_reason_to_patch() {
    let world = World::new().await;
    let graph = world.graph();
    graph.ensure(&wanted("a")).await.unwrap();
    world.script(Endpoint::CreateOrGet, Effect::YearOne);
    let ensured = graph.ensure(&later("a")).await.unwrap();
    assert_eq!(ensured.meeting.span, None);
    assert_eq!(world.requests(Endpoint::Patch), 0);
}

#[tokio::test]
async fn the_title_of_a_meeting_whose_times_are_unknown_is_unknown_and_sent_with_the_next_update() {
    let world = World::new().await;
    let graph = world.graph();
    graph.ensure(&wanted("a")).await.unwrap();
    world.script(Endpoint::CreateOrGet, Effect::YearOne);
    let renamed = Wanted {
        subject: Some("Renamed".into()),
        ..wanted("a")
    };
    let meeting = graph.ensure(&renamed).await.unwrap().meeting;
    assert_eq!(meeting.subject, None);
    graph.update(&meeting, &renamed).await.unwrap();
    let snapshot = world.simulator.snapshot();
    let held = snapshot.meeting("a").unwrap().current.clone().unwrap();
    assert_eq!(held.subject.as_deref(), Some("Renamed"));
}

#[tokio::test]
async fn a_request_that_met_other_faults_too_is_not_refused_for_the_500_it_ended_with() {
    let world = World::new().await;
    let graph = world.graph();
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    for (statuses, refused) in [([500; 4], true), ([500, 503, 500, 500], false)] {
        for status in statuses {
            world.script(Endpoint::Patch, Effect::status(status));
        }
        match graph.update(&made, &later("a")).await.unwrap_err() {
            MeetingError::Request(_) if refused => {}
            MeetingError::Transient(_) if !refused => {}
            other => panic!("{statuses:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_meeting_is_updated_by_its_id_or_found_by_its_url() {
    for shape in [UrlShape::Long, UrlShape::Short] {
        let world = World::with(|settings| settings.url_shape = shape).await;
        let graph = world.graph();
        let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
        let updated = graph.update(&made, &later("a")).await.unwrap();
        assert_eq!(
            updated,
            Meeting {
                span: Some(later("a").span),
                expires: updated.expires,
                ..made.clone()
            }
        );
        assert_eq!(
            (
                world.requests(Endpoint::Patch),
                world.requests(Endpoint::Filter)
            ),
            (1, 0)
        );

        let lost_state = Meeting {
            id: None,
            details: Default::default(),
            ..made.clone()
        };
        let updated = graph.update(&lost_state, &wanted("a")).await.unwrap();
        assert_eq!((&updated.id, &updated.join_url), (&made.id, &made.join_url));
        assert_eq!(updated.details, made.details);
        assert_eq!(
            (
                world.requests(Endpoint::Patch),
                world.requests(Endpoint::Filter)
            ),
            (2, 1)
        );
    }
}

#[tokio::test]
async fn settings_are_applied_alone_and_their_refusal_concerns_nothing_else() {
    let world = World::new().await;
    let graph = world.graph();
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    let options = Options(vec![
        Setting::Lobby {
            scope: Some(LobbyScope::Invited),
            dial_in_bypass: None,
        },
        Setting::Presenters(Presenters::Organizer),
        Setting::Chat(Chat::Limited),
        Setting::EntryAnnouncement(true),
        Setting::RecordAutomatically(true),
        Setting::AttendeeCamera(false),
        Setting::AttendeeMicrophone(false),
        Setting::Participants(vec!["alice@example.org".into()]),
    ]);
    graph.apply(&made, &wanted("a"), &options).await.unwrap();
    let held = || {
        let snapshot = world.simulator.snapshot();
        snapshot.meeting("a").unwrap().current.clone().unwrap()
    };
    let before = held();
    assert_eq!(before.options["lobbyBypassSettings"]["scope"], "invited");
    assert_eq!(before.options["allowMeetingChat"], "limited");
    assert_eq!(before.options.len(), 7);
    assert_eq!(before.attendees[0]["upn"], "alice@example.org");
    assert_eq!(before.subject.as_deref(), Some("Planning"));

    let open = Options(vec![Setting::Chat(Chat::Enabled)]);
    for status in [400, 402, 403] {
        world.script(Endpoint::Patch, Effect::status(status));
        let refused = graph.apply(&made, &wanted("a"), &open).await;
        // This simulator's 403 is the one that lacks the access policy.
        match refused.unwrap_err() {
            MeetingError::Request(_) if status != 403 => {}
            MeetingError::Organizer(_) if status == 403 => {}
            other => panic!("{status}: {other:?}"),
        }
    }
    assert_eq!(held().options, before.options);

    // Without its id it is found by its URL; one setting leaves the others as they are.
    world.clock.pass(Duration::from_secs(3600));
    let found = Meeting { id: None, ..made };
    graph.apply(&found, &wanted("a"), &open).await.unwrap();
    assert_eq!(world.requests(Endpoint::Filter), 1);
    assert_eq!(held().options["allowMeetingChat"], "enabled");
    assert_eq!(held().options.len(), 7);
    let nowhere = wanted("b");
    graph.ensure(&nowhere).await.unwrap();
    world.script(Endpoint::Patch, Effect::status(404));
    let error = graph.apply(&found, &nowhere, &open).await.unwrap_err();
    assert!(matches!(error, MeetingError::Gone), "{error:?}");
}

#[tokio::test]
async fn a_meeting_that_is_not_there_is_gone() {
    for api in Api::BOTH {
        let world = World::new().await;
        let graph = api.graph(&world);
        let made = graph.ensure(&api.form(wanted("a"))).await.unwrap().meeting;
        world.simulator.reset();
        let unknown = Meeting {
            id: None,
            ..made.clone()
        };
        for meeting in [made, unknown] {
            let moved = api.form(later("a"));
            let error = graph.update(&meeting, &moved).await.unwrap_err();
            assert!(matches!(error, MeetingError::Gone), "{api:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_meeting_is_found_by_its_link_after_a_lost_state() {
    for api in Api::BOTH {
        let world = World::new().await;
        let made = api.graph(&world).ensure(&api.form(wanted("a"))).await;
        let made = made.unwrap().meeting;
        let link = Meeting {
            id: None,
            span: None,
            subject: None,
            details: Default::default(),
            ..made.clone()
        };
        let graph = api.graph(&world);
        let read = graph.read(&link, &api.form(wanted("a"))).await.unwrap();
        assert_eq!((&read.id, &read.details), (&made.id, &made.details));
        let moved = graph.update(&link, &api.form(later("a"))).await.unwrap();
        assert_eq!((&moved.id, &moved.join_url), (&made.id, &made.join_url));
        let (owner, key) = (&wanted("a").organizer, &wanted("a").external_id);
        for _ in 0..2 {
            graph.delete(&link, owner, key).await.unwrap();
        }
        assert_eq!(api.subject(&world, "a"), None, "{api:?}: it is deleted");
        assert_eq!(api.made(&world, "a"), 1, "{api:?}");
    }
}

#[tokio::test]
async fn a_meeting_is_closed_then_deleted_and_a_second_time_is_as_good() {
    let manners = [
        (Dead::NotFound, SecondDelete::NotFound, FilterMiss::Empty),
        (Dead::Gone, SecondDelete::NoContent, FilterMiss::NotFound),
    ];
    for (dead, second, miss) in manners {
        let world = World::with(|settings| {
            settings.manners.dead = dead;
            settings.manners.second_delete = second;
            settings.manners.filter_miss = miss;
        })
        .await;
        let graph = world.graph();
        for key in ["a", "b"] {
            let wanted = wanted(key);
            let made = graph.ensure(&wanted).await.unwrap().meeting;
            // With the id known, or found by the URL.
            let id = made.id.clone().filter(|_| key == "a");
            let meeting = Meeting { id, ..made };
            for _ in 0..2 {
                graph
                    .delete(&meeting, &wanted.organizer, &wanted.external_id)
                    .await
                    .unwrap();
            }
            let snapshot = world.simulator.snapshot();
            let state = snapshot.meeting(key).unwrap();
            assert_eq!(state.current, None);
            assert_eq!((state.calls.patch, state.calls.delete), (1, 1), "{key}");
        }
        assert_eq!(
            world.requests(Endpoint::Filter),
            2,
            "only where the id is unknown"
        );
    }
}

#[tokio::test]
async fn a_meeting_that_cannot_be_closed_is_deleted_all_the_same() {
    let world = World::new().await;
    let (graph, wanted) = (world.graph(), wanted("a"));
    let made = graph.ensure(&wanted).await.unwrap().meeting;
    let delete = || graph.delete(&made, &wanted.organizer, &wanted.external_id);
    for status in [400, 403] {
        world.script(Endpoint::Patch, Effect::status(status));
        let error = delete().await;
        assert_eq!(error.is_ok(), status == 400, "{status}: {error:?}");
    }
    assert_eq!(world.requests(Endpoint::Delete), 1);
}

#[tokio::test]
async fn a_url_that_finds_nothing_is_a_meeting_that_is_gone() {
    for miss in [FilterMiss::Empty, FilterMiss::NotFound] {
        let world = World::with(|settings| settings.manners.filter_miss = miss).await;
        let graph = world.graph();
        let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
        world.simulator.reset();
        let unknown = Meeting { id: None, ..made };
        let error = graph.update(&unknown, &later("a")).await.unwrap_err();
        assert!(matches!(error, MeetingError::Gone), "{error:?}");
        assert!(world.requests(Endpoint::Filter) > 0);
        assert_eq!(world.requests(Endpoint::Patch), 0);
    }
}

#[tokio::test]
async fn only_a_meeting_that_was_made_counts_as_made() {
    for (api, existing) in [
        (Api::OnlineMeeting, Existing::Ignore),
        (Api::OnlineMeeting, Existing::Apply),
        (Api::CalendarEvent, Existing::Ignore),
    ] {
        let world = World::with(|settings| settings.manners.existing = existing).await;
        let graph = api.graph(&world);
        let mut made = 0;
        for key in ["a", "b", "a", "a"] {
            for wanted in [wanted(key), later(key)] {
                made += usize::from(graph.ensure(&api.form(wanted)).await.unwrap().created);
            }
        }
        assert_eq!(made, 2, "{api:?}");
    }
}

#[tokio::test]
async fn a_patch_without_a_body_is_followed_by_a_reading() {
    let world = World::new().await;
    let graph = world.graph();
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    world.script(Endpoint::Patch, Effect::status(204));
    let updated = graph.update(&made, &later("a")).await.unwrap();
    assert_eq!((updated.id, updated.details), (made.id, made.details));
    assert_eq!(world.requests(Endpoint::Get), 1);
}

#[tokio::test]
async fn a_wrong_secret_says_what_to_do_and_is_not_tried_again_before_it_is_another_one() {
    let world = World::new().await;
    world.write_secret("wrong");
    let graph = world.graph();
    let tasks = (0..20).map(|n| {
        let graph = &graph;
        async move { graph.ensure(&wanted(&n.to_string())).await.unwrap_err() }
    });
    for error in join_all(tasks).await {
        let MeetingError::Credential(text) = error else {
            panic!("{error:?}")
        };
        assert!(
            text.contains("AADSTS7000215") && text.contains("value, not its id"),
            "{text}"
        );
        assert!(
            text.contains(&world.secret.path().display().to_string()),
            "{text}"
        );
    }
    assert_eq!(world.requests(Endpoint::Token), 1);
    assert_eq!(world.requests(Endpoint::CreateOrGet), 0);

    // The same one is tried again in 15 to 30 minutes.
    world.clock.pass(Duration::from_secs(15 * 60 - 1));
    assert!(graph.ensure(&wanted("a")).await.is_err());
    assert_eq!(world.requests(Endpoint::Token), 1);
    world.clock.pass(Duration::from_secs(15 * 60 + 1));
    assert!(graph.ensure(&wanted("a")).await.is_err());
    assert_eq!(world.requests(Endpoint::Token), 2);

    // Another one is seen within half a minute.
    world.write_secret(&world.simulator.settings().app.client_secret);
    assert!(graph.ensure(&wanted("a")).await.is_err());
    world.clock.pass(Duration::from_secs(30));
    graph.ensure(&wanted("a")).await.unwrap();
    assert_eq!(world.requests(Endpoint::Token), 3);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_a_credential_fault() {
    let world = World::new().await;
    std::fs::remove_file(world.secret.path()).unwrap();
    let error = world.graph().ensure(&wanted("a")).await.unwrap_err();
    let MeetingError::Credential(text) = error else {
        panic!("{error:?}")
    };
    assert!(
        text.contains(&world.secret.path().display().to_string()),
        "{text}"
    );
    assert_eq!(world.requests(Endpoint::Token), 0);
}

#[tokio::test]
async fn a_missing_access_policy_is_the_organizers_fault_for_fifteen_minutes() {
    let world = World::new().await;
    let graph = world.graph();
    let refused = Wanted {
        organizer: organizer(ORGANIZER_WITHOUT_POLICY),
        ..wanted("a")
    };
    for _ in 0..3 {
        let error = graph.ensure(&refused).await.unwrap_err();
        let MeetingError::Organizer(text) = error else {
            panic!("{error:?}")
        };
        for words in [
            "New-CsApplicationAccessPolicy",
            "Grant-CsApplicationAccessPolicy",
            CLIENT_ID,
            ORGANIZER_WITHOUT_POLICY,
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    assert_eq!(world.requests(Endpoint::CreateOrGet), 1);
    graph
        .ensure(&wanted("a"))
        .await
        .expect("another organizer is served");

    world.clock.pass(Duration::from_secs(15 * 60));
    graph.ensure(&refused).await.unwrap_err();
    assert_eq!(world.requests(Endpoint::CreateOrGet), 3);
}

#[tokio::test]
async fn an_unknown_organizer_is_answered_with_the_look_up_command() {
    let world = World::new().await;
    let unknown = organizer("99999999-9999-4999-8999-999999999999");
    let wanted = Wanted {
        organizer: unknown,
        ..wanted("a")
    };
    let error = world.graph().ensure(&wanted).await.unwrap_err();
    let MeetingError::NoOrganizer(text) = error else {
        panic!("{error:?}")
    };
    assert!(text.contains("az ad user show"), "{text}");
}

#[tokio::test]
async fn throttling_stops_every_task_and_outlives_a_restart() {
    let world = World::new().await;
    let graph = world.graph();
    graph.ensure(&wanted("a")).await.unwrap();
    world.script(Endpoint::CreateOrGet, Effect::throttled(120));
    let until = world.clock.now() + TimeDelta::seconds(120);
    let is_throttled = |error| match error {
        MeetingError::Throttled { until: found } => assert_eq!(found, until),
        error => panic!("{error:?}"),
    };
    is_throttled(graph.ensure(&wanted("b")).await.unwrap_err());
    let tasks = (0..50).map(|n| {
        let graph = &graph;
        async move { graph.ensure(&wanted(&n.to_string())).await.unwrap_err() }
    });
    join_all(tasks).await.into_iter().for_each(is_throttled);

    let restarted = world.graph();
    is_throttled(restarted.ensure(&wanted("b")).await.unwrap_err());
    assert_eq!(world.requests(Endpoint::CreateOrGet), 2);

    world.clock.pass(Duration::from_secs(116));
    restarted
        .ensure(&wanted("b"))
        .await
        .expect("four seconds are waited out");
    assert!(world.clock.now() >= until);
    graph.ensure(&wanted("c")).await.unwrap();
    assert_eq!(world.simulator.snapshot().inside_retry_after, 0);
}

#[tokio::test]
async fn every_short_retry_after_is_waited_out() {
    let world = World::new().await;
    let graph = world.graph();
    graph.ensure(&wanted("a")).await.unwrap();
    for (status, seconds) in [(429, 3), (503, 3), (504, 4)] {
        let answer = serde_json::json!({"status": status, "retryAfter": {"seconds": seconds}});
        let scripted: Scripted = serde_json::from_value(answer).unwrap();
        world.script(Endpoint::CreateOrGet, Effect::Answer(scripted));
        let began = world.clock.elapsed();
        graph.ensure(&wanted(&status.to_string())).await.unwrap();
        assert!(
            world.clock.elapsed() - began >= Duration::from_secs(seconds),
            "{status}"
        );
    }
    assert_eq!(world.simulator.snapshot().inside_retry_after, 0);
}

#[tokio::test]
async fn throttling_of_the_token_endpoint_is_obeyed() {
    let world = World::new().await;
    world.script(Endpoint::Token, Effect::throttled(60));
    let graph = world.graph();
    for _ in 0..3 {
        let error = graph.ensure(&wanted("a")).await.unwrap_err();
        assert!(matches!(error, MeetingError::Throttled { .. }), "{error:?}");
    }
    assert_eq!(world.requests(Endpoint::Token), 1);
    world.clock.pass(Duration::from_secs(60));
    graph.ensure(&wanted("a")).await.unwrap();
    assert_eq!(world.simulator.snapshot().inside_retry_after, 0);
}

#[tokio::test]
async fn an_answer_lost_after_the_effect_leads_to_one_meeting() {
    for (api, effect) in [
        (Api::OnlineMeeting, Effect::LostAfter),
        (Api::OnlineMeeting, Effect::Truncated),
        (Api::OnlineMeeting, Effect::Partial),
        (Api::CalendarEvent, Effect::LostAfter),
        (Api::CalendarEvent, Effect::Truncated),
        (Api::CalendarEvent, Effect::Empty),
    ] {
        let world = World::new().await;
        world.script(api.creation(), effect.clone());
        let ensured = api.graph(&world).ensure(&api.form(wanted("a"))).await;
        let ensured = ensured.unwrap();
        assert!(
            ensured.created,
            "{api:?} {effect:?}: it counts against the budgets"
        );
        assert_eq!(api.made(&world, "a"), 1, "{api:?} {effect:?}");
        assert_eq!(world.requests(api.creation()), 2, "{api:?} {effect:?}");
    }
}

#[tokio::test]
async fn a_partial_answer_that_stays_is_no_meeting() {
    let world = World::new().await;
    let fault = Fault::next(Endpoint::CreateOrGet, Effect::Partial).times(Times::Forever);
    world.simulator.script(fault);
    let error = world.graph().ensure(&wanted("a")).await.unwrap_err();
    assert_eq!(error.to_string(), "partial answer");
    assert_eq!(world.requests(Endpoint::CreateOrGet), 4);
}

#[tokio::test]
async fn trouble_is_retried_a_few_times() {
    let troubles = [
        (500, false),
        (502, true),
        (503, true),
        (408, true),
        (423, true),
    ];
    for (api, (status, transient)) in Api::BOTH
        .into_iter()
        .flat_map(|api| troubles.map(|trouble| (api, trouble)))
    {
        let world = World::new().await;
        let graph = api.graph(&world);
        let fault = Fault::next(api.creation(), Effect::status(status));
        world.simulator.script(fault.clone().times(Times::N(3)));
        graph
            .ensure(&api.form(wanted("a")))
            .await
            .expect("the fourth try succeeds");
        world.simulator.script(fault.times(Times::Forever));
        let error = graph.ensure(&api.form(wanted("b"))).await.unwrap_err();
        assert_eq!(
            matches!(error, MeetingError::Transient(_)),
            transient,
            "{error:?}"
        );
        assert_eq!(
            matches!(error, MeetingError::Request(_)),
            !transient,
            "{error:?}"
        );
        assert_eq!(world.requests(api.creation()), 8);
        let waited = world.clock.elapsed();
        assert!(
            waited > Duration::from_secs(6) && waited < Duration::from_secs(15),
            "{waited:?}"
        );
    }
}

#[tokio::test]
async fn a_refused_request_is_not_repeated_and_hurts_nobody_else() {
    for api in Api::BOTH {
        let world = World::new().await;
        let graph = api.graph(&world);
        world.script(api.creation(), Effect::status(400));
        let error = graph.ensure(&api.form(wanted("a"))).await.unwrap_err();
        assert!(matches!(error, MeetingError::Request(_)), "{error:?}");
        assert_eq!(world.requests(api.creation()), 1, "{api:?}");
        graph.ensure(&api.form(wanted("b"))).await.unwrap();
    }
}

#[tokio::test]
async fn an_unreachable_graph_is_named() {
    let world = World::new().await;
    let graph = world.graph();
    let address = world.simulator.address().to_string();
    world.simulator.stop().await;
    let error = graph.ensure(&wanted("a")).await.unwrap_err();
    let MeetingError::Transient(text) = error else {
        panic!("{error:?}")
    };
    assert!(
        text.starts_with(&format!("cannot reach {address}: ")),
        "{text}"
    );
}

#[tokio::test]
async fn a_token_that_graph_refuses_is_renewed_once() {
    let world = World::new().await;
    let graph = world.graph();
    graph.ensure(&wanted("a")).await.unwrap();
    world.script(Endpoint::CreateOrGet, Effect::status(401));
    graph.ensure(&wanted("b")).await.unwrap();
    assert_eq!(world.requests(Endpoint::Token), 2);

    let fault = Fault::next(Endpoint::CreateOrGet, Effect::status(401)).times(Times::Forever);
    world.simulator.script(fault);
    for _ in 0..5 {
        let error = graph.ensure(&wanted("c")).await.unwrap_err();
        assert!(matches!(error, MeetingError::Credential(_)), "{error:?}");
    }
    assert_eq!(world.requests(Endpoint::Token), 3);
    assert_eq!(world.requests(Endpoint::CreateOrGet), 5);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let world = World::new().await;
    let graph = world.graph();
    for (seconds, tokens) in [(0, 1), (3200, 1), (200, 2), (3200, 2)] {
        world.clock.pass(Duration::from_secs(seconds));
        graph.ensure(&wanted("a")).await.unwrap();
        assert_eq!(world.requests(Endpoint::Token), tokens);
    }
    // A renewal that fails does no harm while the old token holds.
    world.clock.pass(Duration::from_secs(150));
    let fault = Fault::next(Endpoint::Token, Effect::Aadsts(7_000_222)).times(Times::Forever);
    world.simulator.script(fault);
    graph.ensure(&wanted("a")).await.unwrap();
    graph.ensure(&wanted("a")).await.unwrap();
    assert_eq!(world.requests(Endpoint::Token), 3);
    world.clock.pass(Duration::from_secs(300));
    let error = graph.ensure(&wanted("a")).await.unwrap_err();
    assert!(matches!(error, MeetingError::Credential(_)), "{error:?}");
}

#[tokio::test]
async fn fifty_tasks_share_one_token_request_and_its_failure() {
    let world = World::new().await;
    let fault = Fault::next(Endpoint::Token, Effect::status(503));
    world.simulator.script(fault.times(Times::N(4)));
    let graph = world.graph();
    let run = || {
        join_all((0..50).map(|n| {
            let graph = &graph;
            async move { graph.ensure(&wanted(&n.to_string())).await }
        }))
    };
    for outcome in run().await {
        assert!(
            matches!(outcome, Err(MeetingError::Transient(_))),
            "{outcome:?}"
        );
    }
    assert_eq!(world.requests(Endpoint::Token), 4, "the tries of one task");
    assert!(run().await.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(world.requests(Endpoint::Token), 5);
    assert_eq!(world.requests(Endpoint::CreateOrGet), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_calls_are_under_way_than_allowed() {
    const BOUND: usize = 8;
    let gate = Arc::new(Gate::new(BOUND));
    let world = World::with(|settings| {
        settings.clock = gate.clone();
        settings.latency = Duration::from_secs(1);
    })
    .await;
    let graph = Arc::new(GraphMeetings::new(
        GraphSettings {
            in_flight: BOUND,
            mirrors: false,
            ..world.settings()
        },
        client(),
        world.windows(),
        world.clock.clone(),
        world.random.clone(),
    ));
    graph.ensure(&wanted("token")).await.unwrap();
    gate.closed.store(true, Ordering::SeqCst);
    // Nobody passes the gate but in groups of eight.
    let tasks = (0..5 * BOUND).map(|n| {
        let graph = Arc::clone(&graph);
        tokio::spawn(async move { graph.ensure(&wanted(&n.to_string())).await.unwrap() })
    });
    join_all(tasks)
        .await
        .into_iter()
        .for_each(|done| drop(done.unwrap()));
    assert_eq!(world.simulator.snapshot().peak_in_flight, BOUND as u64);
}

#[tokio::test]
async fn one_meetings_calls_go_one_by_one() {
    let world = World::with(|settings| settings.latency = Duration::from_secs(1)).await;
    let graph = world.graph();
    graph.ensure(&wanted("token")).await.unwrap();
    let lost = Match {
        external_id: Some("a".into()),
        ..Match::default()
    };
    world.simulator.script(Fault {
        on: lost,
        effect: Effect::LostAfter,
        times: Times::Once,
    });
    let tasks = (0..10).map(|_| async { graph.ensure(&wanted("a")).await.unwrap() });
    let ensured = join_all(tasks).await;
    assert_eq!(ensured.iter().filter(|ensured| ensured.created).count(), 1);
    assert!(ensured.iter().all(|one| one.meeting == ensured[0].meeting));
    let snapshot = world.simulator.snapshot();
    assert_eq!(snapshot.meeting("a").unwrap().made, 1);
    assert_eq!(snapshot.peak_in_flight, 1);
}

#[tokio::test]
async fn no_error_shows_a_secret_a_title_or_a_url() {
    let world = World::new().await;
    let graph = world.graph();
    let made = graph.ensure(&wanted("a")).await.unwrap().meeting;
    let unknown = Meeting {
        id: None,
        ..made.clone()
    };
    for effect in [400, 403, 404, 409, 500, 501, 302]
        .map(Effect::status)
        .into_iter()
        .chain([Effect::LostBefore, Effect::Truncated])
    {
        let forever = |endpoint| Fault::next(endpoint, effect.clone()).times(Times::Forever);
        for endpoint in [Endpoint::CreateOrGet, Endpoint::Patch, Endpoint::Filter] {
            world.simulator.script(forever(endpoint));
        }
        let graph = world.graph();
        for error in [
            graph.ensure(&wanted("a")).await.unwrap_err(),
            graph.update(&made, &later("a")).await.unwrap_err(),
            graph.update(&unknown, &later("a")).await.unwrap_err(),
        ] {
            let text = format!("{error} {error:?}");
            let secret = &world.simulator.settings().app.client_secret;
            for hidden in [
                secret,
                "Planning",
                "teams.microsoft",
                "meetup",
                "filter",
                "Bearer",
            ] {
                assert!(!text.contains(hidden), "{effect:?} {hidden}: {text}");
            }
        }
        world.simulator.reset();
    }
}

/// A simulator, and all that a client of it needs; `graph()` is a process's start.
struct World {
    simulator: Simulator,
    clock: Arc<Timeless>,
    random: Arc<Counting>,
    store: Arc<Kept>,
    secret: tempfile::NamedTempFile,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Arc::new(Timeless::default());
        let mut settings = Settings::new(clock.clone());
        change(&mut settings);
        let world = Self {
            simulator: Simulator::start(settings).await.unwrap(),
            clock,
            random: Arc::default(),
            store: Arc::default(),
            secret: tempfile::NamedTempFile::new().unwrap(),
        };
        world.write_secret(&world.simulator.settings().app.client_secret);
        world
    }

    fn write_secret(&self, secret: &str) {
        let mut file = std::fs::File::create(self.secret.path()).unwrap();
        writeln!(file, "{secret}").unwrap();
    }

    fn settings(&self) -> GraphSettings {
        GraphSettings {
            tenant: TENANT.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            graph_url: Url::parse(&self.simulator.graph_url()).unwrap(),
            authority_url: Url::parse(&self.simulator.authority_url()).unwrap(),
            sign_in: SignIn::Secret(SecretSource::File(self.secret.path().to_owned())),
            in_flight: GraphSettings::IN_FLIGHT,
            mirrors: false,
        }
    }

    fn windows(&self) -> Arc<Windows> {
        Arc::new(Windows::new(self.clock.clone(), self.store.clone()))
    }

    fn graph(&self) -> GraphMeetings {
        let (clock, random) = (self.clock.clone(), self.random.clone());
        GraphMeetings::new(self.settings(), client(), self.windows(), clock, random)
    }

    fn script(&self, endpoint: Endpoint, effect: Effect) {
        self.simulator.script(Fault::next(endpoint, effect));
    }

    fn requests(&self, endpoint: Endpoint) -> u64 {
        self.simulator.snapshot().requests(endpoint)
    }
}

/// By which API meetings are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    OnlineMeeting,
    CalendarEvent,
}

impl Api {
    const BOTH: [Self; 2] = [Self::OnlineMeeting, Self::CalendarEvent];

    fn form(self, wanted: Wanted) -> Wanted {
        match self {
            Self::OnlineMeeting => wanted,
            Self::CalendarEvent => Wanted {
                form: table::event::form(None),
                ..wanted
            },
        }
    }

    /// A process's start.
    fn graph(self, world: &World) -> GraphMeetings {
        match self {
            Self::OnlineMeeting => world.graph(),
            Self::CalendarEvent => table::event::mirrored(world),
        }
    }

    /// The request that makes a meeting.
    fn creation(self) -> Endpoint {
        match self {
            Self::OnlineMeeting => Endpoint::CreateOrGet,
            Self::CalendarEvent => Endpoint::EventCreate,
        }
    }

    fn patch(self) -> Endpoint {
        match self {
            Self::OnlineMeeting => Endpoint::Patch,
            Self::CalendarEvent => Endpoint::EventPatch,
        }
    }

    /// How many meetings were made for a key.
    fn made(self, world: &World, key: &str) -> u64 {
        let snapshot = world.simulator.snapshot();
        match self {
            Self::OnlineMeeting => snapshot.meeting(key).unwrap().made,
            Self::CalendarEvent => {
                let key = table::event::digest(&wanted(key));
                let made = snapshot
                    .mailboxes
                    .iter()
                    .filter_map(|one| one.made.get(&key));
                made.sum()
            }
        }
    }

    /// The title of a key's meeting, where there is one.
    fn subject(self, world: &World, key: &str) -> Option<String> {
        let snapshot = world.simulator.snapshot();
        match self {
            Self::OnlineMeeting => snapshot.meeting(key)?.current.as_ref()?.subject.clone(),
            Self::CalendarEvent => {
                let key = table::event::digest(&wanted(key));
                let [event] = snapshot.events(&key)[..] else {
                    return None;
                };
                event.subject.clone()
            }
        }
    }
}

fn client() -> Client {
    Client::new(&ClientOptions::default()).unwrap()
}

fn organizer(id: &str) -> OrganizerId {
    OrganizerId::new(id).unwrap()
}

fn wanted(key: &str) -> Wanted {
    let start = Utc.with_ymd_and_hms(2026, 11, 10, 9, 0, 0).unwrap();
    Wanted {
        organizer: organizer(ORGANIZER),
        external_id: ExternalId::stored(key),
        subject: Some("Planning".into()),
        span: Span {
            start,
            end: start + TimeDelta::hours(1),
        },
        language: "en-US".into(),
        form: Default::default(),
    }
}

/// The same event, a week later.
fn later(key: &str) -> Wanted {
    let wanted = wanted(key);
    let by = TimeDelta::weeks(1);
    let span = Span {
        start: wanted.span.start + by,
        end: wanted.span.end + by,
    };
    Wanted { span, ..wanted }
}

/// A clock whose sleeps pass at once.
#[derive(Default)]
struct Timeless(Mutex<Duration>);

impl Timeless {
    fn pass(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for Timeless {
    fn now(&self) -> DateTime<Utc> {
        let start = Utc.with_ymd_and_hms(2026, 11, 1, 8, 0, 0).unwrap();
        start + TimeDelta::from_std(self.elapsed()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.pass(duration);
        tokio::task::yield_now().boxed()
    }
}

/// A clock that stands still and, once closed, lets sleepers go only in groups of a fixed size.
struct Gate {
    closed: AtomicBool,
    barrier: Arc<Barrier>,
}

impl Gate {
    fn new(size: usize) -> Self {
        Self {
            closed: AtomicBool::new(false),
            barrier: Arc::new(Barrier::new(size)),
        }
    }
}

impl Clock for Gate {
    fn now(&self) -> DateTime<Utc> {
        Timeless::default().now()
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        let barrier = Arc::clone(&self.barrier);
        let closed = self.closed.load(Ordering::SeqCst);
        async move {
            if closed {
                barrier.wait().await;
            }
        }
        .boxed()
    }
}

#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Kept(Mutex<BTreeMap<String, DateTime<Utc>>>);

impl WindowStore for Kept {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        self.0.lock().unwrap().clone().into_iter().collect()
    }

    fn store(&self, scope: &str, until: DateTime<Utc>) {
        self.0.lock().unwrap().insert(scope.to_owned(), until);
    }
}
