//! An embedded Microsoft Graph and Entra, for `demo`, `simulator` and tests. Loopback only.
//!
//! In: HTTP requests as the daemon would send them to the real services. Out: the answers that
//! graph-api.md documents, as strict as it says, from a world held in memory. Everything invented
//! (ids, URLs, numbers) follows from a seed and the meeting's key, so runs can be compared.
//!
//! It is written independently of [`crate::meeting`] and uses nothing of it: a shared type would
//! let one misreading stand on both sides.
//!
//! - `settings`, `manners`: what can be chosen, at the start and by [`Simulator::change`].
//! - `http`, `route`, `reply`: how a request comes in, which endpoint it is for, how it is answered.
//! - `entra`: tokens. `graph`: meetings, Outlook calendars, users, batches.
//! - `faults`: scripted misbehaviour. `throttle`: limits and announced windows.
//! - `state`, `snapshot`: what is held and counted.
//!
//! Over HTTP, for people and shell tests: `GET /_simulator/state`, `POST /_simulator/faults` (a
//! [`Fault`] or a list of them as JSON), `POST /_simulator/reset`, `POST /_simulator/sign-in` (answers a
//! device code: `{"userCode": ..., "as": object id}`, without `as` it is declined),
//! `POST /_simulator/outlook` (a [`Deed`] as JSON).

mod entra;
mod faults;
mod graph;
mod http;
mod manners;
mod reply;
mod route;
mod settings;
mod snapshot;
mod state;
mod throttle;

use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, Method};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use faults::{Effect, Fault, Match, RetryAfter, Scripted, Times};
pub use graph::{Deed, Does};
pub use http::Answered;
pub use manners::{
    Dead, Deleted, Differing, EntraManners, Existing, Expiry, FederatedCodes, FilterMiss,
    GoesOnline, Hint, KeyCase, Limits, Manners, OutlookManners, Race, Rate, RefreshTokens,
    RepeatOfDeleted, Reuse, SecondDelete, Spelling, TimeUpdate, Unset, Verdict,
};
pub use route::Endpoint;
pub use settings::{
    App, CLIENT_ID, CLIENT_SECRET, Certificate, Federated, Mailbox, ORGANIZER,
    ORGANIZER_WITHOUT_DIAL_IN, ORGANIZER_WITHOUT_POLICY, Organizer, Policy, Provider, Refused,
    Settings, TENANT, TENANT_DOMAIN, Tenant, TokenForm, UrlShape,
};
pub use snapshot::{Calls, Current, EventCalls, EventState, MailboxState, MeetingState, Snapshot};

