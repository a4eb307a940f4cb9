//! The HTTP side: each request is counted, delayed, struck by faults, carried out, answered.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Json, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Loopback};
use super::faults::{Effect, Fault, RetryAfter, Scripted};
use super::online_meetings::{self, Call};
use super::reply::{
    Content, EntraRefusal, Marks, Refusal, Reply, entra_error, graph_error, usual_entra,
};
use super::route::{Endpoint, Target, route};
use super::settings::Settings;
use super::state::{Grant, Snapshot, World};
use super::token::{TokenRequest, judge};

/// The largest request body, in octets; Graph's own limit is not published.
const LARGEST_BODY: usize = 1024 * 1024;
/// How much of a body beyond that is still read, so that the client gets to see the answer.
const DRAINED: usize = 16 * LARGEST_BODY;

/// What the requests of one simulator share.
pub(super) struct Hub {
    pub(super) settings: Settings,
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
}

/// Serves until the task is aborted. Cancelling `stop` closes every connection.
pub(super) async fn run(hub: Arc<Hub>, listener: TcpListener, stop: CancellationToken) {
    let clock = Arc::clone(&hub.settings.clock);
    let listener = Loopback {
        listener,
        stop,
        clock,
    };
    let app = Router::new()
        .route("/_simulator/state", get(state))
        .route("/_simulator/faults", post(faults))
        .route("/_simulator/reset", post(reset))
        .fallback(simulate)
        .with_state(hub)
        .into_make_service_with_connect_info::<Connection>();
    // Ends with an error never: the listener retries.
    let _ = serve(listener, app).await;
}

async fn state(State(hub): State<Arc<Hub>>) -> Json<Snapshot> {
    Json(hub.world().snapshot())
}

async fn faults(State(hub): State<Arc<Hub>>, Json(given): Json<Value>) -> Response {
    let faults = match given {
        Value::Array(_) => serde_json::from_value(given),
        one => serde_json::from_value(one).map(|fault| vec![fault]),
    };
    let faults: Vec<Fault> = match faults {
        Ok(faults) => faults,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    };
    let queued = faults.len();
    let mut world = hub.world();
    faults
        .into_iter()
        .for_each(|fault| world.faults.push(fault));
    Json(json!({"queued": queued})).into_response()
}

async fn reset(State(hub): State<Arc<Hub>>) -> StatusCode {
    hub.world().reset();
    StatusCode::NO_CONTENT
}

/// Takes a request out of the count of those in flight, also when its client went away.
struct InFlight(Arc<Hub>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.world().leave();
    }
}

/// A request to Graph or Entra, from its arrival to its answer.
async fn simulate(
    State(hub): State<Arc<Hub>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let clock = Arc::clone(&hub.settings.clock);
    let target = route(
        request.method(),
        request.uri().path(),
        request.uri().query(),
    );
    let endpoint = target.endpoint();
    let grace = hub.settings.window_grace;
    let serial = hub.world().arrive(endpoint, clock.elapsed(), grace);
    let _in_flight = InFlight(Arc::clone(&hub));
    let (parts, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(_) => return StatusCode::BAD_REQUEST.into_response(), // the client is gone
    };

    let external_id = external_id(endpoint, body.as_deref());
    let (user, id) = (target.user(), target.meeting_id());
    let effect = hub
        .world()
        .strike(endpoint, user, external_id.as_deref(), id);
    let more = match effect {
        Some(Effect::Delay(milliseconds)) => Duration::from_millis(milliseconds),
        _ => Duration::ZERO,
    };
    let latency = hub.settings.latency.saturating_add(more);
    if !latency.is_zero() {
        clock.sleep(latency).await;
    }

    let marks = marks(&hub, serial, &parts.headers);
    let refuse = |refusal: EntraRefusal| entra_error(&refusal, &hub.base, &marks);
    let reply = match &effect {
        Some(Effect::LostBefore) => {
            connection.close();
            return StatusCode::OK.into_response();
        }
        Some(Effect::Aadsts(code)) => refuse(EntraRefusal::of(*code)),
        Some(Effect::Answer(scripted)) => scripted_reply(scripted, endpoint, &hub.base, &marks),
        _ => {
            let headers = &parts.headers;
            match &target {
                Target::Token { tenant } => {
                    token(&hub, tenant, headers, body.as_deref()).unwrap_or_else(refuse)
                }
                _ => graph(&hub, &target, headers, body.as_deref())
                    .unwrap_or_else(|refusal| graph_error(refusal, &marks)),
            }
        }
    };
    if effect == Some(Effect::LostAfter) {
        connection.close();
        return StatusCode::OK.into_response();
    }
    let retry_after = match &effect {
        Some(Effect::Answer(scripted)) => scripted.retry_after,
        _ => None,
    };
    let wait = retry_after.map(RetryAfter::wait);
    hub.world()
        .answered(endpoint, reply.status, clock.elapsed(), wait);
    send(
        bent(reply, effect.as_ref()),
        endpoint,
        retry_after,
        effect,
        &marks,
    )
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

/// The externalId that a createOrGet names, however broken the rest of its body is.
fn external_id(endpoint: Endpoint, body: Option<&[u8]>) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        external_id: String,
    }
    (endpoint == Endpoint::CreateOrGet).then_some(())?;
    let named: Named = serde_json::from_slice(body?).ok()?;
    Some(named.external_id)
}

