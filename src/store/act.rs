//! Acts: what a person does at one stroke, written in one transaction.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::search::words;
use super::{Origin, Source, State, Store, StoreError};

/// Why a record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Read from a file.
    Import,
    /// Written here.
    Write,
    /// Fields, turns, answer or notes were changed.
    Edit,
    /// Accepted as gold.
    Accept,
    /// Rejected.
    Reject,
    /// Category, tags, split or assignee were set.
    Sort,
    /// A check's fix was applied.
    Fix,
    /// A model wrote drafts.
    Draft,
    /// Rows were dropped from the quarantine.
    Drop,
    /// Duplicates were taken out.
    Dedupe,
    /// An act was taken back.
    Undo,
    /// An undo was taken back.
    Redo,
}

impl Cause {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Import, "import"),
        (Self::Write, "write"),
        (Self::Edit, "edit"),
        (Self::Accept, "accept"),
        (Self::Reject, "reject"),
        (Self::Sort, "sort"),
        (Self::Fix, "fix"),
        (Self::Draft, "draft"),
        (Self::Drop, "drop"),
        (Self::Dedupe, "dedupe"),
        (Self::Undo, "undo"),
        (Self::Redo, "redo"),
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(cause, _)| *cause == self).map_or("edit", |(_, word)| word)
    }

    pub(super) fn from_word(word: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == word).map_or(Self::Edit, |(cause, _)| *cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What is done and how long a person was at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// Why the records change.
    pub cause: Cause,
    /// In a person's words: which file was imported, why a record was rejected.
    pub note: String,
    /// Seconds a person was at it, idle time left out; `None` where nobody was.
    pub seconds: Option<f64>,
}

impl Act {
    /// An act that nobody spent time on.
    #[must_use]
    pub fn new(cause: Cause, note: impl Into<String>) -> Self {
        Self { cause, note: note.into(), seconds: None }
    }
}

/// A record's next state, and the revision it was made on.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The record.
    pub record: i64,
    /// The revision that the person saw.
    pub base: i64,
    /// What it shall be.
    pub after: State,
}

/// A record to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct New {
    /// What it holds.
    pub state: State,
    /// Where it comes from.
    pub origin: Origin,
    /// The file and line it was read from.
    pub source: Option<Source>,
    /// The same bytes for the same row of the same file: a row whose key is here already is not added again.
    pub key: Option<[u8; 16]>,
}

/// A change that was not made because another came first. Both texts are kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conflict {
    /// The record.
    pub record: i64,
    /// The revision the change was made on.
    pub base: i64,
    /// The record's newest revision.
    pub head: i64,
    /// Who made that.
    pub by: String,
    /// What the change would have made of it; `None` where it would have been taken away.
    pub ours: Option<State>,
    /// What it is; `None` where it was taken away.
    pub theirs: Option<State>,
}

/// What an act did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Done {
    /// The act's number; `None` where nothing changed.
    pub act: Option<i64>,
    /// Each changed record with its new revision.
    pub changed: Vec<(i64, i64)>,
    /// What was not done.
    pub conflicts: Vec<Conflict>,
}

/// A record's newest revision, and what it was before a change.
pub(super) struct Head {
    pub revision: i64,
    pub author: String,
    pub state: Option<State>,
}

impl Store {
    /// Makes changes that were prepared outside. A change whose record has a newer revision than its base is not made; its text
    /// is kept as a [`Conflict`]. A change that changes nothing is left out.
    ///
    /// # Errors
    /// Where a record does not exist or the database cannot be written; nothing is changed then.
    pub fn act(&mut self, act: &Act, changes: &[Change]) -> Result<Done, StoreError> {
        self.transaction(|writer| {
            let mut done = Done::default();
            for change in changes {
                let head = writer.head(change.record)?;
                if head.revision == change.base && head.state.is_some() {
                    if head.state.as_ref() != Some(&change.after) {
                        let revision = writer.put(act, change.record, &head, Some(&change.after))?;
                        done.changed.push((change.record, revision));
                    }
                    continue;
                }
                if head.state.as_ref() == Some(&change.after) {
                    continue; // both wrote the same
                }
                let conflict = Conflict {
                    record: change.record,
                    base: change.base,
                    head: head.revision,
                    by: head.author,
                    ours: Some(change.after.clone()),
                    theirs: head.state,
                };
                writer.keep(&conflict)?;
                done.conflicts.push(conflict);
            }
            done.act = writer.act;
            Ok(done)
        })
    }

    /// Changes each of `records` by `change`, which sees its newest state: for acts over many, where no text of a person could be
    /// overwritten. `None` leaves a record as it is, and so does a state that equals the old one.
    ///
    /// # Errors
    /// As [`Store::act`].
    pub fn change(
        &mut self,
        act: &Act,
        records: &[i64],
        mut change: impl FnMut(i64, &State) -> Option<State>,
    ) -> Result<Done, StoreError> {
        self.transaction(|writer| {
            let mut done = Done::default();
            for &record in records {
                let head = writer.head(record)?;
                let before = head.state.as_ref().ok_or(StoreError::NoRecord(record))?;
                if let Some(after) = change(record, before).filter(|after| after != before) {
                    let revision = writer.put(act, record, &head, Some(&after))?;
                    done.changed.push((record, revision));
                }
            }
            done.act = writer.act;
            Ok(done)
        })
    }

