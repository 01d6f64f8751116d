//! The models that togi knows by name, and whether this machine can hold them.

use serde::Serialize;

use crate::model::catalogue::{Catalogue, Entry};
use crate::worker::model::available_bytes;

use super::context::ActionError;

/// A model of the catalogue on this machine, as `togi models --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Known {
    #[serde(flatten)]
    pub entry: Entry,
    /// Whether togi runs it as the Hub has it.
    pub runs: bool,
    /// Bytes of its weights in f32; those that are stored in fewer bits take fewer.
    pub bytes: u64,
    /// Whether these fit the memory that is free; absent where the system does not say what is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fits: Option<bool>,
}

/// Lists the catalogue.
///
/// # Errors
/// Never in a build that passes its tests.
pub fn models() -> Result<Vec<Known>, ActionError> {
    let catalogue = Catalogue::embedded().map_err(|error| ActionError::Refused(error.to_string()))?;
    let free = available_bytes();
    let known = |entry: &Entry| {
        let bytes = entry.parameters * 4;
        Known { runs: entry.runs_as_is(), bytes, fits: free.map(|free| bytes < free), entry: entry.clone() }
    };
    Ok(catalogue.models().iter().map(known).collect())
}
