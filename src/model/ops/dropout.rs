//! Inverted dropout whose mask is computed, not stored: an element is kept or dropped by a hash of the key, its row and its column.
//!
//! The backward pass draws the same mask again from the same key, so nothing is kept between the passes and a resumed
//! run draws what the first one would have drawn. A row is known by the sequence it belongs to and its place there
//! ([`row_key`]), not by where a pack happens to have it: packed otherwise, as where memory is short, it is masked alike.

use rayon::prelude::*;

use crate::multiversion;

/// Elements a task takes at once.
const CHUNK: usize = 16_384;

/// One mask: a probability and what it is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    probability: f32,
    key: u64,
}

impl Dropout {
    /// A mask that drops each element with `probability`, drawn from the words of `key`; `None` where nothing drops.
    #[must_use]
    pub fn new(probability: f32, key: &[u64]) -> Option<Self> {
        let mixed = key.iter().fold(0x9E37_79B9_7F4A_7C15_u64, |state, word| mix(state ^ word));
        (probability > 0.0).then_some(Self { probability, key: mixed })
    }

    /// The mask of a matrix whose rows have these keys.
    #[must_use]
    pub fn over(self, rows: &[u32]) -> Mask<'_> {
        Mask { dropout: self, rows }
    }

    /// The key of the hash, the value from which on an element is kept, and the factor of what is kept.
    pub(crate) fn parts(self) -> ([u32; 2], u32, f32) {
        let threshold = (f64::from(self.probability) * 4_294_967_296.0).min(4_294_967_295.0) as u32;
        ([self.key as u32, (self.key >> 32) as u32], threshold, 1.0 / (1.0 - self.probability))
    }
}

/// A mask over the rows of a matrix.
#[derive(Clone, Copy, Debug)]
pub struct Mask<'a> {
    dropout: Dropout,
    /// A key for each row; see [`row_key`].
    rows: &'a [u32],
}

impl Mask<'_> {
    /// `y = mask(x) / (1 - p)`, both `[rows, width]`.
    ///
    /// # Panics
    /// When there are not as many rows as keys: a mistake of the caller.
    pub fn apply(self, x: &[f32], y: &mut [f32]) {
        self.each(x, y, |x, y, rows, width| {
            let (key, threshold, scale) = self.dropout.parts();
            masked(x, y, rows, width, key, threshold, scale);
        });
    }

    /// `y += mask(x) / (1 - p)`: the backward of [`apply`](Self::apply), `x` being the gradient behind the mask.
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn add(self, x: &[f32], y: &mut [f32]) {
        self.each(x, y, |x, y, rows, width| {
            let (key, threshold, scale) = self.dropout.parts();
            add_masked(x, y, rows, width, key, threshold, scale);
        });
    }

    /// Does `work` for stretches of whole rows, side by side.
    fn each(self, x: &[f32], y: &mut [f32], work: impl Fn(&[f32], &mut [f32], &[u32], usize) + Sync) {
        let width = x.len() / self.rows.len().max(1);
        assert!(x.len() == self.rows.len() * width && y.len() == x.len(), "a mask of other rows");
        if width == 0 {
            return;
        }
        let rows = (CHUNK / width).max(1);
        let stretches = y.par_chunks_mut(rows * width).zip(x.par_chunks(rows * width));
        stretches.zip(self.rows.par_chunks(rows)).for_each(|((y, x), rows)| work(x, y, rows, width));
    }
}

/// What a row's part of a mask is drawn from: the number of the sequence it belongs to, and its place there.
#[must_use]
pub fn row_key(sequence: u64, position: u64) -> u32 {
    (mix(mix(sequence).wrapping_add(position)) >> 32) as u32
}

