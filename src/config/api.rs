//! As what meetings are made: `api`, and the keys that go with it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::calendars::{SHOW, Settings};
use super::table::{Table, Value, Wrong};
use super::{Calendar, value};
use crate::ical::block::{Show, mirror_note};
use crate::meeting::{Form, Mirror, Setting, ShowAs};
use crate::model::CalendarName;

/// The longest name of an Outlook calendar, in characters.
const LONGEST_NAME: usize = 255;

/// As what the meetings of a calendar are made: which of Graph's interfaces makes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// As online meetings, which stand in nobody's calendar.
    #[default]
    OnlineMeeting,
    /// As events in the organizer's Outlook calendar.
    CalendarEvent {
        /// The name of the Outlook calendar; `None`: the organizer's default one.
        calendar: Option<String>,
        /// How their time is shown to others.
        show_as: ShowAs,
    },
}

impl Api {
    /// The form of the meetings of the calendar with this name; what is written is in this language.
    pub fn form(&self, name: &CalendarName, language: &str) -> Form {
        match self {
            Self::OnlineMeeting => Form::OnlineMeeting,
            Self::CalendarEvent { calendar, show_as } => Form::CalendarEvent(Arc::new(Mirror {
                note: mirror_note(language, name.as_str()),
                calendar: calendar.clone(),
                show_as: *show_as,
            })),
        }
    }

    /// Whether events are mirrored into Outlook.
    pub fn is_mirror(&self) -> bool {
        matches!(self, Self::CalendarEvent { .. })
    }
}

/// What of the configuration a meeting in Outlook has only by way of the online meeting behind it, which
/// takes the permission and the access policy of online meetings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Words of `show`.
    pub shown: BTreeSet<&'static str>,
    /// Other keys of `[meeting]`.
    pub set: BTreeSet<&'static str>,
}

impl Behind {
    /// What of these calendars' configuration is such.
    pub fn of<'c>(calendars: impl IntoIterator<Item = &'c Calendar>) -> Self {
        let mut behind = Self::default();
        for calendar in calendars.into_iter().filter(|one| one.api.is_mirror()) {
            // An event tells of its numbers itself (graph-api.md, section 9).
            let told = [Show::TollNumbers, Show::TollFreeNumbers];
            let asked = |show: &Show| calendar.show.contains(show) && !told.contains(show);
            let words = SHOW.iter().filter(|(_, show)| asked(show));
            behind.shown.extend(words.map(|(word, _)| *word));
            let settings = calendar.style.settings.0.iter();
            behind.set.extend(settings.map(Setting::name));
        }
        behind
    }

    /// Whether there is nothing of the kind.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.set.is_empty()
    }
}

/// As `show (passcode, chat), lobby`.
impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |words: &BTreeSet<&str>| words.iter().copied().collect::<Vec<_>>().join(", ");
        if !self.shown.is_empty() {
            write!(f, "show ({})", listed(&self.shown))?;
        }
        match self.shown.is_empty() || self.set.is_empty() {
            true => f.write_str(&listed(&self.set)),
            false => write!(f, ", {}", listed(&self.set)),
        }
    }
}

const API: &[(&str, Kind)] = &[
    ("online-meeting", Kind::OnlineMeeting),
    ("calendar-event", Kind::CalendarEvent),
];

const SHOW_AS: &[(&str, ShowAs)] = &[
    ("free", ShowAs::Free),
    ("tentative", ShowAs::Tentative),
    ("busy", ShowAs::Busy),
    ("out-of-office", ShowAs::OutOfOffice),
    ("working-elsewhere", ShowAs::WorkingElsewhere),
];

/// The keys that are nothing without an Outlook event.
const OF_EVENTS: [&str; 2] = ["show-as", "outlook-calendar"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    OnlineMeeting,
    CalendarEvent,
}

/// What `[meeting]` sets for all calendars and each calendar may set for itself.
pub(super) struct ApiKeys {
    /// The key was there, well-formed or not.
    has_api: bool,
    api: Option<Kind>,
    show_as: Option<ShowAs>,
    outlook_calendar: Option<String>,
}

