//! A small deterministic simulation: one user, one calendar, ports in memory, and a crash, or an edit
//! of the user, at every await point in turn. What must hold at rest are promises 1 to 6.

mod keeps;
mod life;
mod losses;
mod people;
mod rewrite;
mod scenes;
mod server;
mod switch;
mod upkeep;
mod user;
mod world;

use std::sync::Arc;

use meetbridge::calendar::Scope;
use meetbridge::clock::Clock as _;
use meetbridge::model::ResourceId;
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Watched};

use user::Script;
use world::{Happens, Server, World, watched};

/// What happens at the chosen await point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The process dies; the state is as it was on disk.
    Crash,
    /// The process dies and its state is lost.
    CrashAndLoseState,
    /// The user saves an edit.
    Edit,
    /// Another daemon passes over the calendar.
    OtherPass,
}

#[tokio::test]
async fn a_crash_at_every_point_is_harmless() {
    every_point(Event::Crash, None).await;
}

#[tokio::test]
async fn a_crash_at_every_point_is_harmless_on_a_server() {
    every_point(Event::Crash, Some(Server::default())).await;
}

#[tokio::test]
async fn a_crash_that_loses_the_state_is_harmless() {
    every_point(Event::CrashAndLoseState, None).await;
}

#[tokio::test]
async fn a_crash_that_loses_the_state_is_harmless_on_a_server() {
    every_point(Event::CrashAndLoseState, Some(Server::default())).await;
}

#[tokio::test]
async fn an_edit_at_every_point_is_kept() {
    every_point(Event::Edit, None).await;
}

#[tokio::test]
async fn an_edit_at_every_point_is_kept_on_a_server() {
    every_point(Event::Edit, Some(Server::default())).await;
}

#[tokio::test]
async fn two_daemons_share_one_meeting_per_event_and_come_to_rest() {
    every_point(Event::OtherPass, None).await;
}

#[tokio::test]
async fn two_daemons_share_one_meeting_per_event_and_come_to_rest_on_a_server() {
    every_point(Event::OtherPass, Some(Server::default())).await;
}

#[tokio::test]
async fn a_join_url_may_have_any_host() {
    let world = World::joining_at("https://teams.sovereign.example/any/");
    let home = tempfile::tempdir().unwrap();
    let mut bridge = Some(start(&world, home.path()));
    let mut script = Script::new();
    while script.step(&world) {
        pass(&world, home.path(), Event::Crash, &mut bridge).await;
    }
    world.check_at_rest("a host that no provider is known by", true);
    let before = world.effects();
    assert!(before.0 > 0 && before.1 > 0);
    pass(&world, home.path(), Event::Crash, &mut bridge).await;
    drop(bridge.take());
    lose(home.path());
    pass(&world, home.path(), Event::Crash, &mut bridge).await;
    assert_eq!(world.effects(), before);
    world.check_at_rest("the same, without its state", true);
}

#[tokio::test]
async fn encoded_text_is_no_place_to_write_and_costs_nothing() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let event = |uid: &str, line: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n{line}\r\n\
             DTSTART:20261120T090000Z\r\nATTENDEE:mailto:bob@x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    world.save(
        "place.ics",
        &event("one@x", "LOCATION;ENCODING=QUOTED-PRINTABLE:"),
    );
    world.save(
        "text.ics",
        &event("two@x", "DESCRIPTION;ENCODING=QUOTED-PRINTABLE:=C3=BC"),
    );
    let calendar = watched(&world);
    let outcome = |report: meetbridge::sync::Report| report.outcome.into_iter().collect::<Vec<_>>();
    let stands = ["in-step", "not-understood"].map(|name| (name.to_owned(), 1));

    let first = start(&world, home.path())
        .pass(&calendar, Scope::All)
        .await
        .unwrap();
    assert_eq!(outcome(first), stands);
    assert_eq!(world.effects(), (1, 1), "one meeting, one write");

    // Whatever is remembered: the files are read again, and nothing follows.
    for lost in [false, true] {
        if lost {
            lose(home.path());
        }
        let bridge = start(&world, home.path());
        for scope in [
            Scope::All,
            Scope::Only(["place.ics", "text.ics"].map(ResourceId::new).into()),
        ] {
            let report = bridge.pass(&calendar, scope.clone()).await.unwrap();
            if lost || scope != Scope::All {
                assert_eq!(outcome(report), stands, "lost: {lost}, {scope:?}");
            }
            assert_eq!(world.effects(), (1, 1), "lost: {lost}, {scope:?}");
        }
    }
}

