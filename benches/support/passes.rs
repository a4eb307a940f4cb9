//! Passes over a calendar, and what they take.

use meetbridge::calendar::Scope;
use meetbridge::sync::{Bridge, Watched};
use serde::{Deserialize, Serialize};

use super::Result;
use super::measure::{cpu, ms, peak_memory};

/// What something took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// In milliseconds.
    pub(crate) cpu: f64,
    /// In milliseconds.
    pub(crate) wall: f64,
    /// VmHWM in MiB, since the process began.
    pub(crate) memory: f64,
    /// Resources that were read.
    pub(crate) read: usize,
    /// Meetings that were made.
    pub(crate) created: usize,
    /// Resources that were written.
    pub(crate) written: usize,
    /// What the last pass found unchanged.
    pub(crate) unchanged: usize,
}

/// Passes until nothing is left to be done at once.
pub(crate) async fn settle(bridge: &Bridge, calendar: &Watched, scope: Scope) -> Result<Cost> {
    let (began, spent) = (bridge.clock.elapsed(), cpu());
    let mut total = bridge.pass(calendar, scope).await?;
    while !total.again.is_empty() {
        let again = std::mem::take(&mut total.again);
        total.merge(bridge.pass(calendar, Scope::Only(again)).await?);
    }
    if total.failed > 0 {
        return Err(format!("{} failed", total.failed).into());
    }
    Ok(Cost {
        cpu: ms(cpu() - spent),
        wall: ms(bridge.clock.elapsed() - began),
        memory: peak_memory("self").unwrap_or_default(),
        read: total.read,
        created: total.created,
        written: total.written,
        unchanged: total.unchanged,
    })
}
