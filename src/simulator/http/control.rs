//! The control paths under `/_simulator`, for people and shell tests.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Hub;
use crate::simulator::faults::Fault;
use crate::simulator::graph::Deed;
use crate::simulator::snapshot::Snapshot;

pub(super) fn routes() -> Router<Arc<Hub>> {
    Router::new()
        .route("/_simulator/state", get(state))
        .route("/_simulator/faults", post(faults))
        .route("/_simulator/reset", post(reset))
        .route("/_simulator/sign-in", post(sign_in))
        .route("/_simulator/outlook", post(outlook))
}

async fn state(State(hub): State<Arc<Hub>>) -> Json<Snapshot> {
    Json(hub.snapshot())
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

/// A person's answer to a device code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Answer {
    user_code: String,
    /// The object id of who signs in; without it the sign-in is declined.
    #[serde(rename = "as")]
    user: Option<String>,
}

async fn sign_in(State(hub): State<Arc<Hub>>, Json(answer): Json<Value>) -> Response {
    let answer: Answer = match serde_json::from_value(answer) {
        Ok(answer) => answer,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    };
    match hub.settle(&answer.user_code, answer.user.as_deref()) {
        true => StatusCode::NO_CONTENT.into_response(),
        false => (
            StatusCode::NOT_FOUND,
            "no such user code waits, or no such user is in its tenant\n",
        )
            .into_response(),
    }
}

async fn outlook(State(hub): State<Arc<Hub>>, Json(given): Json<Value>) -> Response {
    let deed: Deed = match serde_json::from_value(given) {
        Ok(deed) => deed,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    };
    let settings = hub.settings();
    match hub.world().outlook_deed(&settings, &deed) {
        true => StatusCode::NO_CONTENT.into_response(),
        false => (
            StatusCode::NOT_FOUND,
            "no such event lies in a calendar, or this cannot be done to it\n",
        )
            .into_response(),
    }
}
