//! Answers as they go out: bent by faults, with the headers that each carries.

use std::io;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::Value;

use crate::simulator::entra::usual_entra;
use crate::simulator::faults::{Effect, Scripted, http_date};
use crate::simulator::reply::{Content, Marks, Refusal, Reply, graph_error};
use crate::simulator::route::Endpoint;
use crate::simulator::throttle::Scope;

/// The answer that a fault scripts.
pub(super) fn scripted(
    scripted: &Scripted,
    (endpoint, scope): (Endpoint, Option<Scope>),
    base: &str,
    marks: &Marks,
) -> Reply {
    let status = scripted.status;
    let reply = match &scripted.body {
        Some(Value::String(html)) => Reply {
            body: Content::Html(html.clone()),
            ..Reply::empty(status)
        },
        Some(json) => Reply::json(status, json.clone()),
        None if endpoint.is_entra() => usual_entra(status, base, marks),
        None if status < 300 => Reply::empty(status),
        None => graph_error(Refusal::usual(status), marks),
    };
    let scope = scope.unwrap_or(Scope::App);
    Reply {
        retry_after: scripted.retry_after.map(|wait| (scope, wait)),
        ..reply
    }
}

/// The reply as some faults bend it, wherever in it a meeting or an event stands.
pub(super) fn bent(mut reply: Reply, effect: Option<&Effect>) -> Reply {
    match effect {
        Some(Effect::Empty) => reply.body = Content::None,
        Some(Effect::WebPage) => {
            reply.body = Content::Html("<!doctype html><title>Please wait</title>".to_owned());
        }
        _ => {}
    }
    let Content::Json(body) = &mut reply.body else {
        return reply;
    };
    let meeting = match body.pointer("/value/0").is_some() {
        true => body.pointer_mut("/value/0"),
        false => Some(body),
    };
    let meeting = meeting.and_then(Value::as_object_mut);
    let Some(meeting) = meeting else {
        return reply;
    };
    for name in ["start", "end"] {
        let time = meeting.get_mut(name).and_then(Value::as_object_mut);
        if let (Some(time), Some(Effect::YearOne)) = (time, effect) {
            let year_one = "0001-01-01T00:00:00.0000000";
            time.insert("dateTime".to_owned(), year_one.into());
        }
    }
    let online = meeting
        .get_mut("onlineMeeting")
        .and_then(Value::as_object_mut);
    if let (Some(online), Some(Effect::Partial)) = (online, effect) {
        online.remove("joinUrl");
    }
    if meeting.contains_key("joinWebUrl") {
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

/// Turns a reply into the response that goes out.
pub(super) fn send(
    reply: Reply,
    endpoint: Endpoint,
    effect: Option<&Effect>,
    marks: &Marks,
) -> Response {
    let (content_type, body) = match reply.body {
        Content::None => (None, Vec::new()),
        Content::Html(text) => (Some("text/html"), text.into_bytes()),
        Content::Json(json) => (
            Some(match endpoint.is_entra() {
                true => "application/json; charset=utf-8",
                false => {
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
    if !endpoint.is_entra() {
        set(
            "x-ms-ags-diagnostic",
            r#"{"ServerInfo":{"DataCenter":"Loopback","Slice":"E","Ring":"5","ScaleUnit":"001","RoleInstance":"SIMULATOR"}}"#,
        );
    }
    if status == StatusCode::UNAUTHORIZED && !endpoint.is_entra() {
        set(header::WWW_AUTHENTICATE.as_str(), "Bearer");
    }
    if let Some((_, wait)) = &reply.retry_after {
        set("retry-after", &wait.header(marks.now));
    }
    response
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
