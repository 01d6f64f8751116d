//! What a training would be made of, in numbers, told before a job is made of it.
//!
//! One process checks and another shows what it found, and neither may know the other; both know jobs. So what they say stands here,
//! as `togi train --check --json` prints it.

use serde::{Deserialize, Serialize};

/// What will be trained, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Training rows.
    pub rows: usize,
    /// Rows to validate on.
    pub valid_rows: usize,
    /// Records left out because they are longer than the window, with their tokens.
    pub dropped: Vec<(String, usize)>,
    /// The window, in tokens.
    pub max_length: usize,
    /// Tokens of one pass over the rows.
    pub tokens: usize,
    /// Those that are learned.
    pub supervised: usize,
    /// Steps in all.
    pub steps: u64,
    /// Estimated peak of this machine's own memory, in bytes.
    pub needs_bytes: u64,
    /// What is free of it, where the system says.
    pub free_bytes: Option<u64>,
    /// The same of the device, where one is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Needs>,
    /// Floating-point operations of all steps and evaluations, counted on the first rows.
    #[serde(default)]
    pub flops: f64,
    /// Seconds they take at the speed that `togi bench` has measured on this machine, or `togi bench --gpu` on the device that is used.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// What a person should know of the records, though nothing stands against them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What a device has to do with a plan, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// What a person would call the device.
    pub name: String,
    /// Estimated peak of its memory, in bytes, without what its driver takes for itself.
    pub needs_bytes: u64,
    /// What is free of it, in bytes, beside that.
    pub free_bytes: u64,
    /// Tokens of a pass that this is said of.
    #[serde(default)]
    pub pass_tokens: usize,
}
