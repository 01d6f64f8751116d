//! Imported files: which there were, and the quarantine: their rows that are no records, kept as they were until somebody
//! mends or drops them.
//!
//! A row goes in and out of quarantine by an act, so that undoing the act moves it back. No row is ever deleted.

use rusqlite::params;
use serde::Serialize;

use super::act::{Act, Cause, Writer, now};
use super::{Adder, Store, StoreError};

/// A row that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its number in the quarantine; 0 before it is there.
    pub id: i64,
    /// The file it came from, as it was named.
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
    /// Everything in quarantine, by file and line.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn quarantine(&self) -> Result<Vec<Refused>, StoreError> {
        let fail = self.fail();
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT id, file, line, reason, raw, how FROM quarantine WHERE gone = 0 ORDER BY file, line, id",
            )
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

    /// Drops rows from the quarantine in one act; how many were there.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn drop_refused(&mut self, rows: &[i64]) -> Result<usize, StoreError> {
        self.transaction(|writer| {
            let act = Act::new(Cause::Drop, "rows of the quarantine");
            rows.iter().try_fold(0, |dropped, &row| Ok(dropped + usize::from(writer.leave(&act, row)?)))
        })
    }
}

impl Adder<'_, '_> {
    /// The name under which a file's rows are known: that of an earlier import of the same bytes, else `name`, which is
    /// remembered.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn file_name(&mut self, hash: &[u8; 32], name: &str) -> Result<String, StoreError> {
        let sql =
            "INSERT INTO file(hash, name) VALUES (?, ?) ON CONFLICT(hash) DO UPDATE SET name = name RETURNING name";
        let named = self.writer.transaction.query_row(sql, params![&hash[..], name], |row| row.get(0));
        named.map_err(|cause| self.writer.fail(cause))
    }

    /// Puts a row of the file at `path` in quarantine; [`Adder::refused`] has to follow the last one.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn refuse(&mut self, path: &str, row: &Refused) -> Result<(), StoreError> {
        let act = self.writer.act(self.act)?;
        let writer = &self.writer;
        let run = || -> rusqlite::Result<()> {
            writer
                .transaction
                .prepare_cached(
                    "INSERT INTO quarantine(path, file, line, reason, raw, how, author, at, act)
                     VALUES (?, ?, ?, ?, ?, '', ?, ?, ?)",
                )?
                .execute(params![
                    path,
                    row.file,
                    row.line.cast_signed(),
                    row.reason,
                    row.raw,
                    writer.author,
                    now(),
                    act
                ])?;
            let id = writer.transaction.last_insert_rowid();
            writer
                .transaction
                .prepare_cached("INSERT INTO move(quarantine, act, gone) VALUES (?, ?, 0)")?
                .execute(params![id, act])
                .map(drop)
        };
        run().map_err(|cause| writer.fail(cause))
    }

    /// Says that all refused rows of the file at `path` are in, and how it was read. They take the place of those that an earlier
    /// import of it left; where nothing differs, those stay.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn refused(&mut self, path: &str, how: &str) -> Result<(), StoreError> {
        let writer = &self.writer;
        let earlier: bool = writer
            .transaction
            .query_row("SELECT count(*) FROM quarantine WHERE path = ?1 AND gone = 0", [path], |row| row.get(0))
            .map_err(|cause| writer.fail(cause))?;
        if !earlier && writer.act.is_none() {
            return Ok(());
        }
        let new = writer.act;
        let run = || -> rusqlite::Result<bool> {
            let rows = "SELECT line, reason, raw FROM quarantine WHERE path = ?1 AND gone = 0 AND act";
            let differ =
                format!("SELECT EXISTS({rows} = ?2 EXCEPT {rows} <> ?2) OR EXISTS({rows} <> ?2 EXCEPT {rows} = ?2)");
            let changed: bool =
                writer.transaction.query_row(&differ, params![path, new.unwrap_or(0)], |row| row.get(0))?;
            if changed {
                return Ok(true);
            }
            writer.transaction.execute(
                "DELETE FROM move WHERE quarantine IN (SELECT id FROM quarantine WHERE path = ?1 AND act = ?2)",
                params![path, new.unwrap_or(0)],
            )?;
            writer
                .transaction
                .execute("DELETE FROM quarantine WHERE path = ?1 AND act = ?2", params![path, new.unwrap_or(0)])?;
            Ok(false)
        };
        if !run().map_err(|cause| writer.fail(cause))? {
            // An act that did nothing is none.
            let idle = "DELETE FROM act WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM revision WHERE act = ?1)";
            if writer.transaction.execute(idle, [new]).map_err(|cause| writer.fail(cause))? > 0 {
                self.writer.act = None;
            }
            return Ok(());
        }
        let act = self.writer.act(self.act)?;
        let writer = &self.writer;
        let run = || -> rusqlite::Result<()> {
            let old = "SELECT id FROM quarantine WHERE path = ?1 AND gone = 0 AND act <> ?2";
            writer.transaction.execute(
                &format!("INSERT INTO move(quarantine, act, gone) SELECT id, ?2, 1 FROM ({old})"),
                params![path, act],
            )?;
            writer.transaction.execute(
                "UPDATE quarantine SET gone = 1 WHERE path = ?1 AND gone = 0 AND act <> ?2",
                params![path, act],
            )?;
            writer
                .transaction
                .execute("UPDATE quarantine SET how = ?3 WHERE path = ?1 AND act = ?2", params![path, act, how])
                .map(drop)
        };
        run().map_err(|cause| writer.fail(cause))
    }

    /// Takes a row out of quarantine, since a record was made of it; whether it was there.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn mended(&mut self, row: i64) -> Result<bool, StoreError> {
        self.writer.leave(self.act, row)
    }
}

impl Writer<'_> {
    fn leave(&mut self, act: &Act, row: i64) -> Result<bool, StoreError> {
        let left = self
            .transaction
            .execute("UPDATE quarantine SET gone = 1 WHERE id = ? AND gone = 0", [row])
            .map_err(|cause| self.fail(cause))?;
        if left == 0 {
            return Ok(false);
        }
        let act = self.act(act)?;
        self.transaction
            .execute("INSERT INTO move(quarantine, act, gone) VALUES (?, ?, 1)", params![row, act])
            .map_err(|cause| self.fail(cause))?;
        Ok(true)
    }

    /// Moves the rows that `act` moved back, in the act that is being made.
    pub fn move_back(&mut self, act: i64) -> Result<(), StoreError> {
        let run = || -> rusqlite::Result<()> {
            self.transaction.execute(
                "UPDATE quarantine SET gone = 1 - m.gone FROM move m WHERE m.quarantine = quarantine.id AND m.act = ?",
                [act],
            )?;
            self.transaction
                .execute(
                    "INSERT INTO move(quarantine, act, gone) SELECT quarantine, ?2, 1 - gone FROM move WHERE act = ?1",
                    params![act, self.act],
                )
                .map(drop)
        };
        run().map_err(|cause| self.fail(cause))
    }
}
