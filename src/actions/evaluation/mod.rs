//! Systems measured on a frozen test set: who is asked, what is still missing, and the report of what is stored.
//!
//! An evaluation freezes its test set in the project's database, asks each system for the answers that are not there yet and keeps
//! them as they come, so a stopped one goes on where it was and the same one again asks nobody. The report is made of what is
//! stored: metrics can be changed and computed anew at will.

pub mod background;
mod bases;
pub mod browse;
pub mod errors;
mod examples;
mod local;
mod score;
mod service;
pub mod system;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::adapters::Choice;
use super::context::{ActionError, Context, Download, records};
use crate::evaluate::Likelihood;
use crate::evaluate::report::Report;
use crate::evaluate::significance::Resampling;
use crate::prompt::{Kind, Record};
use crate::store::{Generation, Query, Store, StoreError, TestSet, Work};
use bases::Bases;

pub use crate::evaluate::Report as Summary;
pub use crate::evaluate::report::{self, Figures, html, markdown};
pub use crate::evaluate::{FieldScore, Interval};
pub use crate::worker::Sampling;
pub use score::write_answers;
pub use system::{Examples, Spec, System, Writing};

/// Examples that stand before every question of the base model, unless it is said otherwise: few enough for a small context.
pub const EXAMPLES: usize = 4;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Request {
    /// The test records; without a file the project's gold records of the split `test`.
    pub data: Option<PathBuf>,
    /// A test set that is frozen already, by its number, in place of `data`.
    pub test: Option<i64>,
    /// Only the first rows.
    pub rows: Option<usize>,
    /// The systems by name; none for the usual ones: the base, the base with examples, and `choice`.
    pub systems: Vec<Spec>,
    /// The tuned model.
    pub choice: Choice,
    /// Not the base.
    pub skip_base: bool,
    /// Examples for the base, as one of the usual systems; 0 for none.
    pub examples: usize,
    /// How answers are written.
    pub writing: Writing,
    /// Ask nobody: report what is stored.
    pub stored: bool,
    /// With `stored`: only the systems of these names or hashes, those too that have not answered every row.
    pub only: Vec<String>,
    /// Resamples of the bootstrap.
    pub resampling: Resampling,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            data: None,
            test: None,
            rows: None,
            systems: Vec::new(),
            choice: Choice::default(),
            skip_base: false,
            examples: EXAMPLES,
            writing: Writing { max_tokens: 96, sampling: Sampling::default() },
            stored: false,
            only: Vec::new(),
            resampling: Resampling::default(),
        }
    }
}

/// What is being measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The system's own answers.
    Answers,
    /// How likely it finds the right ones.
    Likelihood,
}

/// How far an evaluation is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The system at work.
    pub system: &'a str,
    /// At what.
    pub stage: Stage,
    /// Rows done, those that were stored before included.
    pub done: usize,
    /// All rows.
    pub rows: usize,
}

/// One system's turn: who is at work, and whether it is to go on.
pub struct Turn<'a> {
    system: &'a str,
    stage: Stage,
    before: usize,
    rows: usize,
    see: &'a mut dyn FnMut(Progress<'_>) -> bool,
}

impl Turn<'_> {
    /// Tells how many of those that were missing are done; false when no more is wanted.
    fn done(&mut self, done: usize) -> bool {
        let done = self.before + done;
        (self.see)(Progress { system: self.system, stage: self.stage, done, rows: self.rows })
    }

    fn stopped(&self) -> ActionError {
        ActionError::Refused(format!(
            "stopped while {} was at work; what it has answered is kept, and the same command goes on from there",
            self.system
        ))
    }
}

/// The figures and what they took. With the base and the tuned model's figures under the names that scripts know.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluated {
    /// The plain base and the tuned model, where they were measured.
    #[serde(flatten)]
    pub summary: Summary,
    /// Tokens of answers a second, prompts included, of the last system on this machine.
    pub generated_per_s: f64,
    /// Seconds of this evaluation; what was stored before took none.
    pub seconds: f64,
    /// The fingerprint of the tuned model's adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// All systems, compared.
    pub report: Report,
    /// Each system's answers by place.
    #[serde(skip)]
    pub answers: Vec<(String, Vec<Option<String>>)>,
    /// The rows' ids.
    #[serde(skip)]
    pub ids: Vec<String>,
}

