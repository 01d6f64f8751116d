//! What a person may set about a training, with defaults that suit about 1,000 pairs on models of 135M to 1B.

use serde::{Deserialize, Serialize};

use super::optimizer::AdamW;
use super::schedule::{Rate, Schedule};
use crate::model::description::{Description, Linear};
use crate::model::device::choose::{Precision, Wish};
use crate::model::families;
use crate::model::lora::LoraConfig;

/// What happens to a record whose prompt and answer are longer than the window. An answer is never cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TooLong {
    /// Refuse to start and list the records.
    Stop,
    /// Leave them out and say how many.
    Drop,
}

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A low-rank adapter on a frozen model.
    Lora,
    /// Every weight: for small models made from a random start.
    Full,
}

/// The `[train]` table of `togi.toml`, and what `--set train.KEY=VALUE` changes.
#[allow(clippy::struct_excessive_bools)] // independent switches that a person sets by name
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `lora`, or `full` for every weight of a small model.
    pub method: Method,
    /// Rank of the adapter.
    pub rank: usize,
    /// Its numerator: the adapter's output is scaled by alpha / rank.
    pub alpha: f64,
    /// Dropout on the adapter's input.
    pub dropout: f64,
    /// Adapted linear layers by their names in the checkpoint (`q_proj`); empty for all of attention and MLP.
    pub targets: Vec<String>,
    /// Scale by alpha / sqrt(rank).
    pub rslora: bool,
    /// Peak learning rate; 0 chooses by the model's size ([`Settings::usual_rate`]).
    pub learning_rate: f64,
    /// `cosine`, `linear` or `constant`.
    pub schedule: Schedule,
    /// Share of the steps that the rate takes to reach its peak (never fewer than `warmup_steps`).
    pub warmup: f64,
    /// Fewest steps of warm-up.
    pub warmup_steps: u64,
    /// Share of the peak that is left at the end.
    pub final_share: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// Largest norm of the gradient; 0 for no limit.
    pub clip: f64,
    /// Records in one optimizer step.
    pub batch: usize,
    /// Passes over the training records.
    pub epochs: u64,
    /// Steps in all, if fewer than the epochs would give; 0 for no limit.
    pub steps: u64,
    /// Longest record in tokens; 0 for the 99th percentile of the data, at most 1024.
    pub max_length: usize,
    /// `stop` or `drop`.
    pub too_long: TooLong,
    /// Train on the prompt's tokens as well.
    pub supervise_prompt: bool,
    /// Tokens that one pass holds at once, which bounds the memory of activations; 0 for what [`Settings::passes`] says. The plan of a
    /// run on the processor names them; on a device 0 stays, so that the run may go on where there is none.
    pub pass_tokens: usize,
    /// `auto`, `cpu` or `cuda`.
    pub device: Wish,
    /// Weights and activations on a GPU: `auto` (bf16), `bf16` or `f32`.
    pub precision: Precision,
    /// Compute a shared beginning of prompts once a pass.
    pub share_prefix: bool,
    /// Keep only each block's input and compute the rest again: less memory, about a third more time.
    pub checkpointing: bool,
    /// Evaluations in an epoch.
    pub evaluations: u64,
    /// Evaluations without a better validation loss before the run stops; 0 never stops it.
    pub patience: u64,
    /// Share of the training records held out when no validation file is given.
    pub valid: f64,
    /// Records whose answers are sampled at each evaluation.
    pub samples: usize,
    /// Seed of the adapter's start, of the order of records and of dropout.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            method: Method::Lora,
            rank: 16,
            alpha: 32.0,
            dropout: 0.05,
            targets: Vec::new(),
            rslora: false,
            learning_rate: 0.0,
            schedule: Schedule::Cosine,
            warmup: 0.05,
            warmup_steps: 10,
            final_share: 0.1,
            weight_decay: 0.0,
            beta1: 0.9,
            beta2: 0.999,
            clip: 1.0,
            batch: 8,
            epochs: 3,
            steps: 0,
            max_length: 0,
            too_long: TooLong::Stop,
            supervise_prompt: false,
            pass_tokens: 0,
            device: Wish::Auto,
            precision: Precision::Auto,
            share_prefix: true,
            checkpointing: false,
            evaluations: 4,
            patience: 3,
            valid: 0.1,
            samples: 2,
            seed: 0,
        }
    }
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The table does not fit, as with an unknown key.
    #[error("in the [train] settings: {0}")]
    Table(String),
    /// A value is of another type than its setting.
    #[error("train.{key} = {value} {wanted}")]
    Kind { key: String, value: String, wanted: String },
    /// A value makes no sense.
    #[error("train.{key} = {value} {problem}")]
    Value { key: &'static str, value: String, problem: &'static str },
    /// A target is no linear layer of the model.
    #[error("train.targets names {name:?}, which is no linear layer of this model; it has {}", known.join(", "))]
    Target { name: String, known: Vec<String> },
}

