//! The first half of a pass: reads what is new or changed, decides each event, settles what needs
//! nothing, and holds what does.

use std::collections::BTreeSet;

use super::job::{Job, Room};
use super::reading::{Content, Readings};
use super::{Bridge, PassError, Report, Watched};
use crate::calendar::{Found, Known, Resource, Scope};
use crate::log;
use crate::model::ResourceId;
use crate::state::ResourceRecord;

/// How many resources that need nothing are remembered at once: one transaction is much cheaper than
/// many. What a crash takes is decided again.
const SETTLED: usize = 256;

/// What the reading half of a pass found.
#[derive(Default)]
pub(super) struct Survey {
    /// The resources that need something done.
    pub(super) jobs: Vec<Job>,
    /// How many events will want a link as soon as they have settled.
    pub(super) unsettled: usize,
    /// The resources that a listing says nothing about: read, gone, or unreadable.
    pub(super) touched: BTreeSet<ResourceId>,
    /// Whether anything was new, changed or gone.
    pub(super) changed: bool,
    /// What was counted.
    pub(super) report: Report,
    /// What needs nothing, to be remembered together.
    settled: Vec<ResourceRecord>,
    room: Room,
}

impl Bridge {
    /// Reads `scope` but for what is `known`.
    ///
    /// # Errors
    /// [`PassError`]; when the listing broke off, too.
    pub(super) async fn survey(
        &self,
        calendar: &Watched,
        scope: &Scope,
        known: Known,
    ) -> Result<Survey, PassError> {
        let mut survey = Survey::default();
        let mut complete = false;
        let finding = calendar.port.read(scope, known).await?;
        let mut readings = Readings::new(finding, calendar.zone);
        while let Some((found, content)) = readings.next(self.clock.now()).await {
            match found {
                Found::Changed(resource) => {
                    let content = content.unwrap_or_else(Content::broken);
                    self.decide(calendar, resource, content, &mut survey)?;
                }
                Found::Vanished(id) => {
                    self.state.forget_resource(&calendar.name, &id)?;
                    log::event!(RESOURCE_VANISHED, calendar = %calendar.name, resource = %id);
                    self.troubles.vanished(&calendar.name, &id);
                    survey.changed = true;
                    survey.touched.insert(id);
                }
                Found::Unreadable(id, error) => {
                    // What is due of it cannot be decided; it is looked at by every listing instead.
                    self.state.forget_resource(&calendar.name, &id)?;
                    survey.report.failed += 1;
                    self.troubles.unreadable(&calendar.name, &id, &error);
                    survey.touched.insert(id);
                }
                Found::Confirmed(_) => {}
                Found::Complete { unchanged, .. } => {
                    survey.report.unchanged = unchanged;
                    complete = true;
                }
            }
        }
        self.state.put_resources(&calendar.name, &survey.settled)?;
        if complete {
            Ok(survey)
        } else {
            Err(PassError::CutShort)
        }
    }

    /// Understands one resource, remembers what reading alone has shown, and holds it if it needs
    /// something done.
    fn decide(
        &self,
        calendar: &Watched,
        resource: Resource,
        content: Content,
        survey: &mut Survey,
    ) -> Result<(), PassError> {
        survey.changed = true;
        survey.report.read += 1;
        survey.touched.insert(resource.id.clone());
        self.troubles.readable(&calendar.name, &resource.id);
        let understood = self.decide_all(calendar, resource, content)?;
        self.remember(calendar, &understood, &mut survey.report)?;
        survey.unsettled += understood.unsettled();
        if understood.acts() {
            survey.jobs.push(Job::new(understood, &mut survey.room));
            return Ok(());
        }
        self.leave(calendar, &understood, &mut survey.report);
        survey.settled.push(understood.record());
        if survey.settled.len() == SETTLED {
            self.state.put_resources(&calendar.name, &survey.settled)?;
            survey.settled.clear();
        }
        Ok(())
    }
}
