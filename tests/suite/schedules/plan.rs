//! Fault plans: which request meets which fault.

use std::collections::BTreeMap;
use std::fmt;

use meetbridge::simulator::{Effect, RetryAfter, Scripted};

use super::story::Story;

/// What can befall a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An answer with this status, and nothing is done.
    Status(u16),
    /// 429, with or without a time to wait.
    Throttled(Option<RetryAfter>),
    /// 503 with a time to wait.
    Unavailable(RetryAfter),
    /// A gateway's 502, in HTML.
    Gateway,
    LostBefore,
    LostAfter,
    SilentBefore,
    SilentAfter,
    Truncated,
    /// It is carried out; the answer's body is empty.
    Empty,
    /// It is carried out; the answer is of another type.
    WebPage,
    /// It is carried out; the answer lacks the join URL.
    Partial,
    /// It is carried out; the answer's times are of the year 1.
    YearOne,
    /// The answer takes ten seconds.
    Slow,
    /// All tokens have expired just now.
    Expired,
    /// The process dies before the request is there.
    CrashBefore,
    /// The process dies before the answer is there.
    CrashAfter,
}

impl Kind {
    /// One of each, for the systematic part.
    pub(super) const ALL: [Self; 28] = [
        Self::Status(401),
        Self::Status(404),
        Self::Status(408),
        Self::Status(409),
        Self::Status(500),
        Self::Status(502),
        Self::Status(503),
        Self::Status(504),
        Self::Throttled(None),
        Self::Throttled(Some(RetryAfter::Seconds(2))),
        Self::Throttled(Some(RetryAfter::Seconds(120))),
        Self::Throttled(Some(RetryAfter::Milliseconds(1_500))),
        Self::Throttled(Some(RetryAfter::Date(30))),
        Self::Throttled(Some(RetryAfter::Date(3))),
        Self::Unavailable(RetryAfter::Seconds(600)),
        Self::Gateway,
        Self::LostBefore,
        Self::LostAfter,
        Self::SilentBefore,
        Self::SilentAfter,
        Self::Truncated,
        Self::Empty,
        Self::WebPage,
        Self::Partial,
        Self::YearOne,
        Self::Expired,
        Self::CrashBefore,
        Self::CrashAfter,
    ];

    /// What it is for a request to the token endpoint, or to Graph.
    pub(super) fn on(self, is_token: bool) -> Self {
        match self {
            // A refusal there is a matter of configuration, and lasts.
            Self::Status(401..=499) | Self::Partial | Self::YearOne | Self::Expired if is_token => {
                Self::Status(503)
            }
            kind => kind,
        }
    }

    /// What the simulator is to do.
    pub(super) fn effect(self) -> Option<Effect> {
        let answer = |status, retry_after| {
            Effect::Answer(Scripted {
                status,
                body: None,
                retry_after,
            })
        };
        Some(match self {
            Self::Status(status) => answer(status, None),
            Self::Throttled(after) => answer(429, after),
            Self::Unavailable(after) => answer(503, Some(after)),
            Self::Gateway => Effect::Answer(Scripted {
                status: 502,
                body: Some("<html>Bad gateway</html>".into()),
                retry_after: None,
            }),
            Self::LostBefore => Effect::LostBefore,
            Self::LostAfter => Effect::LostAfter,
            Self::SilentBefore => Effect::SilentBefore,
            Self::SilentAfter => Effect::SilentAfter,
            Self::Truncated => Effect::Truncated,
            Self::Empty => Effect::Empty,
            Self::WebPage => Effect::WebPage,
            Self::Partial => Effect::Partial,
            Self::YearOne => Effect::YearOne,
            Self::Slow => Effect::Delay(10_000),
            Self::Expired | Self::CrashBefore | Self::CrashAfter => return None,
        })
    }

    fn random(random: &mut fastrand::Rng) -> Self {
        let after = |random: &mut fastrand::Rng| {
            let seconds = *random.choice(&[0, 1, 2, 4, 5, 6, 30, 300, 3_000]).unwrap();
            match random.u8(..3) {
                0 => RetryAfter::Date(seconds),
                1 => RetryAfter::Milliseconds(seconds * 1_000 + random.u64(..1_000)),
                _ => RetryAfter::Seconds(seconds),
            }
        };
        match random.u8(..36) {
            0 => Self::Slow,
            1..=5 => Self::Throttled(Some(after(random))),
            6 => Self::Unavailable(after(random)),
            7 => Self::CrashBefore,
            8 => Self::CrashAfter,
            _ => *random.choice(&Self::ALL).unwrap(),
        }
    }
}

/// The faults of a schedule, by the ordinal of the request that each strikes.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Plan(pub(super) BTreeMap<usize, Kind>);

impl Plan {
    /// The plan that follows from `seed`, for a story that takes so many requests by itself.
    pub(super) fn of(seed: u64, story: &Story, requests: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let mut plan = BTreeMap::new();
        for _ in 0..random.usize(1..=4) {
            let first = random.usize(..requests + 4);
            // Alone, or some in a row; now and then, all of one kind.
            let same = random.bool().then(|| Kind::random(&mut random));
            let times = *random.choice(&[1, 1, 1, 2, 3, 6]).unwrap();
            for at in first..first + times {
                let kind = same.unwrap_or_else(|| Kind::random(&mut random));
                plan.insert(at, kind);
            }
        }
        let mut plan = Self(plan);
        plan.fit(story);
        plan
    }

    /// Takes out what cannot come to the same end: a meeting that is there and said not to be (when it
    /// is to be deleted, that is what its deletion looks like; said twice, its event gets another one),
    /// and 500 as often as a request is tried, which refuses it: settings are then not tried again.
    pub(super) fn fit(&mut self, story: &Story) {
        let (mut missed, mut failed) = (story.ends_any(), 0);
        for kind in self.0.values_mut() {
            match kind {
                Kind::Status(404) if missed => *kind = Kind::Status(503),
                Kind::Status(404) => missed = true,
                Kind::Status(500) if failed == 3 => {
                    (*kind, failed) = (Kind::Status(503), 0);
                }
                Kind::Status(500) => failed += 1,
                _ => {}
            }
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}
