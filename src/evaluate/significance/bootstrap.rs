//! The bootstrap: rows are drawn with replacement, as many as there are, and the statistic is computed again, many
//! times over (B. Efron, 1979; Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993).
//!
//! Resample `r` draws from stream `r` of one `ChaCha8` generator, so the figures depend on the seed and the rows, and
//! not on how many threads computed them.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::interval::Interval;

/// How resampling is done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resampling {
    /// Number of resamples. Default 2,000: Efron & Tibshirani (1993, section 13.3) ask for 1,000 or more for
    /// percentiles, and the least p value that can come out is one in `resamples + 1`.
    pub resamples: usize,
    /// The share of resamples that an interval holds, above 0 and under 1. Default 0.95.
    pub level: f64,
    /// Seed of the generator. Default 0.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { resamples: 2_000, level: 0.95, seed: 0 }
    }
}

/// A statistic of some rows, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The statistic of the rows themselves.
    pub value: f64,
    /// The percentile interval; none where there are fewer than two rows, or where no resample had a finite value.
    pub interval: Option<Interval>,
    /// Number of rows.
    pub rows: usize,
    /// Resamples that the interval rests on: those in which the statistic was a finite number.
    pub resamples: usize,
}

/// Two systems on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The statistic of the first system.
    pub first: f64,
    /// The statistic of the second system.
    pub second: f64,
    /// `second - first`: above 0 where the second scores higher.
    pub difference: f64,
    /// The percentile interval of the difference; none where there are fewer than two rows.
    pub interval: Option<Interval>,
    /// The two-sided p value of "there is no difference"; none where there are fewer than two rows.
    ///
    /// `(1 + #{|d* - d| >= |d|}) / (1 + resamples)`, with `d` the difference and `d*` that of a resample: moved by `d`,
    /// the differences of the resamples are what chance alone would give (Efron & Tibshirani 1993, section 16.4; the
    /// one added to both, so that no p value is 0: Davison & Hinkley 1997, section 4.2). It is never under `2 /
    /// 2^rows`, the least that swapping the two systems row by row could give: of very few rows that all agree, the
    /// bootstrap alone would be far too sure.
    pub p: Option<f64>,
    /// Share of resamples in which the second scores higher, ties counting half: what Koehn (2004, "Statistical
    /// significance tests for machine translation evaluation") calls the confidence that it is better; none where there
    /// are fewer than two rows.
    pub second_better: Option<f64>,
    /// Number of rows.
    pub rows: usize,
    /// Resamples that the interval and p rest on.
    pub resamples: usize,
}

/// Two lists that should be of the same rows are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the first system has {first} rows and the second {second}: score both on the same rows, in the same order")]
pub struct Lengths {
    /// Rows of the first.
    pub first: usize,
    /// Rows of the second.
    pub second: usize,
}

impl Lengths {
    /// Refuses two lengths that differ.
    pub(super) fn check(first: usize, second: usize) -> Result<(), Self> {
        if first == second { Ok(()) } else { Err(Self { first, second }) }
    }
}

impl Resampling {
    /// The mean of a score over rows; `None` where there are none.
    #[must_use]
    pub fn mean(&self, scores: &[f64]) -> Option<Estimate> {
        self.statistic(scores.len(), |rows| mean_of(scores, rows))
    }

    /// Any statistic of `rows` rows, given as a function of the rows drawn (0 to `rows - 1`, some of them several
    /// times, others not at all); `None` where there are none. Resamples in which it is no finite number are left out.
    ///
    /// The function is called from several threads, with rows in the order they were drawn.
    pub fn statistic<F: Fn(&[usize]) -> f64 + Sync>(&self, rows: usize, statistic: F) -> Option<Estimate> {
        if rows == 0 {
            return None;
        }
        let all: Vec<usize> = (0..rows).collect();
        let value = statistic(&all);
        let mut drawn = self.draw(rows, |rows| Some(statistic(rows)).filter(|value| value.is_finite()));
        Some(Estimate { value, interval: self.interval(&mut drawn), rows, resamples: drawn.len() })
    }

    /// The mean scores of two systems on the same rows; `Ok(None)` where there are none.
    ///
    /// # Errors
    /// The two are not of the same rows.
    pub fn compare_means(&self, first: &[f64], second: &[f64]) -> Result<Option<Comparison>, Lengths> {
        Lengths::check(first.len(), second.len())?;
        Ok(self.compare(first.len(), |rows| (mean_of(first, rows), mean_of(second, rows))))
    }

