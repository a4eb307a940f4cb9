//! A server that answers from a script.

use std::sync::Arc;

use url::Url;

use crate::calendar::caldav::connection::{Connection, ConnectionSettings};
use crate::http::testing::server as testing;
use crate::http::testing::{Numbers, Timeless};
use crate::http::{ClientOptions, Credentials, WindowStore, Windows};

/// What stands for the server's own address in answers.
const ORIGIN: &str = "{origin}";

/// Request (`PROPFIND /path 0`, the last being its depth) → answer.
#[derive(Default)]
pub(super) struct Script(Vec<(String, Answer)>);

struct Answer {
    status: u16,
    headers: Vec<String>,
    body: String,
}

impl Script {
    /// Any answer.
    pub(super) fn on(mut self, request: &str, status: u16, headers: &[&str], body: &str) -> Self {
        let answer = Answer {
            status,
            headers: headers.iter().map(|header| (*header).to_owned()).collect(),
            body: body.to_owned(),
        };
        self.0.push((request.to_owned(), answer));
        self
    }

    /// A redirect.
    pub(super) fn moved(self, request: &str, status: u16, to: &str) -> Self {
        self.on(request, status, &[&format!("location: {to}")], "")
    }

    /// The well-known place redirects to `to`.
    pub(super) fn well_known(self, status: u16, to: &str) -> Self {
        self.moved("PROPFIND /.well-known/caldav 0", status, to)
    }

    /// A multistatus: each href with its properties.
    pub(super) fn found(self, request: &str, all: &[(&str, &str)]) -> Self {
        let responses: String = all
            .iter()
            .map(|(href, props)| {
                format!(
                    "<response><href>{href}</href><propstat><prop>{props}</prop>\
                     <status>HTTP/1.1 200 OK</status></propstat></response>"
                )
            })
            .collect();
        self.multistatus(request, &responses)
    }

    /// A multistatus with these responses.
    pub(super) fn multistatus(self, request: &str, responses: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\"?><multistatus xmlns=\"DAV:\" \
             xmlns:c=\"urn:ietf:params:xml:ns:caldav\" xmlns:s=\"http://calendarserver.org/ns/\" \
             xmlns:a=\"http://apple.com/ns/ical/\" xmlns:n=\"http://nextcloud.com/ns\">{responses}\
             </multistatus>"
        );
        self.on(request, 207, &[], &body)
    }

    /// Starts to answer; what is not in the script is 404.
    pub(super) fn start(self) -> Server {
        Server(testing::Server::start(move |received| {
            let request = line(received);
            let found = self.0.iter().find(|(known, _)| *known == request);
            let Some((_, answer)) = found else {
                return testing::answer(404, &[], "");
            };
            let origin = format!("http://{}", received.header("host"));
            let with_origin = |text: &str| text.replace(ORIGIN, &origin);
            let headers: Vec<String> = answer.headers.iter().map(|h| with_origin(h)).collect();
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            testing::answer(answer.status, &headers, &with_origin(&answer.body))
        }))
    }
}

/// A request as the script knows it.
fn line(received: &testing::Received) -> String {
    let line = format!("{} {}", received.method, received.target);
    match received.header("depth") {
        "" => line,
        depth => format!("{line} {depth}"),
    }
}

pub(super) struct Server(testing::Server);

impl Server {
    pub(super) fn url(&self, path: &str) -> Url {
        self.0.url.join(path).unwrap()
    }

    /// The requests, in their order.
    pub(super) fn seen(&self) -> Vec<String> {
        self.0.received().iter().map(line).collect()
    }

    /// An account at `path`.
    pub(super) fn account(&self, path: &str) -> Connection {
        let clock = Arc::new(Timeless::default());
        let windows = Arc::new(Windows::new(clock.clone(), Arc::new(Nowhere)));
        let settings = ConnectionSettings {
            name: "alice".to_owned(),
            url: self.url(path),
            credentials: Credentials::None,
            client: ClientOptions::default(),
            allow_http: false,
            tokens: None,
        };
        Connection::new(settings, windows, clock, Arc::new(Numbers::always(0))).unwrap()
    }
}

struct Nowhere;

impl WindowStore for Nowhere {
    fn load(&self) -> Vec<(String, chrono::DateTime<chrono::Utc>)> {
        Vec::new()
    }

    fn store(&self, _scope: &str, _until: chrono::DateTime<chrono::Utc>) {}
}
