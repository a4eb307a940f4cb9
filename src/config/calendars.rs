//! The calendars' tables, and `[meeting]`, which holds their defaults.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

use super::api::{ApiKeys, Fit};
use super::meetings::MeetingKeys;
use super::table::{Table, Wrong};
use super::{Budget, Calendar, Machine, Publish, Source, caldav, feed, value};
use crate::ical::block::{Show, private_title};
use crate::ical::write::Location;
use crate::meeting::Fate;
use crate::model::{CalendarName, Escaped, OrganizerId};
use crate::plan::Style;
use crate::plan::select::{EventsWithAttendees, Rules, Select};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

const SELECT: &[(&str, Select)] = &[
    ("attendees", Select::Attendees),
    ("all", Select::All),
    ("tagged", Select::Tagged),
];

const LOCATION: &[(&str, Location)] = &[
    ("url", Location::Url),
    ("label", Location::Label),
    ("never", Location::Never),
];

pub(super) const SHOW: &[(&str, Show)] = &[
    ("meeting-id", Show::MeetingId),
    ("passcode", Show::Passcode),
    ("toll-numbers", Show::TollNumbers),
    ("toll-free-numbers", Show::TollFreeNumbers),
    ("dialin-url", Show::DialinUrl),
    ("video-device-id", Show::VideoDeviceId),
    ("chat", Show::Chat),
    ("options", Show::Options),
];

/// What a calendar that is published shows only where its own table names it: whoever reads it could
/// join by it, past the link.
const NOT_PUBLISHED: [Show; 3] = [Show::MeetingId, Show::Passcode, Show::Chat];

const EVENTS_WITH_ATTENDEES: &[(&str, EventsWithAttendees)] = &[
    ("write", EventsWithAttendees::Write),
    ("skip", EventsWithAttendees::Skip),
];

const FATE: &[(&str, Fate)] = &[("keep", Fate::Keep), ("delete", Fate::Delete)];

/// The kind of a calendar's table.
#[derive(Clone, Copy)]
enum Kind {
    Directory,
    File,
    CalDav,
    Feed,
}

/// What `[meeting]` sets for all calendars and each calendar may set for itself.
pub(super) struct Settings {
    /// The key was there, well-formed or not.
    has_organizer: bool,
    organizer: Option<OrganizerId>,
    organizers: Option<BTreeMap<String, OrganizerId>>,
    on_cancel: Option<Fate>,
    on_delete: Option<Fate>,
    language: Option<String>,
    select: Option<Select>,
    horizon: Option<Duration>,
    settle: Option<Duration>,
    time_zone: Option<Tz>,
    location: Option<Location>,
    show: Option<Vec<Show>>,
    addresses: Option<BTreeSet<String>>,
    all_day: Option<bool>,
    transparent: Option<bool>,
    private: Option<bool>,
    events_with_attendees: Option<EventsWithAttendees>,
    pub(super) api: ApiKeys,
    pub(super) style: MeetingKeys,
}

impl Settings {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            has_organizer: table.has("organizer"),
            organizer: table.optional("organizer", value::organizer),
            organizers: table.entries("organizers", value::address_text, value::organizer),
            on_cancel: table.optional("on-cancel", value::choice(FATE)),
            on_delete: table.optional("on-delete", value::choice(FATE)),
            language: table.optional("language", value::language),
            select: table.optional("select", value::choice(SELECT)),
            horizon: table.optional("horizon", value::duration(HOUR..=3650 * DAY)),
            settle: table.optional("settle", value::duration(Duration::ZERO..=DAY)),
            time_zone: table.optional("time-zone", value::time_zone),
            location: table.optional("location", value::choice(LOCATION)),
            show: table
                .optional("show", value::list(value::choice(SHOW)))
                .map(each_once),
            addresses: table.optional("addresses", value::addresses),
            all_day: table.optional("all-day", value::boolean),
            transparent: table.optional("transparent", value::boolean),
            private: table.optional("private", value::boolean),
            events_with_attendees: table.optional(
                "events-with-attendees",
                value::choice(EVENTS_WITH_ATTENDEES),
            ),
            api: ApiKeys::read(table),
            style: MeetingKeys::read(table),
        }
    }
}

fn each_once(all: Vec<Show>) -> Vec<Show> {
    let mut seen = BTreeSet::new();
    all.into_iter().filter(|show| seen.insert(*show)).collect()
}

/// What the calendars are read with.
pub(super) struct Context<'m> {
    pub(super) defaults: Settings,
    pub(super) budget: Budget,
    pub(super) machine: &'m Machine,
    /// Plain http is allowed to other machines too.
    pub(super) allow_http: bool,
    /// Whether UTC stands in for the system's zone anywhere.
    pub(super) time_zone_assumed: bool,
    /// Older names of lobbies that were used, with the present ones.
    pub(super) old_lobby_names: BTreeSet<(&'static str, &'static str)>,
    /// The file that is read.
    pub(super) file: String,
    /// The names that are taken: by the calendar in which line of which file.
    pub(super) names: BTreeMap<CalendarName, (usize, String)>,
    /// Whether what is configured fits the APIs.
    pub(super) fit: Fit,
}

impl Context<'_> {
    /// The system's zone, else UTC.
    fn system_zone(&mut self) -> Tz {
        let named = self.machine.time_zone.as_deref();
        named.and_then(|name| name.parse().ok()).unwrap_or_else(|| {
            self.time_zone_assumed = true;
            Tz::UTC
        })
    }
}

