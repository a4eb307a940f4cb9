//! Promise 8: no mass action. Thirty linked events, of which some are gone at once, or seem to be.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use meetbridge::calendar::Scope;
use meetbridge::state::State;

use super::generate::{Event, Override, Story, calendar};
use super::rng::Rng;
use super::server::Server;
use super::text::{Line, Text};
use super::user::{Act, Memory, What, act};
use super::world::World;

const EVENTS: usize = 30;

/// How the links come to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// A person, or a program, deletes the resources.
    Deleted,
    /// The link is taken out of them.
    TakenOut,
    /// One listing is short.
    Hidden,
    /// Listings break off.
    BrokenOff,
}

/// Plays the scenario of one seed; says what did not hold.
pub(super) async fn play(seed: u64, state: &Arc<State>, run: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let how = rng.pick(&[How::Deleted, How::TakenOut, How::Hidden, How::BrokenOff]);
    let gone = 1 + rng.below(EVENTS);
    let remote = rng.chance(50);
    let said = format!("seed {seed}: {how:?}, {gone} of {EVENTS}, on a server: {remote}");
    let story = story(&mut rng, remote);
    let world = World::new(&story, run);
    let (bridge, watched) = (world.bridge(state), world.watched(&story));
    let pass = async |times: usize| {
        for _ in 0..times {
            world.clock.advance(TimeDelta::seconds(61));
            let scope = if remote {
                Scope::News(None)
            } else {
                Scope::All
            };
            let passed = bridge.pass(&watched, scope).await;
            let state = &bridge.state;
            let due = state.due(&watched.name, world.now()).unwrap();
            if passed.is_ok() && !due.is_empty() {
                let due = Scope::Only(due.into_iter().collect());
                bridge.pass(&watched, due).await.unwrap();
            }
            bridge.end_meetings(&watched).await.unwrap();
        }
    };
    let is_frozen = || {
        bridge
            .state
            .calendar(&watched.name)
            .unwrap()
            .frozen
            .is_some()
    };
    let ended = || world.made().1.len();

    for (at, events) in story.resources.iter().enumerate() {
        world.save(
            &format!("r{at:02}.ics"),
            &calendar(story.shape, events, run),
        );
    }
    pass(4).await;
    let linked = world.made().0.len();
    if linked != EVENTS {
        return Err(format!("{said}: {linked} were linked"));
    }
    let names = world.names();
    lose(&world, how, &names[..gone], run);
    pass(1).await;
    world.hide(BTreeSet::new());
    world.break_off(false);
    pass(3).await;

    let really = matches!(how, How::Deleted | How::TakenOut);
    let mass = really && gone > 20;
    if is_frozen() != mass {
        return Err(format!("{said}: frozen: {}", !mass));
    }
    // Whatever is new is linked, but in a frozen calendar.
    let new = Event {
        n: 40,
        title: "new",
        attendees: true,
        ..Event::default()
    };
    world.save("new.ics", &calendar(story.shape, &[new], run));
    pass(2).await;
    let made = world.made().0.len() - EVENTS;
    if made != usize::from(!mass) {
        return Err(format!("{said}: {made} new meetings"));
    }
    if ended() > 0 {
        return Err(format!(
            "{said}: {} meetings ended before the grace time",
            ended()
        ));
    }
    world.clock.advance(TimeDelta::hours(25));
    pass(2).await;
    let expected = if really && !mass { gone } else { 0 };
    if ended() != expected {
        return Err(format!(
            "{said}: {} meetings ended, not {expected}",
            ended()
        ));
    }
    if mass {
        bridge.state.resume(&watched.name, world.now()).unwrap();
        pass(3).await;
        if is_frozen() || world.made().0.len() != EVENTS + 1 {
            return Err(format!("{said}: an operator's consent changes nothing"));
        }
    }
    Ok(())
}

fn story(rng: &mut Rng, remote: bool) -> Story {
    let server = Server {
        remote,
        ..Server::default()
    };
    let events = (0..EVENTS).map(|at| {
        let recurring = rng.chance(30);
        let overrides = if recurring { rng.below(2) } else { 0 };
        vec![Event {
            n: 1 + at % 12 + 12 * (at / 12),
            title: "Weekly",
            attendees: true,
            recurring,
            overrides: vec![Override::default(); overrides],
            ..Event::default()
        }]
    });
    Story {
        server,
        resources: events.collect(),
        language: "en-US",
        deletes: true,
        ..Story::default()
    }
}

fn lose(world: &World, how: How, names: &[String], run: u64) {
    match how {
        How::Deleted => names.iter().for_each(|name| world.delete(name)),
        How::TakenOut => {
            let remove = Act {
                what: What::RemoveAll,
                target: 0,
                dice: 1,
                hasty: false,
                sloppy: false,
            };
            for at in 0..names.len() {
                let remove = Act {
                    target: at,
                    ..remove.clone()
                };
                act(&remove, world, &mut Memory::default(), run);
            }
            // Programs that touch what they store.
            for name in names {
                let mut text = Text::parse(&world.bytes(name).unwrap());
                for uid in text.uids() {
                    text.edit(&uid, |lines| {
                        lines.insert(1, Line(b"X-TOUCHED:1\r\n".to_vec()))
                    });
                }
                world.save(name, &text.bytes());
            }
        }
        How::Hidden => world.hide(names.iter().cloned().collect()),
        How::BrokenOff => world.break_off(true),
    }
}
