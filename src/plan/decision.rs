//! What may be done about an event.

use chrono::{DateTime, Utc};

use super::person::Out;
use super::why::Why;
use crate::model::{Generation, JoinUrl, Span};

/// What is to be done about one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, and why.
    Leave(Why),
    /// The event carries our link and nothing is remembered of it: remember it; ask and write nothing.
    Adopt {
        /// The key generation its mark names.
        generation: Generation,
        /// The link it shows.
        join_url: JoinUrl,
    },
    /// Get the event its meeting and write the link.
    Link {
        /// When the meeting takes place.
        span: Span,
        /// A link of another event that was copied in and goes in the same write.
        replaces: Option<JoinUrl>,
    },
    /// The meeting is known and the event does not show all of the link: write what is missing.
    Write {
        /// A link of another event that was copied in and goes in the same write.
        replaces: Option<JoinUrl>,
    },
    /// A rewrite is asked for, and the event does not show the link, or is not known to show it, as it
    /// would be written now; the meeting is brought up to date as well.
    Rewrite {
        /// When the meeting takes place.
        span: Span,
    },
    /// The meeting is to give way to one as it is configured: get that, and write its link in the place
    /// of the old one.
    Move {
        /// When the meeting takes place.
        span: Span,
    },
    /// The event shows the link; the meeting's times, title or settings are behind.
    Update {
        /// When the meeting takes place.
        span: Span,
    },
    /// Take out what there is of the link, and why.
    TakeOut(Out),
}

impl Decision {
    /// The stable name, for `plan`, `status` and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Leave(why) => why.name(),
            Self::Adopt { .. } => "adopt",
            Self::Link { replaces: None, .. } => "link",
            Self::Link {
                replaces: Some(_), ..
            } => "link-copy",
            Self::Write { .. } => "write",
            Self::Rewrite { .. } => "rewrite",
            Self::Move { .. } => "move",
            Self::Update { .. } => "update",
            Self::TakeOut(_) => "take-out",
        }
    }

    /// Whether it changes anything outside the state.
    pub fn acts(&self) -> bool {
        matches!(
            self,
            Self::Link { .. }
                | Self::Write { .. }
                | Self::Rewrite { .. }
                | Self::Move { .. }
                | Self::Update { .. }
                | Self::TakeOut(_)
        )
    }

    /// Whether it may need the meeting service.
    pub fn asks(&self) -> bool {
        self.acts() && !matches!(self, Self::TakeOut(_))
    }
}

/// A decision, and when to decide again although nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// What is to be done.
    pub what: Decision,
    /// When time alone may change the answer.
    pub due: Option<DateTime<Utc>>,
}

impl Default for Decided {
    fn default() -> Self {
        Self {
            what: Decision::Leave(Why::InStep),
            due: None,
        }
    }
}
