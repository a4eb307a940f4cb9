//! Putting a link into an event.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use chrono::{DateTime, Utc};

use super::detach::{self, Fate, Removal, block_within, editable};
use super::link::Link;
use super::twins;
use super::{Attachment, MAX_URL, SKYPE_TEAMS, WriteFault, is_written};
use crate::ical::block;
use crate::ical::document::{ContentLine, Document, escape_text};
use crate::ical::edit::{Edits, Style, column};
use crate::ical::event::{Component, Event, Place};
use crate::ical::mark::{self, EmptyBefore, Mark};
use crate::ical::twin::Twin;
use crate::model::JoinUrl;

/// Writes what the event lacks of the link into its master and overrides, apart from those that
/// [`super::missing`] passes over. Nothing that is there changes, but for DTSTAMP and LAST-MODIFIED of
/// a component that gets something else, and for the lines and blocks of the link that is replaced.
///
/// `stamp` is what DTSTAMP and LAST-MODIFIED become; without it they stay, too.
///
/// `replaces` is the link that came with a copy of another event. No edits: the event has it all.
///
/// # Errors
/// [`WriteFault`] when a component cannot be written safely; then none is.
pub fn attach(
    document: &Document<'_>,
    event: &Event,
    attachment: &Attachment<'_>,
    replaces: Option<&JoinUrl>,
    stamp: Option<DateTime<Utc>>,
) -> Result<Edits, WriteFault> {
    put(document, event, attachment, replaces, stamp, |_| false)
}

/// Writes into the event the link with this URL as it stands in `was`, an earlier form of the event in
/// another document: the same join block, the same lines, the same mark but for what was empty before.
///
/// # Errors
/// As with [`attach`]; [`WriteFault::Stale`] when the link does not stand there.
pub fn carry(
    there: &Document<'_>,
    was: &Event,
    document: &Document<'_>,
    event: &Event,
    join_url: &JoinUrl,
) -> Result<Edits, WriteFault> {
    let link = Link::standing(document, there, was, join_url).ok_or(WriteFault::Stale)?;
    write(document, event, &link, None, None, |_| false)
}

/// The same; in the components that `renews` names, what is there of the link makes room for it.
pub(super) fn put(
    document: &Document<'_>,
    event: &Event,
    attachment: &Attachment<'_>,
    replaces: Option<&JoinUrl>,
    stamp: Option<DateTime<Utc>>,
    renews: impl Fn(&Component) -> bool,
) -> Result<Edits, WriteFault> {
    let link = Link::new(document, attachment);
    write(document, event, &link, replaces, stamp, renews)
}

fn write(
    document: &Document<'_>,
    event: &Event,
    link: &Link<'_>,
    replaces: Option<&JoinUrl>,
    stamp: Option<DateTime<Utc>>,
    renews: impl Fn(&Component) -> bool,
) -> Result<Edits, WriteFault> {
    let join_url = link.join_url;
    if !is_writable(join_url) {
        return Err(WriteFault::JoinUrl);
    }
    let mut edits = Edits::new();
    for component in &event.components {
        if !is_written(component, join_url, replaces) {
            continue;
        }
        let index = component.index;
        let place = editable(document, index)?;
        if document.is_vcalendar_1(index) {
            return Err(WriteFault::VCalendar1 { line: place.line });
        }
        let renews = renews(component);
        let removal = match replaces.filter(|replaced| *replaced != join_url) {
            Some(replaced) => Removal::of(document, index, replaced),
            None if renews => Removal::to_renew(document, index, join_url),
            None => Removal::default(),
        };
        let mut writing = Writing::new(document, index, place.insert_at, link, removal);
        if renews {
            writing.renew(index);
        }
        writing.twins();
        writing.description()?;
        writing.location();
        writing.url();
        writing.conferences();
        writing.skype_teams();
        writing.mark();
        edits.merge(writing.finish(stamp));
    }
    Ok(edits)
}

/// Whether the URL can stand in a content line as it is, byte for byte, and is read back as itself.
fn is_writable(url: &JoinUrl) -> bool {
    let url = url.expose();
    url.len() <= MAX_URL
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && (url.starts_with("https://") || url.starts_with("http://"))
        && url::Url::parse(url).is_ok_and(|url| url.has_host())
}

