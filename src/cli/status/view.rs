//! What `status` tells. Its JSON is this: names stay what they are once released, others may be added.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Live;
use super::needs::{self, Need};
use crate::calendar::caldav::profile::Profile;
use crate::cli::assemble;
use crate::config::{Calendar, Config, Source};
use crate::ical::event::Place;
use crate::meeting::Fate;
use crate::model::{CalendarName, OrganizerId, Uid};
use crate::state::{Link, Overview, State, StateError};
use crate::sync::{is_failure, refusal};

/// Everything.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct View {
    /// Whether the daemon told it.
    pub(super) daemon: bool,
    /// What a person has to do; empty: nothing.
    pub(super) needs_person: Vec<Need>,
    pub(super) calendars: Vec<CalendarView>,
    pub(super) organizers: Vec<OrganizerView>,
    pub(super) graph: GraphView,
    pub(super) servers: Vec<ServerView>,
}

/// One calendar. Numbers are of events, links or meetings; times are UTC.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CalendarView {
    pub(super) name: String,
    pub(super) organizer: String,
    /// When the last pass ended that had anything to do.
    pub(super) last_pass: Option<DateTime<Utc>>,
    /// When the daemon passes over it next; null where none runs or it is not watched.
    pub(super) next_pass: Option<DateTime<Utc>>,
    pub(super) links: Links,
    /// How its events were decided: reason → number.
    pub(super) outcome: BTreeMap<String, u32>,
    pub(super) made_today: u32,
    pub(super) new_links_per_day: u32,
    /// Of its organizer.
    pub(super) made_this_month: u32,
    pub(super) meetings_per_month: u32,
    pub(super) frozen: Option<FrozenView>,
    /// Why it cannot be read.
    pub(super) failing: Option<String>,
    /// That goes on until a person acts.
    pub(super) failing_needs_person: bool,
    pub(super) failing_events: u32,
    /// The properties that it was seen not to keep.
    pub(super) drops: Vec<&'static str>,
    /// The events that went before they got the link of their meeting.
    pub(super) orphans: Vec<String>,
    /// Since their events are gone or cancelled.
    pub(super) meetings_to_delete: usize,
    pub(super) links_of_former_organizers: u32,
    pub(super) links_of_other_api: u32,
    #[serde(skip)]
    pub(super) is_known: bool,
}

/// How far its links have come.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Links {
    intended: u32,
    written: u32,
    seen: u32,
}

/// Since when nothing is made or written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct FrozenView {
    pub(super) since: DateTime<Utc>,
    pub(super) why: String,
    /// It is the large first pass that waits for consent.
    pub(super) first_pass: bool,
}

/// One organizer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct OrganizerView {
    pub(super) id: String,
    pub(super) made_this_month: u32,
    pub(super) meetings_per_month: u32,
    /// What Graph said when it refused all of this organizer's meetings.
    pub(super) refused: Option<String>,
    /// Until when Outlook asked to wait.
    pub(super) throttled_until: Option<DateTime<Utc>>,
}

/// Graph, for all organizers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct GraphView {
    /// What Entra or Graph said when it refused the credential.
    pub(super) refused: Option<String>,
    pub(super) throttled_until: Option<DateTime<Utc>>,
}

/// What was learned of an account's server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ServerView {
    pub(super) account: String,
    pub(super) learned: BTreeMap<String, String>,
}

impl View {
    pub(super) fn of(
        config: &Config,
        state: &State,
        now: DateTime<Utc>,
        live: Option<&Live<'_>>,
    ) -> Result<Self, StateError> {
        let windows: BTreeMap<_, _> = state.windows()?.into_iter().collect();
        let until = |scope: &str| windows.get(scope).copied().filter(|until| now < *until);
        let mut organizers = Vec::new();
        for id in all_organizers(config) {
            organizers.push(OrganizerView {
                id: id.to_string(),
                made_this_month: state.created_in_month(id, now.date_naive())?,
                meetings_per_month: config.budget.meetings_per_month,
                refused: refusal(state, Some(id)),
                throttled_until: until(&format!("outlook-{id}")),
            });
        }
        let mut view = Self {
            daemon: live.is_some(),
            needs_person: Vec::new(),
            calendars: calendars(config, state, now, live)?,
            organizers,
            graph: GraphView {
                refused: refusal(state, None),
                throttled_until: until("graph").max(until("token")),
            },
            servers: servers(config, state),
        };
        view.needs_person = needs::of(&view);
        Ok(view)
    }
}

impl CalendarView {
    /// How many links it has.
    pub(super) fn linked(&self) -> u32 {
        let Links {
            intended,
            written,
            seen,
        } = self.links;
        intended.saturating_add(written).saturating_add(seen)
    }
}

