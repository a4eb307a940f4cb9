//! No mass action: consent to a large first pass, budgets, freeze (DESIGN.md, promise 8).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};

use super::job::Job;
use super::keeps::Keeps;
use super::survey::Survey;
use super::{Bridge, Watched};
use crate::log;
use crate::model::{OrganizerId, ResourceId, Uid};
use crate::plan::Why;
use crate::state::{CalendarRecord, Frozen, StateError};

/// What a pass may do, and what its calendar is known to make of it.
pub(super) struct Allowed {
    pub(super) keeps: Keeps,
    /// Since when it is asked for that links be rewritten, if it is.
    pub(super) rewrite: Option<DateTime<Utc>>,
    frozen: bool,
    denied: HashMap<(ResourceId, Uid), Why>,
    today: NaiveDate,
}

impl Allowed {
    /// Nothing is asked of the meeting service, and the calendar is unlinked whether it is frozen or not.
    pub(super) fn unlinking(keeps: Keeps, now: DateTime<Utc>) -> Self {
        Self {
            keeps,
            rewrite: None,
            frozen: false,
            denied: HashMap::new(),
            today: now.date_naive(),
        }
    }

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
        for budget in [Why::DayBudget, Why::MonthBudget] {
            let waiting = allowed
                .denied
                .values()
                .filter(|why| **why == budget)
                .count();
            let until = renewed(&budget, allowed.today);
            if waiting > 0
                && self
                    .troubles
                    .budget_ends(&calendar.name, budget.name(), until)
            {
                let limit = match budget {
                    Why::MonthBudget => self.meetings_per_month,
                    _ => calendar.new_links_per_day,
                };
                log::event!(BUDGET_EXHAUSTED, calendar = %calendar.name, budget = budget.name(),
                    limit = limit, waiting = waiting);
            }
        }
        Ok(allowed)
    }

    /// Whether a budget has been used up since the pass began, by another calendar for example.
    pub(super) fn spent(
        &self,
        calendar: &Watched,
        organizer: &OrganizerId,
    ) -> Result<Option<Refusal>, StateError> {
        let today = self.clock.now().date_naive();
        let day_used = self.state.created_on(&calendar.name, today)?;
        let why = if self.month_left(organizer, today)? == 0 {
            Why::MonthBudget
        } else if day_used >= calendar.new_links_per_day {
            Why::DayBudget
        } else {
            return Ok(None);
        };
        let again = renewed(&why, today);
        Ok(Some((why, again)))
    }

    /// What is left of the organizer's month.
    fn month_left(&self, organizer: &OrganizerId, today: NaiveDate) -> Result<usize, StateError> {
        let used = self.state.created_in_month(organizer, today)?;
        Ok(left(self.meetings_per_month, used))
    }

    /// Counts a meeting that was made, and says when an organizer's month draws to its end.
    pub(super) fn count_creation(
        &self,
        calendar: &Watched,
        organizer: &OrganizerId,
    ) -> Result<(), StateError> {
        let today = self.clock.now().date_naive();
        self.state
            .count_creation(&calendar.name, organizer, today)?;
        let (used, limit) = (
            self.state.created_in_month(organizer, today)?,
            self.meetings_per_month,
        );
        // Told by the one that passes the mark: once a month, whoever restarts.
        if used == mark(limit) {
            log::event!(BUDGET_LOW, organizer = %organizer, used = used, limit = limit);
        }
        Ok(())
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
            .flat_map(|j| {
                j.wants
                    .iter()
                    .map(move |(at, uid, organizer)| (*at, uid, &j.id, organizer))
            })
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
            rewrite: None,
            frozen: record.frozen.is_some(),
            denied: HashMap::new(),
            today,
        };
        if allowed.frozen || wants.is_empty() {
            return Ok(allowed);
        }

        // Soonest first, each on the account of its own organizer.
        wants.sort();
        let mut day_left = left(
            calendar.new_links_per_day,
            self.state.created_on(&calendar.name, today)?,
        );
        let mut month_left: HashMap<&OrganizerId, usize> = HashMap::new();
        for (_, uid, id, organizer) in wants {
            let its_left = match month_left.entry(organizer) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.month_left(organizer, today)?),
            };
            let why = match (day_left, *its_left) {
                (_, 0) => Why::MonthBudget,
                (0, _) => Why::DayBudget,
                _ => {
                    day_left -= 1;
                    *its_left -= 1;
                    continue;
                }
            };
            allowed.denied.insert((id.clone(), uid.clone()), why);
        }
        Ok(allowed)
    }
}

/// The number of meetings that leaves a fifth of the month's.
fn mark(limit: u32) -> u32 {
    let mark = (u64::from(limit) * 4).div_ceil(5);
    u32::try_from(mark).unwrap_or(u32::MAX).max(1)
}

fn left(budget: u32, used: u32) -> usize {
    budget.saturating_sub(used) as usize
}

fn next_month(day: NaiveDate) -> Option<NaiveDate> {
    day.with_day(1)?.checked_add_months(chrono::Months::new(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_is_left_at_the_mark() {
        for (limit, expected) in [(0, 1), (1, 1), (5, 4), (10, 8), (11, 9), (1_800, 1_440)] {
            assert_eq!(mark(limit), expected, "{limit}");
        }
    }
}
