//! A random story: a calendar, how its server or directory behaves, and what people do.

use chrono::{DateTime, TimeDelta, Utc};

use super::rng::Rng;
use super::server::Server;
use super::text::Line;
use super::user::{Act, What};

/// Everything that a case consists of.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) server: Server,
    pub(super) shape: Shape,
    /// The events of each resource.
    pub(super) resources: Vec<Vec<Event>>,
    pub(super) acts: Vec<Act>,
    /// The meetings can be joined by telephone.
    pub(super) dial_in: bool,
    pub(super) language: &'static str,
    /// The join URLs have a host that no provider is known by.
    pub(super) sovereign: bool,
    /// Meetings of events that are gone are deleted after a day.
    pub(super) deletes: bool,
    pub(super) location: Place,
}

/// What goes into an empty LOCATION.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    #[default]
    Url,
    Label,
    Never,
}

/// How the files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) eol: Eol,
    pub(super) fold: Fold,
    pub(super) lower_case: bool,
    pub(super) byte_order_mark: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Eol {
    #[default]
    CrLf,
    Lf,
    Mixed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fold {
    #[default]
    Usual,
    Tabs,
    Narrow,
    Never,
    /// After 75 octets, inside characters too.
    Octets,
}

/// An event as its first author writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) n: usize,
    pub(super) title: &'static str,
    /// Escaped.
    pub(super) description: Option<&'static str>,
    pub(super) location: Option<&'static str>,
    pub(super) url: Option<&'static str>,
    pub(super) attendees: bool,
    pub(super) stamps: Stamps,
    pub(super) recurring: bool,
    /// Whole lines beside those.
    pub(super) more: Vec<&'static str>,
    pub(super) overrides: Vec<Override>,
    pub(super) alarm: bool,
    /// The order of its lines.
    pub(super) order: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stamps {
    #[default]
    Both,
    Stamp,
    Modified,
    None,
}

/// One occurrence that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Override {
    pub(super) cancelled: bool,
    /// It has a conference of its own.
    pub(super) foreign: bool,
    pub(super) description: Option<&'static str>,
    pub(super) location: Option<&'static str>,
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
pub(super) const ALTREP: &str = "ALTREP=\"data:text/html,%3Cp%3EAgenda%3C%2Fp%3E\"";

impl Story {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let shape = Shape {
            eol: rng.pick(&[Eol::CrLf, Eol::CrLf, Eol::Lf, Eol::Mixed]),
            fold: rng.pick(&[
                Fold::Usual,
                Fold::Usual,
                Fold::Usual,
                Fold::Tabs,
                Fold::Narrow,
                Fold::Never,
                Fold::Octets,
            ]),
            lower_case: rng.chance(10),
            byte_order_mark: rng.chance(10),
        };
        let mut n = 0;
        let resources = (0..1 + rng.below(4))
            .map(|_| {
                let several = if rng.chance(60) { 1 } else { 1 + rng.below(4) };
                (0..several)
                    .map(|_| {
                        n += 1;
                        Event::of(n, rng)
                    })
                    .collect()
            })
            .collect();
        let acts = (0..3 + rng.below(8)).map(|_| Act::of(rng)).collect();
        Self {
            server: Server::of(rng),
            shape,
            resources,
            acts,
            dial_in: rng.chance(50),
            language: rng.pick(&["en-US", "en-US", "de-DE", "ja-JP"]),
            sovereign: rng.chance(10),
            deletes: rng.chance(40),
            location: rng.pick(&[
                Place::Url,
                Place::Url,
                Place::Url,
                Place::Label,
                Place::Never,
            ]),
        }
    }

    /// The stories that are this one with something left out.
    pub(super) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut story = self.clone();
            change(&mut story);
            smaller.push(story);
        };
        for at in (0..self.acts.len()).rev() {
            with(&|story| _ = story.acts.remove(at));
        }
        for at in (0..self.resources.len()).rev() {
            if self.resources.len() > 1 {
                with(&|story| drop(story.resources.remove(at)));
            }
            for event in (0..self.resources[at].len()).rev() {
                if self.resources[at].len() > 1 {
                    with(&|story| drop(story.resources[at].remove(event)));
                }
                for simple in self.resources[at][event].smaller() {
                    with(&|story| story.resources[at][event] = simple.clone());
                }
            }
        }
        for at in 0..self.acts.len() {
            with(&|story| story.acts[at].hasty = false);
            with(&|story| story.acts[at].sloppy = false);
            for target in 0..4 {
                with(&|story| story.acts[at].target = story.acts[at].target.min(target));
            }
        }
        with(&|story| story.shape = Shape::default());
        with(&|story| story.shape.eol = Eol::CrLf);
        with(&|story| story.shape.fold = Fold::Usual);
        with(&|story| story.shape.lower_case = false);
        with(&|story| story.shape.byte_order_mark = false);
        with(&|story| story.dial_in = false);
        with(&|story| story.language = "en-US");
        with(&|story| story.sovereign = false);
        with(&|story| story.deletes = false);
        with(&|story| story.location = Place::Url);
        for server in self.server.smaller() {
            with(&|story| story.server = server.clone());
        }
        smaller.retain(|story| format!("{story:?}") != format!("{self:?}"));
        smaller
    }
}

