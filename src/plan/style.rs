//! What the meetings of a calendar are like, as configured.

use crate::ical::event::{Class, Event};
use crate::meeting::{Applied, Setting, Settings};
use crate::model::CalendarName;
use crate::state::MeetingRecord;

/// The longest title of a meeting, in characters.
const LONGEST: usize = 255;
/// The most participants that a meeting is told of; Teams has no room for more in a usual meeting.
const MOST_PARTICIPANTS: usize = 300;
/// The longest address of a participant, in octets.
const LONGEST_ADDRESS: usize = 254;

/// What the meetings of a calendar are like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Their titles.
    pub subject: Template,
    /// What stands for the title of an event that is not public; `None`: its title.
    pub private_title: Option<&'static str>,
    /// What is set of them.
    pub settings: Settings,
    /// Whether they are told who is invited to their events.
    pub participants: bool,
}

impl Style {
    /// The same for this calendar: a template that names the calendar has its name.
    pub fn within(&self, calendar: &CalendarName) -> Self {
        let part = |part: &Part| match part {
            Part::Calendar => Part::Text(calendar.as_str().to_owned()),
            other => other.clone(),
        };
        let subject = Template(self.subject.0.iter().map(part).collect());
        Self {
            subject,
            ..self.clone()
        }
    }

    /// The title of the event's meeting: without control characters, at most 255 characters long;
    /// `None` for an empty one.
    pub fn subject(&self, event: &Event) -> Option<String> {
        let title = match self.private_title {
            Some(word) if event.class != Class::Public => word,
            _ => event.summary.as_deref().unwrap_or_default().trim(),
        };
        let mut subject = String::new();
        for part in &self.subject.0 {
            subject.push_str(match part {
                Part::Text(text) => text,
                Part::Title => title,
                Part::Calendar => "",
            });
        }
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let subject: String = subject.trim().chars().map(clean).take(LONGEST).collect();
        (!subject.is_empty()).then_some(subject)
    }

    /// What is to be set of the event's meeting, applied already or not.
    pub fn settings(&self, event: &Event) -> Settings {
        let mut settings = self.settings.clone();
        if self.participants {
            let invited = event.attendees.iter();
            let who = invited
                .filter(|who| Some(*who) != event.organizer.as_ref() && is_principal_name(who))
                .take(MOST_PARTICIPANTS);
            settings
                .0
                .push(Setting::Participants(who.cloned().collect()));
        }
        settings
    }

    /// What the event's meeting lacks of it.
    pub fn lacking(&self, event: &Event, applied: &Applied) -> Settings {
        self.settings(event).beyond(applied)
    }

    /// Whether the event's meeting has to be told more than it was.
    pub fn is_lacking(&self, event: &Event, record: &MeetingRecord) -> bool {
        !self.lacking(event, &record.settings).is_empty()
    }
}

/// Whether an address can be the name by which Entra knows a user.
fn is_principal_name(address: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace();
    address.len() <= LONGEST_ADDRESS
        && !address.contains(odd)
        && address
            .split_once('@')
            .is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty())
}

/// How the title of a meeting is made: text, with `{title}` for the event's title and `{calendar}` for
/// the calendar's name. By default the event's title alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Title,
    Calendar,
}

impl Default for Template {
    fn default() -> Self {
        Self(vec![Part::Title])
    }
}

impl Template {
    /// Reads it; `None` when there is another word in braces, or a brace alone.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            let (part, behind) = [("{title}", Part::Title), ("{calendar}", Part::Calendar)]
                .into_iter()
                .find_map(|(word, part)| Some((part, from.strip_prefix(word)?)))?;
            parts.extend([Part::Text(before.to_owned()), part]);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Some(Self(parts))
    }
}
