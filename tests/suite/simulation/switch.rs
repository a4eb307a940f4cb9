//! A calendar's meetings are to be made by another API: new ones only, unless a rewrite is asked for.

use chrono::Duration;
use meetbridge::calendar::Scope;
use meetbridge::meeting::Fate;
use meetbridge::model::CalendarName;
use meetbridge::sync::Watched;

use super::rewrite::rewrite;
use super::scenes::Scene;
use super::user::{calendar, edit, event};
use super::world::{Faults, Happens, Server, World, as_events, watched};

const EVENT: &str = "event/one@x";

impl Scene {
    /// An event with a link of one form in a calendar that has come to be configured for the other.
    async fn switched() -> Self {
        let mut scene = Self::new();
        scene.save("20261220T090000Z", "DESCRIPTION:Agenda\r\n");
        scene.pass().await;
        scene.pass().await;
        scene.calendar.form = as_events();
        scene.pass().await;
        assert_eq!(scene.world.keys(), ["one@x"]);
        scene
    }

    fn deletes_what_it_replaces(&mut self) {
        self.calendar.on_delete = Fate::Delete;
    }
}

/// Another calendar that holds the same event.
async fn twin(scene: &Scene) -> (std::sync::Arc<World>, Watched) {
    let elsewhere = World::new();
    let mut other = watched(&elsewhere);
    other.name = CalendarName::new("other");
    other.on_delete = Fate::Delete;
    let same = event("one@x", "20261220T090000Z", "One", "");
    elsewhere.save("two.ics", &calendar(&[same]));
    for _ in 0..2 {
        scene.bridge.pass(&other, Scope::All).await.unwrap();
    }
    assert_eq!(scene.world.keys(), ["one@x"]);
    (elsewhere, other)
}

fn shows(world: &World, name: &str, url: &str) -> bool {
    let text = world.text(name).unwrap().replace("\r\n ", "");
    text.contains(&format!("X-MICROSOFT-SKYPETEAMSMEETINGURL:{url}"))
}

#[tokio::test]
async fn a_link_that_is_there_keeps_its_meeting_and_its_form() {
    let scene = Scene::switched().await;
    let (text, effects) = (scene.text(), scene.world.effects());
    let preview = scene.bridge.preview(&scene.calendar).await.unwrap();
    assert!(preview.rows.iter().all(|row| row.other_form));
    scene.pass().await;
    assert_eq!((scene.text(), scene.world.effects()), (text, effects));
    // Updated, and with a part restored at the same time: the same meeting.
    edit(&scene.world, "one.ics", "20261220T09", "20261221T09");
    scene.pass().await;
    edit(&scene.world, "one.ics", "X-MICROSOFT-SKYPE", "X-OTHER");
    edit(&scene.world, "one.ics", "20261221T09", "20261222T09");
    scene.pass().await;
    assert!(scene.text().contains("X-MICROSOFT-SKYPE"));
    // Asked of nothing but the event, too.
    let mut scene = scene.restarted_without_state();
    scene.calendar.form = as_events();
    edit(&scene.world, "one.ics", "X-MICROSOFT-SKYPE", "X-OTHER");
    scene.pass().await;
    scene.pass().await;
    assert_eq!(scene.world.keys(), ["one@x"]);
    scene.assert_alive("one@x");
    assert_eq!(scene.world.held("one@x").to_rfc3339()[..10], *"2026-12-22");
    // An event that has no link yet gets one as it is configured.
    let two = event("two@x", "20261220T090000Z", "Two", "");
    scene.world.save("two.ics", &calendar(&[two]));
    scene.pass().await;
    assert_eq!(scene.world.keys(), ["event/two@x", "one@x"]);
    scene.deletes_what_it_replaces_and_loses("one.ics").await;
    assert_eq!(scene.world.ended(), ["one@x"]);
}

impl Scene {
    async fn deletes_what_it_replaces_and_loses(&mut self, name: &str) {
        self.deletes_what_it_replaces();
        self.world.delete(name);
        self.pass().await;
        self.pass().await;
        self.a_day_later().await;
    }
}

#[tokio::test]
async fn a_dead_meeting_is_made_anew_as_it_is_configured() {
    let scene = Scene::switched().await;
    scene.world.kill_meeting("one@x");
    edit(&scene.world, "one.ics", "20261220T09", "20261221T09");
    scene.pass().await;
    assert_eq!(scene.world.meetings(), 0, "not found once is no death");
    scene.world.clock.advance(Duration::minutes(1));
    scene.pass().await;
    scene.pass().await;
    assert_eq!(scene.world.keys(), [EVENT]);
    scene.assert_alive(EVENT);
}

