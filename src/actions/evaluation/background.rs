//! An evaluation as a job: frozen, carried out by `togi worker` in a process of its own that outlives the terminal, and told of by
//! whoever asks.
//!
//! The plan names the test set by its hash (the rows are frozen in the database already) and the inputs are the systems with all
//! that decides their answers, so nothing that changes meanwhile changes who is asked what. Answers go into the database as they
//! come; how far each system is, is told from there, so a killed evaluation is no loss: the same one again goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::context::{ActionError, Context, Download};
use super::{Bases, Measured, Request, Stage, System, ask, browse, is_asked, missing, prepare};
use crate::job::{self, Control, Hold, Job, JobError, Kind, Outcome, Phase, State};
use crate::project::durable;
use crate::store::Store;

/// An answer that is waited for longer was held up by a pause.
const WAITED: Duration = Duration::from_millis(50);

/// What an evaluation is of.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    /// What the test set is called.
    test: String,
    /// Its hash.
    hash: String,
    /// So many of its rows, from the first.
    rows: usize,
    /// Rows that ask something with a right answer.
    asked: usize,
    /// Who is asked; the inputs have all of it.
    systems: Vec<Named>,
}

/// A system of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Named {
    name: String,
    hash: String,
}

/// An evaluation, as `togi eval --jobs --json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// The name of its folder.
    pub evaluation: String,
    /// waiting, running, finished, stopped, failed, interrupted.
    pub state: String,
    /// Of a running one: starting, running, paused, stopping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What the test set is called.
    pub test: String,
    /// Its hash.
    pub hash: String,
    /// Answers and likelihoods there are, and in all; of one that has ended, at its end.
    pub step: u64,
    /// All of them; 0 where that is not told.
    pub steps: u64,
    /// Seconds that are left, by estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// How it ended, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was created.
    pub created: String,
    /// Who is asked, and how far each is.
    pub systems: Vec<Asked>,
}

impl Evaluation {
    /// Whether a process carries it out.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state == "running"
    }
}

/// A system that is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Asked {
    /// What it is called.
    pub name: String,
    /// The hash of all that decides its answers.
    pub hash: String,
    /// Rows that it has answered.
    pub answered: usize,
    /// Rows that it is asked.
    pub rows: usize,
}

/// What was begun, as `togi eval --background --json` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// The name of its folder.
    pub evaluation: String,
    /// The number of the test set.
    pub test: i64,
    /// Its rows.
    pub rows: usize,
    /// Answers and likelihoods that are missing.
    pub missing: usize,
    /// Who is asked.
    pub systems: Vec<String>,
    /// What a person must know besides.
    pub notes: Vec<String>,
}

/// Freezes an evaluation and lets a process of its own carry it out; returns when that has begun.
///
/// # Errors
/// When test set or systems cannot be read, nothing is missing, another evaluation of the test set runs, or no process can be
/// started.
pub fn start(context: &mut Context, request: &Request, tell: &mut dyn FnMut(Download)) -> Result<Begun, ActionError> {
    let mut store = context.store()?;
    let (measured, _) = prepare(context, &mut store, request, tell)?;
    let test = &measured.test;
    let running = list(context, &store)?.into_iter().find(|one| one.is_live() && one.hash == test.hash);
    if let Some(one) = running {
        return Err(ActionError::Refused(format!(
            "evaluation {} asks {} already: wait for it, or stop it with togi eval --stop {}",
            one.evaluation, one.test, one.evaluation
        )));
    }
    let (done, steps) = standing(&store, &measured)?;
    if done.values().sum::<usize>() >= steps {
        return Err(ActionError::Refused(format!(
            "everything that is asked of {} is answered already; togi eval --stored reports it",
            test.name
        )));
    }
    let plan = Plan {
        test: test.name.clone(),
        hash: test.hash.clone(),
        rows: measured.records.len(),
        asked: measured.records.iter().filter(|record| is_asked(record)).count(),
        systems: measured.systems.iter().map(|(one, _)| Named { name: one.name.clone(), hash: one.hash() }).collect(),
    };
    let mut draft = Job::create(&context.project.evaluations_dir(), Kind::Evaluate)?;
    draft.freeze("system", measured.systems.iter().map(|(system, _)| system))?;
    let job = draft.seal(&plan)?;
    super::super::train::launch(&job)?;
    Ok(Begun {
        evaluation: job.name(),
        test: test.id,
        rows: plan.rows,
        missing: steps - done.values().sum::<usize>(),
        systems: plan.systems.into_iter().map(|system| system.name).collect(),
        notes: measured.notes,
    })
}

