//! Rows of imported files that are no records: list them, take them out as a file, mend them, drop them.

use std::fmt::Write as _;

use crate::actions::context::ActionError;
use crate::store::Store;

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

/// The refused rows as they stood in their files, to be mended in an editor and imported again.
#[must_use]
pub fn file(rows: &[Refused]) -> String {
    rows.iter().fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{}", row.raw.trim_end_matches(['\r', '\n']));
        text
    })
}

/// Takes rows out of quarantine for good; how many there were.
///
/// # Errors
/// When the database cannot be written.
pub fn drop_rows(store: &mut Store, ids: &[i64]) -> Result<usize, ActionError> {
    let mut dropped = 0;
    for id in ids {
        dropped += usize::from(store.leave_quarantine(*id)?);
    }
    Ok(dropped)
}
