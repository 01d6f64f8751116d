//! Answers that were rehearsed for an audience: kept with their times, to be played back without a model.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::answer::Question;
use super::context::{ActionError, Context};
use crate::project::durable;

/// The file they are in, in the project's folder: one a line.
const FILE: &str = "rehearsed.jsonl";

/// A question's answers as they were written once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// What was asked.
    pub question: Question,
    /// Who answered: left and right.
    pub systems: [String; 2],
    /// Milliseconds since it was asked, the side (0 left, 1 right), and what it wrote then.
    pub events: Vec<(u64, usize, String)>,
}

fn path(context: &Context) -> PathBuf {
    context.project.root().join(FILE)
}

/// All rehearsed answers, the newest of each question and systems last.
///
/// # Errors
/// When the file is there and cannot be read, or a line of it is none.
pub fn list(context: &Context) -> Result<Vec<Rehearsed>, ActionError> {
    let path = path(context);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(ActionError::File { action: "read the rehearsed answers", path, cause }),
    };
    let parsed = text.lines().enumerate().map(|(index, line)| {
        serde_json::from_str(line).map_err(|error| {
            ActionError::Refused(format!("{}, line {}: {error}; delete the line", path.display(), index + 1))
        })
    });
    parsed.collect()
}

/// Keeps rehearsed answers, in the place of earlier ones to the same question by the same systems.
///
/// # Errors
/// When the file cannot be read or written.
pub fn keep(context: &Context, rehearsed: &Rehearsed) -> Result<(), ActionError> {
    let mut all = list(context)?;
    all.retain(|other| other.question != rehearsed.question || other.systems != rehearsed.systems);
    all.push(rehearsed.clone());
    let lines: Result<Vec<String>, _> = all.iter().map(serde_json::to_string).collect();
    let text = lines.map_err(|error| ActionError::Refused(error.to_string()))?.join("\n") + "\n";
    durable::write(&path(context), text.as_bytes()).map_err(|error| ActionError::Refused(error.to_string()))
}
