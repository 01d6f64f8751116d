//! The ladder: one task over training-set sizes and models under one frozen test set, and the smallest rung that is good enough.
//!
//! A cell is one model trained on the first so many rows of one seeded order, so that a smaller set is part of every larger one.
//! What was trained stands in `ladder.jsonl` beside `togi.toml`, a line a cell: the hash of all that decides it, and its run. So a
//! stopped ladder goes on with the checkpoint it had reached, and the same one again trains nothing.

pub mod chart;
mod model;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::adapters::Choice;
use super::context::{ActionError, Context, Download, records};
use super::evaluation::{self, Progress, Spec, Writing, system};
use super::{cost, train};
use crate::evaluate::ladder::{Cell, Smallest, nested};
use crate::evaluate::report::{EXACT, Report};
use crate::job::{Control, Job, Outcome, State};
use crate::project::durable;
use crate::prompt::Record;
use crate::worker::Event;
use model::Model;

/// The file that says which run is which cell.
const FILE: &str = "ladder.jsonl";

/// A size of the training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many rows.
    Rows(usize),
    /// All there are.
    All,
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "all" => Ok(Self::All),
            other => match other.parse() {
                Ok(rows) if rows > 0 => Ok(Self::Rows(rows)),
                _ => Err(format!("{other:?} is no size: a number of rows above 0, or all")),
            },
        }
    }
}

/// What is to be climbed.
#[derive(Clone, Debug)]
pub struct Request {
    /// The training records.
    pub data: PathBuf,
    /// Records to validate on, the same for every cell; without them a share of each cell's rows is held out.
    pub valid: Option<PathBuf>,
    /// The test records.
    pub test: PathBuf,
    /// The sizes.
    pub sizes: Vec<Size>,
    /// The models, each a path or a Hub id; none for the project's.
    pub models: Vec<String>,
    /// Training settings over the project's, the same for every cell.
    pub set: Vec<String>,
    /// The seed of the order in which rows are taken.
    pub seed: u64,
    /// Only the first rows of the test set.
    pub rows: Option<usize>,
    /// Tokens of an answer at most.
    pub max_tokens: usize,
    /// The metric that is the quality, by its key.
    pub metric: String,
    /// The quality asked for, 0 to 1.
    pub target: Option<f64>,
    /// Only this cell: its number in the list, from 1.
    pub only: Option<usize>,
    /// Only say what there is and what is missing.
    pub plan: bool,
}

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
    #[serde(skip)]
    key: String,
}

/// A line of the ladder's file.
#[derive(Serialize, Deserialize)]
struct Line {
    cell: String,
    run: String,
}

/// What happens.
pub enum Seen<'a> {
    /// A cell begins to be trained, or goes on.
    Trains {
        /// The model.
        model: &'a str,
        /// Rows.
        rows: usize,
        /// Its run.
        run: String,
        /// Steps in all.
        steps: u64,
    },
    /// The training goes on.
    Training(&'a Event<'a>),
    /// The systems answer the test.
    Tests(Progress<'a>),
}

/// The ladder as far as it is climbed.
#[derive(Clone, Debug, Serialize)]
pub struct Climbed {
    /// The metric that is the quality.
    pub metric: String,
    /// The test set.
    pub test: String,
    /// The cells that were tested, in the order of model and rows.
    pub cells: Vec<Cell>,
    /// Cells that wait.
    pub waiting: usize,
    /// The smallest cell whose interval reaches the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smallest: Option<Smallest>,
    /// The report of the last model's cells, with pairs and rows.
    #[serde(skip)]
    pub reports: Vec<Report>,
    /// All cells that are wanted.
    #[serde(skip)]
    pub wanted: Vec<Wanted>,
    /// The currency of costs.
    pub currency: String,
}