/// The finaliser of splitmix64 (Steele et al. 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A 32-bit hash of an element's column under a key: two rounds of multiply and xor-shift (murmur3's constants).
#[inline(always)]
#[allow(clippy::inline_always)] // compiled for the wider vectors of the kernels that call it
fn draw(column: u32, key: [u32; 2]) -> u32 {
    let mut z = column.wrapping_mul(0x9E37_79B9) ^ key[0];
    z = (z ^ (z >> 16)).wrapping_mul(0x85EB_CA6B).wrapping_add(key[1]);
    z = (z ^ (z >> 13)).wrapping_mul(0xC2B2_AE35);
    z ^ (z >> 16)
}

multiversion! {
    fn masked<S>(x: &[f32], y: &mut [f32], rows: &[u32], width: usize, key: [u32; 2], threshold: u32, scale: f32) {
        for ((x, y), row) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(rows) {
            let key = [key[0] ^ row, key[1]];
            for (i, (x, y)) in x.iter().zip(y).enumerate() {
                let keep = if draw(i as u32, key) >= threshold { scale } else { 0.0 };
                *y = x * keep;
            }
        }
    }
}

multiversion! {
    fn add_masked<S>(x: &[f32], y: &mut [f32], rows: &[u32], width: usize, key: [u32; 2], threshold: u32, scale: f32) {
        for ((x, y), row) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(rows) {
            let key = [key[0] ^ row, key[1]];
            for (i, (x, y)) in x.iter().zip(y).enumerate() {
                let keep = if draw(i as u32, key) >= threshold { scale } else { 0.0 };
                *y += x * keep;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of the rows of some sequences of 50 tokens.
    fn rows(count: u64) -> Vec<u32> {
        (0..count).map(|row| row_key(row / 50, row % 50)).collect()
    }

    #[test]
    fn drops_the_share_it_is_told_and_keeps_the_mean() {
        let x = vec![1f32; 200_000];
        let mut y = vec![0f32; x.len()];
        Dropout::new(0.05, &[7, 1, 2]).expect("a probability over zero").over(&rows(400)).apply(&x, &mut y);
        let is_dropped = |y: &f32| y.abs() < f32::EPSILON;
        let dropped = y.iter().filter(|y| is_dropped(y)).count() as f64 / y.len() as f64;
        // Five standard errors of a binomial share.
        assert!((dropped - 0.05).abs() < 5.0 * (0.05f64 * 0.95 / 200_000.0).sqrt(), "{dropped}");
        let mean = y.iter().map(|&y| f64::from(y)).sum::<f64>() / y.len() as f64;
        assert!((mean - 1.0).abs() < 0.005, "{mean}");
        // Rows next to one another, and columns, have nothing to do with one another.
        let pairs = |step: usize| {
            let both = y.iter().zip(&y[step..]).filter(|(a, b)| is_dropped(a) && is_dropped(b)).count();
            both as f64 / (y.len() - step) as f64
        };
        for step in [1, 2, 500, 501, 25_000] {
            let both = pairs(step);
            assert!((both - 0.0025).abs() < 5.0 * (0.0025f64 / 200_000.0).sqrt(), "{step} apart: {both}");
        }
    }

    #[test]
    fn the_backward_mask_is_the_forward_mask_and_keys_differ() {
        let x = vec![1f32; 50_000];
        let rows = rows(100);
        let (mut a, mut b, mut c) = (vec![0f32; x.len()], vec![0f32; x.len()], vec![0f32; x.len()]);
        let mask = Dropout::new(0.5, &[3, 4]).expect("a probability over zero").over(&rows);
        mask.apply(&x, &mut a);
        mask.add(&x, &mut b);
        assert_eq!(a, b);
        Dropout::new(0.5, &[3, 5]).expect("a probability over zero").over(&rows).apply(&x, &mut c);
        let same = a.iter().zip(&c).filter(|(a, c)| (*a - *c).abs() < f32::EPSILON).count();
        assert!((same as f64 / 50_000.0 - 0.5).abs() < 0.02, "{same}");
        // Some of the rows alone are masked as they are among the others.
        let mut few = vec![0f32; 1500];
        Dropout::new(0.5, &[3, 4]).expect("a probability over zero").over(&rows[7..10]).apply(&x[..1500], &mut few);
        assert_eq!(few, a[3500..5000]);
    }
}
