//! A job's directory: the frozen plan and inputs, the append-only logs, the checkpoints, the lock and the control socket.
//!
//! ```text
//! runs/2026-11-22-a1/
//!   plan.toml               what the job is to do; written last, so that a folder without it is no job
//!   inputs.jsonl            the rows it does it with, {"split": "train", "row": {…}} a line; their hash is in plan.toml
//!   metrics.jsonl           one line a step            samples.jsonl  one line a sample answer
//!   events.out.tfevents.*   the same for TensorBoard   worker.log     what the worker had to say
//!   lock                    held while the job runs    status.toml    how it ended
//!   socket                  where the control socket lies, while there is one
//!   checkpoints/step-000120/                           best -> checkpoints/step-000120
//! ```
//!
//! A job is created in two moves: [`Job::create`] claims a name and [`Draft::seal`] writes the plan. After that nothing
//! of it changes but what the job itself writes, and only the holder of its lock ([`Job::hold`]) can write. Whoever wants
//! to know how a job stands asks for its [`State`] or reads its logs with a [`Reader`]; none of that needs the worker.
//!
//! Everything here works on one directory. This module does not know what a plan, a row or a metric means: those are the
//! types of whoever trains or evaluates, and go through serde.

mod checkpoint;
mod control;
mod create;
pub mod facts;
mod hold;
mod reader;
mod socket;
mod state;
mod tensorboard;
mod turn;
mod writer;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::project::durable::FileError;

pub use checkpoint::{Checkpoint, Keep};
pub use control::{Command, Control, ControlError, Listener, Phase, Progress, Request, Response, send};
pub use create::Draft;
pub use hold::{Hold, Holder};
pub use reader::{Reader, Tail, Unreadable};
pub use state::{Ending, Outcome, State};
pub use tensorboard::EventFile;
pub use turn::Turn;
pub use writer::Writer;

/// The layout of a job's directory that this togi writes, and the newest it reads.
pub const LAYOUT: u32 = 1;

pub(crate) const PLAN: &str = "plan.toml";
pub(crate) const INPUTS: &str = "inputs.jsonl";
pub(crate) const METRICS: &str = "metrics.jsonl";
pub(crate) const SAMPLES: &str = "samples.jsonl";
pub(crate) const LOG: &str = "worker.log";
pub(crate) const LOCK: &str = "lock";
pub(crate) const STATUS: &str = "status.toml";
pub(crate) const SOCKET: &str = "socket";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
pub(crate) const BEST: &str = "best";

/// What can go wrong with a job's directory.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A file or folder could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder holds no plan.
    #[error(
        "{} is not a run: it has no {PLAN} (whatever created it was stopped before it was done; the folder can go)",
        .0.display()
    )]
    NotAJob(PathBuf),
    /// `plan.toml` is not what the reader of the plan takes.
    #[error("{} does not parse: {reason}", path.display())]
    Plan {
        /// The plan's file.
        path: PathBuf,
        /// What was expected, and where.
        reason: String,
    },
    /// A newer togi made this job.
    #[error("{} was made by a newer togi (layout {layout}; this one reads up to {LAYOUT}): update togi", path.display())]
    Newer {
        /// The plan's file.
        path: PathBuf,
        /// The layout it names.
        layout: u32,
    },
    /// The plan cannot be written as TOML.
    #[error("the plan cannot be written as TOML: {0}")]
    Unwritable(String),
    /// A row, metric or sample cannot be written as one line of JSON.
    #[error("a line for {file} cannot be written: {reason}")]
    Line {
        /// The name of the file in the job's directory.
        file: &'static str,
        /// What serde or the check of the line said.
        reason: String,
    },
    /// The frozen inputs are not those that were frozen.
    #[error("{} has changed since the run was created; a run reads only what was frozen: start a new one", .0.display())]
    InputsChanged(PathBuf),
    /// A frozen row is not of the type that the job's kind reads.
    #[error("{}, line {line}: {reason}", path.display())]
    Input {
        /// The inputs' file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What serde said.
        reason: String,
    },
    /// Another process runs the job.
    #[error("{} is running already ({holder}): wait for it, or stop it first", dir.display())]
    Held {
        /// The job's directory.
        dir: PathBuf,
        /// Who runs it.
        holder: Holder,
    },
    /// The directory is no longer where it was.
    #[error("{} was deleted or moved while the job ran: it ends, for nothing it does could be kept", .0.display())]
    Gone(PathBuf),
    /// No run of that name.
    #[error("there is no run {name:?} under {}{}", runs.display(), known(names))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The project's runs.
        runs: PathBuf,
        /// The newest runs there are.
        names: Vec<String>,
    },
    /// A short name fits several runs.
    #[error("{name:?} fits several runs ({}): name one of them in full", names.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Those that it fits.
        names: Vec<String>,
    },
    /// No checkpoint of that step.
    #[error("{} has no checkpoint of step {step}{}", dir.display(), at(steps))]
    NoCheckpoint {
        /// The job's directory.
        dir: PathBuf,
        /// The step asked for.
        step: u64,
        /// Those there are.
        steps: Vec<u64>,
    },
    /// The files of a checkpoint could not be made.
    #[error("the checkpoint of step {step} was not written: {reason}")]
    Checkpoint {
        /// The step.
        step: u64,
        /// What the writer of its files said.
        reason: String,
    },
}

