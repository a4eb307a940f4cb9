//! How a simulated service behaves where its documentation is silent: each open question as a switch
//! with its possible answers (graph-api.md, the facts marked U). The first answer is the default.

mod outlook;

use std::time::Duration;

use super::faults::RetryAfter;

pub use outlook::{
    Deleted, Differing, GoesOnline, OutlookManners, RepeatOfDeleted, TimeUpdate, Unset,
};

/// What Graph does where nothing is promised.
#[derive(Clone, Debug)]
pub struct Manners {
    /// What createOrGet does with the other parameters when the meeting exists.
    pub existing: Existing,
    /// What createOrGet gives for the key of a meeting that was deleted or has expired.
    pub reuse: Reuse,
    /// What two createOrGet with one new key give when they overlap.
    pub race: Race,
    /// Whether externalIds that differ in case are different keys.
    pub key_case: KeyCase,
    /// The longest externalId that is taken, in octets; `None` for any.
    pub longest_key: Option<usize>,
    /// Whether an externalId may hold characters outside ASCII.
    pub foreign_keys: Verdict,
    /// Parameters that an action does not have: refused, or ignored where `Taken`.
    pub unknown: Verdict,
    /// Properties that PATCH cannot change: refused, or ignored where `Taken`.
    pub not_updatable: Verdict,
    /// A meeting that starts before the clock's time.
    pub past_start: Verdict,
    /// A meeting longer than 30 hours.
    pub over_30_hours: Verdict,
    /// The status for an end before the start, or without one.
    pub backwards: u16,
    /// Whether createOrGet obeys `Accept-Language`; create and GET always do.
    pub create_or_get_language: Verdict,
    /// What a filter that finds nothing is answered.
    pub filter_miss: FilterMiss,
    /// What GET and PATCH of a deleted or expired meeting are answered.
    pub dead: Dead,
    /// What a second DELETE is answered.
    pub second_delete: SecondDelete,
    /// What ends 60 days after a meeting.
    pub expiry: Expiry,
    /// How some keys of `audioConferencing`, and `innerError`, are spelled.
    pub spelling: Spelling,
    /// Properties of an onlineMeeting that this cloud leaves out of its answers.
    pub absent: Vec<String>,
    /// Whether onlineMeetings work inside `$batch`.
    pub meetings_in_batch: Verdict,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            existing: Existing::Ignore,
            reuse: Reuse::New,
            race: Race::OneMeeting,
            key_case: KeyCase::Sensitive,
            longest_key: None,
            foreign_keys: Verdict::Taken,
            unknown: Verdict::Refused,
            not_updatable: Verdict::Refused,
            past_start: Verdict::Taken,
            over_30_hours: Verdict::Taken,
            backwards: 400,
            create_or_get_language: Verdict::Taken,
            filter_miss: FilterMiss::Empty,
            dead: Dead::NotFound,
            second_delete: SecondDelete::NotFound,
            expiry: Expiry::Everything,
            spelling: Spelling::Metadata,
            absent: Vec::new(),
            meetings_in_batch: Verdict::Taken,
        }
    }
}

/// Whether something is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Taken,
    /// It is not.
    Refused,
}

/// What createOrGet does to a meeting that exists: undocumented, so both can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The other parameters are ignored.
    Ignore,
    /// Times and subject are applied.
    Apply,
}

/// What createOrGet gives for the key of a dead meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// A new meeting, 201.
    New,
    /// The dead one, 200: it stays dead for GET, PATCH and DELETE.
    Dead,
    /// The old one, 200, alive again.
    Revived,
}

/// What a createOrGet gives that came in before another one made the meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Race {
    /// The meeting that was made meanwhile.
    OneMeeting,
    /// A second meeting, which takes over the key.
    TwoMeetings,
    /// 409.
    Conflict,
}

/// How externalIds are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCase {
    /// With case.
    Sensitive,
    /// Without case, of ASCII letters.
    Insensitive,
}

/// What a filter that finds nothing is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterMiss {
    /// 200 with an empty list.
    Empty,
    /// 404.
    NotFound,
}

/// What requests to a dead meeting are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dead {
    /// 404.
    NotFound,
    /// 410.
    Gone,
}

/// What a second DELETE is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondDelete {
    /// What any request to a dead meeting is ([`Dead`]).
    NotFound,
    /// 204 again.
    NoContent,
}

