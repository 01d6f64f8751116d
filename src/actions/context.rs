//! Where an action finds things: the project around it, the user's settings, the model, the run a person named.

use std::path::{Path, PathBuf};

use crate::config::{self, Config};
use crate::data::export::ExportError;
use crate::data::import::ImportError;
use crate::evaluate::mecab::MecabError;
use crate::job::{Job, JobError};
use crate::model::decoder::Decoder;
use crate::model::device::infer::OnDevice;
use crate::model::weights::{Source, SourceError, hub};
use crate::project::{ModelRef, Project, ProjectError};
use crate::prompt::record::{ReadError, Rows, read};
use crate::prompt::{Prompt, Record, Style};
use crate::store::{Store, StoreError};
use crate::worker::answers::AnswerError;
use crate::worker::device;
use crate::worker::model::{ModelError, Opened};
use crate::worker::training::TrainingError;
use crate::worker::{BaseModel, Settings, SettingsError};

pub use crate::model::weights::hub::Progress as Download;

/// Why an action was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error(transparent)]
    Config(#[from] config::SettingsError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Training(#[from] TrainingError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error(transparent)]
    Mecab(#[from] MecabError),
    #[error("cannot {action} {}: {cause}", path.display())]
    File { action: &'static str, path: PathBuf, cause: std::io::Error },
    #[error("{0}")]
    Refused(String),
    /// An option, or its value, that cannot be, whatever the files and records hold.
    #[error("{0}")]
    Asked(String),
}

impl ActionError {
    /// Whether it is that there is no project here.
    #[must_use]
    pub fn is_no_project(&self) -> bool {
        matches!(self, Self::Project(ProjectError::NotFound(_)))
    }

    /// Whether the command line itself is wrong, as one with an unknown option would be.
    #[must_use]
    pub fn is_wrongly_asked(&self) -> bool {
        matches!(self, Self::Asked(_) | Self::Store(StoreError::Query(_)))
    }
}

/// The project and the user's settings.
pub struct Context {
    pub project: Project,
    pub config: Config,
    model: Option<ModelRef>,
}

impl Context {
    /// Finds the project in or above `start`; `model` stands in for the project's own where it is given.
    ///
    /// # Errors
    /// When there is no project, or a settings file is wrong.
    pub fn find(start: &Path, model: Option<&str>) -> Result<Self, ActionError> {
        Self::of_project(Project::find(start)?, model)
    }

    /// As [`Context::find`]; where a model is named there need be no project. For what keeps nothing.
    ///
    /// # Errors
    /// When there is neither project nor model, or a settings file is wrong.
    pub fn reading(start: &Path, model: Option<&str>) -> Result<Self, ActionError> {
        let project = match Project::find(start) {
            Err(ProjectError::NotFound(_)) if model.is_some() => Project::none(start)?,
            found => found?,
        };
        Self::of_project(project, model)
    }

    fn of_project(project: Project, model: Option<&str>) -> Result<Self, ActionError> {
        Ok(Self { project, config: Config::load()?, model: model.map(ModelRef::parse) })
    }

    /// The same with another base model in place of the project's own; with the project's own where none is named.
    #[must_use]
    pub fn of_model(&self, model: Option<&str>) -> Self {
        let model = model.map(ModelRef::parse).or_else(|| self.model.clone());
        Self { project: self.project.clone(), config: self.config.clone(), model }
    }

    /// The project's records.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn store(&self) -> Result<Store, ActionError> {
        Ok(Store::open(&self.project.db_path())?)
    }

    /// Where the base model lies: a path as it is, a Hub id after fetching what is missing. The first fetch pins the
    /// revision in `togi.toml`.
    ///
    /// # Errors
    /// When the project names no model, or the Hub does not give it.
    pub fn base(&mut self, tell: &mut dyn FnMut(hub::Progress)) -> Result<BaseModel, ActionError> {
        let given = self.model.clone();
        self.locate(given.as_ref(), tell)
    }

    /// The base model with its fingerprint, and its files open; `model` stands in for the project's own where it is given.
    ///
    /// # Errors
    /// As [`Context::base`], and when the model cannot be read.
    pub fn open_base(
        &mut self,
        model: Option<&str>,
        tell: &mut dyn FnMut(hub::Progress),
    ) -> Result<(BaseModel, Source), ActionError> {
        let given = model.map(ModelRef::parse).or_else(|| self.model.clone());
        let mut base = self.locate(given.as_ref(), tell)?;
        let source = Source::open(Path::new(&base.path))?;
        source.identity().clone_into(&mut base.identity);
        Ok((base, source))
    }

    /// Whether a model was named in place of the project's own.
    #[must_use]
    pub fn has_own_model(&self) -> bool {
        self.model.is_some()
    }

    fn locate(
        &mut self,
        given: Option<&ModelRef>,
        tell: &mut dyn FnMut(hub::Progress),
    ) -> Result<BaseModel, ActionError> {
        let asked = given.cloned().or_else(|| self.project.model().cloned()).ok_or_else(|| {
            let file = self.project.settings_path();
            ActionError::Refused(format!("{} names no model: set path or hub under [model]", file.display()))
        })?;
        let (path, name, revision) = match asked {
            ModelRef::Path(path) => {
                let path = if given.is_some() { path } else { self.project.root().join(path) };
                let name = path.display().to_string();
                (path, name, None)
            }
            ModelRef::Hub { id, revision } => {
                let fetched = hub::fetch(&id, revision.as_deref(), tell)?;
                if revision.is_none() && given.is_none() {
                    self.project.pin(&fetched.revision)?;
                }
                (fetched.folder, id, Some(fetched.revision))
            }
        };
        let path = path.canonicalize().map_err(|cause| ActionError::File { action: "find the model", path, cause })?;
        Ok(BaseModel { path: path.display().to_string(), name, revision, identity: String::new() })
    }

    /// Opens the base model with the project's prompt, without loading weights.
    ///
    /// # Errors
    /// When model or prompt cannot be read.
    pub fn open(&mut self, tell: &mut dyn FnMut(hub::Progress)) -> Result<(Opened, BaseModel, Prompt), ActionError> {
        let mut base = self.base(tell)?;
        let prompt = self.prompt()?;
        let opened = Opened::open(Path::new(&base.path), prompt.clone())?;
        opened.source.identity().clone_into(&mut base.identity);
        Ok((opened, base, prompt))
    }

    /// The project's prompt.
    ///
    /// # Errors
    /// When its template or its examples cannot be read, or its style has no such name.
    pub fn prompt(&self) -> Result<Prompt, ActionError> {
        let settings = self.project.prompt();
        let template = match &settings.template {
            Some(path) => Some(read_template(path)?),
            None => None,
        };
        let style = match settings.style.as_deref() {
            None | Some("auto") => Style::Auto,
            Some("chat") => Style::Chat,
            Some("plain") => Style::Plain,
            Some(other) => {
                let file = self.project.settings_path();
                let why = format!("{}: prompt.style is {other:?}; it is auto, chat or plain", file.display());
                return Err(ActionError::Refused(why));
            }
        };
        let examples = settings.examples.as_deref().map(records).transpose()?.unwrap_or_default();
        Ok(Prompt { template, system: settings.system.clone(), examples, style, chat_template: None })
    }

    /// The training settings: defaults, then `[train]` of `togi.toml`, then `KEY=VALUE` from the command line, where
    /// a key may be written `train.rank` or `rank`.
    ///
    /// # Errors
    /// When a key is unknown or a value makes no sense.
    pub fn settings(&self, set: &[String]) -> Result<Settings, ActionError> {
        let mut table = self.project.train().clone();
        for assignment in set {
            let (key, value) = assigned(assignment, "train.rank=8")?;
            let key = key.strip_prefix("train.").unwrap_or(&key);
            let value = match (value, default_of(key)) {
                (toml::Value::Integer(n), Some(toml::Value::Float(_))) => toml::Value::Float(n as f64),
                (value, _) => value,
            };
            table.insert(key.to_owned(), value);
        }
        checked(&table).map_err(|error| match checked(self.project.train()) {
            Ok(_) => ActionError::Asked(error.to_string()),
            Err(_) => error,
        })
    }

    /// A decoder on the device that answers, as the project's `train.device` says; none for the processor.
    ///
    /// # Errors
    /// When the settings are wrong, or a GPU is demanded and cannot be used.
    pub fn on_device(&self, decoder: &Decoder) -> Result<Option<OnDevice>, ActionError> {
        let settings = self.settings(&[])?;
        device::answering(&settings, decoder).map_err(|error| ActionError::Refused(error.to_string()))
    }

    /// The run a person named.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn run(&self, name: &str) -> Result<Job, ActionError> {
        Ok(Job::find(&self.project.runs_dir(), name)?)
    }
}

