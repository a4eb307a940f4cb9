//! Stories: what people do to a calendar in the course of some weeks, at fixed times.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use meetbridge::ical::block::Show;
use meetbridge::meeting::{Chat, Fate, LobbyScope, Presenters, Setting, Settings};
use meetbridge::model::{ExternalId, Generation, MeetingKey, OrganizerId, Uid};
use meetbridge::simulator::{
    Deleted, Differing, Does, Existing, GoesOnline, Manners, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN,
    OutlookManners, RepeatOfDeleted, Reuse, SecondDelete, TENANT, TimeUpdate, Unset,
};

use super::time::Time;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// How long after its last step a story is at rest at the latest: a request that was refused waits a
/// day, a meeting whose event is gone another, and the end of it may be refused once more.
const REST: Duration = Duration::from_secs(5 * 86_400);

/// More keys than an event comes to have.
const MOST_KEYS: Generation = 8;

/// A calendar of the mailbox that is not the default one.
const OTHER: &str = "Bridge";

/// What happens in a calendar, and how it is watched.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) events: Vec<Plot>,
    /// When, and what.
    pub(super) steps: Vec<(Duration, Step)>,
    pub(super) on_cancel: Fate,
    pub(super) on_delete: Fate,
    pub(super) manners: Manners,
    /// Whether meetings have settings from the start.
    pub(super) settings: bool,
    /// Whether the organizer has a dial-in licence.
    pub(super) dial_in: bool,
    /// `None`: meetings are online meetings.
    pub(super) mirrors: Option<Mirrors>,
}

/// How meetings are events in Outlook.
#[derive(Clone, Debug)]
pub(super) struct Mirrors {
    pub(super) manners: OutlookManners,
    /// The name of their calendar; `None`: the default one.
    pub(super) calendar: Option<&'static str>,
}

/// An event, as it is first saved.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    pub(super) uid: String,
    pub(super) resource: String,
    pub(super) start: DateTime<Utc>,
    pub(super) weekly: bool,
}

/// What happens at a moment. Events by their place in [`Story::events`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The resource of the event is saved for the first time, with all its events.
    Save(usize),
    /// The event gets another time.
    Move(usize, DateTime<Utc>),
    /// The event gets another title.
    Retitle(usize),
    /// The event is called off.
    Cancel(usize),
    /// Its resource is deleted.
    Delete(usize),
    /// Its deleted resource is back: as it was when it was deleted, or without its links.
    Return(usize, bool),
    /// The process ends and starts again.
    Restart,
    /// The same, and its state is lost meanwhile.
    LoseState,
    /// Other settings of meetings are configured.
    Settings,
    /// Weeks pass.
    Weeks,
    /// A person does this to the event's mirror in Outlook.
    InOutlook(usize, Does),
}

impl Story {
    /// A life from its beginning to its end, with every kind of request in it.
    pub(super) fn whole() -> Self {
        let plot = |uid: &str, days, weekly| Plot {
            uid: uid.to_owned(),
            resource: format!("{uid}.ics"),
            start: Time::start() + TimeDelta::days(days),
            weekly,
        };
        let day = |n| DAY * n;
        let moved = Time::start() + TimeDelta::days(75);
        Self {
            events: vec![plot("one@x", 60, false), plot("series@x", 3, true)],
            steps: vec![
                (MINUTE, Step::Save(0)),
                (HOUR, Step::Save(1)),
                (day(2), Step::Move(0, moved)),
                (day(4), Step::Retitle(0)),
                (day(6), Step::Settings),
                (day(8), Step::Restart),
                (day(50), Step::Weeks),
                (day(51), Step::Delete(0)),
                (day(54), Step::Return(0, false)),
                (day(57), Step::Cancel(1)),
            ],
            on_cancel: Fate::Delete,
            on_delete: Fate::Delete,
            manners: Manners::default(),
            settings: true,
            dial_in: true,
            mirrors: None,
        }
    }

