//! What a run writes down of itself, step by step and at its end.

use serde::{Deserialize, Serialize};

use crate::job::Outcome;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Optimizer steps done, from 1.
    pub step: u64,
    /// Passes over the data done, with their fraction.
    pub epoch: f64,
    /// Mean negative log-likelihood of the step's supervised tokens, in nats. Absent on a line of the evaluation
    /// before step 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Before clipping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// Supervised tokens trained on so far.
    pub supervised: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Resident memory of the process, in MiB.
    pub memory_mib: u64,
    /// Mean over the validation rows' supervised tokens, in nats, where the step was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_loss: Option<f64>,
}

/// One line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub step: u64,
    pub id: String,
    pub answer: String,
}

/// What a run did in all, as `togi train --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub run: String,
    /// Training rows.
    pub rows: usize,
    pub steps: u64,
    /// Seconds of training, without evaluation.
    pub seconds: f64,
    pub tokens_per_s: f64,
    pub supervised_per_s: f64,
    pub tokens: u64,
    pub supervised: u64,
    /// Most resident memory, in MiB.
    pub peak_mib: u64,
    /// Mean loss of the last step.
    pub loss: f64,
    /// The lowest validation loss and its step.
    pub best: Option<(f64, u64)>,
    pub outcome: Outcome,
    /// Why it ended, in words.
    pub reason: String,
}

/// Resident memory of this process now and at its most, in MiB; zeros where the system does not say.
#[must_use]
pub fn memory_mib() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    (kib("VmRSS:").unwrap_or(0) / 1024, kib("VmHWM:").unwrap_or(0) / 1024)
}
