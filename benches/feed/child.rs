//! What runs in a process of its own: passes over the feed. Prints what it took as one line of JSON;
//! before that, a line for each thing that the other side is to do, which answers with a line.

use std::path::Path;
use std::sync::Arc;

use meetbridge::calendar::Scope;
use meetbridge::calendar::feed::{self, FeedSettings, PlaceSettings, Publish};
use meetbridge::config;
use meetbridge::daemon::clock::SystemRandom;
use meetbridge::http::{ClientOptions, Credentials};
use meetbridge::sync::{Bridge, Watched};
use serde::{Deserialize, Serialize};

use crate::support::measure::percentile;
use crate::support::passes::{Cost, settle};
use crate::support::world::{assemble, watched};
use crate::support::{Result, expect};
use crate::web::PUBLISHED;
use crate::{CHANGED, EVENTS};

/// The first argument of a child.
pub(crate) const FLAG: &str = "--child";
/// How many passes with nothing changed are made.
pub(crate) const QUIET: usize = 20;
/// How many times the feed changes.
const CHANGES: usize = 3;

/// The two things that a child does, each in a process of its own.
pub(crate) const LINK: &str = "link";
pub(crate) const FOLLOW: &str = "follow";

pub(crate) const CHANGE: &str = "change";
pub(crate) const BEGIN_QUIET: &str = "begin-quiet";
pub(crate) const END_QUIET: &str = "end-quiet";

/// What it all took.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Costs {
    pub(crate) first: Cost,
    pub(crate) linked: Cost,
    pub(crate) begun: Cost,
    pub(crate) quiet: Cost,
    pub(crate) changed: Vec<Cost>,
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [home, phase, selected] = arguments else {
        return Err("the child needs a home, what to do, and how many are selected".into());
    };
    let links = EVENTS / selected.parse::<usize>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let home = Path::new(home);
    let costs = match phase.as_str() {
        LINK => runtime.block_on(link(home, links))?,
        _ => runtime.block_on(follow(home, links))?,
    };
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

/// How many lines of what is published begin like this.
fn lines(home: &Path, like: &str) -> Result<usize> {
    use std::io::BufRead as _;
    let file = std::fs::File::open(home.join(PUBLISHED))?;
    let mut lines = 0;
    for line in std::io::BufReader::new(file).lines() {
        lines += usize::from(line?.starts_with(like));
    }
    Ok(lines)
}

fn links(home: &Path) -> Result<usize> {
    lines(home, "X-MEETBRIDGE-MEETING:")
}

/// Gives the events their links.
async fn link(home: &Path, all: usize) -> Result<Costs> {
    let (bridge, calendar) = open(home)?;
    let mut costs = Costs {
        first: settle(&bridge, &calendar, Scope::All).await?,
        ..Costs::default()
    };
    forget_peak()?;
    while costs.linked.created < all {
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
    expect("links", links(home)?, all)?;

    settle(&bridge, &calendar, Scope::News(None)).await?;
    Ok(costs)
}

/// Begins with all that is there, and follows the feed.
async fn follow(home: &Path, all: usize) -> Result<Costs> {
    let (bridge, calendar) = open(home)?;
    let mut costs = Costs {
        begun: settle(&bridge, &calendar, Scope::All).await?,
        ..Costs::default()
    };
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

    for change in 1..=CHANGES {
        ask(CHANGE)?;
        forget_peak()?;
        let cost = settle(&bridge, &calendar, Scope::News(None)).await?;
        expect("links after a change", links(home)?, all)?;
        let changed = lines(home, &format!("SEQUENCE:{}", change + 1))?;
        expect("events that changed", changed, EVENTS / CHANGED)?;
        costs.changed.push(cost);
    }
    Ok(costs)
}

/// The running parts of a home.
fn open(home: &Path) -> Result<(Bridge, Watched)> {
    let mut parts = assemble(home)?;
    let config::Source::Feed(subscribed) = &parts.table.source else {
        return Err("this measures feeds".into());
    };
    let place = |scope: &str, url: &url::Url, credentials: &Credentials| PlaceSettings {
        scope: scope.to_owned(),
        url: url.clone(),
        credentials: credentials.clone(),
        client: ClientOptions::default(),
        allow_http: subscribed.allow_http,
    };
    let publish = match &subscribed.publish {
        config::Publish::File(path) => Publish::File(path.clone()),
        config::Publish::Web { url, credentials } => {
            Publish::Web(Box::new(place("publish:events", url, credentials)))
        }
        config::Publish::Source => {
            return Err("this measures feeds that are published elsewhere".into());
        }
    };
    // More than an organizer has in a month.
    parts.bridge.meetings_per_month = u32::MAX;
    let settings = FeedSettings {
        name: parts.table.name.to_string(),
        source: place("feed:events", &subscribed.url, &subscribed.credentials),
        poll: subscribed.poll,
        publish,
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
