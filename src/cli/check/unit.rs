//! Whether the systemd unit fits the configuration: its credentials, what it may write, as whom it runs.
//!
//! In the service, what systemd passed is looked at; elsewhere the unit that belongs to the configuration
//! is asked for with `systemctl`. Where there is no systemd or no such unit, nothing is told.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::report::Line;
use crate::config::{Config, Publish, Source};
use crate::http::Credentials;
use crate::meeting::graph::SignIn;
use crate::secret::SecretSource;

/// How long `systemctl` may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Where the configurations of units are.
const CONFIGURATIONS: &str = "/etc/meetbridge";

/// Where systemd looks for credentials that a unit names without a path (systemd.exec(5)).
const STORES: [&str; 6] = [
    "/etc/credstore",
    "/etc/credstore.encrypted",
    "/run/credstore",
    "/run/credstore.encrypted",
    "/usr/lib/credstore",
    "/usr/lib/credstore.encrypted",
];

/// Tells what the unit of this configuration lacks.
pub(super) async fn look(config: &Config, file: &Path) -> Vec<Line> {
    let credentials = credentials(config);
    if let Some(passed) = std::env::var_os("CREDENTIALS_DIRECTORY") {
        let passed = PathBuf::from(passed);
        let is_there = |name: &str| {
            let places = [passed.as_path(), Path::new(STORES[0])];
            places.iter().any(|place| place.join(name).exists())
        };
        let missing = credentials.iter().filter(|name| !is_there(name));
        return missing.map(|name| lacks("this service", name)).collect();
    }
    let Some(name) = name(file).filter(|_| Path::new("/run/systemd/system").is_dir()) else {
        return Vec::new();
    };
    let properties = "--property=LoadState,Type,DynamicUser,User,ProtectSystem,ReadWritePaths";
    let (Some(shown), Some(text)) = (
        systemctl(&["show", properties, &name]).await,
        systemctl(&["cat", &name]).await,
    ) else {
        return Vec::new();
    };
    let unit = Unit::read(name, &shown, &text);
    let mut lines = unit.judge(config, &credentials);
    if rustix::process::geteuid().is_root() {
        let is_stored = |name: &str| STORES.iter().any(|at| Path::new(at).join(name).exists());
        let found = credentials.iter().filter(|name| unit.searches(name));
        let absent = found.filter(|name| !is_stored(name));
        lines.extend(absent.map(|name| {
            Line::error(format!("the credential `{name}` is in no credential store")).hint(format!(
                "sudo install -D -m 0600 /dev/stdin {}/{name}",
                STORES[0]
            ))
        }));
    }
    lines
}

/// The unit that runs with this configuration file.
fn name(file: &Path) -> Option<String> {
    let name = file.strip_prefix(CONFIGURATIONS).ok()?.to_str()?;
    match name.strip_suffix(".toml")? {
        "config" => Some("meetbridge.service".to_owned()),
        // Other names would have to be escaped.
        plain
            if plain
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_') =>
        {
            Some(format!("meetbridge@{plain}.service"))
        }
        _ => None,
    }
}

