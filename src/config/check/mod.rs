//! Looks whether what a configuration names is there and may be used. Offline; creates and changes
//! nothing. `secrets`: what signs in.
//!
//! It looks with the rights of the process that runs it: as root, it says little about the service.

mod secrets;

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::{Behind, Calendar, Config, Feed, Graph, Publish, Source};
use crate::http::Credentials;
use crate::meeting::graph::{SignIn, who_signed_in};
use crate::meeting::{LobbyScope, Setting};
use crate::model::Escaped;
use secrets::{caldav, readable_file, secret, sign_in};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, if something is there that is not looked at here.
    Note,
    /// It works, but perhaps not as meant.
    Warning,
    /// It will not work.
    Error,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// What is wrong, with the thing's name; escaped.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// All that is not as it should be at the time `now`, in the order of the configuration's parts.
pub fn check(config: &Config, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Findings::default();
    state(&config.state_directory, &mut findings);
    sign_in(&config.graph.sign_in, now, &mut findings);
    if let SignIn::DeviceCode { directory } = &config.graph.sign_in {
        person(config, directory, &mut findings);
    }
    if let Some(path) = &config.network.ca_file {
        readable_file(path, "the file of certificates", &mut findings);
    }
    for calendar in config.enabled() {
        match &calendar.source {
            Source::Directory { path } => directory(path, calendar, &mut findings),
            Source::File { path } => file(path, calendar, &mut findings),
            Source::CalDav(account) => caldav(account, calendar, now, &mut findings),
            Source::Feed(feed) => self::feed(feed, calendar, &mut findings),
        }
    }
    if config.enabled().next().is_none() {
        let hint = "set enabled = true for one, or add [[calendar.directory]]";
        findings.warn("no calendar is enabled", hint);
    }
    if config.time_zone_assumed {
        findings.warn(
            "the system's time zone is not known, so times without a zone are read as UTC",
            "set time-zone in [meeting], such as \"Europe/Berlin\"",
        );
    }
    for (old, new) in &config.old_lobby_names {
        findings.warn(
            format!("lobby = \"{old}\" is an older name (of autoAdmittedUsers)"),
            format!("write lobby = \"{new}\", which means the same"),
        );
    }
    let behind = Behind::of(config.enabled());
    if !behind.is_empty() {
        findings.add(
            Severity::Note,
            format!(
                "with api = \"calendar-event\", these take the online meeting behind it: {behind}"
            ),
            "the permission and the access policy of online meetings let it be reached, as `check \
             --online` tells; without them, these are left out",
        );
    }
    overlaps(config, &mut findings);
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Error, what, hint);
    }

    fn warn(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Warning, what, hint);
    }

    fn add(&mut self, severity: Severity, what: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Finding {
            severity,
            what: what.into(),
            hint: hint.into(),
        });
    }
}

/// The state directory: there, ours alone; or it can be made.
fn state(path: &Path, findings: &mut Findings) {
    let name = format!("the state directory {}", shown(path));
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            findings.error(
                format!("{name} is not a directory"),
                "set directory in [state] to one",
            );
        }
        Ok(found) => {
            if !may(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
                findings.error(
                    format!("{name} cannot be written"),
                    "let the user who runs meetbridge own it",
                );
            }
            let mode = found.mode() & 0o777;
            if mode & 0o077 != 0 {
                findings.warn(
                    format!("{name} has mode {mode:04o}: others can look into it"),
                    format!("chmod 0700 {}", shown(path)),
                );
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let nearest = path.ancestors().skip(1).find(|parent| parent.exists());
            let creatable =
                nearest.is_some_and(|p| p.is_dir() && may(p, Access::WRITE_OK | Access::EXEC_OK));
            if !creatable {
                findings.error(
                    format!("{name} is not there and cannot be made"),
                    "make it, mode 0700, owned by the user who runs meetbridge",
                );
            }
        }
        Err(error) => unusable(&name, &error, findings),
    }
}

/// That somebody is signed in by device code, and is who organizes.
fn person(config: &Config, directory: &Path, findings: &mut Findings) {
    let Graph {
        tenant,
        client_id,
        authority_url,
        ..
    } = &config.graph;
    let user = match who_signed_in(directory, authority_url, tenant, client_id) {
        Ok(user) => user,
        Err(what) => {
            let hint = "`meetbridge login` signs in by a code, on any device";
            return findings.error(what, hint);
        }
    };
    for calendar in config.enabled() {
        let mut organizers = calendar.organizers.values();
        if calendar.organizer != user || organizers.any(|organizer| *organizer != user) {
            findings.error(
                format!(
                    "calendar {}: it has an organizer who is not signed in; {user} is",
                    calendar.name
                ),
                format!(
                    "set organizer = \"{user}\", or sign in as the organizer by `meetbridge login`: \
                     a person makes only their own meetings"
                ),
            );
        }
    }
}

