//! What one VEVENT says, by itself.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::conference::{self, Found, Vouched, Written};
use super::dated::{Dated, Origin, Pending};
use super::guard;
use super::time::{Length, When};
use super::zone::Zones;
use crate::ical::block;
use crate::ical::document::{self, ContentLine, Document, Fault, unescape_text};
use crate::ical::event::{Class, Component, HtmlTwin, Place};
use crate::ical::mark::Mark;
use crate::ical::twin::Twin;
use crate::model::{JoinUrl, Uid};

/// One VEVENT.
#[derive(Debug)]
pub(super) struct Vevent<'z> {
    pub(super) component: Component,
    pub(super) uid: Option<Uid>,
    pub(super) summary: Option<String>,
    pub(super) class: Class,
    pub(super) transparent: bool,
    pub(super) categories: Vec<String>,
    pub(super) location: Option<String>,
    pub(super) organizer: Option<String>,
    pub(super) attendees: Vec<String>,
    pub(super) sequence: u32,
    pub(super) last_modified: Option<DateTime<Utc>>,
    pub(super) stamped: Option<DateTime<Utc>>,
    pub(super) times: Times<'z>,
    /// The lines that decide its times, unfolded, each with a line feed.
    pub(super) schedule: Vec<u8>,
    found: Found,
    /// URLs in it that are Teams links by where they stand.
    vouched: Vouched,
    /// URLs that may be: each is the whole of a LOCATION or URL.
    alone: Vouched,
    /// The physical line of its BEGIN.
    pub(super) line: usize,
    /// That of its first recurrence rule.
    pub(super) rule_line: Option<usize>,
    /// The first thing that keeps it from being understood.
    pub(super) fault: Option<Fault>,
}

/// When a VEVENT takes place.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Times<'z> {
    pub(super) start: Option<When<'z>>,
    pub(super) end: Option<When<'z>>,
    pub(super) duration: Option<Length>,
    pub(super) recurrence_id: Option<When<'z>>,
    /// RECURRENCE-ID has RANGE=THISANDFUTURE.
    pub(super) and_future: bool,
    pub(super) rules: Vec<String>,
    pub(super) except_rules: Vec<String>,
    pub(super) extra: Vec<Extra<'z>>,
    pub(super) except: Vec<When<'z>>,
}

/// An RDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extra<'z> {
    pub(super) start: When<'z>,
    /// Of a PERIOD.
    pub(super) end: Option<End<'z>>,
}

/// How a PERIOD says when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End<'z> {
    At(When<'z>),
    After(Length),
}

impl<'z> Vevent<'z> {
    /// Reads the VEVENT with that index, its times in `zones`; with `cancels` its calendar cancels it.
    pub(super) fn read(
        document: &Document<'_>,
        index: usize,
        component: &document::Component,
        zones: &'z Zones<'_>,
        cancels: bool,
    ) -> Self {
        let begin = component.line;
        let mut vevent = Self::empty(index, begin);
        let mut pending = Pending::default();
        for line in document.lines(index) {
            vevent.take(&line, &mut pending);
        }
        vevent.component.cancelled |= cancels;
        find_vouched(document, index, &vevent.vouched, &mut vevent.found);
        vevent.component.unlisted = std::mem::take(&mut vevent.alone).unknown(&vevent.found);
        vevent.component.links = std::mem::take(&mut vevent.found).into_links();
        vevent.resolve(pending, component.parent, zones);
        let only_cancels = vevent.component.is_override && vevent.component.cancelled;
        if vevent.times.start.is_none() && !only_cancels {
            vevent.blame(begin, "it has no DTSTART");
        }
        if !component.closed {
            vevent.blame(begin, "its END:VEVENT is missing");
        } else if !document.is_whole(index) {
            vevent.blame(begin, "a component in it has no END");
        }
        vevent
    }