/// The writing of one component.
struct Writing<'a, 'd> {
    document: &'a Document<'d>,
    link: &'a Link<'a>,
    /// The properties that stay, and where they stay as they are.
    lines: Vec<ContentLine<'d>>,
    removal: Removal,
    style: Style,
    empty: EmptyBefore,
    /// The places that are written, of those that the mark speaks of.
    written: BTreeSet<Place>,
    insert_at: usize,
    /// Whole new lines.
    new: Vec<u8>,
    /// Bytes at the end of a property's content, by the end of its content.
    appended: Vec<(Range<usize>, Vec<u8>)>,
    /// The contents of properties that got the block into their HTML twin, by where each begins.
    twinned: BTreeMap<usize, (Range<usize>, Vec<u8>)>,
    /// Marks that make room for ours.
    outdated: Vec<Range<usize>>,
    /// The whole lines of ours that make room for what they say now, in their place.
    gone: Vec<ContentLine<'d>>,
    /// Bytes that others take the place of.
    replaced: Vec<(Range<usize>, Vec<u8>)>,
    renews: bool,
}

impl<'a, 'd> Writing<'a, 'd> {
    fn new(
        document: &'a Document<'d>,
        index: usize,
        insert_at: usize,
        link: &'a Link<'a>,
        removal: Removal,
    ) -> Self {
        let lines = document
            .lines(index)
            .filter(|line| !matches!(removal.fate(line), Some(Fate::Gone(_))))
            .collect();
        Self {
            document,
            link,
            lines,
            removal,
            style: Style::of(document),
            empty: EmptyBefore::default(),
            written: BTreeSet::new(),
            insert_at,
            new: Vec::new(),
            appended: Vec::new(),
            twinned: BTreeMap::new(),
            outdated: Vec::new(),
            gone: Vec::new(),
            replaced: Vec::new(),
            renews: false,
        }
    }

    /// Renews our own link: what is known of what was empty before it stays known.
    fn renew(&mut self, index: usize) {
        let lines = self.document.lines(index);
        let goes = |line: &ContentLine<'_>| matches!(self.removal.fate(line), Some(Fate::Gone(_)));
        self.gone = lines.filter(goes).collect();
        self.empty.description = self.gone.iter().any(
            |line| matches!(Mark::of(line), Some(Mark::Link { empty, .. }) if empty.description),
        );
        self.renews = true;
    }

