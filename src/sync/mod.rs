//! One pass over one calendar, on one screen:
//! read resources → understand → decide each event → act at the meeting service → remember → write
//! each resource once.
//!
//! In: a calendar and where to look. Out: a [`Report`]. What goes wrong with one resource stays there;
//! a calendar that cannot be read or a state that cannot be used ends the pass.

mod act;
mod brakes;
mod edit;
mod endings;
mod exchange;
mod halt;
mod job;
mod keeps;
mod losses;
mod obtain;
mod preview;
mod reading;
mod refused;
mod remembered;
mod renewal;
mod retry;
mod rewrite;
mod survey;
mod take_out;
mod trouble;
mod understand;
mod unlink;
mod watchlist;
mod write_back;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::{TryStreamExt, stream};

use crate::calendar::{Calendar, ReadError, Scope};
use crate::clock::Clock;
use crate::ical::block::Show;
use crate::ical::event::{Event, Provider};
use crate::ical::write::Location;
use crate::log;
use crate::meeting::{Fate, Form, Meetings};
use crate::model::{CalendarName, OrganizerId, ResourceId};
use crate::plan::{Rules, Style, Why};
use crate::state::{CalendarRecord, State, StateError};
use halt::Halt;
pub use preview::{Preview, Row};
pub use refused::refusal;
pub use retry::{is_failure, needs_person};
use survey::Survey;
pub use trouble::Troubles;
pub use understand::{Planned, Understood};
pub use unlink::{Unlink, Unlinked};

/// How many resources of a calendar are worked on at once. The meeting service has its own bound.
const AT_ONCE: usize = 50;

/// What stands for a published calendar in the log.
const PUBLISHED: &str = "(published)";

/// What all calendars share.
pub struct Bridge {
    /// What is remembered.
    pub state: Arc<State>,
    /// The meeting service.
    pub meetings: Arc<dyn Meetings>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The tenant, in lower case.
    pub tenant: String,
    /// A first pass that would link more than this waits for consent.
    pub first_pass_limit: u32,
    /// Meetings made per organizer and month.
    pub meetings_per_month: u32,
    /// What fails at the moment.
    pub troubles: Troubles,
}

/// A calendar that is watched, and what is configured for it.
pub struct Watched {
    /// Its name.
    pub name: CalendarName,
    /// Where its resources are.
    pub port: Arc<dyn Calendar>,
    /// Who owns the meetings of new links, unless `organizers` says otherwise.
    pub organizer: OrganizerId,
    /// Who owns those of events by their ORGANIZER: address in lower case → organizer.
    pub organizers: BTreeMap<String, OrganizerId>,
    /// What becomes of the meeting of a cancelled event.
    pub on_cancel: Fate,
    /// What becomes of the meeting of an event that is gone, or lost its link.
    pub on_delete: Fate,
    /// The language of join information and labels (BCP 47).
    pub language: String,
    /// Which events get a link.
    pub rules: Rules,
    /// What its meetings are like.
    pub style: Style,
    /// As what meetings are made for it.
    pub form: Form,
    /// The zone of floating times.
    pub zone: chrono_tz::Tz,
    /// What goes into an empty LOCATION.
    pub location: Location,
    /// What the join block shows.
    pub show: Vec<Show>,
    /// Meetings made per day.
    pub new_links_per_day: u32,
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Resources that were read.
    pub read: usize,
    /// Resources that were listed unchanged.
    pub unchanged: usize,
    /// Meetings that were made.
    pub created: usize,
    /// Resources that were written.
    pub written: usize,
    /// Meetings that were brought up to date.
    pub updated: usize,
    /// Links found in events and remembered.
    pub adopted: usize,
    /// Meetings that nothing was remembered of, and that were there when they were asked for.
    pub found: usize,
    /// Events that a link was taken out of.
    pub taken_out: usize,
    /// Failures of single events and resources.
    pub failed: usize,
    /// How the events that were read were decided: name → number.
    pub outcome: BTreeMap<String, u32>,
    /// Resources to be passed over again at once: a write stopped half way, or came to nothing, or a first
    /// pass found whose link is in them. A write comes to nothing at most twice in a row; then the
    /// resource is due a minute later instead.
    pub again: BTreeSet<ResourceId>,
    /// The meeting service stopped the pass: why, in words.
    pub halted: Option<String>,
}

