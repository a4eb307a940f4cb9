//! When a calendar or an account is looked at, and what one look at a home set tells.
//!
//! Soon again after a change, then ever more slowly up to the configured interval. Time is monotonic,
//! so that whatever was missed while the machine slept is one look. After a failure the account rests.
//!
//! One PROPFIND on the home set tells which of its calendars changed; it is made by whichever calendar
//! waits, one at a time. Where a home set tells neither ctag nor token, each calendar's own report is
//! its look.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use tracing::debug;
use url::Url;

use super::connection::{Connection, DavError};
use super::href;
use super::site::{LISTING, with_body};
use super::xml::{self, Prop};
use crate::calendar::Again;
use crate::clock::{Clock, Random};

/// The first and the longest rest after a failure.
const REST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// When the next look is due. Pure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The longest interval.
    slowest: Duration,
    /// The interval after a change.
    fastest: Duration,
    interval: Duration,
    rest: Duration,
    due: Duration,
}

impl Pace {
    /// Looks at most `slowest` apart, `fastest` after a change; first within `slowest` of `now`, at a
    /// time of its own.
    pub fn new(slowest: Duration, fastest: Duration, now: Duration, random: u64) -> Self {
        let fastest = fastest.min(slowest);
        Self {
            slowest,
            fastest,
            interval: slowest,
            rest: REST.0,
            due: now + share(slowest, random),
        }
    }

    /// When the next look is due, on the monotonic clock.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// A look begins, and nobody knows how it will end: the next is half as much later again.
    pub fn begins(&mut self, now: Duration, random: u64) {
        let interval = self.interval + self.interval / 2;
        self.next(interval, now, random);
    }

    /// A look found nothing: the next is half as much later again.
    pub fn quiet(&mut self, now: Duration, random: u64) {
        self.answered();
        self.begins(now, random);
    }

    /// A look found a change: the next is soon.
    pub fn changed(&mut self, now: Duration, random: u64) {
        self.answered();
        self.next(self.fastest, now, random);
    }

    /// The server answered: the next failure is the first.
    pub fn answered(&mut self) {
        self.rest = REST.0;
    }

    /// A look failed: nothing is asked before `until`, or for a rest that doubles.
    pub fn failed(&mut self, until: Option<Duration>, now: Duration, random: u64) {
        let rest = self.rest - share(self.rest / 2, random);
        self.rest = (self.rest * 2).min(REST.1);
        self.due = (now + rest).max(until.unwrap_or_default());
    }

    /// As after a failure that only a person can end.
    pub fn failed_for_good(&mut self, now: Duration, random: u64) {
        self.rest = REST.1;
        self.failed(None, now, random);
    }

    /// Whether the next failure is followed by the longest rest.
    fn rests_longest(&self) -> bool {
        self.rest == REST.1
    }

    /// Up to a tenth early, so that accounts do not march in step, and never late.
    fn next(&mut self, interval: Duration, now: Duration, random: u64) {
        self.interval = interval.clamp(self.fastest, self.slowest);
        self.due = now + self.interval - share(self.interval / 10, random);
    }
}

/// A part of `whole`, as large as `random` is among all numbers.
fn share(whole: Duration, random: u64) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    let part = (u128::from(millis) * u128::from(random)) >> 64;
    Duration::from_millis(u64::try_from(part).unwrap_or(u64::MAX))
}

/// What a look showed of one calendar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mark {
    ctag: Option<String>,
    token: Option<String>,
}

impl Mark {
    /// Whether it ends with what may be a time in seconds.
    fn counts_seconds(&self) -> bool {
        [&self.ctag, &self.token].into_iter().flatten().any(|tag| {
            let start = tag.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            tag.len() - start == 10
        })
    }
}

/// What is known of one calendar of a home set.
#[derive(Debug, Default)]
struct Member {
    mark: Option<Mark>,
    /// Counts what there was to tell.
    news: u64,
    /// It changed at the last look: tags that count in seconds may hide a further change.
    fresh: bool,
}

/// The looks at one home set, by all its calendars.
#[derive(Debug)]
pub(super) struct Looks {
    pace: Pace,
    members: HashMap<String, Member>,
    /// The last look failed, and everybody was told.
    failing: bool,
    /// The server does not tell changes here.
    useless: bool,
}

impl Looks {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            members: HashMap::new(),
            failing: false,
            useless: false,
        }
    }

    /// Takes in what a look showed; `shown` holds the calendars by their keys.
    fn saw(&mut self, mut shown: HashMap<String, Mark>, now: Duration, random: u64) {
        let recovered = std::mem::take(&mut self.failing);
        let mut any = false;
        for (key, member) in &mut self.members {
            // One that is not shown any more has changed, once.
            let mark = shown.remove(key).unwrap_or_default();
            let changed = member.mark.as_ref() != Some(&mark);
            if changed || member.fresh || recovered {
                member.news += 1;
            }
            // What was never seen before is no change, though its calendar looks.
            let seen = member.mark.is_some();
            any |= changed && seen;
            member.fresh = changed && (seen || mark.counts_seconds());
            member.mark = Some(mark);
        }
        if any {
            self.pace.changed(now, random);
        } else {
            self.pace.quiet(now, random);
        }
    }

    /// Whether an earlier look told something.
    fn told_before(&self) -> bool {
        self.members.values().any(|member| member.mark.is_some())
    }

    /// A look failed. All calendars look for themselves once, so that each says that it is failing;
    /// and again with every longest rest, for it may be the home set alone that fails.
    fn failed(&mut self) {
        if !std::mem::replace(&mut self.failing, true) || self.pace.rests_longest() {
            for member in self.members.values_mut() {
                member.news += 1;
            }
        }
    }
}