/// Trains the cells that are missing, tests all that are trained, and finds the smallest that is good enough. Stops after the
/// step at hand where `control` says so.
///
/// # Errors
/// When data, model or settings are wrong, a training fails, or it is stopped.
pub fn climb(
    context: &Context,
    request: &Request,
    control: &Control,
    tell: &mut dyn FnMut(Download),
    see: &mut (dyn FnMut(Seen<'_>) + Send),
) -> Result<Climbed, ActionError> {
    let pool = records(&request.data)?;
    check(request)?;
    if pool.is_empty() {
        return Err(ActionError::Refused(format!("{} has no record to train on", request.data.display())));
    }
    let valid = request.valid.as_deref().map(records).transpose()?.unwrap_or_default();
    let mut names: Vec<Option<&str>> = request.models.iter().map(|model| Some(model.as_str())).collect();
    if names.is_empty() {
        names.push(None);
    }
    let mut wanted = Vec::new();
    let mut models = Vec::with_capacity(names.len());
    let ids: Vec<&str> = pool.iter().map(|record| record.id.as_str()).collect();
    let mut sizes: Vec<usize> = request.sizes.iter().map(|size| size.of(pool.len())).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let subsets = nested(&ids, &sizes, request.seed);
    for name in names {
        let model = Model::open(context, name, request, pool.iter().chain(&valid), tell)?;
        let files = system::small_files(Path::new(&model.base.path));
        let (settings, prompt) = (model.context.settings(&model.set)?, model.context.prompt()?);
        for subset in &subsets {
            let rows: Vec<&Record> = subset.iter().filter_map(|&at| pool.get(at)).collect();
            let key = json!({ "base": model.base.identity, "files": files, "rows": rows, "valid": valid, "settings": settings, "prompt": prompt });
            let key = blake3::hash(key.to_string().as_bytes()).to_hex().to_string();
            let model = name.unwrap_or_default().to_owned();
            wanted.push(Wanted { model, rows: rows.len(), run: None, trained: false, key });
        }
        models.push(model);
    }
    if let Some(only) = request.only.filter(|only| *only == 0 || *only > wanted.len()) {
        return Err(ActionError::Refused(format!(
            "there is no cell {only}: there are {} (--plan lists them)",
            wanted.len()
        )));
    }
    let known = read(context)?;
    for cell in &mut wanted {
        let run = known.iter().rev().find(|line| line.cell == cell.key).map(|line| line.run.clone());
        let job = run.as_deref().and_then(|run| context.run(run).ok());
        cell.trained = job.as_ref().map(finished).transpose()?.unwrap_or(false);
        cell.run = job.map(|job| job.name());
    }
    if !request.plan {
        for (at, cell) in wanted.iter_mut().enumerate() {
            if cell.trained || request.only.is_some_and(|only| only != at + 1) {
                continue;
            }
            let place = at / subsets.len().max(1);
            let (Some(model), Some(subset)) = (models.get_mut(place), subsets.get(at % subsets.len().max(1))) else {
                continue;
            };
            let rows: Vec<Record> = subset.iter().filter_map(|&at| pool.get(at).cloned()).collect();
            teach(&mut model.context, cell, rows, valid.clone(), &model.set, control, tell, see)?;
        }
    }
    test(request, &mut models, wanted, control, tell, see)
}

impl Size {
    fn of(self, all: usize) -> usize {
        match self {
            Self::Rows(rows) => rows.min(all),
            Self::All => all,
        }
    }
}

/// Refuses what would only be found out after hours.
fn check(request: &Request) -> Result<(), ActionError> {
    if let Some(target) = request.target.filter(|target| !(0.0..=1.0).contains(target)) {
        return Err(ActionError::Refused(format!("--target {target} is no share: write 0.4 for 40 %")));
    }
    let there = evaluation::metric_keys(&records(&request.test)?);
    if there.contains(&request.metric) {
        return Ok(());
    }
    Err(ActionError::Refused(format!(
        "there is no metric {:?} on this test; there is {}",
        request.metric,
        there.join(", ")
    )))
}

fn finished(job: &Job) -> Result<bool, ActionError> {
    Ok(matches!(job.state()?, State::Ended(ending) if ending.outcome == Outcome::Finished))
}

fn read(context: &Context) -> Result<Vec<Line>, ActionError> {
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
    let mut file = durable::append(&path).map_err(crate::job::JobError::from)?;
    file.write_all(format!("{before}{line}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|cause| ActionError::File { action: "write", path, cause })
}

/// Trains a cell, or goes on with it.
#[allow(clippy::too_many_arguments)] // one cell's parts, named once
fn teach(
    context: &mut Context,
    cell: &mut Wanted,
    rows: Vec<Record>,
    valid: Vec<Record>,
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
        let request = train::Request { rows: Some((rows, valid)), set: set.to_vec(), ..train::Request::default() };
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

/// Tests the base and the trained cells of each model.
fn test(
    request: &Request,
    models: &mut [Model<'_>],
    wanted: Vec<Wanted>,
    control: &Control,
    tell: &mut dyn FnMut(Download),
    see: &mut (dyn FnMut(Seen<'_>) + Send),
) -> Result<Climbed, ActionError> {
    let mut climbed = Climbed {
        metric: request.metric.clone(),
        test: request.test.display().to_string(),
        cells: Vec::new(),
        waiting: wanted.iter().filter(|cell| !cell.trained).count(),
        smallest: None,
        reports: Vec::new(),
        wanted,
        currency: String::new(),
    };
    let shown: Vec<&str> = models.iter().filter_map(|model| model.name).collect();
    for Model { name, context, base: source, parameters, .. } in models {
        let name = name.unwrap_or_default();
        let done: Vec<(usize, String)> = climbed
            .wanted
            .iter()
            .filter(|cell| cell.model == name && cell.trained)
            .filter_map(|cell| Some((cell.rows, cell.run.clone()?)))
            .collect();
        let base = Spec { name: Some("base".into()), ..Spec::default() };
        let tuned = done.iter().map(|(rows, run)| Spec {
            name: Some(format!("{rows} rows")),
            choice: Choice { run: Some(run.clone()), adapter: None },
            ..Spec::default()
        });
        let asked = evaluation::Request {
            data: Some(request.test.clone()),
            rows: request.rows,
            systems: std::iter::once(base).chain(tuned).collect(),
            writing: Writing { max_tokens: request.max_tokens, ..evaluation::Request::default().writing },
            stored: request.plan,
            ..evaluation::Request::default()
        };
        let found = evaluation::evaluate(context, &asked, tell, &mut |progress| {
            see(Seen::Tests(progress));
            !control.is_stopping()
        })?;
        let assumptions = cost::assumptions(context)?;
        climbed.currency.clone_from(&assumptions.currency);
        for (rows, figures) in std::iter::once(0).chain(done.iter().map(|(rows, _)| *rows)).zip(&found.report.systems) {
            let Some(quality) = figures.scores.get(&request.metric) else {
                let there: Vec<&str> = figures.scores.keys().map(String::as_str).collect();
                if there.is_empty() {
                    continue;
                }
                return Err(ActionError::Refused(format!(
                    "there is no metric {:?} on this test; there is {}",
                    request.metric,
                    there.join(", ")
                )));
            };
            let spent =
                done.iter().find(|(of, _)| *of == rows).map(|(_, run)| train_seconds(context, run)).transpose()?;
            climbed.cells.push(Cell {
                model: if twice(&shown, &source.name) { source.name.clone() } else { short(&source.name) },
                parameters: *parameters,
                rows,
                quality: quality.value,
                interval: quality.interval,
                cost_per_request: cost::per_request(&assumptions, figures)?,
                fixed_cost: spent.flatten().map(|seconds| cost::of_seconds(&assumptions, seconds)).transpose()?,
            });
        }
        climbed.reports.push(found.report);
    }
    climbed.smallest = request.target.map(|target| Smallest::of(&ordered(&climbed.cells), target));
    Ok(climbed)
}

/// The cells with one cost of a request for each model, the middle of its tuned cells': what one was measured faster than another of
/// the same model is noise, and fewer rows come first then.
fn ordered(cells: &[Cell]) -> Vec<Cell> {
    let mut ordered = cells.to_vec();
    for cell in &mut ordered {
        let of = |tuned: bool| {
            let own = cells.iter().filter(|other| other.model == cell.model && (!tuned || other.rows > 0));
            let mut costs: Vec<f64> = own.filter_map(|other| other.cost_per_request).collect();
            costs.sort_by(f64::total_cmp);
            costs.get(costs.len() / 2).copied()
        };
        cell.cost_per_request = of(true).or_else(|| of(false));
    }
    ordered
}

/// The seconds that a run was trained.
fn train_seconds(context: &Context, run: &str) -> Result<Option<f64>, ActionError> {
    let job = context.run(run)?;
    let lines = crate::job::Reader::<crate::worker::Metrics>::new(&job.metrics_path()).poll()?.lines;
    Ok(lines.last().map(|line| line.seconds))
}

/// Whether the short name would stand for several of the models.
fn twice(models: &[&str], name: &str) -> bool {
    models.iter().filter(|model| short(model) == short(name)).count() > 1
}

/// A model's last folder or file name.
fn short(name: &str) -> String {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name);
    last.strip_suffix(".gguf").unwrap_or(last).to_owned()
}

impl Default for Request {
    fn default() -> Self {
        Self {
            data: PathBuf::new(),
            valid: None,
            test: PathBuf::new(),
            sizes: vec![Size::Rows(64), Size::Rows(256), Size::Rows(1000), Size::All],
            models: Vec::new(),
            set: Vec::new(),
            seed: 0,
            rows: None,
            max_tokens: 96,
            metric: EXACT.to_owned(),
            target: None,
            only: None,
            plan: false,
        }
    }
}
