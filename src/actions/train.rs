//! Training: freeze a run, carry it out here or resume it.

use std::path::{Path, PathBuf};

use crate::job::State;
use crate::model::weights::hub;
use crate::worker::training::{self, Prepared};

use super::context::{ActionError, Context, records};

pub use crate::job::{Control, Job, Outcome};
pub use crate::worker::training::Facts;
pub use crate::worker::{Event, Metrics, Summary};

/// What is to be trained on.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub data: PathBuf,
    /// Without one, a share of the data is held out.
    pub valid: Option<PathBuf>,
    /// `KEY=VALUE` over the project's `[train]` settings.
    pub set: Vec<String>,
}

/// Checks the data and freezes a run.
///
/// # Errors
/// With what stands against the run; nothing is written then.
pub fn prepare(
    context: &mut Context,
    request: &Request,
    tell: &mut dyn FnMut(hub::Progress),
) -> Result<(Job, Facts), ActionError> {
    let settings = context.settings(&request.set)?;
    let train = records(&request.data)?;
    let valid = request.valid.as_deref().map(records).transpose()?.unwrap_or_default();
    let (opened, base, prompt) = context.open(tell)?;
    let threads = context.config.threads;
    let runs = context.project.runs_dir();
    let Prepared { job, facts } = training::prepare(&runs, &opened, base, prompt, settings, train, valid, threads)?;
    Ok((job, facts))
}

/// Where a run would go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The step of its newest checkpoint; `None` where it has none and starts again.
    pub step: Option<u64>,
    /// Steps in all.
    pub steps: u64,
}

/// Finds the run that a person wants to go on with.
///
/// # Errors
/// When there is none of that name, it runs already, or it is finished.
pub fn resumable(context: &Context, name: &str) -> Result<(Job, Standing), ActionError> {
    let job = context.run(name)?;
    if let State::Ended(ending) = job.state()?
        && ending.outcome == Outcome::Finished
    {
        let why = format!("run {} is finished ({}); start a new one with --data", job.name(), ending.reason);
        return Err(ActionError::Refused(why));
    }
    let standing = standing(&job)?;
    Ok((job, standing))
}

/// Where a job would go on, for whoever carries it out.
///
/// # Errors
/// When its directory cannot be read.
pub fn standing(job: &Job) -> Result<Standing, ActionError> {
    Ok(Standing { step: job.latest_checkpoint()?.map(|c| c.step), steps: super::runs::steps(job)?.unwrap_or(0) })
}

/// Carries a run out in this process, from its beginning or its newest checkpoint.
///
/// # Errors
/// When it cannot go on; a loss that is no number is told in the summary.
pub fn run(
    job: &Job,
    resume: bool,
    control: &Control,
    watch: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Summary, ActionError> {
    Ok(training::run(job, resume, control, watch)?)
}

/// Opens the job in a directory, for a worker that was given one.
///
/// # Errors
/// When the directory holds no job.
pub fn open(dir: &Path) -> Result<Job, ActionError> {
    Ok(Job::open(dir)?)
}
