//! A turn: of the jobs in a folder one is at work at a time, and the others wait in the order in which they were created.
//!
//! The turn is a lock beside the jobs, so it ends with the process that has it, however that ends. Its text says who has it and
//! means something only while it is held.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::hold::{is_held, lock};
use super::{Control, Job, JobError, State};
use crate::project::durable;

/// The lock's name, in the folder of the jobs.
const FILE: &str = "turn";
/// How often one that waits looks again.
const LOOK: Duration = Duration::from_millis(200);

/// The right to work. There is one in a folder, and it ends with the process at the latest.
#[derive(Debug)]
pub struct Turn {
    // Never read again: the lock lasts as long as this file is open.
    _lock: File,
}

impl Turn {
    /// Takes the turn of the jobs in `dir` (made where it is missing) in the name of `who`; none where another has it.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn take(dir: &Path, who: &str) -> Result<Option<Self>, JobError> {
        durable::create_dir_all(dir)?;
        Ok(lock(&dir.join(FILE), who)?.map(|file| Self { _lock: file }))
    }

    /// Who has the turn in `dir`; none where nobody has.
    ///
    /// # Errors
    /// Where the lock cannot be read.
    pub fn holder(dir: &Path) -> Result<Option<String>, JobError> {
        let path = dir.join(FILE);
        if !path.exists() || !is_held(&path)? {
            return Ok(None);
        }
        Ok(Some(std::fs::read_to_string(&path).unwrap_or_default()))
    }

    /// Waits until it is the turn of `job`, which is one of those in `dir`, behind those that were created before it and run; none
    /// where it is asked to stop before.
    ///
    /// # Errors
    /// As [`Turn::take`].
    pub fn wait(dir: &Path, job: &Job, control: &Control) -> Result<Option<Self>, JobError> {
        let name = job.name();
        while !control.is_stopping() {
            let earlier = Job::list(dir)?.into_iter().flatten().filter(|other| other.name() < name);
            let mut live = earlier.filter(|other| matches!(other.state(), Ok(State::Running(_))));
            if live.next().is_none()
                && let Some(turn) = Self::take(dir, &name)?
            {
                return Ok(Some(turn));
            }
            thread::sleep(LOOK);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Kind;

    #[test]
    fn one_has_the_turn_and_who_waits_can_be_stopped() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Turn::holder(dir.path()).unwrap(), None);
        let turn = Turn::take(dir.path(), "somebody").unwrap().unwrap();
        assert_eq!(Turn::holder(dir.path()).unwrap().as_deref(), Some("somebody"));
        assert!(Turn::take(dir.path(), "another").unwrap().is_none());
        let job = Job::create(dir.path(), Kind::Ladder).unwrap().seal(&toml::Table::new()).unwrap();
        let control = Control::new();
        let waiting = {
            let (dir, job, control) = (dir.path().to_owned(), job.clone(), control.clone());
            thread::spawn(move || Turn::wait(&dir, &job, &control).unwrap().is_some())
        };
        control.stop_flag().store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(!waiting.join().unwrap(), "stopped while another had the turn");
        drop(turn);
        assert_eq!(Turn::holder(dir.path()).unwrap(), None, "the turn ends with who had it");
        let control = Control::new();
        assert!(Turn::wait(dir.path(), &job, &control).unwrap().is_some());
    }

    #[test]
    fn an_earlier_job_that_runs_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let job = || Job::create(dir.path(), Kind::Ladder).unwrap().seal(&toml::Table::new()).unwrap();
        let (first, second) = (job(), job());
        let hold = first.hold().unwrap();
        let control = Control::new();
        let waiting = {
            let (dir, control) = (dir.path().to_owned(), control.clone());
            thread::spawn(move || Turn::wait(&dir, &second, &control).unwrap().is_some())
        };
        // The turn is free, but the first one runs.
        let turn = Turn::wait(dir.path(), &first, &control).unwrap();
        assert!(turn.is_some() && !waiting.is_finished());
        drop((turn, hold));
        assert!(waiting.join().unwrap());
    }
}
