//! Records to files.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::actions::context::{ActionError, Context};
use crate::data::export;
use crate::project::durable;
use crate::store::{Query, Split, Status, Store};

pub use crate::data::export::Format;

/// The files of a folder.
const SPLITS: [Split; 3] = [Split::Train, Split::Valid, Split::Test];

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
/// When nothing is found or the layout has words for none of it, `out` is a file of the project's own, a template does not
/// render, or a file cannot be written.
pub fn export(
    context: &Context,
    store: &Store,
    format: Format,
    query: &Query,
    out: &Path,
) -> Result<Written, ActionError> {
    let mut records = store.records(query)?;
    if !query.asks_for("status") {
        records.retain(|record| record.state.status != Status::Rejected);
    }
    if records.is_empty() {
        return Err(ActionError::Refused("there is no record to export: togi records shows what a query finds".into()));
    }
    let prompt = context.prompt()?;
    let mut written = Written { format: format.to_string(), files: Vec::new(), rows: 0, left_out: Vec::new() };
    if format == Format::JumpStart && !query.asks_for("split") {
        // Everything in such a folder is trained on.
        let held = |record: &crate::store::Record| record.state.split.filter(|split| *split != Split::Train);
        let kept = records.iter().filter_map(|record| Some((record.id, format!("it is kept for {}", held(record)?))));
        written.left_out.extend(kept);
        records.retain(|record| held(record).is_none());
    }
    let mut write = |records: &[_], path: &Path| -> Result<(), ActionError> {
        let list = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let made = export::export(format, records, &prompt, list)?;
        written.left_out.extend(made.left_out);
        if made.rows == 0 {
            return Ok(()); // an empty file would replace what is there
        }
        for (name, bytes) in made.files {
            let path = if name.is_empty() { path.to_owned() } else { path.join(name) };
            durable::create_dir_all(durable::parent(&path)).map_err(crate::project::ProjectError::from)?;
            refuse_own(context, &path)?;
            durable::write(&path, &bytes).map_err(crate::project::ProjectError::from)?;
            written.files.push(path);
        }
        written.rows += made.rows;
        Ok(())
    };
    match format.ending() {
        Some(ending) if out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            // A file of an earlier export beside new ones could hold what is trained on now.
            let has = |split| records.iter().any(|record| record.state.split.unwrap_or(Split::Train) == split);
            let stale =
                SPLITS.into_iter().filter(|split| !has(*split)).map(|split| out.join(format!("{split}.{ending}")));
            if let Some(stale) = stale.into_iter().find(|path| path.exists()) {
                return Err(ActionError::Refused(format!(
                    "{} is there and would not be written again, so it may hold records of another split now: remove it first",
                    stale.display()
                )));
            }
            for split in SPLITS {
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
    if written.rows == 0 {
        let (record, why) = written.left_out.first().map_or((0, ""), |(record, why)| (*record, why.as_str()));
        return Err(ActionError::Refused(format!(
            "nothing is written: none of the {} records fits {format}; record {record}, for one: {why}",
            written.left_out.len()
        )));
    }
    Ok(written)
}

/// Keeps an export from replacing the records, the settings or the runs that it comes from.
fn refuse_own(context: &Context, path: &Path) -> Result<(), ActionError> {
    let project = &context.project;
    let real = |path: &Path| {
        let folder = durable::parent(path).canonicalize().unwrap_or_else(|_| durable::parent(path).to_owned());
        path.canonicalize().unwrap_or_else(|_| path.file_name().map_or(folder.clone(), |name| folder.join(name)))
    };
    let (target, db) = (real(path), real(&project.db_path()));
    let beside = |ending: &str| {
        let mut name = db.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let own = [db.clone(), beside("-wal"), beside("-shm"), real(&project.settings_path())].contains(&target)
        || [project.runs_dir(), project.prompts_dir()].iter().any(|folder| target.starts_with(real(folder)));
    if own {
        return Err(ActionError::Refused(format!(
            "{} belongs to the project itself and would be lost: name another file",
            path.display()
        )));
    }
    Ok(())
}
