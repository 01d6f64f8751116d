//! Agreement between annotators, beyond what chance would give.
//!
//! | annotators | labels | figure |
//! | --- | --- | --- |
//! | two, each item by both | categories, or a scale | [`cohen`] |
//! | as many for each item, not always the same ones | categories | [`fleiss`] |
//! | any number, items left out here and there | categories, ranks or numbers | [`alpha`] |
//!
//! 1 is full agreement, 0 what chance gives, and below 0 they disagree more than by chance. Where all labels are of one
//! category, chance would agree as well: the figures are then undefined, not 0 or 1, and a [`Undefined`] says so.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::significance::{Estimate, Resampling};

mod people;

pub use people::Agreement;

/// How much two labels of a scale disagree, in [`cohen`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// Fully, where they are not the same.
    #[default]
    Nominal,
    /// By the steps between them.
    Linear,
    /// By the square of the steps between them.
    Quadratic,
}

/// What the labels are, in [`alpha`] (S. S. Stevens's levels of measurement).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Categories: two labels are the same or not.
    #[default]
    Nominal,
    /// Ranks: what lies between two labels counts, by how many labels lie there.
    Ordinal,
    /// Numbers: the square of their difference counts.
    Interval,
}

/// Why there is no figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    /// No item has labels of two annotators.
    #[error("no item was labelled by two annotators: let a second one label some of the same items")]
    NothingToCompare,
    /// All labels are of one category.
    #[error("all labels are the same, so chance would agree as well: label items on which another label is right")]
    OneCategory,
    /// Items with different numbers of labels, in [`fleiss`].
    #[error(
        "item {item} has {labels} labels and the first {expected}: Fleiss' kappa needs as many for each, Krippendorff's alpha does not"
    )]
    UnequalLabels {
        /// The item, counting from 0.
        item: usize,
        /// Its labels.
        labels: usize,
        /// Those of the first item.
        expected: usize,
    },
    /// A label that is no finite number, in [`alpha`].
    #[error("a label of item {item} is no finite number: leave it out if it is missing")]
    NotFinite {
        /// The item, counting from 0.
        item: usize,
    },
}

/// Cohen's kappa of two annotators (J. Cohen, 1960; weighted: J. Cohen, 1968): the labels of each item, those of a
/// scale numbered from one end to the other, all its labels counted, also those never given.
///
/// `1 - sum of w O / sum of w E`, with `O` the shares of pairs of labels, `E` those that the two would have by chance,
/// each keeping to his own shares of labels, and `w` how much a pair disagrees.
///
/// # Errors
/// There are no items, or all labels are one.
pub fn cohen<P: Borrow<(u32, u32)>>(items: &[P], weighting: Weighting) -> Result<f64, Undefined> {
    if items.is_empty() {
        return Err(Undefined::NothingToCompare);
    }
    let n = items.len() as f64;
    let weight = |a: u32, b: u32| match weighting {
        Weighting::Nominal => f64::from(u8::from(a != b)),
        Weighting::Linear => f64::from(a.abs_diff(b)),
        Weighting::Quadratic => f64::from(a.abs_diff(b)).powi(2),
    };
    let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
    let mut observed = 0.0;
    for (a, b) in items.iter().map(|item| *item.borrow()) {
        *first.entry(a).or_insert(0.0) += 1.0 / n;
        *second.entry(b).or_insert(0.0) += 1.0 / n;
        observed += weight(a, b) / n;
    }
    let by_second =
        |(a, share): (&u32, &f64)| -> f64 { second.iter().map(|(b, with)| share * with * weight(*a, *b)).sum() };
    let expected: f64 = first.iter().map(by_second).sum();
    if expected > 0.0 { Ok(1.0 - observed / expected) } else { Err(Undefined::OneCategory) }
}

/// Fleiss' kappa (J. L. Fleiss, 1971): for each item the categories it was given, as many for each item.
///
/// `(P - P_e) / (1 - P_e)`, with `P` the mean share of pairs of labels of an item that agree, and `P_e` the sum of the
/// squared shares of the categories over all items.
///
/// # Errors
/// There are no items, or fewer than two labels for each; items have different numbers of labels; all labels are one.
pub fn fleiss<I: AsRef<[u32]>>(items: &[I]) -> Result<f64, Undefined> {
    let expected = items.first().map_or(0, |item| item.as_ref().len());
    if expected < 2 {
        return Err(Undefined::NothingToCompare);
    }
    let mut totals: BTreeMap<u32, f64> = BTreeMap::new();
    let raters = expected as f64;
    let mut agree = 0.0;
    for (item, labels) in items.iter().map(AsRef::as_ref).enumerate() {
        if labels.len() != expected {
            return Err(Undefined::UnequalLabels { item, labels: labels.len(), expected });
        }
        for label in labels {
            let same = labels.iter().filter(|other| *other == label).count() as f64 - 1.0;
            agree += same / (raters * (raters - 1.0));
            *totals.entry(*label).or_default() += 1.0;
        }
    }
    if totals.len() < 2 {
        return Err(Undefined::OneCategory);
    }
    let n = items.len() as f64;
    let chance: f64 = totals.values().map(|count| (count / (n * raters)).powi(2)).sum();
    Ok((agree / n - chance) / (1.0 - chance))
}

