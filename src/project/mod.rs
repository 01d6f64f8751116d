//! A project on disk: where things lie in its folder, and `togi.toml`.
//!
//! ```text
//! my-desk/
//!   togi.toml    the base model, the prompt, defaults for training; written for people, compared and committed by them
//!   prompts/     prompt templates        togi.db    records        runs/    one folder a run
//!   evaluations/ one folder an evaluation in the background          ladders/ the same for ladders
//! ```
//!
//! `togi.toml` is a person's file: togi changes single keys of it and leaves their comments and their order alone. A key that
//! togi does not know is an error with its line, since a misspelt setting that does nothing is worse than none. This module
//! knows the file's keys and no more: what a model, a prompt or a rate means is for those who use them.

pub mod durable;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Keys, SettingsError, TomlFile};
use durable::FileError;

/// The name of the file that makes a folder a project.
pub const FILE: &str = "togi.toml";
/// The layout of a project that this togi writes, and the newest it reads.
pub const VERSION: i64 = 1;

/// The tables of `togi.toml` and their keys. Those of `[train]`, `[endpoints]`, `[[errors]]` and `[cost]` are
/// checked by those who read them.
const KNOWN: &[(&str, Keys)] = &[
    ("project", Keys::Only(&["name", "version"])),
    ("model", Keys::Only(&["path", "hub", "revision"])),
    ("prompt", Keys::Only(&["template", "system", "examples", "style"])),
    ("train", Keys::Any),
    ("endpoints", Keys::Any),
    ("errors", Keys::List),
    ("cost", Keys::Any),
];

/// What can go wrong with a project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A file or folder could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// `togi.toml` does not parse or holds what it must not.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No `togi.toml` here or above.
    #[error("there is no {FILE} in {} or in a folder above it: togi init DIR --model … makes a project", .0.display())]
    NotFound(PathBuf),
    /// `togi.toml` is there already.
    #[error("{} is a project already; its {FILE} stays as it is", .0.display())]
    Exists(PathBuf),
    /// A newer togi made this project.
    #[error(
        "{} was made by a newer togi (version {version} of a project's layout; this one reads up to {VERSION}): update togi",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version it names.
        version: i64,
    },
    /// The name of a project has characters that none can have.
    #[error("{0:?} cannot be a project's name: it is empty or has control characters")]
    Name(String),
}

/// Where a project's base model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelRef {
    /// A GGUF file or a Hugging Face folder; a relative path is relative to the project's folder.
    Path(PathBuf),
    /// A model of the Hugging Face Hub.
    Hub {
        /// Its id, `owner/name`.
        id: String,
        /// The commit it is pinned to; `None` until it has been fetched once.
        revision: Option<String>,
    },
}

impl ModelRef {
    /// Reads what a person gave as `--model`: what exists as a path, or looks like one, is a path; the rest is a Hub id.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let path = Path::new(text);
        let like_a_path = path.is_absolute()
            || text.starts_with('.')
            || text.matches('/').count() != 1
            || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if like_a_path || path.exists() {
            Self::Path(path.to_owned())
        } else {
            Self::Hub { id: text.to_owned(), revision: None }
        }
    }
}

/// The `[prompt]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptSettings {
    /// A template of its own, absolute; `None` renders by `style`.
    pub template: Option<PathBuf>,
    /// The system text.
    pub system: Option<String>,
    /// A file of pairs shown before every question, absolute.
    pub examples: Option<PathBuf>,
    /// The name of a way to render without a template of its own; the names are the prompt's.
    pub style: Option<String>,
}

/// An opened project.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    name: String,
    model: Option<ModelRef>,
    prompt: PromptSettings,
    train: toml::Table,
    endpoints: toml::Table,
    errors: Vec<toml::Table>,
    cost: toml::Table,
}

