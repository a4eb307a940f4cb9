//! How a simulated Outlook calendar behaves where its documentation is silent, or where the service was
//! seen to fail (graph-api.md, section 9).

use std::time::Duration;

/// What Outlook does where nothing is promised.
#[derive(Clone, Debug)]
pub struct OutlookManners {
    /// What asking for an online meeting gives, where the mailbox allows the provider.
    pub online: GoesOnline,
    /// What an update of the time without the body does to an event's link.
    pub time_update: TimeUpdate,
    /// How long a transactionId is remembered; `None`: for ever.
    pub transaction_memory: Option<Duration>,
    /// What a repeated transactionId gives when the rest of the body differs.
    pub differing: Differing,
    /// What a repeated transactionId gives when its event was deleted.
    pub repeat_of_deleted: RepeatOfDeleted,
    /// What a deleted event's immutable id gives.
    pub deleted: Deleted,
    /// How members of `onlineMeeting` that have no value are shown.
    pub unset: Unset,
    /// How many events a page of a list holds where the request does not say; at least 1.
    pub page: usize,
}

impl Default for OutlookManners {
    fn default() -> Self {
        Self {
            online: GoesOnline::AtOnce,
            time_update: TimeUpdate::KeepsLink,
            transaction_memory: None,
            differing: Differing::First,
            repeat_of_deleted: RepeatOfDeleted::New,
            deleted: Deleted::NotFound,
            unset: Unset::LeftOut,
            page: 10,
        }
    }
}

/// What asking for an online meeting gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoesOnline {
    /// The meeting, in the answer.
    AtOnce,
    /// `isOnlineMeeting` in the answer, but `onlineMeeting` only after so many GETs that lack it.
    AfterGets(u32),
    /// Nothing at the creation: 201 with `isOnlineMeeting` false and the provider unknown; a PATCH works.
    NotAtCreation,
    /// Nothing, ever: 201 and 200 with `isOnlineMeeting` false and the provider unknown.
    Never,
}

/// What an update of start or end without the body does to the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUpdate {
    /// Nothing.
    KeepsLink,
    /// `onlineMeeting` is null from then on, until the next PATCH of any kind.
    DropsLink,
}

/// What a repeated transactionId gives when the rest of the body differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differing {
    /// The first event, 201; the difference is ignored.
    First,
    /// 409.
    Conflict,
    /// Another event, 201.
    Another,
}

/// What a repeated transactionId gives when its event was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatOfDeleted {
    /// A new event, 201.
    New,
    /// The deleted one, 201: it stays deleted.
    Dead,
}

/// What a deleted event's immutable id gives; its other id is 404 always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// 404.
    NotFound,
    /// The event, which lies in Deleted Items and is in no calendar; DELETE there ends it.
    InDeletedItems,
}

/// How members without a value are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// Not at all.
    LeftOut,
    /// As null; lists as empty.
    Null,
}
