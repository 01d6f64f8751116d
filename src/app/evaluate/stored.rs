//! What is told of test sets, of evaluations in the background, and of a row.

use std::collections::BTreeMap;

use super::Mark;

/// A frozen test set that somebody has answered rows of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Test {
    /// Its number.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// Its hash.
    pub hash: String,
    /// Its rows.
    pub rows: usize,
    /// Rows that have a right answer.
    pub asked: usize,
    /// Who has answered.
    pub systems: Vec<Known>,
}

/// A system that has answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its number.
    pub id: i64,
    /// The hash of all that decides its answers.
    pub hash: String,
    /// What it is called.
    pub name: String,
    /// Who and how, in words.
    pub about: String,
    /// Rows that it has answered.
    pub answered: usize,
}

/// An evaluation in the background.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Job {
    /// The name of its folder.
    pub name: String,
    /// waiting, running, finished, stopped, failed, interrupted, unreadable.
    pub state: String,
    /// Of a running one: starting, running, paused, stopping.
    pub phase: Option<String>,
    /// What the test set is called.
    pub test: String,
    /// Its hash.
    pub hash: String,
    /// Answers and likelihoods that are there.
    pub step: u64,
    /// All of them; 0 where that is not told.
    pub steps: u64,
    /// Seconds that are left.
    pub seconds_left: Option<f64>,
    /// How it ended.
    pub reason: String,
    /// Who is asked: name, hash, rows answered, rows.
    pub systems: Vec<(String, String, usize, usize)>,
}

impl Job {
    /// Whether a process carries it out.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state == "running"
    }

    /// Whether it waits.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.is_live() && self.phase.as_deref() == Some("paused")
    }

    /// How it stands, in one word.
    #[must_use]
    pub fn word(&self) -> &str {
        self.phase.as_deref().filter(|_| self.is_live()).unwrap_or(&self.state)
    }
}

/// A row with what was answered to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The test set.
    pub test: i64,
    /// Its place, from 0.
    pub place: usize,
    /// Its id.
    pub id: String,
    /// Its category.
    pub category: Option<String>,
    /// What it asks.
    pub asks: String,
    /// The answers that are right.
    pub right: Vec<String>,
    /// What each system answered.
    pub answers: Vec<Answer>,
    /// The error categories there are.
    pub categories: Vec<String>,
}

/// A system's answer to a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The system.
    pub system: i64,
    /// What it is called.
    pub name: String,
    /// Whether an adapter answers.
    pub tuned: bool,
    /// What it answered; none where it has not yet.
    pub text: Option<String>,
    /// Why the answer ended.
    pub stop: String,
    /// Its tokens.
    pub tokens: Option<usize>,
    /// Its errors.
    pub errors: Vec<Mark>,
    /// What this person said of it.
    pub said: BTreeMap<String, bool>,
}
