//! Undo and redo: acts that take an act back.
//!
//! An author's acts lie on a stack. Undo takes back the newest that is not taken back; redo takes back the newest undo, as
//! long as nothing new was done since. Taking back an act gives each of its records the state that it had before, where the
//! record stands as the act left it; a record that stands otherwise was changed by somebody else, so it is left as it is and
//! told with both texts. Undoing goes on past it the next time.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::act::{Act, Cause, Writer, parse};
use super::{Conflict, Done, Store, StoreError};

/// An act that was taken back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Undone {
    /// The act's number.
    pub act: i64,
    /// What it had been.
    pub cause: Cause,
    /// Its words.
    pub note: String,
    /// What taking it back did.
    pub done: Done,
}

impl Store {
    /// Takes back this author's newest act that stands; `None` where there is none left.
    ///
    /// # Errors
    /// Where the database cannot be written; nothing is changed then.
    pub fn undo(&mut self) -> Result<Option<Undone>, StoreError> {
        let sql = "SELECT id FROM act
                   WHERE author = ? AND reverted = 0 AND cause <> 'undo' ORDER BY id DESC LIMIT 1";
        self.revert(sql, Cause::Undo)
    }

    /// Does again what this author undid last; `None` where there is nothing, or something new was done since.
    ///
    /// # Errors
    /// As [`Store::undo`].
    pub fn redo(&mut self) -> Result<Option<Undone>, StoreError> {
        let sql = "SELECT id FROM act
                   WHERE author = ?1 AND reverted = 0 AND cause = 'undo'
                     AND id > coalesce((SELECT max(id) FROM act WHERE author = ?1 AND cause NOT IN ('undo', 'redo')), 0)
                   ORDER BY id DESC LIMIT 1";
        self.revert(sql, Cause::Redo)
    }

    fn revert(&mut self, sql: &str, cause: Cause) -> Result<Option<Undone>, StoreError> {
        self.transaction(|writer| {
            let found: Option<i64> = writer
                .transaction
                .prepare_cached(sql)
                .and_then(|mut statement| statement.query_row([writer.author], |row| row.get(0)).optional())
                .map_err(|error| writer.fail(error))?;
            let Some(act) = found else { return Ok(None) };
            // Behind an undo or a redo stands the act that a person knows.
            let (what, note) = writer.first_of(act)?;
            let done = take_back(writer, act, &Act::new(cause, note.clone()))?;
            Ok(Some(Undone { act, cause: Cause::from_word(&what), note, done }))
        })
    }
}

impl Writer<'_> {
    /// Follows `reverts` to the act that is no undo or redo.
    fn first_of(&self, act: i64) -> Result<(String, String), StoreError> {
        self.transaction
            .query_row(
                "WITH RECURSIVE chain(id, depth) AS (
                     SELECT ?1, 0 UNION ALL
                     SELECT a.reverts, depth + 1 FROM act a JOIN chain c ON a.id = c.id WHERE a.reverts IS NOT NULL
                 )
                 SELECT a.cause, a.note FROM chain JOIN act a ON a.id = chain.id ORDER BY depth DESC LIMIT 1",
                [act],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(|cause| self.fail(cause))
    }
}

/// Puts the records of `act` back to what they were before it.
fn take_back(writer: &mut Writer<'_>, act: i64, how: &Act) -> Result<Done, StoreError> {
    type Row = (i64, i64, Option<String>, Option<i64>, Option<String>);
    let rows: Vec<Row> = writer
        .transaction
        .prepare_cached(
            "SELECT v.record, v.id, v.state, b.id, b.state FROM revision v LEFT JOIN revision b ON b.id = v.before
             WHERE v.act = ? ORDER BY v.id",
        )
        .and_then(|mut statement| {
            statement
                .query_map([act], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
                .collect()
        })
        .map_err(|cause| writer.fail(cause))?;
    writer.reverts = Some(act);
    // Written even where every record is in conflict: undoing goes on past it.
    writer.act(how)?;
    let mut done = Done { act: writer.act, ..Done::default() };
    for (record, revision, left, earlier, before) in rows {
        let head = writer.head(record)?;
        let left = left.map(|text| parse(record, revision, &text)).transpose()?;
        let before = before.map(|text| parse(record, earlier.unwrap_or(0), &text)).transpose()?;
        if head.state == left {
            if head.state != before {
                let revision = writer.put(how, record, &head, before.as_ref())?;
                done.changed.push((record, revision));
            }
        } else if head.state != before {
            let (head, by, theirs) = (head.revision, head.author, head.state);
            done.conflicts.push(Conflict { record, base: revision, head, by, ours: before, theirs });
        }
    }
    writer.move_back(act)?;
    writer
        .transaction
        .prepare_cached("UPDATE act SET reverted = 1 WHERE id = ?")
        .and_then(|mut statement| statement.execute(params![act]))
        .map_err(|cause| writer.fail(cause))?;
    Ok(done)
}
