//! How a job stands, told from its directory alone.
//!
//! A lock that is held is the truth: whatever the files say, a job whose lock is held runs, and one whose lock is free does
//! not. `status.toml` is written when a job ends and only then, so a job that was started, is not locked and has no status
//! was killed.

use std::fs;

use serde::{Deserialize, Serialize};

use super::{Hold, Holder, Job, JobError, LOCK, STATUS, hold};
use crate::project::durable::{self, FileError};

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It did what the plan asks, an early stop included.
    Finished,
    /// A person or a signal stopped it; it can be resumed.
    Stopped,
    /// It could not go on.
    Failed,
}

/// The content of `status.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// How it ended.
    pub outcome: Outcome,
    /// The last finished step, for a job that counts steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Why, in words for a person.
    pub reason: String,
    /// When.
    pub ended: jiff::Timestamp,
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Created and never started.
    Waiting,
    /// A living process holds its lock.
    Running(Holder),
    /// It ended and said how.
    Ended(Ending),
    /// It was started, does not run, and could not say how it ended: killed, or the machine went down.
    Interrupted(Holder),
}

impl State {
    /// The state in one word of the user's language: waiting, running, finished, stopped, failed, interrupted.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running(_) => "running",
            Self::Interrupted(_) => "interrupted",
            Self::Ended(ending) => match ending.outcome {
                Outcome::Finished => "finished",
                Outcome::Stopped => "stopped",
                Outcome::Failed => "failed",
            },
        }
    }
}

impl Job {
    /// Returns how the job stands at this moment.
    ///
    /// # Errors
    ///
    /// Where `status.toml` does not parse or the lock cannot be read.
    pub fn state(&self) -> Result<State, JobError> {
        let path = self.dir().join(LOCK);
        if !path.exists() {
            return Ok(State::Waiting);
        }
        let holder = hold::last_holder(&path);
        if hold::is_held(&path)? {
            return Ok(State::Running(holder));
        }
        let path = self.dir().join(STATUS);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(State::Ended(super::parse(&path, &text)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(State::Interrupted(holder)),
            Err(error) => Err(FileError::on("read", &path)(error).into()),
        }
    }
}

impl Hold {
    /// Writes down how the job ended and lets go of it.
    ///
    /// # Errors
    ///
    /// Where `status.toml` cannot be written; the job then counts as interrupted.
    pub fn end(self, outcome: Outcome, step: Option<u64>, reason: &str) -> Result<(), JobError> {
        let ending = Ending { outcome, step, reason: reason.to_owned(), ended: jiff::Timestamp::now() };
        let text = toml::to_string(&ending).map_err(|error| JobError::Unwritable(error.to_string()))?;
        durable::write(&self.job().dir().join(STATUS), text.as_bytes())?;
        Ok(())
    }
}
