//! Training: freeze a run, carry it out here or resume it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::saved;
use crate::data::view::rendered;
use crate::job::{self, JobError, State};
use crate::model::device::choose::Precision;
use crate::model::weights::hub;
use crate::project::{ModelRef, durable};
use crate::prompt::Record;
use crate::store::{Query, Status, Store, StoreError};
use crate::worker::training::{self, Checked, Named, Prepared};
use crate::worker::{EXPLAINED, Settings};

use super::context::{ActionError, Context, numbered};

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
    /// Records to train and to validate on, in place of any file and of the project's.
    pub rows: Option<(Vec<Record>, Vec<Record>)>,
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
    let runs = context.project.runs_dir();
    let Prepared { job, facts } = look(context, request, tell)?.freeze(&runs)?;
    Ok((job, facts))
}

/// Says what a run would be made of, and makes none.
///
/// # Errors
/// With what stands against the run.
pub fn check(
    context: &mut Context,
    request: &Request,
    tell: &mut dyn FnMut(hub::Progress),
) -> Result<Facts, ActionError> {
    Ok(look(context, request, tell)?.facts)
}

fn look(context: &mut Context, request: &Request, tell: &mut dyn FnMut(hub::Progress)) -> Result<Checked, ActionError> {
    let settings = context.settings(&request.set)?;
    let mut notes = Vec::new();
    let (train, mut valid) = match (&request.rows, &request.data) {
        (Some((train, valid)), _) => (train.clone().into(), valid.clone().into()),
        (None, Some(data)) => (of_file(data, "train", &mut notes)?, Named::default()),
        (None, None) => {
            let (train, valid) = gold(&context.store()?)?;
            (train.into(), valid.into())
        }
    };
    if let Some(path) = &request.valid {
        valid = of_file(path, "validate", &mut notes)?;
    }
    let (opened, base, prompt) = context.open(tell)?;
    let threads = context.config.threads;
    let identity = base.identity.clone();
    let mut checked = training::check(&opened, base, prompt, settings, train, valid, threads)?;
    checked.facts.notes = notes;
    let facts = &checked.facts;
    // Other precisions than the usual one are not kept of a device.
    let is_usual = checked.plan.settings.precision == Precision::Auto;
    checked.facts.seconds = saved::file().and_then(|file| match &facts.device {
        Some(device) if is_usual => {
            let saved = saved::load_on_device(&file);
            Some(saved::find_on_device(&saved, &device.name, &identity)?.seconds(facts.flops))
        }
        Some(_) => None,
        None => {
            let saved = saved::load(&file);
            Some(saved::find(&saved, &saved::machine_name(), &identity)?.measured.seconds(facts.flops))
        }
    });
    Ok(checked)
}

/// The records of a file to train or to validate on, with where each is; notes ids that several have.
fn of_file(path: &Path, to: &str, notes: &mut Vec<String>) -> Result<Named, ActionError> {
    let (records, lines) = numbered(path)?;
    if records.is_empty() {
        return Err(ActionError::Refused(format!("{} has no record to {to} on", path.display())));
    }
    let mut found: HashMap<&str, Vec<String>> = HashMap::new();
    for (record, line) in records.iter().zip(&lines) {
        found.entry(&record.id).or_default().push(line.to_string());
    }
    let shared: Vec<&Record> =
        records.iter().filter(|record| found.get(&*record.id).is_some_and(|l| l.len() > 1)).collect();
    if let Some(first) = shared.first() {
        let lines = found.get(&*first.id).map(|lines| lines.join(", ")).unwrap_or_default();
        notes.push(format!(
            "{}: {} records share an id with another, such as {:?} in lines {lines}; all are used, but samples and reports name \
             records by id",
            path.display(),
            shared.len(),
            first.id
        ));
    }
    let place = |(id, lines): (&str, Vec<String>)| {
        let word = if lines.len() == 1 { "line" } else { "lines" };
        let place = format!("{}, {word} {}", path.display(), lines.join(", "));
        // The name of a row that has none is made of its line.
        let own = lines.first().is_none_or(|line| id != format!("row-{line}"));
        (id.to_owned(), if own { format!("{id} ({place})") } else { place })
    };
    let places = found.into_iter().map(place).collect();
    Ok(Named { records, places })
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

/// One of the training settings, as `togi train --settings --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// Its name under `[train]`.
    pub key: String,
    /// What holds here: the default, or what `togi.toml` or `--set` says.
    pub value: String,
    /// What holds where nobody says anything.
    pub default: String,
    /// What it does.
    pub doc: String,
}