impl Project {
    /// Makes `dir` (created where missing) a project named after it, with `model` as its base, and opens it. A relative path
    /// of the model is taken from the current folder and written relative to the project where it lies within it, else
    /// absolute.
    ///
    /// # Errors
    ///
    /// Where `dir` holds a `togi.toml` already or cannot be written, or nothing lies where the model should. For that nothing
    /// is made.
    pub fn init(dir: &Path, model: &ModelRef) -> Result<Self, ProjectError> {
        let model = found(model)?;
        durable::create_dir_all(dir)?;
        let root = fs::canonicalize(dir).map_err(FileError::on("find", dir))?;
        let path = root.join(FILE);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(ProjectError::Exists(root));
        }
        let name = root.file_name().map_or_else(|| "togi".into(), |name| name.to_string_lossy().into_owned());
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(ProjectError::Name(name));
        }
        for folder in ["prompts", "runs"] {
            durable::create_dir_all(&root.join(folder))?;
        }
        durable::write(&path, first_settings(&name, &seen_from(&root, model)).as_bytes())?;
        Self::open(&root)
    }

    /// Opens the project in `dir`.
    ///
    /// # Errors
    ///
    /// Where there is none, a newer togi made it, or `togi.toml` has a key that togi does not know or a value that it
    /// cannot have; the message names file, line and key.
    pub fn open(dir: &Path) -> Result<Self, ProjectError> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ProjectError::NotFound(dir.to_owned()));
            }
            read => read.map_err(FileError::on("read", &path))?,
        };
        let root = fs::canonicalize(dir).map_err(FileError::on("find", dir))?;
        let file = TomlFile::parse(&path, &text)?;
        // First of all the version: a newer file may well have keys that this togi does not know.
        let version = file.integer("project", "version")?.unwrap_or(VERSION);
        if version > VERSION {
            return Err(ProjectError::Newer { path, version });
        }
        file.check(KNOWN)?;
        let name = match file.string("project", "name")? {
            Some(name) => name,
            None => root.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let revision = file.string("model", "revision")?;
        let model = match (file.string("model", "path")?, file.string("model", "hub")?) {
            (Some(_), Some(_)) => {
                return Err(file.wrong("model", "hub", "stands beside path; keep one of the two").into());
            }
            (Some(_), None) if revision.is_some() => {
                return Err(file.wrong("model", "revision", "belongs to a model of the Hub, not to a path").into());
            }
            (Some(path), None) => Some(ModelRef::Path(root.join(path))),
            (None, Some(id)) => Some(ModelRef::Hub { id, revision }),
            (None, None) => None,
        };
        let prompt = PromptSettings {
            template: file.string("prompt", "template")?.map(|path| root.join(path)),
            system: file.string("prompt", "system")?,
            examples: file.string("prompt", "examples")?.map(|path| root.join(path)),
            style: file.string("prompt", "style")?,
        };
        let train = file.table("train")?;
        let (endpoints, cost, errors) = (file.table("endpoints")?, file.table("cost")?, file.list("errors")?);
        Ok(Self { root, name, model, prompt, train, endpoints, errors, cost })
    }

    /// Opens the project that `start` lies in: the nearest folder at or above it with a `togi.toml`.
    ///
    /// # Errors
    ///
    /// Where there is none, and as [`Project::open`].
    pub fn find(start: &Path) -> Result<Self, ProjectError> {
        let start = fs::canonicalize(start).map_err(FileError::on("find", start))?;
        match start.ancestors().find(|folder| folder.join(FILE).is_file()) {
            Some(root) => Self::open(root),
            None => Err(ProjectError::NotFound(start)),
        }
    }

    /// What holds where there is no project: the defaults, seen from `folder`. Nothing may be kept in it.
    ///
    /// # Errors
    ///
    /// Where there is no such folder.
    pub fn none(folder: &Path) -> Result<Self, ProjectError> {
        let root = fs::canonicalize(folder).map_err(FileError::on("find", folder))?;
        Ok(Self {
            root,
            name: String::new(),
            model: None,
            prompt: PromptSettings::default(),
            train: toml::Table::new(),
            endpoints: toml::Table::new(),
            errors: Vec::new(),
            cost: toml::Table::new(),
        })
    }

    /// The project's folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The project's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The base model, a path made absolute; `None` where `togi.toml` names none.
    #[must_use]
    pub fn model(&self) -> Option<&ModelRef> {
        self.model.as_ref()
    }

    /// The `[prompt]` table.
    #[must_use]
    pub fn prompt(&self) -> &PromptSettings {
        &self.prompt
    }

    /// The `[train]` table as it stands, for the trainer to check and read.
    #[must_use]
    pub fn train(&self) -> &toml::Table {
        &self.train
    }

    /// The `[endpoints.NAME]` tables as they stand, for the endpoint's client to check and read.
    #[must_use]
    pub fn endpoints(&self) -> &toml::Table {
        &self.endpoints
    }

    /// The `[[errors]]` tables as they stand: the errors that hurt the project's customer.
    #[must_use]
    pub fn errors(&self) -> &[toml::Table] {
        &self.errors
    }

    /// The `[cost]` table as it stands: what people, machines and endpoints cost.
    #[must_use]
    pub fn cost(&self) -> &toml::Table {
        &self.cost
    }

    /// Path of `togi.toml`.
    #[must_use]
    pub fn settings_path(&self) -> PathBuf {
        self.root.join(FILE)
    }

    /// The folder of the jobs.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The folder of the evaluations in the background. Apart from the runs: whoever names the latest run means one.
    #[must_use]
    pub fn evaluations_dir(&self) -> PathBuf {
        self.root.join("evaluations")
    }

    /// The folder of the ladders in the background.
    #[must_use]
    pub fn ladders_dir(&self) -> PathBuf {
        self.root.join("ladders")
    }

    /// The folder of the prompt templates.
    #[must_use]
    pub fn prompts_dir(&self) -> PathBuf {
        self.root.join("prompts")
    }

    /// Path of the database of records.
    #[must_use]
    pub fn db_path(&self) -> PathBuf {
        self.root.join("togi.db")
    }

    /// Sets one key of one table of `togi.toml` and leaves the rest of the file, comments included, as it is.
    ///
    /// # Errors
    ///
    /// Where the file would not open afterwards (it is then unchanged) or cannot be written.
    pub fn set(&mut self, table: &str, key: &str, value: impl Into<toml_edit::Value>) -> Result<(), ProjectError> {
        let path = self.settings_path();
        let text = fs::read_to_string(&path).map_err(FileError::on("read", &path))?;
        let mut document = TomlFile::parse(&path, &text)?.into_mut();
        let mut value = value.into();
        let entry = document.entry(table).or_insert_with(toml_edit::table);
        let Some(table) = entry.as_table_like_mut() else {
            return Err(SettingsError::NotATable { file: path, table: table.to_owned() }.into());
        };
        match table.get_mut(key) {
            // Put into the old one's place, since inserting would drop the comments before the key.
            Some(old) => {
                if let Some(old) = old.as_value() {
                    *value.decor_mut() = old.decor().clone();
                }
                *old = toml_edit::Item::Value(value);
            }
            None => drop(table.insert(key, toml_edit::Item::Value(value))),
        }
        let text = document.to_string();
        TomlFile::parse(&path, &text)?.check(KNOWN)?;
        durable::write(&path, text.as_bytes())?;
        *self = Self::open(&self.root)?;
        Ok(())
    }

    /// Pins the Hub model to the commit that was fetched.
    ///
    /// # Errors
    ///
    /// As [`Project::set`].
    pub fn pin(&mut self, revision: &str) -> Result<(), ProjectError> {
        self.set("model", "revision", revision)
    }
}

