//! The ladder: one task over training-set sizes and models under one frozen test set, and the smallest rung that is good enough.
//!
//! A cell is one model trained on the first so many rows of one seeded order, so that a smaller set is part of every larger one.
//! What was trained stands in `ladder.jsonl` beside `togi.toml`, a line a cell: the hash of all that decides it, and its run. So a
//! stopped ladder goes on with the checkpoint it had reached, and the same one again trains nothing. One ladder of a project is at
//! work at a time: in the foreground of whoever asked, or as a job that outlives the terminal ([`background`]).

pub mod background;
mod cells;
pub mod chart;
mod model;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::adapters::Choice;
use super::context::{ActionError, Context, Download, records};
use super::cost;
use super::evaluation::{self, Progress, Spec, Writing};
use crate::evaluate::ladder::{Cell, Smallest, nested};
use crate::evaluate::report::{EXACT, Report};
use crate::job::{Control, Turn};
use crate::prompt::Record;
use crate::text;
use crate::worker::Event;
use model::Model;

pub use cells::Wanted;

/// A size of the training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The training records.
    pub data: PathBuf,
    /// Records to validate on, the same for every cell; without them a share of each cell's rows is held out.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    #[serde(skip)]
    pub plan: bool,
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
    /// What it is called.
    pub label: String,
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
    /// What a reader must know besides.
    pub notes: Vec<String>,
}

impl Climbed {
    /// Which cell is the smallest that is good enough, in words; none where no target was given.
    #[must_use]
    pub fn verdict(&self) -> Option<String> {
        let smallest = self.smallest?;
        let target = format!("{:.1} %", 100.0 * smallest.target);
        let name = |at: usize| {
            self.cells.get(at).map_or_else(String::new, |cell| match cell.rows {
                0 => format!("{} as it came", cell.model),
                rows => format!("{} on {} rows", cell.model, text::count(rows as u64)),
            })
        };
        Some(match (smallest.surely, smallest.likely, smallest.best) {
            (Some(at), ..) => format!("the smallest whose interval reaches {target}: {}", name(at)),
            (None, Some(at), _) => format!("none reaches {target} with its interval; {} does by its mean", name(at)),
            (None, None, Some(at)) => format!("none reaches {target}; the best is {}", name(at)),
            _ => format!("nothing is known of {target} yet"),
        })
    }
}

/// Trains the cells that are missing, tests all that are trained, and finds the smallest that is good enough. Stops after the
/// step at hand where `control` says so.
///
/// # Errors
/// When data, model or settings are wrong, another ladder is at work, a training fails, or it is stopped.
pub fn climb(
    context: &Context,
    request: &Request,
    control: &Control,
    tell: &mut dyn FnMut(Download),
    see: &mut (dyn FnMut(Seen<'_>) + Send),
) -> Result<Climbed, ActionError> {
    let rows = Rows::read(request)?;
    let prepared = Prepared::of(context, request, &rows, tell)?;
    // Two ladders at once would train the same cells against each other.
    let turn = if request.plan {
        None
    } else {
        let dir = context.project.ladders_dir();
        let turn = Turn::take(&dir, &format!("process {}", std::process::id()))?;
        Some(turn.ok_or_else(|| background::busy(&dir))?)
    };
    let climbed = prepared.climb(context, request, &rows, control, tell, see);
    drop(turn);
    climbed
}

/// The records of a ladder, read once.
struct Rows {
    pool: Vec<Record>,
    valid: Vec<Record>,
    /// The test, by its file or as it is frozen.
    test: Test,
}

/// A test set.
enum Test {
    File(PathBuf),
    Frozen { id: i64, name: String },
}

impl Test {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Frozen { name, .. } => name.clone(),
        }
    }
}

