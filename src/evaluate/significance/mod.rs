//! How sure a figure is, and whether a difference is more than chance.
//!
//! Everything here takes scores of rows, or counts, and knows neither texts nor models.
//!
//! - [`bootstrap`]: an interval of any statistic of rows, and of the difference of two systems on the same rows.
//! - [`McNemar`]: whether two systems that are right and wrong on the same rows differ.
//! - [`holm`]: p values of several comparisons made at once.
//!
//! What is too little to say anything has no figure instead of a wrong one: of no rows there is no estimate, of one row
//! a value without an interval, for whatever is drawn from one row is that row again.

use serde::{Deserialize, Serialize};

pub mod bootstrap;

pub use bootstrap::{Comparison, Estimate, Lengths, Resampling};

/// The p value under which a difference is called significant where nothing else is said (R. A. Fisher's convention).
pub const SIGNIFICANT: f64 = 0.05;

/// McNemar's test of two systems that are each right or wrong on the same rows (Q. McNemar, 1947).
///
/// Only the rows on which they differ count: were both equally good, each of these would be a fair coin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Rows that only the first system gets right.
    pub lost: u64,
    /// Rows that only the second system gets right.
    pub gained: u64,
    /// The exact two-sided p value, `min(1, 2 P(X <= min(lost, gained)))` with X of the binomial distribution of
    /// `lost + gained` throws at one half; 1 where the systems differ on no row.
    pub p: f64,
    /// The mid-p value, `2 P(X <= k) - P(X = k)` with the `k` above: the exact value errs towards "no difference", this
    /// one hardly does (Fagerland, Lydersen & Laake 2013, BMC Medical Research Methodology 13:91).
    pub mid_p: f64,
}

impl McNemar {
    /// The test for two counts of discordant rows.
    #[must_use]
    pub fn of(lost: u64, gained: u64) -> Self {
        let (n, k) = (lost.saturating_add(gained), lost.min(gained));
        if n == 0 {
            return Self { lost, gained, p: 1.0, mid_p: 1.0 };
        }
        // ln C(n, k) / 2^n, then downwards to 0: each term of the sum is the one above it times j / (n - j + 1).
        let ln_choose: f64 = (1..=k).map(|j| ((n - k + j) as f64 / j as f64).ln()).sum();
        let at = (ln_choose - n as f64 * std::f64::consts::LN_2).exp();
        let (mut term, mut tail) = (at, at);
        for j in (1..=k).rev() {
            term *= j as f64 / (n - j + 1) as f64;
            tail += term;
            if term < tail * f64::EPSILON * 1e-3 {
                break;
            }
        }
        Self { lost, gained, p: (2.0 * tail).min(1.0), mid_p: (2.0 * tail - at).clamp(0.0, 1.0) }
    }

    /// The test for what each system got right, row by row.
    ///
    /// # Errors
    /// The two are not of the same rows.
    pub fn of_rows(first: &[bool], second: &[bool]) -> Result<Self, Lengths> {
        Lengths::check(first.len(), second.len())?;
        let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count() as u64;
        Ok(Self::of(only(first, second), only(second, first)))
    }

    /// Whether the systems differ at the level of [`SIGNIFICANT`], by the mid-p value.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.mid_p < SIGNIFICANT
    }
}

/// The p values of several comparisons, each raised so that the chance of calling any of them significant by mistake
/// stays what the level says (S. Holm, 1979); in the order given.
///
/// The i-th smallest of m, counting from 0, is multiplied by `m - i`, and none is less than one before it; 1 is the
/// most. What is no number counts as 1, and as a comparison made.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let clean: Vec<f64> = p.iter().map(|p| if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) }).collect();
    let mut order: Vec<(usize, f64)> = clean.iter().copied().enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut adjusted = clean;
    let mut least = 0.0_f64;
    for (rank, (at, p)) in order.into_iter().enumerate() {
        least = least.max((p * (adjusted.len() - rank) as f64).min(1.0));
        if let Some(place) = adjusted.get_mut(at) {
            *place = least;
        }
    }
    adjusted
}

#[cfg(test)]
mod tests;