    /// Adds records in one act: all of them, or, where `feed` ends with an error, none. `feed` hands them to an [`Adder`].
    ///
    /// # Errors
    /// Those of `feed`, and where the database cannot be written.
    pub fn add<T, E: From<StoreError>>(
        &mut self,
        act: &Act,
        feed: impl FnOnce(&mut Adder<'_, '_>) -> Result<T, E>,
    ) -> Result<(T, Done), E> {
        self.transaction(|writer| {
            let mut adder = Adder { writer, act, done: Done::default() };
            let fed = feed(&mut adder)?;
            let mut done = adder.done;
            done.act = writer.act;
            Ok((fed, done))
        })
    }

    /// Runs `work` in one transaction that is on the disk when this returns.
    pub(super) fn transaction<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let fail = self.fail();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&fail)?;
        let (author, path) = (&self.author, &self.path);
        let mut writer =
            Writer { transaction, author, path, act: None, now: now(), reverts: None, next_revision: None };
        let done = work(&mut writer)?;
        writer.transaction.commit().map_err(&fail)?;
        Ok(done)
    }
}

/// Takes what an import brings, in one transaction.
pub struct Adder<'a, 'w> {
    pub(super) writer: &'a mut Writer<'w>,
    pub(super) act: &'a Act,
    done: Done,
}

impl Adder<'_, '_> {
    /// Adds a record and returns its number; `None` where a row of the same key is here already.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn add(&mut self, new: &New) -> Result<Option<i64>, StoreError> {
        let added = self.writer.insert(self.act, new)?;
        self.done.changed.extend(added);
        Ok(added.map(|(record, _)| record))
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// One act in the making.
pub(super) struct Writer<'a> {
    pub transaction: Transaction<'a>,
    pub author: &'a str,
    pub path: &'a std::path::Path,
    /// The act, once a first revision needed it.
    pub act: Option<i64>,
    pub now: i64,
    /// The act that this one takes back.
    pub reverts: Option<i64>,
    /// The number of the next revision, once it was needed: nobody else writes while this transaction lasts.
    next_revision: Option<i64>,
}

