//! The HTTP side: each request is counted, delayed, struck by faults, carried out, answered.

pub(super) mod connection;
mod control;
mod send;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::entra::{self, Counter, EntraRefusal, entra_error};
use super::faults::Effect;
use super::graph::batch::{self, Part, Responses};
use super::graph::{self, Call};
use super::manners::{Spelling, Verdict};
use super::reply::{Content, Marks, Refusal, Reply, graph_error};
use super::route::{Endpoint, Target, route};
use super::settings::Settings;
use super::snapshot::Snapshot;
use super::state::{Arrival, World};
use super::throttle::Scope;
use connection::{Connection, Loopback};
use send::{bent, scripted, send};

/// The largest request body, in octets; Graph's own limit is not published.
const LARGEST_BODY: usize = 1024 * 1024;
/// How much of a body beyond that is still read, so that the client gets to see the answer.
const DRAINED: usize = 16 * LARGEST_BODY;

/// What the requests of one simulator share.
pub(super) struct Hub {
    /// Replaced as a whole when something is changed.
    pub(super) settings: Mutex<Arc<Settings>>,
    /// `http://ADDRESS:PORT`: both the Graph root and the authority.
    pub(super) base: String,
    /// The forms of the Graph root that a token's scope may name.
    pub(super) roots: Vec<String>,
    pub(super) world: Mutex<World>,
}

impl Hub {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        // A panic in a handler leaves no half-done change that another request could trip over.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        let settings = self.settings.lock();
        Arc::clone(&settings.unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let settings = self.settings();
        let now = settings.now();
        self.world().snapshot(now, settings.manners.expiry)
    }

    /// A person's answer to a device code: their object id, or `None` to decline. Whether it fits.
    pub(super) fn settle(&self, user_code: &str, user: Option<&str>) -> bool {
        let settings = self.settings();
        let known = user.map(|id| {
            let is_user = |user: &&super::settings::Organizer| user.id.eq_ignore_ascii_case(id);
            settings.organizers.iter().find(is_user)
        });
        let user = match known {
            Some(None) => return false,
            Some(Some(user)) => Some((user.id.as_str(), user.tenant.as_str())),
            None => None,
        };
        let now = settings.clock.elapsed();
        self.world().sessions.settle(user_code, user, now)
    }
}

/// Serves until the task is aborted. Cancelling `stop` closes every connection.
pub(super) async fn run(hub: Arc<Hub>, listener: TcpListener, stop: CancellationToken) {
    let clock = Arc::clone(&hub.settings().clock);
    let listener = Loopback {
        listener,
        stop,
        clock,
    };
    let app = control::routes()
        .fallback(simulate)
        .with_state(hub)
        .into_make_service_with_connect_info::<Connection>();
    // Ends with an error never: the listener retries.
    let _ = serve(listener, app).await;
}

/// An answer as its client sees it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as much as came.
    pub body: Vec<u8>,
    /// Whether all of it came.
    pub whole: bool,
}

/// Answers one request without a network. `None`: its connection was closed without an answer.
pub(super) async fn exchange(
    hub: &Arc<Hub>,
    method: Method,
    target: &str,
    headers: HeaderMap,
    body: Vec<u8>,
) -> io::Result<Option<Answered>> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .body(Body::from(body))
        .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
    *request.headers_mut() = headers;
    let connection = Connection::detached();
    let response = simulate(
        State(Arc::clone(hub)),
        ConnectInfo(connection.clone()),
        request,
    );
    let response = response.await;
    if connection.is_closed() {
        return Ok(None);
    }
    let (parts, body) = response.into_parts();
    let (mut chunks, mut bytes, mut whole) = (body.into_data_stream(), Vec::new(), true);
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(_) => whole = false,
        }
    }
    Ok(Some(Answered {
        status: parts.status,
        headers: parts.headers,
        body: bytes,
        whole,
    }))
}

/// Takes a request out of the count of those in flight, also when its client went away.
struct InFlight(Arc<Hub>, Vec<Scope>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.world().leave(&self.1);
    }
}

