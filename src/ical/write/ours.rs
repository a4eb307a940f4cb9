//! Finding links of ours by what only we write.

use crate::ical::block;
use crate::ical::document::Document;
use crate::ical::event::Event;
use crate::model::JoinUrl;

/// The join URLs in the event that stand in a CONFERENCE under our label, or in a join block: what tells
/// a link of ours when nothing is remembered of it and its mark is gone.
pub fn ours(document: &Document<'_>, event: &Event) -> Vec<JoinUrl> {
    let mut urls: Vec<JoinUrl> = Vec::new();
    let components = event.components.iter();
    for line in components.flat_map(|component| document.lines(component.index)) {
        let url = if line.is("CONFERENCE") {
            let label = line.param("LABEL").unwrap_or_default();
            block::is_conference_label(&label).then(|| line.value().trim().to_owned())
        } else if line.is("DESCRIPTION") {
            block::shown(&line.text()).map(ToOwned::to_owned)
        } else {
            None
        };
        let url = url
            .filter(|url| url.starts_with("https://"))
            .map(JoinUrl::new);
        if let Some(url) = url.filter(|url| !urls.contains(url)) {
            urls.push(url);
        }
    }
    urls
}
