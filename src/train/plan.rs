//! A training as it is frozen before it starts: everything that the trainer reads, and nothing it would look up later.

use serde::{Deserialize, Serialize};

use crate::prompt::Prompt;

use super::settings::Settings;

/// The model a run starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseModel {
    /// Path of the GGUF file or the folder, absolute.
    pub path: String,
    /// What a person called it: a Hub id, or the path again.
    pub name: String,
    /// The Hub's revision, if it came from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Fingerprint of the weights; a run refuses to resume on others.
    pub identity: String,
}

/// What `plan.toml` holds of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub base: BaseModel,
    /// The settings with nothing left open: `max_length` and `steps` are numbers.
    pub settings: Settings,
    /// Optimizer steps in all.
    pub steps: u64,
    /// Steps from one evaluation to the next.
    pub evaluate_every: u64,
    /// Worker threads: the order of sums, and with it exact resume, depends on them.
    pub threads: usize,
    pub prompt: Prompt,
}

impl Plan {
    /// Steps that `rows` training rows give under `settings`.
    #[must_use]
    pub fn count_steps(settings: &Settings, rows: usize) -> u64 {
        let each = rows.div_ceil(settings.batch.max(1)) as u64;
        let all = each * settings.epochs.max(u64::from(settings.steps > 0));
        if settings.steps == 0 {
            all
        } else if settings.epochs == 0 {
            settings.steps
        } else {
            settings.steps.min(all)
        }
    }

    /// Steps between evaluations: a share of an epoch, at least one.
    #[must_use]
    pub fn count_between(settings: &Settings, rows: usize) -> u64 {
        let each = rows.div_ceil(settings.batch.max(1)) as u64;
        (each / settings.evaluations.max(1)).max(1)
    }
}
