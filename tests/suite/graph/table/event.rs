//! Meetings as events in the organizer's Outlook calendar: their life, each trap of graph-api.md,
//! section 9, lost answers, lost state, and what people do to the events.

use meetbridge::http::{Answer, Carrier, SendError};
use meetbridge::meeting::{Form, Mirror, ShowAs};
use meetbridge::model::{JoinUrl, MeetingId, MeetingKey};
use meetbridge::simulator::{
    Deed, Deleted, Differing, Does, EventState, GoesOnline, MailboxState, Rate, RepeatOfDeleted,
    TimeUpdate, Unset,
};

use super::scene::{Scene, UID};
use super::*;

/// An organizer of whom the simulator knows nothing.
const NOBODY: &str = "99999999-9999-4999-8999-999999999999";

pub(in super::super) fn form(calendar: Option<&str>) -> Form {
    Form::CalendarEvent(Arc::new(Mirror {
        note: "of “team <b>”".to_owned(),
        calendar: calendar.map(str::to_owned),
        show_as: ShowAs::Tentative,
    }))
}

/// The same wish as [`wanted`], for an event in the default calendar.
fn mirror(key: &str) -> Wanted {
    Wanted {
        form: form(None),
        ..wanted(key)
    }
}

fn moved(key: &str) -> Wanted {
    Wanted {
        form: form(None),
        ..later(key)
    }
}

/// A process's start, where some calendar has mirrors.
pub(in super::super) fn mirrored(world: &World) -> GraphMeetings {
    let settings = GraphSettings {
        mirrors: true,
        ..world.settings()
    };
    let (clock, random) = (world.clock.clone(), world.random.clone());
    GraphMeetings::new(settings, client(), world.windows(), clock, random)
}

/// What stands for a key in an event.
pub(in super::super) fn digest(wanted: &Wanted) -> String {
    let key = MeetingKey {
        tenant: TENANT.to_owned(),
        organizer: wanted.organizer.clone(),
        external_id: wanted.external_id.clone(),
    };
    key.digest()
}

/// The only event that lies in a calendar for what is wanted.
fn held(world: &World, wanted: &Wanted) -> EventState {
    let snapshot = world.simulator.snapshot();
    let events = snapshot.events(&digest(wanted));
    assert_eq!(events.len(), 1, "{events:?}");
    events[0].clone()
}

fn mailbox(world: &World) -> MailboxState {
    let snapshot = world.simulator.snapshot();
    let mut all = snapshot.mailboxes.into_iter();
    all.find(|mailbox| mailbox.user == ORGANIZER).unwrap()
}

fn person(world: &World, wanted: &Wanted, does: Does) {
    let event = digest(wanted);
    assert!(world.simulator.outlook(&Deed { event, does }));
}

/// What is left of a meeting where the state was lost.
fn link_of(meeting: &Meeting) -> Meeting {
    Meeting {
        id: None,
        span: None,
        subject: None,
        details: Default::default(),
        ..meeting.clone()
    }
}

fn assert_gone<T: std::fmt::Debug>(outcome: Result<T, MeetingError>) {
    assert!(matches!(outcome, Err(MeetingError::Gone)), "{outcome:?}");
}

