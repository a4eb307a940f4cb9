//! What of an event decides about its link.

use super::Wish;
use crate::people::text::{Line, properties, unescaped, value};
use crate::people::world::Known;

/// What decides about an event.
pub(super) struct Features {
    pub(super) shows: bool,
    pub(super) copied: usize,
    pub(super) foreign: bool,
    pub(super) cancelled: bool,
    pub(super) all_day: bool,
    pub(super) kept_from: bool,
    pub(super) no_teams: bool,
    pub(super) opt_out_mark: bool,
    pub(super) link_mark: bool,
    /// Anything of its own link is left in it, in whatever form.
    pub(super) left: bool,
    pub(super) selected: bool,
}

impl Features {
    pub(super) fn of(event: &[Vec<Line>], uid: &str, known: &Known) -> Self {
        let master = event
            .iter()
            .find(|part| value(part, "RECURRENCE-ID").is_none());
        let lead = master.unwrap_or(&event[0]);
        let is = |name: &str, wanted: &[&str]| {
            value(lead, name).is_some_and(|v| wanted.contains(&v.trim()))
        };
        let all: Vec<_> = event.iter().flat_map(|part| properties(part)).collect();
        let categories: Vec<String> = all
            .iter()
            .filter(|p| p.name == "CATEGORIES")
            .flat_map(|p| p.value.split(',').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let title = unescaped(&value(lead, "SUMMARY").unwrap_or_default());
        let location = unescaped(&value(lead, "LOCATION").unwrap_or_default());
        let placeholder = ["teams", "microsoft teams", "microsoft teams meeting"];
        let tagged = categories.iter().any(|c| c == "Teams")
            || placeholder.contains(&location.trim().to_lowercase().as_str());
        let marks: Vec<&str> = all
            .iter()
            .filter(|p| p.name == "X-MEETBRIDGE-MEETING")
            .map(|p| p.value.trim())
            .collect();
        let mentions = |(url, key): &(String, String)| {
            // In HTML it is escaped otherwise.
            key != uid
                && all.iter().any(|p| {
                    unescaped(&p.value).contains(url.as_str()) || p.head.contains(stem(url))
                })
        };
        let attendees = all.iter().any(|p| p.name == "ATTENDEE");
        Self {
            shows: shows(event, uid, known),
            copied: known.urls.iter().filter(|known| mentions(known)).count(),
            foreign: is_foreign(lead, known),
            cancelled: is("STATUS", &["CANCELLED"]),
            all_day: !tagged && value(lead, "DTSTART").is_some_and(|start| start.len() == 8),
            kept_from: !tagged && (is("TRANSP", &["TRANSPARENT"]) || is("CLASS", &["PRIVATE"])),
            no_teams: title.contains("#no-teams") || categories.iter().any(|c| c == "no-teams"),
            opt_out_mark: marks.contains(&"v1.opt-out"),
            left: known.own(uid).is_some_and(|url| {
                let mut all = all.iter();
                all.any(|p| p.value.contains(stem(url)) || p.head.contains(stem(url)))
            }),
            link_mark: marks.iter().any(|mark| *mark != "v1.opt-out"),
            selected: tagged || attendees,
        }
    }

    /// An event that shows its link.
    pub(super) fn shown(&self) -> Wish {
        if self.opt_out_mark {
            Wish::Any
        } else if self.cancelled || self.all_day {
            Wish::Still
        } else if self.no_teams {
            Wish::Bare
        } else if self.copied > 0 {
            // The link of another event, as text: of which the design says nothing.
            Wish::Any
        } else if self.foreign {
            Wish::Bare
        } else {
            Wish::Linked
        }
    }

    /// An event that is to be linked, or not, for the first time.
    pub(super) fn fresh(&self) -> Wish {
        let refused = self.cancelled
            || self.all_day
            || self.kept_from
            || self.no_teams
            || self.foreign
            || !self.selected;
        match (refused, self.copied > 0 || self.link_mark) {
            (_, false) if self.opt_out_mark => Wish::Still,
            _ if self.opt_out_mark || self.copied > 1 => Wish::Any,
            (false, _) => Wish::Linked,
            (true, true) => Wish::Any,
            (true, false) => Wish::Still,
        }
    }
}

/// What a join URL has in common with all the ways in which it is escaped: what tells it from others, and the
/// `%` behind that.
fn stem(url: &str) -> &str {
    let end = url.find("%40").map_or(url.len(), |at| at + 1);
    let stem = &url[..end];
    let stem = stem.rsplit('/').next().unwrap_or(stem);
    stem.rsplit("meeting_").next().unwrap_or(stem)
}

/// Whether a person sees the event's own link in it.
pub(in crate::people) fn shows(event: &[Vec<Line>], uid: &str, known: &Known) -> bool {
    let places = ["DESCRIPTION", "LOCATION", "URL"];
    let own = known.own(uid);
    own.is_some_and(|url| {
        let properties = event.iter().flat_map(|part| properties(part));
        properties
            .filter(|p| places.contains(&p.name.as_str()))
            .any(|p| unescaped(&p.value).contains(url))
    })
}

/// Whether others run a conference for it.
pub(in crate::people) fn is_foreign(part: &[Line], known: &Known) -> bool {
    let hosts = [
        "zoom.us/j/",
        "webex.com/meet",
        "meet.google.com/",
        "/l/meetup-join/",
    ];
    properties(part).iter().any(|property| {
        let mut text = unescaped(&property.value);
        known
            .all()
            .iter()
            .for_each(|url| text = text.replace(url, ""));
        hosts.iter().any(|host| text.contains(host))
    })
}
