//! Training: freeze a run, carry it out here or resume it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::data::view::rendered;
use crate::job::State;
use crate::model::weights::hub;
use crate::prompt::Record;
use crate::store::{Query, Status, Store, StoreError};
use crate::worker::training::{self, Prepared};

use super::context::{ActionError, Context, records};

pub use crate::job::{Control, Job, Outcome};
pub use crate::worker::training::Facts;
pub use crate::worker::{Event, Metrics, Summary};

/// What is to be trained on.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Without one, the project's gold records: those of the split `valid` to validate on, those of `test` not at all.
    pub data: Option<PathBuf>,
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
    let (train, mut valid) = match &request.data {
        Some(data) => (records(data)?, Vec::new()),
        None => gold(&context.store()?)?,
    };
    if let Some(path) = &request.valid {
        valid = records(path)?;
    }
    let (opened, base, prompt) = context.open(tell)?;
    let threads = context.config.threads;
    let runs = context.project.runs_dir();
    let Prepared { job, facts } = training::prepare(&runs, &opened, base, prompt, settings, train, valid, threads)?;
    Ok((job, facts))
}

/// The project's gold records to train and to validate on. Each is named `RECORD@REVISION`, so that the run's own inputs say for
/// ever what it was trained on.
fn gold(store: &Store) -> Result<(Vec<Record>, Vec<Record>), ActionError> {
    let named = |query: &str| -> Result<Vec<Record>, ActionError> {
        let found = store.records(&Query::parse(query).map_err(StoreError::from)?)?;
        Ok(found
            .iter()
            .map(|record| Record { id: format!("{}@{}", record.id, record.revision), ..rendered(record) })
            .collect())
    };
    let train = named("status:gold split:train,none")?;
    if train.is_empty() {
        let waiting = store.ids(&Query::parse("status:inbox,draft").map_err(StoreError::from)?)?.len();
        let held = store.ids(&Query::parse("status:gold").map_err(StoreError::from)?)?.len();
        let why = if held > 0 {
            format!(
                "all {held} gold records are kept for validation or test: togi mark --split train gives some to training, \
                 togi split --again draws them anew"
            )
        } else if waiting > 0 {
            format!(
                "no record is gold yet and {waiting} wait: togi accept makes them gold, one by one or with --query; or \
                 train on a file with --data"
            )
        } else {
            "there are no records to train on: togi import brings some in, or train on a file with --data".into()
        };
        return Err(ActionError::Refused(why));
    }
    Ok((train, named("status:gold split:valid")?))
}

/// What became of a record since a run was trained on it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Changed {
    /// The record.
    pub record: i64,
    /// The revision that was trained on.
    pub then: i64,
    /// The newest; `None` where it was taken away.
    pub now: Option<i64>,
    /// Its status now.
    pub status: Option<Status>,
    /// Whether what is trained on differs, and not only a mark.
    pub content: bool,
}

/// Compares what a run was trained on with the records as they are: those that changed, and how many are new.
///
/// # Errors
/// When the run was trained on a file, or its inputs cannot be read.
pub fn changed(context: &Context, name: &str) -> Result<(Vec<Changed>, usize), ActionError> {
    let job = context.run(name)?;
    let store = context.store()?;
    let mut used: Vec<Record> = job.inputs("train")?;
    used.extend(job.inputs::<Record>("valid")?);
    let stamps: Option<Vec<(i64, i64)>> = used
        .iter()
        .map(|record| {
            let (record, revision) = record.id.split_once('@')?;
            Some((record.parse().ok()?, revision.parse().ok()?))
        })
        .collect();
    let Some(stamps) = stamps.filter(|stamps| !stamps.is_empty()) else {
        let why = format!("run {} was trained on a file, not on the project's records", job.name());
        return Err(ActionError::Refused(why));
    };
    let mut changed = Vec::new();
    for (&(record, then), used) in stamps.iter().zip(&used) {
        match store.get(record) {
            Ok(now) if now.revision == then => {}
            Ok(now) => {
                let content = rendered(&now).kind != used.kind;
                let status = Some(now.state.status);
                changed.push(Changed { record, then, now: Some(now.revision), status, content });
            }
            Err(StoreError::NoRecord(_)) => {
                changed.push(Changed { record, then, now: None, status: None, content: true });
            }
            Err(error) => return Err(error.into()),
        }
    }
    let known: HashSet<i64> = stamps.iter().map(|(record, _)| *record).collect();
    let gold = store.ids(&Query::parse("status:gold split:train,valid,none").map_err(StoreError::from)?)?;
    Ok((changed, gold.iter().filter(|record| !known.contains(record)).count()))
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