impl ApiKeys {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            has_api: table.has("api"),
            api: table.optional("api", value::choice(API)),
            show_as: table.optional("show-as", value::choice(SHOW_AS)),
            outlook_calendar: table.optional("outlook-calendar", outlook_calendar),
        }
    }

    /// A calendar's own keys before the defaults.
    pub(super) fn or(&self, defaults: &Self) -> Api {
        match self.api.or(defaults.api) {
            None | Some(Kind::OnlineMeeting) => Api::OnlineMeeting,
            Some(Kind::CalendarEvent) => Api::CalendarEvent {
                calendar: self
                    .outlook_calendar
                    .clone()
                    .or_else(|| defaults.outlook_calendar.clone()),
                show_as: self.show_as.or(defaults.show_as).unwrap_or_default(),
            },
        }
    }

    /// Whether it was given, but not so that it is known what is meant.
    fn is_unclear(&self) -> bool {
        self.has_api && self.api.is_none()
    }
}

/// Whether what is configured fits the APIs; what of `[meeting]` does not is told when all calendars
/// are known.
#[derive(Default)]
pub(super) struct Fit {
    /// The meetings of some calendar are Outlook events, or may be meant to be.
    has_events: bool,
    /// The keys of `[meeting]` that ask for what an Outlook event cannot do.
    beyond: BTreeSet<&'static str>,
}

impl Fit {
    /// Looks at a calendar: at its own keys, and at the defaults where it has none.
    pub(super) fn look(&mut self, table: &Table<'_, '_>, own: &Settings, defaults: &Settings) {
        let (api, default_api) = (&own.api, &defaults.api);
        if api.is_unclear() || (api.api.is_none() && default_api.is_unclear()) {
            self.has_events = true;
        } else if api.or(default_api).is_mirror() {
            self.has_events = true;
            let asked = own.style.beyond_events();
            let by_default = defaults.style.beyond_events();
            for ((key, asked), (_, by_default)) in asked.into_iter().zip(by_default) {
                match (asked, by_default) {
                    (Some(true), _) => table.report_at(key, beyond_events(key)),
                    (None, Some(true)) if api.has_api => {
                        let what = format!("`{key}` of [meeting] holds here, too");
                        let hint = format!("set {key} here: {}", beyond_events(key).hint);
                        table.report_at("api", Wrong::new(what, hint));
                    }
                    (None, Some(true)) => drop(self.beyond.insert(key)),
                    (Some(false), _) | (None, _) => {}
                }
            }
        } else {
            without_events(table);
        }
    }

    /// Tells what of `[meeting]` does not fit any calendar.
    pub(super) fn tell(self, meeting: &Table<'_, '_>) {
        for key in self.beyond {
            meeting.report_at(key, beyond_events(key));
        }
        if !self.has_events {
            without_events(meeting);
        }
    }
}

/// What an Outlook event cannot do.
fn beyond_events(key: &str) -> Wrong {
    match key {
        "lobby" => Wrong::new(
            "an Outlook event (api = \"calendar-event\") invites nobody who could pass",
            "use \"organizer\", which comes to the same, or \"organization\"",
        ),
        _ => Wrong::new(
            "an Outlook event (api = \"calendar-event\") would mail whom it names, so it names nobody",
            "use \"none\"",
        ),
    }
}

/// Reports the keys that are nothing without an Outlook event.
fn without_events(table: &Table<'_, '_>) {
    for key in OF_EVENTS.into_iter().filter(|key| table.has(key)) {
        table.report_at(
            key,
            Wrong::new(
                "is about Outlook events, and no meeting is one here",
                "set api = \"calendar-event\" as well, or take it out",
            ),
        );
    }
}

/// The name of an Outlook calendar.
fn outlook_calendar(value: &Value<'_>) -> Result<String, Wrong> {
    let text = value::string(value)?;
    match text.chars().count() <= LONGEST_NAME {
        true => Ok(text),
        false => Err(Wrong::new(
            format!("longer than {LONGEST_NAME} characters"),
            "give the name of a calendar as Outlook shows it",
        )),
    }
}
