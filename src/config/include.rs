//! `include`: which files hold more calendars, and their texts. Disk.

use std::path::{Path, PathBuf};

use super::fault::Faults;
use super::table::{Value, Wrong};
use super::{hint_for, read_file, reason, utf8, value};
use crate::model::Escaped;

/// How many files are included at most, and how many bytes they hold together.
const MOST: (usize, usize) = (1_000, 16 * 1024 * 1024);

/// How many names are looked at in the directory.
const MOST_NAMES: usize = 10_000;

/// A directory, relative to the configuration file's or absolute, and a file's name in it, in which `*`
/// stands for any characters.
pub(super) struct Pattern {
    directory: PathBuf,
    name: String,
}

/// A file's path, and its text or what is wrong with it.
pub(super) type Included = (String, Result<String, Faults>);

/// Reads the key's value.
pub(super) fn pattern(value: &Value<'_>) -> Result<Pattern, Wrong> {
    let text = value::string(value)?;
    let (directory, name) = match text.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("", text.as_str()),
    };
    let hint = "write a directory and a name with `*`, such as \"config.d/*.toml\"";
    if directory.contains('*') {
        return Err(Wrong::new("`*` may stand in a file's name only", hint));
    }
    if name.is_empty() || text.contains('\0') {
        return Err(Wrong::new("names no files", hint));
    }
    Ok(Pattern {
        directory: directory.into(),
        name: name.to_owned(),
    })
}

impl Pattern {
    /// The files, in the order of their names. A name that begins with a dot is matched by such a pattern
    /// only.
    ///
    /// # Errors
    /// Why nobody can tell which files they are, or that there are too many.
    pub(super) fn files(&self, home: &Path) -> Result<Vec<Included>, Wrong> {
        let directory = home.join(&self.directory);
        if !self.name.contains('*') {
            return Ok(vec![included(&directory.join(&self.name))]);
        }
        let shown = Escaped(&directory.to_string_lossy()).to_string();
        let unreadable = |error: std::io::Error| {
            Wrong::new(
                format!("the directory {shown} cannot be read ({error})"),
                "make it, readable for the user who runs meetbridge, or take include out",
            )
        };
        let directory = match self.directory.as_os_str().is_empty() {
            true if home.as_os_str().is_empty() => PathBuf::from("."),
            _ => directory,
        };
        let too_many = || {
            Wrong::new(
                "too many files",
                "include at most 1000 files, from a directory that holds nothing else",
            )
        };
        let mut names = Vec::new();
        for (n, entry) in std::fs::read_dir(&directory)
            .map_err(unreadable)?
            .enumerate()
        {
            let name = entry.map_err(unreadable)?.file_name();
            if n >= MOST_NAMES {
                return Err(too_many());
            }
            if name.to_str().is_some_and(|name| matches(&self.name, name)) {
                names.push(name);
            }
        }
        if names.len() > MOST.0 {
            return Err(too_many());
        }
        names.sort();
        let (mut files, mut size) = (Vec::new(), 0);
        for name in names {
            let file = included(&directory.join(name));
            size += file.1.as_ref().map_or(0, String::len);
            if size > MOST.1 {
                let hint = "split the calendars between several instances";
                return Err(Wrong::new("more than 16 MiB together", hint));
            }
            files.push(file);
        }
        Ok(files)
    }
}

fn included(path: &Path) -> Included {
    let file = path.display().to_string();
    let text = read_file(path)
        .map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::PermissionDenied => hint_for(&error),
                _ => "correct include, or move it elsewhere",
            };
            Faults::one(&file, reason(&error), hint)
        })
        .and_then(|bytes| utf8(bytes, &file));
    (file, text)
}