fn known(names: &[String]) -> String {
    if names.is_empty() { " (there are none yet)".into() } else { format!(" (there is {})", names.join(", ")) }
}

fn at(steps: &[u64]) -> String {
    let steps: Vec<_> = steps.iter().map(u64::to_string).collect();
    if steps.is_empty() { " (it has none)".into() } else { format!(" (it has {})", steps.join(", ")) }
}

/// What a job does, which says which worker can carry it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Tunes a model.
    Train,
    /// Answers prompts until idle.
    Answer,
    /// Scores a model on frozen rows.
    Evaluate,
    /// Trains and tests one task over sizes and models.
    Ladder,
}

/// The part of `plan.toml` that belongs to the job itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`LAYOUT`] of the togi that created it.
    pub layout: u32,
    /// What it does.
    pub kind: Kind,
    /// The version of togi that created it.
    pub togi: String,
    /// When it was created.
    pub created: jiff::Timestamp,
    /// BLAKE3 of `inputs.jsonl`, in hexadecimal.
    pub inputs_blake3: String,
    /// Number of rows of each split.
    #[serde(default)]
    pub rows: BTreeMap<String, usize>,
}

/// A job on disk. Cheap to open: reads the header of its plan and nothing else.
#[derive(Debug, Clone)]
pub struct Job {
    dir: PathBuf,
    header: Header,
}

/// One line of `inputs.jsonl`.
#[derive(Serialize, Deserialize)]
struct Input<R> {
    split: std::borrow::Cow<'static, str>,
    row: R,
}

/// The same without its row.
#[derive(Deserialize)]
struct Split<'a> {
    #[serde(borrow)]
    split: std::borrow::Cow<'a, str>,
}

/// `plan.toml` as far as every layout has it.
#[derive(Deserialize)]
struct AnyPlanFile {
    job: AnyHeader,
}

#[derive(Deserialize)]
struct AnyHeader {
    layout: u32,
}

/// `plan.toml` as a whole.
#[derive(Serialize, Deserialize)]
struct PlanFile<P> {
    job: Header,
    plan: P,
}

impl Job {
    /// Claims the next free name of today under `runs` (created where missing) for a job of that kind; see [`Draft`].
    ///
    /// # Errors
    ///
    /// Where the folder cannot be written.
    pub fn create(runs: &Path, kind: Kind) -> Result<Draft, JobError> {
        Draft::claim(runs, kind)
    }