async fn systemctl(arguments: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new("systemctl");
    command.args(arguments).stdin(Stdio::null());
    let output = command.stderr(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(LIMIT, output).await.ok()?.ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A unit, as systemd has it.
struct Unit {
    name: String,
    is_loaded: bool,
    notifies: bool,
    /// As whom it runs; `None`: a user of its own.
    user: Option<String>,
    /// The file system is read-only for it but for these; `None`: it is not.
    writable: Option<Vec<PathBuf>>,
    /// The credentials it passes: the name, and the path where it is not looked for in the stores.
    credentials: Vec<(String, Option<String>)>,
}

impl Unit {
    /// From the output of `systemctl show` and `systemctl cat`, which alone tells the credentials.
    fn read(name: String, shown: &str, text: &str) -> Self {
        let of = |key: &str| {
            let mut lines = shown.lines().filter_map(|line| line.split_once('='));
            let found = lines.find(|(its, _)| *its == key);
            found.map_or("", |(_, value)| value)
        };
        let user = match (of("DynamicUser"), of("User")) {
            ("yes", _) => None,
            (_, "") => Some("root".to_owned()),
            (_, user) => Some(user.to_owned()),
        };
        let path = |path: &str| PathBuf::from(path.trim_start_matches(['-', '+']));
        let writable = of("ReadWritePaths").split_whitespace().map(path).collect();
        let passing = text.lines().filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            let keys = ["LoadCredential", "LoadCredentialEncrypted", "SetCredential"];
            let set = ["SetCredentialEncrypted", "ImportCredential"];
            if !keys.contains(&key) && !set.contains(&key) {
                return None;
            }
            let (id, path) = value
                .split_once(':')
                .map_or((value, None), |(id, path)| (id, Some(path)));
            let is_stored = key.starts_with("Load") && path.is_none();
            let elsewhere = (!is_stored).then(|| path.unwrap_or_default().to_owned());
            Some((id.trim().to_owned(), elsewhere))
        });
        Self {
            is_loaded: of("LoadState") == "loaded",
            notifies: of("Type").starts_with("notify"),
            user,
            writable: (of("ProtectSystem") == "strict").then_some(writable),
            credentials: passing.collect(),
            name,
        }
    }

    fn passes(&self, credential: &str) -> bool {
        self.credentials
            .iter()
            .any(|(id, _)| match id.strip_suffix('*') {
                Some(start) => credential.starts_with(start),
                None => id == credential,
            })
    }

    /// Whether a credential is looked for in the stores.
    fn searches(&self, credential: &str) -> bool {
        let mut all = self.credentials.iter().filter(|(id, _)| id == credential);
        all.any(|(_, path)| path.is_none())
    }

    /// What it lacks for this configuration.
    fn judge(&self, config: &Config, credentials: &BTreeSet<String>) -> Vec<Line> {
        if !self.is_loaded {
            return Vec::new();
        }
        let name = &self.name;
        let mut lines = Vec::new();
        if !self.notifies {
            lines.push(Line::warning(format!("{name} does not wait until meetbridge is ready")).hint(
                "set Type=notify-reload in it (systemd before 253: Type=notify), as the unit that \
                 comes with meetbridge does",
            ));
        }
        let missing = credentials
            .iter()
            .filter(|credential| !self.passes(credential));
        lines.extend(missing.map(|credential| lacks(name, credential)));
        for (calendar, place) in written(config) {
            let closed = self.writable.as_ref();
            if closed.is_some_and(|open| !open.iter().any(|open| place.starts_with(open))) {
                let place = place.display();
                lines.push(
                    Line::error(format!("calendar {calendar}: {name} may not write {place}"))
                        .hint("put this into a drop-in, as systemd/directory.conf shows:")
                        .paste([format!("ReadWritePaths={place}")]),
                );
            }
            lines.extend(self.owner(calendar, place));
        }
        lines
    }

    /// That a directory belongs to who runs the service; that its files do, only a pass can tell.
    fn owner(&self, calendar: &str, place: &Path) -> Option<Line> {
        let uid = place.metadata().ok()?.uid();
        let user = match &self.user {
            None => "a user of its own",
            Some(user) if user == "root" || *user == uid.to_string() => return None,
            Some(user) if passwd(user).is_none_or(|its| its == uid) => return None,
            Some(user) => user,
        };
        let (name, place) = (&self.name, place.display());
        Some(
            Line::warning(format!(
                "calendar {calendar}: {place} belongs to the user {uid}, and {name} runs as {user}"
            ))
            .hint(
                "files keep their owner only if the service runs as that owner: set User= in a drop-in, as \
                 systemd/directory.conf shows",
            ),
        )
    }
}

/// What to do about a credential that is not passed.
fn lacks(unit: &str, credential: &str) -> Line {
    Line::error(format!("{unit} lacks the credential `{credential}`"))
        .hint("put this into a drop-in, as systemd/calendars.conf shows:")
        .paste([format!("LoadCredential={credential}")])
}

/// The directories in which files are replaced, by calendar.
fn written(config: &Config) -> impl Iterator<Item = (&str, &Path)> {
    config.enabled().filter_map(|calendar| {
        let place = match &calendar.source {
            Source::Directory { path } => path,
            Source::File { path } => path.parent()?,
            Source::Feed(feed) => match &feed.publish {
                Publish::File(path) => path.parent()?,
                Publish::Web { .. } | Publish::Source => return None,
            },
            Source::CalDav(_) => return None,
        };
        Some((calendar.name.as_str(), place))
    })
}

/// The names of the credentials that the configuration wants.
fn credentials(config: &Config) -> BTreeSet<String> {
    let mut sources = match &config.graph.sign_in {
        SignIn::Secret(source) | SignIn::FederatedToken(source) => vec![source],
        SignIn::Certificate {
            certificate, key, ..
        } => std::iter::once(certificate).chain(key).collect(),
        SignIn::DeviceCode { .. } => Vec::new(),
    };
    for calendar in config.enabled() {
        match &calendar.source {
            Source::CalDav(account) => sources.extend(secrets(&account.credentials)),
            Source::Feed(feed) => {
                sources.extend(secrets(&feed.credentials));
                if let Publish::Web { credentials, .. } = &feed.publish {
                    sources.extend(secrets(credentials));
                }
            }
            Source::Directory { .. } | Source::File { .. } => {}
        }
    }
    let names = sources.into_iter().filter_map(|source| match source {
        SecretSource::Credential(name) => Some(name.clone()),
        SecretSource::File(_) | SecretSource::Command(_) => None,
    });
    names.collect()
}

