//! Single scenes: one fault or one edit each, and what must not come of it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use meetbridge::calendar::Scope;
use meetbridge::clock::Clock as _;
use meetbridge::model::{CalendarName, ResourceId};
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Report, Watched};

use super::user::{calendar, edit, event};
use super::world::{Faults, World, watched};

/// A world with its bridge, which is not restarted unless said.
pub(super) struct Scene {
    pub(super) world: Arc<World>,
    pub(super) bridge: Bridge,
    pub(super) calendar: Watched,
    home: tempfile::TempDir,
}

impl Scene {
    pub(super) fn new() -> Self {
        let (world, home) = (World::new(), tempfile::tempdir().unwrap());
        let (state, _) = State::open(home.path(), world.clock.now()).unwrap();
        let (bridge, calendar) = (world.bridge(Arc::new(state)), watched(&world));
        Self {
            world,
            bridge,
            calendar,
            home,
        }
    }

    /// A minute later, a pass over everything.
    pub(super) async fn pass(&self) -> Report {
        self.world.clock.advance(chrono::Duration::minutes(1));
        self.bridge.pass(&self.calendar, Scope::All).await.unwrap()
    }

    pub(super) fn due(&self) -> Vec<ResourceId> {
        let (name, now) = (&self.calendar.name, self.world.clock.now());
        self.bridge.state.due(name, now).unwrap()
    }

    /// An event, saved as `one.ics`.
    pub(super) fn save(&self, start: &str, more: &str) {
        let one = calendar(&[event("one@x", start, "One", more)]);
        self.world.save("one.ics", &one);
    }

    /// A person takes the link out of `one.ics`; the client says when.
    pub(super) fn take_out(&self, more: &str) {
        let one = event("one@x", "20261120T090000Z", "One", more);
        let dated = one.replace("DTSTAMP:20261101", "DTSTAMP:20261103");
        self.world.save("one.ics", &calendar(&[dated]));
    }

    pub(super) fn text(&self) -> String {
        self.world.text("one.ics").unwrap()
    }

    /// The same after the process has died.
    pub(super) fn restarted(self) -> Self {
        let Self {
            world,
            bridge,
            home,
            ..
        } = self;
        let limit = bridge.first_pass_limit;
        drop(bridge);
        let (state, _) = State::open(home.path(), world.clock.now()).unwrap();
        let (mut bridge, calendar) = (world.bridge(Arc::new(state)), watched(&world));
        bridge.first_pass_limit = limit;
        Self {
            world,
            bridge,
            calendar,
            home,
        }
    }

    /// The same with the state lost.
    pub(super) fn restarted_without_state(self) -> Self {
        let Self { world, home, .. } = self;
        super::lose(home.path());
        let (state, _) = State::open(home.path(), world.clock.now()).unwrap();
        let (bridge, calendar) = (world.bridge(Arc::new(state)), watched(&world));
        Self {
            world,
            bridge,
            calendar,
            home,
        }
    }
}

#[tokio::test]
async fn a_resource_that_changes_under_every_write_is_left_alone_for_a_while() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.world.fail(Faults {
        contended: true,
        ..Faults::default()
    });
    let only = Scope::Only([ResourceId::new("one.ics")].into());
    for _ in 0..2 {
        let mut report = scene.pass().await;
        for _ in 0..2 {
            assert_eq!((report.again.len(), report.failed), (1, 0));
            report = scene
                .bridge
                .pass(&scene.calendar, only.clone())
                .await
                .unwrap();
        }
        assert_eq!((report.again.len(), report.failed), (0, 1));
        assert_eq!(report.outcome["write-failed"], 1);
        assert_eq!(scene.due(), []);
        scene.world.clock.advance(chrono::Duration::minutes(1));
        assert_eq!(scene.due(), [ResourceId::new("one.ics")]);
    }
    scene.world.fail(Faults::default());
    scene.pass().await;
    assert!(scene.text().contains("X-MEETBRIDGE"));
    assert_eq!(scene.world.meetings(), 1);
}

#[tokio::test]
async fn what_is_due_and_cannot_be_read_is_not_due_for_ever() {
    let mut scene = Scene::new();
    scene.calendar.rules.settle = Duration::from_secs(90);
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    scene.world.clock.advance(chrono::Duration::minutes(1));
    assert_eq!(scene.due(), [ResourceId::new("one.ics")]);
    scene.world.fail(Faults {
        unreadable: Some("one.ics".into()),
        ..Faults::default()
    });
    let due = Scope::Only(scene.due().into_iter().collect());
    scene.bridge.pass(&scene.calendar, due).await.unwrap();
    assert_eq!(scene.due(), []);
    scene.world.fail(Faults::default());
    scene.pass().await;
    scene.pass().await;
    assert!(scene.text().contains("X-MEETBRIDGE"));
}