impl Rows {
    /// Reads what the request names, and refuses what would only be found out after hours.
    fn read(request: &Request) -> Result<Self, ActionError> {
        let pool = records(&request.data)?;
        check(request)?;
        if pool.is_empty() {
            return Err(ActionError::Refused(format!("{} has no record to train on", request.data.display())));
        }
        let valid = request.valid.as_deref().map(records).transpose()?.unwrap_or_default();
        Ok(Self { pool, valid, test: Test::File(request.test.clone()) })
    }
}

/// The cells that are wanted, and the models that they are of.
struct Prepared<'r> {
    models: Vec<Model<'r>>,
    wanted: Vec<Wanted>,
    /// The rows of each size, by their places in the pool.
    subsets: Vec<Vec<usize>>,
}

impl<'r> Prepared<'r> {
    fn of(
        context: &Context,
        request: &'r Request,
        rows: &Rows,
        tell: &mut dyn FnMut(Download),
    ) -> Result<Self, ActionError> {
        let mut names: Vec<Option<&str>> = request.models.iter().map(|model| Some(model.as_str())).collect();
        if names.is_empty() {
            names.push(None);
        }
        let ids: Vec<&str> = rows.pool.iter().map(|record| record.id.as_str()).collect();
        let mut sizes: Vec<usize> = request.sizes.iter().map(|size| size.of(rows.pool.len())).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let subsets = nested(&ids, &sizes, request.seed);
        let (mut models, mut wanted) = (Vec::with_capacity(names.len()), Vec::new());
        for name in names {
            let model = Model::open(context, name, request, rows.pool.iter().chain(&rows.valid), tell)?;
            for subset in &subsets {
                let own: Vec<&Record> = subset.iter().filter_map(|&at| rows.pool.get(at)).collect();
                wanted.push(Wanted::new(name.unwrap_or_default(), own.len(), model.key(&own, &rows.valid)?));
            }
            models.push(model);
        }
        if let Some(only) = request.only.filter(|only| *only == 0 || *only > wanted.len()) {
            let there = wanted.len();
            return Err(ActionError::Refused(format!(
                "there is no cell {only}: there are {there} (--plan lists them)"
            )));
        }
        cells::find(context, &mut wanted)?;
        Ok(Self { models, wanted, subsets })
    }