    /// The story that follows from `seed`; of two in a row that begin with an even one, the second is the
    /// first one with mirrors.
    pub(super) fn of(seed: u64) -> Self {
        let story = Self::online(seed / 2);
        match seed % 2 {
            0 => story,
            _ => story.mirrored(seed),
        }
    }

    /// A life as [`Self::whole`], with mirrors, and with people who do things to them.
    pub(super) fn whole_mirrored() -> Self {
        let mut story = Self::whole();
        story.manners.reuse = Reuse::New;
        story.mirrors = Some(Mirrors {
            manners: OutlookManners {
                online: GoesOnline::AfterGets(1),
                time_update: TimeUpdate::DropsLink,
                deleted: Deleted::InDeletedItems,
                ..OutlookManners::default()
            },
            calendar: None,
        });
        let to = Does::MoveTo(OTHER.to_owned());
        story.steps.insert(3, (DAY * 3, Step::InOutlook(0, to)));
        story
    }

    fn online(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let events: Vec<Plot> = (0..*random.choice(&[1, 1, 2, 2, 2, 3]).unwrap())
            .map(|n| {
                let weekly = random.u8(..3) == 0;
                let days = match weekly {
                    true => random.i64(1..8),
                    false => random.i64(25..60),
                };
                Plot {
                    uid: format!("{n}@x"),
                    // Two in one resource, at times.
                    resource: match n {
                        1 if random.bool() => "0.ics".to_owned(),
                        n => format!("{n}.ics"),
                    },
                    start: Time::start() + TimeDelta::days(days),
                    weekly,
                }
            })
            .collect();
        let forgets = random.u8(..4) == 0;
        let fate = |random: &mut fastrand::Rng| match random.u8(..4) {
            0 => Fate::Keep,
            _ => Fate::Delete,
        };
        let mut story = Self {
            steps: Vec::new(),
            on_cancel: fate(&mut random),
            on_delete: fate(&mut random),
            manners: Manners {
                existing: *random.choice(&[Existing::Ignore, Existing::Apply]).unwrap(),
                reuse: *random.choice(&[Reuse::New, Reuse::Revived]).unwrap(),
                second_delete: *random
                    .choice(&[SecondDelete::NotFound, SecondDelete::NoContent])
                    .unwrap(),
                ..Manners::default()
            },
            settings: random.u8(..3) == 0,
            dial_in: random.u8(..4) == 0,
            mirrors: None,
            events,
        };
        story.script(&mut random, forgets);
        story
    }