#[tokio::test]
async fn a_part_that_went_with_a_change_of_time_does_not_hide_the_change() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    scene.pass().await;
    let moved = scene
        .text()
        .replace("DTSTART:20261120T09", "DTSTART:20261120T11");
    let without: Vec<_> = moved
        .split_inclusive("\r\n")
        .filter(|line| !line.starts_with("URL:") && !line.starts_with("LOCATION:"))
        .collect();
    let kept = without
        .concat()
        .replace("\r\n ", "")
        .replace("\r\nCONFERENCE", "\r\nX-GONE");
    scene.world.save("one.ics", &kept);
    scene.pass().await;
    scene.pass().await;
    assert_eq!(held(&scene), "20261120T110000Z");
    assert!(scene.text().contains("CONFERENCE"));
}

#[tokio::test]
async fn a_meeting_that_kept_its_times_is_looked_at_again() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    // The same event in another file, moved; its link is not there yet, so its meeting is ensured.
    scene.world.delete("one.ics");
    let moved = calendar(&[event("one@x", "20261120T150000Z", "One", "")]);
    scene.world.save("two.ics", &moved);
    scene.world.fail(Faults {
        keeps_times: true,
        ..Faults::default()
    });
    scene.pass().await;
    scene.world.fail(Faults::default());
    assert_eq!(held(&scene), "20261120T090000Z");
    scene.world.clock.advance(chrono::Duration::days(1));
    scene.pass().await;
    assert_eq!(held(&scene), "20261120T150000Z");
}

fn held(scene: &Scene) -> String {
    let start: DateTime<Utc> = scene.world.held("one@x");
    start.format("%Y%m%dT%H%M%SZ").to_string()
}

#[tokio::test]
async fn a_link_that_never_landed_gives_way_to_what_a_person_did_since() {
    let zoom = "LOCATION:https://zoom.us/j/123\r\n";
    for more in ["CATEGORIES:no-teams\r\n", zoom, "CLASS:PRIVATE\r\n"] {
        let scene = Scene::new();
        scene.world.fail(Faults {
            read_only: true,
            ..Faults::default()
        });
        scene.save("20261120T090000Z", "");
        scene.pass().await;
        scene.world.fail(Faults::default());
        scene.save("20261120T090000Z", more);
        scene.pass().await;
        assert!(!scene.text().contains("X-MEETBRIDGE"), "{more}");
    }
}

#[tokio::test]
async fn a_link_that_was_seen_stays_removed_though_a_part_of_it_was_restored_before() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    scene.pass().await;
    edit(&scene.world, "one.ics", "X-MICROSOFT-SKYPE", "X-OTHER");
    scene.pass().await;
    assert!(scene.text().contains("X-MICROSOFT-SKYPE"));
    scene.take_out("COMMENT:without\r\n");
    scene.pass().await;
    scene.pass().await;
    assert!(!scene.text().contains("X-MEETBRIDGE"));
}

#[tokio::test]
async fn an_organizer_who_is_gone_holds_up_only_what_is_his() {
    let mut scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    let old = scene.calendar.organizer.clone();
    let new = "22222222-2222-2222-2222-222222222222";
    scene.calendar.organizer = meetbridge::model::OrganizerId::new(new).unwrap();
    scene.world.fail(Faults {
        organizer: Some(old),
        ..Faults::default()
    });
    edit(
        &scene.world,
        "one.ics",
        "20261120T090000Z",
        "20261120T110000Z",
    );
    let two = calendar(&[event("two@x", "20261121T090000Z", "Two", "")]);
    scene.world.save("two.ics", &two);
    scene.pass().await;
    assert!(
        scene
            .world
            .text("two.ics")
            .unwrap()
            .contains("X-MEETBRIDGE")
    );
}

#[tokio::test]
async fn an_event_seen_through_two_calendars_has_one_meeting_though_their_organizers_differ() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    let text = scene.text();
    let mut other = watched(&scene.world);
    other.name = CalendarName::new("other");
    let organizer = "22222222-2222-2222-2222-222222222222";
    other.organizer = meetbridge::model::OrganizerId::new(organizer).unwrap();
    let before = scene.world.effects();
    scene.bridge.pass(&other, Scope::All).await.unwrap();
    assert_eq!(scene.world.effects(), before);
    assert_eq!(scene.text(), text);
}

#[tokio::test]
async fn a_removed_link_whose_mark_was_left_stays_removed_when_the_state_is_lost() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    scene.pass().await;
    let unfolded = scene.text().replace("\r\n ", "");
    let mark = unfolded.lines().find(|l| l.starts_with("X-MEETBRIDGE"));
    let left = format!("{}\r\n", mark.unwrap());
    scene.take_out(&left);
    scene.pass().await;
    let scene = scene.restarted_without_state();
    let before = scene.world.effects();
    scene.pass().await;
    scene.pass().await;
    assert_eq!(scene.world.effects(), before);
}

#[tokio::test]
async fn a_series_whose_state_was_lost_is_rolled_before_its_meeting_can_expire() {
    let scene = Scene::new();
    scene.save("20261106T090000Z", "RRULE:FREQ=WEEKLY;COUNT=40\r\n");
    scene.pass().await;
    scene.world.clock.advance(chrono::Duration::days(38));
    scene.pass().await;
    let scene = scene.restarted_without_state();
    scene.pass().await;
    assert_eq!(held(&scene), "20261106T090000Z", "asks for nothing yet");
    // Sixty days after the end of the first occurrence its meeting is gone.
    scene.world.clock.advance(chrono::Duration::days(20));
    scene.pass().await;
    assert!(scene.world.held("one@x") > scene.world.clock.now());
}

