//! Rules that the code does not follow yet, or that DESIGN.md does not settle: each is switched on when it
//! does, and in the end goes from here.

/// Leftover lines of a link that a person took out are taken out too.
pub(super) const LEFTOVERS: bool = true;

/// The opt-out tag takes a link out that is there.
pub(super) const TAG_LATER: bool = true;

/// A foreign link takes ours out.
pub(super) const FOREIGN_LATER: bool = true;

/// A person's text may name another event's link. Making a link takes that for a copy, and writes the
/// event's own; once that is seen, it is taken for another conference, and the event's own is taken out.
pub(super) const MENTIONS: bool = true;

/// A join URL whose host nobody knows counts as shown where nothing tells that it is one of Teams.
pub(super) const UNKNOWN_HOST_ALONE: bool = false;

/// An opt-out follows its event into another resource, though nothing of ours is left in it.
pub(super) const OPT_OUT_MOVES: bool = false;
