//! Imported files: which there were, and the quarantine: their rows that are no records, kept as they were until somebody
//! mends or drops them.

use rusqlite::params;
use serde::Serialize;

use super::act::now;
use super::{Store, StoreError};

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its number in the quarantine; 0 before it is there.
    pub id: i64,
    /// The file it came from.
    pub file: String,
    /// Line, row or element, from 1.
    pub line: u64,
    /// Why it is no record.
    pub reason: String,
    /// The row as it stands in the file.
    pub raw: String,
    /// How the file was read, as JSON, so that the mended row is read alike.
    pub how: String,
}

impl Store {
    /// The name under which a file's rows are known: that of an earlier import of the same bytes, else `name`, which is
    /// remembered.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn file_name(&mut self, hash: &[u8; 32], name: &str) -> Result<String, StoreError> {
        let fail = self.fail();
        let sql =
            "INSERT INTO file(hash, name) VALUES (?, ?) ON CONFLICT(hash) DO UPDATE SET name = name RETURNING name";
        self.connection.query_row(sql, params![&hash[..], name], |row| row.get(0)).map_err(fail)
    }

    /// Keeps the refused rows of the file at `path` in the place of those that an earlier import of it left. Rows know their
    /// file by the `path` in their `how`: two folders may each hold a `train.jsonl`.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn set_quarantine(&mut self, path: &str, rows: &[Refused]) -> Result<(), StoreError> {
        self.transaction(|writer| {
            let fail = |cause| writer.fail(cause);
            writer
                .transaction
                .execute("DELETE FROM quarantine WHERE CASE WHEN json_valid(how) THEN how ->> '$.path' END = ?", [path])
                .map_err(fail)?;
            for row in rows {
                writer
                    .transaction
                    .prepare_cached(
                        "INSERT INTO quarantine(file, line, reason, raw, how, author, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    )
                    .and_then(|mut statement| {
                        statement.execute(params![
                            row.file,
                            row.line.cast_signed(),
                            row.reason,
                            row.raw,
                            row.how,
                            writer.author,
                            now()
                        ])
                    })
                    .map_err(fail)?;
            }
            Ok(())
        })
    }

    /// Everything in quarantine, by file and line.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn quarantine(&self) -> Result<Vec<Refused>, StoreError> {
        let fail = self.fail();
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, file, line, reason, raw, how FROM quarantine ORDER BY file, line, id")
            .map_err(&fail)?;
        statement
            .query_map([], |row| {
                Ok(Refused {
                    id: row.get(0)?,
                    file: row.get(1)?,
                    line: row.get::<_, i64>(2)?.cast_unsigned(),
                    reason: row.get(3)?,
                    raw: row.get(4)?,
                    how: row.get(5)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(fail)
    }

    /// Takes a row out of quarantine; whether it was there.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn leave_quarantine(&mut self, id: i64) -> Result<bool, StoreError> {
        let fail = self.fail();
        self.connection.execute("DELETE FROM quarantine WHERE id = ?", [id]).map(|rows| rows > 0).map_err(fail)
    }
}