#[tokio::test]
async fn an_event_lives_and_ends_with_what_it_mirrors() {
    for unset in [Unset::LeftOut, Unset::Null] {
        let world = World::with(|settings| settings.outlook.unset = unset).await;
        let graph = mirrored(&world);
        let wanted = Wanted {
            language: "de-DE".into(),
            ..mirror("a")
        };
        let first = graph.ensure(&wanted).await.unwrap();
        assert!(first.created);
        assert_eq!(first.meeting.span, Some(wanted.span));
        assert_eq!(first.meeting.subject.as_deref(), Some("Planning"));
        let event = held(&world, &wanted);
        assert_eq!(
            first.meeting.join_url.expose(),
            event.join_url.clone().unwrap()
        );
        assert_eq!(
            first.meeting.id,
            Some(MeetingId::Event {
                event: event.id.clone()
            })
        );
        assert_eq!(event.calendar, "Calendar");
        assert_eq!(event.fields["showAs"], "tentative");
        assert_eq!(event.fields["isReminderOn"], false);
        let note = "<p>of “team &lt;b&gt;”</p>";
        assert!(event.body.contains(note), "{}", event.body);
        assert!(event.attendees.is_empty() && event.transaction_id.is_some());
        let details = &first.meeting.details;
        let dial_in = details.dial_in.as_ref().unwrap();
        assert!(dial_in.dialin_url.is_some() && dial_in.conference_id.is_some());
        assert!(!dial_in.toll_numbers.is_empty());
        assert!(details.meeting_id.is_some() && details.chat_thread.is_some());

        let again = graph.ensure(&wanted).await.unwrap();
        assert!(!again.created);
        assert_eq!(again.meeting, first.meeting);
        assert_eq!(world.requests(Endpoint::EventPatch), 0);

        let renamed = Wanted {
            subject: Some("Renamed".into()),
            language: "de-DE".into(),
            ..moved("a")
        };
        let updated = graph.update(&first.meeting, &renamed).await.unwrap();
        assert_eq!(updated.span, Some(renamed.span));
        assert_eq!(updated.details, first.meeting.details);
        let after = held(&world, &wanted);
        assert_eq!(after.subject.as_deref(), Some("Renamed"));
        assert_eq!(after.start, "2026-11-17T09:00:00Z");
        assert_eq!(after.body, event.body, "the meeting's block stays in it");
        assert_eq!(graph.read(&updated, &renamed).await.unwrap(), updated);

        for _ in 0..2 {
            graph
                .delete(&updated, &wanted.organizer, &wanted.external_id)
                .await
                .unwrap();
        }
        let snapshot = world.simulator.snapshot();
        assert!(snapshot.events(&digest(&wanted)).is_empty());
        let mailbox = mailbox(&world);
        assert_eq!(mailbox.made[&digest(&wanted)], 1);
        assert_eq!(
            (mailbox.mails_to_attendees, mailbox.requests_with_attendees),
            (0, 0)
        );
    }
}

#[tokio::test]
async fn an_event_that_is_found_is_brought_to_what_is_wanted() {
    let world = World::new().await;
    let graph = mirrored(&world);
    let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
    for patches in [1, 1] {
        let ensured = graph.ensure(&moved("a")).await.unwrap();
        assert!(!ensured.created);
        assert_eq!(ensured.meeting.join_url, made.join_url);
        assert_eq!(ensured.meeting.span, Some(moved("a").span));
        assert_eq!(world.requests(Endpoint::EventPatch), patches);
    }
    // What it refuses now it may take later; its link is as good.
    world.script(Endpoint::EventPatch, Effect::status(400));
    let ensured = graph.ensure(&mirror("a")).await.unwrap();
    assert_eq!(ensured.meeting.span, Some(moved("a").span));
    // Year 1 is unknown, and no reason for an update.
    let before = world.requests(Endpoint::EventPatch);
    world.script(Endpoint::EventFilter, Effect::YearOne);
    let ensured = graph.ensure(&mirror("a")).await.unwrap();
    assert_eq!(
        (ensured.meeting.span, ensured.meeting.subject),
        (None, None)
    );
    assert_eq!(world.requests(Endpoint::EventPatch), before);
}

#[tokio::test]
async fn a_meeting_that_comes_later_is_waited_for_and_one_that_does_not_come_is_asked_for_once() {
    for (manner, patches) in [
        (GoesOnline::AfterGets(2), 0),
        (GoesOnline::AfterGets(3), 0),
        (GoesOnline::NotAtCreation, 1),
    ] {
        let world = World::with(|settings| settings.outlook.online = manner).await;
        let graph = mirrored(&world);
        let ensured = graph.ensure(&mirror("a")).await.unwrap();
        assert!(ensured.created, "{manner:?}");
        let event = held(&world, &mirror("a"));
        assert_eq!(
            Some(ensured.meeting.join_url.expose()),
            event.join_url.as_deref()
        );
        assert_eq!(world.requests(Endpoint::EventPatch), patches, "{manner:?}");
        assert_eq!(world.requests(Endpoint::EventCreate), 1, "{manner:?}");
    }
}

#[tokio::test]
async fn a_mailbox_without_teams_is_a_fault_of_the_organizer_and_makes_no_second_event() {
    let world = World::with(|settings| settings.outlook.online = GoesOnline::Never).await;
    let graph = mirrored(&world);
    for _ in 0..3 {
        let error = graph.ensure(&mirror("a")).await.unwrap_err();
        let MeetingError::Organizer(text) = error else {
            panic!("{error:?}")
        };
        for words in [ORGANIZER, "allowedOnlineMeetingProviders", "check --online"] {
            assert!(text.contains(words), "{text}");
        }
    }
    assert_eq!(world.requests(Endpoint::EventCreate), 1);
    assert_eq!(world.requests(Endpoint::EventPatch), 1);
    // The other API is none of its business.
    graph.ensure(&wanted("b")).await.unwrap();

    world.clock.pass(Duration::from_secs(3600));
    graph.ensure(&mirror("a")).await.unwrap_err();
    assert_eq!(world.requests(Endpoint::EventPatch), 2);
    world.clock.pass(Duration::from_secs(3600));
    world
        .simulator
        .change(|settings| settings.outlook.online = GoesOnline::AtOnce);
    let ensured = graph.ensure(&mirror("a")).await.unwrap();
    assert!(!ensured.created);
    assert_eq!(world.requests(Endpoint::EventCreate), 1);
    assert!(held(&world, &mirror("a")).join_url.is_some());
}

