//! What runs in a process of its own: passes over a home's calendar. Prints what it took as one line
//! of JSON.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use meetbridge::calendar::Scope;
use serde::{Deserialize, Serialize};

use crate::measure::{cpu, ms, peak_memory, percentile};
use crate::{Result, world};

/// The first argument of a child.
pub(crate) const FLAG: &str = "--child";

/// How many passes the median is of.
const PASSES: usize = 20;

/// What a child is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Pass until nothing is left to be done at once.
    Link,
    /// Pass again and again with nothing changed.
    Quiet,
}

/// What it took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// In milliseconds; of [`Task::Quiet`] the median of the passes.
    pub(crate) cpu: f64,
    /// The same.
    pub(crate) wall: f64,
    /// VmHWM in MiB.
    pub(crate) memory: f64,
    /// Resources that were read.
    pub(crate) read: usize,
    /// Resources that were written.
    pub(crate) written: usize,
    /// What the last pass found unchanged.
    pub(crate) unchanged: usize,
}

/// Starts a child and waits for what it tells.
pub(crate) fn measure(task: Task, home: &Path) -> Result<Cost> {
    let output = Command::new(std::env::current_exe()?)
        .args([FLAG, &format!("{task:?}")])
        .arg(home)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).map_err(|_| format!("{task:?}: {text}").into())
}

/// The child's side.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [task, home] = arguments else {
        return Err("the child needs a task and a home".into());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let home = Path::new(home);
    let cost = runtime.block_on(async {
        if *task == format!("{:?}", Task::Quiet) {
            quiet(home).await
        } else {
            link(home).await
        }
    })?;
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

async fn link(home: &Path) -> Result<Cost> {
    let (bridge, calendar) = world::assemble(home)?;
    let (began, spent) = (bridge.clock.elapsed(), cpu());
    let mut total = bridge.pass(&calendar, Scope::All).await?;
    while !total.again.is_empty() {
        let again = std::mem::take(&mut total.again);
        total.merge(bridge.pass(&calendar, Scope::Only(again)).await?);
    }
    if total.failed > 0 {
        return Err(format!("{} failed", total.failed).into());
    }
    Ok(Cost {
        cpu: ms(cpu() - spent),
        wall: ms(bridge.clock.elapsed() - began),
        memory: peak_memory("self").unwrap_or_default(),
        read: total.read,
        written: total.written,
        unchanged: total.unchanged,
    })
}

async fn quiet(home: &Path) -> Result<Cost> {
    let (bridge, calendar) = world::assemble(home)?;
    // The first of a process confirms what had been written, and fills its caches.
    let first = bridge.pass(&calendar, Scope::All).await?;
    let (mut cpus, mut walls, mut read) = (Vec::new(), Vec::new(), first.read);
    for _ in 0..PASSES {
        let (began, spent): (Duration, Duration) = (bridge.clock.elapsed(), cpu());
        let report = bridge.pass(&calendar, Scope::All).await?;
        cpus.push(ms(cpu() - spent));
        walls.push(ms(bridge.clock.elapsed() - began));
        read += report.read;
    }
    Ok(Cost {
        cpu: percentile(&mut cpus, 0.5),
        wall: percentile(&mut walls, 0.5),
        memory: peak_memory("self").unwrap_or_default(),
        read,
        written: 0,
        unchanged: first.unchanged,
    })
}