fn marks(hub: &Hub, serial: u64, headers: &HeaderMap) -> Marks {
    let seed = u128::from(hub.settings.seed) << 64;
    let bytes = (seed | u128::from(serial)).to_be_bytes();
    let request_id = uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string();
    Marks {
        client_request_id: text(headers, "client-request-id")
            .map_or_else(|| request_id.clone(), str::to_owned),
        request_id,
        now: hub.settings.clock.now(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn token(
    hub: &Hub,
    tenant: &str,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Result<Reply, EntraRefusal> {
    let settings = &hub.settings;
    let request = TokenRequest {
        tenant,
        content_type: text(headers, "content-type"),
        authorization: text(headers, "authorization"),
        body: body.ok_or_else(|| EntraRefusal::of(90013))?,
    };
    let tenant = judge(&request, &settings.tenants, &settings.app, &hub.roots)?;
    let now = settings.clock.elapsed();
    let lifetime = settings.token_lifetime;
    let grant = Grant {
        tenant: tenant.id.clone(),
        ends: now.saturating_add(lifetime),
    };
    let token = hub.world().issue(settings.seed, now, grant);
    let seconds = lifetime.as_secs();
    Ok(Reply::json(
        200,
        json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds,
               "access_token": token}),
    ))
}

fn graph(
    hub: &Hub,
    target: &Target,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Result<Reply, Refusal> {
    let call = Call {
        now: hub.settings.clock.now(),
        elapsed: hub.settings.clock.elapsed(),
        root: &hub.base,
        authorization: text(headers, "authorization"),
        content_type: text(headers, "content-type"),
        content_encoding: text(headers, "content-encoding"),
        accept_language: text(headers, "accept-language").unwrap_or_default(),
        prefer: text(headers, "prefer").unwrap_or_default(),
        body,
    };
    online_meetings::answer(&mut hub.world(), &hub.settings, target, &call)
}

fn scripted_reply(scripted: &Scripted, endpoint: Endpoint, base: &str, marks: &Marks) -> Reply {
    let status = scripted.status;
    match &scripted.body {
        Some(Value::String(html)) => Reply {
            status,
            body: Content::Html(html.clone()),
        },
        Some(json) => Reply::json(status, json.clone()),
        None if endpoint == Endpoint::Token => usual_entra(status, base, marks),
        None if status < 300 => Reply::empty(status),
        None => graph_error(Refusal::usual(status), marks),
    }
}

/// The reply as some faults bend it, wherever in it a meeting stands.
fn bent(mut reply: Reply, effect: Option<&Effect>) -> Reply {
    let Content::Json(body) = &mut reply.body else {
        return reply;
    };
    let meeting = match body.pointer("/value/0").is_some() {
        true => body.pointer_mut("/value/0"),
        false => Some(body),
    };
    let meeting = meeting.and_then(Value::as_object_mut);
    if let Some(meeting) = meeting.filter(|meeting| meeting.contains_key("joinWebUrl")) {
        match effect {
            Some(Effect::YearOne) => {
                for name in ["startDateTime", "endDateTime"] {
                    meeting.insert(name.to_owned(), "0001-01-01T00:00:00Z".into());
                }
            }
            Some(Effect::Partial) => {
                meeting.remove("joinWebUrl");
            }
            _ => {}
        }
    }
    reply
}

/// Turns a reply into the response that goes out, with the headers that each carries.
fn send(
    reply: Reply,
    endpoint: Endpoint,
    retry_after: Option<RetryAfter>,
    effect: Option<Effect>,
    marks: &Marks,
) -> Response {
    let (content_type, body) = match reply.body {
        Content::None => (None, Vec::new()),
        Content::Html(text) => (Some("text/html"), text.into_bytes()),
        Content::Json(json) => (
            Some(match endpoint {
                Endpoint::Token => "application/json; charset=utf-8",
                _ => {
                    "application/json;odata.metadata=minimal;odata.streaming=true;\
                     IEEE754Compatible=false;charset=utf-8"
                }
            }),
            json.to_string().into_bytes(),
        ),
    };
    let length = body.len();
    let body = match effect {
        Some(Effect::Truncated) => broken_off(body),
        _ => Body::from(body),
    };
    let status = match StatusCode::from_u16(reply.status) {
        Ok(status) if (200..600).contains(&reply.status) => status,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("date", &http_date(marks.now));
    set("request-id", &marks.request_id);
    set("client-request-id", &marks.client_request_id);
    set("cache-control", "no-store, no-cache");
    if let Some(content_type) = content_type {
        set("content-type", content_type);
        set("content-length", &length.to_string());
    }
    if endpoint != Endpoint::Token {
        set(
            "x-ms-ags-diagnostic",
            r#"{"ServerInfo":{"DataCenter":"Loopback","Slice":"E","Ring":"5","ScaleUnit":"001","RoleInstance":"SIMULATOR"}}"#,
        );
    }
    if status == StatusCode::UNAUTHORIZED && endpoint != Endpoint::Token {
        set(header::WWW_AUTHENTICATE.as_str(), "Bearer");
    }
    match retry_after {
        Some(RetryAfter::Seconds(seconds)) => set("retry-after", &seconds.to_string()),
        Some(RetryAfter::Date(seconds)) => {
            let wait = TimeDelta::seconds(i64::try_from(seconds).unwrap_or(0));
            let until = marks.now.checked_add_signed(wait).unwrap_or(marks.now);
            let part = u32::from(until.timestamp_subsec_nanos() > 0);
            let up = until.checked_add_signed(TimeDelta::seconds(part.into()));
            set("retry-after", &http_date(up.unwrap_or(until)));
        }
        None => {}
    }
    response
}

fn http_date(time: chrono::DateTime<chrono::Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Half of `bytes`, then the connection breaks.
fn broken_off(mut bytes: Vec<u8>) -> Body {
    bytes.truncate(bytes.len() / 2);
    let half = stream::once(async move { Ok(bytes) });
    let end = stream::once(async {
        tokio::task::yield_now().await; // lets the first half go out
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    Body::from_stream(half.chain(end))
}
