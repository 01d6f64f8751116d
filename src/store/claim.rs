//! Claims: who is at a record at this moment.
//!
//! A session is a file under `.claims/` that its process keeps locked. A claim names a session, and means something as long
//! as that lock is held: the system lets go of it when the process ends, however it ends. So no claim outlives its process, and
//! none has to be renewed.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::act::now;
use super::{Record, Store, StoreError};
use crate::project::durable::{self, FileError};

/// Sessions that this process has made.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// The folder of the sessions, beside the database.
const FOLDER: &str = ".claims";

/// This process's session. Dropping it frees what it claimed.
#[derive(Debug)]
pub(super) struct Session {
    name: String,
    path: PathBuf,
    // Never read: the lock lasts as long as this file is open.
    _lock: File,
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Who is at a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claimed {
    /// The record.
    pub record: i64,
    /// The account.
    pub author: String,
    /// Whether it is this very session.
    pub ours: bool,
}

impl Store {
    /// Marks a record as being worked on here.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where a living session of somebody (or another one of this author's) is at it.
    pub fn claim(&mut self, record: i64) -> Result<(), StoreError> {
        let session = self.session()?;
        let folder = folder(&self.path);
        self.transaction(|writer| {
            let held: Option<(String, String)> = writer
                .transaction
                .prepare_cached("SELECT session, author FROM claim WHERE record = ?")
                .and_then(|mut statement| {
                    statement.query_row([record], |row| Ok((row.get(0)?, row.get(1)?))).optional()
                })
                .map_err(|cause| writer.fail(cause))?;
            if let Some((held, author)) = held
                && held != session
                && is_alive(&folder, &held)
            {
                return Err(StoreError::Taken { record, author });
            }
            writer.head(record)?;
            writer
                .transaction
                .prepare_cached("INSERT OR REPLACE INTO claim(record, session, author, since) VALUES (?, ?, ?, ?)")
                .and_then(|mut statement| statement.execute(params![record, session, writer.author, now()]))
                .map(drop)
                .map_err(|cause| writer.fail(cause))
        })
    }

    /// Frees a record that was claimed here.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn release(&mut self, record: i64) -> Result<(), StoreError> {
        let Some(session) = self.session.as_ref().map(|session| session.name.clone()) else { return Ok(()) };
        self.connection
            .prepare_cached("DELETE FROM claim WHERE record = ? AND session = ?")
            .and_then(|mut statement| statement.execute(params![record, session]))
            .map(drop)
            .map_err(self.fail())
    }

    /// Everything that living sessions are at.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn claims(&self) -> Result<Vec<Claimed>, StoreError> {
        let fail = self.fail();
        let mut statement = self
            .connection
            .prepare_cached("SELECT record, session, author FROM claim ORDER BY record")
            .map_err(&fail)?;
        let rows: Vec<(i64, String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .and_then(Iterator::collect)
            .map_err(&fail)?;
        let own = self.session.as_ref().map(|session| session.name.as_str());
        let folder = folder(&self.path);
        Ok(rows
            .into_iter()
            .filter(|(_, session, _)| own == Some(session) || is_alive(&folder, session))
            .map(|(record, session, author)| Claimed { record, author, ours: own == Some(&session) })
            .collect())
    }

    /// Claims the next record that this author could work on, behind `after` (`None`: from the first): one that is assigned to
    /// them or to nobody, still in the inbox or a draft, and that no other session is at. What is assigned to them comes
    /// first. `None` where there is none.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn next(&mut self, after: Option<i64>) -> Result<Option<Record>, StoreError> {
        let session = self.session()?;
        let folder = folder(&self.path);
        let next = self.transaction(|writer| {
            let fail = |cause| writer.fail(cause);
            let mut dead: Vec<String> = Vec::new();
            let mut living = vec![session.clone()];
            loop {
                // Those of dead sessions are removed below, so what is left of others is in work.
                let found: Option<(i64, Option<String>)> = writer
                    .transaction
                    .prepare_cached(
                        "SELECT r.id, c.session FROM record r LEFT JOIN claim c ON c.record = r.id AND c.session <> ?2
                         WHERE r.gone = 0 AND r.status IN ('inbox', 'draft') AND r.id > ?3
                           AND (r.assignee IS NULL OR r.assignee = ?1)
                           AND (c.session IS NULL OR c.session NOT IN (SELECT value FROM json_each(?4)))
                         ORDER BY r.assignee IS NULL, r.id LIMIT 1",
                    )
                    .and_then(|mut statement| {
                        let known = serde_json::json!(living).to_string();
                        statement
                            .query_row(params![writer.author, session, after.unwrap_or(0), known], |row| {
                                Ok((row.get(0)?, row.get(1)?))
                            })
                            .optional()
                    })
                    .map_err(fail)?;
                match found {
                    None => return Ok::<_, StoreError>(None),
                    Some((_, Some(other))) if is_alive(&folder, &other) => living.push(other),
                    Some((record, other)) => {
                        dead.extend(other);
                        for session in dead {
                            writer
                                .transaction
                                .execute("DELETE FROM claim WHERE session = ?", [session])
                                .map_err(fail)?;
                        }
                        writer
                            .transaction
                            .execute(
                                "INSERT OR REPLACE INTO claim(record, session, author, since) VALUES (?, ?, ?, ?)",
                                params![record, session, writer.author, now()],
                            )
                            .map_err(fail)?;
                        return Ok(Some(record));
                    }
                }
            }
        })?;
        next.map(|record| self.get(record)).transpose()
    }

    /// The name of this process's session; made on first need.
    fn session(&mut self) -> Result<String, StoreError> {
        if let Some(session) = &self.session {
            return Ok(session.name.clone());
        }
        let folder = folder(&self.path);
        durable::create_dir_all(&folder)?;
        // Never the same twice: the process, the moment, and the how-manieth of this process.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let nanos = jiff::Timestamp::now().as_nanosecond();
        let name = format!("{}-{nanos}-{count}", std::process::id());
        let path = folder.join(&name);
        let file = File::create_new(&path).map_err(FileError::on("create", &path))?;
        file.lock().map_err(FileError::on("lock", &path))?;
        durable::share(&path)?;
        self.session = Some(Session { name: name.clone(), path, _lock: file });
        Ok(name)
    }
}

fn folder(database: &Path) -> PathBuf {
    durable::parent(database).join(FOLDER)
}

/// Whether the process behind a session still runs. A lock that cannot be asked about counts as held.
fn is_alive(folder: &Path, session: &str) -> bool {
    let path = folder.join(session);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => return error.kind() != std::io::ErrorKind::NotFound,
    };
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = fs::remove_file(&path);
            false
        }
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
    }
}