/// Whether the name is what the pattern says.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Machine};
    use super::*;

    #[test]
    fn an_asterisk_stands_for_any_characters() {
        for (pattern, name, is_match) in [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", false),
            ("*.toml", ".a.toml", false),
            (".*.toml", ".a.toml", true),
            ("*.toml", "a.toml.bak", false),
            ("*", "a", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("10-*", "10-", true),
            ("10-*", "9-x", false),
            ("**", "é", true),
            ("a*", "b", false),
        ] {
            assert_eq!(matches(pattern, name), is_match, "{pattern} {name}");
        }
    }

    const MAIN: &str = r#"include = "config.d/*.toml"
[graph]
tenant = "contoso.onmicrosoft.com"
client-id = "00000000-0000-0000-0000-00000000000A"
client-secret-file = "/etc/meetbridge/graph"
[meeting]
organizer = "11111111-1111-1111-1111-111111111111"
settle = "42s"
[[calendar.directory]]
name = "team"
path = "/srv/team"
"#;

    fn calendar(name: &str) -> String {
        format!("[[calendar.directory]]\nname = \"{name}\"\npath = \"/srv/{name}\"\n")
    }

    /// A directory with the main file and these in `config.d`, and what comes of them.
    fn load(main: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Config, Faults>) {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("config.d");
        std::fs::create_dir(&directory).unwrap();
        for (name, text) in files {
            std::fs::write(directory.join(name), text).unwrap();
        }
        let path = home.path().join("config.toml");
        std::fs::write(&path, main).unwrap();
        let machine = Machine {
            state_directory: Some("/var/lib/meetbridge".into()),
            time_zone: Some("Europe/Berlin".to_owned()),
            ..Machine::default()
        };
        let config = Config::load(&path, &machine);
        (home, config)
    }

    /// What is wrong: the file's name, the line and the words.
    fn told(faults: &Faults) -> Vec<(String, Option<usize>, String)> {
        let all = faults.in_files().map(|(file, fault)| {
            let name = Path::new(file).file_name().unwrap().to_str().unwrap();
            let line = fault.place.as_ref().map(|at| at.line);
            (name.to_owned(), line, fault.what.clone())
        });
        all.collect()
    }

    #[test]
    fn calendars_of_included_files_follow_in_the_order_of_the_names() {
        let (zoe, ann) = (calendar("zoe") + "settle = \"1s\"\n", calendar("ann"));
        let (_home, config) = load(
            MAIN,
            &[("20.toml", &ann), ("10.toml", &zoe), ("x.bak", "nonsense")],
        );
        let config = config.unwrap();
        let names: Vec<_> = config.calendars.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["team", "zoe", "ann"]);
        let settle: Vec<_> = config
            .calendars
            .iter()
            .map(|c| c.rules.settle.as_secs())
            .collect();
        assert_eq!(settle, [42, 1, 42], "[meeting] of the main file applies");
        // None yet is no fault, nor that there is no other calendar.
        let (bare, _) = MAIN.split_once("[[calendar").unwrap();
        for main in [bare, MAIN] {
            load(main, &[]).1.unwrap();
        }
    }

    #[test]
    fn faults_of_all_files_come_at_once_each_with_its_file() {
        let ann = calendar("ann") + "rescn = \"1d\"\n";
        let twice = calendar("team") + "\n" + &calendar("ann");
        let (home, config) = load(
            &MAIN.replace("settle", "setle"),
            &[
                ("1.toml", &ann),
                ("2.toml", &twice),
                ("3.toml", "[graph]\ntenant = \"x.example\"\n[odd]\n"),
                ("4.toml", "a = \n"),
            ],
        );
        let faults = config.unwrap_err();
        let main = home.path().join("config.toml").display().to_string();
        let first = home.path().join("config.d/1.toml").display().to_string();
        let told = told(&faults);
        let line = |file: &str, line, what: &str| (file.to_owned(), Some(line), what.to_owned());
        assert_eq!(
            told[..6],
            [
                line("config.toml", 8, "unknown key `setle`"),
                line("1.toml", 4, "unknown key `rescn`"),
                line(
                    "2.toml",
                    2,
                    &format!("`name`: \"team\" is taken by the calendar in line 10 of {main}")
                ),
                line(
                    "2.toml",
                    6,
                    &format!("`name`: \"ann\" is taken by the calendar in line 2 of {first}")
                ),
                line(
                    "3.toml",
                    1,
                    "`graph`: an included file holds calendars only"
                ),
                line("3.toml", 3, "unknown key `odd`"),
            ]
        );
        assert_eq!((told[6].0.as_str(), told[6].1), ("4.toml", Some(1)));
        assert!(
            faults
                .to_string()
                .contains(&format!("{first}:4:1: unknown key `rescn`"))
        );
        assert_eq!(faults.file(), main);
    }

    #[test]
    fn what_cannot_be_read_is_a_fault() {
        for (include, what) in [
            ("config.d/none.toml", "no such file"),
            ("config.d", "not a regular file"),
            ("none.d/*.toml", "cannot be read"),
            ("*/a.toml", "in a file's name only"),
            ("config.d/", "names no files"),
        ] {
            let main = MAIN.replace("config.d/*.toml", include);
            let (_home, config) = load(&main, &[]);
            let faults = config.expect_err(include).to_string();
            assert!(faults.contains(what), "{include}: {faults}");
        }
        let (_home, config) = load(MAIN, &[("a.toml", &"#".repeat(1024 * 1024 + 1))]);
        assert!(
            config
                .unwrap_err()
                .to_string()
                .contains("larger than 1 MiB")
        );
        let large = "#".repeat(1024 * 1024);
        let names: Vec<_> = (0..17).map(|n| format!("{n}.toml")).collect();
        let files: Vec<_> = names.iter().map(|n| (n.as_str(), large.as_str())).collect();
        let (_home, config) = load(MAIN, &files);
        assert_eq!(told(&config.unwrap_err())[0].1, Some(1), "at include");
        let names: Vec<_> = (0..1001).map(|n| format!("{n}.toml")).collect();
        let files: Vec<_> = names.iter().map(|n| (n.as_str(), "")).collect();
        let (_home, config) = load(MAIN, &files);
        assert!(config.unwrap_err().to_string().contains("too many files"));
    }

    #[test]
    fn of_very_many_faults_the_first_are_shown_and_the_rest_is_counted() {
        let faulty: String = (0..40).map(|n| format!("odd{n} = 1\n")).collect();
        let (_home, config) = load(MAIN, &[("a.toml", &faulty), ("b.toml", &faulty)]);
        let faults = config.unwrap_err();
        assert_eq!((faults.iter().count(), faults.more()), (50, 30));
    }
}
