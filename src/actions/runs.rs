//! The runs of a project, told from their directories alone.

use serde::{Deserialize, Serialize};

use crate::job::{Job, Reader};

use super::context::{ActionError, Context};

/// A run, as `togi runs --json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Run {
    /// The name of its folder.
    pub run: String,
    /// waiting, running, finished, stopped, failed, interrupted; `unreadable` where it does not open.
    pub state: String,
    /// Steps done, and in all.
    pub step: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The loss of the last step that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The lowest validation loss and its step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<(f64, u64)>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Why it does not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is wanted of a line of `metrics.jsonl`.
#[derive(Deserialize)]
struct Line {
    step: u64,
    #[serde(default)]
    loss: Option<f64>,
    #[serde(default)]
    valid_loss: Option<f64>,
}

/// Lists the project's runs, oldest first. One that cannot be read stays in the list, with the reason.
///
/// # Errors
/// When the folder of the runs cannot be read.
pub fn runs(context: &Context) -> Result<Vec<Run>, ActionError> {
    let jobs = Job::list(&context.project.runs_dir())?;
    let told = jobs.into_iter().map(|job| {
        let job = match job {
            Ok(job) => job,
            Err(error) => return unreadable(String::new(), &error.into()),
        };
        describe(&job).unwrap_or_else(|error| unreadable(job.name(), &error))
    });
    Ok(told.collect())
}

/// Names by which runs can answer (`--run`): each run that has a checkpoint, oldest first, and behind it its checkpoints.
///
/// # Errors
/// When the folder of the runs cannot be read.
pub fn systems(context: &Context) -> Result<Vec<String>, ActionError> {
    let mut names = Vec::new();
    for job in Job::list(&context.project.runs_dir())?.into_iter().flatten() {
        let checkpoints = job.checkpoints()?;
        if !checkpoints.is_empty() {
            names.push(job.name());
            names.extend(checkpoints.iter().map(|checkpoint| format!("{}@{}", job.name(), checkpoint.step)));
        }
    }
    Ok(names)
}

fn unreadable(run: String, error: &ActionError) -> Run {
    Run { run, state: "unreadable".into(), problem: Some(error.to_string()), ..Run::default() }
}

fn describe(job: &Job) -> Result<Run, ActionError> {
    let mut run = Run {
        run: job.name(),
        state: job.state()?.word().into(),
        steps: steps(job)?,
        created: Some(job.header().created.to_string()),
        ..Run::default()
    };
    for line in Reader::<Line>::new(&job.metrics_path()).poll()?.lines {
        run.step = line.step;
        run.loss = line.loss.or(run.loss);
        if let Some(loss) = line.valid_loss.filter(|&loss| run.best.is_none_or(|(best, _)| loss < best)) {
            run.best = Some((loss, line.step));
        }
    }
    Ok(run)
}

/// Steps that a job's plan has in all, for a job that counts steps.
pub(super) fn steps(job: &Job) -> Result<Option<u64>, ActionError> {
    #[derive(Deserialize)]
    struct Steps {
        steps: Option<u64>,
    }
    Ok(job.plan::<Steps>()?.steps)
}
