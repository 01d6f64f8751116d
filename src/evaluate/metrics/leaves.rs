//! Answers that are to be JSON: whether they are, whether they are right, and how much of them is.
//!
//! For the last a value is taken apart into its *leaves*, each a path and a value: `{"a": {"b": 1}, "l": [2, 2]}` has
//! `a.b = 1`, `l[] = 2` and `l[] = 2` again. What is counted:
//!
//! - Leaves are texts, numbers, `true`, `false`, `null`, and empty lists and objects.
//! - Items of a list share one path, so their order does not count, but how often a value occurs does. Of a list of
//!   objects
//!   it does not count which fields stand together.
//! - Two leaves are equal where path and canonical value are: `1` and `1.0` differ, as in [`json`].
//! - A leaf of the answer that the reference lacks counts against precision, one of the reference that the answer lacks
//!   against recall. So an answer that is no JSON misses all leaves of the reference and answers none.
//! - With several references the one with the best F1 counts, the first of equals.

use std::collections::HashMap;

use serde::Serialize;

use super::share;
use crate::evaluate::json::{self, Json};

/// Leaves counted, and what follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FieldF1 {
    /// Leaves that are both answered and right.
    pub matched: u64,
    /// Leaves answered.
    pub answered: u64,
    /// Leaves of the reference.
    pub gold: u64,
    /// `matched / answered`, 0 where nothing was answered.
    pub precision: f64,
    /// `matched / gold`.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
}

impl FieldF1 {
    /// The figures of these counts.
    #[must_use]
    pub fn new(matched: u64, answered: u64, gold: u64) -> Self {
        let [precision, recall, f1] =
            [share(matched, answered), share(matched, gold), share(2 * matched, answered + gold)];
        Self { matched, answered, gold, precision, recall, f1 }
    }

    /// All answers together: counts summed, then divided (micro-averaged).
    #[must_use]
    pub fn micro(rows: impl IntoIterator<Item = Self>) -> Self {
        let [matched, answered, gold] = rows.into_iter().fold([0; 3], |[matched, answered, gold], row| {
            [matched + row.matched, answered + row.answered, gold + row.gold]
        });
        Self::new(matched, answered, gold)
    }
}

/// Scores of an answer that is to be JSON.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JsonScores {
    /// 1 where it is one JSON value and nothing else.
    pub valid: f64,
    /// 1 where it is, in canonical form, one of the references.
    pub exact: f64,
    /// How many of its leaves are right.
    pub fields: FieldF1,
}

/// Scores an answer; `None` unless every reference is a JSON object or list. (A bare number or word can be JSON, too,
/// but is more often just text.)
pub fn score(answer: &str, references: &[&str]) -> Option<JsonScores> {
    let first_mark = |text: &&str| text.trim_start().starts_with(['{', '[']);
    if references.is_empty() || !references.iter().all(first_mark) {
        return None;
    }
    let right: Vec<Json> = references.iter().map(|reference| json::parse(reference)).collect::<Option<_>>()?;
    let answer = json::parse(answer);
    let canonical = answer.as_ref().map(Json::canonical);
    let exact = canonical.is_some_and(|own| right.iter().any(|reference| reference.canonical() == own));
    let mut best: Option<FieldF1> = None;
    for reference in &right {
        let found = compare(answer.as_ref(), reference);
        if best.is_none_or(|best| found.f1 > best.f1) {
            best = Some(found);
        }
    }
    let one_if = |holds: bool| if holds { 1.0 } else { 0.0 };
    Some(JsonScores { valid: one_if(answer.is_some()), exact: one_if(exact), fields: best.unwrap_or_default() })
}

fn compare(answer: Option<&Json>, reference: &Json) -> FieldF1 {
    let mut leaves = Leaves::default();
    leaves.take(0, reference, |counts| &mut counts.1);
    if let Some(answer) = answer {
        leaves.take(0, answer, |counts| &mut counts.0);
    }
    let counts = leaves.counts.values();
    let [matched, answered, gold] = counts.fold([0; 3], |[matched, answered, gold], (own, right)| {
        [matched + own.min(right), answered + own, gold + right]
    });
    FieldF1::new(matched, answered, gold)
}

/// A step of a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Step<'a> {
    Key(&'a [u16]),
    Item,
}

/// Leaves of an answer and of its reference. A path is a number, so that a deep one costs no more than a short one.
#[derive(Default)]
struct Leaves<'a> {
    paths: HashMap<(usize, Step<'a>), usize>,
    /// By path and canonical value: how often in the answer, and in the reference.
    counts: HashMap<(usize, String), (u64, u64)>,
}

impl<'a> Leaves<'a> {
    fn take(&mut self, path: usize, value: &'a Json, side: fn(&mut (u64, u64)) -> &mut u64) {
        match value {
            Json::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    let path = self.path(path, Step::Key(key));
                    self.take(path, value, side);
                }
            }
            Json::List(items) if !items.is_empty() => {
                let path = self.path(path, Step::Item);
                for item in items {
                    self.take(path, item, side);
                }
            }
            leaf => *side(self.counts.entry((path, leaf.canonical())).or_default()) += 1,
        }
    }

    fn path(&mut self, parent: usize, step: Step<'a>) -> usize {
        let next = self.paths.len() + 1;
        *self.paths.entry((parent, step)).or_insert(next)
    }
}
