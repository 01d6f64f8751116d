//! A training job from its records to its end.
//!
//! [`check`] looks at everything that can be checked before step 0, [`Checked::freeze`] freezes plan and records in a job; [`run`]
//! reads nothing but that job and the model it names, now or after a kill.

use std::collections::HashMap;
use std::path::Path;

use crate::job::{Control, Job, JobError, Kind as JobKind, Outcome};
use crate::model::decoder::Decoder;
use crate::model::device::infer::OnDevice;
use crate::model::weights::{Source, TensorError};
use crate::prompt::preflight;
use crate::prompt::{Kind, Mode, Preflight, Prompt, Record, RenderError, Rendered};
use crate::text;
use crate::train::batch::{Row, packs};
use crate::train::metrics::Summary;
use crate::train::plan::{BaseModel, Plan};
use crate::train::plan_packs::PlanPacks;
use crate::train::settings::{Method, Settings, SettingsError, TooLong};
use crate::train::trainer::{Data, Event, TrainError, Trainer, chosen};
use crate::train::work::{Trained, Work};

pub use crate::job::facts::Facts;

use super::answers::{Answering, Limits};
use super::device::{self, Unfit};
use super::model::{ModelError, Opened, available_bytes};
use super::room;

/// Longest window that is chosen without being asked for, in tokens.
pub const LONGEST: usize = 1024;

/// Why a training was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("{0}")]
    Refused(String),
    #[error(
        "the base model has changed since the run began: the weights {} are there, the run began on {}; put those back, or start a \
         new run",
        text::cut(now, 12),
        text::cut(then, 12)
    )]
    OtherBase { then: String, now: String },
    #[error("a random start failed: {0}")]
    Random(#[from] TensorError),
}

/// A job that is ready to run, and what a person should know of it first.
pub struct Prepared {
    pub job: Job,
    pub facts: Facts,
}

/// Records and, by their ids, where a person finds them; without that they go by their ids.
#[derive(Default)]
pub struct Named {
    pub records: Vec<Record>,
    pub places: HashMap<String, String>,
}

impl From<Vec<Record>> for Named {
    fn from(records: Vec<Record>) -> Self {
        Self { records, places: HashMap::new() }
    }
}

/// What was checked and not yet frozen.
pub struct Checked {
    pub plan: Plan,
    pub facts: Facts,
    train: Vec<Record>,
    valid: Vec<Record>,
}

impl Checked {
    /// Freezes it in a new job under `runs`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn freeze(self, runs: &Path) -> Result<Prepared, TrainingError> {
        let mut draft = Job::create(runs, JobKind::Train)?;
        draft.freeze("train", &self.train)?.freeze("valid", &self.valid)?;
        let job = draft.seal(&self.plan)?;
        Ok(Prepared { job, facts: self.facts })
    }
}

