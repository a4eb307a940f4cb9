//! Random people, calendars and servers: what must hold is asked of the design, not of the code.
//!
//! A story comes from one seed: a calendar ([`generate`]), how its store behaves ([`server`]), and what
//! people do ([`user`]). It is played ([`run`]) against the bridge with everything outside in memory
//! ([`world`]); after each act the calendar comes to rest, and [`model`] says what must stand there.
//! Promises 1, 2, 5, 6, 7, 12 and 13 are asked of each story, promise 8 of those in [`mass`].
//!
//! A story that fails is made smaller as far as it still fails, and printed with the command that plays
//! it again:
//!
//! - `MEETBRIDGE_SEED=n cargo test --test suite people` plays the story of one seed.
//! - `MEETBRIDGE_CASES=100000 cargo test --test suite people -- --nocapture` is the long run.

mod generate;
mod mass;
mod model;
mod rng;
mod run;
mod server;
mod text;
mod user;
mod world;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use meetbridge::state::State;

use generate::Story;
use server::Server;
use user::{Act, What};

/// How many stories are played of fixed seeds, and of fresh ones.
const FIXED: u64 = 200;
const FRESH: u64 = 25;

/// How many stories share a state: opening one costs more than most of them.
const SHARED: usize = 25;

/// How often a story is played to make it smaller.
const TRIES: usize = 2_000;

/// So many stories that fail end a run: a long one is to find many at once.
const ENOUGH: usize = 50;

#[test]
fn people_win_whatever_they_and_their_servers_do() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    if let Some(seed) = number("MEETBRIDGE_SEED") {
        return many(std::iter::once(seed).collect());
    }
    let fresh = fresh_seed();
    println!("fresh seeds from {fresh}");
    let (fixed, more) = match number("MEETBRIDGE_CASES") {
        Some(cases) => (FIXED.min(cases), cases.saturating_sub(FIXED)),
        None => (FIXED, FRESH),
    };
    many((0..fixed).chain((0..more).map(|n| fresh + n)).collect());
}

#[test]
fn a_link_that_was_taken_out_stays_out_where_the_mark_is_dropped() {
    let server = Server {
        remote: true,
        drops_x: true,
        ..Default::default()
    };
    plays(Story {
        server,
        ..one(&[What::RemoveVisible])
    });
}

#[test]
fn a_join_url_that_is_left_in_one_place_counts_whatever_its_host_is() {
    plays(Story {
        sovereign: true,
        ..at_once(&[
            What::RemoveBlock,
            What::RemoveLocation,
            What::DropConference,
            What::DropX,
        ])
    });
}

#[test]
fn a_link_that_was_taken_out_stays_out_where_its_event_is_moved() {
    plays(one(&[What::RemoveAll, What::Move]));
}

#[test]
fn a_mention_of_another_event_outlives_the_state() {
    plays(beside_another(one(&[What::Mention, What::LoseState])));
}

#[test]
fn a_mention_is_one_whether_or_not_its_event_is_read_first() {
    let acts = [What::Mention, What::RemoveAll, What::LoseState];
    plays(beside_another(one(&acts)));
}

#[test]
fn a_mention_of_an_event_that_is_gone_outlives_the_state_where_a_part_is_dropped() {
    let server = Server {
        remote: true,
        drops_conference: true,
        ..Default::default()
    };
    let mut story = beside_another(one(&[What::Mention, What::Delete, What::LoseState]));
    story.acts[1].target = 1;
    plays(Story { server, ..story });
}

#[test]
fn a_link_comes_back_though_another_event_is_mentioned_meanwhile() {
    plays(beside_another(one(&[
        What::Tag,
        What::Mention,
        What::Untag,
    ])));
}

#[test]
fn a_tag_that_took_a_link_out_keeps_none_out_when_it_goes_elsewhere() {
    let mut story = one(&[What::Tag, What::Move, What::Move, What::Untag]);
    story.acts[0].hasty = true;
    plays(story);
}

#[test]
fn another_conference_that_comes_while_its_event_is_moved_takes_the_link_out() {
    let mut story = beside_another(one(&[What::AddForeign, What::Move]));
    story.acts[0].hasty = true;
    plays(story);
}

#[test]
fn a_copy_of_a_link_that_nobody_knows_is_found_out_when_its_meeting_is_found_again() {
    let server = Server {
        remote: true,
        drops_x: true,
        ..Default::default()
    };
    for last in [What::Restore, What::RemoveAll] {
        let story = one(&[What::LoseState, What::Copy, last]);
        let mut story = Story {
            server: server.clone(),
            ..story
        };
        story.resources[0][0].stamps = generate::Stamps::Both;
        // The copy comes first where it has a resource of its own.
        story.acts[2].target = 1;
        plays(story);
    }
}

#[test]
fn a_copy_with_a_join_url_of_any_host_and_nothing_else_gets_its_own_link() {
    let server = Server {
        remote: true,
        drops_x: true,
        drops_conference: true,
        ..Default::default()
    };
    for kept in [What::RemoveBlock, What::RemoveLocation, What::RemoveUrl] {
        let mut story = one(&[kept, What::Copy]);
        story.acts[0].hasty = true;
        plays(Story {
            server: server.clone(),
            sovereign: true,
            ..story
        });
    }
}

#[test]
fn a_label_that_no_mark_claims_stays_where_its_link_is_taken_out_and_is_copied() {
    let acts = [What::DropX, What::RemoveBlock, What::DropX, What::Copy];
    let mut story = Story {
        location: generate::Place::Label,
        ..one(&acts)
    };
    story.resources[0][0].url = Some("");
    plays(story);
}

