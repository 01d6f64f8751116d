//! Adapters: which one a person means, what it is asked with, and writing one where other programs find it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::job::{self, Job, Request, State};
use crate::model::peft;
use crate::model::weights::Source;
use crate::project::{ProjectError, durable};
use crate::prompt::Prompt;
use crate::worker::Plan;
use crate::worker::model::{ModelError, Opened};

use super::context::{ActionError, Context, Download};

/// How a person names an adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// A run of the project (`a1`, `latest`, …), optionally with a step: `a1@120`, `a1@last`; `a1@now` asks a run in progress for a
    /// checkpoint first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Any PEFT adapter's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,
}

impl Choice {
    /// The adapter's folder: a run's best checkpoint (or its newest, or that of the step named), or the folder given.
    ///
    /// # Errors
    /// When there is no such run or checkpoint.
    pub fn folder(&self, context: &Context) -> Result<Option<PathBuf>, ActionError> {
        Ok(self.find(context)?.folder)
    }

    /// The adapter's folder, with the run that made it where a run is named.
    ///
    /// # Errors
    /// When there is no such run or checkpoint, or the run's plan cannot be read.
    pub fn find(&self, context: &Context) -> Result<Chosen, ActionError> {
        if let Some(adapter) = &self.adapter {
            return Ok(Chosen { folder: Some(adapter.clone()), trained: None });
        }
        let Some(run) = &self.run else { return Ok(Chosen::default()) };
        let (name, step) = match run.split_once('@') {
            Some((name, step)) => (name, Some(step)),
            None => (run.as_str(), None),
        };
        let job = context.run(name)?;
        let folder = checkpoint(&job, step)?;
        // `best` moves on while a run goes on.
        let folder = folder.canonicalize().unwrap_or(folder);
        Ok(Chosen { folder: Some(folder), trained: Some(Trained { run: job.name(), plan: job.plan()? }) })
    }
}

/// What a choice comes to.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// The adapter's folder; none for the base as it is.
    pub folder: Option<PathBuf>,
    /// How it was trained, where a run made it: what a run has learned, it has learned under its own prompt and on its own base.
    pub trained: Option<Trained>,
}

/// The run that made an adapter.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Its name in full.
    pub run: String,
    /// Its plan.
    pub plan: Plan,
}

impl Chosen {
    /// The prompt it is asked by: its run's, or the project's.
    ///
    /// # Errors
    /// When the project's cannot be read.
    pub fn prompt(&self, context: &Context) -> Result<Prompt, ActionError> {
        self.trained.as_ref().map_or_else(|| context.prompt(), |trained| Ok(trained.plan.prompt.clone()))
    }

    /// Where its base lies: its run's, or the project's where there is none or that is gone. A model that was named in place of the
    /// project's own goes before both.
    ///
    /// # Errors
    /// When the project's cannot be found.
    pub fn base(&self, context: &mut Context, tell: &mut dyn FnMut(Download)) -> Result<PathBuf, ActionError> {
        match self.trained.as_ref().map(|trained| Path::new(&trained.plan.base.path)) {
            Some(path) if path.exists() && !context.has_own_model() => Ok(path.to_owned()),
            _ => Ok(context.base(tell)?.path.into()),
        }
    }

    /// Refuses a base that is another one than its run was trained on, unless it was named on purpose.
    ///
    /// # Errors
    /// When it is another one.
    pub fn check(&self, context: &Context, base: &Source) -> Result<(), ActionError> {
        let Some(Trained { run, plan }) = self.trained.as_ref().filter(|_| !context.has_own_model()) else {
            return Ok(());
        };
        let (now, then) = (base.identity(), &plan.base);
        if now == then.identity {
            return Ok(());
        }
        Err(ActionError::Refused(format!(
            "run {run} was trained on {} ({}), and {} is another model ({now}): put the first one back, or compare what was trained \
             on different models with togi eval",
            then.name,
            then.identity,
            base.path().display()
        )))
    }

    /// Opens its base with its prompt.
    ///
    /// # Errors
    /// When they cannot be read or do not belong together.
    pub fn open(&self, context: &mut Context, tell: &mut dyn FnMut(Download)) -> Result<Opened, ActionError> {
        let path = self.base(context, tell)?;
        let opened = Opened::open(&path, self.prompt(context)?)?;
        self.check(context, &opened.source)?;
        Ok(opened)
    }