/// A request to Graph or Entra, from its arrival to its answer.
async fn simulate(
    State(hub): State<Arc<Hub>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let settings = hub.settings();
    let target = route(
        request.method(),
        request.uri().path(),
        request.uri().query(),
    );
    let endpoint = target.endpoint();
    let (serial, scopes, at_once) = {
        let mut world = hub.world();
        let scopes = world.scopes(&settings, &target, text(request.headers(), "authorization"));
        let (at, grace) = (settings.clock.elapsed(), settings.window_grace);
        let at_once = world.enter(&scopes);
        let serial = world.count_request(endpoint, &scopes, at, grace);
        (serial, scopes, at_once)
    };
    let _in_flight = InFlight(Arc::clone(&hub), scopes);
    let (parts, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(_) => return StatusCode::BAD_REQUEST.into_response(), // the client is gone
    };

    let external_id = external_id(endpoint, body.as_deref());
    let effect = hub.world().strike(Arrival {
        endpoint,
        target: &target,
        external_id: external_id.as_deref(),
        part: false,
    });
    let more = match effect {
        Some(Effect::Delay(milliseconds)) => Duration::from_millis(milliseconds),
        _ => Duration::ZERO,
    };
    let latency = settings.latency.saturating_add(more);
    if !latency.is_zero() {
        settings.clock.sleep(latency).await;
    }
    match effect {
        Some(Effect::LostBefore) => {
            connection.close();
            return StatusCode::OK.into_response();
        }
        Some(Effect::SilentBefore) => return connection.silence().await,
        _ => {}
    }

    // What was changed while the request was under way holds for it.
    let settings = hub.settings();
    let at = Answerer {
        hub: &hub,
        settings: &settings,
        marks: marks(&settings, serial, &parts.headers),
    };
    let headers = &parts.headers;
    let prefer = preferences(headers);
    let call = Call {
        serial,
        now: settings.now(),
        elapsed: settings.clock.elapsed(),
        root: &hub.base,
        path: parts.uri.path(),
        crowded: settings
            .limits
            .mailbox_at_once
            .is_some_and(|most| at_once > most),
        authorization: text(headers, "authorization"),
        content_type: text(headers, "content-type"),
        content_encoding: text(headers, "content-encoding"),
        accept_language: text(headers, "accept-language").unwrap_or_default(),
        prefer: &prefer,
        body: body.as_deref(),
    };
    let reply = at.reply(&target, &call, effect.as_ref());
    match effect {
        Some(Effect::LostAfter) => {
            connection.close();
            return StatusCode::OK.into_response();
        }
        Some(Effect::SilentAfter) => return connection.silence().await,
        _ => {}
    }
    at.count(&reply);
    send(reply, endpoint, effect.as_ref(), &at.marks)
}

/// What answering one request takes, apart from the request.
struct Answerer<'a> {
    hub: &'a Hub,
    settings: &'a Settings,
    marks: Marks,
}

