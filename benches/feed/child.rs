//! What runs in a process of its own: passes over the feed. Prints what it took as one line of JSON;
//! before that, a line for each thing that the other side is to do, which answers with a line.

use std::path::Path;
use std::sync::Arc;

use meetbridge::calendar::Scope;
use meetbridge::calendar::feed::{self, FeedSettings, PlaceSettings, Publish};
use meetbridge::config;
use meetbridge::daemon::clock::SystemRandom;
use meetbridge::http::ClientOptions;
use meetbridge::sync::{Bridge, Watched};
use serde::{Deserialize, Serialize};

use crate::support::measure::percentile;
use crate::support::passes::{Cost, settle};
use crate::support::world::{assemble, watched};
use crate::support::{Result, expect};
use crate::{CHANGED, EVENTS, SELECTED};

/// The first argument of a child.
pub(crate) const FLAG: &str = "--child";
/// How many passes with nothing changed are made.
pub(crate) const QUIET: usize = 20;
/// How many times the feed changes.
const CHANGES: usize = 3;

pub(crate) const CHANGE: &str = "change";
pub(crate) const BEGIN_QUIET: &str = "begin-quiet";
pub(crate) const END_QUIET: &str = "end-quiet";

/// What it all took.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Costs {
    pub(crate) first: Cost,
    pub(crate) linked: Cost,
    pub(crate) quiet: Cost,
    pub(crate) changed: Vec<Cost>,
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [home] = arguments else {
        return Err("the child needs a home".into());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let costs = runtime.block_on(passes(Path::new(home)))?;
    println!("{}", serde_json::to_string(&costs)?);
    Ok(())
}

/// Has the other side do something.
fn ask(what: &str) -> Result<()> {
    println!("{what}");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Begins to count the peak memory anew.
fn forget_peak() -> Result<()> {
    Ok(std::fs::write("/proc/self/clear_refs", "5")?)
}

fn links(home: &Path) -> Result<usize> {
    use std::io::BufRead as _;
    let file = std::fs::File::open(home.join("published.ics"))?;
    let mut links = 0;
    for line in std::io::BufReader::new(file).lines() {
        links += usize::from(line?.starts_with("X-MEETBRIDGE-MEETING:"));
    }
    Ok(links)
}

async fn passes(home: &Path) -> Result<Costs> {
    let (bridge, calendar) = open(home)?;
    let mut costs = Costs {
        first: settle(&bridge, &calendar, Scope::All).await?,
        ..Costs::default()
    };
    forget_peak()?;
    while costs.linked.created < EVENTS / SELECTED {
        let scope = calendar.port.changed().await;
        let due = bridge.state.due(&calendar.name, bridge.clock.now())?;
        let more = match due.is_empty() {
            true => settle(&bridge, &calendar, scope).await?,
            false => settle(&bridge, &calendar, Scope::Only(due.into_iter().collect())).await?,
        };
        costs.linked.cpu += more.cpu;
        costs.linked.created += more.created;
        costs.linked.memory = more.memory;
    }
    expect("links", links(home)?, EVENTS / SELECTED)?;

    settle(&bridge, &calendar, Scope::News(None)).await?;
    forget_peak()?;
    ask(BEGIN_QUIET)?;
    let mut cpus = Vec::new();
    for _ in 0..QUIET {
        let cost = settle(&bridge, &calendar, Scope::News(None)).await?;
        expect("events that were read", cost.read, 0)?;
        cpus.push(cost.cpu);
        costs.quiet = cost;
    }
    costs.quiet.cpu = percentile(&mut cpus, 0.5);
    ask(END_QUIET)?;

    for _ in 0..CHANGES {
        ask(CHANGE)?;
        forget_peak()?;
        let cost = settle(&bridge, &calendar, Scope::News(None)).await?;
        expect("links after a change", links(home)?, EVENTS / SELECTED)?;
        if cost.written < EVENTS / CHANGED {
            return Err(format!("only {} events were written", cost.written).into());
        }
        costs.changed.push(cost);
    }
    Ok(costs)
}

/// The running parts of a home.
fn open(home: &Path) -> Result<(Bridge, Watched)> {
    let parts = assemble(home)?;
    let config::Source::Feed(subscribed) = &parts.table.source else {
        return Err("this measures feeds".into());
    };
    let config::Publish::File(published) = &subscribed.publish else {
        return Err("this measures feeds that are published as files".into());
    };
    let settings = FeedSettings {
        name: parts.table.name.to_string(),
        source: PlaceSettings {
            scope: "feed:events".to_owned(),
            url: subscribed.url.clone(),
            credentials: subscribed.credentials.clone(),
            client: ClientOptions::default(),
            allow_http: subscribed.allow_http,
        },
        poll: subscribed.poll,
        publish: Publish::File(published.clone()),
        directory: home.join("state"),
    };
    let (state, clock) = (parts.bridge.state.clone(), parts.clock);
    let port = feed::open(
        settings,
        parts.windows,
        state,
        clock,
        Arc::new(SystemRandom),
    )?;
    let calendar = watched(&parts.table, parts.table.name.clone(), port);
    Ok((parts.bridge, calendar))
}
