//! Stored generations: what which system answered on which frozen test set, how likely it found the right answers, and what
//! people marked as wrong in it.
//!
//! A test set is frozen by its content: the same rows are the same set, whatever the file is called, and a changed row makes
//! another one. A system is known by the hash of all that decides its answers. Both keep their texts as JSON that the store does
//! not look into, so answers can be scored again by any metric without a model.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::act::now;
use super::{Store, StoreError};

/// A frozen test set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestSet {
    /// Its number.
    pub id: i64,
    /// What it was called when it was first frozen: a file or a query.
    pub name: String,
    /// BLAKE3 of its rows, in hexadecimal.
    pub hash: String,
    /// Number of rows.
    pub rows: usize,
    /// When it was frozen, in milliseconds since 1970.
    pub at: i64,
}

/// A system that has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredSystem {
    /// Its number.
    pub id: i64,
    /// The hash of all that decides its answers.
    pub hash: String,
    /// What it is called in reports.
    pub name: String,
    /// All that decides its answers, as JSON.
    pub about: String,
    /// Rows of the test set that it has answered.
    pub answered: usize,
}

/// One answer of a system to a row of a test set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    /// The row's place in the set, from 0.
    pub place: usize,
    /// What was answered, without white space at its ends.
    pub answer: String,
    /// Why it ended: `end`, `stop`, `length`, `context`, or what an endpoint said.
    pub stop: String,
    /// Tokens of the prompt; absent where an endpoint did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<usize>,
    /// Tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// Seconds from asking to the whole answer, where it was asked alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Seconds that this machine was busy reading its prompt; absent at an endpoint, and where an older togi asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_seconds: Option<f64>,
    /// The same writing the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_seconds: Option<f64>,
    /// What an endpoint took for it, in its currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// How likely a system found the right answer of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowLikelihood {
    /// The row's place in the set, from 0.
    pub place: usize,
    /// Negative log-likelihood of the supervised tokens, in nats.
    pub nats: f64,
    /// Supervised tokens.
    pub tokens: usize,
    /// Bytes of the right answer.
    pub bytes: usize,
}

/// A stretch of answering: how long the device was busy with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Work {
    /// Seconds, prompts included.
    pub seconds: f64,
    /// Rows answered in them.
    pub rows: usize,
    /// Tokens of their prompts.
    pub prompt_tokens: usize,
    /// Tokens of their answers.
    pub tokens: usize,
    /// Money that an endpoint took or may have taken, answers that never came included.
    pub money: f64,
    /// Requests sent to an endpoint, those that failed included.
    pub requests: u64,
}

/// What a person said about an answer: that it is an error of a category, or that it is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// The row's place in the set, from 0.
    pub place: usize,
    /// The category.
    pub category: String,
    /// Whether it is one.
    pub present: bool,
    /// Who said so.
    pub author: String,
}