/// What ends 60 days after a meeting (graph-api.md, section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The whole meeting.
    Everything,
    /// Its dial-in and video coordinates; the meeting and its URL stay.
    DialIn,
}

/// How keys are spelled that the documentation spells in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `conferenceId`, `innerError`.
    Metadata,
    /// `ConferenceId`, `innererror`.
    Documentation,
}

/// What Entra does where nothing is promised, and how long its codes and tokens last.
#[derive(Clone, Debug)]
pub struct EntraManners {
    /// What redeeming a refresh token does to it.
    pub refresh: RefreshTokens,
    /// How long a refresh token lasts; then AADSTS700082.
    pub refresh_lifetime: Duration,
    /// How long a device code lasts, in whole seconds.
    pub device_lifetime: Duration,
    /// The least time between two polls with a device code, in whole seconds.
    pub device_interval: Duration,
    /// Whether a poll that comes too early is told `slow_down`; else `authorization_pending`.
    pub slow_down: bool,
    /// Whether RS256 with `x5t` is still taken beside PS256 with `x5t#S256`.
    pub old_assertions: Verdict,
    /// Which numbers say that no federated credential matches.
    pub federated: FederatedCodes,
}

impl Default for EntraManners {
    fn default() -> Self {
        Self {
            refresh: RefreshTokens::Rotated,
            refresh_lifetime: Duration::from_secs(90 * 86_400),
            device_lifetime: Duration::from_secs(900),
            device_interval: Duration::from_secs(5),
            slow_down: false,
            old_assertions: Verdict::Taken,
            federated: FederatedCodes::One,
        }
    }
}

/// What redeeming a refresh token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshTokens {
    /// The answer carries a new one; the old one stays good.
    Rotated,
    /// The answer carries a new one; the old one is good no more.
    UsedUp,
    /// The answer carries none; the old one stays good.
    Kept,
}

/// The AADSTS numbers for a federated token that matches no registered credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FederatedCodes {
    /// 70021 for all.
    One,
    /// 700211 for the issuer, 700212 for the audience, 700213 for the subject.
    Three,
}

/// How many requests are let through; without a limit there is none.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Requests to onlineMeetings, of the application over all organizers.
    pub app: Option<Rate>,
    /// Requests to one organizer's meetings.
    pub organizer: Option<Rate>,
    /// Requests to one user's Outlook calendar.
    pub mailbox: Option<Rate>,
    /// Requests to one user's Outlook calendar that are in flight at once; beyond it 429. In a `$batch`,
    /// parts that depend on nothing count as sent at once.
    pub mailbox_at_once: Option<u64>,
    /// Meetings made per organizer and calendar month (UTC); beyond it 429 without `Retry-After`. Those
    /// of Outlook events are not counted.
    pub meetings_per_month: Option<u64>,
    /// The form of `Retry-After`.
    pub hint: Hint,
}

impl Limits {
    /// The documented ones (graph-api.md, section 12), except the monthly one, which is unclear.
    pub fn documented() -> Self {
        Self {
            app: Some(Rate::new(5_000, Duration::from_secs(10))),
            mailbox: Some(Rate::new(10_000, Duration::from_secs(600))),
            mailbox_at_once: Some(4),
            ..Self::default()
        }
    }
}

/// So many requests in each window; a window begins with its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: u64,
    /// The length of a window.
    pub per: Duration,
}

impl Rate {
    /// `requests` in each window of `per`.
    pub fn new(requests: u64, per: Duration) -> Self {
        Self { requests, per }
    }
}

/// The form in which a limit announces how long to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hint {
    /// Whole seconds, rounded up.
    #[default]
    Seconds,
    /// Seconds with a fraction, which RFC 9110 does not know.
    Fraction,
    /// An HTTP date.
    Date,
    /// Not at all: no window is announced, and none is counted.
    Missing,
}

impl Hint {
    /// The header for a wait of this length.
    pub(super) fn header(self, wait: Duration) -> Option<RetryAfter> {
        let up = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        match self {
            Self::Seconds => Some(RetryAfter::Seconds(up)),
            Self::Fraction => {
                let milliseconds = u64::try_from(wait.as_nanos().div_ceil(1_000_000));
                Some(RetryAfter::Milliseconds(milliseconds.unwrap_or(u64::MAX)))
            }
            Self::Date => Some(RetryAfter::Date(up)),
            Self::Missing => None,
        }
    }
}
