//! The configuration: one TOML file in, [`Config`] or all its [`Faults`] out.
//!
//! What was typed stays in here (`scan`, `table`, `value`, `secrets`, `sign_in`, `read`, `calendars`,
//! `api`, `caldav`);
//! what is meant leaves.
//! Nothing is read but the one file and those that it includes (`include`); [`check::check`] looks whether what it names is there.

mod api;
mod caldav;
mod calendars;
pub mod check;
mod fault;
mod feed;
mod include;
mod machine;
mod meetings;
mod read;
mod scan;
mod secrets;
mod sign_in;
mod table;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use url::Url;

pub use api::{Api, Behind};
pub use fault::{Fault, Faults, Place};
pub use machine::Machine;
pub use sign_in::TOKENS;
pub(crate) use table::nearest;

use crate::http::Credentials;
use crate::ical::block::Show;
use crate::ical::write::Location;
use crate::meeting::Fate;
use crate::meeting::graph::SignIn;
use crate::model::{CalendarName, OrganizerId};
use crate::plan::Style;
use crate::plan::select::Rules;

/// The largest configuration file, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// What the administrator configured, complete and within its ranges.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the state is kept; absolute.
    pub state_directory: PathBuf,
    /// How Microsoft Graph is reached.
    pub graph: Graph,
    /// The limits on what is made.
    pub budget: Budget,
    /// What all connections share.
    pub network: Network,
    /// What is logged.
    pub log: Log,
    /// The calendars in file order, then those of included files; those that are not enabled too. Names
    /// are unique.
    pub calendars: Vec<Calendar>,
    /// Some calendar relies on the system's time zone, and that is not known: UTC stands in.
    pub time_zone_assumed: bool,
    /// Words of `lobby` by their older names, which are taken all the same: the older name, and the one
    /// to write.
    pub old_lobby_names: BTreeSet<(&'static str, &'static str)>,
}

/// How Microsoft Graph is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The tenant, a GUID or a domain name, in lower case.
    pub tenant: String,
    /// The app registration's client id, a GUID in lower case.
    pub client_id: String,
    /// Graph's base: scheme and host, without version.
    pub graph_url: Url,
    /// The authority's base: scheme and host, without tenant.
    pub authority_url: Url,
    /// How it is signed in to.
    pub sign_in: SignIn,
}

/// The limits on what is made (DESIGN.md, promise 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// A calendar's first pass that would link more events than this waits for consent.
    pub first_pass_limit: u32,
    /// Meetings made per calendar and UTC day, where the calendar does not say otherwise.
    pub new_links_per_day: u32,
    /// Meetings made per organizer and UTC month; at most 2000, which is Graph's own limit.
    pub meetings_per_month: u32,
}

/// What all connections share.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The proxy; `None` leaves it to the usual environment variables.
    pub proxy: Option<Url>,
    /// Certificates (PEM) that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to be made; 1 s to 2 min.
    pub connect_timeout: Duration,
    /// How long a whole request may take; 1 s to 10 min.
    pub request_timeout: Duration,
    /// Plain http is allowed to other machines too.
    pub allow_http: bool,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The form of a line; `None`: what the place that it goes to is for.
    pub format: Option<crate::log::Format>,
    /// Which lines are logged.
    pub filter: crate::log::Filter,
}

/// One calendar.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// Its name, unique in the file.
    pub name: CalendarName,
    /// Whether it takes part; one that does not is checked all the same.
    pub enabled: bool,
    /// Where its events are.
    pub source: Source,
    /// Who owns the meetings of its events, unless `organizers` says otherwise.
    pub organizer: OrganizerId,
    /// Who owns those of events by their ORGANIZER: address in lower case → organizer.
    pub organizers: BTreeMap<String, OrganizerId>,
    /// As what its meetings are made.
    pub api: Api,
    /// What becomes of the meeting of a cancelled event.
    pub on_cancel: Fate,
    /// What becomes of the meeting of an event that is gone.
    pub on_delete: Fate,
    /// BCP 47 tag of the language of what is written into its events.
    pub language: String,
    /// Which of its events get a link.
    pub rules: Rules,
    /// What its meetings are like.
    pub style: Style,
    /// The zone of times that name none.
    pub time_zone: Tz,
    /// What goes into an empty LOCATION.
    pub location: Location,
    /// What the join block shows beside the URL, in this order, each once.
    pub show: Vec<Show>,
    /// Meetings made per UTC day for its events.
    pub new_links_per_day: u32,
    /// How often all of it is listed, whatever the watch reported; 1 s to 1 day, and 1 day for CalDAV.
    pub rescan: Duration,
}