/// What is done, by the system's number and whether it is likelihoods.
type Done = BTreeMap<(i64, bool), usize>;

/// What of each system is done, and how much there is in all.
fn standing(store: &Store, measured: &Measured) -> Result<(Done, usize), ActionError> {
    let rows = measured.records.len();
    let (mut done, mut steps) = (BTreeMap::new(), 0);
    for (system, id) in &measured.systems {
        done.insert((*id, false), rows - missing(store, measured, *id)?.len());
        steps += rows;
        if system.endpoint.is_none() {
            let known = store.likelihoods(measured.test.id, *id)?;
            done.insert((*id, true), known.iter().filter(|row| row.place < rows).count());
            steps += rows;
        }
    }
    Ok((done, steps))
}

/// Whether a job is an evaluation.
#[must_use]
pub fn is_evaluation(job: &Job) -> bool {
    job.header().kind == Kind::Evaluate
}

/// Carries out an evaluation in this process and returns how it ended.
///
/// # Errors
/// When it cannot be held or its end cannot be written down. What stopped the answers themselves is in the job's end and log.
pub fn run(job: &Job, control: &Control) -> Result<Outcome, ActionError> {
    let plan: Plan = job.plan()?;
    let hold = job.hold()?;
    let listener = control.listen(&hold);
    if let Err(error) = &listener {
        log(&hold, &format!("other processes cannot control this evaluation: {error}"));
    }
    let mut step = None;
    let (outcome, reason) = match answer(&hold, &plan, control, &mut step) {
        Ok(notes) => {
            for note in &notes {
                log(&hold, note);
            }
            (Outcome::Finished, if notes.is_empty() { "all is answered".to_owned() } else { notes.join("; ") })
        }
        Err(error) if control.is_stopping() => (Outcome::Stopped, error.to_string()),
        Err(error) => {
            log(&hold, &format!("togi: {error}"));
            (Outcome::Failed, error.to_string())
        }
    };
    hold.still_there()?;
    hold.end(outcome, step, &reason)?;
    drop(listener);
    Ok(outcome)
}

/// Asks what is missing; returns what a person must know of it.
fn answer(hold: &Hold, plan: &Plan, control: &Control, step: &mut Option<u64>) -> Result<Vec<String>, ActionError> {
    let job = hold.job();
    let context = Context::find(job.dir(), None)?;
    let mut store = context.store()?;
    let test =
        store.tests()?.into_iter().find(|test| test.hash == plan.hash).ok_or_else(|| {
            ActionError::Refused(format!("{} is no frozen test set of this project any more", plan.test))
        })?;
    let mut records = browse::rows(&store, &test)?;
    records.truncate(plan.rows);
    let mut systems = Vec::new();
    for system in job.inputs::<System>("system")? {
        if let (Some(name), Some(was)) = (&system.endpoint, &system.service)
            && super::service::about(&context, name)? != *was
        {
            return Err(ActionError::Refused(format!(
                "endpoint {name} has other settings now than when this evaluation was begun: start another one"
            )));
        }
        let about = serde_json::to_string(&system).unwrap_or_default();
        let id = store.keep_system(&system.hash(), &system.name, &about)?;
        systems.push((system, id));
    }
    let mut measured = Measured { test, records, systems, notes: Vec::new() };
    let (mut done, steps) = standing(&store, &measured)?;
    let ids: BTreeMap<String, i64> = measured.systems.iter().map(|(one, id)| (one.name.clone(), *id)).collect();
    let mut begun: Option<(Instant, usize)> = None;
    ask(&context, &mut store, (&mut measured, &mut Bases::default()), &mut |progress| {
        if let Some(id) = ids.get(progress.system) {
            done.insert((*id, progress.stage == Stage::Likelihood), progress.done);
        }
        let all: usize = done.values().sum();
        let (since, first) = *begun.get_or_insert((Instant::now(), all));
        let pace = since.elapsed().as_secs_f64() / all.saturating_sub(first).max(1) as f64;
        *step = Some(all as u64);
        control.publish(job::Progress {
            phase: Phase::Running,
            step: all as u64,
            steps: steps as u64,
            seconds_left: (all > first).then(|| pace * steps.saturating_sub(all) as f64),
            ..job::Progress::default()
        });
        let asked = Instant::now();
        let goes_on = loop {
            match control.command() {
                job::Command::Go => break hold.is_there(),
                // Every answer is kept as it comes.
                job::Command::Checkpoint => {}
                job::Command::Stop => break false,
            }
        };
        if asked.elapsed() > WAITED {
            // The time in which it waited says nothing of its pace.
            begun = None;
        }
        goes_on
    })?;
    Ok(measured.notes)
}