#[test]
fn a_part_that_is_dropped_is_learned_again_of_a_link_that_was_found() {
    let server = Server {
        remote: true,
        drops_conference: true,
        ..Default::default()
    };
    let mut story = beside_another(one(&[What::RemoveAll, What::LoseState]));
    story.resources[0][0].stamps = generate::Stamps::Both;
    plays(Story { server, ..story });
}

#[test]
fn a_restored_copy_comes_back_once_wherever_its_event_has_come_to() {
    let acts = [
        What::AllDay,
        What::RemoveAllButX,
        What::Move,
        What::Restore,
        What::Restore,
    ];
    plays(one(&acts));
    let mut story = one(&acts);
    story.acts[0].sloppy = true;
    plays(story);
}

/// Where nothing tells one change from another, the link is put in and taken out only so often.
#[test]
fn what_takes_a_link_out_counts_where_changes_are_not_told() {
    let mut story = one(&[What::Tag, What::Untag, What::RemoveUrl]);
    story.resources[0][0].stamps = generate::Stamps::Both;
    story.acts.iter_mut().for_each(|act| act.sloppy = true);
    plays(story);
}

/// A story of one event that says nothing of when it was changed.
fn one(acts: &[What]) -> Story {
    let event = generate::Event {
        n: 1,
        title: "x",
        description: Some("Agenda"),
        attendees: true,
        stamps: generate::Stamps::None,
        ..Default::default()
    };
    let act = |what: &What| Act {
        what: *what,
        target: 0,
        dice: 0,
        hasty: false,
        sloppy: false,
    };
    Story {
        resources: vec![vec![event]],
        acts: acts.iter().map(act).collect(),
        ..Story::default()
    }
}

/// The same with another event in another resource, to which nothing is done.
fn beside_another(mut story: Story) -> Story {
    let other = generate::Event {
        n: 2,
        ..story.resources[0][0].clone()
    };
    story.resources.push(vec![other]);
    story
}

/// The same, all of it between two passes.
fn at_once(acts: &[What]) -> Story {
    let mut story = one(acts);
    story.acts.iter_mut().for_each(|act| act.hasty = true);
    story
}

/// Plays the story with some of the ways in which its acts can be done.
fn plays(mut story: Story) {
    let (runtime, home) = (runtime(), home());
    let state = open(&home);
    for dice in 0..8 {
        story.acts.iter_mut().for_each(|act| act.dice = dice);
        let played = runtime.block_on(run::play(&story, &state));
        played.unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn a_mass_of_lost_links_freezes_and_a_short_answer_deletes_nothing() {
    let cases = std::env::var("MEETBRIDGE_CASES")
        .ok()
        .map(|n| n.parse::<u64>().unwrap());
    let (runtime, home) = (runtime(), home());
    let state = open(&home);
    for seed in 0..cases.map_or(16, |cases| 16 + cases / 100) {
        let played = runtime.block_on(mass::play(seed, &state, run::next()));
        played.unwrap_or_else(|why| panic!("{why}"));
    }
}

/// A seed that no run had before.
#[expect(
    clippy::disallowed_methods,
    reason = "the seed is printed, and the run can be repeated with it"
)]
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (now.as_secs() % 1_000_000_000) * 1_000_000
}

/// Where states are kept: in memory, where there is such a place.
fn home() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Plays the stories of these seeds on all cores; names each that fails as soon as it does, goes on, and
/// fails with the first of them in the end, made smaller.
fn many(seeds: Vec<u64>) {
    std::panic::set_hook(Box::new(|_| {}));
    let (next, played) = (AtomicUsize::new(0), AtomicU64::new(0));
    let failed: Mutex<Vec<(u64, String)>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let runtime = runtime();
                while failed.lock().unwrap().len() < ENOUGH {
                    let from = next.fetch_add(SHARED, Ordering::Relaxed);
                    let Some(batch) = seeds.get(from..seeds.len().min(from + SHARED)) else {
                        break;
                    };
                    if batch.is_empty() {
                        break;
                    }
                    let home = home();
                    let state = open(&home);
                    for seed in batch {
                        let story = Story::of(*seed);
                        if let Err(why) = runtime.block_on(run::play(&story, &state)) {
                            println!("{seed} failed: {}", why.lines().next().unwrap_or_default());
                            failed.lock().unwrap().push((*seed, why));
                        }
                        let n = played.fetch_add(1, Ordering::Relaxed) + 1;
                        if n.is_multiple_of(10_000) {
                            println!("{n} stories");
                        }
                    }
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    if let Some((seed, why)) = failed.first() {
        println!("{} of {} failed", failed.len(), played.into_inner());
        tell(*seed, why);
    }
    println!("{} stories were played", played.into_inner());
}

fn open(home: &tempfile::TempDir) -> Arc<State> {
    Arc::new(State::open(home.path(), world::start()).unwrap().0)
}

/// Makes a failing story smaller, and fails with it.
fn tell(seed: u64, why: &str) -> ! {
    let (mut story, mut why) = (Story::of(seed), why.to_owned());
    let runtime = runtime();
    let home = home();
    let state = open(&home);
    std::panic::set_hook(Box::new(|_| {}));
    let mut tries = 0;
    let mut progress = true;
    while progress && tries < TRIES {
        let mut at = 0;
        progress = false;
        while let Some(candidate) = story.smaller().into_iter().nth(at)
            && tries < TRIES
        {
            tries += 1;
            match runtime.block_on(run::play(&candidate, &state)) {
                Err(what) => (story, why, progress) = (candidate, what, true),
                Ok(()) => at += 1,
            }
        }
    }
    let _ = std::panic::take_hook();
    panic!(
        "{why}\nthe smallest story that fails:\n{story:#?}\nagain: MEETBRIDGE_SEED={seed} cargo test --test suite people"
    );
}