/// A test set and what was found on it.
pub struct Measured {
    /// The frozen set.
    pub test: TestSet,
    /// Its rows, as far as they are counted.
    pub records: Vec<Record>,
    /// The systems, with their numbers in the database.
    pub systems: Vec<(System, i64)>,
    /// What a reader must know besides.
    pub notes: Vec<String>,
}

/// What each system has answered, by its number in the database, in the order of the rows.
type Answers = BTreeMap<i64, Vec<Generation>>;

impl Measured {
    /// Reads the answers.
    fn answers(&self, store: &Store) -> Result<Answers, ActionError> {
        let of = |(_, id): &(System, i64)| Ok((*id, store.generations(self.test.id, *id)?));
        self.systems.iter().map(of).collect()
    }
}

/// Measures systems on a test set and reports.
///
/// # Errors
/// When test set, model, adapter, prompt or endpoint cannot be read, or `see` stops it; what is answered by then is kept.
pub fn evaluate(
    context: &mut Context,
    request: &Request,
    tell: &mut dyn FnMut(Download),
    see: &mut dyn FnMut(Progress<'_>) -> bool,
) -> Result<Evaluated, ActionError> {
    let started = std::time::Instant::now();
    let mut store = context.store()?;
    let measured = measure(context, &mut store, request, tell, see)?;
    let answers = measured.answers(&store)?;
    let mut found = score::report(&store, &measured, &answers, request)?;
    found.report.errors = errors::find(context, &store, &measured, &answers)?;
    found.seconds = started.elapsed().as_secs_f64();
    Ok(found)
}

/// Finds the systems and has them answer what is missing.
///
/// # Errors
/// As [`evaluate`].
pub fn measure(
    context: &mut Context,
    store: &mut Store,
    request: &Request,
    tell: &mut dyn FnMut(Download),
    see: &mut dyn FnMut(Progress<'_>) -> bool,
) -> Result<Measured, ActionError> {
    let (mut measured, mut bases) = prepare(context, store, request, tell)?;
    if !request.stored {
        ask(context, store, (&mut measured, &mut bases), see)?;
    }
    Ok(measured)
}

/// Freezes the test set and finds the systems.
fn prepare(
    context: &mut Context,
    store: &mut Store,
    request: &Request,
    tell: &mut dyn FnMut(Download),
) -> Result<(Measured, Bases), ActionError> {
    let (test, mut records) = frozen(context, store, request)?;
    if let Some(rows) = request.rows {
        records.truncate(rows);
    }
    let mut notes = Vec::new();
    let open = records.iter().filter(|record| !is_asked(record) && !matches!(record.kind, Kind::Text { .. })).count();
    if open == records.len() {
        return Err(ActionError::Refused(format!(
            "{} has no row with a right answer, so nothing can be measured",
            test.name
        )));
    }
    if open > 0 {
        notes.push(format!("{open} rows have no right answer; they are left out"));
    }
    let mut bases = Bases::default();
    let systems = if request.stored {
        stored(context, &mut bases, store, request, (&test, &records), &mut notes, tell)?
    } else {
        let systems = resolve(context, &mut bases, store, request, &records, &mut notes, tell)?;
        let mut kept = Vec::with_capacity(systems.len());
        for system in systems {
            let about = serde_json::to_string(&system).unwrap_or_default();
            let id = store.keep_system(&system.hash(), &system.name, &about)?;
            if kept.iter().any(|(_, other)| *other == id) {
                notes.push(format!("{} is named twice under two names; it is counted once", system.name));
            } else {
                kept.push((system, id));
            }
        }
        kept
    };
    Ok((Measured { test, records, systems, notes }, bases))
}

/// Has the systems answer what is missing.
fn ask(
    context: &Context,
    store: &mut Store,
    (measured, bases): (&mut Measured, &mut Bases),
    see: &mut dyn FnMut(Progress<'_>) -> bool,
) -> Result<(), ActionError> {
    local::answer(context, store, measured, bases, see)?;
    for (system, id) in &measured.systems {
        if system.endpoint.is_some() {
            let asked: Vec<(usize, &Record)> = missing(store, measured, *id)?;
            if asked.is_empty() {
                continue;
            }
            let before = measured.records.len() - asked.len();
            let rows = measured.records.len();
            let mut turn = Turn { system: &system.name, stage: Stage::Answers, before, rows, see };
            let told = service::answer(context, store, system, (measured.test.id, *id), &asked, &mut turn)?;
            measured.notes.extend(told);
        }
    }
    Ok(())
}

/// The keys of the metrics that fit a test set.
#[must_use]
pub fn metric_keys(records: &[Record]) -> Vec<String> {
    score::keys(records)
}

/// Whether a row asks something that has a right answer.
fn is_asked(record: &Record) -> bool {
    !matches!(record.kind, Kind::Text { .. }) && !record.accepted().is_empty()
}

/// The systems that have answered a test set: those that are asked for, or all that have answered every row of it.
fn stored(
    context: &mut Context,
    bases: &mut Bases,
    store: &Store,
    request: &Request,
    (test, records): (&TestSet, &[Record]),
    notes: &mut Vec<String>,
    tell: &mut dyn FnMut(Download),
) -> Result<Vec<(System, i64)>, ActionError> {
    let there: Vec<(System, crate::store::StoredSystem)> = store
        .systems(test.id)?
        .into_iter()
        .filter_map(|kept| {
            let system: System = serde_json::from_str(&kept.about).ok()?;
            Some((System { name: kept.name.clone(), ..system }, kept))
        })
        .collect();
    if there.is_empty() {
        let why = format!("no system has answered {} yet: togi eval without --stored asks", test.name);
        return Err(ActionError::Refused(why));
    }
    let mut found: Vec<(System, i64)> = Vec::new();
    if !request.only.is_empty() {
        found = browse::only(there, &request.only, test)?;
    } else if request.systems.is_empty() {
        let wanted = records.iter().filter(|record| is_asked(record)).count();
        for (system, kept) in there {
            let places = store.answered(test.id, kept.id)?;
            let answered = places.iter().filter(|&&place| place < records.len()).count();
            if answered < wanted {
                notes.push(format!("{} has answered {answered} of {wanted} rows; it is left out", system.name));
            } else {
                found.push((system, kept.id));
            }
        }
        if found.is_empty() {
            return Err(ActionError::Refused(format!(
                "no system has answered all of {}: {}; togi eval without --stored goes on",
                test.name,
                notes.join("; ")
            )));
        }
    } else {
        for system in resolve(context, bases, store, request, records, notes, tell)? {
            let hash = system.hash();
            let Some((_, kept)) = there.iter().find(|(_, kept)| kept.hash == hash) else {
                let names: Vec<&str> = there.iter().map(|(system, _)| system.name.as_str()).collect();
                return Err(ActionError::Refused(format!(
                    "{} has not answered {} with these settings; stored is {} (an answer's length, prompt and examples are part of \
                     who answered)",
                    system.name,
                    test.name,
                    names.join(", ")
                )));
            };
            found.push((system, kept.id));
        }
    }
    let mut named: Vec<&mut System> = found.iter_mut().map(|(system, _)| system).collect();
    unique(&mut named);
    Ok(found)
}

/// Reports tell systems apart by their names: an equal one gets a number.
fn unique(systems: &mut [&mut System]) {
    for at in 1..systems.len() {
        let own = systems.get(at).map(|system| system.name.clone()).unwrap_or_default();
        let mut number = 1;
        let taken = |name: &str| systems.iter().take(at).any(|other| other.name == name);
        let mut name = own.clone();
        while taken(&name) {
            number += 1;
            name = format!("{own} ({number})");
        }
        if let Some(system) = systems.get_mut(at) {
            system.name = name;
        }
    }
}

/// The rows that a system has not answered; texts ask nothing, and of a row without a right answer nothing is learned.
fn missing<'m>(store: &Store, measured: &'m Measured, system: i64) -> Result<Vec<(usize, &'m Record)>, ActionError> {
    let there: std::collections::HashSet<usize> = store.answered(measured.test.id, system)?.into_iter().collect();
    let all = measured.records.iter().enumerate();
    Ok(all.filter(|(place, record)| is_asked(record) && !there.contains(place)).collect())
}

/// Freezes the test set, or finds it frozen.
fn frozen(context: &Context, store: &mut Store, request: &Request) -> Result<(TestSet, Vec<Record>), ActionError> {
    if let Some(id) = request.test {
        return browse::test(store, id);
    }
    let (name, rows) = if let Some(path) = &request.data {
        (path.display().to_string(), records(path)?)
    } else {
        let query = Query::parse("status:gold split:test").map_err(StoreError::from)?;
        let found = store.records(&query)?;
        let named = |record: &crate::store::Record| Record {
            id: format!("{}@{}", record.id, record.revision),
            ..crate::data::view::rendered(record)
        };
        ("the project's test records".to_owned(), found.iter().map(named).collect())
    };
    if rows.is_empty() {
        return Err(ActionError::Refused(match &request.data {
            Some(path) => format!("{} has no record to test on", path.display()),
            None => format!(
                "{} has no gold record of the split test: togi split draws them, or name a file with --data",
                context.project.root().display()
            ),
        }));
    }
    Ok((freeze(store, &name, &rows)?, rows))
}

/// Freezes records as a test set under a name, or finds them frozen.
pub(super) fn freeze(store: &mut Store, name: &str, rows: &[Record]) -> Result<TestSet, ActionError> {
    let lines: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap_or_default()).collect();
    Ok(store.freeze_test(name, &lines)?)
}

/// The systems that are asked for, or the usual ones.
fn resolve(
    context: &mut Context,
    bases: &mut Bases,
    store: &Store,
    request: &Request,
    records: &[Record],
    notes: &mut Vec<String>,
    tell: &mut dyn FnMut(Download),
) -> Result<Vec<System>, ActionError> {
    let tuned_by =
        request.systems.iter().find_map(|spec| spec.choice.run.clone()).or_else(|| request.choice.run.clone());
    let pool = |context: &Context| examples::Pool::find(context, store, tuned_by.as_deref(), records);
    let asked: std::collections::BTreeSet<String> = records.iter().map(examples::asks).collect();
    let mut found = Vec::new();
    for spec in &request.systems {
        found.push(system::resolve(context, bases, spec, &pool, &request.writing, &asked, tell)?);
    }
    if request.systems.is_empty() {
        let tuned = request.choice != Choice::default();
        if !(request.skip_base && tuned) {
            let base = system::resolve(context, bases, &Spec::default(), &pool, &request.writing, &asked, tell)?;
            let asks = records.iter().any(|record| !matches!(record.kind, Kind::Text { .. }));
            let shown = !base.prompt.examples.is_empty();
            found.push(base);
            if tuned && request.examples > 0 && asks && !shown {
                match local::fitting(bases, &found[0], &pool(context)?, request.examples, records)? {
                    Some(with) => found.push(with),
                    None => notes.push(
                        "the base was not asked with examples: there is no record to draw them from, or none fits the model's \
                         context; give some with --system base,examples=FILE"
                            .into(),
                    ),
                }
            }
        }
        if tuned {
            let spec = Spec { choice: request.choice.clone(), ..Spec::default() };
            found.push(system::resolve(context, bases, &spec, &pool, &request.writing, &asked, tell)?);
        }
    }
    unique(&mut found.iter_mut().collect::<Vec<_>>());
    Ok(found)
}

/// The speed of a system on this machine, from all the work it did on the test set.
fn rate(work: &Work) -> Option<f64> {
    (work.seconds > 0.0 && work.tokens > 0).then(|| work.tokens as f64 / work.seconds)
}

/// All likelihoods of a system, added up in the order of the rows.
fn added(likelihoods: &[crate::store::RowLikelihood]) -> Likelihood {
    let mut sum = Likelihood::default();
    for row in likelihoods {
        sum.add(&Likelihood { nats: row.nats, tokens: row.tokens, bytes: row.bytes });
    }
    sum
}