/// Plays the script once for every await point, with `event` at that point, until a run ends without
/// having reached its point.
async fn every_point(event: Event, server: Option<Server>) {
    let mut point = 1;
    while play(event, point, server.clone()).await {
        point += 1;
        assert!(point < 2_000, "the script never ends");
    }
    assert!(
        point > 40,
        "only {point} points: the script does too little"
    );
}

/// Plays the whole script; returns whether the point was reached.
async fn play(event: Event, point: usize, server: Option<Server>) -> bool {
    let world = World::new();
    server.into_iter().for_each(|server| world.serve(server));
    let home = tempfile::tempdir().unwrap();
    let other_home = tempfile::tempdir().unwrap();
    world.join(State::open(other_home.path(), world.clock.now()).unwrap().0);
    world.arm(
        point,
        match event {
            Event::Crash | Event::CrashAndLoseState => Happens::Crash,
            Event::Edit => Happens::Edit,
            Event::OtherPass => Happens::OtherPass,
        },
    );
    let mut script = Script::new();
    let mut bridge = Some(start(&world, home.path()));
    while script.step(&world) {
        pass(&world, home.path(), event, &mut bridge).await;
    }
    let reached = world.reached();
    world.disarm();
    for _ in 0..4 {
        pass(&world, home.path(), event, &mut bridge).await;
    }
    let label = format!("{event:?} at point {point}");
    // A change of an event's time that is lost together with the state shows in the next change only:
    // nothing tells the meeting's time but the service, and a lost state asks it for nothing.
    let times = event != Event::CrashAndLoseState;
    world.check_at_rest(&label, times);

    if event == Event::OtherPass {
        for _ in 0..2 {
            world.other_pass().await;
            pass(&world, home.path(), event, &mut bridge).await;
        }
        let rest = world.effects();
        world.other_pass().await;
        assert_eq!(world.effects(), rest, "{label}: two daemons never rest");
        world.check_at_rest(&format!("{label}, both"), times);
    }

    // Promise 6: with nothing changed, a pass writes nothing and asks for nothing.
    let before = world.effects();
    let known = state_of(&bridge);
    pass(&world, home.path(), event, &mut bridge).await;
    assert_eq!(world.effects(), before, "{label}: a quiet pass has effects");
    assert_eq!(
        state_of(&bridge),
        known,
        "{label}: a quiet pass writes the state"
    );

    // Promise 5: a lost state loses no link, makes no meeting, changes no event.
    drop(bridge.take());
    lose(home.path());
    bridge = Some(start(&world, home.path()));
    pass(&world, home.path(), event, &mut bridge).await;
    assert_eq!(world.effects(), before, "{label}: a lost state has effects");
    world.check_at_rest(&format!("{label}, state lost afterwards"), times);
    reached
}

/// One pass, and, when it dies in it, a restart and another.
async fn pass(
    world: &Arc<World>,
    home: &std::path::Path,
    event: Event,
    bridge: &mut Option<Bridge>,
) {
    world.clock.advance(chrono::Duration::minutes(1));
    loop {
        let crashed = {
            let running = bridge.get_or_insert_with(|| start(world, home));
            let calendar = watched(world);
            tokio::select! {
                biased;
                () = world.crashed() => true,
                () = look(world, running, &calendar) => false
            }
        };
        if !crashed {
            return;
        }
        drop(bridge.take());
        if event == Event::CrashAndLoseState {
            lose(home);
        }
    }
}

/// A pass over what changed, and over what is due where the calendar is not listed.
async fn look(world: &Arc<World>, bridge: &Bridge, calendar: &Watched) {
    let news = world.news();
    bridge.pass(calendar, news.clone()).await.unwrap();
    let due = bridge.state.due(&calendar.name, world.clock.now()).unwrap();
    if news != Scope::All && !due.is_empty() {
        let due = Scope::Only(due.into_iter().collect());
        bridge.pass(calendar, due).await.unwrap();
    }
}

fn start(world: &Arc<World>, home: &std::path::Path) -> Bridge {
    let (state, damaged) = State::open(home, world.clock.now()).unwrap();
    assert_eq!(damaged, None);
    world.bridge(Arc::new(state))
}

fn lose(home: &std::path::Path) {
    for entry in std::fs::read_dir(home).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

fn state_of(bridge: &Option<Bridge>) -> String {
    let state = &bridge.as_ref().unwrap().state;
    format!("{:?}", state.overview().unwrap())
}