    /// A statistic of two systems on the same `rows` rows, given as a function of the rows drawn that returns that of
    /// the first and that of the second; `None` where there are no rows.
    pub fn compare<F>(&self, rows: usize, statistics: F) -> Option<Comparison>
    where
        F: Fn(&[usize]) -> (f64, f64) + Sync,
    {
        if rows == 0 {
            return None;
        }
        let all: Vec<usize> = (0..rows).collect();
        let (first, second) = statistics(&all);
        let difference = second - first;
        let mut drawn = self.draw(rows, |rows| {
            let (first, second) = statistics(rows);
            Some(second - first).filter(|value| value.is_finite())
        });
        let resamples = drawn.len();
        // Differences that are equal but for rounding are equal: half of all rows of 0 and 1 would go astray else.
        let near = 1e-12 * first.abs().max(second.abs()).max(difference.abs());
        let far = drawn.iter().filter(|d| (**d - difference).abs() >= difference.abs() - near).count();
        let better: f64 = drawn.iter().map(|d| if d.abs() <= near { 0.5 } else { f64::from(u8::from(*d > 0.0)) }).sum();
        let enough = resamples > 0 && difference.is_finite();
        Some(Comparison {
            first,
            second,
            difference,
            interval: self.interval(&mut drawn),
            p: enough.then(|| ((1 + far) as f64 / (1 + resamples) as f64).max(2.0_f64.powf(1.0 - rows as f64))),
            second_better: enough.then(|| better / resamples as f64),
            rows,
            resamples,
        })
    }

    /// A function of each resample of `rows` rows, in the order of the resamples; nothing where there are fewer than
    /// two rows.
    pub(in super::super) fn draw<T: Send, F>(&self, rows: usize, of: F) -> Vec<T>
    where
        F: Fn(&[usize]) -> Option<T> + Sync,
    {
        if rows < 2 {
            return Vec::new();
        }
        let generator = ChaCha8Rng::seed_from_u64(self.seed);
        let resample = |rows_drawn: &mut Vec<usize>, number: usize| {
            let mut generator = generator.clone();
            generator.set_stream(number as u64);
            rows_drawn.clear();
            rows_drawn.extend((0..rows).map(|_| below(&mut generator, rows)));
            of(rows_drawn)
        };
        (0..self.resamples).into_par_iter().map_init(Vec::new, resample).flatten_iter().collect()
    }

    /// The interval that holds the middle `level` of the values; none where there are none. The values are sorted.
    pub(in super::super) fn interval(&self, values: &mut [f64]) -> Option<Interval> {
        values.sort_by(f64::total_cmp);
        let level = if self.level.is_nan() { 0.95 } else { self.level.clamp(0.0, 1.0) };
        let outside = (1.0 - level) / 2.0;
        Some(Interval { low: percentile(values, outside)?, high: percentile(values, 1.0 - outside)? })
    }
}

/// The mean score of the rows drawn; not a number where there are none.
fn mean_of(scores: &[f64], rows: &[usize]) -> f64 {
    rows.iter().filter_map(|row| scores.get(*row)).sum::<f64>() / rows.len() as f64
}

/// The value under which a share of the sorted values lies, straight lines between neighbours (definition 7 of Hyndman
/// & Fan 1996, the one numpy and scipy use).
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * (sorted.len().checked_sub(1)?) as f64;
    let (low, part) = (at.floor(), at.fract());
    let below = sorted.get(low as usize)?;
    let above = sorted.get(low as usize + 1).unwrap_or(below);
    Some(below + (above - below) * part)
}

/// A number from 0 to `end - 1`, each as likely (D. Lemire, "Fast random integer generation in an interval", 2019).
/// Written out here, so that stored figures outlive versions of the `rand` crate.
pub(in super::super) fn below(generator: &mut ChaCha8Rng, end: usize) -> usize {
    let end = u64::from(u32::try_from(end).unwrap_or(u32::MAX)).max(1);
    let mut wide = u64::from(generator.next_u32()) * end;
    // `2^32 mod end` of the low words are one too many.
    if (wide & 0xffff_ffff) < end {
        let surplus = (1_u64 << 32) % end;
        while (wide & 0xffff_ffff) < surplus {
            wide = u64::from(generator.next_u32()) * end;
        }
    }
    (wide >> 32) as usize
}
