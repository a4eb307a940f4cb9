//! Reading, writing and waiting against a server that answers as each test tells it.

mod polling;
mod reading;
mod writing;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use url::Url;

use super::connection::{Connection, ConnectionSettings};
use super::list;
use super::profile::Learned;
use super::site::Site;
use super::testing::Kept;
use super::version::Stamp;
use crate::calendar::{Found, Known, ReadError, Scope, SyncToken, Written};
use crate::clock::{Clock, Random};
use crate::http::testing::server::{Received, Server, answer};
use crate::http::testing::{Numbers, Timeless};
use crate::http::{ClientOptions, Credentials, WindowStore, Windows};
use crate::model::{ResourceId, Version};

/// A whole calendar object.
fn event(name: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:{name}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

fn id(name: &str) -> ResourceId {
    ResourceId::new(name)
}

fn ids(names: &[&str]) -> Scope {
    Scope::Only(names.iter().map(|name| id(name)).collect())
}

fn news(token: &str) -> Scope {
    Scope::News(Some(SyncToken::new(token)))
}

/// What is known of resources, by their ETags.
fn known(resources: &[(&str, &str)]) -> Known {
    let version = |name: &str, tag: &str| {
        Stamp::read(
            event(name).as_bytes(),
            Some(tag).filter(|tag| !tag.is_empty()),
            None,
        )
        .version()
    };
    resources
        .iter()
        .map(|(name, tag)| (id(name), version(name, tag)))
        .collect()
}

/// A GET's answer.
fn got(tag: &str, data: &str) -> Vec<u8> {
    let tag = format!("etag: {tag}");
    answer(
        200,
        &["content-type: text/calendar; charset=utf-8", &tag],
        data,
    )
}

/// A DAV:error.
fn error(status: u16, condition: &str) -> Vec<u8> {
    let body = format!("<d:error xmlns:d=\"DAV:\"><d:{condition}/></d:error>");
    answer(status, &[], &body)
}

fn status(status: u16) -> Vec<u8> {
    answer(status, &[], "")
}

struct Nowhere;

impl WindowStore for Nowhere {
    fn load(&self) -> Vec<(String, chrono::DateTime<chrono::Utc>)> {
        Vec::new()
    }

    fn store(&self, _scope: &str, _until: chrono::DateTime<chrono::Utc>) {}
}

/// One line that says what a request asks.
fn asked(request: &Received) -> String {
    let target = request
        .target
        .strip_prefix("/cal/")
        .unwrap_or(&request.target);
    let depth = request.header("depth");
    let line = match request.method.as_str() {
        "REPORT" if request.body.contains("sync-collection") => {
            let token = request.body.split("sync-token>").nth(1).unwrap();
            format!("sync {}", token.trim_end_matches("</d:"))
        }
        "REPORT" => {
            let kind = if request.body.contains("calendar-data") {
                "multiget"
            } else {
                "etags"
            };
            format!("{kind} {}", request.body.matches("<d:href>").count())
        }
        "PROPFIND" => format!("PROPFIND {depth} {target}"),
        "PUT" => {
            let condition = match request.header("if-match") {
                "" => format!("tag {}", request.header("if-schedule-tag-match")),
                condition => condition.to_owned(),
            };
            format!("PUT {target} if {condition}")
        }
        other => format!("{other} {target}"),
    };
    line.trim_end().to_owned()
}

/// A server with one calendar at `/cal/`.
struct World {
    server: Server,
    clock: Arc<Timeless>,
    notes: Arc<Kept>,
    site: Arc<Site>,
}

impl World {
    /// Each request is answered as its line says; of several answers to one line, one after the other,
    /// the last for ever. What is not foreseen is answered with 599.
    fn new(script: &[(&str, Vec<u8>)]) -> Self {
        Self::with(script, |_| {})
    }

    /// The same, with the collection changed.
    fn with(script: &[(&str, Vec<u8>)], change: impl FnOnce(&mut Site)) -> Self {
        let mut answers: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
        for (line, answer) in script.iter().rev() {
            answers
                .entry((*line).to_owned())
                .or_default()
                .push(answer.clone());
        }
        Self::answering(
            move |request| match answers.get_mut(&asked(request)) {
                Some(answers) if answers.len() > 1 => answers.pop().unwrap(),
                Some(answers) => answers[0].clone(),
                None => status(599),
            },
            change,
        )
    }

    fn answering(
        handler: impl FnMut(&Received) -> Vec<u8> + Send + 'static,
        change: impl FnOnce(&mut Site),
    ) -> Self {
        let server = Server::start(handler);
        let (clock, notes) = (Arc::new(Timeless::default()), Arc::new(Kept::default()));
        let connection = Arc::new(connect(&server.url, &clock));
        let mut site = Site::new(
            connection,
            Arc::new(Learned::new("alice", notes.clone())),
            clock.clone(),
            "alice at host".to_owned(),
            &server.url.join("/cal/").unwrap(),
        );
        change(&mut site);
        Self {
            server,
            clock,
            notes,
            site: Arc::new(site),
        }
    }

    async fn read(&self, scope: &Scope, known: Known) -> Result<Vec<Found>, ReadError> {
        let noted = Box::new(|_| {});
        let finding = list::read(Arc::clone(&self.site), scope, known, noted).await?;
        Ok(finding.collect().await)
    }

    /// What a read finds, a line each.
    async fn shown(&self, scope: &Scope, known: Known) -> Vec<String> {
        let found = self.read(scope, known).await.unwrap();
        found.iter().map(show).collect()
    }

    /// Which requests came since the last call.
    fn asked(&self) -> Vec<String> {
        let asked = self.server.received().iter().map(asked).collect();
        self.server.count();
        asked
    }

    async fn write(&self, name: &str, tag: Option<&str>, bytes: &str) -> (Written, Vec<String>) {
        let read = Stamp::read(event(name).as_bytes(), tag, None).version();
        self.write_over(name, &read, bytes).await
    }

    async fn write_over(
        &self,
        name: &str,
        version: &Version,
        bytes: &str,
    ) -> (Written, Vec<String>) {
        let written = super::write::write(&self.site, &id(name), version, bytes.as_bytes()).await;
        (written, self.asked())
    }
}

fn connect(url: &Url, clock: &Arc<Timeless>) -> Connection {
    let settings = ConnectionSettings {
        name: "alice".to_owned(),
        url: url.clone(),
        credentials: Credentials::None,
        client: ClientOptions::default(),
        allow_http: false,
        tokens: None,
    };
    let clock: Arc<dyn Clock> = clock.clone();
    let random: Arc<dyn Random> = Arc::new(Numbers::always(0));
    let windows = Arc::new(Windows::new(Arc::clone(&clock), Arc::new(Nowhere)));
    Connection::new(settings, windows, clock, random).unwrap()
}

fn show(found: &Found) -> String {
    match found {
        Found::Changed(resource) => format!("changed {}", resource.id),
        Found::Vanished(id) => format!("vanished {id}"),
        Found::Confirmed(id) => format!("confirmed {id}"),
        Found::Unreadable(id, _) => format!("unreadable {id}"),
        Found::Complete { unchanged, token } => format!(
            "complete {unchanged} {}",
            token.as_ref().map_or("-", SyncToken::as_str)
        ),
    }
}

fn is_expired(result: &Result<Vec<Found>, ReadError>) -> bool {
    matches!(result, Err(ReadError::Expired))
}
