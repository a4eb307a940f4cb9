//! Scenes on calendar servers that drop a part of what they store.

use std::collections::BTreeSet;

use meetbridge::calendar::Scope;
use meetbridge::ical::event::Place;
use meetbridge::state::Kept;
use meetbridge::sync::Report;

use super::scenes::Scene;
use super::user::{calendar, edit, event};
use super::world::{Faults, Server};

impl Scene {
    fn dropping(drops: &[&'static str], restless: bool) -> Self {
        let scene = Self::new();
        scene.drop_from_now_on(drops, restless);
        scene
    }

    fn drop_from_now_on(&self, drops: &[&'static str], restless: bool) {
        self.world.serve(Server {
            drops: drops.to_vec(),
            restless,
            ..Server::default()
        });
    }

    /// What the daemon does when something changed: news, and what they left to be done at once.
    pub(super) async fn round(&self) -> Report {
        let mut report = self.news().await;
        while !report.again.is_empty() {
            let again = Scope::Only(std::mem::take(&mut report.again));
            report.merge(self.bridge.pass(&self.calendar, again).await.unwrap());
        }
        report
    }

    fn kept(&self) -> Kept {
        let record = self.bridge.state.calendar(&self.calendar.name);
        record.unwrap().kept
    }

    fn put_many(&self, n: usize) {
        for at in 0..n {
            let one = event(&format!("{at}@x"), "20261120T090000Z", "One", "");
            self.world.save(&format!("{at}.ics"), &calendar(&[one]));
        }
    }

    /// Nothing follows any more.
    async fn assert_rest(&self) {
        let effects = self.world.effects();
        for _ in 0..5 {
            self.round().await;
        }
        assert_eq!(self.world.effects(), effects);
        // Decided again, for whatever reason, it stands as well.
        self.bridge
            .state
            .forget_decisions(&self.calendar.name)
            .unwrap();
        self.round().await;
        assert_eq!(self.world.effects(), effects);
    }
}

fn known(drops: &[Place]) -> Kept {
    Kept::Known(drops.iter().copied().collect::<BTreeSet<_>>())
}

#[tokio::test]
async fn the_first_link_shows_what_a_calendar_keeps() {
    let scene = Scene::on_a_server();
    scene.put_many(10);
    let report = scene.round().await;
    assert_eq!((report.written, report.read), (10, 11), "one is read again");
    assert_eq!(scene.kept(), known(&[]));
    scene.assert_rest().await;
    scene.put_many(12);
    assert_eq!(scene.round().await.read, 12);
}

#[tokio::test]
async fn what_a_server_drops_is_written_once_and_not_missed() {
    for restless in [false, true] {
        let scene = Scene::dropping(&["CONFERENCE", "X-MICROSOFT"], restless);
        scene.put_many(10);
        scene.round().await;
        assert_eq!(scene.kept(), known(&[Place::Conference, Place::SkypeTeams]));
        assert_eq!(scene.world.effects(), (10, 10), "restless: {restless}");
        scene.assert_rest().await;
        // What it keeps is restored all the same.
        let text = scene.world.text("1.ics").unwrap().replace("\r\n ", "");
        let rest = text
            .split_inclusive("\r\n")
            .filter(|l| !l.starts_with("URL:"));
        scene.world.save("1.ics", &rest.collect::<String>());
        assert_eq!(scene.round().await.written, 1);
        assert!(scene.world.text("1.ics").unwrap().contains("\r\nURL:"));
        scene.assert_rest().await;
    }
}

#[tokio::test]
async fn a_server_that_keeps_no_stamp_is_learned_from_and_comes_to_rest() {
    let scene = Scene::dropping(&["CONFERENCE", "DTSTAMP"], false);
    scene.put_many(10);
    scene.round().await;
    assert_eq!(scene.kept(), known(&[Place::Conference]));
    assert_eq!(scene.world.effects(), (10, 10));
    scene.assert_rest().await;

    // Where the version tells nothing either, only the number of writes ends it.
    let scene = Scene::dropping(&["CONFERENCE", "DTSTAMP"], true);
    scene.put_many(3);
    for _ in 0..10 {
        scene.world.clock.advance(chrono::Duration::hours(1));
        let name = &scene.calendar.name;
        scene.bridge.state.forget_decisions(name).unwrap();
        scene.round().await;
    }
    assert!(
        scene.world.effects().1 <= 3 * 3,
        "{:?}",
        scene.world.effects()
    );
    scene.assert_rest().await;
}

#[tokio::test]
async fn a_lost_state_costs_one_write_where_a_server_drops_a_part() {
    let scene = Scene::dropping(&["CONFERENCE"], false);
    scene.put_many(10);
    scene.round().await;
    let scene = scene.restarted_without_state();
    let before = scene.world.effects();
    scene.round().await;
    assert_eq!(scene.kept(), known(&[Place::Conference]));
    let after = scene.world.effects();
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
    scene.world.clock.advance(chrono::Duration::hours(1));
    let due = Scope::Only(scene.due().into_iter().collect());
    scene.bridge.pass(&scene.calendar, due).await.unwrap();
    scene.assert_rest().await;
    assert_eq!(scene.world.effects(), after);
}

#[tokio::test]
async fn a_place_that_is_kept_again_is_written_again() {
    let scene = Scene::dropping(&["CONFERENCE"], false);
    scene.put_many(2);
    scene.round().await;
    scene.drop_from_now_on(&[], false);
    edit(&scene.world, "0.ics", "URL:", "X-URL:");
    scene.round().await;
    edit(&scene.world, "0.ics", "SUMMARY:One", "SUMMARY:Two");
    scene.round().await;
    assert_eq!(scene.kept(), known(&[]));
    edit(&scene.world, "1.ics", "SUMMARY:One", "SUMMARY:Two");
    scene.round().await;
    assert!(scene.world.text("1.ics").unwrap().contains("CONFERENCE"));
    scene.assert_rest().await;
}

#[tokio::test]
async fn a_server_that_comes_to_drop_a_part_ends_no_rest() {
    let scene = Scene::on_a_server();
    scene.put_many(1);
    scene.round().await;
    scene.drop_from_now_on(&["CONFERENCE"], true);
    scene.put_many(3);
    scene.round().await;
    for _ in 0..5 {
        scene.round().await;
    }
    scene.assert_rest().await;
    assert!(
        scene.world.effects().1 <= 3 * 3,
        "{:?}",
        scene.world.effects()
    );
}

#[tokio::test]
async fn what_no_lesson_shows_is_written_a_few_times_at_most() {
    // A server that keeps no visible part of the link never shows what it keeps.
    let all = [
        "CONFERENCE",
        "X-MICROSOFT",
        "URL",
        "LOCATION",
        "DESCRIPTION",
    ];
    let scene = Scene::dropping(&all, true);
    scene.put_many(3);
    for _ in 0..5 {
        scene.round().await;
    }
    assert!(
        scene.world.effects().1 <= 3 * 2,
        "{:?}",
        scene.world.effects()
    );
    scene.assert_rest().await;
}

#[tokio::test]
async fn a_lesson_that_somebody_edited_is_given_by_the_next_write() {
    let scene = Scene::dropping(&["CONFERENCE"], false);
    scene.put_many(1);
    scene.news().await;
    let text = scene.world.text("0.ics").unwrap();
    let dated = text.replace("DTSTAMP:2026", "DTSTAMP:2027");
    scene.world.save("0.ics", &dated);
    scene.round().await;
    assert_eq!(scene.kept(), known(&[Place::Conference]));
    scene.assert_rest().await;
}

#[tokio::test]
async fn a_calendar_that_takes_no_write_teaches_nothing() {
    let scene = Scene::on_a_server();
    scene.put_many(2);
    scene.world.fail(Faults {
        read_only: true,
        ..Faults::default()
    });
    scene.round().await;
    assert_eq!(scene.kept(), Kept::Unknown);
}