    /// Opens the job in `dir`.
    ///
    /// # Errors
    ///
    /// Where the folder is no job, was made by a newer togi, or its plan does not parse.
    pub fn open(dir: &Path) -> Result<Self, JobError> {
        let path = dir.join(PLAN);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && dir.is_dir() => {
                return Err(JobError::NotAJob(dir.to_owned()));
            }
            read => read.map_err(FileError::on("read", &path))?,
        };
        let dir = fs::canonicalize(dir).map_err(FileError::on("find", dir))?;
        // First of all the layout: the rest of a newer header may well not parse.
        let AnyPlanFile { job: AnyHeader { layout } } = parse(&path, &text)?;
        if layout > LAYOUT {
            return Err(JobError::Newer { path, layout });
        }
        let PlanFile { job: header, plan: _ } = parse::<PlanFile<toml::Table>>(&path, &text)?;
        Ok(Self { dir, header })
    }

    /// Opens the run that a person named: `latest`, a name (`2026-11-22-a1`), its end (`a1`, if only one run has it), or
    /// the path of a directory.
    ///
    /// # Errors
    ///
    /// Where there is none or more than one, and as [`Job::open`].
    pub fn find(runs: &Path, name: &str) -> Result<Self, JobError> {
        if name.contains('/') {
            return Self::open(Path::new(name));
        }
        let names = names(runs)?;
        let fitting: Vec<&String> = if name == "latest" {
            names.last().into_iter().collect()
        } else if let Some(exact) = names.iter().find(|known| *known == name) {
            vec![exact]
        } else {
            let end = format!("-{name}");
            names.iter().filter(|known| known.ends_with(&end)).collect()
        };
        match fitting.as_slice() {
            [one] => Self::open(&runs.join(one)),
            [] => {
                let names = names.iter().rev().take(5).cloned().collect();
                Err(JobError::Unknown { name: name.into(), runs: runs.to_owned(), names })
            }
            several => {
                let names = several.iter().map(|&name| name.clone()).collect();
                Err(JobError::Ambiguous { name: name.into(), names })
            }
        }
    }

    /// Opens every job under `runs`, oldest first; one that does not open stays in the list with its error.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be read. A folder that is missing has no jobs.
    pub fn list(runs: &Path) -> Result<Vec<Result<Self, JobError>>, JobError> {
        Ok(names(runs)?.iter().map(|name| Self::open(&runs.join(name))).collect())
    }

    /// The names of the folders under `runs`, oldest first, whether they hold a job or not.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be read. A folder that is missing has no jobs.
    pub fn names(runs: &Path) -> Result<Vec<String>, JobError> {
        names(runs)
    }

    /// The job's directory, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of its directory.
    #[must_use]
    pub fn name(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What the job itself wrote down when it was created.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Path of `metrics.jsonl`, for a [`Reader`].
    #[must_use]
    pub fn metrics_path(&self) -> PathBuf {
        self.dir.join(METRICS)
    }

    /// Path of `samples.jsonl`, for a [`Reader`].
    #[must_use]
    pub fn samples_path(&self) -> PathBuf {
        self.dir.join(SAMPLES)
    }

    /// Path of `worker.log`: where a worker's standard error belongs too.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.join(LOG)
    }

    /// Reads the frozen plan.
    ///
    /// # Errors
    ///
    /// Where it is not a `P`, with the line and key.
    pub fn plan<P: DeserializeOwned>(&self) -> Result<P, JobError> {
        let path = self.dir.join(PLAN);
        let text = fs::read_to_string(&path).map_err(FileError::on("read", &path))?;
        Ok(parse::<PlanFile<P>>(&path, &text)?.plan)
    }

    /// Reads the frozen rows of one split (`train`, `valid`, …), in the order in which they were frozen; none where there
    /// is no such split.
    ///
    /// # Errors
    ///
    /// Where the file is not, byte for byte, what was frozen, or a row is not an `R`.
    pub fn inputs<R: DeserializeOwned>(&self, split: &str) -> Result<Vec<R>, JobError> {
        let path = self.dir.join(INPUTS);
        let bytes = fs::read(&path).map_err(FileError::on("read", &path))?;
        if blake3::hash(&bytes).to_hex().as_str() != self.header.inputs_blake3 {
            return Err(JobError::InputsChanged(path));
        }
        let mut rows = Vec::with_capacity(self.header.rows.get(split).copied().unwrap_or(0).min(1 << 20));
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            let failed =
                |e: serde_json::Error| JobError::Input { path: path.clone(), line: index + 1, reason: e.to_string() };
            if serde_json::from_slice::<Split>(line).map_err(failed)?.split == split {
                rows.push(serde_json::from_slice::<Input<R>>(line).map_err(failed)?.row);
            }
        }
        Ok(rows)
    }
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, JobError> {
    toml::from_str(text)
        .map_err(|error| JobError::Plan { path: path.to_owned(), reason: error.to_string().trim_end().to_owned() })
}

/// Returns the names of the folders under `runs` that do not begin with a dot, in the order of their names.
fn names(runs: &Path) -> Result<Vec<String>, JobError> {
    let entries = match fs::read_dir(runs) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(FileError::on("read the folder", runs))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::on("read the folder", runs))?;
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
            && entry.path().is_dir()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
