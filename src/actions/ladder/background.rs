//! A ladder as a job: frozen, carried out by `togi worker` in a process of its own that outlives the terminal, and told of by
//! whoever asks.
//!
//! The inputs are the records to train, to validate and to test on; the plan has the request and the hash of each cell, which is
//! of all that decides it. The worker refuses to train a cell whose hash is another one by then, so nothing that changes meanwhile
//! goes unnoticed. What is trained stands in runs like any other and what is answered in the database, so a ladder that was
//! stopped or killed is no loss: the same one again goes on. Several wait for each other ([`Turn`]).

use serde::{Deserialize, Serialize};

use super::super::context::{ActionError, Context, Download};
use super::super::evaluation::{self, Stage};
use super::super::{runs, train};
use super::{Prepared, Request, Rows, Seen, Size, Test, cells, changed};
use crate::job::{self, Control, Hold, Job, JobError, Kind, Outcome, Phase, State, Turn};
use crate::project::{ModelRef, durable};
use crate::prompt::Record;
use crate::text;

/// What a ladder is of.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    /// What was asked for. Its files may be others by now: what they held is frozen.
    request: Request,
    /// The test set's hash.
    hash: String,
    /// Its cells, those that another ladder has trained included.
    cells: Vec<Planned>,
}

/// A cell of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Planned {
    /// Its number in `--plan`, from 1.
    cell: usize,
    model: String,
    rows: usize,
    key: String,
}

/// A ladder, as `togi ladder --jobs --json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ladder {
    /// The name of its folder.
    pub ladder: String,
    /// waiting, running, finished, stopped, failed, interrupted.
    pub state: String,
    /// Of a running one: starting, running, paused, stopping; queued while another ladder is at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What a running one is at, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doing: Option<String>,
    /// What the training records are called.
    pub data: String,
    /// What the test set is called.
    pub test: String,
    /// The metric that is the quality.
    pub metric: String,
    /// Its cells.
    pub cells: Vec<Stands>,
    /// How it ended, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was created.
    pub created: String,
}

/// How a cell stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stands {
    /// Its number in `--plan`, from 1.
    pub cell: usize,
    /// The model, as it was named; empty for the project's.
    pub model: String,
    /// Rows of training.
    pub rows: usize,
    /// Its run, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// trained, training, begun, waits.
    pub state: String,
    /// Steps that are done.
    pub step: u64,
    /// Steps in all; 0 where it has no run yet.
    pub steps: u64,
}

/// What was begun, as `togi ladder --background --json` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// The name of its folder.
    pub ladder: String,
    /// Its cells.
    pub cells: usize,
    /// Those of them that are trained already.
    pub trained: usize,
    /// Who is at work before it, where somebody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
}

/// The refusal of one who does not want to wait while another ladder is at work.
pub(super) fn busy(dir: &std::path::Path) -> ActionError {
    let who = Turn::holder(dir).ok().flatten().unwrap_or_else(|| "another process".into());
    ActionError::Refused(format!(
        "{who} is climbing a ladder of this project: wait for it (togi ladder --jobs), stop it (togi ladder --stop latest), or have \
         this one wait its turn with --background"
    ))
}

/// Freezes a ladder and lets a process of its own climb it, behind those that are at work; returns when that process runs.
///
/// # Errors
/// When data, model or settings are wrong, the same ladder is at work already, or no process can be started.
pub fn start(context: &Context, request: &Request, tell: &mut dyn FnMut(Download)) -> Result<Begun, ActionError> {
    let rows = Rows::read(request)?;
    let models = request.models.iter().map(|model| fixed(model)).collect::<Result<Vec<_>, _>>()?;
    // All of what there is now, however much that will be by then.
    let sizes = request.sizes.iter().map(|size| Size::Rows(size.of(rows.pool.len()))).collect();
    let request = Request { sizes, models, ..request.clone() };
    let prepared = Prepared::of(context, &request, &rows, tell)?;
    let test = super::records(&request.test)?;
    let mut store = context.store()?;
    let set = evaluation::freeze(&mut store, &request.test.display().to_string(), &test)?;
    let numbered = prepared.wanted.iter().zip(1..).filter(|(_, cell)| request.only.is_none_or(|only| only == *cell));
    let plan = Plan {
        hash: set.hash,
        cells: numbered
            .map(|(wanted, cell)| Planned {
                cell,
                model: wanted.model.clone(),
                rows: wanted.rows,
                key: wanted.key.clone(),
            })
            .collect(),
        request: request.clone(),
    };
    let dir = context.project.ladders_dir();
    let live = |job: &Job| matches!(job.state(), Ok(State::Running(_)));
    for job in Job::list(&dir)?.into_iter().flatten().filter(live) {
        let Ok(other) = job.plan::<Plan>() else { continue };
        if (&other.cells, &other.hash, other.request.rows) == (&plan.cells, &plan.hash, plan.request.rows) {
            let name = job.name();
            return Err(ActionError::Refused(format!(
                "ladder {name} climbs these cells already: wait for it, or stop it with togi ladder --stop {name}"
            )));
        }
    }
    let mut draft = Job::create(&dir, Kind::Ladder)?;
    draft.freeze("train", &rows.pool)?.freeze("valid", &rows.valid)?.freeze("test", &test)?;
    let job = draft.seal(&plan)?;
    let behind = Turn::holder(&dir)?;
    train::launch(&job)?;
    let trained = |planned: &&Planned| prepared.wanted.iter().any(|cell| cell.trained && cell.key == planned.key);
    Ok(Begun {
        ladder: job.name(),
        cells: plan.cells.len(),
        trained: plan.cells.iter().filter(trained).count(),
        behind,
    })
}

