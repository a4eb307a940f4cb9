//! Requests in, answers out: logged, counted, struck by faults.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::DateTime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::faults::{self, Act, Fault, Scripted};
use super::log::{Log, Moment, Phase};
use super::place::{self, Place, ROOT};
use super::quirks::{Listing, WellKnown};
use super::store::World;
use super::wire::{Answer, Asked, Connection, How, NoRequest, Payload, Sent};
use super::xml::{self, CAL, DAV};
use super::{Editor, propfind, put, report};

/// Answers to requests with longer bodies are not kept.
const MOST_REMEMBERED: (usize, usize) = (4096, 256);

/// What the test does at each request.
pub(super) type Hook = Box<dyn FnMut(&Editor, &Moment) + Send>;

/// Who asked, where, how deep, for what.
type Question = (String, String, String, Vec<u8>);

/// What a running fake holds.
pub(super) struct Shared {
    pub(super) port: u16,
    pub(super) world: Mutex<World>,
    pub(super) faults: Mutex<Vec<Fault>>,
    pub(super) log: Mutex<Log>,
    pub(super) hook: Mutex<Option<Hook>>,
    /// Ready answers, and when the world was so.
    ready: Mutex<HashMap<Question, (u64, Answer)>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(port: u16, world: World) -> Self {
        Self {
            port,
            world: Mutex::new(world),
            faults: Mutex::default(),
            log: Mutex::default(),
            hook: Mutex::default(),
            ready: Mutex::default(),
        }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

/// Serves until `stop` is cancelled.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else { continue };
        let (shared, stop) = (shared.clone(), stop.clone());
        lock(&shared.log).traffic.connections += 1;
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = converse(&shared, Connection::new(stream)) => {}
            }
        });
    }
}

async fn converse(shared: &Arc<Shared>, mut connection: Connection) {
    loop {
        let asked = match connection.read().await {
            Ok(asked) => asked,
            Err(NoRequest::Closed) => break,
            Err(NoRequest::Bad(status)) => {
                let date = http_date(shared.world().now);
                let answer = Answer::new(status).with("Connection", "close");
                let how = How {
                    head_only: false,
                    gzip: false,
                    sent: &Sent::Whole,
                    date: &date,
                };
                connection.write(&answer, how, |_| {}).await;
                break;
            }
        };
        let ticket = lock(&shared.log).arrive(&asked);
        let leave = Leave(shared, ticket);
        let (mut answer, sent) = answer(shared, &asked, ticket).await;
        let (gzip, close, date) = {
            let world = shared.world();
            answer
                .headers
                .insert(0, ("Server".into(), world.quirks.server.into()));
            if world.quirks.offers_h2c {
                answer = answer.with("Upgrade", "h2c").with("Connection", "Upgrade");
            }
            if world.quirks.close {
                answer = answer.with("Connection", "close");
            }
            let gzip = world.quirks.gzip && asked.takes_gzip();
            let close = world.quirks.close || asked.header("connection") == Some("close");
            (gzip, close, http_date(world.now))
        };
        lock(&shared.log).answered(ticket, answer.status);
        drop(leave); // before the client can know
        let how = How {
            head_only: asked.method == "HEAD",
            gzip,
            sent: &sent,
            date: &date,
        };
        let count = |bytes| lock(&shared.log).sent(ticket, bytes);
        let goes_on = connection.write(&answer, how, count).await;
        if !goes_on || close {
            break;
        }
    }
    connection.shutdown().await;
}

/// Takes a request out of the count of those in flight, whatever becomes of its connection.
struct Leave<'a>(&'a Shared, usize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        lock(&self.0.log).leave(self.1);
    }
}

fn call_hook(shared: &Arc<Shared>, asked: &Asked, serial: usize, phase: Phase) {
    let mut hook = lock(&shared.hook);
    let Some(hook) = hook.as_mut() else { return };
    let moment = Moment {
        serial,
        phase,
        method: asked.method.clone(),
        path: asked.path().to_owned(),
    };
    hook(&Editor(shared.clone()), &moment);
}

async fn answer(shared: &Arc<Shared>, asked: &Asked, serial: usize) -> (Answer, Sent) {
    call_hook(shared, asked, serial, Phase::Before);
    let act = faults::strike(&mut lock(&shared.faults), &asked.method, asked.path());
    let scripted = |scripted: &Scripted| {
        let port = shared.port.to_string();
        let mut answer = Answer::new(scripted.status);
        for (name, value) in &scripted.headers {
            answer = answer.with(name, value.replace("{port}", &port));
        }
        answer.body = Payload::new(scripted.body.clone());
        answer
    };
    match &act {
        Some(Act::Answer(given)) => return (scripted(given), Sent::Whole),
        Some(Act::LoseBefore) => return (Answer::new(500), Sent::Not),
        Some(Act::Wait(gate)) => gate.pass().await,
        _ => {}
    }
    let mut answer = carry_out(shared, asked, serial).await;
    call_hook(shared, asked, serial, Phase::After);
    let sent = match act {
        Some(Act::AnswerAfter(given)) => return (scripted(&given), Sent::Whole),
        Some(Act::LoseAfter) => Sent::Not,
        Some(Act::CutAfter(count)) => Sent::CutAfter(count),
        Some(Act::SlowBody(gate)) => Sent::Halted(gate),
        Some(Act::Endless) => Sent::Endless,
        Some(Act::WaitAfter(gate)) => {
            gate.pass().await;
            Sent::Whole
        }
        Some(Act::Header(name, value)) => {
            answer.set(name, value.as_deref());
            Sent::Whole
        }
        Some(Act::Bend(bend)) => {
            let body = String::from_utf8_lossy(&answer.body.plain).into_owned();
            answer.body = Payload::new(bend(body).into_bytes());
            Sent::Whole
        }
        _ => Sent::Whole,
    };
    (answer, sent)
}

