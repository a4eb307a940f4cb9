//! What runs in a process of its own: passes over a home's calendar. Prints what it took as one line
//! of JSON.

use std::path::Path;
use std::process::{Command, Stdio};

use meetbridge::calendar::Scope;

use crate::folder;
use crate::support::Result;
use crate::support::measure::percentile;
use crate::support::passes::{Cost, settle};

/// The first argument of a child.
pub(crate) const FLAG: &str = "--child";

/// How many passes the median is of.
const PASSES: usize = 20;

/// What a child is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Pass until nothing is left to be done at once.
    Link,
    /// Pass again and again with nothing changed; CPU and wall time are the median's.
    Quiet,
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
            let (bridge, calendar) = folder::open(home)?;
            settle(&bridge, &calendar, Scope::All).await
        }
    })?;
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

async fn quiet(home: &Path) -> Result<Cost> {
    let (bridge, calendar) = folder::open(home)?;
    // The first of a process confirms what had been written, and fills its caches.
    let mut all = settle(&bridge, &calendar, Scope::All).await?;
    let (mut cpus, mut walls) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        let cost = settle(&bridge, &calendar, Scope::All).await?;
        cpus.push(cost.cpu);
        walls.push(cost.wall);
        all.read += cost.read;
        all.memory = cost.memory;
    }
    Ok(Cost {
        cpu: percentile(&mut cpus, 0.5),
        wall: percentile(&mut walls, 0.5),
        ..all
    })
}
