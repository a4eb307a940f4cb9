//! What is remembered of an event that was read: its link, and its meeting.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::exchange::carried;
use super::take_out::Traces;
use super::understand::Planned;
use super::{Bridge, Watched};
use crate::ical::event::{Event, Provider};
use crate::ical::{read, write};
use crate::model::{ExternalId, JoinUrl, ResourceId};
use crate::plan::{Decided, Standing, marked_generation};
use crate::state::{Former, Link, MeetingRecord, Phase, StateError};

/// How many conference links of an event are looked up among the known meetings.
const LOOKED_UP: usize = 8;

impl Bridge {
    /// An event with its link and its meeting, as far as they are known. Not decided yet.
    pub(super) fn find(
        &self,
        calendar: &Watched,
        resource: &ResourceId,
        event: Event,
        link: Option<Link>,
        unchanged_since: DateTime<Utc>,
    ) -> Result<Planned, StateError> {
        let meeting = match &link {
            Some(link) => self.meeting_of(calendar, &event, link)?,
            None => match self.meeting_in(&event, None, |known| known.uid == event.uid)? {
                Some((_, carried)) => Some(carried),
                None => {
                    let generation = marked_generation(&event).unwrap_or(0);
                    let external_id = ExternalId::of(&event.uid, generation);
                    let organizer = calendar.organizer_of(&event);
                    self.state.meeting(organizer, &external_id)?
                }
            },
        };
        let (mut former, mut moving) = (None, false);
        if let Some(known) = &meeting {
            let formers = self.state.formers(&known.organizer, &known.external_id)?;
            let own = &known.meeting.join_url;
            let is_own = |former: &Former| former.record.meeting.join_url == *own;
            moving = formers
                .iter()
                .any(|former| is_own(former) && former.calendar == calendar.name);
            former = carried(&event, formers, own).map(Box::new);
        }
        let link = match (link, &meeting) {
            (None, Some(known)) if former.is_none() => {
                self.followed(calendar, resource, &event, known)?
            }
            (link, _) => link,
        };
        let marked = || marked_generation(&event).unwrap_or(0);
        Ok(Planned {
            generation: link.as_ref().map_or_else(marked, |link| link.generation),
            resource: resource.clone(),
            event,
            decided: Decided::default(),
            link,
            meeting,
            former,
            moving,
            adopted: false,
            unchanged_since,
            uid: Standing::Proven,
        })
    }

    /// The link of an event that has come from another resource, if it had been taken out there: it stays
    /// out. One that shows it, or whose link is in its place elsewhere, is an event of this resource.
    fn followed(
        &self,
        calendar: &Watched,
        resource: &ResourceId,
        event: &Event,
        meeting: &MeetingRecord,
    ) -> Result<Option<Link>, StateError> {
        if write::shows(event, &meeting.meeting.join_url) {
            return Ok(None);
        }
        let mut links = self.state.links_of_event(&event.uid)?;
        links.retain(|link| {
            link.organizer == meeting.organizer && link.external_id == meeting.external_id
        });
        if links.iter().any(|link| link.gone_since().is_none()) {
            return Ok(None);
        }
        let last = links.into_iter().max_by_key(Link::gone_since);
        let last = last.filter(|link| matches!(link.phase, Phase::Seen | Phase::OptedOut));
        Ok(last.map(|link| Link {
            calendar: calendar.name.clone(),
            resource: resource.clone(),
            ..link
        }))
    }

    /// Whether an event that carries its link is met for the first time since the state was begun. One that has
    /// come from another resource was known there, and a person may have changed it on the way; in another
    /// calendar it may have been met just before.
    pub(super) fn is_met_first(
        &self,
        calendar: &Watched,
        event: &Event,
    ) -> Result<bool, StateError> {
        let links = self.state.links_of_event(&event.uid)?;
        let just_met = |link: &Link| link.calendar != calendar.name && link.attempts == 0;
        let mut links = links.iter();
        Ok(links.all(|link| link.before == event.content || just_met(link)))
    }

    /// The first of the meetings whose join URLs are in the event, `own` apart, that `wanted` accepts, and
    /// that URL: it is the meeting's own, or that of one which the meeting has replaced.
    pub(super) fn meeting_in(
        &self,
        event: &Event,
        own: Option<&JoinUrl>,
        wanted: impl Fn(&MeetingRecord) -> bool,
    ) -> Result<Option<(JoinUrl, MeetingRecord)>, StateError> {
        let links = event.components.iter().flat_map(|c| &c.links);
        let is_own = |url: &str| own.is_some_and(|own| own.expose() == url);
        for link in links
            .filter(|l| l.provider == Provider::Teams && !is_own(&l.url))
            .take(LOOKED_UP)
        {
            let url = JoinUrl::new(link.url.clone());
            let mut known = self.state.meeting_with_url(&url)?;
            if known.is_none()
                && let Some(Former { record, .. }) = self.state.former_with_url(&url)?
            {
                known = self.state.meeting(&record.organizer, &record.external_id)?;
            }
            if let Some(known) = known.filter(&wanted) {
                return Ok(Some((url, known)));
            }
        }
        Ok(None)
    }

    /// Finds the URLs of known meetings in an event where only what is remembered tells that they are some
    /// of Teams.
    pub(super) fn recognize_known(
        &self,
        event: &mut Event,
        traces: &Traces<'_>,
    ) -> Result<(), StateError> {
        let urls = event.components.iter().flat_map(|c| &c.unlisted);
        let urls: BTreeSet<&String> = urls.collect();
        let urls = urls.into_iter().take(LOOKED_UP);
        let urls: Vec<JoinUrl> = urls.map(|url| JoinUrl::new(url.clone())).collect();
        for url in urls {
            let is_known = self.state.meeting_with_url(&url)?.is_some()
                || self.state.former_with_url(&url)?.is_some();
            if is_known && let Some(document) = traces.document() {
                read::recognize(document, event, &url);
            }
        }
        Ok(())
    }
}

impl Planned {
    /// Finds the URL of the event's own meeting in it where only what is remembered tells that it is one
    /// of Teams.
    pub(super) fn recognize(&mut self, traces: &Traces<'_>) {
        let Some(known) = &self.meeting else { return };
        let own = &known.meeting.join_url;
        if read::is_listed(own) && write::shows(&self.event, own) {
            return;
        }
        if let Some(document) = traces.document() {
            read::recognize(document, &mut self.event, own);
        }
    }
}
