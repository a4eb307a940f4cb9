//! Scenes on a calendar server, which tells what changed since a token.

use meetbridge::calendar::{Attendees, Scope, SyncToken};
use meetbridge::model::ResourceId;
use meetbridge::state::Phase;
use meetbridge::sync::Report;

use super::scenes::Scene;
use super::user::{calendar, edit, event};
use super::world::{Faults, Server};

impl Scene {
    pub(super) fn on_a_server() -> Self {
        let scene = Self::new();
        scene.world.serve(Server::default());
        scene
    }

    /// A minute later, a pass over what changed.
    pub(super) async fn news(&self) -> Report {
        self.world.clock.advance(chrono::Duration::minutes(1));
        let news = Scope::News(None);
        self.bridge.pass(&self.calendar, news).await.unwrap()
    }

    fn phases(&self, name: &str) -> Vec<Phase> {
        let (calendar, id) = (&self.calendar.name, ResourceId::new(name));
        let links = self.bridge.state.links(calendar, &id).unwrap();
        links.into_iter().map(|link| link.phase).collect()
    }

    fn token(&self) -> Option<SyncToken> {
        self.bridge
            .state
            .calendar(&self.calendar.name)
            .unwrap()
            .token
    }
}

fn since(token: &Option<SyncToken>) -> Scope {
    Scope::News(token.clone())
}

#[tokio::test]
async fn news_begin_with_a_listing_and_go_on_from_its_token() {
    let scene = Scene::on_a_server();
    scene.save("20261120T090000Z", "");
    assert_eq!(scene.news().await.written, 1);
    assert_eq!(scene.world.reads(), [(Scope::All, 0)]);
    let first = scene.token();
    assert!(first.is_some());

    // Our own write comes back as news: what was written is there, and is not read again.
    let report = scene.news().await;
    assert_eq!((report.read, report.written), (0, 0));
    assert_eq!(scene.world.reads(), [(since(&first), 0)]);
    assert_eq!(scene.phases("one.ics"), [Phase::Seen]);

    // With nothing changed, nothing is known, read or written.
    let (token, effects) = (scene.token(), scene.world.effects());
    let stored = scene.bridge.state.calendar(&scene.calendar.name).unwrap();
    for _ in 0..2 {
        assert_eq!(scene.news().await, Report::default());
        assert_eq!(scene.world.reads(), [(since(&token), 0)]);
    }
    assert_eq!(scene.world.effects(), effects);
    let after = scene.bridge.state.calendar(&scene.calendar.name).unwrap();
    assert_eq!(after, stored);
}

#[tokio::test]
async fn a_token_that_the_server_forgot_costs_one_listing_in_the_same_pass() {
    let scene = Scene::on_a_server();
    scene.save("20261120T090000Z", "");
    scene.news().await;
    scene.news().await;
    let old = scene.token();
    scene.world.serve(Server {
        oldest: 1_000,
        ..Server::default()
    });
    edit(&scene.world, "one.ics", "20261120T09", "20261120T11");
    scene.world.reads();
    assert_eq!(scene.news().await.updated, 1);
    assert_eq!(scene.world.reads(), [(since(&old), 0), (Scope::All, 1)]);
}

#[tokio::test]
async fn changed_rules_are_applied_to_all_of_it_though_the_first_try_fails() {
    let mut scene = Scene::on_a_server();
    scene.save("20261120T090000Z", "CLASS:PRIVATE\r\n");
    scene.news().await;
    assert!(!scene.text().contains("X-MEETBRIDGE"));
    scene.calendar.rules.private = true;
    scene.world.fail(Faults {
        silent: true,
        ..Faults::default()
    });
    let news = Scope::News(None);
    scene.bridge.pass(&scene.calendar, news).await.unwrap_err();
    scene.world.fail(Faults::default());
    scene.news().await;
    assert!(scene.text().contains("X-MEETBRIDGE"));
}

#[tokio::test]
async fn what_was_never_there_cannot_vanish() {
    let scene = Scene::on_a_server();
    scene.save("20261120T090000Z", "");
    scene.news().await;
    scene.news().await;
    scene.world.serve(Server {
        phantoms: vec!["never.ics"],
        ..Server::default()
    });
    assert_eq!(scene.news().await, Report::default());
    let record = scene.bridge.state.calendar(&scene.calendar.name).unwrap();
    scene.news().await;
    let after = scene.bridge.state.calendar(&scene.calendar.name).unwrap();
    assert_eq!(after, record, "it is no change either");
}

#[tokio::test]
async fn what_could_not_be_read_is_read_later_though_it_is_told_once() {
    let scene = Scene::on_a_server();
    scene.news().await;
    scene.save("20261120T090000Z", "");
    scene.news().await;
    edit(&scene.world, "one.ics", "SUMMARY:One", "SUMMARY:Two");
    scene.world.fail(Faults {
        unreadable: Some("one.ics".into()),
        ..Faults::default()
    });
    assert_eq!(scene.news().await.failed, 1);
    scene.world.fail(Faults::default());
    assert_eq!(scene.news().await.read, 0);
    assert_eq!(scene.due(), []);
    scene.world.clock.advance(chrono::Duration::minutes(15));
    let due = Scope::Only(scene.due().into_iter().collect());
    let report = scene.bridge.pass(&scene.calendar, due).await.unwrap();
    assert_eq!((report.read, report.updated), (1, 1));
    assert_eq!(scene.due(), []);
}

#[tokio::test]
async fn a_pass_that_broke_off_hears_the_same_news_again() {
    let scene = Scene::on_a_server();
    scene.save("20261120T090000Z", "");
    scene.news().await;
    scene.news().await;
    let token = scene.token();
    edit(&scene.world, "one.ics", "SUMMARY:One", "SUMMARY:Two");
    scene.world.fail(Faults {
        cut_short: true,
        ..Faults::default()
    });
    let news = Scope::News(None);
    scene.bridge.pass(&scene.calendar, news).await.unwrap_err();
    assert_eq!(scene.token(), token);
    scene.world.fail(Faults::default());
    assert_eq!(scene.news().await.updated, 1);
}

#[tokio::test]
async fn a_preview_says_who_would_be_told_of_what() {
    let mut scene = Scene::on_a_server();
    scene.calendar.rules.select = meetbridge::plan::Select::All;
    let alone = event("two@x", "20261120T090000Z", "Two", "");
    let alone = alone.replace("ATTENDEE:mailto:bob@x\r\n", "");
    let one = event("one@x", "20261120T090000Z", "One", "");
    scene.world.save("one.ics", &calendar(&[one, alone]));
    let preview = scene.bridge.preview(&scene.calendar).await.unwrap();
    assert_eq!(preview.attendees, Attendees::Told);
    let rows: Vec<_> = preview
        .rows
        .iter()
        .map(|row| (row.uid.as_str(), row.decision.name(), row.has_guests))
        .collect();
    assert_eq!(rows, [("one@x", "link", true), ("two@x", "link", false)]);
    assert_eq!(scene.world.effects(), (0, 0));
    let here = Scene::new();
    let preview = here.bridge.preview(&here.calendar).await.unwrap();
    assert_eq!(preview.attendees, Attendees::NotTold);
}
