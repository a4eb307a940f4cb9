//! An embedded Microsoft Graph and Entra, for `demo`, `simulator` and tests. Loopback only.
//!
//! In: HTTP requests as the daemon would send them to the real services. Out: the answers that
//! graph-api.md documents, as strict as it says, from a world held in memory. Everything invented
//! (ids, URLs, numbers) follows from a seed and the meeting's key, so runs can be compared.
//!
//! It is written independently of [`crate::meeting`] and uses nothing of it: a shared type would
//! let one misreading stand on both sides.
//!
//! - `settings`: what can be chosen. `route`: which endpoint a request is for.
//! - `token`: Entra. `access`, `online_meetings`, `shape`, `record`, `wording`: Graph. `reply`: how both answer.
//! - `faults`: scripted misbehaviour. `state`: what is held and counted. `server`, `connection`: HTTP.
//!
//! Over HTTP, for people and shell tests: `GET /_simulator/state`, `POST /_simulator/faults` (a
//! [`Fault`] or a list of them as JSON), `POST /_simulator/reset`.

mod access;
mod connection;
mod faults;
mod online_meetings;
mod record;
mod reply;
mod route;
mod server;
mod settings;
mod shape;
mod state;
mod token;
mod wording;

use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use faults::{Effect, Fault, Match, RetryAfter, Scripted, Times};
pub use route::Endpoint;
pub use settings::{
    App, CLIENT_ID, CLIENT_SECRET, Existing, ORGANIZER, ORGANIZER_WITHOUT_DIAL_IN,
    ORGANIZER_WITHOUT_POLICY, Organizer, Policy, Refused, Settings, TENANT, TENANT_DOMAIN, Tenant,
    UrlShape,
};
pub use state::{Calls, Current, MeetingState, Snapshot};

/// A running simulator. Dropping it, or [`Simulator::stop`], ends it and closes its connections.
pub struct Simulator {
    hub: Arc<server::Hub>,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Simulator {
    /// Starts a simulator on the current tokio runtime; it listens when this returns.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an address that is not loopback; else what binding it gives.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = connection::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let base = format!("http://{address}");
        let hub = Arc::new(server::Hub {
            settings,
            roots: vec![base.clone(), format!("http://localhost:{}", address.port())],
            base,
            world: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(server::run(Arc::clone(&hub), listener, stop.clone()));
        Ok(Self {
            hub,
            address,
            stop,
            task,
        })
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

    /// What it was started with.
    pub fn settings(&self) -> &Settings {
        &self.hub.settings
    }

    /// What it holds and has counted.
    pub fn snapshot(&self) -> Snapshot {
        self.hub.world().snapshot()
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

    /// The `[graph]` table that points meetbridge here, ready to paste; the secret is to be in
    /// `secret_file` (see [`Simulator::write_secret`]). The organizers stand below as comments.
    pub fn graph_toml(&self, secret_file: &Path) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let settings = &self.hub.settings;
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
            let policy = match organizer.policy {
                Policy::Granted => "",
                Policy::Missing(_) => ", refused: no access policy",
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
        file.write_all(self.hub.settings.app.client_secret.as_bytes())?;
        Ok(path)
    }

    /// Ends it: no connection is answered after this returns.
    pub async fn stop(mut self) {
        self.end();
        // An error says that the task was aborted, which is what was asked for.
        let _ = (&mut self.task).await;
    }

    fn end(&self) {
        self.stop.cancel();
        self.task.abort();
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