impl Writer<'_> {
    pub fn fail(&self, cause: rusqlite::Error) -> StoreError {
        StoreError::from_sql(self.path, cause)
    }

    /// A record as it stands, taken away or not.
    pub fn head(&self, record: i64) -> Result<Head, StoreError> {
        let row = self
            .transaction
            .prepare_cached(
                "SELECT r.head, r.author, v.state FROM record r JOIN revision v ON v.id = r.head WHERE r.id = ?",
            )
            .and_then(|mut statement| {
                statement
                    .query_row([record], |row| {
                        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
                    })
                    .optional()
            })
            .map_err(|cause| self.fail(cause))?;
        let (revision, author, state) = row.ok_or(StoreError::NoRecord(record))?;
        let state = state.map(|text| parse(record, revision, &text)).transpose()?;
        Ok(Head { revision, author, state })
    }

    /// The act's number; the first call writes it.
    pub fn act(&mut self, act: &Act) -> Result<i64, StoreError> {
        if let Some(number) = self.act {
            return Ok(number);
        }
        self.transaction
            .prepare_cached("INSERT INTO act(author, at, cause, note, seconds, reverts) VALUES (?, ?, ?, ?, ?, ?)")
            .and_then(|mut statement| {
                statement.execute(params![self.author, self.now, act.cause.word(), act.note, act.seconds, self.reverts])
            })
            .map_err(|cause| self.fail(cause))?;
        let number = self.transaction.last_insert_rowid();
        self.act = Some(number);
        Ok(number)
    }

    fn revision(&mut self) -> Result<i64, StoreError> {
        let next = match self.next_revision {
            Some(next) => next,
            None => self
                .transaction
                .query_row("SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'revision'", [], |row| {
                    row.get(0)
                })
                .map_err(|cause| self.fail(cause))?,
        };
        self.next_revision = Some(next + 1);
        Ok(next)
    }

    /// Gives a record its next revision and returns it.
    pub fn put(&mut self, act: &Act, record: i64, head: &Head, after: Option<&State>) -> Result<i64, StoreError> {
        // Who edits a record or decides on it has seen what became of their earlier text; who sorts or splits hundreds has not.
        let seen = matches!(act.cause, Cause::Edit | Cause::Accept | Cause::Reject);
        let act = self.act(act)?;
        let revision = self.revision()?;
        let text = after.map(write).transpose()?;
        let run = |connection: &Connection| -> rusqlite::Result<i64> {
            connection
                .prepare_cached("INSERT INTO revision(id, record, act, before, state) VALUES (?, ?, ?, ?, ?)")?
                .execute(params![revision, record, act, head.revision, text])?;
            // What was taken away keeps the columns it had: nothing lists it.
            connection
                .prepare_cached(
                    "UPDATE record SET head = ?2, gone = ?3, author = ?4, status = coalesce(?5, status),
                         kind = coalesce(?6, kind), split = ?7, category = ?8, assignee = ?9, tags = ?10 WHERE id = ?1",
                )?
                .execute(params![
                    record,
                    revision,
                    after.is_none(),
                    self.author,
                    after.map(|state| state.status.word()),
                    after.map(|state| state.content.kind()),
                    after.and_then(|state| state.split).map(super::Split::word),
                    after.and_then(|state| state.category.as_deref()),
                    after.and_then(|state| state.assignee.as_deref()),
                    after.and_then(tags),
                ])?;
            match after {
                Some(state) => connection
                    .prepare_cached("INSERT OR REPLACE INTO search(record, text) VALUES (?, ?)")?
                    .execute(params![record, words(state)])?,
                None => connection.prepare_cached("DELETE FROM search WHERE record = ?")?.execute([record])?,
            };
            if seen {
                connection
                    .prepare_cached("UPDATE conflict SET open = 0 WHERE record = ? AND author = ? AND open = 1")?
                    .execute(params![record, self.author])?;
            }
            Ok(revision)
        };
        run(&self.transaction).map_err(|cause| self.fail(cause))
    }

    /// Adds a record, or puts one back that was taken away; `None` where it is here.
    fn insert(&mut self, act: &Act, new: &New) -> Result<Option<(i64, i64)>, StoreError> {
        if let Some(key) = &new.key {
            let known: Option<(i64, bool)> = self
                .transaction
                .prepare_cached("SELECT id, gone FROM record WHERE origin_key = ?")
                .and_then(|mut statement| {
                    statement.query_row([&key[..]], |row| Ok((row.get(0)?, row.get(1)?))).optional()
                })
                .map_err(|cause| self.fail(cause))?;
            match known {
                Some((_, false)) => return Ok(None),
                Some((record, true)) => {
                    let head = self.head(record)?;
                    let revision = self.put(act, record, &head, Some(&new.state))?;
                    return Ok(Some((record, revision)));
                }
                None => {}
            }
        }
        let act = self.act(act)?;
        let revision = self.revision()?;
        let state = &new.state;
        let text = write(state)?;
        let run = |connection: &Connection| -> rusqlite::Result<(i64, i64)> {
            let source = new.source.as_ref();
            connection
                .prepare_cached(
                    "INSERT INTO record(head, kind, origin, status, split, category, assignee, tags, author,
                         source_file, source_line, source_id, origin_key)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    revision,
                    state.content.kind(),
                    new.origin.word(),
                    state.status.word(),
                    state.split.map(super::Split::word),
                    state.category,
                    state.assignee,
                    tags(state),
                    self.author,
                    source.map(|source| source.file.as_str()),
                    source.map(|source| source.line.cast_signed()),
                    source.and_then(|source| source.id.as_deref()),
                    new.key.as_ref().map(|key| &key[..]),
                ])?;
            let record = connection.last_insert_rowid();
            connection
                .prepare_cached("INSERT INTO revision(id, record, act, state) VALUES (?, ?, ?, ?)")?
                .execute(params![revision, record, act, text])?;
            connection
                .prepare_cached("INSERT INTO search(record, text) VALUES (?, ?)")?
                .execute(params![record, words(state)])?;
            Ok((record, revision))
        };
        run(&self.transaction).map(Some).map_err(|cause| self.fail(cause))
    }

    /// Keeps the text of a change that was not made.
    pub fn keep(&self, conflict: &Conflict) -> Result<(), StoreError> {
        let state = conflict.ours.as_ref().map(write).transpose()?;
        self.transaction
            .prepare_cached("INSERT INTO conflict(record, base, head, author, at, state) VALUES (?, ?, ?, ?, ?, ?)")
            .and_then(|mut statement| {
                statement.execute(params![conflict.record, conflict.base, conflict.head, self.author, self.now, state])
            })
            .map(drop)
            .map_err(|cause| self.fail(cause))
    }
}

/// Reads a revision's state.
pub(super) fn parse(record: i64, revision: i64, text: &str) -> Result<State, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::State { record, revision, reason: error.to_string() })
}

fn write(state: &State) -> Result<String, StoreError> {
    // A state is texts, numbers and maps with text keys, all of which JSON has.
    serde_json::to_string(state).map_err(|error| StoreError::State {
        record: 0,
        revision: 0,
        reason: error.to_string(),
    })
}

fn tags(state: &State) -> Option<String> {
    (!state.tags.is_empty()).then(|| format!("\n{}\n", state.tags.join("\n")))
}