/// What a feed and the place where it is published are signed in to with, and who may join.
fn feed(feed: &Feed, calendar: &Calendar, findings: &mut Findings) {
    let role = |what: &str| format!("calendar {}: the {what}", calendar.name);
    let target = match &feed.publish {
        Publish::Web { credentials, .. } => Some(("publish-", &**credentials)),
        Publish::File(_) | Publish::Source => None,
    };
    for (prefix, credentials) in std::iter::once(("", &feed.credentials)).chain(target) {
        let (source, what, key) = match credentials {
            Credentials::Password { password, .. } => (password, "password", "password"),
            Credentials::Bearer { token } => (token, "bearer token", "bearer-token"),
            Credentials::None | Credentials::OAuth2 { .. } => continue,
        };
        let role = role(&format!("{what}'s file"));
        secret(source, &role, &format!("{prefix}{key}-command"), findings);
    }
    if let Publish::File(path) = &feed.publish {
        published(path, &role("published file"), findings);
    }
    if feed.publish != Publish::Source {
        lobby(calendar, findings);
    }
}

/// A file that can be made, or replaced.
fn published(path: &Path, role: &str, findings: &mut Findings) {
    let name = format!("{role} {}", shown(path));
    let parent = path.parent().unwrap_or(Path::new("/"));
    if path.is_dir() {
        findings.error(format!("{name} is a directory"), "name a file in it");
    } else if !parent.is_dir() {
        findings.error(
            format!("{name} has no directory"),
            "make it, or correct publish-file",
        );
    } else if !may(parent, Access::WRITE_OK | Access::EXEC_OK) {
        findings.error(
            format!("{name} cannot be replaced"),
            "let the user who runs meetbridge write its directory: a file is replaced as a whole \
             (under systemd, ReadWritePaths= as well)",
        );
    }
}

/// Whether strangers who find a link in a published calendar wait in the lobby.
fn lobby(calendar: &Calendar, findings: &mut Findings) {
    let scope = calendar
        .style
        .settings
        .0
        .iter()
        .find_map(|setting| match setting {
            Setting::Lobby { scope, .. } => *scope,
            _ => None,
        });
    let whom = match scope {
        Some(LobbyScope::Everyone) => "everybody passes by",
        None => "perhaps everybody passes by (it is not set, so Teams decides)",
        Some(_) => return,
    };
    // An Outlook event invites nobody.
    let whom_to_let_in = match calendar.api.is_mirror() {
        true => "\"organization\" or \"organizer\"",
        false => "\"organization\", or \"invited\" with participants = \"attendees\"",
    };
    findings.warn(
        format!(
            "calendar {} is published with links to meetings whose lobby {whom}",
            calendar.name
        ),
        format!("set lobby = {whom_to_let_in}, unless everybody who can read it may join"),
    );
}

fn directory(path: &Path, calendar: &Calendar, findings: &mut Findings) {
    let name = format!("calendar {}: the directory {}", calendar.name, shown(path));
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            let hint = "name a directory, or use [[calendar.file]]";
            findings.error(format!("{name} is not a directory"), hint);
        }
        Ok(_) if !may(path, Access::READ_OK | Access::EXEC_OK) => {
            let hint = "let the user who runs meetbridge read and enter it";
            findings.error(format!("{name} cannot be read"), hint);
        }
        Ok(_) if !may(path, Access::WRITE_OK) => findings.error(
            format!("{name} cannot be written"),
            "let the user who runs meetbridge write it: a file is replaced as a whole (under \
             systemd, ReadWritePaths= as well)",
        ),
        Ok(_) => {}
        Err(error) => unusable(&name, &error, findings),
    }
}

fn file(path: &Path, calendar: &Calendar, findings: &mut Findings) {
    let role = format!("calendar {}: the file", calendar.name);
    if readable_file(path, &role, findings).is_none() {
        return;
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = format!("{role} {}", shown(path));
    if !may(path, Access::WRITE_OK) {
        let hint = "let the user who runs meetbridge write it";
        findings.error(format!("{name} cannot be written"), hint);
    } else if !may(parent, Access::WRITE_OK | Access::EXEC_OK) {
        findings.error(
            format!("{name} cannot be replaced"),
            "let the user who runs meetbridge write its directory, too: a file is replaced as a \
             whole (under systemd, ReadWritePaths= as well)",
        );
    }
}

/// Calendars that show the same files.
fn overlaps(config: &Config, findings: &mut Findings) {
    // Symbolic links are resolved as far as the paths are there.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let placed: Vec<(&Calendar, PathBuf)> = config
        .enabled()
        .filter_map(|calendar| Some((calendar, real(calendar.source.path()?))))
        .collect();
    for (n, (second, below)) in placed.iter().enumerate() {
        for (first, above) in placed.iter().take(n) {
            if below.starts_with(above) || above.starts_with(below) {
                findings.warn(
                    format!(
                        "calendars {} and {} show the same files",
                        first.name, second.name
                    ),
                    "keep their paths apart; an event in both is linked by the first",
                );
            }
        }
    }
}

fn unusable(name: &str, error: &io::Error, findings: &mut Findings) {
    match error.kind() {
        io::ErrorKind::NotFound => findings.error(
            format!("{name} is not there"),
            "make it, or correct its path in the configuration",
        ),
        io::ErrorKind::PermissionDenied => findings.error(
            format!("{name} cannot be reached"),
            "let the user who runs meetbridge enter the directories above it",
        ),
        _ => findings.error(
            format!("{name} cannot be used: {error}"),
            "mend the file system, or correct the path in the configuration",
        ),
    }
}

/// Whether the process, as it acts, may do so.
fn may(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

fn shown(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}
