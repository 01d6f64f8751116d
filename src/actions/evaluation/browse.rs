//! What is stored of evaluations, for a person who walks through it: the frozen test sets with who has answered them, one row with
//! every system's answer and its errors, and that person's word on an error. Nothing here needs a model or a tokenizer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::context::{ActionError, Context};
use super::score::{is_unread, question};
use super::{System, errors, is_asked};
use crate::evaluate::errors::Mark;
use crate::evaluate::report::Question;
use crate::prompt::Record;
use crate::store::{Store, StoredSystem, TestSet};

/// A frozen test set, and who has answered rows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// The set.
    #[serde(flatten)]
    pub test: TestSet,
    /// Rows that have a right answer.
    pub asked: usize,
    /// The systems, in the order in which they began.
    pub systems: Vec<Known>,
}

/// A system that has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Its number.
    pub id: i64,
    /// The hash of all that decides its answers.
    pub hash: String,
    /// What it is called in reports.
    pub name: String,
    /// Who and how, in words.
    pub about: String,
    /// Whether an adapter answers.
    pub tuned: bool,
    /// Rows that it has answered.
    pub answered: usize,
}

impl Stored {
    /// Whether a system has answered all that has a right answer.
    #[must_use]
    pub fn is_whole(&self, system: &Known) -> bool {
        system.answered >= self.asked
    }
}

/// The frozen test sets that somebody has answered rows of, the oldest first. `counted` remembers how many rows of each have a right
/// answer: what is frozen is counted once.
///
/// # Errors
/// When the database cannot be read.
pub fn tests(store: &Store, counted: &mut BTreeMap<i64, usize>) -> Result<Vec<Stored>, ActionError> {
    let mut found = Vec::new();
    for test in store.tests()? {
        let systems: Vec<Known> = store.systems(test.id)?.into_iter().filter_map(known).collect();
        if systems.is_empty() {
            continue;
        }
        let asked = match counted.get(&test.id) {
            Some(asked) => *asked,
            None => rows(store, &test)?.iter().filter(|record| is_asked(record)).count(),
        };
        counted.insert(test.id, asked);
        found.push(Stored { test, asked, systems });
    }
    Ok(found)
}

fn known(kept: StoredSystem) -> Option<Known> {
    let StoredSystem { id, hash, name, about, answered } = kept;
    let system: System = serde_json::from_str(&about).ok()?;
    Some(Known { id, hash, name, about: system.to_string(), tuned: system.is_tuned(), answered })
}

/// The rows of a frozen set.
pub(super) fn rows(store: &Store, test: &TestSet) -> Result<Vec<Record>, ActionError> {
    let read = |line: &String| {
        serde_json::from_str(line).map_err(|error| {
            ActionError::Refused(format!(
                "a row of the test set {} (number {}) cannot be read: {error}",
                test.name, test.id
            ))
        })
    };
    store.test_rows(test.id)?.iter().map(read).collect()
}

/// The frozen set of a number, with its rows.
///
/// # Errors
/// When there is none, or the database cannot be read.
pub(super) fn test(store: &Store, id: i64) -> Result<(TestSet, Vec<Record>), ActionError> {
    let tests = store.tests()?;
    let Some(test) = tests.iter().find(|test| test.id == id) else {
        let there: Vec<String> = tests.iter().map(|test| format!("{} ({})", test.id, test.name)).collect();
        let there =
            if there.is_empty() { "there is none yet".into() } else { format!("there is {}", there.join(", ")) };
        return Err(ActionError::Refused(format!("there is no frozen test set of the number {id}; {there}")));
    };
    let records = rows(store, test)?;
    Ok((test.clone(), records))
}

/// Of the systems that have answered, those of these names or hashes, in the order in which they began.
///
/// # Errors
/// When one of them has not answered.
pub(super) fn only(
    there: Vec<(System, StoredSystem)>,
    wanted: &[String],
    test: &TestSet,
) -> Result<Vec<(System, i64)>, ActionError> {
    let is = |kept: &StoredSystem, wanted: &String| kept.name == *wanted || kept.hash == *wanted;
    if let Some(none) = wanted.iter().find(|wanted| !there.iter().any(|(_, kept)| is(kept, wanted))) {
        let names: Vec<&str> = there.iter().map(|(system, _)| system.name.as_str()).collect();
        return Err(ActionError::Refused(format!(
            "{none} has not answered {}; stored is {}",
            test.name,
            names.join(", ")
        )));
    }
    let chosen = there.into_iter().filter(|(_, kept)| wanted.iter().any(|wanted| is(kept, wanted)));
    Ok(chosen.map(|(system, kept)| (system, kept.id)).collect())
}

