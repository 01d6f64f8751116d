//! The write-ahead log, copied into the database beside whoever writes.
//!
//! Left alone, SQLite copies the log in the middle of the commit that makes it a thousand pages long, and whoever made that commit
//! waits for two further syncs: a third of a second where an accepted record takes two milliseconds. A [`Keeper`] has it copied by
//! a connection and a thread of its own; writers go on meanwhile ("Checkpointing", sqlite.org/wal.html). What was told as saved
//! is on the disk before, in the log.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, OpenFlags};

use super::{Store, StoreError};

/// Commits after which the log is copied: some 400 pages of single records.
const COMMITS: u32 = 40;
/// Pages at which the writer copies the log itself after all: 64 MiB.
const LONGEST: i64 = 16_384;

/// Sees to it that the log of one store stays short.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    commits: u32,
    at_work: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Keeps the log of `store`, which no longer copies it itself.
    ///
    /// # Errors
    /// Where the database cannot be used.
    pub fn of(store: &Store) -> Result<Self, StoreError> {
        let fail = store.fail();
        store.connection.pragma_update(None, "wal_autocheckpoint", LONGEST).map_err(fail)?;
        Ok(Self { path: store.path().to_owned(), commits: 0, at_work: None })
    }

    /// Notes that the store has committed something, and has the log copied when it is time. Returns at once.
    pub fn committed(&mut self) {
        self.commits += 1;
        if self.commits < COMMITS || self.at_work.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.commits = 0;
        let path = self.path.clone();
        // A log that is not copied now is copied later, by the writer at the latest: no reason to bother anybody.
        let work = move || {
            let _ = copy(&path);
        };
        self.at_work = thread::Builder::new().name("log".into()).spawn(work).ok();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(thread) = self.at_work.take() {
            let _ = thread.join();
        }
    }
}

/// Copies what the log of the database at `path` holds, as far as nobody still reads what would be overwritten.
fn copy(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