impl Answerer<'_> {
    /// Carries a request out, or does to it what a fault says instead.
    fn reply(&self, target: &Target, call: &Call<'_>, effect: Option<&Effect>) -> Reply {
        let base = &self.hub.base;
        let reply = match effect {
            Some(Effect::Aadsts(code)) => entra_error(&EntraRefusal::of(*code), base, &self.marks),
            Some(Effect::Answer(answer)) => {
                let world = self.hub.world();
                let scopes = world.scopes(self.settings, target, call.authorization);
                let of = (target.endpoint(), scopes.into_iter().next());
                scripted(answer, of, base, &self.marks)
            }
            _ => match target {
                Target::Token { tenant } => self.entra(tenant, call, entra::token),
                Target::DeviceCode { tenant } => self.entra(tenant, call, entra::device_code),
                Target::Batch => self.batch(call),
                _ => {
                    let mut world = self.hub.world();
                    let reply = graph::answer(&mut world, self.settings, target, call);
                    self.or_refused(reply)
                }
            },
        };
        bent(reply, effect)
    }

    fn entra(
        &self,
        tenant: &str,
        call: &Call<'_>,
        endpoint: impl FnOnce(&mut entra::Sessions, &Counter<'_>) -> Result<Reply, EntraRefusal>,
    ) -> Reply {
        let counter = Counter {
            settings: self.settings,
            base: &self.hub.base,
            roots: &self.hub.roots,
            now: call.now,
            elapsed: call.elapsed,
            tenant,
            content_type: call.content_type,
            authorization: call.authorization,
            body: call.body,
        };
        let reply = endpoint(&mut self.hub.world().sessions, &counter);
        reply.unwrap_or_else(|refusal| entra_error(&refusal, &self.hub.base, &self.marks))
    }

    /// A batch, part by part; each is counted, struck and throttled by itself.
    fn batch(&self, call: &Call<'_>) -> Reply {
        let admitted = graph::admit(&self.hub.world(), call);
        let parts = match admitted.and_then(|()| batch::parts(call)) {
            Ok(parts) => parts,
            Err(refusal) => return self.or_refused(Err(refusal)),
        };
        let mut responses = Responses::default();
        let mut at_once = HashMap::new();
        for part in &parts {
            let reply = match responses.forbid(part) {
                true => self.or_refused(Err(batch::failed_dependency())),
                false => self.part(part, call, &mut at_once),
            };
            self.count(&reply);
            let wait = reply.retry_after.as_ref().map(|(_, wait)| *wait);
            let header = wait.map(|wait| wait.header(self.marks.now));
            responses.push(part, reply, header);
        }
        responses.reply()
    }

    /// `at_once`: how many parts that wait for no other there were for each mailbox.
    fn part(&self, part: &Part, envelope: &Call<'_>, at_once: &mut HashMap<Scope, u64>) -> Reply {
        let (target, endpoint) = (&part.target, part.target.endpoint());
        let external_id = external_id(endpoint, part.body());
        let (serial, scopes, effect) = {
            let mut world = self.hub.world();
            let scopes = world.scopes(self.settings, target, envelope.authorization);
            let grace = self.settings.window_grace;
            let serial = world.count_request(endpoint, &scopes, envelope.elapsed, grace);
            let effect = world.strike(Arrival {
                endpoint,
                target,
                external_id: external_id.as_deref(),
                part: true,
            });
            (serial, scopes, effect)
        };
        let mut crowded = false;
        if let Some(most) = self
            .settings
            .limits
            .mailbox_at_once
            .filter(|_| part.is_first())
        {
            let mailboxes = |scope: &Scope| matches!(scope, Scope::Mailbox(_));
            for scope in scopes.into_iter().filter(mailboxes) {
                let count = at_once.entry(scope).or_default();
                *count += 1;
                crowded |= *count > most;
            }
        }
        let meetings = matches!(target, Target::Meetings(..));
        if meetings && self.settings.manners.meetings_in_batch == Verdict::Refused {
            let message = "Online meetings are not supported in a batch.";
            return self.or_refused(Err(Refusal::new(501, "notSupported", message)));
        }
        self.reply(
            target,
            &part.call(envelope, serial, crowded),
            effect.as_ref(),
        )
    }

    /// The reply, or Graph's error envelope.
    fn or_refused(&self, reply: Result<Reply, Refusal>) -> Reply {
        let refusal = match reply {
            Ok(reply) => return reply,
            Err(refusal) => refusal,
        };
        let mut reply = graph_error(refusal, &self.marks);
        if self.settings.manners.spelling == Spelling::Documentation
            && let Content::Json(body) = &mut reply.body
            && let Some(error) = body.get_mut("error").and_then(Value::as_object_mut)
            && let Some(inner) = error.remove("innerError")
        {
            error.insert("innererror".to_owned(), inner);
        }
        reply
    }

    /// Counts an answer and the window that it announces.
    fn count(&self, reply: &Reply) {
        let window = reply.retry_after.clone();
        let window = window.map(|(scope, wait)| (scope, wait.wait()));
        let at = self.settings.clock.elapsed();
        self.hub.world().answered(reply.status, at, window);
    }
}

/// The whole body; `None` when it is too large.
async fn read(body: Body) -> Result<Option<Vec<u8>>, axum::Error> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        length += chunk.len();
        if length <= LARGEST_BODY {
            bytes.extend_from_slice(&chunk);
        } else if length > DRAINED {
            break;
        }
    }
    Ok((length <= LARGEST_BODY).then_some(bytes))
}

/// The externalId that a createOrGet names, or the key of a new event, however broken the rest of its body is.
fn external_id(endpoint: Endpoint, body: Option<&[u8]>) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        external_id: String,
    }
    match endpoint {
        Endpoint::CreateOrGet => {
            let named: Named = serde_json::from_slice(body?).ok()?;
            Some(named.external_id)
        }
        Endpoint::EventCreate => {
            let event: Value = serde_json::from_slice(body?).ok()?;
            let key = event.pointer("/singleValueExtendedProperties/0/value")?;
            key.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

fn marks(settings: &Settings, serial: u64, headers: &HeaderMap) -> Marks {
    let seed = u128::from(settings.seed) << 64;
    let bytes = (seed | u128::from(serial)).to_be_bytes();
    let request_id = uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string();
    Marks {
        client_request_id: text(headers, "client-request-id")
            .map_or_else(|| request_id.clone(), str::to_owned),
        request_id,
        now: settings.now(),
    }
}

/// All `Prefer` headers as one.
fn preferences(headers: &HeaderMap) -> String {
    let all = headers.get_all("prefer").iter();
    let all: Vec<&str> = all.filter_map(|value| value.to_str().ok()).collect();
    all.join(", ")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