    /// What a person should know who has changed the project's prompt since the run.
    ///
    /// # Errors
    /// When the project's prompt cannot be read.
    pub fn note(&self, context: &Context) -> Result<Option<String>, ActionError> {
        let Some(Trained { run, plan }) = &self.trained else { return Ok(None) };
        let other = context.prompt()? != plan.prompt;
        Ok(other
            .then(|| format!("asked by the prompt that run {run} was trained with; the project's is another one now")))
    }
}

/// An adapter's identity: a hash of its two files, by which it is known without a model at hand.
///
/// # Errors
/// When one of them cannot be read.
pub fn identity(folder: &Path) -> Result<String, ActionError> {
    let mut hasher = blake3::Hasher::new();
    for name in [peft::CONFIG, peft::WEIGHTS] {
        let path = folder.join(name);
        let bytes = std::fs::read(&path);
        hasher.update(&bytes.map_err(|cause| ActionError::File { action: "read the adapter", path, cause })?);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// As much of an identity as a person is shown.
#[must_use]
pub fn short(identity: &str) -> String {
    identity.chars().take(12).collect()
}

/// What stands for the run's weights as they are at this moment.
pub const NOW: &str = "now";
/// How long a run may take to write a checkpoint that it is asked for: it does so after the step it is at.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often is looked whether it is there.
const LOOK: Duration = Duration::from_millis(50);

/// Lets a run in progress write a checkpoint, and waits until it is there. A run that does not run keeps what it has.
fn snapshot(job: &Job) -> Result<(), ActionError> {
    // Asked once only: a run that has ended meanwhile has written its last checkpoint by itself.
    let Ok(progress) = job::send(job.dir(), Request::Checkpoint) else { return Ok(()) };
    let begun = Instant::now();
    while job.latest_checkpoint()?.is_none_or(|newest| newest.step < progress.step) {
        if !matches!(job.state()?, State::Running(_)) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(ActionError::Refused(format!(
                "run {} was asked for a checkpoint and has written none for {} seconds; {}@last is the one before",
                job.name(),
                PATIENCE.as_secs(),
                job.name()
            )));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// A run's checkpoint folder: of a step, `last`, `now`, or by default the best.
fn checkpoint(job: &Job, step: Option<&str>) -> Result<PathBuf, ActionError> {
    let none = || ActionError::Refused(format!("run {} has no checkpoint yet", job.name()));
    if step == Some(NOW) {
        snapshot(job)?;
    }
    match step {
        Some("last" | NOW) => Ok(job.latest_checkpoint()?.ok_or_else(none)?.dir),
        Some(step) => {
            let step: u64 = step.parse().map_err(|_| {
                ActionError::Asked(format!(
                    "{step:?} is no step; write RUN@120, RUN@last, RUN@now, or RUN for the best"
                ))
            })?;
            Ok(job.checkpoint(step)?.dir)
        }
        None => match job.best_checkpoint()? {
            Some(best) => Ok(best.dir),
            None => Ok(job.latest_checkpoint()?.ok_or_else(none)?.dir),
        },
    }
}

/// Writes the chosen adapter's two PEFT files into the folder `out`, which must not hold an adapter yet, with the permissions of
/// new files.
///
/// # Errors
/// When `out` holds one already, or what is chosen is none; nothing is made then. When a file cannot be written.
pub fn export_peft(context: &Context, choice: &Choice, out: &Path) -> Result<PathBuf, ActionError> {
    let from = choice
        .folder(context)?
        .ok_or_else(|| ActionError::Asked("name what to export: --run RUN (or --adapter DIR)".into()))?;
    for name in [peft::CONFIG, peft::WEIGHTS] {
        if out.join(name).exists() {
            let why = format!("{} holds an adapter already; choose another folder", out.display());
            return Err(ActionError::Refused(why));
        }
    }
    let files = peft::files(&from).map_err(ModelError::from)?;
    durable::create_dir_all(out).map_err(ProjectError::from)?;
    for (name, bytes) in files {
        durable::write(&out.join(name), &bytes).map_err(ProjectError::from)?;
    }
    Ok(from)
}
