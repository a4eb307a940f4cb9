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

/// A world with its bridge, whose state is in memory of the file system for as long as it lives.
struct Scene {
    world: Arc<World>,
    bridge: Bridge,
    calendar: Watched,
    home: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
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
    async fn pass(&self) -> Report {
        self.world.clock.advance(chrono::Duration::minutes(1));
        self.bridge.pass(&self.calendar, Scope::All).await.unwrap()
    }

    fn due(&self) -> Vec<ResourceId> {
        let (name, now) = (&self.calendar.name, self.world.clock.now());
        self.bridge.state.due(name, now).unwrap()
    }

    /// An event, saved as `one.ics`.
    fn save(&self, start: &str, more: &str) {
        let one = calendar(&[event("one@x", start, "One", more)]);
        self.world.save("one.ics", &one);
    }

    fn text(&self) -> String {
        self.world.text("one.ics").unwrap()
    }

    /// The same with the state lost.
    fn restarted_without_state(self) -> Self {
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
async fn what_is_due_and_cannot_be_read_is_not_due_for_ever() {
    let mut scene = Scene::new();
    scene.calendar.rules.settle = Duration::from_secs(30);
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
