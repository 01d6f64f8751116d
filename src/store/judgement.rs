//! What people preferred, seeing two answers to one question.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::act::now;
use super::{Store, StoreError};

/// A preference. Kept as it was given: a second look at the same question is another one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Its number; given by the store.
    #[serde(default)]
    pub id: i64,
    /// Who judged; given by the store.
    #[serde(default)]
    pub author: String,
    /// When, in milliseconds since 1970; given by the store.
    #[serde(default)]
    pub at: i64,
    /// The record, where the question was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<i64>,
    /// What was asked.
    pub question: String,
    /// Who answered left: `base`, or a run.
    pub left: String,
    /// Who answered right.
    pub right: String,
    /// What the left one said.
    pub left_answer: String,
    /// What the right one said.
    pub right_answer: String,
    /// `left`, `right`, `tie` or `bad`.
    pub pick: String,
    /// Whether the person did not know who was on which side.
    pub blind: bool,
    /// Seconds the person took once both answers were there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Store {
    /// Keeps a judgement and returns its number.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn judge(&mut self, judgement: &Judgement) -> Result<i64, StoreError> {
        let j = judgement;
        self.transaction(|writer| {
            writer
                .transaction
                .prepare_cached(
                    "INSERT INTO judgement(author, at, record, question, left_system, right_system, left_answer,
                         right_answer, pick, blind, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        writer.author,
                        now(),
                        j.record,
                        j.question,
                        j.left,
                        j.right,
                        j.left_answer,
                        j.right_answer,
                        j.pick,
                        j.blind,
                        j.seconds
                    ])
                })
                .map_err(|cause| writer.fail(cause))?;
            Ok(writer.transaction.last_insert_rowid())
        })
    }

    /// All judgements, in the order they were given.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn judgements(&self) -> Result<Vec<Judgement>, StoreError> {
        let fail = self.fail();
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT id, author, at, record, question, left_system, right_system, left_answer, right_answer, pick,
                     blind, seconds FROM judgement ORDER BY id",
            )
            .map_err(&fail)?;
        statement
            .query_map([], |row| {
                Ok(Judgement {
                    id: row.get(0)?,
                    author: row.get(1)?,
                    at: row.get(2)?,
                    record: row.get(3)?,
                    question: row.get(4)?,
                    left: row.get(5)?,
                    right: row.get(6)?,
                    left_answer: row.get(7)?,
                    right_answer: row.get(8)?,
                    pick: row.get(9)?,
                    blind: row.get(10)?,
                    seconds: row.get(11)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(fail)
    }
}
