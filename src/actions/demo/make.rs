//! Making the demo's base model again: a random start, then every weight trained on the world's pages.
//!
//! `togi demo --make DIR` runs this; what is stored in `assets/demo` is its result with the numbers below.

use std::path::{Path, PathBuf};

use crate::job::Control;
use crate::model::description::{Activation, Description, Family, Norm, Rotary, RotaryScaling};
use crate::prompt::{Kind, Prompt, Record, Style};
use crate::worker::making::{self, MakeError, Precision};
use crate::worker::model::Opened;
use crate::worker::training::{self, Prepared};
use crate::worker::{BaseModel, Event, Method, Settings};

use super::assets::{SEED, TOKENIZER, VOCABULARY};
use super::pages::pretraining_text;
use crate::actions::context::ActionError;

/// How long the base model is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Pages drawn from the world.
    pub pages: usize,
    /// Passes over them.
    pub epochs: u64,
}

impl Default for Length {
    fn default() -> Self {
        Self { pages: 64_000, epochs: 1 }
    }
}

/// The field of a record that holds a page's minutes.
const MINUTES: &str = "minutes";

/// A page as a record. The model learns to write the whole of one page in five, minutes included; of the others it learns
/// what stands behind the minutes, which it can know, and is not distracted by what nobody could foresee. Finding things
/// in the minutes is learned in half the tokens so.
fn record((index, text): (usize, String)) -> Record {
    let kind = match text.split_once("\n\n") {
        Some((minutes, behind)) if index % 5 != 0 => {
            let field = (MINUTES.to_owned(), format!("{minutes}\n\n").into());
            Kind::Pair { fields: [field].into_iter().collect(), answer: Some(behind.to_owned()) }
        }
        _ => Kind::Text { text },
    };
    Record { id: format!("page-{index}"), kind, references: Vec::new(), category: None }
}

/// The base model's shape.
#[must_use]
pub fn description() -> Description {
    Description {
        family: Family::Qwen3,
        vocab: VOCABULARY,
        hidden: 192,
        layers: 4,
        heads: 6,
        kv_heads: 6,
        head_dim: 32,
        intermediate: 512,
        context: 512,
        norm: Norm::Rms { eps: 1e-5 },
        qk_norm: true,
        post_norms: false,
        parallel_residual: false,
        qkv_bias: false,
        output_bias: false,
        mlp_bias: false,
        gated_mlp: true,
        activation: Activation::Silu,
        tied: true,
        embedding_scale: 1.0,
        attention_scale: 1.0 / 32f32.sqrt(),
        rotary: Rotary { dims: 32, theta: 10_000.0, scaling: RotaryScaling::None },
        local_rotary: None,
        window: None,
        local_layers: Vec::new(),
        bos: None,
        eos: vec![0],
    }
}

/// How every weight is trained.
fn settings(length: Length) -> Settings {
    Settings {
        method: Method::Full,
        learning_rate: 3e-3,
        warmup: 0.02,
        warmup_steps: 50,
        final_share: 0.02,
        weight_decay: 0.1,
        beta2: 0.95,
        batch: 8,
        epochs: length.epochs,
        max_length: 448,
        pass_tokens: 4096,
        share_prefix: false,
        evaluations: 20,
        patience: 0,
        valid: 0.0,
        samples: 0,
        seed: SEED,
        ..Settings::default()
    }
}

/// Trains the base model from a random start and writes its folder, in `f16`, to `dir/model`. The run lies beside it
/// and is resumed where it was interrupted.
///
/// # Errors
/// When a file cannot be written, or the run is stopped before its end.
pub fn make(
    dir: &Path,
    length: Length,
    threads: usize,
    control: &Control,
    watch: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<PathBuf, ActionError> {
    let made = |e: MakeError| ActionError::Refused(e.to_string());
    let (start, runs, out) = (dir.join("start"), dir.join("runs"), dir.join("model"));
    let description = description();
    let interrupted = crate::job::Job::list(&runs)?.into_iter().flatten().next_back();
    let (job, resume) = if let Some(job) = interrupted {
        let resume = job.latest_checkpoint()?.is_some();
        (job, resume)
    } else {
        making::start(&start, &description, TOKENIZER, SEED).map_err(made)?;
        let start = start.canonicalize().map_err(|cause| ActionError::File { action: "find", path: start, cause })?;
        let template = Some(format!("{{{{ {MINUTES} }}}}"));
        let prompt = Prompt { template, style: Style::Plain, ..Prompt::default() };
        let opened = Opened::open(&start, prompt.clone())?;
        let path = start.display().to_string();
        let identity = opened.source.identity().to_owned();
        let base = BaseModel { name: path.clone(), path, revision: None, identity };
        let mut pages: Vec<Record> = pretraining_text(SEED, length.pages).enumerate().map(record).collect();
        let held = pages.split_off(pages.len() - (pages.len() / 10).min(256));
        let settings = settings(length);
        let checked = training::check(&opened, base, prompt, settings, pages.into(), held.into(), threads)?;
        let Prepared { job, .. } = checked.freeze(&runs)?;
        (job, false)
    };
    let summary = training::run(&job, resume, control, watch)?;
    if summary.outcome != crate::job::Outcome::Finished {
        return Err(ActionError::Refused(summary.reason));
    }
    let last = job.latest_checkpoint()?.ok_or_else(|| ActionError::Refused("the run left no checkpoint".into()))?;
    making::finish(&out, &last.dir, &description, TOKENIZER, Precision::F16).map_err(made)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_model_has_learned_and_is_the_same_each_time() {
        let make_one = || {
            let dir = tempfile::tempdir().expect("a folder");
            let mut losses = Vec::new();
            let made = make(dir.path(), Length { pages: 48, epochs: 2 }, 1, &Control::new(), &mut |event| {
                if let Event::Metrics(m) = event {
                    losses.extend(m.loss);
                }
            });
            let made = made.expect("a model is made");
            Opened::open(&made, Prompt::default()).expect("it opens").load().expect("its weights load");
            (losses, std::fs::read(made.join("model.safetensors")).expect("its weights are there"))
        };
        let (losses, weights) = make_one();
        assert!(losses.len() > 8 && losses[losses.len() - 1] < losses[0] - 0.5, "{losses:?}");
        let (again, same) = make_one();
        assert!(losses == again && weights == same, "the same seed makes the same model");
    }

    #[test]
    fn most_pages_teach_only_what_stands_behind_their_minutes() {
        let records: Vec<Record> = pretraining_text(1, 50).enumerate().map(record).collect();
        let whole = records.iter().filter(|r| matches!(r.kind, Kind::Text { .. })).count();
        assert_eq!(whole, 10);
        for (record, page) in records.iter().zip(pretraining_text(1, 50)) {
            if let Kind::Pair { fields, answer } = &record.kind {
                let minutes = fields.get(MINUTES).and_then(|m| m.as_str()).expect("minutes");
                assert_eq!(format!("{minutes}{}", answer.as_deref().unwrap_or_default()), page);
            }
        }
    }
}