/// Whoever may own meetings of an enabled calendar, in the configuration's order.
fn all_organizers(config: &Config) -> Vec<&OrganizerId> {
    let mut known = BTreeSet::new();
    let all = config.enabled().flat_map(|calendar| {
        std::iter::once(&calendar.organizer).chain(calendar.organizers.values())
    });
    all.filter(|id| known.insert(*id)).collect()
}

fn calendars(
    config: &Config,
    state: &State,
    now: DateTime<Utc>,
    live: Option<&Live<'_>>,
) -> Result<Vec<CalendarView>, StateError> {
    let overview = state.overview()?;
    let mut views = Vec::new();
    for calendar in config.enabled() {
        let is_account = matches!(calendar.source, Source::CalDav(_));
        let is_its = |known: &&Overview| match is_account {
            true => assemble::is_of(known.calendar.as_str(), &calendar.name),
            false => known.calendar == calendar.name,
        };
        let mut known: Vec<_> = overview.iter().filter(is_its).map(Some).collect();
        if known.is_empty() {
            known.push(None);
        }
        for overview in known {
            views.push(one(config, calendar, state, now, live, overview)?);
        }
    }
    Ok(views)
}

fn one(
    config: &Config,
    calendar: &Calendar,
    state: &State,
    now: DateTime<Utc>,
    live: Option<&Live<'_>>,
    overview: Option<&Overview>,
) -> Result<CalendarView, StateError> {
    let name = overview.map_or(&calendar.name, |overview| &overview.calendar);
    let is_ours = |id: &OrganizerId| {
        *id == calendar.organizer || calendar.organizers.values().any(|mapped| mapped == id)
    };
    let old_links = state.links_by_organizer(name)?.into_iter();
    let old_links = old_links.filter(|(id, _)| !is_ours(id));
    let form = calendar.api.form(name, &calendar.language);
    let by_form = state.links_by_form(name)?.into_iter();
    let other_api = by_form.filter(|(meeting, _)| !form.is_of(meeting));
    let is_to_end = |link: &Link| {
        let gone = link.gone.is_some() && calendar.on_delete == Fate::Delete;
        gone || (link.cancelled.is_some() && calendar.on_cancel == Fate::Delete)
    };
    let endings = state.ended_links(name)?.into_iter();
    let record = overview.map(|o| o.record.clone()).unwrap_or_default();
    let outcome: BTreeMap<_, _> = overview.iter().flat_map(|o| o.outcome.clone()).collect();
    let failing = outcome.iter().filter(|(name, _)| is_failure(name));
    let [intended, written, seen] = overview.map(|o| o.links).unwrap_or_default();
    let today = now.date_naive();
    Ok(CalendarView {
        name: name.to_string(),
        organizer: calendar.organizer.to_string(),
        last_pass: record.last_pass,
        next_pass: live.and_then(|live| live.next_pass(name, now)),
        links: Links {
            intended,
            written,
            seen,
        },
        failing_events: failing.map(|(_, n)| n).sum(),
        made_today: state.created_on(name, today)?,
        new_links_per_day: calendar.new_links_per_day,
        made_this_month: state.created_in_month(&calendar.organizer, today)?,
        meetings_per_month: config.budget.meetings_per_month,
        frozen: record.frozen.map(|frozen| FrozenView {
            since: frozen.since,
            why: frozen.why,
            first_pass: !record.first_pass_done,
        }),
        failing_needs_person: record.failing.is_some() && record.needs_person,
        failing: record.failing,
        drops: record.kept.drops().into_iter().map(Place::name).collect(),
        orphans: state
            .orphans(name, now)?
            .iter()
            .map(Uid::to_string)
            .collect(),
        meetings_to_delete: endings.filter(is_to_end).count(),
        links_of_former_organizers: old_links.map(|(_, n)| n).sum(),
        links_of_other_api: other_api.map(|(_, n)| n).sum(),
        outcome,
        is_known: overview.is_some(),
    })
}

fn servers(config: &Config, state: &State) -> Vec<ServerView> {
    let accounts = config
        .enabled()
        .filter(|table| matches!(table.source, Source::CalDav(_)));
    let learned = |name: &CalendarName| {
        let profile = Profile::noted(name.as_str(), state)?;
        let lines = profile.lines().into_iter();
        Some(ServerView {
            account: name.to_string(),
            learned: lines.map(|(what, text)| (what.to_owned(), text)).collect(),
        })
    };
    accounts.filter_map(|table| learned(&table.name)).collect()
}
