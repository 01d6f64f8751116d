//! Precision, recall and F1 of the fields of JSON answers, micro-averaged: counted over all rows, then divided.
//!
//! A top-level key of the right answers is a field. Its items are compared as sets: the items of a list, the (key, value)
//! pairs of an object, or the one value of anything else. A value counts as equal in canonical form. An answer that is no
//! JSON object has no items, so all of the row's right items are missed; keys that no right answer has are not counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::json::{self, Json};

/// Counts and figures of one field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldScore {
    /// Items that are both answered and right.
    pub correct: usize,
    /// Items answered.
    pub answered: usize,
    /// Items that are right.
    pub right: usize,
    /// `correct / answered`, 0 where nothing was answered.
    pub precision: f64,
    /// `correct / right`, 0 where nothing is right.
    pub recall: f64,
    /// Harmonic mean of both, 0 where both are 0.
    pub f1: f64,
}

impl FieldScore {
    fn finish(mut self) -> Self {
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        self.precision = share(self.correct, self.answered);
        self.recall = share(self.correct, self.right);
        self.f1 = share(2 * self.correct, self.answered + self.right);
        self
    }
}

/// Scores the fields of `(answer, gold)` rows; empty where no gold answer is a JSON object.
#[must_use]
pub fn json_field_f1<'a>(rows: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, FieldScore> {
    let rows: Vec<_> = rows.into_iter().map(|(answer, gold)| (items(answer), items(gold))).collect();
    let keys: BTreeSet<&String> = rows.iter().flat_map(|(_, gold)| gold.keys()).collect();
    let none = BTreeSet::new();
    let figures = keys.into_iter().map(|key| {
        let mut score = FieldScore::default();
        for (answer, gold) in &rows {
            let (answer, gold) = (answer.get(key).unwrap_or(&none), gold.get(key).unwrap_or(&none));
            score.correct += answer.intersection(gold).count();
            score.answered += answer.len();
            score.right += gold.len();
        }
        (key.clone(), score.finish())
    });
    figures.collect()
}

/// The items of each field of an answer.
fn items(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let Some(Json::Object(map)) = json::parse(text) else { return BTreeMap::new() };
    let field = |value: &Json| match value {
        Json::List(items) => items.iter().map(Json::canonical).collect(),
        Json::Object(map) => map
            .iter()
            .map(|(key, value)| Json::List(vec![Json::Text(key.clone()), value.clone()]).canonical())
            .collect(),
        value => BTreeSet::from([value.canonical()]),
    };
    map.iter().map(|(key, value)| (String::from_utf16_lossy(key), field(value))).collect()
}