/// Where a calendar's events are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `.ics` files in and below a directory.
    Directory {
        /// The directory; absolute.
        path: PathBuf,
    },
    /// One `.ics` file with any number of events.
    File {
        /// The file; absolute.
        path: PathBuf,
    },
    /// An account on a CalDAV server, with one calendar or several.
    CalDav(Box<CalDav>),
    /// A calendar that is subscribed to.
    Feed(Box<Feed>),
}

/// A calendar that is subscribed to.
#[derive(Clone, PartialEq, Eq)]
pub struct Feed {
    /// Where it is; https, or http where that is allowed. Its query may be a secret.
    pub url: Url,
    /// Plain http is allowed to other machines than this one.
    pub allow_http: bool,
    /// How it is signed in to.
    pub credentials: Credentials,
    /// How often it is fetched; 1 s to 1 day.
    pub poll: Duration,
    /// Where its events go with their links.
    pub publish: Publish,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the URL, for its query's sake.
        let host = self.url.host_str().unwrap_or_default();
        f.debug_struct("Feed")
            .field("host", &host)
            .finish_non_exhaustive()
    }
}

/// Where the events of a feed go with their links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publish {
    /// Into this file; absolute.
    File(PathBuf),
    /// To this address, by PUT.
    Web {
        /// The address.
        url: Url,
        /// How it is signed in to.
        credentials: Box<Credentials>,
    },
    /// Back to the feed's own address, by PUT.
    Source,
}

/// An account on a CalDAV server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalDav {
    /// The server, principal, calendar home or calendar; https, or http where that is allowed.
    pub url: Url,
    /// How it is signed in to.
    pub credentials: Credentials,
    /// A PEM file with the client certificate and its key, where the server asks for one.
    pub certificate_file: Option<PathBuf>,
    /// The private key, where it has a PEM file of its own.
    pub key_file: Option<PathBuf>,
    /// Certificates (PEM) that are trusted for this account beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Display names or paths of the calendars that count; empty: all that the account owns and that
    /// hold events.
    pub collections: Vec<String>,
    /// How long at most a change goes unnoticed; 1 s to 1 day.
    pub poll: Duration,
    /// How soon it is looked again while changes come; 1 s to `poll`.
    pub poll_fastest: Duration,
}

impl Source {
    /// The directory or file; `None` for what is not on disk.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Directory { path } | Self::File { path } => Some(path),
            Self::CalDav(_) | Self::Feed(_) => None,
        }
    }
}

impl Config {
    /// Reads a configuration file of at most 1 MiB, and those that it includes; `machine` fills in what
    /// it leaves open.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn load(path: &Path, machine: &Machine) -> Result<Self, Faults> {
        let file = path.display().to_string();
        let bytes = read_file(path)
            .map_err(|error| Faults::one(&file, reason(&error), hint_for(&error)))?;
        let home = path.parent().unwrap_or(Path::new("/"));
        read::config(&utf8(bytes, &file)?, &file, home, machine)
    }

    /// Reads a configuration from its text; `file` is what faults call it, and beside it is what it
    /// includes.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn parse(text: &str, file: &str, machine: &Machine) -> Result<Self, Faults> {
        let home = Path::new(file).parent().unwrap_or(Path::new("/"));
        read::config(text, file, home, machine)
    }

    /// The calendars that take part.
    pub fn enabled(&self) -> impl Iterator<Item = &Calendar> {
        self.calendars.iter().filter(|calendar| calendar.enabled)
    }
}

/// The first bytes of a regular file, one more than is allowed.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // Asked first: opening a FIFO waits for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a whole file.
fn utf8(bytes: Vec<u8>, file: &str) -> Result<String, Faults> {
    if bytes.len() as u64 > LARGEST {
        return Err(Faults::one(
            file,
            "larger than 1 MiB",
            "this is hardly a configuration file; name the right one with --config",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let what = format!("line {line} is not UTF-8");
        Faults::one(file, what, "save the file as UTF-8")
    })
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
        io::ErrorKind::IsADirectory => "not a regular file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

fn hint_for(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "write it (config/minimal.toml is the smallest that works), or name another one with \
             --config or $MEETBRIDGE_CONFIG"
        }
        io::ErrorKind::PermissionDenied => "make it readable for the user who runs meetbridge",
        _ => "name a file with --config or $MEETBRIDGE_CONFIG",
    }
}

#[cfg(test)]
mod tests;