    fn named(&self, name: &str) -> impl Iterator<Item = ContentLine<'d>> {
        self.lines.iter().copied().filter(move |line| line.is(name))
    }

    /// Puts the join block into each HTML twin that is understood: `read` says which is not. One that is
    /// renewed stays where it is.
    fn twins(&mut self) {
        for line in &self.lines {
            if Twin::place_on(line).is_none() {
                continue;
            }
            let (join_url, html) = (self.link.join_url, &self.link.html);
            let kept = self.kept(line);
            let renewed = self
                .renews
                .then(|| twins::renewed(&kept, join_url, html, self.style))
                .flatten();
            let put_in = || twins::put_in(&kept, join_url, html, self.style);
            if let Some(content) = renewed.or_else(put_in) {
                let content = (line.content_range(), content);
                self.twinned.insert(line.range().start, content);
            }
        }
    }

    /// Appends the join block.
    fn description(&mut self) -> Result<(), WriteFault> {
        if let Some(fault) = self.named("DESCRIPTION").find_map(|line| encoded(&line)) {
            return Err(fault);
        }
        let block = escape_text(&self.link.block);
        let cut = |line: &ContentLine<'_>| self.renews && self.removal.fate(line).is_some();
        let cut = self.named("DESCRIPTION").find(cut);
        let Some(line) = cut.or_else(|| self.named("DESCRIPTION").next()) else {
            self.empty.description = true;
            self.written.insert(Place::Description);
            self.put("DESCRIPTION", &block);
            return Ok(());
        };
        let join_url = self.link.join_url;
        if self.renews && self.replace_within(&block) {
            return Ok(());
        }
        let shown = |line: ContentLine<'_>| cut.is_none() && block::holds(&line.text(), join_url);
        if self.named("DESCRIPTION").any(shown) {
            // Nothing but our block: there was nothing before it.
            let text = line.text();
            self.empty.description = line.param("ALTREP").is_none()
                && block::find(&text, join_url).is_some_and(|block| block.start == 0);
            return Ok(());
        }
        if !line.begins_plainly() {
            return Err(WriteFault::Quotes {
                line: line.number(),
            });
        }
        let original = line;
        let kept = self.kept(&line);
        let line = ContentLine::new(&kept, 0..kept.len(), line.number());
        let separator = if line.raw_value().is_empty() {
            ""
        } else if line.ends_in_escape() {
            // Escapes the backslash that escaped nothing; the capital tells that it is ours.
            "\\\\N\\n"
        } else {
            "\\n\\n"
        };
        self.written.insert(Place::Description);
        self.append(&original, &kept, &format!("{separator}{block}"));
        Ok(())
    }

    /// Puts the block in the place of the one behind which a person's text stands, if there is one.
    fn replace_within(&mut self, block: &str) -> bool {
        let join_url = self.link.join_url;
        let within = self.named("DESCRIPTION").find_map(|line| {
            let kept = self.kept(&line);
            let range = block_within(&ContentLine::new(&kept, 0..kept.len(), 0), join_url)?;
            Some((line, kept, range))
        });
        let Some((line, kept, range)) = within else {
            return false;
        };
        let before = kept.get(..range.start).unwrap_or_default();
        let rest = kept.get(range.end..).unwrap_or_default();
        let new = self.style.between(column(before), block, "\\n", rest);
        match self.twinned.get_mut(&line.range().start) {
            Some((_, content)) => *content = [before, &new].concat(),
            None => {
                let content = line.content_range();
                let from = content.start + range.start;
                self.replaced.push((from..content.end, new));
            }
        }
        true
    }

    fn location(&mut self) {
        let Some(text) = self.link.location() else {
            return;
        };
        let text = escape_text(text);
        let Some(line) = self.named("LOCATION").next() else {
            self.empty.location = true;
            self.written.insert(Place::Location);
            self.put("LOCATION", &text);
            return;
        };
        let kept = self.kept(&line);
        let value = ContentLine::new(&kept, 0..kept.len(), line.number()).text();
        if value.trim() == self.link.url {
            self.empty.location = true;
        } else if value.trim().is_empty() && encoded(&line).is_none() {
            self.empty.location = true;
            self.empty.location_line = true;
            self.written.insert(Place::Location);
            self.append(&line, &kept, &text);
        }
    }

    fn url(&mut self) {
        let value = self.named("URL").next().map(|line| line.value());
        match value {
            None => {
                self.empty.url = true;
                self.written.insert(Place::Url);
                self.put("URL", self.link.url);
            }
            Some(value) => self.empty.url = value.trim() == self.link.url,
        }
    }

    fn conferences(&mut self) {
        for (feature, label, uri) in &self.link.conferences {
            if !self
                .named("CONFERENCE")
                .any(|line| line.value().trim() == uri)
            {
                let head = format!("CONFERENCE;VALUE=URI;FEATURE={feature};LABEL={label}");
                self.put(&head, uri);
            }
        }
    }

    fn skype_teams(&mut self) {
        let url = self.link.url;
        if !self
            .named(SKYPE_TEAMS)
            .any(|line| line.text().trim() == url)
        {
            self.put(SKYPE_TEAMS, &escape_text(url));
        }
    }

    /// Adds the mark, in the place of one of ours that says something else. One that is not
    /// understood stays, alone. The event's own stays as long as what it says was empty before is so.
    fn mark(&mut self) {
        let (wanted, generation_wanted) = (self.link.key.clone(), self.link.generation);
        let mut unknown = false;
        let mut outdated = Vec::new();
        let marks: Vec<ContentLine<'d>> = self.named(mark::PROPERTY).collect();
        for line in marks {
            match Mark::parse(&line.value()) {
                Mark::Link {
                    key,
                    generation,
                    empty,
                    wrote,
                } if key == wanted && generation == generation_wanted => {
                    let now_empty = self.found_empty(empty);
                    if now_empty != empty {
                        let mark = Mark::Link {
                            key,
                            wrote,
                            empty: now_empty,
                            generation,
                        };
                        let new = self.style.line(mark::PROPERTY, &mark.to_string());
                        self.outdated = vec![line.range()];
                        let start = line.range().start;
                        self.replaced.push((start..start, new));
                    }
                    return;
                }
                Mark::Link { .. } | Mark::OptOut => outdated.push(line.range()),
                Mark::Unknown => unknown = true,
            }
        }
        if unknown {
            return;
        }
        self.outdated = outdated;
        let mark = Mark::Link {
            key: wanted,
            wrote: self.link.wrote(self.empty.location),
            empty: self.empty,
            generation: generation_wanted,
        };
        self.put(mark::PROPERTY, &mark.to_string());
    }

    /// What was empty before the link, where the mark says `known` and a part of the link is written
    /// again: a person may have changed what is there.
    fn found_empty(&self, known: EmptyBefore) -> EmptyBefore {
        let of = |place| match self.written.contains(&place) {
            true => self.empty,
            false => known,
        };
        EmptyBefore {
            description: of(Place::Description).description,
            location: of(Place::Location).location,
            location_line: of(Place::Location).location_line,
            url: of(Place::Url).url,
        }
    }

    /// Adds a line, in the place of one of ours with that name that goes, if there is one.
    fn put(&mut self, head: &str, value: &str) {
        let line = self.style.line(head, value);
        let name = head.split(';').next().unwrap_or(head);
        match self.gone.iter().position(|gone| gone.is(name)) {
            Some(at) => {
                let start = self.gone.remove(at).range().start;
                self.replaced.push((start..start, line));
            }
            None => self.new.extend(line),
        }
    }

    /// The bytes of the line's content that stay, with what its twin got.
    fn kept(&self, line: &ContentLine<'_>) -> Vec<u8> {
        match self.twinned.get(&line.range().start) {
            Some((_, content)) => content.clone(),
            None => detach::kept(self.document, line, self.removal.fate(line)),
        }
    }

    /// Puts `text` behind what stays of the line.
    fn append(&mut self, line: &ContentLine<'_>, kept: &[u8], text: &str) {
        let folded = self.style.appended(kept, text);
        if let Some((_, content)) = self.twinned.get_mut(&line.range().start) {
            return content.extend(folded);
        }
        let end = line.content_range().end;
        self.appended.push((end..end, folded));
    }

    /// The edits of this component.
    fn finish(self, stamp: Option<DateTime<Utc>>) -> Edits {
        let mut edits = Edits::new();
        let is_twinned = |start: usize| self.twinned.contains_key(&start);
        for (range, bytes) in self.removal.splices_but(is_twinned) {
            edits.replace(range, bytes);
        }
        for (range, bytes) in self.twinned.values() {
            edits.replace(range.clone(), bytes.as_slice());
        }
        for range in self.outdated {
            edits.remove(range);
        }
        for (range, bytes) in self.appended.into_iter().chain(self.replaced) {
            edits.replace(range, bytes);
        }
        edits.insert(self.insert_at, self.new);
        if let Some(stamp) = stamp.filter(|_| !edits.is_empty()) {
            let stamp = stamp.format("%Y%m%dT%H%M%SZ").to_string();
            for line in &self.lines {
                if (line.is("DTSTAMP") || line.is("LAST-MODIFIED")) && is_utc(&line.value()) {
                    let value = line.located().after(0)..line.content_range().end;
                    edits.replace(value, stamp.as_bytes());
                }
            }
        }
        edits
    }
}

/// The fault of a property whose value is encoded.
fn encoded(line: &ContentLine<'_>) -> Option<WriteFault> {
    let encoding = line.encoding()?;
    Some(WriteFault::Encoded {
        line: line.number(),
        encoding,
    })
}

/// Whether the value is a DATE-TIME in UTC (RFC 5545, 3.3.5, form 2).
pub(super) fn is_utc(value: &str) -> bool {
    let digits =
        |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    value
        .strip_suffix('Z')
        .and_then(|value| value.split_once('T'))
        .is_some_and(|(date, time)| digits(date, 8) && digits(time, 6))
}
