//! The cells of a ladder: which run is which cell, and having one trained.

use std::io::Write as _;

use serde::{Deserialize, Serialize};

use super::super::context::{ActionError, Context, Download};
use super::super::train;
use super::Seen;
use crate::job::{Control, Job, JobError, Outcome, State};
use crate::project::durable;
use crate::prompt::Record;

/// The file that says which run is which cell.
const FILE: &str = "ladder.jsonl";

/// A cell that is wanted, and how it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Wanted {
    /// The model, as it was named; empty for the project's.
    pub model: String,
    /// Rows of training; 0 for the base.
    pub rows: usize,
    /// Its run, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Whether it is trained.
    pub trained: bool,
    /// The hash of all that decides it.
    #[serde(skip)]
    pub(super) key: String,
}

impl Wanted {
    pub(super) fn new(model: &str, rows: usize, key: String) -> Self {
        Self { model: model.to_owned(), rows, run: None, trained: false, key }
    }
}

/// A line of the ladder's file.
#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) cell: String,
    pub(super) run: String,
}

/// Finds the runs of the cells, and whether they are finished.
pub(super) fn find(context: &Context, wanted: &mut [Wanted]) -> Result<(), ActionError> {
    let known = read(context)?;
    for cell in wanted {
        let job = of(context, &known, &cell.key);
        cell.trained = job.as_ref().map(finished).transpose()?.unwrap_or(false);
        cell.run = job.map(|job| job.name());
    }
    Ok(())
}

/// The run of a cell; none where it has none, or its folder is gone.
pub(super) fn of(context: &Context, known: &[Line], key: &str) -> Option<Job> {
    context.run(&known.iter().rev().find(|line| line.cell == key)?.run).ok()
}

/// Whether a run is finished.
pub(super) fn finished(job: &Job) -> Result<bool, JobError> {
    Ok(matches!(job.state()?, State::Ended(ending) if ending.outcome == Outcome::Finished))
}

/// Reads which run is which cell.
pub(super) fn read(context: &Context) -> Result<Vec<Line>, ActionError> {
    let path = context.project.root().join(FILE);
    match std::fs::read_to_string(&path) {
        // A half-written last line is a cell that was never begun.
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(ActionError::File { action: "read", path, cause }),
    }
}

fn note(context: &Context, cell: &Wanted, run: &str) -> Result<(), ActionError> {
    let path = context.project.root().join(FILE);
    let line = serde_json::to_string(&Line { cell: cell.key.clone(), run: run.to_owned() }).unwrap_or_default();
    // A kill may have left half a line.
    let whole = std::fs::read(&path).map_or(true, |text| text.is_empty() || text.ends_with(b"\n"));
    let before = if whole { "" } else { "\n" };
    let mut file = durable::append(&path).map_err(JobError::from)?;
    file.write_all(format!("{before}{line}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|cause| ActionError::File { action: "write", path, cause })
}

/// Trains a cell, or goes on with it; `rows` are those to train on and those to validate on.
pub(super) fn teach(
    context: &mut Context,
    cell: &mut Wanted,
    rows: (Vec<Record>, Vec<Record>),
    set: &[String],
    control: &Control,
    tell: &mut dyn FnMut(Download),
    see: &mut (dyn FnMut(Seen<'_>) + Send),
) -> Result<(), ActionError> {
    let (job, resume) = if let Some(run) = &cell.run {
        let job = context.run(run)?;
        let begun = job.latest_checkpoint()?.is_some();
        (job, begun)
    } else {
        let request = train::Request { rows: Some(rows), set: set.to_vec(), ..train::Request::default() };
        let (job, _) = train::prepare(context, &request, tell)?;
        note(context, cell, &job.name())?;
        (job, false)
    };
    let standing = train::standing(&job)?;
    see(Seen::Trains { model: &cell.model, rows: cell.rows, run: job.name(), steps: standing.steps });
    let summary = train::run(&job, resume, control, &mut |event| see(Seen::Training(&event)))?;
    cell.run = Some(job.name());
    cell.trained = summary.outcome == Outcome::Finished;
    if cell.trained {
        return Ok(());
    }
    Err(ActionError::Refused(match summary.outcome {
        Outcome::Stopped => "stopped; the same command goes on from the last checkpoint".to_owned(),
        _ => format!("run {}: {}", job.name(), summary.reason),
    }))
}
