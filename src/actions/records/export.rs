//! Records to files.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::actions::context::{ActionError, Context};
use crate::data::export;
use crate::project::durable;
use crate::store::{Query, Split, Status, Store};

pub use crate::data::export::Format;

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Written {
    /// The layout.
    pub format: String,
    /// The files.
    pub files: Vec<PathBuf>,
    /// Records in them.
    pub rows: usize,
    /// Records that the layout has no words for, and why.
    pub left_out: Vec<(i64, String)>,
}

/// Writes the records that `query` finds (rejected ones only where it asks for them) to `out`: a file, or for `JumpStart` a folder. Where
/// `out` is a folder, each split becomes a file of its own there, as trainers expect it.
///
/// # Errors
/// When nothing is found, a template does not render, or a file cannot be written.
pub fn export(
    context: &Context,
    store: &Store,
    format: Format,
    query: &Query,
    out: &Path,
) -> Result<Written, ActionError> {
    let mut records = store.records(query)?;
    if !query.asks_for_status() {
        records.retain(|record| record.state.status != Status::Rejected);
    }
    if records.is_empty() {
        return Err(ActionError::Refused("there is no record to export: togi records shows what a query finds".into()));
    }
    let prompt = context.prompt()?;
    let mut written = Written { format: format.to_string(), files: Vec::new(), rows: 0, left_out: Vec::new() };
    let mut write = |records: &[_], path: &Path| -> Result<(), ActionError> {
        let list = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let made = export::export(format, records, &prompt, list)?;
        for (name, bytes) in made.files {
            let path = if name.is_empty() { path.to_owned() } else { path.join(name) };
            durable::create_dir_all(durable::parent(&path)).map_err(crate::project::ProjectError::from)?;
            durable::write(&path, &bytes).map_err(crate::project::ProjectError::from)?;
            written.files.push(path);
        }
        written.rows += made.rows;
        written.left_out.extend(made.left_out);
        Ok(())
    };
    match format.ending() {
        Some(ending) if out.is_dir() => {
            for split in [Split::Train, Split::Valid, Split::Test] {
                // What has no split yet is trained on.
                let (part, rest): (Vec<_>, Vec<_>) =
                    records.into_iter().partition(|record| record.state.split.unwrap_or(Split::Train) == split);
                records = rest;
                if !part.is_empty() {
                    write(&part, &out.join(format!("{split}.{ending}")))?;
                }
            }
        }
        _ => write(&records, out)?,
    }
    Ok(written)
}
