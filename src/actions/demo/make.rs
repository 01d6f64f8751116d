//! Making the demo's base model again: a random start, then every weight trained on the world's pages.
//!
//! `togi demo --make DIR` runs this; what is stored in `assets/demo` is its result with the numbers below.

use std::path::{Path, PathBuf};

use crate::job::{Control, Ending, Job, Outcome, State};
use crate::model::description::{Activation, Description, Family, Norm, Rotary, RotaryScaling};
use crate::prompt::{Kind, Prompt, Record, Style};
use crate::worker::making::{self, MakeError, Precision};
use crate::worker::model::Opened;
use crate::worker::training::{self, Prepared};
use crate::worker::{BaseModel, Event, Method, Settings, TooLong};

use super::assets::{SEED, TOKENIZER, VOCABULARY};
use super::pages::pretraining_text;
use crate::actions::context::ActionError;

/// How long the base model is trained, in pages drawn from the world.
///
/// The first stage learns whole pages. The second goes on with new pages and learns only what follows the minutes:
/// there everything is to be copied and kept together, while who will do what next in the minutes is anybody's guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    pub whole: usize,
    pub after_minutes: usize,
}

impl Default for Length {
    fn default() -> Self {
        Self { whole: 40_000, after_minutes: 40_000 }
    }
}

/// The base model's shape.
#[must_use]
pub fn description() -> Description {
    Description {
        family: Family::Llama,
        vocab: VOCABULARY,
        hidden: 192,
        layers: 4,
        heads: 6,
        kv_heads: 6,
        head_dim: 32,
        intermediate: 512,
        context: 512,
        norm: Norm::Rms { eps: 1e-5 },
        qk_norm: false,
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

/// How every weight is trained in a stage.
fn settings(first: bool) -> Settings {
    Settings {
        method: Method::Full,
        learning_rate: if first { 3e-3 } else { 2e-3 },
        warmup: 0.02,
        warmup_steps: 50,
        final_share: 0.02,
        weight_decay: 0.1,
        beta2: 0.95,
        batch: 8,
        epochs: 1,
        max_length: 448,
        pass_tokens: 4096,
        share_prefix: false,
        evaluations: 20,
        patience: 0,
        valid: 0.0,
        samples: 0,
        too_long: TooLong::Drop,
        seed: SEED,
        ..Settings::default()
    }
}

/// A page as a text, or as minutes with what follows them as the answer.
fn record((i, text): (usize, String), whole: bool) -> Record {
    let split = if whole { None } else { text.split_once("\n\n") };
    let kind = match split {
        Some((minutes, rest)) => {
            let prompt = serde_json::Value::String(format!("{minutes}\n\n"));
            Kind::Pair { fields: [("prompt".to_owned(), prompt)].into_iter().collect(), answer: Some(rest.to_owned()) }
        }
        None => Kind::Text { text },
    };
    Record { id: format!("page-{i}"), kind, references: Vec::new(), category: None }
}

/// Trains the base model from a random start and writes its folder, in `f16`, to `dir/model`. The runs lie beside it;
/// called again after an interruption, it goes on with them.
///
/// # Errors
/// When a file cannot be written, or a run is stopped before its end.
pub fn make(
    dir: &Path,
    length: Length,
    threads: usize,
    control: &Control,
    watch: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<PathBuf, ActionError> {
    let made = |e: MakeError| ActionError::Refused(e.to_string());
    let description = description();
    let (start, between, out) = (dir.join("start"), dir.join("between"), dir.join("model"));
    if !start.exists() {
        making::start(&start, &description, TOKENIZER, SEED).map_err(made)?;
    }
    let mut pages = pretraining_text(SEED, length.whole + length.after_minutes).enumerate();
    let whole: Vec<Record> = pages.by_ref().take(length.whole).map(|page| record(page, true)).collect();
    let after: Vec<Record> = pages.map(|page| record(page, false)).collect();
    let first = stage(&dir.join("runs"), &start, whole, settings(true), threads, control, watch)?;
    if !between.exists() {
        making::finish(&between, &first, &description, TOKENIZER, Precision::F32).map_err(made)?;
    }
    let second = stage(&dir.join("runs-after-minutes"), &between, after, settings(false), threads, control, watch)?;
    making::finish(&out, &second, &description, TOKENIZER, Precision::F16).map_err(made)?;
    Ok(out)
}

/// Carries out one stage from the model in `from`, or what an interrupted one left to do, and returns its last
/// checkpoint.
fn stage(
    runs: &Path,
    from: &Path,
    mut pages: Vec<Record>,
    settings: Settings,
    threads: usize,
    control: &Control,
    watch: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<PathBuf, ActionError> {
    let last = |job: &Job| -> Result<PathBuf, ActionError> {
        let checkpoint = job.latest_checkpoint()?;
        Ok(checkpoint.ok_or_else(|| ActionError::Refused("the run left no checkpoint".into()))?.dir)
    };
    let earlier = Job::list(runs)?.into_iter().flatten().next_back();
    let (job, resume) = if let Some(job) = earlier {
        if matches!(job.state()?, State::Ended(Ending { outcome: Outcome::Finished, .. })) {
            return last(&job);
        }
        let resume = job.latest_checkpoint()?.is_some();
        (job, resume)
    } else {
        let from =
            from.canonicalize().map_err(|cause| ActionError::File { action: "find", path: from.to_owned(), cause })?;
        let prompt = Prompt { template: Some("{{ prompt }}".into()), style: Style::Plain, ..Prompt::default() };
        let opened = Opened::open(&from, prompt.clone())?;
        let path = from.display().to_string();
        let identity = opened.source.identity().to_owned();
        let base = BaseModel { name: path.clone(), path, revision: None, identity };
        let held = pages.split_off(pages.len() - (pages.len() / 10).min(256));
        let Prepared { job, .. } = training::prepare(runs, &opened, base, prompt, settings, pages, held, threads)?;
        (job, false)
    };
    let summary = training::run(&job, resume, control, watch)?;
    if summary.outcome != Outcome::Finished {
        return Err(ActionError::Refused(summary.reason));
    }
    last(&job)
}