    fn climb(
        mut self,
        context: &Context,
        request: &Request,
        rows: &Rows,
        control: &Control,
        tell: &mut dyn FnMut(Download),
        see: &mut (dyn FnMut(Seen<'_>) + Send),
    ) -> Result<Climbed, ActionError> {
        // What another ladder has trained while this one waited for its turn is not trained again.
        cells::find(context, &mut self.wanted)?;
        let sizes = self.subsets.len().max(1);
        for (at, cell) in self.wanted.iter_mut().enumerate() {
            if request.plan || cell.trained || request.only.is_some_and(|only| only != at + 1) {
                continue;
            }
            let (Some(model), Some(subset)) = (self.models.get_mut(at / sizes), self.subsets.get(at % sizes)) else {
                continue;
            };
            let own: Vec<Record> = subset.iter().filter_map(|&at| rows.pool.get(at).cloned()).collect();
            // A prompt or a model that was changed meanwhile would train another cell than the one that is noted.
            if model.key(&own.iter().collect::<Vec<_>>(), &rows.valid)? != cell.key {
                return Err(changed());
            }
            cells::teach(&mut model.context, cell, (own, rows.valid.clone()), &model.set, control, tell, see)?;
        }
        test(request, &rows.test, &mut self.models, self.wanted, control, tell, see)
    }
}

/// The refusal of a ladder whose settings, prompt or models are others than when it was begun.
fn changed() -> ActionError {
    ActionError::Refused(
        "togi.toml, the prompt or a model has changed since this ladder was begun: start it again, and what is trained as it \
         would be now is not trained again"
            .into(),
    )
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
        return Err(ActionError::Asked(format!("--target {target} is no share: write 0.4 for 40 %")));
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

/// Tests the base and the trained cells of each model.
fn test(
    request: &Request,
    of: &Test,
    models: &mut [Model<'_>],
    wanted: Vec<Wanted>,
    control: &Control,
    tell: &mut dyn FnMut(Download),
    see: &mut (dyn FnMut(Seen<'_>) + Send),
) -> Result<Climbed, ActionError> {
    let mut climbed = Climbed {
        metric: request.metric.clone(),
        label: request.metric.clone(),
        notes: Vec::new(),
        test: of.name(),
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
        let trained = climbed.wanted.iter().filter(|cell| cell.model == name && cell.trained);
        let done: Cells = std::iter::once((0, None))
            .chain(trained.filter_map(|cell| Some((cell.rows, Some(cell.run.clone()?)))))
            .collect();
        let spec = |(rows, run): &(usize, Option<String>)| Spec {
            name: Some(if run.is_some() { format!("{rows} rows") } else { "base".to_owned() }),
            choice: Choice { run: run.clone(), adapter: None },
            ..Spec::default()
        };
        let (data, frozen) = match of {
            Test::File(path) => (Some(path.clone()), None),
            Test::Frozen { id, .. } => (None, Some(*id)),
        };
        let asked = evaluation::Request {
            data,
            test: frozen,
            rows: request.rows,
            systems: done.iter().map(spec).collect(),
            writing: Writing { max_tokens: request.max_tokens, ..evaluation::Request::default().writing },
            stored: request.plan,
            ..evaluation::Request::default()
        };
        let (asked, done) = if request.plan { answered(context, asked, done, tell)? } else { (asked, done) };
        if asked.systems.is_empty() {
            continue;
        }
        let found = evaluation::evaluate(context, &asked, tell, &mut |progress| {
            see(Seen::Tests(progress));
            !control.is_stopping()
        })?;
        let assumptions = cost::assumptions(context)?;
        climbed.currency.clone_from(&assumptions.currency);
        for ((rows, run), figures) in done.iter().zip(&found.report.systems) {
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
            let spent = run.as_deref().map(|run| train_seconds(context, run)).transpose()?;
            climbed.cells.push(Cell {
                model: if twice(&shown, &source.name) { source.name.clone() } else { short(&source.name) },
                parameters: *parameters,
                rows: *rows,
                quality: quality.value,
                interval: quality.interval,
                cost_per_request: cost::per_request(&assumptions, figures)?,
                fixed_cost: spent.flatten().map(|seconds| cost::of_seconds(&assumptions, seconds)).transpose()?,
            });
        }
        if let Some(metric) = found.report.metrics.iter().find(|metric| metric.key == request.metric) {
            climbed.label = metric.label();
        }
        for note in &found.report.notes {
            if !climbed.notes.contains(note) {
                climbed.notes.push(note.clone());
            }
        }
        climbed.reports.push(found.report);
    }
    climbed.smallest = request.target.map(|target| Smallest::of(&ordered(&climbed.cells), target));
    Ok(climbed)
}

/// Rows of training with their run; none is the base.
type Cells = Vec<(usize, Option<String>)>;

/// Of what is asked, the systems that have answered: a ladder that is only looked at asks nobody.
fn answered(
    context: &mut Context,
    asked: evaluation::Request,
    done: Cells,
    tell: &mut dyn FnMut(Download),
) -> Result<(evaluation::Request, Cells), ActionError> {
    let (mut systems, mut cells) = (Vec::new(), Vec::new());
    for (spec, cell) in asked.systems.iter().zip(done) {
        let one = evaluation::Request { systems: vec![spec.clone()], ..asked.clone() };
        match evaluation::measure(context, &mut context.store()?, &one, tell, &mut |_| true) {
            Ok(_) => {
                systems.push(spec.clone());
                cells.push(cell);
            }
            Err(ActionError::Refused(_)) => {}
            Err(other) => return Err(other),
        }
    }
    Ok((evaluation::Request { systems, ..asked }, cells))
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