/// A row of a test set with what was answered to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The test set.
    pub test: i64,
    /// The row's place, from 0.
    pub place: usize,
    /// The row.
    #[serde(flatten)]
    pub row: Question,
    /// All answers that are right.
    pub right: Vec<String>,
    /// What each system answered.
    pub answers: Vec<Answered>,
    /// The error categories there are.
    pub categories: Vec<String>,
}

/// A system's answer to a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answered {
    /// The system.
    pub system: i64,
    /// What it is called.
    pub name: String,
    /// Whether an adapter answers.
    pub tuned: bool,
    /// What it answered; none where it has not yet.
    pub answer: Option<String>,
    /// Why the answer ended.
    pub stop: String,
    /// Tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// Its errors.
    pub errors: Vec<Mark>,
    /// What the author said about it: category, and whether the answer has the error.
    pub said: BTreeMap<String, bool>,
}

/// Shows a row with the answers of `systems`, by their numbers; of all systems where none is named.
///
/// # Errors
/// When there is no such row, the categories are wrong, or the database cannot be read.
pub fn row(context: &Context, store: &Store, test: i64, place: usize, systems: &[i64]) -> Result<Shown, ActionError> {
    let line = store.test_row(test, place)?;
    let record = line.as_deref().map(serde_json::from_str::<Record>);
    let Some(Ok(record)) = record else {
        let why = format!("the test set {test} has no row at place {place} that can be read");
        return Err(ActionError::Refused(why));
    };
    let catalogue = errors::catalogue(context)?;
    let (row, right) = (question(&record), record.accepted());
    let mut answers = Vec::new();
    for system in store.systems(test)?.into_iter().filter_map(known) {
        if !systems.is_empty() && !systems.contains(&system.id) {
            continue;
        }
        let given = store.generation(test, system.id, place)?;
        let said: Vec<_> = store.marks(test, system.id)?.into_iter().filter(|mark| mark.place == place).collect();
        let read = given.as_ref().filter(|given| !is_unread(given));
        let found = read.map_or_else(Vec::new, |given| errors::found(&catalogue, &record, &given.answer, said.iter()));
        let own = said.into_iter().filter(|mark| mark.author == store.author());
        answers.push(Answered {
            system: system.id,
            name: system.name,
            tuned: system.tuned,
            stop: given.as_ref().map(|given| given.stop.clone()).unwrap_or_default(),
            tokens: given.as_ref().and_then(|given| given.tokens),
            answer: given.map(|given| given.answer),
            errors: found,
            said: own.map(|mark| (mark.category, mark.present)).collect(),
        });
    }
    let categories = catalogue.categories().map(|category| category.name.clone()).collect();
    Ok(Shown { test, place, row, right, answers, categories })
}

/// An answer: test set, system and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct At {
    /// The test set.
    pub test: i64,
    /// The system.
    pub system: i64,
    /// The row's place, from 0.
    pub place: usize,
}

/// Keeps a person's word on an answer: that it has the error, or has not, whatever the rules say; `None` takes the word back, so
/// that the rules decide again. Returns what the author had said before.
///
/// # Errors
/// When there is no such category, or the database cannot be written.
pub fn say(
    context: &Context,
    store: &mut Store,
    at: At,
    category: &str,
    word: Option<bool>,
) -> Result<Option<bool>, ActionError> {
    let catalogue = errors::catalogue(context)?;
    if !catalogue.categories().any(|one| one.name == category) {
        let there: Vec<String> = catalogue.categories().map(|one| one.name.clone()).collect();
        let there = there.join(", ");
        return Err(ActionError::Refused(format!("there is no error category {category:?}; there is {there}")));
    }
    let own = |mark: &&crate::store::Mark| {
        mark.place == at.place && mark.category == category && mark.author == store.author()
    };
    let before = store.marks(at.test, at.system)?.iter().find(own).map(|mark| mark.present);
    match word {
        Some(present) => store.mark_error(at.test, at.system, at.place, category, present)?,
        None => store.forget_mark(at.test, at.system, at.place, category)?,
    }
    Ok(before)
}

/// A word that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TakenBack {
    /// The answer it was about.
    pub at: At,
    /// The error.
    pub category: String,
    /// What had been said: whether the answer has it.
    pub was: bool,
}

/// Takes the author's newest word on a test set back, whenever it was said, so that the rules decide again; nobody else's. Returns
/// what it was; none where the author has said nothing.
///
/// # Errors
/// When the database cannot be written.
pub fn take_back(store: &mut Store, test: i64) -> Result<Option<TakenBack>, ActionError> {
    let Some((system, mark)) = store.newest_mark(test)? else { return Ok(None) };
    let at = At { test, system, place: mark.place };
    store.forget_mark(test, system, mark.place, &mark.category)?;
    Ok(Some(TakenBack { at, category: mark.category, was: mark.present }))
}
