//! No mass action: consent to a large first pass, budgets, freeze (DESIGN.md, promise 8).

use std::collections::HashMap;

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};

use super::job::Job;
use super::keeps::Keeps;
use super::survey::Survey;
use super::{Bridge, Watched};
use crate::log;
use crate::model::{ResourceId, Uid};
use crate::plan::Why;
use crate::state::{CalendarRecord, Frozen, StateError};

/// What a pass may do, and what its calendar is known to make of it.
pub(super) struct Allowed {
    pub(super) keeps: Keeps,
    frozen: bool,
    denied: HashMap<(ResourceId, Uid), Why>,
    today: NaiveDate,
}

impl Allowed {
    /// Why an event may not be acted upon in this pass, and when it may be tried again.
    pub(super) fn refusal(&self, resource: &ResourceId, uid: &Uid) -> Option<Refusal> {
        if self.frozen {
            return Some((Why::Frozen, None));
        }
        let why = self.denied.get(&(resource.clone(), uid.clone()))?;
        Some((why.clone(), renewed(why, self.today)))
    }
}

/// A brake, and when it is let go by itself.
pub(super) type Refusal = (Why, Option<DateTime<Utc>>);

/// When a budget that is used up is there again.
fn renewed(why: &Why, today: NaiveDate) -> Option<DateTime<Utc>> {
    let day = match why {
        Why::MonthBudget => next_month(today),
        _ => today.checked_add_days(Days::new(1)),
    };
    day.and_then(|d| d.and_hms_opt(0, 0, 0))
        .map(|t| t.and_utc())
}

impl Bridge {
    /// Applies the brakes to what the calendar wants, remembers a freeze and says so in the log.
    pub(super) fn brake(
        &self,
        calendar: &Watched,
        record: &mut CalendarRecord,
        survey: &Survey,
    ) -> Result<Allowed, StateError> {
        let was_frozen = record.frozen.is_some();
        let allowed = self.allowance(calendar, record, &survey.jobs, survey.unsettled)?;
        if let (Some(frozen), false) = (&record.frozen, was_frozen) {
            self.state.put_calendar(&calendar.name, record)?;
            log::event!(CALENDAR_WAITING, calendar = %calendar.name, reason = %frozen.why);
        }
        if let Some(why) = allowed.denied.values().next() {
            let waiting = allowed.denied.len();
            log::event!(BUDGET_EXHAUSTED, calendar = %calendar.name, budget = why.name(), waiting = waiting);
        }
        Ok(allowed)
    }

    /// Whether a budget has been used up since the pass began, by another calendar for example.
    pub(super) fn spent(&self, calendar: &Watched) -> Result<Option<Refusal>, StateError> {
        let today = self.clock.now().date_naive();
        let (day_left, month_left) = self.left(calendar, today)?;
        let why = match (day_left, month_left) {
            (_, 0) => Why::MonthBudget,
            (0, _) => Why::DayBudget,
            _ => return Ok(None),
        };
        let again = renewed(&why, today);
        Ok(Some((why, again)))
    }

    /// What is left of the calendar's day and of the organizer's month.
    fn left(&self, calendar: &Watched, today: NaiveDate) -> Result<(usize, usize), StateError> {
        let day = self.state.created_on(&calendar.name, today)?;
        let month = self.state.created_in_month(&calendar.organizer, today)?;
        Ok((
            left(calendar.new_links_per_day, day),
            left(self.meetings_per_month, month),
        ))
    }

    /// What of it is allowed: `jobs` now, `unsettled` more events soon. Only `record` is changed.
    pub(super) fn allowance(
        &self,
        calendar: &Watched,
        record: &mut CalendarRecord,
        jobs: &[Job],
        unsettled: usize,
    ) -> Result<Allowed, StateError> {
        let now = self.clock.now();
        let today = now.date_naive();
        let mut wants: Vec<_> = jobs
            .iter()
            .flat_map(|j| j.wants.iter().map(move |(at, uid)| (*at, uid, &j.id)))
            .collect();

        let large = wants.len() + unsettled;
        let limit = self.first_pass_limit as usize;
        if !record.first_pass_done && !record.consented && record.frozen.is_none() && large > limit
        {
            record.frozen = Some(Frozen {
                since: now,
                why: format!(
                    "its first pass would link {large} events, more than {limit}; \
                     look at `meetbridge plan`, then run `meetbridge resume {}`",
                    calendar.name
                ),
            });
        }
        let mut allowed = Allowed {
            keeps: Keeps::of(calendar, record),
            frozen: record.frozen.is_some(),
            denied: HashMap::new(),
            today,
        };
        if allowed.frozen || wants.is_empty() {
            return Ok(allowed);
        }

        let (day_left, month_left) = self.left(calendar, today)?;
        if wants.len() > day_left.min(month_left) {
            wants.sort();
            let why = if month_left <= day_left {
                Why::MonthBudget
            } else {
                Why::DayBudget
            };
            let rest = wants.split_off(day_left.min(month_left));
            allowed.denied = rest
                .into_iter()
                .map(|(_, uid, id)| ((id.clone(), uid.clone()), why.clone()))
                .collect();
        }
        Ok(allowed)
    }
}

fn left(budget: u32, used: u32) -> usize {
    budget.saturating_sub(used) as usize
}

fn next_month(day: NaiveDate) -> Option<NaiveDate> {
    day.with_day(1)?.checked_add_months(chrono::Months::new(1))
}