/// Why a pass could not be made or finished.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The calendar cannot be read.
    #[error(transparent)]
    Calendar(#[from] ReadError),
    /// The listing broke off; nothing is concluded from what it did not show.
    #[error("the listing of the calendar broke off; the next pass lists it again")]
    CutShort,
    /// The state cannot be used: no outside effect may follow.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Bridge {
    /// Whether events are decided by `other` as they are by this one.
    pub fn decides_like(&self, other: &Self) -> bool {
        self.tenant == other.tenant
            && self.first_pass_limit == other.first_pass_limit
            && self.meetings_per_month == other.meetings_per_month
    }

    /// Makes one pass over `calendar`.
    ///
    /// # Errors
    /// See [`PassError`]; what was done before the error is remembered.
    pub async fn pass(&self, calendar: &Watched, scope: Scope) -> Result<Report, PassError> {
        self.pass_rewriting(calendar, scope, None).await
    }

    /// The same. `rewrite` is the time at which it was asked for that the links that are there be brought
    /// to what would be written now: each at most once since.
    ///
    /// # Errors
    /// As [`Bridge::pass`].
    pub async fn pass_rewriting(
        &self,
        calendar: &Watched,
        scope: Scope,
        rewrite: Option<DateTime<Utc>>,
    ) -> Result<Report, PassError> {
        let (began, since) = (self.clock.now(), self.clock.elapsed());
        let mut record = self.state.calendar(&calendar.name)?;
        let mut scope = self.begin(calendar, scope, &mut record)?;

        // Read, understand, decide. Where nothing tells what changed, all of it is listed.
        let mut survey = match self.survey(calendar, &scope, &record, rewrite).await {
            Err(PassError::Calendar(ReadError::Expired)) if scope != Scope::All => {
                scope = Scope::All;
                self.survey(calendar, &scope, &record, rewrite).await?
            }
            survey => survey?,
        };

        // What is gone is judged before anything follows from it.
        let losses = std::mem::take(&mut survey.losses);
        self.settle_losses(calendar, &mut record, losses)?;
        if survey.kept != record.kept {
            record.kept = survey.kept.clone();
            self.state.put_calendar(&calendar.name, &record)?;
        }
        let mut allowed = self.brake(calendar, &mut record, &survey)?;
        allowed.rewrite = rewrite;

        // Act, remember, write each resource once. What cannot be remembered is not begun: a full
        // disk shows here.
        let halt = Halt::default();
        let jobs = std::mem::take(&mut survey.jobs);
        if !jobs.is_empty() {
            self.state.check_writable()?;
        }
        let done = stream::iter(jobs.into_iter().map(Ok::<_, PassError>))
            .map_ok(|job| self.carry_out(calendar, job, &allowed, &halt))
            .try_buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;

        self.finish(calendar, &scope, &record, &survey)?;
        if !matches!(scope, Scope::Only(_)) && !self.troubles.is_partly_unreadable(&calendar.name) {
            self.has_read(&calendar.name, began);
        }
        let mut report = survey.report;
        done.into_iter().for_each(|part| report.merge(part));
        self.look_again_for_found(calendar, &record, survey.mentions, &mut report)?;
        let frozen = self.state.calendar(&calendar.name)?.frozen.is_some();
        self.publish(calendar, frozen, &mut report).await;
        if halt.is_outage() {
            self.troubles.unanswered();
        }
        report.halted = halt.reason();
        log::event!(CALENDAR_PASS, calendar = %calendar.name, changed = report.read,
            unchanged = report.unchanged, created = report.created, updated = report.updated,
            written = report.written, failed = report.failed,
            milliseconds = self.clock.elapsed().saturating_sub(since).as_millis() as u64);
        Ok(report)
    }

    /// Makes public what was read and written, where that is something of its own. Whoever follows it
    /// sees what becomes of the events in a frozen calendar, too: it is their links that stay.
    async fn publish(&self, calendar: &Watched, frozen: bool, report: &mut Report) {
        if !calendar.port.is_derived() {
            return;
        }
        let id = ResourceId::new(PUBLISHED);
        match calendar.port.publish(frozen).await {
            Ok(is_news) => {
                self.troubles.written(&calendar.name, &id);
                if is_news {
                    log::event!(CALENDAR_PUBLISHED, calendar = %calendar.name);
                }
            }
            Err(why) => {
                report.failed += 1;
                self.troubles.unwritable(&calendar.name, &id, &why, false);
            }
        }
    }

    /// Where to look: at all of a calendar that was never passed over, whose configuration changed, or
    /// that cannot tell what changed since the last pass.
    fn begin(
        &self,
        calendar: &Watched,
        scope: Scope,
        record: &mut CalendarRecord,
    ) -> Result<Scope, StateError> {
        let rules = calendar.fingerprint(self.meetings_per_month);
        if record.rules != rules {
            record.rules = rules;
            record.token = None;
            self.state.put_calendar(&calendar.name, record)?;
            self.state.forget_decisions(&calendar.name)?;
        }
        Ok(match (scope, &record.token) {
            _ if !record.first_pass_done => Scope::All,
            (Scope::Only(ids), _) => Scope::Only(ids),
            (Scope::News(_), Some(token)) => Scope::News(Some(token.clone())),
            _ => Scope::All,
        })
    }

    /// Has the events decided again that bear a Teams link which nobody knew, when meetings were found of which
    /// nothing was remembered: the link may be one of theirs. A first pass may have found them
    /// before it was broken off.
    fn look_again_for_found(
        &self,
        calendar: &Watched,
        begun: &CalendarRecord,
        mentions: BTreeSet<ResourceId>,
        report: &mut Report,
    ) -> Result<(), StateError> {
        let name = &calendar.name;
        let is_first = !begun.first_pass_done && self.state.calendar(name)?.first_pass_done;
        if report.adopted + report.found == 0 && !(is_first && self.state.has_found_links(name)?) {
            return Ok(());
        }
        let now = self.clock.now();
        let why = Why::ForeignLink(Provider::Teams);
        self.state.make_due_for(why.name(), now)?;
        report.again.extend(mentions);
        report.again.extend(self.state.due(name, now)?);
        Ok(())
    }

    /// Remembers that the pass ended well, that a listing confirmed what had been written, and up to
    /// where changes are known. A pass that found nothing remembers nothing.
    fn finish(
        &self,
        calendar: &Watched,
        scope: &Scope,
        begun: &CalendarRecord,
        survey: &Survey,
    ) -> Result<(), StateError> {
        if *scope == Scope::All {
            self.state
                .confirm_written(&calendar.name, &survey.touched, self.clock.now())?;
        }
        let mut record = self.state.calendar(&calendar.name)?;
        // What is empty may be a directory that is not mounted or filled yet; a server is believed.
        let nothing = survey.touched.is_empty() && survey.report.unchanged == 0;
        let empty = nothing && !calendar.port.confirms_absence();
        let first =
            *scope == Scope::All && !record.first_pass_done && record.frozen.is_none() && !empty;
        let token = survey.token.as_ref().or(record.token.as_ref()).cloned();
        let moved = token != record.token;
        let busy = first || survey.changed || record.failing.is_some();
        if busy || moved {
            record.failing = None;
            record.needs_person = false;
            record.token = token;
            record.first_pass_done |= first;
            if busy {
                record.last_pass = Some(self.clock.now());
            }
            self.state.put_calendar(&calendar.name, &record)?;
        }
        if begun.frozen.is_some() && record.frozen.is_none() {
            // Resumed meanwhile: what this pass left alone as frozen is decided again.
            self.state.forget_decisions(&calendar.name)?;
        }
        Ok(())
    }
}