/// Checks `train` and `valid` for training `base` under `settings`. Without validation records a share of the training records
/// is held out, all of one prompt together.
///
/// # Errors
/// With the reason and the records concerned where something would go wrong later.
pub fn check(
    opened: &Opened,
    base: BaseModel,
    prompt: Prompt,
    mut settings: Settings,
    train: Named,
    valid: Named,
    threads: usize,
) -> Result<Checked, TrainingError> {
    let (Named { records: train, places }, Named { records: valid, places: mut places_of_valid }) = (train, valid);
    if train.is_empty() {
        return Err(TrainingError::Refused("there is no record to train on".into()));
    }
    if settings.method == Method::Lora {
        settings.lora(opened.source.description())?;
    }
    if settings.learning_rate == 0.0 {
        settings.learning_rate = settings.usual_rate(opened.source.parameters());
    }
    opened.renderer.padding()?;
    let context = opened.source.description().context;
    if settings.max_length > context {
        return Err(TrainingError::Refused(format!(
            "train.max_length is {} and the model reads at most {context} tokens",
            settings.max_length
        )));
    }
    let (train, valid) = if valid.is_empty() {
        places_of_valid.clone_from(&places);
        hold_out(train, settings.valid, settings.seed)
    } else {
        (train, valid)
    };
    let supervise = settings.supervise_prompt;
    // What stands against a device is told after what stands against the records.
    let found_device = device::find(&settings);
    let on_device = found_device.as_ref().is_ok_and(|found| found.device.is_some());
    // The plan's work is counted on the first rows in the order of the first epoch, so that packs are as mixed as they will be. What a
    // device has to have room for is counted on all.
    let (batch, seed) = (settings.batch.max(1), settings.seed);
    let first_of = |rows: usize| chosen(1, rows, batch.max(SAMPLE / batch * batch), seed);
    let looked_at: Vec<usize> = if on_device { (0..train.len()).collect() } else { first_of(train.len()) };
    // Texts are cut into windows, so only the other kinds bind the window's length.
    let (first, looked_at) = preflight::keeping(&opened.renderer, &train, usize::MAX, supervise, &looked_at);
    if settings.max_length == 0 {
        settings.max_length = first.percentile99.max(16).min(LONGEST.min(context));
        let longest = first.lengths.iter().flatten().copied().max().unwrap_or(0);
        if longest <= LONGEST.min(context) {
            // Nothing has to be left out for a few long records that fit anyway.
            settings.max_length = longest.max(16);
        }
    }
    let window = settings.max_length;
    let (train, found, mut dropped) = fit(train, first, window, settings.too_long, &places)?;
    let mut rows_of_valid = Vec::new();
    let (valid, found_valid, dropped_valid) = if valid.is_empty() {
        (valid, Preflight::default(), Vec::new())
    } else {
        let looked_at: Vec<usize> = if on_device { (0..valid.len()).collect() } else { Vec::new() };
        let (found, looked_at) = preflight::keeping(&opened.renderer, &valid, window, supervise, &looked_at);
        rows_of_valid = rows_within(looked_at, window);
        fit(valid, found, window, settings.too_long, &places_of_valid)?
    };
    dropped.extend(dropped_valid);

    let rows = count_rows(&train, &found, window);
    let steps = Plan::count_steps(&settings, rows);
    let evaluate_every = Plan::count_between(&settings, rows);
    // The loss is looked at before the first step and after the last one, too.
    let evaluations = 1 + steps / evaluate_every.max(1) + u64::from(!steps.is_multiple_of(evaluate_every.max(1)));
    let evaluated = evaluations * count_rows(&valid, &found_valid, window) as u64;
    let mut rows_of_train = rows_within(looked_at, window);
    let description = opened.source.description();
    let device = if let Some(device) = found_device.map_err(TrainError::from)?.device {
        let packs = |passes: usize| PlanPacks::of(&rows_of_train, &rows_of_valid, &settings, passes, steps);
        let needs = device::fit(&device, description, &settings, packs)?;
        let first = first_of(rows_of_train.len().max(1));
        rows_of_train = first.iter().filter_map(|&i| rows_of_train.get(i).cloned()).collect();
        Some(needs)
    } else {
        settings.pass_tokens = settings.passes(false);
        None
    };
    drop(rows_of_valid);
    let passes = settings.passes(device.is_some());
    let flops = work(opened, &settings, passes, &rows_of_train, (steps, rows), evaluated)?;
    let loaded = opened.source.memory_bytes();
    let needs_bytes = match &device {
        Some(_) => room::beside_device(description, loaded, &settings)?,
        None => room::on_processor(description, loaded, &settings, threads),
    };
    let free_bytes = available_bytes();
    let name = device.as_ref().map(|device| device.name.as_str());
    room::check(needs_bytes, free_bytes, name, passes).map_err(TrainingError::Refused)?;
    let plan = Plan { base, settings, steps, evaluate_every, threads, prompt };
    let facts = Facts {
        rows,
        valid_rows: valid.len(),
        dropped,
        max_length: window,
        tokens: found.tokens,
        supervised: found.supervised,
        steps,
        needs_bytes,
        free_bytes,
        device,
        flops,
        seconds: None,
        notes: Vec::new(),
    };
    Ok(Checked { plan, facts, train, valid })
}

/// Records that fit, what was found of them, and which were left out with their lengths.
type Fitting = (Vec<Record>, Preflight, Vec<(String, usize)>);

