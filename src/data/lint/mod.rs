//! Checks over records: what is wrong, where, why it matters, and, where that is safe, the mending.
//!
//! One file a check, under [`checks`]; each implements [`Check`] and stands in [`CHECKS`]. A check sees one record ([`Look`])
//! and an [`Index`] of all of them, so that the same code goes over a whole set ([`lint`]) and over one record that is being
//! edited ([`relint`]). What a check has to know of the other records is gathered once, in the index: what the answers to the
//! same instruction look like ([`group`]), and which records say the same ([`crate::data::duplicates`]).
//!
//! Rejected records are not checked and count for nothing. Nothing here reads a store, a file or a clock, and nothing
//! depends on the order in which threads finish: the same records give the same findings.

use rayon::prelude::*;
use serde::Serialize;

use super::view::{Part, Role, parts};
use crate::store::{Record, State, Status};

pub mod checks;
pub mod group;
mod index;
mod measure;
mod text;

pub use checks::CHECKS;
pub use index::{Facts, Index};
pub use measure::{Measure, Rendering};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Worth a look.
    Warning,
    /// Training on it teaches something wrong.
    Error,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A stretch of one part of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Span {
    /// `input`, `gold`, `draft`, `turns[2].content`, `text`.
    pub field: String,
    /// First byte, on a character boundary.
    pub start: usize,
    /// Byte behind the last, on a character boundary.
    pub end: usize,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The record; `None` for what is said of the whole set.
    pub record: Option<i64>,
    /// The check's name.
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Where in the record, if it is at one place.
    pub span: Option<Span>,
    /// What was found, for a person.
    pub reason: String,
    /// The records that it was compared with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<i64>,
}

/// What a check is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Needs nothing but the record.
    Record,
    /// Compares the record with others.
    Across,
    /// Says something of the whole set.
    Set,
}

/// One check.
pub trait Check: Sync {
    /// Its name, as it is typed and printed.
    fn name(&self) -> &'static str;

    /// Why it matters, in a sentence.
    fn why(&self) -> &'static str;

    /// What it looks at.
    fn scope(&self) -> Scope;

    /// Findings about one record.
    fn check(&self, _look: &Look<'_>) -> Vec<Finding> {
        Vec::new()
    }

    /// Findings about the whole set.
    fn check_set(&self, _index: &Index) -> Vec<Finding> {
        Vec::new()
    }

    /// Whether [`Check::fix`] mends some of what it finds.
    fn fixes(&self) -> bool {
        false
    }

    /// The record with what was found mended; `None` where that takes a person. A mended text says what it said before.
    fn fix(&self, _state: &State, _finding: &Finding) -> Option<State> {
        None
    }
}

/// What a person can set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The window of a run in tokens, for `too-long`.
    pub max_length: Option<usize>,
    /// The fields that the project's prompt template names, where it has one; see [`parts`].
    pub prompt_fields: Option<Vec<String>>,
    /// Whether answers are meant to be in another language than the prompts, for `language`.
    pub answers_in_another_language: bool,
    /// Names of checks that are not run.
    pub off: Vec<String>,
}

/// What a check sees: a record, taken apart, and all the others.
pub struct Look<'a> {
    /// The record.
    pub record: &'a Record,
    /// Its parts.
    pub parts: &'a [Part<'a>],
    /// What was found out about it once.
    pub facts: &'a Facts,
    /// All records.
    pub index: &'a Index,
    /// The model's tokens, where there is a model.
    pub measure: Option<&'a dyn Measure>,
}

impl Look<'_> {
    /// The part that is the answer, or the document.
    #[must_use]
    pub fn answer(&self) -> Option<&Part<'_>> {
        self.parts.iter().find(|part| matches!(part.role, Role::Answer | Role::Document))
    }

    /// What a finding about this record has in common with all others of a check.
    #[must_use]
    pub fn finding(&self, check: &'static str, severity: Severity, reason: impl Into<String>) -> Finding {
        let record = Some(self.record.id);
        Finding { record, check, severity, span: None, reason: reason.into(), others: Vec::new() }
    }
}

impl Finding {
    /// The finding, at a place.
    #[must_use]
    pub fn at(mut self, part: &Part<'_>, start: usize, end: usize) -> Self {
        self.span = Some(Span { field: part.field.to_string(), start, end });
        self
    }

    /// The finding, at all of a part.
    #[must_use]
    pub fn over(self, part: &Part<'_>) -> Self {
        let end = part.text.len();
        self.at(part, 0, end)
    }

    /// The finding, with the records that it was compared with.
    #[must_use]
    pub fn with(mut self, others: impl IntoIterator<Item = i64>) -> Self {
        self.others = others.into_iter().collect();
        self
    }
}

/// The check of a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static dyn Check> {
    CHECKS.iter().copied().find(|check| check.name() == name)
}

/// Goes over all records with all checks. Findings about the whole set come first, then each record's in the order of
/// `records`' numbers, of one record in the order of [`CHECKS`].
#[must_use]
pub fn lint(records: &[Record], settings: &Settings, measure: Option<&dyn Measure>) -> Vec<Finding> {
    Index::new(records, settings).lint(records, measure)
}

/// Goes over one record, perhaps edited since the index was built, as if it stood there in place of what is known of it.
/// Findings about the whole set, and those that an edit gives or takes to other records, wait for the next [`lint`].
#[must_use]
pub fn relint(index: &Index, record: &Record, measure: Option<&dyn Measure>) -> Vec<Finding> {
    if record.state.status == Status::Rejected {
        return Vec::new();
    }
    let parts = parts(&record.state.content, index.settings().prompt_fields.as_deref());
    let facts = Facts::of(record, &parts);
    index.look_over(&Look { record, parts: &parts, facts: &facts, index, measure })
}

impl Index {
    /// Goes over the records that the index was built from; see [`lint`].
    #[must_use]
    pub fn lint(&self, records: &[Record], measure: Option<&dyn Measure>) -> Vec<Finding> {
        let mut found: Vec<Finding> = self.checks().flat_map(|check| check.check_set(self)).collect();
        let mut each: Vec<(i64, Vec<Finding>)> = records
            .par_iter()
            .filter_map(|record| {
                let facts = self.facts(record.id)?;
                let parts = parts(&record.state.content, self.settings().prompt_fields.as_deref());
                let look = Look { record, parts: &parts, facts, index: self, measure };
                Some((record.id, self.look_over(&look)))
            })
            .collect();
        each.sort_by_key(|(id, _)| *id);
        found.extend(each.into_iter().flat_map(|(_, findings)| findings));
        found
    }

    fn look_over(&self, look: &Look<'_>) -> Vec<Finding> {
        self.checks().flat_map(|check| check.check(look)).collect()
    }

    fn checks(&self) -> impl Iterator<Item = &'static dyn Check> {
        CHECKS.iter().copied().filter(|check| !self.settings().off.iter().any(|name| name == check.name()))
    }
}

#[cfg(test)]
mod tests;
