//! A server that answers from a script.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::calendar::caldav::connection::{Connection, ConnectionSettings};
use crate::http::testing::{Numbers, Timeless};
use crate::http::{ClientOptions, Credentials, WindowStore, Windows};

/// What stands for the server's own address in answers.
const ORIGIN: &str = "{origin}";

/// Request (`PROPFIND /path 0`, the last being its depth) → answer.
#[derive(Default)]
pub(super) struct Script(Vec<(String, Answer)>);

struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Script {
    /// Any answer.
    pub(super) fn on(mut self, request: &str, status: u16, headers: &str, body: &str) -> Self {
        let answer = Answer {
            status,
            headers: headers.to_owned(),
            body: body.to_owned(),
        };
        self.0.push((request.to_owned(), answer));
        self
    }

    /// A redirect.
    pub(super) fn moved(self, request: &str, status: u16, to: &str) -> Self {
        self.on(request, status, &format!("location: {to}\r\n"), "")
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
        self.on(request, 207, "", &body)
    }

    /// Starts to answer, on a port of this machine; what is not in the script is 404.
    pub(super) async fn start(self) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log, own) = (Arc::new(self), seen.clone(), origin.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), log.clone(), own.clone()));
            }
        });
        Server { origin, seen }
    }
}

async fn serve(
    stream: TcpStream,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<String>>>,
    origin: String,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.ok()? == 0 {
                return None;
            }
        }
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_owned())
        };
        let length = header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let mut line = head.split(' ');
        let mut request = format!("{} {}", line.next()?, line.next()?);
        if let Some(depth) = header("depth") {
            request = format!("{request} {depth}");
        }
        let found = script.0.iter().find(|(known, _)| *known == request);
        let answer = match found {
            Some((_, answer)) => format!(
                "HTTP/1.1 {} X\r\n{}content-length: {}\r\n\r\n{}",
                answer.status,
                answer.headers.replace(ORIGIN, &origin),
                answer.body.replace(ORIGIN, &origin).len(),
                answer.body.replace(ORIGIN, &origin),
            ),
            None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
        };
        seen.lock().unwrap().push(request);
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

pub(super) struct Server {
    origin: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.origin)).unwrap()
    }

    /// The requests, in their order.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
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