/// A model's name that means the same wherever the worker stands: a path from the root on, or a Hub id.
fn fixed(model: &str) -> Result<String, ActionError> {
    let ModelRef::Path(path) = ModelRef::parse(model) else { return Ok(model.to_owned()) };
    let path = path.canonicalize().map_err(|cause| ActionError::File { action: "find the model", path, cause })?;
    Ok(path.display().to_string())
}

/// Whether a job is a ladder.
#[must_use]
pub fn is_ladder(job: &Job) -> bool {
    job.header().kind == Kind::Ladder
}

/// Climbs a ladder in this process, when it is its turn, and returns how it ended.
///
/// # Errors
/// When it cannot be held or its end cannot be written down. What stopped the cells themselves is in the job's end and log.
pub fn run(job: &Job, control: &Control) -> Result<Outcome, ActionError> {
    let plan: Plan = job.plan()?;
    let hold = job.hold()?;
    let listener = control.listen(&hold);
    if let Err(error) = &listener {
        log(&hold, &format!("other processes cannot control this ladder: {error}"));
    }
    let (outcome, reason) = match climb(job, &plan, control, &hold) {
        Ok(said) => (Outcome::Finished, said),
        Err(error) if control.is_stopping() => (Outcome::Stopped, error.to_string()),
        Err(error) => {
            log(&hold, &format!("togi: {error}"));
            (Outcome::Failed, error.to_string())
        }
    };
    hold.end(outcome, None, &reason)?;
    drop(listener);
    Ok(outcome)
}

/// Waits for the turn, trains and tests; returns what came of it in words.
fn climb(job: &Job, plan: &Plan, control: &Control, hold: &Hold) -> Result<String, ActionError> {
    let context = Context::find(job.dir(), None)?;
    let dir = context.project.ladders_dir();
    let Some(turn) = Turn::wait(&dir, job, control)? else {
        return Err(ActionError::Refused("stopped before its turn came; the same command queues it again".into()));
    };
    let request = &plan.request;
    let set = context.store()?.tests()?.into_iter().find(|set| set.hash == plan.hash).ok_or_else(|| {
        ActionError::Refused(format!("{} is no frozen test set of this project any more", request.test.display()))
    })?;
    let rows = Rows {
        pool: job.inputs::<Record>("train")?,
        valid: job.inputs::<Record>("valid")?,
        test: Test::Frozen { id: set.id, name: request.test.display().to_string() },
    };
    let prepared = Prepared::of(&context, request, &rows, &mut |_: Download| ())?;
    let same = |planned: &Planned| {
        prepared.wanted.get(planned.cell.saturating_sub(1)).is_some_and(|cell| cell.key == planned.key)
    };
    if !plan.cells.iter().all(same) {
        return Err(changed());
    }
    let climbed = prepared.climb(&context, request, &rows, control, &mut |_: Download| (), &mut |seen| match seen {
        Seen::Trains { model, rows, run, steps } => {
            log(
                hold,
                &format!(
                    "run {run}: {} on {rows} rows, {steps} steps",
                    if model.is_empty() { "the project's model" } else { model }
                ),
            );
        }
        Seen::Training(_) => {}
        Seen::Tests(p) => control.publish(job::Progress {
            phase: Phase::Running,
            step: p.done as u64,
            steps: p.rows as u64,
            doing: Some(match p.stage {
                Stage::Answers => format!("answers of {}", p.system),
                Stage::Likelihood => format!("likelihood under {}", p.system),
            }),
            ..job::Progress::default()
        }),
    })?;
    drop(turn);
    let cells = plan.cells.len();
    let verdict = climbed.verdict().map(|said| format!("; {said}")).unwrap_or_default();
    let plural = if cells == 1 { "cell is" } else { "cells are" };
    Ok(format!("{cells} {plural} trained and tested{verdict}"))
}

/// Appends a line to the job's log. One that cannot be written is no reason to lose a cell.
fn log(hold: &Hold, words: &str) {
    if let Ok(mut file) = durable::append(&hold.job().log_path()) {
        let _ = std::io::Write::write_all(&mut file, format!("{words}\n").as_bytes());
    }
}

