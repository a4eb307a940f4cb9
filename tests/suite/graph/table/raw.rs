//! A server that answers what it is told to, where the simulator is too well-behaved: it keeps what it
//! receives, and which connection each request came on.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use super::*;

pub(super) struct Raw {
    url: Url,
    received: Arc<Mutex<Vec<Received>>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) connection: usize,
    /// Method and path.
    pub(super) line: String,
    /// In lower case.
    pub(super) headers: String,
    pub(super) body: Value,
}

/// What answers the nth request.
type Handler = Arc<dyn Fn(usize) -> (u16, Value) + Send + Sync>;

impl Raw {
    pub(super) fn start(handler: impl Fn(usize) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (kept, handler): (_, Handler) = (Arc::clone(&received), Arc::new(handler));
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (kept, handler) = (Arc::clone(&kept), Arc::clone(&handler));
                std::thread::spawn(move || serve(stream.unwrap(), connection, &kept, &handler));
            }
        });
        Self { url, received }
    }

    /// A client of it. It gives the tokens, too, which are no requests that count.
    pub(super) fn graph(&self, world: &World) -> GraphMeetings {
        let settings = GraphSettings {
            graph_url: self.url.clone(),
            authority_url: self.url.clone(),
            ..world.settings()
        };
        let (clock, random) = (world.clock.clone(), world.random.clone());
        GraphMeetings::new(settings, client(), world.windows(), clock, random)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// Answers the requests of one connection until it closes.
fn serve(
    stream: TcpStream,
    connection: usize,
    kept: &Mutex<Vec<Received>>,
    handler: &Handler,
) -> Option<()> {
    let mut answers = stream.try_clone().ok()?;
    let mut requests = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut headers = String::new();
        while !headers.ends_with("\r\n\r\n") {
            requests.read_line(&mut headers).ok()?;
        }
        let headers = headers.to_ascii_lowercase();
        let length = headers
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        requests.read_exact(&mut body).ok()?;
        if line.contains("/oauth2/") {
            let token = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "t"});
            write(&mut answers, 200, &token)?;
            continue;
        }
        let n = {
            let mut kept = kept.lock().unwrap();
            kept.push(Received {
                connection,
                line: line.trim().trim_end_matches(" HTTP/1.1").to_owned(),
                headers,
                body: serde_json::from_slice(&body).unwrap_or_default(),
            });
            kept.len()
        };
        let (status, body) = handler(n);
        write(&mut answers, status, &body)?;
    }
}

/// An answer after which the connection stays open; of nothing, one without a body.
fn write(to: &mut TcpStream, status: u16, body: &Value) -> Option<()> {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let length = match status {
        204 => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    let head = format!("HTTP/1.1 {status} -\r\ncontent-type: application/json\r\n{length}\r\n");
    to.write_all(format!("{head}{body}").as_bytes()).ok()
}

/// The meeting that the event `key` wants, as an answer has it.
pub(super) fn whole(key: &str) -> Value {
    json!({
        "id": format!("MSp{key}=="),
        "joinWebUrl": format!("https://teams.example/l/meetup-join/19%3ameeting_{key}/0"),
        "startDateTime": "2026-11-10T09:00:00Z",
        "endDateTime": "2026-11-10T10:00:00Z",
        "subject": "Planning",
    })
}
