//! A random story: a calendar, how its server or directory behaves, and what people do.

mod event;
mod shape;

use super::rng::Rng;
use super::server::Server;
use super::user::{Act, What};
pub(super) use event::{Event, Override, Stamps, uid};
pub(super) use shape::{Eol, Fold, Shape, calendar};

/// Everything that a case consists of.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) server: Server,
    pub(super) shape: Shape,
    /// The events of each resource.
    pub(super) resources: Vec<Vec<Event>>,
    pub(super) acts: Vec<Act>,
    /// The meetings can be joined by telephone.
    pub(super) dial_in: bool,
    pub(super) language: &'static str,
    /// The join URLs have a host that no provider is known by.
    pub(super) sovereign: bool,
    /// Meetings of events that are gone are deleted after a day.
    pub(super) deletes: bool,
    pub(super) location: Place,
}

/// What goes into an empty LOCATION.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    #[default]
    Url,
    Label,
    Never,
}

impl Story {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let shape = Shape {
            eol: rng.pick(&[Eol::CrLf, Eol::CrLf, Eol::Lf, Eol::Mixed]),
            fold: rng.pick(&[
                Fold::Usual,
                Fold::Usual,
                Fold::Usual,
                Fold::Tabs,
                Fold::Narrow,
                Fold::Never,
                Fold::Octets,
            ]),
            lower_case: rng.chance(10),
            byte_order_mark: rng.chance(10),
        };
        let mut n = 0;
        let resources = (0..1 + rng.below(4))
            .map(|_| {
                let several = if rng.chance(60) { 1 } else { 1 + rng.below(4) };
                (0..several)
                    .map(|_| {
                        n += 1;
                        Event::of(n, rng)
                    })
                    .collect()
            })
            .collect();
        let acts = (0..3 + rng.below(8)).map(|_| Act::of(rng)).collect();
        Self {
            server: Server::of(rng),
            shape,
            resources,
            acts,
            dial_in: rng.chance(50),
            language: rng.pick(&["en-US", "en-US", "de-DE", "ja-JP"]),
            sovereign: rng.chance(10),
            deletes: rng.chance(40),
            location: rng.pick(&[
                Place::Url,
                Place::Url,
                Place::Url,
                Place::Label,
                Place::Never,
            ]),
        }
    }

    /// The stories that are this one with something left out.
    pub(super) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut story = self.clone();
            change(&mut story);
            smaller.push(story);
        };
        for at in (0..self.acts.len()).rev() {
            with(&|story| _ = story.acts.remove(at));
        }
        for at in (0..self.resources.len()).rev() {
            if self.resources.len() > 1 {
                with(&|story| drop(story.resources.remove(at)));
            }
            for event in (0..self.resources[at].len()).rev() {
                if self.resources[at].len() > 1 {
                    with(&|story| drop(story.resources[at].remove(event)));
                }
                for simple in self.resources[at][event].smaller() {
                    with(&|story| story.resources[at][event] = simple.clone());
                }
            }
        }
        for at in 0..self.acts.len() {
            with(&|story| story.acts[at].hasty = false);
            with(&|story| story.acts[at].sloppy = false);
            for target in 0..4 {
                with(&|story| story.acts[at].target = story.acts[at].target.min(target));
            }
        }
        with(&|story| story.shape = Shape::default());
        with(&|story| story.shape.eol = Eol::CrLf);
        with(&|story| story.shape.fold = Fold::Usual);
        with(&|story| story.shape.lower_case = false);
        with(&|story| story.shape.byte_order_mark = false);
        with(&|story| story.dial_in = false);
        with(&|story| story.language = "en-US");
        with(&|story| story.sovereign = false);
        with(&|story| story.deletes = false);
        with(&|story| story.location = Place::Url);
        for server in self.server.smaller() {
            with(&|story| story.server = server.clone());
        }
        smaller.retain(|story| format!("{story:?}") != format!("{self:?}"));
        smaller
    }
}

impl Act {
    fn of(rng: &mut Rng) -> Self {
        Self {
            what: What::of(rng),
            target: rng.below(100),
            dice: rng.next(),
            hasty: rng.chance(12),
            sloppy: rng.chance(25),
        }
    }
}