/// What `--set KEY=VALUE` assigns. A value is TOML where it reads as TOML (`8`, `true`, `3e-4`, `["q_proj"]`), else a plain text.
///
/// # Errors
/// When it has no `=`; `example` shows how it is written.
pub fn assigned(assignment: &str, example: &str) -> Result<(String, toml::Value), ActionError> {
    let (key, value) = assignment
        .split_once('=')
        .ok_or_else(|| ActionError::Asked(format!("--set {assignment} has no value; write it as --set {example}")))?;
    let parsed = toml::from_str::<toml::Table>(&format!("v = {value}")).ok().and_then(|mut table| table.remove("v"));
    Ok((key.trim().to_owned(), parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()))))
}

/// The settings in a table.
fn checked(table: &toml::Table) -> Result<Settings, ActionError> {
    check_keys(table)?;
    Ok(Settings::from_table(table)?)
}

/// Refuses a training setting that there is none of, with the one that may have been meant.
fn check_keys(table: &toml::Table) -> Result<(), ActionError> {
    let known = toml::Table::try_from(Settings::default()).unwrap_or_default();
    let known: Vec<&str> = known.keys().map(String::as_str).collect();
    let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let hint = match config::nearest(key, &known) {
        Some(name) => format!("did you mean train.{name}?"),
        None => format!("there are {}", known.join(", ")),
    };
    Err(ActionError::Refused(format!("train.{key} is not a setting; {hint}")))
}

