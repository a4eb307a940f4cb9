//! Names of calendars, and which of them are wanted.

use std::collections::HashMap;

use url::Url;

use super::{Collection, Discovery, place};
use crate::calendar::{Again, ReadError};
use crate::model::{CalendarName, Escaped};

/// The longest name of a calendar within its account, in characters.
const LONGEST_NAME: usize = 60;
/// The most names that a message lists.
const LISTED: usize = 20;

impl Discovery {
    /// The calendars that `wanted` names, by display name, label, path, URL or the path's last
    /// segment; where nothing is wanted, those that the account owns and that hold events. A
    /// configured URL that is itself a calendar is the one that counts.
    ///
    /// # Errors
    /// When a name is unknown or stands for several, or no calendar remains: names those that exist.
    pub fn chosen(&self, wanted: &[String]) -> Result<Vec<&Collection>, ReadError> {
        let mut chosen: Vec<&Collection> = Vec::new();
        if wanted.is_empty() {
            let all = self.collections.iter();
            chosen.extend(all.filter(|c| c.label.is_none() || (c.owned && c.holds_events)));
            if chosen.is_empty() {
                return Err(self.refuse(format!(
                    "no calendar there is owned by this account and holds events; name those that \
                     are wanted in `collections`. {}",
                    self.offer()
                )));
            }
        }
        for name in wanted {
            let collection = self.named(name)?;
            if !chosen.iter().any(|c| c.url == collection.url) {
                chosen.push(collection);
            }
        }
        Ok(chosen)
    }

    fn named(&self, name: &str) -> Result<&Collection, ReadError> {
        let all = &self.collections;
        let by_label = |c: &&Collection| c.label.as_deref() == Some(name);
        if let Some(collection) = all.iter().find(by_label) {
            return Ok(collection);
        }
        let path = match Url::parse(name) {
            Ok(url) => place(url.path()),
            Err(_) => place(name),
        };
        let by_path = |c: &&Collection| name.contains('/') && place(c.url.path()) == path;
        let trimmed = name.trim();
        let by_name = |c: &&Collection| c.display_name.as_deref() == Some(trimmed);
        let by_segment = |c: &&Collection| c.segment() == name;
        let tests: [&dyn Fn(&&Collection) -> bool; 3] = [&by_path, &by_name, &by_segment];
        for test in tests {
            let mut found = all.iter().filter(test);
            match (found.next(), found.next()) {
                (Some(collection), None) => return Ok(collection),
                (Some(_), Some(_)) => {
                    return Err(self.refuse(format!(
                        "several calendars there are named \"{}\"; use one of these names in \
                         `collections`. {}",
                        Escaped(name),
                        self.offer()
                    )));
                }
                (None, _) => {}
            }
        }
        Err(self.refuse(format!(
            "no calendar there is named \"{}\"; correct `collections`. {}",
            Escaped(name),
            self.offer()
        )))
    }

    /// What there is, for messages.
    fn offer(&self) -> String {
        let mut names: Vec<String> = self
            .collections
            .iter()
            .take(LISTED)
            .map(|c| {
                let name = c.label.clone().unwrap_or_else(|| label(c));
                format!("\"{}\"", Escaped(&name))
            })
            .collect();
        if self.collections.len() > LISTED {
            names.push("and others".to_owned());
        }
        format!("There are: {}", names.join(", "))
    }

    fn refuse(&self, hint: String) -> ReadError {
        ReadError::Server {
            what: format!("calendars at {}", self.host),
            hint,
            again: Again::Slowly,
        }
    }
}

impl Collection {
    /// Its name as a calendar of `account`: `ACCOUNT/Label`, or just `ACCOUNT` where the configured
    /// URL is the calendar itself.
    pub fn name_in(&self, account: &str) -> CalendarName {
        match &self.label {
            Some(label) => CalendarName::new(format!("{account}/{label}")),
            None => CalendarName::new(account),
        }
    }
}

/// Gives each collection a label that no other has: its display name; where several share one, the
/// path's last segment too; and where that is not enough, the URL.
pub(super) fn label_all(collections: &mut [Collection]) {
    let mut labels: Vec<String> = collections.iter().map(label).collect();
    let segment = |c: &Collection| plain(&c.segment());
    let url = |c: &Collection| c.url.as_str().to_owned();
    let ways: [&dyn Fn(&Collection) -> String; 2] = [&segment, &url];
    for way in ways {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for label in &labels {
            *counts.entry(label.clone()).or_default() += 1;
        }
        for (text, collection) in labels.iter_mut().zip(collections.iter()) {
            if counts.get(text).is_some_and(|count| *count > 1) {
                *text = format!("{} ({})", label(collection), way(collection));
            }
        }
    }
    for (collection, label) in collections.iter_mut().zip(labels) {
        collection.label = Some(label);
    }
}

/// Its display name, else the last segment of its path; short.
fn label(collection: &Collection) -> String {
    let name = match &collection.display_name {
        Some(name) => plain(name),
        None => plain(&collection.segment()),
    };
    match name.is_empty() {
        true => "calendar".to_owned(),
        false => name.chars().take(LONGEST_NAME).collect(),
    }
}

/// A text on one line, without what cannot be seen.
fn plain(text: &str) -> String {
    let mut buffer = [0; 4];
    let visible = |c: char| {
        let one: &str = c.encode_utf8(&mut buffer);
        if Escaped(one).to_string() == one {
            c
        } else {
            ' '
        }
    };
    let text: String = text.chars().map(visible).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
