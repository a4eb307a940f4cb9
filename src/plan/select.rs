//! The rules by which an event gets a link (DESIGN.md section 6, "Which events get a link").

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::tags::{has_opt_out_mark, is_opted_out, is_tagged};
use super::why::Why;
use crate::ical::event::{Class, Event, Next, Provider};
use crate::model::JoinUrl;

/// Which events of those that may have a link get one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// Those to which somebody but the organizer is invited.
    #[default]
    Attendees,
    /// All.
    All,
    /// Only those that are tagged.
    Tagged,
}

/// Whether events are written to which somebody but the organizer is invited: their server may mail
/// all of them with each write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventsWithAttendees {
    /// They are.
    #[default]
    Write,
    /// They are not.
    Skip,
}

/// The rules of one calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which events are selected.
    pub select: Select,
    /// How far ahead the next occurrence may start.
    pub horizon: Duration,
    /// How long an event must have been unchanged before it is linked.
    pub settle: Duration,
    /// The account's addresses, in lower case without `mailto:`. `None` skips the organizer rule;
    /// where nobody knows them, they are empty, and only events without ORGANIZER pass it.
    pub addresses: Option<BTreeSet<String>>,
    /// Whether events to which others are invited are written.
    pub events_with_attendees: EventsWithAttendees,
    /// All-day events too.
    pub all_day: bool,
    /// Events that leave their time free (TRANSP:TRANSPARENT) too.
    pub transparent: bool,
    /// Events of CLASS:PRIVATE and CONFIDENTIAL too.
    pub private: bool,
}

/// Whether an event's UID is known to stay, where a source may mint others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is, or it need not be.
    #[default]
    Proven,
    /// Not before this time.
    Unproven {
        /// When another reading proves it.
        until: Option<DateTime<Utc>>,
        /// The source was seen to mint UIDs.
        minted: bool,
    },
}

impl Standing {
    fn refusal(self) -> Option<Why> {
        match self {
            Self::Proven => None,
            Self::Unproven { minted: true, .. } => Some(Why::UidMinted),
            Self::Unproven { minted: false, .. } => Some(Why::UidUnproven),
        }
    }
}

/// What one rule says of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the rule asks, as a short statement that is true when it is content.
    pub rule: &'static str,
    /// Why it says no, if it does.
    pub refusal: Option<Why>,
    /// What it saw, without any title or address.
    pub saw: String,
}

/// Asks every rule, in their order; the first refusal decides. `ours` are the links that do not count
/// as somebody else's: our own, and one that was copied in and will be replaced.
pub fn examine(
    now: DateTime<Utc>,
    event: &Event,
    rules: &Rules,
    unchanged_since: DateTime<Utc>,
    ours: &[&JoinUrl],
    uid: Standing,
) -> Vec<Verdict> {
    let tagged = is_tagged(event);
    let mut verdicts = Vec::with_capacity(14);
    let mut rule = |rule, refusal: Option<Why>, saw: String| {
        verdicts.push(Verdict { rule, refusal, saw });
    };
    let no = |condition: bool, why: Why| condition.then_some(why);

    let not_understood = |what| Why::NotUnderstood {
        line: Some(event.line),
        what,
    };
    let fault = event.fault.clone();
    rule(
        "it is understood",
        fault.clone().map(not_understood),
        fault.unwrap_or_default(),
    );
    rule(
        "it is not cancelled",
        no(event.cancelled, Why::Cancelled),
        String::new(),
    );

    let (past, far, saw) = match &event.next {
        Next::At(span) => {
            let far = horizon_reaches(span.start, rules.horizon).is_some_and(|from| now < from);
            (
                false,
                far,
                format!("next occurrence {} to {}", span.start, span.end),
            )
        }
        Next::Past => (true, false, "no occurrence ends in the future".to_owned()),
        Next::Unknown => (false, false, "times are not understood".to_owned()),
    };
    let unknown = matches!(event.next, Next::Unknown)
        .then(|| not_understood("its times are not understood".to_owned()));
    rule(
        "its next occurrence ends in the future",
        no(past, Why::Past).or(unknown),
        saw,
    );
    let saw = format!("horizon {} days", rules.horizon.as_secs() / 86_400);
    rule(
        "its next occurrence starts within the horizon",
        no(far, Why::BeyondHorizon),
        saw,
    );

    let organizer = not_organized(event, rules);
    let saw = match (&event.organizer, &rules.addresses, &organizer) {
        (None, ..) => "no ORGANIZER",
        (_, None, _) => "no `addresses` are configured, so the rule is skipped",
        (.., Some(Why::AddressesUnknown)) => "ORGANIZER is there, and no `addresses` are known",
        (.., Some(_)) => "ORGANIZER is not among `addresses`",
        (.., None) => "ORGANIZER is among `addresses`",
    };
    rule("the account organizes it", organizer, saw.to_owned());

    let guests = guests(event, rules);
    let saw = match rules.events_with_attendees {
        EventsWithAttendees::Write => "configured".to_owned(),
        EventsWithAttendees::Skip => format!("{guests} invited"),
    };
    rule(
        "its attendees may be mailed",
        no(skips(event, rules), Why::AttendeesSkipped),
        saw,
    );

    let wanted = |configured: bool| {
        if tagged {
            "tagged"
        } else if configured {
            "configured"
        } else {
            ""
        }
    };
    let all_day = event.all_day && !tagged && !rules.all_day;
    rule(
        "it has a time of day",
        no(all_day, Why::AllDay),
        wanted(rules.all_day).to_owned(),
    );
    let transparent = event.transparent && !tagged && !rules.transparent;
    rule(
        "it takes up its time",
        no(transparent, Why::Transparent),
        wanted(rules.transparent).to_owned(),
    );
    let private = event.class != Class::Public && !tagged && !rules.private;
    rule(
        "it is public",
        no(private, Why::Private),
        wanted(rules.private).to_owned(),
    );

    let mark_says_no = has_opt_out_mark(event);
    let saw = if mark_says_no {
        "the mark says opt-out"
    } else {
        ""
    };
    rule(
        "nobody opted it out",
        no(mark_says_no || is_opted_out(event), Why::OptedOut),
        saw.to_owned(),
    );

    let selected = tagged
        || match rules.select {
            Select::All => true,
            Select::Attendees => guests > 0,
            Select::Tagged => false,
        };
    let saw = format!(
        "{guests} invited, {}",
        if tagged { "tagged" } else { "not tagged" }
    );
    rule("it is selected", no(!selected, Why::NotSelected), saw);

    let foreign = foreign_link(event, ours);
    rule(
        "it has no other conference",
        foreign.map(Why::ForeignLink),
        String::new(),
    );

    rule("its UID has proven to stay", uid.refusal(), String::new());

    let settled = settled_at(unchanged_since, rules.settle).is_none_or(|at| now >= at);
    let saw = format!(
        "unchanged since {}",
        unchanged_since.format("%Y-%m-%d %H:%M:%S UTC")
    );
    rule("it has settled", no(!settled, Why::Settling), saw);
    verdicts
}