/// The default of a training setting as TOML has it.
fn default_of(key: &str) -> Option<toml::Value> {
    toml::Table::try_from(Settings::default()).ok()?.remove(key)
}

/// Reads a prompt template. An editor ends a file with a line break, which is no part of the prompt.
///
/// # Errors
/// When the file cannot be read.
pub fn read_template(path: &Path) -> Result<String, ActionError> {
    let text = std::fs::read_to_string(path).map_err(|cause| ActionError::File {
        action: "read the prompt template",
        path: path.to_owned(),
        cause,
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Reads records from a file and refuses it when a line is none.
///
/// # Errors
/// When the file cannot be read; with line and reason where lines are no records.
pub fn records(path: &Path) -> Result<Vec<Record>, ActionError> {
    Ok(numbered(path)?.0)
}

/// Reads records as [`records`] does, with the line of each.
///
/// # Errors
/// As [`records`].
pub fn numbered(path: &Path) -> Result<(Vec<Record>, Vec<usize>), ActionError> {
    let Rows { records, lines, errors } = read(path)?;
    if errors.is_empty() {
        return Ok((records, lines));
    }
    let shown: Vec<String> = errors.iter().take(5).map(|e| format!("  {}: {e}", path.display())).collect();
    let more = errors.len().saturating_sub(5);
    let rest = if more > 0 { format!("\n  … and {more} more") } else { String::new() };
    let what = if errors.len() == 1 { "line of it is no record" } else { "lines of it are no records" };
    let why = format!("{}: {} {what}:\n{}{rest}", path.display(), errors.len(), shown.join("\n"));
    Err(ActionError::Refused(why))
}
