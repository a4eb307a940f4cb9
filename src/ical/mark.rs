//! The mark: our `X-MEETBRIDGE-MEETING` property.
//!
//! Its value is `v1.KEY.WROTE.EMPTY.GENERATION`, without any character that a calendar server would
//! escape: KEY the 24 hex digits of [`crate::model::MeetingKey::digest`], WROTE the 16 hex digits of
//! [`Mark::digest_of`], EMPTY what was empty before as letters (`d` DESCRIPTION, `l` LOCATION,
//! `u` URL; `-` for none), GENERATION a number. An event a person opted out has `v1.opt-out`.

/// What the mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A link of ours.
    Link {
        /// Digest of (tenant, organizer, externalId).
        key: String,
        /// Digest of what was written.
        wrote: String,
        /// What was empty before, so that `unlink` can restore it.
        empty: EmptyBefore,
        /// [`crate::model::Generation`].
        generation: u8,
    },
    /// A person took the link out.
    OptOut,
    /// A mark of a version that is not known, or a damaged one: left alone.
    Unknown,
}

/// Which properties were absent or empty before the link was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmptyBefore {
    /// DESCRIPTION was absent.
    pub description: bool,
    /// LOCATION was absent or empty.
    pub location: bool,
    /// URL was absent.
    pub url: bool,
}
