//! kill -9 beside a real server (DESIGN.md, promise 4), and a state that is lost.

use super::super::support::wait_until;
use super::Scene;
use crate::servers::harness::Kind;

/// Events whose links are written while the daemon is killed.
const EVENTS: usize = 6;
/// So often it is killed.
const KILLS: usize = 6;

/// Kills the daemon as soon as so many requests were sent since it began, over and over, with one
/// request more each time, until all is done; then nothing is left to do.
fn killed(kind: Kind) {
    let mut scene = Scene::new(kind, "Killed");
    let uids: Vec<_> = (0..EVENTS)
        .map(|n| format!("killed-{n}@example.org"))
        .collect();
    for (uid, hours) in uids.iter().zip(24..) {
        scene.create(uid, hours);
    }
    let before: Vec<_> = uids.iter().map(|uid| scene.lines(uid)).collect();
    // Past the way to the calendar and its first listing.
    for more in (6..).step_by(2).take(KILLS) {
        let begun = scene.tap.seen().len();
        let mut daemon = scene.world.start(&["run"]);
        wait_until("so many requests", || {
            assert!(!daemon.has_ended(), "{}", daemon.log());
            scene.tap.seen().len() >= begun + more || scene.puts() >= EVENTS
        });
        daemon.kill();
    }
    scene.world.sync();
    scene.is_quiet();
    scene.is_right(&uids, &before);
    assert!(
        scene.puts() <= EVENTS + KILLS,
        "a write that was lost is made once more at most"
    );

    // Without the state, every link is found in its event.
    let (puts, asked) = (scene.puts(), scene.asked());
    std::fs::remove_dir_all(scene.world.path("state")).unwrap();
    scene
        .world
        .sync()
        .shows(&["0 meetings made", "0 resources written"]);
    assert_eq!((scene.puts(), scene.asked()), (puts, asked));
    scene.is_right(&uids, &before);
}

impl Scene {
    fn is_right(&mut self, uids: &[String], before: &[Vec<Vec<String>>]) {
        self.has_one_meeting_each(uids);
        for (uid, before) in uids.iter().zip(before) {
            assert!(self.is_linked(uid), "{uid}");
            super::assert_kept(before, &self.lines(uid));
        }
    }
}

#[test]
fn a_daemon_that_is_killed_leaves_nothing_twice_on_radicale() {
    killed(Kind::Radicale);
}

#[test]
fn a_daemon_that_is_killed_leaves_nothing_twice_on_xandikos() {
    killed(Kind::Xandikos);
}
