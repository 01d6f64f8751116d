//! What the last lint found, kept beside the records so that a list can be filtered by it.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// One finding of a check, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flag {
    /// The record; `None` where it concerns all of them.
    pub record: Option<i64>,
    /// The check's name.
    pub name: String,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// The finding in words.
    pub reason: String,
    /// More about it, as JSON.
    pub detail: String,
}

impl Store {
    /// Puts `flags` in the place of those that were kept.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn set_flags(&mut self, flags: &[Flag]) -> Result<(), StoreError> {
        self.transaction(|writer| {
            let fail = |cause| writer.fail(cause);
            writer.transaction.execute("DELETE FROM finding", []).map_err(fail)?;
            for flag in flags {
                writer
                    .transaction
                    .prepare_cached(
                        "INSERT INTO finding(record, name, severity, reason, detail) VALUES (?, ?, ?, ?, ?)",
                    )
                    .and_then(|mut statement| {
                        statement.execute(params![flag.record, flag.name, flag.severity, flag.reason, flag.detail])
                    })
                    .map_err(fail)?;
            }
            Ok(())
        })
    }

    /// What is kept of a record, or with `None` of all records and the set.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn flags(&self, record: Option<i64>) -> Result<Vec<Flag>, StoreError> {
        let fail = self.fail();
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT record, name, severity, reason, detail FROM finding WHERE ?1 IS NULL OR record = ?1
                 ORDER BY record, name",
            )
            .map_err(&fail)?;
        statement
            .query_map([record], |row| {
                Ok(Flag {
                    record: row.get(0)?,
                    name: row.get(1)?,
                    severity: row.get(2)?,
                    reason: row.get(3)?,
                    detail: row.get(4)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(fail)
    }
}
