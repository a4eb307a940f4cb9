//! What a pass would do, without doing it.

use chrono::{DateTime, Utc};
use futures_util::StreamExt;

use super::brakes::Allowed;
use super::job::{Job, Room};
use super::understand::{Planned, Understood};
use super::{Bridge, PassError, Watched};
use crate::calendar::{Attendees, Found, Known, Scope};
use crate::ical::event::Next;
use crate::model::{ResourceId, Span, Uid};
use crate::plan::{Decision, has_guests};

/// What a pass would do about a calendar.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Whether attendees are told of what would be written.
    pub attendees: Attendees,
    /// Every event, in the order of reading.
    pub rows: Vec<Row>,
    /// What could not be read or understood: resource, and the reason with its line.
    pub faults: Vec<(ResourceId, String)>,
    /// The calendar is frozen, or would wait for consent: why.
    pub waits: Option<String>,
}

/// What a pass would do about one event.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it is stored.
    pub resource: ResourceId,
    /// Which event.
    pub uid: Uid,
    /// Its title; for a person at a terminal only.
    pub title: Option<String>,
    /// Its next occurrence.
    pub span: Option<Span>,
    /// What would be done.
    pub decision: Decision,
    /// Somebody but the organizer and the account is invited.
    pub has_guests: bool,
    /// Its meeting was made otherwise than the calendar says: `sync --rewrite` would replace it.
    pub other_form: bool,
}

impl Row {
    /// What would be done about this event.
    pub(super) fn of(calendar: &Watched, resource: &ResourceId, planned: &Planned) -> Self {
        Self {
            resource: resource.clone(),
            uid: planned.event.uid.clone(),
            title: planned.event.summary.clone(),
            span: match planned.event.next {
                Next::At(span) => Some(span),
                Next::Past | Next::Unknown => None,
            },
            decision: planned.decided.what.clone(),
            has_guests: has_guests(&planned.event, &calendar.rules),
            other_form: planned.is_of_other_form(calendar),
        }
    }
}

impl Bridge {
    /// Reads and understands all of `calendar`, as if a rewrite had been asked for at the given time, and
    /// shows each resource to `visit`. Changes nothing.
    ///
    /// # Errors
    /// As [`Bridge::pass`].
    pub async fn look(
        &self,
        calendar: &Watched,
        rewrite: Option<DateTime<Utc>>,
        mut visit: impl FnMut(Understood),
    ) -> Result<Vec<(ResourceId, String)>, PassError> {
        let mut faults = Vec::new();
        let mut finding = calendar.port.read(&Scope::All, Known::default()).await?;
        while let Some(found) = finding.next().await {
            match found {
                Found::Changed(resource) => {
                    let understood = self.understand(calendar, resource, rewrite).await?;
                    let id = &understood.resource.id;
                    faults.extend(
                        understood
                            .faults
                            .iter()
                            .map(|what| (id.clone(), what.clone())),
                    );
                    visit(understood);
                }
                Found::Unreadable(id, error) => faults.push((id, error.to_string())),
                Found::Complete { .. } => return Ok(faults),
                Found::Vanished(_) | Found::Confirmed(_) => {}
            }
        }
        Err(PassError::CutShort)
    }

    /// What a pass over all of `calendar` would do, brakes included. Changes nothing.
    ///
    /// # Errors
    /// As [`Bridge::pass`].
    pub async fn preview(&self, calendar: &Watched) -> Result<Preview, PassError> {
        self.preview_of(calendar, None).await
    }

    /// The same of a pass that rewrites links.
    ///
    /// # Errors
    /// As [`Bridge::pass`].
    pub async fn preview_rewrite(&self, calendar: &Watched) -> Result<Preview, PassError> {
        self.preview_of(calendar, Some(self.clock.now())).await
    }

    async fn preview_of(
        &self,
        calendar: &Watched,
        rewrite: Option<DateTime<Utc>>,
    ) -> Result<Preview, PassError> {
        let (mut rows, mut jobs, mut unsettled) = (Vec::new(), Vec::new(), 0);
        let faults = self
            .look(calendar, rewrite, |understood| {
                unsettled += understood.unsettled();
                let id = &understood.resource.id;
                let events = understood.events.iter();
                rows.extend(events.map(|planned| Row::of(calendar, id, planned)));
                if understood.acts() {
                    jobs.push(Job::new(calendar, understood, &mut Room::full()));
                }
            })
            .await?;
        let mut record = self.state.calendar(&calendar.name)?;
        let allowed: Allowed = self.allowance(calendar, &mut record, &jobs, unsettled)?;
        for row in rows.iter_mut().filter(|row| row.decision.acts()) {
            if let Some((why, _)) = allowed.refusal(&row.resource, &row.uid) {
                row.decision = Decision::Leave(why);
            }
        }
        Ok(Preview {
            attendees: calendar.port.attendees(),
            rows,
            faults,
            waits: record.frozen.map(|frozen| frozen.why),
        })
    }
}