/// Krippendorff's alpha (K. Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011): for each item the labels
/// it was given, `None` where an annotator gave none. Categories are given as any numbers, ranks as numbers in their
/// order.
///
/// `1 - D_o / D_e`, disagreement observed over disagreement by chance, over all pairs of labels; an item with fewer
/// than two labels is left out.
///
/// # Errors
/// No item has two labels; all labels are one; a label is no finite number.
pub fn alpha<I: AsRef<[Option<f64>]>>(items: &[I], level: Level) -> Result<f64, Undefined> {
    let mut paired: Vec<Vec<f64>> = Vec::with_capacity(items.len());
    for (item, labels) in items.iter().enumerate() {
        let labels: Vec<f64> = labels.as_ref().iter().flatten().copied().collect();
        if labels.iter().any(|label| !label.is_finite()) {
            return Err(Undefined::NotFinite { item });
        }
        if labels.len() >= 2 {
            paired.push(labels);
        }
    }
    // The labels there are, in order, with how often each was given.
    let mut values: Vec<f64> = paired.iter().flatten().copied().collect();
    let n = values.len() as f64;
    if values.is_empty() {
        return Err(Undefined::NothingToCompare);
    }
    // `+ 0.0` makes one of the two zeros.
    for value in &mut values {
        *value += 0.0;
    }
    values.sort_by(f64::total_cmp);
    let counts: Vec<(f64, f64)> = values
        .chunk_by(|a, b| a.total_cmp(b).is_eq())
        .filter_map(|same| Some((*same.first()?, same.len() as f64)))
        .collect();
    if counts.len() < 2 {
        return Err(Undefined::OneCategory);
    }
    // How many labels are at most half as far up as each: the middle of its ranks.
    let ranks: Vec<f64> = counts
        .iter()
        .scan(0.0, |below, (_, count)| {
            *below += count;
            Some(*below - count / 2.0)
        })
        .collect();
    let rank = |value: f64| {
        let at = counts.binary_search_by(|(label, _)| label.total_cmp(&(value + 0.0)));
        at.ok().and_then(|at| ranks.get(at)).copied().unwrap_or_default()
    };
    // What is compared: the label itself, or the middle of its ranks; the sum over `g` from `c` to `k` of `n_g`, less
    // half of `n_c` and `n_k`, is the difference of these middles.
    let place = |value: f64| if level == Level::Ordinal { rank(value) } else { value };
    let apart = |a: f64, b: f64| match level {
        Level::Nominal => f64::from(u8::from((a + 0.0).total_cmp(&(b + 0.0)).is_ne())),
        Level::Ordinal | Level::Interval => (a - b).powi(2),
    };
    let mut observed = 0.0;
    for labels in &paired {
        let places: Vec<f64> = labels.iter().map(|label| place(*label)).collect();
        let of_item: f64 = places.iter().map(|a| places.iter().map(|b| apart(*a, *b)).sum::<f64>()).sum();
        observed += of_item / (labels.len() as f64 - 1.0);
    }
    let placed: Vec<(f64, f64)> = counts.iter().map(|(value, count)| (place(*value), *count)).collect();
    let with_all =
        |(a, count): &(f64, f64)| -> f64 { placed.iter().map(|(b, with)| count * with * apart(*a, *b)).sum() };
    let expected: f64 = placed.iter().map(with_all).sum();
    Ok(1.0 - (n - 1.0) * observed / expected)
}

/// A figure of agreement with its bootstrap interval over items; resamples in which it is undefined (only one category
/// was drawn) are left out, and the estimate says how many were not.
///
/// For example `with_interval(&pairs, |pairs| cohen(pairs, Weighting::Nominal), &Resampling::default())`.
///
/// # Errors
/// The figure is undefined for the items.
pub fn with_interval<'a, I, M>(items: &'a [I], measure: M, resampling: &Resampling) -> Result<Estimate, Undefined>
where
    I: Sync,
    M: Fn(&[&'a I]) -> Result<f64, Undefined> + Sync,
{
    let of = |rows: &[usize]| -> Result<f64, Undefined> {
        measure(&rows.iter().filter_map(|row| items.get(*row)).collect::<Vec<&'a I>>())
    };
    measure(&items.iter().collect::<Vec<&'a I>>())?;
    resampling.statistic(items.len(), |rows| of(rows).unwrap_or(f64::NAN)).ok_or(Undefined::NothingToCompare)
}

#[cfg(test)]
mod tests;