/// The calendars of all kinds, in file order.
pub(super) fn calendars(mut table: Table<'_, '_>, context: &mut Context<'_>) -> Vec<Calendar> {
    let mut all = Vec::new();
    for (key, kind) in [
        ("directory", Kind::Directory),
        ("file", Kind::File),
        ("caldav", Kind::CalDav),
        ("feed", Kind::Feed),
    ] {
        all.extend(table.tables(key).into_iter().map(|table| (table, kind)));
    }
    table.finish();
    all.sort_by_key(|(table, _)| table.start());

    let mut calendars = Vec::new();
    for (mut table, kind) in all {
        let name = table.required("name", value::name);
        if let Some(name) = &name {
            match context.names.entry(name.clone()) {
                Entry::Vacant(free) => {
                    free.insert((table.line_of("name"), context.file.clone()));
                }
                Entry::Occupied(taken) => {
                    let (line, file) = taken.get();
                    let of = match *file == context.file {
                        true => String::new(),
                        false => format!(" of {}", Escaped(file)),
                    };
                    let name = Escaped(name.as_str());
                    let what = format!("\"{name}\" is taken by the calendar in line {line}{of}");
                    let hint = "give each calendar a name of its own";
                    table.report_at("name", Wrong::new(what, hint));
                }
            }
        }
        calendars.extend(calendar(table, name, kind, context));
    }
    calendars
}

fn calendar(
    mut table: Table<'_, '_>,
    name: Option<CalendarName>,
    kind: Kind,
    context: &mut Context<'_>,
) -> Option<Calendar> {
    let enabled = table.optional("enabled", value::boolean).unwrap_or(true);
    let source = source(&mut table, kind, context.allow_http);
    let new_links_per_day = table
        .optional("new-links-per-day", value::number(1..=100_000))
        .unwrap_or(context.budget.new_links_per_day);
    let own = Settings::read(&mut table);
    let time_zone = own.time_zone.or(context.defaults.time_zone);
    let time_zone = time_zone.unwrap_or_else(|| context.system_zone());
    context.old_lobby_names.extend(own.style.old_lobby_name);
    let defaults = &context.defaults;
    context.fit.look(&table, &own, defaults);
    if !own.has_organizer && !defaults.has_organizer {
        table.missing(
            "nobody owns this calendar's meetings",
            "set organizer in [meeting] or here, to a user's object id from Entra",
        );
    }
    table.finish();
    let (source, rescan) = source?;
    let addresses = own.addresses.or_else(|| defaults.addresses.clone());
    // A server says who owns a calendar, so not to know the addresses is not to ask for none.
    let none = matches!(source, Source::CalDav(_)).then(BTreeSet::new);
    let addresses = addresses.map_or(none, |all| (!all.is_empty()).then_some(all));
    let is_published = matches!(&source, Source::Feed(feed) if feed.publish != Publish::Source);
    let usual = || defaults.show.clone().unwrap_or(Show::DEFAULT.to_vec());
    let shown = |one: &Show| !is_published || !NOT_PUBLISHED.contains(one);
    let show = own.show;
    let show = show.unwrap_or_else(|| usual().into_iter().filter(shown).collect());
    let api = own.api.or(&defaults.api);
    // What stands in Outlook does not die by itself.
    let fate = match api.is_mirror() {
        true => Fate::Delete,
        false => Fate::Keep,
    };
    let language = own.language.or_else(|| defaults.language.clone());
    let language = language.unwrap_or_else(|| "en-US".to_owned());
    let style = Style {
        private_title: api.is_mirror().then(|| private_title(&language)),
        ..own.style.or(&defaults.style)
    };
    Some(Calendar {
        name: name?,
        enabled,
        source,
        organizer: own.organizer.or_else(|| defaults.organizer.clone())?,
        organizers: own
            .organizers
            .or_else(|| defaults.organizers.clone())
            .unwrap_or_default(),
        api,
        on_cancel: own.on_cancel.or(defaults.on_cancel).unwrap_or(fate),
        on_delete: own.on_delete.or(defaults.on_delete).unwrap_or(fate),
        language,
        rules: Rules {
            select: own.select.or(defaults.select).unwrap_or_default(),
            horizon: own.horizon.or(defaults.horizon).unwrap_or(365 * DAY),
            settle: own.settle.or(defaults.settle).unwrap_or(10 * SECOND),
            addresses,
            events_with_attendees: own
                .events_with_attendees
                .or(defaults.events_with_attendees)
                .unwrap_or_default(),
            all_day: own.all_day.or(defaults.all_day).unwrap_or(false),
            transparent: own.transparent.or(defaults.transparent).unwrap_or(false),
            private: own.private.or(defaults.private).unwrap_or(false),
        },
        style,
        time_zone,
        location: own.location.or(defaults.location).unwrap_or_default(),
        show,
        new_links_per_day,
        rescan,
    })
}

/// Where the events are, and how often all of them are listed.
fn source(table: &mut Table<'_, '_>, kind: Kind, allow_http: bool) -> Option<(Source, Duration)> {
    let make: fn(PathBuf) -> Source = match kind {
        Kind::Directory => |path| Source::Directory { path },
        Kind::File => |path| Source::File { path },
        Kind::CalDav => {
            let account = caldav::account(table, allow_http)?;
            return Some((Source::CalDav(Box::new(account)), DAY));
        }
        Kind::Feed => {
            let feed = feed::feed(table, allow_http)?;
            return Some((Source::Feed(Box::new(feed)), DAY));
        }
    };
    let path = table.required("path", value::path);
    let rescan = table
        .optional("rescan", value::duration(SECOND..=DAY))
        .unwrap_or(5 * MINUTE);
    Some((make(path?), rescan))
}
