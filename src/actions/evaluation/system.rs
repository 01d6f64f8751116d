//! Systems: whoever answers a test set. A model, an adapter or checkpoint or none, and a prompt with its examples; or an endpoint
//! with a prompt of its own.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::adapters::{Choice, Chosen, identity};
use super::super::context::{ActionError, Context, read_template, records};
use super::bases::Bases;
use super::examples::{Pool, asks};
use crate::model::weights::SMALL_FILES;
use crate::prompt::Prompt;
use crate::worker::{BaseModel, Sampling};

/// A system as a person names it: `WHO[,KEY=VALUE…]`.
///
/// `WHO` is `base`, a run (`a1`, `latest`, `a1@120`), `adapter=DIR` or `endpoint=NAME`; the keys are `prompt=VERSION|FILE`,
/// `examples=N|FILE`, `model=PATH|HUB_ID` and `name=TEXT`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// What it is to be called in reports.
    pub name: Option<String>,
    /// The tuned model; the base where neither run nor adapter is named.
    pub choice: Choice,
    /// An endpoint of `togi.toml` in place of a model on this machine.
    pub endpoint: Option<String>,
    /// A version of the project's prompts, or a template's file.
    pub prompt: Option<String>,
    /// Examples before every question.
    pub examples: Option<Examples>,
    /// Another base than the project's.
    pub model: Option<String>,
}

/// Examples before every question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Examples {
    /// This many, drawn from the records that are trained on.
    Count(usize),
    /// Those of a file.
    File(PathBuf),
}

/// A specification that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no system: {reason}; write base, a run's name, adapter=DIR or endpoint=NAME, and after commas prompt=, examples=, \
     model= or name="
)]
pub struct SpecError {
    text: String,
    reason: String,
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let wrong = |reason: String| SpecError { text: text.to_owned(), reason };
        let mut spec = Self::default();
        for (place, part) in text.split(',').map(str::trim).enumerate() {
            match part.split_once('=') {
                None if part.is_empty() => return Err(wrong("a part of it is empty".into())),
                None if place > 0 => return Err(wrong(format!("{part:?} has no value"))),
                None if part == "base" => {}
                None => spec.choice.run = Some(part.to_owned()),
                Some((key, "")) => return Err(wrong(format!("{key} has no value"))),
                Some(("adapter", dir)) => spec.choice.adapter = Some(dir.into()),
                Some(("run", run)) => spec.choice.run = Some(run.to_owned()),
                Some(("endpoint", name)) => spec.endpoint = Some(name.to_owned()),
                Some(("prompt", prompt)) => spec.prompt = Some(prompt.to_owned()),
                Some(("examples", examples)) => {
                    spec.examples = Some(match examples.parse() {
                        Ok(count) => Examples::Count(count),
                        Err(_) => Examples::File(examples.into()),
                    });
                }
                Some(("model", model)) => spec.model = Some(model.to_owned()),
                Some(("name", name)) => spec.name = Some(name.to_owned()),
                Some((key, _)) => return Err(wrong(format!("there is no key {key}"))),
            }
        }
        let tuned = spec.choice != Choice::default();
        if spec.endpoint.is_some() && (tuned || spec.model.is_some()) {
            return Err(wrong("an endpoint has a model of its own".into()));
        }
        if spec.choice.run.is_some() && spec.choice.adapter.is_some() {
            return Err(wrong("it names a run and an adapter".into()));
        }
        Ok(spec)
    }
}

impl Spec {
    /// What it is called in reports where it has no name of its own.
    fn usual_name(&self) -> String {
        let mut name = match (&self.endpoint, &self.choice.run, &self.choice.adapter) {
            (Some(endpoint), ..) => endpoint.clone(),
            (_, Some(run), _) => run.clone(),
            (_, _, Some(dir)) => format!("adapter {}", dir.file_name().unwrap_or_default().to_string_lossy()),
            _ => "base".to_owned(),
        };
        if let Some(model) = &self.model {
            name.push_str(" of ");
            name.push_str(
                Path::new(model).file_stem().map_or(model.as_str().into(), |stem| stem.to_string_lossy()).as_ref(),
            );
        }
        if let Some(prompt) = &self.prompt {
            name.push_str(", prompt ");
            name.push_str(&Path::new(prompt).file_stem().unwrap_or_default().to_string_lossy());
        }
        match &self.examples {
            Some(Examples::Count(1)) => name.push_str(" + 1 example"),
            Some(Examples::Count(count)) => {
                name.push_str(" + ");
                name.push_str(&count.to_string());
                name.push_str(" examples");
            }
            Some(Examples::File(file)) => {
                name.push_str(" + ");
                name.push_str(&file.file_name().unwrap_or_default().to_string_lossy());
            }
            None => {}
        }
        name
    }
}