impl Watched {
    /// Who owns the meeting of a new link of the event.
    pub fn organizer_of(&self, event: &Event) -> &OrganizerId {
        let address = event.organizer.as_ref();
        address
            .and_then(|address| self.organizers.get(address))
            .unwrap_or(&self.organizer)
    }

    /// Stands for everything configured that decisions rest on: when it changes, every event is
    /// decided again.
    fn fingerprint(&self, meetings_per_month: u32) -> String {
        let all = format!(
            "{} {:?} {} {:?} {} {:?} {:?} {:?} {:?} {:?} {} {}",
            env!("CARGO_PKG_VERSION"),
            self.rules,
            self.organizer,
            self.organizers,
            self.language,
            self.style,
            self.form,
            self.zone,
            self.location,
            self.show,
            self.new_links_per_day,
            meetings_per_month,
        );
        crate::model::hex(&crate::model::sha256([all.as_bytes()])[..8])
    }
}

impl Report {
    /// Adds what another pass over the same calendar did.
    pub fn merge(&mut self, part: Self) {
        self.read += part.read;
        self.adopted += part.adopted;
        self.found += part.found;
        self.taken_out += part.taken_out;
        self.halted = self.halted.take().or(part.halted);
        self.created += part.created;
        self.written += part.written;
        self.updated += part.updated;
        self.failed += part.failed;
        self.again.extend(part.again);
        for (name, n) in part.outcome {
            *self.outcome.entry(name).or_default() += n;
        }
    }

    /// Whether there was nothing to read and nothing to do.
    pub fn is_quiet(&self) -> bool {
        let quiet = Self {
            unchanged: self.unchanged,
            ..Self::default()
        };
        *self == quiet
    }

    fn count(&mut self, name: &str) {
        *self.outcome.entry(name.to_owned()).or_default() += 1;
    }
}

/// The earlier of two times, where `None` is never.
fn sooner(a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    a.into_iter().chain(b).min()
}
