//! The client's side, in a process of its own. Prints what it took as one line of JSON.

use std::path::Path;
use std::process::{Command, Stdio};

use chrono::TimeDelta;
use futures_util::{StreamExt as _, stream};
use meetbridge::meeting::Wanted;
use meetbridge::model::{ExternalId, Span};

use crate::support::measure::{cpu, ms, peak_memory};
use crate::support::passes::Cost;
use crate::support::world::assemble_for;
use crate::support::{Result, expect};

/// The first argument of a client.
pub(crate) const FLAG: &str = "--client";

/// Starts a client that makes so many meetings, and waits for what it tells.
pub(crate) fn measure(home: &Path, in_flight: usize, calls: usize) -> Result<Cost> {
    let output = Command::new(std::env::current_exe()?)
        .args([FLAG, &in_flight.to_string(), &calls.to_string()])
        .arg(home)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).map_err(|_| text.into_owned().into())
}

/// The client.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [in_flight, calls, home] = arguments else {
        return Err("the client needs how many in flight, how many calls, and a home".into());
    };
    let (in_flight, calls) = (in_flight.parse()?, calls.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let cost = runtime.block_on(make(Path::new(home), in_flight, calls))?;
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

/// As many tasks as calls may be in flight: the bound is the client's own.
async fn make(home: &Path, in_flight: usize, calls: usize) -> Result<Cost> {
    let parts = assemble_for(home, in_flight)?;
    let (meetings, clock) = (&*parts.bridge.meetings, &parts.clock);
    let start = clock.now() + TimeDelta::days(2);
    let wanted = |n: usize| Wanted {
        organizer: parts.table.organizer.clone(),
        external_id: ExternalId::stored(format!("{n:08}-4c1d-4f0e-9b7a-2f6f3f0d5a11@example.org")),
        subject: Some(format!("Weekly review of project {n}")),
        span: Span {
            start,
            end: start + TimeDelta::hours(1),
        },
        language: "en-US".into(),
        form: Default::default(),
    };
    // The token, which is asked for once an hour.
    meetings.ensure(&wanted(0)).await?;
    let (began, spent) = (clock.elapsed(), cpu());
    let made = stream::iter(1..calls)
        .map(|n| {
            let wanted = wanted(n);
            async move { meetings.ensure(&wanted).await }
        })
        .buffer_unordered(in_flight * 2)
        .filter(|made| std::future::ready(made.as_ref().is_ok_and(|made| made.created)))
        .count()
        .await;
    expect("made", made + 1, calls)?;
    Ok(Cost {
        cpu: ms(cpu() - spent),
        wall: ms(clock.elapsed() - began),
        memory: peak_memory("self").unwrap_or_default(),
        created: made + 1,
        ..Cost::default()
    })
}