#[tokio::test]
async fn a_link_that_an_update_drops_comes_back_and_is_kept() {
    let world = World::with(|settings| settings.outlook.time_update = TimeUpdate::DropsLink).await;
    let graph = mirrored(&world);
    let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
    let updated = graph.update(&made, &moved("a")).await.unwrap();
    assert_eq!(updated.join_url, made.join_url);
    assert_eq!(updated.details, made.details);
    let shown = held(&world, &mirror("a")).join_url;
    assert_eq!(shown.as_deref(), Some(made.join_url.expose()));
    assert_eq!(world.requests(Endpoint::EventPatch), 2);
    let ensured = graph.ensure(&mirror("a")).await.unwrap().meeting;
    assert_eq!(ensured.join_url, made.join_url);
}

#[tokio::test]
async fn a_link_comes_back_also_when_the_update_that_brings_it_is_repeated() {
    let world = World::with(|settings| settings.outlook.time_update = TimeUpdate::DropsLink).await;
    let graph = mirrored(&world);
    let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
    // The second update brings the link back, and its repetition drops it again.
    world.simulator.script(Fault {
        on: Match {
            endpoint: Some(Endpoint::EventPatch),
            nth: Some(2),
            ..Match::default()
        },
        effect: Effect::LostAfter,
        times: Times::Once,
    });
    let updated = graph.update(&made, &moved("a")).await.unwrap();
    assert_eq!(updated.join_url, made.join_url);
    let shown = held(&world, &mirror("a")).join_url;
    assert_eq!(shown.as_deref(), Some(made.join_url.expose()));
    assert_eq!(world.requests(Endpoint::EventPatch), 4);
}

#[tokio::test]
async fn an_event_that_lies_in_a_calendar_is_not_said_to_be_gone() {
    for endpoint in [Endpoint::EventPatch, Endpoint::EventGet] {
        let world = World::with(|settings| {
            settings.outlook.transaction_memory = Some(Duration::from_secs(3600));
        })
        .await;
        let graph = mirrored(&world);
        let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
        person(&world, &mirror("a"), Does::MoveTo("Bridge".into()));
        world.clock.pass(Duration::from_secs(7200));
        world.script(endpoint, Effect::status(404));
        let error = graph.update(&made, &moved("a")).await.unwrap_err();
        assert!(matches!(error, MeetingError::Transient(_)), "{error:?}");
        let updated = graph.update(&made, &moved("a")).await.unwrap();
        assert_eq!(updated.join_url, made.join_url, "{endpoint:?}");
        held(&world, &mirror("a"));
    }
}

