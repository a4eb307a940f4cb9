//! What a link says in every component of an event.
//!
//! In: the document, what to write, or another document where it stands. Out: the texts that [`super::attach()`] puts into each component, and
//! the digest over them that the mark bears.

use super::twins::Html;
use super::{Attachment, LOCATION_LABEL, Location};
use crate::ical::block::{self, Labels};
use crate::ical::document::Document;
use crate::ical::event::Event;
use crate::ical::mark::Mark;
use crate::model::{ExternalId, Generation, JoinUrl};

/// What is the same in all components of the event.
pub(super) struct Link<'a> {
    pub(super) join_url: &'a JoinUrl,
    pub(super) url: &'a str,
    /// The digest of its meeting's key.
    pub(super) key: String,
    pub(super) generation: Generation,
    external_id: ExternalId,
    location: Location,
    /// What the CONFERENCE lines say: FEATURE, LABEL, URI.
    pub(super) conferences: Vec<(&'static str, String, String)>,
    pub(super) block: String,
    /// The join block in the HTML twins.
    pub(super) html: Html,
    /// What both blocks say, with the characters that one of them may have to do without.
    said: String,
}

impl<'a> Link<'a> {
    pub(super) fn new(document: &Document<'_>, attachment: &'a Attachment<'a>) -> Self {
        let (join_url, details) = (attachment.join_url, attachment.details);
        let render = |language| block::render(join_url, details, attachment.show, language);
        let said = render(attachment.language);
        let utf8 = document.is_utf8();
        let language = if utf8 { attachment.language } else { "en" };
        Self {
            join_url,
            url: join_url.expose(),
            key: attachment.key.digest(),
            generation: attachment.generation,
            external_id: attachment.key.external_id.clone(),
            location: attachment.location,
            conferences: conferences(attachment, Labels::of(language)),
            block: if utf8 {
                said.clone()
            } else {
                ascii(&render(language))
            },
            html: Html::new(attachment, utf8),
            said,
        }
    }

    /// The link with this URL as it stands in an event of another document, to be written into `document`.
    pub(super) fn standing(
        document: &Document<'_>,
        there: &Document<'_>,
        event: &Event,
        join_url: &'a JoinUrl,
    ) -> Option<Self> {
        let components = event.components.iter();
        let (index, key, generation, empty) = components
            .filter_map(|component| match &component.mark {
                Some(Mark::Link {
                    key,
                    generation,
                    empty,
                    ..
                }) => Some((component.index, key, *generation, *empty)),
                _ => None,
            })
            .next()?;
        let named = |name| there.lines(index).find(move |line| line.is(name));
        let text = named("DESCRIPTION")?.text();
        let said = text.get(block::find(&text, join_url)?)?.to_owned();
        let conferences = there.lines(index).filter(|line| line.is("CONFERENCE"));
        let conferences = conferences.map(|line| {
            let label = line.param("LABEL").unwrap_or_default();
            let feature = match block::is_telephone_label(&label) {
                true => "PHONE",
                false => "AUDIO,VIDEO",
            };
            (feature, label, line.value().trim().to_owned())
        });
        let location = named("LOCATION").filter(|_| empty.location);
        let location = location.map(|line| line.text().trim().to_owned());
        let utf8 = document.is_utf8();
        Some(Self {
            join_url,
            url: join_url.expose(),
            key: key.clone(),
            generation,
            external_id: ExternalId::of(&event.uid, generation),
            location: match location.as_deref() {
                Some(LOCATION_LABEL) => Location::Label,
                Some(text) if text == join_url.expose() => Location::Url,
                _ => Location::Never,
            },
            conferences: conferences.collect(),
            block: if utf8 { said.clone() } else { ascii(&said) },
            html: Html::of_text(&said, utf8),
            said,
        })
    }

    /// What goes into an empty LOCATION.
    pub(super) fn location(&self) -> Option<&'a str> {
        match self.location {
            Location::Url => Some(self.url),
            Location::Label => Some(LOCATION_LABEL),
            Location::Never => None,
        }
    }

    /// What the mark says of what is written into a component, whose LOCATION is ours or not. It is the
    /// same with HTML twins and without: what stands in them is what stands in the join block.
    pub(super) fn wrote(&self, has_location: bool) -> String {
        let mut text = self.said.clone();
        for (_, label, uri) in &self.conferences {
            text += &format!("{label} {uri}\n");
        }
        if let Some(location) = self.location().filter(|_| has_location) {
            text += location;
        }
        Mark::digest_of(&self.external_id, self.join_url, &text)
    }
}

/// One CONFERENCE for audio and video; with dial-in one for the page of numbers, one to dial.
fn conferences(
    attachment: &Attachment<'_>,
    labels: &'static Labels,
) -> Vec<(&'static str, String, String)> {
    let dial_in = attachment.details.dial_in.as_ref();
    let join_url = attachment.join_url.expose().to_owned();
    let by_telephone = [
        (
            labels.conference_numbers,
            dial_in.and_then(block::dialin_url),
        ),
        (labels.conference_phone, dial_in.and_then(block::tel_uri)),
    ];
    let by_telephone = by_telephone.into_iter();
    let by_telephone =
        by_telephone.filter_map(|(label, uri)| Some(("PHONE", label.to_owned(), uri?)));
    let all = ("AUDIO,VIDEO", labels.conference.to_owned(), join_url);
    std::iter::once(all).chain(by_telephone).collect()
}

/// For a file in another character set than UTF-8, whose name is nowhere: what all sets share.
fn ascii(text: &str) -> String {
    let ascii = |c: char| if c.is_ascii() { c } else { '?' };
    text.chars().map(ascii).collect()
}