/// A running simulator. Dropping it, or [`Simulator::stop`], ends it and closes its connections.
pub struct Simulator {
    hub: Arc<http::Hub>,
    address: SocketAddr,
    stop: CancellationToken,
    /// `None`: it does not listen.
    task: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator on the current tokio runtime; it listens when this returns.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an address that is not loopback; else what binding it gives.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = http::connection::bind(settings.listen).await?;
        let mut simulator = Self::unheard(Settings {
            listen: listener.local_addr()?,
            ..settings
        });
        let (hub, stop) = (Arc::clone(&simulator.hub), simulator.stop.clone());
        simulator.task = Some(tokio::spawn(http::run(hub, listener, stop)));
        Ok(simulator)
    }

    /// A simulator that does not listen: [`Simulator::exchange`] is the way to it.
    pub fn unheard(settings: Settings) -> Self {
        let address = settings.listen;
        let base = format!("http://{address}");
        let hub = http::Hub {
            settings: Mutex::new(Arc::new(settings)),
            roots: vec![base.clone(), format!("http://localhost:{}", address.port())],
            base,
            world: Mutex::default(),
        };
        Self {
            hub: Arc::new(hub),
            address,
            stop: CancellationToken::new(),
            task: None,
        }
    }

    /// Answers one request as it would over HTTP; `target` is the path and query. `None`: its
    /// connection was closed without an answer. Dropping the future is the client going away.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for what cannot be the target of a request.
    pub async fn exchange(
        &self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> io::Result<Option<Answered>> {
        http::exchange(&self.hub, method, target, headers, body).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The Graph root, without version: `http://127.0.0.1:PORT`.
    pub fn graph_url(&self) -> String {
        self.hub.base.clone()
    }

    /// The authority, without tenant.
    pub fn authority_url(&self) -> String {
        self.hub.base.clone()
    }

    /// What is chosen at the moment.
    pub fn settings(&self) -> Arc<Settings> {
        self.hub.settings()
    }

    /// Changes what is chosen, for requests that are carried out from here on; address and clock stay.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self
            .hub
            .settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut settings));
    }

    /// What it holds and has counted.
    pub fn snapshot(&self) -> Snapshot {
        self.hub.snapshot()
    }

    /// [`Simulator::snapshot`] as JSON, the same as `GET /_simulator/state`.
    pub fn dump(&self) -> serde_json::Value {
        serde_json::to_value(self.snapshot()).unwrap_or_default()
    }

    /// Queues a fault behind those already scripted.
    pub fn script(&self, fault: Fault) {
        self.hub.world().faults.push(fault);
    }

    /// Forgets tokens, meetings, faults and counters.
    pub fn reset(&self) {
        self.hub.world().reset();
    }

    /// The user codes of sign-ins that wait for a person, in the order of the alphabet.
    pub fn waiting_sign_ins(&self) -> Vec<String> {
        let now = self.hub.settings().clock.elapsed();
        self.hub.world().sessions.waiting(now)
    }

    /// Signs a person in for a user code; whether such a code waits, and the person is of its tenant.
    pub fn approve(&self, user_code: &str, object_id: &str) -> bool {
        self.hub.settle(user_code, Some(object_id))
    }

    /// Declines the sign-in with a user code; whether such a code waits.
    pub fn decline(&self, user_code: &str) -> bool {
        self.hub.settle(user_code, None)
    }

    /// No access token issued so far is good any more: 401.
    pub fn revoke_access_tokens(&self) {
        self.hub.world().sessions.revoke_access();
    }

    /// No refresh token issued so far is good any more; each gives this AADSTS number, such as 50173.
    pub fn revoke_refresh_tokens(&self, code: u32) {
        self.hub.world().sessions.revoke_refresh(code);
    }

    /// Somebody opens a join URL, of either shape: the meeting is in progress, its expiry is put off, and
    /// a deleted one is back. Whether it works: not for an unknown URL, nor for one that has expired.
    pub fn join(&self, join_web_url: &str) -> bool {
        let settings = self.hub.settings();
        let (now, expiry) = (settings.now(), settings.manners.expiry);
        let mut world = self.hub.world();
        let meeting = world.by_url(join_web_url);
        meeting.is_some_and(|meeting| meeting.join(now, expiry))
    }

    /// Everybody leaves the meeting with this join URL; whether there is one.
    pub fn leave(&self, join_web_url: &str) -> bool {
        let mut world = self.hub.world();
        world
            .by_url(join_web_url)
            .map(graph::Record::leave)
            .is_some()
    }

    /// A person does something to an event in Outlook; whether there is such an event, and it can be done.
    pub fn outlook(&self, deed: &Deed) -> bool {
        let settings = self.hub.settings();
        self.hub.world().outlook_deed(&settings, deed)
    }

    /// The `[graph]` table that points meetbridge here, ready to paste; the secret is to be in
    /// `secret_file` (see [`Simulator::write_secret`]). The organizers stand below as comments.
    pub fn graph_toml(&self, secret_file: &Path) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let settings = self.hub.settings();
        let tenant = settings.tenants.first().map_or("", |tenant| &tenant.id);
        let base = quoted(&self.hub.base);
        let mut text = format!(
            "[graph]\ntenant = {}\nclient-id = {}\ngraph-url = {base}\nauthority-url = {base}\n\
             client-secret-file = {}\n\n# [meeting] organizer: one of\n",
            quoted(tenant),
            quoted(&settings.app.client_id),
            quoted(&secret_file.to_string_lossy()),
        );
        for organizer in &settings.organizers {
            let dial_in = if organizer.dial_in {
                "dial-in"
            } else {
                "no dial-in"
            };
            let policy = match (organizer.policy, settings.global_policy) {
                (Policy::Granted, _) | (Policy::Global, Policy::Granted) => "",
                _ => ", refused: no access policy",
            };
            text += &format!("#   {}  ({dial_in}{policy})\n", quoted(&organizer.id));
        }
        text
    }

    /// Writes the application's secret to a new file `graph-secret` in `directory`, mode 0600.
    ///
    /// # Errors
    ///
    /// What creating or writing the file gives; one that exists is not overwritten.
    pub fn write_secret(&self, directory: &Path) -> io::Result<PathBuf> {
        let path = directory.join("graph-secret");
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(self.hub.settings().app.client_secret.as_bytes())?;
        Ok(path)
    }

    /// Ends it: no connection is answered after this returns.
    pub async fn stop(mut self) {
        self.end();
        if let Some(task) = &mut self.task {
            // An error says that the task was aborted, which is what was asked for.
            let _ = task.await;
        }
    }

    fn end(&self) {
        self.stop.cancel();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a simulator until `stop` completes. `ready` is told once it listens, and may print.
///
/// # Errors
///
/// Those of [`Simulator::start`], and those of `ready`.
pub async fn serve(
    settings: Settings,
    ready: impl FnOnce(&Simulator) -> io::Result<()>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let simulator = Simulator::start(settings).await?;
    ready(&simulator)?;
    stop.await;
    simulator.stop().await;
    Ok(())
}