    fn empty(index: usize, line: usize) -> Self {
        Self {
            component: Component {
                index,
                is_override: false,
                cancelled: false,
                mark: None,
                links: Vec::new(),
                unlisted: Vec::new(),
                location_empty: true,
                url_absent: true,
                twins: Vec::new(),
            },
            uid: None,
            summary: None,
            class: Class::Public,
            transparent: false,
            categories: Vec::new(),
            location: None,
            organizer: None,
            attendees: Vec::new(),
            sequence: 0,
            last_modified: None,
            stamped: None,
            times: Times::default(),
            schedule: Vec::new(),
            found: Found::default(),
            vouched: Vouched::default(),
            alone: Vouched::default(),
            line,
            rule_line: None,
            fault: None,
        }
    }

    fn blame(&mut self, line: usize, what: impl Into<String>) {
        let what = || what.into();
        self.fault
            .get_or_insert_with(|| Fault { line, what: what() });
    }

    fn take(&mut self, line: &ContentLine<'_>, pending: &mut Pending) {
        let name = line.name().to_ascii_uppercase();
        match name.as_str() {
            "UID" => {
                let uid = Uid::new(line.text().trim());
                if self.uid.is_some() && uid != self.uid {
                    self.blame(line.number(), "it has two UIDs");
                } else {
                    self.uid = uid;
                }
            }
            "SUMMARY" => {
                self.summary.get_or_insert_with(|| line.text());
            }
            "CLASS" => {
                self.class = match line.value().trim().to_ascii_uppercase().as_str() {
                    "PUBLIC" | "" => Class::Public,
                    "CONFIDENTIAL" => Class::Confidential,
                    _ => Class::Private,
                }
            }
            "TRANSP" => self.transparent = line.value().trim().eq_ignore_ascii_case("TRANSPARENT"),
            "CATEGORIES" => self.categories.extend(texts(&line.value())),
            "ORGANIZER" => self.organizer = self.organizer.take().or_else(|| address(line)),
            "ATTENDEE" => self.attendees.extend(address(line)),
            "SEQUENCE" => self.sequence = line.value().trim().parse().unwrap_or(self.sequence),
            "LAST-MODIFIED" => pending.add(Dated::LastModified, line),
            "DTSTAMP" => pending.add(Dated::Stamped, line),
            "X-MEETBRIDGE-MEETING" => self.component.mark = Some(Mark::parse(line.value().trim())),
            "LOCATION" => {
                let location = line.text();
                self.component.location_empty &=
                    location.trim().is_empty() && line.encoding().is_none();
                self.links(&location, Written::Text, Place::Location);
                self.alone.add(&location);
                self.location.get_or_insert(location);
            }
            "STATUS" | "DTSTART" | "DTEND" | "DURATION" | "RECURRENCE-ID" | "RRULE" | "RDATE"
            | "EXDATE" | "EXRULE" => {
                self.schedule.extend_from_slice(&line.logical());
                self.schedule.push(b'\n');
                self.take_time(&name, line, pending);
            }
            _ => self.take_links(&name, line),
        }
    }

    fn take_time(&mut self, name: &str, line: &ContentLine<'_>, pending: &mut Pending) {
        match name {
            "STATUS" => {
                self.component.cancelled = line.value().trim().eq_ignore_ascii_case("CANCELLED");
            }
            "DTSTART" => pending.add(Dated::Start, line),
            "DTEND" => pending.add(Dated::End, line),
            "DURATION" => match Length::parse(&line.value()) {
                Some(length) => self.times.duration = Some(length),
                None => self.blame(line.number(), "DURATION cannot be read"),
            },
            "RECURRENCE-ID" => {
                self.component.is_override = true;
                match line.param("RANGE") {
                    None => {}
                    Some(range) if range.trim().eq_ignore_ascii_case("THISANDFUTURE") => {
                        self.times.and_future = true;
                    }
                    // THISANDPRIOR of RFC 2445 is not to be sent (RFC 5545, 3.2.13).
                    Some(_) => {
                        let what = "RECURRENCE-ID with a RANGE but THISANDFUTURE is not supported";
                        self.blame(line.number(), what);
                    }
                }
                pending.add(Dated::RecurrenceId, line);
            }
            "RRULE" => {
                self.rule_line.get_or_insert(line.number());
                self.times.rules.push(line.value());
            }
            "RDATE" => {
                if !pending.add_extra(line) {
                    self.blame(line.number(), "RDATE cannot be read");
                }
            }
            "EXDATE" => pending.add(Dated::Except, line),
            _ => {
                self.rule_line.get_or_insert(line.number());
                self.times.except_rules.push(line.value());
            }
        }
    }

