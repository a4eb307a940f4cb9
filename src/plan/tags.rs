//! What people write into an event to ask for a meeting, or for none.

use crate::ical::event::Event;
use crate::ical::mark::Mark;

/// Whether a person asked for a meeting: the category or title word `Teams` or `#teams`, or a
/// LOCATION that is nothing but a placeholder for one.
///
/// In a title, the bare word counts only as `Teams`: "both teams" asks for nothing.
pub(super) fn is_tagged(event: &Event) -> bool {
    let category = |c: &String| matches!(c.trim().to_lowercase().as_str(), "teams" | "#teams");
    let placeholder = |l: &String| {
        matches!(
            l.trim().to_lowercase().as_str(),
            "teams" | "#teams" | "microsoft teams" | "microsoft teams meeting"
        )
    };
    event.categories.iter().any(category)
        || title_words(event).any(|w| w == "Teams" || w.eq_ignore_ascii_case("#teams"))
        || event.location.as_ref().is_some_and(placeholder)
}

/// Whether a person asked for none: the category or title word `no-teams`.
pub(super) fn is_opted_out(event: &Event) -> bool {
    event
        .categories
        .iter()
        .any(|c| c.trim().eq_ignore_ascii_case("no-teams"))
        || title_words(event).any(|w| w.trim_start_matches('#').eq_ignore_ascii_case("no-teams"))
}

/// Whether the mark says that a person opted it out.
pub(super) fn has_opt_out_mark(event: &Event) -> bool {
    event
        .components
        .iter()
        .any(|c| c.mark == Some(Mark::OptOut))
}

fn title_words(event: &Event) -> impl Iterator<Item = &str> {
    let title = event.summary.as_deref().unwrap_or_default();
    title
        .split(|c: char| !(c.is_alphanumeric() || c == '#' || c == '-'))
        .filter(|w| !w.is_empty())
}