/// Leaves out or refuses what does not fit, and refuses what would teach nothing.
fn fit(
    records: Vec<Record>,
    found: Preflight,
    window: usize,
    too_long: TooLong,
    places: &HashMap<String, String>,
) -> Result<Fitting, TrainingError> {
    let place = |id: &String| places.get(id).unwrap_or(id).clone();
    let list = |items: Vec<String>| {
        let more = items.len().saturating_sub(5);
        let shown: Vec<_> = items.into_iter().take(5).collect();
        let rest = if more > 0 { format!("\n  … and {more} more") } else { String::new() };
        format!("\n  {}{rest}", shown.join("\n  "))
    };
    let troubled: Vec<String> = found
        .without_supervision
        .iter()
        .chain(&found.failed)
        .map(|(id, why)| format!("{}: {why}", place(id)))
        .collect();
    if !troubled.is_empty() {
        let n = troubled.len();
        let what = if n == 1 { "record" } else { "records" };
        return Err(TrainingError::Refused(format!("{n} {what} cannot be trained on:{}", list(troubled))));
    }
    if let Some(id) = found.end_inside.first() {
        return Err(TrainingError::Refused(format!(
            "{} answers hold an end-of-sequence token inside, which would teach the model to stop there: {} is the first",
            found.end_inside.len(),
            place(id)
        )));
    }
    let long: Vec<(String, usize)> = records
        .iter()
        .zip(&found.lengths)
        .filter(|(record, _)| !matches!(record.kind, Kind::Text { .. }))
        .filter_map(|(record, length)| Some((record.id.clone(), length.filter(|&n| n > window)?)))
        .collect();
    if !long.is_empty() && too_long == TooLong::Stop {
        let n = long.len();
        let items = long.iter().map(|(id, tokens)| format!("{}: {tokens} tokens", place(id))).collect();
        return Err(TrainingError::Refused(format!(
            "{n} {} longer than the window of {window} tokens, and an answer is never cut:{}\nraise \
             train.max_length, or leave them out with train.too_long=drop",
            if n == 1 { "record is" } else { "records are" },
            list(items)
        )));
    }
    let fits: Vec<bool> = records
        .iter()
        .zip(&found.lengths)
        .map(|(record, length)| {
            matches!(record.kind, Kind::Text { .. }) || length.is_some_and(|length| length <= window)
        })
        .collect();
    let kept: Vec<Record> =
        records.into_iter().zip(&fits).filter(|(_, fits)| **fits).map(|(record, _)| record).collect();
    if kept.is_empty() {
        return Err(TrainingError::Refused(format!("no record fits the window of {window} tokens")));
    }
    Ok((kept, found.of_kept(&fits), long))
}

/// Rows that records give: one each, a text one for each window.
fn count_rows(records: &[Record], found: &Preflight, window: usize) -> usize {
    let texts = found.lengths.iter().flatten().map(|&n| Row::count_windows(n, window)).sum::<usize>();
    if records.iter().any(|r| matches!(r.kind, Kind::Text { .. })) { texts } else { records.len() }
}

/// Holds out a share of the records, all records of one prompt on the same side, by a seeded hash of the prompt: the
/// same records are held out when others are added.
fn hold_out(records: Vec<Record>, share: f64, seed: u64) -> (Vec<Record>, Vec<Record>) {
    let limit = (share * f64::from(u32::MAX)) as u32;
    let (valid, train): (Vec<_>, Vec<_>) = records.iter().cloned().partition(|record| {
        let key = match &record.kind {
            Kind::Pair { fields, .. } => serde_json::to_string(fields).unwrap_or_default(),
            Kind::Chat { messages, .. } => {
                messages.iter().find(|m| m.role == "user").and_then(|m| m.content.clone()).unwrap_or_default()
            }
            Kind::Text { text } => text.clone(),
        };
        let mut hash = blake3::Hasher::new();
        hash.update(&seed.to_le_bytes()).update(key.trim().to_lowercase().as_bytes());
        let hash = hash.finalize();
        let [a, b, c, d, ..] = *hash.as_bytes();
        u32::from_le_bytes([a, b, c, d]) < limit
    });
    if train.is_empty() { (records, Vec::new()) } else { (train, valid) }
}

/// Rows that a plan's work is counted on.
const SAMPLE: usize = 128;

/// Floating-point operations of `steps` steps over `all` rows and of the losses of `evaluated` more, counted on `rows` in passes of
/// `passes` tokens.
/// Answers that are sampled on the way are not counted.
fn work(
    opened: &Opened,
    settings: &Settings,
    passes: usize,
    rows: &[Row],
    (steps, all): (u64, usize),
    evaluated: u64,
) -> Result<f64, TrainingError> {
    let d = opened.source.description();
    let batch = settings.batch.max(1);
    let mut found = Work::default();
    for rows in rows.chunks(batch) {
        for packed in packs(&rows.iter().collect::<Vec<_>>(), passes, settings.share_prefix) {
            found = found + Work::of(&packed);
        }
    }
    let trained = match settings.method {
        Method::Lora => Trained::Adapter(settings.lora(d)?.parameters(d)),
        Method::Full => Trained::All,
    };
    let one = found.flops(d, trained, settings.checkpointing);
    let per_row = 1.0 / rows.len().max(1) as f64;
    // The last batch of an epoch is what is left.
    let trained_rows = steps as f64 * all as f64 / all.div_ceil(batch).max(1) as f64;
    Ok(one * trained_rows * per_row + found.forward_flops(d, trained) * evaluated as f64 * per_row)
}

