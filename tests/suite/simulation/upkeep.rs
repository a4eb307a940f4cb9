//! What has been over for long is forgotten, and nothing comes of it.

use chrono::Duration;
use meetbridge::clock::Clock as _;
use meetbridge::daemon::upkeep::prune;

use super::scenes::Scene;
use super::user::{calendar, edit, event};

impl Scene {
    /// So many days later, what has been over for long is forgotten; returns how many links are left.
    fn forgets(&self, days: i64) -> usize {
        self.world.clock.advance(Duration::days(days));
        prune(&self.bridge.state, &*self.world.clock).unwrap();
        let links = self.bridge.state.all_links(&self.calendar.name);
        links.unwrap().len()
    }

    /// Passes over everything, then decides everything anew: nothing is written and nothing asked.
    async fn is_quiet(&self) {
        let before = self.world.effects();
        self.pass().await;
        let name = &self.calendar.name;
        self.bridge.state.forget_decisions(name).unwrap();
        let report = self.pass().await;
        assert_eq!((report.read, report.adopted), (1, 0));
        assert!(self.pass().await.is_quiet());
        assert_eq!(self.world.effects(), before);
    }
}

#[tokio::test]
async fn a_link_that_is_forgotten_is_neither_written_nor_made_again() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    let linked = scene.text();
    assert_eq!(scene.forgets(100), 1, "it was over 82 days ago");
    assert_eq!(scene.forgets(10), 0);
    scene.is_quiet().await;
    assert_eq!(scene.text(), linked);
    assert_eq!(scene.forgets(1), 0, "it was not adopted again");
}

#[tokio::test]
async fn a_series_keeps_its_link_while_it_has_an_occurrence_ahead() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "RRULE:FREQ=MONTHLY;COUNT=12\r\n");
    scene.pass().await;
    // Its meeting is moved on at 39 days after each end.
    for _ in 0..10 {
        assert_eq!(scene.forgets(30), 1);
        scene.pass().await;
    }
    for _ in 0..5 {
        scene.forgets(40);
        scene.pass().await;
    }
    assert_eq!(scene.forgets(0), 0, "it was over half a year ago");
    scene.is_quiet().await;
}

#[tokio::test]
async fn an_event_of_the_past_that_is_moved_ahead_has_its_meeting_brought_up_to_date() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    let url = scene.world.url("one@x");
    assert_eq!(scene.forgets(120), 0);
    for (from, to) in [
        ("20261120T09", "20270420T09"),
        ("20261120T10", "20270420T10"),
    ] {
        edit(&scene.world, "one.ics", from, to);
    }
    let (calls, _) = scene.world.effects();
    scene.pass().await;
    scene.pass().await;
    assert!(
        scene.world.effects().0 > calls,
        "its meeting is as old as its last time"
    );
    assert_eq!(
        scene.world.held("one@x").to_rfc3339(),
        "2027-04-20T09:00:00+00:00"
    );
    assert_eq!((scene.world.url("one@x"), scene.world.meetings()), (url, 1));
    assert_eq!(scene.forgets(0), 1);
}

#[tokio::test]
async fn a_removal_is_remembered_until_its_event_is_long_over() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    scene.pass().await;
    scene.take_out("");
    scene.pass().await;
    scene.pass().await;
    assert_eq!(scene.forgets(60), 1);
    assert_eq!(scene.forgets(60), 0);
    scene.is_quiet().await;
}

#[tokio::test]
async fn a_link_without_its_mark_is_remembered() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    let text = scene.text();
    let lines = text.split_inclusive("\r\n");
    let unmarked = lines.filter(|line| !line.starts_with("X-MEETBRIDGE-MEETING"));
    scene.world.save("one.ics", &unmarked.collect::<String>());
    scene.pass().await;
    assert_eq!(scene.forgets(120), 1);
    let one = event("two@x", "20270420T090000Z", "Two", "");
    scene.world.save("two.ics", &calendar(&[one]));
    let due = scene.world.clock.now();
    scene.pass().await;
    assert!(scene.world.clock.now() > due);
    assert_eq!(scene.forgets(0), 2);
}
