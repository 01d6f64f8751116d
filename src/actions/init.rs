//! A new project.

use std::path::Path;

use crate::project::ModelRef;

use super::context::ActionError;

pub use crate::project::Project;

/// Makes `dir` a project whose base is `model`: a path, or a Hub id.
///
/// # Errors
/// When `dir` is a project already or cannot be written, or the path leads nowhere.
pub fn init(dir: &Path, model: &str) -> Result<Project, ActionError> {
    Ok(Project::init(dir, &ModelRef::parse(model))?)
}