fn secrets(credentials: &Credentials) -> Vec<&SecretSource> {
    match credentials {
        Credentials::None => Vec::new(),
        Credentials::Password { password, .. } => vec![password],
        Credentials::Bearer { token } => vec![token],
        Credentials::OAuth2 {
            client_secret,
            refresh_token,
            ..
        } => client_secret.iter().chain([refresh_token]).collect(),
    }
}

/// The id of a user of this machine, by name; of users from elsewhere nothing is known here.
fn passwd(user: &str) -> Option<u32> {
    let all = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = all.lines().map(|line| line.split(':'));
    let mut its = lines.find(|fields| fields.clone().next() == Some(user))?;
    its.nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    const CONFIG: &str = "[graph]\ntenant = \"contoso.example\"\nclient-id = \
        \"00000000-1111-4222-8333-000000000001\"\nclient-secret-credential = \"graph-secret\"\n\
        [meeting]\norganizer = \"aaaaaaaa-bbbb-4ccc-8ddd-000000000001\"\n\
        [[calendar.directory]]\nname = \"team\"\npath = \"/meetbridge-absent/team\"\n\
        [[calendar.caldav]]\nname = \"alice\"\nurl = \"https://dav.example.org/\"\n\
        username = \"alice\"\npassword-credential = \"alice-password\"\n";

    fn config() -> Config {
        let machine = Machine {
            config: None,
            state_directory: Some("/state".into()),
            time_zone: Some("UTC".to_owned()),
        };
        Config::parse(CONFIG, "c.toml", &machine).unwrap()
    }

    fn judged(shown: &str, text: &str) -> Vec<Line> {
        let config = config();
        let unit = Unit::read("meetbridge.service".to_owned(), shown, text);
        unit.judge(&config, &credentials(&config))
    }

    const SHOWN: &str = "Type=notify-reload\nUser=calendars\nDynamicUser=no\nProtectSystem=strict\n\
        ReadWritePaths=/srv /meetbridge-absent\nLoadState=loaded\n";
    const TEXT: &str = "[Service]\nLoadCredential=graph-secret\n#LoadCredential=no\n\
        LoadCredential=alice-password:/etc/meetbridge/alice\n";

    #[test]
    fn a_unit_that_fits_is_told_nothing_of() {
        assert_eq!(judged(SHOWN, TEXT), []);
        let absent = SHOWN.replace("loaded", "not-found");
        assert_eq!(judged(&absent, ""), [], "no unit");
        for text in ["ImportCredential=*", "SetCredential=alice-password:x"] {
            let text = format!("LoadCredentialEncrypted=graph-secret\n{text}\n");
            assert_eq!(judged(SHOWN, &text), [], "{text}");
        }
    }

    #[test]
    fn what_a_unit_lacks_is_told_ready_to_paste() {
        let lines = judged(SHOWN, "[Service]\nLoadCredential=graph-secret\n");
        assert_eq!(lines, [lacks("meetbridge.service", "alice-password")]);
        for path in ["/srv", "", "/meetbridge-absent/teams"] {
            let shown = SHOWN.replace("/srv /meetbridge-absent", path);
            let [line] = judged(&shown, TEXT).try_into().unwrap();
            let expected = Line::error(
                "calendar team: meetbridge.service may not write /meetbridge-absent/team",
            );
            let expected =
                expected.hint("put this into a drop-in, as systemd/directory.conf shows:");
            let paste = "ReadWritePaths=/meetbridge-absent/team".to_owned();
            assert_eq!(line, expected.paste([paste]));
        }
        let open = SHOWN
            .replace("strict", "no")
            .replace("/srv /meetbridge-absent", "");
        assert_eq!(judged(&open, TEXT), [], "nothing is closed");
        let simple = SHOWN.replace("notify-reload", "exec");
        assert_eq!(judged(&simple, TEXT).len(), 1);
    }

    #[test]
    fn the_unit_is_that_of_the_file() {
        for (file, unit) in [
            ("/etc/meetbridge/config.toml", Some("meetbridge.service")),
            (
                "/etc/meetbridge/sales.toml",
                Some("meetbridge@sales.service"),
            ),
            ("/etc/meetbridge/a-b.toml", None),
            ("/etc/meetbridge/more/a.toml", None),
            ("/home/alice/config.toml", None),
        ] {
            assert_eq!(name(Path::new(file)).as_deref(), unit, "{file}");
        }
    }

    #[test]
    fn only_what_is_named_without_a_path_is_looked_for() {
        let unit = Unit::read(String::new(), SHOWN, TEXT);
        assert!(unit.searches("graph-secret") && !unit.searches("alice-password"));
    }
}
