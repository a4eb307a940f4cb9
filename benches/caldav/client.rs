//! The client that is measured, in a process of its own: the account of a home's configuration, and its
//! calendars. It passes over the first when it is told, or watches all of them for a while.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use meetbridge::calendar::caldav::connection::ConnectionSettings;
use meetbridge::calendar::caldav::{Account, AccountSettings};
use meetbridge::calendar::{Notes, Scope};
use meetbridge::config::Source;
use meetbridge::daemon::clock::SystemRandom;
use meetbridge::http::ClientOptions;
use meetbridge::sync::{Bridge, Watched};

use crate::steps::serve;
use crate::support::Result;
use crate::support::measure::{cpu, ms, peak_memory};
use crate::support::passes::{Cost, settle};
use crate::support::world::{assemble, watched};

/// The first argument of such a process; the second is the home.
pub(crate) const FLAG: &str = "--client";

/// How often an account is looked at while it is watched.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// Does what it is told: nothing but begin, the passes `all` and `news`, or `watch`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [home] = arguments else {
        return Err("the client needs a home".into());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (bridge, calendars) = runtime.block_on(open(Path::new(home)))?;
    let first = calendars.first().ok_or("the account has no calendar")?;
    let bridge = Arc::new(bridge);
    let mut watching = false;
    serve(|line| {
        let step = match line {
            "begin" => Cost::default(),
            "all" => runtime.block_on(settle(&bridge, first, Scope::All))?,
            "news" => runtime.block_on(settle(&bridge, first, Scope::News(None)))?,
            "watch" => {
                if !std::mem::replace(&mut watching, true) {
                    for calendar in &calendars {
                        runtime.spawn(watch(bridge.clone(), calendar.clone()));
                    }
                }
                runtime.block_on(wait(&bridge))
            }
            _ => return Err("there is no such step".into()),
        };
        Ok(serde_json::to_string(&step)?)
    })
}

/// The calendars of the account, found as the commands find them.
async fn open(home: &Path) -> Result<(Bridge, Vec<Arc<Watched>>)> {
    let parts = assemble(home)?;
    let table = parts.table;
    let Source::CalDav(server) = &table.source else {
        return Err("this measures CalDAV accounts".into());
    };
    let settings = AccountSettings {
        connection: ConnectionSettings {
            name: table.name.to_string(),
            url: server.url.clone(),
            credentials: server.credentials.clone(),
            client: ClientOptions {
                // Some servers take long for what is asked of them here.
                read_timeout: Duration::from_secs(600),
                total_timeout: Duration::from_secs(600),
                ..ClientOptions::default()
            },
            allow_http: false,
            tokens: None,
        },
        poll: POLL,
        poll_fastest: POLL,
    };
    let random = Arc::new(SystemRandom);
    let account = Account::new(
        settings,
        parts.windows,
        Arc::new(NoNotes),
        parts.clock,
        random,
    )?;
    let discovery = account.discover().await?;
    let mut calendars = Vec::new();
    for collection in discovery.chosen(&server.collections)? {
        let name = collection.name_in(table.name.as_str());
        let calendar = watched(&table, name, account.calendar(collection));
        calendars.push(Arc::new(calendar));
    }
    Ok((parts.bridge, calendars))
}

/// How many passes were made while watching.
static PASSES: AtomicUsize = AtomicUsize::new(0);

/// Passes over a calendar at first, and whenever it says that something changed.
async fn watch(bridge: Arc<Bridge>, calendar: Arc<Watched>) {
    let mut scope = Scope::All;
    while settle(&bridge, &calendar, scope).await.is_ok() {
        PASSES.fetch_add(1, Ordering::Relaxed);
        scope = calendar.port.changed().await;
    }
}

/// Lets what is watched go on for two seconds; `read` is the number of passes.
async fn wait(bridge: &Bridge) -> Cost {
    let (spent, passes) = (cpu(), PASSES.load(Ordering::Relaxed));
    let time = Duration::from_secs(2);
    bridge.clock.sleep(time).await;
    Cost {
        cpu: ms(cpu() - spent),
        wall: ms(time),
        memory: peak_memory("self").unwrap_or_default(),
        read: PASSES.load(Ordering::Relaxed) - passes,
        ..Cost::default()
    }
}

/// Nothing is known of a server from before.
struct NoNotes;

impl Notes for NoNotes {
    fn load(&self, _: &str) -> Option<String> {
        None
    }

    fn store(&self, _: &str, _: &str) {}
}
