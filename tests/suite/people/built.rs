//! Rules of DESIGN.md's "A person's change" that are not built yet: each is switched on when it is.

/// Leftover lines of a link that a person took out are taken out too.
pub(super) const LEFTOVERS: bool = true;

/// The opt-out tag takes a link out that is there.
pub(super) const TAG_LATER: bool = true;

/// A foreign link takes ours out.
pub(super) const FOREIGN_LATER: bool = true;

/// A join URL whose host nobody knows counts as shown where nothing tells that it is one of Teams.
pub(super) const UNKNOWN_HOST_ALONE: bool = false;

/// An opt-out follows its event into another resource.
pub(super) const OPT_OUT_MOVES: bool = false;