/// When an event unchanged since then has settled; `None` when the calendar of chrono ends before.
pub(super) fn settled_at(since: DateTime<Utc>, settle: Duration) -> Option<DateTime<Utc>> {
    since.checked_add_signed(chrono::Duration::from_std(settle).ok()?)
}

/// From when on the horizon reaches an occurrence that starts at `start`.
pub(super) fn horizon_reaches(start: DateTime<Utc>, horizon: Duration) -> Option<DateTime<Utc>> {
    start.checked_sub_signed(chrono::Duration::from_std(horizon).ok()?)
}

/// Why the account does not count as the event's organizer, if it does not.
pub(super) fn not_organized(event: &Event, rules: &Rules) -> Option<Why> {
    let (organizer, addresses) = (event.organizer.as_ref()?, rules.addresses.as_ref()?);
    if addresses.is_empty() {
        return Some(Why::AddressesUnknown);
    }
    (!addresses.contains(organizer)).then_some(Why::NotOrganizer)
}

/// Whether the account organizes the event, as far as is known.
pub fn is_organized(event: &Event, rules: &Rules) -> bool {
    not_organized(event, rules).is_none()
}

/// Whether the event is not to be written because of those who are invited.
pub(super) fn skips(event: &Event, rules: &Rules) -> bool {
    rules.events_with_attendees == EventsWithAttendees::Skip && has_guests(event, rules)
}

/// Whether anybody is invited beside the organizer and the account itself: whoever a server may tell of
/// a write.
pub fn has_guests(event: &Event, rules: &Rules) -> bool {
    guests(event, rules) > 0
}

/// How many are invited beside the organizer and the account itself.
fn guests(event: &Event, rules: &Rules) -> usize {
    let own = |a: &String| rules.addresses.as_ref().is_some_and(|own| own.contains(a));
    let host =
        |a: &&String| Some(*a) == event.organizer.as_ref() || (event.organizer.is_none() && own(a));
    event.attendees.iter().filter(|a| !host(a)).count()
}

/// The conference of somebody else that the event carries, if any. An override's own does not count
/// as long as there is a master: it keeps that link, and the rest of the series gets ours.
pub(super) fn foreign_link(event: &Event, ours: &[&JoinUrl]) -> Option<Provider> {
    let has_master = event.components.iter().any(|c| !c.is_override);
    event
        .components
        .iter()
        .filter(|c| !has_master || !c.is_override)
        .flat_map(|c| &c.links)
        .find(|link| !ours.iter().any(|url| url.expose() == link.url))
        .map(|link| link.provider)
}
