//! Adapters: which one a person means, and writing one where other programs find it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::job::{self, Job, Request, State};
use crate::model::peft;

use super::context::{ActionError, Context};

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
        if let Some(adapter) = &self.adapter {
            return Ok(Some(adapter.clone()));
        }
        let Some(run) = &self.run else { return Ok(None) };
        let (name, step) = match run.split_once('@') {
            Some((name, step)) => (name, Some(step)),
            None => (run.as_str(), None),
        };
        let job = context.run(name)?;
        Ok(Some(checkpoint(&job, step)?))
    }
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
                ActionError::Refused(format!(
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

/// Writes the chosen adapter's two PEFT files into the folder `out`, which must not hold an adapter yet.
///
/// # Errors
/// When `out` holds one already, or a file cannot be copied.
pub fn export_peft(context: &Context, choice: &Choice, out: &Path) -> Result<PathBuf, ActionError> {
    let from = choice
        .folder(context)?
        .ok_or_else(|| ActionError::Refused("name what to export: --run RUN (or --adapter DIR)".into()))?;
    let file = |action, path: &Path| {
        let path = path.to_owned();
        move |cause| ActionError::File { action, path, cause }
    };
    for name in [peft::CONFIG, peft::WEIGHTS] {
        if out.join(name).exists() {
            let why = format!("{} holds an adapter already; choose another folder", out.display());
            return Err(ActionError::Refused(why));
        }
    }
    std::fs::create_dir_all(out).map_err(file("create", out))?;
    for name in [peft::CONFIG, peft::WEIGHTS] {
        let path = from.join(name);
        std::fs::copy(&path, out.join(name)).map_err(file("copy", &path))?;
    }
    Ok(from)
}
