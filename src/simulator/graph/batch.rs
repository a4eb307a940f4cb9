//! `$batch` (graph-api.md, section 10): the envelope, its order, its answers. Pure.

use std::collections::HashMap;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::Call;
use crate::simulator::reply::{Content, Refusal, Reply};
use crate::simulator::route::{Target, route};

/// The most parts that a batch may have.
const MOST: usize = 20;

/// One part of a batch, understood.
pub(crate) struct Part {
    id: String,
    pub(crate) target: Target,
    /// With the version.
    path: String,
    /// By name in lower case.
    headers: HashMap<String, String>,
    body: Option<Vec<u8>>,
    depends_on: Vec<String>,
}

impl Part {
    /// Its own request, of which the envelope's token and time are part.
    pub(crate) fn call<'a>(&'a self, envelope: &Call<'a>, serial: u64, crowded: bool) -> Call<'a> {
        let header = |name: &str| self.headers.get(name).map(String::as_str);
        Call {
            serial,
            crowded,
            path: &self.path,
            content_type: header("content-type"),
            content_encoding: header("content-encoding"),
            accept_language: header("accept-language").unwrap_or_default(),
            prefer: header("prefer").unwrap_or_default(),
            body: Some(self.body.as_deref().unwrap_or_default()),
            ..*envelope
        }
    }

    /// Whether it waits for no other part.
    pub(crate) fn is_first(&self) -> bool {
        self.depends_on.is_empty()
    }

    /// Its own body.
    pub(crate) fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }
}

/// The parts of a batch, in an order in which each comes after those it depends on.
pub(crate) fn parts(call: &Call<'_>) -> Result<Vec<Part>, Refusal> {
    let mut envelope = call.body()?;
    let requests = envelope.remove("requests");
    let (Some(Value::Array(requests)), true) = (requests, envelope.is_empty()) else {
        return Err(Refusal::bad(
            "The batch needs 'requests', a list, and nothing else.",
        ));
    };
    if requests.is_empty() || requests.len() > MOST {
        return Err(Refusal::bad(format!("A batch has 1 to {MOST} requests.")));
    }
    let mut left = Vec::new();
    for request in requests {
        let part = part(request)?;
        if left
            .iter()
            .any(|other: &Part| other.id.eq_ignore_ascii_case(&part.id))
        {
            return Err(Refusal::bad(format!(
                "The id '{}' is there twice.",
                part.id
            )));
        }
        left.push(part);
    }
    let mut ordered: Vec<Part> = Vec::new();
    while !left.is_empty() {
        let done = |id: &String| ordered.iter().any(|part| part.id.eq_ignore_ascii_case(id));
        let ready = left
            .iter()
            .position(|part| part.depends_on.iter().all(done));
        let Some(ready) = ready else {
            return Err(Refusal::bad(
                "A 'dependsOn' names no request, or goes in a circle.",
            ));
        };
        ordered.push(left.remove(ready));
    }
    Ok(ordered)
}

/// The answers of a batch while its parts are carried out.
#[derive(Default)]
pub(crate) struct Responses(Vec<(String, u16, Value)>);

impl Responses {
    /// Whether something that this part depends on has failed; then it is not to be carried out.
    pub(crate) fn forbid(&self, part: &Part) -> bool {
        let failed = |id: &String| {
            let is_it = |answer: &&(String, u16, Value)| answer.0.eq_ignore_ascii_case(id);
            self.0
                .iter()
                .find(is_it)
                .is_none_or(|answer| answer.1 >= 400)
        };
        part.depends_on.iter().any(failed)
    }

    /// Adds the answer of a part; `retry_after` is the header's value.
    pub(crate) fn push(&mut self, part: &Part, reply: Reply, retry_after: Option<String>) {
        let mut headers = Map::new();
        if let Some(wait) = retry_after {
            headers.insert("Retry-After".to_owned(), wait.into());
        }
        let body = match reply.body {
            Content::None => None,
            Content::Json(body) => Some(body),
            Content::Html(text) => Some(text.into()),
        };
        let mut answer = json!({"id": part.id, "status": reply.status});
        if let Some(body) = body {
            headers.insert("Content-Type".to_owned(), "application/json".into());
            answer["body"] = body;
        }
        answer["headers"] = headers.into();
        self.0.push((part.id.clone(), reply.status, answer));
    }

    /// The whole answer: the last part first, because any order is allowed.
    pub(crate) fn reply(self) -> Reply {
        let answers: Vec<Value> = self.0.into_iter().rev().map(|answer| answer.2).collect();
        Reply::json(200, json!({"responses": answers}))
    }
}

/// What is said of a part whose predecessor failed.
pub(crate) fn failed_dependency() -> Refusal {
    Refusal::new(424, "FailedDependency", "")
}

fn part(request: Value) -> Result<Part, Refusal> {
    let Value::Object(mut request) = request else {
        return Err(Refusal::bad("A request of the batch is no object."));
    };
    let mut text = |name: &str| match request.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        _ => Err(Refusal::bad(format!(
            "A request of the batch needs '{name}', a text."
        ))),
    };
    let (id, method, url) = (text("id")?, text("method")?, text("url")?);
    let method = match method.as_str() {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "PATCH" => Method::PATCH,
        "PUT" => Method::PUT,
        "DELETE" => Method::DELETE,
        _ => return Err(Refusal::bad(format!("'{method}' is no method of a batch."))),
    };
    let headers = headers(request.remove("headers"))?;
    let body = request
        .remove("body")
        .map(|body| body.to_string().into_bytes());
    if body.is_some() && !headers.contains_key("content-type") {
        return Err(Refusal::bad("A body needs headers with a Content-Type."));
    }
    let depends_on = match request.remove("dependsOn").map(serde_json::from_value) {
        None => Vec::new(),
        Some(Ok(ids)) => ids,
        Some(Err(_)) => return Err(Refusal::bad("'dependsOn' is no list of ids.")),
    };
    if let Some(name) = request.keys().next() {
        return Err(Refusal::bad(format!(
            "A request of the batch has no '{name}'."
        )));
    }
    if !url.starts_with('/') || url.starts_with("/v1.0/") || url.starts_with("//") {
        return Err(Refusal::bad(
            "A url of the batch begins with / and without the version.",
        ));
    }
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url.as_str(), None),
    };
    let path = format!("/v1.0{path}");
    let target = match route(&method, &path, query) {
        // No batch in a batch, and no token: that path is not Graph's.
        Target::Batch | Target::Token { .. } | Target::DeviceCode { .. } => Target::Nothing,
        target => target,
    };
    Ok(Part {
        id,
        target,
        path,
        headers,
        body,
        depends_on,
    })
}

fn headers(given: Option<Value>) -> Result<HashMap<String, String>, Refusal> {
    let given = match given {
        None => return Ok(HashMap::new()),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(Refusal::bad("'headers' is no object.")),
    };
    let mut headers = HashMap::new();
    for (name, value) in given {
        let Value::String(value) = value else {
            return Err(Refusal::bad(format!("The header '{name}' is no text.")));
        };
        headers.insert(name.to_ascii_lowercase(), value);
    }
    Ok(headers)
}