#[tokio::test]
async fn a_failure_of_an_earlier_process_is_over_with_a_pass_that_ends_well() {
    let scene = Scene::new();
    let name = &scene.calendar.name;
    let mut record = scene.bridge.state.calendar(name).unwrap();
    record.failing = Some("no such directory".into());
    scene.bridge.state.put_calendar(name, &record).unwrap();
    scene.pass().await;
    assert_eq!(scene.bridge.state.calendar(name).unwrap().failing, None);
}

#[tokio::test]
async fn what_waits_for_a_budget_goes_on_when_the_budget_is_raised() {
    let mut scene = Scene::new();
    scene.bridge.meetings_per_month = 0;
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    assert_eq!(scene.world.meetings(), 0);
    scene.bridge.meetings_per_month = 10;
    scene.pass().await;
    assert_eq!(scene.world.meetings(), 1);
}

#[tokio::test]
async fn an_opt_out_mark_on_a_linked_event_is_not_written_over() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    scene.pass().await;
    edit(&scene.world, "one.ics", "X-MICROSOFT-SKYPE", "X-OTHER");
    let opt_out = "X-MEETBRIDGE-MEETING:v1.opt-out\r\nX-OLD:v1";
    edit(&scene.world, "one.ics", "X-MEETBRIDGE-MEETING:v1", opt_out);
    let saved = scene.text();
    assert!(saved.contains(opt_out));
    scene.pass().await;
    assert_eq!(scene.text(), saved);
}

#[tokio::test]
async fn no_meeting_is_made_that_cannot_be_remembered() {
    let scene = Scene::new();
    scene.pass().await;
    let Scene {
        world,
        bridge,
        calendar: watched,
        home,
    } = scene;
    drop(bridge);
    let state = State::open_read_only(home.path()).unwrap().unwrap();
    let bridge = world.bridge(Arc::new(state));
    let one = calendar(&[event("one@x", "20261120T090000Z", "One", "")]);
    world.save("one.ics", &one);
    assert!(bridge.pass(&watched, Scope::All).await.is_err());
    assert_eq!(world.meetings(), 0);
}

#[tokio::test]
async fn our_own_write_does_not_make_the_rest_of_a_file_settle_again() {
    let mut scene = Scene::new();
    scene.bridge.first_pass_limit = 1_000;
    scene.calendar.rules.settle = Duration::from_secs(90);
    let all: Vec<_> = (0..250)
        .map(|n| event(&format!("{n}@x"), "20261120T090000Z", "One", ""))
        .collect();
    scene.world.save("one.ics", &calendar(&all));
    scene.pass().await;
    scene.world.clock.advance(chrono::Duration::minutes(1));
    let first = scene.pass().await;
    assert_eq!((first.created, first.again.len()), (200, 1));
    scene.world.clock.advance(chrono::Duration::seconds(1));
    let again = Scope::Only(first.again);
    let second = scene.bridge.pass(&scene.calendar, again).await.unwrap();
    assert_eq!(second.created, 50);
}

#[tokio::test]
async fn a_listing_does_not_show_the_link_of_a_file_that_is_gone() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    scene.world.delete("one.ics");
    scene.pass().await;
    scene.pass().await;
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    assert!(scene.text().contains("X-MEETBRIDGE"));
}

#[tokio::test]
async fn every_event_is_counted_by_what_became_of_it() {
    let scene = Scene::new();
    scene.world.fail(Faults {
        read_only: true,
        ..Faults::default()
    });
    let two = event("two@x", "20261120T090000Z", "Two", "");
    let one = event("one@x", "20261120T090000Z", "One", "");
    scene.world.save("one.ics", &calendar(&[one, two]));
    assert_eq!(scene.pass().await.outcome["write-refused"], 2);
    scene.world.fail(Faults::default());
    scene.save("20261120T090000Z", "");
    assert_eq!(scene.pass().await.outcome["in-step"], 1);
    // Made anew, the meeting has its old URL: nothing is to be written.
    scene.world.end_meetings();
    edit(&scene.world, "one.ics", "20261120T09", "20261120T11");
    assert_eq!(scene.pass().await.outcome["in-step"], 1);
}

#[tokio::test]
async fn a_pass_over_an_empty_calendar_is_no_consent_to_a_large_one() {
    let mut scene = Scene::new();
    scene.bridge.first_pass_limit = 1;
    scene.pass().await;
    let two = ["one@x", "two@x"].map(|uid| event(uid, "20261120T090000Z", "One", ""));
    scene.world.save("one.ics", &calendar(&two));
    let changed = Scope::Only([ResourceId::new("one.ics")].into());
    scene.bridge.pass(&scene.calendar, changed).await.unwrap();
    assert_eq!(scene.world.meetings(), 0);
}
