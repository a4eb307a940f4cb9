//! Which events get a link, and what each event needs. Pure: no clock, no network, no disk.
//!
//! In: the time, the rules of the calendar, an event as read, and what is remembered of its link.
//! Out: a [`Decision`] with its reason, which [`crate::sync`] carries out.

mod ask;
mod decide;
mod decision;
pub mod kept;
mod life;
mod person;
pub mod select;
pub mod style;
mod tags;
#[cfg(test)]
mod tests;
mod version;
mod whose;
mod why;

pub use ask::{Ask, key_of};
pub use decide::decide;
pub use decision::{Decided, Decision};
pub use life::{assumed_span, in_progress_until, is_behind, roll_at};
pub use person::{Out, is_adopted_beside, wants_out};
pub use select::{
    EventsWithAttendees, Rules, Select, Standing, Verdict, examine, has_guests, is_organized,
};
pub use style::{Style, Template};
pub use version::{is_same, stamp};
pub use whose::marked_generation;
pub use why::Why;
