//! A new project.

use std::path::Path;

use crate::model::weights::Source;
use crate::project::ModelRef;

use super::context::ActionError;

pub use crate::project::Project;

/// Makes `dir` a project whose base is `model`: a path, or a Hub id. Of a model that is on this machine the headers and the
/// tokenizer are read first, not the weights, so that a file which is cut short or is none is told now and not at its first
/// use; one of the Hub is looked at when it is fetched.
///
/// # Errors
/// When `dir` is a project already or cannot be written, or the path leads to no model; then nothing is made.
pub fn init(dir: &Path, model: &str) -> Result<Project, ActionError> {
    let model = ModelRef::parse(model);
    if let ModelRef::Path(path) = &model {
        Source::open(path)?.tokenizer()?;
    }
    Ok(Project::init(dir, &model)?)
}
