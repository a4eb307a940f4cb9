//! A random event.

use chrono::{DateTime, TimeDelta, Utc};

use crate::people::rng::Rng;

/// An event as its first author writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::people) struct Event {
    pub(in crate::people) n: usize,
    pub(in crate::people) title: &'static str,
    /// Escaped.
    pub(in crate::people) description: Option<&'static str>,
    pub(in crate::people) location: Option<&'static str>,
    pub(in crate::people) url: Option<&'static str>,
    pub(in crate::people) attendees: bool,
    pub(in crate::people) stamps: Stamps,
    pub(in crate::people) recurring: bool,
    /// Whole lines beside those.
    pub(in crate::people) more: Vec<&'static str>,
    pub(in crate::people) overrides: Vec<Override>,
    pub(in crate::people) alarm: bool,
    /// The order of its lines.
    pub(in crate::people) order: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::people) enum Stamps {
    #[default]
    Both,
    Stamp,
    Modified,
    None,
}

/// One occurrence that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::people) struct Override {
    pub(in crate::people) cancelled: bool,
    /// It has a conference of its own.
    pub(in crate::people) foreign: bool,
    pub(in crate::people) description: Option<&'static str>,
    pub(in crate::people) location: Option<&'static str>,
}

const TITLES: [&str; 8] = [
    "Weekly",
    "Küche\\, Hof\\; Garten",
    "日本語の会議",
    "Plan \\\\ C",
    "A title that is longer than one line of a calendar file may be: seventy-five octets and then some more",
    "🦀 stand-up",
    "Re: teams of the month",
    "x",
];

const DESCRIPTIONS: [&str; 16] = [
    "",
    "Agenda",
    "Agenda:\\n- one\\n- two\\, three\\; four\\n\\nRegards",
    "Grüße aus Köln 🦀 und mehr Text\\, der über mehr als eine Zeile geht\\, weil er lang ist und länger wird",
    "ends with a line end\\n",
    "ends with three\\n\\n\\n",
    "a backslash at its end\\\\",
    "a lone backslash at its end\\",
    "________________________________________________________________________________\\nmy own fence",
    "-- \\n________________________________________________________________________________\\nsig\\n________________________________________________________________________________",
    "See https://example.org/agenda?x=1\\,2 and https://example.org/b.",
    "\\n\\nbegins with empty lines",
    " ",
    "capital escapes\\Nhere\\N",
    "日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語",
    "abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghi",
];

const LOCATIONS: [&str; 5] = [
    "",
    "Room 1",
    "Saal \\,Nord\\; 2",
    " ",
    "Hauptstraße 1\\n12345 Köln",
];

/// Others' lines that are no conference.
const MORE: [&str; 16] = [
    "X-UNKNOWN-PROPERTY;X-P=\"a:b;c\":what ever\\, this is",
    "X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-TITLE=Room:geo:52.1,13.2",
    "GEO:52.1;13.2",
    "CONFERENCE;VALUE=URI;FEATURE=PHONE;LABEL=Hotline:tel:+49-30-123456",
    "CONFERENCE;VALUE=URI;LABEL=Stream:https://stream.example.org/1",
    "CATEGORIES:Work,Köln",
    "COMMENT:a comment\\nof two lines",
    "ATTACH:https://example.org/agenda.pdf",
    "PRIORITY:5",
    "SEQUENCE:3",
    "STATUS:CONFIRMED",
    "TRANSP:OPAQUE",
    "CLASS:PUBLIC",
    "X-ALT-DESC;FMTTYPE=text/html:<html><body><p>Agenda\\, <b>fett</b></p></body></html>",
    "STYLED-DESCRIPTION;VALUE=TEXT;FMTTYPE=text/html:<p>Agenda &amp\\; mehr</p>",
    "X-MICROSOFT-CDO-BUSYSTATUS:BUSY",
];