/// Appends a line to the job's log. One that cannot be written is no reason to lose answers.
fn log(hold: &Hold, words: &str) {
    if let Ok(mut file) = durable::append(&hold.job().log_path()) {
        let _ = std::io::Write::write_all(&mut file, format!("{words}\n").as_bytes());
    }
}

/// The project's evaluations in the background, oldest first. One whose folder cannot be read stays in the list, with the reason.
///
/// # Errors
/// When the folder or the database cannot be read.
pub fn list(context: &Context, store: &Store) -> Result<Vec<Evaluation>, ActionError> {
    let dir = context.project.evaluations_dir();
    let tests = store.tests()?;
    let mut answered: BTreeMap<i64, BTreeMap<String, usize>> = BTreeMap::new();
    let mut found = Vec::new();
    for name in Job::names(&dir)? {
        let told = Job::open(&dir.join(&name)).and_then(|job| tell(&job));
        let mut one = told.unwrap_or_else(|error| Evaluation {
            evaluation: name,
            state: "unreadable".into(),
            reason: Some(error.to_string()),
            ..Evaluation::default()
        });
        if let Some(test) = tests.iter().find(|test| test.hash == one.hash) {
            let counts = match answered.entry(test.id) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    let there = store.systems(test.id)?.into_iter();
                    place.insert(there.map(|system| (system.hash, system.answered)).collect())
                }
            };
            for system in &mut one.systems {
                system.answered = counts.get(&system.hash).copied().unwrap_or(0).min(system.rows);
            }
        }
        found.push(one);
    }
    Ok(found)
}

/// How an evaluation stands, as far as its folder tells.
fn tell(job: &Job) -> Result<Evaluation, JobError> {
    let plan: Plan = job.plan()?;
    let state = job.state()?;
    let asked = plan.asked;
    let system = |named: Named| Asked { name: named.name, hash: named.hash, answered: 0, rows: asked };
    let mut one = Evaluation {
        evaluation: job.name(),
        state: state.word().to_owned(),
        test: plan.test,
        hash: plan.hash,
        created: job.header().created.to_string(),
        systems: plan.systems.into_iter().map(system).collect(),
        ..Evaluation::default()
    };
    match state {
        State::Running(_) => {
            // One that is reading its model does not listen yet.
            let progress = job::send(job.dir(), job::Request::Status).unwrap_or_default();
            let phase = serde_json::to_value(progress.phase).ok();
            one.phase = phase.and_then(|phase| Some(phase.as_str()?.to_owned()));
            (one.step, one.steps, one.seconds_left) = (progress.step, progress.steps, progress.seconds_left);
        }
        State::Ended(ending) => {
            one.step = ending.step.unwrap_or_default();
            one.reason = Some(ending.reason);
        }
        State::Waiting | State::Interrupted(_) => {}
    }
    Ok(one)
}

/// Asks something of an evaluation that is carried out by whatever process; `latest` is the newest that runs. Returns its name. What is
/// answered stays, whatever is asked.
///
/// # Errors
/// When there is no such evaluation, or it does not run.
pub fn control(context: &Context, name: &str, request: job::Request) -> Result<String, ActionError> {
    let dir = context.project.evaluations_dir();
    let job = if name == "latest" {
        let running = Job::list(&dir)?.into_iter().flatten().filter(is_live).last();
        running.ok_or_else(|| ActionError::Refused("no evaluation runs in the background".into()))?
    } else {
        Job::find(&dir, name)?
    };
    job::send(job.dir(), request).map_err(|error| ActionError::Refused(error.to_string()))?;
    Ok(job.name())
}

fn is_live(job: &Job) -> bool {
    matches!(job.state(), Ok(State::Running(_)))
}

/// Evaluations that are asked whether they run, the newest first: who looks again and again does not read them all.
const NEWEST: usize = 8;

/// Whether an evaluation runs in the background, of the newest. Opens no database.
///
/// # Errors
/// When the folder cannot be read.
pub fn any_live(context: &Context) -> Result<bool, ActionError> {
    let dir = context.project.evaluations_dir();
    let newest = Job::names(&dir)?.into_iter().rev().take(NEWEST);
    Ok(newest.filter_map(|name| Job::open(&dir.join(name)).ok()).any(|job| is_live(&job)))
}
