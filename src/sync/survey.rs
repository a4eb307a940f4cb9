//! The first half of a pass: reads what is new or changed, decides each event, settles what needs
//! nothing, and holds what does.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::job::{Job, Room};
use super::losses::Losses;
use super::reading::{Content, Readings};
use super::{Bridge, PassError, Report, Watched};
use crate::calendar::{Found, Known, Resource, Scope, SyncToken};
use crate::model::{ResourceId, Version};
use crate::state::{CalendarRecord, Kept, ResourceRecord, StateError};

/// How many resources that need nothing are remembered at once: one transaction is much cheaper than
/// many. What a crash takes is decided again.
const SETTLED: usize = 256;

/// How long a resource is left alone that could not be read.
const UNREADABLE: chrono::Duration = chrono::Duration::minutes(15);

/// What the reading half of a pass found.
#[derive(Default)]
pub(super) struct Survey {
    /// The resources that need something done.
    pub(super) jobs: Vec<Job>,
    /// How many events will want a link as soon as they have settled.
    pub(super) unsettled: usize,
    /// The resources that a listing says nothing about: read, gone, or unreadable.
    pub(super) touched: BTreeSet<ResourceId>,
    /// The resources with a Teams link of nobody's that is known so far. When a link is found in another
    /// resource, it may be that one's.
    pub(super) mentions: BTreeSet<ResourceId>,
    /// What is gone.
    pub(super) losses: Losses,
    /// The resources that could not be read.
    unreadable: Vec<ResourceId>,
    /// Whether anything was new, changed or gone.
    pub(super) changed: bool,
    /// What the calendar is known to keep of a link.
    pub(super) kept: Kept,
    /// Since when it is asked for that links be rewritten, if it is.
    rewrite: Option<DateTime<Utc>>,
    /// From where the next pass may go on.
    pub(super) token: Option<SyncToken>,
    /// What was counted.
    pub(super) report: Report,
    /// What needs nothing, to be remembered together.
    settled: Vec<ResourceRecord>,
    room: Room,
}

impl Bridge {
    /// Reads `scope`; of a listing, what is not settled.
    ///
    /// # Errors
    /// [`PassError`]; when the listing broke off, too.
    pub(super) async fn survey(
        &self,
        calendar: &Watched,
        scope: &Scope,
        record: &CalendarRecord,
        rewrite: Option<DateTime<Utc>>,
    ) -> Result<Survey, PassError> {
        let mut survey = Survey {
            kept: record.kept.clone(),
            rewrite,
            ..Survey::default()
        };
        let mut known = match scope {
            Scope::All => self.state.settled(&calendar.name, self.clock.now())?,
            Scope::News(_) | Scope::Only(_) => Known::default(),
        };
        if rewrite.is_some() {
            // Settled or not, it is read.
            known
                .values_mut()
                .for_each(|known| *known = Version::new(""));
        }
        let mut complete = false;
        let finding = calendar.port.read(scope, known).await?;
        let mut readings = Readings::new(finding, calendar.zone);
        while let Some((found, content)) = readings.next(self.clock.now()).await {
            match found {
                Found::Changed(resource) => {
                    let content = content.unwrap_or_else(Content::broken);
                    self.decide(calendar, resource, content, &mut survey)?;
                }
                Found::Vanished(id) => self.vanish(calendar, scope, id, &mut survey)?,
                Found::Unreadable(id, error) => {
                    survey.report.failed += 1;
                    self.troubles.unreadable(&calendar.name, &id, &error);
                    survey.unreadable.push(id.clone());
                    survey.touched.insert(id);
                }
                Found::Confirmed(id) => self.state.confirm_resource(&calendar.name, &id)?,
                Found::Complete { unchanged, token } => {
                    survey.report.unchanged = unchanged;
                    survey.token = token;
                    complete = true;
                }
            }
        }
        self.state.put_resources(&calendar.name, &survey.settled)?;
        self.look_again(calendar, record, &survey)?;
        if complete {
            Ok(survey)
        } else {
            Err(PassError::CutShort)
        }
    }

    /// What could not be read is read again: by the next listing, or after a while where changes are
    /// told once only.
    fn look_again(
        &self,
        calendar: &Watched,
        record: &CalendarRecord,
        survey: &Survey,
    ) -> Result<(), StateError> {
        if survey.unreadable.is_empty() {
            return Ok(());
        }
        let (name, now) = (&calendar.name, self.clock.now());
        let told_once = survey.token.is_some() || record.token.is_some();
        for id in &survey.unreadable {
            if told_once {
                let record = ResourceRecord {
                    id: id.clone(),
                    version: Version::new(""),
                    first_seen: now,
                    due: now.checked_add_signed(UNREADABLE),
                    outcome: Vec::new(),
                };
                self.state.put_resource(name, &record)?;
            } else {
                self.state.forget_decision(name, id)?;
            }
        }
        Ok(())
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
        let mut understood = self.decide_all(
            calendar,
            resource,
            content,
            survey.rewrite,
            &mut survey.kept,
        )?;
        self.remember(calendar, &understood, &mut survey.report)?;
        if understood.names_another() {
            survey.mentions.insert(understood.resource.id.clone());
        }
        survey.unsettled += understood.unsettled();
        let losing = !understood.losses.is_empty();
        survey.losses.add(&mut understood.losses);
        if understood.acts() {
            survey
                .jobs
                .push(Job::new(calendar, understood, &mut survey.room));
            return Ok(());
        }
        self.troubles
            .settled(&calendar.name, &understood.resource.id);
        self.leave(calendar, &understood, &mut survey.report);
        if losing {
            survey.losses.settle(understood.record());
            return Ok(());
        }
        survey.settled.push(understood.record());
        if survey.settled.len() == SETTLED {
            self.state.put_resources(&calendar.name, &survey.settled)?;
            survey.settled.clear();
        }
        Ok(())
    }
}
