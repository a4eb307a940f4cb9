//! The calendars of a mailbox. Pure.

use data_encoding::BASE64URL;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::online::allowed;
use super::query::{self, Options};
use super::{malformed, not_found};
use crate::simulator::graph::Desk;
use crate::simulator::reply::{Refusal, Reply};
use crate::simulator::route::Folder;

/// What ids of calendars begin with.
const PREFIX: &str = "AQMk";
/// What `$select` can name.
const PROPERTIES: &[&str] = &[
    "id",
    "name",
    "color",
    "hexColor",
    "changeKey",
    "canShare",
    "canViewPrivateItems",
    "canEdit",
    "isDefaultCalendar",
    "isRemovable",
    "isTallyingResponses",
    "allowedOnlineMeetingProviders",
    "defaultOnlineMeetingProvider",
    "owner",
];

impl Desk<'_> {
    /// The names of the mailbox's calendars, the default one first.
    fn names(&self) -> &[String] {
        let mailbox = self.organizer.mailbox.as_ref();
        mailbox.map_or(&[], |mailbox| mailbox.calendars.as_slice())
    }

    /// The name of the calendar that a path names.
    pub(super) fn folder(&self, folder: &Folder) -> Result<&str, Refusal> {
        let name = match folder {
            Folder::Any | Folder::Default => self.names().first(),
            Folder::Named(id) if !id.starts_with(PREFIX) => return Err(malformed()),
            Folder::Named(id) => self
                .names()
                .iter()
                .find(|name| self.calendar_id(name) == *id),
        };
        name.map(String::as_str).ok_or_else(not_found)
    }

    pub(super) fn calendar(&self, id: Option<&str>, query: &str) -> Result<Reply, Refusal> {
        let options = Options::parse(query, &["$select"])?;
        let folder = id.map_or(Folder::Default, |id| Folder::Named(id.to_owned()));
        let mut shown = self.shown_calendar(self.folder(&folder)?);
        options.select(&mut shown, PROPERTIES, "calendar")?;
        let what = match id {
            None => "calendar/$entity",
            Some(_) => "calendars/$entity",
        };
        Ok(Reply::json(200, self.in_context(what, shown)))
    }

    pub(super) fn calendars(&self, query: &str) -> Result<Reply, Refusal> {
        let options = Options::parse(query, &["$select", "$filter", "$top"])?;
        let wanted = options
            .get("$filter")
            .map(query::calendar_name)
            .transpose()?;
        let top = options.top()?.unwrap_or(usize::MAX);
        let mut value = Vec::new();
        let fits = |name: &&String| wanted.as_ref().is_none_or(|wanted| *name == wanted);
        for name in self.names().iter().filter(fits).take(top) {
            let mut shown = self.shown_calendar(name);
            options.select(&mut shown, PROPERTIES, "calendar")?;
            value.push(Value::Object(shown));
        }
        let mut answer = Map::new();
        answer.insert("value".to_owned(), value.into());
        Ok(Reply::json(200, self.in_context("calendars", answer)))
    }

    fn calendar_id(&self, name: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(self.settings.seed.to_be_bytes());
        digest.update(&self.organizer.id);
        digest.update(name);
        format!("{PREFIX}{}", BASE64URL.encode(&digest.finalize()))
    }

    fn shown_calendar(&self, name: &str) -> Map<String, Value> {
        let default = self.names().first().is_some_and(|first| first == name);
        let upn = &self.organizer.upn;
        let providers = allowed(self.organizer);
        let wanted = self
            .organizer
            .mailbox
            .as_ref()
            .map(|mailbox| mailbox.default_provider);
        let provider = wanted.filter(|wanted| providers.contains(wanted));
        let names: Vec<_> = providers.iter().map(|provider| provider.name()).collect();
        let shown = json!({
            "id": self.calendar_id(name),
            "name": name,
            "color": "auto",
            "hexColor": "",
            "isDefaultCalendar": default,
            "changeKey": "c2ltdWxhdG9y",
            "canShare": true,
            "canViewPrivateItems": true,
            "canEdit": true,
            "allowedOnlineMeetingProviders": names,
            "defaultOnlineMeetingProvider": provider.map_or("unknown", |provider| provider.name()),
            "isTallyingResponses": default,
            "isRemovable": !default,
            "owner": {"name": upn.split('@').next(), "address": upn},
        });
        match shown {
            Value::Object(shown) => shown,
            _ => Map::new(),
        }
    }
}