/// How answers are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Writing {
    /// Tokens of an answer at most.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
}

/// A system with all that decides its answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// What it is called in reports.
    pub name: String,
    /// The model on this machine; none for an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseModel>,
    /// BLAKE3 of the small files beside the base's weights that decide answers, too: configuration, tokenizer, chat template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// Whether another prompt than the project's was asked for.
    #[serde(default)]
    pub prompted: bool,
    /// The adapter's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// BLAKE3 of the adapter's files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// The run the adapter is of, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The checkpoint's folder name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// An endpoint's name in `togi.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What of the endpoint's settings decides its answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<serde_json::Value>,
    /// The prompt, with its examples.
    pub prompt: Prompt,
    /// How answers are written.
    pub writing: Writing,
}

impl System {
    /// The hash of all that decides its answers: not of names and places.
    #[must_use]
    pub fn hash(&self) -> String {
        // An example's name changes no answer, and an endpoint has settings of its own for writing.
        let mut prompt = self.prompt.clone();
        prompt.examples.iter_mut().for_each(|example| example.id.clear());
        let key = json!({
            "base": self.base.as_ref().map(|base| &base.identity),
            "files": self.files,
            "adapter": self.adapter,
            "service": self.service,
            "prompt": prompt,
            "writing": self.endpoint.is_none().then_some(&self.writing),
        });
        blake3::hash(key.to_string().as_bytes()).to_hex().to_string()
    }

    /// Whether an adapter answers.
    #[must_use]
    pub fn is_tuned(&self) -> bool {
        self.adapter.is_some()
    }

    /// Whether it is a model as it came, asked better than by the project's bare prompt: with examples or by another template.
    #[must_use]
    pub fn is_prompted(&self) -> bool {
        !self.is_tuned() && self.endpoint.is_none() && (self.prompted || !self.prompt.examples.is_empty())
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.base, &self.endpoint) {
            // A report is passed on: where the model lies on this machine is nobody's business.
            (Some(base), _) => write!(f, "{}", last_part(&base.name))?,
            (None, Some(endpoint)) => write!(f, "endpoint {endpoint}")?,
            _ => {}
        }
        if let Some(run) = &self.run {
            write!(f, ", run {run}")?;
        }
        if let Some(checkpoint) = &self.checkpoint {
            write!(f, ", {checkpoint}")?;
        }
        match self.prompt.examples.len() {
            0 => Ok(()),
            1 => write!(f, ", 1 example"),
            count => write!(f, ", {count} examples"),
        }
    }
}

/// A path's last part; a Hub id as it is.
fn last_part(name: &str) -> &str {
    let path = Path::new(name);
    if path.is_absolute() { path.file_name().and_then(|last| last.to_str()).unwrap_or(name) } else { name }
}