#[tokio::test]
async fn a_rewrite_moves_a_link_once_and_back_to_the_same_meeting() {
    let mut scene = Scene::switched().await;
    let (before, text) = (scene.world.effects(), scene.text());
    assert_eq!(scene.plan().await, ["move"]);
    assert_eq!(scene.world.effects(), before, "only shown");
    let report = scene.rewrite().await;
    assert_eq!((report.written, report.created, report.failed), (1, 1, 0));
    scene.assert_alive(EVENT);
    assert!(!scene.text().contains(&scene.world.url("one@x")));
    assert_eq!(scene.world.keys(), [EVENT, "one@x"], "kept");
    let after = scene.world.effects();
    assert_eq!(after.1, before.1 + 1);
    for _ in 0..2 {
        assert_eq!(scene.plan().await, ["in-step"]);
        assert_eq!(scene.rewrite().await.written, 0);
        scene.a_day_later().await;
    }
    assert_eq!(scene.world.effects(), after, "once");
    scene.calendar.form = Default::default();
    let report = scene.rewrite().await;
    assert_eq!((report.written, report.created), (1, 0));
    scene.assert_alive("one@x");
    let undated = |text: &str| {
        let lines = text.split_inclusive("\r\n");
        lines
            .filter(|line| !line.starts_with("DTSTAMP"))
            .collect::<String>()
    };
    assert_eq!(undated(&scene.text()), undated(&text));
}

#[tokio::test]
async fn what_is_replaced_is_deleted_a_day_after_no_event_shows_it() {
    let mut scene = Scene::switched().await;
    scene.deletes_what_it_replaces();
    scene.rewrite().await;
    assert_eq!(scene.after(Duration::hours(23)).await, 0);
    assert!(!scene.bridge.has_endings(&scene.calendar).unwrap());
    assert_eq!(scene.after(Duration::hours(1)).await, 1);
    assert_eq!(scene.world.ended(), ["one@x"]);
    let (text, effects) = (scene.text(), scene.world.effects());
    for _ in 0..3 {
        assert_eq!(scene.a_day_later().await, 0);
    }
    assert_eq!((scene.text(), scene.world.effects()), (text, effects));
    // Back: it is made anew.
    scene.calendar.form = Default::default();
    assert_eq!(scene.rewrite().await.created, 1);
    scene.assert_alive("one@x");
    assert_eq!(scene.a_day_later().await, 1);
    assert_eq!(scene.world.keys(), ["one@x"]);
}

#[tokio::test]
async fn what_is_switched_back_in_time_is_not_deleted() {
    let mut scene = Scene::switched().await;
    scene.deletes_what_it_replaces();
    scene.rewrite().await;
    scene.calendar.form = Default::default();
    scene.rewrite().await;
    assert_eq!(scene.a_day_later().await, 1);
    assert_eq!(scene.world.keys(), ["one@x"]);
    scene.assert_alive("one@x");
    assert_eq!(scene.a_day_later().await, 0);
}

#[tokio::test]
async fn a_move_counts_as_a_creation() {
    let mut scene = Scene::switched().await;
    scene.calendar.new_links_per_day = 1;
    let before = scene.world.effects();
    assert_eq!(scene.plan().await, ["day-budget"]);
    scene.rewrite().await;
    assert_eq!(scene.world.effects(), before);
    // What waits for the budget is maintained meanwhile.
    edit(&scene.world, "one.ics", "20261220T09", "20261221T09");
    scene.pass().await;
    assert_eq!(scene.world.held("one@x").to_rfc3339()[..10], *"2026-12-21");
    scene.world.clock.advance(Duration::days(1));
    assert_eq!(scene.plan().await, ["move"]);
    assert_eq!(scene.rewrite().await.created, 1);
    scene.assert_alive(EVENT);
}

#[tokio::test]
async fn a_write_that_is_refused_leaves_both_until_the_event_shows_the_other() {
    for fault in ["read-only", "contended"] {
        let mut scene = Scene::switched().await;
        scene.deletes_what_it_replaces();
        scene.world.fail(Faults {
            read_only: fault == "read-only",
            contended: fault == "contended",
            ..Faults::default()
        });
        scene.rewrite().await;
        for _ in 0..3 {
            assert_eq!(scene.a_day_later().await, 0, "{fault}");
        }
        assert_eq!(scene.world.keys(), [EVENT, "one@x"], "{fault}");
        scene.assert_alive("one@x");
        scene.world.fail(Faults::default());
        scene.world.clock.advance(Duration::hours(2));
        scene.pass().await;
        scene.assert_alive(EVENT);
        assert_eq!(scene.a_day_later().await, 1, "{fault}");
        assert_eq!(scene.world.keys(), [EVENT], "{fault}");
    }
}