/// The project's ladders in the background, oldest first. One whose folder cannot be read stays in the list, with the reason.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(context: &Context) -> Result<Vec<Ladder>, ActionError> {
    let dir = context.project.ladders_dir();
    let known = cells::read(context)?;
    let holder = Turn::holder(&dir)?;
    let mut found = Vec::new();
    for name in Job::names(&dir)? {
        let told = Job::open(&dir.join(&name)).map_err(ActionError::from);
        let told = told.and_then(|job| tell(context, &job, &known, holder.as_deref()));
        found.push(told.unwrap_or_else(|error| Ladder {
            ladder: name,
            state: "unreadable".into(),
            reason: Some(error.to_string()),
            ..Ladder::default()
        }));
    }
    Ok(found)
}

/// How a ladder stands, as far as its folder and its runs tell.
fn tell(context: &Context, job: &Job, known: &[cells::Line], holder: Option<&str>) -> Result<Ladder, ActionError> {
    let plan: Plan = job.plan()?;
    let state = job.state()?;
    let mut stands = Vec::with_capacity(plan.cells.len());
    for planned in plan.cells {
        let run = cells::of(context, known, &planned.key);
        stands.push(stand(planned, run.as_ref())?);
    }
    let mut one = Ladder {
        ladder: job.name(),
        state: state.word().to_owned(),
        data: plan.request.data.display().to_string(),
        test: plan.request.test.display().to_string(),
        metric: plan.request.metric,
        cells: stands,
        created: job.header().created.to_string(),
        ..Ladder::default()
    };
    match state {
        State::Running(_) => {
            // One that is reading its model does not listen yet.
            let progress = job::send(job.dir(), job::Request::Status).unwrap_or_default();
            let queued = holder.is_some_and(|holder| holder != one.ladder) && progress.phase != Phase::Stopping;
            let phase = serde_json::to_value(progress.phase).ok().and_then(|phase| Some(phase.as_str()?.to_owned()));
            one.phase = if queued { Some("queued".into()) } else { phase };
            one.doing = if queued {
                holder.map(|holder| format!("waits until {holder} is done"))
            } else {
                doing(&one.cells, &progress)
            };
        }
        State::Ended(ending) => one.reason = Some(ending.reason),
        State::Waiting | State::Interrupted(_) => {}
    }
    Ok(one)
}

/// What a ladder at work is at: the first cell that is not trained, or the test where all are.
fn doing(cells: &[Stands], progress: &job::Progress) -> Option<String> {
    let all = cells.len();
    if let Some((cell, at)) = cells.iter().zip(1..).find(|(cell, _)| cell.state != "trained") {
        let run = cell
            .run
            .as_ref()
            .map_or_else(String::new, |run| format!(", run {run}: step {} of {}", cell.step, cell.steps));
        let of = if cell.model.is_empty() { String::new() } else { format!("{} on ", super::short(&cell.model)) };
        return Some(format!("cell {at} of {all}: {of}{} rows{run}", text::count(cell.rows as u64)));
    }
    let what = progress.doing.as_ref()?;
    Some(format!("the cells are trained; {what}: {} of {}", progress.step, progress.steps))
}

fn stand(planned: Planned, run: Option<&Job>) -> Result<Stands, ActionError> {
    let mut stands = Stands {
        cell: planned.cell,
        model: planned.model,
        rows: planned.rows,
        run: run.map(Job::name),
        state: "waits".into(),
        ..Stands::default()
    };
    let Some(run) = run else { return Ok(stands) };
    stands.steps = runs::steps(run)?.unwrap_or(0);
    (stands.state, stands.step) = match run.state()? {
        State::Running(_) => ("training".into(), job::send(run.dir(), job::Request::Status).unwrap_or_default().step),
        State::Ended(ending) if ending.outcome == Outcome::Finished => {
            ("trained".into(), ending.step.unwrap_or(stands.steps))
        }
        State::Waiting => ("waits".into(), 0),
        _ => ("begun".into(), run.latest_checkpoint()?.map_or(0, |checkpoint| checkpoint.step)),
    };
    Ok(stands)
}

/// Asks a ladder to end; what is trained and answered stays. `latest` is the newest that runs. Returns its name.
///
/// # Errors
/// When there is no such ladder, or it does not run.
pub fn stop(context: &Context, name: &str) -> Result<String, ActionError> {
    let dir = context.project.ladders_dir();
    let job = if name == "latest" {
        let live = |job: &Job| matches!(job.state(), Ok(State::Running(_)));
        let running = Job::list(&dir)?.into_iter().flatten().filter(live).last();
        running.ok_or_else(|| ActionError::Refused("no ladder is climbed in the background".into()))?
    } else {
        Job::find(&dir, name).map_err(|error| match error {
            JobError::Unknown { name, .. } => ActionError::Refused(format!(
                "there is no ladder {name:?} in the background; togi ladder --jobs lists them"
            )),
            other => other.into(),
        })?
    };
    job::send(job.dir(), job::Request::Stop).map_err(|error| ActionError::Refused(error.to_string()))?;
    Ok(job.name())
}