/// Finds what a specification names, on a model of `bases`.
///
/// # Errors
/// When a run, an adapter, a template or examples cannot be read, or there are fewer examples than asked for.
pub fn resolve(
    context: &mut Context,
    bases: &mut Bases,
    spec: &Spec,
    pool: &dyn Fn(&Context) -> Result<Pool, ActionError>,
    writing: &Writing,
    test: &BTreeSet<String>,
    tell: &mut dyn FnMut(super::super::context::Download),
) -> Result<System, ActionError> {
    let mut prompt = context.prompt()?;
    let mut base = None;
    let (mut run, mut checkpoint, mut adapter, mut folder) = (None, None, None, None);
    let mut usual = spec.usual_name();
    if spec.endpoint.is_none() {
        let Chosen { folder: found, trained } = spec.choice.find(context)?;
        if let Some(found) = found {
            let found = found.canonicalize().unwrap_or(found);
            adapter = Some(identity(&found)?);
            if let (Some(trained), Some(name)) = (trained, &spec.choice.run) {
                prompt = trained.plan.prompt;
                base = Some(trained.plan.base);
                // `latest` is another run tomorrow.
                usual = usual.replacen(name.as_str(), &named(&trained.run, name), 1);
                run = Some(trained.run);
                checkpoint = found.file_name().map(|name| name.to_string_lossy().into_owned());
            }
            folder = Some(found);
        }
        if base.is_none() || spec.model.is_some() || context.has_own_model() {
            base = Some(bases.find(context, spec.model.as_deref(), tell)?);
        }
    }
    if let Some(version) = &spec.prompt {
        prompt.template = Some(template(context, version)?);
    }
    match &spec.examples {
        Some(Examples::File(file)) => prompt.examples = records(file)?,
        Some(Examples::Count(0)) => prompt.examples.clear(),
        Some(Examples::Count(count)) => {
            let drawn = pool(context)?.draw(*count);
            if drawn.len() < *count {
                return Err(ActionError::Refused(format!(
                    "{count} examples are asked for and there are {} records to draw them from: name a run whose records are \
                     to be used, accept gold records, or give a file (examples=FILE)",
                    drawn.len()
                )));
            }
            prompt.examples = drawn;
        }
        None => {}
    }
    if let Some(example) = prompt.examples.iter().find(|example| test.contains(&asks(example))) {
        return Err(ActionError::Refused(format!(
            "{usual}: the example {} asks what a row of the test asks, so the test would measure nothing: leave it out of the \
             examples or of the test",
            example.id
        )));
    }
    let service = spec.endpoint.as_deref().map(|name| super::service::about(context, name)).transpose()?;
    let name = spec.name.clone().unwrap_or(usual);
    let endpoint = spec.endpoint.clone();
    let files = base.as_ref().and_then(|base| bases.files(&base.path));
    let prompted = spec.prompt.is_some() || spec.examples.is_some();
    Ok(System {
        name,
        base,
        files,
        prompted,
        folder,
        adapter,
        run,
        checkpoint,
        endpoint,
        service,
        prompt,
        writing: writing.clone(),
    })
}

/// A run's name in a report: in full, with the checkpoint that was asked for.
fn named(job: &str, asked: &str) -> String {
    asked.split_once('@').map_or_else(|| job.to_owned(), |(_, step)| format!("{job}@{step}"))
}

/// A hash of the files beside a folder's weights that decide what is read and written; none for a single file, which has them all.
#[must_use]
pub fn small_files(folder: &Path) -> Option<String> {
    if !folder.is_dir() {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    for name in SMALL_FILES {
        // One that is not there differs from an empty one.
        if let Ok(bytes) = std::fs::read(folder.join(name)) {
            hasher.update(name.as_bytes()).update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
        }
    }
    Some(hasher.finalize().to_hex().to_string())
}

/// A template by the name of its version or as a file.
fn template(context: &Context, name: &str) -> Result<String, ActionError> {
    let version = context.project.prompts_dir().join(format!("{name}.jinja"));
    read_template(if version.is_file() { &version } else { Path::new(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_says_who_and_how_it_is_asked() {
        let spec: Spec = "base,examples=4,prompt=short".parse().unwrap();
        assert_eq!((spec.examples.as_ref(), spec.prompt.as_deref()), (Some(&Examples::Count(4)), Some("short")));
        assert_eq!(spec.usual_name(), "base, prompt short + 4 examples");
        let spec: Spec = "a1@120, name = mine".replace(" = ", "=").parse().unwrap();
        assert_eq!((spec.choice.run.as_deref(), spec.name.as_deref()), (Some("a1@120"), Some("mine")));
        assert_eq!("endpoint=gpt".parse::<Spec>().unwrap().usual_name(), "gpt");
        for (wrong, why) in [
            ("base,4", "no value"),
            ("base,shots=4", "no key shots"),
            ("base,,", "empty"),
            ("a1,endpoint=x", "a model of its own"),
            ("a1,adapter=d", "a run and an adapter"),
            ("base,prompt=", "prompt has no value"),
        ] {
            let error = wrong.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_file_that_a_model_does_not_have_changes_nothing_of_its_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), "{}").unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), "{\"a\": 1}").unwrap();
        std::fs::write(dir.path().join("README.md"), "of no account").unwrap();
        let mut hasher = blake3::Hasher::new();
        for (name, text) in [("config.json", "{}"), ("tokenizer.json", "{\"a\": 1}")] {
            hasher.update(name.as_bytes()).update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        let before = small_files(dir.path());
        assert_eq!(before, Some(hasher.finalize().to_hex().to_string()));
        // A template in either form decides what is asked.
        std::fs::write(dir.path().join("chat_template.json"), "{}").unwrap();
        assert_ne!(small_files(dir.path()), before);
        assert_eq!(small_files(&dir.path().join("config.json")), None);
    }
}
