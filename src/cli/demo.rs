//! `meetbridge demo`: everything at once on one machine, without any account.
//!
//! The embedded simulator stands in for Microsoft Graph; the rest is the real thing: a directory of
//! calendar files, the watcher, the daemon.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Context, Exit, assemble, output};
use crate::clock::Clock as _;
use crate::config::Config;
use crate::daemon::{self, Kept};
use crate::plan::Decision;
use crate::simulator::{ORGANIZER, Settings, Simulator, TENANT_DOMAIN};
use crate::sync::Bridge;

mod samples;

/// How often the directory is looked at for what to show.
const LOOK: Duration = Duration::from_millis(50);

/// How long the events may take to get their links.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn demo(context: &Context, once: bool) -> Exit {
    match try_demo(context, once).await {
        Ok(exit) => exit,
        Err(error) => {
            output::fail(&format!("the demo: {error}"));
            Exit::Failed
        }
    }
}

async fn try_demo(context: &Context, once: bool) -> std::io::Result<Exit> {
    let stop = daemon::stop_on_signal()?;
    let simulator = Simulator::start(Settings::new(context.clock.clone())).await?;
    let home = tempfile::Builder::new()
        .prefix("meetbridge-demo-")
        .tempdir()?;
    let calendar = home.path().join("calendar");
    std::fs::create_dir(&calendar)?;
    let secret = simulator.write_secret(home.path())?;
    let level = if once { "warn" } else { "info" };
    let text = configuration(&simulator, home.path(), &calendar, &secret, level);
    let config = match Config::parse(&text, "the demo's configuration", &context.machine) {
        Ok(config) => config,
        Err(faults) => return Err(std::io::Error::other(faults.to_string())),
    };
    if context.init_log(&config).is_err() {
        return Ok(Exit::Failed);
    }
    let parts = assemble::open_state(context, &config)
        .and_then(|state| assemble::parts(context, &config, state, None));
    let parts = match parts {
        Ok(parts) => parts,
        Err(exit) => return Ok(exit),
    };
    let (calendars, _) = parts.calendars().await;

    output::print(&format!(
        "The calendar is a directory: {}\nMicrosoft Graph is a simulator on this machine: {}\n",
        calendar.display(),
        simulator.graph_url()
    ));
    let mut shown = Shown::default();
    for (name, text) in samples::files(context.clock.now()) {
        std::fs::write(calendar.join(name), text)?;
    }
    shown.look(&calendar)?;
    let before = shown.text(samples::FIRST);

    let bridge = parts.bridge;
    let running = tokio::spawn(daemon::run(
        bridge.clone(),
        parts.sources,
        Arc::default(),
        stop.clone(),
    ));
    let linked = wait_for_links(context, &calendar, &mut shown, once).await?;
    if once {
        output::print(&format!("Before:\n\n{}\nAfter:\n", indent(&before)));
        output::print(&indent(&shown.text(samples::FIRST)));
    } else if linked {
        tell_left_alone(&bridge, &calendars).await;
        invite(&calendar);
        watch(context, &calendar, &mut shown, &stop).await?;
    }
    stop.cancel();
    let finished = running.await.unwrap_or(false);
    simulator.stop().await;
    Ok(if linked && finished {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// A configuration like any other, pointed at the simulator.
fn configuration(
    simulator: &Simulator,
    home: &Path,
    calendar: &Path,
    secret: &Path,
    level: &str,
) -> String {
    let quoted = |path: &Path| toml::Value::from(path.to_string_lossy().as_ref()).to_string();
    format!(
        "{}\n[state]\ndirectory = {}\n\n[meeting]\norganizer = \"{ORGANIZER}\"\n\
         addresses = [\"organizer@{TENANT_DOMAIN}\"]\nsettle = \"0s\"\n\n\
         [log]\nlevel = \"{level}\"\n\n\
         [[calendar.directory]]\nname = \"demo\"\npath = {}\n",
        simulator.graph_toml(secret),
        quoted(&home.join("state")),
        quoted(calendar),
    )
}

/// Waits until every sample that should be linked is.
async fn wait_for_links(
    context: &Context,
    calendar: &Path,
    shown: &mut Shown,
    quiet: bool,
) -> std::io::Result<bool> {
    let began = context.clock.elapsed();
    loop {
        let news = shown.look(calendar)?;
        if !quiet {
            tell(&news);
        }
        if samples::LINKED
            .iter()
            .all(|name| has_link(&shown.text(name)))
        {
            return Ok(true);
        }
        if context.clock.elapsed() - began > PATIENCE {
            output::fail("the events did not get their links in time; see the log above");
            return Ok(false);
        }
        context.clock.sleep(LOOK).await;
    }
}

/// Says which events got no link, and why.
async fn tell_left_alone(bridge: &Bridge, calendars: &[Kept]) {
    for kept in calendars {
        let Ok(preview) = bridge.preview(&kept.calendar).await else {
            return;
        };
        for row in preview.rows {
            if let Decision::Leave(why) = row.decision
                && !why.is_linked()
            {
                output::print(&format!(
                    "= {} ({}) is left alone: {why}",
                    row.resource, row.uid
                ));
            }
        }
    }
}

fn invite(calendar: &Path) {
    output::print(&format!(
        "\nNow you: drop an .ics file into {0}, or edit one in it, and watch what happens here.\n\
         For example:\n\n  sed -i 's/Quarterly review/Yearly review/' {0}/{1}\n\nCtrl-C ends the demo.\n",
        calendar.display(),
        samples::FIRST
    ));
}

/// Shows what happens in the directory until the person stops it.
async fn watch(
    context: &Context,
    calendar: &Path,
    shown: &mut Shown,
    stop: &tokio_util::sync::CancellationToken,
) -> std::io::Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = context.clock.sleep(LOOK) => tell(&shown.look(calendar)?),
        }
    }
}

