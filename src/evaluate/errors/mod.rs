//! Error categories: the errors that hurt a customer, by name, and which answers have them.
//!
//! A project names its categories in `togi.toml`, each with rules; an answer has an error of a category where one of
//! its rules fires, or where a person says so:
//!
//! ```toml
//! [[errors]]
//! name = "wrong-format"
//! doc = "The answer is no JSON object with an intent"
//! cause = "behaviour"
//! rules = [{ kind = "json-schema", schema = { type = "object", required = ["intent"] } }]
//! ```
//!
//! - [`rules`]: what a rule can look at.
//! - [`matrix`]: errors before and after.
//! - [`advice`]: what they say should be done next.
//!
//! All of it works on texts and marks alone; whose they are, the caller knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub mod advice;
mod defaults;
mod language;
pub mod matrix;
pub mod rules;

pub use advice::{Advice, Verdict};
pub use defaults::defaults;
pub use matrix::Matrix;
pub use rules::Rule;

use rules::{Compiled, Look};

/// The name that a table gives to answers without an error; no category can have it.
pub const NONE: &str = "none";

/// What an error comes from, and so what could remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The model does not know something: it has to read about it.
    Knowledge,
    /// The model does not do as it should with what it knows: it has to be shown how, by a prompt or by pairs.
    Behaviour,
    /// The category does not tell which of the two: that an answer is not the right one has either cause.
    Unknown,
}

impl Cause {
    /// Its name, as in `togi.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Knowledge => "knowledge",
            Self::Behaviour => "behaviour",
            Self::Unknown => "unknown",
        }
    }
}

/// A kind of error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Its name, short; unique in a project.
    pub name: String,
    /// What it means, for people.
    #[serde(default)]
    pub doc: String,
    /// What it comes from.
    pub cause: Cause,
    /// An answer has the error where any of these fires. None: only people find it.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// Why categories cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CategoryError {
    /// A name is empty, or taken.
    #[error("error category `{0}`: give each category a name of its own, and not `{NONE}`")]
    Name(String),
    /// A pattern is no regular expression.
    #[error("error category `{category}`: `{pattern}` is no regular expression: {source}")]
    Pattern {
        /// The category.
        category: String,
        /// The pattern.
        pattern: String,
        /// What is wrong.
        source: Box<regex::Error>,
    },
    /// A schema is no JSON schema.
    #[error("error category `{category}`: this is no JSON schema: {reason}")]
    Schema {
        /// The category.
        category: String,
        /// What is wrong.
        reason: String,
    },
    /// A language that is not known.
    #[error(
        "error category `{category}`: `{language}` is no language known here; name it as in `English`, or by its code, `eng`"
    )]
    Language {
        /// The category.
        category: String,
        /// The name given.
        language: String,
    },
    /// A rule that could never fire.
    #[error("error category `{category}`: {reason}")]
    Rule {
        /// The category.
        category: String,
        /// What is missing.
        reason: &'static str,
    },
}

/// An error found in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The category's name.
    pub category: String,
    /// Why, in plain words.
    pub reason: String,
    /// Whether a person said so.
    #[serde(default)]
    pub by_person: bool,
}

/// What a person says of a category of an answer, whatever the rules say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The record.
    pub record: String,
    /// The system that answered.
    pub system: String,
    /// The category.
    pub category: String,
    /// Whether the answer has the error.
    pub present: bool,
}

/// The categories of a project, their rules ready to use.
#[derive(Debug)]
pub struct Catalogue {
    categories: Vec<(Category, Vec<Compiled>)>,
}

impl Catalogue {
    /// Prepares categories; where there are none, the [`defaults`].
    ///
    /// # Errors
    /// A name is empty or taken; a pattern, a schema or a language is wrong. The error names the category.
    pub fn new(categories: Vec<Category>) -> Result<Self, CategoryError> {
        let categories = if categories.is_empty() { defaults() } else { categories };
        let mut names = BTreeSet::new();
        let mut ready = Vec::with_capacity(categories.len());
        for category in categories {
            let name = category.name.trim();
            if name.is_empty() || name == NONE || !names.insert(name.to_owned()) {
                return Err(CategoryError::Name(category.name));
            }
            let rules: Result<_, _> = category.rules.iter().map(|rule| rule.compile(&category.name)).collect();
            ready.push((category, rules?));
        }
        Ok(Self { categories: ready })
    }

    /// The categories, in the order in which they were named.
    pub fn categories(&self) -> impl Iterator<Item = &Category> {
        self.categories.iter().map(|(category, _)| category)
    }

    /// The errors of an answer, in the order of the categories: what the rules find.
    ///
    /// `gold` holds the answers that would have been right; where there are none, the rules that compare with them do
    /// not fire.
    #[must_use]
    pub fn mark<R: AsRef<str>>(&self, answer: &str, gold: &[R], input: &str) -> Vec<Mark> {
        self.mark_corrected(answer, gold, input, &[])
    }

    /// The errors of an answer: what the rules find, and on top what a person says of this record and system, a later
    /// word over an earlier one. Words on categories that the project no longer has are passed over.
    ///
    /// Rules that only fire where nothing else did come last, so a person who takes an error away turns the answer
    /// into, say, `wrong`, and one who adds an error turns `wrong` into that.
    #[must_use]
    pub fn mark_corrected<R: AsRef<str>>(
        &self,
        answer: &str,
        gold: &[R],
        input: &str,
        corrections: &[&Correction],
    ) -> Vec<Mark> {
        let gold: Vec<&str> = gold.iter().map(AsRef::as_ref).collect();
        let look = Look { answer, gold: &gold, input };
        let said: BTreeMap<&str, bool> =
            corrections.iter().map(|said| (said.category.as_str(), said.present)).collect();
        let mut found: Vec<Option<Mark>> = Vec::with_capacity(self.categories.len());
        for last in [false, true] {
            let nothing_yet = found.iter().all(Option::is_none);
            for (at, (category, rules)) in self.categories.iter().enumerate() {
                let reason = match said.get(category.name.as_str()) {
                    Some(true) => Some(("a person says so".to_owned(), true)),
                    Some(false) => None,
                    None if last && !nothing_yet => None,
                    None => {
                        let mut rules = rules.iter().filter(|rule| rule.only_otherwise() == last);
                        rules.find_map(|rule| rule.fires(&look)).map(|reason| (reason, false))
                    }
                };
                let mark =
                    reason.map(|(reason, by_person)| Mark { category: category.name.clone(), reason, by_person });
                match found.get_mut(at) {
                    Some(place) if place.is_none() => *place = mark,
                    Some(_) => {}
                    None => found.push(mark),
                }
            }
        }
        found.into_iter().flatten().collect()
    }
}

/// The corrections of one record and system, in their order.
#[must_use]
pub fn corrections_of<'a>(all: &'a [Correction], record: &str, system: &str) -> Vec<&'a Correction> {
    all.iter().filter(|said| said.record == record && said.system == system).collect()
}

#[cfg(test)]
mod tests;