#[tokio::test]
async fn a_crash_at_every_point_of_a_move_is_harmless() {
    for (server, again) in [
        (None, true),
        (None, false),
        (Some(Server::default()), true),
        (Some(Server::default()), false),
    ] {
        for point in 1.. {
            assert!(point < 500, "it never ends");
            let mut scene = Scene::new();
            server
                .clone()
                .into_iter()
                .for_each(|server| scene.world.serve(server));
            scene.save("20261220T090000Z", "");
            scene.pass().await;
            scene.calendar.form = as_events();
            scene.pass().await;
            let before = scene.world.effects();
            scene.world.arm(point, Happens::Crash);
            let crashed = tokio::select! {
                biased;
                () = scene.world.crashed() => true,
                _ = scene.rewrite() => false,
            };
            scene.world.disarm();
            if crashed {
                scene = scene.restarted();
                scene.calendar.form = as_events();
            }
            scene.deletes_what_it_replaces();
            for _ in 0..2 {
                scene.pass().await;
            }
            // What was made is what the event shows, whether it is asked for again or not.
            let made = scene.world.keys().contains(&EVENT.to_owned());
            scene.assert_alive(if made { EVENT } else { "one@x" });
            if again {
                scene.rewrite().await;
                scene.assert_alive(EVENT);
            }
            assert_eq!(
                scene.world.effects().1 - before.1,
                usize::from(made || again),
                "{point}"
            );
            scene.world.check_at_rest(&format!("point {point}"), true);
            scene.pass().await;
            let ended = scene.a_day_later().await;
            assert_eq!(ended, usize::from(made || again), "{point}");
            assert_eq!(scene.world.keys().len(), 1, "{point}");
            let rest = scene.world.effects();
            scene.a_day_later().await;
            assert_eq!(scene.world.effects(), rest, "{point}");
            if !crashed {
                assert!(point > 5, "{point}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn the_same_event_in_another_calendar_comes_to_the_same_meeting() {
    let mut scene = Scene::switched().await;
    scene.deletes_what_it_replaces();
    let (elsewhere, other) = twin(&scene).await;
    elsewhere.fail(Faults {
        read_only: true,
        ..Faults::default()
    });
    scene.rewrite().await;
    let (old, new) = (scene.world.url("one@x"), scene.world.url(EVENT));
    for _ in 0..3 {
        scene.bridge.pass(&other, Scope::All).await.unwrap();
        assert_eq!(scene.a_day_later().await, 0, "the other event shows it");
    }
    assert!(shows(&elsewhere, "two.ics", &old));
    elsewhere.fail(Faults::default());
    for _ in 0..2 {
        elsewhere.clock.advance(Duration::hours(2));
        scene.world.clock.advance(Duration::hours(2));
        scene.bridge.pass(&other, Scope::All).await.unwrap();
    }
    assert!(shows(&elsewhere, "two.ics", &new));
    assert_eq!(elsewhere.effects().1, 2, "linked, and moved");
    assert_eq!(scene.a_day_later().await, 1);
    assert_eq!(scene.world.keys(), [EVENT]);
}

#[tokio::test]
async fn a_calendar_that_wants_the_other_form_does_not_move_it_back() {
    let scene = Scene::switched().await;
    let (elsewhere, other) = twin(&scene).await;
    scene.rewrite().await;
    // The same command goes on with the other calendar.
    let asked = Some(meetbridge::clock::Clock::now(&*scene.world.clock));
    for _ in 0..2 {
        scene
            .bridge
            .pass_rewriting(&other, Scope::All, asked)
            .await
            .unwrap();
    }
    assert!(shows(&elsewhere, "two.ics", &scene.world.url(EVENT)));
    scene.assert_alive(EVENT);
}

#[tokio::test]
async fn what_bears_the_old_link_is_known() {
    let mut scene = Scene::switched().await;
    scene.deletes_what_it_replaces();
    let old = scene.text();
    scene.rewrite().await;
    scene.pass().await;
    // Restored from a backup; then copied as another event.
    for ended in [0, 1] {
        // One that comes back again and again is what the calendar makes of it.
        scene
            .world
            .save("one.ics", &old.replace("One", &format!("Version {ended}")));
        scene.pass().await;
        scene.pass().await;
        scene.assert_alive(EVENT);
        let copy = old.replace("UID:one@x", "UID:two@x");
        scene.world.save("two.ics", &copy);
        scene.pass().await;
        scene.pass().await;
        assert!(shows(
            &scene.world,
            "two.ics",
            &scene.world.url("event/two@x")
        ));
        scene.world.check_at_rest("copied", true);
        assert_eq!(scene.world.ended().len(), ended);
        scene.world.delete("two.ics");
        scene.a_day_later().await;
    }
    // A person takes the old one out of a restored copy, or opts out.
    scene.world.save("one.ics", &old);
    edit(
        &scene.world,
        "one.ics",
        "SUMMARY:",
        "CATEGORIES:no-teams\r\nSUMMARY:",
    );
    scene.pass().await;
    scene.pass().await;
    assert!(!scene.text().contains("X-MEETBRIDGE"));
    assert!(!scene.text().contains("Join:"));
}

#[tokio::test]
async fn a_state_that_is_lost_in_the_middle_changes_no_event() {
    for other_first in [false, true] {
        let scene = Scene::switched().await;
        let (elsewhere, other) = twin(&scene).await;
        scene.rewrite().await;
        let texts = (scene.text(), elsewhere.text("two.ics"));
        let scene = scene.restarted_without_state();
        let before = (scene.world.effects(), elsewhere.effects());
        for n in 0..3 {
            if n > 0 || !other_first {
                scene.pass().await;
            }
            scene.bridge.pass(&other, Scope::All).await.unwrap();
        }
        assert_eq!((scene.text(), elsewhere.text("two.ics")), texts);
        assert_eq!((scene.world.effects(), elsewhere.effects()), before);
    }
}

#[tokio::test]
async fn a_form_that_only_the_service_knows_is_asked_for_and_then_moved_in_one_write() {
    let mut scene = Scene::switched().await.restarted_without_state();
    scene.calendar.form = as_events();
    let before = scene.world.effects();
    scene.pass().await;
    assert_eq!(scene.world.effects(), before);
    let report = scene.rewrite().await;
    assert_eq!((report.created, report.written), (1, 1));
    scene.assert_alive(EVENT);
}

#[tokio::test]
async fn no_calendar_that_alters_what_it_stores_is_moved_twice() {
    let drops: [&[&str]; 4] = [
        &["X-MEETBRIDGE"],
        &["CONFERENCE", "X-"],
        &["DTSTAMP", "X-MEETBRIDGE"],
        &["LOCATION", "DTSTAMP"],
    ];
    for (drops, restless) in drops.iter().flat_map(|d| [(d, false), (d, true)]) {
        let label = format!("{drops:?}, {restless}");
        let mut scene = Scene::new();
        scene.world.serve(Server {
            drops: drops.to_vec(),
            restless,
            ..Server::default()
        });
        scene.save("20261220T090000Z", "");
        for _ in 0..8 {
            scene.round().await;
        }
        scene.calendar.form = as_events();
        let before = scene.world.effects().1;
        scene.rewrite().await;
        for _ in 0..8 {
            scene.round().await;
        }
        let text = scene.text().replace("\r\n ", "");
        assert!(text.contains(&scene.world.url(EVENT)), "{label}: {text}");
        assert!(!text.contains(&scene.world.url("one@x")), "{label}: {text}");
        let written = scene.world.effects().1 - before;
        assert!(
            written <= if restless { 3 } else { 1 },
            "{label}: {written}"
        );
        rewrite(&scene.world, &scene.bridge, &scene.calendar).await;
        assert_eq!(scene.world.effects().1 - before, written, "{label}: twice");
    }
}

#[tokio::test]
async fn a_frozen_calendar_moves_and_ends_nothing() {
    let mut scene = Scene::switched().await;
    scene.deletes_what_it_replaces();
    let name = scene.calendar.name.clone();
    let frozen = |scene: &Scene, is: bool| {
        let mut record = scene.bridge.state.calendar(&name).unwrap();
        record.frozen = is.then(|| meetbridge::state::Frozen {
            since: meetbridge::clock::Clock::now(&*scene.world.clock),
            why: "many are gone".into(),
        });
        scene.bridge.state.put_calendar(&name, &record).unwrap();
    };
    frozen(&scene, true);
    let before = scene.world.effects();
    assert_eq!(scene.plan().await, ["frozen"]);
    scene.rewrite().await;
    assert_eq!(scene.world.effects(), before);
    frozen(&scene, false);
    scene.rewrite().await;
    frozen(&scene, true);
    assert_eq!(scene.a_day_later().await, 0);
    assert_eq!(scene.world.keys(), [EVENT, "one@x"]);
    frozen(&scene, false);
    assert_eq!(scene.a_day_later().await, 1);
}