/// What a setting takes, in place of the parser's words for it: after "train.KEY = VALUE". `None` for a key that there is none of.
fn wanted(key: &str, value: &toml::Value) -> Option<String> {
    let default = toml::Table::try_from(Settings::default()).ok()?.remove(key)?;
    Some(match default {
        toml::Value::Integer(_) => "is no whole number from 0 on".to_owned(),
        toml::Value::Float(_) => "is no number".to_owned(),
        toml::Value::Boolean(_) => "is neither true nor false".to_owned(),
        toml::Value::Array(_) => {
            let names = value.as_str().unwrap_or("q_proj,v_proj").split([',', ' ']).filter(|name| !name.is_empty());
            let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
            format!("is no list of texts; write it as --set 'train.{key}=[{}]'", names.join(", "))
        }
        // One of several words, which the parser names: "unknown variant `?`, expected one of `a`, `b`".
        _ => {
            let none = toml::Table::from_iter([(key.to_owned(), toml::Value::String("?".to_owned()))]);
            let named = none.try_into::<Settings>().err()?.message().split_once("expected ")?.1.to_owned();
            format!("is none of {}", named.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(", "))
        }
    })
}

impl Settings {
    /// The defaults with a table of settings laid over them.
    ///
    /// # Errors
    /// When a key is unknown, a value has another type, or makes no sense.
    pub fn from_table(table: &toml::Table) -> Result<Self, SettingsError> {
        let parse = |table: toml::Table| table.try_into().map_err(|e: toml::de::Error| e.message().to_owned());
        let settings: Self = parse(table.clone()).map_err(|reason| {
            // Tried one by one, because the error itself does not name its key.
            let wrong = table.iter().find_map(|(key, value)| {
                let alone = toml::Table::from_iter([(key.clone(), value.clone())]);
                let reason = parse(alone).map(|_: Self| ()).err()?;
                Some((key, value, reason))
            });
            let Some((key, value, why)) = wrong else { return SettingsError::Table(reason) };
            match wanted(key, value) {
                Some(wanted) => SettingsError::Kind { key: key.clone(), value: value.to_string(), wanted },
                None => SettingsError::Table(format!("{key} = {value}: {why}")),
            }
        })?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let refuse = |key, value: String, problem| Err(SettingsError::Value { key, value, problem });
        if self.rank == 0 || self.rank > 4096 {
            return refuse("rank", self.rank.to_string(), "must be between 1 and 4096");
        }
        if self.batch == 0 {
            return refuse("batch", "0".into(), "must be at least 1 record");
        }
        if self.epochs == 0 && self.steps == 0 {
            return refuse("epochs", "0".into(), "trains nothing; set at least 1, or steps");
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return refuse("dropout", self.dropout.to_string(), "must be at least 0 and less than 1");
        }
        for (key, value) in [("valid", self.valid), ("warmup", self.warmup), ("final_share", self.final_share)] {
            if !(0.0..=1.0).contains(&value) {
                return refuse(key, value.to_string(), "is a share, from 0 to 1");
            }
        }
        if self.valid > 0.9 {
            return refuse("valid", self.valid.to_string(), "leaves too little to train on; at most 0.9");
        }
        if !self.alpha.is_finite() || self.alpha <= 0.0 {
            return refuse("alpha", self.alpha.to_string(), "must be over 0");
        }
        let more = [("learning_rate", self.learning_rate), ("weight_decay", self.weight_decay), ("clip", self.clip)];
        for (key, value) in more {
            if !value.is_finite() || value < 0.0 {
                return refuse(key, value.to_string(), "must not be negative");
            }
        }
        for (key, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return refuse(key, value.to_string(), "must be at least 0 and less than 1");
            }
        }
        Ok(())
    }

    /// The adapter these settings ask for on a model.
    ///
    /// # Errors
    /// When a target is no linear layer of the model.
    pub fn lora(&self, description: &Description) -> Result<LoraConfig, SettingsError> {
        let all = families::linears(description);
        let name = |linear: Linear| families::short_name(linear, description.family);
        let targets = if self.targets.is_empty() {
            all
        } else {
            let known = || all.iter().map(|&l| name(l).to_owned()).collect();
            let find = |wanted: &String| {
                all.iter()
                    .copied()
                    .find(|&l| name(l) == wanted.as_str())
                    .ok_or_else(|| SettingsError::Target { name: wanted.clone(), known: known() })
            };
            self.targets.iter().map(find).collect::<Result<_, _>>()?
        };
        Ok(LoraConfig { rank: self.rank, alpha: self.alpha, dropout: self.dropout, targets, rslora: self.rslora })
    }

    /// The peak learning rate for a model of so many parameters where none is set: 1e-3 for a LoRA under 500 million
    /// (SmolLM2-135M on 1,000 NLU++ pairs, three epochs, 200 development rows: 39 % exact with it and batches of 8, 16 % with
    /// 3e-4 and 16), 2e-4 for a larger one, 3e-4 where all weights are trained.
    #[must_use]
    pub fn usual_rate(&self, parameters: usize) -> f64 {
        match self.method {
            Method::Full => 3e-4,
            Method::Lora if parameters < 500_000_000 => 1e-3,
            Method::Lora => 2e-4,
        }
    }

    /// Tokens that one pass holds at once. Where none are set, a device gets eight times what the processor does: its kernels are
    /// started one by one, and short passes leave it idle in between.
    #[must_use]
    pub fn passes(&self, on_device: bool) -> usize {
        match (self.pass_tokens, on_device) {
            (0, false) => 2048,
            (0, true) => 16_384,
            (set, _) => set,
        }
    }

    /// The learning rate over `steps` steps.
    #[must_use]
    pub fn rate(&self, steps: u64) -> Rate {
        let share = (steps as f64 * self.warmup).floor() as u64;
        let warmup = share.max(self.warmup_steps);
        Rate { schedule: self.schedule, peak: self.learning_rate, final_share: self.final_share, warmup, steps }
    }

    /// The optimizer's constants.
    #[must_use]
    pub fn adam(&self) -> AdamW {
        AdamW { beta1: self.beta1, beta2: self.beta2, eps: 1e-8, weight_decay: self.weight_decay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_type_is_said_in_words() {
        let told = |text: &str| Settings::from_table(&text.parse().unwrap()).unwrap_err().to_string();
        for (text, words) in [
            ("rank = 1.5", "train.rank = 1.5 is no whole number from 0 on"),
            ("rank = -1", "train.rank = -1 is no whole number from 0 on"),
            ("alpha = \"much\"", "train.alpha = \"much\" is no number"),
            ("rslora = 1", "train.rslora = 1 is neither true nor false"),
            ("schedule = \"sine\"", "train.schedule = \"sine\" is none of cosine, linear, constant"),
            ("too_long = 3", "train.too_long = 3 is none of stop, drop"),
            (
                "targets = \"q_proj, v_proj\"",
                "train.targets = \"q_proj, v_proj\" is no list of texts; write it as --set 'train.targets=[\"q_proj\", \"v_proj\"]'",
            ),
            (
                "targets = 3",
                "train.targets = 3 is no list of texts; write it as --set 'train.targets=[\"q_proj\", \"v_proj\"]'",
            ),
        ] {
            assert_eq!(told(text), words);
        }
        assert!(told("rnk = 3").contains("rnk"));
    }
}