#[tokio::test]
async fn the_meeting_behind_an_event_that_is_found_a_little_later_is_asked_for_again() {
    let options = Options(vec![Setting::Presenters(Presenters::Organizer)]);
    let world = World::new().await;
    let graph = mirrored(&world);
    let late = |endpoint| {
        let fault = Fault::next(endpoint, Effect::status(404));
        world.simulator.script(fault.times(Times::N(2)));
    };
    late(Endpoint::Filter);
    let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
    let dial_in = made.details.dial_in.as_ref().unwrap();
    assert!(dial_in.dialin_url.is_some() && made.details.meeting_id.is_some());
    assert_eq!(world.requests(Endpoint::Filter), 3);

    late(Endpoint::Patch);
    graph.apply(&made, &mirror("a"), &options).await.unwrap();
    let presenters = &held(&world, &mirror("a")).options["allowedPresenters"];
    assert_eq!(presenters, "organizer");
    let fault = Fault::next(Endpoint::Patch, Effect::status(404));
    world.simulator.script(fault.times(Times::Forever));
    let refused = graph.apply(&made, &mirror("a"), &options).await;
    assert!(
        matches!(refused, Err(MeetingError::Request(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_answer_that_is_lost_leads_to_one_event() {
    for effect in [
        Effect::LostBefore,
        Effect::LostAfter,
        Effect::Truncated,
        Effect::Partial,
        Effect::status(503),
    ] {
        let world = World::new().await;
        world.script(Endpoint::EventCreate, effect.clone());
        let ensured = mirrored(&world).ensure(&mirror("a")).await.unwrap();
        assert!(ensured.created, "{effect:?}");
        held(&world, &mirror("a"));
        assert_eq!(mailbox(&world).made[&digest(&mirror("a"))], 1, "{effect:?}");
    }
    // All tries lost: the next attempt finds it, wherever else it is wanted by then.
    for differing in [Differing::First, Differing::Conflict, Differing::Another] {
        let world = World::with(|settings| settings.outlook.differing = differing).await;
        let lost = Fault::next(Endpoint::EventCreate, Effect::LostAfter).times(Times::N(4));
        world.simulator.script(lost);
        let graph = mirrored(&world);
        let error = graph.ensure(&mirror("a")).await.unwrap_err();
        assert!(matches!(error, MeetingError::Transient(_)), "{error:?}");
        let ensured = graph.ensure(&moved("a")).await.unwrap();
        assert_eq!(ensured.meeting.span, Some(moved("a").span));
        held(&world, &mirror("a"));
        assert_eq!(world.requests(Endpoint::EventCreate), 4);
    }
    // Lost answers to the rest of a life.
    let world = World::new().await;
    let graph = mirrored(&world);
    let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
    for endpoint in [
        Endpoint::EventPatch,
        Endpoint::EventFilter,
        Endpoint::EventDelete,
    ] {
        world.script(endpoint, Effect::LostAfter);
    }
    graph.update(&made, &moved("a")).await.unwrap();
    let (organizer, key) = (&mirror("a").organizer, &mirror("a").external_id);
    graph.delete(&made, organizer, key).await.unwrap();
    assert!(
        world
            .simulator
            .snapshot()
            .events(&digest(&mirror("a")))
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_known_of_a_meeting_after_a_lost_state_is_its_link() {
    for (elsewhere, shape) in [(false, UrlShape::Long), (true, UrlShape::Short)] {
        let world = World::with(|settings| settings.url_shape = shape).await;
        let made = mirrored(&world).ensure(&mirror("a")).await.unwrap().meeting;
        if elsewhere {
            person(&world, &mirror("a"), Does::MoveTo("Bridge".into()));
        }
        let graph = mirrored(&world);
        let read = graph.read(&link_of(&made), &mirror("a")).await.unwrap();
        assert_eq!((&read.id, &read.join_url), (&made.id, &made.join_url));
        assert_eq!(read.details, made.details);
        let updated = graph.update(&link_of(&made), &moved("a")).await.unwrap();
        assert_eq!((&updated.id, &updated.join_url), (&made.id, &made.join_url));
        assert_eq!(held(&world, &mirror("a")).start, "2026-11-17T09:00:00Z");
        let options = Options(vec![Setting::Chat(Chat::Limited)]);
        let link = link_of(&made);
        graph.apply(&link, &mirror("a"), &options).await.unwrap();
        let (organizer, key) = (&mirror("a").organizer, &mirror("a").external_id);
        graph.delete(&link, organizer, key).await.unwrap();
        graph.delete(&link, organizer, key).await.unwrap();
        assert!(
            world
                .simulator
                .snapshot()
                .events(&digest(&mirror("a")))
                .is_empty()
        );
        assert_eq!(mailbox(&world).made[&digest(&mirror("a"))], 1);
    }
}

#[tokio::test]
async fn a_meeting_of_the_other_api_stays_what_it_is() {
    let world = World::new().await;
    let graph = mirrored(&world);
    let online = graph.ensure(&wanted("a")).await.unwrap().meeting;
    for known in [online.clone(), link_of(&online)] {
        let updated = graph.update(&known, &moved("a")).await.unwrap();
        assert_eq!(
            (&updated.id, &updated.join_url),
            (&online.id, &online.join_url)
        );
        let read = graph.read(&known, &moved("a")).await.unwrap();
        assert_eq!(read.id, online.id);
    }
    let event = graph.ensure(&mirror("b")).await.unwrap().meeting;
    let updated = graph.update(&event, &later("b")).await.unwrap();
    assert_eq!(updated.id, event.id);
    assert_eq!(held(&world, &mirror("b")).start, "2026-11-17T09:00:00Z");
    // The event of this key has another link, so the link is the other meeting's.
    graph.ensure(&mirror("a")).await.unwrap();
    let updated = graph.update(&link_of(&online), &moved("a")).await.unwrap();
    assert_eq!(updated.id, online.id);
    let (organizer, key) = (&mirror("a").organizer, &mirror("a").external_id);
    graph
        .delete(&link_of(&online), organizer, key)
        .await
        .unwrap();
    held(&world, &mirror("a"));
    assert_eq!(
        world.simulator.snapshot().meeting("a").unwrap().current,
        None
    );
}

#[tokio::test]
async fn an_event_that_a_person_moved_is_put_back_in_time_and_left_where_it_is() {
    let world = World::new().await;
    let graph = mirrored(&world);
    let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
    let (start, end) = (moved("a").span.start, moved("a").span.end);
    person(&world, &mirror("a"), Does::Reschedule { start, end });
    person(&world, &mirror("a"), Does::MoveTo("Bridge".into()));
    let updated = graph.update(&made, &mirror("a")).await.unwrap();
    assert_eq!(updated, made);
    let event = held(&world, &mirror("a"));
    assert_eq!(
        (event.calendar.as_str(), event.start.as_str()),
        ("Bridge", "2026-11-10T09:00:00Z")
    );
}

#[tokio::test]
async fn an_event_whose_body_a_person_rewrote_gets_its_next_meeting() {
    let world = World::new().await;
    let graph = mirrored(&world);
    let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
    person(&world, &mirror("a"), Does::Body("mine".into()));
    assert_gone(graph.update(&made, &mirror("a")).await);
    let ensured = graph.ensure(&mirror("a")).await.unwrap();
    assert!(!ensured.created);
    assert_ne!(ensured.meeting.join_url, made.join_url);
    graph.update(&ensured.meeting, &mirror("a")).await.unwrap();
    assert!(held(&world, &mirror("a")).body.contains("mine"));
}

#[tokio::test]
async fn an_event_that_a_person_deleted_is_gone_and_never_handed_out_as_a_new_one() {
    for deleted in [Deleted::NotFound, Deleted::InDeletedItems] {
        for repeat in [RepeatOfDeleted::New, RepeatOfDeleted::Dead] {
            for differing in [Differing::First, Differing::Conflict] {
                let world = World::with(|settings| {
                    settings.outlook.deleted = deleted;
                    settings.outlook.repeat_of_deleted = repeat;
                    settings.outlook.differing = differing;
                })
                .await;
                let graph = mirrored(&world);
                let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
                person(&world, &mirror("a"), Does::Delete);
                let manner = format!("{deleted:?} {repeat:?} {differing:?}");
                for known in [made.clone(), link_of(&made)] {
                    assert_gone(graph.update(&known, &moved("a")).await);
                }
                match graph.ensure(&moved("a")).await {
                    Err(MeetingError::Gone) if repeat == RepeatOfDeleted::Dead => {}
                    Ok(ensured) if repeat == RepeatOfDeleted::New => {
                        assert!(ensured.created, "{manner}");
                        assert_ne!(ensured.meeting.join_url, made.join_url, "{manner}");
                        held(&world, &mirror("a"));
                    }
                    outcome => panic!("{manner}: {outcome:?}"),
                }
                let (organizer, key) = (&mirror("a").organizer, &mirror("a").external_id);
                graph.delete(&made, organizer, key).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_calendar_gets_over_a_deleted_event_by_the_next_key() {
    for repeat in [RepeatOfDeleted::New, RepeatOfDeleted::Dead] {
        let mut scene = Scene::with(|settings| {
            settings.outlook.repeat_of_deleted = repeat;
        })
        .await;
        scene.bridge.meetings = Arc::new(mirrored(&scene.world));
        scene.calendar.form = form(None);
        scene.save(UID, "20261120T090000Z");
        for _ in 0..3 {
            scene.pass().await;
        }
        let first = scene.remembered().unwrap();
        assert!(scene.text().contains(first.join_url.expose()));
        let event = first
            .id
            .as_ref()
            .and_then(MeetingId::event)
            .unwrap()
            .to_owned();
        let does = Does::Delete;
        assert!(scene.world.simulator.outlook(&Deed { event, does }));
        scene.move_to("20261120T090000Z", "20261121T090000Z");
        for _ in 0..6 {
            scene.pass().await;
            scene.work().await;
            scene.world.clock.pass(Duration::from_secs(61));
        }
        let second = scene.remembered().unwrap();
        assert_ne!(second.join_url, first.join_url, "{repeat:?}");
        assert!(
            scene.text().contains(second.join_url.expose()),
            "{repeat:?}"
        );
        assert!(
            !scene.text().contains(first.join_url.expose()),
            "{repeat:?}"
        );
        let events = mailbox(&scene.world).events;
        assert_eq!(
            events.iter().filter(|event| !event.deleted).count(),
            1,
            "{repeat:?}"
        );
    }
}

#[tokio::test]
async fn events_go_into_the_calendar_of_that_name() {
    let world = World::new().await;
    let graph = mirrored(&world);
    let named = |key: &str, name: &str| Wanted {
        form: form(Some(name)),
        ..wanted(key)
    };
    for key in ["a", "b"] {
        let made = graph.ensure(&named(key, "Bridge")).await.unwrap();
        assert!(made.created && !graph.ensure(&named(key, "Bridge")).await.unwrap().created);
        assert_eq!(held(&world, &mirror(key)).calendar, "Bridge");
        graph
            .update(&made.meeting, &named(key, "Bridge"))
            .await
            .unwrap();
    }
    // Its name once, and what lies in any of them before each is made.
    assert_eq!(world.requests(Endpoint::Calendars), 3);
    // One that lies in the default calendar is not made again.
    graph.ensure(&mirror("c")).await.unwrap();
    assert!(!graph.ensure(&named("c", "Bridge")).await.unwrap().created);

    for asked in [5, 5] {
        let error = graph.ensure(&named("d", "Other")).await.unwrap_err();
        let MeetingError::Organizer(text) = error else {
            panic!("{error:?}")
        };
        assert!(
            text.contains("\"Other\"") && text.contains(ORGANIZER),
            "{text}"
        );
        assert_eq!(world.requests(Endpoint::Calendars), asked);
    }
    graph
        .ensure(&named("d", "Bridge"))
        .await
        .expect("others are served");

    // Taken away and made anew: the id leads nowhere once.
    world.simulator.change(|settings| {
        let mailbox = settings
            .organizers
            .iter_mut()
            .find(|one| one.id == ORGANIZER);
        mailbox.unwrap().mailbox.as_mut().unwrap().calendars = vec!["Calendar".into()];
    });
    let error = graph.ensure(&named("e", "Bridge")).await.unwrap_err();
    assert!(matches!(error, MeetingError::Transient(_)), "{error:?}");
    let error = graph.ensure(&named("e", "Bridge")).await.unwrap_err();
    assert!(matches!(error, MeetingError::Organizer(_)), "{error:?}");
}

/// The service made a second one once it had forgotten the transactionId, or where the body differed.
#[tokio::test]
async fn an_event_that_a_person_moved_before_it_was_linked_is_the_one_that_is_found() {
    let world = World::with(|settings| settings.outlook.differing = Differing::Another).await;
    let made = mirrored(&world).ensure(&mirror("a")).await.unwrap();
    person(&world, &mirror("a"), Does::MoveTo("Bridge".into()));
    let again = mirrored(&world).ensure(&moved("a")).await.unwrap();
    assert!(!again.created);
    assert_eq!(again.meeting.id, made.meeting.id);
    assert_eq!(held(&world, &mirror("a")).calendar, "Bridge");
}

#[tokio::test]
async fn of_several_events_with_one_key_it_is_the_oldest() {
    let world = World::with(|settings| settings.outlook.differing = Differing::Another).await;
    let graph = mirrored(&world);
    let first = graph.ensure(&mirror("a")).await.unwrap().meeting;
    world.clock.pass(Duration::from_secs(1));
    let nothing = serde_json::json!({"status": 200, "body": {"value": []}});
    let nothing: Scripted = serde_json::from_value(nothing).unwrap();
    for _ in 0..3 {
        world.script(Endpoint::EventFilter, Effect::Answer(nothing.clone()));
    }
    let second = graph.ensure(&moved("a")).await.unwrap().meeting;
    assert_ne!(first.id, second.id);
    for _ in 0..2 {
        let ensured = mirrored(&world).ensure(&mirror("a")).await.unwrap();
        assert_eq!(ensured.meeting.id, first.id);
    }
}

#[tokio::test]
async fn without_permission_for_online_meetings_an_event_tells_what_it_can() {
    let world = World::new().await;
    let graph = mirrored(&world);
    let of = |wanted: Wanted| Wanted {
        organizer: organizer(ORGANIZER_WITHOUT_POLICY),
        ..wanted
    };
    let mut meetings = Vec::new();
    for key in ["a", "b", "c"] {
        let ensured = graph.ensure(&of(mirror(key))).await.unwrap();
        let details = &ensured.meeting.details;
        let dial_in = details.dial_in.as_ref().unwrap();
        assert!(dial_in.conference_id.is_some() && !dial_in.toll_numbers.is_empty());
        assert_eq!(dial_in.dialin_url, None);
        assert_eq!((&details.meeting_id, &details.chat_thread), (&None, &None));
        meetings.push(ensured.meeting);
    }
    assert_eq!(
        world.requests(Endpoint::Filter),
        1,
        "it is asked once an hour"
    );
    let updated = graph.update(&meetings[0], &of(moved("a"))).await.unwrap();
    assert_eq!(updated.details, meetings[0].details);
    let options = Options(vec![Setting::Chat(Chat::Limited)]);
    let refused = graph.apply(&meetings[0], &of(mirror("a")), &options).await;
    assert!(
        matches!(refused, Err(MeetingError::Request(_))),
        "{refused:?}"
    );
    let wanted = of(mirror("a"));
    for known in [meetings[0].clone(), link_of(&meetings[1])] {
        let key = match known.id {
            Some(_) => "a",
            None => "b",
        };
        let key = ExternalId::stored(key);
        graph.delete(&known, &wanted.organizer, &key).await.unwrap();
    }
    let snapshot = world.simulator.snapshot();
    assert!(snapshot.events(&digest(&wanted)).is_empty());
    assert!(snapshot.events(&digest(&of(mirror("b")))).is_empty());

    // A mirror that is gone is not looked for by its link for ever.
    let event = digest(&of(mirror("c")));
    let does = Does::Delete;
    assert!(world.simulator.outlook(&Deed { event, does }));
    assert_gone(graph.update(&link_of(&meetings[2]), &of(moved("c"))).await);

    world.simulator.change(|settings| {
        for organizer in &mut settings.organizers {
            organizer.policy = meetbridge::simulator::Policy::Granted;
        }
    });
    world.clock.pass(Duration::from_secs(3600));
    let made = graph.ensure(&of(mirror("d"))).await.unwrap().meeting;
    assert!(made.details.dial_in.unwrap().dialin_url.is_some());
}

#[tokio::test]
async fn settings_are_those_of_the_meeting_behind_the_event() {
    let world = World::new().await;
    let graph = mirrored(&world);
    let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
    let options = Options(vec![Setting::Presenters(Presenters::Organizer)]);
    graph.apply(&made, &mirror("a"), &options).await.unwrap();
    assert_eq!(world.requests(Endpoint::Patch), 1);
    for status in [400, 402, 403] {
        world.script(Endpoint::Patch, Effect::status(status));
        let refused = graph.apply(&made, &mirror("a"), &options).await;
        assert!(
            matches!(refused, Err(MeetingError::Request(_))),
            "{refused:?}"
        );
    }
    graph
        .update(&made, &moved("a"))
        .await
        .expect("the event is none the worse");
    assert_eq!(mailbox(&world).requests_with_attendees, 0);
}

#[tokio::test]
async fn what_outlook_refuses_says_what_to_do() {
    let world =
        World::with(|settings| settings.app.roles.retain(|role| role.starts_with("Online"))).await;
    let error = mirrored(&world).ensure(&mirror("a")).await.unwrap_err();
    let MeetingError::Organizer(text) = error else {
        panic!("{error:?}")
    };
    assert!(
        text.contains("Calendars.ReadWrite") && !text.contains("OnlineMeetings"),
        "{text}"
    );

    let world = World::with(|settings| settings.organizers[0].mailbox = None).await;
    let graph = mirrored(&world);
    let nobody = Wanted {
        organizer: organizer(NOBODY),
        ..mirror("a")
    };
    for wanted in [mirror("a"), nobody] {
        let error = graph.ensure(&wanted).await.unwrap_err();
        let MeetingError::NoOrganizer(text) = error else {
            panic!("{error:?}")
        };
        assert!(
            text.contains("mailbox") && text.contains(wanted.organizer.as_str()),
            "{text}"
        );
    }
    graph
        .ensure(&wanted("a"))
        .await
        .expect("online meetings need no mailbox");
}

#[tokio::test]
async fn throttling_of_a_mailbox_is_that_of_no_other_and_outlives_a_restart() {
    // Six to make one, one to find it again.
    let rate = Rate::new(7, Duration::from_secs(120));
    let world = World::with(|settings| settings.limits.mailbox = Some(rate)).await;
    let graph = mirrored(&world);
    for _ in 0..2 {
        graph.ensure(&mirror("a")).await.unwrap();
    }
    let until = world.clock.now() + TimeDelta::seconds(120);
    let is_throttled = |error| match error {
        MeetingError::Throttled { until: found } => assert_eq!(found, until),
        error => panic!("{error:?}"),
    };
    is_throttled(graph.ensure(&mirror("b")).await.unwrap_err());
    let before = world.requests(Endpoint::EventFilter);
    for graph in [&graph, &mirrored(&world)] {
        is_throttled(graph.ensure(&mirror("b")).await.unwrap_err());
        let other = Wanted {
            organizer: organizer(ORGANIZER_WITHOUT_DIAL_IN),
            ..mirror("b")
        };
        graph.ensure(&other).await.expect("another mailbox");
        graph.ensure(&wanted("b")).await.expect("the other API");
    }
    world.clock.pass(Duration::from_secs(120));
    graph.ensure(&mirror("b")).await.unwrap();
    assert!(world.requests(Endpoint::EventFilter) > before);
    assert_eq!(world.simulator.snapshot().inside_retry_after, 0);
}

/// A service that answers when everybody had the time to ask; the most requests for events at once.
#[derive(Debug, Default)]
struct Crowd {
    now: AtomicU64,
    most: AtomicU64,
}

#[async_trait::async_trait]
impl Carrier for Crowd {
    async fn carry(&self, request: reqwest::Request, _: usize) -> Result<Answer, SendError> {
        let path = request.url().path();
        let body = if path.ends_with("/token") {
            serde_json::json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "t"})
        } else if path.ends_with("/onlineMeetings") {
            serde_json::json!({"value": []})
        } else {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            self.now.fetch_sub(1, Ordering::SeqCst);
            serde_json::json!({"id": "1"})
        };
        Ok(Answer {
            status: reqwest::StatusCode::OK,
            headers: Default::default(),
            body: body.to_string().into_bytes(),
        })
    }
}

#[tokio::test]
async fn four_requests_at_once_go_to_each_mailbox() {
    let world = World::new().await;
    for (organizers, most) in [
        (&[ORGANIZER][..], 4),
        (&[ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN], 8),
    ] {
        let crowd = Arc::new(Crowd::default());
        let carried = Client::carried_by(crowd.clone());
        let (clock, random) = (world.clock.clone(), world.random.clone());
        let graph = GraphMeetings::new(world.settings(), carried, world.windows(), clock, random);
        let event = Meeting {
            id: Some(MeetingId::Event { event: "1".into() }),
            join_url: JoinUrl::new("https://teams.example/1"),
            span: None,
            subject: None,
            expires: None,
            details: Default::default(),
        };
        let tasks = (0..40).map(|n| {
            let wanted = Wanted {
                organizer: organizer(organizers[n % organizers.len()]),
                ..mirror(&n.to_string())
            };
            let (graph, event) = (&graph, &event);
            async move { graph.read(event, &wanted).await.unwrap() }
        });
        join_all(tasks).await;
        assert_eq!(crowd.most.load(Ordering::SeqCst), most);
    }
}

#[tokio::test]
async fn two_at_once_with_one_key_make_one_event() {
    let world = World::with(|settings| settings.latency = Duration::from_secs(1)).await;
    let graph = mirrored(&world);
    let tasks = (0..10).map(|_| async { graph.ensure(&mirror("a")).await.unwrap() });
    let ensured = join_all(tasks).await;
    assert_eq!(ensured.iter().filter(|ensured| ensured.created).count(), 1);
    assert!(ensured.iter().all(|one| one.meeting == ensured[0].meeting));
    // Two processes, whose first looks both come before either makes it.
    let (one, other) = (mirrored(&world), mirrored(&world));
    let (wanted, same) = (mirror("b"), mirror("b"));
    let both = tokio::join!(one.ensure(&wanted), other.ensure(&same));
    assert_eq!(both.0.unwrap().meeting, both.1.unwrap().meeting);
    assert_eq!(mailbox(&world).made[&digest(&wanted)], 1);
}

#[tokio::test]
async fn no_error_of_an_event_shows_a_secret_a_title_or_a_url() {
    let world = World::new().await;
    for effect in [400, 403, 404, 409, 412, 500, 501, 302]
        .map(Effect::status)
        .into_iter()
        .chain([Effect::LostBefore, Effect::Truncated])
    {
        let graph = mirrored(&world);
        let made = graph.ensure(&mirror("a")).await.unwrap().meeting;
        for endpoint in [
            Endpoint::EventFilter,
            Endpoint::EventPatch,
            Endpoint::EventGet,
        ] {
            let fault = Fault::next(endpoint, effect.clone()).times(Times::Forever);
            world.simulator.script(fault);
        }
        for error in [
            graph.ensure(&mirror("b")).await.unwrap_err(),
            graph.update(&made, &moved("a")).await.unwrap_err(),
            graph
                .update(&link_of(&made), &moved("a"))
                .await
                .unwrap_err(),
        ] {
            let text = format!("{error} {error:?}");
            let secret = &world.simulator.settings().app.client_secret;
            for hidden in [secret, "Planning", "meetup", "filter", "Bearer", "Extended"] {
                assert!(!text.contains(hidden), "{effect:?} {hidden}: {text}");
            }
        }
        world.simulator.reset();
    }
}