/// Returns `model` with an absolute path, where it is one.
fn found(model: &ModelRef) -> Result<ModelRef, FileError> {
    let ModelRef::Path(path) = model else { return Ok(model.clone()) };
    Ok(ModelRef::Path(fs::canonicalize(path).map_err(FileError::on("find the model", path))?))
}

/// Returns `model` with a path that leads there from `root`, where it lies within it.
fn seen_from(root: &Path, model: ModelRef) -> ModelRef {
    match model {
        ModelRef::Path(path) => ModelRef::Path(path.strip_prefix(root).map(Path::to_owned).unwrap_or(path)),
        hub @ ModelRef::Hub { .. } => hub,
    }
}

/// The text of a new `togi.toml`.
fn first_settings(name: &str, model: &ModelRef) -> String {
    let quoted = |text: &str| toml_edit::Value::from(text).to_string();
    let model = match model {
        ModelRef::Path(path) => {
            format!(
                "# A GGUF file or a Hugging Face folder; relative to this folder.\npath = {}",
                quoted(&path.to_string_lossy())
            )
        }
        ModelRef::Hub { id, revision } => {
            let revision =
                revision.as_deref().map(|commit| format!("\nrevision = {}", quoted(commit))).unwrap_or_default();
            let meaning =
                "The model's id on the Hugging Face Hub and, from its first fetching on, the commit it is pinned to.";
            format!("# {meaning}\nhub = {}{revision}", quoted(id))
        }
    };
    format!(
        r#"# A togi project. Every key but the model may be left out; what a comment sign precedes is the default or an example.

[project]
# The name that screens and reports show.
name = {name}
# The layout of this folder; togi changes it when it changes the folder.
version = {VERSION}

[model]
{model}

[prompt]
# A template (minijinja) over a record's fields. Without one the model's own chat template renders instruction and input.
# template = "prompts/default.jinja"
# Text that is put before every prompt as the system's.
# system = ""
# Pairs with their answers, shown before every question (few-shot); in any layout that togi train reads.
# examples = "prompts/examples.jsonl"
# How to render without a template: "chat" (the model's own chat template) or "plain".
# style = "chat"

[train]
# Defaults of togi train; --set train.KEY=VALUE overrides one for one run.
# rank = 16

# A ready-made model to compare with (togi eval --system endpoint=NAME): any OpenAI-compatible address.
# [endpoints.NAME]
# base_url = "http://127.0.0.1:8080/v1"
# model = ""
# key_env = ""
# key_header = "api-key"   # where the key is no bearer

# An error that hurts whoever reads the answers (togi errors), with what finds it.
# [[errors]]
# name = "verbose"
# cause = "behaviour"   # or knowledge, or unknown
# rules = [{{ kind = "length", max_ratio = 2.0 }}]

# What people, this machine and an endpoint cost; togi cost lists every key.
# [cost]
# per_hour = 0.5
"#,
        name = quoted(name)
    )
}

#[cfg(test)]
mod tests;