impl Store {
    /// Freezes `rows`, each a JSON text, as a test set and returns it; the same rows are the set that is there already.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn freeze_test(&mut self, name: &str, rows: &[String]) -> Result<TestSet, StoreError> {
        let mut hasher = blake3::Hasher::new();
        for row in rows {
            hasher.update(row.as_bytes()).update(b"\n");
        }
        let hash = hasher.finalize().to_hex().to_string();
        if let Some(found) = self.tests()?.into_iter().find(|test| test.hash == hash) {
            return Ok(found);
        }
        self.transaction(|writer| {
            let work = || -> rusqlite::Result<i64> {
                let transaction = &writer.transaction;
                // Two processes may freeze the same set at once.
                transaction.execute(
                    "INSERT OR IGNORE INTO test(name, hash, at, author) VALUES (?, ?, ?, ?)",
                    params![name, hash, now(), writer.author],
                )?;
                let id = transaction.query_row("SELECT id FROM test WHERE hash = ?", [&hash], |row| row.get(0))?;
                let mut insert =
                    transaction.prepare("INSERT OR IGNORE INTO test_row(test, place, row) VALUES (?, ?, ?)")?;
                for (place, row) in rows.iter().enumerate() {
                    insert.execute(params![id, place as i64, row])?;
                }
                Ok(id)
            };
            work().map_err(|cause| writer.fail(cause)).map(drop)
        })?;
        let found = self.tests()?.into_iter().find(|test| test.hash == hash);
        found.ok_or_else(|| self.fail()(rusqlite::Error::QueryReturnedNoRows))
    }

    /// The frozen test sets, the oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn tests(&self) -> Result<Vec<TestSet>, StoreError> {
        let sql =
            "SELECT id, name, hash, at, (SELECT count(*) FROM test_row WHERE test = test.id) FROM test ORDER BY id";
        self.rows(sql, params![], |row| {
            let rows: i64 = row.get(4)?;
            Ok(TestSet { id: row.get(0)?, name: row.get(1)?, hash: row.get(2)?, at: row.get(3)?, rows: rows as usize })
        })
    }

    /// The rows of a test set, in its order, as they were frozen.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn test_rows(&self, test: i64) -> Result<Vec<String>, StoreError> {
        self.rows("SELECT row FROM test_row WHERE test = ? ORDER BY place", params![test], |row| row.get(0))
    }

    /// One row of a test set as it was frozen; none where there is no such place.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn test_row(&self, test: i64, place: usize) -> Result<Option<String>, StoreError> {
        let sql = "SELECT row FROM test_row WHERE test = ? AND place = ?";
        Ok(self.rows(sql, params![test, place as i64], |row| row.get(0))?.pop())
    }

    /// The number of the system with this hash, kept under `name` where it is new. A system that is known takes the new name.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn keep_system(&mut self, hash: &str, name: &str, about: &str) -> Result<i64, StoreError> {
        self.transaction(|writer| {
            let work = || {
                writer.transaction.execute(
                    "INSERT INTO system(hash, name, about) VALUES (?, ?, ?) ON CONFLICT(hash) DO UPDATE SET name = excluded.name",
                    params![hash, name, about],
                )?;
                writer.transaction.query_row("SELECT id FROM system WHERE hash = ?", [hash], |row| row.get(0))
            };
            work().map_err(|cause| writer.fail(cause))
        })
    }

    /// The systems that have answered rows of a test set, in the order in which they first did.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn systems(&self, test: i64) -> Result<Vec<StoredSystem>, StoreError> {
        let sql =
            "SELECT system.id, name, about, count(*), hash FROM generation JOIN system ON system.id = generation.system
                   WHERE test = ? GROUP BY system.id ORDER BY min(generation.at), system.id";
        self.rows(sql, params![test], |row| {
            let answered: i64 = row.get(3)?;
            Ok(StoredSystem {
                id: row.get(0)?,
                name: row.get(1)?,
                about: row.get(2)?,
                answered: answered as usize,
                hash: row.get(4)?,
            })
        })
    }

    /// Keeps answers; one that is there already is replaced.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn keep_generations(
        &mut self,
        test: i64,
        system: i64,
        answers: &[Generation],
        work: Option<Work>,
    ) -> Result<(), StoreError> {
        self.transaction(|writer| {
            let write = || -> rusqlite::Result<()> {
                let mut insert = writer.transaction.prepare_cached(
                    "INSERT OR REPLACE INTO generation(test, system, place, answer, stop, prompt_tokens, tokens, seconds,
                         prompt_seconds, answer_seconds, cost, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?;
                let at = now();
                for g in answers {
                    let (prompt, tokens) = (g.prompt_tokens.map(|n| n as i64), g.tokens.map(|n| n as i64));
                    let place = g.place as i64;
                    let (reading, writing) = (g.prompt_seconds, g.answer_seconds);
                    insert.execute(params![
                        test, system, place, g.answer, g.stop, prompt, tokens, g.seconds, reading, writing, g.cost, at
                    ])?;
                }
                if let Some(w) = work {
                    writer.transaction.execute(
                        "INSERT INTO work(test, system, seconds, rows, prompt_tokens, tokens, money, requests, at)
                         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        params![
                            test,
                            system,
                            w.seconds,
                            w.rows as i64,
                            w.prompt_tokens as i64,
                            w.tokens as i64,
                            w.money,
                            w.requests as i64,
                            at
                        ],
                    )?;
                }
                Ok(())
            };
            write().map_err(|cause| writer.fail(cause))
        })
    }

    /// The places of the rows of a test set that a system has answered, in their order.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn answered(&self, test: i64, system: i64) -> Result<Vec<usize>, StoreError> {
        let sql = "SELECT place FROM generation WHERE test = ? AND system = ? ORDER BY place";
        self.rows(sql, params![test, system], |row| Ok(row.get::<_, i64>(0)? as usize))
    }

    /// The answers of a system on a test set, by place.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn generations(&self, test: i64, system: i64) -> Result<Vec<Generation>, StoreError> {
        self.generations_at(test, system, None)
    }

    /// The answer of a system to one row of a test set; none where it has not answered it.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn generation(&self, test: i64, system: i64, place: usize) -> Result<Option<Generation>, StoreError> {
        Ok(self.generations_at(test, system, Some(place))?.pop())
    }

    fn generations_at(&self, test: i64, system: i64, at: Option<usize>) -> Result<Vec<Generation>, StoreError> {
        let sql = "SELECT place, answer, stop, prompt_tokens, tokens, seconds, cost, prompt_seconds, answer_seconds
                   FROM generation WHERE test = ?1 AND system = ?2 AND place BETWEEN ?3 AND ?4
                   ORDER BY place";
        let (first, last) = at.map_or((0, i64::MAX), |at| (at as i64, at as i64));
        let count = |n: Option<i64>| n.map(|n| n as usize);
        self.rows(sql, params![test, system, first, last], |row| {
            Ok(Generation {
                place: row.get::<_, i64>(0)? as usize,
                answer: row.get(1)?,
                stop: row.get(2)?,
                prompt_tokens: count(row.get(3)?),
                tokens: count(row.get(4)?),
                seconds: row.get(5)?,
                cost: row.get(6)?,
                prompt_seconds: row.get(7)?,
                answer_seconds: row.get(8)?,
            })
        })
    }

    /// All the work a system did on a test set, added up.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn work(&self, test: i64, system: i64) -> Result<Work, StoreError> {
        let sql = "SELECT total(seconds), CAST(total(rows) AS INTEGER), CAST(total(prompt_tokens) AS INTEGER),
                   CAST(total(tokens) AS INTEGER) FROM work WHERE test = ? AND system = ?";
        let found = self.rows(sql, params![test, system], |row| {
            let count = |at: usize| -> rusqlite::Result<usize> { Ok(row.get::<_, i64>(at)? as usize) };
            Ok(Work {
                seconds: row.get(0)?,
                rows: count(1)?,
                prompt_tokens: count(2)?,
                tokens: count(3)?,
                ..Work::default()
            })
        })?;
        Ok(found.first().copied().unwrap_or_default())
    }

    /// Every system that ever worked, as JSON, with the money and the requests of each stretch of work.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn spent(&self) -> Result<Vec<(String, f64, u64)>, StoreError> {
        let sql = "SELECT about, total(money), CAST(total(requests) AS INTEGER) FROM work
                   JOIN system ON system.id = work.system GROUP BY system.id";
        self.rows(sql, params![], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as u64)))
    }

    /// Keeps how likely a system found right answers.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn keep_likelihoods(&mut self, test: i64, system: i64, rows: &[RowLikelihood]) -> Result<(), StoreError> {
        self.transaction(|writer| {
            let write = || -> rusqlite::Result<()> {
                let mut insert = writer.transaction.prepare_cached(
                    "INSERT OR REPLACE INTO likelihood(test, system, place, nats, tokens, bytes) VALUES (?, ?, ?, ?, ?, ?)",
                )?;
                for row in rows {
                    let (place, tokens, bytes) = (row.place as i64, row.tokens as i64, row.bytes as i64);
                    insert.execute(params![test, system, place, row.nats, tokens, bytes])?;
                }
                Ok(())
            };
            write().map_err(|cause| writer.fail(cause))
        })
    }

    /// How likely a system found the right answers of a test set, by place.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn likelihoods(&self, test: i64, system: i64) -> Result<Vec<RowLikelihood>, StoreError> {
        let sql = "SELECT place, nats, tokens, bytes FROM likelihood WHERE test = ? AND system = ? ORDER BY place";
        self.rows(sql, params![test, system], |row| {
            let count = |at: usize| -> rusqlite::Result<usize> { Ok(row.get::<_, i64>(at)? as usize) };
            Ok(RowLikelihood { place: count(0)?, nats: row.get(1)?, tokens: count(2)?, bytes: count(3)? })
        })
    }

    /// Keeps what the author says about an answer; the last word counts.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn mark_error(
        &mut self,
        test: i64,
        system: i64,
        place: usize,
        category: &str,
        present: bool,
    ) -> Result<(), StoreError> {
        self.transaction(|writer| {
            let sql = "INSERT OR REPLACE INTO mark(test, system, place, category, present, author, at)
                       VALUES (?, ?, ?, ?, ?, ?, ?)";
            let values = params![test, system, place as i64, category, present, writer.author, now()];
            writer.transaction.execute(sql, values).map(drop).map_err(|cause| writer.fail(cause))
        })
    }

    /// Takes away what the author said about an answer and a category, as if nothing had been said.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn forget_mark(&mut self, test: i64, system: i64, place: usize, category: &str) -> Result<(), StoreError> {
        self.transaction(|writer| {
            let sql = "DELETE FROM mark WHERE test = ? AND system = ? AND place = ? AND category = ? AND author = ?";
            let values = params![test, system, place as i64, category, writer.author];
            writer.transaction.execute(sql, values).map(drop).map_err(|cause| writer.fail(cause))
        })
    }

    /// The author's newest mark on a test set: the system, and the mark.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn newest_mark(&self, test: i64) -> Result<Option<(i64, Mark)>, StoreError> {
        let sql = "SELECT system, place, category, present, author FROM mark WHERE test = ? AND author = ?
                   ORDER BY at DESC, rowid DESC LIMIT 1";
        let found = self.rows(sql, params![test, self.author()], |row| {
            let place: i64 = row.get(1)?;
            let mark = Mark { place: place as usize, category: row.get(2)?, present: row.get(3)?, author: row.get(4)? };
            Ok((row.get(0)?, mark))
        })?;
        Ok(found.into_iter().next())
    }

    /// What people said about a system's answers, the oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn marks(&self, test: i64, system: i64) -> Result<Vec<Mark>, StoreError> {
        let sql = "SELECT place, category, present, author FROM mark WHERE test = ? AND system = ? ORDER BY at, rowid";
        self.rows(sql, params![test, system], |row| {
            let place: i64 = row.get(0)?;
            Ok(Mark { place: place as usize, category: row.get(1)?, present: row.get(2)?, author: row.get(3)? })
        })
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let fail = self.fail();
        let mut statement = self.connection.prepare_cached(sql).map_err(&fail)?;
        statement.query_map(values, read).and_then(Iterator::collect).map_err(fail)
    }
}