/// Carries out a training job, from its beginning or from its newest checkpoint.
///
/// # Errors
/// When the model is not the one the run began on, the job is held by another process, or its directory cannot be
/// written. A loss that is no number is no error here: the summary says that the run failed, and why.
pub fn run(
    job: &Job,
    resume: bool,
    control: &Control,
    watch: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Summary, TrainingError> {
    let plan: Plan = job.plan()?;
    let hold = job.hold()?;
    let listener = control.listen(&hold);
    if let Err(error) = &listener {
        watch(Event::Note(&format!("other processes cannot control this run: {error}")));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(plan.threads).build();
    let mut work = || -> Result<Summary, TrainingError> {
        let source = Source::open(Path::new(&plan.base.path)).map_err(ModelError::from)?;
        if source.identity() != plan.base.identity {
            let now = source.identity().to_owned();
            return Err(TrainingError::OtherBase { then: plan.base.identity.clone(), now });
        }
        let (opened, decoder) = Opened::with_weights(source, plan.prompt.clone())?;
        let mut samples: Vec<Record> = job.inputs("valid")?;
        let data = Data {
            train: rows(&opened, &job.inputs::<Record>("train")?, &plan.settings)?,
            valid: rows(&opened, &samples, &plan.settings)?,
        };
        samples.retain(|record| !matches!(record.kind, Kind::Text { .. }));
        samples.truncate(plan.settings.samples);
        let found = device::find(&plan.settings).map_err(TrainError::from)?;
        // Of a program that knows no GPU nobody expects a word on it.
        if found.device.is_some() || cfg!(feature = "cuda") {
            watch(Event::Note(&found.words));
        }
        let mut trainer = Trainer::new(&plan, &hold, control.clone(), decoder, data, resume)?;
        if let Some(device) = found.device {
            let kind = plan.settings.precision.kind(device.as_ref());
            trainer = trainer.on(device, kind)?;
        }
        let mut sampler = |decoder: &Decoder, adapter: Option<&super::Adapter>, on: Option<&OnDevice>| {
            let answering = Answering { opened: &opened, decoder, on };
            let limits = Limits { max_tokens: 96, ..Limits::default() };
            let answers = answering.many(&samples, adapter, &limits, &mut |_| true);
            let answers = answers.unwrap_or_default();
            samples.iter().map(|r| r.id.clone()).zip(answers.into_iter().map(|a| a.text)).collect()
        };
        Ok(trainer.run(&mut sampler, watch)?)
    };
    let result = match &pool {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    };
    match result {
        Ok(summary) => {
            hold.end(summary.outcome, Some(summary.steps), &summary.reason)?;
            Ok(summary)
        }
        Err(error) => {
            if hold.is_there() {
                hold.end(Outcome::Failed, None, &error.to_string())?;
            }
            Err(error)
        }
    }
}

/// Records as rows of the trainer: a pair or chat is one row, a text one for each window.
fn rows(opened: &Opened, records: &[Record], settings: &Settings) -> Result<Vec<Row>, TrainingError> {
    use rayon::prelude::*;
    let mode = Mode::Train { supervise_prompt: settings.supervise_prompt };
    let rendered: Vec<Vec<Row>> = records
        .par_iter()
        .map(|record| {
            let text = matches!(record.kind, Kind::Text { .. });
            Ok(cut(&opened.renderer.render(record, mode)?, text, settings.max_length))
        })
        .collect::<Result<_, RenderError>>()?;
    Ok(rendered.into_iter().flatten().collect())
}

/// Rendered records, each with whether it is a text, as rows that teach something; without what is longer than the window and no text.
fn rows_within(rendered: Vec<(bool, Rendered)>, window: usize) -> Vec<Row> {
    let fitting = rendered.into_iter().filter(|(text, rendered)| *text || rendered.tokens.len() <= window);
    fitting.flat_map(|(text, rendered)| cut(&rendered, text, window)).collect()
}

/// A rendered record as rows that teach something: one, or of a text one for each window.
fn cut(rendered: &Rendered, text: bool, window: usize) -> Vec<Row> {
    let window = if text { window } else { usize::MAX };
    Row::windows(&rendered.tokens, &rendered.loss_mask, window).filter(|row| row.supervised() > 0).collect()
}