/// What was last shown of each file.
#[derive(Default)]
struct Shown {
    files: BTreeMap<String, String>,
}

/// What happened to a file.
struct News {
    name: String,
    before: Option<String>,
    after: Option<String>,
}

impl Shown {
    fn look(&mut self, calendar: &Path) -> std::io::Result<Vec<News>> {
        let mut present = BTreeMap::new();
        for entry in std::fs::read_dir(calendar)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || !name.ends_with(".ics") {
                continue;
            }
            if let Ok(bytes) = std::fs::read(entry.path()) {
                present.insert(name, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        let mut news = Vec::new();
        for (name, text) in &present {
            let before = self.files.get(name);
            if before != Some(text) {
                let (before, after) = (before.cloned(), Some(text.clone()));
                news.push(News {
                    name: name.clone(),
                    before,
                    after,
                });
            }
        }
        let gone = self
            .files
            .iter()
            .filter(|(name, _)| !present.contains_key(*name));
        news.extend(gone.map(|(name, text)| News {
            name: name.clone(),
            before: Some(text.clone()),
            after: None,
        }));
        self.files = present;
        Ok(news)
    }

    fn text(&self, name: &str) -> String {
        self.files.get(name).cloned().unwrap_or_default()
    }
}

fn tell(news: &[News]) {
    for one in news {
        let name = crate::model::Escaped(&one.name);
        match (&one.before, &one.after) {
            (_, None) => output::print(&format!("- {name} is gone; its meeting stays")),
            (before, Some(after)) => {
                let had = before.as_deref().is_some_and(has_link);
                match (had, has_link(after)) {
                    (false, true) => {
                        let link = join_link(after).unwrap_or_default();
                        let shown: String = link.chars().take(72).collect();
                        output::print(&format!("+ {name} has its link: {shown}..."));
                    }
                    (true, true) => output::print(&format!("~ {name} changed and keeps its link")),
                    (_, false) => output::print(&format!("  {name} was saved")),
                }
            }
        }
    }
}

fn has_link(text: &str) -> bool {
    text.contains("X-MEETBRIDGE-MEETING:")
}

/// The join URL of the first event; the simulator's opens nothing, so it may be shown.
fn join_link(text: &str) -> Option<String> {
    let unfolded = text.replace("\r\n ", "").replace("\n ", "");
    let line = unfolded
        .lines()
        .find(|l| l.starts_with("X-MICROSOFT-SKYPETEAMSMEETINGURL:"))?;
    line.split_once(':').map(|(_, url)| url.to_owned())
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("    {}\n", crate::model::Escaped(line)))
        .collect()
}
