//! The records of a project: an SQLite database that loses nothing.
//!
//! Whatever a person does is an [`Act`], written in one transaction that is on the disk before the call returns. An act
//! gives each record it touches a new *revision*, which holds the record's whole [`State`]; no revision is ever changed
//! or deleted, so undo is one more act that puts an earlier state back, and history is a list.
//!
//! - **Nobody overwrites anybody.** An edit names the revision it was made on. Where that is no longer the newest, the
//!   record stays as it is and the text is kept as a [`Conflict`]. Undo follows the same rule: a record that does not
//!   stand as the act left it is left alone and told.
//! - **Undo and redo are per author**, over every act, across restarts ([`Store::undo`]).
//! - **Claims** say that somebody is at a record. They hold as long as a lock that the process keeps, so a process that
//!   dies frees its records ([`Store::claim`]).
//! - **Answers of models** to frozen test sets are kept beside the records, so that they are asked for once and scored again at
//!   will ([`Store::freeze_test`]).
//! - **Other processes** write too: [`Store::changed`] is cheap enough to ask ten times a second.
//!
//! Knows no formats, prompts, checks or screens.

mod act;
mod author;
mod claim;
mod evaluation;
mod flag;
mod judgement;
mod log;
mod open;
mod quarantine;
mod query;
mod read;
mod record;
mod schema;
mod search;
mod undo;

pub use query::KEYS as QUERY_KEYS;

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::project::durable::FileError;

pub use author::account;

pub use act::{Act, Adder, Cause, Change, Conflict, Done, New};
pub use claim::Claimed;
pub use evaluation::{Generation, Mark, RowLikelihood, StoredSystem, TestSet, Work};
pub use flag::Flag;
pub use judgement::Judgement;
pub use log::Keeper;
pub use quarantine::Refused;
pub use query::{Query, QueryError};
pub use read::{Counts, Page, Revision};
pub use record::{Content, Origin, Record, Source, Split, State, Status, Turn};
pub use undo::Undone;

/// A project's records, opened in the name of one author.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    author: String,
    session: Option<claim::Session>,
}

impl Store {
    /// The account that acts.
    #[must_use]
    pub fn author(&self) -> &str {
        &self.author
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Turns SQLite's reason into words; for `map_err`.
    fn fail(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |cause| StoreError::from_sql(&path, cause)
    }
}

/// What can go wrong with the records.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder is on a network file system.
    #[error(
        "{} is on a network file system ({system}), where several machines would damage the records: keep the project on \
         a local disk of one machine and log in to that",
        folder.display()
    )]
    Network {
        /// The project's folder.
        folder: PathBuf,
        /// The file system's name.
        system: String,
    },
    /// A newer togi wrote the tables.
    #[error("{} was written by a newer togi (tables of version {version}; this one knows up to {newest}): update togi", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        version: i32,
        /// The newest this togi knows.
        newest: i32,
    },
    /// Some other program's database.
    #[error("{} is a database, but not togi's: move it away or choose another folder", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// No rights to write.
    #[error("{} cannot be written: check the rights of the file and its folder (ls -l shows them); nothing was changed", path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk that {} is on is full: free some space and do it again; what was saved before is safe", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Another process held it for too long.
    #[error("{} has been busy with another process for half a minute: try again", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// The file is damaged or no database.
    #[error("{} is damaged or not a database ({reason}): put a backup in its place; nothing was changed", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// SQLite's words.
        reason: String,
    },
    /// The file system cannot share memory between processes.
    #[error("{}: this file system does not let several processes share a database (WAL): keep the project on a local disk", path.display())]
    NoWal {
        /// The database.
        path: PathBuf,
    },
    /// Tables could not be brought up to date.
    #[error("{}: its tables could not be brought up to date: {reason}; a backup lies beside it", path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Any other reason of SQLite's.
    #[error("{}: {cause}", path.display())]
    Sql {
        /// The database.
        path: PathBuf,
        /// SQLite's words.
        cause: rusqlite::Error,
    },
    /// The account has no readable name.
    #[error("the name of account {uid} could not be read: {reason}")]
    Account {
        /// Its number.
        uid: u32,
        /// The system's words.
        reason: String,
    },
    /// There is no such record.
    #[error("there is no record {0}; togi records lists them")]
    NoRecord(i64),
    /// A state that does not parse.
    #[error(
        "revision {revision} of record {record} does not parse ({reason}): the database was changed by something else than togi"
    )]
    State {
        /// The record.
        record: i64,
        /// Its revision.
        revision: i64,
        /// The parser's words.
        reason: String,
    },
    /// Another session is at the record.
    #[error("record {record} is taken by {author}")]
    Taken {
        /// The record.
        record: i64,
        /// Who is at it.
        author: String,
    },
    /// A query that does not parse.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl StoreError {
    fn from_sql(path: &Path, cause: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let path = path.to_owned();
        let reason = cause.to_string();
        match cause.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full { path },
            Some(Code::ReadOnly | Code::CannotOpen | Code::PermissionDenied) => Self::ReadOnly { path },
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Busy { path },
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Damaged { path, reason },
            _ => Self::Sql { path, cause },
        }
    }
}

#[cfg(test)]
mod tests;
