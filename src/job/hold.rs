//! The lock of a job, and with it the right to write in its directory.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Job, JobError, LOCK, STATUS, checkpoint};
use crate::project::durable::{self, FileError};

/// Who holds (or last held) a job's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id, on `host`.
    pub pid: u32,
    /// The machine's name.
    pub host: String,
    /// When it took the lock.
    pub started: jiff::Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("by a process that has not said which");
        }
        write!(f, "process {} on {} since {}", self.pid, self.host, self.started.strftime("%Y-%m-%d %H:%M:%S UTC"))
    }
}

/// The right to write in a job's directory. There is one at a time, and it ends with the process at the latest.
#[derive(Debug)]
pub struct Hold {
    job: Job,
    // The lock lasts as long as this file is open.
    lock: File,
}

impl Job {
    /// Takes the job's lock, clears away what an interrupted predecessor left half-written, and forgets how the job ended
    /// before: from here on it runs.
    ///
    /// # Errors
    ///
    /// [`JobError::Held`] where another process has it.
    pub fn hold(&self) -> Result<Hold, JobError> {
        let path = self.dir().join(LOCK);
        let holder = Holder { pid: std::process::id(), host: host(), started: jiff::Timestamp::now() };
        let text = toml::to_string(&holder).map_err(|error| JobError::Unwritable(error.to_string()))?;
        let Some(file) = lock(&path, &text)? else {
            return Err(JobError::Held { dir: self.dir().to_owned(), holder: last_holder(&path) });
        };
        checkpoint::recover(self.dir())?;
        let status = self.dir().join(STATUS);
        match fs::remove_file(&status) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::on("remove", &status)(error).into());
            }
            _ => {}
        }
        Ok(Hold { job: self.clone(), lock: file })
    }
}

impl Hold {
    /// The job that is held.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Whether the job's directory is still where it was: a project that is deleted or moved takes it along, and what is written
    /// after that reaches nobody. A file system that does not answer is no sign of it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let of = |found: fs::Metadata| (found.dev(), found.ino());
        match (fs::metadata(self.job.dir().join(LOCK)), self.lock.metadata()) {
            (Ok(there), Ok(held)) => of(there) == of(held),
            (Err(error), _) => error.kind() != std::io::ErrorKind::NotFound,
            _ => true,
        }
    }

    /// Fails where the job's directory is gone.
    ///
    /// # Errors
    /// [`JobError::Gone`].
    pub fn still_there(&self) -> Result<(), JobError> {
        if self.is_there() { Ok(()) } else { Err(JobError::Gone(self.job.dir().to_owned())) }
    }
}

/// Takes the lock at `path`, making the file where it is missing, and leaves `text` in it; none where another process has it. The
/// lock lasts as long as the file is open.
pub(super) fn lock(path: &Path, text: &str) -> Result<Option<File>, JobError> {
    let new = !path.exists();
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(FileError::on("open", path))?;
    if new {
        durable::share(path)?;
    }
    if !take(&file).map_err(FileError::on("lock", path))? {
        return Ok(None);
    }
    file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(FileError::on("write", path))?;
    Ok(Some(file))
}

/// Tries to take the lock; `false` where another process has it.
///
/// Whoever only looks whether a job runs holds the lock for an instant (see [`is_held`]), so a refusal counts only if it
/// lasts.
fn take(file: &File) -> std::io::Result<bool> {
    const TRIES: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Returns whether a living process holds the lock at `path`.
pub(super) fn is_held(path: &Path) -> Result<bool, JobError> {
    let file = File::open(path).map_err(FileError::on("open", path))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(FileError::on("lock", path)(error).into()),
    }
}

/// Reads who wrote the lock at `path`; process 0 where that cannot be read (the holder may be writing it just now).
pub(super) fn last_holder(path: &Path) -> Holder {
    let unknown = Holder { pid: 0, host: String::new(), started: jiff::Timestamp::UNIX_EPOCH };
    fs::read_to_string(path).ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or(unknown)
}

/// Returns the name of this machine.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Kind, Outcome, State};

    fn job(runs: &Path) -> Job {
        Job::create(runs, Kind::Train).unwrap().seal(&toml::Table::new()).unwrap()
    }

    #[test]
    fn a_directory_that_was_deleted_moved_or_made_anew_is_not_there() {
        let runs = tempfile::tempdir().unwrap();
        let hold = job(runs.path()).hold().unwrap();
        let dir = hold.job().dir().to_owned();
        assert!(hold.is_there() && hold.still_there().is_ok());
        let aside = runs.path().join("aside");
        fs::rename(&dir, &aside).unwrap();
        assert!(!hold.is_there());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(LOCK), "").unwrap();
        assert!(!hold.is_there(), "another one of the same name");
        fs::remove_dir_all(&dir).unwrap();
        fs::rename(&aside, &dir).unwrap();
        assert!(hold.is_there());
        fs::remove_dir_all(&dir).unwrap();
        let why = hold.still_there().unwrap_err().to_string();
        assert!(why.contains("deleted or moved"), "{why}");
    }

    #[test]
    fn one_holder_at_a_time_and_the_state_follows_the_lock() {
        let runs = tempfile::tempdir().unwrap();
        let job = job(runs.path());
        assert_eq!(job.state().unwrap(), State::Waiting);

        let hold = job.hold().unwrap();
        let State::Running(holder) = job.state().unwrap() else { panic!("{:?}", job.state()) };
        assert_eq!(holder.pid, std::process::id());
        let refusal = job.hold().unwrap_err().to_string();
        assert!(refusal.contains("running already") && refusal.contains(&holder.pid.to_string()), "{refusal}");

        drop(hold);
        assert_eq!(job.state().unwrap().word(), "interrupted");
        job.hold().unwrap().end(Outcome::Stopped, Some(30), "stopped by Ctrl-C").unwrap();
        let State::Ended(ending) = job.state().unwrap() else { panic!("{:?}", job.state()) };
        assert_eq!(
            (ending.outcome, ending.step, ending.reason.as_str()),
            (Outcome::Stopped, Some(30), "stopped by Ctrl-C")
        );

        let hold = job.hold().unwrap();
        assert_eq!(job.state().unwrap().word(), "running");
        drop(hold);
        assert_eq!(job.state().unwrap().word(), "interrupted", "an earlier ending is not the ending of a later start");
    }

    #[test]
    fn looking_at_a_job_never_keeps_it_from_starting() {
        let runs = tempfile::tempdir().unwrap();
        let job = job(runs.path());
        drop(job.hold().unwrap());
        let done = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    job.state().unwrap();
                }
            });
            for _ in 0..10 {
                // An error would be the looker's lock taken for a holder's.
                if let Err(error) = job.hold() {
                    done.store(true, std::sync::atomic::Ordering::Relaxed);
                    panic!("{error}");
                }
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
