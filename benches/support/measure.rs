//! Figures, and where they come from.

use std::borrow::Cow;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How wide the first columns of the table are.
const OPERATION: usize = 52;
const NAME: usize = 24;

/// One measured figure of an operation.
pub(crate) struct Figure {
    name: Cow<'static, str>,
    value: f64,
    unit: &'static str,
    /// The most it may be; `None`: told for information.
    budget: Option<f64>,
}

impl Figure {
    /// A figure that is told for information.
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            budget: None,
        }
    }

    /// A figure that may be at most `budget`.
    pub(crate) fn within(self, budget: f64) -> Self {
        Self {
            budget: Some(budget),
            ..self
        }
    }

    /// A row of the table.
    pub(crate) fn line(&self, operation: &str) -> String {
        let Self {
            name,
            value,
            unit,
            budget,
        } = self;
        let value = format!("{value:.1} {unit}");
        let (budget, verdict) = match (budget, self.met()) {
            (Some(budget), Some(met)) => (
                format!("{budget} {unit}"),
                if met { "met" } else { "NOT MET" },
            ),
            _ => (String::new(), ""),
        };
        format!("{operation:<OPERATION$} {name:<NAME$} {value:>11} {budget:>11} {verdict}")
            .trim_end()
            .to_owned()
    }

    /// A line for machines.
    pub(crate) fn json(&self, operation: &str) -> String {
        serde_json::json!({
            "operation": operation,
            "figure": self.name,
            "value": self.value,
            "unit": self.unit,
            "budget": self.budget,
            "met": self.met(),
        })
        .to_string()
    }

    /// The head of the table.
    pub(crate) fn head() -> String {
        format!(
            "{:<OPERATION$} {:<NAME$} {:>11} {:>11}",
            "operation", "figure", "value", "budget"
        )
    }

    fn met(&self) -> Option<bool> {
        self.budget.map(|budget| self.value <= budget)
    }
}

/// The CPU time of this process so far, all threads, also those that have ended.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default());
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}

/// The peak memory (VmHWM) of a process, in MiB; `None` when it is gone.
pub(crate) fn peak_memory(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

/// The value that a share of `values` does not exceed; 0 for none.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// In milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
