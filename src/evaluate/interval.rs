//! How sure a proportion is.

use serde::{Deserialize, Serialize};

/// A range of numbers; of proportions, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a number lies within.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The 97.5th percentile of the normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// Wilson's score interval at 95 % for `hits` of `rows` (E. B. Wilson, 1927); 0 to 1 where there are no rows.
#[must_use]
pub fn wilson95(hits: usize, rows: usize) -> Interval {
    if rows == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, z2) = (rows as f64, Z95 * Z95);
    let share = hits.min(rows) as f64 / n;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    // At the edges the formula gives exactly 0 and 1; rounding does not.
    let low = if hits == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if hits >= rows { 1.0 } else { (centre + half).min(1.0) };
    Interval { low, high }
}