/// Lines that decide whether it gets a link.
const DECISIVE: [&str; 8] = [
    "CATEGORIES:no-teams",
    "CATEGORIES:Teams",
    "STATUS:CANCELLED",
    "TRANSP:TRANSPARENT",
    "CLASS:PRIVATE",
    "CONFERENCE;VALUE=URI;FEATURE=VIDEO:https://acme.zoom.us/j/123456789",
    "X-GOOGLE-CONFERENCE:https://meet.google.com/abc-defg-hij",
    "COMMENT:none of them",
];

/// What the description's HTML parameter is where it has one.
const ALTREP: &str = "ALTREP=\"data:text/html,%3Cp%3EAgenda%3C%2Fp%3E\"";

impl Event {
    pub(super) fn of(n: usize, rng: &mut Rng) -> Self {
        let maybe =
            |rng: &mut Rng, percent, of: &[&'static str]| rng.chance(percent).then(|| rng.pick(of));
        let recurring = rng.chance(35);
        let overrides = if recurring { rng.below(3) } else { 0 };
        let mut more: Vec<&str> = Vec::new();
        for _ in 0..rng.below(5) {
            let line = rng.pick(&MORE);
            let name = |line: &str| line.split([':', ';']).next().map(str::to_owned);
            // What stands at most once does so here.
            if !more.iter().any(|known| name(known) == name(line)) || line.starts_with("CONF") {
                more.push(line);
            }
        }
        if rng.chance(12) {
            let line = rng.pick(&DECISIVE);
            let name = |line: &str| line.split([':', ';']).next().map(str::to_owned);
            more.retain(|other| name(other) != name(line));
            more.push(line);
        }
        Self {
            n,
            title: rng.pick(&TITLES),
            description: maybe(rng, 75, &DESCRIPTIONS),
            location: maybe(rng, 50, &LOCATIONS),
            url: maybe(rng, 20, &["https://example.org/event", ""]),
            attendees: rng.chance(90),
            stamps: rng.pick(&[
                Stamps::Both,
                Stamps::Both,
                Stamps::Stamp,
                Stamps::Modified,
                Stamps::None,
            ]),
            recurring,
            more,
            overrides: (0..overrides)
                .map(|_| Override {
                    cancelled: rng.chance(20),
                    foreign: rng.chance(15),
                    description: maybe(rng, 60, &DESCRIPTIONS),
                    location: maybe(rng, 40, &LOCATIONS),
                })
                .collect(),
            alarm: rng.chance(25),
            order: if rng.chance(50) { rng.next() } else { 0 },
        }
    }

    pub(super) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut event = self.clone();
            change(&mut event);
            smaller.push(event);
        };
        with(&|event| {
            *event = Event {
                n: event.n,
                title: "x",
                attendees: true,
                ..Event::default()
            }
        });
        with(&|event| event.title = "x");
        with(&|event| event.description = None);
        with(&|event| event.description = Some("Agenda"));
        with(&|event| event.location = None);
        with(&|event| event.url = None);
        with(&|event| event.attendees = true);
        with(&|event| event.stamps = Stamps::Both);
        with(&|event| event.alarm = false);
        with(&|event| event.order = 0);
        with(&|event| event.recurring = event.recurring && !event.overrides.is_empty());
        for at in 0..self.more.len() {
            with(&|event| {
                event.more.remove(at);
            });
        }
        for at in 0..self.overrides.len() {
            with(&|event| _ = event.overrides.remove(at));
            with(&|event| event.overrides[at] = Override::default());
        }
        smaller
    }

    /// When it takes place, if it does so once.
    fn start(&self) -> DateTime<Utc> {
        crate::people::world::start() + TimeDelta::days(30 + self.n as i64) + TimeDelta::hours(1)
    }

    /// Its lines, folded later.
    pub(super) fn lines(&self, run: u64) -> Vec<Vec<(String, String)>> {
        let start = self.start();
        let mut parts = vec![self.part(run, start, None)];
        for (at, occurrence) in self.overrides.iter().enumerate() {
            let at = start + TimeDelta::days(7 * (at as i64 + 1));
            parts.push(self.part(run, at, Some(occurrence)));
        }
        parts
    }

    fn part(
        &self,
        run: u64,
        start: DateTime<Utc>,
        occurrence: Option<&Override>,
    ) -> Vec<(String, String)> {
        let mut lines: Vec<(String, String)> = Vec::new();
        let time = |at: DateTime<Utc>| at.format("%Y%m%dT%H%M%SZ").to_string();
        let mut put = |head: &str, value: &str| lines.push((head.to_owned(), value.to_owned()));
        put("UID", &uid(self.n, run));
        let written = crate::people::world::start() - TimeDelta::days(2);
        if matches!(self.stamps, Stamps::Both | Stamps::Stamp) {
            put("DTSTAMP", &time(written));
        }
        if matches!(self.stamps, Stamps::Both | Stamps::Modified) {
            put("LAST-MODIFIED", &time(written));
        }
        match occurrence {
            Some(_) => {
                put("RECURRENCE-ID", &time(start));
                put("DTSTART", &time(start + TimeDelta::hours(2)));
            }
            None => put("DTSTART", &time(start)),
        }
        put("DURATION", "PT1H");
        put("SUMMARY", self.title);
        if self.attendees {
            put("ORGANIZER;CN=Alice", "mailto:alice@x.example");
            put(
                "ATTENDEE;PARTSTAT=NEEDS-ACTION;CN=\"Bob: B\"",
                "mailto:bob@x.example",
            );
        }
        let (description, location) = match occurrence {
            Some(occurrence) => (occurrence.description, occurrence.location),
            None => (self.description, self.location),
        };
        if let Some(description) = description {
            let html = self.more.len() == 4;
            let head = if html {
                format!("DESCRIPTION;{ALTREP}")
            } else {
                "DESCRIPTION".into()
            };
            put(&head, description);
        }
        if let Some(location) = location {
            put("LOCATION", location);
        }
        if let Some(url) = self.url {
            put("URL", url);
        }
        match occurrence {
            None if self.recurring => put("RRULE", "FREQ=WEEKLY;COUNT=5"),
            None => {}
            Some(occurrence) => {
                if occurrence.cancelled {
                    put("STATUS", "CANCELLED");
                }
                if occurrence.foreign {
                    put("X-ZOOM", "https://acme.zoom.us/j/987654321");
                    put("COMMENT", "other room");
                    put("CONFERENCE;VALUE=URI", "https://acme.zoom.us/j/987654321");
                }
            }
        }
        let cancelled = occurrence.is_some_and(|occurrence| occurrence.cancelled);
        for line in &self.more {
            if !(cancelled && line.starts_with("STATUS")) {
                let (head, value) = split(line);
                put(head, value);
            }
        }
        if self.order != 0 {
            let mut rng = Rng::new(self.order);
            for at in (1..lines.len()).rev() {
                lines.swap(at, rng.below(at + 1));
            }
        }
        lines.insert(0, ("BEGIN".into(), "VEVENT".into()));
        if self.alarm {
            for (head, value) in [
                ("BEGIN", "VALARM"),
                ("ACTION", "DISPLAY"),
                ("DESCRIPTION", "Reminder"),
                ("TRIGGER", "-PT15M"),
                ("END", "VALARM"),
            ] {
                lines.push((head.into(), value.into()));
            }
        }
        lines.push(("END".into(), "VEVENT".into()));
        lines
    }
}

/// A line of the lists above: name with parameters, and value.
fn split(line: &str) -> (&str, &str) {
    let mut quoted = false;
    let colon = line.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == ':' && !quoted
    });
    let (at, _) = colon.unwrap();
    (&line[..at], &line[at + 1..])
}

pub(in crate::people) fn uid(n: usize, run: u64) -> String {
    format!("e{n}.{run:012x}@x.example")
}
