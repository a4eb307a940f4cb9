//! A bare HTTP client and a clock that stands still, for the simulator's tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use meetbridge::clock::Clock;
use meetbridge::simulator::{CLIENT_ID, CLIENT_SECRET, Settings, Simulator, TENANT};
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::sync::watch;

use super::shapes;

/// A clock that passes only when it is told to, from 2026-11-01T08:00:00Z.
pub(super) struct ManualClock {
    passed: watch::Sender<Duration>,
    sleeping: watch::Sender<usize>,
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock {
        passed: watch::Sender::new(Duration::ZERO),
        sleeping: watch::Sender::new(0),
    })
}

impl ManualClock {
    pub(super) fn advance(&self, by: Duration) {
        self.sleeping.send_replace(0);
        self.passed.send_modify(|passed| *passed += by);
    }

    /// Waits until so many sleeps have begun since the clock last advanced.
    pub(super) async fn sleepers(&self, count: usize) {
        let mut sleeping = self.sleeping.subscribe();
        sleeping.wait_for(|now| *now >= count).await.unwrap();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-11-01T08:00:00Z".parse().unwrap();
        start + TimeDelta::from_std(self.elapsed()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        *self.passed.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut passed = self.passed.subscribe();
        let until = *passed.borrow_and_update() + duration;
        self.sleeping.send_modify(|count| *count += 1);
        Box::pin(async move {
            // An error says that the clock is gone, and its test with it.
            let _ = passed.wait_for(|passed| *passed >= until).await;
        })
    }
}

/// A simulator with the default settings changed by `change`, and a client that is signed in.
pub(super) async fn start(change: impl FnOnce(&mut Settings)) -> (Simulator, Client) {
    start_with(clock(), change).await
}

pub(super) async fn start_with(
    clock: Arc<ManualClock>,
    change: impl FnOnce(&mut Settings),
) -> (Simulator, Client) {
    let mut settings = Settings::new(clock);
    change(&mut settings);
    let simulator = Simulator::start(settings).await.unwrap();
    let client = Client::new(&simulator).signed_in_again().await;
    (simulator, client)
}

#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    /// The `Authorization` header; none when empty.
    pub(super) authorization: String,
}

impl Client {
    pub(super) fn new(simulator: &Simulator) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            base: simulator.graph_url(),
            authorization: String::new(),
        }
    }

    pub(super) async fn signed_in_again(&self) -> Self {
        self.with_token(&self.sign_in().await.expect(200))
    }

    /// The documented token request.
    pub(super) async fn sign_in(&self) -> Answer {
        let pairs = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", CLIENT_ID.to_owned()),
            ("client_secret", CLIENT_SECRET.to_owned()),
            ("scope", format!("{}/.default", self.base)),
        ];
        let form: Vec<_> = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        self.token(TENANT, &form, None).await
    }

    /// A token request of these parameters beside the client id.
    pub(super) async fn grant(&self, tenant: &str, form: &[(&str, &str)]) -> Answer {
        let form = with_client_id(form);
        self.token(tenant, &form, None).await
    }

    /// A device code for these scopes.
    pub(super) async fn device_code(&self, tenant: &str, scope: &str) -> Answer {
        let form = with_client_id(&[("scope", scope)]);
        self.entra(tenant, "devicecode", &form, None).await
    }

    pub(super) async fn token(
        &self,
        tenant: &str,
        form: &[(String, String)],
        authorization: Option<&str>,
    ) -> Answer {
        self.entra(tenant, "token", form, authorization).await
    }

    async fn entra(
        &self,
        tenant: &str,
        endpoint: &str,
        form: &[(String, String)],
        authorization: Option<&str>,
    ) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let url = format!("{}/{tenant}/oauth2/v2.0/{endpoint}", self.base);
        let mut request = self.http.post(url).body(body);
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        self.send(request).await
    }

    /// The same client with another access token.
    pub(super) fn with_token(&self, token: &Answer) -> Self {
        Self {
            authorization: format!("Bearer {}", token.text("access_token")),
            ..self.clone()
        }
    }

    /// A request that the schemas do not allow, and its answer, unchecked.
    pub(super) async fn loose(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send_unchecked(self.request(method, path, Some(body)))
            .await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path, None)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path, None)).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path, Some(body))).await
    }

    pub(super) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("PATCH", path, Some(body))).await
    }

    /// A request with a body as it stands.
    pub(super) async fn raw(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        content_type: &str,
    ) -> Answer {
        let mut request = self.request(method, path, None);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        self.send(request.body(body.unwrap_or_default())).await
    }

    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.parse().unwrap(), url);
        if !self.authorization.is_empty() {
            request = request.header("authorization", &self.authorization);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        request
    }

    /// Sends a request; it and its answer are held against the schemas.
    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let built = request.try_clone().unwrap().build().unwrap();
        let answer = self.send_unchecked(request).await;
        shapes::check_exchange(&built, &answer);
        answer
    }

    pub(super) async fn send_unchecked(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let raw = String::from_utf8(response.bytes().await.unwrap().to_vec()).unwrap();
        Answer {
            status,
            headers,
            body: serde_json::from_str(&raw).unwrap_or_default(),
            raw,
        }
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// `null` when it is not JSON.
    pub(super) body: Value,
    pub(super) raw: String,
}

impl Answer {
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.raw);
        self
    }

    #[track_caller]
    pub(super) fn text(&self, name: &str) -> &str {
        self.body[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {}", self.raw))
    }
}

fn with_client_id(form: &[(&str, &str)]) -> Vec<(String, String)> {
    let all = [("client_id", CLIENT_ID)];
    let all = all.iter().chain(form);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// What a JWT-shaped token says.
pub(super) fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes());
    serde_json::from_slice(&claims.unwrap()).unwrap()
}

/// Percent-encodes everything but letters and digits.
pub(super) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