/// A home set that several calendars are watched in.
pub(super) struct Home {
    url: Url,
    connection: Arc<Connection>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Held while a look is under way.
    looking: tokio::sync::Mutex<()>,
    looks: Mutex<Looks>,
}

/// How a calendar of a home set learns of changes.
pub(super) enum Told {
    /// There is something to look at.
    News,
    /// The home set tells nothing: the calendar has to look for itself.
    Alone,
}

impl Home {
    /// A home set of which nothing was seen.
    pub(super) fn new(
        url: Url,
        connection: Arc<Connection>,
        pace: Pace,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            url,
            connection,
            clock,
            random,
            looking: tokio::sync::Mutex::default(),
            looks: Mutex::new(Looks::new(pace)),
        }
    }

    /// Watches one more calendar, by its key.
    pub(super) fn join(&self, key: &str) {
        self.looks().members.entry(key.to_owned()).or_default();
    }

    /// Whether a look saves requests: a calendar that is alone is as well asked itself.
    pub(super) fn is_shared(&self) -> bool {
        self.looks().members.len() > 1
    }

    /// When its next look is due, where one look is for several calendars and tells something.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let looks = self.looks();
        (looks.members.len() > 1 && !looks.useless).then(|| looks.pace.due())
    }

    /// Waits until there is something to tell of `key` that was not told: `told` counts what was. Safe
    /// to drop and call again.
    pub(super) async fn wait(&self, key: &str, told: &Mutex<u64>) -> Told {
        loop {
            if let Some(told) = self.tell(key, told) {
                return told;
            }
            let due = self.looks().pace.due();
            let now = self.clock.elapsed();
            if now < due {
                self.clock.sleep(due - now).await;
                continue;
            }
            let _looking = self.looking.lock().await;
            // Somebody else may have looked meanwhile.
            if let Some(told) = self.tell(key, told) {
                return told;
            }
            if self.looks().pace.due() <= self.clock.elapsed() {
                self.look().await;
            }
        }
    }

    /// What there is to tell at once; it counts as told.
    fn tell(&self, key: &str, told: &Mutex<u64>) -> Option<Told> {
        let looks = self.looks();
        let member = looks.members.get(key);
        if looks.useless || member.is_none_or(|member| member.mark == Some(Mark::default())) {
            return Some(Told::Alone);
        }
        let news = member.map_or(0, |member| member.news);
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::replace(&mut *told, news) != news).then_some(Told::News)
    }

    async fn look(&self) {
        let body = xml::propfind(&[Prop::Ctag, Prop::SyncToken]);
        let request = with_body("PROPFIND", self.url.clone(), "1", body, LISTING);
        let reply = self.connection.send(&request).await;
        let (now, random) = (self.clock.elapsed(), self.random.next());
        let mut looks = self.looks();
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                debug!(host = self.connection.host(), %error, "the home set cannot be looked at");
                looks.failed();
                self.rest(&mut looks.pace, &error, now, random);
                return;
            }
        };
        if reply.status.is_server_error() || reply.status == StatusCode::TOO_MANY_REQUESTS {
            looks.failed();
            looks.pace.failed(None, now, random);
            return;
        }
        let answer = match reply.status {
            StatusCode::MULTI_STATUS => xml::parse(&reply.body),
            // No home set that can be listed.
            _ => Ok(xml::Multistatus::default()),
        };
        let Ok(answer) = answer else {
            looks.failed();
            looks.pace.failed(None, now, random);
            return;
        };
        let shown: HashMap<String, Mark> = answer
            .responses
            .into_iter()
            .filter_map(|row| {
                let mark = Mark {
                    ctag: row.found.ctag,
                    token: row.found.sync_token,
                };
                Some((href::key_of(&reply.url, &row.href)?, mark))
            })
            .filter(|(_, mark)| *mark != Mark::default())
            .collect();
        if !looks.members.keys().any(|key| shown.contains_key(key)) {
            if looks.told_before() {
                looks.failed();
                looks.pace.failed(None, now, random);
                return;
            }
            debug!(
                host = self.connection.host(),
                "the home set does not tell what changed"
            );
            looks.useless = true;
            return;
        }
        looks.saw(shown, now, random);
    }

    fn rest(&self, pace: &mut Pace, error: &DavError, now: Duration, random: u64) {
        rest(pace, error.again(), &*self.clock, now, random);
    }

    fn looks(&self) -> std::sync::MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a failing account rest as the failure says.
pub(super) fn rest(pace: &mut Pace, again: Again, clock: &dyn Clock, now: Duration, random: u64) {
    match again {
        Again::Soon => pace.failed(None, now, random),
        Again::Slowly => pace.failed_for_good(now, random),
        Again::At(at) => {
            let wait = (at - clock.now()).to_std().unwrap_or_default();
            pace.failed(Some(now + wait), now, random);
        }
    }
}