async fn carry_out(shared: &Arc<Shared>, asked: &Asked, serial: usize) -> Answer {
    let (spot, name) = {
        let mut world = shared.world();
        let place = match route(&mut world, asked, shared.port) {
            Ok((user, place)) => match asked.method.as_str() {
                "PUT" => place,
                _ => return ready(shared, &mut world, asked, &user, &place),
            },
            Err(answer) => return answer,
        };
        let Place::Member(spot, name) = place else {
            return Answer::new(match place {
                Place::Nowhere => 409,
                _ => 405,
            });
        };
        if let Some(refusal) = put::check_put(&world, asked, &spot, &name) {
            return refusal;
        }
        if !world.quirks.racy_put {
            return put::put(&mut world, asked, &spot, &name);
        }
        (spot, name)
    };
    // A server that checks first and stores later: others get their turn in between.
    call_hook(shared, asked, serial, Phase::Between);
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    put::put(&mut shared.world(), asked, &spot, &name)
}

/// Who asks for what, or the answer that settles it.
fn route(world: &mut World, asked: &Asked, port: u16) -> Result<(String, Place), Answer> {
    if asked.path() == "/.well-known/caldav" {
        if world.quirks.auth_at_well_known {
            super::auth::authorize(world, asked)?;
        }
        return Err(well_known(world, port));
    }
    if (asked.method.as_str(), asked.path()) == ("POST", "/token") {
        return Err(super::auth::token(world, asked));
    }
    let user = super::auth::authorize(world, asked)?;
    let place = place::place(world, &user, asked.path());
    if let ("PROPFIND" | "REPORT", false) = (asked.method.as_str(), asked.body.is_empty()) {
        let given = asked.header("content-type").unwrap_or_default();
        let kind = given.split(';').next().unwrap_or_default().trim();
        if !["application/xml", "text/xml"].contains(&kind.to_ascii_lowercase().as_str()) {
            return Err(Answer::new(415));
        }
    }
    let gone = world.quirks.listing == Listing::Gone;
    if gone && matches!(place, Place::Member(..)) {
        return Err(Answer::new(404));
    }
    Ok((user, place))
}

fn well_known(world: &World, port: u16) -> Answer {
    match &world.quirks.well_known {
        WellKnown::Redirect { status, absolute } => {
            let host = match absolute {
                true => format!("http://127.0.0.1:{port}"),
                false => String::new(),
            };
            Answer::new(*status).with("Location", format!("{host}{ROOT}"))
        }
        WellKnown::To(location) => {
            Answer::new(301).with("Location", location.replace("{port}", &port.to_string()))
        }
        WellKnown::Absent => Answer::new(404),
    }
}

/// The answer to anything but a PUT; reading answers are kept until something changes.
fn ready(shared: &Shared, world: &mut World, asked: &Asked, user: &str, place: &Place) -> Answer {
    let method = asked.method.as_str();
    let reading = matches!(method, "PROPFIND" | "REPORT");
    let keep = reading && asked.body.len() <= MOST_REMEMBERED.0 && !world.quirks.restless_etags;
    let key = keep.then(|| {
        let depth = asked.header("depth").unwrap_or_default();
        let what = format!("{method} {depth}");
        (
            user.to_owned(),
            asked.target.clone(),
            what,
            asked.body.clone(),
        )
    });
    if let Some((serial, answer)) = key
        .as_ref()
        .and_then(|key| lock(&shared.ready).get(key).cloned())
        && serial == world.serial
    {
        return answer;
    }
    let port = shared.port;
    let answer = match method {
        "OPTIONS" => Answer::new(200)
            .with("DAV", dav(world))
            .with("Allow", "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, REPORT"),
        "PROPFIND" => propfind::propfind(world, user, port, asked, place),
        "REPORT" => report::report(world, user, port, asked, place),
        "GET" | "HEAD" => put::get(world, asked, place),
        "DELETE" => put::delete(world, asked, place),
        _ => Answer::new(405),
    };
    if let Some(key) = key {
        let mut ready = lock(&shared.ready);
        if ready.len() >= MOST_REMEMBERED.1 {
            ready.clear();
        }
        ready.insert(key, (world.serial, answer.clone()));
    }
    answer
}

/// The `DAV` header.
pub(super) fn dav(world: &World) -> String {
    let schedules = match world.quirks.scheduling {
        Some(_) => ", calendar-auto-schedule",
        None => "",
    };
    format!("1, 2, 3, access-control, calendar-access{schedules}")
}

/// What DAV:error says.
pub(super) fn condition(status: u16, namespace: &str, name: &str) -> Answer {
    if name.is_empty() {
        return Answer::new(status);
    }
    let namespace = match namespace {
        DAV => DAV,
        _ => CAL,
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:error xmlns:d=\"DAV:\"><x:{name} xmlns:x=\"{}\"/></d:error>",
        xml::escaped(namespace)
    );
    Answer::new(status).body("application/xml; charset=utf-8", body)
}

/// A time as HTTP writes it.
pub(super) fn http_date(seconds: i64) -> String {
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
