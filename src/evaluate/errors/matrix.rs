//! Errors of two systems on the same records, side by side.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::significance::{McNemar, holm};
use super::{Catalogue, Cause, Mark, NONE};

/// The errors of one system: records in their order, each with the names of its categories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// By record.
    pub records: Vec<(String, BTreeSet<String>)>,
}

impl Marked {
    /// Takes what [`Catalogue::mark`] found of a record. Of a record that is taken twice, the last counts.
    pub fn add(&mut self, record: impl Into<String>, marks: &[Mark]) {
        let record = record.into();
        let categories = marks.iter().map(|mark| mark.category.clone()).collect();
        self.records.push((record, categories));
    }

    /// By record; of a record that is there twice, the last counts.
    pub(super) fn by_record(&self) -> BTreeMap<&str, &BTreeSet<String>> {
        self.records.iter().map(|(record, categories)| (record.as_str(), categories)).collect()
    }
}

/// What became of the errors of a category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The category's name.
    pub category: String,
    /// What it comes from.
    pub cause: Cause,
    /// Records with the error before.
    pub before: usize,
    /// Records with the error after.
    pub after: usize,
    /// The records that had it and do not any more.
    pub fixed: Vec<String>,
    /// The records that have it and had it not.
    pub new: Vec<String>,
    /// The records that had it and have it.
    pub stayed: Vec<String>,
    /// Whether fixed and new differ by more than chance.
    pub test: McNemar,
    /// The mid-p value after Holm's correction over the categories.
    pub p_adjusted: f64,
}

/// Errors before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// Records that both systems answered.
    pub records: usize,
    /// Records that only one of them answered; these do not count.
    pub left_out: usize,
    /// By category, in the catalogue's order.
    pub changes: Vec<Change>,
    /// The names of the rows and columns of `transitions`: the categories, then [`NONE`].
    pub names: Vec<String>,
    /// Records with the row's error before and the column's after. A record with several errors counts in several
    /// cells.
    pub transitions: Vec<Vec<usize>>,
    /// Records without an error before.
    pub clean_before: usize,
    /// Records without an error after.
    pub clean_after: usize,
}

impl Matrix {
    /// Puts two systems side by side. Names that the catalogue does not have are passed over.
    #[must_use]
    pub fn of(catalogue: &Catalogue, before: &Marked, after: &Marked) -> Self {
        let names: Vec<String> =
            catalogue.categories().map(|category| category.name.clone()).chain([NONE.to_owned()]).collect();
        let old = before.by_record();
        let new = after.by_record();
        let mut seen = BTreeSet::new();
        let both: Vec<(&str, &BTreeSet<String>, &BTreeSet<String>)> = after
            .records
            .iter()
            .filter(|(record, _)| seen.insert(record.as_str()))
            .filter_map(|(record, _)| Some((record.as_str(), *old.get(record.as_str())?, *new.get(record.as_str())?)))
            .collect();
        let known = |categories: &BTreeSet<String>| -> Vec<usize> {
            let held = names.iter().enumerate().filter(|(_, name)| categories.contains(*name));
            let held: Vec<usize> = held.map(|(at, _)| at).collect();
            if held.is_empty() { vec![names.len() - 1] } else { held }
        };
        let mut transitions = vec![vec![0; names.len()]; names.len()];
        let (mut clean_before, mut clean_after) = (0, 0);
        for (_, was, is) in &both {
            let (was, is) = (known(was), known(is));
            clean_before += usize::from(was.contains(&(names.len() - 1)));
            clean_after += usize::from(is.contains(&(names.len() - 1)));
            for from in &was {
                for to in &is {
                    if let Some(cell) = transitions.get_mut(*from).and_then(|row| row.get_mut(*to)) {
                        *cell += 1;
                    }
                }
            }
        }
        let mut changes: Vec<Change> =
            catalogue.categories().map(|category| change(&category.name, category.cause, &both)).collect();
        let adjusted = holm(&changes.iter().map(|change| change.test.mid_p).collect::<Vec<f64>>());
        for (change, p) in changes.iter_mut().zip(adjusted) {
            change.p_adjusted = p;
        }
        let records = both.len();
        let left_out = old.len() + new.len() - 2 * records;
        Self { records, left_out, changes, names, transitions, clean_before, clean_after }
    }
}

fn change(category: &str, cause: Cause, both: &[(&str, &BTreeSet<String>, &BTreeSet<String>)]) -> Change {
    let with = |before: bool, after: bool| -> Vec<String> {
        let such =
            both.iter().filter(|(_, was, is)| was.contains(category) == before && is.contains(category) == after);
        such.map(|(record, _, _)| (*record).to_owned()).collect()
    };
    let (fixed, new, stayed) = (with(true, false), with(false, true), with(true, true));
    let test = McNemar::of(new.len() as u64, fixed.len() as u64);
    Change {
        category: category.to_owned(),
        cause,
        before: fixed.len() + stayed.len(),
        after: new.len() + stayed.len(),
        fixed,
        new,
        stayed,
        test,
        p_adjusted: test.mid_p,
    }
}
