//! What togi finds on this machine and in this place.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{Config, VARIABLE};
use crate::model::device::choose::{Wish, choose};
use crate::model::ops::simd;
use crate::worker::device::kernels;
use crate::worker::model::available_bytes;

use super::context::{ActionError, Context};

/// The findings, as `togi doctor --json` prints them.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    pub version: &'static str,
    /// What trains: `cpu`, or the GPU's name.
    pub device: String,
    /// What was found when looking for a GPU, in a sentence.
    pub device_words: String,
    /// The vector instructions in use.
    pub simd: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Bytes of memory that could be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_free: Option<u64>,
    /// The settings file, and whether it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    pub config_exists: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models_dir: Option<PathBuf>,
    /// The project's folder, where there is a project here or above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<PathBuf>,
    /// Its base model, where it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// What keeps togi from working, each with what to do.
    pub problems: Vec<String>,
}

/// The project's model.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    pub name: String,
    pub parameters: usize,
    /// Tokens it reads at most.
    pub context: usize,
}

/// Looks around; what is wrong is among the findings.
pub fn doctor(start: &Path) -> Findings {
    let config = Config::load();
    let path = config_path();
    let (gpu, words) = match choose(Wish::Auto, kernels().as_deref()) {
        Ok(found) => (found.device, found.words),
        Err(error) => (None, error.to_string()),
    };
    let mut found = Findings {
        version: env!("CARGO_PKG_VERSION"),
        device: gpu.as_ref().map_or_else(|| "cpu".to_owned(), |device| device.name()),
        device_words: words,
        simd: simd::level().name(),
        threads: config.as_ref().ok().map(|config| config.threads),
        memory_free: available_bytes(),
        config_exists: path.as_ref().is_some_and(|path| path.exists()),
        config: path,
        models_dir: config.as_ref().ok().map(|config| config.models_dir.clone()),
        project: None,
        model: None,
        problems: config.as_ref().err().map(ToString::to_string).into_iter().collect(),
    };
    if config.is_err() {
        return found;
    }
    match Context::find(start, None) {
        Ok(mut context) => {
            found.project = Some(context.project.root().to_owned());
            match look(&mut context) {
                Ok(model) => found.model = Some(model),
                Err(error) => found.problems.push(error.to_string()),
            }
        }
        // No project is no fault: one may be about to be made.
        Err(ActionError::Project(crate::project::ProjectError::NotFound(_))) => {}
        Err(error) => found.problems.push(error.to_string()),
    }
    found
}

/// Opens the project's model without its weights, and checks that its settings are settings.
fn look(context: &mut Context) -> Result<Model, ActionError> {
    context.settings(&[])?;
    let (opened, base, _) = context.open(&mut |_| {})?;
    Ok(Model { name: base.name, parameters: opened.source.parameters(), context: opened.source.description().context })
}

/// Where the settings file is looked for.
fn config_path() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(directories::ProjectDirs::from("", "", "togi")?.config_dir().join("config.toml")))
}