impl Event {
    fn of(n: usize, rng: &mut Rng) -> Self {
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

    fn smaller(&self) -> Vec<Self> {
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
        super::world::start() + TimeDelta::days(30 + self.n as i64) + TimeDelta::hours(1)
    }

    /// Its lines, folded later.
    fn lines(&self, run: u64) -> Vec<Vec<(String, String)>> {
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
        let written = super::world::start() - TimeDelta::days(2);
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

pub(super) fn uid(n: usize, run: u64) -> String {
    format!("e{n}.{run:012x}@x.example")
}

/// A resource as its first author's program writes it.
pub(super) fn calendar(shape: Shape, events: &[Event], run: u64) -> Vec<u8> {
    let mut lines: Vec<(String, String)> = vec![
        ("BEGIN".into(), "VCALENDAR".into()),
        ("VERSION".into(), "2.0".into()),
        ("PRODID".into(), "-//t//t//EN".into()),
    ];
    lines.extend(events.iter().flat_map(|event| event.lines(run)).flatten());
    lines.push(("END".into(), "VCALENDAR".into()));
    let mut bytes = Vec::new();
    if shape.byte_order_mark {
        bytes.extend_from_slice("\u{feff}".as_bytes());
    }
    for (at, (head, value)) in lines.iter().enumerate() {
        let eol = match shape.eol {
            Eol::CrLf => "\r\n",
            Eol::Lf => "\n",
            Eol::Mixed => ["\r\n", "\n", "\n"][at % 3],
        };
        let head = match (shape.lower_case, head.split_once(';')) {
            (false, _) => head.clone(),
            (true, Some((name, rest))) => format!("{};{rest}", name.to_lowercase()),
            (true, None) => head.to_lowercase(),
        };
        bytes.extend(folded(shape.fold, &head, value, eol));
    }
    bytes
}

fn folded(fold: Fold, head: &str, value: &str, eol: &str) -> Vec<u8> {
    match fold {
        Fold::Usual => Line::new(head, value, eol, 75).0,
        Fold::Narrow => Line::new(head, value, eol, 60).0,
        Fold::Never => Line::new(head, value, eol, usize::MAX).0,
        Fold::Tabs => {
            let line = String::from_utf8(Line::new(head, value, eol, 75).0).unwrap();
            line.replace("\n ", "\n\t").into_bytes()
        }
        Fold::Octets => {
            let line = format!("{head}:{value}");
            let mut bytes = Vec::new();
            for (at, chunk) in line.as_bytes().chunks(74).enumerate() {
                if at > 0 {
                    bytes.extend_from_slice(eol.as_bytes());
                    bytes.push(b' ');
                }
                bytes.extend_from_slice(chunk);
            }
            bytes.extend_from_slice(eol.as_bytes());
            bytes
        }
    }
}

impl Act {
    fn of(rng: &mut Rng) -> Self {
        Self {
            what: What::of(rng),
            target: rng.below(100),
            dice: rng.next(),
            hasty: rng.chance(12),
            sloppy: rng.chance(25),
        }
    }
}
