//! Rows of imported files that are no records: list them, take them out as a file, mend them, drop them.

use std::fmt::Write as _;

use crate::actions::context::ActionError;
use crate::data::import::Format;
use crate::store::Store;

use super::import::How;
pub use super::import::mend;
pub use crate::store::Refused;

/// Everything in quarantine.
///
/// # Errors
/// When the records cannot be read.
pub fn list(store: &Store) -> Result<Vec<Refused>, ActionError> {
    Ok(store.quarantine()?)
}

/// One row of it.
///
/// # Errors
/// When there is none of that number.
pub fn get(store: &Store, id: i64) -> Result<Refused, ActionError> {
    store
        .quarantine()?
        .into_iter()
        .find(|row| row.id == id)
        .ok_or_else(|| ActionError::Refused(format!("there is no row {id} in quarantine; togi quarantine lists them")))
}

/// The refused rows as they stood in their file, to be mended in an editor and imported again. Each row of a table
/// brings its header; the file has it once.
#[must_use]
pub fn file(rows: &[Refused]) -> String {
    let mut head: Option<&str> = None;
    rows.iter().fold(String::new(), |mut text, row| {
        let mut raw = row.raw.trim_end_matches(['\r', '\n']);
        if let Some(Format::Csv | Format::Tsv) = How::of(row).options.format
            && let Some((first, rest)) = raw.split_once('\n')
        {
            if head == Some(first) {
                raw = rest;
            }
            head = Some(first);
        }
        let _ = writeln!(text, "{raw}");
        text
    })
}

/// Drops rows from the quarantine, in one act; how many were there.
///
/// # Errors
/// When the database cannot be written.
pub fn drop_rows(store: &mut Store, ids: &[i64]) -> Result<usize, ActionError> {
    Ok(store.drop_refused(ids)?)
}