    /// The same with mirrors, to which people may do something, too.
    fn mirrored(mut self, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x0a11);
        let manners = OutlookManners {
            online: match random.u8(..6) {
                0 => GoesOnline::AfterGets(random.u32(1..=4)),
                1 => GoesOnline::NotAtCreation,
                _ => GoesOnline::AtOnce,
            },
            time_update: *random
                .choice(&[TimeUpdate::KeepsLink, TimeUpdate::DropsLink])
                .unwrap(),
            transaction_memory: random.bool().then_some(HOUR),
            differing: *random
                .choice(&[Differing::First, Differing::Conflict, Differing::Another])
                .unwrap(),
            repeat_of_deleted: *random
                .choice(&[RepeatOfDeleted::New, RepeatOfDeleted::Dead])
                .unwrap(),
            deleted: *random
                .choice(&[Deleted::NotFound, Deleted::InDeletedItems])
                .unwrap(),
            unset: *random.choice(&[Unset::LeftOut, Unset::Null]).unwrap(),
            ..OutlookManners::default()
        };
        let calendar = (random.u8(..3) == 0).then_some(OTHER);
        self.mirrors = Some(Mirrors { manners, calendar });
        // A deleted event's meeting never comes back.
        self.manners.reuse = Reuse::New;
        if random.bool() {
            self.meddle(&mut random, calendar);
        }
        self
    }

    /// A person does something to the mirror of an event, shortly before that changes: until then, what
    /// is done in Outlook is nothing that anybody looks for.
    fn meddle(&mut self, random: &mut fastrand::Rng, calendar: Option<&str>) {
        let changes = |(_, step): &(Duration, Step)| match step {
            Step::Move(n, _) | Step::Retitle(n) => Some(*n),
            _ => None,
        };
        let found = self.steps.iter().enumerate();
        let Some((place, n)) = found
            .filter_map(|(at, step)| Some((at, changes(step)?)))
            .next_back()
        else {
            return;
        };
        let at = self.steps[place].0 - MINUTE;
        let start = Time::start() + TimeDelta::from_std(at + 9 * DAY).unwrap();
        // An event that is called off after that keeps the link that it happens to have.
        let is_called_off = |(_, step): &(Duration, Step)| matches!(step, Step::Cancel(_));
        let lasts = !self.steps.iter().any(is_called_off);
        let does = match random.u8(..3) {
            0 if lasts => Does::Delete,
            1 => Does::Reschedule {
                start,
                end: start + TimeDelta::hours(2),
            },
            _ => Does::MoveTo(
                if calendar.is_some() {
                    "Calendar"
                } else {
                    OTHER
                }
                .to_owned(),
            ),
        };
        self.steps.insert(place, (at, Step::InOutlook(n, does)));
    }

    /// The same with online meetings; `None` where that is another story: a meeting is deleted by a
    /// person, or has no counterpart there.
    pub(super) fn twin(&self) -> Option<Self> {
        self.mirrors.as_ref()?;
        let is_apart = |step: &Step| matches!(step, Step::InOutlook(_, Does::Delete));
        if self.steps.iter().any(|(_, step)| is_apart(step)) {
            return None;
        }
        let mut twin = self.clone();
        twin.mirrors = None;
        let is_shared = |step: &Step| !matches!(step, Step::InOutlook(..));
        twin.steps.retain(|(_, step)| is_shared(step));
        Some(twin)
    }

    fn script(&mut self, random: &mut fastrand::Rng, forgets: bool) {
        let mut at = MINUTE;
        let resources = |n: &usize| {
            let same = |plot: &Plot| plot.resource == self.events[*n].resource;
            self.events.iter().position(same) == Some(*n)
        };
        let firsts: Vec<usize> = (0..self.events.len()).filter(resources).collect();
        let mut steps: Vec<(Duration, Step)> = Vec::new();
        for n in firsts {
            steps.push((at, Step::Save(n)));
            at += *random
                .choice(&[Duration::ZERO, MINUTE, 10 * MINUTE])
                .unwrap();
        }
        let mut gone: Option<usize> = None;
        let mut weeks = false;
        for _ in 0..random.usize(1..=3) {
            at += *random
                .choice(&[10 * MINUTE, HOUR, 12 * HOUR, 26 * HOUR, 3 * DAY])
                .unwrap();
            let n = random.usize(..self.events.len());
            let there = |n: &usize| {
                gone.is_none_or(|gone| self.events[gone].resource != self.events[*n].resource)
            };
            let step = match random.u8(..12) {
                0 | 1 if there(&n) && !self.events[n].weekly => {
                    let days = TimeDelta::days(random.i64(20..50));
                    Step::Move(n, Time::start() + TimeDelta::from_std(at).unwrap() + days)
                }
                2 | 3 if there(&n) => Step::Retitle(n),
                4 if there(&n) && !forgets => Step::Cancel(n),
                5 | 6 if gone.is_none() && !forgets => {
                    gone = Some(n);
                    Step::Delete(n)
                }
                7 | 8 if gone.is_some() => Step::Return(gone.take().unwrap(), random.bool()),
                9 if forgets => Step::LoseState,
                10 => Step::Settings,
                11 if !weeks => {
                    weeks = true;
                    at += 45 * DAY;
                    Step::Weeks
                }
                _ => Step::Restart,
            };
            let is_down = step == Step::LoseState;
            steps.push((at, step));
            if is_down {
                at += 2 * HOUR;
            }
        }
        self.steps = steps;
    }

    /// When it is over, and everything at rest.
    pub(super) fn end(&self) -> Duration {
        self.steps.last().map_or(REST, |(at, _)| *at + REST)
    }

    /// Whether an event of it ever goes away or is called off.
    pub(super) fn ends_any(&self) -> bool {
        let ends = |step: &Step| {
            matches!(
                step,
                Step::Cancel(_) | Step::Delete(_) | Step::InOutlook(_, Does::Delete)
            )
        };
        self.steps.iter().any(|(_, step)| ends(step))
    }

    /// Whose meetings they are.
    pub(super) fn organizer(&self) -> &'static str {
        match self.dial_in {
            true => ORGANIZER,
            false => ORGANIZER_WITHOUT_DIAL_IN,
        }
    }

    /// What stands for the keys that an event with this UID can have, the first one first.
    pub(super) fn keys(&self, uid: &str) -> Vec<String> {
        let key = |generation| MeetingKey {
            tenant: TENANT.to_owned(),
            organizer: OrganizerId::new(self.organizer()).unwrap(),
            external_id: ExternalId::of(&Uid::new(uid).unwrap(), generation),
        };
        (0..MOST_KEYS).map(|n| key(n).digest()).collect()
    }

    /// Whether its state is ever lost.
    pub(super) fn forgets(&self) -> bool {
        self.steps.iter().any(|(_, step)| *step == Step::LoseState)
    }

    /// What stands in the join block. A meeting that replaces a deleted one has other numbers; how
    /// often that happens may depend on faults, so then the numbers stay out of it.
    pub(super) fn show(&self) -> Vec<Show> {
        match self.manners.reuse {
            Reuse::Revived => Show::DEFAULT.to_vec(),
            _ => Vec::new(),
        }
    }

    /// The settings configured after so many changes of them.
    pub(super) fn settings(&self, changes: usize) -> Settings {
        let chat = [Chat::Limited, Chat::Enabled, Chat::Disabled];
        let presenters = [Presenters::Organizer, Presenters::Organization];
        match (changes, self.settings) {
            (0, false) => Settings(Vec::new()),
            (n, _) => Settings(vec![
                Setting::Chat(chat[n % 3]),
                Setting::Presenters(presenters[n % 2]),
                Setting::Lobby {
                    scope: Some(LobbyScope::Organization),
                    dial_in_bypass: None,
                },
            ]),
        }
    }
}

impl Plot {
    /// The event as it is first saved.
    pub(super) fn text(&self) -> String {
        let rule = match self.weekly {
            true => "RRULE:FREQ=WEEKLY;COUNT=30\r\n",
            false => "",
        };
        format!(
            "BEGIN:VEVENT\r\nUID:{}\r\nDTSTAMP:20261101T000000Z\r\nDTSTART:{}\r\nDURATION:PT1H\r\n{rule}\
             SUMMARY:Planning\r\nORGANIZER:mailto:alice@x\r\nATTENDEE:mailto:bob@x\r\nEND:VEVENT\r\n",
            self.uid,
            stamp(self.start),
        )
    }
}

pub(super) fn stamp(time: DateTime<Utc>) -> String {
    time.format("%Y%m%dT%H%M%SZ").to_string()
}

/// `from`'s first occurrence in the event `uid` of `text`, up to the end of its line, becomes `to`.
pub(super) fn set(text: &str, uid: &str, from: &str, to: &str) -> String {
    let begin = text.find(&format!("UID:{uid}")).unwrap();
    let line = begin + text[begin..].find(from).unwrap();
    let end = line + text[line..].find("\r\n").unwrap();
    format!("{}{to}{}", &text[..line], &text[end..])
}
