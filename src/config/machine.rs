//! What the machine says where the configuration is silent.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the machine says where the configuration is silent; plain data, so that tests say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `$MEETBRIDGE_CONFIG`.
    pub config: Option<PathBuf>,
    /// `$STATE_DIRECTORY` (systemd's), else `meetbridge` in the XDG state directory; absolute.
    pub state_directory: Option<PathBuf>,
    /// The name of the system's time zone, as IANA has it.
    pub time_zone: Option<String>,
}

impl Machine {
    /// Asks the process's environment and the system.
    pub fn of_process() -> Self {
        let zone = iana_time_zone::get_timezone().ok();
        Self::new(|name| std::env::var_os(name), zone)
    }

    /// From environment variables and the name of the system's time zone.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>, time_zone: Option<String>) -> Self {
        let path = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        // XDG Base Directory Specification: a relative path is to be ignored.
        let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
        // systemd.exec(5): several directories are separated by colons; ours is the first.
        let given = absolute("STATE_DIRECTORY")
            .and_then(|list| Some(PathBuf::from(list.to_str()?.split(':').next()?)));
        Self {
            config: path("MEETBRIDGE_CONFIG"),
            state_directory: given.or_else(|| {
                absolute("XDG_STATE_HOME")
                    .or_else(|| Some(absolute("HOME")?.join(".local/state")))
                    .map(|state| state.join("meetbridge"))
            }),
            time_zone,
        }
    }

    /// Which configuration file is meant: the one given on the command line, else
    /// `$MEETBRIDGE_CONFIG`, else `/etc/meetbridge/config.toml`.
    pub fn config_path(&self, given: Option<PathBuf>) -> PathBuf {
        given
            .or_else(|| self.config.clone())
            .unwrap_or_else(|| PathBuf::from("/etc/meetbridge/config.toml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(variables: &[(&str, &str)]) -> Machine {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(found.1))
        };
        Machine::new(find, None)
    }

    #[test]
    fn the_state_directory_is_systemds_else_the_users() {
        let home = ("HOME", "/home/a");
        type Variables<'v> = &'v [(&'v str, &'v str)];
        let cases: [(Variables<'_>, Option<&str>); 7] = [
            (
                &[("STATE_DIRECTORY", "/var/lib/m"), home],
                Some("/var/lib/m"),
            ),
            (
                &[("STATE_DIRECTORY", "/var/lib/m:/var/lib/n")],
                Some("/var/lib/m"),
            ),
            (
                &[("STATE_DIRECTORY", ""), home],
                Some("/home/a/.local/state/meetbridge"),
            ),
            (&[("XDG_STATE_HOME", "/s"), home], Some("/s/meetbridge")),
            (
                &[("XDG_STATE_HOME", "s"), home],
                Some("/home/a/.local/state/meetbridge"),
            ),
            (&[home], Some("/home/a/.local/state/meetbridge")),
            (&[], None),
        ];
        for (variables, expected) in cases {
            let found = machine(variables).state_directory;
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn the_command_line_names_the_configuration_then_the_environment() {
        let set = machine(&[("MEETBRIDGE_CONFIG", "/a.toml")]);
        let given = Some(PathBuf::from("/b.toml"));
        assert_eq!(set.config_path(given), PathBuf::from("/b.toml"));
        assert_eq!(set.config_path(None), PathBuf::from("/a.toml"));
        assert_eq!(
            machine(&[]).config_path(None),
            PathBuf::from("/etc/meetbridge/config.toml")
        );
    }
}