/// The training settings as they hold here.
///
/// # Errors
/// When `togi.toml` or `set` say what cannot be.
pub fn settings(context: &Context, set: &[String]) -> Result<Vec<Setting>, ActionError> {
    let table = |settings: &Settings| toml::Table::try_from(settings).unwrap_or_default();
    let (here, usual) = (table(&context.settings(set)?), table(&Settings::default()));
    let text = |table: &toml::Table, key: &str| table.get(key).map(spelt).unwrap_or_default();
    let of = |(key, doc): &(&str, &str)| Setting {
        key: (*key).to_owned(),
        value: text(&here, key),
        default: text(&usual, key),
        doc: (*doc).to_owned(),
    };
    Ok(EXPLAINED.iter().map(of).collect())
}

/// The project's base model as `togi.toml` names it; empty where it names none.
#[must_use]
pub fn base_name(context: &Context) -> String {
    match context.project.model() {
        Some(ModelRef::Path(path)) => path.display().to_string(),
        Some(ModelRef::Hub { id, .. }) => id.clone(),
        None => String::new(),
    }
}

/// A value as a person would write it after `=`: a text without its quotes.
pub(super) fn spelt(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// How long a worker may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(10);

/// Lets a process of its own carry a job out, from its beginning or its newest checkpoint: `togi worker`, in a session of its own,
/// so that it outlives the terminal. Returns when that process has taken the job.
///
/// # Errors
/// When the process cannot be started, or ends before it has begun; with the last words of its log.
pub fn launch(job: &Job) -> Result<(), ActionError> {
    if let State::Running(holder) = job.state()? {
        return Err(JobError::Held { dir: job.dir().to_owned(), holder }.into());
    }
    let togi = std::env::current_exe().map_err(|cause| file("find the program", Path::new("togi"), cause))?;
    // What it says before it has its own log open, a panic's words among it, belongs there too.
    let log = durable::append(&job.log_path()).map_err(JobError::from)?;
    let mut worker = Command::new(&togi)
        .args(["worker", "--detached"])
        .arg(job.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|cause| file("start", &togi, cause))?;
    let begun = Instant::now();
    loop {
        let ended = worker.try_wait().map_err(|cause| file("wait for", &togi, cause))?;
        if let Some(status) = ended {
            // A short run may well be over by now.
            return match job.state()? {
                State::Ended(ending) if ending.outcome != Outcome::Failed => Ok(()),
                _ => Err(ActionError::Refused(format!(
                    "the worker of run {} ended at once ({status}); the end of {}:\n{}",
                    job.name(),
                    job.log_path().display(),
                    log_end(job)
                ))),
            };
        }
        if job::send(job.dir(), job::Request::Status).is_ok() {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let why = format!("the worker of run {} does not answer yet; togi runs tells how it stands", job.name());
            return Err(ActionError::Refused(why));
        }
        std::thread::sleep(LOOK);
    }
}

fn file(action: &'static str, path: &Path, cause: std::io::Error) -> ActionError {
    ActionError::File { action, path: path.to_owned(), cause }
}

/// The last lines of a job's log.
fn log_end(job: &Job) -> String {
    const LINES: usize = 8;
    let log = std::fs::read(job.log_path()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}