    fn take_links(&mut self, name: &str, line: &ContentLine<'_>) {
        let (written, place) = match name {
            "DESCRIPTION" => {
                if let Some(encoding) = line.encoding() {
                    let what = format!("its DESCRIPTION is encoded as {encoding}");
                    self.blame(line.number(), what);
                }
                self.take_twin(line);
                (Written::Text, Place::Description)
            }
            "URL" => {
                self.component.url_absent = false;
                self.alone.add(&line.value());
                (Written::Text, Place::Url)
            }
            "CONFERENCE" => {
                let label = line.param("LABEL");
                if label.is_some_and(|label| block::is_conference_label(&label)) {
                    self.vouched.add(&line.value());
                }
                (Written::Text, Place::Conference)
            }
            "X-MICROSOFT-SKYPETEAMSMEETINGURL" => {
                self.vouched.add(&line.text());
                (Written::Text, Place::SkypeTeams)
            }
            "X-ALT-DESC" | "STYLED-DESCRIPTION" => return self.take_twin(line),
            _ if name.starts_with("X-") => (Written::Text, Place::Other),
            _ => return,
        };
        let text = line.text();
        if place == Place::Description
            && let Some(url) = block::shown(&text)
        {
            self.vouched.add(url);
        }
        self.links(&text, written, place);
    }

    /// The HTML twin on this line. One that is not understood is searched all the same.
    fn take_twin(&mut self, line: &ContentLine<'_>) {
        let Some((known, twin)) = HtmlTwin::read(line) else {
            return;
        };
        let place = known.place;
        self.component.twins.push(known);
        if let Some(twin) = twin {
            return self.links(&twin.html.text, Written::Html, place);
        }
        let text = match place {
            Place::AltRep => line.param("ALTREP").unwrap_or_default(),
            _ => line.text(),
        };
        let is_data = text
            .get(..5)
            .is_some_and(|head| head.eq_ignore_ascii_case("data:"));
        let written = if is_data {
            Written::DataUrl
        } else {
            Written::Html
        };
        self.links(&text, written, place);
    }

    fn links(&mut self, text: &str, written: Written, place: Place) {
        conference::find(text, written, place, &mut self.found);
    }

    /// Reads the pending dates and puts each where it belongs.
    fn resolve(&mut self, pending: Pending, parent: Option<usize>, zones: &'z Zones<'_>) {
        if pending.values.len() > guard::MAX_DATES {
            let what = format!("it has more than {} dates", guard::MAX_DATES);
            self.blame(self.line, what);
            return;
        }
        // Few names stand in a VEVENT: each is looked up once.
        let names = pending.zones.iter();
        let known: HashMap<usize, _> = names
            .map(|(name, &number)| (number, zones.get(name, parent)))
            .collect();
        let read = guard::dates(&pending.values);
        for (&origin, written) in pending.places.iter().zip(read) {
            let zone = origin.zone.and_then(|number| known.get(&number));
            let when = match (written, zone) {
                (Some(guard::Written::Date(date)), _) => Some(When::Date(date)),
                (Some(guard::Written::Utc(at)), _) => Some(When::Utc(at)),
                (Some(guard::Written::Local(local)), None) => Some(When::Floating(local)),
                (Some(guard::Written::Local(local)), Some(Ok(zone))) => {
                    Some(When::Zoned(local, *zone))
                }
                (Some(guard::Written::Local(_)), Some(Err(why))) => {
                    if !matches!(origin.dated, Dated::LastModified | Dated::Stamped) {
                        self.blame(origin.line, why);
                    }
                    continue;
                }
                (None, _) => None,
            };
            self.put(origin, when);
        }
    }

    fn put(&mut self, origin: Origin, when: Option<When<'z>>) {
        let Origin { dated, line, .. } = origin;
        let stamp = match when {
            Some(When::Utc(at)) => Some(at),
            Some(When::Floating(local)) => Some(local.and_utc()),
            Some(When::Zoned(local, zone)) => Some(zone.instant(local)),
            Some(When::Date(_)) | None => None,
        };
        let times = &mut self.times;
        let (once, when) = match (dated, when) {
            (Dated::LastModified, _) => return self.last_modified = self.last_modified.max(stamp),
            (Dated::Stamped, _) => return self.stamped = self.stamped.max(stamp),
            (_, None) => return self.blame(line, format!("{} cannot be read", dated.name())),
            (Dated::Extra(length), Some(start)) => {
                let end = length.map(End::After);
                return times.extra.push(Extra { start, end });
            }
            (Dated::ExtraEnd, Some(when)) => {
                if let Some(extra) = times.extra.last_mut() {
                    extra.end = Some(End::At(when));
                }
                return;
            }
            (Dated::Except, Some(when)) => return times.except.push(when),
            (Dated::Start, Some(when)) => (&mut times.start, when),
            (Dated::End, Some(when)) => (&mut times.end, when),
            (Dated::RecurrenceId, Some(when)) => (&mut times.recurrence_id, when),
        };
        if *once.get_or_insert(when) != when {
            self.blame(line, format!("it has two different {}", dated.name()));
        }
    }
}

/// Finds in the VEVENT with that index what is vouched for, wherever its host, or the length of the text, has
/// kept it unseen.
fn find_vouched(document: &Document<'_>, index: usize, vouched: &Vouched, links: &mut Found) {
    if vouched.is_empty() {
        return;
    }
    for line in document.lines(index) {
        if let Some(place) = Twin::place_on(&line)
            && !vouched.all_found(place, links)
            && let Some(Ok(twin)) = Twin::of(&line)
        {
            vouched.find(&twin.html.text, place, links);
        }
        let known = [
            ("DESCRIPTION", Place::Description),
            ("LOCATION", Place::Location),
            ("URL", Place::Url),
            ("CONFERENCE", Place::Conference),
            ("X-MICROSOFT-SKYPETEAMSMEETINGURL", Place::SkypeTeams),
        ];
        let place = known.into_iter().find(|(name, _)| line.is(name));
        if let Some((_, place)) = place
            && !vouched.all_found(place, links)
        {
            let uri = matches!(place, Place::Url | Place::Conference);
            let text = if uri { line.value() } else { line.text() };
            vouched.find(&text, place, links);
        }
    }
}

/// Finds `url` wherever it stands in the component: its host alone does not tell that it is one of Teams.
pub(super) fn recognize(document: &Document<'_>, component: &mut Component, url: &JoinUrl) {
    let mut found = Found::of(std::mem::take(&mut component.links));
    find_vouched(document, component.index, &Vouched::known(url), &mut found);
    component.links = found.into_links();
}

/// The parts of a list of TEXT values, unescaped, blank ones left out.
fn texts(value: &str) -> Vec<String> {
    let mut escaped = false;
    value
        .split(|c| {
            let separates = c == ',' && !escaped;
            escaped = c == '\\' && !escaped;
            separates
        })
        .map(|part| unescape_text(part).trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// The calendar address of an ORGANIZER or ATTENDEE: `mailto:` taken off, in lower case; its EMAIL
/// parameter (RFC 7986, 6.2) where the value is no mail address.
fn address(line: &ContentLine<'_>) -> Option<String> {
    let value = line.value().trim().to_lowercase();
    if let Some(mail) = value.strip_prefix("mailto:") {
        let mail = mail.trim();
        return (!mail.is_empty()).then(|| mail.to_owned());
    }
    let email = line.param("EMAIL").map(|email| email.trim().to_lowercase());
    let email = email.map(|email| email.strip_prefix("mailto:").unwrap_or(&email).to_owned());
    email
        .filter(|email| !email.is_empty())
        .or((!value.is_empty()).then_some(value))
}
